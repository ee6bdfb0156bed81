//! Taking over from the newest earlier run of the same account.
//!
//! ```text
//! its journal --sound--> tail cut, sealed if it died --> account compared with the venue --> trade
//!      |
//!      '--damaged in the middle--> refused (78) --person: run --reconcile-only--> marked --> trade
//! ```
//!
//! The venue is the truth about the account: open orders are cancelled and balances taken from it
//! at every start. The journal says what the earlier run knew; what it does not explain is told.

use std::borrow::Cow;
use std::fmt;
use std::io::IsTerminal;
use std::path::Path;

use bot4_journal::{JournalError, Recovery};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::account_state::{self, AccountState};
use super::history::{self, EarlierRun, RunRecord};
use super::settle::Settled;
use crate::recovery::{self, Fold, parents};

/// Journals longer than this show their reading on a terminal.
const SHOWN_FROM_BYTES: u64 = 256 * 1024 * 1024;

/// A refusal to trade that only a person may lift. The command ends with 78.
#[derive(Debug)]
pub struct PolicyRefusal(pub String);

impl fmt::Display for PolicyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PolicyRefusal {}

/// The newest earlier run of an account, its journal read and, where that is safe, mended.
pub struct Takeover {
    run: EarlierRun,
    recovery: Recovery,
    /// What its records say, where anybody has to know.
    fold: Option<Fold>,
    told: Option<String>,
    warned: Option<String>,
}

impl Takeover {
    /// Reads the newest earlier journal of each of the accounts in `account`, newest first: a run
    /// of several venues may follow on several runs.
    ///
    /// # Errors
    /// When an engine still runs, or the disk fails.
    pub fn all_of(account: &str) -> Result<Vec<Self>, Box<dyn std::error::Error>> {
        history::newest_of_each(account).into_iter().map(Self::of).collect()
    }

    fn of(run: EarlierRun) -> Result<Self, Box<dyn std::error::Error>> {
        let bar = Bar::default();
        let wanted = !run.is_closed() || !is_kept(&run);
        let recovered = recovery::recover(&run.record.journal, wanted, &mut |done, total| {
            bar.show("reading the earlier journal", done, total, SHOWN_FROM_BYTES);
        });
        match recovered {
            Ok(found) => {
                let recovery::Recovered { recovery, fold, told, warned } = found;
                Ok(Self { run, recovery, fold, told, warned })
            }
            Err(JournalError::Locked(_)) => Err(format!(
                "error: run {} (process {}) trades this account now\nhelp: stop it first; two \
                 engines must not share an account",
                run.record.id, run.record.pid
            )
            .into()),
            Err(e) => Err(format!("error: the journal of run {}: {e}", run.record.id).into()),
        }
    }

    /// How its journal was read, where that is worth a word.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        self.told.as_ref().map(|told| format!("the journal of run {}: {told}", self.run.record.id))
    }

    /// What a person should know, as sentences.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let id = &self.run.record.id;
        let warned = self.warned.iter().map(|why| format!("the journal of run {id}: {why}"));
        let mut notes: Vec<String> = warned.collect();
        if let Some(cut) = &self.recovery.cut {
            let torn = self.recovery.found.torn_tail.is_some();
            notes.push(format!(
                "run {id} did not close its journal: {} records are there; {} {} at {}",
                self.recovery.found.records,
                if torn { "a torn tail was cut from" } else { "the end was sealed in" },
                cut.file.display(),
                cut.offset
            ));
        }
        let found = &self.recovery.found;
        if found.unsynced > 0 || found.lost_unsynced.is_some() {
            let lost = if found.lost_unsynced.is_some() { ", others are lost" } else { "" };
            notes.push(format!(
                "a sync of the journal of run {id} failed: {} records behind it are not relied \
                 on{lost}; the venue is asked instead",
                found.unsynced
            ));
        }
        if !self.recovery.found.is_sound() {
            notes.push(format!("the journal of run {id} is damaged; its account was reconciled"));
        }
        notes
    }

    /// Refuses to trade `account` over a damaged journal that nobody has looked at.
    ///
    /// # Errors
    /// The refusal, naming file and offset.
    pub fn permit(&self, account: &str) -> Result<(), PolicyRefusal> {
        let found = &self.recovery.found;
        if found.is_sound() || self.run.is_reconciled_for(account) {
            return Ok(());
        }
        let damage = found.damage.first().map_or_else(
            || format!("{}: {} records are missing", self.journal().display(), found.missing()),
            ToString::to_string,
        );
        Err(PolicyRefusal(format!(
            "error: the journal of run {} is damaged: {damage}\nhelp: what that run did cannot \
             be told from its journal alone; `bot4 run --reconcile-only` with this configuration \
             cancels its open orders, compares the account with the venue and allows the next \
             start",
            self.run.record.id
        )))
    }

    /// The accounts it traded.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.run.record.account
    }

    /// What it has of `account` has not been compared with the venue since that run.
    #[must_use]
    pub fn is_unsettled(&self, account: &str) -> bool {
        self.run.is_unsettled_for(account)
    }

    /// The run's name and where its journal lies.
    #[must_use]
    pub fn id_and_journal(&self) -> (&str, &Path) {
        (&self.run.record.id, self.journal())
    }

    /// What its records say.
    ///
    /// # Errors
    /// When they were not read yet, and cannot be.
    pub fn fold(&self) -> std::io::Result<Cow<'_, Fold>> {
        match &self.fold {
            Some(fold) => Ok(Cow::Borrowed(fold)),
            None => recovery::whole(self.journal()).map(Cow::Owned),
        }
    }

    /// Parent orders that it left unfinished, as `bot4 order list` tells them.
    #[must_use]
    pub fn unfinished_parents(&self) -> Vec<Value> {
        let Some((fold, (core, _))) = self.fold.as_ref().and_then(|f| Some((f, f.risk()?))) else {
            return Vec::new();
        };
        let (table, run) = (core.ledger().table(), &self.run.record.id);
        fold.parents().unfinished().map(|report| parents::to_json(&report, table, run)).collect()
    }

    fn journal(&self) -> &Path {
        &self.run.record.journal
    }

    /// What it wrote about itself.
    #[must_use]
    pub const fn record(&self) -> &RunRecord {
        &self.run.record
    }

    /// How sound its journal was found.
    #[must_use]
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// It ended in order, compared with its venues and equal.
    #[must_use]
    pub fn ended_in_order(&self) -> bool {
        self.run.is_closed()
    }

    /// Marks the run as compared with the venues in `settled`.
    ///
    /// # Errors
    /// The disk's.
    pub fn mark(&self, settled: &Settled) -> std::io::Result<()> {
        let asked: Vec<&str> = settled.asked.iter().map(String::as_str).collect();
        self.run.mark_reconciled(&asked, &settled.to_json())
    }
}

/// What `run` reached lies in the state of its account.
fn is_kept(run: &EarlierRun) -> bool {
    let Some(path) = account_state::path_of(&run.record.account) else { return true };
    matches!(AccountState::read(&path), Ok(Some(state)) if state.run == run.record.id)
}

/// A progress bar on standard error, on a terminal only, and only when there is much to read.
#[derive(Default)]
pub struct Bar {
    bar: std::cell::OnceCell<ProgressBar>,
}

impl Bar {
    /// Shows `done` of `total` bytes once `total` is `from` or more.
    pub fn show(&self, what: &'static str, done: u64, total: u64, from: u64) {
        if total < from || !std::io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let style = ProgressStyle::with_template(
                "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            );
            ProgressBar::new(total)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(what)
        });
        bar.set_position(done);
        if done >= total {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
