//! Relative change: `(x - before) / before`, zero where there is no `before` (it is zero).

use super::Elementwise;
use crate::vector::Vector;

pub(crate) struct Change;

impl Elementwise<2> for Change {
    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, _old: V, [x, before]: [V; 2]) -> V {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe { before.where_zero(V::splat(0.0), x.sub(before).div(before)) }
    }
}
