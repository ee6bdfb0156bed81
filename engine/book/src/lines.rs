//! The lines of one instrument: connections that carry the same stream, and what each has brought.
//!
//! ```text
//! line A  11 12 13 -- 15      up, seen 15: it has passed the hole, it lost 14
//! line B  11 12               up, seen 12: it may still bring 14
//! book    11 12 13  .         at 13; 15 waits
//! ```
//!
//! Invariant: on one connection updates come in order. So a line that has brought a number above
//! the book's, while the book did not move, has lost what the book misses; a line that has not may
//! still bring it.
//!
//! **Counts.** A venue that streams its snapshots may start its count anew in mid-stream, which
//! each line tells at its own time. Each line has the number of its count, and the book that of
//! the line which it follows: a line of an earlier count has nothing to say to the book.
//!
//! **Cost:** one compare a message where there is one line; with two, also a store into a ring of
//! arrival times, from which the lag of the later copy is read.

use core::cmp::Ordering;

use bot4_types::{LINES_MAX, Nanos};

use crate::buffer::DiffHead;
use crate::rule::{is_far_below, is_restart};

/// Arrival times remembered, by number: a line that is later than this many updates shows no lag.
const ARRIVALS: usize = 512;

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    up: bool,
    /// The newest update it has brought since it came up; zero: none yet.
    seen: u64,
    /// It has brought something since it came up.
    heard: bool,
    /// The newest it brought was damaged: whether it follows the book is not known.
    doubted: bool,
    /// Number of the venue's count that it is in.
    count: u32,
}

/// What a message of a line is to what that line brought before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It has not brought that number yet.
    News,
    /// It has brought that number, or a later one: a repeat, not the other line's copy.
    Repeat,
    /// It has yet to tell of the restart behind which the book is.
    Earlier,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: [Line; LINES_MAX],
    count: usize,
    /// Where copies cannot be told from news: the one line that is listened to.
    sole: Option<usize>,
    mergeable: bool,
    /// There are two lines, and the venue may start its count anew in mid-stream.
    restarts: bool,
    /// Number of the count that the book is in.
    book_count: u32,
    /// Number and time of first arrivals; empty where there is one line.
    arrivals: Vec<(u64, Nanos)>,
}

impl Lines {
    /// One line counts as up from the start, two when they say so. Allocates for two.
    pub(crate) fn new(count: usize, mergeable: bool, restarts: bool) -> Self {
        let count = count.clamp(1, LINES_MAX);
        let mut lines = [Line::default(); LINES_MAX];
        lines[0].up = count == 1;
        let arrivals = if count > 1 { vec![(0, Nanos::ZERO); ARRIVALS] } else { Vec::new() };
        let (sole, restarts) = ((count == 1).then_some(0), restarts && count > 1);
        Self { lines, count, sole, mergeable, restarts, book_count: 0, arrivals }
    }

    /// There are two lines whose copies can be merged.
    pub(crate) const fn are_merged(&self) -> bool {
        self.count > 1 && self.mergeable
    }

    pub(crate) fn is_up(&self, line: usize) -> bool {
        self.lines[line].up
    }

    /// What `line` brings is used.
    pub(crate) fn is_heard(&self, line: usize) -> bool {
        self.lines[line].up && (self.mergeable || self.sole == Some(line))
    }

    /// Some line may bring updates.
    pub(crate) fn any_up(&self) -> bool {
        (0..self.count).any(|line| self.is_heard(line))
    }

    /// Notes what `line` brings.
    pub(crate) fn note(&mut self, line: usize, head: &DiffHead) -> Heard {
        let (book_count, line) = (self.book_count, &mut self.lines[line]);
        let known = line.heard && head.last == line.seen;
        let anew = self.restarts
            && !known
            && (is_restart(head) || (line.heard && is_far_below(head.last, line.seen)));
        let repeat = line.heard && head.last <= line.seen && !anew;
        line.count += u32::from(anew);
        line.seen = if anew { head.last } else { line.seen.max(head.last) };
        (line.heard, line.doubted) = (true, false);
        match (line.count < book_count, repeat) {
            (true, _) => Heard::Earlier,
            (false, true) => Heard::Repeat,
            (false, false) => Heard::News,
        }
    }

    /// `line` starts from a snapshot with id `last`; a live book is at `book`. Returns how its
    /// count is to that of the book.
    pub(crate) fn note_snapshot(&mut self, line: usize, last: u64, book: Option<u64>) -> Ordering {
        let (book_count, line) = (self.book_count, &mut self.lines[line]);
        if !line.heard {
            // A new connection: the book alone can tell.
            let anew = book.is_some_and(|id| is_far_below(last, id));
            line.count = book_count + u32::from(self.restarts && anew);
        } else if self.restarts && is_far_below(last, line.seen) {
            line.count += 1;
        }
        (line.seen, line.heard, line.doubted) = (last, true, false);
        line.count.cmp(&book_count)
    }

    /// The book follows `line` from here on.
    pub(crate) fn follow(&mut self, line: usize) {
        self.book_count = self.lines[line].count;
    }

    /// The book went over into the venue's next count.
    pub(crate) fn follow_restart(&mut self) {
        self.book_count += u32::from(self.restarts);
    }

    /// `line` is in the count that the book is in.
    pub(crate) fn is_in_step(&self, line: usize) -> bool {
        self.lines[line].count == self.book_count
    }

    /// `line` has yet to tell of the restart behind which the book is.
    pub(crate) fn is_earlier(&self, line: usize) -> bool {
        self.lines[line].count < self.book_count
    }

    /// A message of `line` was damaged.
    pub(crate) fn doubt(&mut self, line: usize) {
        self.lines[line].doubted = true;
    }

    /// The newest number of the lines that are up, if one has brought any.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.lines.iter().filter(|l| l.up && l.heard).map(|l| l.seen).max()
    }

    /// One line of two is up.
    pub(crate) fn is_alone(&self) -> bool {
        self.lines.iter().filter(|l| l.up).count() == 1
    }

    /// Some line that is up brings what follows `id`: it has not brought that yet.
    pub(crate) fn may_follow(&self, id: u64) -> bool {
        self.lines.iter().any(|l| l.up && (!l.heard || l.seen <= id))
    }

    /// Some line that is up has not passed `id`, so it may bring what is missing behind it.
    pub(crate) fn may_fill(&self, id: u64) -> bool {
        self.are_merged() && self.may_follow(id)
    }

    /// A line other than `line` carries the book, which is at `id`, on. One that is far below
    /// counts from elsewhere.
    pub(crate) fn is_covered_without(&self, line: usize, id: u64) -> bool {
        let carries = |l: &Line| {
            let is_near =
                if self.restarts { l.count == self.book_count } else { !is_far_below(l.seen, id) };
            l.up && l.heard && !l.doubted && is_near
        };
        let others = self.lines.iter().enumerate().filter(|(i, _)| *i != line);
        self.mergeable && others.into_iter().any(|(_, l)| carries(l))
    }

    /// `line` came up. Returns whether it is now the only one that is listened to.
    pub(crate) fn up(&mut self, line: usize) -> bool {
        self.lines[line] = Line { up: true, count: self.book_count, ..Line::default() };
        let alone = self.lines.iter().filter(|l| l.up).count() == 1;
        if alone || self.sole.is_none() {
            self.sole = Some(line);
        }
        if self.mergeable { alone } else { self.sole == Some(line) }
    }

    /// `line` went down. Where one line is listened to and that is the one, the other takes over.
    pub(crate) fn down(&mut self, line: usize) {
        self.lines[line] = Line::default();
        if self.sole == Some(line) {
            self.sole = self.lines.iter().position(|l| l.up).or(Some(line));
        }
    }

    /// The line to ask for a snapshot, the `attempt`-th time: they take turns.
    pub(crate) fn asked(&self, attempt: usize) -> usize {
        let heard = || (0..self.count).filter(|line| self.is_heard(*line));
        heard().nth(attempt % heard().count().max(1)).unwrap_or(0)
    }

    /// The update `last` arrived for the first time.
    pub(crate) fn arrived(&mut self, last: u64, at: Nanos) {
        if let Some(place) = self.arrivals.get_mut(last as usize % ARRIVALS) {
            *place = (last, at);
        }
    }

    /// How much later than its first copy a copy of `last` arrives at `at`, if that is known.
    pub(crate) fn lag(&self, last: u64, at: Nanos) -> Option<u64> {
        let (id, first) = *self.arrivals.get(last as usize % ARRIVALS)?;
        (id == last && last > 0).then(|| at.since(first).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(last: u64) -> DiffHead {
        DiffHead { last, ..DiffHead::default() }
    }

    #[test]
    fn a_line_that_passed_the_hole_cannot_fill_it() {
        let mut lines = Lines::new(2, true, false);
        assert!(!lines.any_up() && lines.up(0) && !lines.up(1));
        assert!(lines.note(0, &head(12)) == Heard::News && lines.may_fill(12));
        lines.note(0, &head(15));
        assert!(lines.may_fill(12), "B has said nothing yet");
        assert!(!lines.is_covered_without(0, 12), "nor is it known to follow");
        lines.note(1, &head(11));
        assert!(lines.may_fill(12) && lines.is_covered_without(0, 12));
        assert!(!lines.is_covered_without(0, 120), "it counts from elsewhere");
        lines.note(1, &head(14));
        assert!(!lines.may_fill(12) && lines.may_fill(14));
        assert_eq!(lines.note(1, &head(14)), Heard::Repeat, "its own");
        lines.down(1);
        assert!(!lines.may_fill(14) && !lines.is_covered_without(0, 14));
        lines.up(1);
        assert_eq!(lines.note(1, &head(13)), Heard::News, "a new connection");
    }

    #[test]
    fn counts_of_lines_and_book_are_told_apart() {
        let mut lines = Lines::new(2, true, true);
        for line in 0..2 {
            lines.up(line);
            assert_eq!(lines.note_snapshot(line, 900, None), Ordering::Equal);
        }
        assert_eq!(lines.note_snapshot(0, 1, Some(900)), Ordering::Greater);
        lines.follow(0);
        assert_eq!(lines.note(1, &head(901)), Heard::Earlier);
        assert!(lines.is_earlier(1) && !lines.is_covered_without(0, 1));
        assert_eq!(lines.note_snapshot(1, 1, Some(5)), Ordering::Equal);
        assert!(lines.is_in_step(1) && lines.is_covered_without(0, 5));
        lines.up(1);
        assert_eq!(lines.note_snapshot(1, 4, Some(5)), Ordering::Equal, "a new connection");
        let restart = DiffHead { prev: 12, last: 3, ..DiffHead::default() };
        assert_eq!(lines.note(1, &restart), Heard::News);
        assert_eq!(lines.note(1, &restart), Heard::Repeat, "it restarts once");
        assert!(!lines.is_in_step(1));
        lines.follow_restart();
        assert!(lines.is_in_step(1) && lines.is_earlier(0));
    }

    #[test]
    fn copies_without_numbers_are_not_mixed() {
        let mut lines = Lines::new(2, false, false);
        assert!(lines.up(1) && !lines.up(0));
        assert_eq!([0, 1].map(|l| lines.is_heard(l)), [false, true]);
        assert_eq!((lines.asked(0), lines.asked(1)), (1, 1));
        lines.down(1);
        assert_eq!([0, 1].map(|l| lines.is_heard(l)), [true, false]);
        lines.down(0);
        assert!(!lines.any_up());
        assert!(lines.up(0) && lines.is_heard(0));
    }

    #[test]
    fn requests_take_turns_and_lags_are_read() {
        let mut lines = Lines::new(2, true, false);
        lines.up(0);
        lines.up(1);
        assert_eq!([0, 1, 2].map(|n| lines.asked(n)), [0, 1, 0]);
        lines.arrived(7, Nanos(100));
        assert_eq!((lines.lag(7, Nanos(350)), lines.lag(8, Nanos(350))), (Some(250), None));
        lines.arrived(7 + ARRIVALS as u64, Nanos(400));
        assert_eq!(lines.lag(7, Nanos(450)), None, "too long ago");
        assert_eq!(Lines::new(1, true, false).lag(7, Nanos(1)), None);
    }
}
