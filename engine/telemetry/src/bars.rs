//! A histogram for a terminal: a row for each power of two, a bar for its share.

use std::fmt::Write;

use crate::hist::Hdr;
use crate::report::aligned;
use crate::slowest::time;

/// The longest bar in characters.
const BAR_LEN: u64 = 40;

/// `hdr` as rows `from .. below, count, per cent, bar`; rows at the edges without values are left
/// out. Empty for an empty histogram.
#[must_use]
pub fn bars(hdr: &Hdr) -> String {
    let mut counts = [0_u64; 64];
    for value in hdr.iter_recorded() {
        counts[power(value.value_iterated_to())] += value.count_at_value();
    }
    let highest = counts.iter().copied().max().unwrap_or(0);
    let held = |power: &usize| counts[*power] > 0;
    let (Some(first), Some(last)) = ((0..64).find(held), (0..64).rev().find(held)) else {
        return String::new();
    };
    let rows = (first..=last).map(|power| {
        let count = counts[power];
        let percent = count as f64 * 100.0 / hdr.len() as f64;
        // What is there is seen.
        let len = (count * BAR_LEN).div_ceil(highest) as usize;
        let from = if power == 0 { 0 } else { 1 << power };
        let (from, below) = (time(from), time(1 << (power + 1).min(63)));
        vec![from, below, count.to_string(), format!("{percent:.2}"), "#".repeat(len)]
    });
    aligned(&["from", "below", "count", "%", ""], rows, &[0, 1, 2, 3])
}

/// The row of `value`: zero and one share the first.
const fn power(value: u64) -> usize {
    (63 - (value | 1).leading_zeros()) as usize
}

/// The histogram of `tag` under its name.
#[must_use]
pub fn titled(tag: &str, hdr: &Hdr) -> String {
    let mut text = String::new();
    let _ = write!(text, "\n{tag}, {} values\n{}", hdr.len(), bars(hdr));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hist::empty;
    use proptest::prelude::*;

    #[test]
    fn each_power_of_two_has_its_row() {
        let mut hdr = empty();
        for (value, count) in [(1, 1), (3, 4), (1_000, 40), (1_025, 1)] {
            hdr.saturating_record_n(value, count);
        }
        let text = bars(&hdr);
        let row = |from: &str| text.lines().find(|l| l.trim_start().starts_with(from));
        assert_eq!(row("512 ns").map(|l| l.matches('#').count()), Some(40), "{text}");
        assert_eq!(row("1.02 us").map(|l| l.matches('#').count()), Some(1), "{text}");
        assert_eq!(text.lines().count(), 1 + 11, "head, then 0 to 1.02 us: {text}");
        assert_eq!(bars(&empty()), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_rows_count_every_value(
            values in proptest::collection::vec(0u64..70_000_000_000, 1..200),
        ) {
            let mut hdr = empty();
            values.iter().for_each(|v| hdr.saturating_record(*v));
            let text = bars(&hdr);
            // Behind the two times with their units.
            let counted = text.lines().skip(1).map(|line| {
                line.split_whitespace().nth(4).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
            });
            prop_assert_eq!(counted.sum::<u64>(), values.len() as u64, "{}", text);
        }
    }
}
