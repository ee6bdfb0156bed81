//! Quadratic form `w' M w` of a symmetric matrix, by its upper half: eight rows at a time, the
//! blocks right of the diagonal's count twice. For `n` columns `n^2 / 2 + 4 n` products instead
//! of `n^2`, and only that much of the matrix is read.
//!
//! Order: in row `i` of the rows `8 b .. 8 b + 8`, the lanes add the blocks `b + 1, b + 2, ..`
//! from left to right; `t = m w + (s + s)` adds block `b`. Accumulator `i % 8` adds `w[i] t`; then
//! `((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7))` lane by lane, then the tree of
//! [`Vector::sums`].

use super::mat_vec::eight_products;
use super::{Operation, blocks, settled, tree};
use crate::LANES;
use crate::vector::Vector;

/// `w' M w`.
///
/// # Panics
/// When `w` is not padded or the matrix is not square with its length.
pub(crate) struct Quadratic<'a> {
    pub(crate) matrix: &'a [f64],
    pub(crate) w: &'a [f64],
}

impl Operation for Quadratic<'_> {
    type Output = f64;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> f64 {
        let Self { matrix, w } = self;
        assert!(matrix.len() == w.len() * w.len(), "a quadratic form has a square matrix");
        let (matrix, w) = (blocks(matrix), blocks(w));
        let width = w.len();
        // SAFETY: the caller promises the instructions of `V`; `i < LANES` and `b < width` keep
        // the index below the length of `rows`.
        unsafe {
            let mut sums = [V::splat(0.0); LANES];
            for (b, own) in w.iter().enumerate() {
                let rows = &matrix[b * LANES * width..][..LANES * width];
                let right = eight_products::<V>(rows, w, b + 1);
                let lanes = V::load(own);
                for (i, sum) in sums.iter_mut().enumerate() {
                    let block = V::load(rows.get_unchecked(i * width + b));
                    let whole = block.fma(lanes, right[i].add(right[i]));
                    *sum = V::splat(own[i]).fma(whole, *sum);
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            let sum = a.add(b).add(c.add(d)).add(e.add(f).add(g.add(h)));
            let mut lanes = [0.0; LANES];
            sum.store(&mut lanes);
            settled(tree(lanes))
        }
    }
}
