//! One wire's worth of agents, driven by hand: frames in, books out.

use bot4_book::{BookAgent, BookConfig, BookPorts, BookSummary};
use bot4_feeds::parse_agent::{ParseAgent, ParsePorts};
use bot4_lanes::{Agent, Fault, Metrics, Probe, Rx, Tx, ring};
use bot4_types::limits::{FRAME_LARGE, FRAME_SMALL};
use bot4_types::{
    BookRules, ConnId, Frame, FrameKind, InstrumentId, InstrumentTable, Mark, Nanos, Resync, Slot,
    TopMsg,
};

use super::source::{Message, Recording, SourceError, What};

/// Messages in flight.
const RING: usize = 256;
/// Time of the first message on the pump's clock, so that zero stays "never".
const EPOCH_NS: u64 = 1_000_000_000;
/// Without receive times, messages are this far apart.
const STEP_NS: u64 = 1_000_000;

/// What a pump did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PumpStats {
    /// Messages fed.
    pub messages: u64,
    /// Messages longer than any slot.
    pub too_long: u64,
}

/// A parse agent and a book agent on this thread.
pub struct Pump {
    parse: ParseAgent,
    book: BookAgent,
    frames: Tx<Frame>,
    slots: Rx<Slot>,
    resyncs: Rx<Resync>,
    tops: Rx<TopMsg>,
    marks: Rx<Mark>,
    free: Vec<Slot>,
    table: InstrumentTable,
    /// Connections that the instruments come by.
    conns: u16,
    metrics: Metrics,
    probe: Probe,
    now: Nanos,
    first_recv_ns: Option<i64>,
    stats: PumpStats,
}

/// Why a pump cannot be made or go on.
#[derive(Debug)]
pub enum PumpError {
    /// The venue has no dialect in this build.
    Venue(String),
    /// An agent's fault.
    Fault(Fault),
    /// The recording cannot be read on.
    Source(SourceError),
}

impl std::fmt::Display for PumpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Venue(e) => write!(f, "error: --venue: {e}"),
            Self::Fault(e) => write!(f, "error: {e}"),
            Self::Source(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for PumpError {}

impl From<Fault> for PumpError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<SourceError> for PumpError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl Pump {
    /// A pump for the instruments of `recording`. `every` above zero collects checkpoints.
    ///
    /// # Errors
    /// See [`PumpError`].
    pub fn new(recording: &Recording, every: u64) -> Result<Self, PumpError> {
        let metrics = Metrics::in_memory();
        let (venue, table) = (recording.venue(), recording.table().clone());
        let decoder = venue.market_decoder(&table).map_err(|e| PumpError::Venue(e.to_string()))?;
        let (frames, frames_rx) = ring(RING);
        let (slots_tx, slots) = ring(2 * RING);
        let (market_tx, market_rx) = ring(4 * RING);
        let (blocks_tx, blocks_rx) = ring(16_384);
        let (resync_tx, resyncs) = ring(1_024);
        let (tops_tx, tops) = ring(4 * RING);
        let (marks_tx, marks) = ring(4 * RING);
        let ports = ParsePorts {
            frames: frames_rx,
            slots: slots_tx,
            market: vec![market_tx],
            blocks: vec![blocks_rx],
        };
        let parse = ParseAgent::new(ports, decoder, &metrics, 0);
        let ports = BookPorts {
            market: vec![market_rx],
            blocks: vec![blocks_tx],
            resync: vec![resync_tx],
            orders: None,
            tops: tops_tx,
            marks: marks_tx,
        };
        // Nobody trades on these books: how far they are known does not matter.
        let rules = venue.rules();
        let depth_max =
            if recording.depth_max() > 0 { recording.depth_max() } else { rules.depth_max };
        let rules = BookRules { snapshot_levels: 0, depth_max, ..rules };
        let config = BookConfig { rules, ..BookConfig::default() };
        let shards = recording.shards();
        let mut book = BookAgent::new(0, shards, &table, config, ports, &metrics);
        book.set_checkpoints(every);
        let mut free: Vec<Slot> = (0..RING).map(|_| Slot::new(FRAME_SMALL)).collect();
        free.push(Slot::new(FRAME_LARGE));
        let mut pump = Self {
            parse,
            book,
            frames,
            slots,
            resyncs,
            tops,
            marks,
            free,
            table,
            conns: shards.conns() as u16,
            metrics,
            probe: Probe::logical(),
            now: Nanos(EPOCH_NS),
            first_recv_ns: None,
            stats: PumpStats::default(),
        };
        pump.parse.start(pump.now)?;
        pump.book.start(pump.now)?;
        pump.line_all(FrameKind::LineUp)?;
        Ok(pump)
    }

    /// Feeds one message.
    ///
    /// # Errors
    /// An agent's fault.
    pub fn feed(&mut self, message: &Message<'_>) -> Result<(), PumpError> {
        self.advance(message.recv_ns);
        let (text, conn) = (message.text, message.conn);
        match message.what {
            What::Market => self.push_text([b"", text, b""], conn, FrameKind::Market),
            What::Answer => self.push_text([b"", text, b""], conn, FrameKind::Snapshot),
            What::Snapshot(symbol) => {
                let Some(id) = self.snapshot_instrument(symbol) else { return Ok(()) };
                // In the envelope in which the venue answers.
                let head = format!("{{\"id\":{},\"status\":200,\"result\":", id.0);
                self.push_text([head.as_bytes(), text, b"}"], conn, FrameKind::Snapshot)
            }
            What::Line(kind) => self.push(Slot::empty(), 0, conn, kind),
            What::Broken => {
                self.line_all(FrameKind::LineDown)?;
                self.line_all(FrameKind::LineUp)
            }
        }
    }

    /// Lets the agents finish what is in flight.
    ///
    /// # Errors
    /// An agent's fault.
    pub fn settle(&mut self) -> Result<(), PumpError> {
        while self.turn()? > 0 {}
        Ok(())
    }

    /// Checkpoints since last asked.
    pub fn take_checkpoints(&mut self) -> Vec<BookSummary> {
        self.book.take_checkpoints()
    }

    /// The summary of every instrument, in order.
    #[must_use]
    pub fn summaries(&self) -> Vec<BookSummary> {
        self.table.all().iter().filter_map(|i| self.book.summary(i.id)).collect()
    }

    /// The book agent, for a closer look than a summary gives.
    #[must_use]
    pub const fn books(&self) -> &BookAgent {
        &self.book
    }

    /// The instruments.
    #[must_use]
    pub const fn table(&self) -> &InstrumentTable {
        &self.table
    }

    /// What was fed.
    #[must_use]
    pub const fn stats(&self) -> PumpStats {
        self.stats
    }

    /// Counters of both agents.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Logical time follows the receive times, and never runs backwards.
    fn advance(&mut self, recv_ns: i64) {
        let at = if recv_ns == 0 {
            self.now.0 + STEP_NS
        } else {
            let first = *self.first_recv_ns.get_or_insert(recv_ns);
            EPOCH_NS.saturating_add_signed(recv_ns.saturating_sub(first))
        };
        self.now = self.now.max(Nanos(at));
        self.probe.set(self.now);
    }

    /// A snapshot without a symbol belongs to the only instrument.
    fn snapshot_instrument(&self, symbol: Option<&str>) -> Option<InstrumentId> {
        match symbol {
            Some(s) => self.table.find(s.as_bytes()).map(|i| i.id),
            None => match self.table.all() {
                [only] => Some(only.id),
                _ => None,
            },
        }
    }

    /// A free slot that holds `len` bytes; lets the agents work until one comes back.
    fn slot_for(&mut self, len: usize) -> Result<Option<Slot>, PumpError> {
        if len > FRAME_LARGE {
            return Ok(None);
        }
        loop {
            let fits = |s: &Slot| s.capacity() >= len;
            let best = (0..self.free.len())
                .filter(|i| fits(&self.free[*i]))
                .min_by_key(|i| self.free[*i].capacity());
            if let Some(at) = best.filter(|_| self.frames.room() > 0) {
                return Ok(Some(self.free.swap_remove(at)));
            }
            self.turn()?;
        }
    }

    /// A message from pieces, one behind the other.
    fn push_text(
        &mut self,
        pieces: [&[u8]; 3],
        conn: ConnId,
        kind: FrameKind,
    ) -> Result<(), PumpError> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        let Some(mut slot) = self.slot_for(len)? else {
            self.stats.too_long += 1;
            return Ok(());
        };
        let mut rest = slot.bytes_mut();
        for piece in pieces {
            let (room, behind) = rest.split_at_mut(piece.len());
            room.copy_from_slice(piece);
            rest = behind;
        }
        self.stats.messages += 1;
        self.push(slot, len, conn, kind)
    }

    /// Something happened to every connection.
    fn line_all(&mut self, kind: FrameKind) -> Result<(), PumpError> {
        (0..self.conns).try_for_each(|conn| self.push(Slot::empty(), 0, ConnId(conn), kind))
    }

    fn push(
        &mut self,
        slot: Slot,
        len: usize,
        conn: ConnId,
        kind: FrameKind,
    ) -> Result<(), PumpError> {
        let mut frame = Frame { slot, t0: self.now, len: len as u32, kernel_ns: 0, conn, kind };
        while let Err(back) = self.frames.push(frame) {
            frame = back;
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<usize, PumpError> {
        let mut done = self.parse.work(self.now, &mut self.probe)?;
        done += self.book.work(self.now, &mut self.probe)?;
        while self.tops.pop().is_some() || self.marks.pop().is_some() {}
        while self.resyncs.pop().is_some() {}
        while let Some(slot) = self.slots.pop() {
            if slot.capacity() > 0 {
                self.free.push(slot);
            }
        }
        Ok(done)
    }
}
