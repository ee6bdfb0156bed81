//! How late the engine is without and with observers: medians of spans that take turns.

use bot4_telemetry::hist::{Counts, empty};

/// What is compared: a message through two agents, a decision, and all of it.
pub const STAGES: [&str; 5] =
    ["msg_parse.0", "msg_book.0", "risk", "order_encode", "tick_to_trade"];

/// The median of each stage in a span, ns; none where nothing passed it.
#[derive(Clone, Debug, Default)]
pub struct Medians([Option<u64>; STAGES.len()]);

impl Medians {
    /// Of what was counted from `before` to `after`; of each stage every histogram.
    pub fn between(before: &[Vec<Counts>], after: &[Vec<Counts>]) -> Self {
        let mut medians = [None; STAGES.len()];
        for ((median, before), after) in medians.iter_mut().zip(before).zip(after) {
            let (mut all, mut one) = (empty(), empty());
            for (before, after) in before.iter().zip(after) {
                after.since_into(before, &mut one);
                all.add(&one).expect("the same bounds");
            }
            *median = (!all.is_empty()).then(|| all.value_at_quantile(0.5));
        }
        Self(medians)
    }
}

/// CPUs from which on the engine, its venue and the observers do not stand in each other's way.
const FREE: usize = 4;
/// Where they do not, medians with observers may be this much higher.
const HIGHER: f64 = 1.25;
/// And this much beside, ns: a cache line that comes back from a reader.
const BESIDE_NS: f64 = 300.0;

/// Spans of both kinds, in the order in which they were.
#[derive(Debug, Default)]
pub struct Table {
    pub without: Vec<Medians>,
    pub with: Vec<Medians>,
}

impl Table {
    /// Prints the medians, and where enough CPUs are free fails when observers are felt.
    pub fn judge(&self) {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().and_then(|l| l.parse().ok()).unwrap_or(f64::INFINITY);
        println!("medians, ns   {:>28}{:>28}", "without observers", "with observers");
        let mut felt = Vec::new();
        for (at, stage) in STAGES.iter().enumerate() {
            let of = |spans: &[Medians]| spans.iter().filter_map(|m| m.0[at]).collect::<Vec<_>>();
            let (without, with) = (of(&self.without), of(&self.with));
            println!("{stage:14}{:>28}{:>28}", text(&without), text(&with));
            felt.extend(higher(&without, &with).map(|(a, b)| format!("{stage}: {a}, then {b} ns")));
        }
        // The engine's own lanes and its venue are part of the load.
        if cpus >= FREE && load <= cpus as f64 {
            assert!(felt.is_empty(), "observers are felt: {felt:?}");
        } else {
            println!("latency: reported, not gated: {cpus} CPUs, load {load}");
        }
    }
}

fn text(medians: &[u64]) -> String {
    medians.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// The middle ones, where the later is more than noise above the earlier.
fn higher(without: &[u64], with: &[u64]) -> Option<(u64, u64)> {
    let middle = |all: &[u64]| {
        let mut all = all.to_vec();
        all.sort_unstable();
        all.get(all.len() / 2).copied()
    };
    let (a, b) = (middle(without)?, middle(with)?);
    (b as f64 > (a as f64).mul_add(HIGHER, BESIDE_NS)).then_some((a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_felt_is_told_from_noise() {
        assert_eq!(higher(&[1_000, 1_100, 900], &[1_300, 1_200, 9_000]), None);
        assert_eq!(higher(&[1_000, 1_100, 900], &[2_300, 2_200, 900]), Some((1_000, 2_200)));
        assert_eq!(higher(&[], &[2_300]), None);
    }
}
