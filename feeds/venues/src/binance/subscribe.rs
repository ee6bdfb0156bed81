//! Stream names, control messages and snapshot requests: what the wire agent needs.
//!
//! The path names the streams, so nothing is sent when the connection is open and the limit of
//! five messages a second is never near. Source: the Binance sheet, chapters 1 to 3.

use bot4_types::{Instrument, Nanos};

use super::{
    API_PATH, CONNECTION_LIFE_S, CONNECTS_PER_5MIN, SNAPSHOT_LEVELS, SNAPSHOT_WEIGHT,
    STREAM_MESSAGES_PER_SECOND_MAX, STREAM_PATH, STREAMS_MAX, WEIGHT_PER_MINUTE, orders,
};
use crate::session::{ConnectionLimits, MarketSession};
use crate::url::percent_encoded;

/// The streams of one instrument: book changes each 100 ms, best quotes and trades at once.
pub const STREAMS: [&str; 3] = ["@depth@100ms", "@bookTicker", "@trade"];

/// What differs between the sessions of the venue's markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Path of the combined streams.
    pub stream_path: &'static str,
    /// Path of the WebSocket API, which gives the snapshots.
    pub api_path: &'static str,
    /// Messages a second from client to stream host.
    pub messages_per_s: u32,
    /// Levels a side of a snapshot.
    pub snapshot_levels: u16,
    /// What a snapshot costs.
    pub snapshot_weight: u32,
    /// Request weight per minute and address.
    pub weight_per_min: u32,
}

/// Binance Spot.
pub const SPOT: Shape = Shape {
    stream_path: STREAM_PATH,
    api_path: API_PATH,
    messages_per_s: STREAM_MESSAGES_PER_SECOND_MAX,
    snapshot_levels: SNAPSHOT_LEVELS,
    snapshot_weight: SNAPSHOT_WEIGHT,
    weight_per_min: WEIGHT_PER_MINUTE,
};

/// Market data connections of Binance.
#[derive(Clone, Copy, Debug)]
pub struct BinanceSession {
    shape: Shape,
    weight_per_min: u32,
}

impl BinanceSession {
    /// A session of Spot that may spend `weight_per_min` request weight on snapshots; zero takes
    /// the venue's whole limit.
    #[must_use]
    pub const fn new(weight_per_min: u32) -> Self {
        Self::of(SPOT, weight_per_min)
    }

    /// The same for the market `shape`.
    #[must_use]
    pub const fn of(shape: Shape, weight_per_min: u32) -> Self {
        let all = weight_per_min == 0 || weight_per_min > shape.weight_per_min;
        Self { shape, weight_per_min: if all { shape.weight_per_min } else { weight_per_min } }
    }
}

/// Shortest and longest pause that is believed, ms: the longest ban is three days.
const PAUSE_MS_MIN: u64 = 1_000;
const PAUSE_MS_MAX: u64 = 3 * 86_400_000;

impl MarketSession for BinanceSession {
    fn stream_path(&self, instruments: &[Instrument]) -> String {
        let mut path = format!("{}?streams=", self.shape.stream_path);
        let mut first = true;
        for instrument in instruments {
            let name = instrument.symbol.as_str().to_lowercase();
            for stream in STREAMS {
                if !first {
                    path.push('/');
                }
                first = false;
                percent_encoded(&name, &mut path);
                path.push_str(stream);
            }
        }
        path
    }

    fn on_open(&self, _: &[Instrument], _: &mut Vec<Vec<u8>>) {}

    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            life: Nanos::from_secs(CONNECTION_LIFE_S),
            connects_per_5min: CONNECTS_PER_5MIN,
            messages_per_s: self.shape.messages_per_s,
            streams_max: STREAMS_MAX as u32,
        }
    }

    fn snapshot_path(&self) -> Option<String> {
        Some(format!("{}?returnRateLimits=false", self.shape.api_path))
    }

    fn snapshot_request(&self, instrument: &Instrument, out: &mut Vec<u8>) {
        let id = u64::from(instrument.id.0);
        orders::depth(id, instrument.symbol.as_str(), self.shape.snapshot_levels, out);
    }

    fn snapshot_weight(&self) -> u32 {
        self.shape.snapshot_weight
    }

    fn weight_limit_per_min(&self) -> u32 {
        self.weight_per_min
    }

    /// The venue tells both by its own clock.
    fn pause_told(&self, answer: &[u8]) -> Option<u64> {
        let until = number_behind(answer, b"\"retryAfter\":")?;
        let now = number_behind(answer, b"\"serverTime\":").unwrap_or(until);
        Some(until.saturating_sub(now).clamp(PAUSE_MS_MIN, PAUSE_MS_MAX))
    }

    fn is_shutdown_notice(&self, text: &[u8]) -> bool {
        const SHAPES: [&[u8]; 3] = [
            br#"{"stream":"!serverShutdown""#,
            br#"{"e":"serverShutdown""#,
            br#"{"event":{"e":"serverShutdown""#,
        ];
        SHAPES.iter().any(|shape| text.starts_with(shape))
    }
}

/// The digits behind `key` in `text`.
fn number_behind(text: &[u8], key: &[u8]) -> Option<u64> {
    let at = text.windows(key.len()).position(|part| part == key)? + key.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let grown = |sum: u64, byte: &u8| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    Some(digits.fold(0, grown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_the_rate_tells_its_pause() {
        let session = BinanceSession::new(0);
        let told = |until: &str| {
            let text = format!(
                r#"{{"id":1,"status":429,"error":{{"code":-1003,"msg":"Too much request weight used; current limit is 1200","data":{{"serverTime":1700000026918,"retryAfter":{until}}}}}}}"#
            );
            session.pause_told(text.as_bytes())
        };
        assert_eq!(told("1700000040000"), Some(13_082));
        assert_eq!(told("1600000000000"), Some(PAUSE_MS_MIN), "a clock that steps");
        assert_eq!(told("99999999999999999999999"), Some(PAUSE_MS_MAX));
        let other = r#"{"id":1,"status":400,"error":{"code":-1121,"msg":"Invalid symbol."}}"#;
        assert_eq!(session.pause_told(other.as_bytes()), None);
    }
    use bot4_types::{InstrumentId, Symbol};

    fn bare(id: u16, name: &str) -> Instrument {
        Instrument::bare(InstrumentId(id), Symbol::new(name).expect("short"), 8)
    }

    #[test]
    fn streams_are_named_in_lower_case_and_encoded() {
        let session = BinanceSession::new(0);
        assert_eq!(
            session.stream_path(&[bare(0, "BTCUSDT"), bare(1, "É1")]),
            "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade/\
             %C3%A91@depth@100ms/%C3%A91@bookTicker/%C3%A91@trade"
        );
        let mut out = Vec::new();
        session.on_open(&[bare(0, "BTCUSDT")], &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn snapshots_are_asked_for_by_instrument_number() {
        let mut out = Vec::new();
        BinanceSession::new(0).snapshot_request(&bare(7, "ETHUSDT"), &mut out);
        let expected = br#"{"id":7,"method":"depth","params":{"limit":1000,"symbol":"ETHUSDT"}}"#;
        assert_eq!(out, expected);
    }

    #[test]
    fn weight_shares_are_capped_by_the_venue() {
        assert_eq!(BinanceSession::new(0).weight_limit_per_min(), 6_000);
        assert_eq!(BinanceSession::new(500).weight_limit_per_min(), 500);
        assert_eq!(BinanceSession::new(90_000).weight_limit_per_min(), 6_000);
    }

    #[test]
    fn every_shape_of_the_shutdown_notice_is_known() {
        let session = BinanceSession::new(0);
        for text in [
            r#"{"e":"serverShutdown","E":1770123456789}"#,
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#,
            r#"{"event":{"e":"serverShutdown","E":1}}"#,
        ] {
            assert!(session.is_shutdown_notice(text.as_bytes()), "{text}");
        }
        assert!(!session.is_shutdown_notice(br#"{"stream":"btcusdt@trade","data":{}}"#));
    }
}
