//! Orders at rest compared with the venue's word while the session goes on, fills that are proven
//! or named only when the venue is asked, and what the rate budget makes of requests on their way.

mod rig;

use bot4_execution::foreign::Declared;
use bot4_types::{DoneReason, ExecMsg, OrderState, ReportKind};
use bot4_venues::limits::RateLimits;
use rig::{Rig, canceled, client, state, trade, trade_event, view};
use serde_json::json;

/// More orders than the ring of reports would take at once.
const ORDERS: u64 = 100;

fn hundred(rig: &mut Rig) {
    for order in 1..=ORDERS {
        rig.live(order, 1_000 + order);
        rig.venue.orders.insert(client(order), state(order, 1_000 + order, "NEW", 0));
    }
    rig.venue.asked.clear();
}

/// No list tells anything: each of a hundred orders is asked for by name within its period.
#[test]
fn without_lists_every_order_is_asked_for_in_time() {
    let mut rig = Rig::ready(1);
    rig.venue.mute.push("openOrders.status");
    hundred(&mut rig);
    rig.run_ms(10_000);
    let asked = rig.venue.asked_for("order.status");
    for order in 1..=ORDERS {
        let name = client(order);
        let times = asked.iter().filter(|a| a.params["origClientOrderId"] == name).count();
        assert!(
            (1..=3).contains(&times),
            "order {order} was asked for {times} times in ten seconds"
        );
    }
}

/// With lists hardly anything is asked for by name, and an end that nobody told is found all the
/// same, whichever order it is.
#[test]
fn a_silent_end_is_found_within_the_period() {
    for lost in [1, 57, ORDERS] {
        let mut rig = Rig::ready(lost);
        hundred(&mut rig);
        rig.run_ms(6_000);
        assert!(rig.venue.asked_for("order.status").is_empty(), "lists are enough");
        rig.venue.orders.insert(client(lost), state(lost, 1_000 + lost, "CANCELED", 0));
        let at = rig.now;
        rig.until("found", |rig| rig.reports(lost).last().is_some_and(|r| r.state.is_terminal()));
        let last = *rig.reports(lost).last().expect("an ending");
        assert_eq!(last.state, OrderState::Canceled);
        assert!(rig.now.since(at).millis() <= 10_000, "{} ms", rig.now.since(at).millis());
        assert!(rig.venue.asked_for("order.status").len() < 5, "it alone was asked for");
    }
}

/// An order of somebody else whose event was lost: a list names it, and risk hears of it once.
#[test]
fn what_a_list_names_and_nobody_knows_is_foreign() {
    let mut rig = Rig::ready(3);
    rig.live(1, 71);
    let mut web = state(9, 99, "NEW", 0);
    web["clientOrderId"] = json!("web_1");
    rig.venue.orders.insert("web_1".to_owned(), web);
    rig.run_ms(21_000);
    let foreign: Vec<_> = rig
        .heard
        .iter()
        .filter(|m| matches!(m, ExecMsg::Foreign { venue_order: 99, declared: false, .. }))
        .collect();
    assert_eq!(foreign.len(), 1, "{:?}", rig.heard);
}

/// Forty orders are on their way when the first answer says that the venue has counted one: the
/// other thirty-nine are not free again.
#[test]
fn orders_on_their_way_stay_counted() {
    let limits = RateLimits { orders_10s: 50, ..RateLimits::default() };
    let mut rig = Rig::with_limits(4, 256, limits);
    rig.journaled.publish(0, 1_000);
    rig.until("ready", Rig::is_ready);
    (1..=40).for_each(|order| rig.approve(order, 1));
    rig.placed(40);
    rig.venue.usage = json!([{"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
                              "limit": 50, "count": 1}]);
    let first = rig.placed(1);
    rig.venue.respond(first.id, view(1, 71, "NEW", 0, &[]));
    rig.until("accepted", |rig| rig.story(1).last().is_some_and(|s| s == "acked live 0"));
    (41..=80).for_each(|order| rig.approve(order, 1));
    rig.run_ms(200);
    assert_eq!(rig.venue.asked_for("order.place").len(), 50, "the venue takes no more");
    let last = rig.reports(80).last().map(|r| (r.state, r.reason));
    assert_eq!(last, Some((OrderState::NotSent, DoneReason::NoBudget)));
}

/// The venue's clock goes back by five seconds while the order is on its way: that nobody knows it
/// proves nothing before that clock has passed its deadline, and an order that comes in late is
/// found instead of placed anew.
#[test]
fn an_order_is_given_up_by_the_venues_clock_alone() {
    let mut rig = Rig::ready(5);
    rig.approve(1, 1);
    rig.until("sent", |rig| rig.story(1) == ["sent sent 0"]);
    let sent_at = rig.now;
    rig.venue.clock_ms -= 5_000;
    rig.venue.cut();
    rig.until("lost", |rig| rig.story(1).last().is_some_and(|s| s == "lost unknown 0"));
    rig.control.drain();
    rig.until("the end", |rig| rig.reports(1).last().is_some_and(|r| r.state.is_terminal()));
    let took = rig.now.since(sent_at).millis();
    assert!((6_900..9_000).contains(&took), "given up after {took} ms");
    let time_asked = rig.venue.asked_for("time").len();
    assert!(time_asked >= 2, "each question for a proof comes with one for the time: {time_asked}");
}

/// What was told of somebody else's trades, and whether they are declared.
fn strangers(rig: &Rig) -> Vec<(u64, bool)> {
    let told = |m: &ExecMsg| match *m {
        ExecMsg::Foreign { trade_id, declared, .. } if trade_id != 0 => Some((trade_id, declared)),
        _ => None,
    };
    rig.heard.iter().filter_map(told).collect()
}

/// A cancel's answer counts three filled, of five: the fill of the other two is told long after the
/// order is forgotten. It is booked when the venue's list has it, and is nobody's when it has not.
#[test]
fn an_own_fill_long_after_its_orders_end_is_booked_when_the_venues_list_proves_it() {
    for proven in [true, false] {
        let mut rig = Rig::ready(8);
        rig.live(1, 71);
        rig.venue.event(&trade_event(1, 71, 500, 3, "PARTIALLY_FILLED", 3));
        rig.venue.trades.push(trade(500, 71, 3));
        rig.approve_cancel(1);
        rig.until("cancel", |rig| !rig.venue.asked_for("order.cancel").is_empty());
        let id = rig.venue.asked_for("order.cancel")[0].id;
        rig.venue.respond(id, canceled(1, 71, 3));
        rig.until("the end", |rig| rig.reports(1).last().is_some_and(|r| r.state.is_terminal()));
        rig.run_ms(7_000);
        rig.venue.trades.extend(proven.then(|| trade(501, 71, 2)));
        rig.venue.event(&trade_event(1, 71, 501, 2, "PARTIALLY_FILLED", 5));
        rig.run_ms(7_000);
        let last = *rig.reports(1).last().expect("reports");
        if proven {
            let told = (last.kind, last.reason, last.trade_id, last.state);
            let booked = (ReportKind::Fill, DoneReason::Late, 501, OrderState::Canceled);
            assert_eq!((told, rig.counter("fills_late")), (booked, 1));
            assert!(strangers(&rig).is_empty() && rig.agent.desk_counts().contradictions == 0);
        } else {
            assert_eq!((last.kind, rig.counter("fills_late")), (ReportKind::Done, 0));
            assert_eq!(strangers(&rig), [(501, false)]);
        }
    }
}

/// An order of another program that came and filled while nobody heard: trades name it by its
/// number alone, and the venue is asked whose it is.
#[test]
fn a_fill_of_an_outage_without_a_name_is_judged_by_the_name_of_its_order() {
    for (name, declared) in [("web_77", true), ("stranger", false)] {
        let beside = Declared::of(["web_"]).expect("short");
        let mut rig = Rig::beside(beside, 9, 256, RateLimits::default());
        rig.journaled.publish(0, 1_000);
        rig.until("ready", Rig::is_ready);
        rig.live(1, 71);
        rig.venue.orders.insert(client(1), state(1, 71, "PARTIALLY_FILLED", 3));
        rig.venue.event(&trade_event(1, 71, 500, 3, "PARTIALLY_FILLED", 3));
        rig.run_ms(50);
        rig.venue.cut();
        rig.until("lost", |rig| !rig.is_ready());
        let mut other = state(2, 99, "FILLED", 4);
        other["clientOrderId"] = json!(name);
        rig.venue.orders.insert(name.to_owned(), other);
        rig.venue.trades.extend([trade(500, 71, 3), trade(501, 99, 4)]);
        rig.until("judged", |rig| !strangers(rig).is_empty());
        rig.run_ms(1_000);
        assert_eq!(strangers(&rig), [(501, declared)], "{name}");
        let orders = |m: &&ExecMsg| {
            matches!(m, ExecMsg::Foreign { trade_id: 0, venue_order: 99, declared: d, .. }
                if *d == declared)
        };
        assert_eq!(rig.heard.iter().filter(orders).count(), 1, "{name}");
    }
}
