//! Reading a journal back: a stream of records and flaws, with bounded memory.
//!
//! ```text
//! dir or file --> segments in order --> window (64 KiB) --> parse --> Ok(Record) | Err(Flaw)
//! ```
//!
//! A **torn tail** is what a crash leaves: in the last segment, bytes that are no record, with
//! no record behind them. **Damage** is anything else that should not be: it names the first
//! offset that cannot be read and the offset at which reading goes on, if it does. Behind a failed
//! sync nothing may be relied on: records there say so ([`Record::synced`]), and what cannot be
//! read there is no damage but **unsynced**. Invariant:
//! any bytes give an answer, never a panic; a finished journal with one changed byte or a
//! missing end never reads as [`Reader::is_closed`] without a flaw.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bot4_types::{LogEntry, RunEpoch};

use crate::prefix::Prefix;
use crate::segment::{
    self, ALIGN, HEADER_BYTES, Header, HeaderError, Parsed, RECORD_BYTES_MAX, RESERVE_NAME,
    SealKind,
};
use crate::window::Window;

/// A record and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// The record.
    pub entry: LogEntry,
    /// The run that wrote it.
    pub epoch: RunEpoch,
    /// Index of its segment.
    pub segment: u32,
    /// Its offset in the segment's file.
    pub offset: u64,
    /// False behind a sync that failed: it reads well now, and may not after the next reboot.
    pub synced: bool,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// The operating system refused to read.
    Io(String),
    /// The header is not one of this format; the records are read nevertheless.
    Header(&'static str),
    /// A format of another version; the segment is skipped.
    Version(u32),
    /// Bytes that are no record, and where records go on in the same file, if they do.
    Damage(Option<u64>),
    /// The end of the last segment is missing or half written.
    TornTail,
    /// What lies behind a sync that failed cannot be read: it was lost by the disk.
    Unsynced,
    /// A finished segment whose seal does not fit its records.
    Seal(&'static str),
    /// Segments from the first index to the second should be there and are not.
    Missing(u32, u32),
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The file.
    pub file: PathBuf,
    /// Offset in the file of the first byte that cannot be trusted.
    pub offset: u64,
    /// What is wrong.
    pub kind: FlawKind,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: ", self.file.display(), self.offset)?;
        match &self.kind {
            FlawKind::Io(e) => write!(f, "cannot be read: {e}"),
            FlawKind::Header(what) => write!(f, "damaged header: {what}"),
            FlawKind::Version(v) => write!(f, "format version {v} is not known"),
            FlawKind::Damage(Some(at)) => write!(f, "damage, records go on at {at}"),
            FlawKind::Damage(None) => f.write_str("damage up to the end of the file"),
            FlawKind::TornTail => f.write_str("torn tail"),
            FlawKind::Unsynced => f.write_str("lost behind a sync that failed"),
            FlawKind::Seal(what) => write!(f, "seal does not fit: {what}"),
            FlawKind::Missing(from, to) if from == to => write!(f, "segment {from} is missing"),
            FlawKind::Missing(from, to) => write!(f, "segments {from} to {to} are missing"),
        }
    }
}

impl std::error::Error for Flaw {}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With a seal.
    Sealed(SealKind),
    /// Without one: being written, or left by a crash.
    Open,
    /// Prepared and never used.
    Unused,
}

/// One step through a segment.
#[expect(clippy::large_enum_variant, reason = "one at a time, never stored")]
enum Step {
    Record(Record),
    Flaw(FlawKind, u64),
    End(End),
}

/// A segment being read.
struct SegmentReader {
    window: Window,
    path: PathBuf,
    /// The index its name says; the header's for files with other names.
    index: u32,
    epoch: RunEpoch,
    is_last: bool,
    /// Length of the file when it was opened.
    length: u64,
    /// Preallocated length by its header.
    segment_bytes: Option<u64>,
    records: u64,
    /// From this offset on nothing may be relied on: the next segment's header says so.
    synced_to: u64,
    /// Offset behind the last record or the header.
    sound_end: u64,
    seal: Option<SealKind>,
    flawed: bool,
}

impl SegmentReader {
    /// Opens `path` and reads its header. `Err` is a flaw that makes the file unreadable.
    fn open(
        path: &Path,
        index: Option<u32>,
        is_last: bool,
        run: Option<RunEpoch>,
    ) -> Result<(Self, Option<FlawKind>), FlawKind> {
        let io = |e: io::Error| FlawKind::Io(e.to_string());
        let mut window = Window::open(path).map_err(io)?;
        let length = window.file.metadata().map_err(io)?.len();
        let header = Header::decode(window.view(HEADER_BYTES).map_err(io)?);
        let mut reader = Self {
            window,
            path: path.to_owned(),
            index: index.unwrap_or(0),
            epoch: run.unwrap_or_default(),
            is_last,
            length,
            segment_bytes: None,
            records: 0,
            synced_to: u64::MAX,
            sound_end: 0,
            seal: None,
            flawed: false,
        };
        let flaw = match header {
            Ok(h) => {
                reader.window.skip(HEADER_BYTES);
                reader.sound_end = HEADER_BYTES as u64;
                let foreign = run.is_some_and(|run| run != h.epoch);
                let misnamed = index.is_some_and(|index| index != h.index);
                let is_long = length > h.segment_bytes;
                (reader.index, reader.epoch) = (h.index, h.epoch);
                reader.segment_bytes = Some(h.segment_bytes);
                foreign
                    .then_some(FlawKind::Header("a segment of another run"))
                    .or(misnamed.then_some(FlawKind::Header("the index is not the name's")))
                    .or(is_long.then_some(FlawKind::Header("the file is longer than it says")))
            }
            Err(HeaderError::Version(v)) => return Err(FlawKind::Version(v)),
            // The step at offset 0 judges these two.
            Err(HeaderError::Unused | HeaderError::Short) => None,
            // Its writer died in the middle of the header.
            Err(HeaderError::Damaged) if is_last && is_empty_behind_header(path) => {
                Some(FlawKind::TornTail)
            }
            Err(HeaderError::Damaged) => {
                reader.window.skip(HEADER_BYTES);
                Some(FlawKind::Header("checksum"))
            }
        };
        reader.flawed = flaw.is_some();
        Ok((reader, flaw))
    }

    fn step(&mut self) -> Step {
        match self.try_step() {
            Ok(step) => step,
            Err(e) => {
                self.flawed = true;
                Step::Flaw(FlawKind::Io(e.to_string()), self.window.offset)
            }
        }
    }

    fn try_step(&mut self) -> io::Result<Step> {
        let offset = self.window.offset;
        if offset == 0 {
            return self.headless();
        }
        if let Some(kind) = self.seal {
            return self.behind_seal(kind);
        }
        match segment::parse(self.window.view(RECORD_BYTES_MAX)?) {
            Parsed::Record(entry, taken) => {
                self.window.skip(taken);
                self.records += 1;
                self.sound_end = self.window.offset;
                let (epoch, segment) = (self.epoch, self.index);
                let synced = offset < self.synced_to;
                Ok(Step::Record(Record { entry, epoch, segment, offset, synced }))
            }
            Parsed::Seal { index, records, kind, taken } => {
                self.window.skip(taken);
                self.seal = Some(kind);
                if self.flawed || (index, records) == (u64::from(self.index), self.records) {
                    return self.behind_seal(kind);
                }
                self.flawed = true;
                let of_other = index != u64::from(self.index);
                let what = if of_other { "another segment's" } else { "records are missing" };
                Ok(Step::Flaw(FlawKind::Seal(what), offset))
            }
            Parsed::End => {
                if self.window.only_zeros_follow()? {
                    return Ok(self.open_end(offset));
                }
                self.unreadable(offset)
            }
            Parsed::Bad => self.unreadable(offset),
        }
    }

    /// What a flaw at `offset` is: behind a failed sync, a loss.
    fn judged(&self, kind: FlawKind, offset: u64) -> FlawKind {
        match kind {
            FlawKind::Io(_) | FlawKind::Version(_) => kind,
            _ if offset >= self.synced_to => FlawKind::Unsynced,
            _ => kind,
        }
    }

    /// The header is missing or all zero.
    fn headless(&mut self) -> io::Result<Step> {
        let zeros = self.window.only_zeros_follow()?;
        if zeros && self.is_last {
            return Ok(Step::End(End::Unused));
        }
        if self.window.offset == 0 {
            self.window.skip(1);
        }
        if self.flawed {
            return Ok(Step::End(End::Open));
        }
        self.unreadable(0)
    }

    /// All records were read and only zeros follow: sound while the segment has its full,
    /// preallocated length or was never cut by us, else the end is missing.
    fn open_end(&mut self, offset: u64) -> Step {
        if self.flawed || (self.is_last && self.segment_bytes == Some(self.length)) {
            return Step::End(End::Open);
        }
        self.flawed = true;
        Step::Flaw(if self.is_last { FlawKind::TornTail } else { FlawKind::Damage(None) }, offset)
    }

    /// Bytes at `offset` are no record: find out whether records go on behind them.
    fn unreadable(&mut self, offset: u64) -> io::Result<Step> {
        self.flawed = true;
        if self.window.offset == offset {
            self.window.skip(ALIGN);
        }
        let goes_on = self.window.seek_record()?;
        let at = self.window.offset;
        Ok(Step::Flaw(
            match (goes_on, self.is_last) {
                (true, _) => FlawKind::Damage(Some(at)),
                (false, true) => FlawKind::TornTail,
                (false, false) => FlawKind::Damage(None),
            },
            offset,
        ))
    }

    fn behind_seal(&mut self, kind: SealKind) -> io::Result<Step> {
        let offset = self.window.offset;
        if self.window.only_zeros_follow()? {
            return Ok(Step::End(End::Sealed(kind)));
        }
        // Whatever lies here was never written by the journal: report it once, then end.
        while !self.window.view(1)?.is_empty() {
            self.window.skip(usize::MAX);
        }
        self.flawed = true;
        Ok(Step::Flaw(FlawKind::Damage(None), offset))
    }
}

/// Where the records of a journal end that has no last seal: what a recovery seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEnd {
    /// The last segment with a header.
    pub file: PathBuf,
    /// Its index.
    pub index: u32,
    /// Offset behind its last record.
    pub offset: u64,
    /// Records in it.
    pub records: u64,
}

/// A stream of the records of a journal directory or of one segment file. An `Err` item is a
/// flaw; the stream goes on behind it where it can, so a caller that needs every record stops
/// at the first one.
pub struct Reader {
    files: VecDeque<(PathBuf, Option<u32>)>,
    current: Option<SegmentReader>,
    flaws: VecDeque<Flaw>,
    run: Option<RunEpoch>,
    next_index: Option<u32>,
    ended: Option<SealKind>,
    open_end: Option<OpenEnd>,
    whole: bool,
    has_spare: bool,
    bytes_total: u64,
    /// Bytes of the files that were read to their end.
    bytes_done: u64,
}

impl Reader {
    /// Reads `path`: a journal directory, or one segment.
    ///
    /// # Errors
    /// When `path` cannot be listed, or a directory holds no segment.
    pub fn open(path: &Path) -> io::Result<Self> {
        let whole = fs::metadata(path)?.is_dir();
        let mut files = if whole { segments_of(path)? } else { vec![(path.to_owned(), None)] };
        if files.is_empty() && !(whole && path.join(RESERVE_NAME).exists()) {
            let what = format!("{} holds no journal segment (*.b4j)", path.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        // The segment before an unused spare is the last one.
        let has_spare = files.len() > 1 && is_unused(&files[files.len() - 1].0);
        if has_spare {
            files.pop();
        }
        if whole {
            put_reserve(path, &mut files);
        }
        let length = |(path, _): &(PathBuf, _)| fs::metadata(path).map_or(0, |m| m.len());
        Ok(Self {
            bytes_total: files.iter().map(length).sum(),
            bytes_done: 0,
            files: files.into(),
            has_spare,
            current: None,
            flaws: VecDeque::new(),
            run: None,
            next_index: whole.then_some(1),
            ended: None,
            open_end: None,
            whole,
        })
    }

    /// Reads what lies behind `prefix` in the journal directory `path`, as part of the whole.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_behind(path: &Path, prefix: &Prefix) -> io::Result<Self> {
        let mut reader = Self::open(path)?;
        let before = |index: Option<u32>| index.is_some_and(|i| i <= prefix.segments());
        while let Some((file, _)) = reader.files.pop_front_if(|(_, index)| before(*index)) {
            reader.bytes_total -= fs::metadata(file).map_or(0, |m| m.len());
        }
        reader.run = Some(prefix.epoch());
        reader.next_index = prefix.segments().checked_add(1);
        Ok(reader)
    }

    /// Bytes read so far and bytes in all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let here = self.current.as_ref().map_or(0, |segment| segment.window.offset);
        (self.bytes_done + here, self.bytes_total)
    }

    /// After the last item: a recovery cut and sealed the journal of a writer that died.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.ended == Some(SealKind::Recovered)
    }

    /// After the last item: where a journal ends that was not closed. `None` also when it holds
    /// no segment with a header.
    #[must_use]
    pub const fn open_end(&self) -> Option<&OpenEnd> {
        self.open_end.as_ref()
    }

    /// After the last item: the journal ends with its last seal, as written at an orderly close
    /// or by a recovery. For one segment of several: it was finished.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.ended.is_some()
    }

    /// The run, once a header was read.
    #[must_use]
    pub const fn epoch(&self) -> Option<RunEpoch> {
        self.run
    }

    /// Opens the next file. False when there is none.
    fn advance(&mut self) -> bool {
        let Some((path, index)) = self.files.pop_front() else { return false };
        let flaw = |kind| Flaw { file: path.clone(), offset: 0, kind };
        if let (Some(expected), Some(index)) = (self.next_index, index) {
            if expected < index {
                self.flaws.push_back(flaw(FlawKind::Missing(expected, index - 1)));
            }
            self.next_index = index.checked_add(1);
        }
        match SegmentReader::open(&path, index, self.files.is_empty(), self.run) {
            Ok((mut segment, kind)) => {
                segment.synced_to = self.synced_to(index);
                let kind = kind.map(|kind| segment.judged(kind, 0));
                let is_begun = segment.window.offset > 0;
                if is_begun && self.ended.is_some() {
                    self.flaws.push_back(flaw(FlawKind::Seal("segments follow the last one")));
                }
                if is_begun {
                    (self.ended, self.open_end) = (None, None);
                }
                if is_begun && kind.is_none() {
                    self.run = Some(segment.epoch);
                }
                self.flaws.extend(kind.map(flaw));
                self.current = Some(segment);
            }
            Err(kind) => self.flaws.push_back(flaw(kind)),
        }
        true
    }

    /// What the header of the next file says about segment `index`.
    fn synced_to(&self, index: Option<u32>) -> u64 {
        let next = self.files.front().and_then(|(path, _)| header_of(path));
        let follows = |next: &Header| index.is_some_and(|i| i.checked_add(1) == Some(next.index));
        next.filter(follows).and_then(|next| next.previous_synced).unwrap_or(u64::MAX)
    }

    /// Takes the end of a segment in.
    fn end(&mut self, end: End) {
        let Some(segment) = self.current.take() else { return };
        self.bytes_done += segment.length;
        match end {
            End::Sealed(SealKind::GoesOn) if self.lacks_next() => {
                let next = segment.index.saturating_add(1);
                let (file, offset) = (segment.path, segment.window.offset);
                self.flaws.push_back(Flaw { file, offset, kind: FlawKind::Missing(next, next) });
            }
            End::Sealed(kind) if kind != SealKind::GoesOn || !self.whole => self.ended = Some(kind),
            // Behind a seal the writer may have died before it began the next segment.
            End::Sealed(_) | End::Open if segment.sound_end > 0 => {
                self.open_end = Some(OpenEnd {
                    file: segment.path,
                    index: segment.index,
                    offset: segment.sound_end,
                    records: segment.records,
                });
            }
            _ => {}
        }
    }

    /// The journal should go on in a next segment, and there is none.
    fn lacks_next(&self) -> bool {
        self.whole && self.files.is_empty() && !self.has_spare
    }
}

impl Iterator for Reader {
    type Item = Result<Record, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(flaw) = self.flaws.pop_front() {
                return Some(Err(flaw));
            }
            let Some(segment) = self.current.as_mut() else {
                if self.advance() {
                    continue;
                }
                return None;
            };
            match segment.step() {
                Step::Record(record) => return Some(Ok(record)),
                Step::Flaw(kind, offset) => {
                    let (file, kind) = (segment.path.clone(), segment.judged(kind, offset));
                    let unreadable = matches!(kind, FlawKind::Io(_));
                    if unreadable {
                        self.bytes_done += segment.length;
                        self.current = None;
                    }
                    return Some(Err(Flaw { file, offset, kind }));
                }
                Step::End(end) => self.end(end),
            }
        }
    }
}

/// The file is all zero: prepared and never used.
fn is_unused(path: &Path) -> bool {
    Window::open(path).and_then(|mut w| w.only_zeros_follow()).unwrap_or(false)
}

fn is_empty_behind_header(path: &Path) -> bool {
    let zeros = |mut window: Window| {
        window.view(HEADER_BYTES)?;
        window.skip(HEADER_BYTES);
        window.only_zeros_follow()
    };
    Window::open(path).and_then(zeros).unwrap_or(false)
}

fn header_of(path: &Path) -> Option<Header> {
    let header = Window::open(path).and_then(|mut w| Ok(Header::decode(w.view(HEADER_BYTES)?)));
    header.ok().and_then(Result::ok)
}

/// Puts the reserve of `dir` at its place in `files`, if it was used.
fn put_reserve(dir: &Path, files: &mut Vec<(PathBuf, Option<u32>)>) {
    let path = dir.join(RESERVE_NAME);
    if !path.exists() || is_unused(&path) {
        return;
    }
    let index = header_of(&path).map(|h| h.index);
    // A spare that came too late and was never used leaves its place.
    files.retain(|(file, at)| *at != index || !is_unused(file));
    files.push((path, index));
    files.sort_by_key(|(_, index)| index.unwrap_or(u32::MAX));
}

/// The segments in `dir`, in order.
fn segments_of(dir: &Path) -> io::Result<Vec<(PathBuf, Option<u32>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let index = path.file_name().and_then(|n| n.to_str()).and_then(segment::index_of);
        if index.is_some() {
            found.push((path, index));
        }
    }
    found.sort_by_key(|(_, index)| *index);
    Ok(found)
}
