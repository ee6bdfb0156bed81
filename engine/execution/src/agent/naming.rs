//! Whose an order is of which a fill came without a name: the venue is asked for it by its number,
//! a few times; then the fill is judged without.

use bot4_lanes::Probe;
use bot4_types::Nanos;

use super::ExecutionAgent;
use crate::desk_input::DeskInput;
use crate::gateway::Act;
use crate::requests::Purpose;

/// Between two questions about an order.
const ASK_EVERY: Nanos = Nanos::from_millis(500);
/// Questions about an order.
const ASKED_MAX: u8 = 4;

/// The order that is being asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Naming {
    number: u64,
    asked: u8,
    asked_at: Nanos,
}

impl ExecutionAgent {
    /// Asks for the first order whose name is wanted.
    pub(super) fn ask_whose(&mut self, now: Nanos, probe: &Probe) {
        let Some((instrument, number)) = self.desk.unnamed() else { return };
        if self.naming.number != number {
            self.naming = Naming { number, ..Naming::default() };
        }
        let waits = self.naming.asked > 0 && now.since(self.naming.asked_at) < ASK_EVERY;
        let purpose = Purpose::Whose(instrument, number);
        if waits || self.link.requests.any(|p| *p == purpose) {
            return;
        }
        let Some(instrument) = self.table.get(instrument).copied() else { return };
        if self.naming.asked == ASKED_MAX {
            self.feed(DeskInput::Nameless(number), now);
            return;
        }
        let now_ms = self.wall.unix_ms(now);
        if !self.may_ask(&purpose, now)
            || !self.budget.try_take_urgent(now_ms, self.gateway.cost_status())
            || !self.gateway.permits(&Act::Ask(&purpose, false), now_ms)
        {
            return;
        }
        self.link.out.clear();
        let id = self.link.requests.next_id();
        self.gateway.whose(id, &instrument, number, now_ms, &mut self.link.out);
        if self.link.out.is_empty() {
            self.feed(DeskInput::Nameless(number), now);
        } else if self.link.send(purpose, now, || probe.stamp()) {
            (self.naming.asked, self.naming.asked_at) = (self.naming.asked + 1, now);
        }
    }
}
