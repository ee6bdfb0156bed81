//! Less quantity for an order that keeps its place.

use super::{Exchange, random_id};
use crate::account::reserved;
use crate::decimal::value_ceil;
use crate::error::ApiError;
use crate::filters;
use crate::matching::Side;
use crate::report::Event;

/// Amends that an order takes.
const AMENDS_MAX: u32 = 10;

impl Exchange {
    /// Takes quantity away from an open order, which keeps its place: `qty` in all. Without a
    /// client id it gets one of the venue's making. Returns the id of the execution.
    ///
    /// # Errors
    /// -1013 (filters) or -2038; then nothing changed.
    pub fn amend(
        &mut self,
        id: u64,
        qty: i64,
        client_id: Option<String>,
        now_ms: u64,
    ) -> Result<u64, ApiError> {
        let refused = |msg: &str| ApiError::new(-2038, msg);
        let order = self.orders.by_id(id).filter(|o| o.status.is_open());
        let order = order.ok_or_else(|| refused("Unknown order sent."))?;
        if order.amends >= AMENDS_MAX {
            return Err(ApiError::filter("MAX_NUM_ORDER_AMENDS"));
        }
        if qty == order.qty {
            return Err(refused("The requested action would change no state; rejecting."));
        }
        if qty > order.qty || qty <= order.filled + order.prevented {
            return Err(refused("Order amend (quantity increase) is not supported."));
        }
        let (market, side, price, cut) = (order.market, order.side, order.price, order.qty - qty);
        filters::check_amend(&self.markets[market].spec, price, qty)?;
        let before = order.client_id.clone();
        let beside = self.fees_in_quote.then_some(self.fees);
        let client_id = client_id.unwrap_or_else(|| random_id(&mut self.rng));
        let other = self.orders.by_client(&client_id).filter(|o| o.status.is_open());
        if other.is_some_and(|o| o.id != id) {
            return Err(refused("Duplicate order sent."));
        }
        self.markets[market].book.reduce(side, price, id, cut);
        self.orders.rename(id, &client_id);
        if let Some(order) = self.orders.by_id_mut(id) {
            (order.qty, order.updated_ms, order.amends) = (qty, now_ms, order.amends + 1);
            let keep = match side {
                Side::Buy => reserved(value_ceil(price, order.left()), beside),
                Side::Sell => i128::from(order.left()),
            };
            let freed = order.locked - keep;
            order.locked = keep;
            let spec = &self.markets[market].spec;
            self.account.unlock(if side == Side::Buy { &spec.quote } else { &spec.base }, freed);
        }
        let execution = self.ids.execution;
        self.tell(id, Event::Replaced(before), now_ms);
        Ok(execution)
    }
}
