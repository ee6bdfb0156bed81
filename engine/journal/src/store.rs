//! The disk under the journal, and the threads that wait for it.
//!
//! [`Store`] makes segments, [`Area`] is a segment's mapped bytes, [`Flush`] its way to the
//! platter. [`DirStore`] is the real one; tests put a failing twin in its place. [`Jobs`] runs
//! [`Job`]s either on a helper thread of its own or, for the simulator, inline and at once.
//!
//! A running segment is synced in parts, behind the lane: the kernel takes a page that it writes
//! back from the lane, whose next store to it would fault. See [`FileRanges`].
//!
//! Invariants: the lane never blocks on [`Jobs`]; a full queue is refused, an answer is polled. A
//! file whose sync failed once is never synced again: the kernel may have dropped the pages, says
//! so once, and would answer the next try with success.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_alloc::mapped::{FileRanges, MappedFile};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::segment::{RESERVE_NAME, file_name};

/// Jobs that may wait in a helper's queue. A turn asks for one at most and a rotation for two.
const JOBS_MAX: usize = 8;
/// Answers that may wait; more than jobs in flight, so a helper never blocks on answering.
const ANSWERS_MAX: usize = 2 * JOBS_MAX;

/// The index of a reserve that is not used yet.
pub const RESERVE: u32 = 0;

/// The bytes of a segment. All zero when new.
pub trait Area: Send {
    /// The whole segment.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// The file behind an area, usable from another thread.
pub trait Flush: Send + Sync {
    /// Waits until everything written so far survives a power failure.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&self) -> io::Result<()>;

    /// The same for the bytes `from..to` alone. By default everything.
    ///
    /// # Errors
    /// The disk's.
    fn sync_part(&self, from: usize, to: usize) -> io::Result<()> {
        let _ = (from, to);
        self.sync()
    }

    /// Cuts the file to `len` bytes. Its area must be gone.
    ///
    /// # Errors
    /// The disk's.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// A prepared segment: its bytes and its file.
pub struct Prepared {
    /// Which segment; [`RESERVE`] until the reserve is used.
    pub index: u32,
    /// Its bytes, all zero.
    pub area: Box<dyn Area>,
    /// Its file.
    pub flush: Arc<dyn Flush>,
}

/// Makes and removes segments.
pub trait Store: Send {
    /// Makes segment `index`: preallocated, prefaulted, on disk under its name.
    ///
    /// # Errors
    /// The disk's; `AlreadyExists` when the segment is there.
    fn create(&mut self, index: u32) -> io::Result<Prepared>;

    /// Makes the reserve of `bytes`, with index [`RESERVE`]. By default a segment of the usual
    /// length.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    fn create_reserve(&mut self, bytes: usize) -> io::Result<Prepared> {
        let _ = bytes;
        self.create(RESERVE)
    }

    /// Removes a segment that was never used, or the reserve.
    ///
    /// # Errors
    /// The disk's.
    fn discard(&mut self, index: u32) -> io::Result<()>;

    /// Jobs that were run inline may be answered now. A twin says no to be a slow disk.
    fn answers(&self) -> bool {
        true
    }
}

/// Segments in a directory, mapped `MAP_SHARED`: what was written survives the process.
#[derive(Debug)]
pub struct DirStore {
    dir: PathBuf,
    segment_bytes: usize,
}

impl DirStore {
    /// Segments of `segment_bytes` in `dir`.
    #[must_use]
    pub const fn new(dir: PathBuf, segment_bytes: usize) -> Self {
        Self { dir, segment_bytes }
    }

    fn path(&self, index: u32) -> PathBuf {
        if index == RESERVE { self.dir.join(RESERVE_NAME) } else { self.dir.join(file_name(index)) }
    }

    fn make(&self, index: u32, bytes: usize) -> io::Result<Prepared> {
        let mut map = MappedFile::create(&self.path(index), bytes)?;
        let ranges = map.ranges()?;
        // The zeros and the name go to disk now, so that the first sync of a record is short and
        // writes no metadata. That takes all pages from the lane: they are given back.
        ranges.file().sync_all()?;
        sync_dir(&self.dir)?;
        map.populate()?;
        let flush = DataFile { ranges, failed: AtomicBool::new(false) };
        Ok(Prepared { index, area: Box::new(Mapped(map)), flush: Arc::new(flush) })
    }
}

impl Store for DirStore {
    fn create(&mut self, index: u32) -> io::Result<Prepared> {
        self.make(index, self.segment_bytes)
    }

    fn create_reserve(&mut self, bytes: usize) -> io::Result<Prepared> {
        self.make(RESERVE, bytes)
    }

    fn discard(&mut self, index: u32) -> io::Result<()> {
        std::fs::remove_file(self.path(index))
    }
}

/// Makes the names in `dir` survive a power failure.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

struct Mapped(MappedFile);

impl Area for Mapped {
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

/// Pages ahead of the last synced byte that are kept writable: what the lane may write until the
/// next sync. The kernel's own write-back takes pages that stay unused for half a minute.
const AHEAD_BYTES: usize = 1024 * 1024;

struct DataFile {
    ranges: FileRanges,
    /// A sync failed. Relaxed: only the helper that syncs reads and writes it.
    failed: AtomicBool,
}

impl DataFile {
    fn once(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(io::Error::other("an earlier sync of this segment failed"));
        }
        sync().inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }
}

impl Flush for DataFile {
    /// `fdatasync` on a descriptor also writes what was stored through a shared mapping.
    fn sync(&self) -> io::Result<()> {
        self.once(|| self.ranges.file().sync_data())
    }

    fn sync_part(&self, from: usize, to: usize) -> io::Result<()> {
        self.once(|| self.ranges.sync(from, to))?;
        // Where that cannot be done, the lane's next store to such a page faults, and no more.
        let _ = self.ranges.populate(to, AHEAD_BYTES);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.ranges.file().set_len(len)
    }
}

/// Work that may wait for the disk.
pub enum Job {
    /// Make a segment.
    Prepare(u32),
    /// Make the reserve, of this many bytes.
    Reserve(usize),
    /// Sync a part of a segment in use.
    Sync {
        /// Which segment.
        index: u32,
        /// Its file.
        flush: Arc<dyn Flush>,
        /// First byte that no earlier sync covers.
        from: usize,
        /// Behind the last record.
        to: usize,
    },
    /// Sync a finished segment, unmap it and cut it to its used length.
    Retire {
        /// Which segment.
        index: u32,
        /// Its bytes.
        area: Box<dyn Area>,
        /// Its file.
        flush: Arc<dyn Flush>,
        /// Bytes used.
        used: u64,
    },
    /// Unmap and remove a segment that was never used.
    Discard(Prepared),
}

/// The answer to a [`Job`].
pub enum Done {
    /// The segment, or why not.
    Prepared(io::Result<Prepared>),
    /// The reserve, or why not.
    Reserved(io::Result<Prepared>),
    /// The segment with this index is synced, or why not.
    Synced(u32, io::Result<()>),
    /// The segment with this index is retired, or why not.
    Retired(u32, io::Result<()>),
    /// Discarded, or why not.
    Discarded(io::Result<()>),
}

fn run(store: &mut dyn Store, job: Job) -> Done {
    match job {
        Job::Prepare(index) => Done::Prepared(store.create(index)),
        Job::Reserve(bytes) => Done::Reserved(store.create_reserve(bytes)),
        Job::Sync { index, flush, from, to } => Done::Synced(index, flush.sync_part(from, to)),
        Job::Retire { index, area, flush, used } => {
            drop(area);
            Done::Retired(index, flush.truncate(used).and_then(|()| flush.sync()))
        }
        Job::Discard(prepared) => {
            let index = prepared.index;
            drop(prepared);
            Done::Discarded(store.discard(index))
        }
    }
}

/// A queue of jobs and their answers, in order.
pub struct Jobs {
    runner: Runner,
}

enum Runner {
    Inline { store: Box<dyn Store>, done: VecDeque<Done> },
    Helper { jobs: Option<Sender<Job>>, done: Receiver<Done>, thread: Option<JoinHandle<()>> },
}

impl Jobs {
    /// Jobs run by the caller, at once.
    #[must_use]
    pub fn inline(store: Box<dyn Store>) -> Self {
        Self { runner: Runner::Inline { store, done: VecDeque::with_capacity(ANSWERS_MAX) } }
    }

    /// Jobs run by a thread called `name`, which ends when this value is dropped. A declared
    /// helper thread: it only waits for its queue and the disk.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn helper(name: &str, mut store: Box<dyn Store>) -> io::Result<Self> {
        let (jobs, inbox) = bounded::<Job>(JOBS_MAX);
        let (outbox, done) = bounded(ANSWERS_MAX);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for job in inbox {
                if outbox.send(run(store.as_mut(), job)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { runner: Runner::Helper { jobs: Some(jobs), done, thread: Some(thread) } })
    }

    /// A job would be taken now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match &self.runner {
            Runner::Inline { .. } => true,
            Runner::Helper { jobs, .. } => jobs.as_ref().is_some_and(|j| !j.is_full()),
        }
    }

    /// Hands `job` over.
    ///
    /// # Errors
    /// Hands it back when the queue is full or the helper is gone.
    pub fn submit(&mut self, job: Job) -> Result<(), Job> {
        match &mut self.runner {
            Runner::Inline { store, done } => {
                done.push_back(run(store.as_mut(), job));
                Ok(())
            }
            Runner::Helper { jobs: None, .. } => Err(job),
            Runner::Helper { jobs: Some(jobs), .. } => jobs.try_send(job).map_err(|e| match e {
                TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
            }),
        }
    }

    /// The next answer, if there is one.
    pub fn poll(&mut self) -> Option<Done> {
        match &mut self.runner {
            Runner::Inline { store, done } => store.answers().then(|| done.pop_front()).flatten(),
            Runner::Helper { done, .. } => done.try_recv().ok(),
        }
    }

    /// The next answer, waiting up to `limit` for it. Only before the first and after the last
    /// turn: it blocks.
    pub fn wait(&mut self, limit: Duration) -> Option<Done> {
        match &mut self.runner {
            Runner::Inline { done, .. } => done.pop_front(),
            Runner::Helper { done, .. } => done.recv_timeout(limit).ok(),
        }
    }

    /// Ends the helper after the jobs it has. Blocks; call it after every awaited answer.
    pub fn shut_down(&mut self) {
        if let Runner::Helper { jobs, done, thread } = &mut self.runner {
            *jobs = None;
            // Unread answers may keep the helper from ending.
            while done.recv().is_ok() {}
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}
