//! The covariance matrix of returns by exponential weights, and the book's variance beside it.
//!
//! `S = keep S + add x x'` with `keep = lambda`, `add = 1 - lambda` (RiskMetrics, 1996). Kept with
//! it are `s = S w` and `v = w'S w`; both follow a sample and a change of one position by its own
//! difference:
//!
//! ```text
//!   sample:   s' = keep s + add (x'w) x            v' = keep v + add (x'w)^2
//!   w_i + d:  s' = s + d S_i                       v' = v + 2 d s_i + d^2 S_ii
//! ```
//!
//! Rounding adds up in `s` and `v`, so [`Covariance::anchor`] computes them anew and notes how far
//! they had drifted. A book without any position is exact zero again at once.

use bot4_simd::{Column, Kernels};
use serde::{Deserialize, Serialize};

/// Matrix, book and the sums kept. See the module's page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Covariance {
    #[serde(skip, default = "Kernels::best")]
    kernels: Kernels,
    /// Instruments, rounded up to whole blocks of lanes; the padding is zero.
    stride: usize,
    keep: f64,
    #[serde(with = "crate::column_state")]
    matrix: Column,
    #[serde(with = "crate::column_state")]
    book: Column,
    #[serde(with = "crate::column_state")]
    sums: Column,
    variance: f64,
    #[serde(with = "crate::column_state")]
    fresh: Column,
    held: usize,
    updates: u32,
    drift_max: f64,
}

impl Covariance {
    /// A matrix of volatility `sigma` and correlations of one over `instruments`. Allocates.
    pub(crate) fn new(instruments: usize, lambda: f64, sigma: f64) -> Self {
        let column = Column::new(instruments, 0.0);
        let stride = column.len();
        let mut matrix = Column::new(stride * stride, 0.0);
        for row in matrix.chunks_exact_mut(stride.max(1)).take(instruments) {
            row[..instruments].fill(sigma * sigma);
        }
        Self {
            kernels: Kernels::best(),
            stride,
            keep: lambda,
            matrix,
            book: column.clone(),
            sums: column.clone(),
            variance: 0.0,
            fresh: column,
            held: 0,
            updates: 0,
            drift_max: 0.0,
        }
    }

    /// Value of the position in `i`.
    pub(crate) fn held(&self, i: usize) -> f64 {
        self.book[i]
    }

    /// The values of all positions, padded.
    pub(crate) fn book(&self) -> &[f64] {
        &self.book
    }

    /// `x'w`.
    pub(crate) fn dot_book(&self, x: &[f64]) -> f64 {
        self.kernels.dot(x, &self.book)
    }

    /// Row `i` of the matrix, padded.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.matrix[i * self.stride..(i + 1) * self.stride]
    }

    /// Row `i` times `x`.
    pub(crate) fn dot_row(&self, i: usize, x: &[f64]) -> f64 {
        self.kernels.dot(self.row(i), x)
    }

    /// Variance of the return of `i`.
    pub(crate) fn of(&self, i: usize) -> f64 {
        self.matrix[i * self.stride + i]
    }

    /// Covariance of the return of `i` with the book's P&L.
    pub(crate) fn with_book(&self, i: usize) -> f64 {
        self.sums[i]
    }

    /// Variance of the book's P&L; rounding may leave a trace below zero.
    pub(crate) fn variance(&self) -> f64 {
        self.variance.max(0.0)
    }

    /// Largest drift that an anchor found: in units of correlation for `s`, relative for `v`.
    pub(crate) fn drift_max(&self) -> f64 {
        self.drift_max
    }

    /// Takes in the returns `x` (padded), whose product with the book is `moved`.
    pub(crate) fn sample(&mut self, x: &[f64], moved: f64) {
        let (keep, add) = (self.keep, 1.0 - self.keep);
        self.kernels.rank1(&mut self.matrix, x, keep, add);
        if self.held > 0 {
            let scaled = add * moved;
            self.kernels.axpby(&mut self.sums, scaled, x, keep);
            self.variance = scaled.mul_add(moved, keep * self.variance);
        }
        self.updates += 1;
    }

    /// Sets the position in `i` to `value`; returns by how much it changed.
    pub(crate) fn hold(&mut self, i: usize, value: f64) -> f64 {
        let change = value - self.book[i];
        if change == 0.0 {
            return 0.0;
        }
        self.held += usize::from(value != 0.0);
        self.held -= usize::from(self.book[i] != 0.0);
        self.book[i] = value;
        if self.held == 0 {
            self.sums.fill(0.0);
            self.variance = 0.0;
            return change;
        }
        let own = change * self.of(i);
        self.variance += change * 2.0f64.mul_add(self.sums[i], own);
        let row = &self.matrix[i * self.stride..(i + 1) * self.stride];
        self.kernels.axpy(&mut self.sums, change, row);
        self.updates += 1;
        change
    }

    /// Nothing is held.
    pub(crate) fn is_flat(&self) -> bool {
        self.held == 0
    }

    /// So many changes since the last anchor.
    pub(crate) fn updates(&self) -> u32 {
        self.updates
    }

    /// Computes the kept sums anew and notes the drift.
    pub(crate) fn anchor(&mut self) {
        self.kernels.mat_vec(&mut self.fresh, &self.matrix, &self.book);
        let variance = self.kernels.dot(&self.book, &self.fresh);
        self.drift_max = self.drift_max.max(self.drift(variance));
        std::mem::swap(&mut self.sums, &mut self.fresh);
        self.variance = variance;
        self.updates = 0;
    }

    /// Of each sum in units of its largest possible value, which is that of a correlation of one.
    fn drift(&self, variance: f64) -> f64 {
        if variance <= 0.0 {
            return 0.0;
        }
        let whole = variance.sqrt();
        let far = |i: usize| {
            let scale = self.of(i).sqrt() * whole;
            if scale > 0.0 { (self.sums[i] - self.fresh[i]).abs() / scale } else { 0.0 }
        };
        let sums = (0..self.stride).map(far).fold(0.0, f64::max);
        sums.max((self.variance - variance).abs() / variance)
    }
}
