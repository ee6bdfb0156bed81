//! The whole venue over real sockets and TLS, with an ordinary WebSocket client.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use bot4_venue::{VenueOptions, run};
use common::wire::{Running, call, connect, logon, now_ms, pause, text};
use serde_json::json;
use tungstenite::Message;

#[test]
fn streams_and_orders_over_tls_and_a_restart_with_the_same_keys() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        VenueOptions { state_dir: Some(folder.path().to_owned()), ..VenueOptions::default() };
    let venue = Running::start(options.clone());
    let ready = venue.ready.clone();
    let line = serde_json::to_value(&ready).unwrap();
    for key in ["venue", "market", "api", "ca", "api_key", "private_key", "pid"] {
        assert!(line.get(key).is_some(), "{key}");
    }
    let url = format!("{}/stream?streams=btcusdt@bookTicker/btcusdt@depth@100ms", ready.market);
    let mut market = connect(&url, &ready.ca);
    let mut seen = [0, 0];
    while seen.contains(&0) {
        let message = text(&mut market);
        seen[usize::from(message["stream"] == "btcusdt@depth@100ms")] += 1;
    }
    market.send(Message::Ping("hello".into())).unwrap();
    while !matches!(market.read().unwrap(), Message::Pong(payload) if payload == "hello") {}

    let mut api = connect(&ready.api, &ready.ca);
    logon(&mut api, &ready);
    call(&mut api, "userDataStream.subscribe", json!({}));
    let order = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": "40000", "quantity": "0.001", "newClientOrderId": "keep", "timestamp": now_ms()});
    let (placed, mut events) = call(&mut api, "order.place", order);
    assert_eq!(placed["result"]["status"], "NEW", "{placed}");
    while events.len() < 2 {
        events.push(text(&mut api)["event"].clone());
    }
    assert_eq!(events[0]["c"], "keep");
    let depth = json!({"symbol": "BTCUSDT", "limit": 5000});
    let (depth, _) = call(&mut api, "depth", depth);
    assert!(depth["result"]["bids"].as_array().unwrap().len() > 1_000);
    venue.end();

    let venue = Running::start(options);
    assert_eq!(venue.ready.api_key, ready.api_key);
    let mut api = connect(&venue.ready.api, &ready.ca);
    logon(&mut api, &ready);
    let (open, _) = call(&mut api, "openOrders.status", json!({"timestamp": now_ms()}));
    assert_eq!(open["result"][0]["clientOrderId"], "keep");
    let wrong = tungstenite_refusal(&format!("{}/nothing", venue.ready.market), &ready.ca);
    assert_eq!(wrong, 404);
    venue.end();
}

fn tungstenite_refusal(url: &str, ca: &Path) -> u16 {
    let outcome = std::panic::catch_unwind(|| connect(url, ca));
    let message = outcome.err().and_then(|e| e.downcast::<String>().ok()).unwrap_or_default();
    if message.contains("404") { 404 } else { 0 }
}

#[test]
fn a_temporary_venue_leaves_nothing_and_a_slow_reader_is_cut() {
    let venue = Running::start(VenueOptions::default());
    let ready = venue.ready.clone();
    assert!(ready.ca.exists());
    let mut api = connect(&ready.api, &ready.ca);
    // Ask for 340 KB again and again and never read: the output bound must end it, which only
    // shows when writing fails. (Were it not cut, this would go on until the deadline.)
    let request = r#"{"id":1,"method":"depth","params":{"symbol":"BTCUSDT","limit":5000}}"#;
    let mut say = |text: &str| api.write(Message::text(text)).and_then(|()| api.flush());
    let mut alive = (0..400).all(|_| say(request).is_ok());
    let until_ms = now_ms() + 30_000;
    while alive && now_ms() < until_ms {
        pause();
        alive = say(r#"{"id":2,"method":"ping"}"#).is_ok();
    }
    assert!(!alive, "a reader that never reads is cut");
    let mut second = connect(&ready.api, &ready.ca);
    assert_eq!(call(&mut second, "ping", json!({})).0["status"], 200, "the others go on");
    venue.end();
    assert!(!ready.ca.exists(), "the temporary folder is gone");
}

#[test]
fn bad_options_are_refused_with_a_reason() {
    let stop = AtomicBool::new(true);
    let refused =
        |options: VenueOptions| run(&options, &stop, |_| {}).expect_err("an error").to_string();
    let other = VenueOptions { venue: "hyperliquid".to_owned(), ..VenueOptions::default() };
    assert!(refused(other).contains("`hyperliquid` is not simulated"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faults");
    std::fs::write(&path, "5s exit\n6s explode\n").unwrap();
    let script = VenueOptions { script: Some(path), ..VenueOptions::default() };
    assert!(refused(script).contains("script line 2: unknown fault `explode`"));
    let path = folder.path().join("none.gz");
    let market = bot4_venue::MarketChoice::File { path, trade: false };
    assert!(refused(VenueOptions { market, ..VenueOptions::default() }).contains("none.gz"));
}
