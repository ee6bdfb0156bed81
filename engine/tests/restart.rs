//! How long it takes from the start of a process to trading, after kill -9 of a run with a long
//! journal; and that a snapshot of the journal took a part in it.
//!
//! `BOT4_RESTARTS` sets the number of restarts (default 2), `BOT4_RESTART_RECORDS` the records that
//! the journal has at least (default 15,000). Each restart finds the same folder: what the one
//! before changed is put back.

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use bot4_lanes::Clock;
use common::ready::trades;
use common::{Killed, bot4, config, number, output, sleep, stderr, venue};
use serde_json::Value;

/// The promise, for restarts with a million records. Of a build without optimisation, or beside
/// other tests, only what hangs is to be found.
const PROMISED_MS: u64 = 2_000;
const WAITED_MS_MAX: u64 = 60_000;

fn from_env(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

struct Scene {
    state: tempfile::TempDir,
    toml: PathBuf,
    _venue: Killed,
}

impl Scene {
    fn new(segment_mib: u64) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let (venue, endpoints) = venue(state.path(), "127.0.0.1:0");
        let toml = state.path().join("trade.toml");
        let text = config(&endpoints, None).replace("for = \"6s\"\n", "");
        let text = format!("{text}segment_mib = {segment_mib}\ndisk_warn_pct = 100\n");
        std::fs::write(&toml, text).expect("written");
        Self { state, toml, _venue: venue }
    }

    /// An engine; what it says goes into a file.
    fn start(&self, ready: &Path) -> Killed {
        let said = std::fs::File::create(self.said()).expect("made");
        let mut command = bot4(self.state.path());
        command.args(["run", "--config"]).arg(&self.toml).arg("--ready-file").arg(ready);
        Killed(command.stdout(Stdio::null()).stderr(said).spawn().expect("it starts"))
    }

    fn said(&self) -> PathBuf {
        self.state.path().join("stderr.txt")
    }

    fn runs(&self) -> Vec<PathBuf> {
        let runs = std::fs::read_dir(self.state.path().join("bot4/runs")).expect("runs");
        let mut runs: Vec<_> = runs.flatten().map(|e| e.path()).collect();
        runs.sort();
        runs
    }

    fn verified(&self, path: &Path) -> Value {
        let out = output(bot4(self.state.path()).args(["journal", "verify"]).arg(path));
        serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", stderr(&out)))
    }

    /// Runs until the journal has `records`, then kills; returns the run's folder.
    fn killed_with(&self, records: u64) -> PathBuf {
        let ready = self.state.path().join("first.json");
        let mut engine = self.start(&ready);
        let mut needed = u64::MAX;
        for _ in 0..36_000 {
            sleep(100);
            let ended = engine.0.try_wait().expect("asked").is_some();
            assert!(!ended, "{}", std::fs::read_to_string(self.said()).unwrap_or_default());
            let Some(run) = self.runs().pop() else { continue };
            let segments = segments(&run);
            if needed == u64::MAX && segments.len() > 2 {
                let first = number(&self.verified(&segments[0]), "/records").max(1);
                needed = records.div_ceil(first) + 1;
            }
            // The last one is a spare.
            if segments.len() as u64 > needed {
                break;
            }
        }
        engine.0.kill().expect("kill -9");
        engine.0.wait().expect("ended");
        self.runs().pop().expect("a run")
    }

    /// Starts, waits until trading is allowed, kills; returns ms and what the engine said.
    fn restart(&self, n: u64) -> (u64, String) {
        let ready = self.state.path().join(format!("ready-{n}.json"));
        let clock = Clock::monotonic();
        let start = clock.now();
        let mut engine = self.start(&ready);
        while !trades(&ready) {
            let waited = clock.now().since(start).millis();
            let ended = engine.0.try_wait().expect("asked").is_some();
            let said = || std::fs::read_to_string(self.said()).unwrap_or_default();
            assert!(!ended && waited < WAITED_MS_MAX, "{waited} ms: {}", said());
            sleep(2);
        }
        let took = clock.now().since(start).millis();
        engine.0.kill().expect("kill -9");
        engine.0.wait().expect("ended");
        (took, std::fs::read_to_string(self.said()).expect("it said something"))
    }
}

/// Segments of a run's journal, in order.
fn segments(run: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(run.join("journal")).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|e| e.path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "b4j") && !f.ends_with("reserve.b4j"));
    files.sort();
    files
}

/// What a start changes in the folders of an earlier run and its account.
struct Before {
    run: PathBuf,
    accounts: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Before {
    fn of(scene: &Scene, run: &Path) -> Self {
        let accounts = scene.state.path().join("bot4/accounts");
        let last = segments(run).into_iter().rev().take(2);
        let reserve = run.join("journal/reserve.b4j");
        let files = last.chain([reserve]).map(|f| (f.clone(), std::fs::read(f).expect("a file")));
        Self { run: run.to_owned(), accounts, files: files.collect() }
    }

    /// Puts it back; younger runs go.
    fn put_back(&self, scene: &Scene) {
        let younger = scene.runs().into_iter().filter(|run| *run > self.run);
        younger.for_each(|run| remove(&run));
        let marks = std::fs::read_dir(&self.run).expect("a folder").flatten().map(|e| e.path());
        let is_mark = |f: &PathBuf| {
            f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("reconciled"))
        };
        marks.filter(is_mark).for_each(|f| std::fs::remove_file(f).expect("removed"));
        let _ = std::fs::remove_dir_all(&self.accounts);
        for (file, bytes) in &self.files {
            std::fs::write(file, bytes).expect("written");
        }
    }
}

/// Removes a folder in which the killed run's guard may still write.
fn remove(run: &Path) {
    for _ in 0..100 {
        if std::fs::remove_dir_all(run).is_ok() {
            return;
        }
        sleep(20);
    }
    std::fs::remove_dir_all(run).expect("removed");
}

#[test]
fn a_restart_over_a_long_journal_soon_trades() {
    let (restarts, wanted) =
        (from_env("BOT4_RESTARTS", 2), from_env("BOT4_RESTART_RECORDS", 15_000));
    let long = wanted >= 1_000_000;
    // A short journal has many segments all the same.
    let scene = Scene::new(if long { 16 } else { 1 });
    let run = scene.killed_with(wanted);
    let records = number(&scene.verified(&run.join("journal")), "/records");
    assert!(records >= wanted, "{records}");
    let before = Before::of(&scene, &run);
    let (mut took, mut last) = (Vec::new(), String::new());
    for n in 0..restarts {
        // A venue takes 300 connects in five minutes; a start makes about ten.
        sleep(if restarts > 20 { 10_000 } else { 0 });
        before.put_back(&scene);
        let (ms, said) = scene.restart(n);
        assert!(said.contains("a snapshot of the first"), "{said}");
        let wrong = ["a person must look", "is damaged", "whole journal is read"];
        assert!(wrong.iter().all(|w| !said.contains(w)), "{said}");
        took.push(ms);
        last = said;
    }
    took.sort_unstable();
    let at = |pct: usize| took[(took.len() * pct / 100).min(took.len() - 1)];
    println!(
        "{restarts} restarts over {records} records: to trading p50 {} ms, p99 {} ms, max {} ms",
        at(50),
        at(99),
        took[took.len() - 1]
    );
    println!("the last one said: {last}");
    if long && !cfg!(debug_assertions) {
        assert!(at(99) < PROMISED_MS, "p99 {} ms", at(99));
    }
}
