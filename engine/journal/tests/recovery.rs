//! Taking over what a dead writer left: the torn tail is cut, nothing published is.

use std::fs;
use std::path::{Path, PathBuf};

use bot4_journal::{
    JournalConfig, JournalError, JournalWriter, VerifyReport, footprint, is_in_use, recover,
    remove, verify,
};
use bot4_types::{LogEntry, LogKind, Nanos, RunEpoch, Wall};

/// A folder in memory where there is one: these tests are about bytes, not about disks.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a folder")
}

fn entry(n: u64) -> LogEntry {
    let mut e = LogEntry::raw(LogKind::Mark, Nanos(n), &vec![n as u8 | 1; (n * 37 % 200) as usize]);
    e.seq = n;
    e
}

/// The journal of a writer that died after `records`; returns the last begun segment.
fn left_behind(dir: &Path, records: u64) -> PathBuf {
    let mut config = JournalConfig::new(dir.to_owned(), RunEpoch(5), Wall::default());
    (config.segment_bytes, config.helper) = (4096, false);
    let mut writer = JournalWriter::open(&config).expect("open");
    writer.begin(Nanos(1)).expect("begin");
    for n in 1..=records {
        while !writer.append(&entry(n), Nanos(n)).expect("append") {}
        writer.turn(Nanos(n)).expect("turn");
    }
    assert!(is_in_use(dir), "its writer lives");
    assert!(matches!(recover(dir, &mut |_, _| {}), Err(JournalError::Locked(_))));
    drop(writer);
    assert!(!is_in_use(dir));
    verify(dir).expect("readable").open_end.map_or_else(|| dir.join("00000001.b4j"), |e| e.file)
}

fn recovered(dir: &Path) -> VerifyReport {
    let done = recover(dir, &mut |_, _| {}).expect("recovered");
    assert!(done.found.is_sound() && !done.found.closed, "{}", done.found);
    let report = verify(dir).expect("readable");
    assert!(report.is_sound() && report.closed && report.recovered, "{report}");
    assert!(!report.is_clean() && report.torn_tail.is_none(), "{report}");
    let again = recover(dir, &mut |_, _| {}).expect("nothing left to do");
    assert_eq!((again.cut, again.removed), (None, Vec::new()));
    report
}

#[test]
fn a_dead_writers_journal_is_sealed_where_it_ends() {
    for records in [0, 1, 40, 150] {
        let dir = folder();
        left_behind(dir.path(), records);
        assert_eq!(recovered(dir.path()).records, records);
        let names = fs::read_dir(dir.path()).expect("list").flatten().map(|e| e.file_name());
        assert!(!names.into_iter().any(|n| n == "reserve.b4j"), "unused segments are gone");
    }
}

#[test]
fn every_torn_tail_is_cut_and_no_whole_record_is() {
    let dir = folder();
    let last = left_behind(dir.path(), 40);
    let sound = fs::read(&last).expect("read");
    let end = verify(dir.path()).expect("readable").open_end.expect("open").offset as usize;
    let whole = verify(dir.path()).expect("readable").records;
    // A record that was being written: any part of its bytes, its length or not.
    let mut next = [0; 264];
    bot4_journal::segment::encode_entry(&entry(41), &mut next).expect("room");
    // With its last byte it is whole; the padding behind it is zero anyway.
    let len = bot4_journal::segment::RECORD_HEAD_BYTES + entry(41).body().len();
    for part in 1..len {
        for with_length in [false, true] {
            let mut torn = sound.clone();
            torn[end..end + part].copy_from_slice(&next[..part]);
            if !with_length {
                torn[end..end + 4].fill(0);
            }
            let restored = folder();
            for file in fs::read_dir(dir.path()).expect("list").flatten() {
                fs::copy(file.path(), restored.path().join(file.file_name())).expect("copy");
            }
            let name = last.file_name().expect("a name");
            fs::write(restored.path().join(name), &torn).expect("write");
            assert_eq!(recovered(restored.path()).records, whole, "{part} bytes, {with_length}");
        }
    }
}

#[test]
fn a_writer_that_died_between_two_segments() {
    let dir = folder();
    let last = left_behind(dir.path(), 40);
    let before = verify(dir.path()).expect("readable");
    let in_last = before.open_end.expect("open").records;
    // The next segment was sealed for but its header never written, or half written.
    for header in [vec![0; 4096], [&b"B4JOURNL\x01"[..], &[0; 4087]].concat()] {
        let copy = folder();
        for file in fs::read_dir(dir.path()).expect("list").flatten() {
            fs::copy(file.path(), copy.path().join(file.file_name())).expect("copy");
        }
        fs::write(copy.path().join(last.file_name().expect("a name")), header).expect("write");
        assert_eq!(recovered(copy.path()).records, before.records - in_last);
    }
}

#[test]
fn a_damaged_journal_is_not_touched() {
    let dir = folder();
    left_behind(dir.path(), 40);
    let first = dir.path().join("00000001.b4j");
    let mut bytes = fs::read(&first).expect("read");
    bytes[200] ^= 1;
    fs::write(&first, &bytes).expect("write");
    let before = verify(dir.path()).expect("readable");
    let done = recover(dir.path(), &mut |_, _| {}).expect("read");
    assert!(!done.found.is_sound() && done.cut.is_none() && done.removed.is_empty());
    assert_eq!(verify(dir.path()).expect("readable"), before);
}

#[test]
fn only_what_the_journal_made_is_removed() {
    let dir = folder();
    let journal = dir.path().join("journal");
    left_behind(&journal, 40);
    fs::write(journal.join("notes.txt"), "mine").expect("write");
    assert!(footprint(&journal).expect("read").is_some_and(|f| f.bytes >= 2 * 4096));
    remove(&journal).expect("removed");
    let left: Vec<_> = fs::read_dir(&journal).expect("list").flatten().collect();
    assert_eq!(left.iter().map(fs::DirEntry::file_name).collect::<Vec<_>>(), ["notes.txt"]);
    assert_eq!(footprint(&journal).expect("read"), None);
    fs::remove_file(journal.join("notes.txt")).expect("removed");
    remove(&journal).expect("removed");
    assert!(!journal.exists());
}

/// A half-removed journal would read as a damaged one, and keep its account from trading.
#[test]
fn a_removal_that_was_cut_short_is_finished_by_the_next_look() {
    let dir = folder();
    let journal = dir.path().join("journal");
    left_behind(&journal, 150);
    let before = footprint(&journal).expect("readable").expect("a journal");
    assert!(before.bytes > 3 * 4096);
    // What cannot be unlinked stands in its way, as the end of the process would.
    let third = journal.join("00000003.b4j");
    fs::remove_file(&third).expect("there");
    fs::create_dir(&third).expect("made");
    assert!(remove(&journal).is_err());
    assert!(!journal.join("00000001.b4j").exists() && journal.exists());
    fs::remove_dir(&third).expect("removed");
    fs::write(&third, b"a segment").expect("written");
    assert_eq!(footprint(&journal).expect("readable"), None);
    assert!(!journal.exists());
}
