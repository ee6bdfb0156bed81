//! One place for one order: what the strategy wants there and what is there.
//!
//! ```text
//!          place              ack                 differs from the wish
//!   Free ---------> Pending --------> Live -----------------------------> Cancelling
//!    ^                 |               |  ^----- cancel refused or lost ------'  |
//!    |                 |               |<- found -  Unknown  <- lost ------------|
//!    '--- terminal report, or the gate's refusal --------------------------------'
//! ```
//!
//! Where amends are wished, Live goes to Amending instead of Cancelling and comes back with the new
//! terms; refused, it comes back with the old ones and is cancelled and placed anew.

use crate::router::Bracket;
use bot4_types::{
    Cause, InstrumentId, Nanos, OrderId, OrderKind, ParentId, Price, Qty, Side, StrategyId, Tif,
    Trail,
};

/// Why something is asked for: decides the intent's cause and its trail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub cause: Cause,
    /// Of the market message; meaningless for other causes.
    pub trail: Trail,
}

impl Origin {
    /// Caused by the market message with this trail.
    pub const fn market(trail: Trail) -> Self {
        Self { cause: Cause::Market, trail }
    }

    /// Caused by something that is not a market message.
    pub const fn other(cause: Cause) -> Self {
        Self { cause, trail: Trail::start(Nanos::ZERO) }
    }
}

/// Where the order of a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// There is none.
    Free,
    /// Asked for, not accepted by the venue yet.
    Pending,
    /// Rests.
    Live,
    /// A cancel was asked for.
    Cancelling,
    /// Other terms were asked for.
    Amending,
    /// Its fate is not known.
    Unknown,
}

/// What should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub price: Price,
    pub qty: Qty,
    /// Not to be placed at or after this time: the decision is too old.
    pub expires: Nanos,
    /// What rests may be amended instead of cancelled.
    pub amends: bool,
    /// Withdrawn at this time (good till date).
    pub until: Nanos,
    /// How it trades.
    pub style: Style,
    /// It may only reduce what the strategy holds.
    pub reduce_only: bool,
    /// Where the market triggers it, of styles that wait.
    pub trigger: Price,
    /// It waits at the venue, not here.
    pub native: bool,
    /// Where the position that it makes is to be left.
    pub bracket: Option<Bracket>,
    /// It gives back what both of two linked orders filled.
    pub gives_back: bool,
}

impl Wish {
    /// A wish of a strategy; the router says how long it may wait.
    pub const fn stated(price: Price, qty: Qty, style: Style) -> Self {
        Self::new(price, qty, Nanos::MAX, style)
    }

    /// A wish for an order that trades in `style`, dropped when it waited until `expires`.
    pub const fn new(price: Price, qty: Qty, expires: Nanos, style: Style) -> Self {
        Self {
            price,
            qty,
            expires,
            amends: false,
            until: Nanos::MAX,
            style,
            reduce_only: false,
            trigger: Price(0),
            native: true,
            bracket: None,
            gives_back: false,
        }
    }

    /// The price that other orders of ours meet: a market order meets them all.
    pub const fn meets_at(&self, side: Side) -> Price {
        match (self.style, side) {
            (Style::Market, Side::Buy) => Price(crate::rules::PRICE_MAX),
            (Style::Market, Side::Sell) => Price(1),
            _ => self.price,
        }
    }
}

/// How an order of the router trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Rests or is refused (post-only), until cancelled.
    Quote,
    /// Takes up to its limit, the rest expires.
    Ioc,
    /// Takes all at its limit or better, or nothing.
    Fok,
    /// Takes at any price.
    Market,
    /// Waits for the market to turn against its owner, then takes up to its limit.
    Stop,
    /// Waits for the market to go its owner's way, then rests at its limit.
    Target,
}

impl Style {
    /// Type and time in force on the wire.
    pub const fn terms(self) -> (OrderKind, Tif) {
        match self {
            Self::Quote => (OrderKind::LimitMaker, Tif::Gtc),
            Self::Ioc => (OrderKind::Limit, Tif::Ioc),
            Self::Fok => (OrderKind::Limit, Tif::Fok),
            Self::Market => (OrderKind::Market, Tif::Ioc),
            Self::Stop => (OrderKind::StopLossLimit, Tif::Ioc),
            Self::Target => (OrderKind::TakeProfitLimit, Tif::Gtc),
        }
    }

    /// Trades at once or not at all.
    pub const fn takes(self) -> bool {
        matches!(self, Self::Ioc | Self::Fok | Self::Market)
    }

    /// Waits for a trigger.
    pub const fn waits(self) -> bool {
        matches!(self, Self::Stop | Self::Target)
    }
}

/// One order slot of the router's fixed table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderSlot {
    pub state: SlotState,
    pub wish: Option<Wish>,
    pub origin: Origin,
    /// The order, while not free.
    pub order: OrderId,
    pub price: Price,
    pub qty: Qty,
    pub filled: Qty,
    /// Terms asked for while amending.
    pub amend: Option<(Price, Qty)>,
    /// An amend of this order was refused: it is replaced by a cancel from now on.
    pub no_amend: bool,
    /// How the order trades, while there is one.
    pub style: Style,
    /// The order may only reduce, while there is one.
    pub reduce_only: bool,
    /// Its date, while there is one.
    pub until: Nanos,
    /// Where the market triggers the order, while there is one that waits.
    pub trigger: Price,
    /// The market did.
    pub triggered: bool,
    /// Since when the market is beyond the trigger of an order that still waits.
    pub passed_at: Option<Nanos>,
    /// The venue did not trigger it in time: it is withdrawn.
    pub late: bool,
    /// The order is the router's own exit of what is held.
    pub exit: bool,
    /// Where the position that the order makes is to be left.
    pub bracket: Option<Bracket>,
    /// The order gives back what both of two linked ones filled.
    pub gives_back: bool,
    /// Thousandths by which an exit is smaller than what is held: so often it was refused for want
    /// of balance, as where fees are paid in what is held.
    pub cuts: u8,
    /// Distance of its protective stop.
    pub stop_ticks: i32,
    /// When it was asked for.
    pub since: Nanos,
    /// Back-off after a refusal, or when to repeat a cancel: nothing is sent before.
    pub retry_at: Nanos,
    /// A fresh decision is preferred to a waiting one until then.
    pub settle_at: Nanos,
    /// Refusals in a row; sets the length of the back-off.
    pub failures: u32,
    /// Is in the router's list of waiting slots.
    pub queued: bool,
    pub strategy: StrategyId,
    pub instrument: InstrumentId,
    pub side: Side,
    /// Takes at once (IOC) instead of resting.
    pub take: bool,
    /// The parent whose child stands here.
    pub parent: ParentId,
}

impl OrderSlot {
    /// An empty slot.
    pub const fn new(
        strategy: StrategyId,
        instrument: InstrumentId,
        side: Side,
        take: bool,
    ) -> Self {
        Self {
            state: SlotState::Free,
            wish: None,
            origin: Origin::other(Cause::Timer),
            order: OrderId(0),
            price: Price(0),
            qty: Qty(0),
            filled: Qty(0),
            amend: None,
            no_amend: false,
            style: if take { Style::Ioc } else { Style::Quote },
            reduce_only: false,
            until: Nanos::MAX,
            trigger: Price(0),
            triggered: false,
            passed_at: None,
            late: false,
            exit: false,
            bracket: None,
            gives_back: false,
            cuts: 0,
            stop_ticks: 0,
            since: Nanos::ZERO,
            retry_at: Nanos::ZERO,
            settle_at: Nanos::ZERO,
            failures: 0,
            queued: false,
            strategy,
            instrument,
            side,
            take,
            parent: ParentId::NONE,
        }
    }

    /// What rests is not what is wanted. A take never differs: it ends by itself.
    pub fn differs(&self) -> bool {
        let same = |w: Wish| {
            (w.price, w.qty, w.reduce_only, w.trigger)
                == (self.price, self.qty, self.reduce_only, self.trigger)
        };
        self.late || !self.style.takes() && !self.wish.is_some_and(same)
    }

    /// Something must still be sent or repeated, and no report is certain to remind us.
    pub fn is_unmet(&self) -> bool {
        match self.state {
            SlotState::Free => self.wish.is_some(),
            SlotState::Pending => false,
            SlotState::Live | SlotState::Unknown => self.differs() || self.is_dated(),
            // What replaced the wish waits for the answer; nothing wished means a cancel.
            SlotState::Amending => self.wish.is_none(),
            SlotState::Cancelling => true,
        }
    }

    /// The wish has an end: it is looked at each turn.
    pub fn is_dated(&self) -> bool {
        self.wish.is_some_and(|wish| wish.until < Nanos::MAX)
    }

    /// What rests can become what is wished by an amend: less at its price, or anything else
    /// while nothing is filled.
    pub fn amendable(&self) -> Option<Wish> {
        let same = |w: &Wish| w.amends && w.reduce_only == self.reduce_only;
        let quotes = self.style == Style::Quote && !self.no_amend;
        let wish = self.wish.filter(|w| same(w) && quotes)?;
        let trims = wish.price == self.price && wish.qty < self.qty && wish.qty > self.filled;
        let idle = self.state == SlotState::Live && self.amend.is_none();
        let fits = idle && (trims || self.filled.0 == 0);
        fits.then_some(wish)
    }

    /// An order to buy at `price` would trade with this one, or one to sell.
    pub fn crosses(&self, side: Side, price: Price) -> bool {
        let meets = |own: Price| match side {
            Side::Buy => price >= own,
            Side::Sell => price <= own,
        };
        let waits = self.style.waits() && !self.triggered;
        let there = self.state != SlotState::Free && self.side != side && !waits;
        there && (meets(self.price) || self.amend.is_some_and(|(own, _)| meets(own)))
    }

    /// The order as its strategy sees it.
    pub fn open(&self) -> Option<Open> {
        (self.state != SlotState::Free).then_some(Open {
            order: self.order,
            price: self.price,
            qty: self.qty,
            filled: self.filled,
            since: self.since,
            closing: self.state == SlotState::Cancelling,
            amending: self.state == SlotState::Amending,
        })
    }
}

/// An order that may still trade, as its strategy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which order.
    pub order: OrderId,
    /// Limit price.
    pub price: Price,
    /// Ordered quantity.
    pub qty: Qty,
    /// Filled so far.
    pub filled: Qty,
    /// Since when it has its place in the queue: when it was asked for, or amended in a way that
    /// put it at the end.
    pub since: Nanos,
    /// Its cancel is on the way; a wish stated now is placed after it.
    pub closing: bool,
    /// An amend is on the way; a wish stated now is worked after it.
    pub amending: bool,
}
