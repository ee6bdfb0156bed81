//! Orders: intent, approval, report. Each type adds proof to the one before.

mod first;

use crate::command::InstrumentNews;
use crate::headroom::Headroom;
use crate::id::{AssetId, InstrumentId, OrderId, StrategyId, VenueId};
use crate::instrument::{Amount, InstrumentTable};
use crate::parent::{ParentCommand, ParentId};
use crate::price::{Price, Qty, Side};
use crate::time::Nanos;
use crate::trail::Trail;
use crate::work::OrderWork;
use serde::{Deserialize, Serialize};

/// Defines a `repr(u8)` enum with names and a checked way back from the raw value.
macro_rules! raw_enum {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$vmeta:meta])* $variant:ident = $raw:literal => $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $raw,)+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used in reports, journals and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value whose representation is `raw`, if there is one.
            #[must_use]
            pub const fn from_raw(raw: u8) -> Option<Self> {
                match raw { $($raw => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

mod kind;

pub use kind::{OrderKind, Tif};

pub(crate) use raw_enum;

raw_enum! {
    /// What caused an intent. Only market-caused orders count for tick-to-trade.
    Cause {
        /// A market message.
        Market = 0 => "market",
        /// A timer.
        Timer = 1 => "timer",
        /// A report of an earlier order.
        Report = 2 => "report",
        /// The operator or the shutdown sequence.
        Operator = 3 => "operator",
    }
}

raw_enum! {
    /// What an intent asks for.
    OrderAction {
        /// A new order.
        Place = 0 => "place",
        /// Cancel the order named by `order`.
        Cancel = 1 => "cancel",
        /// Give the order named by `order` another price or whole quantity while it rests.
        Amend = 2 => "amend",
    }
}

raw_enum! {
    /// Why the gate refused an intent.
    RefuseReason {
        /// The kill word is set.
        Killed = 0 => "killed",
        /// The engine is stopping: only cancels pass.
        Draining = 1 => "draining",
        /// No such instrument.
        UnknownInstrument = 2 => "unknown_instrument",
        /// The venue does not accept orders for it.
        NotTradable = 3 => "not_tradable",
        /// The book is not live.
        BookNotLive = 4 => "book_not_live",
        /// The newest mark is older than the limit.
        BookStale = 5 => "book_stale",
        /// The intent waited longer than it may.
        Expired = 6 => "expired",
        /// Price too far from the market.
        PriceCollar = 7 => "price_collar",
        /// Price not a multiple of the tick.
        Tick = 8 => "tick",
        /// Price outside the instrument's bounds or band.
        PriceBounds = 9 => "price_bounds",
        /// Quantity not a multiple of the lot.
        Lot = 10 => "lot",
        /// Quantity below the minimum.
        SizeMin = 11 => "size_min",
        /// Quantity above the venue's maximum.
        SizeMax = 12 => "size_max",
        /// Notional below the venue's minimum.
        NotionalMin = 13 => "notional_min",
        /// Notional above the venue's maximum.
        NotionalMax = 14 => "notional_max",
        /// Worst-case position would exceed the limit.
        Position = 15 => "position",
        /// Too many open orders.
        OpenOrders = 16 => "open_orders",
        /// Too many orders in the window.
        Rate = 17 => "rate",
        /// An order of unknown fate is on this instrument and side.
        Unknown = 18 => "unknown",
        /// The order id was used before.
        DuplicateId = 19 => "duplicate_id",
        /// Would trade with an own open order.
        SelfTrade = 20 => "self_trade",
        /// Not enough free balance to settle.
        Balance = 21 => "balance",
        /// The journal or the way to execution has no room: no record, no trade.
        NoRoom = 22 => "no_room",
        /// The order-entry session is not ready.
        Session = 23 => "session",
        /// The order to cancel is not open.
        NotOpen = 24 => "not_open",
        /// An increasing intent without a stop.
        MissingStop = 25 => "missing_stop",
        /// The order's P&L is too much like that of a book that is held already.
        Correlation = 26 => "correlation",
        /// Expected shortfall could exceed its limit.
        Shortfall = 27 => "shortfall",
        /// Portfolio heat would exceed its limit.
        Heat = 28 => "heat",
        /// The control mode allows only reductions, or only what an operator caused.
        Mode = 29 => "mode",
        /// Quantity above our own largest order (fat finger).
        FatSize = 30 => "fat_size",
        /// Value above our own largest order (fat finger).
        FatNotional = 31 => "fat_notional",
        /// Too much message weight in the window; what is left is for cancels.
        Weight = 32 => "weight",
        /// Worst-case gross exposure would exceed the limit.
        Gross = 33 => "gross",
        /// Worst-case net exposure would exceed the limit.
        Net = 34 => "net",
        /// Worst-case exposure would exceed the leverage allowed.
        Leverage = 35 => "leverage",
        /// Equity would come too near to the maintenance margin.
        Margin = 36 => "margin",
        /// The day's loss is at its limit.
        DailyLoss = 37 => "daily_loss",
        /// The fall from the highest equity is at its limit.
        Drawdown = 38 => "drawdown",
        /// The venue changed its rules: they hold once what rests is gone.
        InstrumentChanging = 39 => "instrument_changing",
        /// The instrument is paused by the control lane.
        InstrumentPaused = 40 => "instrument_paused",
        /// The strategy's circuit breaker is open, or tries with other orders.
        BreakerStrategy = 41 => "breaker_strategy",
        /// The instrument's circuit breaker is.
        BreakerInstrument = 42 => "breaker_instrument",
        /// The venue's circuit breaker is.
        BreakerVenue = 43 => "breaker_venue",
        /// More than half of all circuit breakers are open.
        BreakerGlobal = 44 => "breaker_global",
        /// The order to amend is not accepted yet, has a cancel or an amend on its way, or is of
        /// unknown fate.
        AmendBusy = 45 => "amend_busy",
        /// The amend changes nothing or leaves nothing to trade.
        AmendTerms = 46 => "amend_terms",
        /// The order may only reduce what its strategy holds and could increase it, or another one
        /// that may only reduce could by this one.
        ReduceOnly = 47 => "reduce_only",
        /// The trigger is missing, off its steps or bounds, or was reached already.
        Trigger = 48 => "trigger",
        /// The instrument is of low priority and was given up under pressure, until it eases.
        Shed = 49 => "shed",
    }
}

raw_enum! {
    /// Who may increase risk. Reductions and cancels pass in every mode.
    ControlMode {
        /// Nobody: only reductions and cancels.
        Emergency = 0 => "emergency",
        /// Only what an operator caused, within a share of every limit.
        Manual = 1 => "manual",
        /// Strategies and operators, within a share of every limit.
        SemiAuto = 2 => "semi_auto",
        /// Strategies and operators, within the limits.
        FullAuto = 3 => "full_auto",
    }
}

raw_enum! {
    /// The life of an order.
    OrderState {
        /// Approved by risk, not yet handed to the socket.
        Approved = 0 => "approved",
        /// Handed to the socket, no answer yet.
        Sent = 1 => "sent",
        /// Accepted by the venue.
        Live = 2 => "live",
        /// Accepted and filled in part.
        PartiallyFilled = 3 => "partially_filled",
        /// A cancel is on its way.
        PendingCancel = 4 => "pending_cancel",
        /// Its fate is not known; exposure is worst case both ways.
        Unknown = 5 => "unknown",
        /// Completely filled. Terminal.
        Filled = 6 => "filled",
        /// Cancelled. Terminal.
        Canceled = 7 => "canceled",
        /// Ended by the venue (IOC rest, FOK, self-trade prevention). Terminal.
        Expired = 8 => "expired",
        /// Refused by the venue. Terminal.
        Rejected = 9 => "rejected",
        /// Never left the engine. Terminal.
        NotSent = 10 => "not_sent",
        /// An amend is on its way.
        PendingReplace = 11 => "pending_replace",
        /// Accepted, and in no book before the market reaches its trigger.
        Untriggered = 12 => "untriggered",
    }
}

impl OrderState {
    /// Nothing more can happen to the order.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        (self as u8) >= (Self::Filled as u8) && (self as u8) <= (Self::NotSent as u8)
    }
}

raw_enum! {
    /// What an [`OrderReport`] tells.
    ReportKind {
        /// The order was handed to the socket.
        Sent = 0 => "sent",
        /// The venue accepted it.
        Acked = 1 => "acked",
        /// A fill.
        Fill = 2 => "fill",
        /// A cancel was handed to the socket.
        CancelSent = 3 => "cancel_sent",
        /// The cancel was refused; the order lives or has ended otherwise.
        CancelRejected = 4 => "cancel_rejected",
        /// The order ended: see `state`.
        Done = 5 => "done",
        /// The order's fate became unknown.
        Lost = 6 => "lost",
        /// An unknown order was found again alive.
        Found = 7 => "found",
        /// The venue's word contradicts the order's end: it may have something open that we count
        /// as ended.
        Contradicted = 8 => "contradicted",
        /// An amend was handed to the socket; `price` and `qty` are still the terms before.
        AmendSent = 9 => "amend_sent",
        /// The order has other terms: `price` and `qty`.
        Amended = 10 => "amended",
        /// The amend is over and changed nothing.
        AmendRejected = 11 => "amend_rejected",
        /// The market reached the order's trigger: it works from now on.
        Triggered = 12 => "triggered",
    }
}

raw_enum! {
    /// Why an order was not sent, was rejected or ended, beyond its state.
    DoneReason {
        /// Nothing special.
        None = 0 => "none",
        /// The kill word was set before the send.
        Killed = 1 => "killed",
        /// It waited too long for the journal or the socket.
        Expired = 2 => "expired",
        /// No room in the venue's rate budget.
        NoBudget = 3 => "no_budget",
        /// The session was not ready.
        NoSession = 4 => "no_session",
        /// A filter of the venue.
        Filter = 5 => "filter",
        /// Not enough balance.
        Balance = 6 => "balance",
        /// A post-only order would have taken.
        WouldTake = 7 => "would_take",
        /// The venue's rate limit.
        RateLimit = 8 => "rate_limit",
        /// The request came too late for its window.
        Window = 9 => "window",
        /// The venue does not know the order.
        NotFound = 10 => "not_found",
        /// Self-trade prevention.
        SelfTrade = 11 => "self_trade",
        /// Any other refusal.
        Other = 12 => "other",
        /// No room for another open order.
        TableFull = 13 => "table_full",
        /// The venue has no such request.
        Unsupported = 14 => "unsupported",
        /// Of a fill: it was told after its order's end, which had counted less, and the venue's
        /// list of the order's fills proves it.
        Late = 15 => "late",
    }
}

/// What an order may be amended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Limit price.
    pub price: Price,
    /// Whole quantity, what is filled included.
    pub qty: Qty,
}

/// What a strategy wants, after sizing and routing: router → risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderIntent {
    /// Of the message that caused it.
    pub trail: Trail,
    /// The order to place, to amend or to cancel.
    pub order: OrderId,
    /// Limit price; for a market order the price it was decided on.
    pub price: Price,
    /// Quantity, positive; of an amend the whole one, what is filled included; ignored for a
    /// cancel.
    pub qty: Qty,
    /// Where the market triggers the order; zero for kinds that do not wait for it.
    pub trigger: Price,
    /// Distance of the protective stop in ticks, positive on every increasing intent.
    pub stop_ticks: i32,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// By which strategy.
    pub strategy: StrategyId,
    /// What caused it.
    pub cause: Cause,
    /// Not valid at or after this time.
    pub expires: Nanos,
    /// Place, amend or cancel.
    pub action: OrderAction,
    /// Order type.
    pub kind: OrderKind,
    /// Time in force.
    pub tif: Tif,
    /// Withdrawn at this time ([`Tif::Gtd`]); never otherwise.
    pub until: Nanos,
    /// It may only bring what its strategy holds nearer to zero.
    pub reduce_only: bool,
    /// Buy or sell.
    pub side: Side,
    /// The parent that it is a child of; [`ParentId::NONE`] for an order that stands by itself.
    pub parent: ParentId,
}

const _: () = assert!(size_of::<OrderIntent>() <= 104);

/// An intent that passed every check: risk → execution. Only the gate makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovedOrder {
    intent: OrderIntent,
    record: u64,
}

impl ApprovedOrder {
    /// Seals `intent` as approved; `record` is the log sequence of the approval, which must be
    /// journaled before the order may leave. Called by the risk gate alone: the lint
    /// configuration bans every other caller.
    #[must_use]
    pub const fn seal(intent: OrderIntent, record: u64) -> Self {
        Self { intent, record }
    }

    /// What was approved.
    #[must_use]
    pub const fn intent(&self) -> &OrderIntent {
        &self.intent
    }

    /// Log sequence of the approval.
    #[must_use]
    pub const fn record(&self) -> u64 {
        self.record
    }
}

const _: () = assert!(size_of::<ApprovedOrder>() <= 112);

/// What happened to an order: execution → risk. Idempotent by (`order`, `seq`) and, for fills,
/// by `trade_id` and the monotone `cum_qty`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReport {
    /// When execution learned it.
    pub at: Nanos,
    /// Which order.
    pub order: OrderId,
    /// The venue's number, zero until known.
    pub venue_order: u64,
    /// Limit price.
    pub price: Price,
    /// Ordered quantity.
    pub qty: Qty,
    /// Filled so far.
    pub cum_qty: Qty,
    /// Filled by this report (`Fill` only).
    pub last_qty: Qty,
    /// Price of this fill (`Fill` only).
    pub last_price: Price,
    /// The venue's trade id (`Fill` only).
    pub trade_id: u64,
    /// Fee of this fill in `fee_asset`; negative is a rebate.
    pub fee: Amount,
    /// Counts the reports of this order from 1.
    pub seq: u32,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// By which strategy.
    pub strategy: StrategyId,
    /// What the fee was paid with.
    pub fee_asset: AssetId,
    /// What it tells.
    pub kind: ReportKind,
    /// The order's state after it.
    pub state: OrderState,
    /// Why it ended.
    pub reason: DoneReason,
    /// Buy or sell.
    pub side: Side,
    /// The fill made liquidity (`Fill` only).
    pub maker: bool,
}

const _: () = assert!(size_of::<OrderReport>() <= 128);

/// One message of the reports link: execution → risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecMsg {
    /// Of an order.
    Order(OrderReport),
    /// Absolute balance of an asset as the venue states it.
    Balance {
        /// When it was learned.
        at: Nanos,
        /// Which asset.
        asset: AssetId,
        /// Free amount.
        free: Amount,
        /// Amount locked in open orders.
        locked: Amount,
    },
    /// A funding payment of a position, as derivatives have it: not a fill, yet cash.
    Funding {
        /// When it was learned.
        at: Nanos,
        /// The venue's number of the payment, unique for the instrument.
        id: u64,
        /// For a position in which instrument.
        instrument: InstrumentId,
        /// What it was paid in.
        asset: AssetId,
        /// Received (positive) or paid (negative).
        amount: Amount,
    },
    /// The order-entry session is ready to trade, or not.
    Session {
        /// When.
        at: Nanos,
        /// At which venue.
        venue: VenueId,
        /// Ready.
        ready: bool,
    },
    /// Somebody else acts on this account: an order or a fill that is not this run's.
    Foreign {
        /// When it was learned.
        at: Nanos,
        /// At which venue.
        venue: VenueId,
        /// The venue's number of the order; zero where it was not told.
        venue_order: u64,
        /// The venue's number of the trade; zero for an order.
        trade_id: u64,
        /// The configuration says that this one may be.
        declared: bool,
    },
}

const _: () = assert!(size_of::<ExecMsg>() <= 144);

/// A position that a strategy holds at the start, from an earlier run of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPosition {
    /// Whose.
    pub strategy: StrategyId,
    /// In which instrument.
    pub instrument: InstrumentId,
    /// Net quantity; negative is short.
    pub qty: Qty,
    /// What it cost (long, positive) or brought (short, negative), in units of
    /// 10^-(price + quantity decimals).
    pub cost: i128,
}

impl ExecMsg {
    /// The venue whose order entry tells it; `None` when it is about something that is not in
    /// `table`.
    #[must_use]
    pub fn venue(&self, table: &InstrumentTable) -> Option<VenueId> {
        let of = |instrument| table.get(instrument).map(|i| i.venue);
        match self {
            Self::Order(report) => of(report.instrument),
            Self::Funding { instrument, .. } => of(*instrument),
            Self::Balance { asset, .. } => table.venue_of(*asset),
            Self::Session { venue, .. } | Self::Foreign { venue, .. } => Some(*venue),
        }
    }
}

impl HeldPosition {
    /// Average price of its entry, rounded towards zero; zero for a flat position.
    #[must_use]
    pub fn entry(&self) -> Price {
        let price = self.cost.checked_div(i128::from(self.qty.0)).unwrap_or(0);
        Price(i64::try_from(price).unwrap_or(i64::MAX).max(0))
    }
}

/// What strategies learn of their orders: risk → signal, after the ledger has booked it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AccountReport {
    /// A report and the position after it.
    Order {
        /// The report.
        report: OrderReport,
        /// Net position of the strategy in the instrument.
        position: Qty,
    },
    /// The gate refused an intent.
    Refused {
        /// The order that was to be placed, amended or cancelled.
        order: OrderId,
        /// Place, amend or cancel.
        action: OrderAction,
        /// Of which instrument.
        instrument: InstrumentId,
        /// By which strategy.
        strategy: StrategyId,
        /// Why.
        reason: RefuseReason,
    },
    /// Trading is possible at a venue, or not.
    Session {
        /// Which.
        venue: VenueId,
        /// Ready.
        ready: bool,
    },
    /// An instrument has other rules, or is closed or open for new orders.
    Instrument(InstrumentNews),
    /// What is left for sizing; conflated.
    Headroom(Headroom),
    /// What an operator says to the parents' table.
    Parent(ParentCommand),
    /// What a person asks for on orders.
    Work(OrderWork),
}

const _: () = assert!(size_of::<AccountReport>() <= 208);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_values_read_back_and_unknown_ones_do_not() {
        for reason in RefuseReason::ALL {
            assert_eq!(RefuseReason::from_raw(*reason as u8), Some(*reason));
        }
        assert_eq!(RefuseReason::from_raw(200), None);
        assert_eq!(OrderState::from_raw(6), Some(OrderState::Filled));
    }

    #[test]
    fn five_states_are_terminal() {
        let terminal: Vec<_> = OrderState::ALL.iter().filter(|s| s.is_terminal()).collect();
        assert_eq!(terminal.len(), 5);
        assert!(!OrderState::Unknown.is_terminal() && !OrderState::PendingReplace.is_terminal());
    }
}
