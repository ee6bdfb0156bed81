//! The limits of the gate for the whole account, their defaults and their validation. Those of
//! a strategy, an instrument or the venue are in [`crate::scopes`].
//!
//! A limit is a plain integer with its unit last in its name: `_e4` is 10^-4 (100 is one per
//! cent), `_e6` is 10^-6, amounts are [`Amount`]s of the reporting asset.

use core::fmt;
use serde::{Deserialize, Serialize};

use bot4_types::ControlMode;
use bot4_types::instrument::{AMOUNT_DECIMALS, Amount};
use bot4_types::limits::ORDERS_OPEN_MAX;

use crate::statistics::StatisticsLimits;

/// `whole` units of an asset as an [`Amount`].
#[must_use]
pub const fn units(whole: i64) -> Amount {
    whole as Amount * 10i128.pow(AMOUNT_DECIMALS as u32)
}

/// What the gate allows. Zero means "no such limit" only where a field says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskLimits {
    /// Oldest mark an order may be decided on, ns. Books carry their own state; this is the
    /// second line for a book that calls itself live and says nothing.
    pub mark_age_ns_max: u64,
    /// Largest deviation of an order's price from microprice and from the last trade, 10^-4.
    pub collar_e4: i64,
    /// Largest value of one order, in the reporting asset.
    pub order_value_max: Amount,
    /// Largest quantity of one order in base asset, zero: the venue's maximum alone.
    pub order_base_max: Amount,
    /// Largest worst-case position in one instrument as a share of equity, 10^-4.
    pub position_equity_e4: i64,
    /// Largest worst-case position in one instrument in the reporting asset, zero: none beyond
    /// the share of equity.
    pub position_value_max: Amount,
    /// Reserved above a buy's notional for venues that take the fee in quote asset, 10^-6.
    pub fee_allowance_e6: i64,
    /// Reserved above a market buy's decision price, 10^-4: it pays what the book asks.
    pub market_slippage_e4: i64,
    /// New orders a second by one strategy.
    pub strategy_orders_per_s: u32,
    /// New orders at once by one strategy.
    pub strategy_orders_burst: u32,
    /// New orders a second over all strategies.
    pub orders_per_s: u32,
    /// New orders at once over all strategies.
    pub orders_burst: u32,
    /// Cancels a second. Cancels have a bucket of their own, so that orders never use it up.
    pub cancels_per_s: u32,
    /// Cancels at once; by default one for every order that can be open, so that a drain is
    /// never held up.
    pub cancels_burst: u32,
    /// Open orders on one instrument.
    pub open_orders_instrument_max: u32,
    /// Open orders over all instruments, at most [`ORDERS_OPEN_MAX`].
    pub open_orders_max: u32,
    /// How old the equity behind the limits may get, ns.
    pub equity_age_ns_max: u64,
    /// Largest worst-case gross exposure over all instruments as a share of equity, 10^-4, zero:
    /// none.
    pub gross_equity_e4: i64,
    /// The same in the reporting asset, zero: none.
    pub gross_value_max: Amount,
    /// Largest worst-case net exposure as a share of equity, 10^-4, zero: none.
    pub net_equity_e4: i64,
    /// The same in the reporting asset, zero: none.
    pub net_value_max: Amount,
    /// Worst-case gross exposure over equity, 10^-4: 10,000 is spot without leverage.
    pub leverage_e4: i64,
    /// Maintenance margin as a share of an instrument's exposure, 10^-4; zero for spot.
    pub maintenance_e4: i64,
    /// Equity over the maintenance margin of all exposure, at least, 10^-4.
    pub margin_distance_e4: i64,
    /// Loss since the day's start from which on nothing increases, share of the equity at that
    /// start, 10^-4, zero: none.
    pub daily_loss_e4: i64,
    /// The same in the reporting asset, zero: none.
    pub daily_loss_value_max: Amount,
    /// Fall from the highest equity from which on nothing increases, 10^-4.
    pub drawdown_e4: i64,
    /// Weight that a second gives back, in the venue's unit.
    pub weight_per_s: u32,
    /// Weight at once.
    pub weight_burst: u32,
    /// Weight that only cancels may use.
    pub weight_reserve: u32,
    /// Weight of a new order.
    pub weight_place: u32,
    /// Weight of a cancel.
    pub weight_cancel: u32,
    /// Intents to place of one strategy within a second from which on it has run away.
    pub runaway_intents_per_s: u32,
    /// Refusals in a row, for reasons that only a mistake explains, that mean the same.
    pub runaway_refused_row: u32,
    /// What an increase may use of every limit on size, exposure and the day's loss in the
    /// manual mode, 10^-4.
    pub manual_share_e4: i64,
    /// The same in the semi-automatic mode.
    pub semi_auto_share_e4: i64,
    /// Correlation, tail and heat of the portfolio.
    pub statistics: StatisticsLimits,
}

impl Default for RiskLimits {
    fn default() -> Self {
        Self {
            mark_age_ns_max: 5_000_000_000,
            collar_e4: 300,
            order_value_max: units(100_000),
            order_base_max: 0,
            position_equity_e4: 200,
            position_value_max: 0,
            fee_allowance_e6: 1_000,
            market_slippage_e4: 200,
            strategy_orders_per_s: 500,
            strategy_orders_burst: 500,
            orders_per_s: 1_000,
            orders_burst: 1_000,
            cancels_per_s: 2_000,
            cancels_burst: ORDERS_OPEN_MAX as u32,
            open_orders_instrument_max: 64,
            open_orders_max: 512,
            equity_age_ns_max: 1_000_000_000,
            gross_equity_e4: 10_000,
            gross_value_max: 0,
            net_equity_e4: 10_000,
            net_value_max: 0,
            leverage_e4: 10_000,
            maintenance_e4: 0,
            margin_distance_e4: 15_000,
            daily_loss_e4: 200,
            daily_loss_value_max: 0,
            drawdown_e4: 1_500,
            weight_per_s: 4_000,
            weight_burst: 8_192,
            weight_reserve: ORDERS_OPEN_MAX as u32,
            weight_place: 1,
            weight_cancel: 1,
            runaway_intents_per_s: 20_000,
            runaway_refused_row: 100,
            manual_share_e4: 5_000,
            semi_auto_share_e4: 7_500,
            statistics: StatisticsLimits::default(),
        }
    }
}

/// A limit that cannot be meant: which field, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// `mark_age_ns_max` is zero: no mark could ever be young enough.
    MarkAge,
    /// `collar_e4` is not within 1..10,000.
    Collar,
    /// `order_value_max` is not positive.
    OrderValue,
    /// `order_base_max` is negative.
    OrderBase,
    /// `position_equity_e4` is not within 1..=10,000: spot without leverage.
    PositionShare,
    /// `position_value_max` is negative.
    PositionValue,
    /// `fee_allowance_e6` is not within 0..=100,000 (ten per cent).
    FeeAllowance,
    /// `market_slippage_e4` is not within 0..10,000.
    MarketSlippage,
    /// A rate or burst is zero or above [`RATE_MAX`].
    Rate,
    /// An open-order limit is zero or above [`ORDERS_OPEN_MAX`].
    OpenOrders,
    /// A gross or net limit is negative, or its share above [`SHARE_MAX_E4`].
    Exposure,
    /// `leverage_e4` is not within 1..=[`SHARE_MAX_E4`].
    Leverage,
    /// `maintenance_e4` is not within 0..=10,000, or `margin_distance_e4` not within
    /// 10,000..=[`SHARE_MAX_E4`].
    Margin,
    /// A loss limit is negative or its share above 10,000, or `drawdown_e4` is not within
    /// 1..=10,000.
    Loss,
    /// A weight is zero or above [`RATE_MAX`], or the reserve leaves no room for an order.
    Weight,
    /// A mode's share is not within 1..=10,000.
    ModeShare,
    /// A row of a strategy, an instrument or the venue: a number is negative or too large.
    Scope,
    /// See [`StatisticsLimits::validate`].
    Statistics(&'static str),
    /// See [`BreakerLimits::validate`](crate::breaker::BreakerLimits::validate).
    Breakers,
}

/// Highest rate or burst that can be configured: keeps the buckets' arithmetic in 64 bits.
pub const RATE_MAX: u32 = 1_000_000;
/// Highest share of equity that a limit can be, 10^-4: a thousand times the equity.
pub const SHARE_MAX_E4: i64 = 10_000_000;

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MarkAge => "mark_age_ns_max must be above zero",
            Self::Collar => "collar_e4 must be within 1..10000 (10^-4)",
            Self::OrderValue => "order_value_max must be above zero",
            Self::OrderBase => "order_base_max must not be negative (zero: none)",
            Self::PositionShare => "position_equity_e4 must be within 1..=10000 (10^-4)",
            Self::PositionValue => "position_value_max must not be negative (zero: none)",
            Self::FeeAllowance => "fee_allowance_e6 must be within 0..=100000 (10^-6)",
            Self::MarketSlippage => "market_slippage_e4 must be within 0..10000 (10^-4)",
            Self::Rate => "every *_per_s and *_burst must be within 1..=1000000",
            Self::OpenOrders => "open-order limits must be within 1..=4096",
            Self::Exposure => "gross and net limits must not be negative (zero: none)",
            Self::Breakers => "a limit of the circuit breakers cannot be meant",
            Self::Leverage => "leverage_e4 must be within 1..=10000000 (10^-4)",
            Self::Margin => {
                "maintenance_e4 must be within 0..=10000, margin_distance_e4 within \
                 10000..=10000000 (10^-4)"
            }
            Self::Loss => "loss limits must be within 0..=10000, drawdown_e4 within 1..=10000",
            Self::Weight => {
                "weights must be within 1..=1000000, and the reserve must leave room for an order"
            }
            Self::ModeShare => "the shares of the modes must be within 1..=10000 (10^-4)",
            Self::Scope => "a limit of a strategy, an instrument or the venue is out of range",
            Self::Statistics(rule) => rule,
        })
    }
}

impl std::error::Error for LimitError {}

impl RiskLimits {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that cannot be meant.
    pub fn validate(&self) -> Result<(), LimitError> {
        self.validate_orders()?;
        self.validate_account()?;
        self.statistics.validate().map_err(LimitError::Statistics)
    }

    fn validate_orders(&self) -> Result<(), LimitError> {
        let rates = [
            self.strategy_orders_per_s,
            self.strategy_orders_burst,
            self.orders_per_s,
            self.orders_burst,
            self.cancels_per_s,
            self.cancels_burst,
        ];
        let opens = [self.open_orders_instrument_max, self.open_orders_max];
        let rules = [
            (self.mark_age_ns_max > 0, LimitError::MarkAge),
            ((1..10_000).contains(&self.collar_e4), LimitError::Collar),
            (self.order_value_max > 0, LimitError::OrderValue),
            (self.order_base_max >= 0, LimitError::OrderBase),
            ((1..=10_000).contains(&self.position_equity_e4), LimitError::PositionShare),
            (self.position_value_max >= 0, LimitError::PositionValue),
            ((0..=100_000).contains(&self.fee_allowance_e6), LimitError::FeeAllowance),
            ((0..10_000).contains(&self.market_slippage_e4), LimitError::MarketSlippage),
            (rates.iter().all(|r| (1..=RATE_MAX).contains(r)), LimitError::Rate),
            (
                opens.iter().all(|o| (1..=ORDERS_OPEN_MAX as u32).contains(o)),
                LimitError::OpenOrders,
            ),
        ];
        first_broken(&rules)
    }

    fn validate_account(&self) -> Result<(), LimitError> {
        let share = |e4: i64, least: i64| (least..=SHARE_MAX_E4).contains(&e4);
        let exposure = share(self.gross_equity_e4, 0) && share(self.net_equity_e4, 0);
        let exposure = exposure && self.gross_value_max >= 0 && self.net_value_max >= 0;
        let margin = (0..=10_000).contains(&self.maintenance_e4);
        let loss = (0..=10_000).contains(&self.daily_loss_e4) && self.daily_loss_value_max >= 0;
        let weights = [self.weight_per_s, self.weight_burst, self.weight_place, self.weight_cancel];
        let room = u64::from(self.weight_reserve) + u64::from(self.weight_place);
        let modes = [self.manual_share_e4, self.semi_auto_share_e4];
        let rules = [
            (exposure, LimitError::Exposure),
            (share(self.leverage_e4, 1), LimitError::Leverage),
            (margin && share(self.margin_distance_e4, 10_000), LimitError::Margin),
            (loss && (1..=10_000).contains(&self.drawdown_e4), LimitError::Loss),
            (weights.iter().all(|w| (1..=RATE_MAX).contains(w)), LimitError::Weight),
            (room <= u64::from(self.weight_burst), LimitError::Weight),
            (self.weight_cancel <= self.weight_burst, LimitError::Weight),
            (modes.iter().all(|s| (1..=10_000).contains(s)), LimitError::ModeShare),
        ];
        first_broken(&rules)
    }

    /// What an increase may use of a limit in `mode`, 10^-4.
    #[must_use]
    pub const fn share_e4(&self, mode: ControlMode) -> i64 {
        match mode {
            ControlMode::Emergency => 0,
            ControlMode::Manual => self.manual_share_e4,
            ControlMode::SemiAuto => self.semi_auto_share_e4,
            ControlMode::FullAuto => 10_000,
        }
    }
}

fn first_broken(rules: &[(bool, LimitError)]) -> Result<(), LimitError> {
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, error)| Err(*error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(RiskLimits::default().validate(), Ok(()));
    }

    #[test]
    fn each_field_is_checked() {
        let bad = |change: fn(&mut RiskLimits)| {
            let mut limits = RiskLimits::default();
            change(&mut limits);
            limits.validate()
        };
        assert_eq!(bad(|l| l.mark_age_ns_max = 0), Err(LimitError::MarkAge));
        assert_eq!(bad(|l| l.collar_e4 = 0), Err(LimitError::Collar));
        assert_eq!(bad(|l| l.order_value_max = 0), Err(LimitError::OrderValue));
        assert_eq!(bad(|l| l.order_base_max = -1), Err(LimitError::OrderBase));
        assert_eq!(bad(|l| l.position_equity_e4 = 10_001), Err(LimitError::PositionShare));
        assert_eq!(bad(|l| l.position_value_max = -1), Err(LimitError::PositionValue));
        assert_eq!(bad(|l| l.fee_allowance_e6 = -1), Err(LimitError::FeeAllowance));
        assert_eq!(bad(|l| l.market_slippage_e4 = 10_000), Err(LimitError::MarketSlippage));
        assert_eq!(bad(|l| l.cancels_burst = 0), Err(LimitError::Rate));
        assert_eq!(bad(|l| l.orders_per_s = RATE_MAX + 1), Err(LimitError::Rate));
        assert_eq!(bad(|l| l.open_orders_max = 4_097), Err(LimitError::OpenOrders));
        assert_eq!(bad(|l| l.gross_equity_e4 = -1), Err(LimitError::Exposure));
        assert_eq!(bad(|l| l.net_value_max = -1), Err(LimitError::Exposure));
        assert_eq!(bad(|l| l.leverage_e4 = 0), Err(LimitError::Leverage));
        assert_eq!(bad(|l| l.maintenance_e4 = 10_001), Err(LimitError::Margin));
        assert_eq!(bad(|l| l.margin_distance_e4 = 9_999), Err(LimitError::Margin));
        assert_eq!(bad(|l| l.daily_loss_e4 = 10_001), Err(LimitError::Loss));
        assert_eq!(bad(|l| l.drawdown_e4 = 0), Err(LimitError::Loss));
        assert_eq!(bad(|l| l.weight_place = 0), Err(LimitError::Weight));
        assert_eq!(bad(|l| l.weight_reserve = l.weight_burst), Err(LimitError::Weight));
        assert_eq!(bad(|l| l.manual_share_e4 = 0), Err(LimitError::ModeShare));
    }
}
