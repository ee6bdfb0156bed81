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
//!                book.j <-- books[j] <-- signal         control --commands--> risk
//! the chain (parse to risk) --turns[..]--> journal, in a run that is captured
//! risk, execution --log[..]--> journal <--log[control]-- control (the run's inputs, once, first)
//!                                             every lane --> counters and histograms --> telemetry
//! ```
//!
//! Wire and parse lane `i` keep connection `i`. Which instruments a connection carries and which
//! book lane keeps them is the run's [`Shards`](bot4_types::Shards); with two lines both carry all.
//! After an outage `wire.0` tells `wire.1` by a word of its own that the venue can be reached.

use bot4_lanes::topology::{Flow, LinkRow, Topology, WhenFull};

/// Wire and parse lanes: instruments are spread over them.
pub const WIRES: usize = 2;
/// Book lanes: instruments are spread over them.
pub const BOOKS: usize = 2;

/// Roles by index, so that names stay `'static`.
pub const WIRE: [&str; WIRES] = ["wire.0", "wire.1"];
/// See [`WIRE`].
pub const PARSE: [&str; WIRES] = ["parse.0", "parse.1"];
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
/// Log lanes there are.
pub const LOG_LANES: usize = LOG_TURNS as usize + CHAIN.len();
/// The agents from a frame to a decision: those whose turns a capture records.
pub const CHAIN: [&str; 6] = ["parse.0", "parse.1", "book.0", "book.1", "signal", "risk"];
/// Log records of turns in flight, seven turns each.
pub const TURNS: usize = 1_024;

/// The table of a run that is captured (`capture`) or not: the turns of the chain's agents have
/// links of their own.
#[must_use]
pub fn topology_of(capture: bool) -> Topology {
    let mut table = topology();
    let roles = CHAIN.iter().filter(|_| capture);
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

/// The table.
#[must_use]
pub fn topology() -> Topology {
    use Flow::{Feedback, Forward};
    use WhenFull::{Conflate, Retry, StopInput, WaitOrFault};
    let mut links = Vec::new();
    let mut add = |name: String, from, to, capacity, when_full, flow| {
        links.push(LinkRow { name, from, to, capacity, when_full, flow });
    };
    for (i, (wire, parse)) in WIRE.into_iter().zip(PARSE).enumerate() {
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
    add("intents".into(), "signal", "risk", INTENTS, StopInput, Forward);
    add("approved".into(), "risk", "execution", APPROVED, WaitOrFault, Forward);
    add("reports".into(), "execution", "risk", REPORTS, WaitOrFault, Feedback);
    add("account".into(), "risk", "signal", ACCOUNT, WaitOrFault, Feedback);
    add("log[risk]".into(), "risk", "journal", LOG, StopInput, Forward);
    add("log[execution]".into(), "execution", "journal", LOG, StopInput, Forward);
    add("log[control]".into(), "control", "journal", LOG_RUN_RECORDS, StopInput, Forward);
    let roles = [WIRE.as_slice(), &PARSE, &BOOK, &["signal", "risk", "execution", "journal"]]
        .concat()
        .into_iter()
        .chain(["telemetry", "control"])
        .collect();
    Topology { roles, links }
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
    fn the_table_is_valid() {
        let table = topology();
        assert_eq!(table.validate(), Ok(()));
        assert_eq!(table.roles.len(), 12);
        assert_eq!(table.links.len(), 30);
        let captured = topology_of(true);
        assert_eq!((captured.validate(), captured.links.len()), (Ok(()), 36));
        assert_eq!(topology_of(false), table);
    }
}
