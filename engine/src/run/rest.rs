//! Blocking HTTPS GET for the cold side, over the same authorities as every other connection.

use std::sync::Arc;
use std::time::Duration;

use bot4_wire::TlsRoots;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::access::{Access, Net};
use super::cold::ColdError;
use super::guard::{self, Guards};

/// Longest wait for one answer, connecting included.
const PATIENCE: Duration = Duration::from_secs(20);
/// Answers longer than this are not taken.
const ANSWER_LEN_MAX: u64 = 64 * 1024 * 1024;

/// A client of the venue's REST host.
pub struct RestClient {
    agent: ureq::Agent,
    base: String,
    guards: Guards,
}

impl RestClient {
    /// A client of the REST host that `access` names.
    ///
    /// # Errors
    /// When there is no such host or its authority cannot be loaded.
    pub fn of(access: &Access) -> Result<Self, ColdError> {
        let missing = || ColdError::Rest("venue.rest".to_owned(), "no REST host".to_owned());
        let base = access.rest.clone().ok_or_else(missing)?;
        let roots = match &access.net {
            Net::Memory(_) => return Err(missing()),
            Net::Tcp(TlsRoots::Public, _) => RootCerts::WebPki,
            Net::Tcp(TlsRoots::File(path), _) => {
                let wrong =
                    |what: String| ColdError::Rest(format!("venue.ca {}", path.display()), what);
                let text = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
                let certificates: Vec<Certificate<'static>> = parse_pem(&text)
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                        Ok(_) => None,
                        Err(e) => Some(Err(wrong(e.to_string()))),
                    })
                    .collect::<Result<_, _>>()?;
                RootCerts::Specific(Arc::new(certificates))
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("bot4/", env!("CARGO_PKG_VERSION")))
            .proxy(None)
            .max_redirects(0)
            .build();
        Ok(Self { agent: config.into(), base, guards: access.guards.clone() })
    }

    /// The body of the answer to a GET of `path`, which may carry a query.
    ///
    /// # Errors
    /// When there is no answer, its status is not 200, or the host is left alone for now.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, ColdError> {
        let url = format!("{}{path}", self.base);
        let wrong = |e: ureq::Error| ColdError::Rest(url.clone(), e.to_string());
        self.guards.ask(guard::REST, || {
            let mut answer = self.agent.get(&url).call().map_err(wrong)?;
            answer.body_mut().with_config().limit(ANSWER_LEN_MAX).read_to_vec().map_err(wrong)
        })
    }
}
