//! Binance USD-M futures, public data: the streams of Binance with `pu`, numbers with the
//! contract's digits, snapshots by plain request or by `depth` on the WebSocket API.
//!
//! Sources: protocol sheet of Binance (chapter 3, last point), the recording of August 2024, and
//! the shapes of the public futures documentation.

mod live;
mod taped;
mod words;

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::symbol::SymbolSpec;
use crate::tape::Line;
use crate::venue::ConnId;

use super::binance::streams::{Listener, Streams};
use super::binance::{control, raw_names};
use super::{ConnRules, Desk, Dialect, Named, Page, Paths, Setup, listed, parameter};
use live::Live;
use taped::Taped;

/// See [`super::DIALECTS`].
pub const ENTRY: Named = Named {
    name: "binance-usdm",
    symbols,
    make,
    paths: Paths { market: "", linear: "", api: "/ws-fapi/v1", rest: true, secret: false },
};

/// Streams a connection may have.
const STREAMS_MAX: usize = 1024;
/// Depths that a snapshot may have.
const LIMITS: [usize; 7] = [5, 10, 20, 50, 100, 500, 1000];

fn symbols() -> Vec<SymbolSpec> {
    let usdt = |base: &'static str| (base, "USDT");
    vec![
        listed("BTCUSDT", usdt("BTC"), ["0.10", "0.001", "60000", "0.5"]),
        listed("ETHUSDT", usdt("ETH"), ["0.01", "0.001", "3000", "10"]),
        listed("SOLUSDT", usdt("SOL"), ["0.01", "0.01", "150", "200"]),
        listed("XRPUSDT", usdt("XRP"), ["0.0001", "0.1", "0.5", "20000"]),
    ]
}

fn make(setup: &Setup) -> io::Result<Box<dyn Dialect>> {
    let mut streams = Streams::default();
    let source = match setup.tape {
        Some(tape) => Source::Taped(Box::new(Taped::survey(tape)?)),
        None => Source::Live(Box::new(Live::new(setup.exchange, &mut streams))),
    };
    Ok(Box::new(Usdm { streams, conns: BTreeMap::new(), source }))
}

enum Source {
    Live(Box<Live>),
    Taped(Box<Taped>),
}

enum Role {
    Market(Listener),
    Api,
}

/// The dialect.
struct Usdm {
    streams: Streams,
    conns: BTreeMap<ConnId, Role>,
    source: Source,
}

impl Dialect for Usdm {
    fn rules(&self) -> ConnRules {
        ConnRules {
            ping_every_ns: Some(180_000_000_000),
            pong_timeout_ns: 600_000_000_000,
            connects: Some((300, 300_000, 429)),
            messages_per_second: Some((10, 1008, "Too many requests")),
        }
    }

    fn open(&mut self, _: &mut Desk, conn: ConnId, path: &str, query: &str) -> Result<(), u16> {
        if path == "/ws-fapi/v1" {
            self.conns.insert(conn, Role::Api);
            return Ok(());
        }
        // The streams of books and trades also live below `/public`.
        let path = path.strip_prefix("/public").unwrap_or(path);
        let combined = path == "/stream";
        let listed = parameter(query, "streams").unwrap_or_default();
        let names = if combined { listed.as_str() } else { raw_names(path)? };
        let names: Vec<&str> = names.split('/').filter(|n| !n.is_empty()).collect();
        if names.len() > STREAMS_MAX {
            return Err(400);
        }
        let listener = Listener { conn, combined, micro: false };
        control::subscribe(&names, listener, &mut self.streams);
        self.conns.insert(conn, Role::Market(listener));
        Ok(())
    }

    fn close(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.streams.forget(conn);
    }

    fn hear(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        let answer = match self.conns.get_mut(&conn) {
            None => return,
            Some(Role::Market(listener)) => control::answer(text, listener, &mut self.streams),
            Some(Role::Api) => self.request(desk, text),
        };
        desk.say(conn, answer);
    }

    fn moved(&mut self, desk: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            live.moved(desk, &self.streams);
        }
    }

    fn next_ns(&self) -> u64 {
        if let Source::Live(live) = &self.source { live.next_ns() } else { u64::MAX }
    }

    fn tick(&mut self, desk: &mut Desk) {
        if let Source::Live(live) = &mut self.source {
            live.tick(desk, &self.streams);
        }
    }

    fn is_heard(&self) -> bool {
        self.conns.values().any(|role| matches!(role, Role::Market(_)))
    }

    fn play(&mut self, desk: &mut Desk, line: &Line) {
        if let Source::Taped(taped) = &mut self.source {
            taped.play(desk, line, &self.streams);
        }
    }

    fn page(&mut self, desk: &mut Desk, path: &str, query: &str) -> Option<Page> {
        let now_ms = desk.now_ms();
        match path {
            "/fapi/v1/ping" => Some(Page::ok("{}".to_owned())),
            "/fapi/v1/time" => Some(Page::ok(format!(r#"{{"serverTime":{now_ms}}}"#))),
            "/fapi/v1/exchangeInfo" => {
                let contracts = match &self.source {
                    Source::Live(_) => words::contracts(desk.exchange),
                    Source::Taped(taped) => taped.contracts(),
                };
                Some(Page::ok(words::exchange_info(&contracts, now_ms)))
            }
            "/fapi/v1/depth" => {
                let symbol = parameter(query, "symbol").unwrap_or_default();
                let limit = parameter(query, "limit").unwrap_or_else(|| "500".to_owned());
                Some(match self.depth(desk, &symbol, &limit) {
                    Ok(body) => Page::ok(body),
                    Err((code, msg)) => {
                        Page { status: 400, body: format!(r#"{{"code":{code},"msg":"{msg}"}}"#) }
                    }
                })
            }
            _ => None,
        }
    }

    fn notice(&mut self, desk: &mut Desk) {
        let now_ms = desk.now_ms();
        let event = format!(r#"{{"e":"serverShutdown","E":{now_ms}}}"#);
        for (&conn, role) in &self.conns {
            let text = match role {
                Role::Market(listener) if listener.combined => {
                    format!(r#"{{"stream":"!serverShutdown","data":{event}}}"#)
                }
                Role::Market(_) => event.clone(),
                Role::Api => format!(r#"{{"event":{event}}}"#),
            };
            desk.say(conn, text);
        }
    }
}

impl Usdm {
    /// The snapshot of a book.
    fn depth(&self, desk: &Desk, symbol: &str, limit: &str) -> Result<String, (i32, &'static str)> {
        if symbol.is_empty() {
            return Err((
                -1102,
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            ));
        }
        let limit = limit.parse().ok().filter(|limit| LIMITS.contains(limit));
        let limit: usize = limit.ok_or((-4021, "Invalid depth limit."))?;
        let text = match &self.source {
            Source::Live(live) => live.snapshot(desk.exchange, symbol, limit, desk.now_ms()),
            Source::Taped(taped) => taped.snapshot(symbol, limit, desk.now_ms()),
        };
        text.ok_or((-1121, "Invalid symbol."))
    }

    /// A request on the WebSocket API.
    fn request(&self, desk: &Desk, text: &str) -> String {
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        let id = request.get("id").cloned().unwrap_or_default();
        let params = &request["params"];
        let outcome = match request["method"].as_str() {
            Some("depth") => {
                let limit = match &params["limit"] {
                    Value::Null => "500".to_owned(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                self.depth(desk, params["symbol"].as_str().unwrap_or_default(), &limit)
            }
            Some("ping") => Ok("{}".to_owned()),
            Some("time") => Ok(format!(r#"{{"serverTime":{}}}"#, desk.now_ms())),
            _ => Err((-1000, "Invalid method.")),
        };
        words::api_answer(&id, outcome)
    }
}
