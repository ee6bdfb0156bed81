//! Which lanes and connections serve each instrument of a run, and how a journal holds that.

use bot4_types::{ConnId, InstrumentId, Shards};
use serde::{Deserialize, Serialize};

use crate::config::VenueConfig;
use crate::topology as t;

/// The table for `instruments` as `venue` is configured.
#[must_use]
pub fn shards_of(venue: &VenueConfig, instruments: usize) -> Shards {
    let mut shards = match venue.lines {
        2 => Shards::two_lines(instruments, t::BOOKS, t::WIRES),
        _ => Shards::round_robin(instruments, t::BOOKS, t::WIRES),
    };
    for shard in venue.shards.iter().filter(|s| s.instrument < instruments) {
        let id = InstrumentId(shard.instrument as u16);
        if let Some(wire) = shard.wire {
            shards.put_lines(id, &[ConnId(wire as u16)]);
        }
        if let Some(book) = shard.book {
            shards.put_book(id, book);
        }
    }
    shards
}

/// An instrument's row in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardRow {
    /// Book lane.
    pub book: usize,
    /// Connections, line A first.
    pub conns: Vec<u16>,
}

/// The rows of `shards`, by instrument.
#[must_use]
pub fn rows_of(shards: &Shards) -> Vec<ShardRow> {
    let row = |k: usize| {
        let id = InstrumentId(k as u16);
        let conns = shards.lines_of(id).iter().map(|conn| conn.0).collect();
        ShardRow { book: shards.book_of(id), conns }
    };
    (0..shards.instruments()).map(row).collect()
}

/// The table that `rows` describe; round robin where there are none.
///
/// # Errors
/// A sentence, when a row names what this machine does not have.
pub fn read_rows(rows: &[ShardRow], instruments: usize) -> Result<Shards, String> {
    let mut shards = Shards::round_robin(instruments, t::BOOKS, t::WIRES);
    if !rows.is_empty() && rows.len() != instruments {
        return Err(format!("{} shards for {instruments} instruments", rows.len()));
    }
    for (k, row) in rows.iter().enumerate() {
        let conns: Vec<ConnId> = row.conns.iter().map(|c| ConnId(*c)).collect();
        let known = conns.iter().all(|c| usize::from(c.0) < t::WIRES);
        let distinct = conns.len() == 1 || (conns.len() == 2 && conns[0] != conns[1]);
        if row.book >= t::BOOKS || !known || !distinct {
            return Err(format!("shard {k} names a lane or connection that is not there"));
        }
        shards.put_book(InstrumentId(k as u16), row.book);
        shards.put_lines(InstrumentId(k as u16), &conns);
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve::ShardConfig;

    #[test]
    fn configured_places_win_over_round_robin_and_read_back() {
        let mut venue = crate::config::demo().expect("valid").venue;
        let wire1 = ShardConfig { instrument: 0, wire: Some(1), book: None };
        let book0 = ShardConfig { instrument: 3, wire: None, book: Some(0) };
        venue.shards = vec![wire1, book0];
        let shards = shards_of(&venue, 4);
        assert_eq!(shards.lines_of(InstrumentId(0)), [ConnId(1)]);
        assert_eq!((shards.book_of(InstrumentId(0)), shards.book_of(InstrumentId(3))), (0, 0));
        assert_eq!(shards.lines_of(InstrumentId(1)), [ConnId(1)]);
        assert_eq!(read_rows(&rows_of(&shards), 4).as_ref(), Ok(&shards));
        venue.lines = 2;
        venue.shards = vec![book0];
        let two = shards_of(&venue, 4);
        assert_eq!(two.lines_of(InstrumentId(3)), [ConnId(0), ConnId(1)]);
        assert_eq!(read_rows(&rows_of(&two), 4), Ok(two));
        assert!(read_rows(&[ShardRow { book: 0, conns: vec![0] }], 2).is_err());
        assert!(read_rows(&[ShardRow { book: 9, conns: vec![0] }], 1).is_err());
        assert!(read_rows(&[ShardRow { book: 0, conns: vec![1, 1] }], 1).is_err());
    }
}
