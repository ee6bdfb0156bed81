//! Order rate by strategy and over all. Only approved orders use tokens up.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Rate`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let allowed = input.rates.allows_order(input.intent.strategy, input.now);
    if allowed { Ok(()) } else { Err(RefuseReason::Rate) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
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
}
