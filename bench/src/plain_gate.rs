//! The rival of the gate: what one writes first. A mutex around hash maps by symbol and order id,
//! amounts in floats, sums made when they are asked for.
//!
//! It checks what floats and maps make easy: kill, instrument, book age, collar, size, value,
//! rate, open orders, self-trade, position, gross, net, loss, drawdown and balance, in an account
//! like the large one of [`crate::gate`]. It has no scopes, no modes, no orders of unknown fate,
//! no weight, no margin and no fees: it does less than the gate.

#![expect(clippy::disallowed_types, reason = "the rival is what the bans are there to avoid")]

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bot4_types::limits::ORDERS_OPEN_MAX;

use crate::case::Case;
use crate::gate::ROW;

const INSTRUMENTS: u64 = 64;
const OPEN: u64 = 256;
/// Placements remembered for the rate.
const RECENT: usize = 4_096;

/// An order.
#[derive(Clone, Debug)]
pub struct PlainOrder {
    id: u64,
    symbol: String,
    buys: bool,
    price: f64,
    qty: f64,
    at: f64,
}

impl PlainOrder {
    /// An order; `at` in seconds.
    #[must_use]
    pub fn new(id: u64, symbol: &str, buys: bool, price: f64, qty: f64, at: f64) -> Self {
        Self { id, symbol: symbol.to_owned(), buys, price, qty, at }
    }
}

struct Quote {
    micro: f64,
    last: f64,
    at: f64,
}

#[derive(Default)]
struct Books {
    quotes: HashMap<String, Quote>,
    positions: HashMap<String, f64>,
    open: HashMap<u64, PlainOrder>,
    balances: HashMap<String, f64>,
    recent: VecDeque<f64>,
    peak: f64,
    day_open: f64,
}

/// The gate of mutex, hash maps and floats.
pub struct PlainGate {
    killed: AtomicBool,
    books: Mutex<Books>,
}

impl PlainGate {
    /// A fresh account.
    #[must_use]
    pub fn new() -> Self {
        let mut books = Books { peak: 340_000.0, day_open: 340_000.0, ..Books::default() };
        for i in 0..INSTRUMENTS {
            let quote = Quote { micro: 100.0, last: 100.0, at: 1.0 };
            books.quotes.insert(symbol(i), quote);
            books.positions.insert(symbol(i), 0.0);
            books.balances.insert(symbol(i), 50.0);
        }
        books.balances.insert("USDT".to_owned(), 20_000.0);
        Self { killed: AtomicBool::new(false), books: Mutex::new(books) }
    }

    /// An account that trades `symbol` at `price`, with a million of each of its assets.
    #[must_use]
    pub fn of(symbol: &str, price: f64) -> Self {
        let equity = 1e6 * (price + 1.0);
        let mut books = Books { peak: equity, day_open: equity, ..Books::default() };
        books.quotes.insert(symbol.to_owned(), Quote { micro: price, last: price, at: 0.0 });
        books.positions.insert(symbol.to_owned(), 0.0);
        books.balances.insert(symbol.to_owned(), 1e6);
        books.balances.insert("USDT".to_owned(), 1e6);
        Self { killed: AtomicBool::new(false), books: Mutex::new(books) }
    }

    /// Checks `order` and keeps it as open.
    ///
    /// # Errors
    /// The name of the check that does not hold.
    ///
    /// # Panics
    /// When an earlier call panicked.
    pub fn place(&self, order: &PlainOrder) -> Result<(), &'static str> {
        if self.killed.load(Ordering::Relaxed) {
            return Err("killed");
        }
        let mut books = self.books.lock().expect("no call panics");
        let quote = books.quotes.get(&order.symbol).ok_or("instrument")?;
        if order.at - quote.at > 1e9 {
            return Err("book_stale");
        }
        let far = |reference: f64| (order.price - reference).abs() > reference * 0.03;
        if far(quote.micro) || far(quote.last) {
            return Err("collar");
        }
        if order.qty <= 0.0 || order.qty > 1_000.0 || order.price * order.qty > 100_000.0 {
            return Err("size");
        }
        books.exposure(order)?;
        books.rate(order.at)?;
        books.open.insert(order.id, order.clone());
        Ok(())
    }

    /// The order ended without a fill.
    ///
    /// # Panics
    /// When an earlier call panicked.
    pub fn end(&self, id: u64) {
        self.books.lock().expect("no call panics").open.remove(&id);
    }
}

impl Default for PlainGate {
    fn default() -> Self {
        Self::new()
    }
}

impl Books {
    /// At most [`RECENT`] orders a millisecond, counted in a sliding window.
    fn rate(&mut self, at: f64) -> Result<(), &'static str> {
        while self.recent.front().is_some_and(|first| at - first > 1e-3) {
            self.recent.pop_front();
        }
        if self.recent.len() >= RECENT {
            return Err("rate");
        }
        self.recent.push_back(at);
        Ok(())
    }

    fn exposure(&self, order: &PlainOrder) -> Result<(), &'static str> {
        let value = order.price * order.qty;
        let price = |symbol: &String| self.quotes.get(symbol).map_or(1.0, |q| q.micro);
        let equity: f64 = self.balances.iter().map(|(asset, held)| held * price(asset)).sum();
        let (mut here, mut same, mut gross, mut net, mut reserved) = (0, 0.0, 0.0, 0.0, 0.0);
        for open in self.open.values() {
            let worth = open.qty * open.price;
            gross += worth;
            net += if open.buys { worth } else { -worth };
            reserved += if open.buys { worth } else { 0.0 };
            if open.symbol != order.symbol {
                continue;
            }
            here += 1;
            let (buy, sell) = if open.buys { (open, order) } else { (order, open) };
            if open.buys == order.buys {
                same += open.qty;
            } else if buy.price >= sell.price {
                return Err("self_trade");
            }
        }
        for (symbol, position) in &self.positions {
            let worth = position * price(symbol);
            gross += worth.abs();
            net += worth;
        }
        let held = self.positions.get(&order.symbol).copied().unwrap_or(0.0);
        let free = self.balances.get("USDT").copied().unwrap_or(0.0) - reserved;
        let rules = [
            // As wide as ours: a venue that stands still for a while is no reason to refuse.
            (here.max(self.open.len()) < ORDERS_OPEN_MAX, "open_orders"),
            ((held.abs() + same + order.qty) * order.price <= equity * 0.02, "position"),
            (gross + value <= equity, "gross"),
            ((net + value).abs() <= equity, "net"),
            (self.day_open - equity < self.day_open * 0.02, "daily_loss"),
            (equity > self.peak * 0.85, "drawdown"),
            (!order.buys || value <= free, "balance"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, name)| Err(*name))
    }
}

fn symbol(i: u64) -> String {
    format!("A{i}USDT")
}

fn order(id: u64) -> PlainOrder {
    let buys = id & 1 == 0;
    let away = (10 + (id >> 2 & 3)) as f64 * 0.01;
    PlainOrder {
        id,
        symbol: symbol((id >> 1) % INSTRUMENTS),
        buys,
        price: if buys { 100.0 - away } else { 100.0 + away },
        qty: 0.01,
        at: 1.0 + id as f64 * 2e-6,
    }
}

/// The decision on a new order that is approved, by the plain gate.
pub struct PlainPlace {
    gate: PlainGate,
    next: u64,
    row: Vec<PlainOrder>,
    at: usize,
}

impl Default for PlainPlace {
    fn default() -> Self {
        let gate = PlainGate::new();
        for id in 1..=OPEN - ROW {
            assert_eq!(gate.place(&order(id)), Ok(()), "the limits allow it");
        }
        Self { gate, next: OPEN, row: Vec::new(), at: 0 }
    }
}

impl Case for PlainPlace {
    fn ready(&mut self, wanted: u64) -> u64 {
        let row = wanted.min(ROW);
        self.row = (self.next..self.next + row).map(order).collect();
        self.next += row;
        self.at = 0;
        row
    }

    fn row_max(&self) -> u64 {
        ROW
    }

    #[inline]
    fn call(&mut self) {
        self.at += 1;
        let answer = black_box(self.gate.place(black_box(&self.row[self.at - 1])));
        assert!(answer.is_ok(), "the limits allow it: {answer:?}");
    }

    fn settle(&mut self) {
        self.row.iter().for_each(|order| self.gate.end(order.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rival_decides() {
        let mut plain = PlainPlace::default();
        (0..1_000).for_each(|_| {
            plain.ready(1);
            plain.call();
            plain.settle();
        });
        let gate = PlainGate::new();
        assert_eq!(gate.place(&PlainOrder { price: 104.0, ..order(2) }), Err("collar"));
        assert_eq!(gate.place(&PlainOrder { qty: 100.0, ..order(2) }), Err("position"));
        assert_eq!(gate.place(&order(2)), Ok(()));
        let sell = PlainOrder { id: 3, buys: false, price: 99.0, ..order(2) };
        assert_eq!(gate.place(&sell), Err("self_trade"));
        gate.end(2);
        assert_eq!(gate.place(&sell), Ok(()));
    }
}
