//! From order number to slot in a few loads: open addressing whose home place is twice the order
//! number.
//!
//! Order numbers are handed out increasing, so neighbours in time are neighbours in memory and a
//! lookup of a recent order touches one line; the place left between two of them ends every
//! probe and keeps removal from scanning the run of all remembered orders. No hash function, no
//! allocation after construction; at most half full. Removal shifts the run back and leaves no
//! tombstones.

use bot4_types::OrderId;

/// Maps [`OrderId`] to a slot number. [`OrderId`] zero is "empty".
#[derive(Clone, Debug)]
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
        let (place, found) = self.probe(order);
        if order.0 == 0 || (!found && self.len * 2 >= self.places.len()) {
            return false;
        }
        self.len += usize::from(!found);
        self.places[place] = (order.0, slot);
        true
    }

    const fn home(&self, order: u64) -> usize {
        (order as usize) << 1 & self.mask
    }

    /// Takes `order` out; false when it is not there.
    pub fn remove(&mut self, order: OrderId) -> bool {
        let (mut hole, found) = self.probe(order);
        if !found {
            return false;
        }
        let mut next = hole;
        loop {
            next = (next + 1) & self.mask;
            let (key, _) = self.places[next];
            if key == 0 {
                break;
            }
            let home = self.home(key);
            let from_home = next.wrapping_sub(home) & self.mask;
            let from_hole = next.wrapping_sub(hole) & self.mask;
            if from_home >= from_hole {
                self.places[hole] = self.places[next];
                hole = next;
            }
        }
        self.places[hole] = (0, 0);
        self.len -= 1;
        true
    }

    /// Where `order` is, or the empty place where it would go.
    fn probe(&self, order: OrderId) -> (usize, bool) {
        let mut place = self.home(order.0);
        loop {
            let (key, _) = self.places[place];
            if key == 0 {
                return (place, false);
            }
            if key == order.0 {
                return (place, true);
            }
            place = (place + 1) & self.mask;
        }
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
}
