//! Exponentially weighted variance of changes with mean zero (RiskMetrics, 1996):
//! `v = lambda v + (1 - lambda) r^2`, computed as `v + alpha (r^2 - v)` with `alpha = 1 - lambda`.
//! In this form a variance that is not negative stays so for every weight in 0..=1: the inner
//! difference rounds to no less than `-v`, and `v - alpha v` is rounded once.

use super::Elementwise;
use crate::vector::Vector;

pub(crate) struct EwmaVariance;

impl Elementwise<2> for EwmaVariance {
    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, old: V, [change, alpha]: [V; 2]) -> V {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe { alpha.where_zero(old, alpha.fma(change.fms(change, old), old)) }
    }
}
