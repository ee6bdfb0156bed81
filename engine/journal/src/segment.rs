//! The segment format, version 1. Pure functions over bytes; no file is touched here.
//!
//! A segment is a file `NNNNNNNN.b4j` (decimal index from 1) of a preallocated length. All
//! integers are little-endian. Everything starts at a multiple of 8.
//!
//! ```text
//! header, 64 bytes                          record, 32 bytes + body, padded to 8 with zeros
//!   0  magic "B4JOURNL"                       0  u32 length: 32 + body, without padding
//!   8  u32 version = 1                        4  u32 CRC-32C over the length word and
//!  12  u32 header length = 64                         everything from offset 8 to the padded end
//!  16  u32 run epoch                          8  u64 sequence within the lane, from 1
//!  20  u32 segment index                     16  u64 `now` of the writing turn, engine ns
//!  24  u64 created, engine ns                24  u8  kind (`LogKind`)
//!  32  i64 Unix ns at engine time zero       25  u8  log lane
//!  40  u64 preallocated length               26  6 zero bytes
//!  48  u64 see previous_synced               32  body
//!  56  u32 1 when previous_synced is meant
//!  60  u32 CRC-32C over bytes 0..60
//! ```
//!
//! A zero length ends the records; what follows must be zero. A segment that was finished ends
//! with a **seal**: kind and lane 0xFF, the sequence is the segment's index, the body counts its
//! records and says how the segment ended ([`SealKind`]). A finished segment is cut behind its
//! seal. A file whose header is all zero was prepared and never used.
//!
//! The **reserve** is one more prepared segment, called [`RESERVE_NAME`]; it is used when no next
//! segment can be made, keeps its name, and its header says which index it stands for.
//!
//! Invariant: every byte of a finished segment is under a checksum, so no single changed byte
//! goes unseen. Cost: one copy and one CRC-32C of the record.

use bot4_types::log::BODY_MAX;
use bot4_types::{LogEntry, LogKind, Nanos, RunEpoch};

/// The first eight bytes of a segment.
pub const MAGIC: [u8; 8] = *b"B4JOURNL";
/// The format version this crate writes and reads.
pub const VERSION: u32 = 1;
/// Bytes of the segment header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a record before its body.
pub const RECORD_HEAD_BYTES: usize = 32;
/// Bytes of the longest record.
pub const RECORD_BYTES_MAX: usize = padded(RECORD_HEAD_BYTES + BODY_MAX);
/// Records start at multiples of this many bytes.
pub const ALIGN: usize = 8;
/// Kind and lane of a seal.
pub const SEAL: u8 = 0xFF;
/// Bytes of a seal: nine bytes of body.
pub const SEAL_BYTES: usize = padded(RECORD_HEAD_BYTES + 9);
/// Shortest segment that can be asked for: header, one longest record and the seal fit well.
pub const SEGMENT_BYTES_MIN: usize = 4096;
/// The file name extension of segments.
pub const EXTENSION: &str = "b4j";
/// The file name of the reserve.
pub const RESERVE_NAME: &str = "reserve.b4j";

const _: () = assert!(HEADER_BYTES.is_multiple_of(ALIGN));
const _: () = assert!(HEADER_BYTES + RECORD_BYTES_MAX + SEAL_BYTES <= SEGMENT_BYTES_MIN);

/// `len` rounded up to [`ALIGN`].
#[must_use]
pub const fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// Bytes that `entry` takes in a segment.
#[must_use]
pub fn entry_bytes(entry: &LogEntry) -> usize {
    padded(RECORD_HEAD_BYTES + entry.body().len())
}

/// The name of segment `index`.
#[must_use]
pub fn file_name(index: u32) -> String {
    format!("{index:08}.{EXTENSION}")
}

/// The index in a segment's file name, or `None` when it is not one.
#[must_use]
pub fn index_of(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    (digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|index| *index > 0)
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The run.
    pub epoch: RunEpoch,
    /// Place in the journal, from 1.
    pub index: u32,
    /// When it was begun.
    pub created: Nanos,
    /// Unix time at engine time zero.
    pub origin_unix_ns: i64,
    /// Preallocated length in bytes.
    pub segment_bytes: u64,
    /// A sync of the segment before this one failed: only its bytes before this offset are known
    /// to be on the disk. None: its syncs went well.
    pub previous_synced: Option<u64>,
}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SealKind {
    /// The journal goes on in the next segment.
    GoesOn = 0,
    /// The journal was closed in order.
    Last = 1,
    /// The writer died; the tail behind the last record was cut when the journal was recovered.
    Recovered = 2,
}

impl SealKind {
    const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::GoesOn),
            1 => Some(Self::Last),
            2 => Some(Self::Recovered),
            _ => None,
        }
    }
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// All zero: prepared and never used.
    Unused,
    /// Fewer than [`HEADER_BYTES`].
    Short,
    /// Not a segment, or its checksum does not fit.
    Damaged,
    /// A segment of a format this version does not read.
    Version(u32),
}

impl Header {
    /// The header as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        out[16..20].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[20..24].copy_from_slice(&self.index.to_le_bytes());
        out[24..32].copy_from_slice(&self.created.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.origin_unix_ns.to_le_bytes());
        out[40..48].copy_from_slice(&self.segment_bytes.to_le_bytes());
        if let Some(offset) = self.previous_synced {
            out[48..56].copy_from_slice(&offset.to_le_bytes());
            out[56..60].copy_from_slice(&1u32.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.iter().take(HEADER_BYTES).all(|b| *b == 0) {
            return Err(HeaderError::Unused);
        }
        let bytes = bytes.first_chunk::<HEADER_BYTES>().ok_or(HeaderError::Short)?;
        if bytes[..8] != MAGIC || le_u32(bytes, 60) != crc32c::crc32c(&bytes[..60]) {
            return Err(HeaderError::Damaged);
        }
        let version = le_u32(bytes, 8);
        if version != VERSION || le_u32(bytes, 12) != HEADER_BYTES as u32 {
            return Err(HeaderError::Version(version));
        }
        Ok(Self {
            epoch: RunEpoch(le_u32(bytes, 16)),
            index: le_u32(bytes, 20),
            created: Nanos(le_u64(bytes, 24)),
            origin_unix_ns: le_u64(bytes, 32) as i64,
            segment_bytes: le_u64(bytes, 40),
            previous_synced: (le_u32(bytes, 56) == 1).then(|| le_u64(bytes, 48)),
        })
    }
}

/// Writes `entry` at the start of `out` and returns its padded length, or `None` (and writes
/// nothing) when there is no room.
pub fn encode_entry(entry: &LogEntry, out: &mut [u8]) -> Option<usize> {
    encode(entry.seq, entry.at, entry.kind, entry.lane, entry.body(), out)
}

/// Writes the seal of segment `index`, in which `records` lie.
pub fn encode_seal(
    index: u32,
    at: Nanos,
    records: u64,
    kind: SealKind,
    out: &mut [u8],
) -> Option<usize> {
    let mut body = [0; 9];
    body[..8].copy_from_slice(&records.to_le_bytes());
    body[8] = kind as u8;
    encode(u64::from(index), at, SEAL, SEAL, &body, out)
}

fn encode(seq: u64, at: Nanos, kind: u8, lane: u8, body: &[u8], out: &mut [u8]) -> Option<usize> {
    let len = RECORD_HEAD_BYTES + body.len();
    let out = out.get_mut(..padded(len))?;
    out[8..16].copy_from_slice(&seq.to_le_bytes());
    out[16..24].copy_from_slice(&at.0.to_le_bytes());
    out[24] = kind;
    out[25] = lane;
    out[26..RECORD_HEAD_BYTES].fill(0);
    out[RECORD_HEAD_BYTES..len].copy_from_slice(body);
    out[len..].fill(0);
    let crc = checksum(len as u32, &out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    // The length goes last, so that a reader of a live segment rarely meets a half record.
    out[..4].copy_from_slice(&(len as u32).to_le_bytes());
    Some(out.len())
}

fn checksum(len: u32, rest: &[u8]) -> u32 {
    let of_len = match LEN_CRCS.get(len as usize) {
        Some(crc) => *crc,
        None => crc32c::crc32c(&len.to_le_bytes()),
    };
    crc32c::crc32c_append(of_len, rest)
}

/// CRC-32C of each length word that a record can have: four steps of a chain less a record.
static LEN_CRCS: [u32; RECORD_HEAD_BYTES + BODY_MAX + 1] = {
    let mut all = [0; RECORD_HEAD_BYTES + BODY_MAX + 1];
    let mut len = 0;
    while len < all.len() {
        // The polynomial, bits reversed; bit by bit as the definition has it.
        let (mut crc, mut bit) = (u32::MAX ^ len as u32, 0);
        while bit < u32::BITS {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        all[len] = !crc;
        len += 1;
    }
    all
};

/// What lies at a record's place.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, never stored")]
pub enum Parsed {
    /// A zero length, or no bytes at all: the records end here.
    End,
    /// Not a record.
    Bad,
    /// A record and the bytes it takes.
    Record(LogEntry, usize),
    /// A seal and the bytes it takes.
    Seal {
        /// Index of the segment it closes.
        index: u64,
        /// Records in the segment.
        records: u64,
        /// How it ended.
        kind: SealKind,
        /// Bytes taken.
        taken: usize,
    },
}

/// What lies at a record's place, not decoded.
pub(crate) enum Framed<'a> {
    /// A zero length, or no bytes at all: the records end here.
    End,
    /// Not a record.
    Bad,
    /// Bytes under their right checksum.
    Whole(Whole<'a>),
}

/// A record or seal whose checksum is right.
#[derive(Clone, Copy)]
pub(crate) struct Whole<'a> {
    /// All its bytes, padding too.
    pub record: &'a [u8],
    /// Bytes before the padding.
    len: usize,
}

impl Whole<'_> {
    /// It ends a segment.
    pub fn is_seal(&self) -> bool {
        self.record[24] == SEAL && self.record[25] == SEAL
    }

    /// Its checksum as written.
    pub fn checksum(&self) -> [u8; 4] {
        le_u32(self.record, 4).to_le_bytes()
    }
}

/// Looks at the start of `bytes` as [`parse`] does, and copies nothing.
pub(crate) fn framed(bytes: &[u8]) -> Framed<'_> {
    let Some(head) = bytes.first_chunk::<RECORD_HEAD_BYTES>() else {
        return if bytes.iter().all(|b| *b == 0) { Framed::End } else { Framed::Bad };
    };
    let len = le_u32(head, 0) as usize;
    if len == 0 {
        return Framed::End;
    }
    if !(RECORD_HEAD_BYTES..=RECORD_HEAD_BYTES + BODY_MAX).contains(&len) {
        return Framed::Bad;
    }
    match bytes.get(..padded(len)) {
        Some(record) if checksum(len as u32, &record[8..]) == le_u32(head, 4) => {
            Framed::Whole(Whole { record, len })
        }
        _ => Framed::Bad,
    }
}

/// Reads what lies at the start of `bytes`, which should hold [`RECORD_BYTES_MAX`] bytes unless
/// the file ends before. Any bytes give an answer.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let framed = match framed(bytes) {
        Framed::End => return Parsed::End,
        Framed::Bad => return Parsed::Bad,
        Framed::Whole(framed) => framed,
    };
    let Whole { record, len } = framed;
    let body = &record[RECORD_HEAD_BYTES..len];
    let (kind, lane, seq) = (record[24], record[25], le_u64(record, 8));
    if framed.is_seal() {
        let kind = body.get(8).copied().and_then(SealKind::from_raw);
        return match kind.filter(|_| body.len() == 9) {
            Some(kind) => {
                let records = le_u64(body, 0);
                Parsed::Seal { index: seq, records, kind, taken: record.len() }
            }
            None => Parsed::Bad,
        };
    }
    // The constructor wants a known kind; the raw one may come from a newer version.
    let mut entry = LogEntry::raw(LogKind::Run, Nanos(le_u64(record, 16)), body);
    (entry.kind, entry.lane, entry.seq) = (kind, lane, seq);
    Parsed::Record(entry, record.len())
}

/// The `u32` at `at`; zero where `bytes` is shorter.
fn le_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

/// The `u64` at `at`; zero where `bytes` is shorter.
fn le_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(seq: u64, kind: u8, lane: u8, body: &[u8]) -> LogEntry {
        let mut e = LogEntry::raw(LogKind::Run, Nanos(9), body);
        (e.seq, e.kind, e.lane) = (seq, kind, lane);
        e
    }

    proptest! {
        #[test]
        fn records_read_back_and_any_changed_bit_is_seen(
            seq in any::<u64>(), kind in 0u8..255, lane in 0u8..16,
            body in proptest::collection::vec(any::<u8>(), 0..=BODY_MAX),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let e = entry(seq, kind, lane, &body);
            let mut out = [0xAA; RECORD_BYTES_MAX];
            let n = encode_entry(&e, &mut out).expect("room");
            prop_assert_eq!(n, entry_bytes(&e));
            let Parsed::Record(back, taken) = parse(&out) else {
                return Err(TestCaseError::fail("not a record"));
            };
            prop_assert_eq!((back.seq, back.kind, back.lane, back.at), (seq, kind, lane, e.at));
            prop_assert_eq!((back.body(), taken), (&body[..], n));
            out[at.index(n)] ^= 1 << bit;
            let seen = !matches!(parse(&out), Parsed::Record(..) | Parsed::Seal { .. });
            prop_assert!(seen);
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
            let _ = Header::decode(&bytes);
        }
    }

    #[test]
    fn headers_read_back() {
        let header = Header {
            epoch: RunEpoch(7),
            index: 3,
            created: Nanos(11),
            origin_unix_ns: -5,
            segment_bytes: 4096,
            previous_synced: None,
        };
        for previous_synced in [Some(0), Some(u64::MAX)] {
            let header = Header { previous_synced, ..header };
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
        let bytes = header.encode();
        assert_eq!(bytes[48..60], [0; 12], "as before there was such a field");
        assert_eq!(Header::decode(&bytes), Ok(header));
        assert_eq!(Header::decode(&bytes[..63]), Err(HeaderError::Short));
        assert_eq!(Header::decode(&[0; 64]), Err(HeaderError::Unused));
        for i in 0..HEADER_BYTES {
            let mut hurt = bytes;
            hurt[i] ^= 4;
            assert_eq!(Header::decode(&hurt), Err(HeaderError::Damaged), "byte {i}");
        }
    }

    #[test]
    fn the_checksums_of_lengths_are_the_library_s() {
        for (len, crc) in LEN_CRCS.iter().enumerate() {
            assert_eq!(*crc, crc32c::crc32c(&(len as u32).to_le_bytes()), "{len}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let header = Header {
            epoch: RunEpoch(1),
            index: 1,
            created: Nanos(0),
            origin_unix_ns: 0,
            segment_bytes: 4096,
            previous_synced: None,
        };
        let mut bytes = header.encode();
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Version(2)));
    }

    #[test]
    fn names_and_seals() {
        assert_eq!(file_name(1), "00000001.b4j");
        assert_eq!(index_of("00000012.b4j"), Some(12));
        for wrong in
            ["12.b4j", "00000000.b4j", "00000001.b4j.gz", "0000000x.b4j", "lock", RESERVE_NAME]
        {
            assert_eq!(index_of(wrong), None, "{wrong}");
        }
        let mut out = [0; SEAL_BYTES];
        for kind in [SealKind::GoesOn, SealKind::Last, SealKind::Recovered] {
            assert_eq!(encode_seal(2, Nanos(1), 40, kind, &mut out), Some(SEAL_BYTES));
            let Parsed::Seal { index: 2, records: 40, kind: read, .. } = parse(&out) else {
                panic!("not a seal of {kind:?}");
            };
            assert_eq!(read, kind);
        }
        assert_eq!(encode_seal(2, Nanos(1), 40, SealKind::Last, &mut out[..40]), None);
    }
}
