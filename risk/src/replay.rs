//! Runs the risk lane's journal through a fresh [`RiskCore`] and compares every decision.
//!
//! The records must be those of the risk lane, in sequence; a missing one is an error, because
//! everything after it could differ. Stamps are not compared: no decision reads them.

use core::fmt;

use bot4_lanes::Phase;
use bot4_types::log::{Body, Reader, Refusal};
use bot4_types::{ExecMsg, LogEntry, LogKind, Mark, Nanos, OrderId, OrderIntent, Trail};

use crate::config::{ConfigError, RiskConfig};
use crate::risk_core::{Decision, RiskCore};

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
    /// The decision recorded here is not the one that the inputs lead to.
    Differs(u64),
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
            Self::OutOfOrder(seq) => write!(f, "record {seq} of the risk lane is out of order"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// `phase` as the body of a [`LogKind::Control`] record.
#[must_use]
pub const fn phase_raw(phase: Phase) -> u8 {
    match phase {
        Phase::Run => 0,
        Phase::Drain => 1,
        Phase::Kill => 2,
    }
}

/// The phase with this raw value.
#[must_use]
pub const fn phase_from_raw(raw: u8) -> Option<Phase> {
    match raw {
        0 => Some(Phase::Run),
        1 => Some(Phase::Drain),
        2 => Some(Phase::Kill),
        _ => None,
    }
}

/// Replays one run's risk lane.
#[derive(Debug)]
pub struct Replayer {
    core: RiskCore,
    phase: Phase,
    seq: u64,
    decided: Option<(OrderId, Decision)>,
}

impl Replayer {
    /// A replay that starts from the run's `config`.
    ///
    /// # Errors
    /// See [`RiskConfig::validate`].
    pub fn new(config: &RiskConfig) -> Result<Self, ConfigError> {
        Ok(Self { core: RiskCore::new(config)?, phase: Phase::Run, seq: 0, decided: None })
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
        let applied = if decision { self.compare(kind, entry)? } else { self.apply(kind, entry) };
        applied.ok_or(ReplayError::Damaged(entry.seq))
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

    fn apply(&mut self, kind: LogKind, entry: &LogEntry) -> Option<()> {
        let mut body = Reader::over(entry.body());
        match kind {
            LogKind::Turn => self.core.on_turn(Nanos(body.u64()?)),
            LogKind::Control => self.phase = phase_from_raw(body.u8()?)?,
            LogKind::Mark => self.core.on_mark(&Mark::read(&mut body)?),
            LogKind::Report => {
                let _ = self.core.on_report(&ExecMsg::read(&mut body)?);
            }
            LogKind::Intent => {
                let intent = OrderIntent::read(&mut body)?;
                let decision = self.core.on_intent(&intent, self.phase);
                self.decided = Some((intent.order, decision));
            }
            _ => {}
        }
        Some(())
    }

    fn compare(&mut self, kind: LogKind, entry: &LogEntry) -> Result<Option<()>, ReplayError> {
        let Some((order, decision)) = self.decided.take() else { return Ok(None) };
        let mut body = Reader::over(entry.body());
        let same = match (kind, decision) {
            (LogKind::Approved, Decision::Approved(approval)) => {
                let Some(recorded) = OrderIntent::read(&mut body) else { return Ok(None) };
                let plain = |intent: OrderIntent| OrderIntent { trail: Trail::default(), ..intent };
                plain(recorded) == plain(*approval.intent())
            }
            (LogKind::Refused, Decision::Refused(reason)) => {
                let Some(recorded) = Refusal::read(&mut body) else { return Ok(None) };
                recorded == Refusal { order, reason }
            }
            _ => false,
        };
        if same { Ok(Some(())) } else { Err(ReplayError::Differs(entry.seq)) }
    }
}
