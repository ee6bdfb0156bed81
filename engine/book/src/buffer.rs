//! Diffs that wait: for a snapshot, or for the update that is missing before them.
//!
//! Invariant: fixed capacity; heads are kept in the order of their `last`, those of one `last` in
//! order of arrival, so that two lines' interleaved copies replay as one stream. Levels lie where
//! they arrived; when their room runs out, what is no longer named is squeezed out.

use bot4_types::{Level, SequenceRule, Trail};

use crate::rule::{Position, Verdict, verdict};

/// What a diff says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffHead {
    /// First update id covered.
    pub first: u64,
    /// Last update id covered.
    pub last: u64,
    /// Id of the update before it, where the venue names it.
    pub prev: u64,
    /// Checksum of the book after it, where the venue sends one.
    pub check: Option<u32>,
    /// Bid levels, first in the diff's levels.
    pub bids: u32,
    /// Ask levels, behind the bids.
    pub asks: u32,
    /// Venue time, Unix ms.
    pub venue_ms: i64,
    /// Of its message.
    pub trail: Trail,
}

impl DiffHead {
    const fn levels(&self) -> usize {
        (self.bids + self.asks) as usize
    }
}

/// A diff that left the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is the next one; its levels start here.
    Fits(DiffHead, usize),
    /// The book contains it.
    Old(DiffHead),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct DiffBuffer {
    heads: Vec<(DiffHead, usize)>,
    levels: Vec<Level>,
    /// Heads before this one have been taken.
    from: usize,
    events_max: usize,
    levels_max: usize,
}

impl DiffBuffer {
    /// Room for `events_max` diffs with `levels_max` levels together. Allocates; nothing later.
    pub(crate) fn new(events_max: usize, levels_max: usize) -> Self {
        Self {
            heads: Vec::with_capacity(events_max),
            levels: Vec::with_capacity(levels_max),
            from: 0,
            events_max,
            levels_max,
        }
    }

    /// Diffs that wait.
    pub(crate) fn len(&self) -> usize {
        self.heads.len() - self.from
    }

    /// The diff with the lowest `last`.
    pub(crate) fn first(&self) -> Option<&DiffHead> {
        self.heads.get(self.from).map(|(head, _)| head)
    }

    /// The levels from `at` that belong to `head`.
    pub(crate) fn levels_of(&self, head: &DiffHead, at: usize) -> &[Level] {
        &self.levels[at..at + head.levels()]
    }

    /// Exactly this diff waits already.
    pub(crate) fn knows(&self, head: &DiffHead) -> bool {
        let same = |h: &DiffHead| (h.first, h.last, h.prev) == (head.first, head.last, head.prev);
        let later = self.heads[self.from..].iter().rev().take_while(|(h, _)| h.last >= head.last);
        later.into_iter().any(|(h, _)| same(h))
    }

    /// Keeps a diff; `false` when it does not fit.
    pub(crate) fn push(&mut self, head: DiffHead, levels: &[Level]) -> bool {
        if self.len() == self.events_max || levels.len() > self.levels_max {
            return false;
        }
        if self.heads.len() == self.events_max {
            self.heads.drain(..self.from);
            self.from = 0;
        }
        if levels.len() > self.levels_max - self.levels.len() {
            self.squeeze();
        }
        if levels.len() > self.levels_max - self.levels.len() {
            return false;
        }
        let waiting = &self.heads[self.from..];
        let behind = waiting.iter().rev().take_while(|(h, _)| h.last > head.last).count();
        self.heads.insert(self.heads.len() - behind, (head, self.levels.len()));
        self.levels.extend_from_slice(levels);
        true
    }

    /// Takes the next diff that a book at `at` can use or contains; `None` when all that wait lie
    /// behind a hole.
    pub(crate) fn take(&mut self, rule: SequenceRule, at: &Position) -> Option<Taken> {
        // In a chain that names predecessors a restart puts small numbers behind large ones.
        let reach = if matches!(rule, SequenceRule::Prev) { self.len() } else { 1 };
        for i in self.from..(self.from + reach).min(self.heads.len()) {
            let (head, place) = self.heads[i];
            let taken = match verdict(rule, at, &head) {
                Verdict::Gap => continue,
                Verdict::Fits => Taken::Fits(head, place),
                Verdict::Old => Taken::Old(head),
            };
            if i == self.from {
                self.from += 1;
            } else {
                self.heads.remove(i);
            }
            return Some(taken);
        }
        None
    }

    /// Forgets the diffs that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(&DiffHead) -> bool) {
        self.heads.drain(..self.from);
        self.from = 0;
        self.heads.retain(|(head, _)| keep(head));
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.heads.clear();
        self.levels.clear();
        self.from = 0;
    }

    /// Moves the levels of the diffs that wait together, in their order of arrival. Quadratic in
    /// their number, and rare.
    fn squeeze(&mut self) {
        self.heads.drain(..self.from);
        self.from = 0;
        let (mut to, mut done) = (0, 0);
        loop {
            let next = self.heads.iter_mut().filter(|(h, at)| *at >= done && h.levels() > 0);
            let Some((head, at)) = next.min_by_key(|(_, at)| *at) else { break };
            done = *at + head.levels();
            self.levels.copy_within(*at..done, to);
            *at = to;
            to += head.levels();
        }
        for (head, at) in &mut self.heads {
            *at = if head.levels() == 0 { 0 } else { *at };
        }
        self.levels.truncate(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::rng::SplitMix64;

    fn diff(first: u64, last: u64, levels: u32) -> (DiffHead, Vec<Level>) {
        let head = DiffHead { first, last, bids: levels, ..DiffHead::default() };
        (head, (0..i64::from(levels)).map(|i| Level { price: last as i64, qty: i }).collect())
    }

    #[test]
    fn disorder_replays_in_order_and_knows_its_own() {
        let mut buffer = DiffBuffer::new(8, 64);
        for (first, last) in [(11, 12), (15, 16), (13, 14), (17, 17)] {
            let (head, levels) = diff(first, last, 2);
            assert!(!buffer.knows(&head));
            assert!(buffer.push(head, &levels));
            assert!(buffer.knows(&head));
        }
        let mut at = Position { id: 12, ..Position::default() };
        assert!(matches!(buffer.take(SequenceRule::FirstLast, &at), Some(Taken::Old(_))));
        for last in [14, 16, 17] {
            let taken = buffer.take(SequenceRule::FirstLast, &at);
            let Some(Taken::Fits(head, place)) = taken else { panic!("{taken:?}") };
            assert_eq!((head.last, buffer.levels_of(&head, place)[1].price), (last, last as i64));
            at.advance(&head);
        }
        assert_eq!((buffer.take(SequenceRule::FirstLast, &at), buffer.len()), (None, 0));
    }

    #[test]
    fn a_restarted_count_is_found_behind_the_old_one() {
        let mut buffer = DiffBuffer::new(8, 64);
        for (prev, last) in [(3, 5), (110, 3), (105, 110)] {
            assert!(buffer.push(DiffHead { prev, last, ..DiffHead::default() }, &[]));
        }
        let mut at = Position { id: 105, ..Position::default() };
        for want in [110, 3, 5] {
            let taken = buffer.take(SequenceRule::Prev, &at);
            let Some(Taken::Fits(head, _)) = taken else { panic!("{taken:?}") };
            assert_eq!(head.last, want);
            at.advance(&head);
        }
    }

    /// Room is found again as long as the diffs that wait fit, in whatever order they came and
    /// left, and nothing ever grows.
    #[test]
    fn levels_stay_with_their_diffs_through_squeezing() {
        let (mut rng, mut buffer) = (SplitMix64::new(9), DiffBuffer::new(12, 40));
        let (mut waiting, mut at) = (0usize, Position::default());
        let (mut refused, mut taken_all) = (0, 0);
        let room = (buffer.heads.capacity(), buffer.levels.capacity());
        for step in 0..4_000u64 {
            let last = at.id + 1 + rng.below(30);
            let (head, levels) = diff(last, last, rng.below(8) as u32);
            if !buffer.knows(&head) && buffer.push(head, &levels) {
                waiting += levels.len();
            } else if !buffer.knows(&head) {
                refused += 1;
                assert!(buffer.len() == 12 || waiting + levels.len() > 40, "step {step}");
            }
            if rng.below(4) == 0 {
                at.id += 1; // as if the missing one had come by the other line
            }
            while let Some(taken) = buffer.take(SequenceRule::FirstLast, &at) {
                taken_all += 1;
                let (Taken::Fits(head, _) | Taken::Old(head)) = taken;
                waiting -= head.levels();
                if let Taken::Fits(head, place) = taken {
                    let want = diff(head.first, head.last, head.bids).1;
                    assert_eq!(buffer.levels_of(&head, place), want);
                    at.advance(&head);
                }
            }
        }
        assert_eq!((buffer.heads.capacity(), buffer.levels.capacity()), room);
        assert!(refused > 10 && taken_all > 500, "{refused} refused, {taken_all} taken");
    }
}
