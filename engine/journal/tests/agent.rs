//! The agent over the real disk and over a disk that fails.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use bot4_journal::segment::{HEADER_BYTES, Header};
use bot4_journal::store::{Area, DirStore, Flush, Prepared, Store};
use bot4_journal::{
    JournalAgent, JournalConfig, JournalError, JournalWriter, Reader, dump, dump_order,
    order_story, stat, verify,
};
use bot4_lanes::{Agent, Clock, Control, Journaled, LogTx, Metrics, Phase, Probe, ring};
use bot4_types::log::{Body, Refusal};
use bot4_types::{LogEntry, LogKind, Nanos, OrderId, RefuseReason, RunEpoch, Wall};

const MS: u64 = 1_000_000;

fn config(dir: &Path, segment_bytes: usize, helper: bool) -> JournalConfig {
    let mut config = JournalConfig::new(dir.to_owned(), RunEpoch(5), Wall::default());
    (config.segment_bytes, config.helper) = (segment_bytes, helper);
    config
}

struct Rig {
    agent: JournalAgent,
    logs: Vec<LogTx>,
    journaled: Journaled,
    metrics: Metrics,
    probe: Probe,
    now: u64,
}

impl Rig {
    fn over(writer: JournalWriter) -> Self {
        let (metrics, journaled) = (Metrics::in_memory(), Journaled::new());
        let (txs, rxs): (Vec<_>, Vec<_>) = (0..2).map(|_| ring(64)).unzip();
        let logs = txs.into_iter().enumerate().map(|(i, tx)| LogTx::new(tx, i as u8)).collect();
        let mut agent = JournalAgent::over(writer, rxs, journaled.clone(), &metrics);
        agent.start(Nanos(0)).expect("start");
        Self { agent, logs, journaled, metrics, probe: Probe::logical(), now: 0 }
    }

    fn at(dir: &Path, segment_bytes: usize, helper: bool) -> Self {
        Self::over(JournalWriter::open(&config(dir, segment_bytes, helper)).expect("open"))
    }

    fn turn(&mut self, step: u64) -> Result<usize, String> {
        self.now += step;
        self.agent.work(Nanos(self.now), &mut self.probe).map_err(|f| f.to_string())
    }

    /// False when the ring is full.
    fn log(&mut self, lane: usize, order: u64) -> bool {
        let refusal = Refusal { order: OrderId(order), reason: RefuseReason::Tick };
        let entry = LogEntry::new(LogKind::Refused, Nanos(self.now), |w| refusal.write(w));
        self.logs[lane].push(entry).is_ok()
    }
}

#[test]
fn records_are_published_once_they_are_in_the_segment() {
    for helper in [false, true] {
        let dir = tempfile::tempdir().expect("dir");
        let mut rig = Rig::at(dir.path(), 4096, helper);
        let mut sent = [0u64; 2];
        // Helpers live in real time, inline jobs in the test's.
        let clock = Clock::monotonic();
        let mut round = 0;
        while round < 400 || (helper && rig.now < 300 * MS) {
            round += 1;
            for (lane, count) in sent.iter_mut().enumerate() {
                if rig.log(lane, round) {
                    *count += 1;
                }
            }
            let step = if helper { clock.now().0 - rig.now } else { MS };
            rig.turn(step).expect("turn");
            std::thread::yield_now();
            for lane in 0..2 {
                assert!(rig.journaled.get(lane) <= sent[usize::from(lane)]);
                if !helper {
                    // Inline, the next segment is always there: nothing ever waits.
                    assert_eq!(rig.journaled.get(lane), sent[usize::from(lane)]);
                }
            }
        }
        rig.agent.close(Nanos(rig.now));
        assert_eq!(rig.agent.failure(), None);
        for lane in 0..2 {
            assert_eq!(rig.journaled.get(lane), sent[usize::from(lane)], "drained at the end");
        }
        let (stats, report) = (rig.agent.stats(), verify(dir.path()).expect("readable"));
        assert!(report.is_clean(), "{report}");
        assert_eq!((stats.records, stats.lost), (sent[0] + sent[1], 0));
        assert_eq!((report.records, u64::from(report.segments)), (stats.records, stats.segments));
        assert_eq!(rig.metrics.total("journal_records"), stats.records);
        assert!(stats.segments > 3 && stats.syncs > 3, "{stats:?}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).expect("list").collect();
        assert_eq!(left.len() as u64, stats.segments + 1, "segments and the lock, no spare");
    }
}

#[test]
fn two_engines_cannot_share_a_directory() {
    let dir = tempfile::tempdir().expect("dir");
    let first = JournalWriter::open(&config(dir.path(), 4096, false)).expect("open");
    let second = JournalWriter::open(&config(dir.path(), 4096, false));
    assert!(matches!(second, Err(JournalError::Locked(_))));
    drop(first);
    let third = JournalWriter::open(&config(dir.path(), 4096, false));
    assert!(matches!(third, Err(JournalError::NotEmpty(_))), "another run's segments are kept");
}

#[test]
fn a_gap_in_a_lane_is_counted_and_found_again() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut tx, rx) = ring(64);
    let (metrics, journaled) = (Metrics::in_memory(), Journaled::new());
    let config = config(dir.path(), 4096, false);
    let mut agent =
        JournalAgent::new(&config, vec![rx], journaled.clone(), &metrics).expect("open");
    agent.start(Nanos(0)).expect("start");
    for seq in [1, 2, 5, 6] {
        let mut entry = LogEntry::raw(LogKind::Turn, Nanos(1), b"");
        entry.seq = seq;
        tx.push(entry).expect("room");
    }
    agent.work(Nanos(1), &mut Probe::logical()).expect("turn");
    agent.close(Nanos(2));
    assert_eq!((agent.stats().lost, journaled.get(0)), (2, 6));
    let report = verify(dir.path()).expect("readable");
    assert!(!report.is_sound() && report.missing() == 2, "{report}");
}

#[test]
fn a_miswired_lane_stops_the_engine() {
    let dir = tempfile::tempdir().expect("dir");
    let mut rig = Rig::at(dir.path(), 4096, false);
    let (tx, rx) = ring(4);
    let mut wrong = LogTx::new(tx, 9);
    wrong.push(LogEntry::raw(LogKind::Turn, Nanos(1), b"")).expect("room");
    let config = config(&dir.path().join("other"), 4096, false);
    let writer = JournalWriter::open(&config).expect("open");
    rig.agent = JournalAgent::over(writer, vec![rx], Journaled::new(), &rig.metrics);
    rig.agent.start(Nanos(0)).expect("start");
    assert!(rig.turn(MS).expect_err("fault").contains("miswired"));
}

/// What the failing disk does.
#[derive(Default)]
struct Faults {
    sync_fails: AtomicBool,
    create_fails: AtomicBool,
    sync_hangs: AtomicBool,
    /// Syncs that went well.
    synced: AtomicU64,
}

struct FailingStore {
    inner: DirStore,
    faults: Arc<Faults>,
    /// A hanging sync waits for the sender to go away.
    release: Arc<std::sync::Mutex<mpsc::Receiver<()>>>,
}

struct FailingFlush {
    inner: Arc<dyn Flush>,
    faults: Arc<Faults>,
    release: Arc<std::sync::Mutex<mpsc::Receiver<()>>>,
}

impl Store for FailingStore {
    fn create(&mut self, index: u32) -> io::Result<Prepared> {
        if self.faults.create_fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(28)); // ENOSPC
        }
        let Prepared { index, area, flush } = self.inner.create(index)?;
        let (faults, release) = (Arc::clone(&self.faults), Arc::clone(&self.release));
        let area: Box<dyn Area> = area;
        Ok(Prepared {
            index,
            area,
            flush: Arc::new(FailingFlush { inner: flush, faults, release }),
        })
    }

    fn create_reserve(&mut self, bytes: usize) -> io::Result<Prepared> {
        self.inner.create_reserve(bytes)
    }

    fn discard(&mut self, index: u32) -> io::Result<()> {
        self.inner.discard(index)
    }
}

impl Flush for FailingFlush {
    fn sync(&self) -> io::Result<()> {
        if self.faults.sync_hangs.load(Ordering::SeqCst) {
            let _ = self.release.lock().expect("one waits").recv();
        }
        if self.faults.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5)); // EIO
        }
        self.inner.sync()?;
        self.faults.synced.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }
}

fn failing(dir: &Path, helper: bool) -> (Rig, Arc<Faults>, mpsc::Sender<()>) {
    failing_with(dir, helper, 0)
}

fn failing_with(
    dir: &Path,
    helper: bool,
    reserve_bytes: usize,
) -> (Rig, Arc<Faults>, mpsc::Sender<()>) {
    let faults = Arc::new(Faults::default());
    let (hold, release) = mpsc::channel();
    let release = Arc::new(std::sync::Mutex::new(release));
    let mut store = || -> Box<dyn Store> {
        let inner = DirStore::new(dir.to_owned(), 4096);
        let (faults, release) = (Arc::clone(&faults), Arc::clone(&release));
        Box::new(FailingStore { inner, faults, release })
    };
    let config = JournalConfig { reserve_bytes, ..config(dir, 4096, helper) };
    let writer = JournalWriter::over(&config, &mut store, None).expect("open");
    (Rig::over(writer), faults, hold)
}

#[test]
fn an_error_of_the_disk_is_a_fault_and_nothing_after_it_is_lost() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, faults, _hold) = failing(dir.path(), false);
    faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(rig.log(0, 1));
    let fault = (0..20).find_map(|_| rig.turn(MS).err()).expect("a fault");
    assert!(fault.contains("No record, no trade"), "{fault}");
    // Cancels that follow are still written.
    assert!(rig.log(1, 1));
    rig.agent.close(Nanos(rig.now));
    assert!(rig.agent.failure().is_some());
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_sound() && report.records == 2, "{report}");
}

#[test]
fn a_full_disk_is_a_fault_while_there_is_room_for_the_cancels() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, faults, _hold) = failing(dir.path(), false);
    faults.create_fails.store(true, Ordering::SeqCst);
    // Segment 2 was prepared at start; when it is begun, segment 3 cannot be.
    let fault = (0..500).find_map(|n| {
        assert!(rig.log(0, n));
        rig.turn(MS).err()
    });
    assert!(fault.as_deref().is_some_and(|f| f.contains("free space")), "{fault:?}");
    let before = rig.journaled.get(0);
    while rig.logs[0].room() > 60 {
        assert!(rig.log(0, 7));
    }
    rig.agent.close(Nanos(rig.now));
    assert_eq!(rig.journaled.get(0), rig.logs[0].last_seq());
    assert!(rig.journaled.get(0) > before);
    assert!(verify(dir.path()).expect("readable").is_sound());
}

/// The agent of a whole engine: trouble latches the kill, and the agent goes on.
fn guarded(dir: &Path, reserve_bytes: usize) -> (Rig, Arc<Faults>, mpsc::Sender<()>, Control) {
    let (mut rig, faults, hold) = failing_with(dir, false, reserve_bytes);
    let control = Control::new();
    rig.agent = rig.agent.with_control(control.clone());
    (rig, faults, hold, control)
}

#[test]
fn a_full_disk_latches_the_kill_and_the_cancels_go_into_the_reserve() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, faults, _hold, control) = guarded(dir.path(), 4096);
    faults.create_fails.store(true, Ordering::SeqCst);
    let killed_at = (1..500u64).find(|n| {
        assert!(rig.log(0, *n));
        rig.turn(MS).expect("no fault");
        control.phase() == Phase::Kill
    });
    assert!(killed_at.is_some_and(|n| n < 100), "when segment 3 could not be made: {killed_at:?}");
    assert!(rig.agent.failure().is_some_and(|f| f.contains("free space")));
    // Until the rest of segment 2 and the whole reserve are full, everything is written.
    let before = rig.logs[0].last_seq();
    let fault = (0..500).find_map(|n| {
        assert!(rig.log(0, n), "the agent takes what comes");
        rig.turn(MS).err()
    });
    assert!(fault.is_some_and(|f| f.contains("no next one")));
    assert!(rig.journaled.get(0) > before + 140, "84 records fit in a segment");
    rig.agent.close(Nanos(rig.now));
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.records, report.segments), (rig.journaled.get(0), 3));
    assert!(dir.path().join("reserve.b4j").exists(), "the reserve is part of the journal");
}

#[test]
fn a_run_that_needs_no_reserve_leaves_none() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, ..) = guarded(dir.path(), 4096);
    assert!(dir.path().join("reserve.b4j").exists());
    assert!(rig.log(0, 1));
    rig.turn(MS).expect("no fault");
    rig.agent.close(Nanos(rig.now));
    assert!(!dir.path().join("reserve.b4j").exists());
    assert!(verify(dir.path()).expect("readable").is_clean());
}

#[test]
fn a_failed_sync_latches_the_kill_and_the_journal_goes_on_in_a_new_segment() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, faults, _hold, control) = guarded(dir.path(), 4096);
    faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(rig.log(0, 1));
    let killed = (0..20).any(|_| {
        rig.turn(MS).expect("no fault");
        control.phase() == Phase::Kill
    });
    assert!(killed && rig.agent.failure().is_some_and(|f| f.contains("sync")));
    faults.sync_fails.store(false, Ordering::SeqCst);
    assert!(rig.log(1, 1));
    rig.turn(MS).expect("no fault");
    rig.agent.close(Nanos(rig.now));
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_clean() && report.records == 2, "{report}");
    assert_eq!(report.segments, 2, "one record in each: {report}");
}

#[test]
fn the_note_of_a_failed_sync_reaches_the_disk_without_another_record() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, faults, _hold, control) = guarded(dir.path(), 4096);
    faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(rig.log(0, 1));
    let killed = (0..20).any(|_| rig.turn(MS).is_ok() && control.phase() == Phase::Kill);
    assert_eq!((killed, rig.agent.stats().segments), (true, 2));
    faults.sync_fails.store(false, Ordering::SeqCst);
    let before = faults.synced.load(Ordering::SeqCst);
    (0..20).for_each(|_| assert!(rig.turn(MS).is_ok()));
    assert_eq!(faults.synced.load(Ordering::SeqCst), before + 1, "the new segment's header");
    rig.agent.close(Nanos(rig.now));
}

/// The note of a failed sync is itself synced; where that fails, too, no segment is begun for it.
#[test]
fn a_disk_that_refuses_every_sync_takes_a_segment_for_each_record_at_most() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, faults, _hold, _control) = guarded(dir.path(), 4096);
    faults.sync_fails.store(true, Ordering::SeqCst);
    for order in 1..=3 {
        assert!(rig.log(0, order));
        (0..100).for_each(|_| assert!(rig.turn(MS).is_ok()));
        assert_eq!(rig.agent.stats().segments, 1 + order);
    }
    rig.agent.close(Nanos(rig.now));
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.records, report.unsynced), (3, 3), "{report}");
}

/// Somebody who asks whether a journal is in use does not keep its owner out.
#[test]
fn a_look_at_the_lock_keeps_nobody_out() {
    let dir = tempfile::tempdir().expect("dir");
    let mut rig = Rig::at(dir.path(), 4096, false);
    assert!(rig.log(0, 1));
    rig.agent.close(Nanos(rig.now));
    drop(rig);
    let (over, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|s| {
        s.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let _ = bot4_journal::is_in_use(dir.path());
                looks.fetch_add(1, Ordering::SeqCst);
            }
        });
        let recover = |()| bot4_journal::recover(dir.path(), &mut |_, _| {}).map(drop);
        let attempts = std::iter::from_fn(|| (looks.load(Ordering::SeqCst) < 10_000).then_some(()));
        let refused = attempts.map(recover).find_map(Result::err);
        over.store(true, Ordering::SeqCst);
        assert!(refused.is_none(), "{}", refused.expect("one"));
    });
}

/// A synced record, one behind a failed sync, and one in the segment after it.
fn failed_behind_a_record(dir: &Path) {
    let (mut rig, faults, _hold, control) = guarded(dir, 4096);
    assert!(rig.log(0, 1));
    (0..20).for_each(|_| assert!(rig.turn(MS).is_ok()));
    faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(rig.log(0, 2));
    (0..20).for_each(|_| assert!(rig.turn(MS).is_ok()));
    assert_eq!(control.phase(), Phase::Kill);
    faults.sync_fails.store(false, Ordering::SeqCst);
    assert!(rig.log(1, 1));
    rig.turn(MS).expect("no fault");
    rig.agent.close(Nanos(rig.now));
}

#[test]
fn what_lies_behind_a_failed_sync_is_known_and_its_loss_is_no_damage() {
    let dir = tempfile::tempdir().expect("dir");
    failed_behind_a_record(dir.path());
    let items: Vec<_> = Reader::open(dir.path()).expect("readable").flatten().collect();
    let synced: Vec<_> = items.iter().map(|r| (r.segment, r.synced)).collect();
    assert_eq!(synced, [(1, true), (1, false), (2, true)]);
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_clean() && report.unsynced == 1, "{report}");

    // The disk never got the page, and the machine was started again.
    let first = dir.path().join("00000001.b4j");
    let mut bytes = std::fs::read(&first).expect("read");
    bytes[items[1].offset as usize..].fill(0);
    std::fs::write(&first, bytes).expect("written");
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_sound() && !report.is_clean(), "{report}");
    assert_eq!((report.records, report.unsynced, report.damage_count), (2, 0, 0), "{report}");
    let lost = report.lost_unsynced.as_ref().expect("a loss");
    assert_eq!((lost.offset, &lost.file), (items[1].offset, &first));
    let recovery = bot4_journal::recover(dir.path(), &mut |_, _| {}).expect("recovered");
    assert!(recovery.found.is_sound() && recovery.cut.is_none());

    // The same hole without the note is damage; so is one before the noted place.
    let second = dir.path().join("00000002.b4j");
    let noted = std::fs::read(&second).expect("read");
    let mut header = Header::decode(&noted).expect("a header");
    assert_eq!(header.previous_synced, Some(items[1].offset));
    for previous_synced in [None, Some(items[1].offset + 8)] {
        header.previous_synced = previous_synced;
        let mut bytes = noted.clone();
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        std::fs::write(&second, bytes).expect("written");
        let report = verify(dir.path()).expect("readable");
        assert!(!report.is_sound() && report.damage_count == 1, "{previous_synced:?}: {report}");
    }
}

#[test]
fn a_close_without_room_ends_and_says_so() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, faults, _hold) = failing(dir.path(), false);
    faults.create_fails.store(true, Ordering::SeqCst);
    let fault = (0..500).find_map(|n| {
        rig.log(0, n);
        rig.turn(MS).err()
    });
    assert!(fault.is_some());
    // A segment holds at most 84 of these records: two full rings do not fit in its rest.
    for n in 0..128 {
        rig.log((n % 2) as usize, n);
    }
    rig.agent.close(Nanos(rig.now));
    let journaled = rig.journaled.get(0) + rig.journaled.get(1);
    let report = verify(dir.path()).expect("readable");
    assert_eq!(report.records, journaled, "what is published is there");
    let all = rig.logs[0].last_seq() + rig.logs[1].last_seq();
    assert!(journaled < all && rig.agent.failure().is_some());
}

#[test]
fn a_silent_disk_is_a_fault_after_250_ms_of_turns() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut rig, faults, hold) = failing(dir.path(), true);
    faults.sync_hangs.store(true, Ordering::SeqCst);
    assert!(rig.log(0, 1));
    rig.turn(MS).expect("appended");
    rig.turn(10 * MS).expect("sync asked");
    // One long turn is the lane's own fault, not the disk's.
    rig.turn(0).expect("first look");
    rig.turn(10_000 * MS).expect("a suspended lane does not blame the disk");
    let turns = (0..1000).take_while(|_| rig.turn(MS).is_ok()).count();
    assert!((150..=250).contains(&turns), "{turns} turns of a millisecond");
    assert_eq!(rig.journaled.get(0), 1, "what was written stays published");
    drop(hold);
    rig.agent.close(Nanos(rig.now));
    assert!(rig.agent.failure().is_some_and(|f| f.contains("no answer")));
    assert_eq!(verify(dir.path()).expect("readable").records, 1);
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let bytes = |dir: &Path| {
        let mut rig = Rig::at(dir, 4096, false);
        for n in 0..300 {
            rig.log((n % 2) as usize, n);
            rig.turn(n * 1000).expect("turn");
        }
        rig.agent.close(Nanos(rig.now));
        let mut names: Vec<_> =
            std::fs::read_dir(dir).expect("list").map(|e| e.expect("entry").path()).collect();
        names.sort();
        names.iter().map(|p| std::fs::read(p).expect("read")).collect::<Vec<_>>()
    };
    let (a, b) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    assert_eq!(bytes(a.path()), bytes(b.path()));
}

#[test]
fn a_person_can_ask_what_happened() {
    let dir = tempfile::tempdir().expect("dir");
    let mut rig = Rig::at(dir.path(), 1 << 16, false);
    for order in 1..=3 {
        assert!(rig.log(0, order));
    }
    rig.turn(MS).expect("turn");
    rig.agent.close(Nanos(rig.now));
    let (mut all, mut one) = (Vec::new(), Vec::new());
    assert_eq!(dump(dir.path(), &mut all).expect("dump"), (3, 0));
    assert_eq!(dump_order(dir.path(), OrderId(2), &mut one).expect("dump"), (1, 0));
    let line: serde_json::Value = serde_json::from_slice(&one).expect("a JSON line");
    assert_eq!((&line["kind"], &line["body"]["reason"]), (&"refused".into(), &"tick".into()));
    assert_eq!(line["body"]["client_id"], "b400000500000002");
    assert!(order_story(dir.path(), OrderId(2)).expect("story").contains("refused"));
    assert!(order_story(dir.path(), OrderId(9)).expect("story").contains("not in this journal"));
    let stat = stat(dir.path()).expect("stat");
    assert_eq!((stat.records.values().sum::<u64>(), stat.closed, stat.flaws), (3, true, 0));
}

/// A person ends a segment between two records: nothing is lost, the segments before are whole
/// files, rings that come together are one, and a segment without records is left as it is.
#[test]
fn a_segment_is_ended_when_a_person_asks_for_it() {
    for helper in [false, true] {
        let dir = tempfile::tempdir().expect("dir");
        let mut rig = Rig::at(dir.path(), 16 * 1024, helper);
        let control = Control::new();
        rig.agent = rig.agent.with_control(control.clone());
        control.rotations().ring();
        rig.turn(MS).expect("turn");
        assert_eq!(rig.agent.stats().segments, 1, "there was nothing to end");
        let clock = Clock::monotonic();
        for round in 1..=4u64 {
            (0..5).for_each(|n| assert!(rig.log(0, round * 10 + n)));
            rig.turn(MS).expect("turn");
            control.rotations().ring();
            control.rotations().ring();
            let (begun, wanted) = (clock.now(), round + 1);
            while rig.agent.stats().segments < wanted && clock.now().since(begun).0 < 5_000 * MS {
                rig.turn(MS / 10).expect("turn");
                std::thread::yield_now();
            }
            rig.turn(MS / 10).expect("turn");
            assert_eq!(rig.agent.stats().segments, wanted, "once, and the answers were waited for");
        }
        assert_eq!(rig.metrics.total("journal_rotations"), 4);
        rig.agent.close(Nanos(rig.now));
        let second = verify(&dir.path().join("00000002.b4j")).expect("readable");
        // By itself it lacks the five records of the file before, and nothing else.
        assert_eq!((second.records, second.missing(), second.damage_count), (5, 5, 0), "{second}");
        let report = verify(dir.path()).expect("readable");
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.records, rig.agent.stats().lost), (20, 0));
    }
}

/// Records that never pause hold no person up.
#[test]
fn a_segment_is_ended_while_every_turn_has_work() {
    let dir = tempfile::tempdir().expect("dir");
    let mut rig = Rig::at(dir.path(), 1 << 16, false);
    let control = Control::new();
    rig.agent = rig.agent.with_control(control.clone());
    control.rotations().ring();
    for order in 1..=20 {
        assert!(rig.log(0, order));
        assert!(rig.turn(MS / 10).expect("turn") > 0, "it has work");
    }
    assert_eq!((rig.agent.stats().segments, rig.metrics.total("journal_rotations")), (2, 1));
    rig.agent.close(Nanos(rig.now));
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_clean() && report.records == 20, "{report}");
}
