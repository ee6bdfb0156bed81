//! Replay of a journal: the same inputs must lead to the same decisions.
//!
//! ```text
//! journal --records--> run lane:  inputs --> what the agents started from
//!                      risk lane: inputs --> fresh RiskCore --decisions--> == recorded ones?
//!                      execution: inputs --> fresh Desk     --reports----> == recorded ones?
//!                      messages that one lane sent == those the other took?
//!                      the state reached == the state that the run ended in?
//! ```
//!
//! The order of a lane's records is their sequence; the order of two lanes in the file means
//! nothing, so each lane is fed for itself. A record that is missing, damaged or unknown ends the
//! replay: whatever follows could differ. Memory does not grow with the journal.

pub mod carried;
pub mod chain;
pub mod ended;
pub mod inputs;
pub mod links;
pub mod report;
pub(crate) mod shapes;

use std::fmt;
use std::path::{Path, PathBuf};

use bot4_execution::desk::Desk;
use bot4_execution::replay as desk;
use bot4_journal::{Flaw, FlawKind, Reader, Record};
use bot4_risk::{Decided, ReplayError, Replayer};
use bot4_types::instrument::InstrumentTable;
use bot4_types::limits::VENUES_MAX;
use bot4_types::log::{BODY_MAX, Body as _, Writer};
use bot4_types::{ExecMsg, LogEntry, LogKind, OrderIntent, VenueId};

use crate::topology as t;
use ended::{DeskState, EndState, RiskState};
use inputs::{InputsText, RunInputs};
use links::{LinkCheck, Mismatch};
use report::{FirstDifference, LANES, Place, ReplayReport, lane_name};

/// Why there is nothing to replay.
#[derive(Debug)]
pub enum ReplayRefusal {
    /// It cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// No record says what the run started from: an earlier version wrote it, or it is empty.
    NoInputs(PathBuf),
}

impl fmt::Display for ReplayRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, e) => write!(
                f,
                "error: cannot read the journal {}: {e}\nhelp: give a run's folder or its journal \
                 folder",
                path.display()
            ),
            Self::NoInputs(path) => write!(
                f,
                "error: the journal {} does not begin with what its run started from\nhelp: one of \
                 an earlier version cannot be replayed; `bot4 journal verify` checks it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for ReplayRefusal {}

/// `path` is a run's folder, a journal folder or a segment.
#[must_use]
pub fn is_journal(path: &Path) -> bool {
    let is_segment = |p: &Path| p.extension().is_some_and(|e| e == "b4j");
    let holds_segments = |p: &Path| {
        std::fs::read_dir(p).is_ok_and(|mut d| d.any(|e| e.is_ok_and(|e| is_segment(&e.path()))))
    };
    is_segment(path)
        || holds_segments(path)
        || path.join(ended::FILE).exists()
        || holds_segments(&path.join("journal"))
}

/// Replays the journal at `path` (a run's folder or a journal folder) and compares.
///
/// # Errors
/// When there is nothing to replay. What differs is in the report.
pub fn verify(path: &Path) -> Result<ReplayReport, ReplayRefusal> {
    verify_amended(path, |_| ())
}

/// [`verify`] with the run's inputs changed by `amend`: what a run that read something which is
/// not in its journal would look like.
///
/// # Errors
/// As `verify`.
pub fn verify_amended(
    path: &Path,
    amend: impl FnOnce(&mut RunInputs),
) -> Result<ReplayReport, ReplayRefusal> {
    let unreadable = |p: &Path, e| ReplayRefusal::Unreadable(p.to_owned(), e);
    let folder = if path.join("journal").is_dir() || path.join(ended::FILE).exists() {
        Some(path)
    } else {
        path.parent()
    };
    let end = match folder {
        Some(folder) => EndState::read(folder).map_err(|e| unreadable(folder, e))?,
        None => None,
    };
    let inner = path.join("journal");
    let journal = match &end {
        _ if inner.is_dir() => inner,
        Some(end) if folder == Some(path) => end.journal.clone(),
        _ => path.to_owned(),
    };
    let mut reader = Reader::open(&journal).map_err(|e| unreadable(&journal, e))?;
    let mut replay = Replay::new(&journal, amend);
    let mut ran_on = true;
    for item in reader.by_ref() {
        ran_on = match item {
            Ok(record) => replay.take(&record),
            Err(flaw) => replay.note(flaw),
        };
        if !ran_on {
            break;
        }
    }
    let closed = ran_on && reader.is_closed();
    let in_order = closed && !reader.is_recovered();
    let inputs = replay.inputs.take();
    let mut report = replay.finish(closed, end.as_ref())?;
    if let Some((inputs, folder)) = inputs.as_ref().zip(folder) {
        replay_chain(&mut report, inputs, folder, in_order);
    }
    Ok(report)
}

/// Runs the whole chain again, if the run was captured and everything is the same so far.
fn replay_chain(report: &mut ReplayReport, inputs: &RunInputs, folder: &Path, in_order: bool) {
    let Some(chain) = inputs.chain.as_ref().filter(|_| report.is_same()) else { return };
    match chain::verify(inputs, chain, &report.journal, folder, in_order) {
        Ok(found) => {
            report.difference.clone_from(&found.difference);
            report.chain = Some(found);
        }
        Err(what) => {
            let what = format!("the run was captured, but {what}; give the run's folder");
            let (place, recorded, came_out) = (None, None, None);
            report.difference = Some(FirstDifference { place, what, recorded, came_out });
        }
    }
}

/// The agents' cores, once the inputs are known.
struct Cores {
    risk: Replayer,
    /// By venue.
    executions: Vec<desk::Replayer>,
    table: InstrumentTable,
}

/// Which of two lanes writes the link between them.
#[derive(Clone, Copy)]
enum Writes {
    Risk,
    Execution,
}

/// A replay under way.
struct Replay<F> {
    text: InputsText,
    amend: Option<F>,
    inputs: Option<RunInputs>,
    cores: Option<Cores>,
    /// By venue.
    approved: [LinkCheck; VENUES_MAX],
    /// By venue.
    reports: [LinkCheck; VENUES_MAX],
    flaw: Option<Flaw>,
    report: ReplayReport,
}

impl<F: FnOnce(&mut RunInputs)> Replay<F> {
    fn new(journal: &Path, amend: F) -> Self {
        Self {
            text: InputsText::default(),
            amend: Some(amend),
            inputs: None,
            cores: None,
            approved: Default::default(),
            reports: Default::default(),
            flaw: None,
            report: ReplayReport { journal: journal.to_owned(), ..ReplayReport::default() },
        }
    }

    /// Takes the next record in; false when the replay is over.
    fn take(&mut self, record: &Record) -> bool {
        let entry = &record.entry;
        let lane = usize::from(entry.lane);
        let at = Some((record.segment, record.offset));
        let place = Place { lane: entry.lane, seq: entry.seq, at };
        if lane >= LANES {
            return self.fail(place, "a record of a log lane that this version does not know");
        }
        let last = self.report.lanes[lane].last;
        if entry.seq != last + 1 {
            return self.fail_by_gap(entry, last);
        }
        self.report.lanes[lane].last = entry.seq;
        self.report.lanes[lane].records += 1;
        match entry.lane {
            // Where parents stood, who asked: no input, no decision.
            t::LOG_RUN if is_told(entry.kind) && self.cores.is_some() => true,
            t::LOG_RUN => self.take_run(entry, place),
            t::LOG_RISK => self.take_risk(entry, place),
            lane if t::venue_of_log(lane).is_some() => self.take_execution(entry, place),
            _ if entry.kind == LogKind::Turns as u8 => true,
            _ => self.fail(place, "a record that does not belong into a lane of turns"),
        }
    }

    /// Notes a flaw of the file; what it took away shows as a gap in a lane, or at the end.
    fn note(&mut self, flaw: Flaw) -> bool {
        if flaw.kind == FlawKind::TornTail {
            self.report.torn_tail = Some(flaw.to_string());
        } else if self.flaw.is_none() {
            self.flaw = Some(flaw);
        }
        true
    }

    fn take_run(&mut self, entry: &LogEntry, place: Place) -> bool {
        let is_text = entry.kind == LogKind::Run as u8;
        if self.cores.is_some() || !is_text {
            return self.fail(place, "a record that does not belong into the run lane");
        }
        let outcome = self.text.take(entry.body()).map_err(|e| e.to_string());
        match outcome.and_then(|inputs| inputs.map(|i| self.begin(i)).transpose()) {
            Ok(_) => true,
            Err(what) => self.fail(place, &what),
        }
    }

    fn begin(&mut self, mut inputs: RunInputs) -> Result<(), String> {
        if let Some(amend) = self.amend.take() {
            amend(&mut inputs);
        }
        let config = inputs.risk_config().map_err(|e| e.to_string())?;
        let risk = Replayer::new(&config).map_err(|e| format!("the run's inputs: {e}"))?;
        self.report.written_by = format!("{} ({})", inputs.version, inputs.git);
        self.report.run.clone_from(&inputs.run);
        self.inputs = Some(inputs);
        let venues = config.table.venues_len();
        let executions = (0..venues).map(|_| desk::Replayer::new()).collect();
        self.cores = Some(Cores { risk, executions, table: config.table });
        Ok(())
    }

    fn take_risk(&mut self, entry: &LogEntry, place: Place) -> bool {
        let Some(cores) = self.cores.as_mut() else {
            return self.fail_without_inputs(place);
        };
        if let Err(error) = cores.risk.feed(entry) {
            let difference = match error {
                ReplayError::Differs(_) => cores.risk.difference().copied(),
                _ => None,
            };
            self.report.difference = Some(FirstDifference {
                place: Some(place),
                what: error.to_string(),
                recorded: difference.map(|d| told(&d.recorded)),
                came_out: difference.map(|d| told(&d.came_out)),
            });
            return false;
        }
        match LogKind::from_raw(entry.kind) {
            Some(LogKind::Report) => {
                let v = self.venue_of(entry);
                let pair = self.reports[v].taken(entry.seq, entry.body());
                self.agree(pair, v, Writes::Execution)
            }
            Some(LogKind::Approved) => {
                self.report.decisions += 1;
                let v = self.venue_of(entry);
                let pair = self.approved[v].sent(entry.seq, entry.body());
                self.agree(pair, v, Writes::Risk)
            }
            Some(LogKind::Refused) => {
                self.report.decisions += 1;
                true
            }
            _ => true,
        }
    }

    fn take_execution(&mut self, entry: &LogEntry, place: Place) -> bool {
        let Some(cores) = self.cores.as_mut() else {
            return self.fail_without_inputs(place);
        };
        let v = t::venue_of_log(entry.lane).unwrap_or_default();
        let Some(execution) = cores.executions.get_mut(v) else {
            return self.fail(place, "a record of the order entry of a venue that the run has not");
        };
        let taken = match execution.feed(entry) {
            Ok(taken) => taken,
            Err(error) => {
                let difference = match error {
                    desk::ReplayError::Differs(_) => execution.difference().copied(),
                    _ => None,
                };
                let none = || "no report".to_owned();
                let came_out = |d: desk::Difference| {
                    d.came_out.map_or_else(none, |message| format!("{message:?}"))
                };
                self.report.difference = Some(FirstDifference {
                    place: Some(place),
                    what: error.to_string(),
                    recorded: difference.map(|d| format!("{:?}", d.recorded)),
                    came_out: difference.map(came_out),
                });
                return false;
            }
        };
        if let Some(intent) = taken {
            let mut bytes = [0; BODY_MAX];
            let mut writer = Writer::over(&mut bytes);
            intent.write(&mut writer);
            let len = writer.written();
            let pair = self.approved[v].taken(entry.seq, &bytes[..len]);
            return self.agree(pair, v, Writes::Risk);
        }
        match LogKind::from_raw(entry.kind) {
            Some(LogKind::Learned | LogKind::Balance) => {
                let pair = self.reports[v].sent(entry.seq, entry.body());
                self.agree(pair, v, Writes::Execution)
            }
            _ => true,
        }
    }

    /// The venue that a message between risk and order entry is about; the first where it is about
    /// nothing that the run has: the lanes' own replays have judged it.
    fn venue_of(&self, entry: &LogEntry) -> usize {
        let Some(cores) = &self.cores else { return 0 };
        let mut body = bot4_types::log::Reader::over(entry.body());
        let venue = match LogKind::from_raw(entry.kind) {
            Some(LogKind::Approved) => OrderIntent::read(&mut body)
                .and_then(|i| cores.table.get(i.instrument))
                .map(|i| i.venue),
            _ => ExecMsg::read(&mut body).and_then(|msg| msg.venue(&cores.table)),
        };
        venue.map_or(0, VenueId::index).min(VENUES_MAX - 1)
    }

    /// A message between risk and the order entry of venue `v`, seen from both sides.
    fn agree(&mut self, pair: Result<(), Mismatch>, v: usize, from: Writes) -> bool {
        let Err(Mismatch { sent, taken }) = pair else { return true };
        let (lane, what) = match from {
            Writes::Risk => (t::log_execution(v), "the order that risk approved"),
            Writes::Execution => (t::LOG_RISK, "the report that execution sent"),
        };
        let (reader, place) = (lane_name(lane), Place { lane, seq: taken, at: None });
        self.fail(place, &format!("{what} in its record {sent} is not the one that {reader} took"))
    }

    fn fail(&mut self, place: Place, what: &str) -> bool {
        let difference = FirstDifference {
            place: Some(place),
            what: what.to_owned(),
            recorded: None,
            came_out: None,
        };
        self.report.difference.get_or_insert(difference);
        false
    }

    fn fail_without_inputs(&mut self, place: Place) -> bool {
        let why = self.flaw.as_ref().map_or_else(String::new, |flaw| format!(": {flaw}"));
        self.fail(place, &format!("a record before the run's inputs are complete{why}"))
    }

    fn fail_by_gap(&mut self, entry: &LogEntry, last: u64) -> bool {
        let lane = lane_name(entry.lane);
        let what = match &self.flaw {
            _ if entry.seq <= last => {
                format!("record {} of the {lane} lane comes after {last}", entry.seq)
            }
            Some(flaw) => {
                let (from, to) = (last + 1, entry.seq - 1);
                format!("records {from} to {to} of the {lane} lane are lost: {flaw}")
            }
            None => {
                format!("records {} to {} of the {lane} lane are missing", last + 1, entry.seq - 1)
            }
        };
        let seq = entry.seq.min(last + 1);
        self.fail(Place { lane: entry.lane, seq, at: None }, &what)
    }

    /// Compares the ends.
    fn finish(
        mut self,
        closed: bool,
        end: Option<&EndState>,
    ) -> Result<ReplayReport, ReplayRefusal> {
        self.report.closed = closed;
        let links = self.reports.iter().chain(&self.approved);
        self.report.messages = links.map(LinkCheck::compared).sum();
        let Some(cores) = &self.cores else {
            if self.report.difference.is_none() && self.flaw.is_none() || self.is_old() {
                return Err(ReplayRefusal::NoInputs(self.report.journal));
            }
            self.finish_flaw();
            return Ok(self.report);
        };
        let reached = RiskState::of(cores.risk.core(), &cores.table);
        let awaits = cores.risk.awaits_decision();
        self.report.reports = cores.executions.iter().map(desk::Replayer::reports).sum();
        let state = |d: &Desk| DeskState { counts: d.counts, duplicates: d.trades().duplicates };
        let desk = |replay: &desk::Replayer| replay.desk().map(state).unwrap_or_default();
        let desks: Vec<_> = cores.executions.iter().map(desk).collect();
        if self.report.is_same() {
            self.finish_flaw();
        }
        if self.report.is_same() && closed {
            self.finish_closed(awaits);
        }
        if let (true, Some(end)) = (self.report.is_same(), end) {
            self.report.end_compared = true;
            self.finish_end(end, &reached, &desks);
        }
        self.report.reached = Some(reached);
        Ok(self.report)
    }

    /// The first record is one that needs the inputs: there are none.
    fn is_old(&self) -> bool {
        self.report.lanes[usize::from(t::LOG_RUN)].records == 0 && self.flaw.is_none()
    }

    /// A flaw that took no record between others away: something at the end is lost.
    fn finish_flaw(&mut self) {
        if let (None, Some(flaw)) = (&self.report.difference, &self.flaw) {
            let what = format!("the journal is damaged: {flaw}");
            let (place, recorded, came_out) = (None, None, None);
            self.report.difference = Some(FirstDifference { place, what, recorded, came_out });
        }
    }

    /// A journal that was closed in order holds both sides of everything.
    fn finish_closed(&mut self, awaits_decision: bool) {
        let seq = self.report.lanes[usize::from(t::LOG_RISK)].last;
        if awaits_decision {
            let place = Place { lane: t::LOG_RISK, seq, at: None };
            self.fail(place, "the last intent has no decision although the journal was closed");
        } else if let Some(seq) = self.reports.iter().find_map(LinkCheck::taken_unsent) {
            let place = Place { lane: t::LOG_RISK, seq, at: None };
            self.fail(place, "risk took a report which execution did not send");
        } else if let Some((lane, seq)) = self.taken_unapproved() {
            let place = Place { lane, seq, at: None };
            self.fail(place, "execution took an order which risk did not approve");
        }
    }

    /// Log lane and record of an order entry that took an order which risk did not approve.
    fn taken_unapproved(&self) -> Option<(u8, u64)> {
        let mut all = self.approved.iter().enumerate();
        all.find_map(|(v, link)| Some((t::log_execution(v), link.taken_unsent()?)))
    }

    fn finish_end(&mut self, end: &EndState, reached: &RiskState, desks: &[DeskState]) {
        let pairs = 0..end.desks().count().max(desks.len());
        let differs = pairs.into_iter().find(|v| end.desks().nth(*v) != desks.get(*v));
        let records = self.report.records();
        let seq = self.report.lanes[usize::from(t::LOG_RISK)].last + 1;
        let place = Place { lane: t::LOG_RISK, seq, at: None };
        if let Some(what) = end.risk.difference(reached) {
            self.fail(place, &format!("the run went on behind the journal's end: {what}"));
        } else if let Some(v) = differs {
            let lane = t::log_execution(v);
            let seq = self.report.lanes[usize::from(lane)].last + 1;
            let (ended, desk) = (end.desks().nth(v), desks.get(v));
            let what = format!("execution ended in {ended:?}, the journal leads to {desk:?}");
            self.fail(Place { lane, seq, at: None }, &what);
        } else if records != end.records {
            let what =
                format!("the run wrote {} records, the journal holds {records}", end.records);
            self.fail(place, &what);
        }
    }
}

/// A decision for a person.
fn told(decided: &Decided) -> String {
    match decided {
        Decided::Approved(i) => format!(
            "approved: {} order {} {:?} {} at {}",
            i.action.name(),
            i.order.0,
            i.side,
            i.qty.0,
            i.price.0
        ),
        Decided::Refused(r) => format!("refused: order {}, {}", r.order.0, r.reason.name()),
    }
}

/// What the router told of parents and commands, and what was asked from outside.
const fn is_told(kind: u8) -> bool {
    kind == LogKind::Parent as u8
        || kind == LogKind::OrderCommand as u8
        || kind == LogKind::Act as u8
}
