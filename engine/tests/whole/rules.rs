//! Instruments that change while the engine runs: filters, status, the list itself. Only the
//! instrument that changed is closed, what rests is withdrawn, its book starts over, and it trades
//! on by the new rules; the journal replays, and the account is exact.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use crate::common::ready::until_lanes_run;
use crate::common::{
    self, bot4, check_account, number, output, report, side_by_side, sleep, started, stderr,
};
use crate::observer::ControlLine;
use serde_json::Value;

/// A run under way at a venue whose control line is in the test's hands.
struct Stage {
    state: tempfile::TempDir,
    _venue: common::Killed,
    control: ControlLine,
    engine: Option<common::Killed>,
}

impl Stage {
    /// A venue, and the engine by the configuration that `toml` makes of its endpoints, ready.
    fn new(venue: &str, toml: impl FnOnce(&Value) -> String) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let (venue, endpoints) = started(bot4(state.path()).args(["venue", "--venue", venue]));
        let path = state.path().join("run.toml");
        std::fs::write(&path, toml(&endpoints)).expect("written");
        let ready = state.path().join("ready.json");
        let engine = bot4(state.path())
            .args(["run", "--report"])
            .arg(state.path().join("report.json"))
            .arg("--ready-file")
            .arg(&ready)
            .arg("--config")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(state.path().join("stderr")).expect("a file"))
            .spawn()
            .expect("it starts");
        until_lanes_run(&ready);
        let control = ControlLine::new(&endpoints);
        Self { state, _venue: venue, control, engine: Some(common::Killed(engine)) }
    }

    /// Orders the venue, and waits for what that leads to.
    fn order(&mut self, commands: &[&str], then_ms: u64) {
        for command in commands {
            self.control.say(command);
            sleep(50);
            while self.control.hear().is_some() {}
        }
        sleep(then_ms);
    }

    /// The run's end: what was said on standard error.
    fn end(&mut self) -> String {
        let mut engine = self.engine.take().expect("it runs");
        let status = engine.0.wait().expect("it ends");
        let said = std::fs::read_to_string(self.state.path().join("stderr")).expect("text");
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }

    fn run(&self) -> std::path::PathBuf {
        let runs = std::fs::read_dir(self.state.path().join("bot4/runs")).expect("runs");
        runs.flatten().next().expect("one run").path()
    }
}

/// From the venue's change until the engine hears of it, at most: a second between two readings,
/// and the time that a reading takes on a busy machine.
const NOTICE_NS: u64 = 2_500_000_000;

/// What risk's own records say of an instrument.
#[derive(Debug, Default)]
struct Story {
    /// When its commands were obeyed.
    commands: Vec<u64>,
    /// When its new orders were approved.
    approved: Vec<u64>,
    /// Of these, those that the venue refused by a filter or for its status.
    filtered: Vec<u64>,
}

impl Story {
    /// Orders approved between the `n`th command (0: the start) and the next.
    fn between(&self, n: usize) -> usize {
        let from = n.checked_sub(1).map_or(0, |n| self.commands[n]);
        let until = self.commands.get(n).copied().unwrap_or(u64::MAX);
        self.approved.iter().filter(|at| (from..until).contains(at)).count()
    }

    /// Refusals by the venue that no change on its way to the engine explains.
    fn unexplained(&self) -> usize {
        let explained =
            |at: u64| self.commands.iter().any(|told| at <= *told && told - at <= NOTICE_NS);
        self.filtered.iter().filter(|at| !explained(**at)).count()
    }
}

fn stories(state: &Path, run: &Path) -> BTreeMap<u64, Story> {
    let out = output(bot4(state).args(["journal", "dump"]).arg(run.join("journal")));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let mut stories: BTreeMap<u64, Story> = BTreeMap::new();
    // By order: its instrument and when it was approved.
    let mut orders: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        if record["lane"] != 0 {
            continue;
        }
        let (body, at) = (&record["body"], number(&record, "/at"));
        match record["kind"].as_str() {
            Some("command") => {
                stories.entry(number(body, "/instrument")).or_default().commands.push(at);
            }
            Some("approved") if body["action"] == "place" => {
                let instrument = number(body, "/instrument");
                stories.entry(instrument).or_default().approved.push(at);
                orders.insert(number(body, "/order"), (instrument, at));
            }
            Some("report") if body["reason"] == "filter" => {
                let (instrument, at) = orders[&number(body, "/order")];
                stories.entry(instrument).or_default().filtered.push(at);
            }
            _ => {}
        }
    }
    stories
}

#[test]
fn changed_instruments_are_closed_alone_and_trade_on_by_their_new_rules() {
    let mut stage = Stage::new("binance", |endpoints| {
        let toml = common::config(endpoints, None);
        let toml = toml.replace("for = \"6s\"", "for = \"17s\"\ncapture = true");
        toml.replace(
            "symbols = [\"BTCUSDT\", \"ETHUSDT\"]",
            "symbols = [\"BTCUSDT\", \"ETHUSDT\", \"SOLUSDT\"]\nrefresh = \"1s\"",
        )
    });
    sleep(4_000);
    // BTC in steps of half a dollar and of 0.0005, 25 dollars at least: what fitted fits no more.
    stage.order(&["filters BTCUSDT tick=0.5 lot=0.0005 value-min=25"], 4_000);
    stage.order(&["list BTCUSDT halted", "list SOLUSDT unlisted"], 3_000);
    stage.order(&["list BTCUSDT trading"], 0);
    let said = stage.end();
    for told in ["BTCUSDT: tick, lot", "BTCUSDT: status", "SOLUSDT: the venue lists it no more"] {
        assert!(said.contains(told), "{told} in {said}");
    }
    let report = report(&stage.state.path().join("report.json"));
    check_account(&report);
    for book in report["books"].as_array().expect("books") {
        let gone = book["symbol"] == "SOLUSDT";
        assert_eq!(book["state"], if gone { "stale" } else { "live" }, "{book}");
    }
    let run = stage.run();
    let stories = stories(stage.state.path(), &run);
    let (btc, eth, sol) = (&stories[&0], &stories[&1], &stories[&2]);
    let commands = [btc, eth, sol].map(|s| s.commands.len());
    assert_eq!(commands, [3, 0, 1], "{stories:?}");
    // Whatever was approved behind a change keeps the new rules.
    let refused = [btc, eth, sol].map(|s| (s.filtered.len(), s.unexplained()));
    println!("refused by a filter, unexplained: {refused:?}");
    assert!(refused.iter().all(|(_, unexplained)| *unexplained == 0), "{stories:?}");
    let traded: Vec<_> = (0..4).map(|n| btc.between(n)).collect();
    println!("BTC {traded:?}, ETH {}, SOL {}", eth.approved.len(), sol.between(0));
    assert!(traded[0] > 5 && traded[1] > 5 && traded[2] == 0 && traded[3] > 5, "{traded:?}");
    assert!(sol.between(0) > 5 && sol.between(1) == 0, "{stories:?}");
    // The other one traded on in the seconds of the changes.
    for told in &btc.commands {
        let near = eth.approved.iter().filter(|at| at.abs_diff(*told) < 500_000_000).count();
        assert!(near > 3, "{near} orders around {told}");
    }
    let out = output(bot4(stage.state.path()).args(["replay", "--verify", "--json"]).arg(&run));
    let verdict: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(verdict["same"], true, "{verdict:#}");
    assert!(number(&verdict["chain"], "/records") > 100, "{verdict:#}");
}

/// At a venue that is only observed: steps that the run's units hold, and, where the checksum is
/// over texts, units that only the next start can read.
#[test]
fn an_observed_book_starts_over_or_stands_still() {
    let all = [("okx", ["BTC-USDT", "ETH-USDT"]), ("kraken", ["BTC/USD", "ETH/USD"])];
    side_by_side(all.into(), 2, |(venue, symbols)| {
        let mut stage = Stage::new(venue, |endpoints| {
            let hosts = ["market", "rest", "ca"].into_iter().filter_map(|key| {
                endpoints[key].as_str().map(|value| format!("{key} = \"{value}\"\n"))
            });
            format!(
                "[run]\nfor = \"9s\"\nlanes = 2\n[venue]\nname = \"{venue}\"\nmode = \"observe\"\n\
                 symbols = {symbols:?}\nrefresh = \"1s\"\n{}[journal]\nstall_max = \"30s\"\n",
                hosts.collect::<String>()
            )
        });
        sleep(2_500);
        let [first, second] = symbols;
        // Five times the tick; and, behind it, four digits more than there were.
        let coarser = format!("filters {first} tick=0.5");
        let more = format!("filters {second} tick=0.00001");
        stage.order(&[&coarser, &more], 0);
        let said = stage.end();
        assert!(said.contains(&format!("{first}: tick")), "{venue}: {said}");
        assert!(said.contains(&format!("{second}: the venue counts it in other units")), "{said}");
        let report = report(&stage.state.path().join("report.json"));
        let books = report["books"].as_array().expect("books");
        let state = |symbol: &str| {
            let book = books.iter().find(|b| b["symbol"] == symbol).expect("a book");
            (book["state"].clone(), number(book, "/resyncs"))
        };
        assert_eq!(state(first), ("live".into(), 1), "{venue}: {report}");
        assert_eq!(state(second).0, "stale", "{venue}: {report}");
        assert_eq!(number(&report, "/hot_allocations"), 0, "{venue}");
        let out = output(bot4(stage.state.path()).args(["replay", "--verify"]).arg(stage.run()));
        assert_eq!(out.status.code(), Some(0), "{venue}: {}", stderr(&out));
    });
}
