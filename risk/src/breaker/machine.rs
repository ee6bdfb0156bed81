//! The breaker of one owner: the same machine as [`Breaker`](super::Breaker) in plain memory,
//! driven by the time it is given. Nothing here is read from outside, so a replay that feeds the
//! same calls gets the same answers.
//!
//! Cost: a permit of a closed breaker is a compare; recording is a store into the window's ring.

use bot4_types::Nanos;
use serde::{Deserialize, Serialize};

use super::config::BreakerConfig;
use super::jitter::Jitter;
use super::status::{Asked, Mode, Refusal, State, Status, Tick, Verdict};
use super::window::{Entry, OwnWindow};

/// The right to make one call: to be handed back with its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub(crate) epoch: u32,
}

/// The machine. Its configuration is handed in with every call: many machines share one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    status: Status,
    /// Time never turns back behind this.
    latest: Tick,
    window: OwnWindow,
}

impl Default for Machine {
    fn default() -> Self {
        Self { status: Status::START, latest: Tick::default(), window: OwnWindow::new() }
    }
}

impl Machine {
    /// The state at `now`.
    #[must_use]
    pub fn state(&self, now: Nanos) -> State {
        self.status.state(self.tick(now))
    }

    /// It is `now`: time does not turn back behind it while the breaker is not closed.
    pub fn on_time(&mut self, now: Nanos) {
        if self.status.mode != Mode::Closed {
            self.raise(now);
        }
    }

    /// A call may be made at `now`; nothing is taken.
    ///
    /// # Errors
    /// The [`Refusal`].
    #[inline]
    pub fn permits(&self, now: Nanos, config: &BreakerConfig) -> Result<(), Refusal> {
        match self.status.ask(self.tick(now), config.probes_max) {
            Asked::Pass | Asked::Move(_) => Ok(()),
            Asked::Refused(refusal) => Err(refusal),
        }
    }

    /// Permits one call at `now`.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn admit(&mut self, now: Nanos, config: &BreakerConfig) -> Result<Ticket, Refusal> {
        if self.status.mode != Mode::Closed {
            self.on_time(now);
            match self.status.ask(self.tick(now), config.probes_max) {
                Asked::Pass => {}
                Asked::Move(next) => self.status = next,
                Asked::Refused(refusal) => return Err(refusal),
            }
        }
        Ok(Ticket { epoch: self.status.epoch })
    }

    /// Records a call that succeeded.
    pub fn succeed(&mut self, ticket: Ticket, now: Nanos, config: &BreakerConfig) -> Verdict {
        if ticket.epoch != self.status.epoch {
            return Verdict::Late;
        }
        if self.status.mode == Mode::Closed {
            self.record(ticket, now, false);
            return Verdict::Counted;
        }
        match self.status.probe_passed(ticket.epoch, config.successes_to_close) {
            Some(next) => {
                self.status = next;
                if next.mode != Mode::Closed {
                    return Verdict::Counted;
                }
                self.raise(now);
                Verdict::Closed
            }
            None => Verdict::Late,
        }
    }

    /// Records a call that failed.
    pub fn fail(
        &mut self,
        ticket: Ticket,
        now: Nanos,
        config: &BreakerConfig,
        jitter: &impl Jitter,
    ) -> Verdict {
        if ticket.epoch != self.status.epoch {
            return Verdict::Late;
        }
        if self.status.mode == Mode::Closed {
            self.record(ticket, now, true);
            let tally = self.window.tally(self.tick(now), ticket.epoch, config);
            if tally.calls < config.calls_min {
                return Verdict::MinCallsNotMet;
            }
            if !config.is_too_much(tally.calls, tally.errors) {
                return Verdict::Counted;
            }
        }
        if self.trip(now, config, jitter) { Verdict::Opened } else { Verdict::Late }
    }

    /// Gives a call's token back without a verdict.
    pub fn release(&mut self, ticket: Ticket) {
        if let Some(next) = self.status.released(ticket.epoch) {
            self.status = next;
        }
    }

    /// Opens it; false when it is open already.
    pub fn trip(&mut self, now: Nanos, config: &BreakerConfig, jitter: &impl Jitter) -> bool {
        let now = self.raise(now);
        let epoch = self.status.epoch;
        let extra = jitter.extra_ns(epoch, config.jitter_ns_max());
        let until = Tick::ceil(now + Nanos(config.open_ns) + Nanos(extra));
        let next = self.status.opened(epoch, until);
        self.status = next.unwrap_or(self.status);
        next.is_some()
    }

    /// An open one may be tried from `until` on, when that is earlier.
    pub(crate) const fn hasten(&mut self, until: Tick) {
        self.status = self.status.hastened(until);
    }

    /// Closes it by hand, with an empty window.
    pub fn reset(&mut self, now: Nanos) {
        self.raise(now);
        self.status = self.status.reset();
    }

    /// An open one whose time is over at `now` becomes half-open, with all its tokens. True when
    /// it did.
    pub(crate) fn recover(&mut self, now: Nanos) -> bool {
        let next = self.status.recovered(self.tick(now));
        self.status = next.unwrap_or(self.status);
        next.is_some()
    }

    /// The stored state, and how long it is open.
    pub(crate) const fn mode(&self) -> Mode {
        self.status.mode
    }

    fn record(&mut self, ticket: Ticket, now: Nanos, failed: bool) {
        let at = Tick::floor(self.raise(now));
        self.window.record(Entry { at, epoch: ticket.epoch, failed });
    }

    /// `now`, or the latest time seen when that is later.
    fn raise(&mut self, now: Nanos) -> Nanos {
        self.latest = self.tick(now);
        now.max(self.latest.nanos())
    }

    fn tick(&self, now: Nanos) -> Tick {
        self.latest.max(Tick::floor(now))
    }
}
