//! The book behind the order is live: in sequence and uncrossed, with a price to judge by. A
//! reduction that the market did not cause needs none.

use bot4_types::{BookState, RefuseReason};

use super::CheckInput;

/// # Errors
/// [`RefuseReason::BookNotLive`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let mark = input.mark()?;
    let usable = mark.state == BookState::Live && mark.micro > 0;
    if usable || input.needs_no_book() { Ok(()) } else { Err(RefuseReason::BookNotLive) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, intent};
    use bot4_types::{Cause, OrderId, OrderIntent, Side};

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

    #[test]
    fn a_reduction_that_the_market_did_not_cause_needs_none() {
        let close = |cause| {
            Fixture::with(|f| {
                f.resting = vec![OrderIntent { order: OrderId(1), ..intent() }];
                f.filled = vec![OrderId(1)];
                f.intent.side = Side::Sell;
                f.intent.cause = cause;
                f.mark.state = BookState::Stale;
            })
            .run(check)
        };
        assert_eq!(close(Cause::Market), Err(RefuseReason::BookNotLive));
        assert_eq!((close(Cause::Operator), close(Cause::Timer)), (Ok(()), Ok(())));
    }
}
