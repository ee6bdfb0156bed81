//! What a person, or a latch of risk, may say to a running engine: stop trading, trade again, how
//! do you do. And what happens when the engine cannot hear it any more.
//!
//! ```text
//! bot4 kill|resume|status --socket, mode 0600--> helper thread --halt bit--> kill word --> risk,
//! SIGUSR1, kill file -------------------------->   |   ^                                execution
//!                                     latch file <-'   '-- counters: latches of risk, beats
//! guard process <--beats, "closed"-- helper thread
//!       '--engine gone or hanging--> session of its own: cancels that run's orders
//! bot4 kill --no answer in 1 s--> ends the process, then the same session
//! ```
//!
//! * The helper is a thread of its own, so that a kill works while the control lane hangs. The
//!   kill word is raised first; everything slower (the file, the answer) comes after it.
//! * A halt is **latched** ([`latch`]): it lies on the disk, outlives the process, and only
//!   `bot4 resume --reason` ends it. Until then a start is refused with exit code 78.
//! * The engine stays up under a halt: books live, orders cancelled, account kept.
//! * SIGUSR2 and `bot4 latency dump` ask for a dump of the histograms ([`dumps`]).
//! * [`fence`] cancels from outside, and only orders that carry the dead run's epoch.

pub mod account;
pub mod admission;
pub mod client;
pub mod clients;
pub mod commands;
pub mod counters;
pub mod dumps;
pub mod fence;
pub mod guard;
pub mod health;
pub mod helper;
pub mod latch;
pub mod message;
pub mod notify;
pub mod orders;
pub mod path;
pub mod refusal;
pub mod scope;
pub mod status;
pub mod trigger;

pub use helper::{Helper, Inputs};
pub use latch::{By, Latch, LatchRecord};
pub use message::{Reply, Request};
