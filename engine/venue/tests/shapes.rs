//! Golden samples: what the venue says has the keys, the order and the number texts of the real
//! one's messages.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use std::path::{Path, PathBuf};

use common::{Client, MARKET, config, keys};
use serde_json::{Value, json};

fn sample(path: &str) -> Option<Value> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/venues/binance/samples");
    let path: PathBuf = Path::new(root).join(path);
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: no shared data");
        return None;
    };
    Some(serde_json::from_str(text.lines().next_back().unwrap()).unwrap())
}

/// The same keys in the same order, and each number written alike (digits after the point).
fn assert_shape(ours: &Value, real: &Value) {
    assert_eq!(keys(ours), keys(real), "\nours {ours}\nreal {real}");
    match (ours, real) {
        (Value::Object(ours), Value::Object(real)) => {
            ours.iter().zip(real).for_each(|((_, a), (_, b))| assert_shape(a, b));
        }
        (Value::Array(ours), Value::Array(real)) => {
            if let (Some(a), Some(b)) = (ours.first(), real.first()) {
                assert_shape(a, b);
            }
        }
        (Value::String(a), Value::String(b)) => {
            let digits = |t: &str| {
                let number = t.parse::<f64>().is_ok() && t.contains('.');
                number.then(|| t.split_once('.').map(|(_, f)| f.len()))
            };
            assert_eq!(digits(a), digits(b), "{a} and {b}");
        }
        (a, b) => assert_eq!(a.is_string(), b.is_string(), "{a} and {b}"),
    }
}

#[test]
fn api_answers_and_events() {
    let mut client = Client::new(config());
    let timestamp = client.now_ms();
    let logon = client.call("session.logon", common::signed(&json!({"timestamp": timestamp})));
    let subscribed = client.call("userDataStream.subscribe", json!({}));
    let placed = client.limit("BTCUSDT", "BUY", "50000", "0.001", "GTC");
    let report: Value = serde_json::from_str(&client.raw_events[0]).unwrap();
    let position = client.events[1].clone();
    let canceled = client.trade("openOrders.cancelAll", json!({"symbol": "BTCUSDT"}));
    let open = client.trade("openOrders.status", json!({"symbol": "BTCUSDT"}));
    let trades = client.trade("myTrades", json!({"symbol": "BTCUSDT"}));
    for (mut ours, file) in [
        (logon, "real_wire/wsapi_session_logon.json"),
        (subscribed, "real_wire/wsapi_user_data_stream_subscribe.json"),
        (placed, "real_wire/wsapi_order_place.json"),
        (report, "real_wire/wsapi_execution_report.json"),
        (json!({"stream": "x", "data": position}), "real_wire/outbound_account_position.json"),
        (canceled, "real_wire/wsapi_cancel_open_orders.json"),
        (open, "real_wire/wsapi_open_orders.json"),
        (trades, "real_wire/wsapi_trades.json"),
    ] {
        let Some(real) = sample(file) else { return };
        if real["id"].is_string() {
            ours["id"] = "the client chooses".into();
        }
        assert_shape(&ours, &real);
    }
}

#[test]
fn market_messages() {
    let mut client = Client::new(config());
    let streams = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade/\
                   btcusdt@aggTrade";
    client.venue.connect(MARKET, streams, client.now_ns).unwrap();
    (0..30).for_each(|_| client.advance_ms(100));
    for (stream, file) in [
        ("btcusdt@depth@100ms", "ws_btcusdt_depth_100ms_first.json"),
        ("btcusdt@bookTicker", "ws_btcusdt_bookTicker.json"),
        ("btcusdt@trade", "ws_btcusdt_trade.json"),
        ("btcusdt@aggTrade", "ws_multi_aggTrade.json"),
    ] {
        let Some(real) = sample(file) else { return };
        let ours = client.market.iter().find(|(_, v)| v["stream"] == stream).unwrap();
        assert_shape(&ours.1, &real);
        // Byte for byte what a writer without blanks makes of it.
        assert_eq!(ours.0, ours.1.to_string());
    }
    let depth = client.call("depth", json!({"symbol": "BTCUSDT", "limit": 1000}))["result"].take();
    let Some(real) = sample("rest_depth_limit1000_btcusdt.json") else { return };
    assert_shape(&depth, &real);
}

#[test]
fn exchange_info_reads_like_the_real_one() {
    let mut client = Client::new(config());
    let info = client.call("exchangeInfo", json!({}))["result"].take();
    let Some(real) = sample("rest_exchangeInfo_20250807_25symbols.json") else { return };
    let find = |info: &Value| {
        let symbols = info["symbols"].as_array().unwrap();
        symbols.iter().find(|s| s["symbol"] == "BTCUSDT").unwrap().clone()
    };
    let (ours, real) = (find(&info), find(&real));
    let names = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let missing: Vec<_> = names(&real).into_iter().filter(|k| ours.get(k).is_none()).collect();
    assert_eq!(missing, Vec::<String>::new());
    let filter = |symbol: &Value, name: &str| {
        let filters = symbol["filters"].as_array().unwrap();
        filters.iter().find(|f| f["filterType"] == name).unwrap().clone()
    };
    for name in ["PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "NOTIONAL", "PERCENT_PRICE_BY_SIDE"]
    {
        let (mut a, mut b) = (names(&filter(&ours, name)), names(&filter(&real, name)));
        a.sort();
        b.sort();
        assert_eq!(a, b, "{name}");
    }
    for key in ["tickSize", "minPrice"] {
        assert_eq!(filter(&ours, "PRICE_FILTER")[key], filter(&real, "PRICE_FILTER")[key]);
    }
    assert_eq!(filter(&ours, "LOT_SIZE")["stepSize"], filter(&real, "LOT_SIZE")["stepSize"]);
    assert_eq!(info["rateLimits"][1]["limit"], 20_000);
}
