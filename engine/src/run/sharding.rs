//! Which lanes and connections serve each instrument of a run, and how a journal holds that.

use bot4_types::{ConnId, InstrumentId, InstrumentTable, Shards};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::topology as t;

/// The table for the instruments of `table` as they are configured.
#[must_use]
pub fn shards_of(config: &Config, table: &InstrumentTable) -> Shards {
    let instruments = table.all().len();
    let mut shards = match (config.further.is_empty(), config.venue.lines) {
        (true, 2) => Shards::two_lines(instruments, t::BOOKS, t::WIRES),
        (true, _) => Shards::round_robin(instruments, t::BOOKS, t::WIRES),
        (false, _) => by_venue(config, table),
    };
    for shard in config.shards.iter().filter(|s| s.instrument < instruments) {
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

/// Several venues: each has connections of its own, as many as it has lines; books go round.
fn by_venue(config: &Config, table: &InstrumentTable) -> Shards {
    let mut shards = Shards::round_robin(table.all().len(), t::BOOKS, config.shape().wires);
    let mut first = 0;
    for (v, venue) in config.venues().enumerate() {
        let conns: Vec<ConnId> = (first..first + venue.lines).map(|c| ConnId(c as u16)).collect();
        for instrument in table.all().iter().filter(|i| i.venue.index() == v) {
            shards.put_lines(instrument.id, &conns);
        }
        first += venue.lines;
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

/// The table that `rows` describe for `wires` connections; round robin where there are none.
///
/// # Errors
/// A sentence, when a row names what this machine does not have.
pub fn read_rows(rows: &[ShardRow], instruments: usize, wires: usize) -> Result<Shards, String> {
    let mut shards = Shards::round_robin(instruments, t::BOOKS, wires);
    if !rows.is_empty() && rows.len() != instruments {
        return Err(format!("{} shards for {instruments} instruments", rows.len()));
    }
    for (k, row) in rows.iter().enumerate() {
        let conns: Vec<ConnId> = row.conns.iter().map(|c| ConnId(*c)).collect();
        let known = conns.iter().all(|c| usize::from(c.0) < wires);
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
    use bot4_types::{Instrument, Symbol};

    fn table(venues: &[(&str, usize)]) -> InstrumentTable {
        let name = |text: &str| Symbol::new(text).expect("short");
        let of = |n: usize| {
            let mut table = InstrumentTable::new();
            for k in 0..n {
                let symbol = name(&format!("S{k}"));
                table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
            }
            table
        };
        let parts: Vec<_> = venues.iter().map(|(venue, n)| (name(venue), of(*n))).collect();
        let parts: Vec<_> = parts.iter().map(|(venue, table)| (*venue, table)).collect();
        InstrumentTable::joined(&parts).expect("room")
    }

    #[test]
    fn configured_places_win_over_round_robin_and_read_back() {
        let mut config = crate::config::demo().expect("valid");
        let four = table(&[("binance", 4)]);
        let wire1 = ShardConfig { instrument: 0, wire: Some(1), book: None };
        let book0 = ShardConfig { instrument: 3, wire: None, book: Some(0) };
        config.shards = vec![wire1, book0];
        let shards = shards_of(&config, &four);
        assert_eq!(shards.lines_of(InstrumentId(0)), [ConnId(1)]);
        assert_eq!((shards.book_of(InstrumentId(0)), shards.book_of(InstrumentId(3))), (0, 0));
        assert_eq!(shards.lines_of(InstrumentId(1)), [ConnId(1)]);
        assert_eq!(read_rows(&rows_of(&shards), 4, 2).as_ref(), Ok(&shards));
        config.venue.lines = 2;
        config.shards = vec![book0];
        let two = shards_of(&config, &four);
        assert_eq!(two.lines_of(InstrumentId(3)), [ConnId(0), ConnId(1)]);
        assert_eq!(read_rows(&rows_of(&two), 4, 2), Ok(two));
        assert!(read_rows(&[ShardRow { book: 0, conns: vec![0] }], 2, 2).is_err());
        assert!(read_rows(&[ShardRow { book: 9, conns: vec![0] }], 1, 2).is_err());
        assert!(read_rows(&[ShardRow { book: 0, conns: vec![1, 1] }], 1, 2).is_err());
    }

    #[test]
    fn each_of_several_venues_has_connections_of_its_own() {
        let mut config = crate::config::demo().expect("valid");
        let mut other = config.venue.clone();
        (config.venue.lines, other.lines) = (2, 1);
        config.further = vec![other];
        config.shards = vec![ShardConfig { instrument: 2, wire: None, book: Some(1) }];
        let shards = shards_of(&config, &table(&[("a", 2), ("b", 2)]));
        let lines = |k| shards.lines_of(InstrumentId(k)).iter().map(|c| c.0).collect::<Vec<_>>();
        assert_eq!(
            [lines(0), lines(1), lines(2), lines(3)],
            [vec![0, 1], vec![0, 1], vec![2], vec![2]]
        );
        assert_eq!((shards.wires(), shards.book_of(InstrumentId(2))), (3, 1));
        let rows = rows_of(&shards);
        assert!(read_rows(&rows, 4, 2).is_err(), "a connection that is not there");
        assert_eq!(read_rows(&rows, 4, 3), Ok(shards));
    }
}
