//! OKX's dialect: the chain of sequence numbers, whole channels, plain-text pings, refusals.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::Out;
use common::dialects::{Follower, Talker, assert_shape, config_of, crc32, sample, shape, value};
use serde_json::{Value, json};

const PUBLIC: &str = "/ws/v5/public";

fn subscribe(args: &[(&str, &str)]) -> String {
    let args: Vec<Value> = args.iter().map(|(c, i)| json!({"channel": c, "instId": i})).collect();
    json!({"id": "1", "op": "subscribe", "args": args}).to_string()
}

struct Chain {
    book: Follower,
    last: i64,
    jumps: u32,
    resets: u32,
}

fn follow(texts: &[&String], old_checksum: bool) -> Chain {
    let mut chain = Chain { book: Follower::default(), last: 0, jumps: 0, resets: 0 };
    for text in texts {
        let message = value(text);
        let data = &message["data"][0];
        let number = |key: &str| data[key].as_i64().unwrap();
        if message["action"] == "snapshot" {
            assert_eq!(number("prevSeqId"), -1);
            chain.book = Follower::default();
        } else {
            assert_eq!(number("prevSeqId"), chain.last, "{text}");
            chain.jumps += u32::from(number("seqId") > chain.last + 1);
            chain.resets += u32::from(number("seqId") < chain.last);
        }
        chain.last = number("seqId");
        chain.book.set_lists(0, &data["bids"]);
        chain.book.set_lists(1, &data["asks"]);
        chain.book.assert_uncrossed();
        let sum = if old_checksum { checksum(&chain.book) } else { 0 };
        assert_eq!(number("checksum"), i64::from(sum));
        for level in data["bids"].as_array().unwrap().iter().chain(data["asks"].as_array().unwrap())
        {
            assert_eq!(level[2], "0");
            assert_eq!(level[1] == "0", level[3] == "0", "orders: {level}");
        }
    }
    chain
}

fn checksum(book: &Follower) -> i32 {
    let sides = [book.best(0, 25), book.best(1, 25)];
    let mut parts = Vec::new();
    for n in 0..25 {
        for (price, qty) in sides.iter().filter_map(|side| side.get(n)) {
            parts.extend([price.as_str(), qty]);
        }
    }
    crc32(parts.join(":").as_bytes()) as i32
}

#[test]
fn books_are_chained_and_hold_without_being_cut() {
    for old in [false, true] {
        let mut config = config_of("okx");
        config.old_checksum = old;
        let mut talker = Talker::new(config);
        talker.open(1, PUBLIC);
        talker.say(1, &subscribe(&[("books", "BTC-USDT"), ("books", "SOL-USDT")]));
        talker.run_ms(49_950, 50);
        assert_eq!(talker.now_ns / 1_000_000 % 100, 0, "on the border");
        for inst in ["BTC-USDT", "SOL-USDT"] {
            let texts = talker.with(1, &format!(r#""instId":"{inst}"}},"action""#));
            assert!(texts.len() > 450, "{}", texts.len());
            let chain = follow(&texts, old);
            assert!(chain.jumps > 100 && chain.resets == 0, "{} jumps", chain.jumps);
            assert!(chain.book.sides.iter().all(|side| side.len() == 400));
            chain.book.assert_is(&talker.venue, inst, 400);
        }
    }
}

#[test]
fn a_reset_goes_on_in_the_chain_and_a_repeated_subscription_starts_over() {
    let mut talker = Talker::generated("okx");
    talker.open(1, PUBLIC);
    talker.open(9, "/control");
    talker.say(1, &subscribe(&[("books", "BTC-USDT")]));
    talker.run_ms(1_000, 50);
    talker.say(9, "restart-feed");
    talker.run_ms(1_000, 50);
    let again = talker.say(1, &subscribe(&[("books", "BTC-USDT")]));
    assert_eq!(again.len(), 2, "the acknowledgement and a snapshot");
    talker.run_ms(1_000, 50);
    assert_eq!(follow(&talker.with(1, r#""action""#), false).resets, 1);
}

#[test]
fn small_channels_are_sent_whole() {
    let mut talker = Talker::generated("okx");
    talker.open(1, PUBLIC);
    talker.say(1, &subscribe(&[("bbo-tbt", "BTC-USDT"), ("books5", "BTC-USDT")]));
    talker.run_ms(3_000, 10);
    for (channel, depth, least) in [("bbo-tbt", 1, 60), ("books5", 5, 25)] {
        let texts =
            talker.with(1, &format!(r#""channel":"{channel}","instId":"BTC-USDT"}},"data""#));
        assert!(texts.len() >= least, "{} of {channel}", texts.len());
        for text in texts {
            let data = value(text)["data"][0].take();
            assert_eq!(data["bids"].as_array().unwrap().len(), depth);
            assert!(!text.contains("action"));
        }
    }
}

#[test]
fn messages_are_shaped_as_the_real_ones() {
    let one = |file: &str| Some(sample(&format!("okx/samples/{file}"))?[0].clone());
    let Some(updates) = sample("okx/samples/books_updates_btcusdt_20260824.jsonl") else { return };
    let mut talker = Talker::generated("okx");
    talker.open(1, PUBLIC);
    talker.open(9, "/control");
    let channels = ["books", "bbo-tbt", "trades", "tickers"].map(|c| (c, "BTC-USDT"));
    let ask = subscribe(&channels).replace(r#""id":"1","#, "");
    let answers = talker.say(1, &ask);
    assert_shape(&answers[0], &one("real_wire/subscribe_books.json").unwrap());
    let acks = answers.iter().filter(|text| text.contains(r#""event":"subscribe""#)).count();
    assert_eq!(acks, 4, "one an argument");
    let with_id = talker.say(1, &subscribe(&[("status", "")]));
    assert!(with_id[0].starts_with(r#"{"id":"1","event":"subscribe","arg":{"channel":"status""#));
    talker.run_ms(3_000, 50);
    let both = |t: &&&String| !t.contains(r#":[],"#);
    let find = |piece: &str| *talker.with(1, piece).iter().find(both).unwrap();
    let real = updates.iter().find(|text| !text.contains(":[],")).unwrap();
    assert_shape(find(r#""action":"update""#), real);
    let snapshot = one("real_wire/books_l2_tbt_books_snapshot.json").unwrap();
    assert_shape(find(r#""action":"snapshot""#), &snapshot);
    assert_shape(
        find(r#""bbo-tbt","instId":"BTC-USDT"},"data""#),
        &one("real_wire/bbo_tbt.json").unwrap(),
    );
    assert_shape(
        find(r#""trades","instId":"BTC-USDT"},"data""#),
        &one("real_wire/trades_parser.json").unwrap(),
    );
    assert_shape(
        find(r#""tickers","instId":"BTC-USDT"},"data""#),
        &one("real_wire/tickers.json").unwrap(),
    );
    talker.say(9, "shutdown-notice");
    assert_shape(talker.texts(1).last().unwrap(), &one("real_wire/notice.json").unwrap());
    let list = talker.get("/api/v5/public/instruments?instType=SPOT");
    let real = one("real_wire/instruments_ack.json").unwrap();
    // Which fields are empty differs from one instrument to the next.
    let keys = |text: &str| -> Vec<String> {
        shape(text).into_iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&list), keys(&real));
    let list = value(&list)["data"].take();
    assert_eq!((&list[0]["instId"], &list[0]["tickSz"]), (&json!("BTC-USDT"), &json!("0.1")));
    let book = value(&talker.get("/api/v5/market/books?instId=BTC-USDT&sz=400"));
    assert_eq!(book["data"][0]["asks"].as_array().unwrap().len(), 400);
}

#[test]
fn refusals_pings_and_the_cut_after_silence() {
    let mut talker = Talker::generated("okx");
    talker.open(1, PUBLIC);
    assert_eq!(talker.say(1, "ping"), ["pong"]);
    let code = |texts: Vec<String>| value(&texts[0])["code"].as_str().unwrap().to_owned();
    assert_eq!(code(talker.say(1, "rubbish")), "60012");
    assert_eq!(code(talker.say(1, &subscribe(&[("books", "NO-PE")]))), "60018");
    assert_eq!(code(talker.say(1, &subscribe(&[("dance", "BTC-USDT")]))), "60018");
    assert_eq!(code(talker.say(1, &subscribe(&[("books-l2-tbt", "BTC-USDT")]))), "60011");
    assert_eq!(code(talker.say(1, r#"{"op":"subscribe","args":[]}"#)), "60013");
    assert_eq!(code(talker.say(1, r#"{"id":"p","op":"order","args":[{}]}"#)), "60011");
    talker.open(2, "/ws/v5/business");
    assert_eq!(code(talker.say(2, &subscribe(&[("books", "BTC-USDT")]))), "60018", "wrong path");
    for _ in 0..26 {
        talker.advance_ms(1_000);
    }
    talker.say(2, "ping");
    talker.run_ms(5_000, 1_000);
    assert!(matches!(talker.ended[&1], Out::Close(4004, _)), "30 s of silence");
    assert!(!talker.ended.contains_key(&2));
    for _ in 0..480 {
        talker.say(2, &subscribe(&[("dance", "x")]));
    }
    assert_eq!(code(talker.say(2, &subscribe(&[("status", "")]))), "60014", "480 an hour");
    let connects: Vec<_> =
        (10..14).map(|conn| talker.venue.connect(conn, PUBLIC, talker.now_ns)).collect();
    assert_eq!(connects, [Ok(()), Ok(()), Ok(()), Err(429)], "three a second");
}
