//! Subscriptions and the text ping: what the wire agent needs.
//!
//! Books and trades are subscribed by text after the upgrade; the book's first message is its
//! snapshot, and subscribing again brings another. Source: the Kraken sheet, chapters 1 and 3.

use bot4_types::{Instrument, Nanos};

use super::market::PROXY_RESTARTS;
use super::{BOOK_DEPTH, CONNECTS_PER_5MIN, KEEP_ALIVE_S, STREAM_PATH, SYMBOLS_PER_REQUEST};
use crate::json::write_text;
use crate::session::{ConnectionLimits, KeepAlive, MarketSession};

/// Market data connections of Kraken.
#[derive(Clone, Copy, Debug)]
pub struct KrakenSession {
    depth: usize,
}

impl KrakenSession {
    /// Books of `depth` levels a side, one of [`super::DEPTHS`]. The rules of the books that listen
    /// must cut at the same depth.
    #[must_use]
    pub const fn of(depth: usize) -> Self {
        Self { depth }
    }

    fn subscribe_book(self, instruments: &[Instrument]) -> Vec<u8> {
        let rest = format!(r#","depth":{},"snapshot":true"#, self.depth);
        request("subscribe", "book", instruments, &rest)
    }
}

impl Default for KrakenSession {
    fn default() -> Self {
        Self::of(BOOK_DEPTH)
    }
}

impl MarketSession for KrakenSession {
    fn stream_path(&self, _: &[Instrument]) -> String {
        STREAM_PATH.to_owned()
    }

    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<Vec<u8>>) {
        for some in instruments.chunks(SYMBOLS_PER_REQUEST) {
            out.push(self.subscribe_book(some));
            // Without the last 50 trades of before, which are no news.
            out.push(request("subscribe", "trade", some, r#","snapshot":false"#));
        }
    }

    /// The venue answers requests of a connection in order, so the second one never meets
    /// "already subscribed".
    fn resubscribe(&self, instrument: &Instrument, out: &mut Vec<Vec<u8>>) {
        let one = core::slice::from_ref(instrument);
        // The depth has to be given here too.
        out.push(request("unsubscribe", "book", one, &format!(r#","depth":{}"#, self.depth)));
        out.push(self.subscribe_book(one));
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        let every = Nanos::from_secs(KEEP_ALIVE_S);
        Some(KeepAlive { every, text: br#"{"method":"ping"}"# })
    }

    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            life: Nanos::ZERO,
            connects_per_5min: CONNECTS_PER_5MIN,
            messages_per_s: 0,
            streams_max: 0,
        }
    }

    fn snapshot_path(&self) -> Option<String> {
        None
    }

    fn is_shutdown_notice(&self, text: &[u8]) -> bool {
        text.starts_with(PROXY_RESTARTS)
    }
}

/// A request for `channel` of `instruments`, further parameters in `rest`.
fn request(method: &str, channel: &str, instruments: &[Instrument], rest: &str) -> Vec<u8> {
    let head = format!(r#"{{"method":"{method}","params":{{"channel":"{channel}","symbol":["#);
    let mut text = head.into_bytes();
    for (i, instrument) in instruments.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        write_text(instrument.symbol.as_str(), &mut text);
    }
    text.push(b']');
    text.extend_from_slice(rest.as_bytes());
    text.extend_from_slice(b"}}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Symbol};

    fn bare(id: u16, name: &str) -> Instrument {
        Instrument::bare(InstrumentId(id), Symbol::new(name).expect("short"), 8)
    }

    fn texts(ask: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<String> {
        let mut out = Vec::new();
        ask(&mut out);
        out.into_iter().map(|t| String::from_utf8(t).expect("UTF-8")).collect()
    }

    #[test]
    fn books_with_snapshot_and_trades_without_are_asked_for() {
        let pair = [bare(0, "BTC/USD"), bare(1, "A\"\\\u{1}/B")];
        assert_eq!(
            texts(|out| KrakenSession::default().on_open(&pair, out)),
            [
                r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","A\"\\\u0001/B"],"depth":100,"snapshot":true}}"#,
                r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD","A\"\\\u0001/B"],"snapshot":false}}"#,
            ]
        );
        let many: Vec<Instrument> = (0..250).map(|i| bare(i, &format!("A{i}/USD"))).collect();
        assert_eq!(texts(|out| KrakenSession::default().on_open(&many, out)).len(), 6);
        assert_eq!(texts(|out| KrakenSession::default().on_open(&[], out)).len(), 0);
    }

    #[test]
    fn a_fresh_snapshot_comes_by_subscribing_again() {
        assert_eq!(
            texts(|out| KrakenSession::default().resubscribe(&bare(0, "BTC/USD"), out)),
            [
                r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":100}}"#,
                r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":100,"snapshot":true}}"#,
            ]
        );
        assert_eq!(KrakenSession::default().snapshot_path(), None);
        let deep = texts(|out| KrakenSession::of(1_000).resubscribe(&bare(0, "BTC/USD"), out));
        assert!(deep.iter().all(|text| text.contains(r#""depth":1000"#)), "{deep:?}");
    }

    #[test]
    fn the_proxy_is_heard_before_it_closes() {
        let session = KrakenSession::default();
        assert!(session.is_shutdown_notice(b"CloudFlare WebSocket proxy restarting"));
        assert!(!session.is_shutdown_notice(br#"{"channel":"heartbeat"}"#));
    }
}
