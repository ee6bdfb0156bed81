//! TLS for the simulated venue: its own certificate authority, and a stream over rustls.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};

/// A certificate authority as it is stored: certificate and key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// What clients trust.
    pub certificate_pem: String,
    /// What signs.
    pub key_pem: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn generate() -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = ca_params()?.self_signed(&key).map_err(io::Error::other)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// A server configuration with a fresh certificate for loopback names and `address`.
    ///
    /// # Errors
    /// If the stored key cannot be read.
    pub fn server_config(&self, address: IpAddr) -> io::Result<Arc<ServerConfig>> {
        let key = KeyPair::from_pem(&self.key_pem).map_err(io::Error::other)?;
        let issuer = Issuer::new(ca_params()?, key);
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !address.is_unspecified() && !names.contains(&address.to_string()) {
            names.push(address.to_string());
        }
        let params = CertificateParams::new(names).map_err(io::Error::other)?;
        let server_key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&server_key, &issuer).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivatePkcs8KeyDer::from(server_key.serialize_der());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.into())
            .map(Arc::new)
            .map_err(io::Error::other)
    }
}

fn ca_params() -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new()).map_err(io::Error::other)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "bot4 simulated venue");
    Ok(params)
}

/// The server side of one TLS connection over a non-blocking stream.
pub struct TlsStream<S> {
    tls: ServerConnection,
    stream: S,
    is_stalled: bool,
}

impl<S: Read + Write> TlsStream<S> {
    /// Before the handshake.
    ///
    /// # Errors
    /// A configuration that rustls refuses.
    pub fn new(config: Arc<ServerConfig>, stream: S) -> io::Result<Self> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self { tls, stream, is_stalled: false })
    }

    /// The stream below.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends half a record, and nothing ever after; what arrives is thrown away.
    pub fn stall(&mut self) {
        let mut record = Vec::new();
        let _ = self.tls.writer().write(&[b' '; 512]);
        while self.tls.wants_write() && self.tls.write_tls(&mut record).is_ok() {}
        // A full socket takes less, which stalls as well.
        let _ = self.stream.write(&record[..record.len() / 2]);
        self.is_stalled = true;
    }

    fn discard(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        while self.stream.read(&mut buffer)? > 0 {}
        Ok(0)
    }

    fn send_records(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// As [`Self::send_records`], where records may as well leave later.
    fn try_send_records(&mut self) -> io::Result<()> {
        match self.send_records() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }
}

impl<S: Read + Write> Read for TlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_stalled {
            return self.discard();
        }
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end without `close_notify` is an end all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            if self.tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            let processed = self.tls.process_new_packets();
            // Handshake messages, key updates, or the alert that says what is wrong.
            self.try_send_records()?;
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.is_stalled {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let accepted = self.tls.writer().write(buffer)?;
        if accepted > 0 || buffer.is_empty() {
            return Ok(accepted);
        }
        // The record layer holds all it may: pass some on first.
        self.send_records()?;
        match self.tls.writer().write(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            accepted => Ok(accepted),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_stalled {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.send_records()?;
        self.stream.flush()
    }
}
