//! Sums of a scaled column: `out + a x` and `b out + a x`.

use super::Elementwise;
use crate::vector::Vector;

/// `out = a x + out`, rounded once.
pub(crate) struct Axpy {
    pub(crate) a: f64,
}

impl Elementwise<1> for Axpy {
    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, old: V, [x]: [V; 1]) -> V {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe { V::splat(self.a).fma(x, old) }
    }
}

/// `out = a x + b out`: the second product is rounded, then the sum.
pub(crate) struct Axpby {
    pub(crate) a: f64,
    pub(crate) b: f64,
}

impl Elementwise<1> for Axpby {
    #[inline(always)]
    unsafe fn apply<V: Vector>(&self, old: V, [x]: [V; 1]) -> V {
        // SAFETY: the caller promises the instructions of `V`.
        unsafe { V::splat(self.a).fma(x, V::splat(self.b).mul(old)) }
    }
}
