//! The shared recordings, where they are at hand.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use bot4_types::Level;
use bot4_types::text::parse_units;
use serde_json::Value;

/// A recording's folder; without shared data there is none.
pub fn recording(name: &str) -> Option<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/recordings");
    let path = Path::new(root).join(name);
    if !path.exists() {
        println!("skipped: no shared data");
        return None;
    }
    Some(path)
}

/// A file's text, unpacked.
pub fn text(path: &Path) -> String {
    let bytes = fs::read(path).expect("readable");
    if path.extension().is_none_or(|e| e != "gz") {
        return String::from_utf8(bytes).expect("UTF-8");
    }
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
    text
}

/// A message with its receive time.
pub type Stamped = (u64, Value);

/// The `<ns> <JSON>` lines of a file; bare JSON lines come with time zero.
pub fn lines(path: &Path) -> Vec<Stamped> {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let line = |line: &str| match line.split_once(' ') {
        Some((ns, body)) if ns.bytes().all(|c| c.is_ascii_digit()) => {
            (ns.parse().expect("ns"), json(body))
        }
        _ => (0, json(line)),
    };
    text(path).lines().map(line).collect()
}

/// The folder's `expected.json`.
pub fn expected(dir: &Path) -> Value {
    serde_json::from_str(&text(&dir.join("expected.json"))).expect("JSON")
}

/// A number, quoted or bare, in units. Bare ones have lost trailing zeros on the way, nothing
/// else: they have at most 15 digits.
pub fn units(value: &Value, decimals: u8) -> i64 {
    let text = match value {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.as_f64().expect("a number").to_string(),
        other => panic!("{other} is no number"),
    };
    parse_units(text.as_bytes(), decimals).expect("few enough decimals")
}

/// Levels whose price and quantity are found under `keys`.
pub fn levels<K: serde_json::value::Index + Copy>(
    list: &Value,
    keys: [K; 2],
    (price, qty): (u8, u8),
) -> Vec<Level> {
    let level =
        |l: &Value| Level { price: units(&l[keys[0]], price), qty: units(&l[keys[1]], qty) };
    list.as_array().expect("levels").iter().map(level).collect()
}
