//! When to connect again. Pure: failures and `now` in, a due time out.
//!
//! An outage is answered fast, because the venue is usually back within seconds: at once, after
//! 0.1, 0.2, 0.4, 0.8 s, then every 1.5 to 2.5 s with jitter, so that clients do not return in
//! step. A refusal (ban, limit, firewall, certificate) is answered slowly, because going on
//! makes it worse: 1 s doubling to 30 s, never earlier than the venue asked for. A handshake that
//! fails is no verdict of the venue: nobody is banned for it, and a balancer in trouble is mended
//! like any outage, so it is tried again after 1, 2, then every 3 s.

use std::collections::VecDeque;

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;

/// Delays after the first failures, milliseconds.
const LADDER_MS: [u64; 5] = [0, 100, 200, 400, 800];
/// Shortest delay after the ladder, milliseconds.
const STEADY_MS: u64 = 1_500;
/// Jitter on top of it, milliseconds.
const STEADY_JITTER_MS: u64 = 1_000;
/// Delay after the first refusal, milliseconds.
const REFUSED_MS: u64 = 1_000;
/// Longest delay after a failed TLS handshake, milliseconds: back within five seconds.
const MISTRUSTED_MS_MAX: u64 = 3_000;
/// Longest delay after a refusal, milliseconds.
const REFUSED_MS_MAX: u64 = 30_000;

/// The schedule of one connection.
#[derive(Clone, Debug)]
pub struct Backoff {
    failures: usize,
    refusals: u32,
    due: Nanos,
    rng: SplitMix64,
}

impl Backoff {
    /// A schedule whose first attempt is due at once and whose jitter follows from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { failures: 0, refusals: 0, due: Nanos::ZERO, rng: SplitMix64::new(seed) }
    }

    /// Whether to try now.
    #[must_use]
    pub fn is_due(&self, now: Nanos) -> bool {
        now >= self.due
    }

    /// When the next attempt is due.
    #[must_use]
    pub const fn due(&self) -> Nanos {
        self.due
    }

    /// An attempt failed, or a connection was lost.
    pub fn failed(&mut self, now: Nanos) {
        let delay_ms = match LADDER_MS.get(self.failures) {
            Some(ms) => *ms,
            None => STEADY_MS + self.rng.below(STEADY_JITTER_MS + 1),
        };
        self.failures = self.failures.saturating_add(1);
        self.due = now + Nanos::from_millis(delay_ms);
    }

    /// The venue turned us away and may have said for how long.
    pub fn refused(&mut self, now: Nanos, retry_after: Option<Nanos>) {
        self.turned_away(now, REFUSED_MS_MAX, retry_after);
    }

    /// The TLS handshake failed: a certificate that is not trusted, or no TLS at all.
    pub fn mistrusted(&mut self, now: Nanos) {
        self.turned_away(now, MISTRUSTED_MS_MAX, None);
    }

    fn turned_away(&mut self, now: Nanos, ms_max: u64, retry_after: Option<Nanos>) {
        let doubled = REFUSED_MS << self.refusals.min(5);
        let delay = Nanos::from_millis(doubled.min(ms_max));
        // Up to a tenth more, so that clients do not return in step.
        let jitter = Nanos(self.rng.below(delay.0 / 10));
        self.refusals = self.refusals.saturating_add(1);
        self.due = now + delay.max(retry_after.unwrap_or(Nanos::ZERO)) + jitter;
    }

    /// The connection proved good: the next failure starts from the beginning.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
        self.refusals = 0;
    }
}

/// At most so many connects in a sliding window: a venue counts attempts by address and bans
/// whoever makes too many (Binance: 300 in 5 minutes).
#[derive(Clone, Debug)]
pub struct ConnectBudget {
    window: Nanos,
    stamps: VecDeque<Nanos>,
    max: usize,
}

impl ConnectBudget {
    /// At most `max` connects in any `window`.
    #[must_use]
    pub fn new(max: usize, window: Nanos) -> Self {
        Self { window, stamps: VecDeque::with_capacity(max), max }
    }

    /// When the next attempt is granted, if none is now.
    #[must_use]
    pub fn held_until(&self, now: Nanos) -> Option<Nanos> {
        let oldest = self.stamps.len().checked_sub(self.max).and_then(|n| self.stamps.get(n));
        oldest.map(|at| *at + self.window).filter(|until| *until > now)
    }

    /// Takes one attempt, or refuses it. Never allocates.
    pub fn take(&mut self, now: Nanos) -> bool {
        while self.stamps.front().is_some_and(|at| now.since(*at) >= self.window) {
            self.stamps.pop_front();
        }
        if self.stamps.len() >= self.max {
            return false;
        }
        self.stamps.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn outages_follow_the_ladder_then_the_jittered_pace() {
        let mut backoff = Backoff::new(1);
        assert!(backoff.is_due(Nanos::ZERO));
        let mut now = Nanos::from_secs(10);
        for ms in LADDER_MS {
            backoff.failed(now);
            assert_eq!(backoff.due().since(now), Nanos::from_millis(ms));
            now = backoff.due();
        }
        let mut delays = Vec::new();
        for _ in 0..50 {
            backoff.failed(now);
            delays.push(backoff.due().since(now).millis());
            now = backoff.due();
        }
        assert!(delays.iter().all(|ms| (1_500..=2_500).contains(ms)));
        assert!(delays.iter().max() > delays.iter().min(), "jittered");
        backoff.succeeded();
        backoff.failed(now);
        assert_eq!(backoff.due(), now);
    }

    #[test]
    fn a_used_up_budget_says_when_it_grants_again() {
        let mut budget = ConnectBudget::new(2, Nanos(100));
        assert!(budget.take(Nanos(1)) && budget.held_until(Nanos(1)).is_none());
        assert!(budget.take(Nanos(5)) && !budget.take(Nanos(6)));
        assert_eq!(budget.held_until(Nanos(6)), Some(Nanos(101)));
        assert!(budget.held_until(Nanos(101)).is_none() && budget.take(Nanos(101)));
        assert_eq!(budget.held_until(Nanos(101)), Some(Nanos(105)));
    }

    #[test]
    fn refusals_double_to_thirty_seconds_and_obey_the_venue() {
        let mut backoff = Backoff::new(2);
        for expected_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            backoff.refused(Nanos::ZERO, None);
            let ms = backoff.due().millis();
            assert!((expected_ms..=expected_ms * 11 / 10).contains(&ms), "{ms}");
        }
        backoff.refused(Nanos::ZERO, Some(Nanos::from_secs(120)));
        assert!(backoff.due() >= Nanos::from_secs(120));
    }

    #[test]
    fn failed_handshakes_are_tried_again_every_three_seconds() {
        let mut backoff = Backoff::new(2);
        for expected_ms in [1_000, 2_000, 3_000, 3_000] {
            backoff.mistrusted(Nanos::ZERO);
            let ms = backoff.due().millis();
            assert!((expected_ms..=expected_ms * 11 / 10).contains(&ms), "{ms}");
        }
    }

    proptest! {
        /// The naive twin counts all attempts of the last window.
        #[test]
        fn no_window_holds_more_than_the_budget(
            max in 1usize..5, steps in proptest::collection::vec(0u64..40, 0..200)
        ) {
            let window = Nanos(100);
            let mut budget = ConnectBudget::new(max, window);
            let (mut now, mut granted) = (Nanos::ZERO, Vec::new());
            for step in steps {
                now = now + Nanos(step);
                let recent = granted.iter().filter(|at| now.since(**at) < window).count();
                let answer = budget.take(now);
                prop_assert_eq!(answer, recent < max);
                if answer {
                    granted.push(now);
                }
            }
        }
    }
}
