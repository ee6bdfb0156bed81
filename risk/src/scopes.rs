//! Limits by scope: the account's, the venue's, each strategy's, each instrument's. The tighter
//! wins, always: a row can only take away.

use bot4_types::instrument::Amount;
use bot4_types::limits::ORDERS_OPEN_MAX;
use serde::{Deserialize, Serialize};

use crate::breaker::BreakerLimits;
use crate::limits::{LimitError, RATE_MAX, RiskLimits, SHARE_MAX_E4};

/// The limits of one strategy, one instrument or the venue. Zero: none of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeLimits {
    /// Largest value of one order, in the reporting asset.
    pub order_value_max: Amount,
    /// Largest quantity of one order in base asset.
    pub order_base_max: Amount,
    /// Largest deviation of an order's price from microprice and from the last trade, 10^-4.
    pub collar_e4: i64,
    /// Largest worst-case position in one instrument as a share of equity, 10^-4: of the
    /// strategy, or of the whole account in this instrument or at this venue.
    pub position_equity_e4: i64,
    /// The same in the reporting asset.
    pub position_value_max: Amount,
    /// Largest worst-case gross exposure as a share of equity, 10^-4. Not for an instrument,
    /// whose gross exposure is its position.
    pub gross_equity_e4: i64,
    /// The same in the reporting asset.
    pub gross_value_max: Amount,
    /// Largest worst-case net exposure as a share of equity, 10^-4. Not for an instrument.
    pub net_equity_e4: i64,
    /// The same in the reporting asset.
    pub net_value_max: Amount,
    /// Open orders.
    pub open_orders_max: u32,
    /// New orders a second, and at once.
    pub orders_per_s: u32,
    /// Maintenance margin as a share of exposure, 10^-4. For an instrument only; it adds to
    /// nothing and replaces the account's.
    pub maintenance_e4: i64,
}

impl ScopeLimits {
    /// Checks every field.
    ///
    /// # Errors
    /// [`LimitError::Scope`].
    pub fn validate(&self) -> Result<(), LimitError> {
        let amounts = [
            self.order_value_max,
            self.order_base_max,
            self.position_value_max,
            self.gross_value_max,
            self.net_value_max,
        ];
        let shares = [self.position_equity_e4, self.gross_equity_e4, self.net_equity_e4];
        let holds = amounts.iter().all(|a| *a >= 0)
            && shares.iter().all(|s| (0..=SHARE_MAX_E4).contains(s))
            && (0..10_000).contains(&self.collar_e4)
            && (0..=10_000).contains(&self.maintenance_e4)
            && self.open_orders_max <= ORDERS_OPEN_MAX as u32
            && self.orders_per_s <= RATE_MAX;
        if holds { Ok(()) } else { Err(LimitError::Scope) }
    }
}

/// Every limit of a run, as configured. A row that is missing has no limits of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// The venue's; in a run of several, of all of them together: its gross and net are the
    /// account's.
    pub venue: ScopeLimits,
    /// By strategy.
    pub strategies: Vec<ScopeLimits>,
    /// By instrument.
    pub instruments: Vec<ScopeLimits>,
}

impl Scopes {
    /// Checks every row.
    ///
    /// # Errors
    /// [`LimitError::Scope`].
    pub fn validate(&self) -> Result<(), LimitError> {
        let mut rows = self.strategies.iter().chain(&self.instruments).chain([&self.venue]);
        rows.try_for_each(ScopeLimits::validate)
    }
}

/// All limits with a row for each strategy and instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitBook {
    /// The account's.
    pub account: RiskLimits,
    /// The venue's.
    pub venue: ScopeLimits,
    /// By strategy.
    pub strategies: Box<[ScopeLimits]>,
    /// By instrument.
    pub instruments: Box<[ScopeLimits]>,
    /// When circuit breakers open; none where that does not change.
    pub breakers: Option<BreakerLimits>,
}

impl LimitBook {
    /// A book for so many strategies and instruments; rows beyond that are left out. Allocates
    /// once.
    #[must_use]
    pub fn new(
        account: &RiskLimits,
        scopes: &Scopes,
        strategies: usize,
        instruments: usize,
    ) -> Self {
        let rows = |given: &[ScopeLimits], n: usize| -> Box<[ScopeLimits]> {
            (0..n).map(|i| given.get(i).copied().unwrap_or_default()).collect()
        };
        Self {
            account: *account,
            venue: scopes.venue,
            strategies: rows(&scopes.strategies, strategies),
            instruments: rows(&scopes.instruments, instruments),
            breakers: None,
        }
    }

    /// Checks the account's limits and every row.
    ///
    /// # Errors
    /// The first that cannot be meant.
    pub fn validate(&self) -> Result<(), LimitError> {
        self.account.validate()?;
        let breakers = self.breakers.as_ref().map_or(Ok(()), BreakerLimits::validate);
        breakers.map_err(|_| LimitError::Breakers)?;
        let mut rows = self.strategies.iter().chain(&self.instruments).chain([&self.venue]);
        rows.try_for_each(ScopeLimits::validate)
    }

    /// Becomes `other`, which is of the same run; what a reservation is made of and how
    /// statistics are kept stays as it began; breakers have a place of their own. No allocation.
    pub fn change_to(&mut self, other: &Self) {
        let old = self.account;
        self.account = other.account;
        self.account.fee_allowance_e6 = old.fee_allowance_e6;
        self.account.market_slippage_e4 = old.market_slippage_e4;
        self.account.statistics.fallback_volatility_e6 = old.statistics.fallback_volatility_e6;
        self.account.statistics.history_min = old.statistics.history_min;
        self.venue = other.venue;
        for (own, new) in self.strategies.iter_mut().zip(&other.strategies) {
            *own = *new;
        }
        for (own, new) in self.instruments.iter_mut().zip(&other.instruments) {
            *own = *new;
        }
    }
}

/// The tightest of limits among which zero means "none"; zero when there is none.
#[must_use]
pub fn tightest<T: Copy + Ord + Default>(limits: &[T]) -> T {
    let none = T::default();
    limits.iter().copied().filter(|l| *l > none).min().unwrap_or(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_limit_and_the_tightest_wins() {
        assert_eq!(tightest(&[0, 5, 3, 0]), 3);
        assert_eq!(tightest(&[0i64, 0]), 0);
        assert_eq!(tightest::<Amount>(&[]), 0);
    }

    #[test]
    fn rows_are_checked() {
        let bad = |change: fn(&mut ScopeLimits)| {
            let mut row = ScopeLimits::default();
            change(&mut row);
            let scopes = Scopes { instruments: vec![row], ..Scopes::default() };
            scopes.validate()
        };
        assert_eq!(bad(|_| ()), Ok(()));
        assert_eq!(bad(|r| r.order_value_max = -1), Err(LimitError::Scope));
        assert_eq!(bad(|r| r.gross_equity_e4 = SHARE_MAX_E4 + 1), Err(LimitError::Scope));
        assert_eq!(bad(|r| r.collar_e4 = 10_000), Err(LimitError::Scope));
        assert_eq!(bad(|r| r.open_orders_max = 4_097), Err(LimitError::Scope));
        assert_eq!(bad(|r| r.orders_per_s = RATE_MAX + 1), Err(LimitError::Scope));
    }
}
