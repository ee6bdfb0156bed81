//! Pearson correlations of all pairs of columns, from samples in rows.
//!
//! Samples lie one row each, so a block of eight columns is one load and nothing is summed
//! across lanes. Three steps:
//! 1. Each column less its first sample, then less the mean of that, is written to the scratch
//!    space, eight columns side by side. A constant column becomes exact zeros, whatever the
//!    rounding of a mean would have made of it.
//! 2. Products of all pairs, `8 x 16` at a time in registers (`4 x 8` where there are few), every
//!    sum in the order of the samples. Only blocks on and right of the diagonal: the others are
//!    their mirror images.
//! 3. Each times `(1 / sd_i) (1 / sd_j)`, clamped to -1..=1; the diagonal is one.
//!
//! Cost for 64 columns and 256 samples: 74 thousand products of eight lanes, at best two a cycle.

use super::{Operation, blocks, blocks_mut};
use crate::LANES;
use crate::vector::{Block, Vector};

/// Accumulators of the sums of step 1: sample `s` goes to `s % 4`.
const ACCUMULATORS: usize = 4;

/// `out[i][j]` is the correlation of columns `i` and `j` of `samples`.
///
/// # Panics
/// When `columns` is not padded, `out` not square with it, `samples` not whole rows of it, or
/// `scratch` not one row longer than `samples`.
pub(crate) struct Correlation<'a> {
    pub(crate) out: &'a mut [f64],
    pub(crate) samples: &'a [f64],
    pub(crate) columns: usize,
    pub(crate) scratch: &'a mut [f64],
}

impl Operation for Correlation<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { out, samples, columns, scratch } = self;
        assert!(columns.is_multiple_of(LANES), "rows of a matrix are padded to whole blocks");
        assert!(out.len() == columns * columns, "correlations are a square matrix");
        assert!(scratch.len() == samples.len() + columns, "scratch is the samples and one row");
        let width = columns / LANES;
        let height = samples.len() / columns.max(1);
        assert!(samples.len() == height * columns, "samples are whole rows");
        let (out, samples, scratch) = (blocks_mut(out), blocks(samples), blocks_mut(scratch));
        // SAFETY: the caller promises the instructions of `V`.
        unsafe {
            for (j, column) in scratch.chunks_exact_mut(height + 1).enumerate() {
                centre::<V>(column, samples, width, j);
            }
            for i in 0..width {
                let mut j = i;
                while j < width {
                    j += products::<V>(out, scratch, height, [i, j], width);
                }
            }
        }
        let flat = out.as_flattened_mut();
        for i in 0..columns {
            let own = &mut flat[i * columns + i];
            if !own.is_nan() {
                *own = 1.0;
            }
        }
    }
}

/// Eight centred columns, and behind them the inverse roots of their sums of squares (zero for a
/// constant column).
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn centre<V: Vector>(to: &mut [Block], samples: &[Block], width: usize, j: usize) {
    let Some((scale, to)) = to.split_last_mut() else { return };
    let count = to.len() as f64;
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        let none = V::splat(0.0);
        let first = samples.get(j).map_or(none, |first| V::load(first));
        for (row, to) in samples.chunks_exact(width).zip(&mut *to) {
            V::load(&row[j]).sub(first).store(to);
        }
        let mut sums = [none; ACCUMULATORS];
        let (fours, rest) = to.as_chunks::<ACCUMULATORS>();
        for four in fours {
            for (sum, x) in sums.iter_mut().zip(four) {
                *sum = sum.add(V::load(x));
            }
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum = sum.add(V::load(x));
        }
        let mean = joined(sums).div(V::splat(count));
        let mut squares = [none; ACCUMULATORS];
        let (fours, rest) = to.as_chunks_mut::<ACCUMULATORS>();
        for four in fours {
            for (square, x) in squares.iter_mut().zip(four) {
                *square = less::<V>(x, mean, *square);
            }
        }
        for (square, x) in squares.iter_mut().zip(rest) {
            *square = less::<V>(x, mean, *square);
        }
        let squares = joined(squares);
        squares.where_zero(none, V::splat(1.0).div(squares.sqrt())).store(scale);
    }
}

/// `(s0 + s1) + (s2 + s3)`.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn joined<V: Vector>([a, b, c, d]: [V; ACCUMULATORS]) -> V {
    // SAFETY: the caller promises the instructions of `V`.
    unsafe { a.add(b).add(c.add(d)) }
}

/// Takes `mean` from `x` and adds its square to `square`.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn less<V: Vector>(x: &mut Block, mean: V, square: V) -> V {
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        let centred = V::load(x).sub(mean);
        centred.store(x);
        centred.fma(centred, square)
    }
}

/// Writes the blocks of row block `i` from column block `j` on that fit the registers, and their
/// mirror images; returns how many.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn products<V: Vector>(
    out: &mut [Block],
    centred: &[Block],
    height: usize,
    [i, j]: [usize; 2],
    width: usize,
) -> usize {
    let column = |j: usize| centred[j * (height + 1)..][..height + 1].split_at(height);
    let (rows, scale) = column(i);
    let (here, here_scale) = column(j);
    let scale = &scale[0];
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        if V::WIDE && j + 1 < width {
            let (next, next_scale) = column(j + 1);
            let sums = tile::<V, LANES, 2, 0>(rows, [here, next]);
            finish(out, width, [i, j], sums.map(|s| s[0]), [scale, &here_scale[0]]);
            finish(out, width, [i, j + 1], sums.map(|s| s[1]), [scale, &next_scale[0]]);
            return 2;
        }
        let sums = if V::WIDE {
            tile::<V, LANES, 1, 0>(rows, [here]).map(|[s]| s)
        } else {
            let [[a], [b], [c], [d]] = tile::<V, 4, 1, 0>(rows, [here]);
            let [[e], [f], [g], [h]] = tile::<V, 4, 1, 4>(rows, [here]);
            [a, b, c, d, e, f, g, h]
        };
        finish(out, width, [i, j], sums, [scale, &here_scale[0]]);
        1
    }
}

/// Sums over the samples of the products of `R` columns of `rows`, from column `FROM` on, and
/// `C` blocks of columns.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const C: usize, const FROM: usize>(
    rows: &[Block],
    columns: [&[Block]; C],
) -> [[V; C]; R] {
    let columns = columns.map(|column| &column[..rows.len()]);
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        let mut sums = [[V::splat(0.0); C]; R];
        for (s, row) in rows.iter().enumerate() {
            let mut right = [V::splat(0.0); C];
            for (right, column) in right.iter_mut().zip(columns) {
                *right = V::load(&column[s]);
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = V::splat(row[FROM + r]);
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = left.fma(right, *sum);
                }
            }
        }
        sums
    }
}

/// Scales the sums of block `[i, j]` and writes them there and, mirrored, to `[j, i]`.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn finish<V: Vector>(
    out: &mut [Block],
    width: usize,
    [i, j]: [usize; 2],
    mut sums: [V; LANES],
    [row_scale, column_scale]: [&Block; 2],
) {
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        let (one, minus_one) = (V::splat(1.0), V::splat(-1.0));
        let column_scale = V::load(column_scale);
        for (r, sum) in sums.iter_mut().enumerate() {
            let x = sum.mul(V::splat(row_scale[r]).mul(column_scale));
            let x = x.where_less(minus_one, minus_one, x);
            *sum = one.where_less(x, one, x).settled();
            sum.store(&mut out[(i * LANES + r) * width + j]);
        }
        if i != j {
            for (r, sum) in V::transposed(sums).into_iter().enumerate() {
                sum.store(&mut out[(j * LANES + r) * width + i]);
            }
        }
    }
}
