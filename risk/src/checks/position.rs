//! The worst-case position over held, open and unknown quantity stays within its limit: of the
//! account in the instrument, and of the strategy; a share of equity, an absolute value where one
//! is set. An order that could not even in the worst case cross zero only reduces and passes.
//! Without equity nothing increases.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Position`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let fits = (|| {
        let account = input.caps.instrument(input.intent.instrument)?.position;
        let own = input.caps.strategy(input.intent.strategy)?.position;
        let account_fits = input.worst_after() <= 0 || input.worst_worth()? <= account;
        Some(account_fits && (input.own_worst_after() <= 0 || input.own_worst_worth()? <= own))
    })();
    if fits == Some(true) { Ok(()) } else { Err(RefuseReason::Position) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use crate::limits::units;
    use crate::scopes::ScopeLimits;
    use bot4_types::{ControlMode, OrderId, OrderIntent, Qty};

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
    fn scopes_bind_by_account_and_by_strategy() {
        let refused = Err(RefuseReason::Position);
        let row = |max| ScopeLimits { position_value_max: units(max), ..ScopeLimits::default() };
        assert_eq!(with_ten_open(|f| f.scopes.instruments = vec![row(1_100)]), Ok(()));
        assert_eq!(with_ten_open(|f| f.scopes.instruments = vec![row(1_099)]), refused);
        assert_eq!(with_ten_open(|f| f.scopes.venue = row(1_099)), refused);
        assert_eq!(with_ten_open(|f| f.scopes.strategies = vec![row(1_100)]), Ok(()));
        assert_eq!(with_ten_open(|f| f.scopes.strategies = vec![row(1_099)]), refused);
        let other = |f: &mut Fixture| {
            f.scopes.strategies = vec![ScopeLimits::default(), row(100)];
            f.intent.strategy.0 = 1;
        };
        assert_eq!(with_ten_open(other), Ok(()), "what the first holds is not the second's");
        assert_eq!(with_ten_open(|f| f.mode = ControlMode::SemiAuto), Ok(()), "three quarters");
        assert_eq!(with_ten_open(|f| f.mode = ControlMode::Manual), Ok(()), "1,100 is one half");
        let more = |f: &mut Fixture| {
            f.mode = ControlMode::Manual;
            f.intent.qty.0 += 1;
        };
        assert_eq!(with_ten_open(more), refused);
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
