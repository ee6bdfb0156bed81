//! `[risk]` with its rows: limits of the account, the venue, strategies and instruments.

use bot4_risk::breaker::BreakerLimits;
use bot4_risk::{RiskLimits, ScopeLimits, Scopes, StatisticsLimits};
use bot4_types::instrument::Amount;
use bot4_types::limits::ORDERS_OPEN_MAX;
use bot4_types::{ControlMode, InstrumentTable, Symbol};
use serde::Deserialize;
use toml::Spanned;

use super::breaker::{self, Breaker};
use super::error::Issue;
use super::resolve::{bounded, issue, positive};
use super::value::Span;

/// Largest amount in quote units.
const AMOUNT_MAX: f64 = 1e12;
/// Largest share of equity, per cent.
const SHARE_MAX: f64 = 100_000.0;

/// `[risk]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Risk {
    /// Who may increase risk at the start.
    pub mode: Mode,
    /// Worst-case position, per cent of equity.
    pub position_pct: Spanned<f64>,
    /// The same in quote units.
    pub position_max: Option<Spanned<f64>>,
    /// Largest order in quote units.
    pub order_notional_max: Spanned<f64>,
    /// Farthest price, per cent.
    pub collar_pct: Spanned<f64>,
    /// New orders a second.
    pub orders_per_second: Spanned<u32>,
    /// Open orders, all instruments.
    pub open_orders_max: Spanned<u32>,
    /// Oldest usable mark.
    pub book_age_max: Span,
    /// Asset in which equity is counted; by default USDT where something is quoted in it, else
    /// what the first instrument is quoted in.
    pub equity_asset: Option<Spanned<String>>,
    /// Worst-case gross exposure, per cent of equity.
    pub gross_pct: Spanned<f64>,
    /// The same in quote units.
    pub gross_max: Option<Spanned<f64>>,
    /// Worst-case net exposure, per cent of equity.
    pub net_pct: Spanned<f64>,
    /// The same in quote units.
    pub net_max: Option<Spanned<f64>>,
    /// Gross exposure over equity.
    pub leverage_max: Spanned<f64>,
    /// Maintenance margin, per cent of exposure.
    pub maintenance_margin_pct: Option<Spanned<f64>>,
    /// Equity over maintenance margin, at least.
    pub margin_distance: Spanned<f64>,
    /// The day's loss, per cent of the equity at its start.
    pub daily_loss_pct: Spanned<f64>,
    /// The same in quote units.
    pub daily_loss_max: Option<Spanned<f64>>,
    /// Intents of one strategy within a second that stop all trading.
    pub runaway_intents: Spanned<u32>,
    /// Refusals in a row for mistakes that do the same.
    pub runaway_refused: Spanned<u32>,
    /// Fall from the highest equity, per cent.
    pub drawdown_pct: Spanned<f64>,
    /// Weight that a second gives back.
    pub weight_per_second: Spanned<u32>,
    /// Weight at once.
    pub weight_burst: Spanned<u32>,
    /// Weight that only cancels may use.
    pub weight_reserve: Spanned<u32>,
    /// Weight of a new order.
    pub order_weight: Spanned<u32>,
    /// Weight of a cancel.
    pub cancel_weight: Spanned<u32>,
    /// What the manual mode leaves of the limits, per cent.
    pub manual_pct: Spanned<f64>,
    /// What the semi-automatic mode leaves of the limits, per cent.
    pub semi_auto_pct: Spanned<f64>,
    /// Largest correlation of an order with the held book.
    pub correlation_max: Spanned<f64>,
    /// One-hour volatility of the book from which the correlation counts, per cent of equity.
    pub correlation_from_pct: Spanned<f64>,
    /// Largest one-hour expected shortfall at 99 %, per cent of equity.
    pub shortfall_pct: Spanned<f64>,
    /// Largest portfolio heat, per cent of equity.
    pub heat_pct: Spanned<f64>,
    /// One-hour volatility assumed without history, per cent.
    pub fallback_volatility_pct: Spanned<f64>,
    /// One-second returns before an instrument's own tail is believed.
    pub history_min: Spanned<u32>,
    /// A stop closes what is held, too.
    pub flatten_on_kill: bool,
    /// How far through the touch an order may trade that does so, per cent.
    pub flatten_slip_pct: Spanned<f64>,
    /// `[risk.breaker]`.
    pub breaker: Breaker,
    /// `[risk.venue]`.
    pub venue: Row,
    /// `[[risk.strategy]]`.
    #[serde(rename = "strategy")]
    pub strategies: Vec<Row>,
    /// `[[risk.instrument]]`.
    #[serde(rename = "instrument")]
    pub instruments: Vec<Row>,
}

/// Who may increase risk.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nobody.
    Emergency,
    /// The operator.
    Manual,
    /// Strategies, within a share of the limits.
    SemiAuto,
    /// Strategies, within the limits.
    #[default]
    FullAuto,
}

/// `[risk.venue]`, `[[risk.strategy]]` and `[[risk.instrument]]`. One flat table for all three, so
/// that errors keep their place; which keys belong to which is checked afterwards.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Row {
    /// The n-th `[[strategy]]`, from 1.
    pub strategy: Option<Spanned<u32>>,
    /// A symbol of `[venue]`.
    pub symbol: Option<Spanned<String>>,
    /// Largest order in quote units.
    pub order_notional_max: Option<Spanned<f64>>,
    /// Largest order in base units.
    pub order_size_max: Option<Spanned<f64>>,
    /// Farthest price, per cent.
    pub collar_pct: Option<Spanned<f64>>,
    /// Worst-case position in one instrument, per cent of equity.
    pub position_pct: Option<Spanned<f64>>,
    /// The same in quote units.
    pub position_max: Option<Spanned<f64>>,
    /// Worst-case gross exposure, per cent of equity.
    pub gross_pct: Option<Spanned<f64>>,
    /// The same in quote units.
    pub gross_max: Option<Spanned<f64>>,
    /// Worst-case net exposure, per cent of equity.
    pub net_pct: Option<Spanned<f64>>,
    /// The same in quote units.
    pub net_max: Option<Spanned<f64>>,
    /// Open orders.
    pub open_orders_max: Option<Spanned<u32>>,
    /// New orders a second.
    pub orders_per_second: Option<Spanned<u32>>,
    /// Maintenance margin, per cent of exposure.
    pub maintenance_margin_pct: Option<Spanned<f64>>,
}

impl Default for Risk {
    fn default() -> Self {
        let value = |v: f64| Spanned::new(0..0, v);
        let count = |n: u32| Spanned::new(0..0, n);
        Self {
            mode: Mode::default(),
            position_pct: value(2.0),
            position_max: None,
            order_notional_max: value(5_000.0),
            collar_pct: value(1.0),
            orders_per_second: count(400),
            open_orders_max: count(200),
            book_age_max: Span(std::time::Duration::from_secs(2)),
            equity_asset: None,
            gross_pct: value(100.0),
            gross_max: None,
            net_pct: value(100.0),
            net_max: None,
            leverage_max: value(1.0),
            maintenance_margin_pct: None,
            margin_distance: value(1.5),
            daily_loss_pct: value(2.0),
            runaway_intents: Spanned::new(0..0, 20_000),
            runaway_refused: Spanned::new(0..0, 100),
            daily_loss_max: None,
            drawdown_pct: value(15.0),
            weight_per_second: count(4_000),
            weight_burst: count(8_192),
            weight_reserve: count(4_096),
            order_weight: count(1),
            cancel_weight: count(1),
            manual_pct: value(50.0),
            semi_auto_pct: value(75.0),
            correlation_max: value(0.7),
            correlation_from_pct: value(0.1),
            shortfall_pct: value(1.0),
            heat_pct: value(1.0),
            fallback_volatility_pct: value(1.0),
            history_min: count(300),
            flatten_on_kill: false,
            flatten_slip_pct: value(0.5),
            breaker: Breaker::default(),
            venue: Row::default(),
            strategies: Vec::new(),
            instruments: Vec::new(),
        }
    }
}

/// Limits as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct RiskConfig {
    /// Who may increase risk at the start.
    pub mode: ControlMode,
    /// The account's limits.
    pub limits: RiskLimits,
    /// The venue's.
    pub venue: ScopeLimits,
    /// By strategy.
    pub strategies: Vec<ScopeLimits>,
    /// By symbol, or by `venue:symbol` in a run of several venues.
    pub instruments: Vec<(String, ScopeLimits)>,
    /// Asset in which equity is counted, where the configuration says so.
    pub equity_asset: Option<Symbol>,
    /// When circuit breakers open.
    pub breakers: BreakerLimits,
    /// A stop closes what is held, too.
    pub flatten_on_kill: bool,
    /// How far through the touch an order may trade that does so, hundredths of a percent.
    pub flatten_slip_bps: u32,
}

/// Asset in which equity is counted where the configuration does not say.
const EQUITY_ASSET: &str = "USDT";

impl RiskConfig {
    /// The asset in which the equity of an account that trades `table` is counted.
    #[must_use]
    pub fn equity_asset(&self, table: &InstrumentTable) -> Option<Symbol> {
        let quotes = || table.all().iter().map(|i| table.asset_name(i.quote));
        let usual = quotes().find(|quote| *quote == EQUITY_ASSET);
        let quote = usual.or_else(|| quotes().next()).and_then(Symbol::new);
        self.equity_asset.or(quote).or_else(|| Symbol::new(EQUITY_ASSET))
    }

    /// The limits of venue, strategies and instruments, for the instruments of `table`.
    #[must_use]
    pub fn scopes(&self, table: &InstrumentTable) -> Scopes {
        let row = |symbol: &str| self.instruments.iter().find(|(name, _)| name == symbol);
        let of = |symbol: &str| row(symbol).map(|(_, limits)| *limits).unwrap_or_default();
        Scopes {
            venue: self.venue,
            strategies: self.strategies.clone(),
            instruments: table.all().iter().map(|i| of(&table.label(i))).collect(),
        }
    }
}

/// Checks `[risk]` for so many strategies and these symbols.
///
/// # Errors
/// The first [`Issue`] found.
pub fn resolve(risk: &Risk, strategies: usize, symbols: &[String]) -> Result<RiskConfig, Issue> {
    let equity_asset = risk.equity_asset.as_ref().map(|name| {
        let mend = "name one asset, like \"USDT\"";
        let refused = || issue(name.span(), "equity_asset", "not an asset name", mend);
        Symbol::new(name.get_ref()).ok_or_else(refused)
    });
    let equity_asset = equity_asset.transpose()?;
    let mut config = RiskConfig {
        mode: match risk.mode {
            Mode::Emergency => ControlMode::Emergency,
            Mode::Manual => ControlMode::Manual,
            Mode::SemiAuto => ControlMode::SemiAuto,
            Mode::FullAuto => ControlMode::FullAuto,
        },
        limits: account(risk)?,
        venue: row(&risk.venue, &Place::Venue)?,
        strategies: vec![ScopeLimits::default(); strategies],
        instruments: Vec::new(),
        equity_asset,
        breakers: breaker::resolve(&risk.breaker)?,
        flatten_on_kill: risk.flatten_on_kill,
        flatten_slip_bps: bps("flatten_slip_pct", &risk.flatten_slip_pct, 50.0)?,
    };
    strategy_rows(risk, &mut config)?;
    instrument_rows(risk, symbols, &mut config)?;
    Ok(config)
}

fn account(risk: &Risk) -> Result<RiskLimits, Issue> {
    let rate = bounded("orders_per_second", &risk.orders_per_second, 1, 100_000, "orders")?;
    let open = open_orders(&risk.open_orders_max)?;
    let weight = |key, value| bounded(key, value, 1, 1_000_000, "of weight");
    let order_weight = weight("order_weight", &risk.order_weight)?;
    let burst = weight("weight_burst", &risk.weight_burst)?;
    let reserve = bounded("weight_reserve", &risk.weight_reserve, 0, 1_000_000, "of weight")?;
    if u64::from(reserve) + u64::from(order_weight) > u64::from(burst) {
        let what = format!("{reserve} of {burst} leave no room for an order");
        let mend = "choose weight_burst above weight_reserve and order_weight together";
        return Err(issue(risk.weight_reserve.span(), "weight_reserve", what, mend));
    }
    let margin = risk.maintenance_margin_pct.as_ref();
    Ok(RiskLimits {
        mark_age_ns_max: risk.book_age_max.0.as_nanos() as u64,
        collar_e4: e4("collar_pct", &risk.collar_pct, 50.0)?,
        order_value_max: amount("order_notional_max", &risk.order_notional_max)?,
        position_equity_e4: e4("position_pct", &risk.position_pct, 100.0)?,
        position_value_max: amount_or_none("position_max", risk.position_max.as_ref())?,
        orders_per_s: rate,
        orders_burst: rate,
        strategy_orders_per_s: rate,
        strategy_orders_burst: rate,
        open_orders_max: open,
        gross_equity_e4: e4("gross_pct", &risk.gross_pct, SHARE_MAX)?,
        gross_value_max: amount_or_none("gross_max", risk.gross_max.as_ref())?,
        net_equity_e4: e4("net_pct", &risk.net_pct, SHARE_MAX)?,
        net_value_max: amount_or_none("net_max", risk.net_max.as_ref())?,
        leverage_e4: times_e4("leverage_max", &risk.leverage_max, 0.01)?,
        maintenance_e4: e4_or_none("maintenance_margin_pct", margin, 100.0)?,
        margin_distance_e4: times_e4("margin_distance", &risk.margin_distance, 1.0)?,
        daily_loss_e4: e4("daily_loss_pct", &risk.daily_loss_pct, 100.0)?,
        daily_loss_value_max: amount_or_none("daily_loss_max", risk.daily_loss_max.as_ref())?,
        drawdown_e4: e4("drawdown_pct", &risk.drawdown_pct, 100.0)?,
        weight_per_s: weight("weight_per_second", &risk.weight_per_second)?,
        weight_burst: burst,
        weight_reserve: reserve,
        weight_place: order_weight,
        weight_cancel: weight("cancel_weight", &risk.cancel_weight)?,
        runaway_intents_per_s: runaway("runaway_intents", &risk.runaway_intents)?,
        runaway_refused_row: runaway("runaway_refused", &risk.runaway_refused)?,
        manual_share_e4: e4("manual_pct", &risk.manual_pct, 100.0)?,
        semi_auto_share_e4: e4("semi_auto_pct", &risk.semi_auto_pct, 100.0)?,
        statistics: statistics(risk)?,
        ..RiskLimits::default()
    })
}

fn runaway(key: &'static str, value: &Spanned<u32>) -> Result<u32, Issue> {
    bounded(key, value, 10, 10_000_000, "intents")
}

/// Shares in 10^-6 from per cent.
fn statistics(risk: &Risk) -> Result<StatisticsLimits, Issue> {
    let e6 = |pct: f64| (pct * 1e4).round() as i64;
    let fallback = &risk.fallback_volatility_pct;
    let history = bot4_portfolio::HISTORY as u32;
    let correlation = up_to("correlation_max", &risk.correlation_max, 1.0)?;
    let from = up_to("correlation_from_pct", &risk.correlation_from_pct, 100.0)?;
    Ok(StatisticsLimits {
        correlation_e4: (correlation * 1e4).round() as i64,
        correlation_from_e6: e6(from),
        shortfall_equity_e6: e6(up_to("shortfall_pct", &risk.shortfall_pct, 100.0)?),
        heat_equity_e6: e6(up_to("heat_pct", &risk.heat_pct, 100.0)?),
        fallback_volatility_e6: e6(positive("fallback_volatility_pct", fallback, 100.0)?).max(1),
        history_min: bounded("history_min", &risk.history_min, 0, history, "returns")?,
    })
}

/// Per cent as hundredths of a percent, one at least.
pub(super) fn bps(key: &'static str, value: &Spanned<f64>, max: f64) -> Result<u32, Issue> {
    let pct = *value.get_ref();
    if (0.01..=max).contains(&pct) {
        return Ok((pct * 100.0).round() as u32);
    }
    let mend = format!("choose 0.01 to {max} per cent");
    Err(issue(value.span(), key, format!("{pct} is out of range"), mend))
}

/// A share, or zero where that means "none".
fn up_to(key: &'static str, value: &Spanned<f64>, max: f64) -> Result<f64, Issue> {
    let v = *value.get_ref();
    // What rounds to nothing would read as "none".
    if v == 0.0 || (1e-4..=max).contains(&v) {
        return Ok(v);
    }
    let mend = format!("choose 0, or a number from 0.0001 to {max}");
    Err(issue(value.span(), key, format!("{v} is out of range"), mend))
}

fn strategy_rows(risk: &Risk, config: &mut RiskConfig) -> Result<(), Issue> {
    let mut seen = Vec::new();
    for given in &risk.strategies {
        let limits = row(given, &Place::Strategy)?;
        let Some(number) = &given.strategy else {
            let mend = "write strategy = 1 for the first [[strategy]]";
            return Err(issue(first_span(given), "strategy", "the row does not say whose", mend));
        };
        let n = *number.get_ref() as usize;
        let count = config.strategies.len();
        if n == 0 || n > count || seen.contains(&n) {
            let what = format!("{n} is not one of {count} strategies without a row");
            let mend = "count the [[strategy]] tables from 1, one row each";
            return Err(issue(number.span(), "strategy", what, mend));
        }
        seen.push(n);
        config.strategies[n - 1] = limits;
    }
    Ok(())
}

fn instrument_rows(risk: &Risk, symbols: &[String], config: &mut RiskConfig) -> Result<(), Issue> {
    for given in &risk.instruments {
        let limits = row(given, &Place::Instrument)?;
        let Some(symbol) = &given.symbol else {
            let mend = "write symbol = \"BTCUSDT\"";
            return Err(issue(first_span(given), "symbol", "the row does not say of what", mend));
        };
        let name = symbol.get_ref();
        if !symbols.contains(name) || config.instruments.iter().any(|(known, _)| known == name) {
            let what = format!("`{name}` is not one of the venue's symbols without a row");
            let mend = "name a symbol of [venue], or venue:symbol of [[venues]], one row each";
            return Err(issue(symbol.span(), "symbol", what, mend));
        }
        config.instruments.push((name.clone(), limits));
    }
    Ok(())
}

/// Where a row stands.
#[derive(PartialEq, Eq)]
enum Place {
    Venue,
    Strategy,
    Instrument,
}

fn row(row: &Row, place: &Place) -> Result<ScopeLimits, Issue> {
    let at = |own: bool, key, span: Option<std::ops::Range<usize>>| match span {
        Some(span) if !own => {
            let what = "this key does not belong to this table";
            Err(issue(span, key, what, "remove it; deploy/config/demo.toml tells what belongs"))
        }
        _ => Ok(()),
    };
    let (of_instrument, of_strategy) = (*place == Place::Instrument, *place == Place::Strategy);
    let span = |value: &Option<Spanned<f64>>| value.as_ref().map(Spanned::span);
    at(of_strategy, "strategy", row.strategy.as_ref().map(Spanned::span))?;
    at(of_instrument, "symbol", row.symbol.as_ref().map(Spanned::span))?;
    at(of_instrument, "order_size_max", span(&row.order_size_max))?;
    at(of_instrument, "maintenance_margin_pct", span(&row.maintenance_margin_pct))?;
    for (key, value) in [
        ("gross_pct", &row.gross_pct),
        ("gross_max", &row.gross_max),
        ("net_pct", &row.net_pct),
        ("net_max", &row.net_max),
    ] {
        at(!of_instrument, key, span(value))?;
    }
    let margin = row.maintenance_margin_pct.as_ref();
    let rate = row.orders_per_second.as_ref();
    Ok(ScopeLimits {
        order_value_max: amount_or_none("order_notional_max", row.order_notional_max.as_ref())?,
        order_base_max: amount_or_none("order_size_max", row.order_size_max.as_ref())?,
        collar_e4: e4_or_none("collar_pct", row.collar_pct.as_ref(), 50.0)?,
        position_equity_e4: e4_or_none("position_pct", row.position_pct.as_ref(), SHARE_MAX)?,
        position_value_max: amount_or_none("position_max", row.position_max.as_ref())?,
        gross_equity_e4: e4_or_none("gross_pct", row.gross_pct.as_ref(), SHARE_MAX)?,
        gross_value_max: amount_or_none("gross_max", row.gross_max.as_ref())?,
        net_equity_e4: e4_or_none("net_pct", row.net_pct.as_ref(), SHARE_MAX)?,
        net_value_max: amount_or_none("net_max", row.net_max.as_ref())?,
        open_orders_max: row.open_orders_max.as_ref().map_or(Ok(0), open_orders)?,
        orders_per_s: rate
            .map_or(Ok(0), |r| bounded("orders_per_second", r, 1, 100_000, "orders"))?,
        maintenance_e4: e4_or_none("maintenance_margin_pct", margin, 100.0)?,
    })
}

/// Where the first value of a row stands; the file's start for an empty one.
fn first_span(row: &Row) -> std::ops::Range<usize> {
    let values = [
        &row.order_notional_max,
        &row.order_size_max,
        &row.collar_pct,
        &row.position_pct,
        &row.position_max,
        &row.gross_pct,
        &row.gross_max,
        &row.net_pct,
        &row.net_max,
        &row.maintenance_margin_pct,
    ];
    let counts = [&row.open_orders_max, &row.orders_per_second];
    let spans = values.iter().filter_map(|v| v.as_ref()).map(Spanned::span);
    let spans = spans.chain(counts.iter().filter_map(|v| v.as_ref()).map(Spanned::span));
    spans.min_by_key(|span| span.start).unwrap_or(0..0)
}

fn open_orders(value: &Spanned<u32>) -> Result<u32, Issue> {
    bounded("open_orders_max", value, 1, ORDERS_OPEN_MAX as u32 / 2, "orders")
}

/// Per cent as 10^-4. A share too small for that unit is refused: it would be none.
fn e4(key: &'static str, value: &Spanned<f64>, max: f64) -> Result<i64, Issue> {
    match (positive(key, value, max)? * 100.0).round() as i64 {
        0 => Err(issue(value.span(), key, "too small", "choose 0.01 or more")),
        e4 => Ok(e4),
    }
}

fn e4_or_none(key: &'static str, value: Option<&Spanned<f64>>, max: f64) -> Result<i64, Issue> {
    value.map_or(Ok(0), |v| e4(key, v, max))
}

/// A multiple as 10^-4, at least `min`.
fn times_e4(key: &'static str, value: &Spanned<f64>, min: f64) -> Result<i64, Issue> {
    let times = positive(key, value, 1_000.0)?;
    if times < min {
        let mend = format!("choose {min} to 1000");
        return Err(issue(value.span(), key, format!("{times} is out of range"), mend));
    }
    Ok((times * 10_000.0).round() as i64)
}

/// Whole units as an amount, to a millionth. One too small for that is refused.
fn amount(key: &'static str, value: &Spanned<f64>) -> Result<Amount, Issue> {
    match (positive(key, value, AMOUNT_MAX)? * 1e6).round() as Amount {
        0 => Err(issue(value.span(), key, "too small", "choose 0.000001 or more")),
        millionths => Ok(millionths * 10i128.pow(10)),
    }
}

fn amount_or_none(key: &'static str, value: Option<&Spanned<f64>>) -> Result<Amount, Issue> {
    value.map_or(Ok(0), |v| amount(key, v))
}
