//! An approved order with everything told of it, and a rate with everything taken from it.

use std::collections::BTreeMap;

use bot4_types::{Nanos, OrderIntent, OrderReport, OrderState, Price, ReportKind};

/// An approved order, everything told of it, and what follows from the whole of that. `intent` has
/// the terms that hold.
pub struct Known {
    pub intent: OrderIntent,
    /// An amend that is approved and not over.
    pub amend: Option<OrderIntent>,
    reports: Vec<OrderReport>,
    fills: Vec<OrderReport>,
    standing: Standing,
}

/// What follows from an order's reports.
#[derive(Clone, Copy)]
pub struct Standing {
    pub filled: i128,
    pub leaves: i128,
    pub ended: bool,
    pub unknown: bool,
}

impl Known {
    pub fn new(intent: &OrderIntent) -> Self {
        let leaves = i128::from(intent.qty.0);
        let standing = Standing { filled: 0, leaves, ended: false, unknown: false };
        let (reports, fills) = (Vec::new(), Vec::new());
        Self { intent: *intent, amend: None, reports, fills, standing }
    }

    /// One more report: everything is worked out anew from all of them.
    pub fn hear(&mut self, report: &OrderReport) {
        self.reports.push(*report);
        if matches!(report.kind, ReportKind::Amended | ReportKind::AmendRejected) {
            self.amend = None;
        }
        if report.kind == ReportKind::Amended {
            (self.intent.price, self.intent.qty) = (report.price, report.qty);
        }
        self.work_out();
    }

    /// An amend of it was approved.
    pub fn amend(&mut self, intent: &OrderIntent) {
        self.amend = Some(*intent);
        self.work_out();
    }

    fn work_out(&mut self) {
        let fills = self.reports.iter().filter(|r| r.kind == ReportKind::Fill);
        let by_trade: BTreeMap<u64, OrderReport> = fills.map(|r| (r.trade_id, *r)).collect();
        self.fills = by_trade.into_values().collect();
        let filled = self.fills.iter().map(|r| i128::from(r.last_qty.0)).sum();
        let newest = self.reports.iter().max_by_key(|r| r.seq);
        let ended = self.reports.iter().any(|r| r.state.is_terminal());
        let cum = self.cum();
        let most = self.amend.map_or(self.intent.qty, |amend| amend.qty.max(self.intent.qty));
        let target = if ended { cum } else { cum.max(i128::from(most.0)) };
        let unknown = !ended && newest.is_some_and(|r| r.state == OrderState::Unknown);
        self.standing = Standing { filled, leaves: target - filled, ended, unknown };
    }

    /// `report` says something that none before it did.
    pub fn is_news(&self, report: &OrderReport) -> bool {
        if report.kind == ReportKind::Fill {
            return self.fills.iter().all(|fill| fill.trade_id != report.trade_id);
        }
        let newer = self.reports.iter().all(|r| r.seq < report.seq);
        newer || (report.state.is_terminal() && !self.standing.ended)
    }

    /// The highest cumulative quantity told.
    pub fn cum(&self) -> i128 {
        self.reports.iter().map(|r| i128::from(r.cum_qty.0)).max().unwrap_or(0)
    }

    /// The newest word.
    pub fn newest(&self) -> Option<&OrderReport> {
        self.reports.iter().max_by_key(|r| r.seq)
    }

    /// The prices that it may have.
    pub fn prices(&self) -> impl Iterator<Item = Price> {
        [Some(self.intent.price), self.amend.map(|a| a.price)].into_iter().flatten()
    }

    /// It is in no book: its trigger was not reached yet.
    pub fn waits(&self) -> bool {
        let triggered = self.reports.iter().any(|r| r.kind == ReportKind::Triggered);
        self.intent.trigger.0 != 0 && !triggered
    }

    /// Different fills.
    pub fn fills(&self) -> &[OrderReport] {
        &self.fills
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }
}

/// A rate: everything that was taken and changed, in order.
#[derive(Clone, Default)]
pub struct Rate(pub Vec<(Nanos, Step)>);

#[derive(Clone)]
pub enum Step {
    Take(u32),
    Rule(u32, u32),
}

impl Rate {
    pub fn holds(&self, tokens: u32, now: Nanos) -> bool {
        let (mut level, mut at, mut per_s, mut full) = (i128::MAX / 2, Nanos::ZERO, 0i128, 0i128);
        let gain = |level: i128, from: Nanos, to: Nanos, per_s: i128, full: i128| {
            full.min(level + i128::from(to.since(from).0) * per_s)
        };
        for (i, (when, step)) in self.0.iter().enumerate() {
            if i > 0 {
                level = gain(level, at, *when, per_s, full);
            }
            at = *when;
            match *step {
                Step::Take(n) => level = (level - i128::from(n) * 1_000_000_000).max(0),
                Step::Rule(rate, burst) => {
                    (per_s, full) = (i128::from(rate), i128::from(burst) * 1_000_000_000);
                    level = level.min(full);
                }
            }
        }
        gain(level, at, now, per_s, full) >= i128::from(tokens) * 1_000_000_000
    }
}
