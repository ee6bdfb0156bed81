//! Every shared word, and the use of the rings, under every interleaving that the memory model
//! allows. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p bot4-lanes --test loom --release --target-dir target/loom`
//!
//! Each property is one function that runs on the code as it is, where it must hold, and with a
//! mistake planted into that same code ([`Mistake`]), where the model must find it. A model that
//! finds no mistake proves nothing.
#![cfg(loom)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use bot4_lanes::sync::{Mistake, plant};
use bot4_lanes::words::LaneWords;
use bot4_lanes::{Control, Journaled, LaneState, Metrics, Phase, TurnGate, gated_ring, ring};
use bot4_types::Nanos;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Plain memory that somebody publishes by a word: the model reports every unordered access.
#[derive(Clone)]
struct Plain(Arc<UnsafeCell<u32>>);

// SAFETY: that no two threads access it at a time is what the models check.
unsafe impl Send for Plain {}

impl Plain {
    fn new() -> Self {
        Self(Arc::new(UnsafeCell::new(0)))
    }

    fn write(&self, value: u32) {
        // SAFETY: the model checks that nobody else accesses the cell meanwhile.
        self.0.with_mut(|cell| unsafe { *cell = value });
    }

    fn read(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|cell| unsafe { *cell })
    }
}

fn holds(property: fn()) {
    plant(Mistake::None);
    loom::model(property);
}

/// Whether the model finds `mistake` in `property`.
fn finds(mistake: Mistake, property: fn()) -> bool {
    plant(mistake);
    let outcome = catch_unwind(AssertUnwindSafe(|| loom::model(property)));
    plant(Mistake::None);
    outcome.is_err()
}

fn holds_and_finds(property: fn()) {
    holds(property);
    assert!(finds(Mistake::RelaxedStore, property), "a relaxed store is not found");
    assert!(finds(Mistake::RelaxedLoad, property), "a relaxed load is not found");
}

/// Messages arrive once, in order, whole; a full ring hands the message back.
fn ring_in_order() {
    let (mut tx, mut rx) = ring::<u32>(2);
    let writer = thread::spawn(move || {
        for value in 1..=3 {
            while let Err(back) = tx.push(value) {
                assert_eq!(back, value);
                thread::yield_now();
            }
        }
    });
    let mut expected = 1;
    while expected <= 3 {
        if let Some(seen) = rx.peek().copied() {
            assert_eq!(seen, expected);
            assert_eq!(rx.pop(), Some(expected));
            expected += 1;
        } else {
            thread::yield_now();
        }
    }
    assert!(rx.pop().is_none());
    writer.join().expect("no panic");
}

#[test]
fn a_ring_delivers_in_order() {
    holds_and_finds(ring_in_order);
}

/// Chunks arrive once, in order, whole, and give their slots back for the next.
fn chunks_in_order() {
    let (mut tx, mut rx) = ring::<u32>(2);
    let writer = thread::spawn(move || {
        assert_eq!(tx.push_slice(&[1, 2]), 2, "an empty ring has room");
        let mut last = [3].into_iter();
        while tx.push_all(&mut last) == 0 {
            thread::yield_now();
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let taken = rx.pop_while(2, |message| {
            seen.push(*message);
            true
        });
        if taken == 0 {
            thread::yield_now();
        }
    }
    while rx.pop_into(2, |message| seen.push(message)) == 0 {
        thread::yield_now();
    }
    assert_eq!(seen, [1, 2, 3]);
    writer.join().expect("no panic");
}

#[test]
fn chunks_are_delivered_in_order() {
    holds_and_finds(chunks_in_order);
}

/// A ring grants at least what a gate's sample says, both ways.
fn a_gated_ring_grants() {
    let (mut tx, mut rx) = gated_ring::<u32>(1);
    let mut writes = TurnGate::new();
    writes.writes("out", &tx);
    let writer = thread::spawn(move || {
        let mut sent = 0;
        while sent < 2 {
            let (room, _) = writes.sample();
            for _ in 0..room[0] {
                assert!(tx.push(sent).is_ok(), "the sample said that there is room");
                sent += 1;
            }
            thread::yield_now();
        }
        assert_eq!(writes.starved(), None);
    });
    let mut reads = TurnGate::new();
    reads.reads("in", &rx);
    let mut seen = 0;
    while seen < 2 {
        let (waiting, _) = reads.sample();
        for _ in 0..waiting[0] {
            assert_eq!(rx.pop(), Some(seen), "the sample said that one waits");
            seen += 1;
        }
        thread::yield_now();
    }
    writer.join().expect("no panic");
}

#[test]
fn a_gated_ring_grants_its_sample() {
    holds_and_finds(a_gated_ring_grants);
}

/// The same for chunks: a sample is granted whole, in one push or pop.
fn a_gated_ring_grants_chunks() {
    let (mut tx, mut rx) = gated_ring::<u32>(2);
    let mut writes = TurnGate::new();
    writes.writes("out", &tx);
    let writer = thread::spawn(move || {
        let mut left = [1, 2, 3].into_iter();
        while left.len() > 0 {
            let (room, _) = writes.sample();
            let wanted = left.len().min(usize::from(room[0]));
            assert_eq!(tx.push_all(&mut left), wanted);
            thread::yield_now();
        }
        assert_eq!(writes.starved(), None);
    });
    let mut reads = TurnGate::new();
    reads.reads("in", &rx);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let (waiting, _) = reads.sample();
        let taken = rx.pop_while(2, |message| {
            seen.push(*message);
            true
        });
        assert_eq!((taken, rx.pop()), (usize::from(waiting[0]), None));
        thread::yield_now();
    }
    assert_eq!((seen, reads.starved()), (vec![1, 2, 3], None));
    writer.join().expect("no panic");
}

#[test]
fn a_gated_ring_grants_its_sample_in_chunks() {
    holds_and_finds(a_gated_ring_grants_chunks);
}

/// A slot goes out by one ring and comes home by another, as frames and level blocks do: its
/// bytes are never seen half written and the slot is never lost or doubled.
fn slot_round_trip() {
    let (mut frames, mut inbox) = ring::<Box<[u32; 2]>>(1);
    let (mut home, mut slots) = ring::<Box<[u32; 2]>>(1);
    assert!(home.push(Box::new([0, 0])).is_ok());
    let reader = thread::spawn(move || {
        for round in 1..=2 {
            let slot = loop {
                match inbox.pop() {
                    Some(slot) => break slot,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(*slot, [round, round]);
            assert!(home.push(slot).is_ok(), "one slot fits");
        }
    });
    for round in 1..=2 {
        let mut slot = loop {
            match slots.pop() {
                Some(slot) => break slot,
                None => thread::yield_now(),
            }
        };
        assert_eq!(*slot, [round - 1, round - 1]);
        *slot = [round, round];
        assert!(frames.push(slot).is_ok(), "one slot fits");
    }
    reader.join().expect("no panic");
    assert_eq!(slots.pop().map(|s| *s), Some([2, 2]), "the slot is home");
    assert!(slots.pop().is_none());
}

#[test]
fn a_slot_comes_home_by_the_return_ring() {
    holds_and_finds(slot_round_trip);
}

/// Whoever obeys the kill sees what its writer wrote before.
fn kill_publishes() {
    let (control, why) = (Control::new(), Plain::new());
    let (writer, reason) = (control.clone(), why.clone());
    let lane = thread::spawn(move || {
        reason.write(7);
        writer.kill();
    });
    if control.phase() == Phase::Kill {
        assert_eq!(why.read(), 7);
    }
    lane.join().expect("no panic");
    assert_eq!(control.phase(), Phase::Kill);
}

#[test]
fn the_kill_word_publishes_its_reason() {
    holds_and_finds(kill_publishes);
}

/// The same for an agent whose turns are sampled: it obeys what the sample took.
fn a_sampled_kill_publishes() {
    let (control, why) = (Control::new(), Plain::new());
    let mut gate = TurnGate::new();
    let seen = gate.control(&control);
    let (writer, reason) = (control, why.clone());
    let lane = thread::spawn(move || {
        reason.write(7);
        writer.kill();
    });
    let (_, sampled) = gate.sample();
    assert_eq!(seen.phase(), sampled, "the phase stands still within a turn");
    if seen.phase() == Phase::Kill {
        assert_eq!(why.read(), 7);
    }
    lane.join().expect("no panic");
    assert_eq!((seen.phase(), gate.sample().1), (sampled, Phase::Kill));
}

#[test]
fn a_sampled_kill_word_publishes_its_reason() {
    holds_and_finds(a_sampled_kill_publishes);
}

/// Two writers raise different bits; none undoes the other, and a kill seen stays.
#[test]
fn two_writers_of_the_kill_word_lose_nothing() {
    holds(|| {
        let control = Control::new();
        let (first, second) = (control.clone(), control.clone());
        let a = thread::spawn(move || first.kill());
        let b = thread::spawn(move || second.drain());
        let seen = control.phase();
        let later = control.phase();
        assert!(seen != Phase::Kill || later == Phase::Kill, "a latch fell");
        a.join().expect("no panic");
        b.join().expect("no panic");
        assert_eq!(control.phase(), Phase::Kill);
    });
}

/// A pause that falls while a kill is raised takes nothing else with it.
#[test]
fn a_pause_that_falls_leaves_the_kill() {
    holds(|| {
        let control = Control::new();
        control.pause();
        let other = control.clone();
        let lane = thread::spawn(move || other.kill());
        control.resume();
        lane.join().expect("no panic");
        assert_eq!(control.phase(), Phase::Kill);
    });
}

/// A person ends a halt while a lane fails: the fault's kill stays, whoever comes first.
#[test]
fn a_halt_that_ends_leaves_the_kill_of_a_fault() {
    holds(|| {
        let control = Control::new();
        control.halt();
        let other = control.clone();
        let lane = thread::spawn(move || other.kill());
        assert_eq!(control.phase(), Phase::Kill);
        control.end_halt();
        lane.join().expect("no panic");
        assert_eq!((control.phase(), control.has_failed()), (Phase::Kill, true));
    });
}

/// A wish to close what is held shows only together with its halt, and neither outlives a fault.
#[test]
fn a_wish_to_close_never_outlives_its_halt() {
    holds(|| {
        let control = Control::new();
        let (person, fault) = (control.clone(), control.clone());
        let a = thread::spawn(move || {
            person.flatten();
            person.end_halt();
            person.halt();
        });
        let b = thread::spawn(move || fault.kill());
        let seen = control.phase();
        assert!(matches!(seen, Phase::Run | Phase::Flatten | Phase::Kill), "{seen:?}");
        a.join().expect("no panic");
        b.join().expect("no panic");
        assert_eq!((control.phase(), control.has_failed()), (Phase::Kill, true));
    });
}

/// Whoever obeys the halt sees its reason; whoever trades again sees why it ended.
fn halt_publishes() {
    let (control, why) = (Control::new(), Plain::new());
    let (writer, reason) = (control.clone(), why.clone());
    let lane = thread::spawn(move || {
        reason.write(7);
        writer.halt();
    });
    if control.phase() == Phase::Kill {
        assert_eq!(why.read(), 7);
    }
    lane.join().expect("no panic");
    assert_eq!(control.phase(), Phase::Kill);
}

#[test]
fn the_halt_publishes_its_reason() {
    holds_and_finds(halt_publishes);
}

/// An order leaves only after its record's bytes lie in the segment.
fn journaled_publishes() {
    let (journaled, segment) = (Journaled::new(), Plain::new());
    let (journal, bytes) = (journaled.clone(), segment.clone());
    let lane = thread::spawn(move || {
        bytes.write(1);
        journal.publish(0, 1);
    });
    if journaled.get(0) >= 1 {
        assert_eq!(segment.read(), 1);
    }
    lane.join().expect("no panic");
    assert_eq!((journaled.get(0), journaled.get(1)), (1, 0));
}

#[test]
fn the_journaled_sequence_publishes_its_record() {
    holds_and_finds(journaled_publishes);
}

/// One writer loses no count; a reader sees counts that never fall.
#[test]
fn a_counter_with_one_writer_is_exact() {
    holds(|| {
        let counters = Metrics::in_memory().counters("lane", &["turns"]);
        let writer = thread::spawn(move || (0..3).for_each(|_| counters.add(0, 1)));
        let (first, second) = (counters.value(0), counters.value(0));
        assert!(first <= second && second <= 3, "{first} then {second}");
        writer.join().expect("no panic");
        assert_eq!(counters.value(0), 3);
    });
}

/// The mistake here is a second writer: adds are not locked, so counts get lost, and the model
/// must show it.
#[test]
fn a_second_writer_of_a_counter_is_found() {
    let shared = || {
        let counters = Metrics::in_memory().counters("lane", &["turns"]);
        let other = thread::spawn(move || counters.add(0, 1));
        counters.add(0, 1);
        other.join().expect("no panic");
        assert_eq!(counters.value(0), 2);
    };
    assert!(finds(Mistake::None, shared), "a lost count is not found");
}

/// Who asks for a stop has his writes seen by the lane that stops.
fn stop_publishes() {
    let (words, wish) = (Arc::new(LaneWords::default()), Plain::new());
    let (lane, seen) = (words.clone(), wish.clone());
    let lane = thread::spawn(move || {
        if lane.stop_asked() {
            assert_eq!(seen.read(), 3);
        }
    });
    wish.write(3);
    words.ask_stop();
    lane.join().expect("no panic");
}

/// A state seen brings thread id and CPU, told before, and what the lane built, with it.
fn state_publishes() {
    let (words, built) = (Arc::new(LaneWords::default()), Plain::new());
    let (lane, making) = (words.clone(), built.clone());
    let lane = thread::spawn(move || {
        making.write(5);
        lane.tell_tid(42);
        lane.tell_cpu(1);
        lane.tell_state(LaneState::Running);
    });
    if words.state() == LaneState::Running {
        assert_eq!((words.tid(), words.cpu(), built.read()), (42, 1, 5));
    }
    lane.join().expect("no panic");
}

#[test]
fn lane_words_publish() {
    holds_and_finds(stop_publishes);
    holds_and_finds(state_publishes);
}

/// The heartbeat orders nothing, but it never runs backwards.
#[test]
fn the_heartbeat_never_falls() {
    holds(|| {
        let words = Arc::new(LaneWords::default());
        let lane = words.clone();
        let lane = thread::spawn(move || (1..=3).for_each(|t| lane.beat(Nanos(t))));
        let (first, second) = (words.heartbeat(), words.heartbeat());
        assert!(first <= second && second <= Nanos(3));
        lane.join().expect("no panic");
        assert_eq!(words.heartbeat(), Nanos(3));
    });
}

/// Who sees a gauge sees what its writer told before it.
fn a_gauge_publishes() {
    const NAMES: &[&str] = &["why", "raised"];
    let counters = Metrics::in_memory().counters("risk", NAMES);
    let writer = thread::spawn(move || {
        counters.set(0, 7);
        counters.set(1, 1);
    });
    if counters.value(1) == 1 {
        assert_eq!(counters.value(0), 7);
    }
    writer.join().expect("no panic");
}

#[test]
fn a_gauge_publishes_its_reason() {
    holds_and_finds(a_gauge_publishes);
}

/// A block is read whole, by what was written once or not at all, or not.
fn a_block_is_whole() {
    let block = Metrics::in_memory().block("book", "a", 2);
    let writer = thread::spawn(move || block.write(&[1, 1]));
    let mut seen = [9; 2];
    if block.read(&mut seen) {
        assert!(seen == [0, 0] || seen == [1, 1], "torn: {seen:?}");
    }
    writer.join().expect("no panic");
    assert!(block.read(&mut seen) && seen == [1, 1]);
}

#[test]
fn a_block_is_read_whole_or_not() {
    holds_and_finds(a_block_is_whole);
}
