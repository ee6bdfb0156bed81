//! The twin: the same questions answered in straightforward floating point from the whole history
//! of returns, every time. Slow, and short enough to be read.

use bot4_types::InstrumentId;

use crate::portfolio::{Measures, PortfolioConfig};
use crate::{HISTORY, HORIZON, NORMAL_SHORTFALL, tail_len};

/// All returns, all positions, nothing else.
#[derive(Clone, Debug)]
pub struct NaivePortfolio {
    config: PortfolioConfig,
    rows: Vec<Vec<f64>>,
    prices: Vec<f64>,
    seen: Vec<u32>,
    book: Vec<f64>,
    open: Vec<[f64; 2]>,
}

impl NaivePortfolio {
    /// An empty book.
    #[must_use]
    pub fn new(config: PortfolioConfig) -> Self {
        let n = config.instruments;
        Self {
            config,
            rows: Vec::new(),
            prices: vec![0.0; n],
            seen: vec![0; n],
            book: vec![0.0; n],
            open: vec![[0.0; 2]; n],
        }
    }

    /// As [`crate::Portfolio::sample`].
    pub fn sample(&mut self, prices: &[f64]) {
        let usable = |p: f64| p.is_finite() && p > 0.0;
        let returns: Vec<Option<f64>> = (self.prices.iter().zip(prices))
            .map(|(old, new)| (*old > 0.0 && usable(*new)).then(|| (new - old) / old))
            .collect();
        for (i, price) in prices.iter().enumerate().filter(|(_, price)| usable(**price)) {
            self.prices[i] = *price;
        }
        if returns.iter().all(Option::is_none) {
            return;
        }
        let guess = |i: usize| {
            let towards: f64 =
                (0..returns.len()).map(|j| self.covariance(i, j) * returns[j].unwrap_or(0.0)).sum();
            let sigma = self.covariance(i, i).sqrt();
            if towards < 0.0 { -sigma } else { sigma }
        };
        let row = (0..returns.len()).map(|i| returns[i].unwrap_or_else(|| guess(i))).collect();
        self.rows.push(row);
        for (seen, r) in self.seen.iter_mut().zip(&returns) {
            *seen += u32::from(r.is_some());
        }
    }

    /// As [`crate::Portfolio::hold`].
    pub fn hold(&mut self, i: usize, value: f64) {
        self.book[i] = value;
    }

    /// As [`crate::Portfolio::open`].
    pub fn open(&mut self, i: usize, bought: f64, sold: f64) {
        self.open[i] = [bought, sold];
    }

    /// Covariance of two one-second returns.
    #[must_use]
    pub fn covariance(&self, i: usize, j: usize) -> f64 {
        let lambda = self.config.lambda;
        let assumed = self.config.fallback_volatility / HORIZON;
        let count = self.rows.len() as i32;
        let first = assumed * assumed * lambda.powi(count);
        let weigh = |(k, row): (usize, &Vec<f64>)| {
            (1.0 - lambda) * lambda.powi(count - 1 - k as i32) * row[i] * row[j]
        };
        first + self.rows.iter().enumerate().map(weigh).sum::<f64>()
    }

    /// Variance over one second of the P&L of `book`.
    #[must_use]
    pub fn variance_of(&self, book: &[f64]) -> f64 {
        let held = |i: usize| book[i] != 0.0;
        let pairs = (0..book.len()).flat_map(|i| (0..book.len()).map(move |j| (i, j)));
        pairs
            .filter(|(i, j)| held(*i) && held(*j))
            .map(|(i, j)| book[i] * book[j] * self.covariance(i, j))
            .sum()
    }

    /// As [`crate::Portfolio::volatility_after`].
    #[must_use]
    pub fn volatility_after(&self, instrument: InstrumentId, value: f64) -> f64 {
        self.variance_of(&self.book_after(instrument, value)).max(0.0).sqrt() * HORIZON
    }

    /// As [`crate::Portfolio::correlation`].
    #[must_use]
    pub fn correlation(&self, instrument: InstrumentId, value: f64) -> f64 {
        let i = instrument.index();
        let together: f64 =
            (0..self.book.len()).map(|j| self.covariance(i, j) * self.book[j]).sum();
        let scale = self.covariance(i, i).sqrt() * self.variance_of(&self.book).max(0.0).sqrt();
        if scale <= 0.0 || value == 0.0 { 0.0 } else { value.signum() * together / scale }
    }

    /// As [`crate::Portfolio::correlation_with_rest`].
    #[must_use]
    pub fn correlation_with_rest(&self, instrument: InstrumentId) -> f64 {
        let mut rest = self.clone();
        rest.book[instrument.index()] = 0.0;
        rest.correlation(instrument, 1.0)
    }

    /// Value at risk and expected shortfall over one second of `book` by history alone.
    #[must_use]
    pub fn tail_of(&self, book: &[f64]) -> (f64, f64) {
        let recent = &self.rows[self.rows.len().saturating_sub(HISTORY)..];
        let pnl = |row: &Vec<f64>| row.iter().zip(book).map(|(x, w)| x * w).sum::<f64>();
        let mut losses: Vec<f64> = recent.iter().map(|row| (-pnl(row)).max(0.0)).collect();
        losses.sort_by(|a, b| b.total_cmp(a));
        let at = recent.len() / 100;
        let tail = tail_len(recent.len()).min(losses.len());
        let mean = losses[..tail].iter().sum::<f64>() / tail.max(1) as f64;
        (losses.get(at).copied().unwrap_or(0.0), mean)
    }

    /// The exact shortfall over one hour of what is held after an order, without open orders.
    #[must_use]
    pub fn exact_after(&self, instrument: InstrumentId, value: f64) -> f64 {
        let book = self.book_after(instrument, value);
        (self.tail_of(&book).1 + self.cold(&book)) * HORIZON
    }

    /// The bound of [`crate::Portfolio::shortfall_after`] with an exact tail.
    #[must_use]
    pub fn shortfall_after(&self, instrument: InstrumentId, value: f64) -> f64 {
        let held = self.tail_of(&self.book).1 + self.cold(&self.book);
        let open: f64 = (0..self.book.len())
            .map(|i| {
                let [bought, sold] = self.open[i];
                (bought * self.unit(i, 1.0)).max(sold * self.unit(i, -1.0))
            })
            .sum();
        let order = value.abs() * self.unit(instrument.index(), value);
        (held + open + order) * HORIZON
    }

    /// As [`crate::Portfolio::heat_after`].
    #[must_use]
    pub fn heat_after(&self, instrument: InstrumentId, value: f64) -> f64 {
        let mut open = self.open.clone();
        open[instrument.index()][usize::from(value < 0.0)] += value.abs();
        let heat = |i: usize| {
            let worst = (self.book[i] + open[i][0]).abs().max((self.book[i] - open[i][1]).abs());
            worst * self.covariance(i, i).sqrt() * self.config.leverage
        };
        (0..self.book.len()).map(heat).sum::<f64>() * HORIZON
    }

    /// As [`crate::Portfolio::measures`].
    #[must_use]
    pub fn measures(&self) -> Measures {
        let (value_at_risk, shortfall) = self.tail_of(&self.book);
        Measures {
            volatility: self.variance_of(&self.book).max(0.0).sqrt() * HORIZON,
            value_at_risk: value_at_risk * HORIZON,
            shortfall: (shortfall + self.cold(&self.book)) * HORIZON,
            shortfall_worst: self.shortfall_after(InstrumentId(0), 0.0),
            heat: self.heat_after(InstrumentId(0), 0.0),
        }
    }

    /// As [`crate::Portfolio::unit_shortfall`].
    #[must_use]
    pub fn unit_shortfall(&self, instrument: InstrumentId) -> [f64; 2] {
        [1.0, -1.0].map(|sign| self.unit(instrument.index(), sign) * HORIZON)
    }

    /// Shortfall over one second of a unit of value in `i`, in the direction of `sign`.
    fn unit(&self, i: usize, sign: f64) -> f64 {
        let mut book = vec![0.0; self.book.len()];
        book[i] = if sign < 0.0 { -1.0 } else { 1.0 };
        let assumed = NORMAL_SHORTFALL * self.config.fallback_volatility / HORIZON;
        let floor = if self.is_cold(i) { assumed } else { 0.0 };
        self.tail_of(&book).1.max(floor)
    }

    fn is_cold(&self, i: usize) -> bool {
        self.seen[i] < self.config.history_min.max(1)
    }

    /// What instruments with too short a history lack of the assumed shortfall.
    fn cold(&self, book: &[f64]) -> f64 {
        let lacking = |i: usize| {
            let mut one = vec![0.0; book.len()];
            one[i] = book[i].signum();
            book[i].abs() * (self.unit(i, book[i]) - self.tail_of(&one).1)
        };
        (0..book.len()).filter(|i| self.is_cold(*i)).map(lacking).sum()
    }

    fn book_after(&self, instrument: InstrumentId, value: f64) -> Vec<f64> {
        let mut book = self.book.clone();
        book[instrument.index()] += value;
        book
    }
}
