//! Append to the journal: the lane's writer over a mapped segment, beside a file that is written
//! through a buffer or record by record.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use bot4_alloc::MappedFile;
use bot4_journal::{JournalConfig, JournalWriter};
use bot4_types::{LogEntry, LogKind, Nanos, RunEpoch, Wall};

use crate::case::Case;

/// Bytes of a record's body: a usual report.
const BODY: usize = 116;
/// Segment length: a row of calls fits several times.
const SEGMENT_BYTES: usize = 16 * 1024 * 1024;
/// Calls between two looks at the helpers.
const ROW: u64 = 4_096;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bot4-bench-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the bench");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The journal's writer: frame, checksum and copy into a prefaulted mapping; syncing and the next
/// segment are the helpers' work.
pub struct JournalAppend {
    writer: Option<JournalWriter>,
    entry: LogEntry,
    runs: u32,
    _folder: Folder,
}

impl Default for JournalAppend {
    fn default() -> Self {
        let entry = LogEntry::raw(LogKind::Learned, Nanos(1), &[7; BODY]);
        Self { writer: None, entry, runs: 0, _folder: Folder::new("journal") }
    }
}

impl Case for JournalAppend {
    fn enter(&mut self) {
        self.runs += 1;
        let dir = self._folder.0.join(self.runs.to_string());
        let mut config = JournalConfig::new(dir, RunEpoch(1), Wall::default());
        config.segment_bytes = SEGMENT_BYTES;
        let mut writer = JournalWriter::open(&config).expect("a journal");
        writer.begin(Nanos(1)).expect("a first segment");
        self.writer = Some(writer);
    }

    fn leave(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            writer.finish(Nanos(2)).expect("finished");
        }
        let _ = std::fs::remove_dir_all(self._folder.0.join(self.runs.to_string()));
    }

    fn ready(&mut self, wanted: u64) -> u64 {
        let writer = self.writer.as_mut().expect("entered");
        writer.turn(Nanos(1)).expect("the disk answers");
        writer.wait_room().expect("a next segment");
        wanted.min(ROW)
    }

    fn row_max(&self) -> u64 {
        ROW
    }

    #[inline]
    fn call(&mut self) {
        self.entry.seq += 1;
        let writer = self.writer.as_mut().expect("entered");
        let taken = writer.append(black_box(&self.entry), Nanos(1));
        assert!(taken.is_ok_and(|t| t), "room was made in `ready`");
    }
}

/// A record as the baselines frame it: length, CRC-32, then the head and the body.
fn framed(n: u64) -> [u8; BODY + 32] {
    let mut record = [7; BODY + 32];
    record[8..16].copy_from_slice(&n.to_le_bytes());
    let crc = crc32fast::hash(&record[8..]);
    record[..4].copy_from_slice(&(BODY as u32 + 32).to_le_bytes());
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    record
}

/// The baseline: framed records with a checksum into a `BufWriter` over a file. What waits in the
/// buffer dies with the process; the journal's record does not.
pub struct BufferedAppend {
    file: Option<BufWriter<File>>,
    n: u64,
    _folder: Folder,
}

impl Default for BufferedAppend {
    fn default() -> Self {
        Self { file: None, n: 0, _folder: Folder::new("buffered") }
    }
}

impl Case for BufferedAppend {
    fn enter(&mut self) {
        let file = File::create(self._folder.0.join("log")).expect("a file");
        self.file = Some(BufWriter::with_capacity(64 * 1024, file));
    }

    fn leave(&mut self) {
        self.file = None;
    }

    #[inline]
    fn call(&mut self) {
        self.n += 1;
        let file = self.file.as_mut().expect("entered");
        file.write_all(black_box(&framed(self.n))).expect("written");
    }
}

/// One `write` a record: survives the process as the journal's records do.
pub struct WrittenAppend {
    file: Option<File>,
    n: u64,
    _folder: Folder,
}

impl Default for WrittenAppend {
    fn default() -> Self {
        Self { file: None, n: 0, _folder: Folder::new("written") }
    }
}

impl Case for WrittenAppend {
    fn enter(&mut self) {
        self.file = Some(File::create(self._folder.0.join("log")).expect("a file"));
    }

    fn leave(&mut self) {
        self.file = None;
    }

    #[inline]
    fn call(&mut self) {
        self.n += 1;
        let file = self.file.as_mut().expect("entered");
        file.write_all(black_box(&framed(self.n))).expect("written");
    }
}

/// The least that a record in a mapping can cost: a copy of ready bytes to where nobody has
/// written yet, into files prepared like segments.
pub struct FreshCopy {
    file: Option<MappedFile>,
    at: usize,
    record: [u8; BODY + 32],
    _folder: Folder,
}

impl Default for FreshCopy {
    fn default() -> Self {
        Self { file: None, at: 0, record: framed(1), _folder: Folder::new("copy") }
    }
}

impl Case for FreshCopy {
    fn leave(&mut self) {
        self.file = None;
    }

    fn ready(&mut self, wanted: u64) -> u64 {
        let left = |file: &MappedFile, at| file.len() - at < ROW as usize * (BODY + 32);
        if self.file.as_ref().is_none_or(|file| left(file, self.at)) {
            self.file = None;
            let path = self._folder.0.join("segment");
            self.file = Some(MappedFile::replace(&path, SEGMENT_BYTES).expect("a file"));
            self.at = 0;
        }
        wanted.min(ROW)
    }

    fn row_max(&self) -> u64 {
        ROW
    }

    #[inline]
    fn call(&mut self) {
        let file = self.file.as_mut().expect("made in `ready`");
        let to = self.at + self.record.len();
        file.bytes_mut()[self.at..to].copy_from_slice(black_box(&self.record));
        self.at = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_can_be_read() {
        let mut case = JournalAppend::default();
        case.enter();
        let row = case.ready(10);
        (0..row).for_each(|_| case.call());
        let dir = case._folder.0.join("1");
        case.writer.take().expect("entered").finish(Nanos(2)).expect("finished");
        let report = bot4_journal::verify(&dir).expect("readable");
        assert!(report.is_clean() && report.records == row, "{report}");
    }
}
