//! Once through the files of a recording: every message in order, whatever holds it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use bot4_capture::{CaptureReader, Item};
use bot4_types::{ConnId, FrameKind, SnapshotSource};
use bot4_venues::registry::Venue;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lines::LineFile;
use super::source::SourceError;

/// Messages between two looks at the progress bar.
const SHOW_EVERY: u32 = 4_096;
/// Recordings below this are read before a bar could be seen.
const BAR_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// What a message is, before anybody knows whose a nameless snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawKind<'a> {
    /// Of the market-data stream.
    Market,
    /// An order book as asked for, and its symbol where the message tells.
    Snapshot(Option<&'a str>),
    /// A snapshot answer as the venue sent it.
    Answer,
    /// Something happened to a connection.
    Line(FrameKind),
    /// Messages are missing here.
    Broken,
}

/// A message as it lies in its file.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// Receive time in Unix ns, zero where there is none.
    pub recv_ns: i64,
    /// The connection.
    pub conn: ConnId,
    /// What it is.
    pub kind: RawKind<'a>,
    /// Its text.
    pub text: &'a [u8],
}

/// The snapshots of a REST file, by receive time.
#[derive(Debug, Default)]
pub struct RestFile {
    snapshots: Vec<RestSnapshot>,
    left_out: u64,
}

#[derive(Debug)]
struct RestSnapshot {
    recv_ns: i64,
    name: Option<String>,
    body: Vec<u8>,
}

/// A line `{"recv_ns","url","body"}`.
#[derive(Deserialize)]
struct RestLine<'a> {
    recv_ns: i64,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

impl RestLine<'_> {
    /// An order book that was asked for, and whose.
    fn depth(&self) -> Option<Option<&str>> {
        let of = || self.url.split(['?', '&']).find_map(|part| part.strip_prefix("symbol="));
        self.url.contains("depth").then(of)
    }
}

impl RestFile {
    /// Reads `path`. Snapshots are kept where `venue` wants them asked for.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn read(venue: Venue, path: &Path) -> Result<Self, SourceError> {
        let mut rest = Self::default();
        let mut file = LineFile::open(path)?;
        while let Some(line) = file.next()? {
            let number = line.number;
            let parsed = serde_json::from_slice::<RestLine<'_>>(line.text);
            let Ok(line) = parsed else {
                let what = "not a snapshot line {\"recv_ns\",\"url\",\"body\"}";
                return Err(SourceError::Line { path: path.to_owned(), line: number, what });
            };
            match line.depth().filter(|_| is_asked_for(venue)) {
                Some(name) => rest.snapshots.push(RestSnapshot {
                    recv_ns: line.recv_ns,
                    name: name.map(str::to_owned),
                    body: line.body.get().as_bytes().to_vec(),
                }),
                None => rest.left_out += 1,
            }
        }
        rest.snapshots.sort_by_key(|snapshot| snapshot.recv_ns);
        Ok(rest)
    }
}

fn is_asked_for(venue: Venue) -> bool {
    venue.rules().snapshots == SnapshotSource::Requested
}

/// A walk through all files.
pub struct Walk<'r> {
    venue: Venue,
    files: &'r [PathBuf],
    rest: &'r [RestSnapshot],
    notes: Vec<String>,
    bar: Bar,
    left_out: u64,
}

impl<'r> Walk<'r> {
    /// A walk that has not begun.
    #[must_use]
    pub fn new(venue: Venue, files: &'r [PathBuf], rest: Option<&'r RestFile>) -> Self {
        Self {
            venue,
            files,
            rest: rest.map_or(&[], |rest| &rest.snapshots),
            notes: Vec::new(),
            bar: Bar::new(files),
            left_out: rest.map_or(0, |rest| rest.left_out),
        }
    }

    /// Hands every message to `f`.
    ///
    /// # Errors
    /// What `f` says, or what is wrong with a file.
    pub fn run<E, F>(&mut self, f: &mut F) -> Result<(), E>
    where
        E: From<SourceError>,
        F: FnMut(Raw<'_>) -> Result<(), E>,
    {
        for path in self.files {
            if bot4_capture::is_capture(path) {
                self.capture(path, f)?;
            } else {
                self.lines(path, f)?;
            }
            self.bar.file_done();
        }
        self.rest_before(i64::MAX, f)?;
        self.bar.clear();
        Ok(())
    }

    /// What a person should know.
    #[must_use]
    pub fn into_notes(mut self) -> Vec<String> {
        if self.left_out > 0 {
            let (n, venue) = (self.left_out, self.venue.name());
            self.notes.push(format!("{n} REST lines are no snapshots that {venue} needs"));
        }
        self.notes
    }

    fn lines<E, F>(&mut self, path: &Path, f: &mut F) -> Result<(), E>
    where
        E: From<SourceError>,
        F: FnMut(Raw<'_>) -> Result<(), E>,
    {
        let asked_for = is_asked_for(self.venue);
        let mut file = LineFile::open(path)?;
        loop {
            self.bar.show(file.bytes_read());
            let Some(line) = file.next()? else { return Ok(()) };
            self.rest_before(line.recv_ns, f)?;
            let (recv_ns, text, conn) = (line.recv_ns, line.text, ConnId(0));
            if text.starts_with(b"{\"recv_ns\"") {
                let rest = serde_json::from_slice::<RestLine<'_>>(text).ok();
                match rest.as_ref().and_then(RestLine::depth).filter(|_| asked_for) {
                    Some(name) => {
                        let text = rest.as_ref().map_or(&b""[..], |r| r.body.get().as_bytes());
                        f(Raw { recv_ns, conn, kind: RawKind::Snapshot(name), text })?;
                    }
                    None => self.left_out += 1,
                }
                continue;
            }
            let snapshot = asked_for && text.starts_with(b"{\"lastUpdateId\"");
            let kind = if snapshot { RawKind::Snapshot(None) } else { RawKind::Market };
            f(Raw { recv_ns, conn, kind, text })?;
        }
    }

    fn capture<E, F>(&mut self, path: &Path, f: &mut F) -> Result<(), E>
    where
        E: From<SourceError>,
        F: FnMut(Raw<'_>) -> Result<(), E>,
    {
        let io = |error| SourceError::Io { path: path.to_owned(), error };
        let mut reader = CaptureReader::open(path).map_err(io)?;
        let mut last_ns = 0;
        loop {
            self.bar.show(reader.progress().0);
            let Some(item) = reader.next().map_err(io)? else { return Ok(()) };
            let (conn, kind) = (ConnId(0), RawKind::Broken);
            let broken = |recv_ns| Raw { recv_ns, conn, kind, text: &[] };
            match item {
                Item::Frame(head, text) => {
                    last_ns = head.wall_unix_ns;
                    self.rest_before(last_ns, f)?;
                    let kind = match head.kind {
                        FrameKind::Market => RawKind::Market,
                        FrameKind::Snapshot => RawKind::Answer,
                        line => RawKind::Line(line),
                    };
                    f(Raw { recv_ns: last_ns, conn: head.conn, kind, text })?;
                }
                Item::Lost(lost) => {
                    let why = if lost.by_recorder { "the recorder had no room" } else { "damage" };
                    let (path, n) = (path.display(), lost.frames);
                    self.notes.push(format!("{path}: {n} frames are missing: {why}"));
                    f(broken(last_ns))?;
                }
                Item::Session(session) => {
                    let what = "the recorder was started again";
                    self.notes.push(format!("{}: {what} (session {session})", path.display()));
                    f(broken(last_ns))?;
                }
                Item::Damage(damage) => {
                    self.notes.push(damage.to_string());
                    f(broken(last_ns))?;
                }
            }
        }
    }

    /// Hands out the REST snapshots received before `recv_ns`.
    fn rest_before<E, F>(&mut self, recv_ns: i64, f: &mut F) -> Result<(), E>
    where
        F: FnMut(Raw<'_>) -> Result<(), E>,
    {
        while let Some((next, later)) = self.rest.split_first().filter(|(n, _)| n.recv_ns < recv_ns)
        {
            self.rest = later;
            let kind = RawKind::Snapshot(next.name.as_deref());
            f(Raw { recv_ns: next.recv_ns, conn: ConnId(0), kind, text: &next.body })?;
        }
        Ok(())
    }
}

/// A bar on a terminal's stderr; nothing elsewhere.
struct Bar {
    bar: Option<ProgressBar>,
    /// Bytes of each file that is still to come, last first.
    sizes: Vec<u64>,
    behind: u64,
    until_show: u32,
}

impl Bar {
    fn new(files: &[PathBuf]) -> Self {
        let mut sizes: Vec<u64> = files.iter().map(|path| size_of_tree(path)).collect();
        sizes.reverse();
        let total = sizes.iter().sum();
        // indicatif draws on stderr, and only where that is a terminal.
        let bar = (total >= BAR_BYTES_MIN).then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta}");
            let bar = ProgressBar::new(total);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, sizes, behind: 0, until_show: 0 }
    }

    fn show(&mut self, of_file: u64) {
        let Some(bar) = &self.bar else { return };
        match self.until_show.checked_sub(1) {
            Some(left) => self.until_show = left,
            None => {
                bar.set_position(self.behind + of_file);
                self.until_show = SHOW_EVERY;
            }
        }
    }

    fn file_done(&mut self) {
        self.behind += self.sizes.pop().unwrap_or(0);
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Bytes of a file, or of the files in a folder.
fn size_of_tree(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size(&entry.path())).sum(),
        Err(_) => size(path),
    }
}
