//! Ways to stop an engine without its socket: a signal and a file; and a signal for a dump.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::latch::By;
use crate::run::dirs::state_home;

/// Name of the kill file in bot4's state folder: `touch` it and every engine of this user stops.
pub const KILL_FILE: &str = "KILL";

/// The triggers of one engine.
pub struct Triggers {
    signal: Arc<AtomicBool>,
    dump: Arc<AtomicBool>,
    file: PathBuf,
}

impl Triggers {
    /// Watches SIGUSR1 and the kill file, and SIGUSR2 for a dump of the latency histograms.
    ///
    /// # Errors
    /// When the signal handler cannot be set.
    pub fn watch() -> std::io::Result<Self> {
        let signal = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, signal.clone())?;
        let dump = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGUSR2, dump.clone())?;
        Ok(Self { signal, dump, file: state_home().join(KILL_FILE) })
    }

    /// SIGUSR2 came since the last look.
    pub fn dump_wanted(&self) -> bool {
        // Acquire: as below.
        self.dump.swap(false, Ordering::Acquire)
    }

    /// A trigger that was pulled since the last look: who, and a reason for the latch. The file
    /// counts as long as it is there.
    pub fn pulled(&self) -> Option<(By, String)> {
        // Acquire: pairs with the handler's store, which is sequentially consistent.
        if self.signal.swap(false, Ordering::Acquire) {
            return Some((By::Signal, "SIGUSR1".to_owned()));
        }
        self.kill_file_stands().then(|| (By::KillFile, format!("{} exists", self.file.display())))
    }

    /// The kill file is there: a resume would be undone at once.
    #[must_use]
    pub fn kill_file_stands(&self) -> bool {
        self.file.exists()
    }

    /// Where the kill file is looked for.
    #[must_use]
    pub const fn kill_file(&self) -> &PathBuf {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_the_flag_are_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(KILL_FILE);
        let triggers =
            Triggers { signal: Arc::default(), dump: Arc::default(), file: file.clone() };
        assert_eq!(triggers.pulled(), None);
        triggers.signal.store(true, Ordering::Release);
        assert_eq!(triggers.pulled().map(|p| p.0), Some(By::Signal));
        assert_eq!(triggers.pulled(), None);
        triggers.dump.store(true, Ordering::Release);
        assert_eq!(triggers.pulled(), None, "that one stops nothing");
        assert_eq!([triggers.dump_wanted(), triggers.dump_wanted()], [true, false]);
        std::fs::write(&file, "").expect("written");
        assert_eq!(triggers.pulled().map(|p| p.0), Some(By::KillFile));
        assert!(triggers.kill_file_stands());
    }
}
