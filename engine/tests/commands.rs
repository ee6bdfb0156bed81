//! Commands of an operator on single orders in an engine that trades at a venue of its own process:
//! placed, amended, cancelled, linked, and taken back; in the journal with what became of each, and
//! the whole life of their orders.

mod common;

use serde_json::Value;

use common::rig::{Rig, ended, signal, verify};
use common::{check_account, report, stderr};

/// What `bot4 order` answers in JSON: the command as it came to something.
fn order(rig: &Rig, args: &[&str]) -> Value {
    let args = [&["order"], args, &["--json", "--reason", "a test"]].concat();
    let out = rig.say(&args);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().next().unwrap_or_else(|| panic!("{args:?}: {}", stderr(&out)));
    let told: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(told["obeyed"], out.status.success(), "{told}");
    told["order"].clone()
}

/// As [`order`], of one that is obeyed; its name.
fn done(rig: &Rig, args: &[&str]) -> (String, Value) {
    let told = order(rig, args);
    assert!(told["state"] == "done" || told["state"] == "filled", "{args:?}: {told}");
    (told["id"].as_str().expect("a name").to_owned(), told)
}

fn listed(rig: &Rig, id: &str) -> Value {
    let out = rig.say(&["order", "list", "--json"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.map(|l| l["order"].clone()).find(|o| o["id"] == id).unwrap_or_default()
}

fn once(rig: &Rig, id: &str, state: &str) {
    for _ in 0..50 {
        if listed(rig, id)["state"] == state {
            return;
        }
        common::sleep(100);
    }
    panic!("{id} is not {state}: {}", listed(rig, id));
}

fn text(price: f64) -> String {
    format!("{price:.2}")
}

fn price_of(told: &Value) -> f64 {
    told["to"]["price"].as_str().and_then(|t| t.parse().ok()).expect("a price")
}

const BUY: [&str; 6] = ["--side", "buy", "--symbol", "BTCUSDT", "--size", "0.002"];
const SELL: [&str; 6] = ["--side", "sell", "--symbol", "BTCUSDT", "--size", "0.002"];

fn limit<'a>(side: &[&'a str], price: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [side, &["--type", "limit", "--price", price], more].concat()
}

#[test]
fn an_operators_commands_come_true_are_taken_back_and_are_journaled() {
    // Manual: the operator alone may act.
    let rig = Rig::at_a_venue_with("", |text| {
        let at = text.find("[[strategy]]").expect("strategies");
        format!("{}[risk]\nmode = \"manual\"\n\n{}", &text[..at], &text[at..])
    });
    let mut engine = rig.start_quietly("report.json");
    rig.until("books are live", |s| s["books_live"] == 2 && s["session_ready"] == true);

    // A market order tells where the market is: it is decided half a per cent through the touch.
    let (_, bought) = done(&rig, &[&BUY[..], &["--type", "market"]].concat());
    assert_eq!((&bought["command"], &bought["state"]), (&"market".into(), &"filled".into()));
    let mid = price_of(&bought) / 1.005;
    let number = bought["order"].as_u64().expect("its order");

    let (place, placed) = done(&rig, &limit(&BUY, &text(mid * 0.994), &[]));
    assert_eq!((&placed["from"], &placed["can_undo"]), (&Value::Null, &true.into()), "{placed}");
    let (amend, amended) = done(&rig, &["amend", &place, "--price", &text(mid * 0.9935)]);
    assert_eq!(amended["command"], "amend", "{amended}");
    let (back, told) = done(&rig, &["undo", &amend]);
    assert_eq!((&told["undo_of"], &told["to"]), (&amend.clone().into(), &placed["to"]), "{told}");
    once(&rig, &amend, "undone");
    let (cancel, _) = done(&rig, &["cancel", &back]);
    let (anew, told) = done(&rig, &["undo", &cancel]);
    assert_eq!((&told["command"], &told["to"]), (&"place".into(), &placed["to"]), "{told}");
    assert_ne!(told["order"], placed["order"], "placed anew");
    assert_eq!(order(&rig, &["undo", &cancel])["refused_because"], "not_undoable");
    done(&rig, &["undo", &anew]);

    let other = format!("quote:{}", text(mid * 1.006));
    let (oco, _) = done(&rig, &limit(&BUY, &text(mid * 0.994), &["--oco", &other]));
    done(&rig, &["undo", &oco]);
    let stop = [&SELL[..], &["--type", "stop", "--stop"]].concat();
    let (trigger, worst) = (text(mid * 0.97), text(mid * 0.965));
    let (stop, _) = done(&rig, &[&stop[..], &[&trigger, "--price", &worst]].concat());
    done(&rig, &["cancel", &stop]);
    let exits = format!("{}:{}", text(mid * 0.98), text(mid * 1.02));
    let (_, bracket) = done(&rig, &limit(&BUY, &text(mid * 1.005), &["--bracket", &exits]));
    assert_eq!((&bracket["command"], &bracket["state"]), (&"bracket".into(), &"filled".into()));
    // The gate stands before a person, too.
    let far = order(&rig, &limit(&SELL, &text(mid * 1.3), &[]));
    assert_eq!((&far["state"], &far["gate"]), (&"rejected".into(), &"price_collar".into()));

    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("report.json")));
    verify(&rig);
    let journal = journal_of(&rig);
    each_is_in_the_journal(&rig, &journal, [&place, &amend, &back, &cancel, &anew, &oco]);
    a_life_has_every_stamp(&rig, &journal, number);
}

fn journal_of(rig: &Rig) -> String {
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten();
    let run = runs.map(|e| e.path()).find(|p| p.join("journal").is_dir()).expect("a run");
    run.join("journal").to_string_lossy().into_owned()
}

/// Each command as a person gave it, and what became of it.
fn each_is_in_the_journal(rig: &Rig, journal: &str, names: [&String; 6]) {
    let dump = rig.say(&["journal", "dump", journal]);
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    let lines: Vec<Value> = dump.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let of = |kind: &'static str, name: String| {
        lines.iter().filter(move |r| r["kind"] == kind && r["body"]["command"] == name.as_str())
    };
    for name in names {
        assert_eq!(of("command", name.clone()).count(), 1, "{name} was given once");
        let outcomes: Vec<_> =
            of("order_command", name.clone()).map(|r| r["body"]["outcome"].clone()).collect();
        assert!(outcomes.iter().any(|o| o == "done"), "{name}: {outcomes:?}");
    }
    let [_, amend, back, ..] = names;
    let last = of("order_command", back.clone()).next_back().expect("told");
    assert_eq!(last["body"]["undo_of"], amend.as_str(), "{last}");
    let last = of("order_command", amend.clone()).next_back().expect("told");
    assert_eq!(
        (&last["body"]["outcome"], &last["body"]["kind"]),
        (&"undone".into(), &"amend".into())
    );
}

/// From what caused it to its end: nothing is missing, and it is in order.
fn a_life_has_every_stamp(rig: &Rig, journal: &str, number: u64) {
    let number = number.to_string();
    let out = rig.say(&["journal", "stat", journal, "--order", &number, "--json"]);
    let life: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let names =
        ["t0", "signal", "risk", "journaled", "order_encode", "handed_to_kernel", "answer_read"];
    let stamps = names.map(|name| life["stamps"][name].as_u64().unwrap_or(0));
    assert!(stamps[0] > 0 && stamps.is_sorted(), "{}", life["stamps"]);
    assert!(life["stamps"]["approved"].is_u64(), "{}", life["stamps"]);
    assert_eq!(life["intent"]["kind"], "market", "{}", life["intent"]);
    let kinds: Vec<_> =
        life["reports"].as_array().expect("a list").iter().map(|r| &r["what"]).collect();
    assert_eq!(kinds.first(), Some(&&"sent".into()), "{kinds:?}");
    let filled: i64 =
        life["fills"].as_array().expect("a list").iter().filter_map(|f| f["qty"].as_i64()).sum();
    assert_eq!(Some(filled), life["intent"]["qty"].as_i64(), "{}", life["fills"]);
    assert_eq!(life["end"]["state"], "filled", "{}", life["end"]);
    let records = life["records"].as_array().expect("a list");
    for kind in ["intent", "approved", "desk", "sent", "answered", "learned", "report"] {
        assert!(records.iter().any(|r| r["kind"] == kind), "no {kind} record in {life}");
    }
    let told =
        |what: &str| records.iter().any(|r| r["kind"] == "desk" && r["body"]["what"] == what);
    assert!(told("taken") && told("sent"), "the desk's records are read");
    let plain = rig.say(&["journal", "stat", journal, "--order", &number]);
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    for name in names {
        assert!(plain.contains(name), "{name} in {plain}");
    }
}
