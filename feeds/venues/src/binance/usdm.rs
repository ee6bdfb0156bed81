//! Binance USD-M futures, market data: what differs from Spot, as data.
//!
//! * Book changes name their predecessor (`pu`); the first one after a snapshot must cover its
//!   id, and `U` is not contiguous.
//! * Best quotes have an event type and times; trades say whether they were in the book (`X`).
//! * Numbers are printed with the instrument's own precision.
//! * Streams of books, best quotes and trades live under `/public`, merged trades and statistics
//!   under `/market`: the session takes single trades, so one connection has all it needs. On the
//!   old path without either, streams of `/market` are accepted and stay silent since April 2026.
//!
//! Sources: the Binance sheet, chapter 3; the venue's documentation of the USD-M streams, of the
//! split of their addresses (March 2026) and of `depth` in the WebSocket API.

use bot4_types::{BookRules, ChecksumRule, SequenceRule, SnapshotSource, SnapshotSums};

use super::Endpoints;
use super::market::Flavour;
use super::subscribe::Shape;

/// The live venue.
pub const PRODUCTION: Endpoints = Endpoints {
    stream_host: "fstream.binance.com",
    stream_port: 443,
    api_host: "ws-fapi.binance.com",
    api_port: 443,
};

/// The public test network.
pub const TESTNET: Endpoints = Endpoints {
    stream_host: "fstream.binancefuture.com",
    stream_port: 443,
    api_host: "testnet.binancefuture.com",
    api_port: 443,
};

/// Host of the live REST interface.
pub const REST_HOST: &str = "fapi.binance.com";
/// Path of the list of instruments.
pub const EXCHANGE_INFO_PATH: &str = "/fapi/v1/exchangeInfo";
/// Levels a side of a snapshot request: the venue's maximum.
pub const SNAPSHOT_LEVELS: u16 = 1_000;

/// How its messages are read.
pub const FLAVOUR: Flavour = Flavour {
    names_previous: true,
    takes_agg_trades: true,
    // `["1.0","1"],`
    level_len_usual: 12,
};

/// How its connections are held.
pub const SESSION: Shape = Shape {
    stream_path: "/public/stream",
    api_path: "/ws-fapi/v1",
    messages_per_s: 10,
    snapshot_levels: SNAPSHOT_LEVELS,
    snapshot_weight: 20,
    weight_per_min: 2_400,
};

/// How its books are kept in step.
pub const RULES: BookRules = BookRules {
    sequence: SequenceRule::FirstThenPrev,
    snapshots: SnapshotSource::Requested,
    checksum: ChecksumRule::None,
    snapshot_sums: SnapshotSums::Each,
    depth_max: 0,
    snapshot_levels: SNAPSHOT_LEVELS as usize,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binance::subscribe::BinanceSession;
    use crate::session::MarketSession;
    use bot4_types::{Instrument, InstrumentId, Symbol};

    #[test]
    fn one_public_connection_has_books_quotes_and_single_trades() {
        let session = BinanceSession::of(SESSION, 0);
        let symbol = Symbol::new("BTCUSDT").expect("short");
        let instrument = Instrument::bare(InstrumentId(3), symbol, 8);
        assert_eq!(
            session.stream_path(&[instrument]),
            "/public/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade"
        );
        assert_eq!(session.snapshot_path().as_deref(), Some("/ws-fapi/v1?returnRateLimits=false"));
        let mut out = Vec::new();
        session.snapshot_request(&instrument, &mut out);
        let expected = br#"{"id":3,"method":"depth","params":{"limit":1000,"symbol":"BTCUSDT"}}"#;
        assert_eq!(out, expected);
        assert_eq!((session.snapshot_weight(), session.weight_limit_per_min()), (20, 2_400));
    }
}
