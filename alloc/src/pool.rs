//! The memory of one arena and jemalloc's hooks into it.
//!
//! ```text
//!   |<-------- pool: huge pages, all present -------->|   |<---- overflow: addresses ---->|
//!   | metadata 2 MiB | extents, split and merged      |   | opened piece by piece, counted |
//!   '---- Bump::carve -> -----------------------------'   '---- Bump::carve -> -----------'
//! ```
//!
//! Invariant: every extent handed to jemalloc lies wholly in the pool or wholly in the overflow,
//! was never handed out before (so it is zeroed) and is never taken back: jemalloc retains and
//! reuses it. Splitting is always fine; merging inside one of the two only.
//!
//! Threads: jemalloc calls the allocation hook under the arena's growth lock, but for its own
//! metadata without any lock, so two calls may meet. All state is a pair of atomic
//! words ([`Bump`]) that need none. The hooks never allocate and never panic.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{c_uint, c_void};
use tikv_jemalloc_sys::{extent_hooks_s, extent_hooks_t};

use crate::bump::Bump;
use crate::huge::{HugeMapping, Rung};
use crate::region::{PAGE, Region};

/// Addresses kept for the overflow of one arena: more than the largest machine this is meant for
/// has memory. They cost nothing until opened.
const OVERFLOW_ADDRESSES: usize = 64 << 30;

/// One arena's memory. Lives as long as the process: jemalloc keeps pointers into it.
#[repr(C)]
pub(crate) struct Pool {
    /// First, so that the pointer jemalloc passes to a hook is a pointer to the Pool.
    hooks: extent_hooks_t,
    mapping: HugeMapping,
    carved: Bump,
    overflow: Region,
    spilled: Bump,
    /// Requests that found no memory at all.
    refused: AtomicU64,
}

impl Pool {
    pub(crate) fn new(bytes: usize, max_rung: Rung) -> io::Result<Self> {
        let mapping = HugeMapping::new(bytes, max_rung)?;
        let overflow = Region::reserve(OVERFLOW_ADDRESSES)?;
        let carved = Bump::new(mapping.addresses().start, mapping.len());
        let spilled = Bump::new(overflow.start().as_ptr().addr(), overflow.len());
        Ok(Self { hooks: HOOKS, mapping, carved, overflow, spilled, refused: AtomicU64::new(0) })
    }

    /// What `arenas.create` wants: the hooks, which are also the Pool.
    pub(crate) fn hooks(&'static self) -> *mut extent_hooks_t {
        // The whole Pool's provenance goes along, because the hooks cast it back.
        ptr::from_ref(self).cast_mut().cast()
    }

    pub(crate) const fn mapping(&self) -> &HugeMapping {
        &self.mapping
    }

    /// Pool bytes that jemalloc does not have yet.
    pub(crate) fn left(&self) -> usize {
        self.carved.left()
    }

    /// Bytes taken from the overflow.
    pub(crate) fn spilled(&self) -> usize {
        self.spilled.gone()
    }

    /// Requests that found no memory at all.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        self.mapping.addresses().contains(&address)
    }

    fn carve(&self, size: usize, align: usize) -> Option<*mut c_void> {
        let offset = self.carved.carve(size, align)?;
        // SAFETY: Bump answers offsets with `offset + size <= len` of this mapping only.
        Some(unsafe { self.mapping.start().add(offset) }.as_ptr().cast())
    }

    /// Takes memory on small pages: slower, counted, but the engine goes on. Populated like the
    /// pool, so that the page faults come here and not later on the hot path; if that fails the
    /// pages come on touch.
    fn spill(&self, size: usize, align: usize) -> Option<*mut c_void> {
        let offset = self.spilled.carve(size, align)?;
        self.overflow.open(offset, size).ok()?;
        let _ = self.overflow.advise(offset, size, libc::MADV_POPULATE_WRITE);
        // SAFETY: as in `carve`, for the overflow.
        Some(unsafe { self.overflow.start().add(offset) }.as_ptr().cast())
    }
}

/// Hooks that are not set are refusals: jemalloc then retains what it has, committed and mapped.
const HOOKS: extent_hooks_t = extent_hooks_s {
    alloc: Some(alloc),
    dalloc: None,
    destroy: None,
    commit: None,
    decommit: None,
    purge_lazy: None,
    purge_forced: None,
    split: Some(split),
    merge: Some(merge),
};

/// jemalloc asks for an extent of `size` bytes.
///
/// When it grows its retained memory it first asks, without need for committed memory, for more
/// than was requested, and on a refusal for exactly the request, committed. So the first kind of
/// question is never answered from the overflow: the pool's last bytes are used up before.
unsafe extern "C" fn alloc(
    hooks: *mut extent_hooks_t,
    new_addr: *mut c_void,
    size: usize,
    align: usize,
    zero: *mut bool,
    commit: *mut bool,
    _arena: c_uint,
) -> *mut c_void {
    if !new_addr.is_null() {
        // Growing an extent in place: what follows it belongs to somebody.
        return ptr::null_mut();
    }
    // SAFETY: jemalloc passes the pointer given to `arenas.create`: a Pool that is never dropped.
    let pool = unsafe { &*hooks.cast::<Pool>() };
    // SAFETY: `commit` and `zero` are valid for the time of this call (jemalloc's contract).
    let may_spill = unsafe { commit.read() };
    let align = align.max(PAGE);
    let extent = match pool.carve(size, align) {
        Some(extent) => extent,
        None if !may_spill => return ptr::null_mut(),
        None => match pool.spill(size, align) {
            Some(extent) => extent,
            None => {
                pool.refused.fetch_add(1, Ordering::Relaxed);
                return ptr::null_mut();
            }
        },
    };
    // SAFETY: as above. Both are true: fresh from the kernel, never handed out before.
    unsafe {
        zero.write(true);
        commit.write(true);
    }
    extent
}

/// Extents may be cut anywhere: `false` is consent.
unsafe extern "C" fn split(
    _hooks: *mut extent_hooks_t,
    _addr: *mut c_void,
    _size: usize,
    _size_a: usize,
    _size_b: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    false
}

/// Neighbours may be merged inside the pool or inside the overflow, not across.
unsafe extern "C" fn merge(
    hooks: *mut extent_hooks_t,
    addr_a: *mut c_void,
    _size_a: usize,
    addr_b: *mut c_void,
    _size_b: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    // SAFETY: as in `alloc`.
    let pool = unsafe { &*hooks.cast::<Pool>() };
    pool.contains(addr_a.addr()) != pool.contains(addr_b.addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::huge::HUGE_PAGE;

    /// What jemalloc would see.
    fn ask(pool: &'static Pool, size: usize, align: usize, committed: bool) -> (*mut u8, bool) {
        let (mut zero, mut commit) = (false, committed);
        let hooks = pool.hooks();
        // SAFETY: the hooks are the pool's and the flags live on this stack.
        let extent = unsafe {
            alloc(hooks, ptr::null_mut(), size, align, &raw mut zero, &raw mut commit, 1)
        };
        (extent.cast(), zero && commit)
    }

    #[test]
    fn the_pool_is_used_up_before_the_overflow_is_touched() {
        let pool: &'static Pool =
            Box::leak(Box::new(Pool::new(2 * HUGE_PAGE, Rung::Plain).unwrap()));
        let (first, flags) = ask(pool, HUGE_PAGE, HUGE_PAGE, true);
        assert!(pool.contains(first.addr()) && flags);
        let (greedy, _) = ask(pool, 2 * HUGE_PAGE, PAGE, false);
        assert_eq!((greedy.is_null(), pool.spilled()), (true, 0), "a greedy question is refused");
        let (second, flags) = ask(pool, HUGE_PAGE, PAGE, false);
        assert!(pool.contains(second.addr()) && flags);
        assert_eq!((first.addr().abs_diff(second.addr()), pool.left()), (HUGE_PAGE, 0));

        let (third, flags) = ask(pool, 3 * PAGE, PAGE, true);
        assert!(flags && !third.is_null() && !pool.contains(third.addr()));
        assert_eq!((pool.spilled(), pool.refused()), (3 * PAGE, 0));
        // SAFETY: the hook just handed out these bytes to this test alone.
        assert!((0..3 * PAGE).all(|i| unsafe { third.add(i).read() } == 0));

        let (none, _) = ask(pool, OVERFLOW_ADDRESSES, PAGE, true);
        assert_eq!((none.is_null(), pool.refused()), (true, 1));
    }

    #[test]
    fn merging_stops_at_the_border() {
        let pool: &'static Pool = Box::leak(Box::new(Pool::new(HUGE_PAGE, Rung::Plain).unwrap()));
        let inside = pool.mapping().start().as_ptr();
        let outside = pool.overflow.start().as_ptr();
        let refused = |a: *mut u8, b: *mut u8| {
            // SAFETY: the hook compares addresses and reads nothing behind them.
            unsafe { merge(pool.hooks(), a.cast(), PAGE, b.cast(), PAGE, true, 1) }
        };
        assert!(!refused(inside, inside) && !refused(outside, outside));
        assert!(refused(inside, outside) && refused(outside, inside));
    }
}
