//! A venue's request budgets: windows aligned to the clock, not sliding.
//!
//! Pure: time is an argument (venue time in Unix ms). The budget counts what this process spends
//! and is corrected by the counts that the venue reports. It refuses rather than overdraws.
//! Source of the rules: the Binance sheet, chapter 12; other venues' windows have the same shape.

/// One window: at most `limit` units in each interval of `interval_ms` that starts at a multiple
/// of `interval_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    interval_ms: i64,
    limit: u32,
    start_ms: i64,
    used: u32,
}

impl Window {
    /// A window; a `limit` of zero means that there is no such rule.
    ///
    /// # Panics
    /// When `interval_ms` is not positive.
    #[must_use]
    pub const fn new(interval_ms: i64, limit: u32) -> Self {
        assert!(interval_ms > 0, "a window has a length");
        Self { interval_ms, limit, start_ms: i64::MIN, used: 0 }
    }

    /// Units left at `now_ms` with `reserve` units untouched.
    pub fn left(&mut self, now_ms: i64, reserve: u32) -> u32 {
        self.roll(now_ms);
        if self.limit == 0 {
            return u32::MAX;
        }
        self.limit.saturating_sub(reserve).saturating_sub(self.used)
    }

    /// Spends `cost` units without asking.
    pub fn spend(&mut self, now_ms: i64, cost: u32) {
        self.roll(now_ms);
        self.used = self.used.saturating_add(cost);
    }

    /// Replaces the own count by the venue's plus what the venue has not seen yet.
    pub fn observe(&mut self, now_ms: i64, used: u32, unseen: u32) {
        self.roll(now_ms);
        self.used = used.saturating_add(unseen);
    }

    /// The venue counts more than was counted here. Never lowers the own count: in a window as
    /// short as the way, the venue's word is about another one perhaps.
    pub fn observe_more(&mut self, now_ms: i64, used: u32) {
        self.roll(now_ms);
        self.used = self.used.max(used);
    }

    /// When the present window ends, Unix ms.
    #[must_use]
    pub const fn end_ms(&self, now_ms: i64) -> i64 {
        (now_ms.div_euclid(self.interval_ms) + 1) * self.interval_ms
    }

    /// A clock that steps back does not reopen a window that was spent.
    fn roll(&mut self, now_ms: i64) {
        let start = now_ms.div_euclid(self.interval_ms) * self.interval_ms;
        if start > self.start_ms {
            self.start_ms = start;
            self.used = 0;
        }
    }
}

/// Limits as the venue states them; zero where it states none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// New orders per 10 s and account.
    pub orders_10s: u32,
    /// New orders per UTC day and account.
    pub orders_day: u32,
    /// Request weight per minute and address.
    pub weight_minute: u32,
    /// Request weight per second and account.
    pub weight_second: u32,
}

/// Counts that an answer of the venue reported; `None` where it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Orders counted in the present 10 s.
    pub orders_10s: Option<u32>,
    /// Orders counted today.
    pub orders_day: Option<u32>,
    /// Weight used in the present minute.
    pub weight_minute: Option<u32>,
    /// Weight used in the present second.
    pub weight_second: Option<u32>,
    /// The limits that came with the counts; zero where none did.
    pub limits: RateLimits,
}

/// What a request costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// New orders.
    pub orders: u32,
    /// Request weight.
    pub weight: u32,
}

/// Share of the weight kept for cancels and reconciliation: one twentieth, but at least this.
const WEIGHT_RESERVE_MIN: u32 = 10;

/// Of the weight of a second this part, one in so many, is kept for the same.
const SECOND_RESERVE: u32 = 5;

/// What is asked at leisure leaves this part, one in so many, of a window to everything else.
const IDLE_PART: u32 = 2;

/// The budget of one order-entry session.
#[derive(Clone, Copy, Debug)]
pub struct RateBudget {
    orders_10s: Window,
    orders_day: Window,
    weight_minute: Window,
    weight_second: Window,
    reserve_weight: u32,
    reserve_second: u32,
    blocked_until_ms: i64,
}

impl RateBudget {
    /// A budget of `limits`.
    #[must_use]
    pub fn new(limits: RateLimits) -> Self {
        let reserve = (limits.weight_minute / 20).max(WEIGHT_RESERVE_MIN);
        Self {
            orders_10s: Window::new(10_000, limits.orders_10s),
            orders_day: Window::new(86_400_000, limits.orders_day),
            weight_minute: Window::new(60_000, limits.weight_minute),
            weight_second: Window::new(1_000, limits.weight_second),
            reserve_weight: reserve.min(limits.weight_minute),
            reserve_second: limits.weight_second / SECOND_RESERVE,
            blocked_until_ms: i64::MIN,
        }
    }

    /// Spends `cost` if all of it fits; otherwise spends nothing. Leaves the reserve to
    /// [`RateBudget::try_take_urgent`].
    pub fn try_take(&mut self, now_ms: i64, cost: Cost) -> bool {
        self.take(now_ms, cost, self.reserve_weight, self.reserve_second)
    }

    /// As [`RateBudget::try_take`], with the reserve: for cancels and reconciliation.
    pub fn try_take_urgent(&mut self, now_ms: i64, cost: Cost) -> bool {
        self.take(now_ms, cost, 0, 0)
    }

    /// As [`RateBudget::try_take`], for what has time: leaves half of each window to the rest.
    pub fn try_take_idle(&mut self, now_ms: i64, cost: Cost) -> bool {
        let (minute, second) = (self.weight_minute.limit, self.weight_second.limit);
        self.take(now_ms, cost, minute.div_ceil(IDLE_PART), second.div_ceil(IDLE_PART))
    }

    /// [`RateBudget::try_take_idle`] would grant `cost` now.
    pub fn has_idle(&mut self, now_ms: i64, cost: Cost) -> bool {
        (*self).try_take_idle(now_ms, cost)
    }

    /// Corrects the own counts by the venue's. `unanswered`: what was sent and not yet answered,
    /// which the venue's counts may not contain. The venue's order count can be below the own
    /// one, because fills give orders back.
    pub fn observe(&mut self, now_ms: i64, usage: &Usage, unanswered: Cost) {
        if let Some(used) = usage.orders_10s {
            self.orders_10s.observe(now_ms, used, unanswered.orders);
        }
        if let Some(used) = usage.orders_day {
            self.orders_day.observe(now_ms, used, unanswered.orders);
        }
        if let Some(used) = usage.weight_minute {
            self.weight_minute.observe(now_ms, used, unanswered.weight);
        }
        if let Some(used) = usage.weight_second {
            self.weight_second.observe_more(now_ms, used);
        }
        if usage.limits.weight_second > 0 {
            self.weight_second.limit = usage.limits.weight_second;
            self.reserve_second = usage.limits.weight_second / SECOND_RESERVE;
        }
    }

    /// The venue forbade requests until `until_ms` (its `retryAfter`).
    pub fn block_until(&mut self, until_ms: i64) {
        self.blocked_until_ms = self.blocked_until_ms.max(until_ms);
    }

    /// The venue forbids requests now.
    #[must_use]
    pub const fn is_blocked(&self, now_ms: i64) -> bool {
        now_ms < self.blocked_until_ms
    }

    /// Orders that can be sent now.
    pub fn orders_left(&mut self, now_ms: i64) -> u32 {
        if self.is_blocked(now_ms) {
            return 0;
        }
        self.orders_10s.left(now_ms, 0).min(self.orders_day.left(now_ms, 0))
    }

    fn take(&mut self, now_ms: i64, cost: Cost, reserve: u32, reserve_second: u32) -> bool {
        if self.is_blocked(now_ms)
            || self.orders_10s.left(now_ms, 0) < cost.orders
            || self.orders_day.left(now_ms, 0) < cost.orders
            || self.weight_minute.left(now_ms, reserve) < cost.weight
            || self.weight_second.left(now_ms, reserve_second) < cost.weight
        {
            return false;
        }
        self.orders_10s.spend(now_ms, cost.orders);
        self.orders_day.spend(now_ms, cost.orders);
        self.weight_minute.spend(now_ms, cost.weight);
        self.weight_second.spend(now_ms, cost.weight);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: RateLimits =
        RateLimits { orders_10s: 5, orders_day: 40, weight_minute: 30, weight_second: 0 };

    /// The naive twin remembers every request and counts those of the same aligned window.
    #[derive(Default)]
    struct Twin(Vec<(i64, Cost)>);

    impl Twin {
        fn used(&self, now: i64, interval: i64) -> Cost {
            let same = |t: &i64| t.div_euclid(interval) == now.div_euclid(interval);
            self.0.iter().filter(|(t, _)| same(t)).fold(Cost::default(), |sum, (_, c)| Cost {
                orders: sum.orders + c.orders,
                weight: sum.weight + c.weight,
            })
        }

        fn try_take(&mut self, now: i64, cost: Cost, reserve: u32) -> bool {
            let fits = self.used(now, 10_000).orders + cost.orders <= LIMITS.orders_10s
                && self.used(now, 86_400_000).orders + cost.orders <= LIMITS.orders_day
                && self.used(now, 60_000).weight + cost.weight + reserve <= LIMITS.weight_minute;
            let fits = fits
                || (cost.weight == 0
                    && self.used(now, 10_000).orders + cost.orders <= LIMITS.orders_10s
                    && self.used(now, 86_400_000).orders + cost.orders <= LIMITS.orders_day);
            if fits {
                self.0.push((now, cost));
            }
            fits
        }
    }

    proptest! {
        #[test]
        fn grants_exactly_what_the_twin_grants(
            start in 0i64..100_000_000,
            steps in proptest::collection::vec(
                (0i64..8_000, 0u32..3, 0u32..9, any::<bool>()),
                1..300,
            )
        ) {
            let (mut budget, mut twin, mut now) = (RateBudget::new(LIMITS), Twin::default(), start);
            for (step, orders, weight, urgent) in steps {
                now += step;
                let cost = Cost { orders, weight };
                let (ours, reserve) = if urgent {
                    (budget.try_take_urgent(now, cost), 0)
                } else {
                    (budget.try_take(now, cost), 10)
                };
                prop_assert_eq!(ours, twin.try_take(now, cost, reserve), "at {}", now);
            }
        }
    }

    #[test]
    fn venue_counts_correct_the_own_ones_both_ways() {
        let order = Cost { orders: 1, weight: 0 };
        let mut budget = RateBudget::new(LIMITS);
        assert!((0..5).all(|_| budget.try_take(1_000, order)));
        assert!(!budget.try_take(1_000, order));
        // A maker fill gave orders back: the venue counts 2, one request is unanswered.
        let usage = Usage { orders_10s: Some(2), ..Usage::default() };
        budget.observe(1_500, &usage, order);
        assert_eq!(budget.orders_left(1_500), 2);
        let usage = Usage { orders_day: Some(40), ..Usage::default() };
        budget.observe(1_500, &usage, Cost::default());
        assert_eq!(budget.orders_left(1_500), 0);
        assert_eq!(budget.orders_left(10_000), 0, "the day's count outlives ten seconds");
    }

    /// What was sent and not answered is not in the venue's count yet: forty on their way and a
    /// count of one are forty.
    #[test]
    fn what_is_under_way_counts_beside_the_venues_word() {
        let order = Cost { orders: 1, weight: 1 };
        let limits = RateLimits { orders_10s: 50, weight_minute: 1_000, ..RateLimits::default() };
        let mut budget = RateBudget::new(limits);
        assert!((0..40).all(|_| budget.try_take(1_000, order)));
        let told = Usage { orders_10s: Some(1), weight_minute: Some(1), ..Usage::default() };
        budget.observe(1_001, &told, Cost { orders: 39, weight: 39 });
        assert_eq!((0..40).filter(|_| budget.try_take(1_002, order)).count(), 10);
    }

    #[test]
    fn what_has_time_leaves_half_to_the_rest() {
        let question = Cost { orders: 0, weight: 4 };
        let limits = RateLimits { weight_minute: 100, weight_second: 30, ..RateLimits::default() };
        let mut budget = RateBudget::new(limits);
        let idle = |budget: &mut RateBudget, ms| {
            (0..100).filter(|_| budget.try_take_idle(ms, question)).count()
        };
        assert_eq!(idle(&mut budget, 0), 3, "fifteen of the second's thirty");
        assert!(!budget.has_idle(0, question) && budget.try_take(0, question));
        assert_eq!([1_000, 2_000, 3_000, 4_000].map(|ms| idle(&mut budget, ms)), [3, 3, 2, 0]);
        assert!(budget.try_take(4_000, question), "half of the minute is left");
    }

    #[test]
    fn a_ban_and_a_clock_that_steps_back_grant_nothing() {
        let order = Cost { orders: 5, weight: 0 };
        let mut budget = RateBudget::new(LIMITS);
        budget.block_until(5_000);
        assert!(!budget.try_take_urgent(4_999, order) && budget.try_take(10_000, order));
        assert!(!budget.try_take(9_000, order), "the earlier window is over");
        assert_eq!(Window::new(10_000, 1).end_ms(12_345), 20_000);
    }

    #[test]
    fn a_second_keeps_a_part_for_what_is_urgent_and_follows_the_venues_word() {
        let one = Cost { orders: 1, weight: 1 };
        let limits = RateLimits { weight_second: 30, ..RateLimits::default() };
        let mut budget = RateBudget::new(limits);
        assert_eq!((0..40).filter(|_| budget.try_take(1_000, one)).count(), 24);
        assert_eq!((0..40).filter(|_| budget.try_take_urgent(1_500, one)).count(), 6);
        assert!(budget.try_take(2_000, one), "another second");
        let told = |used, limit| Usage {
            weight_second: Some(used),
            limits: RateLimits { weight_second: limit, ..RateLimits::default() },
            ..Usage::default()
        };
        budget.observe(2_000, &told(29, 0), Cost::default());
        assert!(budget.try_take_urgent(2_000, one) && !budget.try_take_urgent(2_000, one));
        budget.observe(2_000, &told(3, 100), Cost::default());
        assert_eq!((0..99).filter(|_| budget.try_take(2_000, one)).count(), 50, "30 were used");
    }

    #[test]
    fn no_stated_limit_means_no_limit() {
        let mut budget = RateBudget::new(RateLimits::default());
        assert!((0..1_000).all(|_| budget.try_take(7, Cost { orders: 1, weight: 100 })));
    }
}
