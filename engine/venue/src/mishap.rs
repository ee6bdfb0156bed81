//! What goes wrong with the account's own messages: late, repeated, withheld, or missing because
//! somebody else acted. State only; [`crate::faults`] strikes, [`crate::venue`] asks here.

use std::collections::{BTreeMap, VecDeque};

use crate::exchange::Private;
use crate::orders::Status;
use crate::report::Event;

/// Reports that can be told again.
const TOLD_MAX: usize = 16;

/// The account's mishaps that are on.
#[derive(Debug, Default)]
pub(crate) struct Mishaps {
    /// The next report is late by this much.
    late_ns: Option<u64>,
    /// The next fill of a part is told behind its order's end, or late by this much.
    part_ns: Option<u64>,
    /// Such a fill, held: its order, and when it is told at the latest.
    part: Option<(u64, u64, Private)>,
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

    /// The next fill of a part is told behind the end of its order, or `ns` late.
    pub fn delay_part(&mut self, ns: u64) {
        self.part_ns = Some(ns);
    }

    /// Holds `event` back where it is a fill that is to come behind its order's end; a fill that is
    /// held comes when that end, or another fill that completes the order, has passed.
    fn hold_part(&mut self, event: &Private, now_ns: u64) -> bool {
        let Private::Report(report) = event else { return false };
        let is_part = matches!(report.event, Event::Trade(_))
            && report.order.status == Status::PartiallyFilled;
        if is_part
            && self.part.is_none()
            && let Some(ns) = self.part_ns.take()
        {
            self.part = Some((report.order.id, now_ns + ns, event.clone()));
            return true;
        }
        let ends = !matches!(report.order.status, Status::New | Status::PartiallyFilled);
        if let Some((_, _, part)) = self.part.take_if(|(id, ..)| ends && *id == report.order.id) {
            self.hold_until(now_ns, part);
        }
        false
    }

    fn hold_until(&mut self, at_ns: u64, event: Private) {
        self.held_made += 1;
        self.held.insert((at_ns, self.held_made), event);
    }

    /// What of `event`, which happens at `now_ns`, is told now. A late one is held, and one of a
    /// time in which nothing is told is lost.
    pub fn pass(&mut self, event: Private, now_ns: u64) -> Option<Private> {
        if matches!(event, Private::Report(_)) {
            if self.told.len() == TOLD_MAX {
                self.told.pop_front();
            }
            self.told.push_back(event.clone());
            if self.hold_part(&event, now_ns) {
                return None;
            }
            if let Some(late_ns) = self.late_ns.take() {
                self.hold_until(now_ns + late_ns, event);
                return None;
            }
        }
        (now_ns >= self.deaf_until_ns).then_some(event)
    }

    fn first_ns(&self) -> u64 {
        self.held.first_key_value().map_or(u64::MAX, |((at_ns, _), _)| *at_ns)
    }

    /// When the next held report is due.
    pub fn due_ns(&self) -> u64 {
        let part_ns = self.part.as_ref().map_or(u64::MAX, |(_, at_ns, _)| *at_ns);
        self.first_ns().min(part_ns)
    }

    /// The held report that is due.
    pub fn take_due(&mut self) -> Option<Private> {
        if self.part.as_ref().is_some_and(|(_, at_ns, _)| *at_ns <= self.first_ns()) {
            return self.part.take().map(|(.., event)| event);
        }
        self.held.pop_first().map(|(_, event)| event)
    }

    /// The clock goes ahead, or back; what is held stays as far away as it was.
    pub fn shift(&mut self, ns: i64) {
        let moved = |at_ns: u64| at_ns.saturating_add_signed(ns);
        let held = std::mem::take(&mut self.held);
        self.held =
            held.into_iter().map(|((at_ns, n), event)| ((moved(at_ns), n), event)).collect();
        if let Some((_, at_ns, _)) = &mut self.part {
            *at_ns = moved(*at_ns);
        }
        self.deaf_until_ns = moved(self.deaf_until_ns);
        self.mute_until_ns = moved(self.mute_until_ns);
    }

    /// The last reports, oldest first.
    pub fn told(&self) -> Vec<Private> {
        self.told.iter().cloned().collect()
    }
}
