//! Blocking HTTPS requests for the cold side and the courier, over the same authorities as every
//! other connection.

use std::sync::Arc;
use std::time::Duration;

use bot4_types::Nanos;
use bot4_venues::rest::RestRequest;
use bot4_wire::TlsRoots;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::access::{Access, Net};
use super::cold::{ColdError, Limited};
use super::guard::{self, Guards};

/// Longest wait for one answer, connecting included.
const PATIENCE: Duration = Duration::from_secs(20);
/// A connection that was quiet for longer is not used again: it may have died without a word, and
/// the question would wait for its whole patience. Less than a session takes to notice silence.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// Answers longer than this are not taken.
const ANSWER_LEN_MAX: u64 = 64 * 1024 * 1024;

/// An answer.
pub struct Carried {
    /// HTTP status.
    pub status: u16,
    /// How long nothing more should be asked, s, where it says so.
    pub wait_s: Option<u32>,
    /// The body.
    pub body: Vec<u8>,
}

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
        Self::with_patience(access, PATIENCE)
    }

    /// As [`of`](Self::of), waiting no longer than `patience` for an answer.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn with_patience(access: &Access, patience: Duration) -> Result<Self, ColdError> {
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
            .http_status_as_error(false)
            .timeout_global(Some(patience))
            .max_idle_age(IDLE_MAX)
            .user_agent(concat!("bot4/", env!("CARGO_PKG_VERSION")))
            .proxy(None)
            .max_redirects(0)
            .build();
        Ok(Self { agent: config.into(), base, guards: access.guards.clone() })
    }

    /// The body of the answer to a GET of `path`, which may carry a query. A status 403 is a ban
    /// of so long where `forbidden` says so.
    ///
    /// # Errors
    /// When there is no answer, its status is not 200, or the host is left alone for now.
    pub fn get(&self, path: &str, forbidden: Option<Nanos>) -> Result<Vec<u8>, ColdError> {
        let url = format!("{}{path}", self.base);
        let wrong = |e: ureq::Error| ColdError::Rest(url.clone(), e.to_string());
        self.guards.ask(guard::REST, || {
            let mut answer = self.agent.get(&url).call().map_err(wrong)?;
            let status = answer.status().as_u16();
            let text = format!("http status: {status}");
            let ban = forbidden.filter(|_| status == 403);
            if matches!(status, 418 | 429) || ban.is_some() {
                let wait = wait_s(&answer).map(|s| Nanos::from_secs(s.into())).or(ban);
                return Err(ColdError::Limited(Limited { what: url.clone(), wait, text }));
            }
            if status != 200 {
                return Err(ColdError::Rest(url.clone(), text));
            }
            answer.body_mut().with_config().limit(ANSWER_LEN_MAX).read_to_vec().map_err(wrong)
        })
    }

    /// Sends a request written as [`bot4_venues::rest`] has it, whatever the breakers say; the
    /// answer, whatever its status is.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn carry(&self, request: &[u8]) -> Result<Carried, ColdError> {
        let unread = || ColdError::Rest("a request".to_owned(), "it is none".to_owned());
        let request = RestRequest::parse(request).ok_or_else(unread)?;
        let url = format!("{}{}", self.base, request.path);
        let wrong = |e: ureq::Error| ColdError::Unanswered(url.clone(), e.to_string());
        let mut built = ureq::http::Request::builder().method(request.method).uri(&url);
        for (name, value) in &request.headers {
            built = built.header(*name, *value);
        }
        let mut answer = if request.body.is_empty() {
            let built = built.body(()).map_err(|e| wrong(e.into()))?;
            self.agent.run(built)
        } else {
            let built = built.body(request.body.to_owned()).map_err(|e| wrong(e.into()))?;
            self.agent.run(built)
        }
        .map_err(wrong)?;
        let wait_s = wait_s(&answer);
        let body = answer.body_mut().with_config().limit(ANSWER_LEN_MAX).read_to_vec();
        Ok(Carried { status: answer.status().as_u16(), wait_s, body: body.map_err(wrong)? })
    }
}

/// How long nothing more should be asked, s, where the head of the answer says so.
fn wait_s(answer: &ureq::http::Response<ureq::Body>) -> Option<u32> {
    answer.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()
}
