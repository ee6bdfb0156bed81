//! The rules of an instrument while the run goes on: what a venue may change without a restart.
//!
//! A run keeps the decimals it started with: books, positions and orders under way are counted in
//! them. New rules are therefore restated in the run's own units ([`InstrumentRules::restated`]).
//! Steps must come out exactly; a bound that does not is rounded to the narrower side, so that an
//! order within it is within the venue's own.

use crate::id::InstrumentId;
use crate::instrument::{Instrument, PriceBand};
use crate::log::{Body, Reader, Writer};
use crate::price::{Price, Qty};
use serde::{Deserialize, Serialize};

/// What of an [`Instrument`] binds orders, in the units that `price_decimals` and `qty_decimals`
/// name. Fields as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is described at Instrument's")]
pub struct InstrumentRules {
    pub notional_min: i128,
    pub notional_max: i128,
    pub tick: i64,
    pub price_min: Price,
    pub price_max: Price,
    pub lot: i64,
    pub qty_min: Qty,
    pub qty_max: Qty,
    pub market_lot: i64,
    pub market_qty_min: Qty,
    pub market_qty_max: Qty,
    pub band_buy: PriceBand,
    pub band_sell: PriceBand,
    pub orders_open_max: u32,
    pub instrument: InstrumentId,
    pub price_decimals: u8,
    pub qty_decimals: u8,
    pub tradable: bool,
    pub notional_min_market: bool,
    pub notional_max_market: bool,
}

const _: () = assert!(size_of::<InstrumentRules>() <= 176);

/// Which way a bound goes when it falls between two units.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Exact,
    Up,
    Down,
}

impl InstrumentRules {
    /// The rules of `instrument`.
    #[must_use]
    pub const fn of(i: &Instrument) -> Self {
        Self {
            notional_min: i.notional_min,
            notional_max: i.notional_max,
            tick: i.tick,
            price_min: i.price_min,
            price_max: i.price_max,
            lot: i.lot,
            qty_min: i.qty_min,
            qty_max: i.qty_max,
            market_lot: i.market_lot,
            market_qty_min: i.market_qty_min,
            market_qty_max: i.market_qty_max,
            band_buy: i.band_buy,
            band_sell: i.band_sell,
            orders_open_max: i.orders_open_max,
            instrument: i.id,
            price_decimals: i.price_decimals,
            qty_decimals: i.qty_decimals,
            tradable: i.tradable,
            notional_min_market: i.notional_min_market,
            notional_max_market: i.notional_max_market,
        }
    }

    /// Whether they are rules of `instrument`, in its units.
    #[must_use]
    pub const fn fit(&self, instrument: &Instrument) -> bool {
        self.instrument.0 == instrument.id.0
            && self.price_decimals == instrument.price_decimals
            && self.qty_decimals == instrument.qty_decimals
    }

    /// Makes them the rules of `instrument`. False, and nothing done, when they are not for it.
    pub const fn bind(&self, instrument: &mut Instrument) -> bool {
        if !self.fit(instrument) {
            return false;
        }
        *instrument = Instrument {
            id: instrument.id,
            symbol: instrument.symbol,
            venue: instrument.venue,
            base: instrument.base,
            quote: instrument.quote,
            price_decimals: self.price_decimals,
            qty_decimals: self.qty_decimals,
            tradable: self.tradable,
            tick: self.tick,
            price_min: self.price_min,
            price_max: self.price_max,
            lot: self.lot,
            qty_min: self.qty_min,
            qty_max: self.qty_max,
            market_lot: self.market_lot,
            market_qty_min: self.market_qty_min,
            market_qty_max: self.market_qty_max,
            notional_min: self.notional_min,
            notional_max: self.notional_max,
            notional_min_market: self.notional_min_market,
            notional_max_market: self.notional_max_market,
            band_buy: self.band_buy,
            band_sell: self.band_sell,
            orders_open_max: self.orders_open_max,
            amends: instrument.amends,
            replaces: instrument.replaces,
            stops: instrument.stops,
            stops_alone: instrument.stops_alone,
        };
        true
    }

    /// The rules of `new` in the units of `run`, whose id they get; `None` where a step lies
    /// between two units or a number beyond them.
    #[must_use]
    pub fn restated(new: &Instrument, run: &Instrument) -> Option<Self> {
        let price = |v, round| small(v, new.price_decimals, run.price_decimals, round);
        let qty = |v, round| small(v, new.qty_decimals, run.qty_decimals, round);
        let from = new.price_decimals + new.qty_decimals;
        let to = run.price_decimals + run.qty_decimals;
        let value = |v, round| scaled(v, from, to, round);
        Some(Self {
            notional_min: value(new.notional_min, Round::Up)?,
            notional_max: value(new.notional_max, Round::Down)?,
            tick: price(new.tick, Round::Exact)?,
            price_min: Price(price(new.price_min.0, Round::Up)?),
            price_max: Price(price(new.price_max.0, Round::Down)?),
            lot: qty(new.lot, Round::Exact)?,
            qty_min: Qty(qty(new.qty_min.0, Round::Up)?),
            qty_max: Qty(qty(new.qty_max.0, Round::Down)?),
            market_lot: qty(new.market_lot, Round::Exact)?,
            market_qty_min: Qty(qty(new.market_qty_min.0, Round::Up)?),
            market_qty_max: Qty(qty(new.market_qty_max.0, Round::Down)?),
            instrument: run.id,
            price_decimals: run.price_decimals,
            qty_decimals: run.qty_decimals,
            ..Self::of(new)
        })
    }
}

/// `v` units of 10^-`from` in units of 10^-`to`. An upper bound beyond what can be held binds
/// nothing that can be held; one that vanishes would read as "no rule" and is `None`.
fn scaled(v: i128, from: u8, to: u8, round: Round) -> Option<i128> {
    if to >= from {
        let grown = v.checked_mul(10i128.checked_pow(u32::from(to - from))?);
        return if round == Round::Down { Some(grown.unwrap_or(i128::MAX)) } else { grown };
    }
    let by = 10i128.checked_pow(u32::from(from - to))?;
    match (round, v.div_euclid(by), v.rem_euclid(by)) {
        (_, whole, 0) => Some(whole),
        (Round::Up, whole, _) => Some(whole + 1),
        (Round::Down, whole @ 1.., _) => Some(whole),
        _ => None,
    }
}

fn small(v: i64, from: u8, to: u8, round: Round) -> Option<i64> {
    let units = scaled(i128::from(v), from, to, round)?;
    match i64::try_from(units) {
        Err(_) if round == Round::Down => Some(i64::MAX),
        units => units.ok(),
    }
}

impl Body for InstrumentRules {
    fn write(&self, w: &mut Writer<'_>) {
        w.u16(self.instrument.0);
        w.u8(self.price_decimals);
        w.u8(self.qty_decimals);
        for flag in [self.tradable, self.notional_min_market, self.notional_max_market] {
            w.u8(u8::from(flag));
        }
        w.u32(self.orders_open_max);
        w.i128(self.notional_min);
        w.i128(self.notional_max);
        let bands = [self.band_buy, self.band_sell].map(|b| [b.up_e4, b.down_e4]);
        let prices = [self.tick, self.price_min.0, self.price_max.0];
        let sizes = [self.lot, self.qty_min.0, self.qty_max.0];
        let market = [self.market_lot, self.market_qty_min.0, self.market_qty_max.0];
        for word in [prices, sizes, market].as_flattened().iter().chain(bands.as_flattened()) {
            w.i64(*word);
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let instrument = InstrumentId(r.u16()?);
        let (price_decimals, qty_decimals) = (r.u8()?, r.u8()?);
        let mut flag = || match r.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        let [tradable, notional_min_market, notional_max_market] = [flag()?, flag()?, flag()?];
        Some(Self {
            orders_open_max: r.u32()?,
            notional_min: r.i128()?,
            notional_max: r.i128()?,
            tick: r.i64()?,
            price_min: Price(r.i64()?),
            price_max: Price(r.i64()?),
            lot: r.i64()?,
            qty_min: Qty(r.i64()?),
            qty_max: Qty(r.i64()?),
            market_lot: r.i64()?,
            market_qty_min: Qty(r.i64()?),
            market_qty_max: Qty(r.i64()?),
            band_buy: PriceBand { up_e4: r.i64()?, down_e4: r.i64()? },
            band_sell: PriceBand { up_e4: r.i64()?, down_e4: r.i64()? },
            instrument,
            price_decimals,
            qty_decimals,
            tradable,
            notional_min_market,
            notional_max_market,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Symbol;
    use proptest::prelude::*;

    fn instrument(price_decimals: u8, qty_decimals: u8) -> Instrument {
        let bare = Instrument::bare(InstrumentId(3), Symbol::new("AAA").expect("short"), 0);
        Instrument { price_decimals, qty_decimals, ..bare }
    }

    #[test]
    fn rules_keep_their_worth_in_other_units() {
        let run = instrument(3, 6);
        // A tick of 0.01 and a lot of 0.5 with more and with fewer decimals than the run has.
        let new = Instrument { tick: 100, lot: 5, price_max: Price(77), ..instrument(4, 1) };
        let rules = InstrumentRules::restated(&new, &run).expect("they fit");
        assert_eq!((rules.tick, rules.lot, rules.price_max.0), (10, 500_000, 7));
        assert!(rules.fit(&run) && !rules.fit(&new));
        let mut bound = run;
        assert!(rules.bind(&mut bound));
        assert_eq!((bound.tick, bound.lot, bound.symbol), (10, 500_000, run.symbol));
        let mut other = new;
        assert!(!rules.bind(&mut other) && other == new);
    }

    #[test]
    fn what_the_units_cannot_hold_is_told() {
        let run = instrument(2, 2);
        let fits = |change: fn(&mut Instrument)| {
            let mut new = Instrument { tick: 10, lot: 10, ..instrument(3, 3) };
            change(&mut new);
            InstrumentRules::restated(&new, &run)
        };
        assert!(fits(|_| ()).is_some());
        assert_eq!(fits(|i| i.tick = 1), None);
        assert_eq!(fits(|i| i.lot = 15), None);
        // An upper bound of nearly zero is not "no bound".
        assert_eq!(fits(|i| i.qty_max = Qty(9)), None);
        let bounds = fits(|i| (i.qty_min, i.qty_max) = (Qty(11), Qty(19))).expect("bounds");
        assert_eq!((bounds.qty_min, bounds.qty_max), (Qty(2), Qty(1)));
        let wide = Instrument { price_max: Price(i64::MAX), ..instrument(2, 2) };
        let rules = InstrumentRules::restated(&wide, &instrument(4, 2)).expect("a wide bound");
        assert_eq!(rules.price_max, Price(i64::MAX));
        assert_eq!(
            InstrumentRules::restated(&Instrument { tick: i64::MAX, ..wide }, &instrument(4, 2)),
            None
        );
    }

    proptest! {
        #[test]
        fn rules_read_back(
            n in any::<i128>(),
            v in any::<[i64; 4]>(),
            flags in any::<[bool; 3]>(),
        ) {
            let mut i = instrument(2, 8);
            (i.notional_min, i.notional_max, i.tick, i.lot) = (n, !n, v[0], v[1]);
            (i.band_sell.down_e4, i.qty_max, i.tradable) = (v[2], Qty(v[3]), flags[0]);
            (i.notional_min_market, i.notional_max_market) = (flags[1], flags[2]);
            let rules = InstrumentRules::of(&i);
            let mut bytes = [0; 232];
            let mut w = Writer::over(&mut bytes);
            rules.write(&mut w);
            let len = w.written();
            prop_assert_eq!(InstrumentRules::read(&mut Reader::over(&bytes[..len])), Some(rules));
            prop_assert_eq!(InstrumentRules::read(&mut Reader::over(&bytes[..len - 1])), None);
        }

        /// A bound in coarser units is never wider.
        #[test]
        fn bounds_only_narrow(v in 1i64..1 << 50, cut in 0u8..4) {
            let new = Instrument { qty_min: Qty(v), qty_max: Qty(v), lot: 0, ..instrument(0, 4) };
            let run = instrument(0, 4 - cut);
            let Some(rules) = InstrumentRules::restated(&new, &run) else { return Ok(()) };
            let by = 10i64.pow(u32::from(cut));
            prop_assert!(rules.qty_min.0 * by >= v && rules.qty_max.0 * by <= v);
        }
    }
}
