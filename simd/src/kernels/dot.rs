//! Dot product with a fixed order of summation: block `i` of eight goes to accumulator `i % 4`
//! (four, to hide the latency of the fused multiply-add), a padded tail is the last block; then
//! `(s0 + s1) + (s2 + s3)` lane by lane, then the tree in [`tree`].

use crate::LANES;
use crate::vector::Vector;

/// Independent accumulators: latency of a fused multiply-add (4 cycles) times its throughput.
const ACCUMULATORS: usize = 4;

/// The sum of `a[i] * b[i]`.
///
/// # Safety
/// The CPU has the instructions of `V`.
///
/// # Panics
/// When the lengths differ.
#[inline(always)]
pub(crate) unsafe fn dot<V: Vector>(a: &[f64], b: &[f64]) -> f64 {
    assert!(a.len() == b.len(), "columns of a kernel have one length");
    let ((a_blocks, a_tail), (b_blocks, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let (a_strides, a_rest) = a_blocks.as_chunks::<ACCUMULATORS>();
    let (b_strides, b_rest) = b_blocks.as_chunks::<ACCUMULATORS>();
    // SAFETY: the caller promises the instructions of `V`.
    unsafe {
        let mut sums = [V::splat(0.0); ACCUMULATORS];
        for (a, b) in a_strides.iter().zip(b_strides) {
            for k in 0..ACCUMULATORS {
                sums[k] = V::load(&a[k]).fma(V::load(&b[k]), sums[k]);
            }
        }
        for (k, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
            sums[k] = V::load(a).fma(V::load(b), sums[k]);
        }
        if !a_tail.is_empty() {
            let k = a_rest.len();
            sums[k] = V::load(&padded(a_tail)).fma(V::load(&padded(b_tail)), sums[k]);
        }
        let mut lanes = [0.0; LANES];
        sums[0].add(sums[1]).add(sums[2].add(sums[3])).store(&mut lanes);
        let mut sum = [0.0; LANES];
        sum[0] = tree(lanes);
        V::load(&sum).settled().store(&mut sum);
        sum[0]
    }
}

/// Eight lanes to one number, in the order a halving of registers would take.
#[inline(always)]
fn tree(l: [f64; LANES]) -> f64 {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

#[inline(always)]
fn padded(tail: &[f64]) -> [f64; LANES] {
    let mut block = [0.0; LANES];
    block[..tail.len()].copy_from_slice(tail);
    block
}
