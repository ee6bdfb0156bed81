//! The counters of the risk lane, by index.

use bot4_types::{OrderAction, RefuseReason};

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
/// Equity in 10^-8 of the reporting asset, rounded down (gauge).
pub(crate) const EQUITY: usize = 12;
/// Its peak in the same unit, rounded up, earlier runs included (gauge).
pub(crate) const EQUITY_PEAK: usize = 13;
/// Equity at the beginning of the day in the same unit, rounded up (gauge).
pub(crate) const DAY_OPEN: usize = 14;
/// The UTC day, days since 1970-01-01 (gauge).
pub(crate) const DAY: usize = 15;
/// Fall from the peak in 10^-4, rounded up (gauge).
pub(crate) const DRAWDOWN: usize = 16;
/// What the day has lost in 10^-8 of the reporting asset, rounded up (gauge).
pub(crate) const DAILY_LOSS: usize = 17;
/// Fills that a full queue of lots took at a common average (gauge).
pub(crate) const LOTS_MERGED: usize = 18;
/// Held assets that no path of instruments values: they count nothing (gauge).
pub(crate) const UNVALUED: usize = 19;
/// Funding payments booked (gauge).
pub(crate) const FUNDINGS: usize = 20;
/// Orders that the venue refused by one of its filters.
pub(crate) const FILTERED: usize = 21;
/// Times that each latch was raised (gauges), in the order of [`crate::latch::LatchKind`].
pub(crate) const LATCHED: usize = 22;
/// Circuit breakers that are open (gauge).
pub(crate) const BREAKERS_OPEN: usize = 25;
/// Circuit breakers that recover (gauge).
pub(crate) const BREAKERS_HALF_OPEN: usize = 26;
/// Circuit breakers opened, by strategy, instrument and venue (gauges).
pub(crate) const BREAKERS_OPENED: usize = 27;
/// Strategies' breakers opened, by cause (gauges).
pub(crate) const BREAKER_CAUSES: usize = 30;
/// The control mode, by its number (gauge).
pub(crate) const MODE: usize = 35;
/// Changes of limits that hold (gauge).
pub(crate) const LIMITS: usize = 36;
/// Changes of limits that were not taken (gauge).
pub(crate) const LIMITS_REFUSED: usize = 37;
/// The state of all breakers together: closed, half-open, open (gauge).
pub(crate) const BREAKER_GLOBAL: usize = 38;
/// Number of breakers (gauge).
pub(crate) const BREAKERS_ALL: usize = 39;
/// Breakers that are not closed, as bits: strategies, the venue, instruments by 64 (gauges).
pub(crate) const BREAKERS_UNWELL: usize = 40;
/// What the book can lose in 10^-8 of the reporting asset over an hour: volatility, value at
/// risk, shortfall, shortfall with open orders, heat (gauges).
pub(crate) const MEASURES: usize = 46;
/// The highest of each so far (gauges).
pub(crate) const MEASURES_MAX: usize = 51;
/// Amends approved.
pub(crate) const AMENDED: usize = 56;
/// Balances that the venue stated while the run goes on, and what was found (gauges): compared,
/// explained by fills, not to be judged, unexplained, followed.
pub(crate) const COMPARED: usize = 57;
/// Assets whose balance at the venue is not ours, not for long yet (gauge).
pub(crate) const SUSPECTS: usize = 62;
/// Unexplained differences that stopped all trading (gauge).
pub(crate) const DIFFERENCES_LATCHED: usize = 63;
/// Others on the account (gauges): words about orders, fills, declared ones, the newest order.
pub(crate) const FOREIGN: usize = 64;
/// Instruments that stand still because the venue's balance is not ours (gauge).
pub(crate) const DRIFTED: usize = 68;
/// Instruments that are given up under pressure (gauge).
pub(crate) const SHED: usize = 69;
/// Log records that wait for the journal, per cent of what its link holds (gauge).
pub(crate) const LOG_USED: usize = 70;
/// Names before those of the reasons.
pub(crate) const FIXED: [&str; 71] = [
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
    "equity_e8",
    "equity_peak_e8",
    "equity_day_open_e8",
    "equity_day",
    "drawdown_e4",
    "daily_loss_e8",
    "lots_merged",
    "assets_unvalued",
    "fundings_applied",
    "orders_filtered",
    "latched_drawdown",
    "latched_drift",
    "latched_runaway",
    "breakers_open",
    "breakers_half_open",
    "breaker_opened_strategy",
    "breaker_opened_instrument",
    "breaker_opened_venue",
    "breaker_cause_losses",
    "breaker_cause_loss",
    "breaker_cause_rejects",
    "breaker_cause_errors",
    "breaker_cause_latency",
    "control_mode",
    "limits_changed",
    "limits_refused",
    "breaker_global",
    "breakers_all",
    "breakers_unwell_strategies",
    "breakers_unwell_venue",
    "breakers_unwell_0",
    "breakers_unwell_1",
    "breakers_unwell_2",
    "breakers_unwell_3",
    "volatility_e8",
    "value_at_risk_e8",
    "shortfall_e8",
    "shortfall_worst_e8",
    "heat_e8",
    "volatility_max_e8",
    "value_at_risk_max_e8",
    "shortfall_max_e8",
    "shortfall_worst_max_e8",
    "heat_max_e8",
    "amends_approved",
    "balances_compared",
    "balances_explained",
    "balances_uncertain",
    "balances_unexplained",
    "balances_followed",
    "balances_suspect",
    "differences_latched",
    "foreign_orders",
    "foreign_fills",
    "foreign_declared",
    "foreign_newest",
    "instruments_drifted",
    "instruments_shed",
    "log_used_pct",
];

/// The counter of approvals of `action`.
pub(crate) const fn approved_of(action: OrderAction) -> usize {
    match action {
        OrderAction::Place => PLACED,
        OrderAction::Amend => AMENDED,
        OrderAction::Cancel => CANCELED,
    }
}

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
