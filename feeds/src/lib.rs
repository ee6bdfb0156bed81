//! Market data agents: from sockets to integer events.
//!
//! ```text
//!            frames: a Slot with one message, its receive stamp, its connection
//!   venue ==TLS/WS==> wire_agent ------------------------------------> parse_agent --> books
//!            |            ^  ^  ^-- slots: the same buffers, returned -----'  ^            |
//!            |            |  |                                                '-- blocks --'
//!            |            |  '----- resync: "send me a fresh snapshot" --------------------'
//!            '--snapshot answers (second connection, same frames link)
//! ```
//!
//! * [`wire_agent::WireAgent`] owns a venue's market data sockets for its share of the
//!   instruments: connecting, reconnecting, replacing a connection without a gap, deframing into
//!   slots, snapshot requests and subscriptions within the venue's limits. It never looks into a
//!   message, except to recognise the notice that the server goes away.
//! * [`parse_agent`] turns the bytes into integer events.
//! * [`bot4_wire::backoff`] says when to try again.
//!
//! **Ownership instead of sharing.** A message lies in a [`bot4_types::Slot`]; the slot is moved
//! through the frames ring and comes back by the slots ring. The wire agent never reads the
//! socket without a free slot and room in the ring, so a slow reader stops the socket, and one
//! that stays slow loses the connection and gets a resync: a book is never silently stale.

pub mod parse_agent;
pub mod tee;
pub mod wire_agent;

pub use parse_agent::{ParseAgent, ParsePorts};
pub use tee::Tee;
pub use wire_agent::{WireAgent, WireConfig, WirePorts};
