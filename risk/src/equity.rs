//! Equity beside what it is measured against.

use bot4_types::instrument::Amount;

use crate::money::mul_div_up;

/// The equity curve's newest point, for limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EquityPoint {
    /// Value of all balances in the reporting asset; `None` until it was known once.
    pub equity: Option<Amount>,
    /// Highest equity so far.
    pub peak: Amount,
    /// Equity at the beginning of the day.
    pub day_open: Amount,
    /// Fall from the peak, 10^-4 of the peak, rounded up.
    pub drawdown_e4: i64,
    /// What the day has lost so far, never negative.
    pub daily_loss: Amount,
}

impl EquityPoint {
    /// Takes in another value.
    pub fn take(&mut self, equity: Amount) {
        if self.equity.is_none() {
            self.day_open = equity;
        }
        self.equity = Some(equity);
        self.peak = self.peak.max(equity);
        self.daily_loss = self.day_open.saturating_sub(equity).max(0);
        self.drawdown_e4 = match self.peak {
            peak if peak > 0 => {
                let fall = mul_div_up(peak.saturating_sub(equity), 10_000, peak);
                i64::try_from(fall).unwrap_or(i64::MAX)
            }
            _ => 0,
        };
    }
}
