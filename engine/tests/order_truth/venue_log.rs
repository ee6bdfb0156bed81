//! The simulated venue's own account log: what happened, told by nobody but the venue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// An order of the venue's table.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub symbol: String,
    pub client_id: String,
    pub buys: bool,
    pub price: i64,
    pub qty: i64,
    pub filled: i64,
    pub status: String,
    pub created_ms: u64,
}

/// A fill of the venue's list.
#[derive(Clone, Debug)]
pub struct Trade {
    pub order: u64,
    pub price: i64,
    pub qty: i64,
    pub fee: i128,
}

/// A moment: by the venue's clock, which may step, and by the number of an order before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Since {
    pub ms: u64,
    pub order: u64,
}

/// Most that a symbol was worth in the worst case, in 10^-8 of its quote asset, and when and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worst {
    pub worth: i128,
    pub at_ms: u64,
    pub buys: bool,
    pub held: i128,
    pub open: i128,
    pub price: i64,
}

/// The lowest price of so long after a moment counts for it, ms.
const WEIGHED_FOR_MS: u64 = 2_000;

/// What the log says so far.
#[derive(Default)]
pub struct VenueLog {
    path: PathBuf,
    read: u64,
    torn: String,
    pub orders: BTreeMap<u64, Order>,
    /// Those of them that are open.
    open: BTreeSet<u64>,
    /// By symbol and number.
    pub trades: BTreeMap<(String, u64), Trade>,
    /// Largest worst case seen, by symbol: held and open on one side, at the lowest price so far.
    pub worst: BTreeMap<String, Worst>,
    /// What was weighed in the last seconds: a price that fell while nothing of ours traded shows
    /// in the trade that comes next.
    weighed: VecDeque<(String, Worst)>,
    /// The youngest order's time.
    now_ms: u64,
    positions: BTreeMap<String, i128>,
    lowest: BTreeMap<String, i64>,
}

impl VenueLog {
    /// The log of the venue with this folder.
    pub fn of(state: &Path) -> Self {
        Self { path: state.join("account.log"), ..Self::default() }
    }

    /// Reads on. A venue that starts again writes its log anew, in its shortest form.
    pub fn read_on(&mut self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        if file.metadata().map_or(0, |m| m.len()) < self.read {
            (self.read, self.torn) = (0, String::new());
        }
        let mut text = std::mem::take(&mut self.torn);
        let read =
            file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_string(&mut text));
        self.read += read.unwrap_or(0) as u64;
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n').map(serde_json::from_str::<Value>) {
                Some(Ok(record)) => self.take(&record),
                Some(Err(_)) => {}
                None => self.torn = line.to_owned(),
            }
        }
    }

    fn take(&mut self, record: &Value) {
        let mut touched = Vec::new();
        for order in record["orders"].as_array().into_iter().flatten() {
            let symbol = text(order, "symbol");
            touched.push(symbol.clone());
            let order_read = Order {
                symbol,
                client_id: text(order, "client_id"),
                buys: order["side"] == "Buy",
                price: integer(order, "price"),
                qty: integer(order, "qty"),
                filled: integer(order, "filled"),
                status: text(order, "status"),
                created_ms: order["created_ms"].as_u64().unwrap_or(0),
            };
            let number = order["id"].as_u64().unwrap_or(0);
            self.now_ms = self.now_ms.max(order_read.created_ms);
            match order_read.status.as_str() {
                "New" | "PartiallyFilled" => self.open.insert(number),
                _ => self.open.remove(&number),
            };
            self.orders.insert(number, order_read);
        }
        for trade in record["trades"].as_array().into_iter().flatten() {
            self.traded(trade);
        }
        touched.iter().for_each(|symbol| self.weigh(symbol));
        self.judge_weighed(self.now_ms.saturating_sub(WEIGHED_FOR_MS));
    }

    fn traded(&mut self, trade: &Value) {
        let symbol = text(trade, "symbol");
        let (buyer, qty) = (trade["buyer"] == true, integer(trade, "qty"));
        let read = Trade {
            order: trade["order"].as_u64().unwrap_or(0),
            price: integer(trade, "price"),
            qty,
            fee: trade["commission"].as_i64().unwrap_or(0).into(),
        };
        let lowest = self.lowest.entry(symbol.clone()).or_insert(read.price);
        *lowest = read.price.min(*lowest);
        let own = self.orders.get(&read.order).is_none_or(|o| is_own(&o.client_id));
        let number = trade["id"].as_u64().unwrap_or(0);
        if self.trades.insert((symbol.clone(), number), read).is_none() && own {
            let signed = if buyer { i128::from(qty) } else { -i128::from(qty) };
            *self.positions.entry(symbol).or_default() += signed;
        }
    }

    /// The worst case of `symbol` now, in 10^-8 of its quote asset.
    fn weigh(&mut self, symbol: &str) {
        let held = self.positions.get(symbol).copied().unwrap_or(0);
        for buys in [true, false] {
            let open = self.open.iter().filter_map(|number| self.orders.get(number));
            let open = open.filter(|o| o.symbol == symbol && o.buys == buys);
            let (mut left, mut price) =
                (0i128, self.lowest.get(symbol).copied().unwrap_or(i64::MAX));
            for order in open {
                left += i128::from(order.qty - order.filled);
                if order.price > 0 {
                    price = price.min(order.price);
                }
            }
            if left == 0 || price == i64::MAX {
                continue;
            }
            let now = Worst { worth: 0, at_ms: self.now_ms, buys, held, open: left, price };
            self.weighed.push_back((symbol.to_owned(), now));
        }
    }

    /// Judges what was weighed before `until_ms`, at the lowest price by now.
    pub fn judge_weighed(&mut self, until_ms: u64) {
        while self.weighed.front().is_some_and(|(_, w)| w.at_ms <= until_ms) {
            let Some((symbol, mut of)) = self.weighed.pop_front() else { return };
            of.price = of.price.min(self.lowest.get(&symbol).copied().unwrap_or(i64::MAX));
            let held = if of.buys { of.held } else { -of.held };
            of.worth = (held + of.open) * i128::from(of.price) / 100_000_000;
            let most = self.worst.entry(symbol).or_default();
            if of.worth > most.worth {
                *most = of;
            }
        }
    }

    /// Own orders that came since then, the earliest of `symbol`.
    pub fn first_since(&self, symbol: &str, since: Since) -> Option<u64> {
        let behind = (std::ops::Bound::Excluded(since.order), std::ops::Bound::Unbounded);
        let orders = self.orders.range(behind).map(|(_, order)| order);
        let own = orders.filter(|o| o.symbol == symbol && is_own(&o.client_id));
        own.map(|o| o.created_ms).filter(|at| *at >= since.ms).min()
    }

    /// The newest order's number.
    pub fn newest(&self) -> u64 {
        self.orders.last_key_value().map_or(0, |(id, _)| *id)
    }
}

/// It is an order of an engine.
pub fn is_own(client_id: &str) -> bool {
    client_id.starts_with("b4") && client_id.len() == 16
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn integer(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or(0)
}
