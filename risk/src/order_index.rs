//! From order number to slot in a few loads: open addressing whose home place is twice the order
//! number.
//!
//! Order numbers are handed out increasing, so neighbours in time are neighbours in memory and a
//! lookup of a recent order touches one line; the place left between two of them ends every
//! probe. Where numbers of two rounds meet (orders that stay open while thousands come and go),
//! entries lie in the order of their homes, the farther from home first (Celis, Robin Hood
//! hashing, 1986): a probe ends at the first entry that is nearer to its home, and a removal at
//! the first that is at home, not at the end of the run. No hash function, no allocation after
//! construction; at most half full. Removal shifts back and leaves no tombstones.

use bot4_types::OrderId;
use serde::{Deserialize, Serialize};

/// Maps [`OrderId`] to a slot number. [`OrderId`] zero is "empty".
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderIndex {
    places: Box<[(u64, u32)]>,
    mask: usize,
    len: usize,
}

impl OrderIndex {
    /// An index for up to `capacity` orders. Allocates once: twice the places, rounded up to a
    /// power of two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let places = (capacity * 2).next_power_of_two();
        Self { places: vec![(0, 0); places].into_boxed_slice(), mask: places - 1, len: 0 }
    }

    /// The slot of `order`.
    #[must_use]
    pub fn find(&self, order: OrderId) -> Option<u32> {
        let (place, found) = self.probe(order);
        found.then(|| self.places[place].1)
    }

    /// Puts `order` at `slot`, replacing an earlier slot. False, and nothing done, when the index
    /// is half full or `order` is zero.
    pub fn insert(&mut self, order: OrderId, slot: u32) -> bool {
        let (mut place, found) = self.probe(order);
        if order.0 == 0 || (!found && self.len * 2 >= self.places.len()) {
            return false;
        }
        let mut entry = (order.0, slot);
        if found {
            self.places[place] = entry;
            return true;
        }
        self.len += 1;
        // Whoever is nearer to home than the one carried gives way.
        loop {
            let (key, _) = self.places[place];
            if key == 0 {
                self.places[place] = entry;
                return true;
            }
            if self.steps_from_home(key, place) < self.steps_from_home(entry.0, place) {
                std::mem::swap(&mut self.places[place], &mut entry);
            }
            place = (place + 1) & self.mask;
        }
    }

    /// Takes `order` out; false when it is not there.
    pub fn remove(&mut self, order: OrderId) -> bool {
        let (mut hole, found) = self.probe(order);
        if !found {
            return false;
        }
        loop {
            let next = (hole + 1) & self.mask;
            let (key, _) = self.places[next];
            if key == 0 || self.steps_from_home(key, next) == 0 {
                break;
            }
            self.places[hole] = self.places[next];
            hole = next;
        }
        self.places[hole] = (0, 0);
        self.len -= 1;
        true
    }

    /// Where `order` is, or the place where it would go.
    #[inline]
    fn probe(&self, order: OrderId) -> (usize, bool) {
        let (mut place, mut far) = (self.home(order.0), 0);
        loop {
            let (key, _) = self.places[place];
            if key == order.0 {
                return (place, key != 0);
            }
            if key == 0 || self.steps_from_home(key, place) < far {
                return (place, false);
            }
            (place, far) = ((place + 1) & self.mask, far + 1);
        }
    }

    const fn home(&self, order: u64) -> usize {
        (order as usize) << 1 & self.mask
    }

    /// Steps from the home of `key` to `place`.
    const fn steps_from_home(&self, key: u64, place: usize) -> usize {
        place.wrapping_sub(self.home(key)) & self.mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// The naive twin is a BTreeMap. Few numbers and few places, so runs collide and wrap.
        #[test]
        fn behaves_like_a_map(
            ops in proptest::collection::vec((0u64..80, any::<Option<u32>>()), 0..400)
        ) {
            let mut index = OrderIndex::new(8);
            let mut twin = BTreeMap::new();
            for (order, op) in ops {
                match op {
                    Some(slot) => {
                        let room = order != 0 && (twin.len() < 8 || twin.contains_key(&order));
                        prop_assert_eq!(index.insert(OrderId(order), slot), room);
                        if room {
                            twin.insert(order, slot);
                        }
                    }
                    None => {
                        let there = twin.remove(&order).is_some();
                        prop_assert_eq!(index.remove(OrderId(order)), there);
                    }
                }
                for key in 0..80 {
                    prop_assert_eq!(index.find(OrderId(key)), twin.get(&key).copied());
                }
            }
        }
    }

    /// Orders that stay while thousands come and go: no entry is ever far from its home.
    #[test]
    fn rounds_that_meet_stay_near_their_homes() {
        let (capacity, open) = (8_192u64, 240u64);
        let mut index = OrderIndex::new(capacity as usize);
        (1..=open).for_each(|id| assert!(index.insert(OrderId(id), 1)));
        let kept = capacity - open;
        for id in open + 1..5 * capacity {
            if id > open + kept {
                assert!(index.remove(OrderId(id - kept)));
            }
            assert!(index.insert(OrderId(id), id as u32));
            let far = index.steps_from_home(id, index.probe(OrderId(id)).0);
            assert!(far <= 2, "order {id} lies {far} places from home");
        }
        assert!((1..=open).all(|id| index.find(OrderId(id)) == Some(1)));
    }
}
