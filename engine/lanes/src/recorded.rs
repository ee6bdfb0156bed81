//! An agent whose turns are recorded, so that a replay can run them again.
//!
//! ```text
//!   gate.sample() -> agent.work(now) -> did anything? -> 32 bytes --up to seven--> journal
//! ```
//! A turn is recorded when it moved a message, when the agent says that it did something (a
//! timer, a wish that expired), when the phase it saw is another one, when it failed, and once a
//! second in any case: the reader then knows that nothing is missing. What an agent changes in a
//! turn that it calls empty must not depend on time (the engine's `tests/whole/replay_chain.rs`).
//!
//! Never waits: without room in its log link a record is lost, counted, and leaves a hole in the
//! numbers. Cost: a load for each ring end and turn, 32 bytes copied for a recorded one. No
//! allocation in `work`.

use std::any::Any;

use bot4_types::log::Body;
use bot4_types::turn::{TURN_BYTES, TURN_FAULT, TURN_START, TURNS_A_RECORD, TurnRecord};
use bot4_types::{LogEntry, LogKind, Nanos};

use crate::agent::{Agent, Fault};
use crate::control::Phase;
use crate::gate::TurnGate;
use crate::log_port::LogTx;
use crate::metrics::{Counters, Metrics};
use crate::probe::Probe;
use crate::shed::Shedding;

/// A turn is recorded at least this often.
pub const BEAT: Nanos = Nanos::from_secs(1);
/// Records wait at most this long for others to share their log record with.
const PACK_WAIT: Nanos = Nanos::from_millis(2);

/// What a log record holds of turns.
const PACK_BYTES: usize = TURNS_A_RECORD * TURN_BYTES;

/// Counters of a recorder, by index.
pub const COUNTER_NAMES: &[&str] = &["turns_recorded", "turns_lost"];
const RECORDED: usize = 0;
const LOST: usize = 1;

/// See the module.
pub struct Recorded {
    agent: Box<dyn Agent>,
    gate: TurnGate,
    log: LogTx,
    /// The agent's number in its records.
    index: u8,
    seq: u32,
    phase: Phase,
    last: Nanos,
    pack: [TurnRecord; TURNS_A_RECORD],
    packed: usize,
    /// What the pack takes in the log.
    bytes: usize,
    /// The turn under way; left behind by one that panics.
    open: Option<TurnRecord>,
    shedding: Shedding,
    counters: Counters,
}

impl Recorded {
    /// `agent`, whose ring ends `gate` holds, recorded as number `index` into `log`.
    #[must_use]
    pub fn new(
        agent: Box<dyn Agent>,
        gate: TurnGate,
        log: LogTx,
        index: u8,
        metrics: &Metrics,
    ) -> Self {
        Self {
            counters: metrics.counters(agent.role(), COUNTER_NAMES),
            agent,
            gate,
            log,
            index,
            seq: 0,
            phase: Phase::Run,
            last: Nanos::ZERO,
            pack: [TurnRecord::default(); TURNS_A_RECORD],
            packed: 0,
            bytes: 0,
            open: None,
            shedding: Shedding::default(),
        }
    }

    /// While `shedding` says so, turns are lost.
    #[must_use]
    pub fn with_shedding(mut self, shedding: Shedding) -> Self {
        self.shedding = shedding;
        self
    }

    fn take(&mut self, record: TurnRecord, now: Nanos) {
        self.last = now;
        self.seq += 1;
        if self.shedding.history() {
            return self.counters.add(LOST, 1);
        }
        let bytes = record.bytes();
        if self.bytes + bytes > PACK_BYTES && !self.flush(now) {
            return self.counters.add(LOST, 1);
        }
        self.pack[self.packed] = record;
        self.packed += 1;
        self.bytes += bytes;
        self.counters.add(RECORDED, 1);
    }

    /// Writes what is packed; false when the log has no room.
    fn flush(&mut self, now: Nanos) -> bool {
        if self.packed == 0 {
            return true;
        }
        let pack = &self.pack[..self.packed];
        let entry = LogEntry::new(LogKind::Turns, now, |w| pack.iter().for_each(|r| r.write(w)));
        let pushed = self.log.push(entry).is_ok();
        if pushed {
            (self.packed, self.bytes) = (0, 0);
        }
        pushed
    }

    fn flush_when_due(&mut self, now: Nanos) {
        let due = self.bytes == PACK_BYTES
            || (self.packed > 0 && now.since(self.pack[0].now) >= PACK_WAIT);
        if due {
            self.flush(now);
        }
    }
}

/// `agent` itself where its turns were recorded.
#[must_use]
pub fn unwrapped(agent: Box<dyn Agent>) -> Box<dyn Agent> {
    if !(agent.as_ref() as &dyn Any).is::<Recorded>() {
        return agent;
    }
    match (agent as Box<dyn Any>).downcast::<Recorded>() {
        Ok(recorded) => recorded.agent,
        Err(_) => unreachable!("asked above"),
    }
}

/// What a look at `agent` means: the agent whose turns are recorded, or itself.
#[must_use]
pub fn inside(agent: &dyn Agent) -> &dyn Any {
    let any: &dyn Any = agent;
    any.downcast_ref::<Recorded>().map_or(any, |recorded| recorded.agent.as_ref())
}

/// As [`inside`], to ask what needs it mutable.
pub fn inside_mut(agent: &mut dyn Agent) -> &mut dyn Any {
    let is_recorded = (agent as &dyn Any).is::<Recorded>();
    let any: &mut dyn Any = agent;
    if !is_recorded {
        return any;
    }
    match any.downcast_mut::<Recorded>() {
        Some(recorded) => recorded.agent.as_mut(),
        None => unreachable!("asked above"),
    }
}

impl Agent for Recorded {
    fn role(&self) -> &'static str {
        self.agent.role()
    }

    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        let (index, seq) = (self.index, self.seq);
        let record =
            TurnRecord { now, seq, agent: index, flags: TURN_START, ..TurnRecord::default() };
        self.take(record, now);
        self.flush(now);
        self.agent.start(now)
    }

    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
        let (samples, phase) = self.gate.sample();
        let (seq, agent) = (self.seq, self.index);
        let mut record =
            TurnRecord { now, seq, agent, flags: TurnRecord::flags_of(phase.raw()), samples };
        self.open = Some(record);
        let outcome = self.agent.work(now, probe);
        self.open = None;
        let idle = matches!(outcome, Ok(0)) && phase == self.phase && self.gate.moved() == 0;
        if !idle || now.since(self.last) >= BEAT {
            self.phase = phase;
            record.flags |= if outcome.is_err() { TURN_FAULT } else { 0 };
            self.take(record, now);
        }
        self.flush_when_due(now);
        outcome
    }

    fn close(&mut self, now: Nanos) {
        if let Some(record) = self.open.take() {
            self.take(TurnRecord { flags: record.flags | TURN_FAULT, ..record }, now);
        }
        self.flush(now);
        self.agent.close(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::gate::gated_ring;
    use crate::ring::{Rx, Tx, ring};
    use bot4_types::log::Reader;

    /// Passes on what it is given; fails or panics at a number.
    struct Relay {
        from: Rx<u64>,
        to: Tx<u64>,
        control: Control,
    }

    impl Agent for Relay {
        fn role(&self) -> &'static str {
            "relay"
        }
        fn work(&mut self, _: Nanos, _: &mut Probe) -> Result<usize, Fault> {
            let _ = self.control.phase();
            let Some(n) = self.from.pop() else { return Ok(0) };
            assert!(n != 666, "planted");
            if n == 555 {
                return Err(Fault { role: "relay", what: "planted".into() });
            }
            let _ = self.to.push(n);
            Ok(1)
        }
    }

    #[test]
    fn the_agent_is_found_inside_its_recorder() {
        let mut rig = rig(1);
        assert!(inside(&rig.agent).is::<Relay>() && inside_mut(&mut rig.agent).is::<Relay>());
        let bare = unwrapped(Box::new(rig.agent));
        assert!((bare.as_ref() as &dyn Any).is::<Relay>());
        let mut again = unwrapped(bare);
        assert!(inside(again.as_ref()).is::<Relay>() && inside_mut(again.as_mut()).is::<Relay>());
    }

    struct Rig {
        agent: Recorded,
        tx: Tx<u64>,
        log: Rx<LogEntry>,
        control: Control,
        metrics: Metrics,
    }

    fn rig(log_capacity: usize) -> Rig {
        let ((tx, from), (to, _)) = (gated_ring(64), gated_ring(64));
        let (log_tx, log) = ring(log_capacity);
        let (mut gate, control) = (TurnGate::new(), Control::new());
        gate.reads("in", &from);
        gate.writes("out", &to);
        let seen = gate.control(&control);
        let metrics = Metrics::in_memory();
        let relay = Box::new(Relay { from, to, control: seen });
        let agent = Recorded::new(relay, gate, LogTx::new(log_tx, 5), 3, &metrics);
        Rig { agent, tx, log, control, metrics }
    }

    impl Rig {
        fn turn(&mut self, ms: u64) -> Result<usize, Fault> {
            self.agent.work(Nanos::from_millis(ms), &mut Probe::logical())
        }

        fn records(&mut self) -> Vec<TurnRecord> {
            let mut all = Vec::new();
            while let Some(entry) = self.log.pop() {
                assert_eq!((entry.kind, entry.lane), (LogKind::Turns as u8, 5));
                let mut reader = Reader::over(entry.body());
                while let Some(record) = TurnRecord::read(&mut reader) {
                    all.push(record);
                }
                assert!(reader.rest().is_empty() && entry.body().len() % TURN_BYTES == 0);
            }
            all
        }
    }

    #[test]
    fn turns_that_did_something_are_recorded_with_what_they_saw() {
        let mut rig = rig(64);
        rig.agent.start(Nanos::from_millis(1)).expect("starts");
        for n in 0..3 {
            rig.tx.push(n).expect("room");
        }
        for ms in 2..10 {
            rig.turn(ms).expect("no fault");
        }
        rig.control.pause();
        rig.turn(10).expect("no fault");
        rig.turn(11).expect("no fault");
        rig.turn(1_010).expect("no fault");
        rig.agent.close(Nanos::from_millis(1_011));
        let told: Vec<_> = rig.records().iter().map(|r| (r.seq, r.now.millis(), r.flags)).collect();
        let start = (0, 1, TURN_START);
        assert_eq!(told, [start, (1, 2, 0), (2, 3, 0), (3, 4, 0), (4, 10, 3), (5, 1_010, 3)]);
    }

    #[test]
    fn samples_are_those_before_the_turn() {
        let mut rig = rig(64);
        rig.tx.push(1).expect("room");
        rig.tx.push(2).expect("room");
        rig.turn(1).expect("no fault");
        rig.turn(2).expect("no fault");
        rig.agent.close(Nanos::from_millis(9));
        let samples: Vec<_> = rig.records().iter().map(|r| (r.samples[0], r.samples[1])).collect();
        assert_eq!(samples, [(2, 64), (1, 63)]);
    }

    /// An agent with more ring ends than a part of a record holds: fewer of its turns go into one
    /// log record, and none is lost.
    #[test]
    fn turns_over_many_ring_ends_read_back() {
        let rings: Vec<(Tx<u64>, Rx<u64>)> = (0..20).map(|_| gated_ring(64)).collect();
        let (log_tx, mut log) = ring(64);
        let (mut tx, from) = gated_ring(64);
        let (mut gate, control, metrics) = (TurnGate::new(), Control::new(), Metrics::in_memory());
        gate.reads("in", &from);
        rings.iter().for_each(|(tx, _)| gate.writes("out", tx));
        let (to, _) = gated_ring(64);
        let seen = gate.control(&control);
        let relay = Box::new(Relay { from, to, control: seen });
        let mut agent = Recorded::new(relay, gate, LogTx::new(log_tx, 5), 3, &metrics);
        for n in 0..10 {
            tx.push(n).expect("room");
            agent.work(Nanos(n + 1), &mut Probe::logical()).expect("no fault");
        }
        agent.close(Nanos(99));
        let (mut seqs, mut packs) = (Vec::new(), 0);
        while let Some(entry) = log.pop() {
            packs += 1;
            let mut reader = Reader::over(entry.body());
            while let Some(record) = TurnRecord::read(&mut reader) {
                assert_eq!((record.samples[0], record.samples[1], record.samples[20]), (1, 64, 64));
                seqs.push(record.seq);
            }
            assert!(reader.rest().is_empty());
        }
        assert_eq!((seqs, packs), ((0..10).collect::<Vec<u32>>(), 4));
        assert_eq!(metrics.total("turns_lost"), 0);
    }

    #[test]
    fn lost_records_are_counted_and_leave_a_hole() {
        let mut rig = rig(1);
        for n in 0..16 {
            rig.tx.push(n).expect("room");
            rig.turn(1).expect("no fault");
        }
        let seqs: Vec<u32> = rig.records().iter().map(|r| r.seq).collect();
        assert_eq!(seqs, [0, 1, 2, 3, 4, 5, 6]);
        rig.tx.push(16).expect("room");
        rig.turn(1).expect("no fault");
        rig.agent.close(Nanos::from_millis(9));
        let seqs: Vec<u32> = rig.records().iter().map(|r| r.seq).collect();
        // Seven lay in the pack while the log was full; two turns behind them are lost.
        assert_eq!(seqs, [7, 8, 9, 10, 11, 12, 13]);
        assert_eq!(rig.metrics.total("turns_lost"), 2);
    }

    #[test]
    fn the_turn_of_a_fault_or_a_panic_is_the_last_and_marked() {
        let mut failing = rig(8);
        failing.tx.push(555).expect("room");
        assert!(failing.turn(1).is_err());
        failing.agent.close(Nanos::from_millis(2));
        assert!(failing.records().last().expect("one").is_fault());
        let mut panicking = rig(8);
        panicking.tx.push(666).expect("room");
        let turn = std::panic::AssertUnwindSafe(|| panicking.turn(1));
        assert!(std::panic::catch_unwind(turn).is_err());
        panicking.agent.close(Nanos::from_millis(2));
        let records = panicking.records();
        assert_eq!((records.len(), records[0].is_fault(), records[0].samples[0]), (1, true, 1));
    }
}
