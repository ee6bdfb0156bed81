//! One order's life: what the venue may tell, in any order and more than once, and what follows.
//!
//! The venue's facts are applied monotonically: cumulative quantity only grows, a trade id counts
//! once, and an order ends only when everything it is known to have filled was booked. An order
//! whose fate is not known is [`OrderState::Unknown`] until the venue gives evidence.

use bot4_types::{
    AssetId, ClientId, DoneReason, InstrumentId, Nanos, OrderId, OrderIntent, OrderReport,
    OrderState, Price, Qty, ReportKind, RunEpoch, Side, StrategyId, instrument::Amount,
};

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
    /// Last change or question, for timeouts.
    pub touched_at: Nanos,
    /// A status question is on its way.
    pub asking: bool,
    /// The ending the venue told, held back until all fills up to its quantity are booked.
    pub closing: Option<Closing>,
    seq: u32,
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
            price: intent.price,
            qty: intent.qty,
            state: OrderState::Approved,
            cum_qty: Qty(0),
            told_qty: Qty(0),
            venue_order: 0,
            sent_at: now,
            touched_at: now,
            asking: false,
            closing: None,
            seq: 0,
        }
    }

    /// It was handed to the socket.
    pub fn sent(&mut self, now: Nanos) -> OrderReport {
        self.state = OrderState::Sent;
        self.sent_at = now;
        self.touched_at = now;
        self.report(now, ReportKind::Sent, DoneReason::None)
    }

    /// It never left the engine.
    pub fn not_sent(&mut self, now: Nanos, reason: DoneReason) -> OrderReport {
        self.state = OrderState::NotSent;
        self.touched_at = now;
        self.report(now, ReportKind::Done, reason)
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

    /// The venue accepted it and has it open. `None` when that was known.
    pub fn acked(&mut self, now: Nanos, venue_order: u64) -> Option<OrderReport> {
        self.venue_order = venue_order;
        let found = self.state == OrderState::Unknown;
        if self.state != OrderState::Sent && !found {
            return None;
        }
        self.state = self.open_state();
        self.touched_at = now;
        let kind = if found { ReportKind::Found } else { ReportKind::Acked };
        Some(self.report(now, kind, DoneReason::None))
    }

    /// A cancel was handed to the socket.
    pub fn cancel_sent(&mut self, now: Nanos) -> OrderReport {
        if self.state != OrderState::Unknown {
            self.state = OrderState::PendingCancel;
        }
        self.touched_at = now;
        self.report(now, ReportKind::CancelSent, DoneReason::None)
    }

    /// The cancel was refused: the order lives on, or its end is about to be told.
    pub fn cancel_refused(&mut self, now: Nanos, reason: DoneReason) -> Option<OrderReport> {
        if self.state != OrderState::PendingCancel {
            return None;
        }
        self.state = self.open_state();
        self.touched_at = now;
        Some(self.report(now, ReportKind::CancelRejected, reason))
    }

    /// A fill that was not seen before. Fills of terminal orders are booked too: the venue's
    /// word about money outranks the order's state.
    pub fn filled(&mut self, now: Nanos, fill: FillFact) -> OrderReport {
        self.cum_qty = Qty(self.cum_qty.0.saturating_add(fill.qty.0));
        if !self.state.is_terminal() {
            let whole = self.cum_qty >= self.qty;
            self.state = match self.state {
                _ if whole => OrderState::Filled,
                OrderState::PendingCancel | OrderState::Unknown => self.state,
                _ => OrderState::PartiallyFilled,
            };
        }
        self.touched_at = now;
        let mut report = self.report(now, ReportKind::Fill, DoneReason::None);
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
    pub fn ended(&mut self, now: Nanos, closing: Closing) {
        if self.state.is_terminal() || self.closing.is_some() {
            return;
        }
        self.closing = Some(closing);
        self.touched_at = now;
    }

    /// Reports the held ending once nothing is missing.
    pub fn settle(&mut self, now: Nanos) -> Option<OrderReport> {
        let closing = self.closing?;
        if self.state.is_terminal() || self.cum_qty < closing.cum_qty {
            return None;
        }
        self.closing = None;
        self.state = closing.state;
        self.touched_at = now;
        Some(self.report(now, ReportKind::Done, closing.reason))
    }

    /// The order is complete by its fills, with nothing left to report but the end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.cum_qty >= self.qty
    }

    /// Its fate became unknown. `None` when it was, or when it ended.
    pub fn lost(&mut self, now: Nanos) -> Option<OrderReport> {
        // A question on its way is lost with everything else.
        self.asking = false;
        if self.state.is_terminal() || self.state == OrderState::Unknown {
            return None;
        }
        self.touched_at = now;
        if self.state == OrderState::Approved {
            return Some(self.not_sent(now, DoneReason::NoSession));
        }
        self.state = OrderState::Unknown;
        Some(self.report(now, ReportKind::Lost, DoneReason::None))
    }

    /// The venue says the order is open with `cum_qty` filled.
    pub fn found_open(&mut self, now: Nanos, venue_order: u64) -> Option<OrderReport> {
        self.asking = false;
        self.touched_at = now;
        match self.state {
            OrderState::Unknown | OrderState::Sent => self.acked(now, venue_order),
            OrderState::PendingCancel => self.cancel_refused(now, DoneReason::Other),
            _ => None,
        }
    }

    const fn open_state(&self) -> OrderState {
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
