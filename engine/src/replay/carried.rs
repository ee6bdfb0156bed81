//! What a run takes over from the account's earlier runs, as rows of the journal's document.

use bot4_risk::EquityStart;
use bot4_types::instrument::Amount;
use bot4_types::{AssetId, HeldPosition, InstrumentId, Qty, StrategyId, Wall};
use serde::{Deserialize, Serialize};

use super::shapes::big;

/// A balance in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Id of the asset.
    pub asset: u8,
    /// Free and locked together, 10^-16.
    #[serde(with = "big")]
    pub amount: Amount,
}

impl Held {
    /// `amount` of `asset`.
    #[must_use]
    pub fn of(&(asset, amount): &(AssetId, Amount)) -> Self {
        Self { asset: asset.0, amount }
    }

    /// The asset and its amount.
    #[must_use]
    pub const fn pair(&self) -> (AssetId, Amount) {
        (AssetId(self.asset), self.amount)
    }
}

/// What an equity curve starts from, in the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EquityRow {
    /// Unix time of the engine's time zero, ns.
    pub wall_unix_ns: i64,
    /// Highest equity of the account's earlier runs, 10^-16.
    #[serde(with = "big")]
    pub peak: Amount,
    /// UTC day of `day_open`, days since 1970-01-01.
    pub day: i64,
    /// Equity at the beginning of that day, 10^-16.
    #[serde(with = "big")]
    pub day_open: Amount,
    /// What came to or left the account since its last run.
    pub flows: Vec<Held>,
}

impl EquityRow {
    /// The row of `start`.
    #[must_use]
    pub fn of(start: &EquityStart) -> Self {
        Self {
            wall_unix_ns: start.wall.origin_unix_ns,
            peak: start.peak,
            day: start.day,
            day_open: start.day_open,
            flows: start.flows.iter().map(Held::of).collect(),
        }
    }

    /// What the row says.
    #[must_use]
    pub fn start(&self) -> EquityStart {
        EquityStart {
            wall: Wall { origin_unix_ns: self.wall_unix_ns },
            peak: self.peak,
            day: self.day,
            day_open: self.day_open,
            flows: self.flows.iter().map(Held::pair).collect(),
        }
    }
}

/// A position that a strategy holds from an earlier run, in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldRow {
    /// The strategy's number.
    pub strategy: u8,
    /// The instrument's number.
    pub instrument: u16,
    /// Net quantity; negative is short.
    pub qty: i64,
    /// What it cost, in units of 10^-(price + quantity decimals).
    #[serde(with = "big")]
    pub cost: i128,
}

impl HeldRow {
    /// The row of `held`.
    #[must_use]
    pub const fn of(held: &HeldPosition) -> Self {
        let (strategy, instrument) = (held.strategy.0, held.instrument.0);
        Self { strategy, instrument, qty: held.qty.0, cost: held.cost }
    }

    /// What the row says.
    #[must_use]
    pub const fn held(&self) -> HeldPosition {
        HeldPosition {
            strategy: StrategyId(self.strategy),
            instrument: InstrumentId(self.instrument),
            qty: Qty(self.qty),
            cost: self.cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back() {
        let (strategy, instrument) = (StrategyId(3), InstrumentId(70));
        let held = HeldPosition { strategy, instrument, qty: Qty(-7), cost: i128::MIN };
        let text = serde_json::to_string(&HeldRow::of(&held)).expect("plain");
        let back: HeldRow = serde_json::from_str(&text).expect("readable");
        assert_eq!(back.held(), held);
    }
}
