//! Exponential moving average: `out += alpha * (x - out)`, a lane with weight zero held.
//!
//! A lane is an instrument. Successive prices of one instrument in the lanes of one register
//! would be another formula: each average needs the one before it, so the lanes would all start
//! from the same old average and only the last of them would count. There is a correct way along
//! time (a scan with powers of `1 - alpha`), with more work and other rounding; an engine that
//! takes one price at a time for many instruments has no use for it.

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
