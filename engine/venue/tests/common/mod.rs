//! A client of the venue's core: signs, sends, and sorts what comes back.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod dialects;
pub mod recordings;
pub mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bot4_venue::store::Stored;
use bot4_venue::{Config, Credentials, Out, Venue};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Map, Value, json};

/// 2026-01-01 00:00:00.050 UTC: off the 100 ms border.
pub const START_NS: u64 = 1_767_225_600_050_000_000;
pub const API: u64 = 1;
pub const MARKET: u64 = 2;
pub const API_KEY: &str = "bot4bot4bot4bot4bot4bot4bot4bot4bot4bot4bot4bot4bot4bot4bot4bot4";

pub fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

pub fn credentials() -> Credentials {
    let public_key = pair().public_key().as_ref().try_into().unwrap();
    Credentials { api_key: API_KEY.to_owned(), public_key }
}

pub fn config() -> Config {
    Config { crossed_answer_in: 0, ..Config::new(11, credentials()) }
}

/// Adds `apiKey` and `signature` as the protocol sheet says (independent of the venue's code).
pub fn signed(params: &Value) -> Value {
    let mut map: Map<String, Value> = params.as_object().unwrap().clone();
    map.insert("apiKey".to_owned(), API_KEY.into());
    let mut pairs: Vec<String> = map
        .iter()
        .map(|(k, v)| format!("{k}={}", v.as_str().map_or(v.to_string(), str::to_owned)))
        .collect();
    pairs.sort();
    let signature = STANDARD.encode(pair().sign(pairs.join("&").as_bytes()));
    map.insert("signature".to_owned(), signature.into());
    Value::Object(map)
}

pub struct Client {
    pub venue: Venue,
    pub now_ns: u64,
    pub events: Vec<Value>,
    pub market: Vec<(String, Value)>,
    pub raw_events: Vec<String>,
    pub closed: Vec<u64>,
    next_id: u64,
}

impl Client {
    pub fn new(config: Config) -> Self {
        Self::restored(config, "", START_NS)
    }

    pub fn restored(config: Config, log: &str, now_ns: u64) -> Self {
        let venue = Venue::new(config, Stored::read(log).unwrap()).unwrap();
        let mut client = Self {
            venue,
            now_ns,
            events: Vec::new(),
            market: Vec::new(),
            raw_events: Vec::new(),
            closed: Vec::new(),
            next_id: 0,
        };
        client.venue.connect(API, "/ws-api/v3", now_ns).unwrap();
        client
    }

    /// Logged on and subscribed.
    pub fn ready(config: Config) -> Self {
        let mut client = Self::new(config);
        client.enter();
        client
    }

    pub fn enter(&mut self) {
        let timestamp = self.now_ms();
        let logon = self.call("session.logon", signed(&json!({"timestamp": timestamp})));
        assert_eq!(logon["status"], 200, "{logon}");
        let subscribed = self.call("userDataStream.subscribe", json!({}));
        assert_eq!(subscribed["result"]["subscriptionId"], 0, "{subscribed}");
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ns / 1_000_000
    }

    pub fn log(&mut self) -> String {
        std::iter::from_fn(|| self.venue.poll_record()).map(|line| line + "\n").collect()
    }

    pub fn call(&mut self, method: &str, params: Value) -> Value {
        serde_json::from_str(&self.call_text(method, params)).unwrap()
    }

    pub fn call_text(&mut self, method: &str, params: Value) -> String {
        self.next_id += 1;
        let request = json!({"id": self.next_id, "method": method, "params": params});
        self.send(&request.to_string()).expect("an answer")
    }

    /// Sends a text; the answer, if one came.
    pub fn send(&mut self, text: &str) -> Option<String> {
        self.venue.on_text(API, text, self.now_ns);
        self.collect()
    }

    /// A request of the logged-on session, stamped.
    pub fn trade(&mut self, method: &str, mut params: Value) -> Value {
        params["timestamp"] = self.now_ms().into();
        self.call(method, params)
    }

    pub fn limit(&mut self, symbol: &str, side: &str, price: &str, qty: &str, tif: &str) -> Value {
        self.trade(
            "order.place",
            json!({"symbol": symbol, "side": side, "type": "LIMIT", "timeInForce": tif,
                   "price": price, "quantity": qty}),
        )
    }

    pub fn advance_ms(&mut self, ms: u64) {
        self.now_ns += ms * 1_000_000;
        self.venue.tick(self.now_ns);
        let answer = self.collect();
        assert_eq!(answer, None);
    }

    /// Sorts outputs; the answer to a request comes back.
    pub fn collect(&mut self) -> Option<String> {
        let mut answer = None;
        while let Some((conn, out)) = self.venue.poll_output() {
            match out {
                Out::Text(text) if conn == API => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if value.get("event").is_some() {
                        self.raw_events.push(text.to_string());
                        self.events.push(value["event"].clone());
                    } else {
                        assert!(answer.is_none(), "one answer a request");
                        answer = Some(text.to_string());
                    }
                }
                Out::Text(text) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    self.market.push((text.to_string(), value));
                }
                Out::Ping(_) => self.venue.on_pong(conn, self.now_ns),
                Out::Reply(_) => panic!("nobody asked plainly"),
                Out::Close(..) | Out::Drop | Out::Reset | Out::Stall => self.closed.push(conn),
            }
        }
        answer
    }

    pub fn balance(&self, asset: &str) -> (i128, i128) {
        let balance = self.venue.exchange().account.assets()[asset];
        (balance.free, balance.locked)
    }

    pub fn best(&mut self, symbol: &str) -> (String, String) {
        let depth = self.call("depth", json!({"symbol": symbol, "limit": 5}));
        let price = |side: &str| depth["result"][side][0][0].as_str().unwrap().to_owned();
        (price("bids"), price("asks"))
    }

    pub fn error(&mut self, method: &str, params: Value) -> (u64, i64, String) {
        let answer = self.trade(method, params);
        let error = &answer["error"];
        (
            answer["status"].as_u64().unwrap(),
            error["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}")),
            error["msg"].as_str().unwrap().to_owned(),
        )
    }
}

/// Keys in order, nested ones too: the shape of a message.
pub fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(k, v)| {
                std::iter::once(k.clone())
                    .chain(keys(v).into_iter().map(move |n| format!("{k}.{n}")))
            })
            .collect(),
        Value::Array(list) => list.first().map(keys).unwrap_or_default(),
        _ => Vec::new(),
    }
}
