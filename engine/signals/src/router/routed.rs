//! Orders that are filled where it is best, over all venues of a group: at once
//! ([`Algo::Best`]), or slice by slice as a schedule makes them due.
//!
//! ```text
//!  books of the group --offers--> split by effective price --parts--> one child a venue (IOC)
//!        ^                                                              |
//!        '---- what is left comes back when a child has ended ----------'
//! ```
//! A venue counts when its session is ready, its book live, its instrument open, no child of the
//! parent stands there and it is not left alone ([`Standing`](super::standing)). What a child may
//! still fill is charged to the parent until it has ended by the venue's word: the part of a child
//! of unknown fate goes nowhere else. Quantities of a parent are in the units of the instrument of
//! its group that has the finest, so that every venue's are whole numbers of them.

use bot4_types::limits::{TOP_LEVELS, VENUES_MAX};
use bot4_types::{
    Algo, Cause, Instrument, InstrumentId, InstrumentTable, Level, Nanos, OrderReport, ParentEnd,
    ParentOrder, ParentRefusal, ParentState, Price, Qty, Side, StrategyId, Top, TradePrint,
};

use super::Router;
use super::groups::{limit_in, report_in, scaled_down, scaled_up};
use super::parents::is_sensible;
use super::select::{Offer, Part, Want, split};
use crate::actions::Turn;
use crate::market::Market;
use crate::parent::{CHILDREN, least};
use crate::rules;
use crate::slot::{OrderSlot, Origin, SlotState, Style, Wish};

impl Router {
    /// `order` in the finest units of its group, if it makes sense.
    pub(super) fn checked_routed(&self, order: ParentOrder) -> Result<ParentOrder, ParentRefusal> {
        use ParentRefusal as R;
        let named = self.table.get(order.instrument).ok_or(R::Instrument)?;
        self.pair((order.strategy, order.instrument)).ok_or(R::Instrument)?;
        if !self.running {
            return Err(R::Closed);
        }
        // What rests does so at one venue.
        let rests = matches!(order.algo, Algo::Iceberg | Algo::Pegged);
        if rests || !is_sensible(&order) {
            return Err(R::Terms);
        }
        let members = || self.parents.groups().members(order.instrument);
        let rules = || members().filter_map(|id| self.table.get(id));
        let tradable = rules().any(|i| i.tradable);
        let units = rules().max_by_key(|i| (i.qty_decimals, std::cmp::Reverse(i.id)));
        let units = units.filter(|_| tradable).ok_or(R::Instrument)?;
        let of_units = |q: Qty| Qty(scaled_up(q.0, named.qty_decimals, units.qty_decimals));
        let limit = limit_in(order.limit, named, units, order.side);
        if !(0..=rules::PRICE_MAX).contains(&limit.0) || (limit.0 == 0 && order.limit.0 != 0) {
            return Err(R::Limit);
        }
        let total = of_units(order.total);
        let least = self.least_of(units, order.side);
        let fits = least.is_some_and(|least| total.0 >= least) && total.0 < i64::MAX / 8;
        if !fits {
            return Err(R::Size);
        }
        let slice_min = of_units(order.slice_min);
        let instrument = units.id;
        Ok(ParentOrder { instrument, total, limit, slice_min, ..order })
    }

    /// The smallest order that any venue of the group takes, in `units`.
    fn least_of(&self, units: &Instrument, side: Side) -> Option<i64> {
        let members = self.parents.groups().members(units.id);
        let rules = members.filter_map(|id| self.table.get(id));
        rules.filter_map(|i| self.smallest_in(i, units, side)).min()
    }

    /// The smallest order of `rules` at its touch, in `units`.
    fn smallest_in(&self, rules: &Instrument, units: &Instrument, side: Side) -> Option<i64> {
        let price = Price(self.touches[rules.id.index()][side.opposite().index()]);
        let least = least(rules, price)?;
        Some(scaled_up(least.0, rules.qty_decimals, units.qty_decimals))
    }

    pub(super) fn look_at_routed(&mut self, row: usize, market: &Market, turn: Turn<'_>) {
        let Some(order) = self.parents.get(row).map(|p| p.order) else { return };
        let arrival = self.arrival_x2(&order, market);
        let units = self.table.get(order.instrument);
        let Some(least) = units.and_then(|units| self.least_of(units, order.side)) else { return };
        let wanted = self.parents.change(row, |parent| {
            parent.advance_routed(arrival, turn.now);
            parent.wanted_routed(least)
        });
        let parts = match wanted {
            Some(qty) => self.parts_of(row, &order, qty, market, turn.now),
            None => [None; CHILDREN],
        };
        if parts.iter().all(|part| part.is_none()) {
            return self.end_dust(row, least);
        }
        let by = if order.id.is_by_strategy() { Cause::Timer } else { Cause::Operator };
        for (id, part) in parts.into_iter().flatten() {
            let free = |place: &usize| self.is_child_free(row, *place);
            let Some(place) = (0..CHILDREN).find(free) else { break };
            self.bind_child(row, place, id, &order);
            let expires = turn.now + self.config.intent_life;
            let wish = Wish::new(part.price, part.qty, expires, Style::Ioc);
            self.wish_child(row, place, wish, Origin::other(by), turn);
        }
    }

    /// Where the parent of `row` takes now, and how much.
    fn parts_of(
        &self,
        row: usize,
        order: &ParentOrder,
        qty: Qty,
        market: &Market,
        now: Nanos,
    ) -> [Option<(InstrumentId, Part)>; CHILDREN] {
        let mut found = [None; CHILDREN];
        let Some(units) = self.table.get(order.instrument) else { return found };
        let none = Offer { rules: units, levels: Default::default(), cost_e8: 0 };
        let (mut offers, mut count) = ([none; VENUES_MAX], 0);
        for id in self.parents.groups().members(order.instrument) {
            let usable = self.may_add(order.strategy, id, now) && !self.has_child_at(row, id);
            let offer = self.offer(id, order.side, market, now).filter(|_| usable);
            if let (Some(offer), Some(place)) = (offer, offers.get_mut(count)) {
                *place = offer;
                count += 1;
            }
        }
        let parts = (0..CHILDREN).filter(|place| self.is_child_free(row, *place)).count();
        // A tail below the smallest slice goes all the same: nothing better will come.
        let (side, limit, slice_min) = (order.side, order.limit, order.slice_min.min(qty));
        let want = Want { side, units, qty, limit, slice_min, parts };
        let split = split(&want, &offers[..count]);
        for (place, part) in found.iter_mut().zip(split.parts()) {
            *place = Some((offers[part.offer].rules.id, *part));
        }
        found
    }

    /// `instrument` is open, and no stop closes what `strategy` holds there, or has just done so.
    fn may_add(&self, strategy: StrategyId, instrument: InstrumentId, now: Nanos) -> bool {
        let pair = self.pair((strategy, instrument));
        self.is_open(instrument) && pair.is_some_and(|p| !self.guards[p].stops(now))
    }

    /// What `instrument` offers to an order of `side`.
    fn offer<'a>(
        &'a self,
        id: InstrumentId,
        side: Side,
        market: &Market,
        now: Nanos,
    ) -> Option<Offer<'a>> {
        let rules = self.table.get(id)?;
        let top = market.top(id).filter(|_| self.standing.may_try(rules.venue, id, now))?;
        let slow = self.standing.ack_p99(rules.venue).0 / 1_000_000;
        let slow = slow.saturating_mul(self.config.slow_e8_per_ms.unsigned_abs());
        let taker = self.config.taker_e8[rules.venue.index()];
        let cost_e8 = taker.saturating_add(i64::try_from(slow).unwrap_or(i64::MAX / 2));
        Some(Offer { rules, levels: levels(top, side), cost_e8 })
    }

    /// Twice the best middle of the group, in the units of `order`'s instrument.
    fn arrival_x2(&self, order: &ParentOrder, market: &Market) -> Option<i64> {
        let units = self.table.get(order.instrument)?;
        let middle = |id: InstrumentId| {
            let (top, rules) = (market.top(id)?, self.table.get(id)?);
            let twice = top.quote_bid.price.saturating_add(top.quote_ask.price);
            Some(order.side.sign() * scaled_down(twice, rules.price_decimals, units.price_decimals))
        };
        let open = self.parents.groups().members(order.instrument).filter(|id| self.is_open(*id));
        open.filter_map(middle).min().map(|best| best * order.side.sign())
    }

    /// What is left of a parent whose children are all over, and no venue takes so little.
    fn end_dust(&mut self, row: usize, least: i64) {
        self.parents.change(row, |parent| {
            let works = matches!(parent.state, ParentState::Working | ParentState::Finishing);
            let left = parent.tally.left().0;
            if works && (1..least).contains(&left) && parent.tally.is_at_rest() {
                parent.finish(ParentEnd::Dust);
            }
        });
    }

    fn is_child_free(&self, row: usize, place: usize) -> bool {
        let slot = &self.slots[self.child_slot(row, place)];
        slot.state == SlotState::Free && slot.wish.is_none()
    }

    fn has_child_at(&self, row: usize, instrument: InstrumentId) -> bool {
        let busy = |place: &usize| !self.is_child_free(row, *place);
        let at = |place: usize| self.slots[self.child_slot(row, place)].instrument;
        (0..CHILDREN).filter(busy).any(|place| at(place) == instrument)
    }

    /// The free child's place stands at `instrument` from now on.
    fn bind_child(&mut self, row: usize, place: usize, id: InstrumentId, order: &ParentOrder) {
        let at = self.child_slot(row, place);
        let queued = self.slots[at].queued;
        let fresh = OrderSlot::new(order.strategy, id, order.side, true);
        self.slots[at] = OrderSlot { parent: order.id, queued, ..fresh };
    }

    /// `qty` of the parent of `row` in the units of `instrument`, rounded down.
    pub(super) fn to_child(&self, row: usize, instrument: InstrumentId, qty: Qty) -> Qty {
        self.between(row, instrument).map_or(qty, |(own, units)| {
            Qty(scaled_down(qty.0, units.qty_decimals, own.qty_decimals))
        })
    }

    /// `qty` of `instrument` in the units of the parent of `row`: exact.
    pub(super) fn to_parent(&self, row: usize, instrument: InstrumentId, qty: Qty) -> Qty {
        self.between(row, instrument)
            .map_or(qty, |(own, units)| Qty(scaled_up(qty.0, own.qty_decimals, units.qty_decimals)))
    }

    /// `instrument`, and that of the parent of `row`, where they differ.
    fn between(&self, row: usize, instrument: InstrumentId) -> Option<(&Instrument, &Instrument)> {
        let units = self.parents.get(row)?.order.instrument;
        (units != instrument).then_some((self.table.get(instrument)?, self.table.get(units)?))
    }
}

/// `report` in the units of `units`, where that is another instrument.
pub(super) fn told_in(
    table: &InstrumentTable,
    report: &OrderReport,
    units: InstrumentId,
) -> OrderReport {
    let pair =
        (units != report.instrument).then(|| (table.get(report.instrument), table.get(units)));
    match pair {
        Some((Some(own), Some(units))) => report_in(report, own, units),
        _ => *report,
    }
}

/// `print` in the units of `units`, where that is another instrument.
pub(super) fn print_in(
    table: &InstrumentTable,
    print: &TradePrint,
    units: InstrumentId,
) -> TradePrint {
    let pair = (units != print.instrument).then(|| (table.get(print.instrument), table.get(units)));
    let Some((Some(own), Some(units))) = pair else { return *print };
    TradePrint {
        price: scaled_down(print.price, own.price_decimals, units.price_decimals),
        qty: scaled_up(print.qty, own.qty_decimals, units.qty_decimals),
        ..*print
    }
}

/// The levels that an order of `side` meets: the newest quote, and what lies behind it.
fn levels(top: &Top, side: Side) -> [Level; TOP_LEVELS] {
    let (quote, book) = match side {
        Side::Buy => (top.quote_ask, &top.asks),
        Side::Sell => (top.quote_bid, &top.bids),
    };
    let mut levels = [Level::default(); TOP_LEVELS];
    levels[0] = quote;
    let behind = |l: &&Level| l.qty > 0 && side.sign() * (l.price - quote.price) > 0;
    for (place, level) in levels[1..].iter_mut().zip(book.iter().filter(behind)) {
        *place = *level;
    }
    levels
}
