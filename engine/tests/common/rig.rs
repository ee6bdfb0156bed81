//! An engine at a venue that outlives it, and what a person says to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use bot4_venues::Venue;
use serde_json::Value;

use super::{Killed, bot4, config, config_of, output, started, status, stderr};

/// An engine that trades at a venue of its own process, which outlives it.
pub struct Rig {
    state: tempfile::TempDir,
    pub config: PathBuf,
    pub endpoints: Value,
    _venue: Killed,
}

impl Rig {
    pub fn new() -> Self {
        Self::at_a_venue_with("", |text| text)
    }

    /// At a venue with faults by `script`, with a changed configuration.
    pub fn at_a_venue_with(script: &str, change: impl Fn(String) -> String) -> Self {
        let text = |endpoints: &Value| config(endpoints, None).replace("for = \"6s\"\n", "");
        Self::with(&["--listen", "127.0.0.1:0"], script, |endpoints| change(text(endpoints)))
    }

    /// At the simulated `venue`, where `symbols` are traded, with a changed configuration.
    pub fn at(venue: Venue, symbols: &[&str], change: impl Fn(String) -> String) -> Self {
        let text = |endpoints: &Value| change(config_of(venue, symbols, endpoints));
        Self::with(&["--venue", venue.name()], "", text)
    }

    /// At the venue that is started with `args`, by the configuration `text` for its endpoints.
    fn with(args: &[&str], script: &str, text: impl Fn(&Value) -> String) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let faults = state.path().join("faults");
        std::fs::write(&faults, script).expect("written");
        let mut command = bot4(state.path());
        command.arg("venue").args(args).arg("--script").arg(&faults);
        let (venue, endpoints) = started(&mut command);
        let path = state.path().join("trade.toml");
        std::fs::write(&path, text(&endpoints)).expect("written");
        Self { state, config: path, endpoints, _venue: venue }
    }

    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// An engine that trades.
    pub fn start(&self, report: &str) -> Killed {
        let engine = self.start_quietly(report);
        self.until("orders are sent", |s| sent(s) > 20);
        engine
    }

    /// An engine that may trade or not.
    pub fn start_quietly(&self, report: &str) -> Killed {
        let engine = bot4(self.state())
            .args(["run", "--config"])
            .arg(&self.config)
            .arg("--report")
            .arg(self.state().join(report))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        Killed(engine)
    }

    /// The status of the one engine that runs.
    pub fn status(&self) -> Value {
        status::of(self.state())
    }

    pub fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        status::until(self.state(), what, holds)
    }

    pub fn say(&self, args: &[&str]) -> Output {
        output(bot4(self.state()).args(args))
    }

    pub fn latch_file(&self) -> Option<String> {
        let accounts = std::fs::read_dir(self.state().join("bot4/accounts")).ok()?;
        let latch = accounts.flatten().map(|a| a.path().join("latch.json")).find(|p| p.exists())?;
        std::fs::read_to_string(latch).ok()
    }
}

pub fn sent(status: &Value) -> u64 {
    status["orders"]["sent"].as_u64().unwrap_or(0)
}

pub fn signal(engine: &Child, name: &str) {
    let pid = engine.id().to_string();
    let done = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status();
    assert!(done.expect("kill runs").success());
}

pub fn ended(engine: &mut Killed) -> Option<i32> {
    engine.0.wait().expect("it ends").code()
}

/// Orders that the venue holds open, by its own word.
pub fn open_at_the_venue(rig: &Rig) -> u64 {
    let args = ["run", "--reconcile-only", "--json", "--config"];
    let out = output(bot4(rig.state()).args(args).arg(&rig.config));
    let told: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert!(!told["notes"].to_string().contains("were cancelled"), "{told} {}", rig.endpoints);
    told["earlier"]["open_at_venue"].as_u64().unwrap_or(0)
}

/// What an engine that has ended wrote to standard error.
pub fn told(engine: &mut Killed) -> String {
    let mut text = String::new();
    let pipe = engine.0.stderr.as_mut().expect("it is piped");
    std::io::Read::read_to_string(pipe, &mut text).expect("UTF-8");
    text
}

/// Every journal of the state folder leads to the decisions that it holds.
pub fn verify(rig: &Rig) {
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten();
    for run in runs.map(|e| e.path()).filter(|p| p.join("journal").is_dir()) {
        let out = output(bot4(rig.state()).args(["replay", "--verify"]).arg(&run));
        assert!(out.status.success(), "{}: {}", run.display(), stderr(&out));
    }
}

/// Risk's records of the newest run, in order.
pub fn records(rig: &Rig) -> Vec<Value> {
    journal(rig).into_iter().filter(|record| record["lane"] == 0).collect()
}

/// All records of the newest run, in order.
pub fn journal(rig: &Rig) -> Vec<Value> {
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten();
    let run = runs.map(|e| e.path()).filter(|p| p.join("journal").is_dir()).max();
    let journal = run.expect("a run").join("journal");
    let out = output(bot4(rig.state()).args(["journal", "dump"]).arg(journal));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
