//! The counters of a running engine, read by other processes, and `bot4 top`.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use crate::common::rig::signal;
use crate::common::{Killed, bot4, check_account, demo, number, output, report, sleep, stderr};

/// An engine on an embedded venue whose counters lie in `state`.
fn engine(state: &Path, lanes: &str, length: &str) -> Killed {
    let config = demo(state);
    let text = std::fs::read_to_string(&config).expect("read");
    let shared = format!("[run]\ncounters_dir = \"{}\"\n", state.display());
    std::fs::write(&config, text.replacen("[run]\n", &shared, 1)).expect("written");
    let child = bot4(state)
        .args(["run", "--seccomp-compute", "--lanes", lanes, "--for", length, "--config"])
        .arg(&config)
        .arg("--report")
        .arg(state.join("report.json"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(state.join("told")).expect("a file"))
        .spawn()
        .expect("it starts");
    Killed(child)
}

fn top(state: &Path, args: &[&str]) -> Output {
    output(bot4(state).arg("top").args(args))
}

/// The first snapshot for which `holds`, half a minute at most.
fn until(state: &Path, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = String::new();
    for _ in 0..300 {
        let out = top(state, &["--json"]);
        if let Ok(snapshot) = serde_json::from_slice::<Value>(&out.stdout) {
            if holds(&snapshot) {
                return snapshot;
            }
            last = snapshot.to_string();
        }
        sleep(100);
    }
    panic!("not within 30 s: {what}; {last}");
}

fn counters_files(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state).expect("listed").flatten().map(|e| e.path());
    let ours = |p: &PathBuf| p.to_string_lossy().contains("bot4-counters-");
    entries.filter(ours).collect()
}

/// What a snapshot of a run that trades must tell.
fn check_snapshot(s: &Value) {
    let all = |pointer: &str| s.pointer(pointer).and_then(Value::as_array).expect("a list").clone();
    assert_eq!(s["kill"]["phase"], "run", "{s}");
    let lanes = all("/lanes");
    assert_eq!(lanes.len(), 12);
    for lane in &lanes {
        let spent: u64 =
            ["/busy_ns", "/idle_ns", "/backpressured_ns"].iter().map(|p| number(lane, p)).sum();
        assert!(spent > 0 && number(lane, "/turns") > 0, "{lane}");
    }
    let deep = |name: &str| {
        let link = all("/links").into_iter().find(|l| l["name"] == name).expect("a link");
        assert!(number(&link, "/high_water") <= number(&link, "/capacity"), "{link}");
        number(&link, "/high_water")
    };
    // What comes in bursts must have waited, if only for a moment: frames, and what leads to
    // orders.
    assert!(deep("frames[0]") + deep("frames[1]") > 0 && deep("tops[0]") > 0, "{s}");
    for name in ["market[0][0]", "intents", "approved", "reports", "log[risk]"] {
        deep(name);
    }
    for book in all("/books") {
        assert_eq!(book["state"], "live", "{book}");
        assert_eq!(book["bids"].as_array().map(Vec::len), Some(10), "{book}");
        let price = |side: &str| -> f64 {
            book[side][0]["price"].as_str().expect("text").parse().expect("a number")
        };
        assert!(price("bids") < price("asks"), "{book}");
    }
    let line = all("/lines").remove(0);
    assert!(line["up"] == true && line["used"] == true && number(&line, "/messages") > 0, "{line}");
    assert!(s["venues"][0]["ready"] == true && number(s, "/orders/sent") > 0, "{s}");
    let states = s["orders"]["by_state"].as_object().expect("states");
    assert!(states.len() == 13 && states["canceled"].as_u64() > Some(0), "{states:?}");
    for known in ["/risk/equity/now", "/risk/gross/value", "/risk/gross/limit", "/risk/pnl/fees"] {
        assert!(s.pointer(known).is_some_and(Value::is_f64), "{known} of {s}");
    }
    assert!(number(s, "/latency/tick_to_trade/summary/count") > 0, "{s}");
    assert_eq!(number(s, "/memory/hot_allocations"), 0, "{s}");
}

/// Readers that are killed while they read.
fn killed_readers(state: &Path) {
    for n in 0..12 {
        let mut reader: Child = bot4(state)
            .args(["top", "--json"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        sleep(3 * n);
        let _ = reader.kill();
        let _ = reader.wait();
    }
}

/// One engine is killed and leaves its file behind; the next one removes it, shows itself, and does
/// not notice that readers come and are killed: no allocation, no system call, account exact.
#[test]
fn readers_come_and_go_and_the_lanes_do_not_notice() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path();
    let none = top(state, &["--once"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("no engine runs"), "{}", stderr(&none));

    let mut first = engine(state, "2", "1m");
    until(state, "the first beats", |s| number(s, "/now_ns") > 0);
    signal(&first.0, "KILL");
    let _ = first.0.wait();
    let left = counters_files(state);
    assert_eq!(left.len(), 1, "a killed engine removes nothing");
    assert_eq!(top(state, &["--json"]).status.code(), Some(2), "it is not taken for a live one");
    // What beat a moment ago could live where its process cannot be seen.
    sleep(5_500);

    let mut second = engine(state, "12", "1m");
    let warm = |s: &Value| {
        let filled = |b: &Value| b["bids"].as_array().is_some_and(|levels| levels.len() == 10);
        let books = s["books"].as_array().is_some_and(|b| !b.is_empty() && b.iter().all(filled));
        let canceled = s["orders"]["by_state"]["canceled"].as_u64() > Some(0);
        s["run"]["sealed"] == true && books && canceled && s["risk"]["gross"]["limit"].is_f64()
    };
    let snapshot = until(state, "it trades", warm);
    check_snapshot(&snapshot);
    let now = counters_files(state);
    assert!(now.len() == 1 && now != left, "{now:?}: what was left behind is gone");
    let text = String::from_utf8_lossy(&top(state, &["--once"]).stdout).into_owned();
    for wanted in ["lanes:", "frames[0]", "binance", "BTCUSDT", "gross exposure", "tick_to_trade"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert_eq!(top(state, &[]).status.code(), Some(2), "no terminal");
    killed_readers(state);
    signal(&second.0, "INT");
    let code = second.0.wait().expect("it ends").code();
    let told = std::fs::read_to_string(state.join("told")).unwrap_or_default();
    assert_eq!(code, Some(0), "{told}");
    let report = report(&state.join("report.json"));
    check_account(&report);
    let calls = |lane: &Value| number(lane, "/forbidden_syscalls");
    let lanes = report["lanes"].as_array().expect("lanes");
    assert!(lanes.len() == 12 && lanes.iter().all(|lane| calls(lane) == 0), "{lanes:?}");
    assert!(counters_files(state).is_empty(), "an orderly end leaves no file");
}
