//! The agent's manners: what goes out when, what happens when rings are full, whose messages it
//! takes.

mod common;

use bot4_book::{BookConfig, Count, SyncConfig};
use bot4_lanes::Agent;
use bot4_types::{
    BookOrder, BookRules, BookState, ConnId, InstrumentId, LevelBlock, MarketBody, Nanos,
    ResyncReason, Stage, StaleReason,
};
use common::{Bench, ROOMY, Rooms, level, table};

const BIDS: [bot4_types::Level; 2] = [level(100, 3), level(90, 5)];
const ASKS: [bot4_types::Level; 2] = [level(110, 1), level(120, 7)];

fn small() -> BookConfig {
    BookConfig { window_steps: 1_024, far_levels: 1_000, ..BookConfig::default() }
}

/// Two live instruments on one wire.
fn live(rooms: &Rooms) -> Bench {
    let mut bench = Bench::new(&["A", "B"], 1, small(), rooms);
    for k in 0..2 {
        bench.snapshot(k, 10, &BIDS, &ASKS);
    }
    bench.settle();
    bench.drain();
    bench
}

#[test]
fn top_and_mark_follow_a_diff() {
    let mut bench = live(&ROOMY);
    bench.after(5);
    bench.depth(1, (11, 12), &[level(101, 3)], &[level(120, 0)]);
    let sent_at = bench.now;
    bench.after(2);
    assert_eq!(bench.work(), 1);
    let out = bench.drain();
    let [top] = out.tops[..] else { panic!("one top: {out:?}") };
    assert_eq!((top.instrument, top.id, top.quote_id), (InstrumentId(1), 12, 12));
    assert_eq!(top.bids[..3], [level(101, 3), level(100, 3), level(90, 5)]);
    assert_eq!(top.asks[..2], [level(110, 1), level(0, 0)]);
    assert_eq!((top.quote_bid, top.quote_ask), (level(101, 3), level(110, 1)));
    assert_eq!((top.state, top.reason), (BookState::Live, StaleReason::None));
    assert_eq!(top.trail.t0, sent_at);
    assert_eq!(top.trail.span(Stage::Book), 2_000_000, "the border is stamped at the push");
    let [mark] = out.marks[..] else { panic!("one mark: {out:?}") };
    assert_eq!((mark.bid, mark.ask, mark.at), (101, 110, sent_at));
    assert_eq!(mark.micro, (101 + 110 * 3) / 4);
    assert_eq!(bench.total("applied"), 1);
}

#[test]
fn newest_of_book_and_quote_is_quoted() {
    let mut bench = live(&ROOMY);
    bench.quote(0, 15, level(102, 1), level(109, 1));
    bench.quote(0, 13, level(1, 1), level(2, 1)); // late: no news
    bench.settle();
    let out = bench.drain();
    assert_eq!(out.tops.len(), 1);
    let top = out.tops[0];
    assert_eq!((top.id, top.quote_id), (10, 15));
    assert_eq!(
        (top.bids[0], top.quote_bid, top.quote_ask.price),
        (level(100, 3), level(102, 1), 109)
    );
    assert_eq!((out.marks[0].bid, out.marks[0].ask), (102, 109));
    // The book overtakes the quote; an old quote says nothing.
    bench.depth(0, (11, 20), &[level(103, 1)], &[]);
    bench.quote(0, 14, level(1, 1), level(2, 1));
    bench.quote(0, 18, level(1, 1), level(2, 1));
    bench.settle();
    let out = bench.drain();
    assert_eq!(out.tops.len(), 1);
    assert_eq!((out.tops[0].quote_id, out.tops[0].quote_bid), (20, level(103, 1)));
    assert_eq!(bench.total("quotes"), 4);
}

#[test]
fn gap_is_told_and_asked_for_within_the_turn() {
    let mut bench = live(&ROOMY);
    bench.depth(0, (13, 14), &[level(105, 1)], &[]);
    bench.work();
    let out = bench.drain();
    assert_eq!((out.tops[0].state, out.tops[0].reason), (BookState::Stale, StaleReason::Gap));
    assert_eq!(out.marks[0].state, BookState::Stale);
    assert_eq!(
        (out.resync[0].instrument, out.resync[0].reason),
        (InstrumentId(0), ResyncReason::Gap)
    );
    bench.after(30);
    bench.depth(0, (15, 15), &[level(106, 1)], &[]);
    bench.quote(0, 30, level(1, 1), level(2, 1));
    bench.settle();
    assert!(bench.drain().tops.is_empty(), "a stale book says it once");
    bench.after(20);
    bench.snapshot(0, 14, &BIDS, &ASKS);
    bench.settle();
    let out = bench.drain();
    assert_eq!((out.tops.len(), out.tops[0].state, out.tops[0].id), (1, BookState::Live, 15));
    assert_eq!(out.tops[0].bids[0], level(106, 1));
    assert_eq!(bench.total("stale_ns"), 50_000_000);
    assert_eq!((bench.total("gaps"), bench.total("resyncs"), bench.total("snapshots")), (1, 1, 3));
    assert_eq!(bench.blocks_home(), bench.blocks_total);
}

#[test]
fn crossed_and_damaged_books_are_not_shown() {
    let mut bench = live(&ROOMY);
    bench.depth(0, (11, 11), &[level(110, 1)], &[]);
    bench.send(1, MarketBody::Damaged);
    bench.settle();
    let out = bench.drain();
    let reasons: Vec<_> = out.tops.iter().map(|t| (t.instrument.0, t.state, t.reason)).collect();
    assert_eq!(
        reasons,
        [(0, BookState::Stale, StaleReason::Crossed), (1, BookState::Stale, StaleReason::Damaged)]
    );
    let asked: Vec<_> = out.resync.iter().map(|r| r.reason).collect();
    assert_eq!(asked, [ResyncReason::Crossed, ResyncReason::Damaged]);
    // A crossed snapshot is no better.
    bench.snapshot(0, 12, &[level(120, 1)], &[level(110, 1)]);
    bench.settle();
    assert_eq!(bench.agent.state(InstrumentId(0)), Some(BookState::Stale));
    assert_eq!(bench.total("crossed"), 2);
}

#[test]
fn inconsistent_diff_counts_as_damaged() {
    let mut bench = live(&ROOMY);
    for body in [
        MarketBody::Depth {
            first: 12,
            last: 11,
            prev: 0,
            check: None,
            bids: 0,
            asks: 0,
            block: LevelBlock::new(0),
        },
        MarketBody::Depth {
            first: 11,
            last: 11,
            prev: 0,
            check: None,
            bids: u32::MAX,
            asks: 2,
            block: LevelBlock::new(0),
        },
        MarketBody::Snapshot {
            last: 11,
            check: None,
            bids: 60,
            asks: 5,
            block: LevelBlock::new(0),
        },
    ] {
        bench.send(0, body);
    }
    bench.settle();
    bench.drain();
    assert_eq!(bench.agent.state(InstrumentId(0)), Some(BookState::Stale));
    assert_eq!((bench.total("damaged"), bench.blocks_home()), (3, 2 + 3));
    assert_eq!(bench.total("snapshots_refused"), 1);
}

#[test]
fn lines_carry_their_instruments() {
    let mut bench = Bench::new(&["A", "B", "C"], 2, small(), &ROOMY);
    let line = |bench: &mut Bench, wire: u16, body| {
        let mut event = bench.event(0, body);
        event.conn = ConnId(wire);
        bench.market[usize::from(wire)].push(event).expect("room");
        bench.settle();
    };
    line(&mut bench, 0, MarketBody::LineUp);
    line(&mut bench, 1, MarketBody::LineUp);
    let out = bench.drain();
    let asked: Vec<_> = out.resync.iter().map(|r| (r.instrument.0, r.conn.0, r.reason)).collect();
    let start = ResyncReason::Start;
    assert_eq!(asked, [(0, 0, start), (2, 0, start), (1, 1, start)]);
    for k in 0..3 {
        bench.snapshot(k, 10, &BIDS, &ASKS);
    }
    bench.settle();
    bench.drain();
    line(&mut bench, 0, MarketBody::LineDown);
    let out = bench.drain();
    let stale: Vec<_> = out.tops.iter().map(|t| (t.instrument.0, t.state, t.reason)).collect();
    let down = (BookState::Stale, StaleReason::Line);
    assert_eq!(stale, [(0, down.0, down.1), (2, down.0, down.1)]);
    assert_eq!(bench.agent.state(InstrumentId(1)), Some(BookState::Live));
    bench.after(100);
    bench.agent.close(bench.now);
    assert_eq!(bench.total("stale_ns"), 200_000_000);
    assert_eq!(bench.agent.count(InstrumentId(1), Count::StaleNs), Some(0));
}

/// A venue that restarted counts from one again: its quotes are news all the same.
#[test]
fn quotes_of_a_new_connection_are_not_older() {
    let mut bench = live(&ROOMY);
    bench.quote(0, 500, level(101, 1), level(109, 1));
    bench.send(0, MarketBody::LineDown);
    bench.send(0, MarketBody::LineUp);
    bench.snapshot(0, 3, &BIDS, &ASKS);
    bench.settle();
    let top = *bench.drain().tops.last().expect("a top");
    assert_eq!((top.instrument.0, top.id, top.quote_id), (0, 3, 3));
    bench.quote(0, 4, level(102, 1), level(108, 1));
    bench.settle();
    assert_eq!(bench.drain().tops[0].quote_bid, level(102, 1));
}

#[test]
fn a_turn_is_bounded_and_rings_take_turns() {
    let mut bench = Bench::new(&["A", "B"], 2, small(), &ROOMY);
    bench.agent.set_batch(3);
    for i in 0..12 {
        for wire in 0..2 {
            let event = bench.event(
                wire,
                MarketBody::Trade { id: i, price: 5, qty: 1, aggressor: bot4_types::Side::Sell },
            );
            bench.market[usize::from(wire)].push(event).expect("room");
        }
    }
    for turn in 1..=4u64 {
        assert_eq!(bench.work(), 3);
        assert_eq!(bench.total("trades"), 3 * turn);
    }
    let out = bench.drain();
    let of = |k| out.trades.iter().filter(|t| t.instrument.0 == k).count();
    assert_eq!((of(0), of(1)), (6, 6), "neither ring starves the other");
}

#[test]
fn tops_are_conflated_and_trades_counted_when_the_reader_is_slow() {
    let rooms = Rooms { tops: 4, marks: 1, ..ROOMY };
    let mut bench = live(&rooms);
    for i in 0..20u64 {
        bench.depth(0, (11 + i, 11 + i), &[level(101, 1 + i as i64)], &[]);
        bench.trade(0, i, 105);
    }
    bench.settle();
    let out = bench.drain();
    // Two slots are kept free of trades; then tops fill them.
    assert_eq!((out.tops.len(), out.trades.len(), out.marks.len()), (3, 1, 1));
    assert_eq!(bench.total("trades_missed"), 19);
    assert!(bench.total("conflated") > 15);
    // With room again: first the newest top, and the next trade tells of the loss.
    bench.settle();
    let out = bench.drain();
    assert_eq!((out.tops.len(), out.tops[0].bids[0], out.tops[0].id), (1, level(101, 20), 30));
    assert_eq!((out.marks[0].bid, out.marks[0].last_trade), (101, 105));
    bench.trade(0, 99, 104);
    bench.trade(0, 100, 104);
    bench.settle();
    let missed: Vec<_> = bench.drain().trades.iter().map(|t| (t.id, t.missed)).collect();
    assert_eq!(missed, [(99, 19), (100, 0)]);
}

#[test]
fn stale_state_goes_before_anything_else_of_its_instrument() {
    let rooms = Rooms { tops: 4, ..ROOMY };
    let mut bench = live(&rooms);
    for i in 0..6 {
        bench.depth(1, (11 + i, 11 + i), &[level(101, 1)], &[]);
    }
    bench.depth(0, (13, 14), &[level(105, 1)], &[]);
    bench.trade(0, 1, 105);
    bench.work();
    let out = bench.drain();
    assert!(out.tops.iter().all(|t| t.instrument.0 == 1) && out.trades.is_empty());
    bench.trade(0, 2, 105);
    bench.work();
    let out = bench.drain();
    let first = out.tops.iter().find(|t| t.instrument.0 == 0).expect("its state");
    assert_eq!(first.state, BookState::Stale);
    assert_eq!(out.trades[0].missed, 1);
}

#[test]
fn takes_nothing_while_blocks_cannot_go_back() {
    let rooms = Rooms { blocks: 2, ..ROOMY };
    let mut bench = Bench::new(&["A"], 1, small(), &rooms);
    bench.snapshot(0, 10, &BIDS, &ASKS);
    for i in 0..5 {
        bench.depth(0, (11 + i, 11 + i), &[level(101, 1)], &[]);
    }
    bench.settle();
    assert_eq!(bench.total("applied"), 1);
    for _ in 0..3 {
        bench.drain();
        bench.settle();
    }
    bench.drain();
    assert_eq!((bench.total("applied"), bench.total("blocks_lost")), (5, 0));
    assert_eq!(bench.blocks_home(), bench.blocks_total);
}

#[test]
fn requests_wait_for_room_on_the_resync_link() {
    let rooms = Rooms { resync: 1, ..ROOMY };
    let mut bench = Bench::new(&["A", "B", "C"], 1, small(), &rooms);
    bench.send(0, MarketBody::LineUp);
    bench.settle();
    let mut asked: Vec<u16> = Vec::new();
    for _ in 0..3 {
        asked.extend(bench.drain().resync.iter().map(|r| r.instrument.0));
        bench.settle();
    }
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2]);
    assert_eq!(bench.total("requests"), 3);
    // Nobody answers: asked again after the time allowed.
    bench.after(SyncConfig::default().snapshot_timeout.millis());
    bench.work();
    assert_eq!(bench.drain().resync[0].reason, ResyncReason::SnapshotTimeout);
}

#[test]
fn a_book_whose_instrument_changed_starts_over_and_a_paused_one_stands_still() {
    let mut bench = live(&ROOMY);
    let order = |k, paused| BookOrder { instrument: InstrumentId(k), tick: 5, paused, shed: false };
    bench.orders.push(order(1, false)).expect("room");
    bench.orders.push(order(9, false)).expect("room"); // nobody's
    bench.settle();
    let out = bench.drain();
    let [top] = out.tops[..] else { panic!("one top: {out:?}") };
    assert_eq!((top.instrument, top.state), (InstrumentId(1), BookState::Stale));
    assert_eq!(top.reason, StaleReason::Rules);
    let asked: Vec<_> = out.resync.iter().map(|r| (r.instrument.0, r.reason)).collect();
    assert_eq!(asked, [(1, ResyncReason::Rules)]);
    bench.depth(0, (11, 11), &[level(101, 1)], &[]);
    bench.settle();
    assert_eq!(bench.drain().tops.len(), 1, "the other goes on");
    bench.snapshot(1, 20, &BIDS, &ASKS);
    bench.settle();
    assert_eq!(bench.agent.state(InstrumentId(1)), Some(BookState::Live));
    bench.drain();
    bench.orders.push(order(1, true)).expect("room");
    bench.settle();
    bench.after(60_000);
    bench.snapshot(1, 30, &BIDS, &ASKS);
    bench.settle();
    let out = bench.drain();
    assert_eq!((out.tops.len(), out.resync.len()), (1, 0), "{out:?}");
    assert_eq!(bench.agent.state(InstrumentId(1)), Some(BookState::Stale));
    bench.orders.push(order(1, false)).expect("room");
    bench.settle();
    assert_eq!(bench.drain().resync.len(), 1);
    bench.snapshot(1, 40, &BIDS, &ASKS);
    bench.settle();
    assert_eq!(bench.agent.state(InstrumentId(1)), Some(BookState::Live));
}

#[test]
fn shards_take_only_their_own() {
    let symbols = ["A", "B", "C", "D", "E"];
    let mut bench = Bench::sharded(1, 2, &symbols, 1, small(), &ROOMY);
    bench.agent.start(Nanos::ZERO).expect("starts");
    assert_eq!(bench.agent.role(), "book.1");
    for k in 0..6 {
        bench.snapshot(k, 10, &BIDS, &ASKS);
    }
    bench.settle();
    bench.drain();
    let states: Vec<_> = (0..6).map(|k| bench.agent.state(InstrumentId(k))).collect();
    let live = Some(BookState::Live);
    assert_eq!(states, [None, live, None, live, None, None]);
    assert_eq!((bench.total("ignored"), bench.blocks_home()), (4, 6));
    assert_eq!(bench.agent.summary(InstrumentId(3)).map(|s| s.symbol).as_deref(), Some("D"));
    assert!(bench.agent.summary(InstrumentId(2)).is_none());
    assert_eq!(table(&symbols).all().len(), 5);
}

#[test]
fn overfull_book_is_stale_not_wrong() {
    let config = BookConfig { window_steps: 128, far_levels: 10, ..BookConfig::default() };
    let mut bench = Bench::new(&["A"], 1, config, &ROOMY);
    bench.snapshot(0, 10, &BIDS, &ASKS);
    let far: Vec<_> = (0..11).map(|i| level(1_000_000 + 10 * i, 1)).collect();
    bench.depth(0, (11, 11), &[], &far);
    bench.settle();
    let top = *bench.drain().tops.last().expect("a top");
    assert_eq!((top.state, top.reason), (BookState::Stale, StaleReason::Capacity));
    assert_eq!(bench.total("overflows"), 1);
    bench.snapshot(0, 11, &BIDS, &ASKS);
    bench.settle();
    assert_eq!(bench.agent.state(InstrumentId(0)), Some(BookState::Live));
}

#[test]
fn a_touch_near_the_cut_of_its_snapshot_starts_over() {
    let rules = BookRules { snapshot_levels: 8, ..BookRules::default() };
    let config = BookConfig { rules, ..small() };
    let mut bench = Bench::new(&["A"], 1, config, &ROOMY);
    let bids: Vec<_> = (0..8).map(|i| level(1_000 - 10 * i, 1)).collect();
    // Seven asks: that side was not cut, it is known to its end.
    let asks: Vec<_> = (0..7).map(|i| level(1_010 + 10 * i, 1)).collect();
    bench.snapshot(0, 10, &bids, &asks);
    let gone: Vec<_> = (0..5).map(|i| level(1_000 - 10 * i, 0)).collect();
    let taken: Vec<_> = (0..6).map(|i| level(1_010 + 10 * i, 0)).collect();
    bench.depth(0, (11, 11), &gone, &taken);
    bench.settle();
    assert_eq!(bench.agent.state(InstrumentId(0)), Some(BookState::Live), "bid 950, cut 930");
    bench.depth(0, (12, 12), &[level(950, 0)], &[]);
    bench.settle();
    let top = *bench.drain().tops.last().expect("a top");
    assert_eq!((top.state, top.reason), (BookState::Stale, StaleReason::Horizon));
    assert_eq!(bench.total("horizons"), 1);
    bench.snapshot(0, 12, &bids, &asks);
    bench.settle();
    assert_eq!(bench.agent.state(InstrumentId(0)), Some(BookState::Live));
}
