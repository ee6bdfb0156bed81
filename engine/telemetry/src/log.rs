//! Reading histogram logs back.
//!
//! Any log of the HdrHistogram interval format is read, not only our own: tags are optional, the
//! payload is V2 compressed. Intervals of one tag are merged. A torn last line (a killed run) is
//! reported on the side and does not spoil the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use crate::hist::{Hdr, Summary, empty};

/// Folder of a run in which its logs lie, unless it was told another.
const IN_RUN: &str = "latency";
/// Tag of intervals that have none.
const UNTAGGED: &str = "untagged";

/// Why logs cannot be shown.
#[derive(Debug)]
pub enum ShowError {
    /// A file or directory cannot be read.
    Io(PathBuf, io::Error),
    /// A directory without `*.hlog` files.
    NoLogs(PathBuf),
    /// No interval in any of the files.
    Empty,
    /// No interval of this tag; those that there are.
    NoTag(String, Vec<String>),
    /// The picture could not be drawn.
    Picture(String),
}

impl fmt::Display for ShowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, e) => write!(f, "{}: {e}", path.display()),
            Self::NoLogs(dir) => write!(
                f,
                "{} holds no *.hlog; a run writes one with --latency-dir DIR",
                dir.display()
            ),
            Self::Empty => f.write_str("no interval in these logs: nothing was measured"),
            Self::NoTag(tag, known) => {
                write!(f, "no stage `{tag}` in these logs; there are {}", known.join(", "))
            }
            Self::Picture(what) => write!(f, "the picture cannot be drawn: {what}"),
        }
    }
}

impl std::error::Error for ShowError {}

/// What a set of logs holds.
#[derive(Debug, Default)]
pub struct Merged {
    /// By tag, over all intervals.
    pub tags: BTreeMap<String, Hdr>,
    /// Intervals read.
    pub intervals: u64,
    /// Lines that are no interval, with their files: damage or a torn end.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Merged {
    /// Summaries by tag.
    #[must_use]
    pub fn summaries(&self) -> BTreeMap<String, Summary> {
        self.tags.iter().map(|(tag, hdr)| (tag.clone(), Summary::of(hdr, hdr.max()))).collect()
    }

    /// The histogram of `tag`, with its name.
    ///
    /// # Errors
    /// [`ShowError::NoTag`].
    pub fn one(&self, tag: &str) -> Result<(&str, &Hdr), ShowError> {
        let found = self.tags.get_key_value(tag).map(|(tag, hdr)| (tag.as_str(), hdr));
        let known = || self.tags.keys().cloned().collect();
        found.ok_or_else(|| ShowError::NoTag(tag.to_owned(), known()))
    }

    /// What was unreadable, a line each.
    pub(crate) fn notes(&self) -> String {
        let lines = self.unreadable.iter();
        lines.map(|(path, what)| format!("! {}: {what}\n", path.display())).collect()
    }
}

/// The logs meant by `path`: itself, or the `*.hlog` files in it, by name. A run's own folder means
/// the folder of its logs.
fn logs_of(path: &Path) -> Result<Vec<PathBuf>, ShowError> {
    let io = |e| ShowError::Io(path.to_owned(), e);
    if !fs::metadata(path).map_err(io)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let within = path.join(IN_RUN);
    let folder = if within.is_dir() { within.as_path() } else { path };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let file = entry.map_err(io)?.path();
        if file.extension().is_some_and(|e| e == "hlog") {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() { Err(ShowError::NoLogs(path.to_owned())) } else { Ok(found) }
}

/// Reads and merges the logs at `paths` (files or directories).
///
/// # Errors
/// When one cannot be read, or there is no interval in any.
pub fn merge(paths: &[PathBuf]) -> Result<Merged, ShowError> {
    let mut merged = Merged::default();
    let mut deserializer = Deserializer::new();
    for path in paths {
        for file in logs_of(path)? {
            let bytes = fs::read(&file).map_err(|e| ShowError::Io(file.clone(), e))?;
            merged.take(&file, &bytes, &mut deserializer);
        }
    }
    if merged.intervals == 0 { Err(ShowError::Empty) } else { Ok(merged) }
}

impl Merged {
    /// Takes the log `bytes` in, line by line: the library's iterator stops at the first line
    /// it cannot read, and one torn line in the middle must not hide the rest.
    fn take(&mut self, file: &Path, bytes: &[u8], deserializer: &mut Deserializer) {
        for (number, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            if line.starts_with(b"#") || line.starts_with(b"\"") || line.trim_ascii().is_empty() {
                continue;
            }
            if let Err(what) = self.take_line(line, deserializer) {
                self.unreadable.push((file.to_owned(), format!("line {}: {what}", number + 1)));
            }
        }
    }

    fn take_line(&mut self, line: &[u8], deserializer: &mut Deserializer) -> Result<(), String> {
        if !line.ends_with(b"\n") {
            return Err("torn".to_owned());
        }
        let Some(Ok(LogEntry::Interval(interval))) = IntervalLogIterator::new(line).next() else {
            return Err("not an interval".to_owned());
        };
        let payload = STANDARD.decode(interval.encoded_histogram()).map_err(|e| e.to_string())?;
        let hdr: Hdr =
            deserializer.deserialize(&mut payload.as_slice()).map_err(|e| format!("{e:?}"))?;
        let tag = interval.tag().map_or(UNTAGGED, |t| t.as_str()).to_owned();
        let sum = self.tags.entry(tag).or_insert_with(empty);
        sum.add(hdr).map_err(|e| e.to_string())?;
        self.intervals += 1;
        Ok(())
    }
}
