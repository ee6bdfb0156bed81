//! Earlier runs: what each left in its folder about itself.
//!
//! `run.json` is written before the first order and names account, epoch and journal.
//! `closed.json` marks a run that ended in order with everything compared and equal.
//! `reconciled.json` marks one that did not, and whose account was compared with the venue
//! afterwards. A run with neither is unsettled.

use std::path::{Path, PathBuf};

use bot4_journal::hash::Fnv128;
use bot4_types::RunEpoch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dirs::{RunDir, state_home};
use crate::config::resolve::Remote;
use crate::config::{Config, VenueAccess};

const RECORD: &str = "run.json";
const CLOSED: &str = "closed.json";
const RECONCILED: &str = "reconciled.json";
/// Account of runs whose venue is their own child and ends with them.
const EMBEDDED: &str = "embedded";
/// Account of runs that only observe: there is none.
const OBSERVED: &str = "observed";
/// Newest runs that are asked for their epoch.
const EPOCHS_LOOKED_AT: usize = 16;

/// What a run writes about itself before it trades.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run's name.
    pub id: String,
    /// Names the run in client order ids.
    pub epoch: u32,
    /// Venue and a hash of the API key's name; `embedded` for a venue of its own, `observed`
    /// without an account.
    pub account: String,
    /// Instruments in the order of their index.
    pub symbols: Vec<String>,
    /// Where its journal lies.
    pub journal: PathBuf,
    /// When it began, venue Unix ms.
    pub start_ms: i64,
    /// Process id.
    pub pid: u32,
    /// The configuration that it was started with; none for the embedded default.
    #[serde(default)]
    pub config: Option<PathBuf>,
}

/// An earlier run's folder and record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierRun {
    /// Its folder.
    pub path: PathBuf,
    /// What it wrote about itself.
    pub record: RunRecord,
}

impl EarlierRun {
    /// It ended in order.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.path.join(CLOSED).exists()
    }

    /// Its account was compared with the venue after it had ended otherwise.
    #[must_use]
    pub fn is_reconciled(&self) -> bool {
        self.path.join(RECONCILED).exists()
    }

    /// Its account lives on without it, and nobody has looked yet how it left it.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        lives_on(&self.record.account) && !self.is_closed() && !self.is_reconciled()
    }

    /// Marks the run as reconciled.
    ///
    /// # Errors
    /// The disk's.
    pub fn mark_reconciled(&self, report: &Value) -> std::io::Result<()> {
        std::fs::write(self.path.join(RECONCILED), report.to_string())
    }
}

/// Marks the run in `dir` as ended in order.
///
/// # Errors
/// The disk's.
pub fn mark_closed(dir: &Path, about: &Value) -> std::io::Result<()> {
    std::fs::write(dir.join(CLOSED), about.to_string())
}

/// The account is still there when its run has ended.
#[must_use]
pub fn lives_on(account: &str) -> bool {
    account != EMBEDDED && account != OBSERVED
}

/// The account that `config` trades, as far as runs can be told apart by it.
#[must_use]
pub fn account_of(config: &Config, remote: &Remote) -> String {
    if matches!(config.venue.access, VenueAccess::Embedded) {
        return EMBEDDED.to_owned();
    }
    let Some(keys) = &remote.keys else { return OBSERVED.to_owned() };
    let mut key = Fnv128::default();
    key.write(keys.api_key.as_bytes());
    format!("{}:{:032x}", config.venue.venue.name(), key.value())
}

/// Writes `record` into the folder of its run.
///
/// # Errors
/// The disk's.
pub fn write_record(dir: &RunDir, record: &RunRecord) -> std::io::Result<()> {
    std::fs::write(dir.path.join(RECORD), serde_json::to_string(record)?)
}

/// Folders of runs, oldest first: their names begin with the time.
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = std::fs::read_dir(state_home().join("runs"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let (ms, _) = name.to_str()?.split_once('-')?;
            Some((ms.parse().ok()?, entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn read(path: PathBuf) -> Option<EarlierRun> {
    let text = std::fs::read_to_string(path.join(RECORD)).ok()?;
    Some(EarlierRun { record: serde_json::from_str(&text).ok()?, path })
}

/// All earlier runs with a record, oldest first.
#[must_use]
pub fn all() -> Vec<EarlierRun> {
    folders().into_iter().filter_map(read).collect()
}

/// The newest run that traded `account` and whose journal is still there. None for an embedded
/// venue, whose account ended with it, and for runs without an account.
#[must_use]
pub fn newest_of(account: &str) -> Option<EarlierRun> {
    if !lives_on(account) {
        return None;
    }
    let with_journal = |run: &EarlierRun| {
        run.record.account == account
            && bot4_journal::footprint(&run.record.journal).is_ok_and(|f| f.is_some())
    };
    folders().into_iter().rev().filter_map(read).find(with_journal)
}

/// An epoch above those of earlier runs: two runs in one second, or a clock set back, must not
/// make the same client order ids.
#[must_use]
pub fn unused_epoch(wanted: RunEpoch) -> RunEpoch {
    let newest = folders().into_iter().rev().filter_map(read).take(EPOCHS_LOOKED_AT);
    let above = newest.map(|run| run.record.epoch + 1).max().unwrap_or(0);
    RunEpoch(wanted.0.max(above) & 0x3FFF_FFFF)
}
