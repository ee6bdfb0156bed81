//! Synchronising a book with its stream: snapshot plus diffs, without sockets or clocks.
//!
//! ```text
//!            first diff, line up              snapshot fits, buffer replays
//!   Waiting ---------------------> Syncing ---------------------------------> Live <--.
//!                                     ^  ask again, keep the buffer            |  |   | streamed
//!                                     '--- snapshot too old, failed, timed out |  '---' snapshot
//!                     snapshot fits                                            v
//!   Live <------------------------ Stale <--- gap, crossed, checksum, damaged, line, capacity
//! ```
//!
//! * **Snapshots that are asked for.** While a book is not live its diffs are copied into a buffer
//!   of fixed size (their blocks go back to the parser at once, so a book that waits can never
//!   starve the parser that must bring its snapshot). The buffer outlives refused snapshots: a
//!   venue whose cached snapshot lags would otherwise never be caught.
//! * **Snapshots that the stream sends.** Each one replaces the book, also a live one; diffs
//!   before it are of no use and dropped. To ask means to subscribe again.
//! * **Two lines.** The first copy of an update wins. An update ahead of a hole waits in the same
//!   buffer while the other line may still bring what is missing, for a bounded time; the book
//!   stays live, in sequence at the update before the hole. See [`crate::lines`].
//!
//! Requests are paced: the first at once, the next ones at a distance that doubles up to a bound
//! and shrinks again after a quiet time, whatever the cause.

use core::cmp::Ordering;

use bot4_types::{
    BookRules, BookState, Level, Nanos, ResyncReason, SequenceRule, SnapshotSource, StaleReason,
};

use crate::buffer::{DiffBuffer, DiffHead, Taken};
use crate::lines::{Heard, Lines};
use crate::rule::{Position, Verdict, is_far_below, is_restart, verdict};
use crate::step::{DepthStep, ReplayStep, SnapshotStep};

/// Bounds and pace of synchronisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// Diffs kept while a snapshot or a missing update is awaited: 512 are 51 s at one each
    /// 100 ms.
    pub events_max: usize,
    /// Levels kept in those diffs: 16,384 are about 40 s of a busy symbol (256 KiB).
    pub levels_max: usize,
    /// A snapshot not answered within this time is asked for again.
    pub snapshot_timeout: Nanos,
    /// Shortest time between two snapshot requests of one instrument; doubles with each.
    pub request_gap_min: Nanos,
    /// Longest time between two snapshot requests; twice this without one resets the pace.
    pub request_gap_max: Nanos,
    /// How long the other line may take to bring an update that one line lost.
    pub hold_max: Nanos,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            events_max: 512,
            levels_max: 16_384,
            snapshot_timeout: Nanos::from_secs(5),
            request_gap_min: Nanos::from_millis(250),
            request_gap_max: Nanos::from_secs(8),
            hold_max: Nanos::from_millis(500),
        }
    }
}

/// The state machine of one instrument.
#[derive(Debug)]
pub struct BookSync {
    config: SyncConfig,
    rules: BookRules,
    state: BookState,
    reason: StaleReason,
    was_live: bool,
    at: Position,
    snapshot_id: u64,
    pub(crate) lines: Lines,
    buffer: DiffBuffer,
    /// When the hole that diffs in the buffer of a live book wait for was found.
    held_since: Option<Nanos>,
    /// Since when the only line that is up brings nothing but what the book contains.
    behind_since: Option<Nanos>,
    wanted: Option<ResyncReason>,
    /// When an unanswered request counts as lost; [`Nanos::MAX`] when none is open.
    deadline: Nanos,
    last_request: Option<Nanos>,
    gap: Nanos,
    requests: usize,
}

impl BookSync {
    /// A book by `lines` connections that has received nothing. Allocates its buffer; nothing
    /// later.
    #[must_use]
    pub fn new(config: SyncConfig, rules: BookRules, lines: usize) -> Self {
        let streamed = rules.snapshots == SnapshotSource::Streamed;
        Self {
            config,
            rules,
            state: BookState::Waiting,
            reason: StaleReason::None,
            was_live: false,
            at: Position::default(),
            snapshot_id: 0,
            lines: Lines::new(lines, rules.is_mergeable(), rules.is_mergeable() && streamed),
            buffer: DiffBuffer::new(config.events_max, config.levels_max),
            held_since: None,
            behind_since: None,
            wanted: None,
            deadline: Nanos::MAX,
            last_request: None,
            gap: config.request_gap_min,
            requests: 0,
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
        self.at.id
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

    /// The book is live, and diffs wait for an update that the other line may bring.
    #[must_use]
    pub const fn is_holding(&self) -> bool {
        self.held_since.is_some()
    }

    /// A diff by `line` with its levels, bids first.
    pub fn depth(
        &mut self,
        line: usize,
        head: DiffHead,
        levels: &[Level],
        now: Nanos,
    ) -> DepthStep {
        if !self.lines.is_heard(line) {
            return DepthStep::LineDown;
        }
        let heard = self.lines.note(line, &head);
        if self.state == BookState::Live {
            return match heard {
                Heard::Earlier => DepthStep::Late,
                _ => self.depth_live(line, head, levels, heard == Heard::Repeat, now),
            };
        }
        if self.is_streamed() {
            self.state = self.state_of_waiting();
            return DepthStep::Dropped;
        }
        if self.state == BookState::Waiting {
            self.state = BookState::Syncing;
            self.ask(ResyncReason::Start);
        }
        if self.lines.are_merged() && self.buffer.knows(&head) {
            return if heard == Heard::Repeat { DepthStep::Duplicate } else { DepthStep::Late };
        }
        if self.buffer.push(head, levels) {
            return DepthStep::Buffered;
        }
        self.buffer.clear();
        self.buffer.push(head, levels); // a diff above the whole bound shows as a gap later
        DepthStep::Overflow
    }

    fn depth_live(
        &mut self,
        line: usize,
        head: DiffHead,
        levels: &[Level],
        repeat: bool,
        now: Nanos,
    ) -> DepthStep {
        let copy = self.lines.are_merged() && !repeat;
        match verdict(self.rules.sequence, &self.at, &head) {
            Verdict::Fits => {
                self.behind_since = None;
                self.advance(&head);
                DepthStep::Apply
            }
            Verdict::Old if copy && self.is_left_behind(now) => {
                self.gap_found();
                if !self.is_streamed() {
                    self.buffer.push(head, levels);
                }
                DepthStep::Gap
            }
            Verdict::Old if copy => DepthStep::Late,
            Verdict::Old if head.last <= self.snapshot_id => DepthStep::StaleDropped,
            Verdict::Old => DepthStep::Duplicate,
            // Far below the book, yet of its count.
            Verdict::Gap
                if copy
                    && self.is_streamed()
                    && head.last <= self.at.id
                    && !is_restart(&head)
                    && self.lines.is_in_step(line) =>
            {
                DepthStep::Late
            }
            Verdict::Gap => self.depth_ahead(head, levels, copy, now),
        }
    }

    /// The only line that is up has brought old numbers for longer than it may lag: it counts
    /// from elsewhere, or lost what the book misses.
    fn is_left_behind(&mut self, now: Nanos) -> bool {
        if !self.lines.is_alone() {
            self.behind_since = None;
            return false;
        }
        let since = *self.behind_since.get_or_insert(now);
        now.since(since) >= self.config.hold_max
    }

    /// A diff behind a hole: the other line may fill it, or the book starts over.
    fn depth_ahead(
        &mut self,
        head: DiffHead,
        levels: &[Level],
        copy: bool,
        now: Nanos,
    ) -> DepthStep {
        if self.lines.may_fill(self.at.id) {
            if self.buffer.knows(&head) {
                return if copy { DepthStep::Late } else { DepthStep::Duplicate };
            }
            if self.buffer.push(head, levels) {
                self.held_since.get_or_insert(now);
                return DepthStep::Held;
            }
        }
        self.gap_found();
        if !self.is_streamed() && !self.buffer.knows(&head) {
            self.buffer.push(head, levels);
        }
        DepthStep::Gap
    }

    /// A snapshot with id `last` arrived by `line`.
    pub fn snapshot(&mut self, line: usize, last: u64) -> SnapshotStep {
        if !self.lines.is_heard(line) {
            return SnapshotStep::Unwanted;
        }
        if self.is_streamed() { self.streamed(line, last) } else { self.requested_one(last) }
    }

    fn requested_one(&mut self, last: u64) -> SnapshotStep {
        if self.state == BookState::Live {
            return SnapshotStep::Unwanted;
        }
        self.deadline = Nanos::MAX;
        if self.lines.are_merged() {
            self.buffer.retain(|d| !is_far_below(last, d.last)); // of another count
        }
        let start = Position::at_snapshot(last);
        let fits = |d: &DiffHead| verdict(self.rules.sequence, &start, d) != Verdict::Gap;
        // Where nothing waits, what follows the snapshot must be still to come.
        let reaches = self.buffer.first().map_or_else(|| self.lines.may_follow(last), fits);
        if !reaches {
            self.state = self.state_of_waiting();
            self.ask(ResyncReason::SnapshotTooOld);
            return SnapshotStep::TooOld;
        }
        self.adopt(last)
    }

    /// A snapshot of the stream itself replaces the book, unless two lines tell that it is old.
    fn streamed(&mut self, line: usize, last: u64) -> SnapshotStep {
        let live = (self.state == BookState::Live).then_some(self.at.id);
        let count = self.lines.note_snapshot(line, last, live);
        // A count that starts anew twice can be at its first number both times.
        let same = last > 1 && live == Some(last);
        let past = live.is_some_and(|id| last < id) && count == Ordering::Equal;
        let earlier = live.is_some() && count == Ordering::Less;
        if same || (self.lines.are_merged() && (past || earlier)) {
            return SnapshotStep::Known;
        }
        if count == Ordering::Greater {
            // What waits from before the restart will never be reached.
            self.buffer.retain(|d| !is_far_below(last, d.last));
        }
        self.lines.follow(line);
        self.adopt(last)
    }

    fn adopt(&mut self, last: u64) -> SnapshotStep {
        self.wanted = None;
        self.deadline = Nanos::MAX;
        (self.held_since, self.behind_since) = (None, None);
        self.at = Position::at_snapshot(last);
        self.snapshot_id = last;
        SnapshotStep::Adopt
    }

    /// The next step after [`SnapshotStep::Adopt`], or after [`DepthStep::Apply`] while holding;
    /// call until `Done` or `Gap`.
    pub fn replay(&mut self, now: Nanos) -> ReplayStep {
        match self.buffer.take(self.rules.sequence, &self.at) {
            Some(Taken::Fits(head, at)) => {
                // The hole behind it is a new one.
                self.held_since = self.held_since.map(|_| now);
                self.advance(&head);
                ReplayStep::Apply(head, at)
            }
            Some(Taken::Old(head)) if head.last <= self.snapshot_id => ReplayStep::StaleDropped,
            Some(Taken::Old(_)) => ReplayStep::Duplicate,
            None if self.buffer.len() == 0 => {
                self.buffer.clear();
                self.held_since = None;
                self.live()
            }
            None if self.lines.may_fill(self.at.id) => {
                self.held_since.get_or_insert(now);
                self.live()
            }
            None => {
                self.gap_found();
                ReplayStep::Gap
            }
        }
    }

    fn live(&mut self) -> ReplayStep {
        self.state = BookState::Live;
        self.reason = StaleReason::None;
        self.was_live = true;
        ReplayStep::Done
    }

    /// The levels of a diff that [`replay`](Self::replay) named.
    #[must_use]
    pub fn buffered(&self, head: &DiffHead, at: usize) -> &[Level] {
        self.buffer.levels_of(head, at)
    }

    /// The book cannot be trusted any more: buffer what comes and ask for a snapshot. `Crossed`,
    /// `Checksum`, `Damaged` and `Capacity` come from outside, gaps are found here.
    pub fn fail(&mut self, reason: StaleReason) {
        self.buffer.clear();
        self.start_over(reason);
    }

    /// Starts over for `reason` where a line is up; one that comes up does so by itself.
    pub fn begin_anew(&mut self, reason: StaleReason) {
        if self.lines.any_up() {
            self.fail(reason);
        }
    }

    /// A message of `line` was damaged, or its connection lost some (`reason`): a live book is
    /// stale, unless the other line carries it; one that is not live will find the hole by
    /// itself. Returns whether anything changed.
    pub fn doubt(&mut self, line: usize, reason: StaleReason) -> bool {
        self.lines.doubt(line);
        let doubtful = self.state == BookState::Live
            && self.lines.is_heard(line)
            && !self.lines.is_covered_without(line, self.at.id);
        if doubtful {
            self.fail(reason);
        }
        doubtful
    }

    /// A connection came up: everything it brought before is history. Returns whether the book
    /// starts over, which it does not while another line carries it.
    pub fn line_up(&mut self, line: usize, now: Nanos) -> bool {
        let lost = self.lines.is_up(line) && self.line_down(line);
        if !self.lines.up(line) {
            return lost;
        }
        self.line_lost();
        // Requests are slowed down for the sake of one connection's trouble. A new connection is
        // paced by the connects that the venue allows, and its books must not wait for the past.
        self.gap = self.config.request_gap_min;
        if !self.was_live {
            self.state = BookState::Syncing;
        }
        if self.is_streamed() {
            self.deadline = now + self.config.snapshot_timeout;
        } else {
            self.ask(ResyncReason::Start);
        }
        true
    }

    /// A connection is down or silent. Returns whether the book starts over for that.
    pub fn line_down(&mut self, line: usize) -> bool {
        let heard = self.lines.is_heard(line);
        let covered = self.lines.is_covered_without(line, self.at.id);
        self.lines.down(line);
        if !heard {
            return false;
        }
        if let Some(newest) = self.lines.newest().filter(|_| self.lines.are_merged()) {
            // What only the lost line brought, the other one brings as well, or never.
            self.buffer.retain(|d| d.last <= newest);
            self.held_since = self.held_since.filter(|_| self.buffer.len() > 0);
        }
        if covered && self.state == BookState::Live {
            let hopeless = self.is_holding() && !self.lines.may_fill(self.at.id);
            if hopeless {
                self.gap_found();
            }
            return hopeless;
        }
        let another = self.lines.any_up();
        if self.lines.are_merged() && another && self.state != BookState::Live {
            self.ask(ResyncReason::Start); // the answer would have come by the lost one
            return false;
        }
        self.line_lost();
        if another {
            // A merged line that has said nothing yet will begin with its own snapshot.
            self.state = self.state_of_waiting();
            let silent = self.lines.newest().is_none();
            let comes = self.is_streamed() && self.lines.are_merged() && silent;
            self.wanted = (!comes).then_some(ResyncReason::Start);
        }
        true
    }

    /// The request was refused or its answer unusable.
    pub fn snapshot_failed(&mut self) {
        if self.lines.any_up() && matches!(self.state, BookState::Syncing | BookState::Stale) {
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
        let silent = self.is_streamed() && self.wanted.is_none() && self.deadline == Nanos::MAX;
        if silent && matches!(self.state, BookState::Syncing | BookState::Stale) {
            // The stream owes a snapshot; somebody has to miss it.
            self.deadline = now + self.config.snapshot_timeout;
        }
        let due = self.last_request.is_none_or(|at| now >= at + self.gap);
        self.wanted.filter(|_| due && self.lines.any_up())
    }

    /// The line by which the next request goes.
    #[must_use]
    pub fn asked_line(&self) -> usize {
        self.lines.asked(self.requests)
    }

    /// The request that [`poll`](Self::poll) named was sent.
    pub fn requested(&mut self, now: Nanos) {
        let (min, max) = (self.config.request_gap_min, self.config.request_gap_max);
        let quiet = self.last_request.is_none_or(|at| now - at > max + max);
        self.gap = if quiet { min } else { (self.gap + self.gap).min(max) };
        self.last_request = Some(now);
        self.requests = self.requests.wrapping_add(1);
        self.wanted = None;
        self.deadline = now + self.config.snapshot_timeout;
    }

    /// What is missing did not come in time: the book starts over. Returns whether it does.
    pub fn expire(&mut self, now: Nanos) -> bool {
        let late = self.held_since.is_some_and(|at| now.since(at) >= self.config.hold_max);
        if late {
            self.gap_found();
        }
        late
    }

    /// Diffs waiting for a snapshot or a missing update.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    const fn is_streamed(&self) -> bool {
        matches!(self.rules.snapshots, SnapshotSource::Streamed)
    }

    const fn state_of_waiting(&self) -> BookState {
        if self.was_live { BookState::Stale } else { BookState::Syncing }
    }

    /// `head` is in the book from here on.
    fn advance(&mut self, head: &DiffHead) {
        // A message without a time says nothing about the order.
        if head.last > 0 || !matches!(self.rules.sequence, SequenceRule::Unnumbered) {
            self.at.advance(head);
        }
        if is_restart(head) {
            self.lines.follow_restart();
        }
    }

    fn ask(&mut self, reason: ResyncReason) {
        self.wanted = Some(reason);
    }

    /// Updates are missing for good. What waits behind the hole is kept where a snapshot that is
    /// asked for may reach it.
    fn gap_found(&mut self) {
        if self.is_streamed() {
            self.buffer.clear();
        }
        self.start_over(StaleReason::Gap);
    }

    fn start_over(&mut self, reason: StaleReason) {
        (self.held_since, self.behind_since) = (None, None);
        self.state = self.state_of_waiting();
        if self.was_live {
            self.reason = reason;
        }
        self.ask(match reason {
            StaleReason::Crossed => ResyncReason::Crossed,
            StaleReason::Damaged => ResyncReason::Damaged,
            StaleReason::Capacity => ResyncReason::SnapshotFailed,
            StaleReason::Horizon => ResyncReason::Horizon,
            StaleReason::Checksum => ResyncReason::Checksum,
            StaleReason::Rules | StaleReason::Shed => ResyncReason::Rules,
            StaleReason::Gap | StaleReason::Line | StaleReason::None => ResyncReason::Gap,
        });
    }

    /// Nothing of what the lost connection brought remains.
    fn line_lost(&mut self) {
        self.buffer.clear();
        (self.held_since, self.behind_since) = (None, None);
        self.wanted = None;
        self.deadline = Nanos::MAX;
        if self.was_live {
            self.state = BookState::Stale;
            self.reason = StaleReason::Line;
        } else {
            self.state = BookState::Waiting;
        }
    }
}
