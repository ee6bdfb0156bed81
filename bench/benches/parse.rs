//! Readers of market messages: the decoder beside serde_json and the simd-json tape.

mod common;

use bot4_bench::roster;
use criterion::{Criterion, criterion_group, criterion_main};

fn bench(criterion: &mut Criterion) {
    common::run(criterion, roster::parse());
}

criterion_group!(benches, bench);
criterion_main!(benches);
