//! The account's connections: logon, orders, events, and what the venue does when its dead-man
//! switch is fed no more.
//!
//! Sources: protocol sheet, chapters 5 to 7. The answer to an order says that the request was
//! taken; what became of it is told by the channel `orders`, whose messages may carry a fill.

use std::collections::{BTreeMap, BTreeSet};

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

use super::account_words::{self as words, Row};
use super::words::CODE_FIRST;

/// How long a logon's stamp is good, s.
const LOGON_S: u64 = 30;
/// Orders in one cancel of several.
const BATCH_MAX: usize = 20;

struct Conn {
    id: String,
    authorized: bool,
    channels: BTreeSet<String>,
}

/// A refusal: code and text.
pub type Denied = (u32, &'static str);

/// The account as this dialect sees it.
pub struct Account {
    keys: Keys,
    secret: Secret,
    conns: BTreeMap<ConnId, Conn>,
    /// Orders that were taken and then cancelled by the venue at once, oldest first.
    pub refused: RefusedList,
    orders: Window,
    /// The order that is being amended, and the request's own id.
    amending: Option<(u64, String)>,
    /// When the dead-man switch strikes, Unix ns.
    pub dead_man_ns: Option<u64>,
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
            orders: Window::new(2_000),
            amending: None,
            dead_man_ns: None,
        }
    }

    pub fn open(&mut self, conn: ConnId, id: String) {
        self.conns.insert(conn, Conn { id, authorized: false, channels: BTreeSet::new() });
    }

    pub fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    pub fn has(&self, conn: ConnId) -> bool {
        self.conns.contains_key(&conn)
    }

    /// Is this the key, its passphrase, and its signature of `text`? The codes are those of a
    /// logon and those of a request over REST.
    pub fn check(
        &self,
        key: &str,
        phrase: &str,
        text: &str,
        signature: &str,
    ) -> Result<(), [Denied; 2]> {
        let passphrase = self.keys.secret.lines().nth(1).unwrap_or("");
        let signed = self.secret.base64(text.as_bytes());
        if key.is_empty() || key != self.keys.api_key {
            return Err([(60_005, "Invalid apiKey"), (50_111, "Invalid OK-ACCESS-KEY")]);
        }
        if phrase != passphrase {
            let wrong = "Request header OK-ACCESS-PASSPHRASE incorrect.";
            return Err([(60_024, "Wrong passphrase"), (50_105, wrong)]);
        }
        if signed != signature {
            return Err([(60_007, "Invalid sign"), (50_113, "Invalid Sign")]);
        }
        Ok(())
    }

    pub fn hear(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        let Some(at) = self.conns.get(&conn) else { return };
        let (conn_id, authorized) = (at.id.clone(), at.authorized);
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        let (op, id) = (request["op"].as_str().unwrap_or(""), request["id"].as_str());
        let refuse = |desk: &mut Desk, (code, msg): Denied| {
            desk.say(conn, super::words::error(id, &code.to_string(), msg, &conn_id));
        };
        match op {
            "login" => match self.logon(&request["args"][0], desk.now_ms()) {
                Ok(()) => {
                    if let Some(at) = self.conns.get_mut(&conn) {
                        at.authorized = true;
                    }
                    desk.say(conn, words::login(&conn_id));
                }
                Err(denied) => refuse(desk, denied),
            },
            _ if !authorized => refuse(desk, (60_011, "Please log in.")),
            "subscribe" | "unsubscribe" => {
                for arg in request["args"].as_array().into_iter().flatten() {
                    let channel = arg["channel"].as_str().unwrap_or("");
                    if !matches!(channel, "orders" | "account" | "positions") {
                        refuse(desk, (60_018, "Wrong URL or channel."));
                        continue;
                    }
                    let answer = super::words::acknowledgement(op, id, &arg.to_string(), &conn_id);
                    desk.say(conn, answer);
                    self.subscribe(desk, conn, channel, op == "subscribe");
                }
            }
            "order" | "amend-order" | "cancel-order" | "batch-cancel-orders" => {
                let answer = self.trade(desk, op, id.unwrap_or(""), &request);
                desk.answers.push((conn, answer, true));
            }
            _ => refuse(desk, (60_012, "Illegal request.")),
        }
    }

    fn logon(&self, arg: &Value, now_ms: u64) -> Result<(), Denied> {
        let word = |name: &str| arg[name].as_str().unwrap_or("");
        let stamp = word("timestamp");
        let second: u64 = stamp.parse().map_err(|_| (60_004, "Invalid timestamp"))?;
        let text = format!("{stamp}GET/users/self/verify");
        self.check(word("apiKey"), word("passphrase"), &text, word("sign")).map_err(|[d, _]| d)?;
        let away = (now_ms / 1_000).abs_diff(second);
        if away > LOGON_S { Err((60_006, "Timestamp request expired")) } else { Ok(()) }
    }

    /// `account` begins with all that there is; `orders` with nothing.
    fn subscribe(&mut self, desk: &mut Desk, conn: ConnId, channel: &str, on: bool) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        if !on {
            at.channels.remove(channel);
            return;
        }
        at.channels.insert(channel.to_owned());
        if channel == "account" {
            let details = desk.exchange.account.assets().iter().map(|(a, b)| words::detail(a, b));
            let row = words::wallet(&details.collect::<Vec<_>>().join(","), desk.now_ms());
            desk.say(conn, words::event("account", &row));
        }
    }

    /// Performs a request about orders; its answer.
    fn trade(&mut self, desk: &mut Desk, op: &str, id: &str, request: &Value) -> String {
        let now_ms = desk.now_ms();
        let expires = request["expTime"].as_str().map(|text| text.parse::<u64>().unwrap_or(0));
        if expires.is_some_and(|expires| expires < now_ms) {
            let msg = "The request's expTime has passed.";
            return words::refused(id, op, (50_036, msg), now_ms);
        }
        let args = request["args"].as_array().map_or(&[][..], Vec::as_slice);
        let most = if op == "batch-cancel-orders" { BATCH_MAX } else { 1 };
        if args.is_empty() || args.len() > most {
            return words::refused(id, op, (60_013, "Invalid args"), now_ms);
        }
        // 60 in two seconds at the real venue; the generated market grants more.
        let granted = desk.exchange.limits.rules().orders_per_10s / 5;
        if self.orders.add(args.len() as u32, now_ms) > granted {
            return words::refused(id, op, (50_011, "Rate limit reached."), now_ms);
        }
        let parts: Vec<_> = args
            .iter()
            .map(|arg| match op {
                "order" => self.place(desk, arg),
                "amend-order" => self.amend(desk, arg),
                _ => cancel(desk.exchange, arg, now_ms),
            })
            .collect();
        words::answer(id, op, args, &parts, now_ms)
    }

    fn place(&mut self, desk: &mut Desk, arg: &Value) -> Result<String, Denied> {
        let now_ms = desk.now_ms();
        let ticket = ticket(desk.exchange, arg)?;
        match own::place(desk.exchange, &ticket, None, now_ms) {
            Ok(Placed::Taken(id)) => Ok(id.to_string()),
            Ok(Placed::WouldTake(id)) => {
                let symbol = desk.exchange.markets[ticket.market].spec.name.clone();
                let row = Row::refused(&ticket, &symbol, id, now_ms).text(None);
                self.tell(desk, "orders", &words::event("orders", &row), 1);
                let client = ticket.client_id.unwrap_or_default();
                self.refused.push(Refused { client, id, row });
                Ok(id.to_string())
            }
            Err(error) => Err(words::denied(&error)),
        }
    }

    /// Amends an order. What the exchange refuses of one that is open is told by an event: the
    /// answer says only that the request was taken.
    fn amend(&mut self, desk: &mut Desk, arg: &Value) -> Result<String, Denied> {
        let now_ms = desk.now_ms();
        market(desk.exchange, arg)?;
        let gone = (51_503, "Order modification failed as the order has been filled or canceled.");
        let Some(order) = named(desk.exchange, arg) else {
            return Err((51_603, "Order does not exist."));
        };
        if !order.status.is_open() {
            return Err(gone);
        }
        let number = |name: &str, now: i64| match arg[name].as_str().filter(|t| !t.is_empty()) {
            Some(text) => decimal::parse(text).map_err(|_| (51_000, "Parameter error")),
            None => Ok(now),
        };
        let (id, price, qty) =
            (order.id, number("newPx", order.price)?, number("newSz", order.qty)?);
        let request = arg["reqId"].as_str().unwrap_or("").to_owned();
        self.amending = Some((id, request.clone()));
        let outcome = desk.exchange.amend_terms(id, price, qty, now_ms);
        if outcome.is_err() {
            self.amending = None;
            if let Some(order) = desk.exchange.orders.by_id(id) {
                let mut row = Row::of(order);
                row.amend = ("-1", &request);
                let row = row.text(None);
                self.tell(desk, "orders", &words::event("orders", &row), 1);
            }
        }
        Ok(id.to_string())
    }

    /// Tells what happened to the account.
    pub fn told(&mut self, desk: &mut Desk, event: &Private, times: usize) {
        match event {
            Private::Report(report) => {
                let fill = match &report.event {
                    Event::Trade(trade) => Some(trade),
                    _ => None,
                };
                let mut row = Row::of(&report.order);
                let asked = self.amending.take_if(|(id, _)| {
                    *id == report.order.id && matches!(report.event, Event::Replaced(_))
                });
                if let Some((_, request)) = &asked {
                    row.amend = ("0", request);
                }
                let row = row.text(fill);
                self.tell(desk, "orders", &words::event("orders", &row), times);
            }
            Private::Position(changed, ms) => {
                let details = changed.iter().map(|(asset, b)| words::detail(asset, b));
                let row = words::wallet(&details.collect::<Vec<_>>().join(","), *ms);
                self.tell(desk, "account", &words::event("account", &row), times);
            }
        }
    }

    fn tell(&self, desk: &mut Desk, channel: &str, text: &str, times: usize) {
        let hears = |at: &&Conn| at.authorized && at.channels.contains(channel);
        let heard = self.conns.iter().filter(|(_, at)| hears(at)).map(|(&conn, _)| conn);
        own::tell(desk, heard, text, times);
    }

    /// When the dead-man switch strikes.
    pub fn next_ns(&self) -> u64 {
        self.dead_man_ns.unwrap_or(u64::MAX)
    }

    /// Cancels everything when the switch was not fed in time; then it is off.
    pub fn tick(&mut self, desk: &mut Desk) {
        if self.next_ns() > desk.now_ns {
            return;
        }
        self.dead_man_ns = None;
        own::cancel_open(desk.exchange, |_| true, desk.now_ns / 1_000_000);
    }
}

/// The order that a request names; with both ids the venue's own wins.
pub fn named<'a>(exchange: &'a Exchange, arg: &Value) -> Option<&'a Order> {
    let word = |name: &str| arg[name].as_str().filter(|text| !text.is_empty());
    match word("ordId") {
        Some(id) => id.parse().ok().and_then(|id| exchange.orders.by_id(id)),
        None => exchange.orders.by_client(word("clOrdId")?),
    }
}

/// Cancels the order that a request names.
pub fn cancel(exchange: &mut Exchange, arg: &Value, now_ms: u64) -> Result<String, Denied> {
    let Some(order) = named(exchange, arg) else {
        return Err((51_603, "Order does not exist."));
    };
    if !order.status.is_open() {
        return Err((
            51_400,
            "Order cancellation failed as the order has been filled or canceled.",
        ));
    }
    let id = order.id;
    exchange.cancel(id, None, now_ms);
    Ok(id.to_string())
}

/// The market that a request names by its code; names are not taken any more.
fn market(exchange: &Exchange, arg: &Value) -> Result<usize, Denied> {
    let Some(code) = arg["instIdCode"].as_u64() else {
        return Err((51_000, "Parameter instIdCode error"));
    };
    let market = code.checked_sub(CODE_FIRST).and_then(|n| usize::try_from(n).ok());
    let market = market.filter(|n| *n < exchange.markets.len());
    market.ok_or((51_001, "Instrument ID code doesn't exist."))
}

fn ticket(exchange: &Exchange, arg: &Value) -> Result<Ticket, Denied> {
    let market = market(exchange, arg)?;
    let word = |name: &str| arg[name].as_str().unwrap_or("");
    let number = |name: &str, too_fine: Denied| {
        decimal::parse(word(name)).map_err(|e| match e {
            decimal::DecimalError::Precision => too_fine,
            _ => (51_000, "Parameter px or sz error"),
        })
    };
    if word("tdMode") != "cash" {
        return Err((51_000, "Parameter tdMode error"));
    }
    let side = match word("side") {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        _ => return Err((51_000, "Parameter side error")),
    };
    let (kind, tif) = match word("ordType") {
        "market" if side == Side::Buy && word("tgtCcy") != "base_ccy" => {
            return Err((51_000, "Buys by value are not simulated"));
        }
        "market" => (Kind::Market, Tif::Ioc),
        "limit" => (Kind::Limit, Tif::Gtc),
        "post_only" => (Kind::LimitMaker, Tif::Gtc),
        "ioc" => (Kind::Limit, Tif::Ioc),
        "fok" => (Kind::Limit, Tif::Fok),
        _ => return Err((51_000, "Parameter ordType error")),
    };
    let stp = match word("stpMode") {
        "" | "cancel_maker" => Stp::ExpireMaker,
        "cancel_taker" => Stp::ExpireTaker,
        "cancel_both" => Stp::ExpireBoth,
        _ => return Err((51_000, "Parameter stpMode error")),
    };
    let client = word("clOrdId");
    if client.len() > 32 || !client.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err((51_000, "Parameter clOrdId error"));
    }
    let price = match kind {
        Kind::Market => None,
        _ => Some(number("px", (51_006, "Order price is not within the price limit"))?),
    };
    let qty = number("sz", (51_121, "Order quantity must be a multiple of the lot size."))?;
    let spec = &exchange.markets[market].spec;
    if qty < spec.qty_bounds.0 && qty % spec.lot == 0 {
        return Err((51_020, "Your order should meet or exceed the minimum amount."));
    }
    let client_id = Some(client.to_owned()).filter(|client| !client.is_empty());
    Ok(Ticket { market, side, kind, tif, price, qty, client_id, stp })
}
