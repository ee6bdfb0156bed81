//! A recording in Bybit's words, served verbatim, topic by topic.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::dialect::Desk;
use crate::dialect::paced::{join, leave};
use crate::dialect::taped::{Tracks, digits, push_lists};
use crate::tape::{Line, Tape};
use crate::venue::ConnId;

use super::Product;
use super::words::Instrument;

/// Where a book stands: `u`, `seq`, `ts` and `cts` of its last message.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    u: u64,
    seq: u64,
    ts: u64,
    cts: Option<u64>,
    type_first: bool,
}

/// See the module.
pub struct Taped {
    pub tracks: Tracks,
    places: BTreeMap<String, Place>,
    /// Most digits of prices and quantities, by symbol.
    digits: BTreeMap<String, [u32; 2]>,
}

impl Taped {
    /// Looks the tape through.
    pub fn survey(tape: &Tape) -> io::Result<Self> {
        let (tracks, places, digits) = (Tracks::default(), BTreeMap::new(), BTreeMap::new());
        let mut taped = Self { tracks, places, digits };
        for line in tape.lines()? {
            let line = line?;
            let value: Value = serde_json::from_str(&line.json).unwrap_or_default();
            let Some(topic) = value["topic"].as_str() else { continue };
            let symbol = topic.rsplit('.').next().unwrap_or(topic);
            taped.tracks.list(topic, symbol);
            let seen = taped.digits.entry(symbol.to_owned()).or_default();
            for side in ["b", "a"] {
                for level in value["data"][side].as_array().into_iter().flatten() {
                    for (n, most) in seen.iter_mut().enumerate() {
                        *most = (*most).max(level[n].as_str().map_or(0, digits_of_text));
                    }
                }
            }
        }
        if taped.digits.is_empty() {
            let error = "no market in the recording (is it of this venue?)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(taped)
    }

    /// A legal topic of a recorded market that the recorder did not ask for.
    pub fn is_quiet(&self, topic: &str) -> bool {
        let Some((head, symbol)) = topic.rsplit_once('.') else { return false };
        let known = head == "publicTrade" || head == "tickers" || head.starts_with("kline.");
        known && self.tracks.has_market(symbol)
    }

    pub fn join(&mut self, desk: &mut Desk, conn: ConnId, topic: &str) {
        let Some(track) = self.tracks.get(topic) else { return };
        join(&mut track.conns, conn);
        if track.book.is_set {
            let place = self.places.get(topic).copied().unwrap_or_default();
            let mut sides = [String::new(), String::new()];
            for (n, out) in sides.iter_mut().enumerate() {
                push_lists(out, track.book.levels(n));
            }
            desk.say(conn, snapshot_text(topic, &place, &sides));
        } else if topic.starts_with("tickers.")
            && let Some(last) = &track.last
        {
            desk.say(conn, last.clone());
        }
    }

    pub fn leave(&mut self, conn: ConnId, topic: &str) {
        if let Some(track) = self.tracks.get(topic) {
            leave(&mut track.conns, conn);
        }
    }

    /// One line: answers were for the recorder, everything else is for listeners.
    pub fn play(&mut self, desk: &mut Desk, line: &Line) {
        let value: Value = serde_json::from_str(&line.json).unwrap_or_default();
        let Some(topic) = value["topic"].as_str() else { return };
        let Some(track) = self.tracks.get(topic) else { return };
        let data = &value["data"];
        let is_book = topic.starts_with("orderbook.");
        if is_book {
            if value["type"] == "snapshot" {
                track.book.start_over();
            }
            track.book.apply_lists(0, &data["b"]);
            track.book.apply_lists(1, &data["a"]);
            let number = |value: &Value| value.as_u64().unwrap_or(0);
            let type_first = line.json.find("\"type\"") < line.json.find("\"ts\"");
            let place = Place {
                u: number(&data["u"]),
                seq: number(&data["seq"]),
                ts: number(&value["ts"]),
                cts: value["cts"].as_u64(),
                type_first,
            };
            self.places.insert(topic.to_owned(), place);
            let symbol = topic.rsplit('.').next().unwrap_or(topic);
            desk.tell_depth_all(symbol, &track.conns, line.json.clone());
        } else {
            track.last = Some(line.json.as_str().into());
            desk.tell(&track.conns, line.json.as_str());
        }
    }

    /// The recorded markets; steps are the finest seen.
    pub fn instruments(&self, product: Product) -> Vec<Instrument> {
        let listed = self.digits.iter().map(|(symbol, [price, qty])| {
            let quote = ["USDT", "USDC", "USD"].into_iter().find(|q| symbol.ends_with(q));
            let quote = quote.unwrap_or("USDT");
            Instrument {
                is_open: true,
                symbol: symbol.clone(),
                base: symbol.trim_end_matches(quote).to_owned(),
                quote: quote.to_owned(),
                tick: step(*price),
                lot: step(*qty),
                price_scale: *price,
            }
        });
        // The tape does not say which product it is of: it answers for either.
        let _ = product;
        listed.collect()
    }
}

fn digits_of_text(text: &str) -> u32 {
    digits(text)
}

fn step(digits: u32) -> String {
    match digits {
        0 => "1".to_owned(),
        n => format!("0.{}1", "0".repeat(n as usize - 1)),
    }
}

fn snapshot_text(topic: &str, place: &Place, [bids, asks]: &[String; 2]) -> String {
    let symbol = topic.rsplit('.').next().unwrap_or(topic);
    let Place { u, seq, ts, .. } = place;
    let head = if place.type_first {
        format!(r#""type":"snapshot","ts":{ts}"#)
    } else {
        format!(r#""ts":{ts},"type":"snapshot""#)
    };
    let cts = place.cts.map(|cts| format!(r#","cts":{cts}"#)).unwrap_or_default();
    format!(
        concat!(r#"{{"topic":"{}",{},"data":{{"s":"{}","b":[{}],"a":[{}],"u":{},"seq":{}}}{}}}"#),
        topic, head, symbol, bids, asks, u, seq, cts
    )
}
