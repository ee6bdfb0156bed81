//! The agent opposite a scripted venue: what leaves and when, and what is reported when the
//! connection breaks at the worst moment.

mod rig;

use bot4_execution::pause::Reach;
use bot4_lanes::Phase;
use bot4_types::{DoneReason, ExecMsg, LogKind, Nanos, OrderState, ReportKind};
use rig::{ONE, Rig, START_MS, canceled, state, trade, trade_event, view};

#[test]
fn a_session_is_ready_when_its_balances_are_told() {
    for seed in 0..10 {
        let mut rig = Rig::new(seed, 64);
        rig.venue.mute.push("account.status");
        rig.run_ms(500);
        assert!(!rig.is_ready());
        let methods: Vec<_> = rig.venue.asked.iter().map(|a| a.method.as_str()).collect();
        assert_eq!(methods, ["session.logon", "userDataStream.subscribe", "account.status"]);
        rig.venue.mute.clear();
        rig.until("ready", Rig::is_ready);
        let last = rig.heard.iter().rposition(|m| matches!(m, ExecMsg::Balance { .. }));
        let ready = rig.heard.iter().position(|m| matches!(m, ExecMsg::Session { .. }));
        assert!(last < ready && last.is_some(), "seed {seed}: {:?}", rig.heard);
        assert_eq!(rig.venue.accepted, 2, "the silence of the first ended its connection");
    }
}

#[test]
fn a_refused_subscription_never_becomes_a_session() {
    let mut rig = Rig::new(1, 64);
    let refusal = (400, -1102, "A parameter is missing.", 0);
    rig.venue.refusals.insert("userDataStream.subscribe".to_owned(), refusal);
    rig.run_ms(3_000);
    assert!(!rig.is_ready() && rig.venue.asked_for("account.status").is_empty());
    let active = (400, -2035, "The subscription is active.", 0);
    rig.venue.refusals.insert("userDataStream.subscribe".to_owned(), active);
    rig.until("ready", Rig::is_ready);
}

#[test]
fn an_order_leaves_only_when_its_approval_is_journaled() {
    let mut rig = Rig::new(2, 64);
    rig.until("ready", Rig::is_ready);
    rig.journaled.publish(0, 4);
    rig.approve(1, 5);
    rig.approve(2, 6);
    rig.run_ms(200);
    assert!(rig.venue.asked_for("order.place").is_empty() && rig.reports(1).is_empty());
    rig.journaled.publish(0, 5);
    rig.placed(1);
    rig.run_ms(50);
    assert_eq!(rig.venue.asked_for("order.place").len(), 1);
    assert_eq!(rig.story(1), ["sent sent 0"]);
    let sent = rig.log.iter().filter(|e| e.kind == LogKind::Sent as u8).count();
    assert_eq!((sent, rig.reports(2).len()), (1, 0));
}

#[test]
fn the_kill_ends_what_waits_and_cancels_what_is_open() {
    let mut rig = Rig::ready(3);
    rig.live(1, 71);
    rig.approve(2, 5_000);
    rig.run_ms(20);
    rig.control.kill();
    rig.approve(3, 1);
    rig.until("cancels", |rig| !rig.venue.asked_for("openOrders.cancelAll").is_empty());
    for waiting in [2, 3] {
        let last = *rig.reports(waiting).last().expect("an ending");
        assert_eq!((last.state, last.reason), (OrderState::NotSent, DoneReason::Killed));
    }
    assert_eq!(rig.venue.asked_for("order.place").len(), 1);
    assert_eq!(rig.counter("drained"), 0);
    let id = rig.venue.asked_for("openOrders.cancelAll")[0].id;
    rig.venue.respond(id, serde_json::json!([canceled(1, 71, 0)]));
    rig.until("drained", |rig| rig.counter("drained") == 1);
    assert_eq!(rig.story(1).last().map(String::as_str), Some("done canceled 0"));
}

#[test]
fn a_fill_told_by_event_and_answer_is_booked_once() {
    for seed in 0..10 {
        let mut rig = Rig::ready(seed);
        rig.approve(1, 1);
        let ask = rig.placed(1);
        rig.venue.event(&trade_event(1, 71, 500, 4, "PARTIALLY_FILLED", 4));
        rig.venue.event(&trade_event(1, 71, 501, 6, "FILLED", 10));
        rig.venue.respond(ask.id, view(1, 71, "FILLED", 10, &[(500, 4), (501, 6)]));
        rig.run_ms(100);
        let story = ["sent sent 0", "acked live 0", "fill partially_filled 4", "fill filled 10"];
        assert_eq!(rig.story(1), story, "seed {seed}");
        assert_eq!(rig.agent.duplicates_dropped(), 2);
    }
}

#[test]
fn a_cancel_that_crosses_a_fill_ends_as_filled() {
    let mut rig = Rig::ready(4);
    rig.live(1, 71);
    rig.approve_cancel(1);
    rig.until("cancel", |rig| !rig.venue.asked_for("order.cancel").is_empty());
    rig.venue.orders.insert(rig::client(1), state(1, 71, "FILLED", 10));
    rig.venue.trades.push(trade(500, 71, 10));
    let id = rig.venue.asked_for("order.cancel")[0].id;
    rig.venue.refuse(id, 400, -2011, "Unknown order sent.", 0);
    rig.until("the end", |rig| rig.reports(1).last().is_some_and(|r| r.state.is_terminal()));
    let last = *rig.reports(1).last().expect("reports");
    assert_eq!((last.kind, last.state, last.trade_id), (ReportKind::Fill, OrderState::Filled, 500));
}

/// Trade 500 belongs to an order whose fill was on its way when the connection broke, although
/// the later trade 501 of another order was booked: asking on from the highest would miss it.
#[test]
fn fills_missed_while_disconnected_are_found() {
    for seed in 0..10 {
        let mut rig = Rig::ready(seed);
        rig.live(1, 71);
        rig.approve(2, 1);
        let ask = rig.placed(2);
        rig.venue.respond(ask.id, view(2, 72, "FILLED", 10, &[(501, 10)]));
        rig.until("filled", |rig| rig.reports(2).last().is_some_and(|r| r.state.is_terminal()));
        rig.venue.orders.insert(rig::client(1), state(1, 71, "PARTIALLY_FILLED", 3));
        rig.venue.trades.extend([trade(500, 71, 3), trade(501, 72, 10)]);
        let heard = rig.heard.len();
        rig.venue.cut();
        rig.until("lost", |rig| !rig.is_ready());
        rig.until("ready", Rig::is_ready);
        let after: Vec<_> = rig.heard[heard..].to_vec();
        assert!(matches!(after.first(), Some(ExecMsg::Session { ready: false, .. })));
        assert!(matches!(after.last(), Some(ExecMsg::Session { ready: true, .. })));
        let story = rig.story(1);
        let expected = ["lost unknown 0", "found live 0", "fill partially_filled 3"];
        assert_eq!(story[story.len() - 3..], expected, "seed {seed}");
        let fills = rig.reports(2).iter().filter(|r| r.kind == ReportKind::Fill).count();
        assert_eq!(fills, 1, "a trade that was booked is not booked again");
    }
}

#[test]
fn an_order_that_never_arrived_ends_when_that_is_proven() {
    let mut rig = Rig::ready(5);
    rig.approve(1, 1);
    rig.until("sent", |rig| rig.story(1) == ["sent sent 0"]);
    let sent_at = rig.reports(1)[0].at;
    rig.venue.cut();
    rig.until("lost", |rig| rig.story(1).last().is_some_and(|s| s == "lost unknown 0"));
    rig.control.drain();
    rig.until("the end", |rig| rig.reports(1).last().is_some_and(|r| r.state.is_terminal()));
    let last = *rig.reports(1).last().expect("reports");
    assert_eq!((last.state, last.reason), (OrderState::Rejected, DoneReason::NotFound));
    assert!(last.at.since(sent_at).millis() > 2_000, "not before window and a second");
    assert!(rig.venue.asked_for("order.status").len() >= 2, "asked again until it is proven");
    rig.until("drained", |rig| rig.counter("drained") == 1);
}

/// The answer was lost, not the order.
#[test]
fn an_order_whose_answer_was_lost_is_found_filled() {
    let mut rig = Rig::ready(6);
    rig.approve(1, 1);
    rig.placed(1);
    rig.venue.orders.insert(rig::client(1), state(1, 71, "FILLED", 10));
    rig.venue.trades.extend([trade(500, 71, 4), trade(501, 71, 6)]);
    rig.venue.cut();
    rig.until("the end", |rig| rig.reports(1).last().is_some_and(|r| r.state.is_terminal()));
    let booked: i64 = rig.reports(1).iter().map(|r| r.last_qty.0).sum();
    assert_eq!(
        (booked, rig.reports(1).last().map(|r| r.state)),
        (10 * ONE, Some(OrderState::Filled))
    );
}

#[test]
fn orders_that_waited_for_the_journal_end_with_the_connection() {
    let mut rig = Rig::ready(7);
    (1..=40).for_each(|order| rig.approve(order, 5_000));
    rig.run_ms(5);
    rig.venue.cut();
    rig.until("lost", |rig| !rig.is_ready());
    rig.journaled.publish(0, 9_000);
    rig.until("ready", Rig::is_ready);
    rig.run_ms(100);
    assert!(rig.venue.asked_for("order.place").is_empty());
    for order in 1..=40 {
        assert_eq!(rig.story(order), ["done not_sent 0"], "order {order}");
    }
}

/// Recovery that may not ask yet waits and goes on by itself.
#[test]
fn recovery_waits_out_a_rate_limit() {
    let mut rig = Rig::ready(8);
    rig.live(1, 71);
    rig.venue.orders.insert(rig::client(1), state(1, 71, "NEW", 0));
    rig.venue.cut();
    let until = rig.now.millis() as i64 + 1_500;
    let limited = (429, -1003, "Too much request weight used.", START_MS + until);
    rig.venue.refusals.insert("order.status".to_owned(), limited);
    rig.until("refused", |rig| !rig.venue.asked_for("order.status").is_empty());
    rig.run_ms(100);
    let asked = rig.venue.asked.len();
    rig.venue.refusals.clear();
    rig.until("ready", Rig::is_ready);
    assert!(rig.now.millis() as i64 >= until, "asked before the venue allowed it");
    assert!(rig.venue.asked.len() > asked);
    assert_eq!(rig.story(1).last().map(String::as_str), Some("found live 0"));
    assert_eq!(rig.venue.accepted, 2, "the connection was kept");
}

/// Who else asks the venue hears of the limit, and what it was told holds here.
#[test]
fn what_the_venue_says_of_the_rate_is_shared() {
    let mut rig = Rig::ready(8);
    rig.approve(1, 1);
    let ask = rig.placed(1);
    let until = rig.now + Nanos::from_millis(1_500);
    let until_ms = START_MS + until.millis() as i64;
    rig.venue.refuse(ask.id, 429, -1003, "Too much request weight used.", until_ms);
    rig.until("refused", |rig| rig.reports(1).last().is_some_and(|r| r.state.is_terminal()));
    let told = rig.pause.until(Reach::All);
    assert!(told <= until && until.since(told) <= Nanos::from_millis(2), "{told:?} {until:?}");
    rig.until("over", |rig| rig.now > until + Nanos::from_millis(20));
    rig.until("ready", Rig::is_ready);
    let ban = rig.now + Nanos::from_secs(2);
    rig.pause.note(Reach::All, ban);
    rig.run_ms(20);
    let told = rig.heard.iter().rev().find(|m| matches!(m, ExecMsg::Session { .. }));
    assert!(matches!(told, Some(ExecMsg::Session { ready: false, .. })), "risk is told");
    let asked = rig.venue.asked.len();
    rig.approve(2, 1);
    rig.until("not sent", |rig| rig.reports(2).last().is_some_and(|r| r.state.is_terminal()));
    rig.venue.cut();
    while rig.now < ban {
        rig.run_ms(1);
        assert_eq!(rig.venue.asked.len(), asked, "nothing is asked in a ban");
    }
    rig.until("ready", Rig::is_ready);
}

/// Too many orders is no reason not to cancel. A pause that the venue asks for is told as a session
/// that is not ready.
#[test]
fn an_order_limit_stops_orders_but_not_cancels() {
    let mut rig = Rig::ready(9);
    rig.live(1, 71);
    rig.approve(2, 1);
    let ask = rig.placed(2);
    let tomorrow = START_MS + 86_400_000;
    rig.venue.refuse(ask.id, 429, -1015, "Too many new orders.", tomorrow);
    rig.until("refused", |rig| rig.reports(2).last().is_some_and(|r| r.state.is_terminal()));
    rig.approve(3, 1);
    rig.until("not sent", |rig| rig.reports(3).last().is_some_and(|r| r.state.is_terminal()));
    assert_eq!(rig.reports(3).last().map(|r| r.reason), Some(DoneReason::NoSession));
    let told = rig.heard.iter().rev().find(|m| matches!(m, ExecMsg::Session { .. }));
    assert!(matches!(told, Some(ExecMsg::Session { ready: false, .. })), "risk is told");
    rig.approve_cancel(1);
    rig.until("cancel", |rig| !rig.venue.asked_for("order.cancel").is_empty());
}

/// Risk is gone: the halt cancels first and faults afterwards.
#[test]
fn a_halt_cancels_what_is_open_before_it_faults() {
    let mut rig = Rig::new(10, 8);
    rig.journaled.publish(0, 1_000);
    rig.until("ready", Rig::is_ready);
    rig.live(1, 71);
    rig.risk_takes = false;
    (2..20).for_each(|order| rig.approve(order, 1));
    rig.until("cancels", |rig| !rig.venue.asked_for("openOrders.cancelAll").is_empty());
    assert_eq!((rig.control.phase(), rig.fault.is_none()), (Phase::Kill, true));
    rig.until("fault", |rig| rig.fault.is_some());
    assert!(rig.counter("reports_lost") > 0);
}

/// A machine that was suspended for a minute by a clock that does not count it: the venue refuses
/// the logon for its time, is asked for its own, and is believed.
#[test]
fn a_clock_that_stood_still_is_put_right_by_the_venue() {
    let mut rig = Rig::ready(11);
    rig.live(1, 71);
    rig.venue.orders.insert(rig::client(1), state(1, 71, "NEW", 0));
    let untimely = (400, -1021, "Timestamp for this request is outside of the recvWindow.", 0);
    rig.venue.refusals.insert("session.logon".into(), untimely);
    rig.venue.mute.push("time");
    rig.venue.cut();
    rig.until("asked for the time", |rig| !rig.venue.asked_for("time").is_empty());
    assert!(!rig.is_ready());
    rig.venue.refusals.clear();
    let id = rig.venue.asked_for("time")[0].id;
    let stood = 60_000;
    let venue_ms = rig::START_MS + rig.now.millis() as i64 + stood;
    rig.venue.respond(id, serde_json::json!({"serverTime": venue_ms}));
    rig.until("ready", Rig::is_ready);
    let logons = rig.venue.asked_for("session.logon");
    let stamp = |ask: &rig::venue::Ask| ask.params["timestamp"].as_i64().expect("a stamp");
    let off = stamp(logons.last().expect("one")) - venue_ms;
    assert!((-20..=20).contains(&off), "{off} ms");
    // Nothing was sent twice.
    assert_eq!(rig.venue.asked_for("order.place").len(), 1);
}

/// Whatever step of the session stays without an answer: the next connection does it all again.
#[test]
fn silence_in_any_state_of_the_session_ends_in_a_new_one() {
    let steps = ["session.logon", "userDataStream.subscribe", "order.status", "myTrades"];
    for (seed, mute) in steps.into_iter().enumerate() {
        let mut rig = Rig::ready(seed as u64);
        rig.live(1, 71);
        rig.venue.orders.insert(rig::client(1), state(1, 71, "PARTIALLY_FILLED", 3));
        rig.venue.trades.push(trade(500, 71, 3));
        rig.venue.mute.push(mute);
        rig.venue.cut();
        rig.run_ms(1_000);
        assert!(!rig.is_ready(), "{mute}");
        rig.approve(2, 1);
        rig.run_ms(10);
        let last = rig.reports(2).last().map(|r| (r.state, r.reason));
        assert_eq!(last, Some((OrderState::NotSent, DoneReason::NoSession)), "{mute}");
        rig.venue.mute.clear();
        rig.until("ready", Rig::is_ready);
        assert_eq!(rig.story(1).last().map(String::as_str), Some("fill partially_filled 3"));
        assert!(rig.venue.accepted >= 3, "{mute}");
    }
}

/// More than a turn takes, one of them without its record: those before it leave, each once, in
/// the order of approval; those behind it wait.
#[test]
fn orders_approved_together_leave_together_each_once() {
    for seed in 0..10 {
        let mut rig = Rig::ready(seed);
        for order in 1..=50 {
            rig.approve(order, if order == 45 { 2_000 } else { order });
        }
        rig.run_ms(300);
        let asked = |rig: &Rig| -> Vec<String> {
            let asks = rig.venue.asked_for("order.place").into_iter();
            asks.map(|a| a.params["newClientOrderId"].as_str().expect("an id").to_owned()).collect()
        };
        assert_eq!(asked(&rig), (1..45).map(rig::client).collect::<Vec<_>>(), "seed {seed}");
        rig.journaled.publish(0, 2_000);
        rig.run_ms(300);
        assert_eq!(asked(&rig), (1..=50).map(rig::client).collect::<Vec<_>>(), "seed {seed}");
        for order in 1..=50 {
            assert_eq!(rig.story(order), ["sent sent 0"], "seed {seed}");
        }
        let sent = rig.log.iter().filter(|e| e.kind == LogKind::Sent as u8).count();
        assert_eq!((sent, rig.counter("orders_sent")), (50, 50));
    }
}

/// What was approved first leaves first, whatever it is.
#[test]
fn an_amend_between_orders_keeps_its_place() {
    let mut rig = Rig::ready(12);
    rig.live(1, 71);
    let before = rig.venue.asked.len();
    rig.approve(2, 1);
    rig.approve_amend(1, 100, 5);
    rig.approve(3, 1);
    rig.approve_cancel(1);
    rig.placed(3);
    rig.run_ms(50);
    let methods: Vec<_> = rig.venue.asked[before..].iter().map(|a| a.method.as_str()).collect();
    // The cancel goes first: it makes the amend that waits void.
    assert_eq!(methods, ["order.cancel", "order.place", "order.place"]);
    rig.approve(4, 1);
    rig.live(5, 75);
    let before = rig.venue.asked.len();
    rig.approve(6, 1);
    rig.approve_amend(5, 100, 5);
    rig.approve(7, 1);
    rig.placed(7);
    let methods: Vec<_> = rig.venue.asked[before..].iter().map(|a| a.method.as_str()).collect();
    assert_eq!(methods, ["order.place", "order.amend.keepPriority", "order.place"]);
}
