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
//! **Money that comes or goes** between two runs is neither profit nor drawdown. Where the last
//! run's balances were compared with the venue's and equal, what differs at the next start came
//! from or went elsewhere: peak and day open move by its worth. Where they were not, it cannot be
//! told apart from a loss: the peak stays, and a person is told.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bot4_journal::hash::Fnv128;
use bot4_risk::{EquityStart, RiskCore};
use bot4_types::instrument::Amount;
use bot4_types::{AssetId, ControlMode, HeldPosition, InstrumentTable, Qty, StrategyId, Wall};
use serde::{Deserialize, Serialize};

use super::account_sets;
use super::history;
use super::outcome::Opening;
use super::start_mode::{self, ModeRow};
use super::takeover::Takeover;
use crate::config::{Config, StrategyConfig};
use crate::operator::latch::folder_of;
use crate::recovery::parents;
use crate::replay::shapes::big;

/// Version of the file.
const FORMAT: u32 = 1;

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
    /// What strategies hold.
    pub positions: Vec<PositionRow>,
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
    /// The control mode; the configuration's where none is said.
    pub mode: Option<ControlMode>,
    /// Which mode that is and why, as a sentence.
    pub mode_told: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
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
            positions,
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

    /// What the next run starts from: its account holds `balances` of `table`'s assets, and its
    /// strategies are of these `kinds`.
    #[must_use]
    pub fn past(
        &self,
        table: &InstrumentTable,
        asset: AssetId,
        balances: &[(AssetId, Amount)],
        kinds: &[&str],
        wall: Wall,
    ) -> Past {
        let mut past = Past::default();
        past.equity.wall = wall;
        let name = table.asset_name(asset);
        if name == self.asset {
            let start = &mut past.equity;
            (start.peak, start.day, start.day_open) = (self.peak, self.day, self.day_open);
            let flows = self.flows(table, balances);
            match (flows.is_empty(), self.settled) {
                (true, _) => {}
                (false, true) => {
                    past.notes.push(format!("since run {}: {}", self.run, told(&flows, table)));
                    past.equity.flows = flows;
                }
                (false, false) => past.notes.push(format!(
                    "balances are not those of run {} and cannot be explained: {}; the peak of \
                     equity stays as it was",
                    self.run,
                    told(&flows, table)
                )),
            }
        } else {
            past.notes.push(format!(
                "the peak of equity was counted in {}, this run counts in {name}: it begins anew",
                self.asset
            ));
        }
        for row in &self.positions {
            match row.held(table, kinds) {
                Some(held) => past.held.push(held),
                None => past.notes.push(format!(
                    "{} held {} units of {}: no strategy takes that over, it has no stop",
                    row.strategy, row.qty, row.symbol
                )),
            }
        }
        past
    }

    /// What came or went, by asset of `table`.
    fn flows(
        &self,
        table: &InstrumentTable,
        balances: &[(AssetId, Amount)],
    ) -> Vec<(AssetId, Amount)> {
        let now = |asset| balances.iter().filter(|b| b.0 == asset).map(|b| b.1).sum::<Amount>();
        let assets = (0..table.assets_len()).map(|a| AssetId(a as u8));
        let flow = |asset: AssetId| {
            // An asset that the last run did not know: what it held is not known either.
            let before = self.balances.get(&table.asset_label(asset))?;
            Some((asset, now(asset).saturating_sub(before.0))).filter(|f| f.1 != 0)
        };
        assets.filter_map(flow).collect()
    }
}

impl PositionRow {
    fn held(&self, table: &InstrumentTable, kinds: &[&str]) -> Option<HeldPosition> {
        let same = kinds.get(usize::from(self.place)).is_some_and(|kind| *kind == self.strategy);
        let place = if same {
            usize::from(self.place)
        } else {
            kinds.iter().position(|kind| *kind == self.strategy)?
        };
        let i = table.labelled_as(&self.symbol)?;
        let fits = self.decimals == [i.price_decimals, i.qty_decimals];
        let (strategy, qty) = (StrategyId(place as u8), Qty(self.qty));
        fits.then_some(HeldPosition { strategy, instrument: i.id, qty, cost: self.cost })
    }
}

/// How the venue's account compares with the journal of the last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// It was not compared now: the run ended in order, or was reconciled before.
    NotAsked,
    /// The venue has exactly the fills of the journal.
    Complete,
    /// The venue has others beside them.
    Explained,
    /// The venue does not know fills of the journal.
    Unexplained,
}

/// What a run of `account` by `config` starts from. `earlier` are the newest runs of its accounts
/// whose journals are still there, newest first, and how the venues' accounts compare with them.
///
/// # Errors
/// When the account's state is damaged, or cannot be written.
pub fn past_of(
    account: &str,
    earlier: &[(&Takeover, Account)],
    opening: &Opening,
    config: &Config,
) -> Result<Past, Box<dyn std::error::Error>> {
    let strategies = &config.strategies;
    let wall = opening.wall;
    let fresh = Past { equity: EquityStart { wall, ..EquityStart::default() }, ..Past::default() };
    let Some(path) = path_of(account) else { return Ok(fresh) };
    let kinds = kinds_of(strategies);
    // Newest first: what an older one left does not stand in the way of a newer one's.
    for (run, compared) in earlier.iter().rev() {
        bring_up_to_date(run, *compared, &kinds)?;
    }
    let (state, carried) = account_sets::carried(account, AccountState::read(&path)?)?;
    let (info, asset) = (&opening.info.table, opening.equity_asset);
    let kept = state.as_ref().and_then(|s| s.mode.as_ref());
    // The one that is not explained, else the newest.
    let is_open = |(_, compared): &&(&Takeover, Account)| *compared == Account::Unexplained;
    let open = earlier.iter().find(is_open);
    let run = open.or(earlier.first()).map(|(run, _)| run.id_and_journal().0);
    let run = run.or(state.as_ref().map(|s| s.run.as_str())).unwrap_or_default();
    let explained = open.is_none();
    let (mode, told) = start_mode::choose(kept, run, config.risk.mode, explained);
    let past = state.as_ref().map(|s| s.past(info, asset, &opening.balances, &kinds, wall));
    let mut past = past.unwrap_or(fresh);
    past.notes.splice(0..0, carried);
    past.parents = earlier.iter().flat_map(|(run, _)| run.unfinished_parents()).collect();
    past.notes.extend(past.parents.iter().map(parents::sentence));
    Ok(Past { mode: Some(mode), mode_told: Some(told), ..past })
}

/// Writes what `run` reached into the state of its accounts, where it did not come to do so: its
/// journal leads there.
fn bring_up_to_date(
    run: &Takeover,
    compared: Account,
    kinds: &[&str],
) -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = path_of(run.account()) else { return Ok(()) };
    let (id, _) = run.id_and_journal();
    let complete = compared == Account::Complete;
    match AccountState::read(&path)? {
        Some(own) if own.run == id && complete && !own.settled => {
            AccountState { settled: true, ..own }.write(&path)?;
        }
        Some(own) if own.run == id => {}
        _ => {
            if let Some((core, configured)) = run.fold()?.risk() {
                let table = core.ledger().table();
                let found = AccountState::of(core, id, table, kinds, configured);
                AccountState { settled: complete, ..found }.write(&path)?;
            }
        }
    }
    account_sets::note(run.account(), id)
}

/// Keeps what `core` reached in `run` for the account's next run. The configuration asked for
/// `mode` when it began.
///
/// # Errors
/// The disk's.
pub fn keep(
    account: &str,
    core: &RiskCore,
    run: &str,
    strategies: &[StrategyConfig],
    mode: ControlMode,
    settled: bool,
) -> std::io::Result<()> {
    let Some(path) = path_of(account) else { return Ok(()) };
    let kinds = kinds_of(strategies);
    let state = AccountState::of(core, run, core.ledger().table(), &kinds, Some(mode));
    // Equity that was never known says nothing: what lies there stays, but for the mode.
    if core.equity().is_none() {
        return match AccountState::read(&path) {
            Ok(Some(old)) => AccountState { mode: state.mode, ..old }.write(&path),
            _ if state.mode.as_ref().is_some_and(ModeRow::differs) => state.write(&path),
            _ => Ok(()),
        };
    }
    AccountState { settled, ..state }.write(&path)
}

/// Whose positions are kept: the strategies', and what the operator's orders made.
fn kinds_of(strategies: &[StrategyConfig]) -> Vec<&'static str> {
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
mod tests {
    use super::*;
    use bot4_risk::units;
    use bot4_types::{Instrument, InstrumentId, Symbol};

    fn table() -> (InstrumentTable, AssetId) {
        let mut table = InstrumentTable::new();
        let name = |s| Symbol::new(s).expect("short");
        let [base, quote] = ["AAA", "USDT"].map(|a| table.asset(name(a)).expect("room"));
        let bare = Instrument::bare(InstrumentId(0), name("AAAUSDT"), 8);
        table.push(Instrument { base, quote, ..bare }).expect("room");
        (table, quote)
    }

    fn state() -> AccountState {
        let row = PositionRow {
            place: 1,
            strategy: "ema_cross".to_owned(),
            symbol: "AAAUSDT".to_owned(),
            qty: -7,
            cost: -700,
            decimals: [8, 8],
        };
        let balances = [("AAA", 5), ("USDT", 100)];
        AccountState {
            format: FORMAT,
            run: "1-2".to_owned(),
            asset: "USDT".to_owned(),
            peak: units(200),
            day: 20_000,
            day_open: units(150),
            balances: balances.map(|(a, n)| (a.to_owned(), AmountText(units(n)))).into(),
            settled: true,
            positions: vec![row],
            mode: Some(ModeRow::of(ControlMode::Manual, ControlMode::FullAuto)),
        }
    }

    const KINDS: &[&str] = &["market_maker", "ema_cross"];

    fn past(state: &AccountState, balances: [i64; 2], kinds: &[&str]) -> Past {
        let (table, quote) = table();
        let held = [(AssetId(0), units(balances[0])), (AssetId(1), units(balances[1]))];
        state.past(&table, quote, &held, kinds, Wall { origin_unix_ns: 3 })
    }

    #[test]
    fn it_reads_back_and_a_changed_byte_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("accounts/x/state");
        assert_eq!(AccountState::read(&path).expect("readable"), None);
        state().write(&path).expect("written");
        state().write(&path).expect("written over");
        assert_eq!(AccountState::read(&path).expect("readable"), Some(state()));
        let mut bytes = std::fs::read(&path).expect("there");
        for at in 0..bytes.len() - 1 {
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).expect("written");
            assert!(AccountState::read(&path).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        bytes.truncate(bytes.len() / 2);
        std::fs::write(&path, &bytes).expect("written");
        let error = AccountState::read(&path).expect_err("torn").to_string();
        assert!(error.contains("x/state") && error.contains("help:"), "{error}");
    }

    #[test]
    fn peak_day_and_positions_are_taken_over() {
        let past = past(&state(), [5, 100], KINDS);
        let e = &past.equity;
        assert_eq!((e.peak, e.day, e.day_open), (units(200), 20_000, units(150)));
        assert_eq!((e.wall.origin_unix_ns, e.flows.len(), past.notes.len()), (3, 0, 0));
        let held = past.held[0];
        assert_eq!((held.strategy, held.qty, held.cost), (StrategyId(1), Qty(-7), -700));
    }

    #[test]
    fn what_came_or_went_is_a_flow_only_where_the_last_balances_are_certain() {
        let moved = past(&state(), [6, 40], KINDS);
        let flows = vec![(AssetId(0), units(1)), (AssetId(1), units(-60))];
        assert_eq!(moved.equity.flows, flows);
        assert!(moved.notes[0].contains("AAA +1, USDT -60"), "{:?}", moved.notes);
        let torn = AccountState { settled: false, ..state() };
        let kept = past(&torn, [6, 40], KINDS);
        assert_eq!((kept.equity.peak, kept.equity.flows.len()), (units(200), 0));
        assert!(kept.notes[0].contains("cannot be explained"), "{:?}", kept.notes);
    }

    #[test]
    fn a_strategy_that_moved_keeps_its_position_and_one_that_is_gone_is_told() {
        let moved = past(&state(), [5, 100], &["ema_cross"]);
        assert_eq!(moved.held[0].strategy, StrategyId(0));
        let gone = past(&state(), [5, 100], &["market_maker"]);
        assert!(gone.held.is_empty() && gone.notes[0].contains("no stop"), "{:?}", gone.notes);
        let other = AccountState { asset: "EUR".to_owned(), ..state() };
        let other = past(&other, [5, 100], KINDS);
        assert!(other.equity.peak == 0 && other.notes[0].contains("begins anew"));
    }
}
