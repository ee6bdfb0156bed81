//! The audit: what a running engine is, seen from outside, against what it says it is.
//!
//! The engine's ready file names its lanes with their threads and CPUs. Everything else is read
//! from `/proc`, twice, with a window between: masks, policies, names and memory as they stand;
//! ticks, switches, moves and faults as they come. The engine is not asked and not disturbed.

mod look;
mod rates;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bot4_lanes::Clock;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::check::{Summary, Waivers};
use crate::cpu_set::CpuSet;
use crate::measure;
use crate::need::Mode;
use crate::process::Task;
use crate::root::Root;
use crate::row::{Class, Found, State};

/// What an audit looks at.
pub const IDS: [&str; 14] = [
    "audit.lanes",
    "audit.mask",
    "audit.policy",
    "audit.name",
    "audit.helpers",
    "audit.undeclared",
    "audit.lock",
    "audit.huge_pages",
    "audit.latency",
    "audit.tasks",
    "audit.ticks",
    "audit.switches",
    "audit.migrations",
    "audit.faults",
];

/// A lane as the engine says it runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReadyLane {
    /// Its name.
    pub name: String,
    /// Its thread.
    pub tid: u32,
    /// Its CPU; `None` where it was not to be pinned.
    pub cpu: Option<usize>,
    /// Whether it works on orders or market data.
    #[serde(default = "yes")]
    pub hot: bool,
}

fn yes() -> bool {
    true
}

/// What the engine's ready file says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ready {
    /// The engine.
    pub pid: u32,
    /// Its lanes.
    pub lanes: Vec<ReadyLane>,
    /// Pages of 2 MiB that its arenas were to lie on.
    pub huge_pages: Option<u64>,
    /// The time to wake that it was to hold the CPUs at, microseconds.
    #[serde(default)]
    pub cpu_dma_latency_us: Option<u32>,
}

impl Ready {
    /// Reads the file `path`, as `bot4 run --ready-file` writes it.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let wrong = |e: &dyn std::fmt::Display| {
            format!(
                "error: the ready file {}: {e}\nhelp: `bot4 run --ready-file FILE` writes it once \
                 all lanes run",
                path.display()
            )
        };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
        serde_json::from_str(&text).map_err(|e| wrong(&e))
    }

    /// CPUs of hot lanes.
    #[must_use]
    pub fn hot(&self) -> CpuSet {
        self.lanes.iter().filter(|l| l.hot).filter_map(|l| l.cpu).collect()
    }

    /// The lane of the thread `tid`.
    #[must_use]
    pub fn lane(&self, tid: u32) -> Option<&ReadyLane> {
        self.lanes.iter().find(|lane| lane.tid == tid)
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One of [`IDS`].
    pub id: &'static str,
    /// How much depends on it.
    pub class: Class,
    /// What is there.
    pub found: Found,
    /// What that means.
    pub state: State,
    /// Why it may be so, where it was waived.
    pub reason: String,
}

/// A running engine, looked at.
#[derive(Debug)]
pub struct Audit {
    /// How strictly.
    pub mode: Mode,
    /// In the order of [`IDS`].
    pub findings: Vec<Finding>,
    /// The threads of the engine.
    pub threads: Vec<Task>,
    ready: Ready,
    seconds: f64,
}

/// What was seen at the two ends of the window.
struct Sights<'a> {
    root: &'a Root,
    ready: &'a Ready,
    before: rates::Moment,
    after: rates::Moment,
    seconds: f64,
}

impl Audit {
    /// Looks at the engine of `ready` for `window`.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(
        root: &Root,
        ready: &Ready,
        window: Duration,
        mode: Mode,
        waivers: &Waivers,
    ) -> Result<Self, String> {
        let pid = ready.pid;
        if !root.has(&format!("/proc/{pid}/task")) {
            return Err(format!(
                "error: process {pid} is gone\nhelp: the ready file is of an engine that ended"
            ));
        }
        let time = Clock::monotonic();
        let before = rates::Moment::now(root, ready);
        measure::wait(&time, window);
        let seconds = (time.now().0 as f64 / 1e9).max(1e-3);
        let after = rates::Moment::now(root, ready);
        let sights = Sights { root, ready, before, after, seconds };
        let judge = |(id, class, found): (&'static str, Class, Found)| {
            let (state, reason) = waivers.judge(id, &found, class, mode);
            Finding { id, class, found, state, reason }
        };
        let all = look::all(&sights).into_iter().chain(rates::all(&sights));
        Ok(Self {
            mode,
            findings: all.map(judge).collect(),
            threads: sights.after.own,
            ready: ready.clone(),
            seconds,
        })
    }

    /// How many findings are in which state.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(self.findings.iter().map(|f| f.state))
    }

    /// For a program.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let finding = |f: &Finding| {
            let mut one = json!({"id": f.id, "class": f.class.name(), "state": f.state.name(),
                                 "found": f.found.found, "want": f.found.want});
            if !f.reason.is_empty() {
                one["waived"] = f.reason.clone().into();
            }
            one
        };
        let thread = |t: &Task| {
            let lane = self.ready.lane(t.tid);
            json!({"tid": t.tid, "name": t.name, "lane": lane.map(|l| &l.name),
                   "plan": lane.and_then(|l| l.cpu), "allowed": t.allowed.to_string(),
                   "cpu": t.cpu, "policy": t.policy})
        };
        json!({
            "pid": self.ready.pid, "seconds": self.seconds,
            "checks": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "threads": self.threads.iter().map(thread).collect::<Vec<_>>(),
        })
    }

    /// For a person: the threads, then the findings.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!(
            "{:<16} {:>8} {:>5} {:>8} {:>4}  lane\n",
            "thread", "tid", "plan", "allowed", "on"
        );
        for task in &self.threads {
            let lane = self.ready.lane(task.tid);
            let plan = lane.and_then(|l| l.cpu).map_or("-".to_owned(), |cpu| cpu.to_string());
            let (name, tid, allowed) = (&task.name, task.tid, task.allowed.to_string());
            let lane = lane.map_or("(helper)", |l| l.name.as_str());
            let _ =
                writeln!(out, "{name:<16} {tid:>8} {plan:>5} {allowed:>8} {:>4}  {lane}", task.cpu);
        }
        for Finding { id, found, state, reason, .. } in &self.findings {
            let name = match state {
                State::Warn | State::Fail => state.name().to_uppercase(),
                _ => state.name().to_owned(),
            };
            let _ = write!(out, "{name:<7} {id:<18} {}", found.found);
            let _ = match state {
                State::Warn | State::Fail => writeln!(out, " (want: {})", found.want),
                State::Waived => writeln!(out, " (waived: {reason})"),
                State::Ok | State::Absent => writeln!(out),
            };
        }
        let Summary { ok, warn, fail, waived, absent } = self.summary();
        let _ =
            writeln!(out, "{ok} ok, {warn} warn, {fail} fail, {waived} waived, {absent} absent");
        out
    }
}
