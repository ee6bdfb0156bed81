//! The finished beginning of a journal, summed up: what a snapshot of its records was made from.
//!
//! ```text
//! running:  00000001.b4j --extend--> Prefix, each record to the caller  --> written together
//! starting: Prefix --check--> checksums of those segments --> Reader::open_behind: the rest
//! ```
//!
//! A snapshot is never relied on over the journal: [`Prefix::check`] goes through every byte of the
//! segments, and what it sums up must be what was summed up when they were read. Whatever does not
//! fit is a [`Misfit`], and the journal is read as a whole. Only finished segments count, whose
//! successor has begun and says of no failed sync.
//!
//! Cost of a check: one read and one CRC-32C, nothing is decoded: some thirty nanoseconds a record,
//! shared by as many threads as there are CPUs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bot4_types::RunEpoch;
use serde::{Deserialize, Serialize};

use crate::hash::Fnv128;
use crate::reader::Record;
use crate::report::LaneReport;
use crate::segment::{
    Framed, HEADER_BYTES, Header, Parsed, RESERVE_NAME, SealKind, file_name, framed, parse,
};

/// Threads that check at most: the disk's cache gives no more.
const CHECKERS_MAX: usize = 4;

/// A finished segment, summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    records: u64,
    /// Over the checksums of its records, in order.
    digest: u128,
}

/// Why a journal does not begin with a prefix, or a prefix does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl std::error::Error for Misfit {}

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    epoch: RunEpoch,
    sums: Vec<Sum>,
    lanes: BTreeMap<u8, LaneReport>,
}

impl Prefix {
    /// Nothing of the journal of the run `epoch` yet.
    #[must_use]
    pub const fn new(epoch: RunEpoch) -> Self {
        Self { epoch, sums: Vec::new(), lanes: BTreeMap::new() }
    }

    /// The run.
    #[must_use]
    pub const fn epoch(&self) -> RunEpoch {
        self.epoch
    }

    /// Segments in it.
    #[must_use]
    pub fn segments(&self) -> u32 {
        self.sums.len() as u32
    }

    /// Records in it.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.sums.iter().map(|sum| sum.records).sum()
    }

    /// Its records by log lane.
    pub(crate) const fn lanes(&self) -> &BTreeMap<u8, LaneReport> {
        &self.lanes
    }

    /// Takes in the next segment of the journal in `dir`, which must be finished, and hands each
    /// of its records to `take`.
    ///
    /// # Errors
    /// When it is not whole. Neither this nor what `take` made of the records may be used then.
    pub fn extend(&mut self, dir: &Path, take: &mut dyn FnMut(&Record)) -> Result<(), Misfit> {
        let index = self.segments() + 1;
        let file = dir.join(file_name(index));
        let bytes = contents(&file, Vec::new())?;
        self.begins(&file, &bytes, index)?;
        let (mut at, mut records, mut digest) = (HEADER_BYTES, 0, Fnv128::default());
        let misfit = |what| Misfit { file: file.clone(), what };
        loop {
            match parse(&bytes[at..]) {
                Parsed::Record(entry, taken) => {
                    let offset = at as u64;
                    let epoch = self.epoch;
                    let record = Record { entry, epoch, segment: index, offset, synced: true };
                    let lane = self.lanes.entry(entry.lane);
                    lane.or_insert_with(|| LaneReport::new(entry.seq)).take(&record);
                    digest.write(&bytes[at + 4..at + 8]);
                    take(&record);
                    (at, records) = (at + taken, records + 1);
                }
                seal => {
                    ends(&bytes[at..], &seal, index, records).map_err(misfit)?;
                    break;
                }
            }
        }
        if !self.lanes.values().all(LaneReport::is_whole) {
            return Err(misfit("records are missing"));
        }
        self.sums.push(Sum { records, digest: digest.value() });
        Ok(())
    }

    /// The journal in `dir` begins with these segments, byte for byte under their checksums, and
    /// goes on behind them.
    ///
    /// # Errors
    /// The first thing that is otherwise.
    pub fn check(&self, dir: &Path) -> Result<(), Misfit> {
        let reserve = dir.join(RESERVE_NAME);
        if reserve.exists() && header_of(&reserve).is_some() {
            return Err(Misfit { file: reserve, what: "the reserve was used" });
        }
        let next = dir.join(file_name(self.segments() + 1));
        match header_of(&next) {
            Some(h) if h.epoch == self.epoch && h.previous_synced.is_none() => {}
            Some(_) => return Err(Misfit { file: next, what: "a sync failed before it" }),
            None => return Err(Misfit { file: next, what: "nothing follows" }),
        }
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.sums.len().div_ceil(cpus.min(CHECKERS_MAX)).max(1);
        std::thread::scope(|scope| {
            let mut first = 1;
            let mut checks = Vec::new();
            for sums in self.sums.chunks(share) {
                let from = first;
                checks.push(scope.spawn(move || self.check_some(dir, from, sums)));
                first += sums.len() as u32;
            }
            let lost = || Err(Misfit { file: dir.to_owned(), what: "the check was lost" });
            checks.into_iter().try_for_each(|check| check.join().unwrap_or_else(|_| lost()))
        })
    }

    fn check_some(&self, dir: &Path, first: u32, sums: &[Sum]) -> Result<(), Misfit> {
        let mut bytes = Vec::new();
        for (index, sum) in (first..).zip(sums) {
            let file = dir.join(file_name(index));
            bytes = contents(&file, bytes)?;
            self.begins(&file, &bytes, index)?;
            let found = summed(&bytes, index);
            if found != Ok(*sum) {
                let what = found.err().unwrap_or("it is not the segment that was summed up");
                return Err(Misfit { file, what });
            }
        }
        Ok(())
    }

    fn begins(&self, file: &Path, bytes: &[u8], index: u32) -> Result<(), Misfit> {
        let fits = |h: Header| {
            let whole = bytes.len() as u64 <= h.segment_bytes;
            h.epoch == self.epoch && h.index == index && whole && h.previous_synced.is_none()
        };
        match Header::decode(bytes) {
            Ok(header) if fits(header) => Ok(()),
            _ => Err(Misfit { file: file.to_owned(), what: "another header is expected" }),
        }
    }
}

/// Goes through a segment without decoding anything.
fn summed(bytes: &[u8], index: u32) -> Result<Sum, &'static str> {
    let (mut at, mut records, mut digest) = (HEADER_BYTES, 0, Fnv128::default());
    loop {
        match framed(&bytes[at..]) {
            Framed::Whole(whole) if !whole.is_seal() => {
                digest.write(&whole.checksum());
                (at, records) = (at + whole.record.len(), records + 1);
            }
            _ => break,
        }
    }
    ends(&bytes[at..], &parse(&bytes[at..]), index, records)?;
    Ok(Sum { records, digest: digest.value() })
}

/// Segment `index` ends with its seal here, and the journal goes on.
fn ends(rest: &[u8], found: &Parsed, index: u32, records: u64) -> Result<(), &'static str> {
    match found {
        Parsed::Seal { index: i, records: n, kind: SealKind::GoesOn, taken } => {
            let zeros = rest[*taken..].iter().all(|b| *b == 0);
            let fits = (*i, *n) == (u64::from(index), records) && zeros;
            if fits { Ok(()) } else { Err("its seal does not fit") }
        }
        Parsed::Seal { .. } => Err("it is the last segment"),
        _ => Err("its records do not end with a seal"),
    }
}

/// The content of `file`, in the room of `buffer`.
fn contents(file: &Path, mut buffer: Vec<u8>) -> Result<Vec<u8>, Misfit> {
    buffer.clear();
    let read = File::open(file).and_then(|mut f| f.read_to_end(&mut buffer));
    match read {
        Ok(n) if n >= HEADER_BYTES => Ok(buffer),
        _ => Err(Misfit { file: file.to_owned(), what: "it cannot be read" }),
    }
}

fn header_of(file: &Path) -> Option<Header> {
    let mut bytes = [0; HEADER_BYTES];
    File::open(file).and_then(|mut f| f.read_exact(&mut bytes)).ok()?;
    Header::decode(&bytes).ok()
}
