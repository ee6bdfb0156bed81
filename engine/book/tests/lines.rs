//! Two lines of one stream against the naive twin: a sequence of updates that nothing damages.
//! Each line is a copy that starts late, loses updates, repeats some and lags; a live book always
//! equals the undamaged one at its id, and where the two copies together are complete the book
//! never stops being live and ends where the sequence ends.

mod common;

use bot4_book::{BookConfig, Count, DiffHead, NaiveBook, SyncConfig};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    BookRules, BookState, ConnId, InstrumentId, Level, MarketBody, Nanos, ResyncReason,
    SequenceRule, Shards, Side, SnapshotSource, StaleReason,
};
use common::{Bench, ROOMY, level};
use proptest::prelude::*;

const IT: InstrumentId = InstrumentId(0);
const LINES: [ConnId; 2] = [ConnId(0), ConnId(1)];

fn rules(sequence: SequenceRule) -> BookRules {
    let requested = matches!(sequence, SequenceRule::FirstLast | SequenceRule::FirstThenPrev);
    let snapshots = if requested { SnapshotSource::Requested } else { SnapshotSource::Streamed };
    BookRules { sequence, snapshots, ..BookRules::default() }
}

fn bench(sequence: SequenceRule, sync: SyncConfig) -> Bench {
    let rules = rules(sequence);
    let config =
        BookConfig { window_steps: 256, far_levels: 500, rules, sync, ..BookConfig::default() };
    let mut bench = Bench::over(&Shards::two_lines(1, 1, 2), &["A"], config, &ROOMY);
    for conn in LINES {
        say(&mut bench, conn, |b| b.send(0, MarketBody::LineUp));
    }
    bench
}

fn say(bench: &mut Bench, conn: ConnId, what: impl FnOnce(&mut Bench)) {
    bench.conn = conn;
    what(bench);
    bench.settle();
}

/// The undamaged sequence: update `i` leads from `books[i]` to `books[i + 1]`.
struct Truth {
    heads: Vec<DiffHead>,
    changes: Vec<[Vec<Level>; 2]>,
    books: Vec<NaiveBook>,
    ids: Vec<u64>,
}

impl Truth {
    /// A chain may restart its count at update `restart`.
    fn draw(
        sequence: SequenceRule,
        updates: usize,
        restart: Option<usize>,
        rng: &mut SplitMix64,
    ) -> Self {
        let mut truth = Self {
            heads: vec![],
            changes: vec![],
            books: vec![NaiveBook::new()],
            ids: vec![1_000_000],
        };
        let mut book = NaiveBook::new();
        for i in 1..20 {
            book.set(Side::Buy, 1_000 - i, i);
            book.set(Side::Sell, 1_000 + i, i);
        }
        truth.books[0] = book.clone();
        for i in 0..updates {
            let before = *truth.ids.last().expect("the start");
            let step = match sequence {
                SequenceRule::Successor => 1,
                _ => 1 + rng.below(4),
            };
            let base = if restart == Some(i) { 3 } else { before };
            let (last, skip) = (base + step, rng.below(step));
            let first = match sequence {
                SequenceRule::FirstThenPrev => before + 1 + skip,
                SequenceRule::FirstLast => before + 1,
                _ => last,
            };
            let mut change: [Vec<Level>; 2] = Default::default();
            for side in [Side::Buy, Side::Sell] {
                for _ in 0..rng.below(3) {
                    let price = 1_000 - side.sign() * (1 + rng.below(40) as i64);
                    let qty = rng.below(3) as i64;
                    book.set(side, price, qty);
                    change[side.index()].push(level(price, qty));
                }
            }
            truth.heads.push(DiffHead { first, last, prev: before, ..DiffHead::default() });
            truth.changes.push(change);
            truth.books.push(book.clone());
            truth.ids.push(last);
        }
        truth
    }

    fn snapshot(&self, bench: &mut Bench, at: usize) {
        let [bids, asks] =
            [Side::Buy, Side::Sell].map(|s| self.books[at].iter(s).collect::<Vec<_>>());
        bench.snapshot(0, self.ids[at], &bids, &asks);
    }

    fn diff(&self, bench: &mut Bench, i: usize) {
        let [bids, asks] = &self.changes[i];
        bench.diff(0, self.heads[i], bids, asks);
    }

    /// A live book is the undamaged one at its id.
    fn check(&self, bench: &Bench) -> Result<(), TestCaseError> {
        if bench.agent.state(IT) != Some(BookState::Live) {
            return Ok(());
        }
        let id = bench.agent.update_id(IT).expect("its book");
        let nowhere = || TestCaseError::fail(format!("live at {id}, where no update ends"));
        let at = self.ids.iter().position(|known| *known == id).ok_or_else(nowhere)?;
        let ladder = bench.agent.ladder(IT).expect("its book");
        for side in [Side::Buy, Side::Sell] {
            prop_assert!(ladder.iter(side).eq(self.books[at].iter(side)), "{:?} at {}", side, id);
        }
        Ok(())
    }
}

/// What one line will bring and when, in order.
struct Copy {
    /// Number of the first update it brings; a streamed snapshot comes before it.
    start: usize,
    /// Update and time of arrival.
    arrivals: Vec<(usize, u64)>,
}

/// How a line is damaged: one in this many lost, one in this many twice, lag up to so many ms.
#[derive(Clone, Copy, Debug)]
struct Damage {
    start: usize,
    lost_in: u64,
    twice_in: u64,
    lag_ms: u64,
}

fn copy(updates: usize, damage: Damage, rng: &mut SplitMix64) -> Copy {
    let (mut arrivals, mut at) = (Vec::new(), 0);
    for i in damage.start.min(updates)..updates {
        // Updates are 10 ms apart; a line keeps their order.
        at = at.max(10 * i as u64 + rng.below(damage.lag_ms + 1));
        if rng.below(damage.lost_in) > 0 {
            arrivals.push((i, at));
            if rng.below(damage.twice_in) == 0 {
                arrivals.push((i, at));
            }
        }
    }
    Copy { start: damage.start.min(updates), arrivals }
}

/// Both lines together have all that the book needs, from line A's start on.
fn is_complete(copies: &[Copy; 2], updates: usize, streamed: bool) -> bool {
    (copies[0].start..updates).all(|i| {
        copies.iter().any(|c| c.arrivals.iter().any(|(n, _)| *n == i))
            || (streamed && i < copies[1].start)
    })
}

fn run(sequence: SequenceRule, damages: [Damage; 2], seed: u64) -> Result<bool, TestCaseError> {
    const UPDATES: usize = 150;
    let mut rng = SplitMix64::new(seed);
    let truth = Truth::draw(sequence, UPDATES, None, &mut rng);
    let copies = damages.map(|d| copy(UPDATES, d, &mut rng));
    let streamed = rules(sequence).snapshots == SnapshotSource::Streamed;
    let complete = is_complete(&copies, UPDATES, streamed);
    // The bound of time has a test of its own.
    let patient = SyncConfig { hold_max: Nanos::from_secs(60), ..SyncConfig::default() };
    let mut bench = bench(sequence, patient);
    let mut queue: Vec<(u64, usize, usize)> = Vec::new();
    for (line, copy) in copies.iter().enumerate() {
        queue.extend(copy.arrivals.iter().map(|(i, at)| (*at, line, *i)));
    }
    queue.sort_by_key(|(at, line, _)| (*at, *line)); // stable: each line keeps its order
    let mut begun = [false; 2];
    if !streamed {
        let start = copies[0].start;
        say(&mut bench, LINES[0], |b| truth.snapshot(b, start));
    }
    let mut was_live = false;
    for (at, line, i) in queue {
        bench.now = Nanos::from_secs(1) + Nanos::from_millis(at);
        if streamed && !begun[line] {
            begun[line] = true;
            say(&mut bench, LINES[line], |b| truth.snapshot(b, copies[line].start));
            truth.check(&bench)?;
        }
        say(&mut bench, LINES[line], |b| truth.diff(b, i));
        bench.drain();
        truth.check(&bench)?;
        let live = bench.agent.state(IT) == Some(BookState::Live);
        prop_assert!(!complete || live || !was_live, "stale at update {} though complete", i);
        was_live |= live;
    }
    if complete {
        prop_assert_eq!(bench.agent.update_id(IT), truth.ids.last().copied());
        prop_assert_eq!((bench.total("gaps"), bench.total("resyncs")), (0, 0));
        prop_assert_eq!(bench.agent.state(IT), Some(BookState::Live));
    }
    prop_assert_eq!(bench.blocks_home(), bench.blocks_total);
    Ok(complete)
}

/// Lines that drop and return, and a count that restarts: whatever else happens, a live book is
/// never a wrong one.
fn run_with_drops(
    sequence: SequenceRule,
    damages: [Damage; 2],
    drop_in: u64,
    restart: Option<usize>,
    seed: u64,
) -> Result<u64, TestCaseError> {
    const UPDATES: usize = 200;
    let mut rng = SplitMix64::new(seed);
    let restart = restart.filter(|_| sequence == SequenceRule::Prev);
    let truth = Truth::draw(sequence, UPDATES, restart, &mut rng);
    let streamed = rules(sequence).snapshots == SnapshotSource::Streamed;
    let mut queue: Vec<(u64, usize, usize)> = Vec::new();
    for (line, damage) in damages.into_iter().enumerate() {
        let copy = copy(UPDATES, damage, &mut rng);
        queue.extend(copy.arrivals.iter().map(|(i, at)| (*at, line, *i)));
    }
    queue.sort_by_key(|(at, line, _)| (*at, *line));
    let mut bench = bench(sequence, SyncConfig::default());
    let (mut up, mut fresh, mut live) = ([true; 2], [true; 2], 0);
    for (at, line, i) in queue {
        bench.now = Nanos::from_secs(1) + Nanos::from_millis(at);
        if rng.below(drop_in) == 0 {
            let body = if up[line] { MarketBody::LineDown } else { MarketBody::LineUp };
            (up[line], fresh[line]) = (!up[line], true);
            say(&mut bench, LINES[line], |b| b.send(0, body));
        }
        if up[line] {
            if streamed && core::mem::take(&mut fresh[line]) {
                say(&mut bench, LINES[line], |b| truth.snapshot(b, i));
                truth.check(&bench)?;
            }
            say(&mut bench, LINES[line], |b| truth.diff(b, i));
            truth.check(&bench)?;
        }
        // Whoever is asked answers at once with what it has.
        let asked = bench.drain().resync;
        for request in asked.into_iter().filter(|r| up[usize::from(r.conn.0)]) {
            let on = usize::from(request.conn.0);
            fresh[on] = true;
            if !streamed {
                say(&mut bench, LINES[on], |b| truth.snapshot(b, i));
                truth.check(&bench)?;
            }
        }
        live += u64::from(bench.agent.state(IT) == Some(BookState::Live));
    }
    Ok(live)
}

fn damage(start_max: usize) -> impl Strategy<Value = Damage> {
    let lost = prop_oneof![Just(u64::MAX), 3u64..60];
    let lag = prop_oneof![Just(0u64), Just(30), Just(200)];
    (0..=start_max, lost, 5u64..100, lag).prop_map(|(start, lost_in, twice_in, lag_ms)| Damage {
        start,
        lost_in,
        twice_in,
        lag_ms,
    })
}

const NUMBERED: [SequenceRule; 4] = [
    SequenceRule::FirstLast,
    SequenceRule::FirstThenPrev,
    SequenceRule::Prev,
    SequenceRule::Successor,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Line A from the beginning, line B joins at any time.
    #[test]
    fn any_two_damaged_copies(rule in 0usize..4, a in damage(0), b in damage(60), seed: u64) {
        run(NUMBERED[rule], [a, b], seed)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn drops_and_restarts_never_show_a_wrong_book(
        rule in 0usize..4,
        (a, b) in (damage(0), damage(60)),
        drop_in in 5u64..200,
        restart in proptest::option::of(20usize..180),
        seed: u64,
    ) {
        run_with_drops(NUMBERED[rule], [a, b], drop_in, restart, seed)?;
    }
}

/// Nor is it always stale.
#[test]
fn books_come_back_after_drops() {
    let damage = Damage { start: 0, lost_in: 40, twice_in: 20, lag_ms: 30 };
    for rule in NUMBERED {
        for seed in 0..10 {
            let live = run_with_drops(rule, [damage; 2], 60, None, seed).expect("holds");
            assert!(live > 80, "{rule:?} seed {seed}: live after {live} messages");
        }
    }
}

/// The property would prove little if complete unions of damaged copies were rare.
#[test]
fn complete_unions_of_lossy_lines_are_met() {
    let damage = Damage { start: 0, lost_in: 25, twice_in: 20, lag_ms: 200 };
    for rule in NUMBERED {
        let complete = (0..60).filter(|seed| run(rule, [damage; 2], *seed).expect("holds")).count();
        assert!((5..60).contains(&complete), "{rule:?}: {complete} of 60");
    }
}

/// A live book by both lines at id 10.
fn two_live() -> Bench {
    let mut bench = bench(SequenceRule::FirstLast, SyncConfig::default());
    say(&mut bench, LINES[0], |b| b.snapshot(0, 10, &[level(90, 1)], &[level(110, 1)]));
    bench.drain();
    bench.after(1_000); // the pace of requests is no matter here
    bench
}

fn diff(bench: &mut Bench, line: usize, id: u64, qty: i64) {
    say(bench, LINES[line], |b| b.depth(0, (id, id), &[level(91, qty)], &[]));
}

fn count(bench: &Bench, count: Count) -> u64 {
    bench.agent.count(IT, count).expect("its book")
}

#[test]
fn first_copy_wins_and_the_lag_of_the_second_is_read() {
    let mut bench = two_live();
    diff(&mut bench, 0, 11, 5);
    assert_eq!(bench.drain().tops.len(), 1);
    bench.after(3);
    diff(&mut bench, 1, 11, 5);
    assert!(bench.drain().tops.is_empty(), "a copy is no news");
    diff(&mut bench, 1, 12, 6);
    diff(&mut bench, 1, 12, 6);
    bench.after(7);
    diff(&mut bench, 0, 12, 6);
    let by_line = |a, b| [count(&bench, a), count(&bench, b)];
    assert_eq!(by_line(Count::WinsA, Count::WinsB), [1, 1]);
    assert_eq!(by_line(Count::LatesA, Count::LatesB), [1, 1]);
    assert_eq!(by_line(Count::LagNsA, Count::LagNsB), [7_000_000, 3_000_000]);
    assert_eq!(bench.total("line_a_lag_ns_max"), 7_000_000);
    assert_eq!((count(&bench, Count::Duplicates), count(&bench, Count::Applied)), (1, 2));
}

#[test]
fn a_hole_is_filled_by_the_other_line() {
    let mut bench = two_live();
    diff(&mut bench, 1, 11, 5); // B follows
    diff(&mut bench, 0, 13, 7);
    diff(&mut bench, 0, 14, 8);
    assert_eq!(
        (bench.agent.update_id(IT), bench.agent.state(IT)),
        (Some(11), Some(BookState::Live))
    );
    bench.after(200);
    diff(&mut bench, 1, 12, 6);
    assert_eq!(bench.agent.update_id(IT), Some(14));
    assert_eq!((count(&bench, Count::FillsB), count(&bench, Count::Held)), (1, 2));
    diff(&mut bench, 1, 13, 7);
    diff(&mut bench, 1, 14, 8);
    assert_eq!((count(&bench, Count::LatesB), count(&bench, Count::Gaps)), (2, 0));
    assert!(bench.drain().resync.iter().all(|r| r.reason == ResyncReason::Start));
}

#[test]
fn a_hole_of_both_lines_is_a_gap_when_the_second_passes_it() {
    let mut bench = two_live();
    diff(&mut bench, 0, 12, 6);
    assert_eq!(bench.agent.state(IT), Some(BookState::Live));
    diff(&mut bench, 1, 13, 7);
    let out = bench.drain();
    let top = out.tops.last().expect("told");
    assert_eq!((top.state, top.reason), (BookState::Stale, StaleReason::Gap));
    assert_eq!(out.resync.last().map(|r| r.reason), Some(ResyncReason::Gap));
    // What waited is not lost: the snapshot meets it.
    say(&mut bench, LINES[1], |b| b.snapshot(0, 11, &[level(90, 1)], &[level(110, 1)]));
    assert_eq!(bench.agent.update_id(IT), Some(13));
    assert_eq!(bench.agent.state(IT), Some(BookState::Live));
}

#[test]
fn a_hole_that_nobody_fills_in_time_is_a_gap() {
    let mut bench = two_live();
    diff(&mut bench, 0, 12, 6);
    bench.after(SyncConfig::default().hold_max.millis() - 1);
    bench.settle();
    assert_eq!(bench.agent.state(IT), Some(BookState::Live));
    bench.after(1);
    bench.settle();
    assert_eq!(bench.drain().tops.last().map(|t| t.reason), Some(StaleReason::Gap));
    assert_eq!((bench.total("holds_expired"), bench.total("gaps")), (1, 1));
}

#[test]
fn a_lost_line_leaves_the_book_live_by_the_other() {
    let mut bench = two_live();
    diff(&mut bench, 0, 11, 5);
    diff(&mut bench, 1, 11, 5);
    say(&mut bench, LINES[0], |b| b.send(0, MarketBody::LineDown));
    assert_eq!(bench.agent.state(IT), Some(BookState::Live));
    diff(&mut bench, 0, 12, 9); // a straggler of a closed line
    assert_eq!((bench.total("ignored"), bench.agent.update_id(IT)), (1, Some(11)));
    diff(&mut bench, 1, 12, 6);
    say(&mut bench, LINES[0], |b| b.send(0, MarketBody::LineUp));
    diff(&mut bench, 0, 12, 6);
    diff(&mut bench, 0, 13, 7);
    say(&mut bench, LINES[1], |b| b.send(0, MarketBody::LineDown));
    diff(&mut bench, 0, 14, 8);
    assert_eq!((bench.agent.update_id(IT), bench.total("resyncs")), (Some(14), 0));
    assert_eq!(bench.total("snapshots"), 1);
    say(&mut bench, LINES[0], |b| b.send(0, MarketBody::LineDown));
    assert_eq!(bench.drain().tops.last().map(|t| t.reason), Some(StaleReason::Line));
}

/// The line that was to fill the hole goes down: nobody can any more.
#[test]
fn a_hole_is_a_gap_when_its_filler_is_lost() {
    let mut bench = two_live();
    diff(&mut bench, 0, 11, 5);
    diff(&mut bench, 1, 11, 5);
    diff(&mut bench, 0, 13, 7);
    say(&mut bench, LINES[1], |b| b.send(0, MarketBody::LineDown));
    assert_eq!(bench.drain().tops.last().map(|t| t.reason), Some(StaleReason::Gap));
}

/// A line that has brought nothing since it came up is not known to follow the book.
#[test]
fn a_silent_line_does_not_carry_a_book() {
    let mut bench = two_live();
    diff(&mut bench, 0, 11, 5);
    say(&mut bench, LINES[0], |b| b.send(0, MarketBody::LineDown));
    let out = bench.drain();
    assert_eq!(out.tops.last().map(|t| t.reason), Some(StaleReason::Line));
    assert_eq!(out.resync.last().map(|r| r.conn), Some(LINES[1]), "asked for by the other one");
}

#[test]
fn damage_and_holes_of_one_connection_wait_for_the_other() {
    let mut bench = two_live();
    diff(&mut bench, 0, 11, 5);
    diff(&mut bench, 1, 11, 5);
    say(&mut bench, LINES[0], |b| b.send(0, MarketBody::Damaged));
    say(&mut bench, LINES[0], |b| b.send(0, MarketBody::LineGap));
    diff(&mut bench, 0, 13, 7);
    diff(&mut bench, 1, 12, 6);
    assert_eq!((bench.agent.update_id(IT), bench.total("resyncs")), (Some(13), 0));
    assert_eq!((bench.total("damaged"), bench.total("line_gaps")), (1, 1));
}

/// Without numbers copies cannot be told apart: one line is listened to, the other stands by.
#[test]
fn unnumbered_streams_are_not_mixed() {
    let rules = BookRules {
        sequence: SequenceRule::Unnumbered,
        snapshots: SnapshotSource::Streamed,
        ..BookRules::default()
    };
    let config = BookConfig { window_steps: 256, far_levels: 500, rules, ..BookConfig::default() };
    let mut bench = Bench::over(&Shards::two_lines(1, 1, 2), &["A"], config, &ROOMY);
    for line in LINES {
        say(&mut bench, line, |b| b.send(0, MarketBody::LineUp));
        say(&mut bench, line, |b| b.snapshot(0, 0, &[level(90, 1)], &[level(110, 1)]));
    }
    let update = |bench: &mut Bench, line: usize, qty| {
        say(bench, LINES[line], |b| b.depth(0, (0, 0), &[level(91, qty)], &[]));
    };
    update(&mut bench, 0, 4);
    update(&mut bench, 1, 3);
    let best = |bench: &Bench| bench.agent.ladder(IT).and_then(|l| l.best(Side::Buy));
    assert_eq!(best(&bench), Some(level(91, 4)));
    say(&mut bench, LINES[1], |b| b.send(0, MarketBody::LineGap));
    assert_eq!(bench.agent.state(IT), Some(BookState::Live), "of the one that stands by");
    say(&mut bench, LINES[0], |b| b.send(0, MarketBody::LineDown));
    let out = bench.drain();
    assert_eq!(out.tops.last().map(|t| t.reason), Some(StaleReason::Line));
    assert_eq!(
        out.resync.last().map(|r| (r.conn, r.reason)),
        Some((LINES[1], ResyncReason::Start))
    );
    update(&mut bench, 1, 3);
    assert_eq!(bench.total("unsynced"), 1, "its old snapshot was not followed");
    say(&mut bench, LINES[1], |b| b.snapshot(0, 0, &[level(92, 1)], &[level(110, 1)]));
    assert_eq!((best(&bench), bench.agent.state(IT)), (Some(level(92, 1)), Some(BookState::Live)));
}

/// Bybit's service restarts: each line tells it by a snapshot 1, one of them later.
#[test]
fn a_restart_by_snapshot_is_followed_on_both_lines() {
    let mut bench = bench(SequenceRule::Successor, SyncConfig::default());
    let snapshot = |bench: &mut Bench, line: usize, id| {
        say(bench, LINES[line], |b| b.snapshot(0, id, &[level(90, 1)], &[level(110, 1)]));
    };
    for line in 0..2 {
        snapshot(&mut bench, line, 70_000);
        diff(&mut bench, line, 70_001, 2);
    }
    snapshot(&mut bench, 0, 1);
    assert_eq!(
        (bench.agent.update_id(IT), bench.agent.state(IT)),
        (Some(1), Some(BookState::Live))
    );
    diff(&mut bench, 1, 70_002, 3); // B is not there yet
    diff(&mut bench, 0, 2, 4);
    assert_eq!(bench.agent.update_id(IT), Some(2));
    snapshot(&mut bench, 1, 1);
    diff(&mut bench, 1, 2, 4);
    diff(&mut bench, 1, 3, 5);
    diff(&mut bench, 0, 3, 5);
    bench.after(600);
    bench.settle();
    assert_eq!(
        (bench.agent.update_id(IT), bench.agent.state(IT)),
        (Some(3), Some(BookState::Live))
    );
    assert_eq!((bench.total("gaps"), bench.total("resyncs")), (0, 0));
}

#[test]
fn trades_pass_once() {
    let mut bench = two_live();
    for (line, id) in [(0, 1), (1, 1), (0, 3), (1, 2), (1, 3), (0, 4)] {
        say(&mut bench, LINES[line], |b| b.trade(0, id, 100));
    }
    let ids: Vec<_> = bench.drain().trades.iter().map(|t| t.id).collect();
    assert_eq!(ids, [1, 3, 2, 4]);
    assert_eq!((bench.total("trades"), bench.total("trades_repeated")), (4, 2));
}
