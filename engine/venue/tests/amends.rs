//! Amends and cancel-replace in the Binance dialect: answers, events, queue, money.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::decimal::ONE;
use bot4_venue::generator::Activity;
use bot4_venue::{Config, MarketSource};
use common::{Client, config};
use serde_json::{Value, json};

fn ready() -> Client {
    let activity = Activity { steps_per_second: 1, levels: 50 };
    Client::ready(Config { market: MarketSource::Generated(activity), ..config() })
}

fn resting(client: &mut Client) -> u64 {
    let placed = client.trade(
        "order.place",
        json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
               "price": "50000", "quantity": "0.004", "newClientOrderId": "mine-1"}),
    );
    placed["result"]["orderId"].as_u64().unwrap()
}

fn amend(id: u64, qty: &str) -> Value {
    json!({"symbol": "BTCUSDT", "orderId": id, "newQty": qty, "newClientOrderId": "mine-1"})
}

fn replace(id: u64, price: &str, kind: &str) -> Value {
    let mut params = json!({"symbol": "BTCUSDT", "cancelOrderId": id, "side": "BUY",
                            "cancelReplaceMode": "STOP_ON_FAILURE",
                            "cancelRestrictions": "ONLY_NEW", "type": kind, "price": price,
                            "quantity": "0.002", "newClientOrderId": "mine-1",
                            "newOrderRespType": "FULL"});
    if kind == "LIMIT" {
        params["timeInForce"] = json!("GTC");
    }
    params
}

#[test]
fn an_amend_frees_money_and_keeps_number_and_name() {
    let mut client = ready();
    let id = resting(&mut client);
    let amended = client.trade("order.amend.keepPriority", amend(id, "0.001"));
    assert_eq!(amended["status"], 200, "{amended}");
    let order = &amended["result"]["amendedOrder"];
    assert_eq!((&order["orderId"], &order["qty"]), (&json!(id), &json!("0.00100000")));
    assert_eq!((&order["clientOrderId"], &order["status"]), (&json!("mine-1"), &json!("NEW")));
    assert_eq!(client.balance("USDT"), (999_950 * i128::from(ONE), 50 * i128::from(ONE)));
    let event = client.events.iter().find(|e| e["x"] == "REPLACED").unwrap();
    assert_eq!(
        (&event["q"], &event["i"], &event["X"]),
        (&json!("0.00100000"), &json!(id), &json!("NEW"))
    );
    assert_eq!((&event["c"], &event["C"]), (&json!("mine-1"), &json!("mine-1")));
    let refused =
        |client: &mut Client, qty| client.error("order.amend.keepPriority", amend(id, qty)).1;
    assert_eq!(refused(&mut client, "0.001"), -2038, "no change");
    assert_eq!(refused(&mut client, "0.002"), -2038, "more");
    assert_eq!(refused(&mut client, "0.00000001"), -1013, "a filter");
    let unnamed = json!({"symbol": "BTCUSDT", "orderId": id, "newQty": "0.0009"});
    let renamed = client.trade("order.amend.keepPriority", unnamed);
    let name = renamed["result"]["amendedOrder"]["clientOrderId"].as_str().unwrap();
    assert_eq!((name.len(), name == "mine-1"), (22, false), "a name of the venue's making");
}

#[test]
fn a_replacement_has_another_number_and_the_same_name() {
    let mut client = ready();
    let id = resting(&mut client);
    let replaced = client.trade("order.cancelReplace", replace(id, "49000", "LIMIT"));
    assert_eq!(replaced["status"], 200, "{replaced}");
    let (old, new) =
        (&replaced["result"]["cancelResponse"], &replaced["result"]["newOrderResponse"]);
    assert_eq!((&old["status"], &old["origClientOrderId"]), (&json!("CANCELED"), &json!("mine-1")));
    assert_eq!((&new["status"], &new["clientOrderId"]), (&json!("NEW"), &json!("mine-1")));
    assert!(new["orderId"].as_u64().unwrap() > id);
    assert_eq!(client.balance("USDT").1, 98 * i128::from(ONE));
    let kinds: Vec<_> = client.events.iter().filter_map(|e| e["x"].as_str()).collect();
    assert_eq!(kinds, ["NEW", "CANCELED", "NEW"]);
    let named = json!({"symbol": "BTCUSDT", "origClientOrderId": "mine-1"});
    assert_eq!(client.trade("order.status", named)["result"]["orderId"], new["orderId"]);
    // The old one is gone: nothing is tried.
    let again = client.trade("order.cancelReplace", replace(id, "49000", "LIMIT"));
    assert_eq!((&again["status"], &again["error"]["code"]), (&json!(400), &json!(-2022)));
    assert_eq!(again["error"]["data"]["newOrderResult"], "NOT_ATTEMPTED");
    assert_eq!(again["error"]["data"]["newOrderResponse"], Value::Null);
}

#[test]
fn a_filter_stops_a_replacement_before_and_the_engine_half_way() {
    let mut client = ready();
    let id = resting(&mut client);
    let off_tick = client.error("order.cancelReplace", replace(id, "49000.001", "LIMIT"));
    assert_eq!(off_tick.1, -1013, "nothing happened");
    assert_eq!(client.balance("USDT").1, 200 * i128::from(ONE));
    let (_, ask) = client.best("BTCUSDT");
    let half = client.trade("order.cancelReplace", replace(id, &ask, "LIMIT_MAKER"));
    assert_eq!((&half["status"], &half["error"]["code"]), (&json!(409), &json!(-2021)));
    let data = &half["error"]["data"];
    assert_eq!(
        (&data["cancelResult"], &data["newOrderResult"]),
        (&json!("SUCCESS"), &json!("FAILURE"))
    );
    assert_eq!(data["cancelResponse"]["status"], "CANCELED");
    assert_eq!(data["newOrderResponse"]["code"], -2010);
    assert_eq!(client.balance("USDT").1, 0);
}
