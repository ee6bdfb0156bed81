//! What an agent may see of its rings within one turn: one sample, taken at the turn's start.
//!
//! ```text
//!   live    ring counts --sample--> gate --record--> log           the agent sees the sample,
//!   replay  record --force--------> gate  (once the ring has it)   less what it moved itself
//! ```
//! Without a gate an agent may see a message that arrived in the middle of its turn, and no
//! record could say when. All ends are sampled before the agent works, not each at its first use:
//! otherwise two agents could each see, in one turn, what the other made in that same turn, and no
//! order of whole turns would lead there. So whatever a turn sees was made by turns that began
//! before it, and a replay that runs whole turns, each as soon as its rings hold its sample, gets
//! through in any order.
//!
//! Ordering: each end counts what it moved, after the ring has it (release); the other end's
//! sample loads the count (acquire), so the ring grants at least what the sample says.
//! Cost: only rings made by [`gated_ring`] count, one store a message; the others pay a branch.

use bot4_types::turn::TURN_PORTS;

use crate::control::{Control, Phase};
use crate::ring::{Rx, Tx};
use crate::sync::{Arc, AtomicBool, AtomicU32, AtomicU64, Ordering, acquire, release};

pub use crate::ring::{gated_ring, roomy_ring};

/// Alone on its line: each has one writer.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// What both ends of a ring have moved.
#[derive(Debug)]
pub(crate) struct Meter {
    pushed: Line,
    popped: Line,
    capacity: u64,
}

impl Meter {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            pushed: Line::default(),
            popped: Line::default(),
            capacity: capacity as u64,
        })
    }
}

/// Which end of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Writes,
    Reads,
}

/// One end of a counted ring. Every word but the meter's is used by the end's own thread alone.
#[derive(Debug)]
pub(crate) struct Port {
    meter: Arc<Meter>,
    end: End,
    /// The end's agent is gated; otherwise it only counts.
    gated: AtomicBool,
    /// What is left of the turn's sample.
    left: AtomicU32,
    moved: AtomicU32,
    starved: AtomicBool,
}

impl Port {
    pub(crate) fn new(meter: Arc<Meter>, end: End) -> Arc<Self> {
        Arc::new(Self {
            meter,
            end,
            gated: AtomicBool::new(false),
            left: AtomicU32::new(0),
            moved: AtomicU32::new(0),
            starved: AtomicBool::new(false),
        })
    }

    /// How many may be moved now, where the ring itself would grant `granted`.
    pub(crate) fn left(&self, granted: impl FnOnce() -> usize) -> usize {
        if self.gated.load(Ordering::Relaxed) {
            self.left.load(Ordering::Relaxed) as usize
        } else {
            granted()
        }
    }

    /// `moved` of `asked` messages were moved. Fewer than asked, although the sample allowed
    /// them, is what only a replay can meet: its input is not there.
    pub(crate) fn book(&self, moved: usize, asked: usize) {
        let count = match self.end {
            End::Writes => &self.meter.pushed.0,
            End::Reads => &self.meter.popped.0,
        };
        count.store(count.load(Ordering::Relaxed) + moved as u64, release());
        if !self.gated.load(Ordering::Relaxed) {
            return;
        }
        let left = self.left.load(Ordering::Relaxed).saturating_sub(moved as u32);
        self.moved.store(self.moved.load(Ordering::Relaxed) + moved as u32, Ordering::Relaxed);
        if moved < asked {
            self.starved.store(true, Ordering::Relaxed);
            self.left.store(0, Ordering::Relaxed);
        } else {
            self.left.store(left, Ordering::Relaxed);
        }
    }

    /// What the ring holds for this end, by the counts.
    fn available(&self) -> u64 {
        let meter = &self.meter;
        match self.end {
            End::Writes => {
                let pushed = meter.pushed.0.load(Ordering::Relaxed); // own word
                meter.capacity - (pushed - meter.popped.0.load(acquire()))
            }
            End::Reads => {
                let popped = meter.popped.0.load(Ordering::Relaxed); // own word
                meter.pushed.0.load(acquire()) - popped
            }
        }
    }

    fn begin(&self, sample: u16) {
        self.left.store(u32::from(sample), Ordering::Relaxed);
        self.moved.store(0, Ordering::Relaxed);
        self.starved.store(false, Ordering::Relaxed);
    }
}

/// By ring end: messages waiting, or room.
pub type Samples = [u16; TURN_PORTS];

/// The gate of one agent: its ring ends in the order of the wiring, and its view of the control
/// word.
#[derive(Debug, Default)]
pub struct TurnGate {
    ports: Vec<(String, Arc<Port>)>,
    control: Option<Control>,
}

impl TurnGate {
    /// A gate without ring ends.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gates the reading end of link `name`.
    ///
    /// # Panics
    /// When the ring was not made by [`gated_ring`], or the agent has too many ends (wiring).
    pub fn reads<T>(&mut self, name: &str, rx: &Rx<T>) {
        self.add(name, rx.port());
    }

    /// Gates the writing end of link `name`.
    ///
    /// # Panics
    /// As [`reads`](Self::reads).
    pub fn writes<T>(&mut self, name: &str, tx: &Tx<T>) {
        self.add(name, tx.port());
    }

    fn add(&mut self, name: &str, port: Option<&Arc<Port>>) {
        let Some(port) = port else { panic!("link {name} is not counted") };
        assert!(self.ports.len() < TURN_PORTS, "link {name}: an agent has too many ring ends");
        port.gated.store(true, Ordering::Relaxed);
        self.ports.push((name.to_owned(), port.clone()));
    }

    /// A handle to the control word of `control` whose phase stands still within a turn.
    #[must_use]
    pub fn control(&mut self, control: &Control) -> Control {
        let gated = control.gated();
        self.control = Some(gated.clone());
        gated
    }

    /// Begins a live turn: takes the sample of every ring end and of the control word.
    pub fn sample(&self) -> (Samples, Phase) {
        let mut samples = [0; TURN_PORTS];
        for (sample, (_, port)) in samples.iter_mut().zip(&self.ports) {
            *sample = u16::try_from(port.available()).unwrap_or(u16::MAX);
            port.begin(*sample);
        }
        (samples, self.control.as_ref().map_or(Phase::Run, Control::sample))
    }

    /// Begins a turn as it was recorded.
    pub fn force(&self, samples: &Samples, phase: Phase) {
        for (sample, (_, port)) in samples.iter().zip(&self.ports) {
            port.begin(*sample);
        }
        if let Some(control) = &self.control {
            control.force(phase);
        }
    }

    /// The first link whose ring does not hold (or have room for) as much as `samples` says.
    #[must_use]
    pub fn lacks(&self, samples: &Samples) -> Option<&str> {
        self.lacking(samples).next()
    }

    /// Every link whose ring does not hold (or have room for) as much as `samples` says.
    pub fn lacking(&self, samples: &Samples) -> impl Iterator<Item = &str> {
        let short = |(sample, (_, port)): &(&u16, &(String, Arc<Port>))| {
            port.available() < u64::from(**sample)
        };
        samples.iter().zip(&self.ports).filter(short).map(|(_, (name, _))| name.as_str())
    }

    /// Messages moved in this turn, both ways.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.ports.iter().map(|(_, p)| u64::from(p.moved.load(Ordering::Relaxed))).sum()
    }

    /// The first link that did not grant, in this turn, what its sample allows.
    #[must_use]
    pub fn starved(&self) -> Option<&str> {
        let starved = self.ports.iter().find(|(_, p)| p.starved.load(Ordering::Relaxed));
        starved.map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_arrives_within_a_turn_is_seen_in_the_next() {
        let (mut tx, mut rx) = gated_ring(4);
        let mut gate = TurnGate::new();
        gate.reads("in", &rx);
        assert!(tx.push(1).is_ok());
        assert_eq!(gate.sample().0[0], 1);
        assert!(tx.push(2).is_ok());
        assert_eq!((rx.waiting(), rx.peek().copied()), (1, Some(1)));
        assert_eq!((rx.pop(), rx.pop(), rx.peek()), (Some(1), None, None));
        assert_eq!((gate.moved(), gate.starved()), (1, None));
        gate.sample();
        assert_eq!((gate.moved(), rx.pop()), (0, Some(2)));
    }

    #[test]
    fn room_that_is_made_within_a_turn_is_seen_in_the_next() {
        let (mut tx, mut rx) = gated_ring(2);
        let mut gate = TurnGate::new();
        gate.writes("out", &tx);
        assert_eq!(gate.sample().0[0], 2);
        assert!(tx.push(1).is_ok() && tx.push(2).is_ok());
        assert_eq!(rx.pop(), Some(1));
        assert_eq!((tx.room(), tx.push(3)), (0, Err(3)));
        assert_eq!((gate.sample().0[0], tx.push(3)), (1, Ok(())));
        assert_eq!(gate.moved(), 1);
    }

    #[test]
    fn a_forced_turn_waits_for_its_messages_and_says_what_it_lacks() {
        let (mut tx, mut rx) = gated_ring(4);
        let mut gate = TurnGate::new();
        gate.reads("in", &rx);
        let mut wanted = [0; TURN_PORTS];
        wanted[0] = 2;
        assert!(tx.push(1).is_ok());
        assert_eq!(gate.lacks(&wanted), Some("in"));
        gate.force(&wanted, Phase::Run);
        assert_eq!((rx.pop(), rx.pop(), gate.starved()), (Some(1), None, Some("in")));
        assert!(tx.push(2).is_ok() && tx.push(3).is_ok());
        assert_eq!(gate.lacks(&wanted), None);
        gate.force(&wanted, Phase::Run);
        assert_eq!((rx.pop(), rx.pop(), rx.pop()), (Some(2), Some(3), None));
        assert_eq!(gate.starved(), None);
    }

    #[test]
    fn the_phase_stands_still_within_a_turn() {
        let control = Control::new();
        let mut gate = TurnGate::new();
        let seen = gate.control(&control);
        assert_eq!((gate.sample().1, seen.phase()), (Phase::Run, Phase::Run));
        control.kill();
        assert_eq!(seen.phase(), Phase::Run);
        assert_eq!((gate.sample().1, seen.phase()), (Phase::Kill, Phase::Kill));
        gate.force(&[0; TURN_PORTS], Phase::Pause);
        assert_eq!(seen.phase(), Phase::Pause);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Begin,
        Push(u8),
        PushAll(Vec<u8>),
        PushSlice(Vec<u8>),
        Pop,
        PopInto(usize),
        PopWhile(usize, u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        let some = || proptest::collection::vec(any::<u8>(), 0..5);
        prop_oneof![
            2 => Just(Op::Begin),
            2 => any::<u8>().prop_map(Op::Push),
            1 => some().prop_map(Op::PushAll),
            1 => some().prop_map(Op::PushSlice),
            2 => Just(Op::Pop),
            1 => (0usize..5).prop_map(Op::PopInto),
            1 => (0usize..5, any::<u8>()).prop_map(|(n, stop)| Op::PopWhile(n, stop)),
        ]
    }

    /// A ring with a gate at each end.
    struct Machine {
        tx: Tx<u8>,
        rx: Rx<u8>,
        writer: TurnGate,
        reader: TurnGate,
    }

    impl Machine {
        fn new(capacity: usize) -> Self {
            let (tx, rx) = gated_ring(capacity);
            let (mut writer, mut reader) = (TurnGate::new(), TurnGate::new());
            writer.writes("out", &tx);
            reader.reads("in", &rx);
            Self { tx, rx, writer, reader }
        }

        /// Does `op`; how many messages it moved, and those that came out.
        fn act(&mut self, op: &Op) -> (usize, Vec<u8>) {
            let mut out = Vec::new();
            let moved = match op {
                Op::Begin => 0,
                Op::Push(v) => usize::from(self.tx.push(*v).is_ok()),
                Op::PushAll(vs) => self.tx.push_all(&mut vs.clone().into_iter()),
                Op::PushSlice(vs) => self.tx.push_slice(vs),
                Op::Pop => {
                    out.extend(self.rx.pop());
                    out.len()
                }
                Op::PopInto(max) => self.rx.pop_into(*max, |v| out.push(v)),
                Op::PopWhile(max, stop) => self.rx.pop_while(*max, |v| {
                    out.extend((v < stop).then_some(*v));
                    v < stop
                }),
            };
            (moved, out)
        }
    }

    /// The naive twin: a queue and what each end may still move in its turn.
    struct Twin {
        queue: Vec<u8>,
        room: usize,
        waiting: usize,
    }

    impl Twin {
        fn act(&mut self, op: &Op, capacity: usize) -> (usize, Vec<u8>) {
            let (given, taken) = match op {
                Op::Begin => {
                    (self.room, self.waiting) = (capacity - self.queue.len(), self.queue.len());
                    return (0, Vec::new());
                }
                Op::Push(v) => (vec![*v], 0),
                Op::PushAll(vs) | Op::PushSlice(vs) => (vs.clone(), 0),
                Op::Pop => (Vec::new(), 1),
                Op::PopInto(max) => (Vec::new(), *max),
                Op::PopWhile(max, stop) => {
                    let seen = self.queue.iter().take((*max).min(self.waiting));
                    (Vec::new(), seen.take_while(|v| *v < stop).count())
                }
            };
            let (given, taken) = (&given[..given.len().min(self.room)], taken.min(self.waiting));
            self.queue.extend(given);
            self.room -= given.len();
            self.waiting -= taken;
            (given.len() + taken, self.queue.drain(..taken).collect())
        }
    }

    proptest! {
        /// A second machine, forced with the samples of the first, answers alike. All ways to
        /// move messages obey the sample.
        #[test]
        fn every_way_to_move_obeys_the_sample_and_replays(
            ops in proptest::collection::vec(op(), 0..120)
        ) {
            let capacity = 6;
            let (mut live, mut replay) = (Machine::new(capacity), Machine::new(capacity));
            let mut twin = Twin { queue: Vec::new(), room: 0, waiting: 0 };
            for op in ops {
                let expected = twin.act(&op, capacity);
                if matches!(op, Op::Begin) {
                    let (w, r) = (live.writer.sample().0, live.reader.sample().0);
                    replay.writer.force(&w, Phase::Run);
                    replay.reader.force(&r, Phase::Run);
                }
                prop_assert_eq!(&live.act(&op), &expected);
                prop_assert_eq!(&replay.act(&op), &expected);
                prop_assert_eq!((live.rx.waiting(), live.tx.room()), (twin.waiting, twin.room));
                let next = twin.queue.first().copied().filter(|_| twin.waiting > 0);
                prop_assert_eq!(live.rx.peek().copied(), next);
            }
            prop_assert_eq!((replay.reader.starved(), replay.writer.starved()), (None, None));
        }
    }
}
