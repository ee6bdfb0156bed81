//! What a run starts from, in its journal: everything a replay needs to build the same agents.
//!
//! One JSON document on one line, cut into records of [`LogKind::Run`] on log lane
//! [`LOG_RUN`](crate::topology::LOG_RUN). The final newline says that none is missing. Amounts of
//! 128 bits are text. Keys that are not known are refused: a replay that ignored an input would
//! decide differently and blame the run.

use std::fmt;

use bot4_journal::hash::Fnv128;
use bot4_risk::breaker::BreakerLimits;
use bot4_risk::{RiskConfig, RiskLimits, ScopeLimits, Scopes};
use bot4_signals::Exits;
use bot4_types::instrument::TableError;
use bot4_types::log::BODY_MAX;
use bot4_types::{
    AssetId, ControlMode, Instrument, InstrumentTable, LogEntry, LogKind, Nanos, Symbol, VenueId,
};
use serde::{Deserialize, Serialize};

use super::carried::{EquityRow, Held, HeldRow, RecoveredRow};
use super::chain::inputs::ChainInputs;
use super::shapes::{BreakersText, InstrumentText, LimitsText, ScopeText};
use crate::config::Config;

/// Version of the document.
pub const FORMAT: u32 = 2;
/// Longest document taken in: well above what the log link holds.
const TEXT_MAX: usize = 1024 * 1024;

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInputs {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// Revision of the program.
    pub git: String,
    /// The run's name.
    pub run: String,
    /// Its number in client order ids.
    pub epoch: u32,
    /// FNV-1a of 128 bits over the configuration without endpoints and keys.
    pub config_hash: String,
    /// Seed of everything drawn.
    pub seed: u64,
    /// Strategies, the operator's account among them.
    pub strategies: usize,
    /// The last is the operator's.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub operator: bool,
    /// Asset names in the order of their ids.
    pub assets: Vec<String>,
    /// The venue of each asset; left out in a run of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asset_venues: Vec<u8>,
    /// Names of the venues; left out in a run of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub venues: Vec<String>,
    /// Instruments in the order of their ids.
    pub instruments: Vec<Row>,
    /// Id of the reporting asset.
    pub quote: u8,
    /// What was held at the start.
    pub balances: Vec<Held>,
    /// What the equity curve started from; journals of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equity: Option<EquityRow>,
    /// What strategies hold from earlier runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldRow>,
    /// What the start found out about the account beside that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<RecoveredRow>,
    /// The account's limits.
    #[serde(with = "LimitsText")]
    pub limits: RiskLimits,
    /// The limits of venue, strategies and instruments; rows without any are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<ScopeRow>,
    /// Who may increase risk at the start, by name.
    pub mode: String,
    /// What the configuration said of it, where that was something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_configured: Option<String>,
    /// When circuit breakers open.
    #[serde(with = "BreakersText")]
    pub breakers: BreakerLimits,
    /// What a person said of the last stop while no engine ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<String>,
    /// What the agents before risk started from, in a run that was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainInputs>,
}

/// An instrument in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(#[serde(with = "InstrumentText")] Instrument);

/// A row of limits in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeRow {
    /// `v` and 0 for the venue, `s` and the strategy's number, `i` and the instrument's.
    of: (char, u16),
    /// The limits.
    #[serde(with = "ScopeText")]
    limits: ScopeLimits,
}

impl ScopeRow {
    fn all(scopes: &Scopes) -> Vec<Self> {
        let rows = |kind, rows: &[ScopeLimits]| -> Vec<Self> {
            let row =
                |(n, limits): (usize, &ScopeLimits)| Self { of: (kind, n as u16), limits: *limits };
            rows.iter().enumerate().map(row).collect()
        };
        let all = [rows('v', &[scopes.venue]), rows('s', &scopes.strategies)];
        let all = all.into_iter().flatten().chain(rows('i', &scopes.instruments));
        all.filter(|row| row.limits != ScopeLimits::default()).collect()
    }

    fn scopes(rows: &[Self], strategies: usize, instruments: usize) -> Result<Scopes, InputsError> {
        let mut scopes = Scopes {
            venue: ScopeLimits::default(),
            strategies: vec![ScopeLimits::default(); strategies],
            instruments: vec![ScopeLimits::default(); instruments],
        };
        for row in rows {
            let n = usize::from(row.of.1);
            let place = match row.of.0 {
                'v' => Some(&mut scopes.venue),
                's' => scopes.strategies.get_mut(n),
                'i' => scopes.instruments.get_mut(n),
                _ => None,
            };
            let wrong = || InputsError::Name(format!("{}{n}", row.of.0));
            *place.ok_or_else(wrong)? = row.limits;
        }
        Ok(scopes)
    }
}

/// What a run knows about itself beside its risk configuration.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// The run's name.
    pub run: &'a str,
    /// Its number in client order ids.
    pub epoch: u32,
    /// See [`RunInputs::config_hash`].
    pub config_hash: u128,
    /// Seed of everything drawn.
    pub seed: u64,
    /// The configuration's control mode; the run may start in a tighter one.
    pub mode_configured: ControlMode,
}

/// Why records are not a run's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputsError {
    /// Not the document: what, and where in it.
    Text(String),
    /// A document of another version.
    Format(u32),
    /// Instruments or assets do not make a table.
    Table(TableError),
    /// A name is empty, too long or there twice.
    Name(String),
    /// The document does not end.
    Endless,
}

impl fmt::Display for InputsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(what) => write!(f, "the run's inputs cannot be read: {what}"),
            Self::Format(n) => {
                write!(f, "the run's inputs have format {n}, this program reads {FORMAT}")
            }
            Self::Table(e) => write!(f, "the run's instruments do not make a table: {e:?}"),
            Self::Name(name) => write!(f, "`{name}` is not a name for an asset"),
            Self::Endless => write!(f, "the run's inputs do not end within {TEXT_MAX} bytes"),
        }
    }
}

impl std::error::Error for InputsError {}

impl RunInputs {
    /// The document for a run that starts from `risk`.
    #[must_use]
    pub fn of(risk: &RiskConfig, about: &About<'_>) -> Self {
        let table = &risk.table;
        let name = |i: usize| table.asset_name(AssetId(i as u8)).to_owned();
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: env!("BOT4_GIT").to_owned(),
            run: about.run.to_owned(),
            epoch: about.epoch,
            config_hash: format!("{:032x}", about.config_hash),
            seed: about.seed,
            strategies: risk.strategies,
            operator: risk.operator,
            assets: (0..table.assets_len()).map(name).collect(),
            asset_venues: asset_venues(table),
            venues: table.venue_names().iter().map(|v| v.as_str().to_owned()).collect(),
            instruments: table.all().iter().map(|i| Row(*i)).collect(),
            quote: risk.quote.0,
            balances: risk.balances.iter().map(Held::of).collect(),
            equity: Some(EquityRow::of(&risk.equity)),
            held: risk.held.iter().map(HeldRow::of).collect(),
            recovered: RecoveredRow::of(&risk.recovered),
            limits: risk.limits,
            scopes: ScopeRow::all(&risk.scopes),
            mode: risk.mode.name().to_owned(),
            mode_configured: (about.mode_configured != risk.mode)
                .then(|| about.mode_configured.name().to_owned()),
            breakers: risk.breakers,
            resumed: None,
            chain: None,
        }
    }

    /// What the risk lane started from.
    ///
    /// # Errors
    /// When assets or instruments do not make a table.
    pub fn risk_config(&self) -> Result<RiskConfig, InputsError> {
        let table = self.table()?;
        let mode = ControlMode::ALL.iter().find(|m| m.name() == self.mode);
        let (strategies, instruments) = (self.strategies, self.instruments.len());
        Ok(RiskConfig {
            limits: self.limits,
            breakers: self.breakers,
            scopes: ScopeRow::scopes(&self.scopes, strategies, instruments)?,
            mode: *mode.ok_or_else(|| InputsError::Name(self.mode.clone()))?,
            table,
            balances: self.balances.iter().map(Held::pair).collect(),
            quote: AssetId(self.quote),
            strategies: self.strategies,
            operator: self.operator,
            equity: self.equity.as_ref().map(EquityRow::start).unwrap_or_default(),
            held: self.held.iter().map(HeldRow::held).collect(),
            recovered: self.recovered.as_ref().map(RecoveredRow::recovered).unwrap_or_default(),
        })
    }

    fn table(&self) -> Result<InstrumentTable, InputsError> {
        let named =
            |name: &String| Symbol::new(name).ok_or_else(|| InputsError::Name(name.clone()));
        let venues = self.venues.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        let mut table = InstrumentTable::of_venues(&venues).map_err(InputsError::Table)?;
        let known = |venue: VenueId| venue.index() < venues.len().max(1);
        for (i, name) in self.assets.iter().enumerate() {
            let venue = VenueId(self.asset_venues.get(i).copied().unwrap_or(0));
            table = table.seen_from(venue);
            let id = table.asset(named(name)?).map_err(InputsError::Table)?;
            if usize::from(id.0) != i || !known(venue) {
                return Err(InputsError::Name(name.clone()));
            }
        }
        table = table.seen_from(VenueId(0));
        for row in &self.instruments {
            if !known(row.0.venue) {
                return Err(InputsError::Name(row.0.symbol.as_str().to_owned()));
            }
            table.push(row.0).map_err(InputsError::Table)?;
        }
        Ok(table)
    }

    /// The configuration's control mode at the start, by name.
    #[must_use]
    pub fn mode_configured(&self) -> &str {
        self.mode_configured.as_ref().unwrap_or(&self.mode)
    }

    /// The document as records, in order, written at `at`.
    #[must_use]
    pub fn records(&self, at: Nanos) -> Vec<LogEntry> {
        // Invariant: text keys and plain values, which always serialise.
        let text = serde_json::to_string(self).unwrap_or_default() + "\n";
        let mut rest = text.as_str();
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(rest.floor_char_boundary(BODY_MAX));
            records.push(LogEntry::raw(LogKind::Run, at, chunk.as_bytes()));
            rest = behind;
        }
        records
    }
}

/// Where each asset is held; nothing where there is one venue.
fn asset_venues(table: &InstrumentTable) -> Vec<u8> {
    let assets = if table.venues_len() > 1 { table.assets_len() } else { 0 };
    let venue = |i: usize| table.venue_of(AssetId(i as u8)).unwrap_or_default().0;
    (0..assets).map(venue).collect()
}

/// See [`RunInputs::config_hash`]. Over the checked values, so comments and order do not count.
#[must_use]
pub fn config_hash(config: &Config) -> u128 {
    let Config { length, lanes, seed, venue, further, risk, strategies, stops, exits, .. } = config;
    let venue = (venue.venue, &venue.symbols);
    let mut hash = Fnv128::default();
    hash.write(format!("{:?}", (length, lanes, seed, venue, risk, strategies, stops)).as_bytes());
    if exits.iter().any(|e| *e != Exits::default()) {
        hash.write(format!("{exits:?}").as_bytes());
    }
    for other in further {
        hash.write(format!("{:?}", (other.venue, &other.symbols)).as_bytes());
    }
    hash.value()
}

/// Puts the document together again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InputsText {
    text: Vec<u8>,
}

impl InputsText {
    /// Takes the next record's body; the document once it is complete.
    ///
    /// # Errors
    /// See [`InputsError`].
    pub fn take(&mut self, body: &[u8]) -> Result<Option<RunInputs>, InputsError> {
        self.text.extend_from_slice(body);
        if self.text.len() > TEXT_MAX {
            return Err(InputsError::Endless);
        }
        let Some(line) = self.text.strip_suffix(b"\n") else { return Ok(None) };
        let inputs: RunInputs =
            serde_json::from_slice(line).map_err(|e| InputsError::Text(e.to_string()))?;
        if inputs.format != FORMAT {
            return Err(InputsError::Format(inputs.format));
        }
        Ok(Some(inputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_risk::EquityStart;
    use bot4_types::instrument::PriceBand;
    use bot4_types::limits::{ASSETS_MAX, INSTRUMENTS_MAX};
    use bot4_types::{InstrumentId, Price, Qty, Wall};

    /// The longest document there can be: every table full of the longest names and numbers.
    fn longest() -> RiskConfig {
        let mut table = InstrumentTable::new();
        for i in 0..ASSETS_MAX {
            table.asset(Symbol::new(&format!("ASSET-{i:09}")).expect("short")).expect("room");
        }
        for i in 0..INSTRUMENTS_MAX {
            let symbol = Symbol::new(&format!("SYMBOL-{i:08}")).expect("short");
            let band = PriceBand { up_e4: i64::MAX, down_e4: i64::MIN };
            let instrument = Instrument {
                base: AssetId(254),
                tick: i64::MIN,
                price_max: Price(i64::MAX),
                qty_max: Qty(i64::MIN),
                market_qty_min: Qty(i64::MIN),
                notional_min: i128::MIN,
                notional_max: i128::MAX,
                band_buy: band,
                band_sell: band,
                orders_open_max: u32::MAX,
                ..Instrument::bare(InstrumentId(0), symbol, 8)
            };
            table.push(instrument).expect("room");
        }
        let balances: Vec<_> = (0..ASSETS_MAX).map(|i| (AssetId(i as u8), i128::MAX)).collect();
        let equity = EquityStart {
            wall: Wall { origin_unix_ns: i64::MIN },
            peak: i128::MAX,
            day: i64::MIN,
            day_open: i128::MAX,
            flows: balances.clone(),
        };
        let limits = RiskLimits { order_base_max: i128::MAX, ..RiskLimits::default() };
        let row = ScopeLimits {
            order_value_max: i128::MAX,
            order_base_max: i128::MAX,
            collar_e4: i64::MIN,
            position_equity_e4: i64::MIN,
            position_value_max: i128::MAX,
            gross_equity_e4: i64::MIN,
            gross_value_max: i128::MAX,
            net_equity_e4: i64::MIN,
            net_value_max: i128::MAX,
            open_orders_max: u32::MAX,
            orders_per_s: u32::MAX,
            maintenance_e4: i64::MIN,
        };
        let scopes = Scopes {
            venue: row,
            strategies: vec![row; 32],
            instruments: vec![row; INSTRUMENTS_MAX],
        };
        RiskConfig {
            limits,
            scopes,
            breakers: BreakerLimits { loss_max: i128::MAX, seed: u64::MAX, ..Default::default() },
            mode: ControlMode::SemiAuto,
            table,
            balances,
            quote: AssetId(3),
            strategies: 32,
            operator: true,
            equity,
            held: Vec::new(),
            recovered: bot4_risk::Recovered::default(),
        }
    }

    fn about() -> About<'static> {
        let mode_configured = ControlMode::FullAuto;
        About { run: "1-2", epoch: 9, config_hash: 77, seed: u64::MAX, mode_configured }
    }

    #[test]
    fn the_longest_document_fits_the_log_link_and_reads_back() {
        let config = longest();
        let inputs = RunInputs::of(&config, &about());
        let records = inputs.records(Nanos(1));
        println!("{} records", records.len());
        assert!(records.len() <= crate::topology::LOG_RUN_RECORDS, "{}", records.len());
        let mut text = InputsText::default();
        let (last, firsts) = records.split_last().expect("some");
        for record in firsts {
            assert_eq!(text.take(record.body()), Ok(None));
        }
        let back = text.take(last.body()).expect("readable").expect("complete");
        assert_eq!(back, inputs);
        let risk = back.risk_config().expect("a table");
        assert_eq!(risk.table.all(), config.table.all());
        assert_eq!((risk.balances, risk.limits), (config.balances, config.limits));
        assert_eq!((risk.scopes, risk.mode), (config.scopes, config.mode));
        assert_eq!(risk.equity, config.equity);
        assert_eq!(risk.table.asset_name(AssetId(254)), "ASSET-000000254");
    }

    #[test]
    fn what_is_not_the_document_is_named() {
        let take = |text: &str| InputsText::default().take(text.as_bytes());
        assert!(matches!(take("{}\n"), Err(InputsError::Text(_))));
        let text = |change: fn(&mut RunInputs)| {
            let mut inputs = RunInputs::of(&longest(), &about());
            (inputs.instruments, inputs.assets) = (Vec::new(), vec!["A".to_owned()]);
            inputs.scopes.clear();
            change(&mut inputs);
            serde_json::to_string(&inputs).expect("plain") + "\n"
        };
        assert_eq!(take(&text(|i| i.format = 1)), Err(InputsError::Format(1)));
        let unknown = text(|_| ()).replacen('{', "{\"leverage\":3,", 1);
        assert!(
            matches!(take(&unknown), Err(InputsError::Text(what)) if what.contains("leverage"))
        );
        let twice = take(&text(|i| i.assets.push("A".to_owned()))).expect("readable");
        let config = twice.expect("complete").risk_config();
        assert_eq!(config.err(), Some(InputsError::Name("A".to_owned())));
        assert_eq!(
            InputsText::default().take(&vec![b' '; TEXT_MAX + 1]),
            Err(InputsError::Endless)
        );
    }
}
