//! Every fill that execution reports is a trade of the venue: same order, quantity, price, fee.

use bot4_types::{ClientId, OrderReport, ReportKind};
use bot4_venue::exchange::Exchange;

use super::{Checker, View, reports};
use crate::sim::amount;

/// Nothing to remember.
pub struct Truth;

impl Checker for Truth {
    fn name(&self) -> &'static str {
        "truth"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        reports(view).filter(|r| r.kind == ReportKind::Fill).try_for_each(|report| {
            let symbol = view.table.get(report.instrument).map(|i| i.symbol);
            let market = symbol.and_then(|s| view.venue.market(s.as_str()));
            match market {
                Some(market) if is_trade(view.venue, market, report) => Ok(()),
                _ => Err(format!("the venue has no such trade: {report:?}")),
            }
        })
    }
}

fn is_trade(venue: &Exchange, market: usize, report: &OrderReport) -> bool {
    let trade = venue.orders.trades(market).rev().find(|t| t.id == report.trade_id);
    trade.is_some_and(|t| {
        let order = venue.orders.by_id(t.order);
        let ours = order.and_then(|o| ClientId::parse(o.client_id.as_bytes()));
        ours.is_some_and(|(_, id)| id == report.order)
            && (t.qty, t.price) == (report.last_qty.0, report.last_price.0)
            && amount(t.commission) == report.fee
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, ONE, report};
    use super::*;
    use bot4_types::{OrderState, Price, Qty};
    use bot4_venue::exchange::CrowdOrder;
    use bot4_venue::matching::Side;

    #[test]
    fn invented_and_bent_fills_are_found() {
        let mut fixture = Fixture::new();
        fixture.place(1);
        let order = CrowdOrder { side: Side::Sell, price: None, qty: ONE / 2, rests: false };
        fixture.venue.crowd(0, order, 2);
        let state = OrderState::PartiallyFilled;
        let good = OrderReport {
            last_qty: Qty(ONE / 2),
            last_price: Price(90 * ONE),
            trade_id: 1,
            ..report(1, ReportKind::Fill, state, ONE / 2)
        };
        fixture.report(good);
        assert_eq!(fixture.look(&mut Truth), Ok(()));
        for bent in [
            OrderReport { trade_id: 2, ..good },
            OrderReport { last_qty: Qty(ONE / 2 + 1), ..good },
            OrderReport { last_price: Price(91 * ONE), ..good },
            OrderReport { fee: 1, ..good },
            OrderReport { order: bot4_types::OrderId(2), ..good },
        ] {
            fixture.report(bent);
            assert!(fixture.look(&mut Truth).is_err());
        }
    }
}
