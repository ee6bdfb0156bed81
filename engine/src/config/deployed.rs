//! Tests of files laid over each other, and of those in deploy/config.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bot4_lanes::placement::{self, Cpus};

use super::value::Lanes;
use super::*;

const DEFAULT: &str = include_str!("../../../deploy/config/default.toml");
/// Tables of the file, and whether each is a list of tables.
const TABLES: [(&str, bool); 16] = [
    ("run", false),
    ("venue", false),
    ("venues", true),
    ("shard", true),
    ("instrument", true),
    ("account", false),
    ("risk", false),
    ("risk.breaker", false),
    ("risk.venue", false),
    ("risk.strategy", true),
    ("risk.instrument", true),
    ("strategy", true),
    ("journal", false),
    ("memory", false),
    ("host", false),
    ("log", false),
];

/// What serde expects in a table, from what it says of a key that nobody knows.
fn expected(table: &str, many: bool) -> BTreeSet<String> {
    let head = match (table, many) {
        ("", _) => String::new(),
        (_, true) => format!("[[{table}]]\n"),
        (_, false) => format!("[{table}]\n"),
    };
    let text = format!("{head}no_such_key = 1\n");
    let error = toml::from_str::<schema::File>(&text).expect_err(&text).message().to_owned();
    let (_, names) = error.split_once("expected").expect(&error);
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The file with every knob that is off switched on.
fn all_on() -> String {
    let on = |line: &str| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let key = bare.split(" = ").next().unwrap_or_default();
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if bare.starts_with('[') || (is_key && key.len() < bare.len()) { bare } else { line }
            .to_owned()
    };
    DEFAULT.lines().map(on).collect::<Vec<_>>().join("\n")
}

/// Keys of each table in the file, whether on or off.
fn written() -> BTreeMap<String, BTreeSet<String>> {
    let (text, mut tables) = (all_on(), BTreeMap::<String, BTreeSet<String>>::new());
    let mut table = String::new();
    for line in text.lines() {
        let code = line.split('#').next().unwrap_or_default().trim_end();
        if code.starts_with('[') && code.ends_with(']') {
            table = code.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = code.split_once(" = ") {
            tables.entry(table.clone()).or_default().insert(key.to_owned());
        }
    }
    tables
}

#[test]
fn the_default_file_has_every_key_and_no_other() {
    let tops: BTreeSet<_> = TABLES.iter().filter(|(t, _)| !t.contains('.')).collect();
    let names: BTreeSet<String> = tops.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(expected("", false), names, "the tables of this test are all there are");
    let written = written();
    let inner = ["risk.breaker", "risk.venue", "risk.strategy", "risk.instrument"];
    for (table, many) in TABLES {
        let mut keys = expected(table, many);
        // Tables within, and tables that take the keys of another one.
        keys.retain(|key| !inner.contains(&format!("{table}.{key}").as_str()));
        let own = match table {
            "venues" => "venue",
            "risk.venue" | "risk.strategy" | "risk.instrument" => {
                let rows = ["risk.venue", "risk.strategy", "risk.instrument"].iter();
                let all: BTreeSet<_> = rows.flat_map(|row| written[*row].clone()).collect();
                assert_eq!(all, keys, "[{table}]");
                continue;
            }
            own => own,
        };
        assert_eq!(written[own], keys, "[{table}]");
    }
    // Each knob that is off would be taken as it stands there.
    let text = all_on();
    if let Err(error) = toml::from_str::<schema::File>(&text) {
        panic!("{error}");
    }
}

#[test]
fn what_the_default_file_says_is_what_holds_without_it() {
    let said = parse(DEFAULT, Path::new("default.toml")).expect("accepted");
    let bare = "[venue]\nname = \"binance\"\nembedded = true\nsymbols = [\"BTCUSDT\", \"ETHUSDT\", \
                \"SOLUSDT\", \"BNBUSDT\"]\ndead_man = \"none_available\"\n[[strategy]]\nkind = \
                \"market_maker\"\n[[strategy]]\nkind = \"ema_cross\"\n";
    let unsaid = parse(bare, Path::new("bare.toml")).expect("accepted");
    let lines = |config: &Config| format!("{config:#?}").lines().map(str::to_owned).collect();
    let (said, unsaid): (Vec<String>, Vec<String>) = (lines(&said), lines(&unsaid));
    assert_eq!(said, unsaid);
}

/// The default with `overlay` of deploy/config laid over it.
fn overlaid(overlay: &str) -> Config {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config");
    load(&[dir.join("default.toml"), dir.join(overlay)]).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn each_overlay_is_placed_on_the_machine_that_it_is_for() {
    for (overlay, cpus, lanes) in
        [("dedicated-12.toml", 12, 12), ("folded-4.toml", 4, 4), ("folded-2.toml", 2, 2)]
    {
        let config = overlaid(overlay);
        assert_eq!(config.lanes, Lanes::Count(lanes), "{overlay}");
        let machine = |n: usize| Cpus { allowed: (0..n).collect(), core_of: (0..n).collect() };
        let place = |n| placement::place(lanes, &machine(n), true, config.wishes, &[]);
        let placed = place(cpus).unwrap_or_else(|e| panic!("{overlay}: {e}"));
        let own: BTreeSet<_> = placed.lanes.iter().map(|lane| lane.cpu).collect();
        assert_eq!(own.len(), lanes, "{overlay}: a CPU each");
        assert_eq!(place(2).is_err(), overlay == "dedicated-12.toml", "{overlay} on 2 CPUs");
    }
    let paper = overlaid("paper.toml");
    assert!(paper.capture && matches!(paper.venue.access, VenueAccess::Embedded));
}

/// Files with these names and texts, for as long as the folder lives.
fn files(texts: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |(name, text): &(&str, &str)| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, text).expect("written");
        path
    };
    let paths = texts.iter().map(write).collect();
    (dir, paths)
}

#[test]
fn later_files_win_key_by_key_and_lists_as_a_whole() {
    let (_dir, paths) = files(&[
        ("base.toml", DEMO),
        (
            "over.toml",
            "[run]\nseed = 7\n[venue]\nsymbols = [\"BTCUSDT\"]\n[risk.breaker]\nprobes = 9\n",
        ),
        (
            "site/last.toml",
            "run.seed = 8\n[journal]\ndir = \"j\"\n[[strategy]]\nkind = \"ema_cross\"\n",
        ),
    ]);
    let config = load(&paths).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((config.seed, config.venue.symbols.len(), config.strategies.len()), (8, 1, 1));
    assert_eq!((config.risk.breakers.probes_max, config.risk.breakers.losses_max), (9, 5));
    assert_eq!(config.length, Some(std::time::Duration::from_secs(30)));
    let dir = config.journal_dir.expect("a folder");
    assert!(dir.ends_with("site/j"), "relative to the file that names it: {}", dir.display());
}

#[test]
fn mistakes_name_the_file_the_line_and_the_order_of_files() {
    let refused = |texts: &[(&str, &str)], wanted: &[&str]| {
        let (_dir, paths) = files(texts);
        let error = load(&paths).expect_err("refused").to_string();
        for word in wanted.iter().copied().chain(["help"]) {
            assert!(error.contains(word), "`{word}` in:\n{error}");
        }
        error
    };
    let base = ("base.toml", DEMO);
    let order = "over.toml";
    refused(
        &[base, ("over.toml", "[run]\n\nsede = 1\n")],
        &["over.toml:3:", "sede", "seed", order],
    );
    refused(&[base, ("over.toml", "[run]\nseed = \"x\"\n")], &["over.toml:2:", "then"]);
    refused(&[base, ("over.toml", "[run\n")], &["over.toml:1:"]);
    refused(
        &[base, ("over.toml", "[risk]\nposition_pct = -1.0\n")],
        &["over.toml:2:", "position_pct"],
    );
    refused(&[base, ("over.toml", "risk = 3\n")], &["over.toml:1:"]);
    refused(
        &[base, ("over.toml", "risk.equity_asset = \"\"\n")],
        &["over.toml:1:", "equity_asset"],
    );
    // What an overlay leaves missing is missing there; what it makes wrong below is wrong below.
    let missing = "[venue]\nembedded = false\n";
    refused(&[base, ("over.toml", missing)], &["over.toml:1:", "market"]);
    let lines = DEMO.lines().position(|l| l.starts_with("dead_man")).expect("a line") + 1;
    let here = format!("base.toml:{lines}:");
    refused(&[base, ("over.toml", "[venue]\nname = \"okx\"\n")], &[&here, "dead_man"]);
    let alone = refused(&[("base.toml", "[run]\nsede = 1\n")], &["base.toml:2:"]);
    assert!(!alone.contains("laid over"), "{alone}");
    let gone = load(&["/nowhere/at/all.toml"]).expect_err("refused").to_string();
    assert!(gone.contains("/nowhere/at/all.toml"), "{gone}");
}
