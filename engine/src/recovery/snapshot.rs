//! The snapshot's file, `recovery.snapshot` beside the segments that it stands for.
//!
//! ```text
//!   0  magic "B4SNAPSH"     12  u32 CRC-32C of all behind it     24  content (postcard):
//!   8  u32 format = 1       16  u64 length of the content            program, prefix, fold
//! ```
//!
//! It is written beside, synced and renamed: a crash leaves the old one or the new one. Its content
//! is the program's own state, so only the program that wrote it reads it: version and revision
//! stand in front. One too old, too new or too short is no error, but a reason to read everything.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use bot4_journal::Prefix;
use bot4_journal::remove::{SNAPSHOT_NAME, SNAPSHOT_PART_NAME};
use serde::de::DeserializeOwned;

use super::Fold;

const MAGIC: [u8; 8] = *b"B4SNAPSH";
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 24;

/// A beginning of a journal and what its records say.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which records.
    pub prefix: Prefix,
    /// What they say.
    pub fold: Fold,
}

/// Who may read what is written now.
fn program() -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), env!("BOT4_GIT"))
}

impl Snapshot {
    /// The snapshot in the journal directory `dir`, if it stands: whole, of this program, and the
    /// journal begins with what it was made from. None where there is none.
    ///
    /// # Errors
    /// Why it does not stand.
    pub fn standing(dir: &Path) -> Result<Option<Self>, String> {
        let Some(snapshot) = Self::read(dir)? else { return Ok(None) };
        snapshot.prefix.check(dir).map_err(|misfit| misfit.to_string())?;
        Ok(Some(snapshot))
    }

    /// The snapshot in `dir`, not held against the journal.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn read(dir: &Path) -> Result<Option<Self>, String> {
        let path = dir.join(SNAPSHOT_NAME);
        let wrong = |what: &str| format!("{}: {what}", path.display());
        match std::fs::read(&path) {
            Ok(bytes) => Self::decode(&bytes).map(Some).map_err(wrong),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(wrong(&e.to_string())),
        }
    }

    /// Writes it into the journal directory `dir`; returns its length.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(dir: &Path, prefix: &Prefix, fold: &Fold) -> io::Result<usize> {
        let bytes = encode(prefix, fold).map_err(io::Error::other)?;
        let part = dir.join(SNAPSHOT_PART_NAME);
        let mut file = File::create(&part)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, dir.join(SNAPSHOT_NAME))?;
        File::open(dir)?.sync_all()?;
        Ok(bytes.len())
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let head = bytes.first_chunk::<HEAD_BYTES>().ok_or("too short")?;
        let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let length: [u8; 8] = [word(16), word(20)].concat().try_into().map_err(|_| "too short")?;
        let content = &bytes[HEAD_BYTES..];
        if head[..8] != MAGIC || u32::from_le_bytes(word(8)) != FORMAT {
            return Err("another format");
        }
        if u64::from_le_bytes(length) != content.len() as u64 {
            return Err("its end is missing");
        }
        if u32::from_le_bytes(word(12)) != crc32c::crc32c(&bytes[16..]) {
            return Err("its checksum does not fit");
        }
        let (written_by, rest) = take::<String>(content)?;
        if written_by != program() {
            return Err("another version of the program wrote it");
        }
        let (prefix, rest) = take(rest)?;
        let (fold, rest) = take(rest)?;
        if !rest.is_empty() {
            return Err("more follows than it should hold");
        }
        Ok(Self { prefix, fold })
    }
}

fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), &'static str> {
    postcard::take_from_bytes(bytes).map_err(|_| "it cannot be decoded")
}

fn encode(prefix: &Prefix, fold: &Fold) -> postcard::Result<Vec<u8>> {
    let content = postcard::to_extend(&program(), vec![0; HEAD_BYTES])?;
    let content = postcard::to_extend(prefix, content)?;
    let mut bytes = postcard::to_extend(fold, content)?;
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    let length = (bytes.len() - HEAD_BYTES) as u64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}
