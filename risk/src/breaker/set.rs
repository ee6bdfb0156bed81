//! The risk lane's breakers: one machine per strategy, instrument and venue.
//!
//! Fed with approvals and reports by [`RiskCore`](crate::RiskCore), in the order of the journal,
//! with the turn's time: a replay opens and closes the same breakers. What an order's fate says
//! about whom:
//!
//! | fate | strategy | instrument | venue |
//! |---|---|---|---|
//! | answered: accepted, filled, would have taken | success | success | success |
//! | rejected: filter, balance, anything else | failure | failure | success |
//! | refused by the venue's rate limit, or too late for it | failure | - | failure |
//! | lost: its fate is not known | failure | failure | failure |
//! | never sent: no budget, no room | failure | - | - |
//! | never sent: killed, no session, the engine was late | - | - | - |
//!
//! In a run of several venues the third and fourth row are not held against the strategy.
//!
//! The third and fourth row, and answers that are too slow, are the venue's trouble: what they
//! opened is tried as soon as the venue is well again ([`Healing`]). A probe that is answered too
//! slowly has failed its strategy.
//!
//! A strategy's closed breaker opens by its [`Monitor`], the others by their windows. Cost while
//! all are closed: one compare an intent, one row an approval, a few additions a report.

use bot4_types::instrument::Amount;
use bot4_types::{
    BreakerScope, InstrumentId, Nanos, OrderIntent, OrderReport, ReportKind, StrategyId, VenueId,
};
use serde::{Deserialize, Serialize};

use super::calls::{Call, Calls};
use super::config::BreakerConfig;
use super::fates::{Mark, apart, fates, is_of_the_venue};
use super::global_state;
use super::healing::Healing;
use super::jitter::SeededJitter;
use super::limits::BreakerLimits;
use super::machine::{Machine, Ticket};
use super::monitor::{Monitor, TripCause};
use super::status::{Mode, State, Verdict};

/// What the set has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerCounts {
    /// Strategies' breakers opened by their monitor, by [`TripCause`].
    pub causes: [u64; TripCause::ALL.len()],
    /// Breakers opened, by strategy, instrument, venue; failed probes included.
    pub opened: [u64; 3],
    /// Breakers closed again by their probes.
    pub closed: u64,
}

/// What a fill moved, in the reporting asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    /// Profit realised by closing.
    pub realized: Amount,
    /// Its fee.
    pub fee: Amount,
}

/// The set. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Breakers {
    limits: BreakerLimits,
    configs: [BreakerConfig; 3],
    /// Strategies, then instruments, then venues.
    machines: Box<[Machine]>,
    /// The venue of each instrument.
    venues: Box<[VenueId]>,
    monitors: Box<[Monitor]>,
    healing: Healing,
    strategies: usize,
    /// Breakers that do not count among all: an operator's own.
    apart: usize,
    calls: Calls,
    now: Nanos,
    open: usize,
    half_open: usize,
    /// No open one is due before this.
    due: Nanos,
    counts: BreakerCounts,
}

/// Words of [`Breakers::unwell_words`].
pub const UNWELL_WORDS: usize = 2 + bot4_types::limits::INSTRUMENTS_MAX / 64;

/// Whose breaker stands against an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerLevel {
    /// The strategy's.
    Strategy,
    /// The instrument's.
    Instrument,
    /// The venue's.
    Venue,
    /// More than half of all are open.
    Global,
}

/// Those that have machines of their own.
const LEVELS: [BreakerLevel; 3] =
    [BreakerLevel::Strategy, BreakerLevel::Instrument, BreakerLevel::Venue];

impl Breakers {
    /// Closed breakers for so many strategies, for instruments at these `venues`, and for the
    /// venues. Allocates once.
    #[must_use]
    pub fn new(limits: &BreakerLimits, strategies: usize, venues: &[VenueId]) -> Self {
        let last = venues.iter().map(|v| v.index()).max().unwrap_or(0);
        let machines = vec![Machine::default(); strategies + venues.len() + last + 1];
        Self {
            venues: venues.into(),
            limits: *limits,
            configs: [limits.of_strategy(), limits.of_venue(), limits.of_venue()],
            healing: Healing::new(machines.len()),
            machines: machines.into_boxed_slice(),
            monitors: vec![Monitor::default(); strategies].into_boxed_slice(),
            strategies,
            apart: 0,
            calls: Calls::new(),
            now: Nanos::ZERO,
            open: 0,
            half_open: 0,
            due: Nanos::MAX,
            counts: BreakerCounts::default(),
        }
    }

    /// The same, of which `apart` strategies do not count among all breakers.
    #[must_use]
    pub const fn without(mut self, apart: usize) -> Self {
        self.apart = apart;
        self
    }

    /// A turn begins at `now`: breakers whose time is over recover.
    #[inline]
    pub fn on_turn(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        if self.open > 0 && self.now >= self.due {
            self.recover();
        }
    }

    /// An order of `strategy` in `instrument` may be placed. Pure: nothing is taken.
    ///
    /// # Errors
    /// Whose breaker stands against it; the global one only where none of its own recovers, so
    /// that what is ill can always be tried.
    #[inline]
    pub fn permits(
        &self,
        strategy: StrategyId,
        instrument: InstrumentId,
    ) -> Result<(), BreakerLevel> {
        if self.open + self.half_open == 0 { Ok(()) } else { self.judge(strategy, instrument) }
    }

    /// Notes an approved order, and takes its tickets. An order that only reduces is approved
    /// whatever the breakers say; where one is open it simply holds no ticket.
    pub fn admit(&mut self, intent: &OrderIntent) {
        let (strategy, instrument) = (intent.strategy, intent.instrument);
        let tickets = LEVELS.map(|level| {
            let index = self.index(level, strategy, instrument)?;
            let (now, config) = (self.now, self.configs[level as usize]);
            self.change(index, |machine| machine.admit(now, &config).ok())
        });
        let call = Call::new(intent.order, strategy, instrument, tickets);
        if let Some(old) = self.calls.insert(call) {
            self.settle(&old, [Mark::Nothing; 3], false);
        }
    }

    /// The session of `venue` is ready, or not any more.
    pub fn on_session(&mut self, venue: VenueId, ready: bool) {
        self.healing.session(venue, ready, self.now);
    }

    /// Something may have been heard of a venue: what its trouble opened is tried at once where
    /// the venue is well. `is_settled` says whether a venue has accounted for every order. Costs
    /// nothing while none is open.
    #[inline]
    pub fn heal(&mut self, is_settled: impl Fn(VenueId) -> bool) {
        if self.open > 0 {
            self.hasten(is_settled);
        }
    }

    /// Takes in a report that the ledger has booked; `booked` is what it moved.
    pub fn on_report(&mut self, report: &OrderReport, strategy: StrategyId, booked: Booked) {
        let (now, limits) = (self.now, self.limits);
        let several = self.machines.len() > self.strategies + self.venues.len() + 1;
        let Some(monitor) = self.monitors.get_mut(usize::from(strategy.0)) else { return };
        let net = booked.realized.saturating_sub(booked.fee);
        if net != 0 {
            monitor.on_profit(net, now, &limits);
        }
        let (mut settled, mut slow) = (None, false);
        if let Some(call) = self.calls.find(report.order) {
            if report.kind == ReportKind::Sent && call.sent_at == Nanos::ZERO {
                call.sent_at = report.at;
            }
            if report.kind == ReportKind::Acked && !call.judged && call.sent_at != Nanos::ZERO {
                slow = monitor.on_ack(report.at.since(call.sent_at).0, now, &limits);
            }
            call.closes |= booked.realized != 0;
            call.net = call.net.saturating_add(net);
            if report.state.is_terminal() && core::mem::take(&mut call.closes) {
                monitor.on_closed(call.net, &limits);
            }
            if let Some((fate, mut marks)) = fates(report).map(|f| apart(f, report, several))
                && !core::mem::replace(&mut call.judged, true)
            {
                if let Some(fate) = fate {
                    monitor.on_fate(fate, now, &limits);
                }
                if slow {
                    marks[BreakerLevel::Strategy as usize] = Mark::Failure;
                }
                settled = Some((*call, marks));
                call.tickets = [None; 3];
            }
        }
        let trouble = slow || is_of_the_venue(report);
        if let Some((call, marks)) = settled {
            self.settle(&call, marks, trouble);
        }
        self.judge_strategy(strategy, trouble.then(|| self.venue_of(report.instrument)));
    }

    /// Closes the breakers of `scope` by hand and forgets what led to it.
    pub fn reset(&mut self, scope: BreakerScope) {
        for index in self.within(scope) {
            let now = self.now;
            self.change(index, |machine| machine.reset(now));
            if let Some(monitor) = self.monitors.get_mut(index) {
                monitor.clear();
            }
        }
    }

    /// Other limits from now on. What is open stays so for the time that it was given; strategies'
    /// records begin anew where the window is another one, those of answers where their limit is.
    pub fn reconfigure(&mut self, limits: &BreakerLimits) {
        if limits.window_ns != self.limits.window_ns {
            self.monitors.fill(Monitor::default());
        }
        if limits.ack_p99_ns_max != self.limits.ack_p99_ns_max {
            self.monitors.iter_mut().for_each(Monitor::forget_answers);
        }
        self.limits = *limits;
        self.configs = [limits.of_strategy(), limits.of_venue(), limits.of_venue()];
    }

    /// Opens the breakers of `scope` by hand; they heal as any other.
    pub fn trip(&mut self, scope: BreakerScope) {
        for index in self.within(scope) {
            let (now, jitter) = (self.now, self.jitter(index));
            let config = self.configs[usize::from(index >= self.strategies)];
            if self.change(index, |machine| machine.trip(now, &config, &jitter)) {
                self.healing.opened(index, None, now);
            }
        }
    }

    /// The state of all together.
    #[must_use]
    pub const fn global(&self) -> State {
        global_state(self.counted(), self.open, self.half_open)
    }

    /// Breakers that are open and half-open.
    #[must_use]
    pub const fn unwell(&self) -> (usize, usize) {
        (self.open, self.half_open)
    }

    /// Number of breakers.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.machines.len()
    }

    /// Those that count among all.
    #[must_use]
    pub const fn counted(&self) -> usize {
        self.machines.len() - self.apart
    }

    /// There is always a venue's.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// Which are not closed, a bit each: strategies, venues, then instruments by sixty-four.
    #[must_use]
    pub fn unwell_words(&self) -> [u64; UNWELL_WORDS] {
        let mut words = [0; UNWELL_WORDS];
        if self.open + self.half_open == 0 {
            return words;
        }
        let instruments = self.venues.len();
        for (index, machine) in self.machines.iter().enumerate() {
            let (word, bit) = match index.checked_sub(self.strategies) {
                None => (0, index),
                Some(at) if at >= instruments => (1, at - instruments),
                Some(instrument) => (2 + instrument / 64, instrument % 64),
            };
            if let (Some(word), true) = (words.get_mut(word), machine.mode() != Mode::Closed) {
                *word |= 1 << (bit % 64);
            }
        }
        words
    }

    /// The state of `strategy`'s breaker.
    #[must_use]
    pub fn of_strategy(&self, strategy: StrategyId) -> Option<State> {
        let index = self.index(BreakerLevel::Strategy, strategy, InstrumentId(0))?;
        Some(self.machines[index].state(self.now))
    }

    /// The state of `instrument`'s breaker.
    #[must_use]
    pub fn of_instrument(&self, instrument: InstrumentId) -> Option<State> {
        let index = self.index(BreakerLevel::Instrument, StrategyId(0), instrument)?;
        Some(self.machines[index].state(self.now))
    }

    /// The state of the breaker of `venue`.
    #[must_use]
    pub fn of_venue(&self, venue: VenueId) -> Option<State> {
        let index = self.strategies + self.venues.len() + venue.index();
        self.machines.get(index).map(|machine| machine.state(self.now))
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> &BreakerCounts {
        &self.counts
    }

    #[cold]
    fn judge(&self, strategy: StrategyId, instrument: InstrumentId) -> Result<(), BreakerLevel> {
        let mut probes = false;
        for level in LEVELS {
            // Who is not in the tables is refused by other checks.
            let Some(index) = self.index(level, strategy, instrument) else { continue };
            let machine = &self.machines[index];
            machine.permits(self.now, &self.configs[level as usize]).map_err(|_| level)?;
            probes |= machine.state(self.now) == State::HalfOpen;
        }
        if self.global() == State::Open && !probes {
            return Err(BreakerLevel::Global);
        }
        Ok(())
    }

    /// Opens the breaker of a strategy whose record breaks a rule; `trouble` is the venue whose
    /// trouble was the last straw, where it was one's.
    fn judge_strategy(&mut self, strategy: StrategyId, trouble: Option<VenueId>) {
        let index = usize::from(strategy.0);
        let Some(cause) = self.monitors[index].verdict(&self.limits) else { return };
        let (now, config, jitter) = (self.now, self.configs[0], self.jitter(index));
        if self.change(index, |machine| machine.trip(now, &config, &jitter)) {
            self.healing.opened(index, trouble, now);
            self.counts.causes[cause as usize] += 1;
            self.counts.opened[0] += 1;
            self.monitors[index].clear();
        }
    }

    /// Hands the tickets of `call` back; what failed was the venue's `trouble`, or the order's.
    fn settle(&mut self, call: &Call, marks: [Mark; 3], trouble: bool) {
        for ((level, ticket), mark) in LEVELS.into_iter().zip(call.tickets).zip(marks) {
            let Some(ticket) = ticket else { continue };
            let Some(index) = self.index(level, call.strategy, call.instrument) else { continue };
            match self.apply(level, index, ticket, mark) {
                Some(Verdict::Opened) => {
                    self.counts.opened[level as usize] += 1;
                    let venue = trouble.then(|| self.venue_of(call.instrument));
                    self.healing.opened(index, venue, self.now);
                    // A probe that failed opens it once.
                    if let Some(monitor) = self.monitors.get_mut(index) {
                        monitor.clear();
                    }
                }
                Some(Verdict::Closed) => self.counts.closed += 1,
                _ => {}
            }
        }
    }

    fn apply(
        &mut self,
        level: BreakerLevel,
        index: usize,
        ticket: Ticket,
        mark: Mark,
    ) -> Option<Verdict> {
        let (now, config, jitter) = (self.now, self.configs[level as usize], self.jitter(index));
        self.change(index, |machine| match mark {
            Mark::Success => Some(machine.succeed(ticket, now, &config)),
            Mark::Failure => Some(machine.fail(ticket, now, &config, &jitter)),
            Mark::Nothing => {
                machine.release(ticket);
                None
            }
        })
    }

    #[cold]
    fn recover(&mut self) {
        self.due = Nanos::MAX;
        for machine in &mut self.machines {
            if machine.recover(self.now) {
                self.open -= 1;
                self.half_open += 1;
            }
            if let Mode::Open { until } = machine.mode() {
                self.due = self.due.min(until.nanos());
            }
        }
    }

    #[cold]
    fn hasten(&mut self, is_settled: impl Fn(VenueId) -> bool) {
        for (index, machine) in self.machines.iter_mut().enumerate() {
            let Mode::Open { until } = machine.mode() else { continue };
            let (now, open_ns) = (self.now, self.limits.open_ns);
            if let Some(at) = self.healing.try_at(index, until, now, open_ns, &is_settled) {
                machine.hasten(at);
                self.due = self.due.min(at.nanos());
            }
        }
        if self.now >= self.due {
            self.recover();
        }
    }

    /// Changes a machine and keeps the sums over all of them.
    fn change<T>(&mut self, index: usize, change: impl FnOnce(&mut Machine) -> T) -> T {
        let machine = &mut self.machines[index];
        let before = machine.mode();
        let result = change(machine);
        let after = machine.mode();
        if before != after {
            let count = |mode| match mode {
                Mode::Closed => (0, 0),
                Mode::Open { .. } => (1, 0),
                Mode::HalfOpen { .. } => (0, 1),
            };
            let (old, new) = (count(before), count(after));
            self.open = self.open + new.0 - old.0;
            self.half_open = self.half_open + new.1 - old.1;
            if let Mode::Open { until } = after {
                self.due = self.due.min(until.nanos());
            }
        }
        result
    }

    fn within(&self, scope: BreakerScope) -> core::ops::Range<usize> {
        let one = |level, strategy, instrument| {
            self.index(level, strategy, instrument).map_or(0..0, |index| index..index + 1)
        };
        match scope {
            BreakerScope::All => 0..self.machines.len(),
            BreakerScope::Strategy(s) => one(BreakerLevel::Strategy, s, InstrumentId(0)),
            BreakerScope::Instrument(i) => one(BreakerLevel::Instrument, StrategyId(0), i),
            BreakerScope::Venue => self.strategies + self.venues.len()..self.machines.len(),
        }
    }

    fn index(
        &self,
        level: BreakerLevel,
        strategy: StrategyId,
        instrument: InstrumentId,
    ) -> Option<usize> {
        let first = self.strategies + self.venues.len();
        let (index, end) = match level {
            BreakerLevel::Strategy => (usize::from(strategy.0), self.strategies),
            BreakerLevel::Instrument => (self.strategies + instrument.index(), first),
            BreakerLevel::Venue => (first + self.venue_of(instrument).index(), self.machines.len()),
            BreakerLevel::Global => return None,
        };
        (index < end).then_some(index)
    }

    /// An instrument that is not in the tables counts as one of the first venue.
    fn venue_of(&self, instrument: InstrumentId) -> VenueId {
        self.venues.get(instrument.index()).copied().unwrap_or_default()
    }

    const fn jitter(&self, index: usize) -> SeededJitter {
        SeededJitter(self.limits.seed).nth(index as u64)
    }
}

#[cfg(all(test, not(loom)))]
#[path = "set_tests.rs"]
mod tests;
