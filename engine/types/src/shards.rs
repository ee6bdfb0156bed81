//! Which lane and which connections serve an instrument: the table behind every routing decision.
//!
//! ```text
//! instrument --lines--> connection A (and B) --wire--> wire and parse lane
//!      '------book----> book lane
//! ```
//!
//! Invariant: every instrument has one book lane and one or two lines (connections that carry the
//! same stream). The table is made before the lanes start; each agent holds a copy. A look-up is
//! one index.

use crate::id::{ConnId, InstrumentId};

/// Lines an instrument may have: A and B.
pub const LINES_MAX: usize = 2;

/// The table; see the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    books: usize,
    wires: usize,
    rows: Vec<Row>,
    /// Wire lane by connection.
    wire_of: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    book: u16,
    conns: [ConnId; LINES_MAX],
    lines: u8,
}

impl Shards {
    /// The default: instrument `k` on book lane `k % books`, by the one connection `k % wires`,
    /// which wire lane of the same number keeps.
    ///
    /// # Panics
    /// Without a book or wire lane.
    #[must_use]
    pub fn round_robin(instruments: usize, books: usize, wires: usize) -> Self {
        assert!(books > 0 && wires > 0, "every instrument needs a wire and a book lane");
        let row = |k: usize| Row {
            book: (k % books) as u16,
            conns: [ConnId((k % wires) as u16); LINES_MAX],
            lines: 1,
        };
        let wire_of = (0..wires as u16).collect();
        Self { books, wires, rows: (0..instruments).map(row).collect(), wire_of }
    }

    /// Every instrument by connections 0 and 1, which lie on different wire lanes where there are
    /// two; books as in [`round_robin`](Self::round_robin).
    ///
    /// # Panics
    /// Without a book or wire lane.
    #[must_use]
    pub fn two_lines(instruments: usize, books: usize, wires: usize) -> Self {
        let mut table = Self::round_robin(instruments, books, wires);
        for conn in 0..LINES_MAX {
            table.put_conn(ConnId(conn as u16), conn % wires);
        }
        for k in 0..instruments {
            table.put_lines(InstrumentId(k as u16), &[ConnId(0), ConnId(1)]);
        }
        table
    }

    /// Moves `instrument` to book lane `book`.
    ///
    /// # Panics
    /// When there is no such instrument or lane.
    pub fn put_book(&mut self, instrument: InstrumentId, book: usize) {
        assert!(book < self.books, "no book lane {book}");
        self.rows[instrument.index()].book = book as u16;
    }

    /// Lets `conns` carry `instrument`: line A first.
    ///
    /// # Panics
    /// When there is no such instrument or connection, or not one or two different connections.
    pub fn put_lines(&mut self, instrument: InstrumentId, conns: &[ConnId]) {
        assert!(!conns.is_empty() && conns.len() <= LINES_MAX, "one line or two");
        assert!(conns.len() == 1 || conns[0] != conns[1], "two lines are two connections");
        assert!(conns.iter().all(|c| usize::from(c.0) < self.wire_of.len()), "no such connection");
        let row = &mut self.rows[instrument.index()];
        row.conns[..conns.len()].copy_from_slice(conns);
        row.lines = conns.len() as u8;
    }

    /// Lets wire lane `wire` keep `conn`; connections are numbered from zero without holes.
    ///
    /// # Panics
    /// When there is no such lane, or a connection before `conn` has none yet.
    pub fn put_conn(&mut self, conn: ConnId, wire: usize) {
        let at = usize::from(conn.0);
        assert!(wire < self.wires && at <= self.wire_of.len(), "no such lane, or a hole");
        if at == self.wire_of.len() {
            self.wire_of.push(0);
        }
        self.wire_of[at] = wire as u16;
    }

    /// Book lanes.
    #[must_use]
    pub const fn books(&self) -> usize {
        self.books
    }

    /// Wire lanes.
    #[must_use]
    pub const fn wires(&self) -> usize {
        self.wires
    }

    /// Instruments.
    #[must_use]
    pub const fn instruments(&self) -> usize {
        self.rows.len()
    }

    /// Connections.
    #[must_use]
    pub const fn conns(&self) -> usize {
        self.wire_of.len()
    }

    /// The book lane of `instrument`; lane 0 for one that is not in the table, whose books will
    /// count it as foreign.
    #[must_use]
    #[inline]
    pub fn book_of(&self, instrument: InstrumentId) -> usize {
        self.rows.get(instrument.index()).map_or(0, |row| usize::from(row.book))
    }

    /// The connections that carry `instrument`, line A first; none for one that is not in the
    /// table.
    #[must_use]
    #[inline]
    pub fn lines_of(&self, instrument: InstrumentId) -> &[ConnId] {
        self.rows.get(instrument.index()).map_or(&[], |row| &row.conns[..usize::from(row.lines)])
    }

    /// Which line of `instrument` the connection is: 0 for A, 1 for B.
    #[must_use]
    #[inline]
    pub fn line_of(&self, instrument: InstrumentId, conn: ConnId) -> Option<usize> {
        self.lines_of(instrument).iter().position(|c| *c == conn)
    }

    /// The wire and parse lane of `conn`, if there is such a connection.
    #[must_use]
    #[inline]
    pub fn wire_of(&self, conn: ConnId) -> Option<usize> {
        self.wire_of.get(usize::from(conn.0)).map(|wire| usize::from(*wire))
    }

    /// The connections of wire lane `wire`, in order.
    pub fn conns_of(&self, wire: usize) -> impl Iterator<Item = ConnId> + '_ {
        let conns = (0..self.wire_of.len() as u16).map(ConnId);
        conns.filter(move |c| self.wire_of(*c) == Some(wire))
    }

    /// The instruments that `conn` carries, in order.
    pub fn carried_by(&self, conn: ConnId) -> impl Iterator<Item = InstrumentId> + '_ {
        let all = (0..self.rows.len() as u16).map(InstrumentId);
        all.filter(move |i| self.lines_of(*i).contains(&conn))
    }

    /// The instruments of book lane `book`, in order.
    pub fn booked_on(&self, book: usize) -> impl Iterator<Item = InstrumentId> + '_ {
        let all = (0..self.rows.len() as u16).map(InstrumentId);
        all.filter(move |i| self.book_of(*i) == book)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(items: impl Iterator<Item = InstrumentId>) -> Vec<u16> {
        items.map(|i| i.0).collect()
    }

    #[test]
    fn by_default_instruments_go_round_the_lanes() {
        let table = Shards::round_robin(5, 2, 2);
        assert_eq!(
            (table.instruments(), table.books(), table.wires(), table.conns()),
            (5, 2, 2, 2)
        );
        assert_eq!(ids(table.booked_on(1)), [1, 3]);
        assert_eq!(ids(table.carried_by(ConnId(0))), [0, 2, 4]);
        assert_eq!(table.lines_of(InstrumentId(3)), [ConnId(1)]);
        assert_eq!(table.line_of(InstrumentId(3), ConnId(0)), None);
        assert_eq!((table.wire_of(ConnId(1)), table.wire_of(ConnId(2))), (Some(1), None));
        assert_eq!((table.book_of(InstrumentId(9)), table.lines_of(InstrumentId(9)).len()), (0, 0));
    }

    #[test]
    fn rows_can_be_put_elsewhere() {
        let mut table = Shards::two_lines(3, 2, 2);
        assert_eq!(table.lines_of(InstrumentId(2)), [ConnId(0), ConnId(1)]);
        assert_eq!(table.line_of(InstrumentId(2), ConnId(1)), Some(1));
        assert_eq!(ids(table.carried_by(ConnId(1))), [0, 1, 2]);
        table.put_conn(ConnId(2), 1);
        table.put_lines(InstrumentId(1), &[ConnId(2)]);
        table.put_book(InstrumentId(1), 0);
        assert_eq!(ids(table.booked_on(0)), [0, 1, 2]);
        assert_eq!(ids(table.carried_by(ConnId(1))), [0, 2]);
        assert!(table.conns_of(1).eq([ConnId(1), ConnId(2)]));
        let one_lane = Shards::two_lines(1, 1, 1);
        assert_eq!((one_lane.conns(), one_lane.wire_of(ConnId(1))), (2, Some(0)));
    }

    #[test]
    #[should_panic(expected = "two lines are two connections")]
    fn a_line_is_not_its_own_second() {
        Shards::round_robin(1, 1, 1).put_lines(InstrumentId(0), &[ConnId(0), ConnId(0)]);
    }
}
