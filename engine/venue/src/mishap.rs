//! What goes wrong with the account's own messages: late, repeated, withheld, or missing because
//! somebody else acted. State only; [`crate::faults`] strikes, [`crate::venue`] asks here.

use std::collections::{BTreeMap, VecDeque};

use crate::exchange::Private;

/// Reports that can be told again.
const TOLD_MAX: usize = 16;

/// The account's mishaps that are on.
#[derive(Debug, Default)]
pub(crate) struct Mishaps {
    /// The next report is late by this much.
    late_ns: Option<u64>,
    held: BTreeMap<(u64, u64), Private>,
    held_made: u64,
    told: VecDeque<Private>,
    /// Until then no event is told.
    pub deaf_until_ns: u64,
    /// Until then no request of the account is answered.
    pub mute_until_ns: u64,
}

impl Mishaps {
    /// The next report comes `ns` later than those behind it.
    pub fn delay_report(&mut self, ns: u64) {
        self.late_ns = Some(ns);
    }

    /// What of `event`, which happens at `now_ns`, is told now. A late one is held, and one of a
    /// time in which nothing is told is lost.
    pub fn pass(&mut self, event: Private, now_ns: u64) -> Option<Private> {
        if matches!(event, Private::Report(_)) {
            if self.told.len() == TOLD_MAX {
                self.told.pop_front();
            }
            self.told.push_back(event.clone());
            if let Some(late_ns) = self.late_ns.take() {
                self.held_made += 1;
                self.held.insert((now_ns + late_ns, self.held_made), event);
                return None;
            }
        }
        (now_ns >= self.deaf_until_ns).then_some(event)
    }

    /// When the next held report is due.
    pub fn due_ns(&self) -> u64 {
        self.held.first_key_value().map_or(u64::MAX, |((at_ns, _), _)| *at_ns)
    }

    /// The held report that is due.
    pub fn take_due(&mut self) -> Option<Private> {
        self.held.pop_first().map(|(_, event)| event)
    }

    /// The clock goes ahead; what is held stays as far away as it was.
    pub fn shift(&mut self, ns: u64) {
        let held = std::mem::take(&mut self.held);
        self.held = held.into_iter().map(|((at_ns, n), event)| ((at_ns + ns, n), event)).collect();
    }

    /// The last reports, oldest first.
    pub fn told(&self) -> Vec<Private> {
        self.told.iter().cloned().collect()
    }
}
