//! The venue is killed in mid-run and comes back: trading goes on, the account is exact.

use crate::common::rig::{ended, sent, signal};
use crate::common::{Killed, bot4, check_account, config, number, report, sleep, status, venue};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

/// Kills the venue `first`, and starts it again after three seconds: the venue, and for how long
/// there was none, ms.
fn outage(mut first: Killed, state: &Path, listen: &str) -> (Killed, u64) {
    #[expect(clippy::disallowed_methods, reason = "times other processes")]
    let began = Instant::now();
    first.0.kill().expect("killed");
    first.0.wait().expect("gone");
    sleep(3_000);
    let (second, _) = venue(state, listen);
    (second, began.elapsed().as_millis() as u64)
}

#[test]
fn a_killed_venue_costs_time_and_nothing_else() {
    let state = tempfile::tempdir().expect("a folder");
    let (mut first, endpoints) = venue(state.path(), "127.0.0.1:0");
    // The second start must listen where the first did, with the state of the first.
    let listen = endpoints["market"].as_str().expect("a URL").trim_start_matches("wss://");
    let (listen, state) = (listen.to_owned(), state.path());
    first.0.kill().expect("killed");
    first.0.wait().expect("gone");
    let (first, endpoints) = venue(state, &listen);

    let (file, toml) = (state.join("report.json"), state.join("trade.toml"));
    std::fs::write(&toml, config(&endpoints, None)).expect("written");
    let engine = bot4(state)
        .args(["run", "--for", "5m", "--config"])
        .arg(&toml)
        .arg("--report")
        .arg(&file)
        .stdout(Stdio::null())
        .spawn();
    let mut engine = Killed(engine.expect("it starts"));
    status::until(state, "it trades", |s| s["books_live"] == 2 && sent(s) > 50);
    let (_second, gone_ms) = outage(first, state, &listen);
    let are_back = |s: &Value| s["books_live"] == 2 && s["market"]["resyncs"].as_u64() >= Some(2);
    let back = status::until(state, "both books are back", are_back);
    status::until(state, "it trades on", |s| sent(s) > sent(&back) + 20);
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    let report = report(&file);
    check_account(&report);
    assert!(number(&report, "/market/resyncs") >= 2, "both books started over: {report}");
    // Two books, the outage each, and less than five seconds more to be back.
    let stale_ms = number(&report, "/market/stale_ms");
    let more_ms = stale_ms.saturating_sub(2 * gone_ms);
    assert!(stale_ms >= 5_000 && more_ms < 10_000, "stale for {stale_ms} ms of {gone_ms} each");
    assert!(number(&report, "/orders/sent") > 50, "{report}");
}
