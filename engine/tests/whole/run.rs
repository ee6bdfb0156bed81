//! The whole machine against the embedded venue: every number of threads, the account exact.

use crate::common::rig::{ended, sent};
use crate::common::{
    self, Killed, bot4, check_account, number, output, report, signal, status, stderr,
};
use std::process::Stdio;

const STAGES: [&str; 8] =
    ["wire_to_parse", "parse", "book", "signal", "risk", "order_encode", "tick_to_trade", "ack"];

fn run_with(lanes: &str) {
    let state = tempfile::tempdir().expect("a folder");
    let file = state.path().join("report.json");
    let ready = state.path().join("ready.json");
    let out = output(
        bot4(state.path())
            .args(["run", "--for", "5s", "--lanes", lanes, "--report"])
            .arg(&file)
            .arg("--config")
            .arg(common::demo(state.path()))
            .arg("--ready-file")
            .arg(&ready),
    );
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let report = report(&file);
    check_account(&report);
    assert!(number(&report, "/orders/sent") >= 100, "{report}");
    assert!(number(&report, "/fills/applied") >= 10, "{report}");
    for stage in STAGES {
        let latency = &report["latency_ns"][stage];
        assert!(number(latency, "/count") > 0, "{stage} in {report}");
        assert!(number(latency, "/p50") <= number(latency, "/p99"), "{stage}");
    }
    let ready: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(ready).expect("ready")).expect("JSON");
    for lane in ready["lanes"].as_array().expect("lanes") {
        assert_eq!(lane["cpu"], lane["cpu_seen"], "pinned as planned: {lane}");
    }
    check_run_folder(state.path());
}

/// The journal is whole and the histogram dumps can be read.
fn check_run_folder(state: &std::path::Path) {
    let runs = state.join("bot4/runs");
    let run = std::fs::read_dir(&runs).expect("runs").flatten().next().expect("one run").path();
    let verify = output(bot4(state).args(["journal", "verify"]).arg(run.join("journal")));
    assert_eq!(verify.status.code(), Some(0), "{}", stderr(&verify));
    let text = String::from_utf8_lossy(&verify.stdout).into_owned();
    let verdict: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(verdict["clean"], true, "{verdict}");
    let dump = output(bot4(state).args(["journal", "dump"]).arg(run.join("journal")));
    let lines = String::from_utf8_lossy(&dump.stdout).lines().count() as u64;
    assert_eq!(Some(lines), verdict["records"].as_u64());
    let show = output(bot4(state).args(["latency", "show", "--json"]).arg(run.join("latency")));
    assert_eq!(show.status.code(), Some(0), "{}", stderr(&show));
    assert!(String::from_utf8_lossy(&show.stdout).contains("tick_to_trade"));
}

#[test]
fn one_lane() {
    run_with("1");
}

#[test]
fn two_lanes() {
    run_with("2");
}

#[test]
fn three_lanes() {
    run_with("3");
}

#[test]
fn twelve_threads() {
    run_with("12");
}

#[test]
fn signals_stop_in_order() {
    for name in ["-INT", "-TERM"] {
        let state = tempfile::tempdir().expect("a folder");
        let file = state.path().join("report.json");
        let child = bot4(state.path())
            .args(["run", "--for", "5m", "--lanes", "2", "--report"])
            .arg(&file)
            .arg("--config")
            .arg(common::demo(state.path()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = Killed(child.expect("it starts"));
        status::until(state.path(), "orders are sent", |s| sent(s) > 20);
        signal(&child.0, name);
        assert_eq!(ended(&mut child), Some(0), "{name}");
        let report = report(&file);
        check_account(&report);
        assert!(number(&report, "/orders/sent") > 0);
    }
}

#[test]
fn nothing_is_left_beside_the_run_folder() {
    let state = tempfile::tempdir().expect("a folder");
    let work = tempfile::tempdir().expect("a folder");
    let mut command = bot4(state.path());
    command.current_dir(work.path()).args(["run", "--for", "1s", "--lanes", "1", "--config"]);
    let out = output(command.arg(common::demo(state.path())));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert_eq!(std::fs::read_dir(work.path()).expect("readable").count(), 0);
}
