//! What the ledger keeps per instrument and strategy, and what it counts about reports.

use bot4_types::Side;
use serde::{Deserialize, Serialize};

use crate::position::Position;

/// Position and worst case of an instrument, or of one strategy in it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Exposure {
    /// What is held, by fills.
    pub position: Position,
    /// Quantity that may still be bought and sold, by side.
    pub leaves: [i128; 2],
    /// Orders of unknown fate, by side.
    pub unknown: [u32; 2],
    /// Orders not ended that may only reduce, by side.
    pub reduce_only: [u32; 2],
    /// Orders that are not ended.
    pub open: u32,
}

impl Exposure {
    /// The position if everything of `side` that may still fill does, counted positive in the
    /// direction of `side`.
    #[must_use]
    pub const fn worst(&self, side: Side) -> i128 {
        let held = if matches!(side, Side::Buy) { self.position.qty } else { -self.position.qty };
        held.saturating_add(self.leaves[side.index()])
    }
}

/// What happened to reports. What [`Counts::drift`] sums must be explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Fills booked.
    pub fills: u64,
    /// Fills dropped because they were booked before.
    pub duplicates: u64,
    /// Fills booked beyond the ordered quantity.
    pub overfills: u64,
    /// Fills booked after a report that called the order complete, and proven by nothing.
    pub after_done: u64,
    /// Likewise, but proven by the venue's list of the order's fills. Not drift.
    pub late_fills: u64,
    /// Those of them whose order was forgotten.
    pub late_strangers: u64,
    /// Fills booked of orders that this run never approved.
    pub orphans: u64,
    /// Reports of orders so old that they were forgotten; not booked.
    pub strays: u64,
    /// Reports that contradict their order or are not numbers; not booked.
    pub invalid: u64,
    /// Words of the venue that contradict an order that is not open: it calls one open that we
    /// count as ended, or tells another ending, or one under its name that nobody sent.
    pub contradicted: u64,
    /// Funding payments booked.
    pub fundings: u64,
    /// Funding payments dropped because they were booked before. Not drift.
    pub fundings_doubled: u64,
    /// Fees paid with an asset that is not in the table (a discount): the fill is booked, the fee
    /// touches no balance that this run compares. Not drift.
    pub fees_elsewhere: u64,
}

impl Counts {
    /// Everything that a person must explain.
    #[must_use]
    pub const fn drift(&self) -> u64 {
        self.overfills
            + self.after_done
            + self.orphans
            + self.strays
            + self.invalid
            + self.contradicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_case_is_what_is_held_and_all_that_may_still_come() {
        let mut exposure = Exposure { leaves: [10, 3], ..Exposure::default() };
        for (held, buy, sell) in [(0, 10, 3), (5, 15, -2), (-5, 5, 8)] {
            exposure.position.qty = held;
            assert_eq!((exposure.worst(Side::Buy), exposure.worst(Side::Sell)), (buy, sell));
        }
    }

    #[test]
    fn drift_is_what_a_person_must_explain() {
        let counts = Counts {
            fills: 100,
            duplicates: 200,
            overfills: 3,
            after_done: 5,
            late_fills: 600,
            late_strangers: 700,
            orphans: 7,
            strays: 11,
            invalid: 13,
            contradicted: 17,
            fundings: 300,
            fundings_doubled: 400,
            fees_elsewhere: 500,
        };
        assert_eq!(counts.drift(), 56);
        assert_eq!(Counts { invalid: 1, ..Counts::default() }.drift(), 1);
    }
}
