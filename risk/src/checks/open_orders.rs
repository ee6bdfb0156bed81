//! Open orders per instrument (ours and the venue's limit), in all, and room in the ledger.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::OpenOrders`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let instrument = input.instrument()?;
    let here = input.total().map_or(0, |e| e.open);
    let venue = instrument.orders_open_max;
    let fits = here < input.limits.open_orders_instrument_max
        && (venue == 0 || here < venue)
        && input.ledger.open_orders() < input.limits.open_orders_max as usize
        && input.ledger.has_room();
    if fits { Ok(()) } else { Err(RefuseReason::OpenOrders) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, intent};
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
    }
}
