//! The cold side of a capture: raw frames from the parsers' tees into `RUN/capture/wire.<i>`.
//!
//! ```text
//! parse.0 --tee--> ring of bytes --\
//!                                   capture thread --> wire.0/capture-000001.b4c, ...
//! parse.1 --tee--> ring of bytes --/                   wire.1/...
//! ```
//! The thread is a helper: not pinned, it parks while there is nothing to do. What its disk does
//! wrong costs frames, which are counted and told, and never an order.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bot4_capture::{CaptureOptions, CaptureRx, CaptureTotals, CaptureTx, CaptureWriter};
use bot4_lanes::{Clock, Metrics};
use bot4_types::Nanos;
use bot4_types::limits::FRAME_LARGE;

/// Bytes of a ring of frames: twice the longest frame. Part of the parse lane's arena.
pub const RING_BYTES: usize = 2 * FRAME_LARGE;
/// Frames of one wire lane taken in one turn.
const BATCH: usize = 1_024;
/// Between two looks of the thread.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Name of the folder within a run's.
pub const FOLDER: &str = "capture";

/// Where wire lane `index` of the run in `folder` is captured.
#[must_use]
pub fn stream_dir(folder: &Path, index: usize) -> PathBuf {
    folder.join(FOLDER).join(format!("wire.{index}"))
}

/// Says on standard error how much was captured, and what was lost.
fn tell(outcome: io::Result<CaptureTotals>, metrics: &Metrics) {
    let totals = match outcome {
        Ok(totals) => totals,
        Err(e) => return crate::tell!("warning: the capture of frames is not whole: {e}"),
    };
    let turns = metrics.total("turns_recorded");
    let (text, stored) = (totals.text_bytes, totals.stored_bytes);
    crate::tell!(
        "captured {} frames ({text} bytes, {stored} in files) and {turns} turns",
        totals.frames
    );
    let lost = (totals.lost_frames, metrics.total("turns_lost"));
    if lost != (0, 0) {
        let (frames, turns) = lost;
        crate::tell!("warning: {frames} frames and {turns} turns found no room in the capture");
    }
}

/// Hands out the hot ends while the machine is built, keeps the cold ones.
pub struct CaptureSink {
    folder: PathBuf,
    cold: RefCell<Vec<(usize, CaptureRx)>>,
}

impl CaptureSink {
    /// A capture into the run's `folder`.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, cold: RefCell::new(Vec::new()) }
    }

    /// The hot end of wire lane `index`; its memory is made here and now.
    #[must_use]
    pub fn link(&self, index: usize) -> CaptureTx {
        let (tx, rx) = bot4_capture::link(RING_BYTES);
        self.cold.borrow_mut().push((index, rx));
        tx
    }

    /// Opens the files and moves the cold ends to a helper thread.
    ///
    /// # Errors
    /// A text with the mend, when the files or the thread cannot be made.
    pub fn start(self, clock: &Clock) -> Result<CaptureThread, String> {
        let (dir, streams) = (self.folder.join(FOLDER), self.open());
        streams.and_then(|streams| streams.spawn(clock.clone())).map_err(|e| {
            format!("error: cannot capture into {}: {e}\nhelp: see [run] capture", dir.display())
        })
    }

    /// Opens the files of every stream.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(self) -> io::Result<Streams> {
        let open = |(index, rx): (usize, CaptureRx)| {
            let dir = stream_dir(&self.folder, index);
            Ok((CaptureWriter::open(&dir, CaptureOptions::default())?, rx))
        };
        let streams = self.cold.take().into_iter().map(open).collect::<io::Result<_>>()?;
        Ok(Streams { streams, trouble: None })
    }
}

/// Every stream of a run.
pub struct Streams {
    streams: Vec<(CaptureWriter, CaptureRx)>,
    /// The first thing the disk did wrong.
    trouble: Option<io::Error>,
}

impl Streams {
    /// Takes what waits, up to a batch of each stream, and closes blocks that are due. Returns
    /// how many frames there were.
    pub fn turn(&mut self, now: Nanos) -> usize {
        let mut done = 0;
        for (writer, rx) in &mut self.streams {
            let outcome = writer.drain(rx, BATCH).and_then(|n| writer.turn(now).map(|()| n));
            match outcome {
                Ok(n) => done += n,
                Err(e) => drop(self.trouble.get_or_insert(e)),
            }
        }
        done
    }

    /// Takes everything that is left and closes the files.
    ///
    /// # Errors
    /// The first thing the disk did wrong in the whole run.
    pub fn finish(mut self, now: Nanos) -> io::Result<CaptureTotals> {
        while self.turn(now) > 0 {}
        let mut sum = CaptureTotals::default();
        for (writer, _) in self.streams {
            let totals = writer.finish()?;
            sum.frames += totals.frames;
            sum.text_bytes += totals.text_bytes;
            sum.stored_bytes += totals.stored_bytes;
            sum.blocks += totals.blocks;
            sum.files += totals.files;
            sum.lost_frames += totals.lost_frames;
            sum.lost_bytes += totals.lost_bytes;
        }
        self.trouble.map_or(Ok(sum), Err)
    }

    /// Moves the streams to a helper thread of their own.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn spawn(mut self, clock: Clock) -> io::Result<CaptureThread> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name(FOLDER.to_owned()).spawn(move || {
            // Pairs with the release in `finish`: what the lanes pushed before is seen.
            while !stopped.load(Ordering::Acquire) {
                if self.turn(clock.now()) == 0 {
                    std::thread::park_timeout(LOOK_EVERY);
                }
            }
            self.finish(clock.now())
        })?;
        Ok(CaptureThread { stop, thread })
    }
}

/// The helper thread.
pub struct CaptureThread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<CaptureTotals>>,
}

impl CaptureThread {
    /// [`finish`](Self::finish), and says on standard error what was captured and what was lost.
    pub fn finish_and_tell(self, metrics: &Metrics) {
        tell(self.finish(), metrics);
    }

    /// Takes what is left and ends. Call it when the lanes have ended.
    ///
    /// # Errors
    /// What the disk did wrong.
    pub fn finish(self) -> io::Result<CaptureTotals> {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_capture::{CaptureReader, FrameHead, Item};
    use bot4_types::{ConnId, FrameKind};

    #[test]
    fn what_was_pushed_before_the_end_is_in_the_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let sink = CaptureSink::new(folder.path().to_owned());
        let mut hot = [sink.link(0), sink.link(1)];
        let thread = sink.open().expect("opened").spawn(Clock::start()).expect("a thread");
        for n in 0..5_000u64 {
            let (recv, conn) = (Nanos(n), ConnId(0));
            let head = FrameHead { recv, wall_unix_ns: 0, conn, kind: FrameKind::Market, len: 0 };
            assert!(hot[(n % 2) as usize].push(head, &n.to_le_bytes()));
        }
        let totals = thread.finish().expect("written");
        assert_eq!((totals.frames, totals.lost_frames), (5_000, 0));
        for index in 0..2 {
            let mut reader = CaptureReader::open(&stream_dir(folder.path(), index)).expect("there");
            let mut next = index as u64;
            while let Some(item) = reader.next().expect("readable") {
                let Item::Frame(_, text) = item else { panic!("{item:?}") };
                assert_eq!(text, next.to_le_bytes());
                next += 2;
            }
            assert_eq!(next, 5_000 + index as u64);
        }
    }
}
