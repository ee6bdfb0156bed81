//! Worst-case net exposure in the order's direction: everything open on that side fills in every
//! instrument and nothing on the other; of the account (and the venue) and of the strategy.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Net`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let fits = (|| {
        let (strategy, side) = (input.intent.strategy, input.intent.side.index());
        let added = input.order_worth()?;
        let account = input.aggregate.account().net[side] + added;
        let own = input.aggregate.strategy(strategy)?.net[side] + added;
        let caps = input.caps.strategy(strategy)?;
        Some(account <= input.caps.account().net && own <= caps.net)
    })();
    if fits == Some(true) { Ok(()) } else { Err(RefuseReason::Net) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use crate::limits::units;
    use crate::scopes::ScopeLimits;
    use bot4_types::{OrderId, OrderIntent, Qty, Side};

    #[test]
    fn directions_are_summed_apart() {
        let at = |side, net_value_max| {
            Fixture::with(|f| {
                f.resting = vec![OrderIntent { order: OrderId(1), qty: Qty(10 * ONE), ..intent() }];
                f.limits.net_value_max = net_value_max;
                f.intent.side = side;
            })
            .run(check)
        };
        assert_eq!(at(Side::Buy, units(1_100)), Ok(()));
        assert_eq!(at(Side::Buy, units(1_100) - 1), Err(RefuseReason::Net));
        assert_eq!(at(Side::Sell, units(100)), Ok(()), "what may be bought does not count");
        assert_eq!(at(Side::Sell, units(100) - 1), Err(RefuseReason::Net));
    }

    #[test]
    fn the_strategys_own_limit_binds_it_alone() {
        let at = |strategy| {
            Fixture::with(|f| {
                let row = ScopeLimits { net_value_max: units(99), ..ScopeLimits::default() };
                f.scopes.strategies = vec![row];
                f.intent.strategy.0 = strategy;
            })
            .run(check)
        };
        assert_eq!((at(0), at(1)), (Err(RefuseReason::Net), Ok(())));
    }
}
