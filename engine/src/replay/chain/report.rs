//! What a replay of the chain found.

use std::fmt;

use serde_json::{Value, json};

use crate::replay::report::FirstDifference;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChainReport {
    /// Raw frames parsed again.
    pub frames: u64,
    /// Turns run again, of all agents of the chain.
    pub turns: u64,
    /// Messages that the agents took from or put into their rings.
    pub messages: u64,
    /// Records of risk that came out as the run wrote them.
    pub records: u64,
    /// Hash over them, without the stamps of stage borders.
    pub hash: u128,
    /// Records of risk behind the end of the capture: what a killed run leaves.
    pub unverified: u64,
    /// What differs first, if anything does.
    pub difference: Option<FirstDifference>,
    /// Time taken, s.
    pub seconds: f64,
}

impl ChainReport {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "same": self.difference.is_none(), "frames": self.frames, "turns": self.turns,
            "messages": self.messages, "records": self.records,
            "hash": format!("{:032x}", self.hash), "unverified": self.unverified,
            "seconds": self.seconds,
            "messages_per_s": (self.messages as f64 / self.seconds.max(1e-9)).round(),
        })
    }
}

impl fmt::Display for ChainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, turns, messages, records, hash, unverified, seconds, .. } = self;
        let rate = *messages as f64 / seconds.max(1e-9);
        writeln!(f, "  chain: {frames} frames, {turns} turns, {messages} messages")?;
        writeln!(f, "    {records} records of risk came out as written, hash {hash:032x}")?;
        if *unverified > 0 {
            writeln!(f, "    {unverified} records lie behind the end of the capture")?;
        }
        writeln!(f, "    {seconds:.3} s, {rate:.0} messages/s")
    }
}
