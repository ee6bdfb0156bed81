//! Bybit's account: logon, orders and their events, refusals, questions over REST, the dead-man
//! switch. Signatures are made here by the protocol sheet, not by the venue's code.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use bot4_venue::Config;
use bot4_venue::dialect::Ask;
use common::API_KEY;
use common::dialects::{Talker, assert_shape, config_of, sample, value};
use ring::hmac;
use serde_json::{Value, json};

const TRADE: u64 = 1;
const EVENTS: u64 = 2;
const SECRET: &str = "testsecret";

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

struct Account {
    talker: Talker,
    next: u32,
}

impl Account {
    /// Logged on at both connections, events subscribed.
    fn new() -> Self {
        let secret = format!("{SECRET}\n");
        let config = Config { secret, crossed_answer_in: 0, ..config_of("bybit") };
        let mut account = Self { talker: Talker::new(config), next: 1 };
        account.talker.open(TRADE, "/v5/trade");
        account.talker.open(EVENTS, "/v5/private");
        for conn in [TRADE, EVENTS] {
            let answer = account.talker.say(conn, &account.logon(SECRET));
            assert_eq!(answer.len(), 1, "{answer:?}");
        }
        let topics =
            json!({"op": "subscribe", "req_id": "1", "args": ["order", "execution", "wallet"]});
        let answer = account.talker.say(EVENTS, &topics.to_string());
        assert_eq!(value(&answer[0])["success"], true, "{answer:?}");
        account
    }

    fn ms(&self) -> u64 {
        self.talker.now_ns / 1_000_000
    }

    fn logon(&self, secret: &str) -> String {
        let expires = self.ms() + 5_000;
        let signature = sign(&format!("GET/realtime{expires}"));
        let signature = if secret == SECRET { signature } else { "00".repeat(32) };
        json!({"reqId": "l", "req_id": "l", "op": "auth", "args": [API_KEY, expires, signature]})
            .to_string()
    }

    fn request(&mut self, op: &str, order: Value) -> Value {
        self.next += 1;
        let header =
            json!({"X-BAPI-TIMESTAMP": self.ms().to_string(), "X-BAPI-RECV-WINDOW": "1000"});
        let id = self.next.to_string();
        json!({"reqId": id, "header": header, "op": op, "args": [order]})
    }

    fn ask(&mut self, op: &str, order: Value) -> Value {
        let request = self.request(op, order).to_string();
        let answers = self.talker.say(TRADE, &request);
        assert_eq!(answers.len(), 1, "{answers:?}");
        value(&answers[0])
    }

    fn place(&mut self, change: &Value) -> Value {
        let mut order = json!({
            "category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit",
            "qty": "0.01", "price": "30000", "timeInForce": "GTC",
            "orderLinkId": format!("b4order{}", self.next),
        });
        order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.ask("order.create", order)
    }

    fn rest(&mut self, method: &str, path: &str, query: &str, body: &str) -> Value {
        let stamp = self.ms().to_string();
        let signed = if method == "GET" { query } else { body };
        let signature = sign(&format!("{stamp}{API_KEY}1000{signed}"));
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [
            header("x-bapi-api-key", API_KEY),
            header("x-bapi-timestamp", &stamp),
            header("x-bapi-recv-window", "1000"),
            header("x-bapi-sign", &signature),
        ];
        let ask = Ask { method, path, query, headers: &headers, body };
        let page = self.talker.venue.ask(&ask, self.talker.now_ns);
        assert_eq!(page.status, 200);
        value(&page.body)
    }

    fn events(&mut self, topic: &str) -> Vec<Value> {
        let texts: Vec<String> = self.talker.take(EVENTS);
        let messages = texts.iter().map(|t| value(t)).filter(|m| m["topic"] == topic);
        messages.flat_map(|m| m["data"].as_array().unwrap().clone()).collect()
    }
}

#[test]
fn an_order_is_taken_told_and_cancelled() {
    let mut account = Account::new();
    const LINK: &str = "1682341972121";
    let answer = account.place(&json!({"orderLinkId": LINK}));
    assert_eq!((&answer["retCode"], &answer["data"]["orderLinkId"]), (&json!(0), &json!(LINK)));
    let texts = account.talker.texts(EVENTS).to_vec();
    let event = texts.iter().find(|t| t.contains(r#""topic":"order""#)).unwrap();
    if let Some(real) = sample("bybit/samples/real_wire/order_spot.json") {
        assert_shape(event, &real.concat());
    }
    let orders = account.events("order");
    assert_eq!(
        (&orders[0]["orderStatus"], &orders[0]["category"]),
        (&json!("New"), &json!("spot"))
    );
    let named = json!({"category": "spot", "symbol": "BTCUSDT", "orderLinkId": LINK});
    assert_eq!(account.ask("order.cancel", named.clone())["retCode"], 0);
    let orders = account.events("order");
    assert_eq!(
        (&orders[0]["orderStatus"], &orders[0]["cancelType"]),
        (&json!("Cancelled"), &json!("CancelByUser"))
    );
    assert_eq!(account.ask("order.cancel", named)["retCode"], 170_213);
    assert_eq!(account.place(&json!({"orderLinkId": LINK}))["retCode"], 170_141);
}

fn states(orders: &[Value]) -> Vec<&str> {
    orders.iter().map(|o| o["orderStatus"].as_str().unwrap()).collect()
}

#[test]
fn a_stop_waits_in_a_list_of_its_own_is_triggered_and_trades() {
    let mut account = Account::new();
    account.talker.run_ms(1_000, 100);
    account.talker.take(EVENTS);
    let last = account.talker.venue.exchange().markets[0].last_price / 100_000_000;
    let stop = |link: &str, trigger: i64, limit: i64| {
        json!({"orderFilter": "tpslOrder", "triggerPrice": trigger.to_string(),
            "price": limit.to_string(), "orderLinkId": link})
    };
    assert_eq!(account.place(&stop("b4far", last + 5_000, last + 5_100))["retCode"], 0);
    let orders = account.events("order");
    assert_eq!(states(&orders), ["Untriggered"]);
    let kind = (&orders[0]["stopOrderType"], orders[0]["triggerPrice"].as_str());
    assert_eq!(kind, (&json!("tpslOrder"), Some((last + 5_000).to_string().as_str())));
    let listed = account.rest("GET", "/v5/order/realtime", "category=spot&limit=50", "");
    assert_eq!(listed["result"]["list"][0]["orderStatus"], "Untriggered", "{listed}");
    let mut named = json!({"category": "spot", "symbol": "BTCUSDT", "orderLinkId": "b4far"});
    assert_eq!(account.ask("order.cancel", named.clone())["retCode"], 170_213, "not in that list");
    named["orderFilter"] = "tpslOrder".into();
    assert_eq!(account.ask("order.cancel", named.clone())["retCode"], 0);
    assert_eq!(states(&account.events("order")), ["Deactivated"]);
    assert_eq!(account.place(&stop("b4near", last + 1, last + last / 10))["retCode"], 0);
    let mut orders = Vec::new();
    for _ in 0..600 {
        account.talker.run_ms(100, 100);
        orders.extend(account.events("order"));
        if states(&orders).last() == Some(&"Filled") {
            break;
        }
    }
    let told = states(&orders);
    assert_eq!(told[..3], ["Untriggered", "Triggered", "New"], "{told:?}");
    assert_eq!(told.last(), Some(&"Filled"), "{told:?}");
    let same = orders.iter().all(|o| o["orderId"] == orders[0]["orderId"]);
    assert!(same, "of a unified account the order keeps its number");
}

#[test]
fn everything_of_a_list_is_cancelled_and_a_stop_that_is_none_is_refused() {
    let mut account = Account::new();
    let stop = json!({"orderFilter": "tpslOrder", "triggerPrice": "90000", "price": "90100"});
    assert_eq!(account.place(&stop)["retCode"], 0);
    assert_eq!(account.place(&json!({}))["retCode"], 0);
    let all = |account: &mut Account, filter: &str| {
        let body = json!({"category": "spot", "symbol": "BTCUSDT", "orderFilter": filter});
        let path = "/v5/order/cancel-all";
        let answer = account.rest("POST", path, "", &body.to_string());
        answer["result"]["list"].as_array().map_or(0, Vec::len)
    };
    assert_eq!([all(&mut account, "Order"), all(&mut account, "Order")], [1, 0]);
    assert_eq!([all(&mut account, "tpslOrder"), all(&mut account, "tpslOrder")], [1, 0]);
    for change in [
        json!({"triggerPrice": "90000"}),
        json!({"orderFilter": "tpslOrder"}),
        json!({"orderFilter": "StopOrder", "triggerPrice": "90000"}),
        json!({"orderFilter": "tpslOrder", "triggerPrice": "x"}),
        json!({"orderFilter": "tpslOrder", "triggerPrice": "90000", "timeInForce": "PostOnly"}),
    ] {
        assert_eq!(account.place(&change)["retCode"], 10_001, "{change}");
    }
}

#[test]
fn fills_are_told_with_their_fee_and_found_page_by_page() {
    let mut account = Account::new();
    for _ in 0..3 {
        let answer =
            account.place(&json!({"price": "90000", "timeInForce": "IOC", "qty": "0.001"}));
        // Above the market by more than the venue allows, or a fill.
        assert!(answer["retCode"] == 0 || answer["retCode"] == 170_193, "{answer}");
        let market = json!({"orderType": "Market", "marketUnit": "baseCoin", "timeInForce": "IOC"});
        assert_eq!(account.place(&market)["retCode"], 0);
        account.talker.advance_ms(5);
    }
    let fills = account.events("execution");
    assert!(fills.len() >= 3 && fills.iter().all(|f| f["feeCurrency"] == "BTC"), "{fills:?}");
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("category=spot&symbol=BTCUSDT&limit=1&cursor={cursor}");
        let query = query.trim_end_matches("&cursor=").to_owned();
        let page = account.rest("GET", "/v5/execution/list", &query, "");
        found
            .extend(page["result"]["list"].as_array().unwrap().iter().map(|f| f["execId"].clone()));
        page["result"]["nextPageCursor"].as_str().unwrap().clone_into(&mut cursor);
        if cursor.is_empty() {
            break;
        }
    }
    found.reverse();
    let told: Vec<Value> = fills.iter().map(|f| f["execId"].clone()).collect();
    assert_eq!(found, told);
    let wallet = account.rest("GET", "/v5/account/wallet-balance", "accountType=UNIFIED", "");
    assert!(wallet["result"]["list"][0]["coin"].as_array().unwrap().len() > 2, "{wallet}");
}

#[test]
fn a_post_only_order_that_would_take_is_taken_and_then_rejected() {
    let mut account = Account::new();
    let answer =
        account.place(&json!({"timeInForce": "PostOnly", "price": "60100", "orderLinkId": "b4p"}));
    assert_eq!(answer["retCode"], 0, "{answer}");
    let orders = account.events("order");
    assert_eq!(
        (&orders[0]["orderStatus"], &orders[0]["rejectReason"]),
        (&json!("Rejected"), &json!("EC_PostOnlyWillTakeLiquidity"))
    );
    let query = "category=spot&orderLinkId=b4p";
    let found = account.rest("GET", "/v5/order/realtime", query, "");
    assert_eq!(found["result"]["list"][0]["orderStatus"], "Rejected", "{found}");
    let none = account.rest("GET", "/v5/order/history", "category=spot&orderLinkId=b4none", "");
    assert_eq!((&none["retCode"], &none["result"]["list"]), (&json!(0), &json!([])));
}

#[test]
fn what_is_wrong_is_refused_by_its_code() {
    let mut account = Account::new();
    for (change, code) in [
        (json!({"category": "margin"}), 10_001),
        (json!({"symbol": "NOPE"}), 10_001),
        (json!({"qty": "0.0000001"}), 170_137),
        (json!({"price": "30000.01"}), 170_134),
        (json!({"qty": "0.000001"}), 170_140),
        (json!({"qty": "40"}), 170_131),
        (json!({"orderLinkId": "not/legal"}), 10_001),
        (json!({"timeInForce": "GTX"}), 10_001),
    ] {
        let answer = account.place(&change);
        assert_eq!(answer["retCode"], code, "{change}: {answer}");
    }
    let cancel = json!({"category": "spot", "symbol": "BTCUSDT", "orderLinkId": "x"});
    let mut late = account.request("order.cancel", cancel.clone());
    late["header"]["X-BAPI-TIMESTAMP"] = (account.ms() - 1_500).to_string().into();
    let answer = account.talker.say(TRADE, &late.to_string());
    assert_eq!(value(&answer[0])["retCode"], 10_002, "{answer:?}");
    let answer = account.talker.say(TRADE, &late.to_string());
    assert_eq!(value(&answer[0])["retCode"], 20_006, "{answer:?}");
    // Nobody is logged on at a new connection, and a wrong signature does not help.
    account.talker.open(9, "/v5/trade");
    let stranger = account.request("order.cancel", cancel);
    let answer = account.talker.say(9, &stranger.to_string());
    assert_eq!(value(&answer[0])["retCode"], 10_005, "{answer:?}");
    let answer = account.talker.say(9, &account.logon("wrong"));
    assert_eq!(value(&answer[0])["retCode"], 10_004, "{answer:?}");
    account.talker.open(10, "/v5/private");
    let answer = account.talker.say(10, &account.logon("wrong"));
    assert_eq!(value(&answer[0])["success"], false, "{answer:?}");
    assert!(account.talker.ended.contains_key(&10));
}

#[test]
fn answers_have_the_shape_of_the_real_ones() {
    let mut account = Account::new();
    let request = json!({"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit",
        "qty": "0.01", "price": "30000", "orderLinkId": "b4shape"});
    let request = account.request("order.create", request).to_string();
    let answer = account.talker.say(TRADE, &request).concat();
    if let Some(real) = sample("bybit/samples/real_wire/place_order_2_success.json") {
        // The captured order is one of a contract; those of spot have numbers.
        let real = real.concat().replace("15141634-9867-4d9f-9159-ba37ae9b5fca", "1514163498674");
        assert_shape(&answer, &real.replace("gAAC7yKS2UIAAQAAAAAA\",\"retCode", "7\",\"retCode"));
    }
    let pong = account.talker.say(TRADE, r#"{"op":"ping"}"#).concat();
    assert!(pong.starts_with(r#"{"retCode":0,"retMsg":"OK","op":"pong","data":["#), "{pong}");
    let pong = account.talker.say(EVENTS, r#"{"req_id":"5","op":"ping"}"#).concat();
    assert!(pong.starts_with(r#"{"req_id":"5","op":"pong","args":["#), "{pong}");
}

#[test]
fn nobody_there_means_nothing_open() {
    let mut account = Account::new();
    let set = r#"{"product":"SPOT","timeWindow":5}"#;
    let answer = account.rest("POST", "/v5/order/disconnected-cancel-all", "", set);
    assert_eq!(answer["retCode"], 0, "{answer}");
    let arm = json!({"op": "subscribe", "args": ["dcp.spot"]}).to_string();
    account.talker.say(EVENTS, &arm);
    account.place(&json!({}));
    let open = |account: &Account| account.talker.venue.exchange().orders.open(None).count();
    // A ping every three seconds keeps it quiet.
    for _ in 0..5 {
        account.talker.run_ms(3_000, 500);
        account.talker.say(EVENTS, r#"{"op":"ping"}"#);
    }
    assert_eq!(open(&account), 1);
    account.talker.leave(EVENTS);
    account.talker.run_ms(4_000, 500);
    assert_eq!(open(&account), 1);
    account.talker.run_ms(2_000, 500);
    assert_eq!(open(&account), 0);
}

#[test]
fn everything_open_of_a_market_is_cancelled_over_rest() {
    let mut account = Account::new();
    account.place(&json!({}));
    account.place(&json!({"price": "29000"}));
    account.place(&json!({"symbol": "ETHUSDT", "price": "1500", "qty": "0.1"}));
    let listed = account.rest("GET", "/v5/order/realtime", "category=spot&limit=50", "");
    assert_eq!(listed["result"]["list"].as_array().unwrap().len(), 3, "{listed}");
    let body = r#"{"category":"spot","symbol":"BTCUSDT"}"#;
    let answer = account.rest("POST", "/v5/order/cancel-all", "", body);
    assert_eq!((&answer["retCode"], &answer["result"]["success"]), (&json!(0), &json!("1")));
    let listed = account.rest("GET", "/v5/order/realtime", "category=spot&limit=50", "");
    assert_eq!(listed["result"]["list"][0]["symbol"], "ETHUSDT", "{listed}");
}

#[test]
fn an_amend_keeps_the_number_and_is_told_by_an_event() {
    let mut account = Account::new();
    let placed = account.place(&json!({"orderLinkId": "b4one", "timeInForce": "PostOnly"}));
    account.events("order");
    let amend = |account: &mut Account, change: Value| {
        let mut order = json!({"category": "spot", "symbol": "BTCUSDT", "orderLinkId": "b4one"});
        order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        account.ask("order.amend", order)
    };
    let answer = amend(&mut account, json!({"qty": "0.004", "price": "29000"}));
    assert_eq!((&answer["retCode"], &answer["op"]), (&json!(0), &json!("order.amend")));
    assert_eq!(answer["data"]["orderId"], placed["data"]["orderId"]);
    let told = account.events("order");
    assert_eq!((&told[0]["price"], &told[0]["qty"]), (&json!("29000"), &json!("0.004")));
    assert_eq!((&told[0]["orderStatus"], told.len()), (&json!("New"), 1));
    let takes = amend(&mut account, json!({"price": "250000"}));
    assert_eq!(takes["retCode"], 170_218, "{takes}");
    assert_eq!(amend(&mut account, json!({"qty": "0"}))["retCode"], 10_001);
    let cancel = json!({"category": "spot", "symbol": "BTCUSDT", "orderLinkId": "b4one"});
    account.ask("order.cancel", cancel);
    assert_eq!(amend(&mut account, json!({"qty": "0.003"}))["retCode"], 170_213);
}
