//! A recording in Coinbase's words, served verbatim but for the number: each connection has a
//! sequence of its own, which is the recorded one for a listener of everything from the start.
//!
//! A listener who subscribed before the recorded acknowledgement of a channel gets that one, at
//! its place, as long as it lists what he listens to; else a listing of his own at that place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use serde_json::Value;

use crate::dialect::Desk;
use crate::dialect::paced::{join, leave};
use crate::dialect::taped::{Level, TextBook, Tracks, digits};
use crate::tape::{Line, Tape};
use crate::venue::{ConnId, Out, Text};

use super::Conn;
use super::words::Product;

/// Trades that a snapshot in mid-stream holds.
const TRADES: usize = 100;

#[derive(Default)]
struct Seen {
    digits: [u32; 2],
    price: String,
    /// Newest first.
    trades: VecDeque<String>,
    ticker: Option<String>,
    event_time: String,
}

/// See the module.
pub struct Taped {
    pub tracks: Tracks,
    seen: BTreeMap<String, Seen>,
    /// Channels whose first acknowledgement lies ahead.
    acks: BTreeSet<String>,
    has_beats: bool,
    lines_left: u64,
}

/// The name under which a channel is subscribed.
fn subscribed(channel: &str) -> &str {
    if channel == "l2_data" { "level2" } else { channel }
}

fn name(channel: &str, product: &str) -> String {
    format!("{channel} {product}")
}

/// Products that an event is about.
fn products(event: &Value) -> BTreeSet<&str> {
    let lists =
        ["trades", "tickers", "candles"].into_iter().filter_map(|key| event[key].as_array());
    let listed = lists.flatten().filter_map(|entry| entry["product_id"].as_str());
    listed.chain(event["product_id"].as_str()).collect()
}

impl Taped {
    /// Looks the tape through.
    pub fn survey(tape: &Tape) -> io::Result<Self> {
        let mut taped = Self {
            tracks: Tracks::default(),
            seen: BTreeMap::new(),
            acks: BTreeSet::new(),
            has_beats: false,
            lines_left: 0,
        };
        for line in tape.lines()? {
            let line = line?;
            taped.lines_left += 1;
            let value: Value = serde_json::from_str(&line.json).unwrap_or_default();
            let channel = subscribed(value["channel"].as_str().unwrap_or_default());
            taped.has_beats |= channel == "heartbeats";
            for event in value["events"].as_array().into_iter().flatten() {
                if let Some(list) = event["subscriptions"].as_object() {
                    taped.acks.extend(list.keys().cloned());
                }
                for product in products(event) {
                    taped.tracks.list(&name(channel, product), product);
                    taped.seen.entry(product.to_owned()).or_default().look(event);
                }
            }
        }
        if taped.seen.is_empty() {
            let error = "no market in the recording (is it of this venue?)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if taped.has_beats {
            taped.tracks.list(&name("heartbeats", "heartbeats"), "heartbeats");
        }
        Ok(taped)
    }

    /// Does the tape bring its own heartbeats? Then none are added, not even after its end: what
    /// is served is what was recorded.
    pub fn beats(&self) -> bool {
        self.has_beats
    }

    /// Will the tape acknowledge this channel?
    pub fn acknowledges(&self, channel: &str) -> bool {
        self.lines_left > 0 && self.acks.contains(channel)
    }

    pub fn join(&mut self, conn: ConnId, channel: &str, product: &str) {
        if let Some(track) = self.tracks.get(&name(channel, product)) {
            join(&mut track.conns, conn);
        }
    }

    pub fn leave(&mut self, conn: ConnId, channel: &str, product: &str) {
        if let Some(track) = self.tracks.get(&name(channel, product)) {
            leave(&mut track.conns, conn);
        }
    }

    /// The event of a snapshot of what was played so far, if anything was.
    pub fn snapshot(&mut self, channel: &str, product: &str) -> Option<String> {
        let seen = self.seen.get(product)?;
        let track = self.tracks.get(&name(channel, product))?;
        match channel {
            "level2" if track.book.is_set => {
                Some(book_text(product, &track.book, &seen.event_time))
            }
            "market_trades" if track.last.is_some() => {
                let list: Vec<&str> = seen.trades.iter().map(String::as_str).collect();
                Some(format!(r#"{{"type":"snapshot","trades":[{}]}}"#, list.join(",")))
            }
            "ticker" => {
                let ticker = seen.ticker.as_ref()?;
                Some(format!(r#"{{"type":"snapshot","tickers":[{ticker}]}}"#))
            }
            _ => None,
        }
    }

    /// One line.
    pub fn play(&mut self, desk: &mut Desk, line: &Line, conns: &mut BTreeMap<ConnId, Conn>) {
        self.lines_left = self.lines_left.saturating_sub(1);
        let value: Value = serde_json::from_str(&line.json).unwrap_or_default();
        let channel = subscribed(value["channel"].as_str().unwrap_or_default());
        let events = value["events"].as_array().map_or(&[][..], Vec::as_slice);
        match channel {
            "subscriptions" => self.acknowledge(desk, line, events, conns),
            "heartbeats" => {
                for (&conn, at) in conns.iter_mut() {
                    if at.hears("heartbeats", "heartbeats") {
                        let text = renumbered(&line.json, at.number(desk.now_ns));
                        desk.say(conn, text);
                    }
                }
            }
            _ => self.data(desk, line, (channel, events), conns),
        }
        if self.lines_left == 0 {
            // What the tape did not acknowledge is acknowledged now.
            for (&conn, at) in conns.iter_mut().filter(|(_, at)| !at.pending.is_empty()) {
                at.pending.clear();
                super::acknowledge(desk, conn, at);
            }
        }
    }

    fn data(
        &mut self,
        desk: &mut Desk,
        line: &Line,
        (channel, events): (&str, &[Value]),
        conns: &mut BTreeMap<ConnId, Conn>,
    ) {
        let mut listeners = Vec::new();
        let mut market = String::new();
        for event in events {
            for product in products(event) {
                if let Some(seen) = self.seen.get_mut(product) {
                    seen.remember(channel, product, event);
                }
                let Some(track) = self.tracks.get(&name(channel, product)) else { continue };
                if channel == "level2" {
                    apply(&mut track.book, event);
                } else {
                    track.last = Some(Text::default());
                }
                for &conn in &track.conns {
                    join(&mut listeners, conn);
                }
                product.clone_into(&mut market);
            }
        }
        let mut told = Vec::with_capacity(listeners.len());
        for conn in listeners {
            let Some(at) = conns.get_mut(&conn) else { continue };
            told.push((conn, Text::from(renumbered(&line.json, at.number(desk.now_ns)))));
        }
        if channel == "level2" {
            desk.tell_depth(&market, told);
        } else {
            desk.out.extend(told.into_iter().map(|(conn, text)| (conn, Out::Text(text))));
        }
    }

    fn acknowledge(
        &mut self,
        desk: &mut Desk,
        line: &Line,
        events: &[Value],
        conns: &mut BTreeMap<ConnId, Conn>,
    ) {
        let list = events.iter().find_map(|event| event["subscriptions"].as_object());
        let Some(list) = list else { return };
        let fresh: Vec<String> = list.keys().filter(|c| self.acks.remove(*c)).cloned().collect();
        let set = |value: &Value| -> BTreeSet<String> {
            let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let recorded: BTreeMap<String, BTreeSet<String>> =
            list.iter().map(|(channel, products)| (channel.clone(), set(products))).collect();
        for (&conn, at) in conns.iter_mut() {
            let before = at.pending.len();
            at.pending.retain(|channel| !fresh.contains(channel));
            if at.pending.len() == before {
                continue;
            }
            let granted = at.channels.iter().filter(|(name, _)| !at.pending.contains(*name));
            let same = granted.eq(recorded.iter());
            if same {
                let text = renumbered(&line.json, at.number(desk.now_ns));
                desk.say(conn, text);
            } else {
                super::acknowledge(desk, conn, at);
            }
        }
    }

    /// The recorded products; steps are the finest seen.
    pub fn products(&self) -> Vec<Product> {
        let step = |digits: u32| match digits {
            0 => "1".to_owned(),
            n => format!("0.{}1", "0".repeat(n as usize - 1)),
        };
        let listed = self.seen.iter().map(|(id, seen)| Product {
            is_open: true,
            id: id.clone(),
            price: seen.price.clone(),
            volume: "0".to_owned(),
            tick: step(seen.digits[0]),
            lot: step(seen.digits[1]),
            high: seen.price.clone(),
            low: seen.price.clone(),
            change: "0".to_owned(),
        });
        listed.collect()
    }
}

impl Seen {
    fn look(&mut self, event: &Value) {
        for update in event["updates"].as_array().into_iter().flatten() {
            for (n, key) in ["price_level", "new_quantity"].into_iter().enumerate() {
                let text = update[key].as_str().unwrap_or_default();
                self.digits[n] = self.digits[n].max(digits(text));
            }
        }
        if let (true, Some(price)) = (self.price.is_empty(), event["tickers"][0]["price"].as_str())
        {
            price.clone_into(&mut self.price);
        }
    }

    fn remember(&mut self, channel: &str, product: &str, event: &Value) {
        match channel {
            "market_trades" => {
                let trades = event["trades"].as_array().into_iter().flatten();
                let own = trades.filter(|trade| trade["product_id"] == product);
                // Lists are newest first.
                for (n, trade) in own.enumerate() {
                    self.trades.insert(n.min(self.trades.len()), trade.to_string());
                }
                self.trades.truncate(TRADES);
            }
            "ticker" => {
                let tickers = event["tickers"].as_array().into_iter().flatten();
                let mut own = tickers.filter(|ticker| ticker["product_id"] == product);
                self.ticker = own.next_back().map(Value::to_string).or(self.ticker.take());
            }
            "level2" => {
                let updates = event["updates"].as_array().into_iter().flatten();
                if let Some(time) = updates.filter_map(|u| u["event_time"].as_str()).next_back() {
                    time.clone_into(&mut self.event_time);
                }
            }
            _ => {}
        }
    }
}

/// The line with another number.
fn renumbered(json: &str, number: u64) -> String {
    let key = r#""sequence_num":"#;
    let Some(at) = json.find(key) else { return json.to_owned() };
    let start = at + key.len();
    let length = json[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(json.len() - start);
    format!("{}{number}{}", &json[..start], &json[start + length..])
}

fn apply(book: &mut TextBook, event: &Value) {
    if event["type"] == "snapshot" {
        book.start_over();
    }
    for update in event["updates"].as_array().into_iter().flatten() {
        let text = |key: &str| update[key].as_str().unwrap_or_default().to_owned();
        let side = usize::from(update["side"] != "bid");
        let (price, qty) = (text("price_level"), text("new_quantity"));
        book.apply(side, Level { price, qty, rest: Vec::new() });
    }
}

fn book_text(product: &str, book: &TextBook, time: &str) -> String {
    let mut out = String::with_capacity(110 * 2 * book.depth() + 64);
    out.push_str(r#"{"type":"snapshot","product_id":""#);
    out.push_str(product);
    out.push_str(r#"","updates":["#);
    let mut comma = "";
    for (side, word) in ["bid", "offer"].into_iter().enumerate() {
        for level in book.levels(side) {
            let parts = [
                comma,
                r#"{"side":""#,
                word,
                r#"","event_time":""#,
                time,
                r#"","price_level":""#,
                &level.price,
                r#"","new_quantity":""#,
                &level.qty,
                r#""}"#,
            ];
            parts.into_iter().for_each(|part| out.push_str(part));
            comma = ",";
        }
    }
    out.push_str("]}");
    out
}
