//! Coinbase Advanced Trade: one channel a request, one sequence over the whole connection,
//! snapshots before the acknowledgement, `offer` for the asks; and the account for spot: orders by
//! plain requests ([`pages`]), their states on a channel of their own ([`account`]).
//!
//! Sources: protocol sheet, part A. Every message takes its number when it is said to a
//! connection, acknowledgements included; errors have none.

mod account;
mod account_words;
mod live;
mod pages;
mod taped;
mod token;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::Value;

use crate::exchange::Private;
use crate::symbol::SymbolSpec;
use crate::tape::Line;
use crate::venue::{ConnId, Out, Text};

use super::{Ask, ConnRules, Desk, Dialect, Named, Page, Paths, Setup, listed, parameter};
use account::Account;
use live::Live;
use taped::Taped;

/// See [`super::DIALECTS`].
pub const ENTRY: Named = Named {
    name: "coinbase",
    symbols,
    make,
    paths: Paths { market: "", linear: "", api: USER, rest: true, secret: false },
};

/// Path of the account's connections; at the real venue they have a host of their own.
const USER: &str = "/user";

const SECOND_NS: u64 = 1_000_000_000;
/// A connection must ask for something within this.
const DEADLINE_NS: u64 = 5 * SECOND_NS;
/// A connection to which nothing was said for this long is closed (60 to 90 s in reality).
const IDLE_NS: u64 = 90 * SECOND_NS;

/// The exchange keeps money in 10^-8, so a tick times a lot must not be finer: lots are coarser
/// than the real ones.
fn symbols() -> Vec<SymbolSpec> {
    vec![
        listed("BTC-USD", ("BTC", "USD"), ["0.01", "0.000001", "60000", "0.05"]),
        listed("ETH-USD", ("ETH", "USD"), ["0.01", "0.000001", "3000", "1"]),
        listed("SOL-USD", ("SOL", "USD"), ["0.01", "0.000001", "150", "20"]),
        listed("XRP-USD", ("XRP", "USD"), ["0.0001", "0.0001", "0.5", "2000"]),
    ]
}

fn make(setup: &Setup) -> io::Result<Box<dyn Dialect>> {
    let source = match setup.tape {
        Some(tape) => Source::Taped(Box::new(Taped::survey(tape)?)),
        None => Source::Live(Box::new(Live::new(setup.exchange))),
    };
    let account = Account::new(setup.keys.clone());
    Ok(Box::new(Coinbase { conns: BTreeMap::new(), source, started_ns: None, account }))
}

/// What is said about one product on one channel, before it has a number.
struct Note {
    /// As subscribed: `level2`.
    channel: &'static str,
    product: String,
    events: String,
}

enum Source {
    Live(Box<Live>),
    Taped(Box<Taped>),
}

struct Conn {
    /// The account's.
    is_user: bool,
    opened_ns: u64,
    said_ns: u64,
    sequence: u64,
    next_beat_ns: Option<u64>,
    /// Products of each channel.
    channels: BTreeMap<String, BTreeSet<String>>,
    /// Channels whose acknowledgement is still to come from the tape.
    pending: BTreeSet<String>,
}

impl Conn {
    /// The next number.
    fn number(&mut self, now_ns: u64) -> u64 {
        self.said_ns = now_ns;
        self.sequence += 1;
        self.sequence - 1
    }

    fn next_ns(&self) -> u64 {
        let deadline = match self.channels.is_empty() {
            true => self.opened_ns.max(self.said_ns) + DEADLINE_NS,
            false => self.said_ns + IDLE_NS,
        };
        deadline.min(self.next_beat_ns.unwrap_or(u64::MAX))
    }

    /// Subscriptions that are acknowledged.
    fn listing(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let granted = self.channels.iter().filter(|(name, _)| !self.pending.contains(*name));
        granted
            .map(|(name, list)| (name.as_str(), list.iter().map(String::as_str).collect()))
            .collect()
    }

    fn hears(&self, channel: &str, product: &str) -> bool {
        self.channels.get(channel).is_some_and(|products| products.contains(product))
    }
}

/// The dialect.
struct Coinbase {
    conns: BTreeMap<ConnId, Conn>,
    source: Source,
    started_ns: Option<u64>,
    account: Account,
}

impl Dialect for Coinbase {
    fn rules(&self) -> ConnRules {
        ConnRules {
            ping_every_ns: None,
            pong_timeout_ns: IDLE_NS,
            connects: Some((8, 1_000, 429)),
            messages_per_second: Some((8, 1008, "rate limit exceeded")),
        }
    }

    fn open(&mut self, desk: &mut Desk, conn: ConnId, path: &str, _: &str) -> Result<(), u16> {
        if !matches!(path, "/" | USER) {
            return Err(404);
        }
        self.started_ns.get_or_insert(desk.now_ns);
        let fresh = Conn {
            is_user: path == USER,
            opened_ns: desk.now_ns,
            said_ns: desk.now_ns,
            sequence: 0,
            next_beat_ns: None,
            channels: BTreeMap::new(),
            pending: BTreeSet::new(),
        };
        self.conns.insert(conn, fresh);
        Ok(())
    }

    fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        let heard = |product: &str| self.conns.values().any(|at| at.hears("level2", product));
        if let Source::Live(live) = &mut self.source {
            live.keep_books(heard);
        }
    }

    fn hear(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        let Ok(request @ Value::Object(_)) = serde_json::from_str::<Value>(text) else {
            return desk.say(conn, words::error("failure to parse message as JSON"));
        };
        let channel = request["channel"].as_str().unwrap_or_default();
        let on = match request["type"].as_str() {
            Some("subscribe") => true,
            Some("unsubscribe") => false,
            _ => return desk.say(conn, words::error("type is invalid")),
        };
        if self.conns.get(&conn).is_some_and(|at| at.is_user) {
            return self.hear_user(desk, conn, &request, on);
        }
        let listed = request["product_ids"].as_array().map_or(&[][..], Vec::as_slice);
        let mut products: Vec<String> = Vec::new();
        for product in listed.iter().filter_map(Value::as_str) {
            match self.resolve(desk, product) {
                Some(product) => products.push(product),
                None => {
                    let message = format!("{product} is not a valid product");
                    return desk.say(conn, words::error(&message));
                }
            }
        }
        match channel {
            "level2" | "market_trades" | "ticker" | "candles" => {
                if self.is_unknown(channel) {
                    return desk.say(conn, words::error("channel is not served here"));
                }
                if products.is_empty() {
                    products = self.products(desk);
                }
            }
            "heartbeats" => products = vec!["heartbeats".to_owned()],
            "user" | "futures_balance_summary" => {
                return desk.say(conn, words::error("authentication failure"));
            }
            _ => return desk.say(conn, words::error("channel is invalid")),
        }
        if on {
            self.subscribe(desk, conn, channel, &products);
        } else {
            self.unsubscribe(desk, conn, channel, &products);
        }
    }

    fn moved(&mut self, desk: &mut Desk) {
        let Source::Live(live) = &mut self.source else { return };
        let notes = live.moved(desk);
        self.publish(desk, notes);
    }

    fn next_ns(&self) -> u64 {
        let conns = self.conns.values().map(Conn::next_ns).min().unwrap_or(u64::MAX);
        let live = if let Source::Live(live) = &self.source { live.next_ns() } else { u64::MAX };
        conns.min(live)
    }

    fn tick(&mut self, desk: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            let notes = live.tick(desk);
            self.publish(desk, notes);
        }
        let recorded = match &self.source {
            Source::Live(_) => false,
            Source::Taped(taped) => taped.beats(),
        };
        let up_ns = desk.now_ns - self.started_ns.unwrap_or(desk.now_ns) + words::UP_BEFORE_NS;
        for (&conn, at) in &mut self.conns {
            if let Some(due) = at.next_beat_ns.filter(|due| *due <= desk.now_ns) {
                at.next_beat_ns = Some(due + SECOND_NS);
                if !recorded {
                    let events = words::heartbeat(desk.now_ns, up_ns);
                    let number = at.number(desk.now_ns);
                    desk.say(conn, words::envelope("heartbeats", number, &events, desk.now_ns));
                }
            }
            if at.next_ns() <= desk.now_ns {
                desk.close(conn, 1000, "");
                // The transport says when it is gone; until then nothing is due.
                (at.opened_ns, at.said_ns) = (desk.now_ns, desk.now_ns);
            }
        }
    }

    fn ask(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        match self.account.page(desk, ask) {
            Some(page) => Some(page),
            None if ask.method == "GET" => self.page(desk, ask.path, ask.query),
            None => None,
        }
    }

    fn is_order(&self, ask: &Ask<'_>) -> Option<bool> {
        ask.path.starts_with(pages::ROOT).then_some(ask.method == "POST")
    }

    fn headers(&self) -> String {
        self.account.headers()
    }

    fn charges_quote(&self) -> bool {
        true
    }

    fn is_private(&self, path: &str) -> bool {
        path == USER
    }

    fn told(&mut self, desk: &mut Desk, event: &Private, times: usize) {
        let Private::Report(report) = event else { return };
        let row = account_words::channel_row(desk.exchange, &report.order);
        let events = format!(r#"{{"type":"update","orders":[{row}]}}"#);
        for (&conn, at) in &mut self.conns {
            if !at.is_user || !at.hears("user", account::CHANNEL) {
                continue;
            }
            for _ in 0..times {
                let number = at.number(desk.now_ns);
                desk.say(conn, words::envelope("user", number, &events, desk.now_ns));
            }
            // A message that is lost leaves a hole.
            if times == 0 {
                at.number(desk.now_ns);
            }
        }
    }

    fn is_heard(&self) -> bool {
        matches!(self.source, Source::Taped(_))
            && self.conns.values().any(|at| !at.channels.is_empty())
    }

    fn play(&mut self, desk: &mut Desk, line: &Line) {
        if let Source::Taped(taped) = &mut self.source {
            taped.play(desk, line, &mut self.conns);
        }
    }

    fn page(&mut self, desk: &mut Desk, path: &str, query: &str) -> Option<Page> {
        let root = "/api/v3/brokerage/market/products";
        let rest = path.strip_prefix(root)?;
        let mut list = match &self.source {
            Source::Live(live) => live.products(desk.exchange),
            Source::Taped(taped) => taped.products(),
        };
        if let Some(id) = rest.strip_prefix('/') {
            let product = list.into_iter().find(|product| product.id == id);
            return Some(match product {
                Some(product) => Page::ok(product.text()),
                None => Page { status: 404, body: words::NOT_FOUND.to_owned() },
            });
        }
        // The list is `product_ids=A&product_ids=B`.
        let wanted: Vec<&str> =
            query.split('&').filter_map(|pair| pair.strip_prefix("product_ids=")).collect();
        list.retain(|product| wanted.is_empty() || wanted.contains(&product.id.as_str()));
        if let Some(limit) = parameter(query, "limit").and_then(|limit| limit.parse().ok()) {
            list.truncate(limit);
        }
        let texts: Vec<String> = list.iter().map(words::Product::text).collect();
        Some(Page::ok(format!(r#"{{"products":[{}]}}"#, texts.join(","))))
    }
}

impl Coinbase {
    /// The product that is meant: dollars and dollar coins share a book.
    fn resolve(&self, desk: &Desk, product: &str) -> Option<String> {
        let known = |name: &str| match &self.source {
            Source::Live(_) => desk.exchange.market(name).is_some(),
            Source::Taped(taped) => taped.tracks.has_market(name),
        };
        if known(product) {
            return Some(product.to_owned());
        }
        let shared = product.strip_suffix('C').filter(|name| name.ends_with("-USD"))?;
        known(shared).then(|| shared.to_owned())
    }

    fn products(&self, desk: &Desk) -> Vec<String> {
        match &self.source {
            Source::Live(_) => desk.exchange.markets.iter().map(|m| m.spec.name.clone()).collect(),
            Source::Taped(taped) => taped.tracks.markets().map(str::to_owned).collect(),
        }
    }

    /// A request on the account's connection: its token must be good.
    fn hear_user(&mut self, desk: &mut Desk, conn: ConnId, request: &Value, on: bool) {
        let (channel, token) = (request["channel"].as_str(), request["jwt"].as_str());
        let Some(at) = self.conns.get_mut(&conn) else { return };
        if !self.account.permits(token.unwrap_or_default(), "", desk.now_ns / 1_000_000_000) {
            return desk.say(conn, words::error("authentication failure"));
        }
        let (channel, listed) = match channel {
            Some("heartbeats") => ("heartbeats", "heartbeats"),
            Some("user") => ("user", account::CHANNEL),
            _ => return desk.say(conn, words::error("channel is invalid")),
        };
        if on {
            at.channels.entry(channel.to_owned()).or_default().insert(listed.to_owned());
        } else {
            at.channels.remove(channel);
        }
        match (channel, on) {
            ("heartbeats", true) => {
                at.next_beat_ns.get_or_insert(desk.now_ns + SECOND_NS);
            }
            ("heartbeats", false) => at.next_beat_ns = None,
            (_, true) => {
                for events in account::snapshots(desk.exchange) {
                    let number = at.number(desk.now_ns);
                    desk.say(conn, words::envelope("user", number, &events, desk.now_ns));
                }
            }
            _ => {}
        }
        acknowledge(desk, conn, at);
    }

    /// Candles are served from tapes only.
    fn is_unknown(&self, channel: &str) -> bool {
        channel == "candles" && matches!(self.source, Source::Live(_))
    }

    fn subscribe(&mut self, desk: &mut Desk, conn: ConnId, channel: &str, products: &[String]) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        at.channels.entry(channel.to_owned()).or_default().extend(products.iter().cloned());
        if channel == "heartbeats" {
            at.next_beat_ns.get_or_insert(desk.now_ns + SECOND_NS);
        }
        for product in products {
            let events = match &mut self.source {
                Source::Live(live) => live.snapshot(desk, channel, product),
                Source::Taped(taped) => {
                    taped.join(conn, channel, product);
                    taped.snapshot(channel, product)
                }
            };
            if let Some(events) = events {
                let number = at.number(desk.now_ns);
                let channel = words::data_channel(channel);
                desk.say(conn, words::envelope(channel, number, &events, desk.now_ns));
            }
        }
        if let Source::Taped(taped) = &self.source
            && taped.acknowledges(channel)
        {
            at.pending.insert(channel.to_owned());
            return;
        }
        acknowledge(desk, conn, at);
    }

    fn unsubscribe(&mut self, desk: &mut Desk, conn: ConnId, channel: &str, products: &[String]) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        if let Some(held) = at.channels.get_mut(channel) {
            held.retain(|product| !products.contains(product));
            if held.is_empty() {
                at.channels.remove(channel);
                at.pending.remove(channel);
            }
        }
        if channel == "heartbeats" {
            at.next_beat_ns = None;
        }
        if let Source::Taped(taped) = &mut self.source {
            products.iter().for_each(|product| taped.leave(conn, channel, product));
        }
        acknowledge(desk, conn, at);
        let heard = |product: &str| self.conns.values().any(|at| at.hears("level2", product));
        if let Source::Live(live) = &mut self.source {
            live.keep_books(heard);
        }
    }

    fn publish(&mut self, desk: &mut Desk, notes: Vec<Note>) {
        for note in notes {
            let mut told = Vec::new();
            let channel = words::data_channel(note.channel);
            for (&conn, at) in &mut self.conns {
                if at.hears(note.channel, &note.product) {
                    let number = at.number(desk.now_ns);
                    let text = words::envelope(channel, number, &note.events, desk.now_ns);
                    told.push((conn, Text::from(text)));
                }
            }
            if note.channel == "level2" {
                desk.tell_depth(&note.product, told);
            } else {
                desk.out.extend(told.into_iter().map(|(conn, text)| (conn, Out::Text(text))));
            }
        }
    }
}

/// Lists what the connection is subscribed to.
fn acknowledge(desk: &mut Desk, conn: ConnId, at: &mut Conn) {
    let events = words::subscriptions(&at.listing());
    let number = at.number(desk.now_ns);
    desk.say(conn, words::envelope("subscriptions", number, &events, desk.now_ns));
}
