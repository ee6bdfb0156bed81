//! Eight lanes in plain numbers: what the other levels are held to.

use super::{Block, LANES, NAN_BITS, Vector};

/// The reference level: works on every CPU.
#[derive(Clone, Copy)]
pub(crate) struct Scalar8(Block);

impl Scalar8 {
    #[inline(always)]
    fn zip(mut self, b: Self, op: impl Fn(f64, f64) -> f64) -> Self {
        for (a, b) in self.0.iter_mut().zip(b.0) {
            *a = op(*a, b);
        }
        self
    }
}

impl Vector for Scalar8 {
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn load(from: &Block) -> Self {
        Self(*from)
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut Block) {
        *to = self.0;
    }

    #[inline(always)]
    unsafe fn splat(value: f64) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        self.zip(b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        self.zip(b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        self.zip(b, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn fma(mut self, b: Self, c: Self) -> Self {
        for ((a, b), c) in self.0.iter_mut().zip(b.0).zip(c.0) {
            *a = a.mul_add(b, c);
        }
        self
    }

    #[inline(always)]
    unsafe fn fms(mut self, b: Self, c: Self) -> Self {
        for ((a, b), c) in self.0.iter_mut().zip(b.0).zip(c.0) {
            *a = a.mul_add(b, -c);
        }
        self
    }

    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        Self(self.0.map(f64::sqrt))
    }

    #[inline(always)]
    unsafe fn where_zero(self, then: Self, mut otherwise: Self) -> Self {
        for ((test, then), out) in self.0.into_iter().zip(then.0).zip(&mut otherwise.0) {
            if test == 0.0 {
                *out = then;
            }
        }
        otherwise
    }

    #[inline(always)]
    unsafe fn where_less(self, b: Self, then: Self, mut otherwise: Self) -> Self {
        let tests = self.0.into_iter().zip(b.0);
        for (((test, b), then), out) in tests.zip(then.0).zip(&mut otherwise.0) {
            if test < b {
                *out = then;
            }
        }
        otherwise
    }

    #[inline(always)]
    unsafe fn transposed(rows: [Self; LANES]) -> [Self; LANES] {
        std::array::from_fn(|i| Self(rows.map(|row| row.0[i])))
    }

    #[inline(always)]
    unsafe fn any_nan(self) -> bool {
        self.0.iter().any(|v| v.is_nan())
    }

    #[inline(always)]
    unsafe fn settled(mut self) -> Self {
        for v in &mut self.0 {
            if v.is_nan() {
                *v = f64::from_bits(NAN_BITS);
            }
        }
        self
    }
}
