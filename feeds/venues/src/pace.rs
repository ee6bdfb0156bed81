//! Counters of requests that decay all the time instead of beginning anew: a venue's rate limit of
//! this kind grants a burst and then a steady pace.
//!
//! Pure: time is an argument (venue time in Unix ms). The count is this process's own. Source: the
//! Kraken sheet, chapter 7.

/// A counter. Counts are held in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decaying {
    most: i64,
    /// Thousandths that go in a second.
    decay_per_s: i64,
    level: i64,
    at_ms: i64,
}

impl Decaying {
    /// An empty counter of at most `most`, of which `decay_milli_per_s` thousandths go in a second.
    #[must_use]
    pub const fn new(most: u32, decay_milli_per_s: u32) -> Self {
        let (most, decay_per_s) = (most as i64 * 1_000, decay_milli_per_s as i64);
        Self { most, decay_per_s, level: 0, at_ms: i64::MIN }
    }

    /// The same count under other limits.
    #[must_use]
    pub const fn under(self, most: u32, decay_milli_per_s: u32) -> Self {
        Self { level: self.level, at_ms: self.at_ms, ..Self::new(most, decay_milli_per_s) }
    }

    /// Counts `cost` if it fits and leaves `reserve`; else counts nothing.
    pub const fn try_take(&mut self, cost: u32, reserve: u32, now_ms: i64) -> bool {
        self.decay(now_ms);
        let cost_milli = cost as i64 * 1_000;
        if self.level + cost_milli + reserve as i64 * 1_000 > self.most {
            return false;
        }
        self.level += cost_milli;
        true
    }

    /// Counts `cost` without asking.
    pub const fn spend(&mut self, cost: u32, now_ms: i64) {
        self.decay(now_ms);
        self.level += cost as i64 * 1_000;
    }

    /// A clock that steps back gives nothing back.
    const fn decay(&mut self, now_ms: i64) {
        if now_ms <= self.at_ms {
            return;
        }
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        let gone = passed_ms.saturating_mul(self.decay_per_s) / 1_000;
        // What is too little to count stays to be counted.
        if gone == 0 {
            return;
        }
        self.level = if self.level > gone { self.level - gone } else { 0 };
        self.at_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_is_granted_and_then_a_pace() {
        let mut counter = Decaying::new(10, 2_000);
        let taken = |counter: &mut Decaying, now_ms| {
            (0..100).take_while(|_| counter.try_take(1, 0, now_ms)).count()
        };
        assert_eq!(taken(&mut counter, 1_000), 10);
        assert_eq!(taken(&mut counter, 2_000), 2);
        assert_eq!(taken(&mut counter, 1_500), 0, "a clock that steps back");
        assert!(!counter.try_take(1, 1, 2_999) && counter.try_take(1, 1, 3_000));
        counter.spend(20, 3_000);
        assert_eq!(taken(&mut counter, 13_000), 1, "29 less 20 of 10");
        let mut wider = counter.under(20, 2_000);
        assert_eq!(taken(&mut wider, 13_000), 10);
    }

    proptest! {
        /// Never more than a burst and what decays, in any time.
        #[test]
        fn no_time_has_more_than_the_burst_and_the_pace(
            steps in proptest::collection::vec((0i64..400, 1u32..4), 1..200)
        ) {
            let (mut counter, mut now, mut granted) = (Decaying::new(10, 3_000), 0, Vec::new());
            for (step, cost) in steps {
                now += step;
                if counter.try_take(cost, 0, now) {
                    granted.push((now, i64::from(cost)));
                }
                for (from, _) in &granted {
                    let within: i64 =
                        granted.iter().filter(|(at, _)| at >= from).map(|(_, cost)| cost).sum();
                    prop_assert!(within * 1_000 <= 10_000 + (now - from) * 3, "{granted:?}");
                }
            }
        }
    }
}
