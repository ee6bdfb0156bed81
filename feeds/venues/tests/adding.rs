//! The page on adding a venue holds: its paths exist, and every venue of the registry has what it
//! asks for.

use std::path::{Path, PathBuf};

use bot4_venues::Venue;

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
        assert!(here().join(path).exists(), "{path}");
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
