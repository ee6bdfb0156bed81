//! The worst-case position over held, open and unknown quantity stays within its limit: a share
//! of equity per instrument, and an absolute value where one is set. An order that could not
//! even in the worst case cross zero only reduces and passes. Without equity nothing increases.

use bot4_types::{Price, RefuseReason};

use super::CheckInput;
use crate::money::quote_amount;
use crate::valuation::mark_price;

/// # Errors
/// [`RefuseReason::Position`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let instrument = input.instrument()?;
    let worst = input.worst_after(input.total());
    if worst <= 0 {
        return Ok(());
    }
    let limit = input.position_limit().ok_or(RefuseReason::Position)?;
    let mark = mark_price(input.mark()?).unwrap_or(Price(0));
    let price = i128::from(mark.max(input.intent.price).0);
    let amount = quote_amount(instrument, worst.saturating_mul(price));
    match input.valuation.value(instrument.quote, amount) {
        Some(value) if value <= limit => Ok(()),
        _ => Err(RefuseReason::Position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use crate::limits::units;
    use bot4_types::{OrderId, OrderIntent, Qty};

    fn with_ten_open(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.resting = vec![OrderIntent { order: OrderId(1), qty: Qty(10 * ONE), ..intent() }];
        });
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn open_orders_count_and_the_tighter_limit_binds() {
        let refused = Err(RefuseReason::Position);
        assert_eq!(with_ten_open(|_| ()), Ok(()));
        assert_eq!(with_ten_open(|f| f.intent.qty = Qty(12 * ONE)), Ok(()));
        assert_eq!(with_ten_open(|f| f.intent.qty = Qty(12 * ONE + 1)), refused);
        assert_eq!(with_ten_open(|f| f.limits.position_value_max = units(1_100)), Ok(()));
        assert_eq!(with_ten_open(|f| f.limits.position_value_max = units(1_099)), refused);
        assert_eq!(with_ten_open(|f| f.unknown = vec![OrderId(1)]), Ok(()));
        assert_eq!(with_ten_open(|f| f.equity = None), refused);
        assert_eq!(with_ten_open(|f| f.intent.qty = Qty(i64::MAX)), refused);
    }

    #[test]
    fn the_dearer_of_mark_and_price_counts() {
        let at = |micro| {
            with_ten_open(|f| {
                f.limits.position_value_max = units(1_100);
                f.mark.micro = micro;
            })
        };
        assert_eq!(at(99 * ONE), Ok(()));
        assert_eq!(at(101 * ONE), Err(RefuseReason::Position));
    }
}
