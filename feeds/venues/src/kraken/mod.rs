//! Kraken Spot, API version 2: endpoints, constants and the files of the dialect: market data, and
//! order entry.
//!
//! | file | reads or writes |
//! |---|---|
//! | [`market`] | public channels to events |
//! | [`subscribe`] | subscriptions, the text ping, limits |
//! | [`instruments`] | the `instrument` channel to the instrument table |
//! | [`orders`] | order entry, subscriptions, questions over REST |
//! | [`private`] | answers and events of the account to rows |
//! | [`pages`] | answers over REST to rows |
//! | [`names`] | the older names of the REST interface |
//! | [`errors`] | what a refusal means |
//!
//! What is particular here (the Kraken sheet, chapters 1 to 3): numbers are bare JSON numbers whose
//! zeros count, because a checksum over the text of the ten best levels a side is a book's only
//! integrity; updates carry no number; levels that leave the subscribed depth are not deleted by a
//! message, so a book is cut after each one; a proxy in front of the venue may send plain text.
//! Quotes are not subscribed: the book's own top is as fast, and the `ticker` channel names no
//! place among the book's updates.

use bot4_types::{BookRules, ChecksumRule, SequenceRule, SnapshotSource, SnapshotSums};

pub mod errors;
pub mod instruments;
pub mod market;
mod market_json;
pub mod names;
pub mod orders;
mod pages;
pub mod private;
pub mod subscribe;

/// The venue's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Host of the public channels; port 443.
    pub stream_host: &'static str,
    /// Host of the account's channels and of order entry; port 443.
    pub private_host: &'static str,
    /// Host of the REST interface; port 443.
    pub rest_host: &'static str,
}

/// The live venue.
pub const PRODUCTION: Endpoints = Endpoints {
    stream_host: "ws.kraken.com",
    private_host: "ws-auth.kraken.com",
    rest_host: "api.kraken.com",
};

/// New features first, on the same production engine: no test money.
pub const BETA: Endpoints = Endpoints {
    stream_host: "beta-ws.kraken.com",
    private_host: "beta-ws-auth.kraken.com",
    ..PRODUCTION
};

/// Path of the WebSocket API.
pub const STREAM_PATH: &str = "/v2";

/// Depths that a book can be subscribed with.
pub const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];
/// Levels a side of our subscriptions. The checksum covers ten whatever the depth. A hundred hold
/// what strategies and sizing look at and come as a snapshot of 8 kB; at 1,000 the snapshot is ten
/// times as long and most updates are far from the touch.
pub const BOOK_DEPTH: usize = 100;

/// A connection without subscriptions and traffic is closed after 60 s; the venue asks for a ping
/// about twice as often.
pub const KEEP_ALIVE_S: u64 = 30;
/// Connects in five minutes from one address: half of what ten minutes allow.
pub const CONNECTS_PER_5MIN: u32 = 75;
/// Symbols in one subscription request; keeps a request below 4 kB. The venue states no limit.
pub const SYMBOLS_PER_REQUEST: usize = 100;

/// How Kraken's books are kept in step.
pub const RULES: BookRules = BookRules {
    sequence: SequenceRule::Unnumbered,
    snapshots: SnapshotSource::Streamed,
    checksum: ChecksumRule::TopTen,
    snapshot_sums: SnapshotSums::Whole,
    depth_max: BOOK_DEPTH,
    snapshot_levels: 0,
};
