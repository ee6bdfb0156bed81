//! The REST exchangeInfo of USD-M futures to the instrument table. Cold: read once before the
//! lanes start.
//!
//! Filters have the names of Spot; the smallest notional has another key. Quantities are in the
//! base asset. Source: the venue's documentation of `/fapi/v1/exchangeInfo`.

use bot4_types::{Instrument, InstrumentId, Price, Qty};

use super::private_json::limits;
use super::usdm::EXCHANGE_INFO_PATH;
use crate::catalogue::{Catalogue, CatalogueError, CatalogueRequest};
use crate::json::{Fields, FieldsExt};
use crate::limits::RateLimits;
use crate::listing::{self, Entry, Shape, book_decimals, bound, step_decimals, symbol};
use crate::market::DecodeError;
use crate::number::unix_ms;

/// All instruments come in one answer.
#[must_use]
pub fn request() -> CatalogueRequest {
    CatalogueRequest::Rest(vec![EXCHANGE_INFO_PATH.to_owned()])
}

/// Reads the answer and keeps the instruments of `wanted` in their order; an empty `wanted` keeps
/// all, which must fit the table.
///
/// # Errors
/// See [`CatalogueError`].
pub fn parse(answers: &[Vec<u8>], wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
    let shape = Shape { list: "symbols", name: "symbol", refusal, entry, limits: stated };
    listing::parse(answers, wanted, &shape)
}

fn stated(root: &Fields<'_, '_>) -> (RateLimits, i64) {
    (limits(root), root.signed("serverTime").map(unix_ms).unwrap_or(0))
}

fn refusal(root: &Fields<'_, '_>) -> Option<i64> {
    root.has("msg").then(|| root.signed("code").unwrap_or(0))
}

fn entry(f: &Fields<'_, '_>) -> Result<Entry, DecodeError> {
    let filters = f.list("filters")?;
    let filter = |kind: &str| {
        let found = filters.iter().filter_map(|v| v.as_object());
        found.into_iter().find(|filter| filter.text("filterType") == Ok(kind))
    };
    let prices = filter("PRICE_FILTER").ok_or(DecodeError::Schema)?;
    let lots = filter("LOT_SIZE").ok_or(DecodeError::Schema)?;
    let printed = |key: &str| f.unsigned(key).ok().and_then(|n| u8::try_from(n).ok()).unwrap_or(0);
    let tick = step_decimals(prices.text("tickSize")?)?.max(printed("pricePrecision"));
    let lot = step_decimals(lots.text("stepSize")?)?.max(printed("quantityPrecision"));
    let (price, qty) = book_decimals(tick, lot);
    let mut i = Instrument::bare(InstrumentId(0), symbol(f, "symbol")?, 0);
    (i.price_decimals, i.qty_decimals) = (price, qty);
    i.tradable = f.text("status")? == "TRADING";
    i.tick = bound(&prices, "tickSize", price)?;
    i.price_min = Price(bound(&prices, "minPrice", price)?);
    i.price_max = Price(bound(&prices, "maxPrice", price)?);
    i.lot = bound(&lots, "stepSize", qty)?;
    (i.qty_min, i.qty_max) = (Qty(bound(&lots, "minQty", qty)?), Qty(bound(&lots, "maxQty", qty)?));
    if let Some(market) = filter("MARKET_LOT_SIZE") {
        i.market_lot = bound(&market, "stepSize", qty)?;
        i.market_qty_min = Qty(bound(&market, "minQty", qty)?);
        i.market_qty_max = Qty(bound(&market, "maxQty", qty)?);
    }
    if let Some(least) = filter("MIN_NOTIONAL") {
        let quote = i128::from(bound(&least, "notional", price)?);
        (i.notional_min, i.notional_min_market) = (quote * 10i128.pow(u32::from(qty)), true);
    }
    if let Some(count) = filter("MAX_NUM_ORDERS") {
        i.orders_open_max = u32::try_from(count.unsigned("limit")?).unwrap_or(u32::MAX);
    }
    if let Some(band) = filter("PERCENT_PRICE") {
        // In 10^-4, rounded towards the narrower band.
        let e8 = |key| bound(&band, key, 8);
        i.band_buy.up_e4 = e8("multiplierUp")? / 10_000;
        i.band_buy.down_e4 = (e8("multiplierDown")? + 9_999) / 10_000;
        i.band_sell = i.band_buy;
    }
    Ok(Entry { instrument: i, base: symbol(f, "baseAsset")?, quote: symbol(f, "quoteAsset")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = concat!(
        r#"{"timezone":"UTC","serverTime":1770000000000,"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400},{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":300}],"symbols":["#,
        r#"{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":2,"quantityPrecision":3,"filters":[{"filterType":"PRICE_FILTER","minPrice":"556.80","maxPrice":"4529764","tickSize":"0.10"},{"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},{"filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"120","stepSize":"0.001"},{"filterType":"MAX_NUM_ORDERS","limit":200},{"filterType":"MIN_NOTIONAL","notional":"100"},{"filterType":"PERCENT_PRICE","multiplierUp":"1.0500","multiplierDown":"0.9500","multiplierDecimal":"4"},{"filterType":"NEW"}]},"#,
        r#"{"symbol":"OLDUSDT","status":"SETTLING","baseAsset":"OLD","quoteAsset":"USDT","pricePrecision":4,"quantityPrecision":0,"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.0001"},{"filterType":"LOT_SIZE","stepSize":"1"}]}]}"#,
    );

    #[test]
    fn rules_limits_and_clock_are_read() {
        let info = parse(&[INFO.as_bytes().to_vec()], &["OLDUSDT", "BTCUSDT"]).expect("both");
        assert_eq!((info.limits.weight_minute, info.limits.orders_10s), (2_400, 300));
        assert_eq!(info.server_ms, 1_770_000_000_000);
        let [old, btc] = info.table.all() else { panic!("two") };
        assert_eq!((btc.price_decimals, btc.qty_decimals, btc.tick, btc.lot), (4, 5, 1_000, 100));
        assert_eq!((btc.qty_max, btc.market_qty_max), (Qty(100_000_000), Qty(12_000_000)));
        assert_eq!((btc.notional_min, btc.orders_open_max), (100_000_000_000, 200));
        assert_eq!((btc.band_buy.up_e4, btc.band_sell.down_e4), (10_500, 9_500));
        assert!(btc.tradable && !old.tradable);
        assert_eq!((old.price_decimals, old.qty_decimals, old.lot), (6, 2, 100));
        let refused = br#"{"code":-1003,"msg":"Too many requests."}"#.to_vec();
        assert_eq!(parse(&[refused], &[]).err(), Some(CatalogueError::Refused(-1_003)));
    }
}
