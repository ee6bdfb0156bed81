//! A guarded stop strikes in a running engine, also one over a position of an earlier run: it
//! closes exactly what is held, and is gone with it. So does one that rests at the venue.

use std::collections::BTreeMap;

use crate::common::rig::{Rig, ended, records, signal, verify};
use crate::common::{self, check_account, number, report};
use serde_json::Value;

/// Net positions by strategy and instrument, in units of 10^-8.
type Held = BTreeMap<(u64, u64), i64>;

/// The instruments, in the order of their index: one of four may well go against what is held.
const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"];

fn with_all(text: &str) -> String {
    let two = "symbols = [\"BTCUSDT\", \"ETHUSDT\"]";
    text.replace(two, &format!("symbols = {SYMBOLS:?}"))
}

/// What the account's state says is held.
fn kept(rig: &Rig) -> Held {
    let accounts = std::fs::read_dir(rig.state().join("bot4/accounts")).expect("accounts");
    let mut states = accounts.flatten().map(|a| a.path().join("state")).filter(|p| p.exists());
    let text = std::fs::read_to_string(states.next().expect("a state")).expect("read");
    let state: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    let row = |row: &Value| {
        let symbol = SYMBOLS.iter().position(|s| row["symbol"] == *s).expect("known");
        let place = row["place"].as_u64().expect("a place");
        ((place, symbol as u64), row["qty"].as_i64().expect("a quantity"))
    };
    state["positions"].as_array().expect("positions").iter().map(row).collect()
}

/// A market maker alone, which never takes by itself, with stops at 50 per cent: they strike never.
fn far(text: String) -> String {
    let alone = with_all(&text).replacen("\n[[strategy]]\nkind = \"ema_cross\"\n", "", 1);
    alone.replacen("kind = \"market_maker\"", "kind = \"market_maker\"\nstop_pct = 50.0", 1)
}

/// Times that the market may go the position's way, or leave but dust of it.
const TRIES: usize = 6;

/// Whether the status `holds` within half a minute.
fn in_time(rig: &Rig, holds: impl Fn(&Value) -> bool) -> bool {
    (0..300).any(|_| {
        common::sleep(100);
        holds(&rig.status())
    })
}

#[test]
fn a_stop_strikes_over_what_an_earlier_run_left() {
    let struck = (0..TRIES).any(|_| strikes());
    assert!(struck, "{TRIES} markets, and in none of them went the price against the position");
}

/// Whether a stop struck in this market; if so, it did what it should.
fn strikes() -> bool {
    let rig = Rig::at_a_venue_with("", far);
    let mut engine = rig.start("first.json");
    rig.until("it holds something", |s| s["fills"].as_u64() > Some(30));
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    let first = report(&rig.state().join("first.json"));
    assert_eq!(number(&first, "/stops/triggered"), 0, "they were far away");
    let mut held = kept(&rig);
    if held.is_empty() {
        return false; // everything was sold again
    }
    // Nobody may increase, the strategy's own quotes are below what the venue takes, and stops
    // stand a hundredth of a percent away from what it cost.
    let text = std::fs::read_to_string(&rig.config).expect("read");
    let near = text.replace("stop_pct = 50.0", "stop_pct = 0.01\nquote_notional = 1.0");
    let near = near.replacen("[[strategy]]", "[risk]\nmode = \"emergency\"\n\n[[strategy]]", 1);
    std::fs::write(&rig.config, near).expect("written");
    let mut engine = rig.start_quietly("second.json");
    let struck = in_time(&rig, |s| {
        s["stops"]["triggered"].as_u64() > Some(0) && s["fills"].as_u64() > Some(0)
    });
    rig.until("all books are live", |s| s["books_live"] == SYMBOLS.len());
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    if !struck {
        return false;
    }
    check_account(&report(&rig.state().join("second.json")));
    let mut closed = 0;
    for record in records(&rig) {
        let body = &record["body"];
        let whose = (body["strategy"].as_u64(), body["instrument"].as_u64());
        let (Some(strategy), Some(instrument)) = whose else { continue };
        let held = held.entry((strategy, instrument)).or_default();
        if record["kind"] == "approved" && body["action"] == "place" && body["tif"] == "ioc" {
            let side = if *held > 0 { "sell" } else { "buy" };
            assert_eq!((body["side"].as_str(), *held != 0), (Some(side), true), "{record}");
            assert_eq!(body["qty"].as_i64(), Some(held.abs()), "all of it, and no more: {record}");
            closed += 1;
        }
        if record["kind"] == "report" && body["what"] == "fill" {
            let sign = if body["side"] == "buy" { 1 } else { -1 };
            *held += sign * body["last_qty"].as_i64().expect("a quantity");
        }
    }
    assert!(closed > 0, "an order of a stop is in the journal");
    verify(&rig);
    true
}

/// A taker alone, whose stops rest at the venue, a hundredth of a percent away.
fn native(text: String) -> String {
    let alone = with_all(&text).replacen("\n[[strategy]]\nkind = \"market_maker\"\n", "", 1);
    // It holds what it has for some seconds, so that the price has time to go against it.
    let keys = "kind = \"ema_cross\"\nstop_pct = 0.01\nnative_exit = \"stop\"\n\
                take_profit_pct = 0.05\nband_share = 0.01\ncooldown = \"4s\"";
    alone.replacen("kind = \"ema_cross\"", keys, 1)
}

#[test]
fn a_stop_that_rests_at_the_venue_strikes_there_and_the_account_is_exact() {
    let struck = (0..TRIES).any(|_| strikes_there());
    assert!(struck, "{TRIES} markets, and in none of them struck a stop at the venue");
}

/// Whether a stop at the venue struck in this market; if so, both sides know of it.
fn strikes_there() -> bool {
    let rig = Rig::at_a_venue_with("", native);
    let mut engine = rig.start_quietly("native.json");
    let struck = in_time(&rig, |s| s["stops"]["native"].as_u64() > Some(0));
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0));
    check_account(&report(&rig.state().join("native.json")));
    if !struck {
        return false;
    }
    let placed = |record: &&Value| record["body"]["kind"] == "stop_loss_limit";
    let all = records(&rig);
    let stop = all.iter().find(placed).expect("in the journal");
    assert_eq!((&stop["body"]["reduce_only"], &stop["body"]["tif"]), (&true.into(), &"ioc".into()));
    let triggered = all.iter().any(|r| r["body"]["what"] == "triggered");
    assert!(triggered, "and its trigger");
    verify(&rig);
    true
}
