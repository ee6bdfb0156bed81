//! The simulator: the engine's own agents and rings, stepped on one thread in logical time
//! against the simulated venue over the memory network. Network, clock and the journal's disk
//! are twins; everything else is what runs live.
//!
//! ```text
//! seed --> swarm: strategies, symbols, ring sizes, limits, which faults and when
//!      '-> floor: picks who works next, moves time
//!            |-- wire, parse, book, signal, risk, journal, execution, telemetry   (the real ones)
//!            '-- venue agent: simulated venue on the other end of the memory network
//! after every step: taps carry the order path's messages over --> checkers look at them
//! ```
//!
//! A run has four phases: trading under faults; healing, without faults, until everything is
//! live again; draining, until nothing is open or on its way; and the comparison with the
//! venue. Healing and draining have a limit in simulated time: that is liveness.
//!
//! At its end every order and fill is held against the venue's own tables once more (`audit`).
//! Scripted sessions (`session`) are short runs with a few mishaps of the account each.
//!
//! The same seed gives the same run: two runs must leave journals with equal content.
//!
//! A disk that fails, is full when a segment is needed or is silent for too long halts the engine
//! by design: such a run trades no more, and everything else must hold to its end.
//!
//! **Edges.** The venue's process does not end and its clock steps by less than the five seconds
//! that the engine believes; agents of the order path stand still for less than the 100 ms at
//! which their links halt the engine. Each of these is tested elsewhere or not yet.

mod audit;
pub mod check;
mod disk;
mod faults;
mod floor;
mod machine;
mod opening;
mod run;
pub mod saved;
mod session;
mod statements;
mod swarm;
mod tap;
mod venue_agent;

use std::collections::BTreeMap;

use bot4_types::instrument::Amount;

pub use audit::Audit;
pub use faults::Kind;
pub use floor::Stop;
pub use run::{play, play_captured, play_into, run};
pub use session::Session;
pub use swarm::Swarm;
pub use tap::Plant;

/// What a run draws from its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Nothing: real sizes, no faults.
    Calm,
    /// Sizes, limits, and which of all faults strike when.
    Swarm,
    /// A scripted session: a few mishaps of the account.
    Session,
}

/// The router's counters of orders that are not plain.
const KINDS: [&str; 7] = [
    "intents_amends",
    "quotes_amended",
    "stops_native",
    "stops_armed",
    "targets_taken",
    "links",
    "links_raced",
];

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Steps of the trading phase.
    pub steps: u64,
    /// What is drawn from the seed.
    pub kind: Runs,
    /// A violation to plant, as proof that it is found.
    pub plant: Option<Plant>,
    /// Distance of guarded stops, hundredths of a percent; the configuration's where none is said.
    pub stop_bps: Option<u32>,
    /// Half of the seeds work parent orders, too.
    pub parents: bool,
    /// Most seeds have amends, orders of every type, near stops or exits at the venue, too.
    pub kinds: bool,
}

impl Options {
    /// The swarm from `seed` for `steps` steps.
    #[must_use]
    pub const fn swarm(seed: u64, steps: u64) -> Self {
        Self {
            seed,
            steps,
            kind: Runs::Swarm,
            plant: None,
            stop_bps: None,
            parents: true,
            kinds: true,
        }
    }

    /// Without faults.
    #[must_use]
    pub const fn calm(seed: u64, steps: u64) -> Self {
        Self { kind: Runs::Calm, ..Self::swarm(seed, steps) }
    }

    /// The scripted session of `seed`, as long as it says.
    #[must_use]
    pub fn session(seed: u64) -> Self {
        Self { kind: Runs::Session, ..Self::swarm(seed, Session::drawn(seed).steps) }
    }
}

/// What a simulated run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimEnd {
    /// Its seed.
    pub seed: u64,
    /// Steps taken in all phases.
    pub steps: u64,
    /// Simulated time in milliseconds.
    pub sim_ms: u64,
    /// New orders sent.
    pub orders: u64,
    /// Fills booked.
    pub fills: u64,
    /// Guarded stops that struck.
    pub stops: u64,
    /// Parent orders begun.
    pub parents: u64,
    /// Children of theirs that were asked for.
    pub children: u64,
    /// How often there was each of the router's kinds of orders that are not plain.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Positions that are left, by strategy and instrument.
    pub held: u64,
    /// Orders open or unknown at the end.
    pub open: u64,
    /// Journal records.
    pub records: u64,
    /// Hash over the journal's content.
    pub journal_hash: u128,
    /// Hash over risk's decisions.
    pub decision_hash: u64,
    /// Looks that checkers took.
    pub looks: u64,
    /// Books compared with the venue's level by level.
    pub books_compared: u64,
    /// Milliseconds of simulated time from the last fault until everything was live again.
    pub heal_ms: u64,
    /// Milliseconds of simulated time from the order to stop until nothing was open.
    pub drain_ms: u64,
    /// Faults that struck, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Every order and fill against the venue's own tables, if the run came to rest.
    pub audit: Audit,
    /// Invariants that did not hold, as sentences.
    pub unsafe_findings: Vec<String>,
    /// What did not come to rest in time.
    pub late_findings: Vec<String>,
    /// What leaked or outgrew its limit.
    pub leaks: Vec<String>,
    /// Why the run ended early: a halt or a panic of an agent.
    pub stop: Option<Stop>,
}

impl SimEnd {
    /// Everything held.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unsafe_findings.is_empty()
            && self.late_findings.is_empty()
            && self.leaks.is_empty()
            && self.stop.is_none()
    }
}

/// A balance of the venue in the engine's amounts.
const fn amount(units_e8: i128) -> Amount {
    units_e8 * 100_000_000
}
