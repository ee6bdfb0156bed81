//! The public streams: a follower that obeys the protocol sheet rebuilds the venue's book.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use std::collections::BTreeMap;

use bot4_venue::recorded::Recording;
use bot4_venue::script;
use bot4_venue::{Config, MarketSource};
use common::{Client, MARKET, START_NS, config};
use serde_json::{Value, json};

const ALL: &str = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade/\
                   btcusdt@aggTrade/btcusdt@depth/btcusdt@depth5@100ms";

type Sides = [BTreeMap<i64, String>; 2];

fn price(text: &Value) -> i64 {
    bot4_venue::decimal::parse(text.as_str().unwrap()).unwrap()
}

fn apply(sides: &mut Sides, bids: &Value, asks: &Value) {
    for (side, levels) in sides.iter_mut().zip([bids, asks]) {
        for level in levels.as_array().unwrap() {
            let qty = level[1].as_str().unwrap();
            if qty == "0.00000000" {
                side.remove(&price(&level[0]));
            } else {
                side.insert(price(&level[0]), qty.to_owned());
            }
        }
    }
}

fn of<'a>(client: &'a Client, stream: &str) -> Vec<&'a Value> {
    client.market.iter().filter(|(_, v)| v["stream"] == stream).map(|(_, v)| &v["data"]).collect()
}

fn run(config: Config, path: &str, seconds: u64) -> Client {
    let mut client = Client::new(config);
    client.venue.connect(MARKET, path, client.now_ns).unwrap();
    for _ in 0..seconds * 20 {
        client.advance_ms(50);
    }
    client
}

#[test]
fn the_rules_of_the_local_book_hold() {
    let mut client = Client::new(config());
    client.venue.connect(MARKET, ALL, client.now_ns).unwrap();
    client.advance_ms(730);
    let snapshot =
        client.call("depth", json!({"symbol": "BTCUSDT", "limit": 5000}))["result"].take();
    for _ in 0..50 {
        client.advance_ms(100);
    }
    // 5.78 s after the start, which lies 50 ms behind a border: now exactly on one.
    client.advance_ms(20);
    assert_eq!(client.now_ms() % 100, 0);
    let last = client.call("depth", json!({"symbol": "BTCUSDT", "limit": 5000}))["result"].take();
    let mut sides: Sides = Default::default();
    apply(&mut sides, &snapshot["bids"], &snapshot["asks"]);
    assert!(sides[0].len() >= 1000 && sides[1].len() >= 1000, "about 1200 levels a side");
    let mut id = snapshot["lastUpdateId"].as_u64().unwrap();
    let (mut previous, mut applied) = (None, 0);
    for event in of(&client, "btcusdt@depth@100ms") {
        let (first, next) = (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap());
        assert!(previous.is_none_or(|p| first == p + 1), "contiguous");
        assert_eq!(event["E"].as_u64().unwrap() % 100, 0, "on the 100 ms border");
        previous = Some(next);
        if next <= id {
            continue;
        }
        assert!(first <= id + 1, "no gap");
        let changed = event["b"].as_array().unwrap().len() + event["a"].as_array().unwrap().len();
        assert!((next - first + 1) as usize >= changed && changed > 0);
        apply(&mut sides, &event["b"], &event["a"]);
        id = next;
        applied += 1;
        let (bid, ask) = (sides[0].last_key_value().unwrap(), sides[1].first_key_value().unwrap());
        assert!(bid.0 < ask.0);
        let tickers = of(&client, "btcusdt@bookTicker");
        if let Some(ticker) = tickers.iter().rfind(|t| t["u"].as_u64().unwrap() <= id) {
            assert_eq!((price(&ticker["b"]), ticker["B"].as_str()), (*bid.0, Some(bid.1.as_str())));
            assert_eq!((price(&ticker["a"]), ticker["A"].as_str()), (*ask.0, Some(ask.1.as_str())));
        }
    }
    assert!(applied > 45, "{applied} events in 5 s");
    // The last event was sent at this very moment, so the whole books must be equal.
    assert_eq!(last["lastUpdateId"].as_u64().unwrap(), id);
    let mut twin: Sides = Default::default();
    apply(&mut twin, &last["bids"], &last["asks"]);
    assert_eq!(twin, sides);
}

#[test]
fn the_market_is_lively_and_trades_number_one_by_one() {
    let client = run(config(), ALL, 10);
    let trades = of(&client, "btcusdt@trade");
    assert!(trades.len() > 600, "{} trades in 10 s", trades.len());
    assert!(of(&client, "btcusdt@bookTicker").len() > 300);
    for pair in trades.windows(2) {
        assert_eq!(pair[0]["t"].as_u64().unwrap() + 1, pair[1]["t"].as_u64().unwrap());
    }
    let sum = |events: &[&Value]| events.iter().map(|e| price(&e["q"])).sum::<i64>();
    let aggregated = of(&client, "btcusdt@aggTrade");
    assert_eq!(sum(&trades), sum(&aggregated));
    assert!(aggregated.len() <= trades.len());
    let slow = of(&client, "btcusdt@depth");
    assert_eq!(slow.len(), 10);
    assert_eq!(of(&client, "btcusdt@depth5@100ms")[0]["bids"].as_array().unwrap().len(), 5);
    let prices: Vec<i64> = trades.iter().map(|t| price(&t["p"])).collect();
    let (low, high) = (prices.iter().min().unwrap(), prices.iter().max().unwrap());
    assert!(high > low && (high - low) < low / 50, "walks, but not away: {low}..{high}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_however_often_it_is_ticked() {
    let texts = |step_ms: u64, seed: u64| {
        let mut client = Client::new(Config { seed, ..config() });
        client.venue.connect(MARKET, ALL, START_NS).unwrap();
        for _ in 0..2_000 / step_ms {
            client.advance_ms(step_ms);
        }
        client.market.into_iter().map(|(text, _)| text).collect::<Vec<_>>()
    };
    assert_eq!(texts(1, 5), texts(500, 5));
    assert_ne!(texts(500, 5), texts(500, 6));
}

#[test]
fn control_messages_and_raw_streams() {
    let mut client = Client::new(config());
    client.venue.connect(MARKET, "/ws/ethusdt@bookTicker?timeUnit=MICROSECOND", START_NS).unwrap();
    let say = |client: &mut Client, text: &str| {
        client.now_ns += 300_000_000;
        client.venue.tick(client.now_ns);
        client.collect();
        client.market.clear();
        client.venue.on_text(MARKET, text, client.now_ns);
        client.collect();
        client.market[0].0.clone()
    };
    let answer = say(&mut client, r#"{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":7}"#);
    assert_eq!(answer, r#"{"result":null,"id":7}"#);
    client.advance_ms(2_000);
    assert!(client.market.iter().any(|(t, _)| t.starts_with(r#"{"u":"#)), "raw quotes");
    let trade = client.market.iter().find(|(_, v)| v["e"] == "trade").unwrap();
    assert_eq!(trade.1["E"].as_u64().unwrap() / 1_000_000_000_000_000, 1, "microseconds");
    let gone = r#"{"method":"UNSUBSCRIBE","params":["ethusdt@trade","ethusdt@bookTicker"],"id":8}"#;
    say(&mut client, gone);
    client.market.clear();
    client.advance_ms(1_000);
    assert!(client.market.is_empty());
    let combined = r#"{"method":"SET_PROPERTY","params":["combined",true],"id":9}"#;
    assert_eq!(say(&mut client, combined), r#"{"result":null,"id":9}"#);
    assert!(say(&mut client, r#"{"method":"NO","id":1}"#).contains(r#""code":2"#));
    assert!(say(&mut client, "nonsense").contains(r#""code":3"#));
}

#[test]
fn scripted_faults_strike() {
    let faults = "1s lose-depth BTCUSDT\n2s repeat-depth BTCUSDT\n3s silent 2s\n6s shutdown-notice";
    let script = script::parse(faults).unwrap();
    let client = run(Config { script, ..config() }, ALL, 8);
    let events = of(&client, "btcusdt@depth@100ms");
    let ids = |e: &Value| (e["U"].as_u64().unwrap(), e["u"].as_u64().unwrap());
    let pairs = || events.windows(2).map(|p| (ids(p[0]), ids(p[1])));
    let gaps = pairs().filter(|(a, b)| b.0 > a.1 + 1).count();
    let repeats = pairs().filter(|(a, b)| a == b).count();
    assert_eq!((gaps, repeats), (2, 1), "one lost, one repeated, one silence");
    let times: Vec<u64> = events.iter().map(|e| e["E"].as_u64().unwrap()).collect();
    assert!(times.windows(2).any(|p| p[1] - p[0] >= 2_000), "silent for 2 s");
    let notice = client.market.iter().find(|(_, v)| v["stream"] == "!serverShutdown");
    assert_eq!(notice.unwrap().1["data"]["e"], "serverShutdown");
}

#[test]
fn scripted_faults_hit_orders() {
    let script =
        script::parse("1s lose-ack\n2s fail-ack\n3s lose-report\n4s clock-jump 30s").unwrap();
    let mut client = Client::ready(Config { script, ..config() });
    let place = |client: &mut Client| {
        let params = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT",
            "timeInForce": "GTC", "price": "50000", "quantity": "0.001",
            "timestamp": client.now_ms()});
        client.events.clear();
        let text = json!({"id": "o", "method": "order.place", "params": params}).to_string();
        client.send(&text).map(|t| serde_json::from_str::<Value>(&t).unwrap())
    };
    client.advance_ms(1_000);
    assert_eq!(place(&mut client), None);
    assert_eq!(client.events[0]["x"], "NEW", "the order stands");
    client.advance_ms(1_000);
    let failed = place(&mut client).unwrap();
    assert_eq!((&failed["id"], &failed["status"]), (&json!("o"), &json!(500)));
    client.advance_ms(1_000);
    assert_eq!(place(&mut client).unwrap()["status"], 200);
    assert!(client.events.iter().all(|e| e["e"] != "executionReport"));
    client.advance_ms(1_000);
    assert_eq!(place(&mut client).unwrap()["error"]["code"], -1021, "the venue's clock jumped");
    client.advance_ms(1_000);
    let answer = client.trade("openOrders.status", json!({"recvWindow": 60000}));
    assert_eq!(answer["result"].as_array().unwrap().len(), 3);
}

fn shared(path: &str) -> Option<std::path::PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let path = std::path::Path::new(root).join(path);
    if !path.exists() {
        println!("skipped: no shared data");
        return None;
    }
    Some(path)
}

const RECORDING: &str = "recordings/binance_spot_btcusdt_20240808/btcusdt_20240808.gz";

fn recorded(path: &std::path::Path, trade: bool, speed_milli: u64) -> Config {
    let recording = Recording::open(path).unwrap();
    Config { market: MarketSource::Recorded { recording, trade, speed_milli }, ..config() }
}

#[test]
fn a_recording_is_served_verbatim_and_its_snapshot_fits() {
    let Some(path) = shared(RECORDING) else { return };
    let recording = Recording::open(&path).unwrap();
    let expected: Vec<String> = recording
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .take_while(|e| e.at_ns < recording.first_ns() + 20_000_000_000)
        .filter(|e| !e.stream.is_empty())
        .map(|e| format!(r#"{{"stream":"{}","data":{}}}"#, e.stream, e.data))
        .collect();
    let mut client = Client::ready(recorded(&path, false, 10_000));
    let streams = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade";
    client.venue.connect(MARKET, streams, client.now_ns).unwrap();
    let early = client.call("depth", json!({"symbol": "BTCUSDT", "limit": 1000}));
    assert_eq!(early["result"]["lastUpdateId"], 50_093_239_218_u64);
    client.advance_ms(1_999);
    client.advance_ms(1);
    let served: Vec<String> = client.market.iter().map(|(text, _)| text.clone()).collect();
    assert!(served.len().abs_diff(expected.len()) <= 1 && served.len() > 1_000);
    let common = served.len().min(expected.len());
    assert_eq!(served[..common], expected[..common]);
    let closed = client.limit("BTCUSDT", "BUY", "60000", "0.001", "GTC");
    assert_eq!(closed["error"]["msg"], "Market is closed.");
    let late = client.call("depth", json!({"symbol": "BTCUSDT", "limit": 1}));
    let last = of(&client, "btcusdt@depth@100ms").last().unwrap()["u"].clone();
    assert_eq!(late["result"]["lastUpdateId"], last);
    let ticker =
        of(&client, "btcusdt@bookTicker").into_iter().rfind(|t| t["u"].as_u64() <= last.as_u64());
    assert_eq!(late["result"]["bids"][0][0], ticker.unwrap()["b"]);
}

#[test]
fn a_recording_can_be_traded_against() {
    let Some(path) = shared(RECORDING) else { return };
    let mut client = Client::ready(recorded(&path, true, 5_000));
    client.venue.connect(MARKET, ALL, client.now_ns).unwrap();
    let mut fills = 0;
    for _ in 0..20 {
        let (bid, ask) = client.best("BTCUSDT");
        assert_eq!(client.limit("BTCUSDT", "BUY", &bid, "0.001", "GTC")["status"], 200);
        assert_eq!(client.limit("BTCUSDT", "SELL", &ask, "0.001", "GTC")["status"], 200);
        client.advance_ms(500);
        fills += client.events.drain(..).filter(|e| e["x"] == "TRADE" && e["m"] == true).count();
        client.trade("openOrders.cancelAll", json!({"symbol": "BTCUSDT"}));
        let book = &client.venue.exchange().markets[0].book;
        let best = |side| book.best(side).unwrap().0;
        let (bid, ask) = (bot4_venue::matching::Side::Buy, bot4_venue::matching::Side::Sell);
        assert!(best(bid) < best(ask));
    }
    assert!(fills > 5, "{fills} fills");
    let spec = &client.venue.exchange().markets[0].spec;
    assert_eq!((spec.tick, spec.lot), (1_000_000, 1_000), "cent and 0.00001");
    assert!(of(&client, "btcusdt@depth@100ms").len() > 90);
}
