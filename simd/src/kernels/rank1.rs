//! Rank-one update of a symmetric matrix, `M = keep M + add x x'`, computed with `y = x sqrt|add|`
//! as `keep M +- y y'`: the product of two `y` is the same from both sides, so a matrix that is
//! symmetric to the last bit stays so, and a diagonal that is not negative stays so where `keep`
//! and `add` are not negative.
//!
//! Four rows at a time share the blocks of `y`, and one look for a NaN: it would be left in the sum
//! of all new blocks. Bound by the stores: one block a cycle.

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
        let groups = blocks_mut(matrix).chunks_exact_mut((ROWS * x.len()).max(1));
        // SAFETY: the caller promises the instructions of `V`.
        unsafe {
            for (rows, left) in groups.zip(left) {
                let left = left.map(|x| x * signed);
                if group(rows, x, left, V::splat(root), V::splat(keep)) {
                    rows.iter_mut().for_each(|m| V::load(m).settled().store(m));
                }
            }
        }
    }
}

/// `rows = keep rows + left (root x)'`; returns whether there may be a NaN.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn group<V: Vector>(
    rows: &mut [Block],
    x: &[Block],
    left: [f64; ROWS],
    root: V,
    keep: V,
) -> bool {
    let width = x.len();
    assert!(rows.len() == ROWS * width, "a group has its rows");
    let mut starts = [rows.as_mut_ptr(); ROWS];
    // SAFETY: the caller promises the instructions of `V`; by the length asserted above the rows
    // begin `width` blocks apart, do not overlap, and each has `width` blocks, more than `j`.
    unsafe {
        for (i, start) in starts.iter_mut().enumerate() {
            *start = start.add(i * width);
        }
        let mut sums = [V::splat(0.0); ROWS];
        for (j, x) in x.iter().enumerate() {
            let y = V::load(x).mul(root);
            for (i, sum) in sums.iter_mut().enumerate() {
                let m = &mut *starts[i].add(j);
                let new = V::splat(left[i]).fma(y, V::load(m).mul(keep));
                new.store(m);
                *sum = sum.add(new);
            }
        }
        let [a, b, c, d] = sums;
        a.add(b).add(c.add(d)).any_nan()
    }
}
