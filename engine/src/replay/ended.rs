//! The state that a run ended in, beside its journal: what a replay must reach.
//!
//! A journal cannot tell that records at its very end are missing. The run itself knows what it
//! decided and holds, so it writes that into its folder when it ends by itself; a killed run has
//! no such file.

use std::path::{Path, PathBuf};

use bot4_execution::desk::DeskCounts;
use bot4_risk::RiskCore;
use bot4_risk::ledger::clamped;
use bot4_types::{AssetId, Instrument, InstrumentTable};
use serde::{Deserialize, Serialize};

/// The file's name in a run's folder.
pub const FILE: &str = "ended.json";

/// The state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndState {
    /// Where the run's journal lies.
    pub journal: PathBuf,
    /// Records that the journal took.
    pub records: u64,
    /// What risk reached.
    pub risk: RiskState,
    /// What execution reached: the order entry of the first venue.
    pub execution: DeskState,
    /// Those of the further venues, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<DeskState>,
}

impl EndState {
    /// What the order entry of each venue reached.
    pub fn desks(&self) -> impl Iterator<Item = &DeskState> {
        std::iter::once(&self.execution).chain(&self.further)
    }
}

/// What the desk counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskState {
    /// Orders and fills by what became of them.
    #[serde(with = "CountsText")]
    pub counts: DeskCounts,
    /// Fills dropped because they were booked before.
    pub duplicates: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeskCounts")]
struct CountsText {
    foreign_fills: u64,
    foreign_orders: u64,
    overfills: u64,
    fills: u64,
    acked: u64,
    found: u64,
    filled: u64,
    canceled: u64,
    expired: u64,
    rejected: u64,
    not_sent: u64,
    /// Runs of earlier versions did not write it.
    #[serde(default)]
    contradictions: u64,
    /// Likewise.
    #[serde(default)]
    late: u64,
    /// Likewise.
    #[serde(default)]
    late_fills: u64,
}

/// Decisions and holdings of the risk lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskState {
    /// Intents judged.
    pub checked: u64,
    /// Hash over all decisions, hexadecimal.
    pub decision_hash: String,
    /// Fills booked.
    pub fills: u64,
    /// Net position of each instrument in its quantity units.
    pub positions: Vec<i64>,
    /// Expected balance of each asset, 10^-16, as text.
    pub balances: Vec<String>,
    /// Realised profit of each instrument at average cost, as text: what the limit on losses
    /// looks at. Runs of earlier versions did not write it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub realized: Vec<String>,
}

impl RiskState {
    /// The state of `core` over the instruments and assets of `table`.
    #[must_use]
    pub fn of(core: &RiskCore, table: &InstrumentTable) -> Self {
        let ledger = core.ledger();
        let net = |i: &Instrument| ledger.total(i.id).map_or(0, |e| clamped(e.position.qty).0);
        let realized = |i: &Instrument| ledger.total(i.id).map_or(0, |e| e.position.realized);
        let held = |a: usize| ledger.expected_balance(AssetId(a as u8)).to_string();
        Self {
            checked: core.checked(),
            decision_hash: format!("{:016x}", core.decision_hash()),
            fills: ledger.counts().fills,
            positions: table.all().iter().map(net).collect(),
            balances: (0..table.assets_len()).map(held).collect(),
            realized: table.all().iter().map(|i| realized(i).to_string()).collect(),
        }
    }

    /// What differs from `other`, as a sentence.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.checked != other.checked {
            let (run, here) = (self.checked, other.checked);
            return Some(format!("the run took {run} decisions, the journal leads to {here}"));
        }
        let told = !self.realized.is_empty();
        let realized = if told { other.realized.clone() } else { Vec::new() };
        let other = Self { realized, ..other.clone() };
        (*self != other)
            .then(|| format!("the run ended in {self:?}, the journal leads to {other:?}"))
    }
}

impl EndState {
    /// Writes the file into the run's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::write(folder.join(FILE), serde_json::to_string_pretty(self)? + "\n")
    }

    /// Reads the file of the run's folder; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or is something else.
    pub fn read(folder: &Path) -> std::io::Result<Option<Self>> {
        match std::fs::read(folder.join(FILE)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_compared_and_what_was_not_is_not() {
        let text = r#"{"checked": 3, "decision_hash": "ff", "fills": 2, "positions": [5],
                       "balances": ["7"], "realized": ["11"]}"#;
        let ended: RiskState = serde_json::from_str(text).expect("a state");
        assert_eq!(ended.difference(&ended), None);
        let other = RiskState { realized: vec!["12".into()], ..ended.clone() };
        assert!(ended.difference(&other).is_some_and(|what| what.contains("12")));
        let earlier = text.replace(r#", "realized": ["11"]"#, "");
        let earlier: RiskState = serde_json::from_str(&earlier).expect("an earlier one");
        assert_eq!(earlier.difference(&other), None);
    }
}
