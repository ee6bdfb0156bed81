//! The layout of the counters file.
//!
//! ```text
//! head: 32 words, one writer (the telemetry agent)
//! words of every agent, histogram and block, each on cache lines of its own, one writer each
//! table: JSON text, written once: what lies where, and what does not change while the run lasts
//! ```
//!
//! A word is 64 bits in the machine's order. The magic is written last, by a release store: who
//! sees it and fences sees the table. [`VERSION`] changes with the meaning of the head or of a
//! block; names of counters may come and go without it, the table says which there are.

use serde::{Deserialize, Serialize};

/// First word: `bot4cntr`.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"bot4cntr");
/// Version of the layout.
pub const VERSION: u64 = 1;

/// Places in the head.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Magic,
    Version,
    /// Words of the whole file.
    Words,
    /// First word of the table.
    Table,
    /// Bytes of the table.
    TableLen,
    /// Hash of the table.
    TableHash,
    /// Process id.
    Pid,
    /// When the process began, clock ticks since boot: tells it from a later one of its number.
    Began,
    /// When the counters began, Unix ms.
    StartedMs,
    /// Engine clock at the last beat, ns.
    BeatNs,
    /// Wall clock at the last beat, Unix ms.
    BeatMs,
    /// Phase of the kill word, by its number.
    Phase,
    /// A fault has killed: no person can end the stop in this process.
    Failed,
    /// Allocations of hot agents since warm-up.
    HotAllocations,
    /// Allocations of wire and execution since warm-up.
    IoAllocations,
    /// The run is over; set once.
    Closed,
}

/// Hash of the table: 64-bit FNV-1a.
/// Source: G. Fowler, L. C. Noll, K.-P. Vo, D. Eastlake, "The FNV Non-Cryptographic Hash
/// Algorithm", draft-eastlake-fnv.
pub(super) fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// When process `pid` began, clock ticks since boot; none where there is no such process.
pub(super) fn began(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; the start time is field 22, 19 behind the state.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// What does not change while a run lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plate {
    /// The run's name.
    pub run: String,
    /// Venue and account, the key only as a hash.
    pub account: String,
    /// The program's version.
    pub version: String,
    /// The asset that amounts are told in.
    pub asset: String,
    /// Number of strategies.
    pub strategies: usize,
    /// Rungs of the ladder of shedding, lowest first.
    pub rungs: Vec<String>,
    /// The lanes in order.
    pub lanes: Vec<LanePlate>,
    /// The links.
    pub links: Vec<LinkPlate>,
    /// Venues in order with the role of their order entry.
    pub venues: Vec<VenuePlate>,
    /// Market connections.
    pub lines: Vec<LinePlate>,
    /// Instruments in the order of their index.
    pub instruments: Vec<InstrumentPlate>,
}

/// A lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePlate {
    /// Its name.
    pub name: String,
    /// Its CPU.
    pub cpu: Option<u32>,
    /// How it waits.
    pub idle: String,
    /// Roles of its agents.
    pub agents: Vec<String>,
}

/// A link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPlate {
    /// Its name.
    pub name: String,
    /// Its writer's role.
    pub from: String,
    /// Its reader's role.
    pub to: String,
    /// Messages it holds.
    pub capacity: u64,
    /// What its writer does when it is full.
    pub when_full: String,
    /// Against the direction of data.
    pub feedback: bool,
}

/// A venue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenuePlate {
    /// Its name.
    pub name: String,
    /// The role of its order entry.
    pub role: String,
}

/// A market connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinePlate {
    /// The role of its wire agent.
    pub wire: String,
    /// The role of its parser.
    pub parse: String,
    /// Its venue's name.
    pub venue: String,
    /// It carries instruments.
    pub used: bool,
}

/// An instrument.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstrumentPlate {
    /// Its symbol, or `venue:symbol`.
    pub label: String,
    /// Decimals of a price unit.
    pub price_decimals: u8,
    /// Decimals of a quantity unit.
    pub qty_decimals: u8,
}

/// The role under which a link's depth is counted.
#[must_use]
pub fn link_role(name: &str) -> String {
    format!("link {name}")
}

/// The counter of a link's depth as its writer saw it, and as its reader did.
pub const DEPTHS: [&[&str]; 2] = [&["depth_written_max"], &["depth_read_max"]];

/// The tag of the account's block, beside those of instruments.
pub const ACCOUNT: &str = "account";

/// What lies where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Row {
    /// Counters of a role by name.
    Counters { role: String, at: usize, names: Vec<String> },
    /// A histogram.
    Histogram { tag: String, at: usize },
    /// A block of so many words, its sequence among them.
    Block { role: String, tag: String, at: usize, len: usize },
}

/// The table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    pub plate: Plate,
    pub rows: Vec<Row>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_beginning_and_hashes_tell_texts_apart() {
        let pid = std::process::id();
        assert!(began(pid).is_some_and(|ticks| Some(ticks) == began(pid)));
        assert_eq!(began(u32::MAX), None);
        // The published value of the algorithm for "a".
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(hash(b"ab"), hash(b"ba"));
    }
}
