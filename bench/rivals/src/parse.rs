//! sonic-rs into typed structs that borrow from the text, numbers by the plain decimal reader.
//! The kind of a message is told from the stream's name before parsing, which favours the rival.

use std::hint::black_box;
use std::rc::Rc;

use bot4_bench::case::Case;
use bot4_bench::parse::{Parse, Reader};
use bot4_bench::texts::{Feed, SYMBOL};
use bot4_types::text::parse_units;
use bot4_types::{ConnId, InstrumentId, Level, MarketBody, MarketEvent, Nanos, Side, Trail};
use bot4_venues::BlockPool;
use serde::Deserialize;

const DECIMALS: u8 = 8;

#[derive(Deserialize)]
struct Combined<T> {
    data: T,
}

#[derive(Deserialize)]
struct Depth<'a> {
    #[serde(rename = "E")]
    time: i64,
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(rename = "b", borrow)]
    bids: Vec<(&'a str, &'a str)>,
    #[serde(rename = "a", borrow)]
    asks: Vec<(&'a str, &'a str)>,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(rename = "E")]
    time: i64,
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "t")]
    id: u64,
    #[serde(rename = "p")]
    price: &'a str,
    #[serde(rename = "q")]
    qty: &'a str,
    #[serde(rename = "m")]
    buyer_is_maker: bool,
}

#[derive(Deserialize)]
struct Quote<'a> {
    #[serde(rename = "u")]
    id: u64,
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "b")]
    bid: &'a str,
    #[serde(rename = "B")]
    bid_qty: &'a str,
    #[serde(rename = "a")]
    ask: &'a str,
    #[serde(rename = "A")]
    ask_qty: &'a str,
}

/// Our decoder as it runs.
pub fn ours(feed: &Rc<Feed>) -> Parse {
    Parse::new(Reader::Scanner, feed)
}

/// One call reads the next message of the feed.
pub struct Sonic {
    feed: Rc<Feed>,
    pool: BlockPool,
    next: usize,
}

impl Sonic {
    /// A reader at the start of `feed`.
    pub fn new(feed: &Rc<Feed>) -> Self {
        Self { feed: Rc::clone(feed), pool: BlockPool::new([4, 2, 1]), next: 0 }
    }

    fn read_next(&mut self) -> Option<MarketEvent> {
        let (bytes, len) = self.feed.at(self.next);
        self.next = if self.next + 1 == self.feed.len() { 0 } else { self.next + 1 };
        read(black_box(&bytes[..len]), &mut self.pool)
    }
}

impl Case for Sonic {
    #[inline]
    fn call(&mut self) {
        let event = self.read_next().expect("every message is read: checked beforehand");
        if let MarketBody::Depth { block, .. } = black_box(event).body {
            self.pool.give_back(block);
        }
    }
}

fn read(text: &[u8], pool: &mut BlockPool) -> Option<MarketEvent> {
    let name = text.strip_prefix(b"{\"stream\":\"")?;
    let kind = &name[name.iter().position(|b| *b == b'@')? + 1..];
    let (body, venue_ms) = match kind.first()? {
        b'd' => depth(text, pool)?,
        b't' => trade(text)?,
        _ => quote(text)?,
    };
    let trail = Trail::start(Nanos(1));
    Some(MarketEvent { trail, body, venue_ms, instrument: InstrumentId(0), conn: ConnId(0) })
}

fn depth(text: &[u8], pool: &mut BlockPool) -> Option<(MarketBody, i64)> {
    let Combined { data } = sonic_rs::from_slice::<Combined<Depth<'_>>>(text).ok()?;
    known(data.symbol)?;
    let (bids, asks) = (data.bids.len() as u32, data.asks.len() as u32);
    let mut block = pool.take(data.bids.len() + data.asks.len())?;
    let pairs = data.bids.iter().chain(&data.asks);
    for (place, (price, qty)) in block.levels_mut().iter_mut().zip(pairs) {
        *place = level(price, qty)?;
    }
    let (first, last) = (data.first, data.last);
    let body = MarketBody::Depth { first, last, prev: 0, check: None, bids, asks, block };
    Some((body, data.time))
}

fn trade(text: &[u8]) -> Option<(MarketBody, i64)> {
    let Combined { data } = sonic_rs::from_slice::<Combined<Trade<'_>>>(text).ok()?;
    known(data.symbol)?;
    let Level { price, qty } = level(data.price, data.qty)?;
    let aggressor = if data.buyer_is_maker { Side::Sell } else { Side::Buy };
    Some((MarketBody::Trade { id: data.id, price, qty, aggressor }, data.time))
}

fn quote(text: &[u8]) -> Option<(MarketBody, i64)> {
    let Combined { data } = sonic_rs::from_slice::<Combined<Quote<'_>>>(text).ok()?;
    known(data.symbol)?;
    let (bid, ask) = (level(data.bid, data.bid_qty)?, level(data.ask, data.ask_qty)?);
    Some((MarketBody::Quote { id: data.id, bid, ask }, 0))
}

fn known(symbol: &str) -> Option<()> {
    (symbol == SYMBOL).then_some(())
}

fn level(price: &str, qty: &str) -> Option<Level> {
    Some(Level {
        price: parse_units(price.as_bytes(), DECIMALS).ok()?,
        qty: parse_units(qty.as_bytes(), DECIMALS).ok()?,
    })
}

fn told(event: &MarketEvent) -> String {
    match &event.body {
        MarketBody::Depth { first, last, bids, asks, block, .. } => {
            let levels = &block.levels()[..(bids + asks) as usize];
            format!("{first}..{last} {bids}/{asks} {levels:?}")
        }
        body => format!("{} {body:?}", event.venue_ms),
    }
}

/// The rival reads every message of `feed` as we do.
///
/// # Errors
/// The first message where it does not.
pub fn agree(feed: &Rc<Feed>) -> Result<(), String> {
    let (mut own, mut sonic) = (ours(feed), Sonic::new(feed));
    for n in 0..feed.len() {
        let mine = own.read_next();
        let Some(theirs) = sonic.read_next() else { return Err(format!("message {n} not read")) };
        let (a, b) = (told(&mine), told(&theirs));
        own.give_back(mine);
        if let MarketBody::Depth { block, .. } = theirs.body {
            sonic.pool.give_back(block);
        }
        if a != b {
            return Err(format!("message {n} differs: {a} and {b}"));
        }
    }
    Ok(())
}
