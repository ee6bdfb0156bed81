//! Binance Spot: endpoints, constants and the files of the dialect.
//!
//! | file | reads or writes |
//! |---|---|
//! | [`market`] | stream messages and snapshots to events |
//! | [`subscribe`] | stream names, control messages, snapshot requests |
//! | [`instruments`] | exchangeInfo to the instrument table and rate limits |
//! | [`orders`] | requests of the WebSocket API |
//! | [`private`] | answers and user events of the WebSocket API |
//! | [`errors`] | what a refusal means for an order |
//! | [`sign`] | keys and signatures |
//! | [`usdm`] | what differs on the USD-M futures market |
//! | [`usdm_instruments`] | its REST exchangeInfo |

use bot4_types::{BookRules, ChecksumRule, SequenceRule, SnapshotSource, SnapshotSums};

pub mod errors;
pub mod instruments;
mod known;
pub mod market;
mod market_json;
pub mod orders;
mod prepared;
pub mod private;
mod private_json;
pub mod sign;
pub mod subscribe;
pub mod usdm;
pub mod usdm_instruments;

/// Decimals of every price and quantity on the wire, whatever the tick size (measured on real
/// recordings). Shorter text is accepted, a significant ninth decimal is refused.
pub const WIRE_DECIMALS: u8 = 8;

/// The venue's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Host of the market streams.
    pub stream_host: &'static str,
    /// Port of the market streams.
    pub stream_port: u16,
    /// Host of the WebSocket API (orders, queries, user events, snapshots).
    pub api_host: &'static str,
    /// Port of the WebSocket API.
    pub api_port: u16,
}

/// The live venue.
pub const PRODUCTION: Endpoints = Endpoints {
    stream_host: "stream.binance.com",
    stream_port: 9443,
    api_host: "ws-api.binance.com",
    api_port: 443,
};

/// The public test network.
pub const TESTNET: Endpoints = Endpoints {
    stream_host: "stream.testnet.binance.vision",
    stream_port: 9443,
    api_host: "ws-api.testnet.binance.vision",
    api_port: 443,
};

/// The demo environment (real prices, invented money).
pub const DEMO: Endpoints = Endpoints {
    stream_host: "demo-stream.binance.com",
    stream_port: 9443,
    api_host: "demo-ws-api.binance.com",
    api_port: 443,
};

/// Path of the WebSocket API.
pub const API_PATH: &str = "/ws-api/v3";
/// Path of the combined market streams.
pub const STREAM_PATH: &str = "/stream";
/// Streams on one connection.
pub const STREAMS_MAX: usize = 1_024;
/// Messages a second from client to stream host, pings and pongs included; more disconnects.
pub const STREAM_MESSAGES_PER_SECOND_MAX: u32 = 5;
/// Life time of a connection in seconds; it must be replaced earlier.
pub const CONNECTION_LIFE_S: u64 = 24 * 3_600;
/// Connects in five minutes from one address.
pub const CONNECTS_PER_5MIN: u32 = 300;
/// Weight of opening a WebSocket API connection.
pub const CONNECT_WEIGHT: u32 = 2;
/// Request weight per minute and address when exchangeInfo has not been read yet.
pub const WEIGHT_PER_MINUTE: u32 = 6_000;
/// Levels a side of a snapshot request: fewer leave the known window within minutes, the maximum
/// of 5000 costs five times as much.
pub const SNAPSHOT_LEVELS: u16 = 1_000;
/// Weight of a snapshot request of [`SNAPSHOT_LEVELS`] levels.
pub const SNAPSHOT_WEIGHT: u32 = 50;

/// How Binance Spot's books are kept in step.
pub const RULES: BookRules = BookRules {
    sequence: SequenceRule::FirstLast,
    snapshots: SnapshotSource::Requested,
    checksum: ChecksumRule::None,
    snapshot_sums: SnapshotSums::Each,
    depth_max: 0,
    snapshot_levels: SNAPSHOT_LEVELS as usize,
};

/// Request weights of the WebSocket API.
pub mod weight {
    /// `session.logon`, `userDataStream.subscribe`.
    pub const SESSION: u32 = 2;
    /// `order.place`, `order.cancel`, `openOrders.cancelAll`: charged only on failure, budgeted
    /// always.
    pub const TRADE: u32 = 1;
    /// `order.status`.
    pub const ORDER_STATUS: u32 = 4;
    /// `openOrders.status` of one symbol.
    pub const OPEN_ORDERS: u32 = 6;
    /// `openOrders.status` of all symbols.
    pub const OPEN_ORDERS_ALL: u32 = 80;
    /// `account.status`, `exchangeInfo`, `myTrades`.
    pub const QUERY: u32 = 20;
    /// `time`, `ping`.
    pub const TIME: u32 = 1;
}
