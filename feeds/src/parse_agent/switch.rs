//! One connection replaces another: which of the two speaks for an instrument.
//!
//! While both deliver, an instrument's events are taken from the old connection until the new
//! one's snapshot of it comes, and from the new one ever after. A book thus sees one stream whose
//! snapshot replaces it: no update of the old connection follows it, none of the new one comes
//! before. Where the switch ends without that snapshot, the book is told that it is damaged.
//!
//! Two connections that deliver have different numbers, so that the decoder can keep their
//! numbering apart; the books know one number, the lower one.

use bot4_types::limits::INSTRUMENTS_MAX;
use bot4_types::{ConnId, InstrumentId, MarketBody, MarketEvent};

use crate::wire_agent::CONN_SIDE;

/// The number by which the books know a connection.
#[must_use]
pub const fn base_of(conn: ConnId) -> ConnId {
    ConnId(conn.0 % CONN_SIDE)
}

/// A set of instruments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set([u64; INSTRUMENTS_MAX / 64]);

impl Set {
    const fn has(&self, id: InstrumentId) -> bool {
        let i = id.index() % INSTRUMENTS_MAX;
        self.0[i / 64] >> (i % 64) & 1 == 1
    }

    const fn put(&mut self, id: InstrumentId) {
        let i = id.index() % INSTRUMENTS_MAX;
        self.0[i / 64] |= 1 << (i % 64);
    }

    fn all() -> impl Iterator<Item = InstrumentId> {
        (0..INSTRUMENTS_MAX as u16).map(InstrumentId)
    }
}

/// The switch of one parse agent.
#[derive(Debug, Default)]
pub struct Switch {
    /// The connection that is about to take over.
    new: Option<ConnId>,
    /// Instruments that have had a snapshot since the line came up.
    known: Set,
    /// Instruments for which the new connection speaks.
    moved: Set,
}

impl Switch {
    /// Two connections deliver.
    #[must_use]
    #[inline]
    pub const fn is_on(&self) -> bool {
        self.new.is_some()
    }

    /// The line came up or went down: one connection, or none.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// `conn` begins to take over.
    pub fn begin(&mut self, conn: ConnId) {
        self.new = Some(conn);
        self.moved = Set::default();
    }

    /// Only `conn` remains: calls `lost` with every instrument for which the other one spoke.
    pub fn end(&mut self, conn: ConnId, mut lost: impl FnMut(InstrumentId)) {
        let Some(new) = self.new.take() else { return };
        let took_over = conn == new;
        Set::all()
            .filter(|id| self.known.has(*id) && self.moved.has(*id) != took_over)
            .for_each(&mut lost);
    }

    /// The books get `event`. Called for every event, in order.
    #[inline]
    pub fn note(&mut self, event: &MarketEvent) {
        if matches!(event.body, MarketBody::Snapshot { .. }) {
            self.known.put(event.instrument);
        }
    }

    /// Whether the books may have `event`. Called for every event while two connections deliver,
    /// in order.
    pub fn admits(&mut self, event: &MarketEvent) -> bool {
        let snapshot = matches!(event.body, MarketBody::Snapshot { .. });
        let Some(new) = self.new else { return true };
        if matches!(event.body, MarketBody::LineGap) {
            // A hole in either connection's own numbering: nobody knows whom it hit.
            return true;
        }
        if event.conn != new {
            return !self.moved.has(event.instrument);
        }
        if snapshot {
            self.moved.put(event.instrument);
        }
        self.moved.has(event.instrument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{LevelBlock, Side, Trail};

    const OLD: ConnId = ConnId(1);
    const NEW: ConnId = ConnId(1 + CONN_SIDE);

    fn event(conn: ConnId, instrument: u16, snapshot: bool) -> MarketEvent {
        let body = if snapshot {
            let block = LevelBlock::new(0);
            MarketBody::Snapshot { last: 1, check: None, bids: 0, asks: 0, block }
        } else {
            MarketBody::Trade { id: 1, price: 1, qty: 1, aggressor: Side::Buy }
        };
        let instrument = InstrumentId(instrument);
        MarketEvent { trail: Trail::default(), body, venue_ms: 0, instrument, conn }
    }

    #[test]
    fn each_instrument_moves_with_its_snapshot() {
        let mut switch = Switch::default();
        let see = |switch: &mut Switch, conn, i, snapshot| {
            let event = event(conn, i, snapshot);
            let admits = switch.admits(&event);
            if admits {
                switch.note(&event);
            }
            admits
        };
        for i in [0, 3, 255] {
            assert!(see(&mut switch, OLD, i, true));
        }
        switch.begin(NEW);
        assert!(see(&mut switch, OLD, 0, false));
        assert!(!see(&mut switch, NEW, 0, false), "before its snapshot");
        assert!(see(&mut switch, NEW, 0, true));
        assert!(!see(&mut switch, OLD, 0, false), "behind the new one's snapshot");
        assert!(!see(&mut switch, OLD, 0, true), "even a snapshot");
        assert!(see(&mut switch, NEW, 0, false));
        assert!(see(&mut switch, OLD, 3, false) && !see(&mut switch, NEW, 255, false));
        let mut lost = Vec::new();
        switch.end(NEW, |id| lost.push(id.0));
        assert_eq!(lost, [3, 255]);
        assert!(!switch.is_on() && see(&mut switch, NEW, 3, false));
        assert_eq!((base_of(OLD), base_of(NEW)), (OLD, OLD));
    }

    #[test]
    fn a_successor_that_fails_loses_what_it_had_taken() {
        let mut switch = Switch::default();
        [0, 1].into_iter().for_each(|i| switch.note(&event(OLD, i, true)));
        switch.begin(NEW);
        assert!(switch.admits(&event(NEW, 1, true)));
        let mut lost = Vec::new();
        switch.end(OLD, |id| lost.push(id.0));
        assert_eq!(lost, [1]);
        switch.reset();
        switch.end(OLD, |id| panic!("{id:?} is not known any more"));
    }
}
