//! A recording in the futures' words, served verbatim, stream by stream.
//!
//! The first recorded snapshot of a contract is its book from the start: events that it covers
//! change nothing, as with the real venue.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::dialect::Desk;
use crate::dialect::binance::streams::Streams;
use crate::dialect::taped::{TextBook, digits, push_lists};
use crate::tape::{Line, Tape};
use crate::venue::Out;

use super::words::Contract;

/// Ends of the names of depth streams.
const PACES: [&str; 4] = ["", "@500ms", "@100ms", "@0ms"];

#[derive(Default)]
struct Market {
    book: TextBook,
    last_id: u64,
    digits: [u32; 2],
}

/// See the module.
pub struct Taped {
    markets: BTreeMap<String, Market>,
}

/// Stream name and payload of a line; the name is made up for bare payloads.
fn split(json: &str) -> Option<(String, &str, Value)> {
    let value: Value = serde_json::from_str(json).ok()?;
    if let Some(stream) = value["stream"].as_str() {
        let (_, data) = json.split_once(r#""data":"#)?;
        let data = data.trim_end().strip_suffix('}')?;
        return Some((stream.to_owned(), data, value["data"].clone()));
    }
    let symbol = value["s"].as_str()?.to_lowercase();
    let suffix = match value["e"].as_str()? {
        "depthUpdate" => "depth@0ms",
        other => other,
    };
    Some((format!("{symbol}@{suffix}"), json, value))
}

impl Taped {
    /// Looks the tape through.
    pub fn survey(tape: &Tape) -> io::Result<Self> {
        let mut markets: BTreeMap<String, Market> = BTreeMap::new();
        let mut first_ids: BTreeMap<String, u64> = BTreeMap::new();
        let mut snapshots: Vec<(Option<String>, Value)> = Vec::new();
        for line in tape.lines()? {
            let line = line?;
            let Some((_, _, data)) = split(&line.json) else {
                let value: Value = serde_json::from_str(&line.json).unwrap_or_default();
                snapshots.extend(snapshot_of(value));
                continue;
            };
            let Some(symbol) = data["s"].as_str() else { continue };
            let market = markets.entry(symbol.to_owned()).or_default();
            market.look(&data);
            if let Some(id) = data["U"].as_u64() {
                first_ids.entry(symbol.to_owned()).or_insert(id);
            }
        }
        for (symbol, value) in snapshots {
            let id = value["lastUpdateId"].as_u64().unwrap_or(0);
            // A snapshot does not name its market: it is the one whose first id lies nearest.
            let nearest = || {
                let near = first_ids.iter().min_by_key(|(_, first)| first.abs_diff(id));
                near.map(|(symbol, _)| symbol.clone())
            };
            let Some(symbol) = symbol.or_else(nearest) else { continue };
            let market = markets.entry(symbol).or_default();
            if !market.book.is_set {
                market.book.start_over();
                market.book.apply_lists(0, &value["bids"]);
                market.book.apply_lists(1, &value["asks"]);
                market.last_id = id;
            }
        }
        if markets.is_empty() {
            let error = "no market in the recording (is it of this venue?)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(Self { markets })
    }

    /// One line.
    pub fn play(&mut self, desk: &mut Desk, line: &Line, streams: &Streams) {
        let Some((stream, text, data)) = split(&line.json) else { return };
        let is_depth = data["e"] == "depthUpdate";
        let symbol = data["s"].as_str().unwrap_or_default();
        if let (true, Some(market)) = (is_depth, self.markets.get_mut(symbol)) {
            market.apply(&data);
        }
        let mut names = vec![stream];
        if is_depth {
            // Recorded at one pace; whoever asked for another one is served at this one.
            let lower = symbol.to_lowercase();
            let others = PACES.into_iter().map(|end| format!("{lower}@depth{end}"));
            names.extend(others.filter(|name| *name != names[0]).collect::<Vec<_>>());
        }
        for id in names.iter().filter_map(|name| streams.id(name)) {
            let told = streams.texts(id, |_| text.to_owned());
            if is_depth {
                desk.tell_depth(symbol, told);
            } else {
                desk.out.extend(told.into_iter().map(|(conn, text)| (conn, Out::Text(text))));
            }
        }
    }

    /// The object of a snapshot request, in the recorded digits.
    pub fn snapshot(&self, symbol: &str, limit: usize, now_ms: u64) -> Option<String> {
        let market = self.markets.get(symbol)?;
        let id = market.last_id;
        let mut out = format!(r#"{{"lastUpdateId":{id},"E":{now_ms},"T":{now_ms},"bids":["#);
        push_lists(&mut out, market.book.levels(0).take(limit));
        out.push_str(r#"],"asks":["#);
        push_lists(&mut out, market.book.levels(1).take(limit));
        out.push_str("]}");
        Some(out)
    }

    /// The recorded contracts; steps are the finest seen.
    pub fn contracts(&self) -> Vec<Contract> {
        let step = |digits: u32| match digits {
            0 => "1".to_owned(),
            n => format!("0.{}1", "0".repeat(n as usize - 1)),
        };
        let listed = self.markets.iter().map(|(symbol, market)| {
            let quote = ["USDT", "USDC"].into_iter().find(|quote| symbol.ends_with(quote));
            let quote = quote.unwrap_or("USDT");
            let [price_digits, qty_digits] = market.digits;
            Contract {
                is_open: true,
                symbol: symbol.clone(),
                base: symbol.trim_end_matches(quote).to_owned(),
                quote: quote.to_owned(),
                tick: step(price_digits),
                lot: step(qty_digits),
                price_digits,
                qty_digits,
            }
        });
        listed.collect()
    }
}

/// A REST snapshot, and whose it is where the line says so.
fn snapshot_of(value: Value) -> Option<(Option<String>, Value)> {
    let named = value["url"].as_str().and_then(|url| {
        let (_, rest) = url.split_once("symbol=")?;
        rest.split('&').next().map(str::to_owned)
    });
    let body = match value.get("body") {
        Some(body) => body.clone(),
        None => value,
    };
    body["lastUpdateId"].is_u64().then_some((named, body))
}

impl Market {
    fn look(&mut self, data: &Value) {
        for side in ["b", "a"] {
            for level in data[side].as_array().into_iter().flatten() {
                for (n, most) in self.digits.iter_mut().enumerate() {
                    *most = (*most).max(level[n].as_str().map_or(0, digits));
                }
            }
        }
    }

    fn apply(&mut self, data: &Value) {
        let last = data["u"].as_u64().unwrap_or(0);
        if last <= self.last_id {
            return;
        }
        self.last_id = last;
        self.book.apply_lists(0, &data["b"]);
        self.book.apply_lists(1, &data["a"]);
    }
}
