//! The state machine as pure functions over one word.
//!
//! A [`Status`] packs into 64 bits, so that a shared breaker moves it by one compare-exchange:
//! state, tokens and deadline can never disagree. Every change of state counts the epoch up; a
//! permit carries the epoch it was given in, and a verdict of an earlier epoch counts nothing.
//! The epoch has 22 bits: to mistake an old epoch for the present one, a thread would have to
//! sleep through exactly four million changes of state, at least half an hour of them.

use bot4_types::Nanos;
use serde::{Deserialize, Serialize};

/// Nanoseconds of a tick, as a power of two: 65.5 us. Coarse enough that 40 bits hold two years.
const TICK_BITS: u32 = 16;
const EPOCH_BITS: u32 = 22;
const PAYLOAD_SHIFT: u32 = 2 + EPOCH_BITS;
const TICK_MAX: u64 = (1 << 40) - 1;
const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;

/// Highest epoch.
pub(crate) const EPOCH_MASK: u32 = (1 << EPOCH_BITS) - 1;

/// A breaker's state, as told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Calls pass.
    Closed,
    /// Calls are refused until the timeout is over.
    Open,
    /// A few calls pass, to see whether it works again.
    HalfOpen,
}

/// Why a call may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The breaker is open, until this time.
    Open {
        /// The first call is tried then.
        until: Nanos,
    },
    /// It recovers and as many probes as are allowed are under way.
    HalfOpenExhausted,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Open { .. } => "it failed too often and is left alone for some seconds",
            Self::HalfOpenExhausted => "it failed too often and is being tried by another call",
        })
    }
}

impl std::error::Error for Refusal {}

/// What recording a call's outcome led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was counted and changed nothing.
    Counted,
    /// A failure was counted, and the window holds too few calls to judge by.
    MinCallsNotMet,
    /// This failure opened the breaker.
    Opened,
    /// This success closed the breaker.
    Closed,
    /// The breaker had changed its state since the call was permitted; nothing was counted.
    Late,
}

/// Time in units of 2^16 ns; at most 40 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Tick(u64);

impl Tick {
    /// The tick that `at` lies in.
    pub(crate) const fn floor(at: Nanos) -> Self {
        let tick = at.0 >> TICK_BITS;
        Self(if tick > TICK_MAX { TICK_MAX } else { tick })
    }

    /// The first tick that begins at `at` or later: a timeout is never cut short by rounding.
    pub(crate) const fn ceil(at: Nanos) -> Self {
        Self::floor(Nanos(at.0.saturating_add((1 << TICK_BITS) - 1)))
    }

    pub(crate) const fn nanos(self) -> Nanos {
        Nanos(self.0 << TICK_BITS)
    }

    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw & TICK_MAX)
    }

    /// Ticks since `earlier`, zero when that is later.
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// State with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Closed,
    Open {
        until: Tick,
    },
    /// Tokens that are taken, and probes that succeeded.
    HalfOpen {
        taken: u16,
        passed: u16,
    },
}

/// A breaker's whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) epoch: u32,
    pub(crate) mode: Mode,
}

/// What asking for a permit leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Granted, nothing to change.
    Pass,
    /// Granted by moving to this status.
    Move(Status),
    Refused(Refusal),
}

impl Status {
    pub(crate) const START: Self = Self { epoch: 0, mode: Mode::Closed };

    pub(crate) const fn pack(self) -> u64 {
        let (state, payload) = match self.mode {
            Mode::Closed => (CLOSED, 0),
            Mode::Open { until } => (OPEN, until.0),
            Mode::HalfOpen { taken, passed } => (HALF_OPEN, (taken as u64) << 16 | passed as u64),
        };
        state | (self.epoch as u64) << 2 | payload << PAYLOAD_SHIFT
    }

    pub(crate) const fn unpack(word: u64) -> Self {
        let payload = word >> PAYLOAD_SHIFT;
        let mode = match word & 3 {
            OPEN => Mode::Open { until: Tick(payload) },
            HALF_OPEN => Mode::HalfOpen { taken: (payload >> 16) as u16, passed: payload as u16 },
            _ => Mode::Closed,
        };
        Self { epoch: Self::epoch_of(word), mode }
    }

    /// The word's state is closed: no need to unpack the rest.
    pub(crate) const fn is_closed(word: u64) -> bool {
        word & 3 == CLOSED
    }

    pub(crate) const fn epoch_of(word: u64) -> u32 {
        (word >> 2) as u32 & EPOCH_MASK
    }

    /// The state at `now`: an open breaker whose time is over recovers, asked or not.
    pub(crate) fn state(self, now: Tick) -> State {
        match self.mode {
            Mode::Closed => State::Closed,
            Mode::Open { until } if now < until => State::Open,
            Mode::Open { .. } | Mode::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// A call is asked for at `now`.
    pub(crate) fn ask(self, now: Tick, probes_max: u16) -> Asked {
        match self.mode {
            Mode::Closed => Asked::Pass,
            Mode::Open { until } if now < until => {
                Asked::Refused(Refusal::Open { until: until.nanos() })
            }
            Mode::Open { .. } => Asked::Move(self.next(Mode::HalfOpen { taken: 1, passed: 0 })),
            Mode::HalfOpen { taken, passed } if taken < probes_max => {
                Asked::Move(Self { mode: Mode::HalfOpen { taken: taken + 1, passed }, ..self })
            }
            Mode::HalfOpen { .. } => Asked::Refused(Refusal::HalfOpenExhausted),
        }
    }

    /// A probe of this epoch succeeded; `None` when there is no such probe.
    pub(crate) const fn probe_passed(self, epoch: u32, needed: u16) -> Option<Self> {
        let Mode::HalfOpen { taken, passed } = self.mode else { return None };
        if self.epoch != epoch {
            return None;
        }
        let passed = passed.saturating_add(1);
        if passed >= needed {
            return Some(self.next(Mode::Closed));
        }
        let mode = Mode::HalfOpen { taken: taken.saturating_sub(1), passed };
        Some(Self { epoch: self.epoch, mode })
    }

    /// A call of this epoch gives its token back without a verdict.
    pub(crate) const fn released(self, epoch: u32) -> Option<Self> {
        let Mode::HalfOpen { taken, passed } = self.mode else { return None };
        if self.epoch != epoch {
            return None;
        }
        let mode = Mode::HalfOpen { taken: taken.saturating_sub(1), passed };
        Some(Self { epoch: self.epoch, mode })
    }

    /// Opened by a failure of this epoch, unless the state has changed or it is open.
    pub(crate) const fn opened(self, epoch: u32, until: Tick) -> Option<Self> {
        if self.epoch != epoch || matches!(self.mode, Mode::Open { .. }) {
            return None;
        }
        Some(self.next(Mode::Open { until }))
    }

    /// Open, and its time is over at `now`: half-open, no token taken yet.
    pub(crate) fn recovered(self, now: Tick) -> Option<Self> {
        match self.mode {
            Mode::Open { until } if now >= until => {
                Some(self.next(Mode::HalfOpen { taken: 0, passed: 0 }))
            }
            _ => None,
        }
    }

    /// Open, but only until `until` when that is earlier.
    pub(crate) const fn hastened(self, until: Tick) -> Self {
        match self.mode {
            Mode::Open { until: old } if until.0 < old.0 => {
                Self { epoch: self.epoch, mode: Mode::Open { until } }
            }
            _ => self,
        }
    }

    /// Closed by hand, whatever it was.
    pub(crate) const fn reset(self) -> Self {
        self.next(Mode::Closed)
    }

    const fn next(self, mode: Mode) -> Self {
        Self { epoch: (self.epoch + 1) & EPOCH_MASK, mode }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn modes() -> impl Strategy<Value = Mode> {
        prop_oneof![
            Just(Mode::Closed),
            (0..=TICK_MAX).prop_map(|t| Mode::Open { until: Tick(t) }),
            any::<(u16, u16)>().prop_map(|(taken, passed)| Mode::HalfOpen { taken, passed }),
        ]
    }

    proptest! {
        #[test]
        fn the_word_holds_it_all(mode in modes(), epoch in 0..=EPOCH_MASK) {
            let status = Status { epoch, mode };
            prop_assert_eq!(Status::unpack(status.pack()), status);
            prop_assert_eq!(Status::is_closed(status.pack()), mode == Mode::Closed);
        }

        #[test]
        fn ticks_round_a_timeout_up(at in 0u64..1 << 55) {
            prop_assert!(Tick::floor(Nanos(at)).nanos() <= Nanos(at));
            prop_assert!(Tick::ceil(Nanos(at)).nanos() >= Nanos(at));
            prop_assert!(Tick::ceil(Nanos(at)).0 - Tick::floor(Nanos(at)).0 <= 1);
        }
    }

    #[test]
    fn absurd_times_and_the_last_epoch_do_no_harm() {
        assert_eq!(Tick::ceil(Nanos::MAX), Tick(TICK_MAX));
        let last = Status { epoch: EPOCH_MASK, mode: Mode::Closed };
        assert_eq!(last.reset().epoch, 0);
    }
}
