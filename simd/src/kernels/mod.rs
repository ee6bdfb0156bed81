//! The roster of kernels and the two loops that drive them.

mod change;
mod dot;
mod ema;
mod ewma_variance;
mod imbalance;
mod microprice;

pub(crate) use change::Change;
pub(crate) use dot::dot;
pub(crate) use ema::Ema;
pub(crate) use ewma_variance::EwmaVariance;
pub(crate) use imbalance::Imbalance;
pub(crate) use microprice::Microprice;

use crate::LANES;
use crate::vector::Vector;

/// An operation that treats every lane alike: the old output and `N` inputs give the new output.
pub(crate) trait Elementwise<const N: usize> {
    /// The new output. Implementations are `#[inline(always)]` (see [`Vector`]).
    ///
    /// # Safety
    /// The CPU has the instructions of `V`.
    unsafe fn apply<V: Vector>(old: V, inputs: [V; N]) -> V;
}

/// Runs `O` over whole slices: blocks of eight in place, then the tail padded with zeros.
///
/// # Safety
/// The CPU has the instructions of `V`.
///
/// # Panics
/// When an input is not as long as `out`.
#[inline(always)]
pub(crate) unsafe fn each<V: Vector, O: Elementwise<N>, const N: usize>(
    out: &mut [f64],
    inputs: [&[f64]; N],
) {
    for input in inputs {
        assert!(input.len() == out.len(), "columns of a kernel have one length");
    }
    let parts = inputs.map(|input| input.as_chunks::<LANES>());
    let (blocks, tail) = out.as_chunks_mut::<LANES>();
    for (i, block) in blocks.iter_mut().enumerate() {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe { step::<V, O, N>(block, parts.map(|(whole, _)| &whole[i])) };
    }
    if !tail.is_empty() {
        let mut padded = [[0.0; LANES]; N];
        for (pad, (_, rest)) in padded.iter_mut().zip(parts) {
            pad[..rest.len()].copy_from_slice(rest);
        }
        let mut block = [0.0; LANES];
        block[..tail.len()].copy_from_slice(tail);
        // SAFETY: the caller promises the instructions of `V`.
        unsafe { step::<V, O, N>(&mut block, padded.each_ref()) };
        tail.copy_from_slice(&block[..tail.len()]);
    }
}

/// One block of eight.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn step<V: Vector, O: Elementwise<N>, const N: usize>(
    block: &mut [f64; LANES],
    inputs: [&[f64; LANES]; N],
) {
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        let mut lanes = [V::splat(0.0); N];
        for (lane, input) in lanes.iter_mut().zip(inputs) {
            *lane = V::load(input);
        }
        O::apply(V::load(block), lanes).settled().store(block);
    }
}
