//! How to reach the venue: endpoints, keys, and the kind of network in between.

use bot4_venues::binance::sign::{Credentials, Signer};
use bot4_wire::transport::memory::Network;
use bot4_wire::{ConnError, Connector, Endpoint, StreamError, TcpConnector, TlsRoots};

use super::cold::ColdError;
use crate::config::resolve::Remote;

/// What lies between the engine and the venue.
pub enum Net {
    /// TLS over TCP, trusting these authorities.
    Tcp(TlsRoots),
    /// The memory twin of the simulator.
    Memory(Network),
}

/// Endpoints and keys, read and ready.
pub struct Access {
    /// Market-data host.
    pub market: String,
    /// WebSocket API.
    pub api: String,
    /// Name of the key pair.
    pub api_key: String,
    /// The private key's text.
    pub key_text: String,
    /// Where the key came from, for errors.
    pub key_path: String,
    /// The network.
    pub net: Net,
}

impl Access {
    /// The access that `remote` names.
    ///
    /// # Errors
    /// When the key file cannot be read.
    pub fn of(remote: &Remote) -> Result<Self, ColdError> {
        let key_path = remote.private_key.display().to_string();
        let key_text = std::fs::read_to_string(&remote.private_key)
            .map_err(|e| ColdError::KeyFile(key_path.clone(), e))?;
        Ok(Self {
            market: remote.market.clone(),
            api: remote.api.clone(),
            api_key: remote.api_key.clone(),
            key_text,
            key_path,
            net: Net::Tcp(remote.ca.clone().map_or(TlsRoots::Public, TlsRoots::File)),
        })
    }

    /// The credentials.
    ///
    /// # Errors
    /// When the key is not usable.
    pub fn credentials(&self) -> Result<Credentials, ColdError> {
        let key = |e| ColdError::Key(self.key_path.clone(), e);
        Credentials::new(&self.api_key, Signer::ed25519(&self.key_text).map_err(key)?).map_err(key)
    }

    /// A connector that knows the way to the venue's hosts, and the endpoint that `url` names.
    ///
    /// # Errors
    /// When the authorities cannot be loaded or the name has no address.
    pub fn connector(&self, url: &str) -> Result<(Box<dyn Connector>, Endpoint), ColdError> {
        let endpoint = Endpoint::parse(url).map_err(ColdError::Endpoint)?;
        match &self.net {
            Net::Memory(network) => Ok((Box::new(network.connector()), endpoint)),
            Net::Tcp(roots) => {
                let mut connector = TcpConnector::new(roots).map_err(ColdError::Roots)?;
                let lost =
                    |e: StreamError| ColdError::Connection(url.to_owned(), ConnError::Stream(e));
                // A market-data agent asks for snapshots at the other host.
                for known in [&self.market, &self.api] {
                    let known = Endpoint::parse(known).map_err(ColdError::Endpoint)?;
                    connector.resolve(&known).map_err(lost)?;
                }
                Ok((Box::new(connector), endpoint))
            }
        }
    }
}
