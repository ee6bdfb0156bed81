//! Stage stamps.

use bot4_types::Nanos;

use crate::clock::Clock;

/// Hands out stamps for stage borders: the TSC on a live lane, logical time in simulation.
/// Its values go into trails and histograms and never into a decision.
#[derive(Clone, Debug)]
pub struct Probe {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Live(Clock),
    Logical(Nanos),
}

impl Probe {
    /// A probe that reads `clock`.
    #[must_use]
    pub const fn live(clock: Clock) -> Self {
        Self { source: Source::Live(clock) }
    }

    /// A probe that always answers the time last [`set`](Self::set).
    #[must_use]
    pub const fn logical() -> Self {
        Self { source: Source::Logical(Nanos::ZERO) }
    }

    /// Moves logical time; no effect on a live probe.
    pub fn set(&mut self, now: Nanos) {
        if let Source::Logical(at) = &mut self.source {
            *at = now;
        }
    }

    /// The stamp now.
    #[must_use]
    #[inline]
    pub fn stamp(&self) -> Nanos {
        match &self.source {
            Source::Live(clock) => clock.now(),
            Source::Logical(at) => *at,
        }
    }
}
