//! Writer and reader over one file, and the files that a reader refuses.

use std::path::{Path, PathBuf};

use bot4_lanes::{Clock, Control, Counters, Metrics};
use bot4_types::shown::{AccountShown, BookShown, PositionShown};
use bot4_types::{BookState, Level, Nanos, StaleReason};

use super::layout::{
    At, DEPTHS, InstrumentPlate, LanePlate, LinePlate, LinkPlate, Plate, VenuePlate, began,
};
use super::{Publisher, Reader, sweep};

const LANE: &[&str] = &["turns", "busy_ns", "idle_ns"];
const RISK: &[&str] = &["equity_e8", "heat_e8", "price_collar", "breakers_unwell_strategies"];

struct Engine {
    dir: tempfile::TempDir,
    metrics: Metrics,
    control: Control,
    publisher: Publisher,
    lane: Counters,
    risk: Counters,
}

impl Engine {
    fn path(&self) -> PathBuf {
        self.dir.path().join("counters")
    }
}

fn plate() -> Plate {
    let text = str::to_owned;
    Plate {
        run: text("1-2"),
        strategies: 2,
        rungs: vec![text("history")],
        lanes: vec![LanePlate { name: text("tick"), cpu: Some(3), ..LanePlate::default() }],
        links: vec![LinkPlate { name: text("frames[0]"), capacity: 8, ..LinkPlate::default() }],
        venues: vec![VenuePlate { name: text("binance"), role: text("execution") }],
        lines: vec![LinePlate { wire: text("wire.0"), used: true, ..LinePlate::default() }],
        instruments: vec![InstrumentPlate {
            label: text("BTCUSDT"),
            price_decimals: 2,
            qty_decimals: 5,
        }],
        ..Plate::default()
    }
}

/// An engine whose words tell something.
fn engine() -> Engine {
    let dir = tempfile::tempdir().expect("dir");
    let metrics = Metrics::at(&dir.path().join("counters")).expect("a file");
    let control = Control::new();
    let clock = Clock::monotonic();
    let publisher = Publisher::new(metrics.clone(), plate(), clock, control.clone());
    let (lane, risk) = (metrics.counters("tick", LANE), metrics.counters("risk", RISK));
    [5, 70, 30].iter().enumerate().for_each(|(at, value)| lane.set(at, *value));
    [250_000_000, u64::MAX, 4, 0b10].iter().enumerate().for_each(|(at, v)| risk.set(at, *v));
    let [written, read] = DEPTHS.map(|names| metrics.counters("link frames[0]", names));
    written.set(0, 6);
    read.set(0, 4);
    let parse = metrics.histogram("parse");
    (1..=100).for_each(|ns| parse.record(ns * 1_000));
    Engine { dir, metrics, control, publisher, lane, risk }
}

fn book(metrics: &Metrics) {
    let levels = std::array::from_fn(|i| match i {
        0 => Level { price: 6_100_010, qty: 150_000 },
        _ => Level::default(),
    });
    let shown = BookShown {
        state: BookState::Live,
        reason: StaleReason::None,
        update_id: 77,
        at: Nanos(0),
        bids: levels,
        asks: [Level::default(); 10],
    };
    let block = metrics.block("book.1", "BTCUSDT", bot4_types::shown::BOOK_WORDS);
    block.write(&shown.words());
    let one = 10i128.pow(16);
    let account = AccountShown {
        gross: [Some(25 * one), Some(100 * one)],
        realized: Some(-one / 2),
        open_orders_max: 50,
        ..AccountShown::default()
    };
    metrics.block("risk", "account", bot4_types::shown::ACCOUNT_WORDS).write(&account.words());
    let held = PositionShown { qty: -150_000, worst: Some(3 * one), worst_max: None };
    metrics.block("risk", "BTCUSDT", bot4_types::shown::POSITION_WORDS).write(&held.words());
}

#[test]
fn what_was_written_is_read() {
    let mut engine = engine();
    book(&engine.metrics);
    assert!(Reader::open(&engine.path()).is_err(), "there is no table yet");
    engine.publisher.begin(Nanos(5)).expect("room");
    let reader = Reader::open(&engine.path()).expect("readable");
    let s = reader.snapshot().expect("alive");
    assert_eq!(
        (s.run.id.as_str(), s.run.pid, s.run.venue.as_str()),
        ("1-2", std::process::id(), "binance")
    );
    assert_eq!((s.now_ns, s.stale, s.kill.phase.as_str()), (5, false, "run"));
    assert_eq!((s.lanes[0].turns, s.lanes[0].busy_ns, s.lanes[0].cpu), (5, 70, Some(3)));
    assert_eq!((s.links[0].high_water, s.links[0].plate.capacity), (6, 8));
    assert_eq!(s.risk.equity.now, Some(2.5));
    assert_eq!(s.risk.loss["heat"], None, "not known is no zero");
    assert_eq!(s.risk.breakers.unwell, ["strategy:2"]);
    assert_eq!(s.orders.refused_by, [("price_collar".to_owned(), 4)].into());
    assert_eq!((s.risk.gross.value, s.risk.gross.limit), (Some(25.0), Some(100.0)));
    assert_eq!((s.risk.pnl.realized, s.risk.pnl.fees), (Some(-0.5), None));
    assert_eq!(s.risk.open_orders.limit, Some(50.0));
    let p = &s.risk.positions[0];
    assert_eq!((p.qty.as_str(), p.worst.value, p.worst.limit), ("-1.50000", Some(3.0), None));
    let b = &s.books[0];
    assert_eq!((b.state.as_str(), b.update_id, b.asks.len()), ("live", 77, 0));
    assert_eq!((b.bids[0].price.as_str(), b.bids[0].qty.as_str()), ("61000.10", "1.50000"));
    let parse = &s.latency["parse"];
    assert_eq!((parse.summary.count, parse.summary.max), (100, 100_000));
    assert_eq!((parse.curve[0].0, parse.curve.last()), (0.0, Some(&(100.0, 100_000))));
    assert!(parse.curve.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1));
    // 1, 2, .. 100 us; those of 1 and 2 stand in buckets whose middles lie above the bounds.
    assert_eq!(parse.coarse.counts[3..10], [0, 1, 4, 5, 10, 30, 50]);
    assert_eq!(s.counters["tick"]["idle_ns"], 30);
    let text = serde_json::to_string(&s).expect("JSON");
    assert_eq!(serde_json::from_str::<super::Snapshot>(&text).expect("reads back"), s);
}

#[test]
fn the_reader_follows_the_words_until_the_end() {
    let mut engine = engine();
    engine.publisher.begin(Nanos(5)).expect("room");
    let reader = Reader::open(&engine.path()).expect("readable");
    engine.lane.add(0, 10);
    engine.risk.set(0, 100_000_000);
    engine.control.halt();
    engine.publisher.look(Nanos::from_secs(9));
    let s = reader.snapshot().expect("alive");
    assert_eq!((s.lanes[0].turns, s.risk.equity.now), (15, Some(1.0)));
    assert_eq!((s.now_ns, s.kill.phase.as_str()), (9_000_000_000, "kill"));
    assert!(s.kill.stopped && s.kill.resumable && !s.kill.flatten);
    engine.control.kill();
    engine.publisher.look(Nanos::from_secs(10));
    assert!(!reader.snapshot().expect("alive").kill.resumable, "a fault cannot be resumed");
    engine.publisher.end(Nanos::from_secs(11));
    let ended = reader.snapshot().expect_err("over").to_string();
    assert!(ended.contains("1-2 has ended"), "{ended}");
    // Where it is removed the words stay with who maps them.
    std::fs::remove_file(engine.path()).expect("removed");
    assert!(reader.snapshot().is_err());
}

/// Why the file with word `at` changed to `value`, or cut to `len` bytes, is refused.
fn refused(at: At, value: u64, len: Option<u64>) -> String {
    let mut engine = engine();
    engine.publisher.begin(Nanos(5)).expect("room");
    let head = engine.metrics.head().expect("a file");
    head.set(at as usize, value);
    let copy = engine.dir.path().join("copy");
    std::fs::copy(engine.path(), &copy).expect("copied");
    if let Some(len) = len {
        let file = std::fs::File::options().write(true).open(&copy).expect("open");
        file.set_len(len).expect("cut");
    }
    Reader::open(&copy).expect_err("refused").to_string()
}

#[test]
fn files_that_are_not_whole_or_not_of_this_version_are_refused_with_a_word() {
    let version = refused(At::Version, 99, None);
    assert!(version.contains("layout 99") && version.contains("this one reads 1"), "{version}");
    assert!(version.contains("help: use the bot4 that the engine"), "{version}");
    let pid = u64::from(std::process::id());
    let cut = refused(At::Pid, pid, Some(1 << 16));
    assert!(cut.contains("truncated: 8192 of"), "{cut}");
    let head = refused(At::Pid, pid, Some(40));
    assert!(head.contains("not a counters file") || head.contains("truncated"), "{head}");
    assert!(refused(At::Magic, 7, None).contains("not a counters file"));
    assert!(refused(At::TableHash, 7, None).contains("damaged"));
    assert!(refused(At::TableLen, u64::MAX, None).contains("damaged"));
    assert!(refused(At::Table, u64::MAX, None).contains("damaged"));
    let gone = refused(At::Began, 7, None);
    assert!(gone.contains("left behind by process"), "{gone}");
    let other = Path::new("/no/such/file");
    assert!(Reader::open(other).expect_err("none").to_string().contains("is it running"));
}

#[test]
fn what_a_killed_engine_left_behind_is_swept_and_nothing_else() {
    let mut engine = engine();
    engine.publisher.begin(Nanos(5)).expect("room");
    let dir = tempfile::tempdir().expect("dir");
    let at = |name: &str| dir.path().join(name);
    std::fs::copy(engine.path(), at("bot4-alive")).expect("copied");
    engine.metrics.head().expect("a file").set(At::Began as usize, 1);
    std::fs::copy(engine.path(), at("bot4-elsewhere")).expect("copied");
    engine.metrics.head().expect("a file").set(At::BeatMs as usize, 1);
    std::fs::copy(engine.path(), at("bot4-gone")).expect("copied");
    std::fs::copy(engine.path(), at("other-gone")).expect("copied");
    std::fs::write(at("bot4-else"), "something else").expect("written");
    sweep(dir.path(), "bot4-");
    let names = ["bot4-alive", "bot4-gone", "bot4-elsewhere", "other-gone", "bot4-else"];
    assert_eq!(names.map(|name| at(name).exists()), [true, false, true, true, true]);
    assert!(began(std::process::id()).is_some_and(|ticks| ticks != 1));
    sweep(Path::new("/no/such/folder"), "");
}
