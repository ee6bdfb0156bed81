//! Taking over the journal of a run that died: the torn tail is cut and the journal sealed.
//!
//! Invariant: nothing that was published is cut. A sequence is published after its whole record
//! lies in the segment, so bytes behind the last whole record were never relied on. A journal
//! that is damaged in the middle is left as it is: a person must look. Cost: one read of the
//! journal. Killed half way, the next recovery does the rest.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bot4_types::Nanos;

use crate::lock::{lock_of, take_lock};
use crate::prefix::Prefix;
use crate::reader::{FlawKind, OpenEnd, Reader, Record};
use crate::report::{VerifyReport, Watch, verify_behind};
use crate::segment::{self, RESERVE_NAME, SEAL_BYTES, SealKind};
use crate::writer::JournalError;

/// What a recovery found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The journal as it was found.
    pub found: VerifyReport,
    /// The file that was cut and sealed, where, and whether a torn record lay there.
    pub cut: Option<OpenEnd>,
    /// Prepared segments that were never used and are removed now.
    pub removed: Vec<PathBuf>,
}

/// Some process writes the journal in `dir`.
#[must_use]
pub fn is_in_use(dir: &Path) -> bool {
    matches!(lock_of(dir).map(|lock| lock.try_lock()), Ok(Err(fs::TryLockError::WouldBlock)))
}

/// Verifies the journal in `dir` and, when it is intact but was not closed, cuts its torn tail,
/// removes prepared segments and seals it. A damaged journal is not touched.
///
/// # Errors
/// [`JournalError::Locked`] when its engine still runs; else the disk's.
pub fn recover(dir: &Path, watch: Watch<'_>) -> Result<Recovery, JournalError> {
    recover_behind(dir, None, watch, &mut |_| {})
}

/// [`recover`], handing each record to `take`. With `behind`, which must have been checked, only
/// what follows it is read: the same is found and done.
///
/// # Errors
/// As [`recover`].
pub fn recover_behind(
    dir: &Path,
    behind: Option<&Prefix>,
    watch: Watch<'_>,
    take: &mut dyn FnMut(&Record),
) -> Result<Recovery, JournalError> {
    let disk = |doing| move |e: io::Error| JournalError::Disk(doing, e);
    let _lock = take_lock(dir)?;
    let found = verify_behind(dir, behind, watch, take).map_err(disk("read the journal"))?;
    let mut recovery = Recovery { found, cut: None, removed: Vec::new() };
    if !recovery.found.is_sound() || recovery.found.closed {
        return Ok(recovery);
    }
    if let Some(end) = recovery.found.open_end.clone() {
        seal_at(&end).map_err(disk("seal the journal"))?;
        recovery.cut = Some(end);
    }
    recovery.removed = remove_unused(dir).map_err(disk("remove unused segments"))?;
    Ok(recovery)
}

/// Cuts the file at the end of its records and puts the seal there.
fn seal_at(end: &OpenEnd) -> io::Result<()> {
    let mut seal = [0; SEAL_BYTES];
    segment::encode_seal(end.index, Nanos::ZERO, end.records, SealKind::Recovered, &mut seal);
    let file = File::options().write(true).open(&end.file)?;
    file.set_len(end.offset)?;
    file.write_all_at(&seal, end.offset)?;
    file.sync_all()
}

/// Removes segments whose header was never written.
fn remove_unused(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let is_segment = name == RESERVE_NAME || segment::index_of(name).is_some();
        if is_segment && is_headless(&path) {
            fs::remove_file(&path)?;
            removed.push(path);
        }
    }
    removed.sort();
    Ok(removed)
}

/// No header was ever written whole: the file holds no record, because a segment's first record
/// follows its header.
fn is_headless(path: &Path) -> bool {
    let Ok(mut reader) = Reader::open(path) else { return false };
    let torn_at_zero = |offset, kind: &FlawKind| offset == 0 && *kind == FlawKind::TornTail;
    let sound = reader.by_ref().all(|r| r.is_err_and(|f| torn_at_zero(f.offset, &f.kind)));
    sound && reader.epoch().is_none()
}
