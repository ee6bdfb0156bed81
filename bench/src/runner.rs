//! Interleaved rounds: every case of a group once a round, ratios within the round.

use bot4_lanes::Clock;
use hdrhistogram::Histogram;

use crate::case::{BATCH, Case, Empty, histogram};
use crate::roster::{Group, Named};

/// Single calls are stamped when a call takes longer than this.
pub const STAMP_NS_MIN: f64 = 20.0;

/// Loops of a case and round. A round's figure is their lower tenth: loops well below a
/// millisecond lie between two interruptions by the scheduler or have one, and on a busy machine
/// most may have one.
pub const SEGMENTS: u64 = 64;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds.
    pub rounds: usize,
    /// Milliseconds a case, round and way of measuring.
    pub ms: u64,
}

/// What came out for one case.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its group.
    pub group: String,
    /// Its name.
    pub case: &'static str,
    /// Calls under one pair of stamps.
    pub batch: u64,
    /// Stamped samples over all rounds.
    pub samples: u64,
    /// Nanoseconds a call in loops without stamps: median over the rounds of a round's lower tenth.
    pub loop_ns: f64,
    /// Percentiles of the samples, a call: 50, 99, 99.9 and the largest.
    pub tail_ns: [f64; 4],
    /// How many times faster than the baseline: median, lowest and highest round.
    pub ratio: [f64; 3],
    /// What the design notes give, if they do.
    pub noted: &'static str,
}

/// The percentiles of [`Figure::tail_ns`] before the largest.
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// One case while it is measured.
struct Running<'a> {
    named: &'a mut Named,
    calls: u64,
    batch: u64,
    loops_ns: Vec<f64>,
    samples: Histogram<u64>,
}

/// Measures all cases of `group`.
#[must_use]
pub fn measure(group: &mut Group, plan: Plan, clock: &Clock) -> Vec<Figure> {
    let name = group.name.clone();
    let mut running: Vec<Running<'_>> =
        group.cases.iter_mut().map(|named| calibrated(named, plan, clock)).collect();
    for _ in 0..plan.rounds {
        for run in &mut running {
            let case = &mut run.named.case;
            case.enter();
            run.loops_ns.push(loop_ns(case.as_mut(), run.calls, clock));
            case.stamp(run.calls, run.batch, clock, &mut run.samples);
            case.leave();
        }
    }
    let baseline = running.first().map(|run| run.loops_ns.clone()).unwrap_or_default();
    running.iter().map(|run| figure(&name, run, &baseline)).collect()
}

/// Nanoseconds a call without stamps between calls: the lower tenth of [`SEGMENTS`] short loops.
fn loop_ns(case: &mut dyn Case, calls: u64, clock: &Clock) -> f64 {
    let segment = calls / SEGMENTS;
    let mut spent: Vec<f64> =
        (0..SEGMENTS).map(|_| case.spent_ns(segment, clock) as f64 / segment as f64).collect();
    median(&mut spent)
}

/// The empty pair of stamps: percentiles as in [`Figure::tail_ns`].
#[must_use]
pub fn floor(plan: Plan, clock: &Clock) -> [f64; 4] {
    let mut samples = histogram();
    Empty.stamp(plan.rounds as u64 * plan.ms * 10_000, 1, clock, &mut samples);
    tail(&samples, 1)
}

/// Finds how many calls fill the plan's time, and how they are stamped.
fn calibrated<'a>(named: &'a mut Named, plan: Plan, clock: &Clock) -> Running<'a> {
    let case = &mut named.case;
    let (goal_ns, mut calls) = (plan.ms * 1_000_000, BATCH);
    case.enter();
    let mut spent_ns = case.spent_ns(calls, clock);
    while spent_ns < goal_ns / 8 {
        calls *= 2;
        spent_ns = case.spent_ns(calls, clock);
    }
    // The shortest of several decides: a disturbed one must not change how calls are stamped.
    for _ in 0..4 {
        spent_ns = spent_ns.min(case.spent_ns(calls, clock));
    }
    case.leave();
    let call_ns = (spent_ns as f64 / calls as f64).max(0.1);
    let long = call_ns > STAMP_NS_MIN || case.row_max() < BATCH;
    let calls = ((goal_ns as f64 / call_ns) as u64).next_multiple_of(SEGMENTS).max(SEGMENTS);
    let batch = if long { 1 } else { BATCH };
    Running { named, calls, batch, loops_ns: Vec::new(), samples: histogram() }
}

fn figure(group: &str, run: &Running<'_>, baseline: &[f64]) -> Figure {
    let mut ratios: Vec<f64> =
        baseline.iter().zip(&run.loops_ns).map(|(base, own)| base / own).collect();
    let median_ratio = median(&mut ratios);
    let ends = [ratios.first(), ratios.last()].map(|r| r.copied().unwrap_or(1.0));
    Figure {
        group: group.to_owned(),
        case: run.named.name,
        batch: run.batch,
        samples: run.samples.len(),
        loop_ns: median(&mut run.loops_ns.clone()),
        tail_ns: tail(&run.samples, run.batch),
        ratio: [median_ratio, ends[0], ends[1]],
        noted: run.named.noted,
    }
}

fn tail(samples: &Histogram<u64>, batch: u64) -> [f64; 4] {
    let [a, b, c] = QUANTILES.map(|q| samples.value_at_quantile(q));
    [a, b, c, samples.max()].map(|ns| ns as f64 / batch as f64)
}

/// Sorts `values` and returns their median, zero when there is none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does `0` steps of a dependent chain.
    struct Chain(u64);

    impl Case for Chain {
        fn call(&mut self) {
            let mut x = 1u64;
            for _ in 0..self.0 {
                x = std::hint::black_box(x.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            }
        }
    }

    fn chain(name: &'static str, steps: u64) -> Named {
        Named { name, case: Box::new(Chain(steps)), noted: "" }
    }

    #[test]
    fn ratios_are_against_the_first_case() {
        let cases = vec![chain("long", 4_000), chain("short", 1_000)];
        let mut group = Group { name: "chain".into(), what: String::new(), cases };
        let figures = measure(&mut group, Plan { rounds: 5, ms: 2 }, &Clock::start());
        assert_eq!(figures[0].ratio, [1.0, 1.0, 1.0]);
        let [ratio, low, high] = figures[1].ratio;
        assert!((2.0..8.0).contains(&ratio) && low <= ratio && ratio <= high, "{ratio}");
        assert_eq!(figures[1].batch, 1);
        let [p50, p99, p999, max] = figures[1].tail_ns;
        assert!(0.0 < p50 && p50 <= p99 && p99 <= p999 && p999 <= max);
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }
}
