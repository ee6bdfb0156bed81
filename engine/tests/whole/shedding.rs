//! A book lane that cannot keep up holds every market up. The engine gives up what it declares, in
//! its order, goes on trading what matters, takes everything back by itself, and replays the same.

use crate::common::rig::{Rig, ended, records, sent, verify};
use crate::common::{self, Killed, bot4, check_account, number, report, status};
use serde_json::{Value, json};

/// Four markets, of which one matters: it has a book lane of its own.
fn one_that_matters(text: String) -> String {
    let four = "symbols = [\"BTCUSDT\", \"ETHUSDT\", \"SOLUSDT\", \"BNBUSDT\"]";
    let low = ["ETHUSDT", "SOLUSDT", "BNBUSDT"]
        .map(|s| format!("[[instrument]]\nsymbol = \"{s}\"\npriority = \"low\"\n\n"));
    let shards = "[[shard]]\nsymbols = [\"BTCUSDT\"]\nbook = 0\n\n[[shard]]\nsymbols = \
                  [\"ETHUSDT\", \"SOLUSDT\", \"BNBUSDT\"]\nbook = 1\n\n";
    let text = text.replace("symbols = [\"BTCUSDT\", \"ETHUSDT\"]", four);
    let text = text.replace("lanes = 2\n", "lanes = 12\n");
    text.replacen("[[strategy]]", &format!("{shards}{}[[strategy]]", low.concat()), 1)
}

fn start(rig: &Rig) -> Killed {
    let engine = bot4(rig.state())
        .args(["run", "--plant", "slow_book", "--config"])
        .arg(&rig.config)
        .arg("--report")
        .arg(rig.state().join("report.json"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn();
    Killed(engine.expect("it starts"))
}

/// Orders that risk approved, by instrument, between two of its records.
fn placed(records: &[Value], instrument: u64) -> usize {
    let is = |r: &&Value| {
        r["kind"] == "approved"
            && r["body"]["action"] == "place"
            && r["body"]["instrument"] == instrument
    };
    records.iter().filter(is).count()
}

#[test]
fn a_lane_that_cannot_keep_up_costs_what_is_declared_and_nothing_else() {
    let rig = Rig::at_a_venue_with("", one_that_matters);
    let mut engine = start(&rig);
    let shed = |s: &Value| s["shedding"]["rung"].as_u64();
    rig.until("orders are sent", |s| sent(s) > 20);
    let low = rig.until("the low ones are given up", |s| {
        shed(s) == Some(2) && s["shedding"]["instruments"] == 3
    });
    assert_eq!(low["shedding"]["name"], "low_priority");
    assert_eq!((&low["phase"], &low["latched"]), (&json!("run"), &json!({})), "{low}");
    // Who falls back soon after a return waits longer for the next.
    let back = status::within(120, rig.state(), "everything comes back", |s| {
        shed(s) == Some(0) && s["shedding"]["instruments"] == 0 && s["books_live"] == 4
    });
    let before = sent(&back);
    rig.until("it trades on", |s| sent(s) > before + 20);
    common::rig::signal(&engine.0, "INT");
    let code = ended(&mut engine);
    let told = common::rig::told(&mut engine);
    assert_eq!(code, Some(0), "{told}");
    let report = report(&rig.state().join("report.json"));
    check_account(&report);
    // No promise is broken under the flood either; this one is easily lost.
    for lane in report["lanes"].as_array().expect("lanes") {
        let name = lane["name"].as_str().expect("a name");
        if ["parse", "book", "signal", "risk"].iter().any(|role| name.starts_with(role)) {
            let faults = ["/minor_faults_after_seal", "/major_faults_after_seal"];
            assert_eq!(faults.map(|f| number(lane, f)), [0, 0], "{lane}");
        }
    }
    let times = |rung: &str| number(&report, &format!("/shedding/times/{rung}"));
    assert!(times("history") >= times("low_priority") && times("low_priority") > 0, "{report}");
    assert_eq!((times("new_orders"), times("run")), (0, 0), "the order path is never given up");
    assert!(number(&report, "/shedding/events_dropped") > 0, "{}", report["shedding"]);
    verify(&rig);
    in_the_declared_order(&rig);
}

/// By the journal: while the others were given up only the one that matters was placed, and after
/// they were taken back all were.
fn in_the_declared_order(rig: &Rig) {
    let all = records(rig);
    let is = |r: &Value, on| {
        r["kind"] == "command" && r["body"]["what"] == "shed" && r["body"]["on"] == on
    };
    let last = all.iter().position(|r| is(r, false)).expect("they came back");
    let first = all[..last].iter().rposition(|r| is(r, true)).expect("they were given up");
    let between = &all[first..last];
    // What was on its way may still have reduced something.
    let settled = &between[between.len() / 4..];
    let low: usize = (1..4).map(|i| placed(settled, i)).sum();
    assert_eq!(low, 0, "nothing of a low one while it was given up");
    assert!(placed(settled, 0) > 0, "the one that matters went on");
    let after: usize = (1..4).map(|i| placed(&all[last..], i)).sum();
    assert!(after > 0, "the others trade again");
}
