//! The file behind a histogram log: whole lines or none, and bounded on the disk.
//!
//! A log that has grown long is set aside under a number and a new one begins; of those set aside
//! the newest stay. What is removed is in the run report all the same, which counts from the start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

/// A log is set aside at this length: about three hours of a run at one venue, a line a tag and
/// second.
pub const LEN_MAX: u64 = 64 * 1024 * 1024;
/// Logs set aside that are kept.
pub const KEPT: usize = 8;

/// The open log.
pub(crate) struct Log {
    path: PathBuf,
    pub(crate) file: File,
    /// Length up to the last whole line.
    len: u64,
    len_max: u64,
}

impl Log {
    /// The log at `path`, made or gone on with, with a head for a run that began at `start`.
    pub fn open(path: PathBuf, start: SystemTime, len_max: u64) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(&path)?;
        let len = file.metadata()?.len();
        let mut log = Self { path, file, len, len_max };
        log.append(&head(start)?)?;
        Ok(log)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines, or nothing.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        if written.is_ok() {
            self.len += lines.len() as u64;
        } else {
            let _ = self.file.set_len(self.len);
        }
        written
    }

    /// Sets a log that has grown long aside and begins a new one at `start`. True when it did.
    pub fn turn_over(&mut self, start: SystemTime) -> io::Result<bool> {
        if self.len < self.len_max {
            return Ok(false);
        }
        let aside = self.aside()?;
        let number = aside.last().map_or(0, |(number, _)| *number) + 1;
        fs::rename(&self.path, self.path.with_extension(format!("{number:06}.hlog")))?;
        *self = Self::open(self.path.clone(), start, self.len_max)?;
        let over = (aside.len() + 1).saturating_sub(KEPT);
        aside.iter().take(over).try_for_each(|(_, path)| fs::remove_file(path))?;
        Ok(true)
    }

    /// Logs set aside before, oldest first.
    fn aside(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let number = |path: &Path| {
            let name = path.file_name()?.to_str()?;
            let middle = name.strip_prefix(&stem)?.strip_prefix('.')?.strip_suffix(".hlog")?;
            middle.parse::<u64>().ok()
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            found.extend(number(&path).map(|n| (n, path)));
        }
        found.sort();
        Ok(found)
    }
}

fn head(start: SystemTime) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("nanoseconds; one tag per stage")
        .with_start_time(start)
        .begin_log_with(&mut head, &mut V2DeflateSerializer::new())?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_set_aside_and_the_newest_stay() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("latency.hlog");
        let start = SystemTime::UNIX_EPOCH;
        let head = head(start).expect("text").len() as u64;
        let mut log = Log::open(path.clone(), start, head + 8).expect("open");
        fs::write(dir.path().join("latency.mine.hlog"), "").expect("written");
        for n in 0..2 * KEPT {
            assert!(!log.turn_over(start).expect("short yet"));
            log.append(format!("line {n:02}\n").as_bytes()).expect("written");
            assert!(log.turn_over(start).expect("long"));
        }
        let aside: Vec<_> = log.aside().expect("listed").into_iter().map(|(n, _)| n).collect();
        let newest = (2 * KEPT - KEPT + 1) as u64..=2 * KEPT as u64;
        assert_eq!(aside, newest.collect::<Vec<_>>());
        let last = fs::read_to_string(dir.path().join("latency.000016.hlog")).expect("there");
        assert!(last.starts_with("#[Histogram log") && last.ends_with("line 15\n"), "{last}");
        assert_eq!(fs::metadata(&path).expect("there").len(), head, "the new one is empty");
        assert!(dir.path().join("latency.mine.hlog").exists(), "no file of ours");
    }
}
