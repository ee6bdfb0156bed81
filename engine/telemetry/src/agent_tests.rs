//! The agent on a failing disk, under pressure, and when somebody asks.

use std::collections::BTreeMap;
use std::fs::File;

use bot4_lanes::metrics::bucket_of;
use proptest::prelude::*;

use super::*;

#[test]
fn a_full_disk_costs_no_values_and_stops_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let metrics = Metrics::in_memory();
    let parse = metrics.histogram("parse");
    let latency_dir = Some(dir.path().to_owned());
    let config = TelemetryConfig { latency_dir, interval: INTERVAL, wall: Wall::default() };
    let mut agent = TelemetryAgent::new(config, metrics.clone());
    agent.start(Nanos(0)).expect("start");
    parse.record(7);

    // The disk fills: every write is refused.
    let full = File::options().append(true).open("/dev/full").expect("open");
    let log = agent.log.as_mut().expect("open");
    let sound = std::mem::replace(&mut log.file, full);
    let mut probe = Probe::logical();
    for second in 1..=3 {
        for _ in 0..10 {
            assert_eq!(agent.work(Nanos::from_secs(second), &mut probe), Ok(0));
        }
    }
    assert_eq!(metrics.total("telemetry_write_errors"), 3, "one attempt an interval");

    // There is room again: nothing was forgotten.
    agent.log.as_mut().expect("open").file = sound;
    parse.record(8);
    assert_eq!(agent.work(Nanos::from_secs(4), &mut probe), Ok(1));
    let merged = crate::show::merge(&[dir.path().to_owned()]).expect("readable");
    assert_eq!(merged.tags["parse"].len(), 2);
    assert!(merged.unreadable.is_empty());
}

#[test]
fn a_dump_that_is_put_off_loses_no_values() {
    let dir = tempfile::tempdir().expect("dir");
    let (metrics, shedding) = (Metrics::in_memory(), Shedding::default());
    let parse = metrics.histogram("parse");
    let latency_dir = Some(dir.path().to_owned());
    let config = TelemetryConfig { latency_dir, interval: INTERVAL, wall: Wall::default() };
    let agent = TelemetryAgent::new(config, metrics.clone());
    let mut agent = agent.with_shedding(shedding.clone());
    agent.start(Nanos(0)).expect("start");
    parse.record(7);
    shedding.set(bot4_lanes::shed::HISTORY);
    let mut probe = Probe::logical();
    for second in 1..=3 {
        assert_eq!(agent.work(Nanos::from_secs(second), &mut probe), Ok(0));
    }
    assert_eq!(metrics.total("telemetry_put_off"), 3);
    shedding.set(0);
    parse.record(8);
    assert_eq!(agent.work(Nanos::from_secs(4), &mut probe), Ok(1));
    let merged = crate::show::merge(&[dir.path().to_owned()]).expect("readable");
    assert_eq!(merged.tags["parse"].len(), 2);
}

fn agent_in(dir: &Path, metrics: &Metrics) -> (TelemetryAgent, DumpLine) {
    let latency_dir = Some(dir.to_owned());
    let config = TelemetryConfig { latency_dir, interval: INTERVAL, wall: Wall::default() };
    let line = DumpLine::default();
    (TelemetryAgent::new(config, metrics.clone()).with_line(line.clone()), line)
}

#[test]
fn who_asks_gets_what_was_recorded_so_far_and_is_told_where() {
    let dir = tempfile::tempdir().expect("dir");
    let metrics = Metrics::in_memory();
    let parse = metrics.histogram("parse");
    let (mut agent, line) = agent_in(dir.path(), &metrics);
    agent.start(Nanos(0)).expect("start");
    let mut probe = Probe::logical();
    parse.record(7);
    assert_eq!(agent.work(Nanos(10), &mut probe), Ok(0), "not due, nobody asked");
    let answers = line.ask().expect("room");
    assert_eq!(agent.work(Nanos(20), &mut probe), Ok(1));
    let file = Some(dir.path().join(HLOG_NAME));
    assert_eq!(answers.try_recv(), Ok(Dumped { file: file.clone(), lines: 1, written: true }));
    // The interval began anew, and an empty one has no line.
    let answers = line.ask().expect("room");
    assert_eq!(agent.work(INTERVAL, &mut probe), Ok(0));
    assert_eq!(answers.try_recv(), Ok(Dumped { file: file.clone(), lines: 0, written: true }));
    // Wishes that come at the very end, more of them than there is room for, one of them of
    // somebody who has gone.
    parse.record(8);
    let all: Vec<_> = (0..WISHES_MAX).map(|_| line.ask().expect("room")).collect();
    assert!(line.ask().is_none());
    drop(all.into_iter().next_back());
    agent.close(INTERVAL + Nanos(5));
    let merged = crate::show::merge(&[dir.path().to_owned()]).expect("readable");
    assert_eq!((merged.tags["parse"].len(), merged.intervals), (2, 2));
}

#[test]
fn a_run_without_a_log_says_so() {
    let metrics = Metrics::in_memory();
    let line = DumpLine::default();
    let config = TelemetryConfig { latency_dir: None, interval: INTERVAL, wall: Wall::default() };
    let mut agent = TelemetryAgent::new(config, metrics).with_line(line.clone());
    agent.start(Nanos(0)).expect("start");
    let answers = line.ask().expect("room");
    assert_eq!(agent.work(Nanos(1), &mut Probe::logical()), Ok(0));
    assert_eq!(answers.try_recv(), Ok(Dumped { file: None, lines: 0, written: false }));
}

/// What may happen between two turns.
#[derive(Clone, Debug)]
enum Step {
    Record(usize, u64),
    Pass(u64),
    Ask,
    DiskFull(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, any::<u64>(), 0..64_u32).prop_map(|(tag, v, by)| {
            // The logs' bound.
            Step::Record(tag, u64::min(v >> by, 60_000_000_000))
        }),
        2 => (0..3_000_000_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Ask),
        1 => any::<bool>().prop_map(Step::DiskFull),
    ]
}

fn recorded(hdr: &Hdr) -> impl Iterator<Item = (u64, u64)> {
    hdr.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value()))
}

fn by_bucket(values: impl Iterator<Item = (u64, u64)>) -> BTreeMap<usize, u64> {
    let mut counts = BTreeMap::new();
    values.for_each(|(value, count)| *counts.entry(bucket_of(value)).or_insert(0) += count);
    counts
}

thread_local! {
    /// Words live as long as the process: one set serves all cases.
    static METRICS: Metrics = Metrics::in_memory();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The intervals of a log sum to all that was recorded, bucket by bucket, however they were
    /// cut.
    #[test]
    fn intervals_sum_to_the_whole(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().expect("dir");
        let metrics = METRICS.with(Clone::clone);
        metrics.renew();
        let tags = [metrics.histogram("parse"), metrics.histogram("ack")];
        let mut naive = [Vec::new(), Vec::new()];
        let (mut agent, line) = agent_in(dir.path(), &metrics);
        agent.start(Nanos(0)).expect("start");
        let full = File::options().append(true).open("/dev/full").expect("open");
        let mut other = Some(full);
        let (mut now, mut is_full, mut probe) = (Nanos(1), false, Probe::logical());
        for step in steps {
            match step {
                Step::Record(tag, value) => {
                    tags[tag].record(value);
                    naive[tag].push(value);
                }
                Step::Pass(ns) => now = now + Nanos(ns),
                Step::Ask => drop(line.ask()),
                Step::DiskFull(full) if full != is_full => {
                    let log = agent.log.as_mut().expect("open");
                    other = other.map(|file| std::mem::replace(&mut log.file, file));
                    is_full = full;
                }
                Step::DiskFull(_) => {}
            }
            agent.work(now, &mut probe).expect("never a fault");
        }
        if is_full {
            agent.log.as_mut().expect("open").file = other.expect("the sound one");
        }
        agent.close(now + Nanos(1));
        let merged = crate::show::merge(&[dir.path().to_owned()]);
        for (tag, (histogram, values)) in ["parse", "ack"].iter().zip(tags.iter().zip(&naive)) {
            let mut whole = empty();
            Counts::of(histogram).since_into(&Counts::default(), &mut whole);
            prop_assert_eq!(whole.len(), values.len() as u64);
            if values.is_empty() {
                continue;
            }
            let read = &merged.as_ref().expect("readable").tags[*tag];
            prop_assert_eq!(read.len(), whole.len());
            prop_assert_eq!(bucket_of(read.max()), bucket_of(whole.max()));
            // Each interval's own maximum lies at its exact place, the rest in the middle of their
            // buckets: two places of one bucket at most.
            prop_assert_eq!(by_bucket(recorded(read)), by_bucket(recorded(&whole)));
            let values = values.iter().map(|v| (*v, 1));
            prop_assert_eq!(by_bucket(recorded(read)), by_bucket(values));
        }
    }
}
