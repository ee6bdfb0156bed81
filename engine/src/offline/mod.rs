//! Recordings and captures through the real parse and book agents, on one thread.
//!
//! ```text
//! lines (.gz or plain) --walk--> messages --play, pump--> frames -> parse.0 -> market -> book.0
//! captures --------------^  |                                 tops, marks: drained
//! --snapshots file, merged -'  '--scout: symbols, decimals, depth (first pass)
//! ```

pub mod export;
pub mod lines;
pub mod pump;
pub mod scout;
pub mod source;
mod walk;

pub use pump::{Pump, PumpStats};
pub use source::{Message, Recording, SourceError, What};
