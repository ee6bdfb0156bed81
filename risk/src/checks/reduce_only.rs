//! An order that may only reduce cannot take its strategy's position beyond zero, whatever fills
//! and in which order: not when it is placed, and not by what is placed beside it while it is open.
//! A venue of derivatives may cut such an order by itself; here it holds for spot too.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::ReduceOnly`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let side = input.intent.side.index();
    let beside = input.own.is_some_and(|own| own.reduce_only[side] > 0);
    let bound = input.intent.reduce_only || beside;
    if bound && input.own_worst_after() > 0 { Err(RefuseReason::ReduceOnly) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use bot4_types::{OrderId, OrderIntent, Qty, Side, StrategyId};

    fn sell(id: u64, qty: i64, reduce_only: bool) -> OrderIntent {
        let (order, strategy, side, qty) = (OrderId(id), StrategyId(1), Side::Sell, Qty(qty));
        OrderIntent { order, strategy, side, qty, reduce_only, ..intent() }
    }

    /// What the check says to `intent` while so much is held and `resting` is open.
    fn with(held: i64, resting: &[OrderIntent], intent: OrderIntent) -> Result<(), RefuseReason> {
        let fixture = Fixture::with(|f| {
            (f.held, f.resting, f.intent) = (held, resting.to_vec(), intent);
        });
        fixture.run(check)
    }

    #[test]
    fn it_passes_up_to_what_is_held_and_no_further() {
        let refused = Err(RefuseReason::ReduceOnly);
        assert_eq!(with(ONE, &[], sell(9, ONE, true)), Ok(()));
        assert_eq!(with(ONE, &[], sell(9, ONE + 1, true)), refused);
        assert_eq!(with(ONE, &[], sell(9, ONE + 1, false)), Ok(()));
        assert_eq!(with(0, &[], sell(9, 1, true)), refused);
        assert_eq!(with(ONE, &[sell(1, ONE, false)], sell(9, 1, true)), refused);
    }

    #[test]
    fn nothing_beside_an_open_one_takes_the_position_beyond_zero() {
        let open = [sell(1, ONE / 2, true)];
        assert_eq!(with(ONE, &open, sell(9, ONE / 2, false)), Ok(()));
        assert_eq!(with(ONE, &open, sell(9, ONE / 2 + 1, false)), Err(RefuseReason::ReduceOnly));
        let buy = OrderIntent { side: Side::Buy, ..sell(9, ONE, false) };
        assert_eq!(with(ONE, &open, buy), Ok(()), "the other way");
        let ended = [sell(1, ONE / 2, false)];
        assert_eq!(with(ONE, &ended, sell(9, ONE, false)), Ok(()));
    }
}
