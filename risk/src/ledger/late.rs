//! Fills that come late: of orders that are forgotten, and of an earlier run, booked at the start.

use bot4_types::{DoneReason, OrderId, OrderReport, ReportKind};

use super::{Ledger, ORPHANS_KEPT};
use crate::recovered::LateFill;

impl Ledger {
    /// Books `fill`, which the start balances hold already: they begin that much earlier. False,
    /// and nothing done, when its numbers are mad.
    pub fn book_late(&mut self, fill: &LateFill) -> bool {
        let report = fill.report();
        if !self.is_sane(&report) {
            self.counts.invalid += 1;
            return false;
        }
        for (asset, amount) in fill.moved(&self.table) {
            self.follow(asset, amount.saturating_neg());
        }
        self.book(fill.strategy, &report);
        true
    }

    /// A report of an order that is not in the table.
    pub(super) fn on_stray(&mut self, report: &OrderReport) -> bool {
        let late = report.kind == ReportKind::Fill && report.reason == DoneReason::Late;
        if !late && report.order <= self.approved_last && report.order != OrderId(0) {
            // It ended, was complete and has been forgotten: nothing can be missing of it.
            self.counts.strays += 1;
            return false;
        }
        if report.kind != ReportKind::Fill {
            return false;
        }
        if self.table.get(report.instrument).is_none() || !self.is_sane(report) {
            self.counts.invalid += 1;
            return false;
        }
        let key = (report.order, report.instrument, report.trade_id);
        let strangers = (self.counts.orphans + self.counts.late_strangers) as usize;
        if self.orphans[..strangers.min(ORPHANS_KEPT)].contains(&key) {
            self.counts.duplicates += 1;
            return false;
        }
        self.orphans[strangers % ORPHANS_KEPT] = key;
        if late {
            self.counts.late_fills += 1;
            self.counts.late_strangers += 1;
        } else {
            self.counts.orphans += 1;
        }
        self.counts.fills += 1;
        self.book(report.strategy, report);
        true
    }
}

#[cfg(test)]
mod tests {
    use bot4_types::{
        AssetId, HeldPosition, InstrumentId, InstrumentTable, OrderId, Price, Qty, Side,
        StrategyId, Symbol,
    };

    use crate::checks::fixture::{ONE, instrument};
    use crate::ledger::Ledger;
    use crate::limits::{RiskLimits, units};
    use crate::recovered::{LateFill, Recovered};

    fn fill(side: Side, lots: i64, price: i64) -> LateFill {
        LateFill {
            strategy: StrategyId(1),
            instrument: InstrumentId(0),
            order: OrderId(7),
            trade_id: 9,
            side,
            qty: Qty(lots * ONE),
            price: Price(price * ONE),
            fee: units(1),
            fee_asset: AssetId(1),
            maker: true,
        }
    }

    /// Two were held at 100; one of them is sold at 110 in the gap, or three are.
    #[test]
    fn position_lots_profit_cash_and_fee_are_the_strategy_s() {
        for (lots, left) in [(1, 1), (3, -1)] {
            let mut table = InstrumentTable::new();
            for name in ["ABC", "USDT"] {
                table.asset(Symbol::new(name).expect("short")).expect("room");
            }
            table.push(instrument()).expect("room");
            let now = [(AssetId(0), units(5)), (AssetId(1), units(1_000))];
            let mut ledger = Ledger::new(&table, 2, &now, &RiskLimits::default());
            let cost = i128::from(2 * ONE) * i128::from(100 * ONE);
            let held = [HeldPosition {
                strategy: StrategyId(1),
                instrument: InstrumentId(0),
                qty: Qty(2 * ONE),
                cost,
            }];
            ledger.take_over(&held);
            let late = fill(Side::Sell, lots, 110);
            assert!(ledger.book_late(&late));
            for (asset, amount) in now {
                assert_eq!(ledger.expected_balance(asset), amount, "the venue's word holds");
            }
            assert_eq!(ledger.fees(AssetId(1)), units(1));
            let own = ledger.exposure(StrategyId(1), InstrumentId(0)).expect("there").position;
            let fifo = ledger.strategy_fifo(StrategyId(1), InstrumentId(0)).expect("there");
            let gain = i128::from(lots.min(2) * ONE) * i128::from(10 * ONE);
            assert_eq!((own.qty, own.realized), (i128::from(left * ONE), gain));
            assert_eq!((fifo.qty, fifo.realized), (own.qty, own.realized));
            assert_eq!(ledger.position(StrategyId(0), InstrumentId(0)), Qty(0));
            let found = Recovered { late: vec![late], ..Recovered::default() };
            let after = found.held_after(&held);
            assert_eq!((after[0].qty, after[0].cost), (Qty(left * ONE), own.cost));
            assert!(!ledger.book_late(&LateFill { qty: Qty(0), ..late }), "mad");
        }
    }
}
