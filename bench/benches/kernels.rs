//! The mathematics of a portfolio beside plain loops.

mod common;

use bot4_bench::roster;
use criterion::{Criterion, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    common::run(criterion, roster::kernels());
    common::run(criterion, roster::portfolio());
}

criterion_group!(benches, bench);
criterion_main!(benches);
