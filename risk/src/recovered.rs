//! What a start found out about the account beside what its last run knew: fills that happened
//! after the end of its journal, money that nobody explains, and instruments that must not trade
//! before a person has looked.
//!
//! ```text
//! balances (the venue's word) = start + late fills + doubts
//! ```
//! The ledger begins with `start`, books the late fills as any other, each for its strategy, and
//! leaves the doubts out until a person accepts them: it is exact, and so is its profit.

use bot4_types::instrument::Amount;
use bot4_types::{
    AssetId, HeldPosition, InstrumentId, InstrumentTable, OrderId, OrderReport, OrderState, Price,
    Qty, ReportKind, Side, StrategyId, notional,
};

use crate::ledger::clamped;
use crate::money::{base_amount, quote_amount};
use crate::position::Position;

/// A fill of an order of an earlier run, which that run did not come to book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateFill {
    /// Whose order it was.
    pub strategy: StrategyId,
    /// In which instrument.
    pub instrument: InstrumentId,
    /// The order's number in its run.
    pub order: OrderId,
    /// The venue's trade id.
    pub trade_id: u64,
    /// Bought or sold.
    pub side: Side,
    /// How much.
    pub qty: Qty,
    /// At which price.
    pub price: Price,
    /// Fee in `fee_asset`; negative is a rebate.
    pub fee: Amount,
    /// What the fee was paid with; [`AssetId::NONE`] when it is not in the table.
    pub fee_asset: AssetId,
    /// The order rested.
    pub maker: bool,
}

impl LateFill {
    /// As the report that its run would have booked.
    #[must_use]
    pub fn report(&self) -> OrderReport {
        OrderReport {
            at: bot4_types::Nanos::ZERO,
            order: self.order,
            venue_order: 0,
            price: self.price,
            qty: self.qty,
            cum_qty: self.qty,
            last_qty: self.qty,
            last_price: self.price,
            trade_id: self.trade_id,
            fee: self.fee,
            seq: 0,
            instrument: self.instrument,
            strategy: self.strategy,
            fee_asset: self.fee_asset,
            kind: ReportKind::Fill,
            state: OrderState::Filled,
            reason: bot4_types::DoneReason::None,
            side: self.side,
            maker: self.maker,
        }
    }

    /// What it moved: of the base, of the quote, and the fee.
    #[must_use]
    pub fn moved(&self, table: &InstrumentTable) -> [(AssetId, Amount); 3] {
        let Some(i) = table.get(self.instrument) else { return [(AssetId::NONE, 0); 3] };
        let sign = i128::from(self.side.sign());
        [
            (i.base, sign * base_amount(i, i128::from(self.qty.0))),
            (i.quote, -sign * quote_amount(i, notional(self.price, self.qty))),
            (self.fee_asset, -self.fee),
        ]
    }
}

/// What a start found out. The default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Fills of the account's last run that it did not come to book, in the order of their time.
    pub late: Vec<LateFill>,
    /// What came (positive) or went, by asset, and nobody explains.
    pub doubts: Vec<(AssetId, Amount)>,
    /// Instruments that stand still until a person has looked.
    pub stopped: Vec<InstrumentId>,
}

impl Recovered {
    /// What is held after the late fills, where `held` was before them.
    #[must_use]
    pub fn held_after(&self, held: &[HeldPosition]) -> Vec<HeldPosition> {
        let mut all: Vec<((StrategyId, InstrumentId), Position)> = Vec::new();
        let mut at =
            |strategy: StrategyId, instrument: InstrumentId, change: &dyn Fn(&mut Position)| {
                let key = (strategy, instrument);
                let place = all.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
                    all.push((key, Position::default()));
                    all.len() - 1
                });
                change(&mut all[place].1);
            };
        for h in held {
            at(h.strategy, h.instrument, &|p| p.take_over(h.qty, h.cost));
        }
        for fill in &self.late {
            at(fill.strategy, fill.instrument, &|p| p.apply(fill.side, fill.qty, fill.price));
        }
        let row = |((strategy, instrument), p): ((StrategyId, InstrumentId), Position)| {
            HeldPosition { strategy, instrument, qty: clamped(p.qty), cost: p.cost }
        };
        all.into_iter().filter(|(_, p)| p.qty != 0).map(row).collect()
    }
}
