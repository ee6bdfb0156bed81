//! The WebSocket API: envelope, authorisation, sessions, and the way to each method.
//!
//! Checks run in the order of the protocol sheet (chapter 10): parameters, key, time, signature,
//! symbol, enumerations, precision, limits, filters, engine. Each answer lists the limits that
//! the request touched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Map, Value};

use super::params::{Amount, Params};
use crate::decimal::ONE;
use crate::error::ApiError;
use crate::exchange::Exchange;
use crate::recorded::RecordedBook;

/// The one key that the venue knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// 64 letters and digits.
    pub api_key: String,
    /// Ed25519 public key.
    pub public_key: [u8; 32],
}

/// What an API connection carries from request to request.
#[derive(Clone, Debug)]
pub struct ApiSession {
    /// When it was opened, Unix ms.
    pub connected_ms: u64,
    /// When it was logged on, Unix ms.
    pub authorized_ms: Option<u64>,
    /// The user data subscription's id, if on.
    pub subscription: Option<u64>,
    /// Ids given out so far.
    pub subscriptions: u64,
    /// Are limits listed unless a request says otherwise?
    pub return_limits: bool,
    /// 1, or 1000 if times are in microseconds.
    pub scale: u64,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Complete JSON.
    pub text: String,
    /// Answers a trading method: faults may hit it.
    pub is_trade: bool,
    /// The connection is to be closed after it.
    pub closes: bool,
    /// The user data subscription with this id ended.
    pub ended: Option<u64>,
}

/// One request in progress.
pub(crate) struct Call<'a> {
    pub exchange: &'a mut Exchange,
    pub credentials: &'a Credentials,
    pub session: &'a mut ApiSession,
    /// Books of a market that is replayed without trading.
    pub recorded: Option<&'a [RecordedBook]>,
    pub now_ms: u64,
    charged: bool,
    ended: Option<u64>,
}

pub(crate) type Outcome = Result<String, ApiError>;

impl<'a> Call<'a> {
    pub fn new(
        exchange: &'a mut Exchange,
        credentials: &'a Credentials,
        session: &'a mut ApiSession,
        recorded: Option<&'a [RecordedBook]>,
        now_ms: u64,
    ) -> Self {
        Self { exchange, credentials, session, recorded, now_ms, charged: false, ended: None }
    }

    /// Reads, performs and answers one request.
    pub fn answer(mut self, text: &str) -> Reply {
        let request: Option<Map<String, Value>> = serde_json::from_str(text).ok();
        let empty = Map::new();
        let part = |name| request.as_ref().and_then(|r| r.get(name));
        let id = part("id").filter(|id| id.is_string() || id.is_i64() || id.is_u64());
        let method = part("method").and_then(Value::as_str).unwrap_or_default();
        let method = method.strip_prefix("v3/").unwrap_or(method);
        let params = Params::new(part("params").and_then(Value::as_object).unwrap_or(&empty));
        let is_trade = matches!(
            method,
            "order.place"
                | "order.cancel"
                | "order.cancelReplace"
                | "order.amend.keepPriority"
                | "openOrders.cancelAll"
        );
        let counts_orders = matches!(method, "order.place" | "order.test" | "order.cancelReplace");
        let mut outcome = match request {
            Some(_) => self.perform(method, &params),
            None => Err(ApiError::new(-1135, "Invalid JSON Request")),
        };
        // A refused request costs as well, or a client could send rubbish for ever.
        if !self.charged
            && let Err(limit) = self.charge(1)
        {
            outcome = Err(limit);
        }
        let closes = outcome.as_ref().is_err_and(|error| error.status == 418);
        let listed = match params.flag("returnRateLimits") {
            Ok(Some(wanted)) => wanted,
            _ => self.session.return_limits,
        };
        let limits = listed.then(|| self.exchange.limits.used(counts_orders, self.now_ms));
        let id = id.map_or_else(|| "null".to_owned(), Value::to_string);
        Reply { text: envelope(&id, &outcome, limits), is_trade, closes, ended: self.ended }
    }

    fn perform(&mut self, method: &str, params: &Params) -> Outcome {
        if let Some(until) = self.exchange.limits.ban(self.now_ms) {
            self.charged = true;
            let banned = crate::limits::Exceeded::Banned(until);
            return Err(ApiError::exceeded(banned, 0, self.now_ms));
        }
        match method {
            "ping" => self.charge(1).map(|()| "{}".to_owned()),
            "time" => self.charge(1).map(|()| format!(r#"{{"serverTime":{}}}"#, self.time())),
            "session.logon" => self.logon(params),
            "session.status" => self.charge(2).map(|()| self.session_text()),
            "session.logout" => self.logout(),
            "userDataStream.subscribe" => self.subscribe(params, false),
            "userDataStream.subscribe.signature" => self.subscribe(params, true),
            "userDataStream.unsubscribe" => self.unsubscribe(params),
            "session.subscriptions" => self.charge(2).map(|()| {
                let entry = |id| format!(r#"{{"subscriptionId":{id}}}"#);
                format!("[{}]", self.session.subscription.map(entry).unwrap_or_default())
            }),
            "order.place" => self.place(params, false),
            "order.test" => self.place(params, true),
            "order.cancel" => self.cancel(params),
            "order.cancelReplace" => self.cancel_replace(params),
            "order.amend.keepPriority" => self.amend(params),
            "openOrders.cancelAll" => self.cancel_all(params),
            "exchangeInfo" => self.exchange_info(params),
            "depth" => self.depth(params),
            "order.status" => self.order_status(params),
            "openOrders.status" => self.open_orders(params),
            "allOrders" => self.all_orders(params),
            "account.status" => self.account_status(params),
            "account.rateLimits.orders" => self.order_limits(params),
            "myTrades" => self.my_trades(params),
            "" => Err(ApiError::missing("method")),
            _ => Err(ApiError::new(-1020, "This operation is not supported.")),
        }
    }

    /// Now, in the connection's unit.
    pub fn time(&self) -> u64 {
        self.now_ms * self.session.scale
    }

    /// Counts a request's weight.
    pub fn charge(&mut self, weight: u32) -> Result<(), ApiError> {
        self.charged = true;
        let limit = self.exchange.limits.rules().weight_per_minute;
        let charged = self.exchange.limits.charge(weight, self.now_ms);
        charged.map_err(|exceeded| ApiError::exceeded(exceeded, limit, self.now_ms))
    }

    /// Key, time and signature of a request that needs an account.
    pub fn authorize(&self, params: &Params, logon: bool) -> Result<(), ApiError> {
        let key = params.text_if_sent("apiKey")?;
        let signature = params.text_if_sent("signature")?;
        let timestamp = params.integer("timestamp")?;
        let timestamp = timestamp.ok_or_else(|| ApiError::missing("timestamp"))?;
        let window_ms = window_ms(params)?;
        if key.is_none() && signature.is_none() && !logon {
            if self.session.authorized_ms.is_none() {
                let msg = "Invalid API-key, IP, or permissions for action.";
                return Err(ApiError::new(-2015, msg));
            }
            return self.in_time(timestamp, window_ms);
        }
        let key = key.ok_or_else(|| ApiError::missing("apiKey"))?;
        let signature = signature.ok_or_else(|| ApiError::missing("signature"))?;
        if key.len() != 64 || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(ApiError::new(-2014, "API-key format invalid."));
        }
        if key != self.credentials.api_key {
            let msg = "Invalid API-key, IP, or permissions for action.";
            return Err(ApiError::new(-2015, msg));
        }
        self.in_time(timestamp, window_ms)?;
        let public = UnparsedPublicKey::new(&ED25519, self.credentials.public_key);
        let signed = STANDARD.decode(signature).unwrap_or_default();
        let valid = public.verify(params.payload().as_bytes(), &signed).is_ok();
        let refused = || ApiError::new(-1022, "Signature for this request is not valid.");
        valid.then_some(()).ok_or_else(refused)
    }

    fn in_time(&self, timestamp: u64, window_ms: u64) -> Result<(), ApiError> {
        // Sixteen digits are microseconds.
        let sent_ms = if timestamp >= 100_000_000_000_000 { timestamp / 1000 } else { timestamp };
        if sent_ms >= self.now_ms + 1000 {
            let msg = "Timestamp for this request was 1000ms ahead of the server's time.";
            return Err(ApiError::new(-1021, msg));
        }
        if self.now_ms.saturating_sub(sent_ms) > window_ms {
            let msg = "Timestamp for this request is outside of the recvWindow.";
            return Err(ApiError::new(-1021, msg));
        }
        Ok(())
    }

    fn logon(&mut self, params: &Params) -> Outcome {
        self.authorize(params, true)?;
        self.charge(2)?;
        self.session.authorized_ms = Some(self.now_ms);
        Ok(self.session_text())
    }

    fn logout(&mut self) -> Outcome {
        self.charge(2)?;
        self.session.authorized_ms = None;
        self.ended = self.session.subscription.take();
        Ok(self.session_text())
    }

    fn session_text(&self) -> String {
        let scale = self.session.scale;
        let (key, since) = match self.session.authorized_ms {
            Some(ms) => (format!("\"{}\"", self.credentials.api_key), (ms * scale).to_string()),
            None => ("null".to_owned(), "null".to_owned()),
        };
        format!(
            concat!(
                r#"{{"apiKey":{},"authorizedSince":{},"connectedSince":{},"#,
                r#""returnRateLimits":{},"serverTime":{},"userDataStream":{}}}"#
            ),
            key,
            since,
            self.session.connected_ms * scale,
            self.session.return_limits,
            self.time(),
            self.session.subscription.is_some()
        )
    }

    fn subscribe(&mut self, params: &Params, signed: bool) -> Outcome {
        if signed {
            self.authorize(params, true)?;
        } else if self.session.authorized_ms.is_none() {
            let msg = "Invalid API-key, IP, or permissions for action.";
            return Err(ApiError::new(-2015, msg));
        }
        self.charge(2)?;
        if self.session.subscription.is_some() {
            return Err(ApiError::new(-2035, "User Data Stream subscription already active."));
        }
        if self.session.subscriptions > 65_535 {
            return Err(ApiError::new(-2042, "No more subscriptions on this connection."));
        }
        let id = self.session.subscriptions;
        self.session.subscriptions += 1;
        self.session.subscription = Some(id);
        Ok(format!(r#"{{"subscriptionId":{id}}}"#))
    }

    fn unsubscribe(&mut self, params: &Params) -> Outcome {
        self.charge(2)?;
        let wanted = params.integer("subscriptionId")?;
        match self.session.subscription {
            Some(id) if wanted.is_none_or(|wanted| wanted == id) => {
                self.ended = self.session.subscription.take();
                Ok("{}".to_owned())
            }
            _ => Err(ApiError::new(-2036, "User Data Stream subscription not active.")),
        }
    }

    /// The market of a request's `symbol`.
    pub fn market_of(&self, symbol: &str) -> Result<usize, ApiError> {
        let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if symbol.len() > 20 || !symbol.bytes().all(legal) {
            return Err(ApiError::illegal("symbol", "^[A-Z0-9-_.]{1,20}$"));
        }
        self.exchange.market(symbol).ok_or_else(|| ApiError::new(-1121, "Invalid symbol."))
    }
}

/// `recvWindow` in ms, rounded down; default 5 s, at most 60 s.
fn window_ms(params: &Params) -> Result<u64, ApiError> {
    let window = match params.decimal("recvWindow")? {
        None => return Ok(5_000),
        Some(Amount::TooPrecise) => return Amount::TooPrecise.exact("recvWindow").map(|_| 0),
        Some(Amount::Exact(window)) => (window / ONE).unsigned_abs(),
    };
    if window > 60_000 {
        return Err(ApiError::new(-1131, "recvWindow must be less than 60000."));
    }
    Ok(window)
}

fn envelope(id: &str, outcome: &Outcome, limits: Option<String>) -> String {
    let mut text = match outcome {
        Ok(result) => {
            let mut text = String::with_capacity(result.len() + 512);
            text.push_str(r#"{"id":"#);
            text.push_str(id);
            text.push_str(r#","status":200,"result":"#);
            text.push_str(result);
            text
        }
        Err(error) => {
            let msg = Value::from(error.msg.as_str());
            let data = error.data.as_ref().map(|d| format!(r#","data":{d}"#)).unwrap_or_default();
            let (status, code) = (error.status, error.code);
            format!(r#"{{"id":{id},"status":{status},"error":{{"code":{code},"msg":{msg}{data}}}"#)
        }
    };
    if let Some(limits) = limits {
        text.push_str(r#","rateLimits":"#);
        text.push_str(&limits);
    }
    text.push('}');
    text
}
