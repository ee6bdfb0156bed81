//! A pinned thread that cycles agents.
//!
//! What a lane shares with the control lane are [`LaneWords`] and nothing else; what it does with
//! its time is booked by [`crate::account`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc as StdArc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_alloc::arena::LaneArena;
use bot4_alloc::seal::{self, AgentTag};
use bot4_types::Nanos;

pub use crate::account::LANE_COUNTERS;
use crate::account::{Account, FAULTS, Regime, WRONG_CPU};
use crate::agent::{Agent, Fault};
use crate::clock::Clock;
use crate::control::Control;
use crate::idle::{Idle, IdleKind};
use crate::metrics::{Counters, Metrics};
use crate::placement::pin;
use crate::probe::Probe;
use crate::seccomp;
use crate::sync::Arc;
use crate::usage::touch_stack;
use crate::words::LaneWords;

/// Turns between two looks at the lane's shared words: a command waits at most this long.
const TURNS_A_LOOK: u64 = 64;
/// Time between two looks at most, however rare turns are: a parked lane stays fresh, too.
pub const LOOK_NS_MAX: Nanos = Nanos::from_millis(10);
/// How often [`LaneThread::join_within`] asks.
const JOIN_STEP: Duration = Duration::from_millis(1);

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
    /// Trap system calls after the seal: a test aid for lanes of compute agents, see
    /// [`crate::seccomp`].
    pub trap_syscalls: bool,
}

#[derive(Debug, Default)]
struct Shared {
    words: LaneWords,
    faults: Mutex<Vec<Fault>>,
}

/// A handle to a running lane.
#[derive(Clone, Debug)]
pub struct LaneHandle {
    name: StdArc<str>,
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
        self.shared.words.ask_stop();
    }

    /// Asks the lane to seal its agents' allocations (end of warm-up).
    pub fn seal(&self) {
        self.shared.words.ask_seal();
    }

    /// How far the lane is.
    #[must_use]
    pub fn state(&self) -> LaneState {
        self.shared.words.state()
    }

    /// Kernel thread id, zero before the thread runs.
    #[must_use]
    pub fn tid(&self) -> u32 {
        self.shared.words.tid()
    }

    /// The CPU read back from the affinity mask after pinning.
    #[must_use]
    pub fn cpu(&self) -> u32 {
        self.shared.words.cpu()
    }

    /// Time of the last look at the shared words.
    #[must_use]
    pub fn heartbeat(&self) -> Nanos {
        self.shared.words.heartbeat()
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

    /// Waits for the lane's end for `patience` at most.
    ///
    /// # Errors
    /// Hands itself back when the lane has not ended: an agent hangs in a turn.
    pub fn join_within(self, patience: Duration) -> Result<Vec<Box<dyn Agent>>, Self> {
        let mut waited = Duration::ZERO;
        while !self.thread.is_finished() {
            if waited >= patience {
                return Err(self);
            }
            std::thread::park_timeout(JOIN_STEP);
            waited += JOIN_STEP;
        }
        Ok(self.join())
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
        shared.words.tell_tid(thread_id());
        touch_stack();
        let mut live: Vec<bool> = vec![true; self.spec.agents.len()];
        if self.start_agents(&shared) {
            shared.words.tell_state(LaneState::Running);
            self.cycle(&shared, &mut live);
            shared.words.tell_state(LaneState::Stopped);
        } else {
            shared.words.tell_state(LaneState::Failed);
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
        let mask = pin(cpu);
        let pinned = mask == [cpu];
        if !pinned {
            self.counters.add(WRONG_CPU, 1);
        }
        let seen = if pinned { cpu } else { mask.first().copied().unwrap_or(usize::MAX) };
        shared.words.tell_cpu(seen as u32);
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
        let mut account = Account::new(self.counters);
        let mut now = self.clock.now();
        let mut looked = Nanos::ZERO;
        let mut sealed = false;
        loop {
            if account.turns().is_multiple_of(TURNS_A_LOOK) || now.since(looked) >= LOOK_NS_MAX {
                looked = now;
                shared.words.beat(now);
                if shared.words.stop_asked() {
                    account.close();
                    return seccomp::leave();
                }
                if !sealed && shared.words.seal_asked() {
                    sealed = true;
                    self.seal(&mut account, shared);
                }
                now = self.clock.now();
                account.looked(now.since(looked).0);
            }
            account.begin(now);
            let work = self.turn(now, &mut probe, shared, live);
            let ended = self.clock.now();
            let regime = Regime::of(work, probe.take_backpressure());
            account.end(now, ended, regime);
            idle.idle(work);
            now = self.clock.now();
            account.idled(now.since(ended).0, regime);
        }
    }

    /// End of warm-up, on the lane's own thread.
    fn seal(&self, account: &mut Account, shared: &Shared) {
        self.spec.agents.iter().for_each(|(_, tag)| seal::seal(*tag));
        if self.spec.trap_syscalls
            && let Err(e) = seccomp::install()
        {
            report(shared, Fault { role: "lane", what: format!("cannot trap system calls: {e}") });
        }
        account.seal();
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
    // By number: glibc has a function of this name from 2.30 on only.
    // SAFETY: `gettid` has no arguments, no precondition and cannot fail.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    tid.unsigned_abs() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::allowed_cpus;
    use bot4_alloc::seal::Class;
    use std::any::Any;
    use std::sync::atomic::{AtomicBool, Ordering};

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
        let spec = LaneSpec {
            name: "test".into(),
            cpu,
            idle: IdleKind::YieldPark,
            agents,
            arena: None,
            trap_syscalls: false,
        };
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

    /// Blocks in its first turn after `hang` is set, until `go` is set.
    struct Hanging {
        hang: StdArc<AtomicBool>,
        go: StdArc<AtomicBool>,
    }

    impl Agent for Hanging {
        fn role(&self) -> &'static str {
            "hanging"
        }
        fn work(&mut self, _: Nanos, _: &mut Probe) -> Result<usize, Fault> {
            while self.hang.load(Ordering::Relaxed) && !self.go.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            Ok(0)
        }
    }

    #[test]
    fn a_planted_agent_that_blocks_is_found_and_a_parked_one_is_not() {
        let (hang, go) = (StdArc::new(AtomicBool::new(false)), StdArc::new(AtomicBool::new(false)));
        let clock = Clock::start();
        let agent = Hanging { hang: hang.clone(), go: go.clone() };
        let agents: Vec<(Box<dyn Agent>, AgentTag)> =
            vec![(Box::new(agent), seal::register(Class::Cold))];
        let name = "hanging".into();
        let spec = LaneSpec {
            name,
            cpu: None,
            idle: IdleKind::Park,
            agents,
            arena: None,
            trap_syscalls: false,
        };
        let lane = Lane::new(spec, clock.clone(), Control::new(), &Metrics::in_memory());
        let thread = lane.spawn().expect("a thread");
        wait(|| thread.handle.state() == LaneState::Running);
        let mut watch = crate::StallWatch::new(1, crate::watch::STALL_AFTER);
        let mut stalled_by = |until: Nanos| {
            while clock.now() < until {
                let now = clock.now();
                let beat = [Some(thread.handle.heartbeat())];
                let runnable = |_| crate::usage::runnable_for(thread.handle.tid());
                if let Some((lane, _)) = watch.look(now, beat, runnable) {
                    return Some(lane);
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            None
        };
        // It has nothing to do and parks for far longer than the watch's patience, in pieces.
        assert_eq!(stalled_by(clock.now() + Nanos::from_millis(1_200)), None);
        hang.store(true, Ordering::Relaxed);
        assert_eq!(stalled_by(clock.now() + Nanos::from_secs(20)), Some(0));
        thread.handle.stop();
        let thread = thread.join_within(Duration::from_millis(20)).err().expect("it hangs");
        go.store(true, Ordering::Relaxed);
        assert_eq!(thread.join_within(Duration::from_secs(10)).map(|a| a.len()).ok(), Some(1));
    }

    /// Makes a system call in every turn when `planted`.
    struct Asking {
        planted: bool,
    }

    impl Agent for Asking {
        fn role(&self) -> &'static str {
            "asking"
        }
        fn work(&mut self, _: Nanos, _: &mut Probe) -> Result<usize, Fault> {
            if self.planted {
                // SAFETY: no arguments and no effect.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
            Ok(0)
        }
    }

    #[test]
    fn a_planted_system_call_after_the_seal_is_caught() {
        for planted in [false, true] {
            let metrics = Metrics::in_memory();
            let agents: Vec<(Box<dyn Agent>, AgentTag)> =
                vec![(Box::new(Asking { planted }), seal::register(Class::Hot))];
            let spec = LaneSpec {
                name: "asking".into(),
                cpu: None,
                idle: IdleKind::YieldPark,
                agents,
                arena: None,
                trap_syscalls: true,
            };
            let lane = Lane::new(spec, Clock::start(), Control::new(), &metrics);
            let thread = lane.spawn().expect("a thread");
            wait(|| thread.handle.state() == LaneState::Running);
            thread.handle.seal();
            let sealed = metrics.total("turns");
            wait(|| metrics.total("turns") > sealed + 500);
            thread.handle.stop();
            assert_eq!(thread.handle.faults(), []);
            assert_eq!(thread.join().len(), 1, "the lane ends under the filter");
            assert_eq!(metrics.total("forbidden_syscalls") > 0, planted);
            let first = if planted { libc::SYS_getppid as u64 } else { 0 };
            assert_eq!(metrics.total("forbidden_syscall_first"), first);
        }
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
