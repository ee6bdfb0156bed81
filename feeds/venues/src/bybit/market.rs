//! Market messages of Bybit's public topics: `orderbook`, `publicTrade`.
//!
//! A message is first tried by the scanner; whatever it does not know word for word goes to the
//! general reader in `market_json`, which also tells what is wrong. The scanner knows both orders
//! of the envelope's keys and both of a trade's. Levels are written straight into the block that
//! travels to the book.
//!
//! * **Numbers.** A book's number is `u` of its topic, which must grow by one.
//! * **Times.** A book's is `cts`, the matching engine's, where the message has it (since 2024),
//!   else `ts`, the publisher's. A trade's is its `T`.
//! * **Trade ids.** Spot numbers its trades; of a UUID the two halves are folded into one number,
//!   so that a repeated trade keeps its id. They do not count up.
//!
//! Cost: about 13 ns a level and 65 ns a message.

use bot4_simd::{Look, TextKernels};
use bot4_types::limits::BLOCK_LEVELS;
use bot4_types::{InstrumentId, InstrumentTable, Level, LevelBlock, MarketBody, Side};

use super::market_json;
use super::trade_id::{NUMBER_LEN, UUID_LEN, trade_number};
use crate::json::Scratch;
use crate::market::{DecodeError, Decoded, Input, MarketDecoder, Sink};
use crate::scan::{Cursor, QuotedPair, Scanner, scan_at};
use crate::stage::{Scanned, Trade, block_for, count_byte, stage};
use crate::symbols::{Listed, SymbolTable, same};

/// Longest message of the general reader: a snapshot of 1,000 levels a side has 60 kB, 1,024
/// trades have 200 kB.
pub const FALLBACK_LEN_MAX: usize = 256 * 1024;

/// Shortest level in bytes, `["1","0"],`: no text of a length holds more levels.
const LEVEL_LEN_MIN: usize = 10;
/// Shortest trade in bytes, generously.
const TRADE_LEN_MIN: usize = 60;
/// Bytes of a book message that are not levels, at least.
const ENVELOPE_LEN: usize = 90;

/// Decodes public market messages of Bybit, whatever the category.
pub struct BybitMarket {
    kernels: TextKernels,
    symbols: SymbolTable,
    scratch: Scratch,
    fallbacks: u64,
}

impl Scanner for BybitMarket {
    #[inline(always)]
    fn scan<L: Look>(&mut self, look: L, input: &Input<'_>, sink: &mut Sink) -> Scanned {
        let mut c = Cursor::new(look, input.bytes, input.len);
        // The depth that we ask for.
        if c.take(b"{\"topic\":\"orderbook.200.") {
            let symbol = c.name_like(self.symbols.guess())?;
            return self.scan_book(c, symbol, input, sink);
        }
        if c.take(b"{\"topic\":\"publicTrade.") {
            let symbol = c.name_like(self.symbols.guess())?;
            return self.scan_trades(c, symbol, input, sink);
        }
        c.expect(b"{\"topic\":\"orderbook.")?;
        // Level 1 is no book: its messages show the best quotes only.
        if c.integer()? < 2 {
            return None;
        }
        c.expect(b".")?;
        let symbol = c.name_like(self.symbols.guess())?;
        self.scan_book(c, symbol, input, sink)
    }
}

impl BybitMarket {
    /// A decoder for the instruments of `table`, its scanner by `kernels`.
    #[must_use]
    pub fn new(table: &InstrumentTable, kernels: TextKernels) -> Self {
        Self {
            kernels,
            symbols: SymbolTable::new(table),
            scratch: Scratch::new(FALLBACK_LEN_MAX),
            fallbacks: 0,
        }
    }

    #[inline(always)]
    fn scan_book<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        symbol: &[u8],
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let (is_delta, ts) = scan_envelope(&mut c)?;
        c.expect(b"{\"s\":\"")?;
        // The name has no quote in it: the same name again needs no other look.
        c.expect_name(symbol)?;
        c.expect(b"\",\"b\":[")?;
        let listed = self.symbols.find(symbol)?;
        let mut block = match block_for(levels_bound(input), sink)? {
            Ok(block) => block,
            Err(e) => return Some(Err(e)),
        };
        let Some(mut book) = scan_sides(c, &listed, block.levels_mut()) else {
            sink.pool.give_back(block);
            return None;
        };
        if book.ms == 0 {
            book.ms = ts;
        }
        let body = book.body(is_delta, block);
        Some(stage(sink, input, &listed, book.ms, body).map(|()| Decoded::Events))
    }

    #[inline(always)]
    fn scan_trades<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        symbol: &[u8],
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let (is_delta, _) = scan_envelope(&mut c)?;
        c.expect(b"[")?;
        if is_delta {
            return None;
        }
        let listed = self.symbols.find(symbol)?;
        let first = scan_trade(&mut c, symbol, &listed)?;
        if c.take(b"]}") {
            c.finish()?;
            let body = first.body();
            return Some(stage(sink, input, &listed, first.ms, body).map(|()| Decoded::Events));
        }
        let mut block = match block_for(input.len / TRADE_LEN_MIN * 2, sink)? {
            Ok(block) => block,
            Err(e) => return Some(Err(e)),
        };
        let Some((count, ms)) = scan_more(c, symbol, &listed, &first, block.levels_mut()) else {
            sink.pool.give_back(block);
            return None;
        };
        let body = MarketBody::Trades { count, block };
        Some(stage(sink, input, &listed, ms, body).map(|()| Decoded::Events))
    }
}

impl MarketDecoder for BybitMarket {
    fn start(&mut self) {
        self.scratch.warm_up();
    }

    fn decode(&mut self, input: Input<'_>, sink: &mut Sink) -> Result<Decoded, DecodeError> {
        if !sink.has_room() {
            return Err(DecodeError::Full);
        }
        scan_at(self.kernels, self, &input, sink).unwrap_or_else(|| {
            self.fallbacks += 1;
            self.decode_generally(input, sink)
        })
    }

    fn decode_generally(
        &mut self,
        input: Input<'_>,
        sink: &mut Sink,
    ) -> Result<Decoded, DecodeError> {
        let Self { symbols, scratch, .. } = self;
        scratch.read(input.text(), |root| market_json::read(root, &input, symbols, sink))
    }

    fn suspect(&self, text: &[u8]) -> Option<InstrumentId> {
        const BOOK: &[u8] = b"orderbook.";
        let head = &text[..text.len().min(256)];
        let at = head.windows(BOOK.len()).position(|w| w == BOOK)? + BOOK.len();
        let topic = &head[at..];
        let dot = topic.iter().position(|b| *b == b'.')?;
        if topic[..dot] == *b"1" {
            return None;
        }
        let name = &topic[dot + 1..];
        let len = name.iter().position(|b| *b == b'"')?;
        self.symbols.peek(&name[..len]).map(|listed| listed.id)
    }

    fn fallbacks(&self) -> u64 {
        self.fallbacks
    }

    fn kernels(&self) -> TextKernels {
        self.kernels
    }
}

/// What a book message says beside its levels.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookHead {
    pub(super) bids: u32,
    pub(super) asks: u32,
    pub(super) update: u64,
    pub(super) ms: i64,
}

impl BookHead {
    pub(super) const fn body(self, is_delta: bool, block: LevelBlock) -> MarketBody {
        let Self { bids, asks, update: last, .. } = self;
        if is_delta {
            MarketBody::Depth { first: last, last, prev: 0, check: None, bids, asks, block }
        } else {
            MarketBody::Snapshot { last, check: None, bids, asks, block }
        }
    }
}

/// Type and time of the envelope, in either order, and the key of the data: whether it is a delta,
/// and `ts`. A type is compared together with the keys around it.
#[inline(always)]
fn scan_envelope<L: Look>(c: &mut Cursor<'_, L>) -> Option<(bool, i64)> {
    if c.take(b",\"ts\":") {
        let ts = c.ms()?;
        if c.take(b",\"type\":\"delta\",\"data\":") {
            return Some((true, ts));
        }
        c.expect(b",\"type\":\"snapshot\",\"data\":")?;
        return Some((false, ts));
    }
    let is_delta = c.take(b",\"type\":\"delta\",\"ts\":");
    if !is_delta {
        c.expect(b",\"type\":\"snapshot\",\"ts\":")?;
    }
    let ts = c.ms()?;
    c.expect(b",\"data\":")?;
    Some((is_delta, ts))
}

/// From behind the opening bracket of the bids to the end of the message. The time is `cts`, zero
/// where there is none.
#[inline(always)]
fn scan_sides<L: Look>(
    mut c: Cursor<'_, L>,
    listed: &Listed,
    out: &mut [Level],
) -> Option<BookHead> {
    let (p, q) = (listed.price_decimals, listed.qty_decimals);
    let bids = c.levels_of::<QuotedPair>(p, q, out)?;
    c.expect(b",\"a\":[")?;
    let asks = c.levels_of::<QuotedPair>(p, q, &mut out[bids..])?;
    c.expect(b",\"u\":")?;
    let update = c.integer()?;
    c.expect(b",\"seq\":")?;
    c.integer()?;
    let ms = if c.take(b"},\"cts\":") {
        c.ms()?
    } else {
        c.expect(b"}")?;
        0
    };
    c.expect(b"}")?;
    c.finish()?;
    Some(BookHead { bids: bids as u32, asks: asks as u32, update, ms })
}

/// The trades behind the first; how many there are in all and the time of the last.
#[inline(always)]
fn scan_more<L: Look>(
    mut c: Cursor<'_, L>,
    symbol: &[u8],
    listed: &Listed,
    first: &Trade,
    out: &mut [Level],
) -> Option<(u32, i64)> {
    first.write(out, 0)?;
    let (mut count, mut ms) = (1, first.ms);
    while !c.take(b"]}") {
        c.expect(b",")?;
        let trade = scan_trade(&mut c, symbol, listed)?;
        trade.write(out, count)?;
        ms = trade.ms;
        count += 1;
    }
    c.finish()?;
    Some((count as u32, ms))
}

/// A trade in the order of spot or in that of derivatives.
#[inline(always)]
fn scan_trade<L: Look>(c: &mut Cursor<'_, L>, symbol: &[u8], listed: &Listed) -> Option<Trade> {
    if c.take(b"{\"i\":\"") {
        scan_spot_trade(c, symbol, listed)
    } else {
        scan_linear_trade(c, symbol, listed)
    }
}

/// `{"i":"` is taken.
#[inline(always)]
fn scan_spot_trade<L: Look>(
    c: &mut Cursor<'_, L>,
    symbol: &[u8],
    listed: &Listed,
) -> Option<Trade> {
    let id = scan_id(c, NUMBER_LEN)?;
    c.expect(b",\"T\":")?;
    let ms = c.ms()?;
    c.expect(b",\"p\":\"")?;
    let price = c.quoted(listed.price_decimals)?;
    c.expect(b",\"v\":\"")?;
    let qty = c.quoted(listed.qty_decimals)?;
    c.expect(b",\"S\":\"")?;
    let aggressor = scan_side(c)?;
    // Not before 2025.
    if c.take(b",\"seq\":") {
        c.integer()?;
    }
    c.expect(b",\"s\":\"")?;
    if !same(c.name_like(symbol)?, symbol) {
        return None;
    }
    scan_flags(c)?;
    Some(Trade { id, price, qty, aggressor, ms })
}

#[inline(always)]
fn scan_linear_trade<L: Look>(
    c: &mut Cursor<'_, L>,
    symbol: &[u8],
    listed: &Listed,
) -> Option<Trade> {
    c.expect(b"{\"T\":")?;
    let ms = c.ms()?;
    c.expect(b",\"s\":\"")?;
    if !same(c.name_like(symbol)?, symbol) {
        return None;
    }
    c.expect(b",\"S\":\"")?;
    let aggressor = scan_side(c)?;
    c.expect(b",\"v\":\"")?;
    let qty = c.quoted(listed.qty_decimals)?;
    c.expect(b",\"p\":\"")?;
    let price = c.quoted(listed.price_decimals)?;
    c.expect(b",\"L\":\"")?;
    c.name()?;
    c.expect(b",\"i\":\"")?;
    let id = scan_id(c, UUID_LEN)?;
    scan_flags(c)?;
    Some(Trade { id, price, qty, aggressor, ms })
}

/// A trade's id, probably of `len` bytes: its characters are all looked at to make the number.
#[inline(always)]
fn scan_id<L: Look>(c: &mut Cursor<'_, L>, len: usize) -> Option<u64> {
    let mut probable = c.clone();
    if let Some(id) = probable.piece(len).and_then(trade_number) {
        *c = probable;
        return Some(id);
    }
    trade_number(c.name()?)
}

#[inline(always)]
fn scan_side<L: Look>(c: &mut Cursor<'_, L>) -> Option<Side> {
    if c.take(b"Buy\"") {
        return Some(Side::Buy);
    }
    c.expect(b"Sell\"").map(|()| Side::Sell)
}

/// What stands at the end of a trade.
#[inline(always)]
fn scan_flags<L: Look>(c: &mut Cursor<'_, L>) -> Option<()> {
    if !c.take(b",\"BT\":false") {
        c.expect(b",\"BT\":true")?;
    }
    if !c.take(b",\"RPI\":false") {
        c.take(b",\"RPI\":true");
    }
    if c.take(b",\"seq\":") {
        c.integer()?;
    }
    c.expect(b"}")
}

/// Levels that the message can hold: short ones by their length, long ones by their brackets.
fn levels_bound(input: &Input<'_>) -> usize {
    let by_length = input.len.saturating_sub(ENVELOPE_LEN) / LEVEL_LEN_MIN;
    if by_length <= BLOCK_LEVELS[0] {
        return by_length;
    }
    count_byte(input.text(), b'[').saturating_sub(2)
}
