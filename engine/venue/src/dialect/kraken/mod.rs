//! Kraken Spot, WebSocket v2: one answer a symbol, bare numbers with every digit, checksums
//! instead of sequences, a heartbeat each second; and order entry and the account ([`account`],
//! [`pages`]).
//!
//! Sources: protocol sheet. Levels that leave a listener's depth are not told. The account's
//! connections are another host's at the venue; here they are another path of the same one.

mod account;
mod account_words;
mod live;
mod pages;
mod rates;
mod taped;
mod words;

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::exchange::Private;
use crate::symbol::SymbolSpec;
use crate::tape::Line;
use crate::venue::ConnId;

use super::{Ask, ConnRules, Desk, Dialect, Named, Page, Paths, Setup, listed};
use account::Account;
use live::Live;
use taped::Taped;

/// See [`super::DIALECTS`].
pub const ENTRY: Named = Named {
    name: "kraken",
    symbols,
    make,
    paths: Paths { market: PUBLIC, linear: "", api: PRIVATE, rest: true, secret: true },
};

/// Path of the public connections.
const PUBLIC: &str = "/v2";
/// Path of the account's connections.
const PRIVATE: &str = "/auth/v2";

const SECOND_NS: u64 = 1_000_000_000;
/// A connection without subscriptions and without a word from the client ends after this.
const IDLE_NS: u64 = 60 * SECOND_NS;
/// Depths that a book can have.
const DEPTHS: [u64; 5] = [10, 25, 100, 500, 1000];

/// Digits of quantities, whatever the lot is.
const QTY_DIGITS: u32 = 8;

/// The exchange keeps money in 10^-8, so a tick times a lot must not be finer: lots are coarser
/// than the real ones, whose digits they keep.
fn symbols() -> Vec<SymbolSpec> {
    vec![
        listed("BTC/USD", ("BTC", "USD"), ["0.1", "0.0000001", "60000", "0.05"]),
        listed("ETH/USD", ("ETH", "USD"), ["0.01", "0.000001", "3000", "1"]),
        listed("SOL/USD", ("SOL", "USD"), ["0.01", "0.000001", "150", "20"]),
        listed("XRP/USD", ("XRP", "USD"), ["0.00001", "0.001", "0.5", "2000"]),
    ]
}

fn make(setup: &Setup) -> io::Result<Box<dyn Dialect>> {
    let source = match setup.tape {
        Some(tape) => Source::Taped(Box::new(Taped::survey(tape)?)),
        None => Source::Live(Box::new(Live::new(setup.exchange))),
    };
    let account = Account::new(setup.keys, setup.exchange);
    Ok(Box::new(Kraken { conns: BTreeMap::new(), source, account }))
}

/// What a subscription is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Channel {
    Book,
    Trade,
    Ticker,
    Instrument,
    Status,
    Heartbeat,
}

impl Channel {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "book" => Self::Book,
            "trade" => Self::Trade,
            "ticker" => Self::Ticker,
            "instrument" => Self::Instrument,
            "status" => Self::Status,
            "heartbeat" => Self::Heartbeat,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Trade => "trade",
            Self::Ticker => "ticker",
            Self::Instrument => "instrument",
            Self::Status => "status",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// What a request asks for, for one symbol.
struct Wish<'a> {
    channel: Channel,
    symbol: &'a str,
    depth: u64,
    snapshot: bool,
    on_quotes: bool,
}

enum Source {
    Live(Box<Live>),
    Taped(Box<Taped>),
}

struct Conn {
    heard_ns: u64,
    /// From the first subscription on.
    next_beat_ns: Option<u64>,
    /// Depth of each subscription; 0 where it has none.
    subscriptions: BTreeMap<(Channel, String), u64>,
    /// A channel of the account is subscribed.
    listens: bool,
}

impl Conn {
    fn is_used(&self) -> bool {
        self.listens || !self.subscriptions.is_empty()
    }

    fn next_ns(&self) -> u64 {
        let idle = if self.is_used() { u64::MAX } else { self.heard_ns + IDLE_NS };
        idle.min(self.next_beat_ns.unwrap_or(u64::MAX))
    }
}

/// The dialect.
struct Kraken {
    conns: BTreeMap<ConnId, Conn>,
    source: Source,
    account: Account,
}

impl Dialect for Kraken {
    fn rules(&self) -> ConnRules {
        ConnRules {
            ping_every_ns: None,
            pong_timeout_ns: IDLE_NS,
            connects: Some((150, 600_000, 429)),
            messages_per_second: None,
        }
    }

    fn open(&mut self, desk: &mut Desk, conn: ConnId, path: &str, _: &str) -> Result<(), u16> {
        match path {
            PUBLIC => {}
            PRIVATE => self.account.open(conn),
            _ => return Err(404),
        }
        let (subscriptions, next_beat_ns) = (BTreeMap::new(), None);
        let heard_ns = desk.now_ns;
        let fresh = Conn { heard_ns, next_beat_ns, subscriptions, listens: false };
        self.conns.insert(conn, fresh);
        // Ids above the signed range occur on the real venue.
        let id = desk.rng.bits() | 1 << 63;
        desk.say(conn, words::status("online", id));
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
        if let Some(at) = self.conns.get_mut(&conn) {
            at.heard_ns = desk.now_ns;
        }
        let Ok(request @ Value::Object(_)) = serde_json::from_str::<Value>(text) else {
            return desk
                .say(conn, words::refusal("", None, "JSON message malformed", "", desk.now_ns));
        };
        let method = request["method"].as_str().unwrap_or_default();
        let id = request["req_id"].as_i64();
        match method {
            "ping" if request.get("params").is_some() => {
                let error = "Unsupported field: 'params' for the given msg type: ping";
                desk.say(conn, words::refusal(method, id, error, "", desk.now_ns));
            }
            "ping" => desk.say(conn, words::pong(id, desk.now_ns)),
            _ if self.account.has(conn) => {
                self.account.hear(desk, conn, method, &request);
                if let Some(at) = self.conns.get_mut(&conn) {
                    at.listens = self.account.listens(conn);
                    let first = desk.now_ns + SECOND_NS;
                    at.next_beat_ns = at.next_beat_ns.or(at.listens.then_some(first));
                }
            }
            "subscribe" | "unsubscribe" => {
                self.subscription(desk, conn, &request, method == "subscribe");
            }
            _ => desk.say(conn, words::refusal(method, id, "Unsupported event", "", desk.now_ns)),
        }
    }

    fn moved(&mut self, desk: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            live.moved(desk);
        }
    }

    fn next_ns(&self) -> u64 {
        let conns = self.conns.values().map(Conn::next_ns).min().unwrap_or(u64::MAX);
        conns.min(self.account.next_ns())
    }

    fn tick(&mut self, desk: &mut Desk) {
        let recorded = match &self.source {
            Source::Live(_) => false,
            Source::Taped(taped) => taped.beats(),
        };
        self.account.tick(desk);
        for (&conn, at) in &mut self.conns {
            if let Some(due) = &mut at.next_beat_ns
                && *due <= desk.now_ns
            {
                *due += SECOND_NS;
                if !recorded {
                    desk.say(conn, words::HEARTBEAT);
                }
            }
            if !at.is_used() && at.heard_ns + IDLE_NS <= desk.now_ns {
                desk.close(conn, 1000, "");
                // The transport says when it is gone; until then nothing is due.
                at.heard_ns = desk.now_ns;
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
            let beating = self.conns.iter().filter(|(_, at)| at.next_beat_ns.is_some());
            let beating: Vec<ConnId> = beating.map(|(&conn, _)| conn).collect();
            taped.play(desk, line, &beating);
        }
    }

    fn page(&mut self, desk: &mut Desk, path: &str, _: &str) -> Option<Page> {
        (path == "/0/public/Time").then(|| Page::ok(pages::time(desk.now_ms())))
    }

    fn ask(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        match self.account.page(desk, ask) {
            Some(page) => Some(page),
            None if ask.method == "GET" => self.page(desk, ask.path, ask.query),
            None => None,
        }
    }

    fn charges_quote(&self) -> bool {
        true
    }

    fn triggers_at_once(&self) -> bool {
        true
    }

    fn is_private(&self, path: &str) -> bool {
        path == PRIVATE
    }

    fn told(&mut self, desk: &mut Desk, event: &Private, times: usize) {
        self.account.told(desk, event, times);
    }

    fn failed(&self, answer: &str) -> String {
        account_words::failed(answer)
    }

    /// Maintenance is announced by the status; the proxy in front says a word that is no JSON.
    fn notice(&mut self, desk: &mut Desk) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        let id = desk.rng.bits() | 1 << 63;
        desk.tell(&conns, words::status("maintenance", id));
        desk.tell(&conns, words::PROXY);
    }
}

impl Kraken {
    /// `subscribe` or `unsubscribe`: one answer a symbol.
    fn subscription(&mut self, desk: &mut Desk, conn: ConnId, request: &Value, on: bool) {
        let method = if on { "subscribe" } else { "unsubscribe" };
        let id = request["req_id"].as_i64();
        let params = &request["params"];
        let Some(channel) = params["channel"].as_str().and_then(Channel::named) else {
            let error = "Unsupported event";
            return desk.say(conn, words::refusal(method, id, error, "", desk.now_ns));
        };
        let listed: Vec<&str> = match &params["symbol"] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            Value::String(symbol) => vec![symbol],
            _ => Vec::new(),
        };
        let of_symbols = matches!(channel, Channel::Book | Channel::Trade | Channel::Ticker);
        if of_symbols && listed.is_empty() {
            let error = "Field 'symbol' is missing";
            return desk.say(conn, words::refusal(method, id, error, "", desk.now_ns));
        }
        let symbols = if of_symbols { listed } else { vec![""] };
        for symbol in symbols {
            let wish = Wish {
                channel,
                symbol,
                depth: params["depth"].as_u64().unwrap_or(10),
                snapshot: params["snapshot"].as_bool().unwrap_or(channel != Channel::Trade),
                on_quotes: params["event_trigger"] == "bbo",
            };
            let done = if on {
                self.subscribe(desk, conn, &wish, id)
            } else {
                self.unsubscribe(desk, conn, &wish, id)
            };
            if let Err(error) = done {
                desk.say(conn, words::refusal(method, id, &error, symbol, desk.now_ns));
            }
        }
    }

    fn subscribe(
        &mut self,
        desk: &mut Desk,
        conn: ConnId,
        wish: &Wish,
        id: Option<i64>,
    ) -> Result<(), String> {
        let Some(at) = self.conns.get_mut(&conn) else { return Ok(()) };
        let key = (wish.channel, wish.symbol.to_owned());
        if at.subscriptions.contains_key(&key) {
            return Err("Already subscribed".to_owned());
        }
        if wish.channel == Channel::Book && !DEPTHS.contains(&wish.depth) {
            return Err("Subscription depth not supported".to_owned());
        }
        match &self.source {
            Source::Live(live) => live.check(desk, wish)?,
            Source::Taped(taped) => taped.check(wish)?,
        }
        at.subscriptions.insert(key, wish.depth);
        at.next_beat_ns.get_or_insert(desk.now_ns + SECOND_NS);
        desk.say(conn, words::subscribed("subscribe", wish, id, desk.now_ns));
        match &mut self.source {
            Source::Live(live) => live.join(desk, conn, wish),
            Source::Taped(taped) => taped.join(desk, conn, wish),
        }
        Ok(())
    }

    fn unsubscribe(
        &mut self,
        desk: &mut Desk,
        conn: ConnId,
        wish: &Wish,
        id: Option<i64>,
    ) -> Result<(), String> {
        let Some(at) = self.conns.get_mut(&conn) else { return Ok(()) };
        let key = (wish.channel, wish.symbol.to_owned());
        match at.subscriptions.get(&key) {
            Some(depth) if wish.channel != Channel::Book || *depth == wish.depth => {}
            _ => return Err("Subscription Not Found".to_owned()),
        }
        at.subscriptions.remove(&key);
        at.heard_ns = desk.now_ns;
        match &mut self.source {
            Source::Live(live) => live.leave(desk, conn, wish),
            Source::Taped(taped) => taped.leave(conn, wish),
        }
        desk.say(conn, words::subscribed("unsubscribe", wish, id, desk.now_ns));
        Ok(())
    }
}
