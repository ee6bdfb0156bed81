//! How a venue keeps its order books in step with ours: data, one value a venue.
//!
//! The books act on these rules; the venues' folders state them. Differences between spot and
//! futures of one venue are differences of this data.

/// How a venue numbers its updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SequenceRule {
    /// Each update covers ids `first..=last` and the next one starts at `last + 1` (Binance Spot
    /// `U`/`u`). An update fits when `first <= id + 1 <= last`. The venue's text asks that the
    /// snapshot's own id lie within the first update; real streams start right behind it.
    #[default]
    FirstLast,
    /// The first update after a requested snapshot covers its id (`first <= id <= last`, or, of
    /// use on quiet symbols, `prev <= id <= last`: an update tells all that changed since `prev`);
    /// every later one names its predecessor: `prev == id` (Binance USD-M `pu`). `first` is not
    /// contiguous.
    FirstThenPrev,
    /// Every update names its predecessor: `prev == id`, whatever `last` is. `last == prev` is a
    /// sign of life, `last < prev` a restart of the count (OKX `prevSeqId`/`seqId`).
    Prev,
    /// Each update is one more than the one before: `last == id + 1` (Bybit `u`). A streamed
    /// snapshot starts the count afresh, also with 1.
    Successor,
    /// No number in a book's messages. Loss shows by the checksum (Kraken) or by the
    /// connection's own numbering, which the decoder checks (Coinbase). Where `last` is not zero
    /// it is the venue's time in Unix us, which must not go back: two messages in the wrong
    /// order can agree with their checksums.
    Unnumbered,
}

/// Where a book's first state comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotSource {
    /// Asked for on another connection while updates are buffered (Binance).
    #[default]
    Requested,
    /// The stream itself sends it first; each one replaces the book. To get a new one the
    /// instrument is subscribed again. Updates before it are of no use.
    Streamed,
}

/// The text behind a message's checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumRule {
    /// The venue sends none.
    #[default]
    None,
    /// CRC-32 over the digits, without point and leading zeros, of the ten best asks, then bids
    /// (Kraken v2).
    TopTen,
    /// CRC-32 over `bid:qty:ask:qty:...` of up to 25 levels a side, interleaved, texts as the
    /// venue writes them: the shortest decimal text, without trailing zeros (OKX, messages before
    /// June 2026; a sum of zero means none).
    Interleaved25,
}

impl ChecksumRule {
    /// Levels a side that the sum is over, at most.
    #[must_use]
    pub const fn levels(self) -> usize {
        match self {
            Self::None => 0,
            Self::TopTen => 10,
            Self::Interleaved25 => 25,
        }
    }
}

/// Which snapshots' own checksums count among those that agreed. Every one is verified; one that
/// does not agree counts, and the book is not shown, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotSums {
    /// Each, as that of an update (OKX: snapshots have one fixed depth).
    #[default]
    Each,
    /// Where the levels under the sum are the whole snapshot. Of a deeper one the sum vouches for
    /// a part, so there only updates count (Kraken: the depth is the subscriber's choice, from the
    /// ten levels of the sum to a hundred times as many).
    Whole,
}

/// The rules of a venue's books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookRules {
    /// Numbering.
    pub sequence: SequenceRule,
    /// First state.
    pub snapshots: SnapshotSource,
    /// Checksum.
    pub checksum: ChecksumRule,
    /// Which sums of snapshots count.
    pub snapshot_sums: SnapshotSums,
    /// Levels a side that a book is cut to after each message (Kraken: levels that fall out are
    /// not deleted by a message); zero: the venue deletes what falls out, or sends all.
    pub depth_max: usize,
    /// Levels a side at which the venue cuts the snapshots that its session asks for, beyond
    /// which levels are unknown until they change; zero: it does not, or levels that come back
    /// are sent again.
    pub snapshot_levels: usize,
}

impl BookRules {
    /// The sum of a snapshot with so many levels counts when it agrees.
    #[must_use]
    pub const fn counts_sum_of(&self, bids: usize, asks: usize) -> bool {
        let deepest = if bids > asks { bids } else { asks };
        match self.snapshot_sums {
            SnapshotSums::Each => true,
            SnapshotSums::Whole => deepest <= self.checksum.levels(),
        }
    }

    /// Two lines of the same stream can be merged by number: first arrival wins.
    #[must_use]
    pub const fn is_mergeable(&self) -> bool {
        !matches!(self.sequence, SequenceRule::Unnumbered)
    }
}
