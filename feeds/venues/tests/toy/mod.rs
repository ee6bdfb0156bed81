//! A venue that exists for the tests alone, made by the steps of `ADDING.md` and of nothing else:
//! the page's proof. The rules in `conformance.rs` bind it like a venue of the registry.
//!
//! What is particular here: one short word names a message (`t`), numbers are quoted, each update
//! of a book is one more than the one before, and a snapshot is an update that says `full`.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod instruments;
pub mod market;
mod market_json;
pub mod subscribe;

use bot4_types::{BookRules, ChecksumRule, SequenceRule, SnapshotSource, SnapshotSums};

/// Path of the streams.
pub const STREAM_PATH: &str = "/toy";
/// Connects in five minutes from one address.
pub const CONNECTS_PER_5MIN: u32 = 60;
/// Streams of one connection.
pub const STREAMS_MAX: u32 = 90;

/// How its books are kept in step.
pub const RULES: BookRules = BookRules {
    sequence: SequenceRule::Successor,
    snapshots: SnapshotSource::Streamed,
    checksum: ChecksumRule::None,
    snapshot_sums: SnapshotSums::Each,
    depth_max: 0,
    snapshot_levels: 0,
};
