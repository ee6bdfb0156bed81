//! Time as a value. Agents receive `now` as an argument; nobody below the lane reads a clock.

use core::ops::{Add, Sub};
use serde::{Deserialize, Serialize};

/// Nanoseconds on the engine's monotonic clock, counted from the engine's start.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The start of the engine's clock.
    pub const ZERO: Self = Self(0);
    /// Later than any stamp; used for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `ms` milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// A span of `s` seconds.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1_000_000_000)
    }

    /// The span from `earlier` to `self`, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// Whole milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Nanos {
    type Output = Self;
    fn sub(self, span: Self) -> Self {
        self.since(span)
    }
}

/// The mapping from engine time to wall time. Used only where a venue asks for wall time
/// (request timestamps) and where a person reads a stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wall {
    /// Unix time in nanoseconds at engine time zero, corrected to the venue's clock when known.
    pub origin_unix_ns: i64,
}

impl Wall {
    /// Unix time in nanoseconds at engine time `now`.
    #[must_use]
    pub const fn unix_ns(self, now: Nanos) -> i64 {
        self.origin_unix_ns.saturating_add(now.0 as i64)
    }

    /// Unix time in milliseconds at engine time `now`.
    #[must_use]
    pub const fn unix_ms(self, now: Nanos) -> i64 {
        self.unix_ns(now) / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_saturate_instead_of_wrapping() {
        assert_eq!(Nanos(5).since(Nanos(9)), Nanos::ZERO);
        assert_eq!(Nanos::MAX + Nanos(1), Nanos::MAX);
        assert_eq!(Nanos::from_millis(2) - Nanos::from_millis(1), Nanos(1_000_000));
    }

    #[test]
    fn wall_time_adds_the_origin() {
        let wall = Wall { origin_unix_ns: 1_700_000_000_000_000_000 };
        assert_eq!(wall.unix_ms(Nanos::from_secs(1)), 1_700_000_001_000);
    }
}
