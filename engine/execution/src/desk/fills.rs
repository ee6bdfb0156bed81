//! What the venue tells of fills, and those that come behind their order's end.
//!
//! An ending says how much was filled, and is held until that much is booked. A fill that is told
//! later contradicts it: the venue had counted too little, or the fill is not what it seems. So
//! the venue's own list decides, and nothing is booked before: the fills that it lists of the
//! order must be those that are booked and those that wait, no more and no less. A list may lag:
//! it is asked for a few times. What it does not prove is told as somebody else's, and stops
//! trading.

use bot4_types::{InstrumentId, Nanos, OrderId, OrderState, Qty};

use super::{ASK_EVERY, Desk, Question};
use crate::ended::may_have_filled;
use crate::gateway::OrderKey;
use crate::order::{FillFact, Heard, Order, Who};

/// Fills that wait for their proof at most; more are told as somebody else's.
const LATE_MAX: usize = 64;
/// Lists of an order's fills that may lack one of them.
const LISTS_MAX: u8 = 8;

/// A fill behind its order's end.
#[derive(Clone, Copy, Debug)]
struct Late {
    order: OrderId,
    instrument: InstrumentId,
    fill: FillFact,
    /// It was told again since the list was asked for.
    listed: bool,
}

/// The list of an order's fills that is asked for.
#[derive(Clone, Copy, Debug)]
struct Proof {
    order: OrderId,
    /// How much it told so far.
    listed: Qty,
    /// Lists that proved nothing.
    lists: u8,
}

/// Fills behind their orders' ends, and what may prove them.
#[derive(Debug)]
pub(super) struct LateFills {
    fills: Vec<Late>,
    proofs: Vec<Proof>,
}

impl Default for LateFills {
    fn default() -> Self {
        Self { fills: Vec::with_capacity(LATE_MAX), proofs: Vec::with_capacity(LATE_MAX) }
    }
}

impl LateFills {
    /// A fill of `order` was told: it counts for the list that is asked for, if one is.
    fn listed(&mut self, order: OrderId, fill: FillFact) {
        let Some(proof) = self.proofs.iter_mut().find(|p| p.order == order) else { return };
        proof.listed = Qty(proof.listed.0.saturating_add(fill.qty.0));
        let same = |l: &&mut Late| l.order == order && l.fill.trade_id == fill.trade_id;
        if let Some(late) = self.fills.iter_mut().find(same) {
            late.listed = true;
        }
    }

    /// Holds `fill` back; false where there is no room.
    fn hold(&mut self, order: OrderId, instrument: InstrumentId, fill: FillFact) -> bool {
        let same = |l: &Late| l.order == order && l.fill.trade_id == fill.trade_id;
        if self.fills.iter().any(same) {
            return true;
        }
        if self.fills.len() == LATE_MAX {
            return false;
        }
        let asked = self.proofs.iter().any(|p| p.order == order);
        self.fills.push(Late { order, instrument, fill, listed: asked });
        if !asked {
            self.proofs.push(Proof { order, listed: Qty(0), lists: 0 });
        }
        true
    }

    fn of(&self, order: OrderId) -> impl Iterator<Item = &Late> {
        self.fills.iter().filter(move |late| late.order == order)
    }

    /// The list of the fills of `order` is asked for anew.
    fn begin(&mut self, order: OrderId) {
        self.proofs.iter_mut().filter(|p| p.order == order).for_each(|p| p.listed = Qty(0));
        self.fills.iter_mut().filter(|l| l.order == order).for_each(|l| l.listed = false);
    }

    /// Takes out a fill of `order`; its proof goes with the last one.
    fn take(&mut self, order: OrderId) -> Option<Late> {
        let at = self.fills.iter().position(|late| late.order == order);
        let Some(at) = at else {
            self.proofs.retain(|proof| proof.order != order);
            return None;
        };
        Some(self.fills.remove(at))
    }
}

/// What a list of an order's fills says of those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// They are fills of it that were not booked.
    Proven,
    /// They were booked, so long ago that their numbers are forgotten.
    Booked,
    /// Nothing, yet.
    Open,
    /// Nothing, so often that nothing is to be expected.
    Unexplained,
}

impl Desk {
    /// The venue told a fill.
    pub(super) fn fill_told(
        &mut self,
        key: OrderKey,
        venue_order: u64,
        instrument: InstrumentId,
        fill: FillFact,
        now: Nanos,
    ) {
        let known = Self::by_key(&mut self.table, key, Some(instrument)).map(|o| o.id);
        let Some(id) = known.or_else(|| self.recalled(key, instrument, fill, now)) else {
            if !self.waits(key, instrument, fill) {
                self.stranger(key, venue_order, Some((instrument, fill.trade_id)), now);
            }
            return;
        };
        self.late.listed(id, fill);
        let Some(order) = self.table.find(id) else { return };
        let booked = self.trades.knows(instrument, fill.trade_id, id);
        if !booked && may_have_filled(order, fill.qty) {
            if order.venue_order == 0 {
                order.venue_order = venue_order;
            }
            if !self.late.hold(id, instrument, fill) {
                self.stranger(key, venue_order, Some((instrument, fill.trade_id)), now);
            }
            return;
        }
        if !self.trades.book(instrument, fill.trade_id, order.id) {
            return;
        }
        self.counts.fills += 1;
        if order.venue_order == 0 {
            order.venue_order = venue_order;
        }
        let other = match order.who(venue_order) {
            Who::Replacement => order.amended(now, venue_order),
            Who::Stranger => order.doubled(now),
            // Replaced only while nothing was filled; booked all the same.
            Who::Former => Heard { contradicts: true, ..Heard::default() },
            Who::Itself if order.is_amended_by(fill.qty) => order.amended(now, venue_order),
            Who::Itself => Heard::default(),
        };
        // A fill of an unknown order is old news perhaps: it says nothing about what rests.
        let fresh = order.state == OrderState::Sent;
        let acked = if fresh { order.told_open(now, venue_order, false) } else { Heard::default() };
        let triggered = order.triggered(now);
        let filled = order.filled(now, fill);
        self.counts.overfills += u64::from(order.cum_qty > order.qty);
        let done = order.settle(now);
        for heard in [other, acked, triggered, filled, done] {
            self.push(heard);
        }
    }

    /// The order of this name and instrument that ended long ago, and of which `fill` may be: in
    /// the table again.
    fn recalled(
        &mut self,
        key: OrderKey,
        instrument: InstrumentId,
        fill: FillFact,
        now: Nanos,
    ) -> Option<OrderId> {
        let trades = &self.trades;
        let fits = |o: &Order| {
            let new = !trades.knows(instrument, fill.trade_id, o.id);
            new && o.instrument == instrument && may_have_filled(o, fill.qty)
        };
        match key {
            OrderKey::Own(id) => self.table.recall(now, |o| o.id == id && fits(o)),
            OrderKey::Venue(number) if number != 0 && !self.others.has(number) => {
                self.table.recall(now, |o| o.was(number) && fits(o))
            }
            OrderKey::Venue(_) | OrderKey::Foreign(_) => None,
        }
    }

    /// A fill waits for its proof.
    #[must_use]
    pub(crate) const fn awaits_proof(&self) -> bool {
        !self.late.fills.is_empty()
    }

    /// Asks for the lists that may prove fills behind their orders' ends. Such an order stays in
    /// the table meanwhile, or comes back into it.
    pub(super) fn ask_for_proofs(&mut self, now: Nanos, max: usize, out: &mut Vec<Question>) {
        for n in 0..self.late.proofs.len() {
            let id = self.late.proofs[n].order;
            if out.len() >= max {
                return;
            }
            if self.table.find(id).is_none() {
                self.table.recall(now, |o| o.id == id);
            }
            let Some(order) = self.table.find(id) else { continue };
            if order.asking
                || (order.asked_at > Nanos::ZERO && now.since(order.asked_at) < ASK_EVERY)
            {
                continue;
            }
            (order.asking, order.asked_at, order.touched_at) = (true, now, now);
            self.late.begin(id);
            out.push(Question::Fills(id));
        }
    }

    /// The question for the fills of an order is answered, by what was told since it was asked.
    pub(super) fn fills_told(&mut self, id: OrderId, now: Nanos) {
        self.unanswered(id);
        match self.verdict(id) {
            Verdict::Open => {
                self.late.proofs.iter_mut().filter(|p| p.order == id).for_each(|p| p.lists += 1);
            }
            Verdict::Proven => {
                while let Some(late) = self.late.take(id) {
                    self.book_late(&late, now);
                }
            }
            Verdict::Booked => {
                while self.late.take(id).is_some() {
                    self.counts.late += 1;
                }
            }
            Verdict::Unexplained => {
                while let Some(Late { order, instrument, fill, .. }) = self.late.take(id) {
                    let venue_order = self.table.find(id).map_or(0, |o| o.venue_order);
                    let trade = Some((instrument, fill.trade_id));
                    self.stranger(OrderKey::Own(order), venue_order, trade, now);
                }
            }
        }
    }

    fn verdict(&mut self, id: OrderId) -> Verdict {
        let proof = self.late.proofs.iter().find(|p| p.order == id).copied();
        let (Some(proof), Some(order)) = (proof, self.table.find(id)) else { return Verdict::Open };
        let (booked, listed) = (order.cum_qty.0, proof.listed.0);
        let waits = self.late.of(id).map(|l| l.fill.qty.0).fold(0, i64::saturating_add);
        let all = self.late.of(id).all(|late| late.listed);
        match (all, proof.lists + 1 < LISTS_MAX) {
            (true, _) if listed == booked.saturating_add(waits) => Verdict::Proven,
            (true, _) if listed == booked => Verdict::Booked,
            (_, true) => Verdict::Open,
            (_, false) => Verdict::Unexplained,
        }
    }

    fn book_late(&mut self, late: &Late, now: Nanos) {
        let Some(order) = self.table.find(late.order) else { return };
        if !self.trades.book(late.instrument, late.fill.trade_id, late.order) {
            return;
        }
        let heard = order.filled_late(now, late.fill);
        self.counts.overfills += u64::from(order.cum_qty > order.qty);
        self.counts.fills += 1;
        self.counts.late_fills += 1;
        self.push(heard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk_input::DeskInput;
    use crate::gateway::VenueState;
    use bot4_types::{AssetId, DoneReason, ExecMsg, OrderReport, Price, ReportKind, RunEpoch};

    const ID: OrderId = OrderId(1);
    const OWN: OrderKey = OrderKey::Own(ID);

    fn at(ms: u64) -> Nanos {
        Nanos::from_millis(ms)
    }

    fn fill(trade_id: u64, qty: i64) -> FillFact {
        let (price, fee_asset) = (Price(100), AssetId(0));
        FillFact { trade_id, qty: Qty(qty), price, fee: 1, fee_asset, maker: true }
    }

    fn apply(desk: &mut Desk, input: DeskInput, now: Nanos) -> Vec<Question> {
        let mut asked = Vec::new();
        let _ = desk.apply(&input, now, &mut asked);
        asked
    }

    fn told(desk: &mut Desk, key: OrderKey, trade_id: u64, qty: i64, now: Nanos) {
        let (instrument, fill) = (InstrumentId(0), fill(trade_id, qty));
        apply(desk, DeskInput::Fill { key, venue_order: 7, instrument, fill }, now);
    }

    /// An order of ten that was cancelled at 2 s, by the venue's word with three filled, and that
    /// the table has forgotten.
    fn forgotten() -> Desk {
        let mut desk = Desk::new(8, 1, RunEpoch(1), Nanos::from_secs(1));
        desk.admit(&crate::order::test_intent(), at(1)).expect("room");
        desk.sent(ID, i64::MIN, at(2));
        told(&mut desk, OWN, 11, 3, at(3));
        let (state, reason, cum_qty) = (VenueState::Canceled, DoneReason::None, Qty(3));
        let ended = DeskInput::State { key: OWN, venue_order: 7, state, cum_qty, reason };
        apply(&mut desk, ended, at(2_000));
        apply(&mut desk, DeskInput::Purge, at(8_000));
        assert!(desk.order(ID).is_none());
        desk.outbox.clear();
        desk
    }

    /// Asks at `now`, and answers with these fills.
    fn listed(desk: &mut Desk, fills: &[(u64, i64)], now: Nanos) {
        let asked = apply(desk, DeskInput::Clock(8), now);
        assert_eq!(asked, [Question::Fills(ID)]);
        assert!(apply(desk, DeskInput::Clock(8), now + at(100)).is_empty(), "asked once");
        for (id, qty) in fills {
            told(desk, OrderKey::Venue(7), *id, *qty, now + at(200));
        }
        apply(desk, DeskInput::FillsTold(ID), now + at(200));
    }

    fn fills_reported(desk: &mut Desk) -> Vec<OrderReport> {
        let order = |m| if let ExecMsg::Order(report) = m { Some(report) } else { None };
        let all = desk.outbox.drain(..).filter_map(order);
        all.filter(|r| r.kind == ReportKind::Fill).collect()
    }

    fn strangers(desk: &Desk) -> u64 {
        desk.counts.foreign_fills
    }

    #[test]
    fn a_fill_long_after_its_order_s_end_is_booked_when_the_list_proves_it() {
        for key in [OWN, OrderKey::Venue(7)] {
            let mut desk = forgotten();
            told(&mut desk, key, 12, 2, at(20_000));
            assert!(fills_reported(&mut desk).is_empty() && desk.awaits_proof());
            listed(&mut desk, &[(11, 3), (12, 2)], at(20_010));
            let [report] = fills_reported(&mut desk)[..] else { panic!("one fill") };
            let (state, reason) = (bot4_types::OrderState::Canceled, DoneReason::Late);
            assert_eq!((report.state, report.reason, report.cum_qty), (state, reason, Qty(5)));
            assert_eq!((report.order, report.trade_id, report.last_qty), (ID, 12, Qty(2)));
            let counts = desk.counts;
            assert_eq!((counts.late_fills, counts.contradictions, strangers(&desk)), (1, 0, 0));
            assert!(!desk.awaits_proof() && desk.open() == 0);
            told(&mut desk, key, 12, 2, at(20_300));
            assert!(fills_reported(&mut desk).is_empty() && !desk.awaits_proof(), "told again");
        }
    }

    /// The first lists lag; an outage loses the question; the table forgets the order meanwhile.
    #[test]
    fn a_list_that_lags_is_asked_for_again() {
        let mut desk = forgotten();
        told(&mut desk, OWN, 12, 2, at(20_000));
        listed(&mut desk, &[(11, 3)], at(20_010));
        listed(&mut desk, &[], at(21_000));
        assert_eq!(apply(&mut desk, DeskInput::Clock(8), at(22_000)), [Question::Fills(ID)]);
        apply(&mut desk, DeskInput::AllLost, at(22_100));
        apply(&mut desk, DeskInput::Purge, at(40_000));
        assert!(desk.order(ID).is_none() && fills_reported(&mut desk).is_empty());
        listed(&mut desk, &[(11, 3), (12, 2)], at(41_000));
        assert_eq!((fills_reported(&mut desk).len(), strangers(&desk)), (1, 0));
    }

    #[test]
    fn what_no_list_names_is_told_as_a_stranger_s() {
        let mut desk = forgotten();
        told(&mut desk, OWN, 12, 2, at(20_000));
        for n in 0..u64::from(LISTS_MAX) {
            assert_eq!(strangers(&desk), 0);
            listed(&mut desk, &[(11, 3)], at(21_000 + n * 1_000));
        }
        assert_eq!((strangers(&desk), desk.counts.late_fills, desk.awaits_proof()), (1, 0, false));
        let told = |m: &&ExecMsg| matches!(m, ExecMsg::Foreign { trade_id: 12, .. });
        assert_eq!(desk.outbox.iter().filter(told).count(), 1);
    }

    /// What a list tells beside what waits was not heard either.
    #[test]
    fn every_fill_that_a_list_adds_is_booked_with_it() {
        let mut desk = forgotten();
        told(&mut desk, OWN, 12, 2, at(20_000));
        listed(&mut desk, &[(11, 3), (12, 2), (13, 1)], at(20_010));
        let booked: Vec<_> = fills_reported(&mut desk).iter().map(|r| r.trade_id).collect();
        assert_eq!(booked, [12, 13]);
    }

    /// Numbers of trades that do not grow are forgotten: a fill that was booked is no new one.
    #[test]
    fn a_booked_fill_whose_number_is_forgotten_is_not_booked_again() {
        let mut desk = forgotten();
        desk.trades = super::super::TradeLedger::new(1);
        told(&mut desk, OWN, 11, 3, at(20_000));
        listed(&mut desk, &[(11, 3)], at(20_010));
        assert!(fills_reported(&mut desk).is_empty());
        assert_eq!((strangers(&desk), desk.counts.late, desk.awaits_proof()), (0, 1, false));
    }

    #[test]
    fn more_than_was_ordered_is_a_stranger_s_at_once() {
        let mut desk = forgotten();
        told(&mut desk, OWN, 12, 8, at(20_000));
        assert_eq!((strangers(&desk), desk.awaits_proof()), (1, false));
    }
}
