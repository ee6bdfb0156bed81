//! The recordings beside the project: whose they are, their files, and what an independent rebuild
//! of their books says.

use std::path::PathBuf;

use bot4_venues::Venue;
use serde_json::Value;

/// Whose a folder is, by the first letters of its name; the longer ones first.
const VENUES: [(&str, Venue); 6] = [
    ("binance_usdm", Venue::BinanceUsdm),
    ("binance", Venue::Binance),
    ("kraken", Venue::Kraken),
    ("bybit", Venue::Bybit),
    ("okx", Venue::Okx),
    ("coinbase", Venue::Coinbase),
];

/// One recording.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub name: String,
    pub venue: Venue,
    /// In order, one stream.
    pub files: Vec<PathBuf>,
    /// Requested snapshots that are not in the stream.
    pub snapshots: Option<PathBuf>,
    /// `expected.json`.
    pub expected: Value,
}

/// Every recording of a venue of the build whose books are known; none where the folder is missing.
pub fn all() -> Vec<Recorded> {
    let Some(root) = super::recordings() else { return Vec::new() };
    let folders = std::fs::read_dir(root).expect("a folder").flatten().map(|entry| entry.path());
    let mut all: Vec<Recorded> = folders.filter_map(recorded).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() >= 10, "{all:?}");
    all
}

fn recorded(folder: PathBuf) -> Option<Recorded> {
    let name = folder.file_name()?.to_str()?.to_owned();
    let (_, venue) = VENUES.into_iter().find(|(head, _)| name.starts_with(head))?;
    let text = std::fs::read_to_string(folder.join("expected.json")).ok()?;
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let rest = folder.join("rest.jsonl.gz");
    let snapshots = rest.exists().then_some(rest);
    let is_stream = |path: &PathBuf| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        !name.ends_with(".md") && !name.ends_with(".json") && Some(path) != snapshots.as_ref()
    };
    let entries = std::fs::read_dir(&folder).expect("a folder").flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).filter(is_stream).collect();
    files.sort();
    Some(Recorded { name, venue, files, snapshots, expected })
}

impl Recorded {
    /// What is expected of each book: `(symbol, facts)`; no symbol where there is only one.
    pub fn facts(&self) -> Vec<(Option<String>, Value)> {
        let all = &self.expected;
        if let Some(list) = all.as_array() {
            let named = |v: &Value| (v["symbol"].as_str().map(str::to_owned), v.clone());
            return list.iter().map(named).collect();
        }
        if all["final"].is_object() {
            return vec![(None, all["final"].clone())];
        }
        if all["best_bid"].is_array() {
            return vec![(None, all.clone())];
        }
        let books = all["books"].as_object().or_else(|| all.as_object()).expect("books");
        let symbol = |key: &str| key.rsplit('.').next().map(str::to_owned);
        books.iter().map(|(key, facts)| (symbol(key), facts.clone())).collect()
    }
}

/// The same number, with as many zeros behind it as you like.
pub fn is_same(text: &Value, want: &Value) -> bool {
    let plain = |v: &Value| -> Option<String> {
        let text = v.as_str()?;
        let cut = if text.contains('.') { text.trim_end_matches('0') } else { text };
        Some(cut.trim_end_matches('.').to_owned())
    };
    plain(text).is_some() && plain(text) == plain(want)
}
