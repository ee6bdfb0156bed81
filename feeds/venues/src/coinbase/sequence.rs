//! The numbering of a connection: `sequence_num` grows by one with every message of whatever
//! channel and product, acknowledgements included.
//!
//! The first message of a connection may carry any number: a recording may start anywhere.

use bot4_types::ConnId;

/// Connections that can be told apart; those of one parse agent are a handful.
const CONNS_MAX: usize = 4_096;
/// No message of the connection has been seen.
const UNKNOWN: u64 = u64::MAX;

/// Where a message stands in its connection's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one that was due, or the first.
    Next,
    /// One or more messages before it are missing.
    Hole,
    /// It, or one after it, was there already.
    Repeat,
}

/// The numbers due next, by connection.
#[derive(Clone, Debug)]
pub struct Sequence(Vec<u64>);

impl Default for Sequence {
    fn default() -> Self {
        Self::new()
    }
}

impl Sequence {
    /// No connection has been seen. Allocates.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![UNKNOWN; CONNS_MAX])
    }

    /// The place of number `number` on `conn`.
    #[must_use]
    pub fn place(&self, conn: ConnId, number: u64) -> Place {
        match self.0.get(usize::from(conn.0)) {
            Some(&due) if due != UNKNOWN && number > due => Place::Hole,
            Some(&due) if due != UNKNOWN && number < due => Place::Repeat,
            _ => Place::Next,
        }
    }

    /// Number `number` of `conn` was dealt with.
    pub fn passed(&mut self, conn: ConnId, number: u64) {
        if let Some(due) = self.0.get_mut(usize::from(conn.0)) {
            *due = number.saturating_add(1);
        }
    }

    /// `conn` is a new connection.
    pub fn reset(&mut self, conn: ConnId) {
        if let Some(due) = self.0.get_mut(usize::from(conn.0)) {
            *due = UNKNOWN;
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
}
