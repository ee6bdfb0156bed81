//! The ticker oracle: a second opinion on every book top, from the best-quote stream.
//!
//! After an update with final id `u`, our top must equal the newest quote whose id is at most
//! `u`. Which quote that is, is known only when one with a larger id has been seen: quotes run
//! ahead of diffs (they are not batched) and sometimes behind. So a top waits until then, and
//! tops that no later quote confirms are not counted. A few differences in ten thousand are
//! normal: the venue leaves quotes out under load.
//!
//! Cost: a few comparisons an update; fixed memory.

use std::collections::VecDeque;

use bot4_types::Level;

/// Tops that wait for a later quote one by one; older ones wait as a sum.
const PENDING_MAX: usize = 64;

/// Best bid and ask as of an update id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// Update id.
    pub id: u64,
    /// Best bid, empty where there is none.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

impl Quote {
    fn agrees(&self, other: &Self) -> bool {
        self.bid == other.bid && self.ask == other.ask
    }
}

/// Outcome of comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Tops that agreed.
    pub equal: u64,
    /// Tops that did not.
    pub differs: u64,
}

impl Verdicts {
    const fn add(&mut self, agrees: bool) {
        if agrees {
            self.equal += 1;
        } else {
            self.differs += 1;
        }
    }
}

/// Compares tops with quotes, in whichever order they come.
#[derive(Debug)]
pub struct TickerOracle {
    /// Ascending ids; of those at most the last update's id, only the newest is kept.
    quotes: VecDeque<Quote>,
    quotes_max: usize,
    /// Tops newer than every quote.
    pending: VecDeque<Quote>,
    /// Tops that left `pending` for lack of room, judged by the quote of that time, and the
    /// newest id among them.
    folded: (Verdicts, u64),
}

impl TickerOracle {
    /// An oracle that remembers up to `quotes_max` quotes ahead of the book. Allocates; nothing
    /// later.
    #[must_use]
    pub fn new(quotes_max: usize) -> Self {
        let quotes_max = quotes_max.max(2);
        Self {
            quotes: VecDeque::with_capacity(quotes_max),
            quotes_max,
            pending: VecDeque::with_capacity(PENDING_MAX),
            folded: (Verdicts::default(), 0),
        }
    }

    /// The newest quote seen.
    #[must_use]
    pub fn newest(&self) -> Option<&Quote> {
        self.quotes.back()
    }

    /// Forgets everything: ids may start anew.
    pub fn clear(&mut self) {
        self.quotes.clear();
        self.pending.clear();
        self.folded = (Verdicts::default(), 0);
    }

    /// A quote arrived; judges the tops older than it. Quotes that are not newer than the last
    /// one are ignored.
    pub fn quote(&mut self, quote: Quote) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let before = self.quotes.back().copied();
        if before.is_some_and(|b| quote.id <= b.id) {
            return verdicts;
        }
        let (sum, last) = core::mem::take(&mut self.folded);
        if last < quote.id {
            verdicts = sum;
        }
        while self.pending.front().is_some_and(|top| top.id < quote.id) {
            let (Some(top), Some(before)) = (self.pending.pop_front(), before) else { continue };
            verdicts.add(top.agrees(&before));
        }
        if self.quotes.len() == self.quotes_max {
            self.quotes.pop_front();
        }
        self.quotes.push_back(quote);
        verdicts
    }

    /// The book's top after an update with final id `top.id`; judges it if a later quote is
    /// known already.
    pub fn top(&mut self, top: Quote) -> Verdicts {
        let mut verdicts = Verdicts::default();
        while self.quotes.get(1).is_some_and(|q| q.id <= top.id) {
            self.quotes.pop_front();
        }
        if self.quotes.back().is_some_and(|q| q.id > top.id) {
            if let Some(newest) = self.quotes.front().filter(|q| q.id <= top.id) {
                verdicts.add(top.agrees(newest));
            }
            return verdicts;
        }
        if self.pending.len() == PENDING_MAX {
            self.fold_oldest();
        }
        self.pending.push_back(top);
        verdicts
    }

    fn fold_oldest(&mut self) {
        if let (Some(top), Some(quote)) = (self.pending.pop_front(), self.quotes.back()) {
            self.folded.0.add(top.agrees(quote));
            self.folded.1 = top.id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(id: u64, price: i64) -> Quote {
        let level = |price| Level { price, qty: 1 };
        Quote { id, bid: level(price), ask: level(price + 1) }
    }

    /// The definition, over the whole past: every top that has a quote at or before it and one
    /// after it is compared with the newest at or before it.
    fn twin(quotes: &[Quote], tops: &[Quote]) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for top in tops {
            let newest = quotes.iter().rfind(|q| q.id <= top.id);
            if let (Some(newest), true) = (newest, quotes.iter().any(|q| q.id > top.id)) {
                verdicts.add(top.agrees(newest));
            }
        }
        verdicts
    }

    proptest! {
        /// Quotes and tops interleaved at random, quotes early or late by up to 40 messages.
        #[test]
        fn judges_like_the_definition(
            steps in proptest::collection::vec((any::<bool>(), 1u64..4, 0i64..3), 1..300)
        ) {
            let (mut quotes, mut tops) = (Vec::new(), Vec::new());
            let mut oracle = TickerOracle::new(1_000);
            let mut seen = Verdicts::default();
            let (mut quote_id, mut top_id) = (0, 0);
            for (is_quote, step, price) in steps {
                let v = if is_quote {
                    quote_id += step;
                    quotes.push(at(quote_id, price));
                    oracle.quote(at(quote_id, price))
                } else {
                    // A top lags by at most what the pending list holds singly.
                    top_id = (top_id + step).max(quote_id.saturating_sub(40));
                    prop_assume!(tops.iter().filter(|t: &&Quote| t.id > quote_id).count() < 60);
                    tops.push(at(top_id, price));
                    oracle.top(at(top_id, price))
                };
                seen.equal += v.equal;
                seen.differs += v.differs;
                prop_assert_eq!(seen, twin(&quotes, &tops));
            }
        }
    }

    #[test]
    fn long_silence_of_quotes_is_counted_when_it_ends() {
        let mut oracle = TickerOracle::new(4);
        oracle.quote(at(5, 1));
        for id in 10..210 {
            let price = if id % 100 == 0 { 2 } else { 1 };
            assert_eq!(oracle.top(at(id, price)), Verdicts::default());
        }
        assert_eq!(oracle.quote(at(300, 1)), Verdicts { equal: 198, differs: 2 });
    }

    /// A quote so late that it lies among the tops already summed: which of them it would have
    /// judged is not known any more, so the sum is not counted.
    #[test]
    fn very_late_quote_voids_the_sum() {
        let mut oracle = TickerOracle::new(4);
        oracle.quote(at(5, 1));
        (10..110).for_each(|id| assert_eq!(oracle.top(at(id, 1)), Verdicts::default()));
        assert_eq!(oracle.quote(at(20, 1)), Verdicts::default());
        let singly = PENDING_MAX as u64;
        assert_eq!(oracle.quote(at(200, 1)), Verdicts { equal: singly, differs: 0 });
    }

    #[test]
    fn overrun_quotes_leave_tops_uncounted() {
        let mut oracle = TickerOracle::new(2);
        (1..=3).for_each(|i| assert_eq!(oracle.quote(at(i * 10, 1)), Verdicts::default()));
        assert_eq!(oracle.top(at(15, 1)), Verdicts::default());
        assert_eq!(oracle.top(at(25, 1)), Verdicts { equal: 1, differs: 0 });
    }
}
