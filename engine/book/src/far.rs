//! The far store: every level outside a side's window or off its grid, sorted, in memory that
//! is taken once.
//!
//! Levels lie in chunks of [`CHUNK`]; a directory keeps the chunks in order with the lowest key
//! of each. A change is a binary search over the directory, one inside a chunk, and a move of at
//! most one chunk (1 KB); a split or merge also moves the directory's tail (12 B a chunk).
//!
//! **Invariant:** two neighbouring chunks hold more than [`MERGE_SUM`] levels together, so `n`
//! levels need at most `2 n / MERGE_SUM + 2` chunks and the pool cannot run dry before the
//! store's own bound is reached.

/// Levels in a chunk.
const CHUNK: usize = 64;
/// Neighbours that hold at most this many levels together become one chunk. Below [`CHUNK`], so
/// that a chunk just split is not merged by the next removal.
const MERGE_SUM: usize = 48;

/// No room for another level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A sorted map from key to quantity with a fixed bound.
#[derive(Debug)]
pub(crate) struct FarStore {
    keys: Vec<[i64; CHUNK]>,
    qtys: Vec<[i64; CHUNK]>,
    free: Vec<u32>,
    /// Lowest key of each chunk in use, ascending.
    firsts: Vec<i64>,
    /// Chunk number and levels in it, in the order of `firsts`.
    chunks: Vec<(u32, u32)>,
    len: usize,
    capacity: usize,
}

/// A place in the store: position in the directory and inside the chunk.
type Place = (usize, usize);

impl FarStore {
    /// A store for up to `capacity` levels. Allocates; nothing later.
    pub(crate) fn new(capacity: usize) -> Self {
        let pool = 2 * capacity / MERGE_SUM + 2;
        Self {
            keys: vec![[0; CHUNK]; pool],
            qtys: vec![[0; CHUNK]; pool],
            free: (0..pool as u32).rev().collect(),
            firsts: Vec::with_capacity(pool),
            chunks: Vec::with_capacity(pool),
            len: 0,
            capacity,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Levels that still fit.
    pub(crate) const fn room(&self) -> usize {
        self.capacity - self.len
    }

    /// Forgets all levels. Costs one step a chunk in use.
    pub(crate) fn clear(&mut self) {
        self.free.extend(self.chunks.iter().rev().map(|(chunk, _)| *chunk));
        self.chunks.clear();
        self.firsts.clear();
        self.len = 0;
    }

    /// The lowest key with its quantity.
    pub(crate) fn first(&self) -> Option<(i64, i64)> {
        let &(chunk, _) = self.chunks.first()?;
        Some((self.firsts[0], self.qtys[chunk as usize][0]))
    }

    /// The highest key.
    pub(crate) fn last(&self) -> Option<i64> {
        let &(chunk, len) = self.chunks.last()?;
        Some(self.keys[chunk as usize][len as usize - 1])
    }

    /// Sets the quantity at `key`.
    pub(crate) fn insert(&mut self, key: i64, qty: i64) -> Result<(), Full> {
        match self.find(key) {
            Ok((p, i)) => self.qtys[self.chunks[p].0 as usize][i] = qty,
            Err(_) if self.len == self.capacity => return Err(Full),
            Err(place) => {
                let (p, i) = self.make_room(place);
                self.put(p, i, key, qty);
                self.len += 1;
            }
        }
        Ok(())
    }

    /// Removes `key`; the quantity it had, if it was there.
    pub(crate) fn remove(&mut self, key: i64) -> Option<i64> {
        let (p, i) = self.find(key).ok()?;
        let (chunk, len) = self.chunks[p];
        let (c, len) = (chunk as usize, len as usize);
        let qty = self.qtys[c][i];
        self.keys[c].copy_within(i + 1..len, i);
        self.qtys[c].copy_within(i + 1..len, i);
        self.chunks[p].1 -= 1;
        self.len -= 1;
        if len == 1 {
            self.drop_chunk(p);
        } else {
            self.firsts[p] = self.keys[c][0];
            self.merge_around(p);
        }
        Some(qty)
    }

    /// All levels, ascending by key.
    pub(crate) const fn iter(&self) -> FarIter<'_> {
        FarIter { store: self, at: (0, 0) }
    }

    /// All levels with a key of at least `key`, ascending.
    pub(crate) fn iter_from(&self, key: i64) -> FarIter<'_> {
        let (p, i) = self.find(key).unwrap_or_else(|place| place);
        let past = self.chunks.get(p).is_some_and(|(_, len)| i >= *len as usize);
        FarIter { store: self, at: if past { (p + 1, 0) } else { (p, i) } }
    }

    /// Where `key` is, or where it belongs.
    fn find(&self, key: i64) -> Result<Place, Place> {
        let p = self.firsts.partition_point(|first| *first <= key).saturating_sub(1);
        let Some(&(chunk, len)) = self.chunks.get(p) else { return Err((0, 0)) };
        match self.keys[chunk as usize][..len as usize].binary_search(&key) {
            Ok(i) => Ok((p, i)),
            Err(i) => Err((p, i)),
        }
    }

    /// Makes the chunk at `place` one that can take another level; the place may move.
    fn make_room(&mut self, (p, i): Place) -> Place {
        if self.chunks.is_empty() {
            self.add_chunk(0);
            return (0, 0);
        }
        if (self.chunks[p].1 as usize) < CHUNK {
            return (p, i);
        }
        let next = self.add_chunk(p + 1);
        if i == CHUNK && p + 2 == self.chunks.len() {
            return (p + 1, 0); // ascending input, as in a snapshot, fills chunks wholly
        }
        let (from, half) = (self.chunks[p].0 as usize, CHUNK / 2);
        let (low, high) = (self.keys[from], self.qtys[from]);
        self.keys[next][..half].copy_from_slice(&low[half..]);
        self.qtys[next][..half].copy_from_slice(&high[half..]);
        self.chunks[p].1 = half as u32;
        self.chunks[p + 1].1 = half as u32;
        self.firsts[p + 1] = low[half];
        if i <= half { (p, i) } else { (p + 1, i - half) }
    }

    fn put(&mut self, p: usize, i: usize, key: i64, qty: i64) {
        let (chunk, len) = self.chunks[p];
        let (c, len) = (chunk as usize, len as usize);
        self.keys[c].copy_within(i..len, i + 1);
        self.qtys[c].copy_within(i..len, i + 1);
        self.keys[c][i] = key;
        self.qtys[c][i] = qty;
        self.chunks[p].1 += 1;
        self.firsts[p] = self.keys[c][0];
    }

    /// Takes a chunk from the pool into the directory at `p`.
    fn add_chunk(&mut self, p: usize) -> usize {
        let chunk = self.free.pop().expect("the merge rule bounds the chunks in use");
        self.chunks.insert(p, (chunk, 0));
        self.firsts.insert(p, i64::MAX);
        chunk as usize
    }

    fn drop_chunk(&mut self, p: usize) {
        let (chunk, _) = self.chunks.remove(p);
        self.firsts.remove(p);
        self.free.push(chunk);
    }

    /// Restores the invariant after a removal from the chunk at `p`.
    fn merge_around(&mut self, p: usize) {
        let len = |q: usize| self.chunks.get(q).map_or(CHUNK, |(_, len)| *len as usize);
        if len(p) + len(p + 1) <= MERGE_SUM {
            self.merge(p);
        } else if p > 0 && len(p - 1) + len(p) <= MERGE_SUM {
            self.merge(p - 1);
        }
    }

    /// Moves the chunk behind `p` into the one at `p`.
    fn merge(&mut self, p: usize) {
        let ((into, a), (from, b)) = (self.chunks[p], self.chunks[p + 1]);
        let (a, b) = (a as usize, b as usize);
        let (keys, qtys) = (self.keys[from as usize], self.qtys[from as usize]);
        self.keys[into as usize][a..a + b].copy_from_slice(&keys[..b]);
        self.qtys[into as usize][a..a + b].copy_from_slice(&qtys[..b]);
        self.chunks[p].1 = (a + b) as u32;
        self.drop_chunk(p + 1);
    }
}

/// Walks a [`FarStore`] in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct FarIter<'a> {
    store: &'a FarStore,
    at: Place,
}

impl Iterator for FarIter<'_> {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<(i64, i64)> {
        let (p, i) = self.at;
        let &(chunk, len) = self.store.chunks.get(p)?;
        self.at = if i + 1 < len as usize { (p, i + 1) } else { (p + 1, 0) };
        Some((self.store.keys[chunk as usize][i], self.store.qtys[chunk as usize][i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::rng::SplitMix64;
    use std::collections::BTreeMap;

    fn check(store: &FarStore, twin: &BTreeMap<i64, i64>) {
        assert_eq!(store.len(), twin.len());
        assert!(store.iter().eq(twin.iter().map(|(k, v)| (*k, *v))));
        for pair in store.chunks.windows(2) {
            assert!((pair[0].1 + pair[1].1) as usize > MERGE_SUM, "the pool's bound holds");
        }
    }

    /// Grows to the brim and shrinks again, in random order, several times over.
    #[test]
    fn behaves_like_a_sorted_map_at_every_fill() {
        const CAPACITY: usize = 700;
        let (mut rng, mut twin) = (SplitMix64::new(11), BTreeMap::new());
        let mut store = FarStore::new(CAPACITY);
        for step in 0..20_000u64 {
            let key = rng.below(1_500) as i64 - 700;
            if (step / 2_500) % 2 == 0 || rng.below(4) == 0 {
                let fits = twin.len() < CAPACITY || twin.contains_key(&key);
                assert_eq!(
                    store.insert(key, step as i64 + 1),
                    if fits { Ok(()) } else { Err(Full) }
                );
                if fits {
                    twin.insert(key, step as i64 + 1);
                }
            } else {
                assert_eq!(store.remove(key), twin.remove(&key));
            }
            assert_eq!(store.first(), twin.first_key_value().map(|(k, v)| (*k, *v)));
            assert_eq!(store.last(), twin.last_key_value().map(|(k, _)| *k));
            let from = store.iter_from(key).next();
            assert_eq!(from, twin.range(key..).next().map(|(k, v)| (*k, *v)));
            if step % 64 == 0 {
                check(&store, &twin);
            }
        }
        store.clear();
        assert_eq!((store.len(), store.first(), store.room()), (0, None, CAPACITY));
        assert_eq!(store.free.len(), store.keys.len());
    }

    #[test]
    fn holds_its_capacity_in_any_order_of_arrival() {
        for order in 0..3 {
            let mut store = FarStore::new(5_000);
            for i in 0..5_000i64 {
                let key = [i, -i, (i * 2_741) % 5_000][order];
                assert_eq!(store.insert(key, 1), Ok(()));
            }
            assert_eq!((store.len(), store.insert(9_999, 1)), (5_000, Err(Full)));
        }
    }
}
