//! Shared memory and files as plain slices: [`SharedWords`] (counters, control words, published
//! sequences), [`SharedView`] (the same words read by another process), [`MappedFile`] (journal
//! segments) and [`FileRanges`] (syncing and prefaulting parts of one from another thread).
//!
//! Invariant: the file behind a mapping never gets shorter while it is mapped (blocks are
//! allocated before mapping; an existing file is replaced by a new one, not truncated), so an
//! access cannot raise `SIGBUS`. What a killed process wrote stays in the page cache: kill -9
//! loses nothing, power loss at most what was not yet `fdatasync`ed.
//!
//! Cost: creating allocates the blocks and prefaults every page (about 0.3 ms a MiB); writing
//! afterwards is a plain store.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::region::{PAGE, Region};

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;
/// Owner writes, group reads: the files tell positions and orders.
const MODE: u32 = 0o640;
const WORD_BYTES: usize = size_of::<AtomicU64>();

/// Zeroed 64-bit words shared between threads, between parent and child, or, when backed by a
/// file, with any process that maps it. Every access is atomic, so sharing them is safe.
#[derive(Debug)]
pub struct SharedWords {
    region: Region,
    words: usize,
}

impl SharedWords {
    /// `words` zeroed words without a file, inherited by children. Pages appear on first touch:
    /// call [`SharedWords::populate`] where a page fault would hurt.
    ///
    /// # Errors
    /// When `words` is zero or the memory cannot be mapped.
    pub fn anonymous(words: usize) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let region = Region::map(word_bytes(words)?, READ_WRITE, flags, -1)?;
        Ok(Self { region, words })
    }

    /// `words` zeroed words in a new file at `path`, all pages present. A file that is already
    /// there is unlinked, not truncated: a process that still maps it keeps the old words.
    ///
    /// # Errors
    /// When `words` is zero, or the file cannot be created, allocated, mapped or populated.
    pub fn create(path: &Path, words: usize) -> io::Result<Self> {
        let bytes = word_bytes(words)?;
        let file = replaced(path, bytes)?;
        let region = mapped(&file, bytes).inspect_err(|_| discard(path))?;
        Ok(Self { region, words })
    }

    /// The words.
    #[must_use]
    pub const fn words(&self) -> &[AtomicU64] {
        // SAFETY: the region holds at least `words * 8` bytes, is page-aligned, readable,
        // writable and zeroed at first; all bit patterns are valid. It lives as long as `self`.
        // Within this process every access goes through these atomics.
        unsafe { std::slice::from_raw_parts(self.region.start().as_ptr().cast(), self.words) }
    }

    /// Backs every page with memory now.
    ///
    /// # Errors
    /// When memory (or the cgroup's share of it) runs out.
    pub fn populate(&self) -> io::Result<()> {
        self.region.populate(0, self.region.len())
    }

    /// The words for the rest of the process's life.
    #[must_use]
    pub fn leak(self) -> &'static [AtomicU64] {
        let words: *const [AtomicU64] = self.words();
        std::mem::forget(self);
        // SAFETY: the region is never unmapped now, so the slice made above lives for ever.
        unsafe { &*words }
    }
}

/// The words of a file that another process writes, read only.
#[derive(Debug)]
pub struct SharedView {
    region: Region,
    words: usize,
}

impl SharedView {
    /// Maps the file that [`SharedWords::create`] made.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped, or holds no whole word.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let words = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX) / WORD_BYTES;
        let bytes = word_bytes(words)?;
        let region = Region::map(bytes, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd())?;
        Ok(Self { region, words })
    }

    /// Number of words.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a view is never empty")]
    pub const fn len(&self) -> usize {
        self.words
    }

    /// The value of word `index` now, or `None` behind the end.
    #[must_use]
    pub fn word(&self, index: usize) -> Option<u64> {
        if index >= self.words {
            return None;
        }
        // SAFETY: the index is inside the mapping, which is aligned and at least that long. A
        // relaxed 64-bit load never writes, so read-only memory is enough; the writer's stores
        // are atomic too. The writer never shortens the file (see the module's invariant).
        let word = unsafe { &*self.region.start().as_ptr().cast::<AtomicU64>().add(index) };
        Some(word.load(Ordering::Relaxed))
    }
}

/// A file of fixed length, mapped for writing, all blocks allocated and all pages present. After
/// creation a write needs no system call and normally no page fault: the first write to a page
/// after the kernel wrote it back takes one, which [`FileRanges`] is there to avoid.
#[derive(Debug)]
pub struct MappedFile {
    // Declared before the file: the mapping goes first.
    region: Arc<Region>,
    file: File,
}

/// The right to sync parts of a [`MappedFile`] and to make parts writable without a page fault,
/// for a helper thread. It never reads or writes a byte itself.
///
/// Why parts: the kernel takes every page that it writes back from the writer again, so the next
/// store to it faults (0.5 to 1.5 us). A sync of the whole file takes all pages, also those still
/// to be written; a sync of the part behind the writer takes none that it will touch again.
#[derive(Debug)]
pub struct FileRanges {
    region: Arc<Region>,
    file: File,
}

impl FileRanges {
    /// Waits until the bytes `from..to` are on the disk, with the pages they lie in and nothing
    /// else (`msync`, which the kernel carries out as `fdatasync` of that range). What another
    /// thread writes into those pages meanwhile may or may not be among them.
    ///
    /// # Errors
    /// `InvalidInput` when the range is not in the file; `EIO` and friends: what was written may
    /// be lost.
    pub fn sync(&self, from: usize, to: usize) -> io::Result<()> {
        let from = from - from % PAGE;
        let len = to.checked_sub(from).ok_or(io::ErrorKind::InvalidInput)?;
        if len == 0 { Ok(()) } else { self.region.sync(from, len) }
    }

    /// Makes the pages of up to `len` bytes from `from` writable without a fault. Also takes the
    /// pages that a sync has just written back. Kernels before 5.14 cannot do it without writing
    /// to the pages, which is the owner's right alone.
    ///
    /// # Errors
    /// `InvalidInput` (`EINVAL`) on such a kernel; `ENOMEM` when memory (or the cgroup's share of
    /// it) runs out.
    pub fn populate(&self, from: usize, len: usize) -> io::Result<()> {
        let from = from.min(self.region.len());
        let from = from - from % PAGE;
        let len = len.min(self.region.len() - from);
        if len == 0 { Ok(()) } else { self.region.advise(from, len, libc::MADV_POPULATE_WRITE) }
    }

    /// The file, for syncing it as a whole and cutting it when nobody writes it any longer.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

impl MappedFile {
    /// Creates the file; it must not exist yet.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidInput` when `len` is zero; `StorageFull` when the disk cannot
    /// hold it (the file is removed again); other errors of opening, mapping and populating.
    pub fn create(path: &Path, len: usize) -> io::Result<Self> {
        let file = created(path, len)?;
        Self::over(file, path, len)
    }

    /// Creates the file in place of one that may exist. The old one is unlinked, so a process
    /// that still maps it keeps it.
    ///
    /// # Errors
    /// As [`MappedFile::create`], without `AlreadyExists`.
    pub fn replace(path: &Path, len: usize) -> io::Result<Self> {
        let file = replaced(path, len)?;
        Self::over(file, path, len)
    }

    fn over(file: File, path: &Path, len: usize) -> io::Result<Self> {
        let region = mapped(&file, len).inspect_err(|_| discard(path))?;
        Ok(Self { region: Arc::new(region), file })
    }

    /// Makes all pages writable without a fault again, after a sync has written them back. On
    /// every kernel.
    ///
    /// # Errors
    /// When memory (or the cgroup's share of it) runs out.
    pub fn populate(&mut self) -> io::Result<()> {
        self.region.populate(0, self.region.len())
    }

    /// The handle for a helper thread. The mapping lives until it is dropped too.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn ranges(&self) -> io::Result<FileRanges> {
        Ok(FileRanges { region: Arc::clone(&self.region), file: self.file.try_clone()? })
    }

    /// The bytes, for reading.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the region is mapped readable for `len` bytes and lives as long as `self`.
        // Writers inside this process need `&mut self`; other processes only read the file.
        unsafe { std::slice::from_raw_parts(self.region.start().as_ptr(), self.region.len()) }
    }

    /// The bytes, for writing. Other processes see them at once.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as `bytes`, mapped writable, and `&mut self` makes this the only reference: a
        // `FileRanges` shares the region, but makes no reference to its bytes.
        unsafe { std::slice::from_raw_parts_mut(self.region.start().as_ptr(), self.region.len()) }
    }

    /// Length in bytes, never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a mapped file is never empty")]
    pub fn len(&self) -> usize {
        self.region.len()
    }

    /// Waits until what was written so far is on the disk (`fdatasync`). Blocks for hundreds of
    /// microseconds: never on a hot lane.
    ///
    /// # Errors
    /// `EIO` and friends: what was written may be lost.
    pub fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The file itself.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Another handle of the file, for a helper thread that calls `sync_data` on it.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn try_clone(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives the bytes up, cuts the file to `len` and returns it. The cut is not synced yet. The
    /// caller sees to it that nobody else still maps the bytes cut off; a [`FileRanges`] may, as
    /// it touches none.
    ///
    /// # Errors
    /// `InvalidInput` when `len` is above the length now; errors of `ftruncate`.
    pub fn truncate_to(self, len: usize) -> io::Result<File> {
        let Self { region, file } = self;
        if len > region.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        drop(region);
        file.set_len(len as u64)?;
        Ok(file)
    }
}

fn word_bytes(words: usize) -> io::Result<usize> {
    match words.checked_mul(WORD_BYTES) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn mapped(file: &File, len: usize) -> io::Result<Region> {
    let region = Region::map(len, READ_WRITE, libc::MAP_SHARED, file.as_raw_fd())?;
    region.populate(0, len)?;
    Ok(region)
}

fn replaced(path: &Path, len: usize) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    created(path, len)
}

/// A new file of `len` bytes with all its blocks, so that a full disk shows here and not as a
/// `SIGBUS` on a lane.
fn created(path: &Path, len: usize) -> io::Result<File> {
    let bytes = libc::off_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
    if bytes == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path)?;
    loop {
        // SAFETY: the descriptor is open and ours; the call reads no memory of this process.
        // It returns the error instead of setting errno.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) } {
            0 => return Ok(file),
            libc::EINTR => {}
            code => {
                discard(path);
                return Err(io::Error::from_raw_os_error(code));
            }
        }
    }
}

/// Removes a file that could not be made whole. Failing to is no worse than the first error,
/// which is the one reported.
fn discard(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_zero_shared_and_leakable() {
        let words = SharedWords::anonymous(1000).unwrap();
        words.populate().unwrap();
        assert_eq!(words.words().len(), 1000);
        assert!(words.words().iter().all(|w| w.load(Ordering::Relaxed) == 0));
        let words = words.leak();
        std::thread::scope(|s| {
            s.spawn(|| words[999].store(5, Ordering::Relaxed));
        });
        assert_eq!(words[999].load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_view_follows_the_file_and_survives_its_replacement() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        let first = SharedWords::create(&path, 10).unwrap();
        let view = SharedView::open(&path).unwrap();
        first.words()[9].store(42, Ordering::Relaxed);
        assert_eq!((view.len(), view.word(9), view.word(10)), (10, Some(42), None));

        let second = SharedWords::create(&path, 10).unwrap();
        second.words()[9].store(43, Ordering::Relaxed);
        assert_eq!(view.word(9), Some(42), "the old words stay with who maps them");
        assert_eq!(SharedView::open(&path).unwrap().word(9), Some(43));
    }

    #[test]
    fn no_words_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty");
        assert!(SharedWords::anonymous(0).is_err());
        assert!(SharedWords::anonymous(usize::MAX).is_err());
        assert!(SharedWords::create(&path, 0).is_err());
        assert!(!path.exists());
        File::create(&path).unwrap();
        assert!(SharedView::open(&path).is_err());
        assert!(SharedView::open(dir.path().join("missing").as_path()).is_err());
    }

    #[test]
    fn a_mapped_file_is_allocated_written_synced_and_cut() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let mut file = MappedFile::create(&path, 100_000).unwrap();
        let meta = file.file().metadata().unwrap();
        assert_eq!(
            (file.len(), meta.len(), meta.mode() & 0o777),
            (100_000, 100_000, MODE & !umask())
        );
        assert!(meta.blocks() * 512 >= 100_000, "blocks are there before the first write");

        file.bytes_mut()[..5].copy_from_slice(b"first");
        file.bytes_mut()[99_999] = b'!';
        file.sync_data().unwrap();
        file.try_clone().unwrap().sync_data().unwrap();
        let seen = std::fs::read(&path).unwrap();
        assert_eq!((&seen[..5], seen[99_999], &seen[..]), (&b"first"[..], b'!', file.bytes()));

        let cut = file.truncate_to(5).unwrap();
        cut.sync_data().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
    }

    /// Page faults of this thread so far: without and with a read from the disk.
    fn faults() -> i64 {
        // SAFETY: a zeroed `rusage` is valid, and the call only fills it.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
            usage
        };
        usage.ru_minflt + usage.ru_majflt
    }

    /// Writes a byte to each page of `bytes` and returns the faults it took.
    fn faults_of_writing(bytes: &mut [u8], value: u8) -> i64 {
        let before = faults();
        bytes.iter_mut().step_by(PAGE).for_each(|byte| *byte = value);
        faults() - before
    }

    #[test]
    fn a_synced_part_leaves_the_rest_writable_and_populating_gives_it_back() {
        const PAGES: usize = 64;
        // On a file system in memory this holds by itself: no page is ever taken back.
        let dir = tempfile::tempdir().unwrap();
        let mut file = MappedFile::create(&dir.path().join("segment"), PAGES * PAGE).unwrap();
        let ranges = file.ranges().unwrap();
        ranges.file().sync_all().unwrap();
        ranges.populate(0, usize::MAX).unwrap();
        // The margin is for pages of the test's own program.
        assert!(faults_of_writing(file.bytes_mut(), 1) < 8, "all pages are writable");
        let half = PAGES / 2 * PAGE;
        ranges.sync(0, half).unwrap();
        assert!(faults_of_writing(&mut file.bytes_mut()[half..], 2) < 8, "not synced, not taken");
        ranges.sync(0, half).unwrap();
        ranges.populate(0, half).unwrap();
        assert!(faults_of_writing(&mut file.bytes_mut()[..half], 3) < 8, "given back");
        let seen = std::fs::read(dir.path().join("segment")).unwrap();
        assert!(seen.iter().step_by(PAGE).take(PAGES / 2).all(|b| *b == 3));

        assert!(ranges.sync(2 * PAGE, PAGE).is_err() && ranges.sync(0, 65 * PAGE).is_err());
        assert!(ranges.sync(PAGE, PAGE).is_ok() && ranges.populate(1 << 40, 5).is_ok());
    }

    fn umask() -> u32 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("Umask:")).unwrap();
        u32::from_str_radix(line.trim(), 8).unwrap()
    }

    #[test]
    fn an_existing_file_is_refused_or_replaced_by_choice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let mut old = MappedFile::create(&path, 4096).unwrap();
        old.bytes_mut()[0] = 1;
        let refused = MappedFile::create(&path, 4096).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap()[0], 1, "the refused call touched nothing");

        let new = MappedFile::replace(&path, 10).unwrap();
        assert_eq!((new.bytes(), old.bytes()[0]), (&[0; 10][..], 1));
    }

    #[test]
    fn what_cannot_fit_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("huge");
        assert!(MappedFile::create(&path, 0).is_err());
        assert!(MappedFile::create(&path, 1 << 62).is_err(), "no disk holds 4 EiB");
        assert!(MappedFile::create(&path, usize::MAX).is_err());
        assert!(!path.exists());
        assert!(MappedFile::create(dir.path(), 4096).is_err());

        let file = MappedFile::create(&path, 4096).unwrap();
        let error = file.truncate_to(5000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
