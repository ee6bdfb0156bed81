//! The index beside each file: where its blocks are. Saves time and nothing else.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::block::{BlockHeader, HEADER_LEN, find_from, header_at};
use crate::head::{u32_at, u64_at};

/// Bytes of an entry.
pub(crate) const ENTRY_LEN: usize = 48;

/// One block of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub offset: u64,
    pub first_wall: i64,
    pub last_wall: i64,
    pub first_frame: u64,
    pub frames: u32,
    pub session: u32,
    pub stored_len: u32,
}

impl Entry {
    pub fn of(offset: u64, header: &BlockHeader) -> Self {
        Self {
            offset,
            first_wall: header.first_wall,
            last_wall: header.last_wall,
            first_frame: header.first_frame,
            frames: header.frames,
            session: header.session,
            stored_len: header.stored_len,
        }
    }

    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut out = [0; ENTRY_LEN];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..16].copy_from_slice(&self.first_wall.to_le_bytes());
        out[16..24].copy_from_slice(&self.last_wall.to_le_bytes());
        out[24..32].copy_from_slice(&self.first_frame.to_le_bytes());
        out[32..36].copy_from_slice(&self.frames.to_le_bytes());
        out[36..40].copy_from_slice(&self.session.to_le_bytes());
        out[40..44].copy_from_slice(&self.stored_len.to_le_bytes());
        let crc = crc32c::crc32c(&out[..44]);
        out[44..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8; ENTRY_LEN]) -> Option<Self> {
        let right = u32_at(bytes, 44) == crc32c::crc32c(&bytes[..44]);
        right.then(|| Self {
            offset: u64_at(bytes, 0),
            first_wall: u64_at(bytes, 8) as i64,
            last_wall: u64_at(bytes, 16) as i64,
            first_frame: u64_at(bytes, 24),
            frames: u32_at(bytes, 32),
            session: u32_at(bytes, 36),
            stored_len: u32_at(bytes, 40),
        })
    }

    /// Offset behind the block.
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(HEADER_LEN as u64 + self.stored_len as u64)
    }
}

/// Where the index of a capture file lies.
pub(crate) fn path_of(file: &Path) -> PathBuf {
    file.with_extension("b4x")
}

/// The blocks of `file`: from its index where that covers it, else by reading all headers.
pub(crate) fn load(path: &Path, file: &File, len: u64) -> io::Result<Vec<Entry>> {
    let entries = std::fs::read(path_of(path)).ok().and_then(|bytes| covering(&bytes, len));
    match entries {
        Some(entries) => Ok(entries),
        None => scan(file, len),
    }
}

/// The entries in `bytes`, when they cover a file of `len` bytes without a hole.
fn covering(bytes: &[u8], len: u64) -> Option<Vec<Entry>> {
    let (words, rest) = bytes.as_chunks::<ENTRY_LEN>();
    let mut entries = Vec::with_capacity(words.len());
    let mut end = 0;
    for word in words {
        let entry = Entry::decode(word).filter(|e| e.offset == end)?;
        end = entry.end();
        entries.push(entry);
    }
    (end == len && rest.is_empty()).then_some(entries)
}

/// The blocks whose headers check, by reading every header. Where no block follows a block, its
/// stored bytes are looked through, too: bytes may be missing in it.
pub(crate) fn scan(file: &File, len: u64) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut at = 0;
    let mut next = Some(0);
    while let Some(from) = next.filter(|from| *from < len) {
        next = match header_at(file, from, len)? {
            Ok(header) => {
                entries.push(Entry::of(from, &header));
                at = from;
                Some(from + header.size())
            }
            Err(_) => find_from(file, at + 1, len)?,
        };
    }
    Ok(entries)
}

/// Writes the index of `path` anew and gives it back, open for more entries.
pub(crate) fn rewrite(path: &Path, entries: &[Entry]) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(true).open(path_of(path))?;
    let bytes: Vec<u8> = entries.iter().flat_map(Entry::encode).collect();
    file.write_all_at(&bytes, 0)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_does_not_cover_its_file_is_not_believed() {
        let entry = Entry {
            offset: 0,
            first_wall: 1,
            last_wall: 2,
            first_frame: 3,
            frames: 4,
            session: 5,
            stored_len: 28,
        };
        let next = Entry { offset: 100, ..entry };
        let bytes = [entry.encode(), next.encode()].concat();
        assert_eq!(covering(&bytes, 200), Some(vec![entry, next]));
        assert_eq!(covering(&bytes, 201), None, "the file is longer");
        assert_eq!(covering(&bytes[..ENTRY_LEN], 200), None, "an entry is missing");
        assert_eq!(covering(&bytes[..95], 200), None, "torn");
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert_eq!(covering(&wrong, 200), None, "byte {at}");
        }
    }
}
