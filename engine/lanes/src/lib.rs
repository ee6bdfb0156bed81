//! Lanes: how work is scheduled, linked, clocked and counted.
//!
//! ```text
//!   lane (pinned OS thread)                       stepper (one thread, seeded)
//!   .------------------------------------.        .--------------------------.
//!   | idle strategy <- work count        |        | picks who works next     |
//!   |   agent.work(now, probe) -> count  |   or   |   agent.work(now, probe) |
//!   |   agent.work(now, probe) -> count  |        '--------------------------'
//!   '----|-------------------^-----------'
//!        v Tx                | Rx          SPSC rings: the only way data moves between agents
//! ```
//!
//! * An [`Agent`] is a value that is cycled. It never blocks, sleeps, spins or reads a clock.
//! * A [`Lane`] is a pinned OS thread that cycles one or more agents and owns the idle strategy.
//! * A [`ring`] is a single-producer single-consumer queue of fixed capacity. Agents ask for
//!   output room before they take input: on a folded lane the reader of a full ring may be the
//!   same thread.
//! * A [`Probe`] stamps stage borders; decisions never read it.
//! * In a run that is captured, an agent sees one sample of its rings a turn ([`gate`]), and what
//!   it saw is recorded ([`recorded`]): a replay runs the same turns again.
//! * Shared words that are not rings are declared here and nowhere else: the kill word
//!   ([`control`]), the journaled sequence ([`log_port`]), the counters ([`metrics`]) and the
//!   lanes' stop and heartbeat words ([`words`]). All of them, and the use of the rings, are
//!   checked under loom (`tests/loom.rs`), with mistakes planted that the model must find.
//!
//! Three ways to run the same agents: `dedicated` (one role a lane), `folded(n)` (roles composed
//! in data order) and simulated ([`Stepper`]).

mod account;
pub mod agent;
pub mod bell;
pub mod block;
pub mod clock;
pub mod control;
pub mod gate;
pub mod idle;
pub mod lane;
pub mod log_port;
pub mod metrics;
pub mod placement;
pub mod probe;
pub mod realtime;
pub mod recorded;
pub mod ring;
#[cfg(loom)]
mod ring_model;
pub mod seccomp;
pub mod shed;
pub mod stepper;
#[cfg(loom)]
pub mod sync;
#[cfg(not(loom))]
mod sync;
pub mod topology;
pub mod usage;
pub mod watch;
pub mod words;

pub use agent::{Agent, Fault};
pub use bell::Bell;
pub use block::{Block, Depth};
pub use clock::Clock;
pub use control::{Control, Phase};
pub use gate::{TurnGate, gated_ring, roomy_ring};

pub use lane::{Lane, LaneHandle, LaneSpec, LaneState, LaneThread};
pub use log_port::{Journaled, LogTx};
pub use metrics::{Counters, Histogram, Metrics, Total};
pub use probe::Probe;
pub use recorded::Recorded;
pub use ring::{Rx, Tx, ring};
pub use shed::Shedding;
pub use stepper::Stepper;
pub use watch::StallWatch;
