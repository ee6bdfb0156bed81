//! Connections are lost in every way, and replaced in order: how long until the books are live
//! again, at every venue. A few of each here; `BOT4_OUTAGES` says how many (`.ci/deep` does).

mod common;
mod observer;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Mutex, PoisonError};

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use bot4_venues::Venue;
use common::{bot4, started};
use observer::{ControlLine, Observer, Options, venues};

/// One test at a time: two CPUs must be enough.
static ONE: Mutex<()> = Mutex::new(());

/// Longest time from the venue's return to live books.
const BACK_WITHIN: Nanos = Nanos::from_secs(5);
/// Time between two outages of a long run: a connection that lived this long proved good, and the
/// three connects or so that an outage costs stay within what a venue allows in five minutes.
/// Beyond that the engine would have to wait, and rightly.
const PROVEN_MS: u64 = 10_500;

/// Ways in which a connection can be lost, as the venue's control line names them.
const KINDS: [&str; 7] =
    ["fin", "reset", "freeze", "stall", "close 1011", "outage 1s", "retire 2s"];

/// Nanoseconds, as milliseconds for a person.
fn percentiles(mut times: Vec<Nanos>) -> String {
    times.sort();
    let at = |p: usize| times[(times.len() * p / 100).min(times.len() - 1)].millis();
    format!("{} outages: p50 {} ms, p99 {} ms, max {} ms", times.len(), at(50), at(99), at(100))
}

/// Strikes and waits until all books are live again: how long since the venue could be reached
/// again. That is the strike itself where only a connection is lost (noticing it counts), the end
/// of an outage, and the moment of the cut where it was announced or not.
fn strike(kind: &str, observer: &mut Observer, control: &mut ControlLine) -> Nanos {
    let count = |o: &Observer, what| o.count("wire.", what);
    let (downs, notices) = (count(observer, "line_downs"), count(observer, "shutdown_notices"));
    let handovers = count(observer, "handovers");
    control.say(kind);
    let mut back = (!kind.contains(' ') || kind.starts_with("close")).then(|| observer.clock.now());
    observer.until(kind, 10, |o| {
        while let Some(news) = control.hear() {
            if news.get("back").is_some() {
                back = Some(o.clock.now());
            }
        }
        let down = count(o, "line_downs") > downs;
        if kind.starts_with("retire") && (down || count(o, "handovers") > handovers) {
            back.get_or_insert(o.clock.now());
        }
        back.is_some() && (down || count(o, "handovers") > handovers)
    });
    if count(observer, "shutdown_notices") > notices {
        assert_eq!(count(observer, "line_downs"), downs, "{kind}: announced, so replaced in time");
    }
    observer.until("live again", 15, |o| o.all_live());
    observer.clock.now().since(back.unwrap_or(Nanos::ZERO))
}

/// `rounds` outages at `venue`, kinds in turn from `first` on.
fn torment(venue: Venue, symbols: [&str; 2], rounds: usize, first: usize, pause_ms: u64) {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = started(bot4(state.path()).args(["venue", "--venue", venue.name()]));
    let mut observer = Observer::new(venue, &endpoints, &symbols, &Options::default());
    let mut control = ControlLine::new(&endpoints);
    let mut rng = SplitMix64::new(first as u64);
    observer.until("live", 15, |o| o.all_live());
    let mut times = vec![Vec::new(); KINDS.len()];
    for round in 0..rounds {
        observer.turn_for(pause_ms + rng.below(300));
        observer.until("live before the outage", 15, |o| o.all_live());
        let kind = (first + round) % KINDS.len();
        times[kind].push(strike(KINDS[kind], &mut observer, &mut control));
    }
    for (kind, times) in KINDS.iter().zip(times) {
        let Some(max) = times.iter().max().copied() else { continue };
        println!("{:<12} {kind:<12} {}", venue.name(), percentiles(times));
        assert!(max < BACK_WITHIN, "{} {kind}: {} ms", venue.name(), max.millis());
    }
    let of_books = |name| observer.count("book.", name);
    assert_eq!((of_books("gaps"), of_books("checksums_bad")), (0, 0), "{}", venue.name());
}

#[test]
fn books_are_live_again_within_five_seconds_of_the_venue() {
    let deep = std::env::var("BOT4_OUTAGES").ok().and_then(|n| n.parse::<usize>().ok());
    let venues = venues();
    let rounds = deep.map_or(5, |each| (each * KINDS.len()).div_ceil(venues.len()));
    let pause_ms = if deep.is_some() { PROVEN_MS } else { 300 };
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    at_each(venues, |venue, symbols| {
        // Each venue begins elsewhere, so that a few rounds meet every kind.
        let first = venue as usize * 5;
        torment(venue, symbols, rounds, first, pause_ms);
    });
}

/// Connections are replaced before their end while the market goes on: the books are live at
/// every moment, nothing is missing and nothing starts over.
fn renewed(venue: Venue, symbols: [&str; 2]) {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = started(bot4(state.path()).args(["venue", "--venue", venue.name()]));
    // Whether the touch comes near the cut of a snapshot is the market's affair.
    let options = Options { life: Nanos::from_secs(4), horizon: false, ..Options::default() };
    let mut observer = Observer::new(venue, &endpoints, &symbols, &options);
    observer.until("live", 15, |o| o.all_live());
    let snapshots = observer.count("book.", "snapshots");
    let mut always = true;
    observer.until("three handovers", 90, |o| {
        always &= o.all_live();
        o.count("wire.", "handovers") >= 3
    });
    let name = venue.name();
    let count = |what| observer.count("book.", what);
    let told = ["gaps", "resyncs", "crossed", "horizons", "damaged", "overflows", "checksums_bad"];
    let told = told.map(|what| (what, count(what)));
    assert_eq!((count("gaps"), count("resyncs"), count("checksums_bad")), (0, 0, 0), "{told:?}");
    assert_eq!((observer.count("wire.", "line_downs"), count("crossed")), (0, 0), "{name}");
    assert!(always, "{name}: a book was not live");
    let streamed = venue.rules().snapshots == bot4_types::SnapshotSource::Streamed;
    if !streamed {
        assert_eq!(count("snapshots"), snapshots, "{name}: no snapshot was needed");
    }
    println!("{name}: {} handovers, {} messages", 3, observer.count("parse.", "messages"));
}

/// One of two lines is lost in every way: the books do not even notice.
fn doubled(venue: Venue, symbols: [&str; 2]) {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = started(bot4(state.path()).args(["venue", "--venue", venue.name()]));
    let options = Options { lines: 2, horizon: false, ..Options::default() };
    let mut observer = Observer::new(venue, &endpoints, &symbols, &options);
    let mut control = ControlLine::new(&endpoints);
    observer.until("both lines up", 20, |o| o.all_live() && o.count("wire.", "line_ups") == 2);
    observer.turn_for(1_500);
    let name = venue.name();
    // A frozen connection stays the oldest one, so it comes last.
    let faults = ["lag 40ms 1", "fin 1", "reset 1", "close 1011 1", "stall 1", "freeze 1"];
    for (i, fault) in faults.iter().enumerate() {
        let connects = observer.count("wire.", "connects");
        let mut live = true;
        control.say(fault);
        if i == 0 {
            observer.turn_for(1_000);
            continue;
        }
        observer.until(fault, 10, |o| {
            let _ = control.hear();
            live &= o.all_live();
            // At some venues it is the oldest connection for requests.
            o.count("wire.", "connects") > connects && o.lines_up() == 2
        });
        let end = observer.clock.now() + Nanos::from_millis(1_500);
        observer.until("both deliver again", 10, |o| {
            live &= o.all_live();
            o.clock.now() >= end
        });
        assert!(live, "{name}: {fault}: a book was not live");
    }
    let count = |what| observer.count("book.", what);
    assert_eq!((count("gaps"), count("resyncs"), count("checksums_bad")), (0, 0, 0), "{name}");
}

/// Runs `test` at every venue of `venues` at the same time.
fn at_each(
    venues: Vec<(Venue, [&'static str; 2])>,
    test: impl Fn(Venue, [&str; 2]) + Copy + Send + UnwindSafe + RefUnwindSafe,
) {
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (venue, symbols) in venues {
            let failed = &failed;
            scope.spawn(move || {
                let run = move || observer::unstarved(venue.name(), || test(venue, symbols));
                if let Err(e) = std::panic::catch_unwind(run) {
                    let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
                    failed.lock().expect("unpoisoned").push(text);
                }
            });
        }
    });
    let failed = failed.into_inner().expect("unpoisoned");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn planned_renewals_cost_nothing() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    at_each(venues(), renewed);
}

#[test]
fn the_loss_of_one_of_two_lines_is_not_noticed() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let merged = venues().into_iter().filter(|(v, _)| v.rules().is_mergeable());
    at_each(merged.collect(), doubled);
}
