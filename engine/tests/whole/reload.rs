//! The configuration file changes under a running engine: its limits hold from then on, all at
//! once and journaled; a file that is refused changes nothing.

use std::path::Path;
use std::process::Stdio;

use crate::common::rig::{ended, sent, told};
use crate::common::{self, Killed, bot4, check_account, demo, output, report, signal, status};
use serde_json::Value;

/// Writes `path` anew, as an editor does: in one piece.
fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("read");
    assert!(text.contains(from), "{from} in the demo");
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text.replacen(from, to, 1)).expect("written");
    std::fs::rename(&fresh, path).expect("in its place");
}

/// Risk's records of the only run, in order.
fn records(state: &Path) -> Vec<Value> {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs").flatten();
    let run = runs.map(|e| e.path()).find(|p| p.join("journal").is_dir()).expect("a run");
    let out = output(bot4(state).args(["journal", "dump"]).arg(run.join("journal")));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let records = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    records.filter(|record: &Value| record["lane"] == 0).collect()
}

fn verify(state: &Path) {
    let runs = std::fs::read_dir(state.join("bot4/runs")).expect("runs").flatten();
    let run = runs.map(|e| e.path()).find(|p| p.join("journal").is_dir()).expect("a run");
    let out = output(bot4(state).args(["replay", "--verify"]).arg(run));
    assert!(out.status.success(), "{}", common::stderr(&out));
}

fn start(state: &Path, config: &Path) -> Killed {
    let mut command = bot4(state);
    command.args(["run", "--for", "5m", "--lanes", "2", "--config"]).arg(config);
    command.arg("--report").arg(state.join("report.json"));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    Killed(command.spawn().expect("it starts"))
}

/// The file becomes a bad one while the engine trades, then one with a limit that binds.
fn change(state: &Path, path: &Path, engine: &Killed) {
    status::until(state, "orders are sent", |s| sent(s) > 20);
    replace(path, "order_notional_max = 5000.0", "order_notional_max = -1.0");
    status::until(state, "it is refused", |s| s["limits"]["outcome"] == "refused");
    // An order of the market maker is worth 400: none of them may increase any more.
    replace(path, "order_notional_max = -1.0", "order_notional_max = 350.0");
    signal(&engine.0, "-HUP");
    status::until(state, "the new limit binds", |s| {
        s["limits_changed"] == 1 && s["refused_by"]["fat_notional"].as_u64() > Some(0)
    });
}

#[test]
fn limits_of_a_changed_file_hold_and_a_bad_one_changes_nothing() {
    let state = tempfile::tempdir().expect("a folder");
    let path = demo(state.path());
    // Captured, and nothing of it given up: the whole chain is replayed.
    replace(&path, "# capture = true", "capture = true");
    replace(&path, "# shed = true", "shed = false");
    let mut engine = start(state.path(), &path);
    change(state.path(), &path, &engine);
    signal(&engine.0, "-INT");
    let code = ended(&mut engine);
    let told = told(&mut engine);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("order_notional_max") && told.contains("stay as they are"), "{told}");
    assert!(told.contains("other limits hold from now on"), "{told}");
    check_account(&report(&state.path().join("report.json")));

    let records = records(state.path());
    let is = |r: &Value, kind: &str| r["kind"] == kind;
    let commits: Vec<usize> = (0..records.len())
        .filter(|i| is(&records[*i], "command") && records[*i]["body"]["what"] == "limits")
        .collect();
    let [commit] = commits[..] else { panic!("one change of limits: {commits:?}") };
    let fat = |r: &Value| is(r, "refused") && r["body"]["reason"] == "fat_notional";
    assert!(!records[..commit].iter().any(fat), "the limits of the start held before");
    let placed = |r: &&Value| is(r, "approved") && r["body"]["action"] == "place";
    assert!(records[..commit].iter().any(|r| placed(&r)), "and let orders pass");
    assert!(records[commit..].iter().any(fat), "the new ones hold behind the change");
    verify(state.path());
}
