//! Recorded messages: reading every line format of the contract.
//!
//! Line formats are told apart by content: `<receive time, Unix ns> <JSON>`, bare JSON,
//! `<time ns> < or > <JSON>` (only what was received counts). Snapshots in the stream are plain
//! order-book objects without a symbol; REST snapshots come from their own file of
//! `{"recv_ns","url","body"}` and are merged by receive time.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Why a recording cannot be read.
#[derive(Debug)]
pub enum SourceError {
    /// The file cannot be opened, read or decompressed.
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
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
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(
                f,
                "error: cannot read {}: {error}\nhelp: give a recording, plain or .gz",
                path.display()
            ),
            Self::Line { path, line, what } => write!(
                f,
                "error: {}:{line}: {what}\nhelp: a line is `<receive time ns> <JSON>`, bare JSON \
                 or `<time ns> < <JSON>`",
                path.display()
            ),
            Self::NoSymbols => f.write_str(
                "error: no symbol found in the files\nhelp: name one with --symbol, and check \
                 that --venue matches the recording",
            ),
        }
    }
}

impl std::error::Error for SourceError {}

/// Where a message's text lies in its recording.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Receive time in Unix ns, zero where the line has none.
    pub recv_ns: i64,
    start: usize,
    end: usize,
    /// Place among the recording's snapshots, when it is one.
    pub snapshot: Option<u32>,
}

/// All messages of some files, in order.
#[derive(Debug, Default)]
pub struct Recording {
    text: Vec<u8>,
    messages: Vec<Message>,
    /// Symbol of each snapshot, where the snapshot's file tells.
    snapshot_symbols: Vec<Option<String>>,
}

impl Recording {
    /// Reads `files` as one stream in the order given and merges `snapshots` by receive time.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn read(files: &[PathBuf], snapshots: Option<&Path>) -> Result<Self, SourceError> {
        let mut recording = Self::default();
        for file in files {
            recording.add_stream(file)?;
        }
        if let Some(file) = snapshots {
            recording.add_snapshots(file)?;
            recording.messages.sort_by_key(|m| m.recv_ns);
        }
        Ok(recording)
    }

    /// The messages in order.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The text of `message`.
    #[must_use]
    pub fn text(&self, message: &Message) -> &[u8] {
        &self.text[message.start..message.end]
    }

    /// The symbol that a snapshot's file tells.
    #[must_use]
    pub fn snapshot_symbol(&self, snapshot: u32) -> Option<&str> {
        self.snapshot_symbols.get(snapshot as usize)?.as_deref()
    }

    /// The symbols that appear as `"s":"…"`, in order of appearance.
    #[must_use]
    pub fn symbols(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for message in &self.messages {
            let text = self.text(message);
            let Some(at) = find(text, b"\"s\":\"") else { continue };
            let rest = &text[at + 5..];
            let end = rest.iter().position(|b| *b == b'"').unwrap_or(0);
            let Ok(symbol) = std::str::from_utf8(&rest[..end]) else { continue };
            if !symbol.is_empty() && !found.iter().any(|s| s == symbol) {
                found.push(symbol.to_owned());
            }
        }
        found
    }

    fn add_stream(&mut self, path: &Path) -> Result<(), SourceError> {
        let base = self.text.len();
        read_into(path, &mut self.text)?;
        let mut start = base;
        let mut number = 0;
        while start < self.text.len() {
            let rest = &self.text[start..];
            let end = start + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            number += 1;
            let line = self.text[start..end].trim_ascii();
            if !line.is_empty() {
                let wrong = |what| SourceError::Line { path: path.to_owned(), line: number, what };
                if let Some((recv_ns, skip)) = split_line(line).map_err(wrong)? {
                    let lead = self.text[start..end].iter().take_while(|b| b.is_ascii_whitespace());
                    let from = start + lead.count() + skip;
                    let to = from + line.len() - skip;
                    let snapshot = is_snapshot(&self.text[from..to]).then(|| {
                        self.snapshot_symbols.push(None);
                        self.snapshot_symbols.len() as u32 - 1
                    });
                    self.messages.push(Message { recv_ns, start: from, end: to, snapshot });
                }
            }
            start = end + 1;
        }
        Ok(())
    }

    fn add_snapshots(&mut self, path: &Path) -> Result<(), SourceError> {
        let mut raw = Vec::new();
        read_into(path, &mut raw)?;
        for (i, line) in raw.split(|b| *b == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let what = "not a snapshot line {\"recv_ns\",\"url\",\"body\"}";
            let wrong = || SourceError::Line { path: path.to_owned(), line: i + 1, what };
            let value: serde_json::Value = serde_json::from_slice(line).map_err(|_| wrong())?;
            let recv_ns = value["recv_ns"].as_i64().ok_or_else(wrong)?;
            let url = value["url"].as_str().ok_or_else(wrong)?;
            let body = value.get("body").ok_or_else(wrong)?;
            if !url.contains("depth") {
                continue;
            }
            let start = self.text.len();
            self.text.extend_from_slice(body.to_string().as_bytes());
            let symbol = url.split(['?', '&']).find_map(|p| p.strip_prefix("symbol="));
            self.snapshot_symbols.push(symbol.map(str::to_owned));
            let snapshot = Some(self.snapshot_symbols.len() as u32 - 1);
            self.messages.push(Message { recv_ns, start, end: self.text.len(), snapshot });
        }
        Ok(())
    }
}

fn read_into(path: &Path, out: &mut Vec<u8>) -> Result<(), SourceError> {
    let wrong = |error| SourceError::Io { path: path.to_owned(), error };
    let raw = std::fs::read(path).map_err(wrong)?;
    if raw.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(raw.as_slice()).read_to_end(out).map_err(wrong)?;
    } else {
        out.extend_from_slice(&raw);
    }
    if out.last().is_some_and(|b| *b != b'\n') {
        out.push(b'\n');
    }
    Ok(())
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

/// A REST order book: an object that begins with its update id.
fn is_snapshot(text: &[u8]) -> bool {
    text.starts_with(b"{\"lastUpdateId\"")
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn files_are_merged_and_bad_lines_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let (stream, rest) = (dir.path().join("a"), dir.path().join("rest"));
        std::fs::write(&stream, "1 {\"s\":\"A\"}\n\n 5 {\"s\":\"B\"}\n7 {\"lastUpdateId\":3}")
            .expect("written");
        std::fs::write(
            &rest,
            "{\"recv_ns\":3,\"url\":\"x/depth?symbol=A&limit=5\",\"body\":{\"k\":1}}\n",
        )
        .expect("written");
        let r = Recording::read(std::slice::from_ref(&stream), Some(&rest)).expect("readable");
        let times: Vec<i64> = r.messages().iter().map(|m| m.recv_ns).collect();
        assert_eq!(times, [1, 3, 5, 7]);
        assert_eq!(r.text(&r.messages()[1]), b"{\"k\":1}");
        assert_eq!(r.messages()[1].snapshot.and_then(|s| r.snapshot_symbol(s)), Some("A"));
        assert!(r.messages()[3].snapshot.is_some());
        assert_eq!(r.symbols(), ["A", "B"]);
        std::fs::write(&stream, "1 {}\nnonsense\n").expect("written");
        let error = Recording::read(&[stream], None).expect_err("refused").to_string();
        assert!(error.contains(":2:") && error.contains("help"), "{error}");
    }
}
