//! Order rate by strategy, by instrument and over all. Only approved orders use tokens up.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Rate`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let (strategy, instrument) = (input.intent.strategy, input.intent.instrument);
    let allowed = input.rates.allows_order(strategy, instrument, input.now);
    if allowed { Ok(()) } else { Err(RefuseReason::Rate) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use crate::scopes::ScopeLimits;
    use bot4_types::StrategyId;

    #[test]
    fn own_and_common_buckets_bind() {
        let at = |taken, strategy, total| {
            Fixture::with(|f| {
                f.limits.strategy_orders_burst = 3;
                f.limits.orders_burst = total;
                f.orders_taken = taken;
                f.intent.strategy = StrategyId(strategy);
            })
            .run(check)
        };
        assert_eq!(at(2, 0, 10), Ok(()));
        assert_eq!(at(3, 0, 10), Err(RefuseReason::Rate));
        assert_eq!(at(3, 1, 10), Ok(()), "the other strategy has its own");
        assert_eq!(at(3, 1, 3), Err(RefuseReason::Rate), "the common one is empty");
    }

    #[test]
    fn scopes_bind() {
        let row = |orders_per_s| ScopeLimits { orders_per_s, ..ScopeLimits::default() };
        let at = |taken, change: fn(&mut Fixture, ScopeLimits)| {
            Fixture::with(|f| {
                f.orders_taken = taken;
                change(f, row(2));
            })
            .run(check)
        };
        let changes: [fn(&mut Fixture, ScopeLimits); 3] = [
            |f, row| f.scopes.venue = row,
            |f, row| f.scopes.strategies = vec![row],
            |f, row| f.scopes.instruments = vec![row],
        ];
        for change in changes {
            assert_eq!((at(1, change), at(2, change)), (Ok(()), Err(RefuseReason::Rate)));
        }
    }
}
