//! The wire agent: a venue's market data sockets for its share of the instruments.
//!
//! ```text
//!   venue == stream connection ====> Link --slot--> frames     (FrameKind::Market)
//!   venue == its successor ========> Link --slot--> frames     (while one replaces the other)
//!              ^-- subscriptions, paced                        (venues that stream snapshots)
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
//!   them. A connection that was lost always shows as `LineDown`, `LineUp`; one that was replaced
//!   in order ([`handover`]) shows as neither.
//! * Requests that come while the line is down are dropped: every book asks anew at `LineUp`.
//! * No connection says more in a second than its venue allows, pings included ([`pace`]).
//!
//! **A fresh snapshot** is asked for on the snapshot connection where the venue has requests, and
//! by subscribing again where snapshots are streamed; where that is not possible, or was done too
//! often, the connection is replaced. **After an outage** one connection of the venue tries to get
//! in ([`scout`]).
//!
//! Cost of an idle turn: one `recv` on the stream; the snapshot connection is looked at every
//! [`SNAPSHOT_POLL_EVERY`]. After `start` our own code allocates only while connecting and
//! subscribing; rustls makes one buffer per TLS record.

mod config;
mod count;
mod desk;
mod handover;
mod link;
mod pace;
mod pool;
pub mod scout;
mod snapshots;
mod stream;

use bot4_lanes::metrics::Histogram;
use bot4_lanes::{Agent, Counters, Fault, Metrics, Probe};
use bot4_types::limits::FRAME_SMALL;
use bot4_types::rng::SplitMix64;
use bot4_types::{ConnId, Frame, FrameKind, Nanos, ResyncReason, Slot};
use bot4_venues::session::{MarketSession, REFUSAL_LEN_MAX, SHUTDOWN_NOTICE_LEN_MAX};
use bot4_wire::{ConnError, Connector, HandshakeError, Received, StreamError};

use bot4_wire::backoff::ConnectBudget;
pub use config::{CONN_SIDE, WireConfig, WirePorts};
use count::{Count, NAMES};
use desk::SnapshotDesk;
use handover::Handover;
use link::{Link, Manners};
use pool::SlotPool;
use scout::Permit;
pub use snapshots::SNAPSHOT_POLL_EVERY;

/// Span over which venues count connects.
const CONNECT_WINDOW: Nanos = Nanos::from_secs(300);
/// The planned life is shortened by up to this, by seed, so that two lines are never renewed
/// together.
const LIFE_JITTER: Nanos = Nanos::from_secs(1_200);
/// A connection is replaced this long before its venue cuts it, or a tenth of its life.
const LIFE_MARGIN: Nanos = Nanos::from_secs(600);
/// Times in a minute that instruments may be subscribed again on one connection. OKX, the
/// strictest, counts 480 subscribe and unsubscribe messages an hour; two belong to each time.
const RESUBSCRIBES_PER_MIN: u32 = 8;

/// Market data sockets of one share of the instruments.
pub struct WireAgent {
    config: WireConfig,
    ports: WirePorts,
    session: Box<dyn MarketSession>,
    connector: Box<dyn Connector>,
    counters: Counters,
    /// How long the kernel had what was read, where it tells.
    kernel_ns: Histogram,
    budget: ConnectBudget,
    permit: Permit,
    pool: SlotPool,
    desk: SnapshotDesk,
    /// Snapshots come with the stream; there is no connection for requests.
    streamed: bool,
    /// Made in `start`; none where there is nothing to listen to.
    links: Option<Box<Links>>,
    line: Line,
    /// Of two numbers that the stream connection has in turn, the second one.
    other_side: bool,
    /// The stream connection shall be replaced: a book can be mended in no other way.
    fresh_wanted: bool,
    /// Snapshot requests without an answer yet. The desk's line is no measure of them: it holds an
    /// instrument once, and one that was asked twice has a second answer behind the first.
    answers_owed: u32,
    /// Some of them were made before the stream was lost: what they answer is older than what the
    /// books have missed.
    answers_void: bool,
    /// The stream connection shall be replaced: its server goes away.
    leaving: bool,
    /// End of the last handover.
    handed_over_at: Option<Nanos>,
    /// From there to one for the sake of a book.
    handover_spacing: Nanos,
    /// The successor was lost while the parser followed both.
    abandoned: bool,
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
    /// The stream connection's successor, while one replaces the other.
    next: Option<Handover>,
    /// Where snapshots are asked for.
    snapshots: Option<Link>,
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
        let streamed = session.snapshot_path().is_none();
        let desk = match streamed {
            true => SnapshotDesk::new(ids, 1, RESUBSCRIBES_PER_MIN),
            false => {
                SnapshotDesk::new(ids, session.snapshot_weight(), session.weight_limit_per_min())
            }
        };
        Self {
            counters: metrics.counters(config.role, NAMES),
            kernel_ns: metrics.histogram(config.kernel_tag()),
            budget: ConnectBudget::new(config.connects_max, CONNECT_WINDOW),
            permit: Permit::new(config.part.clone(), config.seed),
            pool: SlotPool::default(),
            desk,
            streamed,
            links: None,
            line: Line::default(),
            other_side: false,
            fresh_wanted: false,
            answers_owed: 0,
            answers_void: false,
            leaving: false,
            handed_over_at: None,
            handover_spacing: Nanos::ZERO,
            abandoned: false,
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
        for i in 0..self.ports.resync.len() {
            while let Some(resync) = self.ports.resync[i].pop() {
                done += 1;
                self.counters.add(Count::Resyncs as usize, 1);
                if self.line.is_told() && self.is_wanted(resync.reason, now) {
                    self.desk.request(resync.instrument, resync.reason, now);
                }
            }
        }
        done
    }

    /// A streamed snapshot comes by itself after the subscription: only a book that misses it
    /// for longer needs anything done.
    fn is_wanted(&self, reason: ResyncReason, now: Nanos) -> bool {
        let first = matches!(reason, ResyncReason::Start | ResyncReason::SnapshotTimeout);
        if !self.streamed || !first {
            return true;
        }
        let settled = self.links.as_ref().and_then(|links| links.stream.settled_at());
        reason != ResyncReason::Start
            && settled.is_some_and(|at| now.since(at) >= stream::FIRST_SNAPSHOT_WITHIN)
    }

    /// Tells the parser about the line, as far as there is room.
    fn push_notices(&mut self, now: Nanos) -> usize {
        let mut done = 0;
        if self.line.told_up && (!self.line.up || self.line.flapped) {
            if !self.push_notice(FrameKind::LineDown, self.conn(), now) {
                return done;
            }
            self.line.told_up = false;
            self.line.flapped = false;
            self.abandoned = false;
            self.count(Count::LineDowns, 1);
            done += 1;
        }
        if self.line.up
            && !self.line.told_up
            && self.push_notice(FrameKind::LineUp, self.conn(), now)
        {
            self.line.told_up = true;
            self.line.flapped = false;
            self.count(Count::LineUps, 1);
            done += 1;
        }
        if self.abandoned && self.push_notice(FrameKind::SwitchEnd, self.conn(), now) {
            self.abandoned = false;
            done += 1;
        }
        done
    }

    fn push_notice(&mut self, kind: FrameKind, conn: ConnId, now: Nanos) -> bool {
        let frame = Frame { slot: Slot::empty(), t0: now, len: 0, kernel_ns: 0, conn, kind };
        self.ports.frames.push(frame).is_ok()
    }

    /// The present number of the stream connection.
    const fn conn(&self) -> ConnId {
        self.conn_of(self.other_side)
    }

    const fn conn_of(&self, other_side: bool) -> ConnId {
        let base = self.config.conn.0;
        ConnId(if other_side { base + CONN_SIDE } else { base })
    }

    /// Drops the connection when what was received waits too long.
    fn check_backlog(&mut self, now: Nanos, links: &mut Links) {
        let limit = self.config.stale_after;
        let old = |since: Option<Nanos>| since.is_some_and(|at| now.since(at) > limit);
        let late = old(self.blocked_since) || old(self.pool.oldest_out());
        if self.line.up && late {
            links.stream.renew(now, &mut self.pool);
            self.drop_successor(now, links);
            self.line_down();
            self.count(Count::DroppedBacklog, 1);
            self.catching_up = true;
        }
        if self.catching_up {
            let room = self.ports.frames.room() * 2 >= self.ports.frames.capacity();
            self.catching_up = late || !room || self.pool.out() * 2 > self.pool.total();
        }
    }

    fn line_down(&mut self) {
        self.line.flapped |= self.line.up && self.line.told_up;
        self.line.up = false;
        self.blocked_since = None;
        self.fresh_wanted = false;
        self.leaving = false;
        self.answers_void |= self.answers_owed > 0;
        self.desk.clear();
    }

    fn blocked(&mut self, now: Nanos) {
        self.count(Count::Backpressured, 1);
        self.blocked_since.get_or_insert(now);
    }

    fn is_notice(&self, text: &[u8]) -> bool {
        text.len() <= SHUTDOWN_NOTICE_LEN_MAX && self.session.is_shutdown_notice(text)
    }

    /// What an answer says of a pause, ms.
    fn pause_told(&self, text: &[u8]) -> Option<u64> {
        (text.len() <= REFUSAL_LEN_MAX).then(|| self.session.pause_told(text)).flatten()
    }

    /// Sends a message on. There is room: it was asked for before the socket was read.
    fn push_message(&mut self, slot: Slot, message: Received, kind: FrameKind, conn: ConnId) {
        let Received { len, t0, kernel_ns, .. } = message;
        self.count(Count::Messages, 1);
        self.count(Count::Bytes, len as u64);
        if let Some(ns) = kernel_ns {
            self.count(Count::KernelStamped, 1);
            self.kernel_ns.record(u64::from(ns));
        }
        let kernel_ns = kernel_ns.unwrap_or(0);
        let frame = Frame { slot, t0, len: len as u32, kernel_ns, conn, kind };
        match self.ports.frames.push(frame) {
            Ok(()) => self.pool.sent(t0),
            Err(frame) => self.pool.put(frame.slot),
        }
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
        let next = links.next.as_mut().map(|next| &mut next.link);
        for link in [Some(&mut links.stream), next, links.snapshots.as_mut()] {
            let Some(news) = link.map(Link::news) else { continue };
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

    /// Whether one connection of `session` can carry what `config` asks of it.
    ///
    /// # Errors
    /// A sentence with the numbers.
    pub fn check(config: &WireConfig, session: &dyn MarketSession) -> Result<(), String> {
        let max = session.limits().streams_max as usize;
        let streams = session.streams(&config.instruments);
        if max == 0 || streams <= max {
            return Ok(());
        }
        Err(format!(
            "{} instruments are {streams} streams, and the venue allows {max} on one connection: \
             trade fewer symbols, or spread them evenly over the wire lanes",
            config.instruments.len()
        ))
    }

    fn make_links(&self) -> Result<Links, Fault> {
        let bad = |what: String| Fault { role: self.config.role, what };
        Self::check(&self.config, &*self.session).map_err(bad)?;
        let stream_path = self.session.stream_path(&self.config.instruments);
        let stream = self.config.stream.with_path(&stream_path);
        let stream = stream.map_err(|e| bad(format!("stream path {stream_path:?}: {e}")))?;
        let endpoint = |path: String| {
            let endpoint = self.config.snapshots.with_path(&path);
            endpoint.map_err(|e| bad(format!("snapshot path {path:?}: {e}")))
        };
        let snapshots = self.session.snapshot_path().map(endpoint).transpose()?;
        let mut rng = SplitMix64::new(self.config.seed);
        let limits = self.session.limits();
        let life = match limits.life {
            Nanos::ZERO => self.config.life,
            cut => self.config.life.min(cut.since(LIFE_MARGIN.min(Nanos(cut.0 / 10)))),
        };
        let mut link = |endpoint, manners| {
            let jitter = Nanos(rng.below(LIFE_JITTER.0.min(life.0 / 8)));
            Link::new(endpoint, self.config.ws, manners, life.since(jitter), rng.next_u64())
        };
        let manners = Manners {
            messages_per_s: limits.messages_per_s,
            keep_alive: self.session.keep_alive(),
        };
        Ok(Links {
            stream: link(stream, manners),
            next: None,
            snapshots: snapshots.map(|endpoint| link(endpoint, Manners::default())),
            snapshots_polled_at: Nanos::ZERO,
        })
    }
}

impl Line {
    /// Up, and the parser knows.
    const fn is_told(&self) -> bool {
        self.up && self.told_up && !self.flapped
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
        done += self.drive_handover(now, &mut links);
        done += self.push_notices(now);
        done += self.receive_stream(now, &mut links, probe);
        done += self.receive_successor(now, &mut links, probe);
        done += match self.streamed {
            true => self.resubscribe(now, &mut links),
            false => self.work_snapshots(now, &mut links, probe),
        };
        self.count_turn(now, &mut links);
        self.counters.set(Count::SlotsFree as usize, self.pool.free() as u64);
        let backlog = self.pool.oldest_out().map_or(0, |t0| now.since(t0).0 / 1_000);
        self.counters.set(Count::BacklogUs as usize, backlog);
        self.links = Some(links);
        Ok(done)
    }

    fn close(&mut self, now: Nanos) {
        self.drain_feedback(now);
        if let Some(mut links) = self.links.take() {
            self.drop_successor(now, &mut links);
            links.stream.close(now, &mut self.pool);
            if let Some(link) = &mut links.snapshots {
                link.close(now, &mut self.pool);
            }
        }
        self.permit.close();
        self.line.up = false;
        self.counters.set(Count::SlotsFree as usize, self.pool.free() as u64);
    }
}
