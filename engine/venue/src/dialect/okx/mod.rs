//! OKX v5: one acknowledgement an argument, books chained by `prevSeqId`, `ping` and `pong` as
//! plain text; and order entry and the account for spot ([`account`], [`pages`]).
//!
//! Sources: protocol sheet. The checksum is 0 as it is today; a switch brings the
//! old one back.

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

use super::text::{HEX, tag};
use super::{Ask, ConnRules, Desk, Dialect, Named, Page, Paths, Setup, listed, parameter};
use account::Account;
use live::Live;
use taped::Taped;

/// See [`super::DIALECTS`].
pub const ENTRY: Named = Named {
    name: "okx",
    symbols,
    make,
    paths: Paths { market: "/ws/v5/public", linear: "", api: PRIVATE, rest: true, secret: true },
};

/// Path of the account's connections.
const PRIVATE: &str = "/ws/v5/private";
/// A connection on which nothing was said for this long is cut.
const IDLE_NS: u64 = 30_000_000_000;
/// Subscribe and unsubscribe requests an hour.
const REQUESTS_PER_HOUR: u32 = 480;
/// Bytes of all arguments of a connection.
const ARGS_BYTES_MAX: usize = 64 << 10;

/// The exchange keeps money in 10^-8, so a tick times a lot must not be finer: two lots are coarser
/// than the real ones. The venue knows a smallest quantity and no smallest worth.
fn symbols() -> Vec<SymbolSpec> {
    let sized = |name: &str, base: &str, numbers: [&str; 4], least: &str| {
        let spec = listed(name, (base, "USDT"), numbers);
        let least = crate::decimal::parse(least).unwrap_or(spec.lot);
        let qty_bounds = (least, spec.qty_bounds.1);
        SymbolSpec { qty_bounds, notional_bounds: (0, spec.notional_bounds.1), ..spec }
    };
    vec![
        sized("BTC-USDT", "BTC", ["0.1", "0.0000001", "60000", "0.05"], "0.00001"),
        sized("ETH-USDT", "ETH", ["0.01", "0.000001", "3000", "1"], "0.0001"),
        sized("SOL-USDT", "SOL", ["0.01", "0.000001", "150", "20"], "0.001"),
        sized("XRP-USDT", "XRP", ["0.0001", "0.0001", "0.5", "2000"], "0.1"),
    ]
}

fn make(setup: &Setup) -> io::Result<Box<dyn Dialect>> {
    let source = match setup.tape {
        Some(tape) => Source::Taped(Box::new(Taped::survey(tape)?)),
        None => Source::Live(Box::new(Live::new(setup.exchange, setup.old_checksum))),
    };
    let account = Account::new(setup.keys.clone());
    Ok(Box::new(Okx { conns: BTreeMap::new(), source, account }))
}

enum Source {
    Live(Box<Live>),
    Taped(Box<Taped>),
}

struct Conn {
    id: String,
    is_public: bool,
    active_ns: u64,
    args: BTreeSet<String>,
    requests: crate::limits::Window,
}

/// One argument of a request.
struct Arg<'a> {
    channel: &'a str,
    inst: &'a str,
    /// As sent: it is echoed.
    text: String,
}

impl<'a> Arg<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let channel = value["channel"].as_str()?;
        let inst = value["instId"].as_str().unwrap_or_default();
        Some(Self { channel, inst, text: value.to_string() })
    }

    /// The name of its track.
    fn name(&self) -> String {
        format!("{} {}", self.channel, self.inst)
    }
}

/// The dialect.
struct Okx {
    conns: BTreeMap<ConnId, Conn>,
    source: Source,
    account: Account,
}

impl Dialect for Okx {
    fn rules(&self) -> ConnRules {
        ConnRules {
            ping_every_ns: None,
            pong_timeout_ns: IDLE_NS,
            connects: Some((3, 1_000, 429)),
            messages_per_second: None,
        }
    }

    fn open(&mut self, desk: &mut Desk, conn: ConnId, path: &str, _: &str) -> Result<(), u16> {
        let is_public = match path {
            "/ws/v5/public" => true,
            "/ws/v5/business" | PRIVATE => false,
            _ => return Err(404),
        };
        let fresh = Conn {
            id: tag(desk.rng, 8, HEX),
            is_public,
            active_ns: desk.now_ns,
            args: BTreeSet::new(),
            requests: crate::limits::Window::new(3_600_000),
        };
        if path == PRIVATE {
            self.account.open(conn, fresh.id.clone());
        }
        self.conns.insert(conn, fresh);
        Ok(())
    }

    fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.account.close(conn);
        match &mut self.source {
            Source::Live(live) => live.forget(conn),
            Source::Taped(taped) => taped.forget(conn),
        }
    }

    fn hear(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        at.active_ns = desk.now_ns;
        if text == "ping" {
            return desk.say(conn, "pong");
        }
        if self.account.has(conn) {
            return self.account.hear(desk, conn, text);
        }
        let conn_id = at.id.clone();
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        let id = request["id"].as_str().map(str::to_owned);
        let refuse = |desk: &mut Desk, code: &str, msg: &str| {
            desk.say(conn, words::error(id.as_deref(), code, msg, &conn_id));
        };
        let op = request["op"].as_str().unwrap_or_default();
        match op {
            "subscribe" | "unsubscribe" => {}
            "login" => return refuse(desk, "60009", "Login failed."),
            "order" | "batch-orders" | "cancel-order" | "amend-order" => {
                return refuse(desk, "60011", "Please log in.");
            }
            _ => return refuse(desk, "60012", &format!("Illegal request: {text}")),
        }
        if at.requests.add(1, desk.now_ns / 1_000_000) > REQUESTS_PER_HOUR {
            return refuse(desk, "60014", "Requests too frequent.");
        }
        let Some(list) = request["args"].as_array().filter(|list| !list.is_empty()) else {
            return refuse(desk, "60013", "Invalid args.");
        };
        for value in list {
            match Arg::of(value) {
                None => refuse(desk, "60013", "Invalid args."),
                Some(arg) => match self.judge(desk, conn, &arg, op == "subscribe") {
                    Ok(()) => {
                        self.acknowledge(desk, conn, op, id.as_deref(), &arg);
                    }
                    Err((code, msg)) => refuse(desk, code, &msg),
                },
            }
        }
    }

    fn moved(&mut self, desk: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            let before = desk.out.len();
            live.moved(desk);
            self.note_activity(desk, before);
        }
    }

    fn next_ns(&self) -> u64 {
        let idle = self.conns.values().map(|at| at.active_ns + IDLE_NS).min();
        let live = if let Source::Live(live) = &self.source { live.next_ns() } else { u64::MAX };
        idle.unwrap_or(u64::MAX).min(live).min(self.account.next_ns())
    }

    fn tick(&mut self, desk: &mut Desk) {
        let before = desk.out.len();
        if let Source::Live(live) = &mut self.source {
            live.tick(desk);
        }
        self.account.tick(desk);
        self.note_activity(desk, before);
        for (&conn, at) in &mut self.conns {
            if at.active_ns + IDLE_NS <= desk.now_ns {
                at.active_ns = desk.now_ns;
                desk.close(conn, 4004, "No data received in 30s.");
            }
        }
    }

    fn is_heard(&self) -> bool {
        match &self.source {
            Source::Live(_) => false,
            Source::Taped(taped) => taped.is_heard(),
        }
    }

    fn play(&mut self, desk: &mut Desk, line: &Line) {
        if let Source::Taped(taped) = &mut self.source {
            let before = desk.out.len();
            taped.play(desk, line);
            self.note_activity(desk, before);
        }
    }

    fn page(&mut self, desk: &mut Desk, path: &str, query: &str) -> Option<Page> {
        match path {
            "/api/v5/public/time" => Some(Page::ok(words::time(desk.now_ms()))),
            "/api/v5/public/instruments" => {
                let kind = parameter(query, "instType").unwrap_or_default();
                if !matches!(kind.as_str(), "SPOT" | "SWAP" | "FUTURES" | "MARGIN" | "OPTION") {
                    let body = r#"{"code":"51000","data":[],"msg":"Parameter instType error"}"#;
                    return Some(Page { status: 400, body: body.to_owned() });
                }
                let mut list = match &self.source {
                    Source::Live(_) => words::instruments(desk.exchange),
                    Source::Taped(taped) => taped.instruments(),
                };
                list.retain(|at| at.kind() == kind);
                if let Some(wanted) = parameter(query, "instId") {
                    list.retain(|at| at.id == wanted);
                    if list.is_empty() {
                        let msg = "Instrument ID, Instrument ID code, or Spread ID doesn't exist.";
                        let body = format!(r#"{{"code":"51001","data":[],"msg":"{msg}"}}"#);
                        return Some(Page::ok(body));
                    }
                }
                Some(Page::ok(words::instruments_page(&list)))
            }
            "/api/v5/market/books" => {
                let inst = parameter(query, "instId")?;
                let depth = parameter(query, "sz").and_then(|sz| sz.parse().ok()).unwrap_or(1);
                let Source::Live(_) = &self.source else { return None };
                let n = desk.exchange.market(&inst)?;
                let market = &desk.exchange.markets[n];
                Some(Page::ok(live::rest_book(market, depth, desk.now_ns / 1_000_000)))
            }
            _ => None,
        }
    }

    fn ask(&mut self, desk: &mut Desk, ask: &Ask<'_>) -> Option<Page> {
        match self.account.page(desk, ask) {
            Some(page) => Some(page),
            None if ask.method == "GET" => self.page(desk, ask.path, ask.query),
            None => None,
        }
    }

    fn is_private(&self, path: &str) -> bool {
        path == PRIVATE
    }

    fn told(&mut self, desk: &mut Desk, event: &Private, times: usize) {
        let before = desk.out.len();
        self.account.told(desk, event, times);
        self.note_activity(desk, before);
    }

    fn failed(&self, answer: &str) -> String {
        account_words::failed(answer)
    }

    fn notice(&mut self, desk: &mut Desk) {
        for (&conn, at) in &self.conns {
            desk.say(conn, words::notice(&at.id));
        }
    }

    fn restart_feed(&mut self, _: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            live.reset_sequence();
        }
    }
}

impl Okx {
    /// What was sent keeps a connection alive as well.
    fn note_activity(&mut self, desk: &Desk, before: usize) {
        for (conn, _) in desk.out.iter().skip(before) {
            if let Some(at) = self.conns.get_mut(conn) {
                at.active_ns = desk.now_ns;
            }
        }
    }

    fn judge(
        &self,
        desk: &Desk,
        conn: ConnId,
        arg: &Arg,
        on: bool,
    ) -> Result<(), (&'static str, String)> {
        let Some(at) = self.conns.get(&conn) else { return Ok(()) };
        let known = match &self.source {
            Source::Live(_) => live::is_known(desk.exchange, arg.channel, arg.inst),
            Source::Taped(taped) => taped.is_known(arg.channel, arg.inst),
        };
        if !at.is_public || !known {
            let (channel, inst) = (arg.channel, arg.inst);
            let msg = format!(
                "Wrong URL or channel:{channel},instId:{inst} doesn't exist. Please use the \
                 correct URL, channel and parameters referring to API document."
            );
            return Err(("60018", msg));
        }
        let live = matches!(self.source, Source::Live(_));
        if live && matches!(arg.channel, "books-l2-tbt" | "books50-l2-tbt") {
            return Err(("60011", "Please log in.".to_owned()));
        }
        let held: usize = at.args.iter().map(String::len).sum();
        if on && held + arg.text.len() > ARGS_BYTES_MAX {
            return Err(("60013", "Invalid args: more than 64 KB on one connection.".to_owned()));
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        desk: &mut Desk,
        conn: ConnId,
        op: &str,
        id: Option<&str>,
        arg: &Arg,
    ) {
        let Some(at) = self.conns.get_mut(&conn) else { return };
        desk.say(conn, words::acknowledgement(op, id, &arg.text, &at.id));
        let on = op == "subscribe";
        if on {
            at.args.insert(arg.text.clone());
        } else {
            at.args.remove(&arg.text);
        }
        match &mut self.source {
            Source::Live(live) if on => live.join(desk, conn, arg.channel, arg.inst),
            Source::Live(live) => live.leave(desk.exchange, conn, arg.channel, arg.inst),
            Source::Taped(taped) if on => taped.join(desk, conn, &arg.name()),
            Source::Taped(taped) => taped.leave(conn, &arg.name()),
        }
    }
}
