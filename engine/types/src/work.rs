//! Commands on orders: what a person or a strategy asks for by name, so that it can be looked up
//! and taken back, and what is told of it.
//!
//! A command leads from what rests to what should rest: from nothing to an order (place), from one
//! to nothing (cancel), from terms to others (amend); or it is a stop, two linked orders, a
//! bracket, a take. It is worked by intents like any other, each of which passes the gate; the
//! journal holds the command with what it led to and which one it took back.

use crate::id::{InstrumentId, OrderId, StrategyId, by_whom};
use crate::log::{Body, Reader, Writer};
use crate::order::{DoneReason, RefuseReason, Terms, raw_enum};
use crate::parent::ParentReport;
use crate::price::{Price, Qty, Side};
use crate::time::Nanos;

by_whom! {
    /// Names a command within a run. Zero is none. The upper bit says that a strategy gave it, else
    /// a person did.
    CommandId, operator 'c', strategy 'k'
}

raw_enum! {
    /// What a command asks for.
    WorkKind {
        /// An order that rests (post-only).
        Place = 0 => "place",
        /// Other terms of what rests.
        Amend = 1 => "amend",
        /// Nothing is to rest.
        Cancel = 2 => "cancel",
        /// Up to the quantity at the limit or better, now (IOC).
        Take = 3 => "take",
        /// All of the quantity at the limit or better, now, or nothing (FOK).
        TakeWhole = 4 => "take_whole",
        /// The quantity at what the market gives.
        Market = 5 => "market",
        /// A stop.
        Stop = 6 => "stop",
        /// A take-profit.
        Target = 7 => "take_profit",
        /// Two orders of which one is to be done.
        Oco = 8 => "oco",
        /// An entry with both its exits.
        Bracket = 9 => "bracket",
        /// A stop, a target or two linked orders are to be withdrawn.
        Withdraw = 10 => "withdraw",
        /// Another command is to be taken back. Told as the command that it makes.
        Undo = 11 => "undo",
    }
}

raw_enum! {
    /// What became of a command.
    WorkState {
        /// It is on its way.
        Working = 0 => "working",
        /// It came true: what it asked for rests or is armed, or nothing rests any more.
        Done = 1 => "done",
        /// It was not begun.
        Refused = 2 => "refused",
        /// The gate or the venue refused its order.
        Rejected = 3 => "rejected",
        /// It traded all that it asked for.
        Filled = 4 => "filled",
        /// What it asked for has ended: withdrawn, expired, or traded in part.
        Ended = 5 => "ended",
        /// It was taken back.
        Undone = 6 => "undone",
    }
}

impl WorkState {
    /// Nothing will come of it any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Working | Self::Done)
    }
}

raw_enum! {
    /// Why a command was not begun.
    WorkRefusal {
        /// It was.
        None = 0 => "none",
        /// Something rests in its place, or is on its way there.
        Busy = 1 => "busy",
        /// Trading, the session, the book or the instrument is not open.
        Closed = 2 => "closed",
        /// A stop is closing the position.
        Stopped = 3 => "stopped",
        /// Pause after a refusal.
        BackOff = 4 => "back_off",
        /// A price out of bounds.
        PriceBounds = 5 => "price_bounds",
        /// Too small.
        SizeMin = 6 => "size_min",
        /// Too large.
        SizeMax = 7 => "size_max",
        /// Worth too little.
        NotionalMin = 8 => "notional_min",
        /// Worth too much.
        NotionalMax = 9 => "notional_max",
        /// Nothing is held that it could reduce.
        NothingHeld = 10 => "nothing_held",
        /// There is no such command, or it is somebody else's.
        Unknown = 11 => "unknown",
        /// It did not come true, or something has happened to it since.
        NotUndoable = 12 => "not_undoable",
        /// Nothing rests that could be amended or withdrawn.
        NothingRests = 13 => "nothing_rests",
        /// Too many commands are under way.
        Full = 14 => "full",
    }
}

/// A person's command: control → risk → router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderWork {
    /// Its name.
    pub id: CommandId,
    /// On whose account.
    pub strategy: StrategyId,
    /// Of which instrument; of a command about another one, that one's.
    pub instrument: InstrumentId,
    /// What it asks for.
    pub kind: WorkKind,
    /// Buy or sell.
    pub side: Side,
    /// Limit. Zero for a market order: as far through the touch as the configuration allows.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
    /// Trigger of a stop or target; of two linked orders that of the stop, or zero where the other
    /// leg is a quote on the other side; the stop of a bracket.
    pub trigger: Price,
    /// Limit of the other of two linked orders; the target of a bracket.
    pub other: Price,
    /// Side of the stop of two linked orders.
    pub other_side: Side,
    /// The command that it is about: to be amended, withdrawn, taken back.
    pub of: CommandId,
}

impl Body for OrderWork {
    fn write(&self, w: &mut Writer<'_>) {
        w.u32(self.id.0);
        w.u8(self.strategy.0);
        w.u16(self.instrument.0);
        w.u8(self.kind as u8);
        w.u8(self.side as u8);
        for n in [self.price.0, self.qty.0, self.trigger.0, self.other.0] {
            w.i64(n);
        }
        w.u8(self.other_side as u8);
        w.u32(self.of.0);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: CommandId(r.u32()?),
            strategy: StrategyId(r.u8()?),
            instrument: InstrumentId(r.u16()?),
            kind: WorkKind::from_raw(r.u8()?)?,
            side: Side::from_raw(r.u8()?)?,
            price: Price(r.i64()?),
            qty: Qty(r.i64()?),
            trigger: Price(r.i64()?),
            other: Price(r.i64()?),
            other_side: Side::from_raw(r.u8()?)?,
            of: CommandId(r.u32()?),
        })
    }
}

/// What became of a command: router → control and journal, whenever it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkReport {
    /// Which.
    pub id: CommandId,
    /// On whose account.
    pub strategy: StrategyId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// What it asks for.
    pub kind: WorkKind,
    /// Buy or sell.
    pub side: Side,
    /// What rested before; `None`: nothing.
    pub from: Option<Terms>,
    /// What should rest after; `None`: nothing.
    pub to: Option<Terms>,
    /// See [`OrderWork::trigger`].
    pub trigger: Price,
    /// See [`OrderWork::other`].
    pub other: Price,
    /// What became of it.
    pub state: WorkState,
    /// Why it was not begun.
    pub refusal: WorkRefusal,
    /// Why the gate refused its order; `None` when it did not.
    pub gate: Option<RefuseReason>,
    /// Why its order ended.
    pub reason: DoneReason,
    /// Its newest order; zero: none.
    pub order: OrderId,
    /// What its orders filled.
    pub filled: Qty,
    /// The command that it takes back.
    pub undo_of: CommandId,
    /// It could be taken back at that time.
    pub can_undo: bool,
    /// When it was given.
    pub began: Nanos,
    /// When this held.
    pub at: Nanos,
}

/// What the router tells of what it works on: router → control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterReport {
    /// Where a parent order stands.
    Parent(ParentReport),
    /// What became of a command.
    Work(WorkReport),
}

/// No refusal of the gate, as raw value.
const NO_REASON: u8 = u8::MAX;

fn put_terms(terms: Option<Terms>, w: &mut Writer<'_>) {
    w.u8(u8::from(terms.is_some()));
    let terms = terms.unwrap_or(Terms { price: Price(0), qty: Qty(0) });
    w.i64(terms.price.0);
    w.i64(terms.qty.0);
}

fn take_terms(r: &mut Reader<'_>) -> Option<Option<Terms>> {
    let there = r.u8()? != 0;
    let terms = Terms { price: Price(r.i64()?), qty: Qty(r.i64()?) };
    Some(there.then_some(terms))
}

impl Body for WorkReport {
    fn write(&self, w: &mut Writer<'_>) {
        w.u32(self.id.0);
        w.u8(self.strategy.0);
        w.u16(self.instrument.0);
        w.u8(self.kind as u8);
        w.u8(self.side as u8);
        put_terms(self.from, w);
        put_terms(self.to, w);
        w.i64(self.trigger.0);
        w.i64(self.other.0);
        w.u8(self.state as u8);
        w.u8(self.refusal as u8);
        w.u8(self.gate.map_or(NO_REASON, |reason| reason as u8));
        w.u8(self.reason as u8);
        w.u64(self.order.0);
        w.i64(self.filled.0);
        w.u32(self.undo_of.0);
        w.u8(u8::from(self.can_undo));
        w.u64(self.began.0);
        w.u64(self.at.0);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: CommandId(r.u32()?),
            strategy: StrategyId(r.u8()?),
            instrument: InstrumentId(r.u16()?),
            kind: WorkKind::from_raw(r.u8()?)?,
            side: Side::from_raw(r.u8()?)?,
            from: take_terms(r)?,
            to: take_terms(r)?,
            trigger: Price(r.i64()?),
            other: Price(r.i64()?),
            state: WorkState::from_raw(r.u8()?)?,
            refusal: WorkRefusal::from_raw(r.u8()?)?,
            gate: match r.u8()? {
                NO_REASON => None,
                raw => Some(RefuseReason::from_raw(raw)?),
            },
            reason: DoneReason::from_raw(r.u8()?)?,
            order: OrderId(r.u64()?),
            filled: Qty(r.i64()?),
            undo_of: CommandId(r.u32()?),
            can_undo: r.u8()? != 0,
            began: Nanos(r.u64()?),
            at: Nanos(r.u64()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogEntry, LogKind};
    use proptest::prelude::*;

    fn back<T: Body + PartialEq + core::fmt::Debug>(value: &T) {
        let entry = LogEntry::new(LogKind::OrderCommand, Nanos(1), |w| value.write(w));
        let mut r = Reader::over(entry.body());
        assert_eq!(T::read(&mut r).as_ref(), Some(value));
        assert!(r.rest().is_empty());
    }

    proptest! {
        #[test]
        fn commands_and_what_became_of_them_read_back(
            kind in proptest::sample::select(WorkKind::ALL),
            state in proptest::sample::select(WorkState::ALL),
            refusal in proptest::sample::select(WorkRefusal::ALL),
            gate in proptest::option::of(proptest::sample::select(RefuseReason::ALL)),
            n: i64,
            id: u32,
            flag: bool,
        ) {
            let side = if flag { Side::Sell } else { Side::Buy };
            let (id, strategy, instrument) = (CommandId(id), StrategyId(3), InstrumentId(9));
            let (price, qty, trigger, other) = (Price(n), Qty(!n), Price(7), Price(8));
            let (other_side, of) = (side.opposite(), CommandId(5));
            back(&OrderWork {
                id, strategy, instrument, kind, side, price, qty, trigger, other, other_side, of,
            });
            let terms = flag.then_some(Terms { price, qty });
            back(&WorkReport {
                id, strategy, instrument, kind, side, from: terms, to: Some(Terms { price, qty }),
                trigger, other, state, refusal, gate, reason: DoneReason::Filter,
                order: OrderId(id.0.into()), filled: qty, undo_of: of, can_undo: flag,
                began: Nanos(1), at: Nanos(2),
            });
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..180),
        ) {
            let _ = OrderWork::read(&mut Reader::over(&bytes));
            let _ = WorkReport::read(&mut Reader::over(&bytes));
        }
    }

    #[test]
    fn names_read_back() {
        for id in [CommandId::by_operator(7), CommandId::by_strategy(9)] {
            assert_eq!(CommandId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(CommandId::by_operator(7).to_string(), "c7");
        for text in ["", "c", "c0", "x7", "o1", "c-1"] {
            assert_eq!(CommandId::parse(text), None, "{text}");
        }
    }
}
