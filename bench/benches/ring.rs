//! Rings and log entry beside crossbeam-channel and a plain copy; then what lanes pay to be seen.

mod common;

use bot4_bench::roster;
use criterion::{Criterion, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    common::run(criterion, roster::ring());
    common::run(criterion, roster::seen());
}

criterion_group!(benches, bench);
criterion_main!(benches);
