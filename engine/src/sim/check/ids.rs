//! One order of ours is one order of the venue, ever: it is never repeated. Only an approved amend
//! may replace it by another one, whose name says of which order it is, when the first is closed.

use std::collections::BTreeMap;

use bot4_types::{OrderAction, OrderId};

use super::{Checker, View, own};

/// Orders seen at the venue.
#[derive(Default)]
pub struct Ids {
    seen: BTreeMap<OrderId, u64>,
    /// Approved amends that no replacement has used up.
    amends: BTreeMap<OrderId, u32>,
}

impl Checker for Ids {
    fn name(&self) -> &'static str {
        "ids"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        let intents = view.seen.approved.iter().map(|approved| approved.intent());
        for intent in intents.filter(|intent| intent.action == OrderAction::Amend) {
            *self.amends.entry(intent.order).or_default() += 1;
        }
        for order in view.new_orders {
            let Some(id) = own(order) else { continue };
            let Some(first) = self.seen.insert(id, order.id) else { continue };
            let amends = self.amends.get_mut(&id);
            let closed = view.venue.orders.by_id(first).is_none_or(|o| !o.status.is_open());
            match amends.filter(|left| **left > 0 && closed) {
                Some(left) => *left -= 1,
                None => {
                    return Err(format!(
                        "client id {} names the orders {first} and {} of the venue",
                        order.client_id, order.id
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn a_repeated_client_id_is_found() {
        let (mut fixture, mut ids) = (Fixture::new(), Ids::default());
        let first = fixture.place(1);
        assert_eq!(fixture.look(&mut ids), Ok(()));
        fixture.place(2);
        assert_eq!(fixture.look(&mut ids), Ok(()));
        // The venue takes a client id again once its order is closed.
        fixture.venue.cancel(first, None, 2);
        fixture.place(1);
        assert!(fixture.look(&mut ids).is_err());
    }

    #[test]
    fn an_approved_amend_may_replace_once_what_is_closed() {
        let (mut fixture, mut ids) = (Fixture::new(), Ids::default());
        let first = fixture.place(1);
        assert_eq!(fixture.look(&mut ids), Ok(()));
        fixture.amend(1);
        fixture.venue.cancel(first, None, 2);
        let second = fixture.place(1);
        assert_eq!(fixture.look(&mut ids), Ok(()));
        fixture.venue.cancel(second, None, 3);
        fixture.place(1);
        assert!(fixture.look(&mut ids).is_err(), "one amend, one replacement");
    }
}
