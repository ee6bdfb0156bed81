//! The venues' rules through the agent: streamed snapshots, chains, restarts, checksums, depth.

mod common;

use bot4_book::{BookConfig, Count, DiffHead, Ladder, NaiveBook, SyncConfig, checksum};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    BookRules, BookState, ChecksumRule, Instrument, InstrumentId, Level, LevelBlock, MarketBody,
    ResyncReason, SequenceRule, Side, SnapshotSource, SnapshotSums, StaleReason, Symbol,
};
use common::{Bench, ROOMY, level};

const IT: InstrumentId = InstrumentId(0);
const BIDS: [Level; 2] = [level(100, 3), level(90, 5)];
const ASKS: [Level; 2] = [level(110, 1), level(120, 7)];

fn streamed(sequence: SequenceRule) -> BookRules {
    BookRules { sequence, snapshots: SnapshotSource::Streamed, ..BookRules::default() }
}

const KRAKEN: BookRules = BookRules {
    sequence: SequenceRule::Unnumbered,
    snapshots: SnapshotSource::Streamed,
    checksum: ChecksumRule::TopTen,
    snapshot_sums: SnapshotSums::Whole,
    depth_max: 10,
    snapshot_levels: 0,
};

fn bench(rules: BookRules) -> Bench {
    let config =
        BookConfig { window_steps: 512, far_levels: 2_000, rules, ..BookConfig::default() };
    let mut bench = Bench::new(&["A"], 1, config, &ROOMY);
    bench.send(0, MarketBody::LineUp);
    bench.settle();
    bench
}

fn live(rules: BookRules, last: u64) -> Bench {
    let mut bench = bench(rules);
    bench.snapshot(0, last, &BIDS, &ASKS);
    bench.settle();
    assert_eq!(bench.agent.state(IT), Some(BookState::Live));
    bench.drain();
    bench
}

fn chain(bench: &mut Bench, prev: u64, last: u64, bids: &[Level]) {
    let head = DiffHead { first: last, last, prev, ..DiffHead::default() };
    bench.diff(0, head, bids, &[]);
    bench.settle();
}

fn state(bench: &Bench) -> (Option<BookState>, Option<u64>) {
    (bench.agent.state(IT), bench.agent.update_id(IT))
}

#[test]
fn a_streamed_book_waits_for_its_snapshot_and_misses_it() {
    let mut bench = bench(streamed(SequenceRule::Prev));
    assert_eq!(state(&bench).0, Some(BookState::Syncing));
    chain(&mut bench, 5, 9, &[level(101, 1)]);
    assert!(bench.drain().resync.is_empty(), "the subscription itself brings it");
    assert_eq!((bench.total("unsynced"), bench.blocks_home()), (1, 1));
    bench.after(SyncConfig::default().snapshot_timeout.millis());
    bench.settle();
    assert_eq!(bench.drain().resync[0].reason, ResyncReason::SnapshotTimeout);
    bench.snapshot(0, 20, &BIDS, &ASKS);
    bench.settle();
    assert_eq!(state(&bench), (Some(BookState::Live), Some(20)));
    chain(&mut bench, 20, 31, &[level(101, 1)]);
    assert_eq!(state(&bench), (Some(BookState::Live), Some(31)));
}

#[test]
fn a_chain_jumps_lives_restarts_and_breaks() {
    let mut bench = live(streamed(SequenceRule::Prev), 100);
    chain(&mut bench, 100, 150, &[level(101, 1)]);
    chain(&mut bench, 150, 150, &[]); // a sign of life
    chain(&mut bench, 150, 3, &[level(102, 1)]); // maintenance
    chain(&mut bench, 3, 8, &[level(103, 1)]);
    assert_eq!(state(&bench), (Some(BookState::Live), Some(8)));
    assert_eq!((bench.total("applied"), bench.total("gaps")), (4, 0));
    bench.drain();
    chain(&mut bench, 9, 12, &[level(104, 1)]);
    let out = bench.drain();
    assert_eq!((out.tops[0].state, out.tops[0].reason), (BookState::Stale, StaleReason::Gap));
    assert_eq!(out.resync[0].reason, ResyncReason::Gap, "it is subscribed again");
    chain(&mut bench, 12, 15, &[level(105, 1)]);
    bench.snapshot(0, 14, &BIDS, &ASKS);
    bench.settle();
    assert_eq!(state(&bench), (Some(BookState::Live), Some(14)), "nothing was kept before it");
    chain(&mut bench, 14, 16, &[level(106, 1)]);
    assert_eq!(bench.agent.ladder(IT).and_then(|l| l.best(Side::Buy)), Some(level(106, 1)));
}

#[test]
fn successors_follow_and_a_snapshot_with_one_is_a_restart() {
    let mut bench = live(streamed(SequenceRule::Successor), 62_505_423);
    for u in 62_505_424..62_505_430 {
        chain(&mut bench, 0, u, &[level(101, 1)]);
    }
    chain(&mut bench, 0, 62_505_429, &[level(101, 2)]); // a repeat
    assert_eq!((bench.total("duplicates"), bench.total("applied")), (1, 6));
    bench.drain();
    // The service restarted: unannounced, while live.
    bench.snapshot(0, 1, &[level(95, 1)], &ASKS);
    bench.settle();
    let out = bench.drain();
    assert_eq!((out.tops.len(), out.tops[0].state, out.tops[0].id), (1, BookState::Live, 1));
    assert_eq!(out.tops[0].bids[0], level(95, 1));
    chain(&mut bench, 0, 2, &[level(96, 1)]);
    assert_eq!((state(&bench).1, bench.total("gaps"), bench.total("resyncs")), (Some(2), 0, 0));
    chain(&mut bench, 0, 4, &[level(97, 1)]);
    assert_eq!((state(&bench).0, bench.total("gaps")), (Some(BookState::Stale), 1));
}

#[test]
fn a_repeated_snapshot_is_no_news_and_a_new_one_replaces() {
    let mut bench = live(streamed(SequenceRule::Successor), 50);
    bench.snapshot(0, 50, &BIDS, &ASKS);
    bench.settle();
    assert!(bench.drain().tops.is_empty());
    assert_eq!(bench.total("snapshot_repeats"), 1);
    bench.snapshot(0, 51, &[level(105, 1)], &ASKS);
    bench.settle();
    let out = bench.drain();
    assert_eq!((out.tops.len(), out.tops[0].id, out.tops[0].bids[0]), (1, 51, level(105, 1)));
    assert_eq!(bench.agent.ladder(IT).map(|l| l.levels(Side::Buy)), Some(1));
}

/// USD-M: buffered, asked for, the first update covers the snapshot, then the chain of `pu`.
#[test]
fn futures_start_inside_an_update_and_follow_the_chain() {
    let rules = BookRules { sequence: SequenceRule::FirstThenPrev, ..BookRules::default() };
    let mut bench = bench(rules);
    let mut send = |head: (u64, u64, u64), price| {
        let (first, last, prev) = head;
        bench.diff(
            0,
            DiffHead { first, last, prev, ..DiffHead::default() },
            &[level(price, 1)],
            &[],
        );
    };
    send((80, 88, 71), 101);
    send((90, 97, 88), 102);
    send((99, 110, 97), 103);
    send((115, 120, 110), 104);
    bench.settle();
    assert_eq!(bench.drain().resync[0].reason, ResyncReason::Start);
    bench.snapshot(0, 105, &BIDS, &ASKS);
    bench.settle();
    assert_eq!(state(&bench), (Some(BookState::Live), Some(120)));
    assert_eq!((bench.total("stale_dropped"), bench.total("applied")), (2, 2));
    let prices: Vec<_> = bench.agent.ladder(IT).expect("it").iter(Side::Buy).collect();
    assert_eq!(prices, [level(104, 1), level(103, 1), level(100, 3), level(90, 5)]);
    chain(&mut bench, 119, 130, &[]);
    assert_eq!(state(&bench).0, Some(BookState::Stale));
}

#[test]
fn a_connection_with_a_hole_of_its_own_starts_all_its_books_over() {
    let config = BookConfig {
        window_steps: 512,
        far_levels: 500,
        rules: streamed(SequenceRule::Unnumbered),
        ..BookConfig::default()
    };
    let mut bench = Bench::new(&["A", "B", "C"], 2, config, &ROOMY);
    for k in 0..3 {
        bench.snapshot(k, 0, &BIDS, &ASKS);
    }
    bench.settle();
    bench.drain();
    bench.send(9, MarketBody::LineGap);
    bench.settle();
    let out = bench.drain();
    let stale: Vec<_> = out.tops.iter().map(|t| (t.instrument.0, t.reason)).collect();
    assert_eq!(stale, [(0, StaleReason::Gap), (2, StaleReason::Gap)], "conn 0 carries A and C");
    assert!(out.resync.iter().all(|r| r.reason == ResyncReason::Gap) && out.resync.len() == 2);
    assert_eq!((bench.total("line_gaps"), bench.total("gaps")), (2, 2));
}

#[test]
fn trades_of_one_message_go_on_in_order() {
    let mut bench = live(BookRules::default(), 10);
    bench.trades(0, &[(7, 105, 2, 1_111), (8, 104, -3, 1_112), (8, 104, -3, 1_112)]);
    let block = LevelBlock::new(0);
    bench.send(0, MarketBody::Trades { count: 40, block }); // more than its block holds
    bench.settle();
    let out = bench.drain();
    let seen: Vec<_> = out
        .trades
        .iter()
        .map(|t| (t.id, t.price, t.qty, t.venue_ms, t.aggressor, t.missed))
        .collect();
    assert_eq!(seen, [(7, 105, 2, 1_111, Side::Buy, 0), (8, 104, 3, 1_112, Side::Sell, 0)]);
    assert_eq!(out.marks.last().map(|m| m.last_trade), Some(104));
    assert_eq!((bench.total("trades"), bench.total("trades_repeated")), (2, 1));
    assert_eq!((bench.total("damaged"), bench.agent.state(IT)), (1, Some(BookState::Live)));
    assert_eq!(bench.blocks_home(), bench.blocks_total + 1);
}

/// A venue that cuts and sums: what our book must be after each message, by the naive twin.
struct CuttingVenue {
    twin: NaiveBook,
    depth: usize,
    rng: SplitMix64,
}

impl CuttingVenue {
    fn cut(&mut self) {
        for side in [Side::Buy, Side::Sell] {
            let out: Vec<_> = self.twin.iter(side).skip(self.depth).map(|l| l.price).collect();
            out.into_iter().for_each(|price| self.twin.set(side, price, 0));
        }
    }

    fn sum(&self) -> u32 {
        let mut ladder = Ladder::new(512, 2_000);
        for side in [Side::Buy, Side::Sell] {
            for l in self.twin.iter(side) {
                ladder.set(side, l.price, l.qty).expect("room");
            }
        }
        let symbol = Symbol::new("A").expect("short");
        let of = Instrument::bare(IT, symbol, 8);
        checksum(ChecksumRule::TopTen, &ladder, &of).expect("it has one")
    }

    fn side(&self, side: Side) -> Vec<Level> {
        self.twin.iter(side).collect()
    }

    /// A message with unsorted and doubled prices.
    fn update(&mut self) -> [Vec<Level>; 2] {
        let mut changes: [Vec<Level>; 2] = Default::default();
        for side in [Side::Buy, Side::Sell] {
            for _ in 0..self.rng.below(5) {
                let off = if self.rng.below(20) == 0 { 3_000 } else { 25 };
                let price = 10_000 - side.sign() * (1 + self.rng.below(off) as i64);
                let qty = self.rng.below(3) as i64;
                changes[side.index()].push(level(price, qty));
                self.twin.set(side, price, qty);
            }
        }
        self.cut();
        changes
    }
}

#[test]
fn books_are_cut_and_summed_after_each_whole_message() {
    let mut venue = CuttingVenue { twin: NaiveBook::new(), depth: 10, rng: SplitMix64::new(6) };
    for i in 1..=10 {
        venue.twin.set(Side::Buy, 10_000 - i, i);
        venue.twin.set(Side::Sell, 10_000 + i, i);
    }
    let mut bench = bench(KRAKEN);
    let snapshot = |bench: &mut Bench, venue: &CuttingVenue, check| {
        let (bids, asks) = (venue.side(Side::Buy), venue.side(Side::Sell));
        bench.stated_snapshot(0, 0, Some(check), &bids, &asks);
        bench.settle();
    };
    snapshot(&mut bench, &venue, venue.sum());
    for n in 0..2_000u64 {
        let [bids, asks] = venue.update();
        let head = DiffHead { check: Some(venue.sum()), ..DiffHead::default() };
        bench.diff(0, head, &bids, &asks);
        bench.settle();
        bench.drain();
        assert_eq!(state(&bench).0, Some(BookState::Live), "message {n}");
        let ladder = bench.agent.ladder(IT).expect("it");
        for side in [Side::Buy, Side::Sell] {
            assert!(ladder.iter(side).eq(venue.twin.iter(side)), "{side:?} after {n}");
        }
    }
    let summary = bench.agent.summary(IT).expect("it");
    assert_eq!((summary.checksums_ok, summary.checksums_bad), (Some(2_001), Some(0)));
    assert_eq!((summary.snapshot_id, summary.final_update_id), (None, None));

    let wrong = DiffHead { check: Some(venue.sum() ^ 1), ..DiffHead::default() };
    bench.diff(0, wrong, &[], &[]);
    bench.settle();
    let out = bench.drain();
    assert_eq!((out.tops[0].state, out.tops[0].reason), (BookState::Stale, StaleReason::Checksum));
    assert_eq!(out.resync[0].reason, ResyncReason::Checksum);
    snapshot(&mut bench, &venue, venue.sum() ^ 1);
    assert_eq!(state(&bench).0, Some(BookState::Stale), "of a snapshot as well");
    snapshot(&mut bench, &venue, venue.sum());
    assert_eq!(state(&bench).0, Some(BookState::Live));
    assert_eq!(bench.agent.count(IT, Count::ChecksumsBad), Some(2));
}

/// A deep snapshot's own sum vouches for its first levels: it is verified, and counts where the
/// venue's rules say so. A wrong one counts in any case.
#[test]
fn sums_of_deep_snapshots_count_by_rule() {
    let side = |step: i64| (1..=11).map(|i| level(10_000 + step * i, i)).collect::<Vec<_>>();
    let (bids, asks) = (side(-1), side(1));
    let sum = {
        let mut twin = Ladder::new(128, 1_000);
        twin.set_all(Side::Buy, &bids).expect("room");
        twin.set_all(Side::Sell, &asks).expect("room");
        let bare = Instrument::bare(IT, Symbol::new("A").expect("short"), 0);
        checksum(ChecksumRule::TopTen, &twin, &bare).expect("a sum")
    };
    let counts = |snapshot_sums, (bids, asks): (&[Level], &[Level]), sum| {
        let mut bench = bench(BookRules { snapshot_sums, depth_max: 100, ..KRAKEN });
        bench.stated_snapshot(0, 0, Some(sum), bids, asks);
        bench.settle();
        let summary = bench.agent.summary(IT).expect("it");
        (summary.checksums_ok, summary.checksums_bad, summary.state)
    };
    let deep = (&bids[..], &asks[..]);
    assert_eq!(counts(SnapshotSums::Each, deep, sum), (Some(1), Some(0), "live"));
    assert_eq!(counts(SnapshotSums::Whole, deep, sum), (Some(0), Some(0), "live"));
    assert_eq!(counts(SnapshotSums::Whole, (&bids[..10], &asks[..10]), sum).0, Some(1));
    assert_eq!(counts(SnapshotSums::Whole, (&bids[..10], deep.1), sum).0, Some(0), "one is deeper");
    assert_eq!(counts(SnapshotSums::Whole, deep, sum ^ 1), (Some(0), Some(1), "waiting"));
}
