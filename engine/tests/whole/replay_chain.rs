//! The whole chain from raw frames: what a captured run did comes out again, and whatever is not
//! as it was is named.

use crate::common::ready::until_it_trades;
use crate::common::{self, Killed, bot4, output, signal, sleep, stderr, venue};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bot4::replay::report::ReplayReport;
use bot4::replay::verify;
use bot4::{sim, topology as t};
use bot4_capture::{CaptureOptions, CaptureReader, CaptureWriter, FrameHead, Item};
use bot4_journal::segment::{Header, SEAL_BYTES, encode_entry, entry_bytes, file_name};
use bot4_journal::{Reader, Record};
use bot4_types::log::Body as _;
use bot4_types::turn::TURN_BYTES;
use bot4_types::{FrameKind, LogEntry, LogKind, TurnRecord};
use serde_json::Value;
use tempfile::TempDir;

/// Cut connections, held agents, a slow disk, rings of a few places: whatever the stepper does to
/// the machine, the capture leads to the same records, hashes and decisions.
#[test]
fn runs_under_faults_come_out_again() {
    let (mut records, mut frames) = (0, 0);
    // 32: a router's slot changed in a turn that called itself empty.
    for seed in (1..=12).chain([32]) {
        let dir = tempfile::tempdir().expect("a folder");
        let options = sim::Options::swarm(seed, 60_000);
        sim::play_captured(&options, dir.path()).expect("it runs");
        let report = verify(dir.path()).expect("readable");
        assert!(report.is_same(), "seed {seed}: {report}");
        let chain = report.chain.expect("a captured run");
        (records, frames) = (records + chain.records, frames + chain.frames);
    }
    assert!(records > 5_000 && frames > 5_000, "{records} records, {frames} frames");
}

/// Files by their path in a run's folder.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// A captured run of the stepper: some seconds of trading, played once for all tests.
fn captured() -> TempDir {
    static PLAYED: OnceLock<Files> = OnceLock::new();
    let files = PLAYED.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let options = sim::Options::calm(11, 120_000);
        let end = sim::play_captured(&options, dir.path()).expect("it runs");
        assert!(end.orders > 15 && end.is_clean(), "{end:?}");
        let mut files = Files::new();
        read_below(dir.path(), Path::new(""), &mut files);
        files
    });
    let dir = tempfile::tempdir().expect("a folder");
    for (path, bytes) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
    dir
}

/// Adds every file of the folder `below` in `root`.
fn read_below(root: &Path, below: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(root.join(below)).expect("a folder").flatten() {
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            read_below(root, &path, files);
        } else {
            files.push((path, std::fs::read(entry.path()).expect("readable")));
        }
    }
}

fn records(dir: &Path) -> Vec<Record> {
    let journal = Reader::open(&dir.join("journal")).expect("a journal");
    journal.map(|r| r.expect("sound")).collect()
}

fn lane_of(role: &str) -> u8 {
    let place = t::CHAIN.iter().position(|r| *r == role).expect("in the chain");
    t::LOG_TURNS + place as u8
}

/// Writes `entry` in the place of `record`, with its right checksum.
fn put(dir: &Path, record: &Record, entry: &LogEntry) {
    assert_eq!(entry_bytes(entry), entry_bytes(&record.entry), "records keep their length");
    let path = dir.join("journal").join(file_name(record.segment));
    let mut bytes = std::fs::read(&path).expect("a segment");
    encode_entry(entry, &mut bytes[record.offset as usize..]).expect("room");
    std::fs::write(&path, bytes).expect("written");
}

fn place_of(report: &ReplayReport) -> (u8, u64) {
    let place = report.difference.as_ref().and_then(|d| d.place).expect("a place");
    (place.lane, place.seq)
}

/// The packs of turns of `role`, each with its records.
fn packs(dir: &Path, role: &str) -> Vec<(Record, Vec<TurnRecord>)> {
    let turns = |record: Record| {
        let mut body = bot4_types::log::Reader::over(record.entry.body());
        let turns = std::iter::from_fn(|| TurnRecord::read(&mut body)).collect();
        (record, turns)
    };
    let lane = lane_of(role);
    records(dir).into_iter().filter(|r| r.entry.lane == lane).map(turns).collect()
}

/// Writes `turns` in the place of those of `record`; they are as many.
fn put_turns(dir: &Path, record: &Record, turns: &[TurnRecord]) {
    let mut entry = LogEntry::new(LogKind::Turns, record.entry.at, |w| {
        turns.iter().for_each(|turn| turn.write(w));
    });
    (entry.seq, entry.lane) = (record.entry.seq, record.entry.lane);
    put(dir, record, &entry);
}

/// A turn that the recorder had no room for leaves a hole in the numbers.
#[test]
fn a_dropped_turn_is_named_with_its_agent() {
    let dir = captured();
    for role in ["book.1", "signal"] {
        let all = packs(dir.path(), role);
        let (record, turns) =
            all.iter().skip(all.len() / 2).find(|(_, t)| t.len() > 2).expect("one");
        let mut dropped = turns.clone();
        let lost = dropped.remove(1);
        // The pack keeps its length: the last one stands twice.
        dropped.push(turns[turns.len() - 1]);
        put_turns(dir.path(), record, &dropped);
        let report = verify(dir.path()).expect("readable");
        assert_eq!(place_of(&report), (lane_of(role), u64::from(lost.seq)), "{report}");
        assert!(report.to_string().contains(&format!("of {role} are lost")), "{report}");
        put_turns(dir.path(), record, turns);
    }
    assert!(verify(dir.path()).expect("readable").is_same());
}

/// A turn that saw something else than recorded takes other messages: the decisions part.
#[test]
fn an_altered_sample_is_found() {
    let dir = captured();
    // Parse: frames waiting. A turn that sees no frame decodes none.
    let all = packs(dir.path(), "parse.0");
    let sees = |turns: &[TurnRecord]| turns.iter().position(|t| t.samples[0] == 1);
    let middle = all.iter().skip(all.len() / 2).find(|(_, turns)| sees(turns).is_some());
    let (record, turns) = middle.expect("turns with a frame");
    let mut altered = turns.clone();
    altered[sees(turns).expect("one")].samples[0] = 0;
    put_turns(dir.path(), record, &altered);
    let report = verify(dir.path()).expect("readable");
    let difference = report.difference.as_ref().expect("a difference");
    assert!(difference.place.is_some() && report.chain.is_some(), "{report}");
}

/// A clock that was set otherwise shows in the first record that comes of it.
#[test]
fn an_altered_time_is_found() {
    let dir = captured();
    let all = packs(dir.path(), "risk");
    // Of all turns behind the middle: some lead to no record of their own.
    for (record, turns) in &all[all.len() / 2..] {
        let mut altered = turns.clone();
        altered.iter_mut().for_each(|turn| turn.now.0 += 1);
        put_turns(dir.path(), record, &altered);
    }
    let report = verify(dir.path()).expect("readable");
    assert_eq!(place_of(&report).0, t::LOG_RISK, "{report}");
    let difference = report.difference.expect("a difference");
    assert!(difference.recorded.is_some() && difference.came_out.is_some());
}

/// The frames of wire lane `index`.
fn frames(dir: &Path, index: usize) -> Vec<(FrameHead, Vec<u8>)> {
    let stream = dir.join("capture").join(format!("wire.{index}"));
    let mut reader = CaptureReader::open(&stream).expect("a capture");
    let mut all = Vec::new();
    while let Some(item) = reader.next().expect("readable") {
        let Item::Frame(head, text) = item else { panic!("{item:?}") };
        all.push((head, text.to_vec()));
    }
    all
}

/// Writes the capture of wire lane `index` anew.
fn write_frames(dir: &Path, index: usize, all: &[(FrameHead, Vec<u8>)], lost: Option<usize>) {
    let stream = dir.join("capture").join(format!("wire.{index}"));
    std::fs::remove_dir_all(&stream).expect("removed");
    let mut writer = CaptureWriter::open(&stream, CaptureOptions::default()).expect("opened");
    for (i, (head, text)) in all.iter().enumerate() {
        if lost == Some(i) {
            writer.add_lost(bot4_capture::Lost {
                frames: 1,
                bytes: text.len() as u64,
                since: head.recv,
                by_recorder: true,
            });
        } else {
            writer.append(*head, &[text]).expect("written");
        }
    }
    writer.finish().expect("written");
}

fn is_quote((head, text): &(FrameHead, Vec<u8>)) -> bool {
    head.kind == FrameKind::Market && text.windows(12).any(|w| w == b"@bookTicker\"")
}

/// Where `text` goes on behind `mark`.
fn after(text: &[u8], mark: &[u8]) -> usize {
    text.windows(mark.len()).position(|w| w == mark).expect("the field") + mark.len()
}

/// Quotes that are altered, one at a time.
const ALTERED: usize = 10;

#[test]
fn an_altered_byte_of_a_frame_is_found() {
    let dir = captured();
    let all = frames(dir.path(), 0);
    write_frames(dir.path(), 0, &all, None);
    assert!(verify(dir.path()).expect("readable").is_same(), "written anew, all is as it was");
    // A digit of a best price: the quotes' stream moves marks and decisions at once, but for those
    // that the book has passed already, or a newer one overtakes before risk or a strategy looked.
    let quotes = (all.len() / 2..all.len()).filter(|i| is_quote(&all[*i])).take(ALTERED);
    let found = quotes.filter(|at| {
        let mut altered = all.clone();
        let text = &mut altered[*at].1;
        let price = after(text, b",\"b\":") + 1;
        text[price + 1] = if text[price + 1] == b'1' { b'0' } else { b'1' };
        write_frames(dir.path(), 0, &altered, None);
        let report = verify(dir.path()).expect("readable");
        println!("{report}");
        let placed = report.difference.as_ref().map(|d| d.place.is_some());
        assert!(placed != Some(false) && report.chain.is_some(), "{report}");
        placed.is_some()
    });
    let found = found.count();
    assert!(found >= ALTERED / 5, "{found} of {ALTERED} altered quotes were found");
}

/// Takes the seal off the journal's end: the engine was killed.
fn unseal(dir: &Path) {
    let last = records(dir).last().map_or(1, |r| r.segment);
    let path = dir.join("journal").join(file_name(last));
    let mut bytes = std::fs::read(&path).expect("a segment");
    bytes.truncate(bytes.len() - SEAL_BYTES);
    bytes.resize(Header::decode(&bytes).expect("a header").segment_bytes as usize, 0);
    std::fs::write(&path, bytes).expect("written");
    let _ = std::fs::remove_file(dir.join(bot4::replay::ended::FILE));
}

/// The end of a killed run's journal is ragged, but its middle is not: an agent that waits there
/// for a message that does not come has parted from the run.
#[test]
fn a_killed_run_that_stands_still_before_its_end_is_found() {
    let dir = captured();
    unseal(dir.path());
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_same() && !report.closed, "{report}");
    // Signal: best prices of the first book. A book that had lost some would leave it like this.
    let all = packs(dir.path(), "signal");
    let (record, turns) = all.iter().skip(all.len() / 2).find(|(_, t)| t.len() > 2).expect("one");
    let mut altered = turns.clone();
    altered[1].samples[0] += 6_000;
    put_turns(dir.path(), record, &altered);
    let report = verify(dir.path()).expect("readable");
    let difference = report.difference.as_ref().expect("a difference");
    assert!(difference.what.contains("the chain stands still"), "{report}");
    assert_eq!(place_of(&report), (lane_of("signal"), u64::from(turns[1].seq)), "{report}");
}

#[test]
fn lost_frames_end_the_verification_and_are_told() {
    let dir = captured();
    let all = frames(dir.path(), 1);
    write_frames(dir.path(), 1, &all, Some(all.len() / 2));
    let report = verify(dir.path()).expect("readable");
    let text = report.to_string();
    assert_eq!(place_of(&report).0, lane_of("parse.1"), "{text}");
    assert!(text.contains("1 frames found no room in the capture"), "{text}");
}

#[test]
fn a_missing_capture_is_told() {
    let dir = captured();
    std::fs::remove_dir_all(dir.path().join("capture")).expect("removed");
    let report = verify(dir.path()).expect("readable");
    assert!(report.to_string().contains("cannot read the capture"), "{report}");
}

/// The demo's configuration with `capture = true`.
fn demo(state: &Path) -> PathBuf {
    let path = common::demo(state);
    let text = std::fs::read_to_string(&path).expect("written before");
    std::fs::write(&path, text.replacen("[run]\n", "[run]\ncapture = true\n", 1)).expect("written");
    path
}

fn engine(state: &Path, arguments: &[&str]) -> Command {
    let mut command = bot4(state);
    command.args(["run", "--config"]).arg(demo(state)).args(arguments);
    command.stdout(Stdio::null());
    command
}

/// The only run in `state`, replayed by the command: its exit code and its report.
fn replayed(state: &Path) -> (Option<i32>, Value) {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs");
    let run = runs.flatten().next().expect("one run").path();
    let out = output(bot4(state).args(["replay", "--verify", "--json"]).arg(&run));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)));
    (out.status.code(), report)
}

fn check_same(state: &Path, least: u64) -> Value {
    let (code, report) = replayed(state);
    assert_eq!((code, &report["same"]), (Some(0), &Value::Bool(true)), "{report:#}");
    let chain = &report["chain"];
    assert!(chain["records"].as_u64() > Some(least), "{report:#}");
    assert!(chain["frames"].as_u64() > Some(least), "{report:#}");
    chain.clone()
}

#[test]
fn captured_runs_come_out_again() {
    for lanes in ["2", "12"] {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path();
        let report = state.join("report.json");
        let mut command = engine(state, &["--for", "4s", "--lanes", lanes]);
        if lanes == "12" {
            // Neither the tee nor the records of turns make a system call.
            command.arg("--seccomp-compute");
        }
        let out = output(command.arg("--report").arg(&report).stderr(Stdio::piped()));
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        common::check_account(&common::report(&report));
        let chain = check_same(state, 300);
        assert_eq!(chain["unverified"], 0, "{chain:#}");
    }
}

#[test]
fn a_captured_run_with_an_outage_comes_out_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let (mut first, endpoints) = venue(state, "127.0.0.1:0");
    let listen = endpoints["market"].as_str().expect("a URL").trim_start_matches("wss://");
    let (listen, toml) = (listen.to_owned(), state.join("trade.toml"));
    let text = common::config(&endpoints, None);
    std::fs::write(&toml, text.replacen("[run]\n", "[run]\ncapture = true\n", 1)).expect("written");
    let mut command = bot4(state);
    let ready = state.join("ready");
    command.args(["run", "--for", "5m", "--config"]).arg(&toml).arg("--ready-file").arg(&ready);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut engine = Killed(command.spawn().expect("it starts"));
    until_it_trades(&ready);
    sleep(3_000);
    first.0.kill().expect("killed");
    first.0.wait().expect("gone");
    sleep(2_000);
    let (_second, _) = venue(state, &listen);
    sleep(4_000);
    // Stopped by a signal; whether every promise held is another test's business.
    signal(&engine.0, "-INT");
    engine.0.wait().expect("it ends");
    let chain = check_same(state, 200);
    assert_eq!(chain["unverified"], 0, "{chain:#}");
}

#[test]
fn a_killed_run_comes_out_as_far_as_its_capture_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let ready = state.join("ready");
    let mut command = engine(state, &["--for", "5m", "--lanes", "2", "--ready-file"]);
    let mut engine = Killed(command.arg(&ready).stderr(Stdio::null()).spawn().expect("it starts"));
    until_it_trades(&ready);
    sleep(4_000);
    engine.0.kill().expect("killed");
    engine.0.wait().expect("gone");
    check_same(state, 100);
}

/// A strategy that depends on something no journal holds.
#[test]
fn planted_mistakes_are_found_and_named() {
    for plant in ["clock", "order"] {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path();
        let mut command = engine(state, &["--for", "3s", "--lanes", "2", "--plant", plant]);
        let out = output(command.stderr(Stdio::piped()));
        assert_eq!(out.status.code(), Some(0), "{plant}: {}", stderr(&out));
        // Of four instruments another one is left out in three replays of four.
        let found = (0..12).map(|_| replayed(state)).find(|(code, _)| *code == Some(1));
        let (_, report) = found.unwrap_or_else(|| panic!("{plant} was not found"));
        let first = &report["first_difference"];
        let lanes = ["risk", "turns[risk]", "turns[signal]"];
        assert!(lanes.iter().any(|lane| first["lane"] == *lane), "{plant}: {report:#}");
        assert!(first["seq"].as_u64() > Some(0), "{plant}: {report:#}");
        let told = |key: &str| first[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(told("recorded") || told("came_out"), "{plant}: {report:#}");
    }
}

#[test]
fn turn_records_take_32_bytes() {
    let dir = captured();
    for role in t::Shape::ONE.chain() {
        for (record, turns) in packs(dir.path(), role) {
            assert_eq!(record.entry.body().len(), turns.len() * TURN_BYTES);
        }
    }
}
