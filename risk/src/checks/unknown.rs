//! While the fate of an order is unknown nobody increases on its instrument and side.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Unknown`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let unknown = input.total.map_or(0, |e| e.unknown[input.intent.side.index()]);
    if unknown > 0 && input.worst_after() > 0 {
        return Err(RefuseReason::Unknown);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use bot4_types::{OrderId, Side, StrategyId};

    #[test]
    fn the_side_is_closed_for_every_strategy() {
        let at = |side, strategy, unknown: bool| {
            Fixture::with(|f| {
                f.resting = vec![bot4_types::OrderIntent { order: OrderId(7), ..intent() }];
                f.unknown = if unknown { vec![OrderId(7)] } else { Vec::new() };
                f.intent.side = side;
                f.intent.strategy = StrategyId(strategy);
            })
            .run(check)
        };
        assert_eq!(at(Side::Buy, 0, false), Ok(()));
        assert_eq!(at(Side::Buy, 0, true), Err(RefuseReason::Unknown));
        assert_eq!(at(Side::Buy, 1, true), Err(RefuseReason::Unknown));
        assert_eq!(at(Side::Sell, 0, true), Ok(()));
    }
    #[test]
    fn what_cannot_cross_zero_even_then_passes() {
        let sell = |more| {
            Fixture::with(|f| {
                let of = |id, side, qty| bot4_types::OrderIntent {
                    order: OrderId(id),
                    side,
                    qty: bot4_types::Qty(qty),
                    ..intent()
                };
                f.resting = vec![of(1, Side::Buy, 2 * ONE), of(2, Side::Sell, ONE)];
                (f.filled, f.unknown) = (vec![OrderId(1)], vec![OrderId(2)]);
                f.intent = of(100, Side::Sell, ONE + more);
            })
            .run(check)
        };
        assert_eq!((sell(0), sell(1)), (Ok(()), Err(RefuseReason::Unknown)));
    }
}
