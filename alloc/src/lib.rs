//! Memory: huge-page arenas per lane, the sealed allocator, shared words and mapped files. Knows
//! no domain.
//!
//! ```text
//!   Box::new, Vec::push, rustls ...                  (any thread)
//!        |
//!        v                        which agent works on this thread?
//!   SealedAlloc  (#[global_allocator]) ----------------------------> seal: counts or aborts
//!        |
//!        v
//!   jemalloc, one arena per lane  <--- LaneArena::bind_thread / enter
//!        |  asks for an extent (hooks)
//!        v
//!   .--------------------- pool of the lane ----------------------.   .--- overflow ----.
//!   | 2 MiB pages: hugetlb, else transparent, else 4 KiB; present |-->| 4 KiB, counted  |
//!   '--------------------------------------------------------------'  '-----------------'
//!
//!   SharedWords   words in MAP_SHARED memory or a file:  counters, journaled sequence
//!        '--> SharedView    the same words, read only, in another process (`bot4 top`)
//!   MappedFile    a preallocated, prefaulted file as bytes: journal segments; survives kill -9
//!   FileRanges    its parts synced and prefaulted by a helper, behind and ahead of the writer
//!   Pool, Pooled  a fixed number of objects, whose handles bring them back
//!   Pressure      how near the control group is to its limit; Reserve: memory for that moment
//! ```
//!
//! How a binary uses it:
//!
//! 1. It installs [`SealedAlloc`] as its global allocator. That also brings jemalloc's options
//!    along (see [`conf`]); [`check_options`] at start tells whether the environment overrode one.
//! 2. For each lane it makes a [`LaneArena`] of the planned size and builds the lane's rings and
//!    agents inside [`LaneArena::enter`]. The lane's thread calls [`LaneArena::bind_thread`]
//!    before anything else. What really backs the pool is [`LaneArena::backing`], and what did
//!    not fit is [`LaneArena::overflow_bytes`]: both belong in the run's report.
//! 3. For each agent it takes a tag ([`seal::register`]), sets it around `work` ([`seal::enter`])
//!    and seals it after the warm-up ([`seal::seal`]). [`seal::hot_allocations`] is promised to
//!    stay zero; tests set [`seal::set_abort`].
//!
//! ```
//! use bot4_alloc::seal::{self, Class};
//! use bot4_alloc::{LaneArena, Rung, SealedAlloc};
//!
//! #[global_allocator]
//! static GLOBAL: SealedAlloc = SealedAlloc;
//!
//! let arena = LaneArena::new(4 << 20, Rung::HugeTlb)?;
//! let ring: Vec<u64> = {
//!     let _scope = arena.enter();
//!     Vec::with_capacity(1024)
//! };
//! assert!(arena.contains(ring.as_ptr()));
//!
//! let tag = seal::register(Class::Hot);
//! seal::seal(tag);
//! {
//!     let _scope = seal::enter(tag);
//!     drop(std::hint::black_box(Box::new(1))); // should not be here
//! }
//! assert_eq!(seal::allocations(tag), 1);
//! # Ok::<(), bot4_alloc::ArenaError>(())
//! ```
//!
//! What is measured, not assumed: the rung by `/proc/self/smaps`, the options by reading them
//! back, the placement of every block by the tests. Memory of an arena is never unmapped, and a
//! file under a mapping never gets shorter, so no pointer made here goes bad.
//!
//! Cost: nothing on a hot path but one thread-local read per call into the allocator, which a
//! sealed agent does not make.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!(
    "bot4-alloc needs 64-bit Linux: huge pages, MADV_POPULATE_WRITE and /proc/self/smaps"
);

pub mod arena;
mod bump;
pub mod conf;
mod ctl;
pub mod huge;
pub mod mapped;
mod pool;
pub mod pressure;
mod region;
pub mod resident;
pub mod seal;
pub mod typed;

pub use arena::{ArenaError, ArenaScope, LaneArena};
pub use conf::{OptionError, check_options, give_back};
pub use huge::{Backing, HugeMapping, Rung};
pub use mapped::{FileRanges, MappedFile, SharedView, SharedWords};
pub use pressure::{Pressure, Reserve};
pub use resident::{populate_memory, populate_program};
pub use seal::{AgentTag, Class, SealedAlloc, TagScope};

#[cfg(test)]
#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;
