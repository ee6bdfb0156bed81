//! The account's connections: tokens, orders, events, and what the venue does when its dead-man
//! switch is fed no more.
//!
//! Sources: protocol sheet, chapters 4 to 7. The answer to an order says that it was accepted; what
//! became of it is told by the channel `executions`, whose messages are partial and counted.

use std::collections::BTreeMap;

use ring::hmac;
use serde_json::Value;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::decimal;
use crate::dialect::own::{self, Placed, Refused, RefusedList, Secret};
use crate::dialect::text::{BASE32, tag, unix_ms};
use crate::dialect::{Desk, Keys};
use crate::exchange::{Exchange, Private, Ticket};
use crate::matching::{Side, Stp, Tif};
use crate::orders::{Kind, Order};
use crate::report::{Event, Report};
use crate::venue::ConnId;

use super::account_words::{self as words, Row};
use super::rates::{Action, Rates};

/// A token that is not used within this is void, ns.
const TOKEN_NS: u64 = 900_000_000_000;
/// Bounds of an order's deadline, from now on, ms.
const DEADLINE_MS: std::ops::RangeInclusive<u64> = 500..=60_000;
/// Orders in one cancel of several, and in a batch of new ones.
const CANCELS_MAX: usize = 50;
const BATCH: std::ops::RangeInclusive<usize> = 2..=15;
/// Longest time of the dead-man switch, s.
const DEAD_MAN_MAX_S: u64 = 86_400;

/// What a connection listens to: the number of each channel's next message.
#[derive(Default)]
struct Conn {
    executions: Option<u64>,
    balances: Option<u64>,
    token: String,
}

/// A refusal's text.
pub type Denied = String;

/// The account as this dialect sees it.
pub struct Account {
    pub api_key: String,
    pub secret: Secret,
    conns: BTreeMap<ConnId, Conn>,
    /// Tokens and when they were given out.
    tokens: BTreeMap<String, u64>,
    /// The key's last nonce.
    pub nonce: u64,
    /// Orders that were taken and then cancelled by the venue at once.
    pub refused: RefusedList,
    pub rates: Rates,
    /// When the dead-man switch strikes, Unix ns.
    pub dead_man_ns: Option<u64>,
    /// Balances as they were told last.
    told: BTreeMap<String, i128>,
    ledger: u64,
}

impl Account {
    pub fn new(keys: &Keys, exchange: &Exchange) -> Self {
        let secret = keys.secret.lines().next().unwrap_or("");
        // A text that is no base64 signs nothing that anybody could send.
        let secret = STANDARD.decode(secret).unwrap_or_default();
        Self {
            api_key: keys.api_key.clone(),
            secret: Secret::new(hmac::HMAC_SHA512, &secret),
            conns: BTreeMap::new(),
            tokens: BTreeMap::new(),
            nonce: 0,
            refused: RefusedList::default(),
            rates: Rates::new(exchange.limits.rules(), exchange.markets.len()),
            dead_man_ns: None,
            told: BTreeMap::new(),
            ledger: 0,
        }
    }

    pub fn open(&mut self, conn: ConnId) {
        self.conns.insert(conn, Conn::default());
    }

    pub fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    pub fn has(&self, conn: ConnId) -> bool {
        self.conns.contains_key(&conn)
    }

    /// The connection has a subscription: it is kept.
    pub fn listens(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|c| c.executions.is_some() || c.balances.is_some())
    }

    /// Gives out a token.
    pub fn give_token(&mut self, desk: &mut Desk) -> String {
        let token = tag(desk.rng, 43, BASE32);
        self.tokens.insert(token.clone(), desk.now_ns);
        token
    }

    /// Unused for too long it is void, unless a connection lives by it.
    fn check_token(&self, token: &str, now_ns: u64) -> Result<(), Denied> {
        let given = self.tokens.get(token).copied();
        let is_used = self.conns.iter().any(|(&c, conn)| conn.token == token && self.listens(c));
        match given {
            Some(given) if is_used || now_ns < given + TOKEN_NS => Ok(()),
            _ => Err("Token(s) not found".to_owned()),
        }
    }

    /// A request of a private connection that is not about its own life.
    pub fn hear(&mut self, desk: &mut Desk, conn: ConnId, method: &str, request: &Value) {
        let id = request["req_id"].as_i64();
        let params = &request["params"];
        let token = params["token"].as_str().unwrap_or("");
        if let Err(error) = self.check_token(token, desk.now_ns) {
            return desk.say(conn, super::words::refusal(method, id, &error, "", desk.now_ns));
        }
        match method {
            "subscribe" | "unsubscribe" => {
                let on = method == "subscribe";
                let answers = self.subscription(desk, conn, params, on);
                match answers {
                    Ok((result, snapshot)) => {
                        desk.say(conn, words::done(method, id, &result, desk.now_ns));
                        snapshot.into_iter().for_each(|text| desk.say(conn, text));
                    }
                    Err(error) => {
                        let error = super::words::refusal(method, id, error, "", desk.now_ns);
                        desk.say(conn, error);
                    }
                }
            }
            _ => {
                for outcome in self.trade(desk, method, params) {
                    let answer = match outcome {
                        Ok(result) => words::done(method, id, &result, desk.now_ns),
                        Err(error) => super::words::refusal(method, id, &error, "", desk.now_ns),
                    };
                    let trades = method != "cancel_all_orders_after";
                    desk.answers.push((conn, answer, trades));
                }
            }
        }
    }

    /// The result of a subscription and its snapshot, which begins the channel's count.
    fn subscription(
        &mut self,
        desk: &Desk,
        conn: ConnId,
        params: &Value,
        on: bool,
    ) -> Result<(String, Option<String>), &'static str> {
        let channel = params["channel"].as_str().unwrap_or("");
        let Some(at) = self.conns.get_mut(&conn) else { return Err("Unsupported event") };
        let next = match channel {
            "executions" => &mut at.executions,
            "balances" => &mut at.balances,
            _ => return Err("Unsupported event"),
        };
        if next.is_some() == on {
            return Err(if on { "Already subscribed" } else { "Subscription Not Found" });
        }
        *next = on.then_some(1);
        if !on {
            return Ok((format!(r#"{{"channel":"{channel}"}}"#), None));
        }
        params["token"].as_str().unwrap_or("").clone_into(&mut at.token);
        let wants = |name: &str, default| params[name].as_bool().unwrap_or(default);
        let (result, entries, sent) = if channel == "executions" {
            let orders = wants("snap_orders", true);
            let entries = if orders { open_orders(desk.exchange) } else { String::new() };
            let max = self.rates.threshold();
            let result =
                format!(r#"{{"channel":"executions","maxratecount":{max},"snapshot":true}}"#);
            (result, entries, orders || wants("snap_trades", false))
        } else {
            let assets = desk.exchange.account.assets();
            let entries = assets.iter().map(|(a, b)| words::balance(a, b)).collect::<Vec<_>>();
            for (asset, balance) in assets {
                self.told.insert(asset.clone(), balance.free + balance.locked);
            }
            let result = r#"{"channel":"balances","snapshot":true}"#.to_owned();
            (result, entries.join(","), wants("snapshot", true))
        };
        if !sent {
            return Ok((result, None));
        }
        *next = Some(2);
        Ok((result, Some(words::event(channel, "snapshot", &entries, 1))))
    }

    /// Performs a request about orders: one outcome, or one an order.
    fn trade(
        &mut self,
        desk: &mut Desk,
        method: &str,
        params: &Value,
    ) -> Vec<Result<String, Denied>> {
        let now_ms = desk.now_ms();
        match method {
            "add_order" => vec![self.add(desk, params, params)],
            "batch_add" => vec![self.batch_add(desk, params)],
            "amend_order" => vec![self.amend(desk, params)],
            "cancel_order" => self.cancel_several(desk, params),
            "cancel_all" => {
                let count = own::cancel_open(desk.exchange, |_| true, now_ms);
                vec![Ok(format!(r#"{{"count":{count}}}"#))]
            }
            "cancel_all_orders_after" => vec![self.feed(params["timeout"].as_u64(), now_ms)],
            _ => vec![Err("Unsupported event".to_owned())],
        }
    }

    /// Sets or turns off the dead-man switch; times of the answer are whole seconds.
    pub fn feed(&mut self, timeout_s: Option<u64>, now_ms: u64) -> Result<String, Denied> {
        let Some(timeout) = timeout_s.filter(|s| *s <= DEAD_MAN_MAX_S) else {
            return Err("EGeneral:Invalid arguments:timeout".to_owned());
        };
        self.dead_man_ns = (timeout > 0).then_some((now_ms + timeout * 1_000) * 1_000_000);
        Ok(words::fed(now_ms, self.dead_man_ns))
    }

    fn add(&mut self, desk: &mut Desk, order: &Value, whole: &Value) -> Result<String, Denied> {
        let now_ms = desk.now_ms();
        in_time(whole, now_ms)?;
        let (ticket, stop) = ticket(desk.exchange, order, whole)?;
        if !self.rates.take(ticket.market, Action::Add, 0, now_ms) {
            return Err("EOrder:Rate limit exceeded".to_owned());
        }
        let client = ticket.client_id.clone().unwrap_or_default();
        let known = desk.exchange.orders.by_client(&client).is_some_and(|o| o.status.is_open());
        if !client.is_empty() && known {
            return Err("EOrder:Duplicate cl_ord_id".to_owned());
        }
        let placed = own::place(desk.exchange, &ticket, stop, now_ms);
        let id = match placed.map_err(|error| words::denied(&error))? {
            Placed::Taken(id) => id,
            Placed::WouldTake(id) => {
                let symbol = desk.exchange.markets[ticket.market].spec.name.clone();
                let row = Row::refused(&ticket, &symbol, id, desk.exchange);
                let (pending, canceled) = (row.pending(now_ms), row.canceled(now_ms));
                let page = row.page(now_ms);
                self.tell(desk, "executions", &pending, 1);
                self.tell(desk, "executions", &canceled, 1);
                self.refused.push(Refused { client: client.clone(), id, row: page });
                id
            }
        };
        Ok(words::named(id, &client))
    }

    fn batch_add(&mut self, desk: &mut Desk, params: &Value) -> Result<String, Denied> {
        let orders = params["orders"].as_array().map_or(&[][..], Vec::as_slice);
        if !BATCH.contains(&orders.len()) {
            return Err("EGeneral:Invalid arguments:orders".to_owned());
        }
        let results: Result<Vec<_>, _> =
            orders.iter().map(|order| self.add(desk, order, params)).collect();
        Ok(format!("[{}]", results?.join(",")))
    }

    fn amend(&mut self, desk: &mut Desk, params: &Value) -> Result<String, Denied> {
        let now_ms = desk.now_ms();
        in_time(params, now_ms)?;
        let name = params["order_id"].as_str().or_else(|| params["cl_ord_id"].as_str());
        let order = find(desk.exchange, name.unwrap_or("")).ok_or("EOrder:Unknown order")?;
        let (id, client, market) = (order.id, order.client_id.clone(), order.market);
        let (filled, age_ms) = (order.filled, now_ms - order.created_ms.min(now_ms));
        let new = |key: &str, now: i64| match params.get(key) {
            Some(_) => number(params, key),
            None => Ok(now),
        };
        let (price, qty) = (new("limit_price", order.price)?, new("order_qty", order.qty)?);
        if !self.rates.take(market, Action::Amend, age_ms, now_ms) {
            return Err("EOrder:Rate limit exceeded".to_owned());
        }
        if qty <= filled {
            // Nothing is left of it.
            desk.exchange.cancel(id, None, now_ms);
        } else {
            let amended = desk.exchange.amend_terms(id, price, qty, now_ms);
            amended.map_err(|error| words::denied(&error))?;
        }
        Ok(words::amended(desk.exchange.ids.execution, id, &client))
    }

    /// One outcome an order.
    fn cancel_several(&mut self, desk: &mut Desk, params: &Value) -> Vec<Result<String, Denied>> {
        let names = ["order_id", "cl_ord_id"]
            .into_iter()
            .flat_map(|key| params[key].as_array().into_iter().flatten())
            .filter_map(Value::as_str);
        let names: Vec<&str> = names.collect();
        if names.is_empty() || names.len() > CANCELS_MAX {
            return vec![Err("EGeneral:Invalid arguments:order_id".to_owned())];
        }
        let now_ms = desk.now_ms();
        names.into_iter().map(|name| self.cancel(desk.exchange, name, now_ms)).collect()
    }

    /// Cancels one order by either of its names.
    pub fn cancel(
        &mut self,
        exchange: &mut Exchange,
        name: &str,
        now_ms: u64,
    ) -> Result<String, Denied> {
        let order = find(exchange, name).ok_or("EOrder:Unknown order")?;
        let (id, client, market) = (order.id, order.client_id.clone(), order.market);
        let age_ms = now_ms - order.created_ms.min(now_ms);
        if !self.rates.take(market, Action::Cancel, age_ms, now_ms) {
            return Err("EOrder:Rate limit exceeded".to_owned());
        }
        exchange.cancel(id, None, now_ms);
        Ok(words::named(id, &client))
    }

    /// Tells what happened to the account.
    pub fn told(&mut self, desk: &mut Desk, event: &Private, times: usize) {
        match event {
            Private::Report(report) => {
                for entry in entries(report, desk.exchange) {
                    self.tell(desk, "executions", &entry, times);
                }
            }
            Private::Position(changed, ms) => {
                for (asset, balance) in changed {
                    let all = balance.free + balance.locked;
                    let before = self.told.insert(asset.clone(), all).unwrap_or(0);
                    // What is held for an order is still there.
                    if all != before {
                        self.ledger += 1;
                        let entry = words::ledger(self.ledger, asset, all - before, all, *ms);
                        self.tell(desk, "balances", &entry, times);
                    }
                }
            }
        }
    }

    /// Every connection counts its own messages; one that is lost is counted as well.
    fn tell(&mut self, desk: &mut Desk, channel: &str, entry: &str, times: usize) {
        for (&conn, at) in &mut self.conns {
            let next = if channel == "executions" { &mut at.executions } else { &mut at.balances };
            let Some(sequence) = next else { continue };
            let text = words::event(channel, "update", entry, *sequence);
            *sequence += 1;
            for _ in 0..times {
                desk.say(conn, text.clone());
            }
        }
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

/// The open order of this name, the venue's or the account's.
fn find<'a>(exchange: &'a Exchange, name: &str) -> Option<&'a Order> {
    let by_name = words::order_number(name).and_then(|id| exchange.orders.by_id(id));
    let order = by_name.or_else(|| exchange.orders.by_client(name));
    order.filter(|order| order.status.is_open())
}

fn open_orders(exchange: &Exchange) -> String {
    let open = exchange.orders.open(None).map(|order| Row::of(order, exchange).snapshot());
    open.collect::<Vec<_>>().join(",")
}

/// What a report becomes: an order that is taken is told twice, one that is filled once more behind
/// its last fill.
fn entries(report: &Report, exchange: &Exchange) -> Vec<String> {
    let row = Row::of(&report.order, exchange);
    let now_ms = report.time_ms;
    match &report.event {
        Event::New if row.is_triggered() => vec![row.triggered(now_ms)],
        Event::New => vec![row.pending(now_ms), row.is_new(now_ms)],
        Event::Trade(trade) => {
            let mut all = vec![row.trade(trade)];
            if report.order.status == crate::orders::Status::Filled {
                all.push(row.filled(now_ms));
            }
            all
        }
        Event::Replaced(_) => vec![row.amended(now_ms)],
        Event::Canceled(_) | Event::Expired(_) | Event::Prevented(_)
            if report.order.status.is_open() =>
        {
            Vec::new()
        }
        Event::Canceled(_) | Event::Expired(_) | Event::Prevented(_) => vec![row.canceled(now_ms)],
    }
}

/// The engine refuses what comes to it behind its deadline.
fn in_time(params: &Value, now_ms: u64) -> Result<(), Denied> {
    let Some(text) = params["deadline"].as_str() else { return Ok(()) };
    let deadline = unix_ms(text).ok_or("EGeneral:Invalid arguments:deadline")?;
    if deadline < now_ms {
        return Err("EService:Deadline elapsed".to_owned());
    }
    if !DEADLINE_MS.contains(&(deadline - now_ms)) {
        return Err("EGeneral:Invalid arguments:deadline".to_owned());
    }
    Ok(())
}

/// The price of `triggers`, of an order that waits for one: a price of the pair itself.
fn trigger(order: &Value) -> Result<i64, Denied> {
    let triggers = &order["triggers"];
    let word = |name: &str, usual: &str| triggers[name].as_str().unwrap_or(usual).to_owned();
    if !triggers.is_object() || word("price_type", "static") != "static" {
        return Err("EGeneral:Invalid arguments:triggers".to_owned());
    }
    // The index of other markets is not here.
    if word("reference", "last") != "last" {
        return Err("EGeneral:Invalid arguments:reference".to_owned());
    }
    number(triggers, "price")
}

/// A number of a request: it has to be written as one, with a point. Ten digits are exact in a
/// binary fraction's shortest text.
fn number(params: &Value, key: &str) -> Result<i64, Denied> {
    let mut name = key.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let value = &params[key];
    let is_whole_price = matches!(key, "limit_price" | "price") && value.is_u64();
    let number = value.as_f64().filter(|_| value.is_f64() || is_whole_price);
    let number = number.ok_or_else(|| format!("{name} field must be a number_float"))?;
    decimal::parse(&format!("{number:.8}")).map_err(|_| format!("EGeneral:Invalid arguments:{key}"))
}

/// The order, and what it waits for.
fn ticket(
    exchange: &Exchange,
    order: &Value,
    whole: &Value,
) -> Result<(Ticket, Option<i64>), Denied> {
    let invalid = |name: &str| format!("EGeneral:Invalid arguments:{name}");
    let word = |name: &str| order[name].as_str().unwrap_or("");
    let symbol = whole["symbol"].as_str().unwrap_or("");
    let market = exchange.market(symbol).ok_or_else(|| invalid("symbol"))?;
    let side = match word("side") {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        _ => return Err(invalid("side")),
    };
    let post_only = order["post_only"].as_bool().unwrap_or(false);
    let (kind, tif) = match (word("order_type"), word("time_in_force"), post_only) {
        ("market", _, false) => (Kind::Market, Tif::Ioc),
        ("limit", "" | "gtc", true) => (Kind::LimitMaker, Tif::Gtc),
        ("limit", "" | "gtc", false) => (Kind::Limit, Tif::Gtc),
        ("limit", "ioc", false) => (Kind::Limit, Tif::Ioc),
        ("limit", "fok", false) => (Kind::Limit, Tif::Fok),
        ("stop-loss", "", false) => (Kind::StopLoss, Tif::Ioc),
        ("take-profit", "", false) => (Kind::TakeProfit, Tif::Ioc),
        ("stop-loss-limit", "" | "gtc", false) => (Kind::StopLossLimit, Tif::Gtc),
        ("take-profit-limit", "" | "gtc", false) => (Kind::TakeProfitLimit, Tif::Gtc),
        _ => return Err(invalid("order_type")),
    };
    let stp = match word("stp_type") {
        "" | "cancel_newest" => Stp::ExpireTaker,
        "cancel_oldest" => Stp::ExpireMaker,
        "cancel_both" => Stp::ExpireBoth,
        _ => return Err(invalid("stp_type")),
    };
    let client = word("cl_ord_id");
    if client.len() > 18 && client.len() != 32 && client.len() != 36 {
        return Err(invalid("cl_ord_id"));
    }
    let price = if kind.is_market() { None } else { Some(number(order, "limit_price")?) };
    let stop = if kind.waits() { Some(trigger(order)?) } else { None };
    let qty = number(order, "order_qty")?;
    let client_id = Some(client.to_owned()).filter(|client| !client.is_empty());
    Ok((Ticket { market, side, kind, tif, price, qty, client_id, stp }, stop))
}
