//! `bot4 replay --verify`: a run's journal leads to the run's decisions, and whatever is not as
//! it was is named by its record.

use crate::common::ready::until_it_trades;
use crate::common::{self, bot4, config, output, signal, sleep, stderr, venue};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use bot4::replay::report::ReplayReport;
use bot4::replay::{ReplayRefusal, verify, verify_amended};
use bot4::sim;
use bot4_journal::segment::{SEGMENT_BYTES_MIN, encode_entry, entry_bytes, file_name};
use bot4_journal::{Reader, Record};
use bot4_types::{LogEntry, LogKind};
use serde_json::Value;
use tempfile::TempDir;

const RISK: u8 = 0;
const EXECUTION: u8 = 1;

/// A journal of the stepper: some seconds of trading. Made once; each test changes its copy.
fn journal() -> TempDir {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let end = sim::run(11, 200_000, dir.path()).expect("it runs");
        assert!(end.orders > 30 && end.fills > 5, "{end:?}");
        dir
    });
    let copy = tempfile::tempdir().expect("a folder");
    for file in std::fs::read_dir(made.path().join("journal")).expect("a journal").flatten() {
        if file.path().extension().is_some_and(|e| e == "b4j") {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copied");
        }
    }
    copy
}

/// Two seconds by an earlier revision, whose records lack what came later, lead to the same
/// decisions and to the end that it told.
#[test]
fn a_journal_of_an_earlier_revision_verifies() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals");
    let dir = tempfile::tempdir().expect("a folder");
    let journal = dir.path().join("journal");
    std::fs::create_dir(&journal).expect("made");
    let packed = std::fs::File::open(kept.join("1434f187.b4j.gz")).expect("kept");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut bytes)
        .expect("packed");
    std::fs::write(journal.join(file_name(1)), bytes).expect("written");
    std::fs::copy(kept.join("1434f187.ended.json"), dir.path().join("ended.json")).expect("copied");
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_same(), "{report}");
    let text = report.to_string();
    assert!(text.contains("1434f187") && text.contains("54 decisions"), "{text}");
}

fn records(journal: &Path) -> Vec<Record> {
    Reader::open(journal).expect("a journal").map(|r| r.expect("sound")).collect()
}

/// Writes `entry` in the place of `record`, with its right checksum.
fn put(journal: &Path, record: &Record, entry: &LogEntry) {
    assert_eq!(entry_bytes(entry), entry_bytes(&record.entry), "records keep their length");
    let path = journal.join(file_name(record.segment));
    let mut bytes = std::fs::read(&path).expect("a segment");
    encode_entry(entry, &mut bytes[record.offset as usize..]).expect("room");
    std::fs::write(&path, bytes).expect("written");
    assert!(bot4_journal::verify(journal).expect("readable").is_clean(), "no damage to be seen");
}

fn with_body(entry: &LogEntry, change: impl FnOnce(&mut [u8])) -> LogEntry {
    let mut changed = *entry;
    change(&mut changed.body[..usize::from(entry.len)]);
    assert_ne!(changed.body(), entry.body(), "something changed");
    changed
}

fn is(record: &Record, lane: u8, kind: LogKind) -> bool {
    record.entry.lane == lane && record.entry.kind == kind as u8
}

/// The middle one of the records of `kind` in `lane`.
fn middle(records: &[Record], lane: u8, kind: LogKind) -> usize {
    let found: Vec<usize> = (0..records.len()).filter(|i| is(&records[*i], lane, kind)).collect();
    assert!(found.len() > 4, "{kind:?} in lane {lane}: {}", found.len());
    found[found.len() / 2]
}

/// The first difference is in `lane` at `seq`.
fn assert_named(report: &ReplayReport, lane: u8, seq: u64) {
    let difference = report.difference.as_ref().expect("a difference");
    let place = difference.place.expect("a record");
    assert_eq!((place.lane, place.seq), (lane, seq), "{report}");
}

#[test]
fn the_steppers_journal_leads_to_its_decisions() {
    let dir = journal();
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_same(), "{report}");
    assert!(report.closed && report.decisions > 50 && report.messages > 100, "{report}");
    assert!(report.reports > 100, "{report}");
    println!("{report}");
}

/// Cut connections, held lanes, a slow disk, rings of a few places: whatever the stepper does to
/// the machine, its journal leads to the same decisions and reports.
#[test]
fn journals_of_runs_under_faults_replay() {
    let mut decisions = 0;
    for seed in 1..=12 {
        let dir = tempfile::tempdir().expect("a folder");
        let options = sim::Options::swarm(seed, 60_000);
        sim::play_into(&options, dir.path()).expect("it runs");
        let report = verify(&dir.path().join("journal")).expect("readable");
        assert!(report.is_same(), "seed {seed}: {report}");
        decisions += report.decisions;
    }
    assert!(decisions > 500, "{decisions}");
}

#[test]
fn an_altered_decision_is_named() {
    let dir = journal();
    let all = records(dir.path());
    // Offset of the quantity in an intent: trail 32, order 8, price 8.
    let approved = &all[middle(&all, RISK, LogKind::Approved)];
    put(dir.path(), approved, &with_body(&approved.entry, |b| b[48] ^= 1));
    let report = verify(dir.path()).expect("readable");
    assert_named(&report, RISK, approved.entry.seq);
    let difference = report.difference.expect("a difference");
    assert_ne!(difference.recorded, difference.came_out);
    assert!(difference.came_out.expect("told").starts_with("approved: "));
}

#[test]
fn an_altered_hash_of_decisions_is_named() {
    let dir = journal();
    let all = records(dir.path());
    let turn = &all[middle(&all, RISK, LogKind::Turn)];
    put(dir.path(), turn, &with_body(&turn.entry, |b| b[12] ^= 1));
    assert_named(&verify(dir.path()).expect("readable"), RISK, turn.entry.seq);
}

#[test]
fn an_altered_report_is_named() {
    let dir = journal();
    let all = records(dir.path());
    // The last byte: made or took liquidity. Risk decides nothing by it.
    let learned = &all[middle(&all, EXECUTION, LogKind::Learned)];
    put(dir.path(), learned, &with_body(&learned.entry, |b| b[b.len() - 1] ^= 1));
    let report = verify(dir.path()).expect("readable");
    assert_named(&report, EXECUTION, learned.entry.seq);
    let difference = report.difference.expect("a difference");
    assert_ne!(difference.recorded, difference.came_out);
}

/// A balance goes past the desk; that risk took another one shows on the link.
#[test]
fn an_altered_message_between_the_lanes_is_named() {
    let dir = journal();
    let all = records(dir.path());
    let balance = &all[middle(&all, EXECUTION, LogKind::Balance)];
    put(dir.path(), balance, &with_body(&balance.entry, |b| b[b.len() - 1] ^= 1));
    let report = verify(dir.path()).expect("readable");
    let told = format!("execution sent in its record {} is not", balance.entry.seq);
    assert!(report.difference.expect("a difference").what.contains(&told));
}

/// What a core that read something which is not in the journal looks like.
#[test]
fn an_input_that_is_not_journaled_shows_at_the_first_decision_it_changes() {
    let dir = journal();
    let report = verify_amended(dir.path(), |i| i.limits.order_value_max = 1).expect("readable");
    let first = records(dir.path())
        .into_iter()
        .find(|r| is(r, RISK, LogKind::Approved))
        .expect("approvals");
    assert_named(&report, RISK, first.entry.seq);
    let difference = report.difference.expect("a difference");
    assert!(difference.came_out.expect("told").starts_with("refused"));
    let cash = verify_amended(dir.path(), |i| i.balances.iter_mut().for_each(|h| h.amount /= 100));
    assert!(!cash.expect("readable").is_same());
    assert!(verify_amended(dir.path(), |i| i.seed += 1).expect("readable").is_same());
}

/// The desk's input that takes an approved order, by its first byte.
const TAKE: u8 = 1;

/// What an iteration in random order looks like: two inputs change places.
fn swap(lane: u8, kind: LogKind, tag: Option<u8>) {
    let dir = journal();
    let all = records(dir.path());
    let inputs: Vec<&Record> = all
        .iter()
        .filter(|r| is(r, lane, kind) && tag.is_none_or(|t| r.entry.body()[0] == t))
        .collect();
    let (first, rest) = inputs[inputs.len() / 2..].split_first().expect("some");
    let second = rest
        .iter()
        .find(|r| r.entry.len == first.entry.len && r.entry.body() != first.entry.body())
        .expect("another one");
    for (to, from) in [(first, second), (second, first)] {
        let body = with_body(&to.entry, |b| b.copy_from_slice(from.entry.body()));
        put(dir.path(), to, &body);
    }
    let report = verify(dir.path()).expect("readable");
    let place = report.difference.as_ref().and_then(|d| d.place).expect("a record");
    // Two marks of one turn may lead to no other decision: then the next turn's hash tells.
    let next = all.iter().find(|r| is(r, lane, LogKind::Turn) && r.entry.seq > second.entry.seq);
    let seqs = first.entry.seq..=next.map_or(second.entry.seq, |turn| turn.entry.seq);
    assert!(place.lane == lane && seqs.contains(&place.seq), "{kind:?} {seqs:?}: {report}");
}

/// A mark that was handed in and not recorded as it was, and that changed no decision.
#[test]
fn a_mark_that_changed_no_decision_is_missed_at_the_next_turn() {
    let dir = journal();
    let all = records(dir.path());
    // The last byte but two is the instrument's; eleven from the end begins its time of receipt.
    let mark = &all[middle(&all, RISK, LogKind::Mark)];
    put(dir.path(), mark, &with_body(&mark.entry, |b| b[b.len() - 11] ^= 1));
    let next = all.iter().find(|r| is(r, RISK, LogKind::Turn) && r.entry.seq > mark.entry.seq);
    let report = verify(dir.path()).expect("readable");
    assert_named(&report, RISK, next.expect("a turn").entry.seq);
    assert!(report.to_string().contains("inputs before record"), "{report}");
}

#[test]
fn swapped_inputs_are_named() {
    swap(RISK, LogKind::Intent, None);
    swap(RISK, LogKind::Report, None);
    swap(RISK, LogKind::Mark, None);
    swap(EXECUTION, LogKind::Desk, Some(TAKE));
}

#[test]
fn a_lost_record_is_named() {
    for lane in [RISK, EXECUTION] {
        let dir = journal();
        let all = records(dir.path());
        let kind = if lane == RISK { LogKind::Intent } else { LogKind::Learned };
        let lost = &all[middle(&all, lane, kind)];
        let path = dir.path().join(file_name(lost.segment));
        let mut bytes = std::fs::read(&path).expect("a segment");
        bytes[lost.offset as usize + 40] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let report = verify(dir.path()).expect("readable");
        assert_named(&report, lane, lost.entry.seq);
        assert!(report.to_string().contains("are lost"), "{report}");
    }
}

#[test]
fn a_journal_without_inputs_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(verify(dir.path()), Err(ReplayRefusal::Unreadable(..))));
    let source = journal();
    let first = file_name(1);
    let bytes = std::fs::read(source.path().join(&first)).expect("a segment");
    std::fs::write(dir.path().join(&first), &bytes[..64]).expect("written");
    assert!(bytes.len() > SEGMENT_BYTES_MIN);
    assert!(matches!(verify(dir.path()), Err(ReplayRefusal::NoInputs(_))));
    let out = output(bot4(dir.path()).args(["replay", "--verify"]).arg(dir.path()));
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
}

/// The only run in `state`, replayed by the command: its exit code and its report.
fn replayed(state: &Path) -> (PathBuf, Option<i32>, Value) {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs");
    let run = runs.flatten().next().expect("one run").path();
    let out = output(bot4(state).args(["replay", "--verify", "--json"]).arg(&run));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {}", stderr(&out)));
    (run, out.status.code(), report)
}

#[test]
fn a_run_with_an_outage_replays_and_its_end_is_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let (mut first, endpoints) = venue(state, "127.0.0.1:0");
    let listen = endpoints["market"].as_str().expect("a URL").trim_start_matches("wss://");
    let (listen, toml) = (listen.to_owned(), state.join("trade.toml"));
    // The second start must listen where the first did, with the state of the first.
    first.0.kill().expect("killed");
    first.0.wait().expect("gone");
    let (mut first, endpoints) = venue(state, &listen);
    std::fs::write(&toml, config(&endpoints, None)).expect("written");
    let ready = state.join("ready");
    let mut engine = bot4(state)
        .args(["run", "--for", "5m", "--config"])
        .arg(&toml)
        .arg("--ready-file")
        .arg(&ready)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    until_it_trades(&ready);
    sleep(3_000);
    first.0.kill().expect("killed");
    first.0.wait().expect("gone");
    sleep(3_000);
    let (_second, _) = venue(state, &listen);
    sleep(5_000);
    // Stopped by a signal; whether every promise held is another test's business.
    signal(&engine, "-INT");
    engine.wait().expect("it ends");

    let (run, code, report) = replayed(state);
    assert_eq!((code, &report["same"]), (Some(0), &Value::Bool(true)), "{report}");
    assert_eq!(report["end_compared"], true, "{report}");
    assert!(report["decisions"].as_u64() > Some(20), "{report}");
    assert!(report["messages"].as_u64() > Some(50), "{report}");

    // The journal cannot tell that its end is missing; the run's own end state can.
    let ended = run.join("ended.json");
    let text = std::fs::read_to_string(&ended).expect("an end state");
    let mut end: Value = serde_json::from_str(&text).expect("JSON");
    end["risk"]["checked"] = (end["risk"]["checked"].as_u64().expect("a count") + 3).into();
    std::fs::write(&ended, end.to_string()).expect("written");
    let (_, code, report) = replayed(state);
    assert_eq!(code, Some(1), "{report}");
    let seq = report["lanes"][0]["last"].as_u64().map(|n| n + 1);
    assert_eq!(report["first_difference"]["seq"].as_u64(), seq, "{report}");
}

#[test]
fn a_killed_run_replays_as_far_as_its_journal_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let ready = state.join("ready");
    let mut engine = bot4(state)
        .args(["run", "--for", "5m", "--lanes", "2", "--ready-file"])
        .arg(&ready)
        .arg("--config")
        .arg(common::demo(state))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    until_it_trades(&ready);
    sleep(4_000);
    engine.kill().expect("killed");
    engine.wait().expect("gone");
    let (_, code, report) = replayed(state);
    assert_eq!((code, &report["same"]), (Some(0), &Value::Bool(true)), "{report}");
    assert_eq!((&report["closed"], &report["end_compared"]), (&false.into(), &false.into()));
    assert!(report["decisions"].as_u64() > Some(10), "{report}");
}
