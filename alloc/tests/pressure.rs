//! Memory pressure in a real control group, with ballast.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bot4_alloc::pressure::{CALM_LOOKS, Level, Pressure};

/// A memory group of its own; ballast and folder go when the test ends.
struct Group {
    path: PathBuf,
    ballast: Option<Child>,
}

impl Group {
    fn new() -> Option<Self> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/bot4-test-{}", std::process::id()));
        if let Err(e) = std::fs::create_dir(&path) {
            println!("skipped: needs root and the memory controller (v1): {e}");
            return None;
        }
        Some(Self { path, ballast: None })
    }

    /// Fills the group with 40 MiB that cannot be had back: `tail` keeps a line without an end.
    fn fill(&mut self) {
        let script = format!(
            "echo $$ > {}/cgroup.procs; (head -c 41943040 /dev/zero; exec sleep 60) | exec tail",
            self.path.display()
        );
        let child = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).spawn();
        self.ballast = Some(child.expect("a shell"));
        let pressure = Pressure::of_group(&self.path);
        self.limit(1 << 30);
        for _ in 0..1_000 {
            if pressure.read().used > 40 << 20 {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("no ballast within ten seconds: {}", pressure.read());
    }

    fn limit(&self, bytes: u64) {
        let file = self.path.join("memory.limit_in_bytes");
        std::fs::write(file, bytes.to_string()).expect("a limit");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let procs = std::fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for pid in procs.lines() {
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
        if let Some(child) = &mut self.ballast {
            let _ = child.wait();
        }
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

#[test]
fn every_level_is_reached_and_left_in_a_real_group() {
    let Some(mut group) = Group::new() else { return };
    group.fill();
    let mut pressure = Pressure::of_group(&group.path);
    assert_eq!(pressure.look().0, Level::Normal);
    for (percent, level) in
        [(85, Level::Warn), (92, Level::StopNewOrders), (97, Level::CancelAndStop)]
    {
        group.limit(pressure.read().used * 100 / percent);
        let (seen, reading) = pressure.look();
        assert_eq!(seen, level, "{reading}");
    }
    group.limit(1 << 30);
    let fallen: Vec<_> = (0..CALM_LOOKS).map(|_| pressure.look().0).collect();
    assert_eq!(fallen.last(), Some(&Level::Normal), "{fallen:?}");
    assert!(fallen[..fallen.len() - 1].iter().all(|l| *l == Level::CancelAndStop), "{fallen:?}");
}
