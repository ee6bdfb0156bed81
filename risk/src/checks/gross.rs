//! Worst-case gross exposure over all instruments, of the account (and the venue) and of the
//! strategy. An order that adds nothing passes even above a limit that was made tighter.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Gross`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let fits = (|| {
        let account = input.gross_after()?;
        let own = input.own_gross_after()?;
        let caps = input.caps.strategy(input.intent.strategy)?;
        let fits = |g: super::Growth, cap| g.after <= cap || g.after <= g.before;
        Some(fits(account, input.caps.account().gross) && fits(own, caps.gross))
    })();
    if fits == Some(true) { Ok(()) } else { Err(RefuseReason::Gross) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use crate::limits::units;
    use crate::scopes::ScopeLimits;
    use bot4_types::{OrderId, OrderIntent, Qty, Side};

    /// Ten bought by strategy 0 at 100 are open.
    fn with_ten_open(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.resting = vec![OrderIntent { order: OrderId(1), qty: Qty(10 * ONE), ..intent() }];
        });
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn the_account_and_the_strategy_bind() {
        let refused = Err(RefuseReason::Gross);
        assert_eq!(with_ten_open(|f| f.limits.gross_value_max = units(1_100)), Ok(()));
        assert_eq!(with_ten_open(|f| f.limits.gross_value_max = units(1_099)), refused);
        assert_eq!(with_ten_open(|f| f.limits.gross_equity_e4 = 100), Ok(()), "1,100 of 110,000");
        assert_eq!(with_ten_open(|f| f.limits.gross_equity_e4 = 99), refused);
        let strategy = |max| {
            with_ten_open(|f| {
                let row = ScopeLimits { gross_value_max: max, ..ScopeLimits::default() };
                f.scopes.strategies = vec![row];
            })
        };
        assert_eq!(strategy(units(1_100)), Ok(()));
        assert_eq!(strategy(units(1_099)), refused);
        assert_eq!(with_ten_open(|f| f.equity = None), refused);
    }

    #[test]
    fn the_side_that_is_not_the_worst_adds_nothing() {
        let sell = |qty| {
            with_ten_open(|f| {
                f.limits.gross_value_max = units(1);
                f.intent.side = Side::Sell;
                f.intent.qty = Qty(qty);
            })
        };
        assert_eq!(sell(10 * ONE), Ok(()), "the limit was made tighter, nothing grows");
        assert_eq!(sell(10 * ONE + 1), Err(RefuseReason::Gross));
    }
}
