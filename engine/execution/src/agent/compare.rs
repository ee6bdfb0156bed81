//! Orders at rest are compared with the venue's word, each within the configured period: by lists
//! of what is open where the venue has them, which also name what is nobody's, and one by one.
//!
//! All of it is at leisure. It takes no more than what leaves half of the rate budget to the rest;
//! where that is too little the period grows, and the gauge `compare_age_ms` tells it. Cost: a look
//! at every open order each time the clock is looked at.

use bot4_lanes::Probe;
use bot4_types::{InstrumentId, Nanos};
use bot4_venues::limits::Cost;

use super::{COMPARE_AGE_MS, ExecutionAgent, ORDERS_COMPARED, ORDERS_LISTED};
use crate::desk_input::DeskInput;
use crate::gateway::{Act, OpenLists};
use crate::requests::Purpose;

/// Between two comparisons of an order where the configuration says nothing.
pub const COMPARE_EVERY: Nanos = Nanos::from_secs(10);
/// Orders asked for by name in one turn at most.
const AT_ONCE: u64 = 8;
/// Of a period in percent: lists come round within the first part; what no list has named by the
/// second is asked for by name in the third. A tenth is left for answers.
const LISTS_WITHIN: u64 = 50;
const LISTED_BY: u64 = 55;
const ASKED_WITHIN: u64 = 35;
/// The same without lists: everything at rest is asked for by name.
const ALL_WITHIN: u64 = 90;
/// Heard of so lately, an order needs no comparison.
const HEARD_LATELY: Nanos = Nanos::from_millis(500);

/// Where the comparison is.
#[derive(Debug)]
pub(super) struct Comparing {
    every: Nanos,
    asked_at: Nanos,
    listed_at: Nanos,
    /// The instrument of the next list.
    next: usize,
}

impl Comparing {
    /// Each order within `every`; zero: never.
    pub(super) const fn new(every: Nanos) -> Self {
        Self { every, asked_at: Nanos::ZERO, listed_at: Nanos::ZERO, next: 0 }
    }

    const fn share(&self, percent: u64) -> Nanos {
        Nanos(self.every.0 / 100 * percent)
    }
}

impl ExecutionAgent {
    /// Asks for what is due.
    pub(super) fn compare(&mut self, now: Nanos, probe: &Probe) {
        if self.comparing.every == Nanos::ZERO {
            return;
        }
        let instruments = self.table.own().count();
        let lists = self.gateway.lists_open(instruments);
        let (after, within) = match lists {
            OpenLists::None => (HEARD_LATELY, ALL_WITHIN),
            OpenLists::OfEach | OpenLists::OfAccount => {
                self.ask_for_list(lists, instruments, now, probe);
                (self.comparing.share(LISTED_BY).max(HEARD_LATELY), ASKED_WITHIN)
            }
        };
        let resting = self.desk.resting(now, after);
        self.counters.set(COMPARE_AGE_MS, resting.age_max.0 / 1_000_000);
        if resting.due == 0 {
            self.comparing.asked_at = now;
            return;
        }
        // By all of them: whatever of them is due, the last one is asked for in time.
        let pace = (self.comparing.share(within).0 / resting.all as u64).max(1);
        let wanted = now.since(self.comparing.asked_at).0 / pace;
        let wanted = wanted.min(AT_ONCE).min(resting.due as u64);
        let now_ms = self.wall.unix_ms(now);
        let cost = self.gateway.cost_status();
        let all = Cost { weight: cost.weight * wanted as u32, ..cost };
        if wanted == 0 || !self.budget.has_idle(now_ms, all) {
            return;
        }
        self.comparing.asked_at = now;
        self.counters.add(ORDERS_COMPARED, wanted);
        self.ask_all(DeskInput::Compare(wanted as u16), now, probe);
    }

    /// Asks for the next list when it is time, one at a time.
    fn ask_for_list(&mut self, lists: OpenLists, instruments: usize, now: Nanos, probe: &Probe) {
        let each = lists == OpenLists::OfEach;
        let rounds = if each { instruments.max(1) } else { 1 };
        let pace = self.comparing.share(LISTS_WITHIN).0 / rounds as u64;
        if now.since(self.comparing.listed_at).0 < pace
            || self.link.requests.any(|p| matches!(p, Purpose::ListOpen(_)))
        {
            return;
        }
        let instrument = match each {
            true => self.table.own().nth(self.comparing.next % rounds).map(|i| i.id),
            false => None,
        };
        if self.ask_list(lists, instrument, now, probe) {
            self.comparing.listed_at = now;
            self.comparing.next = (self.comparing.next + 1) % rounds;
            self.counters.add(ORDERS_LISTED, 1);
        }
    }

    fn ask_list(
        &mut self,
        lists: OpenLists,
        instrument: Option<InstrumentId>,
        now: Nanos,
        probe: &Probe,
    ) -> bool {
        let (purpose, now_ms) = (Purpose::ListOpen(instrument), self.wall.unix_ms(now));
        let granted = self.may_ask(&purpose, now)
            && self.budget.try_take_idle(now_ms, self.gateway.cost_list(lists))
            && self.gateway.permits(&Act::Ask(&purpose, true), now_ms);
        if !granted {
            return false;
        }
        let of = instrument.and_then(|id| self.table.get(id).copied());
        self.link.out.clear();
        let id = self.link.requests.next_id();
        self.gateway.list_open(id, of.as_ref(), now_ms, &mut self.link.out);
        self.link.send(purpose, now, || probe.stamp())
    }
}
