//! Matrix times vector: eight rows at a time, each with one accumulator of eight lanes, so that
//! a block of the vector is loaded once for all of them. A row's lanes add its blocks from left
//! to right; the tree of [`Vector::sums`] joins them.

use super::{Operation, blocks};
use crate::LANES;
use crate::vector::{Block, Vector};

/// `out[i]` is the product of row `i` and `x`.
///
/// # Panics
/// When `x` is not padded, or the matrix does not hold a row of its length for each output.
pub(crate) struct MatVec<'a> {
    pub(crate) out: &'a mut [f64],
    pub(crate) matrix: &'a [f64],
    pub(crate) x: &'a [f64],
}

impl Operation for MatVec<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { out, matrix, x } = self;
        assert!(matrix.len() == out.len() * x.len(), "a matrix has a row for each output");
        let (matrix, x) = (blocks(matrix), blocks(x));
        let (whole, rest) = out.as_chunks_mut::<LANES>();
        let (upper, lower) = matrix.split_at(whole.len() * LANES * x.len());
        // SAFETY: the caller promises the instructions of `V`.
        unsafe {
            for (i, sums) in whole.iter_mut().enumerate() {
                let rows = &upper[i * LANES * x.len()..];
                V::sums(eight_products::<V>(rows, x, 0)).settled().store(sums);
            }
            for (i, sum) in rest.iter_mut().enumerate() {
                let [lanes] = products::<V, 1>(&lower[i * x.len()..], x, 0);
                let none = V::splat(0.0);
                let mut sums = [0.0; LANES];
                V::sums([lanes, none, none, none, none, none, none, none])
                    .settled()
                    .store(&mut sums);
                *sum = sums[0];
            }
        }
    }
}

/// Lane sums of the first eight rows of `matrix` times `x`, from block `from` on; rows are as
/// long as `x`.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn eight_products<V: Vector>(
    matrix: &[Block],
    x: &[Block],
    from: usize,
) -> [V; LANES] {
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        if V::WIDE {
            return products::<V, LANES>(matrix, x, from);
        }
        let [a, b, c, d] = products::<V, 4>(matrix, x, from);
        let [e, f, g, h] = products::<V, 4>(&matrix[4 * x.len()..], x, from);
        [a, b, c, d, e, f, g, h]
    }
}

/// As [`eight_products`], of `N` rows.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn products<V: Vector, const N: usize>(
    matrix: &[Block],
    x: &[Block],
    from: usize,
) -> [V; N] {
    let width = x.len();
    let matrix = &matrix[..N * width];
    // SAFETY: the caller promises the instructions of `V`; `j < width` and `row < N` keep the
    // index below the length asserted above.
    unsafe {
        let mut sums = [V::splat(0.0); N];
        for j in from..width {
            let x = V::load(x.get_unchecked(j));
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(matrix.get_unchecked(row * width + j)).fma(x, *sum);
            }
        }
        sums
    }
}
