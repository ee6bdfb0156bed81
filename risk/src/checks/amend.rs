//! What an amend must name: an order of ours that rests, with nothing else on its way, and terms
//! that are others than it has and leave something to trade. The price is that of a limit order.

use bot4_types::{OrderState, RefuseReason};

use super::CheckInput;

/// # Errors
/// [`RefuseReason::NotOpen`] when the ledger does not hold the order as open, or it is not that of
/// the intent; [`RefuseReason::AmendBusy`] when it is not accepted yet, a cancel or an amend of it
/// is on its way, or its fate is unknown; [`RefuseReason::AmendTerms`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let intent = input.intent;
    let order = input.ledger.order(intent.order).ok_or(RefuseReason::NotOpen)?;
    let same = order.instrument == intent.instrument
        && order.strategy == intent.strategy
        && order.side == intent.side;
    if !same || order.state.is_terminal() {
        return Err(RefuseReason::NotOpen);
    }
    let rests = matches!(order.state, OrderState::Live | OrderState::PartiallyFilled);
    if !rests || order.amend.is_some() {
        return Err(RefuseReason::AmendBusy);
    }
    let changes = (intent.price.0, intent.qty.0) != (order.own_limit, order.qty);
    // What the order is and what the intent says it is: the other checks go by the latter.
    let plain = !intent.kind.is_market() && !intent.kind.is_triggered();
    let limit = plain && order.own_limit == order.reserve_price;
    let leaves_some = intent.qty.0 > order.filled.max(order.cum);
    if changes && limit && leaves_some { Ok(()) } else { Err(RefuseReason::AmendTerms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use bot4_types::{OrderAction, OrderId, OrderIntent, Price, Qty, Side, StrategyId};

    fn amend(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
            f.live = vec![OrderId(1)];
            f.intent = OrderIntent {
                order: OrderId(1),
                action: OrderAction::Amend,
                qty: Qty(ONE / 2),
                ..intent()
            };
        });
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn only_a_resting_order_of_ours_and_only_to_other_terms() {
        use RefuseReason as R;
        assert_eq!(amend(|_| ()), Ok(()));
        assert_eq!(amend(|f| f.intent.price = Price(99 * ONE)), Ok(()));
        assert_eq!(amend(|f| f.intent.order = OrderId(2)), Err(R::NotOpen));
        assert_eq!(amend(|f| f.intent.side = Side::Sell), Err(R::NotOpen));
        assert_eq!(amend(|f| f.intent.strategy = StrategyId(1)), Err(R::NotOpen));
        for kind in bot4_types::OrderKind::ALL.iter().filter(|k| k.is_market() || k.is_triggered())
        {
            assert_eq!(amend(|f| f.intent.kind = *kind), Err(R::AmendTerms), "{kind:?}");
        }
        assert_eq!(amend(|f| f.live.clear()), Err(R::AmendBusy), "not accepted yet");
        assert_eq!(amend(|f| f.unknown = vec![OrderId(1)]), Err(R::AmendBusy));
        assert_eq!(amend(|f| f.amended = vec![f.intent]), Err(R::AmendBusy));
        assert_eq!(amend(|f| f.intent.qty = intent().qty), Err(R::AmendTerms), "no change");
        assert_eq!(amend(|f| f.intent.qty = Qty(0)), Err(R::AmendTerms), "nothing left");
    }
}
