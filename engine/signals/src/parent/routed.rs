//! A parent that is taken where it is best: its children stand at the venues that trade the same
//! thing. All of it at once ([`Algo::Best`]), or slice by slice as a schedule makes them due (TWAP,
//! VWAP, POV over all venues). What it wants is not a matter of this parent alone, so the router
//! splits it (`router/select.rs`); here is how it lives, and how much it wants.
//!
//! Nothing of it rests: where to wait to be taken is a question that one venue's touch answers, and
//! an order that waits at one venue misses what happens at the others. So icebergs and pegged
//! orders name a venue, and a scheduled one takes as soon as it is late by its patience.

use bot4_types::{Algo, Nanos, ParentEnd, ParentState, Qty, Urgency};

use super::{Parent, step::PASSIVE_SLICES};

impl Parent {
    /// Its children stand at several venues.
    pub(crate) const fn is_routed(&self) -> bool {
        self.order.is_routed()
    }

    /// Time passed: begins, ends, makes plans. `arrival_x2` is twice the best middle of its group,
    /// in its price units; `None` while none of its books may be traded on, and it waits.
    pub(crate) fn advance_routed(&mut self, arrival_x2: Option<i64>, now: Nanos) {
        match (self.state, arrival_x2) {
            (ParentState::Waiting, Some(arrival_x2)) if now >= self.start_at => {
                self.begin(arrival_x2, now);
            }
            // An order that is taken at once has its deadline in any case.
            (_, None) if self.order.algo != Algo::Best => return self.hold(now),
            _ => {}
        }
        self.keep_time(now);
        let works = matches!(self.state, ParentState::Working | ParentState::Finishing);
        if works && self.tally.filled() >= self.order.total {
            self.finish(ParentEnd::Filled);
        }
        self.sleep(now);
    }

    /// How much it wants to take now, where no venue takes less than `least`; `None`: nothing.
    pub(crate) fn wanted_routed(&self, least: i64) -> Option<Qty> {
        let left = self.tally.left().0;
        let wish = match (self.state, self.order.algo) {
            (ParentState::Finishing, _) | (ParentState::Working, Algo::Best) => left,
            (ParentState::Working, _) => self.late(least)?.min(left),
            _ => return None,
        };
        // What was refused for its size comes in halves, and what stays behind can be traded.
        let wish = (wish >> self.halved.min(62)).max(least).min(left);
        let wish = if left - wish < least { left } else { wish };
        (wish > 0).then_some(Qty(wish))
    }

    /// What is due and neither filled nor under way, once it is late by the parent's patience.
    fn late(&self, least: i64) -> Option<i64> {
        let under_way = self.tally.filled().0 + self.tally.open().0;
        let late = self.due.0 - under_way;
        let even = self.order.total.0 / i64::from(self.slices.max(1));
        let slice = even.max(self.order.slice_min.0).max(least);
        let patience = match self.order.urgency {
            Urgency::Passive => slice.saturating_mul(PASSIVE_SLICES),
            Urgency::Normal | Urgency::Aggressive => slice,
        };
        let last = (self.order.total.0 - under_way).max(1);
        (late >= patience.min(last)).then_some(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, ParentOrder, Side};
    use proptest::prelude::*;

    proptest! {
        /// Over its whole time: never more than what is due and a minimum, never a rest that no
        /// venue takes, and all of it at the end.
        #[test]
        fn what_is_wanted_follows_the_schedule(
            total in 1i64..1_000_000, least in 1i64..500, secs in 1u64..600,
            passive in any::<bool>(), fills in proptest::collection::vec(0i64..200, 1..60),
        ) {
            let twap = ParentOrder::twap(
                InstrumentId(0), Side::Buy, Qty(total), Nanos::from_secs(secs),
            );
            let urgency = if passive { Urgency::Passive } else { Urgency::Normal };
            let order = ParentOrder { all_venues: true, urgency, ..twap };
            let (mut parent, mut order_id) = (Parent::new(order, Nanos(1)), 1);
            let steps = fills.len() as u64;
            for (n, part) in fills.iter().enumerate() {
                let now = Nanos(1 + n as u64 * secs * 1_000_000_000 / steps);
                parent.advance_routed(Some(200), now);
                let Some(wish) = parent.wanted_routed(least) else { continue };
                let left = parent.tally.left().0;
                prop_assert!(wish.0 > 0 && wish.0 <= left);
                let behind = left - wish.0;
                prop_assert!(behind == 0 || behind >= least, "{wish:?} leaves {behind}");
                let due = (parent.due.0 - parent.tally.filled().0).max(least);
                prop_assert!(wish.0 <= due + least, "{wish:?} of {due}");
                // It is placed, and some of it is filled.
                let id = bot4_types::OrderId(order_id);
                order_id += 1;
                prop_assert!(parent.tally.place(0, id, wish));
                parent.tally.fill(id, Qty(wish.0 * part / 200));
                parent.tally.end(0);
            }
            parent.advance_routed(Some(200), Nanos(1) + Nanos::from_secs(secs));
            let left = parent.tally.left();
            let all = (left.0 > 0).then_some(left);
            prop_assert_eq!(parent.wanted_routed(least), all, "{:?}", parent.state);
        }
    }
}
