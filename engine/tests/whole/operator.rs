//! What a person says to a running engine beside stopping it: the control mode, which outlives the
//! process, and circuit breakers.

use serde_json::json;

use crate::common::rig::{Rig, ended, records, sent, signal, told, verify};
use crate::common::{check_account, report, stderr};
use crate::observer::ControlLine;

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

/// Orders that the venue refuses open two breakers of three: nothing increases, the status says
/// why, and it heals by itself.
#[test]
fn more_than_half_of_the_breakers_open_and_recover() {
    let rig = Rig::at_a_venue_with("", |text| {
        let one = text.replacen("\n[[strategy]]\nkind = \"ema_cross\"\n", "", 1);
        let one = one.replacen(", \"ETHUSDT\"", "", 1);
        let rules = "[risk.breaker]\nerrors = 1\nreject_pct = 0.01\ncalls_min = 1\n\
                     open_for = \"3s\"\n\n[[strategy]]";
        one.replacen("[[strategy]]", rules, 1)
    });
    let mut engine = rig.start("report.json");
    let mut venue = ControlLine::new(&rig.endpoints);
    venue.say("filters BTCUSDT tick=0.05");
    let status = rig.until("all are open", |s| s["breakers"]["global"] == "open");
    let reason = status["breakers"]["reason"].as_str().expect("a sentence").to_owned();
    assert!(reason.contains("of 3 circuit breakers are open"), "{reason}");
    assert!(status["breakers"]["unwell"].as_array().is_some_and(|u| u.len() > 1), "{status}");
    let before = sent(&status);
    rig.until("they recover and it trades", |s| {
        s["breakers"]["global"] == "closed" && sent(s) > before + 5
    });
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    let report = report(&rig.state().join("report.json"));
    check_account(&report);
    let breakers = &report["risk"]["breakers"];
    assert!(breakers["opened"]["instrument"].as_u64() > Some(0), "{breakers}");
    assert!(breakers["causes"]["rejects"].as_u64() > Some(0), "{breakers}");
    let text = told(&mut engine);
    assert!(text.contains("more than half of the circuit breakers are open"), "{text}");
    assert!(text.contains("the circuit breakers recover"), "{text}");
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
    let status = rig.status();
    let breakers = &status["breakers"];
    // Two strategies, two instruments, the venue.
    assert_eq!((&breakers["all"], &breakers["global"]), (&5.into(), &"closed".into()), "{status}");
    assert!(breakers["reason"].is_null() && breakers["cold"].is_object(), "{status}");
    for measure in ["volatility", "value_at_risk", "shortfall", "shortfall_worst", "heat"] {
        assert!(status["loss"][measure].is_number(), "{measure} in {status}");
    }
    rig.until("equity is known", |s| s["equity"]["now"].as_f64() > Some(1_000.0));
    let before = sent(&status);
    rig.until("it trades on", |s| sent(s) > before && s["phase"] == "run");
    // Measured once a second: the strategies may be flat at one of those moments.
    rig.until("a position was measured", |s| s["loss"]["shortfall"].as_f64() > Some(0.0));
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    let report = report(&rig.state().join("report.json"));
    check_account(&report);
    let risk = &report["risk"];
    assert_eq!(risk["mode"], "full_auto", "{risk}");
    let all = records(&rig);
    let is_reset = |r: &&serde_json::Value| r["body"]["what"] == "breaker_reset";
    let resets = all.iter().filter(|r| r["kind"] == "command").filter(is_reset).count();
    assert_eq!(resets, 4, "each of them once");
    assert!(risk["loss_max"]["shortfall"].as_f64() > Some(0.0), "{risk}");
    assert_eq!((&risk["breakers"]["all"], &risk["latched"]), (&5.into(), &json!({})), "{risk}");
    verify(&rig);
}
