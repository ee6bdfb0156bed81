//! Coinbase Advanced Trade: endpoints, constants and the files of the dialect: market data, and
//! order entry for spot.
//!
//! | file | reads or writes |
//! |---|---|
//! | [`market`] | public channels to events |
//! | [`sequence`] | the numbering of a connection's messages |
//! | [`subscribe`] | subscriptions and limits |
//! | [`instruments`] | the REST list of products to the instrument table |
//! | [`token`] | keys, and the tokens that requests carry |
//! | [`orders`] | order entry and questions over REST, the account's channel |
//! | [`private`] | the account's channel, answers and pages to rows |
//! | [`errors`] | what a refusal means |
//!
//! What is particular here (the Coinbase sheet, part A): books have neither numbers nor
//! checksums; the connection counts **all** its messages, and a hole there means that any of its
//! books may have lost an update. Snapshots are whole books in one frame of megabytes. The ask
//! side is called `offer`, and a trade's side is the maker's. Orders go by REST, one request each;
//! the account's channel tells states and cumulative quantities but no fills, which are asked for.
//! The venue names orders by UUIDs and takes no other name for cancels; an order has no deadline,
//! but a client id is used once, so that repeating it shows what became of the first.

use bot4_types::{BookRules, ChecksumRule, SequenceRule, SnapshotSource, SnapshotSums};

pub mod errors;
pub mod instruments;
pub mod market;
mod market_json;
pub mod orders;
pub mod private;
pub mod sequence;
pub mod subscribe;
pub mod token;

/// The venue's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Host of the market streams.
    pub stream_host: &'static str,
    /// Port of the market streams.
    pub stream_port: u16,
    /// Host of the account's channel.
    pub user_host: &'static str,
    /// Host of the REST interface.
    pub rest_host: &'static str,
}

/// The live venue. There is no test network for these streams.
pub const PRODUCTION: Endpoints = Endpoints {
    stream_host: "advanced-trade-ws.coinbase.com",
    stream_port: 443,
    user_host: "advanced-trade-ws-user.coinbase.com",
    rest_host: "api.coinbase.com",
};

/// Path of the market streams.
pub const STREAM_PATH: &str = "/";
/// Path of the public list of products.
pub const PRODUCTS_PATH: &str = "/api/v3/brokerage/market/products";
/// Connections in five minutes from one address, by the lower of the two published limits (eight
/// a second).
pub const CONNECTS_PER_5MIN: u32 = 2_400;
/// Messages a second from an unauthenticated client.
pub const MESSAGES_PER_S: u32 = 8;

/// Requests of an account in a second.
pub const REQUESTS_PER_S: u32 = 30;

/// How Coinbase's books are kept in step.
pub const RULES: BookRules = BookRules {
    sequence: SequenceRule::Unnumbered,
    snapshots: SnapshotSource::Streamed,
    checksum: ChecksumRule::None,
    snapshot_sums: SnapshotSums::Each,
    depth_max: 0,
    snapshot_levels: 0,
};
