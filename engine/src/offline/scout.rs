//! What a first pass finds in a recording: symbols, decimals, and how deep its books are.
//!
//! Offline nobody can ask the venue, so decimals are the most that a symbol's levels are written
//! with, trailing zeros included: checksums of some venues are over that very text. Binance Spot
//! writes eight always, and its lines are only searched for names, so the pass costs little more
//! than decompression; other venues' messages are read by serde_json.

use bot4_types::limits::INSTRUMENTS_MAX;
use bot4_types::{Instrument, InstrumentId, InstrumentTable, Symbol};
use bot4_venues::registry::Venue;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Depths that Kraken's book channel takes.
const KRAKEN_DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];
/// Messages with levels that are read of a Binance futures symbol: its numbers all have the same
/// length behind the point.
const USDM_READ: u32 = 64;
/// Decimals beyond this are no venue's.
const DECIMALS_MAX: u8 = 18;

/// What was seen of one symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    name: String,
    /// Messages with levels.
    books: u32,
    price_decimals: u8,
    qty_decimals: u8,
    /// First update id, to tell whose a snapshot without a name is.
    first_id: Option<u64>,
}

/// Looks at the messages of one recording.
#[derive(Clone, Debug)]
pub struct Scout {
    venue: Venue,
    only: Option<String>,
    seen: Vec<Seen>,
    /// Where the last symbol was found: messages of one symbol come in runs.
    last: usize,
    /// Update ids of snapshots without a name, in order.
    nameless: Vec<u64>,
    /// Most levels a side in the first snapshot of a symbol.
    levels: usize,
    /// Changes of the books name their predecessor, as only Binance's futures do.
    futures: bool,
}

impl Scout {
    /// Nothing seen. With `only`, other symbols are passed over.
    #[must_use]
    pub fn new(venue: Venue, only: Option<&str>) -> Self {
        let only = only.map(str::to_owned);
        let seen = Vec::new();
        Self { venue, only, seen, last: 0, nameless: Vec::new(), levels: 0, futures: false }
    }

    /// A message of the stream.
    pub fn message(&mut self, text: &[u8]) {
        match self.venue {
            Venue::Binance => self.spot(text),
            Venue::BinanceUsdm => self.usdm(text),
            Venue::Kraken => self.kraken(text),
            Venue::Bybit | Venue::BybitLinear => self.bybit(text),
            Venue::Okx => self.okx(text),
            Venue::Coinbase => self.coinbase(text),
        }
    }

    /// A requested snapshot, with its symbol where that is known.
    pub fn snapshot(&mut self, name: Option<&str>, text: &[u8]) {
        let Ok(book) = serde_json::from_slice::<RestBook<'_>>(text) else { return };
        match name.and_then(|name| self.of(name)) {
            Some(seen) => {
                seen.books += 1;
                seen.first_id.get_or_insert(book.id);
                seen.levels(book.bids.iter().chain(&book.asks).copied());
            }
            None if name.is_none() => self.nameless.push(book.id),
            None => {}
        }
    }

    /// Said to be Binance Spot, yet the messages are those of its USD-margined futures, whose
    /// books follow another rule.
    #[must_use]
    pub const fn is_futures(&self) -> bool {
        self.futures && matches!(self.venue, Venue::Binance)
    }

    /// The symbols with books, in order of appearance; all symbols where none has one.
    #[must_use]
    pub fn symbols(&self) -> Vec<String> {
        self.chosen().iter().map(|seen| seen.name.clone()).collect()
    }

    /// Whose the nameless snapshots are, in order: the symbol whose first update lies nearest.
    #[must_use]
    pub fn owners(&self) -> Vec<Option<String>> {
        let distance = |seen: &Seen, id: u64| seen.first_id.map_or(u64::MAX, |f| f.abs_diff(id));
        let nearest = |id: &u64| self.chosen().into_iter().min_by_key(|seen| distance(seen, *id));
        self.nameless.iter().map(|id| nearest(id).map(|seen| seen.name.clone())).collect()
    }

    /// Levels a side that the books were subscribed with, where a venue cuts them silently:
    /// the smallest legal depth that holds the first snapshots. Zero elsewhere.
    #[must_use]
    pub fn depth(&self) -> usize {
        if self.venue != Venue::Kraken || self.levels == 0 {
            return 0;
        }
        let fits = KRAKEN_DEPTHS.into_iter().find(|depth| *depth >= self.levels);
        fits.unwrap_or(KRAKEN_DEPTHS[KRAKEN_DEPTHS.len() - 1])
    }

    /// The symbols as instruments without rules.
    ///
    /// # Errors
    /// The symbol that does not enter the table.
    pub fn table(&self) -> Result<InstrumentTable, String> {
        let mut table = InstrumentTable::new();
        for seen in self.chosen() {
            let wrong = || seen.name.clone();
            let symbol = Symbol::new(&seen.name).ok_or_else(wrong)?;
            let mut instrument = Instrument::bare(InstrumentId(0), symbol, seen.price_decimals);
            instrument.qty_decimals = seen.qty_decimals;
            if self.venue == Venue::Binance {
                let decimals = self.venue.wire_decimals();
                (instrument.price_decimals, instrument.qty_decimals) = (decimals, decimals);
            }
            table.push_for_books(instrument).map_err(|_| wrong())?;
        }
        Ok(table)
    }

    fn chosen(&self) -> Vec<&Seen> {
        let with_books: Vec<&Seen> = self.seen.iter().filter(|s| s.books > 0).collect();
        if with_books.is_empty() { self.seen.iter().collect() } else { with_books }
    }

    /// What was seen of `name`; `None` when it is not wanted or there are too many.
    fn of(&mut self, name: &str) -> Option<&mut Seen> {
        let hit = self.seen.get(self.last).is_some_and(|seen| seen.name == name);
        if !hit {
            let found = self.seen.iter().position(|seen| seen.name == name);
            let wanted = self.only.as_ref().is_none_or(|only| only == name);
            self.last = match found {
                Some(at) => at,
                None if name.is_empty() || !wanted => return None,
                // One more than there can be, so that the table says what is wrong.
                None if self.seen.len() > INSTRUMENTS_MAX => return None,
                None => {
                    self.seen.push(Seen { name: name.to_owned(), ..Seen::default() });
                    self.seen.len() - 1
                }
            };
        }
        self.seen.get_mut(self.last)
    }

    fn spot(&mut self, text: &[u8]) {
        let Some(name) = text_behind(text, b"\"s\":\"") else { return };
        let Some(seen) = self.of(name) else { return };
        if seen.first_id.is_none() && find(text, b"\"depthUpdate\"").is_some() {
            seen.books += 1;
            seen.first_id = number_behind(text, b"\"U\":");
            self.futures |= find(text, b"\"pu\":").is_some();
        }
    }

    fn usdm(&mut self, text: &[u8]) {
        let Some(name) = text_behind(text, b"\"s\":\"") else { return };
        let Some(seen) = self.of(name).filter(|seen| seen.books < USDM_READ) else { return };
        let inner = serde_json::from_slice::<Envelope<'_>>(text).map(|e| e.data.get().as_bytes());
        let Ok(diff) = serde_json::from_slice::<Diff<'_>>(inner.unwrap_or(text)) else { return };
        seen.books += 1;
        seen.first_id.get_or_insert(diff.first);
        seen.levels(diff.bids.iter().chain(&diff.asks).copied());
    }

    fn kraken(&mut self, text: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Kraken<'_>>(text) else { return };
        if message.channel != "book" {
            return;
        }
        for book in &message.data {
            let levels = book.bids.len().max(book.asks.len());
            let Some(seen) = self.of(book.symbol) else { continue };
            let first = seen.books == 0 && message.kind == "snapshot";
            seen.books += 1;
            seen.levels(book.bids.iter().chain(&book.asks).map(|l| (l.price, l.qty)));
            if first {
                self.levels = self.levels.max(levels);
            }
        }
    }

    fn bybit(&mut self, text: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Bybit<'_>>(text) else { return };
        let mut parts = message.topic.split('.');
        let (kind, name) = (parts.next(), message.topic.rsplit('.').next().unwrap_or(""));
        if kind != Some("orderbook") {
            self.of(name);
            return;
        }
        let Ok(book) = serde_json::from_str::<BybitBook<'_>>(message.data.get()) else { return };
        if let Some(seen) = self.of(book.symbol) {
            seen.books += 1;
            seen.levels(book.bids.iter().chain(&book.asks).copied());
        }
    }

    fn okx(&mut self, text: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Okx<'_>>(text) else { return };
        let Some(seen) = self.of(message.arg.name) else { return };
        if !message.arg.channel.starts_with("books") {
            return;
        }
        let Some(data) = message.data else { return };
        let Ok(books) = serde_json::from_str::<Vec<OkxBook<'_>>>(data.get()) else { return };
        for book in &books {
            seen.books += 1;
            seen.levels(book.bids.iter().chain(&book.asks).map(|(p, q, _, _)| (*p, *q)));
        }
    }

    fn coinbase(&mut self, text: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Coinbase<'_>>(text) else { return };
        if message.channel != "l2_data" {
            return;
        }
        let Ok(events) = serde_json::from_str::<Vec<L2Event<'_>>>(message.events.get()) else {
            return;
        };
        for event in &events {
            if let Some(seen) = self.of(event.product) {
                seen.books += 1;
                seen.levels(event.updates.iter().map(|u| (u.price, u.qty)));
            }
        }
    }
}

impl Seen {
    /// The most decimals of these levels and of those before.
    fn levels<'a>(&mut self, levels: impl Iterator<Item = (&'a RawValue, &'a RawValue)>) {
        for (price, qty) in levels {
            self.price_decimals = self.price_decimals.max(decimals_of(price));
            self.qty_decimals = self.qty_decimals.max(decimals_of(qty));
        }
    }
}

/// Digits behind the point of a number, bare or in quotes, as it is written.
fn decimals_of(number: &RawValue) -> u8 {
    let text = number.get().trim_matches('"');
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let decimals = fraction as i64 - exponent.parse::<i64>().unwrap_or(0).clamp(-99, 99);
    decimals.clamp(0, i64::from(DECIMALS_MAX)) as u8
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|w| w == needle)
}

/// The string's rest behind `key`, which ends with the opening quote.
fn text_behind<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = &text[find(text, key)? + key.len()..];
    let end = rest.iter().position(|b| *b == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

fn number_behind(text: &[u8], key: &[u8]) -> Option<u64> {
    let rest = &text[find(text, key)? + key.len()..];
    let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..len]).ok()?.parse().ok()
}

/// A level: price and quantity, as they are written.
type Pair<'a> = (&'a RawValue, &'a RawValue);

#[derive(Deserialize)]
struct RestBook<'a> {
    #[serde(rename = "lastUpdateId")]
    id: u64,
    #[serde(borrow)]
    bids: Vec<Pair<'a>>,
    #[serde(borrow)]
    asks: Vec<Pair<'a>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Diff<'a> {
    #[serde(rename = "U")]
    first: u64,
    #[serde(borrow, rename = "b")]
    bids: Vec<Pair<'a>>,
    #[serde(borrow, rename = "a")]
    asks: Vec<Pair<'a>>,
}

#[derive(Deserialize)]
struct Kraken<'a> {
    channel: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: Vec<KrakenBook<'a>>,
}

#[derive(Deserialize)]
struct KrakenBook<'a> {
    symbol: &'a str,
    #[serde(borrow)]
    bids: Vec<KrakenLevel<'a>>,
    #[serde(borrow)]
    asks: Vec<KrakenLevel<'a>>,
}

#[derive(Deserialize)]
struct KrakenLevel<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

#[derive(Deserialize)]
struct Bybit<'a> {
    topic: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct BybitBook<'a> {
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(borrow, rename = "b")]
    bids: Vec<Pair<'a>>,
    #[serde(borrow, rename = "a")]
    asks: Vec<Pair<'a>>,
}

#[derive(Deserialize)]
struct Okx<'a> {
    #[serde(borrow)]
    arg: OkxArg<'a>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OkxArg<'a> {
    channel: &'a str,
    #[serde(rename = "instId")]
    name: &'a str,
}

/// Levels have four texts: price, quantity, a zero, the count of orders.
#[derive(Deserialize)]
struct OkxBook<'a> {
    #[serde(borrow)]
    bids: Vec<(&'a RawValue, &'a RawValue, IgnoredAny, IgnoredAny)>,
    #[serde(borrow)]
    asks: Vec<(&'a RawValue, &'a RawValue, IgnoredAny, IgnoredAny)>,
}

#[derive(Deserialize)]
struct Coinbase<'a> {
    channel: &'a str,
    #[serde(borrow)]
    events: &'a RawValue,
}

#[derive(Deserialize)]
struct L2Event<'a> {
    #[serde(rename = "product_id")]
    product: &'a str,
    #[serde(borrow)]
    updates: Vec<L2Update<'a>>,
}

#[derive(Deserialize)]
struct L2Update<'a> {
    #[serde(borrow, rename = "price_level")]
    price: &'a RawValue,
    #[serde(borrow, rename = "new_quantity")]
    qty: &'a RawValue,
}

#[cfg(test)]
#[path = "scout_tests.rs"]
mod tests;
