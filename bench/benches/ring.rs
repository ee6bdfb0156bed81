//! Rings, histogram and log entry beside crossbeam-channel, hdrhistogram and a plain copy.

mod common;

use bot4_bench::roster;
use criterion::{Criterion, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    common::run(criterion, roster::ring());
}

criterion_group!(benches, bench);
criterion_main!(benches);
