//! Subscriptions and the text ping: what the wire agent needs.
//!
//! Topics are asked for in portions that spot takes, for each category on its own path. The first
//! message of a book is its snapshot; to get another the topic is left and taken again. Source:
//! the Bybit sheet, chapters 1 to 3.

use bot4_types::{Instrument, Nanos};

use super::{
    BOOK_DEPTH, CONNECTS_PER_5MIN, Category, KEEP_ALIVE_S, TOPICS_LEN_MAX, TOPICS_PER_REQUEST,
};
use crate::json::write_text;
use crate::session::{ConnectionLimits, KeepAlive, MarketSession};

/// Market data connections of Bybit for one category.
#[derive(Clone, Copy, Debug)]
pub struct BybitSession {
    category: Category,
}

impl BybitSession {
    /// Connections to the public stream of `category`.
    #[must_use]
    pub const fn new(category: Category) -> Self {
        Self { category }
    }
}

impl MarketSession for BybitSession {
    fn stream_path(&self, _: &[Instrument]) -> String {
        self.category.stream_path().to_owned()
    }

    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<Vec<u8>>) {
        let topics: Vec<String> =
            instruments.iter().flat_map(|i| [book_topic(i), trade_topic(i)]).collect();
        // A venue that refuses the last portion says so; the books of it stay stale.
        debug_assert!(topics.iter().map(String::len).sum::<usize>() < 2 * TOPICS_LEN_MAX);
        out.extend(topics.chunks(TOPICS_PER_REQUEST).map(|some| request("subscribe", some)));
    }

    fn resubscribe(&self, instrument: &Instrument, out: &mut Vec<Vec<u8>>) {
        let book = [book_topic(instrument)];
        out.push(request("unsubscribe", &book));
        out.push(request("subscribe", &book));
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        let every = Nanos::from_secs(KEEP_ALIVE_S);
        Some(KeepAlive { every, text: br#"{"op":"ping"}"# })
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

    /// Public connections are closed without a word.
    fn is_shutdown_notice(&self, _: &[u8]) -> bool {
        false
    }
}

fn book_topic(instrument: &Instrument) -> String {
    format!("orderbook.{BOOK_DEPTH}.{}", instrument.symbol)
}

fn trade_topic(instrument: &Instrument) -> String {
    format!("publicTrade.{}", instrument.symbol)
}

fn request(op: &str, topics: &[String]) -> Vec<u8> {
    let mut text = format!(r#"{{"op":"{op}","args":["#).into_bytes();
    for (i, topic) in topics.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        write_text(topic, &mut text);
    }
    text.extend_from_slice(b"]}");
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
    fn topics_come_in_portions_that_spot_takes() {
        let spot = BybitSession::new(Category::Spot);
        assert_eq!(
            texts(|out| spot.on_open(&[bare(0, "BTCUSDT"), bare(1, "ETHUSDT")], out)),
            [
                r#"{"op":"subscribe","args":["orderbook.200.BTCUSDT","publicTrade.BTCUSDT","orderbook.200.ETHUSDT","publicTrade.ETHUSDT"]}"#
            ]
        );
        let many: Vec<Instrument> = (0..13).map(|i| bare(i, &format!("A{i}USDT"))).collect();
        let requests = texts(|out| spot.on_open(&many, out));
        let sizes: Vec<usize> = requests.iter().map(|r| r.matches("USDT\"").count()).collect();
        assert_eq!(sizes, [10, 10, 6]);
        assert!(texts(|out| spot.on_open(&[], out)).is_empty());
    }

    #[test]
    fn categories_differ_by_their_path() {
        let path = |category| BybitSession::new(category).stream_path(&[]);
        assert_eq!(path(Category::Spot), "/v5/public/spot");
        assert_eq!(path(Category::Linear), "/v5/public/linear");
    }

    #[test]
    fn a_fresh_snapshot_comes_by_subscribing_again() {
        let session = BybitSession::new(Category::Linear);
        assert_eq!(
            texts(|out| session.resubscribe(&bare(0, "BTCUSDT"), out)),
            [
                r#"{"op":"unsubscribe","args":["orderbook.200.BTCUSDT"]}"#,
                r#"{"op":"subscribe","args":["orderbook.200.BTCUSDT"]}"#,
            ]
        );
        assert_eq!(session.snapshot_path(), None);
    }
}
