//! What a venue's numbering says of an update: old, fitting, or ahead of a hole.
//!
//! Invariant: an update is called fitting only when the book with it equals the venue's book after
//! it, given that it did before. Where a number might be read in two ways, the answer is `Gap`,
//! which costs a fresh start and never a wrong book.

use bot4_types::SequenceRule;

use crate::buffer::DiffHead;

/// What an update is to a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The book contains it.
    Old,
    /// It is the next one.
    Fits,
    /// Updates are missing before it.
    Gap,
}

/// Where a book stands in its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Id of the last update in the book.
    pub(crate) id: u64,
    /// No update was applied since the snapshot.
    pub(crate) fresh: bool,
    /// `prev` and `last` of the newest update that restarted the venue's count.
    pub(crate) restart: (u64, u64),
}

impl Position {
    /// Right behind a snapshot with id `id`.
    pub(crate) const fn at_snapshot(id: u64) -> Self {
        Self { id, fresh: true, restart: (0, 0) }
    }

    /// An update that fits was applied.
    pub(crate) const fn advance(&mut self, head: &DiffHead) {
        self.id = head.last;
        self.fresh = false;
        if is_restart(head) {
            self.restart = (head.prev, head.last);
        }
    }
}

/// The update says that the venue's count starts anew behind it (rule `Prev` only).
pub(crate) const fn is_restart(head: &DiffHead) -> bool {
    head.last < head.prev
}

/// A number this far below `id` is not late: the venue's count was restarted.
pub(crate) const fn is_far_below(number: u64, id: u64) -> bool {
    number < id && number <= id / 2
}

/// What the update `head` is to a book at `at`.
pub(crate) const fn verdict(rule: SequenceRule, at: &Position, head: &DiffHead) -> Verdict {
    match rule {
        SequenceRule::FirstLast => first_last(at, head),
        SequenceRule::FirstThenPrev => first_then_prev(at, head),
        SequenceRule::Prev => prev(at, head),
        SequenceRule::Successor => successor(at, head),
        // The same time is a repeat, which changes nothing, or another change of that instant.
        SequenceRule::Unnumbered if head.last < at.id && head.last > 0 => Verdict::Gap,
        SequenceRule::Unnumbered => Verdict::Fits,
    }
}

const fn first_last(at: &Position, head: &DiffHead) -> Verdict {
    if head.last <= at.id {
        Verdict::Old
    } else if head.first > at.id.saturating_add(1) {
        Verdict::Gap
    } else {
        Verdict::Fits
    }
}

/// Behind a snapshot the update that covers its id comes first. An update tells all that changed
/// since `prev`, so one with `prev <= id` is as good: on a quiet symbol none covers the id.
const fn first_then_prev(at: &Position, head: &DiffHead) -> Verdict {
    if at.fresh {
        if head.last < at.id {
            Verdict::Old
        } else if head.first <= at.id || (head.prev > 0 && head.prev <= at.id) {
            Verdict::Fits
        } else {
            Verdict::Gap
        }
    } else if head.prev == at.id {
        Verdict::Fits
    } else if head.last <= at.id {
        Verdict::Old
    } else {
        Verdict::Gap
    }
}

const fn prev(at: &Position, head: &DiffHead) -> Verdict {
    if head.prev == at.id {
        return Verdict::Fits;
    }
    if is_restart(head) {
        let known = head.prev == at.restart.0 && head.last == at.restart.1;
        return if known { Verdict::Old } else { Verdict::Gap };
    }
    old_or_gap(at, head)
}

const fn successor(at: &Position, head: &DiffHead) -> Verdict {
    if head.last == at.id.wrapping_add(1) { Verdict::Fits } else { old_or_gap(at, head) }
}

/// For counts that a venue may restart in mid-stream.
const fn old_or_gap(at: &Position, head: &DiffHead) -> Verdict {
    if head.last <= at.id && !is_far_below(head.last, at.id) { Verdict::Old } else { Verdict::Gap }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SequenceRule::{FirstLast, FirstThenPrev, Prev, Successor, Unnumbered};
    use Verdict::{Fits, Gap, Old};

    fn head(first: u64, last: u64, prev: u64) -> DiffHead {
        DiffHead { first, last, prev, ..DiffHead::default() }
    }

    fn at(id: u64) -> Position {
        Position { id, fresh: false, restart: (0, 0) }
    }

    #[test]
    fn first_last_follows_without_holes() {
        for (first, last, want) in [(5, 9, Old), (5, 10, Old), (8, 12, Fits), (11, 11, Fits)] {
            assert_eq!(verdict(FirstLast, &at(10), &head(first, last, 0)), want);
        }
        assert_eq!(verdict(FirstLast, &at(10), &head(12, 13, 0)), Gap);
    }

    /// The recorded start of USD-M: U <= lastUpdateId <= u, with a `pu` before the snapshot.
    #[test]
    fn first_then_prev_covers_the_snapshot_then_chains() {
        let start = Position::at_snapshot(5_123_107_852_948);
        let first = head(5_123_107_850_310, 5_123_107_853_551, 5_123_107_850_146);
        assert_eq!(verdict(FirstThenPrev, &start, &first), Fits);
        let before = head(5_123_107_848_000, 5_123_107_850_146, 5_123_107_847_000);
        assert_eq!(verdict(FirstThenPrev, &start, &before), Old);
        let mut live = start;
        live.advance(&first);
        let next = head(5_123_107_853_700, 5_123_107_856_000, 5_123_107_853_551);
        assert_eq!(verdict(FirstThenPrev, &live, &next), Fits, "U is not contiguous");
        assert_eq!(verdict(FirstThenPrev, &live, &first), Old, "a repeat");
        let lost = head(next.first, next.last, next.prev + 1);
        assert_eq!(verdict(FirstThenPrev, &live, &lost), Gap);
        // Covering is a right of the first update only.
        let covers = head(5_123_107_853_000, 5_123_107_856_000, 5_123_107_852_000);
        assert_eq!(verdict(FirstThenPrev, &live, &covers), Gap);
    }

    #[test]
    fn first_then_prev_takes_what_tells_all_since_before_the_snapshot() {
        let start = Position::at_snapshot(100);
        assert_eq!(verdict(FirstThenPrev, &start, &head(107, 110, 100)), Fits);
        assert_eq!(verdict(FirstThenPrev, &start, &head(107, 110, 98)), Fits);
        assert_eq!(verdict(FirstThenPrev, &start, &head(107, 110, 101)), Gap);
        assert_eq!(verdict(FirstThenPrev, &start, &head(107, 110, 0)), Gap, "it names none");
    }

    #[test]
    fn prev_chains_over_jumps_signs_of_life_and_restarts() {
        assert_eq!(verdict(Prev, &at(100), &head(0, 250, 100)), Fits);
        assert_eq!(verdict(Prev, &at(100), &head(0, 100, 100)), Fits, "a sign of life");
        assert_eq!(verdict(Prev, &at(100), &head(0, 100, 90)), Old);
        assert_eq!(verdict(Prev, &at(100), &head(0, 140, 120)), Gap);
        let restart = head(0, 3, 100);
        let mut book = at(100);
        assert_eq!(verdict(Prev, &book, &restart), Fits);
        book.advance(&restart);
        assert_eq!(book.id, 3);
        assert_eq!(verdict(Prev, &book, &restart), Old, "its late copy");
        assert_eq!(verdict(Prev, &book, &head(0, 7, 3)), Fits);
        assert_eq!(verdict(Prev, &book, &head(0, 100, 90)), Gap, "of the old count");
        // The restart itself was lost: small numbers are not old ones.
        assert_eq!(verdict(Prev, &at(100), &head(0, 3, 105)), Gap);
        assert_eq!(verdict(Prev, &at(100), &head(0, 7, 3)), Gap);
    }

    #[test]
    fn successor_is_one_more() {
        assert_eq!(verdict(Successor, &at(100), &head(101, 101, 0)), Fits);
        assert_eq!(verdict(Successor, &at(100), &head(100, 100, 0)), Old);
        assert_eq!(verdict(Successor, &at(100), &head(102, 102, 0)), Gap);
        assert_eq!(verdict(Successor, &at(100), &head(2, 2, 0)), Gap, "a snapshot 1 was lost");
        assert_eq!(verdict(Unnumbered, &at(0), &head(0, 0, 0)), Fits);
        assert_eq!(verdict(Unnumbered, &at(100), &head(0, 0, 0)), Fits, "no time");
        assert_eq!(verdict(Unnumbered, &at(100), &head(100, 100, 0)), Fits);
        assert_eq!(verdict(Unnumbered, &at(100), &head(99, 99, 0)), Gap, "out of order");
    }
}
