//! The matrix kernels on every available level: equal to the last bit between levels and to the
//! stated order written out in plain loops, within a stated bound of the naive formula, and what
//! they promise about symmetry, constant columns and numbers that are none.

use bot4_simd::{Column, Kernels, LANES, Level, tail_mean};
use proptest::prelude::*;

/// Columns before padding.
const SIZES: [usize; 7] = [0, 1, 7, 8, 9, 33, 64];
/// Rows of a tall matrix: below, at and above whole groups of four and eight.
const HEIGHTS: [usize; 8] = [0, 1, 2, 3, 5, 8, 13, 40];
/// Twice the error of one rounding.
const EPS: f64 = f64::EPSILON;
const CANONICAL_NAN: u64 = 0x7FF8_0000_0000_0000;

fn levels() -> impl Iterator<Item = Kernels> {
    Level::ALL.into_iter().filter_map(Kernels::at)
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES)
}

/// Numbers in -0.5..0.5.
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ (seed << 17);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }
}

/// `rows` rows of `columns` numbers, padded with zeros.
fn matrix(rows: usize, columns: usize, mut number: impl FnMut() -> f64) -> Column {
    let width = padded(columns);
    let mut out = Column::new(rows * width, 0.0);
    for row in out[..rows * width].chunks_exact_mut(width.max(1)) {
        row[..columns].iter_mut().for_each(|v| *v = number());
    }
    out
}

/// A symmetric matrix, padded on both sides.
fn symmetric(columns: usize, number: impl FnMut() -> f64) -> Column {
    let width = padded(columns);
    let mut out = matrix(width, columns, number);
    for i in 0..width {
        for j in 0..i {
            out[i * width + j] = if i < columns { out[j * width + i] } else { 0.0 };
        }
    }
    out
}

/// Numbers that break floating-point code.
fn special(turn: usize) -> impl FnMut() -> f64 {
    let odd = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        -1e-200,
        f64::from_bits(0x7FF8_0000_0000_0123),
        f64::from_bits(0xFFF4_0000_0000_0001),
        3.0,
    ];
    let mut at = turn;
    move || {
        at += turn + 1;
        odd[at % odd.len()]
    }
}

/// Everything the kernels make of the same inputs: `samples` in rows of `w.len()`, a square `m`.
fn all(k: Kernels, samples: &[f64], m: &[f64], w: &[f64], keep: f64, add: f64) -> Vec<u64> {
    let (width, height) = (w.len(), samples.len() / w.len().max(1));
    let mut pnl = vec![0.0; height];
    k.scenario_pnl(&mut pnl, samples, w);
    let mut product = vec![0.0; width];
    k.mat_vec(&mut product, m, w);
    let quadratic = k.quadratic(m, w);
    let mut moved = product.clone();
    k.axpy(&mut moved, add, w);
    k.axpby(&mut product, add, w, keep);
    let mut updated = m.to_vec();
    k.rank1(&mut updated, w, keep, add);
    let mut correlations = vec![0.0; width * width];
    k.correlation(&mut correlations, samples, width, &mut vec![f64::NAN; samples.len() + width]);
    [&pnl[..], &product, &[quadratic], &moved, &updated, &correlations].map(bits).concat()
}

fn assert_levels_agree(samples: &[f64], m: &[f64], w: &[f64], keep: f64, add: f64) {
    let scalar = Kernels::at(Level::Scalar).expect("always there");
    let expected = all(scalar, samples, m, w, keep, add);
    assert!(expected.iter().all(|b| !f64::from_bits(*b).is_nan() || *b == CANONICAL_NAN));
    for k in levels() {
        let got = all(k, samples, m, w, keep, add);
        assert_eq!(got, expected, "{}: {} columns, {}", k.level().name(), w.len(), samples.len());
    }
}

#[test]
fn levels_agree_on_ordinary_and_special_numbers_at_every_shape() {
    for columns in SIZES {
        for height in HEIGHTS {
            let mut number = random((columns * 100 + height) as u64);
            let samples = matrix(height, columns, &mut number);
            let m = symmetric(columns, &mut number);
            let w = matrix(1, columns, &mut number);
            assert_levels_agree(&samples, &m, &w, 0.97, 0.03);
            let turn = (columns + height) % 12;
            let samples = matrix(height, columns, special(turn));
            let m = matrix(padded(columns), columns, special(turn + 1));
            let w = matrix(1, columns, special(turn + 2));
            assert_levels_agree(&samples, &m, &w, 0.97, -0.03);
        }
    }
}

/// One lane sum of eight, joined as the crate says.
fn tree(l: [f64; 8]) -> f64 {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

/// Lane sums of a row from block `from` on, left to right, all but that one counted `times`.
fn lanes(row: &[f64], x: &[f64], from: usize, times: f64) -> [f64; 8] {
    let mut sums = [0.0; 8];
    for j in from * LANES..x.len() {
        let x = if j / LANES == from { x[j] } else { times * x[j] };
        sums[j % 8] = f64::mul_add(row[j], x, sums[j % 8]);
    }
    sums
}

fn quadratic_in_the_stated_order(m: &[f64], w: &[f64]) -> f64 {
    let mut sums = [[0.0; 8]; 8];
    for (i, row) in m.chunks_exact(w.len()).enumerate() {
        let lanes = lanes(row, w, i / LANES, 2.0);
        for l in 0..LANES {
            sums[i % 8][l] = w[i].mul_add(lanes[l], sums[i % 8][l]);
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    tree(
        [0, 1, 2, 3, 4, 5, 6, 7]
            .map(|l| ((a[l] + b[l]) + (c[l] + d[l])) + ((e[l] + f[l]) + (g[l] + h[l]))),
    )
}

#[test]
fn products_are_summed_in_the_stated_order() {
    for columns in [1, 8, 9, 33, 64] {
        let mut number = random(columns as u64);
        let m = symmetric(columns, &mut number);
        let w = matrix(1, columns, &mut number);
        let want: Vec<f64> =
            m.chunks_exact(w.len()).map(|row| tree(lanes(row, &w, 0, 1.0))).collect();
        let form = quadratic_in_the_stated_order(&m, &w);
        for k in levels() {
            let mut got = vec![0.0; w.len()];
            k.mat_vec(&mut got, &m, &w);
            assert_eq!(bits(&got), bits(&want), "{} of {columns}", k.level().name());
            assert_eq!(k.quadratic(&m, &w).to_bits(), form.to_bits(), "{}", k.level().name());
        }
    }
}

/// A sum of products with twice the digits (Ogita, Rump and Oishi, "Accurate sum and dot
/// product", 2005, algorithm 5.3), as an unevaluated sum of two numbers.
fn precise(products: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    products.fold((0.0, 0.0), |(sum, low), (a, b)| {
        let product = a * b;
        let new = sum + product;
        let part = new - sum;
        let lost = (sum - (new - part)) + (product - part);
        (new, low + (a.mul_add(b, -product) + lost))
    })
}

#[test]
fn products_are_within_their_bound_of_the_precise_sums() {
    for columns in SIZES {
        let mut number = random(columns as u64 + 7);
        let m = symmetric(columns, &mut number);
        let w = matrix(1, columns, &mut number);
        let width = w.len();
        let row = |i: usize| m[i * width..][..width].iter().copied();
        for k in levels() {
            let mut got = vec![0.0; width];
            k.mat_vec(&mut got, &m, &w);
            let (mut rows, mut form_size) = (Vec::new(), 0.0);
            for (i, got) in got.iter().enumerate() {
                let (sum, low) = precise(row(i).zip(w.iter().copied()));
                let size: f64 = row(i).zip(w.iter()).map(|(m, w)| (m * w).abs()).sum();
                let bound = (width / 8 + 3) as f64 * EPS * size;
                assert!((got - sum - low).abs() <= bound, "{i} of {columns}");
                rows.extend([(w[i], sum), (w[i], low)]);
                form_size += (w[i] * size).abs();
            }
            let (form, low) = precise(rows.into_iter());
            let error = (k.quadratic(&m, &w) - form - low).abs();
            assert!(error <= (width / 8 + 4) as f64 * EPS * form_size, "{columns}: {error}");
        }
    }
}

/// Two products are rounded, their sum, and the root twice: three eps of both terms.
#[test]
fn a_rank_one_update_is_within_its_bound_and_symmetric() {
    for columns in SIZES {
        let mut number = random(columns as u64 + 13);
        let (m, x) = (symmetric(columns, &mut number), matrix(1, columns, &mut number));
        let width = x.len();
        for k in levels() {
            for (keep, add) in [(0.97, 0.03), (1.0, -0.5), (0.0, 1.0), (1.0, 0.0)] {
                let mut got = m.to_vec();
                k.rank1(&mut got, &x, keep, add);
                for (i, j) in (0..width).flat_map(|i| (0..width).map(move |j| (i, j))) {
                    let (own, mirror) = (got[i * width + j], got[j * width + i]);
                    assert_eq!(own.to_bits(), mirror.to_bits(), "{i} {j}");
                    let (old, new) = (keep * m[i * width + j], add * x[i] * x[j]);
                    let bound = 3.0 * EPS * (old.abs() + new.abs());
                    assert!((own - (old + new)).abs() <= bound, "{own} {}", old + new);
                }
            }
        }
    }
}

/// `M w` kept by `axpby` beside the updates of `M`, and by `axpy` beside those of `w`.
#[test]
fn a_kept_product_follows_the_matrix_and_the_vector() {
    for k in levels() {
        let mut number = random(3);
        let mut m = symmetric(20, || 0.0);
        let (mut w, width) = (matrix(1, 20, &mut number), padded(20));
        let mut kept = vec![0.0; width];
        for round in 0..2_000 {
            let x = matrix(1, 20, &mut number);
            k.axpby(&mut kept, 0.03 * k.dot(&x, &w), &x, 0.97);
            k.rank1(&mut m, &x, 0.97, 0.03);
            let (i, change) = (round % 20, number());
            w[i] += change;
            k.axpy(&mut kept, change, &m[i * width..][..width]);
        }
        let mut fresh = vec![0.0; width];
        k.mat_vec(&mut fresh, &m, &w);
        let size: f64 = m.iter().fold(0.0, |a, b| a + b.abs());
        for (kept, fresh) in kept.iter().zip(&fresh) {
            assert!((kept - fresh).abs() <= 100.0 * EPS * size, "{kept} {fresh}");
        }
    }
}

/// The textbook formula in two passes, and the largest |x| / sd of a column.
fn naive_correlation(samples: &[f64], width: usize, i: usize, j: usize) -> (f64, f64) {
    let column = |i: usize| samples.iter().skip(i).step_by(width).copied().collect::<Vec<_>>();
    let n = (samples.len() / width) as f64;
    let mut spread = 0.0f64;
    let mut centred = |i: usize| {
        let column = column(i);
        let mean = column.iter().sum::<f64>() / n;
        let centred: Vec<f64> = column.iter().map(|x| x - mean).collect();
        let root = centred.iter().map(|c| c * c).sum::<f64>().sqrt();
        let most = column.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        spread = spread.max(most / (root / n.sqrt()));
        (centred, root)
    };
    let ((a, a_root), (b, b_root)) = (centred(i), centred(j));
    (a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>() / (a_root * b_root), spread)
}

fn correlations(k: Kernels, samples: &[f64], width: usize) -> Vec<f64> {
    let mut out = vec![f64::NAN; width * width];
    k.correlation(&mut out, samples, width, &mut vec![f64::NAN; samples.len() + width]);
    out
}

/// Half the bound is ours, half the oracle's. Summation costs `n eps`, a deviation three roundings
/// of the numbers themselves, which count by their size beside the standard deviation.
#[test]
fn correlations_are_within_their_bound_of_the_naive_formula() {
    for (columns, height, offset) in [(1, 2, 0.0), (9, 3, 1.0), (33, 40, 1e3), (64, 256, 0.1)] {
        let mut number = random(height as u64);
        let mut samples = matrix(height, columns, || number() + offset);
        let width = padded(columns);
        // One column follows another, and one runs against it.
        if columns >= 9 {
            for row in samples.chunks_exact_mut(width) {
                row[4] = 0.5 * row[3];
                row[5] = 7.0 - row[3];
            }
        }
        for k in levels() {
            let got = correlations(k, &samples, width);
            for (i, j) in (0..columns).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                let own = got[i * width + j];
                let (want, spread) = naive_correlation(&samples, width, i, j);
                let bound = 2.0 * EPS * (height as f64 + 12.0 * spread);
                assert!((own - want).abs() <= bound, "{i} {j}: {own} {want}");
                assert_eq!(own.to_bits(), got[j * width + i].to_bits(), "symmetric");
                assert!(own.abs() <= 1.0 && (i != j || own == 1.0));
            }
        }
    }
}

#[test]
fn constant_columns_are_uncorrelated_and_unknown_ones_unknown() {
    for k in levels() {
        for height in [1, 2, 7, 256] {
            let mut number = random(5);
            let mut samples = matrix(height, 16, &mut number);
            for row in samples.chunks_exact_mut(16) {
                row[2] = 0.1; // no sum of these is a multiple of it
                row[9] = -1e300;
            }
            samples[(height - 1) * 16 + 4] = f64::NAN;
            samples[6] = f64::INFINITY;
            let got = correlations(k, &samples, 16);
            let unknown = |i: usize| [4, 6].contains(&i);
            for (i, j) in (0..16).flat_map(|i| (0..16).map(move |j| (i, j))) {
                let own = got[i * 16 + j];
                let what = (i, j, height, own);
                if unknown(i) || unknown(j) {
                    assert_eq!(own.to_bits(), CANONICAL_NAN, "{what:?}");
                } else if i == j {
                    assert_eq!(own, 1.0, "{what:?}");
                } else if [2, 9].contains(&i) || [2, 9].contains(&j) || height == 1 {
                    assert_eq!(own, 0.0, "{what:?}");
                } else {
                    assert!(own != 0.0, "{what:?}");
                }
            }
        }
        let none = correlations(k, &[], 8);
        assert!((0..64).all(|i| none[i] == f64::from(i % 9 == 0)));
    }
}

#[test]
fn what_is_no_number_spreads_to_its_own_row_only() {
    for k in levels() {
        let mut m = symmetric(16, random(1));
        let x = matrix(1, 16, random(2));
        m[3 * 16 + 5] = f64::NAN;
        let mut out = [0.0; 16];
        k.mat_vec(&mut out, &m, &x);
        assert!((0..16).all(|i| out[i].is_nan() == (i == 3)));
        assert_eq!(out[3].to_bits(), CANONICAL_NAN);
        assert_eq!(k.quadratic(&m, &x).to_bits(), CANONICAL_NAN);
        let mut empty: [f64; 0] = [];
        k.mat_vec(&mut empty, &[], &x);
        k.rank1(&mut empty, &[], 1.0, 1.0);
        assert_eq!(k.quadratic(&[], &[]), 0.0);
        k.mat_vec(&mut out, &[], &[]);
        assert_eq!(out, [0.0; 16]);
    }
}

#[test]
#[should_panic(expected = "padded to whole blocks")]
fn rows_must_be_padded() {
    let _ = Kernels::best().quadratic(&[0.0; 49], &[0.0; 7]);
}

#[test]
#[should_panic(expected = "a row for each output")]
fn a_matrix_must_have_its_rows() {
    Kernels::best().mat_vec(&mut [0.0; 3], &[0.0; 16], &[0.0; 8]);
}

#[test]
#[should_panic(expected = "samples and one row")]
fn scratch_must_have_its_size() {
    Kernels::best().correlation(&mut [0.0; 64], &[0.0; 16], 8, &mut [0.0; 16]);
}

fn any_numbers(len: usize) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(proptest::num::f64::ANY | proptest::num::f64::SIGNALING_NAN, len)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn levels_agree_on_any_numbers(
        samples in any_numbers(13 * 16), m in any_numbers(16 * 16), w in any_numbers(16),
        height in 0usize..=13, keep in any::<f64>(), add in any::<f64>(),
    ) {
        assert_levels_agree(&samples[..height * 16], &m, &w, keep, add);
    }

    #[test]
    fn a_diagonal_never_turns_negative(
        moves in proptest::collection::vec(proptest::collection::vec(-1e3f64..1e3, 8), 1..40),
        keep in 0.0f64..=1.0, add in 0.0f64..=1.0,
    ) {
        for k in levels() {
            let mut m = vec![0.0; 64];
            for x in &moves {
                k.rank1(&mut m, x, keep, add);
                prop_assert!((0..8).all(|i| m[i * 9] >= 0.0));
            }
        }
    }

    /// Naive twin: sort, then weigh.
    #[test]
    fn tails_are_those_of_the_sorted_values(
        values in proptest::collection::vec(-1e3f64..1e3, 1..200), share in 0.0f64..1.2,
    ) {
        let weight = share * values.len() as f64;
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let mut left = weight.clamp(1.0, values.len() as f64);
        let (mut sum, all) = (0.0, left);
        for value in sorted {
            sum += value * left.clamp(0.0, 1.0);
            left -= 1.0;
        }
        let mut own = values.clone();
        let got = tail_mean(&mut own, weight).expect("there are values");
        prop_assert!((got - sum / all).abs() <= 1e3 * all * EPS);
        let mut turned: Vec<f64> = values.iter().rev().copied().collect();
        prop_assert_eq!(tail_mean(&mut turned, weight).map(f64::to_bits), Some(got.to_bits()));
    }
}

#[test]
fn tails_of_nothing_nan_and_infinity() {
    assert_eq!(tail_mean(&mut [], 3.0), None);
    assert_eq!(tail_mean(&mut [2.0, 1.0], f64::NAN), Some(1.0));
    assert_eq!(tail_mean(&mut [2.0, f64::NEG_INFINITY, 1.0], 2.0), Some(f64::NEG_INFINITY));
    assert_eq!(tail_mean(&mut [2.0, f64::INFINITY, 1.0], 2.0), Some(1.5));
    let unknown = tail_mean(&mut [2.0, -f64::NAN, 1.0], 1.0).map(f64::to_bits);
    assert_eq!(unknown, Some(f64::NAN.to_bits()));
}
