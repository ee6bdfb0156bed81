//! The wire agent: a venue's market data sockets for its share of the instruments.
//!
//! ```text
//!   venue == stream connection ====> Link --slot--> frames     (FrameKind::Market)
//!   venue == snapshot connection ==> Link --slot--> frames     (FrameKind::Snapshot)
//!              ^-- requests -- SnapshotDesk <-- resync         (one ring per book)
//!                              SlotPool     <-- slots          (buffers come back)
//! ```
//!
//! Invariants:
//! * The socket is read only with a free slot and room in the frames ring. A stop is counted;
//!   when it lasts, or when the oldest message out is older than `stale_after`, the connection
//!   is dropped and resynchronised: late data is worse than a gap that everybody sees.
//! * Market frames are sent only between a `LineUp` and a `LineDown`; nothing is lost between
//!   them, and a connection that was replaced always shows as `LineDown`, `LineUp`.
//! * Requests that come while the line is down are dropped: every book asks anew at `LineUp`.
//!
//! Cost of an idle turn: one `recv` on the stream; the snapshot connection is looked at every
//! [`SNAPSHOT_POLL_EVERY`]. After `start` our own code allocates only while connecting; rustls
//! makes one buffer per TLS record.

mod config;
mod count;
mod desk;
mod link;
mod pool;

use bot4_lanes::{Agent, Counters, Fault, Metrics, Probe};
use bot4_types::limits::FRAME_SMALL;
use bot4_types::rng::SplitMix64;
use bot4_types::{Frame, FrameKind, Nanos, ResyncReason, Slot};
use bot4_venues::session::{MarketSession, SHUTDOWN_NOTICE_LEN_MAX};
use bot4_wire::{ConnError, Connector, HandshakeError, StreamError};

use bot4_wire::backoff::ConnectBudget;
pub use config::{WireConfig, WirePorts};
use count::{Count, NAMES};
use desk::SnapshotDesk;
use link::{Drive, Link, Take};
use pool::SlotPool;

/// How often an idle snapshot connection is read: its answers take a venue's round trip, and
/// an empty `recv` a turn would double the cost of the stream's idle turn.
pub const SNAPSHOT_POLL_EVERY: Nanos = Nanos(50_000);
/// Snapshot answers taken in one turn at most.
const SNAPSHOT_BATCH: usize = 4;
/// Snapshot requests sent in one turn at most.
const REQUEST_BATCH: usize = 8;
/// Span over which venues count connects.
const CONNECT_WINDOW: Nanos = Nanos::from_secs(300);
/// The planned life is shortened by up to this, by seed, so that two lines are never renewed
/// together.
const LIFE_JITTER: Nanos = Nanos::from_secs(1_200);

/// Market data sockets of one share of the instruments.
pub struct WireAgent {
    config: WireConfig,
    ports: WirePorts,
    session: Box<dyn MarketSession>,
    connector: Box<dyn Connector>,
    counters: Counters,
    budget: ConnectBudget,
    pool: SlotPool,
    desk: SnapshotDesk,
    /// Made in `start`; none where there is nothing to listen to.
    links: Option<Box<Links>>,
    line: Line,
    /// Reading is stopped for want of room since then.
    blocked_since: Option<Nanos>,
    /// The connection was dropped for its backlog; wait until the parser has caught up.
    catching_up: bool,
    last_error: Option<ConnError>,
    /// Text of the request being sent.
    text: Vec<u8>,
    last_turn: Nanos,
}

struct Links {
    stream: Link,
    snapshots: Link,
    snapshots_polled_at: Nanos,
}

/// What the parser was told of the line, and what is true.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    up: bool,
    told_up: bool,
    /// The line was down in between and the parser does not know.
    flapped: bool,
    /// Was up at least once, so that down time counts.
    known: bool,
    stale_ns: u64,
}

impl WireAgent {
    /// An agent that connects after its start.
    #[must_use]
    pub fn new(
        config: WireConfig,
        ports: WirePorts,
        session: Box<dyn MarketSession>,
        connector: Box<dyn Connector>,
        metrics: &Metrics,
    ) -> Self {
        let ids = config.instruments.iter().map(|i| i.id);
        let (weight, budget) = (session.snapshot_weight(), session.weight_limit_per_min());
        let desk = SnapshotDesk::new(ids, weight, budget);
        Self {
            counters: metrics.counters(config.role, NAMES),
            budget: ConnectBudget::new(config.connects_max, CONNECT_WINDOW),
            pool: SlotPool::default(),
            desk,
            links: None,
            line: Line::default(),
            blocked_since: None,
            catching_up: false,
            last_error: None,
            text: Vec::new(),
            last_turn: Nanos::ZERO,
            config,
            ports,
            session,
            connector,
        }
    }

    /// Why the last connection was lost, for reports.
    #[must_use]
    pub const fn last_error(&self) -> Option<&ConnError> {
        self.last_error.as_ref()
    }

    /// The stream connection is open.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.line.up
    }

    /// Free slots and all slots; equal when everything came home.
    #[must_use]
    pub fn slots(&self) -> (usize, usize) {
        (self.pool.free(), self.pool.total())
    }

    /// Takes back slots and requests. First in the turn: it needs no output room.
    fn drain_feedback(&mut self, now: Nanos) -> usize {
        let mut done = 0;
        while let Some(slot) = self.ports.slots.pop() {
            self.pool.returned(slot);
            done += 1;
        }
        for ring in &mut self.ports.resync {
            while let Some(resync) = ring.pop() {
                done += 1;
                self.counters.add(Count::Resyncs as usize, 1);
                if self.line.up && self.line.told_up && !self.line.flapped {
                    self.desk.request(resync.instrument, resync.reason, now);
                }
            }
        }
        done
    }

    /// Tells the parser about the line, as far as there is room.
    fn push_notices(&mut self, now: Nanos) -> usize {
        let mut done = 0;
        if self.line.told_up && (!self.line.up || self.line.flapped) {
            if !self.push_notice(FrameKind::LineDown, now) {
                return done;
            }
            self.line.told_up = false;
            self.line.flapped = false;
            self.count(Count::LineDowns, 1);
            done += 1;
        }
        if self.line.up && !self.line.told_up && self.push_notice(FrameKind::LineUp, now) {
            self.line.told_up = true;
            self.line.flapped = false;
            self.count(Count::LineUps, 1);
            done += 1;
        }
        done
    }

    fn push_notice(&mut self, kind: FrameKind, now: Nanos) -> bool {
        let frame = Frame { slot: Slot::empty(), t0: now, len: 0, conn: self.config.conn, kind };
        self.ports.frames.push(frame).is_ok()
    }

    /// Drops the connection when what was received waits too long.
    fn check_backlog(&mut self, now: Nanos, links: &mut Links) {
        let limit = self.config.stale_after;
        let old = |since: Option<Nanos>| since.is_some_and(|at| now.since(at) > limit);
        let late = old(self.blocked_since) || old(self.pool.oldest_out());
        if self.line.up && late {
            links.stream.renew(now, &mut self.pool);
            self.line_down();
            self.count(Count::DroppedBacklog, 1);
            self.catching_up = true;
        }
        if self.catching_up {
            let room = self.ports.frames.room() * 2 >= self.ports.frames.capacity();
            self.catching_up = late || !room || self.pool.out() * 2 > self.pool.total();
        }
    }

    fn drive_stream(&mut self, now: Nanos, links: &mut Links) -> usize {
        if links.stream.is_due_for_renewal(now) {
            links.stream.renew(now, &mut self.pool);
            self.line_down();
            self.count(Count::Renewals, 1);
        }
        let may_connect = !self.catching_up;
        let connector = &mut *self.connector;
        match links.stream.drive(now, connector, &mut self.budget, may_connect) {
            Drive::Same => return 0,
            Drive::Dialled => {
                self.count(Count::Connects, 1);
                if self.line.known {
                    self.count(Count::Reconnects, 1);
                }
            }
            Drive::Opened => self.stream_opened(now, links),
            Drive::Lost(error) => self.stream_lost(now, links, error),
        }
        1
    }

    fn stream_opened(&mut self, now: Nanos, links: &mut Links) {
        let mut texts = Vec::new();
        self.session.on_open(&self.config.instruments, &mut texts);
        for text in texts {
            match links.stream.send(now, &text) {
                Ok(true) => {}
                // A fresh connection that takes no message is of no use.
                Ok(false) => return self.stream_lost(now, links, ConnError::OutFull),
                Err(error) => return self.stream_lost(now, links, error),
            }
        }
        self.line.up = true;
        self.line.known = true;
        self.blocked_since = None;
    }

    fn stream_lost(&mut self, now: Nanos, links: &mut Links, error: ConnError) {
        self.count_error(&error, links.stream.is_open());
        links.stream.drop_line(now, &error, &mut self.pool);
        self.last_error = Some(error);
        self.line_down();
    }

    fn line_down(&mut self) {
        self.line.flapped |= self.line.up && self.line.told_up;
        self.line.up = false;
        self.blocked_since = None;
        self.desk.clear();
    }

    /// Reads market messages while there is room and a slot.
    fn receive_stream(&mut self, now: Nanos, links: &mut Links, probe: &Probe) -> usize {
        if !self.line.up || !self.line.told_up || self.line.flapped {
            return 0;
        }
        let mut done = 0;
        while done < self.config.batch {
            if self.ports.frames.room() == 0 {
                self.blocked(now);
                return done;
            }
            let stamp = &mut || probe.stamp();
            match links.stream.receive(now, &mut self.pool, stamp) {
                Ok(Take::Message(slot, received)) => {
                    done += 1;
                    if self.is_notice(slot.bytes(received.len)) {
                        self.pool.put(slot);
                        self.count(Count::ShutdownNotices, 1);
                        links.stream.renew(now, &mut self.pool);
                        self.line_down();
                        return done;
                    }
                    self.push_message(slot, received.len, received.t0, FrameKind::Market);
                }
                Ok(Take::Nothing) => break,
                Ok(Take::NoSlot) => {
                    self.blocked(now);
                    return done;
                }
                Err(error) => {
                    self.stream_lost(now, links, error);
                    return done + 1;
                }
            }
        }
        self.blocked_since = None;
        done
    }

    fn blocked(&mut self, now: Nanos) {
        self.count(Count::Backpressured, 1);
        self.blocked_since.get_or_insert(now);
    }

    fn is_notice(&self, text: &[u8]) -> bool {
        text.len() <= SHUTDOWN_NOTICE_LEN_MAX && self.session.is_shutdown_notice(text)
    }

    /// Sends a message on. There is room: it was asked for before the socket was read.
    fn push_message(&mut self, slot: Slot, len: usize, t0: Nanos, kind: FrameKind) {
        self.count(Count::Messages, 1);
        self.count(Count::Bytes, len as u64);
        let frame = Frame { slot, t0, len: len as u32, conn: self.config.conn, kind };
        match self.ports.frames.push(frame) {
            Ok(()) => self.pool.sent(t0),
            Err(frame) => self.pool.put(frame.slot),
        }
    }

    /// Requests and answers of the snapshot connection. It follows the stream: it connects only
    /// when the stream is up, so an outage is probed by one connection.
    fn work_snapshots(&mut self, now: Nanos, links: &mut Links, probe: &Probe) -> usize {
        let mut done = self.send_requests(now, links);
        if done == 0 && now.since(links.snapshots_polled_at) < SNAPSHOT_POLL_EVERY {
            return 0;
        }
        links.snapshots_polled_at = now;
        if links.snapshots.is_due_for_renewal(now) && self.desk.waiting() == 0 {
            links.snapshots.renew(now, &mut self.pool);
            self.count(Count::Renewals, 1);
        }
        let connector = &mut *self.connector;
        match links.snapshots.drive(now, connector, &mut self.budget, self.line.up) {
            Drive::Same => {}
            Drive::Dialled => self.count(Count::Connects, 1),
            Drive::Opened => done += 1,
            Drive::Lost(error) => self.snapshots_lost(now, links, error),
        }
        done + self.receive_snapshots(now, links, probe)
    }

    fn send_requests(&mut self, now: Nanos, links: &mut Links) -> usize {
        let mut done = 0;
        while links.snapshots.is_open() && done < REQUEST_BATCH {
            let Some(place) = self.desk.next(now) else { break };
            self.text.clear();
            let instrument = &self.config.instruments[place];
            self.session.snapshot_request(instrument, &mut self.text);
            match links.snapshots.send(now, &self.text) {
                Ok(true) => self.count(Count::SnapshotsRequested, 1),
                // Not taken: the venue does not read. Ask again in its turn.
                Ok(false) => {
                    let reason = ResyncReason::SnapshotFailed;
                    self.desk.request(self.config.instruments[place].id, reason, now);
                    break;
                }
                Err(error) => {
                    self.snapshots_lost(now, links, error);
                    break;
                }
            }
            done += 1;
        }
        done
    }

    fn receive_snapshots(&mut self, now: Nanos, links: &mut Links, probe: &Probe) -> usize {
        let mut done = 0;
        let told = self.line.told_up && !self.line.flapped;
        while links.snapshots.is_open() && told && done < SNAPSHOT_BATCH {
            if self.ports.frames.room() == 0 {
                break;
            }
            let stamp = &mut || probe.stamp();
            match links.snapshots.receive(now, &mut self.pool, stamp) {
                Ok(Take::Message(slot, received)) => {
                    done += 1;
                    if self.is_notice(slot.bytes(received.len)) {
                        self.pool.put(slot);
                        self.count(Count::ShutdownNotices, 1);
                        links.snapshots.renew(now, &mut self.pool);
                        break;
                    }
                    self.count(Count::SnapshotsReceived, 1);
                    self.push_message(slot, received.len, received.t0, FrameKind::Snapshot);
                }
                Ok(Take::Nothing | Take::NoSlot) => break,
                Err(error) => {
                    self.snapshots_lost(now, links, error);
                    break;
                }
            }
        }
        done
    }

    fn snapshots_lost(&mut self, now: Nanos, links: &mut Links, error: ConnError) {
        self.count_error(&error, links.snapshots.is_open());
        links.snapshots.drop_line(now, &error, &mut self.pool);
        self.last_error = Some(error);
    }

    fn count_error(&self, error: &ConnError, was_open: bool) {
        let index = match error {
            ConnError::Stream(StreamError::Certificate(_) | StreamError::Tls(_)) => {
                Count::ErrorsTls
            }
            ConnError::Handshake(HandshakeError::Refused { .. }) => Count::ErrorsRefused,
            ConnError::Silent => Count::ErrorsSilent,
            ConnError::ClosedByPeer(_) => Count::ErrorsClosed,
            ConnError::Stream(StreamError::Closed) if was_open => Count::ErrorsClosed,
            ConnError::Oversize { .. } => Count::Oversize,
            ConnError::Protocol(_) | ConnError::Handshake(_) => Count::ErrorsProtocol,
            _ if !was_open => Count::ErrorsConnect,
            _ => Count::ErrorsIo,
        };
        self.count(index, 1);
    }

    fn count(&self, what: Count, n: u64) {
        self.counters.add(what as usize, n);
    }

    fn count_turn(&mut self, now: Nanos, links: &mut Links) {
        for news in [links.stream.news(), links.snapshots.news()] {
            if news.fills + news.pings + news.pongs + news.answered == 0 {
                continue;
            }
            self.count(Count::Recvs, news.fills);
            self.count(Count::Pings, news.pings);
            self.count(Count::Pongs, news.pongs);
            self.count(Count::PingsAnswered, news.answered);
            if news.pongs > 0 {
                self.counters.set(Count::RttNs as usize, news.rtt_ns);
            }
        }
        if self.line.known && !self.line.up {
            self.line.stale_ns += now.since(self.last_turn).0;
            self.counters.set(Count::StaleMs as usize, Nanos(self.line.stale_ns).millis());
        }
        self.last_turn = now;
    }

    fn make_links(&self) -> Result<Links, Fault> {
        let bad = |what: String| Fault { role: self.config.role, what };
        let stream_path = self.session.stream_path(&self.config.instruments);
        let stream = self.config.stream.with_path(&stream_path);
        let stream = stream.map_err(|e| bad(format!("stream path {stream_path:?}: {e}")))?;
        let snapshot_path = self.session.snapshot_path().unwrap_or_else(|| stream_path.clone());
        let snapshots = self.config.snapshots.with_path(&snapshot_path);
        let snapshots =
            snapshots.map_err(|e| bad(format!("snapshot path {snapshot_path:?}: {e}")))?;
        let mut rng = SplitMix64::new(self.config.seed);
        let mut link = |endpoint| {
            let jitter = Nanos(rng.below(LIFE_JITTER.0.min(self.config.life.0 / 8)));
            Link::new(endpoint, self.config.ws, self.config.life.since(jitter), rng.next_u64())
        };
        Ok(Links {
            stream: link(stream),
            snapshots: link(snapshots),
            snapshots_polled_at: Nanos::ZERO,
        })
    }
}

impl Agent for WireAgent {
    fn role(&self) -> &'static str {
        self.config.role
    }

    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        let config = &self.config;
        self.pool = SlotPool::new(
            config.slots_small,
            config.slot_small_len,
            config.slots_large,
            config.slot_large_len,
        );
        self.text = Vec::with_capacity(FRAME_SMALL);
        self.last_turn = now;
        if !self.config.instruments.is_empty() {
            self.links = Some(Box::new(self.make_links()?));
        }
        Ok(())
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        let mut done = self.drain_feedback(now);
        let Some(mut links) = self.links.take() else { return Ok(done) };
        self.check_backlog(now, &mut links);
        done += self.push_notices(now);
        done += self.drive_stream(now, &mut links);
        done += self.push_notices(now);
        done += self.receive_stream(now, &mut links, probe);
        done += self.work_snapshots(now, &mut links, probe);
        self.count_turn(now, &mut links);
        self.counters.set(Count::SlotsFree as usize, self.pool.free() as u64);
        self.links = Some(links);
        Ok(done)
    }

    fn close(&mut self, now: Nanos) {
        self.drain_feedback(now);
        if let Some(links) = &mut self.links {
            links.stream.close(now, &mut self.pool);
            links.snapshots.close(now, &mut self.pool);
        }
        self.links = None;
        self.line.up = false;
        self.counters.set(Count::SlotsFree as usize, self.pool.free() as u64);
    }
}
