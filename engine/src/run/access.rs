//! How to reach the venue: endpoints, keys, and the kind of network in between.

use bot4_venues::binance::sign::{Credentials, Signer};
use bot4_venues::coinbase::token::TokenKeys;
use bot4_venues::secret::{Nonces, Scheme, SecretKeys};
use bot4_venues::secret_text::SecretText;
use bot4_wire::transport::memory::Network;
use bot4_wire::{ConnError, Connector, Endpoint, Resolver, StreamError, TcpConnector, TlsRoots};

use super::cold::ColdError;
use super::guard::Guards;
use crate::config::resolve::{self, Remote};

/// What lies between the engine and the venue.
#[derive(Clone)]
pub enum Net {
    /// TLS over TCP, trusting these authorities; names are looked up again by the resolver.
    Tcp(TlsRoots, Resolver),
    /// The memory twin of the simulator.
    Memory(Network),
}

impl Net {
    /// TLS over TCP, trusting `roots`.
    ///
    /// # Errors
    /// When the resolver's helper thread cannot be started.
    pub fn tcp(roots: TlsRoots) -> Result<Self, ColdError> {
        Ok(Self::Tcp(roots, Resolver::start().map_err(ColdError::Resolver)?))
    }
}

/// The keys of an account, read and ready.
#[derive(Clone)]
pub struct Keys {
    /// Name of the key pair.
    pub api_key: String,
    /// The private key's text.
    pub key_text: SecretText,
    /// Where the key came from, for errors.
    pub key_path: String,
    /// Of all sessions with the key.
    pub nonces: Nonces,
}

/// Endpoints and keys, read and ready.
#[derive(Clone)]
pub struct Access {
    /// Market-data host.
    pub market: String,
    /// WebSocket API, where the venue needs one.
    pub api: Option<String>,
    /// REST host, where the venue needs one.
    pub rest: Option<String>,
    /// Keys; none where the run only observes.
    pub keys: Option<Keys>,
    /// The network.
    pub net: Net,
    /// The breakers in front of what is asked outside the lanes.
    pub guards: Guards,
    /// Who asks by it asks again soon in any case: where the venue wants fewer requests, it is
    /// told so at once instead of waiting.
    pub hurried: bool,
}

impl Access {
    /// The access that `remote` names.
    ///
    /// # Errors
    /// When the key file cannot be read.
    pub fn of(remote: &Remote) -> Result<Self, ColdError> {
        let read = |keys: &resolve::Keys| {
            let key_path = keys.private_key.display().to_string();
            let key_text = std::fs::read_to_string(&keys.private_key).map(SecretText::new);
            let key_text = key_text.map_err(|e| ColdError::KeyFile(key_path.clone(), e))?;
            let (api_key, nonces) = (keys.api_key.clone(), Nonces::default());
            Ok(Keys { api_key, key_text, key_path, nonces })
        };
        Ok(Self {
            market: remote.market.clone(),
            api: remote.api.clone(),
            rest: remote.rest.clone(),
            keys: remote.keys.as_ref().map(read).transpose()?,
            net: Net::tcp(remote.ca.clone().map_or(TlsRoots::Public, TlsRoots::File))?,
            guards: Guards::default(),
            hurried: false,
        })
    }

    /// The same hosts without the keys: for public questions.
    #[must_use]
    pub fn without_keys(&self) -> Self {
        let (market, api, rest) = (self.market.clone(), self.api.clone(), self.rest.clone());
        let (net, guards, hurried) = (self.net.clone(), self.guards.clone(), self.hurried);
        Self { market, api, rest, keys: None, net, guards, hurried }
    }

    /// The same for a helper that asks now and then beside the lanes.
    #[must_use]
    pub fn in_a_run(&self) -> Self {
        Self { hurried: true, ..self.clone() }
    }

    /// The WebSocket API's URL.
    ///
    /// # Errors
    /// When there is none: the configuration asks for it wherever a venue needs it.
    pub fn api(&self) -> Result<&str, ColdError> {
        self.api.as_deref().ok_or(ColdError::Endpoint(bot4_wire::EndpointError::NoHost))
    }

    /// The credentials.
    ///
    /// # Errors
    /// When there is no key or it is not usable.
    pub fn credentials(&self) -> Result<Credentials, ColdError> {
        let keys = self.keys.as_ref().ok_or(ColdError::NoKeys)?;
        let key = |e| ColdError::Key(keys.key_path.clone(), e);
        Credentials::new(&keys.api_key, Signer::ed25519(keys.key_text.expose()).map_err(key)?)
            .map_err(key)
    }

    /// The keys of a venue whose private key is a shared secret.
    ///
    /// # Errors
    /// When there is no key or it is not usable.
    pub fn secret_keys(&self, scheme: Scheme) -> Result<SecretKeys, ColdError> {
        let keys = self.keys.as_ref().ok_or(ColdError::NoKeys)?;
        let key = |e| ColdError::Key(keys.key_path.clone(), e);
        let mut read =
            SecretKeys::read(&keys.api_key, keys.key_text.expose(), scheme).map_err(key)?;
        read.nonces = keys.nonces.clone();
        Ok(read)
    }

    /// The keys of a venue whose requests carry tokens.
    ///
    /// # Errors
    /// When there is no key or it is not usable.
    pub fn token_keys(&self) -> Result<TokenKeys, ColdError> {
        let keys = self.keys.as_ref().ok_or(ColdError::NoKeys)?;
        let key = |e| ColdError::Key(keys.key_path.clone(), e);
        TokenKeys::read(&keys.api_key, keys.key_text.expose()).map_err(key)
    }

    /// The REST host, to be connected to as any other.
    ///
    /// # Errors
    /// When there is none: the configuration asks for it wherever a venue needs it.
    pub fn rest_host(&self) -> Result<Endpoint, ColdError> {
        let rest = self.rest.as_deref().and_then(|rest| rest.strip_prefix("https://"));
        let host = rest.ok_or(ColdError::Endpoint(bot4_wire::EndpointError::NoHost))?;
        Endpoint::parse(&format!("wss://{host}")).map_err(ColdError::Endpoint)
    }

    /// A connector that knows the way to the venue's hosts, and the endpoint that `url` names.
    ///
    /// # Errors
    /// When the authorities cannot be loaded or the name has no address.
    pub fn connector(&self, url: &str) -> Result<(Box<dyn Connector>, Endpoint), ColdError> {
        let endpoint = Endpoint::parse(url).map_err(ColdError::Endpoint)?;
        match &self.net {
            Net::Memory(network) => Ok((Box::new(network.connector()), endpoint)),
            Net::Tcp(roots, resolver) => {
                let mut connector = TcpConnector::new(roots).map_err(ColdError::Roots)?;
                connector.resolve_again_by(resolver);
                let lost =
                    |e: StreamError| ColdError::Connection(url.to_owned(), ConnError::Stream(e));
                // A market-data agent asks for snapshots at the other host.
                for known in [Some(&self.market), self.api.as_ref()].into_iter().flatten() {
                    let known = Endpoint::parse(known).map_err(ColdError::Endpoint)?;
                    connector.resolve(&known).map_err(lost)?;
                }
                connector.resolve(&endpoint).map_err(lost)?;
                Ok((Box::new(connector), endpoint))
            }
        }
    }

    /// A connector that knows the way to the REST host, and its endpoint.
    ///
    /// # Errors
    /// As [`connector`](Self::connector).
    pub fn rest_connector(&self) -> Result<(Box<dyn Connector>, Endpoint), ColdError> {
        self.connector(&format!("wss://{}", self.rest_host()?.authority()))
    }
}
