//! Queue imbalance: `(bid - ask) / (bid + ask)` of the quantities at the touch, zero for an empty
//! touch. In -1..=1 for quantities that are not negative.

use super::Elementwise;
use crate::vector::Vector;

pub(crate) struct Imbalance;

impl Elementwise<2> for Imbalance {
    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, _old: V, [bid_qty, ask_qty]: [V; 2]) -> V {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe {
            let sum = bid_qty.add(ask_qty);
            sum.where_zero(V::splat(0.0), bid_qty.sub(ask_qty).div(sum))
        }
    }
}
