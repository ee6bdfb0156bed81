//! Market messages of Kraken v2: `book`, `trade`, signs of life.
//!
//! A message is first tried by the scanner; whatever it does not know word for word goes to the
//! general reader in `market_json`, which also tells what is wrong. Levels are written straight
//! into the block that travels to the book, their numbers from the digits of the text: the book
//! recomputes the venue's checksum from them.
//!
//! Cost: about 13 ns a level and 65 ns a message.

use bot4_simd::{Look, TextKernels};
use bot4_types::limits::BLOCK_LEVELS;
use bot4_types::{InstrumentId, InstrumentTable, Level, LevelBlock, MarketBody, Side};

use super::market_json;
use crate::json::Scratch;
use crate::market::{DecodeError, Decoded, Ignored, Input, MarketDecoder, Notice, Sink};
use crate::number::{MinuteClock, rfc3339_us_of_ms};
use crate::scan::{Cursor, NamedBare, Scanner, scan_at};
use crate::stage::{Scanned, Trade, block_for, count_byte, stage};
use crate::symbols::{Listed, SymbolTable};

/// Longest message of the general reader: a snapshot of 1,000 levels a side has 90 kB.
pub const FALLBACK_LEN_MAX: usize = 256 * 1024;

/// What a proxy in front of the venue sends as bare text before it closes.
pub const PROXY_RESTARTS: &[u8] = b"CloudFlare WebSocket proxy restarting";

/// Shortest level in bytes, `{"price":1,"qty":1},`: no text of a length holds more levels.
const LEVEL_LEN_MIN: usize = 20;
/// Shortest trade in bytes, generously.
const TRADE_LEN_MIN: usize = 100;

/// Decodes market messages of Kraken v2.
pub struct KrakenMarket {
    kernels: TextKernels,
    symbols: SymbolTable,
    scratch: Scratch,
    clock: MinuteClock,
    fallbacks: u64,
}

impl Scanner for KrakenMarket {
    #[inline(always)]
    fn scan<L: Look>(&mut self, look: L, input: &Input<'_>, sink: &mut Sink) -> Scanned {
        let mut c = Cursor::new(look, input.bytes, input.len);
        c.expect(b"{\"channel\":\"")?;
        if c.take(b"book\",\"type\":\"") {
            return self.scan_book(c, input, sink);
        }
        if c.take(b"trade\",\"type\":\"update\",\"data\":[") {
            return self.scan_trades(c, input, sink);
        }
        c.expect(b"heartbeat\"}")?;
        c.finish()?;
        Some(Ok(Decoded::Ignored(Ignored::Heartbeat)))
    }
}

impl KrakenMarket {
    /// A decoder for the instruments of `table`, its scanner by `kernels`.
    #[must_use]
    pub fn new(table: &InstrumentTable, kernels: TextKernels) -> Self {
        Self {
            kernels,
            symbols: SymbolTable::new(table),
            scratch: Scratch::new(FALLBACK_LEN_MAX),
            clock: MinuteClock::default(),
            fallbacks: 0,
        }
    }

    #[inline(always)]
    fn scan_book<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let is_update = c.take(b"update\"");
        if !is_update {
            c.expect(b"snapshot\"")?;
        }
        c.expect(b",\"data\":[{\"symbol\":\"")?;
        let listed = self.symbols.find(c.name_like(self.symbols.guess())?)?;
        c.expect(b",\"bids\":[")?;
        let needed = places(input, LEVEL_LEN_MIN, 1, 1);
        let mut block = match block_for(needed, sink)? {
            Ok(block) => block,
            Err(e) => return Some(Err(e)),
        };
        let Some(book) = scan_sides(c, &listed, &mut self.clock, block.levels_mut()) else {
            sink.pool.give_back(block);
            return None;
        };
        let body = book.body(is_update, block);
        Some(stage(sink, input, &listed, book.ms, body).map(|()| Decoded::Events))
    }

    #[inline(always)]
    fn scan_trades<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let (listed, first) = self.scan_trade(&mut c)?;
        if c.take(b"]}") {
            c.finish()?;
            let body = first.body();
            return Some(stage(sink, input, &listed, first.ms, body).map(|()| Decoded::Events));
        }
        let mut block = match block_for(places(input, TRADE_LEN_MIN, 0, 2), sink)? {
            Ok(block) => block,
            Err(e) => return Some(Err(e)),
        };
        let Some((count, ms)) = self.scan_more(c, &listed, &first, block.levels_mut()) else {
            sink.pool.give_back(block);
            return None;
        };
        let body = MarketBody::Trades { count, block };
        Some(stage(sink, input, &listed, ms, body).map(|()| Decoded::Events))
    }

    /// The trades behind the first; how many there are in all and the time of the last.
    #[inline(always)]
    fn scan_more<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        listed: &Listed,
        first: &Trade,
        out: &mut [Level],
    ) -> Option<(u32, i64)> {
        first.write(out, 0)?;
        let (mut count, mut ms) = (1, first.ms);
        while !c.take(b"]}") {
            c.expect(b",")?;
            let (other, trade) = self.scan_trade(&mut c)?;
            if other.id != listed.id {
                return None;
            }
            trade.write(out, count)?;
            ms = trade.ms;
            count += 1;
        }
        c.finish()?;
        Some((count as u32, ms))
    }

    #[inline(always)]
    fn scan_trade<L: Look>(&mut self, c: &mut Cursor<'_, L>) -> Option<(Listed, Trade)> {
        c.expect(b"{\"symbol\":\"")?;
        let listed = self.symbols.find(c.name_like(self.symbols.guess())?)?;
        c.expect(b",\"side\":\"")?;
        let aggressor = if c.take(b"buy\"") {
            Side::Buy
        } else {
            c.expect(b"sell\"")?;
            Side::Sell
        };
        c.expect(b",\"price\":")?;
        let price = c.bare(listed.price_decimals)?;
        c.expect(b",\"qty\":")?;
        let qty = c.bare(listed.qty_decimals)?;
        c.expect(b",\"ord_type\":\"")?;
        c.name()?;
        c.expect(b",\"trade_id\":")?;
        let id = c.integer()?;
        c.expect(b",\"timestamp\":\"")?;
        let ms = self.clock.ms(c.name()?)?;
        c.expect(b"}")?;
        Some((listed, Trade { id, price, qty, aggressor, ms }))
    }
}

impl MarketDecoder for KrakenMarket {
    fn start(&mut self) {
        self.scratch.warm_up_exact();
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
        if input.text().starts_with(PROXY_RESTARTS) {
            return Ok(Decoded::Notice(Notice::ServerShutdown));
        }
        scratch.read_exact(input.text(), |root| market_json::read(root, &input, symbols, sink))
    }

    /// Of a message of several books the first; the checksums of the others tell.
    fn suspect(&self, text: &[u8]) -> Option<InstrumentId> {
        let head = &text[..text.len().min(256)];
        let after = |key: &[u8]| {
            let at = head.windows(key.len()).position(|w| w == key)?;
            Some(&head[at + key.len()..])
        };
        if let Some(channel) = after(b"\"channel\":\"")
            && !channel.starts_with(b"book\"")
            && channel.len() > b"book\"".len()
        {
            return None;
        }
        let name = after(b"\"symbol\":\"")?;
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
    pub(super) check: u32,
    pub(super) ms: i64,
    /// The rest of the venue's time below the millisecond.
    pub(super) us: u64,
}

impl BookHead {
    /// Updates carry no number; their order shows by the venue's time in us, which never went
    /// back in a recording. Zero where there is no time, or none of after 1970.
    pub(super) const fn body(self, is_update: bool, block: LevelBlock) -> MarketBody {
        let (bids, asks, check) = (self.bids, self.asks, Some(self.check));
        let last = if self.ms > 0 { self.ms.unsigned_abs() * 1_000 + self.us } else { 0 };
        if is_update {
            MarketBody::Depth { first: last, last, prev: 0, check, bids, asks, block }
        } else {
            MarketBody::Snapshot { last, check, bids, asks, block }
        }
    }
}

/// From behind the opening bracket of the bids to the end of the message.
#[inline(always)]
fn scan_sides<L: Look>(
    mut c: Cursor<'_, L>,
    listed: &Listed,
    clock: &mut MinuteClock,
    out: &mut [Level],
) -> Option<BookHead> {
    let (p, q) = (listed.price_decimals, listed.qty_decimals);
    let bids = c.levels_of::<NamedBare>(p, q, out)?;
    c.expect(b",\"asks\":[")?;
    let asks = c.levels_of::<NamedBare>(p, q, &mut out[bids..])?;
    c.expect(b",\"checksum\":")?;
    let check = u32::try_from(c.integer()?).ok()?;
    // Snapshots of older servers have no time.
    let time = if c.take(b",\"timestamp\":\"") { Some(c.name()?) } else { None };
    let ms = time.map_or(Some(0), |text| clock.ms(text))?;
    let us = time.map_or(0, rfc3339_us_of_ms);
    c.expect(b"}]}")?;
    c.finish()?;
    Some(BookHead { bids: bids as u32, asks: asks as u32, check, ms, us })
}

/// Places of a block that the message needs at most: short messages by their length, long ones by
/// their objects, `others` of which are none of those, `each` places apiece.
fn places(input: &Input<'_>, len_min: usize, others: usize, each: usize) -> usize {
    let by_length = input.len / len_min * each;
    if by_length <= BLOCK_LEVELS[0] {
        return by_length;
    }
    let objects = count_byte(input.text(), b'{').saturating_sub(1 + others);
    objects * each
}
