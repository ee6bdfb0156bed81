//! The baseline of the parsers: serde_json into typed structs that borrow from the text, numbers
//! by the plain decimal reader, the same event as the engine's decoder at the end.
//!
//! This is what a careful program without a scanner of its own does. The kind of a message is
//! told from the stream's name before parsing, which favours the baseline.

use bot4_types::text::parse_units;
use bot4_types::{ConnId, InstrumentId, Level, MarketBody, MarketEvent, Side, Trail};
use bot4_venues::BlockPool;
use serde::Deserialize;

use crate::texts::SYMBOL;

/// Decimals of prices and quantities on the wire.
const DECIMALS: u8 = 8;

/// A library that reads JSON into typed structs.
pub trait Json {
    /// `text` as a `T` that may borrow from it.
    fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T>;
}

/// serde_json: the baseline.
#[derive(Clone, Copy, Debug)]
pub struct SerdeJson;

impl Json for SerdeJson {
    fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
        serde_json::from_slice(text).ok()
    }
}

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

/// Reads one combined-stream message; `None` when it is not one, or its number is not.
#[must_use]
pub fn read<J: Json>(text: &[u8], trail: Trail, pool: &mut BlockPool) -> Option<MarketEvent> {
    let name = text.strip_prefix(b"{\"stream\":\"")?;
    let kind = &name[name.iter().position(|b| *b == b'@')? + 1..];
    let (body, venue_ms) = match kind.first()? {
        b'd' => depth::<J>(text, pool)?,
        b't' => trade::<J>(text)?,
        _ => quote::<J>(text)?,
    };
    Some(MarketEvent { trail, body, venue_ms, instrument: InstrumentId(0), conn: ConnId(0) })
}

fn depth<J: Json>(text: &[u8], pool: &mut BlockPool) -> Option<(MarketBody, i64)> {
    let Combined { data } = J::read::<Combined<Depth<'_>>>(text)?;
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

fn trade<J: Json>(text: &[u8]) -> Option<(MarketBody, i64)> {
    let Combined { data } = J::read::<Combined<Trade<'_>>>(text)?;
    known(data.symbol)?;
    let Level { price, qty } = level(data.price, data.qty)?;
    let aggressor = if data.buyer_is_maker { Side::Sell } else { Side::Buy };
    Some((MarketBody::Trade { id: data.id, price, qty, aggressor }, data.time))
}

fn quote<J: Json>(text: &[u8]) -> Option<(MarketBody, i64)> {
    let Combined { data } = J::read::<Combined<Quote<'_>>>(text)?;
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
