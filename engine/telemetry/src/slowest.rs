//! Which stage is the slowest, in plain words.
//!
//! Only means add up: the p99 of a whole is not the sum of the p99 of its parts. So the slowest
//! stage is the one that took the most time of all orders together, and its share is of the sum.
//! Where another stage has the longer tail, it is named beside it.

use std::collections::BTreeMap;
use std::fmt;

use bot4_types::trail::Stage;
use serde_json::{Value, json};

use crate::hist::Summary;

/// What the shares are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The way of the orders that market data caused: stages sum to `tick_to_trade`.
    Orders,
    /// All market messages, in a run that sent no such order.
    Messages,
}

impl Basis {
    const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Messages => "messages",
        }
    }
}

/// The slowest stage of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Slowest {
    /// Its tag.
    pub stage: String,
    /// Of what.
    pub basis: Basis,
    /// Its share of the time of all stages, per cent.
    pub share_pct: f64,
    /// Its figures.
    pub summary: Summary,
    /// The stage of the highest p99 where that is another one, and its p99 in nanoseconds.
    pub tail: Option<(String, u64)>,
}

impl Slowest {
    /// Of the histograms `summaries` by tag; `None` where no stage holds a value.
    #[must_use]
    pub fn of(summaries: &BTreeMap<String, Summary>) -> Option<Self> {
        let orders: Vec<_> = Stage::ALL.iter().filter_map(|s| find(summaries, s.name())).collect();
        let total =
            |rows: &[(&String, &Summary)]| -> u128 { rows.iter().map(|(_, s)| s.total()).sum() };
        let (basis, rows): (_, Vec<_>) = match total(&orders) {
            0 => {
                (Basis::Messages, summaries.iter().filter(|(t, _)| t.starts_with("msg_")).collect())
            }
            _ => (Basis::Orders, orders),
        };
        let all = total(&rows);
        let (stage, summary) = *rows.iter().max_by_key(|(_, s)| s.total())?;
        let (tail, high) = *rows.iter().max_by_key(|(_, s)| s.p99)?;
        (all > 0).then(|| Self {
            stage: stage.clone(),
            basis,
            share_pct: summary.total() as f64 * 100.0 / all as f64,
            summary: *summary,
            tail: (high.p99 > summary.p99).then(|| (tail.clone(), high.p99)),
        })
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "stage": self.stage, "of": self.basis.name(), "share_pct": self.share_pct,
            "latency_ns": self.summary,
            "tail": self.tail.as_ref().map(|(stage, p99)| json!({ "stage": stage, "p99": p99 })),
        })
    }
}

impl fmt::Display for Slowest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = match self.basis {
            Basis::Orders => "the way from t0 to the kernel",
            Basis::Messages => "the messages' time (no order was caused by one)",
        };
        let (mean, p99) = (time(self.summary.mean), time(self.summary.p99));
        let (stage, share) = (&self.stage, self.share_pct);
        write!(f, "slowest stage: {stage}, {share:.0} % of {whole}; mean {mean}, p99 {p99}")?;
        self.tail
            .as_ref()
            .map_or(Ok(()), |(stage, p99)| write!(f, "; longest tail: {stage}, p99 {}", time(*p99)))
    }
}

fn find<'a>(of: &'a BTreeMap<String, Summary>, tag: &str) -> Option<(&'a String, &'a Summary)> {
    of.get_key_value(tag).filter(|(_, s)| s.count > 0)
}

/// `ns` in the unit that suits it, three digits.
#[must_use]
pub fn time(ns: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| ns >= *unit) else {
        return format!("{ns} ns");
    };
    let value = ns as f64 / *unit as f64;
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn summary(count: u64, mean: u64, p99: u64) -> Summary {
        Summary { count, p50: mean, p90: mean, p99, p999: p99, max: p99, mean }
    }

    #[test]
    fn the_stage_of_the_most_time_is_named_and_who_has_the_longer_tail() {
        let all = [
            ("parse".to_owned(), summary(100, 900, 1_500)),
            ("book".to_owned(), summary(100, 100, 90_000)),
            ("ack".to_owned(), summary(100, 1_000_000, 2_000_000)),
            ("msg_parse.0".to_owned(), summary(9_000_000, 5_000, 5_000)),
        ];
        let slowest = Slowest::of(&all.into()).expect("there are orders");
        assert_eq!((slowest.stage.as_str(), slowest.share_pct), ("parse", 90.0));
        let text = slowest.to_string();
        assert!(text.starts_with("slowest stage: parse, 90 % of the way"), "{text}");
        assert!(text.ends_with("longest tail: book, p99 90.0 us"), "{text}");
    }

    #[test]
    fn without_orders_it_is_the_messages_and_without_both_nothing() {
        let all = [
            ("msg_book.0".to_owned(), summary(10, 30, 40)),
            ("ack".to_owned(), summary(100, 1_000_000, 2_000_000)),
        ];
        let slowest = Slowest::of(&all.into()).expect("there are messages");
        assert_eq!((slowest.stage.as_str(), slowest.basis), ("msg_book.0", Basis::Messages));
        assert_eq!(Slowest::of(&BTreeMap::new()), None);
        assert_eq!(Slowest::of(&[("ack".to_owned(), summary(1, 1, 1))].into()), None);
    }

    #[test]
    fn times_have_their_unit() {
        let told = [0, 999, 1_000, 12_340, 123_400, 999_999, 5_000_000, 61_000_000_000];
        let want =
            ["0 ns", "999 ns", "1.00 us", "12.3 us", "123 us", "1000 us", "5.00 ms", "61.0 s"];
        assert_eq!(told.map(time), want);
    }

    proptest! {
        #[test]
        fn no_stage_takes_more_time(means in proptest::array::uniform6(0u64..1 << 40)) {
            let all: BTreeMap<_, _> = Stage::ALL
                .into_iter()
                .zip(means)
                .map(|(stage, mean)| (stage.name().to_owned(), summary(7, mean, mean)))
                .collect();
            match Slowest::of(&all) {
                Some(slowest) => {
                    let sum: u64 = means.iter().sum();
                    let max = means.iter().max().copied().unwrap_or(0);
                    prop_assert_eq!(slowest.summary.mean, max);
                    let share_pct = max as f64 * 100.0 / sum as f64;
                    prop_assert!((slowest.share_pct - share_pct).abs() < 1e-6);
                }
                None => prop_assert_eq!(means, [0; 6]),
            }
        }
    }
}
