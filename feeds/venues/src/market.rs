//! What every market decoder has in common: its input, its output and the block pool.
//!
//! Invariant: an event is staged complete or not at all, and a level block is at every moment in
//! exactly one place: the pool, a staged event, a ring or a book.

use bot4_simd::TextKernels;
use bot4_types::limits::BLOCK_LEVELS;
use bot4_types::text::DecimalError;
use bot4_types::{ConnId, FrameKind, InstrumentId, LevelBlock, MarketEvent, Trail};

/// Events that one frame can yield at most; a reader needs room for so many on every output
/// before it takes a frame. Binance frames yield one, batch venues a few.
pub const EVENTS_PER_FRAME_MAX: usize = 16;

/// One message to decode.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The message, followed by whatever padding there is (`Slot::padded`). Padding is read at
    /// most for speed, never interpreted; without it the decoder is slower and equally right.
    pub bytes: &'a [u8],
    /// Length of the message in bytes; at most `bytes.len()`.
    pub len: usize,
    /// The connection it came by.
    pub conn: ConnId,
    /// What the wire agent knows of it.
    pub kind: FrameKind,
    /// Its stamps so far; copied into the events.
    pub trail: Trail,
    /// The instrument, where the message itself does not tell and the caller knows.
    pub instrument: Option<InstrumentId>,
}

impl<'a> Input<'a> {
    /// The message without padding.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.bytes.get(..self.len).unwrap_or(self.bytes)
    }
}

/// Messages that are understood and of no use to the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Trades merged by taker order.
    AggTrade,
    /// Candles.
    Kline,
    /// Statistics of a day or window, average and reference prices.
    Ticker,
    /// The best few levels as a whole.
    PartialDepth,
    /// A successful answer to a control message.
    ControlAnswer,
    /// A sign of life of the connection.
    Heartbeat,
    /// Trades of before the subscription.
    PastTrades,
    /// A message that the connection's own numbering shows to have been there already.
    Repeat,
    /// A stream this build does not know.
    Other,
}

/// Messages that the operator should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The server is going away: reconnect.
    ServerShutdown,
    /// A control message was refused with this venue code; zero where the venue gives none.
    ControlRefused(i64),
    /// The venue trades only in part or not at all: maintenance, cancels only, post only.
    Restricted,
}

/// What a message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Events were staged in the sink.
    Events,
    /// Nothing for the books.
    Ignored(Ignored),
    /// Nothing for the books, something for the operator.
    Notice(Notice),
}

/// Why a message was not decoded. Nothing is staged then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON, or not in UTF-8.
    Json,
    /// JSON, but not the venue's message.
    Schema,
    /// A number is malformed, too precise for the instrument or too large.
    Number(DecimalError),
    /// A well-formed message of a symbol that is not in the table.
    UnknownSymbol,
    /// More levels than the largest block holds, or more events than a frame may yield.
    TooManyLevels,
    /// Longer than the general reader's scratch copy.
    TooLarge,
    /// No free level block: give blocks back and decode the same message again.
    NoBlock,
    /// The sink has no room: drain it and decode the same message again.
    Full,
}

impl DecodeError {
    /// Names for counters, by [`DecodeError::index`].
    pub const NAMES: [&'static str; 8] = [
        "error_json",
        "error_schema",
        "error_number",
        "error_unknown_symbol",
        "error_too_many_levels",
        "error_too_large",
        "waited_for_block",
        "waited_for_room",
    ];

    /// Place in [`DecodeError::NAMES`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Json => 0,
            Self::Schema => 1,
            Self::Number(_) => 2,
            Self::UnknownSymbol => 3,
            Self::TooManyLevels => 4,
            Self::TooLarge => 5,
            Self::NoBlock => 6,
            Self::Full => 7,
        }
    }

    /// The same message can be decoded later; nothing is wrong with it.
    #[must_use]
    pub const fn is_retry(self) -> bool {
        matches!(self, Self::NoBlock | Self::Full)
    }
}

/// Turns one venue's market messages into events.
pub trait MarketDecoder: Send {
    /// Allocates everything that decoding will ever need. Called once on the decoding thread.
    fn start(&mut self) {}

    /// The connection `conn` is new: whatever was remembered of an older one (its own numbering)
    /// is void.
    fn line_up(&mut self, _conn: ConnId) {}

    /// Decodes one message and stages its events in `sink`.
    ///
    /// # Errors
    /// See [`DecodeError`]; the sink is unchanged then.
    fn decode(&mut self, input: Input<'_>, sink: &mut Sink) -> Result<Decoded, DecodeError>;

    /// Decodes by the general reader alone: the oracle of the scanner, for tests, fuzzing and
    /// measurements.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn decode_generally(
        &mut self,
        input: Input<'_>,
        sink: &mut Sink,
    ) -> Result<Decoded, DecodeError>;

    /// The instrument whose book a message that could not be decoded may have changed, read
    /// leniently from its first bytes. `None` for messages that no book depends on (trades, best
    /// quotes) and where nothing tells.
    fn suspect(&self, text: &[u8]) -> Option<InstrumentId>;

    /// Messages that needed the general reader so far.
    fn fallbacks(&self) -> u64;

    /// By which instructions its scanner reads.
    fn kernels(&self) -> TextKernels;
}

/// Free level blocks by size class. Allocates only in [`BlockPool::new`].
#[derive(Debug, Default)]
pub struct BlockPool {
    free: [Vec<LevelBlock>; BLOCK_LEVELS.len()],
    levels_max: usize,
}

impl BlockPool {
    /// A pool of `counts[class]` blocks of each class.
    #[must_use]
    pub fn new(counts: [usize; BLOCK_LEVELS.len()]) -> Self {
        let mut pool = Self::default();
        for (class, count) in counts.into_iter().enumerate() {
            pool.free[class].reserve_exact(count);
            pool.free[class].extend((0..count).map(|_| LevelBlock::new(class)));
            if count > 0 {
                pool.levels_max = BLOCK_LEVELS[class];
            }
        }
        pool
    }

    /// A block for at least `levels` levels: of the smallest class that fits and is not used up.
    #[inline(always)]
    pub fn take(&mut self, levels: usize) -> Option<LevelBlock> {
        if levels <= BLOCK_LEVELS[0]
            && let Some(block) = self.free[0].pop()
        {
            return Some(block);
        }
        self.take_larger(levels)
    }

    #[inline(never)]
    fn take_larger(&mut self, levels: usize) -> Option<LevelBlock> {
        (0..BLOCK_LEVELS.len())
            .filter(|class| BLOCK_LEVELS[*class] >= levels)
            .find_map(|class| self.free[class].pop())
    }

    /// Why there is no block for `levels` levels: none is free, or none was ever made. The
    /// difference matters: waiting for the second would be for ever.
    #[must_use]
    pub const fn lack(&self, levels: usize) -> DecodeError {
        if levels > self.levels_max { DecodeError::TooManyLevels } else { DecodeError::NoBlock }
    }

    /// Takes a block back.
    #[inline]
    pub fn give_back(&mut self, block: LevelBlock) {
        self.free[block.class()].push(block);
    }

    /// Free blocks of `class`.
    ///
    /// # Panics
    /// When there is no such class.
    #[must_use]
    pub fn free(&self, class: usize) -> usize {
        self.free[class].len()
    }
}

/// Where a decoder puts its events.
#[derive(Debug)]
pub struct Sink {
    /// Where level blocks come from.
    pub pool: BlockPool,
    staged: Vec<MarketEvent>,
}

impl Sink {
    /// A sink with this pool.
    #[must_use]
    pub fn new(pool: BlockPool) -> Self {
        Self { pool, staged: Vec::with_capacity(EVENTS_PER_FRAME_MAX) }
    }

    /// Stages `event`.
    ///
    /// # Errors
    /// Hands the event back when [`EVENTS_PER_FRAME_MAX`] events are staged.
    #[inline(always)]
    #[allow(clippy::result_large_err, reason = "an event owns its block and must not be lost")]
    pub fn push(&mut self, event: MarketEvent) -> Result<(), MarketEvent> {
        if self.staged.len() == EVENTS_PER_FRAME_MAX {
            return Err(event);
        }
        self.staged.push(event);
        Ok(())
    }

    /// More events can be staged.
    #[must_use]
    #[inline]
    pub fn has_room(&self) -> bool {
        self.staged.len() < EVENTS_PER_FRAME_MAX
    }

    /// Events that are staged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.staged.len()
    }

    /// Takes back the event staged last.
    pub fn pop(&mut self) -> Option<MarketEvent> {
        self.staged.pop()
    }

    /// Nothing is staged.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    /// Hands out the staged events in order and forgets them.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = MarketEvent> + '_ {
        // Nearly always one; the end of a list is the cheapest place to take it from.
        if self.staged.len() > 1 {
            self.staged.reverse();
        }
        Drained(&mut self.staged)
    }
}

/// Staged events, the last one first.
struct Drained<'a>(&'a mut Vec<MarketEvent>);

impl Iterator for Drained<'_> {
    type Item = MarketEvent;

    #[inline(always)]
    fn next(&mut self) -> Option<MarketEvent> {
        self.0.pop()
    }
}

impl Drop for Drained<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{MarketBody, Nanos};
    use proptest::prelude::*;

    proptest! {
        /// The naive twin counts the free blocks of each class.
        #[test]
        fn pool_gives_the_smallest_block_that_fits(
            ops in proptest::collection::vec((any::<bool>(), 0usize..3_000), 0..60)
        ) {
            let mut pool = BlockPool::new([3, 2, 1]);
            let (mut twin, mut out) = ([3, 2, 1], Vec::new());
            for (take, levels) in ops {
                if take {
                    let class = (0..3).find(|c| BLOCK_LEVELS[*c] >= levels && twin[*c] > 0);
                    let block = pool.take(levels);
                    prop_assert_eq!(block.as_ref().map(LevelBlock::class), class);
                    if let Some(c) = class {
                        twin[c] -= 1;
                    }
                    out.extend(block);
                } else if let Some(block) = out.pop() {
                    twin[block.class()] += 1;
                    pool.give_back(block);
                }
                prop_assert_eq!([pool.free(0), pool.free(1), pool.free(2)], twin);
            }
        }
    }

    #[test]
    fn no_block_holds_more_than_the_largest_class() {
        let mut pool = BlockPool::new([1, 1, 1]);
        assert!(pool.take(BLOCK_LEVELS[2] + 1).is_none());
        assert_eq!(pool.lack(BLOCK_LEVELS[2] + 1), DecodeError::TooManyLevels);
        assert_eq!(pool.lack(BLOCK_LEVELS[2]), DecodeError::NoBlock);
        assert_eq!(BlockPool::new([1, 1, 0]).lack(3_000), DecodeError::TooManyLevels);
    }

    #[test]
    fn a_full_sink_hands_the_event_back() {
        let event = || MarketEvent {
            trail: Trail::start(Nanos(1)),
            body: MarketBody::Damaged,
            venue_ms: 0,
            instrument: InstrumentId(0),
            conn: ConnId(0),
        };
        let mut sink = Sink::new(BlockPool::default());
        for _ in 0..EVENTS_PER_FRAME_MAX {
            assert!(sink.push(event()).is_ok());
        }
        assert!(!sink.has_room() && sink.push(event()).is_err());
        assert_eq!(sink.drain().count(), EVENTS_PER_FRAME_MAX);
        assert!(sink.is_empty());
    }
}
