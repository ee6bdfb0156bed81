//! What execution reports of an order is consistent: the cumulative quantity grows by the fills
//! and never beyond what was ordered, a trade is reported once, nothing follows an ending.

use std::collections::{BTreeMap, BTreeSet};

use bot4_types::{InstrumentId, OrderId, OrderReport, ReportKind};

use super::{Checker, View, reports};

/// Reports so far.
#[derive(Default)]
pub struct Fills {
    orders: BTreeMap<OrderId, Life>,
    trades: BTreeSet<(InstrumentId, u64)>,
}

#[derive(Clone, Copy, Default)]
struct Life {
    cum: i64,
    seq: u32,
    ended: bool,
}

impl Checker for Fills {
    fn name(&self) -> &'static str {
        "fills"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        reports(view).try_for_each(|report| self.take(report))
    }
}

impl Fills {
    fn take(&mut self, report: &OrderReport) -> Result<(), String> {
        let life = self.orders.entry(report.order).or_default();
        let fill = report.kind == ReportKind::Fill;
        let grown = if fill { report.last_qty.0 } else { 0 };
        let complaint = if report.cum_qty.0 != life.cum + grown {
            "its cumulative quantity does not follow from its fills"
        } else if report.cum_qty > report.qty {
            "it is filled beyond its quantity"
        } else if fill && !self.trades.insert((report.instrument, report.trade_id)) {
            "its trade was reported before"
        } else if life.ended {
            "it had ended before"
        } else if report.seq != life.seq + 1 {
            "its reports are not numbered one by one"
        } else {
            *life =
                Life { cum: report.cum_qty.0, seq: report.seq, ended: report.state.is_terminal() };
            return Ok(());
        };
        Err(format!("{complaint}: {report:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, ONE, report};
    use super::*;
    use bot4_types::{OrderState, Qty};

    fn fill(seq: u32, last: i64, cum: i64, trade_id: u64) -> OrderReport {
        let state = OrderState::PartiallyFilled;
        OrderReport {
            seq,
            last_qty: Qty(last),
            trade_id,
            ..report(1, ReportKind::Fill, state, cum)
        }
    }

    #[test]
    fn a_plain_life_passes_and_every_bend_is_found() {
        let finds = |spoilt: OrderReport, what: &str| {
            let (mut fixture, mut fills) = (Fixture::new(), Fills::default());
            fixture.report(report(1, ReportKind::Sent, OrderState::Sent, 0));
            fixture.report(fill(2, ONE / 2, ONE / 2, 7));
            assert_eq!(fixture.look(&mut fills), Ok(()));
            fixture.report(spoilt);
            let answer = fixture.look(&mut fills);
            assert!(answer.as_ref().is_err_and(|e| e.contains(what)), "{answer:?}");
        };
        finds(fill(3, ONE / 4, ONE, 8), "does not follow");
        finds(fill(3, ONE, ONE / 2 + ONE, 8), "beyond");
        finds(fill(3, ONE / 4, ONE / 2 + ONE / 4, 7), "reported before");
        finds(fill(4, ONE / 4, ONE / 2 + ONE / 4, 8), "numbered");
        let (mut fixture, mut fills) = (Fixture::new(), Fills::default());
        fixture.report(report(1, ReportKind::Done, OrderState::NotSent, 0));
        fixture.report(OrderReport { seq: 2, ..report(1, ReportKind::Sent, OrderState::Sent, 0) });
        assert!(fixture.look(&mut fills).is_err_and(|e| e.contains("had ended")));
    }
}
