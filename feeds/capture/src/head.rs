//! What is told of a frame, and how it lies in a ring and in a block: the same 24 bytes.

use bot4_types::{ConnId, FrameKind, Nanos};

/// Bytes of a record before its text.
pub const RECORD_HEAD_LEN: usize = 24;
/// Kind byte of a record that tells of lost frames.
const KIND_LOST: u8 = 16;
/// Text bytes of such a record.
pub(crate) const LOST_LEN: usize = 24;
/// Kinds by their byte.
const KINDS: [FrameKind; 6] = [
    FrameKind::Market,
    FrameKind::Snapshot,
    FrameKind::LineUp,
    FrameKind::LineDown,
    FrameKind::SwitchBegin,
    FrameKind::SwitchEnd,
];

/// A frame without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// When it was received, on the engine's clock. Starts anew with each session.
    pub recv: Nanos,
    /// The same as Unix time in ns.
    pub wall_unix_ns: i64,
    /// The connection it came by.
    pub conn: ConnId,
    /// What it is.
    pub kind: FrameKind,
    /// Length of the text in bytes.
    pub len: u32,
}

/// Frames that are not in the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many.
    pub frames: u64,
    /// Bytes of their texts; zero where nobody knows (damage).
    pub bytes: u64,
    /// Receive time of the first on the engine's clock; zero where nobody knows.
    pub since: Nanos,
    /// The recorder had no room for them; otherwise they were in a damaged or missing block.
    pub by_recorder: bool,
}

/// A record's head, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordHead {
    /// A frame; its text follows.
    Frame(FrameHead),
    /// A loss told at this time; [`LOST_LEN`] bytes follow.
    Lost,
}

impl FrameHead {
    pub(crate) fn encode(&self) -> [u8; RECORD_HEAD_LEN] {
        record_head(self.recv, self.wall_unix_ns, self.len, self.conn.0, self.kind as u8)
    }
}

impl Lost {
    /// Head and text of the record, stamped like the frame behind it.
    pub(crate) fn encode(&self, at: Nanos, wall_unix_ns: i64) -> [u8; RECORD_HEAD_LEN + LOST_LEN] {
        let mut out = [0; RECORD_HEAD_LEN + LOST_LEN];
        let head = record_head(at, wall_unix_ns, LOST_LEN as u32, 0, KIND_LOST);
        out[..24].copy_from_slice(&head);
        out[24..32].copy_from_slice(&self.frames.to_le_bytes());
        out[32..40].copy_from_slice(&self.bytes.to_le_bytes());
        out[40..48].copy_from_slice(&self.since.0.to_le_bytes());
        out
    }

    pub(crate) fn decode(text: &[u8; LOST_LEN]) -> Self {
        Self {
            frames: u64_at(text, 0),
            bytes: u64_at(text, 8),
            since: Nanos(u64_at(text, 16)),
            by_recorder: true,
        }
    }

    /// Counts one more frame of `len` bytes, received at `recv`.
    pub(crate) fn add(&mut self, recv: Nanos, len: usize) {
        if self.frames == 0 {
            self.since = recv;
            self.by_recorder = true;
        }
        self.frames += 1;
        self.bytes = self.bytes.saturating_add(len as u64);
    }
}

impl RecordHead {
    /// The head in these bytes; `None` when they are none.
    pub(crate) fn decode(bytes: &[u8; RECORD_HEAD_LEN]) -> Option<(Self, FrameHead)> {
        let kind = bytes[22];
        let len = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        let known = KINDS.get(kind as usize).copied();
        let head = FrameHead {
            recv: Nanos(u64_at(bytes, 0)),
            wall_unix_ns: u64_at(bytes, 8) as i64,
            conn: ConnId(u16::from_le_bytes([bytes[20], bytes[21]])),
            kind: known.unwrap_or(FrameKind::Market),
            len,
        };
        match kind {
            _ if bytes[23] != 0 => None,
            KIND_LOST if len as usize == LOST_LEN => Some((Self::Lost, head)),
            _ if known.is_some() => Some((Self::Frame(head), head)),
            _ => None,
        }
    }
}

fn record_head(recv: Nanos, wall: i64, len: u32, conn: u16, kind: u8) -> [u8; RECORD_HEAD_LEN] {
    let mut out = [0; RECORD_HEAD_LEN];
    out[..8].copy_from_slice(&recv.0.to_le_bytes());
    out[8..16].copy_from_slice(&wall.to_le_bytes());
    out[16..20].copy_from_slice(&len.to_le_bytes());
    out[20..22].copy_from_slice(&conn.to_le_bytes());
    out[22] = kind;
    out
}

/// The eight bytes at `at`; the callers' arrays hold them.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The four bytes at `at`; the callers' arrays hold them.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_read_back() {
        for (i, kind) in KINDS.into_iter().enumerate() {
            let head = FrameHead {
                recv: Nanos(u64::MAX - 3),
                wall_unix_ns: -7,
                conn: ConnId(513),
                kind,
                len: 70_000,
            };
            let bytes = head.encode();
            assert_eq!(bytes[22] as usize, i);
            assert_eq!(RecordHead::decode(&bytes), Some((RecordHead::Frame(head), head)));
        }
        let mut lost = Lost::default();
        lost.add(Nanos(9), 100);
        lost.add(Nanos(10), 50);
        let bytes = lost.encode(Nanos(11), 12);
        let (head, text) = bytes.split_first_chunk::<RECORD_HEAD_LEN>().expect("long enough");
        assert!(matches!(RecordHead::decode(head), Some((RecordHead::Lost, _))));
        let text = text.try_into().expect("of this length");
        assert_eq!(Lost::decode(text), lost);
        let told = (lost.frames, lost.bytes, lost.since, lost.by_recorder);
        assert_eq!(told, (2, 150, Nanos(9), true));
    }

    #[test]
    fn strange_heads_are_none() {
        let mut bytes = [0; RECORD_HEAD_LEN];
        for kind in KINDS.len() as u8..=255 {
            bytes[22] = kind;
            assert_eq!(RecordHead::decode(&bytes), None, "kind {kind}");
        }
        bytes[22] = 0;
        bytes[23] = 1;
        assert_eq!(RecordHead::decode(&bytes), None);
    }
}
