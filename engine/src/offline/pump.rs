//! One wire's worth of agents, driven by hand: frames in, books out.

use bot4_book::{BookAgent, BookConfig, BookPorts, BookSummary};
use bot4_feeds::parse_agent::{ParseAgent, ParsePorts};
use bot4_lanes::{Agent, Fault, Metrics, Probe, Rx, Tx, ring};
use bot4_types::limits::{FRAME_LARGE, FRAME_SMALL};
use bot4_types::{
    ConnId, Frame, FrameKind, Instrument, InstrumentId, InstrumentTable, Mark, Nanos, Resync, Slot,
    Symbol, TopMsg,
};
use bot4_venues::registry::Venue;

use super::source::{Message, Recording};

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
    metrics: Metrics,
    probe: Probe,
    now: Nanos,
    first_recv_ns: Option<i64>,
    stats: PumpStats,
}

/// Why a pump cannot be made.
#[derive(Debug)]
pub enum PumpError {
    /// A symbol does not enter the table.
    Symbol(String),
    /// The venue has no dialect in this build.
    Venue(String),
    /// An agent's fault.
    Fault(Fault),
}

impl std::fmt::Display for PumpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Symbol(s) => write!(f, "error: `{s}` cannot be an instrument\nhelp: --symbol"),
            Self::Venue(e) => write!(f, "error: --venue: {e}"),
            Self::Fault(e) => write!(f, "error: {e}"),
        }
    }
}

impl std::error::Error for PumpError {}

impl From<Fault> for PumpError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Pump {
    /// A pump for `symbols` of `venue`. `every` above zero collects checkpoints.
    ///
    /// # Errors
    /// See [`PumpError`].
    pub fn new(venue: Venue, symbols: &[String], every: u64) -> Result<Self, PumpError> {
        let metrics = Metrics::in_memory();
        let mut table = InstrumentTable::new();
        for name in symbols {
            let wrong = || PumpError::Symbol(name.clone());
            let symbol = Symbol::new(name).ok_or_else(wrong)?;
            let instrument = Instrument::bare(InstrumentId(0), symbol, venue.wire_decimals());
            table.push(instrument).map_err(|_| wrong())?;
        }
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
            tops: tops_tx,
            marks: marks_tx,
        };
        let mut book = BookAgent::new(0, 1, 1, &table, BookConfig::default(), ports, &metrics);
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
            metrics,
            probe: Probe::logical(),
            now: Nanos(EPOCH_NS),
            first_recv_ns: None,
            stats: PumpStats::default(),
        };
        pump.parse.start(pump.now)?;
        pump.book.start(pump.now)?;
        pump.push(Slot::empty(), 0, FrameKind::LineUp)?;
        Ok(pump)
    }

    /// Feeds one message of `recording`.
    ///
    /// # Errors
    /// An agent's fault.
    pub fn feed(&mut self, recording: &Recording, message: &Message) -> Result<(), PumpError> {
        self.advance(message.recv_ns);
        let text = recording.text(message);
        let (prefix, kind): (Option<String>, _) = match message.snapshot {
            Some(n) => match self.snapshot_instrument(recording.snapshot_symbol(n)) {
                Some(id) => (
                    Some(format!("{{\"id\":{},\"status\":200,\"result\":", id.0)),
                    FrameKind::Snapshot,
                ),
                None => return Ok(()),
            },
            None => (None, FrameKind::Market),
        };
        let head = prefix.as_deref().unwrap_or("").as_bytes();
        let tail: &[u8] = if prefix.is_some() { b"}" } else { b"" };
        let len = head.len() + text.len() + tail.len();
        let Some(mut slot) = self.slot_for(len)? else {
            self.stats.too_long += 1;
            return Ok(());
        };
        let bytes = slot.bytes_mut();
        bytes[..head.len()].copy_from_slice(head);
        bytes[head.len()..head.len() + text.len()].copy_from_slice(text);
        bytes[head.len() + text.len()..len].copy_from_slice(tail);
        self.stats.messages += 1;
        self.push(slot, len, kind)
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

    fn push(&mut self, slot: Slot, len: usize, kind: FrameKind) -> Result<(), PumpError> {
        let mut frame = Frame { slot, t0: self.now, len: len as u32, conn: ConnId(0), kind };
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
