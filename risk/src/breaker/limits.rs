//! What the risk lane's breakers start from: plain integers, journaled with the run's inputs.

use core::fmt;
use serde::{Deserialize, Serialize};

use bot4_types::instrument::Amount;

use super::config::{BreakerConfig, BreakerConfigError, Unjudged, WINDOW_CALLS_MAX};
use crate::limits::units;

/// When strategies, instruments and the venue are left alone, and for how long. `_e4` is 10^-4.
/// Zero switches a rule off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerLimits {
    /// Losing orders of a strategy in a row: such that closed something, and lost by it.
    pub losses_max: u32,
    /// An order that loses less is no losing order: spread and fees of a single trade are not a
    /// strategy that goes wrong. In the reporting asset.
    pub loss_min: Amount,
    /// What a strategy may lose within the window, fees included, in the reporting asset.
    pub loss_max: Amount,
    /// Share of a strategy's orders that the venue rejects.
    pub reject_e4_max: u32,
    /// Share of a strategy's orders that get lost or cannot be sent.
    pub error_e4_max: u32,
    /// The 99th percentile of a strategy's times from send to answer, ns.
    pub ack_p99_ns_max: u64,
    /// Orders in the window below which no share and no percentile is judged.
    pub calls_min: u32,
    /// Failures in the window that open an instrument's or the venue's breaker.
    pub errors_max: u32,
    /// How far back all of them look, ns.
    pub window_ns: u64,
    /// How long a breaker stays open at least, ns.
    pub open_ns: u64,
    /// Up to this share of `open_ns` longer, 10^-4.
    pub jitter_e4: u32,
    /// Orders that must be answered well to close it.
    pub successes_to_close: u16,
    /// Such orders under way at a time.
    pub probes_max: u16,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            losses_max: 5,
            loss_min: units(1),
            loss_max: units(5_000),
            reject_e4_max: 5_000,
            error_e4_max: 2_000,
            ack_p99_ns_max: 1_000_000_000,
            calls_min: 20,
            errors_max: 5,
            window_ns: 60_000_000_000,
            open_ns: 5_000_000_000,
            jitter_e4: 2_000,
            successes_to_close: 3,
            probes_max: 3,
            seed: 0,
        }
    }
}

/// A field that cannot be meant, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerLimitError {
    /// `loss_min` or `loss_max` is negative.
    Loss,
    /// A share is above 10,000.
    Share,
    /// `calls_min` is zero.
    CallsMin,
    /// `errors_max` is above [`WINDOW_CALLS_MAX`].
    ErrorsMax,
    /// Window, timeout, jitter or recovery.
    Breaker(BreakerConfigError),
}

impl fmt::Display for BreakerLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("loss_min and loss_max must not be negative (zero: none)"),
            Self::Share => f.write_str("reject_e4_max and error_e4_max must be within 0..=10000"),
            Self::CallsMin => f.write_str("calls_min must be above zero"),
            Self::ErrorsMax => f.write_str("errors_max must be within 0..=128"),
            Self::Breaker(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BreakerLimitError {}

impl BreakerLimits {
    /// No rule at all: nothing ever opens by itself.
    #[must_use]
    pub fn off() -> Self {
        Self {
            losses_max: 0,
            loss_max: 0,
            reject_e4_max: 0,
            error_e4_max: 0,
            ack_p99_ns_max: 0,
            errors_max: 0,
            ..Self::default()
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that cannot be meant.
    pub fn validate(&self) -> Result<(), BreakerLimitError> {
        use BreakerLimitError as E;
        let rules = [
            (self.loss_min.min(self.loss_max) >= 0, E::Loss),
            (self.reject_e4_max.max(self.error_e4_max) <= 10_000, E::Share),
            (self.calls_min > 0, E::CallsMin),
            (self.errors_max <= WINDOW_CALLS_MAX as u32, E::ErrorsMax),
        ];
        let wrong = rules.into_iter().find(|(holds, _)| !holds);
        wrong.map_or(Ok(()), |(_, error)| Err(error))?;
        self.of_venue().validate().map_err(E::Breaker)
    }

    /// The breakers of instruments and of the venue.
    pub(crate) const fn of_venue(&self) -> BreakerConfig {
        BreakerConfig {
            errors_max: self.errors_max,
            error_rate_e4_max: 0,
            // The number of errors is the measure: fewer calls cannot reach it.
            calls_min: self.errors_max,
            window_calls: WINDOW_CALLS_MAX as u32,
            window_ns: self.window_ns,
            successes_to_close: self.successes_to_close,
            probes_max: self.probes_max,
            open_ns: self.open_ns,
            jitter_e4: self.jitter_e4,
            unjudged: Unjudged::Ignored,
        }
    }

    /// Those of strategies: opened by their monitors alone.
    pub(crate) const fn of_strategy(&self) -> BreakerConfig {
        BreakerConfig { errors_max: 0, ..self.of_venue() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_checked() {
        use BreakerLimitError as E;
        let bad = |change: fn(&mut BreakerLimits)| {
            let mut limits = BreakerLimits::default();
            change(&mut limits);
            limits.validate()
        };
        assert_eq!(bad(|_| ()), Ok(()));
        assert_eq!(BreakerLimits::off().validate(), Ok(()));
        assert_eq!(bad(|l| l.loss_max = -1), Err(E::Loss));
        assert_eq!(bad(|l| l.loss_min = -1), Err(E::Loss));
        assert_eq!(bad(|l| l.reject_e4_max = 10_001), Err(E::Share));
        assert_eq!(bad(|l| l.error_e4_max = 10_001), Err(E::Share));
        assert_eq!(bad(|l| l.calls_min = 0), Err(E::CallsMin));
        assert_eq!(bad(|l| l.errors_max = 129), Err(E::ErrorsMax));
        let nested = |e| Err(E::Breaker(e));
        assert_eq!(bad(|l| l.window_ns = 0), nested(BreakerConfigError::Window));
        assert_eq!(bad(|l| l.open_ns = 0), nested(BreakerConfigError::Timeout));
        assert_eq!(bad(|l| l.probes_max = 0), nested(BreakerConfigError::Recovery));
        assert_eq!(bad(|l| l.jitter_e4 = 10_001), nested(BreakerConfigError::Jitter));
    }
}
