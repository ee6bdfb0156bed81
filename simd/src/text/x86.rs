//! Wide looks of x86-64. The only file with intrinsics of text beside `marks`.

use core::arch::x86_64::*;

// No closures around intrinsics: a closure has no instructions of its own to be compiled with, and
// is not always inlined where they are.
use super::private::Sealed;
use super::{DIGITS_WINDOW, Look, TEXT_WINDOW, TextTask, run_avx2, run_avx512};

/// Two 256-bit registers; needs AVX2 and BMI.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide256(());

/// One 512-bit register and masks; needs AVX-512F, BW, VL and BMI.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide512(());

impl Wide256 {
    /// # Safety
    /// The CPU has AVX2, BMI1 and BMI2.
    #[inline(always)]
    pub(super) const unsafe fn new() -> Self {
        Self(())
    }
}

impl Wide512 {
    /// # Safety
    /// The CPU has AVX-512F, BW and VL, AVX2, BMI1 and BMI2.
    #[inline(always)]
    pub(super) const unsafe fn new() -> Self {
        Self(())
    }
}

impl Sealed for Wide256 {}
impl Sealed for Wide512 {}

/// Sixteen zeros and sixteen bytes of ones: from place `n` on, ones in the last `n` of sixteen.
static LAST: [u8; 32] = {
    let mut bytes = [0; 32];
    let mut i = 16;
    while i < 32 {
        bytes[i] = 0xFF;
        i += 1;
    }
    bytes
};

/// The number of sixteen digits as bytes 0 to 9, the first digit in the lowest byte.
///
/// # Safety
/// The CPU has SSE4.1.
#[inline(always)]
unsafe fn joined(digits: __m128i) -> u64 {
    // SAFETY: the caller promises the instructions; registers only.
    unsafe {
        let pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(1 << 8 | 10));
        let quads = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
        // Quads are below 10^4: packing loses nothing.
        let packed = _mm_packus_epi32(quads, quads);
        let eights = _mm_madd_epi16(packed, _mm_set1_epi32(1 << 16 | 10_000));
        let both = _mm_cvtsi128_si64(eights) as u64;
        (both & 0xFFFF_FFFF) * 100_000_000 + (both >> 32)
    }
}

impl Wide256 {
    /// The bits of both halves' marks, which are ones in whole bytes.
    #[inline(always)]
    fn bits(self, low: __m256i, high: __m256i) -> u64 {
        // SAFETY: `self` is proof of AVX2; registers only.
        unsafe {
            let (low, high) = (_mm256_movemask_epi8(low), _mm256_movemask_epi8(high));
            u64::from(high as u32) << 32 | u64::from(low as u32)
        }
    }

    /// Both halves of `window`.
    #[inline(always)]
    fn halves(self, window: &[u8; TEXT_WINDOW]) -> (__m256i, __m256i) {
        let at: *const __m256i = window.as_ptr().cast();
        // SAFETY: `self` is proof of AVX2; the window has two times 32 bytes, and the loads need
        // no alignment.
        unsafe { (_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))) }
    }

    /// Ones in the bytes of `text` that are odd (see [`Look::odd`]).
    #[inline(always)]
    fn odd_bytes(self, text: __m256i) -> __m256i {
        // SAFETY: `self` is proof of AVX2; registers only.
        unsafe {
            // As signed bytes, those above 0x7F are below the blank too.
            let low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), text);
            _mm256_or_si256(low, _mm256_cmpeq_epi8(text, _mm256_set1_epi8(b'\\' as i8)))
        }
    }
}

impl Look for Wide256 {
    #[inline(always)]
    fn is_wide(self) -> bool {
        true
    }

    #[inline(always)]
    fn find(self, window: &[u8; TEXT_WINDOW], byte: u8) -> u64 {
        let (low, high) = self.halves(window);
        // SAFETY: `self` is proof of AVX2; registers only.
        unsafe {
            let wanted = _mm256_set1_epi8(byte as i8);
            self.bits(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted))
        }
    }

    #[inline(always)]
    fn odd(self, window: &[u8; TEXT_WINDOW]) -> u64 {
        let (low, high) = self.halves(window);
        self.bits(self.odd_bytes(low), self.odd_bytes(high))
    }

    #[inline(always)]
    fn digits(self, text: &[u8; DIGITS_WINDOW], count: u32, behind: u32) -> Option<u64> {
        let tail = if behind == 0 { 16 } else { behind as usize };
        let keep: &[u8; 16] = LAST.get(count as usize..)?.first_chunk()?;
        let tail: &[u8; 16] = LAST.get(tail..)?.first_chunk()?;
        let at: *const u8 = text.as_ptr();
        // SAFETY: `self` is proof of AVX2; sixteen bytes are read of each, from the first or the
        // second of seventeen, and the loads need no alignment; the rest is in registers.
        unsafe {
            let (whole, tail_text) =
                (_mm_loadu_si128(at.cast()), _mm_loadu_si128(at.add(1).cast()));
            let (keep, tail) =
                (_mm_loadu_si128(keep.as_ptr().cast()), _mm_loadu_si128(tail.as_ptr().cast()));
            let digits = _mm_blendv_epi8(whole, tail_text, tail);
            let digits = _mm_and_si128(_mm_sub_epi8(digits, _mm_set1_epi8(b'0' as i8)), keep);
            let nine = _mm_set1_epi8(9);
            let are = _mm_cmpeq_epi8(_mm_max_epu8(digits, nine), nine);
            if _mm_movemask_epi8(are) == 0xFFFF { Some(joined(digits)) } else { None }
        }
    }

    #[inline(always)]
    fn apart<T: TextTask>(self, task: T) -> T::Out {
        // SAFETY: `self` is proof of the instructions.
        unsafe { run_avx2(task) }
    }
}

impl Look for Wide512 {
    #[inline(always)]
    fn is_wide(self) -> bool {
        true
    }

    /// By halves as AVX2 does: a whole register took up to 4 % more time for a message.
    #[inline(always)]
    fn find(self, window: &[u8; TEXT_WINDOW], byte: u8) -> u64 {
        Wide256(()).find(window, byte)
    }

    #[inline(always)]
    fn odd(self, window: &[u8; TEXT_WINDOW]) -> u64 {
        Wide256(()).odd(window)
    }

    #[inline(always)]
    fn digits(self, text: &[u8; DIGITS_WINDOW], count: u32, behind: u32) -> Option<u64> {
        let last = |n: u32| 0xFFFF_0000u32.wrapping_shr(n) as u16;
        let keep = last(count);
        let tail = last(if behind == 0 { 16 } else { behind });
        // SAFETY: `self` is proof of AVX-512BW and VL; both loads read sixteen of the seventeen
        // bytes and need no alignment; the rest is in registers.
        unsafe {
            let at: *const u8 = text.as_ptr();
            let (whole, tail_text) =
                (_mm_loadu_si128(at.cast()), _mm_loadu_si128(at.add(1).cast()));
            let digits = _mm_mask_blend_epi8(tail, whole, tail_text);
            let digits = _mm_maskz_sub_epi8(keep, digits, _mm_set1_epi8(b'0' as i8));
            let others = _mm_cmpgt_epu8_mask(digits, _mm_set1_epi8(9));
            if others == 0 { Some(joined(digits)) } else { None }
        }
    }

    #[inline(always)]
    fn apart<T: TextTask>(self, task: T) -> T::Out {
        // SAFETY: `self` is proof of the instructions.
        unsafe { run_avx512(task) }
    }
}
