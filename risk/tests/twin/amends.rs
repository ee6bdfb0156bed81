//! Amends in the naive gate.

use bot4_types::instrument::Amount;
use bot4_types::{AssetId, OrderAction, OrderIntent, OrderKind, OrderState, RefuseReason, Tif};

use super::{Known, NaiveGate, Verdict, ensure, market};

impl NaiveGate {
    fn amended(&self, intent: &OrderIntent) -> Option<&Known> {
        let amends = intent.action == OrderAction::Amend;
        self.orders.iter().find(|o| amends && o.intent.order == intent.order)
    }

    /// It only takes quantity away from an order at its price.
    pub fn trims(&self, intent: &OrderIntent) -> bool {
        self.amended(intent).is_some_and(|o| {
            let limit = !market(o.intent.kind) && !o.waits();
            limit && intent.price == o.intent.price && intent.qty < o.intent.qty
        })
    }

    /// Quantity that the intent adds to what may still fill.
    pub fn added(&self, intent: &OrderIntent) -> i128 {
        let qty = i128::from(intent.qty.0);
        let Some(order) = self.amended(intent) else { return qty };
        let standing = order.standing();
        (qty - standing.filled - standing.leaves).max(0)
    }

    pub fn amend(&mut self, intent: &OrderIntent) {
        let order = self.orders.iter_mut().find(|o| o.intent.order == intent.order);
        order.expect("an approved one").amend(intent);
    }

    pub fn judge_amended(&self, intent: &OrderIntent) -> Verdict {
        let order = self.amended(intent).ok_or(RefuseReason::NotOpen)?;
        let same = (order.intent.instrument, order.intent.strategy, order.intent.side)
            == (intent.instrument, intent.strategy, intent.side);
        ensure(same && !order.standing().ended, RefuseReason::NotOpen)?;
        let rests = order
            .newest()
            .is_some_and(|r| matches!(r.state, OrderState::Live | OrderState::PartiallyFilled));
        ensure(rests && order.amend.is_none(), RefuseReason::AmendBusy)?;
        let changes = (intent.price, intent.qty) != (order.intent.price, order.intent.qty);
        let some = i128::from(intent.qty.0) > order.standing().filled.max(order.cum());
        let plain = matches!(intent.kind, OrderKind::Limit | OrderKind::LimitMaker);
        let limit = plain && !market(order.intent.kind) && !order.waits();
        ensure(changes && some && limit, RefuseReason::AmendTerms)
    }

    /// What only takes away passes every limit.
    pub fn judge_trim(&self, intent: &OrderIntent) -> Verdict {
        let (i, side) = (intent.instrument.index(), intent.side.index());
        let held = |strategy| self.worst(strategy)[i][side] + self.added(intent);
        self.may_run(intent, held(None) <= 0 && held(Some(intent.strategy.0)) <= 0)?;
        self.closings[i].check()?;
        ensure(self.table.all()[i].tradable, RefuseReason::NotTradable)?;
        ensure(self.session, RefuseReason::Session)?;
        self.judge_amended(intent)?;
        let dated = intent.tif == Tif::Gtd && intent.until <= self.now;
        ensure(self.now < intent.expires && !dated, RefuseReason::Expired)?;
        self.judge_size(intent)?;
        ensure(self.cancels.holds(1, self.now), RefuseReason::Rate)?;
        let weight = self.book.account.weight_cancel;
        ensure(self.weight.holds(weight, self.now), RefuseReason::Weight)
    }

    /// What is reserved for `order`: the larger of what both its terms need.
    pub fn reserved(&self, order: &Known) -> (AssetId, Amount) {
        let standing = order.standing();
        let left = |qty: i64| {
            let most = if standing.ended { order.cum() } else { order.cum().max(qty.into()) };
            most - standing.filled
        };
        let (asset, own) = self.reserve(&order.intent, left(order.intent.qty.0));
        let amend = order.amend.filter(|_| !standing.ended);
        let other = amend.map_or(0, |a| self.reserve(&a, left(a.qty.0)).1);
        (asset, own.max(other))
    }

    /// What the intent needs beyond what is reserved.
    pub fn needed(&self, intent: &OrderIntent) -> Amount {
        let Some(order) = self.amended(intent) else {
            return self.reserve(intent, intent.qty.0.into()).1;
        };
        let left = (i128::from(intent.qty.0) - order.standing().filled).max(0);
        (self.reserve(intent, left).1 - self.reserved(order).1).max(0)
    }
}
