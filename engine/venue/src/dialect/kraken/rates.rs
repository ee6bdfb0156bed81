//! The counters of trading, one a pair, and of requests over REST: they grow by what is done and
//! decay all the time. Sources: protocol sheet, chapter 7.

use crate::limits::LimitRules;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Add,
    Amend,
    Cancel,
}

/// Costs of cancelling and amending an order that is younger than this, ms.
const CANCEL: [(u64, u64); 6] =
    [(5_000, 8), (10_000, 6), (15_000, 5), (45_000, 4), (90_000, 2), (300_000, 1)];
const AMEND: [(u64, u64); 3] = [(5_000, 3), (10_000, 2), (15_000, 1)];

/// A count in thousandths that decays.
#[derive(Clone, Copy, Default)]
struct Counter {
    level: u64,
    at_ms: u64,
}

impl Counter {
    fn take(&mut self, cost: u64, most: u64, decay_per_s: u64, now_ms: u64) -> bool {
        let gone = now_ms.saturating_sub(self.at_ms) * decay_per_s / 1_000;
        (self.level, self.at_ms) = (self.level.saturating_sub(gone), now_ms);
        let fits = self.level + cost * 1_000 <= most * 1_000;
        self.level += if fits { cost * 1_000 } else { 0 };
        fits
    }
}

/// All of them.
pub struct Rates {
    trading: Vec<Counter>,
    most: u64,
    rest: Counter,
    rest_most: u64,
}

impl Rates {
    /// The counters of an account of the highest tier; where the generated market grants more
    /// orders than real venues do, so do these.
    pub fn new(rules: &LimitRules, markets: usize) -> Self {
        let real = *rules == LimitRules::REAL;
        let high = u64::from(rules.orders_per_10s);
        Self {
            trading: vec![Counter::default(); markets],
            most: if real { 180 } else { high },
            rest: Counter::default(),
            rest_most: if real { 20 } else { high },
        }
    }

    /// The threshold that the venue tells.
    pub fn threshold(&self) -> u64 {
        self.most
    }

    /// Counts an action on an order of this age; false: too many, and nothing is counted.
    pub fn take(&mut self, market: usize, action: Action, age_ms: u64, now_ms: u64) -> bool {
        let by_age = |table: &[(u64, u64)]| {
            table.iter().find(|(younger_ms, _)| age_ms < *younger_ms).map_or(0, |(_, cost)| *cost)
        };
        let cost = match action {
            Action::Add => 1,
            Action::Amend => 1 + by_age(&AMEND),
            Action::Cancel => by_age(&CANCEL),
        };
        // 180 decay by 3.75 a second, in thousandths.
        let (most, decay) = (self.most, self.most * 1_000 / 48);
        self.trading.get_mut(market).is_some_and(|counter| counter.take(cost, most, decay, now_ms))
    }

    /// Counts a request over REST; lists of trades cost double.
    pub fn ask(&mut self, path: &str, now_ms: u64) -> bool {
        let cost = if path.ends_with("TradesHistory") { 2 } else { 1 };
        self.rest.take(cost, self.rest_most, self.rest_most * 50, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancels_of_young_orders_are_dear_and_counts_decay() {
        let mut rates = Rates::new(&LimitRules::REAL, 2);
        let taken = |rates: &mut Rates, age_ms, now_ms| {
            (0..100).take_while(|_| rates.take(0, Action::Cancel, age_ms, now_ms)).count()
        };
        assert_eq!(taken(&mut rates, 4_999, 1_000), 22, "180 by 8");
        assert!(rates.take(1, Action::Add, 0, 1_000), "each pair has its own");
        assert_eq!(taken(&mut rates, 299_999, 1_000), 4, "176 are used");
        assert_eq!(taken(&mut rates, 5_000, 5_000), 2, "15 have decayed");
        assert!(rates.take(0, Action::Cancel, 300_000, 5_000), "old ones cost nothing");
        assert_eq!((0..30).filter(|_| rates.ask("/0/private/OpenOrders", 0)).count(), 20);
    }
}
