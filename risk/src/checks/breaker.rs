//! Circuit breakers of the strategy, the instrument, the venue and all together. They hold back
//! what increases; what only reduces has a roster without this check.

use bot4_types::RefuseReason;

use super::CheckInput;
use crate::breaker::BreakerLevel;

/// # Errors
/// [`RefuseReason::BreakerStrategy`], [`RefuseReason::BreakerInstrument`],
/// [`RefuseReason::BreakerVenue`], [`RefuseReason::BreakerGlobal`].
#[inline]
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let verdict = input.breakers.permits(input.intent.strategy, input.intent.instrument);
    verdict.map_err(|level| match level {
        BreakerLevel::Strategy => RefuseReason::BreakerStrategy,
        BreakerLevel::Instrument => RefuseReason::BreakerInstrument,
        BreakerLevel::Venue => RefuseReason::BreakerVenue,
        BreakerLevel::Global => RefuseReason::BreakerGlobal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::BreakerScope as Scope;
    use crate::checks::fixture::{Fixture, intent};
    use crate::gate::judge;
    use bot4_types::{InstrumentId, OrderAction, OrderId, OrderIntent, Side, StrategyId};

    fn with(tripped: &[Scope]) -> Result<(), RefuseReason> {
        Fixture::with(|f| f.tripped = tripped.to_vec()).run(check)
    }

    #[test]
    fn each_breaker_holds_back_its_own() {
        let (own, other) = (Scope::Strategy(StrategyId(0)), Scope::Strategy(StrategyId(1)));
        let instrument = Scope::Instrument(InstrumentId(0));
        assert_eq!(with(&[]), Ok(()));
        assert_eq!(with(&[own]), Err(RefuseReason::BreakerStrategy));
        assert_eq!(with(&[other]), Ok(()));
        assert_eq!(with(&[instrument]), Err(RefuseReason::BreakerInstrument));
        assert_eq!(with(&[Scope::Venue]), Err(RefuseReason::BreakerVenue));
        assert_eq!(with(&[Scope::All]), Err(RefuseReason::BreakerStrategy), "the nearest first");
        let strangers = Fixture::with(|f| {
            f.tripped = vec![own];
            f.intent.strategy = StrategyId(9);
        });
        assert_eq!(strangers.run(check), Ok(()), "other checks refuse it");
    }

    /// By the gate itself: whatever is open, a position can be closed and an order withdrawn.
    #[test]
    fn getting_out_is_never_blocked() {
        let world = |change: fn(&mut Fixture)| {
            let fixture = Fixture::with(|f| {
                f.tripped = vec![Scope::All];
                f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
                change(f);
            });
            fixture.run(|input| judge(input).map(|_| ()))
        };
        let sell = world(|f| {
            f.filled = vec![OrderId(1)];
            f.intent.side = Side::Sell;
        });
        assert_eq!(sell, Ok(()));
        let beyond = world(|f| {
            f.filled = vec![OrderId(1)];
            f.intent.side = Side::Sell;
            f.intent.qty.0 += f.instrument.lot;
        });
        assert_eq!(beyond, Err(RefuseReason::BreakerStrategy), "it would cross zero");
        let cancel = world(|f| {
            f.intent = OrderIntent { action: OrderAction::Cancel, order: OrderId(1), ..intent() };
        });
        assert_eq!(cancel, Ok(()));
    }
}
