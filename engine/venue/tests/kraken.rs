//! Kraken's dialect: a follower that obeys the sheet holds the venue's book, and every checksum
//! is right.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::Out;
use common::dialects::{Follower, Talker, assert_shape, crc32, sample, shape, value};
use serde_json::json;

/// (price, qty) texts of a side, in order of the message.
fn levels(text: &str, side: &str) -> Vec<(String, String)> {
    let (_, rest) = text.split_once(&format!("\"{side}\":[")).unwrap();
    let list = &rest[..rest.find(']').unwrap()];
    let field = |level: &str, name: &str| {
        let (_, rest) = level.split_once(&format!("\"{name}\":")).unwrap();
        rest[..rest.find([',', '}']).unwrap()].to_owned()
    };
    let entries = list.split("},").filter(|level| !level.is_empty());
    entries
        .map(|level| format!("{}}}", level.trim_end_matches('}')))
        .map(|level| (field(&level, "price"), field(&level, "qty")))
        .collect()
}

fn checksum(book: &Follower) -> u64 {
    let mut text = String::new();
    for side in [1, 0] {
        for (price, qty) in book.best(side, 10) {
            for number in [price, qty] {
                text.push_str(number.replace('.', "").trim_start_matches('0'));
            }
        }
    }
    u64::from(crc32(text.as_bytes()))
}

/// Applies a book message and checks its checksum.
fn follow(book: &mut Follower, text: &str, depth: usize) {
    let message = value(text);
    if message["type"] == "snapshot" {
        *book = Follower::default();
    }
    for (side, name) in ["bids", "asks"].into_iter().enumerate() {
        for (price, qty) in levels(text, name) {
            book.set(side, &price, &qty);
        }
    }
    book.cut(depth);
    book.assert_uncrossed();
    assert_eq!(checksum(book), message["data"][0]["checksum"].as_u64().unwrap(), "{text}");
}

fn subscribe(depth: u64, symbols: &[&str]) -> String {
    json!({"method": "subscribe", "req_id": 11,
        "params": {"channel": "book", "symbol": symbols, "depth": depth}})
    .to_string()
}

#[test]
fn the_checksum_of_the_sheet() {
    let mut book = Follower::default();
    for level in [
        "45285.2 0.00100000",
        "45286.4 1.54571953",
        "45286.6 1.54571109",
        "45289.6 1.54560911",
        "45290.2 0.15890660",
        "45291.8 1.54553491",
        "45294.7 0.04454749",
        "45296.1 0.35380000",
        "45297.5 0.09945542",
        "45299.5 0.18772827",
    ] {
        let (price, qty) = level.split_once(' ').unwrap();
        book.set(1, price, qty);
    }
    for level in [
        "45283.5 0.10000000",
        "45283.4 1.54582015",
        "45282.1 0.10000000",
        "45281.0 0.10000000",
        "45280.3 1.54592586",
        "45279.0 0.07990000",
        "45277.6 0.03310103",
        "45277.5 0.30000000",
        "45277.3 1.54602737",
        "45276.6 0.15445238",
    ] {
        let (price, qty) = level.split_once(' ').unwrap();
        book.set(0, price, qty);
    }
    assert_eq!(checksum(&book), 3_310_070_434);
}

#[test]
fn books_of_every_depth_hold_and_every_checksum_is_right() {
    let mut talker = Talker::generated("kraken");
    let depths = [10, 25, 100, 500, 1000];
    for (conn, depth) in (1..).zip(depths) {
        talker.open(conn, "/v2");
        talker.say(conn, &subscribe(depth, &["BTC/USD"]));
    }
    talker.run_ms(12_000, 40);
    for (conn, depth) in (1..).zip(depths) {
        let depth = usize::try_from(depth).unwrap();
        let mut book = Follower::default();
        let messages = talker.with(conn, r#""channel":"book","type""#);
        assert!(messages.len() > 1_000, "{} messages at depth {depth}", messages.len());
        messages.iter().for_each(|text| follow(&mut book, text, depth));
        book.assert_is(&talker.venue, "BTC/USD", depth);
    }
    // Levels that leave the depth are not told: the whole book would not fit the checksums.
    let messages = talker.with(1, r#""channel":"book","type":"update""#);
    let twice = |text: &&&String| {
        let prices: Vec<String> = levels(text, "bids").into_iter().map(|l| l.0).collect();
        prices.iter().any(|p| prices.iter().filter(|q| *q == p).count() > 1)
    };
    assert!(messages.iter().any(|text| twice(&text)), "a price comes twice now and then");
    let beats = talker.with(1, r#"{"channel":"heartbeat"}"#).len();
    assert!((11..=12).contains(&beats), "{beats} heartbeats in 12 s");
}

#[test]
fn messages_are_shaped_as_the_real_ones() {
    let mut talker = Talker::generated("kraken");
    talker.open(1, "/v2");
    let status = talker.take(1)[0].clone();
    let id = value(&status)["data"][0]["connection_id"].as_u64().unwrap();
    assert!(id > i64::MAX as u64, "beyond the signed range");
    let ack = talker.say(1, &subscribe(10, &["BTC/USD"]));
    let Some(wire) = sample("kraken/samples/ws_book_d10_btcusd_20260824.jsonl") else { return };
    assert_shape(&status, &wire[0]);
    let one = |file: &str| Some(sample(&format!("kraken/samples/real_2024/{file}"))?[0].clone());
    assert_shape(&ack[0], &one("ack_book_subscription_response.json").unwrap());
    let find = |texts: &[String], piece: &str| {
        texts.iter().find(|t| t.contains(piece)).unwrap_or_else(|| panic!("{piece}")).clone()
    };
    assert_shape(&ack[1], &find(&wire, r#""type":"snapshot""#));
    let pong = talker.say(1, r#"{"method":"ping","req_id":1}"#);
    assert_shape(&pong[0], &one("ack_pong.json").unwrap());
    let error = talker.say(1, r#"{"method":"ping","params":{},"req_id":0}"#);
    assert_shape(&error[0], &one("error_messages_1.json").unwrap());
    assert!(error[0].starts_with(r#"{"error":"Unsupported field: 'params' for the given msg"#));
    for (channel, file) in [
        ("ticker", "ack_ticker_subscription_response.json"),
        ("instrument", "ack_instruments_subscription_response.json"),
    ] {
        let ask = json!({"method": "subscribe", "req_id": 5,
            "params": {"channel": channel, "symbol": ["BTC/USD"]}});
        let answers = talker.say(1, &ask.to_string());
        assert_shape(&answers[0], &one(file).unwrap());
        let snapshot = answers[1].clone();
        match channel {
            "ticker" => assert_shape(&snapshot, &one("ticker_snapshot_1.json").unwrap()),
            _ => {
                // Digits of an increment are those of its pair: keys and kinds count here.
                let kinds = |text: &str| -> Vec<String> {
                    let cut = |line: String| line.split("number").next().unwrap().to_owned();
                    shape(text).into_iter().map(cut).collect()
                };
                let real = kinds(&one("instruments_snapshot_1.json").unwrap());
                assert_eq!(kinds(&snapshot), real);
                let pairs = value(&snapshot)["data"]["pairs"].clone();
                assert_eq!(
                    (&pairs[0]["symbol"], &pairs[0]["price_precision"]),
                    (&json!("BTC/USD"), &json!(1))
                );
            }
        }
    }
    let ask = json!({"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}});
    talker.say(1, &ask.to_string());
    talker.run_ms(3_000, 50);
    let heard = talker.take(1);
    let bids_alone = |t: &&String| t.contains(r#""type":"update""#) && t.contains(r#""asks":[],"#);
    let update = heard.iter().find(bids_alone).unwrap();
    assert_shape(update, wire.iter().find(bids_alone).unwrap());
    let trade = find(&heard, r#""channel":"trade","type""#);
    let real = one("trade_snapshot_1.json").unwrap();
    assert_shape(&trade, &real);
    assert!(heard.iter().any(|t| t == &wire[3]), "the heartbeat, byte for byte");
}

#[test]
fn refusals_leave_the_connection_open() {
    let mut talker = Talker::generated("kraken");
    talker.open(1, "/v2");
    talker.take(1);
    let error = |texts: &[String]| value(&texts[0])["error"].as_str().unwrap().to_owned();
    assert_eq!(
        error(&talker.say(1, &subscribe(11, &["BTC/USD"]))),
        "Subscription depth not supported"
    );
    let answers = talker.say(1, &subscribe(10, &["ETH/USD", "XYZ/USD"]));
    assert_eq!(answers.len(), 3, "one answer a symbol, and a snapshot");
    assert_eq!(error(&answers[2..]), "Currency pair not supported XYZ/USD");
    assert_eq!(value(&answers[2])["symbol"], "XYZ/USD");
    assert_eq!(error(&talker.say(1, &subscribe(10, &["ETH/USD"]))), "Already subscribed");
    assert_eq!(error(&talker.say(1, "{")), "JSON message malformed");
    assert_eq!(error(&talker.say(1, r#"{"method":"dance"}"#)), "Unsupported event");
    let leave = subscribe(10, &["ETH/USD"]).replace("subscribe", "unsubscribe");
    assert_eq!(value(&talker.say(1, &leave)[0])["success"], true);
    talker.run_ms(2_000, 100);
    assert!(talker.with(1, r#""type":"update","data":[{"symbol":"ETH/USD""#).is_empty());
    let again = talker.say(1, &subscribe(10, &["ETH/USD"]));
    assert!(again[1].contains(r#""type":"snapshot""#), "a fresh snapshot");
    assert!(talker.ended.is_empty());
    talker.open(2, "/v2");
    talker.run_ms(61_000, 1_000);
    assert!(matches!(talker.ended[&2], Out::Close(..)), "idle without a subscription");
    assert!(!talker.ended.contains_key(&1));
    assert_eq!(talker.venue.connect(3, "/v1", talker.now_ns), Err(404));
}
