//! Stage stamps.

use bot4_types::Nanos;

use crate::clock::Clock;

/// Hands out stamps for stage borders: the TSC on a live lane, logical time in simulation.
/// Its values go into trails and histograms and never into a decision.
#[derive(Clone, Debug)]
pub struct Probe {
    source: Source,
    backpressured: bool,
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
        Self { source: Source::Live(clock), backpressured: false }
    }

    /// A probe that always answers the time last [`set`](Self::set).
    #[must_use]
    pub const fn logical() -> Self {
        Self { source: Source::Logical(Nanos::ZERO), backpressured: false }
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

    /// Notes that the agent had input but no room for output; the lane books the turn as
    /// backpressured.
    pub const fn note_backpressure(&mut self) {
        self.backpressured = true;
    }

    /// Whether backpressure was noted since the last call.
    pub const fn take_backpressure(&mut self) -> bool {
        core::mem::replace(&mut self.backpressured, false)
    }
}
