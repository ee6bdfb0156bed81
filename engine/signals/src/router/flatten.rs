//! Closing what is held when a person stops trading and wishes it (`bot4 kill --flatten`).
//!
//! The router does it by itself: strategies are not asked, and what they wish is refused as in any
//! stop. When nothing of an instrument is open any more, an IOC order takes the account's net
//! position towards zero, on account of the strategy that holds most of it, through the touch by a
//! bounded share; what is left is tried again. Such an order says that the operator caused it,
//! which no strategy can say, and in this phase the gate lets nothing pass that does not say so and
//! only reduces. Strategies that hold against each other keep that: the account holds nothing.
//!
//! What is below a minimum of the venue stays. While session or book are not there it waits.
//!
//! Cost: only in this phase, a pass over instruments and strategies a turn.

use bot4_types::{Cause, InstrumentId, ParentId, Price, Qty, Side};

use super::guard::HALVINGS_MAX;
use super::{PARTS, Router, TAKE};
use crate::actions::{Turn, Verdict};
use crate::counters as c;
use crate::rules;
use crate::slot::{OrderSlot, Origin, SlotState, Style, Wish};

/// Where an instrument stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    /// The venue would not take it back.
    Dust,
    Something,
}

impl Router {
    /// The wish to close what is held stands, or falls.
    pub(super) fn flatten_or_not(&mut self, wanted: bool, turn: Turn<'_>) {
        if std::mem::replace(&mut self.flattening, wanted) == wanted {
            return;
        }
        self.counters.set(c::FLATTENING, 0);
        for pair in 0..self.guards.len() {
            let guard = &mut self.guards[pair];
            (guard.flattening, guard.halved) = (wanted, 0);
            // Neither a closing order of before nor one of ours outlives the change.
            self.drop_wish(pair * PARTS + TAKE, Origin::other(Cause::Operator), turn);
        }
    }

    /// `slot` wishes to close what is held, because a person stopped trading.
    pub(super) fn closes_at_a_stop(&self, slot: &OrderSlot) -> bool {
        self.flattening
            && slot.take
            && slot.parent == ParentId::NONE
            && slot.origin.cause == Cause::Operator
            && self.could_trade(slot.instrument)
    }

    /// Goes on with closing. Called each turn while the wish stands.
    pub(super) fn flatten(&mut self, turn: Turn<'_>) {
        let (mut left, mut dust) = (0, 0);
        for i in 0..self.live.len() {
            match self.flatten_one(InstrumentId(i as u16), turn) {
                Held::Nothing => {}
                Held::Dust => dust += 1,
                Held::Something => left += 1,
            }
        }
        self.counters.set(c::FLATTEN_LEFT, left);
        self.counters.set(c::FLATTEN_DUST, dust);
        self.counters.set(c::FLATTENING, 1);
    }

    fn flatten_one(&mut self, instrument: InstrumentId, turn: Turn<'_>) -> Held {
        let pairs =
            instrument.index() * self.strategies..(instrument.index() + 1) * self.strategies;
        let slots = &self.slots[pairs.start * PARTS..pairs.end * PARTS];
        let busy = slots.iter().any(|slot| slot.state != SlotState::Free || slot.wish.is_some());
        if busy || self.next_child(instrument, 0).is_some() {
            return Held::Something;
        }
        let net: i128 = self.positions[pairs.clone()].iter().map(|q| i128::from(q.0)).sum();
        if net == 0 {
            return Held::Nothing;
        }
        let largest = pairs.max_by_key(|pair| i128::from(self.positions[*pair].0) * net.signum());
        let Some(pair) = largest else { return Held::Nothing };
        let at = pair * PARTS + TAKE;
        let waits = turn.now < self.slots[at].retry_at || !self.could_trade(instrument);
        if waits || self.touches[instrument.index()].contains(&0) {
            return Held::Something;
        }
        match self.flattening_order(instrument, pair, net) {
            Ok((side, price, qty)) => {
                let slot = &mut self.slots[at];
                slot.side = side;
                let expires = turn.now + self.config.intent_life;
                slot.wish = Some(Wish::new(price, qty, expires, Style::Ioc));
                slot.origin = Origin::other(Cause::Operator);
                self.changes += 1;
                self.counters.add(c::FLATTEN_ORDERS, 1);
                self.settle(at, turn, true);
                Held::Something
            }
            Err(verdict) => self.cannot_flatten(pair, verdict, turn),
        }
    }

    /// Side, price and quantity of the order that takes `net` towards zero on account of `pair`.
    fn flattening_order(
        &self,
        instrument: InstrumentId,
        pair: usize,
        net: i128,
    ) -> Result<(Side, Price, Qty), Verdict> {
        let rules = self.table.get(instrument).ok_or(Verdict::Closed)?;
        let side = if net > 0 { Side::Sell } else { Side::Buy };
        let price = self.closing_price(instrument, side, self.config.flatten_slip_bps);
        let largest = if rules.qty_max.0 > 0 { rules.qty_max.0 } else { i64::MAX };
        let held = i64::try_from(net.abs()).unwrap_or(i64::MAX).min(self.positions[pair].abs().0);
        let qty = (held >> self.guards[pair].halved.min(62)).min(largest);
        rules::shape(rules, side, price, Qty(qty)).map(|(price, qty)| (side, price, qty))
    }

    /// No order of this size and price can be: smaller, later or not at all.
    fn cannot_flatten(&mut self, pair: usize, verdict: Verdict, turn: Turn<'_>) -> Held {
        let guard = &mut self.guards[pair];
        let whole = guard.halved == 0;
        match verdict {
            // Told each turn anew, so that nothing is changed by it.
            Verdict::SizeMin | Verdict::NotionalMin if whole => return Held::Dust,
            Verdict::SizeMax | Verdict::NotionalMax if guard.halved < HALVINGS_MAX => {
                guard.halved += 1;
            }
            _ => {
                guard.halved = 0;
                self.slots[pair * PARTS + TAKE].retry_at = turn.now + self.config.cancel_again;
            }
        }
        self.changes += 1;
        Held::Something
    }
}
