//! From the hot lane to the cold one: a single-producer ring of bytes.
//!
//! Invariant: a frame lies in the ring whole or not at all for the reader, and the ring always
//! keeps room for one loss record, so that a loss at the very end can be told too. Cost of a
//! push: two copies (24 bytes, the text) and one release store each.
//!
//! The lanes' own ring moves one message at a time; texts of any length need slices, so this
//! stands on `rtrb` directly. Ordering is rtrb's: release store of the written index, acquire
//! load by the reader.

use bot4_types::Nanos;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::head::{FrameHead, LOST_LEN, Lost, RECORD_HEAD_LEN, RecordHead};

/// Room that frames leave free for a loss record.
const RESERVE: usize = RECORD_HEAD_LEN + LOST_LEN;

/// A ring for frames: `bytes` of texts and heads. Allocates and touches all of it. A frame
/// longer than the ring (less 72 bytes) is always lost, so take several times the longest frame.
#[must_use]
pub fn link(bytes: usize) -> (CaptureTx, CaptureRx) {
    let (mut tx, mut rx) = RingBuffer::new(bytes.max(2 * RESERVE));
    // Touched here, so that no push meets a page for the first time.
    if let Ok(mut all) = tx.write_chunk(tx.buffer().capacity()) {
        let (a, b) = all.as_mut_slices();
        a.fill(0);
        b.fill(0);
        all.commit_all();
    }
    if let Ok(all) = rx.read_chunk(rx.slots()) {
        all.commit_all();
    }
    let tx = CaptureTx {
        ring: tx,
        lost: Lost::default(),
        last: (Nanos::ZERO, 0),
        frames: 0,
        lost_frames: 0,
        lost_bytes: 0,
    };
    (tx, CaptureRx { ring: rx })
}

/// The hot end.
#[derive(Debug)]
pub struct CaptureTx {
    ring: Producer<u8>,
    /// Lost since the last success.
    lost: Lost,
    /// Stamps of the last frame that was lost.
    last: (Nanos, i64),
    frames: u64,
    lost_frames: u64,
    lost_bytes: u64,
}

impl CaptureTx {
    /// Puts a frame into the ring; `head.len` is taken from `text`. False: no room, the frame is
    /// not captured and counted as lost.
    #[inline]
    pub fn push(&mut self, head: FrameHead, text: &[u8]) -> bool {
        let told = if self.lost.frames > 0 { RESERVE } else { 0 };
        let needed = RECORD_HEAD_LEN + text.len() + told + RESERVE;
        if self.ring.slots() < needed || u32::try_from(text.len()).is_err() {
            self.lose(&head, text.len());
            return false;
        }
        if told > 0 {
            self.tell_lost(head.recv, head.wall_unix_ns);
        }
        let head = FrameHead { len: text.len() as u32, ..head };
        // There is room: it was asked for above, and only the reader changes it, upwards.
        let pushed = self.ring.push_entire_slice(&head.encode()).is_ok()
            && self.ring.push_entire_slice(text).is_ok();
        debug_assert!(pushed, "room was checked");
        self.frames += 1;
        true
    }

    /// A frame of `len` bytes that nobody has the time to capture: counted as lost.
    pub fn skip(&mut self, head: &FrameHead, len: usize) {
        self.lose(head, len);
    }

    /// Frames captured so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames lost so far for want of room.
    #[must_use]
    pub const fn lost_frames(&self) -> u64 {
        self.lost_frames
    }

    /// Bytes of the lost frames' texts.
    #[must_use]
    pub const fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }

    /// Bytes that lie in the ring.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots()
    }

    #[cold]
    fn lose(&mut self, head: &FrameHead, len: usize) {
        self.lost.add(head.recv, len);
        self.last = (head.recv, head.wall_unix_ns);
        self.lost_frames += 1;
        self.lost_bytes = self.lost_bytes.saturating_add(len as u64);
    }

    #[cold]
    fn tell_lost(&mut self, at: Nanos, wall_unix_ns: i64) {
        let record = self.lost.encode(at, wall_unix_ns);
        if self.ring.push_entire_slice(&record).is_ok() {
            self.lost = Lost::default();
        }
    }
}

/// A loss at the end is told, too: frames always leave room for it.
impl Drop for CaptureTx {
    fn drop(&mut self) {
        if self.lost.frames > 0 {
            self.tell_lost(self.last.0, self.last.1);
        }
    }
}

/// What comes out of the ring. A text may lie in two pieces, one behind the other.
#[derive(Debug)]
pub enum Popped<'a> {
    /// A frame and its text.
    Frame(FrameHead, [&'a [u8]; 2]),
    /// Frames that found no room, and the time at which there was room again (engine, Unix ns).
    Lost(Lost, Nanos, i64),
}

/// The cold end.
#[derive(Debug)]
pub struct CaptureRx {
    ring: Consumer<u8>,
}

impl CaptureRx {
    /// Hands the oldest record to `take` and frees its room; `None` when there is none.
    pub fn pop<R>(&mut self, take: impl FnOnce(Popped<'_>) -> R) -> Option<R> {
        let waiting = self.ring.slots();
        let mut head = [0; RECORD_HEAD_LEN];
        // Not committed: the head stays in the ring until its text is there.
        copy_pieces(self.ring.read_chunk(RECORD_HEAD_LEN).ok()?.as_slices(), &mut head);
        // The writer is this crate: what is no head would be memory gone wrong.
        let (kind, head) = RecordHead::decode(&head)?;
        let len = head.len as usize;
        if waiting < RECORD_HEAD_LEN + len {
            // The head is there, the text not yet.
            return None;
        }
        let chunk = self.ring.read_chunk(RECORD_HEAD_LEN + len).ok()?;
        let (a, b) = chunk.as_slices();
        let text = match a.len().checked_sub(RECORD_HEAD_LEN) {
            Some(_) => [&a[RECORD_HEAD_LEN..], b],
            None => [&b[RECORD_HEAD_LEN - a.len()..], &[]],
        };
        let taken = match kind {
            RecordHead::Frame(head) => take(Popped::Frame(head, text)),
            RecordHead::Lost => {
                let mut bytes = [0; LOST_LEN];
                copy_pieces((text[0], text[1]), &mut bytes);
                take(Popped::Lost(Lost::decode(&bytes), head.recv, head.wall_unix_ns))
            }
        };
        chunk.commit_all();
        Some(taken)
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// The hot end is gone; what it pushed can still be popped.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// Fills `out` from two pieces that together hold as many bytes.
fn copy_pieces((a, b): (&[u8], &[u8]), out: &mut [u8]) {
    let first = a.len().min(out.len());
    out[..first].copy_from_slice(&a[..first]);
    let rest = out.len() - first;
    out[first..].copy_from_slice(&b[..rest]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_types::{ConnId, FrameKind};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn head(n: u64) -> FrameHead {
        FrameHead {
            recv: Nanos(n),
            wall_unix_ns: n as i64 + 5,
            conn: ConnId(n as u16),
            kind: FrameKind::Market,
            len: 0,
        }
    }

    #[derive(Debug, PartialEq)]
    enum Seen {
        Frame(u64, Vec<u8>),
        Lost(u64, u64),
    }

    fn pop(rx: &mut CaptureRx) -> Option<Seen> {
        rx.pop(|popped| match popped {
            Popped::Frame(head, text) => {
                assert_eq!(head.len as usize, text[0].len() + text[1].len());
                Seen::Frame(head.recv.0, text.concat())
            }
            Popped::Lost(lost, at, _) => {
                assert!(lost.since <= at && lost.by_recorder);
                Seen::Lost(lost.frames, lost.bytes)
            }
        })
    }

    proptest! {
        /// The naive twin is a queue with a count of bytes.
        #[test]
        fn behaves_like_a_bounded_queue(
            ops in proptest::collection::vec(prop::option::of(0usize..200), 1..300)
        ) {
            let capacity = 512;
            let (mut tx, mut rx) = link(capacity);
            let (mut twin, mut used) = (VecDeque::new(), 0);
            let (mut n, mut lost) = (0u64, (0u64, 0u64));
            for op in ops {
                if let Some(len) = op {
                    n += 1;
                    let text = vec![n as u8; len];
                    let told = if lost.0 > 0 { RESERVE } else { 0 };
                    let fits = used + RECORD_HEAD_LEN + len + told + RESERVE <= capacity;
                    prop_assert_eq!(tx.push(head(n), &text), fits);
                    if fits {
                        if told > 0 {
                            twin.push_back((Seen::Lost(lost.0, lost.1), RESERVE));
                            lost = (0, 0);
                        }
                        twin.push_back((Seen::Frame(n, text), RECORD_HEAD_LEN + len));
                        used += RECORD_HEAD_LEN + len + told;
                    } else {
                        lost = (lost.0 + 1, lost.1 + len as u64);
                    }
                } else {
                    let next = twin.pop_front();
                    used -= next.as_ref().map_or(0, |(_, size)| *size);
                    prop_assert_eq!(pop(&mut rx), next.map(|(seen, _)| seen));
                }
                prop_assert_eq!(tx.waiting(), used);
            }
            drop(tx);
            if lost.0 > 0 {
                twin.push_back((Seen::Lost(lost.0, lost.1), RESERVE));
            }
            while let Some((seen, _)) = twin.pop_front() {
                prop_assert_eq!(pop(&mut rx), Some(seen));
            }
            prop_assert_eq!(pop(&mut rx), None);
        }
    }

    #[test]
    fn two_threads_hand_over_every_frame() {
        let (mut tx, mut rx) = link(4_096);
        let reader = std::thread::Builder::new().spawn(move || {
            let (mut frames, mut lost, mut last) = (0u64, 0u64, 0u64);
            loop {
                let gone = rx.is_abandoned();
                match pop(&mut rx) {
                    Some(Seen::Frame(n, text)) => {
                        assert!(n > last && text.iter().all(|b| *b == n as u8));
                        (last, frames) = (n, frames + 1);
                    }
                    Some(Seen::Lost(n, _)) => lost += n,
                    None if gone => return (frames, lost),
                    None => std::thread::yield_now(),
                }
            }
        });
        for n in 1..=50_000u64 {
            tx.push(head(n), &vec![n as u8; (n % 300) as usize]);
        }
        let sent = (tx.frames(), tx.lost_frames());
        assert_eq!(sent.0 + sent.1, 50_000);
        drop(tx);
        assert_eq!(reader.expect("a thread").join().expect("no panic"), sent);
    }
}
