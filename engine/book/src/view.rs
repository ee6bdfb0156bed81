//! What one instrument's book says to the stages behind it and to reports.

use bot4_types::limits::TOP_LEVELS;
use bot4_types::{ChecksumRule, Level, Mark, SequenceRule, Side, Top};

use crate::instrument::InstrumentBook;
use crate::oracle::Quote;
use crate::report::{BookSummary, level_text, state_name, top20_crc32};
use crate::tally::Count;

impl InstrumentBook {
    /// Best bid and ask by the newest of book and quote stream.
    fn quote_now(&self) -> Quote {
        let id = self.sync.book_id();
        match self.oracle.newest() {
            Some(quote) if quote.id > id => *quote,
            _ => {
                let level = |side| self.ladder.best(side).unwrap_or_default();
                Quote { id, bid: level(Side::Buy), ask: level(Side::Sell) }
            }
        }
    }

    /// The top as of now.
    pub(crate) fn top(&self) -> Top {
        let (mut bids, mut asks) = ([Level::default(); TOP_LEVELS], [Level::default(); TOP_LEVELS]);
        self.ladder.top(Side::Buy, &mut bids);
        self.ladder.top(Side::Sell, &mut asks);
        let quote = self.quote_now();
        Top {
            trail: self.trail,
            id: self.sync.book_id(),
            venue_ms: self.venue_ms,
            bids,
            asks,
            quote_bid: quote.bid,
            quote_ask: quote.ask,
            quote_id: quote.id,
            instrument: self.instrument.id,
            state: self.sync.state(),
            reason: self.sync.reason(),
        }
    }

    /// The mark as of now.
    pub(crate) fn mark(&self) -> Mark {
        let quote = self.quote_now();
        Mark {
            bid: quote.bid.price,
            ask: quote.ask.price,
            micro: microprice(quote.bid, quote.ask),
            last_trade: self.last_trade,
            at: self.marked_at,
            instrument: self.instrument.id,
            state: self.sync.state(),
        }
    }

    /// The book as `bot4 book` prints it. Allocates: not for the hot path.
    pub(crate) fn summary(&self, checkpoint: Option<u64>) -> BookSummary {
        let (ladder, of) = (&self.ladder, &self.instrument);
        // A time in the place of a number is not the venue's number.
        let is_numbered = self.rules.sequence != SequenceRule::Unnumbered;
        let id = |id: u64| (id > 0 && is_numbered).then_some(id);
        let best = |side| ladder.best(side).map(|level| level_text(level, of));
        let has_checksums = self.rules.checksum != ChecksumRule::None;
        BookSummary {
            symbol: of.symbol.as_str().to_owned(),
            checkpoint,
            snapshot_id: id(self.sync.snapshot_id()),
            final_update_id: id(self.sync.book_id()),
            best_bid: best(Side::Buy),
            best_ask: best(Side::Sell),
            bid_levels: ladder.levels(Side::Buy),
            ask_levels: ladder.levels(Side::Sell),
            applied: self.tally.value(Count::Applied),
            stale_dropped: self.tally.value(Count::StaleDropped),
            duplicates: self.tally.value(Count::Duplicates),
            gaps: self.tally.value(Count::Gaps),
            resyncs: self.tally.value(Count::Resyncs),
            checksums_ok: has_checksums.then(|| self.tally.value(Count::ChecksumsOk)),
            checksums_bad: has_checksums.then(|| self.tally.value(Count::ChecksumsBad)),
            crossed: self.tally.value(Count::Crossed),
            trades: self.tally.value(Count::Trades),
            ticker_equal: self.tally.value(Count::TickerEqual),
            ticker_differs: self.tally.value(Count::TickerDiffers),
            top20_crc32: top20_crc32(ladder, of.price_decimals, of.qty_decimals),
            state: state_name(self.state()),
        }
    }
}

/// `(bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty)`: the price that leans to the side
/// with less quantity. Zero unless both sides have some.
fn microprice(bid: Level, ask: Level) -> i64 {
    if bid.qty <= 0 || ask.qty <= 0 {
        return 0;
    }
    let (bid_qty, ask_qty) = (i128::from(bid.qty), i128::from(ask.qty));
    let weighed = i128::from(bid.price) * ask_qty + i128::from(ask.price) * bid_qty;
    (weighed / (bid_qty + ask_qty)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microprice_leans_to_the_thin_side_and_cannot_overflow() {
        let level = |price, qty| Level { price, qty };
        assert_eq!(microprice(level(100, 3), level(200, 1)), 175);
        assert_eq!(microprice(level(100, 0), level(200, 1)), 0);
        let huge = level(i64::MAX, i64::MAX);
        assert_eq!(microprice(huge, huge), i64::MAX);
    }
}
