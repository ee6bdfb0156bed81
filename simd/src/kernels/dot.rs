//! Dot product with a fixed order of summation: block `i` of eight goes to accumulator `i % 4`
//! (four, to hide the latency of the fused multiply-add), a padded tail is the last block; then
//! `(s0 + s1) + (s2 + s3)` lane by lane, then the tree of [`Vector::sums`].

use super::{Operation, padded, settled, tree};
use crate::LANES;
use crate::vector::Vector;

/// Independent accumulators: latency of a fused multiply-add (4 cycles) times its throughput.
const ACCUMULATORS: usize = 4;

/// The sum of `a[i] * b[i]`.
///
/// # Panics
/// When the lengths differ.
pub(crate) struct Dot<'a> {
    pub(crate) a: &'a [f64],
    pub(crate) b: &'a [f64],
}

impl Operation for Dot<'_> {
    type Output = f64;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> f64 {
        let Self { a, b } = self;
        assert!(a.len() == b.len(), "columns of a kernel have one length");
        let (a_blocks, a_tail) = a.as_chunks::<LANES>();
        let (b_blocks, b_tail) = b.as_chunks::<LANES>();
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
            settled(tree(lanes))
        }
    }
}
