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

use bot4_venues::registry::Venue;
use common::recordings;
use side_by_side::{Damage, Outcome, run};

/// A recording and how its venue can be checked.
struct Case {
    folder: &'static str,
    venue: Venue,
    /// One book message in so many is damaged.
    every: usize,
    /// Levels a side that must agree while live; all of them where that is not said.
    levels_max: usize,
    /// Book messages carry a number, so that repeats and holes show at once.
    numbered: bool,
    /// A checksum over the levels that the recording changes.
    summed: bool,
}

const CASES: [Case; 8] = [
    Case {
        folder: "binance_spot_btcusdt_20240808",
        venue: Venue::Binance,
        every: 100,
        levels_max: usize::MAX,
        numbered: true,
        summed: false,
    },
    Case {
        folder: "binance_usdm_btcusdt_20240808",
        venue: Venue::BinanceUsdm,
        every: 100,
        levels_max: usize::MAX,
        numbered: true,
        summed: false,
    },
    Case {
        folder: "kraken_v2_btcusd_d10_20230730",
        venue: Venue::Kraken,
        every: 25,
        levels_max: usize::MAX,
        numbered: false,
        summed: true,
    },
    Case {
        folder: "kraken_v2shape_d1000_20210417",
        venue: Venue::Kraken,
        every: 100,
        levels_max: 10,
        numbered: false,
        summed: false,
    },
    Case {
        folder: "bybit_v5_spot_20260809",
        venue: Venue::Bybit,
        every: 25,
        levels_max: usize::MAX,
        numbered: true,
        summed: false,
    },
    Case {
        folder: "okx_v5_btcusdt_20220513",
        venue: Venue::Okx,
        every: 10,
        levels_max: 25,
        numbered: false,
        summed: false,
    },
    Case {
        folder: "okx_v5_mixed_20210722",
        venue: Venue::Okx,
        every: 100,
        levels_max: 25,
        numbered: false,
        summed: false,
    },
    Case {
        folder: "coinbase_at_20260809",
        venue: Venue::Coinbase,
        every: 50,
        levels_max: usize::MAX,
        numbered: true,
        summed: false,
    },
];

fn outcome(case: &Case, damage: Damage) -> Option<Outcome> {
    let folder = recordings()?.join(case.folder);
    let outcome = run(case.venue, &folder, damage, case.every, case.levels_max);
    println!("{:<32} {damage:?}: {outcome:?}", case.folder);
    assert!(outcome.damaged > 0, "{} has book messages", case.folder);
    assert_eq!(outcome.wrong, 0, "{} {damage:?}: a live book was wrong", case.folder);
    assert_eq!(outcome.lost, 0, "{} {damage:?}: a snapshot did not mend it", case.folder);
    Some(outcome)
}

/// A message that is missing is noticed at the next one of its book, wherever there is a number.
/// Where there is only a checksum, a message that the next one repeats is no loss.
#[test]
fn dropped_messages_are_noticed() {
    for case in &CASES {
        let Some(outcome) = outcome(case, Damage::Drop) else { return };
        if case.numbered {
            assert_eq!(outcome.noticed, outcome.damaged, "{}", case.folder);
        } else if case.summed {
            assert_eq!(outcome.noticed + outcome.harmless, outcome.damaged, "{}", case.folder);
        }
    }
}

/// Two messages in the wrong order are noticed at the first of them.
#[test]
fn swapped_messages_are_noticed() {
    for case in &CASES {
        let Some(outcome) = outcome(case, Damage::Swap) else { return };
        if case.numbered {
            assert_eq!(outcome.noticed, outcome.damaged, "{}", case.folder);
        } else if case.summed {
            assert_eq!(outcome.noticed + outcome.harmless, outcome.damaged, "{}", case.folder);
        }
    }
}

/// A message that comes twice changes nothing and costs no book.
#[test]
fn doubled_messages_are_ignored() {
    for case in &CASES {
        let Some(outcome) = outcome(case, Damage::Double) else { return };
        assert_eq!(outcome.noticed, 0, "{}", case.folder);
        assert_eq!(outcome.harmless, outcome.damaged, "{}", case.folder);
    }
}

/// Text that is not JSON makes its book stale at that message.
#[test]
fn broken_messages_are_noticed() {
    for case in &CASES {
        let Some(outcome) = outcome(case, Damage::Break) else { return };
        assert_eq!(outcome.noticed, outcome.damaged, "{}", case.folder);
    }
}

/// A changed digit is noticed where a checksum covers it. Elsewhere nothing in the message tells,
/// and the books differ until the level changes again: that is counted, not hidden.
#[test]
fn changed_digits_are_noticed_where_there_is_a_checksum() {
    for case in CASES.iter().filter(|case| case.summed) {
        let Some(outcome) = outcome(case, Damage::Digit) else { return };
        assert_eq!(outcome.noticed + outcome.harmless, outcome.damaged, "{}", case.folder);
        assert!(outcome.noticed > 0, "{}", case.folder);
    }
}
