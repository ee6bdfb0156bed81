//! Microprice: bid and ask weighed by the quantity of the *other* side,
//! `(bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty)`, computed as
//! `bid + (ask - bid) * bid_qty / (bid_qty + ask_qty)`, which needs one rounding of the large
//! number only. The middle when both quantities are zero.

use super::Elementwise;
use crate::vector::Vector;

pub(crate) struct Microprice;

impl Elementwise<4> for Microprice {
    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, _old: V, [bid, ask, bid_qty, ask_qty]: [V; 4]) -> V {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe {
            let sum = bid_qty.add(ask_qty);
            let weight = sum.where_zero(V::splat(0.5), bid_qty.div(sum));
            ask.sub(bid).fma(weight, bid)
        }
    }
}
