//! Other terms for an order that keeps its number: less quantity keeps its place too.

use super::{Exchange, Incoming, Ticket, incoming, random_id};
use crate::account::reserved;
use crate::decimal::value_ceil;
use crate::error::ApiError;
use crate::filters;
use crate::matching::Side;
use crate::orders::Kind;
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

    /// Gives an open limit order another price, another quantity in all, or both, as venues do
    /// that amend in place: less quantity at its price keeps its place, anything else goes to the
    /// back of its level, or trades.
    ///
    /// # Errors
    /// -2038, -1013 (filters) or -2010 (money, post-only); then nothing changed.
    pub fn amend_terms(
        &mut self,
        id: u64,
        price: i64,
        qty: i64,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let refused = |msg: &str| ApiError::new(-2038, msg);
        let order = self.orders.by_id(id).filter(|o| o.status.is_open() && !o.waiting);
        let order = order.ok_or_else(|| refused("Unknown order sent."))?.clone();
        if (price, qty) == (order.price, order.qty) {
            return Err(refused("The requested action would change no state; rejecting."));
        }
        let gone = order.filled + order.prevented;
        if qty <= gone {
            return Err(refused("Order amend leaves nothing to trade."));
        }
        if price == order.price && qty < order.qty {
            let client = Some(order.client_id);
            return self.amend(id, qty, client, now_ms).map(|_| ());
        }
        let ticket = Ticket {
            market: order.market,
            side: order.side,
            kind: order.kind,
            tif: order.tif,
            price: Some(price),
            qty,
            client_id: None,
            stp: order.stp,
        };
        self.filtered(&ticket, 1)?;
        let market = &self.markets[order.market];
        if order.kind == Kind::LimitMaker && market.book.crosses(order.side, Some(price)) {
            return Err(ApiError::new(-2010, "Order would immediately match and take."));
        }
        let (asset, keep) = match order.side {
            Side::Buy => {
                let beside = self.fees_in_quote.then_some(self.fees);
                (&market.spec.quote, reserved(value_ceil(price, qty - gone), beside))
            }
            Side::Sell => (&market.spec.base, i128::from(qty - gone)),
        };
        if keep > order.locked && !self.account.lock(asset, keep - order.locked) {
            let msg = "Account has insufficient balance for requested action.";
            return Err(ApiError::new(-2010, msg));
        }
        self.account.unlock(asset, (order.locked - keep).max(0));
        self.markets[order.market].book.cancel(order.side, order.price, id);
        if let Some(changed) = self.orders.by_id_mut(id) {
            (changed.price, changed.qty, changed.locked) = (price, qty, keep);
            (changed.updated_ms, changed.amends) = (now_ms, order.amends + 1);
        }
        self.tell(id, Event::Replaced(order.client_id), now_ms);
        let arrival = Incoming { qty: qty - gone, ..incoming(id, &ticket) };
        self.match_client(order.market, &arrival, now_ms);
        self.wake(order.market, now_ms);
        Ok(())
    }
}
