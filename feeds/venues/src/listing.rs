//! What the catalogues of REST venues have in common: a list of entries, of which a run wants
//! some, and decimals of books. Cold: read once before the lanes start.

use bot4_types::instrument::AMOUNT_DECIMALS;
use bot4_types::text::{DecimalError, parse_units};
use bot4_types::{Instrument, InstrumentTable, Symbol};

use crate::catalogue::{CATALOGUE_LEN_MAX, Catalogue, CatalogueError};
use crate::json::{Fields, FieldsExt, Node, Scratch, text_of};
use crate::limits::RateLimits;
use crate::market::DecodeError;

/// Decimals that a book holds beyond the steps of orders: levels that are older than a change of
/// the steps stay in real books.
const SPARE_DECIMALS: u8 = 2;

/// One instrument and the names of its assets.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its rules; assets and id are set by the table.
    pub instrument: Instrument,
    /// What is bought and sold.
    pub base: Symbol,
    /// What it is paid with.
    pub quote: Symbol,
}

/// How a venue's list looks.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Key of the list in the answer.
    pub list: &'static str,
    /// Key of the instrument's name in an entry.
    pub name: &'static str,
    /// The code of an answer that is a refusal.
    pub refusal: fn(&Fields<'_, '_>) -> Option<i64>,
    /// Reads one entry.
    pub entry: fn(&Fields<'_, '_>) -> Result<Entry, DecodeError>,
    /// Limits and the venue's clock in Unix ms, where the answer states them; [`no_limits`].
    pub limits: fn(&Fields<'_, '_>) -> (RateLimits, i64),
}

/// The answer states no limits.
#[must_use]
pub fn no_limits(_: &Fields<'_, '_>) -> (RateLimits, i64) {
    (RateLimits::default(), 0)
}

/// Reads the answers and keeps the instruments of `wanted` in their order. An empty `wanted`
/// keeps every entry whose rules can be represented; they must fit the table.
///
/// # Errors
/// See [`CatalogueError`].
pub fn parse(
    answers: &[Vec<u8>],
    wanted: &[&str],
    shape: &Shape,
) -> Result<Catalogue, CatalogueError> {
    let mut scratch = Scratch::new(CATALOGUE_LEN_MAX);
    let mut found: Vec<Found> = Vec::new();
    let mut catalogue = Catalogue {
        table: InstrumentTable::new(),
        limits: RateLimits::default(),
        server_ms: 0,
        codes: Vec::new(),
    };
    for text in answers {
        // The inner result keeps what the reader's error cannot hold.
        let page = scratch.read(text, |root| Ok(page(root, wanted, shape)));
        let Page { entries, limits, server_ms } = page.map_err(CatalogueError::Message)??;
        found.extend(entries);
        (catalogue.limits, catalogue.server_ms) = (limits, server_ms);
    }
    if answers.is_empty() {
        return Err(CatalogueError::Message(DecodeError::Schema));
    }
    if wanted.is_empty() {
        for (name, entry) in found {
            if let Ok(entry) = entry {
                push(&mut catalogue.table, &name, &entry)?;
            }
        }
        return Ok(catalogue);
    }
    for wanted in wanted {
        let entry = found.iter().find(|(name, _)| name == wanted);
        let (name, entry) = entry.ok_or_else(|| CatalogueError::Missing((*wanted).to_owned()))?;
        let entry = entry.map_err(|e| CatalogueError::Symbol(name.clone(), e))?;
        push(&mut catalogue.table, name, &entry)?;
    }
    Ok(catalogue)
}

type Found = (String, Result<Entry, DecodeError>);

/// One answer.
struct Page {
    entries: Vec<Found>,
    limits: RateLimits,
    server_ms: i64,
}

fn page(root: Node<'_, '_>, wanted: &[&str], shape: &Shape) -> Result<Page, CatalogueError> {
    let root = root.as_object().ok_or(CatalogueError::Message(DecodeError::Schema))?;
    if let Some(code) = (shape.refusal)(&root) {
        return Err(CatalogueError::Refused(code));
    }
    let (limits, server_ms) = (shape.limits)(&root);
    // Some venues wrap what was asked for.
    let body = root.fields("result").unwrap_or(root);
    let list = body.list(shape.list).map_err(CatalogueError::Message)?;
    let entries = list.iter().filter_map(|e| e.as_object());
    let named = entries.filter_map(|f| Some((f.get(shape.name).and_then(text_of)?, f)));
    let kept = named.filter(|(name, _)| wanted.is_empty() || wanted.contains(name));
    let entries = kept.map(|(name, f)| (name.to_owned(), (shape.entry)(&f))).collect();
    Ok(Page { entries, limits, server_ms })
}

fn push(table: &mut InstrumentTable, name: &str, entry: &Entry) -> Result<(), CatalogueError> {
    let full = |e| CatalogueError::Table(name.to_owned(), e);
    let mut instrument = entry.instrument;
    instrument.base = table.asset(entry.base).map_err(full)?;
    instrument.quote = table.asset(entry.quote).map_err(full)?;
    table.push(instrument).map_err(full)?;
    Ok(())
}

/// The field as a name.
///
/// # Errors
/// [`DecodeError::Schema`] also when it is empty or too long.
pub fn symbol(f: &Fields<'_, '_>, key: &str) -> Result<Symbol, DecodeError> {
    Symbol::new(f.text(key)?).ok_or(DecodeError::Schema)
}

/// Decimals of a step without trailing zeros: `0.010` has two, `5` none.
///
/// # Errors
/// [`DecodeError::Number`] when it is no positive number.
pub fn step_decimals(step: &str) -> Result<u8, DecodeError> {
    let fraction = step.split_once('.').map_or("", |(_, d)| d.trim_end_matches('0'));
    let decimals = u8::try_from(fraction.len()).unwrap_or(u8::MAX);
    match parse_units(step.as_bytes(), decimals) {
        Ok(1..) => Ok(decimals),
        Ok(_) => Err(DecodeError::Number(DecimalError::Empty)),
        Err(e) => Err(DecodeError::Number(e)),
    }
}

/// Decimals of a book's prices and quantities, given those of the steps of orders: some to spare,
/// fewer where both together would exceed what an amount can hold.
#[must_use]
pub fn book_decimals(tick: u8, lot: u8) -> (u8, u8) {
    let spare = AMOUNT_DECIMALS.saturating_sub(tick.saturating_add(lot));
    let price = spare.min(SPARE_DECIMALS);
    (tick.saturating_add(price), lot.saturating_add((spare - price).min(SPARE_DECIMALS)))
}

/// A bound or step in units of 10^-`decimals`; an empty text or a missing field is no rule: zero.
/// An upper bound beyond `i64` binds nothing that `i64` can hold.
///
/// # Errors
/// [`DecodeError::Number`].
pub fn bound(f: &Fields<'_, '_>, key: &str, decimals: u8) -> Result<i64, DecodeError> {
    let text = f.get(key).and_then(text_of).unwrap_or("");
    if text.is_empty() {
        return Ok(0);
    }
    match parse_units(text.as_bytes(), decimals) {
        Ok(v) if v >= 0 => Ok(v),
        Ok(_) => Err(DecodeError::Number(DecimalError::BadCharacter)),
        Err(DecimalError::Overflow) if key.contains("max") => Ok(i64::MAX),
        Err(e) => Err(DecodeError::Number(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_decimals() {
        let of = |step: &str| step_decimals(step).ok();
        assert_eq!(
            (of("0.010"), of("5"), of("0.00000001"), of("10")),
            (Some(2), Some(0), Some(8), Some(0))
        );
        assert_eq!(
            (of(""), of("0"), of("-1"), of("0.000"), of("1e-8")),
            (None, None, None, None, None)
        );
    }

    #[test]
    fn books_have_decimals_to_spare_within_an_amount() {
        assert_eq!(book_decimals(1, 8), (3, 10));
        assert_eq!(book_decimals(2, 8), (4, 10));
        assert_eq!(book_decimals(7, 8), (8, 8));
        assert_eq!(book_decimals(8, 8), (8, 8));
        // Left as they are: the table refuses them.
        assert_eq!(book_decimals(9, 8), (9, 8));
    }
}
