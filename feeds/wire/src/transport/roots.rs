//! Whom a TLS client trusts: the public authorities, or those of one file and nobody else.

use core::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The certificate authorities a client trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsRoots {
    /// The public ones, for real venues.
    Public,
    /// Only those in this PEM file, for a simulated venue or a private gateway.
    File(PathBuf),
}

/// Why the authorities cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootsError {
    /// There is no such file.
    Missing(PathBuf),
    /// The system refuses to read it.
    Unreadable(PathBuf, io::ErrorKind),
    /// It holds no PEM text, or damaged PEM.
    NotPem(PathBuf),
    /// It is PEM, but holds no certificate (perhaps a key).
    Empty(PathBuf),
    /// A certificate in it cannot be an authority.
    BadCertificate(PathBuf, String),
    /// The TLS provider refuses the protocol versions; a bug of the build.
    Provider(String),
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "{}: no such file", path.display()),
            Self::Unreadable(path, kind) => write!(f, "{}: {kind}", path.display()),
            Self::NotPem(path) => write!(f, "{}: not a PEM file", path.display()),
            Self::Empty(path) => write!(f, "{}: no certificate in it", path.display()),
            Self::BadCertificate(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Provider(why) => write!(f, "TLS provider: {why}"),
        }
    }
}

impl std::error::Error for RootsError {}

/// The client configuration that trusts `roots`: TLS 1.3 and 1.2 by ring, AES-128-GCM offered
/// first because it is the cheapest record cipher where the CPU has AES instructions.
pub(crate) fn client_config(roots: &TlsRoots) -> Result<Arc<ClientConfig>, RootsError> {
    let store = match roots {
        TlsRoots::Public => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        TlsRoots::File(path) => store_of(path)?,
    };
    let mut provider = rustls::crypto::ring::default_provider();
    let fast = rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
    // A stable sort: the fast suite first, the others keep the provider's order.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != fast);
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| RootsError::Provider(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn store_of(path: &PathBuf) -> Result<RootCertStore, RootsError> {
    let text = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RootsError::Missing(path.clone()),
        kind => RootsError::Unreadable(path.clone(), kind),
    })?;
    if !text.windows(11).any(|w| w == b"-----BEGIN ") {
        return Err(RootsError::NotPem(path.clone()));
    }
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| RootsError::NotPem(path.clone()))?;
        store
            .add(certificate)
            .map_err(|error| RootsError::BadCertificate(path.clone(), error.to_string()))?;
    }
    if store.is_empty() { Err(RootsError::Empty(path.clone())) } else { Ok(store) }
}
