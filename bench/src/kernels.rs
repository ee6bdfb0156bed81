//! The mathematics of a portfolio: every kernel at every level beside plain loops over vectors.
//!
//! The plain loops are what one would write first: rows of `Vec<f64>`, one running sum,
//! standardised columns before correlations, each pair of columns once. They are compiled with
//! the same profile and for the same baseline processor, so the compiler may vectorise what
//! keeps the order of a sum.

mod plain;

use std::hint::black_box;
use std::rc::Rc;

use bot4_simd::{Column, Kernels, tail_mean};

use crate::case::Case;

/// Instruments.
pub const INSTRUMENTS: usize = 64;
/// Samples of each.
pub const SAMPLES: usize = 256;
/// Share of the old covariance that an update keeps (RiskMetrics' for daily returns).
pub const KEEP: f64 = 0.97;

/// Returns, positions and covariances, in the kernels' layout and in that of the plain loops.
pub struct Portfolio {
    /// A row for each sample.
    pub returns: Column,
    /// Positions.
    pub weights: Column,
    /// Covariances, row by row.
    pub covariance: Column,
    /// A row for each instrument, all its samples.
    pub series: Vec<Vec<f64>>,
    /// Covariances by row.
    pub rows: Vec<Vec<f64>>,
}

impl Portfolio {
    /// Instruments that share a factor, drawn without a generator of anyone's.
    #[must_use]
    pub fn draw() -> Rc<Self> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut unit = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        let mut returns = Column::new(SAMPLES * INSTRUMENTS, 0.0);
        for row in returns.chunks_exact_mut(INSTRUMENTS) {
            let market = unit();
            row.iter_mut().for_each(|r| *r = 1e-3 * (market + unit()));
        }
        let mut weights = Column::new(INSTRUMENTS, 0.0);
        weights.iter_mut().for_each(|w| *w = 1e4 * unit());
        let series: Vec<Vec<f64>> = (0..INSTRUMENTS)
            .map(|i| returns.iter().skip(i).step_by(INSTRUMENTS).copied().collect())
            .collect();
        let rows = plain::covariance(&series);
        let mut covariance = Column::new(INSTRUMENTS * INSTRUMENTS, 0.0);
        for (to, row) in covariance.chunks_exact_mut(INSTRUMENTS).zip(&rows) {
            to.copy_from_slice(row);
        }
        Rc::new(Self { returns, weights, covariance, series, rows })
    }

    /// The newest sample.
    #[must_use]
    pub fn newest(&self) -> &[f64] {
        &self.returns[..INSTRUMENTS]
    }
}

/// A kernel that is measured: its arguments and its place for a result.
pub struct Kernel {
    kernels: Kernels,
    portfolio: Rc<Portfolio>,
    out: Column,
    scratch: Column,
    run: fn(&mut Kernel),
}

impl Kernel {
    fn new(portfolio: &Rc<Portfolio>, kernels: Kernels, run: fn(&mut Self)) -> Self {
        let out = portfolio.covariance.clone();
        let scratch = Column::new((SAMPLES + 1) * INSTRUMENTS, 0.0);
        Self { kernels, portfolio: Rc::clone(portfolio), out, scratch, run }
    }

    /// What the last call made.
    #[must_use]
    pub fn out(&self) -> &[f64] {
        &self.out
    }

    /// Moving averages of all instruments.
    #[must_use]
    pub fn ema(portfolio: &Rc<Portfolio>, kernels: Kernels) -> Self {
        let mut own = Self::new(portfolio, kernels, |own| {
            let (average, alpha) = (&mut own.out[..INSTRUMENTS], &own.scratch[..INSTRUMENTS]);
            own.kernels.ema(average, black_box(own.portfolio.newest()), alpha);
        });
        own.scratch.fill(0.1);
        own.out.fill(0.0);
        own
    }

    /// `w' M w`.
    #[must_use]
    pub fn quadratic(portfolio: &Rc<Portfolio>, kernels: Kernels) -> Self {
        Self::new(portfolio, kernels, |own| {
            let Portfolio { covariance, weights, .. } = &*own.portfolio;
            own.out[0] = own.kernels.quadratic(black_box(covariance), black_box(weights));
        })
    }

    /// `M w`.
    #[must_use]
    pub fn mat_vec(portfolio: &Rc<Portfolio>, kernels: Kernels) -> Self {
        Self::new(portfolio, kernels, |own| {
            let Portfolio { covariance, weights, .. } = &*own.portfolio;
            let out = &mut own.out[..INSTRUMENTS];
            own.kernels.mat_vec(out, black_box(covariance), black_box(weights));
        })
    }

    /// All correlations.
    #[must_use]
    pub fn correlation(portfolio: &Rc<Portfolio>, kernels: Kernels) -> Self {
        Self::new(portfolio, kernels, |own| {
            let returns = black_box(&own.portfolio.returns);
            own.kernels.correlation(&mut own.out, returns, INSTRUMENTS, &mut own.scratch);
        })
    }

    /// One sample into the covariances.
    #[must_use]
    pub fn rank1(portfolio: &Rc<Portfolio>, kernels: Kernels) -> Self {
        Self::new(portfolio, kernels, |own| {
            let newest = black_box(own.portfolio.newest());
            own.kernels.rank1(&mut own.out, newest, KEEP, 1.0 - KEEP);
        })
    }

    /// Profit or loss in every sample and the mean of the worst of a hundred.
    #[must_use]
    pub fn shortfall(portfolio: &Rc<Portfolio>, kernels: Kernels) -> Self {
        Self::new(portfolio, kernels, |own| {
            let Portfolio { returns, weights, .. } = &*own.portfolio;
            let pnl = &mut own.scratch[..SAMPLES];
            own.kernels.scenario_pnl(pnl, black_box(returns), black_box(weights));
            own.out[0] = tail_mean(pnl, 0.01 * SAMPLES as f64).unwrap_or(0.0);
        })
    }
}

impl Case for Kernel {
    #[inline]
    fn call(&mut self) {
        (self.run)(self);
        black_box(&self.out);
    }
}

/// Plain loops that are measured.
pub struct Plain {
    portfolio: Rc<Portfolio>,
    average: Vec<f64>,
    rows: Vec<Vec<f64>>,
    run: fn(&mut Plain),
}

impl Plain {
    fn new(portfolio: &Rc<Portfolio>, run: fn(&mut Self)) -> Self {
        let rows = portfolio.rows.clone();
        Self { portfolio: Rc::clone(portfolio), average: vec![0.0; INSTRUMENTS], rows, run }
    }

    /// What the last call made, as a matrix.
    #[must_use]
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }

    /// Moving averages of all instruments with one weight.
    #[must_use]
    pub fn ema(portfolio: &Rc<Portfolio>) -> Self {
        Self::new(portfolio, |own| {
            plain::ema(&mut own.average, black_box(own.portfolio.newest()), black_box(0.1));
            black_box(&own.average);
        })
    }

    /// Moving averages of all instruments as the kernel has them: a weight for each, zero holds.
    #[must_use]
    pub fn ema_held(portfolio: &Rc<Portfolio>) -> Self {
        let mut own = Self::new(portfolio, |own| {
            let (x, alpha) = (own.portfolio.newest(), &own.rows[0]);
            plain::ema_held(&mut own.average, black_box(x), black_box(alpha));
            black_box(&own.average);
        });
        own.rows[0].fill(0.1);
        own
    }

    /// `w' M w`.
    #[must_use]
    pub fn quadratic(portfolio: &Rc<Portfolio>) -> Self {
        Self::new(portfolio, |own| {
            let Portfolio { rows, weights, .. } = &*own.portfolio;
            own.average[0] = plain::quadratic(black_box(rows), black_box(weights));
            black_box(&own.average);
        })
    }

    /// `M w`.
    #[must_use]
    pub fn mat_vec(portfolio: &Rc<Portfolio>) -> Self {
        Self::new(portfolio, |own| {
            let Portfolio { rows, weights, .. } = &*own.portfolio;
            plain::mat_vec(&mut own.average, black_box(rows), black_box(weights));
            black_box(&own.average);
        })
    }

    /// All correlations.
    #[must_use]
    pub fn correlation(portfolio: &Rc<Portfolio>) -> Self {
        Self::new(portfolio, |own| own.rows = plain::correlation(black_box(&own.portfolio.series)))
    }

    /// All covariances from the samples.
    #[must_use]
    pub fn covariance(portfolio: &Rc<Portfolio>) -> Self {
        Self::new(portfolio, |own| own.rows = plain::covariance(black_box(&own.portfolio.series)))
    }

    /// One sample into the covariances.
    #[must_use]
    pub fn rank1(portfolio: &Rc<Portfolio>) -> Self {
        Self::new(portfolio, |own| {
            plain::rank1(&mut own.rows, black_box(own.portfolio.newest()), black_box(KEEP));
        })
    }

    /// Profit or loss in every sample and the mean of the worst of a hundred.
    #[must_use]
    pub fn shortfall(portfolio: &Rc<Portfolio>) -> Self {
        Self::new(portfolio, |own| {
            let Portfolio { series, weights, .. } = &*own.portfolio;
            own.average[0] = plain::shortfall(black_box(series), black_box(weights));
            black_box(&own.average);
        })
    }
}

impl Case for Plain {
    #[inline]
    fn call(&mut self) {
        (self.run)(self);
        black_box(&self.rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * (1.0 + a.abs())
    }

    /// What is compared for speed gives the same numbers.
    #[test]
    fn kernels_and_plain_loops_agree() {
        let p = Portfolio::draw();
        let k = Kernels::best();
        type Pair = (Kernel, Plain);
        let matrices: [Pair; 2] = [
            (Kernel::correlation(&p, k), Plain::correlation(&p)),
            (Kernel::rank1(&p, k), Plain::rank1(&p)),
        ];
        for (mut kernel, mut plain) in matrices {
            kernel.call();
            plain.call();
            let rows = plain.rows().concat();
            assert!(kernel.out().iter().zip(&rows).all(|(a, b)| close(*a, *b)));
            assert!(kernel.out() != &p.covariance[..]);
        }
        let numbers: [Pair; 5] = [
            (Kernel::ema(&p, k), Plain::ema(&p)),
            (Kernel::ema(&p, k), Plain::ema_held(&p)),
            (Kernel::quadratic(&p, k), Plain::quadratic(&p)),
            (Kernel::mat_vec(&p, k), Plain::mat_vec(&p)),
            (Kernel::shortfall(&p, k), Plain::shortfall(&p)),
        ];
        for (mut kernel, mut plain) in numbers {
            kernel.call();
            plain.call();
            let (a, b) = (kernel.out()[0], plain.average[0]);
            assert!(close(a, b) && a != 0.0, "{a} {b}");
        }
        let mut anew = Plain::covariance(&p);
        anew.call();
        assert_eq!(anew.rows().concat(), p.covariance[..]);
    }
}
