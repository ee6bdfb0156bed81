//! Coinbase: every kind of message in words, the connection's numbering, refusals, damage.

mod common;

use bot4_types::{ConnId, InstrumentId, InstrumentTable};
use bot4_venues::market::EVENTS_PER_FRAME_MAX;
use bot4_venues::{DecodeError, Decoded, Ignored, Notice, Venue};
use common::{BLOCKS, Bench, Edit, edited, table};
use proptest::prelude::*;

const OWN: &str = include_str!("golden/coinbase.jsonl");

fn instruments() -> InstrumentTable {
    table(&[("BTC-USD", 4, 8), ("ETH-USD", 4, 10), ("SOL-USDC", 2, 2)])
}

fn bench() -> Bench {
    Bench::new(Venue::Coinbase, &instruments())
}

#[test]
fn own_samples_give_what_they_say() {
    let mut bench = bench();
    let told: Vec<_> = OWN.lines().map(|line| bench.both(line.as_bytes(), b'"')).collect();
    let t = "1770000000";
    let expected: [&[&str]; 8] = [
        &[
            "0 T100 snapshot 0 None 2/2 [(610000100, 50000000), (610000000, 100000000), (610000200, 1234567890), (1389910234125, 238)]",
        ],
        &[
            "0 T150 depth 0:1..1 None 1/2 [(610000100, 25000000), (610000200, 0), (610000300, 300000000)]",
        ],
        &["1 T200 depth 0:2..2 None 0/0 []", "0 T200 depth 0:2..2 None 1/0 [(610000000, 0)]"],
        &["0 T250 trade 90001 610000100 2000000 Buy"],
        &[
            "1 T500 trades [(30000200, 10000000000), (8, T400), (30000100, -20000000000), (9, T500)]",
        ],
        &[
            "0 T500 trades [(610000000, -200000000), (90002, T400), (610000100, -100000000), (90003, T500)]",
            "1 T450 trade 10 30000200 10000000000 Buy",
        ],
        &["0 0 LineGap", "0 T700 depth 0:8..8 None 1/0 [(610000000, 400000000)]"],
        &["0 0 LineGap"],
    ];
    for ((answer, events), expected) in told.iter().zip(expected) {
        let expected: Vec<String> = expected.iter().map(|e| e.replace('T', t)).collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|e| e.replace("1770000000rade", "Trade").replace("Line1770000000", "LineT"))
            .collect();
        assert_eq!((answer, events), (&Ok(Decoded::Events), &expected));
    }
    let mut quiet: Vec<_> = [
        Ignored::PastTrades,
        Ignored::Heartbeat,
        Ignored::ControlAnswer,
        Ignored::Ticker,
        Ignored::Kline,
        Ignored::Other,
        Ignored::Repeat,
    ]
    .map(|i| Ok(Decoded::Ignored(i)))
    .into();
    quiet.push(Ok(Decoded::Notice(Notice::ControlRefused(0))));
    assert_eq!(told[expected.len()..].iter().map(|o| o.0).collect::<Vec<_>>(), quiet);
    // Trades of two products, and all that is quiet but for the heartbeats.
    assert_eq!(bench.fast.fallbacks(), 1 + quiet.len() as u64 - 1);
}

fn update(number: u64, product: &str, level: &str) -> String {
    format!(
        r#"{{"channel":"l2_data","timestamp":"","sequence_num":{number},"events":[{{"type":"update","product_id":"{product}","updates":[{level}]}}]}}"#
    )
}

fn level(side: &str, price: &str, qty: &str) -> String {
    format!(r#"{{"side":"{side}","event_time":"","price_level":"{price}","new_quantity":"{qty}"}}"#)
}

#[test]
fn a_hole_is_told_once_and_a_new_connection_starts_anew() {
    let mut bench = bench();
    let tell = |number: u64, bench: &mut Bench| {
        let text = update(number, "BTC-USD", &level("bid", "1", "1"));
        let (answer, events) = bench.both(text.as_bytes(), 0);
        (answer, events.iter().filter(|e| e.contains("LineGap")).count(), events.len())
    };
    assert_eq!(tell(40, &mut bench), (Ok(Decoded::Events), 0, 1), "any number may be the first");
    assert_eq!(tell(42, &mut bench), (Ok(Decoded::Events), 1, 2));
    assert_eq!(tell(43, &mut bench), (Ok(Decoded::Events), 0, 1));
    assert_eq!(tell(43, &mut bench), (Ok(Decoded::Ignored(Ignored::Repeat)), 0, 0));
    assert_eq!(tell(41, &mut bench), (Ok(Decoded::Ignored(Ignored::Repeat)), 0, 0), "late");
    assert_eq!(tell(44, &mut bench), (Ok(Decoded::Events), 0, 1));
    bench.fast.line_up(ConnId(3));
    bench.general.line_up(ConnId(3));
    assert_eq!(tell(0, &mut bench), (Ok(Decoded::Events), 0, 1));
}

/// Recordings of two connections read as one, and a number gone wrong: what comes behind must not
/// pass for repeats until its numbers have caught up.
#[test]
fn a_count_that_began_anew_is_a_hole() {
    for (seen, then) in [(500, [0, 1, 2]), (1_000_000_000_000_000_000, [18, 19, 20])] {
        let mut bench = bench();
        let mut tell = |number: u64| {
            let text = update(number, "BTC-USD", &level("bid", "1", "1"));
            let (_, events) = bench.both(text.as_bytes(), 0);
            (events.iter().filter(|e| e.contains("LineGap")).count(), events.len())
        };
        assert_eq!(tell(seen), (0, 1));
        assert_eq!(then.map(&mut tell), [(1, 2), (0, 1), (0, 1)], "{seen}");
        assert_eq!(tell(seen + 1), (1, 2), "{seen}");
    }
}

/// What one book's suspect tells is no hole; what nobody can tell is one.
#[test]
fn refused_messages_leave_a_hole_unless_their_book_is_known() {
    let next_is_gap = |refused: &str, reason: DecodeError| {
        let mut bench = bench();
        let _ = bench.both(update(0, "BTC-USD", "").as_bytes(), 0);
        assert_eq!(bench.both(refused.as_bytes(), 0), (Err(reason), vec![]), "{refused}");
        let (_, events) = bench.both(update(2, "BTC-USD", "").as_bytes(), 0);
        events.iter().any(|e| e.contains("LineGap"))
    };
    let bad = level("ask", "1", "1");
    assert!(!next_is_gap(&update(1, "BTC-USD", &bad), DecodeError::Schema));
    assert!(!next_is_gap(&update(1, "XRP-USD", &bad), DecodeError::UnknownSymbol));
    // The product stands behind more levels than the suspect looks at.
    let levels = [level("bid", "1", "1").as_str(); 5].join(",");
    let turned = format!(
        r#"{{"channel":"l2_data","sequence_num":1,"events":[{{"type":"update","updates":[{levels},{bad}],"product_id":"BTC-USD"}}]}}"#
    );
    assert!(next_is_gap(&turned, DecodeError::Schema));
    let good = update(1, "BTC-USD", &level("bid", "1", "1"));
    assert!(next_is_gap(&good[..good.len() - 1], DecodeError::Json));
    let two = good.replace("]}]}", r#"]},{"type":"update","product_id":"XRP-USD","updates":[]}]}"#);
    assert!(next_is_gap(&two, DecodeError::UnknownSymbol));
    let event = r#",{"type":"update","product_id":"BTC-USD","updates":[]}"#;
    let many = good.replace("]}]}", &format!("]}}{}]}}", event.repeat(EVENTS_PER_FRAME_MAX)));
    assert!(next_is_gap(&many, DecodeError::TooManyLevels));
}

#[test]
fn either_name_of_a_product_finds_its_book() {
    let mut bench = bench();
    for (number, name, found) in [
        (0, "BTC-USDC", Some("0 ")),
        (1, "BTC-USD", Some("0 ")),
        (2, "SOL-USD", Some("2 ")),
        (3, "SOL-USDC", Some("2 ")),
        (4, "BTC-EUR", None),
        (5, "BTC-EURC", None),
        (6, "-USD", None),
        (7, "A-NAME-THAT-IS-QUITE-LONG-A-USD", None),
    ] {
        let (_, events) = bench.both(update(number, name, "").as_bytes(), 0);
        assert_eq!(events.first().map(|e| &e[..2]), found, "{name}");
    }
    let text = update(0, "SOL-USD", "");
    assert_eq!(bench.fast.suspect(text.as_bytes()), Some(InstrumentId(2)));
    assert_eq!(bench.fast.suspect(text.replace("l2_data", "ticker").as_bytes()), None);
    assert_eq!(bench.fast.suspect(&text.as_bytes()[..70]), None);
}

#[test]
fn the_largest_snapshot_fits_and_a_larger_one_is_refused() {
    let bids = vec![level("bid", "61000.1234", "0.12345678"); 30_000];
    let asks = vec![level("offer", "61000.1235", "0.12345678"); 35_536];
    let all = [bids, asks].concat().join(",");
    let text = update(0, "BTC-USD", &all).replace("\"update\"", "\"snapshot\"");
    let mut bench = bench();
    let (answer, events) = bench.fast(text.as_bytes(), 0);
    assert_eq!(answer, Ok(Decoded::Events));
    assert!(events[0].contains("snapshot 0 None 30000/35536 "), "{}", &events[0][..60]);
    assert_eq!(bench.free(), BLOCKS);
    let more = text.replace("]}]}", &format!(",{}]}}]}}", level("bid", "1", "1")));
    let (answer, _) = bench.fast(more.replace("_num\":0", "_num\":1").as_bytes(), 0);
    assert!(matches!(answer, Err(DecodeError::TooManyLevels | DecodeError::TooLarge)));
    assert_eq!(bench.free(), BLOCKS);
}

proptest! {
    /// Whatever happens to messages: both readers say the same, now and next time.
    #[test]
    fn edited_messages_read_alike(
        lines in proptest::collection::vec(0usize..64, 1..6),
        edits in proptest::collection::vec(any::<Edit>(), 0..4),
        filler in any::<u8>(),
    ) {
        let own: Vec<&str> = OWN.lines().collect();
        let mut bench = bench();
        for line in lines {
            let text = edited(own[line % own.len()].as_bytes(), &edits);
            let _ = bench.both(&text, filler);
        }
    }
}
