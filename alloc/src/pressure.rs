//! How near this process is to running out of memory: its own control group's share of its limit,
//! and the time that the group stands still for want of memory (PSI).
//!
//! ```text
//!   80 %  Warn            a line for a person
//!   90 %  StopNewOrders   the memory breaker: heals when the pressure falls
//!   95 %  CancelAndStop   an orderly end while there is memory to make one
//! ```
//!
//! What counts as used is what cannot be had back: usage less the group's file pages that are
//! neither mapped nor dirty. A process that writes files fills its group with such pages up to the
//! limit, which is no pressure. Limits of the groups above count as well; the tightest one rules.
//! A level is reached at once and left only after [`CALM_LOOKS`] looks 5 points below it.
//!
//! Stalls (PSI, `full avg10`) may come from neighbours, so they warn and stop new orders, which
//! heals, but never end the run.
//!
//! Cost: four small files a look, a few tens of microseconds: for the control lane.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::huge::{HugeMapping, Rung};

/// How bad it is, in rising order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to do.
    #[default]
    Normal,
    /// A person should know.
    Warn,
    /// No new orders until it is better.
    StopNewOrders,
    /// Cancel everything and stop in order.
    CancelAndStop,
}

/// Used share of the limit, 10^-4, at which each level begins.
const SHARES_E4: [(u64, Level); 3] =
    [(9_500, Level::CancelAndStop), (9_000, Level::StopNewOrders), (8_000, Level::Warn)];
/// Time in which all tasks stood still for memory, 10^-4 of ten seconds. A tenth is felt as
/// latency everywhere; at four tenths the machine thrashes.
const STALLS_E4: [(u64, Level); 2] = [(4_000, Level::StopNewOrders), (1_000, Level::Warn)];
/// A level is left this much below where it begins, 10^-4.
const HYSTERESIS_E4: u64 = 500;
/// Looks in a row that must be calm before a level is left: a second at 250 ms a look.
pub const CALM_LOOKS: u32 = 4;
/// v1 groups without a limit say a number near 2^63.
const UNLIMITED: u64 = 1 << 62;

/// What the kernel says at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Bytes in use that cannot be had back, of the group that is nearest to its limit.
    pub used: u64,
    /// That group's limit; `None` where no group has one.
    pub limit: Option<u64>,
    /// Share of the last ten seconds in which everything waited for memory, 10^-4.
    pub stall_e4: u64,
}

impl Reading {
    /// Used share of the limit, 10^-4; zero without a limit.
    #[must_use]
    pub fn share_e4(&self) -> u64 {
        let share = |limit: u64| u128::from(self.used) * 10_000 / u128::from(limit.max(1));
        self.limit.map_or(0, |limit| u64::try_from(share(limit)).unwrap_or(u64::MAX))
    }

    /// The level, had both shares been `more_e4` worse.
    fn level(&self, more_e4: u64) -> Level {
        let of = |table: &[(u64, Level)], value: u64| {
            table.iter().find(|(from, _)| value >= *from).map_or(Level::Normal, |(_, l)| *l)
        };
        let share = if self.limit.is_some() { self.share_e4() + more_e4 } else { 0 };
        of(&SHARES_E4, share).max(of(&STALLS_E4, self.stall_e4 + more_e4))
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, stall) = (self.used >> 20, self.stall_e4 / 100);
        match self.limit {
            Some(limit) => {
                let (limit, share) = (limit >> 20, self.share_e4() / 100);
                write!(f, "{used} of {limit} MiB used ({share} %), {stall} % of the time stalled")
            }
            None => write!(f, "{used} MiB used, no limit, {stall} % of the time stalled"),
        }
    }
}

/// Which files a control group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Watches this process's control group.
#[derive(Debug)]
pub struct Pressure {
    /// The group and those above it, nearest first.
    groups: Vec<(PathBuf, Version)>,
    /// Where stalls are told, if anywhere.
    stalls: Option<PathBuf>,
    level: Level,
    calm: u32,
}

impl Pressure {
    /// The groups of this process and, where the group itself does not tell, the host's stalls.
    #[must_use]
    pub fn of_this_process() -> Self {
        let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(&text, Path::new("/sys/fs/cgroup"), Path::new("/proc/pressure/memory"))
    }

    /// The group in the folder `group` alone, without the host's stalls: for tests and tools.
    #[must_use]
    pub fn of_group(group: &Path) -> Self {
        let v1 = group.join("memory.usage_in_bytes").exists();
        let version = if v1 { Version::V1 } else { Version::V2 };
        let groups = vec![(group.to_owned(), version)];
        Self { groups, stalls: None, level: Level::Normal, calm: 0 }
    }

    /// `text` is `/proc/self/cgroup`, `mount` where control groups are mounted.
    fn of(text: &str, mount: &Path, host_stalls: &Path) -> Self {
        let mut groups = Vec::new();
        let mut stalls = Some(host_stalls.to_owned());
        for line in text.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (names, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
            if names.split(',').any(|n| n == "memory") {
                groups.extend(with_parents(&mount.join("memory"), path, Version::V1));
            } else if names.is_empty() {
                for mount in [mount.to_owned(), mount.join("unified")] {
                    let found = with_parents(&mount, path, Version::V2);
                    let own = found.first().map(|(group, _)| group.join("memory.pressure"));
                    stalls = own.filter(|p| p.exists()).or(stalls);
                    groups.extend(found);
                }
            }
        }
        Self { groups, stalls: stalls.filter(|p| p.exists()), level: Level::Normal, calm: 0 }
    }

    /// Reads the kernel's files and judges: the level from now on.
    pub fn look(&mut self) -> (Level, Reading) {
        let reading = self.read();
        (self.judge(&reading), reading)
    }

    /// Reads the kernel's files.
    #[must_use]
    pub fn read(&self) -> Reading {
        let limited = self.groups.iter().filter_map(|(group, version)| reading_of(group, *version));
        let tightest = limited.max_by_key(Reading::share_e4).unwrap_or_default();
        let stalls = self.stalls.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        Reading { stall_e4: stalls.map_or(0, |text| stall_e4(&text)), ..tightest }
    }

    /// The level after `reading`: up at once, down after a calm while.
    fn judge(&mut self, reading: &Reading) -> Level {
        let (now, held) = (reading.level(0), reading.level(HYSTERESIS_E4));
        if now > self.level {
            self.level = now;
        } else if held < self.level {
            self.calm += 1;
            if self.calm >= CALM_LOOKS {
                self.level = held;
            } else {
                return self.level;
            }
        }
        self.calm = 0;
        self.level
    }
}

/// The group at `path` below `mount` and those above it, nearest first. Inside a container the
/// path may be the host's and not exist: then the mount itself is the group.
fn with_parents(mount: &Path, path: &str, version: Version) -> Vec<(PathBuf, Version)> {
    let group = mount.join(path.trim_start_matches('/'));
    let group = if group.is_dir() { group } else { mount.to_owned() };
    let inside = group.ancestors().take_while(|p| p.starts_with(mount));
    let has = |p: &&Path| match version {
        Version::V1 => p.join("memory.usage_in_bytes").exists(),
        Version::V2 => p.join("memory.current").exists(),
    };
    inside.filter(has).map(|p| (p.to_owned(), version)).collect()
}

/// Usage and limit of one group; `None` when it has no limit or does not say.
fn reading_of(group: &Path, version: Version) -> Option<Reading> {
    let number = |file: &str| -> Option<u64> {
        std::fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
    };
    let (usage, limit) = match version {
        Version::V1 => (number("memory.usage_in_bytes")?, number("memory.limit_in_bytes")?),
        Version::V2 => {
            let limits = [number("memory.max"), number("memory.high")];
            (number("memory.current")?, limits.into_iter().flatten().min()?)
        }
    };
    if limit >= UNLIMITED {
        return None;
    }
    let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let used = usage.saturating_sub(reclaimable(&stat, version));
    Some(Reading { used, limit: Some(limit), stall_e4: 0 })
}

/// File pages that are neither mapped nor dirty nor on their way to the disk.
fn reclaimable(stat: &str, version: Version) -> u64 {
    let names = match version {
        Version::V1 => [
            "total_inactive_file",
            "total_active_file",
            "total_mapped_file",
            "total_dirty",
            "total_writeback",
        ],
        Version::V2 => {
            ["inactive_file", "active_file", "file_mapped", "file_dirty", "file_writeback"]
        }
    };
    let value = |name: &str| -> u64 {
        let line = stat.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
    };
    let [inactive, active, mapped, dirty, writeback] = names.map(value);
    (inactive + active).saturating_sub(mapped + dirty + writeback)
}

/// `full avg10` of a PSI file in 10^-4.
fn stall_e4(text: &str) -> u64 {
    let full = text.lines().find_map(|l| l.strip_prefix("full "));
    let avg = full.and_then(|l| l.split_whitespace().find_map(|w| w.strip_prefix("avg10=")));
    let percent: f64 = avg.and_then(|v| v.parse().ok()).unwrap_or(0.0);
    (percent * 100.0).clamp(0.0, 10_000.0).round() as u64
}

/// Memory held back for the bad moment: present from the start, given back to the kernel when new
/// orders stop, so that cancelling, journaling and the end have room.
#[derive(Debug)]
pub struct Reserve {
    bytes: usize,
    held: Option<HugeMapping>,
}

impl Reserve {
    /// Takes `bytes`.
    ///
    /// # Errors
    /// When they cannot be had.
    pub fn new(bytes: usize) -> io::Result<Self> {
        Ok(Self { bytes, held: Some(HugeMapping::new(bytes, Rung::Thp)?) })
    }

    /// Bytes held at present.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, HugeMapping::len)
    }

    /// Gives everything back to the kernel. Returns the bytes.
    pub fn release(&mut self) -> usize {
        self.held.take().map_or(0, |mapping| mapping.len())
    }

    /// Takes the bytes again, if they can be had. The next look may try again.
    pub fn refill(&mut self) {
        if self.held.is_none() {
            self.held = HugeMapping::new(self.bytes, Rung::Thp).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(share_e4: u64) -> Reading {
        Reading { used: share_e4, limit: Some(10_000), stall_e4: 0 }
    }

    fn none() -> Pressure {
        Pressure { groups: Vec::new(), stalls: None, level: Level::Normal, calm: 0 }
    }

    #[test]
    fn levels_rise_at_once_and_fall_after_a_calm_while() {
        use Level::{CancelAndStop, Normal, StopNewOrders, Warn};
        let mut p = none();
        let rising = [7_999, 8_000, 8_999, 9_000, 9_499, 9_500].map(|s| p.judge(&at(s)));
        assert_eq!(rising, [Normal, Warn, Warn, StopNewOrders, StopNewOrders, CancelAndStop]);
        // Just below is not calm, however long.
        assert!((0..20).all(|_| p.judge(&at(9_100)) == CancelAndStop));
        let falling: Vec<_> = (0..4).map(|_| p.judge(&at(8_400))).collect();
        assert_eq!(falling, [CancelAndStop, CancelAndStop, CancelAndStop, Warn]);
        // A calm look between others does not count.
        for _ in 0..10 {
            assert_eq!(p.judge(&at(7_000)), Warn);
            assert_eq!(p.judge(&at(7_600)), Warn);
        }
        assert_eq!((0..4).map(|_| p.judge(&at(7_499))).last(), Some(Normal));
    }

    #[test]
    fn stalls_stop_new_orders_but_never_the_run() {
        let stall = |stall_e4| Reading { stall_e4, ..Reading::default() };
        assert_eq!(none().judge(&stall(999)), Level::Normal);
        assert_eq!(none().judge(&stall(1_000)), Level::Warn);
        assert_eq!(none().judge(&stall(10_000)), Level::StopNewOrders);
        let text = "some avg10=12.00 avg60=1.00 avg300=0.00 total=1\n\
                    full avg10=10.25 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!((stall_e4(text), stall_e4(""), stall_e4("full avg10=x")), (1_025, 0, 0));
    }

    fn write(dir: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(dir).unwrap();
        for (name, text) in files {
            std::fs::write(dir.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_group_rules_and_clean_file_pages_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        let mount = root.path();
        let stat = "cache 70\ntotal_inactive_file 30\ntotal_active_file 40\ntotal_mapped_file 5\n\
                    total_dirty 4\ntotal_writeback 1\n";
        write(
            &mount.join("memory/a"),
            &[
                ("memory.usage_in_bytes", "900\n"),
                ("memory.limit_in_bytes", "1000\n"),
                ("memory.stat", ""),
            ],
        );
        write(
            &mount.join("memory/a/b"),
            &[
                ("memory.usage_in_bytes", "100\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.stat", stat),
            ],
        );
        let p = Pressure::of("4:memory:/a/b\n0::/\n", mount, Path::new("/nonexistent"));
        assert_eq!(p.read(), Reading { used: 900, limit: Some(1_000), stall_e4: 0 });
        std::fs::write(mount.join("memory/a/b/memory.limit_in_bytes"), "41").unwrap();
        assert_eq!(p.read(), Reading { used: 40, limit: Some(41), stall_e4: 0 });
    }

    #[test]
    fn the_newer_groups_are_read_too() {
        let root = tempfile::tempdir().unwrap();
        let mount = root.path();
        write(
            &mount.join("x"),
            &[
                ("memory.current", "500"),
                ("memory.max", "max"),
                ("memory.high", "800"),
                ("memory.stat", "inactive_file 100\nactive_file 0\nfile_mapped 50\n"),
                ("memory.pressure", "full avg10=2.00 avg60=0 avg300=0 total=0"),
            ],
        );
        let mut p = Pressure::of("0::/x\n", mount, Path::new("/nonexistent"));
        let (level, reading) = p.look();
        assert_eq!(reading, Reading { used: 450, limit: Some(800), stall_e4: 200 });
        assert_eq!(level, Level::Normal);
        std::fs::write(mount.join("x/memory.max"), "500").unwrap();
        assert_eq!(p.look().0, Level::StopNewOrders, "{}", p.read());
        // Nothing to read is no pressure.
        assert_eq!(Pressure::of("", mount, Path::new("/nonexistent")).read(), Reading::default());
    }

    #[test]
    fn the_reserve_is_present_given_back_and_taken_again() {
        let mut reserve = Reserve::new(3 << 20).unwrap();
        assert_eq!(reserve.held_bytes(), 4 << 20);
        assert_eq!((reserve.release(), reserve.held_bytes(), reserve.release()), (4 << 20, 0, 0));
        reserve.refill();
        assert_eq!(reserve.held_bytes(), 4 << 20);
    }
}
