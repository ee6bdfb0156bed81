//! The venue is killed in mid-run and comes back: trading goes on, the account is exact.

use crate::common::{bot4, check_account, config, number, report, sleep, venue};
use std::process::Stdio;

#[test]
fn a_killed_venue_costs_time_and_nothing_else() {
    let state = tempfile::tempdir().expect("a folder");
    let (mut first, endpoints) = venue(state.path(), "127.0.0.1:0");
    // The second start must listen where the first did, with the state of the first.
    let listen = endpoints["market"].as_str().expect("a URL").trim_start_matches("wss://");
    let (listen, state) = (listen.to_owned(), state.path());
    first.0.kill().expect("killed");
    first.0.wait().expect("gone");
    let (mut first, endpoints) = venue(state, &listen);

    let (file, toml) = (state.join("report.json"), state.join("trade.toml"));
    std::fs::write(&toml, config(&endpoints, None)).expect("written");
    let mut engine = bot4(state)
        .args(["run", "--for", "12s", "--config"])
        .arg(&toml)
        .arg("--report")
        .arg(&file)
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    sleep(5_000);
    first.0.kill().expect("killed");
    first.0.wait().expect("gone");
    sleep(3_000);
    let (_second, _) = venue(state, &listen);
    let status = engine.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
    let report = report(&file);
    check_account(&report);
    assert!(number(&report, "/market/resyncs") >= 2, "both books started over: {report}");
    // Two books, three seconds of outage each, and less than five more to be back.
    let stale_ms = number(&report, "/market/stale_ms");
    assert!((5_000..16_000).contains(&stale_ms), "stale for {stale_ms} ms");
    assert!(number(&report, "/orders/sent") > 50, "{report}");
}
