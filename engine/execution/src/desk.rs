//! The desk: all orders of the run and what the venue's facts do to them. Pure: the same inputs
//! make the same reports, which leave through the outbox.

use std::collections::VecDeque;

use bot4_types::{
    DoneReason, ExecMsg, InstrumentId, Nanos, OrderAction, OrderId, OrderIntent, OrderReport,
    OrderState, Qty, ReportKind, RunEpoch, VenueId,
};

use crate::desk_input::DeskInput;
use crate::foreign::{Declared, Remembered};
use crate::gateway::{Failure, OrderKey, VenueState};
use crate::order::{Closing, Heard, Order, Who};
use crate::table::{Handle, InsertError, OrderTable, TradeLedger};

mod amends;
mod evidence;
mod fills;
mod questions;
mod strangers;

pub use questions::Resting;

/// Reports that wait for room at most; more than a full recovery answer can cause.
const OUTBOX_MAX: usize = 8_192;
/// A request without answer is acted on this long after its window.
const ANSWER_GRACE: Nanos = Nanos::from_millis(500);
/// Between two questions about one order.
const ASK_EVERY: Nanos = Nanos::from_millis(500);

/// What the desk counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeskCounts {
    /// Fills of orders that are not this run's.
    pub foreign_fills: u64,
    /// Facts about orders that are not this run's.
    pub foreign_orders: u64,
    /// Words about orders of this run that it has forgotten: they ended long ago.
    pub late: u64,
    /// Fills booked after their order's end, which had counted less: the venue's list of the
    /// order's fills proved them.
    pub late_fills: u64,
    /// Fills beyond the ordered quantity.
    pub overfills: u64,
    /// Fills booked.
    pub fills: u64,
    /// Orders the venue accepted.
    pub acked: u64,
    /// Times an unknown order was found alive.
    pub found: u64,
    /// Orders that ended completely filled.
    pub filled: u64,
    /// Orders that ended cancelled.
    pub canceled: u64,
    /// Orders that the venue ended.
    pub expired: u64,
    /// Orders that the venue refused.
    pub rejected: u64,
    /// Orders that never left.
    pub not_sent: u64,
    /// Words of the venue that contradict what was known of an order. One about an order that may
    /// be open makes it unknown, and evidence decides; one that says that an ended order is open
    /// is reported, and risk latches.
    pub contradictions: u64,
}

impl DeskCounts {
    /// These and `other`'s together.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            foreign_fills: self.foreign_fills + other.foreign_fills,
            foreign_orders: self.foreign_orders + other.foreign_orders,
            late: self.late + other.late,
            late_fills: self.late_fills + other.late_fills,
            overfills: self.overfills + other.overfills,
            fills: self.fills + other.fills,
            acked: self.acked + other.acked,
            found: self.found + other.found,
            filled: self.filled + other.filled,
            canceled: self.canceled + other.canceled,
            expired: self.expired + other.expired,
            rejected: self.rejected + other.rejected,
            not_sent: self.not_sent + other.not_sent,
            contradictions: self.contradictions + other.contradictions,
        }
    }

    fn note(&mut self, report: &OrderReport) {
        self.acked += u64::from(report.kind == ReportKind::Acked);
        self.found += u64::from(report.kind == ReportKind::Found);
        let ending = match report.state {
            OrderState::Filled => &mut self.filled,
            OrderState::Canceled => &mut self.canceled,
            OrderState::Expired => &mut self.expired,
            OrderState::Rejected => &mut self.rejected,
            OrderState::NotSent => &mut self.not_sent,
            _ => return,
        };
        // A fill that comes after another ending is not a second ending.
        let filled = report.kind == ReportKind::Fill && report.state == OrderState::Filled;
        let ends = report.kind == ReportKind::Done || filled;
        *ending += u64::from(ends);
    }
}

/// A question that the desk wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The state of an order.
    Status(OrderId),
    /// The state of what may have replaced it.
    Replacement(OrderId),
    /// The fills of an order.
    Fills(OrderId),
}

impl Question {
    /// What is asked for to learn the state of `order`: first whether it was replaced.
    #[must_use]
    pub fn state_of(order: &Order) -> Self {
        let replaced = order.replacement().is_some();
        if replaced { Self::Replacement(order.id) } else { Self::Status(order.id) }
    }

    /// About which order.
    #[must_use]
    pub const fn order(self) -> OrderId {
        let (Self::Status(id) | Self::Replacement(id) | Self::Fills(id)) = self;
        id
    }
}

/// What an input did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: there was nothing to ask or to forget.
    Nothing,
    /// Perhaps something.
    Changed,
    /// The placement was not admitted.
    Refused,
}

/// Orders, booked trades, reports on their way out.
#[derive(Debug)]
pub struct Desk {
    table: OrderTable,
    trades: TradeLedger,
    outbox: VecDeque<ExecMsg>,
    epoch: RunEpoch,
    window: Nanos,
    /// What the venue told of its clock.
    venue_time: evidence::VenueTime,
    /// Highest number of an order that was approved.
    newest: OrderId,
    /// Where; whose orders may be there beside ours, and which are known.
    venue: VenueId,
    declared: Declared,
    others: Remembered,
    /// Numbers of orders that the venue names nobody for, or somebody who is not declared.
    nameless: Remembered,
    /// Those that are nobody's and were told because a list named them.
    listed: Remembered,
    /// Fills of orders whose numbers may be told yet.
    waiting: Vec<strangers::Waiting>,
    /// Fills that came behind their order's end and are not proven.
    late: fills::LateFills,
    /// What was counted.
    pub counts: DeskCounts,
}

impl Desk {
    /// A desk for `orders` open orders on `instruments` instruments in run `epoch`; `window` is
    /// how long the venue may hold a request.
    #[must_use]
    pub fn new(orders: usize, instruments: usize, epoch: RunEpoch, window: Nanos) -> Self {
        Self {
            table: OrderTable::new(orders),
            trades: TradeLedger::new(instruments),
            outbox: VecDeque::with_capacity(OUTBOX_MAX),
            epoch,
            window,
            venue_time: evidence::VenueTime::default(),
            newest: OrderId(0),
            venue: VenueId(0),
            declared: Declared::NONE,
            others: Remembered::new(),
            nameless: Remembered::new(),
            listed: Remembered::new(),
            waiting: Vec::with_capacity(strangers::WAITING_MAX),
            late: fills::LateFills::default(),
            counts: DeskCounts::default(),
        }
    }

    /// Reports waiting to leave, oldest first.
    pub const fn outbox(&mut self) -> &mut VecDeque<ExecMsg> {
        &mut self.outbox
    }

    /// There is room for the reports of another input.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Adds something that is not about an order.
    pub fn tell(&mut self, message: ExecMsg) {
        self.outbox.push_back(message);
    }

    /// The order with this id.
    pub fn order(&mut self, id: OrderId) -> Option<&Order> {
        self.table.find(id).map(|order| &*order)
    }

    /// Takes an input in: the only way to change an order from outside. Questions that come up
    /// are added to `asked`. [`Outcome::Nothing`] needs no record.
    pub fn apply(&mut self, input: &DeskInput, now: Nanos, asked: &mut Vec<Question>) -> Outcome {
        let questions = asked.len();
        match *input {
            // Both are about the record, not about orders.
            DeskInput::Start { .. } | DeskInput::Unrecorded(_) => {}
            DeskInput::Take(ref intent) => return self.take(intent, now),
            DeskInput::Sent(order, deadline_ms) => self.sent(order, deadline_ms, now),
            DeskInput::NotSent(order, reason) => self.not_sent(order, now, reason),
            DeskInput::CancelSent(order) => self.cancel_sent(order, now),
            DeskInput::State { key, venue_order, state, cum_qty, reason } => {
                self.state_told(key, venue_order, state, cum_qty, reason, now);
            }
            DeskInput::Fill { key, venue_order, instrument, fill } => {
                self.fill_told(key, venue_order, instrument, fill, now);
            }
            DeskInput::PlaceFailed(order, failure) => self.place_failed(order, failure, now),
            DeskInput::CancelFailed(order, failure) => {
                asked.extend(self.cancel_failed(order, failure, now));
            }
            DeskInput::AmendSent { order, terms, replaces, deadline_ms } => {
                self.amend_sent(order, terms, replaces, deadline_ms, now);
            }
            DeskInput::AmendNotSent(order, reason) => self.amend_not_sent(order, reason, now),
            DeskInput::AmendFailed(order, failure) => {
                asked.extend(self.amend_failed(order, failure, now));
            }
            DeskInput::Terms { key, venue_order, terms } => {
                self.terms_told(key, venue_order, terms, now);
            }
            DeskInput::NotFound(order, asked_at) => self.not_found(order, asked_at, now),
            DeskInput::NoReplacement(order, asked_at) => {
                asked.extend(self.no_replacement(order, asked_at, now));
            }
            DeskInput::Unanswered(order) => self.unanswered(order),
            DeskInput::FillsTold(order) => self.fills_told(order, now),
            DeskInput::Nameless(number) => self.nameless.add(number),
            DeskInput::AllLost => self.all_lost(now),
            DeskInput::Clock(max) => {
                self.questions(now, usize::from(max), asked);
                self.ask_for_proofs(now, usize::from(max), asked);
                if asked.len() == questions {
                    return Outcome::Nothing;
                }
            }
            DeskInput::Compare(max) => {
                self.compare(now, usize::from(max), asked);
                if asked.len() == questions {
                    return Outcome::Nothing;
                }
            }
            DeskInput::Listed { key, venue_order, cum_qty } => {
                return self.listed(key, venue_order, cum_qty, now);
            }
            DeskInput::VenueTime(asked_at, ms) => self.time_told(asked_at, ms, now),
            DeskInput::Purge => {
                if self.table.purge(now) == 0 {
                    return Outcome::Nothing;
                }
            }
        }
        self.judge_waiting(now);
        Outcome::Changed
    }

    fn take(&mut self, intent: &OrderIntent, now: Nanos) -> Outcome {
        if intent.action != OrderAction::Place {
            return Outcome::Changed;
        }
        match self.admit(intent, now) {
            Ok(_) => return Outcome::Changed,
            Err(InsertError::Full) => {
                let mut order = Order::new(intent, self.epoch, now);
                self.push(order.not_sent(now, DoneReason::TableFull));
            }
            // The gate uses a number once; the order of that number goes its way.
            Err(InsertError::Duplicate) => {}
        }
        Outcome::Refused
    }

    /// Takes in an approved placement; the order is not sent yet.
    fn admit(&mut self, intent: &OrderIntent, now: Nanos) -> Result<Handle, InsertError> {
        self.newest = self.newest.max(intent.order);
        self.table.insert(Order::new(intent, self.epoch, now), now)
    }

    /// The order was handed to the socket; the venue refuses it when it arrives after
    /// `deadline_ms` by its own clock.
    fn sent(&mut self, id: OrderId, deadline_ms: i64, now: Nanos) {
        let heard = self.table.find(id).map(|o| o.sent(now, deadline_ms));
        self.push(heard.unwrap_or_default());
    }

    /// The order will not be sent. Only of an order that was not: anything else needs the
    /// venue's word.
    fn not_sent(&mut self, id: OrderId, now: Nanos, reason: DoneReason) {
        let heard = self.table.find(id).map(|o| o.not_sent(now, reason));
        self.push(heard.unwrap_or_default());
    }

    /// A cancel of the order was handed to the socket.
    fn cancel_sent(&mut self, id: OrderId, now: Nanos) {
        let heard = self.table.find(id).map(|o| o.cancel_sent(now));
        self.push(heard.unwrap_or_default());
    }

    /// The venue told the state of an order.
    fn state_told(
        &mut self,
        key: OrderKey,
        venue_order: u64,
        state: VenueState,
        cum_qty: Qty,
        reason: DoneReason,
        now: Nanos,
    ) {
        let Some(order) = Self::by_key(&mut self.table, key, None) else {
            return self.stranger(key, venue_order, None, now);
        };
        let other = match order.who(venue_order) {
            Who::Itself => Heard::default(),
            Who::Former => return,
            Who::Replacement => order.amended(now, venue_order),
            Who::Stranger => {
                let doubled = order.doubled(now);
                return self.push(doubled);
            }
        };
        let asked = std::mem::take(&mut order.asking);
        order.told_qty = order.told_qty.max(cum_qty);
        let end = |state| Closing { state, reason, cum_qty };
        if state == VenueState::Canceled
            && let Some(amend) = order.amend.as_mut().filter(|a| a.replaces && !a.absent)
        {
            amend.halfway = Some(end(OrderState::Canceled));
            return;
        }
        let open = match state {
            // A cancel may have crossed this message: only an answer to a question refuses it.
            VenueState::Open | VenueState::Untriggered => order.told_open(now, venue_order, asked),
            VenueState::Filled => order.told_open(now, venue_order, false),
            _ => Heard::default(),
        };
        if order.venue_order == 0 {
            order.venue_order = venue_order;
        }
        let works = state == VenueState::Open || cum_qty.0 > 0;
        let triggered = if works { order.triggered(now) } else { Heard::default() };
        let ended = match state {
            VenueState::Open | VenueState::Untriggered => Heard::default(),
            VenueState::Filled => order.ended(now, end(OrderState::Filled)),
            VenueState::Canceled => order.ended(now, end(OrderState::Canceled)),
            VenueState::Expired => order.ended(now, end(OrderState::Expired)),
            // A rest that would take after an amend: it was no refusal of the order.
            VenueState::Rejected if order.is_resting() && reason == DoneReason::WouldTake => {
                order.ended(now, end(OrderState::Expired))
            }
            VenueState::Rejected => order.ended(now, end(OrderState::Rejected)),
        };
        let done = order.settle(now);
        for heard in [other, open, triggered, ended, done] {
            self.push(heard);
        }
    }

    /// A placement failed.
    fn place_failed(&mut self, id: OrderId, failure: Failure, now: Nanos) {
        let Some(order) = self.table.find(id) else { return };
        let reason = match failure {
            Failure::Refused(reason) => reason,
            Failure::NotFound => DoneReason::NotFound,
            Failure::Limited { .. } => DoneReason::RateLimit,
            Failure::Session => DoneReason::NoSession,
            Failure::OutcomeUnknown => {
                let lost = order.lost(now);
                return self.push(lost);
            }
        };
        if order.is_known_at_venue() && !order.state.is_terminal() {
            // Accepted and refused: one of both words is wrong, and the venue is asked which.
            let lost = order.lost(now);
            return self.push(Heard { contradicts: true, ..lost });
        }
        let cum_qty = order.cum_qty;
        let ended = order.ended(now, Closing { state: OrderState::Rejected, reason, cum_qty });
        let done = order.settle(now);
        self.push(ended);
        self.push(done);
    }

    /// A cancel failed. "Not known" may mean "filled a moment ago": the state is asked for.
    fn cancel_failed(&mut self, id: OrderId, failure: Failure, now: Nanos) -> Option<Question> {
        let order = self.table.find(id)?;
        let open = !order.state.is_terminal() && order.closing.is_none();
        let reason = match failure {
            Failure::NotFound | Failure::OutcomeUnknown => {
                (order.asking, order.asked_at) = (open, now);
                return open.then_some(Question::state_of(order));
            }
            Failure::Refused(reason) => reason,
            Failure::Limited { .. } => DoneReason::RateLimit,
            Failure::Session => return None,
        };
        let refused = order.cancel_refused(now, reason);
        self.push(refused);
        None
    }

    /// A question for an order's state, sent at `asked_at`, was answered with "does not exist".
    /// That ends the order only when the venue never had it and it could no longer arrive when
    /// the question was asked.
    fn not_found(&mut self, id: OrderId, asked_at: Nanos, now: Nanos) {
        let Some(order) = self.table.find(id) else { return };
        // The venue's time, for which another question is on its way, may make it a proof.
        let again = order.denied_at.replace(asked_at) == Some(asked_at);
        if !again {
            order.asking = false;
            order.touched_at = now;
        }
        if order.state.is_terminal() {
            order.denied_at = None;
            return;
        }
        if order.is_known_at_venue() {
            order.denied_at = None;
            // The venue's answers lag behind its engine, or it lost the order: not proven.
            let lost = order.lost(now);
            return self.push(lost);
        }
        if !self.venue_time.is_over(order.request(), self.window, asked_at) {
            return;
        }
        let (reason, cum_qty) = (DoneReason::NotFound, order.cum_qty);
        let ended = order.ended(now, Closing { state: OrderState::Rejected, reason, cum_qty });
        let done = order.settle(now);
        self.push(ended);
        self.push(done);
    }

    /// A question was not answered: it may be asked again.
    fn unanswered(&mut self, id: OrderId) {
        if let Some(order) = self.table.find(id) {
            order.asking = false;
        }
    }

    /// The connection is gone: every order that may have reached the venue is unknown now.
    fn all_lost(&mut self, now: Nanos) {
        for n in 0..self.table.len() {
            let lost = self.table.nth(n).map(|order| order.lost(now));
            self.push(lost.unwrap_or_default());
        }
    }

    /// Orders that have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.table.open()
    }

    /// Orders of unknown fate.
    pub fn unknown(&mut self) -> usize {
        self.table.iter().filter(|o| o.state == OrderState::Unknown).count()
    }

    /// Orders by state: those that have not ended now, and how many ended so. One look at each
    /// order of the table.
    #[must_use]
    pub fn by_state(&self) -> [u64; OrderState::ALL.len()] {
        let mut states = [0; OrderState::ALL.len()];
        for order in self.table.iter().filter(|o| !o.state.is_terminal()) {
            states[order.state as usize] += 1;
        }
        states[OrderState::Filled as usize] = self.counts.filled;
        states[OrderState::Canceled as usize] = self.counts.canceled;
        states[OrderState::Expired as usize] = self.counts.expired;
        states[OrderState::Rejected as usize] = self.counts.rejected;
        states[OrderState::NotSent as usize] = self.counts.not_sent;
        states
    }

    /// An order of `instrument` that is open at the venue exists.
    pub fn has_open(&mut self, instrument: InstrumentId) -> bool {
        self.table.iter().any(|o| {
            o.instrument == instrument && !o.state.is_terminal() && o.state != OrderState::Approved
        })
    }

    /// The questions for the states of all orders that have not ended, for recovery.
    pub fn ask_open(&mut self, take: impl FnMut(Question)) {
        let open = self.table.iter().filter(|o| !o.state.is_terminal());
        open.map(Question::state_of).for_each(take);
    }

    /// Orders that have not ended and of whose fills the venue told more than was heard.
    pub fn lacking_fills(&mut self) -> impl Iterator<Item = OrderId> + '_ {
        let orders = self.table.iter();
        orders
            .filter(|o| !o.state.is_terminal() && o.venue_order != 0 && o.lacks_fills())
            .map(|o| o.id)
    }

    /// The booked trades.
    #[must_use]
    pub const fn trades(&self) -> &TradeLedger {
        &self.trades
    }

    /// The order that `key` names. The venue numbers orders per symbol, so its number alone
    /// names nothing: it needs the instrument.
    fn by_key(
        table: &mut OrderTable,
        key: OrderKey,
        instrument: Option<InstrumentId>,
    ) -> Option<&mut Order> {
        let same = |o: &Order| instrument.is_none_or(|i| i == o.instrument);
        match key {
            OrderKey::Own(id) => table.find(id).filter(|o| same(o)),
            OrderKey::Venue(number) => {
                instrument.filter(|_| number != 0)?;
                let named = |o: &&Order| o.was(number) && same(o);
                let id = table.iter().find(named)?.id;
                table.find(id)
            }
            OrderKey::Foreign(_) => None,
        }
    }

    fn push(&mut self, heard: Heard) {
        self.counts.contradictions += u64::from(heard.contradicts);
        if let Some(report) = heard.report {
            self.counts.note(&report);
            self.outbox.push_back(ExecMsg::Order(report));
        }
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "desk_permutations.rs"]
mod permutations;

#[cfg(test)]
#[path = "desk_many_permutations.rs"]
mod many_permutations;
