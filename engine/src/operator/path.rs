//! Unix sockets in folders with long names: a socket's path may have 107 bytes, a folder's more.
//! The folder is opened and the socket named through it, which always fits.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The control socket in a run's folder.
pub const SOCKET: &str = "control.sock";

/// A short name of a file in a folder; valid while it lives.
pub struct Within {
    folder: File,
    name: &'static str,
}

impl Within {
    /// `name` in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn open(folder: &Path, name: &'static str) -> std::io::Result<Self> {
        Ok(Self { folder: File::open(folder)?, name })
    }

    /// The short path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd())).join(self.name)
    }
}

/// Connects to the control socket of the run in `folder`.
///
/// # Errors
/// When no engine listens there.
pub fn connect(folder: &Path) -> std::io::Result<UnixStream> {
    let within = Within::open(folder, SOCKET)?;
    UnixStream::connect(within.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_folder_takes_a_socket() {
        let top = tempfile::tempdir().expect("a folder");
        let long = top.path().join("x".repeat(120));
        std::fs::create_dir(&long).expect("made");
        let within = Within::open(&long, SOCKET).expect("open");
        let _listener = std::os::unix::net::UnixListener::bind(within.path()).expect("bound");
        assert!(connect(&long).is_ok());
        assert!(connect(top.path()).is_err());
    }
}
