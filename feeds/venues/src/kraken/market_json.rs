//! Market messages by the general reader: any order of keys, any blanks, unknown keys, exponents,
//! several books in one message.
//!
//! Decides what is wrong with a message that the scanner refused, serves the rare ones, and is
//! the scanner's oracle. Numbers come as their text ([`crate::json::Scratch::read_exact`]).

use bot4_types::{Level, LevelBlock, MarketBody, Side};

use super::market::BookHead;
use crate::json::{Fields, FieldsExt, List, Node};
use crate::market::{DecodeError, Decoded, Ignored, Input, Notice, Sink};
use crate::number::{json_units, rfc3339_ms, rfc3339_us_of_ms};
use crate::stage::{Trade, read_sides, stage, unstage};
use crate::symbols::{Listed, SymbolTable};

type Read<T> = Result<T, DecodeError>;

pub(super) fn read(
    root: Node<'_, '_>,
    input: &Input<'_>,
    symbols: &mut SymbolTable,
    sink: &mut Sink,
) -> Read<Decoded> {
    let root = root.as_object().ok_or(DecodeError::Schema)?;
    if !root.has("channel") {
        return control(&root);
    }
    match root.text("channel")? {
        "book" => whole(sink, |sink| books(&root, input, symbols, sink)),
        "trade" => match root.text("type")? {
            "update" => whole(sink, |sink| trades(&root, input, symbols, sink)),
            "snapshot" => Ok(Decoded::Ignored(Ignored::PastTrades)),
            _ => Err(DecodeError::Schema),
        },
        "heartbeat" => Ok(Decoded::Ignored(Ignored::Heartbeat)),
        "status" => status(&root),
        "ticker" => Ok(Decoded::Ignored(Ignored::Ticker)),
        "ohlc" => Ok(Decoded::Ignored(Ignored::Kline)),
        _ => Ok(Decoded::Ignored(Ignored::Other)),
    }
}

/// All events of a message or none.
fn whole(sink: &mut Sink, read: impl FnOnce(&mut Sink) -> Read<Decoded>) -> Read<Decoded> {
    let before = sink.len();
    let answer = read(sink).map_err(|e| match e {
        // Beyond what a frame may yield waiting would be for ever.
        DecodeError::Full if before == 0 => DecodeError::TooManyLevels,
        e => e,
    });
    if answer.is_err() {
        unstage(sink, before);
    }
    answer
}

/// Answers to requests. Refusals are texts without a number.
fn control(root: &Fields<'_, '_>) -> Read<Decoded> {
    if root.has("success") && !root.truth("success")? {
        return Ok(Decoded::Notice(Notice::ControlRefused(0)));
    }
    root.text("method")?;
    Ok(Decoded::Ignored(Ignored::ControlAnswer))
}

fn status(root: &Fields<'_, '_>) -> Read<Decoded> {
    let mut online = true;
    for entry in root.list("data")?.iter() {
        online &= entry.as_object().ok_or(DecodeError::Schema)?.text("system")? == "online";
    }
    Ok(if online {
        Decoded::Ignored(Ignored::ControlAnswer)
    } else {
        Decoded::Notice(Notice::Restricted)
    })
}

fn books(
    root: &Fields<'_, '_>,
    input: &Input<'_>,
    symbols: &mut SymbolTable,
    sink: &mut Sink,
) -> Read<Decoded> {
    let is_update = match root.text("type")? {
        "update" => true,
        "snapshot" => false,
        _ => return Err(DecodeError::Schema),
    };
    let data = root.list("data")?;
    some(&data)?;
    for entry in data.iter() {
        let f = entry.as_object().ok_or(DecodeError::Schema)?;
        let listed = listed(&f, symbols)?;
        let (bids, asks) = (f.list("bids")?, f.list("asks")?);
        let ms = time(&f);
        let head = BookHead {
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            check: integer(f.number("checksum")?).ok_or(DecodeError::Schema)?,
            ms,
            us: us_of_ms(&f),
        };
        let (block, ..) = read_sides(&bids, &asks, sink, |value| level(value, &listed))?;
        stage(sink, input, &listed, head.ms, head.body(is_update, block))?;
    }
    Ok(Decoded::Events)
}

fn level(value: Node<'_, '_>, listed: &Listed) -> Read<Level> {
    let f = value.as_object().ok_or(DecodeError::Schema)?;
    Ok(Level {
        price: json_units(f.number("price")?, listed.price_decimals)?,
        qty: json_units(f.number("qty")?, listed.qty_decimals)?,
    })
}

/// Trades of one instrument that follow each other.
struct Run {
    of: Listed,
    first: Trade,
    last_ms: i64,
    count: usize,
    block: LevelBlock,
}

/// One event for each run of trades of the same instrument.
fn trades(
    root: &Fields<'_, '_>,
    input: &Input<'_>,
    symbols: &mut SymbolTable,
    sink: &mut Sink,
) -> Read<Decoded> {
    let data = root.list("data")?;
    some(&data)?;
    let mut run: Option<Run> = None;
    for (at, value) in data.iter().enumerate() {
        let taken = trade(value, symbols).and_then(|(of, trade)| match run.as_mut() {
            Some(run) if run.of.id == of.id => run.add(&trade),
            _ => {
                let left = 2 * (data.len() - at);
                let block = sink.pool.take(left).ok_or_else(|| sink.pool.lack(left))?;
                let (last_ms, count) = (trade.ms, 1);
                let next = Run { of, first: trade, last_ms, count, block };
                run.replace(next).map_or(Ok(()), |done| done.stage(input, sink))
            }
        });
        if let Err(e) = taken {
            if let Some(run) = run {
                sink.pool.give_back(run.block);
            }
            return Err(e);
        }
    }
    run.map_or(Ok(()), |last| last.stage(input, sink))?;
    Ok(Decoded::Events)
}

impl Run {
    fn add(&mut self, trade: &Trade) -> Read<()> {
        // Its block has places for all trades of the message.
        let written = trade.write(self.block.levels_mut(), self.count);
        self.count += 1;
        self.last_ms = trade.ms;
        written.ok_or(DecodeError::TooManyLevels)
    }

    fn stage(mut self, input: &Input<'_>, sink: &mut Sink) -> Read<()> {
        if self.count == 1 {
            sink.pool.give_back(self.block);
            return stage(sink, input, &self.of, self.first.ms, self.first.body());
        }
        let written = self.first.write(self.block.levels_mut(), 0);
        debug_assert!(written.is_some(), "two places at least");
        let body = MarketBody::Trades { count: self.count as u32, block: self.block };
        stage(sink, input, &self.of, self.last_ms, body)
    }
}

fn trade(value: Node<'_, '_>, symbols: &mut SymbolTable) -> Read<(Listed, Trade)> {
    let f = value.as_object().ok_or(DecodeError::Schema)?;
    let listed = listed(&f, symbols)?;
    let trade = Trade {
        id: integer(f.number("trade_id")?).ok_or(DecodeError::Schema)?,
        price: json_units(f.number("price")?, listed.price_decimals)?,
        qty: json_units(f.number("qty")?, listed.qty_decimals)?,
        aggressor: match f.text("side")? {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            _ => return Err(DecodeError::Schema),
        },
        ms: time(&f),
    };
    f.text("ord_type")?;
    Ok((listed, trade))
}

/// A message about nothing is no message of the venue; one about too much is never decoded.
fn some(data: &List<'_, '_>) -> Read<()> {
    if data.is_empty() { Err(DecodeError::Schema) } else { Ok(()) }
}

fn listed(f: &Fields<'_, '_>, symbols: &mut SymbolTable) -> Read<Listed> {
    symbols.find(f.text("symbol")?.as_bytes()).ok_or(DecodeError::UnknownSymbol)
}

/// The venue's time. Zero where there is none or none that can be read: no book or trade is given
/// up for it.
fn time(f: &Fields<'_, '_>) -> i64 {
    f.text("timestamp").ok().and_then(|text| rfc3339_ms(text.as_bytes())).unwrap_or(0)
}

/// What a time has below its millisecond.
fn us_of_ms(f: &Fields<'_, '_>) -> u64 {
    f.text("timestamp").map_or(0, |text| rfc3339_us_of_ms(text.as_bytes()))
}

/// An integer of JSON, in the target's range.
fn integer<T: core::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}
