//! OKX, API version 5: endpoints, constants and the files of the dialect: market data, and order
//! entry for spot.
//!
//! | file | reads or writes |
//! |---|---|
//! | [`market`] | public channels to events |
//! | [`subscribe`] | subscriptions, the text ping, limits |
//! | [`instruments`] | the REST list of instruments to the instrument table |
//! | [`orders`] | logon, order entry, questions over REST |
//! | [`private`] | answers, events and pages of the account to rows |
//! | [`errors`] | what a refusal means |
//!
//! What is particular here (the OKX sheet, chapters 1 to 4): books are chained by `prevSeqId` and
//! `seqId`, whose steps are of any width; a subscription sends the snapshot by itself and again
//! when it is repeated; sides come asks first; texts of numbers have no trailing zeros; the
//! keep-alive is the bare text `ping`, answered `pong`, neither JSON nor a control frame.

use bot4_types::{BookRules, ChecksumRule, SequenceRule, SnapshotSource, SnapshotSums};

pub mod errors;
pub mod instruments;
pub mod market;
mod market_json;
pub mod orders;
pub mod private;
pub mod subscribe;

/// The venue's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Host of the market streams.
    pub stream_host: &'static str,
    /// Port of the market streams.
    pub stream_port: u16,
    /// Host of the REST interface.
    pub rest_host: &'static str,
}

/// The live venue, global.
pub const PRODUCTION: Endpoints =
    Endpoints { stream_host: "ws.okx.com", stream_port: 8443, rest_host: "www.okx.com" };

/// The demo environment. Its REST calls need the header `x-simulated-trading: 1`.
pub const DEMO: Endpoints =
    Endpoints { stream_host: "wspap.okx.com", stream_port: 8443, rest_host: "www.okx.com" };

/// Path of the public channels.
pub const STREAM_PATH: &str = "/ws/v5/public";
/// Path of the connection that takes orders and tells the account's events.
pub const PRIVATE_PATH: &str = "/ws/v5/private";
/// Path and query of the list of instruments; the type follows.
pub const INSTRUMENTS_PATH: &str = "/api/v5/public/instruments?instType=";
/// Connections in five minutes from one address: the venue grants three a second.
pub const CONNECTS_PER_5MIN: u32 = 900;
/// Subscribe, unsubscribe and login messages of one connection in an hour.
pub const CONTROL_MESSAGES_PER_HOUR: u32 = 480;
/// Bytes of the arguments of one subscribe message: the venue takes 64 KiB; the rest is for
/// brackets and names.
pub const ARGS_LEN_MAX: usize = 60 * 1_024;
/// The venue cuts a connection that is silent for 30 s, in seconds; pings go at half of it.
pub const SILENCE_S_MAX: u64 = 30;
/// Levels a side of a book.
pub const BOOK_LEVELS: usize = 400;

/// How OKX's books are kept in step. The checksum is verified where it is not zero, which is to
/// say in recordings made before June 2026.
pub const RULES: BookRules = BookRules {
    sequence: SequenceRule::Prev,
    snapshots: SnapshotSource::Streamed,
    checksum: ChecksumRule::Interleaved25,
    snapshot_sums: SnapshotSums::Each,
    // The venue sends removals for levels that fall out of the 400.
    depth_max: 0,
    snapshot_levels: 0,
};
