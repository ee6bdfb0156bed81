//! Worst-case gross exposure over equity. Spot trades without leverage: one.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Leverage`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let fits =
        input.gross_after().map(|g| g.after <= input.caps.leverage_value || g.after <= g.before);
    if fits == Some(true) { Ok(()) } else { Err(RefuseReason::Leverage) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use crate::limits::units;

    #[test]
    fn exposure_is_held_against_equity() {
        let at = |leverage_e4, equity| {
            Fixture::with(|f| {
                f.limits.leverage_e4 = leverage_e4;
                f.equity = Some(equity);
            })
            .run(check)
        };
        assert_eq!(at(10_000, units(100)), Ok(()));
        assert_eq!(at(10_000, units(100) - 1), Err(RefuseReason::Leverage));
        assert_eq!(at(20_000, units(50)), Ok(()));
        assert_eq!(at(20_000, units(50) - 1), Err(RefuseReason::Leverage));
        let unknown = Fixture::with(|f| f.equity = None);
        assert_eq!(unknown.run(check), Err(RefuseReason::Leverage));
    }
}
