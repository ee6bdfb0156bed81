//! OKX: every kind of message in words, refusals, damage, numbers of old messages.

mod common;

use bot4_types::{InstrumentId, InstrumentTable, MarketBody, MarketEvent};
use bot4_venues::{BlockPool, DecodeError, Decoded, Ignored, MarketDecoder, Notice, Sink, Venue};
use common::{Bench, Edit, Outcome, edited, input, table};
use proptest::prelude::*;

const OWN: &str = include_str!("golden/okx.jsonl");

fn instruments() -> InstrumentTable {
    table(&[("BTC-USDT", 3, 8), ("ETH-USDT-SWAP", 2, 2)])
}

fn bench() -> Bench {
    Bench::new(Venue::Okx, &instruments())
}

fn decoder() -> Box<dyn MarketDecoder> {
    Venue::Okx.market_decoder(&instruments()).expect("in build")
}

/// The expectations of the golden file, line by line.
#[test]
fn own_samples_give_what_they_say() {
    let mut bench = bench();
    let told: Vec<Outcome> = OWN.lines().map(|l| bench.both(l.as_bytes(), b'"')).collect();
    let expected = [
        "0 1770000000100 snapshot 900 None 2/1 [(61000100, 50000000), (60999950, 1), (61000200, 123000000)]",
        "0 1770000000200 depth 900:917..917 None 1/2 [(61000100, 0), (61000200, 0), (61000500, 250000000)]",
        "0 1770000060200 depth 917:917..917 None 0/0 []",
        "0 1770000060300 depth 917:4..4 None 0/1 [(61000700, 100000000)]",
        "1 1626995750044 snapshot 1 Some(2863924854) 1/1 [(300010, 500), (300020, 1050)]",
        "1 1626995750144 depth 1:2..2 Some(1449106703) 0/1 [(300020, 0)]",
        "0 1770000000101 quote 918 (61000100, 50000000) (61000200, 100000000)",
        "0 1770000000102 trade 90001 61000200 2000000 Buy",
        "1 1770000000103 trade 7 300010 300 Sell",
        "0 1770000000105 trades [(61000100, -1), (90002, 1770000000104), (61000200, 2), (90003, 1770000000105)]",
        "0 1770000000107 trades [(61000200, 3), (90004, 1770000000106), (61000300, 4), (90005, 1770000000107)]",
    ];
    for (outcome, text) in told.iter().zip(expected) {
        assert_eq!(outcome, &(Ok(Decoded::Events), vec![text.to_owned()]));
    }
    let quiet = told[expected.len()..].iter().map(|o| o.0.expect("a known message"));
    let ignored = |i| Decoded::Ignored(i);
    let refused = |code| Decoded::Notice(Notice::ControlRefused(code));
    let expected_quiet = [
        ignored(Ignored::PartialDepth),
        ignored(Ignored::PartialDepth),
        ignored(Ignored::Ticker),
        ignored(Ignored::Kline),
        ignored(Ignored::Other),
        ignored(Ignored::Heartbeat),
        ignored(Ignored::ControlAnswer),
        ignored(Ignored::ControlAnswer),
        ignored(Ignored::ControlAnswer),
        Decoded::Notice(Notice::ServerShutdown),
        refused(60_018),
        refused(60_009),
    ];
    assert_eq!(quiet.collect::<Vec<_>>(), expected_quiet);
    // The pong, every book, quote and trade of the usual form need no general reader.
    assert_eq!(bench.fast.fallbacks(), expected_quiet.len() as u64 - 1);
}

#[test]
fn damage_is_refused_with_its_reason() {
    let mut bench = bench();
    let book = |level: &str, tail: &str| {
        format!(
            r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"update","data":[{{"asks":[{level}],"bids":[],"ts":"1","checksum":0{tail}}}]}}"#
        )
    };
    let tail = r#","seqId":5,"prevSeqId":4"#;
    let good = book(r#"["1.5","2","0","1"]"#, tail);
    assert_eq!(bench.both(good.as_bytes(), 0).0, Ok(Decoded::Events));
    for (level, tail, reason) in [
        (r#"["1.5555","2","0","1"]"#, tail, "TooPrecise"),
        (r#"["1.5","0.000000001","0","1"]"#, tail, "TooPrecise"),
        (r#"["99999999999999999","2","0","1"]"#, tail, "Overflow"),
        (r#"["-1","2","0","1"]"#, tail, "BadCharacter"),
        (r#"["","2","0","1"]"#, tail, "Empty"),
        (r#"[1.5,"2","0","1"]"#, tail, "Schema"),
        (r#"["1.5"]"#, tail, "Schema"),
        (r#"["1.5","2","0","1"]"#, r#","seqId":5"#, "Schema"),
        (r#"["1.5","2","0","1"]"#, r#","seqId":5,"prevSeqId":-1"#, "Schema"),
        (r#"["1.5","2","0","1"]"#, r#","seqId":-5,"prevSeqId":4"#, "Schema"),
    ] {
        let (answer, events) = bench.both(book(level, tail).as_bytes(), 0);
        assert!(format!("{answer:?}").contains(reason), "{answer:?} {reason}");
        assert!(events.is_empty());
    }
    let other = good.replace("BTC-USDT", "XRP-USDT");
    assert_eq!(bench.both(other.as_bytes(), 0).0, Err(DecodeError::UnknownSymbol));
    let huge = good.replace("\"checksum\":0", "\"checksum\":4294967296");
    assert_eq!(bench.both(huge.as_bytes(), 0).0, Err(DecodeError::Schema));
}

#[test]
fn the_suspect_of_damage_is_the_book_it_names() {
    let d = decoder();
    let head = r#"{"arg":{"channel":"books","instId":"ETH-USDT-SWAP"},"act"#;
    assert_eq!(d.suspect(head.as_bytes()), Some(InstrumentId(1)));
    for (from, to) in [("books", "trades"), ("books", "books5"), ("ETH-USDT-SWAP", "X")] {
        assert_eq!(d.suspect(head.replace(from, to).as_bytes()), None);
    }
    assert_eq!(d.suspect(br#"{"arg":{"channel":"books","instId":"ETH"#), None);
}

#[test]
fn a_message_that_waits_for_a_block_is_numbered_once() {
    let mut d = decoder();
    let mut sink = Sink::new(BlockPool::new([1, 0, 0]));
    let text = OWN.lines().nth(4).expect("the old snapshot").as_bytes();
    assert_eq!(d.decode(input(text, text.len()), &mut sink), Ok(Decoded::Events));
    let held: Vec<MarketEvent> = sink.drain().collect();
    let text = OWN.lines().nth(5).expect("the old update").as_bytes();
    for _ in 0..3 {
        assert_eq!(d.decode(input(text, text.len()), &mut sink), Err(DecodeError::NoBlock));
    }
    for event in held {
        bot4_venues::stage::give_back(&mut sink, event.body);
    }
    assert_eq!(d.decode(input(text, text.len()), &mut sink), Ok(Decoded::Events));
    let last = sink.drain().next().map(|e| e.body);
    assert!(matches!(last, Some(MarketBody::Depth { prev: 1, last: 2, .. })), "{last:?}");
}

proptest! {
    /// Whatever happens to messages: both readers say the same, and no block is lost.
    #[test]
    fn edited_messages_read_alike(
        line in 0usize..64,
        edits in proptest::collection::vec(any::<Edit>(), 1..4),
        filler in any::<u8>(),
    ) {
        let lines: Vec<&str> = OWN.lines().collect();
        let text = edited(lines[line % lines.len()].as_bytes(), &edits);
        let _ = bench().both(&text, filler);
    }
}
