//! The jitter sample: what a spinning thread loses on each CPU.
//!
//! A thread a CPU reads the clock in a loop for a while. What lies between two readings is a few
//! nanoseconds, or what took the CPU away: an interrupt, a tick, another task, the hypervisor. The
//! histogram of these gaps is the proof of a quiet CPU; settings alone are none.

use std::fmt::Write as _;
use std::time::Duration;

use bot4_lanes::Clock;
use hdrhistogram::Histogram;
use rustix::thread::{CpuSet as Mask, sched_setaffinity};
use serde_json::{Value, json};

use crate::cpu_set::CpuSet;

/// Gaps longer than this are hits: no loop of this kind takes so long by itself.
const HIT_NS: u64 = 1_000;
/// Longest gap that is told apart.
const GAP_MAX_NS: u64 = 60_000_000_000;
/// Significant digits of the histogram.
const DIGITS: u8 = 3;

/// What a CPU lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Jitter {
    /// The CPU.
    pub cpu: usize,
    /// The thread ran there alone of all CPUs.
    pub pinned: bool,
    /// Readings of the clock.
    pub loops: u64,
    /// Gaps in nanoseconds.
    pub p50: u64,
    /// See `p50`.
    pub p99: u64,
    /// See `p50`.
    pub p999: u64,
    /// See `p50`.
    pub max: u64,
    /// Gaps above a microsecond, a second.
    pub hits_per_s: f64,
    /// Per cent of the time that lay in such gaps.
    pub lost_pct: f64,
}

/// Samples all of `cpus` at once for `window`.
///
/// # Errors
/// A sentence, where a thread cannot be made.
pub fn sample(cpus: &CpuSet, window: Duration) -> Result<Vec<Jitter>, String> {
    let clock = Clock::start();
    std::thread::scope(|scope| {
        let start = |cpu: usize| {
            let clock = clock.clone();
            let builder = std::thread::Builder::new().name(format!("jitter-{cpu}"));
            builder.spawn_scoped(scope, move || spin(cpu, &clock, window))
        };
        let threads = cpus.iter().map(start).collect::<Result<Vec<_>, _>>();
        let threads = threads.map_err(|e| format!("error: cannot start a thread: {e}"))?;
        let ended = threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(String::new())));
        ended.collect()
    })
}

/// Lets this thread run on `cpu` alone; whether that is so.
fn pin(cpu: usize) -> bool {
    if cpu >= Mask::MAX_CPU {
        return false;
    }
    let mut mask = Mask::new();
    mask.set(cpu);
    sched_setaffinity(None, &mask).is_ok()
}

fn spin(cpu: usize, clock: &Clock, window: Duration) -> Result<Jitter, String> {
    let pinned = pin(cpu);
    let histogram = Histogram::<u64>::new_with_bounds(1, GAP_MAX_NS, DIGITS);
    let mut gaps = histogram.map_err(|e| format!("error: the histogram: {e}"))?;
    let (mut hits, mut lost) = (0_u64, 0_u64);
    let began = clock.now();
    let mut last = began;
    while u128::from(last.since(began).0) < window.as_nanos() {
        let now = clock.now();
        let gap = now.since(last).0;
        gaps.saturating_record(gap);
        if gap > HIT_NS {
            hits += 1;
            lost += gap;
        }
        last = now;
    }
    let ns = last.since(began).0.max(1) as f64;
    Ok(Jitter {
        cpu,
        pinned,
        loops: gaps.len(),
        p50: gaps.value_at_quantile(0.5),
        p99: gaps.value_at_quantile(0.99),
        p999: gaps.value_at_quantile(0.999),
        max: gaps.max(),
        hits_per_s: hits as f64 / ns * 1e9,
        lost_pct: lost as f64 / ns * 100.0,
    })
}

/// For a program; durations in nanoseconds.
#[must_use]
pub fn to_json(all: &[Jitter]) -> Value {
    let of = |j: &Jitter| {
        json!({"cpu": j.cpu, "pinned": j.pinned, "loops": j.loops, "p50_ns": j.p50,
               "p99_ns": j.p99, "p99_9_ns": j.p999, "max_ns": j.max,
               "hits_per_s": j.hits_per_s, "lost_pct": j.lost_pct})
    };
    all.iter().map(of).collect()
}

/// For a person.
#[must_use]
pub fn to_text(all: &[Jitter]) -> String {
    let mut out = format!(
        "{:>4} {:>12} {:>8} {:>8} {:>10} {:>12} {:>10} {:>8}\n",
        "cpu", "loops", "p50 ns", "p99 ns", "p99.9 ns", "max ns", ">1us /s", "lost %"
    );
    for j in all {
        let word = if j.pinned { "" } else { "  NOT PINNED" };
        let _ = writeln!(
            out,
            "{:>4} {:>12} {:>8} {:>8} {:>10} {:>12} {:>10.1} {:>8.2}{word}",
            j.cpu, j.loops, j.p50, j.p99, j.p999, j.max, j.hits_per_s, j.lost_pct
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_lanes::placement::allowed_cpus;

    #[test]
    fn every_cpu_is_sampled_where_it_is() {
        let cpus: CpuSet = allowed_cpus().into_iter().collect();
        let all = sample(&cpus, Duration::from_millis(50)).expect("samples");
        assert_eq!(all.len(), cpus.len());
        for j in &all {
            assert!(j.pinned && j.loops > 1_000, "{j:?}");
            assert!(0 < j.max && j.p50 <= j.p99 && j.p99 <= j.p999 && j.p999 <= j.max, "{j:?}");
            assert!((0.0..=100.0).contains(&j.lost_pct), "{j:?}");
        }
        assert!(to_text(&all).lines().count() == all.len() + 1);
        assert_eq!(to_json(&all)[0]["cpu"], all[0].cpu);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_told() {
        let nowhere: CpuSet = std::iter::once(8_000).collect();
        let all = sample(&nowhere, Duration::from_millis(1)).expect("samples");
        assert!(!all[0].pinned && to_text(&all).contains("NOT PINNED"));
    }
}
