//! What an account keeps from run to run: the peak of its equity, its day, its control mode
//! ([`start_mode`]), and what its strategies hold.
//!
//! Without it a restart would forget a loss, and leave a position without its stop.
//!
//! One file an account, `$XDG_STATE_HOME/bot4/accounts/<account>/state`: a line of JSON and a line
//! with its checksum, beside the latch. It is written whole, synced and renamed, so that a crash
//! leaves the old one or the new one. A run writes it when it ends, from what risk reached. The run
//! that died before that left a journal, which leads to the same state: the next start replays it.
//!
//! **Fills in between** ([`super::gap`]) are added to it by the comparison of the next start.
//!
//! **Money that comes or goes** between two runs is neither profit nor drawdown, and no fill
//! explains it. As while a run goes on, what it concerns stands still until a person accepts it;
//! where the configuration says that money may come and go, peak and day open move by its worth,
//! unless the last run's balances were never certain: then the peak stays, and a person is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bot4_journal::hash::Fnv128;
use bot4_risk::{EquityStart, Recovered, RiskCore};
use bot4_types::instrument::Amount;
use bot4_types::{
    AssetId, ControlMode, HeldPosition, Instrument, InstrumentId, InstrumentTable, Qty, StrategyId,
    Wall,
};
use serde::{Deserialize, Serialize};

use super::account_sets;
use super::gap::{GapRow, LATE_MAX, place_of};
use super::history;
use super::outcome::Opening;
use super::resumed;
use super::start_mode::{self, ModeRow};
use super::takeover::Takeover;
use crate::config::{Config, StrategyConfig};
use crate::operator::latch::{Latch, folder_of};
use crate::recovery::parents;
use crate::replay::shapes::big;

/// Version of the file.
pub(super) const FORMAT: u32 = 1;
/// Fills of nobody that are told one by one.
const STRAYS_TOLD: usize = 20;

/// The file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountState {
    /// [`FORMAT`].
    pub format: u32,
    /// The run whose end this is.
    pub run: String,
    /// The reporting asset of the amounts below.
    pub asset: String,
    /// Highest equity, 10^-16.
    #[serde(with = "big")]
    pub peak: Amount,
    /// UTC day of `day_open`, days since 1970-01-01.
    pub day: i64,
    /// Equity at the beginning of that day, 10^-16.
    #[serde(with = "big")]
    pub day_open: Amount,
    /// Balances as risk knew them, 10^-16, by asset.
    pub balances: BTreeMap<String, AmountText>,
    /// They were compared with the venue's and equal.
    pub settled: bool,
    /// When the run asked each venue at its end, by the venue's clock, Unix ms: fills until then
    /// are in here. Empty where the venues had something else: only the run's journal tells which
    /// of their fills it had heard of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked_ms: BTreeMap<String, i64>,
    /// What strategies hold, by what risk had booked.
    pub positions: Vec<PositionRow>,
    /// Fills of our orders beside that, found at the venue later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<GapRow>,
    /// Fills at the venue that are nobody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<GapRow>,
    /// Instruments that stood still because a person has to look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<String>,
    /// The run whose journal does not explain the account; nobody has looked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexplained: Option<String>,
    /// The control mode; states of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeRow>,
}

/// 128 bits as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AmountText(#[serde(with = "big")] pub Amount);

/// A position in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionRow {
    /// The strategy's place in the configuration.
    pub place: u8,
    /// Its kind.
    pub strategy: String,
    /// The instrument.
    pub symbol: String,
    /// Net quantity in the instrument's units.
    pub qty: i64,
    /// What it cost, in units of 10^-(price + quantity decimals).
    #[serde(with = "big")]
    pub cost: i128,
    /// Decimals of price and quantity: a venue may change them.
    pub decimals: [u8; 2],
}

/// What a run starts from.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Of the equity curve.
    pub equity: EquityStart,
    /// Of its strategies.
    pub held: Vec<HeldPosition>,
    /// What the start found out beside that.
    pub recovered: Recovered,
    /// The control mode; the configuration's where none is said.
    pub mode: Option<ControlMode>,
    /// Which mode that is and why, as a sentence.
    pub mode_told: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What a person said of the last stop while no engine ran, as a sentence.
    pub resumed: Option<String>,
    /// Parent orders that the last runs left unfinished, as `bot4 order list` tells them.
    pub parents: Vec<serde_json::Value>,
}

/// The file cannot be used: a person must look.
#[derive(Debug)]
pub struct StateError {
    pub(super) path: PathBuf,
    pub(super) what: String,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error: the account's state {}: {}\nhelp: it holds the peak that drawdown is counted \
             from; restore it from a backup, or remove it to begin anew with today's equity",
            self.path.display(),
            self.what
        )
    }
}

impl std::error::Error for StateError {}

/// The file of `account`; none where the account ends with its run.
#[must_use]
pub fn path_of(account: &str) -> Option<PathBuf> {
    history::lives_on(account).then(|| folder_of(account).join("state"))
}

impl AccountState {
    /// The state that `core` reached in `run`, over `table` and strategies of these `kinds`. The
    /// configuration asked for the mode `configured` when the run began.
    #[must_use]
    pub fn of(
        core: &RiskCore,
        run: &str,
        table: &InstrumentTable,
        kinds: &[&str],
        configured: Option<ControlMode>,
    ) -> Self {
        let (ledger, point) = (core.ledger(), core.equity_curve());
        let assets = (0..table.assets_len()).map(|a| AssetId(a as u8));
        let balance = |a| (table.asset_label(a), AmountText(ledger.expected_balance(a)));
        let still = |i: &&Instrument| core.stands_still(i.id);
        let mut positions = Vec::new();
        for (place, kind) in kinds.iter().enumerate() {
            for i in table.all() {
                let Some(exposure) = ledger.exposure(StrategyId(place as u8), i.id) else {
                    continue;
                };
                let qty = ledger.position(StrategyId(place as u8), i.id).0;
                if qty != 0 {
                    positions.push(PositionRow {
                        place: place as u8,
                        strategy: (*kind).to_owned(),
                        symbol: table.label(i),
                        qty,
                        cost: exposure.position.cost,
                        decimals: [i.price_decimals, i.qty_decimals],
                    });
                }
            }
        }
        Self {
            format: FORMAT,
            run: run.to_owned(),
            asset: table.asset_name(core.quote()).to_owned(),
            peak: point.peak,
            day: point.day,
            day_open: point.day_open,
            balances: assets.map(balance).collect(),
            settled: false,
            asked_ms: BTreeMap::new(),
            positions,
            late: Vec::new(),
            strays: Vec::new(),
            stopped: table.all().iter().filter(still).map(|i| table.label(i)).collect(),
            unexplained: None,
            mode: core.mode_configured().or(configured).map(|c| ModeRow::of(core.mode(), c)),
        }
    }

    /// Reads the file at `path`; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or is not what was written.
    pub fn read(path: &Path) -> Result<Option<Self>, StateError> {
        let wrong = |what: String| StateError { path: path.to_owned(), what };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(wrong(e.to_string())),
        };
        let (line, sum) = text.trim_end().split_once('\n').unwrap_or_default();
        if sum != checksum(line) {
            return Err(wrong("its checksum does not fit".to_owned()));
        }
        let state: Self = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
        if state.format != FORMAT {
            let (theirs, ours) = (state.format, FORMAT);
            return Err(wrong(format!("it has format {theirs}, this program reads {ours}")));
        }
        Ok(Some(state))
    }

    /// Writes the file at `path`: whole or not at all, and on the disk when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let line = serde_json::to_string(self)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let part = path.with_extension("part");
        let mut file = std::fs::File::create(&part)?;
        file.write_all(format!("{line}\n{}\n", checksum(&line)).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        std::fs::File::open(folder)?.sync_all()
    }

    /// What the next run starts from: its account holds `balances` of `table`'s assets, its
    /// strategies are of these `kinds`; it will `follow` the venue where nobody explains a balance.
    #[must_use]
    pub fn past(
        &self,
        table: &InstrumentTable,
        asset: AssetId,
        balances: &[(AssetId, Amount)],
        kinds: &[&str],
        (wall, follow): (Wall, bool),
    ) -> Past {
        let mut past = Past::default();
        past.equity.wall = wall;
        let name = table.asset_name(asset);
        let counted = name == self.asset;
        if counted {
            let start = &mut past.equity;
            (start.peak, start.day, start.day_open) = (self.peak, self.day, self.day_open);
        } else if !self.asset.is_empty() {
            past.notes.push(format!(
                "the peak of equity was counted in {}, this run counts in {name}: it begins anew",
                self.asset
            ));
        }
        let flows = self.flows(table, balances);
        if !flows.is_empty() {
            let told = told(&flows, table);
            let run = &self.run;
            match (follow, self.settled && counted) {
                (true, true) => {
                    past.notes.push(format!("since run {run}: {told}"));
                    past.equity.flows = flows;
                }
                (true, false) => past.notes.push(format!(
                    "balances are not those of run {run} and cannot be explained: {told}; the \
                     peak of equity stays as it was"
                )),
                (false, _) => {
                    past.notes.push(format!(
                        "since run {run} the account has {told}, and no fill explains it: what it \
                         concerns stands still\nhelp: look at deposits, withdrawals and trades at \
                         the venue; `bot4 resume --instrument SYMBOL --reason \"...\"` accepts \
                         the balance of an instrument's base, `bot4 resume --reason \"...\"` all \
                         others; transfers = \"follow\" in [account] never asks"
                    ));
                    past.recovered.doubts = flows;
                }
            }
        }
        self.hold(&mut past, table, kinds);
        self.stop(&mut past, table, follow);
        past
    }

    /// Positions and late fills of strategies that are there.
    fn hold(&self, past: &mut Past, table: &InstrumentTable, kinds: &[&str]) {
        for row in &self.positions {
            match row.held(table, kinds) {
                Some(held) => past.held.push(held),
                None => past.notes.push(format!(
                    "{} held {} units of {}: no strategy takes that over, it has no stop",
                    row.strategy, row.qty, row.symbol
                )),
            }
        }
        let late = &mut past.recovered.late;
        for row in &self.late {
            match row.late(table, kinds) {
                Some(fill) => late.push(fill),
                None => past
                    .notes
                    .push(format!("{}: no strategy takes that over, it has no stop", row.told())),
            }
        }
        if late.len() > LATE_MAX {
            let older = late.drain(..late.len() - LATE_MAX).collect();
            let older = Recovered { late: older, ..Recovered::default() };
            past.held = older.held_after(&past.held);
        }
    }

    /// Instruments that stand still until a person has looked.
    fn stop(&self, past: &mut Past, table: &InstrumentTable, follow: bool) {
        let labels = self.strays.iter().map(|row| &row.symbol).chain(&self.stopped);
        let found = labels.filter_map(|label| table.labelled_as(label)).map(|i| i.id);
        let found: BTreeSet<InstrumentId> = found.filter(|_| !follow).collect();
        past.recovered.stopped = found.into_iter().collect();
        let mend = "help: look at the account's orders and trades at the venue; `bot4 resume \
                    --instrument SYMBOL --reason \"...\"` lets it trade";
        for row in self.strays.iter().take(STRAYS_TOLD) {
            past.notes.push(format!(
                "{}: it is of no order in a journal here{}",
                row.told(),
                if follow {
                    String::new()
                } else {
                    format!("; {} stands still\n{mend}", row.symbol)
                }
            ));
        }
        for label in self.stopped.iter().filter(|_| !follow) {
            past.notes.push(format!("{label} stood still when run {} ended\n{mend}", self.run));
        }
    }

    /// What came or went, by asset of `table`, beside all fills that are known.
    fn flows(
        &self,
        table: &InstrumentTable,
        balances: &[(AssetId, Amount)],
    ) -> Vec<(AssetId, Amount)> {
        let fills = self.late.iter().chain(&self.strays);
        let moved: Vec<(AssetId, Amount)> = fills.flat_map(|row| row.moved(table)).collect();
        let sum = |rows: &[(AssetId, Amount)], asset| -> Amount {
            rows.iter().filter(|row| row.0 == asset).map(|row| row.1).sum()
        };
        let assets = (0..table.assets_len()).map(|a| AssetId(a as u8));
        let flow = |asset: AssetId| {
            // An asset that the last run did not know: what it held is not known either.
            let before = self.balances.get(&table.asset_label(asset))?;
            let before = before.0.saturating_add(sum(&moved, asset));
            Some((asset, sum(balances, asset).saturating_sub(before))).filter(|f| f.1 != 0)
        };
        assets.filter_map(flow).collect()
    }
}

impl PositionRow {
    fn held(&self, table: &InstrumentTable, kinds: &[&str]) -> Option<HeldPosition> {
        let strategy = StrategyId(place_of(self.place, &self.strategy, kinds)?);
        let i = table.labelled_as(&self.symbol)?;
        let fits = self.decimals == [i.price_decimals, i.qty_decimals];
        let qty = Qty(self.qty);
        fits.then_some(HeldPosition { strategy, instrument: i.id, qty, cost: self.cost })
    }
}

/// What a run of `account` by `config` starts from; its earlier runs have been brought up to date.
///
/// # Errors
/// When the account's state is damaged.
pub fn past_of(
    account: &str,
    earlier: &[Takeover],
    opening: &Opening,
    config: &Config,
) -> Result<Past, Box<dyn std::error::Error>> {
    let wall = opening.wall;
    let fresh = Past { equity: EquityStart { wall, ..EquityStart::default() }, ..Past::default() };
    let Some(path) = path_of(account) else { return Ok(fresh) };
    let kinds = kinds_of(&config.strategies);
    let (state, carried) = account_sets::carried(account, AccountState::read(&path)?)?;
    let (info, asset) = (&opening.info.table, opening.equity_asset);
    let kept = state.as_ref().and_then(|s| s.mode.as_ref());
    // The one that is not explained, else the newest.
    let open = state.as_ref().and_then(|s| s.unexplained.as_deref());
    let run = open.or(state.as_ref().map(|s| s.run.as_str())).unwrap_or_default();
    let (mode, told) = start_mode::choose(kept, run, config.risk.mode, open.is_none());
    let how = (wall, config.account.follow);
    let past = state.as_ref().map(|s| s.past(info, asset, &opening.balances, &kinds, how));
    let mut past = past.unwrap_or(fresh);
    past.notes.splice(0..0, carried);
    if let Some(resumed) = Latch::resumed(account)? {
        resumed::take_up(&resumed, &mut past, info);
    }
    past.parents = earlier.iter().flat_map(Takeover::unfinished_parents).collect();
    past.notes.extend(past.parents.iter().map(parents::sentence));
    Ok(Past { mode: Some(mode), mode_told: Some(told), ..past })
}

/// How a run ended.
pub struct End<'a> {
    /// The run.
    pub run: &'a str,
    /// The control mode that the configuration asked for when it began.
    pub mode: ControlMode,
    /// It was compared with its venues and equal.
    pub settled: bool,
    /// When each venue was asked, by its clock, Unix ms.
    pub asked_ms: BTreeMap<String, i64>,
}

/// Keeps what `core` reached for the account's next run.
///
/// # Errors
/// The disk's.
pub fn keep(
    account: &str,
    core: &RiskCore,
    strategies: &[StrategyConfig],
    end: End<'_>,
) -> std::io::Result<()> {
    let Some(path) = path_of(account) else { return Ok(()) };
    let kinds = kinds_of(strategies);
    let table = core.ledger().table();
    let state = AccountState::of(core, end.run, table, &kinds, Some(end.mode));
    // Equity that was never known says nothing: what lies there stays, but for the mode.
    if core.equity().is_none() {
        return match AccountState::read(&path) {
            Ok(Some(old)) => AccountState { mode: state.mode, ..old }.write(&path),
            _ if state.mode.as_ref().is_some_and(ModeRow::differs) => state.write(&path),
            _ => Ok(()),
        };
    }
    let asked_ms = if end.settled { end.asked_ms } else { BTreeMap::new() };
    AccountState { settled: end.settled, asked_ms, ..state }.write(&path)
}

/// Whose positions are kept: the strategies', and what the operator's orders made.
pub(super) fn kinds_of(strategies: &[StrategyConfig]) -> Vec<&'static str> {
    strategies.iter().map(StrategyConfig::kind).chain(["operator"]).collect()
}

fn checksum(line: &str) -> String {
    let mut hash = Fnv128::default();
    hash.write(line.as_bytes());
    format!("{:032x}", hash.value())
}

fn told(flows: &[(AssetId, Amount)], table: &InstrumentTable) -> String {
    let one = |&(asset, amount): &(AssetId, Amount)| {
        let sign = if amount > 0 { "+" } else { "" };
        format!("{} {sign}{}", table.asset_label(asset), super::earned::amount_text(amount))
    };
    flows.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "account_state_tests.rs"]
mod tests;
