//! Appending: records into the current segment, rotation into the prepared one, syncs by policy.
//!
//! ```text
//! append(entry) --> current segment --full--> seal, retire (helper: sync, unmap, cut)
//!                         ^------------------ spare segment <--prepare (helper)
//! turn(now)     --> answers of the helpers, a sync when 5 ms or 1 MiB are open, stall check
//! ```
//!
//! **Trouble.** When the disk is full, fails or is silent, [`JournalWriter::trouble`] says so and
//! stays; the owner must stop new risk. Appending goes on for the cancels and their reports: to
//! the end of the segment in use, then into the reserve, which was prepared at the start. A
//! segment whose sync failed is left at once for the spare or the reserve, whose header then says
//! up to where the one before is known to be on the disk.
//!
//! Invariants: a record is in the segment when `append` returns true; the spare is asked for as
//! soon as a segment is begun; a run owns its directory (lock file). Cost: a copy and a CRC; no
//! system call except waking a helper.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bot4_types::{LogEntry, Nanos};

use crate::agent::{JournalConfig, JournalStats};
use crate::lock::take_lock;
use crate::segment::{self, HEADER_BYTES, Header, SEAL_BYTES, SEGMENT_BYTES_MIN, SealKind};
use crate::store::{Area, DirStore, Done, Flush, Job, Jobs, Prepared, Store};

/// Records may stay unsynced this long.
pub const SYNC_NS_MAX: u64 = 5_000_000;
/// In a turn without records the sync is asked for this early: waking the helper is a system call,
/// and in a turn with records an order waits for it.
const SYNC_NS_QUIET: u64 = SYNC_NS_MAX / 10 * 9;
/// And this many bytes of them.
pub const SYNC_BYTES_MAX: u64 = 1024 * 1024;
/// A single turn counts at most this much towards a stall: a lane that was itself suspended must
/// not blame the disk.
const STALL_STEP_NS_MAX: u64 = 50_000_000;
/// How long start and close wait for the disk.
const BLOCKING_WAIT_MAX: Duration = Duration::from_secs(30);

mod rotate;

/// Why the journal cannot go on, or not begin.
#[derive(Debug)]
pub enum JournalError {
    /// The configuration asks for what cannot be.
    Config(String),
    /// Another process holds the directory.
    Locked(PathBuf),
    /// The directory holds another run's segments.
    NotEmpty(PathBuf),
    /// The disk refused: while doing what, and its answer.
    Disk(&'static str, std::io::Error),
    /// The disk did not answer in time: while doing what, and the nanoseconds waited.
    Stalled(&'static str, u64),
    /// A helper thread is gone.
    HelperGone,
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(what) => f.write_str(what),
            Self::Locked(dir) => {
                write!(f, "{} is in use by another engine; give this run its own", dir.display())
            }
            Self::NotEmpty(dir) => {
                write!(f, "{} holds another run's segments; give this run its own", dir.display())
            }
            Self::Disk(doing, e) => write!(f, "{doing}: {e}; check the disk and its free space"),
            Self::Stalled(doing, ns) => {
                write!(f, "{doing}: no answer from the disk for {} ms", ns / 1_000_000)
            }
            Self::HelperGone => f.write_str("the journal's helper thread ended unexpectedly"),
        }
    }
}

impl std::error::Error for JournalError {}

/// One segment being written.
struct Current {
    area: Box<dyn Area>,
    flush: Arc<dyn Flush>,
    index: u32,
    at: usize,
    header: Header,
    /// A sync was asked for up to here.
    asked: usize,
    /// Syncs up to here were answered with success.
    synced: usize,
    records: u64,
}

impl Current {
    /// Begins a prepared segment by writing its header.
    fn begin(prepared: Prepared, mut header: Header) -> Self {
        let Prepared { index, mut area, flush } = prepared;
        let bytes = area.bytes_mut();
        header.index = index;
        header.segment_bytes = bytes.len() as u64;
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        Self { area, flush, index, at: HEADER_BYTES, header, asked: 0, synced: 0, records: 0 }
    }

    /// Appends `entry` and returns its bytes, or `None` when only the seal still fits.
    fn append(&mut self, entry: &LogEntry) -> Option<usize> {
        let bytes = self.area.bytes_mut();
        let end = bytes.len() - SEAL_BYTES;
        let taken = segment::encode_entry(entry, bytes.get_mut(self.at..end)?)?;
        self.at += taken;
        self.records += 1;
        Some(taken)
    }

    /// The sync of what was appended since the last one.
    fn sync(&mut self) -> Job {
        let from = std::mem::replace(&mut self.asked, self.at);
        Job::Sync { index: self.index, flush: Arc::clone(&self.flush), from, to: self.at }
    }

    /// Notes in the header up to where the segment before is known to be on the disk.
    fn distrust_previous(&mut self, synced: u64) {
        self.header.previous_synced = Some(synced);
        self.area.bytes_mut()[..HEADER_BYTES].copy_from_slice(&self.header.encode());
        // The header must reach the disk again.
        self.asked = 0;
    }

    /// Writes the seal, for which `append` kept room, and gives the segment up.
    fn seal(mut self, now: Nanos, kind: SealKind) -> Job {
        let (index, records) = (self.index, self.records);
        let rest = &mut self.area.bytes_mut()[self.at..];
        self.at += segment::encode_seal(index, now, records, kind, rest).unwrap_or(0);
        Job::Retire { index, area: self.area, flush: self.flush, used: self.at as u64 }
    }
}

/// How long the disk has kept the lane waiting, as seen by the lane's own turns.
#[derive(Default)]
struct Patience {
    last: Option<Nanos>,
    waited_ns: u64,
}

impl Patience {
    fn observe(&mut self, now: Nanos) -> u64 {
        if let Some(last) = self.last {
            self.waited_ns += now.since(last).0.min(STALL_STEP_NS_MAX);
        }
        self.last = Some(now);
        self.waited_ns
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Writes a run's journal. [`JournalAgent`](crate::JournalAgent) drives it on a lane.
pub struct JournalWriter {
    header: Header,
    stall_ns_max: u64,
    syncs: Jobs,
    prepares: Jobs,
    current: Option<Current>,
    spare: Option<Prepared>,
    /// For the end of a run whose disk is full or fails; asked for once, at the start.
    reserve: Option<Prepared>,
    /// Jobs handed to `prepares` and not answered.
    preparing: u32,
    trouble: Option<JournalError>,
    /// Jobs handed to `syncs` and not answered.
    open_syncs: u32,
    sync_asked: Option<Nanos>,
    /// The newest segment given up and the bytes of it that are known to be on the disk.
    left: (u32, u64),
    unsynced_bytes: u64,
    unsynced_since: Option<Nanos>,
    disk_patience: Patience,
    spare_patience: Patience,
    stats: JournalStats,
    /// Held for its lock, which ends with the process at the latest.
    _lock: Option<File>,
}

impl JournalWriter {
    /// Takes the directory of `config` and makes the first segment. Blocks for the disk.
    ///
    /// # Errors
    /// When the directory is in use, not empty or not writable, or the configuration is wrong.
    pub fn open(config: &JournalConfig) -> Result<Self, JournalError> {
        fs::create_dir_all(&config.dir).map_err(|e| JournalError::Disk("make directory", e))?;
        let lock = take_lock(&config.dir)?;
        if has_segments(&config.dir).map_err(|e| JournalError::Disk("list directory", e))? {
            return Err(JournalError::NotEmpty(config.dir.clone()));
        }
        let store = || DirStore::new(config.dir.clone(), config.segment_bytes);
        Self::over(config, &mut || Box::new(store()), Some(lock))
    }

    /// Like [`open`](Self::open) over any disk, without directory and lock: for twins.
    ///
    /// # Errors
    /// As `open`.
    pub fn over(
        config: &JournalConfig,
        store: &mut dyn FnMut() -> Box<dyn Store>,
        lock: Option<File>,
    ) -> Result<Self, JournalError> {
        if config.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(JournalError::Config(format!(
                "journal segment_bytes = {} is below {SEGMENT_BYTES_MIN}",
                config.segment_bytes
            )));
        }
        let mut jobs = |name| {
            if config.helper { Jobs::helper(name, store()) } else { Ok(Jobs::inline(store())) }
                .map_err(|e| JournalError::Disk("start helper thread", e))
        };
        let mut writer = Self {
            header: Header {
                epoch: config.epoch,
                index: 0,
                created: Nanos::ZERO,
                origin_unix_ns: config.wall.origin_unix_ns,
                segment_bytes: 0,
                previous_synced: None,
            },
            stall_ns_max: config.stall_ns_max,
            syncs: jobs("journal-sync")?,
            prepares: jobs("journal-prepare")?,
            current: None,
            spare: None,
            reserve: None,
            preparing: 0,
            trouble: None,
            open_syncs: 0,
            sync_asked: None,
            left: (0, 0),
            unsynced_bytes: 0,
            unsynced_since: None,
            disk_patience: Patience::default(),
            spare_patience: Patience::default(),
            stats: JournalStats::default(),
            _lock: lock,
        };
        writer.prepare(Job::Prepare(1))?;
        if config.reserve_bytes > 0 {
            let bytes = config.reserve_bytes.clamp(SEGMENT_BYTES_MIN, config.segment_bytes);
            writer.prepare(Job::Reserve(bytes))?;
        }
        writer.wait_spare()?;
        writer.trouble.take().map_or(Ok(writer), Err)
    }

    /// Begins the first segment. Once, before the first append.
    ///
    /// # Errors
    /// When the first segment is missing (called twice).
    pub fn begin(&mut self, now: Nanos) -> Result<(), JournalError> {
        if self.current.is_some() { Ok(()) } else { self.begin_spare(now) }
    }

    /// Appends `entry`. False: no room before the next segment is ready; ask again next turn.
    ///
    /// # Errors
    /// When the journal was not begun or a helper is gone.
    pub fn append(&mut self, entry: &LogEntry, now: Nanos) -> Result<bool, JournalError> {
        let Some(current) = self.current.as_mut() else {
            return Err(JournalError::Config("the journal was not begun".to_owned()));
        };
        let taken = match current.append(entry) {
            Some(taken) => taken,
            None if !self.rotate(now)? => return Ok(false),
            // A fresh segment holds at least one longest record.
            None => self.current.as_mut().and_then(|c| c.append(entry)).unwrap_or(0),
        };
        self.stats.records += 1;
        self.stats.bytes += taken as u64;
        self.unsynced_bytes += taken as u64;
        self.unsynced_since.get_or_insert(now);
        Ok(true)
    }

    /// Once a turn, after the appends: answers, the sync policy, the stall check. Returns the
    /// number of answers handled and jobs asked for.
    ///
    /// # Errors
    /// When a helper is gone. What the disk does wrong is [`trouble`](Self::trouble).
    pub fn turn(&mut self, now: Nanos) -> Result<usize, JournalError> {
        self.turn_by(now, SYNC_NS_MAX)
    }

    /// The same in a turn in which nothing was appended, so that no order waits for the helper's
    /// wake-up: a sync that is due soon is asked for.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn quiet_turn(&mut self, now: Nanos) -> Result<usize, JournalError> {
        self.turn_by(now, SYNC_NS_QUIET)
    }

    fn turn_by(&mut self, now: Nanos, window_ns: u64) -> Result<usize, JournalError> {
        let mut done = 0;
        while let Some(answer) = self.syncs.poll() {
            self.handle(answer, Some(now))?;
            done += 1;
        }
        while let Some(answer) = self.prepares.poll() {
            self.handle(answer, Some(now))?;
            done += 1;
        }
        if self.open_syncs > 0 {
            let waited = self.disk_patience.observe(now);
            if waited > self.stall_ns_max {
                self.halt(JournalError::Stalled("sync the journal", waited));
            }
        } else {
            self.disk_patience.reset();
        }
        Ok(done + usize::from(self.sync_when_due(now, window_ns)?))
    }

    /// Why new risk must stop, if it must. Once set it stays.
    #[must_use]
    pub const fn trouble(&self) -> Option<&JournalError> {
        self.trouble.as_ref()
    }

    /// Seals and cuts the last segment, removes the spare, ends the helpers. Blocks.
    ///
    /// # Errors
    /// When the disk does not answer for half a minute. Look at [`trouble`](Self::trouble) too.
    pub fn finish(&mut self, now: Nanos) -> Result<(), JournalError> {
        self.wait_sync_room()?;
        if let Some(current) = self.current.take() {
            self.submit_sync(current.seal(now, SealKind::Last))?;
        }
        while self.open_syncs > 0 {
            let answer = self.syncs.wait(BLOCKING_WAIT_MAX).ok_or(blocked("sync the journal"))?;
            self.handle(answer, None)?;
        }
        self.wait_spare()?;
        for unused in [self.spare.take(), self.reserve.take()].into_iter().flatten() {
            self.prepare(Job::Discard(unused))?;
        }
        self.wait_spare()?;
        self.syncs.shut_down();
        self.prepares.shut_down();
        Ok(())
    }

    /// What was done so far.
    #[must_use]
    pub const fn stats(&self) -> JournalStats {
        self.stats
    }

    /// Waits until the next segment is ready. Only before the first and after the last turn.
    ///
    /// # Errors
    /// When the disk does not answer for half a minute.
    pub fn wait_spare(&mut self) -> Result<(), JournalError> {
        while self.preparing > 0 {
            let answer = self.prepares.wait(BLOCKING_WAIT_MAX).ok_or(blocked("make a segment"))?;
            self.handle(answer, None)?;
        }
        Ok(())
    }

    /// Waits until a full segment can be rotated. Only after the last turn.
    ///
    /// # Errors
    /// As [`wait_spare`](Self::wait_spare), and when there will be no next segment.
    pub fn wait_room(&mut self) -> Result<(), JournalError> {
        self.wait_sync_room()?;
        if self.has_next() {
            return Ok(());
        }
        self.wait_spare()?;
        if self.has_next() { Ok(()) } else { Err(no_room()) }
    }

    fn has_next(&self) -> bool {
        self.spare.is_some() || (self.trouble.is_some() && self.reserve.is_some())
    }

    fn wait_sync_room(&mut self) -> Result<(), JournalError> {
        while !self.syncs.has_room() {
            let answer = self.syncs.wait(BLOCKING_WAIT_MAX).ok_or(blocked("sync the journal"))?;
            self.handle(answer, None)?;
        }
        Ok(())
    }

    fn prepare(&mut self, job: Job) -> Result<(), JournalError> {
        self.preparing += 1;
        self.prepares.submit(job).map_err(|_| JournalError::HelperGone)
    }

    /// New risk must stop. The first trouble is the one told.
    fn halt(&mut self, why: JournalError) {
        self.trouble.get_or_insert(why);
    }

    /// Turns the spare into the current segment and asks for the next. In trouble, the reserve
    /// when there is no spare.
    fn begin_spare(&mut self, now: Nanos) -> Result<(), JournalError> {
        let mut next = match self.spare.take() {
            Some(spare) => spare,
            None if self.trouble.is_some() => self.reserve.take().ok_or_else(no_room)?,
            None => return Err(JournalError::HelperGone),
        };
        next.index = self.header.index + 1;
        self.header.index = next.index;
        self.header.created = now;
        self.current = Some(Current::begin(next, self.header));
        self.stats.segments += 1;
        self.spare_patience.reset();
        self.prepare(Job::Prepare(self.header.index + 1))
    }

    /// Seals the current segment and begins the next. False when there is none yet.
    fn rotate(&mut self, now: Nanos) -> Result<bool, JournalError> {
        // The answer may lie in the queue already.
        while let Some(answer) = self.prepares.poll() {
            self.handle(answer, Some(now))?;
        }
        if !self.has_next() || !self.syncs.has_room() {
            if self.trouble.is_some() && self.preparing == 0 && self.syncs.has_room() {
                return Err(no_room());
            }
            self.stats.waits += 1;
            let waited = self.spare_patience.observe(now);
            if waited > self.stall_ns_max {
                self.halt(JournalError::Stalled("make the next segment", waited));
            }
            return Ok(false);
        }
        if let Some(current) = self.current.take() {
            self.left = (current.index, current.synced as u64);
            self.submit_sync(current.seal(now, SealKind::GoesOn))?;
        }
        self.begin_spare(now)?;
        Ok(true)
    }

    /// Asks for a sync when the window is over and none is on its way.
    fn sync_when_due(&mut self, now: Nanos, window_ns: u64) -> Result<bool, JournalError> {
        let (Some(since), None) = (self.unsynced_since, self.sync_asked) else {
            return Ok(false);
        };
        let due = self.unsynced_bytes >= SYNC_BYTES_MAX || now.since(since).0 >= window_ns;
        let Some(current) = self.current.as_mut().filter(|_| due && self.syncs.has_room()) else {
            return Ok(false);
        };
        let job = current.sync();
        self.submit_sync(job)?;
        self.sync_asked = Some(now);
        self.unsynced_bytes = 0;
        self.unsynced_since = None;
        Ok(true)
    }

    fn submit_sync(&mut self, job: Job) -> Result<(), JournalError> {
        self.open_syncs += 1;
        self.syncs.submit(job).map_err(|_| JournalError::HelperGone)
    }

    /// Takes an answer in. `now` is `None` outside turns, where no span can be told and no
    /// segment is begun.
    fn handle(&mut self, answer: Done, now: Option<Nanos>) -> Result<(), JournalError> {
        let (doing, result) = match answer {
            Done::Prepared(result) => {
                self.preparing -= 1;
                ("make a segment", result.and_then(|p| self.keep_spare(p)))
            }
            Done::Reserved(result) => {
                self.preparing -= 1;
                ("make the reserve segment", result.map(|p| self.reserve = Some(p)))
            }
            Done::Discarded(result) => {
                self.preparing -= 1;
                ("remove an unused segment", result)
            }
            Done::Synced(index, result) => {
                self.answered();
                self.book_sync(now);
                return match result {
                    Ok(()) => {
                        self.confirm(index);
                        Ok(())
                    }
                    Err(e) => {
                        self.halt(JournalError::Disk("sync the journal", e));
                        self.distrust(index, now)
                    }
                };
            }
            Done::Retired(index, result) => {
                self.answered();
                if result.is_err() {
                    self.distrust(index, now)?;
                }
                ("finish a segment", result)
            }
        };
        if let Err(e) = result {
            self.halt(JournalError::Disk(doing, e));
        }
        Ok(())
    }

    /// The spare that was asked for; one whose place the reserve has taken is not needed.
    fn keep_spare(&mut self, spare: Prepared) -> std::io::Result<()> {
        if spare.index > self.header.index {
            self.spare = Some(spare);
            return Ok(());
        }
        self.prepare(Job::Discard(spare)).map_err(std::io::Error::other)
    }

    /// What was asked for last is on the disk.
    fn confirm(&mut self, index: u32) {
        if let Some(current) = self.current.as_mut().filter(|c| c.index == index) {
            current.synced = current.asked;
        }
    }

    /// A sync of segment `index` failed: what follows must not rely on this file, and whoever
    /// reads the journal must know.
    fn distrust(&mut self, index: u32, now: Option<Nanos>) -> Result<(), JournalError> {
        if let Some(now) = now {
            self.leave(index, now)?;
        }
        let (left, synced) = self.left;
        if let Some(current) = self.current.as_mut().filter(|c| left == index && c.index > index) {
            current.distrust_previous(synced);
            // A power failure must not find the note missing because no record came after it.
            self.unsynced_since = self.unsynced_since.or(now);
        }
        Ok(())
    }

    /// Leaves segment `index` for the next one, if it is the one in use and there is a next. One
    /// that holds no record yet has nothing to lose: a disk that refuses every sync would be
    /// given segment after segment.
    fn leave(&mut self, index: u32, now: Nanos) -> Result<(), JournalError> {
        let in_use = self.current.as_ref().is_some_and(|c| c.index == index && c.records > 0);
        if !in_use || !self.has_next() || !self.syncs.has_room() {
            return Ok(());
        }
        self.rotate(now).map(|_| ())
    }

    fn book_sync(&mut self, now: Option<Nanos>) {
        if let (Some(asked), Some(now)) = (self.sync_asked.take(), now) {
            let ns = now.since(asked).0;
            self.stats.syncs += 1;
            self.stats.sync_ns += ns;
            self.stats.sync_ns_max = self.stats.sync_ns_max.max(ns);
        }
    }

    /// One of the open syncs was answered: the disk lives.
    fn answered(&mut self) {
        self.open_syncs = self.open_syncs.saturating_sub(1);
        self.disk_patience.reset();
    }
}

fn no_room() -> JournalError {
    JournalError::Config("the last segment is full and no next one could be made".to_owned())
}

fn blocked(doing: &'static str) -> JournalError {
    JournalError::Stalled(doing, BLOCKING_WAIT_MAX.as_nanos() as u64)
}

fn has_segments(dir: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        if entry?.file_name().to_str().and_then(segment::index_of).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
