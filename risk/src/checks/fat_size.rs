//! Fat finger, by quantity: our own largest order, apart from the venue's filter. The tightest
//! over account, venue, strategy and instrument.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::FatSize`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let fits = input.order_caps.is_some_and(|caps| {
        let most = if input.reduces() { caps.reduce_qty } else { caps.increase_qty };
        input.intent.qty.0 <= most
    });
    if fits { Ok(()) } else { Err(RefuseReason::FatSize) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::Fixture;
    use crate::limits::units;
    use crate::scopes::ScopeLimits;
    use bot4_types::ControlMode;

    #[test]
    fn the_tightest_scope_binds() {
        let account = |max| Fixture::with(|f| f.limits.order_base_max = max).run(check);
        assert_eq!(account(units(1)), Ok(()));
        assert_eq!(account(units(1) - 1), Err(RefuseReason::FatSize));
        let row = |order_base_max| ScopeLimits { order_base_max, ..ScopeLimits::default() };
        let instrument = |max| Fixture::with(|f| f.scopes.instruments = vec![row(max)]).run(check);
        assert_eq!(instrument(units(1)), Ok(()));
        assert_eq!(instrument(units(1) - 1), Err(RefuseReason::FatSize));
        let half = Fixture::with(|f| {
            f.limits.order_base_max = units(1);
            f.mode = ControlMode::Manual;
        });
        assert_eq!(half.run(check), Err(RefuseReason::FatSize), "half of it in this mode");
    }
}
