//! Profit and fees in the reporting asset, worked out when asked for. Sums saturate: a venue's
//! absurd number must not stop the ledger. Profit rounds down, fees round up.

use bot4_types::AssetId;
use bot4_types::instrument::Amount;

use crate::ledger::Ledger;
use crate::money::quote_amount;
use crate::valuation::{Valuation, mark_price};

/// Profit at one kind of cost, in the reporting asset, before fees and funding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gain {
    /// Realised by closing.
    pub realized: Amount,
    /// Of what is held, by the newest marks handed in.
    pub unrealized: Amount,
}

/// Profit and fees in the reporting asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pnl {
    /// Realised by closing, at average cost, before fees.
    pub realized: Amount,
    /// Of what is held, by the newest marks handed in.
    pub unrealized: Amount,
    /// The same first-in-first-out.
    pub fifo: Gain,
    /// Fees paid, each converted by mark; a rebate counts negative.
    pub fees: Amount,
    /// Funding received; what was paid counts negative.
    pub funding: Amount,
    /// Parts left out because their asset has no path or no mark.
    pub unvalued: u32,
}

impl Pnl {
    /// What `ledger` has earned, by the marks of `valuation`.
    #[must_use]
    pub fn of(ledger: &Ledger, valuation: &Valuation) -> Self {
        let mut pnl = Self::default();
        for instrument in ledger.table().all() {
            let (Some(exposure), Some(fifo)) =
                (ledger.total(instrument.id), ledger.fifo(instrument.id))
            else {
                continue;
            };
            let position = exposure.position;
            let mut worth = |notional| {
                let amount = quote_amount(instrument, notional);
                pnl.value(valuation, instrument.quote, amount)
            };
            let (realized, fifo_realized) = (worth(position.realized), worth(fifo.realized));
            pnl.realized = pnl.realized.saturating_add(realized);
            pnl.fifo.realized = pnl.fifo.realized.saturating_add(fifo_realized);
            if position.qty == 0 {
                continue;
            }
            let Some(price) = valuation.mark(instrument.id).and_then(mark_price) else {
                pnl.unvalued += 1;
                continue;
            };
            let mut worth = |notional| {
                let amount = quote_amount(instrument, notional);
                pnl.value(valuation, instrument.quote, amount)
            };
            let open = [position.unrealized(price), fifo.unrealized(price)].map(&mut worth);
            pnl.unrealized = pnl.unrealized.saturating_add(open[0]);
            pnl.fifo.unrealized = pnl.fifo.unrealized.saturating_add(open[1]);
        }
        for asset in (0..ledger.table().assets_len()).map(|a| AssetId(a as u8)) {
            // A fee rounds up: what is owed, negated, rounds down.
            let fees = pnl.value(valuation, asset, ledger.fees(asset).saturating_neg());
            pnl.fees = pnl.fees.saturating_sub(fees);
            let funding = pnl.value(valuation, asset, ledger.funding(asset));
            pnl.funding = pnl.funding.saturating_add(funding);
        }
        pnl
    }

    /// `amount` of `asset` in the reporting asset; what cannot be valued is counted.
    fn value(&mut self, valuation: &Valuation, asset: AssetId, amount: Amount) -> Amount {
        if amount == 0 {
            return 0;
        }
        valuation.value(asset, amount).unwrap_or_else(|| {
            self.unvalued += 1;
            0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::fixture::{Fixture, ONE, filled, instrument};
    use crate::limits::{RiskLimits, units};
    use crate::orders::OrderSlot;
    use bot4_types::{
        InstrumentId, InstrumentTable, OrderId, OrderReport, Side, StrategyId, Symbol,
    };

    fn fill(order: u64, side: Side, lots: i64, price: i64) -> OrderReport {
        let mut slot = OrderSlot::new(OrderId(order), InstrumentId(0), StrategyId(0), side);
        (slot.qty, slot.limit) = (lots * ONE, price * ONE);
        OrderReport { fee: units(1), fee_asset: AssetId(0), ..filled(&slot) }
    }

    /// Two bought at 100 and two at 110, one sold at 120; each fill cost one ABC.
    #[test]
    fn profit_by_both_costs_fees_and_what_cannot_be_valued() {
        let mut table = InstrumentTable::new();
        for name in ["ABC", "USDT"] {
            table.asset(Symbol::new(name).expect("short")).expect("room");
        }
        table.push(instrument()).expect("room");
        let mut ledger = Ledger::new(&table, 1, &[], &RiskLimits::default());
        let mut valuation = Valuation::new(&table, AssetId(1));
        assert_eq!(Pnl::of(&ledger, &valuation), Pnl::default());
        let fills = [(1, Side::Buy, 2, 100), (2, Side::Buy, 2, 110), (3, Side::Sell, 1, 120)];
        for (order, side, lots, price) in fills {
            assert!(ledger.on_report(&fill(order, side, lots, price)));
        }
        assert!(ledger.on_funding(InstrumentId(0), 1, AssetId(1), -units(4)));
        let blind = Pnl::of(&ledger, &valuation);
        assert_eq!((blind.realized, blind.fifo.realized), (units(15), units(20)));
        assert_eq!((blind.unrealized, blind.fees, blind.funding), (0, 0, -units(4)));
        assert_eq!(blind.unvalued, 2, "the position, and the fees");
        let mut mark = Fixture::default().mark;
        mark.micro = 130 * ONE;
        valuation.on_mark(&mark);
        let pnl = Pnl::of(&ledger, &valuation);
        let fifo = Gain { realized: units(20), unrealized: units(70) };
        assert_eq!((pnl.realized, pnl.unrealized, pnl.fifo), (units(15), units(75), fifo));
        assert_eq!((pnl.fees, pnl.funding, pnl.unvalued), (units(390), -units(4), 0));
        assert!(ledger.on_report(&fill(4, Side::Sell, 3, 120)));
        let flat = Pnl::of(&ledger, &Valuation::new(&table, AssetId(1)));
        assert_eq!((flat.realized, flat.unrealized), (units(60), 0));
        assert_eq!(flat.unvalued, 1, "only the fees");
    }
}
