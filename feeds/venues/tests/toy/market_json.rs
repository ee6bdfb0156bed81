//! Market messages by the general reader: any order of keys, any blanks, unknown keys.

use bot4_types::{Level, MarketBody, Side};
use bot4_venues::json::{Fields, FieldsExt, Node, text_of};
use bot4_venues::number::market_units;
use bot4_venues::stage::{Trade, read_sides, stage, stage_trade};
use bot4_venues::symbols::{Listed, SymbolTable};
use bot4_venues::{DecodeError, Decoded, Ignored, Input, Notice, Sink};

type Read<T> = Result<T, DecodeError>;

/// Reads one message.
pub(super) struct Reader<'a, 'b> {
    pub input: &'a Input<'b>,
    pub symbols: &'a mut SymbolTable,
    pub sink: &'a mut Sink,
}

impl Reader<'_, '_> {
    pub fn read(&mut self, root: Node<'_, '_>) -> Read<Decoded> {
        let f = root.as_object().ok_or(DecodeError::Schema)?;
        match f.text("t")? {
            "book" => self.book(&f),
            "trade" => self.trade(&f),
            "beat" => Ok(Decoded::Ignored(Ignored::Heartbeat)),
            "ok" => Ok(Decoded::Ignored(Ignored::ControlAnswer)),
            "no" => Ok(Decoded::Notice(Notice::ControlRefused(f.signed("code")?))),
            "bye" => Ok(Decoded::Notice(Notice::ServerShutdown)),
            _ => Ok(Decoded::Ignored(Ignored::Other)),
        }
    }

    fn listed(&mut self, f: &Fields<'_, '_>) -> Read<Listed> {
        self.symbols.find(f.text("s")?.as_bytes()).ok_or(DecodeError::UnknownSymbol)
    }

    fn book(&mut self, f: &Fields<'_, '_>) -> Read<Decoded> {
        let listed = self.listed(f)?;
        let (last, time_ms) = (f.unsigned("n")?, f.signed("ts")?);
        let is_snapshot = f.has("full");
        let (bids, asks) = (f.list("b")?, f.list("a")?);
        // The block last, when everything else is known.
        let levels = read_sides(&bids, &asks, self.sink, |value| level(value, &listed))?;
        stage(self.sink, self.input, &listed, time_ms, body(is_snapshot, last, levels))?;
        Ok(Decoded::Events)
    }

    fn trade(&mut self, f: &Fields<'_, '_>) -> Read<Decoded> {
        let listed = self.listed(f)?;
        let trade = Trade {
            id: f.unsigned("id")?,
            price: market_units(f.text("p")?, listed.price_decimals)?,
            qty: market_units(f.text("q")?, listed.qty_decimals)?,
            aggressor: match f.text("side")? {
                "buy" => Side::Buy,
                "sell" => Side::Sell,
                _ => return Err(DecodeError::Schema),
            },
            ms: f.signed("ts")?,
        };
        stage_trade(trade.pair(), &listed, self.input, self.sink)
    }
}

/// The event of a book message, in whichever way it was read.
pub(super) fn body(
    is_snapshot: bool,
    last: u64,
    (block, bids, asks): (bot4_types::LevelBlock, u32, u32),
) -> MarketBody {
    let check = None;
    if is_snapshot {
        MarketBody::Snapshot { last, check, bids, asks, block }
    } else {
        MarketBody::Depth { first: last, last, prev: 0, check, bids, asks, block }
    }
}

fn level(value: Node<'_, '_>, listed: &Listed) -> Read<Level> {
    let pair = value.as_array().filter(|pair| pair.len() == 2).ok_or(DecodeError::Schema)?;
    let mut texts = pair.iter().map(text_of);
    let mut next = || texts.next().flatten().ok_or(DecodeError::Schema);
    Ok(Level {
        price: market_units(next()?, listed.price_decimals)?,
        qty: market_units(next()?, listed.qty_decimals)?,
    })
}
