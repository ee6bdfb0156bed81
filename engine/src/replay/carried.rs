//! What a run takes over from the account's earlier runs, as rows of the journal's document.

use bot4_risk::{EquityStart, LateFill, Recovered};
use bot4_types::instrument::Amount;
use bot4_types::{
    AssetId, HeldPosition, InstrumentId, OrderId, Price, Qty, Side, StrategyId, Wall,
};
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

/// A fill of an earlier run that it did not come to book, in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateRow {
    /// The strategy's number.
    pub strategy: u8,
    /// The instrument's number.
    pub instrument: u16,
    /// The order's number in its run.
    pub order: u64,
    /// The venue's trade id.
    pub trade_id: u64,
    /// It bought.
    pub buy: bool,
    /// Quantity in the instrument's units.
    pub qty: i64,
    /// Price in the instrument's units.
    pub price: i64,
    /// Fee, 10^-16.
    #[serde(with = "big")]
    pub fee: Amount,
    /// Id of the asset that the fee was paid with.
    pub fee_asset: u8,
    /// The order rested.
    pub maker: bool,
}

impl LateRow {
    /// The row of `fill`.
    #[must_use]
    pub const fn of(fill: &LateFill) -> Self {
        Self {
            strategy: fill.strategy.0,
            instrument: fill.instrument.0,
            order: fill.order.0,
            trade_id: fill.trade_id,
            buy: matches!(fill.side, Side::Buy),
            qty: fill.qty.0,
            price: fill.price.0,
            fee: fill.fee,
            fee_asset: fill.fee_asset.0,
            maker: fill.maker,
        }
    }

    /// What the row says.
    #[must_use]
    pub const fn fill(&self) -> LateFill {
        LateFill {
            strategy: StrategyId(self.strategy),
            instrument: InstrumentId(self.instrument),
            order: OrderId(self.order),
            trade_id: self.trade_id,
            side: if self.buy { Side::Buy } else { Side::Sell },
            qty: Qty(self.qty),
            price: Price(self.price),
            fee: self.fee,
            fee_asset: AssetId(self.fee_asset),
            maker: self.maker,
        }
    }
}

/// What the start found out about the account, in the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveredRow {
    /// Fills that the account's last run did not come to book.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateRow>,
    /// What came or went and nobody explains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Held>,
    /// Instruments that stand still, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<u16>,
}

impl RecoveredRow {
    /// The row of `found`; none where nothing was found.
    #[must_use]
    pub fn of(found: &Recovered) -> Option<Self> {
        (*found != Recovered::default()).then(|| Self {
            late: found.late.iter().map(LateRow::of).collect(),
            doubts: found.doubts.iter().map(Held::of).collect(),
            stopped: found.stopped.iter().map(|i| i.0).collect(),
        })
    }

    /// What the row says.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        Recovered {
            late: self.late.iter().map(LateRow::fill).collect(),
            doubts: self.doubts.iter().map(Held::pair).collect(),
            stopped: self.stopped.iter().map(|i| InstrumentId(*i)).collect(),
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

    #[test]
    fn what_a_start_found_out_reads_back() {
        assert_eq!(RecoveredRow::of(&Recovered::default()), None);
        let late = LateFill {
            strategy: StrategyId(3),
            instrument: InstrumentId(70),
            order: OrderId(u64::MAX),
            trade_id: 12,
            side: Side::Sell,
            qty: Qty(5),
            price: Price(6),
            fee: i128::MIN,
            fee_asset: AssetId::NONE,
            maker: true,
        };
        let found = Recovered {
            late: vec![late, LateFill { side: Side::Buy, maker: false, ..late }],
            doubts: vec![(AssetId(1), -4)],
            stopped: vec![InstrumentId(9)],
        };
        let text = serde_json::to_string(&RecoveredRow::of(&found)).expect("plain");
        let back: Option<RecoveredRow> = serde_json::from_str(&text).expect("readable");
        assert_eq!(back.expect("something").recovered(), found);
    }
}
