//! The futures dialect: events chained by `pu`, numbers with the contract's digits.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use common::dialects::{Follower, Talker, assert_shape, shared, value};
use serde_json::{Value, json};

const STREAMS: &str = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade/\
                       btcusdt@aggTrade/btcusdt@depth@0ms/btcusdt@depth5@100ms";

fn of(talker: &Talker, stream: &str) -> Vec<Value> {
    let head = format!(r#"{{"stream":"{stream}","#);
    talker.with(1, &head).iter().map(|text| value(text)["data"].take()).collect()
}

#[test]
fn the_chain_of_pu_holds_from_a_snapshot_on() {
    let mut talker = Talker::generated("binance-usdm");
    talker.open(1, STREAMS);
    talker.open(2, "/ws-fapi/v1");
    talker.advance_ms(730);
    let answer =
        talker.say(2, r#"{"id":7,"method":"depth","params":{"symbol":"BTCUSDT","limit":1000}}"#);
    let snapshot = value(&answer[0])["result"].take();
    let same = value(&talker.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000"));
    assert_eq!(same, snapshot);
    talker.run_ms(20_220, 20);
    assert_eq!(talker.now_ns / 1_000_000 % 100, 0, "on the border");
    for stream in ["btcusdt@depth@100ms", "btcusdt@depth@0ms"] {
        let mut book = Follower::default();
        book.set_lists(0, &snapshot["bids"]);
        book.set_lists(1, &snapshot["asks"]);
        let id = snapshot["lastUpdateId"].as_u64().unwrap();
        let (mut previous, mut applied, mut jumps) = (None, 0, 0);
        for event in of(&talker, stream) {
            let number = |key: &str| event[key].as_u64().unwrap();
            assert!(previous.is_none_or(|p| p == number("pu")), "chained");
            assert!(number("U") > number("pu") && number("U") <= number("u"));
            jumps += u32::from(number("U") > number("pu") + 1);
            previous = Some(number("u"));
            if number("u") < id {
                continue;
            }
            assert!(applied > 0 || number("U") <= id, "the first one straddles the snapshot");
            applied += 1;
            book.set_lists(0, &event["b"]);
            book.set_lists(1, &event["a"]);
            book.assert_uncrossed();
        }
        assert!(applied > 190 && jumps > 100, "{applied} applied, {jumps} jumps");
        book.assert_is(&talker.venue, "BTCUSDT", 500);
    }
}

#[test]
fn messages_are_shaped_as_the_real_ones() {
    use std::io::Read;
    let path = "recordings/binance_usdm_btcusdt_20240808/btcusdt_20240808.gz";
    let Some(file) = shared(path) else { return };
    let bytes = std::fs::read(file).unwrap();
    let mut head = vec![0; 60_000];
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_exact(&mut head).unwrap();
    let text = String::from_utf8_lossy(&head).into_owned();
    let real: Vec<&str> = text.lines().map(|line| &line[line.find('{').unwrap()..]).collect();
    let mut talker = Talker::generated("binance-usdm");
    talker.open(1, STREAMS);
    talker.run_ms(3_000, 50);
    let both = |t: &&str| !t.contains(":[]");
    for stream in ["btcusdt@depth@0ms", "btcusdt@bookTicker", "btcusdt@trade"] {
        let head = format!(r#"{{"stream":"{stream}","#);
        let ours = talker.texts(1).iter().map(String::as_str);
        let ours = ours.filter(|t| t.starts_with(&head)).find(both).unwrap();
        assert_shape(ours, real.iter().filter(|t| t.starts_with(&head)).find(|t| both(t)).unwrap());
    }
    let digits = |text: &str| text.split_once('.').map(|(_, f)| f.len());
    let ticker = of(&talker, "btcusdt@bookTicker")[0].clone();
    assert_eq!(digits(ticker["b"].as_str().unwrap()), Some(2));
    assert_eq!(digits(ticker["B"].as_str().unwrap()), Some(3));
    let snapshot = talker.get("/fapi/v1/depth?symbol=BTCUSDT");
    assert_shape(&snapshot, real.iter().find(|t| t.starts_with(r#"{"lastUpdateId""#)).unwrap());
}

#[test]
fn instruments_requests_and_limits() {
    let mut talker = Talker::generated("binance-usdm");
    talker.open(1, "/ws");
    let ok = talker.say(1, r#"{"method":"SUBSCRIBE","params":["ethusdt@aggTrade"],"id":3}"#);
    assert_eq!(ok, [r#"{"result":null,"id":3}"#]);
    talker.run_ms(3_000, 50);
    assert!(talker.texts(1)[1].starts_with(r#"{"e":"aggTrade","#), "raw, not wrapped");
    let info = value(&talker.get("/fapi/v1/exchangeInfo"));
    let symbol = &info["symbols"][0];
    assert_eq!(
        (&symbol["symbol"], &symbol["contractType"]),
        (&json!("BTCUSDT"), &json!("PERPETUAL"))
    );
    assert_eq!((&symbol["pricePrecision"], &symbol["quantityPrecision"]), (&json!(2), &json!(3)));
    assert_eq!(symbol["filters"][0]["tickSize"], "0.10");
    let bad = talker.venue.get("/fapi/v1/depth?symbol=NOPE&limit=100", talker.now_ns);
    assert_eq!((bad.status, value(&bad.body)["code"].as_i64()), (400, Some(-1121)));
    let bad = talker.venue.get("/fapi/v1/depth?symbol=BTCUSDT&limit=7", talker.now_ns);
    assert_eq!(value(&bad.body)["code"].as_i64(), Some(-4021));
    for n in 0..10 {
        talker.say(1, &format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{n}}}"#));
    }
    assert!(!talker.ended.contains_key(&1), "ten a second are granted");
    talker.say(1, r#"{"method":"LIST_SUBSCRIPTIONS","id":99}"#);
    assert!(talker.ended.contains_key(&1));
}
