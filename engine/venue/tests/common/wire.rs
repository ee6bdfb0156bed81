//! A WebSocket client over TLS, and a venue on a thread.
#![expect(
    clippy::disallowed_methods,
    reason = "the client of these tests is another program: it blocks, and has threads and a clock"
)]

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bot4_venue::{Ready, VenueOptions, run};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

pub type Socket = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

pub struct Running {
    pub stop: Arc<AtomicBool>,
    pub ready: Ready,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Running {
    pub fn start(options: VenueOptions) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, receive) = mpsc::channel();
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            run(&options, &flag, |ready| send.send(ready.clone()).unwrap())
        });
        let ready = receive.recv_timeout(Duration::from_secs(20)).unwrap();
        Self { stop, ready, thread: Some(thread) }
    }

    pub fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

pub fn connect(url: &str, ca: &Path) -> Socket {
    let host = url.strip_prefix("wss://").unwrap().split('/').next().unwrap();
    tungstenite::client(url, open_tls(host, ca)).unwrap().0
}

/// A TLS connection to `address:port`.
pub fn open_tls(host: &str, ca: &Path) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address: SocketAddr = host.parse().unwrap();
    let name = ServerName::from(address.ip());
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(tls, stream)
}

/// Is nobody listening there?
pub fn is_refused(host: &str) -> bool {
    let address: SocketAddr = host.parse().unwrap();
    let error = TcpStream::connect(address).err();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Waits a little for another process or thread.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

pub fn sign(ready: &Ready, payload: &str) -> String {
    let pem = std::fs::read_to_string(&ready.private_key).unwrap();
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    let der = STANDARD.decode(body).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
    STANDARD.encode(pair.sign(payload.as_bytes()))
}

pub fn text(socket: &mut Socket) -> Value {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// Sends a request; its answer, and the events that came before it.
pub fn call(socket: &mut Socket, method: &str, params: Value) -> (Value, Vec<Value>) {
    let request = json!({"id": method, "method": method, "params": params});
    socket.send(Message::text(request.to_string())).unwrap();
    let mut events = Vec::new();
    loop {
        let message = text(socket);
        if message["id"] == method {
            return (message, events);
        }
        events.push(message["event"].clone());
    }
}

pub fn logon(socket: &mut Socket, ready: &Ready) {
    let timestamp = now_ms();
    let key = &ready.api_key;
    let signature = sign(ready, &format!("apiKey={key}&timestamp={timestamp}"));
    let params = json!({"apiKey": key, "timestamp": timestamp, "signature": signature});
    let (answer, _) = call(socket, "session.logon", params);
    assert_eq!(answer["status"], 200, "{answer}");
}
