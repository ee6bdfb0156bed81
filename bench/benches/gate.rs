//! The risk gate beside the cost of two stamps.

mod common;

use bot4_bench::roster;
use criterion::{Criterion, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    common::run(criterion, roster::gate());
}

criterion_group!(benches, bench);
criterion_main!(benches);
