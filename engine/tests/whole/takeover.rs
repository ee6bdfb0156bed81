//! What the next start makes of what an earlier run left behind.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::ready::until_it_trades;
use crate::common::{
    Killed, bot4, check_account, config, output, report, signal, sleep, stderr, venue,
};
use bot4::replay::inputs::{InputsText, RunInputs};
use bot4::run::account_state::AccountState;
use bot4_types::LogKind;
use serde_json::Value;

struct Scene {
    state: tempfile::TempDir,
    toml: PathBuf,
    _venue: Killed,
}

impl Scene {
    fn new() -> Self {
        Self::with("")
    }

    /// With more lines at the configuration's end.
    fn with(more: &str) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let (venue, endpoints) = venue(state.path(), "127.0.0.1:0");
        let toml = state.path().join("trade.toml");
        let text = config(&endpoints, None) + "segment_mib = 1\ndisk_warn_pct = 100\n" + more;
        std::fs::write(&toml, text).expect("written");
        Self { state, toml, _venue: venue }
    }

    fn run(&self, args: &[&str]) -> Command {
        let mut command = bot4(self.state.path());
        command.arg("run").args(args).arg("--config").arg(&self.toml);
        command
    }

    /// Runs to the end; exit code and standard error.
    fn ended(&self, args: &[&str]) -> (Option<i32>, String, Vec<u8>) {
        let out = output(&mut self.run(args));
        (out.status.code(), stderr(&out), out.stdout)
    }

    fn exact(&self) -> String {
        let file = self.state.path().join("report.json");
        let file_arg = file.display().to_string();
        let (code, error, _) = self.ended(&["--for", "2s", "--report", &file_arg]);
        assert_eq!(code, Some(0), "{error}");
        check_account(&report(&file));
        error
    }

    /// An engine that trades.
    fn trading(&self) -> Killed {
        let ready = self.state.path().join("ready.json");
        let mut command = self.run(&["--for", "5m"]);
        command.arg("--ready-file").arg(&ready).stdout(Stdio::null()).stderr(Stdio::null());
        let engine = Killed(command.spawn().expect("it starts"));
        until_it_trades(&ready);
        engine
    }

    /// An engine that trades for some seconds and is killed.
    fn killed(&self) -> PathBuf {
        let mut engine = self.trading();
        sleep(2_000);
        engine.0.kill().expect("kill -9");
        engine.0.wait().expect("ended");
        self.newest()
    }

    fn newest(&self) -> PathBuf {
        newest_run(self.state.path())
    }
}

fn newest_run(state: &Path) -> PathBuf {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs").flatten();
    let mut runs: Vec<_> = runs.map(|e| e.path()).collect();
    runs.sort();
    runs.pop().expect("a run")
}

fn verified(state: &Path, journal: &Path) -> Value {
    let out = output(bot4(state).args(["journal", "verify"]).arg(journal));
    serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", stderr(&out)))
}

#[test]
fn a_damaged_journal_needs_a_person_and_reconciling_lets_the_next_start_trade() {
    let scene = Scene::new();
    scene.exact();
    let run = scene.newest();
    assert!(run.join("closed.json").exists());
    let segment = run.join("journal/00000001.b4j");
    let file = std::fs::File::options().read(true).write(true).open(&segment).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 10_000).expect("read");
    file.write_all_at(&[byte[0] ^ 1], 10_000).expect("written");

    let (code, error, _) = scene.ended(&["--for", "2s"]);
    assert_eq!(code, Some(78), "{error}");
    for wanted in ["00000001.b4j at ", "--reconcile-only", "help"] {
        assert!(error.contains(wanted), "`{wanted}` in {error}");
    }
    assert_eq!(scene.newest(), run, "the refused start left nothing");

    let (code, error, out) = scene.ended(&["--reconcile-only", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let found: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(found["earlier"]["journal"]["intact"], false, "{found}");
    assert_eq!(found["earlier"]["explained"], true, "{found}");
    assert!(found["earlier"]["fills"]["venue"].as_u64() > Some(0), "{found}");
    assert_eq!(scene.newest(), run, "reconciling starts no run");
    assert!(scene.exact().contains("is damaged; its account was reconciled"));
}

#[test]
fn a_torn_tail_is_cut_and_the_next_start_trades() {
    let scene = Scene::new();
    let run = scene.killed();
    let journal = run.join("journal");
    // A record that was being written when the engine died: its length is not there yet.
    let offset = open_end(scene.state.path(), &journal);
    let segment = newest_segment(&journal, offset);
    let file = std::fs::File::options().write(true).open(&segment).expect("opened");
    file.write_all_at(&[7; 40], offset + 8).expect("written");
    let before = verified(scene.state.path(), &journal);
    assert!(before["intact"] == true && !before["torn_tail"].is_null(), "{before}");

    let error = scene.exact();
    assert!(error.contains("a torn tail was cut from"), "{error}");
    assert!(error.contains("orders approved"), "the account was compared: {error}");
    let after = verified(scene.state.path(), &journal);
    assert_eq!(after["records"], before["records"]);
    assert!(after["recovered"] == true && after["torn_tail"].is_null(), "{after}");
    assert!(run.join("reconciled.json").exists() && !run.join("closed.json").exists());
    let quiet = scene.exact();
    assert!(!quiet.contains("journal"), "an orderly end needs no words: {quiet}");
}

/// Offset behind the last record, as the dump tells it.
fn open_end(state: &Path, journal: &Path) -> u64 {
    let out = output(bot4(state).args(["journal", "dump"]).arg(journal));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let last: Value = serde_json::from_str(text.lines().last().expect("lines")).expect("JSON");
    let at = last["offset"].as_u64().expect("an offset");
    let segment = journal.join(format!("{:08}.b4j", last["segment"].as_u64().expect("a segment")));
    let file = std::fs::File::open(segment).expect("opened");
    let mut length = [0; 4];
    file.read_exact_at(&mut length, at).expect("read");
    at + u64::from(u32::from_le_bytes(length)).next_multiple_of(8)
}

/// The last segment with a record that ends at `offset`: the one that is not all zero.
fn newest_segment(journal: &Path, offset: u64) -> PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(journal).expect("listed").flatten().map(|e| e.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "b4j") && !p.ends_with("reserve.b4j"));
    files.sort();
    let begun = |p: &PathBuf| {
        let bytes = std::fs::read(p).expect("read");
        bytes.starts_with(b"B4JOURNL") && bytes[offset as usize..].iter().all(|b| *b == 0)
    };
    files.into_iter().rev().find(begun).expect("the open segment")
}

#[test]
fn a_run_that_died_before_its_first_record_is_taken_over() {
    let scene = Scene::new();
    scene.exact();
    let run = scene.newest();
    let journal = run.join("journal");
    std::fs::remove_file(run.join("closed.json")).expect("removed");
    std::fs::write(journal.join("00000001.b4j"), vec![0; 1 << 20]).expect("written");
    let error = scene.exact();
    assert!(error.contains("0 orders approved"), "{error}");
    assert!(run.join("reconciled.json").exists());
    assert!(!journal.join("00000001.b4j").exists(), "prepared and never used");
}

/// What the account's file says, and where it lies.
fn account_state(state: &Path) -> (PathBuf, AccountState) {
    let accounts = std::fs::read_dir(state.join("bot4/accounts")).expect("accounts").flatten();
    let path = accounts.map(|e| e.path().join("state")).find(|p| p.exists()).expect("a state");
    let found = AccountState::read(&path).expect("readable").expect("there");
    (path, found)
}

/// What the run in `folder` started from.
fn inputs(folder: &Path) -> RunInputs {
    let mut text = InputsText::default();
    let records = bot4_journal::Reader::open(&folder.join("journal")).expect("a journal").flatten();
    let lines = records.filter(|r| r.entry.kind == LogKind::Run as u8);
    let mut found = lines.filter(|r| r.entry.lane == bot4::topology::LOG_RUN);
    found.find_map(|r| text.take(r.entry.body()).expect("readable")).expect("inputs")
}

#[test]
fn peak_day_and_positions_survive_and_a_deposit_is_no_profit() {
    let scene = Scene::with("[account]\ntransfers = \"follow\"\n");
    scene.exact();
    let (_, closed) = account_state(scene.state.path());
    let name = |run: &Path| run.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!((closed.run.clone(), closed.settled), (name(&scene.newest()), true));
    let killed = scene.killed();
    let taken = inputs(&killed);
    let equity = taken.equity.expect("of this version");
    assert_eq!((equity.peak, equity.day, equity.flows.len()), (closed.peak, closed.day, 0));
    let held: Vec<i64> = taken.held.iter().map(|h| h.qty).collect();
    assert_eq!(held, closed.positions.iter().map(|p| p.qty).collect::<Vec<_>>());
    // The killed run could not write its end: its journal leads there.
    scene.exact();
    let (path, state) = account_state(scene.state.path());
    assert_eq!(state.run, name(&scene.newest()));
    let third = inputs(&scene.newest()).equity.expect("of this version");
    assert!(third.peak >= closed.peak && state.peak >= third.peak);

    // As if the peak had been 5 % higher, and 1,000 had been deposited since.
    let thousand = 1_000 * 10i128.pow(16);
    let mut amended = state.clone();
    amended.peak = state.peak / 100 * 105;
    amended.balances.get_mut("USDT").expect("traded").0 -= thousand;
    amended.write(&path).expect("written");
    let error = scene.exact();
    assert!(error.contains("USDT +1000"), "{error}");
    let report = report(&scene.state.path().join("report.json"));
    let peak: f64 = report["equity"]["peak"].as_str().and_then(|t| t.parse().ok()).expect("text");
    assert!((peak - (amended.peak + thousand) as f64 / 1e16).abs() < 1e-3, "{peak}");
    let drawdown = report["equity"]["drawdown_pct"].as_f64().expect("a number");
    assert!((3.0..7.0).contains(&drawdown), "{drawdown}");

    std::fs::write(&path, "{}\n0\n").expect("written");
    let (code, error, _) = scene.ended(&["--for", "2s"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("checksum") && error.contains("help:"), "{error}");
}

#[test]
fn two_engines_cannot_trade_one_account() {
    let scene = Scene::new();
    let _first = scene.trading();
    let (code, error, _) = scene.ended(&["--for", "2s"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("trades this account now"), "{error}");
}

#[test]
fn of_two_that_start_at_once_one_trades() {
    let scene = Scene::new();
    let path = |name: &str, n: usize| scene.state.path().join(format!("{name}-{n}"));
    let mut engines = [0, 1].map(|n| {
        let said = std::fs::File::create(path("stderr", n)).expect("a file");
        let mut command = scene.run(&["--for", "5m"]);
        command.arg("--ready-file").arg(path("ready", n)).stdout(Stdio::null()).stderr(said);
        Killed(command.spawn().expect("it starts"))
    });
    let ended = (0..600).find_map(|_| {
        sleep(50);
        let mut all = engines.iter_mut().enumerate();
        all.find_map(|(n, engine)| Some((n, engine.0.try_wait().expect("a child")?)))
    });
    let (refused, status) = ended.expect("one of them is refused");
    let error = std::fs::read_to_string(path("stderr", refused)).expect("there");
    assert_eq!(status.code(), Some(2), "{error}");
    assert!(error.contains("trades this account now"), "{error}");
    let trades = 1 - refused;
    until_it_trades(&path("ready", trades));
    signal(&engines[trades].0, "-INT");
    let error = || std::fs::read_to_string(path("stderr", trades));
    assert_eq!(engines[trades].0.wait().expect("it ends").code(), Some(0), "{:?}", error());
}

#[test]
fn reconciling_needs_an_account_that_outlives_its_run() {
    let state = tempfile::tempdir().expect("a folder");
    let out = output(bot4(state.path()).args(["run", "--reconcile-only"]));
    assert_eq!(out.status.code(), Some(2));
    assert!(stderr(&out).contains("--config"), "{}", stderr(&out));
    let scene = Scene::new();
    let (code, error, out) = scene.ended(&["--reconcile-only"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(String::from_utf8_lossy(&out).contains("no earlier run"));
}

#[test]
fn earlier_journals_are_removed_by_size() {
    let state = tempfile::tempdir().expect("a folder");
    let demo = include_str!("../../../deploy/config/demo.toml");
    let toml = state.path().join("trade.toml");
    let text = demo
        .replace("keep_mib = 16384", "keep_mib = 0")
        .replace("stall_max = \"250ms\"", "stall_max = \"30s\"");
    std::fs::write(&toml, text).expect("written");
    let run = || {
        let mut command = bot4(state.path());
        let out = output(command.args(["run", "--for", "1s", "--config"]).arg(&toml));
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        (newest_run(state.path()), stderr(&out))
    };
    let (first, error) = run();
    assert!(first.join("journal/00000001.b4j").exists() && !error.contains("removed"), "{error}");
    let (second, error) = run();
    assert!(error.contains("removed the journal") && error.contains("keep_mib"), "{error}");
    assert!(!first.join("journal").exists() && first.join("report.json").exists());
    assert!(second.join("journal/00000001.b4j").exists());
}
