//! Replacing the stream connection without a gap: before the venue cuts it for its age, when its
//! server announces that it goes away, and where nothing else mends a book.
//!
//! ```text
//!   old  ----messages------------------------------------x closed in order
//!   new         connect, subscribe ----messages------------------------------>
//!                                  |<-- both deliver -->|
//!                              SwitchBegin          SwitchEnd
//! ```
//!
//! The new connection is opened first, and both deliver for a while: longer than their ways can
//! differ, so that what the old one has not brought by its end the new one has. Then the old one
//! is closed. There is no `LineDown`.
//!
//! * **Snapshots are requested, updates are numbered** (Binance): both count as one connection.
//!   The books take what is new by its number and drop the repeats, as with two lines.
//! * **Snapshots are streamed**: an old connection's update must not follow a new one's snapshot,
//!   and the connections' own numbering must not be mixed. So the two have different numbers, and
//!   the parser changes over for each instrument where the new connection's snapshot comes
//!   (`SwitchBegin`, `SwitchEnd`; see [`crate::parse_agent`]).
//!
//! When the old connection is lost before its successor delivers, it is an ordinary outage. When
//! the successor is lost, the old one goes on and another successor is tried.

use bot4_lanes::Probe;
use bot4_types::{FrameKind, Nanos};
use bot4_wire::ConnError;

use super::count::Count;
use super::link::{Drive, Link};
use super::stream::{FIRST_SNAPSHOT_WITHIN, ReadEnd};
use super::{Links, WireAgent};

/// Both connections deliver for at least this long: well above what the ways of two connections
/// to one venue differ by.
const OVERLAP: Nanos = Nanos::from_secs(2);
/// A successor that stays silent for this long while the old connection speaks is given up.
const QUIET_MAX: Nanos = Nanos::from_secs(20);
/// From the end of one handover to the beginning of the next one, shortest. For the sake of a book
/// it doubles with each that follows soon, so that a venue which never sends what a book waits for
/// is not worn out with connections.
const SPACING: Nanos = Nanos::from_secs(10);
/// The longest.
const SPACING_MAX: Nanos = Nanos::from_secs(600);

/// A stream connection's successor.
pub(super) struct Handover {
    pub(super) link: Link,
    /// Its messages are sent on.
    delivers: bool,
    /// Messages of the old connection when this one was ready.
    heard_before: Option<u64>,
}

impl WireAgent {
    /// Begins, drives and ends a handover.
    pub(super) fn drive_handover(&mut self, now: Nanos, links: &mut Links) -> usize {
        if links.next.is_none() {
            if !self.is_handover_due(now, links) {
                return 0;
            }
            let link = links.stream.sibling();
            links.next = Some(Handover { link, delivers: false, heard_before: None });
        }
        let Some(next) = &mut links.next else { return 0 };
        match next.link.drive(now, &mut *self.connector, &mut self.budget, true) {
            Drive::Dialled => self.count(Count::Connects, 1),
            Drive::Opened => self.introduce(&mut next.link),
            Drive::Lost(error) => self.successor_lost(now, links, error),
            Drive::Same => return usize::from(self.end_handover(now, links)),
        }
        1
    }

    fn is_handover_due(&self, now: Nanos, links: &Links) -> bool {
        let apart = |span| self.handed_over_at.is_none_or(|at| now.since(at) >= span);
        let ends = self.leaving || links.stream.is_due_for_renewal(now);
        let wanted = ends || (self.fresh_wanted && apart(self.handover_spacing));
        wanted && self.line.is_told() && !self.abandoned && apart(SPACING)
    }

    /// Reads the successor. The parser is told before its first message where it has to know.
    pub(super) fn receive_successor(
        &mut self,
        now: Nanos,
        links: &mut Links,
        probe: &Probe,
    ) -> usize {
        let Some(next) = &mut links.next else { return 0 };
        if !next.link.is_open() || !self.line.is_told() || self.abandoned {
            return 0;
        }
        let conn = self.conn_of(self.other_side != self.streamed);
        if self.streamed && !next.delivers {
            if !self.push_notice(FrameKind::SwitchBegin, conn, now) {
                return 0;
            }
            next.delivers = true;
        }
        let (done, end) = self.read(now, &mut next.link, conn, probe);
        next.delivers |= done > 0;
        match end {
            // The notice is for the old connection, which is on its way out.
            ReadEnd::Dry | ReadEnd::Notice => {}
            ReadEnd::Blocked => self.blocked(now),
            ReadEnd::Lost(error) => self.successor_lost(now, links, error),
        }
        done
    }

    /// Ends the handover when both have delivered for long enough. True when it did.
    fn end_handover(&mut self, now: Nanos, links: &mut Links) -> bool {
        let heard_old = links.stream.heard();
        let Some(next) = &mut links.next else { return false };
        let Some(settled) = next.link.settled_at() else { return false };
        let before = *next.heard_before.get_or_insert(heard_old);
        let overlap = if self.streamed { FIRST_SNAPSHOT_WITHIN } else { OVERLAP };
        if now.since(settled) < overlap {
            return false;
        }
        if next.link.heard() > 0 {
            return self.switch_over(now, links);
        }
        if now.since(settled) < QUIET_MAX {
            return false;
        }
        if heard_old == before {
            // Nobody says anything; the new one is as good as the old one.
            return self.switch_over(now, links);
        }
        self.successor_lost(now, links, ConnError::Silent);
        true
    }

    /// The successor takes the old connection's place, which is closed. False without room to
    /// tell the parser.
    fn switch_over(&mut self, now: Nanos, links: &mut Links) -> bool {
        let Some(next) = &links.next else { return false };
        if self.streamed {
            let conn = self.conn_of(!self.other_side);
            let told = next.delivers && self.push_notice(FrameKind::SwitchEnd, conn, now);
            if !told {
                return false;
            }
            self.other_side = !self.other_side;
            self.desk.clear();
        }
        if let Some(next) = links.next.take() {
            links.stream.close(now, &mut self.pool);
            links.stream = next.link;
        }
        let twice = Nanos(2 * self.handover_spacing.0);
        let soon = self.handed_over_at.is_some_and(|at| now.since(at) <= twice);
        self.handover_spacing = if soon { twice.min(SPACING_MAX) } else { SPACING };
        self.handed_over_at = Some(now);
        (self.fresh_wanted, self.leaving) = (false, false);
        self.count(Count::Handovers, 1);
        self.count(Count::Renewals, 1);
        true
    }

    /// The old connection is lost: a successor that delivers takes its place, and the line stays
    /// up. What may be missing shows by numbers, or is known to the parser.
    pub(super) fn promote(&mut self, now: Nanos, links: &mut Links) -> bool {
        let delivers = links.next.as_ref().is_some_and(|n| n.delivers && n.link.heard() > 0);
        delivers && self.line.is_told() && self.switch_over(now, links)
    }

    fn successor_lost(&mut self, now: Nanos, links: &mut Links, error: ConnError) {
        let Some(next) = &mut links.next else { return };
        self.count_error(&error, next.link.is_open());
        next.link.drop_line(now, &error, &mut self.pool);
        self.abandoned |= self.streamed && next.delivers;
        next.delivers = false;
        next.heard_before = None;
        self.last_error = Some(error);
    }

    /// Gives the successor up, because the line goes down.
    pub(super) fn drop_successor(&mut self, now: Nanos, links: &mut Links) {
        if let Some(mut next) = links.next.take() {
            next.link.close(now, &mut self.pool);
        }
    }
}
