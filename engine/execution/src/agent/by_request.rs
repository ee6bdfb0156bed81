//! What is particular where orders go by requests: limits are told in the heads of answers, and
//! fills by answers alone.

use bot4_lanes::Probe;
use bot4_types::{Nanos, OrderId};
use bot4_venues::limits::{Cost, RateLimits, Usage};

use super::ExecutionAgent;
use crate::courier::{Answer, Granted};
use crate::desk::Question;
use crate::gateway::{Fact, Failure};
use crate::requests::Purpose;

impl ExecutionAgent {
    /// What the head of an answer says of the venue's limits: of requests in a second, and how long
    /// nothing more should be asked. Counts of longer spans are not what the budget counts.
    pub(crate) fn note_granted(&mut self, answer: &Answer, now: Nanos) {
        let Granted { limit, left, span_s, wait_s } = answer.granted;
        if let (Some(limit), Some(left), Some(0..=1)) = (limit, left, span_s) {
            let limits = RateLimits { weight_second: limit, ..RateLimits::default() };
            let weight_second = Some(limit.saturating_sub(left));
            let usage = Usage { weight_second, limits, ..Usage::default() };
            self.budget.observe(self.wall.unix_ms(now), &usage, Cost::default());
        }
        let Some(wait_s) = wait_s.filter(|_| answer.status == 429) else { return };
        let until = self.wall.unix_ms(now) + i64::from(wait_s) * 1_000;
        for fact in &mut self.facts {
            if let Fact::Failed {
                failure: Failure::Limited { until_ms: until_ms @ 0, .. }, ..
            } = fact
            {
                *until_ms = until;
            }
        }
    }

    /// Asks for the fills of an order at once, where the venue tells them no other way and has just
    /// counted more than was heard. Once for each count: an answer that lacks them may be too
    /// early, and the clock asks again.
    pub(crate) fn ask_for_fills(&mut self, id: OrderId, now: Nanos, probe: &Probe) {
        if !self.gateway.asks_for_fills() || !self.link.is_ready() {
            return;
        }
        let Some(order) = self.desk.order(id) else { return };
        let (told, lacks) = (order.told_qty, order.lacks_fills() && order.venue_order != 0);
        let at = self.counted.iter().position(|(order, _)| *order == id);
        if !lacks {
            if let Some(at) = at {
                self.counted.swap_remove(at);
            }
            return;
        }
        let asked = at.is_some_and(|at| self.counted[at].1 >= told);
        if asked || self.link.requests.any(|p| *p == Purpose::FillsOf(id)) {
            return;
        }
        if self.ask(Question::Fills(id), now, probe) {
            match at {
                Some(at) => self.counted[at].1 = told,
                None => self.counted.push((id, told)),
            }
        }
    }
}
