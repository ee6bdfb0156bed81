//! A typed pool with handles that return themselves: [`Pool`] and [`Pooled`].
//!
//! ```text
//! Pool::take() --Pooled<T>--> used, moved, even to another thread --drop--> the same place
//!     '-- None and a count when all are out
//! ```
//!
//! Invariant: an object has at most one holder. Its bit in the free map is cleared before its
//! handle exists and set by the handle's drop; a handle cannot be copied, so a double return does
//! not compile, and a leaked one shows as [`Pool::outstanding`]. Objects come back as they were
//! left, so that a buffer keeps its capacity.
//!
//! For objects that stay on their lane. What crosses lanes with every message travels as an owned
//! value and comes home by a ring, which needs no word that two lanes write.
//!
//! Cost: one atomic read-modify-write to take and one to return (about 5 ns each while the words
//! stay on one CPU), and a look at each 64 objects' word until one is free. Allocates when made.

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A fixed number of objects. One owner takes, anybody returns.
pub struct Pool<T> {
    shelf: Arc<Shelf<T>>,
    /// The word to look at first.
    next: usize,
    refused: u64,
}

struct Shelf<T> {
    objects: Box<[UnsafeCell<T>]>,
    /// Bit set: the object is here. Cleared by the pool, set by handles.
    free: Box<[AtomicU64]>,
}

// SAFETY: an object is reached only through its one handle (see the module's invariant), so
// sharing the shelf shares no object: it moves objects between threads, for which `T: Send`.
unsafe impl<T: Send> Sync for Shelf<T> {}

impl<T> Pool<T> {
    /// A pool of `capacity` objects made by `make`.
    #[must_use]
    pub fn new(capacity: usize, mut make: impl FnMut() -> T) -> Self {
        let objects = (0..capacity).map(|_| UnsafeCell::new(make())).collect();
        let bits = |word: usize| match capacity - word * 64 {
            64.. => u64::MAX,
            rest => (1 << rest) - 1,
        };
        let free = (0..capacity.div_ceil(64)).map(|word| AtomicU64::new(bits(word))).collect();
        Self { shelf: Arc::new(Shelf { objects, free }), next: 0, refused: 0 }
    }

    /// An object, as its last holder left it; `None`, and counted, when all are out.
    pub fn take(&mut self) -> Option<Pooled<T>> {
        let words = self.shelf.free.len();
        for step in 0..words {
            let word = (self.next + step) % words;
            // Relaxed: only this pool clears bits, so one that is seen stays; the clearing below
            // orders what the last holder wrote.
            let bits = self.shelf.free[word].load(Ordering::Relaxed);
            if bits != 0 {
                let bit = bits.trailing_zeros();
                // Acquire: pairs with the release of the drop that set the bit.
                self.shelf.free[word].fetch_and(!(1 << bit), Ordering::Acquire);
                self.next = word;
                let index = word * 64 + bit as usize;
                return Some(Pooled { shelf: Arc::clone(&self.shelf), index });
            }
        }
        self.refused += 1;
        None
    }

    /// Objects in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shelf.objects.len()
    }

    /// Objects that are out now. Zero at the owner's close, unless one has leaked.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        let here = |word: &AtomicU64| word.load(Ordering::Relaxed).count_ones() as usize;
        self.capacity() - self.shelf.free.iter().map(here).sum::<usize>()
    }

    /// How often all were out.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} of {} out)", self.outstanding(), self.capacity())
    }
}

/// An object of a [`Pool`], which goes back when this is dropped, also after its pool has gone.
pub struct Pooled<T> {
    shelf: Arc<Shelf<T>>,
    index: usize,
}

impl<T> Deref for Pooled<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this handle is the object's only one (its bit is clear for as long as the
        // handle lives), so access to the handle is access to the object.
        unsafe { &*self.shelf.objects[self.index].get() }
    }
}

impl<T> DerefMut for Pooled<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `&mut self` makes this the only reference.
        unsafe { &mut *self.shelf.objects[self.index].get() }
    }
}

// SAFETY: `&Pooled` gives `&T` and nothing else of the object, so it may be shared when `&T` may.
// (Without this it would follow from the shelf and ask for less.)
unsafe impl<T: Send + Sync> Sync for Pooled<T> {}

impl<T> Drop for Pooled<T> {
    #[inline]
    fn drop(&mut self) {
        // Release: whoever takes the object next sees what was written to it.
        self.shelf.free[self.index / 64].fetch_or(1 << (self.index % 64), Ordering::Release);
    }
}

impl<T: fmt::Debug> fmt::Debug for Pooled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exhaustion_is_an_answer_and_is_counted() {
        let mut pool = Pool::new(2, Vec::<u8>::new);
        let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
        assert!(pool.take().is_none() && pool.take().is_none());
        assert_eq!((pool.outstanding(), pool.refused(), pool.capacity()), (2, 2, 2));
        drop(first);
        assert_eq!(pool.outstanding(), 1);
        assert!(pool.take().is_some());
        drop(second);
        assert_eq!((pool.outstanding(), pool.refused()), (0, 2));
        assert!(Pool::new(0, || 1).take().is_none());
    }

    #[test]
    fn a_leak_shows_and_objects_outlive_their_pool() {
        let mut pool = Pool::new(3, || Box::new(7));
        std::mem::forget(pool.take());
        assert_eq!(pool.outstanding(), 1, "what the owner asks at its close");
        let mut last = pool.take().unwrap();
        drop(pool);
        **last += 1;
        assert_eq!(**last, 8);
    }

    #[test]
    fn an_object_comes_back_as_it_was_left_from_another_thread_too() {
        let mut pool = Pool::new(1, Vec::<u32>::new);
        for round in 0..1_000 {
            let mut buffer = loop {
                match pool.take() {
                    Some(buffer) => break buffer,
                    None => std::hint::spin_loop(),
                }
            };
            assert_eq!(buffer.len(), round);
            std::thread::scope(|s| drop(s.spawn(move || buffer.push(round as u32))));
        }
        assert_eq!(pool.take().unwrap().last(), Some(&999));
    }

    proptest! {
        /// The naive twin is a set of the objects that are out.
        #[test]
        fn no_object_has_two_holders(
            capacity in 0usize..150,
            ops in proptest::collection::vec(any::<Option<prop::sample::Index>>(), 0..600),
        ) {
            let mut number = 0;
            let mut pool = Pool::new(capacity, || { number += 1; number });
            let (mut held, mut refused) = (Vec::new(), 0);
            for op in ops {
                match op {
                    Some(at) if !held.is_empty() => drop(held.swap_remove(at.index(held.len()))),
                    Some(_) => {}
                    None => match pool.take() {
                        Some(object) => {
                            prop_assert!(held.iter().all(|h: &Pooled<i32>| **h != *object));
                            held.push(object);
                        }
                        None => refused += 1,
                    },
                }
                prop_assert!(held.len() <= capacity);
                prop_assert_eq!((pool.outstanding(), pool.refused()), (held.len(), refused));
                prop_assert!(refused == 0 || capacity < 600);
            }
            held.clear();
            prop_assert_eq!(pool.outstanding(), 0);
        }
    }
}
