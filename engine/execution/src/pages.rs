//! Where questions for fills begin and go on, at venues that answer by pages and by time.

use bot4_types::InstrumentId;
use bot4_venues::account::FillRow;

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

    /// The time that fills of `instrument` are asked from.
    pub fn since_ms(&self, instrument: InstrumentId) -> i64 {
        self.since_ms.get(instrument.index()).copied().unwrap_or(0)
    }

    /// The answer to `purpose` goes on at `cursor`.
    pub fn go_on(&mut self, purpose: Purpose, cursor: String) {
        self.cursors.push((purpose, cursor));
    }

    /// Where `purpose` goes on; empty at its beginning.
    pub fn take(&mut self, purpose: Purpose) -> String {
        let at = self.cursors.iter().position(|(of, _)| *of == purpose);
        at.map(|at| self.cursors.swap_remove(at).1).unwrap_or_default()
    }
}
