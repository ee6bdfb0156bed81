//! Every intent that increases its strategy's worst-case position carries a stop distance.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::MissingStop`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let increases = input.own_worst_after() > 0;
    if increases && input.intent.stop_ticks <= 0 {
        return Err(RefuseReason::MissingStop);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, intent};
    use bot4_types::{OrderId, OrderIntent, Side};

    #[test]
    fn an_opening_order_without_a_stop_is_refused() {
        assert_eq!(Fixture::default().run(check), Ok(()));
        for ticks in [0, -1] {
            let bare = Fixture::with(|f| f.intent.stop_ticks = ticks);
            assert_eq!(bare.run(check), Err(RefuseReason::MissingStop));
        }
    }

    #[test]
    fn what_the_strategy_holds_is_closed_without_one() {
        let sell = |more| {
            Fixture::with(|f| {
                f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
                f.filled = vec![OrderId(1)];
                (f.intent.side, f.intent.stop_ticks) = (Side::Sell, 0);
                f.intent.qty.0 += more;
            })
            .run(check)
        };
        assert_eq!((sell(0), sell(1)), (Ok(()), Err(RefuseReason::MissingStop)));
    }
}
