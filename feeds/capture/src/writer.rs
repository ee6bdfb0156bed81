//! The writer: records into blocks, blocks into numbered files.
//!
//! Invariant: a file ends behind a whole block whenever the writer is not inside a write; a
//! failed write is cut off again and its block kept for the next try. Cost: about 2 ms of zstd
//! for a block of 1 MiB, one write for the block and one for its index entry.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bot4_types::Nanos;

use crate::block::{BLOCK_RAW_MAX, BlockHeader, Codec, HEADER_LEN};
use crate::head::{FrameHead, LOST_LEN, Lost, RECORD_HEAD_LEN};
use crate::index::{self, ENTRY_LEN, Entry};
use crate::resume::{self, Resumed, file_path};
use crate::ring::{CaptureRx, Popped};

/// How a capture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureOptions {
    /// A block is closed at this many bytes of records.
    pub block_bytes: usize,
    /// A block is closed this long after its first record.
    pub block_span: Nanos,
    /// zstd's level.
    pub level: i32,
    /// A new file is begun when one has this many bytes.
    pub file_bytes: u64,
    /// A new file is begun when one spans this much.
    pub file_span: Nanos,
    /// Wait for the disk after each block: power loss then costs the open block at most.
    pub sync: bool,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            block_bytes: 1024 * 1024,
            block_span: Nanos::from_secs(1),
            level: 3,
            file_bytes: 256 * 1024 * 1024,
            file_span: Nanos::from_secs(3_600),
            sync: false,
        }
    }
}

/// What was written since the writer was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureTotals {
    /// Frames.
    pub frames: u64,
    /// Bytes of their texts.
    pub text_bytes: u64,
    /// Bytes in files, headers included.
    pub stored_bytes: u64,
    /// Blocks.
    pub blocks: u64,
    /// Files written to.
    pub files: u32,
    /// Frames that the hot side had no room for, or that a failing disk did not take.
    pub lost_frames: u64,
    /// Bytes of their texts.
    pub lost_bytes: u64,
}

/// An open capture folder. Only one writer may have a folder open.
pub struct CaptureWriter {
    dir: PathBuf,
    /// Locked for as long as the writer lives.
    _lock: File,
    options: CaptureOptions,
    resumed: Resumed,
    session: u32,
    compressor: zstd::bulk::Compressor<'static>,
    open: Option<OpenFile>,
    next_file: u32,
    /// Header and stored bytes of the block being closed.
    stored: Vec<u8>,
    block: Block,
    next_frame: u64,
    /// Not taken since the last success.
    lost: Lost,
    last_stamp: (Nanos, i64),
    totals: CaptureTotals,
}

struct OpenFile {
    file: File,
    index: File,
    len: u64,
    entries: u64,
    first_recv: Option<Nanos>,
}

/// The block being filled.
#[derive(Default)]
struct Block {
    raw: Vec<u8>,
    frames: u32,
    first: (Nanos, i64),
    last: (Nanos, i64),
}

impl Block {
    fn note(&mut self, stamp: (Nanos, i64)) {
        if self.raw.is_empty() {
            self.first = stamp;
        }
        self.last = stamp;
    }
}

impl CaptureWriter {
    /// Opens `dir`, making it if it is not there, and goes on behind the last whole block.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::WouldBlock`] when another writer has the
    /// folder open; [`io::ErrorKind::Unsupported`] when a recorder of another version wrote last.
    pub fn open(dir: &Path, options: CaptureOptions) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let lock = File::open(dir)?;
        lock.try_lock()?;
        let place = resume::find(dir)?;
        let next_frame = place.resumed.frames;
        let session = place.resumed.sessions.saturating_add(1);
        let last_file = place.last.as_ref().map_or(0, |(number, _)| *number);
        let next_file = last_file.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut writer = Self {
            dir: dir.to_owned(),
            _lock: lock,
            options,
            resumed: place.resumed,
            session,
            compressor: zstd::bulk::Compressor::new(options.level)?,
            open: None,
            next_file,
            stored: Vec::new(),
            block: Block::default(),
            next_frame,
            lost: Lost::default(),
            last_stamp: (Nanos::ZERO, 0),
            totals: CaptureTotals::default(),
        };
        if let Some((number, entries)) = place.last {
            writer.continue_file(number, &entries)?;
        }
        Ok(writer)
    }

    /// What the folder held when it was opened.
    #[must_use]
    pub const fn resumed(&self) -> &Resumed {
        &self.resumed
    }

    /// The number of this start of the recorder in the folder, from 1.
    #[must_use]
    pub const fn session(&self) -> u32 {
        self.session
    }

    /// What was written so far; the open block's frames count already, its bytes do not.
    #[must_use]
    pub const fn totals(&self) -> CaptureTotals {
        self.totals
    }

    /// Adds a frame; `head.len` is taken from the text, given in pieces.
    ///
    /// # Errors
    /// What the disk says when a full block could not be written. The frame is then not taken
    /// and counted as lost; what was taken before is kept and tried again by the next call.
    pub fn append(&mut self, head: FrameHead, text: &[&[u8]]) -> io::Result<()> {
        let len: usize = text.iter().map(|piece| piece.len()).sum();
        let stamp = (head.recv, head.wall_unix_ns);
        self.last_stamp = stamp;
        let record = RECORD_HEAD_LEN + len;
        let fits = self.make_room(record + RECORD_HEAD_LEN + LOST_LEN);
        if fits.is_err() || record > BLOCK_RAW_MAX / 2 {
            self.count_lost(head.recv, len);
            return fits;
        }
        self.tell_lost(stamp);
        let head = FrameHead { len: len as u32, ..head };
        self.block.note(stamp);
        self.block.raw.extend_from_slice(&head.encode());
        text.iter().for_each(|piece| self.block.raw.extend_from_slice(piece));
        self.block.frames += 1;
        self.totals.frames += 1;
        self.totals.text_bytes += len as u64;
        Ok(())
    }

    /// Takes what waits in `rx`, at most `batch` records. Returns how many there were.
    ///
    /// # Errors
    /// As [`CaptureWriter::append`].
    pub fn drain(&mut self, rx: &mut CaptureRx, batch: usize) -> io::Result<usize> {
        for done in 0..batch {
            let taken = rx.pop(|popped| match popped {
                Popped::Frame(head, [a, b]) => self.append(head, &[a, b]),
                Popped::Lost(lost, at, wall) => {
                    self.add_lost(lost);
                    self.last_stamp = (at, wall);
                    Ok(())
                }
            });
            match taken {
                Some(taken) => taken?,
                None => return Ok(done),
            }
        }
        Ok(batch)
    }

    /// Notes frames that somebody before the writer lost; they are told before the next frame.
    pub fn add_lost(&mut self, lost: Lost) {
        let since = if self.lost.frames > 0 { self.lost.since } else { lost.since };
        self.lost = Lost {
            frames: self.lost.frames.saturating_add(lost.frames),
            bytes: self.lost.bytes.saturating_add(lost.bytes),
            since,
            by_recorder: true,
        };
        self.totals.lost_frames = self.totals.lost_frames.saturating_add(lost.frames);
        self.totals.lost_bytes = self.totals.lost_bytes.saturating_add(lost.bytes);
    }

    /// Closes the block when it is due. To be called once a turn.
    ///
    /// # Errors
    /// What the disk says; the block is kept and tried again.
    pub fn turn(&mut self, now: Nanos) -> io::Result<()> {
        let old = now.since(self.block.first.0) >= self.options.block_span;
        if self.block.raw.len() >= self.options.block_bytes || old {
            self.flush()?;
        }
        Ok(())
    }

    /// Closes the block now, if it holds anything.
    ///
    /// # Errors
    /// What the disk says; the block is kept and tried again.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.block.raw.is_empty() {
            return Ok(());
        }
        let header = self.compress()?;
        self.roll()?;
        let sync = self.options.sync;
        let Some(open) = &mut self.open else { return Ok(()) };
        let written = open.file.write_all_at(&self.stored, open.len);
        let written = written.and_then(|()| if sync { open.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // The file ends behind a whole block again; what cannot be cut now is cut when the
            // folder is opened again.
            let _ = open.file.set_len(open.len);
            return Err(error);
        }
        // A hole in the index only means that readers look at the blocks themselves.
        let entry = Entry::of(open.len, &header).encode();
        let _ = open.index.write_all_at(&entry, open.entries * ENTRY_LEN as u64);
        open.entries += 1;
        open.len += self.stored.len() as u64;
        open.first_recv.get_or_insert(header.first_recv);
        self.totals.stored_bytes += self.stored.len() as u64;
        self.totals.blocks += 1;
        self.next_frame = header.end_frame();
        self.block.raw.clear();
        self.block.frames = 0;
        Ok(())
    }

    /// Tells what was lost last, closes the block and waits for the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(mut self) -> io::Result<CaptureTotals> {
        self.tell_lost(self.last_stamp);
        self.flush()?;
        if let Some(open) = &self.open {
            open.file.sync_data()?;
        }
        Ok(self.totals)
    }

    /// Closes the block when it is full or the next record would not fit.
    fn make_room(&mut self, record: usize) -> io::Result<()> {
        let raw = self.block.raw.len();
        if raw >= self.options.block_bytes || raw + record > BLOCK_RAW_MAX {
            self.flush()?;
        }
        Ok(())
    }

    fn count_lost(&mut self, recv: Nanos, len: usize) {
        self.lost.add(recv, len);
        self.totals.lost_frames += 1;
        self.totals.lost_bytes += len as u64;
    }

    fn tell_lost(&mut self, stamp: (Nanos, i64)) {
        if self.lost.frames > 0 {
            self.block.note(stamp);
            self.block.raw.extend_from_slice(&self.lost.encode(stamp.0, stamp.1));
            self.lost = Lost::default();
        }
    }

    /// Header and stored bytes of the block into `stored`.
    fn compress(&mut self) -> io::Result<BlockHeader> {
        let raw = &self.block.raw;
        self.stored.clear();
        self.stored.resize(HEADER_LEN + zstd::zstd_safe::compress_bound(raw.len()), 0);
        let squeezed = self.compressor.compress_to_buffer(raw, &mut self.stored[HEADER_LEN..])?;
        let codec = if squeezed < raw.len() { Codec::Zstd } else { Codec::Plain };
        let stored_len = squeezed.min(raw.len());
        if codec == Codec::Plain {
            self.stored[HEADER_LEN..HEADER_LEN + stored_len].copy_from_slice(raw);
        }
        self.stored.truncate(HEADER_LEN + stored_len);
        let header = BlockHeader {
            codec,
            raw_len: raw.len() as u32,
            stored_len: stored_len as u32,
            first_frame: self.next_frame,
            frames: self.block.frames,
            session: self.session,
            first_recv: self.block.first.0,
            last_recv: self.block.last.0,
            first_wall: self.block.first.1,
            last_wall: self.block.last.1,
            stored_crc: crc32c::crc32c(&self.stored[HEADER_LEN..]),
        };
        self.stored[..HEADER_LEN].copy_from_slice(&header.encode());
        Ok(header)
    }

    /// Sees to it that a file is open that may take the next block.
    fn roll(&mut self) -> io::Result<()> {
        if let Some(open) = &self.open {
            let span = open.first_recv.map_or(Nanos::ZERO, |at| self.block.last.0.since(at));
            let full =
                open.len > 0 && open.len + self.stored.len() as u64 > self.options.file_bytes;
            if !full && span < self.options.file_span {
                return Ok(());
            }
        }
        let path = file_path(&self.dir, self.next_file);
        // The index first: whichever of the two the disk refuses, the next try finds no file.
        let index = index::rewrite(&path, &[])?;
        let file = File::options().write(true).create_new(true).open(&path)?;
        self.open = Some(OpenFile { file, index, len: 0, entries: 0, first_recv: None });
        self.next_file = self.next_file.saturating_add(1);
        self.totals.files += 1;
        Ok(())
    }

    /// Opens the folder's last file for more, with an index made anew.
    fn continue_file(&mut self, number: u32, entries: &[Entry]) -> io::Result<()> {
        let path = file_path(&self.dir, number);
        let file = File::options().write(true).open(&path)?;
        let index = index::rewrite(&path, entries)?;
        let len = file.metadata()?.len();
        let entries = entries.len() as u64;
        // The file's span counts from this session on: clocks of two sessions do not compare.
        self.open = Some(OpenFile { file, index, len, entries, first_recv: None });
        self.totals.files += 1;
        Ok(())
    }
}

/// A writer that was not finished: the open block is written if the
/// disk takes it.
impl Drop for CaptureWriter {
    fn drop(&mut self) {
        self.tell_lost(self.last_stamp);
        let _ = self.flush();
    }
}
