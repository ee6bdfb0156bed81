//! Exponential moving average: `out += alpha * (x - out)`, a lane with weight zero held.

use super::Elementwise;
use crate::vector::Vector;

pub(crate) struct Ema;

impl Elementwise<2> for Ema {
    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, old: V, [x, alpha]: [V; 2]) -> V {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe { alpha.where_zero(old, alpha.fma(x.sub(old), old)) }
    }
}
