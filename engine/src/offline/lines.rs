//! One file of lines, plain or `.gz`, as a stream of received messages.
//!
//! Line formats are told apart by content: `<receive time, Unix ns> <JSON>`, bare JSON,
//! `<time ns> < or > <JSON>` (only what was received counts).

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::source::SourceError;

/// Bytes read from the disk at a time.
const BUFFER: usize = 256 * 1024;
/// Longest line in bytes: many times the longest message. More is no recording, and a packed file
/// of a few kB may hold a line that fills the memory.
const LINE_LEN_MAX: usize = 128 * 1024 * 1024;
/// What some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// First bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A line that holds a received message.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number in the file, from 1.
    pub number: usize,
    /// Receive time in Unix ns, zero where the line has none.
    pub recv_ns: i64,
    /// The JSON as received.
    pub text: &'a [u8],
}

/// An open file of lines.
pub struct LineFile {
    path: PathBuf,
    lines: Box<dyn BufRead>,
    /// Bytes of the file that were read, compressed ones where it is compressed.
    read: Rc<Cell<u64>>,
    number: usize,
    line: Vec<u8>,
}

impl LineFile {
    /// Opens `path`.
    ///
    /// # Errors
    /// [`SourceError::Io`].
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let wrong = |error| SourceError::Io { path: path.to_owned(), error };
        let read = Rc::new(Cell::new(0));
        let counted = Counted { file: File::open(path).map_err(wrong)?, read: read.clone() };
        let mut raw = BufReader::with_capacity(BUFFER, counted);
        let compressed = raw.fill_buf().map_err(wrong)?.starts_with(&GZIP);
        let lines: Box<dyn BufRead> = if compressed {
            let text = flate2::bufread::MultiGzDecoder::new(raw);
            Box::new(BufReader::with_capacity(BUFFER, text))
        } else {
            Box::new(raw)
        };
        Ok(Self { path: path.to_owned(), lines, read, number: 0, line: Vec::new() })
    }

    /// The next line that holds a received message; `None` at the end.
    ///
    /// # Errors
    /// What the disk or the archive says, or the number of a line that is none of the formats.
    #[allow(clippy::should_implement_trait, reason = "a line borrows the buffer")]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, SourceError> {
        loop {
            let fits = read_line(&mut self.lines, &mut self.line, LINE_LEN_MAX);
            let wrong = |error| SourceError::Io { path: self.path.clone(), error };
            let fits = fits.map_err(wrong)?;
            if self.line.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            let wrong =
                |what| SourceError::Line { path: self.path.clone(), line: self.number, what };
            if !fits {
                return Err(wrong("longer than 128 MiB"));
            }
            if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            let line = self.line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if let Some((recv_ns, skip)) = split_line(line).map_err(wrong)? {
                // Found again below: what `trim_ascii` gave would borrow the line through the loop.
                let (number, text) = (self.number, &self.line.trim_ascii()[skip..]);
                return Ok(Some(Line { number, recv_ns, text }));
            }
        }
    }

    /// Bytes of the file that were read.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read.get()
    }
}

struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.read.set(self.read.get() + n as u64);
        Ok(n)
    }
}

/// Reads a line of at most `len_max` bytes into `line`, empty at the end; false: it goes on.
fn read_line(lines: &mut dyn BufRead, line: &mut Vec<u8>, len_max: usize) -> io::Result<bool> {
    line.clear();
    lines.take(len_max as u64 + 1).read_until(b'\n', line)?;
    Ok(line.len() <= len_max)
}

/// Receive time and length of the prefix before the JSON; `None` for what the client sent.
fn split_line(line: &[u8]) -> Result<Option<(i64, usize)>, &'static str> {
    if matches!(line.first(), Some(b'{' | b'[')) {
        return Ok(Some((0, 0)));
    }
    let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
    let recv_ns = std::str::from_utf8(&line[..digits])
        .ok()
        .and_then(|t| t.parse().ok())
        .ok_or("does not begin with a receive time or JSON")?;
    let rest = &line[digits..];
    let at = digits + rest.iter().take_while(|b| **b == b' ').count();
    match line.get(at) {
        Some(b'{' | b'[') => Ok(Some((recv_ns, at))),
        Some(b'>') => Ok(None),
        Some(b'<') => {
            let spaces = line[at + 1..].iter().take_while(|b| **b == b' ').count();
            Ok(Some((recv_ns, at + 1 + spaces)))
        }
        _ => Err("no JSON behind the receive time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_line_format_is_told_apart() {
        assert_eq!(split_line(b"{\"a\":1}"), Ok(Some((0, 0))));
        assert_eq!(split_line(b"17 {\"a\":1}"), Ok(Some((17, 3))));
        assert_eq!(split_line(b"17 < {\"a\":1}"), Ok(Some((17, 5))));
        assert_eq!(split_line(b"17 > {\"a\":1}"), Ok(None));
        assert!(split_line(b"hello").is_err());
        assert!(split_line(b"17 hello").is_err());
        assert!(split_line(b"99999999999999999999999 {}").is_err());
    }

    #[test]
    fn no_line_fills_the_memory() {
        let mut endless = BufReader::new(io::repeat(b'x'));
        let mut line = Vec::new();
        assert!(!read_line(&mut endless, &mut line, 1_000).expect("readable"));
        assert_eq!(line.len(), 1_001);
        let mut text = &b"four\nfive5\nx"[..];
        let mut next = || {
            let fits = read_line(&mut text, &mut line, 5).expect("readable");
            (fits, line.len())
        };
        assert_eq!([next(), next(), next()], [(true, 5), (false, 6), (true, 1)]);
        assert_eq!(next(), (true, 0), "the end");
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        for (text, at) in [("\u{FEFF}{\"a\":1}\n", 1), ("\u{FEFF}\n{\"a\":1}", 2)] {
            std::fs::write(&path, text).expect("written");
            let mut file = LineFile::open(&path).expect("opened");
            let line = file.next().expect("readable").expect("a line");
            assert_eq!((line.number, line.text), (at, &b"{\"a\":1}"[..]));
        }
        std::fs::write(&path, "{}\n\u{FEFF}{}").expect("written");
        let mut file = LineFile::open(&path).expect("opened");
        assert!(file.next().is_ok() && file.next().is_err(), "only before the first line");
    }

    #[test]
    fn plain_and_packed_files_read_alike() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = "1 {\"s\":\"A\"}\r\n\n 5 > {\"s\":\"B\"}\n7 < {\"s\":\"C\"}";
        let (plain, packed) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&plain, text).expect("written");
        let file = File::create(&packed).expect("made");
        let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        gz.write_all(text.as_bytes()).expect("written");
        gz.finish().expect("written");
        for path in [plain, packed] {
            let mut file = LineFile::open(&path).expect("opened");
            let first = file.next().expect("readable").expect("a line");
            assert_eq!(first, Line { number: 1, recv_ns: 1, text: b"{\"s\":\"A\"}" });
            let next = file.next().expect("readable").expect("a line");
            assert_eq!(next, Line { number: 4, recv_ns: 7, text: b"{\"s\":\"C\"}" });
            assert!(file.next().expect("readable").is_none());
            let size = std::fs::metadata(&path).expect("there").len();
            assert_eq!(file.bytes_read(), size);
        }
    }
}
