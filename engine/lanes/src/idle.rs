//! What a lane does when its agents had nothing to do.

use std::time::Duration;

/// How a lane waits. Chosen by placement from what the host grants, never by an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleKind {
    /// `pause` and look again: for a lane with a CPU of its own.
    Spin,
    /// A few yields, then short parks: for a lane that shares its CPU.
    YieldPark,
    /// Parks at once: for cold lanes, which never spin.
    Park,
}

impl IdleKind {
    /// The name used in plans and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::YieldPark => "yield-park",
            Self::Park => "park",
        }
    }
}

/// Empty turns that only yield before a shared lane parks.
const YIELDS_MAX: u32 = 32;
/// Longest park of a shared hot lane: bounds the latency it adds to a quiet market.
const PARK_HOT: Duration = Duration::from_micros(50);
/// Park of a cold lane.
const PARK_COLD: Duration = Duration::from_millis(1);

/// The state of an idle strategy, fed with the work count of each turn.
#[derive(Debug)]
pub struct Idle {
    kind: IdleKind,
    empty_turns: u32,
}

impl Idle {
    /// A fresh strategy.
    #[must_use]
    pub const fn new(kind: IdleKind) -> Self {
        Self { kind, empty_turns: 0 }
    }

    /// Waits as the strategy says after a turn that did `work` things.
    #[inline]
    pub fn idle(&mut self, work: usize) {
        if work > 0 {
            self.empty_turns = 0;
            return;
        }
        match self.kind {
            IdleKind::Spin => std::hint::spin_loop(),
            IdleKind::YieldPark if self.empty_turns < YIELDS_MAX => {
                self.empty_turns += 1;
                std::thread::yield_now();
            }
            IdleKind::YieldPark => std::thread::park_timeout(PARK_HOT),
            IdleKind::Park => std::thread::park_timeout(PARK_COLD),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_resets_the_way_to_parking() {
        let mut idle = Idle::new(IdleKind::YieldPark);
        for _ in 0..YIELDS_MAX {
            idle.idle(0);
        }
        assert_eq!(idle.empty_turns, YIELDS_MAX);
        idle.idle(1);
        assert_eq!(idle.empty_turns, 0);
    }
}
