//! An engine that trades at a simulated venue through a network that can fail, and the venue's
//! own log beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use bot4_venues::Venue;
use serde_json::Value;

use super::audit::{Figures, judge};
use super::proxy::Proxy;
use super::venue_log::{Since, VenueLog};
use crate::common::{
    Killed, bot4, check_account, config_of, number, output, report, signal, sleep, started, stderr,
};
use crate::observer::ControlLine;

/// Largest position, quote units: small enough to bind.
const POSITION_MAX: i128 = 1_500;

/// See the module.
pub struct Rig {
    state: tempfile::TempDir,
    kind: Venue,
    pub symbols: [&'static str; 2],
    venue: Option<Killed>,
    listen: String,
    engine: Killed,
    pub network: Proxy,
    control: Option<ControlLine>,
    endpoints: Value,
    pub log: VenueLog,
    /// Names of hosts as the engine sees them, where it has a file of its own.
    pub hosts: Option<PathBuf>,
}

impl Rig {
    /// An engine that trades `symbols` at `kind`. With `named` it knows the venue by a name that
    /// a file of its own resolves; `more` is added to its configuration.
    pub fn start(kind: Venue, symbols: [&'static str; 2], named: bool, more: &str) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let (venue, endpoints) = venue_at(state.path(), kind, "127.0.0.1:0");
        let market = endpoints["market"].as_str().expect("a URL").to_owned();
        let listen = market.trim_start_matches("wss://").split('/').next().unwrap_or_default();
        let target: SocketAddr = listen.parse().expect("an address");
        let network = Proxy::start(target);
        let host = if named { "localhost" } else { "127.0.0.1" };
        let through = |url: &Value| {
            let url = url.as_str().unwrap_or_default();
            Value::from(url.replace(listen, &format!("{host}:{}", network.port)))
        };
        let mut seen = endpoints.clone();
        for key in ["market", "api", "rest"] {
            if endpoints[key].is_string() {
                seen[key] = through(&endpoints[key]);
            }
        }
        // What strategies lose to fees in a long sweep must not keep them from trading.
        let limits = format!(
            "\n[risk]\nposition_max = {POSITION_MAX}.0\ncorrelation_max = 1.0\n\
             shortfall_pct = 0.0\ndaily_loss_pct = 90.0\ndrawdown_pct = 90.0\n\n{more}"
        );
        let toml = state.path().join("trade.toml");
        std::fs::write(&toml, config_of(kind, &symbols, &seen) + &limits).expect("written");
        let hosts = named.then(|| state.path().join("hosts"));
        let engine = engine(state.path(), &toml, hosts.as_deref());
        let log = VenueLog::of(&state.path().join("venue"));
        let control = Some(ControlLine::new(&endpoints));
        let (listen, venue) = (listen.to_owned(), Some(venue));
        Self {
            state,
            kind,
            symbols,
            venue,
            listen,
            engine,
            network,
            control,
            endpoints,
            log,
            hosts,
        }
    }

    /// The venue's fault strikes; its own time then, Unix ms.
    pub fn strike(&mut self, command: &str) -> u64 {
        let control = self.control.as_mut().expect("a control line");
        control.say(command);
        for _ in 0..1_000 {
            match control.hear() {
                Some(answer) if answer["done"] == command => {
                    return answer["at_ns"].as_u64().expect("a time") / 1_000_000;
                }
                Some(_) => {}
                None => sleep(2),
            }
        }
        panic!("{command}: no answer");
    }

    /// The venue's process is killed, and comes back `ms` later; the time of its return.
    pub fn restart_venue(&mut self, ms: u64) -> u64 {
        self.log.read_on();
        (self.venue, self.control) = (None, None);
        sleep(ms);
        let (venue, endpoints) = venue_at(self.state.path(), self.kind, &self.listen);
        let back = unix_ms();
        self.control = Some(ControlLine::new(&endpoints));
        self.venue = Some(venue);
        back
    }

    /// The engine's status.
    pub fn status(&self) -> Value {
        let out = output(bot4(self.state.path()).args(["status", "--json"]));
        let first = String::from_utf8_lossy(&out.stdout).lines().next().map(str::to_owned);
        first.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or(Value::Null)
    }

    /// This moment.
    pub fn now(&mut self) -> Since {
        Since { ms: self.venue_ms(), order: self.newest() }
    }

    /// The newest order's number.
    pub fn newest(&mut self) -> u64 {
        self.log.read_on();
        self.log.newest()
    }

    /// Waits until both symbols have an own order that came since then; when the later of the two
    /// did, by the venue's clock.
    pub fn traded_since(&mut self, since: Since, seconds: u64) -> Option<u64> {
        for _ in 0..seconds * 50 {
            self.log.read_on();
            let first = self.symbols.map(|symbol| self.log.first_since(symbol, since));
            if let [Some(a), Some(b)] = first {
                return Some(a.max(b));
            }
            sleep(20);
        }
        None
    }

    /// The run ends in order: the account is exact by its own report, and every order and fill is
    /// held against the venue's log.
    pub fn end(mut self) -> Figures {
        signal(&self.engine.0, "-INT");
        let status = self.engine.0.wait().expect("it ends");
        let errors = std::fs::read_to_string(self.state.path().join("errors")).unwrap_or_default();
        assert_eq!(status.code(), Some(0), "{}: {errors}", self.kind.name());
        let report = report(&self.state.path().join("report.json"));
        check_account(&report);
        assert!(number(&report, "/fills/applied") > 0, "nothing was traded: {report}");
        self.log.read_on();
        self.log.judge_weighed(u64::MAX);
        let runs = std::fs::read_dir(self.state.path().join("bot4/runs")).expect("runs").flatten();
        let journal = runs.map(|e| e.path().join("journal")).find(|p| p.is_dir());
        let mut dump = bot4(self.state.path());
        let out = output(dump.args(["journal", "dump"]).arg(journal.expect("a journal")));
        assert!(out.status.success(), "{}", stderr(&out));
        let text = String::from_utf8(out.stdout).expect("UTF-8");
        // Kraken and Coinbase name fills by texts.
        let numbered = !matches!(self.kind, Venue::Kraken | Venue::Coinbase);
        judge(&text, &self.log, &self.symbols, POSITION_MAX * 100_000_000, numbered)
    }

    /// The venue's present time, Unix ms.
    pub fn venue_ms(&mut self) -> u64 {
        let control = self.control.as_mut().expect("a control line");
        control.say("status");
        for _ in 0..1_000 {
            match control.hear() {
                Some(answer) if answer["markets"].is_u64() => {
                    return answer["at_ns"].as_u64().expect("a time") / 1_000_000;
                }
                Some(_) => {}
                None => sleep(2),
            }
        }
        panic!("no status of {}", self.endpoints);
    }
}

/// The machine's time, Unix ms: that of a venue whose clock was not moved.
#[expect(clippy::disallowed_methods, reason = "the venue's clock is the wall clock")]
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn venue_at(state: &Path, kind: Venue, listen: &str) -> (Killed, Value) {
    let mut command = bot4(state);
    command.args(["venue", "--venue", kind.name(), "--listen", listen, "--state"]);
    started(command.arg(state.join("venue")))
}

/// The engine; where it has a file of hosts, in a mount namespace of its own.
fn engine(state: &Path, toml: &Path, hosts: Option<&Path>) -> Killed {
    let bare = bot4(state);
    let mut command = match hosts {
        None => bare,
        Some(hosts) => {
            std::fs::write(hosts, "127.0.0.1 localhost\n").expect("written");
            let mut command = Command::new("unshare");
            let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
            command.args(["-m", "sh", "-c", script]).arg(hosts).arg(bare.get_program());
            command.env("XDG_STATE_HOME", state).stdin(Stdio::null());
            command
        }
    };
    let errors = std::fs::File::create(state.join("errors")).expect("made");
    command.arg("run").arg("--config").arg(toml);
    command.arg("--report").arg(state.join("report.json"));
    Killed(command.stdout(Stdio::null()).stderr(errors).spawn().expect("it starts"))
}
