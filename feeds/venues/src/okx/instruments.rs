//! The REST list of instruments to the instrument table. Cold: read once before the lanes start.
//!
//! One request for each type among the symbols: the type shows in the symbol's shape. Sizes of
//! derivatives are in contracts; such an instrument's base asset is therefore the contract, named
//! like the instrument. Source: the OKX sheet, chapter 4.

use bot4_types::{Instrument, InstrumentId, Price, Qty, Symbol};

use super::INSTRUMENTS_PATH;
use crate::catalogue::{CATALOGUE_LEN_MAX, Catalogue, CatalogueError, CatalogueRequest};
use crate::json::{Fields, FieldsExt, Scratch};
use crate::listing::{self, Entry, Shape, book_decimals, bound, no_limits, step_decimals, symbol};
use crate::market::DecodeError;

/// The type of an instrument by the shape of its name: `BTC-USDT`, `BTC-USDT-SWAP`,
/// `BTC-USDT-260925`, `BTC-USD-260925-60000-C`.
#[must_use]
pub fn type_of(symbol: &str) -> &'static str {
    let parts: Vec<&str> = symbol.split('-').collect();
    match parts.as_slice() {
        [_, _, "SWAP"] => "SWAP",
        [_, _, _, _, "C" | "P"] => "OPTION",
        [_, _, expiry] if expiry.bytes().all(|b| b.is_ascii_digit()) => "FUTURES",
        _ => "SPOT",
    }
}

/// One path for each type among `symbols`; options are listed by underlying.
#[must_use]
pub fn request(symbols: &[&str]) -> CatalogueRequest {
    let mut paths: Vec<String> = symbols.iter().map(|s| path(s)).collect();
    if paths.is_empty() {
        paths.push(format!("{INSTRUMENTS_PATH}SPOT"));
    }
    paths.sort();
    paths.dedup();
    CatalogueRequest::Rest(paths)
}

fn path(symbol: &str) -> String {
    let kind = type_of(symbol);
    if kind != "OPTION" {
        return format!("{INSTRUMENTS_PATH}{kind}");
    }
    let underlying: Vec<&str> = symbol.split('-').take(2).collect();
    format!("{INSTRUMENTS_PATH}{kind}&uly={}", underlying.join("-"))
}

/// Reads the answers and keeps the instruments of `wanted` in their order; an empty `wanted`
/// keeps all that have rules, which must fit the table.
///
/// # Errors
/// See [`CatalogueError`].
pub fn parse(answers: &[Vec<u8>], wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
    let mut catalogue = listing::parse(
        answers,
        wanted,
        &Shape { list: "data", name: "instId", refusal, entry, limits: no_limits },
    )?;
    let table = &catalogue.table;
    let mut codes = vec![0; table.all().len()];
    for answer in answers {
        let mut scratch = Scratch::new(CATALOGUE_LEN_MAX);
        let read = scratch.read(answer, |root| {
            let root = root.as_object().ok_or(DecodeError::Schema)?;
            for row in root.list("data")?.iter().filter_map(|row| row.as_object()) {
                let named = table.find(row.text("instId")?.as_bytes());
                if let (Some(i), Ok(code)) = (named, row.unsigned("instIdCode")) {
                    codes[i.id.index()] = code;
                }
            }
            Ok(())
        });
        read.map_err(CatalogueError::Message)?;
    }
    catalogue.codes = codes;
    Ok(catalogue)
}

fn refusal(root: &Fields<'_, '_>) -> Option<i64> {
    let code = root.text("code").ok()?;
    (code != "0").then(|| code.parse().unwrap_or(0))
}

fn entry(f: &Fields<'_, '_>) -> Result<Entry, DecodeError> {
    let name = symbol(f, "instId")?;
    let tick = step_decimals(f.text("tickSz")?)?;
    let (price, qty) = book_decimals(tick, step_decimals(f.text("lotSz")?)?);
    let mut i = Instrument::bare(InstrumentId(0), name, 0);
    (i.price_decimals, i.qty_decimals) = (price, qty);
    i.tradable = f.text("state")? == "live";
    (i.tick, i.lot) = (bound(f, "tickSz", price)?, bound(f, "lotSz", qty)?);
    (i.price_min, i.price_max) = (Price(0), Price(0));
    i.qty_min = Qty(bound(f, "minSz", qty)?);
    i.qty_max = Qty(bound(f, "maxLmtSz", qty)?);
    (i.market_lot, i.market_qty_min) = (i.lot, i.qty_min);
    let is_spot = f.text("instType").is_ok_and(|t| t == "SPOT" || t == "MARGIN");
    // Of spot instruments the largest market order is stated in USDT: no rule of quantities.
    i.market_qty_max = Qty(if is_spot { 0 } else { bound(f, "maxMktSz", qty)? });
    let (base, quote): (Symbol, Symbol) = if is_spot {
        (symbol(f, "baseCcy")?, symbol(f, "quoteCcy")?)
    } else {
        (name, symbol(f, "settleCcy")?)
    };
    Ok(Entry { instrument: i, base, quote })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = concat!(
        r#"{"code":"0","msg":"","data":["#,
        r#"{"instId":"BTC-USDT","instType":"SPOT","baseCcy":"BTC","quoteCcy":"USDT","settleCcy":"","tickSz":"0.1","lotSz":"0.00000001","minSz":"0.00001","maxLmtSz":"9999999999","maxMktSz":"1000000","state":"live"},"#,
        r#"{"instId":"NEW-USDT","instType":"SPOT","baseCcy":"","quoteCcy":"","tickSz":"","lotSz":"","minSz":"","state":"preopen"},"#,
        r#"{"instId":"ETH-USDT-SWAP","instType":"SWAP","baseCcy":"","quoteCcy":"","settleCcy":"USDT","tickSz":"0.01","lotSz":"0.01","minSz":"0.01","maxLmtSz":"99999999999999999999","maxMktSz":"20000","state":"suspend"}]}"#,
    );

    fn read(wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
        parse(&[LIST.as_bytes().to_vec()], wanted)
    }

    #[test]
    fn rules_come_in_the_order_asked_for() {
        let table = read(&["ETH-USDT-SWAP", "BTC-USDT"]).expect("both are there").table;
        let [swap, spot] = table.all() else { panic!("two") };
        assert_eq!(
            (spot.price_decimals, spot.qty_decimals, spot.tick, spot.lot),
            (3, 10, 100, 100)
        );
        assert_eq!((spot.qty_min, spot.market_qty_max), (Qty(100_000), Qty(0)));
        assert_eq!(spot.qty_max, Qty(i64::MAX), "beyond what an integer holds: no bound");
        assert!(spot.tradable && !swap.tradable);
        assert_eq!((table.asset_name(spot.base), table.asset_name(spot.quote)), ("BTC", "USDT"));
        assert_eq!(table.asset_name(swap.base), "ETH-USDT-SWAP");
        assert_eq!((swap.qty_max, swap.market_qty_max), (Qty(i64::MAX), Qty(200_000_000)));
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        assert_eq!(read(&["X-USDT"]).err(), Some(CatalogueError::Missing("X-USDT".to_owned())));
        assert!(matches!(read(&["NEW-USDT"]), Err(CatalogueError::Symbol(..))));
        assert_eq!(read(&[]).map(|c| c.table.all().len()).ok(), Some(2));
        let refused = br#"{"code":"50011","msg":"Too Many Requests","data":[]}"#.to_vec();
        assert_eq!(parse(&[refused], &[]).err(), Some(CatalogueError::Refused(50_011)));
        assert!(matches!(parse(&[b"[]".to_vec()], &[]), Err(CatalogueError::Message(_))));
        assert!(parse(&[], &[]).is_err());
    }

    #[test]
    fn types_show_in_the_name() {
        let rest = |symbols: &[&str]| match request(symbols) {
            CatalogueRequest::Rest(paths) => paths,
            other => panic!("{other:?}"),
        };
        let base = "/api/v5/public/instruments?instType=";
        assert_eq!(rest(&["BTC-USDT", "ETH-USDT"]), [format!("{base}SPOT")]);
        assert_eq!(rest(&[]), [format!("{base}SPOT")]);
        assert_eq!(
            rest(&["XMR-USDT-SWAP", "TRX-USDT-210924", "BTC-USD-210924-42000-P", "A-B"]),
            ["FUTURES", "OPTION&uly=BTC-USD", "SPOT", "SWAP"].map(|t| format!("{base}{t}"))
        );
    }
}
