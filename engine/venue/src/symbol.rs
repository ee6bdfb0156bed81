//! What the venue lists: names, assets, filters, and how `exchangeInfo` prints them.

use crate::filters::ALGO_ORDERS_MAX;
use serde_json::{Value, json};

use crate::change::Listing;
use crate::decimal::{ONE, text};

/// One listed market. Every number is in units of 10^-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolSpec {
    /// Upper-case name: `BTCUSDT`.
    pub name: String,
    /// What is traded: `BTC`.
    pub base: String,
    /// What it is paid in: `USDT`.
    pub quote: String,
    /// `PRICE_FILTER` step of prices.
    pub tick: i64,
    /// `LOT_SIZE` step of quantities.
    pub lot: i64,
    /// Tick and lot with the most digits so far: where texts have a fixed number of digits, the
    /// levels of before must find room, too.
    pub finest: (i64, i64),
    /// `PRICE_FILTER` bounds.
    pub price_bounds: (i64, i64),
    /// `LOT_SIZE` bounds.
    pub qty_bounds: (i64, i64),
    /// `MARKET_LOT_SIZE` maximum.
    pub market_qty_max: i64,
    /// `NOTIONAL` bounds, in the quote asset.
    pub notional_bounds: (i64, i64),
    /// `PERCENT_PRICE_BY_SIDE`: a bid may be at most this times the last price, an ask at least
    /// the last price divided by it.
    pub percent: i64,
    /// `MAX_NUM_ORDERS` open at a time.
    pub orders_max: usize,
    /// Whether it is listed, and open.
    pub listing: Listing,
    /// Where a generated market starts.
    pub start_price: i64,
    /// Typical quantity of one resting order of a generated market.
    pub unit_qty: i64,
}

impl SymbolSpec {
    /// A market with the usual filters; `start_price`, `tick`, `lot` and `unit_qty` in 10^-8.
    #[must_use]
    pub fn new(base: &str, quote: &str, tick: i64, lot: i64) -> Self {
        Self {
            name: format!("{base}{quote}"),
            base: base.to_owned(),
            quote: quote.to_owned(),
            tick,
            lot,
            finest: (tick, lot),
            price_bounds: (tick, 1_000_000 * ONE),
            qty_bounds: (lot, 9_000_000 * ONE),
            market_qty_max: 9_000_000 * ONE,
            notional_bounds: (5 * ONE, 9_000_000 * ONE),
            percent: 5,
            orders_max: 200,
            listing: Listing::Trading,
            start_price: 100 * ONE,
            unit_qty: 10 * ONE,
        }
    }

    fn listed(base: &str, digits: u32, start: i64, unit_qty: i64) -> Self {
        let spec = Self::new(base, "USDT", ONE / 100, ONE / 10_i64.pow(digits));
        Self {
            start_price: start * ONE,
            unit_qty,
            qty_bounds: (spec.lot, 900_000 * ONE),
            market_qty_max: 90_000 * ONE,
            ..spec
        }
    }

    /// The four markets of the generated venue, with the tick and lot sizes of the real ones.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::listed("BTC", 5, 60_000, ONE / 20),
            Self::listed("ETH", 4, 3_000, ONE),
            Self::listed("SOL", 3, 150, 20 * ONE),
            Self::listed("BNB", 3, 600, 5 * ONE),
        ]
    }

    /// It is in the venue's list.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listing != Listing::Unlisted
    }

    /// It takes new orders.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.listing == Listing::Trading
    }

    /// The entry of `exchangeInfo.symbols`.
    #[must_use]
    pub fn info(&self) -> Value {
        json!({
            "symbol": self.name, "status": if self.is_open() { "TRADING" } else { "BREAK" },
            "baseAsset": self.base, "baseAssetPrecision": 8,
            "quoteAsset": self.quote, "quotePrecision": 8, "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT",
                "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"],
            "icebergAllowed": false, "ocoAllowed": false, "otoAllowed": false,
            "opoAllowed": false, "quoteOrderQtyMarketAllowed": false,
            "allowTrailingStop": false, "cancelReplaceAllowed": true, "amendAllowed": true,
            "pegInstructionsAllowed": false, "isSpotTradingAllowed": true,
            "isMarginTradingAllowed": false, "filters": self.filters(),
            "permissions": [], "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes":
                ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        })
    }

    fn filters(&self) -> Value {
        // The multiplier down is the exact inverse only for the values used here (2, 4, 5, ...).
        let down = text(ONE / self.percent);
        let up = self.percent.to_string();
        json!([
            {"filterType": "PRICE_FILTER", "minPrice": text(self.price_bounds.0),
             "maxPrice": text(self.price_bounds.1), "tickSize": text(self.tick)},
            {"filterType": "LOT_SIZE", "minQty": text(self.qty_bounds.0),
             "maxQty": text(self.qty_bounds.1), "stepSize": text(self.lot)},
            {"filterType": "MARKET_LOT_SIZE", "minQty": text(0),
             "maxQty": text(self.market_qty_max), "stepSize": text(0)},
            {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": up,
             "bidMultiplierDown": down, "askMultiplierUp": up, "askMultiplierDown": down,
             "avgPriceMins": 0},
            {"filterType": "NOTIONAL", "minNotional": text(self.notional_bounds.0),
             "applyMinToMarket": true, "maxNotional": text(self.notional_bounds.1),
             "applyMaxToMarket": false, "avgPriceMins": 0},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.orders_max},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": ALGO_ORDERS_MAX},
        ])
    }
}
