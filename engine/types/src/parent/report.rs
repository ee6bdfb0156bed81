//! Where a parent order stands, and how well it was worked.

use super::{Algo, ParentEnd, ParentId, ParentRefusal, ParentState};
use crate::id::{InstrumentId, StrategyId};
use crate::log::{Body, Reader, Writer};
use crate::order::RefuseReason;
use crate::price::{Price, Qty, Side};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// Where a parent stands: signal → control and journal, whenever it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentReport {
    /// Which.
    pub id: ParentId,
    /// On whose account.
    pub strategy: StrategyId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// How it is worked.
    pub algo: Algo,
    /// Over all venues that trade the same thing; `instrument` is then the one whose units count.
    pub all_venues: bool,
    /// Its life.
    pub state: ParentState,
    /// Why it is over.
    pub end: ParentEnd,
    /// Why it never began.
    pub refusal: ParentRefusal,
    /// Why the gate refused its last child; `None` when none was refused.
    pub gate: Option<RefuseReason>,
    /// When this held.
    pub at: Nanos,
    /// When it began; zero before.
    pub began: Nanos,
    /// Its deadline; zero: none.
    pub until: Nanos,
    /// Whole quantity.
    pub total: Qty,
    /// Limit; zero: none.
    pub limit: Price,
    /// Filled.
    pub filled: Qty,
    /// What children may still fill, in the worst case.
    pub open: Qty,
    /// Neither filled nor with a child.
    pub left: Qty,
    /// Filled by the venue beyond what was asked for.
    pub over: Qty,
    /// Sum of price times quantity of its fills, in units of 10^-(price + quantity decimals).
    pub cost: i128,
    /// Bid plus ask when it began: twice the arrival price, price units.
    pub arrival_x2: i64,
    /// Volume that the stream told since it began.
    pub market_qty: Qty,
    /// Sum of price times quantity of that volume.
    pub market_cost: i128,
    /// Children placed.
    pub children: u32,
    /// Fills.
    pub fills: u32,
    /// Children that the gate or the venue refused, or that never left.
    pub refused: u32,
    /// Prints that its book could not pass on: the volume told is that much too small.
    pub missed: u32,
}

impl ParentReport {
    /// Nothing is missing and nothing is double.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        let parts = self.filled.0 as i128 + self.open.0 as i128 + self.left.0 as i128;
        parts == self.total.0 as i128 + self.over.0 as i128
    }

    /// Average price of its fills, price units.
    #[must_use]
    pub fn average(&self) -> Option<f64> {
        (self.filled.0 > 0).then(|| self.cost as f64 / self.filled.0 as f64)
    }

    /// Middle of the touch when it began, price units.
    #[must_use]
    pub fn arrival(&self) -> Option<f64> {
        (self.arrival_x2 > 0).then(|| self.arrival_x2 as f64 / 2.0)
    }

    /// Average price of the market's volume since it began, price units.
    #[must_use]
    pub fn market_average(&self) -> Option<f64> {
        (self.market_qty.0 > 0).then(|| self.market_cost as f64 / self.market_qty.0 as f64)
    }

    /// Average price against arrival, hundredths of a percent; positive is worse.
    #[must_use]
    pub fn slippage_bps(&self) -> Option<f64> {
        Some(self.worse_by(self.average()?, self.arrival()?))
    }

    /// Average price against that of the market's volume meanwhile, hundredths of a percent;
    /// positive is worse.
    #[must_use]
    pub fn against_vwap_bps(&self) -> Option<f64> {
        Some(self.worse_by(self.average()?, self.market_average()?))
    }

    fn worse_by(&self, price: f64, reference: f64) -> f64 {
        self.side.sign() as f64 * (price / reference - 1.0) * 1e4
    }
}

/// No refusal of the gate, as raw value.
const NO_REASON: u8 = u8::MAX;
/// Bit beside the algorithm: over all venues.
const ALL_VENUES: u8 = 1 << 7;

impl Body for ParentReport {
    fn write(&self, w: &mut Writer<'_>) {
        w.u32(self.id.0);
        w.u8(self.strategy.0);
        w.u16(self.instrument.0);
        w.u8(self.side as u8);
        w.u8(self.algo as u8 | if self.all_venues { ALL_VENUES } else { 0 });
        w.u8(self.state as u8);
        w.u8(self.end as u8);
        w.u8(self.refusal as u8);
        w.u8(self.gate.map_or(NO_REASON, |reason| reason as u8));
        for time in [self.at, self.began, self.until] {
            w.u64(time.0);
        }
        let quantities = [self.total, self.filled, self.open, self.left, self.over];
        quantities.iter().for_each(|qty| w.i64(qty.0));
        w.i64(self.limit.0);
        w.i128(self.cost);
        w.i64(self.arrival_x2);
        w.i64(self.market_qty.0);
        w.i128(self.market_cost);
        for count in [self.children, self.fills, self.refused, self.missed] {
            w.u32(count);
        }
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let id = ParentId(r.u32()?);
        let (strategy, instrument) = (StrategyId(r.u8()?), InstrumentId(r.u16()?));
        let (side, raw) = (Side::from_raw(r.u8()?)?, r.u8()?);
        let (algo, all_venues) = (Algo::from_raw(raw & !ALL_VENUES)?, raw & ALL_VENUES != 0);
        let state = ParentState::from_raw(r.u8()?)?;
        let end = ParentEnd::from_raw(r.u8()?)?;
        let refusal = ParentRefusal::from_raw(r.u8()?)?;
        let gate = match r.u8()? {
            NO_REASON => None,
            raw => Some(RefuseReason::from_raw(raw)?),
        };
        let (at, began, until) = (Nanos(r.u64()?), Nanos(r.u64()?), Nanos(r.u64()?));
        let (total, filled, open) = (Qty(r.i64()?), Qty(r.i64()?), Qty(r.i64()?));
        let (left, over, limit) = (Qty(r.i64()?), Qty(r.i64()?), Price(r.i64()?));
        let (cost, arrival_x2) = (r.i128()?, r.i64()?);
        let (market_qty, market_cost) = (Qty(r.i64()?), r.i128()?);
        let (children, fills, refused) = (r.u32()?, r.u32()?, r.u32()?);
        let missed = r.u32()?;
        Some(Self {
            id,
            strategy,
            instrument,
            side,
            algo,
            all_venues,
            state,
            end,
            refusal,
            gate,
            at,
            began,
            until,
            total,
            limit,
            filled,
            open,
            left,
            over,
            cost,
            arrival_x2,
            market_qty,
            market_cost,
            children,
            fills,
            refused,
            missed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{BODY_MAX, LogEntry, LogKind};
    use proptest::prelude::*;

    fn report(side: Side, filled: i64, cost: i128) -> ParentReport {
        ParentReport {
            id: ParentId::by_operator(3),
            strategy: StrategyId(2),
            instrument: InstrumentId(7),
            side,
            algo: Algo::Pov,
            all_venues: true,
            state: ParentState::Ended,
            end: ParentEnd::Dust,
            refusal: ParentRefusal::None,
            gate: Some(RefuseReason::Rate),
            at: Nanos(9),
            began: Nanos(1),
            until: Nanos(8),
            total: Qty(filled + 5),
            limit: Price(1),
            filled: Qty(filled),
            open: Qty(3),
            left: Qty(2),
            over: Qty(0),
            cost,
            arrival_x2: 200,
            market_qty: Qty(10),
            market_cost: 1_010,
            children: 4,
            fills: 3,
            refused: 2,
            missed: 1,
        }
    }

    proptest! {
        #[test]
        fn reports_read_back(total in any::<i64>()) {
            let report = report(Side::Buy, total / 2, i128::from(total) * 7);
            let entry = LogEntry::new(LogKind::Command, Nanos(1), |w| report.write(w));
            prop_assert!(entry.body().len() < BODY_MAX);
            prop_assert_eq!(ParentReport::read(&mut Reader::over(entry.body())), Some(report));
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..232),
        ) {
            let _ = ParentReport::read(&mut Reader::over(&bytes));
        }
    }

    #[test]
    fn what_is_worse_is_positive_on_both_sides() {
        // Ten at 101 against an arrival of 100 and a market average of 101.
        let buy = report(Side::Buy, 10, 1_010);
        let near = |value: Option<f64>, to: f64| value.is_some_and(|v| (v - to).abs() < 1e-9);
        assert!(near(buy.slippage_bps(), 100.0) && near(buy.against_vwap_bps(), 0.0));
        let sell = report(Side::Sell, 10, 1_010);
        assert!(near(sell.slippage_bps(), -100.0) && sell.is_exact());
        let nothing = report(Side::Sell, 0, 0);
        assert_eq!((nothing.average(), nothing.slippage_bps()), (None, None));
    }
}
