//! An order must not trade with one of our own. Every order on the other side that is not proven
//! ended counts, in flight or unknown ones too.

use bot4_types::{RefuseReason, Side};

use super::CheckInput;
use crate::ledger::match_limit;

/// # Errors
/// [`RefuseReason::SelfTrade`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let side = input.intent.side;
    let ours = match_limit(input.intent);
    let Some(other) = input.ledger.best(input.intent.instrument, side.opposite()) else {
        return Ok(());
    };
    let meets = match side {
        Side::Buy => ours >= other.limit,
        Side::Sell => ours <= other.limit,
    };
    if meets { Err(RefuseReason::SelfTrade) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use bot4_types::{OrderId, OrderIntent, OrderKind, Price};

    fn against_a_sell_at_101(price: i64, kind: OrderKind) -> Result<(), RefuseReason> {
        Fixture::with(|f| {
            let sell = |id, at: i64| OrderIntent {
                order: OrderId(id),
                side: Side::Sell,
                price: Price(at * ONE),
                ..intent()
            };
            f.resting = vec![sell(1, 102), sell(2, 101)];
            f.intent.price = Price(price * ONE);
            f.intent.kind = kind;
        })
        .run(check)
    }

    #[test]
    fn prices_that_meet_are_refused() {
        assert_eq!(against_a_sell_at_101(100, OrderKind::Limit), Ok(()));
        assert_eq!(against_a_sell_at_101(101, OrderKind::Limit), Err(RefuseReason::SelfTrade));
        assert_eq!(against_a_sell_at_101(90, OrderKind::Market), Err(RefuseReason::SelfTrade));
    }

    #[test]
    fn the_own_side_does_not_matter() {
        let same = Fixture::with(|f| {
            f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
        });
        assert_eq!(same.run(check), Ok(()));
    }
    #[test]
    fn a_sale_meets_the_highest_purchase() {
        let at = |price: i64, kind| {
            Fixture::with(|f| {
                let buy = |id, at: i64| OrderIntent {
                    order: OrderId(id),
                    price: Price(at * ONE),
                    ..intent()
                };
                f.resting = vec![buy(1, 98), buy(2, 99)];
                f.intent.side = Side::Sell;
                (f.intent.price, f.intent.kind) = (Price(price * ONE), kind);
            })
            .run(check)
        };
        assert_eq!(at(100, OrderKind::Limit), Ok(()));
        assert_eq!(at(99, OrderKind::Limit), Err(RefuseReason::SelfTrade));
        assert_eq!(at(110, OrderKind::Market), Err(RefuseReason::SelfTrade));
    }
}
