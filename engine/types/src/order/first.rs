//! What is told of an order first.

use super::{DoneReason, OrderIntent, OrderReport, OrderState, ReportKind};
use crate::id::AssetId;
use crate::price::{Price, Qty};
use crate::time::Nanos;

impl OrderReport {
    /// The first report of the order that `intent` places: nothing is filled, and the venue's
    /// number is not told.
    #[must_use]
    pub const fn first(intent: &OrderIntent, kind: ReportKind, state: OrderState) -> Self {
        Self {
            at: Nanos::ZERO,
            order: intent.order,
            venue_order: 0,
            price: intent.price,
            qty: intent.qty,
            cum_qty: Qty(0),
            last_qty: Qty(0),
            last_price: Price(0),
            trade_id: 0,
            fee: 0,
            seq: 1,
            instrument: intent.instrument,
            strategy: intent.strategy,
            fee_asset: AssetId::NONE,
            kind,
            state,
            reason: DoneReason::None,
            side: intent.side,
            maker: false,
        }
    }
}
