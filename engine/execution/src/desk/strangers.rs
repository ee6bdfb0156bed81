//! Words of the venue about orders that the desk does not hold: orders that it has forgotten, and
//! orders that were never its own.
//!
//! Some venues list fills by their own number of the order alone. While an order of that instrument
//! is on its way or unknown, and its number was not told yet, such a fill may be its: it waits, and
//! is booked or told as soon as no such order is left. What waits is reserved all the same, as part
//! of an order whose fate is open.
//!
//! Where other programs are declared by their names, a fill without a name may be one of theirs,
//! placed while nobody heard: the venue is asked whose the order of that number is, before anything
//! is said of it.

use bot4_types::{ExecMsg, InstrumentId, Nanos, OrderId, OrderState, VenueId};

use super::Desk;
use crate::foreign::Declared;
use crate::gateway::OrderKey;
use crate::order::{FillFact, Order};

/// Fills that wait for their order's number at most; more are told as somebody else's.
pub(super) const WAITING_MAX: usize = 64;

/// A fill of an order that may be ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    venue_order: u64,
    instrument: InstrumentId,
    fill: FillFact,
    /// The order that the venue named since.
    own: Option<OrderId>,
}

impl Desk {
    /// At this venue, orders of others may be there as `declared`.
    #[must_use]
    pub const fn declaring(mut self, venue: VenueId, declared: Declared) -> Self {
        (self.venue, self.declared) = (venue, declared);
        self
    }

    /// Orders of others may rest beside ours.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.declared.is_any()
    }

    /// The first order from `from` on, by id, that the venue has and that has not ended.
    #[must_use]
    pub fn open_from(&self, from: OrderId) -> Option<OrderId> {
        let open = |o: &&Order| !o.state.is_terminal() && o.state != OrderState::Approved;
        self.table.iter().filter(open).map(|o| o.id).find(|id| *id >= from)
    }

    /// The venue told something of an order that is not in the table: its state, or a trade of an
    /// instrument. What was forgotten is known by its number, or by a trade that was booked;
    /// anything else is somebody else's, and told.
    pub(super) fn stranger(
        &mut self,
        key: OrderKey,
        venue_order: u64,
        trade: Option<(InstrumentId, u64)>,
        now: Nanos,
    ) {
        let booked = || trade.is_some_and(|(instrument, id)| self.trades.has(instrument, id));
        let forgotten = match key {
            OrderKey::Own(id) => id <= self.newest && (trade.is_none() || booked()),
            OrderKey::Venue(number) if trade.is_none() => self.table.iter().any(|o| o.was(number)),
            OrderKey::Venue(_) => booked(),
            OrderKey::Foreign(_) => false,
        };
        if let (OrderKey::Own(id), true) = (key, venue_order != 0) {
            let of = self.waiting.iter_mut().filter(|w| w.venue_order == venue_order);
            of.for_each(|w| w.own = Some(id));
        }
        if forgotten {
            self.counts.late += 1;
            return;
        }
        let declared = match key {
            OrderKey::Foreign(client) => self.declared.has(&client),
            OrderKey::Venue(number) => self.declared == Declared::ALL || self.others.has(number),
            OrderKey::Own(_) => false,
        };
        if declared {
            self.others.add(venue_order);
        } else {
            self.nameless.add(venue_order);
        }
        let count = match trade {
            None => &mut self.counts.foreign_orders,
            Some(_) => &mut self.counts.foreign_fills,
        };
        *count += 1;
        let trade_id = trade.map_or(0, |(_, id)| id);
        let (at, venue) = (now, self.venue);
        self.outbox.push_back(ExecMsg::Foreign { at, venue, venue_order, trade_id, declared });
    }

    /// The fill of the order of this number may be one of ours whose number is not known yet: it
    /// waits for that.
    pub(super) fn waits(
        &mut self,
        key: OrderKey,
        instrument: InstrumentId,
        fill: FillFact,
    ) -> bool {
        let OrderKey::Venue(venue_order) = key else { return false };
        let declared = self.declared == Declared::ALL || self.others.has(venue_order);
        let may_be = self.lacks_number(instrument) || self.may_be_named(venue_order);
        if declared || self.trades.has(instrument, fill.trade_id) || !may_be {
            return false;
        }
        let same = |w: &Waiting| (w.instrument, w.fill.trade_id) == (instrument, fill.trade_id);
        if self.waiting.iter().any(same) {
            return true;
        }
        let room = self.waiting.len() < WAITING_MAX;
        if room {
            self.waiting.push(Waiting { venue_order, instrument, fill, own: None });
        }
        room
    }

    /// The venue may say that the order of this number is one of those that are declared.
    fn may_be_named(&self, number: u64) -> bool {
        let settled = self.others.has(number) || self.nameless.has(number);
        self.declared.is_by_name() && number != 0 && !settled
    }

    /// The first order, by instrument and the venue's number, of which it should say whose it is.
    #[must_use]
    pub fn unnamed(&self) -> Option<(InstrumentId, u64)> {
        let open = self.waiting.iter().find(|w| self.may_be_named(w.venue_order));
        open.map(|w| (w.instrument, w.venue_order))
    }

    /// An order of this instrument may be at the venue under a number that was not told.
    fn lacks_number(&self, instrument: InstrumentId) -> bool {
        let lacks = |o: &Order| {
            let sent = !o.state.is_terminal() && o.state != OrderState::Approved;
            o.instrument == instrument && o.venue_order == 0 && sent
        };
        self.table.iter().any(lacks)
    }

    /// Books the fills whose order is known by now, and tells those that can be nobody's of ours.
    pub(super) fn judge_waiting(&mut self, now: Nanos) {
        let mut n = 0;
        while let Some(Waiting { venue_order, instrument, fill, own }) =
            self.waiting.get(n).copied()
        {
            let key = own.map_or(OrderKey::Venue(venue_order), OrderKey::Own);
            if own.is_some() || Self::by_key(&mut self.table, key, Some(instrument)).is_some() {
                self.waiting.remove(n);
                self.fill_told(key, venue_order, instrument, fill, now);
            } else if self.lacks_number(instrument) || self.may_be_named(venue_order) {
                n += 1;
            } else {
                self.waiting.remove(n);
                self.stranger(key, venue_order, Some((instrument, fill.trade_id)), now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk_input::DeskInput;
    use crate::gateway::VenueState;
    use bot4_types::{AssetId, DoneReason, OrderReport, Price, Qty, ReportKind, RunEpoch};
    use bot4_venues::client_text::ClientText;

    const ID: OrderId = OrderId(1);
    const NOW: Nanos = Nanos(9);

    /// An order was sent, its answer is lost, and a fill comes that names its order by number 7.
    fn filled_unheard() -> Desk {
        let mut desk = Desk::new(8, 1, RunEpoch(1), Nanos::from_secs(1));
        desk.admit(&crate::order::test_intent(), Nanos(1)).expect("room");
        desk.sent(ID, i64::MIN, Nanos(2));
        desk.all_lost(Nanos(3));
        let (key, instrument) = (OrderKey::Venue(7), InstrumentId(0));
        for _ in 0..2 {
            told(&mut desk, DeskInput::Fill { key, venue_order: 7, instrument, fill: fill() });
        }
        assert_eq!((desk.counts.fills, desk.counts.foreign_fills), (0, 0), "it waits");
        desk.outbox.clear();
        desk
    }

    fn fill() -> FillFact {
        let (price, fee_asset) = (Price(100), AssetId(0));
        FillFact { trade_id: 11, qty: Qty(1), price, fee: 1, fee_asset, maker: true }
    }

    fn told(desk: &mut Desk, input: DeskInput) {
        let _ = desk.apply(&input, NOW, &mut Vec::new());
    }

    fn named(desk: &mut Desk, venue_order: u64) -> Vec<OrderReport> {
        let (key, state) = (OrderKey::Own(ID), VenueState::Open);
        let (cum_qty, reason) = (Qty(i64::from(venue_order == 7)), DoneReason::None);
        told(desk, DeskInput::State { key, venue_order, state, cum_qty, reason });
        let order = |m| if let ExecMsg::Order(report) = m { Some(report) } else { None };
        desk.outbox.drain(..).filter_map(order).collect()
    }

    #[test]
    fn a_fill_that_comes_before_its_orders_number_is_booked_with_it() {
        let mut desk = filled_unheard();
        let fills: Vec<_> = named(&mut desk, 7).into_iter().map(|r| (r.kind, r.cum_qty)).collect();
        assert!(fills.contains(&(ReportKind::Fill, Qty(1))), "{fills:?}");
        assert_eq!((desk.counts.fills, desk.counts.foreign_fills, desk.waiting.len()), (1, 0, 0));
    }

    #[test]
    fn a_fill_of_another_number_is_told_as_soon_as_ours_is_known() {
        let mut desk = filled_unheard();
        let fills = named(&mut desk, 8).iter().filter(|r| r.kind == ReportKind::Fill).count();
        assert_eq!((fills, desk.counts.fills, desk.counts.foreign_fills), (0, 0, 1));
        let mut desk = filled_unheard();
        told(&mut desk, DeskInput::NotFound(ID, Nanos::from_secs(60)));
        let foreign = |m: &&ExecMsg| matches!(m, ExecMsg::Foreign { trade_id: 11, .. });
        assert_eq!((desk.outbox.iter().filter(foreign).count(), desk.waiting.len()), (1, 0));
    }

    /// A desk beside programs whose names begin with `web_`, and a fill of order 9 without a name.
    fn nameless_fill() -> Desk {
        let declared = Declared::of(["web_"]).expect("short");
        let desk = Desk::new(8, 1, RunEpoch(1), Nanos::from_secs(1));
        let mut desk = desk.declaring(VenueId(0), declared);
        let (key, instrument) = (OrderKey::Venue(9), InstrumentId(0));
        told(&mut desk, DeskInput::Fill { key, venue_order: 9, instrument, fill: fill() });
        assert!(desk.outbox.is_empty(), "it is not judged");
        assert_eq!(desk.unnamed(), Some((instrument, 9)));
        desk
    }

    fn order_told(desk: &mut Desk, key: OrderKey) {
        let (state, cum_qty, reason) = (VenueState::Filled, Qty(1), DoneReason::None);
        told(desk, DeskInput::State { key, venue_order: 9, state, cum_qty, reason });
        assert_eq!(desk.unnamed(), None);
    }

    /// Trades that were told as a stranger's, and whether they are declared.
    fn strangers_trades(desk: &Desk) -> Vec<(u64, bool)> {
        let trade = |m: &ExecMsg| match *m {
            ExecMsg::Foreign { trade_id, declared, .. } if trade_id != 0 => {
                Some((trade_id, declared))
            }
            _ => None,
        };
        desk.outbox.iter().filter_map(trade).collect()
    }

    #[test]
    fn a_fill_without_a_name_is_judged_by_the_name_that_the_venue_tells_of_its_order() {
        for (name, declared) in [("web_1", true), ("other", false), ("", false)] {
            let mut desk = nameless_fill();
            order_told(&mut desk, OrderKey::Foreign(ClientText::new(name).expect("short")));
            assert_eq!(strangers_trades(&desk), [(11, declared)], "{name}");
        }
        let mut desk = nameless_fill();
        told(&mut desk, DeskInput::Nameless(9));
        assert_eq!((strangers_trades(&desk), desk.unnamed()), (vec![(11, false)], None));
    }

    /// It may be our own, of an order whose number was never told.
    #[test]
    fn a_fill_without_a_name_may_be_our_own() {
        let mut desk = nameless_fill();
        desk.admit(&crate::order::test_intent(), Nanos(1)).expect("room");
        desk.sent(ID, i64::MIN, Nanos(2));
        order_told(&mut desk, OrderKey::Own(ID));
        assert_eq!((strangers_trades(&desk).len(), desk.counts.fills), (0, 1));
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let mut desk = filled_unheard();
        for trade_id in 100..100 + WAITING_MAX as u64 {
            let (key, fill) = (OrderKey::Venue(7), FillFact { trade_id, ..fill() });
            let instrument = InstrumentId(0);
            told(&mut desk, DeskInput::Fill { key, venue_order: 7, instrument, fill });
        }
        assert_eq!((desk.waiting.len(), desk.counts.foreign_fills), (WAITING_MAX, 1));
    }
}
