//! What happens on the account while no engine runs: fills of orders that a killed run left, money
//! and orders of others. Positions are held against the venue's own log of trades.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::{
    Killed, bot4, check_account, config, config_of, number, output, report, signal, sleep, started,
    status, stderr,
};
use crate::observer::ControlLine;
use bot4::run::account_state::AccountState;
use serde_json::Value;

/// A venue that outlives the engines, keeps a log, and does as it is told.
struct Scene {
    state: tempfile::TempDir,
    toml: PathBuf,
    name: &'static str,
    endpoints: Value,
    venue: Killed,
}

impl Scene {
    /// With more lines at the configuration's end.
    fn new(more: &str) -> Self {
        let more = format!("segment_mib = 1\n{more}");
        Self::with("binance", |endpoints| config(endpoints, None) + &more)
    }

    /// At any venue, with another configuration.
    fn with(name: &'static str, config: impl Fn(&Value) -> String) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let (venue, endpoints) = started(&mut at(name, state.path(), "127.0.0.1:0"));
        let toml = state.path().join("trade.toml");
        std::fs::write(&toml, config(&endpoints) + "disk_warn_pct = 100\n").expect("written");
        Self { state, toml, name, endpoints, venue }
    }

    fn engine(&self, state: &Path, args: &[&str]) -> Command {
        let mut command = bot4(state);
        command.arg("run").args(args).arg("--config").arg(&self.toml);
        command
    }

    /// Ends the guards of its engines: nobody is left to cancel for them.
    fn kill_guards(&self) {
        let toml = self.toml.display().to_string();
        for process in std::fs::read_dir("/proc").expect("listed").flatten() {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(" guard ") && line.contains(&toml) {
                let pid = process.file_name().to_string_lossy().into_owned();
                let done = Command::new("kill").args(["-9", &pid]).status().expect("kill runs");
                assert!(done.success());
            }
        }
    }

    /// Runs to the end; exit code and standard error.
    fn ended(&self, args: &[&str]) -> (Option<i32>, String) {
        let out = output(&mut self.engine(self.state.path(), args));
        (out.status.code(), stderr(&out))
    }

    /// A run to its end, and its report.
    fn exact(&self) -> (Value, String) {
        let file = self.state.path().join("report.json");
        let (code, error) = self.ended(&["--for", "2s", "--report", &file.display().to_string()]);
        assert_eq!(code, Some(0), "{error}");
        check_account(&report(&file));
        (report(&file), error)
    }

    fn status(&self) -> Value {
        status::of(self.state.path())
    }

    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..300 {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            sleep(100);
        }
        panic!("not within 30 s: {what}; {} {}", self.status(), self.said());
    }

    /// What the engine has written to standard error so far.
    fn said(&self) -> String {
        std::fs::read_to_string(self.state.path().join("stderr.txt")).unwrap_or_default()
    }

    /// An engine that trades.
    fn trading(&self, args: &[&str]) -> Killed {
        let mut command = self.engine(self.state.path(), args);
        let told = std::fs::File::create(self.state.path().join("stderr.txt")).expect("made");
        let engine = command.stdout(Stdio::null()).stderr(told).spawn();
        let engine = Killed(engine.expect("it starts"));
        self.until("orders are sent", |s| s["orders"]["sent"].as_u64() > Some(20));
        engine
    }

    /// The account's trades by the venue's log: net quantity by symbol, and how many.
    fn venue_trades(&self) -> (BTreeMap<String, i64>, usize) {
        let log = self.state.path().join("venue/account.log");
        let text = std::fs::read_to_string(log).expect("the venue's log");
        let records = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let (mut net, mut count) = (BTreeMap::new(), 0);
        for record in records {
            for trade in record["trades"].as_array().into_iter().flatten() {
                let symbol = trade["symbol"].as_str().expect("text").to_owned();
                let qty = trade["qty"].as_i64().expect("a number");
                let sign = if trade["buyer"] == true { 1 } else { -1 };
                *net.entry(symbol).or_default() += sign * qty;
                count += 1;
            }
        }
        net.retain(|_, qty| *qty != 0);
        (net, count)
    }

    /// Kills the engine while quotes rest that nobody can cancel, until one of them has filled.
    fn killed_with_a_fill_behind_its_back(&self, mut engine: Killed) {
        let mut venue = ControlLine::new(&self.endpoints);
        venue.say("down 6s");
        sleep(200);
        let (_, before) = self.venue_trades();
        engine.0.kill().expect("kill -9");
        engine.0.wait().expect("ended");
        for _ in 0..200 {
            sleep(100);
            if venue.hear().is_some_and(|news| news["back"] == "down") {
                assert!(self.venue_trades().1 > before, "no quote was filled within 6 s");
                return;
            }
        }
        panic!("the venue is not back");
    }

    /// The venue goes, and comes back with another log.
    fn back_with(&mut self, mut change: impl FnMut(&mut Value)) {
        self.venue.0.kill().expect("killed");
        self.venue.0.wait().expect("gone");
        let log = self.state.path().join("venue/account.log");
        let text = std::fs::read_to_string(&log).expect("the venue's log");
        let lines = text.lines().map(|line| match serde_json::from_str::<Value>(line) {
            Ok(mut record) => {
                change(&mut record);
                record.to_string()
            }
            _ => line.to_owned(),
        });
        let text: Vec<String> = lines.collect();
        std::fs::write(&log, text.join("\n") + "\n").expect("written");
        let market = self.endpoints["market"].as_str().expect("a URL");
        let listen = market.split('/').nth(2).expect("a host");
        self.venue = started(&mut at(self.name, self.state.path(), listen)).0;
    }

    /// The venue comes back without a trade that it had told of.
    fn forget_the_first_trade(&mut self) {
        let mut gone = false;
        self.back_with(|record| {
            if !gone && record.get("trades").is_some() {
                gone = true;
                record.as_object_mut().expect("an object").remove("trades");
            }
        });
    }

    /// What there was of runs and of the first trades was so long ago.
    fn grow_old(&mut self, ms: u64) {
        let earlier = |value: &mut Value| *value = (value.as_u64().expect("Unix ms") - ms).into();
        let mut first = 3;
        self.back_with(|record| {
            let trades = record.get_mut("trades").and_then(Value::as_array_mut);
            for trade in trades.into_iter().flatten().take(first) {
                earlier(&mut trade["time_ms"]);
                first -= 1;
            }
        });
        for run in self.runs() {
            let file = run.join("run.json");
            let mut record = report(&file);
            earlier(&mut record["start_ms"]);
            std::fs::write(file, record.to_string()).expect("written");
        }
    }

    /// What the account's file says.
    fn kept(&self) -> AccountState {
        let accounts = std::fs::read_dir(self.state.path().join("bot4/accounts")).expect("there");
        let mut files = accounts.flatten().map(|e| e.path().join("state"));
        let path = files.find(|p| p.exists()).expect("a state");
        AccountState::read(&path).expect("readable").expect("there")
    }

    /// What strategies hold by the account's file.
    fn held(&self) -> BTreeMap<String, i64> {
        let mut net: BTreeMap<String, i64> = BTreeMap::new();
        for row in self.kept().positions {
            *net.entry(row.symbol).or_default() += row.qty;
        }
        net.retain(|_, qty| *qty != 0);
        net
    }

    fn runs(&self) -> Vec<PathBuf> {
        let runs = std::fs::read_dir(self.state.path().join("bot4/runs")).expect("runs").flatten();
        let mut runs: Vec<_> = runs.map(|e| e.path()).collect();
        runs.retain(|run| run.join("journal/00000001.b4j").exists());
        runs.sort();
        runs
    }

    fn say(&self, args: &[&str]) -> Output {
        output(bot4(self.state.path()).args(args))
    }

    /// Every journal leads to its decisions.
    fn verify(&self) {
        for run in self.runs() {
            let out = output(bot4(self.state.path()).args(["replay", "--verify"]).arg(&run));
            assert!(out.status.success(), "{}: {}", run.display(), stderr(&out));
        }
    }
}

/// A simulated venue called `name`, whose log lies in `state`.
fn at(name: &str, state: &Path, listen: &str) -> Command {
    let mut command = bot4(state);
    command.args(["venue", "--venue", name, "--listen", listen, "--state"]);
    command.arg(state.join("venue"));
    command
}

#[test]
fn fills_behind_a_killed_run_are_its_strategies_positions() {
    let scene = Scene::new("");
    scene.killed_with_a_fill_behind_its_back(scene.trading(&[]));
    let (report, error) = scene.exact();
    assert!(number(&report, "/fills/late") > 0, "{report} {error}");
    assert!(error.contains("are not in the journal of run"), "{error}");
    assert!(!error.contains("stands still"), "{error}");
    // Every trade that the venue ever told of is somebody's here.
    assert_eq!(scene.held(), scene.venue_trades().0);
    let kept = scene.kept();
    assert!(kept.settled && kept.late.is_empty() && kept.unexplained.is_none(), "{kept:?}");
    scene.verify();
}

#[test]
fn fills_that_a_run_did_not_hear_before_its_end_are_the_next_ones() {
    let scene = Scene::new("");
    let file = scene.state.path().join("first.json");
    let mut engine = scene.trading(&["--report", &file.display().to_string()]);
    // Longer than a run waits for its orders, shorter than that and what it waits to compare.
    ControlLine::new(&scene.endpoints).say("outage 14s");
    sleep(200);
    signal(&engine.0, "-INT");
    assert_eq!(engine.0.wait().expect("it ends").code(), Some(1));
    let first = report(&file);
    assert!(number(&first, "/reconcile/balances_differ") > 0, "a fill in between: {first}");
    let (second, error) = scene.exact();
    assert!(number(&second, "/fills/late") > 0, "{second} {error}");
    assert!(!error.contains("no fill explains it") && !error.contains("stands still"), "{error}");
    assert_eq!(scene.held(), scene.venue_trades().0);
    let kept = scene.kept();
    assert!(kept.settled && kept.late.is_empty() && kept.unexplained.is_none(), "{kept:?}");
    scene.verify();
}

/// Ends the engine in order.
fn stopped(mut engine: Killed) -> Option<i32> {
    signal(&engine.0, "-INT");
    engine.0.wait().expect("it ends").code()
}

#[test]
fn what_others_did_between_two_runs_stops_what_it_concerns_until_a_person_accepts_it() {
    let scene = Scene::new("");
    scene.exact();
    let mut venue = ControlLine::new(&scene.endpoints);
    venue.say("foreign-trade BTCUSDT");
    sleep(300);
    let engine = scene.trading(&[]);
    let stopped_now = |n: u64| move |s: &Value| s["truth"]["instruments_stopped"] == n;
    let before = scene.until("BTCUSDT stands still, ETHUSDT trades", stopped_now(1));
    assert_eq!(before["phase"], "run", "{before}");
    scene.until("it is told how to accept it", |_| scene.said().contains("--instrument SYMBOL"));
    assert!(scene.said().contains("BTCUSDT: trade"), "{}", scene.said());
    // It is not forgotten by a run that ends before anybody has looked.
    assert_eq!(stopped(engine), Some(0));
    let engine = scene.trading(&[]);
    scene.until("BTCUSDT stands still again", stopped_now(1));
    let out = scene.say(&["resume", "--instrument", "BTCUSDT", "--reason", "a trade of ours"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    scene.until("it may trade", stopped_now(0));
    assert_eq!(stopped(engine), Some(0));

    // Money that came in between: the quote asset, so all trading waits.
    venue.say("deposit USDT 1000");
    sleep(300);
    let told = std::fs::File::create(scene.state.path().join("stderr.txt")).expect("made");
    let mut command = scene.engine(scene.state.path(), &[]);
    let engine = command.stdout(Stdio::null()).stderr(told).spawn();
    let engine = Killed(engine.expect("it starts"));
    let kill = scene.until("all trading is stopped", |s| s["phase"] == "kill");
    assert_eq!(kill["orders"]["sent"], 0, "{kill}");
    let reason = kill["latch"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("the balance of USDT"), "{reason}");
    let out = scene.say(&["resume", "--reason", "a deposit of ours"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    scene.until("it trades", |s| s["orders"]["sent"].as_u64() > Some(10));
    assert_eq!(stopped(engine), Some(0));
    let (report, error) = scene.exact();
    assert!(!error.contains("stands still") && number(&report, "/orders/sent") > 0, "{error}");
    scene.verify();
}

#[test]
fn an_engine_with_another_state_folder_is_refused_and_a_person_may_take_over() {
    let scene = Scene::new("");
    let elsewhere = tempfile::tempdir().expect("a folder");
    // Between two quotes there is nothing that would tell of another engine.
    let refused = |wanted: &str| {
        let mut asks = 0..10;
        asks.any(|_| {
            let out = output(&mut scene.engine(elsewhere.path(), &["--reconcile-only"]));
            let (code, error) = (out.status.code(), stderr(&out));
            assert!(matches!(code, Some(0 | 78)), "{wanted}: {error}");
            let told = error.contains("--take-over") && error.contains("another machine");
            assert_eq!(code == Some(78), told, "{error}");
            told
        })
    };
    let mut engine = scene.trading(&[]);
    let before = scene.status();
    assert!(refused("while the first trades"));
    let sent = |s: &Value| s["orders"]["sent"].as_u64();
    let now = scene.until("the first trades on", |s| sent(s) > sent(&before));
    assert_eq!((&now["phase"], &now["truth"]["foreign"]["orders"]), (&"run".into(), &0.into()));

    // Its machine is lost, and with it what it knew. Quotes may be filled before anybody looks; an
    // order far from the market is not.
    let far =
        "order --symbol BTCUSDT --side buy --size 0.002 --type limit --price 59500 --reason a";
    let out = scene.say(&far.split(' ').collect::<Vec<_>>());
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    scene.kill_guards();
    engine.0.kill().expect("kill -9");
    engine.0.wait().expect("ended");
    assert!(refused("when the first is gone"));
    let out = output(&mut scene.engine(elsewhere.path(), &["--for", "2s"]));
    assert_eq!(out.status.code(), Some(78), "{}", stderr(&out));
    let runs = std::fs::read_dir(elsewhere.path().join("bot4/runs")).into_iter().flatten();
    assert_eq!(runs.count(), 0, "the refused start left nothing");
    let out = output(&mut scene.engine(elsewhere.path(), &["--for", "2s", "--take-over"]));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert!(stderr(&out).contains("were cancelled"), "{}", stderr(&out));
}

#[test]
fn a_verdict_outlives_a_reconciling_and_only_a_person_lifts_it() {
    let mut scene = Scene::new("");
    let mut engine = scene.trading(&[]);
    scene.until("fills are booked", |_| scene.venue_trades().1 > 3);
    engine.0.kill().expect("kill -9");
    engine.0.wait().expect("ended");
    sleep(1_000);
    scene.forget_the_first_trade();
    let (code, error) = scene.ended(&["--reconcile-only"]);
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(scene.kept().unexplained.as_deref(), Some(scene.kept().run.as_str()));
    // Reconciling told it; a start after that knows it still.
    let report_file = scene.state.path().join("report.json");
    let file = report_file.display().to_string();
    let (_, error) = scene.ended(&["--for", "2s", "--report", &file]);
    assert!(error.contains("control mode emergency"), "{error}");
    assert_eq!(report(&report_file)["risk"]["mode"], "emergency");
}

/// Every fill of a run that began so many days ago is found, whatever the venue tells at once.
fn is_explained_after(venue: bot4_venues::Venue, symbols: [&str; 2], days: u64) {
    let mut scene = Scene::with(venue.name(), |endpoints| config_of(venue, &symbols, endpoints));
    let mut engine = scene.trading(&[]);
    scene.until("fills are booked", |_| scene.venue_trades().1 > 5);
    engine.0.kill().expect("kill -9");
    engine.0.wait().expect("ended");
    sleep(1_000);
    scene.grow_old(days * 86_400_000);
    let out = output(&mut scene.engine(scene.state.path(), &["--reconcile-only"]));
    let told = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{told} {}", stderr(&out));
    let all = format!("{} at the venue since it began", scene.venue_trades().1);
    assert!(told.contains(&all), "{all}: {told}");
}

#[test]
fn a_run_is_explained_that_is_longer_than_bybit_lists_at_once() {
    is_explained_after(bot4_venues::Venue::Bybit, ["BTCUSDT", "ETHUSDT"], 9);
}

#[test]
fn a_run_is_explained_that_is_longer_than_okx_keeps_its_newest_fills() {
    is_explained_after(bot4_venues::Venue::Okx, ["BTC-USDT", "ETH-USDT"], 4);
}
