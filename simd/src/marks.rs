//! Marks of text: sixteen bytes at one look, which are quotes and which are no digits.
//!
//! By instructions that every processor of the architecture has, so nothing is dispatched; by
//! words of eight bytes elsewhere. Cost: about 1 ns.

/// Sixteen bits each, that of the first byte lowest; see [`marks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Quotes.
    pub quotes: u32,
    /// Bytes that are no digits, quotes among them.
    pub others: u32,
}

/// Marks the bytes of `window`.
#[inline(always)]
#[must_use]
pub fn marks(window: &[u8; 16]) -> Marks {
    #[cfg(target_arch = "x86_64")]
    return marks_by_vector(window);
    #[cfg(not(target_arch = "x86_64"))]
    return marks_by_words(window);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn marks_by_vector(window: &[u8; 16]) -> Marks {
    use core::arch::x86_64::{
        _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_movemask_epi8,
        _mm_set1_epi8,
    };
    // SAFETY: SSE2 belongs to the architecture; the load needs no alignment and reads the sixteen
    // bytes of `window`; the others touch registers only.
    unsafe {
        let text = _mm_loadu_si128(window.as_ptr().cast());
        let quotes = _mm_movemask_epi8(_mm_cmpeq_epi8(text, _mm_set1_epi8(b'"' as i8)));
        // The digits become the ten largest signed bytes.
        let raised = _mm_add_epi8(text, _mm_set1_epi8((127 - b'9') as i8));
        let digits = _mm_movemask_epi8(_mm_cmpgt_epi8(raised, _mm_set1_epi8(117)));
        Marks { quotes: quotes as u32, others: !(digits as u32) & 0xFFFF }
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn marks_by_words(window: &[u8; 16]) -> Marks {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // A byte is zero, or at most nine, when its seven low bits plus this do not carry and its
    // highest bit is not set.
    let above = |x: u64, room: u64| (((x & !HIGH) + (ONES * room)) | x) & HIGH;
    // Brings the highest bits of the bytes together, without a carry.
    let gathered = |marks: u64| ((marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32;
    let both = |mark: &dyn Fn(u64) -> u64| {
        let bits = u128::from_le_bytes(*window);
        gathered(mark(bits as u64)) | gathered(mark((bits >> 64) as u64)) << 8
    };
    let quotes = both(&|word| above(word ^ (ONES * b'"' as u64), 127) ^ HIGH);
    let others = both(&|word| above(word ^ (ONES * b'0' as u64), 118));
    Marks { quotes, others }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Naive twin: byte by byte.
        #[test]
        fn bytes_are_marked(
            any in any::<[u8; 16]>(), at in proptest::collection::vec((0usize..16, "[\"0-9.:/]"), 0..16),
        ) {
            let mut window = any;
            for (at, byte) in at {
                window[at] = byte.as_bytes()[0];
            }
            let mut twin = Marks { quotes: 0, others: 0 };
            for (i, byte) in window.iter().enumerate() {
                twin.quotes |= u32::from(*byte == b'"') << i;
                twin.others |= u32::from(!byte.is_ascii_digit()) << i;
            }
            prop_assert_eq!(marks(&window), twin);
            prop_assert_eq!(marks_by_words(&window), twin);
        }
    }
}
