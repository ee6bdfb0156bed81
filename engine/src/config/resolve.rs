//! From the file's shape to a checked configuration.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bot4_lanes::idle::IdleKind;
use bot4_lanes::placement::Wishes;
use bot4_signals::{Exits, Native};
use bot4_types::Algo;
use toml::Spanned;

pub use super::account::AccountConfig;
use super::error::Issue;
pub use super::host::HostConfig;
use super::layers::Layers;
pub use super::risk::RiskConfig;
use super::schema::{self, File, HugePages};
use super::value::{Lanes, Span};
use super::venue;
pub use super::venue::{Keys, Mode, Remote, ShardConfig, VenueAccess, VenueConfig, known_venue};
use super::worked::{self, WorkedConfig};
use crate::log::LogConfig;
use crate::topology::Shape;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long to trade; `None` until stopped.
    pub length: Option<Duration>,
    /// Number of lanes.
    pub lanes: Lanes,
    /// Seed of everything drawn.
    pub seed: u64,
    /// What is asked of the placement beyond the number of lanes.
    pub wishes: Wishes,
    /// Keep raw frames and turns: the whole chain can run again from them.
    pub capture: bool,
    /// Work is given up under pressure, in the declared order.
    pub shed: bool,
    /// Instruments that are given up first, by their names.
    pub low_priority: Vec<String>,
    /// The venue; of several the first.
    pub venue: VenueConfig,
    /// The other venues of a run of several, in order.
    pub further: Vec<VenueConfig>,
    /// Instruments with lanes of their own choice.
    pub shards: Vec<ShardConfig>,
    /// The account beside our orders.
    pub account: AccountConfig,
    /// Limits.
    pub risk: RiskConfig,
    /// Strategies in order.
    pub strategies: Vec<StrategyConfig>,
    /// Distance of their protective stops, in hundredths of a percent of the price.
    pub stops: Vec<u32>,
    /// Their targets, and what of both rests at the venue.
    pub exits: Vec<Exits>,
    /// Journal segment in bytes.
    pub segment_bytes: usize,
    /// Journal folder, if not the run's.
    pub journal_dir: Option<PathBuf>,
    /// Silence of the journal's disk that ends the run.
    pub stall_max: Duration,
    /// Which journals of earlier runs stay.
    pub keep: Keep,
    /// When the journal's disk is too full.
    pub disk: DiskLimits,
    /// Highest rung of huge pages.
    pub huge_pages: HugePages,
    /// What the machine must be.
    pub host: HostConfig,
    /// Folder of the counters, if not the default.
    pub counters_dir: Option<PathBuf>,
    /// How what the engine tells looks.
    pub log: LogConfig,
}

impl Config {
    /// Every venue in order.
    pub fn venues(&self) -> impl ExactSizeIterator<Item = &VenueConfig> {
        let all: Vec<_> = std::iter::once(&self.venue).chain(&self.further).collect();
        all.into_iter()
    }

    /// The instruments by names that differ: the symbols of the one venue, or `venue:symbol`.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        venue::labels(&self.venues().collect::<Vec<_>>())
    }

    /// How many of everything the run has.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let wires = match self.venues().len() {
            1 => Shape::ONE.wires,
            _ => self.venues().map(|v| v.lines).sum(),
        };
        Shape { wires, venues: self.venues().len(), captured: self.capture }
    }
}

/// Which journals of earlier runs stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Older ones go.
    pub age: Duration,
    /// The oldest go until the rest takes at most this.
    pub bytes: u64,
}

/// Use of the journal's disk, per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimits {
    /// Warn from here on.
    pub warn_pct: u32,
    /// No new orders from here on; 100 for never.
    pub stop_pct: u32,
}

/// A strategy as configured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StrategyConfig {
    /// Quotes both sides, skewed by inventory.
    MarketMaker {
        /// Size of a quote in quote units.
        quote_notional: f64,
        /// Half spread as a share of the market's spread.
        spread_share: f64,
        /// Inventory in quote units at which the skew is full.
        position_max_notional: f64,
        /// Move that replaces a quote, ticks.
        requote_ticks: u32,
        /// Least life of a quote.
        quote_life_min: Duration,
        /// What rests is amended where that can be, instead of cancelled and placed.
        amend: bool,
    },
    /// Takes when a fast average crosses a slow one.
    EmaCross {
        /// Size of an order in quote units.
        notional: f64,
        /// Distance of the averages that counts as a cross, as a share of the spread.
        band_share: f64,
        /// Least time between two orders of an instrument.
        cooldown: Duration,
        /// Sized by edge and variance under risk's caps, `notional` at most.
        kelly: bool,
    },
    /// Works parent orders.
    Worked(WorkedConfig),
}

impl StrategyConfig {
    /// It works parent orders.
    #[must_use]
    pub const fn worked(&self) -> Option<&WorkedConfig> {
        match self {
            Self::Worked(worked) => Some(worked),
            _ => None,
        }
    }

    /// The word of its kind in the configuration.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::MarketMaker { .. } => "market_maker",
            Self::EmaCross { .. } => "ema_cross",
            Self::Worked(worked) => worked.algo.name(),
        }
    }
}

/// Checks `file`; a relative path in it is relative to the folder of the file that names it.
///
/// # Errors
/// The first [`Issue`] found.
pub fn resolve(file: File, layers: &Layers) -> Result<Config, Issue> {
    let strategies = file.strategies.iter().map(strategy).collect::<Result<Vec<_>, _>>()?;
    let stops = file.strategies.iter().map(stop_bps).collect::<Result<Vec<_>, _>>()?;
    let exits = file.strategies.iter().map(exits).collect::<Result<Vec<_>, _>>()?;
    let mut venues = venue::resolve_all(file.venue, file.venues, layers)?;
    let listed: Vec<_> = venues.iter().collect();
    let labels = venue::labels(&listed);
    let shards = venue::resolve_shards(&file.shards, &labels, &listed)?;
    let venue = venues.remove(0);
    if let (false, Some(s)) = (venue.trades(), file.strategies.first()) {
        let what = "a run that observes has no strategies";
        return Err(issue(s.kind.span(), "kind", what, "remove it, or write mode = \"trade\""));
    }
    for s in file.strategies.iter().filter_map(|s| s.symbol.as_ref()) {
        // Which pairs are traded is known once the venues have told their instruments.
        if !labels.contains(s.get_ref()) && !s.get_ref().contains('/') {
            let mend = "one of venue.symbols, or a pair (BTC/USDT) for all venues that trade it";
            return Err(issue(s.span(), "symbol", "is not traded", mend));
        }
    }
    let host = super::host::resolve(file.host, layers, std::iter::once(&venue).chain(&venues))?;
    let segment = bounded("segment_mib", &file.journal.segment_mib, 1, 4_096, "MiB")?;
    Ok(Config {
        length: file.run.length.map(|s| s.0),
        lanes: file.run.lanes,
        seed: file.run.seed,
        wishes: Wishes { exclusive_cores: file.run.exclusive_cores, idle: idle(file.run.idle) },
        capture: file.run.capture,
        shed: file.run.shed,
        low_priority: low_priority(&file.instruments, &labels)?,
        risk: super::risk::resolve(&file.risk, strategies.len(), &labels)?,
        account: super::account::resolve(&file.account)?,
        venue,
        further: venues,
        shards,
        strategies,
        stops,
        exits,
        segment_bytes: segment as usize * 1024 * 1024,
        stall_max: stall_max(&file.journal.stall_max)?,
        keep: Keep {
            age: file.journal.keep.0,
            bytes: u64::from(bounded("keep_mib", &file.journal.keep_mib, 0, 100_000_000, "MiB")?)
                * 1024
                * 1024,
        },
        disk: disk_limits(&file.journal)?,
        journal_dir: file.journal.dir.map(|d| layers.folder_of(&d.span()).join(d.get_ref())),
        huge_pages: file.memory.huge_pages,
        host,
        counters_dir: file.run.counters_dir.map(|d| layers.folder_of(&d.span()).join(d.get_ref())),
        log: file.log,
    })
}

/// The instruments of low priority among `labels`.
fn low_priority(rows: &[schema::Instrument], labels: &[String]) -> Result<Vec<String>, Issue> {
    let (mut low, mut known) = (Vec::new(), Vec::new());
    for row in rows {
        let name = row.symbol.get_ref();
        if !labels.contains(name) || known.contains(&name) {
            let what = format!("`{name}` is no instrument of this run, or is named twice");
            let mend = format!("choose one of {}", labels.join(", "));
            return Err(issue(row.symbol.span(), "symbol", what, mend));
        }
        known.push(name);
        if row.priority == schema::Priority::Low {
            low.push(name.clone());
        }
    }
    Ok(low)
}

const fn idle(idle: schema::Idle) -> Option<IdleKind> {
    match idle {
        schema::Idle::Auto => None,
        schema::Idle::Spin => Some(IdleKind::Spin),
        schema::Idle::Yield => Some(IdleKind::YieldPark),
        schema::Idle::Park => Some(IdleKind::Park),
    }
}

fn stall_max(span: &Spanned<Span>) -> Result<Duration, Issue> {
    let value = span.get_ref().0;
    if value >= Duration::from_millis(50) && value <= Duration::from_secs(60) {
        return Ok(value);
    }
    Err(issue(span.span(), "stall_max", "out of range", "choose 50ms to 60s"))
}

fn disk_limits(journal: &schema::Journal) -> Result<DiskLimits, Issue> {
    let warn_pct = bounded("disk_warn_pct", &journal.disk_warn_pct, 1, 100, "per cent")?;
    let stop_pct = bounded("disk_stop_pct", &journal.disk_stop_pct, 1, 100, "per cent")?;
    Ok(DiskLimits { warn_pct, stop_pct })
}

pub(super) fn issue(
    span: Range<usize>,
    key: &'static str,
    what: impl Into<String>,
    mend: impl Into<String>,
) -> Issue {
    Issue { span, key, what: what.into(), mend: mend.into() }
}

pub(super) fn bounded(
    key: &'static str,
    value: &Spanned<u32>,
    min: u32,
    max: u32,
    unit: &str,
) -> Result<u32, Issue> {
    let v = *value.get_ref();
    if (min..=max).contains(&v) {
        return Ok(v);
    }
    Err(issue(
        value.span(),
        key,
        format!("{v} is out of range"),
        format!("choose {min} to {max} {unit}"),
    ))
}

pub(super) fn positive(key: &'static str, value: &Spanned<f64>, max: f64) -> Result<f64, Issue> {
    let v = *value.get_ref();
    if v.is_finite() && v > 0.0 && v <= max {
        return Ok(v);
    }
    Err(issue(
        value.span(),
        key,
        format!("{v} is out of range"),
        format!("choose a number above 0, at most {max}"),
    ))
}

fn strategy(s: &schema::Strategy) -> Result<StrategyConfig, Issue> {
    match s.kind.get_ref().as_str() {
        "market_maker" => market_maker(s),
        "ema_cross" => ema_cross(s),
        other => match worked::algo_of(other) {
            Some(algo) => algorithm(s, algo),
            None => Err(issue(
                s.kind.span(),
                "kind",
                format!("`{other}` is not a strategy"),
                "choose market_maker, ema_cross, twap, vwap, pov, iceberg or pegged",
            )),
        },
    }
}

/// Distance of a strategy's protective stop: half of the price at most.
fn stop_bps(s: &schema::Strategy) -> Result<u32, Issue> {
    let usual = bot4_signals::RouteConfig::default().stop_bps;
    s.stop_pct.as_ref().map_or(Ok(usual), |pct| super::risk::bps("stop_pct", pct, 50.0))
}

/// A strategy's target, and what of its exits rests at the venue.
fn exits(s: &schema::Strategy) -> Result<Exits, Issue> {
    let take_profit = s.take_profit_pct.as_ref();
    let take_profit_bps =
        take_profit.map_or(Ok(0), |pct| super::risk::bps("take_profit_pct", pct, 100.0))?;
    let Some(word) = &s.native_exit else {
        return Ok(Exits { take_profit_bps, native: Native::None });
    };
    let Some(native) = Native::from_name(word.get_ref()) else {
        let what = format!("`{}` is not an exit", word.get_ref());
        return Err(issue(word.span(), "native_exit", what, "choose none, stop or take_profit"));
    };
    if native == Native::TakeProfit && take_profit_bps == 0 {
        let help = "say its distance: take_profit_pct = 2.0";
        return Err(issue(word.span(), "native_exit", "there is no target".to_owned(), help));
    }
    Ok(Exits { take_profit_bps, native })
}

pub(super) fn foreign(
    kind: &str,
    key: &'static str,
    span: Option<Range<usize>>,
) -> Result<(), Issue> {
    match span {
        None => Ok(()),
        Some(span) => Err(issue(span, key, format!("is not a key of {kind}"), "remove it")),
    }
}

fn or_default(
    key: &'static str,
    value: Option<&Spanned<f64>>,
    default: f64,
    max: f64,
) -> Result<f64, Issue> {
    value.map_or(Ok(default), |v| positive(key, v, max))
}

/// A parent order's keys are none of the other kinds', but for `notional`.
fn algorithm(s: &schema::Strategy, algo: Algo) -> Result<StrategyConfig, Issue> {
    let kind = algo.name();
    foreign(kind, "quote_notional", s.quote_notional.as_ref().map(Spanned::span))?;
    foreign(kind, "spread_share", s.spread_share.as_ref().map(Spanned::span))?;
    let position = s.position_max_notional.as_ref();
    foreign(kind, "position_max_notional", position.map(Spanned::span))?;
    foreign(kind, "requote_ticks", s.requote_ticks.as_ref().map(Spanned::span))?;
    foreign(kind, "quote_life_min", s.quote_life_min.as_ref().map(Spanned::span))?;
    foreign(kind, "band_share", s.band_share.as_ref().map(Spanned::span))?;
    foreign(kind, "cooldown", s.cooldown.as_ref().map(Spanned::span))?;
    foreign(kind, "sizing", s.sizing.as_ref().map(Spanned::span))?;
    worked::resolve(s, algo).map(StrategyConfig::Worked)
}

fn market_maker(s: &schema::Strategy) -> Result<StrategyConfig, Issue> {
    worked::none(s, "market_maker")?;
    foreign("market_maker", "notional", s.notional.as_ref().map(Spanned::span))?;
    foreign("market_maker", "band_share", s.band_share.as_ref().map(Spanned::span))?;
    foreign("market_maker", "cooldown", s.cooldown.as_ref().map(Spanned::span))?;
    foreign("market_maker", "sizing", s.sizing.as_ref().map(Spanned::span))?;
    let quote = s.quote_notional.as_ref();
    let position = s.position_max_notional.as_ref();
    let requote_ticks = s
        .requote_ticks
        .as_ref()
        .map_or(Ok(1), |v| bounded("requote_ticks", v, 1, 10_000, "ticks"))?;
    let life = s.quote_life_min.as_ref().map_or(Duration::from_millis(80), |v| v.get_ref().0);
    Ok(StrategyConfig::MarketMaker {
        quote_notional: or_default("quote_notional", quote, 400.0, 1e9)?,
        spread_share: or_default("spread_share", s.spread_share.as_ref(), 0.35, 100.0)?,
        position_max_notional: or_default("position_max_notional", position, 4_000.0, 1e12)?,
        requote_ticks,
        quote_life_min: life,
        amend: s.amend.as_ref().is_some_and(|v| *v.get_ref()),
    })
}

fn ema_cross(s: &schema::Strategy) -> Result<StrategyConfig, Issue> {
    worked::none(s, "ema_cross")?;
    foreign("ema_cross", "quote_notional", s.quote_notional.as_ref().map(Spanned::span))?;
    foreign("ema_cross", "spread_share", s.spread_share.as_ref().map(Spanned::span))?;
    let position = s.position_max_notional.as_ref();
    foreign("ema_cross", "position_max_notional", position.map(Spanned::span))?;
    foreign("ema_cross", "requote_ticks", s.requote_ticks.as_ref().map(Spanned::span))?;
    foreign("ema_cross", "quote_life_min", s.quote_life_min.as_ref().map(Spanned::span))?;
    foreign("ema_cross", "amend", s.amend.as_ref().map(Spanned::span))?;
    Ok(StrategyConfig::EmaCross {
        notional: or_default("notional", s.notional.as_ref(), 300.0, 1e9)?,
        band_share: or_default("band_share", s.band_share.as_ref(), 0.1, 100.0)?,
        cooldown: s.cooldown.as_ref().map_or(Duration::from_millis(250), |v| v.get_ref().0),
        kelly: s.sizing.as_ref().map_or(Ok(false), is_kelly)?,
    })
}

fn is_kelly(sizing: &Spanned<String>) -> Result<bool, Issue> {
    match sizing.get_ref().as_str() {
        "fixed" => Ok(false),
        "kelly" => Ok(true),
        other => {
            let what = format!("`{other}` is not a way of sizing");
            Err(issue(sizing.span(), "sizing", what, "choose fixed or kelly"))
        }
    }
}
