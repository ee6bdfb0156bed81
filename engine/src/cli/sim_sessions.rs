//! `bot4 sim --sessions N`: many scripted sessions, summed up in one line.
//!
//! A session is one life of the machine, from its start to the audit of every order and fill after
//! a script of mishaps; see [`crate::sim`]. What is counted comes from the simulated venue's own
//! tables and from the checkers that look at every step.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::out::{self, say};
use super::sim::{code_of, line};
use super::{Outcome, exit};
use crate::sim::{self, Options, Plant, Session, SimEnd};

/// Everything that was counted.
#[derive(Default)]
struct Sums {
    sessions: u64,
    failed: u64,
    without_orders: u64,
    orders: u64,
    fills: u64,
    sim_ms: u64,
    wrong_endings: u64,
    fills_wrong: u64,
    doubled: u64,
    exposed: u64,
    other: u64,
    late: u64,
    mishaps: BTreeMap<&'static str, u64>,
    unknown_ns: Vec<u64>,
    heal_ms: Vec<u64>,
}

impl Sums {
    fn add(&mut self, end: &SimEnd, session: &Session) {
        let audit = &end.audit;
        self.sessions += 1;
        self.without_orders += u64::from(end.orders == 0);
        self.orders += end.orders;
        self.fills += audit.fills;
        self.sim_ms += end.sim_ms;
        self.wrong_endings += audit.wrong_endings;
        self.fills_wrong += audit.fills_missed + audit.fills_doubled;
        self.doubled += audit.orders_doubled;
        for finding in &end.unsafe_findings {
            self.step_finding(finding);
        }
        self.late += end.late_findings.len() as u64;
        self.other += (end.leaks.len() + usize::from(end.stop.is_some())) as u64;
        for mishap in &session.mishaps {
            *self.mishaps.entry(mishap).or_default() += 1;
        }
        self.unknown_ns.extend(&audit.unknown_ns);
        self.heal_ms.push(end.heal_ms);
    }

    /// Counts a checker's finding, `step N: CHECKER: what`, where it belongs. The audit's are
    /// counted as such.
    fn step_finding(&mut self, finding: &str) {
        if finding.starts_with("audit: ") {
            return;
        }
        match finding.split(": ").nth(1).unwrap_or_default() {
            "endings" | "waiting" => self.wrong_endings += 1,
            "fills" | "truth" => self.fills_wrong += 1,
            "ids" | "approvals" => self.doubled += 1,
            "exposure" => self.exposed += 1,
            _ => self.other += 1,
        }
    }

    fn line(mut self) -> Value {
        let unknown = self.unknown_ns.len();
        json!({
            "sessions": self.sessions, "failed": self.failed,
            "without_orders": self.without_orders, "orders": self.orders, "fills": self.fills,
            "sim_s": self.sim_ms / 1_000, "mishaps": self.mishaps,
            "wrong_terminal_states": self.wrong_endings,
            "fills_doubled_or_missed": self.fills_wrong, "duplicate_orders": self.doubled,
            "exposure_above_limit": self.exposed, "not_at_rest_in_time": self.late,
            "other_findings": self.other, "unknown_orders": unknown,
            "unknown_resolved_ms": percentiles(&mut self.unknown_ns, 1_000_000.0),
            "heal_ms": percentiles(&mut self.heal_ms, 1.0),
        })
    }
}

/// Median, 99th percentile and maximum in units of `unit`.
fn percentiles(all: &mut [u64], unit: f64) -> Value {
    all.sort_unstable();
    let at = |p: usize| {
        let rank = (all.len() * p).div_ceil(100).max(1) - 1;
        all.get(rank).map(|n| (*n as f64 / unit * 10.0).round() / 10.0)
    };
    json!({"p50": at(50), "p99": at(99), "max": at(100)})
}

/// Sessions after which pages that nobody uses are given back; each leaves a third of a megabyte.
const GIVE_BACK_EVERY: u64 = 64;

/// Plays `count` sessions from seed `first` on. A session that does not hold prints its own line.
///
/// # Errors
/// A refusal when a run cannot be built.
pub fn run(first: u64, count: u64, plant: Option<Plant>) -> Outcome {
    let (mut sums, mut worst) = (Sums::default(), exit::DONE);
    for seed in first..first.saturating_add(count) {
        let end = sim::play(&Options { plant, ..Options::session(seed) })?;
        let code = code_of(&end, true);
        sums.add(&end, &Session::drawn(seed));
        if code != exit::DONE {
            sums.failed += 1;
            say!("{}", line(&end, true, true, code));
            crate::tell!("again: bot4 sim --sessions 1 --seed {seed}");
        }
        worst = worst.max(code);
        if out::is_lost() {
            break;
        }
        if sums.sessions.is_multiple_of(GIVE_BACK_EVERY) {
            super::sim::give_back();
        }
    }
    say!("{}", sums.line());
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_counted_where_they_belong() {
        let mut sums = Sums::default();
        for finding in
            ["step 4: endings: x: y", "step 5: exposure: z", "audit: fill", "2 records lost"]
        {
            sums.step_finding(finding);
        }
        assert_eq!((sums.wrong_endings, sums.exposed, sums.other), (1, 1, 1));
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut all: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(percentiles(&mut all, 1.0), json!({"p50": 100.0, "p99": 198.0, "max": 200.0}));
        assert_eq!(percentiles(&mut [], 1.0), json!({"p50": null, "p99": null, "max": null}));
    }
}
