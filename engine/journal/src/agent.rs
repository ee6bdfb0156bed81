//! The journal's agent: takes what the lanes log, appends it, publishes what lies in a segment.
//!
//! Invariant: a lane's sequence is published only after its record's bytes are in the mapped
//! segment (release store in [`Journaled::publish`]). Records leave their ring only once they
//! are appended, so a full journal shows as full rings, and risk waits: no record, no trade.
//! Cost: a copy and a CRC-32C a record; no system call except waking a helper.

use std::path::PathBuf;

use bot4_lanes::{Agent, Control, Counters, Fault, Journaled, Metrics, Probe, Rx};
use bot4_types::{LogEntry, Nanos, RunEpoch, Wall};

use crate::writer::{JournalError, JournalWriter};

/// Records of one lane taken in one turn.
const BATCH: usize = 64;
/// The journal is dead when the disk does not answer for this long.
pub const STALL_NS_MAX: u64 = 250_000_000;
/// Preallocated length of a segment unless configured: minutes of a busy run, and short enough
/// to be prepared in a fraction of the time it takes to fill.
pub const SEGMENT_BYTES: usize = 16 * 1024 * 1024;

/// Length of the reserve: what two full log rings, the cancels of a few hundred orders and their
/// reports take.
pub const RESERVE_BYTES: usize = 4 * 1024 * 1024;

/// Counters of the journal agent, all totals since start except `journal_sync_ns_max`.
pub const COUNTER_NAMES: &[&str] = &[
    "journal_records",
    "journal_bytes",
    "journal_lost",
    "journal_segments",
    "journal_syncs",
    "journal_sync_ns",
    "journal_sync_ns_max",
    "journal_waits",
    "journal_rotations",
];

/// Where and how to write.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The run's own directory; made when missing, must hold no segments.
    pub dir: PathBuf,
    /// Preallocated length of a segment, at least 4096; see [`SEGMENT_BYTES`].
    pub segment_bytes: usize,
    /// Length of the reserve, at most a segment's; zero for none. See [`RESERVE_BYTES`].
    pub reserve_bytes: usize,
    /// Use helper threads. Without them (simulation) every disk job runs inline at once.
    pub helper: bool,
    /// The run, written into each segment.
    pub epoch: RunEpoch,
    /// The mapping to wall time, written into each segment for readers.
    pub wall: Wall,
    /// Silence of the disk that ends the run; see [`STALL_NS_MAX`].
    pub stall_ns_max: u64,
}

impl JournalConfig {
    /// The defaults for a live run in `dir`.
    #[must_use]
    pub const fn new(dir: PathBuf, epoch: RunEpoch, wall: Wall) -> Self {
        let (segment_bytes, reserve_bytes) = (SEGMENT_BYTES, RESERVE_BYTES);
        let stall_ns_max = STALL_NS_MAX;
        Self { dir, segment_bytes, reserve_bytes, helper: true, epoch, wall, stall_ns_max }
    }
}

/// What the journal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Records appended.
    pub records: u64,
    /// Bytes they take, heads and padding included.
    pub bytes: u64,
    /// Records missing in the lanes' sequences.
    pub lost: u64,
    /// Segments begun.
    pub segments: u64,
    /// Syncs answered during turns.
    pub syncs: u64,
    /// Time from asking for those syncs to the turn that saw the answer, summed.
    pub sync_ns: u64,
    /// The longest of them.
    pub sync_ns_max: u64,
    /// Appends that had to wait for the next segment.
    pub waits: u64,
    /// Segments that a person ended before they were full.
    pub rotations: u64,
}

/// One lane's log as the journal sees it.
struct Port {
    rx: Rx<LogEntry>,
    seq: u64,
}

/// The agent called `journal`. See the module.
pub struct JournalAgent {
    writer: JournalWriter,
    ports: Vec<Port>,
    journaled: Journaled,
    counters: Counters,
    lost: u64,
    /// Latched when the disk is in trouble.
    control: Option<Control>,
    /// Rings of its bell that were answered.
    rotated: u64,
    failed: Option<String>,
}

impl JournalAgent {
    /// Takes the run's directory, makes the first segment and, when configured, spawns the
    /// helper threads `journal-sync` and `journal-prepare`. `logs[i]` is read as log lane `i`.
    /// Blocks for the disk; call it before lanes are pinned, so the helpers may run anywhere.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn new(
        config: &JournalConfig,
        logs: Vec<Rx<LogEntry>>,
        journaled: Journaled,
        metrics: &Metrics,
    ) -> Result<Self, JournalError> {
        Ok(Self::over(JournalWriter::open(config)?, logs, journaled, metrics))
    }

    /// The agent over a writer that is open already: for disk twins.
    #[must_use]
    pub fn over(
        writer: JournalWriter,
        logs: Vec<Rx<LogEntry>>,
        journaled: Journaled,
        metrics: &Metrics,
    ) -> Self {
        let ports = logs.into_iter().map(|rx| Port { rx, seq: 0 }).collect();
        let counters = metrics.counters("journal", COUNTER_NAMES);
        Self {
            writer,
            ports,
            journaled,
            counters,
            lost: 0,
            control: None,
            rotated: 0,
            failed: None,
        }
    }

    /// The agent that latches the kill of `control` when the disk is full, fails or is silent,
    /// and goes on writing what the cancels need. Without it, such trouble is a fault.
    #[must_use]
    pub fn with_control(mut self, control: Control) -> Self {
        self.control = Some(control);
        self
    }

    /// What was done so far; final after `close`.
    #[must_use]
    pub const fn stats(&self) -> JournalStats {
        let mut stats = self.writer.stats();
        stats.lost = self.lost;
        stats
    }

    /// Why the journal died or could not be closed in order, if so.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Appends up to a batch of every lane and publishes. Returns the records appended.
    fn append_all(&mut self, now: Nanos) -> Result<usize, JournalError> {
        let mut done = 0;
        for lane in 0..self.ports.len() {
            let before = self.ports[lane].seq;
            let appended = self.append_lane(lane, now);
            // Also before an error: what lies in the segment may be relied on.
            if self.ports[lane].seq > before {
                self.journaled.publish(lane as u8, self.ports[lane].seq);
            }
            done += appended?;
        }
        Ok(done)
    }

    fn append_lane(&mut self, lane: usize, now: Nanos) -> Result<usize, JournalError> {
        let (writer, port, lost) = (&mut self.writer, &mut self.ports[lane], &mut self.lost);
        let (seq, mut failed) = (&mut port.seq, None);
        let done = port.rx.pop_while(BATCH, |entry| {
            let appended =
                missing(lane, *seq, entry).and_then(|n| Ok((n, writer.append(entry, now)?)));
            match appended {
                Ok((missed, true)) => {
                    *seq = entry.seq;
                    *lost += missed;
                    true
                }
                Ok((_, false)) => false,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        failed.map_or(Ok(done), Err)
    }

    fn turn(&mut self, now: Nanos) -> Result<usize, JournalError> {
        let appended = self.append_all(now)?;
        let handled = match appended {
            0 => self.writer.quiet_turn(now)?,
            _ => self.writer.turn(now)?,
        };
        let rotated = self.rotate_when_asked(now)?;
        if appended + handled > 0 || rotated {
            self.show();
        }
        Ok(appended + handled)
    }

    /// A person wants what is written so far in segments that are finished. Between two records; a
    /// turn in which the next segment is not ready leaves it to a later one.
    fn rotate_when_asked(&mut self, now: Nanos) -> Result<bool, JournalError> {
        let asked = self.control.as_ref().map_or(0, |control| control.rotations().rung());
        if asked == self.rotated || !self.writer.rotate_now(now)? {
            return Ok(false);
        }
        self.rotated = asked;
        Ok(true)
    }

    /// Stops new risk at the first trouble of the disk.
    fn watch_disk(&mut self) -> Result<(), Fault> {
        let Some(trouble) = self.writer.trouble().filter(|_| self.failed.is_none()) else {
            return Ok(());
        };
        let what = trouble.to_string();
        self.failed = Some(what.clone());
        match &self.control {
            Some(control) => {
                control.kill();
                Ok(())
            }
            None => Err(fault(&what)),
        }
    }

    fn show(&self) {
        let s = self.stats();
        let (syncs, waits) = ([s.syncs, s.sync_ns, s.sync_ns_max], [s.waits, s.rotations]);
        let values = [s.records, s.bytes, s.lost, s.segments].into_iter().chain(syncs).chain(waits);
        for (i, value) in values.enumerate() {
            self.counters.set(i, value);
        }
    }

    /// Appends everything that still waits in the rings, blocking for room.
    fn drain(&mut self, now: Nanos) -> Result<(), JournalError> {
        self.writer.begin(now)?;
        loop {
            if self.append_all(now)? == 0 {
                if self.ports.iter().all(|p| p.rx.waiting() == 0) {
                    return Ok(());
                }
                self.writer.wait_room()?;
            }
            self.writer.turn(now)?;
        }
    }

    fn fault(&mut self, error: &JournalError) -> Fault {
        let what = error.to_string();
        self.failed.get_or_insert_with(|| what.clone());
        fault(&what)
    }
}

fn fault(what: &str) -> Fault {
    Fault { role: "journal", what: format!("{what}. No record, no trade: the run ends") }
}

/// Records missing between `last` and `entry` of `lane`.
fn missing(lane: usize, last: u64, entry: &LogEntry) -> Result<u64, JournalError> {
    if usize::from(entry.lane) != lane || entry.seq <= last {
        return Err(JournalError::Config(format!(
            "log lane {lane} delivered record {} of lane {} after {last}: the links are miswired",
            entry.seq, entry.lane
        )));
    }
    Ok(entry.seq - last - 1)
}

impl Agent for JournalAgent {
    fn role(&self) -> &'static str {
        "journal"
    }

    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        self.writer.begin(now).map_err(|e| self.fault(&e))
    }

    fn work(&mut self, now: Nanos, _: &mut Probe) -> Result<usize, Fault> {
        let done = self.turn(now).map_err(|e| self.fault(&e))?;
        self.watch_disk()?;
        Ok(done)
    }

    /// Takes what is left in the rings, syncs, seals and cuts the last segment. Blocks for the
    /// disk. After a fault it still writes what fits.
    fn close(&mut self, now: Nanos) {
        let drained = self.drain(now);
        let finished = self.writer.finish(now);
        if let Err(e) = drained.and(finished) {
            self.failed.get_or_insert_with(|| e.to_string());
        }
        if let Some(trouble) = self.writer.trouble() {
            self.failed.get_or_insert_with(|| trouble.to_string());
        }
        self.show();
    }
}
