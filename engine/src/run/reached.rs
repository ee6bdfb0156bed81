//! The account's state where a run did not come to write it: its journal leads there, and the
//! venue's fills beyond its end.

use std::collections::BTreeSet;
use std::path::Path;

use bot4_journal::Reader;
use bot4_lanes::Clock;
use bot4_types::log::{Body as _, Reader as BodyReader};
use bot4_types::{ExecMsg, InstrumentId, LogKind, ReportKind};

use super::account_sets;
use super::account_state::{AccountState, FORMAT, StateError, kinds_of, path_of};
use super::gap::{self, GapRow};
use super::outcome::Opening;
use super::settle::{self, Ends, Settled, VenueFill};
use super::site::Site;
use super::takeover::Takeover;
use crate::config::Config;
use crate::recovery::Fold;

/// Compares the earlier runs with the venues and keeps what that gave, the oldest first: what an
/// older one left does not stand in the way of a newer one's. A run is marked as compared only
/// when the verdict lies in the account's state, so that a start that fails loses none. One that
/// ended in order and had no fill since is compared only where `all` are.
///
/// # Errors
/// When a venue cannot be asked, or the disk fails.
pub fn settle_all(
    config: &Config,
    clock: &Clock,
    sites: &[Site],
    earlier: &[Takeover],
    opening: &Opening,
    all: bool,
) -> Result<Vec<Settled>, Box<dyn std::error::Error>> {
    let (table, kinds) = (&opening.info.table, kinds_of(&config.strategies));
    let mut compared = Vec::new();
    for run in earlier.iter().rev() {
        let ends = ends_of(run)?;
        let (asks, declared) = ((config.seed, &ends), &config.account.declared);
        let quiet = !all && settle::is_quiet(run, clock, sites, table, asks)?;
        let compare = || settle::settle(run, clock, sites, table, asks, declared);
        let settled = if quiet { None } else { Some(compare()?) };
        bring_up_to_date(run, settled.as_ref(), &kinds)?;
        if let Some(settled) = settled {
            run.mark(&settled)?;
            compared.push(settled);
        }
    }
    compared.reverse();
    Ok(compared)
}

/// Writes what `run` reached into the state of its accounts, with what the comparison found beyond
/// that; `None`: nothing happened since its orderly end. Done again it changes nothing.
fn bring_up_to_date(
    run: &Takeover,
    settled: Option<&Settled>,
    kinds: &[&str],
) -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = path_of(run.account()) else { return Ok(()) };
    let (id, journal) = run.id_and_journal();
    let old = AccountState::read(&path)?;
    let wrote = old.as_ref().is_some_and(|own| wrote(own, run));
    if settled.is_some() || !wrote {
        // What it wrote at its end says all; else its journal does.
        let fold = run.fold()?;
        let reached = if wrote { None } else { fold.risk() };
        // Its own state is all there is, and nothing says which fills are in there.
        let in_doubt = !wrote && reached.is_none() && old.as_ref().is_some_and(|o| o.run == id);
        let heard = Heard::of(&fold, journal);
        let found = settled.filter(|_| !in_doubt);
        let (late, strays) = found.map(|s| split(s, &heard, kinds)).unwrap_or_default();
        let mut state = match reached {
            Some((core, configured)) => {
                let table = core.ledger().table();
                AccountState::of(core, id, table, kinds, configured)
            }
            // Or its journal does not say what it started from: what was known before it stays.
            None => old.unwrap_or(AccountState { format: FORMAT, ..AccountState::default() }),
        };
        gap::add(&mut state.late, late);
        gap::add(&mut state.strays, strays);
        if let Some(settled) = settled {
            let explained = settled.is_explained() && !in_doubt;
            state.unexplained = (!explained).then(|| id.to_owned()).or(state.unexplained);
            state.settled = explained && (wrote || reached.is_some());
        }
        state.write(&path)?;
    }
    account_sets::note(run.account(), id)
}

/// `state` is what `run` wrote at its end, equal to what every venue said.
fn wrote(state: &AccountState, run: &Takeover) -> bool {
    state.run == run.id_and_journal().0
        && run.record().venues().all(|venue| state.asked_ms.contains_key(venue))
}

/// When `run` wrote the account's state, by venue; empty where it did not, or the venues had more.
fn ends_of(run: &Takeover) -> Result<Ends, StateError> {
    let Some(path) = path_of(run.account()) else { return Ok(Ends::new()) };
    let state = AccountState::read(&path)?.filter(|state| wrote(state, run));
    Ok(state.map(|state| state.asked_ms).unwrap_or_default())
}

/// The venue's fills that nobody heard of: those of our orders, and those of nobody.
fn split(settled: &Settled, heard: &Heard<'_>, kinds: &[&str]) -> (Vec<GapRow>, Vec<GapRow>) {
    let (mut late, mut strays) = (Vec::new(), Vec::new());
    for fill in settled.fills.iter().filter(|fill| !fill.before_end && !heard.has(fill)) {
        match fill.strategy {
            Some(strategy) => {
                let kind = kinds.get(usize::from(strategy.0));
                let kind = kind.map_or_else(|| format!("strategy {}", strategy.0), |k| (*k).into());
                late.push(GapRow { holder: Some((strategy.0, kind)), ..fill.row.clone() });
            }
            None if fill.declared => {}
            None => strays.push(fill.row.clone()),
        }
    }
    (late, strays)
}

/// The trades that a run's risk lane was told of: booked, or another program's.
struct Heard<'a> {
    fold: &'a Fold,
    /// What risk took in before a record that led elsewhere, where there is one: its state is of
    /// that moment.
    first: Option<BTreeSet<(InstrumentId, u64)>>,
}

impl<'a> Heard<'a> {
    fn of(fold: &'a Fold, journal: &Path) -> Self {
        Self { fold, first: fold.is_broken().then(|| before_the_break(journal)) }
    }

    fn has(&self, fill: &VenueFill) -> bool {
        let Some(at) = fill.instrument else { return false };
        let (instrument, trade) = (InstrumentId(at as u16), fill.row.trade_id);
        let booked = match &self.first {
            Some(first) => first.contains(&(instrument, trade)),
            None => self.fold.is_booked(instrument, trade),
        };
        booked || (fill.strategy.is_none() && self.fold.is_foreign(trade))
    }
}

/// Fills that a replay of risk takes in before it fails.
fn before_the_break(journal: &Path) -> BTreeSet<(InstrumentId, u64)> {
    let (mut fold, mut booked) = (Fold::default(), BTreeSet::new());
    let records = Reader::open(journal).into_iter().flatten().flatten();
    for record in records.filter(|record| record.synced) {
        fold.take(&record);
        if fold.is_broken() {
            break;
        }
        let entry = &record.entry;
        if entry.kind == LogKind::Report as u8
            && let Some(ExecMsg::Order(r)) = ExecMsg::read(&mut BodyReader::over(entry.body()))
            && r.kind == ReportKind::Fill
        {
            booked.insert((r.instrument, r.trade_id));
        }
    }
    booked
}
