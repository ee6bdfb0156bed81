//! Bybit v5: every kind of message in words, refusals, damage, and real messages where they are.

mod common;

use bot4_types::text::DecimalError;
use bot4_types::{InstrumentTable, MarketBody, Side};
use bot4_venues::{CatalogueRequest, DecodeError, Decoded, Ignored, Notice, Venue};
use common::{BLOCKS, Bench, Edit, NaiveBook, edited, expected, lines, shared, table, units};
use proptest::prelude::*;

const OWN: &str = include_str!("golden/bybit.jsonl");

fn pairs() -> InstrumentTable {
    table(&[("BTCUSDT", 2, 6), ("1000XUSDT", 8, 2)])
}

fn bench() -> Bench {
    Bench::new(Venue::Bybit, &pairs())
}

#[test]
fn own_samples_give_what_they_say() {
    let mut bench = bench();
    let told: Vec<_> = OWN.lines().map(|line| bench.both(line.as_bytes(), 0)).collect();
    let expected = [
        "0 1770000000100 snapshot 1 None 2/1 [(6100010, 500000), (6100000, 12345678), (6100020, 4000000)]",
        "0 1770000000205 depth 0:2..2 None 1/1 [(6100000, 0), (6100025, 1)]",
        "1 1770000000295 depth 0:62505425..62505425 None 0/2 [(12345, 123000000), (20000, 0)]",
        "1 1770000000400 snapshot 18446744073 None 0/0 []",
        "0 1770000000500 trade 2290000001189048101 6100010 2705 Sell",
        "0 1770000000601 trades [(6100000, 500000), (2100000000019296063, 1770000000600), (6099990, -1000000), (2100000000019296064, 1770000000601)]",
        "1 1770000000700 trade 12819100687790864542 12000 700 Buy",
        "0 1770000000790 depth 0:3..3 None 1/0 [(6100010, 500000)]",
    ];
    for ((answer, events), expected) in told.iter().zip(expected) {
        assert_eq!((*answer, events.as_slice()), (Ok(Decoded::Events), &[expected.to_owned()][..]));
    }
    let mut quiet = vec![Ignored::PartialDepth, Ignored::Ticker, Ignored::Kline, Ignored::Other];
    quiet.extend([Ignored::ControlAnswer; 5]);
    let mut quiet: Vec<_> = quiet.into_iter().map(|i| Ok(Decoded::Ignored(i))).collect();
    let refused = [0, 0, 10_004].map(Notice::ControlRefused);
    quiet.extend(refused.map(|n| Ok(Decoded::Notice(n))));
    quiet.push(Ok(Decoded::Notice(Notice::ServerShutdown)));
    assert_eq!(told[expected.len()..].iter().map(|o| o.0).collect::<Vec<_>>(), quiet);
    // The seven usual shapes need no general reader.
    assert_eq!(bench.fast.fallbacks(), OWN.lines().count() as u64 - 7);
}

#[test]
fn refusals_are_told_apart_and_cost_no_block() {
    let delta = OWN.lines().nth(1).expect("a line");
    let trades = OWN.lines().nth(5).expect("a line");
    let mut bench = bench();
    let mut refused = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from));
        bench.both(text.replace(from, to).as_bytes(), 0).0.expect_err("refused")
    };
    assert_eq!(refused(delta, "BTCUSDT", "XRPUSDT"), DecodeError::UnknownSymbol);
    assert_eq!(refused(delta, "\"s\":\"BTC", "\"s\":\"1000X"), DecodeError::Schema);
    assert_eq!(refused(delta, "\"delta\"", "\"update\""), DecodeError::Schema);
    assert_eq!(refused(delta, "\"u\":2,", ""), DecodeError::Schema);
    assert_eq!(refused(delta, "\"u\":2,", "\"u\":-2,"), DecodeError::Schema);
    assert_eq!(refused(delta, "\"ts\":1770000000220,", ""), DecodeError::Schema);
    assert_eq!(refused(delta, "\"0.000001\"", "0.000001"), DecodeError::Schema);
    assert_eq!(refused(delta, "\"0.000001\"", "\"1\",\"2\""), DecodeError::Schema);
    assert_eq!(refused(delta, "}", ""), DecodeError::Json);
    assert_eq!(refused(trades, "\"snapshot\"", "\"delta\""), DecodeError::Schema);
    assert_eq!(refused(trades, "\"s\":\"BTC", "\"s\":\"ETH"), DecodeError::Schema);
    assert_eq!(refused(trades, "\"Buy\"", "\"Both\""), DecodeError::Schema);
    assert_eq!(refused(trades, "2100000000019296064", "x"), DecodeError::Schema);
    for (number, error) in [
        ("0.0000011", DecimalError::TooPrecise),
        ("-0.000001", DecimalError::BadCharacter),
        ("1e-6", DecimalError::BadCharacter),
        ("", DecimalError::Empty),
        ("99999999999999.0", DecimalError::Overflow),
    ] {
        assert_eq!(refused(delta, "0.000001", number), DecodeError::Number(error), "{number}");
    }
    let empty = r#"{"topic":"publicTrade.BTCUSDT","ts":1,"type":"snapshot","data":[]}"#;
    assert_eq!(refused(empty, "", ""), DecodeError::Schema);
    assert_eq!(refused("{\"x\":1}", "", ""), DecodeError::Schema);
}

#[test]
fn blocks_follow_the_count_and_their_lack_is_waited_for() {
    let mut bench = bench();
    for count in [1usize, 63, 64, 65, 400, 2_000, 2_048] {
        let levels = vec![r#"["61000.1","0.5"]"#; count].join(",");
        let text = format!(
            r#"{{"topic":"orderbook.1000.BTCUSDT","ts":1,"type":"delta","data":{{"s":"BTCUSDT","b":[],"a":[{levels}],"u":2,"seq":3}}}}"#
        );
        let (answer, events) = bench.both(text.as_bytes(), b'"');
        assert_eq!(answer, Ok(Decoded::Events), "{count}");
        assert!(events[0].contains(&format!(" 0/{count} ")), "{count}");
    }
    // As many trades as the venue sends in one message.
    let one = r#"{"i":"1","T":5,"p":"61000.1","v":"1","S":"Buy","seq":1,"s":"BTCUSDT","BT":false,"RPI":false}"#;
    let list = vec![one; 1_024].join(",");
    let text =
        format!(r#"{{"topic":"publicTrade.BTCUSDT","ts":1,"type":"snapshot","data":[{list}]}}"#);
    let (_, events) = bench.both(text.as_bytes(), 0);
    assert_eq!(events[0].matches("(1, 5)").count(), 1_024);
    assert_eq!(bench.fast.fallbacks(), 0);
    let held: Vec<_> = std::iter::from_fn(|| bench.sink.pool.take(1)).collect();
    for line in [1, 5] {
        let text = OWN.lines().nth(line).expect("a line").as_bytes();
        assert_eq!(bench.fast(text, 0).0, Err(DecodeError::NoBlock));
        assert_eq!(bench.general(text).0, Err(DecodeError::NoBlock));
    }
    held.into_iter().for_each(|block| bench.sink.pool.give_back(block));
    assert_eq!(bench.free(), BLOCKS);
}

#[test]
fn damaged_books_name_their_suspect_and_nothing_else_does() {
    let bench = bench();
    let suspect = |text: &str| bench.fast.suspect(text.as_bytes()).map(|i| i.0);
    assert_eq!(suspect(r#"{"topic":"orderbook.200.1000XUSDT","ts":17"#), Some(1));
    assert_eq!(suspect(r#"{"type":"delta","topic":"orderbook.50.BTCUSDT","#), Some(0));
    assert_eq!(suspect(r#"{"topic":"orderbook.1.BTCUSDT","ts":17"#), None);
    assert_eq!(suspect(r#"{"topic":"orderbook.50.XRPUSDT","ts":17"#), None);
    assert_eq!(suspect(r#"{"topic":"publicTrade.BTCUSDT","ts":17"#), None);
    assert_eq!(suspect("orderbook."), None);
}

#[test]
fn real_samples_decode_by_the_scanner() {
    let Some(folder) = shared("venues/bybit/samples") else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a sample");
    let pairs = table(&[("BTCUSDT", 2, 6), ("ETHUSDT", 2, 5)]);
    let mut bench = Bench::new(Venue::Bybit, &pairs);
    for (name, scanned) in [
        ("ws_orderbook.200_snapshot.json", true),
        ("ws_orderbook.200_delta.json", true),
        ("ws_publicTrade_snapshot.json", true),
        ("ws_ack_subscribe.json", false),
        ("ws_kline.1_snapshot.json", false),
        ("ws_tickers_snapshot.json", false),
        ("real_wire/public_trade.json", true),
        ("real_wire/order_book_simple_50_snapshot.json", true),
        ("real_wire/order_book_simple_1.json", false),
        ("real_wire/tickers_linear.json", false),
        ("real_wire/tickers_spot.json", false),
        ("real_wire/subscribe_inverse.json", false),
        ("real_wire/subscribe_linear.json", false),
        ("real_wire/subscribe_spot.json", false),
        ("real_wire/ping.json", false),
        ("doc_examples/public_trade_spot.jsonl", false),
        ("doc_examples/ticker_spot.jsonl", false),
    ] {
        let before = bench.fast.fallbacks();
        let mut events = 0;
        for line in read(name).lines().filter(|l| !l.trim().is_empty()) {
            let (answer, told) = bench.both(line.trim().as_bytes(), 0);
            assert!(answer.is_ok(), "{name}: {answer:?}");
            events += told.len();
        }
        if scanned {
            assert_eq!((events, bench.fast.fallbacks()), (1, before), "{name} by the scanner");
        }
    }
}

#[test]
fn real_lists_of_instruments_are_read() {
    let Some(folder) = shared("venues/bybit/samples") else { return };
    let read = |name: &str| vec![std::fs::read(folder.join(name)).expect("a sample")];
    for name in ["rest_instruments_spot_20260809.json", "real_wire/instruments_info_ack_spot.json"]
    {
        let table = Venue::Bybit.catalogue(&read(name), &["ETHUSDT", "BTCUSDT"]).expect(name).table;
        let [eth, btc] = table.all() else { panic!("two") };
        assert!(eth.tradable && btc.tradable && eth.notional_min > 0 && btc.qty_max.0 > 0);
        assert_eq!((eth.price_decimals, eth.qty_decimals, eth.tick, eth.lot), (4, 7, 100, 100));
    }
    let linear = read("real_wire/instruments_info_ack_linear.json");
    let table = Venue::BybitLinear.catalogue(&linear, &["1000BONKUSDT"]).expect("linear").table;
    let bonk = &table.all()[0];
    assert_eq!((bonk.price_decimals, bonk.tick, bonk.lot), (8, 100, 10_000));
    let request = Venue::BybitLinear.catalogue_request(&["1000BONKUSDT"]);
    let Ok(CatalogueRequest::Rest(paths)) = request else { panic!("by REST") };
    assert!(paths[0].contains("category=linear") && paths.len() == 1);
}

/// What a recording tells of one symbol.
#[derive(Default)]
struct Told {
    book: NaiveBook,
    last: u64,
    snapshots: u64,
    deltas: u64,
    messages: u64,
    trades: u64,
    buys: u64,
    qty: i64,
}

impl Told {
    fn take(&mut self, body: &MarketBody) {
        match body {
            MarketBody::Snapshot { last, .. } => {
                self.snapshots += 1;
                self.last = *last;
            }
            MarketBody::Depth { last, .. } => {
                assert_eq!(*last, self.last + 1, "one more than the one before");
                self.deltas += 1;
                self.last = *last;
            }
            MarketBody::Trade { qty, aggressor, .. } => {
                self.messages += 1;
                self.trade(if *aggressor == Side::Sell { -qty } else { *qty });
            }
            MarketBody::Trades { count, block } => {
                self.messages += 1;
                let pairs = block.levels()[..2 * *count as usize].chunks(2);
                pairs.for_each(|pair| self.trade(pair[0].qty));
            }
            other => panic!("{other:?}"),
        }
        self.book.apply(body, 0);
    }

    fn trade(&mut self, qty: i64) {
        self.trades += 1;
        self.buys += u64::from(qty > 0);
        self.qty += qty.abs();
    }
}

#[test]
fn the_recording_decodes_to_its_facts() {
    let Some(folder) = shared("recordings/bybit_v5_spot_20260809") else { return };
    let names = [("BTCUSDT", 1, 6), ("ETHUSDT", 2, 5)];
    let mut bench = Bench::new(Venue::Bybit, &table(&names));
    let mut told: [Told; 2] = Default::default();
    let mut quiet = 0;
    for line in lines(&folder.join("ws.feed.gz")) {
        match bench.both(line.as_bytes(), 0).0 {
            Ok(Decoded::Events) => {}
            Ok(Decoded::Ignored(Ignored::Ticker | Ignored::Kline | Ignored::ControlAnswer)) => {
                quiet += 1;
                continue;
            }
            other => panic!("{other:?}: {line}"),
        }
        for event in bench.events(line.as_bytes()) {
            told[event.instrument.index()].take(&event.body);
            bench.give_back(event.body);
        }
    }
    assert_eq!(bench.fast.fallbacks(), quiet, "the scanner knows every book and trade");
    let facts = expected(&folder);
    for (told, (name, p, q)) in told.iter().zip(names) {
        let book = &facts["books"][format!("orderbook.200.{name}")];
        let count = |fact: &serde_json::Value| fact.as_u64().expect("a count");
        assert_eq!(
            (told.snapshots, told.deltas),
            (count(&book["snapshots"]), count(&book["deltas"]))
        );
        assert_eq!(told.last, count(&book["final_u"]));
        assert_eq!(told.book.sides.each_ref().map(|s| s.len()), [200, 200]);
        for (best, fact) in told.book.best().into_iter().zip([&book["best_bid"], &book["best_ask"]])
        {
            assert_eq!(best, Some((units(&fact[0], p), units(&fact[1], q))), "{name}");
        }
        let trades = &facts["trades"][format!("publicTrade.{name}")];
        assert_eq!(
            (told.messages, told.trades),
            (count(&trades["messages"]), count(&trades["trades"]))
        );
        assert_eq!((told.buys, told.qty), (count(&trades["buy"]), units(&trades["qty"], q)));
    }
}

/// A number's text in usual and unusual digits.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[1-9][0-9]{0,5}\\.[0-9]{1,2}",
        2 => "0\\.[0-9]{1,9}",
        2 => "[0-9]{1,12}",
        1 => "[0-9]{0,3}\\.?[0-9]{0,10}",
    ]
}

fn levels() -> impl Strategy<Value = String> {
    let pair = (number(), number()).prop_map(|(p, q)| format!(r#"["{p}","{q}"]"#));
    proptest::collection::vec(pair, 0..80).prop_map(|l| l.join(","))
}

fn message() -> impl Strategy<Value = String> {
    let name = prop_oneof![4 => Just("BTCUSDT"), 4 => Just("1000XUSDT"), 1 => Just("XRPUSDT")];
    let id = prop_oneof![Just("20f43950-d8dd-5b31-9112-a178eb6023af".to_owned()), "[0-9]{1,21}"];
    let trade = (number(), number(), id, any::<bool>(), 0u64..1 << 50);
    let trades = proptest::collection::vec(trade, 1..9);
    let ids = (0u64..1 << 50, any::<bool>(), any::<bool>(), any::<bool>());
    (name, ids, levels(), levels(), trades, any::<bool>()).prop_map(
        |(s, (n, first, second, is_delta), bids, asks, trades, is_book)| {
            let kind = if is_delta && is_book { "delta" } else { "snapshot" };
            let head = if first {
                format!(r#""ts":{n},"type":"{kind}""#)
            } else {
                format!(r#""type":"{kind}","ts":{n}"#)
            };
            if is_book {
                let cts = if second { format!(r#","cts":{}"#, n / 7) } else { String::new() };
                return format!(
                    r#"{{"topic":"orderbook.200.{s}",{head},"data":{{"s":"{s}","b":[{bids}],"a":[{asks}],"u":{n},"seq":1}}{cts}}}"#
                );
            }
            let trade = |(p, v, i, buys, t): (String, String, String, bool, u64)| {
                let side = if buys { "Buy" } else { "Sell" };
                if second {
                    format!(r#"{{"i":"{i}","T":{t},"p":"{p}","v":"{v}","S":"{side}","s":"{s}","BT":{buys}}}"#)
                } else {
                    format!(r#"{{"T":{t},"s":"{s}","S":"{side}","v":"{v}","p":"{p}","L":"PlusTick","i":"{i}","BT":false,"seq":{t}}}"#)
                }
            };
            let list: Vec<String> = trades.into_iter().map(trade).collect();
            format!(r#"{{"topic":"publicTrade.{s}",{head},"data":[{}]}}"#, list.join(","))
        },
    )
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
