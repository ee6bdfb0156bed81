//! The control word: a kill, a drain or a pause refuses every new order. A kill with the wish to
//! close what is held lets one kind pass: orders that only reduce and that the operator caused,
//! which no strategy can say of its own.

use bot4_lanes::Phase;
use bot4_types::{Cause, RefuseReason};

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Killed`] or [`RefuseReason::Draining`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    match input.phase {
        Phase::Run => Ok(()),
        Phase::Drain | Phase::Pause => Err(RefuseReason::Draining),
        Phase::Flatten if input.intent.cause == Cause::Operator && input.reduces() => Ok(()),
        Phase::Kill | Phase::Flatten => Err(RefuseReason::Killed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use crate::gate::judge;
    use bot4_types::{OrderId, OrderIntent, Qty, Side};

    #[test]
    fn only_a_running_engine_places_orders() {
        let at = |phase| Fixture::with(|f| f.phase = phase).run(check);
        assert_eq!(at(Phase::Run), Ok(()));
        assert_eq!(at(Phase::Drain), Err(RefuseReason::Draining));
        assert_eq!(at(Phase::Pause), Err(RefuseReason::Draining));
        assert_eq!(at(Phase::Kill), Err(RefuseReason::Killed));
        assert_eq!(at(Phase::Flatten), Err(RefuseReason::Killed));
    }

    /// By the gate itself, with one unit bought before.
    #[test]
    fn a_stop_that_closes_lets_the_operator_reduce_and_nobody_else() {
        let at = |phase, cause, side, qty| {
            let fixture = Fixture::with(|f| {
                f.phase = phase;
                f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
                f.filled = vec![OrderId(1)];
                f.intent.cause = cause;
                f.intent.side = side;
                f.intent.qty = Qty(qty);
            });
            fixture.run(|input| judge(input).map(|_| ()))
        };
        let killed = Err(RefuseReason::Killed);
        for cause in Cause::ALL {
            let passes = if *cause == Cause::Operator { Ok(()) } else { killed };
            assert_eq!(at(Phase::Flatten, *cause, Side::Sell, ONE), passes, "{cause:?}");
            assert_eq!(at(Phase::Flatten, *cause, Side::Sell, ONE + 1_000), killed, "beyond zero");
            assert_eq!(at(Phase::Flatten, *cause, Side::Buy, ONE), killed, "it adds");
            assert_eq!(at(Phase::Kill, *cause, Side::Sell, ONE), killed);
        }
    }
}
