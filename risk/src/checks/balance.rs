//! The order can settle from free balance: what is expected to be held, less every reservation,
//! fee allowance included. Spot cannot sell what it does not have.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Balance`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    match input.ledger.reservation(input.intent) {
        Some((asset, needed)) if needed <= input.ledger.free(asset) => Ok(()),
        _ => Err(RefuseReason::Balance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use crate::limits::units;
    use bot4_types::{AssetId, OrderId, OrderIntent, OrderKind, Qty, Side};

    fn with_quote(amount: i128, change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| f.balances[1] = (AssetId(1), amount));
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn a_buy_needs_notional_and_allowance() {
        let needed = units(100) + units(1) / 10;
        assert_eq!(with_quote(needed, |_| ()), Ok(()));
        assert_eq!(with_quote(needed - 1, |_| ()), Err(RefuseReason::Balance));
        let market = |f: &mut Fixture| f.intent.kind = OrderKind::Market;
        assert_eq!(with_quote(needed, market), Err(RefuseReason::Balance));
        assert_eq!(with_quote(units(103), market), Ok(()));
    }

    #[test]
    fn open_orders_hold_their_part() {
        let resting = |f: &mut Fixture| {
            f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
        };
        assert_eq!(with_quote(units(200), resting), Err(RefuseReason::Balance));
        assert_eq!(with_quote(units(201), resting), Ok(()));
    }

    #[test]
    fn a_sell_needs_the_base_asset() {
        let sell = |qty| {
            Fixture::with(|f| {
                f.intent.side = Side::Sell;
                f.intent.qty = Qty(qty);
            })
            .run(check)
        };
        assert_eq!(sell(100 * ONE), Ok(()));
        assert_eq!(sell(100 * ONE + 1), Err(RefuseReason::Balance));
    }
}
