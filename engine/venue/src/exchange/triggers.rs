//! Orders that wait for their stop price.
//!
//! Such an order is in no book; what it needs is reserved from the start. A trade triggers it, at
//! the stop price or beyond: every trade of an arriving order counts, not only its last. Several
//! are triggered oldest first, each when what the one before traded is done, so that its trades
//! may trigger the next. Cost: a look at the waiting orders of a market after each order that
//! traded there.

use super::{Exchange, Incoming, Ticket, incoming};
use crate::account::reserved;
use crate::error::ApiError;
use crate::matching::Side;
use crate::orders::{Order, Status};
use crate::report::Event;

impl Exchange {
    /// Accepts an order that waits until the last price is at `stop` or beyond. Returns its id.
    ///
    /// # Errors
    /// As [`place`](Self::place); -2010 too when the stop price is reached already, unless that
    /// [triggers at once](Self::triggers_at_once).
    pub fn place_waiting(
        &mut self,
        ticket: Ticket,
        stop: i64,
        now_ms: u64,
    ) -> Result<u64, ApiError> {
        let reserve = self.admit(&ticket, Some(stop))?;
        let (market, side, kind) = (ticket.market, ticket.side, ticket.kind);
        let id = self.accept(ticket, reserve, stop, now_ms);
        self.waiting[market].push(id);
        let last = self.markets[market].last_price;
        if kind.is_reached(side, stop, last) {
            self.spans[market] = Some((last, last));
            self.wake(market, now_ms);
        }
        Ok(id)
    }

    /// Triggers what trades of `market` have reached since the last call.
    pub(super) fn wake(&mut self, market: usize, now_ms: u64) {
        while let Some(id) = self.reached(market) {
            self.waiting[market].retain(|other| *other != id);
            let Some(order) = self.orders.by_id_mut(id) else { continue };
            (order.waiting, order.updated_ms, order.worked_ms) = (false, now_ms, now_ms);
            let ticket = Ticket {
                market,
                side: order.side,
                kind: order.kind,
                tif: order.tif,
                price: (!order.kind.is_market()).then_some(order.price),
                qty: order.left(),
                client_id: None,
                stp: order.stp,
            };
            self.tell(id, Event::New, now_ms);
            let arrival = incoming(id, &ticket);
            if self.reserve_more(&arrival, market) {
                self.match_client(market, &arrival, now_ms);
            } else {
                let event = Event::Expired("INSUFFICIENT_LIQUIDITY");
                self.close(id, Status::Expired, event, now_ms);
            }
        }
        self.spans[market] = None;
    }

    fn reached(&self, market: usize) -> Option<u64> {
        let (low, high) = self.spans[market]?;
        let reached = |id: &&u64| {
            let order = self.orders.by_id(**id);
            let at = |o: &Order, price| o.kind.is_reached(o.side, o.stop, price);
            order.is_some_and(|o| at(o, low) || at(o, high))
        };
        self.waiting[market].iter().find(reached).copied()
    }

    /// A market order to buy may need more than was reserved at its stop price. False when the
    /// account does not have it.
    fn reserve_more(&mut self, arrival: &Incoming, market: usize) -> bool {
        if arrival.side == Side::Sell || arrival.price.is_some() {
            return true;
        }
        let beside = self.fees_in_quote.then_some(self.fees);
        let needed = reserved(self.markets[market].book.reach(arrival).1, beside);
        let Some(order) = self.orders.by_id_mut(arrival.id) else { return false };
        let missing = (needed - order.locked).max(0);
        let granted = self.account.lock(&self.markets[market].spec.quote, missing);
        order.locked += if granted { missing } else { 0 };
        granted
    }
}
