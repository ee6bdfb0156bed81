//! The lock of a journal directory: one engine writes, recovers or removes at a time.
//!
//! Invariant: the lock is the kernel's and ends with the process, however that ends. Cost: system
//! calls, at start and at the end only.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::writer::JournalError;

/// Name of the lock file in a journal directory.
pub const LOCK_NAME: &str = "journal.lock";
/// How often a lock is tried before its directory counts as in use, and the pause between.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Takes the directory for this process. Whoever only asks whether it is held has it for an
/// instant, so the first refusal is not believed; blocks for a tenth of a second where it stays
/// refused.
pub(crate) fn take_lock(dir: &Path) -> Result<File, JournalError> {
    let lock = lock_of(dir).map_err(|e| JournalError::Disk("open lock file", e))?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(LOCK_PAUSE),
            Err(TryLockError::Error(e)) => {
                return Err(JournalError::Disk("lock the directory", e));
            }
        }
    }
    Err(JournalError::Locked(dir.to_owned()))
}

/// The lock file of `dir`, made when missing, not locked.
pub(crate) fn lock_of(dir: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(dir.join(LOCK_NAME))
}
