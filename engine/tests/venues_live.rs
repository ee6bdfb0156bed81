//! Every venue of the build, live: its simulated market observed by the whole program, and its
//! recordings served verbatim over TLS through a proxy that splits and merges segments, which must
//! give the books that the same recording gives offline.

mod common;
mod observer;

use std::net::SocketAddr;
use std::path::Path;

use bot4::offline::{Pump, Recording};
use bot4_book::{BookSummary, Ladder};
use bot4_types::{BookState, Instrument, Nanos, Side, SnapshotSource};
use bot4_venues::Venue;
use common::recorded::{self, Recorded};
use common::{Killed, bot4, number, output, report, side_by_side, started, stderr};
use observer::{Observer, Options, proxy, venues};
use serde_json::Value;

/// A configuration that observes the venue with these endpoints.
fn config(venue: Venue, endpoints: &Value, symbols: &[&str], lines: usize) -> String {
    let hosts = ["market", "api", "rest", "ca"]
        .into_iter()
        .filter_map(|key| endpoints[key].as_str().map(|value| format!("{key} = \"{value}\"\n")));
    format!(
        "[run]\nfor = \"3s\"\nlanes = 2\n\n[venue]\nname = \"{}\"\nmode = \"observe\"\n\
         symbols = {symbols:?}\nlines = {lines}\nrefresh = \"1s\"\n{}\
         [journal]\nstall_max = \"30s\"\n",
        venue.name(),
        hosts.collect::<String>()
    )
}

/// A lane that did not get its CPU for this long, and neither did the venue: the run is made
/// again. What it was promised does not hold on such a machine.
const STARVED_AFTER_NS: u64 = 500_000_000;

/// Observes by the configuration `toml`: the report and what was said on stderr.
fn observed(name: &str, state: &Path, toml: &Path) -> (Value, String) {
    let file = state.join("report.json");
    for attempt in 0.. {
        let out =
            output(bot4(state).args(["run", "--config"]).arg(toml).arg("--report").arg(&file));
        let errors = stderr(&out);
        assert_eq!(out.status.code(), Some(0), "{name}: {errors}");
        let report = report(&file);
        let lanes = report["lanes"].as_array().expect("lanes");
        let gap_ns = lanes.iter().filter_map(|l| l["gap_ns_max"].as_u64()).max().unwrap_or(0);
        if gap_ns < STARVED_AFTER_NS || attempt == 3 {
            return (report, errors);
        }
        println!("{name}: a lane waited {} ms for its CPU: once more", gap_ns / 1_000_000);
    }
    unreachable!("the last attempt returns")
}

/// What must hold of every observed run.
fn check(name: &str, report: &Value, symbols: usize) {
    let books = report["books"].as_array().expect("books");
    assert_eq!(books.len(), symbols, "{name}");
    for book in books {
        assert_eq!(book["state"], "live", "{name}: {book}");
        assert!(number(book, "/applied") > 10, "{name}: {book}");
        assert_eq!((number(book, "/gaps"), number(book, "/crossed")), (0, 0), "{name}: {book}");
        assert_eq!(book["checksums_bad"].as_u64().unwrap_or(0), 0, "{name}: {book}");
    }
    assert!(number(report, "/market/messages") > 50, "{name}: {report}");
    assert_eq!(number(report, "/orders/sent"), 0, "{name}");
    assert_eq!(number(report, "/hot_allocations"), 0, "{name}");
}

/// Observes `venue` by one line, and by two where its streams can be merged.
fn each_line(venue: Venue, symbols: &[&str]) {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = started(bot4(state.path()).args(["venue", "--venue", venue.name()]));
    for lines in 1..=(1 + usize::from(venue.rules().is_mergeable())) {
        let toml = state.path().join("observe.toml");
        std::fs::write(&toml, config(venue, &endpoints, symbols, lines)).expect("written");
        let (report, errors) = observed(venue.name(), state.path(), &toml);
        assert!(!errors.contains("venue changed"), "instruments are as they were: {errors}");
        check(venue.name(), &report, symbols.len());
    }
}

#[test]
fn every_venue_is_observed_by_one_line_or_two() {
    side_by_side(venues(), 2, |(venue, symbols)| each_line(venue, &symbols));
}

#[test]
fn an_embedded_venue_is_observed_without_any_host() {
    let state = tempfile::tempdir().expect("a folder");
    let toml = state.path().join("observe.toml");
    let text = "[run]\nfor = \"3s\"\nlanes = 1\n[venue]\nname = \"binance\"\nmode = \"observe\"\n\
                embedded = true\nsymbols = [\"BTCUSDT\", \"ETHUSDT\", \"SOLUSDT\"]\n\
                [[shard]]\nsymbols = [\"BTCUSDT\"]\nwire = 1\nbook = 1\n\
                [journal]\nstall_max = \"30s\"\n";
    std::fs::write(&toml, text).expect("written");
    let (report, _) = observed("binance", state.path(), &toml);
    check("binance", &report, 3);
}

/// The books that the recording gives offline, in the order of its table.
fn offline(recorded: &Recorded) -> (Recording, Pump) {
    let (venue, files) = (recorded.venue, &recorded.files);
    let recording =
        Recording::read(venue, files, recorded.snapshots.as_deref(), None).expect("readable");
    let mut pump = Pump::new(&recording, 0).expect("a pump");
    recording.play(|message| pump.feed(message)).expect("readable");
    pump.settle().expect("no fault");
    (recording, pump)
}

/// A side's levels, best first, in units of 10^-18.
fn levels(ladder: &Ladder, side: Side, of: &Instrument) -> Vec<[i128; 2]> {
    let unit = |decimals: u8| 10i128.pow(18 - u32::from(decimals));
    let (price, qty) = (unit(of.price_decimals), unit(of.qty_decimals));
    ladder.iter(side).map(|l| [i128::from(l.price) * price, i128::from(l.qty) * qty]).collect()
}

/// Where a snapshot was cut, its levels are known up to here: three quarters of the most.
fn known_to(observer: &Observer, at: usize, side: Side, cut: usize) -> Option<i128> {
    let of = observer.table.all()[at];
    let levels = levels(observer.book.ladder(of.id).expect("a book"), side, &of);
    let sure = cut / 4 * 3;
    (cut > 0 && levels.len() >= sure).then(|| levels[sure - 1][0])
}

/// Starts `recorded` at `speed` in a venue of its own behind a proxy, and an observer of all its
/// books.
fn serve(
    recorded: &Recorded,
    recording: &Recording,
    speed: &str,
    state: &Path,
) -> (Killed, Observer) {
    let mut command = bot4(state);
    command.args(["venue", "--venue", recorded.venue.name(), "--speed", speed, "--market"]);
    command.args(&recorded.files);
    if let Some(path) = &recorded.snapshots {
        command.arg("--snapshots").arg(path);
    }
    let (child, endpoints) = started(&mut command);
    let market = endpoints["market"].as_str().expect("a URL").trim_start_matches("wss://");
    let address: SocketAddr =
        market.split('/').next().unwrap_or_default().parse().expect("an address");
    // A table to trade with multiplies price and quantity exactly: 16 digits together. What was
    // recorded with more is observed all the same.
    let fits = |i: &Instrument| i.price_decimals + i.qty_decimals <= 16;
    let table = (!recording.table().all().iter().all(fits)).then(|| recording.table().clone());
    let options = Options {
        port: Some(proxy::start(address, 11)),
        horizon: false,
        table,
        depth: (recorded.venue == Venue::Kraken).then(|| recording.depth_max()),
        ..Options::default()
    };
    let symbols = recording.symbols();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let observer = Observer::new(recorded.venue, &endpoints, &symbols, &options);
    (child, observer)
}

/// Serves a recording and compares every level of every book at its end with those offline. A
/// machine that cannot keep up with `speed` loses the connection, and rightly: half as fast then.
fn served(recorded: &Recorded, mut speed: f64) {
    while !kept_up(recorded, &speed.to_string()) {
        speed /= 2.0;
        println!("{}: this machine is too slow: again at {speed}", recorded.name);
        assert!(speed >= 1.0, "{}: it cannot keep up with the market itself", recorded.name);
    }
}

/// One try at `speed`; false when a connection was lost on the way.
fn kept_up(recorded: &Recorded, speed: &str) -> bool {
    let (name, venue) = (&recorded.name, recorded.venue);
    let (recording, pump) = offline(recorded);
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, mut observer) = serve(recorded, &recording, speed, state.path());
    let count = recording.table().all().len();
    let streamed = venue.rules().snapshots == SnapshotSource::Streamed;
    let cut = venue.rules().snapshot_levels;
    let mut known: Vec<Option<[Option<i128>; 2]>> = vec![None; count];
    let (mut seen, mut quiet_since) = (0, observer.clock.now());
    observer.until("the end of the recording", 240, |o| {
        // Heartbeats go on.
        let levels = o.count("book.", "levels");
        if levels != seen {
            (seen, quiet_since) = (levels, o.clock.now());
        }
        for (at, known) in known.iter_mut().enumerate().filter(|(_, known)| known.is_none()) {
            let id = o.table.all()[at].id;
            if o.book.state(id) == Some(BookState::Live) {
                *known = Some([Side::Buy, Side::Sell].map(|side| known_to(o, at, side, cut)));
            }
        }
        o.all_live() && o.clock.now().since(quiet_since) > Nanos::from_secs(4)
    });
    if observer.count("wire.", "line_downs") > 0 {
        return false;
    }
    let (offline, live) = (pump.summaries(), observer.summaries());
    let mut compared = 0;
    for (at, (want, book)) in offline.iter().zip(&live).enumerate() {
        assert_eq!(want.symbol, book.symbol, "{name}");
        let of = [recording.table().all()[at], observer.table.all()[at]];
        let ladders = [pump.books().ladder(of[0].id), observer.book.ladder(of[1].id)];
        let [want_ladder, ladder] = ladders.map(|ladder| ladder.expect("a book"));
        for (n, side) in [Side::Buy, Side::Sell].into_iter().enumerate() {
            let sure = known[at].and_then(|known| known[n]);
            let within = |l: &[i128; 2]| match (sure, side) {
                (None, _) => true,
                (Some(edge), Side::Buy) => l[0] >= edge,
                (Some(edge), Side::Sell) => l[0] <= edge,
            };
            let part = |mut levels: Vec<[i128; 2]>| {
                levels.retain(within);
                levels
            };
            let wanted = part(levels(want_ladder, side, &of[0]));
            let got = part(levels(ladder, side, &of[1]));
            let lacks = wanted.iter().filter(|l| !got.contains(l)).count();
            let first = got.iter().zip(&wanted).position(|(a, b)| a != b);
            let told = first.map(|i| (i, got[i], wanted[i]));
            assert!(
                got == wanted,
                "{name} {} {side:?} down to {sure:?}: {} levels, not {}, {lacks} are not there; \
                 first other one: {told:?}",
                book.symbol,
                got.len(),
                wanted.len()
            );
            compared += got.len();
        }
        check_numbers(name, want, book, streamed, venue.rules().is_mergeable());
    }
    println!("{name}: {count} books, {compared} levels equal, {seen} levels received");
    true
}

/// What is counted on the way agrees as well.
fn check_numbers(
    name: &str,
    want: &BookSummary,
    book: &BookSummary,
    streamed: bool,
    numbered: bool,
) {
    let of = |s: &BookSummary| (s.gaps, s.resyncs, s.crossed, s.checksums_bad);
    assert_eq!((book.state, of(book)), ("live", of(want)), "{name}: {book:?}");
    if numbered {
        assert_eq!(book.final_update_id, want.final_update_id, "{name}: {book:?}");
    }
    if streamed {
        let of = |s: &BookSummary| (s.applied, s.checksums_ok);
        assert_eq!(of(book), of(want), "{name}: {book:?}");
    }
}

/// How much faster than recorded each is served: some seconds for all of them.
fn speed_of(name: &str) -> f64 {
    match name {
        "binance_spot_btcusdt_20240808" => 60.0,
        "binance_usdm_btcusdt_20240808" => 30.0,
        "coinbase_at_20260809" | "okx_v5_btcusdt_20220513" => 4.0,
        _ => 10.0,
    }
}

/// Recordings that are served at the same time: mostly they wait.
const AT_ONCE: usize = 3;

#[test]
fn recordings_served_over_tls_give_the_books_they_give_offline() {
    let slower = std::env::var("BOT4_SERVED_SPEED").ok();
    let slower = slower.map(|speed| speed.parse::<f64>().expect("a factor"));
    side_by_side(recorded::all(), AT_ONCE, |recorded| {
        let speed = slower.unwrap_or_else(|| speed_of(&recorded.name));
        observer::unstarved(&recorded.name, || served(&recorded, speed));
    });
}
