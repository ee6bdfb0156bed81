//! Sends approved amends, or says why not: an amend always comes to an end that risk hears of.

use bot4_lanes::Probe;
use bot4_types::{DoneReason, Nanos, OrderAction, OrderId, OrderIntent, OrderState};

use super::{AMENDS_SENT, ExecutionAgent, NOT_SENT};
use crate::desk_input::DeskInput;
use crate::gateway::{Act, AmendWay, Change, Named};
use crate::order::Terms;
use crate::requests::Purpose;

impl ExecutionAgent {
    pub(super) fn amend(&mut self, intent: &OrderIntent, now: Nanos, probe: &Probe) {
        if let Err(reason) = self.try_amend(intent, now, probe) {
            self.amend_not_sent(intent, now, reason);
        }
    }

    pub(super) fn amend_not_sent(&mut self, intent: &OrderIntent, now: Nanos, reason: DoneReason) {
        self.counters.add(NOT_SENT, 1);
        self.feed(DeskInput::AmendNotSent(intent.order, reason), now);
    }

    /// Amends that wait, of one order or of all, will not be sent.
    pub(crate) fn drop_waiting_amends(
        &mut self,
        of: Option<OrderId>,
        now: Nanos,
        reason: DoneReason,
    ) {
        let mut at = 0;
        while let Some(intent) = self.waiting.get(at).map(|w| *w.intent()) {
            let wanted = of.is_none_or(|order| order == intent.order);
            if intent.action == OrderAction::Amend && wanted {
                self.waiting.remove(at);
                self.amend_not_sent(&intent, now, reason);
            } else {
                at += 1;
            }
        }
    }

    fn try_amend(
        &mut self,
        intent: &OrderIntent,
        now: Nanos,
        probe: &Probe,
    ) -> Result<(), DoneReason> {
        let order = *self.desk.order(intent.order).ok_or(DoneReason::NotFound)?;
        let instrument = *self.table.get(order.instrument).ok_or(DoneReason::Other)?;
        let rests = matches!(order.state, OrderState::Live | OrderState::PartiallyFilled);
        if !rests || order.closing.is_some() || order.venue_order == 0 {
            return Err(DoneReason::Other);
        }
        let to = Terms { price: intent.price, qty: intent.qty };
        let change = Change {
            side: order.side,
            kind: order.kind,
            tif: order.tif,
            filled: order.cum_qty.max(order.told_qty),
            from: Terms { price: order.price, qty: order.qty },
            to,
        };
        let way = match self.gateway.amend_way(&change) {
            AmendWay::InPlace if !instrument.amends => AmendWay::None,
            AmendWay::Replace if !instrument.replaces || order.is_worn() => AmendWay::None,
            way => way,
        };
        // Each half of a replacement has a name of its own, by which the venue is asked for it.
        let client = match (way, order.next_client()) {
            (AmendWay::Replace, None) => return Err(DoneReason::Unsupported),
            (AmendWay::Replace, Some(next)) => next,
            _ => order.client,
        };
        let now_ms = self.wall.unix_ms(now);
        let allowed = way != AmendWay::Replace || now_ms >= self.orders_after_ms;
        if way == AmendWay::None {
            return Err(DoneReason::Unsupported);
        }
        let venue_order = order.venue_order;
        let named = Named { instrument: &instrument, venue_order, client };
        if !allowed
            || !self.budget.try_take(now_ms, self.gateway.cost_amend(way))
            || !self.gateway.permits(&Act::Amend(&named), now_ms)
        {
            return Err(DoneReason::NoBudget);
        }
        self.link.out.clear();
        let id = self.link.requests.next_id();
        self.gateway.amend(id, &named, &change, now_ms, &mut self.link.out);
        if !self.link.send(Purpose::Amend(order.id), now, || probe.stamp()) {
            return Err(DoneReason::NoSession);
        }
        self.counters.add(AMENDS_SENT, 1);
        let (replaces, deadline_ms) = (way == AmendWay::Replace, self.deadline_ms(now_ms));
        let sent = DeskInput::AmendSent { order: order.id, terms: to, replaces, deadline_ms };
        self.feed(sent, now);
        Ok(())
    }
}
