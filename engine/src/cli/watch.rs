//! `bot4 watch`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bot4_lanes::Clock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::out::{self, say};
use super::{Outcome, Refusal, exit};
use crate::run::dirs::state_home;
use crate::watch::access::{Access, Token};
use crate::watch::act::Actor;
use crate::watch::server::Server;
use crate::watch::service::Watch;
use crate::watch::view::View;

/// Arguments of `bot4 watch`.
#[derive(clap::Args)]
#[command(
    after_help = "A page for browsers, /metrics for Prometheus, /api/state as JSON. Reading is free on\n\
                  this machine unless --read-token-file is given. Acts need the act token, as a person\n\
                  types it into the page, or as a header. They are POST /api/kill, resume, mode, limits\n\
                  (reload), dump (of latencies), rotate (the journal) and request (all that `bot4`\n\
                  asks an engine); POST /api/status needs no more than reading:\n\n\
                  printf 'Authorization: Bearer %s' \"$(cat FILE)\" | curl -H @- \\\n\
                  \x20 -H 'Content-Type: application/json' \\\n\
                  \x20 -d \"{\\\"run\\\":\\\"RUN\\\",\\\"reason\\\":\\\"WHY\\\",\\\"at_ms\\\":$(date +%s%3N),\\\"nonce\\\":\\\"$(uuidgen)\\\"}\" \\\n\
                  \x20 http://127.0.0.1:8640/api/kill\n\n\
                  From elsewhere: ssh -L 8640:127.0.0.1:8640 HOST, or --listen with TLS and a token.\n\n\
                  Example: bot4 watch"
)]
pub struct Args {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8640")]
    listen: SocketAddr,
    /// This run only (its name, as `bot4 status` shows it); the newest one otherwise.
    #[arg(long)]
    run: Option<String>,
    /// The file with the token for kill and resume; made in the state folder if not given.
    #[arg(long, value_name = "FILE")]
    act_token_file: Option<PathBuf>,
    /// The file with a token that reading needs, then here too.
    #[arg(long, value_name = "FILE")]
    read_token_file: Option<PathBuf>,
    /// The certificate chain for TLS, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Another name that clients call this server by; may be repeated.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Print where it listens as JSON.
    #[arg(long)]
    json: bool,
}

/// The niceness of the thread that serves: a tenth of the share that others of the ordinary class
/// have of a CPU that both want. The idle class, and the last of this one, may wait for minutes on
/// a busy machine, and a kill with them.
const MODESTY: i32 = 10;

/// Serves until it is interrupted.
///
/// # Errors
/// An address that may not or cannot be listened at, a token or a certificate that cannot be read.
pub fn run(args: &Args) -> Outcome {
    check_address(args)?;
    let tls = args.tls_cert.as_deref().zip(args.tls_key.as_deref());
    let tls = tls.map(|(chain, key)| tls_config(chain, key)).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let act_file = args.act_token_file.clone().map_or_else(own_token_file, Ok)?;
    let act = match args.act_token_file {
        Some(_) => Token::from_file(&act_file),
        None => Token::from_own_file(&act_file),
    };
    let act = act.map_err(|e| format!("error: the act token: {e}"))?;
    let read = args.read_token_file.as_deref().map(Token::from_file).transpose();
    let read = read.map_err(|e| format!("error: the read token: {e}"))?;
    let listen = |e| format!("error: --listen {}: {e}\nhelp: another port", args.listen);
    let mut server = Server::bind(args.listen, tls).map_err(listen)?;
    let end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, end.clone())?;
    }
    let clock = Clock::monotonic();
    let access = Access::new(act, read, server.address(), &args.host, clock.now());
    let guarded = access.is_guarded();
    // Before the priority is lowered: whoever stops an engine does not wait.
    let actor = Actor::start(Arc::new(server.waker()?))?;
    if let Err(e) = rustix::process::nice(MODESTY) {
        crate::tell!("warning: this process keeps its priority: {e}");
    }
    let url = format!("{scheme}://{}/", server.address());
    if args.json {
        say!("{}", json!({"url": url, "act_token_file": act_file, "read_token": guarded}));
    } else {
        let reading = if guarded { "a token" } else { "nothing" };
        say!("{url}  (reading needs {reading}; the token for kill is in {})", act_file.display());
    }
    if out::is_lost() {
        return Err("error: where it listens could not be printed\nhelp: give it an output".into());
    }
    server.run(&mut Watch::new(access, View::new(args.run.clone()), actor, clock), &end)?;
    Ok(exit::DONE)
}

/// An address that others can reach needs TLS and a token that somebody chose.
fn check_address(args: &Args) -> Result<(), Refusal> {
    let ip = args.listen.ip().to_canonical();
    if ip.is_loopback() {
        return Ok(());
    }
    let listen = args.listen;
    let mut missing = Vec::new();
    if args.tls_cert.is_none() {
        missing.push("--tls-cert FILE --tls-key FILE");
    }
    if args.act_token_file.is_none() {
        missing.push("--act-token-file FILE");
    }
    if ip.is_unspecified() && args.host.is_empty() {
        missing.push("--host NAME, as clients call it");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let port = listen.port();
    Err(format!(
        "error: --listen {listen} can be reached from other machines, where a kill needs a token \
         and TLS\nhelp: add {}\nhelp: or listen at 127.0.0.1 and come by \
         ssh -L {port}:127.0.0.1:{port} HOST",
        missing.join(", ")
    )
    .into())
}

fn own_token_file() -> Result<PathBuf, Refusal> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = state_home();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|e| format!("error: {}: {e}", folder.display()))?;
    Ok(folder.join("watch.token"))
}

fn tls_config(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>, Refusal> {
    let of = |path: &Path, e: &dyn std::fmt::Display| {
        format!("error: {}: {e}\nhelp: PEM is expected", path.display())
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|e| of(chain, &e))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| of(key, &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|e| of(chain, &e))?;
    Ok(Arc::new(config))
}
