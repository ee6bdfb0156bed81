//! What is remembered of an order from its approval to its end: the tickets it holds, when it
//! was sent, what it realised.
//!
//! A table mapped by the order number's low bits: numbers count up, so two orders meet in a row
//! only when as many lie between them as can be open at all. The younger one then takes the row,
//! and what the older one held is handed back to be released: no token is lost.

use bot4_types::instrument::Amount;
use bot4_types::limits::ORDERS_OPEN_MAX;
use bot4_types::{InstrumentId, Nanos, OrderId, StrategyId};
use serde::{Deserialize, Serialize};

use super::machine::Ticket;

const _: () = assert!(ORDERS_OPEN_MAX.is_power_of_two());

/// One order.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) order: OrderId,
    /// Zero until it was sent.
    pub(crate) sent_at: Nanos,
    /// Realised by closing, after fees, in the reporting asset.
    pub(crate) net: Amount,
    /// Of its strategy, its instrument and the venue, until the outcome is known.
    pub(crate) tickets: [Option<Ticket>; 3],
    pub(crate) instrument: InstrumentId,
    pub(crate) strategy: StrategyId,
    /// Its first answer, or the lack of it, was counted.
    pub(crate) judged: bool,
    /// It closed something.
    pub(crate) closes: bool,
}

impl Call {
    pub(crate) const fn new(
        order: OrderId,
        strategy: StrategyId,
        instrument: InstrumentId,
        tickets: [Option<Ticket>; 3],
    ) -> Self {
        let (sent_at, net) = (Nanos::ZERO, 0);
        Self { order, sent_at, net, tickets, instrument, strategy, judged: false, closes: false }
    }
}

/// The table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Calls(Box<[Call]>);

impl Calls {
    pub(crate) fn new() -> Self {
        let none = Call::new(OrderId(0), StrategyId(0), InstrumentId(0), [None; 3]);
        Self(vec![none; ORDERS_OPEN_MAX].into_boxed_slice())
    }

    /// Takes in `call`; returns the one whose row it takes, where that still holds tickets.
    pub(crate) fn insert(&mut self, call: Call) -> Option<Call> {
        let row = &mut self.0[row(call.order)];
        let before = core::mem::replace(row, call);
        before.tickets.iter().any(Option::is_some).then_some(before)
    }

    pub(crate) fn find(&mut self, order: OrderId) -> Option<&mut Call> {
        let call = &mut self.0[row(order)];
        (call.order == order && order != OrderId(0)).then_some(call)
    }
}

const fn row(order: OrderId) -> usize {
    order.0 as usize & (ORDERS_OPEN_MAX - 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_taken_hands_back_what_it_held() {
        let mut calls = Calls::new();
        let ticket = Some(Ticket { epoch: 7 });
        let call =
            |n, held| Call::new(OrderId(n), StrategyId(1), InstrumentId(2), [None, held, None]);
        assert!(calls.insert(call(5, ticket)).is_none());
        assert!(calls.insert(call(6, None)).is_none());
        let later = 5 + ORDERS_OPEN_MAX as u64;
        assert_eq!(calls.insert(call(later, None)).map(|c| c.order), Some(OrderId(5)));
        assert!(calls.find(OrderId(5)).is_none() && calls.find(OrderId(later)).is_some());
        assert!(calls.insert(call(later + ORDERS_OPEN_MAX as u64, None)).is_none());
        assert!(calls.find(OrderId(0)).is_none());
    }
}
