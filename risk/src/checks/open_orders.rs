//! Open orders per instrument (ours and the venue's limit), per strategy, in all, and room in the
//! ledger.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::OpenOrders`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let instrument = input.instrument()?;
    let intent = input.intent;
    let here = input.total.map_or(0, |e| e.open);
    let venue = instrument.orders_open_max;
    let most_here = input.caps.instrument(intent.instrument).map_or(0, |caps| caps.open_orders);
    let most_own = input.caps.strategy(intent.strategy).map_or(0, |caps| caps.open_orders);
    let fits = here < most_here
        && (venue == 0 || here < venue)
        && input.ledger.open_orders_of(intent.strategy) < most_own
        && input.ledger.open_orders() < input.caps.account().open_orders as usize
        && input.ledger.has_room();
    if fits { Ok(()) } else { Err(RefuseReason::OpenOrders) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, intent};
    use crate::scopes::ScopeLimits;
    use bot4_types::OrderId;

    fn with_two_open(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.resting = [1, 2]
                .map(|id| bot4_types::OrderIntent { order: OrderId(id), ..intent() })
                .to_vec();
        });
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn each_limit_binds() {
        let refused = Err(RefuseReason::OpenOrders);
        assert_eq!(with_two_open(|_| ()), Ok(()));
        assert_eq!(with_two_open(|f| f.limits.open_orders_instrument_max = 3), Ok(()));
        assert_eq!(with_two_open(|f| f.limits.open_orders_instrument_max = 2), refused);
        assert_eq!(with_two_open(|f| f.limits.open_orders_max = 2), refused);
        assert_eq!(with_two_open(|f| f.instrument.orders_open_max = 2), refused);
        assert_eq!(with_two_open(|f| f.instrument.orders_open_max = 3), Ok(()));
        let row = |open_orders_max| ScopeLimits { open_orders_max, ..ScopeLimits::default() };
        assert_eq!(with_two_open(|f| f.scopes.venue = row(2)), refused);
        assert_eq!(with_two_open(|f| f.scopes.instruments = vec![row(2)]), refused);
        assert_eq!(with_two_open(|f| f.scopes.strategies = vec![row(2)]), refused);
        assert_eq!(with_two_open(|f| f.scopes.strategies = vec![row(3), row(1)]), Ok(()));
    }
    #[test]
    fn those_of_all_strategies_count_together() {
        let at = |open_orders_max| {
            with_two_open(|f| {
                f.limits.open_orders_max = open_orders_max;
                f.intent.strategy.0 = 1;
            })
        };
        assert_eq!((at(3), at(2)), (Ok(()), Err(RefuseReason::OpenOrders)));
    }
}
