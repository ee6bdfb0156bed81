//! The parse agent: frames of one wire agent to integer events for the books.
//!
//! Invariant: a frame is taken only when every book's ring has room for all it can yield, so an
//! event is never dropped and never waits inside the agent. A frame that finds no free level
//! block is held and tried again; the blocks come back from the books first thing in every turn.
//! Nothing undecodable is silent: it is counted by kind, and a book that it may have changed is
//! told that it is damaged.
//!
//! Cost: two stamps for a batch and one more for each message; after `start` no allocation, lock
//! or system call.

mod switch;

use bot4_lanes::{Agent, Counters, Fault, Histogram, Metrics, Probe, Rx, Shedding, Tx};
use bot4_types::limits::INSTRUMENTS_MAX;
use bot4_types::{
    ConnId, Frame, FrameKind, InstrumentId, LevelBlock, MarketBody, MarketEvent, Nanos, Shards,
    Slot, Stage, Trail,
};
use bot4_venues::market::EVENTS_PER_FRAME_MAX;
use bot4_venues::stage;
use bot4_venues::{BlockPool, DecodeError, Decoded, Input, MarketDecoder, Sink};

use crate::tee::Tee;
use switch::{Switch, base_of};

/// Frames taken in a turn, so that no turn starves the other agents of a folded lane.
const BATCH: usize = 64;
/// How long a frame may wait for a level block. Books that wait for a snapshot hold blocks; if
/// they held all, the snapshot behind this frame would never reach them.
const BLOCK_WAIT: Nanos = Nanos::from_millis(100);
/// Blocks by size class: 4 MiB, 8 MiB and 8 MiB. A busy book turns over a block within
/// microseconds; the rest is for books that buffer while they wait for a snapshot.
pub const BLOCK_COUNTS: [usize; 3] = [4_096, 256, 8];

const ROLES: [&str; 8] =
    ["parse.0", "parse.1", "parse.2", "parse.3", "parse.4", "parse.5", "parse.6", "parse.7"];
const WAIT_TAGS: [&str; 8] = [
    "msg_wire_to_parse.0",
    "msg_wire_to_parse.1",
    "msg_wire_to_parse.2",
    "msg_wire_to_parse.3",
    "msg_wire_to_parse.4",
    "msg_wire_to_parse.5",
    "msg_wire_to_parse.6",
    "msg_wire_to_parse.7",
];
const PARSE_TAGS: [&str; 8] = [
    "msg_parse.0",
    "msg_parse.1",
    "msg_parse.2",
    "msg_parse.3",
    "msg_parse.4",
    "msg_parse.5",
    "msg_parse.6",
    "msg_parse.7",
];

/// Counters of the agent, in the order of [`COUNTER_NAMES`].
#[derive(Clone, Copy)]
enum Count {
    Messages,
    Depths,
    Levels,
    Snapshots,
    SnapshotsFailed,
    Trades,
    Quotes,
    Ignored,
    Notices,
    LineChanges,
    Damaged,
    Fallback,
    DroppedNoBlock,
    Shed,
    /// One at the level of the scanner in use, the others zero: scalar, AVX2, AVX-512.
    ScannerScalar,
    ScannerAvx2,
    ScannerAvx512,
    DecodeErrors,
}

/// Names of the agent's counters; those of [`DecodeError::NAMES`] follow `decode_errors`.
pub const COUNTER_NAMES: &[&str] = &[
    "messages",
    "depths",
    "levels",
    "snapshots",
    "snapshots_failed",
    "trades",
    "quotes",
    "ignored",
    "notices",
    "line_changes",
    "damaged",
    "fallback",
    "dropped_no_block",
    "events_shed",
    "scanner_scalar",
    "scanner_avx2",
    "scanner_avx512",
    "decode_errors",
    DecodeError::NAMES[0],
    DecodeError::NAMES[1],
    DecodeError::NAMES[2],
    DecodeError::NAMES[3],
    DecodeError::NAMES[4],
    DecodeError::NAMES[5],
    DecodeError::NAMES[6],
    DecodeError::NAMES[7],
];

/// The agent's ends of its links.
pub struct ParsePorts {
    /// Frames of the wire agent.
    pub frames: Rx<Frame>,
    /// Emptied slots back to it.
    pub slots: Tx<Slot>,
    /// Events to each book agent.
    pub market: Vec<Tx<MarketEvent>>,
    /// Emptied level blocks from each book agent.
    pub blocks: Vec<Rx<LevelBlock>>,
}

/// A frame that waits for a level block.
struct Held {
    frame: Frame,
    since: Nanos,
}

/// See the module's documentation.
pub struct ParseAgent {
    role: &'static str,
    ports: ParsePorts,
    decoder: Box<dyn MarketDecoder>,
    shards: Shards,
    block_counts: [usize; 3],
    sink: Sink,
    held: Option<Held>,
    tee: Option<Tee>,
    shedding: Shedding,
    /// Instruments whose events are given up when shedding says so, by index.
    low_priority: Box<[bool]>,
    /// They are, in this turn.
    sheds: bool,
    switch: Switch,
    /// Events of a frame while they are sifted.
    sifted: Vec<MarketEvent>,
    /// Events that every book's ring takes for certain.
    credit: usize,
    counters: Counters,
    wire_to_parse_ns: Histogram,
    parse_ns: Histogram,
}

impl ParseAgent {
    /// Agent `parse.<index>`. Its counters and histograms are taken from `metrics`; its memory is
    /// allocated in `start`.
    ///
    /// # Panics
    /// When `index` is above 7 or there is no book (a bug in the wiring).
    #[must_use]
    pub fn new(
        ports: ParsePorts,
        decoder: Box<dyn MarketDecoder>,
        metrics: &Metrics,
        index: usize,
    ) -> Self {
        assert!(index < ROLES.len() && !ports.market.is_empty(), "wiring of parse.{index}");
        Self {
            role: ROLES[index],
            shards: Shards::round_robin(INSTRUMENTS_MAX, ports.market.len(), 1),
            ports,
            decoder,
            block_counts: BLOCK_COUNTS,
            sink: Sink::new(BlockPool::default()),
            held: None,
            tee: None,
            shedding: Shedding::default(),
            low_priority: Box::default(),
            sheds: false,
            switch: Switch::default(),
            sifted: Vec::with_capacity(EVENTS_PER_FRAME_MAX),
            credit: 0,
            counters: metrics.counters(ROLES[index], COUNTER_NAMES),
            wire_to_parse_ns: metrics.histogram(WAIT_TAGS[index]),
            parse_ns: metrics.histogram(PARSE_TAGS[index]),
        }
    }

    /// With this many level blocks of each size class instead of [`BLOCK_COUNTS`].
    #[must_use]
    pub const fn with_blocks(mut self, counts: [usize; 3]) -> Self {
        self.block_counts = counts;
        self
    }

    /// Every frame taken is copied to `tee`.
    #[must_use]
    pub fn with_tee(mut self, tee: Tee) -> Self {
        self.tee = Some(tee);
        self
    }

    /// While `shedding` says so, nothing of the instruments marked in `low_priority` goes to the
    /// books.
    #[must_use]
    pub fn with_shedding(mut self, shedding: Shedding, low_priority: Box<[bool]>) -> Self {
        (self.shedding, self.low_priority) = (shedding, low_priority);
        self
    }

    /// With this table of which book an instrument belongs to, instead of instrument `k` to book
    /// `k % market.len()`.
    ///
    /// # Panics
    /// When the table has other book lanes than there are rings.
    #[must_use]
    pub fn with_shards(mut self, shards: Shards) -> Self {
        assert_eq!(shards.books(), self.ports.market.len(), "a ring for each book lane");
        self.shards = shards;
        self
    }

    /// Level blocks that are here at the moment, by size class.
    #[must_use]
    pub fn blocks_free(&self) -> [usize; 3] {
        [0, 1, 2].map(|class| self.sink.pool.free(class))
    }

    fn add(&self, count: Count, n: u64) {
        self.counters.add(count as usize, n);
    }

    /// There is room for whatever the next frame yields and for its slot.
    fn has_room(&mut self) -> bool {
        if self.ports.slots.room() == 0 {
            return false;
        }
        if self.credit < EVENTS_PER_FRAME_MAX {
            self.credit = self.ports.market.iter().map(Tx::room).min().unwrap_or(0);
        }
        self.credit >= EVENTS_PER_FRAME_MAX
    }

    /// Handles one frame taken up at `taken`. Gives it back when it has to wait for a block.
    fn handle(
        &mut self,
        frame: Frame,
        taken: Nanos,
        probe: &Probe,
    ) -> Result<Option<Frame>, Fault> {
        let mut trail = Trail::received(frame.t0, frame.kernel_ns);
        let waited = trail.mark(Stage::WireToParse, taken);
        match frame.kind {
            FrameKind::LineUp | FrameKind::LineDown => self.line_changed(&frame, trail)?,
            FrameKind::SwitchBegin | FrameKind::SwitchEnd => self.switched(&frame, trail)?,
            FrameKind::Market | FrameKind::Snapshot => {
                match self.decode(&frame, trail) {
                    Err(e) if e.is_retry() => {
                        self.counters.add(error_index(e), 1);
                        return Ok(Some(frame));
                    }
                    answer => self.settle(&frame, trail, answer, probe)?,
                }
                self.wire_to_parse_ns.record(waited);
            }
        }
        self.give_back(frame.slot);
        Ok(None)
    }

    fn decode(&mut self, frame: &Frame, trail: Trail) -> Result<Decoded, DecodeError> {
        let len = frame.len as usize;
        if len > frame.slot.capacity() {
            return Err(DecodeError::TooLarge);
        }
        let input = Input {
            bytes: frame.slot.padded(len),
            len,
            conn: frame.conn,
            kind: frame.kind,
            trail,
            instrument: None,
        };
        self.decoder.decode(input, &mut self.sink)
    }

    /// Counts the answer, sends what is staged and stamps the end of the stage.
    fn settle(
        &mut self,
        frame: &Frame,
        trail: Trail,
        answer: Result<Decoded, DecodeError>,
        probe: &Probe,
    ) -> Result<(), Fault> {
        self.add(Count::Messages, 1);
        match answer {
            Ok(Decoded::Events) => {}
            Ok(Decoded::Ignored(_)) => self.add(Count::Ignored, 1),
            Ok(Decoded::Notice(_)) => self.add(Count::Notices, 1),
            Err(e) => {
                self.add(Count::DecodeErrors, 1);
                self.counters.add(error_index(e), 1);
                self.report_damage(frame, trail)?;
            }
        }
        self.counters.set(Count::Fallback as usize, self.decoder.fallbacks());
        let stamp = probe.stamp();
        self.send_staged(stamp)?;
        let mut trail = trail;
        self.parse_ns.record(trail.mark(Stage::Parse, stamp));
        Ok(())
    }

    fn send_staged(&mut self, stamp: Nanos) -> Result<(), Fault> {
        self.sift();
        for mut event in self.sink.drain() {
            event.trail.mark(Stage::Parse, stamp);
            event.conn = base_of(event.conn);
            self.switch.note(&event);
            count_event(&self.counters, &event.body);
            self.credit = self.credit.saturating_sub(1);
            if matches!(event.body, MarketBody::LineGap) {
                let MarketEvent { trail, conn, .. } = event;
                tell_all(&mut self.ports.market, trail, conn, || MarketBody::LineGap)
                    .ok_or_else(|| no_room(self.role))?;
                continue;
            }
            let ring = &mut self.ports.market[self.shards.book_of(event.instrument)];
            if ring.push(event).is_err() {
                return Err(no_room(self.role));
            }
        }
        Ok(())
    }

    /// `event` is of an instrument that is given up at present.
    fn is_shed(&self, event: &MarketEvent) -> bool {
        let of_line =
            matches!(event.body, MarketBody::LineUp | MarketBody::LineDown | MarketBody::LineGap);
        let low = self.low_priority.get(event.instrument.index()).copied();
        self.sheds && !of_line && low.unwrap_or(false)
    }

    /// Takes out what comes by the connection that does not speak for its instrument, and what is
    /// given up.
    fn sift(&mut self) {
        if !self.switch.is_on() && !self.sheds {
            return;
        }
        self.sifted.extend(self.sink.drain());
        let mut sifted = core::mem::take(&mut self.sifted);
        for event in sifted.drain(..) {
            let shed = self.is_shed(&event);
            self.add(Count::Shed, u64::from(shed));
            if !shed && (!self.switch.is_on() || self.switch.admits(&event)) {
                // There is room: it was staged before.
                if let Err(refused) = self.sink.push(event) {
                    stage::give_back(&mut self.sink, refused.body);
                }
            } else {
                stage::give_back(&mut self.sink, event.body);
            }
        }
        self.sifted = sifted;
    }

    /// A connection begins to replace the present one, or only one of the two remains.
    fn switched(&mut self, frame: &Frame, trail: Trail) -> Result<(), Fault> {
        self.add(Count::LineChanges, 1);
        if frame.kind == FrameKind::SwitchBegin {
            self.decoder.line_up(frame.conn);
            self.switch.begin(frame.conn);
            return Ok(());
        }
        let (mut lost, mut first) = (0, [InstrumentId(0); EVENTS_PER_FRAME_MAX]);
        self.switch.end(frame.conn, |id| {
            if let Some(place) = first.get_mut(lost) {
                *place = id;
            }
            lost += 1;
        });
        if lost > first.len() {
            self.credit = self.credit.saturating_sub(1);
            let (conn, body) = (base_of(frame.conn), || MarketBody::LineGap);
            return tell_all(&mut self.ports.market, trail, conn, body)
                .ok_or_else(|| no_room(self.role));
        }
        for instrument in first.into_iter().take(lost) {
            let (body, conn) = (MarketBody::Damaged, frame.conn);
            let event = MarketEvent { trail, body, venue_ms: 0, instrument, conn };
            self.sink.push(event).map_err(|_| no_room(self.role))?;
        }
        self.send_staged(trail.t0)
    }

    /// Tells a book that may have lost something; a snapshot that cannot be read has failed.
    fn report_damage(&mut self, frame: &Frame, trail: Trail) -> Result<(), Fault> {
        let len = (frame.len as usize).min(frame.slot.capacity());
        // Where nothing tells, the books' own sequence checks find the hole.
        let Some(instrument) = self.decoder.suspect(frame.slot.bytes(len)) else { return Ok(()) };
        let body = if frame.kind == FrameKind::Snapshot {
            MarketBody::SnapshotFailed
        } else {
            MarketBody::Damaged
        };
        let event = MarketEvent { trail, body, venue_ms: 0, instrument, conn: frame.conn };
        self.sink.push(event).map_err(|_| no_room(self.role))
    }

    fn line_changed(&mut self, frame: &Frame, trail: Trail) -> Result<(), Fault> {
        self.add(Count::LineChanges, 1);
        if frame.kind == FrameKind::LineUp {
            self.decoder.line_up(frame.conn);
        }
        self.switch.reset();
        self.credit = self.credit.saturating_sub(1);
        let (up, conn) = (frame.kind == FrameKind::LineUp, base_of(frame.conn));
        let body = || if up { MarketBody::LineUp } else { MarketBody::LineDown };
        tell_all(&mut self.ports.market, trail, conn, body).ok_or_else(|| no_room(self.role))
    }

    /// A frame has waited too long for a block: its book must start afresh.
    fn drop_held(&mut self, frame: Frame, probe: &Probe) -> Result<(), Fault> {
        self.add(Count::Messages, 1);
        self.add(Count::DroppedNoBlock, 1);
        let mut trail = Trail::received(frame.t0, frame.kernel_ns);
        let stamp = probe.stamp();
        trail.mark(Stage::WireToParse, stamp);
        self.report_damage(&frame, trail)?;
        self.send_staged(stamp)?;
        self.give_back(frame.slot);
        Ok(())
    }

    /// Room was checked before the frame was taken. Slots without memory belong to nobody.
    fn give_back(&mut self, slot: Slot) {
        if slot.capacity() > 0 {
            let kept = self.ports.slots.push(slot);
            debug_assert!(kept.is_ok(), "room for the slot was checked");
        }
    }
}

impl Agent for ParseAgent {
    fn role(&self) -> &'static str {
        self.role
    }

    fn start(&mut self, _: Nanos) -> Result<(), Fault> {
        if self.ports.market.iter().any(|ring| ring.capacity() < EVENTS_PER_FRAME_MAX) {
            return Err(Fault {
                role: self.role,
                what: format!("market rings need a capacity of {EVENTS_PER_FRAME_MAX} at least"),
            });
        }
        self.sink = Sink::new(BlockPool::new(self.block_counts));
        self.decoder.start();
        let levels = [Count::ScannerScalar, Count::ScannerAvx2, Count::ScannerAvx512];
        let scanner = levels[self.decoder.kernels().level() as usize];
        self.counters.set(scanner as usize, 1);
        Ok(())
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        for ring in &mut self.ports.blocks {
            while let Some(block) = ring.pop() {
                self.sink.pool.give_back(block);
            }
        }
        if self.held.is_none() && self.ports.frames.waiting() == 0 {
            return Ok(0);
        }
        self.sheds = self.shedding.low_priority();
        let mut done = 0;
        while done < BATCH && self.has_room() {
            let (frame, since) = match self.held.take() {
                Some(Held { frame, since }) => (frame, since),
                None => match self.ports.frames.pop() {
                    Some(frame) => {
                        if let Some(tee) = &mut self.tee {
                            tee.copy(&frame);
                        }
                        (frame, now)
                    }
                    None => break,
                },
            };
            let taken = probe.stamp();
            if let Some(frame) = self.handle(frame, taken, probe)? {
                if now.since(since) < BLOCK_WAIT {
                    self.held = Some(Held { frame, since });
                    // A turn that did nothing leaves no trace: a replay does not know of it.
                    self.credit = 0;
                    break;
                }
                self.drop_held(frame, probe)?;
            }
            done += 1;
        }
        Ok(done)
    }
}

/// Tells every book what happened to a connection; `None` when one of them has no room.
fn tell_all(
    market: &mut [Tx<MarketEvent>],
    trail: Trail,
    conn: ConnId,
    body: impl Fn() -> MarketBody,
) -> Option<()> {
    let event =
        || MarketEvent { trail, body: body(), venue_ms: 0, instrument: InstrumentId(0), conn };
    market.iter_mut().try_for_each(|ring| ring.push(event()).ok())
}

const fn error_index(error: DecodeError) -> usize {
    Count::DecodeErrors as usize + 1 + error.index()
}

fn count_event(counters: &Counters, body: &MarketBody) {
    let add = |count: Count, n| counters.add(count as usize, n);
    match body {
        MarketBody::Depth { bids, asks, .. } => {
            add(Count::Depths, 1);
            add(Count::Levels, u64::from(bids + asks));
        }
        MarketBody::Snapshot { bids, asks, .. } => {
            add(Count::Snapshots, 1);
            add(Count::Levels, u64::from(bids + asks));
        }
        MarketBody::Trade { .. } => add(Count::Trades, 1),
        MarketBody::Quote { .. } => add(Count::Quotes, 1),
        MarketBody::SnapshotFailed => add(Count::SnapshotsFailed, 1),
        MarketBody::Damaged => add(Count::Damaged, 1),
        MarketBody::Trades { count, .. } => add(Count::Trades, u64::from(*count)),
        MarketBody::LineGap | MarketBody::LineUp | MarketBody::LineDown => {}
    }
}

/// Cannot happen while the credit is counted right; an event must not vanish if it is not.
#[cold]
fn no_room(role: &'static str) -> Fault {
    Fault { role, what: "an event found no room although room was checked".to_owned() }
}

#[cfg(test)]
#[path = "parse_agent_tests.rs"]
mod tests;
