//! The ladder against its naive twin, operation by operation: drifting and jumping mids, levels
//! far out, off-grid prices, removals of unknown prices, crossings, resets and a full far store.

use bot4_book::{Full, Ladder, NaiveBook};
use bot4_types::rng::SplitMix64;
use bot4_types::{Level, Side};

/// How one scenario moves and scatters its prices.
#[derive(Clone, Copy, Debug)]
struct Market {
    steps: usize,
    unit: i64,
    /// Steps the mid moves an operation, at most.
    drift: i64,
    /// One in this many operations, the mid jumps by up to a hundred windows.
    jump_in: u64,
    /// One in this many prices lies off the grid.
    off_grid_in: u64,
    /// One in this many prices lies far out; the others within `near` steps.
    far_in: u64,
    near: u64,
    /// One in this many prices lies on the wrong side of the mid.
    cross_in: u64,
}

const CALM: Market = Market {
    steps: 512,
    unit: 1_000_000,
    drift: 2,
    jump_in: u64::MAX,
    off_grid_in: 40,
    far_in: 8,
    near: 150,
    cross_in: u64::MAX,
};

fn compare(ladder: &Ladder, twin: &NaiveBook, whole: bool, what: &str) {
    for side in [Side::Buy, Side::Sell] {
        assert_eq!(ladder.best(side), twin.best(side), "best {side:?}, {what}");
        assert_eq!(ladder.levels(side), twin.levels(side), "levels {side:?}, {what}");
        let mut top = [Level { price: -1, qty: -1 }; 7];
        let found = ladder.top(side, &mut top);
        let want: Vec<Level> = twin.iter(side).take(7).collect();
        assert_eq!(&top[..found], &want[..], "top {side:?}, {what}");
        assert!(top[found..].iter().all(|l| *l == Level::default()));
        if whole {
            assert!(ladder.iter(side).eq(twin.iter(side)), "iteration {side:?}, {what}");
        }
    }
    assert_eq!(ladder.crossed(), twin.crossed(), "crossed, {what}");
}

fn run(market: Market, seed: u64, ops: u64) {
    let mut rng = SplitMix64::new(seed);
    let mut ladder = Ladder::new(market.steps, 20_000);
    ladder.reset(market.unit);
    let (mut twin, mut mid) = (NaiveBook::new(), 600_000i64);
    let one_in = |rng: &mut SplitMix64, n: u64| n != u64::MAX && rng.below(n) == 0;
    for n in 0..ops {
        mid += rng.below(2 * market.drift as u64 + 1) as i64 - market.drift;
        if one_in(&mut rng, market.jump_in) {
            mid += rng.below(200 * market.steps as u64) as i64 - 100 * market.steps as i64;
        }
        mid = mid.clamp(1_000, 50_000_000);
        let side = if rng.below(2) == 0 { Side::Buy } else { Side::Sell };
        let reach = if one_in(&mut rng, market.far_in) { 300_000 } else { market.near };
        let mut away = 1 + rng.below(reach) as i64;
        if one_in(&mut rng, market.cross_in) {
            away = -away.min(30);
        }
        let mut price = ((mid - side.sign() * away) * market.unit).max(1);
        if one_in(&mut rng, market.off_grid_in) {
            price += rng.below(market.unit as u64) as i64;
        }
        let qty = if rng.below(100) < 48 { 0 } else { 1 + rng.below(1_000) as i64 };
        // Removals mostly name levels that exist, as the venue's do.
        if qty == 0 && rng.below(4) > 0 {
            let depth = rng.below(20) as usize;
            price = twin.iter(side).nth(depth).map_or(price, |l| l.price);
        }
        assert_eq!(ladder.set(side, price, qty), Ok(()));
        twin.set(side, price, qty);
        compare(&ladder, &twin, n % 16 == 0, &format!("{market:?} seed {seed} op {n}"));
    }
    ladder.clear();
    twin.clear();
    compare(&ladder, &twin, true, "after clear");
}

#[test]
fn calm_market() {
    (0..4).for_each(|seed| run(CALM, seed, 6_000));
}

#[test]
fn drifting_market_slides_the_window_both_ways() {
    (0..4).for_each(|seed| run(Market { drift: 25, ..CALM }, 10 + seed, 6_000));
}

#[test]
fn jumping_market() {
    let market = Market { jump_in: 300, far_in: 3, ..CALM };
    (0..4).for_each(|seed| run(market, 20 + seed, 6_000));
}

#[test]
fn crossing_and_off_grid_market() {
    let market = Market { cross_in: 15, off_grid_in: 3, ..CALM };
    (0..4).for_each(|seed| run(market, 30 + seed, 6_000));
}

#[test]
fn smallest_and_usual_window_and_every_unit() {
    for (i, unit) in [1, 2, 5, 10, 1_000, 2_500_000].into_iter().enumerate() {
        run(Market { steps: 128, unit, drift: 10, ..CALM }, 40 + i as u64, 3_000);
        run(Market { steps: 16_384, unit, drift: 90, ..CALM }, 50 + i as u64, 2_000);
    }
}

/// The window ends up around the touch: after a jump and a few updates near the new touch, deep
/// updates there no longer reach the far store.
#[test]
fn window_follows_the_touch() {
    let mut ladder = Ladder::new(1_024, 10_000);
    ladder.reset(100);
    for jump in [0i64, 40_000, -40_000] {
        let touch = 1_000_000 + jump;
        ladder.clear();
        // The book sits elsewhere first, then empties and refills around the new touch.
        for i in 0..50 {
            ladder.set(Side::Sell, (1_000_000 + i) * 100, 1).expect("room");
        }
        for i in 0..50 {
            ladder.set(Side::Sell, (touch + 100 + i) * 100, 1).expect("room");
        }
        for i in 0..50 {
            ladder.set(Side::Sell, (1_000_000 + i) * 100, 0).expect("room");
        }
        for _ in 0..200 {
            ladder.set(Side::Sell, (touch + 100) * 100, 1).expect("room");
        }
        assert_eq!(ladder.far_levels(Side::Sell), 0, "jump {jump}");
        assert!(ladder.levels(Side::Sell) >= 50);
    }
}

#[test]
fn full_far_store_refuses_and_keeps_what_it_has() {
    let mut ladder = Ladder::new(128, 100);
    ladder.reset(10);
    ladder.set(Side::Buy, 1_000_000, 5).expect("the touch is in the window");
    for i in 0..100 {
        assert_eq!(ladder.set(Side::Buy, 900_000 - i * 10, 1), Ok(()));
    }
    assert_eq!(ladder.set(Side::Buy, 800_000, 1), Err(Full));
    assert_eq!(ladder.set(Side::Buy, 900_000, 7), Ok(()), "a known level still changes");
    assert_eq!(ladder.set(Side::Buy, 999_990, 2), Ok(()), "the window still takes levels");
    assert_eq!(ladder.levels(Side::Buy), 102);
    assert_eq!(ladder.set(Side::Buy, 900_000, 0), Ok(()));
    assert_eq!(ladder.set(Side::Buy, 800_000, 1), Ok(()));
}
