//! The machine the engine runs on: what is set, what should be, do it, undo it, prove it.
//!
//! ```text
//! Need (lanes, memory, files) --.
//! Root (files of the machine) ---+--> rows::all() --check--> Report --plan--> Step, Step, ...
//! Samples (clocks, rates) ------'                                               |
//!                                   restore <-- undo record (synced first) <-- apply
//! Ready (what the engine says it runs) --> audit: every thread, seen from outside
//! ```
//!
//! The table ([`rows`]) is the only list of host settings: checks, changes, the texts for a person
//! and the appendix of `tuning.md` all come from it. Checks are functions of files and samples, so
//! that a folder with files in it can stand for a machine. Nothing here runs on a lane.

pub mod apply;
pub mod audit;
pub mod check;
pub mod cpu_set;
pub mod ethtool;
pub mod identity;
pub mod jitter;
pub mod latency;
pub mod measure;
pub mod need;
pub mod plan;
mod process;
pub mod root;
pub mod row;
pub mod rows;
pub mod samples;
pub mod spin;
pub mod table;
pub mod undo;

pub use check::{Report, Waivers};
pub use cpu_set::CpuSet;
pub use need::{Mode, Need, PlannedLane};
pub use root::Root;
pub use row::{Row, Sight, State};
pub use samples::Samples;
