//! How fast a connection may speak. Pure: times in, leave out.
//!
//! A venue counts every message of the client in a second, pings and pongs included. Our pings go
//! out once a second and the venue's own are answered at once, so texts get what is left: the
//! limit less one of each.

use std::collections::VecDeque;

use bot4_types::Nanos;

/// The venue's second as we count it: a tenth longer, for what the way adds to distances.
const WINDOW: Nanos = Nanos::from_millis(1_100);
/// Messages of each second that are kept for one ping and one pong.
const RESERVE: u32 = 2;
/// Texts in a second where the venue names no limit: more would look like an attack.
const UNLIMITED: u32 = 50;

/// The pace of one connection's texts.
#[derive(Clone, Debug)]
pub struct Pace {
    texts_max: usize,
    stamps: VecDeque<Nanos>,
}

impl Pace {
    /// A pace within `messages_per_s`, zero for no limit. Limits below three leave one text.
    pub fn new(messages_per_s: u32) -> Self {
        let texts = match messages_per_s {
            0 => UNLIMITED,
            n => n.saturating_sub(RESERVE).max(1),
        };
        let texts_max = texts.min(UNLIMITED) as usize;
        Self { texts_max, stamps: VecDeque::with_capacity(texts_max) }
    }

    /// Whether a text may be sent now.
    pub fn allows(&mut self, now: Nanos) -> bool {
        while self.stamps.front().is_some_and(|at| now.since(*at) >= WINDOW) {
            self.stamps.pop_front();
        }
        self.stamps.len() < self.texts_max
    }

    /// A text was sent.
    pub fn sent(&mut self, now: Nanos) {
        if self.stamps.len() < self.texts_max {
            self.stamps.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The naive twin counts all texts of every second that begins with one.
        #[test]
        fn no_second_holds_more_than_the_limit(
            limit in 3u32..20, steps in proptest::collection::vec(0u64..400, 1..400)
        ) {
            let (mut pace, mut now, mut sent) = (Pace::new(limit), Nanos::ZERO, Vec::new());
            for ms in steps {
                now = now + Nanos::from_millis(ms);
                if pace.allows(now) {
                    pace.sent(now);
                    sent.push(now);
                }
            }
            for from in &sent {
                let second = sent.iter().filter(|at| {
                    **at >= *from && at.since(*from) < Nanos::from_secs(1)
                });
                prop_assert!(second.count() as u32 + RESERVE <= limit);
            }
        }
    }

    #[test]
    fn small_limits_leave_one_text() {
        for limit in [1, 2, 3] {
            let mut pace = Pace::new(limit);
            assert!(pace.allows(Nanos::ZERO));
            pace.sent(Nanos::ZERO);
            assert!(!pace.allows(Nanos::from_millis(1_000)));
            assert!(pace.allows(Nanos::from_millis(1_100)));
        }
    }
}
