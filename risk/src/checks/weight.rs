//! Message rate in the venue's weight: a new order must leave the reserve that is there for
//! cancels.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Weight`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let limits = input.limits;
    let needed = limits.weight_place + limits.weight_reserve;
    if input.rates.allows_weight(needed, input.now) { Ok(()) } else { Err(RefuseReason::Weight) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;

    #[test]
    fn the_reserve_is_left_for_cancels() {
        let at = |orders_taken, cancels_taken| {
            Fixture::with(|f| {
                f.limits.weight_burst = 20;
                f.limits.weight_reserve = 8;
                f.limits.weight_place = 3;
                f.limits.weight_cancel = 2;
                (f.orders_taken, f.cancels_taken) = (orders_taken, cancels_taken);
            })
            .run(check)
        };
        assert_eq!(at(3, 0), Ok(()), "eleven are left: three and the reserve");
        assert_eq!(at(4, 0), Err(RefuseReason::Weight));
        assert_eq!(at(0, 4), Ok(()));
        assert_eq!(at(0, 5), Err(RefuseReason::Weight), "cancels count, too");
    }
}
