//! The generated market in Kraken's words.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use crate::dialect::Desk;
use crate::dialect::paced::{join, leave};
use crate::dialect::stats::Stats;
use crate::dialect::text::{change_text, digits_of, fixed, fixed_text, rfc3339};
use crate::dialect::window::{Moves, Window};
use crate::exchange::{Exchange, Market, Print};
use crate::matching::Side;
use crate::venue::ConnId;

use super::words::{self, Pair, push_checked, push_level};
use super::{Channel, QTY_DIGITS, Wish};

/// Trades that a snapshot of the trade channel holds.
const TRADES: usize = 50;
/// One level in this many comes twice in a message, the later entry being the right one.
const TWICE_IN: u64 = 50;
/// One message in this many is not sorted.
const UNSORTED_IN: u64 = 4;

struct View {
    window: Window,
    conns: Vec<ConnId>,
}

struct Tape {
    trades: VecDeque<String>,
    trade_conns: Vec<ConnId>,
    ticker_conns: Vec<(ConnId, bool)>,
    stats: Stats,
    top: [Option<(i64, i64)>; 2],
    changed_ns: u64,
    digits: [u32; 2],
}

/// See the module.
pub struct Live {
    markets: Vec<Tape>,
    views: BTreeMap<(usize, u64), View>,
}

impl Live {
    pub fn new(exchange: &Exchange) -> Self {
        let tape = |market: &Market| Tape {
            trades: VecDeque::new(),
            trade_conns: Vec::new(),
            ticker_conns: Vec::new(),
            stats: Stats::new(market.last_price),
            top: top(market),
            changed_ns: 0,
            digits: digits(market),
        };
        Self { markets: exchange.markets.iter().map(tape).collect(), views: BTreeMap::new() }
    }

    pub fn check(&self, desk: &Desk, wish: &Wish) -> Result<(), String> {
        if wish.symbol.is_empty() || desk.exchange.market(wish.symbol).is_some() {
            return Ok(());
        }
        Err(format!("Currency pair not supported {}", wish.symbol))
    }

    pub fn join(&mut self, desk: &mut Desk, conn: ConnId, wish: &Wish) {
        if wish.channel == Channel::Instrument {
            let pairs: Vec<Pair> =
                desk.exchange.markets.iter().filter(|m| m.spec.is_listed()).map(pair).collect();
            return desk.say(conn, words::instruments(&pairs));
        }
        let Some(n) = desk.exchange.market(wish.symbol) else { return };
        let market = &desk.exchange.markets[n];
        let tape = &mut self.markets[n];
        match wish.channel {
            Channel::Book => {
                let depth = usize::try_from(wish.depth).unwrap_or(10);
                let view = self.views.entry((n, wish.depth)).or_insert_with(|| View {
                    window: Window::new(&market.book, depth),
                    conns: Vec::new(),
                });
                join(&mut view.conns, conn);
                if wish.snapshot {
                    let text = snapshot_text(market, tape, &view.window, desk.now_ns);
                    desk.say(conn, text);
                }
            }
            Channel::Trade => {
                join(&mut tape.trade_conns, conn);
                if wish.snapshot {
                    let list = tape.trades.iter().map(String::as_str).collect::<Vec<_>>();
                    desk.say(conn, channel_text("trade", "snapshot", &list.join(",")));
                }
            }
            Channel::Ticker => {
                tape.ticker_conns.push((conn, wish.on_quotes));
                if wish.snapshot {
                    let data = ticker_data(market, tape);
                    desk.say(conn, channel_text("ticker", "snapshot", &data));
                }
            }
            Channel::Instrument | Channel::Status | Channel::Heartbeat => {}
        }
    }

    pub fn leave(&mut self, desk: &Desk, conn: ConnId, wish: &Wish) {
        let Some(n) = desk.exchange.market(wish.symbol) else { return };
        match wish.channel {
            Channel::Book => {
                let key = (n, wish.depth);
                if self.views.get_mut(&key).is_some_and(|view| leave(&mut view.conns, conn)) {
                    self.views.remove(&key);
                }
            }
            Channel::Trade => _ = leave(&mut self.markets[n].trade_conns, conn),
            Channel::Ticker => self.markets[n].ticker_conns.retain(|at| at.0 != conn),
            Channel::Instrument | Channel::Status | Channel::Heartbeat => {}
        }
    }

    pub fn forget(&mut self, conn: ConnId) {
        self.views.retain(|_, view| !leave(&mut view.conns, conn));
        for tape in &mut self.markets {
            leave(&mut tape.trade_conns, conn);
            tape.ticker_conns.retain(|at| at.0 != conn);
        }
    }

    /// Books at once, then trades.
    pub fn moved(&mut self, desk: &mut Desk) {
        for n in 0..self.markets.len() {
            if desk.exchange.markets[n].book.has_changed() {
                self.book_moved(desk, n);
            }
        }
        let prints = std::mem::take(&mut desk.exchange.prints);
        for group in prints.chunk_by(|a, b| a.market == b.market) {
            self.traded(desk, group);
        }
        desk.exchange.prints = prints;
    }

    fn book_moved(&mut self, desk: &mut Desk, n: usize) {
        let changed = desk.exchange.markets[n].book.take_changed();
        let tape = &mut self.markets[n];
        tape.changed_ns = desk.now_ns;
        tape.digits = digits(&desk.exchange.markets[n]);
        for ((_, _), view) in self.views.range_mut((n, 0)..=(n, u64::MAX)) {
            let market = &desk.exchange.markets[n];
            let moves = view.window.follow(&market.book, &changed);
            if moves.is_empty() {
                continue;
            }
            let levels = [0, 1].map(|side| levels_text(desk, &moves, side, tape.digits));
            let sum = checksum(&view.window, tape.digits);
            let symbol = desk.exchange.markets[n].spec.name.clone();
            let levels = [levels[0].as_str(), levels[1].as_str()];
            let text = words::book("update", &symbol, levels, sum, desk.now_ns);
            desk.tell_depth_all(&symbol, &view.conns, text);
        }
        let market = &desk.exchange.markets[n];
        let now = top(market);
        if now != tape.top {
            tape.top = now;
            tell_ticker(desk, n, tape, true);
        }
    }

    fn traded(&mut self, desk: &mut Desk, group: &[Print]) {
        let n = group[0].market;
        let tape = &mut self.markets[n];
        let mut list = String::new();
        for print in group {
            tape.stats.count(print);
            let text = trade_data(&desk.exchange.markets[n], print, tape.digits, desk.now_ns);
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(&text);
            if tape.trades.len() == TRADES {
                tape.trades.pop_front();
            }
            tape.trades.push_back(text);
        }
        if !tape.trade_conns.is_empty() {
            desk.tell(&tape.trade_conns, channel_text("trade", "update", &list));
        }
        tell_ticker(desk, n, tape, false);
    }
}

fn tell_ticker(desk: &mut Desk, n: usize, tape: &Tape, on_quotes: bool) {
    let wanting = tape.ticker_conns.iter().filter(|at| at.1 == on_quotes);
    let conns: Vec<ConnId> = wanting.map(|at| at.0).collect();
    if !conns.is_empty() {
        let data = ticker_data(&desk.exchange.markets[n], tape);
        desk.tell(&conns, channel_text("ticker", "update", &data));
    }
}

fn top(market: &Market) -> [Option<(i64, i64)>; 2] {
    [market.book.best(Side::Buy), market.book.best(Side::Sell)]
}

fn digits(market: &Market) -> [u32; 2] {
    [digits_of(market.spec.finest.0), QTY_DIGITS]
}

fn pair(market: &Market) -> Pair<'_> {
    let spec = &market.spec;
    let (price_digits, qty_digits) = (digits_of(spec.tick), QTY_DIGITS);
    Pair {
        symbol: &spec.name,
        price_digits,
        qty_digits,
        tick: fixed_text(spec.tick, price_digits),
        lot: fixed_text(spec.lot, qty_digits),
        is_open: spec.is_open(),
    }
}

/// The entries of one side; sometimes unsorted, sometimes one of them twice.
fn levels_text(desk: &mut Desk, moves: &Moves, side: usize, digits: [u32; 2]) -> String {
    let mut levels = moves.levels[side].clone();
    if levels.len() > 1 && desk.rng.one_in(UNSORTED_IN) {
        let by = desk.rng.below(levels.len() as u64) as usize;
        levels.rotate_left(by);
    }
    if let Some(&(price, qty)) = levels.last()
        && desk.rng.one_in(TWICE_IN)
    {
        levels.insert(0, (price, qty + crate::decimal::ONE));
    }
    let mut out = String::new();
    for (price, qty) in levels {
        push_level(&mut out, &fixed_text(price, digits[0]), &fixed_text(qty, digits[1]));
    }
    out
}

fn snapshot_text(market: &Market, tape: &Tape, window: &Window, now_ns: u64) -> String {
    let side = |side| {
        let mut out = String::new();
        for (price, qty) in window.levels(side) {
            let (price, qty) = (fixed_text(price, tape.digits[0]), fixed_text(qty, tape.digits[1]));
            push_level(&mut out, &price, &qty);
        }
        out
    };
    let changed_ns = if tape.changed_ns == 0 { now_ns } else { tape.changed_ns };
    let sum = checksum(window, tape.digits);
    words::book("snapshot", &market.spec.name, [&side(0), &side(1)], sum, changed_ns)
}

/// CRC-32 over the ten best asks, then bids (sheet, 3.1).
fn checksum(window: &Window, digits: [u32; 2]) -> u32 {
    let mut text = String::with_capacity(512);
    let mut number = String::new();
    for side in [1, 0] {
        for (price, qty) in window.levels(side).take(10) {
            for (value, digits) in [(price, digits[0]), (qty, digits[1])] {
                number.clear();
                fixed(&mut number, value, digits);
                push_checked(&mut text, &number);
            }
        }
    }
    crc32fast::hash(text.as_bytes())
}

fn channel_text(channel: &str, kind: &str, data: &str) -> String {
    format!(r#"{{"channel":"{channel}","type":"{kind}","data":[{data}]}}"#)
}

fn trade_data(market: &Market, print: &Print, digits: [u32; 2], now_ns: u64) -> String {
    let side = if print.buyer_maker { "sell" } else { "buy" };
    // The crowd's takers are limit orders that do not rest; some are told as market orders.
    let kind = if print.taker.is_multiple_of(3) { "limit" } else { "market" };
    format!(
        concat!(
            r#"{{"symbol":"{}","side":"{}","price":{},"qty":{},"ord_type":"{}","#,
            r#""trade_id":{},"timestamp":"{}"}}"#
        ),
        market.spec.name,
        side,
        fixed_text(print.price, digits[0]),
        fixed_text(print.qty, digits[1]),
        kind,
        print.id,
        rfc3339(now_ns, 6)
    )
}

fn ticker_data(market: &Market, tape: &Tape) -> String {
    let [price, qty] = tape.digits;
    let stats = &tape.stats;
    let [(bid, bid_qty), (ask, ask_qty)] = tape.top.map(Option::unwrap_or_default);
    let volume = i64::try_from(stats.volume).unwrap_or(i64::MAX);
    let mut out = format!(r#"{{"symbol":"{}""#, market.spec.name);
    for (key, value, digits) in [
        ("bid", bid, price),
        ("bid_qty", bid_qty, qty),
        ("ask", ask, price),
        ("ask_qty", ask_qty, qty),
        ("last", stats.last, price),
        ("volume", volume, qty),
        ("vwap", stats.average(), price),
        ("low", stats.low, price),
        ("high", stats.high, price),
    ] {
        let _ = write!(out, r#","{key}":{}"#, fixed_text(value, digits));
    }
    let change = stats.last - stats.open;
    let sign = if change < 0 { "-" } else { "" };
    let _ = write!(out, r#","change":{sign}{}"#, fixed_text(change.abs(), price));
    let percent = change_text(stats.last, stats.open, 8).parse::<f64>().unwrap_or(0.0);
    let _ = write!(out, r#","change_pct":{:.2}}}"#, percent * 100.0);
    out
}
