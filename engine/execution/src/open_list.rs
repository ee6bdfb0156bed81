//! Orders that were placed and not told ended, by their client ids: at venues that have no request
//! for cancelling everything of an instrument, they are cancelled in batches.

use bot4_types::{ClientId, InstrumentId, limits};
use bot4_venues::account::OrderRow;

/// The list, oldest first.
#[derive(Debug)]
pub(crate) struct OpenList {
    open: Vec<(InstrumentId, ClientId)>,
    /// How many of each instrument's, from the newest on, its last batch came to.
    canceled: Box<[usize]>,
}

impl Default for OpenList {
    fn default() -> Self {
        let canceled = vec![0; limits::INSTRUMENTS_MAX].into_boxed_slice();
        Self { open: Vec::with_capacity(limits::ORDERS_OPEN_MAX), canceled }
    }
}

impl OpenList {
    /// An order is placed. One that is refused at once stays here until its turn to be forgotten:
    /// cancelling it is harmless.
    pub fn push(&mut self, instrument: InstrumentId, client: ClientId) {
        if self.open.len() == limits::ORDERS_OPEN_MAX {
            self.open.remove(0);
        }
        self.open.push((instrument, client));
    }

    /// Forgets the newest order of this name: it was not sent.
    pub fn take_back(&mut self, client: &ClientId) {
        if let Some(at) = self.open.iter().rposition(|(_, name)| name == client) {
            self.open.remove(at);
        }
    }

    /// Forgets the orders that have ended.
    pub fn note(&mut self, rows: &[OrderRow]) {
        for row in rows.iter().filter(|row| !row.state.is_open()) {
            let at = self.open.iter().position(|(_, client)| client.0 == *row.client.as_bytes());
            if let Some(at) = at {
                self.open.remove(at);
            }
        }
    }

    /// How many of `instrument` there are.
    pub fn count(&self, instrument: InstrumentId) -> usize {
        self.open.iter().filter(|(i, _)| *i == instrument).count()
    }

    /// At most `most` orders of `instrument`, the newest first; the next call goes on behind them,
    /// for some of these were refused at once and hide older ones that rest.
    pub fn batch(&mut self, instrument: InstrumentId, most: usize) -> Vec<ClientId> {
        let of = |(i, client): &'_ (InstrumentId, ClientId)| (*i == instrument).then_some(*client);
        let all: Vec<ClientId> = self.open.iter().rev().filter_map(of).collect();
        let before = self.canceled.get(instrument.index()).copied().unwrap_or(0);
        let from = if before < all.len() { before } else { 0 };
        let batch = &all[from..all.len().min(from + most)];
        if let Some(canceled) = self.canceled.get_mut(instrument.index()) {
            *canceled = from + batch.len();
        }
        batch.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{DoneReason, OrderId, RunEpoch, Symbol};
    use bot4_venues::account::RowState;
    use bot4_venues::client_text::ClientText;

    /// What is open is withdrawn in batches, the newest first, and what has ended is not named.
    #[test]
    fn everything_open_is_withdrawn_in_batches() {
        let (mut list, instrument) = (OpenList::default(), InstrumentId(0));
        assert!(list.batch(instrument, 20).is_empty(), "nothing is open");
        let name = |order| ClientId::new(RunEpoch(3), OrderId(order));
        (1..=25).for_each(|order| list.push(instrument, name(order)));
        list.push(InstrumentId(1), name(26));
        let first = list.batch(instrument, 20);
        assert_eq!((first.len(), first[0]), (20, name(25)));
        assert_eq!(list.batch(instrument, 20), [5, 4, 3, 2, 1].map(name));
        let row = |order| OrderRow {
            terms: None,
            instrument: Some(instrument),
            symbol: Symbol::new("A").expect("short"),
            venue_order: order,
            client: ClientText::from(name(order)),
            state: if order < 6 { RowState::Open } else { RowState::Canceled },
            executed: 0,
            reason: DoneReason::None,
        };
        list.note(&(1..=25).map(row).collect::<Vec<_>>());
        assert_eq!(list.batch(instrument, 20), [5, 4, 3, 2, 1].map(name));
        assert_eq!(list.batch(InstrumentId(1), 20), [name(26)]);
    }

    /// How far one instrument's batches came says nothing of another's.
    #[test]
    fn each_instrument_goes_on_where_its_own_batches_ended() {
        let (mut list, [a, b]) = (OpenList::default(), [InstrumentId(0), InstrumentId(1)]);
        let name = |order| ClientId::new(RunEpoch(3), OrderId(order));
        (1..=3).for_each(|order| list.push(a, name(order)));
        (4..=8).for_each(|order| list.push(b, name(order)));
        for _ in 0..3 {
            assert_eq!(list.batch(a, 20), [3, 2, 1].map(name));
            assert_eq!(list.batch(b, 20), [8, 7, 6, 5, 4].map(name));
        }
    }

    #[test]
    fn what_was_not_sent_is_not_in_the_list() {
        let (mut list, instrument) = (OpenList::default(), InstrumentId(0));
        let name = |order| ClientId::new(RunEpoch(3), OrderId(order));
        (1..=3).for_each(|order| list.push(instrument, name(order)));
        list.take_back(&name(2));
        list.take_back(&name(9));
        assert_eq!(
            (list.count(instrument), list.batch(instrument, 20)),
            (2, [3, 1].map(name).to_vec())
        );
    }
}
