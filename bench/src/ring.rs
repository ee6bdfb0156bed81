//! What every message pays: a ring, a log entry. On one thread; the round trip between two is in
//! [`crate::trip`].

use std::hint::black_box;

use bot4_lanes::{Rx, Tx, ring};
use bot4_types::log::Body;
use bot4_types::{ExecMsg, LogEntry, LogKind, Nanos, Slot};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::case::Case;
use crate::gate::report_sample;

/// A message of one cache line; the first word numbers it.
pub type Message = [u64; 8];

/// Messages a ring or channel holds.
pub const CAPACITY: usize = 1_024;

/// Push and pop of the lanes' ring.
pub struct RingPushPop {
    tx: Tx<Message>,
    rx: Rx<Message>,
    n: u64,
}

impl Default for RingPushPop {
    fn default() -> Self {
        let (tx, rx) = ring(CAPACITY);
        Self { tx, rx, n: 0 }
    }
}

impl Case for RingPushPop {
    #[inline]
    fn call(&mut self) {
        self.n += 1;
        let pushed = self.tx.push(black_box([self.n; 8]));
        let popped = black_box(self.rx.pop());
        assert!(pushed.is_ok() && popped.is_some_and(|m| m[0] == self.n));
    }
}

/// Send and receive of a bounded crossbeam channel: the baseline.
pub struct ChannelPushPop {
    tx: Sender<Message>,
    rx: Receiver<Message>,
    n: u64,
}

impl Default for ChannelPushPop {
    fn default() -> Self {
        let (tx, rx) = bounded(CAPACITY);
        Self { tx, rx, n: 0 }
    }
}

impl Case for ChannelPushPop {
    #[inline]
    fn call(&mut self) {
        self.n += 1;
        let sent = self.tx.try_send(black_box([self.n; 8]));
        let received = black_box(self.rx.try_recv());
        assert!(sent.is_ok() && received.is_ok_and(|m| m[0] == self.n));
    }
}

/// A frame slot's way: wire to parse by one ring, back by another.
pub struct SlotRoundTrip {
    frames: (Tx<Slot>, Rx<Slot>),
    slots: (Tx<Slot>, Rx<Slot>),
    held: Option<Slot>,
}

impl Default for SlotRoundTrip {
    fn default() -> Self {
        Self { frames: ring(CAPACITY), slots: ring(CAPACITY), held: Some(Slot::new(64 * 1024)) }
    }
}

impl Case for SlotRoundTrip {
    #[inline]
    fn call(&mut self) {
        let slot = self.held.take().expect("one slot goes round");
        assert!(self.frames.0.push(black_box(slot)).is_ok());
        let read = black_box(self.frames.1.pop()).expect("just pushed");
        assert!(self.slots.0.push(read).is_ok());
        self.held = black_box(self.slots.1.pop());
    }
}

/// The same with crossbeam-channel `bounded`: the baseline.
pub struct SlotChannelTrip {
    frames: (Sender<Slot>, Receiver<Slot>),
    slots: (Sender<Slot>, Receiver<Slot>),
    held: Option<Slot>,
}

impl Default for SlotChannelTrip {
    fn default() -> Self {
        Self {
            frames: bounded(CAPACITY),
            slots: bounded(CAPACITY),
            held: Some(Slot::new(64 * 1024)),
        }
    }
}

impl Case for SlotChannelTrip {
    #[inline]
    fn call(&mut self) {
        let slot = self.held.take().expect("one slot goes round");
        assert!(self.frames.0.try_send(black_box(slot)).is_ok());
        let read = black_box(self.frames.1.try_recv()).expect("just sent");
        assert!(self.slots.0.try_send(read).is_ok());
        self.held = black_box(self.slots.1.try_recv()).ok();
    }
}

/// A report into a log entry of 256 bytes.
pub struct LogEncode {
    msg: ExecMsg,
    entry: LogEntry,
}

impl Default for LogEncode {
    fn default() -> Self {
        let msg = ExecMsg::Order(report_sample());
        Self { msg, entry: LogEntry::raw(LogKind::Run, Nanos(1), b"") }
    }
}

impl Case for LogEncode {
    #[inline]
    fn call(&mut self) {
        let msg = black_box(&self.msg);
        self.entry = LogEntry::new(LogKind::Report, Nanos(1), |w| msg.write(w));
        black_box(&self.entry);
    }
}

/// The copy of a ready entry: the least that a record can cost, and the baseline.
pub struct LogCopy {
    from: LogEntry,
    entry: LogEntry,
}

impl Default for LogCopy {
    fn default() -> Self {
        let msg = ExecMsg::Order(report_sample());
        let from = LogEntry::new(LogKind::Report, Nanos(1), |w| msg.write(w));
        Self { from, entry: from }
    }
}

impl Case for LogCopy {
    #[inline]
    fn call(&mut self) {
        self.entry = *black_box(&self.from);
        black_box(&self.entry);
    }
}
