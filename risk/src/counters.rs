//! The counters of the risk lane, by index.

use bot4_types::RefuseReason;

use crate::risk_core::REASONS;

/// New orders approved.
pub(crate) const PLACED: usize = 0;
/// Cancels approved.
pub(crate) const CANCELED: usize = 1;
/// Intents judged.
pub(crate) const CHECKED: usize = 2;
/// Intents refused, all reasons together.
pub(crate) const REFUSED: usize = 3;
/// Messages of execution.
pub(crate) const REPORTS: usize = 4;
/// Marks received.
pub(crate) const MARKS: usize = 5;
/// Fills booked (gauge).
pub(crate) const FILLS: usize = 6;
/// Fills dropped as booked before (gauge).
pub(crate) const DUPLICATES: usize = 7;
/// What a person must explain (gauge).
pub(crate) const DRIFT: usize = 8;
/// Orders not ended (gauge).
pub(crate) const OPEN: usize = 9;
/// Orders of unknown fate (gauge).
pub(crate) const UNKNOWN: usize = 10;
/// Commands of the control lane.
pub(crate) const COMMANDS: usize = 11;
/// Names before those of the reasons.
pub(crate) const FIXED: [&str; 12] = [
    "orders_approved",
    "cancels_approved",
    "intents_checked",
    "intents_refused",
    "reports",
    "marks",
    "fills_applied",
    "fills_duplicate",
    "drift",
    "orders_open",
    "orders_unknown",
    "commands",
];
/// All names: the fixed ones, then one per refuse reason.
pub(crate) const NAMES: [&str; FIXED.len() + REASONS] = names();

const fn names() -> [&'static str; FIXED.len() + REASONS] {
    let mut all = [""; FIXED.len() + REASONS];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < FIXED.len() { FIXED[i] } else { RefuseReason::ALL[i - FIXED.len()].name() };
        i += 1;
    }
    all
}
