//! The venue on a TCP port: blocking epoll, TLS, one thread. The only place that reads a clock.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use serde::Serialize;

use crate::generator::Activity;
use crate::recorded::Recording;
use crate::script;
use crate::session::Hub;
use crate::state::{AccountLog, StateDir};
use crate::tls::TlsStream;
use crate::venue::{Config, ConnId, MarketSource, Venue};

/// What a person chooses on the command line.
#[derive(Clone, Debug)]
pub struct VenueOptions {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Dialect; only `binance` so far.
    pub venue: String,
    /// What trades.
    pub market: MarketChoice,
    /// Pace of a recording; 1 is as recorded.
    pub speed: f64,
    /// Timed faults, see [`crate::script`].
    pub script: Option<PathBuf>,
    /// Seed of the generated market.
    pub seed: u64,
    /// How lively the generated market is.
    pub activity: Activity,
    /// Folder for keys and account; see [`StateDir::open`] for the default.
    pub state_dir: Option<PathBuf>,
    /// Forget what the folder holds.
    pub fresh: bool,
    /// End when the parent process ends.
    pub end_with_parent: bool,
}

/// The market of [`VenueOptions`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketChoice {
    /// Seeded and lively.
    Generated,
    /// A recording, plain or `.gz`.
    File {
        /// Where it is.
        path: PathBuf,
        /// Trade against it?
        trade: bool,
    },
}

impl Default for VenueOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            venue: "binance".to_owned(),
            market: MarketChoice::Generated,
            speed: 1.0,
            script: None,
            seed: 1,
            activity: Activity::default(),
            state_dir: None,
            fresh: false,
            end_with_parent: false,
        }
    }
}

/// What clients need to know; printed as JSON on the first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Dialect.
    pub venue: String,
    /// Where market streams are (`/ws/...` and `/stream?streams=...` below it).
    pub market: String,
    /// The WebSocket API.
    pub api: String,
    /// Certificate to trust.
    pub ca: PathBuf,
    /// Name of the account's key.
    pub api_key: String,
    /// Ed25519 private key, PEM, PKCS#8.
    pub private_key: PathBuf,
    /// This process.
    pub pid: u32,
}

const LISTENER: Token = Token(0);
/// Longest sleep: how soon a stop request or the parent's end is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Runs a venue until `stop` is set (or a scripted exit). `ready` is called once it listens.
///
/// # Errors
/// Bad options (kind `InvalidInput`), files, sockets, or a journal that cannot be written.
pub fn run(
    options: &VenueOptions,
    stop: &AtomicBool,
    ready: impl FnOnce(&Ready),
) -> io::Result<()> {
    if options.venue != "binance" {
        let what = format!("venue `{}` is not simulated; use `binance`", options.venue);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let state = StateDir::open(options.state_dir.as_deref(), options.listen, options.fresh)?;
    let credentials = state.credentials()?;
    let api_key = credentials.api_key.clone();
    let mut config = Config::new(options.seed, credentials);
    config.market = market(options)?;
    config.script = faults(options)?;
    let (stored, log) = state.account()?;
    let venue = Venue::new(config, stored)?;
    let tls = state.authority()?.server_config(options.listen.ip())?;
    let mut server = Server::listen(options.listen, tls, Hub::new(venue, log))?;
    let address = server.listener.local_addr()?;
    ready(&Ready {
        venue: options.venue.clone(),
        market: format!("wss://{address}"),
        api: format!("wss://{address}/ws-api/v3"),
        ca: state.authority_path(),
        api_key,
        private_key: state.private_key_path(),
        pid: std::process::id(),
    });
    server.serve(stop, options.end_with_parent)
}

fn market(options: &VenueOptions) -> io::Result<MarketSource> {
    let MarketChoice::File { path, trade } = &options.market else {
        return Ok(MarketSource::Generated(options.activity));
    };
    if !(options.speed > 0.0 && options.speed <= 1e6) {
        let what = format!("speed {} is not between 0 and 1000000", options.speed);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let recording = Recording::open(path)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
    let speed_milli = (options.speed * 1000.0).round().max(1.0) as u64;
    Ok(MarketSource::Recorded { recording, trade: *trade, speed_milli })
}

fn faults(options: &VenueOptions) -> io::Result<Vec<script::Timed>> {
    let Some(path) = &options.script else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
    script::parse(&text).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
    })
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    hub: Hub<TlsStream<TcpStream>, AccountLog>,
    now_ns: u64,
}

impl Server {
    fn listen(
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        hub: Hub<TlsStream<TcpStream>, AccountLog>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, listener, tls, hub, now_ns: 0 })
    }

    fn serve(&mut self, stop: &AtomicBool, end_with_parent: bool) -> io::Result<()> {
        let parent = std::os::unix::process::parent_id();
        let mut events = Events::with_capacity(256);
        // Relaxed: the flag carries no other data.
        while !stop.load(Ordering::Relaxed) && !self.hub.venue().exit_requested() {
            if end_with_parent && std::os::unix::process::parent_id() != parent {
                break;
            }
            let sleep = self.sleep();
            match self.poll.poll(&mut events, Some(sleep)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now_ns = self.clock();
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(now_ns)?,
                    Token(id) => self.hub.ready(id as ConnId),
                }
            }
            self.hub.cycle(now_ns)?;
        }
        Ok(())
    }

    fn sleep(&mut self) -> Duration {
        if self.hub.has_unread() {
            return Duration::ZERO;
        }
        let now_ns = self.clock();
        let due_ns = self.hub.venue().next_timeout().unwrap_or(now_ns);
        Duration::from_nanos(due_ns.saturating_sub(now_ns)).min(SLEEP_MAX)
    }

    fn accept(&mut self, now_ns: u64) -> io::Result<()> {
        loop {
            let (stream, _) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The peer gave up, or descriptors ran out: the others go on.
                Err(_) => return Ok(()),
            };
            // Without it small answers wait for acknowledgements.
            let _ = stream.set_nodelay(true);
            let Ok(stream) = TlsStream::new(Arc::clone(&self.tls), stream) else { continue };
            let id = self.hub.add(stream, now_ns);
            let (registry, token) = (self.poll.registry(), Token(id as usize));
            if let Some(stream) = self.hub.stream_mut(id) {
                let both = Interest::READABLE | Interest::WRITABLE;
                registry.register(stream.inner_mut(), token, both)?;
            }
        }
    }

    /// Unix time in ns that never goes back.
    #[expect(clippy::disallowed_methods, reason = "the venue's own clock: it is another machine")]
    fn clock(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.now_ns = self.now_ns.max(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        self.now_ns
    }
}
