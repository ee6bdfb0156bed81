//! Continuing a capture: what is there, and cutting what was torn.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::block::header_at;
use crate::index::{self, Entry};
use crate::reader::DamageKind;

/// What an opened folder held already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Capture files.
    pub files: u32,
    /// Frames in whole blocks, by their numbers.
    pub frames: u64,
    /// Bytes of a torn block that were cut off the last file.
    pub torn_bytes: u64,
    /// Sessions so far.
    pub sessions: u32,
}

/// Where a writer goes on.
#[derive(Debug)]
pub(crate) struct Place {
    pub resumed: Resumed,
    /// The last file, its number, its blocks; none in an empty folder.
    pub last: Option<(u32, Vec<Entry>)>,
}

/// Name of capture file `number` in `dir`.
pub(crate) fn file_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("capture-{number:06}.b4c"))
}

/// Capture files in `dir` with their numbers, in order.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        let number = name
            .strip_prefix("capture-")
            .and_then(|n| n.strip_suffix(".b4c"))
            .and_then(|n| n.parse().ok())
            .filter(|number| file_path(dir, *number) == path);
        if let Some(number) = number {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Looks at `dir`, cuts a torn block off the last file and tells where to go on.
pub(crate) fn find(dir: &Path) -> io::Result<Place> {
    let files = list(dir)?;
    let mut resumed = Resumed { files: files.len() as u32, ..Resumed::default() };
    let mut last = None;
    // Numbers go on behind the highest that any block holds, so that they never repeat.
    for (i, (number, path)) in files.iter().enumerate() {
        let entries = if i + 1 == files.len() {
            let (entries, torn) = cut_torn(path)?;
            resumed.torn_bytes = torn;
            last = Some((*number, entries.clone()));
            entries
        } else {
            let file = File::open(path)?;
            let len = file.metadata()?.len();
            index::load(path, &file, len)?
        };
        for entry in &entries {
            let end = entry.first_frame.saturating_add(u64::from(entry.frames));
            resumed.frames = resumed.frames.max(end);
            resumed.sessions = resumed.sessions.max(entry.session);
        }
    }
    Ok(Place { resumed, last })
}

/// Cuts `path` behind its last block that checks. Damage before that block stays: it may hold
/// what a person can still read. Blocks of another version are no damage: the file is refused.
fn cut_torn(path: &Path) -> io::Result<(Vec<Entry>, u64)> {
    let file = File::options().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    let mut entries = index::scan(&file, len)?;
    while let Some(last) = entries.last() {
        if checks(&file, last, len)? {
            break;
        }
        entries.pop();
    }
    let end = entries.last().map_or(0, Entry::end);
    if end < len && header_at(&file, end, len)? == Err(DamageKind::Version) {
        let what = format!("{}: {}", path.display(), DamageKind::Version.name());
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    if end < len {
        file.set_len(end)?;
    }
    Ok((entries, len - end.min(len)))
}

/// The stored bytes of this block are what its header says.
fn checks(file: &File, entry: &Entry, len: u64) -> io::Result<bool> {
    let Ok(header) = header_at(file, entry.offset, len)? else { return Ok(false) };
    let mut stored = vec![0; header.stored_len as usize];
    file.read_exact_at(&mut stored, entry.end() - u64::from(header.stored_len))?;
    Ok(crc32c::crc32c(&stored) == header.stored_crc)
}
