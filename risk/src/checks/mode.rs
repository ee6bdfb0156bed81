//! The control mode. Reductions pass in every mode; in the emergency nothing else does, in the
//! manual mode only what an operator caused. The shares that the manual and the semi-automatic
//! mode leave of the limits are part of [`crate::caps`].

use bot4_types::{Cause, ControlMode, RefuseReason};

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Mode`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let increases = match input.mode {
        ControlMode::FullAuto | ControlMode::SemiAuto => true,
        ControlMode::Manual => input.intent.cause == Cause::Operator,
        ControlMode::Emergency => false,
    };
    if increases || input.reduces() { Ok(()) } else { Err(RefuseReason::Mode) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use bot4_types::{OrderId, OrderIntent, Qty, Side, StrategyId};

    #[test]
    fn who_may_increase() {
        let at = |mode, cause| {
            Fixture::with(|f| {
                f.mode = mode;
                f.intent.cause = cause;
            })
            .run(check)
        };
        let refused = Err(RefuseReason::Mode);
        for cause in Cause::ALL {
            assert_eq!(at(ControlMode::FullAuto, *cause), Ok(()));
            assert_eq!(at(ControlMode::SemiAuto, *cause), Ok(()));
            assert_eq!(at(ControlMode::Emergency, *cause), refused);
            let manual = if *cause == Cause::Operator { Ok(()) } else { refused };
            assert_eq!(at(ControlMode::Manual, *cause), manual);
        }
    }

    #[test]
    fn reductions_pass_in_every_mode() {
        for mode in ControlMode::ALL {
            let sell = |qty| {
                Fixture::with(|f| {
                    f.mode = *mode;
                    f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
                    f.filled = vec![OrderId(1)];
                    f.intent.side = Side::Sell;
                    f.intent.qty = Qty(qty);
                })
                .run(check)
            };
            assert_eq!(sell(ONE), Ok(()), "{mode:?}");
            if *mode == ControlMode::Emergency {
                assert_eq!(sell(ONE + 1), Err(RefuseReason::Mode), "it would cross zero");
            }
        }
    }
    /// It must reduce what the account holds and what its strategy holds.
    #[test]
    fn both_positions_must_come_nearer_to_zero() {
        let world = |holder, opener: Option<u8>| {
            Fixture::with(|f| {
                let of = |id, strategy, side| OrderIntent {
                    order: OrderId(id),
                    strategy: StrategyId(strategy),
                    side,
                    ..intent()
                };
                f.mode = ControlMode::Emergency;
                f.resting = vec![of(1, holder, Side::Buy)];
                f.resting.extend(opener.map(|strategy| of(2, strategy, Side::Sell)));
                f.filled = vec![OrderId(1)];
                f.intent.side = Side::Sell;
            })
            .run(check)
        };
        assert_eq!(world(0, None), Ok(()));
        assert_eq!(world(1, None), Err(RefuseReason::Mode), "another strategy's position");
        assert_eq!(world(0, Some(1)), Err(RefuseReason::Mode), "another closes it already");
    }
}
