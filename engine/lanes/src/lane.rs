//! A pinned thread that cycles agents.
//!
//! Shared words of a lane (declared exception to "only rings"): stop and seal requests written by
//! control, state, heartbeat and thread id written by the lane. `Release` stores pair with
//! `Acquire` loads; the heartbeat is relaxed, it orders nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bot4_alloc::arena::LaneArena;
use bot4_alloc::seal::{self, AgentTag};
use bot4_types::Nanos;

use crate::agent::{Agent, Fault};
use crate::clock::Clock;
use crate::control::Control;
use crate::idle::{Idle, IdleKind};
use crate::metrics::{Counters, Metrics};
use crate::placement::allowed_cpus;
use crate::probe::Probe;

/// Counters of every lane.
pub const LANE_COUNTERS: &[&str] =
    &["turns", "busy_ns", "idle_ns", "backpressured_ns", "faults", "wrong_cpu"];
const TURNS: usize = 0;
const BUSY_NS: usize = 1;
const IDLE_NS: usize = 2;
const BACKPRESSURED_NS: usize = 3;
const FAULTS: usize = 4;
const WRONG_CPU: usize = 5;

/// Turns between two looks at the lane's shared words: a command waits at most this long.
const TURNS_A_LOOK: u64 = 64;

/// How far a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LaneState {
    /// Thread made, agents not started.
    Starting = 0,
    /// Cycling.
    Running = 1,
    /// Ended after a stop request.
    Stopped = 2,
    /// Could not start.
    Failed = 3,
}

/// What a lane is made of.
pub struct LaneSpec {
    /// The lane's and thread's name.
    pub name: String,
    /// The CPU to pin to; `None` leaves the thread unpinned (tests).
    pub cpu: Option<usize>,
    /// How it waits.
    pub idle: IdleKind,
    /// Its agents in the order of cycling, each with its allocator tag.
    pub agents: Vec<(Box<dyn Agent>, AgentTag)>,
    /// Where its memory lies; `None` for the process's default arena (tests).
    pub arena: Option<LaneArena>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    seal: AtomicBool,
    state: AtomicU8,
    tid: AtomicU32,
    cpu: AtomicU32,
    heartbeat: AtomicU64,
    faults: Mutex<Vec<Fault>>,
}

/// A handle to a running lane.
#[derive(Clone, Debug)]
pub struct LaneHandle {
    name: Arc<str>,
    shared: Arc<Shared>,
}

impl LaneHandle {
    /// The lane's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the lane to stop after its present turn.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }

    /// Asks the lane to seal its agents' allocations (end of warm-up).
    pub fn seal(&self) {
        self.shared.seal.store(true, Ordering::Release);
    }

    /// How far the lane is.
    #[must_use]
    pub fn state(&self) -> LaneState {
        match self.shared.state.load(Ordering::Acquire) {
            0 => LaneState::Starting,
            1 => LaneState::Running,
            2 => LaneState::Stopped,
            _ => LaneState::Failed,
        }
    }

    /// Kernel thread id, zero before the thread runs.
    #[must_use]
    pub fn tid(&self) -> u32 {
        self.shared.tid.load(Ordering::Acquire)
    }

    /// The CPU read back from the affinity mask after pinning.
    #[must_use]
    pub fn cpu(&self) -> u32 {
        self.shared.cpu.load(Ordering::Acquire)
    }

    /// Time of the last look at the shared words.
    #[must_use]
    pub fn heartbeat(&self) -> Nanos {
        Nanos(self.shared.heartbeat.load(Ordering::Relaxed))
    }

    /// Faults of the lane's agents so far.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A lane, ready to run here or on a thread of its own.
pub struct Lane {
    spec: LaneSpec,
    handle: LaneHandle,
    clock: Clock,
    control: Control,
    counters: Counters,
}

/// A lane on its thread.
pub struct LaneThread {
    thread: JoinHandle<Vec<Box<dyn Agent>>>,
    /// The lane's handle.
    pub handle: LaneHandle,
}

impl LaneThread {
    /// Waits for the lane's end and gives its agents back.
    #[must_use]
    pub fn join(self) -> Vec<Box<dyn Agent>> {
        self.thread.join().unwrap_or_default()
    }
}

impl Lane {
    /// A lane of `spec` with its own counters in `metrics`.
    #[must_use]
    pub fn new(spec: LaneSpec, clock: Clock, control: Control, metrics: &Metrics) -> Self {
        let name: &'static str = Box::leak(spec.name.clone().into_boxed_str());
        let counters = metrics.counters(name, LANE_COUNTERS);
        let handle = LaneHandle { name: name.into(), shared: Arc::default() };
        Self { spec, handle, clock, control, counters }
    }

    /// The lane with one more agent, cycled last.
    #[must_use]
    pub fn with_agent(mut self, agent: Box<dyn Agent>, tag: AgentTag) -> Self {
        self.spec.agents.push((agent, tag));
        self
    }

    /// A handle to the lane.
    #[must_use]
    pub fn handle(&self) -> LaneHandle {
        self.handle.clone()
    }

    /// Runs the lane on a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn spawn(self) -> std::io::Result<LaneThread> {
        let handle = self.handle();
        let name = self.spec.name.chars().take(15).collect();
        let thread = std::thread::Builder::new().name(name).spawn(move || self.run())?;
        Ok(LaneThread { thread, handle })
    }

    /// Runs the lane on this thread until it is asked to stop; gives its agents back.
    #[must_use]
    pub fn run(mut self) -> Vec<Box<dyn Agent>> {
        let shared = self.handle.shared.clone();
        if let Some(arena) = &self.spec.arena {
            arena.bind_thread();
        }
        self.pin(&shared);
        shared.tid.store(thread_id(), Ordering::Release);
        let mut live: Vec<bool> = vec![true; self.spec.agents.len()];
        if self.start_agents(&shared) {
            shared.state.store(LaneState::Running as u8, Ordering::Release);
            self.cycle(&shared, &mut live);
            shared.state.store(LaneState::Stopped as u8, Ordering::Release);
        } else {
            shared.state.store(LaneState::Failed as u8, Ordering::Release);
        }
        let now = self.clock.now();
        for (agent, tag) in &mut self.spec.agents {
            seal::unseal(*tag);
            let _ = catch_unwind(AssertUnwindSafe(|| agent.close(now)));
        }
        self.spec.agents.into_iter().map(|(agent, _)| agent).collect()
    }

    fn pin(&self, shared: &Shared) {
        let Some(cpu) = self.spec.cpu else { return };
        core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
        let mask = allowed_cpus();
        let pinned = mask == [cpu];
        if !pinned {
            self.counters.add(WRONG_CPU, 1);
        }
        let seen = if pinned { cpu } else { mask.first().copied().unwrap_or(usize::MAX) };
        shared.cpu.store(seen as u32, Ordering::Release);
    }

    fn start_agents(&mut self, shared: &Shared) -> bool {
        let now = self.clock.now();
        for (agent, tag) in &mut self.spec.agents {
            let _scope = seal::enter(*tag);
            let role = agent.role();
            let outcome = catch_unwind(AssertUnwindSafe(|| agent.start(now)))
                .unwrap_or_else(|panic| Err(panic_fault(role, panic.as_ref())));
            if let Err(fault) = outcome {
                report(shared, fault);
                self.counters.add(FAULTS, 1);
                self.control.kill();
                return false;
            }
        }
        true
    }

    fn cycle(&mut self, shared: &Shared, live: &mut [bool]) {
        let mut idle = Idle::new(self.spec.idle);
        let mut probe = Probe::live(self.clock.clone());
        let mut sealed = false;
        let mut turns: u64 = 0;
        let mut now = self.clock.now();
        loop {
            if turns.is_multiple_of(TURNS_A_LOOK) {
                shared.heartbeat.store(now.0, Ordering::Relaxed);
                self.counters.set(TURNS, turns);
                if shared.stop.load(Ordering::Acquire) {
                    return;
                }
                if !sealed && shared.seal.load(Ordering::Acquire) {
                    sealed = true;
                    self.spec.agents.iter().for_each(|(_, tag)| seal::seal(*tag));
                }
            }
            let work = self.turn(now, &mut probe, shared, live);
            idle.idle(work);
            turns += 1;
            let next = self.clock.now();
            self.book_time(work, next.since(now).0, probe.take_backpressure());
            now = next;
        }
    }

    fn turn(&mut self, now: Nanos, probe: &mut Probe, shared: &Shared, live: &mut [bool]) -> usize {
        let mut work = 0;
        for ((agent, tag), alive) in self.spec.agents.iter_mut().zip(live) {
            if !*alive {
                continue;
            }
            let scope = seal::enter(*tag);
            let outcome = catch_unwind(AssertUnwindSafe(|| agent.work(now, probe)));
            drop(scope);
            match outcome {
                Ok(Ok(count)) => work += count,
                Ok(Err(fault)) => {
                    Self::retire(&self.control, &self.counters, shared, fault, alive);
                }
                Err(panic) => {
                    let fault = panic_fault(agent.role(), panic.as_ref());
                    Self::retire(&self.control, &self.counters, shared, fault, alive);
                }
            }
        }
        work
    }

    /// The agent leaves the cycle; the lane's other agents go on, so that execution can still
    /// cancel what is open when it shares the lane.
    fn retire(
        control: &Control,
        counters: &Counters,
        shared: &Shared,
        fault: Fault,
        alive: &mut bool,
    ) {
        *alive = false;
        control.kill();
        counters.add(FAULTS, 1);
        report(shared, fault);
    }

    fn book_time(&self, work: usize, span_ns: u64, backpressured: bool) {
        let regime = match (work > 0, backpressured) {
            (_, true) => BACKPRESSURED_NS,
            (true, false) => BUSY_NS,
            (false, false) => IDLE_NS,
        };
        self.counters.add(regime, span_ns);
    }
}

fn report(shared: &Shared, fault: Fault) {
    shared.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
}

fn panic_fault(role: &'static str, panic: &(dyn std::any::Any + Send)) -> Fault {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Fault { role, what: format!("panicked: {text}") }
}

fn thread_id() -> u32 {
    // SAFETY: `gettid` has no arguments, no precondition and cannot fail.
    let tid = unsafe { libc::gettid() };
    tid.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_alloc::seal::Class;
    use std::any::Any;

    struct Worker {
        turns: u64,
        fail_at: Option<u64>,
        panic_at: Option<u64>,
    }

    impl Agent for Worker {
        fn role(&self) -> &'static str {
            "worker"
        }
        fn work(&mut self, _: Nanos, _: &mut Probe) -> Result<usize, Fault> {
            self.turns += 1;
            assert!(self.panic_at != Some(self.turns), "planted");
            if self.fail_at == Some(self.turns) {
                return Err(Fault { role: "worker", what: "planted".into() });
            }
            Ok(usize::from(self.turns.is_multiple_of(2)))
        }
    }

    fn lane(workers: Vec<Worker>, cpu: Option<usize>, control: &Control) -> Lane {
        let agents = workers
            .into_iter()
            .map(|w| (Box::new(w) as Box<dyn Agent>, seal::register(Class::Cold)))
            .collect();
        let spec =
            LaneSpec { name: "test".into(), cpu, idle: IdleKind::YieldPark, agents, arena: None };
        Lane::new(spec, Clock::start(), control.clone(), &Metrics::in_memory())
    }

    fn wait(what: impl Fn() -> bool) {
        for _ in 0..200_000 {
            if what() {
                return;
            }
            std::thread::park_timeout(std::time::Duration::from_micros(50));
        }
        panic!("not within ten seconds");
    }

    fn turns(agent: Box<dyn Agent>) -> u64 {
        (agent as Box<dyn Any>).downcast::<Worker>().map(|w| w.turns).expect("a worker")
    }

    #[test]
    fn pins_reads_back_runs_and_stops() {
        let cpu = *allowed_cpus().last().expect("a CPU");
        let worker = Worker { turns: 0, fail_at: None, panic_at: None };
        let thread = lane(vec![worker], Some(cpu), &Control::new()).spawn().expect("a thread");
        wait(|| thread.handle.state() == LaneState::Running && thread.handle.heartbeat().0 > 0);
        assert_eq!(thread.handle.cpu() as usize, cpu);
        assert_ne!(thread.handle.tid(), 0);
        thread.handle.stop();
        let agents = thread.join();
        assert!(turns(agents.into_iter().next().expect("one agent")) > 0);
    }

    #[test]
    fn a_failing_or_panicking_agent_latches_the_kill_and_the_others_go_on() {
        for (fail_at, panic_at) in [(Some(5), None), (None, Some(5))] {
            let control = Control::new();
            let bad = Worker { turns: 0, fail_at, panic_at };
            let good = Worker { turns: 0, fail_at: None, panic_at: None };
            let thread = lane(vec![bad, good], None, &control).spawn().expect("a thread");
            wait(|| !thread.handle.faults().is_empty());
            assert_eq!(control.phase(), crate::Phase::Kill);
            wait(|| thread.handle.state() == LaneState::Running);
            thread.handle.stop();
            let faults = thread.handle.faults();
            let agents = thread.join();
            assert!(faults[0].what.contains("planted"), "{faults:?}");
            let counts: Vec<u64> = agents.into_iter().map(turns).collect();
            assert_eq!(counts[0], 5);
        }
    }
}
