//! Bybit's dialect: numbers by one, explicit removals, level 1 as snapshots, answers by product.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use common::dialects::{Follower, Talker, assert_shape, sample, shape, value};
use serde_json::{Value, json};

const SPOT: &str = "/v5/public/spot";
const LINEAR: &str = "/v5/public/linear";

fn subscribe(args: &[&str]) -> String {
    json!({"op": "subscribe", "args": args}).to_string()
}

fn follow(texts: &[&String]) -> Follower {
    let mut book = Follower::default();
    let mut last = None;
    for text in texts {
        let message = value(text);
        let (data, u) = (&message["data"], message["data"]["u"].as_u64().unwrap());
        if message["type"] == "snapshot" {
            book = Follower::default();
        } else {
            assert_eq!(Some(u), last.map(|last: u64| last + 1), "{text}");
            for (side, key) in ["b", "a"].into_iter().enumerate() {
                for level in data[key].as_array().unwrap() {
                    let price = common::dialects::key(level[0].as_str().unwrap());
                    let known = book.sides[side].contains_key(&price);
                    assert!(level[1] != "0" || known, "a removal of a level that is there");
                }
            }
        }
        last = Some(u);
        book.set_lists(0, &data["b"]);
        book.set_lists(1, &data["a"]);
        book.assert_uncrossed();
    }
    book
}

#[test]
fn books_of_every_depth_hold_without_being_cut() {
    for (path, market) in [(SPOT, "BTCUSDT"), (LINEAR, "BTCUSDT:linear")] {
        let mut talker = Talker::generated("bybit");
        talker.open(1, path);
        let topics = [1, 50, 200, 1000].map(|depth| format!("orderbook.{depth}.BTCUSDT"));
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        talker.say(1, &subscribe(&topics));
        talker.run_ms(20_000, 25);
        // Up to the border at which the slowest depth was told.
        talker.advance_ms(150);
        for (topic, depth) in topics.iter().zip([1, 50, 200, 1000]) {
            let texts = talker.with(1, topic);
            assert!(texts.len() > 80, "{} messages of {topic}", texts.len());
            let book = follow(&texts);
            assert!(
                book.sides.iter().all(|side| side.len() == depth),
                "exactly {depth} levels in {topic}"
            );
            if depth == 1 {
                assert!(texts.iter().all(|text| text.contains(r#""type":"snapshot""#)));
            }
        }
        let last = |topic: &str| value(talker.with(1, topic).last().unwrap());
        let seq = |topic: &str| last(topic)["data"]["seq"].as_u64().unwrap();
        assert!(seq("orderbook.50.") >= seq("orderbook.1000."), "one cross sequence");
        // At its own border each window is the exchange's book.
        let mut talker = Talker::generated("bybit");
        talker.open(1, path);
        talker.say(1, &subscribe(&["orderbook.200.BTCUSDT"]));
        talker.run_ms(4_950, 50);
        assert_eq!(talker.now_ns / 1_000_000 % 100, 0, "on the border");
        let book = follow(&talker.with(1, "orderbook.200"));
        book.assert_is(&talker.venue, market, 200);
    }
}

#[test]
fn a_second_line_goes_on_where_the_first_one_is() {
    let mut talker = Talker::generated("bybit");
    talker.open(1, SPOT);
    talker.say(1, &subscribe(&["orderbook.50.ETHUSDT"]));
    talker.run_ms(3_010, 10);
    talker.open(2, SPOT);
    talker.say(2, &subscribe(&["orderbook.50.ETHUSDT"]));
    talker.run_ms(3_000, 10);
    let [a, b] = [1, 2].map(|conn| follow(&talker.with(conn, "orderbook.50")));
    assert_eq!(a, b);
    let common = talker.texts(2)[2..].to_vec();
    assert_eq!(talker.texts(1)[talker.texts(1).len() - common.len()..], common[..]);
}

#[test]
fn level_one_repeats_itself_and_a_restart_begins_at_one() {
    let mut talker = Talker::generated("bybit");
    talker.open(1, SPOT);
    talker.open(9, "/control");
    talker.say(1, &subscribe(&["orderbook.1.XRPUSDT", "orderbook.50.XRPUSDT"]));
    talker.run_ms(2_000, 10);
    talker.say(9, "restart-feed");
    let books = talker.with(1, "orderbook.50.XRPUSDT");
    let last = value(books.last().unwrap());
    assert_eq!((&last["type"], &last["data"]["u"]), (&json!("snapshot"), &json!(1)));
    talker.run_ms(2_000, 10);
    follow(&talker.with(1, "orderbook.50.XRPUSDT"));

    // A market that stands still: a venue that does nothing but keep time.
    let mut config = common::dialects::config_of("bybit");
    let still = bot4_venue::generator::Activity { steps_per_second: 1, levels: 100 };
    config.market = bot4_venue::MarketSource::Generated(still);
    let mut talker = Talker::new(config);
    talker.open(1, SPOT);
    talker.say(1, &subscribe(&["orderbook.1.BTCUSDT"]));
    talker.run_ms(300_000, 50);
    let told: Vec<Value> = talker.with(1, "orderbook.1.").iter().map(|text| value(text)).collect();
    let repeats = told.windows(2).filter(|w| w[0]["data"] == w[1]["data"]).count();
    assert!(repeats > 2, "{repeats} repeats with the same u");
    for pair in told.windows(2) {
        let (a, b) = (pair[0]["ts"].as_u64().unwrap(), pair[1]["ts"].as_u64().unwrap());
        assert!(b - a <= 3_000, "never silent for longer: {}", b - a);
    }
}

#[test]
fn messages_are_shaped_as_the_real_ones() {
    let mut talker = Talker::generated("bybit");
    talker.open(1, SPOT);
    let one = |file: &str| Some(sample(&format!("bybit/samples/{file}"))?[0].clone());
    let Some(ack) = one("ws_ack_subscribe.json") else { return };
    let answers = talker.say(1, &subscribe(&["orderbook.200.BTCUSDT", "tickers.BTCUSDT"]));
    assert_shape(&answers[0], &ack);
    let with_id = r#"{"op":"subscribe","args":["publicTrade.BTCUSDT"],"req_id":"4000001"}"#;
    assert_shape(&talker.say(1, with_id)[0], &one("real_wire/subscribe_spot.json").unwrap());
    assert_shape(
        &talker.say(1, r#"{"op":"ping","req_id":"1"}"#)[0],
        &one("real_wire/ping.json").unwrap(),
    );
    let bare = talker.say(1, r#"{"op":"ping"}"#)[0].clone();
    assert!(!bare.contains("req_id") && bare.contains(r#""ret_msg":"pong""#), "{bare}");
    talker.run_ms(3_000, 50);
    for (piece, file) in [
        (r#""type":"snapshot","data":{"s":"#, "ws_orderbook.200_snapshot.json"),
        (r#""type":"delta""#, "ws_orderbook.200_delta.json"),
        ("publicTrade", "ws_publicTrade_snapshot.json"),
        ("tickers.BTCUSDT", "ws_tickers_snapshot.json"),
    ] {
        let both = |t: &&&String| !t.contains(r#""b":[]"#) && !t.contains(r#""a":[]"#);
        assert_shape(talker.with(1, piece).iter().find(both).unwrap(), &one(file).unwrap());
    }
    talker.open(2, LINEAR);
    let linear = talker.say(2, &with_id.replace("public", "x").replace("xTrade", "publicTrade"));
    assert_shape(&linear[0], &one("real_wire/subscribe_linear.json").unwrap());
    assert!(linear[0].contains(r#""ret_msg":"""#));
    assert!(talker.say(2, r#"{"op":"ping"}"#)[0].contains(r#""req_id":"""#), "always there");
    let ticker = talker.say(2, &subscribe(&["tickers.BTCUSDT"]));
    assert_shape(&ticker[1], &one("real_wire/tickers_linear.json").unwrap());
    talker.run_ms(2_000, 50);
    let trade = talker.with(2, "publicTrade")[0];
    let doc = sample("bybit/samples/doc_examples/public_trade_spot.jsonl").unwrap()[1].clone();
    let shared: Vec<String> = shape(&doc);
    assert!(shape(trade).starts_with(&shared[..shared.len() - 1]), "{trade}");
    assert!(talker.with(2, "tickers").iter().any(|text| text.contains(r#""type":"delta""#)));
    let spot = talker.get("/v5/market/instruments-info?category=spot&symbol=BTCUSDT");
    assert_shape(&spot, &one("rest_instruments_spot_20260809.json").unwrap());
    let linear = value(&talker.get("/v5/market/instruments-info?category=linear&limit=1000"));
    let real = value(&one("real_wire/instruments_info_ack_linear.json").unwrap());
    let names = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&linear["result"]["list"][0]), names(&real["result"]["list"][0]));
    assert_eq!(linear["result"]["list"][0]["priceFilter"]["tickSize"], "0.10");
}

#[test]
fn requests_are_refused_whole() {
    let mut talker = Talker::generated("bybit");
    talker.open(1, SPOT);
    let many: Vec<String> = (0..11).map(|_| "tickers.BTCUSDT".to_owned()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = talker.say(1, &subscribe(&many));
    assert!(refused[0].contains(r#""ret_msg":"args size \u003e10""#), "{}", refused[0]);
    assert_eq!(value(&refused[0])["success"], false);
    let bad = talker.say(1, &subscribe(&["tickers.BTCUSDT", "orderbook.50.NOPE"]));
    assert_eq!(bad.len(), 1, "nothing of it is subscribed");
    assert!(bad[0].contains("orderbook.50.NOPE"));
    talker.open(2, LINEAR);
    assert_eq!(value(&talker.say(2, &subscribe(&["orderbook.200.SOLUSDT"]))[0])["success"], false);
    assert_eq!(value(&talker.say(2, &subscribe(&many))[0])["success"], true, "ten is for spot");
    assert_eq!(value(&talker.say(2, "rubbish")[0])["success"], false);
    let page = value(&talker.get("/v5/market/instruments-info?category=spot&symbol=NOPE"));
    assert_ne!(page["retCode"], 0);
    let mut refused = 0;
    for conn in 10..520 {
        refused += u32::from(talker.venue.connect(conn, SPOT, talker.now_ns) == Err(403));
    }
    assert_eq!(refused, 12, "500 connects in five minutes");
}
