//! What stops all trading until a person ends it: the fall from the peak, drift that nobody
//! explained, and a strategy that has run away.
//!
//! A latch is a fact of the risk lane, found by the same inputs in every replay. From the decision
//! that finds it on nothing but cancels passes ([`Latches::stands`]); the agent counts it, and the
//! operator's helper, which watches the counters, raises the halt: everything open is cancelled and
//! the stop outlives the process. When a person has ended the halt, the phase goes from kill to
//! run and the latches fall: what they saw is accepted, and measured from there.
//!
//! **Runaway**, per strategy: more intents to place within a second of engine time than
//! `runaway_intents_per_s`, or `runaway_refused_row` refusals in a row that only a mistake explains
//! (sizes, values, steps, stops, ids). The limits and rates of the gate bound what such a strategy
//! can have placed before. Cost: a division-free window and two compares an intent.

use bot4_types::{Nanos, RefuseReason, StrategyId};
use serde::{Deserialize, Serialize};

use crate::limits::RiskLimits;

/// Why trading is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum LatchKind {
    /// Equity fell from its peak by more than the limit.
    Drawdown = 0,
    /// Reports contradict what is known ([`crate::exposure::Counts::drift`]).
    Drift = 1,
    /// A strategy asks too much, or nothing but nonsense.
    Runaway = 2,
}

impl LatchKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Drawdown, Self::Drift, Self::Runaway];

    /// The name in counters and sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drawdown => "drawdown",
            Self::Drift => "drift",
            Self::Runaway => "runaway",
        }
    }
}

/// The window of the runaway's rate.
const SECOND_NS: u64 = 1_000_000_000;

/// What a strategy has asked lately.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Asked {
    since: Nanos,
    intents: u32,
    mistakes_row: u32,
}

/// The latches. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latches {
    standing: [bool; LatchKind::ALL.len()],
    raised: [u64; LatchKind::ALL.len()],
    drift_accepted: u64,
    asked: Box<[Asked]>,
}

impl Latches {
    /// None stands. Allocates once.
    #[must_use]
    pub fn new(strategies: usize) -> Self {
        Self {
            standing: [false; LatchKind::ALL.len()],
            raised: [0; LatchKind::ALL.len()],
            drift_accepted: 0,
            asked: vec![Asked::default(); strategies].into_boxed_slice(),
        }
    }

    /// Some latch stands: nothing is placed.
    #[must_use]
    #[inline]
    pub const fn stands(&self) -> bool {
        self.standing[0] | self.standing[1] | self.standing[2]
    }

    /// This one stands.
    #[must_use]
    pub const fn is_standing(&self, kind: LatchKind) -> bool {
        self.standing[kind as usize]
    }

    /// Times that this one was raised.
    #[must_use]
    pub const fn raised(&self, kind: LatchKind) -> u64 {
        self.raised[kind as usize]
    }

    /// An intent to place is about to be judged.
    pub fn on_place(&mut self, strategy: StrategyId, now: Nanos, limits: &RiskLimits) {
        let Some(asked) = self.asked.get_mut(usize::from(strategy.0)) else { return };
        if now.since(asked.since).0 >= SECOND_NS {
            (asked.since, asked.intents) = (now, 0);
        }
        asked.intents = asked.intents.saturating_add(1);
        let over = asked.intents > limits.runaway_intents_per_s;
        if over {
            self.raise(LatchKind::Runaway);
        }
    }

    /// What the gate said of an intent to place.
    pub fn on_verdict(
        &mut self,
        strategy: StrategyId,
        verdict: Result<(), RefuseReason>,
        limits: &RiskLimits,
    ) {
        let Some(asked) = self.asked.get_mut(usize::from(strategy.0)) else { return };
        match verdict {
            Ok(()) => asked.mistakes_row = 0,
            Err(reason) if is_mistake(reason) => {
                asked.mistakes_row = asked.mistakes_row.saturating_add(1);
                if asked.mistakes_row >= limits.runaway_refused_row {
                    self.raise(LatchKind::Runaway);
                }
            }
            Err(_) => {}
        }
    }

    /// The account's drawdown against its limit, whenever equity was valued.
    pub fn on_equity(&mut self, drawdown_is_over: bool) {
        if drawdown_is_over {
            self.raise(LatchKind::Drawdown);
        }
    }

    /// Everything that a person must explain, so far.
    pub fn on_drift(&mut self, drift: u64) {
        if drift > self.drift_accepted {
            self.raise(LatchKind::Drift);
        }
    }

    /// A person has ended the stop and accepted what led to it.
    pub fn end(&mut self, drift: u64) {
        self.standing = [false; LatchKind::ALL.len()];
        self.drift_accepted = drift;
        self.asked.fill(Asked::default());
    }

    fn raise(&mut self, kind: LatchKind) {
        let standing = &mut self.standing[kind as usize];
        self.raised[kind as usize] += u64::from(!*standing);
        *standing = true;
    }
}

/// Nothing but a mistake of the strategy leads to this refusal: no state of market, venue or
/// account does.
const fn is_mistake(reason: RefuseReason) -> bool {
    use RefuseReason as R;
    matches!(
        reason,
        R::UnknownInstrument
            | R::Tick
            | R::PriceBounds
            | R::PriceCollar
            | R::Lot
            | R::SizeMax
            | R::NotionalMax
            | R::FatSize
            | R::FatNotional
            | R::DuplicateId
            | R::MissingStop
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: StrategyId = StrategyId(0);

    fn limits() -> RiskLimits {
        RiskLimits { runaway_intents_per_s: 100, runaway_refused_row: 10, ..Default::default() }
    }

    #[test]
    fn too_many_intents_within_a_second() {
        let mut latches = Latches::new(2);
        for turn in 0..1_000u64 {
            // A hundred a second, for ten seconds.
            latches.on_place(ONE, Nanos::from_millis(turn * 10), &limits());
        }
        assert!(!latches.stands());
        for _ in 0..101 {
            latches.on_place(StrategyId(1), Nanos::from_secs(20), &limits());
        }
        assert!(latches.is_standing(LatchKind::Runaway));
        latches.on_place(StrategyId(7), Nanos::ZERO, &limits());
        assert_eq!(latches.raised(LatchKind::Runaway), 1);
    }

    #[test]
    fn nonsense_in_a_row_and_nothing_else() {
        let mut latches = Latches::new(1);
        for _ in 0..5 {
            for _ in 0..9 {
                latches.on_verdict(ONE, Err(RefuseReason::FatSize), &limits());
            }
            latches.on_verdict(ONE, Ok(()), &limits());
        }
        for _ in 0..100 {
            latches.on_verdict(ONE, Err(RefuseReason::Position), &limits());
        }
        assert!(!latches.stands(), "a limit that is reached is no mistake");
        for _ in 0..10 {
            latches.on_verdict(ONE, Err(RefuseReason::Lot), &limits());
        }
        assert!(latches.is_standing(LatchKind::Runaway));
    }

    #[test]
    fn a_person_accepts_what_was_seen() {
        let mut latches = Latches::new(1);
        latches.on_equity(false);
        latches.on_drift(0);
        assert!(!latches.stands());
        latches.on_drift(2);
        latches.on_equity(true);
        assert!(LatchKind::ALL[..2].iter().all(|kind| latches.is_standing(*kind)));
        latches.end(2);
        latches.on_drift(2);
        assert!(!latches.stands());
        latches.on_drift(3);
        assert!(latches.is_standing(LatchKind::Drift));
    }
}
