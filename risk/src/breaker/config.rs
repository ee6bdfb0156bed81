//! When a breaker opens and how it recovers.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Calls that a window can remember: 1 KiB a breaker, and a failure looks at all of them.
pub const WINDOW_CALLS_MAX: usize = if cfg!(loom) { 2 } else { 128 };
/// Longest timeout and window: a day.
const SPAN_NS_MAX: u64 = 86_400_000_000_000;
/// Shortest timeout: well above a tick, and what the epochs' arithmetic relies on.
const OPEN_NS_MIN: u64 = 1_000_000;

/// What a call counts as whose permit is dropped without a verdict, unwinding included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unjudged {
    /// A failure: whoever forgets the verdict errs to the safe side.
    #[default]
    Failure,
    /// A success.
    Success,
    /// Nothing; only its token is given back.
    Ignored,
}

/// A breaker's configuration. Plain integers, so that it can be journaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerConfig {
    /// Failures in the window that open it; zero: no such number.
    pub errors_max: u32,
    /// Share of failures in the window that opens it, 10^-4; zero: no such share. Without
    /// either it opens by hand alone.
    pub error_rate_e4_max: u32,
    /// Calls in the window below which nothing is judged.
    pub calls_min: u32,
    /// The window holds at most so many calls, up to [`WINDOW_CALLS_MAX`].
    pub window_calls: u32,
    /// And none older than this, ns.
    pub window_ns: u64,
    /// Probes that must succeed to close it.
    pub successes_to_close: u16,
    /// Probes under way at a time.
    pub probes_max: u16,
    /// How long it stays open at least, ns.
    pub open_ns: u64,
    /// Up to this share of `open_ns` longer, 10^-4: many breakers do not come back in step.
    pub jitter_e4: u32,
    /// Permits that are dropped without a verdict.
    pub unjudged: Unjudged,
}

impl Default for BreakerConfig {
    /// 5 errors open, 3 successes close, 5 s open.
    fn default() -> Self {
        Self {
            errors_max: 5,
            error_rate_e4_max: 0,
            calls_min: 5,
            window_calls: 100,
            window_ns: 60_000_000_000,
            successes_to_close: 3,
            probes_max: 3,
            open_ns: 5_000_000_000,
            jitter_e4: 2_000,
            unjudged: Unjudged::Failure,
        }
    }
}

/// A field that cannot be meant, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerConfigError {
    /// `window_calls` is not within `1..=`[`WINDOW_CALLS_MAX`].
    WindowCalls,
    /// `window_ns` is zero or above a day.
    Window,
    /// `calls_min` or `errors_max` is above `window_calls`: it could never open.
    Unreachable,
    /// `error_rate_e4_max` is above 10,000.
    ErrorRate,
    /// `successes_to_close` or `probes_max` is zero: it could never close.
    Recovery,
    /// `open_ns` is not within 1 ms to a day.
    Timeout,
    /// `jitter_e4` is above 10,000.
    Jitter,
}

impl fmt::Display for BreakerConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WindowCalls => "window_calls must be within 1..=128",
            Self::Window => "window_ns must be above zero, at most a day",
            Self::Unreachable => "calls_min and errors_max must be at most window_calls",
            Self::ErrorRate => "error_rate_e4_max must be at most 10000 (10^-4)",
            Self::Recovery => "successes_to_close and probes_max must be above zero",
            Self::Timeout => "open_ns must be within 1 ms to a day",
            Self::Jitter => "jitter_e4 must be at most 10000 (10^-4)",
        })
    }
}

impl std::error::Error for BreakerConfigError {}

impl BreakerConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that cannot be meant.
    pub fn validate(&self) -> Result<(), BreakerConfigError> {
        use BreakerConfigError as E;
        let rules = [
            ((1..=WINDOW_CALLS_MAX as u32).contains(&self.window_calls), E::WindowCalls),
            ((1..=SPAN_NS_MAX).contains(&self.window_ns), E::Window),
            (self.calls_min.max(self.errors_max) <= self.window_calls, E::Unreachable),
            (self.error_rate_e4_max <= 10_000, E::ErrorRate),
            (self.successes_to_close > 0 && self.probes_max > 0, E::Recovery),
            ((OPEN_NS_MIN..=SPAN_NS_MAX).contains(&self.open_ns), E::Timeout),
            (self.jitter_e4 <= 10_000, E::Jitter),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Longest addition to `open_ns`.
    pub(crate) const fn jitter_ns_max(&self) -> u64 {
        (self.open_ns as u128 * self.jitter_e4 as u128 / 10_000) as u64
    }

    /// A window of so many `calls` with so many `errors` among them opens the breaker.
    pub(crate) const fn is_too_much(&self, calls: u32, errors: u32) -> bool {
        let number = self.errors_max > 0 && errors >= self.errors_max;
        let rate = self.error_rate_e4_max as u64 * calls as u64;
        number || (self.error_rate_e4_max > 0 && errors as u64 * 10_000 >= rate)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_checked() {
        use BreakerConfigError as E;
        let bad = |change: fn(&mut BreakerConfig)| {
            let mut config = BreakerConfig::default();
            change(&mut config);
            config.validate()
        };
        assert_eq!(bad(|_| ()), Ok(()));
        assert_eq!(bad(|c| c.window_calls = 0), Err(E::WindowCalls));
        assert_eq!(bad(|c| c.window_calls = 129), Err(E::WindowCalls));
        assert_eq!(bad(|c| c.window_ns = 0), Err(E::Window));
        assert_eq!(bad(|c| c.calls_min = 101), Err(E::Unreachable));
        assert_eq!(bad(|c| c.errors_max = 101), Err(E::Unreachable));
        assert_eq!(bad(|c| c.error_rate_e4_max = 10_001), Err(E::ErrorRate));
        assert_eq!(bad(|c| c.probes_max = 0), Err(E::Recovery));
        assert_eq!(bad(|c| c.successes_to_close = 0), Err(E::Recovery));
        assert_eq!(bad(|c| c.open_ns = 999_999), Err(E::Timeout));
        assert_eq!(bad(|c| c.open_ns = u64::MAX), Err(E::Timeout));
        assert_eq!(bad(|c| c.jitter_e4 = 10_001), Err(E::Jitter));
    }

    #[test]
    fn number_and_share_both_open() {
        let config = BreakerConfig { error_rate_e4_max: 5_000, ..BreakerConfig::default() };
        assert!(!config.is_too_much(9, 4) && config.is_too_much(8, 4));
        assert!(config.is_too_much(100, 5), "the number alone");
        let by_hand = BreakerConfig { errors_max: 0, ..BreakerConfig::default() };
        assert!(!by_hand.is_too_much(100, 100));
    }
}
