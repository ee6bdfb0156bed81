//! Two orders of which one is to be done (one cancels the other).
//!
//! The legs are two quotes, or a quote and a stop. Each is an order like any other and counts in
//! full: the worst case is both. The first fill of one, in part or whole, withdraws the other, as
//! does the end of one by a refusal, its date or a pull.
//!
//! Nothing can keep both from filling in the time that a cancel takes. That is counted
//! (`links_raced`), and what the second leg filled beyond the plan is given back: where both legs
//! are on one side the position is larger than either was to make it, and an IOC order that may
//! only reduce takes away what the second filled, again and again until it is done or what is left
//! is below a minimum of the venue. Legs on both sides leave less than the plan, never more, and
//! nothing is given back.
//!
//! Cost: a look a turn at each pair of strategy and instrument that has two linked orders.

use bot4_types::{Cause, InstrumentId, OrderReport, Price, Qty, ReportKind, Side};

use super::{Key, PARTS, Router, STOP, TAKE};
use crate::actions::{Turn, Verdict};
use crate::counters as c;
use crate::rules;
use crate::slot::{Origin, SlotState, Style, Wish};

/// The leg beside a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherLeg {
    /// A quote on the other side.
    Quote {
        /// Its price.
        price: Price,
    },
    /// A stop on either side, as [`crate::Actions::stop`] has it.
    Stop {
        /// Which side it trades on.
        side: Side,
        /// Where the market triggers it.
        trigger: Price,
        /// Its limit.
        limit: Price,
    },
}

/// Two orders of which one is to be done, of one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oco {
    /// Side of the quote.
    pub side: Side,
    /// Price of the quote.
    pub price: Price,
    /// Quantity of either leg.
    pub qty: Qty,
    /// The other leg.
    pub other: OtherLeg,
}

/// Two linked slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    parts: [usize; 2],
    sides: [Side; 2],
    filled: [i64; 2],
    first: Option<usize>,
    /// Filled beyond the plan and to be given back, once both legs have ended.
    excess: Option<i64>,
}

impl Router {
    /// See [`crate::Actions::oco`].
    pub(crate) fn link(
        &mut self,
        key: Key,
        oco: &Oco,
        wishes: [Wish; 2],
        origin: Origin,
        turn: Turn<'_>,
    ) -> Verdict {
        let Some(pair) = self.pair(key) else { return Verdict::Closed };
        let (part, side) = match oco.other {
            OtherLeg::Quote { .. } => (oco.side.opposite().index(), oco.side.opposite()),
            OtherLeg::Stop { side, .. } => (STOP, side),
        };
        let parts = [oco.side.index(), part];
        let used = |part: &usize| {
            let slot = &self.slots[pair * PARTS + part];
            slot.state != SlotState::Free || slot.wish.is_some()
        };
        if self.links[pair].is_some() || parts.iter().any(used) {
            return Verdict::Busy;
        }
        let verdict = self.quote(key, oco.side, wishes[0], origin, turn);
        if verdict != Verdict::Accepted {
            return verdict;
        }
        let verdict = match oco.other {
            OtherLeg::Quote { .. } => self.quote(key, side, wishes[1], origin, turn),
            OtherLeg::Stop { .. } => self.arm(key, side, wishes[1], origin, turn),
        };
        if verdict != Verdict::Accepted {
            self.drop_wish(pair * PARTS + parts[0], origin, turn);
            return verdict;
        }
        let sides = [oco.side, side];
        let (filled, first, excess) = ([0; 2], None, None);
        self.links[pair] = Some(Link { parts, sides, filled, first, excess });
        self.linked.push(pair);
        self.counters.add(c::LINKS, 1);
        Verdict::Accepted
    }

    /// The slot `part` of `pair` is one of two linked orders that are not over.
    pub(super) fn is_linked(&self, pair: usize, part: usize) -> bool {
        self.links[pair].is_some_and(|link| link.excess.is_none() && link.parts.contains(&part))
    }

    /// Two linked orders of the strategy are not over.
    pub(crate) fn has_link(&self, key: Key) -> bool {
        self.pair(key).is_some_and(|pair| self.links[pair].is_some())
    }

    /// The slot `part` of `pair` is withdrawn: what is linked to it goes with it.
    pub(super) fn unlink(&mut self, pair: usize, part: usize, turn: Turn<'_>) {
        if let Some(link) = self.links[pair].filter(|link| link.parts.contains(&part)) {
            let other = link.parts[usize::from(link.parts[0] == part)];
            self.drop_wish(pair * PARTS + other, Origin::other(Cause::Report), turn);
        }
    }

    /// A report of the order in slot `at`: a fill of one leg withdraws the other.
    pub(super) fn link_reported(&mut self, at: usize, report: &OrderReport, turn: Turn<'_>) {
        if report.kind != ReportKind::Fill {
            return;
        }
        let (pair, part) = (at / PARTS, at % PARTS);
        let Some(link) = &mut self.links[pair] else { return };
        if part == TAKE {
            if !self.slots[at].gives_back {
                return;
            }
            let left = link.excess.unwrap_or(0).saturating_sub(report.last_qty.0);
            link.excess = Some(left.max(0));
            return;
        }
        let Some(leg) = link.parts.iter().position(|p| *p == part) else { return };
        link.filled[leg] = link.filled[leg].saturating_add(report.last_qty.0);
        if link.first.is_none() {
            link.first = Some(leg);
            let other = link.parts[1 - leg];
            self.drop_wish(pair * PARTS + other, Origin::other(Cause::Report), turn);
        }
    }

    /// Goes on with what is linked. Called each turn.
    pub(super) fn keep_links(&mut self, turn: Turn<'_>) {
        let mut n = 0;
        while let Some(pair) = self.linked.get(n).copied() {
            self.keep_link(pair, turn);
            if self.links[pair].is_some() {
                n += 1;
            } else {
                self.linked.swap_remove(n);
                self.changes += 1;
            }
        }
    }

    fn keep_link(&mut self, pair: usize, turn: Turn<'_>) {
        let Some(link) = self.links[pair] else { return };
        if link.excess.is_some() {
            return self.give_back(pair, link, turn);
        }
        let over = link.parts.map(|part| {
            let slot = &self.slots[pair * PARTS + part];
            slot.state == SlotState::Free && slot.wish.is_none()
        });
        match over {
            [false, false] => {}
            [true, true] => self.both_over(pair, link),
            _ => {
                let leg = usize::from(over[0]);
                let other = pair * PARTS + link.parts[leg];
                // The one that traded goes on by itself.
                if link.first != Some(leg) && self.slots[other].wish.is_some() {
                    self.drop_wish(other, Origin::other(Cause::Report), turn);
                }
            }
        }
    }

    fn both_over(&mut self, pair: usize, link: Link) {
        let raced = link.filled.iter().all(|filled| *filled > 0);
        self.counters.add(c::LINKS_RACED, u64::from(raced));
        self.changes += 1;
        let second = 1 - link.first.unwrap_or(0);
        let doubled = raced && link.sides[0] == link.sides[1];
        self.links[pair] = doubled.then_some(Link { excess: Some(link.filled[second]), ..link });
    }

    /// Asks for an order that gives back what was filled beyond the plan, unless one is on its way.
    fn give_back(&mut self, pair: usize, link: Link, turn: Turn<'_>) {
        let instrument = InstrumentId((pair / self.strategies) as u16);
        let at = pair * PARTS + TAKE;
        let slot = &self.slots[at];
        if slot.state != SlotState::Free || slot.wish.is_some() {
            return;
        }
        let side = link.sides[0].opposite();
        let held = self.positions[pair].0.saturating_mul(-side.sign());
        let left = link.excess.unwrap_or(0).min(held);
        if left <= 0 || self.guards[pair].triggered {
            self.links[pair] = None;
            return;
        }
        if turn.now < slot.retry_at || !self.is_open(instrument) {
            return;
        }
        if self.touches[instrument.index()].contains(&0) {
            return;
        }
        let Some(rules) = self.table.get(instrument) else { return };
        let most = if rules.qty_max.0 > 0 { rules.qty_max.0 } else { i64::MAX };
        let price = self.closing_price(instrument, side, self.config.stop_slip_bps);
        let Ok((price, qty)) = rules::shape(rules, side, price, Qty(left.min(most))) else {
            // Less than the venue takes back.
            self.links[pair] = None;
            return;
        };
        let wish = Wish::new(price, qty, turn.now + self.config.intent_life, Style::Ioc);
        let slot = &mut self.slots[at];
        (slot.side, slot.origin) = (side, Origin::other(Cause::Report));
        slot.wish = Some(Wish { reduce_only: true, gives_back: true, ..wish });
        self.changes += 1;
        self.settle(at, turn, true);
    }
}
