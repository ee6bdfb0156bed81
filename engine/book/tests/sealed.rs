//! No allocation after start: a sealed agent through synchronisation, live trading, drifting
//! prices, far levels, gaps, lost lines and full rings.

mod common;

use bot4_alloc::SealedAlloc;
use bot4_alloc::seal::{Class, allocations, deallocations, enter, register, seal};
use bot4_book::{BookConfig, SyncConfig};
use bot4_lanes::{Agent, Probe};
use bot4_types::rng::SplitMix64;
use bot4_types::{InstrumentId, MarketBody, Side};
use common::{Bench, Rooms, level};

#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;

#[test]
fn a_turn_allocates_nothing() {
    let sync = SyncConfig { events_max: 16, levels_max: 128, ..SyncConfig::default() };
    let config = BookConfig { window_steps: 256, far_levels: 8_000, sync, ..BookConfig::default() };
    let rooms = Rooms { tops: 16, marks: 4, blocks: 1_024, resync: 2 };
    let mut bench = Bench::new(&["A", "B"], 1, config, &rooms);
    let (tag, mut rng) = (register(Class::Hot), SplitMix64::new(3));
    let other = register(Class::Hot);
    seal(other);
    let scope = enter(other);
    drop(std::hint::black_box(Box::new(7u64)));
    drop(scope);
    assert_eq!((allocations(other), deallocations(other)), (1, 1), "the seal sees");
    seal(tag);
    let (mut id, mut mid) = (100u64, 50_000i64);
    let mut probe = Probe::logical();
    for turn in 0..20_000u64 {
        bench.after(20);
        mid += rng.below(21) as i64 - 10;
        let k = rng.below(2) as u16;
        let reach = if rng.below(5) == 0 { 20_000 } else { 60 };
        let away = 1 + rng.below(reach) as i64;
        let (bid, ask) = (level((mid - away) * 100, 1), level((mid + away) * 100 + 1, 1));
        let first = id + 1 + u64::from(rng.below(300) == 0);
        id = first + 1;
        bench.depth(k, (first, id), &[bid, level(mid * 100, 0)], &[ask]);
        bench.quote(k, id + rng.below(3), level(mid * 100, 1), level(mid * 100 + 100, 1));
        bench.trade(k, turn, mid * 100);
        match rng.below(400) {
            0 => bench.send(0, MarketBody::LineDown),
            1 => bench.send(0, MarketBody::LineUp),
            2 => bench.send(k, MarketBody::Damaged),
            3 => bench.send(k, MarketBody::SnapshotFailed),
            n if n < 60 => {
                let far: Vec<_> = (1..300).map(|i| level((mid - 9 * i) * 100, 1)).collect();
                bench.snapshot(k, id, &far, &[level((mid + 100) * 100, 1)]);
            }
            _ => {}
        }
        probe.set(bench.now);
        let scope = enter(tag);
        bench.agent.work(bench.now, &mut probe).expect("no fault");
        drop(scope);
        if turn % 8 == 0 {
            bench.drain();
        }
    }
    assert_eq!((allocations(tag), deallocations(tag)), (0, 0));
    // It did meet what it was meant to meet.
    for name in ["applied", "gaps", "overflows", "conflated", "trades_missed", "snapshots"] {
        assert!(bench.total(name) > 20, "{name} {}", bench.total(name));
    }
    let ladder = bench.agent.ladder(InstrumentId(0)).expect("its book");
    assert!(ladder.far_levels(Side::Buy) > 100);
}
