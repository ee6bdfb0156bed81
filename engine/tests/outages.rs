//! Connections are lost in every way, and replaced in order: how long until the books are live
//! again, at every venue. A few of each here; `BOT4_OUTAGES` says how many (`.ci/deep` does).

mod common;
mod observer;

use std::sync::Mutex;

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use bot4_venues::Venue;
use common::{bot4, started};
use observer::{ControlLine, Observer, Options, venues};

/// Longest time from the venue's return to live books.
const BACK_WITHIN: Nanos = Nanos::from_secs(5);
/// A connection that lived this long proved good, so the next outage is a fresh one.
const PROVEN_MS: u64 = 5_100;

/// Ways in which a connection can be lost, as the venue's control line names them.
const KINDS: [&str; 7] =
    ["fin", "reset", "freeze", "stall", "close 1011", "outage 1s", "retire 2s"];

/// Nanoseconds, as milliseconds for a person.
fn percentiles(mut times: Vec<Nanos>) -> String {
    times.sort();
    let at = |p: usize| times[(times.len() * p / 100).min(times.len() - 1)].millis();
    format!("{} outages: p50 {} ms, p99 {} ms, max {} ms", times.len(), at(50), at(99), at(100))
}

/// Strikes and waits until all books are live again; the time since the venue is back.
fn strike(kind: &str, observer: &mut Observer, control: &mut ControlLine) -> Nanos {
    let downs = observer.count("wire.", "line_downs");
    let handovers = observer.count("wire.", "handovers");
    let outage = kind.starts_with("outage");
    control.say(kind);
    let mut back = None;
    observer.until(kind, 10, |o| {
        while let Some(news) = control.hear() {
            let wanted = if outage { "back" } else { "done" };
            if news.get(wanted).is_some() {
                back.get_or_insert(o.clock.now());
            }
        }
        let struck = o.count("wire.", "line_downs") > downs
            || (kind.starts_with("retire") && o.count("wire.", "handovers") > handovers);
        struck && back.is_some()
    });
    let struck_at = back.unwrap_or(Nanos::ZERO);
    observer.until("live again", 15, |o| o.all_live());
    observer.clock.now().since(struck_at)
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
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (i, (venue, symbols)) in venues.into_iter().enumerate() {
            let failed = &failed;
            let run = move || torment(venue, symbols, rounds, i * 5, pause_ms);
            let work = move || {
                if let Err(e) = std::panic::catch_unwind(run) {
                    let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
                    failed.lock().expect("unpoisoned").push(text);
                }
            };
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("unpoisoned");
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Connections are replaced before their end while the market goes on: the books are live at
/// every moment, nothing is missing and nothing starts over.
fn renewed(venue: Venue, symbols: [&str; 2]) {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = started(bot4(state.path()).args(["venue", "--venue", venue.name()]));
    let options = Options { life: Nanos::from_secs(4), ..Options::default() };
    let mut observer = Observer::new(venue, &endpoints, &symbols, &options);
    observer.until("live", 15, |o| o.all_live());
    let snapshots = observer.count("book.", "snapshots");
    let mut always = true;
    observer.until("three handovers", 90, |o| {
        always &= o.all_live();
        o.count("wire.", "handovers") >= 3
    });
    let name = venue.name();
    assert!(always, "{name}: a book was not live");
    let count = |what| observer.count("book.", what);
    assert_eq!((count("gaps"), count("resyncs"), count("checksums_bad")), (0, 0, 0), "{name}");
    assert_eq!((observer.count("wire.", "line_downs"), count("crossed")), (0, 0), "{name}");
    let streamed = venue.rules().snapshots == bot4_types::SnapshotSource::Streamed;
    if !streamed {
        assert_eq!(count("snapshots"), snapshots, "{name}: no snapshot was needed");
    }
    println!("{name}: {} handovers, {} messages", 3, observer.count("parse.", "messages"));
}

#[test]
fn planned_renewals_cost_nothing() {
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (venue, symbols) in venues() {
            let failed = &failed;
            scope.spawn(move || {
                if let Err(e) = std::panic::catch_unwind(move || renewed(venue, symbols)) {
                    let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
                    failed.lock().expect("unpoisoned").push(text);
                }
            });
        }
    });
    let failed = failed.into_inner().expect("unpoisoned");
    assert!(failed.is_empty(), "{failed:#?}");
}
