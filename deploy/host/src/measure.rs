//! Takes the samples of a running machine: a window of time for rates, probes of disk and cards.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use bot4_lanes::{Clock, clock, realtime};

use crate::cpu_set::CpuSet;
use crate::ethtool;
use crate::need::Need;
use crate::process::{self, TICK_S};
use crate::root::Root;
use crate::samples::{ClockSync, FifoTrial, Samples};

/// Syncs of the journal's disk, and how long they may take together.
const SYNCS: usize = 100;
const SYNC_PATIENCE: Duration = Duration::from_millis(300);
/// Per cent of a CPU from which on another program is heavy.
const HEAVY_PCT: f64 = 20.0;
/// Where a fixture keeps its samples.
const FIXTURE: &str = "/samples.json";

/// Takes samples of the machine below `root`, over `window` where they are rates. A fixture's lie
/// in its `samples.json`.
#[must_use]
pub fn samples(root: &Root, need: &Need, window: Duration) -> Samples {
    if !root.is_live() {
        let text = root.text(FIXTURE).unwrap_or_default();
        return serde_json::from_str(&text).unwrap_or_default();
    }
    let time = Clock::monotonic();
    let before = Counts::now(root);
    let disk = need.journal.as_deref().map(nearest);
    let sync_p99_us = disk.and_then(|folder| syncs(folder, &time));
    let cards = ethtool::cards(root);
    wait(&time, window);
    let seconds = (time.now().0 as f64 / 1e9).max(1e-3);
    let after = Counts::now(root);
    let mine = std::process::id();
    Samples {
        clock: clock::discipline()
            .ok()
            .map(|d| ClockSync { synchronised: d.synchronised, max_error_us: d.max_error_us }),
        venue_offset_us: None,
        venue_unknown: None,
        hot_irqs_per_s: Some(after.device_irqs(&before, &need.hot()) as f64 / seconds),
        steal_pct: after.steal_pct(&before),
        disk_free: disk.and_then(free),
        sync_p99_us,
        heavy: Some(after.heavy(&before, seconds, mine)),
        fifo: need.fifo.then(fifo),
        cards,
    }
}

fn fifo() -> FifoTrial {
    match realtime::try_fifo() {
        Ok(()) => FifoTrial::Granted,
        Err(e) => FifoTrial::Refused(e.to_string()),
    }
}

/// Waits until `time` is past `window`.
pub fn wait(time: &Clock, window: Duration) {
    let left = || window.checked_sub(Duration::from_nanos(time.now().0));
    while let Some(left) = left().filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// The folder, or the nearest one above that there is.
fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"))
}

fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The 99th percentile of syncs of four kilobytes in `folder`, microseconds.
fn syncs(folder: &Path, time: &Clock) -> Option<u64> {
    let path = folder.join(format!(".bot4-sync-probe-{}", std::process::id()));
    let mut file = File::create(&path).ok()?;
    // Without a name it is gone whatever happens to us.
    std::fs::remove_file(&path).ok()?;
    let began = time.now();
    let mut took = Vec::with_capacity(SYNCS);
    while took.len() < SYNCS && Duration::from_nanos(time.now().since(began).0) < SYNC_PATIENCE {
        let at = time.now();
        file.write_all(&[0; 4_096]).ok()?;
        file.sync_data().ok()?;
        took.push(time.now().since(at).0 / 1_000);
    }
    took.sort_unstable();
    took.get((took.len() * 99).div_ceil(100).saturating_sub(1)).copied()
}

/// Counters of the machine at a moment.
struct Counts {
    irqs: Vec<(String, Vec<(usize, u64)>)>,
    /// All time of all CPUs and what was stolen of it, ticks.
    time: Option<(u64, u64)>,
    programs: Vec<(u32, String, u64)>,
}

impl Counts {
    fn now(root: &Root) -> Self {
        let line = root.field("/proc/stat", "cpu").unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().filter_map(|t| t.parse().ok()).collect();
        // Guest time, the last two, is within user time.
        let time = ticks.get(7).map(|steal| (ticks.iter().take(8).sum(), *steal));
        Self { irqs: process::interrupts(root), time, programs: process::cpu_time(root) }
    }

    /// Interrupts of devices, which have numbers, on `hot` since `before`.
    fn device_irqs(&self, before: &Self, hot: &CpuSet) -> u64 {
        let sum = |counts: &Self| {
            let devices = counts.irqs.iter().filter(|(name, _)| name.parse::<u32>().is_ok());
            let of_hot = devices.flat_map(|(_, on)| on).filter(|(cpu, _)| hot.contains(*cpu));
            of_hot.map(|(_, count)| count).sum::<u64>()
        };
        sum(self).saturating_sub(sum(before))
    }

    fn steal_pct(&self, before: &Self) -> Option<f64> {
        let ((all, stolen), (all_before, stolen_before)) = (self.time?, before.time?);
        let all = all.saturating_sub(all_before).max(1);
        Some(stolen.saturating_sub(stolen_before) as f64 / all as f64 * 100.0)
    }

    fn heavy(&self, before: &Self, seconds: f64, mine: u32) -> Vec<(String, f64)> {
        let of = |(pid, name, ticks): &(u32, String, u64)| {
            let earlier = before.programs.iter().find(|(p, ..)| p == pid)?.2;
            let pct = ticks.saturating_sub(earlier) as f64 * TICK_S / seconds * 100.0;
            (pct >= HEAVY_PCT && *pid != mine).then(|| (format!("{name} ({pid})"), pct.round()))
        };
        self.programs.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_measured_within_a_second() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = Root::at(Path::new("/"));
        let need = Need { journal: Some(dir.path().join("not/yet")), ..Need::default() };
        let samples = samples(&root, &need, Duration::from_millis(50));
        assert!(samples.disk_free.is_some_and(|b| b > 0) && samples.sync_p99_us.is_some());
        assert!(samples.steal_pct.is_some_and(|p| (0.0..=100.0).contains(&p)));
        assert_eq!(samples.hot_irqs_per_s, Some(0.0), "no lane is hot");
        assert!(samples.clock.is_some());
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "no probe stays");
    }
}
