//! Portfolio heat stays within its limit: the sum over instruments of worst-case size times
//! volatility over one hour times leverage, over capital. Nothing offsets anything here, so it
//! still holds when correlations, by which the other two checks live, turn to one.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Heat`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let (statistics, max) = (input.statistics, input.limits.statistics.heat_equity_e6);
    if max == 0 || input.worst_after() <= 0 {
        return Ok(());
    }
    let (instrument, value) = (input.intent.instrument, statistics.value_of(input.intent));
    let after = statistics.book().heat_after(instrument, value);
    let most = statistics.allowed(max, input.limits.share_e4(input.mode));
    if after <= most { Ok(()) } else { Err(RefuseReason::Heat) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE};
    use bot4_types::{OrderId, OrderIntent, Side};

    /// Held, open and ordered: 1,000, 100 and 100, one per cent of which is 12: 109.1 ppm.
    fn with(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.held = 10 * ONE;
            f.resting = vec![OrderIntent { order: OrderId(1), ..f.intent }];
            f.limits.statistics.heat_equity_e6 = 110;
        });
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn the_worst_of_each_side_counts() {
        let refused = Err(RefuseReason::Heat);
        assert_eq!(with(|_| ()), Ok(()));
        let semi_auto = bot4_types::ControlMode::SemiAuto;
        assert_eq!(with(|f| f.mode = semi_auto), refused, "half of every limit");
        assert_eq!(with(|f| f.limits.statistics.heat_equity_e6 = 109), refused);
        assert_eq!(with(|f| f.limits.statistics.heat_equity_e6 = 0), Ok(()));
        let sale_through_zero = |f: &mut Fixture| {
            f.intent.side = Side::Sell;
            f.intent.qty.0 = 22 * ONE;
        };
        assert_eq!(with(sale_through_zero), Ok(()), "12 short is 12 after 11 long");
        let further = |f: &mut Fixture| {
            sale_through_zero(f);
            f.intent.qty.0 += ONE;
        };
        assert_eq!(with(further), refused);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(with(|f| f.equity = None), Err(RefuseReason::Heat));
        assert_eq!(with(|f| f.statistics_mark = false), Err(RefuseReason::Heat));
    }
}
