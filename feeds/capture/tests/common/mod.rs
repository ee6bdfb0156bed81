//! What the tests of the capture share: made-up frames, and everything a reader says.

use std::path::Path;

use bot4_capture::{CaptureOptions, CaptureReader, CaptureWriter, FrameHead, Item};
use bot4_types::{ConnId, FrameKind, Nanos};

/// Unix time of frame zero.
pub const EPOCH: i64 = 1_700_000_000_000_000_000;

/// A folder in memory where there is one: these tests are about bytes, not about disks.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a folder")
}

/// Frame `n`, ten milliseconds behind frame `n - 1`.
pub fn frame(n: u64) -> (FrameHead, Vec<u8>) {
    let text = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x7".repeat((n * 31 % 97) as usize));
    let kinds = [FrameKind::Market, FrameKind::Market, FrameKind::Snapshot, FrameKind::LineUp];
    let kind = kinds[(n % 4) as usize];
    let text = if kind == FrameKind::LineUp { Vec::new() } else { text.into_bytes() };
    let head = FrameHead {
        recv: Nanos(n * 10_000_000),
        wall_unix_ns: EPOCH + n as i64 * 10_000_000,
        conn: ConnId((n % 3) as u16),
        kind,
        len: text.len() as u32,
    };
    (head, text)
}

/// Small blocks, so that a small capture has many.
pub fn small() -> CaptureOptions {
    CaptureOptions { block_bytes: 700, ..CaptureOptions::default() }
}

/// Writes frames `from..to`, with a turn after each.
pub fn write(dir: &Path, options: CaptureOptions, from: u64, to: u64) {
    let mut writer = CaptureWriter::open(dir, options).expect("opened");
    append(&mut writer, from, to);
    writer.finish().expect("finished");
}

pub fn append(writer: &mut CaptureWriter, from: u64, to: u64) {
    for n in from..to {
        let (head, text) = frame(n);
        writer.append(head, &[&text]).expect("taken");
        writer.turn(head.recv).expect("written");
    }
}

/// Everything a reader says of a capture.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// Numbers of the frames, each compared with what was written.
    pub frames: Vec<u64>,
    pub lost_recorder: u64,
    pub lost_damage: u64,
    pub sessions: Vec<u32>,
    /// Offset, bytes and kind.
    pub damage: Vec<(u64, u64, &'static str)>,
}

pub fn read(path: &Path) -> Told {
    rest(CaptureReader::open(path).expect("opened"))
}

pub fn rest(mut reader: CaptureReader) -> Told {
    let mut told = Told::default();
    while let Some(item) = reader.next().expect("readable") {
        match item {
            Item::Frame(head, text) => {
                let n = head.recv.0 / 10_000_000;
                assert_eq!((head, text), (frame(n).0, frame(n).1.as_slice()), "frame {n}");
                told.frames.push(n);
            }
            Item::Lost(lost) if lost.by_recorder => told.lost_recorder += lost.frames,
            Item::Lost(lost) => told.lost_damage += lost.frames,
            Item::Session(session) => told.sessions.push(session),
            Item::Damage(d) => told.damage.push((d.offset, d.bytes, d.kind.name())),
        }
    }
    told
}
