//! What a reader makes of damaged files: any changed byte and any missing end is seen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bot4_journal::{
    FlawKind, JournalConfig, JournalWriter, Reader, VerifyReport, content_hash, verify,
};
use bot4_types::{LogEntry, LogKind, Nanos, RunEpoch, Wall};
use proptest::prelude::*;
use proptest::sample::Index;

const LANES: u8 = 3;

/// A folder in memory where there is one: these tests are about bytes, not about disks.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a folder")
}

fn config(dir: &Path, segment_bytes: usize) -> JournalConfig {
    let mut config = JournalConfig::new(dir.to_owned(), RunEpoch(5), Wall { origin_unix_ns: 7 });
    (config.segment_bytes, config.reserve_bytes, config.helper) = (segment_bytes, 0, false);
    config
}

/// Record `n` of a fixed content: lanes in turn, bodies of every length.
fn entry(n: u64) -> LogEntry {
    let body: Vec<u8> = (0..n * 37 % 200).map(|i| (i * 7 + n) as u8).collect();
    let mut e = LogEntry::raw(LogKind::Mark, Nanos(1000 + n), &body);
    e.lane = (n % u64::from(LANES)) as u8;
    e.seq = n / u64::from(LANES) + 1;
    e
}

/// A journal of `records` in `dir`; returns the names of its segments.
fn write(dir: &Path, records: u64, segment_bytes: usize, close: bool) -> Vec<String> {
    let mut writer = JournalWriter::open(&config(dir, segment_bytes)).expect("open");
    writer.begin(Nanos(1)).expect("begin");
    for n in 0..records {
        while !writer.append(&entry(n), Nanos(n)).expect("append") {}
        writer.turn(Nanos(n)).expect("turn");
    }
    if close {
        writer.finish(Nanos(records)).expect("finish");
    }
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("list")
        .map(|e| e.expect("entry").file_name().into_string().expect("utf-8"))
        .filter(|n| n.ends_with(".b4j"))
        .collect();
    names.sort();
    names
}

fn checked(dir: &Path) -> VerifyReport {
    verify(dir).expect("readable")
}

#[test]
fn a_closed_journal_reads_back_whole_over_several_segments() {
    let dir = folder();
    let names = write(dir.path(), 200, 4096, true);
    assert!(names.len() > 3, "{names:?}");
    let report = checked(dir.path());
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.records, report.segments as usize), (200, names.len()));
    assert_eq!(report.epoch, Some(RunEpoch(5)));
    let mut reader = Reader::open(dir.path()).expect("open");
    for (n, record) in reader.by_ref().enumerate() {
        let (got, want) = (record.expect("no flaw").entry, entry(n as u64));
        assert_eq!(
            (got.seq, got.lane, got.kind, got.at),
            (want.seq, want.lane, want.kind, want.at)
        );
        assert_eq!(got.body(), want.body());
    }
    assert!(reader.is_closed());
    for name in &names {
        let one = checked(&dir.path().join(name));
        assert!(one.closed && one.damage_count == 0 && one.torn_tail.is_none(), "{name}: {one}");
    }
}

#[test]
fn a_killed_writer_loses_nothing() {
    let dir = folder();
    write(dir.path(), 150, 4096, false);
    let report = checked(dir.path());
    assert!(report.is_sound() && !report.closed && report.torn_tail.is_none(), "{report}");
    assert_eq!(report.records, 150);
}

#[test]
fn every_single_changed_byte_of_a_closed_journal_is_seen() {
    let dir = folder();
    let names = write(dir.path(), 36, 4096, true);
    assert!(names.len() > 1);
    let clean = checked(dir.path());
    for name in names {
        let path = dir.path().join(&name);
        let sound = fs::read(&path).expect("read");
        for at in 0..sound.len() {
            for change in [1u8 << (at % 8), sound[at]] {
                let mut hurt = sound.clone();
                hurt[at] ^= change;
                if hurt == sound {
                    continue;
                }
                fs::write(&path, &hurt).expect("write");
                let report = checked(dir.path());
                assert!(!report.is_clean(), "{name} byte {at} ^ {change:#x} went unseen");
                let flaw = report.damage.first().or(report.torn_tail.as_ref()).expect("named");
                let near = flaw.offset.abs_diff(at as u64);
                assert!(near <= 264 || flaw.offset == 0, "{flaw} for byte {at} of {name}");
            }
        }
        fs::write(&path, &sound).expect("write");
    }
    assert_eq!(checked(dir.path()), clean);
}

#[test]
fn every_truncation_of_the_last_segment_is_seen_and_keeps_what_is_before_it() {
    for close in [true, false] {
        let dir = folder();
        let names = write(dir.path(), 40, 4096, close);
        // The last segment with records; an open journal also has its spare.
        let name = &names[names.len() - if close { 1 } else { 2 }];
        if !close {
            fs::remove_file(dir.path().join(&names[names.len() - 1])).expect("remove spare");
        }
        let path = dir.path().join(name);
        let sound = fs::read(&path).expect("read");
        for len in 0..sound.len() {
            fs::write(&path, &sound[..len]).expect("write");
            let report = checked(dir.path());
            assert!(!report.is_clean() && !report.closed, "length {len} of {name} went unseen");
            assert!(report.torn_tail.is_some() || len == 0, "length {len}: {report}");
            assert_eq!(report.damage_count, 0, "a torn tail is not damage: {report}");
        }
    }
}

#[test]
fn damage_in_the_middle_names_where_reading_goes_on() {
    let dir = folder();
    let names = write(dir.path(), 12, 1 << 16, true);
    let path = dir.path().join(&names[0]);
    let mut bytes = fs::read(&path).expect("read");
    let items: Vec<_> = Reader::open(&path).expect("open").map(|r| r.expect("sound")).collect();
    let (from, to) = (items[4].offset, items[6].offset);
    bytes[from as usize + 3..to as usize - 1].fill(0xEE);
    fs::write(&path, &bytes).expect("write");
    let report = checked(dir.path());
    assert_eq!((report.records, report.damage_count, report.missing()), (10, 1, 2));
    assert_eq!(
        (report.damage[0].offset, &report.damage[0].kind),
        (from, &FlawKind::Damage(Some(to)))
    );
    assert!(content_hash(dir.path()).is_err());
}

#[test]
fn a_missing_segment_is_named() {
    let dir = folder();
    let names = write(dir.path(), 200, 4096, true);
    let sound: Vec<_> = names.iter().map(|n| fs::read(dir.path().join(n)).expect("read")).collect();
    for (i, name) in names.iter().enumerate() {
        fs::remove_file(dir.path().join(name)).expect("remove");
        let report = checked(dir.path());
        let missing = FlawKind::Missing(i as u32 + 1, i as u32 + 1);
        assert!(report.damage.iter().any(|f| f.kind == missing), "{name}: {report}");
        fs::write(dir.path().join(name), &sound[i]).expect("write");
    }
    assert!(checked(dir.path()).is_clean());
}

#[test]
fn a_segment_of_another_run_is_refused() {
    let (a, b) = (folder(), folder());
    let names = write(a.path(), 100, 4096, true);
    let mut other = config(b.path(), 4096);
    other.epoch = RunEpoch(6);
    let mut writer = JournalWriter::open(&other).expect("open");
    writer.begin(Nanos(0)).expect("begin");
    for n in 0..100 {
        assert!(writer.append(&entry(n), Nanos(n)).expect("append"));
        writer.turn(Nanos(n)).expect("turn");
    }
    writer.finish(Nanos(0)).expect("finish");
    fs::copy(b.path().join(&names[1]), a.path().join(&names[1])).expect("copy");
    let report = checked(a.path());
    assert!(!report.is_sound(), "{report}");
    assert_eq!(report.damage[0].kind, FlawKind::Header("a segment of another run"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Several changed bytes anywhere, open or closed: never a panic, always a finding.
    #[test]
    fn changed_bytes_are_seen(
        close in any::<bool>(), records in 1u64..40,
        changes in proptest::collection::vec((any::<Index>(), any::<Index>(), 1u8..), 1..6),
    ) {
        let dir = folder();
        let names = write(dir.path(), records, 4096, close);
        let before = checked(dir.path());
        let mut sound = BTreeMap::new();
        for (file, at, change) in changes {
            let path = dir.path().join(&names[file.index(names.len())]);
            let mut bytes = fs::read(&path).expect("read");
            sound.entry(path.clone()).or_insert_with(|| bytes.clone());
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            fs::write(&path, &bytes).expect("write");
        }
        // Two changes may undo each other.
        let changed = sound.iter().any(|(path, was)| fs::read(path).expect("read") != *was);
        let after = checked(dir.path());
        prop_assert_eq!(after != before, changed, "{}", after);
        prop_assert!(!changed || !after.is_clean());
    }

    /// Any bytes at all.
    #[test]
    fn any_file_gives_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let dir = folder();
        fs::write(dir.path().join("00000001.b4j"), &bytes).expect("write");
        prop_assert!(!checked(dir.path()).closed);
    }

    /// The hash does not see how lanes interleave or where segments end, and sees all else.
    #[test]
    fn content_hash_is_by_lane(
        order in Just((0..90u64).collect::<Vec<_>>()).prop_shuffle(),
        changed in 0u64..90,
    ) {
        let (a, b) = (folder(), folder());
        write(a.path(), 90, 4096, true);
        // Within a lane the order stays.
        let numbered = order.into_iter().enumerate();
        let mut order: Vec<(u64, u64)> = numbered.map(|(i, n)| (i as u64, n % 3)).collect();
        let mut next = [0u64; 3];
        for (n, lane) in &mut order {
            *n = next[*lane as usize] * 3 + *lane;
            next[*lane as usize] += 1;
        }
        let mut writer = JournalWriter::open(&config(b.path(), 1 << 16)).expect("open");
        writer.begin(Nanos(1)).expect("begin");
        for (n, _) in &order {
            prop_assert!(writer.append(&entry(*n), Nanos(5)).expect("append"));
        }
        writer.finish(Nanos(9)).expect("finish");
        prop_assert_eq!(content_hash(a.path()).expect("intact"), content_hash(b.path()).expect("intact"));

        let c = folder();
        let mut writer = JournalWriter::open(&config(c.path(), 1 << 16)).expect("open");
        writer.begin(Nanos(1)).expect("begin");
        for n in 0..90 {
            let mut e = entry(n);
            e.at.0 += u64::from(n == changed);
            prop_assert!(writer.append(&e, Nanos(5)).expect("append"));
        }
        writer.finish(Nanos(9)).expect("finish");
        prop_assert_ne!(content_hash(a.path()).expect("intact"), content_hash(c.path()).expect("intact"));
    }
}
