//! Instruments and their filters, as the venue states them.

use crate::id::{AssetId, InstrumentId, Symbol, VenueId};
use crate::price::{Price, Qty};
pub use crate::table::{InstrumentTable, TableError};
use serde::{Deserialize, Serialize};

/// Decimals of every asset amount in the engine ([`Amount`]); holds the exact product of two
/// eight-decimal numbers.
pub const AMOUNT_DECIMALS: u8 = 16;

/// An amount of an asset in units of 10^-[`AMOUNT_DECIMALS`].
pub type Amount = i128;

/// The rules of one side's price band: a price must lie in `reference * down ..= reference * up`.
/// Multipliers in units of 10^-4; zero disables the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceBand {
    /// Upper multiplier, 10^-4.
    pub up_e4: i64,
    /// Lower multiplier, 10^-4.
    pub down_e4: i64,
}

/// One instrument of one venue. Prices in units of 10^-`price_decimals`, quantities in units of
/// 10^-`qty_decimals`: the wire's own scale, so that off-tick levels survive. Tick and lot bind
/// *our* orders only. A filter of zero means "no such rule".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Index in the table.
    pub id: InstrumentId,
    /// The venue's name, for example `BTCUSDT`.
    pub symbol: Symbol,
    /// At which venue.
    pub venue: VenueId,
    /// What is bought and sold.
    pub base: AssetId,
    /// What it is paid with.
    pub quote: AssetId,
    /// Decimals of a price unit.
    pub price_decimals: u8,
    /// Decimals of a quantity unit.
    pub qty_decimals: u8,
    /// The venue accepts orders for it now.
    pub tradable: bool,
    /// Price step of our orders, price units.
    pub tick: i64,
    /// Lowest price, price units.
    pub price_min: Price,
    /// Highest price, price units.
    pub price_max: Price,
    /// Quantity step of our orders, quantity units.
    pub lot: i64,
    /// Smallest order.
    pub qty_min: Qty,
    /// Largest order.
    pub qty_max: Qty,
    /// Quantity step of market orders.
    pub market_lot: i64,
    /// Smallest market order.
    pub market_qty_min: Qty,
    /// Largest market order.
    pub market_qty_max: Qty,
    /// Smallest price times quantity, in units of 10^-(price + quantity decimals).
    pub notional_min: i128,
    /// Largest price times quantity.
    pub notional_max: i128,
    /// `notional_min` binds market orders too.
    pub notional_min_market: bool,
    /// `notional_max` binds market orders too.
    pub notional_max_market: bool,
    /// Band of buy prices.
    pub band_buy: PriceBand,
    /// Band of sell prices.
    pub band_sell: PriceBand,
    /// Open orders the venue allows.
    pub orders_open_max: u32,
    /// What rests may be amended in place, where the venue's dialect can.
    pub amends: bool,
    /// What rests may be replaced in one request, where the venue's dialect can.
    pub replaces: bool,
    /// The venue takes limit orders that wait for a trigger.
    pub stops: bool,
    /// And of these only such as wait for the market to turn against their owner.
    pub stops_alone: bool,
}

impl Instrument {
    /// An instrument without rules, for offline use and tests.
    #[must_use]
    pub const fn bare(id: InstrumentId, symbol: Symbol, decimals: u8) -> Self {
        const NONE: PriceBand = PriceBand { up_e4: 0, down_e4: 0 };
        Self {
            id,
            symbol,
            venue: VenueId(0),
            base: AssetId(0),
            quote: AssetId(1),
            price_decimals: decimals,
            qty_decimals: decimals,
            tradable: true,
            tick: 1,
            price_min: Price(0),
            price_max: Price(0),
            lot: 1,
            qty_min: Qty(0),
            qty_max: Qty(0),
            market_lot: 0,
            market_qty_min: Qty(0),
            market_qty_max: Qty(0),
            notional_min: 0,
            notional_max: 0,
            notional_min_market: false,
            notional_max_market: false,
            band_buy: NONE,
            band_sell: NONE,
            orders_open_max: 0,
            amends: true,
            replaces: true,
            stops: false,
            stops_alone: false,
        }
    }

    /// The venue takes a limit order that waits for the market to turn against its owner, or to go
    /// its way.
    #[must_use]
    pub const fn waits_for(&self, against: bool) -> bool {
        self.stops && (against || !self.stops_alone)
    }

    /// `quantity` of the base asset as an [`Amount`].
    #[must_use]
    pub const fn base_amount(&self, quantity: Qty) -> Amount {
        quantity.0 as i128 * 10i128.pow((AMOUNT_DECIMALS - self.qty_decimals) as u32)
    }

    /// A notional (price units times quantity units) as an [`Amount`] of the quote asset.
    /// Exact while the decimals of price and quantity together do not exceed
    /// [`AMOUNT_DECIMALS`], which [`InstrumentTable::push`] checks.
    #[must_use]
    pub const fn quote_amount(&self, notional: i128) -> Amount {
        notional * 10i128.pow((AMOUNT_DECIMALS - self.price_decimals - self.qty_decimals) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(name: &str, decimals: u8) -> Instrument {
        Instrument::bare(InstrumentId(9), Symbol::new(name).expect("short"), decimals)
    }

    #[test]
    fn amounts_are_exact() {
        let i = bare("BTCUSDT", 8);
        assert_eq!(i.base_amount(Qty(1)), 100_000_000);
        assert_eq!(i.quote_amount(3), 3);
    }
}
