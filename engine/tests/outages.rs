//! Connections are lost in every way, and replaced in order: how long until the books are live
//! again, at every venue. A few of each here; `BOT4_OUTAGES` says how many (`.ci/deep` does).

mod common;
mod observer;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;
use bot4_venues::Venue;
use common::{bot4, started};
use observer::{ControlLine, Observer, Options, venues};

/// Longest time from the venue's return to live books.
const BACK_WITHIN: Nanos = Nanos::from_secs(5);
/// Between two losses: a connection that lived this long proved good, so that the next loss is not
/// taken for more of the same trouble.
const PROVEN_MS: u64 = 5_200;
/// Between two losses of a long run, in which the three connects or so that each costs must stay
/// within what a venue allows in five minutes. Beyond that the engine would have to wait, and
/// rightly.
const SPARED_MS: u64 = 10_500;

/// Ways in which a connection is lost: the venue's word for it, and ours.
const KINDS: [(&str, &str); 6] = [
    ("fin", "FIN"),
    ("reset", "RST"),
    ("freeze", "silent drop"),
    ("stall", "TLS stall"),
    ("close 1011", "abnormal close"),
    ("retire 2s", "shutdown notice"),
];
/// The venue is gone for a while: from a blink to a minute.
const LENGTHS: [&str; 7] = ["100ms", "500ms", "1s", "3s", "10s", "30s", "60s"];
/// In a short run no outage is longer than its test.
const SHORT_LENGTHS: [&str; 7] = ["100ms", "300ms", "500ms", "1s", "2s", "3s", "4s"];
/// The end that comes once a day, scaled: age at which the venue closes a connection, and age at
/// which the engine, which knows of it, begins to replace it.
const LIFE: &str = "20s";
const RENEWED_AFTER: Nanos = Nanos::from_secs(4);

/// Venues of each name at once: mostly they wait.
const COPIES: usize = 2;

/// How many losses of each kind a long run makes; `None` in a short one.
fn deep() -> Option<usize> {
    std::env::var("BOT4_OUTAGES").ok().and_then(|n| n.parse().ok())
}

/// Times by kind of loss, of all venues.
#[derive(Default)]
struct Times(Mutex<BTreeMap<&'static str, Vec<Nanos>>>);

impl Times {
    fn add(&self, times: Vec<(&'static str, Nanos)>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.into_iter().for_each(|(kind, time)| all.entry(kind).or_default().push(time));
    }

    /// How many losses of a kind there were.
    fn count(&self, kind: &str) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(kind).map_or(0, Vec::len)
    }

    /// Prints one row a kind. Returns the longest time of all.
    fn table(&self, what: &str) -> Nanos {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        println!("{:<24} {:>6} {:>8} {:>8} {:>8}", what, "losses", "p50 ms", "p99 ms", "max ms");
        let mut longest = Nanos::ZERO;
        for (kind, times) in all.iter_mut() {
            times.sort();
            let at = |p: usize| times[(times.len() * p / 100).min(times.len() - 1)].millis();
            let (n, max) = (times.len(), at(100));
            println!("{kind:<24} {n:>6} {:>8} {:>8} {max:>8}", at(50), at(99));
            longest = longest.max(times[n - 1]);
        }
        longest
    }
}

/// Strikes and waits until all books are live again: how long since the venue could be reached
/// again. That is the strike itself where only a connection is lost (noticing it counts), the end
/// of an outage, and the moment of the cut where it was announced or not.
fn strike(command: &str, observer: &mut Observer, control: &mut ControlLine) -> Nanos {
    let count = |o: &Observer, what| o.count("wire.", what);
    let (downs, notices) = (count(observer, "line_downs"), count(observer, "shutdown_notices"));
    let handovers = count(observer, "handovers");
    control.say(command);
    let at_once = !command.contains(' ') || command.starts_with("close");
    let mut back = at_once.then(|| observer.clock.now());
    observer.until(command, 80, |o| {
        while let Some(news) = control.hear() {
            if news.get("back").is_some() {
                back = Some(o.clock.now());
            }
        }
        let down = count(o, "line_downs") > downs;
        if command.starts_with("retire") && (down || count(o, "handovers") > handovers) {
            back.get_or_insert(o.clock.now());
        }
        back.is_some() && (down || count(o, "handovers") > handovers)
    });
    if count(observer, "shutdown_notices") > notices {
        assert_eq!(count(observer, "line_downs"), downs, "{command}: announced, so replaced");
    }
    observer.until("live again", 15, |o| o.all_live());
    observer.clock.now().since(back.unwrap_or(Nanos::ZERO))
}

/// A strike by `command` at books that are live. One during which this machine stopped the
/// observer says nothing about the engine when it took too long: it is made again.
fn fair_strike(command: &str, observer: &mut Observer, control: &mut ControlLine) -> Nanos {
    loop {
        observer.until("live before the loss", 15, |o| o.all_live());
        observer::gap();
        let time = strike(command, observer, control);
        let gap = observer::gap();
        if time < BACK_WITHIN || gap < observer::STARVED_AFTER {
            return time;
        }
        println!("{command}: this machine stopped the observer for {} ms: again", gap.millis());
        observer.turn_for(SPARED_MS);
    }
}

/// What strikes one pair of venue and observer: every kind `each` times in turn from `first` on,
/// and between them outages of these `lengths`.
fn strikes(each: usize, first: usize, lengths: &[&str]) -> Vec<(String, &'static str)> {
    let of = |i: usize| (KINDS[i % KINDS.len()].0.to_owned(), KINDS[i % KINDS.len()].1);
    let mut all: Vec<_> = (first..first + each * KINDS.len()).map(of).collect();
    let apart = all.len().div_ceil(lengths.len().max(1));
    for (i, length) in lengths.iter().enumerate().rev() {
        all.insert((i * apart + apart / 2).min(all.len()), (format!("outage {length}"), "outage"));
    }
    all
}

/// These strikes at `venue`.
fn torment(
    venue: Venue,
    symbols: [&str; 2],
    strikes: &[(String, &'static str)],
    pause_ms: u64,
    seed: u64,
) -> Vec<(&'static str, Nanos)> {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = started(bot4(state.path()).args(["venue", "--venue", venue.name()]));
    let options = Options { seed, ..Options::default() };
    let mut observer = Observer::new(venue, &endpoints, &symbols, &options);
    let mut control = ControlLine::new(&endpoints);
    let mut rng = SplitMix64::new(seed);
    let mut times = Vec::new();
    for (command, kind) in strikes {
        observer.until("live", 15, |o| o.all_live());
        observer.turn_for(pause_ms + rng.below(300));
        let time = fair_strike(command, &mut observer, &mut control);
        if time >= BACK_WITHIN {
            println!("{} {command}: {} ms", venue.name(), time.millis());
        }
        times.push((*kind, time));
    }
    let of_books = |name| observer.count("book.", name);
    assert_eq!((of_books("gaps"), of_books("checksums_bad")), (0, 0), "{}", venue.name());
    let allowed = venue.market_session(0).expect("in the build").limits().connects_per_5min;
    let most = observer.connects_in_5min();
    let name = venue.name();
    println!("{name}: {} losses, {most} connects in 5 min of {allowed}", times.len());
    assert!(most <= allowed as usize, "{name}: {most} connects in 5 min, {allowed} allowed");
    times
}

#[test]
fn books_are_live_again_within_five_seconds_of_the_venue() {
    let pairs = (0..COPIES).flat_map(|copy| venues().into_iter().map(move |v| (v, copy)));
    let pairs: Vec<_> = pairs.collect();
    let each = deep().map_or(1, |each| each.div_ceil(pairs.len()));
    let pause_ms = if deep().is_some() { SPARED_MS } else { PROVEN_MS };
    let times = Times::default();
    let failed = at_each(pairs, |((venue, symbols), copy)| {
        let seed = venue as u64 * 5 + copy as u64 * 3;
        let strikes = match deep() {
            Some(_) => strikes(each, seed as usize, &LENGTHS),
            // A short run shares one list between the copies.
            None => {
                let length = &SHORT_LENGTHS[venue as usize % SHORT_LENGTHS.len()];
                let all = strikes(each, venue as usize * 5, core::slice::from_ref(length));
                all.into_iter().skip(copy).step_by(COPIES).collect()
            }
        };
        times.add(torment(venue, symbols, &strikes, pause_ms, seed));
    });
    let longest = times.table("all venues");
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(longest < BACK_WITHIN, "{} ms", longest.millis());
    for (_, kind) in KINDS {
        assert!(times.count(kind) >= deep().unwrap_or(2), "{kind}: {}", times.count(kind));
    }
}

/// Connections are replaced before the venue ends them for their age, while the market goes on:
/// the books are live at every moment, nothing is missing and nothing starts over.
fn renewed(venue: Venue, symbols: [&str; 2], renewals: u64) -> Nanos {
    let state = tempfile::tempdir().expect("a folder");
    let command = ["venue", "--life", LIFE, "--venue", venue.name()];
    let (_venue, endpoints) = started(bot4(state.path()).args(command));
    // Whether the touch comes near the cut of a snapshot is the market's affair.
    let options = Options { life: RENEWED_AFTER, horizon: false, ..Options::default() };
    let mut observer = Observer::new(venue, &endpoints, &symbols, &options);
    observer.until("live", 15, |o| o.all_live());
    let snapshots = observer.count("book.", "snapshots");
    let (mut live_at, mut longest) = (observer.clock.now(), Nanos::ZERO);
    observer.until("handovers", 60 + 20 * renewals, |o| {
        let now = o.clock.now();
        if o.all_live() {
            live_at = now;
        }
        longest = longest.max(now.since(live_at));
        o.count("wire.", "handovers") >= renewals
    });
    let name = venue.name();
    let count = |what| observer.count("book.", what);
    let told = ["gaps", "resyncs", "crossed", "horizons", "damaged", "overflows", "checksums_bad"];
    let told = told.map(|what| (what, count(what)));
    assert_eq!((count("gaps"), count("resyncs"), count("checksums_bad")), (0, 0, 0), "{told:?}");
    assert_eq!((observer.count("wire.", "line_downs"), count("crossed")), (0, 0), "{name}");
    assert_eq!(longest, Nanos::ZERO, "{name}: a book was not live");
    let streamed = venue.rules().snapshots == bot4_types::SnapshotSource::Streamed;
    if !streamed {
        assert_eq!(count("snapshots"), snapshots, "{name}: no snapshot was needed");
    }
    longest
}

/// The end by age comes unexpected: an ordinary loss.
fn cut(venue: Venue, symbols: [&str; 2]) -> Nanos {
    let state = tempfile::tempdir().expect("a folder");
    let command = ["venue", "--life", "3s", "--venue", venue.name()];
    let (_venue, endpoints) = started(bot4(state.path()).args(command));
    let mut observer = Observer::new(venue, &endpoints, &symbols, &Options::default());
    observer.until("live", 15, |o| o.all_live());
    observer.until("the cut", 10, |o| o.count("wire.", "line_downs") > 0);
    let at = observer.clock.now();
    observer.until("live again", 15, |o| o.all_live());
    observer.clock.now().since(at)
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

/// Runs `test` with each of `all` at the same time. Returns what failed.
fn at_each<T: Copy + Debug + Send>(all: Vec<T>, test: impl Fn(T) + Sync) -> Vec<String> {
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for one in all {
            let (failed, test) = (&failed, AssertUnwindSafe(&test));
            scope.spawn(move || {
                let run = move || observer::unstarved(&format!("{one:?}"), || test(one));
                if let Err(e) = std::panic::catch_unwind(AssertUnwindSafe(run)) {
                    let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
                    failed.lock().expect("unpoisoned").push(text);
                }
            });
        }
    });
    failed.into_inner().expect("unpoisoned")
}

#[test]
fn planned_renewals_cost_nothing() {
    let renewals = deep().map_or(2, |each| each.div_ceil(venues().len()) as u64);
    let times = Times::default();
    let failed = at_each(venues(), |(venue, symbols)| {
        let unexpected = ("24 h cut, unexpected", cut(venue, symbols));
        let planned = ("24 h cut, planned for", renewed(venue, symbols, renewals));
        times.add(vec![unexpected]);
        times.add(vec![planned; renewals as usize]);
    });
    let longest = times.table("all venues");
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(longest < BACK_WITHIN, "{} ms", longest.millis());
}

#[test]
fn the_loss_of_one_of_two_lines_is_not_noticed() {
    let merged = venues().into_iter().filter(|(v, _)| v.rules().is_mergeable());
    let failed = at_each(merged.collect(), |(venue, symbols)| doubled(venue, symbols));
    assert!(failed.is_empty(), "{failed:#?}");
}
