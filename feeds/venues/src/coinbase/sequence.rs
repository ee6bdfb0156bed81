//! The numbering of a connection: `sequence_num` grows by one with every message of whatever
//! channel and product, acknowledgements included.
//!
//! The first message of a connection may carry any number: a recording may start anywhere. A
//! number that was there already is dropped as a repeat only where nothing says that the count
//! began anew: messages dropped as repeats until such a count has caught up would leave a wrong
//! book that looks right.

use bot4_types::ConnId;

/// Connections that can be told apart; those of one parse agent are a handful.
const CONNS_MAX: usize = 4_096;
/// No message of the connection has been seen.
const UNKNOWN: u64 = u64::MAX;
/// A message this far behind is no late one.
const BEHIND_MAX: u64 = 1_024;

/// Where a message stands in its connection's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one that was due, or the first.
    Next,
    /// One or more messages before it are missing, or the count began anew.
    Hole,
    /// It, or one after it, was there already.
    Repeat,
}

/// Where each connection stands.
#[derive(Clone, Debug)]
pub struct Sequence(Vec<Count>);

/// One connection.
#[derive(Clone, Copy, Debug)]
struct Count {
    /// The number that is next.
    due: u64,
    /// The number behind the last repeat: who brings it counts up from there.
    anew: u64,
}

impl Count {
    const START: Self = Self { due: UNKNOWN, anew: UNKNOWN };

    /// `number`, which is below `due`, is no repeat: it is the first there can be, follows a
    /// repeat, or is too far behind. The very last message once more is always a repeat.
    const fn is_anew(self, number: u64) -> bool {
        let behind = self.due - number;
        behind > 1 && (number == 0 || number == self.anew || behind > BEHIND_MAX)
    }
}

impl Default for Sequence {
    fn default() -> Self {
        Self::new()
    }
}

impl Sequence {
    /// No connection has been seen. Allocates.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![Count::START; CONNS_MAX])
    }

    /// The place of number `number` on `conn`.
    #[must_use]
    pub fn place(&self, conn: ConnId, number: u64) -> Place {
        match self.0.get(usize::from(conn.0)) {
            Some(count) if count.due != UNKNOWN && number > count.due => Place::Hole,
            Some(count) if count.due != UNKNOWN && number < count.due => {
                if count.is_anew(number) {
                    Place::Hole
                } else {
                    Place::Repeat
                }
            }
            _ => Place::Next,
        }
    }

    /// Number `number` of `conn` was dealt with.
    pub fn passed(&mut self, conn: ConnId, number: u64) {
        if let Some(count) = self.0.get_mut(usize::from(conn.0)) {
            // The largest number of all must not look as if nothing had been seen.
            *count = Count { due: number.saturating_add(1).min(UNKNOWN - 1), anew: UNKNOWN };
        }
    }

    /// Number `number` of `conn` was dropped as a repeat.
    pub fn repeated(&mut self, conn: ConnId, number: u64) {
        if let Some(count) = self.0.get_mut(usize::from(conn.0)) {
            count.anew = number.saturating_add(1);
        }
    }

    /// `conn` is a new connection.
    pub fn reset(&mut self, conn: ConnId) {
        if let Some(count) = self.0.get_mut(usize::from(conn.0)) {
            *count = Count::START;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_counts_for_itself() {
        let (mut sequence, [a, b]) = (Sequence::new(), [ConnId(0), ConnId(9)]);
        assert_eq!(sequence.place(a, 17), Place::Next, "the first may be any");
        sequence.passed(a, 17);
        let places = [16, 17, 18, 19].map(|n| sequence.place(a, n));
        assert_eq!(places, [Place::Repeat, Place::Repeat, Place::Next, Place::Hole]);
        assert_eq!(sequence.place(b, 0), Place::Next);
        sequence.reset(a);
        assert_eq!(sequence.place(a, 0), Place::Next);
        sequence.passed(ConnId(u16::MAX), 1);
        assert_eq!(sequence.place(ConnId(u16::MAX), 9), Place::Next, "beyond the table: unchecked");
    }

    #[test]
    fn a_count_that_begins_anew_is_a_hole_and_no_repeat() {
        let conn = ConnId(0);
        let at = |due: u64| {
            let mut sequence = Sequence::new();
            sequence.passed(conn, due - 1);
            sequence
        };
        assert_eq!(at(500).place(conn, 0), Place::Hole, "a connection's first");
        assert_eq!(at(1).place(conn, 0), Place::Repeat, "the last once more");
        assert_eq!(at(1 << 60).place(conn, 17), Place::Hole, "far behind");
        let mut late = at(500);
        assert_eq!(late.place(conn, 100), Place::Repeat);
        late.repeated(conn, 100);
        assert_eq!(late.place(conn, 499), Place::Repeat);
        assert_eq!(late.place(conn, 101), Place::Hole, "it counts up");
        late.passed(conn, 101);
        assert_eq!(late.place(conn, 102), Place::Next);
        assert_eq!(late.place(conn, 500), Place::Hole, "of the count before");
        let mut last = Sequence::new();
        last.passed(conn, u64::MAX);
        assert_eq!(last.place(conn, 3), Place::Hole, "nothing was forgotten");
    }
}
