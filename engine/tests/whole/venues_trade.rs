//! Every venue that orders are sent to, other than Binance: `bot4 run` on its simulated twin, over
//! TLS and with signatures, with the faults of order entry. The account must be exact each time.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::ready::until_it_trades;
use crate::common::rig::sent;
use crate::common::{
    Killed, bot4, check_account, number, output, report, side_by_side, sleep, started, status,
    stderr,
};
use bot4_venues::Venue;
use serde_json::Value;

/// What is traded where.
const TRADED: [(Venue, [&str; 2]); 4] = [
    (Venue::Bybit, ["BTCUSDT", "ETHUSDT"]),
    (Venue::Okx, ["BTC-USDT", "ETH-USDT"]),
    (Venue::Coinbase, ["BTC-USD", "ETH-USD"]),
    (Venue::Kraken, ["BTC/USD", "ETH/USD"]),
];

struct Scene {
    state: tempfile::TempDir,
    toml: PathBuf,
    _venue: Killed,
}

impl Scene {
    /// The simulated `venue` with the faults of `script`, and a configuration that trades there.
    fn new(venue: Venue, symbols: [&str; 2], script: &str) -> Self {
        Self::with(venue, "high", script, |endpoints| config(venue, &symbols, endpoints))
    }

    /// The simulated `venue` with what it grants and the faults of `script`, and `config` for it.
    fn with(venue: Venue, limits: &str, script: &str, config: impl Fn(&Value) -> String) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let faults = state.path().join("faults");
        std::fs::write(&faults, script).expect("written");
        let mut command = bot4(state.path());
        command.args(["venue", "--venue", venue.name(), "--limits", limits, "--script"]);
        command.arg(&faults);
        let (process, endpoints) = started(&mut command);
        let toml = state.path().join("trade.toml");
        std::fs::write(&toml, config(&endpoints)).expect("written");
        Self { state, toml, _venue: process }
    }

    fn command(&self) -> std::process::Command {
        let mut command = bot4(self.state.path());
        command.arg("run").arg("--config").arg(&self.toml);
        command
    }

    /// Trades for `length`; the report of a run whose account is exact, and what was said.
    fn exact(&self, length: &str) -> (Value, String) {
        let file = self.state.path().join("report.json");
        let out = output(self.command().args(["--for", length, "--report"]).arg(&file));
        let errors = stderr(&out);
        assert_eq!(out.status.code(), Some(0), "{errors}");
        let report = report(&file);
        check_account(&report);
        assert!(number(&report, "/fills/applied") > 0, "nothing was traded: {report}");
        (report, errors)
    }

    /// Is killed when `wait`, which is told its ready file, has seen enough.
    fn killed(&self, wait: impl Fn(&Path)) {
        let ready = self.state.path().join("ready.json");
        let mut command = self.command();
        command.args(["--for", "60s", "--ready-file"]).arg(&ready);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut engine = Killed(command.spawn().expect("it starts"));
        wait(&ready);
        engine.0.kill().expect("kill -9");
        engine.0.wait().expect("ended");
    }
}

fn config(venue: Venue, symbols: &[&str], endpoints: &Value) -> String {
    let keys = ["market", "api", "rest", "ca", "api_key", "private_key"];
    let hosts = keys
        .into_iter()
        .filter_map(|key| endpoints[key].as_str().map(|value| format!("{key} = \"{value}\"\n")));
    let none = "dead_man = \"none_available\"\n";
    let dead_man = if venue == Venue::Coinbase { none } else { "" };
    format!(
        "[run]\nlanes = 2\n\n[venue]\nname = \"{}\"\nsymbols = {symbols:?}\n{}{dead_man}\n\
         [[strategy]]\nkind = \"market_maker\"\namend = true\n\n[[strategy]]\nkind = \"ema_cross\"\n\n\
         [journal]\nstall_max = \"30s\"\nsegment_mib = 1\n",
        venue.name(),
        hosts.collect::<String>()
    )
}

/// These faults twice, and then none: the account is compared at the end.
fn often(faults: &[&str]) -> String {
    let line = |n: usize| format!("{}ms {}\n", 500 + 350 * n, faults[n % faults.len()]);
    (0..2 * faults.len()).map(line).collect()
}

fn verified(state: &Path) {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs").flatten();
    let mut runs: Vec<PathBuf> = runs.map(|e| e.path()).collect();
    runs.sort();
    let run = runs.pop().expect("a run");
    let out = output(bot4(state).args(["replay", "--verify"]).arg(&run));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
}

/// Orders without a known end, and those of them that the venue knows by their names, as a start
/// tells them; none where it tells of none.
fn asked_by_name(told: &str) -> [u64; 2] {
    let mut lines = told.lines();
    let Some(line) = lines.find(|line| line.contains("without a known end")) else { return [0; 2] };
    let before = |words: &str| {
        let number = line.split(words).next().and_then(|text| text.split(' ').next_back());
        number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{words}: {line}"))
    };
    [before(" without a known end"), before(" of them found at the venue")]
}

#[test]
fn a_run_trades_and_its_account_is_exact_and_so_it_is_after_a_kill() {
    side_by_side(TRADED.into(), 2, |(venue, symbols)| {
        let scene = Scene::new(venue, symbols, "");
        let (report, errors) = scene.exact("3s");
        assert!(!errors.contains("difference"), "{errors}");
        assert!(number(&report, "/orders/sent") > 0, "{report}");
        verified(scene.state.path());
        let rests = |s: &Value| sent(s) > 20 && s["orders"]["open"].as_u64() > Some(0);
        scene.killed(|_| {
            status::until(scene.state.path(), "orders rest", rests);
        });
        let (_, told) = scene.exact("2s");
        let [unfinished, found] = asked_by_name(&told);
        let name = venue.name();
        assert!(found > 0 || unfinished == 0, "{name}: none of {unfinished} was found: {told}");
        assert!(!told.contains("a person must look"), "{name}: {told}");
    });
}

#[test]
fn lost_and_failed_answers_and_lost_connections_are_resolved() {
    side_by_side(TRADED.into(), 2, |(venue, symbols)| {
        let faults = [
            "lose-ack",
            "lose-report",
            "fail-ack",
            "drop-private 1",
            "repeat-report",
            "lose-ack",
            "drop-private 2",
            "fail-ack",
            "outage 300ms",
        ];
        let scene = Scene::new(venue, symbols, &often(&faults));
        scene.exact("8s");
        verified(scene.state.path());
    });
}

/// The venue grants 20 questions over REST, and one a second from then on: a start that needs more
/// takes its time, and does not fail again and again.
#[test]
fn a_start_with_many_open_orders_keeps_to_the_questions_that_a_venue_grants() {
    let quotes = |share: f64| {
        format!(
            "[[strategy]]\nkind = \"market_maker\"\nspread_share = {share}\n\
             quote_life_min = \"5s\"\namend = true\n\n"
        )
    };
    let symbols = ["BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD"];
    let scene = Scene::with(Venue::Kraken, "real", "", |endpoints| {
        let text = config(Venue::Kraken, &symbols, endpoints);
        text.replacen("[[strategy]]", &(quotes(0.8) + &quotes(1.5) + "[[strategy]]"), 1)
    });
    scene.killed(|ready| {
        until_it_trades(ready);
        sleep(2_500);
    });
    let (_, errors) = scene.exact("2s");
    let after = |words: &str| {
        let text = errors.split(words).nth(1).and_then(|text| text.split(' ').next());
        text.and_then(|n| n.parse::<usize>().ok()).unwrap_or(0)
    };
    // Both lists for each order, and every page of fills once more for each instrument.
    let (open, pages) = (after(" orders approved, "), after("its journal, ") / 50 + 1);
    let one_by_one = 2 * open + 2 * pages * symbols.len();
    assert!(one_by_one > 20, "{one_by_one} questions are granted at once: {errors}");
}
