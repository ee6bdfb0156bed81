//! Everything that a start needs to know of a journal, record by record.
//!
//! Orders and fills are those that execution reported or risk took; risk's state is what the same
//! inputs lead to. Records of different lanes may come in any order, those of one lane come in
//! theirs. What lies behind a failed sync is not relied on, however well it reads today.
//!
//! Invariant: pure; the same records make the same value, to the byte of its encoding. Memory grows
//! with fills and open orders, not with records.

use std::collections::{BTreeMap, BTreeSet};

use bot4_journal::Record;
use bot4_journal::decode::{Decoded, decode};
use bot4_journal::repository::OrderRow;
use bot4_risk::{Replayer, RiskCore};
use bot4_types::log::{Body as _, Reader};
use bot4_types::{
    ControlMode, ExecMsg, InstrumentId, LogEntry, LogKind, OrderAction, OrderId, OrderReport,
    ParentReport, ReportKind,
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
    trades: Trades,
    parents: Parents,
    risk: Risk,
}

/// Ended orders that are remembered: a fill may be told after the end.
const ENDED_KEPT: usize = 4_096;

/// Orders that may have left. The gate approves numbers in rising order only.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Orders {
    approved: u64,
    newest: OrderId,
    /// Approved, not known to have ended.
    open: BTreeMap<OrderId, OrderRow>,
    /// Amends that were approved of those.
    amends: BTreeMap<OrderId, u32>,
    /// Those that ended last by their numbers.
    ended: BTreeMap<OrderId, OrderRow>,
    /// Reports whose order's approval is still to be read: lanes are written apart.
    early: BTreeMap<OrderId, Vec<OrderReport>>,
}

impl Orders {
    fn approve(&mut self, mut row: OrderRow) {
        self.approved += 1;
        self.newest = self.newest.max(row.order);
        self.early.remove(&row.order).iter().flatten().for_each(|report| row.take(report));
        self.put(row);
    }

    fn amend(&mut self, order: OrderId) {
        if self.open.contains_key(&order) {
            *self.amends.entry(order).or_default() += 1;
        }
    }

    fn report(&mut self, report: &OrderReport) {
        let order = report.order;
        if let Some(row) = self.ended.get_mut(&order) {
            row.take(report);
        } else if let Some(mut row) = self.open.remove(&order) {
            row.take(report);
            self.put(row);
        } else if order > self.newest {
            self.early.entry(order).or_default().push(*report);
        }
    }

    fn put(&mut self, row: OrderRow) {
        if row.ended.is_some() {
            self.amends.remove(&row.order);
            self.ended.insert(row.order, row);
        } else {
            self.open.insert(row.order, row);
        }
        if self.ended.len() > ENDED_KEPT {
            self.ended.pop_first();
        }
    }
}

/// Trades that were told, by the venue's number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Trades {
    /// Own fills, that execution told of or risk took.
    fills: BTreeSet<(InstrumentId, u64)>,
    /// Those of them that risk has not taken.
    unbooked: BTreeSet<(InstrumentId, u64)>,
    /// Other programs', as risk was told.
    foreign: BTreeSet<u64>,
}

impl Trades {
    /// A fill, told by execution or taken by risk; true when it is new.
    fn fill(&mut self, trade: (InstrumentId, u64), booked: bool) -> bool {
        let new = self.fills.insert(trade);
        if booked {
            self.unbooked.remove(&trade);
        } else if new {
            self.unbooked.insert(trade);
        }
        new
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
            Some(LogKind::Approved) => match decode(entry) {
                Decoded::Intent(intent) if intent.action == OrderAction::Place => {
                    self.orders.approve(OrderRow::new(&intent, record.epoch, entry.at));
                    self.parents.on_child(&intent);
                }
                Decoded::Intent(intent) if intent.action == OrderAction::Amend => {
                    self.orders.amend(intent.order);
                }
                _ => {}
            },
            Some(kind @ (LogKind::Learned | LogKind::Report)) => {
                let booked = kind == LogKind::Report;
                match ExecMsg::read(&mut Reader::over(entry.body())) {
                    Some(ExecMsg::Order(report)) => self.on_report(&report, booked),
                    Some(ExecMsg::Foreign { trade_id, .. }) if booked && trade_id != 0 => {
                        self.trades.foreign.insert(trade_id);
                    }
                    _ => {}
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

    fn on_report(&mut self, report: &OrderReport, booked: bool) {
        let trade = (report.instrument, report.trade_id);
        if report.kind == ReportKind::Fill && self.trades.fill(trade, booked) {
            self.parents.on_fill(report);
        }
        self.orders.report(report);
    }

    /// Orders that were approved.
    #[must_use]
    pub const fn approved(&self) -> u64 {
        self.orders.approved
    }

    /// Amends that were approved of an order without a known end.
    #[must_use]
    pub fn amends(&self, order: OrderId) -> u32 {
        self.orders.amends.get(&order).copied().unwrap_or(0)
    }

    /// Approved orders without a known end, by number.
    pub fn unfinished(&self) -> impl ExactSizeIterator<Item = &OrderRow> {
        self.orders.open.values()
    }

    /// Approved orders that may still be told of: those without a known end, and the last ones that
    /// ended, by number.
    pub fn orders(&self) -> impl Iterator<Item = &OrderRow> {
        self.orders.ended.values().chain(self.orders.open.values())
    }

    /// The approved order with this number; none too of one that ended long before.
    #[must_use]
    pub fn order(&self, order: OrderId) -> Option<&OrderRow> {
        self.orders.open.get(&order).or_else(|| self.orders.ended.get(&order))
    }

    /// Fills that execution told of or risk took, by the venue's trade id.
    pub fn fills(&self) -> impl ExactSizeIterator<Item = (InstrumentId, u64)> + '_ {
        self.trades.fills.iter().copied()
    }

    /// Risk took this fill.
    #[must_use]
    pub fn is_booked(&self, instrument: InstrumentId, trade_id: u64) -> bool {
        let trade = (instrument, trade_id);
        self.trades.fills.contains(&trade) && !self.trades.unbooked.contains(&trade)
    }

    /// Risk was told that this trade is another program's.
    #[must_use]
    pub fn is_foreign(&self, trade_id: u64) -> bool {
        self.trades.foreign.contains(&trade_id)
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
