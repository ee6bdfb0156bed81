//! Orders that ended unfilled in part and were forgotten: a fill that is told later still finds
//! whose it is.
//!
//! A fixed ring; the oldest makes room. Cost: a copy for each such order that is forgotten; a
//! search goes over all of them, and is made only for words about orders that nobody knows. No
//! allocation after construction.

use bot4_types::{OrderState, Qty};

use crate::order::Order;

/// Orders remembered at most.
const ENDED_MAX: usize = 4_096;

/// The orders.
#[derive(Debug)]
pub(crate) struct Ended {
    orders: Box<[Option<Order>]>,
    next: usize,
}

impl Ended {
    /// None yet, beside a table for `capacity` orders: as many are remembered at most.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { orders: vec![None; capacity.clamp(1, ENDED_MAX)].into_boxed_slice(), next: 0 }
    }

    /// Remembers `order`, if a fill of it may still be told.
    pub(crate) fn keep(&mut self, order: &Order) {
        if may_have_filled(order, Qty(1)) {
            let place = self.next % self.orders.len();
            self.orders[place] = Some(*order);
            self.next += 1;
        }
    }

    /// Takes out the newest order of which `is` says so.
    pub(crate) fn take(&mut self, is: impl Fn(&Order) -> bool) -> Option<Order> {
        let place = self.next % self.orders.len();
        let (newer, older) = self.orders.split_at_mut(place);
        let mut all = newer.iter_mut().rev().chain(older.iter_mut().rev());
        all.find(|place| place.as_ref().is_some_and(&is))?.take()
    }
}

/// The venue ended the order and counted so little that `more` may have been filled as well. One
/// that never arrived, or was refused, has no fills.
pub(crate) fn may_have_filled(order: &Order, more: Qty) -> bool {
    let short = matches!(order.state, OrderState::Canceled | OrderState::Expired);
    let room = order.cum_qty.0.checked_add(more.0).is_some_and(|all| all <= order.qty.0);
    short && order.closing.is_none() && room
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{Nanos, OrderId, RunEpoch};

    fn ended(id: u64, state: OrderState, cum: i64) -> Order {
        let mut order = Order::new(&crate::order::test_intent(), RunEpoch(1), Nanos(1));
        (order.id, order.state, order.cum_qty) = (OrderId(id), state, Qty(cum));
        order
    }

    fn has(all: &Ended, id: u64) -> bool {
        all.orders.iter().flatten().any(|order| order.id == OrderId(id))
    }

    #[test]
    fn what_may_have_filled_more_is_found_once_and_the_oldest_makes_room() {
        let mut all = Ended::new(ENDED_MAX);
        for (id, state, cum) in [
            (1, OrderState::Filled, 10),
            (2, OrderState::Rejected, 0),
            (3, OrderState::NotSent, 0),
            (4, OrderState::Canceled, 10),
        ] {
            all.keep(&ended(id, state, cum));
            assert!(!has(&all, id), "{id} can have filled nothing more");
        }
        (10..10 + ENDED_MAX as u64).for_each(|id| all.keep(&ended(id, OrderState::Canceled, 9)));
        let of = |id| move |o: &Order| o.id == OrderId(id);
        assert!(all.take(of(10)).is_some() && all.take(of(10)).is_none());
        (1..=2).for_each(|id| all.keep(&ended(1 << 20 | id, OrderState::Expired, 0)));
        assert!(!has(&all, 11) && has(&all, 12), "the oldest is gone");
    }
}
