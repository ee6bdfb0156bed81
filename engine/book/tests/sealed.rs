//! No allocation after start: a sealed agent through synchronisation, live trading, drifting
//! prices, far levels, gaps, lost lines and full rings.

mod common;

use bot4_alloc::SealedAlloc;
use bot4_alloc::seal::{Class, allocations, deallocations, enter, register, seal};
use bot4_book::{BookConfig, DiffHead, SyncConfig};
use bot4_lanes::{Agent, Probe};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    BookRules, ChecksumRule, ConnId, InstrumentId, MarketBody, SequenceRule, Shards, Side,
    SnapshotSource,
};
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

/// Two lossy lines of a streamed, cut and summed book: holds, fills, copies, late snapshots,
/// wrong sums, expired holes, lists of trades.
#[test]
fn two_lines_and_checksums_allocate_nothing() {
    let rules = BookRules {
        sequence: SequenceRule::Prev,
        snapshots: SnapshotSource::Streamed,
        checksum: ChecksumRule::Interleaved25,
        depth_max: 20,
        ..BookRules::default()
    };
    let sync = SyncConfig { events_max: 16, levels_max: 64, ..SyncConfig::default() };
    let config =
        BookConfig { window_steps: 256, far_levels: 500, sync, rules, ..BookConfig::default() };
    let rooms = Rooms { tops: 16, marks: 4, blocks: 1_024, resync: 2 };
    let mut bench = Bench::over(&Shards::two_lines(1, 1, 2), &["A"], config, &rooms);
    let (tag, mut rng, mut probe) = (register(Class::Hot), SplitMix64::new(5), Probe::logical());
    seal(tag);
    let (mut prev, mut begun) = (1_000_000u64, [false; 2]);
    // Line B is one update behind.
    let mut heads = [DiffHead::default(); 2];
    for turn in 0..20_000u64 {
        bench.after(15);
        let last = prev + 1 + rng.below(5);
        // The sum is that of no book, but zero stands for none: now and then a wrong one is told.
        let check = Some(u32::from(rng.below(500) == 0));
        let head = DiffHead { first: last, last, prev, check, ..DiffHead::default() };
        let price = 50_000 + rng.below(60) as i64;
        let bids: Vec<_> = (0..rng.below(4) as i64).map(|i| level(price - 80 - i, 1)).collect();
        heads = [head, heads[0]];
        for (line, (head, begun)) in heads.into_iter().zip(&mut begun).enumerate() {
            bench.conn = ConnId(line as u16);
            match rng.below(300) {
                0 => bench.send(0, MarketBody::LineDown),
                1..4 => {
                    bench.send(0, MarketBody::LineUp);
                    *begun = false;
                }
                4 => bench.send(0, MarketBody::LineGap),
                5 => bench.send(0, MarketBody::Damaged),
                n if n < 12 || !*begun => {
                    bench.snapshot(0, head.prev, &bids, &[level(50_100, 1)]);
                    *begun = true;
                }
                n if n < 25 => {} // lost
                _ => bench.diff(0, head, &bids, &[level(price + 61, rng.below(2) as i64)]),
            }
            bench.trades(0, &[(turn, price, 1, 0), (turn + 1, price, -1, 0)]);
            probe.set(bench.now);
            let scope = enter(tag);
            while bench.agent.work(bench.now, &mut probe).expect("no fault") > 0 {}
            drop(scope);
        }
        prev = last;
        if turn % 4 == 0 {
            bench.drain();
        }
    }
    assert_eq!((allocations(tag), deallocations(tag)), (0, 0));
    for name in [
        "applied",
        "held",
        "line_b_fills",
        "line_b_lates",
        "checksums_bad",
        "gaps",
        "unsynced",
        "trades_repeated",
        "snapshot_repeats",
        "line_gaps",
    ] {
        assert!(bench.total(name) > 10, "{name} {}", bench.total(name));
    }
}
