//! Kraken v2: every kind of message in words, refusals, damage, and real messages where they are.

mod common;

use bot4_types::text::DecimalError;
use bot4_types::{InstrumentTable, MarketBody};
use bot4_venues::kraken::market::FALLBACK_LEN_MAX;
use bot4_venues::{DecodeError, Decoded, Ignored, Notice, Venue};
use common::{BLOCKS, Bench, Edit, NaiveBook, edited, expected, lines, shared, table, units};
use proptest::prelude::*;

const OWN: &str = include_str!("golden/kraken.jsonl");

fn pairs() -> InstrumentTable {
    table(&[("BTC/USD", 1, 8), ("ADA/ETH", 8, 5)])
}

fn bench() -> Bench {
    Bench::new(Venue::Kraken, &pairs())
}

#[test]
fn own_samples_give_what_they_say() {
    let mut bench = bench();
    let told: Vec<_> = OWN.lines().map(|line| bench.both(line.as_bytes(), 0)).collect();
    let expected: [&[&str]; 9] = [
        &[
            "0 1770000000100 snapshot 1770000000100200 Some(1234567890) 2/1 [(610001, 50000000), (610000, 1234567890), (610002, 400000000)]",
        ],
        &[
            "0 1770000000343 depth 0:1770000000343688..1770000000343688 Some(4294967295) 2/0 [(610000, 0), (609999, 34775324)]",
        ],
        &[
            "1 1770000001000 depth 0:1770000001000000..1770000001000000 Some(0) 0/1 [(22890, 9945184251)]",
        ],
        &["1 0 snapshot 0 Some(7) 0/0 []"],
        &["0 1770000002000 trade 70635251 610001 10000 Sell"],
        &[
            "0 1770000003000 trades [(610002, 100000000), (70635252, 1770000002500), (610001, -25000000), (70635253, 1770000003000)]",
        ],
        &[],
        &[
            "0 1770000004000 depth 0:1770000004000000..1770000004000000 Some(9) 1/0 [(610000, 50000000)]",
            "1 1770000004000 depth 0:1770000004000000..1770000004000000 Some(8) 1/0 [(20000, 100000)]",
        ],
        &[
            "0 1770000005000 trade 1 610002 100000000 Buy",
            "1 1770000006000 trades [(20000, -200000), (2, 1770000005000), (20000, -300000), (3, 1770000006000)]",
        ],
    ];
    for ((answer, events), expected) in told.iter().zip(expected) {
        assert_eq!(events, expected);
        let heartbeat = Ok(Decoded::Ignored(Ignored::Heartbeat));
        assert_eq!(*answer, if expected.is_empty() { heartbeat } else { Ok(Decoded::Events) });
    }
    let ignored = [
        Ignored::PastTrades,
        Ignored::Ticker,
        Ignored::Kline,
        Ignored::Other,
        Ignored::ControlAnswer,
        Ignored::ControlAnswer,
        Ignored::ControlAnswer,
    ];
    let mut quiet: Vec<_> = ignored.into_iter().map(|i| Ok(Decoded::Ignored(i))).collect();
    let notices = [Notice::Restricted, Notice::ControlRefused(0), Notice::ServerShutdown];
    quiet.extend(notices.map(|n| Ok(Decoded::Notice(n))));
    assert_eq!(told[expected.len()..].iter().map(|o| o.0).collect::<Vec<_>>(), quiet);
    // The seven usual shapes need no general reader.
    assert_eq!(bench.fast.fallbacks(), OWN.lines().count() as u64 - 7);
}

#[test]
fn refusals_are_told_apart_and_cost_no_block() {
    let update = OWN.lines().nth(1).expect("a line");
    let trade = OWN.lines().nth(5).expect("a line");
    let mut bench = bench();
    let mut refused = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from));
        bench.both(text.replacen(from, to, 1).as_bytes(), 0).0.expect_err("refused")
    };
    assert_eq!(refused(update, "BTC/USD", "XBT/USD"), DecodeError::UnknownSymbol);
    assert_eq!(refused(update, "update", "delta"), DecodeError::Schema);
    assert_eq!(refused(update, "\"checksum\":4294967295,", ""), DecodeError::Schema);
    assert_eq!(refused(update, "4294967295", "4294967296"), DecodeError::Schema);
    assert_eq!(refused(update, "4294967295", "\"7\""), DecodeError::Schema);
    assert_eq!(refused(update, "0.34775324", "\"0.34775324\""), DecodeError::Schema);
    assert_eq!(refused(update, "\"data\":[{", "\"data\":{"), DecodeError::Json);
    assert_eq!(refused(update, "}]}", "}]"), DecodeError::Json);
    assert_eq!(refused(trade, "\"sell\"", "\"both\""), DecodeError::Schema);
    assert_eq!(refused(trade, "\"trade_id\":70635252,", ""), DecodeError::Schema);
    for (number, error) in [
        ("0.347753241", DecimalError::TooPrecise),
        ("1e-9", DecimalError::TooPrecise),
        ("-0.34775324", DecimalError::BadCharacter),
        ("99999999999999.0", DecimalError::Overflow),
        ("9e99", DecimalError::Overflow),
    ] {
        let wrong = DecodeError::Number(error);
        assert_eq!(refused(update, "0.34775324", number), wrong, "{number}");
    }
    for number in ["00.34775324", ".34775324", "1.", "0x1", "", "1e", "+1"] {
        assert_eq!(refused(update, "0.34775324", number), DecodeError::Json, "{number}");
    }
    let empty = r#"{"channel":"book","type":"update","data":[]}"#;
    assert_eq!(refused(empty, "", ""), DecodeError::Schema);
}

#[test]
fn a_time_that_cannot_be_read_is_none() {
    let (update, trade) = (OWN.lines().nth(1).expect("line"), OWN.lines().nth(4).expect("line"));
    let mut bench = bench();
    for time in ["2026-02-02 02:40:00Z", "2026-02-30T02:40:00Z", "", "now"] {
        for (text, from) in
            [(update, "2026-02-02T02:40:00.343688Z"), (trade, "2026-02-02T02:40:02.000999999Z")]
        {
            let (_, events) = bench.both(text.replace(from, time).as_bytes(), 0);
            assert!(events[0].starts_with("0 0 "), "{time}: {events:?}");
        }
    }
    let odd = update.replace("\"2026-02-02T02:40:00.343688Z\"", "5");
    assert!(bench.both(odd.as_bytes(), 0).1[0].starts_with("0 0 depth"));
}

#[test]
fn zeros_beyond_the_scale_are_no_digits() {
    let update = OWN.lines().nth(1).expect("a line");
    let mut bench = bench();
    for (number, units) in [("0.3477532400", 34_775_324), ("0.0", 0), ("7", 700_000_000)] {
        let text = update.replacen("0.34775324", number, 1);
        let (_, events) = bench.both(text.as_bytes(), b'9');
        assert!(events[0].ends_with(&format!("(609999, {units})]")), "{number}: {events:?}");
    }
}

#[test]
fn a_message_of_more_books_than_a_frame_may_yield_is_refused_whole() {
    let entry = r#"{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":1}"#;
    let of = |count: usize| {
        let list = vec![entry; count].join(",");
        format!(r#"{{"channel":"book","type":"update","data":[{list}]}}"#)
    };
    let mut bench = bench();
    assert_eq!(bench.both(of(16).as_bytes(), 0).1.len(), 16);
    assert_eq!(bench.both(of(17).as_bytes(), 0), (Err(DecodeError::TooManyLevels), Vec::new()));
    // The second of two is bad: the first does not stay.
    let half = of(2).replacen("1}]", "\"1\"}]", 1);
    assert_eq!(bench.both(half.as_bytes(), 0), (Err(DecodeError::Schema), Vec::new()));
}

#[test]
fn blocks_follow_the_count_and_their_lack_is_waited_for() {
    let mut bench = bench();
    for count in [1usize, 11, 64, 65, 900, 2_000] {
        let levels = vec![r#"{"price":61000.1,"qty":0.50000000}"#; count].join(",");
        let text = format!(
            r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{levels}],"asks":[],"checksum":1}}]}}"#
        );
        let (answer, events) = bench.both(text.as_bytes(), b'"');
        assert_eq!(answer, Ok(Decoded::Events), "{count}");
        assert!(events[0].contains(&format!(" {count}/0 ")), "{count}");
    }
    assert_eq!(bench.fast.fallbacks(), 0);
    let held: Vec<_> = std::iter::from_fn(|| bench.sink.pool.take(1)).collect();
    let update = OWN.lines().nth(1).expect("a line").as_bytes();
    let trades = OWN.lines().nth(5).expect("a line").as_bytes();
    for text in [update, trades] {
        assert_eq!(bench.fast(text, 0).0, Err(DecodeError::NoBlock));
        assert_eq!(bench.general(text).0, Err(DecodeError::NoBlock));
    }
    held.into_iter().for_each(|block| bench.sink.pool.give_back(block));
    assert_eq!(bench.both(trades, 0).0, Ok(Decoded::Events));
    assert_eq!(bench.free(), BLOCKS);
}

#[test]
fn what_is_too_long_for_the_general_reader_is_told() {
    let long = format!("{{ \"channel\":\"x\",\"y\":\"{}\"}}", "z".repeat(FALLBACK_LEN_MAX));
    assert_eq!(bench().both(long.as_bytes(), 0).0, Err(DecodeError::TooLarge));
}

#[test]
fn damaged_books_name_their_suspect_and_nothing_else_does() {
    let bench = bench();
    let suspect = |text: &str| bench.fast.suspect(text.as_bytes()).map(|i| i.0);
    let book = r#"{"channel":"book","type":"update","data":[{"symbol":"ADA/ETH","bids":[{"#;
    assert_eq!(suspect(book), Some(1));
    assert_eq!(suspect(r#"{"chan:"book","symbol":"BTC/USD""#), Some(0));
    assert_eq!(suspect(&book.replace("book", "trade")), None);
    assert_eq!(suspect(&book.replace("ADA", "DOT")), None);
    assert_eq!(suspect("CloudFlare WebSocket proxy restarting"), None);
    assert_eq!(suspect(""), None);
}

#[test]
fn real_samples_decode_by_the_scanner() {
    let Some(folder) = shared("venues/kraken/samples") else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a sample");
    let pairs = table(&[("BTC/USD", 1, 8), ("ETH/USDT", 4, 8)]);
    let mut bench = Bench::new(Venue::Kraken, &pairs);
    let mut events = 0;
    for name in [
        "ws_book_d10_btcusd_20260824.jsonl",
        "real_2024/book_snapshot_1.json",
        "doc_examples/book.jsonl",
        "doc_examples/trade.jsonl",
        "real_2024/trade_snapshot_1.json",
        "real_2024/admin_messages_1.json",
    ] {
        for line in read(name).lines().filter(|l| !l.trim().is_empty()) {
            let before = bench.fast.fallbacks();
            let (answer, told) = bench.both(line.trim().as_bytes(), 0);
            assert!(answer.is_ok(), "{name}: {answer:?}");
            events += told.len();
            if !told.is_empty() {
                assert_eq!(bench.fast.fallbacks(), before, "{name} by the scanner");
            }
        }
    }
    assert_eq!(events, 7);
    let quiet = Ok(Decoded::Ignored(Ignored::ControlAnswer));
    let mut answer = |name: &str| bench.both(read(name).trim().as_bytes(), 0).0;
    for name in ["ack_book_subscription_response", "ack_pong", "ack_ticker_subscription_response"] {
        assert_eq!(answer(&format!("real_2024/{name}.json")), quiet);
    }
    let refused = Ok(Decoded::Notice(Notice::ControlRefused(0)));
    assert_eq!(answer("real_2024/error_messages_1.json"), refused);
    for (name, what) in [
        ("ticker_snapshot_1", Ignored::Ticker),
        ("instruments_snapshot_1", Ignored::Other),
        ("l3_snapshot_1", Ignored::Other),
        ("trade_snapshot_1", Ignored::PastTrades),
    ] {
        assert_eq!(answer(&format!("real_2024/{name}.json")), Ok(Decoded::Ignored(what)));
    }
}

#[test]
fn the_real_list_of_instruments_is_read() {
    let Some(folder) = shared("venues/kraken/samples/real_2024") else { return };
    let text = std::fs::read(folder.join("instruments_snapshot_1.json")).expect("a sample");
    let catalogue = Venue::Kraken.catalogue(&[text], &["ETH/BTC", "EUR/USD"]).expect("a list");
    let [eth, eur] = catalogue.table.all() else { panic!("two pairs") };
    assert_eq!((eth.price_decimals, eth.qty_decimals, eth.tick, eth.lot), (5, 8, 1, 1));
    assert_eq!((eth.qty_min.0, eth.notional_min), (200_000, 200_000_000));
    assert_eq!((eur.qty_min.0, eur.notional_min), (50_000_000, 5_000_000_000_000));
    assert!(eth.tradable && eur.tradable);
}

/// Decodes a recording in both ways and rebuilds its books; every checksum must be that of the
/// decoded integers, digit by digit.
fn rebuilt(name: &str, names: &[(&str, u8, u8)], depth: usize) -> Option<Vec<(NaiveBook, u64)>> {
    let folder = shared("recordings")?.join(name);
    let file = ["book.jsonl", "book.feed.gz"].map(|f| folder.join(f));
    let mut bench = Bench::new(Venue::Kraken, &table(names));
    let mut books: Vec<(NaiveBook, u64)> = Vec::new();
    books.resize_with(names.len(), Default::default);
    for line in lines(file.iter().find(|f| f.exists()).expect("a recording")) {
        let (answer, _) = bench.both(line.as_bytes(), 0);
        assert_eq!(answer, Ok(Decoded::Events), "{line}");
        for event in bench.events(line.as_bytes()) {
            let (book, updates) = &mut books[event.instrument.index()];
            book.apply(&event.body, depth);
            *updates += u64::from(matches!(event.body, MarketBody::Depth { .. }));
            let (MarketBody::Depth { check, .. } | MarketBody::Snapshot { check, .. }) = event.body
            else {
                panic!("a book message: {line}");
            };
            assert_eq!(check, Some(book.top_ten_crc()), "{line}");
            bench.give_back(event.body);
        }
    }
    assert_eq!(bench.fast.fallbacks(), 0, "the scanner knows every line");
    Some(books)
}

#[test]
fn the_recording_of_depth_10_decodes_to_its_checksums() {
    let name = "kraken_v2_btcusd_d10_20230730";
    let Some(books) = rebuilt(name, &[("BTC/USD", 1, 8)], 10) else { return };
    let facts = expected(&shared("recordings").expect("there").join(name));
    let (book, updates) = &books[0];
    assert_eq!(Some(updates + 1), facts["book_messages"].as_u64());
    for (best, fact) in book.best().into_iter().zip([&facts["best_bid"], &facts["best_ask"]]) {
        assert_eq!(best, Some((units(&fact[0], 1), units(&fact[1], 8))));
    }
}

#[test]
fn the_recording_of_five_pairs_decodes_to_its_checksums() {
    let name = "kraken_v2shape_d1000_20210417";
    // GRT/ETH and ADA/BTC have nine decimals of price: beyond what a table of trade takes.
    let names = [
        ("BTC/CHF", 5, 8),
        ("XMR/USD", 8, 8),
        ("SC/EUR", 6, 8),
        ("ADA/BTC", 9, 8),
        ("GRT/ETH", 9, 8),
    ];
    let Some(books) = rebuilt(name, &names, 1_000) else { return };
    let facts = expected(&shared("recordings").expect("there").join(name));
    for (fact, ((book, updates), (symbol, p, q))) in
        facts.as_array().expect("a list").iter().zip(books.iter().zip(names))
    {
        assert_eq!(fact["symbol"], symbol);
        assert_eq!(fact["updates_with_checksum"].as_u64(), Some(*updates));
        for (best, fact) in book.best().into_iter().zip([&fact["best_bid"], &fact["best_ask"]]) {
            assert_eq!(best, Some((units(&fact[0], p), units(&fact[1], q))), "{symbol}");
        }
        let counts =
            [&fact["bid_levels"], &fact["ask_levels"]].map(|n| n.as_u64().map(|n| n as usize));
        assert_eq!(book.sides.each_ref().map(|side| Some(side.len())), counts, "{symbol}");
    }
}

/// A number's text in usual and unusual digits.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[1-9][0-9]{0,5}\\.[0-9]{1,8}",
        2 => "0\\.[0-9]{1,9}",
        1 => "[0-9]{1,12}",
        1 => "[0-9]{0,3}\\.?[0-9]{0,10}(e-?[0-9])?",
    ]
}

fn levels() -> impl Strategy<Value = String> {
    let pair = (number(), number()).prop_map(|(p, q)| format!(r#"{{"price":{p},"qty":{q}}}"#));
    proptest::collection::vec(pair, 0..70).prop_map(|l| l.join(","))
}

fn message() -> impl Strategy<Value = String> {
    let names = prop_oneof![4 => Just("BTC/USD"), 4 => Just("ADA/ETH"), 1 => Just("XRP/USD")];
    let trade = (names.clone(), number(), number(), any::<bool>(), 0u64..1 << 62).prop_map(
        |(name, p, q, buys, id)| {
            let side = if buys { "buy" } else { "sell" };
            format!(
                r#"{{"symbol":"{name}","side":"{side}","price":{p},"qty":{q},"ord_type":"limit","trade_id":{id},"timestamp":"2026-02-02T02:40:00.{id}Z"}}"#
            )
        },
    );
    let trades = proptest::collection::vec(trade, 1..9).prop_map(|list| {
        format!(r#"{{"channel":"trade","type":"update","data":[{}]}}"#, list.join(","))
    });
    let book = (names, levels(), levels(), 0u64..1 << 33, any::<bool>()).prop_map(
        |(name, bids, asks, check, is_update)| {
            let kind = if is_update { "update" } else { "snapshot" };
            let time = if check % 3 == 0 { "" } else { r#","timestamp":"2026-02-02T02:40:00.1Z""# };
            format!(
                r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{name}","bids":[{bids}],"asks":[{asks}],"checksum":{check}{time}}}]}}"#
            )
        },
    );
    prop_oneof![book, trades]
}

proptest! {
    /// Generated messages: the scanner and the general reader agree.
    #[test]
    fn scanner_and_oracle_agree_on_messages(text in message(), filler in any::<u8>()) {
        let _ = bench().both(text.as_bytes(), filler);
    }

    /// Damaged messages: both give the same events or both refuse.
    #[test]
    fn scanner_and_oracle_agree_on_damage(
        line in any::<prop::sample::Index>(), filler in any::<u8>(),
        edits in proptest::collection::vec(any::<Edit>(), 1..4),
    ) {
        let lines: Vec<&str> = OWN.lines().collect();
        let bytes = edited(lines[line.index(lines.len())].as_bytes(), &edits);
        let _ = bench().both(&bytes, filler);
    }
}
