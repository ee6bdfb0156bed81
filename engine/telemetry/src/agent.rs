//! The telemetry agent: once an interval, one line a tag into the histogram log.
//!
//! Somebody may ask for the line that is due to be written now ([`DumpLine`]): the interval ends
//! then and a new one begins, so the lines of a log always sum to all that was recorded.
//!
//! Invariant: a failing disk never stops the engine. What could not be written stays in the
//! counts and is part of the next interval's line, and a half-written line is cut off again.
//! Cost: a scan and a deflate of each tag's counts per interval, on a cold lane; nothing between.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bot4_lanes::metrics::Histogram;
use bot4_lanes::{Agent, Counters, Fault, Metrics, Probe, Shedding};
use bot4_types::{Nanos, Wall};
use crossbeam_channel::{Receiver, Sender, bounded};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::hist::{Counts, Hdr, empty, histograms};
use crate::logfile::{LEN_MAX, Log};
use crate::shared::Publisher;

/// Name of the histogram log in a run's latency directory.
pub const HLOG_NAME: &str = "latency.hlog";
/// Interval between dumps unless configured.
pub const INTERVAL: Nanos = Nanos::from_secs(1);

/// Counters of the telemetry agent.
pub const COUNTER_NAMES: &[&str] = &[
    "telemetry_intervals",
    "telemetry_lines",
    "telemetry_write_errors",
    "telemetry_put_off",
    "telemetry_asked",
];
const INTERVALS: usize = 0;
const LINES: usize = 1;
const WRITE_ERRORS: usize = 2;
/// Dumps put off under pressure: their values are part of the next one.
const PUT_OFF: usize = 3;
/// Dumps that somebody asked for.
const ASKED: usize = 4;

/// Wishes that wait at most.
const WISHES_MAX: usize = 16;

/// The way to the agent for those who wish a dump now. Clones are the same line.
#[derive(Clone, Debug)]
pub struct DumpLine {
    wish: Sender<Sender<Dumped>>,
    wishes: Receiver<Sender<Dumped>>,
}

impl Default for DumpLine {
    fn default() -> Self {
        let (wish, wishes) = bounded(WISHES_MAX);
        Self { wish, wishes }
    }
}

impl DumpLine {
    /// Asks for a dump: where the answer will be, or `None` where too many wait already.
    #[must_use]
    pub fn ask(&self) -> Option<Receiver<Dumped>> {
        let (answer, answers) = bounded(1);
        self.wish.try_send(answer).is_ok().then_some(answers)
    }
}

/// The answer to a wish for a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// The log; none in a run that writes none.
    pub file: Option<PathBuf>,
    /// Lines written: a tag each that had values since the dump before.
    pub lines: usize,
    /// The log could be written.
    pub written: bool,
}

/// Where and how often to dump.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Directory of the histogram log, made when missing; `None` writes no dumps.
    pub latency_dir: Option<PathBuf>,
    /// Interval between dumps; see [`INTERVAL`].
    pub interval: Nanos,
    /// The mapping to wall time, for the log's stamps.
    pub wall: Wall,
}

/// One tag's histogram and what of it has been dumped.
struct Track {
    tag: &'static str,
    histogram: Histogram,
    dumped: Counts,
}

/// The agent called `telemetry`. See the module.
pub struct TelemetryAgent {
    config: TelemetryConfig,
    metrics: Metrics,
    counters: Counters,
    tracks: Vec<Track>,
    log: Option<Log>,
    since: Nanos,
    next: Nanos,
    scratch: Hdr,
    lines: Vec<u8>,
    shedding: Shedding,
    publisher: Option<Publisher>,
    line: Option<DumpLine>,
}

impl TelemetryAgent {
    /// An agent that dumps every histogram of `metrics`.
    #[must_use]
    pub fn new(config: TelemetryConfig, metrics: Metrics) -> Self {
        let counters = metrics.counters("telemetry", COUNTER_NAMES);
        Self {
            config,
            metrics,
            counters,
            tracks: Vec::new(),
            log: None,
            since: Nanos::ZERO,
            next: Nanos::ZERO,
            scratch: empty(),
            lines: Vec::new(),
            shedding: Shedding::default(),
            publisher: None,
            line: None,
        }
    }

    /// `publisher` writes the head of the counters file, from this agent's lane.
    #[must_use]
    pub fn with_publisher(mut self, publisher: Publisher) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// Dumps whenever somebody asks by `line`.
    #[must_use]
    pub fn with_line(mut self, line: DumpLine) -> Self {
        self.line = Some(line);
        self
    }

    /// While `shedding` says so, dumps are put off.
    #[must_use]
    pub fn with_shedding(mut self, shedding: Shedding) -> Self {
        self.shedding = shedding;
        self
    }

    /// Opens the log and writes its head.
    fn open(&mut self, now: Nanos) -> io::Result<()> {
        let Some(dir) = &self.config.latency_dir else { return Ok(()) };
        fs::create_dir_all(dir)?;
        let start = UNIX_EPOCH + self.unix(now);
        self.log = Some(Log::open(dir.join(HLOG_NAME), start, LEN_MAX)?);
        Ok(())
    }

    fn unix(&self, now: Nanos) -> Duration {
        Duration::from_nanos(self.config.wall.unix_ns(now).try_into().unwrap_or(0))
    }

    /// Dumps for everyone who asked. Their wish goes before the thrift of hard times.
    fn answer(&mut self, now: Nanos) -> usize {
        let mut lines = 0;
        while let Some(answer) = self.line.as_ref().and_then(|l| l.wishes.try_recv().ok()) {
            self.counters.add(ASKED, 1);
            self.next = now + self.config.interval;
            let dumped = self.dump(now);
            let file = self.log.as_ref().map(|log| log.path().to_owned());
            let (written, fresh) = (dumped.is_some(), dumped.unwrap_or(0));
            // Its room is one, and who went away is not told.
            let _ = answer.try_send(Dumped { file, lines: fresh, written });
            lines += fresh;
        }
        lines
    }

    /// Dumps what was recorded since the last dump. Returns the lines written; `None` where there
    /// is no log or it could not be written.
    fn dump(&mut self, now: Nanos) -> Option<usize> {
        let (start, span) = (self.unix(self.since), now.since(self.since));
        let log = self.log.as_mut()?;
        self.lines.clear();
        let mut taken = Vec::new();
        for (i, track) in self.tracks.iter().enumerate() {
            let counts = Counts::of(&track.histogram);
            counts.since_into(&track.dumped, &mut self.scratch);
            if self.scratch.is_empty() {
                continue;
            }
            let span = Duration::from_nanos(span.0);
            if !line(&mut self.lines, track.tag, &self.scratch, start, span) {
                self.counters.add(WRITE_ERRORS, 1);
                continue;
            }
            taken.push((i, counts));
        }
        if log.append(&self.lines).is_err() {
            self.counters.add(WRITE_ERRORS, 1);
            return None;
        }
        self.counters.add(INTERVALS, 1);
        self.counters.add(LINES, taken.len() as u64);
        self.since = now;
        let lines = taken.len();
        for (i, counts) in taken {
            self.tracks[i].dumped = counts;
        }
        let start = UNIX_EPOCH + self.unix(now);
        if self.log.as_mut().is_some_and(|log| log.turn_over(start).is_err()) {
            // The lines are written; the next dump tries again.
            self.counters.add(WRITE_ERRORS, 1);
        }
        Some(lines)
    }
}

/// Appends one interval of one tag to `out`. False, and nothing appended, when it fails.
fn line(out: &mut Vec<u8>, tag: &str, hdr: &Hdr, start: Duration, span: Duration) -> bool {
    let before = out.len();
    // A builder without heads writes none: just the one line.
    let mut serializer = V2DeflateSerializer::new();
    let written = IntervalLogWriterBuilder::new()
        .begin_log_with(out, &mut serializer)
        .is_ok_and(|mut w| w.write_histogram(hdr, start, span, Tag::new(tag)).is_ok());
    if !written {
        out.truncate(before);
    }
    written
}

impl Agent for TelemetryAgent {
    fn role(&self) -> &'static str {
        "telemetry"
    }

    /// Takes the histograms handed out before the lanes started.
    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        let tracks = histograms(&self.metrics).into_iter();
        self.tracks = tracks
            .map(|(tag, histogram)| Track { tag, histogram, dumped: Counts::default() })
            .collect();
        (self.since, self.next) = (now, now + self.config.interval);
        if let Some(publisher) = &mut self.publisher {
            publisher.begin(now).map_err(|what| Fault { role: "telemetry", what })?;
        }
        self.open(now).map_err(|e| {
            let dir = self.config.latency_dir.as_deref().unwrap_or(Path::new("?"));
            let what = format!("cannot write {}: {e}; check --latency-dir", dir.display());
            Fault { role: "telemetry", what }
        })
    }

    fn work(&mut self, now: Nanos, _: &mut Probe) -> Result<usize, Fault> {
        if let Some(publisher) = &mut self.publisher {
            publisher.look(now);
        }
        let asked = self.answer(now);
        if now < self.next {
            return Ok(asked);
        }
        // Also after a failure the next attempt is an interval away.
        self.next = now + self.config.interval;
        if self.shedding.history() {
            self.counters.add(PUT_OFF, 1);
            return Ok(0);
        }
        Ok(self.dump(now).unwrap_or(0))
    }

    /// Dumps the last, shorter interval.
    fn close(&mut self, now: Nanos) {
        if let Some(publisher) = &self.publisher {
            publisher.end(now);
        }
        let _ = self.dump(now);
        self.answer(now);
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
