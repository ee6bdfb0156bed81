//! nalgebra's matrices of fixed size and faer's products, on the portfolio of the kernels' bench.

use std::hint::black_box;
use std::rc::Rc;

use bot4_bench::case::Case;
use bot4_bench::kernels::{INSTRUMENTS, Kernel, Portfolio, SAMPLES};
use bot4_simd::Kernels;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, Par};
use nalgebra::{SMatrix, SVector};

/// `w' M w` by nalgebra, sizes known to the compiler.
pub struct Fixed {
    matrix: Box<SMatrix<f64, INSTRUMENTS, INSTRUMENTS>>,
    w: Box<SVector<f64, INSTRUMENTS>>,
    form: f64,
}

impl Fixed {
    /// The portfolio's covariances and positions.
    pub fn new(portfolio: &Portfolio) -> Self {
        let matrix = Box::new(SMatrix::from_row_slice(&portfolio.covariance));
        Self { matrix, w: Box::new(SVector::from_row_slice(&portfolio.weights)), form: 0.0 }
    }
}

impl Case for Fixed {
    #[inline]
    fn call(&mut self) {
        let (matrix, w) = (black_box(&*self.matrix), black_box(&*self.w));
        self.form = (matrix * w).dot(w);
        black_box(&self.form);
    }
}

/// `w' M w` by faer.
pub struct FaerForm {
    matrix: Mat<f64>,
    w: Mat<f64>,
    product: Mat<f64>,
    form: f64,
}

impl FaerForm {
    /// The portfolio's covariances and positions.
    pub fn new(portfolio: &Portfolio) -> Self {
        let matrix = Mat::from_fn(INSTRUMENTS, INSTRUMENTS, |i, j| {
            portfolio.covariance[i * INSTRUMENTS + j]
        });
        let w = Mat::from_fn(INSTRUMENTS, 1, |i, _| portfolio.weights[i]);
        Self { matrix, w, product: Mat::zeros(INSTRUMENTS, 1), form: 0.0 }
    }
}

impl Case for FaerForm {
    #[inline]
    fn call(&mut self) {
        let (matrix, w) = (black_box(&self.matrix), black_box(&self.w));
        matmul(&mut self.product, Accum::Replace, matrix, w, 1.0, Par::Seq);
        self.form = self.product.col(0).transpose() * w.col(0);
        black_box(&self.form);
    }
}

/// Correlations by faer: columns standardised, then their products; only the lower half and its
/// mirror image, or all.
pub struct Correlations {
    portfolio: Rc<Portfolio>,
    standard: Mat<f64>,
    out: Mat<f64>,
    half: bool,
}

impl Correlations {
    /// The portfolio's returns.
    pub fn new(portfolio: &Rc<Portfolio>, half: bool) -> Self {
        Self {
            portfolio: Rc::clone(portfolio),
            standard: Mat::zeros(SAMPLES, INSTRUMENTS),
            out: Mat::zeros(INSTRUMENTS, INSTRUMENTS),
            half,
        }
    }
}

impl Case for Correlations {
    #[inline]
    fn call(&mut self) {
        let Self { portfolio, standard, out, half } = self;
        for (j, series) in black_box(&portfolio.series).iter().enumerate() {
            standardise(series, standard.col_as_slice_mut(j));
        }
        let z = &*standard;
        if *half {
            let (lower, all) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
            let (accum, par) = (Accum::Replace, Par::Seq);
            triangular::matmul(&mut *out, lower, accum, z.transpose(), all, z, all, 1.0, par);
            for j in 0..INSTRUMENTS {
                for i in j + 1..INSTRUMENTS {
                    out[(j, i)] = out[(i, j)];
                }
            }
        } else {
            matmul(&mut *out, Accum::Replace, z.transpose(), z, 1.0, Par::Seq);
        }
        black_box(&*out);
    }
}

/// Mean zero, sum of squares one; sums in eight strands, so that the compiler may vectorise them.
fn standardise(series: &[f64], to: &mut [f64]) {
    let mean = strands(series, |x| x) / series.len() as f64;
    for (to, x) in to.iter_mut().zip(series) {
        *to = x - mean;
    }
    let scale = 1.0 / strands(to, |x| x * x).sqrt();
    to.iter_mut().for_each(|x| *x *= scale);
}

fn strands(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let (chunks, _) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += of(*x);
        }
    }
    sums.iter().sum()
}

/// Every rival's result equals ours but for rounding.
///
/// # Errors
/// Where it does not.
pub fn agree(portfolio: &Rc<Portfolio>) -> Result<(), String> {
    let kernels = Kernels::best();
    let (mut form, mut fixed) = (Kernel::quadratic(portfolio, kernels), Fixed::new(portfolio));
    let mut faer_form = FaerForm::new(portfolio);
    let mut ours = Kernel::correlation(portfolio, kernels);
    form.call();
    fixed.call();
    faer_form.call();
    ours.call();
    for (name, theirs) in [("nalgebra", fixed.form), ("faer", faer_form.form)] {
        let own = form.out()[0];
        if (own - theirs).abs() > 1e-12 * own.abs() {
            return Err(format!("the form of {name} is {theirs}, ours {own}"));
        }
    }
    for half in [true, false] {
        let mut rival = Correlations::new(portfolio, half);
        rival.call();
        for i in 0..INSTRUMENTS {
            for j in 0..INSTRUMENTS {
                let (theirs, own) = (rival.out[(i, j)], ours.out()[i * INSTRUMENTS + j]);
                if (own - theirs).abs() > 1e-12 {
                    return Err(format!("correlation of {i} and {j}: {theirs}, ours {own}"));
                }
            }
        }
    }
    Ok(())
}
