//! Every venue of the build, live: its simulated market observed by the whole program, and its
//! recordings served verbatim over TLS through a proxy that splits and merges segments, which must
//! give the books that the same recording gives offline.

mod common;
mod observer;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bot4_types::{Level, Nanos, Side};
use bot4_venues::Venue;
use common::{bot4, number, output, recordings, report, started, stderr};
use observer::{Observer, Options, proxy, venues};
use serde_json::Value;

/// One engine at a time: two CPUs must be enough.
static ONE: Mutex<()> = Mutex::new(());

/// A configuration that observes the venue with these endpoints.
fn config(venue: Venue, endpoints: &Value, symbols: &[&str], lines: usize) -> String {
    let hosts = ["market", "api", "rest", "ca"]
        .into_iter()
        .filter_map(|key| endpoints[key].as_str().map(|value| format!("{key} = \"{value}\"\n")));
    format!(
        "[run]\nfor = \"4s\"\nlanes = 2\n\n[venue]\nname = \"{}\"\nmode = \"observe\"\n\
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

#[test]
fn every_venue_is_observed_by_one_line_or_two() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (venue, symbols) in venues() {
        let state = tempfile::tempdir().expect("a folder");
        let (_venue, endpoints) =
            started(bot4(state.path()).args(["venue", "--venue", venue.name()]));
        for lines in 1..=(1 + usize::from(venue.rules().is_mergeable())) {
            let toml = state.path().join("observe.toml");
            std::fs::write(&toml, config(venue, &endpoints, &symbols, lines)).expect("written");
            let (report, errors) = observed(venue.name(), state.path(), &toml);
            assert!(!errors.contains("warning: the"), "instruments are as they were: {errors}");
            check(venue.name(), &report, symbols.len());
        }
    }
}

#[test]
fn an_embedded_venue_is_observed_without_any_host() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
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

/// The books of `bot4 book` over `file`, by symbol.
fn offline(venue: Venue, file: &Path) -> Vec<Value> {
    let state = tempfile::tempdir().expect("a folder");
    let out =
        output(bot4(state.path()).args(["book", "--json", "--venue", venue.name()]).arg(file));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Digits behind the point of the best bid's price or quantity.
fn digits(book: &Value, part: usize) -> usize {
    let text = book["best_bid"][part].as_str().unwrap_or_default();
    text.split_once('.').map_or(0, |(_, digits)| digits.len())
}

/// The sum of the observed book's first levels, written with as many digits as offline, where no
/// list of instruments says how many there are.
fn top20_crc32(observer: &Observer, place: usize, wanted: &Value) -> u32 {
    let instrument = observer.table.all()[place];
    let ladder = observer.book.ladder(instrument.id).expect("a book");
    let written = |units: i64, decimals: u8, digits: usize| {
        let one = 10i64.pow(u32::from(decimals));
        let fraction = format!("{:0width$}", units % one, width = usize::from(decimals));
        let whole = units / one;
        if digits == 0 { whole.to_string() } else { format!("{whole}.{:.digits$}", fraction) }
    };
    let side = |side| {
        let mut levels = [Level::default(); 20];
        ladder.top(side, &mut levels);
        let there = levels.into_iter().filter(|l| l.qty > 0);
        let text = there.map(|l| {
            let price = written(l.price, instrument.price_decimals, digits(wanted, 0));
            let qty = written(l.qty, instrument.qty_decimals, digits(wanted, 1));
            format!("{price}:{qty}")
        });
        text.collect::<Vec<_>>().join("|")
    };
    let mut sum = flate2::Crc::new();
    sum.update(format!("{}#{}", side(Side::Buy), side(Side::Sell)).as_bytes());
    sum.sum()
}

/// Serves `file` at `speed` through a proxy and compares the books at its end with those offline.
fn served(venue: Venue, file: &Path, speed: &str) {
    // A live table multiplies price and quantity exactly: 16 digits together.
    let fits = |b: &Value| b["state"] == "live" && digits(b, 0) + digits(b, 1) <= 16;
    let expected: Vec<Value> = offline(venue, file).into_iter().filter(fits).collect();
    assert!(!expected.is_empty(), "{}", file.display());
    let symbols: Vec<&str> = expected.iter().filter_map(|b| b["symbol"].as_str()).collect();
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = started(
        bot4(state.path())
            .args(["venue", "--venue", venue.name(), "--speed", speed, "--market"])
            .arg(file),
    );
    let market = endpoints["market"].as_str().expect("a URL").trim_start_matches("wss://");
    let address: SocketAddr =
        market.split('/').next().unwrap_or_default().parse().expect("an address");
    let port = Some(proxy::start(address, 11));
    let options = Options { port, horizon: false, ..Options::default() };
    let mut observer = Observer::new(venue, &endpoints, &symbols, &options);
    let (mut seen, mut quiet_since) = (0, observer.clock.now());
    observer.until("the end of the recording", 120, |o| {
        // Heartbeats go on.
        let levels = o.count("book.", "levels");
        if levels != seen {
            (seen, quiet_since) = (levels, o.clock.now());
        }
        o.all_live() && o.clock.now().since(quiet_since) > Nanos::from_secs(4)
    });
    for (i, (wanted, book)) in expected.iter().zip(observer.summaries()).enumerate() {
        let crc = top20_crc32(&observer, i, wanted);
        // Without numbers of its own a book shows the connection's, which are not the recording's.
        let numbered = venue.rules().is_mergeable();
        let id_of = |id: Option<u64>| id.filter(|_| numbered);
        let found = (book.symbol.as_str(), id_of(book.final_update_id), u64::from(crc));
        let id = id_of(wanted["final_update_id"].as_u64());
        let name = wanted["symbol"].as_str().unwrap_or_default();
        let crc = wanted["top20_crc32"].as_u64().expect("a sum");
        assert_eq!(found, (name, id, crc), "{}: {wanted}", file.display());
        assert_eq!((book.gaps, book.checksums_bad.unwrap_or(0)), (0, 0), "{name}");
    }
    println!("{}: {} books, {seen} levels", file.display(), expected.len());
}

#[test]
fn recordings_served_over_tls_give_the_books_they_give_offline() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(recordings) = recordings() else { return };
    for (name, file, speed) in [
        ("okx", "okx_v5_btcusdt_20220513/ws.feed.gz", "10"),
        ("bybit", "bybit_v5_spot_20260809/ws.feed.gz", "10"),
        ("coinbase", "coinbase_at_20260809/ws.feed.gz", "10"),
        ("binance", "binance_spot_btcusdt_20240808/btcusdt_20240808.gz", "100"),
        ("binance-usdm", "binance_usdm_btcusdt_20240808/btcusdt_20240808.gz", "100"),
    ] {
        let venue = Venue::from_name(name).expect("a venue");
        if venues().iter().any(|(v, _)| *v == venue) {
            let file = recordings.join(file);
            observer::unstarved(name, || served(venue, &file, speed));
        }
    }
}
