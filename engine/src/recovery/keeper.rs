//! The helper thread that keeps the running journal's snapshot.
//!
//! It reads each segment when the next one has begun, as a start would, and writes down what came
//! of it. It shares nothing with the lanes but the count of segments, works at a lower priority in
//! steps of half a millisecond, and stops for good when something does not fit: then a start reads
//! more, and no more than that. Declared helper: it waits for its channel and the disk only.
//!
//! Cost: about a microsecond a record, on a CPU that has nothing better to do.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_journal::Prefix;
use bot4_lanes::Clock;
use bot4_types::{Nanos, RunEpoch};

use super::{Fold, Snapshot};

/// Between two looks at the journal's count of segments.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Records between two pauses.
const STEP_RECORDS: u64 = 512;
const PAUSE: Duration = Duration::from_millis(1);
/// A snapshot is written when so many records are new, or for any after so long.
const RECORDS_NEW: u64 = 32_768;
const WRITE_EVERY: Nanos = Nanos::from_secs(1);
/// By how much its priority is lower.
const NICE: i32 = 10;

/// The helper; it ends when this is dropped.
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread holds.
struct Work {
    dir: PathBuf,
    clock: Clock,
    prefix: Prefix,
    fold: Fold,
    written: u64,
    written_at: Nanos,
}

impl Keeper {
    /// Keeps the snapshot of the journal in `dir`, which `epoch` writes and of which `begun`
    /// segments have begun. Make it before lanes are pinned, so that it may run anywhere.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(
        dir: &Path,
        epoch: RunEpoch,
        clock: &Clock,
        begun: impl Fn() -> u64 + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let (prefix, fold) = (Prefix::new(epoch), Fold::default());
        let (dir, clock) = (dir.to_owned(), clock.clone());
        let mut work = Work { dir, clock, prefix, fold, written: 0, written_at: Nanos::ZERO };
        let run = move || {
            // Without it the thread is one like any other.
            let _ = rustix::process::nice(NICE);
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if let Err(why) = work.catch_up(begun(), &stopped) {
                    crate::tell!("warning: no further snapshots of the journal: {why}");
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("snapshot".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Work {
    /// Takes in what is finished of `begun` segments.
    fn catch_up(&mut self, begun: u64, stopped: &Receiver<()>) -> Result<(), String> {
        while u64::from(self.prefix.segments()) + 1 < begun {
            let (fold, mut taken, mut ends) = (&mut self.fold, 0u64, false);
            let extended = self.prefix.extend(&self.dir, &mut |record| {
                if ends {
                    return;
                }
                fold.take(record);
                taken += 1;
                if taken.is_multiple_of(STEP_RECORDS) {
                    ends = stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout);
                }
            });
            if ends {
                return Ok(());
            }
            extended.map_err(|misfit| misfit.to_string())?;
            self.write().map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn write(&mut self) -> std::io::Result<()> {
        let (records, now) = (self.prefix.records(), self.clock.now());
        let due = now.since(self.written_at) >= WRITE_EVERY;
        if due || records - self.written >= RECORDS_NEW {
            Snapshot::write(&self.dir, &self.prefix, &self.fold)?;
            (self.written, self.written_at) = (records, now);
        }
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
