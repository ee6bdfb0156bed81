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
    Unsynced "unsynced" "Diffs dropped because the stream had not sent its snapshot yet.",
    Repeats "snapshot_repeats" "Streamed snapshots that the book contained already.",
    ChecksumsOk "checksums_ok" "Checksums that agreed; of snapshots as the venue's rules say.",
    ChecksumsBad "checksums_bad" "Books that did not.",
    TradesRepeated "trades_repeated" "Trades told before, by the other line or after a reconnect.",
    LineGaps "line_gaps" "Holes in a connection's own numbering, by instrument.",
    Held "held" "Diffs kept for an update that the other line might bring.",
    HoldsExpired "holds_expired" "Holes that no line filled in time.",
    WinsA "line_a_wins" "Updates that line A brought first, of instruments with two lines.",
    WinsB "line_b_wins" "Updates that line B brought first.",
    LatesA "line_a_lates" "Updates that line A brought second.",
    LatesB "line_b_lates" "Updates that line B brought second.",
    FillsA "line_a_fills" "Holes of line B that line A filled.",
    FillsB "line_b_fills" "Holes of line A that line B filled.",
    LagNsA "line_a_lag_ns" "How much later line A's second copies came, sum, ns.",
    LagNsB "line_b_lag_ns" "How much later line B's second copies came, sum, ns.",
    LagMaxA "line_a_lag_ns_max" "The largest of them by line A, ns.",
    LagMaxB "line_b_lag_ns_max" "The largest of them by line B, ns.",
    Lives "lives" "Times a book became live.",
    LifeEnds "life_ends" "Times a live book ceased to be.",
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

    /// Raises a maximum to `n` here and in the agent's counter.
    #[inline]
    pub fn raise(&mut self, counters: &Counters, count: Count, n: u64) {
        let max = &mut self.0[count as usize];
        *max = n.max(*max);
        if n > counters.value(count as usize) {
            counters.set(count as usize, n);
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}
