//! The fall from the highest equity: from its limit on nothing increases.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Drawdown`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    if input.caps.drawdown_is_over { Err(RefuseReason::Drawdown) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use crate::limits::units;

    #[test]
    fn at_the_limit_nothing_increases() {
        let at = |equity| {
            Fixture::with(|f| {
                f.equity = Some(equity);
                f.peak = units(100_000);
            })
            .run(check)
        };
        assert_eq!(at(units(85_010)), Ok(()));
        assert_eq!(at(units(85_000)), Err(RefuseReason::Drawdown));
        assert_eq!(at(units(85_000) + 1), Err(RefuseReason::Drawdown), "rounded up");
    }
}
