//! Bybit, API version 5: endpoints, constants and the files of the dialect: market data, and
//! order entry for spot.
//!
//! | file | reads or writes |
//! |---|---|
//! | [`market`] | public topics to events |
//! | [`subscribe`] | subscriptions, the text ping, limits |
//! | [`instruments`] | the REST list of instruments to the instrument table |
//! | [`orders`] | logon, order entry, questions over REST |
//! | [`private`] | answers, events and pages of the account to rows |
//! | [`errors`] | what a refusal means |
//!
//! What is particular here (the Bybit sheet, chapters 1 to 3): each product has its own host path
//! and nothing else of a dialect ([`Category`]); a book's updates are numbered one by one for each
//! topic, and a snapshot may come at any time and replaces the book, also with number 1; order of
//! keys differs between products; texts of numbers have no trailing zeros; trades of spot have
//! numbers, those of derivatives UUIDs.
//!
//! **Best quotes are not subscribed.** `orderbook.1` counts its own updates, so that its `u` has
//! no place among those of the book, by which quotes and books are compared; and its levels are
//! those of the book 100 ms later at most. `seq` would order the two, but a book's continuity is
//! told by `u` alone.

use bot4_types::{BookRules, ChecksumRule, SequenceRule, SnapshotSource, SnapshotSums};

pub mod errors;
pub mod instruments;
pub mod market;
mod market_json;
pub mod orders;
pub mod private;
pub mod subscribe;
pub mod trade_id;

/// A product: data, not a dialect of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Spot.
    Spot,
    /// Perpetuals and futures margined in USDT or USDC.
    Linear,
}

impl Category {
    /// The venue's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Linear => "linear",
        }
    }

    /// Path of its public stream.
    #[must_use]
    pub const fn stream_path(self) -> &'static str {
        match self {
            Self::Spot => "/v5/public/spot",
            Self::Linear => "/v5/public/linear",
        }
    }
}

/// The venue's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Host of the public streams; port 443.
    pub stream_host: &'static str,
    /// Host of the REST interface; port 443.
    pub rest_host: &'static str,
}

/// The live venue.
pub const PRODUCTION: Endpoints =
    Endpoints { stream_host: "stream.bybit.com", rest_host: "api.bybit.com" };

/// The test network.
pub const TESTNET: Endpoints =
    Endpoints { stream_host: "stream-testnet.bybit.com", rest_host: "api-testnet.bybit.com" };

/// Path of the connection that takes orders.
pub const TRADE_PATH: &str = "/v5/trade";
/// Path of the connection that tells the account's events.
pub const PRIVATE_PATH: &str = "/v5/private";
/// Path of the list of instruments.
pub const INSTRUMENTS_PATH: &str = "/v5/market/instruments-info";

/// Levels a side of our subscriptions: 50 come each 20 ms, 200 each 100 ms, 1,000 each 200 ms.
/// With 200 a book survives a move of some 0.2 % of a busy market at the pace of other venues'
/// books; the venue removes what leaves the window by messages.
pub const BOOK_DEPTH: usize = 200;

/// The venue asks for a ping this often.
pub const KEEP_ALIVE_S: u64 = 20;
/// Connects in five minutes from one address.
pub const CONNECTS_PER_5MIN: u32 = 500;
/// Topics in one subscription request of spot; more are refused whole. Derivatives allow more
/// and are asked in the same portions.
pub const TOPICS_PER_REQUEST: usize = 10;
/// Characters in all topics of a connection.
pub const TOPICS_LEN_MAX: usize = 21_000;

/// How Bybit's books are kept in step.
pub const RULES: BookRules = BookRules {
    sequence: SequenceRule::Successor,
    snapshots: SnapshotSource::Streamed,
    checksum: ChecksumRule::None,
    snapshot_sums: SnapshotSums::Each,
    depth_max: 0,
    snapshot_levels: 0,
};
