//! Reading histogram logs back: `bot4 latency show | diff`.
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
use serde_json::json;

use crate::hist::{Hdr, Summary, empty};
use crate::report::{aligned, latency_table};

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

    fn notes(&self) -> String {
        let lines = self.unreadable.iter();
        lines.map(|(path, what)| format!("! {}: {what}\n", path.display())).collect()
    }
}

/// The logs meant by `path`: itself, or the `*.hlog` files in it, by name.
fn logs_of(path: &Path) -> Result<Vec<PathBuf>, ShowError> {
    let io = |e| ShowError::Io(path.to_owned(), e);
    if !fs::metadata(path).map_err(io)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
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

/// `bot4 latency show FILE|DIR...`: a table by tag, or JSON `{tag: {count, p50, …}}`.
///
/// # Errors
/// See [`merge`].
pub fn show(paths: &[PathBuf], as_json: bool) -> Result<String, ShowError> {
    let merged = merge(paths)?;
    let summaries = merged.summaries();
    if as_json {
        let notes: Vec<_> = merged.unreadable.iter().map(|(p, w)| json!([p, w])).collect();
        let intervals = merged.intervals;
        let body = json!({ "latency_ns": summaries, "intervals": intervals, "unreadable": notes });
        return Ok(format!("{body}\n"));
    }
    Ok(format!("{}{}", latency_table(&summaries), merged.notes()))
}

/// `bot4 latency diff A B`: side by side with the ratio B / A, as a table or as JSON.
///
/// # Errors
/// See [`merge`].
pub fn diff(a: &Path, b: &Path, as_json: bool) -> Result<String, ShowError> {
    let (left, right) = (merge(&[a.to_owned()])?, merge(&[b.to_owned()])?);
    let (sa, sb) = (left.summaries(), right.summaries());
    let mut tags: Vec<&String> = sa.keys().chain(sb.keys()).collect();
    tags.sort();
    tags.dedup();
    if as_json {
        let of = |tag: &&String| {
            let ratio = sa.get(*tag).zip(sb.get(*tag)).map(|(x, y)| ratios(x, y));
            ((*tag).clone(), json!({ "a": sa.get(*tag), "b": sb.get(*tag), "ratio": ratio }))
        };
        let map: serde_json::Map<_, _> = tags.iter().map(of).collect();
        return Ok(format!("{}\n", serde_json::Value::Object(map)));
    }
    let mut rows = Vec::new();
    for tag in tags {
        let (x, y) = (sa.get(tag), sb.get(tag));
        let zero = Summary::default();
        let fields = x.unwrap_or(&zero).fields().into_iter().zip(y.unwrap_or(&zero).fields());
        for ((name, va), (_, vb)) in fields {
            let text = |present: bool, v: u64| if present { v.to_string() } else { "-".into() };
            let ratio = x.and(y).and_then(|_| ratio(va, vb));
            let ratio = ratio.map_or_else(|| "-".into(), |r| format!("{r:.3}"));
            let row =
                [tag.clone(), name.into(), text(x.is_some(), va), text(y.is_some(), vb), ratio];
            rows.push(row.to_vec());
        }
    }
    let table = aligned(&["tag", "ns", "a", "b", "b/a"], rows.into_iter(), &[2, 3, 4]);
    Ok(format!("{table}{}{}", left.notes(), right.notes()))
}

fn ratio(a: u64, b: u64) -> Option<f64> {
    (a > 0).then(|| b as f64 / a as f64)
}

fn ratios(a: &Summary, b: &Summary) -> serde_json::Value {
    let pairs = a.fields().into_iter().zip(b.fields());
    pairs.map(|((name, x), (_, y))| (name.to_owned(), json!(ratio(x, y)))).collect()
}
