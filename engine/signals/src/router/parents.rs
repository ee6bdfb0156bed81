//! Parents in the router: what they want becomes wishes of their children's slots, and what happens
//! there becomes their account.

use bot4_types::parent::PARTICIPATION_MAX_E4;
use bot4_types::{
    Algo, Cause, InstrumentId, Nanos, OrderId, OrderReport, OrderState, ParentAction,
    ParentCommand, ParentEnd, ParentId, ParentOrder, ParentRefusal, ParentReport, Price, Qty,
    RefuseReason, Side, TradePrint,
};

use super::groups::Groups;
use super::routed::{print_in, told_in};
use super::{Key, PARTS, Router};
use crate::actions::{Turn, Verdict};
use crate::counters as c;
use crate::market::Market;
use crate::parent::{CHILDREN, PARENTS_MAX, Parent, Rest, Sight};
use crate::rules;
use crate::slot::{OrderSlot, Origin, SlotState, Style, Wish};

/// A child that rests, of a parent's slots.
const REST: usize = 0;
/// A child that takes.
const GRAB: usize = 1;
/// Longest time of a parent.
const OVER_MAX: Nanos = Nanos::from_secs(31 * 86_400);
/// Farthest distance of a pegged order.
const OFFSET_TICKS_MAX: u32 = 1_000_000;

/// Time, share and sizes make sense together with the algorithm.
pub(super) fn is_sensible(order: &ParentOrder) -> bool {
    let timed = matches!(order.algo, Algo::Twap | Algo::Vwap);
    let rated = (1..=PARTICIPATION_MAX_E4).contains(&order.rate_e4);
    (!timed || order.over.0 > 0)
        && (order.algo != Algo::Pov || rated)
        && order.over <= OVER_MAX
        && order.delay <= OVER_MAX
        && order.display.0 >= 0
        && (0..=order.total.0.max(0)).contains(&order.slice_min.0)
        && order.offset_ticks.unsigned_abs() <= OFFSET_TICKS_MAX
}

impl Router {
    /// Makes the children's slots behind those of the strategies. Allocates.
    pub(super) fn reserve_children(&mut self) {
        self.first_child = self.slots.len();
        self.slots.reserve_exact(PARENTS_MAX * CHILDREN);
        for n in 0..PARENTS_MAX * CHILDREN {
            let none = (bot4_types::StrategyId(0), InstrumentId(0));
            self.slots.push(OrderSlot::new(none.0, none.1, Side::Buy, n % CHILDREN == GRAB));
        }
        self.parents.reserve(Groups::of(&self.table));
    }

    /// The row and the child's place of slot `at`, where it is a child's.
    pub(super) fn child_of(&self, at: usize) -> Option<(usize, usize)> {
        let n = at.checked_sub(self.first_child)?;
        Some((n / CHILDREN, n % CHILDREN))
    }

    pub(super) const fn child_slot(&self, row: usize, place: usize) -> usize {
        self.first_child + row * CHILDREN + place
    }

    /// The children's slots of `row` that may hold something.
    fn busy(&self, row: usize) -> impl Iterator<Item = usize> + use<> {
        let busy = self.parents.get(row).map_or(0, |p| p.busy);
        let first = self.child_slot(row, 0);
        (0..CHILDREN).filter(move |n| busy & 1 << n > 0).map(move |n| first + n)
    }

    /// Nothing of the children in `instrument` is wished any more.
    pub(super) fn drop_children(
        &mut self,
        instrument: InstrumentId,
        origin: Origin,
        turn: Turn<'_>,
    ) {
        let mut from = 0;
        while let Some(at) = self.next_child(instrument, from) {
            self.drop_wish(at, origin, turn);
            from = at + 1;
        }
    }

    /// A child stands in the way of an order of slot `at` at `price`; one that rests gives way to
    /// an order that takes.
    pub(super) fn children_in_the_way(&mut self, at: usize, price: Price, turn: Turn<'_>) -> bool {
        let (mut blocked, mut from) = (false, 0);
        while let Some(other) = self.next_child(self.slots[at].instrument, from) {
            blocked |= self.is_in_the_way(at, other, price, turn);
            from = other + 1;
        }
        blocked
    }

    /// The order of slot `other` stands in the way of one of slot `at` at `price`.
    pub(super) fn is_in_the_way(
        &mut self,
        at: usize,
        other: usize,
        price: Price,
        turn: Turn<'_>,
    ) -> bool {
        let (slot, there) = (&self.slots[at], &self.slots[other]);
        if other == at || !there.crosses(slot.side, price) {
            return false;
        }
        let takes = slot.wish.is_some_and(|wish| wish.style.takes());
        if takes && !there.take && there.state == SlotState::Live {
            self.drop_wish(other, slot.origin, turn);
        }
        true
    }

    /// Of the children of the parents in `instrument` that may hold something, the first slot
    /// from `from` on.
    pub(super) fn next_child(&self, instrument: InstrumentId, from: usize) -> Option<usize> {
        if self.parents.alive() == 0 {
            return None;
        }
        let first = from.max(self.first_child);
        (first..self.child_slot(self.parents.rows(), 0)).find(|at| {
            let slot = &self.slots[*at];
            let holds = slot.state != SlotState::Free || slot.wish.is_some();
            holds && slot.instrument == instrument
        })
    }

    /// The slot of the child with this order.
    pub(super) fn child_with(&self, (strategy, instrument): Key, order: OrderId) -> Option<usize> {
        let holds = |at: &usize| {
            let slot = &self.slots[*at];
            slot.state != SlotState::Free && slot.order == order
        };
        self.parents.of(strategy, instrument).flat_map(|row| self.busy(row)).find(holds)
    }

    /// Obeys what an operator says, or tells why not.
    pub(crate) fn parent_command(&mut self, command: &ParentCommand, turn: Turn<'_>) {
        match *command {
            ParentCommand::Begin(order) => {
                let _ = self.begin_parent(order, turn);
            }
            ParentCommand::Act { id, action } => {
                self.act_on_parent(id, action, turn);
            }
        }
    }

    /// Begins a parent. What is refused is told, too.
    pub(crate) fn begin_parent(
        &mut self,
        order: ParentOrder,
        turn: Turn<'_>,
    ) -> Result<ParentId, ParentRefusal> {
        let pair = self.pair((order.strategy, order.instrument));
        let stopped = pair.is_some_and(|p| self.guards[p].stops(turn.now));
        let checked = match order.algo {
            _ if stopped => Err(ParentRefusal::Closed),
            _ if order.is_routed() => self.checked_routed(order),
            _ => self.checked(order),
        };
        let begun = checked.and_then(|order| self.parents.insert(order, turn.now));
        match begun {
            Ok((row, id)) => {
                self.counters.add(c::PARENTS, 1);
                self.changes += 1;
                for place in 0..CHILDREN {
                    let at = self.child_slot(row, place);
                    debug_assert!(self.slots[at].state == SlotState::Free);
                    let queued = self.slots[at].queued;
                    let take = place == GRAB;
                    let fresh = OrderSlot::new(order.strategy, order.instrument, order.side, take);
                    self.slots[at] = OrderSlot { parent: id, queued, ..fresh };
                }
                Ok(id)
            }
            Err(why) => {
                self.counters.add(c::PARENTS_REFUSED, 1);
                self.parents.refuse(order, why, turn.now);
                Err(why)
            }
        }
    }

    /// `order` with a total on lot, if it makes sense.
    fn checked(&self, order: ParentOrder) -> Result<ParentOrder, ParentRefusal> {
        use ParentRefusal as R;
        let known = self.pair((order.strategy, order.instrument)).is_some();
        let rules = self.table.get(order.instrument).filter(|i| known && i.tradable);
        let rules = rules.ok_or(R::Instrument)?;
        if !self.running {
            return Err(R::Closed);
        }
        let bounded = (0..=rules::PRICE_MAX).contains(&order.limit.0);
        if !bounded || (order.algo == Algo::Iceberg && order.limit.0 == 0) {
            return Err(R::Limit);
        }
        if !is_sensible(&order) {
            return Err(R::Terms);
        }
        let [bid, ask] = self.touches[order.instrument.index()];
        let price = [order.limit.0, bid.max(ask)].into_iter().find(|p| *p > 0).unwrap_or(0);
        let total = order.total.to_lot(rules.lot);
        let least = crate::parent::least(rules, Price(price)).ok_or(R::Size)?;
        if total < least || total.0 >= i64::MAX / 8 {
            return Err(R::Size);
        }
        Ok(ParentOrder { total, ..order })
    }

    /// Does `action` with the parent called `id`; false when there is none alive.
    pub(crate) fn act_on_parent(
        &mut self,
        id: ParentId,
        action: ParentAction,
        turn: Turn<'_>,
    ) -> bool {
        let alive = |row: &usize| self.parents.get(*row).is_some_and(|p| p.is_alive());
        let Some(row) = self.parents.find(id).filter(alive) else { return false };
        self.changes += 1;
        self.parents.change(row, |parent| match action {
            ParentAction::Cancel => parent.finish(ParentEnd::Canceled),
            ParentAction::Pause => parent.pause(),
            ParentAction::Resume => parent.resume(turn.now),
        });
        if action != ParentAction::Resume {
            self.pull_children(row, Origin::other(Cause::Operator), turn);
        }
        true
    }

    /// All parents end: trading is stopped, or the run is over. What they have open goes with
    /// everything else.
    pub(super) fn end_parents(&mut self, end: ParentEnd) {
        self.changes += usize::from(self.parents.alive() > 0);
        self.parents.finish_all(end);
    }

    /// Parents of `key` end: its stop was crossed.
    pub(super) fn stop_parents(&mut self, key: Key, origin: Origin, turn: Turn<'_>) {
        for row in 0..self.parents.rows() {
            let parent = self.parents.get(row).filter(|p| p.is_alive());
            let is_of = |p: &Parent| p.order.strategy == key.0 && self.parents.is_in(p, key.1);
            if parent.is_some_and(is_of) {
                self.parents.change(row, |p| p.finish(ParentEnd::Stopped));
                self.pull_children(row, origin, turn);
            }
        }
    }

    /// Nothing of the parent of `row` may rest any more.
    fn pull_children(&mut self, row: usize, origin: Origin, turn: Turn<'_>) {
        for at in self.busy(row) {
            self.drop_wish(at, origin, turn);
        }
    }

    /// The market of `instrument` moved.
    pub(crate) fn parents_see(&mut self, instrument: InstrumentId) {
        self.parents.touch(instrument);
    }

    /// Somebody traded.
    pub(crate) fn parents_trade(&mut self, trade: &TradePrint) {
        let table = &self.table;
        self.parents.trade(trade, |units| print_in(table, trade, units));
    }

    /// Looks at every parent that is due. How many: a look is work even if it changes nothing.
    pub(crate) fn work_parents(&mut self, market: &Market, turn: Turn<'_>) -> usize {
        let (mut looks, mut from) = (0, 0);
        while let Some(row) = self.parents.due(from, turn.now) {
            self.look_at_parent(row, market, turn);
            (looks, from) = (looks + 1, row + 1);
        }
        if looks > 0 {
            self.parents.looked();
        }
        looks
    }

    fn look_at_parent(&mut self, row: usize, market: &Market, turn: Turn<'_>) {
        let Some(order) = self.parents.get(row).map(|p| p.order) else { return };
        if order.is_routed() {
            return self.look_at_routed(row, market, turn);
        }
        let pair = self.pair((order.strategy, order.instrument));
        // A stop closes what is held, or has just done so: nothing may add to it.
        let stopped = pair.is_none_or(|p| self.guards[p].stops(turn.now));
        let may = !stopped && self.is_open(order.instrument);
        let top = market.top(order.instrument).filter(|_| may);
        let (Some(top), Some(rules)) = (top, market.table().get(order.instrument)) else {
            // Held: the next top is a look.
            return self.parents.change(row, |p| p.hold(turn.now));
        };
        let sides = [[top.quote_bid, top.bids[1]], [top.quote_ask, top.asks[1]]];
        let sight = Sight { now: turn.now, rules, sides };
        let [rest_at, grab_at] = [REST, GRAB].map(|place| self.child_slot(row, place));
        let resting = self.slots[rest_at].open();
        let grab = &self.slots[grab_at];
        let taking = grab.state != SlotState::Free || grab.wish.is_some();
        let step = self.parents.change(row, |parent| {
            parent.advance(&sight);
            parent.step(&sight, resting, taking)
        });
        let by = if order.id.is_by_strategy() { Cause::Timer } else { Cause::Operator };
        let origin = Origin::other(by);
        match step.rest {
            Rest::Keep => {}
            Rest::Pull => self.pull_children(row, origin, turn),
            Rest::At(price, qty) => {
                let expires = turn.now + self.config.wish_life;
                let wish = Wish::new(price, qty, expires, Style::Quote);
                self.wish_child(row, REST, Wish { amends: order.amends, ..wish }, origin, turn);
            }
        }
        if let Some((price, qty)) = step.take {
            let wish = Wish::new(price, qty, turn.now + self.config.intent_life, Style::Ioc);
            self.wish_child(row, GRAB, wish, origin, turn);
        }
    }

    pub(super) fn wish_child(
        &mut self,
        row: usize,
        place: usize,
        wish: Wish,
        origin: Origin,
        turn: Turn<'_>,
    ) {
        let at = self.child_slot(row, place);
        let side = self.slots[at].side;
        self.parents.change(row, |parent| parent.busy |= 1 << place);
        let verdict = self.wish(at, side, wish, origin, turn);
        if matches!(verdict, Verdict::SizeMax | Verdict::NotionalMax) {
            self.parents.change(row, |parent| parent.child_refused(None, true));
        }
    }

    /// A quantity that the child of slot `at` may have, at most what is wished; `None`: none.
    pub(super) fn allotted(&self, at: usize, wish: Wish) -> Option<Qty> {
        let Some((row, _)) = self.child_of(at) else { return Some(wish.qty) };
        let slot = &self.slots[at];
        // A wish outlives its parent where something stood in its way: it goes with it.
        let parent = self.parents.get(row).filter(|p| p.asks() && p.id() == slot.parent)?;
        let rules = self.table.get(slot.instrument)?;
        let left = self.to_child(row, slot.instrument, parent.tally.left());
        let qty = wish.qty.0.min(left.0);
        rules::shape(rules, slot.side, wish.price, Qty(qty)).ok().map(|(_, qty)| qty)
    }

    /// Nothing is wished in slot `at`: its parent looks again.
    pub(super) fn forget_wish(&mut self, at: usize) {
        self.slots[at].wish = None;
        self.changes += 1;
    }

    /// The order of slot `at` is on its way.
    pub(super) fn child_placed(&mut self, at: usize, order: OrderId, qty: Qty) {
        let Some((row, place)) = self.child_of(at) else { return };
        self.counters.add(c::CHILDREN, 1);
        let qty = self.to_parent(row, self.slots[at].instrument, qty);
        let charged = self.parents.change(row, |parent| {
            parent.placed();
            parent.tally.place(place, order, qty)
        });
        debug_assert!(charged, "a child is not larger than what is left");
    }

    /// The amend of slot `at` to `qty` can be paid for.
    pub(super) fn may_amend(&self, at: usize, qty: Qty) -> bool {
        self.child_of(at).is_none_or(|(row, place)| {
            self.parents.get(row).is_some_and(|p| p.tally.could_amend(place, qty))
        })
    }

    /// An amend of slot `at` to `qty` is on its way.
    pub(super) fn child_amending(&mut self, at: usize, qty: Qty) {
        if let Some((row, place)) = self.child_of(at) {
            let charged = self.parents.change(row, |p| p.tally.amend(place, qty));
            debug_assert!(charged, "an amend asks for no more than what is left");
        }
    }

    /// The amend of slot `at` is over, with these terms or those before.
    pub(super) fn child_amended(&mut self, at: usize, qty: Option<Qty>) {
        if let Some((row, place)) = self.child_of(at) {
            self.parents.change(row, |p| p.tally.amended(place, qty));
        }
    }

    /// Execution tells of the order of slot `at`.
    pub(super) fn child_reported(&mut self, at: usize, report: &OrderReport) {
        let Some((row, _)) = self.child_of(at) else { return };
        let refused = matches!(report.state, OrderState::Rejected | OrderState::NotSent);
        let units = self.parents.get(row).map_or(report.instrument, |p| p.order.instrument);
        let told = told_in(&self.table, report, units);
        self.parents.change(row, |parent| {
            parent.fill(&told);
            if refused {
                use bot4_types::DoneReason as D;
                parent.child_refused(None, matches!(report.reason, D::Balance | D::Filter));
            }
            parent.look_soon();
        });
    }

    /// The gate refused the order of slot `at`.
    pub(super) fn child_refused(&mut self, at: usize, reason: RefuseReason) {
        use RefuseReason as R;
        let Some((row, _)) = self.child_of(at) else { return };
        let sized = matches!(
            reason,
            R::Balance
                | R::SizeMax
                | R::NotionalMax
                | R::FatSize
                | R::FatNotional
                | R::Position
                | R::Gross
                | R::Net
        );
        self.parents.change(row, |parent| {
            parent.child_refused(Some(reason), sized);
            parent.look_soon();
        });
    }

    /// The order of slot `at` can trade no more.
    pub(super) fn child_ended(&mut self, at: usize) {
        if let Some((row, place)) = self.child_of(at) {
            self.parents.change(row, |parent| {
                parent.tally.end(place);
                parent.end_at_rest();
                parent.look_soon();
            });
        }
    }

    /// Parents alive.
    pub(crate) const fn parents_alive(&self) -> usize {
        self.parents.alive()
    }

    /// Hands what is new of parents to `tell` until it has no room; how many it took.
    pub(crate) fn tell_parents(
        &mut self,
        now: Nanos,
        tell: impl FnMut(ParentReport) -> bool,
    ) -> usize {
        self.parents.tell(now, tell)
    }

    /// Where each parent stands that is alive or ended not long ago.
    pub fn parents(&self, now: Nanos) -> impl Iterator<Item = ParentReport> + '_ {
        self.parents.reports(now)
    }

    /// Where the parent called `id` stands, while that is known.
    #[must_use]
    pub fn parent(&self, id: ParentId, now: Nanos) -> Option<ParentReport> {
        self.parents.find(id).and_then(|row| self.parents.get(row)).map(|p| p.report(now))
    }

    /// What the children of `id` may still fill by their slots, to be compared with its account.
    #[must_use]
    pub fn open_of_parent(&self, id: ParentId) -> Qty {
        let alive = |s: &&OrderSlot| s.parent == id && s.state != SlotState::Free;
        let worst = |s: &OrderSlot| s.amend.map_or(s.qty.0, |(_, qty)| qty.0.max(s.qty.0));
        let row = self.parents.find(id).unwrap_or(usize::MAX);
        let open = |s: &OrderSlot| {
            self.to_parent(row, s.instrument, Qty((worst(s) - s.filled.0).max(0))).0
        };
        Qty(self.slots[self.first_child..].iter().filter(alive).map(open).sum())
    }

    /// Slots of a pair, to tell them from children's.
    pub(super) const fn pair_of_slot(&self, at: usize) -> Option<usize> {
        if at < self.first_child { Some(at / PARTS) } else { None }
    }
}
