//! Market messages of Coinbase: books, trades, heartbeats.
//!
//! A message is first tried by the scanner; whatever it does not know word for word goes to the
//! general reader in `market_json`, which also tells what is wrong. Levels are written straight
//! into the block that travels to the book, bids from the front and asks from the back.
//!
//! **Numbers.** Every message is held against its connection's count ([`super::sequence`]). A
//! hole, and a count that began anew, stages a [`MarketBody::LineGap`] before the message's own
//! events; a number that was there already makes the message void. A message counts as received
//! when its events are staged, or when it is refused for a reason that concerns no book of ours or
//! one that [`MarketDecoder::suspect`] can name; after any other refusal the next message shows a
//! hole, and every book starts afresh.
//!
//! **Times.** An unreadable time is no time; a book is not given up for it.
//!
//! **Products.** `BTC-USD` and `BTC-USDC` share one book, and messages may carry either name: a
//! product that is not in the table is looked up under its other name.
//!
//! Cost on the recording (release, one shared core): a level of a snapshot 29 ns (110 bytes of
//! text), the snapshot of 46,000 levels 1.4 ms, a usual book change 0.3 us, a trade 0.2 us.

use bot4_simd::{Look, TextKernels};
use bot4_types::limits::BLOCK_LEVELS;
use bot4_types::{InstrumentId, InstrumentTable, Level, LevelBlock, MarketBody, MarketEvent, Side};

use super::market_json;
use super::sequence::{Place, Sequence};
use crate::json::Scratch;
use crate::market::{DecodeError, Decoded, Ignored, Input, MarketDecoder, Sink};
use crate::number::MinuteClock;
use crate::scan::{Cursor, QuotedUpdate, Scanner, scan_at};
use crate::stage::{
    Scanned, Sides, Trade, TradePair, count_byte, stage, stage_trade, stage_trades, unstage,
};
use crate::symbols::{Listed, SymbolTable, same};

/// Longest message of the general reader. Snapshots are longer: they need the scanner, and a
/// change of their text shows as `error_too_large` at once. A reader for them would take a
/// hundred megabytes.
pub const FALLBACK_LEN_MAX: usize = 512 * 1024;

/// Shortest level in bytes:
/// `{"side":"bid","event_time":"","price_level":"1","new_quantity":"0"},`.
const LEVEL_LEN_MIN: usize = 66;
/// Bytes of a book message that are not levels, at least.
const ENVELOPE_LEN: usize = 100;

/// Bytes of the usual times: of messages in ns, of trades and levels in us.
const NS_LEN: usize = "2026-08-09T21:05:48.251397169Z".len();
const US_LEN: usize = "2026-08-09T21:05:48.167634Z".len();

/// Decodes market messages of Coinbase Advanced Trade.
pub struct CoinbaseMarket {
    kernels: TextKernels,
    clock: MinuteClock,
    products: Products,
    sequence: Sequence,
    scratch: Scratch,
    fallbacks: u64,
}

/// The run's products, under both of their names.
#[derive(Clone, Debug)]
pub(super) struct Products(SymbolTable);

/// Book changes and snapshots are told apart by the event's type.
pub(super) fn book_body(
    is_snapshot: bool,
    number: u64,
    levels: (LevelBlock, u32, u32),
) -> MarketBody {
    let (block, bids, asks) = levels;
    if is_snapshot {
        MarketBody::Snapshot { last: number, check: None, bids, asks, block }
    } else {
        MarketBody::Depth { first: number, last: number, prev: 0, check: None, bids, asks, block }
    }
}

/// Stages the hole in `input`'s connection.
pub(super) fn stage_gap(input: &Input<'_>, sink: &mut Sink) -> Result<(), DecodeError> {
    let (body, instrument) = (MarketBody::LineGap, InstrumentId(0));
    let event = MarketEvent { trail: input.trail, body, venue_ms: 0, instrument, conn: input.conn };
    sink.push(event).map_err(|_| DecodeError::Full)
}

impl Products {
    /// The instrument called `name`, or by its other name.
    #[inline]
    pub fn find(&mut self, name: &[u8]) -> Option<Listed> {
        match self.0.find(name) {
            Some(listed) => Some(listed),
            None => self.alias(name),
        }
    }

    #[cold]
    fn alias(&self, name: &[u8]) -> Option<Listed> {
        if let Some(short) = name.strip_suffix(b"C")
            && short.ends_with(b"-USD")
        {
            return self.0.peek(short);
        }
        let mut long = [0; bot4_types::id::SYMBOL_LEN_MAX];
        let long = long.get_mut(..=name.len())?;
        long[..name.len()].copy_from_slice(name);
        long[name.len()] = b'C';
        name.ends_with(b"-USD").then(|| self.0.peek(long))?
    }
}

/// Channels that are scanned.
#[derive(Clone, Copy)]
enum Channel {
    Books,
    Trades,
    Heartbeats,
}

/// The rest of a channel's name, its closing quote taken.
#[inline(always)]
fn channel<L: Look>(c: &mut Cursor<'_, L>) -> Option<Channel> {
    if c.take(b"l2_data\"") {
        return Some(Channel::Books);
    }
    if c.take(b"market_trades\"") {
        return Some(Channel::Trades);
    }
    c.expect(b"heartbeats\"").map(|()| Channel::Heartbeats)
}

/// What stands before the events.
struct Head {
    channel: Channel,
    time_ms: i64,
    number: u64,
}

impl Scanner for CoinbaseMarket {
    #[inline(always)]
    fn scan<L: Look>(&mut self, look: L, input: &Input<'_>, sink: &mut Sink) -> Scanned {
        let mut c = Cursor::new(look, input.bytes, input.len);
        let head = head(&mut c, &mut self.clock)?;
        let kept = sink.len();
        let is_gap = match self.sequence.place(input.conn, head.number) {
            Place::Next => false,
            Place::Hole => true,
            // Rare; whether the rest is a message at all is for the general reader to say.
            Place::Repeat => return None,
        };
        if is_gap {
            stage_gap(input, sink).ok()?;
        }
        let scanned = match head.channel {
            Channel::Books => self.scan_books(c, &head, input, sink),
            Channel::Trades => self.scan_trades(c, input, sink),
            Channel::Heartbeats => scan_heartbeat(c),
        };
        match scanned {
            Some(Ok(decoded)) => {
                self.sequence.passed(input.conn, head.number);
                Some(Ok(if is_gap { Decoded::Events } else { decoded }))
            }
            Some(Err(DecodeError::NoBlock)) => {
                unstage(sink, kept);
                Some(Err(DecodeError::NoBlock))
            }
            // Too many events among them: the general reader says so.
            Some(Err(_)) | None => {
                unstage(sink, kept);
                None
            }
        }
    }
}

impl CoinbaseMarket {
    /// A decoder for the instruments of `table`, its scanner by `kernels`.
    #[must_use]
    pub fn new(table: &InstrumentTable, kernels: TextKernels) -> Self {
        Self {
            kernels,
            clock: MinuteClock::default(),
            products: Products(SymbolTable::new(table)),
            sequence: Sequence::new(),
            scratch: Scratch::new(FALLBACK_LEN_MAX),
            fallbacks: 0,
        }
    }

    #[inline(always)]
    fn scan_books<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        head: &Head,
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        loop {
            c.expect(b"\"type\":\"")?;
            let is_snapshot = !c.take(b"update\"");
            if is_snapshot {
                c.expect(b"snapshot\"")?;
            }
            c.expect(b",\"product_id\":\"")?;
            let listed = self.products.find(c.name_like(self.products.0.guess())?)?;
            c.expect(b",\"updates\":[")?;
            let needed = levels_bound(input);
            let Some(mut block) = sink.pool.take(needed) else {
                // The general reader counts the levels and decides whether they can ever fit.
                return Some(Err(sink.pool.lack(needed)));
            };
            let Some((bids, asks)) = fill(&mut c, &listed, block.levels_mut()) else {
                sink.pool.give_back(block);
                return None;
            };
            let body = book_body(is_snapshot, head.number, (block, bids, asks));
            if let Err(e) = stage(sink, input, &listed, head.time_ms, body) {
                return Some(Err(e));
            }
            c.expect(b"}")?;
            if !c.take(b",{") {
                c.expect(b"]}")?;
                c.finish()?;
                return Some(Ok(Decoded::Events));
            }
        }
    }

    #[inline(always)]
    fn scan_trades<L: Look>(
        &mut self,
        mut c: Cursor<'_, L>,
        input: &Input<'_>,
        sink: &mut Sink,
    ) -> Scanned {
        c.expect(b"\"type\":\"update\",\"trades\":[{\"product_id\":\"")?;
        let name = c.name_like(self.products.0.guess())?;
        let listed = self.products.find(name)?;
        let list = c.clone();
        let first = trade(&mut c, &listed, &mut self.clock)?;
        if c.take(b"]}]}") {
            c.finish()?;
            return Some(stage_trade(first, &listed, input, sink));
        }
        // The braces of the message and its event are not of trades.
        let places = 2 * count_byte(input.text(), b'{').saturating_sub(2);
        let Some(mut block) = sink.pool.take(places) else {
            return Some(Err(sink.pool.lack(places)));
        };
        match fill_trades(list, name, &listed, &mut self.clock, block.levels_mut()) {
            Some(count) => Some(stage_trades(block, count, &listed, input, sink)),
            None => {
                sink.pool.give_back(block);
                None
            }
        }
    }
}

impl MarketDecoder for CoinbaseMarket {
    fn start(&mut self) {
        self.scratch.warm_up();
    }

    fn line_up(&mut self, conn: bot4_types::ConnId) {
        self.sequence.reset(conn);
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
        let Self { products, scratch, sequence, .. } = self;
        let kept = sink.len();
        let mut reader = market_json::Reader { input: &input, products, sequence, sink, kept };
        scratch.read(input.text(), |root| reader.read(root))
    }

    fn suspect(&self, text: &[u8]) -> Option<InstrumentId> {
        suspect(&self.products, text)
    }

    fn fallbacks(&self) -> u64 {
        self.fallbacks
    }

    fn kernels(&self) -> TextKernels {
        self.kernels
    }
}

/// The book that a message which could not be decoded may have changed, by its first bytes.
pub(super) fn suspect(products: &Products, text: &[u8]) -> Option<InstrumentId> {
    let head = &text[..text.len().min(320)];
    let value = |key: &[u8]| {
        let at = head.windows(key.len()).position(|w| w == key)? + key.len();
        let len = head[at..].iter().position(|b| *b == b'"')?;
        Some(&head[at..at + len])
    };
    if value(b"\"channel\":\"")? != b"l2_data" {
        return None;
    }
    let name = value(b"\"product_id\":\"")?;
    products.0.peek(name).or_else(|| products.alias(name)).map(|l| l.id)
}

#[inline(always)]
fn head<L: Look>(c: &mut Cursor<'_, L>, clock: &mut MinuteClock) -> Option<Head> {
    c.expect(b"{\"channel\":\"")?;
    let channel = channel(c)?;
    // Printed until 2025.
    if c.take(b",\"client_id\":\"") {
        c.name()?;
    }
    c.expect(b",\"timestamp\":\"")?;
    let time_ms = clock.ms(c.name_of_len(NS_LEN)?).unwrap_or(0);
    c.expect(b",\"sequence_num\":")?;
    let number = c.integer()?;
    c.expect(b",\"events\":[{")?;
    Some(Head { channel, time_ms, number })
}

/// The rest of a list of changed levels, its closing bracket taken.
#[inline(always)]
fn fill<L: Look>(c: &mut Cursor<'_, L>, listed: &Listed, out: &mut [Level]) -> Option<(u32, u32)> {
    let mut sides = Sides::new(out);
    if c.take(b"]") {
        return Some(sides.finish());
    }
    loop {
        c.expect(b"{\"side\":\"")?;
        let is_bid = c.take(b"bid\",\"event_time\":\"");
        if !is_bid {
            c.expect(b"offer\",\"event_time\":\"")?;
        }
        c.name_of_len(US_LEN)?;
        c.expect(b",\"price_level\":\"")?;
        let level = c.level_of::<QuotedUpdate>(listed.price_decimals, listed.qty_decimals)?;
        sides.push(is_bid, level)?;
        match c.byte()? {
            b',' => {}
            b']' => return Some(sides.finish()),
            _ => return None,
        }
    }
}

/// All trades of a list whose first product is read; how many there are.
#[inline(always)]
fn fill_trades<L: Look>(
    mut c: Cursor<'_, L>,
    name: &[u8],
    listed: &Listed,
    clock: &mut MinuteClock,
    out: &mut [Level],
) -> Option<usize> {
    for (i, pair) in out.chunks_exact_mut(2).enumerate() {
        pair.copy_from_slice(&trade(&mut c, listed, clock)?);
        if !c.take(b",{\"product_id\":\"") {
            c.expect(b"]}]}")?;
            return c.finish().map(|()| i + 1);
        }
        if !same(c.name()?, name) {
            return None;
        }
    }
    None
}

/// The fields of a trade behind its product, and its brace.
#[inline(always)]
fn trade<L: Look>(
    c: &mut Cursor<'_, L>,
    listed: &Listed,
    clock: &mut MinuteClock,
) -> Option<TradePair> {
    c.expect(b",\"trade_id\":\"")?;
    let id = c.integer_text()?;
    c.expect(b",\"price\":\"")?;
    let price = c.decimal(listed.price_decimals)?;
    c.expect(b",\"size\":\"")?;
    let qty = c.decimal(listed.qty_decimals)?;
    c.expect(b",\"time\":\"")?;
    let time_ms = clock.ms(c.name_of_len(US_LEN)?).unwrap_or(0);
    c.expect(b",\"side\":\"")?;
    let is_sell = c.take(b"SELL\"}");
    if !is_sell {
        c.expect(b"BUY\"}")?;
    }
    let aggressor = if is_sell { Side::Buy } else { Side::Sell };
    Some(Trade { id, price, qty, aggressor, ms: time_ms }.pair())
}

/// Who took, given the side of the order that rested.
pub(super) fn aggressor(maker: &[u8]) -> Option<Side> {
    match maker {
        b"SELL" => Some(Side::Buy),
        b"BUY" => Some(Side::Sell),
        _ => None,
    }
}

#[inline(always)]
fn scan_heartbeat<L: Look>(mut c: Cursor<'_, L>) -> Scanned {
    c.expect(b"\"current_time\":\"")?;
    c.name()?;
    c.expect(b",\"heartbeat_counter\":")?;
    c.integer()?;
    c.expect(b"}]}")?;
    c.finish()?;
    Some(Ok(Decoded::Ignored(Ignored::Heartbeat)))
}

/// Levels that the message can hold: short messages by their length, long ones by their braces,
/// without those of the message and its first event.
fn levels_bound(input: &Input<'_>) -> usize {
    let by_length = input.len.saturating_sub(ENVELOPE_LEN) / LEVEL_LEN_MIN;
    if by_length <= BLOCK_LEVELS[0] {
        return BLOCK_LEVELS[0];
    }
    count_byte(input.text(), b'{').saturating_sub(2)
}
