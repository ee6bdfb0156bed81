//! A copy of every frame that the parser takes, in the order it takes them, for the capture.
//!
//! Invariant: the copy never waits. Without room it is not made; the capture tells how many are
//! missing and before which frame. Cost: a copy of the bytes; no allocation, lock or system call.

use bot4_capture::{CaptureTx, FrameHead};
use bot4_lanes::{Counters, Metrics, Shedding};
use bot4_types::{Frame, Wall};

/// Counters of a tee, by index.
pub const COUNTER_NAMES: &[&str] = &["frames_captured", "frames_capture_bytes", "frames_lost"];
const CAPTURED: usize = 0;
const BYTES: usize = 1;
const LOST: usize = 2;

/// See the module.
#[derive(Debug)]
pub struct Tee {
    tx: CaptureTx,
    wall: Wall,
    counters: Counters,
    shedding: Shedding,
}

impl Tee {
    /// A tee into `tx` that counts for the parser called `role`.
    #[must_use]
    pub fn new(tx: CaptureTx, wall: Wall, role: &'static str, metrics: &Metrics) -> Self {
        let counters = metrics.counters(role, COUNTER_NAMES);
        Self { tx, wall, counters, shedding: Shedding::default() }
    }

    /// While `shedding` says so, frames are lost.
    #[must_use]
    pub fn with_shedding(mut self, shedding: Shedding) -> Self {
        self.shedding = shedding;
        self
    }

    /// Copies `frame`, if there is room.
    #[inline]
    pub fn copy(&mut self, frame: &Frame) {
        let len = (frame.len as usize).min(frame.slot.capacity());
        let head = FrameHead {
            recv: frame.received(),
            wall_unix_ns: self.wall.unix_ns(frame.received()),
            conn: frame.conn,
            kind: frame.kind,
            len: len as u32,
        };
        if self.shedding.history() {
            self.tx.skip(&head, len);
            self.counters.add(LOST, 1);
        } else if self.tx.push(head, frame.slot.bytes(len)) {
            self.counters.add(CAPTURED, 1);
            self.counters.add(BYTES, len as u64);
        } else {
            self.counters.add(LOST, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_capture::{Popped, link};
    use bot4_types::{ConnId, FrameKind, Nanos, Slot};

    #[test]
    fn frames_are_copied_and_what_finds_no_room_is_counted() {
        let metrics = Metrics::in_memory();
        let (tx, mut rx) = link(4_096);
        let mut tee = Tee::new(tx, Wall { origin_unix_ns: 1_000 }, "parse.0", &metrics);
        let mut slot = Slot::new(8_192);
        slot.bytes_mut()[..5].copy_from_slice(b"hello");
        let (t0, conn) = (Nanos(7), ConnId(3));
        let mut frame = Frame { slot, t0, len: 5, kernel_ns: 0, conn, kind: FrameKind::Market };
        tee.copy(&frame);
        frame.len = 8_000;
        tee.copy(&frame);
        let seen = rx.pop(|popped| match popped {
            Popped::Frame(head, text) => Some((head, text.concat())),
            Popped::Lost(..) => None,
        });
        let (head, text) = seen.flatten().expect("a frame");
        assert_eq!(
            (head.recv, head.wall_unix_ns, head.conn, head.kind),
            (t0, 1_007, conn, frame.kind)
        );
        assert_eq!(text, b"hello");
        assert!(rx.pop(|_| ()).is_none());
        assert_eq!((metrics.total("frames_captured"), metrics.total("frames_lost")), (1, 1));
    }
    #[test]
    fn under_pressure_frames_are_lost_and_the_capture_says_so() {
        let (metrics, shedding) = (Metrics::in_memory(), Shedding::default());
        let (tx, mut rx) = link(4_096);
        let tee = Tee::new(tx, Wall::default(), "parse.0", &metrics);
        let mut tee = tee.with_shedding(shedding.clone());
        let (slot, conn) = (Slot::new(64), ConnId(3));
        let frame =
            Frame { slot, t0: Nanos(7), len: 5, kernel_ns: 0, conn, kind: FrameKind::Market };
        shedding.set(bot4_lanes::shed::HISTORY);
        tee.copy(&frame);
        assert!(rx.pop(|_| ()).is_none());
        shedding.set(0);
        tee.copy(&frame);
        assert_eq!((metrics.total("frames_captured"), metrics.total("frames_lost")), (1, 1));
        let lost = rx.pop(|popped| match popped {
            Popped::Lost(lost, ..) => lost.frames,
            Popped::Frame(..) => 0,
        });
        assert_eq!(lost, Some(1), "before the next frame");
    }
}
