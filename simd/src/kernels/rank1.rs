//! Rank-one update of a symmetric matrix, `M = keep M + add x x'`, computed with `y = x sqrt|add|`
//! as `keep M +- y y'`: the product of two `y` is the same from both sides, so a matrix that is
//! symmetric to the last bit stays so, and a diagonal that is not negative stays so where `keep`
//! and `add` are not negative.
//!
//! Four rows at a time share the blocks of `y`. Bound by the stores: one block a cycle.

use super::{Operation, blocks, blocks_mut};
use crate::vector::{Block, Vector};

/// Rows at a time.
const ROWS: usize = 4;

/// `M = keep M + add x x'`.
///
/// # Panics
/// When `x` is not padded or the matrix is not square with its length.
pub(crate) struct Rank1<'a> {
    pub(crate) matrix: &'a mut [f64],
    pub(crate) x: &'a [f64],
    pub(crate) keep: f64,
    pub(crate) add: f64,
}

impl Operation for Rank1<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { matrix, x, keep, add } = self;
        assert!(matrix.len() == x.len() * x.len(), "a rank-one update has a square matrix");
        let (left, x) = (x.as_chunks::<ROWS>().0, blocks(x));
        let root = add.abs().sqrt();
        let signed = root.copysign(add);
        let rows = blocks_mut(matrix).chunks_exact_mut((ROWS * x.len()).max(1));
        // SAFETY: the caller promises the instructions of `V`.
        unsafe {
            for (rows, left) in rows.zip(left) {
                let left = left.map(|x| V::splat(x * signed));
                four_rows(rows, x, left, V::splat(root), V::splat(keep));
            }
        }
    }
}

/// `rows = keep rows + left (root x)'`.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn four_rows<V: Vector>(rows: &mut [Block], x: &[Block], left: [V; ROWS], root: V, keep: V) {
    let (upper, lower) = rows.split_at_mut(2 * x.len());
    let (first, second) = upper.split_at_mut(x.len());
    let (third, fourth) = lower.split_at_mut(x.len());
    let columns = first.iter_mut().zip(second).zip(third.iter_mut().zip(fourth)).zip(x);
    for (((a, b), (c, d)), x) in columns {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe {
            let y = V::load(x).mul(root);
            for (m, left) in [a, b, c, d].into_iter().zip(left) {
                left.fma(y, V::load(m).mul(keep)).settled().store(m);
            }
        }
    }
}
