//! The price collar: our own limit on how far an order's price may lie from microprice and from
//! the last trade, the tightest over account, venue, strategy and instrument. It catches a wrong
//! price that every filter of the venue would let pass. An order that waits for a trigger is
//! priced for that moment: its price may lie so far from the trigger, wherever that is.

use bot4_types::RefuseReason;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::PriceCollar`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let mark = input.mark()?;
    let caps = input.order_caps.ok_or(RefuseReason::PriceCollar)?;
    let (price, collar) = (input.intent.price.0, caps.collar_e4);
    let near = |reference: i64| reference <= 0 || is_near(price, reference, collar);
    let (kind, trigger) = (input.intent.kind, input.intent.trigger.0);
    let inside = match kind.is_triggered() {
        true => near(trigger),
        false => near(mark.micro) && near(mark.last_trade),
    };
    if inside { Ok(()) } else { Err(RefuseReason::PriceCollar) }
}

fn is_near(price: i64, reference: i64, collar_e4: i64) -> bool {
    let deviation = i128::from(price.abs_diff(reference)) * 10_000;
    deviation <= i128::from(reference) * i128::from(collar_e4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE};
    use crate::scopes::ScopeLimits;
    use bot4_types::Price;

    #[test]
    fn both_references_bind_both_ways() {
        let at = |price| Fixture::with(|f| f.intent.price = Price(price)).run(check);
        assert_eq!(at(103 * ONE), Ok(()));
        assert_eq!(at(103 * ONE + 1), Err(RefuseReason::PriceCollar));
        assert_eq!(at(97 * ONE), Ok(()));
        assert_eq!(at(97 * ONE - 1), Err(RefuseReason::PriceCollar));
        let trade = |last| Fixture::with(|f| f.mark.last_trade = last).run(check);
        assert_eq!(trade(90 * ONE), Err(RefuseReason::PriceCollar));
        assert_eq!(trade(0), Ok(()), "no trade yet");
        let row = |collar_e4| ScopeLimits { collar_e4, ..ScopeLimits::default() };
        let tighter = |e4| {
            let change = |f: &mut Fixture| {
                f.scopes.instruments = vec![row(e4)];
                f.intent.price = Price(101 * ONE);
            };
            Fixture::with(change).run(check)
        };
        assert_eq!(tighter(100), Ok(()));
        assert_eq!(tighter(99), Err(RefuseReason::PriceCollar));
    }
}
