//! The generated markets in OKX's words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::dialect::Desk;
use crate::dialect::paced::{Paced, join, leave};
use crate::dialect::stats::Stats;
use crate::dialect::text::{trimmed, trimmed_text, wide_text};
use crate::dialect::window::{Changed, Window};
use crate::exchange::{Exchange, Market, Print};
use crate::matching::{Book as Exchanged, Side};
use crate::venue::{ConnId, Text};

const MS: u64 = 1_000_000;
/// A book without a change says so after this long.
const QUIET_NS: u64 = 60_000 * MS;
/// Where sequence numbers begin.
const SEQ_FIRST: u64 = 80_274_000_000;
/// Where they begin after a reset.
const SEQ_RESET: u64 = 10;

/// The book channels, in the order in which they are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Channel {
    Best,
    Books,
    Books5,
}

impl Channel {
    fn named(name: &str) -> Option<Self> {
        match name {
            "bbo-tbt" => Some(Self::Best),
            "books" => Some(Self::Books),
            "books5" => Some(Self::Books5),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Best => "bbo-tbt",
            Self::Books => "books",
            Self::Books5 => "books5",
        }
    }

    fn depth(self) -> usize {
        match self {
            Self::Best => 1,
            Self::Books => 400,
            Self::Books5 => 5,
        }
    }

    fn pace_ns(self) -> u64 {
        if self == Self::Best { 10 * MS } else { 100 * MS }
    }
}

/// Is there such a channel of such an instrument?
pub fn is_known(exchange: &Exchange, channel: &str, inst: &str) -> bool {
    match channel {
        "instruments" | "status" => true,
        "bbo-tbt" | "books" | "books5" | "books-l2-tbt" | "books50-l2-tbt" | "trades"
        | "tickers" => exchange.market(inst).is_some(),
        _ => false,
    }
}

struct Book {
    paced: Paced,
    seq: u64,
    told_ns: u64,
}

struct Line {
    stats: Stats,
    trade_conns: Vec<ConnId>,
    ticker_conns: Vec<ConnId>,
    ticker_due_ns: Option<u64>,
    /// The next sequence number, of every channel of the instrument.
    seq: u64,
}

/// See the module.
pub struct Live {
    lines: Vec<Line>,
    books: BTreeMap<(usize, Channel), Book>,
    old_checksum: bool,
}

impl Live {
    pub fn new(exchange: &Exchange, old_checksum: bool) -> Self {
        let line = |market: &Market| Line {
            stats: Stats::new(market.last_price),
            trade_conns: Vec::new(),
            ticker_conns: Vec::new(),
            ticker_due_ns: None,
            seq: SEQ_FIRST,
        };
        let lines = exchange.markets.iter().map(line).collect();
        Self { lines, books: BTreeMap::new(), old_checksum }
    }

    pub fn join(&mut self, desk: &mut Desk, conn: ConnId, channel: &str, inst: &str) {
        let Some(n) = desk.exchange.market(inst) else { return };
        let market = &desk.exchange.markets[n];
        let line = &mut self.lines[n];
        if let Some(channel) = Channel::named(channel) {
            let (seq, told_ns) = (line.seq, desk.now_ns);
            let book = self.books.entry((n, channel)).or_insert_with(|| {
                let paced = Paced::new(&market.book, channel.depth(), channel.pace_ns());
                Book { paced, seq, told_ns }
            });
            join(&mut book.paced.conns, conn);
            let text = whole_text(market, book, channel, self.old_checksum, desk.now_ns / MS);
            return desk.say(conn, text);
        }
        match channel {
            "trades" => join(&mut line.trade_conns, conn),
            "tickers" => {
                join(&mut line.ticker_conns, conn);
                let text = ticker_text(market, &line.stats, desk.now_ns / MS);
                desk.say(conn, text);
            }
            _ => {}
        }
    }

    pub fn leave(&mut self, exchange: &Exchange, conn: ConnId, channel: &str, inst: &str) {
        let Some(n) = exchange.market(inst) else { return };
        if let Some(channel) = Channel::named(channel) {
            let key = (n, channel);
            if self.books.get_mut(&key).is_some_and(|book| leave(&mut book.paced.conns, conn)) {
                self.books.remove(&key);
            }
        }
        match channel {
            "trades" => _ = leave(&mut self.lines[n].trade_conns, conn),
            "tickers" => _ = leave(&mut self.lines[n].ticker_conns, conn),
            _ => {}
        }
    }

    pub fn forget(&mut self, conn: ConnId) {
        self.books.retain(|_, book| !leave(&mut book.paced.conns, conn));
        for line in &mut self.lines {
            leave(&mut line.trade_conns, conn);
            leave(&mut line.ticker_conns, conn);
        }
    }

    /// After maintenance numbers begin anew; the chain goes on from the old one.
    pub fn reset_sequence(&mut self) {
        for line in &mut self.lines {
            line.seq = SEQ_RESET;
        }
    }

    pub fn moved(&mut self, desk: &mut Desk) {
        let now_ns = desk.now_ns;
        for (n, market) in desk.exchange.markets.iter_mut().enumerate() {
            if !market.book.has_changed() {
                continue;
            }
            let changed: Changed = market.book.take_changed();
            // Several changes happen between two messages: numbers jump.
            self.lines[n].seq += 1 + changed.iter().map(|c| c.len() as u64).sum::<u64>();
            let all = (n, Channel::Best)..=(n, Channel::Books5);
            for (_, book) in self.books.range_mut(all) {
                book.paced.note(&changed, now_ns);
            }
        }
        let prints = std::mem::take(&mut desk.exchange.prints);
        for group in prints.chunk_by(|a, b| a.market == b.market) {
            let line = &mut self.lines[group[0].market];
            group.iter().for_each(|print| line.stats.count(print));
            line.ticker_due_ns.get_or_insert((now_ns / (100 * MS) + 1) * 100 * MS);
            let market = &desk.exchange.markets[group[0].market];
            for merged in group.chunk_by(|a, b| (a.taker, a.price) == (b.taker, b.price)) {
                if !line.trade_conns.is_empty() {
                    let text = Text::from(trade_text(market, merged, line.seq, now_ns / MS));
                    for &conn in &line.trade_conns {
                        desk.out.push_back((conn, crate::venue::Out::Text(text.clone())));
                    }
                }
            }
        }
        desk.exchange.prints = prints;
    }

    pub fn next_ns(&self) -> u64 {
        let books = self.books.iter().map(|((_, channel), book)| {
            let quiet = match channel {
                Channel::Books => book.told_ns + QUIET_NS,
                _ => u64::MAX,
            };
            book.paced.due_ns.unwrap_or(u64::MAX).min(quiet)
        });
        let heard = self.lines.iter().filter(|line| !line.ticker_conns.is_empty());
        books.chain(heard.filter_map(|line| line.ticker_due_ns)).min().unwrap_or(u64::MAX)
    }

    pub fn tick(&mut self, desk: &mut Desk) {
        let now_ns = desk.now_ns;
        for (&(n, channel), book) in &mut self.books {
            let due = book.paced.due_ns.is_some_and(|due| due <= now_ns);
            let quiet = channel == Channel::Books && book.told_ns + QUIET_NS <= now_ns;
            if !due && !quiet {
                continue;
            }
            let market = &desk.exchange.markets[n];
            let moves = book.paced.flush(&market.book).with_removals();
            if moves.is_empty() && !quiet {
                continue;
            }
            let previous = book.seq;
            if !moves.is_empty() {
                book.seq = self.lines[n].seq;
            }
            book.told_ns = now_ns;
            let text = match channel {
                Channel::Books => {
                    let sum = if self.old_checksum { checksum(&book.paced.window) } else { 0 };
                    let sides = [1, 0].map(|side: usize| {
                        let own = if side == 0 { Side::Buy } else { Side::Sell };
                        levels_text(&market.book, own, moves.levels[side].iter().copied())
                    });
                    let chain = (book.seq, previous as i64);
                    update_text(market, "update", sides, sum, chain, now_ns / MS)
                }
                _ => whole_text(market, book, channel, self.old_checksum, now_ns / MS),
            };
            let text = Text::from(text);
            let told = book.paced.conns.iter().map(|&conn| (conn, text.clone())).collect();
            desk.faults.pass(&market.spec.name, told, desk.out);
        }
        for (n, line) in self.lines.iter_mut().enumerate() {
            if !line.ticker_conns.is_empty() && line.ticker_due_ns.is_some_and(|at| at <= now_ns) {
                line.ticker_due_ns = None;
                let text = ticker_text(&desk.exchange.markets[n], &line.stats, now_ns / MS);
                desk.tell(&line.ticker_conns, text);
            }
        }
    }
}

/// `["price","size","0","orders"]` entries joined by commas.
fn levels_text(book: &Exchanged, side: Side, levels: impl Iterator<Item = (i64, i64)>) -> String {
    let mut out = String::new();
    for (n, (price, qty)) in levels.enumerate() {
        out.push_str(if n == 0 { "[\"" } else { ",[\"" });
        trimmed(&mut out, price);
        out.push_str("\",\"");
        trimmed(&mut out, qty);
        // A level told may be gone by now in the book.
        let orders = if qty == 0 { 0 } else { book.orders_at(side, price).max(1) };
        let _ = write!(out, "\",\"0\",\"{orders}\"]");
    }
    out
}

fn window_text(book: &Exchanged, window: &Window) -> [String; 2] {
    [1, 0].map(|side: usize| {
        let own = if side == 0 { Side::Buy } else { Side::Sell };
        levels_text(book, own, window.levels(side))
    })
}

/// A snapshot, or a channel that is always sent whole.
fn whole_text(
    market: &Market,
    book: &Book,
    channel: Channel,
    old_checksum: bool,
    now_ms: u64,
) -> String {
    let sides = window_text(&market.book, &book.paced.window);
    let (name, seq) = (&market.spec.name, book.seq);
    match channel {
        Channel::Books => {
            let sum = if old_checksum { checksum(&book.paced.window) } else { 0 };
            update_text(market, "snapshot", sides, sum, (seq, -1), now_ms)
        }
        _ => {
            let [asks, bids] = sides;
            let inst = match channel {
                Channel::Books5 => format!(r#""instId":"{name}","#),
                _ => String::new(),
            };
            let channel = channel.name();
            format!(
                concat!(
                    r#"{{"arg":{{"channel":"{}","instId":"{}"}},"data":[{{"asks":[{}],"#,
                    r#""bids":[{}],{}"ts":"{}","seqId":{}}}]}}"#
                ),
                channel, name, asks, bids, inst, now_ms, seq
            )
        }
    }
}

fn update_text(
    market: &Market,
    action: &str,
    [asks, bids]: [String; 2],
    sum: i32,
    (seq, previous): (u64, i64),
    now_ms: u64,
) -> String {
    format!(
        concat!(
            r#"{{"arg":{{"channel":"books","instId":"{}"}},"action":"{}","data":[{{"#,
            r#""asks":[{}],"bids":[{}],"ts":"{}","checksum":{},"seqId":{},"prevSeqId":{}}}]}}"#
        ),
        market.spec.name, action, asks, bids, now_ms, sum, seq, previous
    )
}

/// The old checksum: CRC-32 over 25 levels of each side by turns, as a signed number.
fn checksum(window: &Window) -> i32 {
    let side = |n| window.levels(n).take(25).map(|(p, q)| [trimmed_text(p), trimmed_text(q)]);
    old_checksum(side(0).collect(), side(1).collect())
}

/// As the venue computed it until June 2026 (sheet, chapter 3).
pub fn old_checksum(bids: Vec<[String; 2]>, asks: Vec<[String; 2]>) -> i32 {
    let mut parts: Vec<String> = Vec::with_capacity(100);
    for n in 0..25 {
        for side in [&bids, &asks] {
            if let Some(level) = side.get(n) {
                parts.extend(level.iter().cloned());
            }
        }
    }
    crc32fast::hash(parts.join(":").as_bytes()).cast_signed()
}

fn trade_text(market: &Market, merged: &[Print], seq: u64, now_ms: u64) -> String {
    let (Some(first), Some(last)) = (merged.first(), merged.last()) else { return String::new() };
    let side = if first.buyer_maker { "sell" } else { "buy" };
    let (px, sz) = (trimmed_text(first.price), merged.iter().map(|print| print.qty).sum());
    let (name, id, count, sz) = (&market.spec.name, last.id, merged.len(), trimmed_text(sz));
    format!(
        concat!(
            r#"{{"arg":{{"channel":"trades","instId":"{}"}},"data":[{{"instId":"{}","#,
            r#""tradeId":"{}","px":"{}","sz":"{}","side":"{}","ts":"{}","count":"{}","#,
            r#""source":"0","seqId":{}}}]}}"#
        ),
        name, name, id, px, sz, side, now_ms, count, seq
    )
}

fn ticker_text(market: &Market, stats: &Stats, now_ms: u64) -> String {
    let top = |side| market.book.best(side).unwrap_or_default();
    let ((bid, bid_qty), (ask, ask_qty)) = (top(Side::Buy), top(Side::Sell));
    let name = &market.spec.name;
    let mut out = format!(
        concat!(
            r#"{{"arg":{{"channel":"tickers","instId":"{}"}},"data":[{{"instType":"SPOT","#,
            r#""instId":"{}""#
        ),
        name, name
    );
    for (key, value) in [
        ("last", stats.last),
        ("lastSz", stats.last_qty),
        ("askPx", ask),
        ("askSz", ask_qty),
        ("bidPx", bid),
        ("bidSz", bid_qty),
        ("open24h", stats.open),
        ("high24h", stats.high),
        ("low24h", stats.low),
        ("sodUtc0", stats.open),
        ("sodUtc8", stats.open),
    ] {
        let _ = write!(out, r#","{key}":"{}""#, trimmed_text(value));
    }
    let (turnover, volume) = (wide_text(stats.turnover), wide_text(stats.volume));
    let _ = write!(out, r#","volCcy24h":"{turnover}","vol24h":"{volume}","ts":"{now_ms}"}}]}}"#);
    out
}

/// The answer of `/api/v5/market/books`.
pub fn rest_book(market: &Market, depth: usize, now_ms: u64) -> String {
    let window = Window::new(&market.book, depth.clamp(1, 400));
    let [asks, bids] = window_text(&market.book, &window);
    let seq = market.book.update_id();
    format!(
        concat!(
            r#"{{"code":"0","data":[{{"asks":[{}],"bids":[{}],"ts":"{}","seqId":{}}}],"#,
            r#""msg":""}}"#
        ),
        asks, bids, now_ms, seq
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_checksum_is_that_of_the_sheet() {
        let level = |p: &str, q: &str| [p.to_owned(), q.to_owned()];
        let bids = vec![level("3366.1", "7")];
        let asks = vec![level("3366.8", "9"), level("3368", "8"), level("3372", "8")];
        assert_eq!(old_checksum(bids, asks), 831_078_360);
    }
}
