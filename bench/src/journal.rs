//! Append to the journal: the lane's writer over a mapped segment, beside a buffered file.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

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

/// The baseline: as many bytes into a `BufWriter` of 8 KiB over a file; no frame, no checksum.
pub struct BufferedAppend {
    file: Option<BufWriter<File>>,
    bytes: [u8; BODY + 32],
    _folder: Folder,
}

impl Default for BufferedAppend {
    fn default() -> Self {
        Self { file: None, bytes: [7; BODY + 32], _folder: Folder::new("buffered") }
    }
}

impl Case for BufferedAppend {
    fn enter(&mut self) {
        let file = File::create(self._folder.0.join("log")).expect("a file");
        self.file = Some(BufWriter::with_capacity(8 * 1024, file));
    }

    fn leave(&mut self) {
        self.file = None;
    }

    #[inline]
    fn call(&mut self) {
        self.bytes[0] = self.bytes[0].wrapping_add(1);
        let file = self.file.as_mut().expect("entered");
        file.write_all(black_box(&self.bytes)).expect("written");
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
