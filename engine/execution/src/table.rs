//! The orders that may still change, and the trade ids already booked.

use bot4_types::{InstrumentId, Nanos, OrderId};

use crate::order::Order;

/// How long an ended order stays in the table, so that a late fill still finds it.
const RETENTION: Nanos = Nanos::from_secs(5);

/// Orders sorted by id. Ids are handed out in increasing order, so an insert is a push; open
/// orders are few, so a removal moves little. No allocation after construction.
#[derive(Debug)]
pub struct OrderTable {
    orders: Vec<Order>,
    capacity: usize,
}

/// Why an order does not enter the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// No room for another order.
    Full,
    /// The id is there already.
    Duplicate,
}

impl OrderTable {
    /// A table for `capacity` orders.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { orders: Vec::with_capacity(capacity), capacity }
    }

    /// Adds an order; when the table is full, ended ones make room: those past their retention,
    /// else the older half.
    ///
    /// # Errors
    /// See [`InsertError`].
    pub fn insert(&mut self, order: Order, now: Nanos) -> Result<(), InsertError> {
        if self.orders.len() == self.capacity {
            self.purge(now);
        }
        if self.orders.len() == self.capacity {
            self.purge_half();
        }
        if self.orders.len() == self.capacity {
            return Err(InsertError::Full);
        }
        match self.orders.binary_search_by_key(&order.id, |o| o.id) {
            Ok(_) => Err(InsertError::Duplicate),
            Err(at) => {
                self.orders.insert(at, order);
                Ok(())
            }
        }
    }

    /// The order with this id.
    pub fn find(&mut self, id: OrderId) -> Option<&mut Order> {
        let at = self.orders.binary_search_by_key(&id, |o| o.id).ok()?;
        self.orders.get_mut(at)
    }

    /// All orders, ended ones included, by id.
    pub fn all_mut(&mut self) -> &mut [Order] {
        &mut self.orders
    }

    /// Orders that have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.orders.iter().filter(|o| !o.state.is_terminal()).count()
    }

    /// Forgets ended orders past their retention; how many.
    pub fn purge(&mut self, now: Nanos) -> usize {
        let before = self.orders.len();
        self.orders.retain(|o| !o.state.is_terminal() || now.since(o.touched_at) < RETENTION);
        before - self.orders.len()
    }

    /// Forgets the older half of the ended orders, at least one.
    fn purge_half(&mut self) {
        let mut excess = (self.orders.len() - self.open()).div_ceil(2);
        self.orders.retain(|o| {
            let kept = !o.state.is_terminal() || excess == 0;
            excess -= usize::from(!kept);
            kept
        });
    }
}

/// Trades booked for one instrument, by trade id and order, because both legs of a trade between
/// two own orders have one id: exact for the newest [`RECENT_MAX`], and everything at or below
/// the floor counts as booked. Venue trade ids grow, so the floor follows far behind.
#[derive(Clone, Debug)]
pub struct BookedTrades {
    recent: Vec<(u64, OrderId)>,
    floor: u64,
}

/// Trades told apart exactly.
const RECENT_MAX: usize = 2_048;

impl BookedTrades {
    /// Nothing booked.
    #[must_use]
    pub fn new() -> Self {
        Self { recent: Vec::with_capacity(RECENT_MAX), floor: 0 }
    }

    /// Books trade `id` of `order`; false when it was booked before.
    pub fn book(&mut self, id: u64, order: OrderId) -> bool {
        if id <= self.floor {
            return false;
        }
        let trade = (id, order);
        let Err(at) = self.recent.binary_search(&trade) else { return false };
        if self.recent.len() < RECENT_MAX {
            self.recent.insert(at, trade);
            return true;
        }
        let half = RECENT_MAX / 2;
        self.floor = self.recent[half - 1].0;
        self.recent.drain(..half);
        if id <= self.floor {
            return false;
        }
        let at = self.recent.binary_search(&trade).unwrap_or_else(|at| at);
        self.recent.insert(at, trade);
        true
    }

    /// The highest id booked, zero before the first.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.recent.last().map_or(self.floor, |(id, _)| *id)
    }
}

impl Default for BookedTrades {
    fn default() -> Self {
        Self::new()
    }
}

/// Booked trades of every instrument.
#[derive(Debug)]
pub struct TradeLedger {
    by_instrument: Vec<BookedTrades>,
    /// Fills dropped because they were booked before.
    pub duplicates: u64,
}

impl TradeLedger {
    /// A ledger for `instruments` instruments.
    #[must_use]
    pub fn new(instruments: usize) -> Self {
        let by_instrument = (0..instruments).map(|_| BookedTrades::new()).collect();
        Self { by_instrument, duplicates: 0 }
    }

    /// Books a trade of `order`; false, and counted, when it was booked before.
    pub fn book(&mut self, instrument: InstrumentId, id: u64, order: OrderId) -> bool {
        let booked = self.by_instrument.get_mut(instrument.index());
        let fresh = booked.is_some_and(|b| b.book(id, order));
        self.duplicates += u64::from(!fresh);
        fresh
    }

    /// The highest id booked for `instrument`.
    #[must_use]
    pub fn highest(&self, instrument: InstrumentId) -> u64 {
        self.by_instrument.get(instrument.index()).map_or(0, BookedTrades::highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// The naive twin is a set of all ids.
        #[test]
        fn a_trade_is_booked_once(
            trades in proptest::collection::vec((1u64..400, 1u64..4), 0..600)
        ) {
            let (mut booked, mut twin) = (BookedTrades::new(), BTreeSet::new());
            for (id, order) in trades {
                prop_assert_eq!(booked.book(id, OrderId(order)), twin.insert((id, order)));
                prop_assert_eq!(Some(booked.highest()), twin.last().map(|(id, _)| *id));
            }
        }
    }

    #[test]
    fn growing_ids_are_booked_once_for_ever() {
        let mut booked = BookedTrades::new();
        for id in 1..10_000u64 {
            assert!(booked.book(id * 3, OrderId(1)));
            assert!(!booked.book(id * 3, OrderId(1)));
            assert!(!booked.book(id.saturating_sub(1_500).max(1) * 3, OrderId(1)));
        }
        assert!(booked.recent.capacity() <= RECENT_MAX);
    }
}
