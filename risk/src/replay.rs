//! Runs the risk lane's journal through a fresh [`RiskCore`] and compares every decision.
//!
//! The records must be those of the risk lane, in sequence; a missing one is an error, because
//! everything after it could differ. Stamps are not compared: no decision reads them.

use core::fmt;
use serde::{Deserialize, Serialize};

use bot4_lanes::Phase;
use bot4_types::log::{Body, EquityRecord, Reader, Refusal};
use bot4_types::{
    ExecMsg, LogEntry, LogKind, Mark, Nanos, OrderId, OrderIntent, RiskCommand, Trail,
};

use crate::agent::equity_record;
use crate::config::{ConfigError, RiskConfig};
use crate::risk_core::{Decision, RiskCore};
use crate::statistics::Upkeep;

/// Why a replay stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// Records are missing before this sequence.
    Gap {
        /// The sequence that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// The record's body is not what its kind says.
    Damaged(u64),
    /// The decision recorded here is not the one that the inputs lead to; see
    /// [`Replayer::difference`].
    Differs(u64),
    /// Every decision so far was the recorded one, and yet the hash recorded with this turn is
    /// not theirs: a decision was taken that the journal does not hold.
    HashDiffers(u64),
    /// The hash of all marks and messages before this turn is not the recorded one: one of them
    /// is not what the run took in.
    InputsDiffer(u64),
    /// The point of the equity curve recorded here is not the one that the inputs lead to.
    EquityDiffers(u64),
    /// A decision without its intent, or an intent without its decision before the next record.
    OutOfOrder(u64),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { expected, found } => {
                write!(f, "records {expected} to {} of the risk lane are missing", found - 1)
            }
            Self::Damaged(seq) => write!(f, "record {seq} of the risk lane cannot be read"),
            Self::Differs(seq) => write!(f, "the decision in record {seq} comes out differently"),
            Self::HashDiffers(seq) => {
                write!(f, "the hash of all decisions before record {seq} comes out differently")
            }
            Self::InputsDiffer(seq) => {
                write!(f, "the inputs before record {seq} are not those that the run took in")
            }
            Self::EquityDiffers(seq) => {
                write!(f, "the equity in record {seq} comes out differently")
            }
            Self::OutOfOrder(seq) => write!(f, "record {seq} of the risk lane is out of order"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl ReplayError {
    /// Sequence of the record from which on nothing can be trusted.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        match *self {
            Self::Gap { expected, .. } => expected,
            Self::Damaged(seq)
            | Self::Differs(seq)
            | Self::HashDiffers(seq)
            | Self::InputsDiffer(seq)
            | Self::EquityDiffers(seq)
            | Self::OutOfOrder(seq) => seq,
        }
    }
}

/// A decision as a record holds it, without stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decided {
    /// The terms of the approved intent.
    Approved(OrderIntent),
    /// The order and the reason.
    Refused(Refusal),
}

impl Decided {
    fn of(order: OrderId, decision: &Decision) -> Self {
        match decision {
            Decision::Approved(approval) => Self::Approved(plain(*approval.intent())),
            Decision::Refused(reason) => Self::Refused(Refusal { order, reason: *reason }),
        }
    }
}

/// `intent` without its stamps.
fn plain(intent: OrderIntent) -> OrderIntent {
    OrderIntent { trail: Trail::default(), ..intent }
}

/// A decision that came out differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the journal says.
    pub recorded: Decided,
    /// What the same inputs led to now.
    pub came_out: Decided,
}

/// `phase` as the body of a [`LogKind::Control`] record.
#[must_use]
pub const fn phase_raw(phase: Phase) -> u8 {
    match phase {
        Phase::Run => 0,
        Phase::Drain => 1,
        Phase::Kill => 2,
        Phase::Pause => 3,
        Phase::Flatten => 4,
    }
}

/// The phase with this raw value.
#[must_use]
pub const fn phase_from_raw(raw: u8) -> Option<Phase> {
    match raw {
        0 => Some(Phase::Run),
        1 => Some(Phase::Drain),
        2 => Some(Phase::Kill),
        3 => Some(Phase::Pause),
        4 => Some(Phase::Flatten),
        _ => None,
    }
}

/// Replays one run's risk lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replayer {
    core: RiskCore,
    phase: Phase,
    seq: u64,
    decided: Option<Decided>,
    /// Nothing goes on behind a difference.
    #[serde(skip)]
    difference: Option<Difference>,
}

impl Replayer {
    /// A replay that starts from the run's `config`.
    ///
    /// # Errors
    /// See [`RiskConfig::validate`].
    pub fn new(config: &RiskConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            core: RiskCore::new(config)?,
            phase: Phase::Run,
            seq: 0,
            decided: None,
            difference: None,
        })
    }

    /// Feeds the next record of the risk lane.
    ///
    /// # Errors
    /// See [`ReplayError`]. After an error nothing that follows can be trusted.
    pub fn feed(&mut self, entry: &LogEntry) -> Result<(), ReplayError> {
        if entry.seq != self.seq + 1 {
            return Err(ReplayError::Gap { expected: self.seq + 1, found: entry.seq });
        }
        self.seq = entry.seq;
        let kind = LogKind::from_raw(entry.kind).ok_or(ReplayError::Damaged(entry.seq))?;
        let decision = matches!(kind, LogKind::Approved | LogKind::Refused);
        if decision != self.decided.is_some() {
            return Err(ReplayError::OutOfOrder(entry.seq));
        }
        if kind == LogKind::Turn {
            self.compare_hashes(entry)?;
        }
        let applied = if decision { self.compare(kind, entry)? } else { self.apply(kind, entry) };
        if kind == LogKind::Equity && applied.is_some() {
            let recorded = EquityRecord::read(&mut Reader::over(entry.body()));
            if recorded != Some(equity_record(&self.core)) {
                return Err(ReplayError::EquityDiffers(entry.seq));
            }
        }
        applied.ok_or(ReplayError::Damaged(entry.seq))
    }

    /// What differed, after [`ReplayError::Differs`].
    #[must_use]
    pub const fn difference(&self) -> Option<&Difference> {
        self.difference.as_ref()
    }

    /// Records taken in.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.seq
    }

    /// An intent was taken in whose decision has not come yet: what a killed run may leave.
    #[must_use]
    pub const fn awaits_decision(&self) -> bool {
        self.decided.is_some()
    }

    /// Hash of the decisions so far, for [`RiskCore::decision_hash`] of the recorded run.
    #[must_use]
    pub const fn decision_hash(&self) -> u64 {
        self.core.decision_hash()
    }

    /// The state reached.
    #[must_use]
    pub const fn core(&self) -> &RiskCore {
        &self.core
    }

    /// Compares the hashes that the turn was recorded with; earlier journals have none.
    fn compare_hashes(&self, entry: &LogEntry) -> Result<(), ReplayError> {
        let mut body = Reader::over(entry.body());
        let _now = body.u64();
        let (decisions, inputs) = (body.u64(), body.u64());
        if decisions.is_some_and(|hash| hash != self.core.decision_hash()) {
            return Err(ReplayError::HashDiffers(entry.seq));
        }
        if inputs.is_some_and(|hash| hash != self.core.input_hash()) {
            return Err(ReplayError::InputsDiffer(entry.seq));
        }
        Ok(())
    }

    fn apply(&mut self, kind: LogKind, entry: &LogEntry) -> Option<()> {
        let mut body = Reader::over(entry.body());
        match kind {
            LogKind::Turn => self.core.on_turn(Nanos(body.u64()?)),
            LogKind::Control => {
                self.phase = phase_from_raw(body.u8()?)?;
                self.core.on_phase(self.phase);
            }
            LogKind::Command => self.core.on_command(&RiskCommand::read(&mut body)?),
            LogKind::Mark => self.core.on_mark(&Mark::read(&mut body)?),
            LogKind::Report => {
                let _ = self.core.on_report(&ExecMsg::read(&mut body)?);
            }
            LogKind::Intent => {
                let intent = OrderIntent::read(&mut body)?;
                let decision = self.core.on_intent(&intent, self.phase);
                self.decided = Some(Decided::of(intent.order, &decision));
            }
            LogKind::Statistics => self.core.on_upkeep(Upkeep::from_raw(body.u8()?)?),
            LogKind::Equity => self.core.on_sample(),
            // A record that this lane never writes may stand where an input was.
            _ => return None,
        }
        Some(())
    }

    fn compare(&mut self, kind: LogKind, entry: &LogEntry) -> Result<Option<()>, ReplayError> {
        let Some(came_out) = self.decided.take() else { return Ok(None) };
        let mut body = Reader::over(entry.body());
        let recorded = match kind {
            LogKind::Approved => OrderIntent::read(&mut body).map(plain).map(Decided::Approved),
            _ => Refusal::read(&mut body).map(Decided::Refused),
        };
        let Some(recorded) = recorded else { return Ok(None) };
        if recorded == came_out {
            return Ok(Some(()));
        }
        self.difference = Some(Difference { recorded, came_out });
        Err(ReplayError::Differs(entry.seq))
    }
}
