//! The account's connections: logon, order entry on one, events on the other, and what the venue
//! does when nobody is there any more.
//!
//! Sources: protocol sheet, chapters 4 to 8. The answer to an order says that the request was taken
//! ("0" is followed by a rejection where a post-only order would take); what became of the order is
//! told on the private connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ring::hmac;
use serde_json::Value;

use crate::decimal;
use crate::dialect::own::{self, Placed, Refused, RefusedList, Secret};
use crate::dialect::{Desk, Keys};
use crate::exchange::{Exchange, Private, Ticket};
use crate::limits::Window;
use crate::matching::{Side, Stp, Tif};
use crate::orders::{Kind, Order};
use crate::report::Event;
use crate::venue::ConnId;

use super::Product;
use super::account_words::{self as words, Limit, Row};

/// Ids of requests that must not come again, the latest so many.
const IDS_MAX: usize = 4_096;
/// Closed orders that the quick question finds.
pub const RECENT_MAX: usize = 500;
/// The dead-man switch's bounds, s.
pub const DEAD_MAN_S: std::ops::RangeInclusive<u64> = 3..=300;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Order entry.
    Trade,
    /// Events.
    Private,
}

impl Leg {
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/v5/trade" => Some(Self::Trade),
            "/v5/private" => Some(Self::Private),
            _ => None,
        }
    }
}

struct Conn {
    leg: Leg,
    id: String,
    authorized: bool,
    topics: BTreeSet<String>,
    ids: VecDeque<String>,
    heard_ns: u64,
}

impl Conn {
    fn hears(&self, topic: &str) -> bool {
        let spot = format!("{topic}.spot");
        self.topics.contains(topic) || self.topics.contains(&spot)
    }
}

/// A request that is refused: code and text.
pub type Denied = (i64, &'static str);

/// The account as this dialect sees it.
pub struct Account {
    keys: Keys,
    secret: Secret,
    conns: BTreeMap<ConnId, Conn>,
    /// Orders that were taken and then refused, oldest first.
    pub refused: RefusedList,
    orders: Window,
    /// The dead-man switch's time, ns, once it is set.
    pub window_ns: Option<u64>,
    /// When a connection that arms it was heard last.
    guarded_ns: Option<u64>,
    events: u64,
}

impl Account {
    pub fn new(keys: Keys) -> Self {
        let secret = keys.secret.lines().next().unwrap_or("");
        let secret = Secret::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self {
            keys,
            secret,
            conns: BTreeMap::new(),
            refused: RefusedList::default(),
            orders: Window::new(1_000),
            window_ns: None,
            guarded_ns: None,
            events: 0,
        }
    }

    pub fn open(&mut self, conn: ConnId, leg: Leg, id: String, now_ns: u64) {
        let (topics, ids) = (BTreeSet::new(), VecDeque::new());
        let fresh = Conn { leg, id, authorized: false, topics, ids, heard_ns: now_ns };
        self.conns.insert(conn, fresh);
    }

    pub fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    pub fn has(&self, conn: ConnId) -> bool {
        self.conns.contains_key(&conn)
    }

    /// Is this the key, and its signature of `text`?
    pub fn check(&self, key: &str, text: &str, signature: &str) -> Result<(), Denied> {
        if key.is_empty() || key != self.keys.api_key {
            return Err((10_003, "API key is invalid."));
        }
        let signed = self.secret.hex(text.as_bytes());
        if signed == signature { Ok(()) } else { Err((10_004, "error sign! please check sign")) }
    }

    pub fn hear(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        at.heard_ns = desk.now_ns;
        let leg = at.leg;
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        match leg {
            Leg::Private => self.hear_private(desk, conn, &request),
            Leg::Trade => self.hear_trade(desk, conn, &request),
        }
        self.note_guard();
    }

    fn hear_private(&mut self, desk: &mut Desk, conn: ConnId, request: &Value) {
        let (op, req_id) = (request["op"].as_str().unwrap_or(""), request["req_id"].as_str());
        let verdict = if op == "auth" { self.logon(request, desk.now_ms()) } else { Ok(()) };
        let Some(at) = self.conns.get_mut(&conn) else { return };
        let id = at.id.clone();
        let answer = |success, msg: &str| words::private_answer(success, msg, op, req_id, &id);
        match op {
            "ping" => desk.say(conn, words::pong(req_id, &id, desk.now_ms())),
            "auth" => {
                at.authorized = verdict.is_ok();
                let msg = verdict.err().map_or("", |(_, msg)| msg);
                desk.say(conn, answer(verdict.is_ok(), msg));
                if verdict.is_err() {
                    desk.close(conn, 1000, "");
                }
            }
            _ if !at.authorized => desk.say(conn, answer(false, "Request not authorized")),
            "subscribe" | "unsubscribe" => {
                let topics: Vec<&str> = request["args"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let problem = words::topics_problem(&topics);
                if problem.is_none() {
                    for topic in topics {
                        match op {
                            "subscribe" => _ = at.topics.insert(topic.to_owned()),
                            _ => _ = at.topics.remove(topic),
                        }
                    }
                }
                desk.say(conn, answer(problem.is_none(), problem.unwrap_or("")));
            }
            _ => desk.say(conn, answer(false, "error:op not found")),
        }
    }

    fn logon(&self, request: &Value, now_ms: u64) -> Result<(), Denied> {
        let args = &request["args"];
        let Some(expires) = args[1].as_u64() else { return Err((10_001, "Params Error")) };
        let (key, signature) = (args[0].as_str(), args[2].as_str());
        self.check(key.unwrap_or(""), &format!("GET/realtime{expires}"), signature.unwrap_or(""))?;
        if expires <= now_ms { Err((10_004, "Params Error: expires")) } else { Ok(()) }
    }

    fn hear_trade(&mut self, desk: &mut Desk, conn: ConnId, request: &Value) {
        let now_ms = desk.now_ms();
        let (op, req_id) = (request["op"].as_str().unwrap_or(""), request["reqId"].as_str());
        let Some(at) = self.conns.get(&conn) else { return };
        let (id, authorized) = (at.id.clone(), at.authorized);
        match op {
            "ping" => return desk.say(conn, words::trade_pong(&id, now_ms)),
            "auth" => {
                let verdict = match authorized {
                    true => Err((20_001, "Repeat auth")),
                    false => self.logon(request, now_ms),
                };
                if let Some(at) = self.conns.get_mut(&conn) {
                    at.authorized |= verdict.is_ok();
                }
                return desk.say(conn, words::trade_logon(req_id, verdict.err(), &id));
            }
            _ => {}
        }
        let (outcome, limit) = self.trade(desk, conn, op, request);
        let answer = words::trade_answer(req_id.unwrap_or(""), op, &outcome, &limit, now_ms, &id);
        let is_trade = matches!(op, "order.create" | "order.amend" | "order.cancel");
        desk.answers.push((conn, answer, is_trade));
    }

    /// Ids of the order that a request was about, or why it is refused, and the limit's state.
    fn trade(
        &mut self,
        desk: &mut Desk,
        conn: ConnId,
        op: &str,
        request: &Value,
    ) -> (Result<(String, String), Denied>, Limit) {
        let now_ms = desk.now_ms();
        let most = desk.exchange.limits.rules().orders_per_10s / 10;
        let admitted = self.admit(conn, request, now_ms);
        let used = self.orders.add(u32::from(admitted.is_ok()), now_ms);
        let limit = Limit { most, left: most.saturating_sub(used), reset_ms: self.orders.end_ms() };
        let outcome = admitted.and_then(|()| {
            if used > most {
                return Err((10_006, "Too many visits. Exceeded the API Rate Limit."));
            }
            let args = request["args"].as_array().map_or(&[][..], Vec::as_slice);
            let [order] = args else { return Err((10_001, "args must have one element")) };
            match op {
                "order.create" => self.create(desk, order),
                "order.amend" => amend(desk.exchange, order, now_ms),
                "order.cancel" => cancel(desk.exchange, order, now_ms),
                _ => Err((10_404, "op type is not found")),
            }
        });
        (outcome, limit)
    }

    /// Logged on, with an id of its own, in time.
    fn admit(&mut self, conn: ConnId, request: &Value, now_ms: u64) -> Result<(), Denied> {
        let Some(at) = self.conns.get_mut(&conn).filter(|at| at.authorized) else {
            return Err((10_005, "Permission denied, please log on."));
        };
        let req_id = request["reqId"].as_str().unwrap_or("");
        if req_id.len() > 36 {
            return Err((10_001, "reqId is too long"));
        }
        if !req_id.is_empty() && at.ids.iter().any(|id| id == req_id) {
            return Err((20_006, "reqId is duplicated"));
        }
        at.ids.push_back(req_id.to_owned());
        if at.ids.len() > IDS_MAX {
            at.ids.pop_front();
        }
        let header = |name: &str| request["header"][name].as_str();
        in_time(
            header("X-BAPI-TIMESTAMP").unwrap_or(""),
            header("X-BAPI-RECV-WINDOW").unwrap_or("5000"),
            now_ms,
        )
    }

    fn create(&mut self, desk: &mut Desk, order: &Value) -> Result<(String, String), Denied> {
        let now_ms = desk.now_ms();
        let (ticket, stop) = ticket(desk.exchange, order)?;
        let client = ticket.client_id.clone().unwrap_or_default();
        let known = |client: &str| {
            desk.exchange.orders.by_client(client).is_some()
                || self.refused.by_client(client).is_some()
        };
        if !client.is_empty() && known(&client) {
            return Err((170_141, "Duplicate clientOrderId"));
        }
        match own::place(desk.exchange, &ticket, stop, now_ms) {
            Ok(Placed::Taken(id)) => {
                let client = desk.exchange.orders.by_id(id).map(|o| o.client_id.clone());
                Ok((id.to_string(), client.unwrap_or_default()))
            }
            Ok(Placed::WouldTake(id)) => {
                let symbol = desk.exchange.markets[ticket.market].spec.name.clone();
                let row = Row::refused(&ticket, &symbol, id, now_ms).text();
                let event = self.event("order", &words::with_category(&row), now_ms);
                self.tell(desk, "order", &event, 1);
                self.refused.push(Refused { client: client.clone(), id, row });
                Ok((id.to_string(), client))
            }
            Err(error) => Err(words::denied(&error)),
        }
    }

    /// Tells what happened to the account.
    pub fn told(&mut self, desk: &mut Desk, event: &Private, times: usize) {
        match event {
            Private::Report(report) => {
                if Product::of_market(&report.order.symbol).0 != Product::Spot {
                    return;
                }
                let now_ms = report.time_ms;
                if let Event::Trade(trade) = &report.event {
                    let row = words::execution(trade, &report.order, report.execution);
                    let text = self.event("execution", &words::with_category(&row), now_ms);
                    self.tell(desk, "execution", &text, times);
                }
                for row in words::told(report) {
                    let text = self.event("order", &words::with_category(&row), now_ms);
                    self.tell(desk, "order", &text, times);
                }
            }
            Private::Position(changed, ms) => {
                let coins = changed.iter().map(|(asset, b)| words::coin(asset, b));
                let row = words::wallet(&coins.collect::<Vec<_>>().join(","));
                let text = self.event("wallet", &row, *ms);
                self.tell(desk, "wallet", &text, times);
            }
        }
    }

    fn event(&mut self, topic: &str, row: &str, now_ms: u64) -> String {
        self.events += 1;
        words::event(self.events, topic, row, now_ms)
    }

    fn tell(&self, desk: &mut Desk, topic: &str, text: &str, times: usize) {
        let hears = |at: &&Conn| at.leg == Leg::Private && at.authorized && at.hears(topic);
        let heard = self.conns.iter().filter(|(_, at)| hears(at)).map(|(&conn, _)| conn);
        own::tell(desk, heard, text, times);
    }

    /// Remembers when a connection that arms the dead-man switch was heard last.
    fn note_guard(&mut self) {
        let armed = |at: &&Conn| at.topics.contains("dcp.spot");
        let heard = self.conns.values().filter(armed).map(|at| at.heard_ns).max();
        self.guarded_ns = heard.or(self.guarded_ns);
    }

    /// When the dead-man switch strikes unless it hears something.
    pub fn next_ns(&self) -> u64 {
        match (self.window_ns, self.guarded_ns) {
            (Some(window_ns), Some(guarded_ns)) => guarded_ns.saturating_add(window_ns),
            _ => u64::MAX,
        }
    }

    /// Cancels all spot orders when the dead-man switch's time is over; it is armed anew by
    /// the next subscription.
    pub fn tick(&mut self, desk: &mut Desk) {
        if self.next_ns() > desk.now_ns {
            return;
        }
        self.guarded_ns = None;
        cancel_all(desk.exchange, None, |_| true, desk.now_ns / 1_000_000);
    }
}

/// `serverTime - recvWindow <= timestamp < serverTime + 1000`.
pub fn in_time(stamp: &str, window: &str, now_ms: u64) -> Result<(), Denied> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| (10_001, "params error: timestamp"));
    let (stamp, window) = (number(stamp)?, number(window)?);
    if stamp + window < now_ms || stamp >= now_ms + 1_000 {
        return Err((10_002, "invalid request, please check your server timestamp or recv_window"));
    }
    Ok(())
}

/// Cancels what is open on spot and wanted, of one market or of all; how many.
pub fn cancel_all(
    exchange: &mut Exchange,
    market: Option<usize>,
    also: impl Fn(&Order) -> bool,
    now_ms: u64,
) -> usize {
    let wanted = |o: &Order| {
        let is_spot = Product::of_market(&o.symbol).0 == Product::Spot;
        is_spot && market.is_none_or(|market| market == o.market) && also(o)
    };
    own::cancel_open(exchange, wanted, now_ms)
}

/// Whether orders that wait are meant by a request, and not those that work.
pub fn means_waiting(request: &Value) -> Result<bool, Denied> {
    match request["orderFilter"].as_str() {
        None | Some("" | "Order") => Ok(false),
        Some("tpslOrder") => Ok(true),
        Some(_) => Err((10_001, "params error: orderFilter is not simulated")),
    }
}

/// Cancels the order that a request names.
pub fn cancel(
    exchange: &mut Exchange,
    order: &Value,
    now_ms: u64,
) -> Result<(String, String), Denied> {
    let found = open_one(exchange, order)?;
    let (id, client) = (found.id, found.client_id.clone());
    exchange.cancel(id, None, now_ms);
    Ok((id.to_string(), client))
}

/// The open order that a request names; with both ids the venue's own wins.
fn open_one<'a>(exchange: &'a Exchange, order: &Value) -> Result<&'a Order, Denied> {
    let market = spot_market(exchange, order)?;
    let waiting = means_waiting(order)?;
    let id = order["orderId"].as_str().filter(|id| !id.is_empty());
    let found = match id {
        Some(id) => id.parse().ok().and_then(|id| exchange.orders.by_id(id)),
        None => exchange.orders.by_client(order["orderLinkId"].as_str().unwrap_or("")),
    };
    let found = found.filter(|o| o.market == market && o.status.is_open() && o.waiting == waiting);
    found.ok_or((170_213, "Order does not exist."))
}

/// Amends the order that a request names.
fn amend(exchange: &mut Exchange, order: &Value, now_ms: u64) -> Result<(String, String), Denied> {
    let found = open_one(exchange, order)?;
    let number = |name: &str, now: i64| match order[name].as_str().filter(|t| !t.is_empty()) {
        Some(text) => decimal::parse(text).map_err(|_| (10_001, "params error: number invalid")),
        None => Ok(now),
    };
    let (price, qty) = (number("price", found.price)?, number("qty", found.qty)?);
    let (id, client) = (found.id, found.client_id.clone());
    exchange.amend_terms(id, price, qty, now_ms).map_err(|error| words::denied(&error))?;
    Ok((id.to_string(), client))
}

/// The spot market that a request names.
pub fn spot_market(exchange: &Exchange, order: &Value) -> Result<usize, Denied> {
    if order["category"] != "spot" {
        return Err((10_001, "Illegal category"));
    }
    let symbol = order["symbol"].as_str().unwrap_or("");
    exchange.market(symbol).ok_or((10_001, "params error: symbol invalid"))
}

/// The kind of an order that waits: where the market stands tells which way it must go.
fn waiting_kind(side: Side, is_market: bool, stop: i64, last: i64) -> Kind {
    match ((side == Side::Buy) == (stop > last), is_market) {
        (true, true) => Kind::StopLoss,
        (true, false) => Kind::StopLossLimit,
        (false, true) => Kind::TakeProfit,
        (false, false) => Kind::TakeProfitLimit,
    }
}

/// The order, and what it waits for.
fn ticket(exchange: &Exchange, order: &Value) -> Result<(Ticket, Option<i64>), Denied> {
    let market = spot_market(exchange, order)?;
    let word = |name: &str| order[name].as_str().unwrap_or("");
    let number = |name: &'static str| {
        decimal::parse(word(name)).map_err(|e| match e {
            decimal::DecimalError::Precision if name != "qty" => {
                (170_134, "Price has too many decimals.")
            }
            decimal::DecimalError::Precision => (170_137, "Quantity has too many decimals."),
            _ => (10_001, "params error: price or qty invalid"),
        })
    };
    let side = match word("side") {
        "Buy" => Side::Buy,
        "Sell" => Side::Sell,
        _ => return Err((10_001, "params error: side invalid")),
    };
    let (kind, tif) = match (word("orderType"), word("timeInForce")) {
        ("Market", "" | "IOC" | "FOK") if side == Side::Buy && word("marketUnit") != "baseCoin" => {
            return Err((10_001, "params error: buys by value are not simulated"));
        }
        ("Market", "FOK") => (Kind::Market, Tif::Fok),
        ("Market", _) => (Kind::Market, Tif::Ioc),
        ("Limit", "" | "GTC") => (Kind::Limit, Tif::Gtc),
        ("Limit", "IOC") => (Kind::Limit, Tif::Ioc),
        ("Limit", "FOK") => (Kind::Limit, Tif::Fok),
        ("Limit", "PostOnly") => (Kind::LimitMaker, Tif::Gtc),
        _ => return Err((10_001, "params error: orderType or timeInForce invalid")),
    };
    let stp = match word("smpType") {
        "" | "None" => Stp::None,
        "CancelMaker" => Stp::ExpireMaker,
        "CancelTaker" => Stp::ExpireTaker,
        "CancelBoth" => Stp::ExpireBoth,
        _ => return Err((10_001, "params error: smpType invalid")),
    };
    let link = word("orderLinkId");
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if link.len() > 36 || !link.bytes().all(legal) {
        return Err((10_001, "params error: orderLinkId invalid"));
    }
    let price = if kind == Kind::Market { None } else { Some(number("price")?) };
    let client_id = Some(link.to_owned()).filter(|link| !link.is_empty());
    let stop = match (means_waiting(order)?, word("triggerPrice")) {
        (false, "") => None,
        (true, text) if kind != Kind::LimitMaker && !text.is_empty() => {
            Some(number("triggerPrice")?)
        }
        _ => return Err((10_001, "params error: triggerPrice invalid")),
    };
    let last = exchange.markets[market].last_price;
    let kind = stop.map_or(kind, |stop| waiting_kind(side, kind == Kind::Market, stop, last));
    Ok((Ticket { market, side, kind, tif, price, qty: number("qty")?, client_id, stp }, stop))
}
