//! Market messages by the general reader: any order of keys, any blanks, unknown keys.
//!
//! Decides what is wrong with a message that the scanner refused, serves the rare ones, and is
//! the scanner's oracle.

use bot4_types::{Level, MarketBody, Side};

use super::market::{BookHead, Numbering, Stated, is_book};
use crate::json::{Fields, FieldsExt, List, Node, text_of};
use crate::market::{DecodeError, Decoded, Ignored, Input, Notice, Sink};
use crate::number::{id_of, market_units};
use crate::stage::{Trade, TradePair, read_sides, stage, stage_trade, stage_trades};
use crate::symbols::{Listed, SymbolTable};

type Read<T> = Result<T, DecodeError>;

/// Code of the notice that the server goes away.
const GOING_AWAY: i64 = 64_008;
/// `prevSeqId` of a snapshot.
const BEFORE_SNAPSHOT: i64 = -1;

/// Reads one message.
pub(super) struct Reader<'a, 'b> {
    pub input: &'a Input<'b>,
    pub symbols: &'a mut SymbolTable,
    pub numbering: &'a mut Numbering,
    pub sink: &'a mut Sink,
}

impl Reader<'_, '_> {
    pub fn read(&mut self, root: Node<'_, '_>) -> Read<Decoded> {
        let root = root.as_object().ok_or(DecodeError::Schema)?;
        if root.has("event") {
            return event(&root);
        }
        if root.has("op") {
            return Ok(Decoded::Ignored(Ignored::Other));
        }
        let arg = root.fields("arg").ok_or(DecodeError::Schema)?;
        let data = root.list("data")?;
        let channel = arg.text("channel")?;
        if is_book(channel.as_bytes()) {
            return self.book(&arg, &root, &data);
        }
        match channel {
            "bbo-tbt" => self.quote(&arg, &data),
            "trades" => self.trades(&arg, &data),
            "books5" => Ok(Decoded::Ignored(Ignored::PartialDepth)),
            "tickers" | "index-tickers" | "mark-price" => Ok(Decoded::Ignored(Ignored::Ticker)),
            other if other.starts_with("candle") => Ok(Decoded::Ignored(Ignored::Kline)),
            _ => Ok(Decoded::Ignored(Ignored::Other)),
        }
    }

    fn listed(&mut self, arg: &Fields<'_, '_>) -> Read<Listed> {
        let name = arg.text("instId")?;
        self.symbols.find(name.as_bytes()).ok_or(DecodeError::UnknownSymbol)
    }

    fn book(
        &mut self,
        arg: &Fields<'_, '_>,
        root: &Fields<'_, '_>,
        data: &List<'_, '_>,
    ) -> Read<Decoded> {
        let listed = self.listed(arg)?;
        let f = only(data)?;
        let stated = stated(&f)?;
        let is_snapshot = match root.text("action") {
            Ok("snapshot") => true,
            Ok("update") => false,
            // The documentation's example has no action; its number says what it is.
            Err(_) if stated.is_some_and(|(_, prev)| prev == BEFORE_SNAPSHOT) => true,
            _ => return Err(DecodeError::Schema),
        };
        let checksum = if f.has("checksum") { f.signed("checksum")? } else { 0 };
        i32::try_from(checksum).map_err(|_| DecodeError::Schema)?;
        let head = BookHead { is_snapshot, time_ms: time(&f)?, checksum, stated };
        let (bids, asks) = (f.list("bids")?, f.list("asks")?);
        let levels = read_sides(&bids, &asks, self.sink, |value| level(value, &listed))?;
        let body = self.numbering.body(&listed, &head, levels).map_err(|block| {
            self.sink.pool.give_back(block);
            DecodeError::Schema
        })?;
        stage(self.sink, self.input, &listed, head.time_ms, body)?;
        self.numbering.staged(&listed, &head);
        Ok(Decoded::Events)
    }

    fn quote(&mut self, arg: &Fields<'_, '_>, data: &List<'_, '_>) -> Read<Decoded> {
        let listed = self.listed(arg)?;
        let f = only(data)?;
        let id = f.unsigned("seqId")?;
        let time_ms = time(&f)?;
        let (bids, asks) = (f.list("bids")?, f.list("asks")?);
        if bids.len() > 1 || asks.len() > 1 {
            return Err(DecodeError::Schema);
        }
        let (Some(bid), Some(ask)) = (bids.iter().next(), asks.iter().next()) else {
            // A book with an empty side has no best quote.
            return Ok(Decoded::Ignored(Ignored::PartialDepth));
        };
        let body = MarketBody::Quote { id, bid: level(bid, &listed)?, ask: level(ask, &listed)? };
        stage(self.sink, self.input, &listed, time_ms, body)?;
        Ok(Decoded::Events)
    }

    fn trades(&mut self, arg: &Fields<'_, '_>, data: &List<'_, '_>) -> Read<Decoded> {
        let listed = self.listed(arg)?;
        let count = data.len();
        if count == 1 {
            let f = only(data)?;
            return stage_trade(trade(&f, &listed)?, &listed, self.input, self.sink);
        }
        if count == 0 {
            return Err(DecodeError::Schema);
        }
        let pool = &mut self.sink.pool;
        let Some(mut block) = pool.take(2 * count) else { return Err(pool.lack(2 * count)) };
        for (pair, value) in block.levels_mut().chunks_exact_mut(2).zip(data.iter()) {
            let fields = value.as_object().ok_or(DecodeError::Schema);
            match fields.and_then(|f| trade(&f, &listed)) {
                Ok(read) => pair.copy_from_slice(&read),
                Err(e) => {
                    pool.give_back(block);
                    return Err(e);
                }
            }
        }
        stage_trades(block, count, &listed, self.input, self.sink)
    }
}

/// Acknowledgements, refusals and notices.
fn event(root: &Fields<'_, '_>) -> Read<Decoded> {
    let code = match root.text("code") {
        Ok(text) => text.parse().unwrap_or(0),
        Err(_) => root.signed("code").unwrap_or(0),
    };
    Ok(match root.text("event")? {
        "error" | "channel-conn-count-error" => Decoded::Notice(Notice::ControlRefused(code)),
        "login" if code != 0 => Decoded::Notice(Notice::ControlRefused(code)),
        "notice" if code == GOING_AWAY => Decoded::Notice(Notice::ServerShutdown),
        "subscribe" | "unsubscribe" | "login" | "channel-conn-count" => {
            Decoded::Ignored(Ignored::ControlAnswer)
        }
        _ => Decoded::Ignored(Ignored::Other),
    })
}

/// The numbers of a book message: both or none.
fn stated(f: &Fields<'_, '_>) -> Read<Stated> {
    if !f.has("seqId") && !f.has("prevSeqId") {
        return Ok(None);
    }
    Ok(Some((f.unsigned("seqId")?, f.signed("prevSeqId")?)))
}

fn trade(f: &Fields<'_, '_>, listed: &Listed) -> Read<TradePair> {
    if f.text("instId")?.as_bytes() != listed.symbol.as_bytes() {
        return Err(DecodeError::Schema);
    }
    let id = id_of(f.text("tradeId")?)?;
    let price = market_units(f.text("px")?, listed.price_decimals)?;
    let qty = market_units(f.text("sz")?, listed.qty_decimals)?;
    let aggressor = match f.text("side")? {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        _ => return Err(DecodeError::Schema),
    };
    Ok(Trade { id, price, qty, aggressor, ms: time(f)? }.pair())
}

/// The only entry of a message's data.
fn only<'t, 'i: 't>(data: &List<'t, 'i>) -> Read<Fields<'t, 'i>> {
    if data.len() != 1 {
        return Err(DecodeError::Schema);
    }
    data.iter().next().and_then(|v| v.as_object()).ok_or(DecodeError::Schema)
}

fn level(value: Node<'_, '_>, listed: &Listed) -> Read<Level> {
    let pair = value.as_array().ok_or(DecodeError::Schema)?;
    let mut texts = pair.iter().map(text_of);
    let mut next = || texts.next().flatten().ok_or(DecodeError::Schema);
    Ok(Level {
        price: market_units(next()?, listed.price_decimals)?,
        qty: market_units(next()?, listed.qty_decimals)?,
    })
}

/// Milliseconds as text.
fn time(f: &Fields<'_, '_>) -> Read<i64> {
    i64::try_from(id_of(f.text("ts")?)?).map_err(|_| DecodeError::Schema)
}
