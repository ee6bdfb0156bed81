//! `bot4 watch` on an address that others reach: a certificate and tokens, and who connects without
//! a good word to say.
#![expect(clippy::disallowed_methods, reason = "clients of the test: sockets and the wall clock")]

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::common::{bot4, output, sleep, stderr};
use crate::observers::flood::{descriptors, look_at, rss_kib};
use crate::watch::{Answer, Site, ask, metric};

/// Who may read, and no more.
const READ: &str = "fedcba9876543210fedcba9876543210";

/// A certificate for 127.0.0.1 and two tokens, as files in `folder`: chain, key, act, read.
fn secrets(folder: &Path) -> [String; 4] {
    use std::os::unix::fs::PermissionsExt as _;
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let texts = [
        ("chain.pem", made.cert.pem()),
        ("key.pem", made.signing_key.serialize_pem()),
        ("act", "0123456789abcdef0123456789abcdef".to_owned()),
        ("read", READ.to_owned()),
    ];
    texts.map(|(name, text)| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        path.to_str().expect("UTF-8").to_owned()
    })
}

/// A watch that speaks TLS only, and a client that trusts it.
struct Guarded {
    site: Site,
    trusts: Arc<ClientConfig>,
}

impl Guarded {
    fn start(state: &Path) -> Self {
        let [chain, key, act, read] = &secrets(state);
        let files = ["--tls-cert", chain, "--tls-key", key];
        let tokens = ["--act-token-file", act, "--read-token-file", read];
        let site = Site::start(state, &[files, tokens].concat());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(chain).expect("a certificate")).expect("trusted");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { site, trusts: Arc::new(config) }
    }

    fn session(&self) -> ClientConnection {
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        ClientConnection::new(Arc::clone(&self.trusts), name).expect("a session")
    }

    fn connect(&self) -> StreamOwned<ClientConnection, TcpStream> {
        StreamOwned::new(self.session(), self.site.connect())
    }

    /// The answer to a head whose first lines are `head`.
    fn ask(&self, head: &str) -> Answer {
        ask(self.connect(), &format!("{head}{}", self.site.host()))
    }

    /// True when the watch says that it is well; false when it sends the client away.
    fn is_heard(&self) -> bool {
        let mut stream = self.connect();
        let request = format!("GET /healthz HTTP/1.1\r\n{}", self.site.host());
        let mut text = String::new();
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_string(&mut text);
        text.starts_with("HTTP/1.1 200")
    }
}

#[test]
fn a_public_address_needs_tls_and_a_token() {
    let state = tempfile::tempdir().expect("a folder");
    let [chain, key, act, _] = &secrets(state.path());
    let tls = ["--tls-cert", chain, "--tls-key", key];
    let refused = |args: &[&str], said: &str| {
        let out = output(bot4(state.path()).arg("watch").args(args));
        let error = stderr(&out);
        assert_eq!(out.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{said} in {error}");
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.7:8640", "[2001:db8::7]:8640"] {
        refused(&["--listen", address], "--tls-cert FILE --tls-key FILE, --act-token-file FILE");
    }
    refused(&[&["--listen", "192.0.2.7:8640"], tls.as_slice()].concat(), "add --act-token-file");
    refused(&["--listen", "192.0.2.7:8640", "--act-token-file", act], "add --tls-cert");
    let unnamed = [&["--listen", "0.0.0.0:0", "--act-token-file", act], tls.as_slice()].concat();
    refused(&unnamed, "--host NAME");
    refused(&["--tls-cert", chain], "--tls-key");
    refused(&["--act-token-file", "/nowhere/token"], "/nowhere/token");
    refused(&["--tls-cert", act, "--tls-key", key], "PEM is expected");
}

#[test]
fn over_tls_tokens_make_roles() {
    let state = tempfile::tempdir().expect("a folder");
    let guarded = Guarded::start(state.path());
    let state = "GET /api/state HTTP/1.1\r\n";
    assert_eq!(guarded.ask("GET / HTTP/1.1\r\n").0, 200, "the page itself tells nothing");
    assert_eq!(guarded.ask(state).0, 401);
    let bearer = |token: &str| format!("{state}Authorization: Bearer {token}\r\n");
    assert_eq!(guarded.ask(&bearer(READ)).0, 200);
    assert_eq!(guarded.ask(&bearer(&guarded.site.token)).0, 200, "who may act may read");
    assert_eq!(guarded.ask(&bearer("fedcba9876543210fedcba9876543211")).0, 401);
    let post = format!(
        "POST /api/kill HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer \
         {READ}\r\n"
    );
    assert_eq!(guarded.ask(&post).0, 401, "who may read may not act");
    let mut plain = guarded.site.connect();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("taken");
    let mut told = Vec::new();
    let _ = plain.read_to_end(&mut told);
    assert!(!told.starts_with(b"HTTP"), "no word without TLS");
}

/// Threads of the flood, connections of each, and how many of these it holds open at a time.
const FLOOD: (usize, usize, usize) = (3, 2_000, 230);

/// Connects over and over: silent, half a greeting, a whole one, which the server has to sign for,
/// noise, words without TLS, and sessions in which half a request is said.
fn flood(guarded: &Guarded) {
    let mut greeting = Vec::new();
    guarded.session().write_tls(&mut greeting).expect("a greeting");
    let noise: Vec<u8> = (0..900u32).map(|n| (n * 167 + 13) as u8).collect();
    let said: [&[u8]; 5] =
        [b"", &greeting[..greeting.len() / 2], &greeting, &noise, b"GET / HTTP/1.1\r\n\r\n"];
    let mut held = VecDeque::new();
    for n in 0..FLOOD.1 {
        held.push_back(if let Some(said) = said.get(n % 6) {
            let mut stream = guarded.site.connect();
            let _ = stream.write_all(said);
            stream
        } else {
            let mut session = guarded.connect();
            let _ = session.write_all(b"GET /api/state HTTP/1.1\r\nHost: ");
            session.sock
        });
        if held.len() > FLOOD.2 {
            held.pop_front();
        }
    }
}

#[test]
fn a_flood_over_tls_leaves_most_heard() {
    let state = tempfile::tempdir().expect("a folder");
    let guarded = Guarded::start(state.path());
    assert!(guarded.is_heard());
    descriptors();
    let pid = guarded.site.process.0.id();
    let (before, over) = (rss_kib(pid), AtomicBool::new(false));
    let (mut waited, mut unheard) = (Vec::new(), 0);
    let most = std::thread::scope(|scope| {
        let seen = scope.spawn(|| look_at(pid, &over));
        let flooding: Vec<_> = (0..FLOOD.0).map(|_| scope.spawn(|| flood(&guarded))).collect();
        while !flooding.iter().all(|thread| thread.is_finished()) {
            let began = Instant::now();
            if guarded.is_heard() {
                waited.push(began.elapsed());
            } else {
                unheard += 1;
            }
            sleep(10);
        }
        over.store(true, Ordering::Relaxed);
        seen.join().expect("looked")
    });
    waited.sort_unstable();
    let worst = waited.last().copied().unwrap_or(Duration::MAX);
    let middle = waited.get(waited.len() / 2).copied().unwrap_or(Duration::MAX);
    println!(
        "flood over TLS: {} connections; honest clients: {} heard after {middle:?} in the middle, \
         {worst:?} at most, {unheard} not; the watch: {} KiB ({before} before), {} descriptors",
        FLOOD.0 * FLOOD.1,
        waited.len(),
        most.0,
        most.1
    );
    assert!(waited.len() > unheard, "most who speak are heard: {} and {unheard}", waited.len());
    assert!(most.0 < before + 48 * 1024 && most.1 <= 256 + 24, "{most:?}, {before} KiB before");
    let metrics = format!("GET /metrics HTTP/1.1\r\nAuthorization: Bearer {READ}\r\n");
    let (status, text) = guarded.ask(&metrics);
    assert_eq!(status, 200, "{text}");
    assert!(metric(&text, "bot4_watch_connections_total") >= (FLOOD.0 * FLOOD.1) as f64, "{text}");
}
