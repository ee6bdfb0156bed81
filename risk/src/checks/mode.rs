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
    use bot4_types::{OrderId, OrderIntent, Qty, Side};

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
}
