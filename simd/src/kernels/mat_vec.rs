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
                let rows = eight(&upper[i * LANES * x.len()..], x.len());
                V::sums(eight_products::<V>(rows, x)).settled().store(sums);
            }
            if !rest.is_empty() {
                let mut rows: [&[Block]; LANES] = [&[]; LANES];
                for (i, row) in rows.iter_mut().take(rest.len()).enumerate() {
                    *row = &lower[i * x.len()..][..x.len()];
                }
                // A missing row repeats the first: nobody reads its sum.
                for i in rest.len()..LANES {
                    rows[i] = rows[0];
                }
                let mut sums = [0.0; LANES];
                V::sums(eight_products::<V>(rows, x)).settled().store(&mut sums);
                rest.copy_from_slice(&sums[..rest.len()]);
            }
        }
    }
}

/// The first eight rows of `width` blocks.
#[inline(always)]
pub(super) fn eight(matrix: &[Block], width: usize) -> [&[Block]; LANES] {
    [0, 1, 2, 3, 4, 5, 6, 7].map(|i| &matrix[i * width..][..width])
}

/// Lane sums of eight rows times `x`; all are as long as `x`.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn eight_products<V: Vector>(rows: [&[Block]; LANES], x: &[Block]) -> [V; LANES] {
    let [a, b, c, d, e, f, g, h] = rows;
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        if V::WIDE {
            return products::<V, LANES>(rows, x);
        }
        let [a, b, c, d] = products::<V, 4>([a, b, c, d], x);
        let [e, f, g, h] = products::<V, 4>([e, f, g, h], x);
        [a, b, c, d, e, f, g, h]
    }
}

/// Lane sums of `N` rows times `x`.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn products<V: Vector, const N: usize>(rows: [&[Block]; N], x: &[Block]) -> [V; N] {
    let rows = rows.map(|row| &row[..x.len()]);
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        let mut sums = [V::splat(0.0); N];
        for (j, x) in x.iter().enumerate() {
            let x = V::load(x);
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = V::load(&row[j]).fma(x, *sum);
            }
        }
        sums
    }
}
