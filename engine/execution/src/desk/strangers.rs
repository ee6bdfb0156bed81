//! Words of the venue about orders that the desk does not hold: orders that it has forgotten, and
//! orders that were never its own.

use bot4_types::{ExecMsg, InstrumentId, Nanos, OrderId, OrderState, VenueId};

use super::Desk;
use crate::foreign::Declared;
use crate::gateway::OrderKey;
use crate::order::Order;

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
}
