//! The generated markets in Coinbase's words.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use crate::dialect::Desk;
use crate::dialect::paced::Paced;
use crate::dialect::stats::Stats;
use crate::dialect::text::{change_text, digits_of, fixed_text, trimmed, trimmed_text, wide_text};
use crate::dialect::window::Changed;
use crate::exchange::{Exchange, Market, Print};
use crate::matching::Side;

use super::Note;
use super::words::{Product, short_time};

const MS: u64 = 1_000_000;
/// Pace of book updates.
const BOOK_NS: u64 = 50 * MS;
/// Pace of trade batches.
const TRADES_NS: u64 = 250 * MS;
/// Trades that a snapshot holds.
const TRADES: usize = 100;

struct Line {
    name: String,
    stats: Stats,
    /// Newest first.
    recent: VecDeque<String>,
    batch: VecDeque<String>,
    batch_due_ns: Option<u64>,
    changed_ns: u64,
}

/// See the module.
pub struct Live {
    lines: Vec<Line>,
    books: BTreeMap<usize, Paced>,
}

impl Live {
    pub fn new(exchange: &Exchange) -> Self {
        let line = |market: &Market| Line {
            name: market.spec.name.clone(),
            stats: Stats::new(market.last_price),
            recent: VecDeque::new(),
            batch: VecDeque::new(),
            batch_due_ns: None,
            changed_ns: 0,
        };
        Self { lines: exchange.markets.iter().map(line).collect(), books: BTreeMap::new() }
    }

    /// What a new listener is sent first.
    pub fn snapshot(&mut self, desk: &Desk, channel: &str, product: &str) -> Option<String> {
        let n = desk.exchange.market(product)?;
        let market = &desk.exchange.markets[n];
        let line = &self.lines[n];
        match channel {
            "level2" => {
                let fresh = || Paced::new(&market.book, usize::MAX, BOOK_NS);
                let paced = self.books.entry(n).or_insert_with(fresh);
                let sides = [0, 1].map(|side| paced.window.levels(side).collect());
                let changed_ns = if line.changed_ns == 0 { desk.now_ns } else { line.changed_ns };
                Some(book_text("snapshot", product, &sides, changed_ns))
            }
            "market_trades" => {
                let list: Vec<&str> = line.recent.iter().map(String::as_str).collect();
                Some(trades_text("snapshot", &list))
            }
            "ticker" => Some(ticker_text("snapshot", market, &line.stats)),
            _ => None,
        }
    }

    /// Forgets books that nobody hears.
    pub fn keep_books(&mut self, heard: impl Fn(&str) -> bool) {
        self.books.retain(|&n, _| heard(&self.lines[n].name));
    }

    pub fn moved(&mut self, desk: &mut Desk) -> Vec<Note> {
        let now_ns = desk.now_ns;
        for (n, market) in desk.exchange.markets.iter_mut().enumerate() {
            if market.book.has_changed() {
                let changed: Changed = market.book.take_changed();
                self.lines[n].changed_ns = now_ns;
                if let Some(paced) = self.books.get_mut(&n) {
                    paced.note(&changed, now_ns);
                }
            }
        }
        let mut notes = Vec::new();
        for group in desk.exchange.prints.chunk_by(|a, b| a.market == b.market) {
            let market = &desk.exchange.markets[group[0].market];
            let line = &mut self.lines[group[0].market];
            for print in group {
                line.stats.count(print);
                let text = trade_data(market, print, now_ns);
                line.batch.push_front(text.clone());
                line.recent.push_front(text);
            }
            line.recent.truncate(TRADES);
            line.batch_due_ns.get_or_insert((now_ns / TRADES_NS + 1) * TRADES_NS);
            let events = ticker_text("update", market, &line.stats);
            notes.push(Note { channel: "ticker", product: market.spec.name.clone(), events });
        }
        notes
    }

    pub fn next_ns(&self) -> u64 {
        let books = self.books.values().filter_map(|paced| paced.due_ns);
        let batches = self.lines.iter().filter_map(|line| line.batch_due_ns);
        books.chain(batches).min().unwrap_or(u64::MAX)
    }

    pub fn tick(&mut self, desk: &Desk) -> Vec<Note> {
        let now_ns = desk.now_ns;
        let mut notes = Vec::new();
        for (&n, paced) in &mut self.books {
            if paced.due_ns.is_none_or(|due| due > now_ns) {
                continue;
            }
            let market = &desk.exchange.markets[n];
            let moves = paced.flush(&market.book);
            if !moves.is_empty() {
                let product = market.spec.name.clone();
                let changed_ns = self.lines[n].changed_ns;
                let events = book_text("update", &product, &moves.levels, changed_ns);
                notes.push(Note { channel: "level2", product, events });
            }
        }
        for (n, line) in self.lines.iter_mut().enumerate() {
            if line.batch_due_ns.is_none_or(|due| due > now_ns) {
                continue;
            }
            line.batch_due_ns = None;
            let batch = std::mem::take(&mut line.batch);
            let list: Vec<&str> = batch.iter().map(String::as_str).collect();
            let product = desk.exchange.markets[n].spec.name.clone();
            let events = trades_text("update", &list);
            notes.push(Note { channel: "market_trades", product, events });
        }
        notes
    }

    pub fn products(&self, exchange: &Exchange) -> Vec<Product> {
        let listed = exchange.markets.iter().zip(&self.lines);
        let listed = listed.filter(|(market, _)| market.spec.is_listed());
        let product = listed.map(|(market, line)| Product {
            id: market.spec.name.clone(),
            price: trimmed_text(line.stats.last),
            volume: wide_text(line.stats.volume),
            tick: fixed_text(market.spec.tick, digits_of(market.spec.tick)),
            lot: fixed_text(market.spec.lot, digits_of(market.spec.lot)),
            high: trimmed_text(line.stats.high),
            low: trimmed_text(line.stats.low),
            change: percent_text(&line.stats),
            is_open: market.spec.is_open(),
        });
        product.collect()
    }
}

fn book_text(kind: &str, product: &str, sides: &[Vec<(i64, i64)>; 2], changed_ns: u64) -> String {
    let time = short_time(changed_ns, 6);
    let mut out = format!(r#"{{"type":"{kind}","product_id":"{product}","updates":["#);
    let mut first = true;
    for (side, levels) in ["bid", "offer"].into_iter().zip(sides) {
        for &(price, qty) in levels {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            let _ =
                write!(out, r#"{comma}{{"side":"{side}","event_time":"{time}","price_level":""#);
            trimmed(&mut out, price);
            out.push_str(r#"","new_quantity":""#);
            trimmed(&mut out, qty);
            out.push_str("\"}");
        }
    }
    out.push_str("]}");
    out
}

fn trades_text(kind: &str, list: &[&str]) -> String {
    format!(r#"{{"type":"{kind}","trades":[{}]}}"#, list.join(","))
}

/// The side is the maker's.
fn trade_data(market: &Market, print: &Print, now_ns: u64) -> String {
    let side = if print.buyer_maker { "BUY" } else { "SELL" };
    let (name, id, time) = (&market.spec.name, print.id, short_time(now_ns, 6));
    let (price, size) = (trimmed_text(print.price), trimmed_text(print.qty));
    format!(
        concat!(
            r#"{{"product_id":"{}","trade_id":"{}","price":"{}","size":"{}","time":"{}","#,
            r#""side":"{}"}}"#
        ),
        name, id, price, size, time, side
    )
}

/// The change in percent, with the digits of a float that the venue shows.
fn percent_text(stats: &Stats) -> String {
    let ratio = change_text(stats.last, stats.open, 16).parse::<f64>().unwrap_or(0.0);
    format!("{:.14}", ratio * 100.0)
}

fn ticker_text(kind: &str, market: &Market, stats: &Stats) -> String {
    let top = |side| market.book.best(side).unwrap_or_default();
    let ((bid, bid_qty), (ask, ask_qty)) = (top(Side::Buy), top(Side::Sell));
    let mut out = format!(
        r#"{{"type":"{kind}","tickers":[{{"type":"ticker","product_id":"{}""#,
        market.spec.name
    );
    for (key, value) in [
        ("price", trimmed_text(stats.last)),
        ("volume_24_h", wide_text(stats.volume)),
        ("low_24_h", trimmed_text(stats.low)),
        ("high_24_h", trimmed_text(stats.high)),
        ("low_52_w", trimmed_text(stats.low)),
        ("high_52_w", trimmed_text(stats.high)),
        ("price_percent_chg_24_h", percent_text(stats)),
        ("best_bid", trimmed_text(bid)),
        ("best_ask", trimmed_text(ask)),
        ("best_bid_quantity", trimmed_text(bid_qty)),
        ("best_ask_quantity", trimmed_text(ask_qty)),
    ] {
        let _ = write!(out, r#","{key}":"{value}""#);
    }
    out.push_str("}]}");
    out
}
