//! Parsing of the other dialects: book changes of Kraken (bare numbers, all decimals) and Bybit
//! (quoted, without trailing zeros), to the event that travels to the book, block given back.
//!
//! The baseline is serde_json into typed structs that borrow from the text, numbers by the plain
//! decimal reader from their text (`RawValue` where they are bare: through binary floating point
//! the zeros of Kraken's checksums would be lost).

use std::fmt::Write as _;
use std::hint::black_box;
use std::rc::Rc;

use bot4_types::rng::SplitMix64;
use bot4_types::text::{parse_units, units_to_string};
use bot4_types::{
    ConnId, FrameKind, Instrument, InstrumentId, InstrumentTable, Level, LevelBlock, MarketBody,
    Nanos, Symbol, Trail,
};
use bot4_venues::{BlockPool, Input, MarketDecoder, Sink, Venue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::case::Case;
use crate::parse::Reader;
use crate::texts::Feed;

/// A venue's shape of a book change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `{"price":61000.1,"qty":0.50000000}`.
    Kraken,
    /// `["61000.1","0.5"]`.
    Bybit,
}

impl Dialect {
    /// The venue.
    #[must_use]
    pub const fn venue(self) -> Venue {
        match self {
            Self::Kraken => Venue::Kraken,
            Self::Bybit => Venue::Bybit,
        }
    }

    const fn symbol(self) -> &'static str {
        match self {
            Self::Kraken => "BTC/USD",
            Self::Bybit => "BTCUSDT",
        }
    }

    /// Decimals of price and quantity.
    #[must_use]
    pub const fn decimals(self) -> (u8, u8) {
        match self {
            Self::Kraken => (1, 8),
            Self::Bybit => (1, 6),
        }
    }

    fn level(self, price: i64, qty: i64) -> String {
        let (p, q) = self.decimals();
        let (price, qty) = (units_to_string(price, p), units_to_string(qty, q));
        match self {
            Self::Kraken => format!(r#"{{"price":{price},"qty":{qty}}}"#),
            Self::Bybit => {
                let short =
                    |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
                format!(r#"["{}","{}"]"#, short(&price), short(&qty))
            }
        }
    }

    /// `count` changes of `levels` levels, half a side; 37 % of them removals.
    #[must_use]
    pub fn changes(self, count: usize, levels: usize, seed: u64) -> Feed {
        let mut rng = SplitMix64::new(seed);
        let mut feed = Feed::default();
        for n in 0..count as u64 {
            let mut side = |from: i64| {
                let mut list = String::new();
                for i in 0..levels / 2 {
                    let qty = if rng.below(100) < 37 { 0 } else { 1 + rng.below(300_000_000) };
                    let price = from + rng.below(2_000) as i64;
                    let comma = if i > 0 { "," } else { "" };
                    let _ = write!(list, "{comma}{}", self.level(price, qty as i64));
                }
                list
            };
            let (bids, asks) = (side(609_000), side(611_000));
            let symbol = self.symbol();
            feed.push(&match self {
                Self::Kraken => format!(
                    r#"{{"channel":"book","type":"update","data":[{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],"checksum":{},"timestamp":"2026-08-24T22:21:58.{n:06}Z"}}]}}"#,
                    rng.next_u64() as u32
                ),
                Self::Bybit => format!(
                    r#"{{"topic":"orderbook.200.{symbol}","ts":1786310816618,"type":"delta","data":{{"s":"{symbol}","b":[{bids}],"a":[{asks}],"u":{},"seq":{}}},"cts":1786310816585}}"#,
                    62_505_425 + n,
                    112_488_545_865 + 3 * n
                ),
            });
        }
        feed
    }

    fn table(self) -> InstrumentTable {
        let symbol = Symbol::new(self.symbol()).expect("a short symbol");
        let mut instrument = Instrument::bare(InstrumentId(0), symbol, 0);
        (instrument.price_decimals, instrument.qty_decimals) = self.decimals();
        let mut table = InstrumentTable::new();
        table.push(instrument).expect("an empty table has room");
        table
    }

    /// The baseline: the levels of a change into a block.
    fn typed(self, text: &[u8], pool: &mut BlockPool) -> Option<(LevelBlock, usize)> {
        match self {
            Self::Kraken => {
                let message: KrakenBook<'_> = serde_json::from_slice(text).ok()?;
                let [book] = &message.data;
                let levels = book.bids.iter().chain(&book.asks);
                self.block(levels.map(|l| (l.price.get(), l.qty.get())), pool)
            }
            Self::Bybit => {
                let message: BybitBook<'_> = serde_json::from_slice(text).ok()?;
                let levels = message.data.bids.iter().chain(&message.data.asks);
                self.block(levels.copied(), pool)
            }
        }
    }

    fn block<'a>(
        self,
        levels: impl Iterator<Item = (&'a str, &'a str)>,
        pool: &mut BlockPool,
    ) -> Option<(LevelBlock, usize)> {
        let (p, q) = self.decimals();
        let mut block = pool.take(levels.size_hint().0)?;
        let mut count = 0;
        for (place, (price, qty)) in block.levels_mut().iter_mut().zip(levels) {
            let price = parse_units(price.as_bytes(), p).ok()?;
            *place = Level { price, qty: parse_units(qty.as_bytes(), q).ok()? };
            count += 1;
        }
        Some((block, count))
    }
}

#[derive(Deserialize)]
struct KrakenBook<'a> {
    #[serde(borrow)]
    data: [KrakenSides<'a>; 1],
}

#[derive(Deserialize)]
struct KrakenSides<'a> {
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
struct BybitBook<'a> {
    #[serde(borrow)]
    data: BybitSides<'a>,
}

#[derive(Deserialize)]
struct BybitSides<'a> {
    #[serde(rename = "b", borrow)]
    bids: Vec<(&'a str, &'a str)>,
    #[serde(rename = "a", borrow)]
    asks: Vec<(&'a str, &'a str)>,
}

/// One reader over one feed.
pub struct Change {
    dialect: Dialect,
    reader: Reader,
    decoder: Box<dyn MarketDecoder>,
    sink: Sink,
    feed: Rc<Feed>,
    next: usize,
}

impl Change {
    /// `reader` over `feed`. Allocates what the decoder will ever need.
    ///
    /// # Panics
    /// When the dialect is not in the build.
    #[must_use]
    pub fn new(dialect: Dialect, reader: Reader, feed: &Rc<Feed>) -> Self {
        let mut decoder = dialect.venue().market_decoder(&dialect.table()).expect("in the build");
        decoder.start();
        let sink = Sink::new(BlockPool::new([4, 2, 1]));
        Self { dialect, reader, decoder, sink, feed: Rc::clone(feed), next: 0 }
    }

    /// Reads the next change; its levels.
    ///
    /// # Panics
    /// When a message is not read: every reader must read every message.
    #[inline]
    pub fn read_next(&mut self) -> (LevelBlock, usize) {
        let (bytes, len) = self.feed.at(self.next);
        self.next = if self.next + 1 == self.feed.len() { 0 } else { self.next + 1 };
        if self.reader == Reader::SerdeTyped {
            let levels = self.dialect.typed(black_box(&bytes[..len]), &mut self.sink.pool);
            return levels.expect("the baseline reads every message");
        }
        let input = Input {
            bytes: black_box(bytes),
            len,
            conn: ConnId(0),
            kind: FrameKind::Market,
            trail: Trail::start(Nanos(1)),
            instrument: None,
        };
        let read = match self.reader {
            Reader::Tape => self.decoder.decode_generally(input, &mut self.sink),
            _ => self.decoder.decode(input, &mut self.sink),
        };
        assert!(read.is_ok(), "the decoder reads every message: {read:?}");
        match self.sink.pop().map(|event| event.body) {
            Some(MarketBody::Depth { bids, asks, block, .. }) => (block, (bids + asks) as usize),
            other => panic!("a change of the book, not {other:?}"),
        }
    }

    /// Gives the block of a change back to the pool.
    #[inline]
    pub fn give_back(&mut self, block: LevelBlock) {
        self.sink.pool.give_back(block);
    }
}

impl Case for Change {
    #[inline]
    fn call(&mut self) {
        let (block, _) = black_box(self.read_next());
        self.give_back(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_readers_read_the_same() {
        for dialect in [Dialect::Kraken, Dialect::Bybit] {
            for levels in [2, 20, 100] {
                let feed = Rc::new(dialect.changes(20, levels, 1));
                let mut cases = [Reader::SerdeTyped, Reader::Tape, Reader::Scanner]
                    .map(|reader| Change::new(dialect, reader, &feed));
                for _ in 0..feed.len() {
                    let told = cases.each_mut().map(|case| {
                        let (block, count) = case.read_next();
                        let levels = block.levels()[..count].to_vec();
                        case.give_back(block);
                        levels
                    });
                    assert_eq!(told[0].len(), levels);
                    assert!(told[0] == told[1] && told[1] == told[2], "{dialect:?}");
                }
                assert_eq!(cases[2].decoder.fallbacks(), 0, "the scanner is what is measured");
            }
        }
    }
}
