//! Faults of every dialect, by script and by the control connection.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::{Out, script};
use common::dialects::{Talker, config_of, value};
use serde_json::{Value, json};

const CONTROL: u64 = 9;

/// Dialect, path, request for a book, the market's name, a piece of each depth message.
const BOOKS: [[&str; 5]; 6] = [
    ["binance", "/stream?streams=btcusdt@depth@100ms", "", "BTCUSDT", "depthUpdate"],
    ["binance-usdm", "/stream?streams=btcusdt@depth@100ms", "", "BTCUSDT", "depthUpdate"],
    [
        "kraken",
        "/v2",
        r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":25}}"#,
        "BTC/USD",
        r#""type":"update""#,
    ],
    [
        "bybit",
        "/v5/public/spot",
        r#"{"op":"subscribe","args":["orderbook.200.BTCUSDT"]}"#,
        "BTCUSDT",
        r#""type":"delta""#,
    ],
    [
        "okx",
        "/ws/v5/public",
        r#"{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}"#,
        "BTC-USDT",
        r#""action":"update""#,
    ],
    [
        "coinbase",
        "/",
        r#"{"type":"subscribe","channel":"level2","product_ids":["BTC-USD"]}"#,
        "BTC-USD",
        r#""type":"update""#,
    ],
];

/// Two lines of one book, and the control connection.
fn lines([venue, path, ask, ..]: [&'static str; 5]) -> Talker {
    let mut talker = Talker::generated(venue);
    for conn in [1, 2] {
        talker.open(conn, path);
        if !ask.is_empty() {
            talker.say(conn, ask);
        }
    }
    talker.open(CONTROL, "/control");
    talker.run_ms(500, 10);
    for conn in [1, 2] {
        talker.take(conn);
    }
    talker
}

fn command(talker: &mut Talker, command: &str) {
    let answers = talker.say(CONTROL, command);
    assert_eq!(value(&answers[0])["done"], command, "{answers:?}");
}

/// Depth messages of both lines while a fault strikes the first one.
fn struck(book: [&'static str; 5], fault: &str) -> [Vec<String>; 2] {
    let mut talker = lines(book);
    command(&mut talker, &format!("{fault} {} 1", book[3]));
    talker.run_ms(1_000, 10);
    [1, 2].map(|conn| talker.with(conn, &book[4][..5]).into_iter().cloned().collect())
}

#[test]
fn two_lines_hear_the_same_and_one_can_lag() {
    for book in BOOKS {
        let mut talker = lines(book);
        talker.run_ms(1_000, 10);
        assert_eq!(talker.texts(1), talker.texts(2), "{}", book[0]);
        command(&mut talker, "lag 35ms 2");
        talker.run_ms(1_000, 10);
        let (first, second) = (talker.texts(1).len(), talker.texts(2).len());
        assert_eq!(talker.texts(2), &talker.texts(1)[..second], "the same, later");
        assert!(second <= first);
        command(&mut talker, "lag 0ms 2");
        talker.run_ms(500, 10);
        assert_eq!(talker.texts(1), talker.texts(2));
    }
}

#[test]
fn single_depth_messages_go_wrong() {
    for book in BOOKS {
        let [first, second] = struck(book, "lose-depth");
        assert_eq!(first, second[1..], "{}: the first one is missing", book[0]);
        let [first, second] = struck(book, "repeat-depth");
        assert_eq!((&first[0], &first[1..]), (&second[0], &second[..]));
        let [first, second] = struck(book, "swap-depth");
        assert_eq!([&first[0], &first[1]], [&second[1], &second[0]]);
        assert_eq!(first[2..], second[2..]);
        for fault in ["damage-depth", "cross-depth", "broken-json"] {
            let [first, second] = struck(book, fault);
            assert_ne!(first[0], second[0], "{} {fault}", book[0]);
            assert_eq!(first[1..], second[1..], "one message only");
            let parses = serde_json::from_str::<Value>(&first[0]).is_ok();
            assert_eq!(parses, fault != "broken-json");
            let half = second[0].len() / 2;
            assert!(fault != "broken-json" || first[0] == second[0][..half]);
        }
        let [first, second] = struck(book, "wrong-checksum");
        let sum = |text: &str| match text.split_once(r#""checksum":"#) {
            Some((_, rest)) => rest.split([',', '}']).next().unwrap().parse::<i64>().ok(),
            None => None,
        };
        match sum(&second[0]) {
            Some(right) => assert_ne!(sum(&first[0]), Some(right)),
            None => assert_eq!(first, second, "no checksum, nothing to go wrong"),
        }
    }
}

#[test]
fn a_crossed_update_is_crossed() {
    let [first, _] = struck(BOOKS[3], "cross-depth");
    let bids = value(&first[0])["data"]["b"].take();
    let best = bids[0][0].as_str().unwrap().parse::<f64>().unwrap();
    assert!(best > 900_000.0, "{best} lies above every ask");
}

#[test]
fn connections_end_in_every_way() {
    for book in BOOKS {
        let mut talker = lines(book);
        for (n, (fault, expected)) in [
            ("fin 1", Some(Out::Drop)),
            ("reset 1", Some(Out::Reset)),
            ("stall 1", Some(Out::Stall)),
            ("close 1011 1", Some(Out::Close(1011, ""))),
            ("freeze 1", None),
        ]
        .into_iter()
        .enumerate()
        {
            let conn = 20 + n as u64;
            talker.leave(1);
            talker.leave(2);
            talker.run_ms(1_000, 100);
            talker.open(conn, book[1]);
            if !book[2].is_empty() {
                talker.say(conn, book[2]);
            }
            talker.run_ms(300, 10);
            command(&mut talker, fault);
            let heard = talker.texts(conn).len();
            talker.run_ms(500, 10);
            assert_eq!(talker.ended.get(&conn), expected.as_ref(), "{} {fault}", book[0]);
            assert_eq!(talker.texts(conn).len(), heard, "nothing comes after {fault}");
            talker.leave(conn);
        }
    }
}

#[test]
fn an_outage_ends_with_a_word() {
    for book in BOOKS {
        let mut talker = lines(book);
        let struck_ns = talker.now_ns;
        command(&mut talker, "outage 2s");
        assert_eq!(talker.ended.len(), 2, "both lines are cut");
        assert!(talker.venue.is_down());
        talker.run_ms(1_900, 100);
        assert_eq!(talker.venue.connect(30, book[1], talker.now_ns), Err(503));
        assert!(talker.with(CONTROL, "back").is_empty());
        talker.run_ms(100, 100);
        let back = value(talker.with(CONTROL, "back")[0]);
        assert_eq!(back, json!({"back": "outage", "at_ns": struck_ns + 2_000_000_000}));
        talker.open(31, book[1]);
        command(&mut talker, "silent 1s");
        talker.run_ms(1_000, 100);
        assert_eq!(value(talker.texts(CONTROL).last().unwrap())["back"], "silent");
        let status = value(&talker.say(CONTROL, "status")[0]);
        assert_eq!((&status["markets"], &status["down"]), (&json!(1), &json!(false)));
        let error = value(&talker.say(CONTROL, "explode")[0]);
        assert!(error["error"].as_str().unwrap().starts_with("unknown fault `explode`"));
    }
}

#[test]
fn retiring_gives_notice_first() {
    for (book, notice) in BOOKS.into_iter().zip([
        "serverShutdown",
        "serverShutdown",
        "CloudFlare WebSocket proxy restarting",
        "",
        "64008",
        "",
    ]) {
        let mut talker = lines(book);
        command(&mut talker, "retire 3s");
        if !notice.is_empty() {
            assert!(!talker.with(1, notice).is_empty(), "{}", book[0]);
        }
        talker.open(3, book[1]);
        if !book[2].is_empty() {
            talker.say(3, book[2]);
        }
        talker.run_ms(3_100, 100);
        assert_eq!(talker.ended.get(&1), Some(&Out::Close(1001, "")));
        assert!(!talker.ended.contains_key(&3), "whoever came after the notice stays");
    }
}

#[test]
fn a_script_does_the_same_by_time() {
    for book in BOOKS {
        let mut config = config_of(book[0]);
        let text = format!("1s lose-depth {}\n2s reset 1\n3s down 1s\n", book[3]);
        config.script = script::parse(&text).unwrap();
        let mut talker = Talker::new(config);
        talker.open(1, book[1]);
        if !book[2].is_empty() {
            talker.say(1, book[2]);
        }
        talker.run_ms(1_900, 10);
        assert!(talker.ended.is_empty() && talker.texts(1).len() > 5);
        talker.run_ms(200, 10);
        assert_eq!(talker.ended.get(&1), Some(&Out::Reset), "{}", book[0]);
        talker.run_ms(1_000, 100);
        assert!(talker.venue.is_down());
        talker.run_ms(1_000, 100);
        assert!(!talker.venue.is_down());
    }
}
