//! Real markets: the recorded streams through the real agent, everything against the folders'
//! expected results. The JSON is decoded here, independently of the venue's own decoder.

mod common;

use std::path::Path;

use bot4_book::{BookConfig, BookSummary, Count};
use bot4_types::text::parse_units;
use bot4_types::{BookState, InstrumentId, Level, MarketBody, Nanos, Side};
use common::recorded::{recording, text};
use common::{Bench, ROOMY};
use serde_json::Value;

/// Messages with their receive times: `<ns> <JSON>` lines of `files`, merged with the snapshots
/// of `rest.jsonl.gz` by receive time.
fn messages(dir: &Path, files: &[&str]) -> Vec<(u64, Value)> {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let mut all = Vec::new();
    for file in files {
        for line in text(&dir.join(file)).lines() {
            let (ns, body) = line.split_once(' ').expect("a stamped line");
            all.push((ns.parse().expect("ns"), json(body)));
        }
    }
    let rest = dir.join("rest.jsonl.gz");
    if rest.exists() {
        for line in text(&rest).lines() {
            let line = json(line);
            let url = line["url"].as_str().expect("url");
            let symbol = url.split("symbol=").nth(1).and_then(|s| s.split('&').next());
            let mut body = line["body"].clone();
            body["s"] = Value::from(symbol.expect("a symbol"));
            all.push((line["recv_ns"].as_u64().expect("ns"), body));
        }
        all.sort_by_key(|(ns, _)| *ns);
    }
    all
}

fn units(value: &Value) -> i64 {
    parse_units(value.as_str().expect("text").as_bytes(), 8).expect("eight decimals")
}

fn levels(value: &Value) -> Vec<Level> {
    let pair = |p: &Value| Level { price: units(&p[0]), qty: units(&p[1]) };
    value.as_array().expect("levels").iter().map(pair).collect()
}

/// Sends one message into the agent; messages of other streams are left out, as a parser does.
fn feed(bench: &mut Bench, message: &Value, symbols: &[String]) {
    let data = message.get("data").unwrap_or(message);
    let symbol = data["s"].as_str().unwrap_or(&symbols[0]);
    let Some(k) = symbols.iter().position(|s| s == symbol) else { return };
    let (k, id) = (k as u16, |name: &str| data[name].as_u64().expect("an id"));
    match data["e"].as_str() {
        Some("depthUpdate") => {
            bench.depth(k, (id("U"), id("u")), &levels(&data["b"]), &levels(&data["a"]));
        }
        Some("trade") => {
            let sold = data["m"].as_bool().expect("m");
            bench.send(
                k,
                MarketBody::Trade {
                    id: id("t"),
                    price: units(&data["p"]),
                    qty: units(&data["q"]),
                    aggressor: if sold { Side::Sell } else { Side::Buy },
                },
            );
        }
        Some(_) => {}
        None if data.get("lastUpdateId").is_some() => {
            bench.snapshot(k, id("lastUpdateId"), &levels(&data["bids"]), &levels(&data["asks"]));
        }
        None => {
            let side = |p: &str, q: &str| Level { price: units(&data[p]), qty: units(&data[q]) };
            bench.quote(k, id("u"), side("b", "B"), side("a", "A"));
        }
    }
}

/// What came out over a whole recording.
#[derive(Default)]
struct Seen {
    tops: u64,
    live: u64,
    quote_tops: u64,
    trades: u64,
    bought: u64,
    qty: i128,
    quote: i128,
    first_trade: u64,
    last_trade: u64,
}

fn play(bench: &mut Bench, messages: &[(u64, Value)], symbols: &[String]) -> Seen {
    let mut seen = Seen::default();
    let start = messages[0].0;
    for (ns, message) in messages {
        bench.now = Nanos(ns - start);
        feed(bench, message, symbols);
        bench.settle();
        let out = bench.drain();
        for top in out.tops {
            seen.tops += 1;
            seen.live += u64::from(top.state == BookState::Live);
            seen.quote_tops += u64::from(top.quote_id > top.id);
            assert!(top.state != BookState::Live || top.bids[0].price < top.asks[0].price);
            assert!(top.quote_id >= top.id);
        }
        for print in out.trades {
            assert_eq!(print.missed, 0);
            seen.first_trade = if seen.trades == 0 { print.id } else { seen.first_trade };
            seen.last_trade = print.id;
            seen.trades += 1;
            seen.bought += u64::from(print.aggressor == Side::Buy);
            seen.qty += i128::from(print.qty);
            seen.quote += i128::from(print.qty) * i128::from(print.price);
        }
    }
    seen
}

/// Compares a summary with an expected object; every field there that a summary has.
fn agrees(got: &BookSummary, want: &Value, what: &str) {
    let pair = |v: &Value| [0, 1].map(|i| v[i].as_str().expect("text").to_owned());
    assert_eq!(got.best_bid.as_ref(), Some(&pair(&want["best_bid"])), "{what}");
    assert_eq!(got.best_ask.as_ref(), Some(&pair(&want["best_ask"])), "{what}");
    let number = |names: &[&str]| names.iter().find_map(|n| want.get(*n)?.as_u64());
    assert_eq!(got.final_update_id, number(&["u", "final_u"]), "{what}");
    assert_eq!(Some(got.applied), number(&["applied"]), "{what}");
    let levels = want.get("levels").map(|l| [l[0].as_u64(), l[1].as_u64()]);
    let levels = levels.unwrap_or([number(&["bid_levels"]), number(&["ask_levels"])]);
    assert_eq!([got.bid_levels, got.ask_levels].map(|n| Some(n as u64)), levels, "{what}");
    if let Some(crc) = number(&["top20_crc32"]) {
        assert_eq!(u64::from(got.top20_crc32), crc, "{what}");
    }
}

#[test]
fn btcusdt_2024() {
    let Some(dir) = recording("binance_spot_btcusdt_20240808") else { return };
    let want: Value = serde_json::from_str(&text(&dir.join("expected.json"))).expect("JSON");
    let symbols = ["BTCUSDT".to_owned()];
    let mut bench = Bench::new(&["BTCUSDT"], 1, BookConfig::default(), &ROOMY);
    bench.agent.set_checkpoints(1);
    let all = messages(&dir, &["btcusdt_20240808.gz", "btcusdt_20240809.gz"]);
    assert_eq!(all.len() as u64, want["lines"]);
    let seen = play(&mut bench, &all, &symbols);

    let got = bench.agent.summary(InstrumentId(0)).expect("its book");
    agrees(&got, &want["final"], "final");
    assert_eq!(got.snapshot_id, want["snapshot"]["lastUpdateId"].as_u64());
    assert_eq!(got.stale_dropped, want["dropped_stale"]);
    assert_eq!((got.gaps, got.duplicates, got.resyncs, got.crossed), (0, 0, 0, 0));
    assert_eq!((got.ticker_equal, got.ticker_differs), (6_490, 2));
    assert_eq!((got.state, got.trades), ("live", 19_904));

    let checkpoints = bench.agent.take_checkpoints();
    assert_eq!(checkpoints.len() as u64, got.applied);
    for want in want["checkpoints"].as_array().expect("checkpoints") {
        let applied = want["applied"].as_u64().expect("a number");
        let at = &checkpoints[applied as usize - 1];
        assert_eq!(at.checkpoint, Some(applied));
        agrees(at, want, &format!("checkpoint {applied}"));
    }
    let trades = &want["trades"];
    assert_eq!(seen.trades, trades["count"]);
    assert_eq!(seen.trades - seen.bought, trades["buyer_maker"]);
    assert_eq!(
        [seen.first_trade, seen.last_trade],
        [&trades["first_t"], &trades["last_t"]].map(|v| v.as_u64().expect("id"))
    );
    let sum = |v: &Value| v.as_str().expect("text").replace('.', "").parse::<i128>().expect("sum");
    assert_eq!((seen.qty, seen.quote), (sum(&trades["qty"]), sum(&trades["quote"])));
    assert_eq!(bench.total("quotes"), want["bookTicker"]["count"]);
    assert_eq!(bench.total("applied") + bench.total("stale_dropped"), 6_495);
    assert_eq!(bench.total("conflated"), 0);
    assert!(seen.live > 0 && seen.quote_tops > 60_000, "{} tops", seen.tops);
    assert_eq!(bench.blocks_home(), bench.blocks_total, "every block came back");
    println!(
        "far levels: {:?}",
        [Side::Buy, Side::Sell].map(|s| {
            let ladder = bench.agent.ladder(InstrumentId(0)).expect("its book");
            assert_eq!(ladder.unit(), 1_000_000, "the grid was found in the snapshot");
            (ladder.far_levels(s), ladder.levels(s))
        })
    );
}

fn several(name: &str) {
    let Some(dir) = recording(name) else { return };
    let want: Value = serde_json::from_str(&text(&dir.join("expected.json"))).expect("JSON");
    let symbols: Vec<String> = want.as_object().expect("by symbol").keys().cloned().collect();
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut bench = Bench::new(&names, 1, BookConfig::default(), &ROOMY);
    play(&mut bench, &messages(&dir, &["ws.feed.gz"]), &symbols);
    for (k, symbol) in symbols.iter().enumerate() {
        let (id, want) = (InstrumentId(k as u16), &want[symbol]);
        let got = bench.agent.summary(id).expect("its book");
        agrees(&got, want, symbol);
        assert_eq!((&got.symbol, got.state), (symbol, "live"));
        assert_eq!(got.snapshot_id, want["snapshot"].as_u64(), "{symbol}");
        assert_eq!(got.stale_dropped, want["dropped_stale"], "{symbol}");
        assert_eq!(got.gaps, want["gaps"], "{symbol}");
        let oracle = &want["bookTicker_oracle"];
        assert_eq!(got.ticker_equal, oracle["match"], "{symbol}");
        assert_eq!(got.ticker_differs, oracle["mismatch"], "{symbol}");
        assert_eq!(bench.agent.count(id, Count::Snapshots), Some(1), "{symbol}");
    }
    assert_eq!(bench.blocks_home(), bench.blocks_total, "every block came back");
}

#[test]
fn ten_symbols_2021() {
    several("binance_spot_multi_20210417");
}

#[test]
fn four_symbols_2021() {
    several("binance_spot_multi_20211012");
}

/// A missing diff: stale with its reason, nothing applied until the next snapshot, then live.
#[test]
fn btcusdt_with_a_diff_cut_out() {
    let Some(dir) = recording("binance_spot_btcusdt_20240808") else { return };
    let mut all = messages(&dir, &["btcusdt_20240808.gz"]);
    let diffs: Vec<usize> =
        (0..all.len()).filter(|i| all[*i].1["data"]["e"].as_str() == Some("depthUpdate")).collect();
    all.remove(diffs[100]);
    let symbols = ["BTCUSDT".to_owned()];
    let mut bench = Bench::new(&["BTCUSDT"], 1, BookConfig::default(), &ROOMY);
    play(&mut bench, &all, &symbols);
    let got = bench.agent.summary(InstrumentId(0)).expect("its book");
    assert_eq!((got.state, got.gaps, got.resyncs, got.applied), ("stale", 1, 1, 98));
    assert!(bench.total("requests") > 5, "it keeps asking");
    assert!(bench.total("stale_ns") > 60_000_000_000, "{}", bench.total("stale_ns"));
}
