//! Books of a tape: levels as the texts that were recorded, so that a snapshot made in mid-stream
//! has the recorded digits.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::venue::{ConnId, Text};

/// One level: price, quantity, and what else the venue writes after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Price text.
    pub price: String,
    /// Quantity text.
    pub qty: String,
    /// Further fields.
    pub rest: Vec<String>,
}

impl Level {
    /// Of `["price","qty",...]`.
    pub fn of_list(value: &Value) -> Option<Self> {
        let mut texts = value.as_array()?.iter().map(|v| v.as_str().map(str::to_owned));
        let (price, qty) = (texts.next()??, texts.next()??);
        Some(Self { price, qty, rest: texts.collect::<Option<Vec<_>>>()? })
    }

    /// Appends `["price","qty",...]`.
    pub fn push_list(&self, out: &mut String) {
        out.push_str("[\"");
        out.push_str(&self.price);
        out.push_str("\",\"");
        out.push_str(&self.qty);
        out.push('"');
        for text in &self.rest {
            out.push_str(",\"");
            out.push_str(text);
            out.push('"');
        }
        out.push(']');
    }
}

/// Levels joined by commas, as lists.
pub fn push_lists<'a>(out: &mut String, levels: impl Iterator<Item = &'a Level>) {
    for (n, level) in levels.enumerate() {
        if n > 0 {
            out.push(',');
        }
        level.push_list(out);
    }
}

/// A price text as a number that orders like it: units of 10^-18; `None` if it is no number.
pub fn price_key(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let all = format!("{whole}{fraction}").parse::<i128>().ok()?;
    let shift = 18 - i32::try_from(fraction.len()).ok()? + exponent;
    let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
    if shift < 0 { Some(all / factor) } else { all.checked_mul(factor) }
}

/// Is this quantity zero?
pub fn is_zero(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    mantissa.bytes().all(|b| b == b'0' || b == b'.')
}

/// Digits after the point.
pub fn digits(text: &str) -> u32 {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u32)
}

/// A book as recorded so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextBook {
    sides: [BTreeMap<i128, Level>; 2],
    /// Has a snapshot been played?
    pub is_set: bool,
}

impl TextBook {
    /// Forgets everything: a snapshot follows.
    pub fn start_over(&mut self) {
        self.sides = Default::default();
        self.is_set = true;
    }

    /// Sets or removes a level of a side (0 bids, 1 asks).
    pub fn apply(&mut self, side: usize, level: Level) {
        let Some(key) = price_key(&level.price) else { return };
        if is_zero(&level.qty) {
            self.sides[side].remove(&key);
        } else {
            self.sides[side].insert(key, level);
        }
    }

    /// Applies a list of `["price","qty",...]`.
    pub fn apply_lists(&mut self, side: usize, levels: &Value) {
        for level in levels.as_array().into_iter().flatten().filter_map(Level::of_list) {
            self.apply(side, level);
        }
    }

    /// Drops what lies beyond the best `depth` levels of each side.
    pub fn cut(&mut self, depth: usize) {
        while self.sides[0].len() > depth {
            self.sides[0].pop_first();
        }
        while self.sides[1].len() > depth {
            self.sides[1].pop_last();
        }
    }

    /// Levels of a side, best first.
    pub fn levels(&self, side: usize) -> Box<dyn Iterator<Item = &Level> + '_> {
        match side {
            0 => Box::new(self.sides[0].values().rev()),
            _ => Box::new(self.sides[1].values()),
        }
    }

    /// Levels of the longer side.
    pub fn depth(&self) -> usize {
        self.sides[0].len().max(self.sides[1].len())
    }
}

/// What lies on a tape under one name (a topic, or channel and symbol), and who listens to it.
#[derive(Debug, Default)]
pub struct Track {
    /// Listeners.
    pub conns: Vec<ConnId>,
    /// Its book, if it is one.
    pub book: TextBook,
    /// The newest message.
    pub last: Option<Text>,
}

/// All tracks of a tape, by name.
#[derive(Debug, Default)]
pub struct Tracks {
    tracks: BTreeMap<String, Track>,
    markets: BTreeSet<String>,
}

impl Tracks {
    /// Notes that a track of this market exists.
    pub fn list(&mut self, name: &str, market: &str) {
        self.tracks.entry(name.to_owned()).or_default();
        if !self.markets.contains(market) {
            self.markets.insert(market.to_owned());
        }
    }

    /// The track of this name.
    pub fn get(&mut self, name: &str) -> Option<&mut Track> {
        self.tracks.get_mut(name)
    }

    /// Is there such a track?
    pub fn has(&self, name: &str) -> bool {
        self.tracks.contains_key(name)
    }

    /// Names of the markets, in order.
    pub fn markets(&self) -> impl Iterator<Item = &str> {
        self.markets.iter().map(String::as_str)
    }

    /// Is this market on the tape?
    pub fn has_market(&self, market: &str) -> bool {
        self.markets.contains(market)
    }

    /// Takes a connection off every track.
    pub fn forget(&mut self, conn: ConnId) {
        for track in self.tracks.values_mut() {
            track.conns.retain(|&c| c != conn);
        }
    }

    /// Does anybody listen to anything?
    pub fn is_heard(&self) -> bool {
        self.tracks.values().any(|track| !track.conns.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_texts_order_as_numbers() {
        assert_eq!(price_key("0.000022890"), Some(22_890_000_000_000));
        assert!(price_key("9.5") < price_key("10"));
        assert_eq!(price_key("1e-08"), price_key("0.00000001"));
        assert_eq!(price_key("1.5E2"), price_key("150"));
        assert_eq!([price_key(""), price_key("-1"), price_key("x")], [None; 3]);
        assert!(is_zero("0") && is_zero("0.00000000") && is_zero("0.0e-3") && !is_zero("0.1"));
    }

    #[test]
    fn a_book_keeps_its_texts() {
        let mut book = TextBook::default();
        book.start_over();
        let lists = serde_json::json!([["10.50", "1.0", "0", "2"], ["9", "3", "0", "1"]]);
        book.apply_lists(0, &lists);
        book.apply_lists(0, &serde_json::json!([["9", "0", "0", "0"], ["8", "4", "0", "1"]]));
        let mut out = String::new();
        push_lists(&mut out, book.levels(0));
        assert_eq!(out, r#"["10.50","1.0","0","2"],["8","4","0","1"]"#);
        book.cut(1);
        assert_eq!(book.levels(0).count(), 1);
    }
}
