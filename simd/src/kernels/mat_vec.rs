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
        if x.is_empty() {
            out.fill(0.0);
            return;
        }
        let (whole, rest) = out.as_chunks_mut::<LANES>();
        let (upper, lower) = matrix.split_at(whole.len() * LANES * x.len());
        // SAFETY: the caller promises the instructions of `V`.
        unsafe {
            for (sums, rows) in whole.iter_mut().zip(groups(upper, x.len())) {
                V::sums(eight_products::<V, false>(rows, x, 0)).settled().store(sums);
            }
            for (i, sum) in rest.iter_mut().enumerate() {
                let [lanes] = products::<V, 1, false>(&lower[i * x.len()..], x, 0);
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

/// Groups of eight rows of `width` blocks.
#[inline(always)]
pub(super) fn groups(matrix: &[Block], width: usize) -> impl Iterator<Item = &[Block]> {
    matrix.chunks_exact((LANES * width).max(1))
}

/// Lane sums of the first eight rows of `matrix` times `x`, from block `from` on; rows are as
/// long as `x`. With `TWICE` all blocks but the first count twice.
///
/// # Safety
/// The CPU has the instructions of `V`, and `from` is a block of `x`.
#[inline(always)]
pub(super) unsafe fn eight_products<V: Vector, const TWICE: bool>(
    matrix: &[Block],
    x: &[Block],
    from: usize,
) -> [V; LANES] {
    // SAFETY: the caller promises the instructions of `V` and the block.
    unsafe {
        if V::WIDE {
            return products::<V, LANES, TWICE>(matrix, x, from);
        }
        let [a, b, c, d] = products::<V, 4, TWICE>(matrix, x, from);
        let [e, f, g, h] = products::<V, 4, TWICE>(&matrix[4 * x.len()..], x, from);
        [a, b, c, d, e, f, g, h]
    }
}

/// As [`eight_products`], of `N` rows.
///
/// # Safety
/// The CPU has the instructions of `V`, and `from` is a block of `x`.
#[inline(always)]
unsafe fn products<V: Vector, const N: usize, const TWICE: bool>(
    matrix: &[Block],
    x: &[Block],
    from: usize,
) -> [V; N] {
    let width = x.len();
    assert!(matrix.len() / N >= width, "a matrix has its rows");
    // SAFETY: the caller promises the instructions of `V` and that `from < width`; there are `N`
    // rows of `width` blocks by the assertion.
    unsafe {
        let mut sums = [V::splat(0.0); N];
        add(&mut sums, matrix, width, from, V::load(x.get_unchecked(from)));
        for j in from + 1..width {
            let x = V::load(x.get_unchecked(j));
            add(&mut sums, matrix, width, j, if TWICE { x.add(x) } else { x });
        }
        sums
    }
}

/// Adds the products of block `j` of `N` rows and `x`. Nothing is checked in release, neither the
/// index nor the arithmetic that makes it: it would take a third longer.
///
/// # Safety
/// The CPU has the instructions of `V`, there are `N` rows of `width` blocks, and `j < width`.
#[inline(always)]
unsafe fn add<V: Vector, const N: usize>(
    sums: &mut [V; N],
    rows: &[Block],
    width: usize,
    j: usize,
    x: V,
) {
    for (i, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller promises the instructions of `V`, and that the block is there, so
        // the index does not wrap.
        unsafe {
            let m = rows.get_unchecked(i.unchecked_mul(width).unchecked_add(j));
            *sum = V::load(m).fma(x, *sum);
        }
    }
}
