//! sonic-rs on the hot messages of every venue, into typed structs that borrow from the text.
//! What an event does not need (names of channels, `seq`, the publisher's time) is passed over,
//! and times printed as text are not converted, which both favours the rival.

use std::hint::black_box;
use std::rc::Rc;

use bot4_bench::case::Case;
use bot4_bench::shapes::{Kind, Scan, Shape};
use bot4_bench::texts::Feed;
use bot4_simd::TextKernels;
use bot4_types::text::parse_units;
use bot4_types::{Level, LevelBlock, MarketBody, Side};
use bot4_venues::{BlockPool, Venue};

use crate::messages::{self as m, Numbers, Sides};

/// What the rival made of a message.
#[derive(Debug)]
pub enum Told {
    /// Levels, bids first, and how many.
    Levels(LevelBlock, usize),
    /// Number, price and quantity, taker.
    Trade(u64, Level, Side),
    /// Number, bid, ask.
    Quote(u64, Level, Level),
}

/// One call reads the next message of the feed.
pub struct Sonic {
    shape: Shape,
    numbers: Numbers,
    feed: Rc<Feed>,
    pool: BlockPool,
    next: usize,
}

impl Sonic {
    /// A reader at the start of `feed`.
    pub fn new(shape: Shape, numbers: Numbers, feed: &Rc<Feed>) -> Self {
        let pool = BlockPool::new([4, 2, 1]);
        Self { shape, numbers, feed: Rc::clone(feed), pool, next: 0 }
    }

    fn read_next(&mut self) -> Option<Told> {
        let feed = Rc::clone(&self.feed);
        let (bytes, len) = feed.at(self.next);
        self.next = if self.next + 1 == feed.len() { 0 } else { self.next + 1 };
        let text = black_box(&bytes[..len]);
        match self.shape.kind {
            Kind::Change(_) => self.change(text),
            Kind::Trade => self.trade(text),
            Kind::Quote => self.quote(text),
        }
    }

    fn level(&self, price: &str, qty: &str) -> Option<Level> {
        let (p, q) = self.shape.decimals();
        let price = parse_units(price.as_bytes(), p).ok()?;
        Some(Level { price, qty: parse_units(qty.as_bytes(), q).ok()? })
    }

    fn change(&mut self, text: &[u8]) -> Option<Told> {
        match (self.shape.venue, self.numbers) {
            (Venue::Binance | Venue::BinanceUsdm, _) => {
                let m::Combined { data } = m::read::<m::Combined<m::BinanceDepth<'_>>>(text)?;
                black_box((data.time, data.first, data.last));
                self.sides(data.symbol, &data.bids, &data.asks, |s, (p, q)| s.level(p, q))
            }
            (Venue::Bybit | Venue::BybitLinear, _) => {
                let m::Message { data } = m::read::<m::Message<m::BybitBook<'_>>>(text)?;
                black_box(data.update);
                self.sides(data.symbol, &data.bids, &data.asks, |s, (p, q)| s.level(p, q))
            }
            (Venue::Okx, _) => {
                let m::Okx { arg, data: [book] } = m::read::<m::Okx<'_, m::OkxBook<'_>>>(text)?;
                black_box((book.ts, book.checksum, book.last, book.prev));
                self.sides(arg.symbol, &book.bids, &book.asks, |s, l| s.level(l.0, l.1))
            }
            (Venue::Kraken, Numbers::Text) => {
                type Book<'a> = m::KrakenBook<'a, m::TextLevel<'a>>;
                let m::Message { data: [book] } = m::read::<m::Message<[Book<'_>; 1]>>(text)?;
                black_box((book.checksum, book.timestamp));
                self.sides(book.symbol, &book.bids, &book.asks, |s, l| {
                    s.level(l.price.as_raw_str(), l.qty.as_raw_str())
                })
            }
            (Venue::Kraken, Numbers::Float) => {
                type Book<'a> = m::KrakenBook<'a, m::FloatLevel>;
                let m::Message { data: [book] } = m::read::<m::Message<[Book<'_>; 1]>>(text)?;
                black_box((book.checksum, book.timestamp));
                let (p, q) = self.shape.decimals();
                let [p, q] = [p, q].map(|d| 10f64.powi(i32::from(d)));
                let units = |value: f64, unit: f64| (value * unit).round() as i64;
                self.sides(book.symbol, &book.bids, &book.asks, |_, l| {
                    Some(Level { price: units(l.price, p), qty: units(l.qty, q) })
                })
            }
            (Venue::Coinbase, _) => {
                let message = m::read::<m::Coinbase<'_, m::CoinbaseBook<'_>>>(text)?;
                black_box((message.timestamp, message.sequence));
                let [book] = message.events;
                self.updates(&book)
            }
        }
    }

    fn sides<L>(
        &mut self,
        symbol: &str,
        bids: &[L],
        asks: &[L],
        level: impl Fn(&Self, &L) -> Option<Level>,
    ) -> Option<Told> {
        let count = bids.len() + asks.len();
        let mut block = (symbol == self.shape.symbol()).then(|| self.pool.take(count))??;
        for (place, read) in block.levels_mut().iter_mut().zip(bids.iter().chain(asks)) {
            *place = level(self, read)?;
        }
        Some(Told::Levels(block, count))
    }

    fn updates(&mut self, book: &m::CoinbaseBook<'_>) -> Option<Told> {
        let count = book.updates.len();
        let mut block = (book.symbol == self.shape.symbol()).then(|| self.pool.take(count))??;
        let mut sides = Sides::new(block.levels_mut());
        for update in &book.updates {
            let is_bid = update.side == "bid";
            sides.push(is_bid, self.level(update.price, update.qty)?)?;
        }
        sides.finish();
        Some(Told::Levels(block, count))
    }

    fn trade(&self, text: &[u8]) -> Option<Told> {
        let known = |symbol: &str| (symbol == self.shape.symbol()).then_some(());
        let taker = |buys: bool| if buys { Side::Buy } else { Side::Sell };
        let (id, level, buys) = match self.shape.venue {
            Venue::Binance | Venue::BinanceUsdm => {
                let m::Combined { data: t } = m::read::<m::Combined<m::BinanceTrade<'_>>>(text)?;
                known(t.symbol)?;
                black_box(t.time);
                (t.id, self.level(t.price, t.qty)?, !t.buyer_is_maker)
            }
            Venue::Kraken => {
                type Trades<'a> = m::Message<[m::KrakenTrade<'a>; 1]>;
                let m::Message { data: [t] } = m::read::<Trades<'_>>(text)?;
                known(t.symbol)?;
                black_box(t.timestamp);
                (t.id, self.level(t.price.as_raw_str(), t.qty.as_raw_str())?, t.side == "buy")
            }
            Venue::Bybit | Venue::BybitLinear => {
                type Trades<'a> = m::Message<[m::BybitTrade<'a>; 1]>;
                let m::Message { data: [t] } = m::read::<Trades<'_>>(text)?;
                known(t.symbol)?;
                black_box(t.time);
                let id = bot4_venues::bybit::trade_id::trade_number(t.id.as_bytes())?;
                (id, self.level(t.price, t.qty)?, t.side == "Buy")
            }
            Venue::Okx => {
                let m::Okx { data: [t], .. } = m::read::<m::Okx<'_, m::OkxTrade<'_>>>(text)?;
                known(t.symbol)?;
                black_box(t.ts.parse::<i64>().ok()?);
                (t.id.parse().ok()?, self.level(t.price, t.qty)?, t.side == "buy")
            }
            Venue::Coinbase => {
                let message = m::read::<m::Coinbase<'_, m::CoinbaseTrades<'_>>>(text)?;
                black_box((message.timestamp, message.sequence));
                let [m::CoinbaseTrades { trades: [t] }] = message.events;
                known(t.symbol)?;
                black_box(t.time);
                (t.id.parse().ok()?, self.level(t.price, t.qty)?, t.side == "SELL")
            }
        };
        Some(Told::Trade(id, level, taker(buys)))
    }

    fn quote(&self, text: &[u8]) -> Option<Told> {
        let known = |symbol: &str| (symbol == self.shape.symbol()).then_some(());
        if self.shape.venue == Venue::Okx {
            let m::Okx { arg, data: [q] } = m::read::<m::Okx<'_, m::OkxQuote<'_>>>(text)?;
            known(arg.symbol)?;
            black_box(q.ts.parse::<i64>().ok()?);
            let ([bid], [ask]) = (q.bids, q.asks);
            return Some(Told::Quote(q.id, self.level(bid.0, bid.1)?, self.level(ask.0, ask.1)?));
        }
        let m::Combined { data: q } = m::read::<m::Combined<m::BinanceQuote<'_>>>(text)?;
        known(q.symbol)?;
        black_box(q.time);
        Some(Told::Quote(q.id, self.level(q.bid, q.bid_qty)?, self.level(q.ask, q.ask_qty)?))
    }
}

impl Case for Sonic {
    #[inline]
    fn call(&mut self) {
        let told = self.read_next().expect("every message is read: checked beforehand");
        if let Told::Levels(block, _) = black_box(told) {
            self.pool.give_back(block);
        }
    }
}

/// The rival reads `feed` as we do, at every level.
///
/// # Errors
/// The first message where it does not.
pub fn agree(shape: Shape, numbers: Numbers, feed: &Rc<Feed>) -> Result<(), String> {
    for kernels in TextKernels::all() {
        let mut own = Scan::new(shape, kernels, feed);
        let mut sonic = Sonic::new(shape, numbers, feed);
        for n in 0..feed.len() {
            let mine = own.read_next().body;
            let Some(theirs) = sonic.read_next() else {
                return Err(format!("message {n} of {} not read", shape.name()));
            };
            let same = match (&mine, &theirs) {
                (MarketBody::Depth { bids, asks, block, .. }, Told::Levels(told, count)) => {
                    (bids + asks) as usize == *count
                        && block.levels()[..*count] == told.levels()[..*count]
                }
                (
                    MarketBody::Trade { id, price, qty, aggressor },
                    Told::Trade(theirs, level, side),
                ) => (id, price, qty, aggressor) == (theirs, &level.price, &level.qty, side),
                (MarketBody::Quote { id, bid, ask }, Told::Quote(theirs, b, a)) => {
                    (id, bid, ask) == (theirs, b, a)
                }
                _ => false,
            };
            own.give_back(mine);
            if let Told::Levels(block, _) = theirs {
                sonic.pool.give_back(block);
            }
            if !same {
                return Err(format!("message {n} of {} differs", shape.name()));
            }
        }
    }
    Ok(())
}
