//! Trades and best quotes of streams that were seen before, read with every key known.
//!
//! Of one stream only the numbers change from message to message. The scanner shows each message
//! it has read; what stood around its numbers is kept here and compared as a whole next time:
//!
//! ```text
//!   {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255208,"s":"BTCUSDT","t":3719...
//!   '--------------------- head ---------------------'             '------ mid ------'
//! ```
//!
//! Invariant: what is read here the scanner would read with the same result; a head is only ever
//! taken from a message that it has read. Everything else is `None`. Cost: half the scanner's.

use bot4_simd::Look;
use bot4_types::{InstrumentId, MarketBody, Side};

use crate::market::Input;
use crate::scan::{Cursor, Masked};
use crate::symbols::Listed;

use super::WIRE_DECIMALS;

/// Words of eight bytes that a head has at most; stream names of 24 to 30 bytes fit.
const HEAD_WORDS: usize = 8;
const HEAD_BYTES: usize = HEAD_WORDS * 8;
/// Words that the text around the symbol has at most; symbols of 20 bytes fit.
const MID_WORDS: usize = 4;
const MID_BYTES: usize = MID_WORDS * 8;
/// How every head begins.
const NAME_KEY: &[u8] = b"{\"stream\":\"";
/// Where the stream's name begins.
const NAME_AT: usize = NAME_KEY.len();
/// Places for each instrument: it has two streams, and half the places stay free.
const PLACES_EACH: usize = 4;
/// Most places there are.
const PLACES_MAX: usize = 1_024;

/// What is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A trade: the head ends before the time.
    Trade,
    /// A best quote: the head ends before the update's number.
    Quote,
}

/// What surrounds the numbers of a stream's messages.
#[derive(Clone, Copy, Debug)]
struct Stream {
    head: Masked<HEAD_WORDS>,
    mid: Masked<MID_WORDS>,
    kind: Kind,
    instrument: InstrumentId,
}

/// A message that was read: instrument, venue's time as printed, what it says.
pub(super) type Read = (InstrumentId, i64, MarketBody);

/// The streams that were seen.
#[derive(Debug)]
pub(super) struct KnownStreams {
    places: Box<[Stream]>,
}

impl KnownStreams {
    /// None seen yet, of `instruments` instruments. Allocates.
    pub fn new(instruments: usize) -> Self {
        let free = Stream {
            head: Masked::never(),
            mid: Masked::never(),
            kind: Kind::Trade,
            instrument: InstrumentId(0),
        };
        let count = (instruments.max(1) * PLACES_EACH).next_power_of_two().min(PLACES_MAX);
        Self { places: vec![free; count].into_boxed_slice() }
    }

    /// Reads a message of a stream that was seen.
    #[inline(always)]
    pub fn read<L: Look>(&self, look: L, input: &Input<'_>) -> Option<Read> {
        let head: &[u8; HEAD_BYTES] = input.bytes.first_chunk()?;
        let place = self.place(head);
        let mut stream = self.places.get(place)?;
        if !stream.head.begins(head) {
            stream = self.places.get(place ^ 1)?;
            if !stream.head.begins(head) {
                return None;
            }
        }
        let c = Cursor::standing(look, input.bytes, input.len, stream.head.len());
        match stream.kind {
            Kind::Trade => stream.trade(c),
            Kind::Quote => stream.quote(c),
        }
    }

    /// Remembers a stream whose message was read as `kind` behind `head`. The first streams of
    /// two places keep them: the streams of a run do not change.
    pub fn learn(&mut self, kind: Kind, head: &[u8], input: &Input<'_>, listed: &Listed) {
        let decimals = (listed.price_decimals, listed.qty_decimals);
        let usual = decimals == (WIRE_DECIMALS, WIRE_DECIMALS) && head.starts_with(NAME_KEY);
        let Some(start) = input.bytes.first_chunk().filter(|_| usual) else { return };
        let Some((stream, at)) = Stream::new(kind, head, listed).zip(Some(self.place(start)))
        else {
            return;
        };
        let is_known = [at, at ^ 1].iter().any(|at| self.places[*at].head.begins(start));
        let free = [at, at ^ 1].into_iter().find(|at| self.places[*at].head.len() == 0);
        if let Some(at) = free.filter(|_| !is_known) {
            self.places[at] = stream;
        }
    }

    /// The first place of the stream: by the first 16 bytes of its name and what follows.
    #[inline(always)]
    fn place(&self, head: &[u8; HEAD_BYTES]) -> usize {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&head[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let mixed = word(NAME_AT) ^ word(NAME_AT + 8).rotate_left(29);
        let hash = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        hash as usize & (self.places.len() - 1)
    }
}

impl Stream {
    fn new(kind: Kind, head: &[u8], listed: &Listed) -> Option<Self> {
        let next: &[u8] = match kind {
            Kind::Trade => b"\",\"t\":",
            Kind::Quote => b"\",\"b\":\"",
        };
        let mut mid = [0; MID_BYTES];
        let mut len = 0;
        for part in [b",\"s\":\"", listed.symbol.as_bytes(), next] {
            mid.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        let (head, mid) = (Masked::new(head)?, Masked::new(&mid[..len])?);
        Some(Self { head, mid, kind, instrument: listed.id })
    }

    #[inline(always)]
    fn trade<L: Look>(&self, mut c: Cursor<'_, L>) -> Option<Read> {
        let time = c.long_integer()?;
        c.known::<MID_WORDS, MID_BYTES>(&self.mid)?;
        let id = c.long_integer()?;
        c.expect(b",\"p\":\"")?;
        let trade = c.pair_8(b"\",\"q\":\"", b"\",\"T\":")?;
        c.skip_long_integer()?;
        let sold = c.ends(b",\"m\":true,\"M\":true}}", b",\"m\":false,\"M\":true}}")?;
        let aggressor = if sold { Side::Sell } else { Side::Buy };
        let body = MarketBody::Trade { id, price: trade.price, qty: trade.qty, aggressor };
        Some((self.instrument, time as i64, body))
    }

    #[inline(always)]
    fn quote<L: Look>(&self, mut c: Cursor<'_, L>) -> Option<Read> {
        let id = c.long_integer()?;
        c.known::<MID_WORDS, MID_BYTES>(&self.mid)?;
        let bid = c.pair_8(b"\",\"B\":\"", b"\",\"a\":\"")?;
        let ask = c.pair_8(b"\",\"A\":\"", b"\"}}")?;
        c.finish()?;
        Some((self.instrument, 0, MarketBody::Quote { id, bid, ask }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binance::market::BinanceMarket;
    use crate::market::{BlockPool, Decoded, MarketDecoder, Sink};
    use bot4_simd::TextKernels;
    use bot4_types::limits::{FRAME_PADDING, INSTRUMENTS_MAX};
    use bot4_types::text::units_to_string;
    use bot4_types::{ConnId, FrameKind, Instrument, InstrumentTable, Nanos, Symbol, Trail};
    use proptest::prelude::*;

    const SYMBOLS: [&str; 5] =
        ["BTCUSDT", "ETHUSDT", "A", "1000SATSFDUSD", "LONGESTNAMEOFALLUSDTX"];

    fn table() -> InstrumentTable {
        let mut table = InstrumentTable::new();
        for name in SYMBOLS {
            let symbol = Symbol::new(name).expect("short");
            table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
        }
        table
    }

    fn input(bytes: &[u8], len: usize) -> Input<'_> {
        Input {
            bytes,
            len,
            conn: ConnId(1),
            kind: FrameKind::Market,
            trail: Trail::start(Nanos(5)),
            instrument: None,
        }
    }

    /// The numbers of a message: number, time, price, quantity, taker.
    type Numbers = (u64, u64, i64, i64, bool);

    fn numbers() -> impl Strategy<Value = Numbers> {
        let integer = || {
            prop_oneof![
                6 => 100_000_000u64..10_000_000_000_000_000,
                1 => 0u64..1_000_000_000,
                1 => 1_000_000_000_000_000u64..1_000_000_000_000_000_000,
            ]
        };
        let units = || prop_oneof![6 => 0i64..10_000_000_000_000_000, 1 => 0i64..i64::MAX];
        (integer(), integer(), units(), units(), any::<bool>())
    }

    fn text(kind: Kind, symbol: &str, (id, time, price, qty, sold): Numbers) -> String {
        let name = symbol.to_ascii_lowercase();
        let (p, q) = (units_to_string(price, 8), units_to_string(qty, 8));
        match kind {
            Kind::Trade => format!(
                "{{\"stream\":\"{name}@trade\",\"data\":{{\"e\":\"trade\",\"E\":{time},\
                 \"s\":\"{symbol}\",\"t\":{id},\"p\":\"{p}\",\"q\":\"{q}\",\"T\":{time},\
                 \"m\":{sold},\"M\":true}}}}"
            ),
            Kind::Quote => format!(
                "{{\"stream\":\"{name}@bookTicker\",\"data\":{{\"u\":{id},\"s\":\"{symbol}\",\
                 \"b\":\"{p}\",\"B\":\"{q}\",\"a\":\"{q}\",\"A\":\"{p}\"}}}}"
            ),
        }
    }

    fn told(sink: &mut Sink) -> Option<String> {
        sink.drain().next().map(|event| format!("{event:?}"))
    }

    proptest! {
        /// The general reader says the same of every message of known streams, damaged or not,
        /// whatever follows it, and the usual ones are read here.
        #[test]
        fn known_streams_are_read_as_the_general_reader_does(
            messages in proptest::collection::vec(
                (0..SYMBOLS.len(), any::<bool>(), numbers(), 0usize..400, "[0-9\",:}a-zA-Z]",
                 0..=FRAME_PADDING, any::<u8>()), 1..40),
        ) {
            let mut decoder = BinanceMarket::new(&table());
            let mut sink = Sink::new(BlockPool::new([1, 1, 1]));
            for (symbol, is_trade, numbers, at, byte, pad, filler) in messages {
                let kind = if is_trade { Kind::Trade } else { Kind::Quote };
                let mut bytes = text(kind, SYMBOLS[symbol], numbers).into_bytes();
                let len = bytes.len();
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte.as_bytes()[0];
                }
                bytes.resize(len + pad, filler);
                let ours = decoder.decode(input(&bytes, len), &mut sink);
                let ours = (ours, told(&mut sink));
                let twin = decoder.decode_generally(input(&bytes, len), &mut sink);
                prop_assert_eq!(ours, (twin, told(&mut sink)), "{}", String::from_utf8_lossy(&bytes));
            }
        }

        /// Usual numbers of a stream that was seen need no scanner.
        #[test]
        fn usual_messages_are_read_here(
            symbol in 0..4usize, is_trade in any::<bool>(), sold in any::<bool>(),
            id in 100_000_000u64..10_000_000_000_000_000,
            price in 0i64..10_000_000_000_000_000, qty in 0i64..10_000_000_000_000_000,
        ) {
            let kind = if is_trade { Kind::Trade } else { Kind::Quote };
            let table = table();
            let listed = crate::symbols::SymbolTable::new(&table)
                .find(SYMBOLS[symbol].as_bytes()).expect("listed");
            let text = text(kind, SYMBOLS[symbol], (id, id, price, qty, sold));
            let key = if is_trade { "\"E\":" } else { "\"u\":" };
            let head = text.find(key).expect("has one") + 4;
            let mut bytes = text.clone().into_bytes();
            bytes.resize(text.len() + FRAME_PADDING, b'7');
            let input = input(&bytes, text.len());
            let mut known = KnownStreams::new(SYMBOLS.len());
            prop_assert!(known.read(TextKernels::best(), &input).is_none());
            for _ in 0..3 {
                known.learn(kind, &bytes[..head], &input, &listed);
            }
            let taken = known.places.iter().filter(|place| place.head.len() > 0).count();
            prop_assert_eq!(taken, 1, "a stream takes one place");
            let read = known.read(TextKernels::best(), &input);
            let read = read.map(|(id, _, body)| (id, format!("{body:?}")));
            let twin = match kind {
                Kind::Trade => {
                    let aggressor = if sold { Side::Sell } else { Side::Buy };
                    MarketBody::Trade { id, price, qty, aggressor }
                }
                Kind::Quote => {
                    use bot4_types::Level;
                    let bid = Level { price, qty };
                    MarketBody::Quote { id, bid, ask: Level { price: qty, qty: price } }
                }
            };
            prop_assert_eq!(read, Some((listed.id, format!("{twin:?}"))));
        }
    }

    /// The largest table, two streams each, not all of which find a place.
    #[test]
    fn streams_without_a_place_are_read_too() {
        let mut table = InstrumentTable::new();
        let names: Vec<String> = (0..INSTRUMENTS_MAX).map(|n| format!("C{n}USDT")).collect();
        for name in &names {
            let symbol = Symbol::new(name).expect("short");
            table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
        }
        let mut decoder = BinanceMarket::new(&table);
        let mut sink = Sink::new(BlockPool::new([1, 1, 1]));
        for (round, kind) in [Kind::Trade, Kind::Quote].repeat(2).into_iter().enumerate() {
            for (n, name) in names.iter().enumerate() {
                let text = text(kind, name, (round as u64 + 1, 1_723_161_255_208, 5, 7, true));
                let mut bytes = text.clone().into_bytes();
                bytes.resize(text.len() + FRAME_PADDING, 0);
                let answer = decoder.decode(input(&bytes, text.len()), &mut sink);
                assert_eq!(answer, Ok(Decoded::Events));
                let event = sink.drain().next().expect("staged");
                assert_eq!(event.instrument.index(), n);
            }
        }
        assert_eq!(decoder.fallbacks(), 0);
    }
}
