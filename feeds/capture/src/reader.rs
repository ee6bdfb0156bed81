//! The reader: frames in order, with everything that is missing told as an item of its own.
//!
//! Invariant: a frame is handed out only from a block whose stored bytes check; what does not
//! check is skipped to the next block that does. Holds one block in memory.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::block::{BlockHeader, Codec, HEADER_LEN, MAGIC, find_from, header_at};
use crate::head::{FrameHead, LOST_LEN, Lost, RECORD_HEAD_LEN, RecordHead};
use crate::{index, resume};

/// What is wrong with some bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// No block header that checks.
    Header,
    /// A header of a version or codec that this reader does not know.
    Version,
    /// The file ends inside the block: the recorder was killed, or still writes.
    Torn,
    /// The stored bytes are not those that were written.
    Stored,
    /// The records in the block are none.
    Records,
    /// A block whose frames came before.
    Repeated,
}

impl DamageKind {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "no block",
            Self::Version => "a block of an unknown version",
            Self::Torn => "a torn block",
            Self::Stored => "a block whose checksum is wrong",
            Self::Records => "a block without sense",
            Self::Repeated => "a block that was there before",
        }
    }
}

/// Bytes of a file that were skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which file.
    pub file: PathBuf,
    /// Where they begin.
    pub offset: u64,
    /// How many: up to the next block that checks, or the file's end.
    pub bytes: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, offset) = (self.file.display(), self.offset);
        write!(f, "{file}: offset {offset}: {}, {} bytes skipped", self.kind.name(), self.bytes)
    }
}

/// The next thing in a capture.
#[derive(Debug)]
pub enum Item<'a> {
    /// A frame and its text.
    Frame(FrameHead, &'a [u8]),
    /// Frames that are missing here.
    Lost(Lost),
    /// The recorder was started again: what came between is not in the capture, and the engine
    /// clock begins anew.
    Session(u32),
    /// Bytes that were skipped. The frames in them are told by a [`Item::Lost`] behind it, once
    /// a later block shows how many they were.
    Damage(Damage),
}

/// Reads a capture from its folder, or one of its files.
pub struct CaptureReader {
    files: VecDeque<PathBuf>,
    file: Option<Open>,
    decompressor: zstd::bulk::Decompressor<'static>,
    stored: Vec<u8>,
    raw: Vec<u8>,
    /// Where the next record begins in `raw`.
    cursor: usize,
    /// Number of the next frame, once known.
    expected: Option<u64>,
    session: Option<u32>,
    news: VecDeque<News>,
    /// Frames received before this Unix time are passed over.
    skip_before: Option<i64>,
    bytes_total: u64,
    bytes_behind: u64,
}

struct Open {
    path: PathBuf,
    file: File,
    len: u64,
    at: u64,
    /// Of the block in memory.
    block_at: u64,
}

enum News {
    Lost(Lost),
    Session(u32),
    Damage(Damage),
}

/// `path` is a folder with capture files, or a capture file.
#[must_use]
pub fn is_capture(path: &Path) -> bool {
    if path.is_dir() {
        return resume::list(path).is_ok_and(|files| !files.is_empty());
    }
    // To open a pipe would wait for its writer, and to close it again would take its text away.
    if !path.is_file() {
        return false;
    }
    let mut first = [0; MAGIC.len()];
    let begins = File::open(path).and_then(|f| f.read_exact_at(&mut first, 0)).is_ok();
    (begins && first == MAGIC) || path.extension().is_some_and(|e| e == "b4c")
}

impl CaptureReader {
    /// Opens a capture's folder, or one of its files.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::NotFound`] for a folder without capture files.
    pub fn open(path: &Path) -> io::Result<Self> {
        let whole = path.is_dir();
        let files: VecDeque<PathBuf> = if whole {
            resume::list(path)?.into_iter().map(|(_, path)| path).collect()
        } else {
            VecDeque::from([path.to_owned()])
        };
        if files.is_empty() {
            let what = "no capture-NNNNNN.b4c in this folder";
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        let mut bytes_total = 0;
        for file in &files {
            bytes_total += std::fs::metadata(file)?.len();
        }
        Ok(Self {
            files,
            file: None,
            decompressor: zstd::bulk::Decompressor::new()?,
            stored: Vec::new(),
            raw: Vec::new(),
            cursor: 0,
            // A folder begins with the first frame; a file alone with any.
            expected: whole.then_some(0),
            session: None,
            news: VecDeque::new(),
            skip_before: None,
            bytes_total,
            bytes_behind: 0,
        })
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// What the disk says. Damage is no error but an item.
    #[allow(clippy::should_implement_trait, reason = "an item borrows the block in memory")]
    pub fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Ok(Some(match news {
                    News::Lost(lost) => Item::Lost(lost),
                    News::Session(session) => Item::Session(session),
                    News::Damage(damage) => Item::Damage(damage),
                }));
            }
            if self.cursor >= self.raw.len() {
                if !self.load_block()? {
                    return Ok(None);
                }
                continue;
            }
            let Some((kind, head, from)) = self.record() else { continue };
            let to = from + head.len as usize;
            self.cursor = to;
            match kind {
                RecordHead::Lost => {
                    let text = self.raw[from..to].first_chunk::<LOST_LEN>();
                    return Ok(text.map(|text| Item::Lost(Lost::decode(text))));
                }
                RecordHead::Frame(head) => {
                    self.expected = self.expected.map(|n| n.saturating_add(1));
                    if self.skip_before.is_some_and(|t| head.wall_unix_ns < t) {
                        continue;
                    }
                    self.skip_before = None;
                    return Ok(Some(Item::Frame(head, &self.raw[from..to])));
                }
            }
        }
    }

    /// Goes to the first frame received at or after `unix_ns`, searched from the beginning of
    /// what has not been read yet. Wall clocks may step: within a block that spans the time
    /// every frame from the first such one on is handed out.
    ///
    /// # Errors
    /// What the disk says.
    pub fn seek_wall(&mut self, unix_ns: i64) -> io::Result<()> {
        self.forget_block();
        self.skip_before = Some(unix_ns);
        while self.has_file()? {
            let Some(open) = &mut self.file else { break };
            let entries = index::load(&open.path, &open.file, open.len)?;
            let hit = entries.iter().find(|e| e.offset >= open.at && e.last_wall >= unix_ns);
            if let Some(entry) = hit {
                open.at = entry.offset;
                return Ok(());
            }
            open.at = open.len;
        }
        Ok(())
    }

    /// The session of the last item, once there was one: the number of the recorder's start.
    #[must_use]
    pub const fn session(&self) -> Option<u32> {
        self.session
    }

    /// Bytes of files behind and in all, for a progress bar.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.bytes_behind + self.file.as_ref().map_or(0, |f| f.at), self.bytes_total)
    }

    /// The record at the cursor: its head and where its text begins. `None` skips the rest of
    /// the block, with a note.
    fn record(&mut self) -> Option<(RecordHead, FrameHead, usize)> {
        let rest = &self.raw[self.cursor..];
        let head = rest.split_first_chunk::<RECORD_HEAD_LEN>();
        let found = head.and_then(|(head, rest)| {
            let (kind, head) = RecordHead::decode(head)?;
            (head.len as usize <= rest.len()).then_some((kind, head))
        });
        match found {
            Some((kind, head)) => Some((kind, head, self.cursor + RECORD_HEAD_LEN)),
            None => {
                self.cursor = self.raw.len();
                if let Some(open) = &self.file {
                    let bytes = open.at.saturating_sub(open.block_at);
                    let (file, offset) = (open.path.clone(), open.block_at);
                    let kind = DamageKind::Records;
                    self.news.push_back(News::Damage(Damage { file, offset, bytes, kind }));
                }
                None
            }
        }
    }

    fn forget_block(&mut self) {
        self.raw.clear();
        self.cursor = 0;
        self.expected = None;
        self.news.clear();
    }

    /// There is a file with bytes that were not read yet.
    fn has_file(&mut self) -> io::Result<bool> {
        loop {
            match &self.file {
                Some(open) if open.at < open.len => return Ok(true),
                Some(open) => {
                    self.bytes_behind += open.len;
                    self.file = None;
                }
                None => {}
            }
            let Some(path) = self.files.pop_front() else { return Ok(false) };
            let file = File::open(&path)?;
            let len = file.metadata()?.len();
            self.file = Some(Open { path, file, len, at: 0, block_at: 0 });
        }
    }

    /// Reads the next block that checks into memory. News of what was skipped may come without a
    /// block. False at the end.
    fn load_block(&mut self) -> io::Result<bool> {
        self.raw.clear();
        self.cursor = 0;
        if !self.has_file()? {
            return Ok(false);
        }
        let Some(mut open) = self.file.take() else { return Ok(false) };
        let found = match header_at(&open.file, open.at, open.len)? {
            Ok(header) => self.take_block(&open, &header)?.map(|()| header),
            Err(kind) => Err(kind),
        };
        match found {
            Ok(header) => {
                self.announce(&header);
                open.block_at = open.at;
                open.at += header.size();
            }
            Err(kind) => {
                let next = match kind {
                    DamageKind::Repeated => header_at(&open.file, open.at, open.len)?
                        .map_or(open.len, |header| open.at + header.size()),
                    _ => find_from(&open.file, open.at + 1, open.len)?.unwrap_or(open.len),
                };
                let (offset, bytes) = (open.at, next - open.at);
                let damage = Damage { file: open.path.clone(), offset, bytes, kind };
                self.news.push_back(News::Damage(damage));
                open.at = next;
            }
        }
        self.file = Some(open);
        Ok(true)
    }

    /// Reads, checks and decompresses one block into `raw`.
    fn take_block(
        &mut self,
        open: &Open,
        header: &BlockHeader,
    ) -> io::Result<Result<(), DamageKind>> {
        if self.expected.is_some_and(|n| header.first_frame < n) {
            return Ok(Err(DamageKind::Repeated));
        }
        self.stored.clear();
        self.stored.resize(header.stored_len as usize, 0);
        open.file.read_exact_at(&mut self.stored, open.at + HEADER_LEN as u64)?;
        if crc32c::crc32c(&self.stored) != header.stored_crc {
            return Ok(Err(DamageKind::Stored));
        }
        let raw_len = header.raw_len as usize;
        match header.codec {
            Codec::Plain => self.raw.extend_from_slice(&self.stored),
            Codec::Zstd => {
                self.raw.resize(raw_len, 0);
                let n = self.decompressor.decompress_to_buffer(&self.stored, &mut self.raw[..]);
                self.raw.truncate(n.unwrap_or(0));
            }
        }
        if self.raw.len() == raw_len {
            return Ok(Ok(()));
        }
        self.raw.clear();
        Ok(Err(DamageKind::Records))
    }

    /// News of a good block: a new session, frames missing before it.
    fn announce(&mut self, header: &BlockHeader) {
        if let Some(expected) = self.expected.filter(|n| header.first_frame > *n) {
            let frames = header.first_frame - expected;
            self.news.push_back(News::Lost(Lost { frames, ..Lost::default() }));
        }
        self.expected = Some(header.first_frame);
        if self.session.is_some_and(|s| s != header.session) {
            self.news.push_back(News::Session(header.session));
        }
        self.session = Some(header.session);
    }
}
