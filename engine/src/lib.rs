//! The composition root: configuration, topology, wiring, supervision and the command line.
//!
//! ```text
//! cli --config--> plan (topology + placement) --> wiring (rings, agents, arenas) --> lanes
//!                                                    ^                                  |
//!      cold session: instruments, balances, clock ---'        control agent: supervises, drains
//!      cold session at the end: open orders, balances --> reconcile <-- agents come back
//!                                                           '--> report, exit code
//! ```

// A write to a stream that is gone or full would panic: `cli::out` and `tell!` do not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod config;
mod core_dumps;
mod journal_desk;
pub mod log;
pub mod offline;
pub mod operator;
pub mod record;
pub mod recovery;
pub mod replay;
pub mod run;
pub mod shedding;
pub mod sim;
pub mod top;
pub mod topology;
pub mod watch;
