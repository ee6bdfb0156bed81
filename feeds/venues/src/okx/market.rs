//! Market messages of OKX's public channels: books, best quotes, trades.
//!
//! A message is first tried by the scanner; whatever it does not know word for word goes to the
//! general reader in `market_json`, which also tells what is wrong. Levels are written straight
//! into the block that travels to the book: asks first, as the venue sends them, then turned.
//!
//! **Numbers of updates.** `seqId` and `prevSeqId` are handed on as they are. Recordings of 2021
//! and 2022 have neither; such a book is numbered here, one more for each message of the
//! instrument, so that the chain holds and the checksum alone tells a loss.
//!
//! Cost on the recordings (release, one shared core): a level 22 ns, a trade 0.1 us.

use bot4_simd::{Look, TextKernels};
use bot4_types::limits::BLOCK_LEVELS;
use bot4_types::{InstrumentId, InstrumentTable, Level, LevelBlock, MarketBody, Side};

use super::market_json;
use crate::json::Scratch;
use crate::market::{DecodeError, Decoded, Ignored, Input, MarketDecoder, Sink};
use crate::scan::{Cursor, QuotedCounted, Scanner, scan_at};
use crate::stage::{Scanned, Trade, TradePair, count_byte, stage, stage_trade, stage_trades};
use crate::symbols::{Listed, SymbolTable, same};

/// Longest message of the general reader: a snapshot of 400 levels a side has below 40 kB; room
/// for long numbers and future fields. Its tape and indexes take 28 bytes for each byte of this.
pub const FALLBACK_LEN_MAX: usize = 256 * 1024;

/// Shortest level in bytes, `["1","0","0","0"],`: gives the levels that a message can hold
/// without looking at it.
const LEVEL_LEN_MIN: usize = 18;
/// Bytes of a book message that are not levels, at least.
const ENVELOPE_LEN: usize = 100;

/// The answer to the keep-alive, as plain text.
const PONG: &[u8] = b"pong";

/// Decodes market messages of OKX.
pub struct OkxMarket {
    kernels: TextKernels,
    symbols: SymbolTable,
    numbering: Numbering,
    scratch: Scratch,
    fallbacks: u64,
}

/// Numbers for the books of messages that have none.
#[derive(Clone, Debug)]
pub(super) struct Numbering(Vec<u64>);

/// The numbers that a book message states: `seqId` and `prevSeqId`.
pub(super) type Stated = Option<(u64, i64)>;

/// One book message without its levels.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookHead {
    pub is_snapshot: bool,
    pub time_ms: i64,
    pub checksum: i64,
    pub stated: Stated,
}

impl Numbering {
    fn new(table: &InstrumentTable) -> Self {
        Self(vec![0; table.all().len()])
    }

    /// The event of a book message; the block is handed back when it has no right number.
    pub fn body(
        &self,
        listed: &Listed,
        head: &BookHead,
        levels: (LevelBlock, u32, u32),
    ) -> Result<MarketBody, LevelBlock> {
        let (block, bids, asks) = levels;
        let before = self.0.get(listed.id.index()).copied().unwrap_or(0);
        let (last, prev) = match (head.stated, head.is_snapshot) {
            (Some((last, _)), true) => (last, 0),
            (Some((last, prev)), false) => match u64::try_from(prev) {
                Ok(prev) => (last, prev),
                Err(_) => return Err(block),
            },
            (None, _) => (before + 1, before),
        };
        // Printed as a signed number; zero means that there is none.
        let check = (head.checksum != 0).then_some(head.checksum as i32 as u32);
        Ok(if head.is_snapshot {
            MarketBody::Snapshot { last, check, bids, asks, block }
        } else {
            MarketBody::Depth { first: last, last, prev, check, bids, asks, block }
        })
    }

    /// The event of `head` is staged.
    pub fn staged(&mut self, listed: &Listed, head: &BookHead) {
        if head.stated.is_none()
            && let Some(n) = self.0.get_mut(listed.id.index())
        {
            *n += 1;
        }
    }
}

impl Scanner for OkxMarket {
    #[inline(always)]
    fn scan<L: Look>(&mut self, look: L, input: &Input<'_>, sink: &mut Sink) -> Scanned {
        let mut c = Cursor::new(look, input.bytes, input.len);
        if c.take(PONG) {
            c.finish()?;
            return Some(Ok(Decoded::Ignored(Ignored::Heartbeat)));
        }
        c.expect(b"{\"arg\":{\"channel\":\"")?;
        let channel = channel(&mut c)?;
        c.expect(b",\"instId\":\"")?;
        let listed = self.symbols.find(c.name_like(self.symbols.guess())?)?;
        c.expect(b"},")?;
        if matches!(channel, Channel::Book) {
            return self.scan_book(c, &listed, input, sink);
        }
        c.expect(b"\"data\":[{")?;
        match channel {
            Channel::Quotes => scan_quote(c, &listed, input, sink),
            _ => scan_trades(c, &listed, input, sink),
        }
    }
}

impl OkxMarket {
    /// A decoder for the instruments of `table`, its scanner by `kernels`.
    #[must_use]
    pub fn new(table: &InstrumentTable, kernels: TextKernels) -> Self {
        Self {
            kernels,
            symbols: SymbolTable::new(table),
            numbering: Numbering::new(table),
            scratch: Scratch::new(FALLBACK_LEN_MAX),
            fallbacks: 0,
        }
    }

    #[inline(always)]
    fn scan_book<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        listed: &Listed,
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        c.expect(b"\"action\":\"")?;
        let is_snapshot = !c.take(b"update\"");
        if is_snapshot {
            c.expect(b"snapshot\"")?;
        }
        c.expect(b",\"data\":[{\"asks\":[")?;
        let needed = levels_bound(input);
        let Some(mut block) = sink.pool.take(needed) else {
            // The general reader counts the levels and decides whether they can ever fit.
            return match sink.pool.lack(needed) {
                DecodeError::NoBlock => Some(Err(DecodeError::NoBlock)),
                _ => None,
            };
        };
        let Some((head, bids, asks)) = fill(c, is_snapshot, listed, block.levels_mut()) else {
            sink.pool.give_back(block);
            return None;
        };
        match self.numbering.body(listed, &head, (block, bids, asks)) {
            Ok(body) => {
                let staged = stage(sink, input, listed, head.time_ms, body);
                if staged.is_ok() {
                    self.numbering.staged(listed, &head);
                }
                Some(staged.map(|()| Decoded::Events))
            }
            Err(block) => {
                sink.pool.give_back(block);
                None
            }
        }
    }
}

impl MarketDecoder for OkxMarket {
    fn start(&mut self) {
        self.scratch.warm_up();
    }

    fn decode(&mut self, input: Input<'_>, sink: &mut Sink) -> Result<Decoded, DecodeError> {
        if !sink.has_room() {
            return Err(DecodeError::Full);
        }
        if let Some(answer) = scan_at(self.kernels, self, &input, sink) {
            return answer;
        }
        self.fallbacks += 1;
        self.decode_generally(input, sink)
    }

    fn decode_generally(
        &mut self,
        input: Input<'_>,
        sink: &mut Sink,
    ) -> Result<Decoded, DecodeError> {
        if input.text() == PONG {
            return Ok(Decoded::Ignored(Ignored::Heartbeat));
        }
        let Self { symbols, scratch, numbering, .. } = self;
        let mut reader = market_json::Reader { input: &input, symbols, numbering, sink };
        scratch.read(input.text(), |root| reader.read(root))
    }

    fn suspect(&self, text: &[u8]) -> Option<InstrumentId> {
        let head = &text[..text.len().min(256)];
        let value = |key: &[u8]| {
            let at = head.windows(key.len()).position(|w| w == key)? + key.len();
            let len = head[at..].iter().position(|b| *b == b'"')?;
            Some(&head[at..at + len])
        };
        if !is_book(value(b"\"channel\":\"")?) {
            return None;
        }
        self.symbols.find_any_case(value(b"\"instId\":\"")?).map(|l| l.id)
    }

    fn fallbacks(&self) -> u64 {
        self.fallbacks
    }

    fn kernels(&self) -> TextKernels {
        self.kernels
    }
}

/// Channels that are scanned.
#[derive(Clone, Copy)]
enum Channel {
    Book,
    Quotes,
    Trades,
}

/// The rest of a channel's name, its closing quote taken.
#[inline(always)]
fn channel<L: Look>(c: &mut Cursor<'_, L>) -> Option<Channel> {
    if c.take(b"books\"") {
        return Some(Channel::Book);
    }
    if c.take(b"trades\"") {
        return Some(Channel::Trades);
    }
    if c.take(b"bbo-tbt\"") {
        return Some(Channel::Quotes);
    }
    is_book(c.name()?).then_some(Channel::Book)
}

/// Channels that keep a book by a snapshot and updates.
pub(super) fn is_book(channel: &[u8]) -> bool {
    matches!(channel, b"books" | b"books-l2-tbt" | b"books50-l2-tbt")
}

/// Everything behind `"asks":[`, levels into `out`, bids first in the end.
#[inline(always)]
fn fill<L: Look>(
    mut c: Cursor<'_, L>,
    is_snapshot: bool,
    listed: &Listed,
    out: &mut [Level],
) -> Option<(BookHead, u32, u32)> {
    let (p, q) = (listed.price_decimals, listed.qty_decimals);
    let asks = c.levels_of::<QuotedCounted>(p, q, out)?;
    c.expect(b",\"bids\":[")?;
    let bids = c.levels_of::<QuotedCounted>(p, q, &mut out[asks..])?;
    c.expect(b",\"ts\":\"")?;
    let time_ms = c.ms_text()?;
    let checksum = if c.take(b",\"checksum\":") { c.signed()? } else { 0 };
    i32::try_from(checksum).ok()?;
    let mut stated = None;
    if c.take(b",\"seqId\":") {
        let last = c.integer()?;
        c.expect(b",\"prevSeqId\":")?;
        stated = Some((last, c.signed()?));
    }
    c.expect(b"}]}")?;
    c.finish()?;
    out[..asks + bids].rotate_left(asks);
    Some((BookHead { is_snapshot, time_ms, checksum, stated }, bids as u32, asks as u32))
}

#[inline(always)]
fn scan_quote<L: Look>(
    mut c: Cursor<'_, L>,
    listed: &Listed,
    input: &Input<'_>,
    sink: &mut Sink,
) -> Scanned {
    c.expect(b"\"asks\":[")?;
    let (p, q) = (listed.price_decimals, listed.qty_decimals);
    let ask = c.level_of::<QuotedCounted>(p, q)?;
    c.expect(b"],\"bids\":[")?;
    let bid = c.level_of::<QuotedCounted>(p, q)?;
    c.expect(b"],\"ts\":\"")?;
    let time_ms = c.ms_text()?;
    c.expect(b",\"seqId\":")?;
    let id = c.integer()?;
    c.expect(b"}]}")?;
    c.finish()?;
    let staged = stage(sink, input, listed, time_ms, MarketBody::Quote { id, bid, ask });
    Some(staged.map(|()| Decoded::Events))
}

#[inline(always)]
fn scan_trades<L: Look>(
    mut c: Cursor<'_, L>,
    listed: &Listed,
    input: &Input<'_>,
    sink: &mut Sink,
) -> Scanned {
    let list = c.clone();
    let first = trade(&mut c, listed)?;
    if c.take(b"}]}") {
        c.finish()?;
        return Some(stage_trade(first, listed, input, sink));
    }
    // The braces of the message and its `arg` are not of trades.
    let places = 2 * count_byte(input.text(), b'{').saturating_sub(2);
    let Some(mut block) = sink.pool.take(places) else {
        return match sink.pool.lack(places) {
            DecodeError::NoBlock => Some(Err(DecodeError::NoBlock)),
            _ => None,
        };
    };
    let Some(count) = fill_trades(list, listed, block.levels_mut()) else {
        sink.pool.give_back(block);
        return None;
    };
    Some(stage_trades(block, count, listed, input, sink))
}

/// All trades of a list; how many there are.
#[inline(always)]
fn fill_trades<L: Look>(mut c: Cursor<'_, L>, listed: &Listed, out: &mut [Level]) -> Option<usize> {
    for (i, pair) in out.chunks_exact_mut(2).enumerate() {
        pair.copy_from_slice(&trade(&mut c, listed)?);
        if !c.take(b"},{") {
            c.expect(b"}]}")?;
            return c.finish().map(|()| i + 1);
        }
    }
    None
}

/// The fields of a trade; the brace behind them is not taken.
#[inline(always)]
fn trade<L: Look>(c: &mut Cursor<'_, L>, listed: &Listed) -> Option<TradePair> {
    c.expect(b"\"instId\":\"")?;
    if !same(c.name_like(listed.symbol.as_bytes())?, listed.symbol.as_bytes()) {
        return None;
    }
    c.expect(b",\"tradeId\":\"")?;
    let id = c.integer_text()?;
    c.expect(b",\"px\":\"")?;
    let price = c.decimal(listed.price_decimals)?;
    c.expect(b",\"sz\":\"")?;
    let qty = c.decimal(listed.qty_decimals)?;
    c.expect(b",\"side\":\"")?;
    let buys = c.take(b"buy\"");
    if !buys {
        c.expect(b"sell\"")?;
    }
    c.expect(b",\"ts\":\"")?;
    let time_ms = c.ms_text()?;
    if c.take(b",\"count\":\"") {
        c.integer_text()?;
    }
    if c.take(b",\"source\":\"") {
        c.integer_text()?;
    }
    if c.take(b",\"seqId\":") {
        c.integer()?;
    }
    let aggressor = if buys { Side::Buy } else { Side::Sell };
    Some(Trade { id, price, qty, aggressor, ms: time_ms }.pair())
}

/// Levels that the message can hold: short messages by their length, long ones by their
/// brackets, without those of the three lists.
fn levels_bound(input: &Input<'_>) -> usize {
    let by_length = input.len.saturating_sub(ENVELOPE_LEN) / LEVEL_LEN_MIN;
    if by_length <= BLOCK_LEVELS[0] {
        return BLOCK_LEVELS[0];
    }
    count_byte(input.text(), b'[').saturating_sub(3)
}
