//! By how much a timeout is stretched: a pure function of a seed and the breaker's epoch, so that
//! it needs no shared state and a replay draws the same.

use bot4_types::rng::SplitMix64;
use serde::{Deserialize, Serialize};

/// Where a breaker's jitter comes from.
pub trait Jitter: Send + Sync {
    /// At most `max_ns` to add to the timeout of the trip that begins epoch `epoch`.
    fn extra_ns(&self, epoch: u32, max_ns: u64) -> u64;
}

/// None at all: tests, and single breakers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct NoJitter;

impl Jitter for NoJitter {
    fn extra_ns(&self, _epoch: u32, _max_ns: u64) -> u64 {
        0
    }
}

/// Drawn from a seed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SeededJitter(pub u64);

impl SeededJitter {
    /// The source for the `n`-th of several breakers with one seed.
    #[must_use]
    pub const fn nth(self, n: u64) -> Self {
        Self(SplitMix64::new(self.0 ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).next_u64())
    }
}

impl Jitter for SeededJitter {
    fn extra_ns(&self, epoch: u32, max_ns: u64) -> u64 {
        SplitMix64::new(self.0 ^ u64::from(epoch) << 32).below(max_ns.saturating_add(1))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_repeatable_and_spreads() {
        let jitter = SeededJitter(7).nth(3);
        let drawn: Vec<u64> = (0..1_000).map(|e| jitter.extra_ns(e, 99)).collect();
        assert!(drawn.iter().all(|ns| *ns <= 99));
        assert!(drawn.iter().enumerate().all(|(e, ns)| *ns == jitter.extra_ns(e as u32, 99)));
        let distinct: std::collections::BTreeSet<_> = drawn.into_iter().collect();
        assert!(distinct.len() > 90, "{}", distinct.len());
        assert_ne!(jitter.extra_ns(1, u64::MAX), SeededJitter(7).nth(4).extra_ns(1, u64::MAX));
        assert_eq!(jitter.extra_ns(1, 0), 0);
    }
}
