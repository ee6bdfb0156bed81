//! Real TLS on loopback: our client against tungstenite over rustls in a thread.

#![expect(clippy::disallowed_methods, reason = "the server under test needs sockets and threads")]

#[path = "common/authority.rs"]
mod authority;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use authority::authority;
use bot4_types::Nanos;
use bot4_wire::{
    ConnError, ConnState, Endpoint, RootsError, StreamError, TcpConnector, TlsRoots, WsConfig,
    WsConnection,
};
use rcgen::KeyPair;
use rustls::{ServerConnection, StreamOwned};
use tungstenite::{Message, WebSocket};

/// Longer than any test takes; a waiting test fails then instead of hanging.
const TEST_TIME_MAX: Nanos = Nanos::from_secs(20);

type ServerSocket = WebSocket<StreamOwned<ServerConnection, TcpStream>>;

struct Rig {
    endpoint: Endpoint,
    roots: PathBuf,
    server: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

/// A server for one connection that runs `script` once the WebSocket is open.
fn serve(names: &[&str], script: impl FnOnce(ServerSocket) + Send + 'static) -> Rig {
    let (ca_pem, config) = authority("ours", names);
    let dir = tempfile::tempdir().expect("temporary folder");
    let roots = dir.path().join("ca.pem");
    std::fs::write(&roots, ca_pem).expect("writes");
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("accepts");
        socket.set_nodelay(true).expect("option");
        let tls = ServerConnection::new(config).expect("tls");
        // A refused certificate shows as a failed handshake here; the client's side is asserted.
        if let Ok(socket) = tungstenite::accept(StreamOwned::new(tls, socket)) {
            script(socket);
        }
    });
    let endpoint = Endpoint::parse(&format!("wss://127.0.0.1:{port}/stream")).expect("good url");
    Rig { endpoint, roots, server, _dir: dir }
}

struct Client {
    conn: WsConnection,
    start: Instant,
}

impl Client {
    fn connect(endpoint: &Endpoint, roots: &Path) -> Self {
        let mut connector =
            TcpConnector::new(&TlsRoots::File(roots.to_owned())).expect("a good file");
        connector.resolve(endpoint).expect("an address");
        let config = WsConfig::default();
        let conn = WsConnection::connect(&mut connector, endpoint, config, 1, Nanos::ZERO);
        Self { conn: conn.expect("starts"), start: Instant::now() }
    }

    fn now(&self) -> Nanos {
        Nanos(self.start.elapsed().as_nanos() as u64)
    }

    fn opened(&mut self) -> Result<(), ConnError> {
        while self.conn.poll(self.now())? != ConnState::Open {
            self.conn.wait(Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn next(&mut self, buf: &mut [u8]) -> Result<usize, ConnError> {
        loop {
            let (now, start) = (self.now(), self.start);
            assert!(now < TEST_TIME_MAX, "the server does not send what the test waits for");
            self.conn.poll(now)?;
            let mut stamp = || Nanos(start.elapsed().as_nanos() as u64);
            if let Some(received) = self.conn.receive(now, buf, &mut stamp)? {
                // Bytes that came with the upgrade's answer carry an earlier stamp.
                assert!(received.t0 > Nanos::ZERO && received.t0 <= self.now());
                return Ok(received.len);
            }
            if self.conn.state() == ConnState::Closed {
                return Err(ConnError::NotOpen);
            }
            self.conn.wait(Duration::from_millis(50))?;
        }
    }
}

#[test]
fn messages_flow_both_ways_over_tls() {
    let lengths = [1, 125, 126, 300, 16_384, 16_385, 65_536, 400_000];
    let rig = serve(&["127.0.0.1", "localhost"], move |mut socket| {
        socket.send(Message::text("first")).expect("sends");
        for _ in lengths {
            let mut echo = socket.read().expect("reads");
            while !echo.is_text() {
                echo = socket.read().expect("reads");
            }
            socket.send(Message::Ping(vec![7].into())).expect("sends");
            socket.send(echo).expect("sends");
        }
        while socket.read().is_ok() {}
    });
    let mut client = Client::connect(&rig.endpoint, &rig.roots);
    client.opened().expect("trusted");
    let mut buf = vec![0; 400_000];
    assert_eq!(client.next(&mut buf), Ok(5));
    for len in lengths {
        let text: Vec<u8> = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
        client.conn.send_text(client.now(), &text).expect("open");
        let got = client.next(&mut buf).expect("echo");
        assert!(buf[..got] == text, "{len} bytes");
    }
    assert_eq!(client.conn.pending_out(), 0);
    assert_eq!(client.conn.counters().answered, lengths.len() as u64);
    client.conn.close(client.now());
    while client.conn.state() != ConnState::Closed {
        let now = client.now();
        client.conn.poll(now).expect("a planned close");
        client.conn.receive(now, &mut buf, &mut || now).expect("a planned close");
    }
    rig.server.join().expect("the server ends");
}

#[test]
fn a_name_is_resolved_and_checked() {
    let rig = serve(&["localhost"], |mut socket| {
        socket.send(Message::text("hello")).expect("sends");
        while socket.read().is_ok() {}
    });
    let url = format!("wss://localhost:{}/", rig.endpoint.port());
    let endpoint = Endpoint::parse(&url).expect("good url");
    let mut connector = TcpConnector::new(&TlsRoots::File(rig.roots.clone())).expect("good file");
    let config = WsConfig::default();
    let unresolved = WsConnection::connect(&mut connector, &endpoint, config, 1, Nanos::ZERO);
    assert_eq!(unresolved.err(), Some(ConnError::Stream(StreamError::Unresolved)));
    // The listener is on the IPv4 address only; the address is used, the name is checked.
    let endpoint = rig.endpoint.with_server_name("localhost");
    let mut client = Client::connect(&endpoint, &rig.roots);
    client.opened().expect("the name fits");
    assert_eq!(client.next(&mut [0; 16]), Ok(5));
    drop(client);
    rig.server.join().expect("the server ends");
}

#[test]
fn an_untrusted_authority_is_refused() {
    let rig = serve(&["127.0.0.1"], |_| panic!("the client must not come in"));
    let (other_pem, _) = authority("other", &["127.0.0.1"]);
    let other = rig.roots.with_file_name("other.pem");
    std::fs::write(&other, other_pem).expect("writes");
    let error = Client::connect(&rig.endpoint, &other).opened().expect_err("refused");
    let ConnError::Stream(StreamError::Certificate(why)) = &error else {
        panic!("not a certificate error: {error:?}");
    };
    assert!(why.contains("UnknownIssuer"), "{why}");
    assert!(error.is_refusal());
    rig.server.join().expect("the server ends");
}

#[test]
fn a_wrong_host_name_is_refused() {
    let rig = serve(&["venue.example"], |_| panic!("the client must not come in"));
    let error = Client::connect(&rig.endpoint, &rig.roots).opened().expect_err("refused");
    assert!(matches!(error, ConnError::Stream(StreamError::Certificate(_))), "{error:?}");
    rig.server.join().expect("the server ends");
}

#[test]
fn a_cut_in_the_middle_of_a_frame_is_noticed() {
    let rig = serve(&["127.0.0.1"], |mut socket| {
        let stream = socket.get_mut();
        stream.write_all(&[0x81, 126, 0x10, 0x00]).expect("sends");
        stream.write_all(&[b'x'; 100]).expect("sends");
        stream.flush().expect("sends");
    });
    let mut client = Client::connect(&rig.endpoint, &rig.roots);
    client.opened().expect("trusted");
    let error = client.next(&mut [0; 8192]).expect_err("cut");
    assert!(matches!(error, ConnError::Stream(_)), "{error:?}");
    assert_eq!(client.conn.counters().bytes, 104);
    rig.server.join().expect("the server ends");
}

#[test]
fn a_silent_server_is_noticed_within_two_seconds() {
    let (done_tx, done_rx) = std::sync::mpsc::channel::<()>();
    let rig = serve(&["127.0.0.1"], move |mut socket| {
        socket.send(Message::text("hello")).expect("sends");
        // Holds the socket open and answers nothing.
        let _ = done_rx.recv();
    });
    let mut client = Client::connect(&rig.endpoint, &rig.roots);
    client.opened().expect("trusted");
    assert_eq!(client.next(&mut [0; 16]), Ok(5));
    let heard = Instant::now();
    assert_eq!(client.next(&mut [0; 16]), Err(ConnError::Silent));
    let took = heard.elapsed();
    assert!(took > Duration::from_millis(1_900), "too early: {took:?}");
    assert!(took < Duration::from_millis(2_500), "too late: {took:?}");
    drop(done_tx);
    rig.server.join().expect("the server ends");
}

#[test]
fn a_refused_connection_is_an_io_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let rig_roots = tempfile::tempdir().expect("temporary folder");
    let file = rig_roots.path().join("ca.pem");
    std::fs::write(&file, authority("other", &["127.0.0.1"]).0).expect("writes");
    let endpoint = Endpoint::parse(&format!("wss://127.0.0.1:{port}/")).expect("good url");
    let error = Client::connect(&endpoint, &file).opened().expect_err("nobody listens");
    let refused = StreamError::Io(std::io::ErrorKind::ConnectionRefused);
    assert_eq!(error, ConnError::Stream(refused));
}

#[test]
fn a_bad_authority_file_says_what_is_wrong() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let load = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writes");
        (TcpConnector::new(&TlsRoots::File(path.clone())).err(), path)
    };
    let missing = dir.path().join("none.pem");
    let error = TcpConnector::new(&TlsRoots::File(missing.clone())).err();
    assert_eq!(error, Some(RootsError::Missing(missing)));
    let (error, path) = load("text.pem", "hello");
    assert_eq!(error, Some(RootsError::NotPem(path)));
    let (error, path) = load("key.pem", &KeyPair::generate().expect("key").serialize_pem());
    assert_eq!(error, Some(RootsError::Empty(path)));
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let (error, _) = load("junk.pem", junk);
    assert!(matches!(error, Some(RootsError::BadCertificate(..))), "{error:?}");
    assert!(TcpConnector::new(&TlsRoots::Public).is_ok());
}
