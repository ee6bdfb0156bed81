//! What the chain before risk starts from, in the journal of a run that is captured.

use std::time::Duration;

use bot4_signals::{Exits, Native};
use bot4_venues::registry::Venue;
use serde::{Deserialize, Serialize};

use crate::config::StrategyConfig;
use crate::config::worked::{WorkedConfig, exact};
use crate::run::chain::Routing;
use crate::run::plant::Plant;
use crate::run::sharding::ShardRow;

/// Part of [`RunInputs`](crate::replay::inputs::RunInputs).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainInputs {
    /// Name of the venue, or of the first.
    pub venue: String,
    /// Names of the further ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<String>,
    /// Taker fees by venue, 10^-8 of the price; captures of earlier versions say none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taker_e8: Vec<i64>,
    /// Strategies in order.
    pub strategies: Vec<StrategyRow>,
    /// Lanes and connections of each instrument; round robin where it is not said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardRow>,
    /// Distance of stops by strategy; captures of earlier versions say none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_bps: Vec<u32>,
    /// Targets and native exits by strategy; captures of earlier versions say none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<ExitRow>,
    /// How far through the touch a stop closes what is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flatten_slip_bps: Option<u32>,
    /// By how much the rings are smaller than in the table.
    pub ring_divisor: usize,
    /// A planted mistake: a test aid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plant: Option<String>,
}

impl ChainInputs {
    /// How far the router may go.
    #[must_use]
    pub fn routing(&self) -> Routing {
        Routing {
            stop_bps: self.stop_bps.clone(),
            exits: self.exits.iter().map(ExitRow::exits).collect(),
            flatten_slip_bps: self.flatten_slip_bps,
            taker_e8: self.taker_e8.clone(),
        }
    }

    /// The venues and what is planted.
    ///
    /// # Errors
    /// A sentence, when this program knows one of them not.
    pub fn known(&self) -> Result<(Vec<Venue>, Option<Plant>), String> {
        let names = std::iter::once(&self.venue).chain(&self.further);
        let known = names.map(|name| crate::config::resolve::known_venue(name));
        let venues = known.collect::<Result<_, _>>()?;
        let plant = match &self.plant {
            None => None,
            Some(name) => Some(Plant::from_name(name).ok_or(format!("no plant `{name}`"))?),
        };
        Ok((venues, plant))
    }
}

/// The exits of a strategy in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitRow {
    take_profit_bps: u32,
    native: String,
}

impl ExitRow {
    /// The row of `exits`.
    #[must_use]
    pub fn of(exits: &Exits) -> Self {
        let native = exits.native.name().to_owned();
        Self { take_profit_bps: exits.take_profit_bps, native }
    }

    fn exits(&self) -> Exits {
        let native = Native::from_name(&self.native).unwrap_or_default();
        Exits { take_profit_bps: self.take_profit_bps, native }
    }
}

/// A strategy in the document.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StrategyRow(#[serde(with = "StrategyText")] pub StrategyConfig);

/// Parameters are finite numbers.
impl Eq for StrategyRow {}

// The shape of the configuration's type; see the remarks in `replay/shapes.rs`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "StrategyConfig", rename_all = "snake_case", deny_unknown_fields)]
enum StrategyText {
    MarketMaker {
        #[serde(with = "exact")]
        quote_notional: f64,
        #[serde(with = "exact")]
        spread_share: f64,
        #[serde(with = "exact")]
        position_max_notional: f64,
        requote_ticks: u32,
        quote_life_min: Duration,
        #[serde(default)]
        amend: bool,
    },
    EmaCross {
        #[serde(with = "exact")]
        notional: f64,
        #[serde(with = "exact")]
        band_share: f64,
        cooldown: Duration,
        #[serde(default)]
        kelly: bool,
    },
    Worked(WorkedConfig),
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{Algo, Deadline, Peg, Symbol, Urgency};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parameters_read_back_to_the_bit(
            a in 1e-9f64..1e12, b in 1e-9f64..1e12, ns in 0u64..1 << 50,
        ) {
            let life = Duration::from_nanos(ns);
            let (notional, band_share, cooldown, kelly) = (a, b, life, ns % 2 == 0);
            let taker = StrategyConfig::EmaCross { notional, band_share, cooldown, kelly };
            let inputs = ChainInputs {
                venue: "binance".into(),
                further: vec!["okx".into()],
                taker_e8: vec![100_000, -5],
                strategies: vec![
                    StrategyRow(taker),
                    StrategyRow(StrategyConfig::MarketMaker {
                        quote_notional: b,
                        spread_share: a / b,
                        position_max_notional: a,
                        requote_ticks: 7,
                        quote_life_min: life,
                        amend: ns % 2 == 1,
                    }),
                    StrategyRow(StrategyConfig::Worked(WorkedConfig {
                        algo: Algo::ALL[(ns % 6) as usize],
                        sells: ns % 2 == 0,
                        notional: a,
                        display_notional: b,
                        limit_pct: (ns % 3 == 0).then_some(-a / b),
                        symbol: (ns % 4 == 0).then(|| Symbol::new("BTCUSDT").expect("short")),
                        over: life,
                        repeat: (ns % 2 == 1).then_some(life),
                        deadline: Deadline::GiveUp,
                        urgency: Urgency::Passive,
                        rate_e4: 77,
                        peg: Peg::Touch,
                        offset_ticks: -3,
                        amend: ns % 2 == 0,
                        curve: [9; 24],
                    })),
                ],
                shards: vec![ShardRow { book: 1, conns: vec![0, 1] }],
                stop_bps: vec![300, 25],
                exits: vec![ExitRow::of(&Exits { take_profit_bps: 7, native: Native::Stop })],
                flatten_slip_bps: Some(50),
                ring_divisor: 3,
                plant: Some("order".into()),
            };
            let text = serde_json::to_string(&inputs).expect("plain");
            prop_assert_eq!(&serde_json::from_str::<ChainInputs>(&text).expect("read"), &inputs);
            let venues = vec![Venue::Binance, Venue::Okx];
            prop_assert_eq!(inputs.known().expect("known"), (venues, Some(Plant::Order)));
        }
    }
}
