//! kill -9 in the middle of trading: what a client was told is still true after a restart.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;

use bot4_venue::decimal::{parse, wide_text};
use bot4_venue::{Ready, VenueOptions, run};
use common::wire::{Socket, connect, logon, now_ms, pause};
use serde_json::{Value, json};
use tungstenite::Message;

const FOLDER: &str = "BOT4_TEST_VENUE_FOLDER";

/// Not a test of its own: the process that the test below starts and kills.
#[test]
fn venue_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let options = VenueOptions { state_dir: Some((&folder).into()), ..VenueOptions::default() };
    let forever = AtomicBool::new(false);
    run(&options, &forever, |ready| {
        let ready = serde_json::to_string(ready).unwrap();
        let path = Path::new(&folder).join("ready");
        std::fs::write(path.with_extension("new"), ready).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    })
    .unwrap();
}

fn start(folder: &Path) -> (Child, Value) {
    let path = folder.join("ready");
    let _ = std::fs::remove_file(&path);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "venue_process"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until_ms = now_ms() + 30_000;
    while !path.exists() {
        assert!(now_ms() < until_ms, "the venue did not start");
        pause();
    }
    (child, serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap())
}

fn enter(ready: &Value) -> Socket {
    let text = |key: &str| ready[key].as_str().unwrap().to_owned();
    let ready = Ready {
        venue: text("venue"),
        market: text("market"),
        linear: String::new(),
        api: text("api"),
        rest: String::new(),
        control: text("control"),
        ca: text("ca").into(),
        api_key: text("api_key"),
        private_key: text("private_key").into(),
        pid: 0,
    };
    let mut socket = connect(&ready.api, &ready.ca);
    logon(&mut socket, &ready);
    socket
}

/// Asks and waits for the answer; `None` once the connection is dead.
fn ask(socket: &mut Socket, method: &str, params: Value) -> Option<Value> {
    let request = json!({"id": 1, "method": method, "params": params});
    socket.send(Message::text(request.to_string())).ok()?;
    loop {
        if let Message::Text(text) = socket.read().ok()? {
            let value: Value = serde_json::from_str(&text).unwrap();
            if value.get("id").is_some() {
                return Some(value);
            }
        }
    }
}

/// Every order that was told exists, with at least what was executed then.
fn assert_known(socket: &mut Socket, told: &BTreeMap<u64, Value>) {
    for (id, answer) in told {
        let params = json!({"symbol": "ETHUSDT", "orderId": id, "timestamp": now_ms()});
        let status = ask(socket, "order.status", params).unwrap();
        let (now, then) = (&status["result"], &answer["result"]);
        assert_eq!(now["clientOrderId"], then["clientOrderId"], "{status}");
        let qty = |v: &Value| v["executedQty"].as_str().unwrap().parse::<f64>().unwrap();
        assert!(qty(now) >= qty(then), "{status} was {answer}");
    }
}

/// Trades until the connection dies; how many fills were told.
fn trade_on(socket: &mut Socket, told: &mut BTreeMap<u64, Value>) -> usize {
    let mut fills = 0;
    for n in 0_u64.. {
        let (side, price) = if n % 2 == 0 { ("BUY", "3300.00") } else { ("SELL", "2700.00") };
        let params = json!({"symbol": "ETHUSDT", "side": side, "type": "LIMIT",
            "timeInForce": "IOC", "quantity": "0.0100", "price": price, "timestamp": now_ms()});
        let Some(answer) = ask(socket, "order.place", params) else { break };
        assert_eq!(answer["status"], 200, "{answer}");
        fills += answer["result"]["fills"].as_array().unwrap().len();
        told.insert(answer["result"]["orderId"].as_u64().unwrap(), answer);
    }
    fills
}

/// Free USDT and ETH as the stored trades explain them, and how many there are.
fn explained(socket: &mut Socket) -> (i128, i128, usize) {
    let (mut usdt, mut eth, mut count) = (100_000_000_000_000, 10_000_000_000, 0);
    let mut params = json!({"symbol": "ETHUSDT", "fromId": 0, "limit": 1000});
    loop {
        params["timestamp"] = now_ms().into();
        let answer = ask(socket, "myTrades", params.clone()).unwrap();
        let page = answer["result"].as_array().unwrap();
        for trade in page {
            let number = |key: &str| i128::from(parse(trade[key].as_str().unwrap()).unwrap());
            let sign = if trade["isBuyer"] == true { 1 } else { -1 };
            eth += sign * number("qty");
            usdt -= sign * number("quoteQty");
            let fee = if sign == 1 { &mut eth } else { &mut usdt };
            *fee -= number("commission");
            count += 1;
        }
        let Some(last) = page.last() else { return (usdt, eth, count) };
        params["fromId"] = (last["id"].as_u64().unwrap() + 1).into();
    }
}

#[test]
fn what_was_told_is_true_after_kill_minus_nine() {
    let folder = tempfile::tempdir().unwrap();
    let mut told: BTreeMap<u64, Value> = BTreeMap::new();
    let mut fills = 0;
    for round in 0..3 {
        let (mut child, ready) = start(folder.path());
        let mut socket = enter(&ready);
        assert_known(&mut socket, &told);
        // The killer strikes while orders are on their way.
        let ended = std::thread::scope(|scope| {
            let killer = scope.spawn(|| {
                let until_ms = now_ms() + 400 + 130 * round;
                while now_ms() < until_ms {
                    pause();
                }
                child.kill().unwrap();
                child.wait().unwrap()
            });
            fills += trade_on(&mut socket, &mut told);
            killer.join().unwrap()
        });
        assert!(!ended.success());
    }
    let (mut child, ready) = start(folder.path());
    let mut socket = enter(&ready);
    assert_known(&mut socket, &told);
    let (usdt, eth, count) = explained(&mut socket);
    assert!(count >= fills && fills > 30, "{count} trades stored, {fills} told");
    let answer = ask(&mut socket, "account.status", json!({"timestamp": now_ms()})).unwrap();
    let balances = answer["result"]["balances"].as_array().unwrap();
    for (asset, expected) in [("USDT", usdt), ("ETH", eth)] {
        let balance = balances.iter().find(|b| b["asset"] == asset).unwrap();
        assert_eq!(balance["free"], wide_text(expected));
        assert_eq!(balance["locked"], "0.00000000");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
