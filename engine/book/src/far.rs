//! The far store: every level outside a side's window or off its grid, sorted, in memory that
//! is taken once.
//!
//! Levels lie in chunks of [`CHUNK`]; a directory keeps the chunks in order with the lowest key
//! of each. A removed level leaves its key behind with quantity zero: far levels mostly come back
//! at the price where they were, and then nothing has to move. Dead keys go when their chunk is
//! full, or all together when the pool has run dry.
//!
//! **Cost.** A table of hints says where a key was last; it is right for nearly every change, which
//! is then three loads. Otherwise it is a binary search over the directory, one inside a chunk,
//! and for a new key a move of at most one chunk (1 KB); a split or merge also moves the
//! directory's tail (12 B a chunk). A hint is only believed when the key is found there.
//!
//! **Invariant:** two neighbouring chunks hold more than [`MERGE_SUM`] keys together, so `n` live
//! levels without dead keys need at most `2 n / MERGE_SUM + 2` chunks, and the pool has one more.

/// Levels in a chunk.
const CHUNK: usize = 64;
/// Neighbours that hold at most this many keys together become one chunk. Below [`CHUNK`], so
/// that a chunk just split is not merged by the next loss.
const MERGE_SUM: usize = 48;
/// Hints: a power of two above the number of far levels of the busiest book of the recordings.
const HINTS: usize = 4_096;

/// No room for another level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A sorted map from key to positive quantity with a fixed bound.
#[derive(Debug)]
pub(crate) struct FarStore {
    keys: Vec<[i64; CHUNK]>,
    qtys: Vec<[i64; CHUNK]>,
    /// Keys in each chunk of the pool; zero for free ones.
    lens: Vec<u32>,
    free: Vec<u32>,
    /// Lowest key of each chunk in use, ascending.
    firsts: Vec<i64>,
    /// Chunk numbers in the order of `firsts`.
    chunks: Vec<u32>,
    /// Chunk number and index in it, by hash of the key.
    hints: Vec<(u32, u32)>,
    /// The lowest live key with its quantity.
    first: Option<(i64, i64)>,
    live: usize,
    capacity: usize,
}

/// A place in the store: position in the directory and inside the chunk.
type Place = (usize, usize);

impl FarStore {
    /// A store for up to `capacity` levels. Allocates; nothing later.
    pub(crate) fn new(capacity: usize) -> Self {
        let pool = 2 * capacity / MERGE_SUM + 3;
        Self {
            keys: vec![[0; CHUNK]; pool],
            qtys: vec![[0; CHUNK]; pool],
            lens: vec![0; pool],
            free: (0..pool as u32).rev().collect(),
            firsts: Vec::with_capacity(pool),
            chunks: Vec::with_capacity(pool),
            hints: vec![(0, 0); HINTS],
            first: None,
            live: 0,
            capacity,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.live
    }

    /// Levels that still fit.
    pub(crate) const fn room(&self) -> usize {
        self.capacity - self.live
    }

    /// Forgets all levels. Costs one step a chunk in use.
    pub(crate) fn clear(&mut self) {
        for chunk in self.chunks.iter().rev() {
            self.lens[*chunk as usize] = 0;
            self.free.push(*chunk);
        }
        self.chunks.clear();
        self.firsts.clear();
        self.first = None;
        self.live = 0;
    }

    /// The lowest key with its quantity.
    #[inline]
    pub(crate) const fn first(&self) -> Option<(i64, i64)> {
        self.first
    }

    /// The highest key. Dead ones above it go for good.
    pub(crate) fn last(&mut self) -> Option<i64> {
        loop {
            let p = self.chunks.len().checked_sub(1)?;
            let chunk = self.chunks[p] as usize;
            let end = self.lens[chunk] as usize - 1;
            if self.qtys[chunk][end] > 0 {
                return Some(self.keys[chunk][end]);
            }
            self.lens[chunk] -= 1;
            if end == 0 {
                self.drop_chunk(p);
            } else {
                self.merge_around(p);
            }
        }
    }

    /// Sets the quantity at `key`, which must be positive.
    pub(crate) fn insert(&mut self, key: i64, qty: i64) -> Result<(), Full> {
        if let Some((chunk, i)) = self.hinted(key).or_else(|| self.search(key)) {
            if self.qtys[chunk][i] == 0 {
                if self.live == self.capacity {
                    return Err(Full);
                }
                self.live += 1;
            }
            self.qtys[chunk][i] = qty;
        } else {
            if self.live == self.capacity {
                return Err(Full);
            }
            let (p, i) = self.make_room(key);
            self.put(p, i, key, qty);
            self.live += 1;
        }
        if self.first.is_none_or(|(first, _)| key <= first) {
            self.first = Some((key, qty));
        }
        Ok(())
    }

    /// Removes `key`; the quantity it had, if it was there.
    pub(crate) fn remove(&mut self, key: i64) -> Option<i64> {
        let (chunk, i) = self.hinted(key).or_else(|| self.search(key))?;
        let qty = core::mem::take(&mut self.qtys[chunk][i]);
        if qty == 0 {
            return None;
        }
        self.live -= 1;
        if self.first.is_some_and(|(first, _)| first == key) {
            self.first = self.iter_from(key).next();
        }
        Some(qty)
    }

    /// All levels, ascending by key.
    pub(crate) const fn iter(&self) -> FarIter<'_> {
        FarIter { store: self, at: (0, 0) }
    }

    /// All levels with a key of at least `key`, ascending.
    pub(crate) fn iter_from(&self, key: i64) -> FarIter<'_> {
        FarIter { store: self, at: self.find(key).unwrap_or_else(|place| place) }
    }

    const fn hint_of(key: i64) -> usize {
        ((key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as usize & (HINTS - 1)
    }

    /// Chunk and index of `key`, if the hint is right.
    #[inline]
    fn hinted(&self, key: i64) -> Option<(usize, usize)> {
        let (chunk, i) = self.hints[Self::hint_of(key)];
        let (c, i) = (chunk as usize, i as usize);
        (i < self.lens[c] as usize && self.keys[c][i % CHUNK] == key).then_some((c, i % CHUNK))
    }

    /// Chunk and index of `key` by search; leaves a hint.
    fn search(&mut self, key: i64) -> Option<(usize, usize)> {
        let (p, i) = self.find(key).ok()?;
        let chunk = self.chunks[p];
        self.hints[Self::hint_of(key)] = (chunk, i as u32);
        Some((chunk as usize, i))
    }

    fn len_at(&self, p: usize) -> usize {
        self.lens[self.chunks[p] as usize] as usize
    }

    /// Where `key` is, dead or alive, or where it belongs.
    fn find(&self, key: i64) -> Result<Place, Place> {
        let p = self.firsts.partition_point(|first| *first <= key).saturating_sub(1);
        let Some(&chunk) = self.chunks.get(p) else { return Err((0, 0)) };
        match self.keys[chunk as usize][..self.len_at(p)].binary_search(&key) {
            Ok(i) => Ok((p, i)),
            Err(i) => Err((p, i)),
        }
    }

    /// The place for the new key `key`, in a chunk that can take it.
    fn make_room(&mut self, key: i64) -> Place {
        if self.free.is_empty() {
            self.bury_all();
        }
        if self.chunks.is_empty() {
            self.add_chunk(0);
            return (0, 0);
        }
        let (mut p, mut i) = self.find(key).unwrap_or_else(|place| place);
        if self.len_at(p) == CHUNK && self.bury(p) {
            self.settle(p);
            if self.chunks.is_empty() {
                self.add_chunk(0);
                return (0, 0);
            }
            (p, i) = self.find(key).unwrap_or_else(|place| place);
        }
        if self.len_at(p) < CHUNK { (p, i) } else { self.split(p, i) }
    }

    /// Cuts the full chunk at `p` in two; returns where the place in it is now.
    fn split(&mut self, p: usize, i: usize) -> Place {
        let next = self.add_chunk(p + 1);
        if i == CHUNK && p + 2 == self.chunks.len() {
            return (p + 1, 0); // ascending input, as in a snapshot, fills chunks wholly
        }
        let (from, half) = (self.chunks[p] as usize, CHUNK / 2);
        let (low, high) = (self.keys[from], self.qtys[from]);
        self.keys[next][..half].copy_from_slice(&low[half..]);
        self.qtys[next][..half].copy_from_slice(&high[half..]);
        self.lens[from] = half as u32;
        self.lens[next] = half as u32;
        self.firsts[p + 1] = low[half];
        if i <= half { (p, i) } else { (p + 1, i - half) }
    }

    fn put(&mut self, p: usize, i: usize, key: i64, qty: i64) {
        let (c, len) = (self.chunks[p] as usize, self.len_at(p));
        self.keys[c].copy_within(i..len, i + 1);
        self.qtys[c].copy_within(i..len, i + 1);
        self.keys[c][i] = key;
        self.qtys[c][i] = qty;
        self.lens[c] += 1;
        self.firsts[p] = self.keys[c][0];
        self.hints[Self::hint_of(key)] = (c as u32, i as u32);
    }

    /// Takes a chunk from the pool into the directory at `p`.
    fn add_chunk(&mut self, p: usize) -> usize {
        let chunk = self.free.pop().expect("the merge rule bounds the chunks in use");
        self.chunks.insert(p, chunk);
        self.firsts.insert(p, i64::MAX);
        chunk as usize
    }

    fn drop_chunk(&mut self, p: usize) {
        let chunk = self.chunks.remove(p);
        self.firsts.remove(p);
        self.lens[chunk as usize] = 0;
        self.free.push(chunk);
    }

    /// Removes the dead keys of the chunk at `p`; whether there were any.
    fn bury(&mut self, p: usize) -> bool {
        let (c, len) = (self.chunks[p] as usize, self.len_at(p));
        let mut kept = 0;
        for i in 0..len {
            if self.qtys[c][i] > 0 {
                self.keys[c][kept] = self.keys[c][i];
                self.qtys[c][kept] = self.qtys[c][i];
                kept += 1;
            }
        }
        self.lens[c] = kept as u32;
        self.firsts[p] = if kept > 0 { self.keys[c][0] } else { self.firsts[p] };
        kept < len
    }

    /// Restores the invariant after keys left the chunk at `p`.
    fn settle(&mut self, p: usize) {
        if self.len_at(p) == 0 {
            self.drop_chunk(p);
        } else {
            self.merge_around(p);
        }
    }

    /// Removes every dead key. Costs a step a key; a store that is short of chunks has mostly
    /// dead ones.
    #[cold]
    fn bury_all(&mut self) {
        for p in (0..self.chunks.len()).rev() {
            if self.bury(p) {
                self.settle(p);
            }
        }
    }

    fn merge_around(&mut self, p: usize) {
        let len = |q: usize| if q < self.chunks.len() { self.len_at(q) } else { CHUNK };
        if len(p) + len(p + 1) <= MERGE_SUM {
            self.merge(p);
        } else if p > 0 && len(p - 1) + len(p) <= MERGE_SUM {
            self.merge(p - 1);
        }
    }

    /// Moves the chunk behind `p` into the one at `p`.
    fn merge(&mut self, p: usize) {
        let (into, from) = (self.chunks[p] as usize, self.chunks[p + 1] as usize);
        let (a, b) = (self.len_at(p), self.len_at(p + 1));
        let (keys, qtys) = (self.keys[from], self.qtys[from]);
        self.keys[into][a..a + b].copy_from_slice(&keys[..b]);
        self.qtys[into][a..a + b].copy_from_slice(&qtys[..b]);
        self.lens[into] = (a + b) as u32;
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
        loop {
            let (p, i) = self.at;
            let chunk = *self.store.chunks.get(p)? as usize;
            if i >= self.store.lens[chunk] as usize {
                self.at = (p + 1, 0);
                continue;
            }
            self.at = (p, i + 1);
            let qty = self.store.qtys[chunk][i];
            if qty > 0 {
                return Some((self.store.keys[chunk][i], qty));
            }
        }
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
        for p in 1..store.chunks.len() {
            assert!(store.len_at(p - 1) + store.len_at(p) > MERGE_SUM, "the pool's bound holds");
        }
        assert!(store.chunks.iter().all(|c| store.lens[*c as usize] > 0));
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
