//! Where a run keeps its state: `$XDG_STATE_HOME/bot4/runs/<id>`.

use std::path::PathBuf;

use bot4_types::RunEpoch;

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// The run's name: Unix milliseconds and process id.
    pub id: String,
    /// The folder, made with mode 0700.
    pub path: PathBuf,
    /// Names the run in client order ids: seconds since 2020-09-13, thirty bits,
    /// and above the epochs of earlier runs.
    pub epoch: RunEpoch,
}

/// Unix time from which run epochs are counted.
const EPOCH_ZERO_S: i64 = 1_600_000_000;

/// The folder under which bot4 keeps state.
#[must_use]
pub fn state_home() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/state"));
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("bot4")
}

impl RunDir {
    /// Makes a fresh folder for a run that starts at `unix_ms`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn create(unix_ms: i64) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let id = format!("{unix_ms}-{}", std::process::id());
        let path = state_home().join("runs").join(&id);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let wanted = RunEpoch(((unix_ms / 1_000 - EPOCH_ZERO_S) & 0x3FFF_FFFF) as u32);
        let epoch = super::history::unused_epoch(wanted);
        Ok(Self { id, path, epoch })
    }
}
