//! The guard: a small process beside an engine that trades, which cancels the engine's open orders
//! when the engine dies or hangs. It is what a venue's dead-man switch is elsewhere.
//!
//! ```text
//! engine --"." each second while its control lane turns--> guard
//!        --"c" after an orderly end---------------------->   ends
//!        --end of the pipe, without a "c"---------------->   cancels that run's orders
//!        --nothing for 10 s, and not suspended----------->   ends the engine, then the same
//! ```
//!
//! It reads the configuration at its start, so that it needs nothing of the engine afterwards. It
//! writes what it did to `guard.json` and `guard.log` in the run's folder.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bot4_lanes::Clock;
use bot4_types::{Nanos, RunEpoch};
use serde_json::json;

use super::fence::{self, Fenced};
use super::latch;
use crate::config;

/// Between two beats.
const BEAT_EVERY: Nanos = Nanos::from_secs(1);
/// An engine whose control lane has not turned for this long hangs.
const HANG_AFTER: Nanos = Nanos::from_secs(10);
/// The venue is asked again and again for this long.
const PATIENCE: Nanos = Nanos::from_secs(600);
/// Between two tries.
const RETRY: Duration = Duration::from_secs(2);

/// The engine's end of the pipe to its guard.
pub struct GuardFeed {
    pipe: UnixStream,
    beat_at: Nanos,
    looks: u64,
}

impl GuardFeed {
    /// Starts the guard of the run in `folder`.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(config: &[PathBuf], folder: &Path, epoch: RunEpoch) -> std::io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let log = File::create(folder.join("guard.log"))?;
        Command::new(std::env::current_exe()?)
            .arg("guard")
            .args(config.iter().flat_map(|path| [Path::new("--config"), path]))
            .arg("--run")
            .arg(folder)
            .args(["--epoch", &epoch.0.to_string()])
            .args(["--pid", &std::process::id().to_string()])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for the engine: the guard outlives it by as much as is needed.
            .process_group(0)
            .spawn()?;
        Ok(Self { pipe: ours, beat_at: Nanos::ZERO, looks: 0 })
    }

    /// A beat, when one is due and the control lane has turned since the last.
    pub fn beat(&mut self, now: Nanos, looks: u64) {
        if looks == self.looks || now < self.beat_at {
            return;
        }
        self.looks = looks;
        self.beat_at = now + BEAT_EVERY;
        // A guard that is gone cannot be fed; a full pipe has beats enough.
        let _ = self.pipe.write(b".");
    }

    /// The run has ended in order.
    pub fn closed(&mut self) {
        let _ = self.pipe.write(b"c");
    }
}

/// What a guard is told at its start.
#[derive(Clone, Debug)]
pub struct Post {
    /// The files of the engine's configuration.
    pub config: Vec<PathBuf>,
    /// The run's folder.
    pub folder: PathBuf,
    /// The run's epoch: it names the orders that may be cancelled.
    pub epoch: RunEpoch,
    /// The engine's process.
    pub pid: u32,
}

/// Why a guard acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Gone,
    Hangs,
}

/// Stands guard until the engine has ended, one way or the other. True when nothing of the run is
/// open at the venue.
///
/// # Errors
/// A configuration that cannot be read, or a pipe that is none.
pub fn stand(post: &Post) -> Result<bool, Box<dyn std::error::Error>> {
    let config = config::load(&post.config)?;
    let pipe = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let clock = Clock::monotonic();
    let Some(cause) = watch(&pipe, &clock, post.pid)? else { return Ok(true) };
    if cause == Cause::Hangs {
        end_process(post.pid);
        crate::tell!("the engine (process {}) hung and was ended", post.pid);
    }
    let since = clock.now();
    let outcome = loop {
        match fence::cancel(&config, post.epoch) {
            Ok(fenced) if fenced.left == 0 => break Ok(fenced),
            other if clock.now().since(since) > PATIENCE || !post.folder.exists() => break other,
            Ok(fenced) => crate::tell!("{} orders are still open", fenced.left),
            Err(e) => crate::tell!("{e}"),
        }
        // Not a lane: a process that waits for a venue.
        std::thread::park_timeout(RETRY);
    };
    let clear = matches!(outcome, Ok(Fenced { left: 0, .. }));
    let told = match outcome {
        Ok(fenced) => fenced.to_json(),
        Err(e) => json!({"error": e.to_string()}),
    };
    let why = if cause == Cause::Gone { "the engine ended without a word" } else { "it hung" };
    let about = json!({"why": why, "epoch": post.epoch.0, "outcome": told});
    crate::tell!("{about}");
    latch::replace(&post.folder, "guard.json", &about.to_string())?;
    Ok(clear)
}

/// Waits for the end of the run; none when it was orderly.
fn watch(pipe: &UnixStream, clock: &Clock, pid: u32) -> std::io::Result<Option<Cause>> {
    let mut pipe = pipe;
    pipe.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (mut last, mut bytes) = (clock.now(), [0; 64]);
    loop {
        match pipe.read(&mut bytes) {
            Ok(0) => return Ok(Some(Cause::Gone)),
            Ok(n) if bytes[..n].contains(&b'c') => return Ok(None),
            Ok(_) => last = clock.now(),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if is_held_up(pid) {
            last = clock.now();
        }
        if clock.now().since(last) > HANG_AFTER {
            return Ok(Some(Cause::Hangs));
        }
    }
}

/// The process is suspended, or wants a CPU and gets none: neither is a hang.
fn is_held_up(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't' | 'R'))
}

/// Ends `pid` at once, whatever it does. Its journal and the venue hold all it knew.
pub fn end_process(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // One that is gone already needs no ending.
    let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
}
