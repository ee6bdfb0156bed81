//! An order ends only by the venue's evidence: what was cancelled, expired or filled is closed
//! there with the same quantity, and what was rejected or not sent never arrives.

use std::collections::BTreeSet;

use bot4_types::{ClientId, OrderId, OrderReport, OrderState, RunEpoch};
use bot4_venue::exchange::Exchange;

use super::{Checker, View, own, reports};

/// Orders that ended without ever being at the venue.
#[derive(Default)]
pub struct Endings {
    absent: BTreeSet<OrderId>,
}

impl Checker for Endings {
    fn name(&self) -> &'static str {
        "endings"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        for order in view.new_orders {
            if own(order).is_some_and(|id| self.absent.contains(&id)) {
                return Err(format!(
                    "order {} arrived at the venue after it was called ended",
                    order.client_id
                ));
            }
        }
        for report in reports(view).filter(|r| r.state.is_terminal()) {
            self.ended(report, view.venue)?;
        }
        Ok(())
    }
}

impl Endings {
    fn ended(&mut self, report: &OrderReport, venue: &Exchange) -> Result<(), String> {
        // What replaced it last is the order.
        let first = ClientId::new(RunEpoch(1), report.order);
        let names = (0..=ClientId::REVISIONS_MAX).rev().filter_map(|r| first.revised(r));
        let theirs = names.filter_map(|name| venue.orders.by_client(name.as_str())).next();
        let absent = matches!(report.state, OrderState::Rejected | OrderState::NotSent);
        match theirs {
            None if absent => {
                self.absent.insert(report.order);
                Ok(())
            }
            Some(order)
                if !absent && !order.status.is_open() && order.filled == report.cum_qty.0 =>
            {
                Ok(())
            }
            Some(order) => Err(format!(
                "the venue's word is {:?} with {} filled: {report:?}",
                order.status, order.filled
            )),
            None => Err(format!("the venue never had it: {report:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, ONE, report};
    use super::*;
    use bot4_types::ReportKind;

    fn done(id: u64, state: OrderState, cum: i64) -> OrderReport {
        report(id, ReportKind::Done, state, cum)
    }

    #[test]
    fn endings_without_evidence_are_found() {
        let (mut fixture, mut endings) = (Fixture::new(), Endings::default());
        let first = fixture.place(1);
        fixture.report(done(1, OrderState::Canceled, 0));
        assert!(fixture.look(&mut endings).is_err(), "it is open");
        fixture.venue.cancel(first, None, 2);
        fixture.report(done(1, OrderState::Canceled, 0));
        assert_eq!(fixture.look(&mut endings), Ok(()));
        fixture.report(done(1, OrderState::Canceled, ONE));
        assert!(fixture.look(&mut endings).is_err(), "nothing was filled");
        fixture.report(done(1, OrderState::Rejected, 0));
        assert!(fixture.look(&mut endings).is_err(), "it was accepted");
        fixture.report(done(2, OrderState::Expired, 0));
        assert!(fixture.look(&mut endings).is_err(), "it was never there");
    }

    #[test]
    fn an_order_that_arrives_after_its_end_is_found() {
        let (mut fixture, mut endings) = (Fixture::new(), Endings::default());
        fixture.report(done(3, OrderState::NotSent, 0));
        assert_eq!(fixture.look(&mut endings), Ok(()));
        fixture.place(3);
        assert!(fixture.look(&mut endings).is_err_and(|e| e.contains("arrived")));
    }
}
