//! Where a lane's time goes.
//!
//! ```text
//!   |-- look --|---- turn ----|- idle -|---- turn ----|- idle -|-- look --|---- turn ----| ...
//!    house-     busy, back-              the same                house-
//!    keeping    pressured or             as before               keeping
//!               idle              <gap>                <------- gap ----->
//! ```
//!
//! Every nanosecond falls into one of four regimes. A *turn* is one call of every agent; a *gap*
//! is what lies between two turns: idling, parks and looks included, and whatever the scheduler
//! or a hypervisor took away. The maxima begin anew at the seal, so the report tells about the
//! time after warm-up. Cost: three reads of the clock a turn, about 25 ns, and stores to a line
//! of the lane's own.

use bot4_types::Nanos;

use crate::metrics::Counters;
use crate::seccomp;
use crate::usage::ThreadUsage;

/// Counters of every lane.
pub const LANE_COUNTERS: &[&str] = &[
    "turns",
    "busy_ns",
    "idle_ns",
    "backpressured_ns",
    "housekeeping_ns",
    "gap_ns_max",
    "turn_ns_max",
    "minor_faults_after_seal",
    "major_faults_after_seal",
    "switches_voluntary_after_seal",
    "switches_forced_after_seal",
    "faults",
    "wrong_cpu",
    "forbidden_syscalls",
    "forbidden_syscall_first",
];
const TURNS: usize = 0;
const BUSY_NS: usize = 1;
const IDLE_NS: usize = 2;
const BACKPRESSURED_NS: usize = 3;
const HOUSEKEEPING_NS: usize = 4;
const GAP_NS_MAX: usize = 5;
const TURN_NS_MAX: usize = 6;
const MINOR_FAULTS: usize = 7;
const MAJOR_FAULTS: usize = 8;
const SWITCHES_VOLUNTARY: usize = 9;
const SWITCHES_FORCED: usize = 10;
/// Faults of agents.
pub(crate) const FAULTS: usize = 11;
/// The affinity mask read back was not the planned CPU.
pub(crate) const WRONG_CPU: usize = 12;
/// System calls that the seccomp aid caught.
const FORBIDDEN_SYSCALLS: usize = 13;
/// The number of the first of them.
const FORBIDDEN_SYSCALL_FIRST: usize = 14;

/// What a turn was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regime {
    Busy,
    Idle,
    Backpressured,
}

impl Regime {
    /// Held back counts before busy: the turn could have done more.
    pub(crate) const fn of(work: usize, backpressured: bool) -> Self {
        match (work > 0, backpressured) {
            (_, true) => Self::Backpressured,
            (true, false) => Self::Busy,
            (false, false) => Self::Idle,
        }
    }

    const fn counter(self) -> usize {
        match self {
            Self::Busy => BUSY_NS,
            Self::Idle => IDLE_NS,
            Self::Backpressured => BACKPRESSURED_NS,
        }
    }
}

/// One lane's books of time.
pub(crate) struct Account {
    counters: Counters,
    turns: u64,
    /// End of the last turn, unless there is none that a gap may be counted from.
    ended: Option<Nanos>,
    gap_ns_max: u64,
    turn_ns_max: u64,
    sealed: Option<ThreadUsage>,
}

impl Account {
    pub(crate) const fn new(counters: Counters) -> Self {
        Self { counters, turns: 0, ended: None, gap_ns_max: 0, turn_ns_max: 0, sealed: None }
    }

    pub(crate) const fn turns(&self) -> u64 {
        self.turns
    }

    /// A turn begins: the gap before it ends.
    #[inline]
    pub(crate) fn begin(&mut self, now: Nanos) {
        let gap = self.ended.map_or(0, |ended| now.since(ended).0);
        if gap > self.gap_ns_max {
            self.gap_ns_max = gap;
            self.counters.set(GAP_NS_MAX, gap);
        }
    }

    /// A turn that began at `begun` ended at `now`.
    #[inline]
    pub(crate) fn end(&mut self, begun: Nanos, now: Nanos, regime: Regime) {
        let ns = now.since(begun).0;
        self.turns += 1;
        self.ended = Some(now);
        self.counters.add(regime.counter(), ns);
        if ns > self.turn_ns_max {
            self.turn_ns_max = ns;
            self.counters.set(TURN_NS_MAX, ns);
        }
    }

    /// The lane idled after a turn of `regime`.
    #[inline]
    pub(crate) fn idled(&self, ns: u64, regime: Regime) {
        self.counters.add(regime.counter(), ns);
    }

    /// The lane looked at its shared words.
    pub(crate) fn looked(&self, ns: u64) {
        self.counters.add(HOUSEKEEPING_NS, ns);
        self.counters.set(TURNS, self.turns);
    }

    /// Warm-up is over: maxima and the kernel's counts begin here.
    pub(crate) fn seal(&mut self) {
        (self.gap_ns_max, self.turn_ns_max, self.ended) = (0, 0, None);
        self.counters.set(GAP_NS_MAX, 0);
        self.counters.set(TURN_NS_MAX, 0);
        self.sealed = Some(ThreadUsage::of_this_thread());
    }

    /// The last look: books what the kernel counted since the seal.
    pub(crate) fn close(&self) {
        self.counters.set(TURNS, self.turns);
        let Some(sealed) = &self.sealed else { return };
        let usage = ThreadUsage::of_this_thread().since(sealed);
        self.counters.set(MINOR_FAULTS, usage.minor_faults);
        self.counters.set(MAJOR_FAULTS, usage.major_faults);
        self.counters.set(SWITCHES_VOLUNTARY, usage.switches_voluntary);
        self.counters.set(SWITCHES_FORCED, usage.switches_forced);
        let (caught, first) = seccomp::caught();
        self.counters.set(FORBIDDEN_SYSCALLS, caught);
        self.counters.set(FORBIDDEN_SYSCALL_FIRST, u64::from(first.unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn every_nanosecond_is_in_one_regime_and_maxima_begin_at_the_seal() {
        let metrics = Metrics::in_memory();
        let mut account = Account::new(metrics.counters("lane", LANE_COUNTERS));
        let step = |account: &mut Account, from: u64, turn: u64, idle: u64, regime| {
            account.begin(Nanos(from));
            account.end(Nanos(from), Nanos(from + turn), regime);
            account.idled(idle, regime);
            from + turn + idle
        };
        let mut at = step(&mut account, 1_000, 50, 7, Regime::Busy);
        at = step(&mut account, at, 300, 900, Regime::Idle);
        account.looked(11);
        at = step(&mut account, at + 11, 20, 5, Regime::Backpressured);
        let total = |name| metrics.total_of("lane", name);
        let regimes = ["busy_ns", "idle_ns", "backpressured_ns", "housekeeping_ns"].map(total);
        assert_eq!(regimes, [57, 1_200, 25, 11]);
        assert_eq!(regimes.iter().sum::<u64>(), at - 1_000);
        assert_eq!((total("gap_ns_max"), total("turn_ns_max")), (911, 300));
        account.seal();
        assert_eq!((total("gap_ns_max"), total("turn_ns_max")), (0, 0));
        // The gap in which it was sealed does not count.
        at = step(&mut account, at + 5_000, 4, 3, Regime::Busy);
        step(&mut account, at, 2, 3, Regime::Busy);
        account.close();
        assert_eq!((total("gap_ns_max"), total("turn_ns_max"), total("turns")), (3, 4, 5));
    }

    #[test]
    fn held_back_counts_before_busy() {
        assert_eq!(Regime::of(3, true), Regime::Backpressured);
        assert_eq!(Regime::of(3, false), Regime::Busy);
        assert_eq!(Regime::of(0, false), Regime::Idle);
    }
}
