//! Removes journals of earlier runs that are too old or take too much, oldest first: at the start,
//! and by a [`Keeper`] whenever the running journal has begun a new segment.
//!
//! Never touched: a journal that an engine writes, and the journal of an unsettled run, which is
//! what its account will be explained from. Reports and histograms stay.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bot4_journal::Footprint;

use super::history::{self, EarlierRun};
use crate::config::resolve::Keep;

/// A journal that may go.
struct Candidate {
    run: EarlierRun,
    foot: Footprint,
}

/// A journal that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Where it lay.
    pub journal: PathBuf,
    /// What it took.
    pub bytes: u64,
    /// Why.
    pub why: &'static str,
}

/// Applies `keep` at Unix time `now_ms`; says on standard error what it removed.
pub fn apply(keep: Keep, now_ms: i64) {
    for removed in enforce(keep, now_ms, history::all()) {
        crate::tell!(
            "removed the journal {} ({} MiB): {}",
            removed.journal.display(),
            removed.bytes.div_ceil(1024 * 1024),
            removed.why
        );
    }
}

/// Between two looks at the journal's count of segments.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A helper thread that acts at each new segment; it ends when this is dropped. It waits for its
/// channel and the disk only.
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the helper. Make it before lanes are pinned, so that it may run anywhere.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(
        segments: impl Fn() -> u64 + Send + 'static,
        mut act: impl FnMut() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new().name("retention".to_owned()).spawn(move || {
            // The first segment is the start's.
            let mut known = 1;
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let now = segments();
                if now > known {
                    known = now;
                    act();
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
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

fn enforce(keep: Keep, now_ms: i64, runs: Vec<EarlierRun>) -> Vec<Removed> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms.max(0) as u64);
    let mut candidates: Vec<Candidate> = runs.into_iter().filter_map(candidate).collect();
    candidates.sort_by_key(|c| c.foot.changed);
    let mut left: u64 = candidates.iter().map(|c| c.foot.bytes).sum();
    let mut removed = Vec::new();
    for c in candidates {
        let age = now.duration_since(c.foot.changed).unwrap_or(Duration::ZERO);
        let why = match () {
            () if age > keep.age => "older than journal.keep",
            () if left > keep.bytes => "earlier journals take more than journal.keep_mib",
            () => continue,
        };
        let journal = c.run.record.journal;
        match bot4_journal::remove(&journal) {
            Ok(()) => {
                left -= c.foot.bytes;
                removed.push(Removed { journal, bytes: c.foot.bytes, why });
            }
            Err(e) => crate::tell!("warning: cannot remove {}: {e}", journal.display()),
        }
    }
    removed
}

fn candidate(run: EarlierRun) -> Option<Candidate> {
    let journal = &run.record.journal;
    if run.is_unsettled() || bot4_journal::is_in_use(journal) {
        return None;
    }
    let foot = bot4_journal::footprint(journal).ok().flatten()?;
    Some(Candidate { run, foot })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::history::RunRecord;
    use bot4_journal::{JournalConfig, JournalWriter};
    use bot4_types::{Nanos, RunEpoch, Wall};
    use std::fs::File;
    use std::path::Path;

    #[test]
    fn the_keeper_acts_at_each_new_segment_and_ends_when_dropped() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU64, Ordering};
        let (segments, acts) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
        let (count, done) = (segments.clone(), acts.clone());
        let keeper = Keeper::start(
            move || count.load(Ordering::SeqCst),
            move || {
                done.fetch_add(1, Ordering::SeqCst);
            },
        );
        let (_never, timer) = channel::<()>();
        let wait = || assert!(timer.recv_timeout(Duration::from_millis(100)).is_err());
        for n in 1..3 {
            assert_eq!(acts.load(Ordering::SeqCst), n - 1, "nothing without a new segment");
            segments.fetch_add(5, Ordering::SeqCst);
            (0..600).take_while(|_| acts.load(Ordering::SeqCst) < n).for_each(|_| wait());
            assert_eq!(acts.load(Ordering::SeqCst), n);
        }
        drop(keeper.expect("a thread"));
        assert_eq!(Arc::strong_count(&acts), 1, "the thread is gone");
    }

    /// A run whose journal was last changed at `at_s`.
    fn run(home: &Path, id: &str, account: &str, at_s: u64) -> EarlierRun {
        let path = home.join(id);
        let journal = path.join("journal");
        let mut config = JournalConfig::new(journal.clone(), RunEpoch(1), Wall::default());
        (config.segment_bytes, config.helper) = (4096, false);
        let mut writer = JournalWriter::open(&config).expect("opened");
        writer.begin(Nanos(0)).expect("begun");
        drop(writer);
        for file in std::fs::read_dir(&journal).expect("listed").flatten() {
            let file = File::options().write(true).open(file.path()).expect("opened");
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at_s);
            file.set_modified(at).expect("set");
        }
        let (id, account) = (id.to_owned(), account.to_owned());
        let symbols = Vec::new();
        let (start_ms, pid, latency, counters, config) = (0, 1, None, None, Vec::new());
        let epoch = 1;
        let record = RunRecord {
            id,
            epoch,
            account,
            symbols,
            journal,
            start_ms,
            pid,
            config,
            counters,
            latency,
        };
        EarlierRun { path, record }
    }

    fn names(removed: &[Removed]) -> Vec<String> {
        let name = |r: &Removed| {
            let parent = r.journal.parent().and_then(Path::file_name);
            parent.expect("a name").to_string_lossy().into_owned()
        };
        removed.iter().map(name).collect()
    }

    #[test]
    fn the_old_and_the_many_go_oldest_first_and_the_unsettled_stay() {
        let home = tempfile::tempdir().expect("a folder");
        let day = 86_400;
        let runs = || {
            vec![
                run(home.path(), "c", "embedded", 8 * day),
                run(home.path(), "a", "embedded", day),
                run(home.path(), "unsettled", "binance:1", day),
                run(home.path(), "b", "embedded", 7 * day),
            ]
        };
        let now_ms = 9 * day as i64 * 1_000;
        let keep = |days: u64, bytes| Keep { age: Duration::from_secs(days * day), bytes };
        let found = runs();
        // Two segments and a reserve each.
        let one = found[0].record.journal.clone();
        let one = bot4_journal::footprint(&one).expect("read").expect("there").bytes;
        assert_eq!(names(&enforce(keep(7, u64::MAX), now_ms, found.clone())), ["a"]);
        assert_eq!(names(&enforce(keep(7, u64::MAX), now_ms, found.clone())), [""; 0]);
        assert_eq!(names(&enforce(keep(7, one), now_ms, found.clone())), ["b"]);
        let lock = JournalWriter::open(&JournalConfig {
            segment_bytes: 4096,
            helper: false,
            ..JournalConfig::new(home.path().join("d/journal"), RunEpoch(1), Wall::default())
        });
        let mut all = found;
        all.push(EarlierRun {
            path: home.path().join("d"),
            record: RunRecord { journal: home.path().join("d/journal"), ..all[0].record.clone() },
        });
        assert_eq!(names(&enforce(keep(0, 0), now_ms * 2, all)), ["c"]);
        assert!(lock.is_ok() && home.path().join("d/journal/00000001.b4j").exists());
        assert!(home.path().join("unsettled/journal/00000001.b4j").exists());
        assert!(home.path().join("a").exists(), "the run's folder stays");
    }
}
