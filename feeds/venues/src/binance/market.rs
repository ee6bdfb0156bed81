//! Market messages of Binance: streams, combined or raw, and snapshots. Spot and USD-M futures
//! differ in few fields; what must be known beforehand is a [`Flavour`].
//!
//! A message is first tried by the scanner; whatever it does not know word for word goes to the
//! general reader in `market_json`, which also tells what is wrong. Levels are written straight
//! into the block that travels to the book.
//!
//! Trades and quotes of streams that were seen before take a shorter way, see `known`.
//!
//! Cost on a 2.x GHz core: book change of 20 levels below 0.5 us, trade and quote below 0.1 us.

use bot4_simd::{Look, TextKernels, TextTask};
use bot4_types::limits::BLOCK_LEVELS;
use bot4_types::{InstrumentId, InstrumentTable, Level, LevelBlock, MarketBody, Side};

use super::known::{Kind, KnownStreams};
use super::market_json;
use crate::json::Scratch;
use crate::market::{DecodeError, Decoded, Input, MarketDecoder, Sink};
use crate::number::unix_ms;
use crate::scan::{Cursor, Scanner, scan_at};
use crate::stage::{self, count_byte};
use crate::symbols::{Listed, SymbolTable};

/// Longest message of the general reader: a whole snapshot of 5,000 levels a side has 310 kB.
/// Its tape and indexes take 28 bytes for each byte of this.
pub const FALLBACK_LEN_MAX: usize = 384 * 1024;

/// What differs between the markets of the venue and does not show in a message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flavour {
    /// Book changes name their predecessor (`pu`).
    pub names_previous: bool,
    /// Trades merged by taker order are events; where the session takes single trades too, both
    /// would count.
    pub takes_agg_trades: bool,
    /// Shortest usual level in bytes, `["1.00000000","1.00000000"],` on Spot: gives the levels
    /// that a message can hold without looking at it.
    pub level_len_usual: usize,
}

/// Binance Spot.
pub const SPOT: Flavour =
    Flavour { names_previous: false, takes_agg_trades: false, level_len_usual: 27 };

/// `X` of a trade in the book; others are of the insurance fund and of deleveraging.
pub(super) const IN_THE_BOOK: &str = "MARKET";

/// Bytes of a depth message that are not levels, at least.
const ENVELOPE_LEN: usize = 100;

/// Decodes market messages of Binance.
pub struct BinanceMarket {
    kernels: TextKernels,
    flavour: Flavour,
    symbols: SymbolTable,
    known: KnownStreams,
    scratch: Scratch,
    fallbacks: u64,
}

/// A scan ends with an event, with an error that the general reader would meet too, or with
/// `None`: not this shape.
type Scanned = Option<Result<(), DecodeError>>;

impl Scanner for BinanceMarket {
    #[inline(always)]
    fn scan<L: Look>(&mut self, look: L, input: &Input<'_>, sink: &mut Sink) -> stage::Scanned {
        let staged = match self.known.read(look, input) {
            Some((id, time, body)) => stage::stage_of(sink, input, id, unix_ms(time), body),
            None => self.scan_any(look, input, sink)?,
        };
        Some(staged.map(|()| Decoded::Events))
    }
}

impl BinanceMarket {
    /// A decoder of Spot for the instruments of `table`.
    #[must_use]
    pub fn new(table: &InstrumentTable) -> Self {
        Self::of(SPOT, table, TextKernels::best())
    }

    /// A decoder for the instruments of `table` of the market `flavour`, its scanner by `kernels`.
    #[must_use]
    pub fn of(flavour: Flavour, table: &InstrumentTable, kernels: TextKernels) -> Self {
        Self {
            kernels,
            flavour,
            symbols: SymbolTable::new(table),
            known: KnownStreams::new(table.all().len()),
            scratch: Scratch::new(FALLBACK_LEN_MAX),
            fallbacks: 0,
        }
    }

    #[inline(always)]
    fn scan_any<L: Look>(&mut self, look: L, input: &Input<'_>, sink: &mut Sink) -> Scanned {
        let mut c = Cursor::new(look, input.bytes, input.len);
        if c.take(b"{\"stream\":\"") {
            c.name()?;
            c.expect(b",\"data\":{")?;
            return self.scan_payload(c, b"}}", input, sink);
        }
        if c.take(b"{\"id\":") {
            return self.scan_answer(c, input, sink);
        }
        if c.take(b"{\"lastUpdateId\":") {
            let listed = match input.instrument {
                Some(id) => self.symbols.by_id(id),
                None => self.symbols.only(),
            };
            return self.scan_snapshot(c, Tail::Bare, listed?, input, sink);
        }
        c.expect(b"{")?;
        self.scan_payload(c, b"}", input, sink)
    }

    #[inline(always)]
    fn scan_payload<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        close: &[u8],
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        if c.take(b"\"u\":") {
            return self.scan_quote(c, close, input, sink);
        }
        c.expect(b"\"e\":\"")?;
        // The first letter tells: no text is compared in vain.
        match c.byte()? {
            b'd' => {
                c.expect(b"epthUpdate\",\"E\":")?;
                self.scan_depth(c, close, input, sink)
            }
            b't' => {
                c.expect(b"rade\",\"E\":")?;
                self.scan_trade(c, close, input, sink)
            }
            b'b' => {
                c.expect(b"ookTicker\",\"u\":")?;
                self.scan_quote(c, close, input, sink)
            }
            b'a' => {
                c.expect(b"ggTrade\",\"E\":")?;
                self.scan_agg_trade(c, close, input, sink)
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn scan_quote<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        close: &[u8],
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let head = c.passed();
        let id = c.integer()?;
        c.expect(b",\"s\":\"")?;
        let listed = self.symbols.find(c.name_like(self.symbols.guess())?)?;
        let (p, q) = (listed.price_decimals, listed.qty_decimals);
        c.expect(b",\"b\":\"")?;
        let bid_price = c.decimal(p)?;
        c.expect(b",\"B\":\"")?;
        let bid = Level { price: bid_price, qty: c.decimal(q)? };
        c.expect(b",\"a\":\"")?;
        let ask_price = c.decimal(p)?;
        c.expect(b",\"A\":\"")?;
        let ask = Level { price: ask_price, qty: c.decimal(q)? };
        let mut time = 0;
        if c.take(b",\"T\":") {
            c.ms()?;
            c.expect(b",\"E\":")?;
            time = c.ms()?;
        }
        c.expect(close)?;
        c.finish()?;
        self.known.learn(Kind::Quote, head, input, &listed);
        Some(stage(sink, input, &listed, time, MarketBody::Quote { id, bid, ask }))
    }

    #[inline(always)]
    fn scan_trade<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        close: &[u8],
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let head = c.passed();
        let time = c.ms()?;
        // Futures have the trade's own time here.
        let is_futures = c.take(b",\"T\":");
        if is_futures {
            c.ms()?;
        }
        c.expect(b",\"s\":\"")?;
        let listed = self.symbols.find(c.name_like(self.symbols.guess())?)?;
        c.expect(b",\"t\":")?;
        let id = c.integer()?;
        c.expect(b",\"p\":\"")?;
        let price = c.decimal(listed.price_decimals)?;
        c.expect(b",\"q\":\"")?;
        let qty = c.decimal(listed.qty_decimals)?;
        if is_futures {
            c.expect(b",\"X\":\"MARKET\"")?;
            return scan_trade_end(c, close, [id as i64, price, qty, time], &listed, input, sink);
        }
        // Order numbers of buyer and seller, printed until 2023.
        if c.take(b",\"b\":") {
            c.integer()?;
            c.expect(b",\"a\":")?;
            c.integer()?;
        }
        c.expect(b",\"T\":")?;
        c.integer()?;
        c.expect(b",\"m\":")?;
        let buyer_is_maker = c.truth()?;
        c.expect(b",\"M\":")?;
        c.truth()?;
        c.expect(close)?;
        c.finish()?;
        self.known.learn(Kind::Trade, head, input, &listed);
        let body = trade_body(id, price, qty, buyer_is_maker);
        Some(stage(sink, input, &listed, time, body))
    }

    #[inline(always)]
    fn scan_agg_trade<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        close: &[u8],
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        if !self.flavour.takes_agg_trades {
            return None;
        }
        let time = c.ms()?;
        c.expect(b",\"s\":\"")?;
        let listed = self.symbols.find(c.name_like(self.symbols.guess())?)?;
        c.expect(b",\"a\":")?;
        let id = c.integer()?;
        c.expect(b",\"p\":\"")?;
        let price = c.decimal(listed.price_decimals)?;
        c.expect(b",\"q\":\"")?;
        let qty = c.decimal(listed.qty_decimals)?;
        for key in [b",\"f\":", b",\"l\":", b",\"T\":"] {
            c.expect(key)?;
            c.integer()?;
        }
        let fields = [id as i64, price, qty, time];
        scan_trade_end(c, close, fields, &listed, input, sink)
    }

    #[inline(always)]
    fn scan_depth<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        close: &[u8],
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let time = c.ms()?;
        if c.take(b",\"T\":") {
            c.ms()?;
        }
        c.expect(b",\"s\":\"")?;
        let listed = self.symbols.find(c.name_like(self.symbols.guess())?)?;
        c.expect(b",\"U\":")?;
        let first = c.integer()?;
        c.expect(b",\"u\":")?;
        let last = c.integer()?;
        let mut prev = 0;
        if self.flavour.names_previous {
            c.expect(b",\"pu\":")?;
            prev = c.integer()?;
        }
        c.expect(b",\"b\":[")?;
        if first > last {
            return None;
        }
        let keys = Keys { between: b",\"a\":[", tail: Tail::Text(close) };
        let (block, bids, asks) = match self.scan_levels(c, &keys, &listed, input, sink)? {
            Ok(levels) => levels,
            Err(e) => return Some(Err(e)),
        };
        let body = MarketBody::Depth { first, last, prev, check: None, bids, asks, block };
        Some(stage(sink, input, &listed, time, body))
    }

    /// `"id":` is taken: the answer to a snapshot request, whose id is the instrument's number.
    #[inline(always)]
    fn scan_answer<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let id = u16::try_from(c.integer()?).ok()?;
        c.expect(b",\"status\":200,\"result\":{\"lastUpdateId\":")?;
        let listed = self.symbols.by_id(InstrumentId(id))?;
        self.scan_snapshot(c, Tail::Answer, listed, input, sink)
    }

    #[inline(always)]
    fn scan_snapshot<L: Look>(
        &self,
        mut c: Cursor<'_, L>,
        tail: Tail<'_>,
        listed: Listed,
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        let last = c.integer()?;
        let mut time = 0;
        if c.take(b",\"E\":") {
            time = c.ms()?;
            c.expect(b",\"T\":")?;
            c.integer()?;
        }
        c.expect(b",\"bids\":[")?;
        let keys = Keys { between: b",\"asks\":[", tail };
        let (block, bids, asks) = match self.scan_levels(c, &keys, &listed, input, sink)? {
            Ok(levels) => levels,
            Err(e) => return Some(Err(e)),
        };
        let body = MarketBody::Snapshot { last, check: None, bids, asks, block };
        Some(stage(sink, input, &listed, time, body))
    }

    /// The two lists and what follows them, into a block of the pool. The block is back in the
    /// pool when the text has another shape.
    #[inline(always)]
    fn scan_levels<L: Look>(
        &self,
        c: Cursor<'_, L>,
        keys: &Keys<'_>,
        listed: &Listed,
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Option<Result<(LevelBlock, u32, u32), DecodeError>> {
        let needed = self.levels_bound(input);
        let Some(mut block) = sink.pool.take(needed) else {
            // The general reader counts the levels and decides whether they can ever fit.
            return match sink.pool.lack(needed) {
                DecodeError::NoBlock => Some(Err(DecodeError::NoBlock)),
                _ => None,
            };
        };
        let look = c.look();
        let fill = Fill { c, keys, listed, out: block.levels_mut() };
        match look.apart(fill) {
            Some((bids, asks)) => Some(Ok((block, bids, asks))),
            None => {
                sink.pool.give_back(block);
                None
            }
        }
    }

    /// Levels that the message can hold: short messages by their length, if their numbers have
    /// the usual digits (others do not fit and go to the general reader), long ones by their
    /// brackets.
    fn levels_bound(&self, input: &Input<'_>) -> usize {
        let by_length = input.len.saturating_sub(ENVELOPE_LEN) / self.flavour.level_len_usual;
        if by_length <= BLOCK_LEVELS[0] {
            return BLOCK_LEVELS[0];
        }
        count_byte(input.text(), b'[').saturating_sub(2)
    }
}

/// The end of a trade whose number, price, quantity and time are read.
#[inline(always)]
fn scan_trade_end<L: Look>(
    mut c: Cursor<'_, L>,
    close: &[u8],
    [id, price, qty, time]: [i64; 4],
    listed: &Listed,
    input: &Input<'_>,
    sink: &mut Sink,
) -> Scanned {
    c.expect(b",\"m\":")?;
    let buyer_is_maker = c.truth()?;
    c.expect(close)?;
    c.finish()?;
    Some(stage(sink, input, listed, time, trade_body(id as u64, price, qty, buyer_is_maker)))
}

/// The event of a trade: the other side than the maker's took.
pub(super) const fn trade_body(id: u64, price: i64, qty: i64, buyer_is_maker: bool) -> MarketBody {
    let aggressor = if buyer_is_maker { Side::Sell } else { Side::Buy };
    MarketBody::Trade { id, price, qty, aggressor }
}

impl MarketDecoder for BinanceMarket {
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
        let Self { flavour, symbols, scratch, .. } = self;
        let mut reader = market_json::Reader { flavour, input: &input, symbols, sink };
        scratch.read(input.text(), |root| reader.read(root))
    }

    fn suspect(&self, text: &[u8]) -> Option<InstrumentId> {
        let head = &text[..text.len().min(256)];
        let after = |key: &[u8]| {
            let at = head.windows(key.len()).position(|w| w == key)?;
            Some(&head[at + key.len()..])
        };
        let until = |rest: &'_ [u8], stop: u8| rest.iter().position(|b| *b == stop);
        if let Some(rest) = after(b"\"stream\":\"")
            && let Some(len) = until(rest, b'@')
        {
            if [b"@trade".as_slice(), b"@aggTrade", b"@bookTicker"]
                .iter()
                .any(|stream| rest[len..].starts_with(stream))
            {
                return None;
            }
            if let Some(listed) = self.symbols.find_any_case(&rest[..len]) {
                return Some(listed.id);
            }
        }
        if let Some(rest) = after(b"\"s\":\"")
            && let Some(len) = until(rest, b'"')
            && let Some(listed) = self.symbols.find_any_case(&rest[..len])
        {
            return Some(listed.id);
        }
        let id = Cursor::new(self.kernels, after(b"{\"id\":")?, usize::MAX).integer()?;
        self.symbols.by_id(InstrumentId(u16::try_from(id).ok()?)).map(|l| l.id)
    }

    fn fallbacks(&self) -> u64 {
        self.fallbacks
    }

    fn kernels(&self) -> TextKernels {
        self.kernels
    }
}

/// What follows the levels.
enum Tail<'a> {
    /// This text, then the end.
    Text(&'a [u8]),
    /// The end of a bare snapshot.
    Bare,
    /// The end of an answer, perhaps with the limits it used.
    Answer,
}

/// The text around the two lists of levels.
struct Keys<'a> {
    between: &'a [u8],
    tail: Tail<'a>,
}

/// The lists of a message and what follows them: levels into `out`.
struct Fill<'a, L> {
    c: Cursor<'a, L>,
    keys: &'a Keys<'a>,
    listed: &'a Listed,
    out: &'a mut [Level],
}

impl<L: Look> TextTask for Fill<'_, L> {
    type Out = Option<(u32, u32)>;

    #[inline(always)]
    fn run<M: Look>(self, _: M) -> Self::Out {
        let Self { mut c, keys, listed, out } = self;
        let (p, q) = (listed.price_decimals, listed.qty_decimals);
        let bids = c.levels(p, q, out)?;
        c.expect(keys.between)?;
        let asks = c.levels(p, q, &mut out[bids..])?;
        match keys.tail {
            Tail::Text(text) => c.expect(text)?,
            Tail::Bare => c.expect(b"}")?,
            Tail::Answer => scan_answer_tail(&mut c)?,
        }
        c.finish()?;
        Some((bids as u32, asks as u32))
    }
}

#[inline(always)]
fn scan_answer_tail<L: Look>(c: &mut Cursor<'_, L>) -> Option<()> {
    c.expect(b"}")?;
    if c.take(b"}") {
        return Some(());
    }
    c.expect(b",\"rateLimits\":[")?;
    loop {
        c.expect(b"{\"rateLimitType\":\"")?;
        c.name()?;
        c.expect(b",\"interval\":\"")?;
        c.name()?;
        for key in [b",\"intervalNum\":".as_slice(), b",\"limit\":", b",\"count\":"] {
            c.expect(key)?;
            c.integer()?;
        }
        c.expect(b"}")?;
        match c.byte()? {
            b',' => {}
            b']' => return c.expect(b"}"),
            _ => return None,
        }
    }
}

/// Stages one event; `time` in the connection's unit.
pub(super) fn stage(
    sink: &mut Sink,
    input: &Input<'_>,
    listed: &Listed,
    time: i64,
    body: MarketBody,
) -> Result<(), DecodeError> {
    stage::stage(sink, input, listed, unix_ms(time), body)
}

#[cfg(test)]
#[path = "market_tests.rs"]
mod tests;
