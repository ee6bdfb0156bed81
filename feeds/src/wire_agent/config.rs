//! What a wire agent is given.

use bot4_lanes::{Rx, Tx};
use bot4_types::limits::{FRAME_LARGE, FRAME_SMALL};
use bot4_types::{ConnId, Frame, Instrument, Nanos, Resync, Slot};
use bot4_wire::{Endpoint, WsConfig};

use super::scout::Part;

/// A connection that replaces another one has its number plus this, or less it. Connections are
/// numbered below.
pub const CONN_SIDE: u16 = 0x100;

/// Names of the wire agents of a run.
const ROLES: [&str; 8] =
    ["wire.0", "wire.1", "wire.2", "wire.3", "wire.4", "wire.5", "wire.6", "wire.7"];

/// Tags of how long the kernel had what they read; part of `wire_to_parse`.
const KERNEL_TAGS: [&str; 8] = [
    "kernel_to_read.0",
    "kernel_to_read.1",
    "kernel_to_read.2",
    "kernel_to_read.3",
    "kernel_to_read.4",
    "kernel_to_read.5",
    "kernel_to_read.6",
    "kernel_to_read.7",
];

/// What a wire agent is told at its making.
#[derive(Clone, Debug)]
pub struct WireConfig {
    /// The agent's role, for example `wire.0`.
    pub role: &'static str,
    /// The connection's name in frames.
    pub conn: ConnId,
    /// Host of the market streams; its path is replaced by the session's.
    pub stream: Endpoint,
    /// Host of snapshot requests; its path is replaced by the session's. Without meaning where
    /// snapshots are streamed.
    pub snapshots: Endpoint,
    /// The agent's share of the instruments. Empty: the agent idles.
    pub instruments: Vec<Instrument>,
    /// Keys, masks and jitter follow from it.
    pub seed: u64,
    /// Times of both connections.
    pub ws: WsConfig,
    /// Slots for ordinary messages.
    pub slots_small: usize,
    /// Their length in bytes.
    pub slot_small_len: usize,
    /// Slots for large messages: snapshots.
    pub slots_large: usize,
    /// Their length in bytes; a longer message costs the connection.
    pub slot_large_len: usize,
    /// Market messages taken in one turn at most.
    pub batch: usize,
    /// A backlog older than this costs the connection.
    pub stale_after: Nanos,
    /// A connection is replaced after this long, less a jitter of up to 20 minutes, or before
    /// its venue cuts it, whichever is earlier.
    pub life: Nanos,
    /// Connects in five minutes at most, all connections of the agent together.
    pub connects_max: usize,
    /// Who tries first after an outage.
    pub part: Part,
}

impl WireConfig {
    /// The tag of how long the kernel had what this agent reads.
    pub(super) fn kernel_tag(&self) -> &'static str {
        KERNEL_TAGS[usize::from(self.conn.0) % KERNEL_TAGS.len()]
    }

    /// Wire agent `index` of the run with the usual sizes and times: role `wire.<index>`,
    /// connection `index`.
    ///
    /// # Panics
    /// When `index` is not below the number of wire agents that have a name.
    #[must_use]
    pub fn new(
        index: usize,
        stream: Endpoint,
        snapshots: Endpoint,
        instruments: Vec<Instrument>,
    ) -> Self {
        Self {
            role: ROLES[index],
            conn: ConnId(index as u16),
            stream,
            snapshots,
            instruments,
            seed: index as u64,
            ws: WsConfig::default(),
            slots_small: 512,
            slot_small_len: FRAME_SMALL,
            slots_large: 4,
            slot_large_len: FRAME_LARGE,
            batch: 64,
            stale_after: Nanos::from_secs(1),
            life: Nanos::MAX,
            connects_max: 100,
            part: Part::Alone,
        }
    }

    /// Slots in all. The slots ring must have at least this capacity, so that the parser can
    /// always give them back.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots_small + self.slots_large
    }
}

/// The agent's ends of its links.
#[derive(Debug)]
pub struct WirePorts {
    /// Messages to the parser.
    pub frames: Tx<Frame>,
    /// Slots back from the parser; capacity at least [`WireConfig::slots`].
    pub slots: Rx<Slot>,
    /// Requests for snapshots, one ring per book.
    pub resync: Vec<Rx<Resync>>,
}
