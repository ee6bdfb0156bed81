//! The short roster of cancels. A cancel reduces risk: kill, drain, session and book do not stop
//! it, and it has a rate of its own; but it must name an open order of that instrument.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::NotOpen`] when the ledger does not hold the order as open, or it belongs to
/// another instrument.
pub fn check_open(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let order = input.ledger.order(input.intent.order);
    let open =
        order.is_some_and(|o| o.instrument == input.intent.instrument && !o.state.is_terminal());
    if open { Ok(()) } else { Err(RefuseReason::NotOpen) }
}

/// # Errors
/// [`RefuseReason::Rate`].
pub fn check_rate(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    if input.rates.allows_cancel(input.now) { Ok(()) } else { Err(RefuseReason::Rate) }
}

/// # Errors
/// [`RefuseReason::Weight`]: not even the reserve holds what a cancel weighs.
pub fn check_weight(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let fits = input.rates.allows_weight(input.limits.weight_cancel, input.now);
    if fits { Ok(()) } else { Err(RefuseReason::Weight) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, intent};
    use bot4_types::{InstrumentId, OrderId, OrderIntent};

    fn cancel(order: u64) -> Fixture {
        Fixture::with(|f| {
            f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
            f.intent.order = OrderId(order);
        })
    }

    #[test]
    fn only_an_open_order_of_that_instrument() {
        assert_eq!(cancel(1).run(check_open), Ok(()));
        assert_eq!(cancel(2).run(check_open), Err(RefuseReason::NotOpen));
        let mut elsewhere = cancel(1);
        elsewhere.intent.instrument = InstrumentId(3);
        assert_eq!(elsewhere.run(check_open), Err(RefuseReason::NotOpen));
        let mut unknown = cancel(1);
        unknown.unknown = vec![OrderId(1)];
        assert_eq!(unknown.run(check_open), Ok(()), "an unknown order may be cancelled");
    }

    #[test]
    fn orders_do_not_use_up_the_rate_of_cancels() {
        let busy = |orders_taken, cancels_taken| {
            let mut fixture = cancel(1);
            fixture.limits.cancels_burst = 2;
            (fixture.orders_taken, fixture.cancels_taken) = (orders_taken, cancels_taken);
            fixture.run(check_rate)
        };
        assert_eq!(busy(5_000, 1), Ok(()));
        assert_eq!(busy(0, 2), Err(RefuseReason::Rate));
    }

    #[test]
    fn cancels_may_use_the_reserve_of_weight() {
        let busy = |cancels_taken| {
            let mut fixture = cancel(1);
            (fixture.limits.weight_burst, fixture.limits.weight_reserve) = (20, 15);
            fixture.limits.weight_cancel = 5;
            fixture.cancels_taken = cancels_taken;
            fixture.run(check_weight)
        };
        assert_eq!(busy(3), Ok(()));
        assert_eq!(busy(4), Err(RefuseReason::Weight));
    }
}
