//! Questions over HTTPS that take more than one answer: where those for fills begin and go on, at
//! venues that answer by pages and by time, and which orders are looked for in a second list.

use bot4_types::{ClientId, InstrumentId, OrderId};
use bot4_venues::account::{FillRow, Refusal, Rows, Told};

use crate::gateway::Page;
use crate::requests::Purpose;

/// Fills are asked for from this much before the last one heard, ms: several may share a time.
const OVERLAP_MS: i64 = 1_000;

/// The times and places. Changed by what is heard, read by what is asked.
#[derive(Debug)]
pub(crate) struct FillPages {
    /// Time of the last fill heard, per instrument, Unix ms.
    last_ms: Vec<i64>,
    /// The time that fills are asked from, per instrument: that of the last one heard before this
    /// session, for what it hears by itself must not cut off what was missed.
    since_ms: Vec<i64>,
    /// Where pages go on.
    cursors: Vec<(Purpose, String)>,
}

impl FillPages {
    /// Nothing heard of so many instruments.
    pub fn new(instruments: usize) -> Self {
        let none = vec![0; instruments];
        Self { last_ms: none.clone(), since_ms: none, cursors: Vec::new() }
    }

    /// A session begins.
    pub fn begin(&mut self) {
        self.cursors.clear();
        let before = |last: &i64| (last - OVERLAP_MS).max(0);
        self.since_ms = self.last_ms.iter().map(before).collect();
    }

    /// Remembers when fills were.
    pub fn note(&mut self, fills: &[FillRow]) {
        for fill in fills {
            if let Some(last) = self.last_ms.get_mut(fill.instrument.index()) {
                *last = fill.time_ms.max(*last);
            }
        }
    }

    /// Takes a page in: fills, and where it goes on. Lists of anything else have one page, and a
    /// stamp tells the clock only where it was asked for.
    pub fn turn(&mut self, page: &Page<'_>, rows: &Rows, told: &mut Told) {
        told.more &= matches!(page.purpose, Purpose::FillsAfter(..) | Purpose::FillsOf(_));
        if told.more {
            self.cursors.push((page.purpose, rows.cursor.clone()));
        }
        if page.purpose != Purpose::Time {
            told.server_ms = None;
        }
        self.note(&rows.fills);
    }

    /// The time that fills of `instrument` are asked from.
    pub fn since_ms(&self, instrument: InstrumentId) -> i64 {
        self.since_ms.get(instrument.index()).copied().unwrap_or(0)
    }

    /// Where the fills of `instrument` behind `after` go on; empty at their beginning.
    pub fn after(&mut self, instrument: InstrumentId, after: u64) -> String {
        self.take(Purpose::FillsAfter(instrument, after))
    }

    /// Where the fills of an order go on; empty at their beginning.
    pub fn of_order(&mut self, client: &ClientId) -> String {
        let own = ClientId::parse(&client.0).map(|(_, order)| Purpose::FillsOf(order));
        own.map(|purpose| self.take(purpose)).unwrap_or_default()
    }

    fn take(&mut self, purpose: Purpose) -> String {
        let at = self.cursors.iter().position(|(of, _)| *of == purpose);
        at.map(|at| self.cursors.swap_remove(at).1).unwrap_or_default()
    }
}

/// Orders that the first list, of open ones, does not have: they are looked for in the second, of
/// closed ones, and count as not known only when neither has them.
#[derive(Debug, Default)]
pub(crate) struct SecondList(Vec<OrderId>);

impl SecondList {
    /// A session begins.
    pub fn begin(&mut self) {
        self.0.clear();
    }

    /// The order of this name is to be looked for in the second list.
    pub fn has(&self, client: &ClientId) -> bool {
        ClientId::parse(&client.0).is_some_and(|(_, order)| self.0.contains(&order))
    }

    /// Takes in the answer about `order`, which names it or does not.
    pub fn turn(&mut self, order: OrderId, named: bool, told: &mut Told) {
        let second = self.0.iter().position(|o| *o == order);
        if let Some(at) = second {
            self.0.swap_remove(at);
        }
        // Without an answer both lists are asked anew.
        if named || told.answer.is_none_or(|(_, refused)| refused.is_some()) {
            return;
        }
        match second {
            Some(_) => told.answer = told.answer.map(|(id, _)| (id, Some(Refusal::NotFound))),
            None => {
                self.0.push(order);
                told.more = true;
            }
        }
    }
}
