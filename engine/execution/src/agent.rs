//! The execution agent: approved orders out, the venue's word in.
//!
//! Order of a turn: reports that wait for room leave first; then approved orders, as far as the
//! journal has their records, so that none waits for a system call of hearing; then the venue's
//! messages; then what the clock asks for. An input is taken only when the reports of the one
//! before have left.

use std::collections::VecDeque;

use bot4_lanes::{
    Agent, Control, Counters, Fault, Histogram, Journaled, LogTx, Metrics, Probe, Rx, Tx,
};
use bot4_types::limits::VENUES_MAX;
use bot4_types::log::{Body, LogEntry, LogKind};
use bot4_types::{
    ApprovedOrder, DoneReason, ExecMsg, InstrumentTable, Nanos, OrderAction, OrderId, Qty,
    RunEpoch, Slot, Stage, VenueId, Wall, limits, trail::STAGES,
};
use bot4_venues::limits::{RateBudget, RateLimits};
use bot4_wire::{Connector, Endpoint, WsConfig};

use crate::courier::Courier;
use crate::desk::{Desk, Outcome, Question};
use crate::desk_input::DeskInput;
use crate::foreign::Declared;
use crate::gateway::{Fact, Gateway};
use crate::link::{LEGS_MAX, Link};
use crate::pause::Pause;
use crate::requester::Requester;
use crate::venue_clock::VenueClock;

mod amend;
mod by_request;
mod clock;
mod compare;
mod leaving;
mod naming;
mod rate;
mod told;
mod under_way;

pub use compare::COMPARE_EVERY;

use leaving::Departing;

/// Names of the agent's counters and gauges.
pub const COUNTERS: &[&str] = &[
    "orders_sent",
    "cancels_sent",
    "not_sent",
    "messages_private",
    "not_understood",
    "session_ready",
    "orders_open",
    "orders_unknown",
    "reconnects",
    "drained",
    "backpressured",
    "reports_lost",
    "amends_sent",
    "orders_compared",
    "orders_listed",
    "compare_age_ms",
    "cancels_put_off",
    "dead_man_unfed",
    "fills_late",
    "state_approved",
    "state_sent",
    "state_live",
    "state_partially_filled",
    "state_pending_cancel",
    "state_unknown",
    "state_filled",
    "state_canceled",
    "state_expired",
    "state_rejected",
    "state_not_sent",
    "state_pending_replace",
    "state_untriggered",
];
pub(crate) const ORDERS_SENT: usize = 0;
pub(crate) const CANCELS_SENT: usize = 1;
pub(crate) const NOT_SENT: usize = 2;
pub(crate) const MESSAGES: usize = 3;
pub(crate) const NOT_UNDERSTOOD: usize = 4;
pub(crate) const SESSION_READY: usize = 5;
const ORDERS_OPEN: usize = 6;
const ORDERS_UNKNOWN: usize = 7;
pub(crate) const RECONNECTS: usize = 8;
const DRAINED: usize = 9;
const BACKPRESSURED: usize = 10;
const REPORTS_LOST: usize = 11;
const AMENDS_SENT: usize = 12;
const ORDERS_COMPARED: usize = 13;
const ORDERS_LISTED: usize = 14;
const COMPARE_AGE_MS: usize = 15;
const CANCELS_PUT_OFF: usize = 16;
pub(crate) const DEAD_MAN_UNFED: usize = 17;
const FILLS_LATE: usize = 18;
/// Orders by state, in the order of [`OrderState`]: those that have not ended (gauges), and how
/// many ended so.
const STATES: usize = 19;

/// Roles by venue.
pub const ROLES: [&str; VENUES_MAX] = [
    "execution",
    "execution.1",
    "execution.2",
    "execution.3",
    "execution.4",
    "execution.5",
    "execution.6",
    "execution.7",
];
/// Tags of what each venue takes to answer an order.
const ACK_TAGS: [&str; VENUES_MAX] =
    ["ack", "ack.1", "ack.2", "ack.3", "ack.4", "ack.5", "ack.6", "ack.7"];

/// Inputs of each kind in a turn.
const BATCH: usize = 32;
/// Reports that find no room for this long mean that risk is gone.
const STUCK_MAX: Nanos = Nanos::from_millis(100);
/// From a halt to its fault, at most: time for the cancels.
const HALT_PATIENCE: Nanos = Nanos::from_secs(2);
/// Approved orders that wait for the journal at most.
const WAITING_MAX: usize = 256;
/// Longest private message.
const MESSAGE_LEN: usize = 1024 * 1024;
/// Facts of one message at most before the buffer grows (a thousand trades and their orders).
const FACTS: usize = 4_096;

/// Records that an approved order or its sending may need: taken, sent, the venue's word for it.
const ORDER_RECORDS: usize = 4;

/// The agent's links.
pub struct ExecutionPorts {
    /// Approved orders from risk.
    pub approved: Rx<ApprovedOrder>,
    /// Reports to risk.
    pub reports: Tx<ExecMsg>,
    /// Records to the journal.
    pub log: LogTx,
    /// What the journal has.
    pub journaled: Journaled,
    /// Log lane of risk, whose approvals must be journaled first.
    pub risk_lane: u8,
    /// The kill word.
    pub control: Control,
}

/// What the agent is told at the start.
pub struct ExecutionConfig {
    /// Instruments and assets, seen from the venue whose orders these are.
    pub table: InstrumentTable,
    /// Names the run in client order ids.
    pub epoch: RunEpoch,
    /// Venue time.
    pub wall: Wall,
    /// The venue's limits, as read from the venue.
    pub limits: RateLimits,
    /// Where orders go.
    pub endpoint: Endpoint,
    /// Times of the connection.
    pub ws: WsConfig,
    /// Seed of masks and jitter.
    pub seed: u64,
    /// Whose orders may be on the account beside ours.
    pub declared: Declared,
    /// Within this time each order at rest is compared with the venue's word; zero: never.
    pub compare: Nanos,
}

/// Latencies that execution alone can know.
pub(crate) struct Latencies {
    pub(crate) stages: [Histogram; STAGES],
    pub(crate) tick_to_trade: Histogram,
    pub(crate) other_to_trade: Histogram,
    pub(crate) ack: Histogram,
}

/// The agent.
pub struct ExecutionAgent {
    pub(crate) ports: ExecutionPorts,
    /// Which venue's orders these are.
    pub(crate) venue: VenueId,
    /// Seen from there.
    pub(crate) table: InstrumentTable,
    pub(crate) wall: VenueClock,
    /// The venue's time as the message being read states it.
    pub(crate) venue_ms: Option<i64>,
    pub(crate) gateway: Box<dyn Gateway>,
    pub(crate) link: Link,
    pub(crate) desk: Desk,
    pub(crate) budget: RateBudget,
    pub(crate) counters: Counters,
    pub(crate) latencies: Latencies,
    pub(crate) waiting: VecDeque<ApprovedOrder>,
    /// Written and not handed to the kernel yet; empty between turns.
    departing: Vec<Departing>,
    /// One for each connection: a message may come in parts, and another connection's between.
    pub(crate) buffers: [Slot; LEGS_MAX],
    pub(crate) facts: Vec<Fact>,
    pub(crate) questions: Vec<Question>,
    /// Orders whose fills are asked for because a state counted more, and what it counted.
    pub(crate) counted: Vec<(OrderId, Qty)>,
    /// Orders that are being asked for in several parts, and when the first part was sent.
    pub(crate) asked_first: Vec<(OrderId, Nanos)>,
    /// The message being read answers a question for what is open.
    pub(crate) listing: bool,
    comparing: compare::Comparing,
    naming: naming::Naming,
    /// The first record: what the desk is made with.
    start: DeskInput,
    /// Inputs of the desk that found no room in the log since the last record.
    unrecorded: u64,
    /// Records that one message of the venue may need; none is read with less room.
    pub(crate) message_records: usize,
    /// The venue takes no new order before this time, Unix ms.
    pub(crate) orders_after_ms: i64,
    /// It takes no cancel before this time, Unix ms.
    pub(crate) cancels_after_ms: i64,
    /// What risk was told last: orders can leave.
    pub(crate) told_ready: bool,
    /// No question over HTTPS before this venue time, Unix ms.
    pub(crate) rest_after_ms: i64,
    /// The same and more, shared with all who ask the venue.
    pub(crate) pause: Pause,
    clock_at: Nanos,
    cancel_all_at: Nanos,
    /// When the venue's dead-man switch was fed last.
    pub(crate) dead_man_at: Option<Nanos>,
    /// When the newest feed was sent that the venue has confirmed.
    pub(crate) dead_man_fed: Option<Nanos>,
    stuck_since: Option<Nanos>,
    halting_since: Option<Nanos>,
}

impl ExecutionAgent {
    /// An agent over `gateway`, connecting through `connector` in its first turns.
    #[must_use]
    pub fn new(
        config: ExecutionConfig,
        ports: ExecutionPorts,
        gateway: Box<dyn Gateway>,
        connector: Box<dyn Connector>,
        metrics: &Metrics,
    ) -> Self {
        let window = gateway.window();
        let mut link = Link::new(connector, config.endpoint, config.ws, config.seed);
        link.route_by(gateway.ways(), gateway.keep_alive());
        let (venue, instruments) = (config.table.view(), config.table.all().len());
        let desk = Desk::new(limits::ORDERS_OPEN_MAX, instruments, config.epoch, window)
            .declaring(venue, config.declared)
            .timed(gateway.tells_time());
        let start = DeskInput::Start {
            orders: limits::ORDERS_OPEN_MAX as u32,
            instruments: instruments as u16,
            epoch: config.epoch,
            window,
            declared: config.declared,
            venue,
            tells_time: gateway.tells_time(),
        };
        Self {
            listing: false,
            comparing: compare::Comparing::new(config.compare),
            naming: naming::Naming::default(),
            start,
            unrecorded: 0,
            message_records: FACTS.min(ports.log.room() / 2),
            ports,
            wall: VenueClock::new(config.wall),
            venue_ms: None,
            gateway,
            link,
            desk,
            budget: RateBudget::new(config.limits),
            counters: metrics.counters(ROLES[venue.index()], COUNTERS),
            latencies: Latencies {
                stages: Stage::ALL.map(|s| metrics.shared_histogram(s.name())),
                tick_to_trade: metrics.shared_histogram("tick_to_trade"),
                other_to_trade: metrics.shared_histogram("timer_or_fill_to_trade"),
                ack: metrics.histogram(ACK_TAGS[venue.index()]),
            },
            waiting: VecDeque::with_capacity(WAITING_MAX),
            departing: Vec::with_capacity(BATCH),
            buffers: [Slot::empty(), Slot::empty()],
            facts: Vec::with_capacity(FACTS),
            questions: Vec::with_capacity(BATCH),
            counted: Vec::with_capacity(BATCH),
            asked_first: Vec::with_capacity(BATCH),
            orders_after_ms: i64::MIN,
            cancels_after_ms: i64::MIN,
            told_ready: false,
            rest_after_ms: i64::MIN,
            pause: Pause::default(),
            clock_at: Nanos::ZERO,
            cancel_all_at: Nanos::ZERO,
            dead_man_at: None,
            dead_man_fed: None,
            stuck_since: None,
            halting_since: None,
            venue,
            table: config.table,
        }
    }

    /// Where a venue tells the account's events on a connection of their own.
    #[must_use]
    pub fn with_events(mut self, connector: Box<dyn Connector>, endpoint: Endpoint) -> Self {
        self.link.add_events(connector, endpoint);
        self
    }

    /// Where others ask the venue, too, with the same account or from the same address.
    #[must_use]
    pub fn with_pause(mut self, pause: Pause) -> Self {
        self.pause = pause;
        self
    }

    /// Connects in five minutes: the lane's share of what the venue allows an address.
    #[must_use]
    pub fn with_connects_max(mut self, max: usize) -> Self {
        self.link.set_connects_max(max);
        self
    }

    /// Where a venue answers questions over HTTPS only.
    #[must_use]
    pub fn with_courier(mut self, courier: Box<dyn Courier>) -> Self {
        self.link.set_courier(courier);
        self
    }

    /// Where a venue takes orders by requests over HTTPS: the lane sends them itself, and the
    /// connection of [`new`](Self::new) tells the account's events.
    #[must_use]
    pub fn with_requester(mut self, requester: Requester) -> Self {
        self.link.set_requester(requester);
        self
    }

    /// Changes the desk by `input`, and records it before a report of it can leave.
    pub(crate) fn feed(&mut self, input: DeskInput, now: Nanos) -> Outcome {
        let outcome = self.desk.apply(&input, now, &mut self.questions);
        if outcome != Outcome::Nothing {
            self.record(&input, now);
        }
        outcome
    }

    /// Room is asked for before an input is taken; only a halting agent may lack it.
    fn record(&mut self, input: &DeskInput, now: Nanos) {
        let desk = |input: &DeskInput| LogEntry::new(LogKind::Desk, now, |w| input.write(w));
        if self.unrecorded > 0 && self.ports.log.room() > 1 {
            let _ = self.ports.log.push(desk(&DeskInput::Unrecorded(self.unrecorded)));
            self.unrecorded = 0;
        }
        if self.unrecorded > 0 || self.ports.log.push(desk(input)).is_err() {
            self.unrecorded += 1;
        }
    }

    fn not_sent(&mut self, order: OrderId, now: Nanos, reason: DoneReason) {
        self.feed(DeskInput::NotSent(order, reason), now);
    }

    /// Sends reports as far as there is room for them and their records. Where there is none for
    /// too long the engine halts: the kill is latched, what is open is cancelled, and reports
    /// that nobody takes are counted and dropped so that the cancels go on.
    fn deliver(&mut self, now: Nanos) -> usize {
        let mut done = 0;
        while let Some(message) = self.desk.outbox().front().copied() {
            if self.ports.reports.room() == 0 || self.ports.log.room() == 0 {
                if done > 0 {
                    self.stuck_since = None;
                }
                let since = *self.stuck_since.get_or_insert(now);
                self.counters.add(BACKPRESSURED, 1);
                if self.halting_since.is_none() {
                    if now.since(since) <= STUCK_MAX {
                        return done;
                    }
                    self.halting_since = Some(now);
                    self.ports.control.kill();
                }
                self.counters.add(REPORTS_LOST, 1);
            }
            let kind = match message {
                ExecMsg::Balance { .. } => LogKind::Balance,
                _ => LogKind::Learned,
            };
            let entry = LogEntry::new(kind, now, |w| message.write(w));
            // Room was asked for above; only a halting agent goes on without.
            let _ = self.ports.log.push(entry);
            let _ = self.ports.reports.push(message);
            self.desk.outbox().pop_front();
            done += 1;
        }
        self.stuck_since = None;
        done
    }

    /// Reports found no room for too long: what is open is being cancelled.
    pub(crate) const fn is_halting(&self) -> bool {
        self.halting_since.is_some()
    }

    /// The fault of a halt, raised when nothing is open any more or cancels had their time.
    fn halted(&self, now: Nanos) -> Result<(), Fault> {
        let Some(since) = self.halting_since else { return Ok(()) };
        if self.desk.open() > 0 && now.since(since) < HALT_PATIENCE {
            return Ok(());
        }
        let what = "reports found no room for 100 ms: risk or the journal is stuck";
        Err(Fault { role: self.role(), what: what.to_owned() })
    }

    /// Takes approved orders and cancels from risk.
    fn take_approved(&mut self, now: Nanos, probe: &Probe) -> usize {
        let mut done = 0;
        while done < BATCH && self.waiting.len() < WAITING_MAX && self.desk.has_room() {
            if self.ports.log.room() < ORDER_RECORDS * (1 + self.departing.len()) {
                break;
            }
            let Some(approved) = self.ports.approved.pop() else { break };
            done += 1;
            let outcome = self.feed(DeskInput::Take(*approved.intent()), now);
            match (approved.intent().action, outcome) {
                (OrderAction::Cancel, _) => self.cancel(&approved, now),
                (OrderAction::Place, Outcome::Refused) => self.counters.add(NOT_SENT, 1),
                (OrderAction::Place | OrderAction::Amend, _) => self.waiting.push_back(approved),
            }
        }
        self.depart(now, probe);
        done
    }
}

impl Agent for ExecutionAgent {
    fn role(&self) -> &'static str {
        ROLES[self.venue.index()]
    }

    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        for buffer in self.buffers.iter_mut().take(self.link.legs_len()) {
            *buffer = Slot::new(MESSAGE_LEN);
        }
        let start = self.start;
        self.record(&start, now);
        Ok(())
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        self.halted(now)?;
        let mut done = self.deliver(now);
        if self.desk.has_room() {
            done += self.take_approved(now, probe);
            done += self.send_waiting(now, probe);
            done += self.deliver(now);
        }
        done += self.hear(now, probe)?;
        done += self.deliver(now);
        if self.desk.has_room() {
            self.look_at_clock(now, probe);
            done += self.deliver(now);
        } else {
            probe.note_backpressure();
        }
        Ok(done)
    }

    fn close(&mut self, now: Nanos) {
        self.link.close(now);
    }
}
