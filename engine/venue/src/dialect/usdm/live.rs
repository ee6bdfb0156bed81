//! The generated contracts: best quotes and trades at once, depth at four paces.
//!
//! Update ids are the book's, stretched: the real venue counts over all contracts, so `U` is not
//! `pu` + 1, and only `pu` chains events.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::dialect::Desk;
use crate::dialect::binance::streams::{StreamId, Streams};
use crate::dialect::text::{digits_of, fixed};
use crate::exchange::{Exchange, Market, Print};
use crate::matching::{Book, Side};

use super::words::price_digits;

const MS: u64 = 1_000_000;
/// How many ids of the venue go by for one change of a book.
const STRETCH: u64 = 61;
/// Added to stretched ids.
const ID_FIRST: u64 = 2_000_000_000_000;
/// Paces of depth, ms, and the ends of their names; the first is the one without an end.
const PACES: [(u64, &str); 3] = [(250, ""), (500, "@500ms"), (100, "@100ms")];
/// Depths of the partial streams.
const PARTIAL: [usize; 3] = [5, 10, 20];

struct Pace {
    pace_ns: u64,
    diff: StreamId,
    partial: [StreamId; 3],
    due_ns: Option<u64>,
    told: u64,
    changed: [BTreeSet<i64>; 2],
}

struct Line {
    trade: StreamId,
    agg_trade: StreamId,
    ticker: StreamId,
    top: [Option<(i64, i64)>; 2],
    paces: Vec<Pace>,
    digits: [u32; 2],
}

/// See the module.
pub struct Live {
    lines: Vec<Line>,
}

impl Live {
    pub fn new(exchange: &Exchange, streams: &mut Streams) -> Self {
        Self { lines: exchange.markets.iter().map(|market| line(market, streams)).collect() }
    }

    pub fn moved(&mut self, desk: &mut Desk, streams: &Streams) {
        let (now_ns, now_ms) = (desk.now_ns, desk.now_ms());
        for (line, market) in self.lines.iter_mut().zip(&mut desk.exchange.markets) {
            if !market.book.has_changed() {
                continue;
            }
            let changed = market.book.take_changed();
            for pace in &mut line.paces {
                for (mine, more) in pace.changed.iter_mut().zip(&changed) {
                    mine.extend(more);
                }
                pace.due_ns.get_or_insert((now_ns / pace.pace_ns + 1) * pace.pace_ns);
            }
            let now = [market.book.best(Side::Buy), market.book.best(Side::Sell)];
            if now != line.top {
                line.top = now;
                if streams.is_heard(line.ticker) {
                    streams.publish(line.ticker, desk.out, |_| ticker_text(market, line, now_ms));
                }
            }
        }
        let Exchange { prints, markets, .. } = &mut *desk.exchange;
        for group in prints.chunk_by(|a, b| a.market == b.market) {
            let (line, market) = (&self.lines[group[0].market], &mut markets[group[0].market]);
            for print in group.iter().filter(|_| streams.is_heard(line.trade)) {
                let text = |_| trade_text(market, line, print, now_ms);
                streams.publish(line.trade, desk.out, text);
            }
            for merged in group.chunk_by(|a, b| (a.taker, a.price) == (b.taker, b.price)) {
                market.agg_id += 1;
                if streams.is_heard(line.agg_trade) {
                    let text = |_| agg_text(market, line, merged, now_ms);
                    streams.publish(line.agg_trade, desk.out, text);
                }
            }
        }
    }

    pub fn next_ns(&self) -> u64 {
        let paces = self.lines.iter().flat_map(|line| &line.paces);
        paces.filter_map(|pace| pace.due_ns).min().unwrap_or(u64::MAX)
    }

    pub fn tick(&mut self, desk: &mut Desk, streams: &Streams) {
        let (now_ns, now_ms) = (desk.now_ns, desk.now_ms());
        for (line, market) in self.lines.iter_mut().zip(&desk.exchange.markets) {
            line.digits = digits_in(market);
            let digits = line.digits;
            for pace in &mut line.paces {
                if pace.due_ns.is_none_or(|due| due > now_ns) {
                    continue;
                }
                pace.due_ns = None;
                let changed = std::mem::take(&mut pace.changed);
                let last = market.book.update_id();
                let ids = (pace.told, last);
                pace.told = last;
                if streams.is_heard(pace.diff) {
                    let text = |_| diff_text(market, ids, &changed, digits, now_ms);
                    let told = streams.texts(pace.diff, text);
                    desk.faults.pass(&market.spec.name, told, desk.out);
                }
                for (stream, depth) in pace.partial.into_iter().zip(PARTIAL) {
                    if streams.is_heard(stream) {
                        let text = |_| partial_text(market, ids, depth, digits, now_ms);
                        streams.publish(stream, desk.out, text);
                    }
                }
            }
        }
    }

    /// The object of a snapshot request.
    pub fn snapshot(
        &self,
        exchange: &Exchange,
        symbol: &str,
        limit: usize,
        now_ms: u64,
    ) -> Option<String> {
        let n = exchange.market(symbol)?;
        let (book, digits) = (&exchange.markets[n].book, self.lines[n].digits);
        let id = stretched(book.update_id());
        let mut out = format!(r#"{{"lastUpdateId":{id},"E":{now_ms},"T":{now_ms},"bids":["#);
        push_levels(&mut out, book.levels(Side::Buy).take(limit), digits);
        out.push_str(r#"],"asks":["#);
        push_levels(&mut out, book.levels(Side::Sell).take(limit), digits);
        out.push_str("]}");
        Some(out)
    }
}

fn line(market: &Market, streams: &mut Streams) -> Line {
    let lower = market.spec.name.to_lowercase();
    let mut name = |suffix: &str| streams.intern(&format!("{lower}@{suffix}"));
    let (trade, agg_trade, ticker) = (name("trade"), name("aggTrade"), name("bookTicker"));
    let mut paces: Vec<Pace> = PACES
        .into_iter()
        .map(|(ms, end)| Pace {
            pace_ns: ms * MS,
            diff: name(&format!("depth{end}")),
            partial: PARTIAL.map(|n| name(&format!("depth{n}{end}"))),
            due_ns: None,
            told: market.book.update_id(),
            changed: Default::default(),
        })
        .collect();
    // The recorded client asked for 0 ms and was served about every 50 ms.
    paces.push(Pace {
        pace_ns: 50 * MS,
        diff: name("depth@0ms"),
        partial: PARTIAL.map(|n| name(&format!("depth{n}@0ms"))),
        due_ns: None,
        told: market.book.update_id(),
        changed: Default::default(),
    });
    let top = [market.book.best(Side::Buy), market.book.best(Side::Sell)];
    Line { trade, agg_trade, ticker, top, paces, digits: digits_in(market) }
}

fn digits_in(market: &Market) -> [u32; 2] {
    let (tick, lot) = market.spec.finest;
    [price_digits(tick), digits_of(lot)]
}

/// The venue's id of a book's update.
fn stretched(update_id: u64) -> u64 {
    ID_FIRST + update_id * STRETCH
}

/// First id, last id, and the last id before: an event begins shortly behind the one before it.
fn chain((before, last): (u64, u64)) -> (u64, u64, u64) {
    let previous = stretched(before);
    (previous + 1 + before % (STRETCH - 1), stretched(last), previous)
}

fn push_levels(out: &mut String, levels: impl Iterator<Item = (i64, i64)>, digits: [u32; 2]) {
    for (n, (price, qty)) in levels.enumerate() {
        out.push_str(if n == 0 { "[\"" } else { ",[\"" });
        fixed(out, price, digits[0]);
        out.push_str("\",\"");
        fixed(out, qty, digits[1]);
        out.push_str("\"]");
    }
}

fn head(market: &Market, ids: (u64, u64), now_ms: u64) -> String {
    let (first, last, previous) = chain(ids);
    format!(
        concat!(r#"{{"e":"depthUpdate","E":{},"T":{},"s":"{}","U":{},"u":{},"pu":{},"b":["#),
        now_ms, now_ms, market.spec.name, first, last, previous
    )
}

fn diff_text(
    market: &Market,
    ids: (u64, u64),
    [bids, asks]: &[BTreeSet<i64>; 2],
    digits: [u32; 2],
    now_ms: u64,
) -> String {
    let book: &Book = &market.book;
    let mut out = head(market, ids, now_ms);
    push_levels(&mut out, bids.iter().map(|&p| (p, book.qty_at(Side::Buy, p))), digits);
    out.push_str(r#"],"a":["#);
    push_levels(&mut out, asks.iter().map(|&p| (p, book.qty_at(Side::Sell, p))), digits);
    out.push_str("]}");
    out
}

fn partial_text(
    market: &Market,
    ids: (u64, u64),
    depth: usize,
    digits: [u32; 2],
    now_ms: u64,
) -> String {
    let mut out = head(market, ids, now_ms);
    push_levels(&mut out, market.book.levels(Side::Buy).take(depth), digits);
    out.push_str(r#"],"a":["#);
    push_levels(&mut out, market.book.levels(Side::Sell).take(depth), digits);
    out.push_str("]}");
    out
}

fn push_values(out: &mut String, line: &Line, values: &[(&str, i64, usize)]) {
    for &(key, value, kind) in values {
        let _ = write!(out, r#","{key}":""#);
        fixed(out, value, line.digits[kind]);
        out.push('"');
    }
}

fn ticker_text(market: &Market, line: &Line, now_ms: u64) -> String {
    let id = stretched(market.book.update_id());
    let mut out = format!(r#"{{"e":"bookTicker","u":{id},"s":"{}""#, market.spec.name);
    let [(bid, bid_qty), (ask, ask_qty)] = line.top.map(Option::unwrap_or_default);
    push_values(
        &mut out,
        line,
        &[("b", bid, 0), ("B", bid_qty, 1), ("a", ask, 0), ("A", ask_qty, 1)],
    );
    let _ = write!(out, r#","T":{now_ms},"E":{now_ms}}}"#);
    out
}

fn trade_text(market: &Market, line: &Line, print: &Print, now_ms: u64) -> String {
    let (name, id) = (&market.spec.name, print.id);
    let mut out = format!(r#"{{"e":"trade","E":{now_ms},"T":{now_ms},"s":"{name}","t":{id}"#);
    push_values(&mut out, line, &[("p", print.price, 0), ("q", print.qty, 1)]);
    let _ = write!(out, r#","X":"MARKET","m":{}}}"#, print.buyer_maker);
    out
}

fn agg_text(market: &Market, line: &Line, merged: &[Print], now_ms: u64) -> String {
    let (Some(first), Some(last)) = (merged.first(), merged.last()) else { return String::new() };
    let (name, id) = (&market.spec.name, market.agg_id);
    let mut out = format!(r#"{{"e":"aggTrade","E":{now_ms},"a":{id},"s":"{name}""#);
    let qty = merged.iter().map(|print| print.qty).sum();
    push_values(&mut out, line, &[("p", first.price, 0), ("q", qty, 1)]);
    let (f, l, m) = (first.id, last.id, first.buyer_maker);
    let _ = write!(out, r#","f":{f},"l":{l},"T":{now_ms},"m":{m}}}"#);
    out
}
