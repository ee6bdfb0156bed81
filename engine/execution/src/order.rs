//! One order's life: what the venue may tell, in any order and more than once, and what follows.
//!
//! The venue's facts are applied monotonically: cumulative quantity only grows, a trade id counts
//! once, and an order ends only when everything it is known to have filled was booked. An order
//! whose fate is not known is [`OrderState::Unknown`] until the venue gives evidence. Which event
//! leads where stands in one table, [`crate::transitions`].

use bot4_types::{
    AssetId, ClientId, DoneReason, InstrumentId, Nanos, OrderId, OrderIntent, OrderKind,
    OrderReport, OrderState, Price, Qty, ReportKind, RunEpoch, Side, StrategyId, Tif,
    instrument::Amount,
};

use crate::transitions::{self, Event, Step};
pub use bot4_types::Terms;

/// An order in the table.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The engine's number.
    pub id: OrderId,
    /// Its name at the venue.
    pub client: ClientId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// By which strategy.
    pub strategy: StrategyId,
    /// Buy or sell.
    pub side: Side,
    /// Order type.
    pub kind: OrderKind,
    /// Time in force.
    pub tif: Tif,
    /// Limit price.
    pub price: Price,
    /// Ordered quantity.
    pub qty: Qty,
    /// Where it is in its life.
    pub state: OrderState,
    /// Filled and booked so far.
    pub cum_qty: Qty,
    /// Filled so far by the venue's word; more than [`cum_qty`](Self::cum_qty) while fills are
    /// still to be heard.
    pub told_qty: Qty,
    /// The venue's number, zero until known.
    pub venue_order: u64,
    /// When it was handed to the socket.
    pub sent_at: Nanos,
    /// The venue refuses it when it arrives after this time of its clock, Unix ms.
    pub deadline_ms: i64,
    /// Last change or question, for timeouts.
    pub touched_at: Nanos,
    /// A status question is on its way.
    pub asking: bool,
    /// When the question on its way, or the last one, was asked.
    pub asked_at: Nanos,
    /// When the newest question was asked that the venue answered with "does not exist".
    pub denied_at: Option<Nanos>,
    /// The ending the venue told, held back until all fills up to its quantity are booked.
    pub closing: Option<Closing>,
    /// The amend that is on its way or of unknown fate.
    pub amend: Option<Amend>,
    /// Replacements that were asked for: each has a name of its own, so that the venue can be asked
    /// for either half.
    revisions: u8,
    /// It waits for its trigger, as far as is known: the venue does not go back on a word that it
    /// works.
    pub waits: bool,
    /// Its venue numbers before it was replaced, newest first: their late words are not about it.
    former: [u64; FORMER_MAX],
    seq: u32,
}

/// Venue numbers of an order that are remembered once it has another: as often it is replaced at
/// most. A venue may tell its last events again, so none of them may be forgotten while it lives.
const FORMER_MAX: usize = 8;

/// An amend that was handed to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amend {
    /// What it asks for.
    pub terms: Terms,
    /// The venue cancels the order and places another one, under the next client id; else it keeps
    /// number and name.
    pub replaces: bool,
    /// The other one does not exist at the venue and cannot come any more.
    pub absent: bool,
    /// When it was handed to the socket.
    pub sent_at: Nanos,
    /// The venue refuses it when it arrives after this time of its clock, Unix ms.
    pub deadline_ms: i64,
    /// The cancelling half was told: the ending, if the placing half never comes.
    pub halfway: Option<Closing>,
}

impl Amend {
    /// Its sending.
    #[must_use]
    pub const fn request(&self) -> Request {
        Request { sent_at: self.sent_at, deadline_ms: self.deadline_ms }
    }
}

/// When a request left and until when the venue takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was handed to the socket.
    pub sent_at: Nanos,
    /// Until when, by the venue's clock, Unix ms.
    pub deadline_ms: i64,
}

/// An ending as the venue told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The terminal state.
    pub state: OrderState,
    /// Why.
    pub reason: DoneReason,
    /// Everything the order filled, by the venue's word.
    pub cum_qty: Qty,
}

/// A fill as the venue told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillFact {
    /// The venue's trade id.
    pub trade_id: u64,
    /// Quantity of this fill.
    pub qty: Qty,
    /// Its price.
    pub price: Price,
    /// Fee, negative for a rebate.
    pub fee: Amount,
    /// What the fee was paid with.
    pub fee_asset: AssetId,
    /// It made liquidity.
    pub maker: bool,
}

/// Who is meant by a word about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The order.
    Itself,
    /// What it was before it was replaced.
    Former,
    /// What the replacement on its way makes of it.
    Replacement,
    /// An order that nobody asked for.
    Stranger,
}

/// What an order makes of an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// What risk should hear.
    pub report: Option<OrderReport>,
    /// The event contradicts what was known of the order.
    pub contradicts: bool,
}

impl Heard {
    fn of(step: Step, report: Option<OrderReport>) -> Self {
        Self { report, contradicts: matches!(step, Step::Invalid | Step::Doubt) }
    }
}

impl Order {
    /// The order of an approved placement, not yet sent.
    #[must_use]
    pub fn new(intent: &OrderIntent, epoch: RunEpoch, now: Nanos) -> Self {
        Self {
            id: intent.order,
            client: ClientId::new(epoch, intent.order),
            instrument: intent.instrument,
            strategy: intent.strategy,
            side: intent.side,
            kind: intent.kind,
            tif: intent.tif,
            price: intent.price,
            qty: intent.qty,
            state: OrderState::Approved,
            cum_qty: Qty(0),
            told_qty: Qty(0),
            venue_order: 0,
            sent_at: now,
            deadline_ms: i64::MIN,
            touched_at: now,
            asking: false,
            asked_at: Nanos::ZERO,
            denied_at: None,
            closing: None,
            amend: None,
            revisions: 0,
            waits: intent.kind.is_triggered(),
            former: [0; FORMER_MAX],
            seq: 0,
        }
    }

    /// It was handed to the socket.
    pub fn sent(&mut self, now: Nanos, deadline_ms: i64) -> Heard {
        let step = self.step(Event::Sent);
        let report = matches!(step, Step::To(_)).then(|| {
            self.sent_at = now;
            self.deadline_ms = deadline_ms;
            self.touched_at = now;
            self.report(now, ReportKind::Sent, DoneReason::None)
        });
        self.heard(now, step, report)
    }

    /// Its placement.
    #[must_use]
    pub const fn request(&self) -> Request {
        Request { sent_at: self.sent_at, deadline_ms: self.deadline_ms }
    }

    /// It never left the engine. Only of an order that did not: anything else needs the venue's
    /// word.
    pub fn not_sent(&mut self, now: Nanos, reason: DoneReason) -> Heard {
        let step = self.step(Event::NotSent);
        let report = matches!(step, Step::To(_)).then(|| {
            self.touched_at = now;
            self.report(now, ReportKind::Done, reason)
        });
        self.heard(now, step, report)
    }

    /// It rests at the venue, as far as is known.
    #[must_use]
    pub const fn is_resting(&self) -> bool {
        use OrderState::{Live, PartiallyFilled, Untriggered};
        matches!(self.state, Live | PartiallyFilled | Untriggered)
    }

    /// It rests and nothing about it is in doubt: asking for it is no hurry.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.is_resting() && !self.lacks_fills() && self.cum_qty < self.qty
    }

    /// The venue has had it: an answer that denies that is no evidence.
    #[must_use]
    pub const fn is_known_at_venue(&self) -> bool {
        self.venue_order != 0 || self.cum_qty.0 > 0
    }

    /// Fills that the venue counts were not heard yet.
    #[must_use]
    pub fn lacks_fills(&self) -> bool {
        self.closing.is_some() || self.told_qty > self.cum_qty
    }

    /// The venue has it open: it accepted it, or says so when `asked` for its state. An order that
    /// we count as ended, or that never left, is reported as a contradiction: the venue may have
    /// something open that nobody counts.
    pub fn told_open(&mut self, now: Nanos, venue_order: u64, asked: bool) -> Heard {
        if self.venue_order == 0 {
            self.venue_order = venue_order;
        }
        let before = self.state;
        let step = self.step(if asked { Event::Found } else { Event::Acked });
        let kind = match (step, before) {
            (Step::Invalid, _) => ReportKind::Contradicted,
            (Step::Open, OrderState::PendingReplace) => return Heard::default(),
            (Step::Open, OrderState::Unknown) => ReportKind::Found,
            (Step::Open, OrderState::PendingCancel) => ReportKind::CancelRejected,
            (Step::Open, _) => ReportKind::Acked,
            _ => return Heard::of(step, None),
        };
        if step == Step::Open {
            self.touched_at = now;
        }
        let refused = kind == ReportKind::CancelRejected;
        let reason = if refused { DoneReason::Other } else { DoneReason::None };
        Heard::of(step, Some(self.report(now, kind, reason)))
    }

    /// The market reached its trigger, by the venue's word or because it traded. Told once, of
    /// orders that wait for one.
    pub fn triggered(&mut self, now: Nanos) -> Heard {
        if !self.waits || self.state.is_terminal() || self.state == OrderState::Approved {
            return Heard::default();
        }
        self.waits = false;
        let step = self.step(Event::Triggered);
        self.touched_at = now;
        Heard::of(step, Some(self.report(now, ReportKind::Triggered, DoneReason::None)))
    }

    /// A cancel was handed to the socket.
    pub fn cancel_sent(&mut self, now: Nanos) -> Heard {
        let step = self.step(Event::CancelSent);
        if step == Step::Invalid {
            return self.heard(now, step, None);
        }
        self.touched_at = now;
        Heard::of(step, Some(self.report(now, ReportKind::CancelSent, DoneReason::None)))
    }

    /// The cancel was refused: the order lives on, or its end is about to be told.
    pub fn cancel_refused(&mut self, now: Nanos, reason: DoneReason) -> Heard {
        let step = self.step(Event::CancelRefused);
        let report = (step == Step::Open).then(|| {
            self.touched_at = now;
            self.report(now, ReportKind::CancelRejected, reason)
        });
        self.heard(now, step, report)
    }

    /// An amend was handed to the socket.
    pub fn amend_sent(
        &mut self,
        now: Nanos,
        terms: Terms,
        replaces: bool,
        deadline_ms: i64,
    ) -> Heard {
        let step = self.step(Event::AmendSent);
        if step == Step::Invalid {
            return self.heard(now, step, None);
        }
        self.revisions += u8::from(replaces);
        let (sent_at, absent, halfway) = (now, false, None);
        self.amend = Some(Amend { terms, replaces, absent, sent_at, deadline_ms, halfway });
        self.touched_at = now;
        Heard::of(step, Some(self.report(now, ReportKind::AmendSent, DoneReason::None)))
    }

    /// The amend changed nothing, by the venue's word or because it never left. What it may have
    /// half done is told by [`Amend::halfway`].
    pub fn amend_refused(&mut self, now: Nanos, reason: DoneReason) -> Heard {
        let halfway = self.amend.take().and_then(|amend| amend.halfway);
        if self.state.is_terminal() {
            return Heard::default();
        }
        let step = self.step(Event::AmendOver);
        self.closing = self.closing.or(halfway);
        self.touched_at = now;
        Heard::of(step, Some(self.report(now, ReportKind::AmendRejected, reason)))
    }

    /// An approved amend did not leave. While another one is on its way, which the gate does not
    /// allow, nothing is told: the word would be taken for that one's.
    pub fn amend_not_sent(&mut self, now: Nanos, reason: DoneReason) -> Heard {
        if self.amend.is_some() { Heard::default() } else { self.amend_refused(now, reason) }
    }

    /// The terms asked for hold. A replacement has another number at the venue.
    pub fn amended(&mut self, now: Nanos, venue_order: u64) -> Heard {
        let Some(amend) = self.amend.take() else { return Heard::default() };
        debug_assert!(!self.state.is_terminal(), "an end ends the amend");
        if amend.replaces {
            self.former.rotate_right(1);
            self.former[0] = self.venue_order;
            self.venue_order = venue_order;
            self.client = self.client.revised(self.revisions).unwrap_or(self.client);
        }
        (self.price, self.qty) = (amend.terms.price, amend.terms.qty);
        let step = self.step(Event::AmendOver);
        self.touched_at = now;
        let report = self.report(now, ReportKind::Amended, DoneReason::None);
        // The replacement is asked for only while nothing is filled.
        let filled = amend.replaces && self.cum_qty.0 > 0;
        Heard { contradicts: filled, ..Heard::of(step, Some(report)) }
    }

    /// A fill of `qty` says that an amend to more was made: without it there was less to fill.
    #[must_use]
    pub fn is_amended_by(&self, qty: Qty) -> bool {
        let cum = self.cum_qty.0.saturating_add(qty.0);
        let most = self.amend.filter(|amend| !amend.replaces).map(|amend| amend.terms.qty.0);
        most.is_some_and(|most| cum > self.qty.0 && cum <= most)
    }

    /// The name that the next replacement would have; `None` when there is none left.
    #[must_use]
    pub fn next_client(&self) -> Option<ClientId> {
        self.client.revised(self.revisions.checked_add(1)?)
    }

    /// The name of the replacement that is on its way or of unknown fate, unless it is known that
    /// it does not exist.
    #[must_use]
    pub fn replacement(&self) -> Option<ClientId> {
        self.amend.filter(|amend| amend.replaces && !amend.absent)?;
        self.client.revised(self.revisions)
    }

    /// Whose word it is that names the order by `venue_order`.
    #[must_use]
    pub fn who(&self, venue_order: u64) -> Who {
        let replaces = self.amend.is_some_and(|amend| amend.replaces);
        match venue_order {
            0 => Who::Itself,
            n if n == self.venue_order || self.venue_order == 0 => Who::Itself,
            n if self.former.contains(&n) => Who::Former,
            _ if replaces => Who::Replacement,
            _ => Who::Stranger,
        }
    }

    /// It has had as many numbers as are remembered: it is not replaced again.
    #[must_use]
    pub const fn is_worn(&self) -> bool {
        self.former[FORMER_MAX - 1] != 0
    }

    /// The venue has, or had, it under this number, which is not zero.
    #[must_use]
    pub fn was(&self, number: u64) -> bool {
        self.venue_order == number || self.former.contains(&number)
    }

    /// The venue has an order under our client id that we know nothing of.
    pub fn doubled(&mut self, now: Nanos) -> Heard {
        let report = self.report(now, ReportKind::Contradicted, DoneReason::None);
        Heard { report: Some(report), contradicts: true }
    }

    /// A fill that was not seen before. Booked in every state: the venue's word about money
    /// outranks the order's state.
    pub fn filled(&mut self, now: Nanos, fill: FillFact) -> Heard {
        self.cum_qty = Qty(self.cum_qty.0.saturating_add(fill.qty.0));
        // With an amend to more on its way the venue has to say that it ended.
        let grows = self.amend.is_some_and(|amend| amend.terms.qty > self.qty);
        let whole = self.cum_qty >= self.qty && !grows;
        let step = self.step(if whole { Event::FillWhole } else { Event::Fill });
        if self.state.is_terminal() {
            // What is told of the amend later comes too late.
            self.amend = None;
        }
        Heard::of(step, Some(self.fill_report(now, fill, DoneReason::None)))
    }

    /// A fill that the venue's list of the order's fills proves, though the ending that it told had
    /// counted less. The order stays ended as it was.
    pub fn filled_late(&mut self, now: Nanos, fill: FillFact) -> Heard {
        self.cum_qty = Qty(self.cum_qty.0.saturating_add(fill.qty.0));
        let report = self.fill_report(now, fill, DoneReason::Late);
        Heard { report: Some(report), contradicts: false }
    }

    fn fill_report(&mut self, now: Nanos, fill: FillFact, reason: DoneReason) -> OrderReport {
        self.touched_at = now;
        let mut report = self.report(now, ReportKind::Fill, reason);
        report.last_qty = fill.qty;
        report.last_price = fill.price;
        report.trade_id = fill.trade_id;
        report.fee = fill.fee;
        report.fee_asset = fill.fee_asset;
        report.maker = fill.maker;
        report
    }

    /// The venue told an ending. Held until the fills it counts are booked; see
    /// [`settle`](Self::settle).
    pub fn ended(&mut self, now: Nanos, closing: Closing) -> Heard {
        let event = event_of(closing.state);
        let step = transitions::step(self.state, event);
        match step {
            Step::To(_) => match self.closing {
                Some(held) if held.state != closing.state => self.heard(now, Step::Invalid, None),
                Some(_) => Heard::default(),
                None => {
                    self.closing = Some(closing);
                    self.touched_at = now;
                    Heard::default()
                }
            },
            Step::Doubt => Heard { contradicts: true, ..self.lost(now) },
            _ => self.heard(now, step, None),
        }
    }

    /// Reports the held ending once nothing is missing.
    pub fn settle(&mut self, now: Nanos) -> Heard {
        let Some(closing) = self.closing else { return Heard::default() };
        if self.state.is_terminal() {
            // Its fills completed it: an ending as filled is what they say, any other is not.
            self.closing = None;
            let step = self.step(event_of(closing.state));
            return self.heard(now, step, None);
        }
        if self.cum_qty < closing.cum_qty {
            return Heard::default();
        }
        self.closing = None;
        let step = self.step(event_of(closing.state));
        self.amend = None;
        self.touched_at = now;
        Heard::of(step, Some(self.report(now, ReportKind::Done, closing.reason)))
    }

    /// What became of it cannot be known at present. No report when that was so, or when it
    /// ended.
    pub fn lost(&mut self, now: Nanos) -> Heard {
        // A question on its way is lost with everything else.
        self.asking = false;
        let step = self.step(Event::Lost);
        let Step::To(next) = step else { return Heard::default() };
        self.touched_at = now;
        let report = match next {
            OrderState::NotSent => self.report(now, ReportKind::Done, DoneReason::NoSession),
            _ => self.report(now, ReportKind::Lost, DoneReason::None),
        };
        Heard::of(step, Some(report))
    }

    /// What came of an event. A contradiction that has no report of its own gets one: it is
    /// evidence that our account of the order and the venue's differ, and risk must know.
    fn heard(&mut self, now: Nanos, step: Step, report: Option<OrderReport>) -> Heard {
        let silent = step == Step::Invalid && report.is_none();
        let word = silent.then(|| self.report(now, ReportKind::Contradicted, DoneReason::None));
        Heard::of(step, report.or(word))
    }

    /// Moves on as the table says.
    fn step(&mut self, event: Event) -> Step {
        let step = transitions::step(self.state, event);
        match step {
            Step::To(next) => self.state = next,
            Step::Open => self.state = self.open_state(),
            Step::Doubt => self.state = OrderState::Unknown,
            Step::Stay | Step::Invalid => {}
        }
        step
    }

    const fn open_state(&self) -> OrderState {
        if self.amend.is_some() {
            return OrderState::PendingReplace;
        }
        if self.waits {
            return OrderState::Untriggered;
        }
        if self.cum_qty.0 > 0 { OrderState::PartiallyFilled } else { OrderState::Live }
    }

    fn report(&mut self, now: Nanos, kind: ReportKind, reason: DoneReason) -> OrderReport {
        self.seq += 1;
        OrderReport {
            at: now,
            order: self.id,
            venue_order: self.venue_order,
            price: self.price,
            qty: self.qty,
            cum_qty: self.cum_qty,
            last_qty: Qty(0),
            last_price: Price(0),
            trade_id: 0,
            fee: 0,
            seq: self.seq,
            instrument: self.instrument,
            strategy: self.strategy,
            fee_asset: AssetId::NONE,
            kind,
            state: self.state,
            reason,
            side: self.side,
            maker: false,
        }
    }
}

/// The event that tells the ending `state`.
const fn event_of(state: OrderState) -> Event {
    match state {
        OrderState::Filled => Event::Filled,
        OrderState::Canceled => Event::Canceled,
        OrderState::Expired => Event::Expired,
        _ => Event::Rejected,
    }
}

/// An intent of no account for tests.
#[cfg(test)]
pub(crate) fn test_intent() -> OrderIntent {
    OrderIntent {
        trail: bot4_types::Trail::default(),
        order: OrderId(1),
        price: Price(100),
        qty: Qty(10),
        stop_ticks: 1,
        instrument: InstrumentId(0),
        strategy: StrategyId(0),
        cause: bot4_types::Cause::Market,
        expires: Nanos::MAX,
        action: bot4_types::OrderAction::Place,
        kind: bot4_types::OrderKind::Limit,
        tif: bot4_types::Tif::Gtc,
        trigger: Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side: Side::Buy,
        parent: bot4_types::ParentId::NONE,
    }
}
