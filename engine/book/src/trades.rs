//! Trades told twice: by the second line, or again after a reconnect.
//!
//! A venue numbers the trades of an instrument. Numbers that were seen lie in a table of fixed
//! size at the place that their low bits name, so consecutive numbers never push each other out
//! before [`RECENT`] later ones. Where a venue's numbers grow, one further back than that is old
//! as well, unless its time says that the venue began to count anew; where they are no counter
//! (hashes of text), the table alone decides.
//!
//! Cost: a load, a compare and a store a trade.

use bot4_types::LINES_MAX;

/// Numbers remembered.
const RECENT: usize = 1_024;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct TradeFilter {
    recent: Vec<u64>,
    newest: u64,
    /// The newest venue time, Unix ms.
    newest_ms: i64,
    /// The last number by each line.
    by_line: [u64; LINES_MAX],
    /// Numbers have grown on every line so far.
    grows: bool,
}

impl TradeFilter {
    /// Allocates its table; nothing later.
    pub(crate) fn new() -> Self {
        let recent = vec![0; RECENT];
        Self { recent, newest: 0, newest_ms: 0, by_line: [0; LINES_MAX], grows: true }
    }

    /// Whether trade `id` of venue time `venue_ms` by `line` is new. Zero is no number: such trades
    /// are always new.
    pub(crate) fn is_new(&mut self, line: usize, id: u64, venue_ms: i64) -> bool {
        if id == 0 {
            return true;
        }
        let place = &mut self.recent[id as usize % RECENT];
        if *place == id {
            return false;
        }
        let last = core::mem::replace(&mut self.by_line[line], id);
        self.grows &= id > last;
        if self.grows && self.newest.saturating_sub(id) >= RECENT as u64 {
            if venue_ms <= self.newest_ms {
                return false;
            }
            self.newest = id;
        }
        *place = id;
        self.newest = self.newest.max(id);
        self.newest_ms = self.newest_ms.max(venue_ms);
        true
    }

    /// The connection is a new one: it may begin with trades told before.
    pub(crate) fn line_up(&mut self, line: usize) {
        self.by_line[line] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::rng::SplitMix64;

    #[test]
    fn each_trade_passes_once_whoever_brings_it_first() {
        let (mut filter, mut rng) = (TradeFilter::new(), SplitMix64::new(4));
        // Two lines that lose a tenth each and lag by up to 900 trades.
        let (mut next, mut passed) = ([1u64, 1], vec![0u32; 20_001]);
        while next.iter().any(|n| *n <= 20_000) {
            let line = rng.below(2) as usize;
            let ahead = next[line] as i64 - next[1 - line] as i64;
            if next[line] > 20_000 || ahead > 900 {
                continue;
            }
            if rng.below(10) > 0 && filter.is_new(line, next[line], 0) {
                passed[next[line] as usize] += 1;
            }
            next[line] += 1;
        }
        assert!(passed.iter().all(|n| *n <= 1));
        let lost = passed[1..].iter().filter(|n| **n == 0).count();
        assert!((100..400).contains(&lost), "about one in a hundred is lost by both: {lost}");
    }

    #[test]
    fn far_older_ones_are_repeats_where_numbers_grow() {
        let mut filter = TradeFilter::new();
        for id in 5_000..9_000 {
            assert!(filter.is_new(0, id, 0));
        }
        filter.line_up(0);
        assert!(!filter.is_new(0, 5_100, 0), "a list of recent trades after a reconnect");
        assert!(!filter.is_new(0, 8_999, 0));
        assert!(filter.is_new(0, 9_000, 0));
        assert!(filter.is_new(0, 0, 0) && filter.is_new(0, 0, 0), "no number, no verdict");
    }

    #[test]
    fn numbers_that_are_no_counter_pass() {
        let (mut filter, mut rng) = (TradeFilter::new(), SplitMix64::new(8));
        for _ in 0..10_000 {
            let id = rng.next_u64() | 1;
            assert!(filter.is_new(0, id, 0));
            assert!(!filter.is_new(1, id, 0));
        }
    }
}
