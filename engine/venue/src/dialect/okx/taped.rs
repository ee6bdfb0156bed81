//! A recording in OKX's words, served verbatim, argument by argument.
//!
//! A tape of a tick-by-tick book also serves whoever asks for `books` of that instrument (the
//! same levels at another pace): the lines are the recorded ones but for the channel's name.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::dialect::Desk;
use crate::dialect::paced::{join, leave};
use crate::dialect::taped::{TextBook, Tracks, digits, push_lists};
use crate::tape::{Line, Tape};
use crate::venue::{ConnId, Text};

use super::live::old_checksum;
use super::words::{CODE_FIRST, Instrument};

/// Where a book stands.
#[derive(Clone, Debug, Default)]
struct Place {
    ts: String,
    /// As recorded: 0, or the old checksum; `None` where there was no field.
    checksum: Option<i64>,
    seq: Option<i64>,
}

/// See the module.
pub struct Taped {
    pub tracks: Tracks,
    /// Who asked for `books` of an instrument whose tick-by-tick book was recorded.
    renamed: BTreeMap<String, Vec<ConnId>>,
    places: BTreeMap<String, Place>,
    digits: BTreeMap<String, [u32; 2]>,
}

/// Channel, instrument and the name of their track.
fn arg_of(value: &Value) -> Option<(&str, &str, String)> {
    let channel = value["arg"]["channel"].as_str()?;
    let inst = value["arg"]["instId"].as_str()?;
    Some((channel, inst, format!("{channel} {inst}")))
}

fn is_whole(channel: &str) -> bool {
    matches!(channel, "bbo-tbt" | "books5")
}

impl Taped {
    /// Looks the tape through.
    pub fn survey(tape: &Tape) -> io::Result<Self> {
        let (tracks, renamed) = (Tracks::default(), BTreeMap::new());
        let (places, digits) = (BTreeMap::new(), BTreeMap::new());
        let mut taped = Self { tracks, renamed, places, digits };
        for line in tape.lines()? {
            let line = line?;
            let value: Value = serde_json::from_str(&line.json).unwrap_or_default();
            let Some((_, inst, name)) = arg_of(&value) else { continue };
            taped.tracks.list(&name, inst);
            let seen = taped.digits.entry(inst.to_owned()).or_default();
            for entry in value["data"].as_array().into_iter().flatten() {
                for side in ["asks", "bids"] {
                    look(seen, &entry[side]);
                }
            }
        }
        if taped.digits.is_empty() {
            let error = "no market in the recording (is it of this venue?)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(taped)
    }

    /// Recorded, or a quiet channel of a recorded instrument.
    pub fn is_known(&self, channel: &str, inst: &str) -> bool {
        self.tracks.has(&format!("{channel} {inst}"))
            || self.stand_in(&format!("{channel} {inst}")).is_some()
            || matches!(channel, "instruments" | "status")
            || (matches!(channel, "trades" | "tickers") && self.tracks.has_market(inst))
    }

    /// The recorded track that serves `books` of an instrument without a track of its own.
    fn stand_in(&self, name: &str) -> Option<String> {
        let inst = name.strip_prefix("books ").filter(|_| !self.tracks.has(name))?;
        let recorded = ["books-l2-tbt", "books50-l2-tbt"].map(|c| format!("{c} {inst}"));
        recorded.into_iter().find(|name| self.tracks.has(name))
    }

    /// Does anybody listen to anything?
    pub fn is_heard(&self) -> bool {
        self.tracks.is_heard() || self.renamed.values().any(|conns| !conns.is_empty())
    }

    /// Takes a connection off every track.
    pub fn forget(&mut self, conn: ConnId) {
        self.tracks.forget(conn);
        self.renamed.retain(|_, conns| !leave(conns, conn));
    }

    pub fn join(&mut self, desk: &mut Desk, conn: ConnId, name: &str) {
        let stand_in = self.stand_in(name);
        let recorded = stand_in.as_deref().unwrap_or(name);
        let Some(track) = self.tracks.get(recorded) else { return };
        match &stand_in {
            Some(recorded) => join(self.renamed.entry(recorded.clone()).or_default(), conn),
            None => join(&mut track.conns, conn),
        }
        let (channel, inst) = name.split_once(' ').unwrap_or((name, ""));
        if track.book.is_set && !is_whole(channel) {
            let place = self.places.get(recorded).cloned().unwrap_or_default();
            desk.say(conn, snapshot_text(channel, inst, &track.book, &place));
        } else if (channel == "tickers" || is_whole(channel))
            && let Some(last) = &track.last
        {
            desk.say(conn, last.clone());
        }
    }

    pub fn leave(&mut self, conn: ConnId, name: &str) {
        if let Some(conns) = self.stand_in(name).and_then(|name| self.renamed.get_mut(&name)) {
            leave(conns, conn);
        }
        if let Some(track) = self.tracks.get(name) {
            leave(&mut track.conns, conn);
        }
    }

    /// One line: answers were for the recorder, everything else is for listeners.
    pub fn play(&mut self, desk: &mut Desk, line: &Line) {
        let value: Value = serde_json::from_str(&line.json).unwrap_or_default();
        if value.get("data").is_none() {
            return;
        }
        let Some((channel, inst, name)) = arg_of(&value) else { return };
        let Some(track) = self.tracks.get(&name) else { return };
        if channel.starts_with("books") && !is_whole(channel) {
            if value["action"] == "snapshot" {
                track.book.start_over();
            }
            for entry in value["data"].as_array().into_iter().flatten() {
                track.book.apply_lists(0, &entry["bids"]);
                track.book.apply_lists(1, &entry["asks"]);
                let place = Place {
                    ts: entry["ts"].as_str().unwrap_or_default().to_owned(),
                    checksum: entry["checksum"].as_i64(),
                    seq: entry["seqId"].as_i64(),
                };
                self.places.insert(name.clone(), place);
            }
            let verbatim = Text::from(line.json.as_str());
            let mut told: Vec<(ConnId, Text)> =
                track.conns.iter().map(|&conn| (conn, verbatim.clone())).collect();
            if let Some(conns) = self.renamed.get(&name) {
                let head = format!(r#""channel":"{channel}""#);
                let text = Text::from(line.json.replacen(&head, r#""channel":"books""#, 1));
                told.extend(conns.iter().map(|&conn| (conn, text.clone())));
            }
            return desk.tell_depth(inst, told);
        }
        track.last = Some(line.json.as_str().into());
        if is_whole(channel) {
            desk.tell_depth_all(inst, &track.conns, line.json.clone());
        } else {
            desk.tell(&track.conns, line.json.as_str());
        }
    }

    /// The recorded instruments; steps are the finest seen.
    pub fn instruments(&self) -> Vec<Instrument> {
        let step = |digits: u32| match digits {
            0 => "1".to_owned(),
            n => format!("0.{}1", "0".repeat(n as usize - 1)),
        };
        let listed = self.digits.iter().zip(CODE_FIRST..);
        let instrument = listed.map(|((inst, [price, qty]), code)| Instrument {
            is_open: true,
            id: inst.clone(),
            code,
            tick: step(*price),
            lot: step(*qty),
            least: step(*qty),
        });
        instrument.collect()
    }
}

fn look(seen: &mut [u32; 2], levels: &Value) {
    for level in levels.as_array().into_iter().flatten() {
        for (n, most) in seen.iter_mut().enumerate() {
            *most = (*most).max(level[n].as_str().map_or(0, digits));
        }
    }
}

fn snapshot_text(channel: &str, inst: &str, book: &TextBook, place: &Place) -> String {
    let mut sides = [String::new(), String::new()];
    for (n, out) in sides.iter_mut().enumerate() {
        push_lists(out, book.levels(n));
    }
    let [bids, asks] = sides;
    let checksum = match place.checksum {
        None => String::new(),
        Some(0) => r#","checksum":0"#.to_owned(),
        Some(_) => {
            let side = |n| book.levels(n).take(25).map(|l| [l.price.clone(), l.qty.clone()]);
            let sum = old_checksum(side(0).collect(), side(1).collect());
            format!(r#","checksum":{sum}"#)
        }
    };
    let seq = place.seq.map(|seq| format!(r#","seqId":{seq},"prevSeqId":-1"#)).unwrap_or_default();
    format!(
        concat!(
            r#"{{"arg":{{"channel":"{}","instId":"{}"}},"action":"snapshot","data":[{{"#,
            r#""asks":[{}],"bids":[{}],"ts":"{}"{}{}}}]}}"#
        ),
        channel, inst, asks, bids, place.ts, checksum, seq
    )
}
