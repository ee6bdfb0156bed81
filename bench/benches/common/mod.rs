//! Runs a group of cases under criterion.

use std::time::Duration;

use bot4_bench::{Group, trip};
use bot4_lanes::Clock;
use criterion::Criterion;

/// Every case of every group, on the CPU that the percentile runner uses too. Time is the
/// lanes' clock, so that what a case prepares stays outside.
pub fn run(criterion: &mut Criterion, groups: Vec<Group>) {
    if let Some((here, _)) = trip::cpus() {
        trip::pin(here);
    }
    let clock = Clock::start();
    for group in groups {
        let mut under = criterion.benchmark_group(group.name);
        under.warm_up_time(Duration::from_millis(500));
        under.measurement_time(Duration::from_secs(2));
        for mut named in group.cases {
            under.bench_function(named.name, |bencher| {
                bencher.iter_custom(|calls| {
                    named.case.enter();
                    let spent_ns = named.case.spent_ns(calls, &clock);
                    named.case.leave();
                    Duration::from_nanos(spent_ns)
                });
            });
        }
        under.finish();
    }
}
