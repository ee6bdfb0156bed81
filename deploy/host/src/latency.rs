//! How long a CPU of this machine may take to wake: `/dev/cpu_dma_latency`, which limits it for as
//! long as somebody holds the device open with a number written to it.
//!
//! The limit is gone with its last holder, however that ends; there is nothing to be taken back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use crate::root::Root;

/// The device.
pub const DEVICE: &str = "/dev/cpu_dma_latency";

/// The limit, held while this lives.
#[derive(Debug)]
pub struct Hold {
    _device: File,
}

impl Hold {
    /// Limits the time to wake to `us` microseconds.
    ///
    /// # Errors
    /// What the system says: the device is root's, and a kernel without it can be.
    pub fn take(root: &Root, us: u32) -> io::Result<Self> {
        let mut device = OpenOptions::new().write(true).open(root.path(DEVICE))?;
        device.write_all(&i32::try_from(us).unwrap_or(i32::MAX).to_ne_bytes())?;
        Ok(Self { _device: device })
    }
}

/// Whether this process could [`take`](Hold::take) it.
///
/// # Errors
/// As [`Hold::take`].
pub fn may_hold(root: &Root) -> io::Result<()> {
    OpenOptions::new().write(true).open(root.path(DEVICE)).map(drop)
}

/// The limit in force, microseconds; `None` where this process may not know.
#[must_use]
pub fn limit(root: &Root) -> Option<u32> {
    let bytes = std::fs::read(root.path(DEVICE)).ok()?;
    u32::try_from(i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()
}

/// Whether the process `pid` (a number, or `self`) holds the device: by itself, or inherited.
#[must_use]
pub fn is_held_by(root: &Root, pid: &str) -> bool {
    let folder = format!("/proc/{pid}/fd");
    let link = |fd: String| std::fs::read_link(root.path(&format!("{folder}/{fd}"))).ok();
    root.names(&folder).into_iter().filter_map(link).any(|to| to.as_os_str() == DEVICE)
}

/// The processes that hold the device, as far as this one may see: number and name.
#[must_use]
pub fn holders(root: &Root) -> Vec<String> {
    let pids = crate::process::pids(root).into_iter().map(|pid| pid.to_string());
    let name = |pid: String| {
        let name = root.text(&format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{name} ({pid})")
    };
    pids.filter(|pid| is_held_by(root, pid)).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn held_while_it_lives() {
        let root = Root::at(Path::new("/"));
        let before = is_held_by(&root, "self");
        match Hold::take(&root, 0) {
            Ok(hold) => {
                assert!(is_held_by(&root, "self") && !before);
                assert_eq!(limit(&root), Some(0));
                assert!(holders(&root).iter().any(|h| h.contains(&std::process::id().to_string())));
                drop(hold);
                assert!(!is_held_by(&root, "self"));
            }
            Err(e) => println!("skipped: {DEVICE}: {e}"),
        }
    }

    #[test]
    fn a_number_as_the_kernel_reads_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = Root::at(dir.path());
        assert_eq!((limit(&root), may_hold(&root).is_ok()), (None, false));
        std::fs::create_dir(dir.path().join("dev")).expect("made");
        std::fs::write(root.path(DEVICE), 2_000_000_000_i32.to_ne_bytes()).expect("written");
        assert_eq!((limit(&root), may_hold(&root).is_ok()), (Some(2_000_000_000), true));
        let hold = Hold::take(&root, 7).expect("taken");
        assert_eq!(limit(&root), Some(7));
        drop(hold);
    }
}
