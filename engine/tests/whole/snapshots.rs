//! A snapshot and the rest of a journal say what the whole journal says, wherever the snapshot was
//! made; and what does not fit the journal is not relied on.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use bot4::recovery::{self, Fold, Snapshot};
use bot4::sim;
use bot4_journal::remove::SNAPSHOT_NAME;
use bot4_journal::segment::{encode_entry, file_name};
use bot4_journal::{
    JournalConfig, JournalRepository, JournalWriter, LaneReport, Prefix, Query, Reader, Record,
    Repository as _,
};
use bot4_types::rng::SplitMix64;
use bot4_types::{LogKind, Nanos, RunEpoch, Wall};
use tempfile::TempDir;

const EPOCH: RunEpoch = RunEpoch(5);

/// The records of a run of the stepper.
fn records(options: &sim::Options) -> Vec<Record> {
    let dir = folder();
    sim::play_into(options, dir.path()).expect("it runs");
    let journal = Reader::open(&dir.path().join("journal")).expect("a journal");
    journal.map(|r| r.expect("sound")).collect()
}

/// A folder in memory where there is one: these tests are about bytes, not about disks.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a folder")
}

fn encoded(fold: &Fold) -> Vec<u8> {
    postcard::to_allocvec(fold).expect("it encodes")
}

fn fold_of(records: &[Record]) -> Fold {
    let mut fold = Fold::default();
    records.iter().for_each(|record| fold.take(record));
    fold
}

#[test]
fn at_any_record() {
    let (mut checked, mut fills, mut unfinished) = (0, 0, 0);
    for seed in 1..=6 {
        let all = records(&sim::Options::swarm(seed, 40_000));
        let whole = fold_of(&all);
        let (risk, _) = whole.risk().expect("what it started from");
        assert!(!whole.is_broken(), "seed {seed}");
        checked += risk.checked();
        (fills, unfinished) =
            (fills + whole.fills().count(), unfinished + whole.unfinished().len());
        let mut rng = SplitMix64::new(seed);
        for _ in 0..6 {
            let (before, behind) = all.split_at(rng.below(all.len() as u64 + 1) as usize);
            let kept = encoded(&fold_of(before));
            let mut fold: Fold = postcard::from_bytes(&kept).expect("it decodes");
            assert_eq!(encoded(&fold), kept, "seed {seed}: it decodes to what it was");
            behind.iter().for_each(|record| fold.take(record));
            assert!(encoded(&fold) == encoded(&whole), "seed {seed} at {}", before.len());
        }
    }
    println!("{checked} intents, {fills} fills, {unfinished} orders without an end");
    assert!(checked > 200 && fills > 50, "{checked} intents, {fills} fills");
}

/// `records` as the journal of a writer that died.
fn written(records: &[Record], dir: &Path) {
    let mut config = JournalConfig::new(dir.to_owned(), EPOCH, Wall::default());
    (config.segment_bytes, config.helper) = (8 * 1024, false);
    let mut writer = JournalWriter::open(&config).expect("open");
    writer.begin(Nanos(1)).expect("begin");
    for Record { entry, .. } in records {
        while !writer.append(entry, entry.at).expect("append") {}
        writer.turn(entry.at).expect("turn");
    }
}

/// A copy of the journal in `dir`, which recovering may change.
fn copied(dir: &Path) -> TempDir {
    let copy = folder();
    for file in std::fs::read_dir(dir).expect("a journal").flatten() {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copied");
    }
    copy
}

/// A snapshot of the first `segments`, written into `dir`.
fn snapshot(dir: &Path, segments: u32) -> Prefix {
    let (mut prefix, mut fold) = (Prefix::new(EPOCH), Fold::default());
    for _ in 0..segments {
        prefix.extend(dir, &mut |record| fold.take(record)).expect("finished");
    }
    Snapshot::write(dir, &prefix, &fold).expect("written");
    prefix
}

/// What a start finds in a copy of `dir`, and how it came there.
fn found(dir: &Path) -> (String, Vec<u8>, String) {
    let copy = copied(dir);
    let found = recovery::recover(copy.path(), true, &mut |_, _| {}).expect("readable");
    let report = format!("{:?}", found.recovery);
    let report = report.replace(&copy.path().display().to_string(), "");
    let told = found.told.into_iter().chain(found.warned).collect::<Vec<_>>();
    (report, encoded(&found.fold.expect("wanted")), told.join("; "))
}

/// The journal of one of two runs, which are made once.
fn a_journal(which: usize) -> (&'static [Record], TempDir, u32) {
    static MADE: [OnceLock<Vec<Record>>; 2] = [OnceLock::new(), OnceLock::new()];
    let made = || records(&sim::Options::calm(3 + which as u64, 40_000));
    let (all, dir) = (MADE[which].get_or_init(made), folder());
    written(all, dir.path());
    let report = bot4_journal::verify(dir.path()).expect("readable");
    assert!(report.is_sound() && !report.closed && report.segments > 4, "{report}");
    let lanes: Vec<&LaneReport> = report.lanes.values().collect();
    assert!(lanes.len() >= 3, "{lanes:?}");
    (all, dir, report.segments)
}

#[test]
fn behind_any_segment_a_start_finds_the_same() {
    for which in [0, 1] {
        let (_, dir, segments) = a_journal(which);
        let (report, fold, told) = found(dir.path());
        assert_eq!(told, "", "no snapshot, no word");
        for n in 1..segments {
            let prefix = snapshot(dir.path(), n);
            let (again, same, told) = found(dir.path());
            let first = format!("a snapshot of the first {}", prefix.records());
            assert!(told.contains(&first), "segment {n}: {told}");
            assert_eq!(again, report, "segment {n}");
            assert!(same == fold, "segment {n}");
        }
        let (mut prefix, mut n) = (Prefix::new(EPOCH), 0);
        while prefix.extend(dir.path(), &mut |_| ()).is_ok() {
            n += 1;
        }
        assert_eq!(n, segments - 1, "the last one is not finished");
    }
}

/// Reads the whole journal and says why, and finds what it finds without the snapshot.
fn is_not_relied_on(dir: &Path, why: &str) {
    let (report, fold, told) = found(dir);
    assert!(told.contains("the whole journal is read") && told.contains(why), "{why}: {told}");
    let bare = copied(dir);
    std::fs::remove_file(bare.path().join(SNAPSHOT_NAME)).expect("it was there");
    let (without, same, _) = found(bare.path());
    assert_eq!(report, without, "{why}");
    assert!(fold == same, "{why}");
}

#[test]
fn what_does_not_fit_the_journal_is_not_relied_on() {
    let (all, dir, segments) = a_journal(0);
    snapshot(dir.path(), segments - 1);
    let path = dir.path().join(SNAPSHOT_NAME);
    let sound = std::fs::read(&path).expect("a snapshot");
    let mut rng = SplitMix64::new(1);
    for n in 0..40 {
        let mut hurt = sound.clone();
        let at = if n < 24 { n } else { rng.below(sound.len() as u64) as usize };
        hurt[at] ^= 1 << rng.below(8);
        assert!(
            std::fs::write(&path, &hurt).is_ok() && Snapshot::read(dir.path()).is_err(),
            "{at}"
        );
    }
    is_not_relied_on(dir.path(), "checksum");
    std::fs::write(&path, &sound[..sound.len() - 9]).expect("written");
    is_not_relied_on(dir.path(), "its end is missing");

    // Another run's, however sound.
    let (_, other, _) = a_journal(1);
    snapshot(other.path(), 2);
    std::fs::copy(other.path().join(SNAPSHOT_NAME), &path).expect("copied");
    is_not_relied_on(dir.path(), "it is not the segment that was summed up");
    std::fs::write(&path, &sound).expect("written");
    assert!(found(dir.path()).2.contains("a snapshot of the first"), "the sound one stands");

    // A record that says something else, under its right checksum: the journal has the word.
    let fill = all.iter().filter(|r| r.entry.kind == LogKind::Learned as u8).nth(3);
    let changed = Reader::open(dir.path()).expect("a journal").flatten();
    let changed = changed.filter(|r| r.entry.seq == fill.expect("one").entry.seq);
    let changed = changed.filter(|r| r.entry.kind == LogKind::Learned as u8).last().expect("there");
    let segment = dir.path().join(file_name(changed.segment));
    let bytes = std::fs::read(&segment).expect("a segment");
    let mut entry = changed.entry;
    entry.body[usize::from(entry.len) - 1] ^= 1;
    let mut other = bytes.clone();
    encode_entry(&entry, &mut other[changed.offset as usize..]).expect("room");
    std::fs::write(&segment, &other).expect("written");
    is_not_relied_on(dir.path(), "it is not the segment that was summed up");

    // Damage where the snapshot would not have to look.
    let mut hurt = bytes.clone();
    hurt[changed.offset as usize + 40] ^= 1;
    std::fs::write(&segment, &hurt).expect("written");
    is_not_relied_on(dir.path(), &file_name(changed.segment));
    assert!(found(dir.path()).0.contains("Damage"), "and it is told");
    std::fs::write(&segment, &bytes).expect("written");

    std::fs::remove_file(dir.path().join(file_name(2))).expect("removed");
    is_not_relied_on(dir.path(), "it cannot be read");
}

/// A rest that the snapshot does not lead on to: a snapshot whose state is not its records'.
#[test]
fn a_state_that_the_rest_does_not_follow_from_is_not_relied_on() {
    let (_, dir, segments) = a_journal(1);
    let (mut prefix, mut fold) = (Prefix::new(EPOCH), Fold::default());
    let mut left_out = false;
    for _ in 0..segments / 2 {
        let extended = prefix.extend(dir.path(), &mut |record| {
            let mark = record.entry.kind == LogKind::Mark as u8;
            if mark && !left_out && prefix_is_over_the_start(record) {
                left_out = true;
                return;
            }
            fold.take(record);
        });
        extended.expect("finished");
    }
    assert!(left_out);
    // The lane's own numbers gave it away already; the same is true of one that does not count.
    Snapshot::write(dir.path(), &prefix, &fold).expect("written");
    let (_, _, told) = found(dir.path());
    assert!(told.contains("does not lead on to the rest: the whole journal is read"), "{told}");
    let (_, fold, _) = found(dir.path());
    assert!(fold == encoded(&recovery::whole(dir.path()).expect("readable")));
}

fn prefix_is_over_the_start(record: &Record) -> bool {
    record.entry.lane == bot4::topology::LOG_RISK && record.entry.seq > 50
}

/// Orders and fills by the fold, and by the repository that reads everything for each question.
#[test]
fn orders_and_fills_are_those_of_the_repository() {
    for which in [0, 1] {
        let (_, dir, _) = a_journal(which);
        let (fold, store) =
            (recovery::whole(dir.path()).expect("readable"), JournalRepository::new(dir.path()));
        let orders = store.orders(&Query::ALL).expect("readable");
        assert_eq!(fold.approved(), orders.len() as u64);
        let open: Vec<_> = orders.iter().filter(|o| o.ended.is_none()).collect();
        assert_eq!(fold.unfinished().collect::<Vec<_>>(), open);
        assert!(orders.iter().all(|row| fold.order(row.order) == Some(row)), "each as it is");
        let fills = store.fills(&Query::ALL).expect("readable");
        let trades: BTreeSet<_> = fills.iter().map(|r| (r.instrument, r.trade_id)).collect();
        assert!(!trades.is_empty() && fold.fills().eq(trades.iter().copied()));
        assert!(trades.iter().all(|(instrument, id)| fold.is_booked(*instrument, *id)));
    }
}
