//! Binance USD-M: every kind of message in words, and what Spot reads differently.

mod common;

use bot4_types::InstrumentTable;
use bot4_venues::{DecodeError, Decoded, Ignored, Notice, Venue};
use common::{Bench, Edit, edited, table};
use proptest::prelude::*;

const OWN: &str = include_str!("golden/usdm.jsonl");

fn instruments() -> InstrumentTable {
    table(&[("BTCUSDT", 3, 4), ("ETHUSDT", 3, 3)])
}

fn bench() -> Bench {
    Bench::new(Venue::BinanceUsdm, &instruments())
}

#[test]
fn own_samples_give_what_they_say() {
    let mut bench = bench();
    let told: Vec<_> = OWN.lines().map(|line| bench.both(line.as_bytes(), b'}')).collect();
    let expected = [
        "0 1770000000100 depth 4990:5001..5007 None 2/1 [(61000100, 5000), (60999900, 0), (61000200, 123450)]",
        "1 1770000000200 depth 16:17..19 None 0/1 [(3000100, 1000)]",
        "0 1770000000101 trade 90001 61000100 200 Sell",
        "0 1770000000102 quote 5007 (61000100, 5000) (61000200, 123450)",
        "1 1770000000100 snapshot 5006 None 1/1 [(3000100, 400), (3000200, 2000)]",
        "0 1770000000101 trade 7 61000100 200 Buy",
    ];
    for (outcome, text) in told.iter().zip(expected) {
        assert_eq!(outcome, &(Ok(Decoded::Events), vec![text.to_owned()]));
    }
    let quiet: Vec<_> = told[expected.len()..].iter().map(|o| o.0).collect();
    let refused = Decoded::Notice(Notice::ControlRefused(2));
    assert_eq!(quiet, [Ok(Decoded::Ignored(Ignored::ControlAnswer)), Ok(refused)]);
    assert_eq!(bench.fast.fallbacks(), quiet.len() as u64);
}

#[test]
fn trades_outside_the_book_are_ignored() {
    let trade = OWN.lines().nth(2).expect("the trade");
    for (kind, taken) in [("MARKET", true), ("INSURANCE_FUND", false), ("NA", false)] {
        let (answer, events) = bench().both(trade.replace("MARKET", kind).as_bytes(), 0);
        assert_eq!((answer.is_ok(), events.is_empty()), (true, !taken), "{kind}");
    }
}

#[test]
fn a_change_without_its_predecessor_is_refused() {
    let depth = OWN.lines().next().expect("the book change").replace(",\"pu\":4990", "");
    assert_eq!(bench().both(depth.as_bytes(), 0).0, Err(DecodeError::Schema));
}

/// The same text on the other market: no predecessors, and merged trades are passed over.
#[test]
fn spot_reads_the_same_text_by_its_own_rules() {
    let mut spot = Bench::new(Venue::Binance, &instruments());
    let depth = OWN.lines().next().expect("the book change");
    let (_, events) = spot.both(depth.as_bytes(), 0);
    assert!(events[0].contains("depth 0:5001..5007"), "{events:?}");
    let merged = OWN.lines().find(|l| l.contains("aggTrade")).expect("there");
    assert_eq!(spot.both(merged.as_bytes(), 0).0, Ok(Decoded::Ignored(Ignored::AggTrade)));
}

#[test]
fn only_damage_to_a_book_names_a_suspect() {
    let bench = bench();
    for (line, found) in OWN.lines().zip([true, true, false, false, true, false]) {
        assert_eq!(bench.fast.suspect(line.as_bytes()).is_some(), found, "{line}");
    }
}

proptest! {
    #[test]
    fn edited_messages_read_alike(
        line in any::<prop::sample::Index>(),
        edits in proptest::collection::vec(any::<Edit>(), 1..4),
        filler in any::<u8>(),
    ) {
        let own: Vec<&str> = OWN.lines().collect();
        let text = edited(own[line.index(own.len())].as_bytes(), &edits);
        let _ = bench().both(&text, filler);
    }
}
