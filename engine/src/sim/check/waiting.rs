//! An order that waits to be sent has not ended: whoever was told that it was not sent would see
//! it arrive as soon as the session is back.

use super::{Checker, View};

/// The orders that wait in execution.
pub struct Waiting;

impl Checker for Waiting {
    fn name(&self) -> &'static str {
        "waiting"
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        match view.waits_ended {
            Some(order) => Err(format!("order {} has ended and still waits", order.0)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use bot4_types::OrderId;

    #[test]
    fn an_order_that_has_ended_and_waits_is_found() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.look(&mut Waiting), Ok(()));
        fixture.waits_ended = Some(OrderId(3));
        assert!(fixture.look(&mut Waiting).is_err_and(|e| e.contains("order 3")));
    }
}
