//! A listener of any dialect over the venue's core, and an independent reading of messages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bot4_venue::store::Stored;
use bot4_venue::tape::Tape;
use bot4_venue::{Config, MarketSource, Out, Venue, dialect};
use serde_json::Value;

use super::{START_NS, credentials};

pub fn config_of(venue: &'static str) -> Config {
    let named = dialect::find(venue).unwrap();
    Config { venue, symbols: (named.symbols)(), ..Config::new(11, credentials()) }
}

pub fn taped(venue: &'static str, tape: Tape, speed_milli: u64) -> Config {
    Config { market: MarketSource::Taped { tape, speed_milli }, ..config_of(venue) }
}

/// A path below the shared folder; `None` and the word for it where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no shared data");
    None
}

/// The lines of a sample file.
pub fn sample(path: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(shared(&format!("venues/{path}"))?).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

pub struct Talker {
    pub venue: Venue,
    pub now_ns: u64,
    pub heard: BTreeMap<u64, Vec<String>>,
    pub ended: BTreeMap<u64, Out>,
}

impl Talker {
    pub fn new(config: Config) -> Self {
        let venue = Venue::new(config, Stored::default()).unwrap();
        Self { venue, now_ns: START_NS, heard: BTreeMap::new(), ended: BTreeMap::new() }
    }

    pub fn generated(venue: &'static str) -> Self {
        Self::new(config_of(venue))
    }

    pub fn open(&mut self, conn: u64, path: &str) {
        self.venue.connect(conn, path, self.now_ns).unwrap();
        self.collect();
    }

    pub fn leave(&mut self, conn: u64) {
        self.venue.disconnect(conn);
    }

    /// Says something; what was answered at once.
    pub fn say(&mut self, conn: u64, text: &str) -> Vec<String> {
        let before = self.texts(conn).len();
        self.venue.on_text(conn, text, self.now_ns);
        self.collect();
        self.texts(conn)[before..].to_vec()
    }

    pub fn advance_ms(&mut self, ms: u64) {
        self.now_ns += ms * 1_000_000;
        self.venue.tick(self.now_ns);
        self.collect();
    }

    pub fn run_ms(&mut self, ms: u64, step_ms: u64) {
        (0..ms / step_ms).for_each(|_| self.advance_ms(step_ms));
    }

    pub fn texts(&self, conn: u64) -> &[String] {
        self.heard.get(&conn).map_or(&[], Vec::as_slice)
    }

    pub fn take(&mut self, conn: u64) -> Vec<String> {
        self.heard.remove(&conn).unwrap_or_default()
    }

    /// Texts of a connection that hold this piece.
    pub fn with(&self, conn: u64, piece: &str) -> Vec<&String> {
        self.texts(conn).iter().filter(|text| text.contains(piece)).collect()
    }

    pub fn get(&mut self, path: &str) -> String {
        let page = self.venue.get(path, self.now_ns);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        page.body
    }

    fn collect(&mut self) {
        while let Some((conn, out)) = self.venue.poll_output() {
            match out {
                Out::Text(text) => self.heard.entry(conn).or_default().push(text.to_string()),
                Out::Ping(_) => self.venue.on_pong(conn, self.now_ns),
                out => {
                    self.ended.insert(conn, out);
                    self.venue.disconnect(conn);
                }
            }
        }
    }
}

pub fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Keys in order, with the kind of each value; bare numbers with their digits after the point.
/// Only the first entry of a list counts.
pub fn shape(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let rest = walk(text.trim(), "", &mut out);
    assert_eq!(rest.trim(), "", "all of {text}");
    out
}

fn walk<'a>(text: &'a str, path: &str, out: &mut Vec<String>) -> &'a str {
    match text.as_bytes()[0] {
        b'{' => {
            let mut rest = &text[1..];
            while !rest.starts_with('}') {
                let (key, after) = string(rest.trim_start_matches(','));
                rest = walk(after.strip_prefix(':').unwrap(), &format!("{path}.{key}"), out);
            }
            &rest[1..]
        }
        b'[' => {
            let (mut rest, mut first) = (&text[1..], true);
            while !rest.starts_with(']') {
                let mut ignored = Vec::new();
                let into = if first { &mut *out } else { &mut ignored };
                rest = walk(rest.trim_start_matches(','), &format!("{path}[]"), into);
                first = false;
            }
            &rest[1..]
        }
        b'"' => {
            let (word, rest) = string(text);
            let number = word.parse::<f64>().is_ok();
            out.push(format!("{path}: {}", if number { "digits" } else { "text" }));
            rest
        }
        _ => {
            let end = text.find([',', '}', ']']).unwrap_or(text.len());
            let kind = match &text[..end] {
                word @ ("true" | "false" | "null") => {
                    if word == "null" { "null" } else { "flag" }.to_owned()
                }
                number => {
                    assert!(number.parse::<f64>().is_ok(), "{number} in {text}");
                    format!("number.{}", number.split_once('.').map_or(0, |(_, f)| f.len()))
                }
            };
            out.push(format!("{path}: {kind}"));
            &text[end..]
        }
    }
}

fn string(text: &str) -> (&str, &str) {
    let body = text.strip_prefix('"').unwrap_or_else(|| panic!("a string: {text}"));
    let mut escaped = false;
    let end = body.find(|c| {
        let end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    });
    let end = end.unwrap();
    (&body[..end], &body[end + 1..])
}

/// The same keys in the same order, and values of the same kinds.
pub fn assert_shape(ours: &str, real: &str) {
    assert_eq!(shape(ours), shape(real), "\nours {ours}\nreal {real}");
}

/// A price as a number that orders like it, without the venue's own code: digits on either side
/// of the point, filled up.
pub fn key(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole:0>20}.{fraction:0<20}")
}

/// A book of texts: bids, asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Follower {
    pub sides: [BTreeMap<String, (String, String)>; 2],
}

impl Follower {
    pub fn set(&mut self, side: usize, price: &str, qty: &str) {
        if qty.bytes().all(|b| b == b'0' || b == b'.') {
            self.sides[side].remove(&key(price));
        } else {
            self.sides[side].insert(key(price), (price.to_owned(), qty.to_owned()));
        }
    }

    pub fn set_lists(&mut self, side: usize, lists: &Value) {
        for level in lists.as_array().unwrap() {
            self.set(side, level[0].as_str().unwrap(), level[1].as_str().unwrap());
        }
    }

    pub fn cut(&mut self, depth: usize) {
        while self.sides[0].len() > depth {
            self.sides[0].pop_first();
        }
        while self.sides[1].len() > depth {
            self.sides[1].pop_last();
        }
    }

    pub fn best(&self, side: usize, count: usize) -> Vec<&(String, String)> {
        match side {
            0 => self.sides[0].values().rev().take(count).collect(),
            _ => self.sides[1].values().take(count).collect(),
        }
    }

    pub fn assert_uncrossed(&self) {
        if let (Some(bid), Some(ask)) =
            (self.sides[0].last_key_value(), self.sides[1].first_key_value())
        {
            assert!(bid.0 < ask.0, "crossed: {bid:?} {ask:?}");
        }
    }

    /// Are these the best levels of the exchange's own book?
    pub fn assert_is(&self, venue: &Venue, market: &str, depth: usize) {
        use bot4_venue::matching::Side;
        let markets = &venue.exchange().markets;
        let market = markets.iter().find(|m| m.spec.name == market).unwrap();
        for (n, side) in [Side::Buy, Side::Sell].into_iter().enumerate() {
            let parse = |text: &str| bot4_venue::decimal::parse(text).unwrap();
            let ours: Vec<(i64, i64)> =
                self.best(n, depth).iter().map(|(p, q)| (parse(p), parse(q))).collect();
            let real: Vec<(i64, i64)> = market.book.levels(side).take(depth).collect();
            assert_eq!(ours, real, "side {n}");
        }
    }
}

/// CRC-32 (IEEE), bit by bit: the venue's own uses a table.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
