//! A plain stop leaves what is held alone; `bot4 kill --flatten` closes it by orders that only
//! reduce, and so does a stop of any cause where the configuration says so.

use std::collections::BTreeMap;

use crate::common::rig::{Rig, ended, open_at_the_venue, records, signal, verify};
use crate::common::{check_account, number, report, sleep, stderr};
use serde_json::Value;

/// Net positions by instrument, in units of 10^-8.
type Net = BTreeMap<u64, i64>;

fn book(net: &mut Net, record: &Value) {
    let body = &record["body"];
    if record["kind"] == "report" && body["what"] == "fill" {
        let sign = if body["side"] == "buy" { 1 } else { -1 };
        let qty = body["last_qty"].as_i64().expect("a quantity");
        *net.entry(body["instrument"].as_u64().expect("an instrument")).or_default() += sign * qty;
    }
}

fn placed(record: &Value) -> bool {
    record["kind"] == "approved" && record["body"]["action"] == "place"
}

fn nets(records: &[Value]) -> Net {
    let mut net = Net::new();
    records.iter().for_each(|r| book(&mut net, r));
    net
}

/// Something that the venue would take back: 0.004 of either asset is worth more than twice the
/// least that it takes.
fn holds(net: &Net) -> bool {
    net.values().any(|qty| qty.abs() > 400_000)
}

/// Where the last stop is recorded; those before it were ended.
fn last_stop(records: &[Value]) -> usize {
    let control = |r: &Value| r["kind"] == "control";
    let runs = |r: &Value| control(r) && r["body"]["hex"] == "00";
    let from = records.iter().rposition(runs).map_or(0, |at| at + 1);
    from + records[from..].iter().position(control).expect("a stop is recorded")
}

/// Holds the journal against the promise: from the last stop on, nothing is placed but what closes,
/// and from the first such order of an instrument its position only shrinks. Net positions at the
/// stop and at the end.
fn check_closing(records: &[Value]) -> (Net, Net) {
    let (before, after) = records.split_at(last_stop(records));
    let mut net = nets(before);
    let (at_stop, mut closing) = (net.clone(), Net::new());
    for record in after {
        book(&mut net, record);
        let of = record["body"]["instrument"].as_u64().unwrap_or(u64::MAX);
        let held = net.get(&of).copied().unwrap_or(0);
        if placed(record) {
            assert_eq!(record["body"]["cause"], "operator", "{record}");
            let side = if held > 0 { "sell" } else { "buy" };
            assert_eq!(record["body"]["side"], side, "{record} at {held}");
            closing.entry(of).or_insert(held);
        }
        if let Some(last) = closing.get_mut(&of) {
            assert!(held.abs() <= last.abs() && held.signum() * last.signum() >= 0, "{record}");
            *last = held;
        }
    }
    (at_stop, net)
}

/// What the account's state says is held, per position.
fn kept(rig: &Rig) -> Vec<i64> {
    let accounts = std::fs::read_dir(rig.state().join("bot4/accounts")).expect("accounts");
    let mut states = accounts.flatten().map(|a| a.path().join("state")).filter(|p| p.exists());
    let text = std::fs::read_to_string(states.next().expect("a state")).expect("read");
    let line = text.lines().next().expect("a line");
    let state: Value = serde_json::from_str(line).expect("JSON");
    let rows = state["positions"].as_array().expect("positions");
    rows.iter().map(|row| row["qty"].as_i64().expect("a quantity")).collect()
}

/// Stops that may find nothing held, or but dust.
const TRIES: usize = 20;

/// Stops the engine plainly, which places nothing; lets it go on until it holds something at that.
fn stop_plainly(rig: &Rig) {
    let mut fills = 0;
    for _ in 0..TRIES {
        let trades = rig.until("it trades", |s| s["fills"].as_u64() > Some(fills + 10));
        fills = number(&trades, "/fills");
        let out = rig.say(&["kill", "--reason", "a look at the line", "--json"]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
        sleep(1_000);
        let plain = records(rig);
        let (before, after) = plain.split_at(last_stop(&plain));
        assert!(!after.iter().any(placed), "a plain stop places nothing");
        if holds(&nets(before)) && holds(&nets(&plain)) {
            return;
        }
        let out = rig.say(&["resume", "--reason", "nothing is held"]);
        assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    }
    panic!("{TRIES} stops, and at none of them was anything held");
}

#[test]
fn a_stop_closes_what_is_held_only_where_a_person_wishes_it() {
    let rig = Rig::new();
    let mut engine = rig.start("report.json");
    stop_plainly(&rig);
    let stopped = rig.until("it is stopped", |s| s["phase"] == "kill");
    assert_eq!(stopped["flatten"]["asked"], false);
    let out = rig.say(&["kill", "--flatten", "--reason", "out of it", "--json"]);
    let told: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(out.status.code(), Some(0), "{told} {}", stderr(&out));
    assert_eq!((&told["flatten"]["asked"], &told["flatten"]["left"]), (&true.into(), &0.into()));
    assert!(number(&rig.status(), "/fills") > number(&stopped, "/fills"), "it was closed by fills");
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(79), "a stop is for a person to look at");
    check_account(&report(&rig.state().join("report.json")));
    let (at_stop, end) = check_closing(&records(&rig));
    assert!(at_stop.values().any(|net| *net != 0), "{at_stop:?}");
    // Five units of money are the least that this venue takes: of BTC some 10^-4.
    let dust = told["flatten"]["dust"].as_u64().expect("a count") as usize;
    assert_eq!(end.values().filter(|net| **net != 0).count(), dust, "{end:?}");
    assert!(end.values().map(|net| net.abs()).sum::<i64>() < 2_000_000, "{end:?}");
    assert_eq!(kept(&rig).iter().sum::<i64>(), end.values().sum::<i64>());
    assert_eq!(open_at_the_venue(&rig), 0);
    assert!(rig.latch_file().is_some_and(|latch| latch.contains("a look at the line")));
    verify(&rig);
}

#[test]
fn the_configuration_may_wish_it_for_every_stop() {
    let rig = Rig::new();
    let text = std::fs::read_to_string(&rig.config).expect("read");
    let risk = "[risk]\nflatten_on_kill = true\nflatten_slip_pct = 0.8\n\n[[strategy]]";
    let text = text.replacen("[[strategy]]", risk, 1);
    // Captured, and nothing of it given up: the whole chain must come to the same orders again.
    let text = text.replacen("lanes = 2\n", "lanes = 2\ncapture = true\nshed = false\n", 1);
    std::fs::write(&rig.config, text).expect("written");
    let mut engine = rig.start("report.json");
    rig.until("it holds something", |s| s["fills"].as_u64() > Some(10));
    signal(&engine.0, "USR1");
    rig.until("it is closed", |s| s["flatten"]["left"] == 0);
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(79));
    check_account(&report(&rig.state().join("report.json")));
    let (_, end) = check_closing(&records(&rig));
    assert!(end.values().map(|net| net.abs()).sum::<i64>() < 2_000_000, "{end:?}");
    verify(&rig);
}
