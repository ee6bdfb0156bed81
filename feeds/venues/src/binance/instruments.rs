//! exchangeInfo to the instrument table. Cold: read once before the lanes start.
//!
//! Accepts the REST body and the WebSocket API's answer, old filters (`MIN_NOTIONAL`,
//! `PERCENT_PRICE`) and new ones (`NOTIONAL`, `PERCENT_PRICE_BY_SIDE`), and any filter that it
//! does not know. A step or bound of zero means "no such rule". Source: the Binance sheet,
//! chapters 7 and 10.

use bot4_types::text::{DecimalError, parse_units};
use bot4_types::{Instrument, InstrumentId, InstrumentTable, Price, Qty, Symbol};

use super::WIRE_DECIMALS;
use super::private_json::limits;
use crate::catalogue::CATALOGUE_LEN_MAX;
use crate::json::{Fields, FieldsExt, List, Node, Scratch, text_of};
use crate::market::DecodeError;
use crate::number::unix_ms;

/// What exchangeInfo says about a run's instruments.
pub use crate::catalogue::Catalogue as ExchangeInfo;
/// Why exchangeInfo cannot be used.
pub use crate::catalogue::CatalogueError as InfoError;

/// Reads exchangeInfo and keeps the symbols of `wanted` in their order; an empty `wanted` keeps
/// all, which must fit the table.
///
/// # Errors
/// See [`InfoError`].
pub fn parse(text: &[u8], wanted: &[&str]) -> Result<ExchangeInfo, InfoError> {
    let mut scratch = Scratch::new(CATALOGUE_LEN_MAX);
    // The inner result keeps the symbol's name, which the reader's error cannot hold.
    scratch.read(text, |root| Ok(read(root, wanted))).map_err(InfoError::Message)?
}

fn read(root: Node<'_, '_>, wanted: &[&str]) -> Result<ExchangeInfo, InfoError> {
    let bad = || InfoError::Message(DecodeError::Schema);
    let root = root.as_object().ok_or_else(bad)?;
    if let Some(error) = root.fields("error") {
        return Err(InfoError::Refused(error.signed("code").unwrap_or(0)));
    }
    if root.has("msg") {
        return Err(InfoError::Refused(root.signed("code").unwrap_or(0)));
    }
    let body = root.fields("result").unwrap_or(root);
    let symbols = body.list("symbols").map_err(InfoError::Message)?;
    let mut info = ExchangeInfo {
        codes: Vec::new(),
        table: InstrumentTable::new(),
        limits: limits(&body),
        server_ms: body.signed("serverTime").map(unix_ms).unwrap_or(0),
    };
    if wanted.is_empty() {
        for entry in symbols.iter() {
            push(&mut info.table, &entry.as_object().ok_or_else(bad)?)?;
        }
        return Ok(info);
    }
    for name in wanted {
        let found = symbols
            .iter()
            .filter_map(|e| e.as_object())
            .find(|e| e.get("symbol").and_then(text_of) == Some(name))
            .ok_or_else(|| InfoError::Missing((*name).to_owned()))?;
        push(&mut info.table, &found)?;
    }
    Ok(info)
}

fn push(table: &mut InstrumentTable, fields: &Fields<'_, '_>) -> Result<(), InfoError> {
    let name = fields.text("symbol").map_err(InfoError::Message)?;
    let bad = |e| InfoError::Symbol(name.to_owned(), e);
    let full = |e| InfoError::Table(name.to_owned(), e);
    let held = |key: &str| Symbol::new(fields.text(key)?).ok_or(DecodeError::Schema);
    let mut instrument = instrument(fields).map_err(bad)?;
    instrument.base = table.asset(held("baseAsset").map_err(bad)?).map_err(full)?;
    instrument.quote = table.asset(held("quoteAsset").map_err(bad)?).map_err(full)?;
    table.push(instrument).map_err(full)?;
    Ok(())
}

/// One symbol's rules; its assets are the caller's business.
fn instrument(fields: &Fields<'_, '_>) -> Result<Instrument, DecodeError> {
    let symbol = Symbol::new(fields.text("symbol")?).ok_or(DecodeError::Schema)?;
    let mut i = Instrument::bare(InstrumentId(0), symbol, WIRE_DECIMALS);
    let spot = fields.truth("isSpotTradingAllowed").unwrap_or(true);
    i.tradable = fields.text("status")? == "TRADING" && spot;
    i.amends = fields.truth("amendAllowed").unwrap_or(false);
    i.replaces = fields.truth("cancelReplaceAllowed").unwrap_or(false);
    i.stops = fields.list("orderTypes").is_ok_and(|types| {
        let takes = |word: &str| types.iter().any(|t| text_of(t) == Some(word));
        takes("STOP_LOSS_LIMIT") && takes("TAKE_PROFIT_LIMIT")
    });
    // No rule until a filter says otherwise.
    (i.tick, i.lot) = (0, 0);
    filters(&fields.list("filters")?, &mut i)?;
    Ok(i)
}

fn filters(list: &List<'_, '_>, i: &mut Instrument) -> Result<(), DecodeError> {
    for entry in list.iter() {
        let f = entry.as_object().ok_or(DecodeError::Schema)?;
        match f.text("filterType")? {
            "PRICE_FILTER" => {
                i.tick = bound(&f, "tickSize")?;
                i.price_min = Price(bound(&f, "minPrice")?);
                i.price_max = Price(bound(&f, "maxPrice")?);
            }
            "LOT_SIZE" => {
                i.lot = bound(&f, "stepSize")?;
                i.qty_min = Qty(bound(&f, "minQty")?);
                i.qty_max = Qty(bound(&f, "maxQty")?);
            }
            "MARKET_LOT_SIZE" => {
                i.market_lot = bound(&f, "stepSize")?;
                i.market_qty_min = Qty(bound(&f, "minQty")?);
                i.market_qty_max = Qty(bound(&f, "maxQty")?);
            }
            "MIN_NOTIONAL" => {
                i.notional_min = notional(&f, "minNotional")?;
                i.notional_min_market = f.truth("applyToMarket").unwrap_or(true);
            }
            "NOTIONAL" => {
                i.notional_min = notional(&f, "minNotional")?;
                i.notional_max = notional(&f, "maxNotional")?;
                i.notional_min_market = f.truth("applyMinToMarket").unwrap_or(true);
                i.notional_max_market = f.truth("applyMaxToMarket").unwrap_or(true);
            }
            "PERCENT_PRICE" => {
                let up = multiplier(&f, "multiplierUp", false)?;
                let down = multiplier(&f, "multiplierDown", true)?;
                (i.band_buy.up_e4, i.band_buy.down_e4) = (up, down);
                i.band_sell = i.band_buy;
            }
            "PERCENT_PRICE_BY_SIDE" => {
                i.band_buy.up_e4 = multiplier(&f, "bidMultiplierUp", false)?;
                i.band_buy.down_e4 = multiplier(&f, "bidMultiplierDown", true)?;
                i.band_sell.up_e4 = multiplier(&f, "askMultiplierUp", false)?;
                i.band_sell.down_e4 = multiplier(&f, "askMultiplierDown", true)?;
            }
            "MAX_NUM_ORDERS" => {
                let count = f.unsigned("maxNumOrders").or_else(|_| f.unsigned("limit"))?;
                i.orders_open_max = u32::try_from(count).unwrap_or(u32::MAX);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A bound or step in wire units. An upper bound beyond `i64` binds nothing that `i64` can hold.
fn bound(f: &Fields<'_, '_>, key: &str) -> Result<i64, DecodeError> {
    match parse_units(f.text(key)?.as_bytes(), WIRE_DECIMALS) {
        Ok(v) if v >= 0 => Ok(v),
        Ok(_) => Err(DecodeError::Number(DecimalError::BadCharacter)),
        Err(DecimalError::Overflow) if key.starts_with("max") => Ok(i64::MAX),
        Err(e) => Err(DecodeError::Number(e)),
    }
}

/// A notional bound in units of the product of price and quantity.
fn notional(f: &Fields<'_, '_>, key: &str) -> Result<i128, DecodeError> {
    Ok(i128::from(bound(f, key)?) * 10i128.pow(u32::from(WIRE_DECIMALS)))
}

/// A multiplier in 10^-4, rounded towards the narrower band where the venue is more precise.
fn multiplier(f: &Fields<'_, '_>, key: &str, up: bool) -> Result<i64, DecodeError> {
    let e8 = bound(f, key)?;
    Ok(if up { (e8 + 9_999) / 10_000 } else { e8 / 10_000 })
}

#[cfg(test)]
#[path = "instruments_tests.rs"]
mod tests;
