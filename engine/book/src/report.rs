//! What `bot4 book` prints of a book.

use bot4_types::text::{UNITS_TEXT_MAX, units_to_string, write_units};
use bot4_types::{BookState, Instrument, Level, Side};

use crate::ladder::Ladder;

/// Levels a side that enter the checksum.
const CRC_LEVELS: usize = 20;

/// One line of `bot4 book --json` without the venue's name. Fields that a venue may not have are
/// options. Numbers count from the agent's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookSummary {
    /// The venue's symbol.
    pub symbol: String,
    /// Number of applied updates at which this was taken, for checkpoints.
    pub checkpoint: Option<u64>,
    /// Id of the snapshot the book stands on.
    pub snapshot_id: Option<u64>,
    /// Id of the last update in the book.
    pub final_update_id: Option<u64>,
    /// Price and quantity of the best bid as decimal text.
    pub best_bid: Option<[String; 2]>,
    /// Price and quantity of the best ask.
    pub best_ask: Option<[String; 2]>,
    /// Bid levels.
    pub bid_levels: usize,
    /// Ask levels.
    pub ask_levels: usize,
    /// Updates applied after a snapshot.
    pub applied: u64,
    /// Updates that the snapshot contained already.
    pub stale_dropped: u64,
    /// Updates that the book contained already.
    pub duplicates: u64,
    /// Holes in the numbering.
    pub gaps: u64,
    /// Times a live book had to start over.
    pub resyncs: u64,
    /// Checksums that agreed: of every update that has one, and of snapshots as
    /// [`bot4_types::SnapshotSums`] says; none where the venue has none.
    pub checksums_ok: Option<u64>,
    /// Checksums that did not.
    pub checksums_bad: Option<u64>,
    /// Times the book was crossed after an update.
    pub crossed: u64,
    /// Trades.
    pub trades: u64,
    /// Tops that agreed with the best-quote stream.
    pub ticker_equal: u64,
    /// Tops that did not.
    pub ticker_differs: u64,
    /// See [`top20_crc32`].
    pub top20_crc32: u32,
    /// `live`, `stale` or `waiting`.
    pub state: &'static str,
}

/// CRC-32 of the text `price:qty` of up to 20 levels a side, bids best first joined by `|`, then
/// `#`, then asks best first joined by `|`.
#[must_use]
pub fn top20_crc32(ladder: &Ladder, price_decimals: u8, qty_decimals: u8) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let mut text = [0; UNITS_TEXT_MAX];
    for (side, lead) in [(Side::Buy, &b""[..]), (Side::Sell, &b"#"[..])] {
        crc.update(lead);
        for (i, level) in ladder.iter(side).take(CRC_LEVELS).enumerate() {
            if i > 0 {
                crc.update(b"|");
            }
            let n = write_units(level.price, price_decimals, &mut text);
            crc.update(&text[..n]);
            crc.update(b":");
            let n = write_units(level.qty, qty_decimals, &mut text);
            crc.update(&text[..n]);
        }
    }
    crc.finalize()
}

/// A level as price and quantity text with the instrument's decimals.
#[must_use]
pub fn level_text(level: Level, instrument: &Instrument) -> [String; 2] {
    [
        units_to_string(level.price, instrument.price_decimals),
        units_to_string(level.qty, instrument.qty_decimals),
    ]
}

/// The state's name in reports.
#[must_use]
pub const fn state_name(state: BookState) -> &'static str {
    match state {
        BookState::Live => "live",
        BookState::Stale => "stale",
        BookState::Waiting | BookState::Syncing => "waiting",
    }
}
