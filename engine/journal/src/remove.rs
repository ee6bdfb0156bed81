//! Removing a finished run's journal. Only files of the journal's own names are touched.
//!
//! A journal without its first segments reads as damaged, so a removal begins with a mark. Whoever
//! asks for the [`footprint`] of a marked one finishes the removal and finds nothing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::lock::{LOCK_NAME, take_lock};
use crate::segment::{self, RESERVE_NAME};
use crate::writer::JournalError;

/// Name of the mark in a journal directory whose journal is being removed.
const MARK_NAME: &str = "journal.removed";

/// Name in a journal directory of what was made of its beginning; see [`crate::prefix`].
pub const SNAPSHOT_NAME: &str = "recovery.snapshot";
/// Its name while it is being written.
pub const SNAPSHOT_PART_NAME: &str = "recovery.snapshot.part";

/// What a journal takes on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of its segments.
    pub bytes: u64,
    /// When the newest of them was last changed.
    pub changed: SystemTime,
}

/// What the journal in `dir` takes; `None` when no segment lies there, or its removal has begun.
///
/// # Errors
/// When the folder cannot be read.
pub fn footprint(dir: &Path) -> io::Result<Option<Footprint>> {
    if dir.join(MARK_NAME).exists() {
        // Where that fails, or somebody else is at it, the next look tries again.
        let _ = remove(dir);
        return Ok(None);
    }
    let mut found: Option<Footprint> = None;
    for path in segments(dir)? {
        let meta = fs::metadata(path)?;
        let (bytes, changed) = (meta.len(), meta.modified()?);
        let sum = found.get_or_insert(Footprint { bytes: 0, changed });
        sum.bytes += bytes;
        sum.changed = sum.changed.max(changed);
    }
    Ok(found)
}

/// Removes the journal in `dir` and the folder itself when nothing else lies in it.
///
/// # Errors
/// [`JournalError::Locked`] when an engine writes it; else the disk's.
pub fn remove(dir: &Path) -> Result<(), JournalError> {
    let disk = |e| JournalError::Disk("remove a journal", e);
    // Held until the end: no engine can begin here meanwhile.
    let _lock = take_lock(dir)?;
    let mark = dir.join(MARK_NAME);
    File::create(&mark).map_err(disk)?;
    // After a power failure, too, the mark is there before a segment is missing.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(disk)?;
    for path in segments(dir).map_err(disk)? {
        fs::remove_file(path).map_err(disk)?;
    }
    for name in [SNAPSHOT_NAME, SNAPSHOT_PART_NAME] {
        match fs::remove_file(dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(disk(e)),
            _ => {}
        }
    }
    fs::remove_file(mark).map_err(disk)?;
    fs::remove_file(dir.join(LOCK_NAME)).map_err(disk)?;
    match fs::remove_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::DirectoryNotEmpty => Err(disk(e)),
        _ => Ok(()),
    }
}

fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name == RESERVE_NAME || segment::index_of(name).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
