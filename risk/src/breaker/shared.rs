//! A breaker that several threads ask: one word, moved by compare-exchange, and no lock.
//!
//! Invariants, proven under loom (`tests/loom.rs`): at most `probes_max` probes are under way and
//! none of their tokens is lost; every change of state is made, and told, by exactly one thread;
//! a decision uses one whole configuration.
//!
//! Cost: a permit of a closed breaker is one load of a word that nobody writes meanwhile; a
//! success adds one claimed slot and a stamp of the clock. The rest is slow and may be.
//! `Acquire` of the word pairs with the `AcqRel` exchange that moved it: who gets a permit sees
//! what the call did whose success closed the breaker, or whose token was given back.

use bot4_types::Nanos;

use super::clock::{Clock, Latest};
use super::config::{BreakerConfig, BreakerConfigError};
use super::event::{Change, Event, Events};
use super::jitter::Jitter;
use super::permit::Permit;
use super::status::{Asked, Mode, Refusal, State, Status, Tick, Verdict};
use super::sync::{AtomicU64, Mistake, Ordering, Swap, acquire, exchange, planted};
use super::window::{Entry, SharedWindow};

/// Alone on its pair of cache lines (the prefetcher fetches pairs).
#[derive(Debug)]
#[repr(align(128))]
struct Line<T>(T);

/// The breaker. See the module's text.
pub struct Breaker<C> {
    /// The packed [`Status`]: read by every call, written when the state changes.
    word: Line<AtomicU64>,
    /// Written by every call.
    window: Line<SharedWindow>,
    /// Written once a tick.
    latest: Line<Latest>,
    config: Swap<BreakerConfig>,
    clock: C,
    jitter: Box<dyn Jitter>,
    events: Events,
    name: &'static str,
}

// Nobody who only asks for permits waits for the line of somebody who records.
#[cfg(not(loom))]
const _: () = {
    use core::mem::{align_of, offset_of};
    type Padded = Breaker<bot4_lanes::Clock>;
    assert!(align_of::<Padded>() == 128);
    assert!(offset_of!(Padded, word) % 128 == 0 && offset_of!(Padded, window) % 128 == 0);
    assert!(offset_of!(Padded, word).abs_diff(offset_of!(Padded, window)) >= 128);
    assert!(offset_of!(Padded, word).abs_diff(offset_of!(Padded, latest)) >= 128);
    assert!(offset_of!(Padded, word).abs_diff(offset_of!(Padded, config)) >= 128);
};

impl<C: Clock> Breaker<C> {
    /// A closed breaker called `name`, which tells its changes to `events`.
    ///
    /// # Errors
    /// See [`BreakerConfig::validate`].
    pub fn new(
        name: &'static str,
        config: BreakerConfig,
        clock: C,
        jitter: impl Jitter + 'static,
        events: &Events,
    ) -> Result<Self, BreakerConfigError> {
        config.validate()?;
        Ok(Self {
            word: Line(AtomicU64::new(Status::START.pack())),
            window: Line(SharedWindow::new()),
            latest: Line(Latest::default()),
            config: Swap::new(config),
            clock,
            jitter: Box::new(jitter),
            events: events.clone(),
            name,
        })
    }

    /// What it is called in events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Asks for a permit to make one call.
    ///
    /// # Errors
    /// The [`Refusal`]; it is told as an event too.
    #[inline]
    pub fn acquire(&self) -> Result<Permit<'_, C>, Refusal> {
        let word = self.word.0.load(acquire());
        if Status::is_closed(word) {
            return Ok(Permit::new(self, Status::epoch_of(word)));
        }
        self.acquire_unwell(word)
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        let status = Status::unpack(self.word.0.load(acquire()));
        match status.mode {
            Mode::Closed => State::Closed,
            _ => status.state(Tick::floor(self.now())),
        }
    }

    /// The configuration in use.
    #[must_use]
    pub fn config(&self) -> BreakerConfig {
        self.config.load()
    }

    /// Replaces the configuration for all decisions that begin from now on. A deadline that runs
    /// stays.
    ///
    /// # Errors
    /// See [`BreakerConfig::validate`]; the old one then stays.
    pub fn configure(&self, config: BreakerConfig) -> Result<(), BreakerConfigError> {
        config.validate()?;
        self.config.store(config);
        Ok(())
    }

    /// Opens it by hand; false when it is open already.
    pub fn trip(&self) -> bool {
        let word = self.word.0.load(acquire());
        let (epoch, now) = (Status::epoch_of(word), self.now());
        self.open(word, epoch, now, &self.config.load()) == Verdict::Opened
    }

    /// Closes it by hand, with an empty window. Permits out now count nothing.
    pub fn reset(&self) {
        let mut word = self.word.0.load(acquire());
        let next = loop {
            let next = Status::unpack(word).reset();
            match self.exchange(word, next) {
                Ok(()) => break next,
                Err(seen) => word = seen,
            }
        };
        self.tell(next.epoch, self.now(), Change::Closed);
    }

    /// Records the success of a call of `epoch`.
    #[inline]
    pub(crate) fn succeed(&self, epoch: u32) -> Verdict {
        let word = self.word.0.load(acquire());
        if Status::epoch_of(word) != epoch {
            return Verdict::Late;
        }
        if Status::is_closed(word) {
            let at = Tick::floor(self.now());
            self.window.0.record(Entry { at, epoch, failed: false });
            return Verdict::Counted;
        }
        self.probe_passed(word, epoch)
    }

    /// Records the failure of a call of `epoch`.
    #[cold]
    pub(crate) fn fail(&self, epoch: u32) -> Verdict {
        let word = self.word.0.load(acquire());
        if Status::epoch_of(word) != epoch {
            return Verdict::Late;
        }
        let (config, now) = (self.config.load(), self.now());
        if Status::is_closed(word) {
            let at = Tick::floor(now);
            self.window.0.record(Entry { at, epoch, failed: true });
            let tally = self.window.0.tally(at, epoch, &config);
            if tally.calls < config.calls_min {
                return Verdict::MinCallsNotMet;
            }
            let second = planted(Mistake::LoadsTwice).then(|| self.config.load());
            if !second.unwrap_or(config).is_too_much(tally.calls, tally.errors) {
                return Verdict::Counted;
            }
        }
        self.open(word, epoch, now, &config)
    }

    /// Gives the token of a call of `epoch` back, if it has one, and counts nothing.
    pub(crate) fn release(&self, epoch: u32) {
        if planted(Mistake::TokenKept) {
            return;
        }
        let mut word = self.word.0.load(acquire());
        while let Some(next) = Status::unpack(word).released(epoch) {
            match self.exchange(word, next) {
                Ok(()) => return,
                Err(seen) => word = seen,
            }
        }
    }

    #[cold]
    fn acquire_unwell(&self, mut word: u64) -> Result<Permit<'_, C>, Refusal> {
        let (config, now) = (self.config.load(), self.now());
        loop {
            let status = Status::unpack(word);
            match status.ask(Tick::floor(now), config.probes_max) {
                Asked::Pass => return Ok(Permit::new(self, status.epoch)),
                Asked::Refused(refusal) => {
                    self.tell(status.epoch, now, Change::Refused(refusal));
                    return Err(refusal);
                }
                Asked::Move(next) => match self.exchange(word, next) {
                    Ok(()) => {
                        if next.epoch != status.epoch {
                            self.tell(next.epoch, now, Change::HalfOpened);
                        }
                        return Ok(Permit::new(self, next.epoch));
                    }
                    Err(seen) => word = seen,
                },
            }
        }
    }

    #[cold]
    fn probe_passed(&self, mut word: u64, epoch: u32) -> Verdict {
        let needed = self.config.load().successes_to_close;
        while let Some(next) = Status::unpack(word).probe_passed(epoch, needed) {
            match self.exchange(word, next) {
                Ok(()) if next.mode == Mode::Closed => {
                    self.tell(next.epoch, self.now(), Change::Closed);
                    return Verdict::Closed;
                }
                Ok(()) => return Verdict::Counted,
                Err(seen) => word = seen,
            }
        }
        Verdict::Late
    }

    fn open(&self, mut word: u64, epoch: u32, now: Nanos, config: &BreakerConfig) -> Verdict {
        let extra = self.jitter.extra_ns(epoch, config.jitter_ns_max());
        let until = Tick::ceil(now + Nanos(config.open_ns) + Nanos(extra));
        let told = Change::Opened { until: until.nanos() };
        while let Some(next) = Status::unpack(word).opened(epoch, until) {
            match self.exchange(word, next) {
                Ok(()) => {
                    self.tell(next.epoch, now, told);
                    return Verdict::Opened;
                }
                Err(seen) => {
                    if planted(Mistake::LoserTells) {
                        self.tell(next.epoch, now, told);
                    }
                    word = seen;
                }
            }
        }
        // Another thread has moved on from this epoch.
        Verdict::Late
    }

    /// Moves the word from `seen` to `next`, or tells what it has become.
    fn exchange(&self, seen: u64, next: Status) -> Result<(), u64> {
        if planted(Mistake::StoreForExchange) {
            self.word.0.store(next.pack(), Ordering::Release);
            return Ok(());
        }
        self.word.0.compare_exchange(seen, next.pack(), exchange(), acquire()).map(|_| ())
    }

    fn now(&self) -> Nanos {
        self.latest.0.raise(self.clock.now())
    }

    fn tell(&self, epoch: u32, at: Nanos, change: Change) {
        self.events.push(Event { breaker: self.name, epoch, at, change });
    }
}

impl<C: Clock> core::fmt::Debug for Breaker<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Breaker").field("name", &self.name).field("state", &self.state()).finish()
    }
}
