//! One measured operation, and the two ways to measure it.
//!
//! The provided methods are compiled once per case, so that a case behind `dyn Case` still has
//! its operation inlined into the measuring loop.

use bot4_lanes::Clock;
use hdrhistogram::Histogram;

/// Calls in a batch, where single calls are too short for stamps.
pub const BATCH: u64 = 64;

/// An operation that can be called again and again.
pub trait Case {
    /// Before a run of calls; not measured. Starts helpers, for example an echoing thread.
    fn enter(&mut self) {}

    /// After a run of calls; not measured. Stops what `enter` started.
    fn leave(&mut self) {}

    /// Makes ready for up to `wanted` calls in a row and returns for how many, at least one; not
    /// measured.
    fn ready(&mut self, wanted: u64) -> u64 {
        wanted
    }

    /// Most calls that `ready` grants at once.
    fn row_max(&self) -> u64 {
        u64::MAX
    }

    /// The operation.
    fn call(&mut self);

    /// After each row of calls that `ready` granted; not measured.
    fn settle(&mut self) {}

    /// Nanoseconds of `calls` calls without stamps between them, apart from one pair around each
    /// row that [`Case::ready`] grants.
    fn spent_ns(&mut self, calls: u64, clock: &Clock) -> u64 {
        let (mut left, mut spent_ns) = (calls, 0);
        while left > 0 {
            let row = self.ready(left);
            let from = clock.now();
            for _ in 0..row {
                self.call();
            }
            spent_ns += clock.now().since(from).0;
            self.settle();
            left -= row.min(left);
        }
        spent_ns
    }

    /// Stamps `calls` calls in batches of `batch` (at most [`Case::row_max`]) and records the
    /// nanoseconds of each batch.
    fn stamp(&mut self, calls: u64, batch: u64, clock: &Clock, into: &mut Histogram<u64>) {
        for _ in 0..calls / batch {
            let mut row = self.ready(batch);
            if row < batch {
                // A shorter row would be a sample of another size: it is run, not recorded.
                (0..row).for_each(|_| self.call());
                self.settle();
                row = self.ready(batch);
                assert!(row >= batch, "a case grants whole batches after a pause");
            }
            let from = clock.now();
            for _ in 0..batch {
                self.call();
            }
            let ns = clock.now().since(from).0;
            self.settle();
            into.saturating_record(ns);
        }
    }
}

/// No operation: what the stamps themselves cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

impl Case for Empty {
    #[inline]
    fn call(&mut self) {}
}

/// A histogram for nanoseconds up to a minute with three digits.
///
/// # Panics
/// Never: the bounds are valid.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("1 ns to 60 s with three digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grants rows of three and counts.
    #[derive(Default)]
    struct Counting {
        calls: u64,
        rows: u64,
        row_max: u64,
    }

    impl Case for Counting {
        fn ready(&mut self, wanted: u64) -> u64 {
            wanted.min(self.row_max)
        }

        fn call(&mut self) {
            self.calls += 1;
        }

        fn settle(&mut self) {
            self.rows += 1;
        }
    }

    #[test]
    fn every_call_is_made_and_rows_are_settled() {
        let clock = Clock::start();
        let mut case = Counting { row_max: 3, ..Counting::default() };
        case.spent_ns(10, &clock);
        assert_eq!((case.calls, case.rows), (10, 4));
        let mut histogram = histogram();
        case.stamp(6, 1, &clock, &mut histogram);
        assert_eq!((case.calls, case.rows, histogram.len()), (16, 10, 6));
    }

    #[test]
    fn batches_are_one_sample_each() {
        let clock = Clock::start();
        let mut case = Counting { row_max: u64::MAX, ..Counting::default() };
        let mut histogram = histogram();
        case.stamp(640, BATCH, &clock, &mut histogram);
        assert_eq!((case.calls, histogram.len()), (640, 10));
    }
}
