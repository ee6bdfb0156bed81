//! From bytes to integer events: what travels from the wire to the books.

use crate::id::{ConnId, InstrumentId};
use crate::limits::{BLOCK_LEVELS, FRAME_PADDING};
use crate::price::Side;
use crate::time::Nanos;
use crate::trail::Trail;

/// An owned buffer for one message. It goes wire → parse with the message and comes back by the
/// slots ring: whoever holds it owns the bytes, so no sharing and no unsafe code is needed.
/// Allocated once, at start, on the lane that fills it.
#[derive(Debug)]
pub struct Slot(Box<[u8]>);

impl Slot {
    /// A slot for messages of up to `capacity` bytes, with [`FRAME_PADDING`] readable bytes
    /// behind them. Allocates.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(vec![0; capacity + FRAME_PADDING].into_boxed_slice())
    }

    /// A slot that holds nothing and owns no memory, for messages without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(Box::default())
    }

    /// Longest message in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.len().saturating_sub(FRAME_PADDING)
    }

    /// The message area, for filling.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let n = self.capacity();
        &mut self.0[..n]
    }

    /// The first `len` bytes.
    ///
    /// # Panics
    /// When `len` exceeds the capacity.
    #[must_use]
    pub fn bytes(&self, len: usize) -> &[u8] {
        &self.0[..len]
    }

    /// The first `len` bytes, followed by the padding that a scanner may read.
    ///
    /// # Panics
    /// When `len` exceeds the capacity.
    #[must_use]
    pub fn padded(&self, len: usize) -> &[u8] {
        &self.0[..len + FRAME_PADDING]
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A message of a market-data stream.
    Market,
    /// The venue's answer to a snapshot request.
    Snapshot,
    /// No bytes: the connection came up; its instruments wait for snapshots.
    LineUp,
    /// No bytes: the connection is down or silent; its books are stale from here on.
    LineDown,
    /// No bytes: connection `conn` is about to replace the present one and delivers beside it
    /// from here on, beginning with a snapshot of each instrument.
    SwitchBegin,
    /// No bytes: only `conn`, the new connection or again the old one, delivers from here on.
    SwitchEnd,
}

/// One received message in its slot: wire → parse.
#[derive(Debug)]
pub struct Frame {
    /// The bytes.
    pub slot: Slot,
    /// When they were read.
    pub t0: Nanos,
    /// Length of the message.
    pub len: u32,
    /// How long the kernel had had them by then, nanoseconds; zero where it does not tell.
    pub kernel_ns: u32,
    /// The connection it came by.
    pub conn: ConnId,
    /// What it is.
    pub kind: FrameKind,
}

const _: () = assert!(size_of::<Frame>() == 40);

impl Frame {
    /// When the bytes were received: by the kernel where it stamps them, else by the read.
    #[must_use]
    pub const fn received(&self) -> Nanos {
        Nanos(self.t0.0.saturating_sub(self.kernel_ns as u64))
    }
}

/// A price level in wire-scale units; quantity zero removes the level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Level {
    /// Price units.
    pub price: i64,
    /// Quantity units, absolute.
    pub qty: i64,
}

const _: () = assert!(size_of::<Level>() == 16);

/// An owned block of levels. Goes parse → book with its message and comes back by the blocks
/// ring. Allocated once, at start, on the parsing lane.
#[derive(Debug)]
pub struct LevelBlock(Box<[Level]>);

impl LevelBlock {
    /// A block of size class `class` (see [`BLOCK_LEVELS`]). Allocates.
    ///
    /// # Panics
    /// When there is no such class.
    #[must_use]
    pub fn new(class: usize) -> Self {
        Self(vec![Level::default(); BLOCK_LEVELS[class]].into_boxed_slice())
    }

    /// The size class.
    #[must_use]
    pub fn class(&self) -> usize {
        BLOCK_LEVELS.iter().position(|n| *n == self.0.len()).unwrap_or(0)
    }

    /// All levels, for filling.
    pub fn levels_mut(&mut self) -> &mut [Level] {
        &mut self.0
    }

    /// All levels; only those that the message counts are meaningful.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.0
    }
}

/// What a market message says.
#[derive(Debug)]
pub enum MarketBody {
    /// Absolute quantities of changed levels: `block[..bids]`, then `block[bids..bids + asks]`.
    Depth {
        /// First update id covered.
        first: u64,
        /// Last update id covered.
        last: u64,
        /// Id of the update before this one, where the venue names it; else zero.
        prev: u64,
        /// Checksum of the book after this update, where the venue sends one.
        check: Option<u32>,
        /// Bid levels in the block.
        bids: u32,
        /// Ask levels in the block.
        asks: u32,
        /// The levels.
        block: LevelBlock,
    },
    /// A whole book; levels as in `Depth`, best first on each side.
    Snapshot {
        /// Update id of the snapshot.
        last: u64,
        /// Checksum of the book, where the venue sends one.
        check: Option<u32>,
        /// Bid levels in the block.
        bids: u32,
        /// Ask levels in the block.
        asks: u32,
        /// The levels.
        block: LevelBlock,
    },
    /// Best bid and ask.
    Quote {
        /// Update id.
        id: u64,
        /// Best bid.
        bid: Level,
        /// Best ask.
        ask: Level,
    },
    /// A trade.
    Trade {
        /// Trade id.
        id: u64,
        /// Price units.
        price: i64,
        /// Quantity units.
        qty: i64,
        /// Who took liquidity.
        aggressor: Side,
    },
    /// Several trades of one message in time order, two places of the block each: `price` and
    /// `qty` (negative when the seller took), then the trade's id and the venue's time in Unix ms
    /// (as `price` and `qty`).
    Trades {
        /// Trades in the block.
        count: u32,
        /// The trades.
        block: LevelBlock,
    },
    /// A snapshot request was refused or its answer unusable: ask again.
    SnapshotFailed,
    /// A message of this instrument was damaged: its book cannot be trusted.
    Damaged,
    /// The connection's own numbering has a hole (`instrument` is meaningless: all instruments
    /// of `conn` may have lost an update).
    LineGap,
    /// The connection came up (`instrument` is meaningless: all instruments of `conn`).
    LineUp,
    /// The connection went down (all instruments of `conn`).
    LineDown,
}

/// One market message as integers: parse → book.
#[derive(Debug)]
pub struct MarketEvent {
    /// Where its time went.
    pub trail: Trail,
    /// What it says.
    pub body: MarketBody,
    /// The venue's event time in Unix milliseconds, zero where the message has none.
    pub venue_ms: i64,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// By which connection.
    pub conn: ConnId,
}

const _: () = assert!(size_of::<MarketEvent>() <= 112);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_keep_padding_behind_the_message() {
        let mut slot = Slot::new(100);
        assert_eq!((slot.capacity(), slot.bytes_mut().len()), (100, 100));
        assert_eq!(slot.padded(100).len(), 100 + FRAME_PADDING);
        assert_eq!(Slot::empty().capacity(), 0);
    }

    #[test]
    fn blocks_know_their_class() {
        for class in 0..BLOCK_LEVELS.len() {
            assert_eq!(LevelBlock::new(class).class(), class);
        }
    }
}
