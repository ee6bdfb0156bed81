//! An intent is not valid at or after its expiry: what it was decided on has passed. Nor is one
//! for an order whose own date has come.

use bot4_types::{RefuseReason, Tif};

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Expired`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let dated = input.intent.tif == Tif::Gtd && input.now >= input.intent.until;
    if input.now < input.intent.expires && !dated { Ok(()) } else { Err(RefuseReason::Expired) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use bot4_types::Nanos;

    #[test]
    fn the_last_valid_nanosecond_is_the_one_before() {
        let at = |now| Fixture::with(|f| f.now = Nanos(now)).run(check);
        assert_eq!(at(19_999_999_999), Ok(()));
        assert_eq!(at(20_000_000_000), Err(RefuseReason::Expired));
    }
}
