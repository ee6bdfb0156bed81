//! The machine under a run: live trading is refused on one that is not fit, and a running engine is
//! what it says it is.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::ready::until_it_trades;
use crate::common::{self, Killed, bot4, config, output, stderr, venue};

fn json(command: &mut Command) -> (Option<i32>, Value) {
    let out = output(command);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", stderr(&out)));
    (out.status.code(), value)
}

fn rows_in<'a>(document: &'a Value, state: &str) -> Vec<&'a str> {
    let checks = document["checks"].as_array().expect("rows").iter();
    checks.filter(|c| c["state"] == state).filter_map(|c| c["id"].as_str()).collect()
}

#[test]
fn live_trading_waits_for_a_machine_that_is_fit() {
    let state = tempfile::tempdir().expect("a folder");
    let (_venue, endpoints) = venue(state.path(), "127.0.0.1:0");
    // Not the program that was rolled out: a row that fails on every machine.
    let manifest = state.path().join("manifest.json");
    std::fs::write(&manifest, r#"{"binary_sha256":"00"}"#).expect("written");
    let file = state.path().join("trade.toml");
    let host = "\n[host]\nmode = \"live\"\nmanifest = \"manifest.json\"\n";
    let text = config(&endpoints, None).replace("for = \"6s\"", "for = \"1s\"") + host;
    std::fs::write(&file, text).expect("written");

    let (code, found) =
        json(bot4(state.path()).args(["host", "check", "--json", "--config"]).arg(&file));
    assert_eq!((code, &found["mode"]), (Some(1), &"live".into()));
    let failed = rows_in(&found, "fail");
    assert!(failed.contains(&"process.binary"), "{failed:?}");
    assert!(rows_in(&found, "absent").contains(&"clock.venue"), "nobody asked it: {found}");
    let mut asked = bot4(state.path());
    asked.args(["host", "check", "--json", "--venue-clock", "--window", "1ms", "--config"]);
    let (_, asked) = json(asked.arg(&file));
    assert!(rows_in(&asked, "ok").contains(&"clock.venue"), "the same clock: {asked}");

    let refused = output(bot4(state.path()).args(["run", "--config"]).arg(&file));
    let error = stderr(&refused);
    assert_eq!(refused.status.code(), Some(78), "{error}");
    assert!(error.contains("process.binary") && error.contains("--waive"), "{error}");
    assert!(!state.path().join("bot4/runs").exists(), "a refused run leaves no trace");

    // With a reason for each it may, and the reasons are kept.
    // What others take of the CPUs and of the disk may fail at the next look alone.
    let others = ["cpus.steal", "disk.sync"];
    let rows: BTreeSet<&str> = failed.iter().copied().chain(others).collect();
    let waivers: Vec<String> = rows.iter().map(|id| format!("--waive={id}:a test")).collect();
    let out = output(bot4(state.path()).args(["run", "--config"]).arg(&file).args(&waivers));
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let run = std::fs::read_dir(state.path().join("bot4/runs")).expect("runs").flatten().next();
    let kept = std::fs::read_to_string(run.expect("a run").path().join("host.json")).expect("kept");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert!(rows_in(&kept, "waived").contains(&"process.binary"), "{kept}");
    assert!(rows_in(&kept, "ok").contains(&"clock.venue"), "measured by the opening: {kept}");

    let no_reason = output(bot4(state.path()).args(["run", "--waive", "process.binary"]));
    assert_eq!(no_reason.status.code(), Some(2), "{}", stderr(&no_reason));
}

#[test]
fn an_earlier_check_is_a_manifest() {
    let state = tempfile::tempdir().expect("a folder");
    let manifest = state.path().join("manifest.json");
    let check = || {
        let mut command = bot4(state.path());
        command.args(["host", "check", "--json", "--window", "1ms", "--config"]);
        command.arg(common::demo(state.path()));
        command
    };
    let (_, first) = json(&mut check());
    std::fs::write(&manifest, first.to_string()).expect("written");
    let (_, again) = json(check().arg("--manifest").arg(&manifest));
    let ok = rows_in(&again, "ok");
    assert!(ok.contains(&"process.binary") && ok.contains(&"kernel.cmdline"), "{ok:?}");
}

#[test]
fn a_running_engine_is_what_it_says() {
    let state = tempfile::tempdir().expect("a folder");
    let ready = state.path().join("ready.json");
    // Whatever runs the tests, an engine is an ordinary process.
    let plain = bot4(state.path());
    let mut engine = Command::new("chrt");
    engine.args(["--other", "0"]).arg(plain.get_program()).env("XDG_STATE_HOME", state.path());
    engine
        .args(["run", "--for", "60s", "--lanes", "2", "--config"])
        .arg(common::demo(state.path()));
    engine.arg("--ready-file").arg(&ready).stdin(Stdio::null());
    engine.stdout(Stdio::null()).stderr(Stdio::null());
    let _engine = Killed(engine.spawn().expect("chrt runs"));
    until_it_trades(&ready);
    let mut audit = bot4(state.path());
    audit.args(["host", "audit", "--json", "--for", "200ms", "--ready-file"]).arg(&ready);
    // Whether pages were reserved is the machine's matter.
    let (code, found) = json(audit.args(["--waive", "audit.huge_pages:a test"]));
    assert_eq!(code, Some(0), "{found}");
    let checks = found["audit"]["checks"].as_array().expect("findings");
    for id in ["audit.lanes", "audit.mask", "audit.policy", "audit.name", "audit.undeclared"] {
        let of = checks.iter().find(|c| c["id"] == id).expect("a finding");
        assert_eq!(of["state"], "ok", "{of}");
    }
}
