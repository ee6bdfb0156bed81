//! Proof that hot lanes are left alone: the engine's own lanes without work, one of them spinning
//! while the others park, and what the kernel counts meanwhile.
//!
//! ```text
//!   all lanes start and are sealed | warm-up | look ........ window ........ look | they end
//! ```
//!
//! Under a spinning lane a CPU without the tick has no more than a timer interrupt or two a second.
//! The same spin on a CPU of the kernel's own work shows that the counter counts. In the window no
//! lane is moved, faults, or is elsewhere than planned.
//!
//! Cost: each round takes the warm-up and the window. The looks read four small files a lane, by a
//! thread that no lane waits for.

use std::path::Path;
use std::time::Duration;

use bot4_alloc::seal::{self, AgentTag, Class};
use bot4_lanes::idle::IdleKind;
use bot4_lanes::placement::LanePlan;
use bot4_lanes::{
    Agent, Clock, Control, Fault, Lane, LaneSpec, LaneState, LaneThread, Metrics, Probe,
};
use bot4_types::Nanos;
use serde::Serialize;

use crate::measure;
use crate::process::{self, Task};
use crate::root::Root;

/// Timer interrupts a second that a spinning lane bears.
pub const LIMIT_PER_S: f64 = 2.0;
/// Timer interrupts a second that a CPU of the kernel's own work has under the same spin: half of
/// the slowest kernels' 100.
pub const REFERENCE_PER_S: f64 = 50.0;

/// How long all lanes may take until they run.
const START: Duration = Duration::from_secs(20);
/// How long a lane may take to end.
const END: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(5);

/// What is asked of a spin.
#[derive(Clone, Copy, Debug)]
pub struct Spin {
    /// How long is looked.
    pub window: Duration,
    /// How long the lanes run before.
    pub warm_up: Duration,
    /// Planted mistake: the lane that spins is not pinned.
    pub unpinned: bool,
}

/// What a round must show.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// So many timer interrupts a second at most: a hot lane's CPU.
    AtMost(f64),
    /// So many at least: a CPU that has the tick, or the counter is not to be believed.
    AtLeast(f64),
}

/// One lane spun while the others parked.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// The lane that spun.
    pub lane: String,
    /// The CPU it is planned on.
    pub cpu: usize,
    /// The CPUs its thread may use.
    pub allowed: String,
    /// Length of the window, seconds.
    pub seconds: f64,
    /// Turns that it made.
    pub turns: u64,
    /// Local timer interrupts of its CPU, a second.
    pub timer_per_s: f64,
    /// What that must be.
    pub promise: Promise,
    /// Moves of lanes to another CPU, all lanes together; null where the kernel does not count.
    pub migrations: Option<u64>,
    /// Page faults of all lanes together.
    pub faults: u64,
    /// Times that another thread took the spinning lane's CPU.
    pub forced: u64,
    /// What was promised and did not hold, as sentences.
    pub broken: Vec<String>,
}

/// An agent that has nothing to do.
struct Quiet;

impl Agent for Quiet {
    fn role(&self) -> &'static str {
        "quiet"
    }

    fn work(&mut self, _now: Nanos, _probe: &mut Probe) -> Result<usize, Fault> {
        Ok(0)
    }
}

/// Lanes on their threads, with the tags of their agents.
struct Running {
    threads: Vec<LaneThread>,
    tags: Vec<AgentTag>,
    metrics: Metrics,
}

impl Running {
    /// Starts `plan`, lane `spinner` spinning.
    fn start(
        plan: &[LanePlan],
        spinner: usize,
        spin: &Spin,
        clock: &Clock,
    ) -> std::io::Result<Self> {
        let metrics = Metrics::in_memory();
        let mut running = Self { threads: Vec::new(), tags: Vec::new(), metrics };
        for (i, lane) in plan.iter().enumerate() {
            let tag = seal::register(Class::Hot);
            running.tags.push(tag);
            let spec = LaneSpec {
                name: lane.name.clone(),
                cpu: (i != spinner || !spin.unpinned).then_some(lane.cpu),
                idle: if i == spinner { IdleKind::Spin } else { IdleKind::Park },
                agents: vec![(Box::new(Quiet), tag)],
                arena: None,
                trap_syscalls: false,
            };
            let lane = Lane::new(spec, clock.clone(), Control::new(), &running.metrics);
            running.threads.push(lane.spawn()?);
        }
        running.seal_when_running()?;
        Ok(running)
    }

    fn seal_when_running(&self) -> std::io::Result<()> {
        let mut waited = Duration::ZERO;
        while !self.threads.iter().all(|t| t.handle.state() == LaneState::Running) {
            if waited >= START {
                return Err(std::io::Error::other("the lanes do not start"));
            }
            std::thread::park_timeout(STEP);
            waited += STEP;
        }
        self.threads.iter().for_each(|t| t.handle.seal());
        Ok(())
    }

    /// The lanes as the kernel sees them.
    fn tasks(&self) -> Vec<Option<Task>> {
        let (root, own) = (Root::at(Path::new("/")), std::process::id());
        self.threads.iter().map(|t| Task::read(&root, own, t.handle.tid())).collect()
    }
}

impl Drop for Running {
    /// All lanes end; one that hangs is left behind.
    fn drop(&mut self) {
        self.threads.iter().for_each(|t| t.handle.stop());
        // Each is waited for, whatever became of the others.
        let hung = self.threads.drain(..).filter_map(|t| t.join_within(END).err()).count();
        if hung == 0 {
            self.tags.drain(..).for_each(seal::release);
        }
    }
}

/// Interrupts of the local timer of `cpu` since the start of the machine.
fn timers(cpu: usize) -> Option<u64> {
    let all = process::interrupts(&Root::at(Path::new("/")));
    let (_, counts) = all.into_iter().find(|(name, _)| name == "LOC")?;
    counts.into_iter().find(|(of, _)| *of == cpu).map(|(_, count)| count)
}

/// Lane `spinner` of `plan` spins and all others park; what its CPU's timer does is judged by
/// `promise`.
///
/// # Errors
/// When threads cannot be made or do not run, or the kernel counts no local timers.
///
/// # Panics
/// When `plan` has no such lane.
pub fn round(
    plan: &[LanePlan],
    spinner: usize,
    spin: &Spin,
    promise: Promise,
    clock: &Clock,
) -> std::io::Result<Round> {
    let LanePlan { name, cpu, .. } = &plan[spinner];
    let running = Running::start(plan, spinner, spin, clock)?;
    measure::wait(&Clock::monotonic(), spin.warm_up);
    let timers = || timers(*cpu).ok_or_else(|| std::io::Error::other("no local timer is counted"));
    let turns = || running.metrics.of_role(name, "turns");
    let (before, turns_before) = (running.tasks(), turns());
    let (timers_before, began) = (timers()?, clock.now());
    measure::wait(&Clock::monotonic(), spin.window);
    let (ended, timers_after) = (clock.now(), timers()?);
    let (after, turns_after) = (running.tasks(), turns());
    let seconds = ended.since(began).0.max(1) as f64 / 1e9;
    let mut round = Round {
        lane: name.clone(),
        cpu: *cpu,
        allowed: after[spinner].as_ref().map(|t| t.allowed.to_string()).unwrap_or_default(),
        seconds,
        turns: turns_after - turns_before,
        timer_per_s: (timers_after - timers_before) as f64 / seconds,
        promise,
        migrations: Some(0),
        faults: 0,
        forced: 0,
        broken: Vec::new(),
    };
    for (i, lane) in plan.iter().enumerate() {
        match before[i].as_ref().zip(after[i].as_ref()) {
            Some((before, after)) => round.add(lane, i == spinner, before, after),
            None => round.broken.push(format!("{} did not live through the window", lane.name)),
        }
    }
    round.judge();
    Ok(round)
}

impl Round {
    /// Adds what happened to a lane's thread.
    fn add(&mut self, lane: &LanePlan, spins: bool, before: &Task, after: &Task) {
        let (name, cpu) = (&lane.name, lane.cpu);
        if !after.allowed.iter().eq([cpu]) || after.cpu != cpu {
            let (allowed, on) = (&after.allowed, after.cpu);
            let told = format!("{name} is planned on CPU {cpu}, may use {allowed}, is on {on}");
            self.broken.push(told);
        }
        let moves = before.migrations.zip(after.migrations).map(|(a, b)| b.saturating_sub(a));
        self.migrations = self.migrations.zip(moves).map(|(sum, n)| sum + n);
        if let Some(n) = moves.filter(|n| *n > 0) {
            self.broken.push(format!("{name} was moved to another CPU {n} times"));
        }
        let faults = after.faults.saturating_sub(before.faults);
        self.faults += faults;
        if faults > 0 {
            self.broken.push(format!("{name} had {faults} page faults"));
        }
        if spins {
            self.forced = after.involuntary.saturating_sub(before.involuntary);
        }
    }

    /// Adds what is not as the round promises.
    fn judge(&mut self) {
        let (name, cpu, seen) = (&self.lane, self.cpu, self.timer_per_s);
        if self.turns == 0 {
            self.broken.push(format!("{name} made no turn"));
        }
        let told = format!("{name} spinning on CPU {cpu}: {seen:.1} timer interrupts a second");
        match self.promise {
            Promise::AtMost(most) if seen > most => {
                self.broken.push(format!("{told}, {most} at most"));
            }
            Promise::AtLeast(least) if seen < least => {
                self.broken.push(format!("{told}: the counter is not to be believed"));
            }
            Promise::AtMost(_) | Promise::AtLeast(_) => {}
        }
    }

    /// For a person: the round on a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let word = if self.broken.is_empty() { "ok" } else { "BROKEN" };
        let promise = match self.promise {
            Promise::AtMost(most) => format!("at most {most}"),
            Promise::AtLeast(least) => format!("at least {least}"),
        };
        let moves = self.migrations.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
        format!(
            "{word:<7} {:<16} cpu {:<3} {:>7.1} timer interrupts/s ({promise})  moves {moves}  \
             faults {}  forced {}",
            self.lane, self.cpu, self.timer_per_s, self.faults, self.forced
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_lanes::placement::allowed_cpus;

    fn lanes() -> Vec<LanePlan> {
        let cpus = allowed_cpus();
        let lane = |(i, name): (usize, &str)| LanePlan {
            name: name.to_owned(),
            roles: vec!["signal"],
            cpu: cpus[i % cpus.len()],
            idle: IdleKind::Park,
        };
        ["one", "two"].into_iter().enumerate().map(lane).collect()
    }

    const SHORT: Spin = Spin {
        window: Duration::from_millis(300),
        warm_up: Duration::from_millis(50),
        unpinned: false,
    };

    #[test]
    fn a_spinning_lane_turns_and_its_timer_is_judged() {
        let clock = Clock::start();
        let seen = round(&lanes(), 1, &SHORT, Promise::AtMost(1e9), &clock).expect("runs");
        assert!(seen.turns > 1_000, "{seen:?}");
        assert_eq!(seen.allowed, lanes()[1].cpu.to_string());
        assert!((0.25..30.0).contains(&seen.seconds), "{seen:?}");
        let judged = |mut round: Round| {
            round.broken.clear();
            round.judge();
            round.broken
        };
        assert!(judged(seen.clone()).is_empty());
        let tight = Round { promise: Promise::AtMost(-1.0), ..seen.clone() };
        assert!(judged(tight)[0].contains("at most"));
        let deaf = Round { promise: Promise::AtLeast(1e9), ..seen.clone() };
        assert!(judged(deaf)[0].contains("not to be believed"));
        assert_eq!(judged(Round { turns: 0, ..seen }), ["two made no turn"]);
    }

    #[test]
    fn a_lane_that_is_not_pinned_is_found() {
        if allowed_cpus().len() < 2 {
            return; // Nobody can be on a wrong CPU here.
        }
        let spin = Spin { unpinned: true, ..SHORT };
        let seen = round(&lanes(), 1, &spin, Promise::AtMost(1e9), &Clock::start()).expect("runs");
        assert!(seen.broken.iter().any(|b| b.starts_with("two is planned on CPU")), "{seen:?}");
        assert!(seen.to_text().starts_with("BROKEN"));
    }

    #[test]
    fn moves_and_faults_of_any_lane_are_told() {
        let clock = Clock::start();
        let quiet = round(&lanes(), 1, &SHORT, Promise::AtMost(1e9), &clock).expect("runs");
        let base = Round { broken: Vec::new(), migrations: Some(0), faults: 0, ..quiet };
        let at = Task { cpu: lanes()[0].cpu, ..Task::default() };
        let at = Task { allowed: [at.cpu].into_iter().collect(), migrations: Some(1), ..at };
        let told = |after: Task| {
            let mut round = base.clone();
            round.add(&lanes()[0], false, &at, &after);
            (round.broken.len(), round.migrations, round.faults)
        };
        assert_eq!(told(at.clone()), (0, Some(0), 0));
        assert_eq!(told(Task { migrations: Some(3), ..at.clone() }), (1, Some(2), 0));
        assert_eq!(told(Task { migrations: None, ..at.clone() }), (0, None, 0));
        assert_eq!(told(Task { faults: 4, ..at.clone() }), (1, Some(0), 4));
        assert_eq!(told(Task { cpu: at.cpu + 1, ..at.clone() }), (1, Some(0), 0));
    }
}
