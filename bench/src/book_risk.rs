//! What risk knows of a book of 64 instruments: an order's variance and correlation from the sums
//! kept beside it, and the same recomputed; the upkeep behind them; a size.

use std::hint::black_box;

use bot4_portfolio::{Caps, Portfolio, PortfolioConfig, Stake};
use bot4_types::InstrumentId;

use crate::case::Case;
use crate::kernels::INSTRUMENTS;

/// A book with a full history and a position in every instrument.
#[must_use]
pub fn held() -> Portfolio {
    let mut book = Portfolio::new(PortfolioConfig::new(INSTRUMENTS));
    let mut prices = Prices::new();
    for _ in 0..1_100 {
        book.sample(prices.next());
    }
    for i in 0..INSTRUMENTS {
        book.hold(id(i), if i % 3 == 0 { -1_000.0 } else { 700.0 } * (1 + i) as f64);
    }
    book.refresh();
    book
}

fn id(i: usize) -> InstrumentId {
    InstrumentId(i as u16)
}

/// Prices that share a factor.
struct Prices {
    state: u64,
    now: [f64; INSTRUMENTS],
}

impl Prices {
    const fn new() -> Self {
        Self { state: 0x9E37_79B9_7F4A_7C15, now: [100.0; INSTRUMENTS] }
    }

    fn unit(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }

    fn next(&mut self) -> [f64; INSTRUMENTS] {
        let market = self.unit();
        for i in 0..INSTRUMENTS {
            self.now[i] *= 1.0 + 1e-3 * (market + self.unit());
        }
        self.now
    }
}

/// Variance of the book after an order, and the order's correlation with it, recomputed from
/// matrix and positions: what one would write first.
pub struct Recomputed {
    rows: Vec<Vec<f64>>,
    book: Vec<f64>,
    at: usize,
}

impl Default for Recomputed {
    fn default() -> Self {
        let book = held();
        let row = |i| (0..INSTRUMENTS).map(|j| book.covariance(id(i), id(j))).collect();
        Self {
            rows: (0..INSTRUMENTS).map(row).collect(),
            book: (0..INSTRUMENTS).map(|i| book.held(id(i))).collect(),
            at: 0,
        }
    }
}

impl Recomputed {
    fn variance(&self) -> f64 {
        let rows = self.rows.iter().zip(&self.book);
        rows.map(|(row, w)| w * row.iter().zip(&self.book).map(|(s, v)| s * v).sum::<f64>()).sum()
    }

    /// Volatility over one hour after an order of `value` in `i`, and its correlation.
    fn answer(&mut self, i: usize, value: f64) -> (f64, f64) {
        let before = self.variance();
        let together: f64 = self.rows[i].iter().zip(&self.book).map(|(s, w)| s * w).sum();
        self.book[i] += value;
        let after = self.variance();
        self.book[i] -= value;
        let scale = self.rows[i][i].sqrt() * before.sqrt();
        (after.sqrt() * 60.0, value.signum() * together / scale)
    }
}

impl Case for Recomputed {
    #[inline]
    fn call(&mut self) {
        self.at = (self.at + 1) % INSTRUMENTS;
        black_box(self.answer(self.at, black_box(500.0)));
    }
}

/// The same from the sums that are kept.
pub struct Kept {
    book: Portfolio,
    at: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self { book: held(), at: 0 }
    }
}

impl Kept {
    fn answer(&self, i: usize, value: f64) -> (f64, f64) {
        (self.book.volatility_after(id(i), value), self.book.correlation(id(i), value))
    }
}

impl Case for Kept {
    #[inline]
    fn call(&mut self) {
        self.at = (self.at + 1) % INSTRUMENTS;
        black_box(self.answer(self.at, black_box(500.0)));
    }
}

/// All three questions of the gate: variance and correlation, shortfall, heat.
#[derive(Default)]
pub struct Questions(Kept);

impl Case for Questions {
    #[inline]
    fn call(&mut self) {
        self.0.call();
        let (book, at) = (&self.0.book, id(self.0.at));
        black_box(book.shortfall_after(at, black_box(500.0)));
        black_box(book.heat_after(at, black_box(500.0)));
    }
}

/// A piece of upkeep.
pub struct Upkeep {
    book: Portfolio,
    prices: Prices,
    turn: u64,
    run: fn(&mut Upkeep),
}

impl Upkeep {
    fn new(run: fn(&mut Self)) -> Self {
        Self { book: held(), prices: Prices::new(), turn: 0, run }
    }

    /// A fill: one position changes.
    #[must_use]
    pub fn fill() -> Self {
        Self::new(|u| {
            let at = id((u.turn % INSTRUMENTS as u64) as usize);
            u.book.hold(at, 900.0 + (u.turn % 7) as f64);
        })
    }

    /// The exact tail, every ten milliseconds at most.
    #[must_use]
    pub fn refresh() -> Self {
        Self::new(|u| u.book.refresh())
    }

    /// A second's returns of all instruments.
    #[must_use]
    pub fn sample() -> Self {
        Self::new(|u| {
            let prices = u.prices.next();
            u.book.sample(prices);
        })
    }
}

impl Case for Upkeep {
    #[inline]
    fn call(&mut self) {
        self.turn += 1;
        (self.run)(self);
    }
}

/// A quarter of Kelly's fraction under every cap, down to a lot.
#[derive(Default)]
pub struct Size;

impl Case for Size {
    #[inline]
    fn call(&mut self) {
        let caps = black_box(Caps {
            equity: 1e5,
            position: 2e3,
            shortfall: 1e3,
            unit_shortfall: 0.02,
            correlation: 0.2,
            correlation_max: 0.7,
            drawdown_scale: 0.9,
            minimum: 10.0,
        });
        let stake = black_box(Stake { edge: 1e-4, variance: 1e-3 });
        black_box(stake.qty(&caps, black_box(1e-6), 1_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_give_the_same_answer() {
        let (mut plain, kept) = (Recomputed::default(), Kept::default());
        for i in 0..INSTRUMENTS {
            let value = if i % 2 == 0 { 500.0 } else { -800.0 };
            let (a, b) = (plain.answer(i, value), kept.answer(i, value));
            assert!((a.0 - b.0).abs() < 1e-9 * a.0, "{a:?} {b:?}");
            assert!((a.1 - b.1).abs() < 1e-9, "{a:?} {b:?}");
        }
    }
}
