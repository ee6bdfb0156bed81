//! What a person says to a running engine beside stopping it: the control mode, which outlives the
//! process, and circuit breakers.

mod common;

use common::rig::{Rig, ended, sent, signal, told, verify};
use common::{check_account, report, sleep, stderr};

/// Refusals of the gate for `reason` so far.
fn refused(status: &serde_json::Value, reason: &str) -> u64 {
    status["refused_by"][reason].as_u64().unwrap_or(0)
}

#[test]
fn a_tighter_mode_outlives_the_process_however_it_ends() {
    let rig = Rig::new();
    let mut engine = rig.start("first.json");
    assert_eq!(rig.status()["mode"], "full_auto");
    assert_eq!(rig.say(&["mode", "asleep", "--reason", "x"]).status.code(), Some(2));
    assert_eq!(rig.say(&["mode", "manual", "--reason", " "]).status.code(), Some(2));
    let out = rig.say(&["mode", "manual", "--reason", "a look at the fills"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert_eq!(rig.status()["mode"], "manual");
    rig.until("strategies are held back", |s| refused(s, "mode") > 0);
    // Killed: the mode lies in the journal alone.
    signal(&engine.0, "KILL");
    assert_eq!(ended(&mut engine), None);
    let mut engine = rig.start_quietly("second.json");
    rig.until("it begins in the tighter mode", |s| s["mode"] == "manual" && refused(s, "mode") > 0);
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("second.json")));
    let text = told(&mut engine);
    assert!(text.contains("control mode manual: it held when run"), "{text}");
    // Ended in order: the mode lies in the account's state. A changed file is the newest word.
    let text = std::fs::read_to_string(&rig.config).expect("read");
    let changed = text.replacen("[[strategy]]", "[risk]\nmode = \"semi_auto\"\n\n[[strategy]]", 1);
    std::fs::write(&rig.config, changed).expect("written");
    let mut engine = rig.start("third.json");
    assert_eq!(rig.status()["mode"], "semi_auto");
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    let text = told(&mut engine);
    assert!(text.contains("control mode semi_auto: the configuration was changed"), "{text}");
    verify(&rig);
}

#[test]
fn a_person_closes_a_breaker() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    let nobody = ["resume", "--breaker", "DOGEUSDT", "--reason", "mended"];
    assert_eq!(rig.say(&nobody).status.code(), Some(1));
    for scope in ["all", "strategy:1", "BTCUSDT", "venue"] {
        let out = rig.say(&["resume", "--breaker", scope, "--reason", "mended", "--json"]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    }
    let before = sent(&rig.status());
    rig.until("it trades on", |s| sent(s) > before && s["phase"] == "run");
    sleep(200);
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("report.json")));
    verify(&rig);
}
