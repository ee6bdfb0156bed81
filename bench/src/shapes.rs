//! Hot messages of every venue as text: book changes, trades and best quotes as they are printed
//! today, and our decoder over them at a level of one's choice.

use std::fmt::Write as _;
use std::hint::black_box;
use std::rc::Rc;

use bot4_simd::TextKernels;
use bot4_types::rng::SplitMix64;
use bot4_types::text::units_to_string;
use bot4_types::{
    ConnId, FrameKind, Instrument, InstrumentId, InstrumentTable, MarketBody, MarketEvent, Nanos,
    Symbol, Trail,
};
use bot4_venues::stage::give_back;
use bot4_venues::{BlockPool, Input, MarketDecoder, Sink, Venue};

use crate::case::Case;
use crate::texts::Feed;

/// What a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A change of the book with so many levels, half a side; 37 % of them removals.
    Change(usize),
    /// One trade.
    Trade,
    /// The best bid and ask.
    Quote,
}

/// A kind of message of a venue. Coinbase, Kraken and Bybit have no best quotes among the
/// channels that the engine takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whose.
    pub venue: Venue,
    /// What.
    pub kind: Kind,
}

/// Where the prices of changes begin, in tenths: bids and asks.
const NEAR: [i64; 2] = [609_000, 611_000];

impl Shape {
    /// Every hot message there is.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let of = |venue, kind| Self { venue, kind };
        let mut all = Vec::new();
        for venue in Venue::ALL {
            all.extend([2, 8, 20].map(|levels| of(venue, Kind::Change(levels))));
            all.push(of(venue, Kind::Trade));
            if matches!(venue, Venue::Binance | Venue::BinanceUsdm | Venue::Okx) {
                all.push(of(venue, Kind::Quote));
            }
        }
        all
    }

    /// For example `okx/change20`.
    #[must_use]
    pub fn name(self) -> String {
        let venue = self.venue.name();
        match self.kind {
            Kind::Change(levels) => format!("{venue}/change{levels}"),
            Kind::Trade => format!("{venue}/trade"),
            Kind::Quote => format!("{venue}/quote"),
        }
    }

    /// The one symbol of its messages.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self.venue {
            Venue::Kraken => "BTC/USD",
            Venue::Coinbase => "BTC-USD",
            Venue::Okx => "BTC-USDT",
            _ => "BTCUSDT",
        }
    }

    /// Decimals of price and quantity.
    #[must_use]
    pub const fn decimals(self) -> (u8, u8) {
        match self.venue {
            Venue::Binance => (8, 8),
            Venue::BinanceUsdm => (2, 3),
            Venue::Bybit => (1, 6),
            Venue::BybitLinear => (1, 3),
            Venue::Kraken | Venue::Okx => (1, 8),
            Venue::Coinbase => (2, 8),
        }
    }

    /// The run's only instrument.
    ///
    /// # Panics
    /// Never: the symbol is short and the table empty.
    #[must_use]
    pub fn table(self) -> InstrumentTable {
        let symbol = Symbol::new(self.symbol()).expect("a short symbol");
        let mut instrument = Instrument::bare(InstrumentId(0), symbol, 0);
        (instrument.price_decimals, instrument.qty_decimals) = self.decimals();
        let mut table = InstrumentTable::new();
        table.push(instrument).expect("an empty table has room");
        table
    }

    /// `count` different messages.
    #[must_use]
    pub fn feed(self, count: usize, seed: u64) -> Feed {
        let mut rng = SplitMix64::new(seed);
        let mut feed = Feed::default();
        for n in 0..count as u64 {
            let text = match self.kind {
                Kind::Change(levels) => self.change(n, levels, &mut rng),
                Kind::Trade => self.trade(n, &mut rng),
                Kind::Quote => self.quote(n, &mut rng),
            };
            feed.push(&text);
        }
        feed
    }

    /// A number as the venue prints it: with all decimals, or without zeros at its end.
    fn number(self, tenths: bool, units: i64) -> String {
        let (p, q) = self.decimals();
        let decimals = if tenths { p } else { q };
        // Prices are drawn in tenths, as the pair's tick has it.
        let units = if tenths { units * 10i64.pow(u32::from(p) - 1) } else { units };
        let text = units_to_string(units, decimals);
        match self.venue {
            Venue::Binance | Venue::BinanceUsdm | Venue::Kraken => text,
            _ => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        }
    }

    fn price(self, from: i64, rng: &mut SplitMix64) -> String {
        self.number(true, from + rng.below(2_000) as i64)
    }

    /// Below three coins, in the steps of the pair's lot.
    fn qty(self, rng: &mut SplitMix64) -> String {
        let (_, q) = self.decimals();
        self.number(false, 1 + rng.below(3 * 10u64.pow(u32::from(q))) as i64)
    }

    fn level(self, side: usize, n: u64, rng: &mut SplitMix64) -> String {
        let price = self.price(NEAR[side], rng);
        let is_gone = rng.below(100) < 37;
        let qty = if is_gone { self.number(false, 0) } else { self.qty(rng) };
        match self.venue {
            Venue::Kraken => format!(r#"{{"price":{price},"qty":{qty}}}"#),
            Venue::Okx => {
                let orders = if is_gone { 0 } else { 1 + rng.below(12) };
                format!(r#"["{price}","{qty}","0","{orders}"]"#)
            }
            Venue::Coinbase => {
                let (side, us) = (["bid", "offer"][side], 153_024 + n);
                format!(
                    r#"{{"side":"{side}","event_time":"2026-08-09T21:05:55.{us:06}Z","price_level":"{price}","new_quantity":"{qty}"}}"#
                )
            }
            _ => format!(r#"["{price}","{qty}"]"#),
        }
    }

    fn change(self, n: u64, levels: usize, rng: &mut SplitMix64) -> String {
        let sides = [0, 1].map(|side| {
            let mut list = String::new();
            for i in 0..levels / 2 {
                let comma = if i > 0 { "," } else { "" };
                let _ = write!(list, "{comma}{}", self.level(side, n, rng));
            }
            list
        });
        let ([bids, asks], symbol, id) = (sides, self.symbol(), 62_505_425_000 + 20 * n);
        let (at, last) = (1_786_310_816_618 + 100 * n, id + 19);
        match self.venue {
            Venue::Binance => format!(
                r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{at},"s":"{symbol}","U":{id},"u":{last},"b":[{bids}],"a":[{asks}]}}}}"#
            ),
            Venue::BinanceUsdm => format!(
                r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{at},"T":{at},"s":"{symbol}","U":{id},"u":{last},"pu":{},"b":[{bids}],"a":[{asks}]}}}}"#,
                id - 1
            ),
            Venue::Kraken => format!(
                r#"{{"channel":"book","type":"update","data":[{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],"checksum":{},"timestamp":"2026-08-24T22:21:58.{n:06}Z"}}]}}"#,
                rng.next_u64() as u32
            ),
            Venue::Bybit | Venue::BybitLinear => format!(
                r#"{{"topic":"orderbook.200.{symbol}","ts":{at},"type":"delta","data":{{"s":"{symbol}","b":[{bids}],"a":[{asks}],"u":{},"seq":{last}}},"cts":{at}}}"#,
                62_505_425 + n
            ),
            Venue::Okx => format!(
                r#"{{"arg":{{"channel":"books","instId":"{symbol}"}},"action":"update","data":[{{"asks":[{asks}],"bids":[{bids}],"ts":"{at}","checksum":{},"seqId":{last},"prevSeqId":{id}}}]}}"#,
                rng.next_u64() as i32
            ),
            Venue::Coinbase => format!(
                r#"{{"channel":"l2_data","timestamp":"2026-08-09T21:05:55.{:09}Z","sequence_num":{n},"events":[{{"type":"update","product_id":"{symbol}","updates":[{bids},{asks}]}}]}}"#,
                169_655_359 + n
            ),
        }
    }

    fn trade(self, n: u64, rng: &mut SplitMix64) -> String {
        let (price, qty) = (self.price(NEAR[0], rng), self.qty(rng));
        let (symbol, at, sold) = (self.symbol(), 1_786_310_816_618 + n, rng.below(2) == 0);
        let id = 3_719_000_000 + n;
        match self.venue {
            Venue::Binance => format!(
                r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{at},"s":"{symbol}","t":{id},"p":"{price}","q":"{qty}","T":{at},"m":{sold},"M":true}}}}"#
            ),
            Venue::BinanceUsdm => format!(
                r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{at},"T":{at},"s":"{symbol}","t":{id},"p":"{price}","q":"{qty}","X":"MARKET","m":{sold}}}}}"#
            ),
            Venue::Kraken => format!(
                r#"{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"{}","price":{price},"qty":{qty},"ord_type":"limit","trade_id":{},"timestamp":"2026-08-24T22:21:58.{:06}Z"}}]}}"#,
                ["buy", "sell"][usize::from(sold)],
                70_635_251 + n,
                n % 1_000_000
            ),
            Venue::Bybit => format!(
                r#"{{"topic":"publicTrade.{symbol}","ts":{at},"type":"snapshot","data":[{{"i":"22800000{:011}","T":{at},"p":"{price}","v":"{qty}","S":"{}","seq":{id},"s":"{symbol}","BT":false,"RPI":false}}]}}"#,
                id,
                ["Buy", "Sell"][usize::from(sold)],
            ),
            Venue::BybitLinear => format!(
                r#"{{"topic":"publicTrade.{symbol}","type":"snapshot","ts":{at},"data":[{{"T":{at},"s":"{symbol}","S":"{}","v":"{qty}","p":"{price}","L":"PlusTick","i":"{:08x}-d8dd-5b31-9112-{:012x}","BT":false,"RPI":false,"seq":{id}}}]}}"#,
                ["Buy", "Sell"][usize::from(sold)],
                rng.next_u64() as u32,
                rng.next_u64() >> 16,
            ),
            Venue::Okx => format!(
                r#"{{"arg":{{"channel":"trades","instId":"{symbol}"}},"data":[{{"instId":"{symbol}","tradeId":"{id}","px":"{price}","sz":"{qty}","side":"{}","ts":"{at}","count":"1","source":"0","seqId":{}}}]}}"#,
                ["buy", "sell"][usize::from(sold)],
                279_183_506_666 + n,
            ),
            Venue::Coinbase => format!(
                r#"{{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.{:09}Z","sequence_num":{n},"events":[{{"type":"update","trades":[{{"product_id":"{symbol}","trade_id":"{id}","price":"{price}","size":"{qty}","time":"2026-08-09T21:05:48.{:06}Z","side":"{}"}}]}}]}}"#,
                251_397_169 + n,
                167_634 + n,
                ["SELL", "BUY"][usize::from(sold)],
            ),
        }
    }

    fn quote(self, n: u64, rng: &mut SplitMix64) -> String {
        let [bid, ask] = NEAR.map(|near| self.price(near, rng));
        let (bid_qty, ask_qty, symbol) = (self.qty(rng), self.qty(rng), self.symbol());
        let (id, at) = (50_093_239_212 + n, 1_786_310_816_618 + n);
        match self.venue {
            Venue::Okx => format!(
                r#"{{"arg":{{"channel":"bbo-tbt","instId":"{symbol}"}},"data":[{{"asks":[["{ask}","{ask_qty}","0","4"]],"bids":[["{bid}","{bid_qty}","0","2"]],"ts":"{at}","seqId":{id}}}]}}"#
            ),
            Venue::BinanceUsdm => format!(
                r#"{{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":{id},"s":"{symbol}","b":"{bid}","B":"{bid_qty}","a":"{ask}","A":"{ask_qty}","T":{at},"E":{at}}}}}"#
            ),
            _ => format!(
                r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{id},"s":"{symbol}","b":"{bid}","B":"{bid_qty}","a":"{ask}","A":"{ask_qty}"}}}}"#
            ),
        }
    }
}

/// Our decoder, as it runs, over one feed.
pub struct Scan {
    decoder: Box<dyn MarketDecoder>,
    sink: Sink,
    feed: Rc<Feed>,
    next: usize,
    conn: ConnId,
}

impl Scan {
    /// The decoder of `shape`'s venue by `kernels`, at the start of `feed`. Allocates what it
    /// will ever need.
    ///
    /// # Panics
    /// When the venue is not in the build.
    #[must_use]
    pub fn new(shape: Shape, kernels: TextKernels, feed: &Rc<Feed>) -> Self {
        let decoder = shape.venue.market_decoder_by(kernels, &shape.table());
        let mut decoder = decoder.expect("in the build");
        decoder.start();
        let sink = Sink::new(BlockPool::new([4, 2, 1]));
        Self { decoder, sink, feed: Rc::clone(feed), next: 0, conn: ConnId(0) }
    }

    /// Reads the next message; its event, whose block is to be given back.
    ///
    /// # Panics
    /// When a message is not read: every reader must read every message.
    #[inline]
    pub fn read_next(&mut self) -> MarketEvent {
        let (bytes, len) = self.feed.at(self.next);
        self.next += 1;
        if self.next == self.feed.len() {
            self.next = 0;
        }
        let input = Input {
            bytes: black_box(bytes),
            len,
            conn: self.conn,
            kind: FrameKind::Market,
            trail: Trail::start(Nanos(1)),
            instrument: None,
        };
        let read = self.decoder.decode(input, &mut self.sink);
        assert!(read.is_ok(), "the decoder reads every message: {read:?}");
        if self.next == 0 {
            // Numbered connections: the feed begins anew.
            self.decoder.line_up(self.conn);
        }
        self.sink.pop().expect("one event a message")
    }

    /// Gives the block of an event back to the pool.
    #[inline]
    pub fn give_back(&mut self, body: MarketBody) {
        give_back(&mut self.sink, body);
    }

    /// Messages that needed the general reader.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.decoder.fallbacks()
    }
}

impl Case for Scan {
    #[inline]
    fn call(&mut self) {
        let event = black_box(self.read_next());
        self.give_back(event.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanners_read_every_shape_at_every_level() {
        for shape in Shape::all() {
            let feed = Rc::new(shape.feed(40, 7));
            for kernels in TextKernels::all() {
                let mut case = Scan::new(shape, kernels, &feed);
                for _ in 0..2 * feed.len() {
                    let event = case.read_next();
                    let is_meant = matches!(
                        (shape.kind, &event.body),
                        (Kind::Change(_), MarketBody::Depth { .. })
                            | (Kind::Trade, MarketBody::Trade { .. })
                            | (Kind::Quote, MarketBody::Quote { .. })
                    );
                    assert!(is_meant, "{}: {event:?}", shape.name());
                    case.give_back(event.body);
                }
                assert_eq!(case.fallbacks(), 0, "{} {kernels:?}", shape.name());
            }
        }
    }
}
