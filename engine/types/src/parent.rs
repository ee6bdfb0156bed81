//! Parent orders: what an execution algorithm works by children, and what is told of it.
//!
//! A parent never leaves the engine. Its children are ordinary orders that name it
//! ([`OrderIntent::parent`](crate::OrderIntent::parent)) and pass the gate like any other, so the
//! journal tells which fills were whose. Quantities are exact at any instant:
//! `filled + open + left == total + over`, where `open` is what children may still fill in the
//! worst case and `over` is zero unless a venue fills more than it was asked for.

mod report;

use crate::id::{InstrumentId, StrategyId, by_whom};
use crate::log::{Body, Reader, Writer};
use crate::order::raw_enum;
use crate::price::{Price, Qty, Side};
use crate::time::Nanos;

pub use self::report::ParentReport;

/// Buckets of a volume curve: an interval in 24 equal parts.
pub const CURVE_BUCKETS: usize = 24;
/// Largest participation, 10^-4: above half of the volume an order is the market.
pub const PARTICIPATION_MAX_E4: u32 = 5_000;

by_whom! {
    /// Names a parent within a run. Zero is none: an order that stands by itself. The upper bit
    /// says that a strategy started it, else an operator did.
    ParentId, operator 'o', strategy 's'
}

raw_enum! {
    /// How a parent is worked.
    Algo {
        /// Evenly over its time.
        Twap = 0 => "twap",
        /// Over its time as the market's volume comes, by a curve and by what the stream tells.
        Vwap = 1 => "vwap",
        /// A share of the volume that the stream tells.
        Pov = 2 => "pov",
        /// A small part of it rests at the limit; filled, the next part does.
        Iceberg = 3 => "iceberg",
        /// Rests at a distance from the middle or the own side of the touch, and follows it.
        Pegged = 4 => "pegged",
        /// Taken at once wherever it is best, over all venues that trade the same thing.
        Best = 5 => "best",
    }
}

raw_enum! {
    /// What a pegged order follows.
    Peg {
        /// The middle of the touch.
        Mid = 0 => "mid",
        /// The best price of its own side.
        Touch = 1 => "touch",
    }
}

raw_enum! {
    /// When a scheduled parent (TWAP, VWAP, POV) takes instead of waiting to be taken.
    Urgency {
        /// When it is four slices late.
        Passive = 0 => "passive",
        /// When it is one slice late.
        Normal = 1 => "normal",
        /// As soon as a slice is due; nothing rests.
        Aggressive = 2 => "aggressive",
    }
}

raw_enum! {
    /// What becomes of the rest when the time is over.
    Deadline {
        /// It is taken, at the limit or better.
        Take = 0 => "take",
        /// It is given up.
        GiveUp = 1 => "give_up",
    }
}

raw_enum! {
    /// The life of a parent.
    ParentState {
        /// Its start has not come, or its book is not live yet.
        Waiting = 0 => "waiting",
        /// It is worked.
        Working = 1 => "working",
        /// A person holds it: nothing rests.
        Paused = 2 => "paused",
        /// Its time is over; the rest is being taken.
        Finishing = 3 => "finishing",
        /// No new children; what is open is withdrawn.
        Ending = 4 => "ending",
        /// Over: nothing is open and nothing more happens.
        Ended = 5 => "ended",
    }
}

raw_enum! {
    /// Why a parent is over.
    ParentEnd {
        /// It is not.
        None = 0 => "none",
        /// All of it is filled.
        Filled = 1 => "filled",
        /// What is left is below what the venue takes.
        Dust = 2 => "dust",
        /// Whoever may cancelled it.
        Canceled = 3 => "canceled",
        /// Its time was over.
        Deadline = 4 => "deadline",
        /// The protective stop of its position was crossed.
        Stopped = 5 => "stopped",
        /// A stop of all trading ended it.
        Killed = 6 => "killed",
        /// The run ended.
        Interrupted = 7 => "interrupted",
        /// It never began: see the reason.
        Refused = 8 => "refused",
    }
}

raw_enum! {
    /// Why a parent is not begun.
    ParentRefusal {
        /// It was begun.
        None = 0 => "none",
        /// As many parents are alive as there can be.
        TableFull = 1 => "table_full",
        /// No such instrument, or none that takes orders.
        Instrument = 2 => "instrument",
        /// The quantity is below the minimum or not positive.
        Size = 3 => "size",
        /// The limit is missing or outside the instrument's bounds.
        Limit = 4 => "limit",
        /// Time, share or display make no sense together with the algorithm.
        Terms = 5 => "terms",
        /// The engine is stopping or stopped.
        Closed = 6 => "closed",
    }
}

/// What an operator or a strategy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentOrder {
    /// Its name in this run.
    pub id: ParentId,
    /// On whose account.
    pub strategy: StrategyId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// How it is worked.
    pub algo: Algo,
    /// Whole quantity.
    pub total: Qty,
    /// No child is worse than this; zero: no limit.
    pub limit: Price,
    /// From its acceptance until it begins.
    pub delay: Nanos,
    /// From its beginning until its deadline; zero: none.
    pub over: Nanos,
    /// What becomes of the rest at the deadline.
    pub deadline: Deadline,
    /// When it takes.
    pub urgency: Urgency,
    /// Smallest child that is wished for; the venue's minimum holds in any case.
    pub slice_min: Qty,
    /// Iceberg, pegged: what rests at a time; zero: all of it.
    pub display: Qty,
    /// POV: share of the market's volume, 10^-4, at most [`PARTICIPATION_MAX_E4`].
    pub rate_e4: u32,
    /// Pegged: to what.
    pub peg: Peg,
    /// Pegged: ticks from there, away from the other side of the touch; negative: towards it.
    pub offset_ticks: i32,
    /// What rests is amended where it moves and can be, instead of cancelled and placed.
    pub amends: bool,
    /// Over all venues that trade the same thing, each slice where it is best (TWAP, VWAP, POV);
    /// [`Algo::Best`] is so in any case.
    pub all_venues: bool,
    /// VWAP: the expected volume of each equal part of its time; all zero: even.
    pub curve: [u16; CURVE_BUCKETS],
}

impl ParentOrder {
    /// A TWAP of `total` over `over`, without a limit, whose rest is taken at the end. The other
    /// algorithms are made from it.
    #[must_use]
    pub const fn twap(instrument: InstrumentId, side: Side, total: Qty, over: Nanos) -> Self {
        Self {
            id: ParentId::NONE,
            strategy: StrategyId(0),
            instrument,
            side,
            algo: Algo::Twap,
            total,
            limit: Price(0),
            delay: Nanos::ZERO,
            over,
            deadline: Deadline::Take,
            urgency: Urgency::Normal,
            slice_min: Qty(0),
            display: Qty(0),
            rate_e4: 0,
            peg: Peg::Mid,
            offset_ticks: 0,
            amends: false,
            all_venues: false,
            curve: [0; CURVE_BUCKETS],
        }
    }

    /// Its children stand at several venues.
    #[must_use]
    pub const fn is_routed(&self) -> bool {
        self.all_venues || matches!(self.algo, Algo::Best)
    }
}

/// Bits of a parent order's byte of flags.
const AMENDS: u8 = 1;
const ALL_VENUES: u8 = 2;

impl ParentOrder {
    /// `total` at the best prices of all venues that trade the same thing as `instrument`, within
    /// `over`; what cannot be had by then is given up.
    #[must_use]
    pub const fn best(instrument: InstrumentId, side: Side, total: Qty, over: Nanos) -> Self {
        let (algo, deadline) = (Algo::Best, Deadline::GiveUp);
        Self { algo, deadline, ..Self::twap(instrument, side, total, over) }
    }
}

impl Body for ParentOrder {
    fn write(&self, w: &mut Writer<'_>) {
        w.u32(self.id.0);
        w.u8(self.strategy.0);
        w.u16(self.instrument.0);
        w.u8(self.side as u8);
        w.u8(self.algo as u8);
        w.i64(self.total.0);
        w.i64(self.limit.0);
        w.u64(self.delay.0);
        w.u64(self.over.0);
        w.u8(self.deadline as u8);
        w.u8(self.urgency as u8);
        w.i64(self.slice_min.0);
        w.i64(self.display.0);
        w.u32(self.rate_e4);
        w.u8(self.peg as u8);
        w.i32(self.offset_ticks);
        w.u8((u8::from(self.amends) * AMENDS) | (u8::from(self.all_venues) * ALL_VENUES));
        self.curve.iter().for_each(|weight| w.u16(*weight));
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let mut order = Self {
            id: ParentId(r.u32()?),
            strategy: StrategyId(r.u8()?),
            instrument: InstrumentId(r.u16()?),
            side: Side::from_raw(r.u8()?)?,
            algo: Algo::from_raw(r.u8()?)?,
            total: Qty(r.i64()?),
            limit: Price(r.i64()?),
            delay: Nanos(r.u64()?),
            over: Nanos(r.u64()?),
            deadline: Deadline::from_raw(r.u8()?)?,
            urgency: Urgency::from_raw(r.u8()?)?,
            slice_min: Qty(r.i64()?),
            display: Qty(r.i64()?),
            rate_e4: r.u32()?,
            peg: Peg::from_raw(r.u8()?)?,
            offset_ticks: r.i32()?,
            amends: false,
            all_venues: false,
            curve: [0; CURVE_BUCKETS],
        };
        let flags = r.u8()?;
        (order.amends, order.all_venues) = (flags & AMENDS != 0, flags & ALL_VENUES != 0);
        for weight in &mut order.curve {
            *weight = r.u16()?;
        }
        Some(order)
    }
}

raw_enum! {
    /// What may be asked of a parent that is alive.
    ParentAction {
        /// No new children; what is open is withdrawn; then it is over.
        Cancel = 0 => "cancel",
        /// Hold it; what rests is withdrawn.
        Pause = 1 => "pause",
        /// Work it again; what is left is spread over the time that is left.
        Resume = 2 => "resume",
    }
}

/// What is told to the parents' table: by an operator through risk, or by a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentCommand {
    /// Begin one.
    Begin(ParentOrder),
    /// Do this with one.
    Act {
        /// Which.
        id: ParentId,
        /// What.
        action: ParentAction,
    },
}

impl Body for ParentCommand {
    fn write(&self, w: &mut Writer<'_>) {
        match self {
            Self::Begin(order) => {
                w.u8(0);
                order.write(w);
            }
            Self::Act { id, action } => {
                w.u8(1);
                w.u32(id.0);
                w.u8(*action as u8);
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(match r.u8()? {
            0 => Self::Begin(ParentOrder::read(r)?),
            1 => Self::Act { id: ParentId(r.u32()?), action: ParentAction::from_raw(r.u8()?)? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogEntry, LogKind};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bodies_read_back(n in 1u32..1 << 31, total in any::<i64>(), weight in any::<u16>()) {
            let twap = ParentOrder::twap(InstrumentId(1), Side::Sell, Qty(total), Nanos(5));
            let id = ParentId::by_strategy(n);
            let curve = [weight; CURVE_BUCKETS];
            let vwap = ParentOrder { id, curve, algo: Algo::Vwap, ..twap };
            let (amends, all_venues) = (n % 2 == 0, n % 3 == 0);
            let order = ParentOrder { offset_ticks: -3, amends, all_venues, ..vwap };
            let act = ParentCommand::Act { id, action: ParentAction::Pause };
            for command in [ParentCommand::Begin(order), act] {
                let entry = LogEntry::new(LogKind::Command, Nanos(1), |w| command.write(w));
                let back = ParentCommand::read(&mut Reader::over(entry.body()));
                prop_assert_eq!(back, Some(command));
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..232),
        ) {
            let _ = ParentCommand::read(&mut Reader::over(&bytes));
        }
    }

    #[test]
    fn names_read_back() {
        for (id, text) in [(ParentId::by_operator(7), "o7"), (ParentId::by_strategy(12), "s12")] {
            assert_eq!((id.to_string().as_str(), ParentId::parse(text)), (text, Some(id)));
        }
        for wrong in ["", "7", "o0", "x3", "o-1", "s9999999999", "ö7"] {
            assert_eq!(ParentId::parse(wrong), None, "{wrong}");
        }
    }
}
