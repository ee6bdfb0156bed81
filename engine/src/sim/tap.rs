//! Taps: links of the order path are cut in two, and the simulator carries the messages over.
//!
//! ```text
//! signal --intents--> | tap | --> risk          seen by the checkers in the step that sent them
//! ```
//!
//! Whatever the reader of a link sees, the checkers have seen before. Depth stays bounded: each
//! half has the link's capacity. A [`Plant`] changes messages on the way: the proof that the
//! checkers find what they are for.

use std::collections::VecDeque;

use bot4_lanes::{Rx, Tx};
use bot4_types::{ApprovedOrder, ExecMsg, LogEntry, OrderIntent, OrderState, ReportKind};

use crate::run::rings::Rings;

/// A planted violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A fill does not reach risk.
    LostFill,
    /// A fill reaches risk with another quantity.
    WrongFill,
    /// An ending does not reach risk.
    LostEnding,
    /// Risk is told that a living order was cancelled.
    EarlyEnding,
    /// An order reaches execution ten times as large as approved.
    GrownOrder,
    /// An agent panics.
    Panic,
}

impl Plant {
    /// All of them with their names.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("lost-fill", Self::LostFill),
        ("wrong-fill", Self::WrongFill),
        ("lost-ending", Self::LostEnding),
        ("early-ending", Self::EarlyEnding),
        ("grown-order", Self::GrownOrder),
        ("panic", Self::Panic),
    ];
}

/// What left in one step.
#[derive(Default)]
pub struct Seen {
    /// Signal to risk.
    pub intents: Vec<OrderIntent>,
    /// Risk to execution.
    pub approved: Vec<ApprovedOrder>,
    /// Execution to risk.
    pub reports: Vec<ExecMsg>,
    /// Risk to the journal.
    pub risk_log: Vec<LogEntry>,
    /// Execution to the journal.
    pub execution_log: Vec<LogEntry>,
    /// Deepest link in this step: messages waiting and capacity, by link.
    pub depths: Vec<(&'static str, usize, usize)>,
}

impl Seen {
    fn clear(&mut self) {
        self.intents.clear();
        self.approved.clear();
        self.reports.clear();
        self.risk_log.clear();
        self.execution_log.clear();
        self.depths.clear();
    }
}

/// One cut link.
pub struct Tap<T> {
    name: &'static str,
    from: Rx<T>,
    to: Tx<T>,
    held: VecDeque<T>,
}

impl<T: Copy> Tap<T> {
    /// A tap between the two halves of link `name`.
    #[must_use]
    pub fn new(name: &'static str, from: Rx<T>, to: Tx<T>) -> Self {
        let held = VecDeque::with_capacity(to.capacity());
        Self { name, from, to, held }
    }

    /// Carries over what there is: noted in `seen`, changed by `change` (`None`: dropped).
    fn carry(
        &mut self,
        seen: &mut Vec<T>,
        depths: &mut Vec<(&'static str, usize, usize)>,
        mut change: impl FnMut(T) -> Option<T>,
    ) {
        depths.push((self.name, self.from.waiting(), self.to.capacity()));
        while self.held.len() < self.to.capacity() {
            let Some(message) = self.from.pop() else { break };
            seen.push(message);
            self.held.extend(change(message));
        }
        while self.to.room() > 0 {
            let Some(message) = self.held.pop_front() else { break };
            // Room was asked for.
            let _ = self.to.push(message);
        }
    }

    /// Nothing waits before or in the tap.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.from.waiting() == 0 && self.to.room() == self.to.capacity()
    }
}

/// All taps of a run.
pub struct Taps {
    /// Signal to risk.
    pub intents: Tap<OrderIntent>,
    /// Risk to execution.
    pub approved: Tap<ApprovedOrder>,
    /// Execution to risk.
    pub reports: Tap<ExecMsg>,
    /// Risk to the journal.
    pub risk_log: Tap<LogEntry>,
    /// Execution to the journal.
    pub execution_log: Tap<LogEntry>,
    /// What was planted, until it has struck.
    pub plant: Option<Plant>,
}

impl Taps {
    /// Cuts the links of the order path.
    pub fn cut(rings: &mut Rings, plant: Option<Plant>) -> Self {
        let (rx, tx) = rings.cut("intents");
        let intents = Tap::new("intents", rx, tx);
        let (rx, tx) = rings.cut("approved");
        let approved = Tap::new("approved", rx, tx);
        let (rx, tx) = rings.cut("reports");
        let reports = Tap::new("reports", rx, tx);
        let (rx, tx) = rings.cut("log[risk]");
        let risk_log = Tap::new("log[risk]", rx, tx);
        let (rx, tx) = rings.cut("log[execution]");
        let execution_log = Tap::new("log[execution]", rx, tx);
        Self { intents, approved, reports, risk_log, execution_log, plant }
    }

    /// Carries everything over after a step.
    pub fn carry(&mut self, seen: &mut Seen) {
        seen.clear();
        let mut plant = self.plant;
        let depths = &mut seen.depths;
        self.intents.carry(&mut seen.intents, depths, Some);
        self.approved.carry(&mut seen.approved, depths, |m| Some(grow(m, &mut plant)));
        self.reports.carry(&mut seen.reports, depths, |m| spoil(m, &mut plant));
        self.risk_log.carry(&mut seen.risk_log, depths, Some);
        self.execution_log.carry(&mut seen.execution_log, depths, Some);
        self.plant = plant;
    }

    /// Nothing is on its way between signal, risk, execution and journal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intents.is_empty()
            && self.approved.is_empty()
            && self.reports.is_empty()
            && self.risk_log.is_empty()
            && self.execution_log.is_empty()
    }
}

fn grow(message: ApprovedOrder, plant: &mut Option<Plant>) -> ApprovedOrder {
    if *plant != Some(Plant::GrownOrder) {
        return message;
    }
    *plant = None;
    let mut intent = *message.intent();
    intent.qty.0 *= 10;
    #[expect(clippy::disallowed_methods, reason = "a planted violation goes around the gate")]
    ApprovedOrder::seal(intent, message.record())
}

fn spoil(message: ExecMsg, plant: &mut Option<Plant>) -> Option<ExecMsg> {
    let ExecMsg::Order(mut report) = message else { return Some(message) };
    let fill = report.kind == ReportKind::Fill;
    let spoilt = match *plant {
        Some(Plant::LostFill) if fill => None,
        Some(Plant::WrongFill) if fill => {
            report.last_qty.0 += 1;
            report.cum_qty.0 += 1;
            Some(ExecMsg::Order(report))
        }
        Some(Plant::LostEnding) if report.state == OrderState::Canceled => None,
        Some(Plant::EarlyEnding) if report.kind == ReportKind::Acked => {
            (report.kind, report.state) = (ReportKind::Done, OrderState::Canceled);
            Some(ExecMsg::Order(report))
        }
        _ => return Some(message),
    };
    *plant = None;
    spoilt
}
