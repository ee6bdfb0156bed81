//! The round trip of a message between two pinned threads that spin with a pause.
//!
//! The measuring thread is pinned to the last allowed CPU, the echoing one to the first. One
//! message is on its way at a time, so a trip is two hops of an empty ring. [`LinePort`] shows
//! what the machine itself takes: a cache line each way and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bot4_lanes::placement::allowed_cpus;
use bot4_lanes::{Rx, Tx, ring};
use core_affinity::CoreId;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::case::Case;
use crate::ring::{CAPACITY, Message};

/// One end of a two-way link.
pub trait Port: Send + Sized + 'static {
    /// Two ends that reach each other.
    fn pair() -> (Self, Self);
    /// Sends; there is room, since one message is on its way at most.
    fn send(&mut self, message: Message);
    /// Takes a message, if one is there.
    fn receive(&mut self) -> Option<Message>;
    /// The other end is gone.
    fn is_abandoned(&self) -> bool;
}

/// Two of the lanes' rings.
pub struct RingPort {
    tx: Tx<Message>,
    rx: Rx<Message>,
}

impl Port for RingPort {
    fn pair() -> (Self, Self) {
        let ((there, here), (back, home)) = (ring(CAPACITY), ring(CAPACITY));
        (Self { tx: there, rx: home }, Self { tx: back, rx: here })
    }

    #[inline]
    fn send(&mut self, message: Message) {
        let pushed = self.tx.push(message);
        assert!(pushed.is_ok(), "one message at a time");
    }

    #[inline]
    fn receive(&mut self) -> Option<Message> {
        self.rx.pop()
    }

    fn is_abandoned(&self) -> bool {
        self.rx.is_abandoned()
    }
}

/// Two bounded crossbeam channels: the baseline.
pub struct ChannelPort {
    tx: Sender<Message>,
    rx: Receiver<Message>,
    is_gone: bool,
}

impl Port for ChannelPort {
    fn pair() -> (Self, Self) {
        let ((there, here), (back, home)) = (bounded(CAPACITY), bounded(CAPACITY));
        let end = |tx, rx| Self { tx, rx, is_gone: false };
        (end(there, home), end(back, here))
    }

    #[inline]
    fn send(&mut self, message: Message) {
        // An error means that the other end is gone, which its loop notices by itself.
        let _ = self.tx.try_send(message);
    }

    #[inline]
    fn receive(&mut self) -> Option<Message> {
        match self.rx.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.is_gone = true;
                None
            }
        }
    }

    fn is_abandoned(&self) -> bool {
        self.is_gone
    }
}

/// One word alone on its line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// Two cache lines, a word each. Release stores pair with acquire loads.
pub struct LinePort {
    out: Arc<Line>,
    back: Arc<Line>,
    seen: u64,
}

impl Port for LinePort {
    fn pair() -> (Self, Self) {
        let lines = [Arc::<Line>::default(), Arc::default()];
        let [a, b] = lines.clone();
        let [out, back] = lines;
        (Self { out, back, seen: 0 }, Self { out: b, back: a, seen: 0 })
    }

    #[inline]
    fn send(&mut self, message: Message) {
        self.out.0.store(message[0], Ordering::Release);
    }

    #[inline]
    fn receive(&mut self) -> Option<Message> {
        let word = self.back.0.load(Ordering::Acquire);
        if word == self.seen {
            return None;
        }
        self.seen = word;
        Some([word; 8])
    }

    fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.back) == 1
    }
}

/// Empty looks of the echoing thread between two questions whether anyone is left.
const LOOKS: u32 = 4_096;

fn echo(mut port: impl Port) {
    let mut looks = 0u32;
    loop {
        if let Some(message) = port.receive() {
            port.send(message);
            looks = 0;
            continue;
        }
        looks += 1;
        if looks.is_multiple_of(LOOKS) && port.is_abandoned() {
            return;
        }
        std::hint::spin_loop();
    }
}

/// The two CPUs of a trip: of the measuring and of the echoing thread.
#[must_use]
pub fn cpus() -> Option<(usize, usize)> {
    let allowed = allowed_cpus();
    let (first, last) = (*allowed.first()?, *allowed.last()?);
    (first != last).then_some((last, first))
}

/// Pins the calling thread to `cpu`.
///
/// # Panics
/// When the kernel refuses: a figure of unpinned threads would be a wrong one.
pub fn pin(cpu: usize) {
    assert!(core_affinity::set_for_current(CoreId { id: cpu }), "CPU {cpu} is allowed");
}

/// One call is one round trip.
pub struct Trip<P> {
    cpu: usize,
    port: Option<P>,
    helper: Option<JoinHandle<()>>,
    n: u64,
}

impl<P: Port> Trip<P> {
    /// A trip to the CPU `cpu`; its thread exists between `enter` and `leave` only.
    #[must_use]
    pub const fn to(cpu: usize) -> Self {
        Self { cpu, port: None, helper: None, n: 0 }
    }
}

impl<P: Port> Case for Trip<P> {
    #[expect(clippy::disallowed_methods, reason = "a bare thread is the other end of the trip")]
    fn enter(&mut self) {
        let (here, there) = P::pair();
        let cpu = self.cpu;
        self.helper = Some(std::thread::spawn(move || {
            pin(cpu);
            echo(there);
        }));
        self.port = Some(here);
        // Answered once, the other thread runs and is pinned.
        self.call();
    }

    fn leave(&mut self) {
        self.port = None;
        if let Some(helper) = self.helper.take() {
            assert!(helper.join().is_ok(), "the echoing thread ended by itself");
        }
    }

    #[inline]
    fn call(&mut self) {
        let port = self.port.as_mut().expect("a trip is entered first");
        self.n += 1;
        port.send([self.n; 8]);
        loop {
            if let Some(message) = port.receive() {
                assert_eq!(message[0], self.n, "its own message comes back");
                return;
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_lanes::Clock;

    fn goes_round<P: Port>(cpu: usize) {
        let clock = Clock::start();
        let mut trip = Trip::<P>::to(cpu);
        for _ in 0..2 {
            trip.enter();
            assert!(trip.spent_ns(100, &clock) > 0);
            trip.leave();
        }
        assert_eq!(trip.n, 202);
    }

    #[test]
    fn every_port_brings_every_message_back() {
        let Some((_, there)) = cpus() else {
            println!("skipped: one CPU");
            return;
        };
        goes_round::<RingPort>(there);
        goes_round::<ChannelPort>(there);
        goes_round::<LinePort>(there);
    }
}
