//! The book behind the order is live: in sequence and uncrossed, with a price to judge by.

use bot4_types::{BookState, RefuseReason};

use super::CheckInput;

/// # Errors
/// [`RefuseReason::BookNotLive`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let mark = input.mark()?;
    let usable = mark.state == BookState::Live && mark.micro > 0;
    if usable { Ok(()) } else { Err(RefuseReason::BookNotLive) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;

    #[test]
    fn only_a_live_book_with_a_price_counts() {
        assert_eq!(Fixture::default().run(check), Ok(()));
        for state in [BookState::Waiting, BookState::Syncing, BookState::Stale] {
            let fixture = Fixture::with(|f| f.mark.state = state);
            assert_eq!(fixture.run(check), Err(RefuseReason::BookNotLive));
        }
        let empty = Fixture::with(|f| f.mark.micro = 0);
        assert_eq!(empty.run(check), Err(RefuseReason::BookNotLive));
    }
}
