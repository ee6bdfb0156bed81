//! Recordings of Binance Spot and of its futures are served line by line as recorded.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::tape::Tape;
use common::dialects::{Follower, Talker, shared, taped, value};
use common::recordings::{assert_same, lines};
use serde_json::Value;

// ---- Binance USD-M

#[test]
fn binance_usdm() {
    let path = "recordings/binance_usdm_btcusdt_20240808/btcusdt_20240808.gz";
    let Some(file) = shared(path) else { return };
    let mut talker = Talker::new(taped("binance-usdm", Tape::open(&file).unwrap(), 10_000));
    let streams = "/stream?streams=btcusdt@depth@0ms/btcusdt@bookTicker/btcusdt@trade";
    talker.open(1, streams);
    talker.run_ms(12_000, 20);
    let late = value(&talker.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000"));
    talker.open(2, "/ws/btcusdt@depth@100ms");
    let heard = talker.texts(1).len();
    talker.run_ms(28_000, 20);
    let all = talker.take(1);
    let other_pace = talker.take(2);
    let depth = |text: &&String| text.contains("depthUpdate");
    assert_eq!(other_pace.len(), all[heard..].iter().filter(depth).count());
    assert!(other_pace[0].starts_with(r#"{"e":"depthUpdate""#), "at whatever pace it is asked for");
    let recorded = lines(&file);
    let stream = |text: &&String| text.starts_with(r#"{"stream""#);
    assert_same(
        &all.iter().collect::<Vec<_>>(),
        &recorded.iter().filter(stream).collect::<Vec<_>>(),
    );
    let first = value(recorded.iter().find(|t| t.contains("lastUpdateId")).unwrap());
    let final_book = usdm_book(&first, &all);
    let best = |side: usize| final_book.best(side, 1)[0].clone();
    let pair = |p: &str, q: &str| (p.to_owned(), q.to_owned());
    assert_eq!([best(0), best(1)], [pair("61659.70", "1.486"), pair("61659.80", "0.981")]);
    // Whoever asks in mid-stream goes on with what follows; what he heard before may overlap.
    let mut twin = usdm_book(&late, &all[heard.saturating_sub(50)..]);
    let mut whole = final_book.clone();
    // The request's window ends somewhere: both know what lies inside it for certain.
    twin.cut(100);
    whole.cut(100);
    assert_eq!(twin, whole);
}

/// Follows the rule of the sheet: first `U` <= id <= `u`, then `pu` == the previous `u`.
fn usdm_book(snapshot: &Value, texts: &[String]) -> Follower {
    let mut book = Follower::default();
    book.set_lists(0, &snapshot["bids"]);
    book.set_lists(1, &snapshot["asks"]);
    let id = snapshot["lastUpdateId"].as_u64().unwrap();
    let mut last = None;
    for text in texts.iter().filter(|text| text.contains("depthUpdate")) {
        let event = value(text)["data"].take();
        let number = |key: &str| event[key].as_u64().unwrap();
        if number("u") < id {
            continue;
        }
        match last {
            None => assert!(number("U") <= id, "{} {id}", number("U")),
            Some(last) => assert_eq!(number("pu"), last),
        }
        last = Some(number("u"));
        book.set_lists(0, &event["b"]);
        book.set_lists(1, &event["a"]);
        book.assert_uncrossed();
    }
    assert!(last.is_some());
    book
}

// ---- Binance Spot

/// Every line of a recording, in the streams that it was recorded from.
fn binance_spot(file: &str, minutes: u64) {
    use bot4_venue::recorded::Recording;
    use bot4_venue::{Config, MarketSource};
    let Some(file) = shared(file) else { return };
    let recorded = lines(&file);
    let mut streams: Vec<String> = Vec::new();
    for line in &recorded {
        if let Some(name) = line.strip_prefix(r#"{"stream":""#) {
            let name = name.split('"').next().unwrap().to_owned();
            if !streams.contains(&name) {
                streams.push(name);
            }
        }
    }
    let recording = Recording::open(&file).unwrap();
    let market = MarketSource::Recorded { recording, trade: false, speed_milli: 20_000 };
    let mut talker = Talker::new(Config { market, ..common::dialects::config_of("binance") });
    talker.open(1, &format!("/stream?streams={}", streams.join("/")));
    talker.run_ms(minutes * 60_000 / 20 + 1_000, 50);
    let all = talker.take(1);
    let expected: Vec<&String> =
        recorded.iter().filter(|t| t.starts_with(r#"{"stream""#)).collect();
    assert_same(&all.iter().collect::<Vec<_>>(), &expected);
}

#[test]
fn binance_spot_one_symbol_for_minutes() {
    binance_spot("recordings/binance_spot_btcusdt_20240808/btcusdt_20240808.gz", 12);
}

#[test]
fn binance_spot_many_symbols() {
    binance_spot("recordings/binance_spot_multi_20210417/ws.feed.gz", 1);
    binance_spot("recordings/binance_spot_multi_20211012/ws.feed.gz", 1);
}
