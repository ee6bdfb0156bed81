//! Coinbase's account: tokens, orders by requests, the channel `user`, refusals, pages. Tokens are
//! made here by the protocol sheet, not by the venue's code.
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is the finding")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bot4_venue::Config;
use bot4_venue::dialect::{Ask, Page};
use bot4_venue::limits::LimitRules;
use common::dialects::{Talker, config_of, sample, value};
use common::{API_KEY, pair};
use serde_json::{Value, json};

const CONN: u64 = 1;
const HOST: &str = "api.venue.example";
const ORDERS: &str = "/api/v3/brokerage/orders";

fn token(uri: &str, from_s: u64, life_s: u64) -> String {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    // Relaxed: the number carries no other data.
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed).to_string();
    let header = json!({"alg": "EdDSA", "kid": API_KEY, "nonce": nonce, "typ": "JWT"});
    let mut payload = json!({"sub": API_KEY, "iss": "cdp", "nbf": from_s, "exp": from_s + life_s});
    if !uri.is_empty() {
        payload["uri"] = uri.into();
    }
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(payload));
    let signature = URL_SAFE_NO_PAD.encode(pair().sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

struct Account {
    talker: Talker,
    next: u32,
}

impl Account {
    /// The account's events subscribed.
    fn new() -> Self {
        Self::of(Config { crossed_answer_in: 0, ..config_of("coinbase") })
    }

    fn of(config: Config) -> Self {
        let mut account = Self { talker: Talker::new(config), next: 1 };
        account.talker.open(CONN, "/user");
        for channel in ["heartbeats", "user"] {
            account.subscribe(channel);
        }
        account.talker.take(CONN);
        account
    }

    fn second(&self) -> u64 {
        self.talker.now_ns / 1_000_000_000
    }

    fn subscribe(&mut self, channel: &str) -> Vec<Value> {
        let jwt = token("", self.second(), 120);
        let text = json!({"type": "subscribe", "channel": channel, "product_ids": ["BTC-USD"],
            "jwt": jwt});
        self.talker.say(CONN, &text.to_string()).iter().map(|t| value(t)).collect()
    }

    fn ask_with(&mut self, method: &str, target: &str, body: &str, token: &str) -> Page {
        let header = |name: &str, value: String| (name.to_owned(), value);
        let headers =
            [header("host", HOST.to_owned()), header("authorization", format!("Bearer {token}"))];
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let ask = Ask { method, path, query, headers: &headers, body };
        let page = self.talker.venue.ask(&ask, self.talker.now_ns);
        self.talker.advance_ms(0);
        page
    }

    fn ask(&mut self, method: &str, target: &str, body: &Value) -> Value {
        let path = target.split('?').next().unwrap();
        let token = token(&format!("{method} {HOST}{path}"), self.second(), 120);
        let body = if method == "GET" { String::new() } else { body.to_string() };
        value(&self.ask_with(method, target, &body, &token).body)
    }

    fn place(&mut self, configuration: &Value) -> Value {
        self.next += 1;
        let client = format!("b4order{}", self.next);
        self.place_as(&client, configuration)
    }

    fn place_as(&mut self, client: &str, configuration: &Value) -> Value {
        let body = json!({"client_order_id": client, "product_id": "BTC-USD", "side": "BUY",
            "order_configuration": configuration});
        self.ask("POST", ORDERS, &body)
    }

    /// Orders that the channel told, with the numbers of their messages.
    fn events(&mut self) -> Vec<(u64, Value)> {
        let texts = self.talker.take(CONN);
        let messages = texts.iter().map(|t| value(t)).filter(|m| m["channel"] == "user");
        let mut all = Vec::new();
        for message in messages {
            let number = message["sequence_num"].as_u64().unwrap();
            for event in message["events"].as_array().unwrap() {
                all.extend(event["orders"].as_array().unwrap().iter().map(|o| (number, o.clone())));
            }
        }
        all
    }
}

fn stop(direction: &str, stop: i64, limit: i64) -> Value {
    json!({"stop_limit_stop_limit_gtc": {"base_size": "0.01", "limit_price": limit.to_string(),
        "stop_price": stop.to_string(), "stop_direction": format!("STOP_DIRECTION_{direction}")}})
}

#[test]
fn a_stop_waits_is_triggered_by_the_market_and_trades() {
    let mut account = Account::new();
    account.talker.run_ms(1_000, 100);
    account.talker.take(CONN);
    let last = account.talker.venue.exchange().markets[0].last_price / 100_000_000;
    let refused = account.place(&stop("STOP_UP", last - 100, last + 100));
    let why = &refused["error_response"]["preview_failure_reason"];
    assert_eq!(why, "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE", "{refused}");
    let refused = account.place(&stop("STOP_UP", last + 100, last + 50));
    let why = &refused["error_response"]["preview_failure_reason"];
    assert_eq!(why, "PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE", "{refused}");
    assert_eq!(account.place(&stop("UP", last, last))["success"], false);
    let answer = account.place(&stop("STOP_UP", last + 1, last + last / 10));
    assert_eq!(answer["success"], true, "{answer}");
    let id = answer["order_id"].as_str().unwrap().to_owned();
    let word = |order: &Value, key: &str| order[key].as_str().unwrap().to_owned();
    let (_, order) = account.events().remove(0);
    assert_eq!([word(&order, "status"), word(&order, "trigger_status")], ["OPEN", "STOP_PENDING"]);
    assert_eq!(word(&order, "order_type"), "Stop Limit");
    let page = account.ask("GET", &format!("{ORDERS}/historical/batch?order_ids={id}"), &json!(0));
    assert_eq!(page["orders"][0]["trigger_status"], "STOP_PENDING");
    let mut told = Vec::new();
    for _ in 0..600 {
        account.talker.run_ms(100, 100);
        told.extend(account.events().into_iter().map(|(_, o)| o).filter(|o| o["order_id"] == id));
        if told.last().is_some_and(|o| o["status"] == "FILLED") {
            break;
        }
    }
    assert_eq!(word(&told[0], "trigger_status"), "STOP_TRIGGERED", "{told:?}");
    assert_eq!(word(told.last().unwrap(), "status"), "FILLED");
}

fn limit(price: &str, post_only: bool) -> Value {
    json!({"limit_limit_gtc": {"base_size": "0.01", "limit_price": price, "post_only": post_only}})
}

#[test]
fn an_order_is_taken_told_and_cancelled_by_its_id_alone() {
    let mut account = Account::new();
    let answer = account.place(&limit("30000", false));
    assert_eq!(answer["success"], true, "{answer}");
    let id = answer["success_response"]["order_id"].as_str().unwrap().to_owned();
    assert_eq!((id.len(), answer["order_id"].as_str()), (36, Some(id.as_str())));
    let events = account.events();
    let (_, order) = &events[0];
    assert_eq!((&order["order_id"], &order["status"]), (&json!(id), &json!("OPEN")));
    assert_eq!(order["limit_price"], "30000");
    let cancel = |id: &str| json!({"order_ids": [id]});
    let path = "/api/v3/brokerage/orders/batch_cancel";
    let gone = account.ask("POST", path, &cancel("not-an-order"));
    assert_eq!(gone["results"][0]["failure_reason"], "UNKNOWN_CANCEL_ORDER");
    assert_eq!(account.ask("POST", path, &cancel(&id))["results"][0]["success"], true);
    assert_eq!(account.events()[0].1["status"], "CANCELLED");
    assert_eq!(account.ask("POST", path, &cancel(&id))["results"][0]["success"], false);
    let page = account.ask("GET", &format!("{ORDERS}/historical/batch?order_ids={id}"), &json!(0));
    assert_eq!(page["orders"][0]["status"], "CANCELLED");
}

#[test]
fn an_order_that_rests_is_edited_in_place() {
    let mut account = Account::new();
    let answer = account.place(&limit("30000", false));
    let id = answer["order_id"].as_str().unwrap().to_owned();
    account.events();
    let edit = |account: &mut Account, price: &str, size: &str| {
        let body = json!({"order_id": id, "price": price, "size": size});
        let answer = account.ask("POST", &format!("{ORDERS}/edit"), &body);
        let reason = answer["errors"][0]["edit_failure_reason"].clone();
        assert_eq!(answer["success"], json!(reason.is_null()), "{answer}");
        reason
    };
    assert!(edit(&mut account, "30000", "0.004").is_null());
    let (_, order) = account.events().remove(0);
    let told = [&order["order_id"], &order["status"], &order["leaves_quantity"]];
    assert_eq!(told, [&json!(id), &json!("OPEN"), &json!("0.004")]);
    let path = format!("{ORDERS}/historical/batch?order_ids={id}");
    let listed = account.ask("GET", &path, &json!(0))["orders"][0].clone();
    let terms = &listed["order_configuration"]["limit_limit_gtc"];
    assert_eq!([&terms["limit_price"], &terms["base_size"]], [&json!("30000"), &json!("0.004")]);
    assert_eq!(edit(&mut account, "30000", "0"), "CANNOT_EDIT_TO_BELOW_FILLED_SIZE");
    assert_eq!(edit(&mut account, "dear", "0.004"), "INVALID_EDITED_PRICE");
    let cancel = json!({"order_ids": [id]});
    account.ask("POST", &format!("{ORDERS}/batch_cancel"), &cancel);
    assert_eq!(edit(&mut account, "30000", "0.002"), "ORDER_NOT_FOUND");
}

#[test]
fn a_client_id_is_used_once() {
    let mut account = Account::new();
    let first = account.place_as("b4one", &limit("30000", false));
    let far = json!({"sor_limit_ioc": {"base_size": "0.01", "limit_price": "20000"}});
    let again = account.place_as("b4one", &far);
    assert_eq!(again["success_response"]["order_id"], first["success_response"]["order_id"]);
    assert_eq!(account.events().len(), 1, "nothing happened the second time");
    let new = account.place_as("b4two", &far);
    assert_eq!(new["success"], true, "{new}");
    let events = account.events();
    let last = &events.last().unwrap().1;
    assert_eq!((&last["status"], &last["cumulative_quantity"]), (&json!("CANCELLED"), &json!("0")));
    assert_eq!(last["time_in_force"], "IMMEDIATE_OR_CANCEL");
}

#[test]
fn fills_are_told_by_pages_and_charged_in_dollars() {
    let mut account = Account::new();
    let before = account.ask("GET", "/api/v3/brokerage/accounts?limit=250", &json!(0));
    let answer = account.place(&json!({"market_market_ioc": {"base_size": "0.5"}}));
    let id = answer["success_response"]["order_id"].as_str().unwrap().to_owned();
    let (_, last) = account.events().pop().unwrap();
    assert_eq!((&last["status"], &last["cumulative_quantity"]), (&json!("FILLED"), &json!("0.5")));
    let target = format!("{ORDERS}/historical/fills?order_ids={id}&limit=100");
    let page = account.ask("GET", &target, &json!(0));
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let fills = page["fills"].as_array().unwrap();
    let sum = |key: &str| fills.iter().map(|fill| number(&fill[key])).sum::<f64>();
    assert!((sum("size") - 0.5).abs() < 1e-9, "{page}");
    let value: f64 = fills.iter().map(|f| number(&f["price"]) * number(&f["size"])).sum();
    assert!((sum("commission") - value / 1_000.0).abs() < 1e-4, "{page}");
    assert!((number(&last["total_fees"]) - sum("commission")).abs() < 1e-9);
    let after = account.ask("GET", "/api/v3/brokerage/accounts?limit=250", &json!(0));
    let held = |page: &Value, asset: &str| {
        let accounts = page["accounts"].as_array().unwrap();
        let account = accounts.iter().find(|a| a["currency"] == asset).unwrap();
        number(&account["available_balance"]["value"]) + number(&account["hold"]["value"])
    };
    assert!((held(&after, "BTC") - held(&before, "BTC") - 0.5).abs() < 1e-9, "no fee in coins");
    let paid = held(&before, "USD") - held(&after, "USD");
    assert!((paid - value - sum("commission")).abs() < 1e-3, "{paid} for {value}");
    // Pages go on by their cursor.
    let first = account.ask("GET", &format!("{ORDERS}/historical/fills?limit=1"), &json!(0));
    let total = account.ask("GET", &format!("{ORDERS}/historical/fills"), &json!(0));
    let rows = total["fills"].as_array().unwrap().len();
    assert_eq!(first["fills"].as_array().unwrap().len(), 1);
    assert_eq!(first["cursor"] != "", rows > 1);
}

#[test]
fn refusals_say_why() {
    let mut account = Account::new();
    let mut why = |configuration: &Value| {
        let answer = account.place(configuration);
        assert_eq!(answer["success"], false, "{answer}");
        answer["error_response"]["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(why(&limit("90000", true)), "INVALID_LIMIT_PRICE_POST_ONLY");
    assert_eq!(why(&limit("30000.001", false)), "INVALID_PRICE_PRECISION");
    let size = |size: &str| json!({"limit_limit_gtc": {"base_size": size, "limit_price": "30000"}});
    assert_eq!(why(&size("0.0000001")), "INVALID_SIZE_PRECISION");
    assert_eq!(why(&size("90")), "INSUFFICIENT_FUND");
    let bracket = json!({"trigger_bracket_gtc": {}});
    assert_eq!(why(&bracket), "UNSUPPORTED_ORDER_CONFIGURATION");
}

#[test]
fn tokens_are_looked_at() {
    let mut account = Account::new();
    let now = account.second();
    let uri = format!("GET {HOST}/api/v3/brokerage/accounts");
    let target = "/api/v3/brokerage/accounts?limit=1";
    let mut status = |token: &str| account.ask_with("GET", target, "", token).status;
    assert_eq!(status(&token(&uri, now, 120)), 200);
    let twice = token(&uri, now, 120);
    assert_eq!((status(&twice), status(&twice)), (200, 401), "once");
    assert_eq!(status(&token(&uri, now - 121, 120)), 401, "expired");
    assert_eq!(status(&token(&uri, now, 600)), 401, "too long a life");
    assert_eq!(status(&token(&uri, now + 60, 120)), 401, "not yet");
    assert_eq!(status(&token(&format!("POST {HOST}{ORDERS}"), now, 120)), 401, "another request");
    assert_eq!(status(&token("", now, 120)), 401, "no request at all");
    let mut broken = token(&uri, now, 120);
    let at = broken.len() - 8;
    let other = if broken[at..].starts_with('A') { "B" } else { "A" };
    broken.replace_range(at..=at, other);
    assert_eq!(status(&broken), 401, "not the signature");
    assert_eq!(status("a.b.c"), 401);
    let refused = account.talker.say(CONN, r#"{"type":"subscribe","channel":"user","jwt":"x"}"#);
    assert_eq!(value(&refused[0])["message"], "authentication failure");
    let time = account.ask_with("GET", "/api/v3/brokerage/time", "", "");
    assert_eq!(time.status, 200, "anybody may ask for the time");
}

#[test]
fn the_channel_begins_with_what_is_open_and_counts_its_messages() {
    let mut account = Account::new();
    for n in 0..51 {
        account.place(&limit(&format!("{}", 20_000 + n), false));
    }
    account.talker.open(2, "/user");
    let jwt = token("", account.second(), 120);
    let text = json!({"type": "subscribe", "channel": "user", "jwt": jwt}).to_string();
    let messages: Vec<Value> = account.talker.say(2, &text).iter().map(|t| value(t)).collect();
    let counts: Vec<usize> =
        messages[..2].iter().map(|m| m["events"][0]["orders"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [50, 1]);
    assert!(messages[2]["events"][0]["subscriptions"]["user"].is_array());
    let numbers: Vec<u64> = messages.iter().map(|m| m["sequence_num"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

/// The keys of an order on the channel are those of the documented example.
#[test]
fn orders_look_as_documented() {
    let Some(lines) = sample("coinbase/samples/doc_examples/user.jsonl") else { return };
    let mut account = Account::new();
    account.place(&limit("30000", false));
    let (_, order) = account.events().remove(0);
    let documented = lines.iter().map(|line| value(line)).find(|m| m["channel"] == "user");
    let documented = documented.unwrap()["events"][0]["orders"][0].clone();
    let keys = |order: &Value| -> std::collections::BTreeSet<String> {
        order.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&order), keys(&documented));
    assert!(order.as_object().unwrap().values().all(Value::is_string));
}

#[test]
fn too_many_requests_are_turned_away_and_what_is_left_is_told() {
    let limits = LimitRules { orders_per_10s: 300, ..LimitRules::HIGH };
    let mut account = Account::of(Config { limits, ..config_of("coinbase") });
    let uri = format!("GET {HOST}/api/v3/brokerage/accounts");
    let mut pages = Vec::new();
    for n in 0..31 {
        let token = token(&uri, account.second(), 120);
        let headers = [
            ("host".to_owned(), HOST.to_owned()),
            ("authorization".to_owned(), format!("Bearer {token}")),
        ];
        let path = "/api/v3/brokerage/accounts";
        let ask = Ask { method: "GET", path, query: "limit=1", headers: &headers, body: "" };
        let reply = account.talker.venue.ask_on(7, &ask, account.talker.now_ns).unwrap();
        let left = format!("x-ratelimit-remaining: {}\r\n", 29u32.saturating_sub(n));
        assert!(reply.headers.contains(&left), "{}", reply.headers);
        pages.push((reply.page.status, reply.headers.contains("Retry-After: 1")));
    }
    assert_eq!((pages[29], pages[30]), ((200, false), (429, true)));
}
