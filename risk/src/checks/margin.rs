//! Distance to the maintenance margin: equity over what the venue would require for the worst
//! case of all exposure. Spot requires nothing and always passes.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Margin`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let fits = (|| {
        let maintenance_e4 = input.caps.instrument(input.intent.instrument)?.maintenance_e4;
        if maintenance_e4 == 0 {
            return Some(true);
        }
        let gross = input.gross_after()?;
        let grown = gross.after - gross.before;
        let required = input.aggregate.account().margin_e4 + grown * i128::from(maintenance_e4);
        Some(grown == 0 || required <= input.caps.margin_e4)
    })();
    if fits == Some(true) { Ok(()) } else { Err(RefuseReason::Margin) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, intent};
    use crate::limits::units;
    use crate::scopes::ScopeLimits;
    use bot4_types::{OrderId, OrderIntent, Qty};

    /// 1,000 are open, the order adds 100; five per cent of 1,100 are 55.
    fn with_ten_open(change: impl FnOnce(&mut Fixture)) -> Result<(), RefuseReason> {
        let mut fixture = Fixture::with(|f| {
            f.resting = vec![OrderIntent { order: OrderId(1), qty: Qty(10 * ONE), ..intent() }];
            f.limits.maintenance_e4 = 500;
            f.equity = Some(units(110));
            f.limits.margin_distance_e4 = 20_000;
        });
        change(&mut fixture);
        fixture.run(check)
    }

    #[test]
    fn equity_must_cover_the_requirement_and_the_distance() {
        assert_eq!(with_ten_open(|_| ()), Ok(()));
        assert_eq!(with_ten_open(|f| f.equity = Some(units(110) - 1)), Err(RefuseReason::Margin));
        assert_eq!(with_ten_open(|f| f.limits.margin_distance_e4 += 1), Err(RefuseReason::Margin));
        assert_eq!(with_ten_open(|f| f.equity = None), Err(RefuseReason::Margin));
        let spot = |f: &mut Fixture| (f.limits.maintenance_e4, f.equity) = (0, None);
        assert_eq!(with_ten_open(spot), Ok(()), "spot requires nothing");
    }

    #[test]
    fn an_instruments_own_margin_replaces_the_accounts() {
        let row = ScopeLimits { maintenance_e4: 501, ..ScopeLimits::default() };
        let own = |f: &mut Fixture| f.scopes.instruments = vec![row];
        assert_eq!(with_ten_open(own), Err(RefuseReason::Margin));
    }
}
