//! The window: a flat ring of price steps around the touch with a two-level bitmap.
//!
//! Steps are counted best first (the ladder turns bids around), so the lowest step is the best.
//! The window covers `base..base + steps` and slides by whole words of [`WORD`] steps; a step's
//! slot is its low bits, so sliding moves nothing. One level costs an index, a bit and, when the
//! best goes, a search over the words' summary: at most `steps / 4096 + 1` summary words.

use bot4_types::Level;

/// Steps in one word of the bitmap, and the unit by which a window slides.
pub(crate) const WORD: i64 = 64;
/// Stands for "no step".
pub(crate) const NONE: i64 = i64::MAX;

/// Quantities by step. `steps` is a power of two.
#[derive(Debug)]
pub(crate) struct Window {
    qty: Vec<i64>,
    words: Vec<u64>,
    summary: Vec<u64>,
    /// First step covered; a multiple of [`WORD`].
    base: i64,
    /// Lowest step in use, or [`NONE`].
    best: i64,
    count: usize,
}

impl Window {
    /// An empty window of `steps` steps. Allocates; nothing later.
    ///
    /// # Panics
    /// When `steps` is not a power of two of at least 128.
    pub(crate) fn new(steps: usize) -> Self {
        assert!(steps.is_power_of_two() && steps >= 128, "a window is a power of two of words");
        let words = steps / WORD as usize;
        Self {
            qty: vec![0; steps],
            words: vec![0; words],
            summary: vec![0; words.div_ceil(64)],
            base: 0,
            best: NONE,
            count: 0,
        }
    }

    pub(crate) const fn base(&self) -> i64 {
        self.base
    }

    pub(crate) const fn steps(&self) -> i64 {
        self.qty.len() as i64
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Lowest step in use, or [`NONE`].
    pub(crate) const fn best(&self) -> i64 {
        self.best
    }

    #[inline]
    pub(crate) const fn covers(&self, step: i64) -> bool {
        (step.wrapping_sub(self.base) as u64) < self.qty.len() as u64
    }

    /// The quantity at a covered step; meaningful only where the step is in use.
    #[inline]
    pub(crate) fn qty(&self, step: i64) -> i64 {
        self.qty[self.slot(step)]
    }

    /// Empties the window and moves it so that it starts at or just before `base`.
    pub(crate) fn reset(&mut self, base: i64) {
        self.words.fill(0);
        self.summary.fill(0);
        self.base = base - base.rem_euclid(WORD);
        self.best = NONE;
        self.count = 0;
    }

    /// Sets the quantity at a covered step; a quantity that is not positive removes the level.
    #[inline]
    pub(crate) fn set(&mut self, step: i64, qty: i64) {
        let slot = self.slot(step);
        let (word, bit) = (slot >> 6, 1u64 << (slot & 63));
        let was = self.words[word] & bit != 0;
        if qty > 0 {
            self.qty[slot] = qty;
            self.words[word] |= bit;
            self.summary[word >> 6] |= 1 << (word & 63);
            self.count += usize::from(!was);
            self.best = self.best.min(step);
        } else if was {
            self.words[word] &= !bit;
            if self.words[word] == 0 {
                self.summary[word >> 6] &= !(1 << (word & 63));
            }
            self.count -= 1;
            if step == self.best {
                self.best = self.next(step + 1);
            }
        }
    }

    /// As [`set`](Self::set) for a covered step that is worse than the best, or the best itself
    /// with another quantity; `false` for others, when nothing is done.
    #[inline]
    pub(crate) fn set_behind(&mut self, step: i64, qty: i64) -> bool {
        let behind = step > self.best.wrapping_sub(i64::from(qty > 0));
        if !(behind & self.covers(step)) {
            return false;
        }
        let (slot, qtys) = (self.slot(step), &mut self.qty[..]);
        let change = put(qtys, &mut self.words, &mut self.summary, slot, qty);
        self.count = self.count.wrapping_add_signed(change);
        true
    }

    /// [`set_behind`](Self::set_behind) for one level after the other, until one comes whose price
    /// `step_of` finds off the grid or for which that would be `false`; returns how many were set.
    #[inline]
    pub(crate) fn set_run(
        &mut self,
        levels: &[Level],
        step_of: impl Fn(i64) -> (bool, i64),
    ) -> usize {
        // In locals, so that no store makes the processor look at them again.
        let (base, best, mut count) = (self.base, self.best, self.count);
        let (qtys, words, sums) = (&mut self.qty[..], &mut self.words[..], &mut self.summary[..]);
        let mut done = 0;
        for level in levels {
            let (on_grid, step) = step_of(level.price);
            let covered = (step.wrapping_sub(base) as u64) < qtys.len() as u64;
            let behind = step > best.wrapping_sub(i64::from(level.qty > 0));
            if !(on_grid & covered & behind) {
                break;
            }
            let slot = step as usize & (qtys.len() - 1);
            count = count.wrapping_add_signed(put(qtys, words, sums, slot, level.qty));
            done += 1;
        }
        self.count = count;
        done
    }

    /// The lowest step in use that is at least `step` (itself at least `base`), or [`NONE`].
    #[inline]
    pub(crate) fn next(&self, step: i64) -> i64 {
        if !self.covers(step) {
            return NONE;
        }
        let slot = self.slot(step);
        let bits = self.words[slot >> 6] >> (slot & 63);
        if bits != 0 {
            return step + i64::from(bits.trailing_zeros());
        }
        self.next_word(((step - self.base) / WORD) as usize + 1)
    }

    /// The lowest step in use in the words from the `ahead`-th after `base`, or [`NONE`].
    fn next_word(&self, mut ahead: usize) -> i64 {
        let words = self.words.len();
        let first = self.slot(self.base) >> 6;
        while ahead < words {
            let word = (first + ahead) & (words - 1);
            let marks = self.summary[word >> 6] >> (word & 63);
            if marks == 0 {
                // To the next summary word, or to slot zero where the ring closes.
                ahead += (64 - (word & 63)).min(words - word);
                continue;
            }
            let skip = marks.trailing_zeros() as usize;
            ahead += skip;
            if ahead >= words {
                return NONE; // that word lies before the base
            }
            let bits = self.words[word + skip];
            return self.base + ahead as i64 * WORD + i64::from(bits.trailing_zeros());
        }
        NONE
    }

    /// The highest step in use, or [`NONE`].
    pub(crate) fn last(&self) -> i64 {
        let words = self.words.len();
        let first = self.slot(self.base) >> 6;
        let mut left = words;
        while left > 0 {
            let word = (first + left - 1) & (words - 1);
            // The marks of this summary word up to `word`, the newest on top.
            let marks = self.summary[word >> 6] << (63 - (word & 63));
            if marks == 0 {
                left -= ((word & 63) + 1).min(left);
                continue;
            }
            let skip = marks.leading_zeros() as usize;
            if skip >= left {
                return NONE; // that word lies before the base
            }
            left -= skip;
            let bits = self.words[word - skip];
            let top = 63 - i64::from(bits.leading_zeros());
            return self.base + (left as i64 - 1) * WORD + top;
        }
        NONE
    }

    /// Moves the window one word towards the worse side. The word at the base must be empty.
    pub(crate) fn slide_up(&mut self) {
        debug_assert!(self.best >= self.base + WORD, "a level would be lost");
        self.base += WORD;
    }

    /// Moves the window one word towards the better side. The last word must be empty.
    pub(crate) fn slide_down(&mut self) {
        self.base -= WORD;
        debug_assert_eq!(self.words[self.slot(self.base) >> 6], 0, "a level would be lost");
    }

    /// A window is a power of two long, so the low bits are the slot, below zero too.
    #[inline]
    const fn slot(&self, step: i64) -> usize {
        step as usize & (self.qty.len() - 1)
    }
}

/// Sets or removes the level at `slot`; returns by how many the levels in use changed. Free of
/// branches, because whether a level is new or goes is as good as random.
#[inline]
fn put(qtys: &mut [i64], words: &mut [u64], sums: &mut [u64], slot: usize, qty: i64) -> isize {
    let (word, bit, stays) = (slot >> 6, slot & 63, u64::from(qty > 0));
    let was = words[word] >> bit & 1;
    let marks = (words[word] & !(1 << bit)) | stays << bit;
    let (sum, place) = (word >> 6, word & 63);
    words[word] = marks;
    sums[sum] = (sums[sum] & !(1 << place)) | u64::from(marks != 0) << place;
    qtys[slot] = qty;
    stays as isize - was as isize
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::rng::SplitMix64;
    use std::collections::BTreeMap;

    /// Random sets at every alignment of the base, each small size and one above a summary word.
    #[test]
    fn behaves_like_a_sorted_map_within_its_steps() {
        for (seed, steps) in [(1, 128usize), (2, 512), (3, 4_096), (4, 16_384), (5, 262_144)] {
            let mut rng = SplitMix64::new(seed);
            for round in 0..40i64 {
                let (mut window, mut twin) = (Window::new(steps), BTreeMap::new());
                window.reset(round * 777 - 9_000);
                let base = window.base();
                for n in 0..300 {
                    let step = base + rng.below(steps as u64) as i64;
                    let qty = rng.below(3) as i64;
                    let level = Level { price: step, qty };
                    let behind = step > window.best() || (step == window.best() && qty > 0);
                    match n % 3 {
                        0 => assert_eq!(window.set_behind(step, qty), behind),
                        1 => {
                            let done = window.set_run(&[level], |price| (true, price));
                            assert_eq!(done, usize::from(behind));
                        }
                        _ => {}
                    }
                    window.set(step, qty);
                    if qty > 0 {
                        twin.insert(step, qty)
                    } else {
                        twin.remove(&step)
                    };
                    let first = twin.first_key_value().map_or(NONE, |(k, _)| *k);
                    assert_eq!((window.best(), window.count()), (first, twin.len()), "{n}");
                    let last = twin.last_key_value().map_or(NONE, |(k, _)| *k);
                    assert_eq!(window.last(), last, "{n}");
                    let from = base + rng.below(steps as u64) as i64;
                    let next = twin.range(from..).next().map_or(NONE, |(k, _)| *k);
                    assert_eq!(window.next(from), next);
                }
                assert!(twin.iter().all(|(k, v)| window.qty(*k) == *v));
            }
        }
    }
}
