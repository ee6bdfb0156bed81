//! Eight lanes in two registers.

use core::arch::x86_64::*;

use super::{Block, LANES, NAN_BITS, Vector};

/// Two 256-bit registers; needs AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256d, __m256d);

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

/// Four rows of four lanes: lane `i` of row `j` becomes lane `j` of row `i`.
#[inline(always)]
unsafe fn transposed4([a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
    // SAFETY: the caller promises AVX2; registers only.
    unsafe {
        let (ab, ab_odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        let (cd, cd_odd) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
        [
            _mm256_permute2f128_pd::<0x20>(ab, cd),
            _mm256_permute2f128_pd::<0x20>(ab_odd, cd_odd),
            _mm256_permute2f128_pd::<0x31>(ab, cd),
            _mm256_permute2f128_pd::<0x31>(ab_odd, cd_odd),
        ]
    }
}

impl Vector for Avx2 {
    const WIDE: bool = false;

    two_registers! {
        add(b) => _mm256_add_pd;
        sub(b) => _mm256_sub_pd;
        mul(b) => _mm256_mul_pd;
        div(b) => _mm256_div_pd;
        fma(b, c) => _mm256_fmadd_pd;
        fms(b, c) => _mm256_fmsub_pd;
        sqrt() => _mm256_sqrt_pd;
    }

    #[inline(always)]
    unsafe fn load(from: &Block) -> Self {
        // SAFETY: the caller promises AVX2; the array holds the eight numbers read, the
        // second half begins at its fifth.
        unsafe {
            let at = from.as_ptr();
            Self(_mm256_loadu_pd(at), _mm256_loadu_pd(at.add(LANES / 2)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut Block) {
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
    unsafe fn where_less(self, b: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the caller promises AVX2; registers only.
        unsafe {
            let low = _mm256_cmp_pd::<_CMP_LT_OQ>(self.0, b.0);
            let high = _mm256_cmp_pd::<_CMP_LT_OQ>(self.1, b.1);
            Self(
                _mm256_blendv_pd(otherwise.0, then.0, low),
                _mm256_blendv_pd(otherwise.1, then.1, high),
            )
        }
    }

    #[inline(always)]
    unsafe fn transposed(rows: [Self; LANES]) -> [Self; LANES] {
        let [a, b, c, d, e, f, g, h] = rows;
        // SAFETY: the caller promises AVX2; registers only.
        unsafe {
            let low_left = transposed4([a.0, b.0, c.0, d.0]);
            let low_right = transposed4([e.0, f.0, g.0, h.0]);
            let high_left = transposed4([a.1, b.1, c.1, d.1]);
            let high_right = transposed4([e.1, f.1, g.1, h.1]);
            [
                Self(low_left[0], low_right[0]),
                Self(low_left[1], low_right[1]),
                Self(low_left[2], low_right[2]),
                Self(low_left[3], low_right[3]),
                Self(high_left[0], high_right[0]),
                Self(high_left[1], high_right[1]),
                Self(high_left[2], high_right[2]),
                Self(high_left[3], high_right[3]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn any_nan(self) -> bool {
        // SAFETY: the caller promises AVX2; registers only.
        unsafe { _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_UNORD_Q>(self.0, self.1)) != 0 }
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
