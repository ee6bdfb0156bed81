//! What survives a kill: one JSON line for everything that one event changed.
//!
//! Invariant: a line is a whole transaction, so a torn last line is an event that never happened
//! (its answer did not leave either, because lines are written before answers are sent).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::account::Balance;
use crate::exchange::{Changes, Exchange, Ids, Market};
use crate::orders::{CLOSED_MAX, Order, OwnTrade};

/// How far trade, update and order ids jump at a restart: more than a second of any market, which
/// is the age of the last mark at most.
pub const ID_JUMP: u64 = 1_000_000;

/// The running numbers of one market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Market's name.
    pub symbol: String,
    /// Last trade id.
    pub trade_id: u64,
    /// Last aggregated trade id.
    pub agg_id: u64,
    /// Last update id.
    pub update_id: u64,
    /// Last trade's price.
    pub last_price: i64,
}

/// One line of the log; empty parts are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Orders as they stand now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
    /// New trades of the account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trades: Vec<OwnTrade>,
    /// Balances as they are now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub balances: Vec<(String, Balance)>,
    /// Running numbers of markets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// Next order, execution and prevention numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<(u64, u64, u64)>,
}

impl Record {
    /// The line of these changes.
    #[must_use]
    pub fn of_changes(changes: Changes, exchange: &Exchange) -> Self {
        let order = |id: u64| exchange.orders.by_id(id).cloned();
        Self {
            orders: changes.orders.into_iter().filter_map(order).collect(),
            trades: changes.trades.into_iter().map(|(_, trade)| trade).collect(),
            balances: changes.balances,
            marks: Vec::new(),
            ids: Some(numbers(exchange.ids)),
        }
    }

    /// The line of all markets' running numbers.
    #[must_use]
    pub fn of_marks(exchange: &Exchange) -> Self {
        let mark = |market: &Market| Mark {
            symbol: market.spec.name.clone(),
            trade_id: market.trade_id,
            agg_id: market.agg_id,
            update_id: market.book.update_id(),
            last_price: market.last_price,
        };
        Self { marks: exchange.markets.iter().map(mark).collect(), ..Self::default() }
    }

    /// As a line without its end.
    #[must_use]
    pub fn line(&self) -> String {
        // Serialising plain structs of numbers and strings cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn numbers(ids: Ids) -> (u64, u64, u64) {
    (ids.order, ids.execution, ids.prevented)
}

/// An account as its log left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Last state of each order.
    pub orders: BTreeMap<u64, Order>,
    /// Trades, oldest first.
    pub trades: VecDeque<OwnTrade>,
    /// Balances.
    pub balances: BTreeMap<String, Balance>,
    /// Running numbers by market.
    pub marks: BTreeMap<String, Mark>,
    /// Running numbers of the venue.
    pub ids: Option<Ids>,
}

/// A log that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedLog {
    /// Counted from 1.
    pub line: usize,
    /// The reader's words.
    pub what: String,
}

impl std::fmt::Display for DamagedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "account log, line {}: {} (start with a fresh state)", self.line, self.what)
    }
}

impl std::error::Error for DamagedLog {}

impl Stored {
    /// Reads a log. A last line without its end is ignored: it was being written.
    ///
    /// # Errors
    /// A complete line that is not a record.
    pub fn read(log: &str) -> Result<Self, DamagedLog> {
        let mut stored = Self::default();
        for (n, line) in log.split_inclusive('\n').enumerate() {
            let Some(line) = line.strip_suffix('\n') else { break };
            let record = serde_json::from_str(line)
                .map_err(|error| DamagedLog { line: n + 1, what: error.to_string() })?;
            stored.apply(record);
        }
        Ok(stored)
    }

    /// Nothing was ever stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn apply(&mut self, record: Record) {
        self.orders.extend(record.orders.into_iter().map(|order| (order.id, order)));
        self.trades.extend(record.trades);
        self.balances.extend(record.balances);
        self.marks.extend(record.marks.into_iter().map(|mark| (mark.symbol.clone(), mark)));
        if let Some((order, execution, prevented)) = record.ids {
            self.ids = Some(Ids { order, execution, prevented });
        }
    }

    /// The shortest log that says the same, one line for each thing; forgets what the venue
    /// would forget.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut out = String::new();
        let mut line = |record: Record| {
            out.push_str(&record.line());
            out.push('\n');
        };
        line(Record {
            balances: self.balances.iter().map(|(a, b)| (a.clone(), *b)).collect(),
            marks: self.marks.values().cloned().collect(),
            ids: self.ids.map(numbers),
            ..Record::default()
        });
        let excess = self.orders.len().saturating_sub(CLOSED_MAX);
        for (n, order) in self.orders.values().enumerate() {
            if n >= excess || order.status.is_open() {
                line(Record { orders: vec![order.clone()], ..Record::default() });
            }
        }
        for trade in &self.trades {
            line(Record { trades: vec![trade.clone()], ..Record::default() });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            balances: vec![(
                "BTC".to_owned(),
                Balance { free: i128::from(u64::MAX) * 4, locked: -1 },
            )],
            marks: vec![Mark {
                symbol: "BTCUSDT".to_owned(),
                trade_id: 1,
                agg_id: 2,
                update_id: 3,
                last_price: 4,
            }],
            ids: Some((5, 6, 7)),
            ..Record::default()
        }
    }

    #[test]
    fn a_torn_last_line_never_happened() {
        let whole = format!("{}\n", record().line());
        let stored = Stored::read(&whole).unwrap();
        assert_eq!(stored.balances["BTC"].free, i128::from(u64::MAX) * 4);
        for cut in 1..whole.len() {
            assert_eq!(Stored::read(&format!("{whole}{}", &whole[..cut - 1])).unwrap(), stored);
        }
        assert!(Stored::read("").unwrap().is_empty());
    }

    #[test]
    fn a_bad_line_in_the_middle_is_refused() {
        let error = Stored::read("{}\nrubbish\n{}\n").unwrap_err();
        assert_eq!(error.line, 2);
    }

    #[test]
    fn compacting_keeps_everything() {
        let stored = Stored::read(&format!("{}\n{}\n", record().line(), record().line())).unwrap();
        assert_eq!(Stored::read(&stored.compact()).unwrap(), stored);
    }
}
