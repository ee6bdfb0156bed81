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
use serde::{Deserialize, Serialize};

use crate::dialect;
use crate::generator::Activity;
use crate::limits::LimitRules;
use crate::recorded::Recording;
use crate::script;
use crate::session::Hub;
use crate::setup::unknown;
use crate::state::{AccountLog, StateDir};
use crate::tape::Tape;
use crate::tls::TlsStream;
use crate::venue::{CONTROL_PATH, Config, ConnId, MarketSource, Out, Venue};

/// What a person chooses on the command line.
#[derive(Clone, Debug)]
pub struct VenueOptions {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Dialect, see [`crate::dialect::DIALECTS`].
    pub venue: String,
    /// Checksums as before the venue stopped sending them (OKX).
    pub old_checksum: bool,
    /// What trades.
    pub market: MarketChoice,
    /// Pace of a recording; 1 is as recorded.
    pub speed: f64,
    /// Timed faults, see [`crate::script`].
    pub script: Option<PathBuf>,
    /// Connections are closed after this long.
    pub life: Duration,
    /// Seed of the generated market.
    pub seed: u64,
    /// How lively the generated market is.
    pub activity: Activity,
    /// Folder for keys and account; see [`StateDir::open`] for the default.
    pub state_dir: Option<PathBuf>,
    /// Forget what the folder holds.
    pub fresh: bool,
    /// Never sleep: who sends to the venue then does not pay for waking it, as nobody does whose
    /// venue is another machine. For measurements; needs a CPU of its own.
    pub spin: bool,
    /// What an account may ask and order.
    pub limits: LimitRules,
    /// End when the parent process ends.
    pub end_with_parent: Option<u32>,
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
            old_checksum: false,
            market: MarketChoice::Generated,
            speed: 1.0,
            script: None,
            life: Duration::from_secs(86_400),
            seed: 1,
            activity: Activity::default(),
            state_dir: None,
            fresh: false,
            spin: false,
            limits: LimitRules::HIGH,
            end_with_parent: None,
        }
    }
}

/// What clients need to know; printed as JSON on the first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Dialect.
    pub venue: String,
    /// Where market streams are (Binance: `/ws/...` and `/stream?streams=...` below it).
    pub market: String,
    /// Market streams of linear contracts, where they have an address of their own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub linear: String,
    /// The WebSocket API, where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api: String,
    /// Plain requests, where there are any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rest: String,
    /// Faults on demand, see [`crate::control`].
    pub control: String,
    /// Certificate to trust.
    pub ca: PathBuf,
    /// Name of the account's key.
    pub api_key: String,
    /// Ed25519 private key, PEM, PKCS#8; or the secret, where the venue's keys are shared secrets.
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
    let named = dialect::find(&options.venue).ok_or_else(|| unknown(&options.venue))?;
    let state = StateDir::open(options.state_dir.as_deref(), options.listen, options.fresh)?;
    let state = state.of_child_of(options.end_with_parent);
    let credentials = state.credentials()?;
    let api_key = credentials.api_key.clone();
    let mut config = Config::new(options.seed, credentials);
    if named.paths.secret {
        config.secret = state.secret()?;
    }
    config.venue = named.name;
    config.symbols = (named.symbols)();
    config.old_checksum = options.old_checksum;
    config.market = market(options)?;
    config.script = faults(options)?;
    config.limits = options.limits;
    config.life_ms = u64::try_from(options.life.as_millis()).unwrap_or(config.life_ms);
    let (stored, log) = state.account()?;
    let venue = Venue::new(config, stored)?;
    let tls = state.authority()?.server_config(options.listen.ip())?;
    let mut server = Server::listen(options.listen, tls, Hub::new(venue, log))?;
    server.spin = options.spin;
    let address = server.address;
    let at = |path: &str| {
        if path.is_empty() { String::new() } else { format!("wss://{address}{path}") }
    };
    ready(&Ready {
        venue: options.venue.clone(),
        market: format!("wss://{address}{}", named.paths.market),
        linear: at(named.paths.linear),
        api: at(named.paths.api),
        rest: if named.paths.rest { format!("https://{address}") } else { String::new() },
        control: at(CONTROL_PATH),
        ca: state.authority_path(),
        api_key,
        private_key: match named.paths.secret {
            true => state.secret_path(),
            false => state.private_key_path(),
        },
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
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let speed_milli = (options.speed * 1000.0).round().max(1.0) as u64;
    if options.venue != "binance" {
        if *trade {
            let what = "only recordings of `binance` can be traded against; leave --trade out";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        return Ok(MarketSource::Taped { tape: Tape::open(path).map_err(named)?, speed_milli });
    }
    let recording = Recording::open(path).map_err(named)?;
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
    /// `None` while the venue is down.
    listener: Option<TcpListener>,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    hub: Hub<TlsStream<TcpStream>, AccountLog>,
    now_ns: u64,
    spin: bool,
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
        let address = listener.local_addr()?;
        Ok(Self { poll, listener: Some(listener), address, tls, hub, now_ns: 0, spin: false })
    }

    /// Stops listening while the venue is down, so that connections are refused as by a machine
    /// without the service.
    fn mind_listener(&mut self) -> io::Result<()> {
        match (&mut self.listener, self.hub.venue().is_down()) {
            (Some(listener), true) => {
                self.poll.registry().deregister(listener)?;
                self.listener = None;
            }
            (None, false) => {
                // Fails while somebody else holds the port: tried again in the next turn.
                if let Ok(mut listener) = TcpListener::bind(self.address) {
                    self.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
                    self.listener = Some(listener);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Cuts that need the socket.
    fn cut(&mut self) {
        for (id, cut) in self.hub.take_cuts() {
            let Some(stream) = self.hub.stream_mut(id) else { continue };
            if cut == Out::Stall {
                stream.stall();
                continue;
            }
            // With no time to linger, closing resets.
            let zero = Some(Duration::ZERO);
            let _ = rustix::net::sockopt::set_socket_linger(stream.inner_mut(), zero);
            self.hub.drop_connection(id);
        }
    }

    fn serve(&mut self, stop: &AtomicBool, parent: Option<u32>) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        // Relaxed: the flag carries no other data.
        while !stop.load(Ordering::Relaxed) && !self.hub.venue().exit_requested() {
            if parent.is_some_and(|pid| std::os::unix::process::parent_id() != pid) {
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
            self.hub.tick(now_ns);
            self.mind_listener()?;
            self.hub.cycle(now_ns)?;
            self.cut();
            self.mind_listener()?;
        }
        Ok(())
    }

    fn sleep(&mut self) -> Duration {
        if self.spin || self.hub.has_unread() {
            return Duration::ZERO;
        }
        let now_ns = self.clock();
        let due_ns = self.hub.venue().next_timeout().unwrap_or(now_ns);
        Duration::from_nanos(due_ns.saturating_sub(now_ns)).min(SLEEP_MAX)
    }

    fn accept(&mut self, now_ns: u64) -> io::Result<()> {
        loop {
            let Some(listener) = &self.listener else { return Ok(()) };
            let (stream, _) = match listener.accept() {
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
