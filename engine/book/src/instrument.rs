//! One instrument's book: ladder, synchronisation, ticker oracle and counts, and what it says to
//! the stages behind it.

use bot4_lanes::Counters;
use bot4_types::limits::TOP_LEVELS;
use bot4_types::{
    BookState, Instrument, Level, Mark, Nanos, ResyncReason, Side, StaleReason, Top, TradePrint,
    Trail,
};

use crate::config::BookConfig;
use crate::far::Full;
use crate::ladder::{Ladder, granularity};
use crate::oracle::{Quote, TickerOracle};
use crate::report::{BookSummary, level_text, state_name, top20_crc32};
use crate::sync::{BookSync, DepthStep, DiffHead, ReplayStep, SnapshotStep};
use crate::tally::{Count, Tally};

/// What the books of an agent write to besides themselves.
pub(crate) struct Ledger {
    pub(crate) counters: Counters,
    /// Take a summary each time this many updates were applied; zero: never.
    pub(crate) checkpoint_every: u64,
    pub(crate) checkpoints: Vec<BookSummary>,
}

/// A message's time and origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) trail: Trail,
    pub(crate) venue_ms: i64,
    /// The turn's time.
    pub(crate) now: Nanos,
}

/// The book of one instrument.
#[derive(Debug)]
pub(crate) struct InstrumentBook {
    instrument: Instrument,
    ladder: Ladder,
    sync: BookSync,
    oracle: TickerOracle,
    tally: Tally,
    /// Of the message behind the present top.
    trail: Trail,
    venue_ms: i64,
    /// Receive stamp of the message behind the present mark.
    marked_at: Nanos,
    last_trade: i64,
    trades_missed: u32,
    /// See [`BookConfig::snapshot_levels`].
    snapshot_levels: usize,
    /// How far the touch may go on each side before the book starts over.
    horizon: [Option<i64>; 2],
    /// Until when its time as stale is counted.
    stale_until: Nanos,
}

impl InstrumentBook {
    /// Takes all memory it will ever need.
    pub(crate) fn new(instrument: Instrument, config: &BookConfig) -> Self {
        Self {
            ladder: Ladder::new(config.steps_of(instrument.id), config.far_levels),
            sync: BookSync::new(config.sync),
            oracle: TickerOracle::new(config.quotes_max),
            tally: Tally::new(),
            trail: Trail::default(),
            venue_ms: 0,
            marked_at: Nanos::ZERO,
            last_trade: 0,
            trades_missed: 0,
            snapshot_levels: config.snapshot_levels,
            horizon: [None; 2],
            stale_until: Nanos::ZERO,
            instrument,
        }
    }

    pub(crate) const fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    pub(crate) const fn state(&self) -> BookState {
        self.sync.state()
    }

    pub(crate) const fn update_id(&self) -> u64 {
        self.sync.book_id()
    }

    pub(crate) const fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) const fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    pub(crate) fn count(&mut self, ledger: &Ledger, count: Count, n: u64) {
        self.tally.add(&ledger.counters, count, n);
    }

    /// A diff. Returns whether the stages behind must hear of it.
    pub(crate) fn depth(
        &mut self,
        ledger: &mut Ledger,
        head: DiffHead,
        levels: &[Level],
        now: Nanos,
    ) -> bool {
        let before = self.state();
        self.count(ledger, Count::Levels, levels.len() as u64);
        match self.sync.depth(head, levels) {
            DepthStep::Apply => {
                let fits = set_levels(&mut self.ladder, head.bids, levels);
                self.settle(ledger, head, fits);
            }
            DepthStep::Buffered => {}
            DepthStep::StaleDropped => self.count(ledger, Count::StaleDropped, 1),
            DepthStep::Duplicate => self.count(ledger, Count::Duplicates, 1),
            DepthStep::Gap => self.count(ledger, Count::Gaps, 1),
            DepthStep::Overflow => self.count(ledger, Count::Overflows, 1),
            DepthStep::LineDown => self.count(ledger, Count::Ignored, 1),
        }
        let applied = before == BookState::Live && self.state() == BookState::Live;
        self.changed(ledger, before, now) || applied
    }

    /// A snapshot. Returns whether the stages behind must hear of it.
    pub(crate) fn snapshot(
        &mut self,
        ledger: &mut Ledger,
        last: u64,
        (bids, asks): (&[Level], &[Level]),
        stamp: Stamp,
    ) -> bool {
        let before = self.state();
        match self.sync.snapshot(last) {
            SnapshotStep::Unwanted => self.count(ledger, Count::Ignored, 1),
            SnapshotStep::TooOld => self.count(ledger, Count::SnapshotsRefused, 1),
            SnapshotStep::Adopt => {
                self.count(ledger, Count::Snapshots, 1);
                self.count(ledger, Count::Levels, (bids.len() + asks.len()) as u64);
                self.venue_ms = stamp.venue_ms;
                self.ladder.reset(granularity(bids, asks, self.instrument.tick));
                self.horizon = [bids, asks].map(|side| self.horizon_of(side));
                let fits = set_side(&mut self.ladder, Side::Buy, bids).and(set_side(
                    &mut self.ladder,
                    Side::Sell,
                    asks,
                ));
                if self.sound(ledger, fits) {
                    self.replay(ledger);
                }
                self.touch(stamp.trail);
            }
        }
        self.changed(ledger, before, stamp.now)
    }

    fn replay(&mut self, ledger: &mut Ledger) {
        loop {
            match self.sync.replay() {
                ReplayStep::Apply(head, at) => {
                    let levels = self.sync.buffered(&head, at);
                    let fits = set_levels(&mut self.ladder, head.bids, levels);
                    if !self.settle(ledger, head, fits) {
                        return;
                    }
                }
                ReplayStep::StaleDropped => self.count(ledger, Count::StaleDropped, 1),
                ReplayStep::Duplicate => self.count(ledger, Count::Duplicates, 1),
                ReplayStep::Gap => return self.count(ledger, Count::Gaps, 1),
                ReplayStep::Done => return,
            }
        }
    }

    /// After the levels of a diff were set: counts it, judges the book. `false` when the book
    /// cannot be trusted.
    fn settle(&mut self, ledger: &mut Ledger, head: DiffHead, fits: Result<(), Full>) -> bool {
        self.count(ledger, Count::Applied, 1);
        self.venue_ms = head.venue_ms;
        self.touch(head.trail);
        let sound = self.sound(ledger, fits);
        if sound {
            let level = |side| self.ladder.best(side).unwrap_or_default();
            let top = Quote { id: head.last, bid: level(Side::Buy), ask: level(Side::Sell) };
            let verdicts = self.oracle.top(top);
            self.count(ledger, Count::TickerEqual, verdicts.equal);
            self.count(ledger, Count::TickerDiffers, verdicts.differs);
        }
        let applied = self.tally.value(Count::Applied);
        if ledger.checkpoint_every > 0 && applied.is_multiple_of(ledger.checkpoint_every) {
            ledger.checkpoints.push(self.summary(Some(applied)));
        }
        sound
    }

    /// A book that lacks a level or is crossed is not to be shown.
    fn sound(&mut self, ledger: &Ledger, fits: Result<(), Full>) -> bool {
        let (count, reason) = match fits {
            Err(Full) => (Count::Overflows, StaleReason::Capacity),
            Ok(()) if self.ladder.crossed() => (Count::Crossed, StaleReason::Crossed),
            Ok(()) if self.is_beyond_horizon() => (Count::Horizons, StaleReason::Horizon),
            Ok(()) => return true,
        };
        self.count(ledger, count, 1);
        self.sync.fail(reason);
        false
    }

    /// The price at which the touch is too near to where a snapshot's `side` was cut, if it was:
    /// three quarters of the way from its first to its last level.
    fn horizon_of(&self, side: &[Level]) -> Option<i64> {
        let cut = self.snapshot_levels > 0 && side.len() >= self.snapshot_levels;
        let (first, last) = (side.first()?.price, side.last()?.price);
        cut.then(|| first.saturating_add(last.saturating_sub(first) / 4 * 3))
    }

    /// Whether the touch came so near to the snapshot's cut that the levels behind it may have
    /// holes.
    fn is_beyond_horizon(&self) -> bool {
        let best = |side| self.ladder.best(side).map(|level| level.price);
        let [bid_horizon, ask_horizon] = self.horizon;
        bid_horizon.is_some_and(|h| best(Side::Buy).is_none_or(|price| price <= h))
            || ask_horizon.is_some_and(|h| best(Side::Sell).is_none_or(|price| price >= h))
    }

    /// A best quote. Returns whether the stages behind must hear of it.
    pub(crate) fn quote(&mut self, ledger: &Ledger, quote: Quote, trail: Trail) -> bool {
        self.count(ledger, Count::Quotes, 1);
        let newest = self.oracle.newest().map_or(0, |q| q.id);
        let verdicts = self.oracle.quote(quote);
        self.count(ledger, Count::TickerEqual, verdicts.equal);
        self.count(ledger, Count::TickerDiffers, verdicts.differs);
        let news =
            self.state() == BookState::Live && quote.id > newest && quote.id > self.sync.book_id();
        if news {
            self.touch(trail);
        }
        news
    }

    /// A trade, as the stages behind shall see it.
    pub(crate) fn trade(&mut self, ledger: &Ledger, print: TradePrint) -> TradePrint {
        self.count(ledger, Count::Trades, 1);
        self.last_trade = print.price;
        self.marked_at = self.marked_at.max(print.trail.t0);
        TradePrint { missed: self.trades_missed, ..print }
    }

    /// The last trade went out, or did not.
    pub(crate) fn trade_pushed(&mut self, ledger: &Ledger, pushed: bool) {
        if pushed {
            self.trades_missed = 0;
        } else {
            self.trades_missed = self.trades_missed.saturating_add(1);
            self.count(ledger, Count::TradesMissed, 1);
        }
    }

    /// A damaged message.
    pub(crate) fn damaged(&mut self, ledger: &Ledger, stamp: Stamp) -> bool {
        let before = self.state();
        self.count(ledger, Count::Damaged, 1);
        if self.sync.damaged() {
            self.touch(stamp.trail);
        }
        self.changed(ledger, before, stamp.now)
    }

    /// A refused snapshot request.
    pub(crate) fn snapshot_failed(&mut self, ledger: &Ledger) {
        self.count(ledger, Count::SnapshotsRefused, 1);
        self.sync.snapshot_failed();
    }

    /// Its connection came up or went down.
    pub(crate) fn line(&mut self, ledger: &Ledger, up: bool, stamp: Stamp) -> bool {
        let before = self.state();
        self.oracle.clear();
        if up {
            self.sync.line_up();
        } else {
            self.sync.line_down();
        }
        self.touch(stamp.trail);
        self.changed(ledger, before, stamp.now)
    }

    /// The snapshot request that is due now.
    pub(crate) fn request_due(&mut self, now: Nanos) -> Option<ResyncReason> {
        self.sync.poll(now)
    }

    /// That request was sent.
    pub(crate) fn requested(&mut self, ledger: &Ledger, reason: ResyncReason, now: Nanos) {
        self.sync.requested(now);
        self.count(ledger, Count::Requests, 1);
        let timeout = reason == ResyncReason::SnapshotTimeout;
        self.count(ledger, Count::SnapshotsRefused, u64::from(timeout));
    }

    /// Counts the time it has been stale since last asked.
    pub(crate) fn count_stale(&mut self, ledger: &Ledger, now: Nanos) {
        if self.state() == BookState::Stale {
            self.count(ledger, Count::StaleNs, now.since(self.stale_until).0);
            self.stale_until = now;
        }
    }

    /// The state changed since `before`.
    fn changed(&mut self, ledger: &Ledger, before: BookState, now: Nanos) -> bool {
        let after = self.state();
        match (before, after) {
            (BookState::Live, BookState::Stale) => {
                self.count(ledger, Count::Resyncs, 1);
                self.stale_until = now;
            }
            (BookState::Stale, BookState::Live) => {
                self.count(ledger, Count::StaleNs, now.since(self.stale_until).0);
            }
            _ => {}
        }
        before != after
    }

    fn touch(&mut self, trail: Trail) {
        self.trail = trail;
        self.marked_at = self.marked_at.max(trail.t0);
    }

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
        let id = |id: u64| (id > 0).then_some(id);
        let best = |side| ladder.best(side).map(|level| level_text(level, of));
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
            checksums_ok: None,
            checksums_bad: None,
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

fn set_side(ladder: &mut Ladder, side: Side, levels: &[Level]) -> Result<(), Full> {
    levels.iter().try_for_each(|level| ladder.set(side, level.price, level.qty))
}

/// Sets the first `bids` levels as bids, the others as asks.
fn set_levels(ladder: &mut Ladder, bids: u32, levels: &[Level]) -> Result<(), Full> {
    let (bids, asks) = levels.split_at((bids as usize).min(levels.len()));
    set_side(ladder, Side::Buy, bids)?;
    set_side(ladder, Side::Sell, asks)
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
