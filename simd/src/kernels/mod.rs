//! The roster of kernels: elementwise ones, and those with a shape of their own.

mod axpy;
mod change;
mod correlation;
mod dot;
mod ema;
mod ewma_variance;
mod imbalance;
mod mat_vec;
mod microprice;
mod quadratic;
mod rank1;

pub(crate) use axpy::{Axpby, Axpy};
pub(crate) use change::Change;
pub(crate) use correlation::Correlation;
pub(crate) use dot::Dot;
pub(crate) use ema::Ema;
pub(crate) use ewma_variance::EwmaVariance;
pub(crate) use imbalance::Imbalance;
pub(crate) use mat_vec::MatVec;
pub(crate) use microprice::Microprice;
pub(crate) use quadratic::Quadratic;
pub(crate) use rank1::Rank1;

use crate::LANES;
use crate::vector::{Block, Vector};

/// A kernel with its arguments. [`crate::Kernels`] runs it with the vector of its level.
pub(crate) trait Operation {
    /// What comes back.
    type Output;

    /// Runs it. Implementations are `#[inline(always)]` (see [`Vector`]).
    ///
    /// # Safety
    /// The CPU has the instructions of `V`.
    unsafe fn run<V: Vector>(self) -> Self::Output;
}

/// An operation that treats every lane alike: the old output and `N` inputs give the new output.
pub(crate) trait Elementwise<const N: usize> {
    /// The new output. Implementations are `#[inline(always)]` (see [`Vector`]).
    ///
    /// # Safety
    /// The CPU has the instructions of `V`.
    unsafe fn apply<V: Vector>(&self, old: V, inputs: [V; N]) -> V;
}

/// An elementwise operation over whole slices: blocks of eight in place, then the tail padded
/// with zeros.
///
/// # Panics
/// When an input is not as long as `out`.
pub(crate) struct Each<'a, O, const N: usize> {
    pub(crate) of: O,
    pub(crate) out: &'a mut [f64],
    pub(crate) inputs: [&'a [f64]; N],
}

impl<O: Elementwise<N>, const N: usize> Operation for Each<'_, O, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { of, out, inputs } = self;
        for input in inputs {
            assert!(input.len() == out.len(), "columns of a kernel have one length");
        }
        let parts = inputs.map(|input| input.as_chunks::<LANES>());
        let (blocks, tail) = out.as_chunks_mut::<LANES>();
        for (i, block) in blocks.iter_mut().enumerate() {
            // SAFETY: the caller promises the instructions of `V`.
            unsafe { step::<V, O, N>(&of, block, parts.map(|(whole, _)| &whole[i])) };
        }
        if !tail.is_empty() {
            let inputs = parts.map(|(_, rest)| padded(rest));
            let mut block = padded(tail);
            // SAFETY: the caller promises the instructions of `V`.
            unsafe { step::<V, O, N>(&of, &mut block, inputs.each_ref()) };
            tail.copy_from_slice(&block[..tail.len()]);
        }
    }
}

/// One block of eight.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn step<V: Vector, O: Elementwise<N>, const N: usize>(
    of: &O,
    block: &mut Block,
    inputs: [&Block; N],
) {
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        let mut lanes = [V::splat(0.0); N];
        for (lane, input) in lanes.iter_mut().zip(inputs) {
            *lane = V::load(input);
        }
        of.apply(V::load(block), lanes).settled().store(block);
    }
}

/// A tail shorter than a block, and zeros.
#[inline(always)]
fn padded(tail: &[f64]) -> Block {
    let mut block = [0.0; LANES];
    block[..tail.len()].copy_from_slice(tail);
    block
}

/// A padded vector or matrix as blocks.
///
/// # Panics
/// When it is not padded.
#[inline(always)]
fn blocks(padded: &[f64]) -> &[Block] {
    let (blocks, rest) = padded.as_chunks();
    assert!(rest.is_empty(), "rows of a matrix are padded to whole blocks");
    blocks
}

/// As [`blocks`].
///
/// # Panics
/// When it is not padded.
#[inline(always)]
fn blocks_mut(padded: &mut [f64]) -> &mut [Block] {
    let (blocks, rest) = padded.as_chunks_mut();
    assert!(rest.is_empty(), "rows of a matrix are padded to whole blocks");
    blocks
}

/// Eight lanes to one number, in the order of [`Vector::sums`].
#[inline(always)]
fn tree(l: Block) -> f64 {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

/// `x`, or the canonical NaN.
#[inline(always)]
fn settled(x: f64) -> f64 {
    if x.is_nan() { f64::from_bits(crate::vector::NAN_BITS) } else { x }
}
