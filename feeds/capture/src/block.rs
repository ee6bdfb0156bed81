//! A block's header, and finding blocks in a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bot4_types::Nanos;

use crate::head::{u32_at, u64_at};
use crate::reader::DamageKind;

/// Bytes of a block header.
pub const HEADER_LEN: usize = 72;
/// Records of a block, decompressed, at most: eight times the longest frame. Bounds what a
/// reader allocates.
pub const BLOCK_RAW_MAX: usize = 64 * 1024 * 1024;
/// First bytes of a block.
pub(crate) const MAGIC: [u8; 4] = *b"B4CP";
const VERSION: u16 = 1;
/// Bytes looked through at a time for the next block.
const SCAN_BYTES: usize = 64 * 1024;

/// How a block's bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Codec {
    Plain = 0,
    Zstd = 1,
}

/// See the crate's format tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub codec: Codec,
    pub raw_len: u32,
    pub stored_len: u32,
    pub first_frame: u64,
    pub frames: u32,
    pub session: u32,
    pub first_recv: Nanos,
    pub last_recv: Nanos,
    pub first_wall: i64,
    pub last_wall: i64,
    pub stored_crc: u32,
}

impl BlockHeader {
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[6] = self.codec as u8;
        out[8..12].copy_from_slice(&self.raw_len.to_le_bytes());
        out[12..16].copy_from_slice(&self.stored_len.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_frame.to_le_bytes());
        out[24..28].copy_from_slice(&self.frames.to_le_bytes());
        out[28..32].copy_from_slice(&self.session.to_le_bytes());
        out[32..40].copy_from_slice(&self.first_recv.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.last_recv.0.to_le_bytes());
        out[48..56].copy_from_slice(&self.first_wall.to_le_bytes());
        out[56..64].copy_from_slice(&self.last_wall.to_le_bytes());
        out[64..68].copy_from_slice(&self.stored_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out[..68]);
        out[68..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, DamageKind> {
        if bytes[..4] != MAGIC || u32_at(bytes, 68) != crc32c::crc32c(&bytes[..68]) {
            return Err(DamageKind::Header);
        }
        if u16::from_le_bytes([bytes[4], bytes[5]]) != VERSION {
            return Err(DamageKind::Version);
        }
        let codec = match (bytes[6], bytes[7]) {
            (0, 0) => Codec::Plain,
            (1, 0) => Codec::Zstd,
            _ => return Err(DamageKind::Version),
        };
        let header = Self {
            codec,
            raw_len: u32_at(bytes, 8),
            stored_len: u32_at(bytes, 12),
            first_frame: u64_at(bytes, 16),
            frames: u32_at(bytes, 24),
            session: u32_at(bytes, 28),
            first_recv: Nanos(u64_at(bytes, 32)),
            last_recv: Nanos(u64_at(bytes, 40)),
            first_wall: u64_at(bytes, 48) as i64,
            last_wall: u64_at(bytes, 56) as i64,
            stored_crc: u32_at(bytes, 64),
        };
        let bounded = header.raw_len as usize <= BLOCK_RAW_MAX;
        let frames_end = header.first_frame.checked_add(u64::from(header.frames));
        if bounded && frames_end.is_some() { Ok(header) } else { Err(DamageKind::Header) }
    }

    /// Bytes of the block in its file.
    pub const fn size(&self) -> u64 {
        HEADER_LEN as u64 + self.stored_len as u64
    }

    /// Number of the frame behind the block's last. Cannot overflow: checked when decoded.
    pub const fn end_frame(&self) -> u64 {
        self.first_frame.saturating_add(self.frames as u64)
    }
}

/// The header at `at` of a file of `len` bytes that holds the whole block, or what is wrong.
pub(crate) fn header_at(
    file: &File,
    at: u64,
    len: u64,
) -> io::Result<Result<BlockHeader, DamageKind>> {
    let mut bytes = [0; HEADER_LEN];
    let left = len.saturating_sub(at);
    if left < HEADER_LEN as u64 {
        // Too short to tell: a torn header begins like one.
        let n = left.min(4) as usize;
        file.read_exact_at(&mut bytes[..n], at)?;
        let torn = bytes[..n] == MAGIC[..n];
        return Ok(Err(if torn { DamageKind::Torn } else { DamageKind::Header }));
    }
    file.read_exact_at(&mut bytes, at)?;
    Ok(match BlockHeader::decode(&bytes) {
        Ok(header) if header.size() > left => Err(DamageKind::Torn),
        other => other,
    })
}

/// Offset of the first block at or behind `from` whose header checks and whose bytes are all
/// there.
pub(crate) fn find_from(file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; SCAN_BYTES];
    let mut at = from;
    while at + HEADER_LEN as u64 <= len {
        let n = (len - at).min(SCAN_BYTES as u64) as usize;
        file.read_exact_at(&mut window[..n], at)?;
        for start in 0..=n - MAGIC.len() {
            if window[start..start + MAGIC.len()] == MAGIC {
                let found = at + start as u64;
                if header_at(file, found, len)?.is_ok() {
                    return Ok(Some(found));
                }
            }
        }
        // The magic may lie across two windows.
        at += (n - (MAGIC.len() - 1)) as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn header() -> BlockHeader {
        BlockHeader {
            codec: Codec::Zstd,
            raw_len: 1,
            stored_len: 2,
            first_frame: 3,
            frames: 4,
            session: 5,
            first_recv: Nanos(6),
            last_recv: Nanos(7),
            first_wall: -8,
            last_wall: 9,
            stored_crc: 10,
        }
    }

    #[test]
    fn headers_read_back_and_every_flip_is_seen() {
        let bytes = header().encode();
        assert_eq!(BlockHeader::decode(&bytes), Ok(header()));
        for at in 0..HEADER_LEN {
            for bit in 0..8 {
                let mut wrong = bytes;
                wrong[at] ^= 1 << bit;
                assert_eq!(BlockHeader::decode(&wrong), Err(DamageKind::Header), "byte {at}");
            }
        }
    }

    #[test]
    fn lengths_beyond_the_limit_are_refused() {
        let wrong = [
            BlockHeader { raw_len: BLOCK_RAW_MAX as u32 + 1, ..header() },
            BlockHeader { first_frame: u64::MAX, ..header() },
        ];
        for header in wrong {
            assert_eq!(BlockHeader::decode(&header.encode()), Err(DamageKind::Header));
        }
    }

    #[test]
    fn the_next_block_is_found_across_windows() {
        let mut file = tempfile::tempfile().expect("a file");
        // Near the borders of the scan's windows, behind a magic that is none.
        for at in [0, 5, SCAN_BYTES - 80, SCAN_BYTES - 2, SCAN_BYTES - 1, SCAN_BYTES, 200_000] {
            let mut text = vec![b'B'; at];
            if at > 10 {
                text[1..5].copy_from_slice(&MAGIC);
            }
            text.extend(header().encode());
            text.extend([1, 2]);
            file.set_len(0).expect("emptied");
            file.write_all_at(&text, 0).expect("written");
            file.flush().expect("written");
            let len = text.len() as u64;
            assert_eq!(find_from(&file, 0, len).expect("read"), Some(at as u64));
            assert_eq!(find_from(&file, at as u64 + 1, len).expect("read"), None);
            assert_eq!(find_from(&file, 0, len - 1).expect("read"), None, "torn");
        }
    }
}
