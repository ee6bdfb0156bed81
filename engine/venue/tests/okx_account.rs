//! OKX's account: logon, orders and their events, refusals, questions over REST, the dead-man
//! switch. Signatures are made here by the protocol sheet, not by the venue's code.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bot4_venue::Config;
use bot4_venue::dialect::Ask;
use common::API_KEY;
use common::dialects::{Talker, assert_shape, config_of, sample, value};
use ring::hmac;
use serde_json::{Value, json};

const CONN: u64 = 1;
const SECRET: &str = "testsecret";
const PATH: &str = "/ws/v5/private";

fn sign(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

struct Account {
    talker: Talker,
    next: u32,
}

impl Account {
    /// Logged on, events subscribed.
    fn new() -> Self {
        let secret = format!("{SECRET}\nphrase\n");
        let config = Config { secret, crossed_answer_in: 0, ..config_of("okx") };
        let mut account = Self { talker: Talker::new(config), next: 1 };
        account.talker.open(CONN, PATH);
        let answer = account.talker.say(CONN, &account.logon("phrase"));
        assert_eq!(value(&answer[0])["event"], "login", "{answer:?}");
        let args = json!([{"channel": "orders", "instType": "SPOT"}, {"channel": "account"}]);
        let text = json!({"id": "1", "op": "subscribe", "args": args}).to_string();
        let answers = account.talker.say(CONN, &text);
        assert_eq!(answers.len(), 3, "two acknowledgements and the account: {answers:?}");
        account.talker.take(CONN);
        account
    }

    fn ms(&self) -> u64 {
        self.talker.now_ns / 1_000_000
    }

    fn logon(&self, phrase: &str) -> String {
        let second = (self.ms() / 1_000).to_string();
        let signature = sign(&format!("{second}GET/users/self/verify"));
        let arg = json!({"apiKey": API_KEY, "passphrase": phrase, "timestamp": second,
            "sign": signature});
        json!({"op": "login", "args": [arg]}).to_string()
    }

    fn ask(&mut self, op: &str, arg: &Value, expires_in_ms: i64) -> Value {
        self.next += 1;
        let expires = self.ms().checked_add_signed(expires_in_ms).unwrap();
        let request = json!({"id": self.next.to_string(), "op": op, "args": [arg],
            "expTime": expires.to_string()});
        self.talker.take(CONN);
        let answers = self.talker.say(CONN, &request.to_string());
        let ours = answers.iter().map(|t| value(t)).filter(|v| v["op"] == op);
        let mut ours = ours.rev();
        ours.next().unwrap_or_else(|| panic!("{answers:?}"))
    }

    fn place(&mut self, change: &Value) -> Value {
        let mut order = json!({
            "instIdCode": 189_535, "tdMode": "cash", "side": "buy", "ordType": "limit",
            "sz": "0.01", "px": "30000", "clOrdId": format!("b4order{}", self.next),
        });
        order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.ask("order", &order, 1_000)
    }

    fn rest(&mut self, method: &str, path: &str, query: &str, body: &str) -> Value {
        // The rig's time, as a text of its own.
        let second = self.ms() % 86_400_000 / 1_000;
        let stamp = format!(
            "2026-01-01T{:02}:{:02}:{:02}.{:03}Z",
            second / 3_600,
            second / 60 % 60,
            second % 60,
            self.ms() % 1_000
        );
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let signature = sign(&format!("{stamp}{method}{target}{body}"));
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [
            header("ok-access-key", API_KEY),
            header("ok-access-passphrase", "phrase"),
            header("ok-access-timestamp", &stamp),
            header("ok-access-sign", &signature),
        ];
        let ask = Ask { method, path, query, headers: &headers, body };
        value(&self.talker.venue.ask(&ask, self.talker.now_ns).body)
    }

    fn events(&mut self, channel: &str) -> Vec<Value> {
        let texts: Vec<String> = self.talker.take(CONN);
        let messages = texts.iter().map(|t| value(t)).filter(|m| m["arg"]["channel"] == channel);
        messages.flat_map(|m| m["data"].as_array().unwrap().clone()).collect()
    }
}

#[test]
fn an_order_is_taken_told_and_cancelled() {
    let mut account = Account::new();
    let answer = account.place(&json!({"clOrdId": "b4one"}));
    assert_eq!((&answer["code"], &answer["data"][0]["sCode"]), (&json!("0"), &json!("0")));
    let orders = account.events("orders");
    assert_eq!((&orders[0]["state"], &orders[0]["tradeId"]), (&json!("live"), &json!("")));
    let named = json!({"instIdCode": 189_535, "clOrdId": "b4one"});
    let answer = account.ask("cancel-order", &named, 1_000);
    assert_eq!(answer["code"], "0", "{answer}");
    let orders = account.events("orders");
    assert_eq!(
        (&orders[0]["state"], &orders[0]["cancelSource"]),
        (&json!("canceled"), &json!("1"))
    );
    let answer = account.ask("cancel-order", &named, 1_000);
    assert_eq!((&answer["code"], &answer["data"][0]["sCode"]), (&json!("1"), &json!("51400")));
}

#[test]
fn fills_come_with_the_order_and_are_found_page_by_page() {
    let mut account = Account::new();
    let mut told = Vec::new();
    for _ in 0..3 {
        let market = json!({"ordType": "market", "tgtCcy": "base_ccy", "px": ""});
        assert_eq!(account.place(&market)["code"], "0");
        let texts = account.talker.texts(CONN).to_vec();
        let event = texts.iter().find(|t| t.contains(r#""execType":"T""#)).unwrap();
        if let Some(real) = sample("okx/samples/doc_examples/orders_channel.jsonl") {
            // The sample is of a seller's order, with values in dollars that are not simulated.
            let keys = |text: &str| -> Vec<String> {
                value(text)["data"][0].as_object().unwrap().keys().cloned().collect()
            };
            assert_eq!(keys(event), keys(real.last().unwrap()));
        }
        told.extend(account.events("orders").into_iter().filter(|o| o["tradeId"] != ""));
        account.talker.advance_ms(5);
    }
    assert!(told.iter().all(|o| o["fillFeeCcy"] == "BTC"), "{told:?}");
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!("instType=SPOT&instId=BTC-USDT&limit=1{after}");
        let page = account.rest("GET", "/api/v5/trade/fills", &query, "");
        let Some(fill) = page["data"].get(0) else { break };
        found.push(fill["tradeId"].clone());
        after = format!("&after={}", fill["billId"].as_str().unwrap());
    }
    found.reverse();
    let ids: Vec<Value> = told.iter().map(|o| o["tradeId"].clone()).collect();
    assert_eq!(found, ids);
    let balance = account.rest("GET", "/api/v5/account/balance", "", "");
    assert!(balance["data"][0]["details"].as_array().unwrap().len() > 2, "{balance}");
}

#[test]
fn a_post_only_order_that_would_take_is_taken_and_then_cancelled() {
    let mut account = Account::new();
    let order = json!({"ordType": "post_only", "px": "60100", "clOrdId": "b4p"});
    assert_eq!(account.place(&order)["code"], "0");
    let orders = account.events("orders");
    assert_eq!(orders.len(), 1, "no `live` before it: {orders:?}");
    assert_eq!(
        (&orders[0]["state"], &orders[0]["cancelSource"]),
        (&json!("canceled"), &json!("31"))
    );
    let query = "instId=BTC-USDT&clOrdId=b4p";
    let found = account.rest("GET", "/api/v5/trade/order", query, "");
    assert_eq!(found["data"][0]["state"], "canceled", "{found}");
    let none = account.rest("GET", "/api/v5/trade/order", "instId=BTC-USDT&clOrdId=b4none", "");
    assert_eq!((&none["code"], &none["data"]), (&json!("51603"), &json!([])));
}

#[test]
fn what_is_wrong_is_refused_by_its_code() {
    let mut account = Account::new();
    for (change, code) in [
        (json!({"instIdCode": 7}), "51001"),
        (json!({"instIdCode": null, "instId": "BTC-USDT"}), "51000"),
        (json!({"sz": "0.000000001"}), "51121"),
        (json!({"px": "30000.01"}), "51006"),
        (json!({"sz": "0.0000001"}), "51020"),
        (json!({"sz": "40"}), "51008"),
        (json!({"clOrdId": "not-legal"}), "51000"),
    ] {
        let answer = account.place(&change);
        let told = (&answer["code"], &answer["data"][0]["sCode"]);
        assert_eq!(told, (&json!("1"), &json!(code)), "{change}: {answer}");
    }
    let named = json!({"instIdCode": 189_535, "clOrdId": "x"});
    assert_eq!(account.ask("cancel-order", &named, -1)["code"], "50036");
    assert_eq!(account.ask("cancel-order", &named, 1_000)["data"][0]["sCode"], "51603");
    account.talker.open(9, PATH);
    let early = json!({"id": "5", "op": "order", "args": [named]}).to_string();
    let answer = account.talker.say(9, &early);
    assert_eq!(value(&answer[0])["code"], "60011", "{answer:?}");
    let answer = account.talker.say(9, &account.logon("wrong"));
    assert_eq!(value(&answer[0])["code"], "60024", "{answer:?}");
    if let Some(real) = sample("okx/samples/real_wire/error_login.json") {
        assert_shape(&answer[0], &real.concat());
    }
}

#[test]
fn a_switch_that_is_fed_no_more_cancels() {
    let mut account = Account::new();
    account.place(&json!({}));
    let open = |account: &Account| account.talker.venue.exchange().orders.open(None).count();
    for _ in 0..4 {
        let path = "/api/v5/trade/cancel-all-after";
        let answer = account.rest("POST", path, "", r#"{"timeOut":"10"}"#);
        assert_eq!(answer["code"], "0", "{answer}");
        account.talker.run_ms(9_000, 500);
        account.talker.say(CONN, "ping");
    }
    assert_eq!(open(&account), 1);
    account.talker.run_ms(2_000, 500);
    assert_eq!(open(&account), 0);
    let wrong = account.rest("POST", "/api/v5/trade/cancel-all-after", "", r#"{"timeOut":"5"}"#);
    assert_eq!(wrong["code"], "51000", "{wrong}");
}

#[test]
fn an_amend_is_taken_and_told_by_an_event() {
    let mut account = Account::new();
    account.place(&json!({"clOrdId": "b4one", "ordType": "post_only"}));
    account.events("orders");
    let amend = |account: &mut Account, change: Value| {
        let mut arg = json!({"instIdCode": 189_535, "clOrdId": "b4one", "reqId": "77"});
        arg.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        account.ask("amend-order", &arg, 1_000)
    };
    let answer = amend(&mut account, json!({"newSz": "0.004", "newPx": "29000"}));
    assert_eq!((&answer["code"], &answer["data"][0]["sCode"]), (&json!("0"), &json!("0")));
    let told = account.events("orders");
    assert_eq!((&told[0]["px"], &told[0]["sz"]), (&json!("29000"), &json!("0.004")));
    assert_eq!((&told[0]["amendResult"], &told[0]["reqId"]), (&json!("0"), &json!("77")));
    assert_eq!((&told[0]["state"], told.len()), (&json!("live"), 1));
    let balance = account.rest("GET", "/api/v5/account/balance", "", "");
    let details = balance["data"][0]["details"].as_array().unwrap();
    let usdt = details.iter().find(|d| d["ccy"] == "USDT").unwrap();
    assert_eq!(usdt["frozenBal"], "116", "what it needs now");
    // A price that would take: taken as a request, refused by the engine.
    let answer = amend(&mut account, json!({"newPx": "250000"}));
    assert_eq!(answer["code"], "0", "{answer}");
    let told = account.events("orders");
    assert_eq!((&told[0]["amendResult"], &told[0]["px"]), (&json!("-1"), &json!("29000")));
    let named = json!({"instIdCode": 189_535, "clOrdId": "b4one"});
    account.ask("cancel-order", &named, 1_000);
    let gone = amend(&mut account, json!({"newSz": "0.003"}));
    assert_eq!(gone["data"][0]["sCode"], "51503", "{gone}");
    let other = json!({"instIdCode": 189_535, "clOrdId": "b4two", "newSz": "1"});
    assert_eq!(account.ask("amend-order", &other, 1_000)["data"][0]["sCode"], "51603");
}
