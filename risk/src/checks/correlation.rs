//! An order's P&L is not too much like that of the book: the correlation of the order, with its
//! sign, with what is held stays within its limit.
//!
//! A small book may be one-sided, and every first position is correlated with nothing but its
//! next. So the rule: the correlation counts only where it could matter, which is where the book
//! *after* the order would vary, over one hour, by more than `correlation_from` of the equity.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Correlation`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let (statistics, limits) = (input.statistics, &input.limits.statistics);
    let none = limits.correlation_e4 >= 10_000;
    if none || input.worst_after() <= 0 {
        return Ok(());
    }
    let (instrument, value) = (input.intent.instrument, statistics.value_of(input.intent));
    let from = statistics.share(limits.correlation_from_e6);
    if statistics.book().volatility_after(instrument, value) <= from {
        return Ok(());
    }
    let correlation = statistics.book().correlation(instrument, value);
    let max = limits.correlation_e4 as f64 / 1e4;
    if correlation <= max { Ok(()) } else { Err(RefuseReason::Correlation) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE};
    use bot4_types::{Qty, Side};

    /// Held: a hundred units worth 10,000, which vary by 100 over an hour: 909 ppm of equity.
    fn holding(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.held = 100 * ONE;
            f.limits.statistics.correlation_from_e6 = 500;
        });
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn more_of_the_same_is_refused_where_the_book_matters() {
        let refused = Err(RefuseReason::Correlation);
        assert_eq!(holding(|_| ()), refused);
        assert_eq!(holding(|f| f.limits.statistics.correlation_e4 = 10_000), Ok(()));
        assert_eq!(holding(|f| f.limits.statistics.correlation_e4 = 9_999), refused);
        assert_eq!(holding(|f| f.limits.statistics.correlation_from_e6 = 919), Ok(()));
        assert_eq!(holding(|f| f.limits.statistics.correlation_from_e6 = 918), refused);
        assert_eq!(holding(|f| f.held = 0), Ok(()), "nothing to be correlated with");
    }

    #[test]
    fn the_other_side_is_not_correlated() {
        let sale = |qty| {
            move |f: &mut Fixture| {
                f.intent.side = Side::Sell;
                f.intent.qty = Qty(qty);
            }
        };
        assert_eq!(holding(sale(ONE)), Ok(()), "it only reduces");
        assert_eq!(holding(sale(101 * ONE)), Ok(()), "it turns the book round");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let refused = Err(RefuseReason::Correlation);
        assert_eq!(holding(|f| f.equity = None), refused);
        assert_eq!(holding(|f| f.statistics_mark = false), refused);
        let sale = |f: &mut Fixture| (f.statistics_mark, f.intent.side) = (false, Side::Sell);
        assert_eq!(holding(sale), Ok(()), "the account only reduces");
    }
}
