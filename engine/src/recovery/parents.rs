//! Parent orders that a run left unfinished: a parent does not outlive its run, and what was
//! filled of it is told at the next start.
//!
//! A parent's own report is written when the control lane comes to it; fills of its children may
//! lie in the journal behind the last one. So what is filled is summed from the children's fills,
//! each counted once.

use std::collections::BTreeMap;

use bot4_types::{
    InstrumentTable, OrderId, OrderIntent, OrderReport, ParentId, ParentReport, ParentState, Qty,
    notional,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operator::orders;

/// What the children of a parent filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Filled {
    qty: i64,
    /// Sum of price times quantity.
    cost: i128,
    fills: u32,
    children: u32,
}

/// Parents alive where the journal ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Parents {
    alive: BTreeMap<ParentId, ParentReport>,
    filled: BTreeMap<ParentId, Filled>,
    /// The parents' children.
    children: BTreeMap<OrderId, ParentId>,
}

impl Parents {
    /// An order was approved; it may be a child.
    pub(super) fn on_child(&mut self, intent: &OrderIntent) {
        if intent.parent != ParentId::NONE {
            self.children.insert(intent.order, intent.parent);
            self.filled.entry(intent.parent).or_default().children += 1;
        }
    }

    /// A fill that was not told before; of a child, perhaps.
    pub(super) fn on_fill(&mut self, fill: &OrderReport) {
        let Some(parent) = self.children.get(&fill.order) else { return };
        let sum = self.filled.entry(*parent).or_default();
        sum.qty = sum.qty.saturating_add(fill.last_qty.0);
        sum.cost = sum.cost.saturating_add(notional(fill.last_price, fill.last_qty));
        sum.fills += 1;
    }

    /// Where a parent stands.
    pub(super) fn on_report(&mut self, report: &ParentReport) {
        if report.state != ParentState::Ended {
            self.alive.insert(report.id, *report);
            return;
        }
        self.alive.remove(&report.id);
        self.filled.remove(&report.id);
        self.children.retain(|_, parent| *parent != report.id);
    }

    /// Parents that were alive where the journal ends: filled by all fills that it holds, nothing
    /// open, because a start withdraws what is.
    pub fn unfinished(&self) -> impl Iterator<Item = ParentReport> + '_ {
        self.alive.values().map(|report| {
            let sum = self.filled.get(&report.id).copied().unwrap_or_default();
            let beyond = (sum.qty - report.total.0).max(0);
            ParentReport {
                filled: Qty(sum.qty),
                open: Qty(0),
                left: Qty((report.total.0 - sum.qty).max(0)),
                over: Qty(beyond),
                cost: sum.cost,
                fills: sum.fills,
                children: sum.children,
                ..*report
            }
        })
    }
}

/// `report` of an unfinished parent of `run` as JSON: as `bot4 order list` tells parents, with the
/// run beside it.
#[must_use]
pub fn to_json(report: &ParentReport, table: &InstrumentTable, run: &str) -> Value {
    let mut row = orders::to_json(report, table);
    row["run"] = run.into();
    row["state"] = "unfinished".into();
    row
}

/// For a person.
#[must_use]
pub fn sentence(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or("-");
    let average = row["average"].as_str().map(|p| format!(" at {p} on average"));
    format!(
        "run {} left parent order {} unfinished: {} {} {} {}: {} filled{}, {} left; it is not \
         taken up again: `bot4 order` begins a new one for the rest",
        text("run"),
        text("id"),
        text("algo"),
        text("side"),
        text("total"),
        text("symbol"),
        text("filled"),
        average.unwrap_or_default(),
        text("left"),
    )
}
