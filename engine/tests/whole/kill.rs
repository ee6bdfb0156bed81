//! A person stops an engine and lets it go on; a stop outlives the process; an engine that does not
//! answer, or dies, leaves no order at the venue.

use crate::common::rig::{Rig, ended, open_at_the_venue, sent, signal};
use crate::common::{
    Killed, bot4, can_trace, check_account, number, output, report, sleep, stderr,
};
use bot4::replay::inputs::InputsText;
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn a_person_stops_it_and_lets_it_go_on() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    let out = rig.say(&["kill", "--reason", "a look at the line", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let status = rig.status();
    assert_eq!((&status["phase"], number(&status, "/orders/open")), (&"kill".into(), 0));
    let (before, latch) = (sent(&status), rig.latch_file().expect("a latch on the disk"));
    assert!(latch.contains("a look at the line"), "{latch}");
    sleep(1_000);
    let later = rig.status();
    assert_eq!(sent(&later), before, "not one order under a kill");
    assert!(number(&later, "/market/messages") > number(&status, "/market/messages"));
    assert_eq!(rig.say(&["resume", "--reason", "  "]).status.code(), Some(2));
    let out = rig.say(&["resume", "--reason", "the line is good"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert_eq!(rig.latch_file(), None);
    rig.until("it trades again", |s| sent(s) > before + 20 && s["phase"] == "run");
    // A signal and a file stop as well; the file holds as long as it is there.
    signal(&engine.0, "USR1");
    rig.until("stopped by the signal", |s| s["latch"]["by"] == "signal");
    let file = rig.state().join("bot4/KILL");
    std::fs::write(&file, "").expect("written");
    let refused = rig.say(&["resume", "--reason", "again"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    std::fs::remove_file(&file).expect("removed");
    let out = rig.say(&["resume", "--reason", "again"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0), "a stop that ended is no halt");
    check_account(&report(&rig.state().join("report.json")));
}

#[test]
fn a_stop_outlives_the_process() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    assert_eq!(rig.say(&["kill", "--reason", "enough"]).status.code(), Some(0));
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(79), "a person must look");
    check_account(&report(&rig.state().join("report.json")));
    let run = ["run", "--for", "1s", "--config", rig.config.to_str().expect("UTF-8")];
    let refused = rig.say(&run);
    assert_eq!(refused.status.code(), Some(78));
    let error = stderr(&refused);
    assert!(error.contains("enough") && error.contains("bot4 resume"), "{error}");
    assert_eq!(rig.say(&["status"]).status.code(), Some(1), "a latch stands");
    assert_eq!(rig.say(&["resume", "--reason", "looked at it"]).status.code(), Some(0));
    let run = rig.say(&run);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let told = stderr(&run);
    assert!(told.contains("ended while no engine ran: looked at it"), "{told}");
    // Its journal keeps the reason, and it is said to one start only.
    let accounts = std::fs::read_dir(rig.state().join("bot4/accounts")).expect("there").flatten();
    assert!(accounts.map(|a| a.path().join("resumed.json")).all(|file| !file.exists()));
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("there").flatten();
    let journal = runs.map(|r| r.path()).max().expect("a run").join("journal");
    let records = bot4_journal::Reader::open(&journal).expect("a journal").map(Result::unwrap);
    let mut text = InputsText::default();
    let of_run = records.filter(|r| r.entry.lane == bot4::topology::LOG_RUN);
    let inputs = of_run.filter_map(|r| text.take(r.entry.body()).expect("readable")).next();
    let said = inputs.expect("the run's inputs").resumed;
    assert!(said.is_some_and(|said| said.contains("looked at it")));
}

#[test]
fn an_engine_that_does_not_answer_is_ended_and_its_orders_go() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    signal(&engine.0, "STOP");
    let stat = format!("/proc/{}/stat", engine.0.id());
    while !std::fs::read_to_string(&stat).expect("it is there").contains(") T ") {
        sleep(1);
    }
    let out = rig.say(&["kill", "--reason", "it hangs", "--json"]);
    let told: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(out.status.code(), Some(0), "{told} {}", stderr(&out));
    assert_eq!((&told["answered"], &told["outside"]["left"]), (&false.into(), &0.into()));
    assert_eq!(ended(&mut engine), None, "ended by a signal");
    assert!(rig.latch_file().is_some_and(|l| l.contains("it hangs")));
    assert_eq!(open_at_the_venue(&rig), 0);
}

/// From now on every sync of the process `pid` takes so long; until it is stopped.
fn slow_syncs(rig: &Rig, pid: u32, ms: u64) -> Killed {
    let inject = format!("inject=fsync:delay_enter={}", ms * 1_000);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync", "-e", &inject, "-p", &pid.to_string(), "-o"]);
    let strace = Killed(strace.arg(rig.state().join("trace")).spawn().expect("strace starts"));
    let task = format!("/proc/{pid}/task");
    let is_traced = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    for _ in 0..300 {
        let mut tasks = std::fs::read_dir(&task).expect("it lives").flatten();
        if tasks.all(is_traced) {
            return strace;
        }
        sleep(10);
    }
    panic!("process {pid} is not traced");
}

#[test]
fn an_engine_that_stops_on_a_slow_disk_is_not_ended() {
    if !can_trace() {
        return;
    }
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    let mut disk = slow_syncs(&rig, engine.0.id(), 800);
    let out = rig.say(&["kill", "--reason", "the disk is slow", "--json"]);
    let told: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(out.status.code(), Some(0), "{told} {}", stderr(&out));
    let seen = ["answered", "open", "drained", "phase"].map(|key| told[key].clone());
    assert_eq!(Value::from(seen.to_vec()), json!([true, 0, true, "kill"]));
    assert!(rig.latch_file().is_some_and(|latch| latch.contains("the disk is slow")));
    signal(&disk.0, "INT");
    disk.0.wait().expect("it lets go");
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(79), "a person must look");
    check_account(&report(&rig.state().join("report.json")));
}

/// The guard notices a death by itself.
#[test]
fn an_engine_that_dies_leaves_no_order() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    rig.until("orders are open", |s| s["orders"]["open"].as_u64() > Some(0));
    signal(&engine.0, "KILL");
    assert_eq!(ended(&mut engine), None);
    let run = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten().next();
    let told = run.expect("one run").path().join("guard.json");
    for _ in 0..100 {
        if told.exists() {
            break;
        }
        sleep(100);
    }
    let told = std::fs::read_to_string(told).expect("the guard told what it did");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["outcome"]["left"], 0, "{told}");
    assert_eq!(open_at_the_venue(&rig), 0);
    // No latch: the next start reconciles and trades.
    let mut next = rig.start("next.json");
    signal(&next.0, "INT");
    assert_eq!(ended(&mut next), Some(0));
    check_account(&report(&rig.state().join("next.json")));
}

/// A strategy that asks for nonsense stops all trading, by itself; what was open is cancelled, and
/// the next start waits for a person.
#[test]
fn a_strategy_that_runs_away_is_stopped() {
    let rig = Rig::new();
    let text = std::fs::read_to_string(&rig.config).expect("written before");
    let risk = "[risk]\nrunaway_refused = 20\n\n[[strategy]]";
    std::fs::write(&rig.config, text.replacen("[[strategy]]", risk, 1)).expect("written");
    let file = rig.state().join("report.json");
    let run = ["run", "--plant", "runaway", "--for", "9s", "--config"];
    let out = output(bot4(rig.state()).args(run).arg(&rig.config).arg("--report").arg(&file));
    let told = stderr(&out);
    assert_eq!(out.status.code(), Some(79), "{told}");
    assert!(told.contains("stopped (by risk): risk latched: runaway"), "{told}");
    let report = report(&file);
    check_account(&report);
    let refused = &report["risk"]["refused"];
    assert!(refused.as_object().is_some_and(|r| !r.is_empty()), "{report}");
    assert!(rig.latch_file().is_some_and(|l| l.contains("runaway")));
    let next = output(bot4(rig.state()).args(["run", "--for", "1s", "--config"]).arg(&rig.config));
    assert_eq!(next.status.code(), Some(78), "{}", stderr(&next));
}
