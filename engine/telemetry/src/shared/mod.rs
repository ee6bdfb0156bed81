//! The counters in shared memory: how other processes see a running engine.

mod reader;
pub mod snapshot;

pub use reader::{ReadError, Reader};
pub use snapshot::Snapshot;

/// Levels of each side of a book in the file.
pub const LEVELS: usize = 10;
