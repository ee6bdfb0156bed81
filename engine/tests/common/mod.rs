//! What the tests of the whole program share: the binary, a state folder of its own, processes.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod ready;
pub mod recorded;
pub mod rig;
pub mod status;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The binary: cargo's, or the one that `BOT4_BIN` names (another profile, an installed one).
fn binary() -> PathBuf {
    std::env::var_os("BOT4_BIN").map_or_else(|| env!("CARGO_BIN_EXE_bot4").into(), PathBuf::from)
}

/// The binary with a state folder below `state`.
pub fn bot4(state: &Path) -> Command {
    let mut command = Command::new(binary());
    command.env("XDG_STATE_HOME", state).stdin(Stdio::null());
    command
}

/// The binary under strace with `options`, children too; what was traced goes into `trace`. With
/// `--seccomp-bpf` only traced calls are slowed down, but strace 6.1 then forgets to send signals.
pub fn traced(trace: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(trace).args(options);
    command.arg(binary()).stdin(Stdio::null());
    command
}

/// Strace is installed and may trace here.
pub fn can_trace() -> bool {
    let probe = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).status();
    let can = probe.is_ok_and(|s| s.success());
    if !can {
        println!("skipped: strace is missing or may not trace here");
    }
    can
}

/// Runs to the end.
pub fn output(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report in `path`.
pub fn report(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

/// The recordings beside the project, if they are there.
pub fn recordings() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/recordings");
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no shared data");
    None
}

/// A number in `value` at a JSON pointer.
pub fn number(value: &Value, pointer: &str) -> u64 {
    let found = value.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {value}"));
    found.as_u64().unwrap_or_else(|| panic!("{pointer} is a count in {value}"))
}

/// What must hold of every run that ends in order.
pub fn check_account(report: &Value) {
    for zero in [
        "/reconcile/orders_differ",
        "/reconcile/positions_differ",
        "/reconcile/balances_differ",
        "/orders/unknown",
        "/orders/open_at_end",
        "/hot_allocations",
        "/journal/lost",
    ] {
        assert_eq!(number(report, zero), 0, "{zero} in {report}");
    }
}

/// A process that is killed when the test ends.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A simulated venue as a process of its own, and the first line it printed.
pub fn venue(state: &Path, listen: &str) -> (Killed, Value) {
    let mut command = bot4(state);
    started(command.args(["venue", "--listen", listen]))
}

/// The venue that `command` starts, and the first line it printed.
pub fn started(command: &mut Command) -> (Killed, Value) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the venue starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a first line");
    (Killed(child), serde_json::from_str(&line).expect("endpoints"))
}

/// A disk that also takes what a build writes may be silent for longer than a trading disk may.
const PATIENCE: &str = "stall_max = \"30s\"";

/// The embedded default with patience for the disk, as a file in `state`.
pub fn demo(state: &Path) -> PathBuf {
    let demo = include_str!("../../../deploy/config/demo.toml");
    let path = state.join("demo.toml");
    std::fs::write(&path, demo.replace("stall_max = \"250ms\"", PATIENCE)).expect("written");
    path
}

/// A configuration that trades at the venue with these endpoints.
pub fn config(endpoints: &Value, ca: Option<&str>) -> String {
    let of = |name: &str| endpoints[name].as_str().expect("text").to_owned();
    let ca = ca.map_or_else(|| of("ca"), str::to_owned);
    format!(
        "[run]\nfor = \"6s\"\nlanes = 2\n\n[venue]\nname = \"binance\"\n\
         symbols = [\"BTCUSDT\", \"ETHUSDT\"]\nmarket = \"{}\"\napi = \"{}\"\nca = \"{ca}\"\n\
         api_key = \"{}\"\nprivate_key = \"{}\"\ndead_man = \"none_available\"\n\n\
         [[strategy]]\nkind = \"market_maker\"\n\n[[strategy]]\nkind = \"ema_cross\"\n\n\
         [journal]\n{PATIENCE}\n",
        of("market"),
        of("api"),
        of("api_key"),
        of("private_key")
    )
}

/// A configuration that trades `symbols` at any `venue` with these endpoints.
pub fn config_of(venue: bot4_venues::Venue, symbols: &[&str], endpoints: &Value) -> String {
    let keys = ["market", "api", "rest", "ca", "api_key", "private_key"];
    let hosts = keys
        .into_iter()
        .filter_map(|key| endpoints[key].as_str().map(|value| format!("{key} = \"{value}\"\n")));
    let dead_man = match venue {
        bot4_venues::Venue::Binance | bot4_venues::Venue::Coinbase => {
            "dead_man = \"none_available\"\n"
        }
        _ => "",
    };
    format!(
        "[run]\nlanes = 2\n\n[venue]\nname = \"{}\"\nsymbols = {symbols:?}\n{}{dead_man}\n\
         [[strategy]]\nkind = \"market_maker\"\n\n[[strategy]]\nkind = \"ema_cross\"\n\n\
         [journal]\n{PATIENCE}\nsegment_mib = 1\n",
        venue.name(),
        hosts.collect::<String>()
    )
}

/// Calls `test` with each of `all`, `at_once` of them at the same time: mostly they wait.
pub fn side_by_side<T: Send>(all: Vec<T>, at_once: usize, test: impl Fn(T) + Sync) {
    let todo = Mutex::new(all);
    let next = || todo.lock().unwrap_or_else(PoisonError::into_inner).pop();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(one) = next() {
                    test(one);
                }
            });
        }
    });
}

/// Sends a signal.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// Sleeps; for processes only.
pub fn sleep(ms: u64) {
    #[expect(clippy::disallowed_methods, reason = "waits for another process")]
    std::thread::sleep(std::time::Duration::from_millis(ms));
}
