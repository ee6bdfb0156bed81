//! Bybit v5, public spot and linear: one answer a request, books as a snapshot and deltas whose
//! `u` grows by one, level 1 as snapshots alone; and order entry and the account for spot
//! ([`account`], [`pages`]).
//!
//! Sources: protocol sheet. The two products have their own addresses and
//! their own shapes of answers.

mod account;
mod account_words;
mod live;
mod pages;
mod taped;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::Value;

use crate::exchange::Private;
use crate::symbol::SymbolSpec;
use crate::tape::Line;
use crate::venue::ConnId;

use super::text::{BASE32, tag};
use super::{Ask, ConnRules, Desk, Dialect, Named, Page, Paths, Setup, listed, parameter};
use account::{Account, Leg};
use live::Live;
use taped::Taped;

/// See [`super::DIALECTS`].
pub const ENTRY: Named = Named {
    name: "bybit",
    symbols,
    make,
    paths: Paths {
        market: "/v5/public/spot",
        linear: "/v5/public/linear",
        api: "/v5/trade",
        rest: true,
        secret: true,
    },
};

/// Most topics in one request on spot.
const SPOT_ARGS_MAX: usize = 10;
/// Characters of all topics of a connection.
const ARGS_CHARS_MAX: usize = 21_000;
/// A connection without traffic ends after this.
const IDLE_NS: u64 = 600_000_000_000;
/// What tells a linear contract's market from the spot market of the same name.
const LINEAR: &str = ":linear";

fn symbols() -> Vec<SymbolSpec> {
    let usdt = |base: &'static str| (base, "USDT");
    vec![
        listed("BTCUSDT", usdt("BTC"), ["0.1", "0.000001", "60000", "0.05"]),
        listed("ETHUSDT", usdt("ETH"), ["0.01", "0.00001", "3000", "1"]),
        listed("SOLUSDT", usdt("SOL"), ["0.01", "0.001", "150", "20"]),
        listed("XRPUSDT", usdt("XRP"), ["0.0001", "0.01", "0.5", "2000"]),
        listed("BTCUSDT:linear", usdt("BTC"), ["0.10", "0.001", "60000", "0.5"]),
        listed("ETHUSDT:linear", usdt("ETH"), ["0.01", "0.01", "3000", "10"]),
    ]
}

fn make(setup: &Setup) -> io::Result<Box<dyn Dialect>> {
    let source = match setup.tape {
        Some(tape) => Source::Taped(Box::new(Taped::survey(tape)?)),
        None => Source::Live(Box::new(Live::new(setup.exchange))),
    };
    let account = Account::new(setup.keys.clone());
    Ok(Box::new(Bybit { conns: BTreeMap::new(), source, account }))
}

/// The products that have addresses of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Product {
    Spot,
    Linear,
}

impl Product {
    fn name(self) -> &'static str {
        if self == Self::Spot { "spot" } else { "linear" }
    }

    /// The exchange's name of this product's market.
    fn market(self, symbol: &str) -> String {
        if self == Self::Spot { symbol.to_owned() } else { format!("{symbol}{LINEAR}") }
    }

    fn of_market(name: &str) -> (Self, &str) {
        match name.strip_suffix(LINEAR) {
            Some(symbol) => (Self::Linear, symbol),
            None => (Self::Spot, name),
        }
    }
}

enum Source {
    Live(Box<Live>),
    Taped(Box<Taped>),
}

struct Conn {
    product: Product,
    id: String,
    topics: BTreeSet<String>,
    heard_ns: u64,
}

/// The dialect.
struct Bybit {
    conns: BTreeMap<ConnId, Conn>,
    source: Source,
    account: Account,
}

impl Dialect for Bybit {
    fn rules(&self) -> ConnRules {
        ConnRules {
            ping_every_ns: None,
            pong_timeout_ns: IDLE_NS,
            connects: Some((500, 300_000, 403)),
            messages_per_second: None,
        }
    }

    fn open(&mut self, desk: &mut Desk, conn: ConnId, path: &str, _: &str) -> Result<(), u16> {
        let id = format!("{}-{}", tag(desk.rng, 20, BASE32), tag(desk.rng, 5, BASE32));
        if let Some(leg) = Leg::of(path) {
            self.account.open(conn, leg, id, desk.now_ns);
            return Ok(());
        }
        let product = match path {
            "/v5/public/spot" => Product::Spot,
            "/v5/public/linear" => Product::Linear,
            _ => return Err(404),
        };
        let fresh = Conn { product, id, topics: BTreeSet::new(), heard_ns: desk.now_ns };
        self.conns.insert(conn, fresh);
        Ok(())
    }

    fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.account.close(conn);
        match &mut self.source {
            Source::Live(live) => live.forget(conn),
            Source::Taped(taped) => taped.tracks.forget(conn),
        }
    }

    fn hear(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        if self.account.has(conn) {
            return self.account.hear(desk, conn, text);
        }
        let Some(at) = self.conns.get_mut(&conn) else { return };
        at.heard_ns = desk.now_ns;
        let (product, id) = (at.product, at.id.clone());
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        let req_id = request["req_id"].as_str();
        let op = request["op"].as_str().unwrap_or_default();
        let answer = match op {
            "ping" => words::answer(true, "pong", &id, req_id, op, product),
            "subscribe" | "unsubscribe" => {
                let topics = request["args"].as_array().map_or(&[][..], Vec::as_slice);
                let topics: Option<Vec<&str>> = topics.iter().map(Value::as_str).collect();
                let topics = topics.unwrap_or_default();
                let on = op == "subscribe";
                match self.check(desk, conn, &topics, on) {
                    Ok(()) => {
                        let said = if product == Product::Spot { op } else { "" };
                        desk.say(conn, words::answer(true, said, &id, req_id, op, product));
                        return self.change(desk, conn, product, &topics, on);
                    }
                    Err(error) => words::answer(false, &error, &id, req_id, op, product),
                }
            }
            _ if !request.is_object() => words::answer(
                false,
                "Request not authorized or invalid json",
                &id,
                None,
                "",
                product,
            ),
            _ => words::answer(false, "error:op not found", &id, req_id, op, product),
        };
        desk.say(conn, answer);
    }

    fn moved(&mut self, desk: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            live.moved(desk);
        }
    }

    fn next_ns(&self) -> u64 {
        let idle = self.conns.values().map(|at| at.heard_ns + IDLE_NS).min();
        let live = if let Source::Live(live) = &self.source { live.next_ns() } else { u64::MAX };
        idle.unwrap_or(u64::MAX).min(live).min(self.account.next_ns())
    }

    fn tick(&mut self, desk: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            live.tick(desk);
        }
        self.account.tick(desk);
        for (&conn, at) in &mut self.conns {
            if at.heard_ns + IDLE_NS <= desk.now_ns {
                at.heard_ns = desk.now_ns;
                // Traffic in either direction counts, and whoever listens has some.
                if at.topics.is_empty() {
                    desk.close(conn, 1000, "");
                }
            }
        }
    }

    fn is_heard(&self) -> bool {
        match &self.source {
            Source::Live(_) => false,
            Source::Taped(taped) => taped.tracks.is_heard(),
        }
    }

    fn play(&mut self, desk: &mut Desk, line: &Line) {
        if let Source::Taped(taped) = &mut self.source {
            taped.play(desk, line);
        }
    }

    fn page(&mut self, desk: &mut Desk, path: &str, query: &str) -> Option<Page> {
        let now_ms = desk.now_ms();
        if path == "/v5/market/time" {
            return Some(Page::ok(words::time(desk.now_ns)));
        }
        if path != "/v5/market/instruments-info" {
            return None;
        }
        let product = match parameter(query, "category").as_deref() {
            Some("spot") => Product::Spot,
            Some("linear") => Product::Linear,
            _ => return Some(Page::ok(words::failure(10001, "Illegal category", now_ms))),
        };
        let wanted = parameter(query, "symbol");
        let mut list: Vec<words::Instrument> = match &self.source {
            Source::Live(_) => words::instruments(desk.exchange, product),
            Source::Taped(taped) => taped.instruments(product),
        };
        if let Some(wanted) = wanted {
            list.retain(|instrument| instrument.symbol == wanted);
            if list.is_empty() {
                return Some(Page::ok(words::failure(
                    10001,
                    "params error: symbol invalid",
                    now_ms,
                )));
            }
        }
        Some(Page::ok(words::instruments_page(product, &list, now_ms)))
    }

    fn ask(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        match self.account.page(desk, ask) {
            Some(page) => Some(page),
            None if ask.method == "GET" => self.page(desk, ask.path, ask.query),
            None => None,
        }
    }

    fn is_private(&self, path: &str) -> bool {
        Leg::of(path).is_some()
    }

    fn told(&mut self, desk: &mut Desk, event: &Private, times: usize) {
        self.account.told(desk, event, times);
    }

    fn failed(&self, answer: &str) -> String {
        account_words::failed(answer)
    }

    fn restart_feed(&mut self, desk: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            live.restart(desk);
        }
    }
}

impl Bybit {
    /// One bad topic refuses the whole request.
    fn check(&self, desk: &Desk, conn: ConnId, topics: &[&str], on: bool) -> Result<(), String> {
        let Some(at) = self.conns.get(&conn) else { return Ok(()) };
        if topics.is_empty() {
            return Err("Params Error".to_owned());
        }
        if at.product == Product::Spot && topics.len() > SPOT_ARGS_MAX {
            return Err("args size >10".to_owned());
        }
        if !on {
            return Ok(());
        }
        let held = at.topics.iter().map(String::len).sum::<usize>();
        if held + topics.iter().map(|t| t.len()).sum::<usize>() > ARGS_CHARS_MAX {
            return Err("args length exceeds 21000 characters".to_owned());
        }
        for topic in topics {
            let known = match &self.source {
                Source::Live(_) => words::Topic::parse(topic, at.product, desk.exchange).is_some(),
                Source::Taped(taped) => taped.tracks.has(topic) || taped.is_quiet(topic),
            };
            if !known {
                return Err(match topic.rsplit_once('.') {
                    Some(_) => format!("Invalid symbol :[{topic}]"),
                    None => format!("error:handler not found,topic:{topic}"),
                });
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        desk: &mut Desk,
        conn: ConnId,
        product: Product,
        topics: &[&str],
        on: bool,
    ) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        for &topic in topics {
            if on {
                at.topics.insert(topic.to_owned());
            } else {
                at.topics.remove(topic);
            }
            match &mut self.source {
                Source::Live(live) => {
                    let parsed = words::Topic::parse(topic, product, desk.exchange);
                    let Some(parsed) = parsed else { continue };
                    if on { live.join(desk, conn, parsed) } else { live.leave(conn, parsed) }
                }
                Source::Taped(taped) if on => taped.join(desk, conn, topic),
                Source::Taped(taped) => taped.leave(conn, topic),
            }
        }
    }
}
