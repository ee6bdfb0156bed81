//! What goes wrong with the account's own messages, and what others do on the account.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::generator::Activity;
use bot4_venue::{Config, MarketSource, script};
use common::{Client, config};
use serde_json::json;

/// A client of a market that hardly moves; the script's times count from its first message.
fn under(faults: &str) -> Client {
    let activity = Activity { steps_per_second: 1, levels: 50 };
    let market = MarketSource::Generated(activity);
    Client::ready(Config { market, script: script::parse(faults).unwrap(), ..config() })
}

/// Lets an order rest; the kinds of reports that came by then.
fn rest(client: &mut Client, id: &str) -> Vec<String> {
    client.trade(
        "order.place",
        json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
               "price": "50000", "quantity": "0.001", "newClientOrderId": id}),
    );
    kinds(client)
}

fn kinds(client: &Client) -> Vec<String> {
    client.events.iter().filter_map(|e| e["x"].as_str()).map(str::to_owned).collect()
}

#[test]
fn a_late_report_comes_behind_the_ones_that_followed_it() {
    let mut client = under("1ms late-report 300ms");
    client.advance_ms(10);
    assert!(rest(&mut client, "late").is_empty());
    let cancel = json!({"symbol": "BTCUSDT", "origClientOrderId": "late"});
    client.trade("order.cancel", cancel);
    client.advance_ms(280);
    assert_eq!(kinds(&client), ["CANCELED"]);
    client.advance_ms(20);
    assert_eq!(kinds(&client), ["CANCELED", "NEW"]);
}

#[test]
fn reports_come_again_as_they_were() {
    let mut client = under("100ms replay-reports");
    let (_, ask) = client.best("BTCUSDT");
    client.limit("BTCUSDT", "BUY", &ask, "0.00010", "IOC");
    let first = client.raw_events.clone();
    client.advance_ms(200);
    let reports = |events: &[String]| -> Vec<String> {
        events.iter().filter(|e| e.contains("executionReport")).cloned().collect()
    };
    assert_eq!(reports(&client.raw_events), [reports(&first), reports(&first)].concat());
    assert_eq!(reports(&first).len(), 2);
}

#[test]
fn events_are_withheld_and_answers_are_not() {
    let mut client = under("1ms deaf 100ms");
    client.advance_ms(10);
    assert!(rest(&mut client, "quiet").is_empty());
    client.advance_ms(100);
    assert_eq!(rest(&mut client, "loud"), ["NEW"], "the first one is lost");
    let open = client.trade("openOrders.status", json!({"symbol": "BTCUSDT"}));
    assert_eq!(open["result"].as_array().unwrap().len(), 2);
}

#[test]
fn answers_are_withheld_and_events_are_not() {
    let mut client = under("1ms mute 100ms");
    client.advance_ms(10);
    let now = client.now_ms();
    let request = json!({"id": 99, "method": "order.place", "params": {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": "50000", "quantity": "0.001", "timestamp": now}});
    assert_eq!(client.send(&request.to_string()), None);
    assert_eq!(kinds(&client), ["NEW"]);
    client.advance_ms(100);
    assert_eq!(rest(&mut client, "heard"), ["NEW", "NEW"]);
}

#[test]
fn an_order_goes_without_a_word() {
    let mut client = under("100ms silent-cancel\n200ms silent-cancel");
    rest(&mut client, "gone");
    rest(&mut client, "stays");
    client.advance_ms(150);
    assert_eq!(kinds(&client), ["NEW", "NEW"]);
    let open = client.trade("openOrders.status", json!({"symbol": "BTCUSDT"}));
    assert_eq!(open["result"].as_array().unwrap().len(), 1);
    assert_eq!(open["result"][0]["clientOrderId"], "stays");
    let asked = json!({"symbol": "BTCUSDT", "origClientOrderId": "gone"});
    assert_eq!(client.trade("order.status", asked)["result"]["status"], "CANCELED");
    client.advance_ms(100);
    assert_eq!(client.balance("USDT").1, 0, "nothing is locked any more");
}

#[test]
fn somebody_else_trades() {
    let mut client = under("100ms foreign-trade BTCUSDT\n200ms foreign-order ETHUSDT");
    let (btc, eth) = (client.balance("BTC").0, client.balance("ETH"));
    client.advance_ms(150);
    assert_eq!(kinds(&client), ["NEW", "TRADE"]);
    assert!(client.events[0]["c"].as_str().unwrap().starts_with("web_"));
    assert!(client.balance("BTC").0 > btc);
    client.advance_ms(100);
    assert_eq!(kinds(&client)[2..], ["NEW"]);
    assert_eq!(client.balance("ETH"), eth);
    assert!(client.balance("USDT").1 > 0, "the resting order locks what it would cost");
}

#[test]
fn money_comes_and_goes() {
    let mut client =
        under("100ms deposit usdt 250.5\n200ms withdraw BTC 0.25\n300ms withdraw BTC 1000000");
    let (usdt, btc) = (client.balance("USDT").0, client.balance("BTC").0);
    client.advance_ms(150);
    assert_eq!(client.balance("USDT").0 - usdt, 25_050_000_000);
    client.advance_ms(100);
    assert_eq!(btc - client.balance("BTC").0, 25_000_000);
    client.advance_ms(100);
    assert_eq!(client.balance("BTC").0, 0, "no more goes than is there");
}

#[test]
fn a_banned_address_is_cut_and_refused() {
    let mut client = under("100ms ban 1s");
    client.advance_ms(150);
    assert_eq!(client.closed.len(), 1);
    let again = |client: &mut Client| {
        let (conn, now_ns) = (77, client.now_ns);
        client.venue.connect(conn, "/ws-api/v3", now_ns)
    };
    assert_eq!(again(&mut client), Err(418));
    client.advance_ms(1_000);
    assert_eq!(again(&mut client), Ok(()));
}

/// The answer to an order that takes comes behind the report of its fill; that to one that rests
/// does not.
#[test]
fn an_answer_comes_behind_the_fill() {
    let mut client = under("1ms ack-after-fill 200ms");
    client.advance_ms(10);
    assert_eq!(rest(&mut client, "rests"), ["NEW"]);
    let (_, ask) = client.best("BTCUSDT");
    let now = client.now_ms();
    let request = json!({"id": 77, "method": "order.place", "params": {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC",
        "price": ask, "quantity": "0.0001", "newClientOrderId": "takes", "timestamp": now}});
    assert_eq!(client.send(&request.to_string()), None, "no answer yet");
    assert!(kinds(&client).contains(&"TRADE".to_owned()));
    client.advance_ms(190);
    assert_eq!(client.collect(), None);
    client.now_ns += 20_000_000;
    client.venue.tick(client.now_ns);
    let answer = client.collect().unwrap_or_default();
    assert!(answer.starts_with(r#"{"id":77,"status":200"#), "{answer}");
}

/// An order fills in part and is cancelled: the part is told last.
#[test]
fn a_fill_comes_behind_the_cancel() {
    let mut client = under("1ms fill-after-cancel 5s");
    client.advance_ms(10);
    let (_, ask) = client.best("BTCUSDT");
    let order = json!({
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": ask, "quantity": "3", "newClientOrderId": "part"});
    let answer = client.trade("order.place", order);
    assert_eq!(answer["result"]["status"], "PARTIALLY_FILLED", "{answer}");
    let before = kinds(&client);
    client.trade("order.cancel", json!({"symbol": "BTCUSDT", "origClientOrderId": "part"}));
    client.advance_ms(2);
    let after = kinds(&client);
    let tail: Vec<&str> = after[before.len()..].iter().map(String::as_str).collect();
    assert_eq!(tail, ["CANCELED", "TRADE"], "{before:?}");
}

/// The clock steps back: what was planned and what is held stay as far away as they were.
#[test]
fn a_clock_steps_back() {
    let mut client = under("100ms late-report 300ms\n200ms clock-back 5s\n900ms silent-cancel");
    client.advance_ms(150);
    let before = client.now_ms();
    assert!(rest(&mut client, "late").is_empty());
    client.advance_ms(100);
    let time = client.call("time", json!({}))["result"]["serverTime"].as_u64().unwrap();
    assert!((before - 5_000..before - 4_800).contains(&time), "{time} after {before}");
    client.advance_ms(220);
    assert_eq!(kinds(&client), ["NEW"], "held for 300 ms in all");
    client.advance_ms(500);
    let asked = json!({"symbol": "BTCUSDT", "origClientOrderId": "late", "recvWindow": 10_000,
                       "timestamp": time + 700});
    let answer = client.call("order.status", common::signed(&asked));
    assert_eq!(answer["result"]["status"], "CANCELED", "{answer}");
}
