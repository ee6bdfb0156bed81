//! Recorded messages of any origin, in order: lines, captures, REST snapshots.
//!
//! Two passes. The first looks at everything, finds symbols and decimals and keeps the texts
//! while they fit into [`CACHE_BYTES`]; the second, [`Recording::play`], hands the messages out
//! from there or reads the files again, so a recording may be longer than memory.
//!
//! Snapshots in a stream of lines are plain order-book objects without a symbol; REST snapshots
//! from a file of `{"recv_ns","url","body"}` are merged by receive time. Captures hold the
//! venue's answers as they came.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bot4_types::{ConnId, FrameKind, InstrumentTable, Shards};
use bot4_venues::registry::Venue;

use super::scout::Scout;
use super::walk::{Raw, RawKind, RestFile, Walk};
use crate::record::instruments::CaptureInstruments;

/// Texts that are kept in memory between the passes.
pub const CACHE_BYTES: usize = 512 * 1024 * 1024;
/// Notes on a recording at most; the last says how many there are.
const NOTES_MAX: usize = 20;

/// Why a recording cannot be read.
#[derive(Debug)]
pub enum SourceError {
    /// The file cannot be opened, read or decompressed.
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// A line is none of the formats.
    Line {
        /// Which file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// No instrument's name appears anywhere.
    NoSymbols,
    /// This symbol cannot be an instrument, or there are too many.
    Symbol(String),
    /// A capture was recorded at another venue.
    Venue {
        /// The capture.
        path: PathBuf,
        /// Its venue.
        venue: Venue,
    },
    /// Two captures with different instruments.
    Mixed {
        /// The second.
        path: PathBuf,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(
                f,
                "error: cannot read {}: {error}\nhelp: give a recording (plain or .gz) or a \
                 capture's folder",
                path.display()
            ),
            Self::Line { path, line, what } => write!(
                f,
                "error: {}:{line}: {what}\nhelp: a line is `<receive time ns> <JSON>`, bare JSON \
                 or `<time ns> < <JSON>`",
                path.display()
            ),
            Self::NoSymbols => f.write_str(
                "error: no symbol found in the files\nhelp: check that --venue matches the \
                 recording, and --symbol if it is given",
            ),
            Self::Symbol(name) => write!(
                f,
                "error: `{name}` does not enter the table of instruments\nhelp: a name has up to \
                 31 bytes and a run up to 256 instruments; choose one with --symbol"
            ),
            Self::Venue { path, venue } => write!(
                f,
                "error: {} was recorded at `{}`\nhelp: --venue {}",
                path.display(),
                venue.name(),
                venue.name()
            ),
            Self::Mixed { path } => write!(
                f,
                "error: {} has other instruments than the capture before it\nhelp: read captures \
                 of different instruments one by one",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SourceError {}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// Of the market-data stream.
    Market,
    /// An order book as asked for, without the venue's envelope, and whose it is where known.
    Snapshot(Option<&'a str>),
    /// A snapshot answer as the venue sent it.
    Answer,
    /// Something happened to a connection.
    Line(FrameKind),
    /// Messages are missing here: every book is in doubt.
    Broken,
}

/// A recorded message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Receive time in Unix ns, zero where the line has none.
    pub recv_ns: i64,
    /// The connection it came by.
    pub conn: ConnId,
    /// What it is.
    pub what: What<'a>,
    /// Its text.
    pub text: &'a [u8],
}

/// Said when a recording of futures was called one of Spot.
const FUTURES_NOTE: &str =
    "the messages are those of USD-margined futures (`pu`): read as --venue binance-usdm";

/// All messages of some files, in order, and what the first pass found.
pub struct Recording {
    venue: Venue,
    files: Vec<PathBuf>,
    rest: Option<RestFile>,
    table: InstrumentTable,
    shards: Shards,
    depth_max: usize,
    /// Whose each snapshot is, by its place among the snapshots.
    owners: Vec<Option<String>>,
    cache: Option<Cache>,
    messages: u64,
    notes: Vec<String>,
}

impl Recording {
    /// Looks through `files`, one stream in the order given, with `snapshots` merged by receive
    /// time. With `only`, other symbols of line files are passed over. A bar on a terminal shows
    /// how far it is.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn read(
        venue: Venue,
        files: &[PathBuf],
        snapshots: Option<&Path>,
        only: Option<&str>,
    ) -> Result<Self, SourceError> {
        let known = capture_instruments(venue, files)?;
        let rest = snapshots.map(|path| RestFile::read(venue, path)).transpose()?;
        let mut first = FirstPass {
            scout: Scout::new(venue, only),
            owners: Vec::new(),
            cache: Some(Cache::default()),
            messages: 0,
            broken: 0,
        };
        let mut walk = Walk::new(venue, files, rest.as_ref());
        walk.run(&mut |raw| {
            first.look(&raw, known.is_some());
            Ok::<(), SourceError>(())
        })?;
        let mut notes = walk.into_notes();
        if first.broken > 0 {
            notes.push(format!("frames are missing at {} places", first.broken));
        }
        let FirstPass { scout, owners, cache, messages, .. } = first;
        if scout.is_futures() {
            let mut recording = Self::read(Venue::BinanceUsdm, files, snapshots, only)?;
            recording.notes.push(FUTURES_NOTE.to_owned());
            return Ok(recording);
        }
        let owners = name_owners(owners, &scout);
        let (table, shards, depth_max) = match known {
            Some(known) => (known.table, known.shards, known.depth_max),
            None => {
                let table = scout.table().map_err(SourceError::Symbol)?;
                let shards = Shards::round_robin(table.all().len(), 1, 1);
                (table, shards, scout.depth())
            }
        };
        if table.all().is_empty() {
            return Err(SourceError::NoSymbols);
        }
        let files = files.to_vec();
        let cut = notes.len().saturating_sub(NOTES_MAX);
        if cut > 0 {
            notes.truncate(NOTES_MAX);
            notes.push(format!("and {cut} more places"));
        }
        Ok(Self { venue, files, rest, table, shards, depth_max, owners, cache, messages, notes })
    }

    /// Hands out every message in order.
    ///
    /// # Errors
    /// What `f` says, or what reading the files again says.
    pub fn play<E: From<SourceError>>(
        &self,
        mut f: impl FnMut(&Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut snapshots = self.owners.iter();
        let mut tell = |raw: Raw<'_>| {
            let what = match raw.kind {
                RawKind::Market => What::Market,
                RawKind::Answer => What::Answer,
                RawKind::Line(kind) => What::Line(kind),
                RawKind::Broken => What::Broken,
                RawKind::Snapshot(_) => What::Snapshot(snapshots.next().and_then(Option::as_deref)),
            };
            f(&Message { recv_ns: raw.recv_ns, conn: raw.conn, what, text: raw.text })
        };
        match &self.cache {
            Some(cache) => cache.messages().try_for_each(tell),
            None => Walk::new(self.venue, &self.files, self.rest.as_ref()).run(&mut tell),
        }
    }

    /// The venue.
    #[must_use]
    pub const fn venue(&self) -> Venue {
        self.venue
    }

    /// The instruments.
    #[must_use]
    pub const fn table(&self) -> &InstrumentTable {
        &self.table
    }

    /// Which connection carries which instrument.
    #[must_use]
    pub const fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Levels a side that books are cut to; zero: not cut.
    #[must_use]
    pub const fn depth_max(&self) -> usize {
        self.depth_max
    }

    /// The symbols, in order of appearance.
    #[must_use]
    pub fn symbols(&self) -> Vec<String> {
        self.table.all().iter().map(|i| i.symbol.as_str().to_owned()).collect()
    }

    /// Messages, snapshots and line changes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.messages
    }

    /// There is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Everything is in memory: playing it reads no file.
    #[must_use]
    pub const fn is_in_memory(&self) -> bool {
        self.cache.is_some()
    }

    /// What a person should know: damage, losses, lines left out.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The first pass.
struct FirstPass {
    scout: Scout,
    /// Of each snapshot: its owner, where the message tells.
    owners: Vec<Option<String>>,
    cache: Option<Cache>,
    messages: u64,
    broken: u64,
}

impl FirstPass {
    fn look(&mut self, raw: &Raw<'_>, known: bool) {
        self.messages += 1;
        match raw.kind {
            RawKind::Market if !known => self.scout.message(raw.text),
            RawKind::Snapshot(name) => {
                self.scout.snapshot(name, raw.text);
                self.owners.push(name.map(str::to_owned));
            }
            RawKind::Broken => self.broken += 1,
            _ => {}
        }
        if let Some(cache) = &mut self.cache
            && !cache.keep(raw)
        {
            self.cache = None;
        }
    }
}

/// Fills in whose the nameless snapshots are.
fn name_owners(owners: Vec<Option<String>>, scout: &Scout) -> Vec<Option<String>> {
    let mut nameless = scout.owners().into_iter();
    owners.into_iter().map(|owner| owner.or_else(|| nameless.next().flatten())).collect()
}

/// What the captures among `files` were recorded with; none where there is no capture, or none
/// that tells.
pub(super) fn capture_instruments(
    venue: Venue,
    files: &[PathBuf],
) -> Result<Option<CaptureInstruments>, SourceError> {
    let mut known: Option<CaptureInstruments> = None;
    for path in files.iter().filter(|path| bot4_capture::is_capture(path)) {
        let io = |error| SourceError::Io { path: path.clone(), error };
        let Some(found) = CaptureInstruments::read(path).map_err(io)? else { continue };
        if found.venue != venue {
            return Err(SourceError::Venue { path: path.clone(), venue: found.venue });
        }
        if known.as_ref().is_some_and(|known| known.table.all() != found.table.all()) {
            return Err(SourceError::Mixed { path: path.clone() });
        }
        known = Some(found);
    }
    Ok(known)
}

/// Texts in memory.
#[derive(Default)]
struct Cache {
    text: Vec<u8>,
    kept: Vec<Kept>,
}

/// A message whose text lies in the cache, from where the one before it ends.
struct Kept {
    recv_ns: i64,
    end: usize,
    conn: ConnId,
    kind: RawKind<'static>,
}

impl Cache {
    /// False: there is no more room.
    fn keep(&mut self, raw: &Raw<'_>) -> bool {
        let kind = match raw.kind {
            RawKind::Market => RawKind::Market,
            RawKind::Answer => RawKind::Answer,
            RawKind::Line(kind) => RawKind::Line(kind),
            RawKind::Broken => RawKind::Broken,
            RawKind::Snapshot(_) => RawKind::Snapshot(None),
        };
        self.text.extend_from_slice(raw.text);
        let (recv_ns, end, conn) = (raw.recv_ns, self.text.len(), raw.conn);
        self.kept.push(Kept { recv_ns, end, conn, kind });
        self.text.len() + self.kept.len() * size_of::<Kept>() <= CACHE_BYTES
    }

    fn messages(&self) -> impl Iterator<Item = Raw<'_>> {
        let mut start = 0;
        self.kept.iter().map(move |kept| {
            let text = &self.text[start..kept.end];
            start = kept.end;
            Raw { recv_ns: kept.recv_ns, conn: kept.conn, kind: kept.kind, text }
        })
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
