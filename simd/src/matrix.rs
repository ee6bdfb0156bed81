//! Kernels over matrices: the mathematics of a portfolio.

use crate::Kernels;
use crate::kernels::{Axpby, Axpy, Correlation, MatVec, Quadratic, Rank1};

/// # Matrices
/// A matrix is a plain slice of rows, one after the other. A row is as long as the vector that
/// stands beside the matrix, and both are **padded to a multiple of [`crate::LANES`]** with zeros
/// (a [`crate::Column`] of `n` numbers is such a vector, one of `rows * padded` numbers such a
/// matrix); zeros add nothing to any sum. So there is no stride to pass: it is the vector's
/// length, and the number of rows follows. A tall matrix has any number of rows, a square one as
/// many as columns, padding included.
///
/// A NaN or infinity spreads to what is computed from its row or column by the rules of IEEE 754,
/// and to nothing else. Zero times infinity is NaN, in the padding too.
impl Kernels {
    /// `out += a * x`, fused: a column of a covariance matrix times a change of one position
    /// brings `M w` up to date. Any length.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn axpy(self, out: &mut [f64], a: f64, x: &[f64]) {
        self.each(Axpy { a }, out, [x]);
    }

    /// `out = a * x + b * out`: with `a = add * x'w` and `b = keep` it brings `M w` up to date
    /// after [`Kernels::rank1`]. Any length.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn axpby(self, out: &mut [f64], a: f64, x: &[f64], b: f64) {
        self.each(Axpby { a, b }, out, [x]);
    }

    /// `out = M x`. `M` has `out.len()` rows, any number, of `x.len()`, a multiple of eight.
    /// Within `(x.len() / 8 + 3) eps sum |m x|` of the exact product, row by row.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn mat_vec(self, out: &mut [f64], matrix: &[f64], x: &[f64]) {
        self.run(MatVec { out, matrix, x });
    }

    /// `w' M w` of a symmetric `M`: only the blocks of eight by eight on the diagonal and right of
    /// it are read. `w.len()` is a multiple of eight. Within `(w.len() / 8 + 4) eps sum |w m w|` of
    /// the exact form.
    ///
    /// # Panics
    /// When the shapes do not fit.
    #[must_use]
    pub fn quadratic(self, matrix: &[f64], w: &[f64]) -> f64 {
        self.run(Quadratic { matrix, w })
    }

    /// `M = keep * M + add * x x'`, the update of an exponentially weighted covariance. A
    /// symmetric `M` stays symmetric to the last bit; its diagonal stays not negative where it
    /// was, with `keep` and `add` not negative. A negative `add` takes a sample away. `x.len()`
    /// is a multiple of eight. Each number is within `3 eps (|keep m| + |add x x|)` of the exact
    /// one.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn rank1(self, matrix: &mut [f64], x: &[f64], keep: f64, add: f64) {
        self.run(Rank1 { matrix, x, keep, add });
    }

    /// Pearson correlations of the `columns` (a multiple of eight) of `samples`, a row for each
    /// sample; their order matters to rounding only, so a ring buffer need not be turned. `out`
    /// has `columns` rows and columns and is symmetric to the last bit; `scratch` is one row longer
    /// than `samples` and holds nothing of interest afterwards.
    ///
    /// Within `eps (samples + 12 r)` of the exact correlation, where `r` is the larger of the two
    /// columns' largest `|x|` in standard deviations. All are in -1..=1 with ones on the diagonal.
    /// A constant column (or one whose squared deviations vanish, below 1e-154) has correlation
    /// zero with every other, and so has padding. A column with a NaN or an infinity (or whose
    /// squared deviations overflow) has NaN everywhere, on the diagonal too.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn correlation(
        self,
        out: &mut [f64],
        samples: &[f64],
        columns: usize,
        scratch: &mut [f64],
    ) {
        self.run(Correlation { out, samples, columns, scratch });
    }

    /// Profit or loss of the positions `w` in each of `out.len()` historical samples of returns:
    /// `out = R w`, with a row for each sample (the layout of [`Kernels::correlation`]). See
    /// [`crate::tail_mean`] for the expected shortfall. The same as [`Kernels::mat_vec`].
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn scenario_pnl(self, out: &mut [f64], returns: &[f64], w: &[f64]) {
        self.mat_vec(out, returns, w);
    }
}
