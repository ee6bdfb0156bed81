//! Real markets of the other venues: the recorded streams through the real agent with each venue's
//! rules, everything against the folders' expected results. The JSON is decoded here,
//! independently of the venues' own decoders.

mod common;

use bot4_book::{BookConfig, BookSummary, DiffHead};
use bot4_lanes::Agent;
use bot4_types::{
    BookRules, ChecksumRule, ConnId, Instrument, InstrumentId, InstrumentTable, Level, MarketBody,
    Nanos, SequenceRule, Shards, SnapshotSource, SnapshotSums, Symbol,
};
use common::recorded::{Stamped, expected, levels, lines, recording};
use common::{Bench, ROOMY};
use serde_json::Value;

const STREAMED: BookRules = BookRules {
    sequence: SequenceRule::Unnumbered,
    snapshots: SnapshotSource::Streamed,
    checksum: ChecksumRule::None,
    snapshot_sums: SnapshotSums::Each,
    depth_max: 0,
    snapshot_levels: 0,
};

/// What a venue's message says of a book.
enum Said {
    Nothing,
    Snapshot { last: u64, check: Option<u32>, bids: Vec<Level>, asks: Vec<Level> },
    Diff { head: DiffHead, bids: Vec<Level>, asks: Vec<Level> },
    LineGap,
}

/// One instrument of a market: its symbol and the decimals of its text.
#[derive(Clone)]
struct Of {
    symbol: String,
    decimals: (u8, u8),
}

/// Reads a message: which instrument it names and what it says.
type Reader = fn(&Value, &[Of]) -> Vec<(usize, Said)>;

fn bench(of: &[Of], rules: BookRules, shards: &Shards) -> Bench {
    let mut table = InstrumentTable::new();
    for Of { symbol, decimals } in of {
        let name = Symbol::new(symbol).expect("a symbol");
        let bare = Instrument::bare(InstrumentId(0), name, 0);
        let instrument =
            Instrument { price_decimals: decimals.0, qty_decimals: decimals.1, ..bare };
        table.push_for_books(instrument).expect("room");
    }
    let config = BookConfig { rules, ..BookConfig::default() };
    let mut bench = Bench::of(0, shards, &table, config, &ROOMY);
    bench.agent.start(Nanos::ZERO).expect("starts");
    for conn in 0..shards.conns() {
        bench.conn = ConnId(conn as u16);
        bench.send(0, MarketBody::LineUp);
    }
    bench.settle();
    bench
}

fn say(bench: &mut Bench, k: usize, said: Said) {
    let k = k as u16;
    match said {
        Said::Nothing => {}
        Said::Snapshot { last, check, bids, asks } => {
            bench.stated_snapshot(k, last, check, &bids, &asks);
        }
        Said::Diff { head, bids, asks } => bench.diff(k, head, &bids, &asks),
        Said::LineGap => bench.send(k, MarketBody::LineGap),
    }
    bench.settle();
    bench.drain();
}

/// Plays a recording by one line.
fn play(messages: &[Stamped], of: &[Of], rules: BookRules, read: Reader) -> Bench {
    let mut bench = bench(of, rules, &Shards::round_robin(of.len(), 1, 1));
    for (ns, message) in messages {
        bench.now = bench.now.max(Nanos(ns - messages[0].0));
        for (k, said) in read(message, of) {
            say(&mut bench, k, said);
        }
    }
    assert_eq!(bench.blocks_home(), bench.blocks_total, "every block came back");
    bench
}

fn summary(bench: &Bench, k: usize) -> BookSummary {
    bench.agent.summary(InstrumentId(k as u16)).expect("its book")
}

/// The touch and the numbers of levels, by value: the venue's text may have fewer zeros.
fn agrees(got: &BookSummary, want: &Value, what: &str) {
    let number = |v: &Value| v.as_str().expect("text").parse::<f64>().expect("a number");
    for (ours, theirs) in [(&got.best_bid, "best_bid"), (&got.best_ask, "best_ask")] {
        let ours = ours.as_ref().expect("a side").each_ref().map(|t| t.parse::<f64>().expect("it"));
        assert_eq!(ours, [0, 1].map(|i| number(&want[theirs][i])), "{theirs}, {what}");
    }
    let count = |one: &str, i: usize| want.get(one).or_else(|| want["levels"].get(i)).cloned();
    assert_eq!(Some(Value::from(got.bid_levels)), count("bid_levels", 0), "{what}");
    assert_eq!(Some(Value::from(got.ask_levels)), count("ask_levels", 1), "{what}");
    assert_eq!((got.state, got.crossed, got.resyncs), ("live", 0, 0), "{what}");
}

fn usdm(message: &Value, of: &[Of]) -> Vec<(usize, Said)> {
    let data = message.get("data").unwrap_or(message);
    let id = |name: &str| data[name].as_u64().expect("an id");
    let side = |name: &str| levels(&data[name], [0, 1], of[0].decimals);
    let said = match data["e"].as_str() {
        Some("depthUpdate") => {
            let (first, last, prev) = (id("U"), id("u"), id("pu"));
            let head = DiffHead { first, last, prev, ..DiffHead::default() };
            Said::Diff { head, bids: side("b"), asks: side("a") }
        }
        None if data.get("lastUpdateId").is_some() => {
            let (bids, asks) = (side("bids"), side("asks"));
            Said::Snapshot { last: id("lastUpdateId"), check: None, bids, asks }
        }
        _ => Said::Nothing,
    };
    vec![(0, said)]
}

#[test]
fn futures_chain() {
    let Some(dir) = recording("binance_usdm_btcusdt_20240808") else { return };
    let want = expected(&dir);
    let messages = lines(&dir.join("btcusdt_20240808.gz"));
    assert_eq!(messages.len() as u64, want["lines"]);
    let rules = BookRules { sequence: SequenceRule::FirstThenPrev, ..BookRules::default() };
    let of = [Of { symbol: "BTCUSDT".to_owned(), decimals: (2, 3) }];
    let bench = play(&messages, &of, rules, usdm);
    let got = summary(&bench, 0);
    agrees(&got, &want, "usdm");
    assert_eq!(got.snapshot_id, want["snapshot"].as_u64());
    assert_eq!((got.stale_dropped, got.applied), (4, 6_547));
    assert_eq!(
        [got.stale_dropped, got.applied],
        [&want["dropped"], &want["applied"]].map(|v| { v.as_u64().expect("a number") })
    );
    assert_eq!(got.final_update_id, want["final_u"].as_u64());
    assert_eq!((got.gaps, Some(got.gaps)), (0, want["pu_breaks"].as_u64()));
    let first = &want["first_applied_U_u_pu"];
    let snapshot = want["snapshot"].as_u64().expect("an id");
    assert!(first[0].as_u64() <= Some(snapshot) && Some(snapshot) <= first[1].as_u64());
}

fn kraken(message: &Value, of: &[Of]) -> Vec<(usize, Said)> {
    if message["channel"] != "book" {
        return Vec::new();
    }
    let mut all = Vec::new();
    for data in message["data"].as_array().expect("books") {
        let k = of.iter().position(|o| data["symbol"] == o.symbol.as_str()).expect("known");
        let check = Some(data["checksum"].as_u64().expect("a sum") as u32);
        let side = |name: &str| levels(&data[name], ["price", "qty"], of[k].decimals);
        let (bids, asks) = (side("bids"), side("asks"));
        let said = if message["type"] == "snapshot" {
            Said::Snapshot { last: 0, check, bids, asks }
        } else {
            Said::Diff { head: DiffHead { check, ..DiffHead::default() }, bids, asks }
        };
        all.push((k, said));
    }
    all
}

fn kraken_rules(depth_max: usize) -> BookRules {
    let (checksum, snapshot_sums) = (ChecksumRule::TopTen, SnapshotSums::Whole);
    BookRules { checksum, snapshot_sums, depth_max, ..STREAMED }
}

#[test]
fn every_checksum_of_a_cut_book() {
    let Some(dir) = recording("kraken_v2_btcusd_d10_20230730") else { return };
    let want = expected(&dir);
    let messages = lines(&dir.join("book.jsonl"));
    let of = [Of { symbol: "BTC/USD".to_owned(), decimals: (1, 8) }];
    let got = summary(&play(&messages, &of, kraken_rules(10), kraken), 0);
    agrees(&got, &want, "kraken");
    assert_eq!((got.checksums_ok, got.checksums_bad), (Some(510), Some(0)));
    assert_eq!(got.checksums_ok, want["checksum_ok"].as_u64());
    assert_eq!((got.snapshot_id, got.final_update_id, got.applied), (None, None, 509));
    // Without the cut old levels come back.
    let uncut = summary(&play(&messages, &of, kraken_rules(0), kraken), 0);
    assert!(uncut.bid_levels > 10 || uncut.checksums_bad > Some(0), "{uncut:?}");
}

#[test]
fn every_checksum_of_five_deep_books() {
    let Some(dir) = recording("kraken_v2shape_d1000_20210417") else { return };
    let want = expected(&dir);
    let want = want.as_array().expect("books");
    let decimals = |w: &Value| {
        w["best_bid"][0].as_str().and_then(|t| t.split_once('.')).map_or(0, |(_, d)| d.len())
    };
    let one = |w: &Value| {
        let symbol = w["symbol"].as_str().expect("a symbol").to_owned();
        Of { symbol, decimals: (decimals(w) as u8, 8) }
    };
    let of: Vec<Of> = want.iter().map(one).collect();
    let messages = lines(&dir.join("book.feed.gz"));
    let bench = play(&messages, &of, kraken_rules(1_000), kraken);
    for (k, o) in of.iter().enumerate() {
        let want = want.iter().find(|w| w["symbol"] == o.symbol.as_str()).expect("it");
        let got = summary(&bench, k);
        agrees(&got, want, &o.symbol);
        let updates = want["updates_with_checksum"].as_u64().expect("a number");
        assert_eq!((got.checksums_ok, got.checksums_bad), (Some(updates), Some(0)));
        assert_eq!(got.applied, updates, "{}", o.symbol);
    }
}

fn okx(message: &Value, of: &[Of]) -> Vec<(usize, Said)> {
    let (Some(action), Some(data)) = (message["action"].as_str(), message.get("data")) else {
        return Vec::new();
    };
    let found = of.iter().position(|o| message["arg"]["instId"] == o.symbol.as_str());
    let (Some(k), data) = (found, &data[0]) else { return Vec::new() };
    let check = Some(data["checksum"].as_i64().expect("a sum") as i32 as u32);
    let side = |name: &str| levels(&data[name], [0, 1], of[k].decimals);
    let (bids, asks) = (side("bids"), side("asks"));
    // Recorded before the venue numbered its updates.
    let said = if action == "snapshot" {
        Said::Snapshot { last: 0, check, bids, asks }
    } else {
        Said::Diff { head: DiffHead { check, ..DiffHead::default() }, bids, asks }
    };
    vec![(k, said)]
}

/// Most decimals of prices and quantities in the levels of `symbol`.
fn decimals_of(messages: &[Stamped], symbol: &str) -> (u8, u8) {
    let mut most = (0, 0);
    let decimals =
        |v: &Value| v.as_str().and_then(|t| t.split_once('.')).map_or(0, |(_, d)| d.len());
    for (_, m) in messages.iter().filter(|(_, m)| m["arg"]["instId"] == symbol) {
        for side in ["bids", "asks"] {
            for level in m["data"][0][side].as_array().into_iter().flatten() {
                most = (most.0.max(decimals(&level[0])), most.1.max(decimals(&level[1])));
            }
        }
    }
    (most.0 as u8, most.1 as u8)
}

fn okx_books(name: &str) {
    let Some(dir) = recording(name) else { return };
    let want = expected(&dir);
    let messages = lines(&dir.join("ws.feed.gz"));
    let rules = BookRules {
        sequence: SequenceRule::Prev,
        checksum: ChecksumRule::Interleaved25,
        ..STREAMED
    };
    let names = want["books"].as_object().expect("books").keys();
    let one = |n: &String| Of { symbol: n.clone(), decimals: decimals_of(&messages, n) };
    let of: Vec<Of> = names.map(one).collect();
    let bench = play(&messages, &of, rules, okx);
    for (k, o) in of.iter().enumerate() {
        let (want, got) = (&want["books"][&o.symbol], summary(&bench, k));
        agrees(&got, want, &o.symbol);
        assert_eq!(got.checksums_ok, want["checksum_ok"].as_u64(), "{}", o.symbol);
        assert_eq!(got.checksums_bad, want["checksum_bad"].as_u64(), "{}", o.symbol);
        assert_eq!(Some(got.applied), want["updates"].as_u64(), "{}", o.symbol);
    }
}

#[test]
fn every_checksum_of_an_interleaved_book() {
    okx_books("okx_v5_btcusdt_20220513");
}

#[test]
fn every_checksum_of_thin_and_one_sided_books() {
    okx_books("okx_v5_mixed_20210722");
}

fn bybit(message: &Value, of: &[Of]) -> Vec<(usize, Said)> {
    let data = &message["data"];
    let topic = message["topic"].as_str().unwrap_or("");
    let found = of.iter().position(|o| data["s"] == o.symbol.as_str());
    let (Some(k), true) = (found, topic.starts_with("orderbook.")) else { return Vec::new() };
    let last = data["u"].as_u64().expect("an id");
    let side = |name: &str| levels(&data[name], [0, 1], of[k].decimals);
    let (bids, asks) = (side("b"), side("a"));
    let said = if message["type"] == "snapshot" {
        Said::Snapshot { last, check: None, bids, asks }
    } else {
        Said::Diff { head: DiffHead { first: last, last, ..DiffHead::default() }, bids, asks }
    };
    vec![(k, said)]
}

const BYBIT: BookRules = BookRules { sequence: SequenceRule::Successor, ..STREAMED };

fn bybit_pairs() -> [Of; 2] {
    ["BTCUSDT", "ETHUSDT"].map(|s| Of { symbol: s.to_owned(), decimals: (8, 8) })
}

#[test]
fn successors_without_a_gap() {
    let Some(dir) = recording("bybit_v5_spot_20260809") else { return };
    let want = expected(&dir);
    let bench = play(&lines(&dir.join("ws.feed.gz")), &bybit_pairs(), BYBIT, bybit);
    for (k, o) in bybit_pairs().iter().enumerate() {
        let (want, got) =
            (&want["books"][format!("orderbook.200.{}", o.symbol)], summary(&bench, k));
        agrees(&got, want, &o.symbol);
        assert_eq!(got.final_update_id, want["final_u"].as_u64(), "{}", o.symbol);
        assert_eq!(Some(got.applied), want["deltas"].as_u64(), "{}", o.symbol);
        assert_eq!(Some(got.gaps), want["u_gaps"].as_u64(), "{}", o.symbol);
    }
}

/// The same recording by two lines, each of which loses every seventh message, not the same ones.
#[test]
fn two_lossy_lines_make_the_whole_recording() {
    let Some(dir) = recording("bybit_v5_spot_20260809") else { return };
    let want = expected(&dir);
    let (of, messages) = (bybit_pairs(), lines(&dir.join("ws.feed.gz")));
    let mut bench = bench(&of, BYBIT, &Shards::two_lines(2, 1, 2));
    for (n, (ns, message)) in messages.iter().enumerate() {
        bench.now = bench.now.max(Nanos(ns - messages[0].0));
        for line in 0..2u16 {
            let deltas = message["type"] == "delta";
            if deltas && n % 7 == usize::from(3 * line) {
                continue;
            }
            bench.conn = ConnId(line);
            for (k, said) in bybit(message, &of) {
                say(&mut bench, k, said);
            }
        }
    }
    for (k, o) in of.iter().enumerate() {
        let (want, got) =
            (&want["books"][format!("orderbook.200.{}", o.symbol)], summary(&bench, k));
        agrees(&got, want, &o.symbol);
        assert_eq!(got.final_update_id, want["final_u"].as_u64(), "{}", o.symbol);
        assert_eq!((Some(got.applied), got.gaps), (want["deltas"].as_u64(), 0), "{}", o.symbol);
    }
    assert!(bench.total("line_a_wins") > 300 && bench.total("line_b_wins") > 50);
    assert!(bench.total("line_a_lates") + bench.total("line_b_lates") > 300);
}

fn coinbase(message: &Value, of: &[Of]) -> Vec<(usize, Said)> {
    if message["channel"] != "l2_data" {
        return Vec::new();
    }
    let mut all = Vec::new();
    for event in message["events"].as_array().expect("events") {
        let k = of.iter().position(|o| event["product_id"] == o.symbol.as_str()).expect("known");
        let updates = event["updates"].as_array().expect("levels");
        let side = |name: &str| {
            let of_side = updates.iter().filter(|u| u["side"] == name).cloned().collect();
            levels(&Value::Array(of_side), ["price_level", "new_quantity"], of[k].decimals)
        };
        let (bids, asks) = (side("bid"), side("offer"));
        let said = if event["type"] == "snapshot" {
            Said::Snapshot { last: 0, check: None, bids, asks }
        } else {
            Said::Diff { head: DiffHead::default(), bids, asks }
        };
        all.push((k, said));
    }
    all
}

/// Coinbase numbers its connection's messages; a decoder tells of a hole by `LineGap`.
#[test]
fn whole_books_by_the_connections_own_numbers() {
    let Some(dir) = recording("coinbase_at_20260809") else { return };
    let want = expected(&dir);
    let pairs = ["BTC-USD", "ETH-USD"];
    let of = pairs.map(|s| Of { symbol: s.to_owned(), decimals: (2, 8) });
    let mut messages = lines(&dir.join("ws.feed.gz"));
    for (n, (_, message)) in messages.iter().enumerate() {
        assert_eq!(message["sequence_num"], n as u64);
    }
    let bench = play(&messages, &of, STREAMED, coinbase);
    for (k, o) in of.iter().enumerate() {
        agrees(&summary(&bench, k), &want["books"][&o.symbol], &o.symbol);
    }
    // One message is lost: both books of the connection start over.
    messages.remove(500);
    let holed: Reader = |message, of| {
        let mut said = coinbase(message, of);
        if message["sequence_num"] == 501 {
            said.insert(0, (0, Said::LineGap));
        }
        said
    };
    let bench = play(&messages, &of, STREAMED, holed);
    assert_eq!([0, 1].map(|k| summary(&bench, k).state), ["stale"; 2]);
    assert_eq!((bench.total("line_gaps"), bench.total("gaps")), (2, 2));
    assert!(bench.total("unsynced") > 100);
}
