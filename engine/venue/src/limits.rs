//! Rate limits on windows aligned to the clock: request weight, unfilled orders, connects.
//!
//! Rule (venue documentation): windows are aligned (each full minute, each 10 s, UTC midnight).
//! An exceeded limit answers 429 with `retryAfter`; whoever goes on is banned (418) and cut off.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The limits of one address and account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRules {
    /// `REQUEST_WEIGHT` a minute.
    pub weight_per_minute: u32,
    /// `ORDERS` in 10 s: unfilled orders.
    pub orders_per_10s: u32,
    /// `ORDERS` a day.
    pub orders_per_day: u32,
    /// Connection attempts in 5 minutes.
    pub connects_per_5m: u32,
    /// Messages (ping, pong, control) a second on a market-stream connection.
    pub stream_messages_per_second: u32,
    /// Refused requests in one minute after which the address is banned.
    pub refusals_until_ban: u32,
    /// How long a ban lasts, ms.
    pub ban_ms: u64,
}

impl LimitRules {
    /// What the real venue grants.
    pub const REAL: Self = Self {
        weight_per_minute: 6_000,
        orders_per_10s: 100,
        orders_per_day: 200_000,
        connects_per_5m: 300,
        stream_messages_per_second: 5,
        refusals_until_ban: 10,
        ban_ms: 120_000,
    };

    /// High order limits for the generated market: an engine that obeys what it reads can be
    /// driven at full speed.
    pub const HIGH: Self = Self {
        weight_per_minute: 600_000,
        orders_per_10s: 20_000,
        orders_per_day: 10_000_000,
        ..Self::REAL
    };

    /// High enough for an account that sends ten thousand orders a second, cancels and all.
    pub const OPEN: Self = Self {
        weight_per_minute: 6_000_000,
        orders_per_10s: 1_000_000,
        orders_per_day: 1_000_000_000,
        ..Self::REAL
    };

    /// The list in `exchangeInfo`.
    #[must_use]
    pub fn info(&self) -> Value {
        json!([
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": self.weight_per_minute},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
             "limit": self.orders_per_10s},
            {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1,
             "limit": self.orders_per_day},
            {"rateLimitType": "CONNECTIONS", "interval": "MINUTE", "intervalNum": 5,
             "limit": self.connects_per_5m},
        ])
    }
}

/// A count that starts again at each multiple of its length.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    length_ms: u64,
    index: u64,
    count: u32,
}

impl Window {
    /// An empty window of this length.
    #[must_use]
    pub fn new(length_ms: u64) -> Self {
        Self { length_ms, index: 0, count: 0 }
    }

    /// Adds and returns the count of the window that `now_ms` lies in.
    pub fn add(&mut self, n: u32, now_ms: u64) -> u32 {
        let index = now_ms / self.length_ms;
        if index != self.index {
            self.index = index;
            self.count = 0;
        }
        self.count = self.count.saturating_add(n);
        self.count
    }

    /// Takes back, never below zero.
    pub fn subtract(&mut self, n: u32, now_ms: u64) {
        self.add(0, now_ms);
        self.count = self.count.saturating_sub(n);
    }

    /// When the next window begins, Unix ms.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        (self.index + 1) * self.length_ms
    }
}

/// A refusal by a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// 429, -1003: too much weight; when to come back.
    Weight(u64),
    /// 429, -1015: too many unfilled orders; limit, interval text, when to come back.
    Orders(u32, &'static str, u64),
    /// 418, -1003: banned until.
    Banned(u64),
}

/// The running counts.
#[derive(Debug)]
pub struct Limits {
    rules: LimitRules,
    weight: Window,
    orders_10s: Window,
    orders_day: Window,
    connects: Window,
    refusals: Window,
    banned_until_ms: u64,
}

impl Limits {
    /// No use yet.
    #[must_use]
    pub fn new(rules: LimitRules) -> Self {
        Self {
            rules,
            weight: Window::new(60_000),
            orders_10s: Window::new(10_000),
            orders_day: Window::new(86_400_000),
            connects: Window::new(300_000),
            refusals: Window::new(60_000),
            banned_until_ms: 0,
        }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &LimitRules {
        &self.rules
    }

    /// End of the ban, if one is on.
    #[must_use]
    pub fn ban(&self, now_ms: u64) -> Option<u64> {
        (self.banned_until_ms > now_ms).then_some(self.banned_until_ms)
    }

    /// Bans the address until then.
    pub fn ban_until(&mut self, until_ms: u64) {
        self.banned_until_ms = self.banned_until_ms.max(until_ms);
    }

    /// Counts a connection attempt; false if there were too many.
    pub fn connect(&mut self, now_ms: u64) -> bool {
        self.weight.add(2, now_ms);
        self.connects.add(1, now_ms) <= self.rules.connects_per_5m
    }

    /// Counts the weight of a request.
    ///
    /// # Errors
    /// [`Exceeded::Weight`] over the limit, [`Exceeded::Banned`] when going on regardless.
    pub fn charge(&mut self, weight: u32, now_ms: u64) -> Result<(), Exceeded> {
        if let Some(until) = self.ban(now_ms) {
            return Err(Exceeded::Banned(until));
        }
        if self.weight.add(weight, now_ms) <= self.rules.weight_per_minute {
            return Ok(());
        }
        Err(self.refuse(Exceeded::Weight(self.weight.end_ms()), now_ms))
    }

    /// Is there room for one more unfilled order?
    ///
    /// # Errors
    /// [`Exceeded::Orders`] if not, [`Exceeded::Banned`] when going on regardless.
    pub fn order_room(&mut self, now_ms: u64) -> Result<(), Exceeded> {
        let (ten, day) = (self.orders_10s.add(0, now_ms), self.orders_day.add(0, now_ms));
        let exceeded = if ten >= self.rules.orders_per_10s {
            let (limit, end) = (self.rules.orders_per_10s, self.orders_10s.end_ms());
            Exceeded::Orders(limit, "10 SECOND", end)
        } else if day >= self.rules.orders_per_day {
            Exceeded::Orders(self.rules.orders_per_day, "1 DAY", self.orders_day.end_ms())
        } else {
            return Ok(());
        };
        Err(self.refuse(exceeded, now_ms))
    }

    /// An order was accepted.
    pub fn order_accepted(&mut self, now_ms: u64) {
        self.orders_10s.add(1, now_ms);
        self.orders_day.add(1, now_ms);
    }

    /// An order had its first fill: as taker it gives back 1, as maker 5 (documented example).
    pub fn order_filled(&mut self, maker: bool, now_ms: u64) {
        let back = if maker { 5 } else { 1 };
        self.orders_10s.subtract(back, now_ms);
        self.orders_day.subtract(back, now_ms);
    }

    /// The `rateLimits` list of an answer: weight, and the order counts where they are touched.
    #[must_use]
    pub fn used(&mut self, orders: bool, now_ms: u64) -> String {
        let mut out = String::with_capacity(320);
        let mut entry = |kind, (interval, number), limit, window: &mut Window| {
            let count = window.add(0, now_ms);
            let separator = if out.is_empty() { '[' } else { ',' };
            let _ = write!(
                out,
                concat!(
                    r#"{}{{"rateLimitType":"{}","interval":"{}","intervalNum":{},"#,
                    r#""limit":{},"count":{}}}"#
                ),
                separator, kind, interval, number, limit, count
            );
        };
        if orders {
            entry("ORDERS", ("SECOND", 10), self.rules.orders_per_10s, &mut self.orders_10s);
            entry("ORDERS", ("DAY", 1), self.rules.orders_per_day, &mut self.orders_day);
        }
        let weight = &mut self.weight;
        entry("REQUEST_WEIGHT", ("MINUTE", 1), self.rules.weight_per_minute, weight);
        out.push(']');
        out
    }

    fn refuse(&mut self, exceeded: Exceeded, now_ms: u64) -> Exceeded {
        if self.refusals.add(1, now_ms) <= self.rules.refusals_until_ban {
            return exceeded;
        }
        self.banned_until_ms = now_ms + self.rules.ban_ms;
        Exceeded::Banned(self.banned_until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: LimitRules = LimitRules {
        weight_per_minute: 10,
        orders_per_10s: 2,
        refusals_until_ban: 2,
        ..LimitRules::REAL
    };

    #[test]
    fn windows_are_aligned_to_the_clock() {
        let mut limits = Limits::new(FEW);
        assert_eq!(limits.charge(10, 59_999), Ok(()));
        assert_eq!(limits.charge(1, 59_999), Err(Exceeded::Weight(60_000)));
        assert_eq!(limits.charge(1, 60_000), Ok(()));
    }

    #[test]
    fn going_on_is_banned() {
        let mut limits = Limits::new(FEW);
        assert_eq!(limits.charge(11, 1_000), Err(Exceeded::Weight(60_000)));
        assert_eq!(limits.charge(1, 1_000), Err(Exceeded::Weight(60_000)));
        assert_eq!(limits.charge(1, 1_000), Err(Exceeded::Banned(121_000)));
        assert_eq!(limits.ban(120_999), Some(121_000));
        assert_eq!(limits.charge(1, 121_000), Ok(()));
    }

    #[test]
    fn fills_give_order_room_back() {
        let mut limits = Limits::new(FEW);
        limits.order_accepted(5);
        limits.order_accepted(5);
        assert_eq!(limits.order_room(5), Err(Exceeded::Orders(2, "10 SECOND", 10_000)));
        limits.order_filled(false, 6);
        assert_eq!(limits.order_room(6), Ok(()));
        limits.order_filled(true, 6);
        assert_eq!(limits.orders_10s.add(0, 6), 0, "never below zero");
    }
}
