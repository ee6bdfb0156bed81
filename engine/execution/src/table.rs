//! The orders that may still change, and the trade ids already booked. Both are fixed tables.

use bot4_types::{InstrumentId, Nanos, OrderId};

use crate::ended::Ended;
use crate::order::Order;

/// How long an ended order stays in the table, so that a late fill still finds it.
const RETENTION: Nanos = Nanos::from_secs(5);

/// Names a place in the table and the order that was put there: once the order is forgotten the
/// place may hold another one, and the handle finds nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    place: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    generation: u32,
    order: Option<Order>,
}

/// A fixed slab of orders and an index over it, sorted by id. Ids are handed out in increasing
/// order, so an insert into the index is a push; a removal moves 16 bytes an order, the orders
/// themselves stay where they are. No allocation after construction.
#[derive(Debug)]
pub struct OrderTable {
    places: Box<[Place]>,
    free: Vec<u32>,
    index: Vec<(OrderId, Handle)>,
    /// Orders that were forgotten and may have filled more than was told.
    ended: Ended,
    /// When ended orders were last forgotten before their time.
    halved_at: Option<Nanos>,
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
        Self {
            places: vec![Place::default(); capacity].into_boxed_slice(),
            free: (0..capacity as u32).rev().collect(),
            index: Vec::with_capacity(capacity),
            ended: Ended::new(capacity),
            halved_at: None,
        }
    }

    /// Adds an order; when the table is full, ended ones make room: those past their retention,
    /// else the older half.
    ///
    /// # Errors
    /// See [`InsertError`].
    pub fn insert(&mut self, order: Order, now: Nanos) -> Result<Handle, InsertError> {
        if self.free.is_empty() {
            self.purge(now);
        }
        if self.free.is_empty() {
            self.purge_half();
            self.halved_at = Some(now);
        }
        let Err(at) = self.index.binary_search_by_key(&order.id, |(id, _)| *id) else {
            return Err(InsertError::Duplicate);
        };
        let place = self.free.pop().ok_or(InsertError::Full)?;
        let slot = &mut self.places[place as usize];
        slot.order = Some(order);
        let handle = Handle { place, generation: slot.generation };
        self.index.insert(at, (order.id, handle));
        Ok(handle)
    }

    /// The handle of the order with this id.
    #[must_use]
    pub fn handle(&self, id: OrderId) -> Option<Handle> {
        let at = self.index.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.index[at].1)
    }

    /// The order that `handle` was made for, while it is remembered.
    pub fn at(&mut self, handle: Handle) -> Option<&mut Order> {
        let slot = self.places.get_mut(handle.place as usize)?;
        slot.order.as_mut().filter(|_| slot.generation == handle.generation)
    }

    /// The order with this id.
    pub fn find(&mut self, id: OrderId) -> Option<&mut Order> {
        self.at(self.handle(id)?)
    }

    /// Orders in the table, ended ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The order that is number `n` by id, ended ones included.
    pub fn nth(&mut self, n: usize) -> Option<&mut Order> {
        self.at(self.index.get(n)?.1)
    }

    /// All orders, ended ones included, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Order> {
        self.index.iter().filter_map(|(_, h)| self.places[h.place as usize].order.as_ref())
    }

    /// Orders that have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.iter().filter(|o| !o.state.is_terminal()).count()
    }

    /// Forgets ended orders past their retention; how many.
    pub fn purge(&mut self, now: Nanos) -> usize {
        self.forget(|o| now.since(o.touched_at) >= RETENTION)
    }

    /// Puts the order of which `is` says so, by id and by the venue's number, back into the table,
    /// where it stays as long as one that ends at `now`; its id. `None` where none is remembered.
    pub fn recall(&mut self, now: Nanos, is: impl Fn(&Order) -> bool) -> Option<OrderId> {
        let mut order = self.ended.take(is)?;
        order.touched_at = now;
        self.insert(order, now).ok().map(|_| order.id)
    }

    /// Ended orders were forgotten before their time within `span`.
    #[must_use]
    pub fn forgot_early(&self, now: Nanos, span: Nanos) -> bool {
        self.halved_at.is_some_and(|at| now.since(at) < span)
    }

    /// Forgets the older half of the ended orders, at least one.
    fn purge_half(&mut self) {
        let mut excess = (self.len() - self.open()).div_ceil(2);
        self.forget(|_| {
            let gone = excess > 0;
            excess -= usize::from(gone);
            gone
        });
    }

    /// Forgets the ended orders for which `gone` holds, asked by id; how many.
    fn forget(&mut self, mut gone: impl FnMut(&Order) -> bool) -> usize {
        let Self { places, free, index, ended, .. } = self;
        let before = index.len();
        index.retain(|(_, handle)| {
            let slot = &mut places[handle.place as usize];
            let over = slot.order.as_ref().filter(|o| o.state.is_terminal());
            let kept = !over.is_some_and(&mut gone);
            if !kept {
                if let Some(order) = &slot.order {
                    ended.keep(order);
                }
                *slot = Place { generation: slot.generation.wrapping_add(1), order: None };
                free.push(handle.place);
            }
            kept
        });
        before - index.len()
    }
}

/// Trades booked for one instrument, by trade id and order, because both legs of a trade between
/// two own orders have one id: exact for the newest [`RECENT_MAX`].
///
/// Where a venue's trade ids grow, everything at or below a floor that follows far behind counts
/// as booked. Ids that do not grow show it soon: then there is no floor, and what came first is
/// forgotten first.
#[derive(Clone, Debug)]
pub struct BookedTrades {
    recent: Vec<Booked>,
    floor: u64,
    made: u64,
    /// Fresh trades whose ids lay below half of those that were known.
    out_of_order: u32,
}

/// A trade and when it came, counted.
#[derive(Clone, Copy, Debug)]
struct Booked {
    id: u64,
    order: OrderId,
    nth: u64,
}

/// Trades told apart exactly.
const RECENT_MAX: usize = 2_048;
/// Known trades before a new one can be out of order.
const KNOWN_MIN: usize = 64;
/// Trades out of order that are a late fill or two, at most.
const LATE_MAX: u32 = 32;

impl BookedTrades {
    /// Nothing booked.
    #[must_use]
    pub fn new() -> Self {
        Self { recent: Vec::with_capacity(RECENT_MAX), floor: 0, made: 0, out_of_order: 0 }
    }

    /// Books trade `id` of `order`; false when it was booked before.
    pub fn book(&mut self, id: u64, order: OrderId) -> bool {
        if id <= self.floor {
            return false;
        }
        let Err(at) = self.place(id, order) else { return false };
        if self.recent.len() >= KNOWN_MIN && at < self.recent.len() / 2 {
            self.out_of_order = self.out_of_order.saturating_add(1);
        }
        if self.recent.len() == RECENT_MAX {
            self.forget();
            if id <= self.floor {
                return false;
            }
        }
        let at = self.place(id, order).unwrap_or_else(|at| at);
        self.made += 1;
        self.recent.insert(at, Booked { id, order, nth: self.made });
        true
    }

    /// Trade `id` of `order` was booked, or is too old to tell.
    #[must_use]
    pub fn knows(&self, id: u64, order: OrderId) -> bool {
        id <= self.floor || self.place(id, order).is_ok()
    }

    /// Trade `id` was booked, whatever the order.
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        id <= self.floor || self.recent.binary_search_by_key(&id, |booked| booked.id).is_ok()
    }

    /// The highest id booked, zero before the first.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.recent.last().map_or(self.floor, |booked| booked.id)
    }

    /// Where the trade is, or would be.
    fn place(&self, id: u64, order: OrderId) -> Result<usize, usize> {
        self.recent.binary_search_by_key(&(id, order), |booked| (booked.id, booked.order))
    }

    /// Forgets half: the lowest ids, or where ids do not grow those that came first.
    fn forget(&mut self) {
        let half = RECENT_MAX / 2;
        if self.out_of_order > LATE_MAX {
            let oldest_kept = self.made - half as u64;
            self.floor = 0;
            self.recent.retain(|booked| booked.nth > oldest_kept);
        } else {
            self.floor = self.recent[half - 1].id;
            self.recent.drain(..half);
        }
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

    /// Trade `id` of `order` was booked, or is too old to tell.
    #[must_use]
    pub fn knows(&self, instrument: InstrumentId, id: u64, order: OrderId) -> bool {
        self.by_instrument.get(instrument.index()).is_some_and(|booked| booked.knows(id, order))
    }

    /// Trade `id` of `instrument` was booked, whatever the order.
    #[must_use]
    pub fn has(&self, instrument: InstrumentId, id: u64) -> bool {
        self.by_instrument.get(instrument.index()).is_some_and(|booked| booked.has(id))
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
    use bot4_types::{OrderIntent, OrderState, RunEpoch};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn order(id: u64) -> Order {
        let intent = OrderIntent { order: OrderId(id), ..crate::order::test_intent() };
        Order::new(&intent, RunEpoch(1), Nanos(0))
    }

    proptest! {
        /// The naive twin is a map; a handle finds its order and never another one.
        #[test]
        fn handles_find_their_order_or_nothing(
            ops in proptest::collection::vec((0u8..4, 0usize..8, 1u64..40), 1..200)
        ) {
            let (mut table, mut twin) = (OrderTable::new(6), BTreeMap::new());
            let mut handles = Vec::new();
            let mut now = Nanos(0);
            for (op, pick, id) in ops {
                now = now + Nanos::from_secs(1);
                match op {
                    0 | 1 => match table.insert(order(id), now) {
                        Ok(handle) => {
                            handles.push((id, handle));
                            twin.insert(id, handle);
                        }
                        Err(InsertError::Duplicate) => prop_assert!(twin.contains_key(&id)),
                        Err(InsertError::Full) => prop_assert_eq!(table.open(), 6),
                    },
                    2 => {
                        if let Some(order) = table.nth(pick) {
                            order.state = OrderState::Canceled;
                            order.touched_at = now;
                        }
                    }
                    _ => drop(table.purge(now)),
                }
                let left: BTreeSet<u64> = table.iter().map(|o| o.id.0).collect();
                twin.retain(|id, _| left.contains(id));
                prop_assert_eq!(table.len(), twin.len());
                for (id, handle) in &handles {
                    let found = table.at(*handle).map(|o| o.id.0);
                    let wanted = (twin.get(id) == Some(handle)).then_some(*id);
                    prop_assert_eq!(found, wanted);
                }
            }
        }
    }

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

    /// Ids in no order, as some venues have them: each is booked once however many there are, and
    /// the newest thousand are known again.
    #[test]
    fn ids_that_do_not_grow_are_all_booked() {
        let mut rng = bot4_types::rng::SplitMix64::new(5);
        let mut booked = BookedTrades::new();
        let ids: Vec<u64> = (0..20_000).map(|_| rng.next_u64()).collect();
        for (n, id) in ids.iter().enumerate() {
            assert!(booked.book(*id, OrderId(1)), "trade {n} was lost");
            let known = ids[n.saturating_sub(1_000)];
            assert!(!booked.book(known, OrderId(1)), "trade {n}: one was booked twice");
        }
    }
}
