//! Recordings through the real parse and book agents, on one thread.
//!
//! ```text
//! files (.gz or plain) --source--> messages --pump--> frames -> parse.0 -> market -> book.0
//! --snapshots file ----------------^   merged by receive time       tops, marks: drained
//! ```

pub mod pump;
pub mod source;

pub use pump::{Pump, PumpStats};
pub use source::{Message, Recording, SourceError};
