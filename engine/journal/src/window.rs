//! A segment's file seen through a window of bounded size that only moves forward.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::segment::{self, ALIGN, HEADER_BYTES, Parsed, RECORD_BYTES_MAX};

/// Bytes read at once.
const WINDOW_BYTES: usize = 64 * 1024;
const _: () = assert!(WINDOW_BYTES > 2 * RECORD_BYTES_MAX && WINDOW_BYTES > HEADER_BYTES);

/// A file seen through a window that moves forward.
pub(crate) struct Window {
    pub file: File,
    held: Vec<u8>,
    /// Place in `held` of the cursor.
    at: usize,
    /// Offset in the file of the cursor.
    pub offset: u64,
    ended: bool,
}

impl Window {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { file, held: Vec::with_capacity(WINDOW_BYTES), at: 0, offset: 0, ended: false })
    }

    /// At least `want` bytes from the cursor on, fewer only where the file ends.
    pub fn view(&mut self, want: usize) -> io::Result<&[u8]> {
        if self.held.len() - self.at < want && !self.ended {
            self.held.drain(..self.at);
            self.at = 0;
            let room = (WINDOW_BYTES - self.held.len()) as u64;
            let got = (&mut self.file).take(room).read_to_end(&mut self.held)?;
            self.ended = (got as u64) < room;
        }
        Ok(&self.held[self.at..])
    }

    /// Moves the cursor over `n` bytes that were seen.
    pub fn skip(&mut self, n: usize) {
        let n = n.min(self.held.len() - self.at);
        self.at += n;
        self.offset += n as u64;
    }

    /// Moves over zeros to the end. False when something else lies there; the cursor is then
    /// within an aligned step before it.
    pub fn only_zeros_follow(&mut self) -> io::Result<bool> {
        loop {
            let seen = self.view(1)?;
            if seen.is_empty() {
                return Ok(true);
            }
            let zeros = seen.iter().take_while(|b| **b == 0).count();
            let all = zeros == seen.len();
            self.skip(if all { zeros } else { zeros / ALIGN * ALIGN });
            if !all {
                return Ok(false);
            }
        }
    }

    /// Moves to the next place that reads as a record or seal, or to the end of the file and
    /// answers false.
    pub fn seek_record(&mut self) -> io::Result<bool> {
        loop {
            let seen = self.view(RECORD_BYTES_MAX)?;
            if seen.is_empty() {
                return Ok(false);
            }
            if matches!(segment::parse(seen), Parsed::Record(..) | Parsed::Seal { .. }) {
                return Ok(true);
            }
            self.skip(ALIGN);
        }
    }
}
