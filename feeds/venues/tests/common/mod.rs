//! A decoder and its oracle side by side, and events in words.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod corpus;
pub mod dialect;
pub mod levels;
pub mod mutate;
#[path = "../toy/mod.rs"]
pub mod toy;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bot4_types::limits::FRAME_PADDING;
use bot4_types::{
    ConnId, FrameKind, Instrument, InstrumentId, InstrumentTable, LevelBlock, MarketBody,
    MarketEvent, Nanos, Symbol, Trail,
};
use bot4_venues::stage::give_back;
use bot4_venues::{BlockPool, DecodeError, Decoded, Input, MarketDecoder, Sink, TextKernels};
use dialect::Dialect;

use levels::EveryLevel;

/// Blocks of each class in a bench's pool.
pub const BLOCKS: [usize; 3] = [17, 17, 2];

/// The connection of all messages.
pub const CONN: ConnId = ConnId(3);

/// What came of a message: the answer, and its events in words.
pub type Outcome = (Result<Decoded, DecodeError>, Vec<String>);

/// Decoders of one venue: as they run, one for each instruction set, and one by the general
/// reader alone. Each has its own memory of what came before.
pub struct Bench {
    pub fast: Box<dyn MarketDecoder>,
    pub general: Box<dyn MarketDecoder>,
    pub sink: Sink,
    bytes: Vec<u8>,
}

impl Bench {
    pub fn new(dialect: impl Into<Dialect>, table: &InstrumentTable) -> Self {
        let dialect = dialect.into();
        let general = dialect.market_decoder_by(TextKernels::best(), table);
        let sink = Sink::new(BlockPool::new(BLOCKS));
        let fast = Box::new(EveryLevel::of(dialect, table));
        Self { fast, general, sink, bytes: Vec::new() }
    }

    /// The connection is new: nothing is left of its numbering.
    pub fn afresh(&mut self) -> &mut Self {
        self.fast.line_up(CONN);
        self.general.line_up(CONN);
        self
    }

    /// Decodes `text` as it runs, with padding of `filler`.
    pub fn fast(&mut self, text: &[u8], filler: u8) -> Outcome {
        self.bytes.clear();
        self.bytes.extend_from_slice(text);
        self.bytes.resize(text.len() + FRAME_PADDING, filler);
        let answer = self.fast.decode(input(&self.bytes, text.len()), &mut self.sink);
        outcome(answer, &mut self.sink)
    }

    /// Decodes `text` by the general reader.
    pub fn general(&mut self, text: &[u8]) -> Outcome {
        let answer = self.general.decode_generally(input(text, text.len()), &mut self.sink);
        outcome(answer, &mut self.sink)
    }

    /// Decodes `text` in both ways, which must agree and lose no block.
    pub fn both(&mut self, text: &[u8], filler: u8) -> Outcome {
        let fast = self.fast(text, filler);
        let general = self.general(text);
        assert_eq!(fast, general, "{}", String::from_utf8_lossy(text));
        assert_eq!(self.free(), BLOCKS, "every block is back");
        fast
    }

    /// The events of `text`, by the second decoder as it runs; for dialects without memory.
    pub fn events(&mut self, text: &[u8]) -> Vec<MarketEvent> {
        let answer = self.general.decode(input(text, text.len()), &mut self.sink);
        assert!(answer.is_ok(), "{answer:?}");
        self.sink.drain().collect()
    }

    /// Takes the block of an event back.
    pub fn give_back(&mut self, body: MarketBody) {
        if let MarketBody::Depth { block, .. }
        | MarketBody::Snapshot { block, .. }
        | MarketBody::Trades { block, .. } = body
        {
            self.sink.pool.give_back(block);
        }
    }

    /// Free blocks of each class.
    pub fn free(&self) -> [usize; 3] {
        [0, 1, 2].map(|class| self.sink.pool.free(class))
    }
}

/// A book by the simplest means.
#[derive(Debug, Default)]
pub struct NaiveBook {
    /// Quantity by price, both sides: bids, asks.
    pub sides: [BTreeMap<i64, i64>; 2],
}

impl NaiveBook {
    /// Applies a snapshot or a change and cuts to `depth` levels a side; zero: no cut.
    pub fn apply(&mut self, body: &MarketBody, depth: usize) {
        let (bids, asks, block) = match body {
            MarketBody::Snapshot { bids, asks, block, .. } => {
                self.sides = Default::default();
                (*bids as usize, *asks as usize, block)
            }
            MarketBody::Depth { bids, asks, block, .. } => (*bids as usize, *asks as usize, block),
            _ => return,
        };
        let levels = &block.levels()[..bids + asks];
        for (side, levels) in self.sides.iter_mut().zip([&levels[..bids], &levels[bids..]]) {
            for level in levels {
                if level.qty == 0 {
                    side.remove(&level.price);
                } else {
                    side.insert(level.price, level.qty);
                }
            }
        }
        while depth > 0 && self.sides[0].len() > depth {
            self.sides[0].pop_first();
        }
        while depth > 0 && self.sides[1].len() > depth {
            self.sides[1].pop_last();
        }
    }

    /// Best bid and ask.
    pub fn best(&self) -> [Option<(i64, i64)>; 2] {
        let pair = |(price, qty): (&i64, &i64)| (*price, *qty);
        [self.sides[0].last_key_value().map(pair), self.sides[1].first_key_value().map(pair)]
    }

    /// Kraken's checksum: digits of the ten best asks, then bids.
    pub fn top_ten_crc(&self) -> u32 {
        let digits = |(price, qty): (&i64, &i64)| format!("{price}{qty}");
        let asks = self.sides[1].iter().take(10).map(digits);
        let bids = self.sides[0].iter().rev().take(10).map(digits);
        crc32(asks.chain(bids).collect::<String>().as_bytes())
    }
}

/// CRC-32 (IEEE), bit by bit.
fn crc32(text: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in text {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// Texts of a recording, without the times before them.
pub fn lines(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).expect("a recording");
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "gz") {
        let mut reader = flate2::read::GzDecoder::new(bytes.as_slice());
        reader.read_to_string(&mut text).expect("text");
    } else {
        text = String::from_utf8(bytes).expect("UTF-8");
    }
    let body = |line: &str| line[line.find('{').unwrap_or(0)..].to_owned();
    text.lines().filter(|l| !l.trim().is_empty()).map(body).collect()
}

/// A recording's facts.
pub fn expected(folder: &Path) -> serde_json::Value {
    let text = std::fs::read(folder.join("expected.json")).expect("facts");
    serde_json::from_slice(&text).expect("JSON")
}

/// Decimal text of the facts in units.
pub fn units(value: &serde_json::Value, decimals: u8) -> i64 {
    let text = value.as_str().expect("text").as_bytes();
    bot4_types::text::parse_units(text, decimals).expect("a number")
}

/// A market message.
pub fn input(bytes: &[u8], len: usize) -> Input<'_> {
    Input {
        bytes,
        len,
        conn: CONN,
        kind: FrameKind::Market,
        trail: Trail::start(Nanos(5)),
        instrument: None,
    }
}

/// Instruments without rules: name, decimals of price and quantity.
pub fn table(names: &[(&str, u8, u8)]) -> InstrumentTable {
    let mut table = InstrumentTable::new();
    for (name, price, qty) in names {
        let symbol = Symbol::new(name).expect("short");
        let mut instrument = Instrument::bare(InstrumentId(0), symbol, 0);
        (instrument.price_decimals, instrument.qty_decimals) = (*price, *qty);
        table.push_for_books(instrument).expect("room");
    }
    table
}

/// The shared folder `name`, if it is there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(name);
    if !path.exists() {
        println!("skipped: no shared data");
        return None;
    }
    Some(path)
}

pub fn outcome(answer: Result<Decoded, DecodeError>, sink: &mut Sink) -> Outcome {
    let events: Vec<MarketEvent> = sink.drain().collect();
    assert_eq!(answer == Ok(Decoded::Events), !events.is_empty(), "events say so");
    (answer, events.into_iter().map(|event| told(event, sink)).collect())
}

/// An event in words; its block goes back.
pub fn told(event: MarketEvent, sink: &mut Sink) -> String {
    let text = described(&event);
    give_back(sink, event.body);
    text
}

/// An event in words.
pub fn described(event: &MarketEvent) -> String {
    let pairs = |count: u32, block: &LevelBlock| {
        let levels = &block.levels()[..count as usize];
        let pairs: Vec<(i64, i64)> = levels.iter().map(|l| (l.price, l.qty)).collect();
        format!("{pairs:?}")
    };
    let head = format!("{} {}", event.instrument.0, event.venue_ms);
    match &event.body {
        MarketBody::Depth { first, last, prev, check, bids, asks, block } => {
            let levels = pairs(bids + asks, block);
            format!("{head} depth {prev}:{first}..{last} {check:?} {bids}/{asks} {levels}")
        }
        MarketBody::Snapshot { last, check, bids, asks, block } => {
            format!("{head} snapshot {last} {check:?} {bids}/{asks} {}", pairs(bids + asks, block))
        }
        MarketBody::Trades { count, block } => format!("{head} trades {}", pairs(2 * count, block)),
        MarketBody::Trade { id, price, qty, aggressor } => {
            format!("{head} trade {id} {price} {qty} {aggressor:?}")
        }
        MarketBody::Quote { id, bid, ask } => {
            let [bid, ask] = [bid, ask].map(|l| (l.price, l.qty));
            format!("{head} quote {id} {bid:?} {ask:?}")
        }
        body => format!("{head} {body:?}"),
    }
}

/// One edit of a text: (where, what, with).
pub type Edit = (usize, u8, u8);

/// `text` with `edits`: bytes put in, replaced, left out; cut; a piece doubled; a digit repeated.
pub fn edited(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    const FLAVOUR: &[u8] = b"\"\\,:{}[]0123456789.-e+ trufalsnZT/\x00\xc3\xa9\x1f";
    let mut bytes = text.to_vec();
    for (at, what, with) in edits {
        let at = at % (bytes.len() + 1);
        let byte = FLAVOUR[*with as usize % FLAVOUR.len()];
        match what % 6 {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if with % 8 == 0 => bytes.truncate(at),
            4 => {
                let to = (at + usize::from(*with % 64)).min(bytes.len());
                let piece = bytes[at..to].to_vec();
                bytes.splice(to..to, piece);
            }
            5 => {
                let digit = bytes[at..].iter().position(u8::is_ascii_digit);
                if let Some(digit) = digit.map(|offset| at + offset) {
                    let times = usize::from(*with % 24);
                    bytes.splice(digit..digit, std::iter::repeat_n(bytes[digit], times));
                }
            }
            _ => {}
        }
    }
    bytes
}
