//! The helper over its own socket.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::channel;

use super::*;
use crate::operator::client::{ask, ask_as};
use crate::operator::message::{
    self, Asked, ForControl, Hearer, REQUEST_LEN_MAX, Request, Role, Stamp,
};
use crate::operator::orders::OrderText;
use bot4_types::{
    BreakerScope, ControlMode, Instrument, InstrumentId, InstrumentTable, ParentCommand, ParentId,
    RiskCommand, StrategyId, Symbol,
};
use serde_json::json;

/// What risk is told next; evidence is passed over.
fn told(heard: &Hearer) -> Option<RiskCommand> {
    std::iter::from_fn(|| heard.hear()).find_map(|said| match said {
        ForControl::Risk(command) => Some(command),
        _ => None,
    })
}

/// Acts in the journal's words: what, its outcome and its text.
fn evidence(heard: &Hearer) -> Vec<[String; 3]> {
    let parts = std::iter::from_fn(|| heard.hear()).filter_map(|said| match said {
        ForControl::Evidence(parts) => Some(parts),
        _ => None,
    });
    let one = |p: &bot4_types::ActPart| [p.about.act_text(), p.about.outcome_text(), p.text()];
    parts.flatten().map(|part| one(&part)).collect()
}

fn started(folder: &Path) -> (Helper, Control, Hearer) {
    let (commands, heard) = message::channel();
    let control = Control::new();
    let about = About {
        run: "1-2".to_owned(),
        account: "embedded".to_owned(),
        venue: "binance".to_owned(),
        symbols: vec!["BTCUSDT".to_owned()],
        strategies: 1,
        ..About::default()
    };
    let inputs = Inputs {
        folder: folder.to_owned(),
        about,
        clock: Clock::monotonic(),
        control: control.clone(),
        metrics: Metrics::in_memory(),
        dumps: DumpLine::default(),
        commands,
        board: Board::new(table(), StrategyId(1), channel().1),
        flatten_on_kill: false,
        latch: Latch::of("embedded").expect("no file"),
        guard: None,
    };
    (Helper::start(inputs).expect("a socket"), control, heard)
}

#[test]
fn a_kill_and_a_resume_over_the_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let (helper, control, _heard) = started(folder.path());
    let kill = Request::Kill { reason: "line cut".to_owned(), flatten: false };
    let reply = ask(folder.path(), &kill).expect("an answer");
    assert_eq!((reply.error, control.phase()), (None, Phase::Kill));
    assert_eq!(reply.status["latch"]["reason"], "line cut");
    assert_eq!(reply.status["resumable"], true);
    let empty = Request::Resume { reason: " ".to_owned() };
    assert!(ask(folder.path(), &empty).expect("an answer").error.is_some());
    assert_eq!(control.phase(), Phase::Kill, "no reason, no resume");
    let resume = Request::Resume { reason: "line mended".to_owned() };
    let reply = ask(folder.path(), &resume).expect("an answer");
    assert_eq!((reply.error, control.phase()), (None, Phase::Run));
    control.kill();
    let refused = ask(folder.path(), &resume).expect("an answer").error;
    assert!(refused.is_some_and(|e| e.contains("will not trade again")));
    drop(helper);
    assert!(!has_socket(folder.path()), "the socket goes with its engine");
}

#[test]
fn a_stop_may_close_and_a_fault_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_helper, control, _heard) = started(folder.path());
    let kill = |flatten| Request::Kill { reason: "out of it".to_owned(), flatten };
    let ask = |request: Request| ask(folder.path(), &request).expect("an answer").status;
    let status = ask(kill(false));
    assert_eq!((&status["flatten"]["asked"], control.phase()), (&false.into(), Phase::Kill));
    let status = ask(kill(true));
    assert_eq!((&status["flatten"]["asked"], control.phase()), (&true.into(), Phase::Flatten));
    assert_eq!((&status["phase"], &status["resumable"]), (&"kill".into(), &true.into()));
    assert!(status["flatten"]["left"].is_null(), "the router has not begun: {status}");
    control.kill();
    assert_eq!(ask(kill(true))["flatten"]["asked"], false);
}

#[test]
fn a_mode_and_a_breaker_go_to_risk_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_helper, _control, heard) = started(folder.path());
    let ask = |request: Request| ask(folder.path(), &request).expect("an answer").error;
    let mode = |mode: &str, reason: &str| Request::Mode {
        mode: mode.to_owned(),
        reason: reason.to_owned(),
    };
    let reset = |scope: &str| Request::BreakerReset {
        scope: scope.to_owned(),
        reason: "mended".to_owned(),
    };
    assert!(ask(mode("asleep", "x")).is_some_and(|e| e.contains("full_auto")));
    assert!(ask(mode("manual", " ")).is_some(), "no reason, no change");
    assert!(ask(reset("strategy:2")).is_some_and(|e| e.contains("1 of them")));
    assert!(ask(reset("DOGEUSDT")).is_some_and(|e| e.contains("BTCUSDT")));
    assert_eq!(told(&heard), None);
    assert_eq!(ask(mode("manual", "a look")), None);
    assert_eq!(told(&heard), Some(RiskCommand::OperatorMode(ControlMode::Manual)));
    for (text, scope) in [
        ("all", BreakerScope::All),
        ("venue", BreakerScope::Venue),
        ("strategy:1", BreakerScope::Strategy(StrategyId(0))),
        ("BTCUSDT", BreakerScope::Instrument(InstrumentId(0))),
    ] {
        assert_eq!(ask(reset(text)), None);
        assert_eq!(told(&heard), Some(RiskCommand::BreakerReset { scope }));
    }
}

fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    let symbol = Symbol::new("BTCUSDT").expect("short");
    table.push(Instrument::bare(InstrumentId(0), symbol, 8)).expect("room");
    table
}

#[test]
fn a_parent_order_goes_to_risk_with_a_name_and_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_helper, control, heard) = started(folder.path());
    let ask = |request: Request| ask(folder.path(), &request).expect("an answer");
    let text = |side: &str| OrderText {
        symbol: "BTCUSDT".into(),
        side: side.into(),
        size: "0.5".into(),
        algo: "twap".into(),
        over_ms: 1_000,
        ..OrderText::default()
    };
    let order = |side: &str, reason: &str| Request::Order {
        order: Box::new(text(side)),
        reason: reason.to_owned(),
    };
    assert!(ask(order("up", "why not")).error.is_some_and(|e| e.contains("buy, sell")));
    assert!(ask(order("buy", " ")).error.is_some(), "no reason, no order");
    assert_eq!(told(&heard), None);
    let reply = ask(order("buy", "rebalance"));
    assert_eq!((reply.error, reply.orders), (None, json!("o1")));
    let told = told(&heard).expect("told");
    let RiskCommand::Parent(ParentCommand::Begin(begun)) = told else { panic!("{told:?}") };
    assert_eq!((begun.id, begun.strategy), (ParentId::by_operator(1), StrategyId(1)));
    let act = Request::OrderAct { id: "o1".into(), action: "cancel".into(), reason: "x".into() };
    assert!(ask(act).error.is_some_and(|e| e.contains("alive: none")), "nobody told it lives");
    assert_eq!(ask(Request::OrderList).orders, json!([]));
    control.halt();
    assert!(ask(order("sell", "x")).error.is_some_and(|e| e.contains("stopped")));
}

#[test]
fn hostile_clients_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_helper, control, _heard) = started(folder.path());
    let long = vec![b'x'; REQUEST_LEN_MAX + 1_000];
    for text in [b"{}\n".as_slice(), b"\xff\xfe\n", b"{\"do\":\"dance\"}\n", b"", &long] {
        let mut stream = crate::operator::path::connect(folder.path()).expect("connected");
        let _ = stream.write_all(text);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.contains("\"error\""), "{answer}");
    }
    assert_eq!(control.phase(), Phase::Run);
    assert!(ask(folder.path(), &Request::Status).expect("an answer").error.is_none());
}

#[test]
fn an_act_is_stamped_once_and_leaves_who_asked_and_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_helper, control, heard) = started(folder.path());
    let request = Request::Mode { mode: "manual".into(), reason: "a look".into() };
    let bare = Asked { via: Some("a page".into()), ..Asked::of(request) };
    let refused = |asked: &Asked| ask_as(folder.path(), asked).expect("an answer").refused;
    assert_eq!(refused(&bare).as_deref(), Some("unstamped"));
    let now = obey::unix_ms();
    let stamped = |at_ms| Asked { stamp: Stamp::fresh(at_ms), ..bare.clone() };
    assert_eq!(refused(&stamped(now - 60_000)).as_deref(), Some("stale"));
    let onlooker = Asked { role: Role::Read, ..stamped(now) };
    assert_eq!(refused(&onlooker).as_deref(), Some("read_only"));
    let act = stamped(obey::unix_ms());
    assert_eq!(refused(&act), None);
    let reply = ask_as(folder.path(), &act).expect("an answer");
    assert_eq!(reply.refused.as_deref(), Some("replayed"));
    assert!(reply.error.is_some_and(|e| e.contains("number of its own")));
    let admin = &reply.status["admin"];
    assert_eq!((&admin["acts"], &admin["reads"]), (&1.into(), &0.into()), "{admin}");
    for why in ["unstamped", "stale", "read_only", "replayed"] {
        assert_eq!(admin["refused"][why], 1, "{admin}");
    }
    let line = ["mode", "done", "[a page] manual: a look"].map(str::to_owned);
    assert_eq!(evidence(&heard), [line]);
    // A stop is obeyed as it comes; the word that ends it is not.
    let kill = Asked::of(Request::Kill { reason: "now".into(), flatten: false });
    assert_eq!((refused(&kill), control.phase()), (None, Phase::Kill));
    let resume = Asked::of(Request::Resume { reason: "x".into() });
    assert_eq!(refused(&resume).as_deref(), Some("unstamped"));
    assert_eq!(control.phase(), Phase::Kill);
    assert_eq!(evidence(&heard)[0][0], "kill");
}

#[test]
fn the_limits_and_the_journal_are_asked_for_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_helper, control, heard) = started(folder.path());
    let ask = |request: Request| ask(folder.path(), &request).expect("an answer");
    assert_eq!(ask(Request::LimitsReload { reason: None }).error, None);
    let ForControl::Limits { reason, by, .. } = heard.hear().expect("told") else { panic!() };
    assert_eq!((reason, by.act_text()), (None, "limits_reload".to_owned()));
    assert!(by.nonce != 0 && by.pid == std::process::id(), "{by:?}");
    let empty = Request::LimitsReload { reason: Some(" ".into()) };
    assert_eq!(ask(empty).refused.as_deref(), Some("reason"));
    assert_eq!(evidence(&heard)[0][1], "reason", "who was refused is told too");
    let before = control.rotations().rung();
    let reply = ask(Request::JournalRotate { reason: "an upload".into() });
    assert_eq!((reply.error, control.rotations().rung()), (None, before + 1));
    assert_eq!(evidence(&heard), [["journal_rotate", "done", "an upload"].map(str::to_owned)]);
}

/// More silent connections than there are places: a stop gets through at once all the same.
#[test]
fn silent_clients_hold_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_helper, control, _heard) = started(folder.path());
    let silent: Vec<_> = (0..300)
        .map(|n| {
            let mut stream = crate::operator::path::connect(folder.path()).expect("connected");
            // Some say half a line.
            stream.write_all(&b"{\"do\":\"st"[..n % 9]).map(|()| stream)
        })
        .collect();
    let clock = Clock::monotonic();
    let begun = clock.now();
    let kill = Request::Kill { reason: "flooded".to_owned(), flatten: false };
    let reply = ask(folder.path(), &kill).expect("an answer");
    assert_eq!((reply.error, control.phase()), (None, Phase::Kill));
    let took = clock.now().since(begun);
    assert!(took.millis() < 450, "it waited for the silent ones: {} ms", took.millis());
    drop(silent);
}
