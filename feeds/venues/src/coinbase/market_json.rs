//! Market messages by the general reader: any order of keys, any blanks, unknown keys.
//!
//! Decides what is wrong with a message that the scanner refused, serves the rare ones, and is
//! the scanner's oracle.

use bot4_types::{Level, LevelBlock, MarketBody};

use super::market::{Products, aggressor, book_body, stage_gap, suspect};
use super::sequence::{Place, Sequence};
use crate::json::{Fields, FieldsExt, List, Node, text_of};
use crate::market::{DecodeError, Decoded, Ignored, Input, Notice, Sink};
use crate::number::{id_of, market_units, rfc3339_ms};
use crate::stage::{Sides, Trade, TradePair, stage, stage_trade, stage_trades, unstage};
use crate::symbols::Listed;

type Read<T> = Result<T, DecodeError>;

/// Reads one message.
pub(super) struct Reader<'a, 'b> {
    pub input: &'a Input<'b>,
    pub products: &'a mut Products,
    pub sequence: &'a mut Sequence,
    pub sink: &'a mut Sink,
    /// Events that were staged before this message.
    pub kept: usize,
}

impl Reader<'_, '_> {
    pub fn read(&mut self, root: Node<'_, '_>) -> Read<Decoded> {
        let root = root.as_object().ok_or(DecodeError::Schema)?;
        if !root.has("channel") && root.text("type")? == "error" {
            return Ok(Decoded::Notice(Notice::ControlRefused(0)));
        }
        let (channel, number) = (root.text("channel")?, root.unsigned("sequence_num")?);
        let events = root.list("events")?;
        let (conn, place) = (self.input.conn, self.sequence.place(self.input.conn, number));
        let is_gap = match place {
            Place::Next => false,
            Place::Hole => true,
            Place::Repeat => {
                self.sequence.repeated(conn, number);
                return Ok(Decoded::Ignored(Ignored::Repeat));
            }
        };
        if is_gap {
            stage_gap(self.input, self.sink)?;
        }
        let time_ms = time(&root, "timestamp");
        match self.content(channel, number, time_ms, &events) {
            Ok(decoded) => {
                self.sequence.passed(conn, number);
                Ok(if is_gap { Decoded::Events } else { decoded })
            }
            Err(e) => {
                unstage(self.sink, self.kept);
                // One event concerns one book: none of ours, or one that the suspect names. What
                // else was lost here must show as a hole.
                let is_told = e == DecodeError::UnknownSymbol
                    || channel != "l2_data"
                    || suspect(self.products, self.input.text()).is_some();
                if !is_gap && events.len() == 1 && !e.is_retry() && is_told {
                    self.sequence.passed(conn, number);
                }
                Err(e)
            }
        }
    }

    fn content(
        &mut self,
        channel: &str,
        number: u64,
        time_ms: i64,
        events: &List<'_, '_>,
    ) -> Read<Decoded> {
        let before = self.sink.len();
        let quiet = match channel {
            "l2_data" => {
                for event in events.iter() {
                    self.book(&event.as_object().ok_or(DecodeError::Schema)?, number, time_ms)?;
                }
                Ignored::Other
            }
            "market_trades" => {
                for event in events.iter() {
                    self.trades(&event.as_object().ok_or(DecodeError::Schema)?)?;
                }
                Ignored::PastTrades
            }
            "heartbeats" => Ignored::Heartbeat,
            "subscriptions" => Ignored::ControlAnswer,
            "ticker" | "ticker_batch" => Ignored::Ticker,
            "candles" => Ignored::Kline,
            _ => Ignored::Other,
        };
        let is_quiet = self.sink.len() == before;
        Ok(if is_quiet { Decoded::Ignored(quiet) } else { Decoded::Events })
    }

    fn listed(&mut self, f: &Fields<'_, '_>) -> Read<Listed> {
        self.products.find(f.text("product_id")?.as_bytes()).ok_or(DecodeError::UnknownSymbol)
    }

    fn book(&mut self, event: &Fields<'_, '_>, number: u64, time_ms: i64) -> Read<()> {
        let is_snapshot = match event.text("type")? {
            "snapshot" => true,
            "update" => false,
            _ => return Err(DecodeError::Schema),
        };
        let listed = self.listed(event)?;
        let updates = event.list("updates")?;
        self.has_room()?;
        let pool = &mut self.sink.pool;
        let Some(mut block) = pool.take(updates.len()) else {
            return Err(pool.lack(updates.len()));
        };
        match fill(&updates, &listed, &mut block) {
            Ok((bids, asks)) => {
                let body = book_body(is_snapshot, number, (block, bids, asks));
                self.stage(&listed, time_ms, body)
            }
            Err(e) => {
                pool.give_back(block);
                Err(e)
            }
        }
    }

    /// Recent trades of before the subscription are no news. The others may be of several
    /// products: one event for each run of the same.
    fn trades(&mut self, event: &Fields<'_, '_>) -> Read<()> {
        let trades = event.list("trades")?;
        match event.text("type")? {
            "snapshot" => return Ok(()),
            "update" => {}
            _ => return Err(DecodeError::Schema),
        }
        let mut at = 0;
        while at < trades.len() {
            let name = product(&trades, at)?;
            let same = |i: &usize| product(&trades, *i).is_ok_and(|other| other == name);
            let count = (at..trades.len()).take_while(same).count();
            self.run(&trades, at, count)?;
            at += count;
        }
        Ok(())
    }

    fn run(&mut self, trades: &List<'_, '_>, at: usize, count: usize) -> Read<()> {
        self.has_room()?;
        let fields = |i: usize| {
            let value = trades.iter().nth(at + i);
            value.and_then(|v| v.as_object()).ok_or(DecodeError::Schema)
        };
        let listed = self.listed(&fields(0)?)?;
        if count == 1 {
            let only = trade(&fields(0)?, &listed)?;
            return stage_trade(only, &listed, self.input, self.sink).map(drop);
        }
        let pool = &mut self.sink.pool;
        let Some(mut block) = pool.take(2 * count) else { return Err(pool.lack(2 * count)) };
        let values = trades.iter().skip(at).take(count);
        for (pair, value) in block.levels_mut().chunks_exact_mut(2).zip(values) {
            let fields = value.as_object().ok_or(DecodeError::Schema);
            match fields.and_then(|f| trade(&f, &listed)) {
                Ok(read) => pair.copy_from_slice(&read),
                Err(e) => {
                    pool.give_back(block);
                    return Err(e);
                }
            }
        }
        stage_trades(block, count, &listed, self.input, self.sink).map(drop)
    }

    fn stage(&mut self, listed: &Listed, time_ms: i64, body: MarketBody) -> Read<()> {
        stage(self.sink, self.input, listed, time_ms, body)
    }

    /// A sink that this message alone has filled will never have room for it.
    fn has_room(&self) -> Read<()> {
        match self.sink.has_room() {
            true => Ok(()),
            false if self.kept == 0 => Err(DecodeError::TooManyLevels),
            false => Err(DecodeError::Full),
        }
    }
}

fn product<'t, 'i: 't>(trades: &List<'t, 'i>, at: usize) -> Read<&'t str> {
    let value = trades.iter().nth(at).and_then(|v| v.as_object());
    value.ok_or(DecodeError::Schema)?.text("product_id")
}

fn fill(updates: &List<'_, '_>, listed: &Listed, block: &mut LevelBlock) -> Read<(u32, u32)> {
    let mut sides = Sides::new(block.levels_mut());
    for value in updates.iter() {
        let f = value.as_object().ok_or(DecodeError::Schema)?;
        let is_bid = match f.text("side")? {
            "bid" => true,
            "offer" => false,
            _ => return Err(DecodeError::Schema),
        };
        let level = Level {
            price: market_units(f.text("price_level")?, listed.price_decimals)?,
            qty: market_units(f.text("new_quantity")?, listed.qty_decimals)?,
        };
        // The block was taken for all of them.
        sides.push(is_bid, level).ok_or(DecodeError::TooManyLevels)?;
    }
    Ok(sides.finish())
}

fn trade(f: &Fields<'_, '_>, listed: &Listed) -> Read<TradePair> {
    let id = id_of(f.text("trade_id")?)?;
    let price = market_units(f.text("price")?, listed.price_decimals)?;
    let qty = market_units(f.text("size")?, listed.qty_decimals)?;
    let aggressor = aggressor(f.text("side")?.as_bytes()).ok_or(DecodeError::Schema)?;
    Ok(Trade { id, price, qty, aggressor, ms: time(f, "time") }.pair())
}

/// Unix ms; zero where the time is missing or unreadable.
fn time(f: &Fields<'_, '_>, key: &str) -> i64 {
    f.get(key).and_then(text_of).and_then(|t| rfc3339_ms(t.as_bytes())).unwrap_or(0)
}
