//! One instrument's book: ladder, synchronisation, ticker oracle and counts.
//!
//! After every whole message, and only then, the book is judged: cut to the venue's depth, held
//! against the venue's checksum, checked for crossing and for the end of what is known.

use bot4_lanes::Counters;
use bot4_types::{
    BookOrder, BookRules, BookState, Instrument, Level, Nanos, ResyncReason, SequenceRule, Side,
    StaleReason, TradePrint, Trail,
};

use crate::buffer::DiffHead;
use crate::checksum::{checksum, stated};
use crate::config::BookConfig;
use crate::far::Full;
use crate::ladder::{Ladder, granularity};
use crate::oracle::{Quote, TickerOracle};
use crate::report::BookSummary;
use crate::rule::is_restart;
use crate::step::{DepthStep, ReplayStep, SnapshotStep};
use crate::sync::BookSync;
use crate::tally::{Count, Tally};
use crate::trades::TradeFilter;

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
    /// By which of the instrument's lines: 0 for A, 1 for B.
    pub(crate) line: usize,
}

/// A snapshot's levels, best first on each side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<'a> {
    pub(crate) last: u64,
    pub(crate) check: Option<u32>,
    pub(crate) bids: &'a [Level],
    pub(crate) asks: &'a [Level],
}

/// What is counted by line.
const WINS: [Count; 2] = [Count::WinsA, Count::WinsB];
const LATES: [Count; 2] = [Count::LatesA, Count::LatesB];
const FILLS: [Count; 2] = [Count::FillsA, Count::FillsB];
const LAG_NS: [Count; 2] = [Count::LagNsA, Count::LagNsB];
const LAG_NS_MAX: [Count; 2] = [Count::LagMaxA, Count::LagMaxB];

/// The book of one instrument.
#[derive(Debug)]
pub(crate) struct InstrumentBook {
    pub(crate) instrument: Instrument,
    pub(crate) rules: BookRules,
    pub(crate) ladder: Ladder,
    pub(crate) sync: BookSync,
    pub(crate) oracle: TickerOracle,
    pub(crate) tally: Tally,
    /// Of the message behind the present top.
    pub(crate) trail: Trail,
    pub(crate) venue_ms: i64,
    /// Receive stamp of the message behind the present mark.
    pub(crate) marked_at: Nanos,
    pub(crate) last_trade: i64,
    trades: TradeFilter,
    trades_missed: u32,
    /// How far the touch may go on each side before the book starts over.
    horizon: [Option<i64>; 2],
    /// It stands still: what comes is not taken.
    paused: bool,
    /// Until when its time as stale is counted.
    stale_until: Nanos,
}

impl InstrumentBook {
    /// Takes all memory it will ever need.
    pub(crate) fn new(instrument: Instrument, config: &BookConfig, lines: usize) -> Self {
        let rules = config.rules_of(instrument.id);
        Self {
            ladder: Ladder::new(config.steps_of(instrument.id), config.far_levels),
            sync: BookSync::new(config.sync, rules, lines),
            oracle: TickerOracle::new(config.quotes_max),
            tally: Tally::new(),
            trail: Trail::default(),
            venue_ms: 0,
            marked_at: Nanos::ZERO,
            last_trade: 0,
            trades: TradeFilter::new(),
            trades_missed: 0,
            rules,
            horizon: [None; 2],
            paused: false,
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
        stamp: Stamp,
    ) -> bool {
        let (before, holding) = (self.state(), self.sync.is_holding());
        self.count(ledger, Count::Levels, levels.len() as u64);
        let step = self.sync.depth(stamp.line, head, levels, stamp.now);
        match step {
            DepthStep::Apply => {
                let fits = set_levels(&mut self.ladder, head.bids, levels);
                if self.settle(ledger, &head, fits) && holding {
                    self.count(ledger, FILLS[stamp.line], 1);
                    self.replay(ledger, stamp.now);
                }
            }
            DepthStep::Buffered => {}
            DepthStep::Held => self.count(ledger, Count::Held, 1),
            DepthStep::Dropped => self.count(ledger, Count::Unsynced, 1),
            DepthStep::StaleDropped => self.count(ledger, Count::StaleDropped, 1),
            DepthStep::Duplicate => self.count(ledger, Count::Duplicates, 1),
            DepthStep::Late => self.line_late(ledger, &head, stamp.line),
            DepthStep::Gap => self.count(ledger, Count::Gaps, 1),
            DepthStep::Overflow => self.count(ledger, Count::Overflows, 1),
            DepthStep::LineDown => self.count(ledger, Count::Ignored, 1),
        }
        if matches!(step, DepthStep::Apply | DepthStep::Held | DepthStep::Buffered)
            && self.sync.lines.are_merged()
        {
            self.sync.lines.arrived(head.last, head.trail.t0);
            self.count(ledger, WINS[stamp.line], 1);
        }
        let applied = step == DepthStep::Apply && self.state() == BookState::Live;
        self.changed(ledger, before, stamp.now) || applied
    }

    /// The second copy of an update.
    fn line_late(&mut self, ledger: &Ledger, head: &DiffHead, line: usize) {
        self.count(ledger, LATES[line], 1);
        if let Some(lag_ns) = self.sync.lines.lag(head.last, head.trail.t0) {
            self.count(ledger, LAG_NS[line], lag_ns);
            self.tally.raise(&ledger.counters, LAG_NS_MAX[line], lag_ns);
        }
    }

    /// A snapshot. Returns whether the stages behind must hear of it.
    pub(crate) fn snapshot(&mut self, ledger: &mut Ledger, whole: Whole<'_>, stamp: Stamp) -> bool {
        let (before, was) = (self.state(), self.update_id());
        let step = self.sync.snapshot(stamp.line, whole.last);
        match step {
            SnapshotStep::Unwanted => self.count(ledger, Count::Ignored, 1),
            SnapshotStep::Known => self.count(ledger, Count::Repeats, 1),
            SnapshotStep::TooOld => self.count(ledger, Count::SnapshotsRefused, 1),
            SnapshotStep::Adopt => {
                let Whole { bids, asks, check, .. } = whole;
                self.count(ledger, Count::Snapshots, 1);
                if whole.last < was {
                    self.oracle.clear(); // the venue counts anew
                }
                self.count(ledger, Count::Levels, (bids.len() + asks.len()) as u64);
                self.venue_ms = stamp.venue_ms;
                self.ladder.reset(granularity(bids, asks, self.instrument.tick));
                self.horizon = [bids, asks].map(|side| self.horizon_of(side));
                let fits = self.ladder.set_all(Side::Buy, bids);
                let fits = fits.and_then(|()| self.ladder.set_all(Side::Sell, asks));
                let counted = self.rules.counts_sum_of(bids.len(), asks.len());
                if self.sound(ledger, fits, check, counted) {
                    self.replay(ledger, stamp.now);
                }
                self.touch(stamp.trail);
            }
        }
        let replaced = step == SnapshotStep::Adopt && self.state() == BookState::Live;
        self.changed(ledger, before, stamp.now) || replaced
    }

    fn replay(&mut self, ledger: &mut Ledger, now: Nanos) {
        loop {
            match self.sync.replay(now) {
                ReplayStep::Apply(head, at) => {
                    let levels = self.sync.buffered(&head, at);
                    let fits = set_levels(&mut self.ladder, head.bids, levels);
                    if !self.settle(ledger, &head, fits) {
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
    fn settle(&mut self, ledger: &mut Ledger, head: &DiffHead, fits: Result<(), Full>) -> bool {
        self.count(ledger, Count::Applied, 1);
        self.venue_ms = head.venue_ms;
        self.touch(head.trail);
        if self.rules.sequence == SequenceRule::Prev && is_restart(head) {
            self.oracle.clear();
        }
        let sound = self.sound(ledger, fits, head.check, true);
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

    /// A book that lacks a level, disagrees with the venue's checksum or is crossed is not to be
    /// shown. A checksum that agrees is counted where `counted`.
    fn sound(
        &mut self,
        ledger: &Ledger,
        fits: Result<(), Full>,
        check: Option<u32>,
        counted: bool,
    ) -> bool {
        if self.rules.depth_max > 0 {
            self.ladder.cut(self.rules.depth_max);
        }
        let (count, reason) = match fits {
            Err(Full) => (Count::Overflows, StaleReason::Capacity),
            Ok(()) if !self.agrees(ledger, check, counted) => {
                (Count::ChecksumsBad, StaleReason::Checksum)
            }
            Ok(()) if self.ladder.crossed() => (Count::Crossed, StaleReason::Crossed),
            Ok(()) if self.is_beyond_horizon() => (Count::Horizons, StaleReason::Horizon),
            Ok(()) => return true,
        };
        self.count(ledger, count, 1);
        self.sync.fail(reason);
        false
    }

    /// The venue's checksum, if it sent one, is that of our book.
    fn agrees(&mut self, ledger: &Ledger, check: Option<u32>, counted: bool) -> bool {
        let rule = self.rules.checksum;
        let Some(want) = stated(rule, check) else { return true };
        let agrees = checksum(rule, &self.ladder, &self.instrument) == Some(want);
        self.count(ledger, Count::ChecksumsOk, u64::from(agrees && counted));
        agrees
    }

    /// The price at which the touch is too near to where a snapshot's `side` was cut, if it was:
    /// three quarters of the way from its first to its last level, by price or by count of levels,
    /// whichever comes first: the levels near the touch may lie close together, and few of them
    /// in the last quarter of the prices.
    fn horizon_of(&self, side: &[Level]) -> Option<i64> {
        let most = self.rules.snapshot_levels;
        let cut = most > 0 && side.len() >= most;
        let (first, last) = (side.first()?.price, side.last()?.price);
        let by_price = first.saturating_add(last.saturating_sub(first) / 4 * 3);
        let by_count = side.get(side.len() / 4 * 3)?.price;
        cut.then(|| if last < first { by_price.max(by_count) } else { by_price.min(by_count) })
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
    pub(crate) fn quote(&mut self, ledger: &Ledger, quote: Quote, stamp: Stamp) -> bool {
        self.count(ledger, Count::Quotes, 1);
        if self.sync.lines.is_earlier(stamp.line) {
            return false; // its number means nothing any more
        }
        let newest = self.oracle.newest().map_or(0, |q| q.id);
        let verdicts = self.oracle.quote(quote);
        self.count(ledger, Count::TickerEqual, verdicts.equal);
        self.count(ledger, Count::TickerDiffers, verdicts.differs);
        let news =
            self.state() == BookState::Live && quote.id > newest && quote.id > self.sync.book_id();
        if news {
            self.touch(stamp.trail);
        }
        news
    }

    /// A trade, as the stages behind shall see it; `None` when it was told before.
    pub(crate) fn trade(
        &mut self,
        ledger: &Ledger,
        line: usize,
        print: TradePrint,
    ) -> Option<TradePrint> {
        if !self.trades.is_new(line, print.id, print.venue_ms) {
            self.count(ledger, Count::TradesRepeated, 1);
            return None;
        }
        self.count(ledger, Count::Trades, 1);
        self.last_trade = print.price;
        self.marked_at = self.marked_at.max(print.trail.t0);
        Some(TradePrint { missed: self.trades_missed, ..print })
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

    /// A damaged message (`Damaged`), or a hole in the line's own numbering (`Gap`).
    pub(crate) fn doubt(&mut self, ledger: &Ledger, reason: StaleReason, stamp: Stamp) -> bool {
        let before = self.state();
        let damaged = reason == StaleReason::Damaged;
        self.count(ledger, if damaged { Count::Damaged } else { Count::LineGaps }, 1);
        if self.sync.doubt(stamp.line, reason) {
            self.count(ledger, Count::Gaps, u64::from(!damaged));
            self.touch(stamp.trail);
        }
        self.changed(ledger, before, stamp.now)
    }

    /// A refused snapshot request.
    pub(crate) fn snapshot_failed(&mut self, ledger: &Ledger) {
        self.count(ledger, Count::SnapshotsRefused, 1);
        self.sync.snapshot_failed();
    }

    /// Its instrument changed: it starts over by the new rules, or stands still.
    pub(crate) fn obey(&mut self, ledger: &Ledger, order: &BookOrder, now: Nanos) -> bool {
        let before = self.state();
        self.instrument.tick = order.tick;
        self.paused = order.paused;
        let reason = if order.shed { StaleReason::Shed } else { StaleReason::Rules };
        self.sync.begin_anew(reason);
        self.oracle.clear();
        self.changed(ledger, before, now)
    }

    /// It stands still until told otherwise.
    pub(crate) const fn is_paused(&self) -> bool {
        self.paused
    }

    /// One of its connections came up or went down.
    pub(crate) fn line(&mut self, ledger: &Ledger, up: bool, stamp: Stamp) -> bool {
        let before = self.state();
        let lost = if up {
            self.trades.line_up(stamp.line);
            self.sync.line_up(stamp.line, stamp.now)
        } else {
            self.sync.line_down(stamp.line)
        };
        if lost {
            let gap = !up && before == BookState::Live && self.sync.reason() == StaleReason::Gap;
            self.count(ledger, Count::Gaps, u64::from(gap));
            self.oracle.clear();
            self.touch(stamp.trail);
        }
        self.changed(ledger, before, stamp.now)
    }

    /// What it holds back waited too long. Returns whether the stages behind must hear of it.
    pub(crate) fn expire(&mut self, ledger: &Ledger, now: Nanos) -> bool {
        let before = self.state();
        if self.sync.expire(now) {
            self.count(ledger, Count::HoldsExpired, 1);
            self.count(ledger, Count::Gaps, 1);
        }
        self.changed(ledger, before, now)
    }

    /// Its updates cover ranges of ids.
    pub(crate) const fn has_ranges(&self) -> bool {
        matches!(self.rules.sequence, SequenceRule::FirstLast | SequenceRule::FirstThenPrev)
    }

    /// It wants to be looked at each turn.
    pub(crate) const fn is_restless(&self) -> bool {
        !matches!(self.state(), BookState::Live) || self.sync.is_holding()
    }

    /// The line by which the next snapshot request goes.
    pub(crate) fn asked_line(&self) -> usize {
        self.sync.asked_line()
    }

    /// The snapshot request that is due now.
    pub(crate) fn request_due(&mut self, now: Nanos) -> Option<ResyncReason> {
        if self.paused { None } else { self.sync.poll(now) }
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
        if before != after {
            self.count(ledger, Count::Lives, u64::from(after == BookState::Live));
            self.count(ledger, Count::LifeEnds, u64::from(before == BookState::Live));
        }
        before != after
    }

    fn touch(&mut self, trail: Trail) {
        self.trail = trail;
        self.marked_at = self.marked_at.max(trail.t0);
    }
}

/// Sets the first `bids` levels as bids, the others as asks.
fn set_levels(ladder: &mut Ladder, bids: u32, levels: &[Level]) -> Result<(), Full> {
    let (bids, asks) = levels.split_at((bids as usize).min(levels.len()));
    ladder.set_all(Side::Buy, bids)?;
    ladder.set_all(Side::Sell, asks)
}
