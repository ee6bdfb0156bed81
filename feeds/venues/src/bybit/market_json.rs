//! Market messages by the general reader: any order of keys, any blanks, unknown keys.
//!
//! Decides what is wrong with a message that the scanner refused, serves the rare ones, and is
//! the scanner's oracle.

use bot4_types::{Level, MarketBody, Side};

use super::market::BookHead;
use super::trade_id::trade_number;
use crate::json::{Fields, FieldsExt, Node, text_of};
use crate::market::{DecodeError, Decoded, Ignored, Input, Notice, Sink};
use crate::number::market_units;
use crate::stage::{Trade, read_sides, stage};
use crate::symbols::{Listed, SymbolTable};

type Read<T> = Result<T, DecodeError>;

/// The trade service restarts: requests under way finish, new ones need a new connection.
const RESTARTS: i64 = 10_019;

pub(super) fn read(
    root: Node<'_, '_>,
    input: &Input<'_>,
    symbols: &mut SymbolTable,
    sink: &mut Sink,
) -> Read<Decoded> {
    let root = root.as_object().ok_or(DecodeError::Schema)?;
    if !root.has("topic") {
        return control(&root);
    }
    let (stream, rest) = root.text("topic")?.split_once('.').ok_or(DecodeError::Schema)?;
    match stream {
        "orderbook" => book(&root, rest, input, symbols, sink),
        "publicTrade" => trades(&root, rest, input, symbols, sink),
        "tickers" => Ok(Decoded::Ignored(Ignored::Ticker)),
        "kline" => Ok(Decoded::Ignored(Ignored::Kline)),
        _ => Ok(Decoded::Ignored(Ignored::Other)),
    }
}

/// Answers to requests: spot and derivatives state success, options list topics, the trade
/// connection has codes.
fn control(root: &Fields<'_, '_>) -> Read<Decoded> {
    if root.has("retCode") {
        return Ok(match root.signed("retCode")? {
            0 => Decoded::Ignored(Ignored::ControlAnswer),
            RESTARTS => Decoded::Notice(Notice::ServerShutdown),
            code => Decoded::Notice(Notice::ControlRefused(code)),
        });
    }
    let failed = root.fields("data").and_then(|data| data.list("failTopics").ok());
    if failed.is_some_and(|topics| !topics.is_empty())
        || (root.has("success") && !root.truth("success")?)
    {
        return Ok(Decoded::Notice(Notice::ControlRefused(0)));
    }
    if root.has("op") || root.has("success") {
        return Ok(Decoded::Ignored(Ignored::ControlAnswer));
    }
    Err(DecodeError::Schema)
}

/// Whether the message is a delta, and the time of its publisher.
fn envelope(root: &Fields<'_, '_>) -> Read<(bool, i64)> {
    let ts = root.signed("ts")?;
    match root.text("type")? {
        "delta" => Ok((true, ts)),
        "snapshot" => Ok((false, ts)),
        _ => Err(DecodeError::Schema),
    }
}

fn book(
    root: &Fields<'_, '_>,
    topic: &str,
    input: &Input<'_>,
    symbols: &mut SymbolTable,
    sink: &mut Sink,
) -> Read<Decoded> {
    let (depth, symbol) = topic.split_once('.').ok_or(DecodeError::Schema)?;
    // Numbered apart from the book: see the folder's documentation.
    if depth == "1" {
        return Ok(Decoded::Ignored(Ignored::PartialDepth));
    }
    // `orderbook.full` and its like.
    let is_number = depth.bytes().all(|b| b.is_ascii_digit());
    if !is_number || depth.is_empty() || depth.starts_with('0') {
        return Ok(Decoded::Ignored(Ignored::Other));
    }
    let (is_delta, ts) = envelope(root)?;
    let f = root.fields("data").ok_or(DecodeError::Schema)?;
    let listed = listed(&f, symbol, symbols)?;
    let (bids, asks) = (f.list("b")?, f.list("a")?);
    let time = if root.has("cts") { root.signed("cts")? } else { 0 };
    let head = BookHead {
        bids: bids.len() as u32,
        asks: asks.len() as u32,
        update: f.unsigned("u")?,
        ms: if time == 0 { ts } else { time },
    };
    let (block, ..) = read_sides(&bids, &asks, sink, |value| level(value, &listed))?;
    stage(sink, input, &listed, head.ms, head.body(is_delta, block))?;
    Ok(Decoded::Events)
}

fn level(value: Node<'_, '_>, listed: &Listed) -> Read<Level> {
    let pair = value.as_array().ok_or(DecodeError::Schema)?;
    if pair.len() != 2 {
        return Err(DecodeError::Schema);
    }
    let mut texts = pair.iter().map(text_of);
    let mut next = || texts.next().flatten().ok_or(DecodeError::Schema);
    Ok(Level {
        price: market_units(next()?, listed.price_decimals)?,
        qty: market_units(next()?, listed.qty_decimals)?,
    })
}

fn trades(
    root: &Fields<'_, '_>,
    symbol: &str,
    input: &Input<'_>,
    symbols: &mut SymbolTable,
    sink: &mut Sink,
) -> Read<Decoded> {
    let (is_delta, _) = envelope(root)?;
    let data = root.list("data")?;
    if is_delta || data.is_empty() {
        return Err(DecodeError::Schema);
    }
    let listed = symbols.find(symbol.as_bytes()).ok_or(DecodeError::UnknownSymbol)?;
    let mut all = data.iter().map(|value| trade(value, symbol, &listed));
    if data.len() == 1 {
        let one = all.next().ok_or(DecodeError::Schema)??;
        stage(sink, input, &listed, one.ms, one.body())?;
        return Ok(Decoded::Events);
    }
    let needed = 2 * data.len();
    let Some(mut block) = sink.pool.take(needed) else { return Err(sink.pool.lack(needed)) };
    let mut ms = 0;
    for (at, trade) in all.enumerate() {
        let written = trade.and_then(|trade| {
            ms = trade.ms;
            trade.write(block.levels_mut(), at).ok_or(DecodeError::TooManyLevels)
        });
        if let Err(e) = written {
            sink.pool.give_back(block);
            return Err(e);
        }
    }
    let body = MarketBody::Trades { count: data.len() as u32, block };
    stage(sink, input, &listed, ms, body)?;
    Ok(Decoded::Events)
}

fn trade(value: Node<'_, '_>, symbol: &str, listed: &Listed) -> Read<Trade> {
    let f = value.as_object().ok_or(DecodeError::Schema)?;
    if f.text("s")? != symbol {
        return Err(DecodeError::Schema);
    }
    Ok(Trade {
        id: trade_number(f.text("i")?.as_bytes()).ok_or(DecodeError::Schema)?,
        price: market_units(f.text("p")?, listed.price_decimals)?,
        qty: market_units(f.text("v")?, listed.qty_decimals)?,
        aggressor: match f.text("S")? {
            "Buy" => Side::Buy,
            "Sell" => Side::Sell,
            _ => return Err(DecodeError::Schema),
        },
        ms: f.signed("T")?,
    })
}

/// The instrument that topic and data name alike.
fn listed(f: &Fields<'_, '_>, symbol: &str, symbols: &mut SymbolTable) -> Read<Listed> {
    if f.text("s")? != symbol {
        return Err(DecodeError::Schema);
    }
    symbols.find(symbol.as_bytes()).ok_or(DecodeError::UnknownSymbol)
}
