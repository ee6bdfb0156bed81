//! Reads the counters file of a running engine.

use std::fmt;
use std::path::{Path, PathBuf};

use super::snapshot::Snapshot;

/// The counters file of a run, mapped read only. Attached and killed at will: the engine never
/// learns of it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
}

/// Why a file cannot be read, as a text with its mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError(pub String);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReadError {}

impl Reader {
    /// Opens the counters file at `path`.
    ///
    /// # Errors
    /// When there is none, or it is truncated, of another version, or of an engine that is gone.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Ok(Self { path: path.to_owned() })
    }

    /// What the file says now. Cost: some hundreds of microseconds on the reader's side (it sums
    /// every histogram), nothing on the engine's.
    ///
    /// # Errors
    /// When the engine has ended meanwhile.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        Err(ReadError(format!("error: {}: not written yet", self.path.display())))
    }
}
