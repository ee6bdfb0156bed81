//! Rare orders of events that could leave a wrong book live or a right one stale: one by one.

mod common;

use bot4_book::{BookConfig, Count, DiffHead, SyncConfig};
use bot4_types::{
    BookRules, BookState, ConnId, InstrumentId, MarketBody, SequenceRule, Shards, Side,
    SnapshotSource, StaleReason,
};
use common::{Bench, ROOMY, level};

const IT: InstrumentId = InstrumentId(0);
const ASKS: [bot4_types::Level; 1] = [level(110, 1)];

fn rules(sequence: SequenceRule) -> BookRules {
    let requested = matches!(sequence, SequenceRule::FirstLast | SequenceRule::FirstThenPrev);
    let snapshots = if requested { SnapshotSource::Requested } else { SnapshotSource::Streamed };
    BookRules { sequence, snapshots, ..BookRules::default() }
}

fn bench(sequence: SequenceRule, lines: usize, sync: SyncConfig) -> Bench {
    let rules = rules(sequence);
    let config =
        BookConfig { window_steps: 256, far_levels: 500, rules, sync, ..BookConfig::default() };
    let shards = if lines == 2 { Shards::two_lines(1, 1, 2) } else { Shards::round_robin(1, 1, 1) };
    let mut bench = Bench::over(&shards, &["A"], config, &ROOMY);
    for line in 0..lines {
        tell(&mut bench, line, MarketBody::LineUp);
    }
    bench
}

fn tell(bench: &mut Bench, line: usize, body: MarketBody) {
    bench.conn = ConnId(line as u16);
    bench.send(0, body);
    bench.settle();
}

fn whole(bench: &mut Bench, line: usize, id: u64, bid: i64) {
    bench.conn = ConnId(line as u16);
    bench.snapshot(0, id, &[level(bid, 1)], &ASKS);
    bench.settle();
}

fn diff(bench: &mut Bench, line: usize, prev: u64, last: u64, bid: i64) {
    bench.conn = ConnId(line as u16);
    let head = DiffHead { first: prev + 1, last, prev, ..DiffHead::default() };
    bench.diff(0, head, &[level(bid, 7)], &[]);
    bench.settle();
}

fn is_live(bench: &Bench) -> bool {
    bench.agent.state(IT) == Some(BookState::Live)
}

fn id(bench: &Bench) -> Option<u64> {
    bench.agent.update_id(IT)
}

fn has_bid(bench: &Bench, price: i64) -> bool {
    bench.agent.ladder(IT).is_some_and(|l| l.iter(Side::Buy).any(|l| l.price == price))
}

/// Line A tells that the count starts anew; B still brings an update of the old count and is then
/// cut. Much later the new count comes to where that one stands.
#[test]
fn an_update_of_the_old_count_never_enters_a_book_of_the_new_one() {
    let mut bench = bench(SequenceRule::Successor, 2, SyncConfig::default());
    for line in 0..2 {
        whole(&mut bench, line, 999, 90);
        diff(&mut bench, line, 999, 1_000, 91);
    }
    whole(&mut bench, 0, 1, 80);
    diff(&mut bench, 1, 1_000, 1_001, 66);
    tell(&mut bench, 1, MarketBody::LineDown);
    for n in 1..1_000 {
        bench.after(10);
        diff(&mut bench, 0, n, n + 1, 81);
        bench.drain();
    }
    assert!(is_live(&bench) && id(&bench) == Some(1_000));
    assert_eq!((bench.total("resyncs"), bench.total("gaps")), (0, 0));
    diff(&mut bench, 0, 1_000, 1_001, 82);
    assert_eq!([66, 82].map(|price| has_bid(&bench, price)), [false, true]);
}

/// A hole that nobody fills ends the hold in time, also while the other line goes on.
#[test]
fn a_hold_ends_in_time_while_the_other_line_goes_on() {
    let mut bench = bench(SequenceRule::FirstLast, 2, SyncConfig::default());
    whole(&mut bench, 0, 1_000, 90);
    for line in 0..2 {
        diff(&mut bench, line, 1_000, 1_001, 91);
    }
    diff(&mut bench, 0, 1_900, 1_901, 92);
    for n in 1_001..1_080 {
        bench.after(10);
        diff(&mut bench, 1, n, n + 1, 91);
    }
    assert_eq!((bench.total("holds_expired"), is_live(&bench)), (1, false));
}

/// B tells of the restart when A has long gone on: nothing goes back.
#[test]
fn the_second_telling_of_a_restart_does_not_turn_the_book_back() {
    let mut bench = bench(SequenceRule::Successor, 2, SyncConfig::default());
    for line in 0..2 {
        whole(&mut bench, line, 70_000, 90);
        diff(&mut bench, line, 70_000, 70_001, 91);
    }
    whole(&mut bench, 0, 1, 80);
    for n in 1..20 {
        diff(&mut bench, 0, n, n + 1, 81);
    }
    bench.drain();
    whole(&mut bench, 1, 1, 80);
    for n in 1..20 {
        diff(&mut bench, 1, n, n + 1, 81);
    }
    assert_eq!((id(&bench), is_live(&bench)), (Some(20), true));
    assert!(bench.drain().tops.is_empty(), "all of that was told before");
    diff(&mut bench, 1, 20, 21, 82);
    assert_eq!((id(&bench), bench.agent.count(IT, Count::Held)), (Some(21), Some(0)));
}

/// The same where an update itself tells it: small numbers behind it are late, not lost.
#[test]
fn late_copies_behind_a_restart_are_late() {
    let mut bench = bench(SequenceRule::Prev, 2, SyncConfig::default());
    for line in 0..2 {
        whole(&mut bench, line, 90_000, 90);
        diff(&mut bench, line, 90_000, 90_010, 91);
    }
    let ids = [90_010, 90_020, 3, 5, 9, 30, 70];
    for line in 0..2 {
        for pair in ids.windows(2) {
            diff(&mut bench, line, pair[0], pair[1], 92);
        }
    }
    assert_eq!((id(&bench), is_live(&bench), bench.total("held")), (Some(70), true, 0));
    assert_eq!(bench.agent.count(IT, Count::LatesB), Some(7));
    bench.after(600);
    diff(&mut bench, 1, 70, 75, 93);
    assert_eq!((id(&bench), bench.total("gaps")), (Some(75), 0));
}

/// The service restarts again before it has counted far.
#[test]
fn a_restart_right_behind_a_restart_replaces_the_book() {
    for lines in [1, 2] {
        for steps in 0..4 {
            let mut bench = bench(SequenceRule::Successor, lines, SyncConfig::default());
            (0..lines).for_each(|line| whole(&mut bench, line, 5_000, 90));
            for bid in [80, 70] {
                whole(&mut bench, 0, 1, bid);
                for n in 1..=steps {
                    diff(&mut bench, 0, n, n + 1, bid + 1);
                }
            }
            assert!(is_live(&bench) && has_bid(&bench, 70), "{lines} lines, {steps} steps");
            assert!(!has_bid(&bench, 80) && id(&bench) == Some(1 + steps));
        }
    }
}

/// The venue restarted with small numbers, A is back and B, the old connection, dies only now.
#[test]
fn a_line_that_counts_from_elsewhere_does_not_carry_the_book() {
    for sequence in [SequenceRule::FirstLast, SequenceRule::FirstThenPrev] {
        let mut bench = bench(sequence, 2, SyncConfig::default());
        whole(&mut bench, 0, 50_000, 90);
        (0..2).for_each(|line| diff(&mut bench, line, 50_000, 50_001, 91));
        tell(&mut bench, 0, MarketBody::LineDown);
        tell(&mut bench, 0, MarketBody::LineUp);
        (20..25).for_each(|n| diff(&mut bench, 0, n, n + 1, 71));
        tell(&mut bench, 1, MarketBody::LineDown);
        assert!(!is_live(&bench), "{sequence:?}");
        diff(&mut bench, 0, 25, 26, 71);
        bench.after(2_000);
        bench.settle();
        whole(&mut bench, 0, 26, 70);
        diff(&mut bench, 0, 26, 27, 72);
        assert!(is_live(&bench) && id(&bench) == Some(27) && !has_bid(&bench, 91));
    }
}

/// As before with numbers that do not tell at once: those of one line are old for too long.
#[test]
fn a_lone_line_that_never_catches_up_is_a_gap() {
    let mut bench = bench(SequenceRule::FirstLast, 2, SyncConfig::default());
    whole(&mut bench, 0, 50_000, 90);
    (0..2).for_each(|line| diff(&mut bench, line, 50_000, 50_001, 91));
    tell(&mut bench, 0, MarketBody::LineDown);
    tell(&mut bench, 0, MarketBody::LineUp);
    diff(&mut bench, 0, 40_000, 40_001, 71);
    tell(&mut bench, 1, MarketBody::LineDown);
    for n in 40_001..40_100 {
        bench.after(10);
        diff(&mut bench, 0, n, n + 1, 71);
    }
    assert!(!is_live(&bench));
    whole(&mut bench, 0, 40_100, 70);
    assert!(is_live(&bench) && id(&bench) == Some(40_100), "no floor of the old count remains");
}

/// The same while the book is stale: the number where it stopped means nothing any more.
#[test]
fn a_stale_book_is_mended_by_a_venue_that_counts_from_elsewhere() {
    let mut bench = bench(SequenceRule::FirstLast, 2, SyncConfig::default());
    whole(&mut bench, 0, 50_000, 90);
    (0..2).for_each(|line| diff(&mut bench, line, 50_000, 50_001, 91));
    tell(&mut bench, 0, MarketBody::LineDown);
    tell(&mut bench, 0, MarketBody::LineUp);
    diff(&mut bench, 0, 20, 21, 71);
    diff(&mut bench, 1, 50_005, 50_006, 92);
    bench.after(600);
    bench.settle();
    assert!(!is_live(&bench));
    diff(&mut bench, 0, 21, 22, 71);
    tell(&mut bench, 1, MarketBody::LineDown);
    whole(&mut bench, 0, 22, 70);
    diff(&mut bench, 0, 22, 23, 72);
    assert!(is_live(&bench) && id(&bench) == Some(23));
    bench.after(600);
    bench.settle();
    assert!(is_live(&bench), "what the old connection brought is forgotten with it");
}

/// A diff that fits no buffer is lost; a snapshot from before it must not make the book live.
#[test]
fn a_diff_too_large_to_wait_is_not_forgotten() {
    let sync = SyncConfig { levels_max: 4, ..SyncConfig::default() };
    let mut bench = bench(SequenceRule::FirstLast, 1, sync);
    let many: Vec<_> = (1..9).map(|i| level(90 - i, 1)).collect();
    bench.depth(0, (11, 12), &many, &[]);
    bench.settle();
    whole(&mut bench, 0, 10, 90);
    assert!(!is_live(&bench), "update 12 is missing");
    bench.after(1_000);
    whole(&mut bench, 0, 12, 90);
    assert!(is_live(&bench));
}

/// A's message was damaged and B is lost before it brought its copy.
#[test]
fn a_line_with_a_damaged_message_does_not_carry_the_book() {
    let mut bench = bench(SequenceRule::FirstLast, 2, SyncConfig::default());
    whole(&mut bench, 0, 100, 90);
    (0..2).for_each(|line| diff(&mut bench, line, 100, 101, 91));
    tell(&mut bench, 0, MarketBody::Damaged);
    assert!(is_live(&bench), "B may bring it");
    tell(&mut bench, 1, MarketBody::LineDown);
    assert!(!is_live(&bench));

    // A later message by A shows whether it lost something.
    whole(&mut bench, 0, 101, 90);
    tell(&mut bench, 1, MarketBody::LineUp);
    diff(&mut bench, 1, 101, 102, 91);
    tell(&mut bench, 0, MarketBody::Damaged);
    diff(&mut bench, 0, 101, 102, 91);
    tell(&mut bench, 1, MarketBody::LineDown);
    assert!(is_live(&bench));
}

/// The quotes of the old count are not the newest for ever.
#[test]
fn quotes_start_anew_with_the_count() {
    let mut bench = bench(SequenceRule::Prev, 1, SyncConfig::default());
    let quote = |bench: &mut Bench, id, bid| {
        bench.quote(0, id, level(bid, 1), level(110, 1));
        bench.settle();
    };
    whole(&mut bench, 0, 70_000, 90);
    quote(&mut bench, 70_005, 95);
    assert_eq!(bench.drain().marks.last().map(|m| m.bid), Some(95));
    diff(&mut bench, 0, 70_000, 3, 92);
    assert_eq!(bench.drain().marks.last().map(|m| m.bid), Some(92));
    quote(&mut bench, 6, 93);
    assert_eq!(bench.drain().marks.last().map(|m| m.bid), Some(93));
    whole(&mut bench, 0, 2, 89);
    assert_eq!(bench.drain().marks.last().map(|m| m.bid), Some(89), "by a snapshot as well");
}

/// The venue's trade numbers start anew behind a reconnect.
#[test]
fn trades_of_a_new_count_pass() {
    let mut bench = bench(SequenceRule::FirstLast, 1, SyncConfig::default());
    for id in 9_000..9_010 {
        bench.trades(0, &[(id, 100, 1, 1_000_000 + id as i64)]);
        bench.settle();
    }
    tell(&mut bench, 0, MarketBody::LineUp);
    bench.drain();
    bench.trades(0, &[(7_000, 100, 1, 1_000_500), (9_009, 100, 1, 1_009_009)]);
    bench.settle();
    assert!(bench.drain().trades.is_empty(), "told again");
    tell(&mut bench, 0, MarketBody::LineUp);
    for id in 1..5 {
        bench.trades(0, &[(id, 100, 1, 1_020_000 + id as i64)]);
        bench.settle();
    }
    assert_eq!(bench.drain().trades.len(), 4);
}

/// A hole found because its filler is lost is counted like any other.
#[test]
fn a_hole_whose_filler_is_lost_is_counted() {
    let mut bench = bench(SequenceRule::FirstLast, 2, SyncConfig::default());
    whole(&mut bench, 0, 10, 90);
    (0..2).for_each(|line| diff(&mut bench, line, 10, 11, 91));
    diff(&mut bench, 0, 12, 13, 92);
    tell(&mut bench, 1, MarketBody::LineDown);
    assert_eq!(bench.drain().tops.last().map(|t| t.reason), Some(StaleReason::Gap));
    assert_eq!((bench.total("gaps"), bench.total("resyncs")), (1, 1));
}
