//! Recordings and captures as one file of lines: for readers that know the line formats alone and
//! take one file, like the simulated venue.
//!
//! What goes out is what a market serves: messages as received, requested snapshots as
//! `{"recv_ns","url","body"}` with their symbol. Line changes and losses have no line format.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use bot4_types::{InstrumentId, InstrumentTable};
use bot4_venues::registry::Venue;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::source::{SourceError, capture_instruments};
use super::walk::{Raw, RawKind, RestFile, Walk};

/// Lines in a file without a name, which is gone with this value or its process.
pub struct LinesFile {
    file: File,
}

impl LinesFile {
    /// Writes `files`, one stream in the order given, with `snapshots` merged by receive time,
    /// into the folder for temporary files. What a person should know is told on stderr.
    ///
    /// # Errors
    /// What the disk says, or what is wrong with a file.
    pub fn of(
        venue: Venue,
        files: &[PathBuf],
        snapshots: Option<&Path>,
    ) -> Result<Self, SourceError> {
        let folder = std::env::temp_dir();
        let wrong = |error| SourceError::Io { path: folder.clone(), error };
        let known = capture_instruments(venue, files)?;
        let table = known.map_or_else(InstrumentTable::new, |known| known.table);
        let rest = snapshots.map(|path| RestFile::read(venue, path)).transpose()?;
        let file = nameless().map_err(wrong)?;
        let mut out = GzEncoder::new(BufWriter::new(file), Compression::fast());
        let mut walk = Walk::new(venue, files, rest.as_ref());
        walk.run(&mut |raw| write_line(&raw, &table, &mut out).map_err(wrong))?;
        walk.into_notes().iter().for_each(|note| crate::tell!("warning: {note}"));
        let out = out.finish().map_err(wrong)?;
        let file = out.into_inner().map_err(|e| wrong(e.into_error()))?;
        Ok(Self { file })
    }

    /// A path by which this process can open it from the beginning, as often as it wants.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }
}

/// A file that is in no folder any more. It had a name for a moment.
fn nameless() -> io::Result<File> {
    let mut tried = 0;
    loop {
        let name = format!("bot4-lines-{}-{tried}.gz", std::process::id());
        let path = std::env::temp_dir().join(name);
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tried < 100 => tried += 1,
            Err(e) => return Err(e),
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
        }
    }
}

/// The venue's answer to a request for a snapshot.
#[derive(Deserialize)]
struct Answer<'a> {
    id: u16,
    #[serde(borrow)]
    result: &'a RawValue,
}

fn write_line(raw: &Raw<'_>, table: &InstrumentTable, out: &mut impl Write) -> io::Result<()> {
    match raw.kind {
        RawKind::Market | RawKind::Snapshot(None) => write_message(raw, out),
        RawKind::Snapshot(Some(symbol)) => write_snapshot(raw.recv_ns, symbol, raw.text, out),
        RawKind::Answer => {
            let Ok(answer) = serde_json::from_slice::<Answer<'_>>(raw.text) else { return Ok(()) };
            let symbol = table.get(InstrumentId(answer.id)).map(|i| i.symbol);
            let symbol = symbol.as_ref().map_or("", |s| s.as_str());
            write_snapshot(raw.recv_ns, symbol, answer.result.get().as_bytes(), out)
        }
        RawKind::Line(_) | RawKind::Broken => Ok(()),
    }
}

fn write_message(raw: &Raw<'_>, out: &mut impl Write) -> io::Result<()> {
    // Venues send plain words now and then, which no line format holds.
    if raw.text.first() != Some(&b'{') {
        return Ok(());
    }
    if raw.recv_ns != 0 {
        write!(out, "{} ", raw.recv_ns)?;
    }
    out.write_all(&one_line(raw.text))?;
    out.write_all(b"\n")
}

fn write_snapshot(recv_ns: i64, symbol: &str, book: &[u8], out: &mut impl Write) -> io::Result<()> {
    write!(out, "{{\"recv_ns\":{recv_ns},\"url\":\"depth?symbol={symbol}\",\"body\":")?;
    out.write_all(&one_line(book))?;
    out.write_all(b"}\n")
}

/// Line breaks between the parts of a JSON text are blanks as good as any other.
fn one_line(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'\n') {
        text.iter().map(|b| if *b == b'\n' { b' ' } else { *b }).collect()
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::instruments::CaptureInstruments;
    use bot4_capture::{CaptureOptions, CaptureWriter, FrameHead};
    use bot4_types::{ConnId, FrameKind, Instrument, Nanos, Shards, Symbol};
    use std::io::Read;

    fn text_of(lines: &LinesFile) -> String {
        let mut text = String::new();
        let file = File::open(lines.path()).expect("opened");
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn a_capture_becomes_lines_that_can_be_read_twice() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut table = InstrumentTable::new();
        for name in ["A", "B"] {
            let symbol = Symbol::new(name).expect("short");
            table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
        }
        let (venue, shards) = (Venue::Binance, Shards::round_robin(2, 1, 1));
        let known = CaptureInstruments { venue, shards, depth_max: 0, table };
        known.write(dir.path()).expect("written");
        let mut writer =
            CaptureWriter::open(dir.path(), CaptureOptions::default()).expect("opened");
        let mut add = |n: u64, kind, text: &str| {
            let (recv, wall_unix_ns, conn) = (Nanos(n), 7 + n as i64, ConnId(0));
            let head = FrameHead { recv, wall_unix_ns, conn, kind, len: 0 };
            writer.append(head, &[text.as_bytes()]).expect("taken");
        };
        add(1, FrameKind::LineUp, "");
        add(2, FrameKind::Market, "{\"a\":\n1}");
        add(3, FrameKind::Market, "proxy restarting");
        add(4, FrameKind::Snapshot, r#"{"id":1,"status":200,"result":{"lastUpdateId":5},"x":[]}"#);
        add(5, FrameKind::Snapshot, r#"{"id":1,"status":429,"error":{}}"#);
        writer.finish().expect("finished");
        let lines = LinesFile::of(venue, &[dir.path().to_owned()], None).expect("written");
        for _ in 0..2 {
            let snapshot = r#"{"recv_ns":11,"url":"depth?symbol=B","body":{"lastUpdateId":5}}"#;
            assert_eq!(text_of(&lines), format!("9 {{\"a\": 1}}\n{snapshot}\n"));
        }
    }

    #[test]
    fn files_of_every_format_become_one_stream() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let first = write("a", "10 {\"e\":1}\n12 > {\"op\":1}\n13 < {\"e\":2}\n");
        let second = write("b", "{\"e\":3}\n20 {\"lastUpdateId\":7,\"bids\":[],\"asks\":[]}\n");
        let rest = write(
            "rest",
            "{\"recv_ns\":12,\"url\":\"x/depth?symbol=A&limit=5\",\"body\":{\"lastUpdateId\":4}}\n",
        );
        let lines = LinesFile::of(Venue::Binance, &[first, second], Some(&rest)).expect("written");
        let snapshot = r#"{"recv_ns":12,"url":"depth?symbol=A","body":{"lastUpdateId":4}}"#;
        let nameless = r#"20 {"lastUpdateId":7,"bids":[],"asks":[]}"#;
        let want = format!("10 {{\"e\":1}}\n{snapshot}\n13 {{\"e\":2}}\n{{\"e\":3}}\n{nameless}\n");
        assert_eq!(text_of(&lines), want);
    }
}
