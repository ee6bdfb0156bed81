//! THE table: the machine's roles and links. Read it to know the system; it is validated before
//! any thread starts.
//!
//! ```text
//! wire.i --frames[i]--> parse.i --market[i][j]--> book.j --tops[j]--> signal --intents--> risk
//!   ^  ^----slots[i]------'  ^-----blocks[j][i]-----'|                  ^                  |
//!   '------resync[j][i]------------------------------+--marks[j]--------|-----------> risk |
//!                                                                       |                  v
//!                                            account (reports + position) <-- risk <-- approved
//!                                                                         reports <-- execution
//!                book.j <-- books[j] <-- signal --parents--> control --commands--> risk
//! the chain (parse to risk) --turns[..]--> journal, in a run that is captured
//! risk, execution --log[..]--> journal <--log[control]-- control (the run's inputs, once, first)
//!                                             every lane --> counters and histograms --> telemetry
//! ```
//!
//! A run of several venues has a wire and a parse agent for each connection of a venue, and an
//! `execution` for each venue with links of its own (`approved[v]`, `reports[v]`,
//! `log[execution.v]`): what one venue does to its order entry stays there. They share the lanes of
//! their kind. [`Shape`] says how many there are.
//!
//! Wire and parse lane `i` keep connection `i`. Which instruments a connection carries and which
//! book lane keeps them is the run's [`Shards`](bot4_types::Shards); with two lines both carry all.
//! After an outage `wire.0` tells `wire.1` by a word of its own that the venue can be reached.

use bot4_lanes::topology::{Flow, LinkRow, Topology, WhenFull};
use bot4_types::limits::VENUES_MAX;

/// Wire and parse lanes of a run of one venue: instruments are spread over them.
pub const WIRES: usize = 2;
/// The most that a run of several venues may have.
pub const WIRES_MAX: usize = 8;
/// Book lanes: instruments are spread over them.
pub const BOOKS: usize = 2;

/// Roles by index, so that names stay `'static`.
pub const WIRE: [&str; WIRES_MAX] =
    ["wire.0", "wire.1", "wire.2", "wire.3", "wire.4", "wire.5", "wire.6", "wire.7"];
/// See [`WIRE`].
pub const PARSE: [&str; WIRES_MAX] =
    ["parse.0", "parse.1", "parse.2", "parse.3", "parse.4", "parse.5", "parse.6", "parse.7"];
/// See [`WIRE`].
pub const BOOK: [&str; BOOKS] = ["book.0", "book.1"];

/// Frames in flight: 20 ms of the busiest second seen on one symbol (1,362 messages), with room.
pub const FRAMES: usize = 512;
/// Market messages in flight.
pub const MARKET: usize = 1_024;
/// Resync requests: every instrument once.
pub const RESYNC: usize = bot4_types::limits::INSTRUMENTS_MAX;
/// Tops and trades in flight; conflated above.
pub const TOPS: usize = 1_024;
/// Marks in flight; conflated above.
pub const MARKS: usize = 512;
/// Intents in flight.
pub const INTENTS: usize = 256;
/// Approved orders in flight.
pub const APPROVED: usize = 256;
/// Reports in flight: a burst of fills over all open orders.
pub const REPORTS: usize = 2_048;
/// Account reports in flight.
pub const ACCOUNT: usize = 2_048;
/// Commands in flight: every instrument changed at once waits its turn at the control lane.
pub const COMMANDS: usize = 64;
/// What books are told in flight; the newest word of each instrument counts.
pub const BOOK_ORDERS: usize = 64;
/// Reports of parent orders in flight; the newest of each counts.
pub const PARENTS: usize = 256;
/// Log records in flight, 256 B each.
pub const LOG: usize = 8_192;

/// Log records that say what a run starts from: a kilobyte for each of the most instruments and
/// assets there can be, 232 bytes a record. All are written before a lane starts.
pub const LOG_RUN_RECORDS: usize = 2_048;

/// The roles of order entry by venue.
pub use bot4_execution::agent::ROLES as EXECUTION;

/// The link of approved orders to the order entry of venue `v`.
#[must_use]
pub fn approved(v: usize) -> String {
    of_venue("approved", v)
}

/// The link of reports from the order entry of venue `v`.
#[must_use]
pub fn reports(v: usize) -> String {
    of_venue("reports", v)
}

/// The first venue's links have the plain name.
fn of_venue(name: &str, v: usize) -> String {
    if v == 0 { name.to_owned() } else { format!("{name}[{v}]") }
}

/// Log lane of risk.
pub const LOG_RISK: u8 = 0;
/// Log lane of execution.
pub const LOG_EXECUTION: u8 = 1;
/// Log lane of what the run starts from; see [`crate::replay::inputs`].
pub const LOG_RUN: u8 = 2;

/// First log lane of the turns of the chain's agents, in the order of [`CHAIN`].
pub const LOG_TURNS: u8 = 3;
/// Log lane of the second venue's order entry; the further ones follow.
pub const LOG_FURTHER: u8 = 16;
/// Log lanes there are.
pub const LOG_LANES: usize = LOG_FURTHER as usize + VENUES_MAX - 1;
/// The agents from a frame to a decision: those whose turns a capture records. A run of one venue
/// has the first [`Shape::chain`] of them; the parsers of further connections follow.
pub const CHAIN: [&str; 4 + WIRES_MAX] = [
    "parse.0", "parse.1", "book.0", "book.1", "signal", "risk", "parse.2", "parse.3", "parse.4",
    "parse.5", "parse.6", "parse.7",
];
const _: () = assert!(LOG_TURNS as usize + CHAIN.len() <= LOG_FURTHER as usize);
/// Log records of turns in flight, seven turns each.
pub const TURNS: usize = 1_024;

/// Log lane of the order entry of venue `v`.
#[must_use]
pub const fn log_execution(v: usize) -> u8 {
    if v == 0 { LOG_EXECUTION } else { LOG_FURTHER + (v as u8) - 1 }
}

/// The venue whose order entry logs on `lane`.
#[must_use]
pub const fn venue_of_log(lane: u8) -> Option<usize> {
    match lane {
        LOG_EXECUTION => Some(0),
        LOG_FURTHER.. if (lane as usize) < LOG_LANES => Some((lane - LOG_FURTHER) as usize + 1),
        _ => None,
    }
}

/// The link of records from the order entry of venue `v`.
#[must_use]
pub fn log_link(v: usize) -> String {
    format!("log[{}]", EXECUTION[v])
}

/// How many of everything a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Connections of all venues, each with a wire and a parse agent.
    pub wires: usize,
    /// Venues, each with an order entry.
    pub venues: usize,
    /// The turns of the chain's agents are recorded.
    pub captured: bool,
}

impl Shape {
    /// One venue.
    pub const ONE: Self = Self { wires: WIRES, venues: 1, captured: false };
    /// The largest there can be: it holds every link that any run has.
    pub const LARGEST: Self = Self { wires: WIRES_MAX, venues: VENUES_MAX, captured: true };

    /// The agents from a frame to a decision, in the order of their log lanes.
    #[must_use]
    pub fn chain(&self) -> &'static [&'static str] {
        let further = self.wires.clamp(WIRES, WIRES_MAX) - WIRES;
        &CHAIN[..CHAIN.len() - (WIRES_MAX - WIRES) + further]
    }

    /// The roles beside the twelve of a run of one venue.
    #[must_use]
    pub fn extra_roles(&self) -> Vec<&'static str> {
        let further = |roles: &[&'static str], from: usize, to: usize| {
            roles.get(from..to).unwrap_or_default().to_vec()
        };
        let (wires, venues) = (self.wires, self.venues);
        let feeds = [further(&WIRE, WIRES, wires), further(&PARSE, WIRES, wires)].concat();
        [feeds, further(&EXECUTION, 1, venues)].concat()
    }
}

/// The table of a run of this shape: in one that is captured, the turns of the chain's agents have
/// links of their own.
#[must_use]
pub fn topology_of(shape: Shape) -> Topology {
    let mut table = machine(shape);
    let roles = shape.chain().iter().filter(|_| shape.captured);
    table.links.extend(roles.map(|role| LinkRow {
        name: format!("turns[{role}]"),
        from: role,
        to: "journal",
        capacity: TURNS,
        when_full: WhenFull::Lose,
        flow: Flow::Forward,
    }));
    table
}

/// The table of one venue.
#[must_use]
pub fn topology() -> Topology {
    topology_of(Shape::ONE)
}

fn machine(shape: Shape) -> Topology {
    use Flow::{Feedback, Forward};
    use WhenFull::{Conflate, Retry, StopInput, WaitOrFault};
    let mut links = Vec::new();
    let mut add = |name: String, from, to, capacity, when_full, flow| {
        links.push(LinkRow { name, from, to, capacity, when_full, flow });
    };
    let wires = shape.wires.max(WIRES);
    for (i, (wire, parse)) in WIRE.into_iter().zip(PARSE).enumerate().take(wires) {
        add(format!("frames[{i}]"), wire, parse, FRAMES, StopInput, Forward);
        add(format!("slots[{i}]"), parse, wire, 2 * FRAMES, Retry, Feedback);
        for (j, book) in BOOK.into_iter().enumerate() {
            add(format!("market[{i}][{j}]"), parse, book, MARKET, StopInput, Forward);
            add(format!("blocks[{j}][{i}]"), book, parse, 8 * MARKET, Retry, Feedback);
            add(format!("resync[{j}][{i}]"), book, wire, RESYNC, Retry, Feedback);
        }
    }
    for (j, book) in BOOK.into_iter().enumerate() {
        add(format!("tops[{j}]"), book, "signal", TOPS, Conflate, Forward);
        add(format!("marks[{j}]"), book, "risk", MARKS, Conflate, Forward);
        add(format!("books[{j}]"), "signal", book, BOOK_ORDERS, Conflate, Feedback);
    }
    add("commands".into(), "control", "risk", COMMANDS, Retry, Forward);
    add("parents".into(), "signal", "control", PARENTS, Conflate, Forward);
    add("intents".into(), "signal", "risk", INTENTS, StopInput, Forward);
    for (v, execution) in EXECUTION.into_iter().enumerate().take(shape.venues) {
        add(approved(v), "risk", execution, APPROVED, WaitOrFault, Forward);
        add(reports(v), execution, "risk", REPORTS, WaitOrFault, Feedback);
        add(log_link(v), execution, "journal", LOG, StopInput, Forward);
    }
    add("account".into(), "risk", "signal", ACCOUNT, WaitOrFault, Feedback);
    add("log[risk]".into(), "risk", "journal", LOG, StopInput, Forward);
    add("log[control]".into(), "control", "journal", LOG_RUN_RECORDS, StopInput, Forward);
    let orders = [&["signal", "risk"], &EXECUTION[..shape.venues], &["journal"]].concat();
    let roles = [&WIRE[..wires], &PARSE[..wires], &BOOK, &orders, &["telemetry", "control"]];
    Topology { roles: roles.concat(), links }
}

/// The capacity of `link` with every ring `divisor` times smaller, as far as its ends allow: a
/// parser needs room for the events of one frame, risk for the records of one intent beside the
/// reserve. The simulator runs with tiny rings; live it is always one.
#[must_use]
pub fn capacity_of(link: &LinkRow, divisor: usize) -> usize {
    let least = match link.name.as_str() {
        // What the run starts from is written as a whole before anybody reads.
        "log[control]" => link.capacity,
        // What finds no room is lost, and a replay ends there.
        name if name.starts_with("turns") => link.capacity,
        name if name.starts_with("market") => bot4_venues::market::EVENTS_PER_FRAME_MAX,
        name if name.starts_with("log") => LOG_LEAST,
        _ => 1,
    };
    (link.capacity / divisor.max(1)).max(least)
}

/// Five records of an intent, an eighth in reserve, rounded up.
const LOG_LEAST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_capacities_keep_what_the_ends_need() {
        for link in topology().links {
            assert_eq!(capacity_of(&link, 1), link.capacity);
            let tiny = capacity_of(&link, 1 << 20);
            let least = match link.name.split('[').next() {
                _ if link.name == "log[control]" => link.capacity,
                Some("log" | "market") => 16,
                _ => 1,
            };
            assert_eq!(tiny, least, "{}", link.name);
        }
    }

    #[test]
    fn log_lanes_and_venues_name_each_other() {
        for v in 0..VENUES_MAX {
            assert_eq!(venue_of_log(log_execution(v)), Some(v));
        }
        let others = [LOG_RISK, LOG_RUN, LOG_TURNS, LOG_LANES as u8];
        assert!(others.iter().all(|lane| venue_of_log(*lane).is_none()));
    }

    #[test]
    fn the_table_is_valid() {
        let table = topology();
        assert_eq!(table.validate(), Ok(()));
        assert_eq!(table.roles.len(), 12);
        assert_eq!(table.links.len(), 31);
        let captured = topology_of(Shape { captured: true, ..Shape::ONE });
        assert_eq!((captured.validate(), captured.links.len()), (Ok(()), 37));
        for venues in 2..=VENUES_MAX {
            let shape = Shape { wires: venues, venues, captured: venues % 2 == 0 };
            let table = topology_of(shape);
            assert_eq!(table.validate(), Ok(()), "{venues} venues");
            let extra = shape.extra_roles();
            assert_eq!(table.roles.len(), 12 + extra.len());
            assert!(extra.iter().all(|role| table.roles.contains(role)));
            let parsers = shape.chain().iter().filter(|role| role.starts_with("parse."));
            assert_eq!(parsers.count(), venues);
            assert!(shape.chain().iter().all(|role| table.roles.contains(role)));
        }
        let largest = topology_of(Shape::LARGEST);
        assert_eq!(largest.validate(), Ok(()));
        assert!(captured.links.iter().all(|l| largest.links.contains(l)));
    }
}
