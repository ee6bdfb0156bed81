//! Wide looks of x86-64. The only file with intrinsics of text beside `marks`.

use core::arch::x86_64::*;

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
static LAST: [u8; 33] = {
    let mut bytes = [0; 33];
    let mut i = 16;
    while i < 33 {
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
    /// Both halves of `window` through `test`, which marks bytes by ones; a bit for each byte.
    #[inline(always)]
    fn marked(self, window: &[u8; TEXT_WINDOW], test: impl Fn(__m256i) -> __m256i) -> u64 {
        // SAFETY: `self` is proof of AVX2; the window has both halves of 32 bytes, and the loads
        // need no alignment.
        unsafe {
            let at: *const __m256i = window.as_ptr().cast();
            let low = _mm256_movemask_epi8(test(_mm256_loadu_si256(at))) as u32;
            let high = _mm256_movemask_epi8(test(_mm256_loadu_si256(at.add(1)))) as u32;
            u64::from(high) << 32 | u64::from(low)
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
        // SAFETY: `self` is proof of AVX2; registers only.
        self.marked(window, |text| unsafe { _mm256_cmpeq_epi8(text, _mm256_set1_epi8(byte as i8)) })
    }

    #[inline(always)]
    fn odd(self, window: &[u8; TEXT_WINDOW]) -> u64 {
        // SAFETY: `self` is proof of AVX2; registers only.
        self.marked(window, |text| unsafe {
            // As signed bytes, those above 0x7F are below the blank too.
            let low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), text);
            _mm256_or_si256(low, _mm256_cmpeq_epi8(text, _mm256_set1_epi8(b'\\' as i8)))
        })
    }

    #[inline(always)]
    fn digits(self, text: &[u8; DIGITS_WINDOW], count: u32, behind: u32) -> Option<u64> {
        let last = |n: u32| LAST.get(n as usize..n as usize + 16);
        let keep = last(count)?;
        let tail = last(if behind == 0 { 16 } else { behind })?;
        // SAFETY: `self` is proof of AVX2; the windows have sixteen bytes from each place that is
        // read, and the loads need no alignment; the rest is in registers.
        unsafe {
            let load = |from: &[u8]| _mm_loadu_si128(from.as_ptr().cast());
            let (whole, tail_text) = (load(&text[..16]), load(&text[1..]));
            let digits = _mm_blendv_epi8(whole, tail_text, load(tail));
            let digits = _mm_sub_epi8(digits, _mm_set1_epi8(b'0' as i8));
            let digits = _mm_and_si128(digits, load(keep));
            let nine = _mm_set1_epi8(9);
            let are = _mm_cmpeq_epi8(_mm_max_epu8(digits, nine), nine);
            (_mm_movemask_epi8(are) == 0xFFFF).then(|| joined(digits))
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

    #[inline(always)]
    fn find(self, window: &[u8; TEXT_WINDOW], byte: u8) -> u64 {
        // SAFETY: `self` is proof of AVX-512BW; the window has 64 bytes, and the load needs no
        // alignment.
        unsafe {
            let text = _mm512_loadu_si512(window.as_ptr().cast());
            _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(byte as i8))
        }
    }

    #[inline(always)]
    fn odd(self, window: &[u8; TEXT_WINDOW]) -> u64 {
        // SAFETY: as above.
        unsafe {
            let text = _mm512_loadu_si512(window.as_ptr().cast());
            // As signed bytes, those above 0x7F are below the blank too.
            _mm512_cmplt_epi8_mask(text, _mm512_set1_epi8(0x20))
                | _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(b'\\' as i8))
        }
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
            (others == 0).then(|| joined(digits))
        }
    }

    #[inline(always)]
    fn apart<T: TextTask>(self, task: T) -> T::Out {
        // SAFETY: `self` is proof of the instructions.
        unsafe { run_avx512(task) }
    }
}
