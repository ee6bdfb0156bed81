//! A client that does something wrong is told so in the venue's words.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::limits::LimitRules;
use bot4_venue::{Config, Out};
use common::{API, API_KEY, Client, MARKET, config, signed};
use serde_json::{Value, json};

fn order(change: Value) -> Value {
    let mut order = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT",
        "timeInForce": "GTC", "price": "50000.00", "quantity": "0.00100"});
    for (key, value) in change.as_object().unwrap() {
        if value.is_null() {
            order.as_object_mut().unwrap().remove(key);
        } else {
            order[key] = value.clone();
        }
    }
    order
}

fn code(client: &mut Client, change: Value) -> (i64, String) {
    let (_, code, msg) = client.error("order.place", order(change));
    (code, msg)
}

#[test]
fn parameters_are_judged_before_everything_else() {
    let mut client = Client::ready(config());
    let missing = |name: &str| {
        format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    };
    assert_eq!(code(&mut client, json!({"price": null})), (-1102, missing("price")));
    assert_eq!(code(&mut client, json!({"symbol": null})), (-1102, missing("symbol")));
    assert_eq!(code(&mut client, json!({"timeInForce": null})), (-1102, missing("timeInForce")));
    assert_eq!(code(&mut client, json!({"type": "LIMIT_MAKER"})).0, -1106);
    assert_eq!(code(&mut client, json!({"price": "5e4"})).0, -1100);
    assert_eq!(code(&mut client, json!({"newClientOrderId": "a b"})).0, -1100);
    assert_eq!(code(&mut client, json!({"newClientOrderId": "x".repeat(37)})).0, -1100);
    assert_eq!(code(&mut client, json!({"colour": "red"})).0, -1104);
    assert_eq!(code(&mut client, json!({"symbol": "btcusdt"})).0, -1100);
    assert_eq!(code(&mut client, json!({"symbol": "XYZUSDT"})), (-1121, "Invalid symbol.".into()));
    assert_eq!(code(&mut client, json!({"side": "BID"})).0, -1117);
    assert_eq!(code(&mut client, json!({"type": "ICEBERG"})).0, -1116);
    assert_eq!(code(&mut client, json!({"timeInForce": "GTX"})).0, -1115);
    assert_eq!(code(&mut client, json!({"quantity": "0.001000001"})).0, -1111);
    let filter = |name: &str| (-1013, format!("Filter failure: {name}"));
    assert_eq!(code(&mut client, json!({"price": "50000.001"})), filter("PRICE_FILTER"));
    assert_eq!(code(&mut client, json!({"quantity": "0.000011"})), filter("LOT_SIZE"));
    assert_eq!(code(&mut client, json!({"quantity": "0.00001"})), filter("NOTIONAL"));
    assert_eq!(code(&mut client, json!({"price": "1.00"})), filter("PERCENT_PRICE_BY_SIDE"));
    let poor = code(&mut client, json!({"quantity": "100"}));
    assert_eq!(poor, (-2010, "Account has insufficient balance for requested action.".into()));
    assert!(client.events.is_empty(), "nothing happened");
    assert_eq!(client.balance("USDT").1, 0);
    let none = client.error("order.status", json!({"symbol": "BTCUSDT", "orderId": 5}));
    assert_eq!(none, (400, -2013, "Order does not exist.".to_owned()));
}

#[test]
fn only_the_key_holder_gets_in() {
    let mut client = Client::new(config());
    let denied = "Invalid API-key, IP, or permissions for action.".to_owned();
    assert_eq!(client.error("account.status", json!({})), (400, -2015, denied.clone()));
    let subscribe = client.error("userDataStream.subscribe", json!({}));
    assert_eq!(subscribe, (400, -2015, denied.clone()));
    let timestamp = client.now_ms();
    let refused = |client: &mut Client, params: Value| {
        client.call("session.logon", params)["error"]["code"].as_i64().unwrap()
    };
    let mut tampered = signed(&json!({"timestamp": timestamp}));
    tampered["timestamp"] = (timestamp + 1).into();
    assert_eq!(refused(&mut client, tampered), -1022);
    let mut other = signed(&json!({"timestamp": timestamp}));
    other["apiKey"] = API_KEY.replace('b', "c").into();
    assert_eq!(refused(&mut client, other.clone()), -2015);
    other["apiKey"] = "short".into();
    assert_eq!(refused(&mut client, other), -2014);
    assert_eq!(refused(&mut client, signed(&json!({"timestamp": timestamp - 5001}))), -1021);
    assert_eq!(refused(&mut client, signed(&json!({"timestamp": timestamp + 1000}))), -1021);
    let narrow = json!({"timestamp": timestamp - 11, "recvWindow": 10});
    assert_eq!(refused(&mut client, signed(&narrow)), -1021);
    assert_eq!(refused(&mut client, signed(&json!({"recvWindow": 10}))), -1102);
    // Once in, one request may carry its own signature; a wrong one does not count.
    client.enter();
    let mut own = signed(&json!({"timestamp": timestamp}));
    assert_eq!(client.call("account.status", own.clone())["status"], 200);
    own["signature"] = "AAAA".into();
    assert_eq!(client.call("account.status", own)["error"]["code"], -1022);
    client.call("session.logout", json!({}));
    assert_eq!(client.events.last().unwrap()["e"], "eventStreamTerminated");
    assert_eq!(client.error("account.status", json!({})).1, -2015);
}

#[test]
fn rubbish_is_answered() {
    let mut client = Client::new(config());
    let parse = |text: Option<String>| serde_json::from_str::<Value>(&text.unwrap()).unwrap();
    let bad = parse(client.send("{"));
    assert_eq!((&bad["id"], &bad["error"]["code"]), (&Value::Null, &json!(-1135)));
    let unknown = parse(client.send(r#"{"id":"x","method":"order.fly"}"#));
    assert_eq!((&unknown["id"], &unknown["error"]["code"]), (&json!("x"), &json!(-1020)));
    let quiet =
        parse(client.send(r#"{"id":null,"method":"time","params":{"returnRateLimits":false}}"#));
    assert!(quiet.get("rateLimits").is_none());
    assert_eq!(quiet["result"]["serverTime"], client.now_ms());
}

#[test]
fn limits_answer_429_then_ban() {
    let limits = LimitRules {
        orders_per_10s: 2,
        weight_per_minute: 100,
        refusals_until_ban: 3,
        ..LimitRules::REAL
    };
    let mut client = Client::ready(Config { limits, ..config() });
    for _ in 0..2 {
        assert_eq!(client.trade("order.place", order(json!({})))["status"], 200);
    }
    let over = client.trade("order.place", order(json!({})));
    assert_eq!((&over["status"], &over["error"]["code"]), (&json!(429), &json!(-1015)));
    let retry = over["error"]["data"]["retryAfter"].as_u64().unwrap();
    assert_eq!(retry, client.now_ms() / 10_000 * 10_000 + 10_000);
    client.now_ns = retry * 1_000_000;
    assert_eq!(client.trade("order.place", order(json!({})))["status"], 200, "a new window");
    assert_eq!(client.trade("openOrders.status", json!({}))["status"], 200, "weight 80");
    assert_eq!(client.trade("openOrders.status", json!({}))["error"]["code"], -1003);
    assert_eq!(client.trade("openOrders.status", json!({}))["status"], 429);
    let banned = client.trade("openOrders.status", json!({}));
    assert_eq!(banned["status"], 418);
    assert_eq!(client.closed, [API]);
    assert_eq!(client.venue.connect(9, "/ws-api/v3", client.now_ns), Err(418));
    let after_ns = client.now_ns + 120_000_000_000;
    assert_eq!(client.venue.connect(9, "/ws-api/v3", after_ns), Ok(()));
}

#[test]
fn market_connections_may_say_five_things_a_second() {
    let mut client = Client::new(config());
    client.venue.connect(MARKET, "/stream?streams=btcusdt@trade", client.now_ns).unwrap();
    for n in 0..5 {
        let text = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{n}}}"#);
        client.venue.on_text(MARKET, &text, client.now_ns);
    }
    client.collect();
    assert!(client.closed.is_empty());
    assert_eq!(client.market.last().unwrap().0, r#"{"result":["btcusdt@trade"],"id":4}"#);
    client.venue.on_ping(MARKET, client.now_ns);
    client.collect();
    assert_eq!(client.closed, [MARKET]);
}

#[test]
fn a_peer_without_pongs_is_closed_and_bad_paths_are_refused() {
    let mut client = Client::new(config());
    assert_eq!(client.venue.connect(5, "/wsx", client.now_ns), Err(404));
    assert_eq!(client.venue.connect(5, "/ws?timeUnit=HOURS", client.now_ns), Err(400));
    let (mut pings, mut closes) = (0, 0);
    for _ in 0..100 {
        client.now_ns += 1_000_000_000;
        client.venue.tick(client.now_ns);
        while let Some((_, out)) = client.venue.poll_output() {
            match out {
                Out::Ping(payload) => {
                    assert_eq!(payload.len(), 13);
                    pings += 1;
                }
                Out::Close(..) => closes += 1,
                _ => {}
            }
        }
    }
    assert_eq!((pings, closes), (3, 1), "at 20, 40, 60 s; closed at 80 s, 60 s after the first");
}
