//! The counters in shared memory: how other processes see a running engine.
//!
//! ```text
//! lanes --relaxed stores--> file in /dev/shm <--head, table-- telemetry agent, ten times a second
//!                                 |
//!                                 | mapped read only, by any process of the same user
//!                                 v
//!                          Reader --> Snapshot --> bot4 top, bot4 watch
//! ```
//!
//! * [`layout`] says what lies where; a reader of another version refuses.
//! * [`Publisher`] writes head and table; every other word has its own writer in the engine.
//! * [`Reader`] maps the file and makes a [`Snapshot`] of it.
//!
//! Invariant: readers only load. Attached, hanging or killed, they cost the lanes nothing but the
//! cache lines that they read, which come back at the writer's next store. The file is removed at
//! an orderly end; one that a killed engine left behind is told by process id and start time.

pub mod layout;
mod reader;
pub mod snapshot;
mod view;
mod writer;

pub use layout::Plate;
pub use reader::{ReadError, Reader, sweep};
pub use snapshot::Snapshot;
pub use writer::{BEAT_EVERY, Publisher};

#[cfg(test)]
mod tests;
