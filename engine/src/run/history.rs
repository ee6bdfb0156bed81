//! Earlier runs: what each left in its folder about itself.
//!
//! `run.json` is written before the first order and names account, epoch and journal.
//! `closed.json` marks a run that ended in order with everything compared and equal.
//! `reconciled.json` marks one that did not, and whose account was compared with the venue
//! afterwards. A run with neither is unsettled.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bot4_journal::hash::Fnv128;
use bot4_types::RunEpoch;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::dirs::{RunDir, state_home};
use crate::config::resolve::Remote;
use crate::config::{Config, VenueAccess, VenueConfig};

const RECORD: &str = "run.json";
/// Folder of its latency histograms in a run's own, unless it was told another.
pub const LATENCY_DIR: &str = "latency";
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
    /// The files of the configuration that it was started with; none for the embedded default.
    #[serde(default, deserialize_with = "some_files")]
    pub config: Vec<PathBuf>,
    /// Its counters, where other processes can read them.
    #[serde(default)]
    pub counters: Option<PathBuf>,
    /// Where its latency histograms lie, unless in its own folder.
    #[serde(default)]
    pub latency: Option<PathBuf>,
}

/// Earlier versions knew one file at most, and wrote its path or null.
fn some_files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Files {
        None,
        One(PathBuf),
        Several(Vec<PathBuf>),
    }
    Ok(match Files::deserialize(deserializer)? {
        Files::None => Vec::new(),
        Files::One(path) => vec![path],
        Files::Several(paths) => paths,
    })
}

impl RunRecord {
    /// The venues that it traded at, in order.
    pub fn venues(&self) -> impl Iterator<Item = &str> {
        accounts_in(&self.account).map(|account| account.split(':').next().unwrap_or_default())
    }

    /// The record of a run whose counters lie at `path`.
    #[must_use]
    pub fn with_counters(mut self, path: Option<PathBuf>) -> Self {
        self.counters = path;
        self
    }

    /// Its instruments as `venue:symbol`, in the order of their index.
    #[must_use]
    pub fn full_symbols(&self) -> Vec<String> {
        let only = self.venues().next().unwrap_or_default();
        let full = |symbol: &String| match self.venues().count() {
            1 => format!("{only}:{symbol}"),
            _ => symbol.clone(),
        };
        self.symbols.iter().map(full).collect()
    }

    /// `symbol`, as `venue:symbol`, as this run named it.
    #[must_use]
    pub fn told(&self, symbol: &str) -> String {
        match (self.venues().count(), symbol.split_once(':')) {
            (1, Some((_, plain))) => plain.to_owned(),
            _ => symbol.to_owned(),
        }
    }
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
    /// Where its latency histograms lie.
    #[must_use]
    pub fn latency(&self) -> PathBuf {
        self.record.latency.clone().unwrap_or_else(|| self.path.join(LATENCY_DIR))
    }

    /// It ended in order.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.path.join(CLOSED).exists()
    }

    /// Those of its accounts that are in `account` were compared with their venues after it had
    /// ended otherwise.
    #[must_use]
    pub fn is_reconciled_for(&self, account: &str) -> bool {
        let whole = self.path.join(RECONCILED).exists();
        let mut shared = accounts_in(&self.record.account).filter(|one| share(one, account));
        whole || shared.all(|one| self.path.join(reconciled_at(one)).exists())
    }

    /// An account of it that is in `account` lives on without it, and nobody has looked yet how it
    /// left it.
    #[must_use]
    pub fn is_unsettled_for(&self, account: &str) -> bool {
        lives_on(&self.record.account) && !self.is_closed() && !self.is_reconciled_for(account)
    }

    /// Any account of it is unsettled.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.is_unsettled_for(&self.record.account)
    }

    /// Marks the run as reconciled at these `venues`, which may be all that it traded at.
    ///
    /// # Errors
    /// The disk's.
    pub fn mark_reconciled(&self, venues: &[&str], report: &Value) -> std::io::Result<()> {
        for account in accounts_in(&self.record.account) {
            let venue = account.split(':').next().unwrap_or_default();
            if venues.contains(&venue) {
                std::fs::write(self.path.join(reconciled_at(account)), report.to_string())?;
            }
        }
        if self.is_reconciled_for(&self.record.account) {
            std::fs::write(self.path.join(RECONCILED), report.to_string())?;
        }
        Ok(())
    }
}

/// The file that says the same of one account of several.
fn reconciled_at(account: &str) -> String {
    format!("reconciled.{}.json", account.split(':').next().unwrap_or_default())
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

/// Between the accounts of a run of several venues.
const AND: char = '+';

/// The account that `config` trades, as far as runs can be told apart by it: of several venues
/// all of them, joined by [`AND`].
#[must_use]
pub fn account_of(config: &Config, remotes: &[Remote]) -> String {
    if matches!(config.venue.access, VenueAccess::Embedded) {
        return EMBEDDED.to_owned();
    }
    let of = |(venue, remote): (&VenueConfig, &Remote)| {
        let mut key = Fnv128::default();
        key.write(remote.keys.as_ref()?.api_key.as_bytes());
        Some(format!("{}:{:032x}", venue.venue.name(), key.value()))
    };
    let accounts: Option<Vec<_>> = config.venues().zip(remotes).map(of).collect();
    let Some(mut accounts) = accounts else { return OBSERVED.to_owned() };
    // The order in the configuration is no part of who it is.
    accounts.sort();
    accounts.join(&AND.to_string())
}

/// The accounts at the venues that make up `account`.
pub fn accounts_in(account: &str) -> impl Iterator<Item = &str> {
    account.split(AND)
}

/// Some account at a venue belongs to both.
#[must_use]
pub fn share(one: &str, other: &str) -> bool {
    accounts_in(one).any(|account| accounts_in(other).any(|a| a == account))
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

/// The run whose folder `path` is, if it is one.
#[must_use]
pub fn of(path: &Path) -> Option<EarlierRun> {
    read(path.to_owned())
}

/// All earlier runs with a record, oldest first.
#[must_use]
pub fn all() -> Vec<EarlierRun> {
    folders().into_iter().filter_map(read).collect()
}

/// Epochs of all runs here that traded an account of `account`.
#[must_use]
pub fn epochs_of(account: &str) -> BTreeSet<u32> {
    let own = all().into_iter().filter(|run| share(&run.record.account, account));
    own.map(|run| run.record.epoch).collect()
}

/// The newest run of each account in `account` whose journal is still there, each once, newest
/// first.
#[must_use]
pub fn newest_of_each(account: &str) -> Vec<EarlierRun> {
    let mut found: Vec<EarlierRun> = Vec::new();
    for newest in accounts_in(account).filter_map(newest_of) {
        if !found.iter().any(|run| run.path == newest.path) {
            found.push(newest);
        }
    }
    found.sort_by(|a, b| b.path.cmp(&a.path));
    found
}

/// The newest run that traded `account`, alone or with others, and whose journal is still there.
/// None for an embedded venue, whose account ended with it, and for runs without an account.
#[must_use]
pub fn newest_of(account: &str) -> Option<EarlierRun> {
    if !lives_on(account) {
        return None;
    }
    let with_journal = |run: &EarlierRun| {
        share(&run.record.account, account)
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
