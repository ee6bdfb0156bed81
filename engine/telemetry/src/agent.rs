//! The telemetry agent: once an interval, one line a tag into the histogram log.
//!
//! Invariant: a failing disk never stops the engine. What could not be written stays in the
//! counts and is part of the next interval's line, and a half-written line is cut off again.
//! Cost: a scan and a deflate of each tag's counts per interval, on a cold lane; nothing between.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use bot4_lanes::metrics::Histogram;
use bot4_lanes::{Agent, Counters, Fault, Metrics, Probe, Shedding};
use bot4_types::{Nanos, Wall};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::hist::{Counts, Hdr, empty, histograms};
use crate::shared::Publisher;

/// Name of the histogram log in a run's latency directory.
pub const HLOG_NAME: &str = "latency.hlog";
/// Interval between dumps unless configured.
pub const INTERVAL: Nanos = Nanos::from_secs(1);

/// Counters of the telemetry agent.
pub const COUNTER_NAMES: &[&str] =
    &["telemetry_intervals", "telemetry_lines", "telemetry_write_errors", "telemetry_put_off"];
const INTERVALS: usize = 0;
const LINES: usize = 1;
const WRITE_ERRORS: usize = 2;
/// Dumps put off under pressure: their values are part of the next one.
const PUT_OFF: usize = 3;

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

/// The open log.
struct Log {
    file: File,
    /// Length up to the last whole line.
    len: u64,
}

impl Log {
    fn open(path: &std::path::Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }

    /// Appends whole lines, or nothing.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        if written.is_ok() {
            self.len += lines.len() as u64;
        } else {
            let _ = self.file.set_len(self.len);
        }
        written
    }
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
        }
    }

    /// `publisher` writes the head of the counters file, from this agent's lane.
    #[must_use]
    pub fn with_publisher(mut self, publisher: Publisher) -> Self {
        self.publisher = Some(publisher);
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
        let mut log = Log::open(&dir.join(HLOG_NAME))?;
        let base = UNIX_EPOCH + self.unix(now);
        let mut head = Vec::new();
        IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment("nanoseconds; one tag per stage")
            .with_start_time(base)
            .begin_log_with(&mut head, &mut V2DeflateSerializer::new())?;
        log.append(&head)?;
        self.log = Some(log);
        Ok(())
    }

    fn unix(&self, now: Nanos) -> Duration {
        Duration::from_nanos(self.config.wall.unix_ns(now).try_into().unwrap_or(0))
    }

    /// Dumps what was recorded since the last dump. Returns the lines written.
    fn dump(&mut self, now: Nanos) -> usize {
        let (start, span) = (self.unix(self.since), now.since(self.since));
        let Some(log) = self.log.as_mut() else { return 0 };
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
            return 0;
        }
        self.counters.add(INTERVALS, 1);
        self.counters.add(LINES, taken.len() as u64);
        self.since = now;
        let lines = taken.len();
        for (i, counts) in taken {
            self.tracks[i].dumped = counts;
        }
        lines
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
            let dir = self.config.latency_dir.as_deref().unwrap_or(std::path::Path::new("?"));
            let what = format!("cannot write {}: {e}; check --latency-dir", dir.display());
            Fault { role: "telemetry", what }
        })
    }

    fn work(&mut self, now: Nanos, _: &mut Probe) -> Result<usize, Fault> {
        if let Some(publisher) = &mut self.publisher {
            publisher.look(now);
        }
        if now < self.next {
            return Ok(0);
        }
        // Also after a failure the next attempt is an interval away.
        self.next = now + self.config.interval;
        if self.shedding.history() {
            self.counters.add(PUT_OFF, 1);
            return Ok(0);
        }
        Ok(self.dump(now))
    }

    /// Dumps the last, shorter interval.
    fn close(&mut self, now: Nanos) {
        if let Some(publisher) = &self.publisher {
            publisher.end(now);
        }
        self.dump(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_costs_no_values_and_stops_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let metrics = Metrics::in_memory();
        let parse = metrics.histogram("parse");
        let latency_dir = Some(dir.path().to_owned());
        let config = TelemetryConfig { latency_dir, interval: INTERVAL, wall: Wall::default() };
        let mut agent = TelemetryAgent::new(config, metrics.clone());
        agent.start(Nanos(0)).expect("start");
        parse.record(7);

        // The disk fills: every write is refused.
        let full = File::options().append(true).open("/dev/full").expect("open");
        let log = agent.log.as_mut().expect("open");
        let sound = std::mem::replace(&mut log.file, full);
        let mut probe = Probe::logical();
        for second in 1..=3 {
            for _ in 0..10 {
                assert_eq!(agent.work(Nanos::from_secs(second), &mut probe), Ok(0));
            }
        }
        assert_eq!(metrics.total("telemetry_write_errors"), 3, "one attempt an interval");

        // There is room again: nothing was forgotten.
        agent.log.as_mut().expect("open").file = sound;
        parse.record(8);
        assert_eq!(agent.work(Nanos::from_secs(4), &mut probe), Ok(1));
        let merged = crate::show::merge(&[dir.path().to_owned()]).expect("readable");
        assert_eq!(merged.tags["parse"].len(), 2);
        assert!(merged.unreadable.is_empty());
    }

    #[test]
    fn a_dump_that_is_put_off_loses_no_values() {
        let dir = tempfile::tempdir().expect("dir");
        let (metrics, shedding) = (Metrics::in_memory(), Shedding::default());
        let parse = metrics.histogram("parse");
        let latency_dir = Some(dir.path().to_owned());
        let config = TelemetryConfig { latency_dir, interval: INTERVAL, wall: Wall::default() };
        let agent = TelemetryAgent::new(config, metrics.clone());
        let mut agent = agent.with_shedding(shedding.clone());
        agent.start(Nanos(0)).expect("start");
        parse.record(7);
        shedding.set(bot4_lanes::shed::HISTORY);
        let mut probe = Probe::logical();
        for second in 1..=3 {
            assert_eq!(agent.work(Nanos::from_secs(second), &mut probe), Ok(0));
        }
        assert_eq!(metrics.total("telemetry_put_off"), 3);
        shedding.set(0);
        parse.record(8);
        assert_eq!(agent.work(Nanos::from_secs(4), &mut probe), Ok(1));
        let merged = crate::show::merge(&[dir.path().to_owned()]).expect("readable");
        assert_eq!(merged.tags["parse"].len(), 2);
    }
}
