//! Running figures of a market since the venue started, for ticker channels.

use crate::exchange::Print;

/// See the module. Prices and quantities in 10^-8, sums in 10^-8 too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// First price.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Last price.
    pub last: i64,
    /// Last quantity.
    pub last_qty: i64,
    /// Traded base quantity.
    pub volume: i128,
    /// Traded quote value, rounded down for each trade.
    pub turnover: i128,
}

impl Stats {
    /// A market that starts at this price.
    #[must_use]
    pub fn new(price: i64) -> Self {
        Self { open: price, high: price, low: price, last: price, ..Self::default() }
    }

    /// Counts a trade.
    pub fn count(&mut self, print: &Print) {
        self.high = self.high.max(print.price);
        self.low = self.low.min(print.price);
        (self.last, self.last_qty) = (print.price, print.qty);
        self.volume += i128::from(print.qty);
        self.turnover += crate::decimal::value_floor(print.price, print.qty);
    }

    /// Volume-weighted average price, 10^-8; the last price where nothing traded.
    #[must_use]
    pub fn average(&self) -> i64 {
        let exact = self.turnover * i128::from(crate::decimal::ONE);
        exact.checked_div(self.volume).and_then(|p| i64::try_from(p).ok()).unwrap_or(self.last)
    }
}
