//! The day's loss: from its limit on nothing increases until the next day begins.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::DailyLoss`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    if input.caps.daily_loss_is_over { Err(RefuseReason::DailyLoss) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use crate::limits::units;

    #[test]
    fn at_the_limit_nothing_increases() {
        let at = |lost, share_e4, value_max| {
            Fixture::with(|f| {
                f.equity = Some(units(100_000) - lost);
                (f.day_open, f.peak) = (units(100_000), units(100_000));
                f.limits.daily_loss_e4 = share_e4;
                f.limits.daily_loss_value_max = value_max;
            })
            .run(check)
        };
        let refused = Err(RefuseReason::DailyLoss);
        assert_eq!(at(units(2_000) - 1, 200, 0), Ok(()));
        assert_eq!(at(units(2_000), 200, 0), refused);
        assert_eq!(at(units(500), 200, units(500)), refused, "the tighter one");
        assert_eq!(at(units(9_000), 0, 0), Ok(()), "no limit");
    }
}
