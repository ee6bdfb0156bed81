//! A set of an agent's instruments, as bits.

use bot4_types::limits::INSTRUMENTS_MAX;

const WORDS: usize = INSTRUMENTS_MAX / 64;

/// Members are indices below [`INSTRUMENTS_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexSet([u64; WORDS]);

impl IndexSet {
    #[inline]
    pub(crate) const fn insert(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    #[inline]
    pub(crate) const fn remove(&mut self, at: usize) {
        self.0[at / 64] &= !(1 << (at % 64));
    }

    #[inline]
    pub(crate) const fn contains(&self, at: usize) -> bool {
        self.0[at / 64] & (1 << (at % 64)) != 0
    }

    /// The lowest member.
    #[inline]
    pub(crate) fn first(&self) -> Option<usize> {
        let word = self.0.iter().position(|w| *w != 0)?;
        Some(word * 64 + self.0[word].trailing_zeros() as usize)
    }

    /// The next member after `at`, going round; `at` itself when it is the only one.
    pub(crate) fn next_round(&self, at: usize) -> Option<usize> {
        let mut later = *self;
        later.0[..at / 64].fill(0);
        later.0[at / 64] &= (u64::MAX << (at % 64)) << 1;
        later.first().or_else(|| self.first())
    }

    /// Members in order.
    pub(crate) fn iter(mut self) -> impl Iterator<Item = usize> {
        core::iter::from_fn(move || {
            let at = self.first()?;
            self.remove(at);
            Some(at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_round_in_order() {
        let mut set = IndexSet::default();
        assert_eq!((set.first(), set.next_round(3)), (None, None));
        for at in [255, 0, 63, 64, 130] {
            set.insert(at);
        }
        assert!(set.iter().eq([0, 63, 64, 130, 255]));
        let mut at = 64;
        let mut round = Vec::new();
        for _ in 0..5 {
            at = set.next_round(at).expect("not empty");
            round.push(at);
        }
        assert_eq!(round, [130, 255, 0, 63, 64]);
        set.remove(63);
        assert!(!set.contains(63) && set.contains(64));
    }
}
