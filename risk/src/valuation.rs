//! What assets are worth in the reporting asset, by the marks that were handed in.
//!
//! Only marks given by [`Valuation::on_mark`] count, so a valuation is a function of recorded
//! inputs. Routes are found once: an asset is the reporting asset, or is traded against it.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, InstrumentId, InstrumentTable, Mark, Price};

use crate::money::{mul_div, power_of_ten};

/// How an asset is valued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// It is the reporting asset.
    Same,
    /// Base of this instrument, whose quote is the reporting asset.
    Base(InstrumentId),
    /// Quote of this instrument, whose base is the reporting asset.
    Quote(InstrumentId),
    /// Not traded against the reporting asset.
    None,
}

/// Routes and marks.
#[derive(Clone, Debug)]
pub struct Valuation {
    routes: Box<[Route]>,
    marks: Box<[Mark]>,
    price_scales: Box<[i128]>,
}

/// The one price of a mark: microprice, else the middle, else the last trade.
#[must_use]
pub fn mark_price(mark: &Mark) -> Option<Price> {
    let middle = || (mark.bid > 0 && mark.ask > 0).then(|| mark.bid.midpoint(mark.ask));
    let price = if mark.micro > 0 { Some(mark.micro) } else { middle() };
    price.or((mark.last_trade > 0).then_some(mark.last_trade)).map(Price)
}

impl Valuation {
    /// Routes over `table` to the reporting asset `quote`. Allocates once.
    #[must_use]
    pub fn new(table: &InstrumentTable, quote: AssetId) -> Self {
        let route = |asset: AssetId| {
            if asset == quote {
                return Route::Same;
            }
            let pair = |base, other| {
                table.all().iter().find(|i| i.base == base && i.quote == other).map(|i| i.id)
            };
            pair(asset, quote)
                .map(Route::Base)
                .or_else(|| pair(quote, asset).map(Route::Quote))
                .unwrap_or(Route::None)
        };
        Self {
            routes: (0..table.assets_len()).map(|i| route(AssetId(i as u8))).collect(),
            marks: vec![Mark::default(); table.all().len()].into_boxed_slice(),
            price_scales: table.all().iter().map(|i| power_of_ten(i.price_decimals)).collect(),
        }
    }

    /// Takes in a mark; one of an unknown instrument is dropped.
    pub fn on_mark(&mut self, mark: &Mark) {
        if let Some(held) = self.marks.get_mut(mark.instrument.index()) {
            *held = *mark;
        }
    }

    /// The newest mark that was handed in.
    #[must_use]
    pub fn mark(&self, instrument: InstrumentId) -> Option<&Mark> {
        self.marks.get(instrument.index())
    }

    /// The instrument by whose marks `asset` is valued, if it needs one and there is one.
    #[must_use]
    pub fn instrument_of(&self, asset: AssetId) -> Option<InstrumentId> {
        match self.routes.get(usize::from(asset.0)) {
            Some(Route::Base(i) | Route::Quote(i)) => Some(*i),
            _ => None,
        }
    }

    /// There is a way to value `asset`, though its mark may not be there yet.
    #[must_use]
    pub fn has_route(&self, asset: AssetId) -> bool {
        self.routes.get(usize::from(asset.0)).is_some_and(|r| *r != Route::None)
    }

    /// `amount` of `asset` in the reporting asset, rounded towards zero; `None` without a route
    /// or a mark.
    #[must_use]
    pub fn value(&self, asset: AssetId, amount: Amount) -> Option<Amount> {
        match *self.routes.get(usize::from(asset.0))? {
            Route::Same => Some(amount),
            Route::Base(i) => {
                let (price, scale) = self.price(i)?;
                Some(mul_div(amount, price, scale))
            }
            Route::Quote(i) => {
                let (price, scale) = self.price(i)?;
                Some(mul_div(amount, scale, price))
            }
            Route::None => None,
        }
    }

    fn price(&self, instrument: InstrumentId) -> Option<(i128, i128)> {
        let price = mark_price(self.marks.get(instrument.index())?)?;
        Some((i128::from(price.0), *self.price_scales.get(instrument.index())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::units;
    use bot4_types::{Instrument, Symbol};

    fn table() -> (InstrumentTable, [AssetId; 4]) {
        let mut table = InstrumentTable::new();
        let name = |s| Symbol::new(s).expect("short");
        let assets = ["BTC", "USDT", "EUR", "DOGE"].map(|a| table.asset(name(a)).expect("room"));
        let mut pair = |symbol, base, quote| {
            let bare = Instrument::bare(InstrumentId(0), name(symbol), 8);
            table.push(Instrument { base, quote, ..bare }).expect("room");
        };
        pair("BTCUSDT", assets[0], assets[1]);
        pair("USDTEUR", assets[1], assets[2]);
        (table, assets)
    }

    #[test]
    fn assets_are_valued_either_way_round() {
        let (table, [btc, usdt, eur, doge]) = table();
        let mut v = Valuation::new(&table, usdt);
        assert_eq!(v.value(btc, units(2)), None);
        let mark = |i, micro| Mark { instrument: InstrumentId(i), micro, ..Mark::default() };
        v.on_mark(&mark(0, 50_000 * 100_000_000));
        v.on_mark(&mark(1, 50_000_000));
        v.on_mark(&mark(9, 1));
        assert_eq!(v.value(btc, units(2)), Some(units(100_000)));
        assert_eq!(v.value(usdt, units(3)), Some(units(3)));
        assert_eq!(v.value(eur, units(1)), Some(units(2)));
        assert_eq!((v.value(doge, units(1)), v.has_route(doge)), (None, false));
        assert_eq!(v.instrument_of(eur), Some(InstrumentId(1)));
    }

    #[test]
    fn a_mark_without_microprice_falls_back() {
        let mark = Mark { bid: 10, ask: 14, last_trade: 9, ..Mark::default() };
        assert_eq!(mark_price(&mark), Some(Price(12)));
        assert_eq!(mark_price(&Mark { ask: 0, ..mark }), Some(Price(9)));
        assert_eq!(mark_price(&Mark::default()), None);
    }
}
