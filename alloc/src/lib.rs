//! placeholder page
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
mod region;
pub mod seal;

pub use arena::{ArenaError, ArenaScope, LaneArena};
pub use conf::{OptionError, check_options};
pub use huge::{Backing, HugeMapping, Rung};
pub use mapped::{MappedFile, SharedView, SharedWords};
pub use seal::{AgentTag, Class, SealedAlloc, TagScope};

#[cfg(test)]
#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;
