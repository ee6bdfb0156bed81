//! The list of instruments: `{"pairs":[{"s","base","quote","tick","lot","on"}]}`.

use bot4_types::{Instrument, InstrumentId};
use bot4_venues::json::{Fields, FieldsExt};
use bot4_venues::listing::{self, Entry, Shape, book_decimals, bound, no_limits, step_decimals};
use bot4_venues::{Catalogue, CatalogueError, CatalogueRequest, DecodeError};

/// One path for all.
pub fn request() -> CatalogueRequest {
    CatalogueRequest::Rest(vec!["/pairs".to_owned()])
}

/// Reads the answers and keeps the instruments of `wanted` in their order.
pub fn parse(answers: &[Vec<u8>], wanted: &[&str]) -> Result<Catalogue, CatalogueError> {
    let shape = Shape { list: "pairs", name: "s", refusal, entry, limits: no_limits };
    listing::parse(answers, wanted, &shape)
}

fn refusal(root: &Fields<'_, '_>) -> Option<i64> {
    root.signed("code").ok()
}

fn entry(f: &Fields<'_, '_>) -> Result<Entry, DecodeError> {
    let (tick, lot) = (step_decimals(f.text("tick")?)?, step_decimals(f.text("lot")?)?);
    let (price, qty) = book_decimals(tick, lot);
    let mut i = Instrument::bare(InstrumentId(0), listing::symbol(f, "s")?, 0);
    (i.price_decimals, i.qty_decimals) = (price, qty);
    (i.tick, i.lot) = (bound(f, "tick", price)?, bound(f, "lot", qty)?);
    i.tradable = f.text("on")? == "yes";
    Ok(Entry {
        instrument: i,
        base: listing::symbol(f, "base")?,
        quote: listing::symbol(f, "quote")?,
    })
}
