//! Reads the counters file of a running engine.

use std::fmt;
use std::path::{Path, PathBuf};

use bot4_alloc::mapped::SharedView;
use bot4_lanes::block;
use bot4_lanes::metrics::BUCKETS;

use super::layout::{At, MAGIC, Row, Table, VERSION, began, hash};
use super::snapshot::Snapshot;
use super::view;
use crate::hist::Counts;

/// A block that is being written is read again so many times.
const BLOCK_TRIES: usize = 64;
/// A file that beat within so long may be of a process in another namespace, ms.
const SILENT_MS: u64 = 5_000;
/// Longer tables are taken for nonsense, bytes.
const TABLE_LEN_MAX: u64 = 4 << 20;

/// The counters file of a run, mapped read only. Attached and killed at will: the engine never
/// learns of it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    words: SharedView,
    pub(super) table: Table,
}

/// Why a file cannot be read, as a text with its mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError(pub String);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReadError {}

impl Reader {
    /// Opens the counters file at `path`.
    ///
    /// # Errors
    /// When there is none, or it is truncated, of another version, or of an engine that is gone.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let say = |what: String| ReadError(format!("error: {}: {what}", path.display()));
        let words =
            SharedView::open(path).map_err(|e| say(format!("{e}\nhelp: is it running?")))?;
        let head = |at: At| words.word(at as usize).unwrap_or(0);
        if head(At::Magic) != MAGIC {
            return Err(say("not a counters file, or its run only begins\nhelp: \
                            try again in a second"
                .into()));
        }
        // Pairs with the release store of the magic: the table is there.
        std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        if head(At::Version) != VERSION {
            return Err(say(format!(
                "layout {} was written by another version of bot4; this one reads {VERSION}\n\
                 help: use the bot4 that the engine was started with",
                head(At::Version)
            )));
        }
        let wanted = head(At::Words);
        if (words.len() as u64) < wanted {
            return Err(say(format!("truncated: {} of {wanted} words", words.len())));
        }
        let text = text(&words, head(At::Table), head(At::TableLen))
            .filter(|text| hash(text) == head(At::TableHash));
        let text = text.ok_or_else(|| say("its table is damaged".into()))?;
        let table = serde_json::from_slice(&text)
            .map_err(|e| say(format!("its table cannot be read: {e}")))?;
        let reader = Self { path: path.to_owned(), words, table };
        reader.alive().map(|()| reader)
    }

    /// What the file says now. Cost: about a millisecond on the reader's side (it sums every
    /// histogram), nothing on the engine's.
    ///
    /// # Errors
    /// When the engine has ended or is gone.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        self.alive()?;
        Ok(view::of(self))
    }

    /// The counts of every histogram called `tag`: taken twice, they tell of the time in between.
    #[must_use]
    pub fn histograms(&self, tag: &str) -> Vec<Counts> {
        let named = self.table.rows.iter().filter_map(|row| match row {
            Row::Histogram { tag: of, at } if of == tag => Some(self.counts(*at)),
            _ => None,
        });
        named.collect()
    }

    /// The engine that wrote the file lives.
    fn alive(&self) -> Result<(), ReadError> {
        let pid = self.head(At::Pid);
        let say = |what: String| Err(ReadError(format!("error: {}: {what}", self.path.display())));
        if self.head(At::Closed) != 0 {
            return say(format!("run {} has ended", self.table.plate.run));
        }
        let now = u32::try_from(pid).ok().and_then(began);
        if now != Some(self.head(At::Began)) {
            return say(format!(
                "left behind by process {pid}, which is gone without an end\n\
                 help: the next `bot4 run` removes it; `bot4 status` tells of the account"
            ));
        }
        Ok(())
    }

    pub(super) fn head(&self, at: At) -> u64 {
        self.word(at as usize)
    }

    /// The word at `at`; zero behind the end.
    pub(super) fn word(&self, at: usize) -> u64 {
        self.words.word(at).unwrap_or(0)
    }

    /// The counts of the histogram at `at`.
    pub(super) fn counts(&self, at: usize) -> Counts {
        Counts::from_words((0..BUCKETS).map(|i| self.word(at + i)), self.word(at + BUCKETS))
    }

    /// The role of the agent whose block tells of `tag`, among those that begin with `prefix`.
    pub(super) fn block_role(&self, prefix: &str, tag: &str) -> Option<&str> {
        self.table.rows.iter().find_map(|row| match row {
            Row::Block { role, tag: t, .. } if role.starts_with(prefix) && t == tag => {
                Some(role.as_str())
            }
            _ => None,
        })
    }

    /// The values of the block that `role` writes about `tag`; none where there is no such block,
    /// nothing was written yet, or its writer is at it all the time.
    pub(super) fn block(&self, role: &str, tag: &str) -> Option<Vec<u64>> {
        let found = self.table.rows.iter().find_map(|row| match row {
            Row::Block { role: r, tag: t, at, len } if r.starts_with(role) && t == tag => {
                Some((*at, *len))
            }
            _ => None,
        });
        let (at, len) = found?;
        let mut values = vec![0; len.saturating_sub(1)];
        let load = |i: usize| self.words.word(at + i);
        let read = (0..BLOCK_TRIES).any(|_| block::read(load, &mut values));
        (read && self.word(at) > 0).then_some(values)
    }
}

/// `len` bytes from word `at` on.
fn text(words: &SharedView, at: u64, len: u64) -> Option<Vec<u8>> {
    if len > TABLE_LEN_MAX {
        return None;
    }
    let (at, len) = (usize::try_from(at).ok()?, usize::try_from(len).ok()?);
    let mut bytes = Vec::with_capacity(len + 8);
    for i in 0..len.div_ceil(8) {
        bytes.extend_from_slice(&words.word(at.checked_add(i)?)?.to_le_bytes());
    }
    bytes.truncate(len);
    Some(bytes)
}

/// Removes files in `folder` that engines left behind: those whose process is gone and that have
/// not beaten for [`SILENT_MS`], because a process may live where its number cannot be seen. Only
/// names that begin with `prefix` are looked at.
pub fn sweep(folder: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        if ours && is_left_behind(&entry.path()) {
            // Another run may have been faster.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The file is a counters file whose process is gone.
fn is_left_behind(path: &Path) -> bool {
    let Ok(words) = SharedView::open(path) else { return false };
    let head = |at: At| words.word(at as usize).unwrap_or(0);
    let alive = u32::try_from(head(At::Pid)).ok().and_then(began) == Some(head(At::Began));
    let silent = view::wall_ms().saturating_sub(head(At::BeatMs)) > SILENT_MS;
    head(At::Magic) == MAGIC && !alive && silent
}
