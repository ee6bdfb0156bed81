//! Eight lanes of `f64` on three instruction sets. The only file with intrinsics of numbers.
//!
//! Every method is one correctly rounded operation a lane, so any two implementations give the
//! same bits (but for the payload of a NaN, which [`Vector::settled`] makes canonical).

use crate::LANES;

/// Eight lanes. All methods are unsafe for one reason only: the CPU must have the
/// implementation's instructions. `#[inline(always)]` is needed, not a hint: the methods must
/// melt into the `#[target_feature]` wrapper to be compiled with its instructions.
///
/// # Safety
/// Callers of any method promise that the CPU has the instructions of `Self`.
pub(crate) trait Vector: Copy {
    /// Reads eight lanes; no alignment needed.
    unsafe fn load(from: &[f64; LANES]) -> Self;
    /// Writes eight lanes; no alignment needed.
    unsafe fn store(self, to: &mut [f64; LANES]);
    /// `value` in every lane.
    unsafe fn splat(value: f64) -> Self;
    /// `self + b`.
    unsafe fn add(self, b: Self) -> Self;
    /// `self - b`.
    unsafe fn sub(self, b: Self) -> Self;
    /// `self / b`.
    unsafe fn div(self, b: Self) -> Self;
    /// `self * b + c`, rounded once.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// `self * b - c`, rounded once.
    unsafe fn fms(self, b: Self, c: Self) -> Self;
    /// `then` in lanes where `self` is zero of either sign, else `otherwise` (NaN is not zero).
    unsafe fn where_zero(self, then: Self, otherwise: Self) -> Self;
    /// Every NaN replaced by the canonical quiet NaN.
    unsafe fn settled(self) -> Self;
}

/// The canonical quiet NaN: positive, payload zero.
pub(crate) const NAN_BITS: u64 = 0x7FF8_0000_0000_0000;

/// The reference level: works on every CPU.
#[derive(Clone, Copy)]
pub(crate) struct Scalar8([f64; LANES]);

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
    #[inline(always)]
    unsafe fn load(from: &[f64; LANES]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f64; LANES]) {
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
    unsafe fn where_zero(self, then: Self, mut otherwise: Self) -> Self {
        for ((test, then), out) in self.0.into_iter().zip(then.0).zip(&mut otherwise.0) {
            if test == 0.0 {
                *out = then;
            }
        }
        otherwise
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

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::*;

    use super::{LANES, NAN_BITS, Vector};

    /// One 512-bit register; needs AVX-512F.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512d);

    /// Two 256-bit registers; needs AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256d, __m256d);

    /// Methods of [`Avx512`] that are one intrinsic.
    macro_rules! one_register {
        ($($name:ident($($arg:ident),*) => $op:ident;)*) => {$(
            #[inline(always)]
            unsafe fn $name(self $(, $arg: Self)*) -> Self {
                // SAFETY: the caller promises AVX-512F; the operation touches registers only.
                unsafe { Self($op(self.0 $(, $arg.0)*)) }
            }
        )*};
    }

    impl Vector for Avx512 {
        one_register! {
            add(b) => _mm512_add_pd;
            sub(b) => _mm512_sub_pd;
            div(b) => _mm512_div_pd;
            fma(b, c) => _mm512_fmadd_pd;
            fms(b, c) => _mm512_fmsub_pd;
        }

        #[inline(always)]
        unsafe fn load(from: &[f64; LANES]) -> Self {
            // SAFETY: the caller promises AVX-512F; the array holds the eight numbers read, and
            // the unaligned form has no alignment to keep.
            unsafe { Self(_mm512_loadu_pd(from.as_ptr())) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f64; LANES]) {
            // SAFETY: the caller promises AVX-512F; the array holds the eight numbers written.
            unsafe { _mm512_storeu_pd(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        unsafe fn splat(value: f64) -> Self {
            // SAFETY: the caller promises AVX-512F; registers only.
            unsafe { Self(_mm512_set1_pd(value)) }
        }

        #[inline(always)]
        unsafe fn where_zero(self, then: Self, otherwise: Self) -> Self {
            // SAFETY: the caller promises AVX-512F; registers only.
            unsafe {
                let zero = _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(self.0, _mm512_setzero_pd());
                Self(_mm512_mask_blend_pd(zero, otherwise.0, then.0))
            }
        }

        #[inline(always)]
        unsafe fn settled(self) -> Self {
            // SAFETY: the caller promises AVX-512F; registers only.
            unsafe {
                let nan = _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(self.0, self.0);
                let canonical = _mm512_set1_pd(f64::from_bits(NAN_BITS));
                Self(_mm512_mask_blend_pd(nan, self.0, canonical))
            }
        }
    }

    /// Methods of [`Avx2`] that are one intrinsic a half.
    macro_rules! two_registers {
        ($($name:ident($($arg:ident),*) => $op:ident;)*) => {$(
            #[inline(always)]
            unsafe fn $name(self $(, $arg: Self)*) -> Self {
                // SAFETY: the caller promises AVX2 and FMA; registers only.
                unsafe { Self($op(self.0 $(, $arg.0)*), $op(self.1 $(, $arg.1)*)) }
            }
        )*};
    }

    impl Vector for Avx2 {
        two_registers! {
            add(b) => _mm256_add_pd;
            sub(b) => _mm256_sub_pd;
            div(b) => _mm256_div_pd;
            fma(b, c) => _mm256_fmadd_pd;
            fms(b, c) => _mm256_fmsub_pd;
        }

        #[inline(always)]
        unsafe fn load(from: &[f64; LANES]) -> Self {
            // SAFETY: the caller promises AVX2; the array holds the eight numbers read, the
            // second half begins at its fifth.
            unsafe {
                let at = from.as_ptr();
                Self(_mm256_loadu_pd(at), _mm256_loadu_pd(at.add(LANES / 2)))
            }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f64; LANES]) {
            // SAFETY: the caller promises AVX2; the array holds the eight numbers written.
            unsafe {
                let at = to.as_mut_ptr();
                _mm256_storeu_pd(at, self.0);
                _mm256_storeu_pd(at.add(LANES / 2), self.1);
            }
        }

        #[inline(always)]
        unsafe fn splat(value: f64) -> Self {
            // SAFETY: the caller promises AVX2; registers only.
            unsafe { Self(_mm256_set1_pd(value), _mm256_set1_pd(value)) }
        }

        #[inline(always)]
        unsafe fn where_zero(self, then: Self, otherwise: Self) -> Self {
            // SAFETY: the caller promises AVX2; registers only.
            unsafe {
                let none = _mm256_setzero_pd();
                let low = _mm256_cmp_pd::<_CMP_EQ_OQ>(self.0, none);
                let high = _mm256_cmp_pd::<_CMP_EQ_OQ>(self.1, none);
                Self(
                    _mm256_blendv_pd(otherwise.0, then.0, low),
                    _mm256_blendv_pd(otherwise.1, then.1, high),
                )
            }
        }

        #[inline(always)]
        unsafe fn settled(self) -> Self {
            // SAFETY: the caller promises AVX2; registers only.
            unsafe {
                let canonical = _mm256_set1_pd(f64::from_bits(NAN_BITS));
                let low = _mm256_cmp_pd::<_CMP_UNORD_Q>(self.0, self.0);
                let high = _mm256_cmp_pd::<_CMP_UNORD_Q>(self.1, self.1);
                Self(
                    _mm256_blendv_pd(self.0, canonical, low),
                    _mm256_blendv_pd(self.1, canonical, high),
                )
            }
        }
    }
}
