//! Orders as commands that can be taken back.
//!
//! A command is a change of what rests on one side: from nothing to an order (place), from an
//! order to nothing (cancel), from terms to other terms (amend). Its undo is the change the other
//! way, so it is a command itself. Each is worked as an intent. Given by name
//! ([`crate::Actions::command`], or by a person), the router follows it and the journal holds it
//! with what became of it and which one it took back.

use bot4_types::{Price, Qty, Side, Terms};

use crate::actions::{Actions, Exit, Verdict};
use crate::router::{Oco, OtherLeg};
use crate::slot::Open;

/// A change of what rests on one side of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderCommand {
    /// Which side.
    pub side: Side,
    /// What rests before; `None`: nothing.
    pub from: Option<Terms>,
    /// What should rest after; `None`: nothing.
    pub to: Option<Terms>,
}

impl OrderCommand {
    /// The command that leads from what rests on `side` now to `to`.
    #[must_use]
    pub fn new(orders: &Actions<'_>, side: Side, to: Option<Terms>) -> Self {
        Self { side, from: orders.resting()[side.index()].map(terms), to }
    }

    /// Wishes what the command says. What can be done in place is done so.
    pub fn execute(&self, orders: &mut Actions<'_>) -> Verdict {
        match (self.from, self.to) {
            (_, None) => {
                orders.pull(self.side);
                Verdict::Accepted
            }
            (None, Some(to)) => orders.quote(self.side, to.price, to.qty),
            (Some(_), Some(to)) => orders.amend(self.side, to.price, to.qty),
        }
    }

    /// The command came true and nothing has happened to it since: what rests is exactly what it
    /// led to, with nothing filled and nothing on its way. What traded cannot be taken back.
    #[must_use]
    pub fn can_undo(&self, orders: &Actions<'_>) -> bool {
        match (orders.resting()[self.side.index()], self.to) {
            (None, None) => self.from.is_some(),
            (Some(open), Some(to)) => {
                let still = open.filled.0 == 0 && !open.closing && !open.amending;
                still && terms(open) == to
            }
            _ => false,
        }
    }

    /// The change the other way. A cancelled order comes back as a new one, at the end of its
    /// queue.
    #[must_use]
    pub const fn undo(&self) -> Self {
        Self { side: self.side, from: self.to, to: self.from }
    }
}

const fn terms(open: Open) -> Terms {
    Terms { price: open.price, qty: open.qty }
}

/// A stop, two linked orders or a bracket, as a command: its undo withdraws it, and the undo of
/// that brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkedCommand {
    /// What it is about.
    pub order: Linked,
    /// It is to be withdrawn, not placed.
    pub withdraws: bool,
}

/// What a [`LinkedCommand`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// A stop of the strategy's own.
    Stop {
        /// Which side it trades on.
        side: Side,
        /// Where the market triggers it.
        trigger: Price,
        /// Its limit.
        limit: Price,
        /// Its quantity.
        qty: Qty,
    },
    /// A target of the strategy's own.
    Target {
        /// Which side it trades on.
        side: Side,
        /// Where the market triggers it.
        trigger: Price,
        /// Its limit.
        limit: Price,
        /// Its quantity.
        qty: Qty,
    },
    /// Two orders of which one is to be done.
    Oco(Oco),
    /// An entry with both its exits. What it bought cannot be taken back.
    Bracket {
        /// Side of the entry.
        side: Side,
        /// Its quantity.
        qty: Qty,
        /// Its limit.
        limit: Price,
        /// Where its position is left.
        exits: Exit,
    },
}

impl LinkedCommand {
    /// The command that places `order`.
    #[must_use]
    pub const fn new(order: Linked) -> Self {
        Self { order, withdraws: false }
    }

    /// Wishes what the command says.
    pub fn execute(&self, orders: &mut Actions<'_>) -> Verdict {
        match (self.order, self.withdraws) {
            (Linked::Stop { side, trigger, limit, qty }, false) => {
                orders.stop(side, trigger, limit, qty)
            }
            (Linked::Target { side, trigger, limit, qty }, false) => {
                orders.take_profit(side, trigger, limit, qty)
            }
            (Linked::Stop { .. } | Linked::Target { .. }, true) => {
                orders.pull_stop();
                Verdict::Accepted
            }
            (Linked::Oco(oco), false) => orders.oco(&oco),
            (Linked::Oco(oco), true) => {
                // One leg takes the other with it.
                orders.pull(oco.side);
                Verdict::Accepted
            }
            (Linked::Bracket { side, qty, limit, exits }, false) => {
                orders.bracket(side, qty, limit, exits)
            }
            (Linked::Bracket { .. }, true) => Verdict::Closed,
        }
    }

    /// The command came true and nothing has happened to it since.
    #[must_use]
    pub fn can_undo(&self, orders: &Actions<'_>) -> bool {
        let rests = |side: Side, price: Price| {
            let open = orders.resting()[side.index()];
            open.is_some_and(|o| o.price == price && o.filled.0 == 0 && !o.closing)
        };
        let waits = |side: Side, trigger: Price| {
            let idle = |o: Open| o.filled.0 == 0 && !o.closing;
            let armed = orders.armed().filter(|a| (a.side, a.trigger) == (side, trigger));
            armed.is_some_and(|a| a.open.is_none_or(idle))
        };
        match (self.order, self.withdraws) {
            (Linked::Bracket { .. }, _) => false,
            (Linked::Stop { side, trigger, .. } | Linked::Target { side, trigger, .. }, false) => {
                waits(side, trigger)
            }
            (Linked::Stop { .. } | Linked::Target { .. }, true) => orders.armed().is_none(),
            (Linked::Oco(oco), false) => {
                let other = match oco.other {
                    OtherLeg::Quote { price } => rests(oco.side.opposite(), price),
                    OtherLeg::Stop { side, trigger, .. } => waits(side, trigger),
                };
                orders.is_linked() && rests(oco.side, oco.price) && other
            }
            (Linked::Oco(_), true) => !orders.is_linked(),
        }
    }

    /// The change the other way.
    #[must_use]
    pub const fn undo(&self) -> Self {
        Self { order: self.order, withdraws: !self.withdraws }
    }
}

/// How a [`TakeCommand`] trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Up to the quantity at the limit or better (IOC).
    Ioc,
    /// All of it or nothing (FOK).
    Whole,
    /// At what the market gives; the limit is what it is decided on.
    Market,
}

/// A take: what it trades cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeCommand {
    /// Buy or sell.
    pub side: Side,
    /// How much.
    pub qty: Qty,
    /// At which price.
    pub limit: Price,
    /// How.
    pub how: Take,
}

/// Any command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A change of what rests on one side.
    Order(OrderCommand),
    /// A stop, a target, two linked orders, a bracket.
    Linked(LinkedCommand),
    /// A take.
    Take(TakeCommand),
}

impl Command {
    /// Wishes what the command says.
    pub fn execute(&self, orders: &mut Actions<'_>) -> Verdict {
        match self {
            Self::Order(command) => command.execute(orders),
            Self::Linked(command) => command.execute(orders),
            Self::Take(TakeCommand { side, qty, limit, how }) => match how {
                Take::Ioc => orders.take(*side, *qty, *limit),
                Take::Whole => orders.take_whole(*side, *qty, *limit),
                Take::Market => orders.take_market(*side, *qty, *limit),
            },
        }
    }

    /// The command came true and nothing has happened to it since.
    #[must_use]
    pub fn can_undo(&self, orders: &Actions<'_>) -> bool {
        match self {
            Self::Order(command) => command.can_undo(orders),
            Self::Linked(command) => command.can_undo(orders),
            Self::Take(_) => false,
        }
    }

    /// The change the other way; `None` where there is none.
    #[must_use]
    pub const fn undo(&self) -> Option<Self> {
        match self {
            Self::Order(command) => Some(Self::Order(command.undo())),
            Self::Linked(LinkedCommand { order: Linked::Bracket { .. }, .. }) | Self::Take(_) => {
                None
            }
            Self::Linked(command) => Some(Self::Linked(command.undo())),
        }
    }

    /// Something is to rest or to wait after it.
    pub(crate) const fn leaves_something(&self) -> bool {
        match self {
            Self::Order(command) => command.to.is_some(),
            Self::Linked(command) => !command.withdraws,
            Self::Take(_) => false,
        }
    }
}
