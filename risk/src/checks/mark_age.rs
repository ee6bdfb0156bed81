//! The newest mark is young enough: the second line behind a book's own state, with the same
//! exception.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::BookStale`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let age_ns = input.now.since(input.mark()?.at).0;
    let fits = age_ns <= input.limits.mark_age_ns_max || input.needs_no_book();
    if fits { Ok(()) } else { Err(RefuseReason::BookStale) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use bot4_types::Nanos;

    #[test]
    fn age_counts_from_the_receive_stamp() {
        let at = |stamp| {
            Fixture::with(|f| {
                f.limits.mark_age_ns_max = 1_000;
                f.mark.at = Nanos(stamp);
            })
            .run(check)
        };
        assert_eq!(at(9_999_999_000), Ok(()));
        assert_eq!(at(9_999_998_999), Err(RefuseReason::BookStale));
        assert_eq!(at(10_000_000_500), Ok(()), "stamped by a lane whose turn began later");
    }
}
