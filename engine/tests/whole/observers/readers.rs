//! Observers as people attach them: `bot4 top` on a terminal, and `bot4 watch` with a scraper.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::flood::heard;
use crate::common::{Killed, bot4, sleep};
use crate::watch::Site;

/// Both, attached to the one engine of a state folder.
pub struct Readers {
    top: Terminal,
    pub site: Arc<Site>,
    over: Arc<AtomicBool>,
    scraper: Option<JoinHandle<usize>>,
}

impl Readers {
    /// Attaches them to the engine whose counters are `file`. They hold it mapped, and read only.
    pub fn attach(state: &Path, file: &Path) -> Self {
        let site = Arc::new(Site::start(state, &[]));
        assert_eq!(site.state()["live"], true, "it sees the engine");
        assert_eq!(mappings(site.process.0.id(), file), ["r--s"], "the watch reads");
        let top = Terminal::with_top(state);
        let attached = (0..600).any(|_| {
            sleep(50);
            top.pid().is_some_and(|pid| mappings(pid, file) == ["r--s"])
        });
        assert!(attached, "top reads: {:?}", top.pid().map(|pid| mappings(pid, file)));
        let over = Arc::new(AtomicBool::new(false));
        let (of, end) = (site.clone(), over.clone());
        #[expect(clippy::disallowed_methods, reason = "a client of the test")]
        let scraper = Some(std::thread::spawn(move || scrape(&of, &end)));
        Self { top, site, over, scraper }
    }

    /// Kills both with SIGKILL, while they read; how often the scraper was answered.
    pub fn kill(mut self) -> usize {
        if let Some(pid) = self.top.pid() {
            let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
            assert!(killed.expect("kill runs").success());
        }
        self.rest()
    }

    /// Lets the scraper end, and with it go of the watch, which is killed without its last owner.
    fn rest(&mut self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.scraper.take().map_or(0, |s| s.join().unwrap_or(0))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.rest();
    }
}

fn scrape(site: &Site, over: &AtomicBool) -> usize {
    let mut answered = 0;
    while !over.load(Ordering::Relaxed) {
        for path in ["/api/state", "/metrics"] {
            answered += usize::from(heard(site, path) == Some(200));
        }
        sleep(100);
    }
    answered
}

/// `bot4 top` on a terminal of its own, which `script` makes.
struct Terminal(Killed);

impl Terminal {
    fn with_top(state: &Path) -> Self {
        let of = bot4(state);
        let program = of.get_program().to_str().expect("UTF-8");
        let shown = format!("stty rows 50 cols 160; exec '{program}' top --every 100ms");
        let mut command = Command::new("script");
        command.args(["-qfec", &shown, "/dev/null"]).env("XDG_STATE_HOME", state);
        command.env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::null());
        Self(Killed(command.spawn().expect("script runs")))
    }

    fn pid(&self) -> Option<u32> {
        let out = Command::new("pgrep").args(["-P", &self.0.0.id().to_string()]).output();
        String::from_utf8_lossy(&out.ok()?.stdout).trim().parse().ok()
    }
}

/// How process `pid` has `file` mapped: the rights of each mapping.
pub fn mappings(pid: u32, file: &Path) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let name = file.to_str().expect("UTF-8");
    let of_file = maps.lines().filter(|l| l.contains(name));
    of_file.filter_map(|l| l.split_whitespace().nth(1).map(str::to_owned)).collect()
}
