//! Market messages by the general reader: any order of keys, any blanks, unknown keys.
//!
//! Decides what is wrong with a message that the scanner refused, serves the rare ones, and is
//! the scanner's oracle.

use bot4_types::{InstrumentId, Level, MarketBody};

use super::market::{Flavour, IN_THE_BOOK, stage, trade_body};
use crate::json::{Fields, FieldsExt, Node, text_of};
use crate::market::{DecodeError, Decoded, Ignored, Input, Notice, Sink};
use crate::number::market_units;
use crate::stage::read_sides;
use crate::symbols::{Listed, SymbolTable};

type Read<T> = Result<T, DecodeError>;

/// Reads one message.
pub(super) struct Reader<'a, 'b> {
    pub flavour: &'a Flavour,
    pub input: &'a Input<'b>,
    pub symbols: &'a mut SymbolTable,
    pub sink: &'a mut Sink,
}

impl Reader<'_, '_> {
    pub fn read(&mut self, root: Node<'_, '_>) -> Read<Decoded> {
        let root = root.as_object().ok_or(DecodeError::Schema)?;
        if root.has("stream") {
            return match root.fields("data") {
                Some(data) => self.payload(&data, true),
                // Arrays of all symbols' statistics.
                None if root.list("data").is_ok() => Ok(Decoded::Ignored(Ignored::Ticker)),
                None => Err(DecodeError::Schema),
            };
        }
        if let Some(event) = root.fields("event") {
            return self.payload(&event, true);
        }
        if root.has("status") {
            return self.answer(&root);
        }
        if root.has("id") || root.has("code") {
            return control(&root);
        }
        self.payload(&root, false)
    }

    fn payload(&mut self, f: &Fields<'_, '_>, wrapped: bool) -> Read<Decoded> {
        let Some(event) = f.get("e") else { return self.untyped(f, wrapped) };
        match text_of(event).ok_or(DecodeError::Schema)? {
            "depthUpdate" => self.depth(f),
            "bookTicker" => self.quote(f),
            "trade" => self.trade(f, "t"),
            "aggTrade" if self.flavour.takes_agg_trades => self.trade(f, "a"),
            "aggTrade" => Ok(Decoded::Ignored(Ignored::AggTrade)),
            "kline" => Ok(Decoded::Ignored(Ignored::Kline)),
            "24hrTicker" | "24hrMiniTicker" | "1hTicker" | "4hTicker" | "1dTicker" | "avgPrice"
            | "referencePrice" | "markPriceUpdate" => Ok(Decoded::Ignored(Ignored::Ticker)),
            "serverShutdown" => Ok(Decoded::Notice(Notice::ServerShutdown)),
            _ => Ok(Decoded::Ignored(Ignored::Other)),
        }
    }

    /// Payloads without an event type.
    fn untyped(&mut self, f: &Fields<'_, '_>, wrapped: bool) -> Read<Decoded> {
        if f.has("lastUpdateId") {
            if wrapped {
                return Ok(Decoded::Ignored(Ignored::PartialDepth));
            }
            let listed = match self.input.instrument {
                Some(id) => self.symbols.by_id(id),
                None => self.symbols.only(),
            };
            return self.snapshot(f, listed.ok_or(DecodeError::UnknownSymbol)?);
        }
        if f.has("u") && f.has("B") && f.has("A") {
            return self.quote(f);
        }
        Err(DecodeError::Schema)
    }

    fn quote(&mut self, f: &Fields<'_, '_>) -> Read<Decoded> {
        let listed = self.listed(f)?;
        let side = |price: &str, qty: &str| {
            Ok(Level {
                price: market_units(f.text(price)?, listed.price_decimals)?,
                qty: market_units(f.text(qty)?, listed.qty_decimals)?,
            })
        };
        let body =
            MarketBody::Quote { id: f.unsigned("u")?, bid: side("b", "B")?, ask: side("a", "A")? };
        // Spot has no time here.
        stage(self.sink, self.input, &listed, f.signed("E").unwrap_or(0), body)?;
        Ok(Decoded::Events)
    }

    /// A trade whose number has the key `id`.
    fn trade(&mut self, f: &Fields<'_, '_>, id: &str) -> Read<Decoded> {
        if f.has("X") && f.text("X")? != IN_THE_BOOK {
            return Ok(Decoded::Ignored(Ignored::Other));
        }
        let listed = self.listed(f)?;
        let price = market_units(f.text("p")?, listed.price_decimals)?;
        let qty = market_units(f.text("q")?, listed.qty_decimals)?;
        let body = trade_body(f.unsigned(id)?, price, qty, f.truth("m")?);
        stage(self.sink, self.input, &listed, time(f)?, body)?;
        Ok(Decoded::Events)
    }

    fn depth(&mut self, f: &Fields<'_, '_>) -> Read<Decoded> {
        let listed = self.listed(f)?;
        let (first, last) = (f.unsigned("U")?, f.unsigned("u")?);
        if first > last {
            return Err(DecodeError::Schema);
        }
        let prev = if self.flavour.names_previous { f.unsigned("pu")? } else { 0 };
        let time = time(f)?;
        let (block, bids, asks) =
            read_sides(&f.list("b")?, &f.list("a")?, self.sink, |v| level(v, &listed))?;
        let body = MarketBody::Depth { first, last, prev, check: None, bids, asks, block };
        stage(self.sink, self.input, &listed, time, body)?;
        Ok(Decoded::Events)
    }

    fn snapshot(&mut self, f: &Fields<'_, '_>, listed: Listed) -> Read<Decoded> {
        let last = f.unsigned("lastUpdateId")?;
        let (block, bids, asks) =
            read_sides(&f.list("bids")?, &f.list("asks")?, self.sink, |v| level(v, &listed))?;
        let body = MarketBody::Snapshot { last, check: None, bids, asks, block };
        stage(self.sink, self.input, &listed, f.signed("E").unwrap_or(0), body)?;
        Ok(Decoded::Events)
    }

    /// The answer to a snapshot request: its id is the instrument's number.
    fn answer(&mut self, root: &Fields<'_, '_>) -> Read<Decoded> {
        let code = root.fields("error").map_or(0, |e| e.signed("code").unwrap_or(0));
        let id = root.unsigned("id").ok().and_then(|id| u16::try_from(id).ok());
        let Some(listed) = id.and_then(|id| self.symbols.by_id(InstrumentId(id))) else {
            // Not of a request for an instrument: nothing a book waits for.
            return if root.has("error") {
                Ok(Decoded::Notice(Notice::ControlRefused(code)))
            } else {
                Err(DecodeError::UnknownSymbol)
            };
        };
        if root.unsigned("status")? == 200 {
            let result = root.fields("result").ok_or(DecodeError::Schema)?;
            return self.snapshot(&result, listed);
        }
        stage(self.sink, self.input, &listed, 0, MarketBody::SnapshotFailed)?;
        Ok(Decoded::Events)
    }

    fn listed(&mut self, f: &Fields<'_, '_>) -> Read<Listed> {
        self.symbols.find(f.text("s")?.as_bytes()).ok_or(DecodeError::UnknownSymbol)
    }
}

/// Answers to SUBSCRIBE and its like; refusals come in two shapes.
fn control(root: &Fields<'_, '_>) -> Read<Decoded> {
    if let Some(error) = root.fields("error") {
        return Ok(Decoded::Notice(Notice::ControlRefused(error.signed("code").unwrap_or(0))));
    }
    if let Ok(code) = root.signed("code") {
        return Ok(Decoded::Notice(Notice::ControlRefused(code)));
    }
    if root.has("result") {
        return Ok(Decoded::Ignored(Ignored::ControlAnswer));
    }
    Err(DecodeError::Schema)
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

fn time(f: &Fields<'_, '_>) -> Read<i64> {
    f.signed("E")
}
