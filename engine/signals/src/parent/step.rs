//! What one parent wants of the market now: something resting, something taken, or nothing.
//!
//! A pure function of the parent, the touch and the time. Scheduled parents (TWAP, VWAP, POV) let
//! one slice rest at their own side of the touch and take when they are too late; an iceberg rests
//! at its limit, a pegged order at its distance. Prices never beat the limit, and what rests never
//! crosses: own quantity at the touch is taken out of it first, or an order that improves the touch
//! would chase itself.

use bot4_types::{Algo, Instrument, Level, Nanos, ParentState, Peg, Price, Qty, Side, Urgency};

use super::Parent;
use super::sizes::{child, largest, smallest};
use crate::slot::Open;

/// Slices behind the schedule at which a passive parent takes.
pub(super) const PASSIVE_SLICES: i64 = 4;
/// How far through the touch the rest is taken at the deadline, hundredths of a percent.
const FINISH_SLIP_BPS: i64 = 20;
/// What rests at a touch that moved away stays for so long at least.
const REST_MIN: Nanos = Nanos::from_millis(250);
/// The same for what follows the touch by its nature.
const PEGGED_MIN: Nanos = Nanos::from_millis(50);

/// The touch as one parent sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    pub now: Nanos,
    pub rules: &'a Instrument,
    /// Best levels of the book by side, best first; the first is the newest touch.
    pub sides: [[Level; 2]; 2],
}

impl Sight<'_> {
    /// Best price of `side` without `own` quantity at `at`; the best of all where nothing else is.
    fn best(&self, side: Side, at: Price, own: Qty) -> Price {
        let [first, second] = self.sides[side.index()];
        let ours = own.0 > 0 && first.price == at.0 && first.qty <= own.0;
        Price(if ours && second.price > 0 { second.price } else { first.price })
    }

    /// The other side's best price: an order of `side` takes there.
    fn opposite(&self, side: Side) -> Price {
        Price(self.sides[side.opposite().index()][0].price)
    }
}

/// What is wanted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub rest: Rest,
    pub take: Option<(Price, Qty)>,
}

/// What is wanted of the resting child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Let it be.
    Keep,
    /// Nothing may rest.
    Pull,
    /// This.
    At(Price, Qty),
}

const NOTHING: Step = Step { rest: Rest::Pull, take: None };
const WAIT: Step = Step { rest: Rest::Keep, take: None };

impl Parent {
    /// What is wanted now. `resting`: the child that rests; `taking`: one that takes is on its way.
    pub(crate) fn step(&self, sight: &Sight<'_>, resting: Option<Open>, taking: bool) -> Step {
        match self.state {
            ParentState::Working => match self.order.algo {
                Algo::Twap | Algo::Vwap | Algo::Pov => self.scheduled(sight, resting, taking),
                Algo::Iceberg => self.iceberg(sight, resting, taking),
                Algo::Pegged => self.pegged(sight, resting),
                // The router splits it.
                Algo::Best => NOTHING,
            },
            ParentState::Finishing => self.take_all(sight, resting, taking),
            _ => NOTHING,
        }
    }

    /// About how large a child is wished for at `price`.
    pub(crate) fn slice(&self, rules: &Instrument, price: Price) -> i64 {
        let least = smallest(rules, price).max(self.order.slice_min.0);
        let even = self.order.total.0 / i64::from(self.slices);
        (even.max(least) >> self.halved.min(62)).max(smallest(rules, price)).min(largest(rules))
    }

    fn scheduled(&self, sight: &Sight<'_>, resting: Option<Open>, taking: bool) -> Step {
        let (side, filled) = (self.order.side, self.tally.filled().0);
        let near = self.limited(sight.best(side, Price(0), Qty(0)));
        let slice = self.slice(sight.rules, near);
        let late = self.due.0 - filled;
        let patience = match self.order.urgency {
            Urgency::Passive => slice.saturating_mul(PASSIVE_SLICES),
            Urgency::Normal | Urgency::Aggressive => slice,
        };
        let last = self.tally.total().0 - filled;
        if late >= patience.min(last.max(1)) && !taking {
            return self.catch_up(sight, resting, late, slice);
        }
        // POV: no more than its share, ever; others may be ahead by one slice that rests.
        let ahead = if self.order.algo == Algo::Pov { 0 } else { slice };
        let due = self.due.0.saturating_add(ahead);
        match (self.order.urgency, resting) {
            (Urgency::Aggressive, _) => NOTHING,
            (_, Some(open)) => self.follow(sight, near, open, REST_MIN),
            (_, None) if filled + self.tally.open().0 + slice.min(last) > due => WAIT,
            (_, None) => self.rest(sight, near, slice),
        }
    }

    /// Takes what is late, or makes room for it.
    fn catch_up(&self, sight: &Sight<'_>, resting: Option<Open>, late: i64, slice: i64) -> Step {
        let price = sight.opposite(self.order.side);
        if !self.allows(price) {
            // Not at this price: rest at the limit and wait for it.
            let near = self.limited(sight.best(self.order.side, Price(0), Qty(0)));
            return match resting {
                Some(open) => self.follow(sight, near, open, REST_MIN),
                None => self.rest(sight, near, slice),
            };
        }
        // POV: what rests may fill beside it, and its share is all there is, ever.
        let rests = if self.order.algo == Algo::Pov { self.tally.open().0 } else { 0 };
        let wish = late.saturating_sub(rests).max(0) >> self.halved.min(62);
        match child(sight.rules, price, wish, self.tally.left()) {
            Some(qty) => Step { rest: Rest::Keep, take: Some((price, qty)) },
            // What is left rests: it comes back first.
            None => NOTHING,
        }
    }

    fn iceberg(&self, sight: &Sight<'_>, resting: Option<Open>, taking: bool) -> Step {
        let (side, limit) = (self.order.side, self.order.limit);
        let shown = if self.order.display.0 > 0 { self.order.display } else { self.order.total };
        let shown = (shown.0 >> self.halved.min(62)).max(1);
        let opposite = sight.opposite(side);
        if self.order.urgency == Urgency::Aggressive && self.allows(opposite) && resting.is_none() {
            let qty = child(sight.rules, opposite, shown, self.tally.left()).filter(|_| !taking);
            return Step { rest: Rest::Keep, take: qty.map(|qty| (opposite, qty)) };
        }
        let price = self.passive(sight, limit);
        match resting {
            Some(open) => self.follow(sight, price, open, REST_MIN),
            None => self.rest(sight, price, shown),
        }
    }

    fn pegged(&self, sight: &Sight<'_>, resting: Option<Open>) -> Step {
        let (side, tick) = (self.order.side, sight.rules.tick.max(1));
        let (at, own) =
            resting.map_or((Price(0), Qty(0)), |o| (o.price, Qty(o.qty.0 - o.filled.0)));
        let near = sight.best(side, at, own);
        let reference = match self.order.peg {
            Peg::Touch => near.0,
            Peg::Mid => i64::midpoint(near.0, sight.opposite(side).0),
        };
        let away =
            i64::from(self.order.offset_ticks).saturating_mul(tick).saturating_mul(side.sign());
        let wanted = Price(reference.saturating_sub(away)).to_tick(tick, side);
        let price = self.passive(sight, self.limited(wanted));
        let shown = if self.order.display.0 > 0 { self.order.display } else { self.order.total };
        match resting {
            Some(open) if open.price == price || price.0 <= 0 => WAIT,
            Some(open) if sight.now.since(open.since) < PEGGED_MIN => WAIT,
            Some(open) => self.again(sight, price, open),
            None => self.rest(sight, price, (shown.0 >> self.halved.min(62)).max(1)),
        }
    }

    /// The time is over: what rests comes back, and all of it is taken.
    fn take_all(&self, sight: &Sight<'_>, resting: Option<Open>, taking: bool) -> Step {
        let side = self.order.side;
        if taking || resting.is_some() {
            return NOTHING;
        }
        let touch = sight.opposite(side).0;
        let slip = i128::from(touch) * i128::from(FINISH_SLIP_BPS) / 10_000;
        let far = touch.saturating_add(side.sign() * i64::try_from(slip).unwrap_or(0));
        let price = self.limited(Price(far.max(1)));
        let wish = self.tally.left().0 >> self.halved.min(62);
        let qty =
            child(sight.rules, price.to_tick(sight.rules.tick, side), wish, self.tally.left());
        let qty = qty.filter(|_| self.allows(Price(touch)));
        Step { rest: Rest::Pull, take: qty.map(|qty| (price, qty)) }
    }

    /// A new child of about `wish` at `price`.
    fn rest(&self, sight: &Sight<'_>, price: Price, wish: i64) -> Step {
        match child(sight.rules, price, wish, self.tally.left()) {
            Some(qty) if price.0 > 0 => Step { rest: Rest::At(price, qty), take: None },
            _ => WAIT,
        }
    }

    /// What rests moves to `price` when that is nearer to the market and it rested long enough.
    fn follow(&self, sight: &Sight<'_>, price: Price, open: Open, life: Nanos) -> Step {
        let nearer = self.order.side.sign() * (price.0 - open.price.0) > 0;
        if nearer && sight.now.since(open.since) >= life {
            return self.again(sight, price, open);
        }
        WAIT
    }

    /// What is not filled of `open` at another price: an amend, where that can be.
    fn again(&self, sight: &Sight<'_>, price: Price, open: Open) -> Step {
        let rest = open.qty.0 - open.filled.0;
        match child(sight.rules, price, rest, Qty(self.tally.left().0 + rest)) {
            Some(qty) if price.0 > 0 => Step { rest: Rest::At(price, qty), take: None },
            _ => WAIT,
        }
    }

    /// `price`, or the limit where that is tighter.
    fn limited(&self, price: Price) -> Price {
        match (self.order.limit.0, self.order.side) {
            (0, _) => price,
            (limit, Side::Buy) => Price(price.0.min(limit)),
            (limit, Side::Sell) => Price(price.0.max(limit)),
        }
    }

    /// The limit allows a trade at `price`.
    fn allows(&self, price: Price) -> bool {
        self.limited(price) == price
    }

    /// `price`, or one step before the other side where it would take.
    fn passive(&self, sight: &Sight<'_>, price: Price) -> Price {
        let (side, tick) = (self.order.side, sight.rules.tick.max(1));
        let before = sight.opposite(side).0 - side.sign() * tick;
        match side {
            Side::Buy => Price(price.0.min(before)),
            Side::Sell => Price(price.0.max(before)),
        }
    }
}
