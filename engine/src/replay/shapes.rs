//! Shapes of other crates' types in the document of [`super::inputs`]. The derive names every field
//! in both directions, so a field that is added there does not compile here until it is journaled
//! too.

use bot4_risk::breaker::BreakerLimits;
use bot4_risk::{RiskLimits, ScopeLimits, StatisticsLimits};
use bot4_types::instrument::{Amount, PriceBand};
use bot4_types::{AssetId, Instrument, InstrumentId, Price, Qty, Symbol, VenueId};
use serde::{Deserialize, Serialize};

/// 128 bits as decimal text: JSON numbers of other readers end at 53 bits.
pub(crate) mod big {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(value: &i128, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i128, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// A symbol as text.
pub(super) mod symbol {
    use bot4_types::Symbol;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(value: &Symbol, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(value.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Symbol, D::Error> {
        let text = String::deserialize(d)?;
        Symbol::new(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a symbol")))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Price")]
pub(super) struct PriceText(i64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Qty")]
pub(super) struct QtyText(i64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "AssetId")]
pub(super) struct AssetText(u8);

#[derive(Serialize, Deserialize)]
#[serde(remote = "InstrumentId")]
pub(super) struct IdText(u16);

#[derive(Serialize, Deserialize)]
#[serde(remote = "VenueId")]
pub(super) struct VenueText(u8);

fn is_first(venue: &VenueId) -> bool {
    *venue == VenueId(0)
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PriceBand", deny_unknown_fields)]
pub(super) struct BandText {
    up_e4: i64,
    down_e4: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Instrument", deny_unknown_fields)]
pub(super) struct InstrumentText {
    #[serde(with = "IdText")]
    id: InstrumentId,
    #[serde(with = "symbol")]
    symbol: Symbol,
    /// The first where it is not said: journals of one venue.
    #[serde(with = "VenueText", default, skip_serializing_if = "is_first")]
    venue: VenueId,
    #[serde(with = "AssetText")]
    base: AssetId,
    #[serde(with = "AssetText")]
    quote: AssetId,
    price_decimals: u8,
    qty_decimals: u8,
    tradable: bool,
    tick: i64,
    #[serde(with = "PriceText")]
    price_min: Price,
    #[serde(with = "PriceText")]
    price_max: Price,
    lot: i64,
    #[serde(with = "QtyText")]
    qty_min: Qty,
    #[serde(with = "QtyText")]
    qty_max: Qty,
    market_lot: i64,
    #[serde(with = "QtyText")]
    market_qty_min: Qty,
    #[serde(with = "QtyText")]
    market_qty_max: Qty,
    #[serde(with = "big")]
    notional_min: i128,
    #[serde(with = "big")]
    notional_max: i128,
    notional_min_market: bool,
    notional_max_market: bool,
    #[serde(with = "BandText")]
    band_buy: PriceBand,
    #[serde(with = "BandText")]
    band_sell: PriceBand,
    orders_open_max: u32,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    amends: bool,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    replaces: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stops: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stops_alone: bool,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_true(value: &bool) -> bool {
    *value
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RiskLimits", deny_unknown_fields)]
pub(super) struct LimitsText {
    mark_age_ns_max: u64,
    collar_e4: i64,
    #[serde(with = "big")]
    order_value_max: Amount,
    #[serde(with = "big")]
    order_base_max: Amount,
    position_equity_e4: i64,
    #[serde(with = "big")]
    position_value_max: Amount,
    fee_allowance_e6: i64,
    market_slippage_e4: i64,
    strategy_orders_per_s: u32,
    strategy_orders_burst: u32,
    orders_per_s: u32,
    orders_burst: u32,
    cancels_per_s: u32,
    cancels_burst: u32,
    open_orders_instrument_max: u32,
    open_orders_max: u32,
    equity_age_ns_max: u64,
    gross_equity_e4: i64,
    #[serde(with = "big")]
    gross_value_max: Amount,
    net_equity_e4: i64,
    #[serde(with = "big")]
    net_value_max: Amount,
    leverage_e4: i64,
    maintenance_e4: i64,
    margin_distance_e4: i64,
    daily_loss_e4: i64,
    #[serde(with = "big")]
    daily_loss_value_max: Amount,
    drawdown_e4: i64,
    weight_per_s: u32,
    weight_burst: u32,
    weight_reserve: u32,
    weight_place: u32,
    weight_cancel: u32,
    runaway_intents_per_s: u32,
    runaway_refused_row: u32,
    manual_share_e4: i64,
    semi_auto_share_e4: i64,
    #[serde(with = "StatisticsText")]
    statistics: StatisticsLimits,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StatisticsLimits", deny_unknown_fields)]
pub(super) struct StatisticsText {
    correlation_e4: i64,
    correlation_from_e6: i64,
    shortfall_equity_e6: i64,
    heat_equity_e6: i64,
    fallback_volatility_e6: i64,
    history_min: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ScopeLimits", deny_unknown_fields)]
pub(super) struct ScopeText {
    #[serde(with = "big")]
    order_value_max: Amount,
    #[serde(with = "big")]
    order_base_max: Amount,
    collar_e4: i64,
    position_equity_e4: i64,
    #[serde(with = "big")]
    position_value_max: Amount,
    gross_equity_e4: i64,
    #[serde(with = "big")]
    gross_value_max: Amount,
    net_equity_e4: i64,
    #[serde(with = "big")]
    net_value_max: Amount,
    open_orders_max: u32,
    orders_per_s: u32,
    maintenance_e4: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BreakerLimits", deny_unknown_fields)]
pub(super) struct BreakersText {
    losses_max: u32,
    #[serde(with = "big")]
    loss_min: Amount,
    #[serde(with = "big")]
    loss_max: Amount,
    reject_e4_max: u32,
    error_e4_max: u32,
    ack_p99_ns_max: u64,
    calls_min: u32,
    errors_max: u32,
    window_ns: u64,
    open_ns: u64,
    jitter_e4: u32,
    successes_to_close: u16,
    probes_max: u16,
    seed: u64,
}
