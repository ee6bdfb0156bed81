//! A recording in Kraken's words, served verbatim.
//!
//! A book is served at the depth it was recorded with; another depth is refused, because what a
//! listener of another depth would need is not on the tape.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::dialect::Desk;
use crate::dialect::paced::{join, leave};
use crate::dialect::taped::{Level, TextBook, Tracks, digits};
use crate::tape::{Line, Tape};
use crate::venue::ConnId;

use super::words::{self, Pair, push_checked, push_level};
use super::{Channel, DEPTHS, Wish};

/// What the first pass found out about a pair.
#[derive(Default)]
struct Seen {
    price_digits: u32,
    qty_digits: u32,
    changed_ns: u64,
}

/// See the module.
pub struct Taped {
    pub tracks: Tracks,
    pairs: BTreeMap<String, Seen>,
    /// The smallest depth that every snapshot fits in: a short book says nothing of its own.
    depth: u64,
    has_beats: bool,
}

impl Taped {
    /// Looks the tape through.
    pub fn survey(tape: &Tape) -> io::Result<Self> {
        let (tracks, pairs) = (Tracks::default(), BTreeMap::new());
        let mut taped = Self { tracks, pairs, depth: 10, has_beats: false };
        let mut levels = 0;
        for line in tape.lines()? {
            let line = line?;
            let value = message(&line.json);
            let channel = value["channel"].as_str().unwrap_or_default();
            taped.has_beats |= channel == "heartbeat";
            for entry in value["data"].as_array().into_iter().flatten() {
                if let Some(symbol) = entry["symbol"].as_str() {
                    taped.tracks.list(&name(channel, symbol), symbol);
                    let seen = taped.pairs.entry(symbol.to_owned()).or_default();
                    let count = seen.look(entry);
                    levels = levels.max(if value["type"] == "snapshot" { count } else { 0 });
                }
            }
        }
        let fits = DEPTHS.into_iter().find(|&depth| levels as u64 <= depth);
        taped.depth = fits.unwrap_or(DEPTHS[DEPTHS.len() - 1]);
        if taped.pairs.is_empty() {
            let error = "no market in the recording (is it of this venue?)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(taped)
    }

    /// Does the tape bring its own heartbeats? Then none are added, not even after its end: what
    /// is served is what was recorded.
    pub fn beats(&self) -> bool {
        self.has_beats
    }

    pub fn check(&self, wish: &Wish) -> Result<(), String> {
        if wish.symbol.is_empty() {
            return Ok(());
        }
        if !self.pairs.contains_key(wish.symbol) {
            return Err(format!("Currency pair not supported {}", wish.symbol));
        }
        if wish.channel == Channel::Book && wish.depth != self.depth {
            return Err("Subscription depth not supported".to_owned());
        }
        Ok(())
    }

    pub fn join(&mut self, desk: &mut Desk, conn: ConnId, wish: &Wish) {
        if wish.channel == Channel::Instrument {
            let pairs: Vec<Pair> = self.pairs.iter().map(|(name, seen)| seen.pair(name)).collect();
            return desk.say(conn, words::instruments(&pairs));
        }
        let Some(track) = self.tracks.get(&name(wish.channel.name(), wish.symbol)) else { return };
        join(&mut track.conns, conn);
        if !wish.snapshot {
            return;
        }
        match wish.channel {
            Channel::Book if track.book.is_set => {
                if let Some(seen) = self.pairs.get(wish.symbol) {
                    desk.say(conn, snapshot_text(wish.symbol, &track.book, seen, desk.now_ns));
                }
            }
            Channel::Ticker => {
                if let Some(last) = &track.last {
                    let update = r#""type":"update""#;
                    desk.say(conn, last.as_str().replacen(update, r#""type":"snapshot""#, 1));
                }
            }
            _ => {}
        }
    }

    pub fn leave(&mut self, conn: ConnId, wish: &Wish) {
        if let Some(track) = self.tracks.get(&name(wish.channel.name(), wish.symbol)) {
            leave(&mut track.conns, conn);
        }
    }

    /// One line: answers and statuses were for the recorder, everything else is for listeners.
    pub fn play(&mut self, desk: &mut Desk, line: &Line, beating: &[ConnId]) {
        let value = message(&line.json);
        let channel = value["channel"].as_str().unwrap_or_default();
        if channel == "heartbeat" {
            return desk.tell(beating, line.json.as_str());
        }
        let mut conns: Vec<ConnId> = Vec::new();
        let mut market = String::new();
        for entry in value["data"].as_array().into_iter().flatten() {
            let Some(symbol) = entry["symbol"].as_str() else { continue };
            let Some(track) = self.tracks.get(&name(channel, symbol)) else { continue };
            if channel == "book" {
                if value["type"] == "snapshot" {
                    track.book.start_over();
                }
                apply(&mut track.book, entry);
                track.book.cut(usize::try_from(self.depth).unwrap_or(usize::MAX));
                if let Some(seen) = self.pairs.get_mut(symbol) {
                    seen.changed_ns = desk.now_ns;
                }
            }
            track.last = Some(line.json.as_str().into());
            for &conn in &track.conns {
                join(&mut conns, conn);
            }
            symbol.clone_into(&mut market);
        }
        if channel == "book" {
            desk.tell_depth_all(&market, &conns, line.json.clone());
        } else {
            desk.tell(&conns, line.json.as_str());
        }
    }
}

impl Seen {
    /// Learns the digits of an entry; how many levels its longer side has.
    fn look(&mut self, entry: &Value) -> usize {
        let mut most = 0;
        for side in ["bids", "asks"] {
            let levels = entry[side].as_array().map_or(&[][..], Vec::as_slice);
            most = most.max(levels.len());
            for level in levels.iter().filter_map(level) {
                self.price_digits = self.price_digits.max(digits(&level.price));
                self.qty_digits = self.qty_digits.max(digits(&level.qty));
            }
        }
        most
    }

    fn pair<'a>(&self, symbol: &'a str) -> Pair<'a> {
        let step = |digits: u32| match digits {
            0 => "1".to_owned(),
            n => format!("0.{}1", "0".repeat(n as usize - 1)),
        };
        Pair {
            is_open: true,
            symbol,
            price_digits: self.price_digits,
            qty_digits: self.qty_digits,
            tick: step(self.price_digits),
            lot: step(self.qty_digits),
        }
    }
}

fn name(channel: &str, symbol: &str) -> String {
    format!("{channel} {symbol}")
}

/// The message with its numbers as texts: a float would lose their digits.
fn message(json: &str) -> Value {
    let mut out = String::with_capacity(json.len() + json.len() / 4);
    let mut rest = json;
    while let Some((at, key)) = next_number(rest) {
        let start = at + key.len();
        let length = rest[start..].find([',', '}', ']']).unwrap_or(rest.len() - start);
        out.push_str(&rest[..start]);
        out.push('"');
        out.push_str(&rest[start..start + length]);
        out.push('"');
        rest = &rest[start + length..];
    }
    out.push_str(rest);
    serde_json::from_str(&out).unwrap_or_default()
}

fn next_number(text: &str) -> Option<(usize, &'static str)> {
    let keys = [r#""price":"#, r#""qty":"#];
    keys.into_iter().filter_map(|key| Some((text.find(key)?, key))).min()
}

fn level(value: &Value) -> Option<Level> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    Some(Level { price: text("price")?, qty: text("qty")?, rest: Vec::new() })
}

fn apply(book: &mut TextBook, entry: &Value) {
    for (side, key) in ["bids", "asks"].into_iter().enumerate() {
        for level in entry[key].as_array().into_iter().flatten().filter_map(level) {
            book.apply(side, level);
        }
    }
}

fn snapshot_text(symbol: &str, book: &TextBook, seen: &Seen, now_ns: u64) -> String {
    let side = |side| {
        let mut out = String::new();
        for level in book.levels(side) {
            push_level(&mut out, &level.price, &level.qty);
        }
        out
    };
    let mut checked = String::new();
    for level in book.levels(1).take(10).chain(book.levels(0).take(10)) {
        push_checked(&mut checked, &padded(&level.price, seen.price_digits));
        push_checked(&mut checked, &padded(&level.qty, seen.qty_digits));
    }
    let changed_ns = if seen.changed_ns == 0 { now_ns } else { seen.changed_ns };
    let sum = crc32fast::hash(checked.as_bytes());
    words::book("snapshot", symbol, [&side(0), &side(1)], sum, changed_ns)
}

/// A recorder that went through floats lost zeros; the checksum counts them.
fn padded(number: &str, wanted: u32) -> String {
    let missing = wanted.saturating_sub(digits(number)) as usize;
    let point = if missing > 0 && !number.contains('.') { "." } else { "" };
    format!("{number}{point}{}", "0".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_texts() {
        let json = r#"{"data":[{"bids":[{"price":0.50,"qty":1e-08}],"qty":7}]}"#;
        let value = message(json);
        assert_eq!(value["data"][0]["bids"][0]["price"], "0.50");
        assert_eq!(value["data"][0]["bids"][0]["qty"], "1e-08");
        assert_eq!(padded("4.0", 8), "4.00000000");
        assert_eq!(padded("4", 1), "4.0");
    }
}
