//! What reaches the venue was approved by risk with the same terms, its approval was journaled
//! before, and it was handed to the socket once.

use std::collections::{BTreeMap, BTreeSet};

use bot4_types::{ApprovedOrder, InstrumentTable, OrderAction, OrderId, Side};
use bot4_venue::matching;
use bot4_venue::orders::Order;

use super::{Checker, View, own, sent};

/// Approvals and sends.
#[derive(Default)]
pub struct Approvals {
    approved: BTreeMap<OrderId, ApprovedOrder>,
    /// Terms of approved amends, price and quantity.
    amended: BTreeMap<OrderId, Vec<(i64, i64)>>,
    sent: BTreeSet<OrderId>,
}

impl Checker for Approvals {
    fn name(&self) -> &'static str {
        "approvals"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        for approved in &view.seen.approved {
            let intent = approved.intent();
            let place = intent.action == OrderAction::Place;
            if intent.action == OrderAction::Amend {
                let terms = (intent.price.0, intent.qty.0);
                self.amended.entry(intent.order).or_default().push(terms);
            }
            if place && self.approved.insert(intent.order, *approved).is_some() {
                return Err(format!("order {} was approved twice", intent.order.0));
            }
        }
        for order in sent(view) {
            let Some(approved) = self.approved.get(&order) else {
                return Err(format!("order {} was sent without approval", order.0));
            };
            if approved.record() > view.journaled {
                return Err(format!(
                    "order {} was sent before its approval was journaled",
                    order.0
                ));
            }
            if !self.sent.insert(order) {
                return Err(format!("order {} was sent twice", order.0));
            }
        }
        view.new_orders.iter().try_for_each(|order| self.as_approved(order, view.table))
    }
}

impl Approvals {
    fn as_approved(&self, order: &Order, table: &InstrumentTable) -> Result<(), String> {
        let approved = own(order).and_then(|id| self.approved.get(&id));
        let Some(intent) = approved.map(ApprovedOrder::intent) else {
            return Err(format!("the venue has {}, which nobody approved", order.client_id));
        };
        let symbol = table.get(intent.instrument).map(|i| i.symbol.as_str().to_owned());
        let side = match intent.side {
            Side::Buy => matching::Side::Buy,
            Side::Sell => matching::Side::Sell,
        };
        let price = if intent.kind.is_market() { 0 } else { intent.price.0 };
        let terms = (order.price, order.qty);
        let amended = self.amended.get(&intent.order).is_some_and(|all| all.contains(&terms));
        let same = (terms == (price, intent.qty.0) || amended)
            && (order.side, order.stop) == (side, intent.trigger.0);
        if !same || symbol.as_deref() != Some(order.symbol.as_str()) {
            return Err(format!(
                "order {} is another at the venue ({} {:?} {} at {}) than approved: {intent:?}",
                intent.order.0, order.symbol, order.side, order.qty, order.price
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, ONE};
    use super::*;

    #[test]
    fn the_right_way_passes_and_every_shortcut_is_found() {
        let (mut fixture, mut checker) = (Fixture::new(), Approvals::default());
        fixture.journaled = 5;
        fixture.approve(1, 5);
        fixture.send(1);
        fixture.place(1);
        assert_eq!(fixture.look(&mut checker), Ok(()));
        fixture.send(1);
        assert!(fixture.look(&mut checker).is_err_and(|e| e.contains("sent twice")));
        fixture.approve(2, 6);
        fixture.send(2);
        assert!(fixture.look(&mut checker).is_err_and(|e| e.contains("before its approval")));
        fixture.send(3);
        assert!(fixture.look(&mut checker).is_err_and(|e| e.contains("without approval")));
        fixture.place(4);
        assert!(fixture.look(&mut checker).is_err_and(|e| e.contains("nobody approved")));
        fixture.approve(1, 5);
        assert!(fixture.look(&mut checker).is_err_and(|e| e.contains("approved twice")));
    }

    #[test]
    fn other_terms_are_found() {
        let (mut fixture, mut checker) = (Fixture::new(), Approvals::default());
        fixture.approve(1, 5);
        let id = fixture.place(1);
        fixture.venue.orders.by_id_mut(id).expect("placed").qty = 2 * ONE;
        assert!(fixture.look(&mut checker).is_err_and(|e| e.contains("another at the venue")));
    }
}
