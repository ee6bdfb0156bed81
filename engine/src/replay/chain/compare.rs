//! What risk writes in the replay against what it wrote in the run: every record, to the byte,
//! but for the stamps of stage borders, which no decision sees.

use bot4_journal::decode::decode;
use bot4_journal::hash::Fnv128;
use bot4_types::trail::STAGES;
use bot4_types::{LogEntry, LogKind, RunEpoch};

use super::tape::Tape;
use crate::replay::report::{FirstDifference, Place};

/// Where an intent's stage borders lie in its record: behind the receive stamp.
const BORDERS: std::ops::Range<usize> = 8..8 + 4 * STAGES;

/// See the module.
pub struct Comparison {
    /// The run ended in order: its journal holds everything that risk wrote.
    whole: bool,
    compared: u64,
    hash: Fnv128,
}

impl Comparison {
    /// A comparison with the journal of a run that ended in order (`whole`) or was killed.
    #[must_use]
    pub fn new(whole: bool) -> Self {
        Self { whole, compared: 0, hash: Fnv128::default() }
    }

    /// Compares the next record that came out with the next one of the run.
    ///
    /// # Errors
    /// What differs.
    pub fn take(&mut self, entry: &LogEntry, tape: &mut Tape) -> Result<(), FirstDifference> {
        let place = |seq| Some(Place { lane: entry.lane, seq, at: None });
        let Some(recorded) = tape.next_of_risk() else {
            return self.beyond(entry, place(entry.seq));
        };
        let (came_out, expected) = (plain(entry), plain(&recorded));
        let head = |e: &LogEntry| (e.seq, e.at, e.kind, e.lane);
        if head(&came_out) != head(&expected) || came_out.body() != expected.body() {
            return Err(FirstDifference {
                place: place(recorded.seq),
                what: "the chain leads to another record of risk".to_owned(),
                recorded: Some(told(&expected)),
                came_out: Some(told(&came_out)),
            });
        }
        self.compared += 1;
        self.hash.write(&expected.seq.to_le_bytes());
        self.hash.write(&expected.at.0.to_le_bytes());
        self.hash.write(&[expected.kind]);
        self.hash.write(expected.body());
        Ok(())
    }

    /// The journal has no more records of risk: one of a killed run may end before its turns.
    fn beyond(&self, entry: &LogEntry, place: Option<Place>) -> Result<(), FirstDifference> {
        if !self.whole {
            return Ok(());
        }
        let what = "the chain leads to a record that the run did not write".to_owned();
        Err(FirstDifference { place, what, recorded: None, came_out: Some(told(&plain(entry))) })
    }

    /// Records that were the same.
    #[must_use]
    pub const fn compared(&self) -> u64 {
        self.compared
    }

    /// A hash over them, without the stamps of stage borders.
    #[must_use]
    pub fn hash(&self) -> u128 {
        self.hash.value()
    }

    /// The first record of the run that did not come out, and how many there are.
    pub fn rest(&self, tape: &mut Tape) -> Option<(LogEntry, u64)> {
        let first = tape.next_of_risk()?;
        Some((first, 1 + std::iter::from_fn(|| tape.next_of_risk()).count() as u64))
    }
}

/// The record without the stamps of stage borders.
fn plain(entry: &LogEntry) -> LogEntry {
    let mut plain = *entry;
    let has_trail =
        matches!(LogKind::from_raw(entry.kind), Some(LogKind::Intent | LogKind::Approved));
    if has_trail {
        plain.body[BORDERS].fill(0);
    }
    plain
}

/// A record for a person.
#[must_use]
pub fn told(entry: &LogEntry) -> String {
    let kind = LogKind::from_raw(entry.kind).map_or("unknown", LogKind::name);
    format!("{kind} at {}: {}", entry.at.0, decode(entry).to_json(RunEpoch(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::log::{Body as _, Reader, Writer};
    use bot4_types::{Nanos, OrderIntent, Trail};

    #[test]
    fn only_the_stage_borders_are_masked() {
        let mut bytes = [7; 232];
        let trail = Trail { t0: Nanos(5), border_ns: [9; STAGES - 1], read_ns: 9 };
        trail.write(&mut Writer::over(&mut bytes));
        let entry = LogEntry::raw(LogKind::Intent, Nanos(1), &bytes);
        let masked = plain(&entry);
        let read = Trail::read(&mut Reader::over(masked.body())).expect("a trail");
        assert_eq!((read.t0, read.border_ns), (Nanos(5), [0; STAGES - 1]));
        assert_eq!(masked.body()[32..], bytes[32..]);
        assert!(OrderIntent::read(&mut Reader::over(masked.body())).is_none());
        let mark = LogEntry::raw(LogKind::Mark, Nanos(1), &bytes);
        assert_eq!(plain(&mark).body(), mark.body());
    }
}
