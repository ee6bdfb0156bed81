//! Subscriptions and limits: what the wire agent needs.
//!
//! One channel per message, the first within five seconds of connecting. `heartbeats` keeps the
//! quiet channels open. Source: the Coinbase sheet, chapters A.1 and A.2.

use bot4_types::{Instrument, Nanos};

use super::{CONNECTS_PER_5MIN, MESSAGES_PER_S, STREAM_PATH};
use crate::json::write_text;
use crate::session::{ConnectionLimits, MarketSession};

/// The channels of every instrument, beside the heartbeats of the connection.
pub const CHANNELS: [&str; 2] = ["level2", "market_trades"];

/// Market data connections of Coinbase.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoinbaseSession;

impl MarketSession for CoinbaseSession {
    fn stream_path(&self, _: &[Instrument]) -> String {
        STREAM_PATH.to_owned()
    }

    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<Vec<u8>>) {
        out.push(message("subscribe", "heartbeats", &[]));
        if !instruments.is_empty() {
            out.extend(CHANNELS.map(|channel| message("subscribe", channel, instruments)));
        }
    }

    fn resubscribe(&self, instrument: &Instrument, out: &mut Vec<Vec<u8>>) {
        let only = core::slice::from_ref(instrument);
        out.extend(["unsubscribe", "subscribe"].map(|kind| message(kind, CHANNELS[0], only)));
    }

    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            life: Nanos::ZERO,
            connects_per_5min: CONNECTS_PER_5MIN,
            messages_per_s: MESSAGES_PER_S,
            // None is published.
            streams_max: 0,
        }
    }

    fn snapshot_path(&self) -> Option<String> {
        None
    }

    /// The venue does not announce its restarts.
    fn is_shutdown_notice(&self, _: &[u8]) -> bool {
        false
    }
}

fn message(kind: &str, channel: &str, instruments: &[Instrument]) -> Vec<u8> {
    let mut text = format!("{{\"type\":\"{kind}\",\"channel\":\"{channel}\"").into_bytes();
    for (i, instrument) in instruments.iter().enumerate() {
        text.extend_from_slice(if i == 0 { b",\"product_ids\":[" } else { b"," });
        write_text(instrument.symbol.as_str(), &mut text);
    }
    text.extend_from_slice(if instruments.is_empty() { b"}" } else { b"]}" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Symbol};

    fn bare(name: &str) -> Instrument {
        Instrument::bare(InstrumentId(0), Symbol::new(name).expect("short"), 8)
    }

    fn texts(out: &[Vec<u8>]) -> Vec<&str> {
        out.iter().map(|t| core::str::from_utf8(t).expect("text")).collect()
    }

    #[test]
    fn one_channel_goes_per_message_heartbeats_first() {
        let mut out = Vec::new();
        CoinbaseSession.on_open(&[bare("BTC-USD"), bare("ETH-USD")], &mut out);
        assert_eq!(
            texts(&out),
            [
                r#"{"type":"subscribe","channel":"heartbeats"}"#,
                r#"{"type":"subscribe","channel":"level2","product_ids":["BTC-USD","ETH-USD"]}"#,
                r#"{"type":"subscribe","channel":"market_trades","product_ids":["BTC-USD","ETH-USD"]}"#,
            ]
        );
    }

    #[test]
    fn a_book_is_left_and_taken_again() {
        let mut out = Vec::new();
        CoinbaseSession.resubscribe(&bare("BTC-USD"), &mut out);
        assert_eq!(
            texts(&out),
            [
                r#"{"type":"unsubscribe","channel":"level2","product_ids":["BTC-USD"]}"#,
                r#"{"type":"subscribe","channel":"level2","product_ids":["BTC-USD"]}"#,
            ]
        );
    }
}
