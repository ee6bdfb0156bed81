//! The ledger's naive twin: keeps every approval and every report, and works everything out anew
//! from the whole list. Slow and obvious; for tests and for checking a journal.

use std::collections::BTreeMap;

use bot4_types::instrument::Amount;
use bot4_types::{
    AssetId, InstrumentId, InstrumentTable, OrderId, OrderIntent, OrderReport, OrderState,
    ReportKind, Side, StrategyId, notional,
};

use crate::limits::RiskLimits;
use crate::money::mul_div_up;

/// Everything ever approved and reported.
#[derive(Clone, Debug)]
pub struct NaiveLedger {
    table: InstrumentTable,
    limits: RiskLimits,
    balances: Vec<(AssetId, Amount)>,
    approved: BTreeMap<OrderId, OrderIntent>,
    reports: Vec<OrderReport>,
}

/// What follows from it. A missing key means zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NaiveState {
    /// Net quantity by strategy and instrument.
    pub positions: BTreeMap<(StrategyId, InstrumentId), i128>,
    /// Quantity that may still fill, by instrument and side.
    pub leaves: BTreeMap<(InstrumentId, Side), i128>,
    /// Start + fills - fees.
    pub balances: BTreeMap<AssetId, Amount>,
    /// Reserved for open orders.
    pub reserved: BTreeMap<AssetId, Amount>,
    /// Fees paid.
    pub fees: BTreeMap<AssetId, Amount>,
    /// Different fills.
    pub fills: u64,
    /// Orders not ended.
    pub open: usize,
    /// Orders of unknown fate.
    pub unknown: usize,
}

impl NaiveLedger {
    /// Starts with `balances`.
    #[must_use]
    pub fn new(
        table: &InstrumentTable,
        balances: &[(AssetId, Amount)],
        limits: &RiskLimits,
    ) -> Self {
        Self {
            table: table.clone(),
            limits: *limits,
            balances: balances.to_vec(),
            approved: BTreeMap::new(),
            reports: Vec::new(),
        }
    }

    /// Keeps an approved order.
    pub fn approve(&mut self, intent: &OrderIntent) {
        self.approved.insert(intent.order, *intent);
    }

    /// Keeps a report.
    pub fn on_report(&mut self, report: &OrderReport) {
        self.reports.push(*report);
    }

    /// Works everything out.
    #[must_use]
    pub fn state(&self) -> NaiveState {
        let mut state = NaiveState::default();
        for (asset, amount) in &self.balances {
            *state.balances.entry(*asset).or_default() += amount;
        }
        for (order, intent) in &self.approved {
            let reports: Vec<&OrderReport> =
                self.reports.iter().filter(|r| r.order == *order).collect();
            self.add_order(&mut state, intent, &reports);
        }
        state
    }

    fn add_order(&self, state: &mut NaiveState, intent: &OrderIntent, reports: &[&OrderReport]) {
        let Some(instrument) = self.table.get(intent.instrument) else { return };
        let fills: BTreeMap<u64, &OrderReport> = reports
            .iter()
            .filter(|r| r.kind == ReportKind::Fill)
            .map(|r| (r.trade_id, *r))
            .collect();
        let sign = i128::from(intent.side.sign());
        let mut filled = 0;
        for fill in fills.values() {
            filled += i128::from(fill.last_qty.0);
            let value = instrument.quote_amount(notional(fill.last_price, fill.last_qty));
            let base = instrument.base_amount(fill.last_qty);
            *state.balances.entry(instrument.base).or_default() += sign * base;
            *state.balances.entry(instrument.quote).or_default() -= sign * value;
            *state.balances.entry(fill.fee_asset).or_default() -= fill.fee;
            *state.fees.entry(fill.fee_asset).or_default() += fill.fee;
        }
        state.fills += fills.len() as u64;
        let key = (intent.strategy, intent.instrument);
        *state.positions.entry(key).or_default() += sign * filled;
        let newest = reports.iter().max_by_key(|r| r.seq).map_or(OrderState::Approved, |r| r.state);
        let ended = reports.iter().any(|r| r.state.is_terminal());
        let cum = reports.iter().map(|r| i128::from(r.cum_qty.0)).max().unwrap_or(0);
        let target = if ended { cum } else { i128::from(intent.qty.0).max(cum) };
        let leaves = target - filled;
        state.open += usize::from(!ended);
        state.unknown += usize::from(!ended && newest == OrderState::Unknown);
        *state.leaves.entry((intent.instrument, intent.side)).or_default() += leaves;
        let (asset, amount) = self.reservation(intent, leaves);
        *state.reserved.entry(asset).or_default() += amount;
    }

    fn reservation(&self, intent: &OrderIntent, leaves: i128) -> (AssetId, Amount) {
        let Some(instrument) = self.table.get(intent.instrument) else {
            return (AssetId::NONE, 0);
        };
        if intent.side == Side::Sell {
            return (instrument.base, instrument.base_amount(crate::ledger::clamped(leaves)));
        }
        let slippage = i128::from(10_000 + self.limits.market_slippage_e4);
        let price = match intent.kind.is_market() {
            true => {
                let price = i128::from(intent.price.0.max(intent.trigger.0));
                mul_div_up(price, slippage, 10_000)
            }
            false => i128::from(intent.price.0),
        };
        let value = instrument.quote_amount(price * leaves);
        let allowance = i128::from(1_000_000 + self.limits.fee_allowance_e6);
        (instrument.quote, mul_div_up(value, allowance, 1_000_000))
    }
}
