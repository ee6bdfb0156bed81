//! One market's public messages: trades, best quotes, book differences, in the real byte shape.
//!
//! Invariants: `U` of a depth event is the previous event's `u` + 1; an event is sent only when
//! something changed; a best-quote message with id u shows the top of the book at update id u.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;

use super::streams::{StreamId, Streams};
use crate::decimal::push;
use crate::exchange::{Market, Print};
use crate::matching::{Book, Side};
use crate::venue::{ConnId, Out, Text};

type Top = [Option<(i64, i64)>; 2];
/// Depths of the partial book streams.
const PARTIAL: [usize; 3] = [5, 10, 20];

/// What has been told about one market.
#[derive(Debug)]
pub struct Feed {
    trade: StreamId,
    agg_trade: StreamId,
    ticker: StreamId,
    fast: Pace,
    slow: Pace,
    top: Top,
}

/// The depth streams of one pace (100 ms or 1000 ms) and what they have not told yet.
#[derive(Debug)]
struct Pace {
    diff: StreamId,
    partial: [StreamId; 3],
    last_id: u64,
    changed: [BTreeSet<i64>; 2],
}

/// A message with whom it goes to.
pub type Told = Vec<(ConnId, Text)>;

impl Feed {
    /// The streams of a market that starts with this book.
    #[must_use]
    pub fn new(market: &Market, streams: &mut Streams) -> Self {
        let lower = market.spec.name.to_lowercase();
        let mut name = |suffix: &str| streams.intern(&format!("{lower}@{suffix}"));
        let mut pace = |suffix: &str| Pace {
            diff: name(&format!("depth{suffix}")),
            partial: PARTIAL.map(|n| name(&format!("depth{n}{suffix}"))),
            last_id: market.book.update_id(),
            changed: Default::default(),
        };
        let (fast, slow) = (pace("@100ms"), pace(""));
        let ticker = name("bookTicker");
        Self {
            trade: name("trade"),
            agg_trade: name("aggTrade"),
            ticker,
            fast,
            slow,
            top: top(&market.book),
        }
    }

    /// Tells the best quotes if they changed.
    pub fn tell_top(
        &mut self,
        market: &Market,
        streams: &Streams,
        out: &mut VecDeque<(ConnId, Out)>,
    ) {
        let top = top(&market.book);
        if top == self.top {
            return;
        }
        self.top = top;
        if streams.is_heard(self.ticker) {
            streams.publish(self.ticker, out, |_| ticker_text(market, top));
        }
    }

    /// Tells the trades of one taker, then its aggregated trades.
    pub fn tell_trades(
        &self,
        prints: &[Print],
        market: &mut Market,
        now_ms: u64,
        streams: &Streams,
        out: &mut VecDeque<(ConnId, Out)>,
    ) {
        for print in prints {
            if streams.is_heard(self.trade) {
                streams.publish(self.trade, out, |scale| trade_text(market, print, now_ms * scale));
            }
        }
        for group in prints.chunk_by(|a, b| (a.taker, a.price) == (b.taker, b.price)) {
            market.agg_id += 1;
            if streams.is_heard(self.agg_trade) {
                let market = &*market;
                streams
                    .publish(self.agg_trade, out, |scale| agg_text(market, group, now_ms * scale));
            }
        }
    }

    /// The 100 ms border: the depth events of what changed, for the caller to send; the slow pace
    /// also at each full second. Partial books go to `out`.
    pub fn tell_depth(
        &mut self,
        market: &mut Market,
        at: (u64, bool),
        streams: &Streams,
        out: &mut Vec<(ConnId, Out)>,
    ) -> Vec<Told> {
        let (now_ms, second) = at;
        let (bids, asks) = market.book.drain_changed();
        for pace in [&mut self.fast, &mut self.slow] {
            pace.changed[0].extend(&bids);
            pace.changed[1].extend(&asks);
        }
        let mut told = Vec::new();
        told.extend(self.fast.tell(market, now_ms, streams, out));
        if second {
            told.extend(self.slow.tell(market, now_ms, streams, out));
        }
        told
    }
}

impl Pace {
    fn tell(
        &mut self,
        market: &Market,
        now_ms: u64,
        streams: &Streams,
        out: &mut Vec<(ConnId, Out)>,
    ) -> Option<Told> {
        let last = market.book.update_id();
        if last == self.last_id {
            return None;
        }
        let first = std::mem::replace(&mut self.last_id, last) + 1;
        let [bids, asks] = std::mem::take(&mut self.changed);
        for (stream, depth) in self.partial.into_iter().zip(PARTIAL) {
            if streams.is_heard(stream) {
                let texts = streams.texts(stream, |_| snapshot_text(&market.book, depth));
                out.extend(texts.into_iter().map(|(conn, text)| (conn, Out::Text(text))));
            }
        }
        let diff = |scale| diff_text(market, now_ms * scale, (first, last), &bids, &asks);
        streams.is_heard(self.diff).then(|| streams.texts(self.diff, diff))
    }
}

/// The object of method `depth` and of partial book streams.
#[must_use]
pub fn snapshot_text(book: &Book, limit: usize) -> String {
    let mut out = String::with_capacity(64 + 2 * 34 * limit.min(book.level_count(Side::Buy)));
    let _ = write!(out, r#"{{"lastUpdateId":{},"bids":["#, book.update_id());
    push_levels(&mut out, book.levels(Side::Buy).take(limit));
    out.push_str(r#"],"asks":["#);
    push_levels(&mut out, book.levels(Side::Sell).take(limit));
    out.push_str("]}");
    out
}

/// `["price","qty"]` entries joined by commas.
pub fn push_levels(out: &mut String, levels: impl Iterator<Item = (i64, i64)>) {
    for (n, (price, qty)) in levels.enumerate() {
        out.push_str(if n == 0 { "[\"" } else { ",[\"" });
        push(out, price);
        out.push_str("\",\"");
        push(out, qty);
        out.push_str("\"]");
    }
}

fn top(book: &Book) -> Top {
    [book.best(Side::Buy), book.best(Side::Sell)]
}

fn ticker_text(market: &Market, [bid, ask]: Top) -> String {
    let mut out = String::with_capacity(160);
    let _ = write!(out, r#"{{"u":{},"s":"{}""#, market.book.update_id(), market.spec.name);
    // An empty side shows zeros, as the real venue does.
    let ((bid, bid_qty), (ask, ask_qty)) = (bid.unwrap_or((0, 0)), ask.unwrap_or((0, 0)));
    for (key, value) in [("b", bid), ("B", bid_qty), ("a", ask), ("A", ask_qty)] {
        let _ = write!(out, r#","{key}":""#);
        push(&mut out, value);
        out.push('"');
    }
    out.push('}');
    out
}

fn trade_text(market: &Market, print: &Print, time: u64) -> String {
    let mut out = String::with_capacity(192);
    let name = &market.spec.name;
    let _ = write!(out, r#"{{"e":"trade","E":{time},"s":"{name}","t":{},"p":""#, print.id);
    push(&mut out, print.price);
    out.push_str(r#"","q":""#);
    push(&mut out, print.qty);
    let _ = write!(out, r#"","T":{time},"m":{},"M":true}}"#, print.buyer_maker);
    out
}

fn agg_text(market: &Market, group: &[Print], time: u64) -> String {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return String::new() };
    let mut out = String::with_capacity(224);
    let (name, id) = (&market.spec.name, market.agg_id);
    let _ = write!(out, r#"{{"e":"aggTrade","E":{time},"s":"{name}","a":{id},"p":""#);
    push(&mut out, first.price);
    out.push_str(r#"","q":""#);
    push(&mut out, group.iter().map(|print| print.qty).sum());
    let _ = write!(
        out,
        r#"","f":{},"l":{},"T":{time},"m":{},"M":true}}"#,
        first.id, last.id, first.buyer_maker
    );
    out
}

fn diff_text(
    market: &Market,
    time: u64,
    (first, last): (u64, u64),
    bids: &BTreeSet<i64>,
    asks: &BTreeSet<i64>,
) -> String {
    let mut out = String::with_capacity(96 + 34 * (bids.len() + asks.len()));
    let name = &market.spec.name;
    let _ =
        write!(out, r#"{{"e":"depthUpdate","E":{time},"s":"{name}","U":{first},"u":{last},"b":["#);
    let book = &market.book;
    push_levels(&mut out, bids.iter().rev().map(|&p| (p, book.qty_at(Side::Buy, p))));
    out.push_str(r#"],"a":["#);
    push_levels(&mut out, asks.iter().map(|&p| (p, book.qty_at(Side::Sell, p))));
    out.push_str("]}");
    out
}
