//! The table of our orders: a slab of slots, found by number, chained by instrument and side.
//!
//! A slot is in exactly one chain:
//! * *working*: one chain per instrument and side, best price first, of orders that can trade;
//! * *settling*: ended, but the venue's cumulative quantity says that fills are still to come;
//! * *retired*: ended and complete, kept as long as there is room, so that a late duplicate is
//!   recognised; the oldest is recycled when a slot or a fill node is needed.
//!
//! Cost: lookup, removal and best price are O(1); insertion walks the working orders of its
//! instrument and side that are better; a fill in trade-id order is O(1), any other walks the
//! fills of its order. Nothing is allocated after construction.

use bot4_types::limits::ORDERS_OPEN_MAX;
use bot4_types::{InstrumentId, OrderId, OrderState, Side, StrategyId};
use serde::{Deserialize, Serialize};

use crate::order_index::OrderIndex;

/// Retired orders kept so that late duplicates are recognised by their trade ids.
pub const ORDERS_RETIRED_MAX: usize = 4_096;
/// Fills remembered over all orders in the table.
pub const FILLS_KEPT_MAX: usize = 65_536;

/// No slot, no node.
const NONE: u32 = u32::MAX;

/// Which chain a slot is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chain {
    /// In none: free.
    Free,
    /// Can still trade.
    Working,
    /// Ended, fills still to come.
    Settling,
    /// Ended and complete.
    Retired,
}

/// The terms that an open amend asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmendTerms {
    /// Limit price, price units.
    pub price: i64,
    /// Whole quantity.
    pub qty: i64,
    /// Reports up to this one cannot be about it.
    pub after_seq: u32,
}

/// One order as the ledger knows it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OrderSlot {
    /// Our number.
    pub order: OrderId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// By which strategy.
    pub strategy: StrategyId,
    /// Buy or sell.
    pub side: Side,
    /// Its state by the newest report.
    pub state: OrderState,
    /// Worst price it can trade at, price units; the extreme of its side for a market order. While
    /// an amend is open, the worse of both.
    pub limit: i64,
    /// The same by the terms that hold at the venue.
    pub own_limit: i64,
    /// What [`own_limit`](Self::own_limit) becomes when the order is triggered; while it waits for
    /// that it is in no book and meets nothing.
    pub waits_for: Option<i64>,
    /// It may only reduce what its strategy holds.
    pub reduce_only: bool,
    /// Price its reservation is made at, price units.
    pub reserve_price: i64,
    /// Ordered quantity.
    pub qty: i64,
    /// The amend that is approved and not over: both terms are reserved for.
    pub amend: Option<AmendTerms>,
    /// Sequence of the report that told the terms.
    pub terms_seq: u32,
    /// Quantity booked.
    pub filled: i64,
    /// Highest cumulative quantity that any report told.
    pub cum: i64,
    /// Quantity that may still be booked; what exposure counts.
    pub leaves: i64,
    /// Reserved in the asset that the side pays with.
    pub reserved: i128,
    /// Highest report sequence seen.
    pub seq: u32,
    /// Counted as unknown in the exposures.
    pub unknown: bool,
    chain: Chain,
    before: u32,
    after: u32,
    fills: u32,
    trade_max: u64,
}

impl OrderSlot {
    /// A slot for an order that was just approved: nothing filled, nothing counted yet.
    #[must_use]
    pub const fn new(
        order: OrderId,
        instrument: InstrumentId,
        strategy: StrategyId,
        side: Side,
    ) -> Self {
        Self {
            order,
            instrument,
            strategy,
            side,
            state: OrderState::Approved,
            limit: 0,
            own_limit: 0,
            waits_for: None,
            reduce_only: false,
            reserve_price: 0,
            qty: 0,
            amend: None,
            terms_seq: 0,
            filled: 0,
            cum: 0,
            leaves: 0,
            reserved: 0,
            seq: 0,
            unknown: false,
            chain: Chain::Free,
            before: NONE,
            after: NONE,
            fills: NONE,
            trade_max: 0,
        }
    }

    /// The chain it is in.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// The most that it may come to while it is open: an open amend may hold already, or never.
    #[must_use]
    pub fn qty_max(&self) -> i64 {
        self.qty.max(self.amend.map_or(0, |amend| amend.qty))
    }

    /// The worst limit price that it may have.
    #[must_use]
    pub fn worst_limit(&self) -> i64 {
        match (self.amend, self.side) {
            (None, _) => self.own_limit,
            (Some(amend), Side::Buy) => self.own_limit.max(amend.price),
            (Some(amend), Side::Sell) => self.own_limit.min(amend.price),
        }
    }

    /// `self` trades before `other` on their side's book.
    fn is_ahead_of(&self, other: &Self) -> bool {
        match self.side {
            Side::Buy => self.limit >= other.limit,
            Side::Sell => self.limit <= other.limit,
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ends {
    head: u32,
    tail: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct FillNode {
    trade_id: u64,
    next: u32,
}

/// The table. See the module's text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderTable {
    slots: Box<[OrderSlot]>,
    free: Vec<u32>,
    index: OrderIndex,
    /// Two working chains per instrument, then settling, then retired.
    chains: Box<[Ends]>,
    nodes: Box<[FillNode]>,
    node_free: u32,
    live: usize,
}

impl OrderTable {
    /// A table for [`ORDERS_OPEN_MAX`] orders that are not retired, over `instruments`.
    #[must_use]
    pub fn new(instruments: usize) -> Self {
        Self::with_capacity(instruments, ORDERS_OPEN_MAX + ORDERS_RETIRED_MAX, FILLS_KEPT_MAX)
    }

    /// A table of any size. Everything is allocated here.
    #[must_use]
    pub fn with_capacity(instruments: usize, orders: usize, fills: usize) -> Self {
        let blank = OrderSlot::new(OrderId(0), InstrumentId(0), StrategyId(0), Side::Buy);
        let node =
            |i| FillNode { trade_id: 0, next: if i + 1 < fills { (i + 1) as u32 } else { NONE } };
        Self {
            slots: vec![blank; orders].into_boxed_slice(),
            free: (0..orders as u32).rev().collect(),
            index: OrderIndex::new(orders),
            chains: vec![Ends { head: NONE, tail: NONE }; instruments * 2 + 2].into_boxed_slice(),
            nodes: (0..fills).map(node).collect(),
            node_free: if fills == 0 { NONE } else { 0 },
            live: 0,
        }
    }

    /// The place of `order`, while it is remembered.
    #[must_use]
    pub fn find(&self, order: OrderId) -> Option<u32> {
        self.index.find(order)
    }

    /// The slot at `place`, which must come from this table.
    #[must_use]
    pub fn slot(&self, place: u32) -> &OrderSlot {
        &self.slots[place as usize]
    }

    /// The slot at `place`, for changing what it counts.
    pub fn slot_mut(&mut self, place: u32) -> &mut OrderSlot {
        &mut self.slots[place as usize]
    }

    /// Orders that are not retired.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.live
    }

    /// The working order of `instrument` and `side` with the best price.
    #[must_use]
    pub fn best(&self, instrument: InstrumentId, side: Side) -> Option<&OrderSlot> {
        let ends = self.chains.get(instrument.index() * 2 + side.index())?;
        (ends.head != NONE).then(|| &self.slots[ends.head as usize])
    }

    /// The settling orders, oldest first.
    pub fn settling(&self) -> impl Iterator<Item = &OrderSlot> {
        let at = |place: u32| (place != NONE).then(|| &self.slots[place as usize]);
        let first = at(self.chains[self.chains.len() - 2].head);
        std::iter::successors(first, move |slot| at(slot.after))
    }

    /// Puts a new working order into the table; `None` when all slots hold orders that are not
    /// retired, the number is in the table, or the instrument is not.
    pub fn insert(&mut self, slot: OrderSlot) -> Option<u32> {
        let known = slot.instrument.index() * 2 + 2 < self.chains.len();
        if !known || self.index.find(slot.order).is_some() {
            return None;
        }
        if self.free.is_empty() {
            self.recycle_oldest(NONE)?;
        }
        let place = *self.free.last()?;
        if !self.index.insert(slot.order, place) {
            return None;
        }
        self.free.pop();
        self.slots[place as usize] = OrderSlot { chain: Chain::Free, fills: NONE, ..slot };
        self.move_to(place, Chain::Working);
        Some(place)
    }

    /// Moves the slot at `place` to `chain` (not [`Chain::Free`]).
    pub fn move_to(&mut self, place: u32, chain: Chain) {
        let from = self.slots[place as usize].chain;
        if from == chain || chain == Chain::Free {
            return;
        }
        self.unlink(place);
        self.live += usize::from(chain != Chain::Retired);
        self.slots[place as usize].chain = chain;
        let before = match chain {
            Chain::Working => self.first_behind(place),
            _ => NONE,
        };
        self.link_before(place, before);
    }

    /// Gives the order at `place` another limit price, and with it its place among the working.
    pub fn reprice(&mut self, place: u32, limit: i64) {
        let slot = &self.slots[place as usize];
        if slot.limit == limit {
            return;
        }
        let working = slot.chain == Chain::Working;
        if working {
            self.unlink(place);
        }
        self.slots[place as usize].limit = limit;
        if working {
            self.move_to(place, Chain::Working);
        }
    }

    /// The fill `trade_id` of the order at `place` is remembered.
    #[must_use]
    pub fn has_fill(&self, place: u32, trade_id: u64) -> bool {
        let slot = &self.slots[place as usize];
        if slot.fills == NONE || trade_id > slot.trade_max {
            return false;
        }
        let mut at = slot.fills;
        while at != NONE {
            let node = self.nodes[at as usize];
            if node.trade_id == trade_id {
                return true;
            }
            at = node.next;
        }
        false
    }

    /// Remembers the fill `trade_id` of the order at `place`; false when there is no room even
    /// after recycling: then only the cumulative quantity guards that order.
    pub fn add_fill(&mut self, place: u32, trade_id: u64) -> bool {
        while self.node_free == NONE {
            if self.recycle_oldest(place).is_none() {
                return false;
            }
        }
        let node = self.node_free;
        self.node_free = self.nodes[node as usize].next;
        let slot = &mut self.slots[place as usize];
        self.nodes[node as usize] = FillNode { trade_id, next: slot.fills };
        slot.trade_max = if slot.fills == NONE { trade_id } else { slot.trade_max.max(trade_id) };
        slot.fills = node;
        true
    }

    /// Forgets the order that retired first, unless it is `keep`.
    fn recycle_oldest(&mut self, keep: u32) -> Option<()> {
        let place = self.chains[self.chains.len() - 1].head;
        if place == NONE || place == keep {
            return None;
        }
        self.unlink(place);
        let slot = self.slots[place as usize];
        self.index.remove(slot.order);
        self.release_fills(slot.fills);
        let slot = &mut self.slots[place as usize];
        slot.fills = NONE;
        slot.order = OrderId(0);
        self.free.push(place);
        Some(())
    }

    fn release_fills(&mut self, head: u32) {
        let mut at = head;
        while at != NONE {
            let next = self.nodes[at as usize].next;
            self.nodes[at as usize].next = self.node_free;
            self.node_free = at;
            at = next;
        }
    }

    fn ends_of(&self, slot: &OrderSlot) -> usize {
        match slot.chain {
            Chain::Retired => self.chains.len() - 1,
            Chain::Settling => self.chains.len() - 2,
            Chain::Working | Chain::Free => slot.instrument.index() * 2 + slot.side.index(),
        }
    }

    /// The first working order behind which the one at `place` does not belong.
    fn first_behind(&self, place: u32) -> u32 {
        let slot = &self.slots[place as usize];
        let mut at = self.chains[self.ends_of(slot)].head;
        while at != NONE && self.slots[at as usize].is_ahead_of(slot) {
            at = self.slots[at as usize].after;
        }
        at
    }

    /// Links `place` into its chain before `next`, or at the end.
    fn link_before(&mut self, place: u32, next: u32) {
        let chain = self.ends_of(&self.slots[place as usize]);
        let before =
            if next == NONE { self.chains[chain].tail } else { self.slots[next as usize].before };
        let slot = &mut self.slots[place as usize];
        (slot.before, slot.after) = (before, next);
        match before {
            NONE => self.chains[chain].head = place,
            b => self.slots[b as usize].after = place,
        }
        match next {
            NONE => self.chains[chain].tail = place,
            n => self.slots[n as usize].before = place,
        }
    }

    /// Takes `place` out of its chain.
    fn unlink(&mut self, place: u32) {
        let slot = self.slots[place as usize];
        if slot.chain == Chain::Free {
            return;
        }
        let chain = self.ends_of(&slot);
        match slot.before {
            NONE => self.chains[chain].head = slot.after,
            b => self.slots[b as usize].after = slot.after,
        }
        match slot.after {
            NONE => self.chains[chain].tail = slot.before,
            a => self.slots[a as usize].before = slot.before,
        }
        self.live -= usize::from(slot.chain != Chain::Retired);
        let slot = &mut self.slots[place as usize];
        (slot.chain, slot.before, slot.after) = (Chain::Free, NONE, NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet, VecDeque};

    fn order(id: u64, side: Side, limit: i64) -> OrderSlot {
        let slot = OrderSlot::new(OrderId(id), InstrumentId(0), StrategyId(0), side);
        OrderSlot { limit, qty: 1, ..slot }
    }

    #[test]
    fn the_best_price_is_first_on_either_side() {
        let mut table = OrderTable::with_capacity(1, 8, 8);
        for (id, side, limit) in [
            (1, Side::Buy, 10),
            (2, Side::Buy, 12),
            (3, Side::Buy, 11),
            (4, Side::Sell, 20),
            (5, Side::Sell, 18),
        ] {
            assert!(table.insert(order(id, side, limit)).is_some());
        }
        let best = |t: &OrderTable, s| t.best(InstrumentId(0), s).map(|o| o.limit);
        assert_eq!((best(&table, Side::Buy), best(&table, Side::Sell)), (Some(12), Some(18)));
        let place = table.find(OrderId(2)).expect("inserted");
        table.move_to(place, Chain::Retired);
        assert_eq!(best(&table, Side::Buy), Some(11));
        assert_eq!(table.live(), 4);
        assert!(table.best(InstrumentId(1), Side::Buy).is_none_or(|o| o.order.0 != 1));
    }

    proptest! {
        /// The naive twin: maps and a queue. Small tables, so slots and nodes are recycled.
        #[test]
        fn behaves_like_maps_and_a_queue(
            ops in proptest::collection::vec((0u8..4, 0u64..6, 0i64..5), 1..300)
        ) {
            let (slots, fills) = (6usize, 5usize);
            let mut table = OrderTable::with_capacity(1, slots, fills);
            let mut working: BTreeMap<u64, i64> = BTreeMap::new();
            let mut retired: VecDeque<u64> = VecDeque::new();
            let mut seen: BTreeSet<(u64, u64)> = BTreeSet::new();
            let mut next_id = 1u64;
            let forget = |retired: &mut VecDeque<u64>, seen: &mut BTreeSet<(u64, u64)>| {
                let old = retired.pop_front();
                seen.retain(|(id, _)| Some(*id) != old);
            };
            for (op, pick, value) in ops {
                let known: Vec<u64> =
                    working.keys().copied().chain(retired.iter().copied()).collect();
                let chosen = known.get(pick as usize % known.len().max(1)).copied();
                match (op, chosen) {
                    (0, _) => {
                        if known.len() == slots && !retired.is_empty() {
                            forget(&mut retired, &mut seen);
                        }
                        let fits = working.len() + retired.len() < slots;
                        let placed = table.insert(order(next_id, Side::Buy, value)).is_some();
                        prop_assert_eq!(placed, fits);
                        if fits {
                            working.insert(next_id, value);
                            next_id += 1;
                        }
                    }
                    (1, Some(id)) if working.contains_key(&id) => {
                        let place = table.find(OrderId(id)).expect("known");
                        table.move_to(place, Chain::Retired);
                        working.remove(&id);
                        retired.push_back(id);
                    }
                    (2, Some(id)) => {
                        let place = table.find(OrderId(id)).expect("known");
                        let trade = value as u64;
                        prop_assert_eq!(table.has_fill(place, trade), seen.contains(&(id, trade)));
                        if !seen.contains(&(id, trade)) {
                            while seen.len() == fills
                                && retired.front().is_some_and(|r| *r != id)
                            {
                                forget(&mut retired, &mut seen);
                            }
                            let room = seen.len() < fills;
                            prop_assert_eq!(table.add_fill(place, trade), room);
                            if room {
                                seen.insert((id, trade));
                            }
                        }
                    }
                    (3, Some(id)) if working.contains_key(&id) => {
                        table.reprice(table.find(OrderId(id)).expect("known"), value);
                        working.insert(id, value);
                    }
                    _ => {}
                }
                let best = table.best(InstrumentId(0), Side::Buy).map(|o| o.limit);
                prop_assert_eq!(best, working.values().max().copied());
                prop_assert_eq!(table.live(), working.len());
                for id in 1..next_id {
                    let there = working.contains_key(&id) || retired.contains(&id);
                    prop_assert_eq!(table.find(OrderId(id)).is_some(), there);
                }
            }
        }
    }
}
