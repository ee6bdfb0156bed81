//! The largest losses of a series, largest first: all that the tail's mean and quantile need.
//!
//! Invariant: exact while losses are only added. What leaves the series stays here until the list
//! is built anew; until then each place holds at least its true value, so a shortfall read from it
//! is too high, never too low. Cost of a loss: one comparison, rarely an insertion into eleven.

use crate::{HISTORY, TAIL_ONE_IN, tail_len};
use serde::{Deserialize, Serialize};

/// The tail of a full history and the one loss behind it, which is the value at risk.
pub(crate) const WORST_MAX: usize = HISTORY / TAIL_ONE_IN + 1;

/// The largest losses above zero. Gains and zeros are not kept; where there are fewer losses than
/// places, the rest counts as zero.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Worst {
    losses: [f64; WORST_MAX],
    len: usize,
}

impl Worst {
    /// The list of `losses`.
    pub(crate) fn of(losses: impl Iterator<Item = f64>) -> Self {
        let mut worst = Self::default();
        losses.for_each(|loss| worst.add(loss));
        worst
    }

    /// Adds a loss.
    #[inline]
    pub(crate) fn add(&mut self, loss: f64) {
        if loss > self.threshold() {
            self.insert(loss);
        }
    }

    /// A loss that leaves the series may be one of the list.
    pub(crate) fn may_hold(&self, loss: f64) -> bool {
        loss > 0.0 && (self.len < WORST_MAX || loss >= self.losses[WORST_MAX - 1])
    }

    /// Mean of the tail of `samples` returns: their expected shortfall.
    pub(crate) fn shortfall(&self, samples: usize) -> f64 {
        let tail = tail_len(samples).min(WORST_MAX);
        self.losses[..tail].iter().sum::<f64>() / tail as f64
    }

    /// The smallest loss that at most one return in a hundred exceeds: the value at risk.
    pub(crate) fn value_at_risk(&self, samples: usize) -> f64 {
        self.losses[(samples / TAIL_ONE_IN).min(WORST_MAX - 1)]
    }

    fn threshold(&self) -> f64 {
        if self.len < WORST_MAX { 0.0 } else { self.losses[WORST_MAX - 1] }
    }

    fn insert(&mut self, loss: f64) {
        let mut at = self.len.min(WORST_MAX - 1);
        self.len = (self.len + 1).min(WORST_MAX);
        while at > 0 && self.losses[at - 1] < loss {
            self.losses[at] = self.losses[at - 1];
            at -= 1;
        }
        self.losses[at] = loss;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_head_of_the_sorted_list(losses in prop::collection::vec(-5i32..100, 0..300)) {
            let losses: Vec<f64> = losses.into_iter().map(f64::from).collect();
            let worst = Worst::of(losses.iter().copied());
            let mut sorted: Vec<f64> = losses.iter().map(|l| l.max(0.0)).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            sorted.resize(sorted.len().max(WORST_MAX), 0.0);
            prop_assert_eq!(&worst.losses[..], &sorted[..WORST_MAX]);
            let tail = tail_len(losses.len());
            let mean = sorted[..tail].iter().sum::<f64>() / tail as f64;
            prop_assert_eq!(worst.shortfall(losses.len()), mean);
            prop_assert_eq!(worst.value_at_risk(losses.len()), sorted[losses.len() / 100]);
            prop_assert!(worst.value_at_risk(losses.len()) <= mean);
        }
    }

    #[test]
    fn what_is_no_loss_is_not_kept() {
        let mut worst = Worst::of([-1.0, 0.0, f64::NAN].into_iter());
        assert_eq!((worst.len, worst.shortfall(1_000)), (0, 0.0));
        assert!(!worst.may_hold(0.0) && !worst.may_hold(f64::NAN));
        (1..=20).for_each(|loss| worst.add(f64::from(loss)));
        assert!(worst.may_hold(10.0) && !worst.may_hold(9.0));
    }
}
