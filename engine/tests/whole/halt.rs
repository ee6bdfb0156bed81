//! A failing agent stops the engine safely: kill latched, everything cancelled, exit 79, account
//! exact.

use crate::common::rig::{ended, sent, told};
use crate::common::{Killed, bot4, number, report, status};
use std::process::Stdio;

#[test]
fn a_journal_that_loses_its_disk_halts_the_engine() {
    let state = tempfile::tempdir().expect("a folder");
    let journals = state.path().join("journals");
    std::fs::create_dir(&journals).expect("made");
    let demo = include_str!("../../../deploy/config/demo.toml");
    let toml = demo
        .replace("segment_mib = 16 ", "segment_mib = 1 ")
        .replace("stall_max = \"250ms\"", "stall_max = \"30s\"")
        .replace("# dir = \"journal\"", &format!("dir = \"{}\"", journals.display()));
    let (file, config) = (state.path().join("report.json"), state.path().join("trade.toml"));
    std::fs::write(&config, toml).expect("written");
    let engine = bot4(state.path())
        .args(["run", "--for", "5m", "--lanes", "2", "--config"])
        .arg(&config)
        .arg("--report")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut engine = Killed(engine.expect("it starts"));
    status::until(state.path(), "orders are sent", |s| sent(s) > 20);
    // The folder is gone: the segment after the next cannot be made.
    std::fs::rename(&journals, state.path().join("elsewhere")).expect("renamed");
    assert_eq!(ended(&mut engine), Some(79), "by itself");
    let error = told(&mut engine);
    assert!(error.contains("broken promise: journal"), "{error}");
    let report = report(&file);
    for zero in ["/orders/open_at_end", "/orders/unknown", "/reconcile/orders_differ"] {
        assert_eq!(number(&report, zero), 0, "{zero} in {report}");
    }
    assert_eq!(number(&report, "/reconcile/balances_differ"), 0, "{report}");
    assert!(number(&report, "/orders/sent") > 0, "{report}");
}
