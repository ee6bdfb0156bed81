//! The page on adding a venue holds: its paths exist, and every venue of the registry has what it
//! asks for.

mod common;

use std::path::{Path, PathBuf};

use bot4_venues::{Decoded, Ignored, Notice, Venue};
use common::Bench;
use common::dialect::Dialect;

const PAGE: &str = include_str!("../ADDING.md");

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(here().join(path)).expect(path)
}

/// Texts in backquotes that look like paths.
fn paths() -> Vec<&'static str> {
    let quoted = PAGE.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains('/') && !text.contains(char::is_whitespace)).collect()
}

#[test]
fn every_path_on_the_page_exists() {
    let paths = paths();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        // Of every venue, here one that takes orders.
        assert!(here().join(path.replace("VENUE", "bybit")).exists(), "{path}");
    }
}

/// A venue's folder, the files that a second market of the same venue adds, and its test.
fn home(venue: Venue) -> (&'static str, &'static [&'static str], &'static str) {
    match venue {
        Venue::Binance => ("binance", &[], "recordings"),
        Venue::BinanceUsdm => ("binance", &["usdm.rs", "usdm_instruments.rs"], "usdm"),
        Venue::Kraken => ("kraken", &[], "kraken"),
        Venue::Bybit | Venue::BybitLinear => ("bybit", &[], "bybit"),
        Venue::Okx => ("okx", &[], "okx"),
        Venue::Coinbase => ("coinbase", &[], "coinbase"),
    }
}

/// The table of files as the page has it.
fn files() -> Vec<&'static str> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|line| line.split('`').nth(1)).collect()
}

#[test]
fn every_venue_has_its_files_lines_and_tests() {
    let files = files();
    assert_eq!(files.len(), 5, "{files:?}");
    let (registry, fuzz, corpus) =
        (read("src/registry.rs"), read("tests/fuzz.rs"), read("tests/common/corpus.rs"));
    for venue in Venue::ALL.into_iter().filter(|venue| venue.is_in_build()) {
        let (folder, more, test) = home(venue);
        for file in files.iter().chain(more) {
            let path = format!("src/{folder}/{file}");
            let text = read(&path);
            assert!(text.starts_with("//! ") && text.lines().count() <= 600, "{path}");
        }
        assert!(here().join(format!("tests/{test}.rs")).exists(), "{test}");
        let variant = format!("Venue::{venue:?}");
        assert!(fuzz.contains(&format!("fuzz({variant})")), "{variant} in the fuzzer");
        assert!(corpus.contains(&variant), "{variant} in the corpus");
        let arms = registry.matches(&format!("Self::{venue:?}")).count();
        assert!(arms >= 7, "{variant}: {arms} places in the registry");
    }
}

/// The venue that was made by the page alone has all that the page asks for, and no more than the
/// crate gives to anybody; what it does is the business of the rules that bind every venue.
#[test]
fn the_venue_made_by_the_page_has_what_the_page_asks_for() {
    let mut found: Vec<String> = std::fs::read_dir(here().join("tests/toy"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let mut wanted: Vec<String> = files().into_iter().map(str::to_owned).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    for file in wanted {
        let text = read(&format!("tests/toy/{file}"));
        assert!(text.starts_with("//! ") && !text.contains("crate::"), "{file}");
    }
    let corpus = common::corpus::all();
    let toy = corpus.iter().find(|c| c.venue == Dialect::Toy).expect("bound by the rules");
    assert!(toy.lines.len() >= 10);
}

/// Each golden line of that venue in words, as the page asks of every venue's own test.
#[test]
fn the_venue_made_by_the_page_reads_its_messages() {
    let corpus = common::corpus::all();
    let toy = corpus.iter().find(|c| c.venue == Dialect::Toy).expect("bound by the rules");
    let mut bench = Bench::new(Dialect::Toy, &toy.table);
    let told: Vec<_> = toy.texts().map(|text| bench.both(text, 0)).collect();
    let expected = [
        "0 1770000000100 snapshot 7 None 2/1 [(61000100, 50000000), (61000000, 1250000000), (61000200, 400000000)]",
        "0 1770000000200 depth 0:8..8 None 1/2 [(61000000, 0), (61000250, 100000), (61000200, 100000000)]",
        "1 1770000000300 snapshot 1 None 0/0 []",
        "0 1770000000301 trade 90001 61000200 2000000 Buy",
        "1 1770000000302 trade 7 300010 30000 Sell",
        "0 1770000000400 depth 0:9..9 None 1/0 [(61000100, 75000000)]",
    ];
    for (outcome, text) in told.iter().zip(expected) {
        assert_eq!(outcome, &(Ok(Decoded::Events), vec![text.to_owned()]));
    }
    let quiet: Vec<_> = told[expected.len()..].iter().map(|o| o.0).collect();
    let wanted = [
        Decoded::Ignored(Ignored::Heartbeat),
        Decoded::Ignored(Ignored::ControlAnswer),
        Decoded::Notice(Notice::ControlRefused(4)),
        Decoded::Notice(Notice::ServerShutdown),
    ];
    assert_eq!(quiet, wanted.map(Ok));
    // The five usual books and trades need no general reader.
    assert_eq!(bench.fast.fallbacks(), toy.lines.len() as u64 - 5);
    let suspect = |text: &str| bench.fast.suspect(text.as_bytes()).map(|id| id.0);
    assert_eq!(suspect(r#"{"t":"book","s":"ETH-USD","n""#), Some(1));
    assert_eq!(suspect(r#"{"t":"trade","s":"ETH-USD","id""#), None);
    let list = br#"{"pairs":[{"s":"BTC-USD","base":"BTC","quote":"USD","tick":"0.1","lot":"0.001","on":"yes"}]}"#;
    let table = Dialect::Toy.catalogue(&[list.to_vec()], &["BTC-USD"]).expect("a list").table;
    let btc = &table.all()[0];
    assert_eq!((btc.price_decimals, btc.qty_decimals, btc.tick, btc.lot), (3, 5, 100, 100));
}
