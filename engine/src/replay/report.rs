//! What a replay found, for a person and for a program.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::chain::report::ChainReport;
use super::ended::RiskState;
use crate::topology as t;

/// The name of a log lane.
#[must_use]
pub const fn lane_name(lane: u8) -> &'static str {
    match lane {
        t::LOG_RISK => "risk",
        t::LOG_EXECUTION => "execution",
        t::LOG_RUN => "run",
        lane => match t::venue_of_log(lane) {
            Some(v) => t::EXECUTION[v],
            None => turns_name(lane - t::LOG_TURNS),
        },
    }
}

/// The name of the log lane of the turns of the chain's agent at `place`.
const fn turns_name(place: u8) -> &'static str {
    const NAMES: [&str; t::CHAIN.len()] = [
        "turns[parse.0]",
        "turns[parse.1]",
        "turns[book.0]",
        "turns[book.1]",
        "turns[signal]",
        "turns[risk]",
        "turns[parse.2]",
        "turns[parse.3]",
        "turns[parse.4]",
        "turns[parse.5]",
        "turns[parse.6]",
        "turns[parse.7]",
    ];
    if (place as usize) < NAMES.len() { NAMES[place as usize] } else { "unknown" }
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its log lane.
    pub lane: u8,
    /// Its sequence in the lane.
    pub seq: u64,
    /// Index of its segment and its offset there, when the record itself was read.
    pub at: Option<(u32, u64)>,
}

/// The first thing that is not as recorded. Nothing behind it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDifference {
    /// The record from which on the run cannot be trusted; `None` when no record is to blame.
    pub place: Option<Place>,
    /// What is wrong, as a sentence.
    pub what: String,
    /// What the journal says, where two values were compared.
    pub recorded: Option<String>,
    /// What came out.
    pub came_out: Option<String>,
}

/// Records of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneLine {
    /// Replayed.
    pub records: u64,
    /// Sequence of the last one.
    pub last: u64,
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayReport {
    /// The journal.
    pub journal: PathBuf,
    /// The run's name.
    pub run: String,
    /// Version and revision that wrote it.
    pub written_by: String,
    /// Replayed records by log lane.
    pub lanes: [LaneLine; LANES],
    /// Risk decisions compared.
    pub decisions: u64,
    /// Reports of execution made again and compared.
    pub reports: u64,
    /// Messages between the lanes that were the same on both sides.
    pub messages: u64,
    /// The whole chain from raw frames, in a run that was captured and whose own lanes came out.
    pub chain: Option<ChainReport>,
    /// What the replay reached.
    pub reached: Option<RiskState>,
    /// The run's own end state was there and was compared.
    pub end_compared: bool,
    /// The journal was closed in order.
    pub closed: bool,
    /// The half-written end that a killed run leaves, if there is one.
    pub torn_tail: Option<String>,
    /// What differs first, if anything does.
    pub difference: Option<FirstDifference>,
    /// Time taken, s.
    pub seconds: f64,
}

/// Log lanes there are.
pub const LANES: usize = t::LOG_LANES;

impl ReplayReport {
    /// Everything came out as recorded.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.difference.is_none()
    }

    /// Records replayed.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.lanes.iter().map(|l| l.records).sum()
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lane = |(i, l): (usize, &LaneLine)| {
            let name = lane_name(i as u8);
            json!({"lane": i, "name": name, "records": l.records, "last": l.last})
        };
        let hash = self.reached.as_ref().map(|r| r.decision_hash.as_str());
        let difference = self.difference.as_ref().map(|d| {
            json!({
                "lane": d.place.map(|p| lane_name(p.lane)), "seq": d.place.map(|p| p.seq),
                "segment": d.place.and_then(|p| p.at).map(|(segment, _)| segment),
                "offset": d.place.and_then(|p| p.at).map(|(_, offset)| offset),
                "what": d.what, "recorded": d.recorded, "came_out": d.came_out,
            })
        });
        json!({
            "same": self.is_same(), "journal": self.journal, "run": self.run,
            "written_by": self.written_by, "records": self.records(),
            "lanes": self.lanes.iter().enumerate().filter(is_shown).map(lane).collect::<Vec<_>>(),
            "decisions": self.decisions, "decision_hash": hash, "reports": self.reports,
            "messages": self.messages, "end_compared": self.end_compared, "closed": self.closed,
            "chain": self.chain.as_ref().map(ChainReport::to_json),
            "torn_tail": self.torn_tail, "first_difference": difference,
            "seconds": self.seconds,
            "records_per_s": (self.records() as f64 / self.seconds.max(1e-9)).round(),
        })
    }
}

/// The lanes of every run, and those of turns where there are any.
fn is_shown((i, line): &(usize, &LaneLine)) -> bool {
    *i < usize::from(t::LOG_TURNS) || line.records > 0
}

impl fmt::Display for FirstDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(Place { lane, seq, at }) = self.place {
            write!(f, "\n  record {seq} of the {} lane", lane_name(lane))?;
            if let Some((segment, offset)) = at {
                write!(f, ", segment {segment} at {offset}")?;
            }
        }
        for (name, value) in [("recorded", &self.recorded), ("came out", &self.came_out)] {
            if let Some(value) = value {
                write!(f, "\n  {name}: {value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_same() { "same" } else { "DIFFERENT" };
        writeln!(f, "{verdict}: run {}, written by {}", self.run, self.written_by)?;
        for (i, lane) in self.lanes.iter().enumerate().filter(is_shown) {
            writeln!(f, "  {:<14} {:>9} records", lane_name(i as u8), lane.records)?;
        }
        let hash = self.reached.as_ref().map_or("-", |r| r.decision_hash.as_str());
        let mut line = String::new();
        write!(line, "  {} decisions of risk, hash {hash}", self.decisions)?;
        write!(line, "; {} reports of execution", self.reports)?;
        writeln!(f, "{line}; {} messages between them", self.messages)?;
        let rate = self.records() as f64 / self.seconds.max(1e-9);
        writeln!(f, "  {:.3} s, {rate:.0} records/s", self.seconds)?;
        if let Some(chain) = &self.chain {
            chain.fmt(f)?;
        }
        let end = if self.end_compared { "compared" } else { "not there" };
        let closed = if self.closed { "closed in order" } else { "not closed" };
        writeln!(f, "  journal {closed}; the run's own end state: {end}")?;
        if let Some(tail) = &self.torn_tail {
            writeln!(f, "  {tail}: what a killed run leaves")?;
        }
        match &self.difference {
            Some(difference) => write!(f, "first difference: {difference}"),
            None => Ok(()),
        }
    }
}
