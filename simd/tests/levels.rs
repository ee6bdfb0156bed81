//! Every kernel on every available level: equal to the last bit between levels, and within a
//! stated bound of the naive formula. Lengths around the block size, odd alignments, and the
//! numbers that break floating-point code.

use bot4_simd::{Kernels, Level};
use proptest::prelude::*;

/// Below, at and above one block and eight blocks.
const LENGTHS: [usize; 9] = [0, 1, 7, 8, 9, 31, 63, 64, 65];
/// Relative rounding unit of the naive formulas (2^-52, twice the error of one rounding).
const EPS: f64 = f64::EPSILON;

/// The inputs of a kernel: columns of one length.
type Columns = [Vec<f64>; 4];

/// A kernel under test: `out` holds the old output and takes the new one.
struct Case {
    name: &'static str,
    run: fn(Kernels, &mut [f64], [&[f64]; 4]),
    /// The naive formula for one element and the largest error allowed against it.
    oracle: fn(old: f64, inputs: [f64; 4]) -> (f64, f64),
}

const CASES: [Case; 5] = [
    Case {
        name: "ema",
        run: |k, out, [x, _, _, alpha]| k.ema(out, x, alpha),
        // Two roundings against one: eps (|old| + 2 |alpha (x - old)|).
        oracle: |old, [x, _, _, alpha]| {
            let step = alpha * (x - old);
            (old + step, EPS * (old.abs() + 2.0 * step.abs()))
        },
    },
    Case {
        name: "ewma_variance",
        run: |k, out, [x, _, _, alpha]| k.ewma_variance(out, x, alpha),
        // Three roundings against two, each of at most v + alpha r^2.
        oracle: |old, [x, _, _, alpha]| {
            let size = old.abs() + x * x;
            ((1.0 - alpha) * old + alpha * x * x, 4.0 * EPS * size)
        },
    },
    Case {
        name: "imbalance",
        run: |k, out, [_, b, a, _]| k.imbalance(out, b, a),
        // The same operations: equal.
        oracle: |_, [_, b, a, _]| (if b + a == 0.0 { 0.0 } else { (b - a) / (b + a) }, 0.0),
    },
    Case {
        name: "microprice",
        run: |k, out, [x, b, a, y]| k.microprice(out, x, y, b, a),
        // The textbook form has five roundings of the price, ours two.
        oracle: |_, [x, b, a, y]| {
            let micro = if b + a == 0.0 { (x + y) / 2.0 } else { (x * a + y * b) / (b + a) };
            (micro, 6.0 * EPS * x.abs().max(y.abs()))
        },
    },
    Case {
        name: "change",
        run: |k, out, [x, before, _, _]| k.change(out, x, before),
        // The same operations: equal.
        oracle: |_, [x, b, _, _]| (if b == 0.0 { 0.0 } else { (x - b) / b }, 0.0),
    },
];

fn levels() -> impl Iterator<Item = Kernels> {
    Level::ALL.into_iter().filter_map(Kernels::at)
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Runs `case` at `k` on the columns from `skip` on: moves every slice off its alignment.
fn run(case: &Case, k: Kernels, old: &[f64], columns: &Columns, skip: usize) -> Vec<f64> {
    let mut out = old.to_vec();
    (case.run)(k, &mut out[skip..], columns.each_ref().map(|c| &c[skip..]));
    out
}

/// All levels give the bits of the scalar level.
fn assert_levels_agree(old: &[f64], columns: &Columns, skip: usize) {
    let scalar = Kernels::at(Level::Scalar).expect("always there");
    for k in levels() {
        for case in &CASES {
            let expected = run(case, scalar, old, columns, skip);
            let got = run(case, k, old, columns, skip);
            let what = (case.name, k.level().name(), old.len(), skip);
            assert_eq!(bits(&got), bits(&expected), "{what:?}");
            assert_eq!(bits(&got[..skip]), bits(&old[..skip]), "{what:?} wrote outside");
        }
        let [a, b, _, _] = columns;
        let (a, b) = (&a[skip..], &b[skip..]);
        assert_eq!(k.dot(a, b).to_bits(), scalar.dot(a, b).to_bits(), "dot {:?}", k.level());
    }
}

/// A fixed spread of prices, quantities and weights without special numbers.
fn ordinary(len: usize) -> (Vec<f64>, Columns) {
    let mut rng = 0x9E37_79B9_7F4A_7C15_u64;
    let mut unit = || {
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        (rng >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut column = |scale: f64| (0..len).map(|_| unit() * scale).collect::<Vec<_>>();
    (column(6e12), [column(6e12), column(1e9), column(1e9), column(1.0)])
}

/// Numbers that break floating-point code, in all rotations against each other.
fn special(len: usize, turn: usize) -> Vec<f64> {
    const ODD: [f64; 13] = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        1e-200,
        // NaNs with payloads and signs of their own.
        f64::from_bits(0x7FF8_0000_0000_0123),
        f64::from_bits(0xFFF4_0000_0000_0001),
    ];
    (0..len).map(|i| ODD[(i * (turn + 1) + turn) % ODD.len()]).collect()
}

#[test]
fn levels_agree_on_ordinary_numbers_at_every_length_and_alignment() {
    for len in LENGTHS {
        for skip in 0..len.min(9) {
            let (old, columns) = ordinary(len);
            assert_levels_agree(&old, &columns, skip);
        }
    }
}

#[test]
fn levels_agree_on_nan_infinity_zero_and_subnormals() {
    for len in LENGTHS.into_iter().chain([169]) {
        for turn in 0..13 {
            let columns = [1, 2, 3, 4].map(|k| special(len, (turn + k) % 13));
            assert_levels_agree(&special(len, turn), &columns, len.min(1));
        }
    }
}

#[test]
fn a_computed_nan_is_the_canonical_one() {
    for k in levels() {
        let mut out = [f64::from_bits(0xFFFC_0000_0000_0777), f64::INFINITY];
        k.ema(&mut out, &[1.0, f64::NEG_INFINITY], &[0.5, 0.5]);
        assert_eq!(bits(&out), [0x7FF8_0000_0000_0000; 2]); // inf - inf is a NaN too
        let dot = k.dot(&[f64::INFINITY], &[0.0]);
        assert_eq!(dot.to_bits(), 0x7FF8_0000_0000_0000);
    }
}

#[test]
fn kernels_are_within_their_bound_of_the_naive_formula() {
    for len in LENGTHS.into_iter().chain([1_000]) {
        let (mut old, columns) = ordinary(len);
        for (k, case) in levels().flat_map(|k| CASES.iter().map(move |c| (k, c))) {
            if case.name == "ewma_variance" {
                old.iter_mut().for_each(|v| *v = v.abs());
            }
            for (i, got) in run(case, k, &old, &columns, 0).into_iter().enumerate() {
                let (want, bound) = (case.oracle)(old[i], columns.each_ref().map(|c| c[i]));
                let what = (case.name, k.level().name(), i, got, want);
                assert!((got - want).abs() <= bound, "{what:?} is off by more than {bound}");
            }
        }
    }
}

/// Any order of summation differs from the naive one by at most `n eps sum |a b|`
/// (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1).
#[test]
fn dot_is_within_its_bound_of_the_naive_sum() {
    for len in LENGTHS.into_iter().chain([1_000]) {
        let (_, [a, b, _, _]) = ordinary(len);
        let naive: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        let size: f64 = a.iter().zip(&b).map(|(a, b)| (a * b).abs()).sum();
        for k in levels() {
            assert!((k.dot(&a, &b) - naive).abs() <= len as f64 * EPS * size, "{len}");
        }
    }
}

/// The order of summation is part of the contract: written out here once more, in plain loops.
fn dot_in_the_stated_order(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [[0.0f64; 8]; 4];
    for i in 0..a.len() {
        let sum = &mut sums[i / 8 % 4][i % 8];
        *sum = a[i].mul_add(b[i], *sum);
    }
    let lane = |l: usize| (sums[0][l] + sums[1][l]) + (sums[2][l] + sums[3][l]);
    ((lane(0) + lane(4)) + (lane(2) + lane(6))) + ((lane(1) + lane(5)) + (lane(3) + lane(7)))
}

#[test]
fn dot_sums_in_the_stated_order() {
    for len in 0..200 {
        let (_, [a, b, _, _]) = ordinary(len);
        let want = dot_in_the_stated_order(&a, &b);
        for k in levels() {
            assert_eq!(k.dot(&a, &b).to_bits(), want.to_bits(), "{} of {len}", k.level().name());
        }
    }
}

#[test]
fn edges_have_their_stated_values() {
    for k in levels() {
        let mut out = [9.0; 3];
        k.imbalance(&mut out, &[0.0, 3.0, 0.0], &[0.0, 1.0, 2.0]);
        assert_eq!(out, [0.0, 0.5, -1.0]);
        k.microprice(&mut out, &[10.0; 3], &[12.0; 3], &[0.0, 3.0, 0.0], &[0.0, 1.0, 2.0]);
        assert_eq!(out, [11.0, 11.5, 10.0]);
        k.change(&mut out, &[5.0, 11.0, 9.0], &[0.0, 10.0, 10.0]);
        assert_eq!(out, [0.0, 0.1, -0.1]);
        assert_eq!(k.dot(&[], &[]), 0.0);
    }
}

#[test]
#[should_panic(expected = "one length")]
fn lengths_must_agree() {
    Kernels::best().ema(&mut [0.0; 3], &[0.0; 3], &[0.0; 2]);
}

fn any_column() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(proptest::num::f64::ANY | proptest::num::f64::SIGNALING_NAN, 70)
}

proptest! {
    #[test]
    fn levels_agree_on_any_numbers(
        old in any_column(), a in any_column(), b in any_column(), c in any_column(),
        d in any_column(), len in 0usize..=70, skip in 0usize..8,
    ) {
        let columns = [a, b, c, d].map(|v| v[..len].to_vec());
        assert_levels_agree(&old[..len], &columns, skip.min(len));
    }

    #[test]
    fn a_weight_of_zero_holds_and_of_one_seeds(x in any_column(), old in any_column()) {
        for k in levels() {
            let mut out = old.clone();
            k.ema(&mut out, &x, &[0.0; 70]);
            for (got, was) in out.iter().zip(&old) {
                prop_assert!(got.to_bits() == was.to_bits() || got.is_nan() && was.is_nan());
            }
            let mut seeded = [0.0; 70];
            k.ema(&mut seeded, &x, &[1.0; 70]);
            for (got, x) in seeded.iter().zip(&x) {
                prop_assert!(got == x || got.is_nan() && x.is_nan());
            }
        }
    }

    #[test]
    fn variances_never_turn_negative(
        v in 0.0f64..1e6, changes in proptest::collection::vec(-1e3f64..1e3, 1..50),
        alpha in 0.0f64..=1.0,
    ) {
        for k in levels() {
            let mut variance = [v];
            for change in &changes {
                k.ewma_variance(&mut variance, &[*change], &[alpha]);
                prop_assert!(variance[0] >= 0.0);
            }
        }
    }

    #[test]
    fn microprices_lie_between_bid_and_ask(
        bid in 1.0f64..1e15, spread in 0.0f64..1e6, b in 0.0f64..1e12, a in 0.0f64..1e12,
    ) {
        let ask = bid + spread;
        for k in levels() {
            let mut micro = [0.0];
            k.microprice(&mut micro, &[bid], &[ask], &[b], &[a]);
            let slack = EPS * ask;
            prop_assert!(micro[0] >= bid - slack && micro[0] <= ask + slack);
        }
    }
}
