//! What the risk lane starts from, and its validation.

use core::fmt;

use bot4_types::instrument::Amount;
use bot4_types::limits::STRATEGIES_MAX;
use bot4_types::{AssetId, ControlMode, HeldPosition, InstrumentId, InstrumentTable, StrategyId};

use crate::breaker::{BreakerLimitError, BreakerLimits};
use crate::equity::EquityStart;
use crate::limits::{LimitError, RiskLimits};
use crate::recovered::{LateFill, Recovered};
use crate::scopes::{LimitBook, Scopes};

/// Everything the risk lane starts from.
#[derive(Clone, Debug)]
pub struct RiskConfig {
    /// The account's limits.
    pub limits: RiskLimits,
    /// The limits of venue, strategies and instruments.
    pub scopes: Scopes,
    /// When circuit breakers open.
    pub breakers: BreakerLimits,
    /// Who may increase risk at the start.
    pub mode: ControlMode,
    /// The instruments and assets of the run.
    pub table: InstrumentTable,
    /// What is held at start, per asset.
    pub balances: Vec<(AssetId, Amount)>,
    /// The reporting asset: equity, limits and profit are told in it.
    pub quote: AssetId,
    /// Number of strategies, the operator's account among them.
    pub strategies: usize,
    /// The last of them is the operator's: how his orders fare says nothing about all of trading.
    pub operator: bool,
    /// The wall clock, and what the account's last run left behind.
    pub equity: EquityStart,
    /// What strategies hold from earlier runs of the account.
    pub held: Vec<HeldPosition>,
    /// What the start found out beside that.
    pub recovered: Recovered,
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A limit that cannot be meant.
    Limit(LimitError),
    /// A breaker that cannot be meant.
    Breaker(BreakerLimitError),
    /// The reporting asset, the asset of a balance or flow, or an instrument's base or quote is
    /// not in the table.
    UnknownAsset(AssetId),
    /// A start balance is negative.
    NegativeBalance(AssetId),
    /// A position held from an earlier run is of a strategy or instrument that this run has not.
    UnknownHolder,
    /// No strategy, or more than [`STRATEGIES_MAX`].
    Strategies(usize),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(error) => write!(f, "risk limit: {error}"),
            Self::Breaker(error) => write!(f, "circuit breakers: {error}"),
            Self::UnknownAsset(a) => write!(f, "asset {} is not in the asset table", a.0),
            Self::NegativeBalance(a) => write!(f, "start balance of asset {} is negative", a.0),
            Self::UnknownHolder => {
                f.write_str("a position of an earlier run has no strategy or instrument here")
            }
            Self::Strategies(n) => {
                write!(f, "{n} strategies: between 1 and {STRATEGIES_MAX} are possible")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl RiskConfig {
    /// Checks limits, assets, balances and the number of strategies.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate().map_err(ConfigError::Limit)?;
        self.scopes.validate().map_err(ConfigError::Limit)?;
        self.breakers.validate().map_err(ConfigError::Breaker)?;
        let pairs = self.table.all().iter().flat_map(|i| [i.base, i.quote]);
        let doubts = &self.recovered.doubts;
        let held = self.balances.iter().chain(&self.equity.flows).chain(doubts);
        let held = held.map(|(asset, _)| *asset);
        for asset in pairs.chain(held).chain([self.quote]) {
            if usize::from(asset.0) >= self.table.assets_len() {
                return Err(ConfigError::UnknownAsset(asset));
            }
        }
        if let Some((asset, _)) = self.balances.iter().find(|(_, amount)| *amount < 0) {
            return Err(ConfigError::NegativeBalance(*asset));
        }
        if !(1..=STRATEGIES_MAX).contains(&self.strategies) {
            return Err(ConfigError::Strategies(self.strategies));
        }
        let known = |strategy: StrategyId, instrument| {
            usize::from(strategy.0) < self.strategies && self.table.get(instrument).is_some()
        };
        let held = |h: &HeldPosition| known(h.strategy, h.instrument);
        let late = |f: &LateFill| known(f.strategy, f.instrument);
        let stopped = |i: &InstrumentId| self.table.get(*i).is_some();
        let found = &self.recovered;
        if !self.held.iter().all(held)
            || !found.late.iter().all(late)
            || !found.stopped.iter().all(stopped)
        {
            return Err(ConfigError::UnknownHolder);
        }
        Ok(())
    }

    /// All limits with a row for each strategy and instrument.
    #[must_use]
    pub fn limit_book(&self) -> LimitBook {
        LimitBook::new(&self.limits, &self.scopes, self.strategies, self.table.all().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{Qty, Symbol};

    fn config() -> RiskConfig {
        let mut table = InstrumentTable::new();
        let quote = table.asset(Symbol::new("USDT").expect("short")).expect("room");
        let limits = RiskLimits::default();
        RiskConfig {
            limits,
            scopes: Scopes::default(),
            breakers: BreakerLimits::default(),
            mode: ControlMode::FullAuto,
            table,
            balances: vec![(quote, 1)],
            quote,
            strategies: 1,
            operator: false,
            equity: EquityStart::default(),
            held: Vec::new(),
            recovered: Recovered::default(),
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(config().validate(), Ok(()));
        let bad = |change: fn(&mut RiskConfig)| {
            let mut config = config();
            change(&mut config);
            config.validate()
        };
        assert_eq!(bad(|c| c.strategies = 0), Err(ConfigError::Strategies(0)));
        assert_eq!(bad(|c| c.strategies = 33), Err(ConfigError::Strategies(33)));
        assert_eq!(bad(|c| c.quote = AssetId(1)), Err(ConfigError::UnknownAsset(AssetId(1))));
        let stray = HeldPosition {
            strategy: StrategyId(0),
            instrument: InstrumentId(0),
            qty: Qty(1),
            cost: 1,
        };
        let strayed = RiskConfig { held: vec![stray], ..config() };
        assert_eq!(strayed.validate(), Err(ConfigError::UnknownHolder));
        let flow = bad(|c| c.equity.flows.push((AssetId(1), 1)));
        assert_eq!(flow, Err(ConfigError::UnknownAsset(AssetId(1))));
        let negative = bad(|c| c.balances[0].1 = -1);
        assert_eq!(negative, Err(ConfigError::NegativeBalance(AssetId(0))));
        let limit = bad(|c| c.limits.collar_e4 = 0);
        assert_eq!(limit, Err(ConfigError::Limit(LimitError::Collar)));
        let breaker = bad(|c| c.breakers.calls_min = 0);
        assert_eq!(breaker, Err(ConfigError::Breaker(BreakerLimitError::CallsMin)));
    }
}
