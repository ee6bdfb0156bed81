//! A new order, and other terms for one that rests, as venues' encoders take them.

use bot4_types::{ClientId, Instrument, OrderIntent, OrderKind, Side, Tif};

/// A new order.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Id of the request, echoed in the answer.
    pub id: u64,
    /// What to trade.
    pub instrument: &'a Instrument,
    /// The order's client id.
    pub client: ClientId,
    /// Buy or sell.
    pub side: Side,
    /// Order type.
    pub kind: OrderKind,
    /// Time in force; for limit orders only, the other types have none.
    pub tif: Tif,
    /// Limit price in price units; ignored for types that trade at any price.
    pub price: i64,
    /// Where the market triggers it, in price units; zero for types that do not wait for it.
    pub trigger: i64,
    /// Quantity in quantity units.
    pub qty: i64,
    /// Venue time in Unix ms.
    pub now_ms: i64,
}

impl<'a> Place<'a> {
    /// The order that `intent` asks for.
    #[must_use]
    pub const fn of(
        id: u64,
        instrument: &'a Instrument,
        client: ClientId,
        intent: &OrderIntent,
        now_ms: i64,
    ) -> Self {
        let OrderIntent { side, kind, tif, .. } = *intent;
        let (price, trigger, qty) = (intent.price.0, intent.trigger.0, intent.qty.0);
        Self { id, instrument, client, side, kind, tif, price, trigger, qty, now_ms }
    }
}

/// Other terms for an order that rests and keeps its number.
#[derive(Clone, Copy, Debug)]
pub struct Amend<'a> {
    /// Id of the request, echoed in the answer.
    pub id: u64,
    /// Of which instrument.
    pub instrument: &'a Instrument,
    /// The order's client id.
    pub client: ClientId,
    /// Another limit price in price units; `None`: as it is.
    pub price: Option<i64>,
    /// Another whole quantity in quantity units, what is filled included; `None`: as it is.
    pub qty: Option<i64>,
    /// Venue time in Unix ms.
    pub now_ms: i64,
}
