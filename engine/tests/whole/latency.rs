//! Where the time went: a run's histograms, asked for while it lasts and read afterwards, and its
//! worst orders hop by hop. What the journal says of single orders must fit what the lanes counted.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::common::rig::{Rig, ended, records, signal};
use crate::common::{Killed, bot4, check_account, output, report, stderr};

fn said(rig: &Rig, args: &[&str]) -> String {
    let out = rig.say(args);
    assert_eq!(out.status.code(), Some(0), "{args:?}: {}", stderr(&out));
    String::from_utf8(out.stdout).expect("UTF-8")
}

fn json(rig: &Rig, args: &[&str]) -> Value {
    serde_json::from_str(&said(rig, &[args, &["--json"]].concat())).expect("JSON")
}

/// Waits until the engine says `words`.
fn until_said(engine: &mut Killed, words: &str) {
    let pipe = engine.0.stderr.as_mut().expect("it is piped");
    let mut lines = BufReader::new(pipe).lines();
    let said = lines.any(|line| line.expect("UTF-8").contains(words));
    assert!(said, "it ended without a word of {words}");
}

#[test]
fn a_newcomer_finds_the_slowest_stage_and_why_an_order_was_slow() {
    // It ends by itself where it does not say what it is waited for.
    let minute = |text: String| text.replacen("[run]\n", "[run]\nfor = \"1m\"\n", 1);
    let rig = Rig::at_a_venue_with("", minute);
    let mut engine = rig.start("report.json");

    // While it runs: on demand and by a signal.
    let dump = json(&rig, &["latency", "dump"]);
    let file = dump["file"].as_str().expect("a file").to_owned();
    assert!(dump["lines"].as_u64() > Some(5), "{dump}");
    assert!(said(&rig, &["latency", "show", &file]).contains("tick_to_trade"));
    signal(&engine.0, "USR2");
    until_said(&mut engine, "latency histograms (by SIGUSR2)");
    assert_eq!(rig.status()["phase"], "run", "that signal stops nothing");

    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    let report = report(&rig.state().join("report.json"));
    check_account(&report);
    assert_eq!(report["t0_source"], "kernel");

    the_histograms_hold_what_the_lanes_counted(&rig, &report);
    the_worst_orders_add_up(&rig, &report);

    let refused = rig.say(&["latency", "dump"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("no engine runs"), "{}", stderr(&refused));
}

/// Also what came after the last interval: it is dumped at the end.
fn the_histograms_hold_what_the_lanes_counted(rig: &Rig, report: &Value) {
    let shown = json(rig, &["latency", "show"]);
    assert_eq!(shown["unreadable"], serde_json::json!([]));
    let live = report["latency_ns"].as_object().expect("histograms");
    for (tag, summary) in live {
        assert_eq!(shown["latency_ns"][tag]["count"], summary["count"], "{tag}");
    }
    let stage = shown["slowest"]["stage"].as_str().expect("a slowest stage");
    assert!(shown["slowest"]["share_pct"].as_f64() >= Some(100.0 / 6.0), "{shown}");
    let text = said(rig, &["latency", "show"]);
    assert!(text.contains(&format!("slowest stage: {stage}, ")), "{text}");
    assert!(text.contains(&format!("\n{stage}, ")) && text.contains("####"), "{text}");

    let one = json(rig, &["latency", "show", "--stage", stage]);
    let counts = one["histograms"][stage].as_array().expect("counts").iter();
    let sum: u64 = counts.filter_map(|pair| pair[1].as_u64()).sum();
    assert_eq!(Some(sum), live[stage]["count"].as_u64());
    let none = rig.say(&["latency", "show", "--stage", "lunch"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("tick_to_trade"), "it names those that there are");

    let picture = rig.state().join("curves.svg");
    said(rig, &["latency", "plot", "-o", &picture.display().to_string()]);
    let svg = std::fs::read_to_string(&picture).expect("a picture");
    assert!(svg.starts_with("<svg") && svg.contains("tick_to_trade") && svg.contains("90 %"));
}

fn the_worst_orders_add_up(rig: &Rig, report: &Value) {
    let worst = json(rig, &["latency", "worst"]);
    let orders = worst["orders"].as_array().expect("orders");
    assert_eq!(orders.len(), 10);
    let took = |o: &Value| o["tick_to_trade_ns"].as_u64().expect("a time");
    assert!(orders.windows(2).all(|pair| took(&pair[0]) >= took(&pair[1])));
    let counted = &report["latency_ns"]["tick_to_trade"];
    assert_eq!(worst["sent"], counted["count"]);
    assert_eq!(took(&orders[0]), counted["max"].as_u64().expect("a maximum"));
    for order in orders {
        let hops = order["hops_ns"].as_object().expect("hops");
        let own = hops.iter().filter(|(hop, _)| *hop != "ack");
        let sum: u64 = own.filter_map(|(_, ns)| ns.as_u64()).sum();
        assert_eq!(sum, took(order), "{order}");
        let (t0, handed) = (order["t0"].as_u64(), order["handed"].as_u64());
        assert_eq!(handed.zip(t0).map(|(h, t)| h - t), Some(sum), "{order}");
        if let Some(ack) = hops["ack"].as_u64() {
            assert_eq!(order["to_answer_ns"], sum + ack);
        }
    }
    // The kernel stamped what caused them, and the journal kept both stamps.
    let held = |o: &Value| o["hops_ns"]["kernel"].as_u64() > Some(0);
    assert!(orders.iter().any(held), "{worst}");
    let text = said(rig, &["latency", "worst", "-n", "3"]);
    assert!(text.contains("slowest hop: ") && text.lines().count() >= 5, "{text}");
    // The histogram of answers counts orders of every cause.
    let late = |kind: &[&str]| {
        let args = [&["latency", "worst", "--ack", "-n", "1"], kind].concat();
        json(rig, &args)["orders"][0]["hops_ns"]["ack"].as_u64()
    };
    let ack = late(&[]).max(late(&["--others"]));
    assert_eq!(ack, report["latency_ns"]["ack"]["max"].as_u64());

    let number = orders[0]["order"].as_u64().expect("a number");
    let approved = |r: &Value| r["kind"] == "approved" && r["body"]["order"] == number;
    let record = records(rig).into_iter().find(approved).expect("its approval");
    assert_eq!(record["body"]["trail"]["t0"], orders[0]["t0"]);
}

#[test]
fn what_cannot_be_is_refused_with_its_mend() {
    let state = tempfile::tempdir().expect("a folder");
    for (args, word) in [
        (["latency", "show"].as_slice(), "bot4 run"),
        (&["latency", "worst"], "bot4 run"),
        (&["latency", "worst", "/nowhere"], "journal folder"),
        (&["latency", "plot", "/nowhere"], "folder of a run"),
        (&["run", "--latency-interval", "1ms"], "10ms"),
    ] {
        let out = output(bot4(state.path()).args(args));
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert!(stderr(&out).contains(word), "{args:?}: {}", stderr(&out));
    }
}
