//! Time for shared breakers, and the guard against a clock that runs backwards.

use bot4_types::Nanos;

use super::status::Tick;
use super::sync::{AtomicU64, Ordering};

/// A clock that several threads may read. It should never run backwards; a breaker does not rely
/// on it.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Nanos;
}

impl Clock for bot4_lanes::Clock {
    #[inline]
    fn now(&self) -> Nanos {
        Self::now(self)
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    #[inline]
    fn now(&self) -> Nanos {
        (**self).now()
    }
}

/// The latest tick that anybody has seen: time below it stands still.
///
/// A clock that steps back could otherwise age nothing and keep a window full, or put a deadline
/// into the past; with the guard an open breaker stays open until the clock has caught up.
#[derive(Debug, Default)]
pub(crate) struct Latest(AtomicU64);

impl Latest {
    /// `now`, or the latest time seen when that is later. Relaxed: the number alone counts, and
    /// `fetch_max` never takes it back. Written once a tick, read otherwise.
    #[inline]
    pub(crate) fn raise(&self, now: Nanos) -> Nanos {
        let tick = Tick::floor(now);
        let seen = Tick::from_raw(self.0.load(Ordering::Relaxed));
        if tick > seen {
            let before = Tick::from_raw(self.0.fetch_max(tick.raw(), Ordering::Relaxed));
            return now.max(before.nanos());
        }
        now.max(seen.nanos())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_rather_than_turning_back() {
        let latest = Latest::default();
        assert_eq!(latest.raise(Nanos::from_secs(5)), Nanos::from_secs(5));
        let back = latest.raise(Nanos::from_secs(3));
        assert!(back <= Nanos::from_secs(5) && back.0 > Nanos::from_secs(5).0 - (1 << 16));
        assert_eq!(latest.raise(Nanos::from_secs(6)), Nanos::from_secs(6));
    }
}
