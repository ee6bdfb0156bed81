//! An account may be traded alone by one run and together with others by the next. What a run keeps
//! (peak, mode, positions) belongs to its set of accounts; here is which set traded an account
//! last, and what of that the next run takes over.
//!
//! ```text
//! accounts/<account at a venue>/last.json   the set and the run that traded it last
//! ```
//! Positions come from whoever traded the account last, and with them the tighter control mode.
//! Balances are those that it left; peak and day open stay.

use std::path::PathBuf;

use bot4_types::ControlMode;
use serde::{Deserialize, Serialize};

use super::account_state::{AccountState, PositionRow, StateError, path_of};
use super::gap::GapRow;
use super::history::{accounts_in, lives_on};
use super::start_mode::{ModeRow, named};
use crate::operator::latch::folder_of;

const FILE: &str = "last.json";

/// Who traded an account last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    /// The set of accounts.
    account: String,
    /// The run.
    run: String,
}

fn file_of(member: &str) -> PathBuf {
    folder_of(member).join(FILE)
}

fn last_of(member: &str) -> Result<Option<Last>, StateError> {
    let path = file_of(member);
    let wrong = |what: String| StateError { path: path.clone(), what };
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|e| wrong(e.to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(wrong(e.to_string())),
    }
}

/// When `run` began, by its name.
fn began(run: &str) -> u64 {
    run.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(0)
}

/// Keeps that `run` traded each account in `account`, unless a later one is there.
///
/// # Errors
/// The disk's, or a file that is not what was written.
pub fn note(account: &str, run: &str) -> Result<(), Box<dyn std::error::Error>> {
    if !lives_on(account) {
        return Ok(());
    }
    for member in accounts_in(account) {
        if last_of(member)?.is_some_and(|last| began(&last.run) >= began(run)) {
            continue;
        }
        let last = Last { account: account.to_owned(), run: run.to_owned() };
        let path = file_of(member);
        let part = path.with_extension("part");
        std::fs::create_dir_all(folder_of(member))?;
        std::fs::write(&part, serde_json::to_string(&last)?)?;
        std::fs::rename(&part, &path)?;
    }
    Ok(())
}

/// What the next run of `account` starts from, whose own last state is `own`, with what other sets
/// did to its accounts since; and that as sentences.
///
/// # Errors
/// A state that is damaged.
pub fn carried(
    account: &str,
    own: Option<AccountState>,
) -> Result<(Option<AccountState>, Vec<String>), StateError> {
    let mut others = Vec::new();
    for member in accounts_in(account) {
        let Some(last) = last_of(member)?.filter(|last| last.account != account) else { continue };
        let Some(path) = path_of(&last.account) else { continue };
        let Some(other) = AccountState::read(&path)? else { continue };
        others.push((member, last, other));
    }
    Ok(merged(account, own, &others))
}

/// `own` with what the last set of each account did to it: its account at a venue, who that was,
/// and the state that it left.
fn merged(
    account: &str,
    own: Option<AccountState>,
    others: &[(&str, Last, AccountState)],
) -> (Option<AccountState>, Vec<String>) {
    let (mut state, mut notes) = (own, Vec::new());
    for (member, last, other) in others {
        let venue = member.split(':').next().unwrap_or_default();
        let state = state.get_or_insert_with(|| AccountState {
            positions: Vec::new(),
            late: Vec::new(),
            strays: Vec::new(),
            stopped: Vec::new(),
            balances: Default::default(),
            peak: 0,
            day: 0,
            day_open: 0,
            settled: false,
            ..other.clone()
        });
        state.positions.retain(|row| plain(&row.symbol, account, venue).is_none());
        let told = |row: &PositionRow| {
            let symbol = plain(&row.symbol, &last.account, venue)?;
            Some(PositionRow { symbol: labelled(symbol, account, venue), ..row.clone() })
        };
        state.positions.extend(other.positions.iter().filter_map(told));
        let renamed = |label: &str| {
            let symbol = plain(label, &last.account, venue)?;
            Some(labelled(symbol, account, venue))
        };
        let gap = |row: &GapRow| {
            let fee_asset = renamed(&row.fee_asset).unwrap_or_default();
            Some(GapRow { symbol: renamed(&row.symbol)?, fee_asset, ..row.clone() })
        };
        state.late.retain(|row| plain(&row.symbol, account, venue).is_none());
        state.late.extend(other.late.iter().filter_map(gap));
        state.strays.retain(|row| plain(&row.symbol, account, venue).is_none());
        state.strays.extend(other.strays.iter().filter_map(gap));
        state.stopped.retain(|label| plain(label, account, venue).is_none());
        state.stopped.extend(other.stopped.iter().filter_map(|label| renamed(label)));
        state.balances.retain(|label, _| plain(label, account, venue).is_none());
        let held = other.balances.iter().filter_map(|(a, n)| Some((renamed(a)?, *n)));
        state.balances.extend(held);
        state.unexplained = state.unexplained.take().or_else(|| other.unexplained.clone());
        state.settled = false;
        state.mode = tighter(state.mode.take(), other.mode.clone());
        notes.push(format!(
            "{venue} was traded by run {} in another set of venues: its positions and the tighter \
             control mode are taken over; the peak of equity is not",
            last.run
        ));
    }
    (state, notes)
}

/// `label` in a run of `account` without its venue, if it is one of `venue`.
fn plain<'a>(label: &'a str, account: &str, venue: &str) -> Option<&'a str> {
    match label.split_once(':') {
        Some((of, symbol)) => (of == venue).then_some(symbol),
        // The only venue of its run.
        None => (accounts_in(account).count() == 1).then_some(label),
    }
}

fn labelled(symbol: &str, account: &str, venue: &str) -> String {
    match accounts_in(account).count() {
        1 => symbol.to_owned(),
        _ => format!("{venue}:{symbol}"),
    }
}

fn tighter(one: Option<ModeRow>, other: Option<ModeRow>) -> Option<ModeRow> {
    let (Some(a), Some(b)) = (&one, &other) else { return one.or(other) };
    let held = |row: &ModeRow| named(&row.held).unwrap_or(ControlMode::Emergency) as u8;
    if held(b) < held(a) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn labels_change_with_the_set() {
        let (one, two) = ("binance:1", "binance:1+okx:2");
        assert_eq!(plain("BTCUSDT", one, "binance"), Some("BTCUSDT"));
        assert_eq!(plain("okx:BTC-USDT", two, "okx"), Some("BTC-USDT"));
        assert_eq!(plain("okx:BTC-USDT", two, "binance"), None);
        assert_eq!(labelled("BTCUSDT", one, "binance"), "BTCUSDT");
        assert_eq!(labelled("BTCUSDT", two, "binance"), "binance:BTCUSDT");
        assert!(began("1796000499252-8254") > began("1796000429046-9999"));
    }

    const MEMBERS: [&str; 3] = ["binance:1", "bybit:2", "okx:3"];

    fn state(positions: Vec<PositionRow>, mode: ControlMode) -> AccountState {
        AccountState {
            format: 1,
            run: "1".into(),
            asset: "USDT".into(),
            peak: 9,
            day: 1,
            day_open: 8,
            settled: true,
            positions,
            mode: Some(ModeRow::of(mode, ControlMode::FullAuto)),
            ..AccountState::default()
        }
    }

    proptest! {
        /// Runs of any sets of venues, one after the other: each begins with exactly what was left
        /// at its venues, whoever left it there, and with no looser mode than any of them.
        #[test]
        fn positions_and_modes_go_with_their_venue(
            runs in proptest::collection::vec((1usize..8, any::<u8>(), 1u8..4), 1..24),
        ) {
            let mut held: BTreeMap<(&str, u8), i64> = BTreeMap::new();
            let mut modes: BTreeMap<&str, ControlMode> = BTreeMap::new();
            let mut states: BTreeMap<String, AccountState> = BTreeMap::new();
            let mut lasts: BTreeMap<&str, String> = BTreeMap::new();
            for (n, (set, fills, mode)) in runs.into_iter().enumerate() {
                let members: Vec<_> =
                    (0..3).filter(|m| set & 1 << m > 0).map(|m| MEMBERS[m]).collect();
                let account = members.join("+");
                let foreign = members.iter().filter_map(|member| {
                    let other = lasts.get(member).filter(|other| **other != account)?;
                    let last = Last { account: other.clone(), run: n.to_string() };
                    Some((*member, last, states[other].clone()))
                });
                let others: Vec<_> = foreign.collect();
                let (begun, notes) = merged(&account, states.get(&account).cloned(), &others);
                prop_assert_eq!(notes.len(), others.len());
                let label = |member: &str| {
                    let venue = member.split(':').next().unwrap_or_default();
                    labelled("BTC", &account, venue)
                };
                let mut found: Vec<_> = begun.iter().flat_map(|s| &s.positions)
                    .map(|row| (row.symbol.clone(), row.place, row.qty)).collect();
                found.sort();
                let mut expected: Vec<_> = held.iter()
                    .filter(|((member, _), _)| members.contains(member))
                    .map(|((member, place), qty)| (label(member), *place, *qty)).collect();
                expected.sort();
                prop_assert_eq!(found, expected, "run {} of {}", n, &account);
                let tightest = members.iter().filter_map(|m| modes.get(m));
                let tightest = tightest.min_by_key(|m| **m as u8);
                let begun_mode = begun.and_then(|s| s.mode).and_then(|m| named(&m.held));
                prop_assert!(begun_mode.zip(tightest).is_none_or(|(b, t)| b as u8 <= *t as u8));
                // It trades: some of the positions change, and it ends in a mode.
                for (m, member) in members.iter().enumerate() {
                    let qty = i64::from(fills) * 7 + m as i64;
                    held.insert((*member, fills % 2), qty);
                }
                let mode = ControlMode::from_raw(mode).unwrap_or(ControlMode::FullAuto);
                let rows = held.iter().filter(|((member, _), _)| members.contains(member));
                let rows = rows.map(|((member, place), qty)| PositionRow {
                    place: *place,
                    strategy: "market_maker".into(),
                    symbol: label(member),
                    qty: *qty,
                    cost: i128::from(*qty) * 3,
                    decimals: [2, 5],
                });
                states.insert(account.clone(), state(rows.collect(), mode));
                for member in members {
                    modes.insert(member, mode);
                    lasts.insert(member, account.clone());
                }
            }
        }
    }

    #[test]
    fn the_tighter_mode_holds() {
        let row = |held| Some(ModeRow::of(held, ControlMode::FullAuto));
        let (full, manual) = (row(ControlMode::FullAuto), row(ControlMode::Manual));
        assert_eq!(tighter(full.clone(), manual.clone()), manual);
        assert_eq!(tighter(manual.clone(), full.clone()), manual);
        assert_eq!((tighter(None, full.clone()), tighter(None, None)), (full, None));
    }
}
