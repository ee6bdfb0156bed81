//! The REST list of instruments to the instrument table. Cold: read once before the lanes start.
//!
//! One request for each symbol: the list of derivatives is paged, and an address may ask 600 times
//! in five seconds. Spot states steps as precisions (`basePrecision`), derivatives as `qtyStep`;
//! both name their bounds in more than one way. Source: the Bybit sheet, chapter 9.

use bot4_types::instrument::{Amount, PriceBand};
use bot4_types::text::{DecimalError, parse_units};
use bot4_types::{Instrument, InstrumentId, Price, Qty};

use super::{Category, INSTRUMENTS_PATH};
use crate::catalogue::{Catalogue, CatalogueError, CatalogueRequest};
use crate::json::{Fields, FieldsExt, text_of};
use crate::listing::{self, Entry, Shape, book_decimals, bound, step_decimals, symbol};
use crate::market::DecodeError;
use crate::number::{amount, notional_unit};
use crate::url::percent_encoded;

/// Entries in one answer when all are asked for; the most the venue gives.
const PAGE: usize = 1_000;

/// One path for each of `symbols`; without any, the first page of all.
#[must_use]
pub fn request(category: Category, symbols: &[&str]) -> CatalogueRequest {
    let all = format!("{INSTRUMENTS_PATH}?category={}", category.name());
    if symbols.is_empty() {
        return CatalogueRequest::Rest(vec![format!("{all}&limit={PAGE}")]);
    }
    let path = |symbol: &&str| {
        let mut path = format!("{all}&symbol=");
        percent_encoded(symbol, &mut path);
        path
    };
    CatalogueRequest::Rest(symbols.iter().map(path).collect())
}

/// Reads the answers and keeps the instruments of `wanted` in their order; an empty `wanted`
/// keeps all that have rules, which must fit the table.
///
/// # Errors
/// See [`CatalogueError`].
pub fn parse(answers: &[Vec<u8>], wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
    listing::parse(
        answers,
        wanted,
        &Shape { list: "list", name: "symbol", refusal, entry, limits: listing::no_limits },
    )
}

fn refusal(root: &Fields<'_, '_>) -> Option<i64> {
    root.signed("retCode").ok().filter(|code| *code != 0)
}

fn entry(f: &Fields<'_, '_>) -> Result<Entry, DecodeError> {
    let prices = f.fields("priceFilter").ok_or(DecodeError::Schema)?;
    let lots = f.fields("lotSizeFilter").ok_or(DecodeError::Schema)?;
    // Spot has no `qtyStep`.
    let step = if lots.has("qtyStep") { "qtyStep" } else { "basePrecision" };
    let tick = step_decimals(prices.text("tickSize")?)?;
    let (price, qty) = book_decimals(tick, step_decimals(lots.text(step)?)?);
    let mut i = Instrument::bare(InstrumentId(0), symbol(f, "symbol")?, 0);
    (i.price_decimals, i.qty_decimals) = (price, qty);
    i.tradable = f.text("status")? == "Trading";
    // Of every symbol; the list says nothing of types.
    i.stops = true;
    i.tick = bound(&prices, "tickSize", price)?;
    i.price_min = Price(bound(&prices, "minPrice", price)?);
    i.price_max = Price(bound(&prices, "maxPrice", price)?);
    i.lot = bound(&lots, step, qty)?;
    i.market_lot = i.lot;
    i.qty_min = Qty(bound(&lots, "minOrderQty", qty)?);
    i.market_qty_min = i.qty_min;
    i.qty_max = Qty(first(&lots, &["maxLimitOrderQty", "maxOrderQty"], qty)?);
    i.market_qty_max =
        Qty(first(&lots, &["maxMarketOrderQty", "maxMktOrderQty", "maxOrderQty"], qty)?);
    let min_key = if lots.has("minOrderAmt") { "minOrderAmt" } else { "minNotionalValue" };
    let unit = notional_unit(price + qty);
    i.notional_min = (amount_of(&lots, min_key)? + unit - 1) / unit;
    i.notional_max = amount_of(&lots, "maxOrderAmt")? / unit;
    i.notional_min_market = i.notional_min > 0;
    i.notional_max_market = i.notional_max > 0;
    if let Some(risk) = f.fields("riskParameters") {
        (i.band_buy, i.band_sell) = bands(&risk)?;
    }
    Ok(Entry { instrument: i, base: symbol(f, "baseCoin")?, quote: symbol(f, "quoteCoin")? })
}

/// An amount that may be missing: no rule.
fn amount_of(f: &Fields<'_, '_>, key: &str) -> Result<Amount, DecodeError> {
    match f.get(key).and_then(text_of).unwrap_or("") {
        "" => Ok(0),
        text => amount(text),
    }
}

/// The bound of the first of `keys` that there is.
fn first(f: &Fields<'_, '_>, keys: &[&str], decimals: u8) -> Result<i64, DecodeError> {
    keys.iter().find(|key| f.has(key)).map_or(Ok(0), |key| bound(f, key, decimals))
}

/// The venue takes no buy above and no sell below its reference by more than `priceLimitRatioY`;
/// its inner bound, by `priceLimitRatioX`, moves with a premium that is not known here.
fn bands(risk: &Fields<'_, '_>) -> Result<(PriceBand, PriceBand), DecodeError> {
    const ONE_E4: i64 = 10_000;
    let text = risk.get("priceLimitRatioY").and_then(text_of).unwrap_or("");
    if text.is_empty() {
        return Ok((PriceBand::default(), PriceBand::default()));
    }
    let e8 = parse_units(text.as_bytes(), 8).map_err(DecodeError::Number)?;
    if e8 < 0 {
        return Err(DecodeError::Number(DecimalError::BadCharacter));
    }
    // Towards the narrower band where the venue is more precise.
    let ratio = e8 / 10_000;
    let buy = PriceBand { up_e4: ONE_E4.saturating_add(ratio), down_e4: 0 };
    let sell = PriceBand { up_e4: 0, down_e4: ONE_E4.saturating_sub(ratio).max(0) };
    Ok((buy, sell))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: &str = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","status":"Trading",
        "lotSizeFilter":{"basePrecision":"0.000001","quotePrecision":"0.0000001","minOrderQty":"0.000001","maxOrderQty":"230","minOrderAmt":"5","maxOrderAmt":"8000000",
        "maxLimitOrderQty":"200","maxMarketOrderQty":"120"},"priceFilter":{"tickSize":"0.1"},"riskParameters":{"priceLimitRatioX":"0.005","priceLimitRatioY":"0.01"}}]},"time":1786310817470}"#;
    const LINEAR: &str = r#"{"retCode":0,"result":{"category":"linear","list":[{"symbol":"10000NFTUSDT","status":"PreLaunch","baseCoin":"10000NFT","quoteCoin":"USDT",
        "priceFilter":{"minPrice":"0.000005","maxPrice":"9.999990","tickSize":"0.000005"},
        "lotSizeFilter":{"maxOrderQty":"445100","minOrderQty":"10","qtyStep":"10","maxMktOrderQty":"100","minNotionalValue":"5"}}],"nextPageCursor":""}}"#;

    fn one(text: &str, name: &str) -> Instrument {
        parse(&[text.as_bytes().to_vec()], &[name]).expect("a list").table.all()[0]
    }

    #[test]
    fn spot_has_precisions_amounts_and_bands() {
        let i = one(SPOT, "BTCUSDT");
        assert_eq!((i.price_decimals, i.qty_decimals, i.tradable), (3, 8, true));
        assert_eq!((i.tick, i.lot), (100, 100));
        assert_eq!((i.qty_min, i.qty_max), (Qty(100), Qty(20_000_000_000)));
        assert_eq!((i.market_qty_min, i.market_qty_max), (Qty(100), Qty(12_000_000_000)));
        assert_eq!((i.notional_min, i.notional_max), (500_000_000_000, 800_000_000_000_000_000));
        assert_eq!((i.band_buy.up_e4, i.band_buy.down_e4), (10_100, 0));
        assert_eq!((i.band_sell.up_e4, i.band_sell.down_e4), (0, 9_900));
    }

    #[test]
    fn derivatives_have_steps_and_price_bounds() {
        let i = one(LINEAR, "10000NFTUSDT");
        assert_eq!((i.price_decimals, i.qty_decimals, i.tradable), (8, 2, false));
        assert_eq!((i.tick, i.price_min, i.price_max), (500, Price(500), Price(999_999_000)));
        assert_eq!((i.lot, i.qty_min, i.qty_max), (1_000, Qty(1_000), Qty(44_510_000)));
        assert_eq!((i.market_qty_max, i.notional_min), (Qty(10_000), 50_000_000_000));
        assert_eq!((i.band_buy, i.band_sell), (PriceBand::default(), PriceBand::default()));
    }

    #[test]
    fn answers_are_joined_and_refusals_told() {
        let both = [SPOT, LINEAR].map(|text| text.as_bytes().to_vec());
        let table = parse(&both, &["10000NFTUSDT", "BTCUSDT"]).expect("lists").table;
        let names: Vec<&str> = table.all().iter().map(|i| i.symbol.as_str()).collect();
        assert_eq!(names, ["10000NFTUSDT", "BTCUSDT"]);
        let error = |text: &str| parse(&[text.as_bytes().to_vec()], &["BTCUSDT"]).err();
        assert_eq!(error(LINEAR), Some(CatalogueError::Missing("BTCUSDT".into())));
        let refused = r#"{"retCode":10001,"retMsg":"params error","result":{}}"#;
        assert_eq!(error(refused), Some(CatalogueError::Refused(10_001)));
        assert_eq!(error("<html>"), Some(CatalogueError::Message(DecodeError::Json)));
        let odd = SPOT.replace("\"0.01\"", "\"-1\"");
        let number = DecodeError::Number(DecimalError::BadCharacter);
        assert_eq!(error(&odd), Some(CatalogueError::Symbol("BTCUSDT".into(), number)));
    }

    #[test]
    fn symbols_are_asked_for_one_by_one() {
        let CatalogueRequest::Rest(paths) = request(Category::Linear, &["BTCUSDT", "A&B"]) else {
            panic!("by REST");
        };
        assert_eq!(
            paths,
            [
                "/v5/market/instruments-info?category=linear&symbol=BTCUSDT",
                "/v5/market/instruments-info?category=linear&symbol=A%26B",
            ]
        );
        let all = CatalogueRequest::Rest(vec![
            "/v5/market/instruments-info?category=spot&limit=1000".into(),
        ]);
        assert_eq!(request(Category::Spot, &[]), all);
    }
}
