//! What the book can lose, from the whole history of returns every time. What is remembered is
//! what happened: the value at which each position was last counted, and the shortfall that was
//! exact then.

use bot4_portfolio::naive::NaivePortfolio;
use bot4_portfolio::{HORIZON, PortfolioConfig};
use bot4_risk::{StatisticsLimits, Upkeep};
use bot4_types::{InstrumentId, Nanos, OrderIntent, RefuseReason};

use super::{Verdict, ensure};

/// Where two numbers in floats are too near to each other to be told apart: which one is taken
/// for the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lean {
    Pass,
    Refuse,
}

impl Lean {
    /// `value <= limit`, give or take `slack`.
    fn within(self, value: f64, limit: f64, slack: f64) -> bool {
        match self {
            Self::Pass => value <= limit + slack,
            Self::Refuse => value <= limit - slack,
        }
    }
}

/// Rounding of the kept sums, relative.
const SLACK: f64 = 1e-6;

pub struct NaiveStatistics {
    pub book: NaivePortfolio,
    /// Value of a quantity unit by the newest mark.
    units: Vec<f64>,
    held_qty: Vec<i128>,
    held: Vec<f64>,
    step: u64,
    /// Shortfall over one second when it was last exact, and what changes since then added.
    bound: f64,
}

impl NaiveStatistics {
    pub fn new(instruments: usize, limits: &StatisticsLimits) -> Self {
        let config = PortfolioConfig {
            history_min: limits.history_min,
            fallback_volatility: limits.fallback_volatility_e6 as f64 / 1e6,
            ..PortfolioConfig::new(instruments)
        };
        Self {
            book: NaivePortfolio::new(config),
            units: vec![f64::NAN; instruments],
            held_qty: vec![0; instruments],
            held: vec![0.0; instruments],
            step: 0,
            bound: 0.0,
        }
    }

    /// A quantity unit of instrument `i` is worth `value` from now on.
    pub fn on_mark(&mut self, i: usize, value: f64) {
        self.units[i] = value;
    }

    /// Position and open orders of instrument `i` are these.
    pub fn follow(&mut self, i: usize, position: i128, leaves: [i128; 2]) {
        if self.held_qty[i] != position {
            self.hold(i, position);
        }
        let [bought, sold] = leaves.map(|qty| self.value(i, qty));
        self.book.open(i, bought, sold);
    }

    fn hold(&mut self, i: usize, position: i128) {
        self.held_qty[i] = position;
        let value = self.value(i, position);
        let change = value - self.held[i];
        self.held[i] = value;
        self.book.hold(i, value);
        if self.held.iter().all(|value| *value == 0.0) {
            self.bound = 0.0;
        } else if change != 0.0 {
            let side = usize::from(change < 0.0);
            let unit = self.book.unit_shortfall(InstrumentId(i as u16))[side] / HORIZON;
            self.bound += change.abs() * unit;
        }
    }

    fn value(&self, i: usize, qty: i128) -> f64 {
        if qty == 0 { 0.0 } else { qty as f64 * self.units[i] }
    }

    /// A second of the grid that was not sampled has begun.
    pub fn is_sample_due(&self, now: Nanos) -> bool {
        now.0 / 1_000_000_000 > self.step
    }

    /// Does `upkeep`; `prices` are those of live books, `held` positions and open orders.
    pub fn maintain(
        &mut self,
        upkeep: Upkeep,
        now: Nanos,
        prices: &[f64],
        held: &[(i128, [i128; 2])],
    ) {
        if upkeep == Upkeep::Sample {
            self.step = now.0 / 1_000_000_000;
            self.book.sample(prices);
            for (i, (position, leaves)) in held.iter().enumerate() {
                self.hold(i, *position);
                self.follow(i, *position, *leaves);
            }
        }
        self.bound = self.exact();
    }

    /// The exact shortfall of what is held over one second.
    fn exact(&self) -> f64 {
        self.book.exact_after(InstrumentId(0), 0.0) / HORIZON
    }

    /// The three checks, in their order. `share` is what the mode leaves of the limits.
    pub fn judge(
        &self,
        intent: &OrderIntent,
        limits: &StatisticsLimits,
        equity: f64,
        share: f64,
        lean: Lean,
    ) -> Verdict {
        let id = intent.instrument;
        let unit = self.units[id.index()];
        let value = intent.side.sign() as f64 * intent.qty.0 as f64 * unit;
        let of_equity = |e6: i64| equity * e6 as f64 / 1e6;
        let within = |value: f64, limit: f64| lean.within(value, limit, SLACK * equity);
        if limits.correlation_e4 < 10_000 {
            let from = of_equity(limits.correlation_from_e6);
            let max = limits.correlation_e4 as f64 / 1e4;
            // What is left of a book that was nearly closed has lost digits.
            let fits = within(self.book.volatility_after(id, value), from)
                || lean.within(self.book.correlation(id, value), max, 1e-3);
            ensure(fits, RefuseReason::Correlation)?;
        }
        if limits.shortfall_equity_e6 > 0 {
            let grown = (self.bound - self.exact()) * HORIZON;
            let after = self.book.shortfall_after(id, value) + grown;
            let fits = within(after, of_equity(limits.shortfall_equity_e6) * share);
            ensure(fits, RefuseReason::Shortfall)?;
        }
        if limits.heat_equity_e6 > 0 {
            let after = self.book.heat_after(id, value);
            let fits = within(after, of_equity(limits.heat_equity_e6) * share);
            ensure(fits, RefuseReason::Heat)?;
        }
        Ok(())
    }
}
