//! After an outage one connection of a venue tries to get in; the others follow when it is in.
//!
//! Declared exception to "only rings": one word with one writer, the scout. It carries no other
//! data, so its order against other memory does not matter; release and acquire pair all the same,
//! as with every word that lanes share.
//!
//! A follower does not wait for ever: what keeps the scout out may be the scout's own trouble. It
//! tries by itself after [`FOLLOW_PATIENCE`], at the slow pace of an outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;

/// How long a follower waits for the scout: its ladder of fast attempts takes 1.5 s.
pub const FOLLOW_PATIENCE: Nanos = Nanos::from_secs(3);
/// Between two attempts of a follower of its own, shortest; up to a second more by seed.
const OWN_PACE_MS: u64 = 1_500;
const OWN_JITTER_MS: u64 = 1_000;

/// Whether a venue's scout is in. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reach(Arc<Word>);

/// Alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Word(AtomicBool);

impl Reach {
    /// The scout tells. Pairs with [`is_in`](Self::is_in).
    fn tell(&self, is_in: bool) {
        self.0.0.store(is_in, Ordering::Release);
    }

    /// The scout's connection is open.
    fn is_in(&self) -> bool {
        self.0.0.load(Ordering::Acquire)
    }
}

/// What a wire agent does after an outage.
#[derive(Clone, Debug, Default)]
pub enum Part {
    /// The only one: tries by itself.
    #[default]
    Alone,
    /// Tries, and tells when it is in.
    Scout(Reach),
    /// Waits for the scout.
    Follower(Reach),
}

/// When a wire agent may start connections.
#[derive(Debug)]
pub struct Permit {
    part: Part,
    told: bool,
    down_since: Option<Nanos>,
    own_due: Nanos,
    rng: SplitMix64,
}

impl Permit {
    /// A permit for `part`; jitter follows from `seed`.
    pub const fn new(part: Part, seed: u64) -> Self {
        let rng = SplitMix64::new(seed);
        Self { part, told: false, down_since: None, own_due: Nanos::ZERO, rng }
    }

    /// Whether a connection may be started now. `is_up`: the stream is open.
    pub fn look(&mut self, now: Nanos, is_up: bool) -> bool {
        match &self.part {
            Part::Alone => true,
            Part::Scout(reach) => {
                if is_up != self.told {
                    reach.tell(is_up);
                    self.told = is_up;
                }
                true
            }
            Part::Follower(reach) => {
                if is_up {
                    self.down_since = None;
                    return true;
                }
                let since = *self.down_since.get_or_insert(now);
                reach.is_in() || (now.since(since) >= FOLLOW_PATIENCE && now >= self.own_due)
            }
        }
    }

    /// A connection was started.
    pub fn dialled(&mut self, now: Nanos) {
        let pace = OWN_PACE_MS + self.rng.below(OWN_JITTER_MS + 1);
        self.own_due = now + Nanos::from_millis(pace);
    }

    /// The agent ends.
    pub fn close(&self) {
        if let Part::Scout(reach) = &self.part {
            reach.tell(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_wait_for_the_scout_but_not_for_ever() {
        let reach = Reach::default();
        let mut scout = Permit::new(Part::Scout(reach.clone()), 1);
        let mut follower = Permit::new(Part::Follower(reach), 2);
        let at = Nanos::from_millis;
        assert!(scout.look(at(1), false));
        assert!(!follower.look(at(1), false));
        assert!(!follower.look(at(3_000), false));
        assert!(follower.look(at(3_001), false));
        follower.dialled(at(3_001));
        assert!(!follower.look(at(4_400), false), "at the slow pace");
        assert!(follower.look(at(5_502), false));
        scout.look(at(5_600), true);
        follower.dialled(at(5_600));
        assert!(follower.look(at(5_601), false), "at once when the scout is in");
        assert!(follower.look(at(6_000), true));
        scout.look(at(7_000), false);
        assert!(!follower.look(at(7_000), false));
        scout.look(at(7_100), true);
        scout.close();
        assert!(!follower.look(at(7_200), false));
    }
}
