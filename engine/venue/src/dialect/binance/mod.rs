//! Binance Spot: stream names in the address or by SUBSCRIBE, one wrapper for combined streams,
//! and the WebSocket API (the only one here that trades).

pub mod api;
mod api_amend;
mod api_query;
mod api_trade;
pub(crate) mod control;
pub mod feed;
mod params;
pub mod streams;

use std::collections::BTreeMap;
use std::io;

use crate::exchange::Exchange;
use crate::recorded::Entry;
use crate::symbol::SymbolSpec;
use crate::venue::{ConnId, Out};

use super::{ConnRules, Desk, Dialect, Paths, Setup, parameter};
use feed::Feed;
use streams::{Listener, Streams};

/// See [`super::DIALECTS`].
pub const ENTRY: super::Named = super::Named {
    name: "binance",
    symbols: SymbolSpec::defaults,
    make,
    paths: Paths { market: "", linear: "", api: "/ws-api/v3", rest: false, secret: false },
};

fn make(setup: &Setup) -> io::Result<Box<dyn Dialect>> {
    Ok(Box::new(Binance::new(setup.exchange)))
}

/// The dialect.
pub struct Binance {
    streams: Streams,
    feeds: Vec<Feed>,
    listeners: BTreeMap<ConnId, Listener>,
}

impl Binance {
    /// Over the exchange's markets.
    #[must_use]
    pub fn new(exchange: &Exchange) -> Self {
        let mut streams = Streams::default();
        let feeds = exchange.markets.iter().map(|m| Feed::new(m, &mut streams)).collect();
        Self { streams, feeds, listeners: BTreeMap::new() }
    }
}

impl Dialect for Binance {
    fn rules(&self) -> ConnRules {
        ConnRules {
            ping_every_ns: Some(20_000_000_000),
            pong_timeout_ns: 60_000_000_000,
            connects: None,
            messages_per_second: Some((5, 1008, "Too many requests")),
        }
    }

    fn open(&mut self, _: &mut Desk, conn: ConnId, path: &str, query: &str) -> Result<(), u16> {
        let micro = is_micro(query)?;
        let combined = path == "/stream";
        let listed = parameter(query, "streams").unwrap_or_default();
        let names = if combined { listed.as_str() } else { raw_names(path)? };
        let names: Vec<&str> = names.split('/').filter(|n| !n.is_empty()).collect();
        if names.len() > control::STREAMS_MAX {
            return Err(400);
        }
        let listener = Listener { conn, combined, micro };
        control::subscribe(&names, listener, &mut self.streams);
        self.listeners.insert(conn, listener);
        Ok(())
    }

    fn close(&mut self, conn: ConnId) {
        self.listeners.remove(&conn);
        self.streams.forget(conn);
    }

    fn hear(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        if let Some(listener) = self.listeners.get_mut(&conn) {
            let answer = control::answer(text, listener, &mut self.streams);
            desk.say(conn, answer);
        }
    }

    /// Sends best quotes and trades; the quote comes first, as it often does in reality.
    fn moved(&mut self, desk: &mut Desk) {
        for (n, feed) in self.feeds.iter_mut().enumerate() {
            feed.tell_top(&desk.exchange.markets[n], &self.streams, desk.out);
        }
        let now_ms = desk.now_ms();
        let Exchange { prints, markets, .. } = &mut *desk.exchange;
        for group in prints.chunk_by(|a, b| a.market == b.market) {
            let n = group[0].market;
            self.feeds[n].tell_trades(group, &mut markets[n], now_ms, &self.streams, desk.out);
        }
    }

    fn border(&mut self, desk: &mut Desk, second: bool) {
        let now_ms = desk.now_ms();
        for (feed, market) in self.feeds.iter_mut().zip(&mut desk.exchange.markets) {
            let changed = market.book.has_changed();
            let strike = changed.then(|| desk.faults.take(&market.spec.name)).flatten();
            let mut told = Vec::new();
            let messages = feed.tell_depth(market, (now_ms, second), &self.streams, &mut told);
            for diff in messages {
                desk.faults.pass_with(&market.spec.name, diff, strike.as_ref(), desk.out);
            }
            desk.out.extend(told);
        }
    }

    fn is_heard(&self) -> bool {
        !self.listeners.is_empty()
    }

    fn play_entry(&mut self, desk: &mut Desk, entry: &Entry) {
        let Some(id) = self.streams.id(&entry.stream) else { return };
        let told = self.streams.texts(id, |_| entry.data.clone());
        match entry.stream.split_once('@') {
            Some((symbol, kind)) if kind.starts_with("depth") => {
                desk.faults.pass(&symbol.to_uppercase(), told, desk.out);
            }
            _ => desk.out.extend(told.into_iter().map(|(conn, text)| (conn, Out::Text(text)))),
        }
    }

    fn notice(&mut self, desk: &mut Desk) {
        let now_ms = desk.now_ms();
        for (&conn, listener) in &self.listeners {
            let time = now_ms * if listener.micro { 1000 } else { 1 };
            let event = format!(r#"{{"e":"serverShutdown","E":{time}}}"#);
            let text = match listener.combined {
                true => format!(r#"{{"stream":"!serverShutdown","data":{event}}}"#),
                false => event,
            };
            desk.say(conn, text);
        }
    }

    fn trades_at(&self) -> Option<&'static str> {
        Some("/ws-api/v3")
    }
}

/// Does the address ask for microseconds?
///
/// # Errors
/// 400 for a unit that does not exist.
pub fn is_micro(query: &str) -> Result<bool, u16> {
    match parameter(query, "timeUnit").as_deref() {
        None | Some("MILLISECOND" | "millisecond") => Ok(false),
        Some("MICROSECOND" | "microsecond") => Ok(true),
        Some(_) => Err(400),
    }
}

/// Stream names of `/ws/a/b`.
pub(crate) fn raw_names(path: &str) -> Result<&str, u16> {
    let names = path.strip_prefix("/ws").ok_or(404_u16)?;
    if names.is_empty() || names.starts_with('/') { Ok(names) } else { Err(404) }
}
