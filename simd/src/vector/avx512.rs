//! Eight lanes in one register.

use core::arch::x86_64::*;

use super::{Block, LANES, NAN_BITS, Vector};

/// One 512-bit register; needs AVX-512F.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512d);

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

/// The even lanes of two rows side by side, and the odd ones.
#[inline(always)]
unsafe fn pairs(a: __m512d, b: __m512d) -> (__m512d, __m512d) {
    // SAFETY: the caller promises AVX-512F; registers only.
    unsafe { (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b)) }
}

/// The even quarters of two rows one after the other, and the odd ones.
#[inline(always)]
unsafe fn quarters(a: __m512d, b: __m512d) -> (__m512d, __m512d) {
    // SAFETY: the caller promises AVX-512F; registers only.
    unsafe { (_mm512_shuffle_f64x2::<0x88>(a, b), _mm512_shuffle_f64x2::<0xDD>(a, b)) }
}

impl Vector for Avx512 {
    const WIDE: bool = true;

    one_register! {
        add(b) => _mm512_add_pd;
        sub(b) => _mm512_sub_pd;
        mul(b) => _mm512_mul_pd;
        div(b) => _mm512_div_pd;
        fma(b, c) => _mm512_fmadd_pd;
        fms(b, c) => _mm512_fmsub_pd;
        sqrt() => _mm512_sqrt_pd;
    }

    #[inline(always)]
    unsafe fn load(from: &Block) -> Self {
        // SAFETY: the caller promises AVX-512F; the array holds the eight numbers read, and
        // the unaligned form has no alignment to keep.
        unsafe { Self(_mm512_loadu_pd(from.as_ptr())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut Block) {
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
    unsafe fn where_less(self, b: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the caller promises AVX-512F; registers only.
        unsafe {
            let less = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(self.0, b.0);
            Self(_mm512_mask_blend_pd(less, otherwise.0, then.0))
        }
    }

    #[inline(always)]
    unsafe fn transposed(rows: [Self; LANES]) -> [Self; LANES] {
        let [a, b, c, d, e, f, g, h] = rows.map(|row| row.0);
        // SAFETY: the caller promises AVX-512F; registers only.
        unsafe {
            let (ab, cd, ef, gh) = (pairs(a, b), pairs(c, d), pairs(e, f), pairs(g, h));
            // Lanes of four rows: 0 and 4, 1 and 5, 2 and 6, 3 and 7.
            let ((l04, l26), (l15, l37)) = (quarters(ab.0, cd.0), quarters(ab.1, cd.1));
            let ((h04, h26), (h15, h37)) = (quarters(ef.0, gh.0), quarters(ef.1, gh.1));
            let ((r0, r4), (r1, r5)) = (quarters(l04, h04), quarters(l15, h15));
            let ((r2, r6), (r3, r7)) = (quarters(l26, h26), quarters(l37, h37));
            [r0, r1, r2, r3, r4, r5, r6, r7].map(Self)
        }
    }

    #[inline(always)]
    unsafe fn any_nan(self) -> bool {
        // SAFETY: the caller promises AVX-512F; registers only.
        unsafe { _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(self.0, self.0) != 0 }
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
