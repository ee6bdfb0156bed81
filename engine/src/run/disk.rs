//! How full the journal's disk is: looked at by the control lane a few times a second.
//!
//! Warned of once at the first limit; from the second on no new orders until there is room again.
//! A full disk would otherwise show only when the next segment cannot be made, and that latches
//! the kill.

use std::fmt;
use std::path::{Path, PathBuf};

use bot4_types::Nanos;

use crate::config::resolve::DiskLimits;

/// Between two looks: a call of a microsecond.
const LOOK_EVERY: Nanos = Nanos::from_millis(250);

/// What a look found out that the last one had not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskNews {
    /// Above the first limit: per cent in use.
    Filling(u32),
    /// Above the second: per cent in use.
    Full(u32),
    /// Below both again.
    Relieved(u32),
}

impl fmt::Display for DiskNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filling(pct) => write!(f, "warning: the journal's disk is {pct} % full"),
            Self::Full(pct) => {
                write!(f, "warning: the journal's disk is {pct} % full: no new orders")
            }
            Self::Relieved(pct) => write!(f, "the journal's disk is {pct} % full: fine again"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Fine,
    Filling,
    Full,
}

/// Watches the disk below a folder.
#[derive(Clone, Debug)]
pub struct DiskWatch {
    folder: PathBuf,
    limits: DiskLimits,
    level: Level,
    look_at: Nanos,
}

/// Per cent of the disk below `folder` that is in use, rounded up; what only the superuser may
/// use counts as used, as `df` counts it.
///
/// # Errors
/// When the folder is gone.
pub fn used_pct(folder: &Path) -> std::io::Result<u32> {
    used_pct_with(folder, 0)
}

/// [`used_pct`] once `bytes` more are in use.
fn used_pct_with(folder: &Path, bytes: u64) -> std::io::Result<u32> {
    let disk = rustix::fs::statvfs(folder)?;
    let more = bytes.div_ceil(disk.f_frsize.max(1)).min(disk.f_bavail);
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    Ok(pct(used + more, disk.f_bavail - more))
}

fn pct(used: u64, available: u64) -> u32 {
    let all = u128::from(used) + u128::from(available);
    if all == 0 {
        return 0;
    }
    (u128::from(used) * 100).div_ceil(all) as u32
}

impl DiskWatch {
    /// A watch over the disk below `folder`.
    #[must_use]
    pub const fn new(folder: PathBuf, limits: DiskLimits) -> Self {
        Self { folder, limits, level: Level::Fine, look_at: Nanos::ZERO }
    }

    /// Looks when it is time; tells what changed. A folder that cannot be asked tells nothing:
    /// the journal itself will meet the fault.
    pub fn look(&mut self, now: Nanos) -> Option<DiskNews> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now + LOOK_EVERY;
        let used = used_pct(&self.folder).ok()?;
        self.judge(used)
    }

    fn judge(&mut self, used: u32) -> Option<DiskNews> {
        let DiskLimits { warn_pct, stop_pct } = self.limits;
        // A point of slack, so that one segment more or less does not flap.
        let slack = u32::from(self.level == Level::Full);
        let level = match used {
            u if u + slack >= stop_pct && stop_pct < 100 => Level::Full,
            u if u >= warn_pct => Level::Filling,
            _ => Level::Fine,
        };
        let before = std::mem::replace(&mut self.level, level);
        (level != before).then_some(match level {
            Level::Fine => DiskNews::Relieved(used),
            Level::Filling => DiskNews::Filling(used),
            Level::Full => DiskNews::Full(used),
        })
    }
}

/// Refuses to start on a disk that would stop the run at once: with the `bytes` that a journal
/// takes from the start.
///
/// # Errors
/// A sentence with the mend.
pub fn check(folder: &Path, bytes: u64, limits: DiskLimits) -> Result<(), String> {
    let used = used_pct_with(folder, bytes).unwrap_or(0);
    if used >= limits.stop_pct && limits.stop_pct < 100 {
        return Err(format!(
            "error: the disk of {} would be {used} % full with a new journal, and at {} % no \
             orders are sent\nhelp: free space, or set journal.dir or journal.disk_stop_pct",
            folder.display(),
            limits.stop_pct
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_come_once_and_a_limit_of_a_hundred_is_off() {
        let limits = DiskLimits { warn_pct: 80, stop_pct: 95 };
        let mut watch = DiskWatch::new(PathBuf::new(), limits);
        let told: Vec<_> = [10, 80, 85, 96, 99, 94, 93, 79].map(|u| watch.judge(u)).to_vec();
        use DiskNews::{Filling, Full, Relieved};
        let expected = [
            None,
            Some(Filling(80)),
            None,
            Some(Full(96)),
            None,
            None,
            Some(Filling(93)),
            Some(Relieved(79)),
        ];
        assert_eq!(told, expected);
        let mut never = DiskWatch::new(PathBuf::new(), DiskLimits { warn_pct: 100, stop_pct: 100 });
        assert_eq!(never.judge(99), None);
        assert_eq!(never.judge(100), Some(Filling(100)));
    }

    #[test]
    fn use_is_rounded_up() {
        assert_eq!((pct(0, 0), pct(0, 5), pct(1, 999), pct(95, 5), pct(5, 0)), (0, 0, 1, 95, 100));
        assert!((1..=100).contains(&used_pct(Path::new("/tmp")).expect("a folder")));
        assert!(used_pct(Path::new("/no/such/folder")).is_err());
    }
}
