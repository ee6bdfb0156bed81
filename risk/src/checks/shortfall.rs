//! The book's tail stays within its limit: expected shortfall at 99 % over one hour, as a share of
//! equity. Value at risk is never larger, so its limit is kept with it.
//!
//! Before the order an upper bound decides: the shortfall of what is held, that of every open order
//! by itself, and that of this one. Diversification counts only for what is held already.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Shortfall`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let (statistics, max) = (input.statistics, input.limits.statistics.shortfall_equity_e6);
    if max == 0 || input.worst_after() <= 0 {
        return Ok(());
    }
    let (instrument, value) = (input.intent.instrument, statistics.value_of(input.intent));
    let after = statistics.book().shortfall_after(instrument, value);
    let most = statistics.allowed(max, input.limits.share_e4(input.mode));
    if after <= most { Ok(()) } else { Err(RefuseReason::Shortfall) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use bot4_types::{OrderId, OrderIntent, Qty, Side};

    /// A value of 1,000 is ordered, 1,000 open and 1,000 held. At the fallback's one per cent an
    /// hour each has a shortfall of 26.65: 243 ppm of the equity of 110,000.
    fn with(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.held = 10 * ONE;
            f.intent.qty = Qty(10 * ONE);
            f.resting = vec![OrderIntent { order: OrderId(1), ..f.intent }];
            f.limits.statistics.shortfall_equity_e6 = 727;
        });
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn held_open_and_ordered_count() {
        let refused = Err(RefuseReason::Shortfall);
        assert_eq!(with(|_| ()), Ok(()));
        let semi_auto = bot4_types::ControlMode::SemiAuto;
        assert_eq!(with(|f| f.mode = semi_auto), refused, "half of every limit");
        assert_eq!(with(|f| f.limits.statistics.shortfall_equity_e6 = 726), refused);
        assert_eq!(with(|f| f.limits.statistics.shortfall_equity_e6 = 0), Ok(()));
        let no_open = |f: &mut Fixture| {
            f.limits.statistics.shortfall_equity_e6 = 485;
            f.resting.clear();
        };
        assert_eq!(with(no_open), Ok(()));
        assert_eq!(with(|f| f.intent = OrderIntent { qty: Qty(11 * ONE), ..intent() }), refused);
    }

    #[test]
    fn a_reduction_passes_and_what_is_not_known_does_not() {
        let refused = Err(RefuseReason::Shortfall);
        let sale = |f: &mut Fixture| {
            f.limits.statistics.shortfall_equity_e6 = 1;
            f.intent.side = Side::Sell;
        };
        assert_eq!(with(sale), Ok(()));
        assert_eq!(with(|f| f.equity = None), refused);
        assert_eq!(with(|f| f.statistics_mark = false), refused);
    }
}
