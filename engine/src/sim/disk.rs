//! The journal's disk in memory: segments that live in a map, so that a seed needs no files; and
//! its faults.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bot4_journal::segment::{self, HEADER_BYTES, Header, Parsed};
use bot4_journal::store::{Area, Flush, Prepared, RESERVE, Store};
use bot4_types::LogEntry;

type Segments = Arc<Mutex<BTreeMap<u32, Vec<u8>>>>;

/// A disk. Clones share it. A segment's bytes reach it when the writer gives the segment up.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    segments: Segments,
    trouble: Arc<Mutex<Trouble>>,
    segment_bytes: usize,
}

/// What is wrong with a disk now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The next sync fails with EIO.
    pub sync_fails: bool,
    /// Nothing can be made: ENOSPC.
    pub full: bool,
    /// What was asked is not answered.
    pub slow: bool,
}

impl MemoryDisk {
    /// An empty disk for segments of `segment_bytes`.
    #[must_use]
    pub fn new(segment_bytes: usize) -> Self {
        Self { segment_bytes, ..Self::default() }
    }

    /// Changes what is wrong with it.
    pub fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.trouble.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn now(&self) -> Trouble {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> io::Result<()> {
        if self.now().full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Reads back every record of the segments that were given up, in order.
    ///
    /// # Errors
    /// Bytes that are not the journal's format, or a segment without its seal.
    pub fn read(&self, mut take: impl FnMut(&LogEntry)) -> Result<u64, String> {
        let mut records = 0;
        let segments = lock(&self.segments);
        // The reserve lies under its own name and says itself whose place it takes.
        let place = |(index, bytes): &(&u32, &Vec<u8>)| match Header::decode(bytes) {
            Ok(header) => header.index,
            Err(_) => **index,
        };
        let mut segments: Vec<_> = segments.iter().collect();
        segments.sort_by_key(place);
        for (index, bytes) in segments {
            let mut at = HEADER_BYTES;
            loop {
                match segment::parse(bytes.get(at..).unwrap_or_default()) {
                    Parsed::Record(entry, taken) => {
                        take(&entry);
                        records += 1;
                        at += taken;
                    }
                    Parsed::Seal { .. } => break,
                    Parsed::End | Parsed::Bad => {
                        return Err(format!("journal segment {index} has no record at {at}"));
                    }
                }
            }
        }
        Ok(records)
    }
}

/// Where a disk is written out for readers of files.
impl MemoryDisk {
    /// Writes every segment into `dir`, which is made.
    ///
    /// # Errors
    /// The file system's.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        for (index, bytes) in lock(&self.segments).iter() {
            let name = match *index {
                RESERVE => segment::RESERVE_NAME.to_owned(),
                index => segment::file_name(index),
            };
            std::fs::write(dir.join(name), bytes)?;
        }
        Ok(())
    }

    fn make(&self, index: u32, len: usize) -> Prepared {
        let segments = self.segments.clone();
        let area = MemoryArea { index, bytes: vec![0; len], segments };
        let flush = MemoryFile { index, disk: self.clone() };
        Prepared { index, area: Box::new(area), flush: Arc::new(flush) }
    }
}

fn lock(segments: &Segments) -> MutexGuard<'_, BTreeMap<u32, Vec<u8>>> {
    segments.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryDisk {
    fn create(&mut self, index: u32) -> io::Result<Prepared> {
        self.room()?;
        Ok(self.make(index, self.segment_bytes))
    }

    fn create_reserve(&mut self, bytes: usize) -> io::Result<Prepared> {
        self.room()?;
        Ok(self.make(RESERVE, bytes))
    }

    fn discard(&mut self, index: u32) -> io::Result<()> {
        lock(&self.segments).remove(&index);
        Ok(())
    }

    fn answers(&self) -> bool {
        !self.now().slow
    }
}

struct MemoryArea {
    index: u32,
    bytes: Vec<u8>,
    segments: Segments,
}

impl Area for MemoryArea {
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for MemoryArea {
    fn drop(&mut self) {
        lock(&self.segments).insert(self.index, std::mem::take(&mut self.bytes));
    }
}

struct MemoryFile {
    index: u32,
    disk: MemoryDisk,
}

impl Flush for MemoryFile {
    fn sync(&self) -> io::Result<()> {
        let mut failed = false;
        self.disk.trouble(|trouble| failed = std::mem::take(&mut trouble.sync_fails));
        // EIO
        if failed { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if let Some(bytes) = lock(&self.disk.segments).get_mut(&self.index) {
            bytes.truncate(len as usize);
        }
        Ok(())
    }
}
