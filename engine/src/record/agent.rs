//! The agent in the parser's place: frames to disk, slots back, snapshots asked for.
//!
//! Cold: it may wait for the disk. While it does, the frames link fills and the wire stops
//! reading its sockets; what waits longer than the wire's limit costs the connection, which is
//! counted and stands in the capture as a line that went down. So nothing is ever lost between
//! a `LineUp` and a `LineDown`.

use bot4_capture::{CaptureTotals, CaptureWriter, FrameHead};
use bot4_lanes::{Agent, Counters, Fault, Metrics, Probe, Rx, Tx};
use bot4_types::{ConnId, Frame, FrameKind, InstrumentId, Nanos, Resync, ResyncReason, Slot, Wall};

/// The agent's name.
pub const ROLE: &str = "record";
/// Frames taken from each link in a turn.
const BATCH: usize = 256;
/// A snapshot that is not answered within this time is asked for again.
const PATIENCE: Nanos = Nanos::from_secs(20);
/// A refused snapshot is asked for again after this time.
const AFTER_REFUSAL: Nanos = Nanos::from_secs(5);

const COUNTERS: &[&str] =
    &["frames", "text_bytes", "stored_bytes", "blocks", "snapshots", "snapshots_refused"];
const FRAMES: usize = 0;
const TEXT_BYTES: usize = 1;
const STORED_BYTES: usize = 2;
const BLOCKS: usize = 3;
const SNAPSHOTS: usize = 4;
const REFUSED: usize = 5;

/// The ends of one wire's links.
pub struct RecordPorts {
    /// What the wire received.
    pub frames: Rx<Frame>,
    /// Emptied slots back to it.
    pub slots: Tx<Slot>,
    /// Requests for snapshots.
    pub resync: Tx<Resync>,
    /// The wire's connection.
    pub conn: ConnId,
    /// The instruments that it carries.
    pub instruments: Vec<InstrumentId>,
}

/// The mapping to wall time, and where a newer one comes from. It is followed through a
/// recording of days, so Unix times may step by what two clocks drift in a second; engine times
/// never do.
pub struct WallPort {
    /// At the start.
    pub wall: Wall,
    /// Later ones.
    pub newer: Rx<Wall>,
}

/// An instrument's snapshots.
#[derive(Clone, Copy, Debug)]
struct Ask {
    instrument: InstrumentId,
    conn: ConnId,
    /// When to ask; [`Nanos::MAX`]: not now.
    due: Nanos,
    reason: ResyncReason,
}

/// See the module.
pub struct RecordAgent {
    ports: Vec<RecordPorts>,
    wall: WallPort,
    writer: Option<CaptureWriter>,
    asks: Vec<Ask>,
    /// Between two snapshots of an instrument; `None` where the stream brings them.
    every: Option<Nanos>,
    counters: Counters,
    totals: CaptureTotals,
    failure: Option<String>,
}

impl RecordAgent {
    /// An agent that writes what comes by `ports`. With `every`, it asks for a snapshot of each
    /// instrument when its line comes up and at this distance.
    #[must_use]
    pub fn new(
        ports: Vec<RecordPorts>,
        writer: CaptureWriter,
        wall: WallPort,
        every: Option<Nanos>,
        metrics: &Metrics,
    ) -> Self {
        let ask = |conn| {
            move |instrument: &InstrumentId| Ask {
                instrument: *instrument,
                conn,
                due: Nanos::MAX,
                reason: ResyncReason::Start,
            }
        };
        let mut asks: Vec<Ask> =
            ports.iter().flat_map(|p| p.instruments.iter().map(ask(p.conn))).collect();
        asks.sort_by_key(|ask| ask.instrument);
        Self {
            ports,
            wall,
            writer: Some(writer),
            asks,
            every,
            counters: metrics.counters(ROLE, COUNTERS),
            totals: CaptureTotals::default(),
            failure: None,
        }
    }

    /// What was written, complete once the agent was closed.
    #[must_use]
    pub const fn totals(&self) -> CaptureTotals {
        self.totals
    }

    /// Why the end of the capture could not be written.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Takes a batch of one wire's frames.
    fn drain(&mut self, at: usize, now: Nanos) -> Result<usize, Fault> {
        let Some(writer) = &mut self.writer else { return Ok(0) };
        let mut done = 0;
        while done < BATCH && self.ports[at].slots.room() > 0 {
            let Some(frame) = self.ports[at].frames.pop() else { break };
            done += 1;
            let len = (frame.len as usize).min(frame.slot.capacity());
            let (recv, wall_unix_ns) = (frame.t0, self.wall.wall.unix_ns(frame.t0));
            let (conn, kind, len) = (frame.conn, frame.kind, len as u32);
            let head = FrameHead { recv, wall_unix_ns, conn, kind, len };
            let text = frame.slot.bytes(len as usize);
            let written = writer.append(head, &[text]);
            let wire = self.ports[at].conn;
            note(&mut self.asks, self.every, &self.counters, (wire, frame.kind), text, now);
            if frame.slot.capacity() > 0 {
                let kept = self.ports[at].slots.push(frame.slot);
                debug_assert!(kept.is_ok(), "room for the slot was checked");
            }
            written.map_err(|e| cannot_write(&e))?;
        }
        Ok(done)
    }

    /// Asks for the snapshots that are due.
    fn ask(&mut self, now: Nanos) -> usize {
        let mut asked = 0;
        for ask in self.asks.iter_mut().filter(|ask| ask.due <= now) {
            let port = self.ports.iter_mut().find(|port| port.conn == ask.conn);
            let (instrument, conn, reason) = (ask.instrument, ask.conn, ask.reason);
            let message = Resync { instrument, conn, reason };
            if port.is_some_and(|port| port.resync.push(message).is_ok()) {
                ask.due = now + PATIENCE;
                ask.reason = ResyncReason::SnapshotTimeout;
                asked += 1;
            }
        }
        asked
    }

    fn tell(&mut self) {
        if let Some(writer) = &self.writer {
            self.totals = writer.totals();
        }
        self.counters.set(FRAMES, self.totals.frames);
        self.counters.set(TEXT_BYTES, self.totals.text_bytes);
        self.counters.set(STORED_BYTES, self.totals.stored_bytes);
        self.counters.set(BLOCKS, self.totals.blocks);
    }
}

impl Agent for RecordAgent {
    fn role(&self) -> &'static str {
        ROLE
    }

    fn work(&mut self, now: Nanos, _probe: &mut Probe) -> Result<usize, Fault> {
        let mut done = 0;
        while let Some(wall) = self.wall.newer.pop() {
            self.wall.wall = wall;
        }
        for at in 0..self.ports.len() {
            done += self.drain(at, now)?;
        }
        done += self.ask(now);
        if let Some(writer) = &mut self.writer {
            writer.turn(now).map_err(|e| cannot_write(&e))?;
        }
        self.tell();
        Ok(done)
    }

    /// Takes what the wires left in the links and finishes the block.
    fn close(&mut self, now: Nanos) {
        for at in 0..self.ports.len() {
            while self.drain(at, now).is_ok_and(|done| done > 0) {}
        }
        if let Some(writer) = self.writer.take() {
            match writer.finish() {
                Ok(totals) => self.totals = totals,
                Err(e) => self.failure = Some(cannot_write(&e).what),
            }
        }
        self.tell();
    }
}

fn cannot_write(error: &std::io::Error) -> Fault {
    let what = format!(
        "cannot write the capture: {error}\nhelp: see to room and permissions, and start again \
         with the same --out: it goes on behind the last whole block"
    );
    Fault { role: ROLE, what }
}

/// What a frame means for the snapshots.
fn note(
    asks: &mut [Ask],
    every: Option<Nanos>,
    counters: &Counters,
    (wire, kind): (ConnId, FrameKind),
    text: &[u8],
    now: Nanos,
) {
    let Some(every) = every else { return };
    match kind {
        FrameKind::LineUp | FrameKind::LineDown => {
            let up = kind == FrameKind::LineUp;
            // By the wire: a connection that replaced another one has a number of its own.
            for ask in asks.iter_mut().filter(|ask| ask.conn == wire) {
                ask.due = if up { now } else { Nanos::MAX };
                ask.reason = ResyncReason::Start;
            }
        }
        FrameKind::Snapshot => {
            let Some((id, taken)) = answer_of(text) else { return };
            counters.add(if taken { SNAPSHOTS } else { REFUSED }, 1);
            let Some(ask) = asks.get_mut(id) else { return };
            let (wait, reason) = match taken {
                true => (every, ResyncReason::Start),
                false => (AFTER_REFUSAL, ResyncReason::SnapshotFailed),
            };
            (ask.due, ask.reason) = (now + wait, reason);
        }
        FrameKind::Market | FrameKind::SwitchBegin | FrameKind::SwitchEnd => {}
    }
}

/// The instrument that a snapshot answer is of (a request's `id` is its index) and whether the
/// venue gave one, read from the answer's first bytes.
fn answer_of(text: &[u8]) -> Option<(usize, bool)> {
    let head = &text[..text.len().min(64)];
    let number = |key: &[u8]| -> Option<usize> {
        let at = head.windows(key.len()).position(|w| w == key)? + key.len();
        let digits = head[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        std::str::from_utf8(&head[at..at + digits]).ok()?.parse().ok()
    };
    Some((number(b"\"id\":")?, number(b"\"status\":") == Some(200)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_capture::{CaptureOptions, CaptureReader, Item};
    use bot4_lanes::ring;

    struct Rig {
        agent: RecordAgent,
        frames: Tx<Frame>,
        slots: Rx<Slot>,
        resync: Rx<Resync>,
        walls: Tx<Wall>,
        metrics: Metrics,
        dir: tempfile::TempDir,
    }

    fn rig(every: Option<Nanos>, slots_back: usize) -> Rig {
        let dir = tempfile::tempdir().expect("a folder");
        let (frames, frames_rx) = ring(64);
        let (slots_tx, slots) = ring(slots_back);
        let (resync_tx, resync) = ring(8);
        let ports = RecordPorts {
            frames: frames_rx,
            slots: slots_tx,
            resync: resync_tx,
            conn: ConnId(0),
            instruments: vec![InstrumentId(0), InstrumentId(1)],
        };
        let metrics = Metrics::in_memory();
        let writer = CaptureWriter::open(dir.path(), CaptureOptions::default()).expect("opened");
        let (walls, newer) = ring(2);
        let wall = WallPort { wall: Wall::default(), newer };
        let agent = RecordAgent::new(vec![ports], writer, wall, every, &metrics);
        Rig { agent, frames, slots, resync, walls, metrics, dir }
    }

    impl Rig {
        fn send(&mut self, kind: FrameKind, text: &str) {
            let mut slot = if text.is_empty() { Slot::empty() } else { Slot::new(256) };
            slot.bytes_mut()[..text.len()].copy_from_slice(text.as_bytes());
            let (t0, len, conn) = (Nanos(5), text.len() as u32, ConnId(0));
            self.frames.push(Frame { slot, t0, len, kernel_ns: 0, conn, kind }).expect("room");
        }

        fn turn(&mut self, now: Nanos) -> Vec<(u16, ResyncReason)> {
            self.agent.work(now, &mut Probe::logical()).expect("no fault");
            let asked = std::iter::from_fn(|| self.resync.pop());
            asked.map(|resync| (resync.instrument.0, resync.reason)).collect()
        }
    }

    #[test]
    fn snapshots_are_asked_for_again_and_again() {
        use ResyncReason::{SnapshotFailed, SnapshotTimeout, Start};
        let s = Nanos::from_secs;
        let mut rig = rig(Some(s(600)), 64);
        assert_eq!(rig.turn(s(1)), [], "the line is not up");
        rig.send(FrameKind::LineUp, "");
        assert_eq!(rig.turn(s(2)), [(0, Start), (1, Start)]);
        rig.send(FrameKind::Snapshot, r#"{"id":1,"status":200,"result":{}}"#);
        rig.send(FrameKind::Snapshot, r#"{"id":0,"status":429,"error":{}}"#);
        assert_eq!(rig.turn(s(3)), []);
        assert_eq!(rig.turn(s(8)), [(0, SnapshotFailed)]);
        assert_eq!(rig.turn(s(28)), [(0, SnapshotTimeout)]);
        rig.send(FrameKind::Snapshot, r#"{"id":0,"status":200,"result":{}}"#);
        assert_eq!(rig.turn(s(29)), []);
        assert_eq!(rig.turn(s(603)), [(1, Start)]);
        rig.send(FrameKind::LineDown, "");
        assert_eq!(rig.turn(s(650)), [], "nobody answers while the line is down");
        let counts = (rig.metrics.total("snapshots"), rig.metrics.total("snapshots_refused"));
        assert_eq!(counts, (2, 1));
        // Answers that are none, of nobody, or cut short.
        for text in [r#"{"id":7,"status":200}"#, "{}", r#"{"id":"#, r#"{"id":99999999999999999999"#]
        {
            rig.send(FrameKind::Snapshot, text);
        }
        rig.turn(s(651));
    }

    #[test]
    fn frames_are_written_as_they_came_and_slots_go_back() {
        let mut rig = rig(None, 2);
        rig.walls.push(Wall { origin_unix_ns: 1_000 }).expect("room");
        rig.send(FrameKind::LineUp, "");
        for text in ["one", "two", "three"] {
            rig.send(FrameKind::Market, text);
        }
        assert_eq!(rig.turn(Nanos(9)), [], "the stream brings the snapshots");
        assert_eq!((rig.slots.waiting(), rig.metrics.total("frames")), (2, 3));
        // The third waits until its slot can go back.
        assert!(rig.slots.pop().is_some());
        rig.agent.close(Nanos(10));
        assert_eq!(rig.agent.totals().frames, 4);
        assert_eq!(rig.agent.failure(), None);
        let mut reader = CaptureReader::open(rig.dir.path()).expect("opened");
        let mut seen = Vec::new();
        while let Some(item) = reader.next().expect("readable") {
            let Item::Frame(head, text) = item else { panic!("{item:?}") };
            assert_eq!((head.recv, head.wall_unix_ns), (Nanos(5), 1_005));
            seen.push((head.kind, String::from_utf8_lossy(text).into_owned()));
        }
        let market = |text: &str| (FrameKind::Market, text.to_owned());
        let up = (FrameKind::LineUp, String::new());
        assert_eq!(seen, [up, market("one"), market("two"), market("three")]);
    }
}
