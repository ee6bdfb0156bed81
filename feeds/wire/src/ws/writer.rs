//! Client frames: header, mask, masked payload, appended to the caller's buffer.

use bot4_types::rng::SplitMix64;

use super::Opcode;

/// Writes client frames. Every frame gets a fresh mask from a seeded generator: masks protect
/// intermediaries that read plaintext, and every connection of the engine is inside TLS, so
/// they need not be secret and a run stays reproducible.
#[derive(Clone, Debug)]
pub struct FrameWriter {
    masks: SplitMix64,
}

impl FrameWriter {
    /// Longest header of a client frame in bytes.
    pub const HEADER_LEN_MAX: usize = 14;

    /// A writer whose masks follow from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { masks: SplitMix64::new(seed) }
    }

    /// Appends one unfragmented frame. Allocates only where `out` has no room.
    pub fn write(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let mask = (self.masks.next_u64() as u32).to_le_bytes();
        out.push(0x80 | opcode as u8);
        match payload.len() {
            n @ 0..=125 => out.push(0x80 | n as u8),
            n @ 126..=0xFFFF => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(n as u16).to_be_bytes());
            }
            n => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(n as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        let start = out.len();
        out.extend_from_slice(payload);
        apply_mask(mask, &mut out[start..]);
    }
}

/// XORs `bytes` with the repeated mask, eight bytes at a time.
fn apply_mask(mask: [u8; 4], bytes: &mut [u8]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (i, byte) in chunks.into_remainder().iter_mut().enumerate() {
        *byte ^= mask[i % 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The naive twin is RFC 6455 §5.3 word for word.
        #[test]
        fn masks_like_the_formula(
            mask in any::<[u8; 4]>(), bytes in proptest::collection::vec(any::<u8>(), 0..70)
        ) {
            let twin: Vec<u8> = bytes.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]).collect();
            let mut ours = bytes;
            apply_mask(mask, &mut ours);
            prop_assert_eq!(ours, twin);
        }
    }

    #[test]
    fn a_reserved_buffer_is_not_grown() {
        let mut writer = FrameWriter::new(1);
        let mut out = Vec::with_capacity(300 + FrameWriter::HEADER_LEN_MAX);
        let place = out.as_ptr();
        for _ in 0..100 {
            out.clear();
            writer.write(Opcode::Text, &[b'x'; 300], &mut out);
        }
        assert_eq!((out.as_ptr(), out.len()), (place, 308));
    }
}
