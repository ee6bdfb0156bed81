//! Orders as commands that can be taken back.
//!
//! A command is a change of what rests on one side: from nothing to an order (place), from an
//! order to nothing (cancel), from terms to other terms (amend). Its undo is the change the other
//! way, so it is a command itself. Each is worked as an intent, and the journal holds it with its
//! outcome: the intent, the gate's verdict, and the reports that followed.

use bot4_types::{Side, Terms};

use crate::actions::{Actions, Verdict};
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
