//! The REST list of products to the instrument table. Cold: read once before the lanes start.
//!
//! Source: the Coinbase sheet, chapter A.6.

use bot4_types::{Instrument, InstrumentId, Qty};

use super::{PRODUCTS_PATH, REQUESTS_PER_S};
use crate::catalogue::{Catalogue, CatalogueError, CatalogueRequest};
use crate::json::{Fields, FieldsExt};
use crate::limits::RateLimits;
use crate::listing::{self, Entry, Shape, book_decimals, bound, step_decimals, symbol};
use crate::market::DecodeError;
use crate::url::percent_encoded;

/// Products named in one request line: 32 bytes and a key each.
const PRODUCTS_PER_REQUEST: usize = 50;

/// Paths that list `symbols`, or every product when there are none.
#[must_use]
pub fn request(symbols: &[&str]) -> CatalogueRequest {
    if symbols.is_empty() {
        return CatalogueRequest::Rest(vec![PRODUCTS_PATH.to_owned()]);
    }
    let path = |symbols: &[&str]| {
        let mut path = PRODUCTS_PATH.to_owned();
        for (i, symbol) in symbols.iter().enumerate() {
            path.push_str(if i == 0 { "?product_ids=" } else { "&product_ids=" });
            percent_encoded(symbol, &mut path);
        }
        path
    };
    CatalogueRequest::Rest(symbols.chunks(PRODUCTS_PER_REQUEST).map(path).collect())
}

/// Reads the answers and keeps the products of `wanted` in their order; an empty `wanted` keeps
/// all, which must fit the table.
///
/// # Errors
/// See [`CatalogueError`].
pub fn parse(answers: &[Vec<u8>], wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
    let shape = Shape { list: "products", name: "product_id", refusal, entry, limits };
    listing::parse(answers, wanted, &shape)
}

/// What is published; answers tell what holds.
fn limits(_: &Fields<'_, '_>) -> (RateLimits, i64) {
    (RateLimits { weight_second: REQUESTS_PER_S, ..RateLimits::default() }, 0)
}

fn refusal(root: &Fields<'_, '_>) -> Option<i64> {
    root.has("error").then(|| root.signed("code").unwrap_or(0))
}

fn entry(f: &Fields<'_, '_>) -> Result<Entry, DecodeError> {
    let name = symbol(f, "product_id")?;
    // Products of futures and older answers have the price step under the other name.
    let tick_key = if f.has("price_increment") { "price_increment" } else { "quote_increment" };
    let tick = step_decimals(f.text(tick_key)?)?;
    let (price, qty) = book_decimals(tick, step_decimals(f.text("base_increment")?)?);
    let mut i = Instrument::bare(InstrumentId(0), name, 0);
    (i.price_decimals, i.qty_decimals) = (price, qty);
    i.tradable = is_open(f)?;
    // Less quantity in place, and nothing else: see the gateway.
    (i.amends, i.replaces) = (true, false);
    // Targets rest there as plain limit orders.
    (i.stops, i.stops_alone) = (true, true);
    (i.tick, i.lot) = (bound(f, tick_key, price)?, bound(f, "base_increment", qty)?);
    i.qty_min = Qty(bound(f, "base_min_size", qty)?);
    i.qty_max = Qty(bound(f, "base_max_size", qty)?);
    (i.market_lot, i.market_qty_min, i.market_qty_max) = (i.lot, i.qty_min, i.qty_max);
    let notional = |key| Ok(i128::from(bound(f, key, price)?) * 10i128.pow(u32::from(qty)));
    (i.notional_min, i.notional_max) = (notional("quote_min_size")?, notional("quote_max_size")?);
    (i.notional_min_market, i.notional_max_market) = (true, true);
    let (base, quote) = (symbol(f, "base_currency_id")?, symbol(f, "quote_currency_id")?);
    Ok(Entry { instrument: i, base, quote })
}

/// Orders of every kind are taken now.
fn is_open(f: &Fields<'_, '_>) -> Result<bool, DecodeError> {
    const CLOSED: [&str; 6] = [
        "is_disabled",
        "trading_disabled",
        "cancel_only",
        "post_only",
        "auction_mode",
        "view_only",
    ];
    let is_closed = CLOSED.iter().any(|key| f.truth(key).unwrap_or(false));
    Ok(f.text("status")? == "online" && !is_closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = concat!(
        r#"{"products":["#,
        r#"{"product_id":"BTC-USD","base_increment":"0.00000001","quote_increment":"0.01","quote_min_size":"1","quote_max_size":"150000000","base_min_size":"0.00000001","base_max_size":"3400","status":"online","trading_disabled":false,"post_only":false,"quote_currency_id":"USD","base_currency_id":"BTC","alias":"","alias_to":["BTC-USDC"],"price_increment":"0.01"},"#,
        r#"{"product_id":"OLD-USD","base_increment":"1","quote_increment":"0.0001","base_min_size":"","base_max_size":"","status":"delisted","quote_currency_id":"USD","base_currency_id":"OLD"},"#,
        r#"{"product_id":"NEW-USD","base_increment":"1","price_increment":"0.01","status":"online","post_only":true,"quote_currency_id":"USD","base_currency_id":"NEW"}]}"#,
    );

    fn read(wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
        parse(&[LIST.as_bytes().to_vec()], wanted)
    }

    #[test]
    fn rules_come_in_the_order_asked_for() {
        let table = read(&["OLD-USD", "BTC-USD"]).expect("both are there").table;
        let [old, btc] = table.all() else { panic!("two") };
        assert_eq!((btc.price_decimals, btc.qty_decimals, btc.tick, btc.lot), (4, 10, 100, 100));
        assert_eq!((btc.qty_min, btc.qty_max), (Qty(100), Qty(34_000_000_000_000)));
        assert_eq!(btc.notional_min, 100_000_000_000_000, "one dollar");
        assert!(btc.tradable && !old.tradable && btc.amends && !btc.replaces);
        assert_eq!((old.tick, old.lot, old.qty_max), (100, 100, Qty(0)));
        assert_eq!((table.asset_name(btc.base), table.asset_name(btc.quote)), ("BTC", "USD"));
        assert!(!read(&["NEW-USD"]).expect("there").table.all()[0].tradable, "post only");
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        assert_eq!(read(&["X"]).err(), Some(CatalogueError::Missing("X".to_owned())));
        let refused = br#"{"error":"unknown","code":7,"message":"x"}"#.to_vec();
        assert_eq!(parse(&[refused], &[]).err(), Some(CatalogueError::Refused(7)));
    }

    #[test]
    fn products_are_asked_for_by_name_in_several_lines() {
        let rest = |symbols: &[&str]| match request(symbols) {
            CatalogueRequest::Rest(paths) => paths,
            other => panic!("{other:?}"),
        };
        assert_eq!(rest(&[]), [PRODUCTS_PATH]);
        let two = rest(&["BTC-USD", "A B"]);
        assert_eq!(two, [format!("{PRODUCTS_PATH}?product_ids=BTC-USD&product_ids=A%20B")]);
        let lengths: Vec<usize> = rest(&["X-USD"; 120]).iter().map(String::len).collect();
        assert_eq!(lengths.len(), 3);
        assert!(lengths.iter().all(|n| *n < 4_000));
    }
}
