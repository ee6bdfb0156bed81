//! Everything that a start needs to know of a journal, record by record.
//!
//! Orders and fills are those that execution reported or risk took; risk's state is what the same
//! inputs lead to. Records of different lanes may come in any order, those of one lane come in
//! theirs. What lies behind a failed sync is not relied on, however well it reads today.
//!
//! Invariant: pure; the same records make the same value, to the byte of its encoding. Memory grows
//! with fills and open orders, not with records.

use std::collections::BTreeSet;

use bot4_journal::Record;
use bot4_journal::repository::{approval, learned};
use bot4_risk::{Replayer, RiskCore};
use bot4_types::log::{Body as _, Reader};
use bot4_types::{
    ControlMode, InstrumentId, LogEntry, LogKind, OrderId, OrderReport, ParentReport, ReportKind,
};
use serde::{Deserialize, Serialize};

use super::parents::Parents;
use crate::replay::inputs::{InputsText, RunInputs};
use crate::run::start_mode;
use crate::topology as t;

/// See the module's text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fold {
    orders: Orders,
    fills: BTreeSet<(InstrumentId, u64)>,
    parents: Parents,
    risk: Risk,
}

/// Orders that may have left, and which of them ended for certain. The gate approves numbers in
/// rising order only.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Orders {
    approved: u64,
    newest: OrderId,
    /// Approved, not known to have ended.
    open: BTreeSet<OrderId>,
    /// Known to have ended, their approval is still to be read.
    early: BTreeSet<OrderId>,
}

impl Orders {
    fn approve(&mut self, order: OrderId) {
        self.approved += 1;
        self.newest = self.newest.max(order);
        if !self.early.remove(&order) {
            self.open.insert(order);
        }
    }

    fn end(&mut self, order: OrderId) {
        if !self.open.remove(&order) && order > self.newest {
            self.early.insert(order);
        }
    }
}

/// What risk had reached.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Risk {
    text: InputsText,
    configured: Option<ControlMode>,
    replay: Option<Box<Replayer>>,
    /// A record cannot be read or led elsewhere: nothing behind it counts.
    broken: bool,
}

impl Risk {
    fn take(&mut self, entry: &LogEntry) {
        if self.broken {
            return;
        }
        match (entry.lane, &mut self.replay) {
            (t::LOG_RUN, None) => match self.text.take(entry.body()) {
                Ok(None) => {}
                Ok(Some(inputs)) => self.begin(&inputs),
                Err(_) => self.broken = true,
            },
            (t::LOG_RISK, Some(replay)) => self.broken = replay.feed(entry).is_err(),
            _ => {}
        }
    }

    fn begin(&mut self, inputs: &RunInputs) {
        self.text = InputsText::default();
        self.configured = start_mode::named(inputs.mode_configured());
        let config = inputs.risk_config().ok();
        self.replay = config.and_then(|config| Replayer::new(&config).ok()).map(Box::new);
        self.broken = self.replay.is_none();
    }
}

impl Fold {
    /// Takes the next record in.
    pub fn take(&mut self, record: &Record) {
        if !record.synced {
            return;
        }
        let entry = &record.entry;
        match LogKind::from_raw(entry.kind) {
            Some(LogKind::Approved) => {
                if let Some(intent) = approval(entry) {
                    self.orders.approve(intent.order);
                    self.parents.on_child(&intent);
                }
            }
            Some(LogKind::Learned | LogKind::Report) => {
                if let Some(report) = learned(entry) {
                    self.on_report(&report);
                }
            }
            Some(LogKind::Parent) => {
                if let Some(report) = ParentReport::read(&mut Reader::over(entry.body())) {
                    self.parents.on_report(&report);
                }
            }
            _ => {}
        }
        self.risk.take(entry);
    }

    fn on_report(&mut self, report: &OrderReport) {
        let fill = report.kind == ReportKind::Fill;
        if fill && self.fills.insert((report.instrument, report.trade_id)) {
            self.parents.on_fill(report);
        }
        if report.state.is_terminal() {
            self.orders.end(report.order);
        }
    }

    /// Orders that were approved.
    #[must_use]
    pub const fn approved(&self) -> u64 {
        self.orders.approved
    }

    /// Approved orders without a known end.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.orders.open.len() as u64
    }

    /// Fills, by the venue's trade id.
    pub fn fills(&self) -> impl Iterator<Item = (InstrumentId, u64)> + '_ {
        self.fills.iter().copied()
    }

    /// Parent orders.
    #[must_use]
    pub const fn parents(&self) -> &Parents {
        &self.parents
    }

    /// What risk had reached at the end, and the control mode that the configuration asked for at
    /// the start; none when the journal does not say what its run started from.
    #[must_use]
    pub fn risk(&self) -> Option<(&RiskCore, Option<ControlMode>)> {
        self.risk.replay.as_ref().map(|replay| (replay.core(), self.risk.configured))
    }

    /// The records of risk end before the journal does: one cannot be read or led elsewhere.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.risk.broken
    }
}
