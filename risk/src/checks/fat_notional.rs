//! Fat finger, by value: our own largest order in the reporting asset, apart from the venue's
//! filter. The tightest over account, venue, strategy and instrument. A value that cannot be told
//! is too large.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::FatNotional`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let fits = input.order_caps.is_some_and(|caps| {
        let most = if input.reduces() { caps.reduce_value } else { caps.increase_value };
        input.intent_worth().is_some_and(|worth| worth <= most)
    });
    if fits { Ok(()) } else { Err(RefuseReason::FatNotional) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use crate::limits::units;
    use crate::scopes::ScopeLimits;
    use bot4_types::{AssetId, ControlMode, OrderId, OrderIntent, Qty, Side};

    #[test]
    fn the_tightest_scope_binds() {
        let refused = Err(RefuseReason::FatNotional);
        let account = |max| Fixture::with(|f| f.limits.order_value_max = max).run(check);
        assert_eq!(account(units(100)), Ok(()));
        assert_eq!(account(units(100) - 1), refused);
        let row = |order_value_max| ScopeLimits { order_value_max, ..ScopeLimits::default() };
        let strategy = |max| Fixture::with(|f| f.scopes.strategies = vec![row(max)]).run(check);
        assert_eq!(strategy(units(100)), Ok(()));
        assert_eq!(strategy(units(100) - 1), refused);
        let venue = Fixture::with(|f| f.scopes.venue = row(units(99)));
        assert_eq!(venue.run(check), refused);
    }

    #[test]
    fn a_mode_binds_what_increases_and_not_what_reduces() {
        let at = |side| {
            Fixture::with(|f| {
                f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
                f.filled = vec![OrderId(1)];
                f.limits.order_value_max = units(100);
                f.mode = ControlMode::SemiAuto;
                f.intent.side = side;
            })
            .run(check)
        };
        assert_eq!(at(Side::Buy), Err(RefuseReason::FatNotional));
        assert_eq!(at(Side::Sell), Ok(()));
    }

    #[test]
    fn what_cannot_be_valued_is_refused() {
        let odd = Fixture::with(|f| {
            f.instrument.quote = AssetId(0);
            f.mark.micro = 0;
            f.mark.bid = 0;
            f.mark.last_trade = 0;
        });
        assert_eq!(odd.run(check), Err(RefuseReason::FatNotional));
        let huge = Fixture::with(|f| {
            f.intent.qty = Qty(i64::MAX);
            f.intent.price.0 = i64::MAX - ONE;
        });
        assert_eq!(huge.run(check), Err(RefuseReason::FatNotional));
    }
}
