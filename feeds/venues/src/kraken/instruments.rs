//! The `instrument` channel to the instrument table. Cold: read once before the lanes start.
//!
//! Every field that this build does not know is skipped. Numbers are exact, exponents included
//! (`"qty_increment":1e-08`). Source: the Kraken sheet, chapter 3.5.

use bot4_types::text::DecimalError;
use bot4_types::{Instrument, InstrumentId, InstrumentTable, Qty, Symbol};

use crate::catalogue::{CATALOGUE_LEN_MAX, Catalogue, CatalogueError};
use crate::json::{Fields, FieldsExt, Node, Scratch, text_of};
use crate::limits::RateLimits;
use crate::market::DecodeError;
use crate::number::{json_amount, json_units, notional_unit};

/// The subscription that is answered with the list.
pub const REQUEST: &[u8] =
    br#"{"method":"subscribe","params":{"channel":"instrument","snapshot":true}}"#;

/// Most decimals of a price or quantity that can be held: with more, ten units would be beyond
/// what sums are made for.
const DECIMALS_MAX: u64 = 12;

/// Reads the list and keeps the pairs of `wanted` in their order; an empty `wanted` keeps all,
/// which must fit the table.
///
/// # Errors
/// See [`CatalogueError`]. What comes before the list on the connection (the venue's status, the
/// acknowledgement, signs of life) is a [`CatalogueError::Message`].
pub fn parse(text: &[u8], wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
    let mut scratch = Scratch::new(CATALOGUE_LEN_MAX);
    // The inner result keeps the symbol's name, which the reader's error cannot hold.
    scratch.read_exact(text, |root| Ok(read(root, wanted))).map_err(CatalogueError::Message)?
}

fn read(root: Node<'_, '_>, wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
    let bad = || CatalogueError::Message(DecodeError::Schema);
    let root = root.as_object().ok_or_else(bad)?;
    if root.truth("success") == Ok(false) {
        return Err(CatalogueError::Refused(0));
    }
    if root.text("channel") != Ok("instrument") || root.text("type") != Ok("snapshot") {
        return Err(bad());
    }
    let pairs = root.fields("data").ok_or_else(bad)?;
    let pairs = pairs.list("pairs").map_err(CatalogueError::Message)?;
    let mut table = InstrumentTable::new();
    if wanted.is_empty() {
        for entry in pairs.iter() {
            push(&mut table, &entry.as_object().ok_or_else(bad)?)?;
        }
    }
    for name in wanted {
        let found = pairs
            .iter()
            .filter_map(|e| e.as_object())
            .find(|e| e.get("symbol").and_then(text_of) == Some(name))
            .ok_or_else(|| CatalogueError::Missing((*name).to_owned()))?;
        push(&mut table, &found)?;
    }
    Ok(Catalogue { table, limits: RateLimits::default(), server_ms: 0, codes: Vec::new() })
}

fn push(table: &mut InstrumentTable, f: &Fields<'_, '_>) -> Result<(), CatalogueError> {
    let name = f.text("symbol").map_err(CatalogueError::Message)?;
    let bad = |e| CatalogueError::Symbol(name.to_owned(), e);
    let full = |e| CatalogueError::Table(name.to_owned(), e);
    let held = |key: &str| Symbol::new(f.text(key)?).ok_or(DecodeError::Schema);
    let mut instrument = instrument(f).map_err(bad)?;
    instrument.base = table.asset(held("base").map_err(bad)?).map_err(full)?;
    instrument.quote = table.asset(held("quote").map_err(bad)?).map_err(full)?;
    table.push(instrument).map_err(full)?;
    Ok(())
}

/// One pair's rules; its assets are the caller's business. The wire's decimals are the pair's
/// precision: the checksum is over texts of exactly these.
fn instrument(f: &Fields<'_, '_>) -> Result<Instrument, DecodeError> {
    let symbol = Symbol::new(f.text("symbol")?).ok_or(DecodeError::Schema)?;
    let mut i = Instrument::bare(InstrumentId(0), symbol, 0);
    i.price_decimals = precision(f, "price_precision")?;
    i.qty_decimals = precision(f, "qty_precision")?;
    i.tradable = f.text("status")? == "online";
    // Of every pair; the list says nothing of types.
    i.stops = true;
    i.tick = json_units(f.number("price_increment")?, i.price_decimals)?;
    i.lot = json_units(f.number("qty_increment")?, i.qty_decimals)?;
    i.qty_min = Qty(json_units(f.number("qty_min")?, i.qty_decimals)?);
    i.market_lot = i.lot;
    i.market_qty_min = i.qty_min;
    if f.has("cost_min") {
        let unit = notional_unit(i.price_decimals + i.qty_decimals);
        i.notional_min = (json_amount(f.number("cost_min")?)? + unit - 1) / unit;
        i.notional_min_market = true;
    }
    Ok(i)
}

fn precision(f: &Fields<'_, '_>, key: &str) -> Result<u8, DecodeError> {
    let value: u64 = f.number(key)?.parse().map_err(|_| DecodeError::Schema)?;
    if value > DECIMALS_MAX {
        return Err(DecodeError::Number(DecimalError::TooPrecise));
    }
    Ok(value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::instrument::TableError;

    const LIST: &str = r#"{"channel":"instrument","type":"snapshot","data":{"assets":[{"id":"USD","precision":4}],"pairs":[
        {"symbol":"ETH/USD","base":"ETH","quote":"USD","status":"online","qty_precision":8,"qty_increment":1e-08,"price_precision":2,
         "cost_precision":5,"marginable":true,"cost_min":0.50,"tick_size":0.01,"price_increment":0.01,"qty_min":0.00200000,"position_limit_long":1000},
        {"symbol":"DOGE/USD","base":"DOGE","quote":"USD","status":"cancel_only","qty_precision":8,"qty_increment":0.00000001,"price_precision":7,
         "price_increment":1E-7,"qty_min":13}]}}"#;

    #[test]
    fn rules_are_exact_and_in_the_order_asked_for() {
        let catalogue = parse(LIST.as_bytes(), &["DOGE/USD", "ETH/USD"]).expect("a list");
        let [doge, eth] = catalogue.table.all() else { panic!("two pairs") };
        assert_eq!((doge.price_decimals, doge.qty_decimals, doge.tick, doge.lot), (7, 8, 1, 1));
        assert_eq!(
            (doge.tradable, doge.qty_min, doge.notional_min),
            (false, Qty(1_300_000_000), 0)
        );
        assert_eq!((eth.price_decimals, eth.tick, eth.lot, eth.qty_min), (2, 1, 1, Qty(200_000)));
        assert_eq!(
            (eth.tradable, eth.notional_min, eth.notional_min_market),
            (true, 5_000_000_000, true)
        );
        assert_eq!(catalogue.table.asset_name(eth.base), "ETH");
        assert_eq!(doge.quote, eth.quote);
        assert_eq!(parse(LIST.as_bytes(), &[]).expect("a list").table.all().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let error = |text: &str, wanted: &[&str]| parse(text.as_bytes(), wanted).err();
        assert_eq!(error(LIST, &["XBT/USD"]), Some(CatalogueError::Missing("XBT/USD".into())));
        let refused = r#"{"error":"Unsupported event","method":"subscribe","success":false}"#;
        assert_eq!(error(refused, &[]), Some(CatalogueError::Refused(0)));
        assert_eq!(error("CloudFlare", &[]), Some(CatalogueError::Message(DecodeError::Json)));
        let fine = LIST.replace("\"price_precision\":2", "\"price_precision\":99");
        let number = DecodeError::Number(DecimalError::TooPrecise);
        assert_eq!(
            error(&fine, &["ETH/USD"]),
            Some(CatalogueError::Symbol("ETH/USD".into(), number))
        );
        let both = LIST.replace("\"price_precision\":2", "\"price_precision\":9");
        let table = CatalogueError::Table("ETH/USD".into(), TableError::TooPrecise);
        assert_eq!(error(&both, &["ETH/USD"]), Some(table));
    }

    #[test]
    fn what_comes_before_the_list_is_not_the_list() {
        for other in [
            r#"{"channel":"status","type":"update","data":[{"system":"online","connection_id":18266300427528990701}]}"#,
            r#"{"method":"subscribe","result":{"channel":"instrument","snapshot":true},"success":true}"#,
            r#"{"channel":"instrument","type":"update","data":{"assets":[],"pairs":[]}}"#,
            r#"{"channel":"heartbeat"}"#,
            "CloudFlare WebSocket proxy restarting",
        ] {
            let error = parse(other.as_bytes(), &[]).err();
            assert!(matches!(error, Some(CatalogueError::Message(_))), "{other}: {error:?}");
        }
    }
}
