//! The venue's price filters: tick, bounds and percent band. A market order carries no price to
//! the venue, so for it the price must only be one.
//!
//! The band's reference is the venue's average price, which the engine does not see; the price
//! must lie within the band of both microprice and last trade instead.

use bot4_types::RefuseReason;
use bot4_types::instrument::PriceBand;

use super::CheckInput;

/// # Errors
/// [`RefuseReason::Tick`] or [`RefuseReason::PriceBounds`].
pub fn check(input: &CheckInput<'_>) -> Result<(), RefuseReason> {
    let instrument = input.instrument()?;
    let price = input.intent.price.0;
    if price <= 0 {
        return Err(RefuseReason::PriceBounds);
    }
    if input.intent.kind.is_market() {
        return Ok(());
    }
    if instrument.tick > 0 && price % instrument.tick != 0 {
        return Err(RefuseReason::Tick);
    }
    let (low, high) = (instrument.price_min.0, instrument.price_max.0);
    if price < low || (high > 0 && price > high) {
        return Err(RefuseReason::PriceBounds);
    }
    let band = if input.is_buy() { instrument.band_buy } else { instrument.band_sell };
    let mark = input.mark()?;
    let inside = is_inside(price, mark.micro, band) && is_inside(price, mark.last_trade, band);
    if inside { Ok(()) } else { Err(RefuseReason::PriceBounds) }
}

/// `reference * down <= price <= reference * up`; true where there is no reference or no rule.
fn is_inside(price: i64, reference: i64, band: PriceBand) -> bool {
    let scaled = i128::from(price) * 10_000;
    let bound = |multiplier: i64| i128::from(reference) * i128::from(multiplier);
    reference <= 0
        || (band.up_e4 == 0 || scaled <= bound(band.up_e4))
            && (band.down_e4 == 0 || scaled >= bound(band.down_e4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE};
    use bot4_types::OrderKind;
    use bot4_types::{Price, Side};

    fn at(price: i64) -> Result<(), RefuseReason> {
        Fixture::with(|f| f.intent.price = Price(price)).run(check)
    }

    #[test]
    fn tick_and_bounds() {
        assert_eq!(at(100 * ONE), Ok(()));
        assert_eq!(at(100 * ONE + 1), Err(RefuseReason::Tick));
        assert_eq!(at(0), Err(RefuseReason::PriceBounds));
        assert_eq!(at(-ONE), Err(RefuseReason::PriceBounds));
        assert_eq!(at(100_000 * ONE + ONE), Err(RefuseReason::PriceBounds));
        let off_tick = Fixture::with(|f| {
            f.intent.price = Price(100 * ONE + 1);
            f.intent.kind = OrderKind::Market;
        });
        assert_eq!(off_tick.run(check), Ok(()), "a market order sends no price");
    }

    #[test]
    fn the_band_of_its_side_binds() {
        assert_eq!(at(500 * ONE), Ok(()));
        assert_eq!(at(500 * ONE + ONE / 100), Err(RefuseReason::PriceBounds));
        assert_eq!(at(20 * ONE), Ok(()));
        assert_eq!(at(20 * ONE - ONE / 100), Err(RefuseReason::PriceBounds));
        let sell = Fixture::with(|f| {
            f.intent.side = Side::Sell;
            f.intent.price = Price(100 * ONE);
            f.instrument.band_sell = PriceBand { up_e4: 9_000, down_e4: 0 };
        });
        assert_eq!(sell.run(check), Err(RefuseReason::PriceBounds));
        let buy = Fixture::with(|f| f.instrument.band_buy = PriceBand { up_e4: 9_000, down_e4: 0 });
        assert_eq!(buy.run(check), Err(RefuseReason::PriceBounds));
        let last_far = Fixture::with(|f| f.mark.last_trade = 10 * ONE);
        assert_eq!(last_far.run(check), Err(RefuseReason::PriceBounds));
    }
    #[test]
    fn a_rule_of_zero_is_none_and_bounds_are_inside() {
        let at = |price, change: fn(&mut Fixture)| {
            let mut fixture = Fixture::with(|f| {
                f.intent.price = Price(price);
                (f.instrument.band_buy, f.instrument.price_min) = (PriceBand::default(), Price(0));
                f.instrument.price_max = Price(0);
            });
            change(&mut fixture);
            fixture.run(check)
        };
        let refused = Err(RefuseReason::PriceBounds);
        assert_eq!(at(900_000 * ONE, |_| ()), Ok(()));
        assert_eq!(at(100 * ONE + 1, |f| f.instrument.tick = 0), Ok(()));
        let low = |f: &mut Fixture| f.instrument.price_min = Price(50 * ONE);
        assert_eq!((at(50 * ONE, low), at(50 * ONE - ONE / 100, low)), (Ok(()), refused));
        let high = |f: &mut Fixture| f.instrument.price_max = Price(150 * ONE);
        assert_eq!((at(150 * ONE, high), at(150 * ONE + ONE / 100, high)), (Ok(()), refused));
    }
}
