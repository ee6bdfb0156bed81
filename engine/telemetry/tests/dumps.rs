//! From recorded values through the log back to a table.

use std::fs;
use std::path::{Path, PathBuf};

use bot4_lanes::{Agent, Metrics, Probe};
use bot4_telemetry::agent::HLOG_NAME;
use bot4_telemetry::show::merge;
use bot4_telemetry::{ShowError, TelemetryAgent, TelemetryConfig, diff, show};
use bot4_types::{Nanos, Wall};
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

const SECOND: u64 = 1_000_000_000;

fn agent(dir: &Path, metrics: &Metrics) -> TelemetryAgent {
    let config = TelemetryConfig {
        latency_dir: Some(dir.to_owned()),
        interval: Nanos(SECOND),
        wall: Wall { origin_unix_ns: 1_700_000_000 * SECOND as i64 },
    };
    TelemetryAgent::new(config, metrics.clone())
}

/// Three seconds: `parse` in each, `ack` in the second only.
fn recorded(dir: &Path, factor: u64) -> Metrics {
    let metrics = Metrics::in_memory();
    let (parse, ack) = (metrics.histogram("parse"), metrics.histogram("ack"));
    let mut agent = agent(dir, &metrics);
    agent.start(Nanos(0)).expect("start");
    let mut probe = Probe::logical();
    for second in 1..=3u64 {
        for v in 1..=100 {
            parse.record(v * second * factor);
        }
        if second == 2 {
            ack.record(5_000_000);
        }
        let mut turn = |at| agent.work(Nanos(at), &mut probe).expect("never a fault");
        assert_eq!(turn(second * SECOND - 1), 0, "not due");
        if second < 3 {
            assert_eq!(turn(second * SECOND), if second == 2 { 2 } else { 1 });
        }
    }
    agent.close(Nanos(3 * SECOND));
    assert_eq!(metrics.total("telemetry_lines"), 4);
    assert_eq!(metrics.total("telemetry_write_errors"), 0);
    metrics
}

#[test]
fn intervals_merge_to_the_whole() {
    let dir = tempfile::tempdir().expect("dir");
    let metrics = recorded(dir.path(), 10);
    let merged = merge(&[dir.path().to_owned()]).expect("readable");
    assert_eq!((merged.intervals, merged.unreadable.len()), (4, 0));
    let (whole, from_log) = (bot4_telemetry::latency_summaries(&metrics), merged.summaries());
    for (tag, s) in &whole {
        for ((name, live), (_, read)) in s.fields().into_iter().zip(from_log[tag].fields()) {
            assert!(live.abs_diff(read) <= live / 500 + 1, "{tag} {name}: {live} and {read}");
        }
    }
    let text = fs::read_to_string(dir.path().join(HLOG_NAME)).expect("text");
    assert!(text.starts_with("#[Histogram log format version 1.3]\n"), "{text}");
    assert!(text.contains("#[StartTime: 1700000000.000 (seconds since epoch)]"), "{text}");
    // The library's own reader, over the file as it is.
    let entries: Vec<_> = IntervalLogIterator::new(text.as_bytes()).collect();
    let intervals = entries.iter().filter_map(|entry| match entry {
        Ok(LogEntry::Interval(interval)) => interval.tag().map(|tag| tag.as_str()),
        Ok(_) => None,
        Err(e) => panic!("the library cannot read it: {e:?}"),
    });
    assert_eq!(intervals.collect::<Vec<_>>(), ["parse", "parse", "ack", "parse"]);
    // Compressed V2 payloads begin with their cookie: the readers of other languages look for it.
    let payloads: Vec<_> = text.lines().filter(|l| l.starts_with("Tag=")).collect();
    assert_eq!(payloads.len(), 4);
    assert!(payloads.iter().all(|l| l.split(',').nth(4).is_some_and(|p| p.starts_with("HISTFA"))));
    assert!(payloads[1].starts_with("Tag=parse,1700000001.000,1.000,2"), "{}", payloads[1]);
}

#[test]
fn tables_and_json_agree() {
    let dir = tempfile::tempdir().expect("dir");
    recorded(dir.path(), 10);
    let paths = [dir.path().join(HLOG_NAME)];
    let table = show(&paths, &[], false).expect("table");
    let parse = table.lines().find(|l| l.starts_with("parse")).expect("a row");
    let json: serde_json::Value =
        serde_json::from_str(&show(&paths, &[], true).expect("json")).expect("JSON");
    let s = &json["latency_ns"]["parse"];
    assert_eq!(s["count"], 300);
    let cells: Vec<_> = parse.split_whitespace().skip(1).collect();
    for (cell, field) in cells.into_iter().zip(["count", "p50", "p90", "p99", "p999", "max"]) {
        assert_eq!(cell, s[field].to_string());
    }
}

#[test]
fn diff_shows_ratios() {
    let (a, b) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    recorded(a.path(), 10);
    recorded(b.path(), 20);
    let json: serde_json::Value =
        serde_json::from_str(&diff(a.path(), b.path(), true).expect("json")).expect("JSON");
    let ratio = json["parse"]["ratio"]["p50"].as_f64().expect("a ratio");
    assert!((1.98..=2.02).contains(&ratio), "{ratio}");
    assert_eq!(json["ack"]["ratio"]["count"], 1.0);
    let table = diff(a.path(), b.path(), false).expect("table");
    assert!(table.lines().any(|l| l.starts_with("parse") && l.contains("p999")), "{table}");
}

#[test]
fn damaged_lines_are_named_and_the_rest_is_read() {
    let dir = tempfile::tempdir().expect("dir");
    recorded(dir.path(), 10);
    let path = dir.path().join(HLOG_NAME);
    let mut bytes = fs::read(&path).expect("read");
    bytes.truncate(bytes.len() - 5);
    fs::write(&path, &bytes).expect("write");
    let merged = merge(std::slice::from_ref(&path)).expect("readable");
    assert_eq!((merged.intervals, merged.unreadable.len()), (3, 1));
    assert!(merged.unreadable[0].1.ends_with("torn"));
    for at in 0..bytes.len() {
        let mut hurt = bytes.clone();
        hurt[at] ^= 0x11;
        fs::write(&path, &hurt).expect("write");
        // Any answer, never a panic.
        let _ = show(std::slice::from_ref(&path), &[], false);
    }
}

#[test]
fn what_cannot_be_shown_says_why() {
    let dir = tempfile::tempdir().expect("dir");
    let none = show(&[dir.path().to_owned()], &[], false).expect_err("no logs");
    assert!(matches!(none, ShowError::NoLogs(_)) && none.to_string().contains("--latency-dir"));
    let missing = show(&[PathBuf::from("/nowhere/x.hlog")], &[], false).expect_err("missing");
    assert!(matches!(missing, ShowError::Io(..)));
    fs::write(dir.path().join("a.hlog"), "#[comment]\n").expect("write");
    assert!(matches!(show(&[dir.path().to_owned()], &[], false), Err(ShowError::Empty)));
}

#[test]
fn an_unwritable_place_is_a_fault_at_start() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("write");
    let fault = agent(&file, &Metrics::in_memory()).start(Nanos(0)).expect_err("a file");
    assert!(fault.to_string().contains("--latency-dir"), "{fault}");
}
