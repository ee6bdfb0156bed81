//! One client order id names at most one order of the venue, ever: an order is never repeated.

use std::collections::BTreeMap;

use super::{Checker, View};

/// Client ids seen at the venue.
#[derive(Default)]
pub struct Ids {
    seen: BTreeMap<String, u64>,
}

impl Checker for Ids {
    fn name(&self) -> &'static str {
        "ids"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        for order in view.new_orders {
            if let Some(first) = self.seen.insert(order.client_id.clone(), order.id) {
                return Err(format!(
                    "client id {} names the orders {first} and {} of the venue",
                    order.client_id, order.id
                ));
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
}
