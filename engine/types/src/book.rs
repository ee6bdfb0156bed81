//! What the books tell the stages behind them.

use crate::id::{ConnId, InstrumentId};
use crate::limits::TOP_LEVELS;
use crate::market::Level;
use crate::price::Side;
use crate::time::Nanos;
use crate::trail::Trail;
use serde::{Deserialize, Serialize};

/// How far a book may be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum BookState {
    /// Nothing received yet.
    #[default]
    Waiting = 0,
    /// Updates are buffered until a snapshot fits.
    Syncing = 1,
    /// In sequence and uncrossed.
    Live = 2,
    /// Was live; must not be traded on.
    Stale = 3,
}

/// Why a book is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum StaleReason {
    /// It is not.
    #[default]
    None = 0,
    /// An update is missing.
    Gap = 1,
    /// Best bid at or above best ask.
    Crossed = 2,
    /// A message was damaged.
    Damaged = 3,
    /// Its connection is down or silent.
    Line = 4,
    /// A level did not fit the book's bounds.
    Capacity = 5,
    /// The touch came near the last level of the snapshot: what lies beyond it is not known.
    Horizon = 6,
    /// The venue's checksum of the book disagrees with ours.
    Checksum = 7,
    /// The venue changed the instrument's rules, or it is paused.
    Rules = 8,
    /// Its instrument is of low priority and was given up under pressure.
    Shed = 9,
}

/// The top of a book: book → signal, conflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// Of the update that caused it.
    pub trail: Trail,
    /// Book update id.
    pub id: u64,
    /// Venue time of the update, Unix ms.
    pub venue_ms: i64,
    /// Bids, best first; quantity zero where there is no level.
    pub bids: [Level; TOP_LEVELS],
    /// Asks, best first.
    pub asks: [Level; TOP_LEVELS],
    /// Best bid by the newest of book and best-quote stream.
    pub quote_bid: Level,
    /// Best ask by the newest of book and best-quote stream.
    pub quote_ask: Level,
    /// Update id of the quote, at least `id`.
    pub quote_id: u64,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Trust.
    pub state: BookState,
    /// Why it is stale.
    pub reason: StaleReason,
}

const _: () = assert!(size_of::<Top>() <= 256);

/// A trade print: book → signal, queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradePrint {
    /// Of the trade message.
    pub trail: Trail,
    /// Trade id.
    pub id: u64,
    /// Price units.
    pub price: i64,
    /// Quantity units.
    pub qty: i64,
    /// Venue time, Unix ms.
    pub venue_ms: i64,
    /// Prints dropped before this one because the ring was full.
    pub missed: u32,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Who took liquidity.
    pub aggressor: Side,
}

/// One message of the tops link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "ring messages are Copy and of one size")]
pub enum TopMsg {
    /// The newest top of an instrument.
    Top(Top),
    /// A trade.
    Trade(TradePrint),
}

const _: () = assert!(size_of::<TopMsg>() <= 264);

/// What risk needs of a book: book → risk, conflated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Best bid, price units; zero where there is none.
    pub bid: i64,
    /// Best ask, price units; zero where there is none.
    pub ask: i64,
    /// Price that weighs bid and ask by the other side's quantity, price units.
    pub micro: i64,
    /// Last trade, price units; zero before the first.
    pub last_trade: i64,
    /// Receive stamp of the message behind it.
    pub at: Nanos,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Trust.
    pub state: BookState,
}

const _: () = assert!(size_of::<Mark>() <= 48);

/// Why a book asks for a fresh start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ResyncReason {
    /// First synchronisation of a connection.
    Start = 0,
    /// An update is missing.
    Gap = 1,
    /// Crossed book.
    Crossed = 2,
    /// Damaged message.
    Damaged = 3,
    /// The snapshot was older than the first buffered update.
    SnapshotTooOld = 4,
    /// The snapshot request failed.
    SnapshotFailed = 5,
    /// No answer in time.
    SnapshotTimeout = 6,
    /// The touch came near the last level of the snapshot.
    Horizon = 7,
    /// The venue's checksum of the book disagrees with ours.
    Checksum = 8,
    /// The venue changed the instrument's rules.
    Rules = 9,
}

/// A request for a fresh snapshot: book → wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resync {
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// By which connection its stream comes.
    pub conn: ConnId,
    /// Why.
    pub reason: ResyncReason,
}
