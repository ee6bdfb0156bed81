//! A venue that a test scripts: it answers logon, subscription, balances, order states and
//! trades from what the test put there, and leaves every other request to the test.

use std::collections::BTreeMap;
use std::io;

use bot4_wire::transport::memory::{MemoryServerStream, Network};
use serde_json::{Value, json};
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::{Error, Message, WebSocket};

type Accepting = MidHandshake<ServerHandshake<MemoryServerStream, NoCallback>>;

enum Line {
    None,
    Fresh(MemoryServerStream),
    Accepting(Box<Accepting>),
    Open(Box<WebSocket<MemoryServerStream>>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Ask {
    pub id: u64,
    pub method: String,
    pub params: Value,
}

pub struct Venue {
    network: Network,
    line: Line,
    /// Connections accepted.
    pub accepted: usize,
    /// Every request, answered or not.
    pub asked: Vec<Ask>,
    /// Order states by client id; what is not here does not exist.
    pub orders: BTreeMap<String, Value>,
    /// The account's trades.
    pub trades: Vec<Value>,
    /// Refusals by method: status, code, text, `retryAfter`.
    pub refusals: BTreeMap<String, (u16, i32, &'static str, i64)>,
    /// Methods that are not answered.
    pub mute: Vec<&'static str>,
    /// Its clock, Unix ms; it goes on by a millisecond a step.
    pub clock_ms: i64,
    /// Its counts, told with every answer.
    pub usage: Value,
}

impl Venue {
    pub fn new(network: Network) -> Self {
        Self {
            network,
            line: Line::None,
            accepted: 0,
            asked: Vec::new(),
            orders: BTreeMap::new(),
            trades: Vec::new(),
            refusals: BTreeMap::new(),
            mute: Vec::new(),
            clock_ms: super::START_MS + 1_000,
            usage: json!([]),
        }
    }

    /// Requests with this method so far.
    pub fn asked_for(&self, method: &str) -> Vec<Ask> {
        self.asked.iter().filter(|a| a.method == method).cloned().collect()
    }

    /// Somebody is connected.
    pub fn is_open(&self) -> bool {
        matches!(self.line, Line::Open(_))
    }

    /// Resets the present connection.
    pub fn cut(&mut self) {
        self.network.cut(self.accepted - 1);
        self.line = Line::None;
    }

    pub fn step(&mut self) {
        self.clock_ms += 1;
        if let Some(stream) = self.network.accept() {
            self.accepted += 1;
            self.line = Line::Fresh(stream);
        }
        self.line = match std::mem::replace(&mut self.line, Line::None) {
            Line::Fresh(stream) => shaken(tungstenite::accept(stream)),
            Line::Accepting(mid) => shaken(mid.handshake()),
            other => other,
        };
        while let Some(text) = self.read() {
            let mut ask: Value = serde_json::from_str(&text).expect("a request is JSON");
            let params = ask["params"].take();
            let method = ask["method"].as_str().expect("a method").to_owned();
            let ask = Ask { id: ask["id"].as_u64().expect("an id"), method, params };
            self.asked.push(ask.clone());
            self.answer(&ask);
        }
    }

    fn read(&mut self) -> Option<String> {
        let Line::Open(socket) = &mut self.line else { return None };
        let _ = socket.flush();
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
                Ok(_) => {}
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => {
                    self.line = Line::None;
                    return None;
                }
            }
        }
    }

    fn answer(&mut self, ask: &Ask) {
        let method = ask.method.as_str();
        if self.mute.contains(&method) {
            return;
        }
        if let Some((status, code, msg, retry)) = self.refusals.get(method).copied() {
            return self.refuse(ask.id, status, code, msg, retry);
        }
        let text = |key: &str| ask.params[key].as_str().unwrap_or("").to_owned();
        match method {
            "session.logon" => self.respond(ask.id, json!({"authorizedSince": 1})),
            "userDataStream.subscribe" => self.respond(ask.id, json!({"subscriptionId": 0})),
            "account.status" => {
                let held = |asset: &str| json!({"asset": asset, "free": "5", "locked": "1"});
                self.respond(ask.id, json!({"balances": [held("BTC"), held("USDT")]}));
            }
            "time" => self.respond(ask.id, json!({"serverTime": self.clock_ms})),
            "openOrders.status" => {
                let open = |o: &&Value| o["status"] == "NEW" || o["status"] == "PARTIALLY_FILLED";
                let open: Vec<Value> = self.orders.values().filter(open).cloned().collect();
                self.respond(ask.id, Value::from(open));
            }
            "order.status" => {
                let number = ask.params["orderId"].as_u64();
                let numbered = |o: &&Value| number.is_some_and(|n| o["orderId"] == n);
                let named = self.orders.get(&text("origClientOrderId"));
                match named.or_else(|| self.orders.values().find(numbered)).cloned() {
                    Some(order) => self.respond(ask.id, order),
                    None => self.refuse(ask.id, 400, -2013, "Order does not exist.", 0),
                }
            }
            "myTrades" => {
                let of_order = ask.params["orderId"].as_u64();
                let from = ask.params["fromId"].as_u64().unwrap_or(0);
                let asked = |t: &&Value| {
                    of_order.is_none_or(|o| t["orderId"] == o) && t["id"].as_u64() >= Some(from)
                };
                let trades: Vec<Value> = self.trades.iter().filter(asked).cloned().collect();
                self.respond(ask.id, Value::from(trades));
            }
            _ => {}
        }
    }

    pub fn respond(&mut self, id: u64, result: Value) {
        let usage = self.usage.clone();
        self.send(&json!({"id": id, "status": 200, "result": result, "rateLimits": usage}));
    }

    pub fn refuse(&mut self, id: u64, status: u16, code: i32, msg: &str, retry_after: i64) {
        let data = json!({"serverTime": 1, "retryAfter": retry_after});
        let mut error = json!({"code": code, "msg": msg});
        if retry_after > 0 {
            error["data"] = data;
        }
        self.send(&json!({"id": id, "status": status, "error": error}));
    }

    /// A refusal with `data` beside its code.
    pub fn refuse_with(&mut self, id: u64, status: u16, code: i32, data: &Value) {
        let error = json!({"code": code, "msg": "refused", "data": data});
        self.send(&json!({"id": id, "status": status, "error": error}));
    }

    pub fn event(&mut self, event: &Value) {
        self.send(&json!({"subscriptionId": 0, "event": event}));
    }

    fn send(&mut self, message: &Value) {
        let Line::Open(socket) = &mut self.line else { panic!("nobody is connected") };
        match socket.send(Message::text(message.to_string())) {
            Ok(()) => {}
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.line = Line::None,
        }
    }
}

fn shaken(
    result: Result<
        WebSocket<MemoryServerStream>,
        HandshakeError<ServerHandshake<MemoryServerStream, NoCallback>>,
    >,
) -> Line {
    match result {
        Ok(socket) => Line::Open(Box::new(socket)),
        Err(HandshakeError::Interrupted(mid)) => Line::Accepting(Box::new(mid)),
        Err(HandshakeError::Failure(_)) => Line::None,
    }
}
