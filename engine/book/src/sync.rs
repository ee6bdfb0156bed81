//! Synchronising a book with its stream: snapshot plus diffs, without sockets or clocks.
//!
//! ```text
//!            first diff, line up              snapshot fits, buffer replays
//!   Waiting ---------------------> Syncing ---------------------------------> Live
//!                                     ^  ask again, keep the buffer            |
//!                                     '--- snapshot too old, failed, timed out |
//!                     snapshot fits                                            v
//!   Live <------------------------ Stale <--- gap, crossed, damaged, line down, capacity
//! ```
//!
//! While a book is not live its diffs are copied into a buffer of fixed size (their blocks go
//! back to the parser at once, so a book that waits can never starve the parser that must bring
//! its snapshot). The buffer outlives refused snapshots: a venue whose cached snapshot lags would
//! otherwise never be caught.
//!
//! Requests are paced: the first at once, the next ones at a distance that doubles up to a bound
//! and shrinks again after a quiet time, whatever the cause.

use bot4_types::{BookState, Level, Nanos, ResyncReason, SequenceRule, StaleReason, Trail};

/// What an update is to a book with id `book`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Old,
    Fits,
    Gap,
}

/// What an update `first..=last` is to a book with id `book`.
const fn verdict(_rule: SequenceRule, book: u64, first: u64, last: u64) -> Verdict {
    if last <= book {
        Verdict::Old
    } else if first > book.saturating_add(1) {
        Verdict::Gap
    } else {
        Verdict::Fits
    }
}

/// A snapshot with id `last` leaves a hole before an update that starts at `first`.
const fn too_old(_rule: SequenceRule, last: u64, first: u64) -> bool {
    last.saturating_add(1) < first
}

/// Bounds and pace of synchronisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// Numbering of the venue.
    pub rule: SequenceRule,
    /// Diffs kept while a snapshot is awaited: 512 are 51 s at one each 100 ms.
    pub events_max: usize,
    /// Levels kept in those diffs: 16,384 are about 40 s of a busy symbol (256 KiB).
    pub levels_max: usize,
    /// A snapshot not answered within this time is asked for again.
    pub snapshot_timeout: Nanos,
    /// Shortest time between two snapshot requests of one instrument; doubles with each.
    pub request_gap_min: Nanos,
    /// Longest time between two snapshot requests; twice this without one resets the pace.
    pub request_gap_max: Nanos,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            rule: SequenceRule::FirstLast,
            events_max: 512,
            levels_max: 16_384,
            snapshot_timeout: Nanos::from_secs(5),
            request_gap_min: Nanos::from_millis(250),
            request_gap_max: Nanos::from_secs(8),
        }
    }
}

/// What a diff says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffHead {
    /// First update id covered.
    pub first: u64,
    /// Last update id covered.
    pub last: u64,
    /// Bid levels, first in the diff's levels.
    pub bids: u32,
    /// Ask levels, behind the bids.
    pub asks: u32,
    /// Venue time, Unix ms.
    pub venue_ms: i64,
    /// Of its message.
    pub trail: Trail,
}

/// What to do with a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepthStep {
    /// Apply its levels now.
    Apply,
    /// Kept until a snapshot fits.
    Buffered,
    /// At or before the snapshot: the book contains it.
    StaleDropped,
    /// At or before the book: a repeat.
    Duplicate,
    /// Updates are missing before it: the book is stale, the diff is kept.
    Gap,
    /// The buffer was full: it starts again from this diff.
    Overflow,
    /// Its connection is down: ignored.
    LineDown,
}

/// What to do with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStep {
    /// Load it, then call [`BookSync::replay`] until it is done.
    Adopt,
    /// It does not reach the buffered diffs; another one is asked for.
    TooOld,
    /// Nobody waits for one.
    Unwanted,
}

/// What comes next after a snapshot was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayStep {
    /// Apply these levels of [`BookSync::buffered`].
    Apply(DiffHead, usize),
    /// The snapshot contains it.
    StaleDropped,
    /// A repeat.
    Duplicate,
    /// Updates are missing within the buffer: not live, what follows the hole is kept.
    Gap,
    /// The book is live.
    Done,
}

/// The state machine of one instrument.
#[derive(Debug)]
pub struct BookSync {
    config: SyncConfig,
    state: BookState,
    reason: StaleReason,
    was_live: bool,
    line_up: bool,
    book_id: u64,
    snapshot_id: u64,
    /// A snapshot below this id cannot mend the book.
    floor_id: u64,
    buffer: DiffBuffer,
    wanted: Option<ResyncReason>,
    /// When an unanswered request counts as lost; [`Nanos::MAX`] when none is open.
    deadline: Nanos,
    last_request: Option<Nanos>,
    gap: Nanos,
}

impl BookSync {
    /// A book that has received nothing. Allocates its buffer; nothing later.
    #[must_use]
    pub fn new(config: SyncConfig) -> Self {
        Self {
            config,
            state: BookState::Waiting,
            reason: StaleReason::None,
            was_live: false,
            line_up: true,
            book_id: 0,
            snapshot_id: 0,
            floor_id: 0,
            buffer: DiffBuffer::new(config.events_max, config.levels_max),
            wanted: None,
            deadline: Nanos::MAX,
            last_request: None,
            gap: config.request_gap_min,
        }
    }

    /// How far the book may be trusted.
    #[must_use]
    pub const fn state(&self) -> BookState {
        self.state
    }

    /// Why it is stale.
    #[must_use]
    pub const fn reason(&self) -> StaleReason {
        self.reason
    }

    /// Id of the last update in the book, zero before the first snapshot.
    #[must_use]
    pub const fn book_id(&self) -> u64 {
        self.book_id
    }

    /// Id of the snapshot the book was built on, zero before the first.
    #[must_use]
    pub const fn snapshot_id(&self) -> u64 {
        self.snapshot_id
    }

    /// It has been live before.
    #[must_use]
    pub const fn was_live(&self) -> bool {
        self.was_live
    }

    /// A diff with its levels, bids first.
    pub fn depth(&mut self, head: DiffHead, levels: &[Level]) -> DepthStep {
        if !self.line_up {
            return DepthStep::LineDown;
        }
        if self.state == BookState::Live {
            return self.depth_live(head, levels);
        }
        if self.state == BookState::Waiting {
            self.state = BookState::Syncing;
            self.ask(ResyncReason::Start);
        }
        if self.buffer.push(head, levels) {
            return DepthStep::Buffered;
        }
        self.buffer.clear();
        self.buffer.push(head, levels); // a diff above the whole bound shows as a gap later
        DepthStep::Overflow
    }

    fn depth_live(&mut self, head: DiffHead, levels: &[Level]) -> DepthStep {
        match verdict(self.config.rule, self.book_id, head.first, head.last) {
            Verdict::Fits => {
                self.book_id = head.last;
                DepthStep::Apply
            }
            Verdict::Old if head.last <= self.snapshot_id => DepthStep::StaleDropped,
            Verdict::Old => DepthStep::Duplicate,
            Verdict::Gap => {
                self.fail(StaleReason::Gap);
                self.buffer.push(head, levels);
                DepthStep::Gap
            }
        }
    }

    /// A snapshot with id `last` arrived.
    pub fn snapshot(&mut self, last: u64) -> SnapshotStep {
        if !self.line_up || self.state == BookState::Live {
            return SnapshotStep::Unwanted;
        }
        self.deadline = Nanos::MAX;
        let hole = self.buffer.first().is_some_and(|d| too_old(self.config.rule, last, d.first));
        if hole || last < self.floor_id {
            self.state = if self.was_live { BookState::Stale } else { BookState::Syncing };
            self.ask(ResyncReason::SnapshotTooOld);
            return SnapshotStep::TooOld;
        }
        self.wanted = None;
        self.book_id = last;
        self.snapshot_id = last;
        SnapshotStep::Adopt
    }

    /// The next step after [`SnapshotStep::Adopt`]; call until `Done` or `Gap`.
    pub fn replay(&mut self) -> ReplayStep {
        let Some((head, at)) = self.buffer.next() else {
            self.buffer.clear();
            self.state = BookState::Live;
            self.reason = StaleReason::None;
            self.was_live = true;
            return ReplayStep::Done;
        };
        match verdict(self.config.rule, self.book_id, head.first, head.last) {
            Verdict::Fits => {
                self.book_id = head.last;
                ReplayStep::Apply(head, at)
            }
            Verdict::Old if head.last <= self.snapshot_id => ReplayStep::StaleDropped,
            Verdict::Old => ReplayStep::Duplicate,
            Verdict::Gap => {
                self.buffer.keep_from_last();
                self.start_over(StaleReason::Gap);
                ReplayStep::Gap
            }
        }
    }

    /// The levels of a diff that [`replay`](Self::replay) named.
    #[must_use]
    pub fn buffered(&self, head: &DiffHead, at: usize) -> &[Level] {
        &self.buffer.levels[at..at + (head.bids + head.asks) as usize]
    }

    /// The book cannot be trusted any more: buffer what comes and ask for a snapshot. `Crossed`,
    /// `Damaged` and `Capacity` come from outside, gaps are found here.
    pub fn fail(&mut self, reason: StaleReason) {
        self.buffer.clear();
        self.start_over(reason);
    }

    /// A damaged message: a live book is stale; one that is not will find the hole by itself.
    /// Returns whether anything changed.
    pub fn damaged(&mut self) -> bool {
        let live = self.state == BookState::Live;
        if live {
            self.fail(StaleReason::Damaged);
        }
        live
    }

    /// The connection came up: everything before it is history.
    pub fn line_up(&mut self) {
        self.line_lost();
        self.line_up = true;
        if !self.was_live {
            self.state = BookState::Syncing;
        }
        self.ask(ResyncReason::Start);
    }

    /// The connection is down or silent.
    pub fn line_down(&mut self) {
        self.line_lost();
        self.line_up = false;
    }

    /// The request was refused or its answer unusable.
    pub fn snapshot_failed(&mut self) {
        if self.line_up && matches!(self.state, BookState::Syncing | BookState::Stale) {
            self.deadline = Nanos::MAX;
            self.ask(ResyncReason::SnapshotFailed);
        }
    }

    /// The request that is due now, if any. Also notices an answer that did not come.
    pub fn poll(&mut self, now: Nanos) -> Option<ResyncReason> {
        if now >= self.deadline {
            self.deadline = Nanos::MAX;
            self.ask(ResyncReason::SnapshotTimeout);
        }
        let due = self.last_request.is_none_or(|at| now >= at + self.gap);
        self.wanted.filter(|_| due)
    }

    /// The request that [`poll`](Self::poll) named was sent.
    pub fn requested(&mut self, now: Nanos) {
        let (min, max) = (self.config.request_gap_min, self.config.request_gap_max);
        let quiet = self.last_request.is_none_or(|at| now - at > max + max);
        self.gap = if quiet { min } else { (self.gap + self.gap).min(max) };
        self.last_request = Some(now);
        self.wanted = None;
        self.deadline = now + self.config.snapshot_timeout;
    }

    /// Diffs waiting for a snapshot.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.heads.len()
    }

    fn ask(&mut self, reason: ResyncReason) {
        self.wanted = Some(reason);
    }

    fn start_over(&mut self, reason: StaleReason) {
        self.floor_id = self.book_id;
        if self.was_live {
            self.state = BookState::Stale;
            self.reason = reason;
        } else {
            self.state = BookState::Syncing;
        }
        self.ask(match reason {
            StaleReason::Crossed => ResyncReason::Crossed,
            StaleReason::Damaged => ResyncReason::Damaged,
            StaleReason::Capacity => ResyncReason::SnapshotFailed,
            StaleReason::Horizon => ResyncReason::Horizon,
            StaleReason::Gap | StaleReason::Line | StaleReason::None => ResyncReason::Gap,
        });
    }

    /// A new connection may reach a venue that counts from elsewhere: no floor remains.
    fn line_lost(&mut self) {
        self.buffer.clear();
        self.wanted = None;
        self.deadline = Nanos::MAX;
        self.floor_id = 0;
        if self.was_live {
            self.state = BookState::Stale;
            self.reason = StaleReason::Line;
        } else {
            self.state = BookState::Waiting;
        }
    }
}

/// Diffs in order of arrival, with a cursor for the replay. Fixed capacity.
#[derive(Debug)]
struct DiffBuffer {
    heads: Vec<(DiffHead, usize)>,
    levels: Vec<Level>,
    events_max: usize,
    levels_max: usize,
    cursor: usize,
}

impl DiffBuffer {
    fn new(events_max: usize, levels_max: usize) -> Self {
        Self {
            heads: Vec::with_capacity(events_max),
            levels: Vec::with_capacity(levels_max),
            events_max,
            levels_max,
            cursor: 0,
        }
    }

    /// Keeps a diff; `false` when it does not fit.
    fn push(&mut self, head: DiffHead, levels: &[Level]) -> bool {
        let fits = self.heads.len() < self.events_max
            && levels.len() <= self.levels_max - self.levels.len();
        if fits {
            self.heads.push((head, self.levels.len()));
            self.levels.extend_from_slice(levels);
        }
        fits
    }

    fn first(&self) -> Option<&DiffHead> {
        self.heads.first().map(|(head, _)| head)
    }

    fn next(&mut self) -> Option<(DiffHead, usize)> {
        let next = self.heads.get(self.cursor).copied();
        self.cursor += usize::from(next.is_some());
        next
    }

    /// Forgets what was replayed before the diff named last.
    fn keep_from_last(&mut self) {
        let from = self.cursor.saturating_sub(1);
        let cut = self.heads.get(from).map_or(self.levels.len(), |(_, at)| *at);
        self.heads.drain(..from);
        self.levels.drain(..cut);
        for (_, at) in &mut self.heads {
            *at -= cut;
        }
        self.cursor = 0;
    }

    fn clear(&mut self) {
        self.heads.clear();
        self.levels.clear();
        self.cursor = 0;
    }
}
