//! The execution agent: approved orders out, the venue's word in.
//!
//! Order of a turn: reports that wait for room leave first; then the venue's messages; then
//! approved orders, as far as the journal has their records; then what the clock asks for.
//! An input is taken only when the reports of the one before have left.

use std::collections::VecDeque;

use bot4_lanes::{
    Agent, Control, Counters, Fault, Histogram, Journaled, LogTx, Metrics, Phase, Probe, Rx, Tx,
};
use bot4_types::limits::VENUES_MAX;
use bot4_types::log::{Body, LogEntry, LogKind};
use bot4_types::{
    ApprovedOrder, Cause, DoneReason, ExecMsg, InstrumentTable, Nanos, OrderAction, OrderId,
    OrderIntent, Qty, RunEpoch, SentRecord, Slot, Stage, VenueId, Wall, limits, trail::STAGES,
};
use bot4_venues::limits::{RateBudget, RateLimits};
use bot4_venues::place::Place;
use bot4_wire::{Connector, Endpoint, WsConfig};

use crate::courier::Courier;
use crate::desk::{Desk, Outcome, Question};
use crate::desk_input::DeskInput;
use crate::foreign::Declared;
use crate::gateway::{Act, Fact, Gateway, Named};
use crate::link::{LEGS_MAX, Link, SessionState};
use crate::requester::Requester;
use crate::requests::Purpose;
use crate::venue_clock::VenueClock;

mod amend;
mod by_request;
mod clock;
mod compare;
mod told;
mod under_way;

pub use compare::COMPARE_EVERY;

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
    /// The first record: what the desk is made with.
    start: DeskInput,
    /// Inputs of the desk that found no room in the log since the last record.
    unrecorded: u64,
    /// Records that one message of the venue may need; none is read with less room.
    pub(crate) message_records: usize,
    /// The venue takes no new order before this time, Unix ms.
    pub(crate) orders_after_ms: i64,
    /// What risk was told last: orders can leave.
    pub(crate) told_ready: bool,
    /// No question over HTTPS before this venue time, Unix ms.
    pub(crate) rest_after_ms: i64,
    clock_at: Nanos,
    cancel_all_at: Nanos,
    /// When the venue's dead-man switch was fed last.
    pub(crate) dead_man_at: Option<Nanos>,
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
            buffers: [Slot::empty(), Slot::empty()],
            facts: Vec::with_capacity(FACTS),
            questions: Vec::with_capacity(BATCH),
            counted: Vec::with_capacity(BATCH),
            asked_first: Vec::with_capacity(BATCH),
            orders_after_ms: i64::MIN,
            told_ready: false,
            rest_after_ms: i64::MIN,
            clock_at: Nanos::ZERO,
            cancel_all_at: Nanos::ZERO,
            dead_man_at: None,
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
            if self.ports.log.room() < ORDER_RECORDS {
                break;
            }
            let Some(approved) = self.ports.approved.pop() else { break };
            done += 1;
            let outcome = self.feed(DeskInput::Take(*approved.intent()), now);
            match (approved.intent().action, outcome) {
                (OrderAction::Cancel, _) => self.cancel(&approved, now, probe),
                (OrderAction::Place, Outcome::Refused) => self.counters.add(NOT_SENT, 1),
                (OrderAction::Place | OrderAction::Amend, _) => self.waiting.push_back(approved),
            }
        }
        done
    }

    /// Sends waiting orders whose approval is in the journal.
    fn send_waiting(&mut self, now: Nanos, probe: &Probe) -> usize {
        let mut done = 0;
        let journaled = self.ports.journaled.get(self.ports.risk_lane);
        while done < BATCH && self.desk.outbox().len() < BATCH {
            let Some(approved) = self.waiting.front().copied() else { break };
            let intent = *approved.intent();
            let reason = self.reason_not_to_send(&intent, now);
            // No record, no trade: neither of the approval nor of the send.
            let recorded = approved.record() <= journaled && self.ports.log.room() >= ORDER_RECORDS;
            // Until it expires, one waits for a connection as it waits for the journal.
            let carried = self.link.has_line(&Purpose::Place(intent.order));
            if reason.is_none() && !(recorded && carried) {
                break;
            }
            self.waiting.pop_front();
            done += 1;
            match (intent.action, reason) {
                (OrderAction::Amend, Some(reason)) => self.amend_not_sent(&intent, now, reason),
                (OrderAction::Amend, None) => self.amend(&intent, now, probe),
                (_, Some(reason)) => {
                    self.counters.add(NOT_SENT, 1);
                    self.not_sent(intent.order, now, reason);
                }
                (_, None) => self.place(&intent, now, probe),
            }
        }
        done
    }

    /// The kill word is read here a second time, right before encoding.
    fn reason_not_to_send(&mut self, intent: &OrderIntent, now: Nanos) -> Option<DoneReason> {
        match self.ports.control.phase() {
            Phase::Run => {}
            // Risk lets nothing of the operator pass then that does not reduce; a child of a parent
            // that was approved before may increase.
            Phase::Flatten
                if intent.cause == Cause::Operator
                    && intent.parent == bot4_types::ParentId::NONE => {}
            _ => return Some(DoneReason::Killed),
        }
        if now >= intent.expires {
            return Some(DoneReason::Expired);
        }
        // A pause that the venue asks for is one of new orders.
        let ready = match intent.action {
            OrderAction::Amend => self.link.is_ready(),
            _ => self.takes_orders(now),
        };
        (!ready).then_some(DoneReason::NoSession)
    }

    fn place(&mut self, intent: &OrderIntent, now: Nanos, probe: &Probe) {
        let now_ms = self.wall.unix_ms(now);
        let Some(instrument) = self.table.get(intent.instrument).copied() else {
            return self.not_sent(intent.order, now, DoneReason::Other);
        };
        let Some(client) = self.desk.order(intent.order).map(|o| o.client) else { return };
        if !self.gateway.takes(intent.kind) {
            self.counters.add(NOT_SENT, 1);
            return self.not_sent(intent.order, now, DoneReason::Unsupported);
        }
        let allowed = self.budget.try_take(now_ms, self.gateway.cost_place())
            && self.gateway.permits(&Act::Place(&instrument), now_ms);
        if !allowed {
            self.counters.add(NOT_SENT, 1);
            return self.not_sent(intent.order, now, DoneReason::NoBudget);
        }
        let begun = probe.stamp();
        self.link.out.clear();
        let id = self.link.requests.next_id();
        let order = Place::of(id, &instrument, client, intent, now_ms);
        self.gateway.place(&order, &mut self.link.out);
        let encoded = probe.stamp();
        if !self.link.send(Purpose::Place(intent.order), now, || probe.stamp()) {
            self.gateway.not_placed(&client);
            self.counters.add(NOT_SENT, 1);
            return self.not_sent(intent.order, now, DoneReason::NoSession);
        }
        let handed = probe.stamp();
        self.record_latency(intent, handed);
        self.counters.add(ORDERS_SENT, 1);
        if self.ports.log.room() > 0 {
            let sent = SentRecord { order: intent.order, client, begun, encoded, handed };
            let _ = self.ports.log.push(LogEntry::new(LogKind::Sent, now, |w| sent.write(w)));
        }
        self.feed(DeskInput::Sent(intent.order, self.deadline_ms(now_ms)), now);
    }

    /// Until when, by its own clock, the venue takes what carries this time. Unix ms.
    fn deadline_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add((self.gateway.window().0 / 1_000_000) as i64)
    }

    fn record_latency(&self, intent: &OrderIntent, stamp: Nanos) {
        let mut trail = intent.trail;
        trail.mark(Stage::OrderEncode, stamp);
        if intent.cause != Cause::Market {
            self.latencies.other_to_trade.record(trail.total());
            return;
        }
        for stage in Stage::ALL {
            self.latencies.stages[stage as usize].record(trail.span(stage));
        }
        self.latencies.tick_to_trade.record(trail.total());
    }

    fn cancel(&mut self, approved: &ApprovedOrder, now: Nanos, probe: &Probe) {
        let id = approved.intent().order;
        self.drop_waiting_amends(Some(id), now, DoneReason::None);
        if let Some(at) = self.waiting.iter().position(|w| w.intent().order == id) {
            self.waiting.remove(at);
            return self.not_sent(id, now, DoneReason::None);
        }
        // Before the session is logged on the venue would refuse; the router asks again.
        if !matches!(self.link.state(), SessionState::Recovering | SessionState::Ready) {
            return;
        }
        let now_ms = self.wall.unix_ms(now);
        let Some(order) = self.desk.order(id) else { return };
        let (instrument, venue_order, client) = (order.instrument, order.venue_order, order.client);
        if order.state.is_terminal() || order.closing.is_some() {
            return;
        }
        let Some(instrument) = self.table.get(instrument).copied() else { return };
        if !self.budget.try_take_urgent(now_ms, self.gateway.cost_cancel()) {
            return;
        }
        self.link.out.clear();
        let named = Named { instrument: &instrument, venue_order, client };
        let request = self.link.requests.next_id();
        self.gateway.permits(&Act::Cancel(&named), now_ms);
        self.gateway.cancel(request, &named, now_ms, &mut self.link.out);
        if self.link.out.is_empty() {
            return;
        }
        if self.link.send(Purpose::Cancel(id), now, || probe.stamp()) {
            self.counters.add(CANCELS_SENT, 1);
            self.feed(DeskInput::CancelSent(id), now);
        }
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
        done += self.hear(now, probe)?;
        if self.desk.has_room() {
            done += self.take_approved(now, probe);
            done += self.send_waiting(now, probe);
            self.look_at_clock(now, probe);
        } else {
            probe.note_backpressure();
        }
        done += self.deliver(now);
        Ok(done)
    }

    fn close(&mut self, now: Nanos) {
        self.link.close(now);
    }
}
