//! A capture as lines: for readers that know the line formats alone, like the simulated venue.
//!
//! What goes out is what a market serves: messages as received, requested snapshots as
//! `{"recv_ns","url","body"}` with their symbol. Line changes and losses have no line format.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use bot4_capture::{CaptureReader, FrameHead, Item};
use bot4_types::{FrameKind, InstrumentId};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::instruments::CaptureInstruments;

/// The lines of a capture in a file without a name, which is gone with this value or its process.
pub struct LinesFile {
    file: File,
}

impl LinesFile {
    /// Writes the lines of `capture` into the folder for temporary files. Damage is told on
    /// stderr.
    ///
    /// # Errors
    /// What the disk says.
    pub fn of(capture: &Path) -> io::Result<Self> {
        let file = nameless()?;
        let mut out = GzEncoder::new(BufWriter::new(file), Compression::fast());
        write_lines(capture, &mut out)?;
        let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
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

/// Writes the lines of `capture`.
fn write_lines(capture: &Path, out: &mut impl Write) -> io::Result<()> {
    let instruments = CaptureInstruments::read(capture)?;
    let mut reader = CaptureReader::open(capture)?;
    while let Some(item) = reader.next()? {
        match item {
            Item::Frame(head, text) => match head.kind {
                FrameKind::Market => write_message(&head, text, out)?,
                FrameKind::Snapshot => {
                    write_snapshot(&head, text, instruments.as_ref(), out)?;
                }
                _ => {}
            },
            Item::Damage(damage) => eprintln!("warning: {damage}"),
            Item::Lost(lost) => eprintln!("warning: {} frames are missing", lost.frames),
            Item::Session(_) => {}
        }
    }
    Ok(())
}

fn write_message(head: &FrameHead, text: &[u8], out: &mut impl Write) -> io::Result<()> {
    // Venues send plain words now and then, which no line format holds.
    if text.first() != Some(&b'{') {
        return Ok(());
    }
    write!(out, "{} ", head.wall_unix_ns)?;
    out.write_all(&one_line(text))?;
    out.write_all(b"\n")
}

fn write_snapshot(
    head: &FrameHead,
    text: &[u8],
    instruments: Option<&CaptureInstruments>,
    out: &mut impl Write,
) -> io::Result<()> {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(text) else { return Ok(()) };
    let id = InstrumentId(answer.id);
    let symbol = instruments.and_then(|known| known.table.get(id)).map(|i| i.symbol);
    let symbol = symbol.as_ref().map_or("", |s| s.as_str());
    let recv_ns = head.wall_unix_ns;
    write!(out, "{{\"recv_ns\":{recv_ns},\"url\":\"depth?symbol={symbol}\",\"body\":")?;
    out.write_all(&one_line(answer.result.get().as_bytes()))?;
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
    use bot4_capture::{CaptureOptions, CaptureWriter};
    use bot4_types::{ConnId, Instrument, InstrumentTable, Nanos, Shards, Symbol};
    use bot4_venues::Venue;
    use std::io::Read;

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
        let lines = LinesFile::of(dir.path()).expect("written");
        for _ in 0..2 {
            let mut text = String::new();
            let file = File::open(lines.path()).expect("opened");
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("text");
            let snapshot = r#"{"recv_ns":11,"url":"depth?symbol=B","body":{"lastUpdateId":5}}"#;
            assert_eq!(text, format!("9 {{\"a\": 1}}\n{snapshot}\n"));
        }
    }
}
