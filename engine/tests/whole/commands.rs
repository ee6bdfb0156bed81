//! Commands of an operator on single orders in an engine that trades at a venue of its own process:
//! placed, amended, cancelled, linked, and taken back; in the journal with what became of each, and
//! the whole life of their orders.

use bot4_venues::Venue;
use serde_json::Value;

use crate::common::rig::{Rig, ended, signal, verify};
use crate::common::{self, check_account, report, stderr};

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

/// On a step of every venue's prices.
fn text(price: f64) -> String {
    format!("{price:.1}")
}

fn price_of(told: &Value) -> f64 {
    told["to"]["price"].as_str().and_then(|t| t.parse().ok()).expect("a price")
}

const BUY: [&str; 4] = ["--side", "buy", "--size", "0.002"];
const SELL: [&str; 4] = ["--side", "sell", "--size", "0.002"];

fn limit<'a>(side: &[&'a str], price: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [side, &["--type", "limit", "--price", price], more].concat()
}

#[test]
fn an_operators_commands_come_true_are_taken_back_and_are_journaled() {
    obeyed_at(Venue::Binance, ["BTCUSDT", "ETHUSDT"]);
}

/// Another way of saying it all: ids of its own kind, stops and amendments in other words.
#[test]
fn so_they_are_at_a_venue_of_another_dialect() {
    obeyed_at(Venue::Kraken, ["BTC/USD", "ETH/USD"]);
}

fn obeyed_at(venue: Venue, symbols: [&str; 2]) {
    // Manual: the operator alone may act.
    let rig = Rig::at(venue, &symbols, |text| {
        let at = text.find("[[strategy]]").expect("strategies");
        format!("{}[risk]\nmode = \"manual\"\n\n{}", &text[..at], &text[at..])
    });
    let mut engine = rig.start_quietly("report.json");
    rig.until("books are live", |s| s["books_live"] == 2 && s["session_ready"] == true);
    let on = ["--symbol", symbols[0]];
    let [buy, sell] = [BUY, SELL].map(|side| [&side[..], &on].concat());

    // A market order tells where the market is: it is decided half a per cent through the touch.
    let (_, bought) = done(&rig, &[&buy[..], &["--type", "market"]].concat());
    assert_eq!((&bought["command"], &bought["state"]), (&"market".into(), &"filled".into()));
    let mid = price_of(&bought) / 1.005;
    let number = bought["order"].as_u64().expect("its order");

    let names = placed_amended_and_undone(&rig, &buy, mid);
    let other = format!("quote:{}", text(mid * 1.006));
    let (oco, _) = done(&rig, &limit(&buy, &text(mid * 0.994), &["--oco", &other]));
    done(&rig, &["undo", &oco]);
    let stop = [&sell[..], &["--type", "stop", "--stop"]].concat();
    let (trigger, worst) = (text(mid * 0.97), text(mid * 0.965));
    let (stop, _) = done(&rig, &[&stop[..], &[&trigger, "--price", &worst]].concat());
    done(&rig, &["cancel", &stop]);
    let exits = format!("{}:{}", text(mid * 0.98), text(mid * 1.02));
    let (_, bracket) = done(&rig, &limit(&buy, &text(mid * 1.005), &["--bracket", &exits]));
    assert_eq!((&bracket["command"], &bracket["state"]), (&"bracket".into(), &"filled".into()));
    // The gate stands before a person, too.
    let far = order(&rig, &limit(&sell, &text(mid * 1.3), &[]));
    assert_eq!((&far["state"], &far["gate"]), (&"rejected".into(), &"price_collar".into()));

    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("report.json")));
    verify(&rig);
    let journal = journal_of(&rig);
    let [place, amend, back, cancel, anew] = &names;
    let records = all_records(&rig, &journal);
    each_is_in_the_journal(&records, &[place, amend, back, cancel, anew, &oco]);
    a_change_and_its_undoing_are_told(&records, amend, back);
    a_life_has_every_stamp(&rig, &journal, number);
}

/// The names of: an order placed, amended, put back, cancelled, placed anew.
fn placed_amended_and_undone(rig: &Rig, buy: &[&str], mid: f64) -> [String; 5] {
    let (place, placed) = done(rig, &limit(buy, &text(mid * 0.994), &[]));
    assert_eq!((&placed["from"], &placed["can_undo"]), (&Value::Null, &true.into()), "{placed}");
    let (amend, amended) = done(rig, &["amend", &place, "--price", &text(mid * 0.9935)]);
    assert_eq!(amended["command"], "amend", "{amended}");
    let (back, told) = done(rig, &["undo", &amend]);
    assert_eq!((&told["undo_of"], &told["to"]), (&amend.clone().into(), &placed["to"]), "{told}");
    once(rig, &amend, "undone");
    let (cancel, _) = done(rig, &["cancel", &back]);
    let (anew, told) = done(rig, &["undo", &cancel]);
    assert_eq!((&told["command"], &told["to"]), (&"place".into(), &placed["to"]), "{told}");
    assert_ne!(told["order"], placed["order"], "placed anew");
    assert_eq!(order(rig, &["undo", &cancel])["refused_because"], "not_undoable");
    done(rig, &["undo", &anew]);
    [place, amend, back, cancel, anew]
}

fn journal_of(rig: &Rig) -> String {
    let runs = std::fs::read_dir(rig.state().join("bot4/runs")).expect("runs").flatten();
    let run = runs.map(|e| e.path()).find(|p| p.join("journal").is_dir()).expect("a run");
    run.join("journal").to_string_lossy().into_owned()
}

fn all_records(rig: &Rig, journal: &str) -> Vec<Value> {
    let dump = rig.say(&["journal", "dump", journal]);
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    dump.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What records of `kind` say of the command `name`.
fn of_command<'a>(records: &'a [Value], kind: &str, name: &str) -> Vec<&'a Value> {
    let is = |r: &&Value| r["kind"] == kind && r["body"]["command"] == name;
    records.iter().filter(is).map(|r| &r["body"]).collect()
}

/// Each command as a person gave it, and what became of it.
fn each_is_in_the_journal(records: &[Value], names: &[&String]) {
    for name in names {
        assert_eq!(of_command(records, "command", name).len(), 1, "{name} was given once");
        let outcomes = of_command(records, "order_command", name);
        assert!(outcomes.iter().any(|body| body["outcome"] == "done"), "{name}: {outcomes:?}");
    }
}

fn a_change_and_its_undoing_are_told(records: &[Value], amend: &str, back: &str) {
    let last = |name| *of_command(records, "order_command", name).last().expect("told");
    let told = last(back);
    assert_eq!(told["undo_of"], amend, "{told}");
    let told = last(amend);
    assert_eq!((&told["outcome"], &told["kind"]), (&"undone".into(), &"amend".into()), "{told}");
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
