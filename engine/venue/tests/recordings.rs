//! Recordings are served line by line as recorded, and whoever comes in mid-stream gets a
//! snapshot that fits exactly what follows.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use bot4_venue::tape::Tape;
use common::dialects::{Follower, Talker, crc32, shared, taped, value};
use common::recordings::{assert_same, lines};
use serde_json::{Value, json};

/// One book message: its market, whether it starts over, its entries, what it says of itself.
type Reading = (String, bool, Vec<(usize, String, String)>, Value);
type Books = BTreeMap<String, Follower>;

fn lists(side: usize, levels: &Value, out: &mut Vec<(usize, String, String)>) {
    for level in levels.as_array().into_iter().flatten() {
        let text = |n: usize| level[n].as_str().unwrap().to_owned();
        out.push((side, text(0), text(1)));
    }
}

/// Plays a whole recording to a listener from the start, and to one who comes in the middle and,
/// after a disconnect, once more; `read` reads a book message, `check` looks at each book after it.
struct Session<'a> {
    venue: &'static str,
    path: &'a str,
    file: &'a Path,
    speed_milli: u64,
    subscribe: &'a [String],
    depth: usize,
    read: fn(&str) -> Option<Reading>,
    check: fn(&Follower, &Value),
}

impl Session<'_> {
    fn follow(&self, texts: &[String]) -> Books {
        let mut books = Books::new();
        for text in texts {
            let Some((market, is_snapshot, levels, message)) = (self.read)(text) else { continue };
            if is_snapshot {
                books.insert(market.clone(), Follower::default());
            }
            // A delta before any snapshot would be a mistake of the venue.
            let book = books.get_mut(&market).unwrap_or_else(|| panic!("no snapshot: {text}"));
            for (side, price, qty) in levels {
                book.set(side, &price, &qty);
            }
            book.cut(self.depth);
            book.assert_uncrossed();
            (self.check)(book, &message);
        }
        books
    }

    fn enter(&self, talker: &mut Talker, conn: u64) {
        talker.open(conn, self.path);
        self.subscribe.iter().for_each(|text| _ = talker.say(conn, text));
    }

    /// What the first listener heard, and the end of the books.
    fn run(&self, quarter_ms: u64) -> Vec<String> {
        let tape = Tape::open(self.file).unwrap();
        let mut talker = Talker::new(taped(self.venue, tape, self.speed_milli));
        self.enter(&mut talker, 1);
        talker.run_ms(quarter_ms, 10);
        self.enter(&mut talker, 2);
        let joined = talker.texts(1).len();
        talker.run_ms(quarter_ms, 10);
        talker.leave(2);
        let left = talker.take(2);
        talker.run_ms(quarter_ms, 10);
        self.enter(&mut talker, 2);
        let joined_again = talker.texts(1).len();
        talker.run_ms(2 * quarter_ms, 10);
        let all = talker.take(1);
        let second = talker.take(2);
        let books = self.follow(&all);
        assert!(!books.is_empty());
        // In mid-stream: the snapshot is what the first listener held at that moment.
        let snapshots = |texts: &[String]| -> Vec<String> {
            let is_first = |text: &&String| (self.read)(text).is_some_and(|reading| reading.1);
            texts.iter().filter(is_first).cloned().collect()
        };
        let count = books.len();
        assert_eq!(self.follow(&snapshots(&left)[..count]), self.follow(&all[..joined]));
        assert_eq!(self.follow(&snapshots(&second)[..count]), self.follow(&all[..joined_again]));
        // And what follows leads to the same end.
        assert_eq!(self.follow(&second), books);
        assert!(left.len() > count && second.len() > count);
        all
    }
}

// ---- Kraken

fn kraken(text: &str) -> Option<Reading> {
    let message = value(text);
    if message["channel"] != "book" {
        return None;
    }
    let market = message["data"][0]["symbol"].as_str()?.to_owned();
    let mut levels = Vec::new();
    for (side, name) in ["bids", "asks"].into_iter().enumerate() {
        let (_, rest) = text.split_once(&format!("\"{name}\":["))?;
        for level in rest[..rest.find(']')?].split('}').filter(|level| !level.is_empty()) {
            let number = |key: &str| {
                let (_, rest) = level.split_once(key).unwrap();
                rest.split(',').next().unwrap().to_owned()
            };
            levels.push((side, number("\"price\":"), number("\"qty\":")));
        }
    }
    Some((market, message["type"] == "snapshot", levels, message))
}

/// The checksum over numbers with this many digits; `None`: as they are.
fn kraken_checksum(book: &Follower, digits: Option<[usize; 2]>) -> Value {
    let mut text = String::new();
    for side in [1, 0] {
        for (price, qty) in book.best(side, 10) {
            for (n, number) in [price, qty].into_iter().enumerate() {
                let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
                let width = digits.map_or(fraction.len(), |digits| digits[n]);
                text.push_str(format!("{whole}{fraction:0<width$}").trim_start_matches('0'));
            }
        }
    }
    json!(crc32(text.as_bytes()))
}

fn kraken_session(folder: &str, depth: usize, symbols: &Value, check: fn(&Follower, &Value)) {
    let Some(file) = shared(folder) else { return };
    let ask = json!({"method": "subscribe",
        "params": {"channel": "book", "symbol": symbols, "depth": depth}});
    let session = Session {
        venue: "kraken",
        path: "/v2",
        file: &file,
        speed_milli: 10_000,
        subscribe: &[ask.to_string()],
        depth,
        read: kraken,
        check,
    };
    let all = session.run(1_700);
    let book = |t: &&String| t.starts_with(r#"{"channel":"book","#);
    let data: Vec<&String> = all.iter().filter(book).collect();
    assert_same(&data, &lines(&file).iter().collect::<Vec<_>>());
}

#[test]
fn kraken_depth_10() {
    let check = |book: &Follower, message: &Value| {
        assert_eq!(message["data"][0]["checksum"], kraken_checksum(book, Some([1, 8])));
    };
    kraken_session(
        "recordings/kraken_v2_btcusd_d10_20230730/book.jsonl",
        10,
        &json!(["BTC/USD"]),
        check,
    );
}

#[test]
fn kraken_depth_1000() {
    let check = |book: &Follower, message: &Value| {
        assert_eq!(message["data"][0]["checksum"], kraken_checksum(book, None));
    };
    let symbols = json!(["BTC/CHF", "XMR/USD", "SC/EUR", "ADA/BTC", "GRT/ETH"]);
    kraken_session("recordings/kraken_v2shape_d1000_20210417/book.feed.gz", 1000, &symbols, check);
}

// ---- Bybit

fn bybit(text: &str) -> Option<Reading> {
    let message = value(text);
    let topic = message["topic"].as_str().filter(|topic| topic.starts_with("orderbook."))?;
    let mut levels = Vec::new();
    lists(0, &message["data"]["b"], &mut levels);
    lists(1, &message["data"]["a"], &mut levels);
    Some((topic.to_owned(), message["type"] == "snapshot", levels, message))
}

#[test]
fn bybit_spot() {
    let Some(file) = shared("recordings/bybit_v5_spot_20260809/ws.feed.gz") else { return };
    let asks = ["tickers", "orderbook.200", "publicTrade", "kline.1"].map(|head| {
        json!({"op": "subscribe", "args": [format!("{head}.BTCUSDT"), format!("{head}.ETHUSDT")]})
            .to_string()
    });
    let session = Session {
        venue: "bybit",
        path: "/v5/public/spot",
        file: &file,
        speed_milli: 10_000,
        subscribe: &asks,
        depth: 200,
        read: bybit,
        check: |book, _| assert_eq!([book.sides[0].len(), book.sides[1].len()], [200, 200]),
    };
    let all = session.run(1_200);
    let data: Vec<&String> = all.iter().filter(|text| text.contains("topic")).collect();
    let recorded = lines(&file);
    assert_same(&data, &recorded.iter().filter(|t| t.contains("topic")).collect::<Vec<_>>());
    let mut last = BTreeMap::new();
    for (topic, _, _, message) in all.iter().filter_map(|text| bybit(text)) {
        let u = message["data"]["u"].as_u64().unwrap();
        assert!(last.insert(topic, u).is_none_or(|last| u == last + 1));
    }
}

#[test]
fn a_snapshot_of_bybit_goes_on_with_the_next_number() {
    let Some(file) = shared("recordings/bybit_v5_spot_20260809/ws.feed.gz") else { return };
    let mut talker = Talker::new(taped("bybit", Tape::open(&file).unwrap(), 1_000));
    let ask = r#"{"op":"subscribe","args":["orderbook.200.BTCUSDT"],"req_id":"7"}"#;
    talker.open(1, "/v5/public/spot");
    talker.say(1, ask);
    talker.run_ms(20_000, 10);
    talker.open(2, "/v5/public/spot");
    let answers = talker.say(2, ask);
    assert!(answers[0].contains(r#""req_id":"7""#) && answers.len() == 2, "{answers:?}");
    let place = |text: &str| {
        let message = value(text);
        let time = message["ts"].clone();
        (message["data"]["u"].clone(), message["data"]["seq"].clone(), message["cts"].clone(), time)
    };
    assert_eq!(place(&answers[1]), place(talker.texts(1).last().unwrap()));
    talker.run_ms(2_000, 10);
    let next = value(&talker.texts(2)[2]);
    assert_eq!(next["data"]["u"].as_u64(), value(&answers[1])["data"]["u"].as_u64().map(|u| u + 1));
}

// ---- OKX

fn okx(text: &str) -> Option<Reading> {
    let message = value(text);
    let arg = &message["arg"];
    message["action"].as_str()?;
    let mut levels = Vec::new();
    lists(0, &message["data"][0]["bids"], &mut levels);
    lists(1, &message["data"][0]["asks"], &mut levels);
    let market = arg["instId"].as_str()?.to_owned();
    Some((market, message["action"] == "snapshot", levels, message))
}

fn okx_checksum(book: &Follower, message: &Value) {
    let sides = [book.best(0, 25), book.best(1, 25)];
    let mut parts = Vec::new();
    for n in 0..25 {
        for (price, qty) in sides.iter().filter_map(|side| side.get(n)) {
            parts.extend([price.as_str(), qty]);
        }
    }
    let sum = crc32(parts.join(":").as_bytes()) as i32;
    assert_eq!(message["data"][0]["checksum"].as_i64(), Some(i64::from(sum)));
}

fn okx_session(file: &str, args: &[Value]) {
    let Some(file) = shared(file) else { return };
    let ask = json!({"op": "subscribe", "args": args});
    let session = Session {
        venue: "okx",
        path: "/ws/v5/public",
        file: &file,
        speed_milli: 5_000,
        subscribe: &[ask.to_string()],
        depth: 400,
        read: okx,
        check: okx_checksum,
    };
    let all = session.run(1_600);
    let acks = all.iter().filter(|text| text.contains(r#""event":"subscribe""#)).count();
    assert_eq!(acks, args.len(), "one an argument");
    let data: Vec<&String> = all.iter().filter(|text| text.contains(r#""data":"#)).collect();
    let recorded = lines(&file);
    assert_same(&data, &recorded.iter().filter(|t| t.contains(r#""data":"#)).collect::<Vec<_>>());
}

#[test]
fn okx_one_book_with_the_old_checksum() {
    let arg = |channel: &str| json!({"channel": channel, "instId": "BTC-USDT"});
    let args = ["books", "trades", "tickers"].map(arg);
    okx_session("recordings/okx_v5_btcusdt_20220513/ws.feed.gz", &args);
}

#[test]
fn okx_ten_instruments_and_short_books() {
    let mut args = Vec::new();
    for inst in [
        "FUN-BTC",
        "BTC-USD-210924-66000-C",
        "XMR-USDT-SWAP",
        "AUCTION-USDT",
        "OKT-BTC",
        "PAY-BTC",
        "BTC-USD-210924-42000-P",
        "ONT-USDT",
        "DHT-USDT",
        "TRX-USDT-210924",
    ] {
        for channel in ["books-l2-tbt", "trades", "tickers"] {
            args.push(json!({"channel": channel, "instId": inst}));
        }
    }
    okx_session("recordings/okx_v5_mixed_20210722/ws.feed.gz", &args);
}

#[test]
fn okx_books_are_served_from_a_tick_by_tick_recording() {
    let path = "recordings/okx_v5_mixed_20210722/ws.feed.gz";
    let Some(file) = shared(path) else { return };
    let ask = |channel: &str| {
        json!({"op": "subscribe", "args": [{"channel": channel, "instId": "XMR-USDT-SWAP"}]})
            .to_string()
    };
    let mut talker = Talker::new(taped("okx", Tape::open(&file).unwrap(), 5_000));
    for (conn, channel) in [(1, "books-l2-tbt"), (2, "books")] {
        talker.open(conn, "/ws/v5/public");
        talker.say(conn, &ask(channel));
    }
    talker.run_ms(3_000, 10);
    talker.say(2, &ask("books").replace("subscribe", "unsubscribe"));
    let away = talker.texts(2).len();
    let missed = talker.texts(1).len();
    talker.run_ms(500, 10);
    assert_eq!(talker.texts(2).len(), away);
    let caught_up = talker.texts(1).len();
    assert!(caught_up > missed);
    let back = talker.say(2, &ask("books"));
    assert_eq!(okx(&back[1]).map(|reading| reading.1), Some(true), "a snapshot");
    assert!(back[1].contains(r#""channel":"books","#));
    talker.run_ms(4_000, 10);
    let renamed: Vec<String> = talker.texts(1)[1..missed]
        .iter()
        .chain(&talker.texts(1)[caught_up..])
        .map(|text| text.replace("books-l2-tbt", "books"))
        .collect();
    // Without the acknowledgements and the snapshot of the return.
    let data = |text: &&String| text.contains(r#""data":"#) && **text != back[1];
    let other: Vec<&String> = talker.texts(2).iter().filter(data).collect();
    assert_same(&other, &renamed.iter().collect::<Vec<_>>());
}

// ---- Coinbase

fn coinbase(text: &str) -> Option<Reading> {
    if !text.starts_with(r#"{"channel":"l2_data""#) {
        return None;
    }
    let message = value(text);
    let event = &message["events"][0];
    let market = event["product_id"].as_str()?.to_owned();
    let mut levels = Vec::new();
    for update in event["updates"].as_array()? {
        let side = if update["side"] == "bid" { 0 } else { 1 };
        let text = |key: &str| update[key].as_str().unwrap().to_owned();
        levels.push((side, text("price_level"), text("new_quantity")));
    }
    let is_snapshot = event["type"] == "snapshot";
    Some((market, is_snapshot, levels, json!(message["sequence_num"])))
}

#[test]
fn coinbase_everything_and_a_part() {
    let Some(file) = shared("recordings/coinbase_at_20260809/ws.feed.gz") else { return };
    let asks = ["market_trades", "candles", "ticker", "level2", "heartbeats"].map(|channel| {
        json!({"type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": channel})
            .to_string()
    });
    let session = Session {
        venue: "coinbase",
        path: "/",
        file: &file,
        speed_milli: 5_000,
        subscribe: &asks,
        depth: usize::MAX,
        read: coinbase,
        check: |_, _| {},
    };
    let all = session.run(1_300);
    let recorded = lines(&file);
    // Byte for byte, numbers and acknowledgements too, and nothing after the end.
    assert_same(&all.iter().collect::<Vec<_>>(), &recorded.iter().collect::<Vec<_>>());
}

#[test]
fn a_part_of_coinbase_has_a_sequence_of_its_own() {
    let Some(file) = shared("recordings/coinbase_at_20260809/ws.feed.gz") else { return };
    let mut talker = Talker::new(taped("coinbase", Tape::open(&file).unwrap(), 1_000));
    talker.open(1, "/");
    let ask = |channel: &str| {
        json!({"type": "subscribe", "product_ids": ["ETH-USD"], "channel": channel}).to_string()
    };
    assert!(talker.say(1, &ask("level2")).is_empty(), "the snapshot comes before the answer");
    talker.say(1, &ask("market_trades"));
    talker.run_ms(6_000, 10);
    talker.open(2, "/");
    talker.say(2, &ask("level2"));
    talker.run_ms(6_000, 10);
    for conn in [1, 2] {
        let numbers = talker.texts(conn).iter().map(|text| value(text)["sequence_num"].as_u64());
        assert!(numbers.eq((0..).map(Some).take(talker.texts(conn).len())), "from 0 by one");
    }
    let kinds: Vec<Value> = talker.texts(2).iter().map(|t| value(t)["channel"].take()).collect();
    assert_eq!(kinds[..3], [json!("l2_data"), json!("subscriptions"), json!("l2_data")]);
    let listed = value(&talker.texts(2)[1])["events"][0]["subscriptions"].take();
    assert_eq!(listed, json!({"level2": ["ETH-USD"]}));
    let listings = talker.with(1, r#""channel":"subscriptions""#);
    assert_eq!(listings.len(), 2);
    let last = value(listings[1])["events"][0]["subscriptions"].take();
    assert_eq!(last, json!({"level2": ["ETH-USD"], "market_trades": ["ETH-USD"]}));
}

// ---- The same connection once more

#[test]
fn unsubscribing_and_subscribing_again_gets_a_snapshot_that_fits() {
    type Case = (&'static str, &'static str, &'static str, Value, fn(&str) -> Option<Reading>);
    let book = json!({"channel": "book", "symbol": ["XMR/USD"], "depth": 1000});
    let books = json!([{"channel": "books", "instId": "BTC-USDT"}]);
    let cases: [Case; 4] = [
        (
            "kraken",
            "/v2",
            "kraken_v2shape_d1000_20210417/book.feed.gz",
            json!({"method": "subscribe", "params": book}),
            kraken,
        ),
        (
            "bybit",
            "/v5/public/spot",
            "bybit_v5_spot_20260809/ws.feed.gz",
            json!({"op": "subscribe", "args": ["orderbook.200.BTCUSDT"]}),
            bybit,
        ),
        (
            "okx",
            "/ws/v5/public",
            "okx_v5_btcusdt_20220513/ws.feed.gz",
            json!({"op": "subscribe", "args": books}),
            okx,
        ),
        (
            "coinbase",
            "/",
            "coinbase_at_20260809/ws.feed.gz",
            json!({"type": "subscribe", "channel": "level2", "product_ids": ["ETH-USD"]}),
            coinbase,
        ),
    ];
    for case in cases {
        leave_and_come_back(case.0, case.1, case.2, &case.3, case.4);
    }
}

fn leave_and_come_back(
    venue: &'static str,
    path: &str,
    file: &str,
    ask: &Value,
    read: fn(&str) -> Option<Reading>,
) {
    let Some(file) = shared(&format!("recordings/{file}")) else { return };
    let mut talker = Talker::new(taped(venue, Tape::open(&file).unwrap(), 1_000));
    for conn in [1, 2] {
        talker.open(conn, path);
        talker.say(conn, &ask.to_string());
    }
    talker.run_ms(4_000, 10);
    talker.say(2, &ask.to_string().replace("subscribe", "unsubscribe"));
    let gone = talker.texts(2).len();
    talker.run_ms(2_000, 10);
    let books =
        |texts: &[String]| -> Vec<Reading> { texts.iter().filter_map(|t| read(t)).collect() };
    assert!(books(&talker.texts(2)[gone..]).is_empty(), "{venue}: nothing while away");
    talker.say(2, &ask.to_string());
    let held = books(talker.texts(1)).len();
    talker.run_ms(4_000, 10);
    let again = books(&talker.texts(2)[gone..]);
    assert!(again[0].1, "{venue}: a snapshot first");
    let after = &books(talker.texts(1))[held..];
    let entries = |readings: &[Reading]| -> Vec<Vec<(usize, String, String)>> {
        readings.iter().map(|r| r.2.clone()).collect()
    };
    assert!(!after.is_empty());
    assert_eq!(entries(&again[1..]), entries(after), "{venue}: then what the other line hears");
}
