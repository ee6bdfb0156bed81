//! `bot4 journal verify | dump | stat`: questions a person asks of a journal.
//!
//! Everything streams: memory does not grow with the journal, except by one entry a lane and one
//! a flaw.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use bot4_types::{LogEntry, OrderId, RunEpoch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decode::{DeskReader, decode_with, kind_name};
use crate::hash::Fnv128;
use crate::prefix::Prefix;
use crate::reader::{Flaw, FlawKind, OpenEnd, Reader, Record};
use crate::repository::JournalRepository;

/// Flaws named one by one in a report; more are counted.
pub const FLAWS_NAMED_MAX: usize = 64;

/// Records between two calls of a [`Watch`].
const WATCH_EVERY: u64 = 8_192;

/// Is told the bytes read so far and the bytes in all.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64);

/// Hands every item of `path` to `take` and gives the reader back at its end.
pub(crate) fn each(
    path: &Path,
    watch: Watch<'_>,
    take: impl FnMut(Result<Record, Flaw>) -> io::Result<()>,
) -> io::Result<Reader> {
    each_of(Reader::open(path)?, watch, take)
}

/// Hands every item that is left in `reader` to `take` and gives it back at its end.
fn each_of(
    mut reader: Reader,
    watch: Watch<'_>,
    mut take: impl FnMut(Result<Record, Flaw>) -> io::Result<()>,
) -> io::Result<Reader> {
    let mut items: u64 = 0;
    while let Some(item) = reader.next() {
        take(item)?;
        items += 1;
        if items.is_multiple_of(WATCH_EVERY) {
            let (done, total) = reader.progress();
            watch(done, total);
        }
    }
    let (done, total) = reader.progress();
    watch(done, total);
    Ok(reader)
}

/// The records of one log lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub(crate) fn new(first: u64) -> Self {
        let hash = Fnv128::default();
        Self { records: 0, first, last: 0, missing: 0, disordered: 0, hash }
    }

    /// Nothing is missing, nothing is out of order.
    pub(crate) const fn is_whole(&self) -> bool {
        self.missing == 0 && self.disordered == 0
    }

    pub(crate) fn take(&mut self, record: &Record) {
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
    /// Ends with its last seal: every byte is accounted for.
    pub closed: bool,
    /// The writer died; a recovery cut the tail and set the last seal.
    pub recovered: bool,
    /// Where it ends without a last seal.
    pub open_end: Option<OpenEnd>,
    /// The torn tail of a run that was killed, if there is one.
    pub torn_tail: Option<Flaw>,
    /// Records that lie behind a failed sync: readable now, not to be relied on.
    pub unsynced: u64,
    /// What was lost behind a failed sync begins here.
    pub lost_unsynced: Option<Flaw>,
    /// Damage, the first [`FLAWS_NAMED_MAX`].
    pub damage: Vec<Flaw>,
    /// Damaged places in all.
    pub damage_count: u64,
    /// See [`content_hash`].
    pub content_hash: u128,
}

impl VerifyReport {
    /// Of a whole beginning. Segments are counted as far as they hold records.
    fn of_prefix(prefix: &Prefix) -> Self {
        let (segments, records) = (prefix.segments(), prefix.records());
        Self { segments, records, lanes: prefix.lanes().clone(), ..Self::default() }
    }

    fn take(&mut self, item: Result<Record, Flaw>, segment: &mut u32) {
        match item {
            Ok(record) => {
                if *segment != record.segment {
                    *segment = record.segment;
                    self.segments += 1;
                }
                self.records += 1;
                self.unsynced += u64::from(!record.synced);
                let lane = self.lanes.entry(record.entry.lane);
                lane.or_insert_with(|| LaneReport::new(record.entry.seq)).take(&record);
            }
            Err(flaw) if flaw.kind == FlawKind::TornTail => self.torn_tail = Some(flaw),
            Err(flaw) if flaw.kind == FlawKind::Unsynced => {
                self.lost_unsynced.get_or_insert(flaw);
            }
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
    /// run leaves, and no published record can lie in it. So is a loss behind a failed sync, and
    /// the records that are missing for it: the run halted there, and the venue has the truth.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let ordered = self.lanes.values().all(|l| l.disordered == 0);
        let missing = self.missing() > 0 && self.lost_unsynced.is_none();
        self.damage_count == 0 && !missing && ordered
    }

    /// Intact, closed in order, no torn tail.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let whole = self.torn_tail.is_none() && self.lost_unsynced.is_none();
        self.is_sound() && self.closed && !self.recovered && whole
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
            "recovered": self.recovered,
            "epoch": self.epoch.map(|e| e.0), "segments": self.segments, "records": self.records,
            "missing": self.missing(), "lanes": self.lanes.iter().map(lane).collect::<Vec<_>>(),
            "torn_tail": self.torn_tail.as_ref().map(flaw_json),
            "unsynced": {
                "records": self.unsynced, "lost_from": self.lost_unsynced.as_ref().map(flaw_json),
            },
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
            (_, true) if self.recovered => "intact, recovered: its writer died, the tail was cut",
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
        if self.unsynced > 0 {
            writeln!(f, "{} records lie behind a sync that failed", self.unsynced)?;
        }
        for flaw in self.torn_tail.iter().chain(&self.lost_unsynced).chain(&self.damage) {
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
    verify_watched(path, &mut |_, _| {})
}

/// [`verify`], telling `watch` now and then the bytes read so far and the bytes in all.
///
/// # Errors
/// As [`verify`].
pub fn verify_watched(path: &Path, watch: Watch<'_>) -> io::Result<VerifyReport> {
    verify_behind(path, None, watch, &mut |_| {})
}

/// [`verify_watched`], handing each record to `take`. With `behind`, whose segments were checked,
/// only what follows them is read; the report is that of the whole journal.
///
/// # Errors
/// As [`verify`].
pub(crate) fn verify_behind(
    path: &Path,
    behind: Option<&Prefix>,
    watch: Watch<'_>,
    take: &mut dyn FnMut(&Record),
) -> io::Result<VerifyReport> {
    let mut report = behind.map_or_else(VerifyReport::default, VerifyReport::of_prefix);
    let mut segment = report.segments;
    let reader = match behind {
        Some(prefix) => Reader::open_behind(path, prefix)?,
        None => Reader::open(path)?,
    };
    let reader = each_of(reader, watch, |item| {
        item.iter().for_each(&mut *take);
        report.take(item, &mut segment);
        Ok(())
    })?;
    report.epoch = reader.epoch();
    report.closed = reader.is_closed();
    report.recovered = reader.is_recovered();
    report.open_end = reader.open_end().cloned();
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

fn line(record: &Record, desk: Option<DeskReader>) -> Value {
    let entry = &record.entry;
    json!({
        "segment": record.segment, "offset": record.offset, "lane": entry.lane, "seq": entry.seq,
        "at": entry.at.0, "kind": kind_name(entry.kind),
        "body": decode_with(entry, desk).to_json(record.epoch),
    })
}

/// Writes every record of `path` as a JSON line, in file order; a flaw becomes a line
/// `{"flaw": …}` at its place. With `order`, only the records about it; `desk` reads those of
/// execution's desk. Returns the number of
/// records and of flaws.
///
/// # Errors
/// When there is nothing to read or `out` cannot be written.
pub fn dump_watched(
    path: &Path,
    order: Option<OrderId>,
    desk: Option<DeskReader>,
    out: &mut dyn Write,
    watch: Watch<'_>,
) -> io::Result<(u64, u64)> {
    let (mut records, mut flaws) = (0, 0);
    each(path, watch, |item| {
        let json = match item {
            Ok(r) if order.is_some() && decode_with(&r.entry, desk).order() != order => {
                return Ok(());
            }
            Ok(record) => {
                records += 1;
                line(&record, desk)
            }
            Err(flaw) => {
                flaws += 1;
                json!({ "flaw": flaw_json(&flaw) })
            }
        };
        writeln!(out, "{json}")
    })?;
    Ok((records, flaws))
}

/// [`dump_watched`] of all records, unwatched.
///
/// # Errors
/// As [`dump_watched`].
pub fn dump(path: &Path, out: &mut dyn Write) -> io::Result<(u64, u64)> {
    dump_watched(path, None, None, out, &mut |_, _| {})
}

/// [`dump_watched`] of the records about `order`, unwatched: what happened to it.
///
/// # Errors
/// As [`dump_watched`].
pub fn dump_order(path: &Path, order: OrderId, out: &mut dyn Write) -> io::Result<(u64, u64)> {
    dump_watched(path, Some(order), None, out, &mut |_, _| {})
}

/// What happened to `order`, a line a record, for a person: the time in seconds since the
/// engine's start, the lane, the kind and the body.
///
/// # Errors
/// When there is nothing to read.
pub fn order_story(path: &Path, order: OrderId) -> io::Result<String> {
    order_story_watched(path, order, &mut |_, _| {})
}

/// [`order_story`], watched.
///
/// # Errors
/// As [`order_story`].
pub fn order_story_watched(path: &Path, order: OrderId, watch: Watch<'_>) -> io::Result<String> {
    let (mut story, mut flaws) = (String::new(), String::new());
    for row in JournalRepository::new(path).life_watched(order, watch, &mut |flaw| {
        flaws += &format!("! {flaw}\n");
    })? {
        let at = row.at.0 as f64 / 1e9;
        story += &format!("{at:>14.6}  lane {}  {:<9} {}\n", row.lane, row.kind, row.body);
    }
    story += &flaws;
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
    fn take(&mut self, e: &LogEntry) {
        *self.records.entry((e.lane, e.kind)).or_default() += 1;
        self.first_at = Some(self.first_at.map_or(e.at.0, |first| first.min(e.at.0)));
        self.last_at = self.last_at.max(e.at.0);
        self.body_bytes += e.body().len() as u64;
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let count = |((lane, kind), n): (&(u8, u8), &u64)| {
            let kind = kind_name(*kind);
            json!({ "lane": lane, "kind": kind, "records": n })
        };
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
    stat_watched(path, &mut |_, _| {})
}

/// [`stat`], watched.
///
/// # Errors
/// As [`stat`].
pub fn stat_watched(path: &Path, watch: Watch<'_>) -> io::Result<Stat> {
    let mut stat = Stat::default();
    let reader = each(path, watch, |item| {
        match item {
            Ok(record) => stat.take(&record.entry),
            Err(_) => stat.flaws += 1,
        }
        Ok(())
    })?;
    stat.closed = reader.is_closed();
    Ok(stat)
}
