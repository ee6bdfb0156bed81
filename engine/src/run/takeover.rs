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
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::IsTerminal;
use std::path::Path;

use bot4_journal::{JournalError, Recovery};
use bot4_lanes::Clock;
use bot4_types::{InstrumentId, InstrumentTable};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::account_state::{self, AccountState};
use super::cold::{self, ColdError, ColdVenue};
use super::history::{self, EarlierRun};
use super::site::Site;
use crate::recovery::{self, Fold, parents};

/// Journals longer than this show their reading on a terminal.
const SHOWN_FROM_BYTES: u64 = 256 * 1024 * 1024;
/// Fills named one by one; more are counted.
const FILLS_NAMED_MAX: usize = 20;

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
        let wanted = run.is_unsettled() || !is_kept(&run);
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

    /// Compares what the journal knows with the venues that it shares with `sites`, and marks the
    /// run as reconciled there.
    ///
    /// # Errors
    /// When a venue cannot be asked or the journal not be read.
    pub fn settle(
        &self,
        clock: &Clock,
        sites: &[Site],
        table: &InstrumentTable,
        seed: u64,
    ) -> Result<Settled, Box<dyn std::error::Error>> {
        let record = &self.run.record;
        let fold = self.fold()?;
        let symbols = record.full_symbols();
        let named = |(i, id): (InstrumentId, u64)| Some((symbols.get(i.index())?.clone(), id));
        let mut known: BTreeSet<Fill> = fold.fills().filter_map(named).collect();
        let (mut venue, mut open) = (BTreeSet::new(), 0);
        let at = |name: &str| sites.iter().find(|site| site.venue().name() == name);
        let mut asked = Vec::new();
        for name in record.venues() {
            let Some(site) = at(name) else { continue };
            let mut cold = cold::open(clock, &site.access, site.venue(), seed)?;
            let own = table.seen_from(site.id);
            venue.append(&mut venue_fills(&mut *cold, &own, name, record.start_ms)?);
            open += cold.open_orders(&own)?.len() as u64;
            asked.push(name);
        }
        let is_asked = |(symbol, _): &Fill| asked.iter().any(|name| is_at(symbol, name));
        known.retain(is_asked);
        let told = |fills: BTreeSet<Fill>| -> Vec<Fill> {
            fills.into_iter().map(|(symbol, id)| (record.told(&symbol), id)).collect()
        };
        let settled = Settled {
            run: self.run.record.id.clone(),
            journal: self.recovery.found.to_json(),
            cut_at: self.recovery.cut.as_ref().map(|c| (c.file.display().to_string(), c.offset)),
            approved: fold.approved(),
            unfinished: fold.unfinished().len() as u64,
            fills_journal: known.len() as u64,
            fills_venue: venue.len() as u64,
            not_in_journal: told(&venue - &known),
            not_at_venue: told(&known - &venue),
            open_orders: open,
        };
        self.run.mark_reconciled(&asked, &settled.to_json())?;
        Ok(settled)
    }
}

/// A fill: the instrument as `venue:symbol`, and the venue's trade id.
type Fill = (String, u64);

/// What `run` reached lies in the state of its account.
fn is_kept(run: &EarlierRun) -> bool {
    let Some(path) = account_state::path_of(&run.record.account) else { return true };
    matches!(AccountState::read(&path), Ok(Some(state)) if state.run == run.record.id)
}

/// `symbol`, as `venue:symbol`, is one of `venue`.
fn is_at(symbol: &str, venue: &str) -> bool {
    symbol.split_once(':').is_some_and(|(of, _)| of == venue)
}

fn venue_fills(
    cold: &mut dyn ColdVenue,
    table: &InstrumentTable,
    venue: &str,
    start_ms: i64,
) -> Result<BTreeSet<Fill>, ColdError> {
    let mut fills = BTreeSet::new();
    for instrument in table.own() {
        let symbol = &instrument.symbol;
        for trade in cold.trades_since(symbol, start_ms, table)? {
            fills.insert((format!("{venue}:{symbol}"), trade.trade_id));
        }
    }
    Ok(fills)
}

/// What the comparison with the venue gave.
#[derive(Clone, Debug)]
pub struct Settled {
    run: String,
    journal: Value,
    cut_at: Option<(String, u64)>,
    approved: u64,
    unfinished: u64,
    fills_journal: u64,
    fills_venue: u64,
    not_in_journal: Vec<Fill>,
    not_at_venue: Vec<Fill>,
    open_orders: u64,
}

impl Settled {
    /// Nothing is open and every fill of the journal is one of the venue's.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.open_orders == 0 && self.not_at_venue.is_empty()
    }

    /// The venue has exactly the fills of the journal: what the account held is certain.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_explained() && self.not_in_journal.is_empty()
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "run": self.run, "journal": self.journal,
            "cut": self.cut_at.as_ref().map(|(f, at)| json!({"file": f, "offset": at})),
            "orders": {"approved": self.approved, "unfinished": self.unfinished,
                       "open_at_venue": self.open_orders},
            "fills": {"journal": self.fills_journal, "venue": self.fills_venue,
                      "not_in_journal": named(&self.not_in_journal),
                      "not_at_venue": named(&self.not_at_venue)},
            "explained": self.is_explained(),
        })
    }

    /// For a person.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut out = vec![format!(
            "run {}: {} orders approved, {} without a known end; fills: {} in its journal, {} at \
             the venue since it began",
            self.run, self.approved, self.unfinished, self.fills_journal, self.fills_venue
        )];
        if !self.not_in_journal.is_empty() {
            let n = self.not_in_journal.len();
            out.push(format!(
                "{n} fills at the venue are not in the journal (they happened after its end, or \
                 another program traded); balances are taken from the venue"
            ));
        }
        if !self.not_at_venue.is_empty() {
            let n = self.not_at_venue.len();
            out.push(format!("{n} fills of the journal are not at the venue: a person must look"));
        }
        out
    }
}

fn named(fills: &[Fill]) -> Value {
    let mut by_symbol: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (symbol, id) in fills.iter().take(FILLS_NAMED_MAX) {
        by_symbol.entry(symbol).or_default().push(*id);
    }
    json!({ "count": fills.len(), "trade_ids": by_symbol })
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
