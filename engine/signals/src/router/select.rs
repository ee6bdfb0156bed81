//! Where an order that takes is filled best: venues by effective price, split by depth.
//!
//! The effective price of a level is its price with the venue's taker fee and what its slowness may
//! cost. Levels of all venues are taken in that order until the quantity is there. A venue whose
//! part would be below its minimum, or below the smallest slice that is wished for, gets none, and
//! the rest is split anew without it; so does the smallest part where there are more than a parent
//! has children. Pure, exact in integers, no allocation. Cost: at most the square of the venues
//! times the levels, some hundred comparisons.

use bot4_types::limits::{TOP_LEVELS, VENUES_MAX};
use bot4_types::{Instrument, Level, Price, Qty, Side};

use super::groups::{scaled_down, scaled_up};
use crate::parent::{CHILDREN, smallest};

/// Costs are told in units of 10^-8 of the price.
pub(crate) const COST_ONE: i128 = 100_000_000;

/// What one venue offers to an order that takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    /// Its instrument there.
    pub(crate) rules: &'a Instrument,
    /// The other side of its book, best first; quantity zero where there is no level.
    pub(crate) levels: [Level; TOP_LEVELS],
    /// Fee and slowness, 10^-8 of the price.
    pub(crate) cost_e8: i64,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want<'a> {
    /// Buy or sell.
    pub(crate) side: Side,
    /// The instrument in whose units quantity, price and slice are: no other of the group has finer
    /// quantities.
    pub(crate) units: &'a Instrument,
    /// How much.
    pub(crate) qty: Qty,
    /// No level beyond this price, fees not counted; zero: no limit.
    pub(crate) limit: Price,
    /// Smallest part of a venue.
    pub(crate) slice_min: Qty,
    /// Parts at most.
    pub(crate) parts: usize,
}

/// A venue's part of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its place among the offers.
    pub(crate) offer: usize,
    /// In the units of its instrument, on its lot.
    pub(crate) qty: Qty,
    /// The worst price that it needs, in the units of its instrument.
    pub(crate) price: Price,
}

/// The parts of an order, by venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    parts: [Part; CHILDREN],
    len: usize,
}

impl Split {
    /// The parts.
    #[must_use]
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts[..self.len]
    }
}

/// Splits `want` over `offers`; nothing where no venue can take a part. Offers beyond
/// [`VENUES_MAX`] are not looked at.
#[must_use]
pub(crate) fn split(want: &Want<'_>, offers: &[Offer<'_>]) -> Split {
    let count = offers.len().min(VENUES_MAX);
    let offers = &offers[..count];
    let mut out = [false; VENUES_MAX];
    loop {
        let taken = take(want, offers, &out);
        let parts = taken.map(|(qty, price)| (qty, Price(price)));
        let in_use = || (0..count).filter(|o| parts[*o].0 > 0);
        // The smallest part that cannot stand, or that there is no child for.
        let too_many = in_use().count() > want.parts.min(CHILDREN);
        let stands = |o: usize| on_lot(want, &offers[o], parts[o]).is_some();
        let worst = in_use().filter(|o| too_many || !stands(*o)).min_by_key(|o| parts[*o].0);
        let Some(worst) = worst else {
            let mut split = Split::default();
            for o in in_use() {
                let Some(qty) = on_lot(want, &offers[o], parts[o]) else { continue };
                split.parts[split.len] = Part { offer: o, qty, price: parts[o].1 };
                split.len += 1;
            }
            return split;
        };
        out[worst] = true;
    }
}

/// Quantity, in the units wanted, and worst price of each offer that is not `out`.
fn take(
    want: &Want<'_>,
    offers: &[Offer<'_>],
    out: &[bool; VENUES_MAX],
) -> [(i64, i64); VENUES_MAX] {
    let mut taken = [(0, 0); VENUES_MAX];
    let mut next = [0usize; VENUES_MAX];
    let mut left = want.qty.0;
    while left > 0 {
        let here = |o: usize| {
            let level = offers[o].levels.get(next[o]).filter(|l| !out[o] && l.qty > 0)?;
            allows(want, offers[o].rules, level.price).then(|| effective(want, &offers[o], level))
        };
        let best = (0..offers.len()).filter_map(|o| Some((here(o)?, o))).min();
        let Some((_, o)) = best else { break };
        let level = offers[o].levels[next[o]];
        next[o] += 1;
        let there = scaled_up(level.qty, offers[o].rules.qty_decimals, want.units.qty_decimals);
        // No more than its largest order.
        let most = match offers[o].rules.qty_max.0 {
            0 => i64::MAX,
            max => scaled_up(max, offers[o].rules.qty_decimals, want.units.qty_decimals),
        };
        let qty = there.min(left).min(most - taken[o].0);
        if qty > 0 {
            taken[o] = (taken[o].0 + qty, level.price);
            left -= qty;
        }
    }
    taken
}

/// What a level costs, in one unit for all venues; less is better for either side.
fn effective(want: &Want<'_>, offer: &Offer<'_>, level: &Level) -> i128 {
    let price = common(level.price, offer.rules.price_decimals);
    match want.side {
        Side::Buy => price * (COST_ONE + i128::from(offer.cost_e8)),
        Side::Sell => -price * (COST_ONE - i128::from(offer.cost_e8)),
    }
}

/// The limit allows a level at `price` of `rules`.
fn allows(want: &Want<'_>, rules: &Instrument, price: i64) -> bool {
    if want.limit.0 == 0 {
        return price > 0;
    }
    let (price, limit) =
        (common(price, rules.price_decimals), common(want.limit.0, want.units.price_decimals));
    match want.side {
        Side::Buy => 0 < price && price <= limit,
        Side::Sell => price >= limit,
    }
}

/// A price in units of 10^-16.
fn common(price: i64, decimals: u8) -> i128 {
    i128::from(price) * 10i128.pow(u32::from(16u8.saturating_sub(decimals)))
}

/// The part as an order of its venue; `None` when it is below a minimum.
fn on_lot(want: &Want<'_>, offer: &Offer<'_>, (qty, price): (i64, Price)) -> Option<Qty> {
    let rules = offer.rules;
    let own = scaled_down(qty, want.units.qty_decimals, rules.qty_decimals);
    let qty = Qty(own).to_lot(rules.lot);
    let slice = scaled_down(want.slice_min.0, want.units.qty_decimals, rules.qty_decimals);
    (qty.0 > 0 && qty.0 >= smallest(rules, price).max(slice)).then_some(qty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{InstrumentId, Symbol};
    use proptest::prelude::*;

    fn rules(id: u16, lot: i64, least: i64, qty_decimals: u8) -> Instrument {
        let symbol = Symbol::new("AAA").expect("short");
        let bare = Instrument::bare(InstrumentId(id), symbol, 2);
        Instrument { lot, qty_min: Qty(least), qty_decimals, ..bare }
    }

    fn levels(side: Side, first: i64, steps: &[(i64, i64)]) -> [Level; TOP_LEVELS] {
        let mut price = first;
        let mut levels = [Level::default(); TOP_LEVELS];
        for (level, (step, qty)) in levels.iter_mut().zip(steps) {
            *level = Level { price, qty: *qty };
            price += side.sign() * step;
        }
        levels
    }

    fn want<'a>(side: Side, units: &'a Instrument, qty: i64) -> Want<'a> {
        let parts = CHILDREN;
        Want { side, units, qty: Qty(qty), limit: Price(0), slice_min: Qty(0), parts }
    }

    /// Every unit of every level by itself, sorted by what it costs: the naive way.
    fn naive(want: &Want<'_>, offers: &[Offer<'_>]) -> Vec<i64> {
        let mut units = Vec::new();
        for (o, offer) in offers.iter().enumerate() {
            for level in offer.levels.iter().filter(|l| l.qty > 0) {
                if allows(want, offer.rules, level.price) {
                    let one = (effective(want, offer, level), o);
                    units.extend(std::iter::repeat_n(one, level.qty as usize));
                }
            }
        }
        units.sort();
        let mut taken = vec![0; offers.len()];
        units.iter().take(want.qty.0 as usize).for_each(|(_, o)| taken[*o] += 1);
        taken
    }

    type Book = (i64, Vec<(i64, i64)>, i64);

    fn book() -> impl Strategy<Value = Book> {
        let steps = proptest::collection::vec((1i64..5, 1i64..40), 1..=TOP_LEVELS);
        (900i64..1_100, steps, 0i64..2_000_000)
    }

    proptest! {
        #[test]
        fn without_minimums_it_is_the_sorted_list_of_all_levels(
            books in proptest::collection::vec(book(), 1..=CHILDREN),
            buy in any::<bool>(), qty in 1i64..300, limit in 0i64..1_200,
        ) {
            let side = if buy { Side::Buy } else { Side::Sell };
            let rules = rules(0, 1, 1, 2);
            let offers: Vec<_> = books.iter().map(|(first, steps, cost_e8)| Offer {
                rules: &rules, levels: levels(side, *first, steps), cost_e8: *cost_e8,
            }).collect();
            let want = Want { limit: Price(limit), ..want(side, &rules, qty) };
            let found = split(&want, &offers);
            let expected = naive(&want, &offers);
            for (o, n) in expected.iter().enumerate() {
                let part = found.parts().iter().find(|p| p.offer == o);
                prop_assert_eq!(part.map_or(0, |p| p.qty.0), *n, "offer {}", o);
            }
        }

        /// Whatever lots, minimums and units: parts can stand, fit together and keep the limit.
        #[test]
        fn parts_can_be_traded_and_are_never_more_than_what_is_wanted(
            books in proptest::collection::vec((book(), 1i64..9, 0i64..60, 0u8..3), 1..=VENUES_MAX),
            buy in any::<bool>(), qty in 1i64..30_000, slice in 0i64..5_000, limit in 0i64..1_200,
            parts in 1usize..=CHILDREN,
        ) {
            let side = if buy { Side::Buy } else { Side::Sell };
            let units = rules(99, 1, 1, 4);
            let all: Vec<_> = books.iter().enumerate()
                .map(|(n, (_, lot, least, less))| rules(n as u16, *lot, *least, 4 - less))
                .collect();
            let offers: Vec<_> = books.iter().zip(&all).map(|(((first, steps, cost), ..), rules)| {
                Offer { rules, levels: levels(side, *first, steps), cost_e8: *cost }
            }).collect();
            let slice_min = Qty(slice);
            let want = Want { limit: Price(limit), slice_min, parts, ..want(side, &units, qty) };
            let found = split(&want, &offers);
            prop_assert!(found.parts().len() <= parts);
            let mut sum = 0;
            for part in found.parts() {
                let rules = offers[part.offer].rules;
                let whole = scaled_up(part.qty.0, rules.qty_decimals, 4);
                sum += whole;
                prop_assert!(part.qty.0 % rules.lot == 0 && part.qty.0 >= rules.qty_min.0);
                prop_assert!(whole + 10i64.pow(2) > slice, "{whole} of {slice}");
                prop_assert!(allows(&want, rules, part.price.0));
                let there = offers[part.offer].levels.iter().filter(|l| l.qty > 0
                    && side.sign() * (l.price - part.price.0) <= 0);
                prop_assert!(there.map(|l| l.qty).sum::<i64>() >= part.qty.0, "depth");
            }
            prop_assert!(sum <= qty, "{sum} of {qty}");
        }
    }

    #[test]
    fn a_fee_or_slowness_outweighs_a_better_price() {
        let rules = rules(0, 1, 1, 2);
        let offer = |price, cost_e8| {
            let levels = levels(Side::Buy, price, &[(1, 100)]);
            Offer { rules: &rules, levels, cost_e8 }
        };
        // 10.00 with a fee of 0.2 % is dearer than 10.01 with none.
        let offers = [offer(1_000, 200_000), offer(1_001, 0)];
        let found = split(&want(Side::Buy, &rules, 50), &offers);
        assert_eq!(found.parts(), [Part { offer: 1, qty: Qty(50), price: Price(1_001) }]);
        let found = split(&want(Side::Buy, &rules, 150), &offers);
        let parts: Vec<_> = found.parts().iter().map(|p| (p.offer, p.qty.0)).collect();
        assert_eq!(parts, [(0, 50), (1, 100)]);
    }

    #[test]
    fn a_part_below_the_smallest_goes_to_the_others() {
        let (fine, coarse) = (rules(0, 1, 1, 2), rules(1, 1, 40, 2));
        let offer = |rules, price, qty| Offer {
            rules,
            levels: levels(Side::Buy, price, &[(5, qty), (1, 500)]),
            cost_e8: 0,
        };
        // The best venue has ten, and takes no order below forty: the others fill all.
        let offers = [offer(&coarse, 1_000, 10), offer(&fine, 1_001, 100)];
        let small = split(&want(Side::Buy, &fine, 20), &offers);
        assert_eq!(small.parts(), [Part { offer: 1, qty: Qty(20), price: Price(1_001) }]);
        let want = Want { slice_min: Qty(60), ..want(Side::Buy, &fine, 120) };
        let parts: Vec<_> = split(&want, &offers).parts().iter().map(|p| p.offer).collect();
        assert_eq!(parts, [1], "ten would be a slice below sixty");
        assert!(split(&want, &[]).parts().is_empty());
    }
}
