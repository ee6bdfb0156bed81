//! Lot, smallest and largest size: the venue's filters. Market orders obey the plain and the
//! market filters, as at the venue.

use bot4_types::{Qty, RefuseReason};

use super::CheckInput;
/// # Errors
/// [`RefuseReason::Lot`], [`RefuseReason::SizeMin`] or [`RefuseReason::SizeMax`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let i = input.instrument()?;
    let qty = input.intent.qty;
    filter(qty, i.lot, i.qty_min, i.qty_max)?;
    if input.intent.kind.is_market() {
        filter(qty, i.market_lot, i.market_qty_min, i.market_qty_max)?;
    }
    Ok(())
}

/// One size filter; a zero disables its part.
fn filter(qty: Qty, lot: i64, min: Qty, max: Qty) -> Result<(), RefuseReason> {
    if qty.0 <= 0 || qty < min {
        return Err(RefuseReason::SizeMin);
    }
    if max.0 > 0 && qty > max {
        return Err(RefuseReason::SizeMax);
    }
    if lot > 0 && qty.0 % lot != 0 {
        return Err(RefuseReason::Lot);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE};
    use bot4_types::OrderKind;

    #[test]
    fn filters_of_every_order() {
        let at = |qty| Fixture::with(|f| f.intent.qty = Qty(qty)).run(check);
        assert_eq!(at(ONE / 1_000), Ok(()));
        assert_eq!(at(ONE / 1_000 + 1), Err(RefuseReason::Lot));
        assert_eq!(at(1), Err(RefuseReason::SizeMin));
        assert_eq!(at(0), Err(RefuseReason::SizeMin));
        assert_eq!(at(-ONE), Err(RefuseReason::SizeMin));
        assert_eq!(at(9_001 * ONE), Err(RefuseReason::SizeMax));
        assert_eq!(at(9_000 * ONE), Ok(()));
        let bare = |f: &mut Fixture| {
            (f.instrument.lot, f.instrument.qty_min, f.instrument.qty_max) = (0, Qty(0), Qty(0));
            f.intent.qty.0 = 10_000 * ONE + 1;
        };
        assert_eq!(Fixture::with(bare).run(check), Ok(()), "a rule of zero is none");
    }

    #[test]
    fn market_filters() {
        let market = |kind| {
            Fixture::with(|f| {
                f.intent.kind = kind;
                f.instrument.market_qty_max = Qty(ONE / 2);
            })
            .run(check)
        };
        assert_eq!(market(OrderKind::Limit), Ok(()));
        assert_eq!(market(OrderKind::Market), Err(RefuseReason::SizeMax));
    }
}
