//! Real recordings, damaged on their way in: what is damaged is noticed, a live book is never
//! wrong, and a snapshot mends it.
//!
//! Two pumps run side by side. One is given the recording as it is; the other loses, doubles,
//! swaps, breaks or bends one book message in so many. While the second calls a book live, it
//! must hold the same levels as the first; when it does not, it is offered a snapshot of the
//! first one's book in the venue's own form and must be live again by it.
//!
//! What a venue's messages cannot tell is listed beside each recording: a bent digit where there
//! is no checksum, and at Kraken whatever lies behind the ten best levels that its checksum
//! covers (its messages have no number).

mod common;
#[path = "damage/side_by_side.rs"]
mod side_by_side;
#[path = "damage/words.rs"]
mod words;

use common::recorded;
use side_by_side::{Damage, Outcome, run};

/// How a recording's venue can be checked.
struct Case {
    name: &'static str,
    /// One book message in so many is damaged, of each book.
    every: usize,
    /// Levels a side that must agree while live: those under the checksum where nothing else
    /// tells, else all.
    levels_max: usize,
    /// Book messages carry a number, so that repeats and holes show at once.
    numbered: bool,
    /// A checksum over the levels that must agree.
    summed: bool,
}

const ALL: usize = usize::MAX;

/// A row of the table below.
const fn case(
    name: &'static str,
    every: usize,
    levels_max: usize,
    numbered: bool,
    summed: bool,
) -> Case {
    Case { name, every, levels_max, numbered, summed }
}

/// Every hundredth message and more often where a recording is short.
const CASES: [Case; 10] = [
    case("binance_spot_btcusdt_20240808", 100, ALL, true, false),
    case("binance_spot_multi_20210417", 10, ALL, true, false),
    case("binance_spot_multi_20211012", 10, ALL, true, false),
    case("binance_usdm_btcusdt_20240808", 100, ALL, true, false),
    case("bybit_v5_spot_20260809", 25, ALL, true, false),
    case("coinbase_at_20260809", 50, ALL, true, false),
    case("kraken_v2_btcusd_d10_20230730", 25, ALL, false, true),
    case("kraken_v2shape_d1000_20210417", 100, 10, false, true),
    case("okx_v5_btcusdt_20220513", 10, 25, false, true),
    case("okx_v5_mixed_20210722", 100, 25, false, true),
];

/// Runs every recording with `damage`, prints a row of each, and lets `check` judge it.
fn each(damage: Damage, check: impl Fn(&Case, &Outcome)) {
    println!(
        "{:<32} {:<7} {:>8} {:>8} {:>8} {:>6} {:>6} {:>6}",
        "recording", "damage", "damaged", "noticed", "harmless", "later", "wrong", "lost"
    );
    for recorded in recorded::all() {
        let name = recorded.name.as_str();
        let case = CASES.iter().find(|case| case.name == name).expect("every recording has a row");
        let o = run(&recorded, damage, case.every, case.levels_max);
        println!(
            "{name:<32} {:<7} {:>8} {:>8} {:>8} {:>6} {:>6} {:>6}",
            format!("{damage:?}"),
            o.damaged,
            o.noticed,
            o.harmless,
            o.later,
            o.wrong,
            o.lost
        );
        assert!(o.damaged > 0, "{name} has book messages");
        assert_eq!(o.lost, 0, "{name} {damage:?}: a snapshot did not mend it");
        check(case, &o);
    }
}

/// What is missing or late is noticed by its number at the next message at the latest. Where there
/// is only a checksum, it shows in the levels under it, or changed none of them.
fn lost_or_late(case: &Case, o: &Outcome) {
    assert_eq!(o.wrong, 0, "{}: a live book was wrong", case.name);
    if case.numbered {
        assert_eq!(o.noticed, o.damaged, "{}", case.name);
    } else {
        assert_eq!(o.noticed + o.harmless, o.damaged, "{}", case.name);
        assert!(o.noticed > 0, "{}", case.name);
    }
}

#[test]
fn dropped_messages_are_noticed() {
    each(Damage::Drop, lost_or_late);
}

#[test]
fn swapped_messages_are_noticed() {
    each(Damage::Swap, lost_or_late);
}

/// A message that comes twice changes nothing and costs no book.
#[test]
fn doubled_messages_are_ignored() {
    each(Damage::Double, |case, o| {
        assert_eq!((o.noticed, o.later, o.wrong), (0, 0, 0), "{}", case.name);
        assert_eq!(o.harmless, o.damaged, "{}", case.name);
    });
}

/// Text that is not JSON makes its book stale at that message.
#[test]
fn broken_messages_are_noticed() {
    each(Damage::Break, |case, o| {
        assert_eq!((o.noticed, o.wrong), (o.damaged, 0), "{}", case.name);
    });
}

/// A changed digit is noticed where a checksum covers it, at once or when it comes under it. In a
/// message of another venue nothing tells, and the books differ until the level changes again:
/// that is counted, not hidden.
#[test]
fn changed_digits_are_noticed_where_there_is_a_checksum() {
    each(Damage::Digit, |case, o| {
        if case.summed {
            assert_eq!(o.wrong, 0, "{}: a live book was wrong", case.name);
            assert_eq!(o.noticed + o.harmless, o.damaged, "{}", case.name);
            assert!(o.noticed > 0, "{}", case.name);
        }
    });
}
