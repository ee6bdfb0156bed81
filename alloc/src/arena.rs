//! One jemalloc arena per lane, over a pool of huge pages.
//!
//! What the lane's thread allocates after [`LaneArena::bind_thread`], or anybody inside a
//! [`LaneArena::enter`] scope, lies in the lane's pool: rings, tables, library buffers. When the
//! pool is used up the arena goes on with small pages and counts them
//! ([`LaneArena::overflow_bytes`]): a pool that was planned too small is a line in the report,
//! not the end of the engine.
//!
//! Invariant: an arena is never destroyed and its memory never unmapped, so a pointer into it
//! stays good on any thread for the life of the process. Make one per lane, once.
//!
//! Where memory may still come from elsewhere: a thread that frees a small block (32 KiB at most)
//! keeps it in its own cache whatever arena it is from, and hands it out again. Inside a scope
//! this cache is switched off, so there the placement is exact; on a bound lane thread it stays
//! on for speed, and blocks freed there may come from the arena of the lane that made them.
//!
//! Cost: making one populates the pool (about 0.3 ms a MiB); entering and leaving a scope is a few
//! microseconds; a bound thread pays nothing extra.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use tikv_jemalloc_sys as sys;

use crate::ctl;
use crate::huge::{Backing, HUGE_PAGE, Rung};
use crate::pool::Pool;
use crate::region::PAGE;

/// An arena of jemalloc over a pool of huge pages. A handle: copies are the same arena.
#[derive(Clone, Copy)]
pub struct LaneArena {
    pool: &'static Pool,
    index: u32,
}

/// Why there is no arena.
#[derive(Debug)]
pub enum ArenaError {
    /// The pool is empty or larger than an address space.
    Size,
    /// The pool could not be mapped, not even on small pages: memory is out.
    Map(io::Error),
    /// jemalloc refused to make or configure an arena.
    Jemalloc(io::Error),
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => f.write_str("a lane's memory pool must be between 1 byte and 1 TiB"),
            Self::Map(error) => write!(f, "a lane's memory pool cannot be mapped: {error}"),
            Self::Jemalloc(error) => write!(f, "jemalloc made no arena for a lane: {error}"),
        }
    }
}

impl std::error::Error for ArenaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Size => None,
            Self::Map(error) | Self::Jemalloc(error) => Some(error),
        }
    }
}

/// Largest pool: above any machine's memory, so a slip in a sum is an error and not a hang.
const BYTES_MAX: usize = 1 << 40;
/// jemalloc puts its own tables for an arena into a block of this size at the pool's start.
const METADATA: usize = HUGE_PAGE;
/// Pools are handed to jemalloc in at most this many extents.
const SEEDS_MAX: usize = 4;

impl LaneArena {
    /// Makes an arena that holds about `bytes`, rounded up to whole huge pages, plus 2 MiB for
    /// jemalloc's own tables, on the best rung that works, beginning with `max_rung`. jemalloc
    /// rounds each block up to a size class (by a quarter at most), which counts.
    ///
    /// # Errors
    /// See [`ArenaError`].
    pub fn new(bytes: usize, max_rung: Rung) -> Result<Self, ArenaError> {
        if bytes == 0 || bytes > BYTES_MAX {
            return Err(ArenaError::Size);
        }
        let pool = Pool::new(bytes + METADATA, max_rung).map_err(ArenaError::Map)?;
        let pool: &'static Pool = Box::leak(Box::new(pool));
        // SAFETY: `arenas.create` takes a pointer to hooks that live as long as the arena (the
        // pool is leaked) and answers an unsigned index.
        let index = unsafe { ctl::exchange::<_, u32>(c"arenas.create", pool.hooks()) };
        let arena = Self { pool, index: index.map_err(ArenaError::Jemalloc)? };
        arena.configure().map_err(ArenaError::Jemalloc)?;
        Ok(arena)
    }

    fn configure(&self) -> io::Result<()> {
        // SAFETY: the documented types of these names are ssize_t and size_t.
        unsafe {
            // "Purge at once" purges nothing, for the pool's hooks refuse to. What remains of it
            // is that freed extents are merged at once and serve any size again.
            ctl::write(&self.name("arena", "dirty_decay_ms"), 0_isize)?;
            ctl::write(&self.name("arena", "muzzy_decay_ms"), 0_isize)?;
            // After the seeds: small steps, which use up the pool's last bytes.
            ctl::write(&self.name("arena", "retain_grow_limit"), HUGE_PAGE)?;
        }
        self.seed();
        Ok(())
    }

    /// Lets jemalloc take the pool as a few large extents instead of many small ones, because it
    /// merges freed neighbours inside an extent only: allocates the largest blocks that fit
    /// and frees them.
    fn seed(&self) {
        let mut seeds = [std::ptr::null_mut(); SEEDS_MAX];
        let flags = sys::MALLOCX_ARENA(self.index as usize) | sys::MALLOCX_TCACHE_NONE;
        for seed in &mut seeds {
            // jemalloc adds a page to large blocks, to spread them over cache sets.
            let size = size_class_below(self.pool.left().saturating_sub(PAGE));
            if size == 0 {
                break;
            }
            // SAFETY: the size is not zero and the flags name an arena that exists.
            *seed = unsafe { sys::mallocx(size, flags) };
        }
        for seed in seeds.into_iter().filter(|seed| !seed.is_null()) {
            // SAFETY: the block came from mallocx just now and is freed once, past the cache.
            unsafe { sys::dallocx(seed, flags) };
        }
    }

    /// This thread allocates from the arena until the scope is dropped; its cache is off
    /// meanwhile. For setting a lane up from another thread. Scopes nest.
    ///
    /// # Panics
    /// When jemalloc cannot switch: memory is out, at start.
    #[must_use]
    pub fn enter(&self) -> ArenaScope {
        // SAFETY: the documented types are bool and unsigned; the index is of a living arena.
        let (cache, arena) = unsafe {
            let cache = ctl::exchange::<bool, bool>(c"thread.tcache.enabled", false);
            (cache, ctl::exchange::<u32, u32>(c"thread.arena", self.index))
        };
        match (cache, arena) {
            (Ok(cache), Ok(arena)) => ArenaScope { arena, cache, on_this_thread: PhantomData },
            (cache, arena) => panic!("jemalloc does not switch arenas: {cache:?}, {arena:?}"),
        }
    }

    /// This thread allocates from the arena from now on. For the lane's own thread, first thing.
    ///
    /// # Panics
    /// When jemalloc cannot switch: memory is out, at start.
    pub fn bind_thread(&self) {
        // SAFETY: the documented type is unsigned; the index is of a living arena.
        let bound = unsafe { ctl::write(c"thread.arena", self.index) };
        // Blocks cached so far are from the arena before.
        let flushed = ctl::perform(c"thread.tcache.flush");
        assert!(bound.is_ok() && flushed.is_ok(), "jemalloc: {bound:?}, {flushed:?}");
    }

    /// jemalloc's number of the arena, as in its own statistics.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The rung the pool stands on.
    #[must_use]
    pub const fn rung(&self) -> Rung {
        self.pool.mapping().rung()
    }

    /// Bytes of the pool, with jemalloc's own tables.
    #[must_use]
    pub const fn capacity_bytes(&self) -> usize {
        self.pool.mapping().len()
    }

    /// Bytes in use by the program, in size classes, blocks cached by threads included. Takes
    /// jemalloc's locks one after the other: for reports.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        // SAFETY: the documented types are uint64_t for the epoch and size_t for the others.
        let read = |what: &str| unsafe {
            ctl::read::<usize>(&self.name("stats.arenas", what)).unwrap_or(0)
        };
        // SAFETY: as above.
        let fresh = unsafe { ctl::write(c"epoch", 1_u64) };
        debug_assert!(fresh.is_ok(), "statistics are compiled in");
        read("small.allocated") + read("large.allocated")
    }

    /// Bytes that jemalloc took from small pages because the pool was used up; never goes down.
    /// Above zero the pool was planned too small.
    #[must_use]
    pub fn overflow_bytes(&self) -> usize {
        self.pool.spilled()
    }

    /// Requests that found no memory at all, neither in the pool nor behind it.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.pool.refused()
    }

    /// What really backs the pool.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn backing(&self) -> io::Result<Backing> {
        self.pool.mapping().backing()
    }

    /// Whether `ptr` points into the pool (not into the overflow).
    #[must_use]
    pub fn contains<T: ?Sized>(&self, ptr: *const T) -> bool {
        self.pool.contains(ptr.cast::<u8>().addr())
    }

    fn name(&self, before: &str, after: &str) -> std::ffi::CString {
        ctl::name_of(before, self.index, after)
    }
}

impl fmt::Debug for LaneArena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneArena")
            .field("index", &self.index)
            .field("rung", &self.rung())
            .field("capacity_bytes", &self.capacity_bytes())
            .field("overflow_bytes", &self.overflow_bytes())
            .finish()
    }
}

/// Gives the thread back to the arena it used before [`LaneArena::enter`].
#[derive(Debug)]
pub struct ArenaScope {
    arena: u32,
    cache: bool,
    /// The scope belongs to the thread that entered it: not `Send`.
    on_this_thread: PhantomData<*mut ()>,
}

impl Drop for ArenaScope {
    fn drop(&mut self) {
        // SAFETY: the documented types; the values are what jemalloc answered on entering. The
        // cache comes back empty and belongs to the arena that is set by then.
        let restored = unsafe {
            let arena = ctl::write(c"thread.arena", self.arena);
            arena.and(ctl::write(c"thread.tcache.enabled", self.cache))
        };
        // Failing would leave the thread in a good arena, the wrong one: not worth a crash.
        debug_assert!(restored.is_ok(), "{restored:?}");
    }
}

/// jemalloc's largest size class that is at most `bytes`: four to a doubling, or whole pages where
/// large size classes are disabled.
fn size_class_below(bytes: usize) -> usize {
    if bytes < HUGE_PAGE / 2 {
        return 0;
    }
    let pages = bytes / PAGE * PAGE;
    // SAFETY: nallocx only computes; the size is not zero.
    if unsafe { sys::nallocx(pages, 0) } == pages {
        return pages;
    }
    let step = 1 << (bytes.ilog2() - 2);
    bytes / step * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_jemallocs_own() {
        assert_eq!(size_class_below(HUGE_PAGE / 2 - 1), 0);
        for bytes in (HUGE_PAGE / 2..64 << 20).step_by(977 * 1024) {
            let class = size_class_below(bytes);
            // SAFETY: nallocx computes, with a size that is not zero.
            let (exact, above) = unsafe { (sys::nallocx(class, 0), sys::nallocx(class + 1, 0)) };
            assert!(class <= bytes && exact == class && above > bytes, "{bytes} {class} {above}");
        }
    }

    #[test]
    fn absurd_sizes_are_errors() {
        for bytes in [0, BYTES_MAX + 1, usize::MAX] {
            assert!(matches!(LaneArena::new(bytes, Rung::Plain), Err(ArenaError::Size)));
        }
    }

    #[test]
    fn the_pool_is_seeded_whole() {
        for mib in [1, 2, 5, 16, 33] {
            let arena = LaneArena::new(mib << 20, Rung::Plain).unwrap();
            assert_eq!(arena.overflow_bytes(), 0, "{mib} MiB");
            assert!(arena.pool.left() <= HUGE_PAGE / 2 + PAGE, "{mib} MiB: {}", arena.pool.left());
            assert_eq!(arena.used_bytes(), 0);
        }
    }
}
