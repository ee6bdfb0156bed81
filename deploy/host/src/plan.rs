//! What `apply` would write: each change with the present value, the new one and the way back.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::check::{Checked, Report};
use crate::row::{Change, Scope, Sight, State};

/// A change of the machine that a row asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The row's name.
    pub row: &'static str,
    /// The change.
    pub change: Change,
    /// What is there now; `None` where there is nothing yet.
    pub now: Option<String>,
}

/// What can be changed now, and what only a restart of the machine changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Words that the boot line lacks.
    pub boot: Vec<String>,
}

impl Plan {
    /// The changes of the rows of `report` that are wrong and not waived; with `only`, of these
    /// rows alone.
    #[must_use]
    pub fn of(sight: &Sight<'_>, report: &Report, only: &[String]) -> Self {
        let asked = |c: &&Checked| only.is_empty() || only.iter().any(|id| id == c.row.id);
        let wrong = |c: &&Checked| matches!(c.state, State::Warn | State::Fail);
        let checks = || report.checks.iter().filter(wrong).filter(asked);
        let step = |row: &'static str, change: Change| {
            let now = change.now(sight.root);
            // What is so already needs no way back.
            let same = |now: &String| change.style().same(now, change.value());
            let same = now.as_ref().is_some_and(same);
            (!same).then_some(Step { row, change, now })
        };
        let mut steps = Vec::new();
        for checked in checks().filter(|c| c.row.scope == Scope::Runtime) {
            for change in checked.row.changes(sight) {
                steps.extend(step(checked.row.id, change));
            }
        }
        let hot = sight.need.hot();
        let words = checks().filter_map(|c| match c.row.id {
            "isolation.cpus" => Some(format!("isolcpus=managed_irq,domain,{hot}")),
            "isolation.tick" => Some(format!("nohz_full={hot}")),
            "isolation.rcu" => Some(format!("rcu_nocbs={hot}")),
            _ => None,
        });
        Self { steps, boot: words.collect() }
    }

    /// For a program.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let of = |step: &Step| {
            let new = step.change.value();
            json!({"row": step.row, "path": step.change.path(), "now": step.now, "new": new})
        };
        let steps: Vec<Value> = self.steps.iter().map(of).collect();
        json!({"steps": steps, "boot": self.boot.join(" ")})
    }

    /// For a person.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for Step { row, change, now } in &self.steps {
            let path = change.path();
            let _ = match change {
                Change::Write { value, .. } | Change::Card { value, .. } => {
                    let now = now.as_deref().unwrap_or("(not there yet)");
                    writeln!(out, "{row:<24} {path}: {now} -> {value}")
                }
                Change::MakeDir { .. } => writeln!(out, "{row:<24} {path}: mkdir"),
            };
        }
        if self.steps.is_empty() {
            out.push_str("nothing to write\n");
        }
        if !self.boot.is_empty() {
            let _ = writeln!(
                out,
                "by hand, then restart: GRUB_CMDLINE_LINUX=\"... {}\"",
                self.boot.join(" ")
            );
        }
        out
    }
}
