//! A recorded market of Binance Spot: reading its lines, finding its symbols and snapshots, playing
//! it by time.
//!
//! Lines are those of a [`Tape`]; REST snapshots are lines of their own or wrapped in
//! `{"recv_ns","url","body"}`. The file is read twice as a stream, never held in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::Value;

use crate::decimal::{ONE, parse};
use crate::symbol::SymbolSpec;
use crate::tape::{Line, Tape, TapeLines};

/// One recorded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was received, Unix ns.
    pub at_ns: u64,
    /// Stream name; empty for a snapshot.
    pub stream: String,
    /// The payload, byte for byte.
    pub data: String,
}

/// A book as recorded: prices and quantities in 10^-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedBook {
    /// Id of the last update in it.
    pub id: u64,
    /// Bids by price.
    pub bids: BTreeMap<i64, i64>,
    /// Asks by price.
    pub asks: BTreeMap<i64, i64>,
}

/// One level change of a recorded depth event: (is bid, price, quantity).
pub type LevelChange = (bool, i64, i64);

/// A recording and what a first pass found in it.
pub struct Recording {
    tape: Tape,
    /// The markets, in order of appearance.
    pub symbols: Vec<SymbolSpec>,
    /// First snapshot of each market, by index; empty where there is none.
    pub books: Vec<RecordedBook>,
    first_ns: u64,
}

impl Recording {
    /// Reads and examines a file, plain or `.gz`.
    ///
    /// # Errors
    /// I/O errors, a damaged archive, a line that is not JSON, no market at all.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::from_tape(Tape::open(path)?)
    }

    /// The same over lines in memory.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn from_lines(lines: Vec<String>) -> io::Result<Self> {
        Self::from_tape(Tape::from_lines(lines)?)
    }

    fn from_tape(tape: Tape) -> io::Result<Self> {
        let mut scan = Scan::default();
        for entry in Entries::new(tape.lines()?) {
            scan.look(&entry?)?;
        }
        scan.finish(tape)
    }

    /// The entries from the beginning.
    ///
    /// # Errors
    /// If the file cannot be opened again.
    pub fn entries(&self) -> io::Result<Entries> {
        Ok(Entries::new(self.tape.lines()?))
    }

    /// Receive time of the first entry.
    #[must_use]
    pub fn first_ns(&self) -> u64 {
        self.first_ns
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.symbols.iter().map(|s| &s.name).collect();
        f.debug_struct("Recording").field("symbols", &names).finish_non_exhaustive()
    }
}

impl RecordedBook {
    /// The book of a snapshot object, if it is one.
    #[must_use]
    pub fn from_snapshot(value: &Value) -> Option<Self> {
        let id = value.get("lastUpdateId")?.as_u64()?;
        let side = |key| levels(value.get(key)?);
        Some(Self {
            id,
            bids: side("bids")?.into_iter().collect(),
            asks: side("asks")?.into_iter().collect(),
        })
    }

    /// Applies a depth event unless it is old; what changed.
    pub fn apply(&mut self, value: &Value) -> Vec<LevelChange> {
        let (Some(first), Some(last)) = (value["U"].as_u64(), value["u"].as_u64()) else {
            return Vec::new();
        };
        if self.id == 0 {
            // Without a snapshot the book grows from nothing, starting before this event.
            self.id = first.saturating_sub(1);
        }
        if last <= self.id {
            return Vec::new();
        }
        self.id = last;
        let mut changes = Vec::new();
        for (bid, key) in [(true, "b"), (false, "a")] {
            let side = if bid { &mut self.bids } else { &mut self.asks };
            for (price, qty) in levels(&value[key]).unwrap_or_default() {
                match qty {
                    0 => side.remove(&price),
                    _ => side.insert(price, qty),
                };
                changes.push((bid, price, qty));
            }
        }
        changes
    }

    /// The answer of method `depth`.
    #[must_use]
    pub fn snapshot_text(&self, limit: usize) -> String {
        let mut out = format!(r#"{{"lastUpdateId":{},"bids":["#, self.id);
        let pair = |(&price, &qty): (&i64, &i64)| (price, qty);
        crate::dialect::binance::feed::push_levels(
            &mut out,
            self.bids.iter().rev().map(pair).take(limit),
        );
        out.push_str(r#"],"asks":["#);
        crate::dialect::binance::feed::push_levels(
            &mut out,
            self.asks.iter().map(pair).take(limit),
        );
        out.push_str("]}");
        out
    }
}

fn levels(value: &Value) -> Option<Vec<(i64, i64)>> {
    let level = |entry: &Value| {
        Some((parse(entry.get(0)?.as_str()?).ok()?, parse(entry.get(1)?.as_str()?).ok()?))
    };
    value.as_array()?.iter().map(level).collect()
}

/// Entries in file order, with times that never go back.
pub struct Entries {
    lines: TapeLines,
}

impl Entries {
    fn new(lines: TapeLines) -> Self {
        Self { lines }
    }

    fn entry(&self, line: Line) -> io::Result<Entry> {
        let (stream, data) = match split_envelope(&line.json) {
            Some((name, data)) => (name.to_owned(), data.to_owned()),
            None => {
                let bad = || format!("line {}: not JSON", self.lines.number());
                let bad = || io::Error::new(io::ErrorKind::InvalidData, bad());
                (bare_stream(&line.json).ok_or_else(bad)?, line.json)
            }
        };
        Ok(Entry { at_ns: line.at_ns, stream, data })
    }
}

impl Iterator for Entries {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        Some(line.and_then(|line| self.entry(line)))
    }
}

/// `{"stream":"name","data":{...}}` → name and data, untouched.
fn split_envelope(json: &str) -> Option<(&str, &str)> {
    let rest = json.strip_prefix(r#"{"stream":""#)?;
    let (name, rest) = rest.split_once('"')?;
    let data = rest.strip_prefix(r#","data":"#)?.strip_suffix('}')?;
    Some((name, data))
}

/// The stream that a bare payload would have come from; empty for snapshots and answers.
fn bare_stream(json: &str) -> Option<String> {
    let value: Value = serde_json::from_str(json).ok()?;
    let symbol = value["s"].as_str().unwrap_or_default().to_lowercase();
    let suffix = match value["e"].as_str() {
        Some("depthUpdate") => "depth@100ms",
        Some("trade") => "trade",
        Some("aggTrade") => "aggTrade",
        None if value["u"].is_u64() && value["b"].is_string() => "bookTicker",
        _ => return Some(String::new()),
    };
    Some(format!("{symbol}@{suffix}"))
}

/// What the first pass has seen of one market.
#[derive(Debug, Default)]
struct Seen {
    price_digits: Digits,
    qty_digits: Digits,
    first_id: Option<u64>,
    price: Option<i64>,
    book: Option<RecordedBook>,
}

#[derive(Debug, Default)]
struct Scan {
    names: Vec<String>,
    seen: BTreeMap<String, Seen>,
    loose: Vec<RecordedBook>,
    first_ns: Option<u64>,
}

impl Scan {
    fn look(&mut self, entry: &Entry) -> io::Result<()> {
        self.first_ns.get_or_insert(entry.at_ns);
        let value: Value = serde_json::from_str(&entry.data)?;
        if entry.stream.is_empty() {
            self.snapshot(&value);
            return Ok(());
        }
        let Some(name) = value["s"].as_str() else { return Ok(()) };
        let seen = self.of(name);
        for (key, is_price) in [("p", true), ("b", true), ("a", true), ("q", false), ("B", false)] {
            if let Some(text) = value[key].as_str() {
                seen.number(text, is_price);
            }
        }
        for level in [&value["b"], &value["a"]].into_iter().filter_map(Value::as_array).flatten() {
            seen.level(level);
        }
        if let (None, Some(first)) = (seen.first_id, value["U"].as_u64()) {
            seen.first_id = Some(first);
        }
        Ok(())
    }

    fn of(&mut self, name: &str) -> &mut Seen {
        if !self.seen.contains_key(name) {
            self.names.push(name.to_owned());
        }
        self.seen.entry(name.to_owned()).or_default()
    }

    fn snapshot(&mut self, value: &Value) {
        let body = value.get("body").unwrap_or(value);
        let Some(book) = RecordedBook::from_snapshot(body) else { return };
        let named = value["url"].as_str().and_then(|url| {
            let (_, rest) = url.split_once("symbol=")?;
            rest.split('&').next().map(str::to_owned)
        });
        match named {
            Some(name) => self.of(&name).first_book(book, body),
            None => self.loose.push(book),
        }
    }

    fn finish(mut self, tape: Tape) -> io::Result<Recording> {
        for book in std::mem::take(&mut self.loose) {
            // A snapshot does not name its market: it is the one whose first id lies nearest.
            let distance = |s: &Seen| s.first_id.map_or(u64::MAX, |id| id.abs_diff(book.id));
            let nearest = self.seen.values_mut().filter(|s| s.book.is_none());
            if let Some(seen) = nearest.min_by_key(|s| distance(s)) {
                seen.price = seen.price.or(book.bids.last_key_value().map(|(p, _)| *p));
                seen.book = Some(book);
            }
        }
        if self.names.is_empty() {
            let error = "no market in the recording (is it of this venue?)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let symbols = self.names.iter().map(|name| spec(name, &self.seen[name])).collect();
        let book = |name| self.seen.get_mut(name).and_then(|s| s.book.take()).unwrap_or_default();
        let books = self.names.iter().map(book).collect();
        Ok(Recording { tape, symbols, books, first_ns: self.first_ns.unwrap_or(0) })
    }
}

impl Seen {
    fn number(&mut self, text: &str, is_price: bool) {
        if is_price {
            self.price_digits.count(text);
            self.price = self.price.or(parse(text).ok());
        } else {
            self.qty_digits.count(text);
        }
    }

    fn level(&mut self, level: &Value) {
        for (n, is_price) in [(0, true), (1, false)] {
            if let Some(text) = level.get(n).and_then(Value::as_str) {
                let digits = if is_price { &mut self.price_digits } else { &mut self.qty_digits };
                digits.count(text);
            }
        }
    }

    fn first_book(&mut self, book: RecordedBook, body: &Value) {
        for level in
            [&body["bids"], &body["asks"]].into_iter().filter_map(Value::as_array).flatten()
        {
            self.level(level);
        }
        self.price = self.price.or(book.bids.last_key_value().map(|(p, _)| *p));
        self.book.get_or_insert(book);
    }
}

/// How many numbers had how many digits after the point (trailing zeros left out).
#[derive(Debug, Default)]
struct Digits {
    numbers: [u64; 9],
}

impl Digits {
    fn count(&mut self, text: &str) {
        let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
        let digits = fraction.trim_end_matches('0').len();
        self.numbers[digits.min(8)] += 1;
    }

    /// The fewest digits that all but one in a hundred numbers fit in: real books hold a few
    /// levels off the tick and the lot that outlived a change of filters.
    fn usual(&self) -> u32 {
        let all: u64 = self.numbers.iter().sum();
        let mut beyond = all;
        for (digits, count) in self.numbers.iter().enumerate() {
            beyond -= count;
            if beyond * 100 <= all {
                return digits as u32;
            }
        }
        8
    }
}

/// Assets that a symbol's name may end in, the longer first.
const QUOTES: [&str; 16] = [
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "BIDR", "BTC", "ETH", "BNB", "EUR", "TRY",
    "RUB", "BRL", "GBP", "USD",
];

fn spec(name: &str, seen: &Seen) -> SymbolSpec {
    let quote = QUOTES.into_iter().find(|q| name.len() > q.len() && name.ends_with(q));
    let (base, quote) = quote.map_or((name, ""), |q| (name.trim_end_matches(q), q));
    let step = |digits: u32| ONE / 10_i64.pow(digits.min(8));
    let spec = SymbolSpec::new(
        base,
        quote,
        step(seen.price_digits.usual()),
        step(seen.qty_digits.usual()),
    );
    SymbolSpec { start_price: seen.price.unwrap_or(ONE), ..spec }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    const DIFF: &str = concat!(
        r#"{"e":"depthUpdate","E":5,"s":"ABCUSDT","U":11,"u":12,"#,
        r#""b":[["1.50000000","2.00000000"]],"a":[]}"#
    );

    #[test]
    fn line_formats_are_told_apart() {
        let text = format!(
            "7000000 {{\"stream\":\"abcusdt@depth@100ms\",\"data\":{DIFF}}}\n\
             8000000 > {{\"method\":\"SUBSCRIBE\"}}\n\
             8000000 < {DIFF}\n{DIFF}\n\
             {{\"recv_ns\":1,\"url\":\"x?symbol=ABCUSDT&limit=5\",\"body\":\
             {{\"lastUpdateId\":11,\"bids\":[[\"1.40000000\",\"0.50000000\"]],\"asks\":[]}}}}\n"
        );
        let recording = Recording::from_lines(lines(&text)).unwrap();
        let entries: Vec<_> = recording.entries().unwrap().map(Result::unwrap).collect();
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[0].data, DIFF);
        assert!(entries[..3].iter().all(|e| e.stream == "abcusdt@depth@100ms"));
        assert_eq!(
            entries.iter().map(|e| e.at_ns).collect::<Vec<_>>(),
            [7_000_000, 8_000_000, 8_000_000, 8_000_000]
        );
        let spec = &recording.symbols[0];
        assert_eq!((spec.base.as_str(), spec.quote.as_str()), ("ABC", "USDT"));
        assert_eq!((spec.tick, spec.lot), (ONE / 10, ONE / 10));
        let mut book = recording.books[0].clone();
        assert_eq!(
            book.apply(&serde_json::from_str(DIFF).unwrap()),
            [(true, 3 * ONE / 2, 2 * ONE)]
        );
        assert!(book.apply(&serde_json::from_str(DIFF).unwrap()).is_empty(), "a repeat is old");
        assert_eq!(
            book.snapshot_text(1),
            r#"{"lastUpdateId":12,"bids":[["1.50000000","2.00000000"]],"asks":[]}"#
        );
    }

    #[test]
    fn bad_input_names_the_line() {
        let error = |text: &str| Recording::from_lines(lines(text)).unwrap_err().to_string();
        assert!(error("hello").contains("line 1: no JSON object"));
        assert!(error("12x {\"a\":1}").contains("line 1: the receive time"));
        assert!(error("1 {\"a\":").contains("line 1: not JSON"));
        assert!(error("1 {\"a\":1}").contains("no market"));
    }
}
