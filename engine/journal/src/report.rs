//! `bot4 journal verify | dump | stat`: questions a person asks of a journal.
//!
//! Everything streams: memory does not grow with the journal, except by one entry a lane and one
//! a flaw.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use bot4_types::{OrderId, RunEpoch};
use serde_json::{Value, json};

use crate::decode::{decode, kind_name};
use crate::hash::Fnv128;
use crate::reader::{Flaw, FlawKind, Reader, Record};

/// Flaws named one by one in a report; more are counted.
pub const FLAWS_NAMED_MAX: usize = 64;

/// The records of one log lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneReport {
    /// Records read.
    pub records: u64,
    /// First sequence read.
    pub first: u64,
    /// Last sequence read.
    pub last: u64,
    /// Sequences missing from 1 to `last`.
    pub missing: u64,
    /// Records whose sequence is not above the one before.
    pub disordered: u64,
    hash: Fnv128,
}

impl LaneReport {
    fn new(first: u64) -> Self {
        let hash = Fnv128::default();
        Self { records: 0, first, last: 0, missing: 0, disordered: 0, hash }
    }

    fn take(&mut self, record: &Record) {
        let entry = &record.entry;
        self.records += 1;
        if entry.seq > self.last {
            self.missing += entry.seq - self.last - 1;
            self.last = entry.seq;
        } else {
            self.disordered += 1;
        }
        self.hash.write(&entry.seq.to_le_bytes());
        self.hash.write(&entry.at.0.to_le_bytes());
        self.hash.write(&[entry.kind]);
        self.hash.write(&entry.len.to_le_bytes());
        self.hash.write(entry.body());
    }
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The run, when a header was readable.
    pub epoch: Option<RunEpoch>,
    /// Segments with records.
    pub segments: u32,
    /// Records read.
    pub records: u64,
    /// By log lane.
    pub lanes: BTreeMap<u8, LaneReport>,
    /// Closed in order: every byte is accounted for.
    pub closed: bool,
    /// The torn tail of a run that was killed, if there is one.
    pub torn_tail: Option<Flaw>,
    /// Damage, the first [`FLAWS_NAMED_MAX`].
    pub damage: Vec<Flaw>,
    /// Damaged places in all.
    pub damage_count: u64,
    /// See [`content_hash`].
    pub content_hash: u128,
}

impl VerifyReport {
    fn take(&mut self, item: Result<Record, Flaw>, segment: &mut u32) {
        match item {
            Ok(record) => {
                if *segment != record.segment {
                    *segment = record.segment;
                    self.segments += 1;
                }
                self.records += 1;
                let lane = self.lanes.entry(record.entry.lane);
                lane.or_insert_with(|| LaneReport::new(record.entry.seq)).take(&record);
            }
            Err(flaw) if flaw.kind == FlawKind::TornTail => self.torn_tail = Some(flaw),
            Err(flaw) => {
                self.damage_count += 1;
                if self.damage.len() < FLAWS_NAMED_MAX {
                    self.damage.push(flaw);
                }
            }
        }
    }

    /// Records known to be missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.lanes.values().map(|l| l.missing).sum()
    }

    /// Nothing is damaged, missing or out of order. A torn tail is allowed: it is what a killed
    /// run leaves, and no published record can lie in it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let ordered = self.lanes.values().all(|l| l.disordered == 0);
        self.damage_count == 0 && self.missing() == 0 && ordered
    }

    /// Intact, closed in order, no torn tail.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.is_sound() && self.closed && self.torn_tail.is_none()
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lane = |(lane, l): (&u8, &LaneReport)| {
            json!({
                "lane": lane, "records": l.records, "first": l.first, "last": l.last,
                "missing": l.missing, "disordered": l.disordered,
            })
        };
        json!({
            "intact": self.is_sound(), "closed": self.closed, "clean": self.is_clean(),
            "epoch": self.epoch.map(|e| e.0), "segments": self.segments, "records": self.records,
            "missing": self.missing(), "lanes": self.lanes.iter().map(lane).collect::<Vec<_>>(),
            "torn_tail": self.torn_tail.as_ref().map(flaw_json),
            "damage_count": self.damage_count,
            "damage": self.damage.iter().map(flaw_json).collect::<Vec<_>>(),
            "content_hash": format!("{:032x}", self.content_hash),
        })
    }
}

fn flaw_json(flaw: &Flaw) -> Value {
    json!({
        "file": flaw.file.display().to_string(), "offset": flaw.offset, "what": flaw.to_string(),
    })
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.is_clean(), self.is_sound()) {
            (true, _) => "clean: closed in order, every record is there",
            (_, true) => "intact, not closed: a running or killed engine's journal",
            _ => "DAMAGED",
        };
        writeln!(f, "{verdict}")?;
        writeln!(f, "{} records in {} segments", self.records, self.segments)?;
        for (lane, l) in &self.lanes {
            let LaneReport { records, first, last, missing, disordered, .. } = l;
            write!(f, "lane {lane}: {records} records, {first} to {last}, {missing} missing")?;
            writeln!(f, "{}", if *disordered > 0 { ", OUT OF ORDER" } else { "" })?;
        }
        for flaw in self.torn_tail.iter().chain(&self.damage) {
            writeln!(f, "{flaw}")?;
        }
        if self.damage_count > self.damage.len() as u64 {
            writeln!(f, "{} damaged places in all", self.damage_count)?;
        }
        writeln!(f, "content {:032x}", self.content_hash)
    }
}

/// Reads all of `path` (a journal directory or one segment) and says whether it can be trusted.
///
/// # Errors
/// When there is nothing to read.
pub fn verify(path: &Path) -> io::Result<VerifyReport> {
    let mut reader = Reader::open(path)?;
    let mut report = VerifyReport::default();
    let mut segment = 0;
    for item in reader.by_ref() {
        report.take(item, &mut segment);
    }
    report.epoch = reader.epoch();
    report.closed = reader.is_closed();
    let mut hash = Fnv128::default();
    for (lane, l) in &report.lanes {
        hash.write(&[*lane]);
        hash.write(&l.records.to_le_bytes());
        hash.write(&l.hash.value().to_le_bytes());
    }
    report.content_hash = hash.value();
    Ok(report)
}

/// A hash over the records' content (sequence, time, kind, body), lane by lane: equal for two
/// journals that hold the same records, however the lanes interleave in their files and wherever
/// the segments end. The run's epoch and segment headers do not count.
///
/// # Errors
/// When there is nothing to read, or the journal is not intact.
pub fn content_hash(path: &Path) -> io::Result<u128> {
    let report = verify(path)?;
    if report.is_sound() {
        return Ok(report.content_hash);
    }
    let what = format!("{} is not intact: {report}", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

fn line(record: &Record) -> Value {
    let entry = &record.entry;
    json!({
        "segment": record.segment, "offset": record.offset, "lane": entry.lane, "seq": entry.seq,
        "at": entry.at.0, "kind": kind_name(entry.kind), "body": decode(entry).to_json(record.epoch),
    })
}

/// Writes every record of `path` as a JSON line, in file order; a flaw becomes a line
/// `{"flaw": …}` at its place. Returns the number of records and of flaws.
///
/// # Errors
/// When there is nothing to read or `out` cannot be written.
pub fn dump(path: &Path, out: &mut dyn Write) -> io::Result<(u64, u64)> {
    dump_where(path, out, |_| true)
}

/// [`dump`], only the records about `order`: what happened to it.
///
/// # Errors
/// As [`dump`].
pub fn dump_order(path: &Path, order: OrderId, out: &mut dyn Write) -> io::Result<(u64, u64)> {
    dump_where(path, out, |r| decode(&r.entry).order() == Some(order))
}

fn dump_where(
    path: &Path,
    out: &mut dyn Write,
    keep: impl Fn(&Record) -> bool,
) -> io::Result<(u64, u64)> {
    let (mut records, mut flaws) = (0, 0);
    for item in Reader::open(path)? {
        let json = match item {
            Ok(record) if !keep(&record) => continue,
            Ok(record) => {
                records += 1;
                line(&record)
            }
            Err(flaw) => {
                flaws += 1;
                json!({ "flaw": flaw_json(&flaw) })
            }
        };
        writeln!(out, "{json}")?;
    }
    Ok((records, flaws))
}

/// What happened to `order`, a line a record, for a person: the time in seconds since the
/// engine's start, the lane, the kind and the body.
///
/// # Errors
/// When there is nothing to read.
pub fn order_story(path: &Path, order: OrderId) -> io::Result<String> {
    let mut story = String::new();
    for item in Reader::open(path)? {
        match item {
            Ok(record) => {
                let body = decode(&record.entry);
                if body.order() == Some(order) {
                    let at = record.entry.at.0 as f64 / 1e9;
                    let (lane, kind) = (record.entry.lane, kind_name(record.entry.kind));
                    let body = body.to_json(record.epoch);
                    story += &format!("{at:>14.6}  lane {lane}  {kind:<9} {body}\n");
                }
            }
            Err(flaw) => story += &format!("! {flaw}\n"),
        }
    }
    if story.is_empty() {
        story = format!("order {} is not in this journal\n", order.0);
    }
    Ok(story)
}

/// Counts of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Records by (lane, kind).
    pub records: BTreeMap<(u8, u8), u64>,
    /// Engine time of the earliest record, ns.
    pub first_at: Option<u64>,
    /// Engine time of the latest record, ns.
    pub last_at: u64,
    /// Bytes of bodies.
    pub body_bytes: u64,
    /// Flaws met.
    pub flaws: u64,
    /// Closed in order.
    pub closed: bool,
}

impl Stat {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let count = |((lane, kind), n): (&(u8, u8), &u64)| json!({ "lane": lane, "kind": kind_name(*kind), "records": n });
        json!({
            "records": self.records.values().sum::<u64>(),
            "by_kind": self.records.iter().map(count).collect::<Vec<_>>(),
            "first_at": self.first_at, "last_at": self.last_at, "body_bytes": self.body_bytes,
            "flaws": self.flaws, "closed": self.closed,
        })
    }
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.last_at.saturating_sub(self.first_at.unwrap_or(self.last_at));
        let total: u64 = self.records.values().sum();
        writeln!(
            f,
            "{total} records, {} bytes of bodies, {:.3} s",
            self.body_bytes,
            span as f64 / 1e9
        )?;
        for ((lane, kind), n) in &self.records {
            writeln!(f, "lane {lane:<3} {:<10} {n:>12}", kind_name(*kind))?;
        }
        writeln!(f, "{} flaws, {}", self.flaws, if self.closed { "closed" } else { "not closed" })
    }
}

/// Counts the records of `path`.
///
/// # Errors
/// When there is nothing to read.
pub fn stat(path: &Path) -> io::Result<Stat> {
    let mut reader = Reader::open(path)?;
    let mut stat = Stat::default();
    for item in reader.by_ref() {
        let Ok(record) = item else {
            stat.flaws += 1;
            continue;
        };
        let e = &record.entry;
        *stat.records.entry((e.lane, e.kind)).or_default() += 1;
        stat.first_at = Some(stat.first_at.map_or(e.at.0, |first| first.min(e.at.0)));
        stat.last_at = stat.last_at.max(e.at.0);
        stat.body_bytes += e.body().len() as u64;
    }
    stat.closed = reader.is_closed();
    Ok(stat)
}
