//! What is counted, for each instrument and for the agent as a whole.

use bot4_lanes::Counters;

macro_rules! tally {
    ($($variant:ident $name:literal $doc:literal),+ $(,)?) => {
        /// A count kept by instrument and by agent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Count { $(#[doc = $doc] $variant),+ }

        /// Names of the agent's counters, in the order of [`Count`].
        pub const COUNTERS: &[&str] = &[$($name),+];
    };
}

tally! {
    Applied "applied" "Diffs applied to a book, replayed ones included.",
    Snapshots "snapshots" "Snapshots loaded.",
    StaleDropped "stale_dropped" "Diffs that the snapshot contained already.",
    Duplicates "duplicates" "Diffs that the book contained already.",
    Gaps "gaps" "Holes found in the numbering.",
    Resyncs "resyncs" "Times a live book had to start over.",
    Requests "requests" "Snapshots asked for.",
    SnapshotsRefused "snapshots_refused" "Snapshots too old, failed or unanswered.",
    Crossed "crossed" "Books found crossed after an update.",
    Horizons "horizons" "Books whose touch came near the snapshot's last level.",
    Damaged "damaged" "Damaged messages.",
    Overflows "overflows" "Buffers or far stores that were full.",
    Quotes "quotes" "Best quotes.",
    Trades "trades" "Trades.",
    Conflated "conflated" "Tops and marks replaced before they could be pushed.",
    TradesMissed "trades_missed" "Trades dropped because the link was full.",
    TickerEqual "ticker_equal" "Tops that agreed with the best-quote stream.",
    TickerDiffers "ticker_differs" "Tops that did not.",
    Levels "levels" "Levels received in diffs and snapshots.",
    StaleNs "stale_ns" "Time instruments spent stale after they were first live, ns.",
    Ignored "ignored" "Messages of foreign instruments, closed lines, unwanted snapshots.",
    BlocksLost "blocks_lost" "Level blocks whose way back was closed.",
}

/// Number of counts.
pub const COUNTS: usize = COUNTERS.len();

/// The counts of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally([u64; COUNTS]);

impl Tally {
    /// All zero.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; COUNTS])
    }

    /// The value of one count.
    #[must_use]
    pub const fn value(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// Adds `n` here and to the agent's counter.
    #[inline]
    pub fn add(&mut self, counters: &Counters, count: Count, n: u64) {
        self.0[count as usize] += n;
        counters.add(count as usize, n);
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}
