//! Quadratic form `w' M w` of a symmetric matrix, by its upper half: eight rows at a time, the
//! blocks right of the diagonal's count twice. For `n` columns `n^2 / 2 + 4 n` products instead
//! of `n^2`, and only that much of the matrix is read.
//!
//! Order: in row `i` of the rows `8 b .. 8 b + 8`, the lanes add `m w` of block `b`, then `m (2 w)`
//! of the blocks right of it, from left to right. Accumulator `i % 8` adds `w[i]` times that; then
//! `((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7))` lane by lane, then the tree of
//! [`Vector::sums`].

use super::mat_vec::{eight_products, groups};
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
        // SAFETY: the caller promises the instructions of `V`; a group is eight rows, so `b` is a
        // block of `w`.
        unsafe {
            let mut sums = [V::splat(0.0); LANES];
            for (b, rows) in groups(matrix, width).enumerate() {
                let own = w.get_unchecked(b);
                let lanes = eight_products::<V, true>(rows, w, b);
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = V::splat(own[i]).fma(lanes[i], *sum);
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
