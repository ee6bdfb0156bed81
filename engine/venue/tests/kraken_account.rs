//! Kraken's account: tokens, orders and their partial events, refusals, questions over REST, rate
//! counters, the dead-man switch. Signatures are made here by the protocol sheet, not by the
//! venue's code.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bot4_venue::Config;
use bot4_venue::dialect::Ask;
use bot4_venue::limits::LimitRules;
use bot4_venue::matching::Side;
use common::API_KEY;
use common::dialects::{Talker, config_of, sample, value};
use ring::{digest, hmac};
use serde_json::{Value, json};

const CONN: u64 = 1;
const SECRET: &str =
    "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";
const PATH: &str = "/auth/v2";

fn sign(path: &str, nonce: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA512, &STANDARD.decode(SECRET).unwrap());
    let digest = digest::digest(&digest::SHA256, format!("{nonce}{body}").as_bytes());
    let text = [path.as_bytes(), digest.as_ref()].concat();
    STANDARD.encode(hmac::sign(&key, &text))
}

struct Account {
    talker: Talker,
    token: String,
    nonce: u64,
    next: u64,
}

impl Account {
    /// Subscribed to both channels.
    fn new() -> Self {
        let mut account = Self::bare(config_of("kraken"));
        account.listen();
        account
    }

    fn bare(config: Config) -> Self {
        let config = Config { secret: SECRET.to_owned(), crossed_answer_in: 0, ..config };
        let (token, nonce, next) = (String::new(), 1, 0);
        let mut account = Self { talker: Talker::new(config), token, nonce, next };
        account.talker.open(CONN, PATH);
        let answer = account.rest("GetWebSocketsToken", "");
        account.token = answer["result"]["token"].as_str().unwrap().to_owned();
        account
    }

    fn listen(&mut self) {
        for channel in ["executions", "balances"] {
            let answers = self.ask("subscribe", &json!({"channel": channel}));
            assert_eq!(answers[0]["success"], true, "{answers:?}");
            assert_eq!(
                (&answers[1]["type"], &answers[1]["sequence"]),
                (&json!("snapshot"), &json!(1))
            );
        }
        self.talker.take(CONN);
    }

    fn ask(&mut self, method: &str, params: &Value) -> Vec<Value> {
        self.next += 1;
        let mut params = params.clone();
        params.as_object_mut().unwrap().entry("token").or_insert(self.token.clone().into());
        let request = json!({"method": method, "params": params, "req_id": self.next});
        self.talker.say(CONN, &request.to_string()).iter().map(|text| value(text)).collect()
    }

    fn answer(&mut self, method: &str, params: &Value) -> Value {
        let answers = self.ask(method, params);
        let ours = answers.into_iter().find(|v| v["method"] == method);
        ours.unwrap_or_else(|| panic!("no answer to {method}"))
    }

    fn place(&mut self, change: &Value) -> Value {
        let mut order = json!({
            "order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 0.01,
            "limit_price": 30000.5, "cl_ord_id": format!("b4order{}", self.next),
        });
        order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.answer("add_order", &order)
    }

    fn deadline(&self, in_ms: i64) -> Value {
        let ms = (self.talker.now_ns / 1_000_000).checked_add_signed(in_ms).unwrap();
        let second = ms % 86_400_000 / 1_000;
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        json!(format!("2026-01-01T{hour:02}:{minute:02}:{:02}.{:03}Z", second % 60, ms % 1_000))
    }

    fn rest(&mut self, what: &str, parameters: &str) -> Value {
        self.nonce += 1;
        let (path, nonce) = (format!("/0/private/{what}"), self.nonce.to_string());
        let body = format!("nonce={nonce}{parameters}");
        let signature = sign(&path, &nonce, &body);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [header("api-key", API_KEY), header("api-sign", &signature)];
        let ask = Ask { method: "POST", path: &path, query: "", headers: &headers, body: &body };
        value(&self.talker.venue.ask(&ask, self.talker.now_ns).body)
    }

    fn entries(&mut self, channel: &str) -> Vec<Value> {
        let texts: Vec<String> = self.talker.take(CONN);
        let messages = texts.iter().map(|t| value(t)).filter(|m| m["channel"] == channel);
        messages.flat_map(|m| m["data"].as_array().unwrap().clone()).collect()
    }
}

#[test]
fn an_order_is_accepted_told_and_cancelled() {
    let mut account = Account::new();
    let answer = account.place(&json!({"cl_ord_id": "b4one"}));
    assert_eq!(
        (&answer["success"], &answer["result"]["cl_ord_id"]),
        (&json!(true), &json!("b4one"))
    );
    let told = account.entries("executions");
    let kinds: Vec<&str> = told.iter().map(|e| e["exec_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["pending_new", "new"]);
    assert_eq!((&told[0]["symbol"], &told[0]["limit_price"]), (&json!("BTC/USD"), &json!(30000.5)));
    assert!(told[1].get("symbol").is_none(), "partial: {}", told[1]);
    assert_eq!(told[1]["order_id"], answer["result"]["order_id"]);
    let open = account.rest("OpenOrders", "&cl_ord_id=b4one");
    let open = open["result"]["open"].as_object().unwrap();
    assert_eq!(open.values().next().unwrap()["descr"]["pair"], "XBTUSD");
    let answers = account.ask("cancel_order", &json!({"cl_ord_id": ["b4one", "b4two"]}));
    let outcomes: Vec<&Value> = answers.iter().filter(|v| v["method"] == "cancel_order").collect();
    assert_eq!(outcomes[0]["success"], true);
    assert_eq!(outcomes[1]["error"], "EOrder:Unknown order", "one answer an order");
    let told = account.entries("executions");
    assert_eq!((&told[0]["order_status"], &told[0]["cum_qty"]), (&json!("canceled"), &json!(0.0)));
    let closed = account.rest("ClosedOrders", "&cl_ord_id=b4one");
    assert_eq!(closed["result"]["count"], 1, "{closed}");
    let again = account.answer("cancel_order", &json!({"cl_ord_id": ["b4one"]}));
    assert_eq!(again["error"], "EOrder:Unknown order");
}

/// The best bid by the book that the venue keeps.
fn bid(account: &Account) -> f64 {
    account.talker.venue.exchange().markets[0].book.best(Side::Buy).unwrap().0 as f64 / 1e8
}

fn kinds(told: &[Value]) -> Vec<String> {
    let word = |e: &Value, key: &str| e[key].as_str().unwrap().to_owned();
    told.iter().map(|e| word(e, "exec_type") + "/" + &word(e, "order_status")).collect()
}

#[test]
fn a_stop_waits_is_triggered_by_the_market_and_trades() {
    let mut account = Account::new();
    account.talker.run_ms(1_000, 100);
    account.talker.take(CONN);
    let bid = bid(&account);
    let stop = |name: &str, price: f64, limit: f64| {
        json!({
            "order_type": "stop-loss-limit", "side": "sell", "cl_ord_id": name,
            "limit_price": limit.round(), "time_in_force": "gtc", "order_qty": 0.01,
            "triggers": {"reference": "last", "price": price.round(), "price_type": "static"},
        })
    };
    assert_eq!(account.place(&stop("b4far", bid * 0.9, bid * 0.89))["success"], true);
    let told = account.entries("executions");
    assert_eq!(kinds(&told), ["pending_new/pending_new", "new/new"]);
    assert_eq!(told[0]["triggers"]["status"], "untriggered", "{}", told[0]);
    let open = account.rest("OpenOrders", "&cl_ord_id=b4far");
    let open = open["result"]["open"].as_object().unwrap().values().next().unwrap();
    assert_eq!(
        (&open["descr"]["ordertype"], &open["misc"]),
        (&json!("stop-loss-limit"), &json!(""))
    );
    let prices = [&open["descr"]["price"], &open["descr"]["price2"]];
    assert!(prices[0].as_str() > prices[1].as_str(), "trigger and limit: {open}");
    let answer = account.answer("cancel_order", &json!({"cl_ord_id": ["b4far"]}));
    assert_eq!(answer["success"], true);
    assert_eq!(kinds(&account.entries("executions")), ["canceled/canceled"]);
    // Reached already: it is triggered at once.
    assert_eq!(account.place(&stop("b4near", bid * 1.01, bid * 0.98))["success"], true);
    let told = account.entries("executions");
    let words = kinds(&told);
    assert_eq!(words[..3], ["pending_new/pending_new", "new/new", "status/triggered"]);
    assert_eq!(words.last().unwrap(), "filled/filled", "{words:?}");
    assert_eq!(
        (&told[2]["triggers"]["status"], told[2].get("symbol")),
        (&json!("triggered"), None)
    );
    // A limit that the market is not at: it rests when it is triggered.
    assert_eq!(account.place(&stop("b4rest", bid * 1.01, bid * 1.005))["success"], true);
    assert_eq!(kinds(&account.entries("executions")).last().unwrap(), "status/triggered");
    let open = account.rest("OpenOrders", "&cl_ord_id=b4rest");
    let open = open["result"]["open"].as_object().unwrap().values().next().unwrap();
    assert_eq!((&open["misc"], &open["status"]), (&json!("stopped"), &json!("open")));
}

#[test]
fn a_stop_that_is_none_is_refused() {
    let mut account = Account::new();
    let triggers = json!({"reference": "last", "price": 20000.5});
    let stop = json!({"order_type": "stop-loss", "side": "sell", "triggers": triggers});
    let mut error = |change: Value| {
        let mut order = stop.clone();
        order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        account.place(&order)["error"].clone()
    };
    assert_eq!(error(json!({"triggers": {"price": "1"}})), "Price field must be a number_float");
    assert_eq!(error(json!({"triggers": null})), "EGeneral:Invalid arguments:triggers");
    let limit = json!({"order_type": "stop-loss-limit", "time_in_force": "ioc"});
    assert_eq!(error(limit), "EGeneral:Invalid arguments:order_type");
    assert_eq!(error(json!({"triggers": {"price": 20000.55}})), "EOrder:Tick size check failed");
    assert_eq!(error(json!({})), Value::Null, "taken");
}

#[test]
fn fills_carry_fees_in_money_and_the_end_comes_apart() {
    let mut account = Account::new();
    account.talker.run_ms(2_000, 100);
    account.talker.take(CONN);
    account.place(&json!({"limit_price": 90000.0, "time_in_force": "ioc", "cl_ord_id": "b4f"}));
    let texts = account.talker.take(CONN);
    let all: Vec<Value> = texts.iter().map(|t| value(t)).collect();
    let told: Vec<&Value> = all.iter().filter(|m| m["channel"] == "executions").collect();
    let sequences: Vec<u64> = told.iter().map(|m| m["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.windows(2).all(|w| w[1] == w[0] + 1), "{sequences:?}");
    let trade = told.iter().map(|m| &m["data"][0]).find(|e| e["exec_type"] == "trade").unwrap();
    assert_eq!((&trade["fees"][0]["asset"], &trade["liquidity_ind"]), (&json!("USD"), &json!("t")));
    assert_eq!(trade["order_status"], "partially_filled", "even the last one");
    assert_eq!(told.last().unwrap()["data"][0]["exec_type"], "filled");
    let usd = all.iter().filter(|m| m["channel"] == "balances").map(|m| &m["data"][0]);
    let usd: Vec<&Value> = usd.filter(|e| e["asset"] == "USD").collect();
    assert!(!usd.is_empty() && usd[0]["amount"].as_f64().unwrap() < 0.0, "{usd:?}");
    let history = account.rest("TradesHistory", "&start=0");
    let list = history["result"]["trades"].as_object().unwrap();
    assert!(list.contains_key(trade["exec_id"].as_str().unwrap()), "{list:?}");
    assert_eq!(list.values().next().unwrap()["pair"], "XXBTZUSD");
    let held = account.rest("BalanceEx", "");
    assert!(held["result"]["ZUSD"]["balance"].is_string(), "{held}");
}

#[test]
fn a_post_only_order_that_would_take_is_accepted_and_cancelled() {
    let mut account = Account::new();
    account.talker.run_ms(1_000, 100);
    account.talker.take(CONN);
    let change = json!({"limit_price": 90000.0, "post_only": true, "cl_ord_id": "b4p"});
    assert_eq!(account.place(&change)["success"], true);
    let told = account.entries("executions");
    assert_eq!(
        (&told[1]["exec_type"], &told[1]["reason"]),
        (&json!("canceled"), &json!("Post only order"))
    );
    let closed = account.rest("ClosedOrders", "&cl_ord_id=b4p");
    assert_eq!(closed["result"]["closed"].as_object().unwrap().len(), 1, "{closed}");
}

#[test]
fn what_is_wrong_is_refused_with_the_venues_texts() {
    let mut account = Account::new();
    let error = |account: &mut Account, change: Value| account.place(&change)["error"].clone();
    for (change, text) in [
        (json!({"order_qty": "0.01"}), "Order_qty field must be a number_float"),
        (json!({"symbol": "XBT/USD"}), "EGeneral:Invalid arguments:symbol"),
        (json!({"order_qty": 40.0}), "EOrder:Insufficient funds"),
        (json!({"limit_price": 30000.55}), "EOrder:Tick size check failed"),
        (json!({"token": "none"}), "Token(s) not found"),
        (json!({"deadline": account.deadline(-1)}), "EService:Deadline elapsed"),
        (json!({"deadline": account.deadline(61_000)}), "EGeneral:Invalid arguments:deadline"),
    ] {
        assert_eq!(error(&mut account, change.clone()), text, "{change}");
    }
    let fine = json!({"deadline": account.deadline(1_000), "cl_ord_id": "b4twice"});
    assert!(account.place(&fine)["success"].as_bool().unwrap());
    assert_eq!(error(&mut account, fine), "EOrder:Duplicate cl_ord_id");
    let answer = account.answer("dance", &json!({}));
    assert_eq!(answer["error"], "Unsupported event");
    assert_eq!(
        account.answer("subscribe", &json!({"channel": "executions"}))["error"],
        "Already subscribed"
    );
}

#[test]
fn requests_over_rest_need_key_signature_and_a_growing_nonce() {
    let mut account = Account::new();
    account.nonce -= 1;
    assert_eq!(account.rest("BalanceEx", "")["error"][0], "EAPI:Invalid nonce");
    assert_eq!(account.rest("BalanceEx", "")["error"], json!([]));
    for (key, sign, text) in
        [("k", "s", "EAPI:Invalid key"), (API_KEY, "s", "EAPI:Invalid signature")]
    {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [header("api-key", key), header("api-sign", sign)];
        let path = "/0/private/BalanceEx";
        let ask = Ask { method: "POST", path, query: "", headers: &headers, body: "nonce=999" };
        let answer = value(&account.talker.venue.ask(&ask, account.talker.now_ns).body);
        assert_eq!(answer["error"][0], text);
    }
}

#[test]
fn a_token_lives_by_its_subscription_and_dies_unused() {
    let mut account = Account::bare(config_of("kraken"));
    // Steps longer than the venue makes up for: no market in between.
    account.talker.run_ms(30_000, 30_000);
    account.listen();
    account.talker.run_ms(990_000, 30_000);
    assert_eq!(account.place(&json!({}))["success"], true, "in use");
    let mut unused = Account::bare(config_of("kraken"));
    // Pings keep the connection, not the token.
    for _ in 0..31 {
        unused.talker.run_ms(30_000, 30_000);
        unused.talker.say(CONN, r#"{"method":"ping"}"#);
    }
    assert_eq!(unused.place(&json!({}))["error"], "Token(s) not found");
}

#[test]
fn counters_of_a_pair_refuse_and_decay() {
    let config = Config { limits: LimitRules::REAL, ..config_of("kraken") };
    let mut account = Account::bare(config);
    let answers = account.ask("subscribe", &json!({"channel": "executions"}));
    assert_eq!(answers[0]["result"]["maxratecount"], 180);
    let mut placed = 0;
    while account.place(&json!({"cl_ord_id": format!("b4r{placed}")}))["success"] == true {
        let name = json!({"cl_ord_id": [format!("b4r{placed}")]});
        if account.answer("cancel_order", &name)["success"] != true {
            break;
        }
        placed += 1;
    }
    assert_eq!(placed, 20, "180 by 9");
    account.talker.run_ms(3_000, 100);
    assert_eq!(account.place(&json!({"cl_ord_id": "b4later"}))["success"], true);
}

#[test]
fn the_dead_man_switch_strikes_for_the_account_when_it_is_not_fed() {
    let mut account = Account::new();
    account.place(&json!({}));
    let fed = account.answer("cancel_all_orders_after", &json!({"timeout": 10}));
    assert!(fed["result"]["triggerTime"].is_string(), "{fed}");
    account.talker.run_ms(9_000, 100);
    account.answer("cancel_all_orders_after", &json!({"timeout": 10}));
    account.talker.run_ms(9_900, 100);
    let open = |account: &mut Account| {
        account.rest("OpenOrders", "")["result"]["open"].as_object().unwrap().len()
    };
    assert_eq!(open(&mut account), 1, "fed in time");
    account.talker.leave(CONN);
    account.talker.run_ms(200, 100);
    assert_eq!(open(&mut account), 0, "it survives the connection");
}

#[test]
fn amends_keep_the_order_and_batches_are_answered_together() {
    let mut account = Account::new();
    let placed = account.place(&json!({"order_qty": 0.05, "cl_ord_id": "b4trim"}));
    account.talker.take(CONN);
    let answer = account.answer("amend_order", &json!({"cl_ord_id": "b4trim", "order_qty": 0.02}));
    assert_eq!(answer["result"]["order_id"], placed["result"]["order_id"], "{answer}");
    let told = account.entries("executions");
    assert_eq!((&told[0]["exec_type"], &told[0]["order_qty"]), (&json!("amended"), &json!(0.02)));
    let change = json!({"cl_ord_id": "b4trim", "limit_price": 30001.5, "order_qty": 0.03});
    assert_eq!(account.answer("amend_order", &change)["success"], true);
    let told = account.entries("executions");
    assert_eq!((&told[0]["limit_price"], &told[0]["order_qty"]), (&json!(30001.5), &json!(0.03)));
    let order =
        json!({"order_type": "limit", "side": "buy", "order_qty": 0.01, "limit_price": 30000.5});
    let answer =
        account.answer("batch_add", &json!({"symbol": "BTC/USD", "orders": [order, order]}));
    assert_eq!(answer["result"].as_array().unwrap().len(), 2, "{answer}");
    let answer = account.answer("cancel_all", &json!({}));
    assert_eq!(answer["result"]["count"], 3, "{answer}");
}

#[test]
fn messages_have_the_shape_of_the_captured_ones() {
    let mut account = Account::new();
    account.place(&json!({"cl_ord_id": "b4shape"}));
    let told = account.talker.take(CONN);
    for (file, part) in [
        ("execution_limit_order_update_pending_1.json", "pending_new"),
        ("execution_order_update_new_1.json", "\"exec_type\":\"new\""),
    ] {
        let Some(lines) = sample(&format!("kraken/samples/real_2024/{file}")) else { return };
        let ours = value(told.iter().find(|text| text.contains(part)).unwrap());
        let (real, ours) = (value(&lines[0])["data"][0].clone(), &ours["data"][0]);
        for (key, value) in real.as_object().unwrap() {
            let same = |a: &Value, b: &Value| {
                a.is_string() == b.is_string() && a.is_number() == b.is_number()
            };
            assert!(ours.get(key).is_some_and(|ours| same(ours, value)), "{file}: {key} in {ours}");
        }
    }
}
