//! The exact account of one parent: what is filled, what children may still fill, what is left.
//!
//! Invariant, after every call: `filled + open + left == total + over`. A child is charged when it
//! is asked for, with all that it may fill; an amend with the larger of both terms until it is
//! over; what an ended child did not fill comes back. Nothing is ever charged that is not left, so
//! children cannot fill more than the total; `over` is what a venue fills beyond that by
//! contradicting itself, and is paid back by what comes back.

use bot4_types::{OrderId, Qty};

/// Children of one parent at a time.
pub const CHILDREN: usize = 4;
/// Ended children of which a late fill is still recognised.
const PAST: usize = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Child {
    /// Zero: there is none.
    order: OrderId,
    /// All it may fill, what is filled included.
    qty: i64,
    /// Its whole quantity before an amend that is on its way.
    before: i64,
    filled: i64,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    total: i64,
    filled: i64,
    left: i64,
    over: i64,
    children: [Child; CHILDREN],
    /// Ended children: the newest overwrites the oldest.
    past: [Child; PAST],
    ended: usize,
}

impl Tally {
    /// Nothing filled, nothing open.
    #[must_use]
    pub const fn new(total: Qty) -> Self {
        const NONE: Child = Child { order: OrderId(0), qty: 0, before: 0, filled: 0 };
        Self {
            total: total.0,
            filled: 0,
            left: total.0,
            over: 0,
            children: [NONE; CHILDREN],
            past: [NONE; PAST],
            ended: 0,
        }
    }

    /// Whole quantity.
    #[must_use]
    pub const fn total(&self) -> Qty {
        Qty(self.total)
    }

    /// Filled.
    #[must_use]
    pub const fn filled(&self) -> Qty {
        Qty(self.filled)
    }

    /// Neither filled nor with a child: what a new child may have at most.
    #[must_use]
    pub const fn left(&self) -> Qty {
        Qty(self.left)
    }

    /// Filled beyond what was asked for.
    #[must_use]
    pub const fn over(&self) -> Qty {
        Qty(self.over)
    }

    /// What children may still fill.
    #[must_use]
    pub fn open(&self) -> Qty {
        Qty(self.children.iter().map(|c| c.qty - c.filled).sum())
    }

    /// No child can fill any more.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.children.iter().all(|c| c.order.0 == 0)
    }

    /// Child `at` is asked for. False, and nothing is charged, when there is not so much left.
    #[must_use]
    pub fn place(&mut self, at: usize, order: OrderId, qty: Qty) -> bool {
        debug_assert!(self.children[at].order.0 == 0, "a child's place holds one order");
        if qty.0 <= 0 || qty.0 > self.left {
            return false;
        }
        self.left -= qty.0;
        self.children[at] = Child { order, qty: qty.0, before: qty.0, filled: 0 };
        true
    }

    /// Child `at` could be asked to have a whole quantity of `qty`.
    #[must_use]
    pub const fn could_amend(&self, at: usize, qty: Qty) -> bool {
        let child = &self.children[at];
        child.order.0 != 0 && qty.0 - child.qty <= self.left
    }

    /// Child `at` is asked to have a whole quantity of `qty`. False, and nothing is charged, when
    /// there is not so much left.
    #[must_use]
    pub fn amend(&mut self, at: usize, qty: Qty) -> bool {
        if !self.could_amend(at, qty) {
            return false;
        }
        let child = &mut self.children[at];
        let more = (qty.0 - child.qty).max(0);
        child.before = child.qty;
        child.qty += more;
        self.left -= more;
        true
    }

    /// The amend of child `at` is over: its whole quantity is `qty`, or what it was before.
    pub fn amended(&mut self, at: usize, qty: Option<Qty>) {
        let child = &mut self.children[at];
        if child.order.0 == 0 {
            return;
        }
        let now = qty.map_or(child.before, |q| q.0).max(child.filled);
        let back = child.qty - now;
        (child.qty, child.before) = (now, now);
        if back >= 0 { self.release(back) } else { self.charge(-back) }
    }

    /// `order` has filled `cum` in all. What of it is new: zero for a repeat, `None` when it is no
    /// child of this parent, as far as that is remembered.
    pub fn fill(&mut self, order: OrderId, cum: Qty) -> Option<Qty> {
        if order.0 == 0 {
            return None;
        }
        if let Some(child) = self.children.iter_mut().find(|c| c.order == order) {
            let new = (cum.0 - child.filled).max(0);
            child.filled += new;
            let beyond = (child.filled - child.qty).max(0);
            child.qty += beyond;
            self.filled += new;
            self.charge(beyond);
            return Some(Qty(new));
        }
        let child = self.past.iter_mut().find(|c| c.order == order)?;
        let new = (cum.0 - child.filled).max(0);
        child.filled += new;
        self.filled += new;
        self.charge(new);
        Some(Qty(new))
    }

    /// Child `at` has ended: what it did not fill is left again.
    pub fn end(&mut self, at: usize) {
        let child = std::mem::take(&mut self.children[at]);
        if child.order.0 != 0 {
            self.past[self.ended % PAST] = child;
            self.ended += 1;
            self.release(child.qty - child.filled);
        }
    }

    fn charge(&mut self, qty: i64) {
        self.left -= qty;
        if self.left < 0 {
            self.over -= self.left;
            self.left = 0;
        }
    }

    fn release(&mut self, qty: i64) {
        let owed = self.over.min(qty);
        self.over -= owed;
        self.left += qty - owed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The naive twin: every child ever, summed from scratch.
    #[derive(Default)]
    struct Naive {
        /// Worst whole quantity, filled, alive.
        orders: BTreeMap<u64, (i64, i64, bool)>,
    }

    impl Naive {
        fn filled(&self) -> i64 {
            self.orders.values().map(|o| o.1).sum()
        }

        fn open(&self) -> i64 {
            self.orders.values().filter(|o| o.2).map(|o| (o.0 - o.1).max(0)).sum()
        }
    }

    /// What happens to a parent of a hundred.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Place(usize, i64),
        Amend(usize, i64),
        Amended(usize, bool),
        Fill(usize, i64),
        End(usize),
        Late(usize, i64),
    }

    fn event() -> impl Strategy<Value = Event> {
        let at = 0..CHILDREN;
        prop_oneof![
            (at.clone(), 1i64..60).prop_map(|(at, q)| Event::Place(at, q)),
            (at.clone(), 1i64..60).prop_map(|(at, q)| Event::Amend(at, q)),
            (at.clone(), any::<bool>()).prop_map(|(at, ok)| Event::Amended(at, ok)),
            (at.clone(), 1i64..40).prop_map(|(at, q)| Event::Fill(at, q)),
            at.clone().prop_map(Event::End),
            (0usize..PAST, 1i64..9).prop_map(|(at, q)| Event::Late(at, q)),
        ]
    }

    /// A fill beyond a child's quantity or after its end is the venue's contradiction.
    fn run(events: &[Event], contradicts: bool) -> Result<(), TestCaseError> {
        let (mut tally, mut naive) = (Tally::new(Qty(100)), Naive::default());
        let (mut held, mut wished) = ([0u64; CHILDREN], [None::<(i64, i64)>; CHILDREN]);
        let mut ended: Vec<u64> = Vec::new();
        let mut next = 1;
        for event in events {
            match *event {
                Event::Place(at, q) if held[at] == 0 => {
                    let fits = naive.filled() + naive.open() + q <= 100;
                    prop_assert_eq!(tally.place(at, OrderId(next), Qty(q)), fits);
                    if fits {
                        naive.orders.insert(next, (q, 0, true));
                        held[at] = next;
                        next += 1;
                    }
                }
                Event::Amend(at, q) if held[at] != 0 && wished[at].is_none() => {
                    let all = naive.filled() + naive.open();
                    let order = naive.orders.get_mut(&held[at]).expect("held");
                    let more = (q - order.0).max(0);
                    let fits = more == 0 || all + more <= 100;
                    prop_assert_eq!(tally.amend(at, Qty(q)), fits);
                    if fits {
                        wished[at] = Some((order.0, q));
                        order.0 += more;
                    }
                }
                Event::Amended(at, ok) if held[at] != 0 => {
                    let Some((before, q)) = wished[at].take() else { continue };
                    let order = naive.orders.get_mut(&held[at]).expect("held");
                    order.0 = if ok { q } else { before }.max(order.1);
                    tally.amended(at, ok.then_some(Qty(q)));
                }
                Event::Fill(at, q) if held[at] != 0 => {
                    let order = naive.orders.get_mut(&held[at]).expect("held");
                    let most = if contradicts { order.1 + q } else { order.0 };
                    let (id, cum) = (OrderId(held[at]), (order.1 + q).min(most));
                    prop_assert_eq!(tally.fill(id, Qty(cum)), Some(Qty(cum - order.1)));
                    prop_assert_eq!(tally.fill(id, Qty(cum)), Some(Qty(0)));
                    order.1 = cum;
                    order.0 = order.0.max(cum);
                }
                Event::End(at) if held[at] != 0 => {
                    tally.end(at);
                    naive.orders.get_mut(&held[at]).expect("held").2 = false;
                    ended.push(held[at]);
                    (held[at], wished[at]) = (0, None);
                }
                Event::Late(n, q) if contradicts && n < ended.len() => {
                    let id = ended[ended.len() - 1 - n];
                    let order = naive.orders.get_mut(&id).expect("ended");
                    let cum = Qty(order.1 + q);
                    prop_assert_eq!(tally.fill(OrderId(id), cum), Some(Qty(q)));
                    order.1 += q;
                }
                _ => {}
            }
            let (filled, open) = (naive.filled(), naive.open());
            prop_assert_eq!((tally.filled(), tally.open()), (Qty(filled), Qty(open)));
            prop_assert_eq!(tally.left().0, (100 - filled - open).max(0));
            prop_assert_eq!(tally.over().0, (filled + open - 100).max(0));
            prop_assert!(contradicts || tally.over().0 == 0);
            prop_assert_eq!(tally.is_at_rest(), held == [0; CHILDREN]);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_account_equals_the_naive_sum(
            events in proptest::collection::vec(event(), 1..120), contradicts in any::<bool>(),
        ) {
            run(&events, contradicts)?;
        }
    }

    #[test]
    fn strangers_and_empty_places_change_nothing() {
        let mut tally = Tally::new(Qty(10));
        let fresh = tally;
        tally.end(0);
        tally.amended(1, Some(Qty(5)));
        assert!(!tally.amend(1, Qty(5)) && !tally.place(0, OrderId(1), Qty(11)));
        assert_eq!((tally.fill(OrderId(9), Qty(3)), tally.fill(OrderId(0), Qty(3))), (None, None));
        assert_eq!(tally, fresh);
    }
}
