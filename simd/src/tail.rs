//! The mean of a distribution's lower tail, from its samples.

/// The mean of the `weight` smallest of `values`: with `weight = 0.01 * values.len()` and profits
/// as values it is the negative of the expected shortfall at 99 %. A broken `weight` counts the
/// next value by its fraction (Acerbi and Tasche, "On the coherence of expected shortfall", 2002,
/// definition 2.6). At least one value counts whole, at most all do. `None` without values.
///
/// Puts the counted values first, in ascending order, and adds them in that order: the result
/// depends on nothing but the values. A NaN counts as the smallest value of all, whatever its
/// sign, and makes the result NaN: an unknown loss is not a small one. Infinities are ordinary.
///
/// Cost: linear in the values, and the sorting of the tail.
///
/// ```
/// let mut pnl = [3.0, -5.0, 1.0, -2.0];
/// assert_eq!(bot4_simd::tail_mean(&mut pnl, 2.0), Some(-3.5));
/// assert_eq!(bot4_simd::tail_mean(&mut pnl, 1.5), Some(-4.0)); // (-5 - 2 / 2) / 1.5
/// ```
#[must_use]
pub fn tail_mean(values: &mut [f64], weight: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    // A NaN weight counts one value.
    let weight = weight.max(1.0).min(values.len() as f64);
    let whole = weight as usize;
    values.select_nth_unstable_by(whole.min(last), by_loss);
    let counted = (whole + 1).min(values.len());
    values[..counted].sort_unstable_by(by_loss);
    let mut sum = values[..whole].iter().fold(0.0, |sum, value| sum + value);
    let part = weight - whole as f64;
    if part > 0.0 {
        sum = values[whole].mul_add(part, sum);
    }
    Some(if sum.is_nan() { f64::NAN } else { sum / weight })
}

/// NaN first, then ascending.
fn by_loss(a: &f64, b: &f64) -> std::cmp::Ordering {
    b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b))
}
