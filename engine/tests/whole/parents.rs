//! Parent orders of an operator and of a strategy in an engine that trades at a venue of its own
//! process: begun, held, cancelled, complete; in the report, the journal and the replay.

use serde_json::Value;

use crate::common::rig::{Rig, ended, signal, verify};
use crate::common::{self, check_account, report, stderr};

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `bot4 order` with these words answers in JSON.
fn order(rig: &Rig, words: &str) -> Value {
    let words = words.split_whitespace();
    let args: Vec<_> = ["order"].into_iter().chain(words).chain(["--json"]).collect();
    let out = rig.say(&args);
    let text = stdout(&out);
    let line = text.lines().next().unwrap_or_else(|| panic!("{args:?}: {}", stderr(&out)));
    serde_json::from_str(line).expect("JSON")
}

/// The order called `id`, once `holds` is true of it.
fn once(rig: &Rig, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..100 {
        let list = stdout(&rig.say(&["order", "list", "--json"]));
        let lines = list.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        last = lines.map(|l| l["order"].clone()).find(|o| o["id"] == id).unwrap_or_default();
        if holds(&last) {
            return last;
        }
        common::sleep(100);
    }
    panic!("{id} within 10 s: {last}");
}

fn number(p: &Value, key: &str) -> f64 {
    p[key].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

#[test]
fn an_operator_works_orders_and_they_are_exact() {
    // Manual: the operator alone may act. A strategy of the configuration may not.
    let rig = Rig::at_a_venue_with("", |text| {
        let at = text.find("[[strategy]]").expect("strategies");
        let end = text.find("[journal]").expect("a journal");
        let pov = "[risk]\nmode = \"manual\"\n\n[[strategy]]\nkind = \"pov\"\nside = \"buy\"\n\
                   notional = 500.0\nrate_pct = 5.0\nsymbol = \"ETHUSDT\"\n\n";
        format!("{}{pov}{}", &text[..at], &text[end..])
    });
    let mut engine = rig.start_quietly("report.json");
    rig.until("books are live", |s| s["books_live"] == 2 && s["session_ready"] == true);
    let unknown = "order --side buy --symbol DOGEUSDT --size 1 --algo twap --over 2s --reason x";
    let bad = rig.say(&unknown.split_whitespace().collect::<Vec<_>>());
    assert_eq!(bad.status.code(), Some(2));
    assert!(stderr(&bad).contains("BTCUSDT"), "{}", stderr(&bad));

    let twap = "--algo twap --over 2s --urgency aggressive --reason rebalance";
    let said = order(&rig, &format!("--side buy --symbol BTCUSDT --size 0.01 {twap}"));
    assert_eq!((&said["obeyed"], &said["order"]["id"]), (&true.into(), &"o1".into()), "{said}");
    let iceberg = "--algo iceberg --limit 90000 --display 0.002 --reason far";
    let far = order(&rig, &format!("--side sell --symbol BTCUSDT --size 0.01 {iceberg}"));
    assert_eq!(far["order"]["id"], "o2", "{far}");
    // A collar of one per cent: the gate refuses the far offer, and the order says so.
    let refused = once(&rig, "o2", |p| p["gate"] == "price_collar");
    assert_eq!(number(&refused, "filled"), 0.0);
    let held = order(&rig, "pause o2 --reason wait");
    assert_eq!(held["order"]["state"], "paused", "{held}");
    let ended_one = order(&rig, "cancel o2 --reason enough");
    assert_eq!(ended_one["order"]["end"], "canceled", "{ended_one}");
    assert_eq!(rig.say(&["order", "cancel", "o2", "--reason", "x"]).status.code(), Some(2));
    completes(&rig);
    is_interrupted(&rig, &mut engine);
    verify(&rig);
    journal_names_children(&rig);
}

/// The first order is filled, exactly; the strategy's is refused by the mode.
fn completes(rig: &Rig) {
    let done = once(rig, "o1", |p| p["state"] == "ended");
    assert_eq!((&done["end"], &done["exact"]), (&"filled".into(), &true.into()), "{done}");
    assert_eq!((number(&done, "filled"), number(&done, "left")), (0.01, 0.0), "{done}");
    assert!(done["slippage_bps"].is_number() && number(&done, "average") > 1_000.0, "{done}");
    assert!(done["fills"].as_u64() > Some(1), "{done}");
    // The strategy's own is refused by the mode, and lives on.
    once(rig, "s1", |p| p["gate"] == "mode");
}

/// One more is interrupted by the end of the run, and the report says so.
fn is_interrupted(rig: &Rig, engine: &mut common::Killed) {
    // One that the end of the run interrupts.
    let twap = "--algo twap --over 10m --reason leaving";
    order(rig, &format!("--side sell --symbol BTCUSDT --size 0.01 {twap}"));
    let status = rig.status();
    let alive: Vec<_> = status["parents"].as_array().expect("a list").iter().collect();
    assert!(alive.iter().any(|p| p["id"] == "o3") && alive.len() == 2, "{status}");
    signal(&engine.0, "INT");
    assert_eq!(ended(engine), Some(0));
    let report = report(&rig.state().join("report.json"));
    check_account(&report);
    let parents = report["parents"].as_array().expect("a list");
    let end_of = |id: &str| parents.iter().find(|p| p["id"] == id).map(|p| p["end"].clone());
    assert_eq!(end_of("o1"), Some("filled".into()));
    assert_eq!(
        (end_of("o3"), end_of("s1")),
        (Some("interrupted".into()), Some("interrupted".into()))
    );
    assert!(parents.iter().all(|p| p["exact"] == true && number(p, "open") == 0.0), "{parents:?}");
}

/// The journal holds each order as it was begun, where it stood, and whose child an order is.
fn journal_names_children(rig: &Rig) {
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten();
    let run = runs.map(|e| e.path()).find(|p| p.join("journal").is_dir()).expect("a run");
    let dump = stdout(&rig.say(&["journal", "dump", &run.join("journal").to_string_lossy()]));
    let lines: Vec<Value> = dump.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let of = |kind: &'static str| lines.iter().filter(move |r| r["kind"] == kind);
    assert!(of("command").any(|r| r["body"]["parent"] == "o1" && r["body"]["total"].is_number()));
    assert!(of("approved").any(|r| r["body"]["parent"] == "o1"));
    let last = of("parent").rfind(|r| r["body"]["parent"] == "o3").expect("told");
    assert_eq!(last["body"]["end"], "interrupted", "{last}");
}

/// What the children of `o1` filled, by the journal's own lines, each trade once; base units.
fn filled_by_children(lines: &[Value]) -> f64 {
    let of = |kind: &'static str| lines.iter().filter(move |r| r["kind"] == kind);
    let children = of("approved").filter(|r| r["body"]["parent"] == "o1");
    let children: Vec<&Value> = children.map(|r| &r["body"]["order"]).collect();
    let fills = lines.iter().filter(|r| r["body"]["what"] == "fill");
    let mut fills: Vec<(u64, i64)> = fills
        .filter(|r| children.contains(&&r["body"]["order"]))
        .map(|r| (r["body"]["trade_id"].as_u64(), r["body"]["last_qty"].as_i64()))
        .map(|(id, qty)| (id.expect("a number"), qty.expect("a quantity")))
        .collect();
    fills.sort_unstable();
    fills.dedup();
    fills.iter().map(|(_, qty)| qty).sum::<i64>() as f64
}

#[test]
fn a_parent_of_a_killed_run_is_told_with_what_was_filled_of_it() {
    let rig = Rig::new();
    let live = |s: &Value| s["books_live"] == 2 && s["session_ready"] == true;
    let mut engine = rig.start_quietly("report.json");
    rig.until("books are live", live);
    let twap = "--algo twap --over 20s --urgency aggressive --reason long";
    order(&rig, &format!("--side buy --symbol BTCUSDT --size 0.05 {twap}"));
    once(&rig, "o1", |p| number(p, "filled") > 0.0);
    engine.0.kill().expect("kill -9");
    engine.0.wait().expect("ended");
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten();
    let killed = runs.map(|e| e.path()).find(|p| p.join("journal").is_dir()).expect("a run");
    let dump = stdout(&rig.say(&["journal", "dump", &killed.join("journal").to_string_lossy()]));
    let lines: Vec<Value> = dump.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let filled = filled_by_children(&lines);

    let mut next = rig.start_quietly("next.json");
    rig.until("books are live", live);
    let run = killed.file_name().expect("a name").to_string_lossy().into_owned();
    let list = stdout(&rig.say(&["order", "list", "--json"]));
    let orders = list.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told: Vec<Value> = orders.map(|l| l["order"].clone()).collect();
    let told = told.iter().find(|o| o["run"] == run.as_str()).unwrap_or_else(|| panic!("{list}"));
    assert_eq!((&told["id"], &told["state"]), (&"o1".into(), &"unfinished".into()), "{told}");
    assert_eq!((number(told, "total"), &told["exact"]), (0.05, &true.into()), "{told}");
    assert!(filled > 0.0 && number(told, "filled") > 0.0, "{told}");
    // The units of the dump are powers of ten below the base unit.
    let units = filled / number(told, "filled");
    assert!((units.log10() - units.log10().round()).abs() < 1e-9, "{filled} {told}");
    let sum = number(told, "filled") + number(told, "left");
    assert!((sum - 0.05).abs() < 1e-12, "{told}");
    signal(&next.0, "INT");
    assert_eq!(ended(&mut next), Some(0));
    let said = common::rig::told(&mut next);
    let sentence = format!("run {run} left parent order o1 unfinished: twap buy 0.05");
    assert!(said.contains(&sentence) && said.contains("is not taken up again"), "{said}");
}
