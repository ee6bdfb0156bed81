//! The venue's word about the account while a run goes on: money that comes or goes without a fill
//! stops what it concerns until a person accepts it; so does another program on the account.

use crate::common::rig::{Rig, ended, sent, signal, told, verify};
use crate::common::{check_account, report, stderr};
use crate::observer::ControlLine;

/// Compared every second, and impatient.
const ACCOUNT: &str = "[account]\ncompare = \"1s\"\ncompare_patience = \"1s\"\n";

fn rig(account: &str) -> Rig {
    Rig::at_a_venue_with("", |text| {
        text.replacen("[[strategy]]", &format!("{account}\n[[strategy]]"), 1)
    })
}

#[test]
fn money_without_a_fill_stops_what_it_concerns_until_a_person_accepts_it() {
    let rig = rig(ACCOUNT);
    let mut engine = rig.start("report.json");
    let mut venue = ControlLine::new(&rig.endpoints);
    let truth =
        |s: &serde_json::Value, what: &str| s["truth"]["balances"][what].as_u64().unwrap_or(0);
    let equity = |s: &serde_json::Value, what: &str| s["equity"][what].as_f64().unwrap_or(0.0);
    rig.until("compared while trading", |s| truth(s, "compared") >= 6 && s["phase"] == "run");

    // A base asset: its instrument alone stands still.
    venue.say("deposit ETH 1.5");
    let stopped = rig.until("ETHUSDT stands still", |s| s["truth"]["instruments_stopped"] == 1);
    assert_eq!(
        (&stopped["phase"], &stopped["truth"]["balances"]["newest"]["asset"]),
        (&"run".into(), &"ETH".into())
    );
    rig.until("the other trades on", |s| sent(s) > sent(&stopped) + 10);
    let before = rig.status();
    let nobody = ["resume", "--instrument", "DOGEUSDT", "--reason", "x"];
    assert_eq!(rig.say(&nobody).status.code(), Some(1));
    let out = rig.say(&["resume", "--instrument", "ETHUSDT", "--reason", "a deposit of ours"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let after = rig.until("it may trade", |s| s["truth"]["instruments_stopped"] == 0);
    let drawdown = equity(&after, "drawdown_pct") - equity(&before, "drawdown_pct");
    assert!(drawdown.abs() < 0.5, "a deposit is no profit: {before} {after}");

    // The quote asset: everything stops.
    venue.say("withdraw USDT 2000");
    let stopped = rig.until("a latch", |s| s["phase"] == "kill");
    let reason = stopped["latch"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("risk latched: drift: the balance of USDT"), "{reason}");
    let out = rig.say(&["resume", "--reason", "a withdrawal of ours"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    // How much it was, a later answer may have to tell.
    let resumed = rig.until("it trades on, and the ledger has followed twice", |s| {
        s["phase"] == "run" && sent(s) > sent(&stopped) + 10 && truth(s, "followed") >= 2
    });
    assert_eq!(truth(&resumed, "unexplained"), 2, "{resumed}");
    assert!(equity(&resumed, "drawdown_pct") < 1.0, "a withdrawal is no loss: {resumed}");

    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0), "{}", told(&mut engine));
    // What was accepted is ours: every balance is the venue's again.
    check_account(&report(&rig.state().join("report.json")));
    let text = told(&mut engine);
    for what in
        ["the balance of ETH is", "the others trade on", "the balance of USDT is", "trading stops"]
    {
        assert!(text.contains(what), "{what} in {text}");
    }
    verify(&rig);
}

#[test]
fn another_program_on_the_account_stops_all_trading_unless_it_is_declared() {
    let halting = rig(ACCOUNT);
    let mut engine = halting.start("report.json");
    let mut venue = ControlLine::new(&halting.endpoints);
    venue.say("foreign-order BTCUSDT");
    let stopped = halting.until("a latch", |s| s["phase"] == "kill");
    let reason = stopped["latch"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("another program acts on this account"), "{reason}");
    signal(&engine.0, "INT");
    assert_ne!(ended(&mut engine), Some(0));
    let text = told(&mut engine);
    assert!(text.contains("another program acts") && text.contains("foreign_orders"), "{text}");
    verify(&halting);

    let declared = rig(&format!("{ACCOUNT}foreign_orders = [\"web_\"]\n"));
    let mut engine = declared.start("report.json");
    let mut venue = ControlLine::new(&declared.endpoints);
    venue.say("foreign-trade BTCUSDT");
    venue.say("foreign-order ETHUSDT");
    let told_of = |s: &serde_json::Value| s["truth"]["foreign"]["declared"].as_u64() > Some(1);
    let heard = declared.until("they are heard of", told_of);
    // Theirs moved the balances: the ledger follows, and nothing stops.
    let followed = |s: &serde_json::Value| s["truth"]["balances"]["followed"].as_u64() >= Some(2);
    let on = declared.until("the ledger follows", followed);
    assert_eq!((&on["phase"], &on["truth"]["foreign"]["fills"]), (&"run".into(), &0.into()));
    declared.until("it trades on", |s| sent(s) > sent(&heard) + 10);
    signal(&engine.0, "INT");
    assert_eq!(ended(&mut engine), Some(0), "{}", told(&mut engine));
    check_account(&report(&declared.state().join("report.json")));
    verify(&declared);
    // A stop takes back what is ours alone: without the declaration theirs is in the way.
    let text = std::fs::read_to_string(&declared.config).expect("there");
    let strict = text.replace("foreign_orders = [\"web_\"]\n", "");
    std::fs::write(&declared.config, strict).expect("written");
    let mut engine = declared.start_quietly("report.json");
    assert_eq!(ended(&mut engine), Some(2));
    let text = told(&mut engine);
    assert!(text.contains("an open order of another program: ETHUSDT web_"), "{text}");
}
