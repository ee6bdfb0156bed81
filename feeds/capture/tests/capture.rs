//! A capture written, torn, continued, damaged and read back.

mod common;

use std::fs;
use std::path::PathBuf;

use bot4_capture::{
    CaptureOptions, CaptureReader, CaptureWriter, HEADER_LEN, Lost, is_capture, link,
};
use bot4_types::Nanos;
use common::{EPOCH, Told, append, folder, frame, read, rest, small, write};
use proptest::prelude::*;

fn all(from: u64, to: u64) -> Vec<u64> {
    (from..to).collect()
}

#[test]
fn what_was_written_is_read_over_several_files_and_sessions() {
    let dir = folder();
    assert!(!is_capture(dir.path()));
    let options = CaptureOptions { file_bytes: 2_000, ..small() };
    write(dir.path(), options, 0, 150);
    let writer = CaptureWriter::open(dir.path(), options).expect("opened again");
    let was = writer.resumed().clone();
    assert_eq!((was.frames, was.torn_bytes, was.sessions, writer.session()), (150, 0, 1, 2));
    assert!(was.files > 2, "{was:?}");
    let second = CaptureWriter::open(dir.path(), options).err().expect("locked");
    assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
    drop(writer);
    write(dir.path(), options, 150, 300);
    assert!(is_capture(dir.path()));
    let told = read(dir.path());
    // The session without a frame left no block.
    assert_eq!(told, Told { frames: all(0, 300), sessions: vec![2], ..Told::default() });
    // A file alone is a capture, too, and does not miss the others.
    let file = dir.path().join("capture-000002.b4c");
    let alone = read(&file);
    assert!(is_capture(&file) && alone.damage.is_empty() && alone.lost_damage == 0);
    assert!(alone.frames.len() > 5 && alone.frames.len() < 150, "{}", alone.frames.len());
    // A file that is gone is told.
    fs::remove_file(&file).expect("removed");
    let told = read(dir.path());
    assert_eq!(told.lost_damage, alone.frames.len() as u64);
    assert_eq!(told.frames.len() + alone.frames.len(), 300);
}

#[test]
fn blocks_close_by_size_and_by_time() {
    let dir = folder();
    let options = CaptureOptions { block_span: Nanos::from_millis(100), ..Default::default() };
    let mut writer = CaptureWriter::open(dir.path(), options).expect("opened");
    append(&mut writer, 0, 100);
    // Ten milliseconds between frames: eleven frames a block.
    assert_eq!(writer.totals().blocks, 9);
    writer.turn(Nanos::from_secs(9)).expect("written");
    assert_eq!(writer.totals().blocks, 10);
    writer.turn(Nanos::from_secs(19)).expect("nothing to write");
    let totals = writer.finish().expect("finished");
    assert_eq!((totals.blocks, totals.frames, totals.files), (10, 100, 1));
    let size = fs::metadata(dir.path().join("capture-000001.b4c")).expect("there").len();
    assert_eq!(size, totals.stored_bytes);
}

#[test]
fn losses_are_told_where_they_happened() {
    let dir = folder();
    let (mut tx, mut rx) = link(1_000);
    let mut writer = CaptureWriter::open(dir.path(), small()).expect("opened");
    let mut pushed = Vec::new();
    for n in 0..200 {
        let (head, text) = frame(n);
        if tx.push(head, &text) {
            pushed.push(n);
        }
        if n % 20 == 0 {
            writer.drain(&mut rx, 1_000).expect("written");
        }
    }
    assert!(tx.lost_frames() > 50 && tx.frames() == pushed.len() as u64);
    let lost = tx.lost_frames();
    drop(tx);
    assert_eq!(writer.drain(&mut rx, 3).expect("written"), 3, "a batch has an end");
    while writer.drain(&mut rx, 100).expect("written") > 0 {}
    let lost_since = Lost { frames: 7, bytes: 70, since: Nanos(1), by_recorder: true };
    writer.add_lost(lost_since);
    let totals = writer.finish().expect("finished");
    assert_eq!((totals.frames, totals.lost_frames), (pushed.len() as u64, lost + 7));
    let told = read(dir.path());
    assert_eq!((told.frames, told.lost_recorder, told.lost_damage), (pushed, lost + 7, 0));
}

/// Whatever the length of the file after `kill -9`: whole blocks are kept, the torn one is cut,
/// the next start goes on.
#[test]
fn a_torn_block_is_cut_and_the_capture_goes_on() {
    let original = folder();
    write(original.path(), small(), 0, 60);
    let name = "capture-000001.b4c";
    let bytes = fs::read(original.path().join(name)).expect("there");
    for len in (0..bytes.len()).step_by(13) {
        let dir = folder();
        fs::write(dir.path().join(name), &bytes[..len]).expect("written");
        let before = read(dir.path());
        let kept = before.frames.len() as u64;
        assert_eq!(before.frames, all(0, kept));
        assert!(before.damage.len() <= 1, "{:?}", before.damage);
        let torn: u64 = before.damage.iter().map(|d| d.1).sum();
        let mut writer = CaptureWriter::open(dir.path(), small()).expect("opened");
        assert_eq!((writer.resumed().frames, writer.resumed().torn_bytes), (kept, torn));
        append(&mut writer, kept, 80);
        writer.finish().expect("finished");
        let after = read(dir.path());
        assert_eq!((after.frames, after.damage.len(), after.lost_damage), (all(0, 80), 0, 0));
    }
}

/// The disk refuses the second file's index for a while: nothing of the capture is given up.
#[test]
fn a_file_that_could_not_be_begun_is_begun_later() {
    let dir = folder();
    let options = CaptureOptions { file_bytes: 1_000, ..small() };
    let mut writer = CaptureWriter::open(dir.path(), options).expect("opened");
    let in_the_way = dir.path().join("capture-000002.b4x");
    fs::create_dir(&in_the_way).expect("made");
    let mut taken = 0;
    let failed = (0..200).any(|n| {
        let (head, text) = frame(n);
        let answer = writer.append(head, &[&text]);
        taken += u64::from(answer.is_ok());
        answer.is_err()
    });
    assert!(failed, "the second file cannot have its index");
    assert!(writer.flush().is_err());
    fs::remove_dir(&in_the_way).expect("removed");
    writer.flush().expect("the disk takes it again");
    append(&mut writer, taken + 1, taken + 20);
    writer.finish().expect("finished");
    let told = read(dir.path());
    let rest: Vec<u64> = all(0, taken).into_iter().chain(all(taken + 1, taken + 20)).collect();
    assert_eq!((told.frames, told.lost_recorder), (rest, 1));
    assert_eq!((told.damage.len(), told.lost_damage), (0, 0));
}

/// An older recorder in a newer one's folder: what it cannot read is not rubbish to be cut.
#[test]
fn blocks_of_another_version_are_never_cut_off() {
    let dir = folder();
    write(dir.path(), small(), 0, 60);
    let path = dir.path().join("capture-000001.b4c");
    let mut bytes = fs::read(&path).expect("there");
    let stored = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes"));
    let mut newer = bytes[..HEADER_LEN + stored as usize].to_vec();
    newer[4] = 2;
    let crc = crc32c::crc32c(&newer[..68]);
    newer[68..72].copy_from_slice(&crc.to_le_bytes());
    bytes.extend(&newer);
    for bytes in [newer, bytes] {
        fs::write(&path, &bytes).expect("written");
        let refused = CaptureWriter::open(dir.path(), small()).err().expect("refused");
        assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported, "{refused}");
        assert_eq!(fs::read(&path).expect("there"), bytes);
    }
}

/// Files whose names only look like a capture's are none.
#[test]
fn only_the_recorders_own_names_are_files_of_the_capture() {
    let dir = folder();
    write(dir.path(), small(), 0, 60);
    let bytes = fs::read(dir.path().join("capture-000001.b4c")).expect("there");
    for name in ["capture-1.b4c", "capture-+00002.b4c", "capture-0000003.b4c"] {
        fs::write(dir.path().join(name), &bytes[..100]).expect("written");
    }
    let told = read(dir.path());
    assert_eq!((told.frames, told.damage.len()), (all(0, 60), 0));
    write(dir.path(), small(), 60, 80);
    assert_eq!(read(dir.path()).frames, all(0, 80));
    fs::write(dir.path().join("capture-4294967295.b4c"), b"").expect("written");
    let next = CaptureWriter::open(dir.path(), small()).map(|_| ());
    assert!(next.is_err(), "there is no number behind the last");
}

/// Every byte of a small capture changed, one at a time: no changed frame is handed out, what is
/// missing is named.
#[test]
fn every_changed_byte_is_noticed() {
    let dir = folder();
    write(dir.path(), small(), 0, 60);
    let path = dir.path().join("capture-000001.b4c");
    let bytes = fs::read(&path).expect("there");
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << (at % 8);
        fs::write(&path, &wrong).expect("written");
        let told = read(dir.path());
        assert_eq!(told.damage.len(), 1, "byte {at}: {:?}", told.damage);
        let (offset, skipped, _) = told.damage[0];
        let place = at as u64;
        assert!(offset <= place && place < offset + skipped, "byte {at}: {:?}", told.damage);
        let ends_there = offset + skipped == bytes.len() as u64;
        let lost = told.lost_damage as usize + told.frames.len();
        assert!(lost == 60 || (ends_there && lost < 60), "byte {at}: {told:?}");
    }
}

fn seek(dir: &std::path::Path, unix_ns: i64) -> Vec<u64> {
    let mut reader = CaptureReader::open(dir).expect("opened");
    reader.seek_wall(unix_ns).expect("sought");
    rest(reader).frames
}

#[test]
fn a_time_is_found_with_and_without_an_index() {
    let dir = folder();
    let options = CaptureOptions { file_bytes: 1_500, ..small() };
    write(dir.path(), options, 0, 200);
    let indexes: Vec<PathBuf> = fs::read_dir(dir.path())
        .expect("listed")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "b4x"))
        .collect();
    assert!(indexes.len() > 2);
    let asked = [-5, 0, 1, 730_000_000, 1_985_000_000, 1_990_000_000, 5_000_000_000];
    let want: Vec<Vec<u64>> = asked
        .iter()
        .map(|ns| all(0, 200).into_iter().filter(|n| *n as i64 * 10_000_000 >= *ns).collect())
        .collect();
    let check = |what: &str| {
        for (ns, want) in asked.iter().zip(&want) {
            assert_eq!(&seek(dir.path(), EPOCH + ns), want, "{what}: {ns}");
        }
    };
    check("whole indexes");
    for index in &indexes {
        let bytes = fs::read(index).expect("there");
        fs::write(index, &bytes[..bytes.len() - 60]).expect("cut");
    }
    check("short indexes");
    indexes.iter().for_each(|index| fs::remove_file(index).expect("removed"));
    check("no index");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    /// Any texts, any block and file size: the twin is the list of what was appended.
    #[test]
    fn any_frames_read_back(
        texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..60),
        block_bytes in 0usize..2_000, file_bytes in 0u64..5_000, stops in 1usize..20,
    ) {
        let dir = folder();
        let options = CaptureOptions { block_bytes, file_bytes, ..CaptureOptions::default() };
        for part in texts.chunks(stops) {
            let mut writer = CaptureWriter::open(dir.path(), options).expect("opened");
            for text in part {
                let (a, b) = text.split_at(text.len() / 3);
                writer.append(frame(1).0, &[a, b]).expect("taken");
                writer.turn(Nanos(1)).expect("written");
            }
            writer.finish().expect("finished");
        }
        if !texts.is_empty() {
            let mut reader = CaptureReader::open(dir.path()).expect("opened");
            let mut seen = Vec::new();
            while let Some(item) = reader.next().expect("readable") {
                match item {
                    bot4_capture::Item::Frame(head, text) => {
                        prop_assert_eq!(head.len as usize, text.len());
                        seen.push(text.to_vec());
                    }
                    bot4_capture::Item::Session(_) => {}
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(seen, texts);
        }
    }
}
