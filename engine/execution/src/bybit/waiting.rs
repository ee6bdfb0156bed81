//! Own orders that wait for a trigger, or did: the venue keeps those that wait in a list of their
//! own, and finds an order only in the list that a cancel names.

use bot4_types::{ClientId, InstrumentId, limits};
use bot4_venues::account::{OrderRow, RowState};
use bot4_venues::bybit::orders::Kept;

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Stop {
    client: ClientId,
    instrument: InstrumentId,
    /// Where it lies by the venue's last word.
    kept: Kept,
    /// It was looked for there already, and a cancel that comes again looks in the other list.
    looked: bool,
}

/// The orders, oldest first. No allocation after construction.
#[derive(Debug)]
pub(super) struct Waiting {
    stops: Vec<Stop>,
    /// The list that the last withdrawal of everything named.
    last: Kept,
}

impl Waiting {
    pub fn new() -> Self {
        Self { stops: Vec::with_capacity(limits::ORDERS_OPEN_MAX), last: Kept::Active }
    }

    /// One is placed.
    pub fn push(&mut self, instrument: InstrumentId, client: ClientId) {
        if self.stops.len() == limits::ORDERS_OPEN_MAX {
            self.stops.remove(0);
        }
        self.stops.push(Stop { client, instrument, kept: Kept::Waiting, looked: false });
    }

    /// The newest of this name was not sent.
    pub fn take_back(&mut self, client: &ClientId) {
        if let Some(at) = self.stops.iter().rposition(|stop| stop.client == *client) {
            self.stops.remove(at);
        }
    }

    /// What the venue told of orders.
    pub fn note(&mut self, rows: &[OrderRow]) {
        for row in rows {
            let named = |stop: &Stop| stop.client.0 == *row.client.as_bytes();
            let Some(at) = self.stops.iter().position(named) else { continue };
            let kept = match row.state {
                RowState::Untriggered => Kept::Waiting,
                RowState::Open => Kept::Active,
                _ => {
                    self.stops.remove(at);
                    continue;
                }
            };
            let stop = &mut self.stops[at];
            stop.looked &= stop.kept == kept;
            stop.kept = kept;
        }
    }

    /// Where a cancel of this order is to look for it.
    pub fn list_of(&mut self, client: &ClientId) -> Kept {
        let Some(stop) = self.stops.iter_mut().find(|stop| stop.client == *client) else {
            return Kept::Active;
        };
        let looked = stop.looked;
        stop.looked = !looked;
        if looked { stop.kept.other() } else { stop.kept }
    }

    /// Which list everything of `instrument` is withdrawn from now: from both in turn while one of
    /// these orders is there.
    pub fn next_list(&mut self, instrument: InstrumentId) -> Kept {
        let some = self.stops.iter().any(|stop| stop.instrument == instrument);
        self.last = if some { self.last.other() } else { Kept::Active };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{DoneReason, OrderId, RunEpoch, Symbol};
    use bot4_venues::client_text::ClientText;

    fn name(order: u64) -> ClientId {
        ClientId::new(RunEpoch(3), OrderId(order))
    }

    fn row(order: u64, state: RowState) -> OrderRow {
        OrderRow {
            terms: None,
            instrument: Some(InstrumentId(0)),
            symbol: Symbol::new("A").expect("short"),
            venue_order: order,
            client: ClientText::from(name(order)),
            state,
            executed: 0,
            reason: DoneReason::None,
        }
    }

    #[test]
    fn a_cancel_looks_where_the_order_lies_and_then_elsewhere() {
        let mut waiting = Waiting::new();
        waiting.push(InstrumentId(0), name(1));
        assert_eq!(waiting.list_of(&name(2)), Kept::Active, "an order like any other");
        let asked: Vec<Kept> = (0..3).map(|_| waiting.list_of(&name(1))).collect();
        assert_eq!(asked, [Kept::Waiting, Kept::Active, Kept::Waiting]);
        waiting.note(&[row(1, RowState::Open)]);
        assert_eq!(waiting.list_of(&name(1)), Kept::Active, "it was triggered");
        waiting.note(&[row(1, RowState::Filled)]);
        assert!(waiting.stops.is_empty());
        waiting.push(InstrumentId(0), name(3));
        waiting.take_back(&name(3));
        assert!(waiting.stops.is_empty());
    }

    #[test]
    fn everything_is_withdrawn_from_both_lists_in_turn() {
        let (mut waiting, [a, b]) = (Waiting::new(), [InstrumentId(0), InstrumentId(1)]);
        assert_eq!([waiting.next_list(a), waiting.next_list(a)], [Kept::Active; 2]);
        waiting.push(a, name(1));
        let lists = [waiting.next_list(a), waiting.next_list(a), waiting.next_list(a)];
        assert_eq!(lists, [Kept::Waiting, Kept::Active, Kept::Waiting]);
        assert_eq!(waiting.next_list(b), Kept::Active);
    }
}
