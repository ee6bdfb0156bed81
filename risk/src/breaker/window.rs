//! The last calls and how they ended: at most `window_calls` of them and none older than
//! `window_ns`, exact in both. One ring of words; success costs O(1), a failure counts the ring.
//!
//! Two of them, over the same entries: [`OwnWindow`] for one owner, [`SharedWindow`] for several
//! threads. The shared one never counts a failure too few: a failure is stored, *then* published
//! by a read-modify-write of one common word, then the ring is counted. Of two failures that meet,
//! the later one in that word's order sees the other's entry, so that the one that fills the
//! measure opens the breaker. A writer that is overtaken by a whole ring (128 calls) may put an
//! old entry over a young one; it is then one entry of 128.

use super::config::{BreakerConfig, WINDOW_CALLS_MAX};
use super::status::Tick;
use super::sync::{AtomicU64, Ordering, publish};
use bot4_types::Nanos;
use serde::{Deserialize, Serialize};

const _: () = assert!(WINDOW_CALLS_MAX.is_power_of_two());

/// One call: its end, whether it failed, and the epoch it belongs to. Zero is no call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: Tick,
    pub(crate) epoch: u32,
    pub(crate) failed: bool,
}

const PRESENT: u64 = 1 << 63;

impl Entry {
    const fn pack(self) -> u64 {
        PRESENT | (self.epoch as u64) << 41 | (self.failed as u64) << 40 | self.at.raw()
    }

    const fn unpack(word: u64) -> Option<Self> {
        if word & PRESENT == 0 {
            return None;
        }
        let epoch = (word >> 41) as u32 & super::status::EPOCH_MASK;
        Some(Self { at: Tick::from_raw(word), epoch, failed: word >> 40 & 1 == 1 })
    }
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) calls: u32,
    pub(crate) errors: u32,
}

/// Counts the entries of `epoch` in `newest_first` that are within the window at `now`.
fn tally(
    newest_first: impl Iterator<Item = u64>,
    now: Tick,
    epoch: u32,
    config: &BreakerConfig,
) -> Tally {
    let ticks = Tick::ceil(Nanos(config.window_ns)).raw();
    let mut tally = Tally::default();
    for entry in newest_first.take(config.window_calls as usize).map_while(Entry::unpack) {
        if entry.epoch == epoch && now.since(entry.at) <= ticks {
            tally.calls += 1;
            tally.errors += u32::from(entry.failed);
        }
    }
    tally
}

/// Slots behind the one that comes next, newest first.
fn slots_before(next: u64) -> impl Iterator<Item = usize> {
    (1..=WINDOW_CALLS_MAX as u64).map(move |back| slot(next.wrapping_sub(back)))
}

const fn slot(n: u64) -> usize {
    n as usize & (WINDOW_CALLS_MAX - 1)
}

/// The window of one owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OwnWindow {
    next: u64,
    #[serde(with = "crate::wide")]
    slots: [u64; WINDOW_CALLS_MAX],
}

impl OwnWindow {
    pub(crate) const fn new() -> Self {
        Self { next: 0, slots: [0; WINDOW_CALLS_MAX] }
    }

    pub(crate) const fn record(&mut self, entry: Entry) {
        self.slots[slot(self.next)] = entry.pack();
        self.next = self.next.wrapping_add(1);
    }

    pub(crate) fn tally(&self, now: Tick, epoch: u32, config: &BreakerConfig) -> Tally {
        tally(slots_before(self.next).map(|at| self.slots[at]), now, epoch, config)
    }
}

/// The window of several threads.
#[derive(Debug)]
pub(crate) struct SharedWindow {
    /// Claims slots. Relaxed: it hands out numbers and publishes nothing.
    next: AtomicU64,
    /// Failures so far; only its read-modify-writes count ([`publish`]).
    published: AtomicU64,
    /// Relaxed: what must be seen is ordered by `published`.
    slots: [AtomicU64; WINDOW_CALLS_MAX],
}

impl SharedWindow {
    pub(crate) fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
            published: AtomicU64::new(0),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    #[inline]
    pub(crate) fn record(&self, entry: Entry) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.slots[slot(n)].store(entry.pack(), Ordering::Relaxed);
    }

    /// What the window holds, after a failure was recorded.
    pub(crate) fn tally(&self, now: Tick, epoch: u32, config: &BreakerConfig) -> Tally {
        self.published.fetch_add(1, publish());
        let next = self.next.load(Ordering::Relaxed);
        let newest_first = slots_before(next).map(|at| self.slots[at].load(Ordering::Relaxed));
        tally(newest_first, now, epoch, config)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Both windows and a plain list agree, entry by entry.
        #[test]
        fn both_windows_count_like_a_list(
            calls in proptest::collection::vec((0u64..9, any::<bool>(), 0u32..3), 1..400),
            window_calls in 1u32..=WINDOW_CALLS_MAX as u32,
            window_ticks in 1u64..200,
        ) {
            let config = BreakerConfig {
                window_calls,
                window_ns: window_ticks << 16,
                ..BreakerConfig::default()
            };
            let (mut own, shared) = (OwnWindow::new(), SharedWindow::new());
            let (mut list, mut now) = (Vec::new(), 1u64);
            for (step, failed, epoch) in calls {
                now += step;
                let entry = Entry { at: Tick::from_raw(now), epoch, failed };
                own.record(entry);
                shared.record(entry);
                list.push(entry);
                let wanted = || list.iter().rev().take(window_calls as usize)
                    .filter(|e| e.epoch == epoch && now - e.at.raw() <= window_ticks);
                let naive = Tally {
                    calls: wanted().count() as u32,
                    errors: wanted().filter(|e| e.failed).count() as u32,
                };
                let at = Tick::from_raw(now);
                prop_assert_eq!(own.tally(at, epoch, &config), naive);
                prop_assert_eq!(shared.tally(at, epoch, &config), naive);
            }
        }
    }
}
