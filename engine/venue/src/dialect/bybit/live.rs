//! The generated markets in Bybit's words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::dialect::Desk;
use crate::dialect::paced::{Paced, join, leave};
use crate::dialect::stats::Stats;
use crate::dialect::text::{HEX, change_text, fixed_text, tag, trimmed_text, wide_text};
use crate::dialect::window::Changed;
use crate::exchange::{Exchange, Market, Print};
use crate::matching::Side;
use crate::venue::ConnId;

use super::Product;
use super::words::{Kind, Topic, digits, push_levels};

const MS: u64 = 1_000_000;
/// Level 1 repeats itself after this long without a change.
const REPEAT_NS: u64 = 3_000 * MS;

/// A book at one depth.
struct Book {
    paced: Paced,
    u: u64,
    /// When it was last told, and the engine's time of that.
    told_ns: u64,
    engine_ms: u64,
    seq: u64,
}

struct Ticker {
    conns: Vec<ConnId>,
    due_ns: Option<u64>,
    /// What linear listeners know.
    known: Vec<(&'static str, String)>,
}

struct Line {
    product: Product,
    symbol: String,
    stats: Stats,
    trade_conns: Vec<ConnId>,
    ticker: Ticker,
    changed_ns: u64,
    last_price: i64,
}

/// See the module.
pub struct Live {
    lines: Vec<Line>,
    books: BTreeMap<Topic, Book>,
    /// The next `u` of each topic: numbers go on where nobody listened for a while.
    numbers: BTreeMap<Topic, u64>,
}

impl Live {
    pub fn new(exchange: &Exchange) -> Self {
        let line = |market: &Market| {
            let (product, symbol) = Product::of_market(&market.spec.name);
            Line {
                product,
                symbol: symbol.to_owned(),
                stats: Stats::new(market.last_price),
                trade_conns: Vec::new(),
                ticker: Ticker { conns: Vec::new(), due_ns: None, known: Vec::new() },
                changed_ns: 0,
                last_price: market.last_price,
            }
        };
        let lines = exchange.markets.iter().map(line).collect();
        Self { lines, books: BTreeMap::new(), numbers: BTreeMap::new() }
    }

    pub fn join(&mut self, desk: &mut Desk, conn: ConnId, topic: Topic) {
        let market = &desk.exchange.markets[topic.market];
        let line = &mut self.lines[topic.market];
        match topic.kind {
            Kind::Book(depth) => {
                let (now_ns, seq) = (desk.now_ns, market.book.update_id());
                let first = 60_000_000 + 1_000_000 * depth as u64;
                let u = *self.numbers.entry(topic).or_insert(first);
                let book = self.books.entry(topic).or_insert_with(|| {
                    let paced = Paced::new(&market.book, depth, pace_ns(depth));
                    Book { paced, u, told_ns: now_ns, engine_ms: now_ns / MS, seq }
                });
                join(&mut book.paced.conns, conn);
                let text = book_text(market, line, book, depth, "snapshot", None, desk.now_ms());
                desk.say(conn, text);
            }
            Kind::Trade => join(&mut line.trade_conns, conn),
            Kind::Ticker => {
                join(&mut line.ticker.conns, conn);
                let (text, fields) = ticker_text(market, line, true, desk.now_ms());
                line.ticker.known = fields;
                desk.say(conn, text);
            }
        }
    }

    pub fn leave(&mut self, conn: ConnId, topic: Topic) {
        match topic.kind {
            Kind::Book(_) => {
                let Some(book) = self.books.get_mut(&topic) else { return };
                if leave(&mut book.paced.conns, conn) {
                    self.numbers.insert(topic, book.u + 1);
                    self.books.remove(&topic);
                }
            }
            Kind::Trade => _ = leave(&mut self.lines[topic.market].trade_conns, conn),
            Kind::Ticker => _ = leave(&mut self.lines[topic.market].ticker.conns, conn),
        }
    }

    pub fn forget(&mut self, conn: ConnId) {
        let topics: Vec<Topic> = self.books.keys().copied().collect();
        for topic in topics {
            self.leave(conn, topic);
        }
        for line in &mut self.lines {
            leave(&mut line.trade_conns, conn);
            leave(&mut line.ticker.conns, conn);
        }
    }

    pub fn moved(&mut self, desk: &mut Desk) {
        let now_ns = desk.now_ns;
        for (n, market) in desk.exchange.markets.iter_mut().enumerate() {
            if !market.book.has_changed() {
                continue;
            }
            let changed: Changed = market.book.take_changed();
            self.lines[n].changed_ns = now_ns;
            let all =
                Topic { market: n, kind: Kind::Book(0) }..=Topic { market: n, kind: Kind::Trade };
            for book in self.books.range_mut(all).map(|(_, book)| book) {
                book.paced.note(&changed, now_ns);
            }
        }
        let prints = std::mem::take(&mut desk.exchange.prints);
        for group in prints.chunk_by(|a, b| a.market == b.market) {
            self.traded(desk, group);
        }
        desk.exchange.prints = prints;
    }

    fn traded(&mut self, desk: &mut Desk, group: &[Print]) {
        let line = &mut self.lines[group[0].market];
        let market = &desk.exchange.markets[group[0].market];
        if !line.trade_conns.is_empty() {
            let ids: Vec<String> =
                group.iter().map(|print| trade_id(desk.rng, line, print)).collect();
            let text = trades_text(market, line, group, &ids, desk.now_ns / MS);
            desk.tell(&line.trade_conns, text);
        }
        for print in group {
            line.stats.count(print);
            line.last_price = print.price;
        }
        if !line.ticker.conns.is_empty() {
            let pace_ns = if line.product == Product::Spot { 50 * MS } else { 100 * MS };
            line.ticker.due_ns.get_or_insert((desk.now_ns / pace_ns + 1) * pace_ns);
        }
    }

    pub fn next_ns(&self) -> u64 {
        let books = self.books.iter().map(|(topic, book)| {
            let repeat = match topic.kind {
                Kind::Book(1) => book.told_ns + REPEAT_NS,
                _ => u64::MAX,
            };
            book.paced.due_ns.unwrap_or(u64::MAX).min(repeat)
        });
        let tickers = self.lines.iter().filter_map(|line| line.ticker.due_ns);
        books.chain(tickers).min().unwrap_or(u64::MAX)
    }

    pub fn tick(&mut self, desk: &mut Desk) {
        let (now_ns, now_ms) = (desk.now_ns, desk.now_ms());
        for (topic, book) in &mut self.books {
            let Kind::Book(depth) = topic.kind else { continue };
            let market = &desk.exchange.markets[topic.market];
            let line = &self.lines[topic.market];
            let due = book.paced.due_ns.is_some_and(|due| due <= now_ns);
            let repeat = depth == 1 && book.told_ns + REPEAT_NS <= now_ns;
            if !due && !repeat {
                continue;
            }
            let moves = book.paced.flush(&market.book).with_removals();
            let text = if !moves.is_empty() {
                book.u += 1;
                (book.seq, book.engine_ms) = (market.book.update_id(), line.changed_ns / MS);
                let (kind, moves) =
                    if depth == 1 { ("snapshot", None) } else { ("delta", Some(moves.levels)) };
                book_text(market, line, book, depth, kind, moves, now_ms)
            } else if repeat {
                book_text(market, line, book, depth, "snapshot", None, now_ms)
            } else {
                continue;
            };
            book.told_ns = now_ns;
            desk.faults.pass(
                &line.symbol,
                book.paced.conns.iter().map(|&conn| (conn, text.as_str().into())).collect(),
                desk.out,
            );
        }
        for n in 0..self.lines.len() {
            self.tell_ticker(desk, n);
        }
    }

    fn tell_ticker(&mut self, desk: &mut Desk, n: usize) {
        let line = &mut self.lines[n];
        if line.ticker.due_ns.is_none_or(|due| due > desk.now_ns) {
            return;
        }
        line.ticker.due_ns = None;
        let (text, fields) = ticker_text(&desk.exchange.markets[n], line, false, desk.now_ms());
        line.ticker.known = fields;
        desk.tell(&line.ticker.conns, text);
    }

    /// The service restarts: snapshots with `u` 1.
    pub fn restart(&mut self, desk: &mut Desk) {
        let now_ms = desk.now_ms();
        self.numbers.clear();
        for (topic, book) in &mut self.books {
            let Kind::Book(depth) = topic.kind else { continue };
            let market = &desk.exchange.markets[topic.market];
            book.paced.flush(&market.book);
            (book.u, book.told_ns) = (1, desk.now_ns);
            let line = &self.lines[topic.market];
            let text = book_text(market, line, book, depth, "snapshot", None, now_ms);
            for &conn in &book.paced.conns {
                desk.out.push_back((conn, crate::venue::Out::Text(text.as_str().into())));
            }
        }
    }
}

fn pace_ns(depth: usize) -> u64 {
    match depth {
        1 => 10 * MS,
        50 => 20 * MS,
        200 => 100 * MS,
        _ => 200 * MS,
    }
}

/// A book message; `moves` for a delta, else the whole window.
fn book_text(
    market: &Market,
    line: &Line,
    book: &Book,
    depth: usize,
    kind: &str,
    moves: Option<[Vec<(i64, i64)>; 2]>,
    now_ms: u64,
) -> String {
    let digits = digits(&market.spec, line.product);
    let mut sides = [String::new(), String::new()];
    for (n, out) in sides.iter_mut().enumerate() {
        match &moves {
            Some(moves) => push_levels(out, moves[n].iter().copied(), digits),
            None => push_levels(out, book.paced.window.levels(n), digits),
        }
    }
    // Spot and the first level of contracts name the time before the type.
    let head = if line.product == Product::Spot || depth == 1 {
        format!(r#""ts":{now_ms},"type":"{kind}""#)
    } else {
        format!(r#""type":"{kind}","ts":{now_ms}"#)
    };
    let symbol = &line.symbol;
    let [bids, asks] = sides;
    let (u, seq, engine_ms) = (book.u, book.seq, book.engine_ms);
    format!(
        concat!(
            r#"{{"topic":"orderbook.{}.{}",{},"data":{{"s":"{}","b":[{}],"a":[{}],"u":{},"#,
            r#""seq":{}}},"cts":{}}}"#
        ),
        depth, symbol, head, symbol, bids, asks, u, seq, engine_ms
    )
}

/// A number on spot, a UUID on contracts.
fn trade_id(rng: &mut crate::rng::Rng, line: &Line, print: &Print) -> String {
    match line.product {
        Product::Spot => (2_290_000_000_000_000_000 + print.id).to_string(),
        Product::Linear => {
            let mut part = |length| tag(rng, length, HEX);
            format!("{}-{}-5{}-a{}-{}", part(8), part(4), part(3), part(3), part(12))
        }
    }
}

fn trades_text(market: &Market, line: &Line, group: &[Print], ids: &[String], ms: u64) -> String {
    let [price_digits, qty_digits] = digits(&market.spec, line.product);
    let number = |value, digits: Option<u32>| match digits {
        Some(digits) => fixed_text(value, digits),
        None => trimmed_text(value),
    };
    let (symbol, seq) = (&line.symbol, market.book.update_id());
    let mut last = line.last_price;
    let mut data = String::new();
    for (print, id) in group.iter().zip(ids) {
        let side = if print.buyer_maker { "Sell" } else { "Buy" };
        let (p, v) = (number(print.price, price_digits), number(print.qty, qty_digits));
        if !data.is_empty() {
            data.push(',');
        }
        let _ = match line.product {
            Product::Spot => write!(
                data,
                concat!(
                    r#"{{"i":"{}","T":{},"p":"{}","v":"{}","S":"{}","seq":{},"s":"{}","#,
                    r#""BT":false,"RPI":false}}"#
                ),
                id, ms, p, v, side, seq, symbol
            ),
            Product::Linear => write!(
                data,
                concat!(
                    r#"{{"T":{},"s":"{}","S":"{}","v":"{}","p":"{}","L":"{}","i":"{}","#,
                    r#""BT":false,"RPI":false,"seq":{}}}"#
                ),
                ms,
                symbol,
                side,
                v,
                p,
                direction(last, print.price),
                id,
                seq
            ),
        };
        last = print.price;
    }
    let head = match line.product {
        Product::Spot => format!(r#""ts":{ms},"type":"snapshot""#),
        Product::Linear => format!(r#""type":"snapshot","ts":{ms}"#),
    };
    format!(r#"{{"topic":"publicTrade.{symbol}",{head},"data":[{data}]}}"#)
}

fn direction(before: i64, now: i64) -> &'static str {
    match now.cmp(&before) {
        std::cmp::Ordering::Greater => "PlusTick",
        std::cmp::Ordering::Less => "MinusTick",
        std::cmp::Ordering::Equal => "ZeroPlusTick",
    }
}

/// A ticker message and the fields it leaves known.
fn ticker_text(
    market: &Market,
    line: &Line,
    whole: bool,
    now_ms: u64,
) -> (String, Vec<(&'static str, String)>) {
    let fields = match line.product {
        Product::Spot => spot_fields(&line.stats),
        Product::Linear => linear_fields(market, &line.stats),
    };
    let delta = line.product == Product::Linear && !whole;
    let mut data = format!(r#""symbol":"{}""#, line.symbol);
    for (n, (key, value)) in fields.iter().enumerate() {
        if !delta || line.ticker.known.get(n).is_none_or(|(_, known)| known != value) {
            let _ = write!(data, r#","{key}":"{value}""#);
        }
    }
    let (symbol, cs) = (&line.symbol, market.book.update_id());
    let text = match line.product {
        Product::Spot => format!(
            r#"{{"topic":"tickers.{symbol}","ts":{now_ms},"type":"snapshot","cs":{cs},"data":{{{data}}}}}"#
        ),
        Product::Linear => {
            let kind = if delta { "delta" } else { "snapshot" };
            format!(
                r#"{{"topic":"tickers.{symbol}","type":"{kind}","data":{{{data}}},"cs":{cs},"ts":{now_ms}}}"#
            )
        }
    };
    (text, fields)
}

fn spot_fields(stats: &Stats) -> Vec<(&'static str, String)> {
    vec![
        ("lastPrice", trimmed_text(stats.last)),
        ("highPrice24h", trimmed_text(stats.high)),
        ("lowPrice24h", trimmed_text(stats.low)),
        ("prevPrice24h", trimmed_text(stats.open)),
        ("volume24h", wide_text(stats.volume)),
        ("turnover24h", wide_text(stats.turnover)),
        ("price24hPcnt", change_text(stats.last, stats.open, 4)),
        ("usdIndexPrice", trimmed_text(stats.average())),
    ]
}

fn linear_fields(market: &Market, stats: &Stats) -> Vec<(&'static str, String)> {
    let [price, qty] = digits(&market.spec, Product::Linear).map(|digits| digits.unwrap_or(2));
    let top = |side| market.book.best(side).unwrap_or_default();
    let ((bid, bid_qty), (ask, ask_qty)) = (top(Side::Buy), top(Side::Sell));
    let change = change_text(stats.last, stats.open, 6);
    vec![
        ("tickDirection", direction(stats.open, stats.last).to_owned()),
        ("price24hPcnt", change),
        ("lastPrice", fixed_text(stats.last, price)),
        ("prevPrice24h", fixed_text(stats.open, price)),
        ("highPrice24h", fixed_text(stats.high, price)),
        ("lowPrice24h", fixed_text(stats.low, price)),
        ("prevPrice1h", fixed_text(stats.open, price)),
        ("markPrice", fixed_text(stats.last, price)),
        ("indexPrice", fixed_text(stats.average(), price)),
        ("openInterest", "50000.000".to_owned()),
        ("openInterestValue", "3000000000.00".to_owned()),
        ("turnover24h", wide_text(stats.turnover)),
        ("volume24h", wide_text(stats.volume)),
        ("nextFundingTime", "1767254400000".to_owned()),
        ("fundingRate", "0.0001".to_owned()),
        ("bid1Price", fixed_text(bid, price)),
        ("bid1Size", fixed_text(bid_qty, qty)),
        ("ask1Price", fixed_text(ask, price)),
        ("ask1Size", fixed_text(ask_qty, qty)),
    ]
}
