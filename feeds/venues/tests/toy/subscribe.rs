//! What the wire agent says: one text subscribes everything of an instrument.

use bot4_types::{Instrument, Nanos};
use bot4_venues::json::write_text;
use bot4_venues::{ConnectionLimits, KeepAlive, MarketSession};

use super::{CONNECTS_PER_5MIN, STREAM_PATH, STREAMS_MAX};

/// Market data connections of the toy venue.
pub struct ToySession;

fn request(word: &str, instrument: &Instrument) -> Vec<u8> {
    let mut text = format!("{{\"t\":\"{word}\",\"s\":").into_bytes();
    write_text(instrument.symbol.as_str(), &mut text);
    text.push(b'}');
    text
}

impl MarketSession for ToySession {
    fn stream_path(&self, _: &[Instrument]) -> String {
        STREAM_PATH.to_owned()
    }

    fn on_open(&self, instruments: &[Instrument], out: &mut Vec<Vec<u8>>) {
        out.extend(instruments.iter().map(|instrument| request("join", instrument)));
    }

    fn resubscribe(&self, instrument: &Instrument, out: &mut Vec<Vec<u8>>) {
        out.extend(["leave", "join"].map(|word| request(word, instrument)));
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive { every: Nanos::from_secs(20), text: b"{\"t\":\"ping\"}" })
    }

    fn limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            life: Nanos::ZERO,
            connects_per_5min: CONNECTS_PER_5MIN,
            messages_per_s: 5,
            streams_max: STREAMS_MAX,
        }
    }

    fn snapshot_path(&self) -> Option<String> {
        None
    }

    fn is_shutdown_notice(&self, text: &[u8]) -> bool {
        text.starts_with(b"{\"t\":\"bye\"")
    }
}
