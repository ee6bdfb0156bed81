//! A cancel-replace whose answer is lost: what became of either half is found out, whichever of
//! them the venue did.

mod rig;

use bot4_types::{DoneReason, OrderAction, OrderIntent, OrderKind, Price, Qty, ReportKind};
use bot4_venue::orders::Status;
use rig::{ONE, Rig, client, revised, state, with_terms};

/// The answer to the request and all events of its second are lost; the venue's script begins with
/// the first second.
const LOST: &str = "1000ms lose-ack\n1000ms deaf 1s\n";

fn limit(intent: &mut OrderIntent) {
    (intent.price, intent.qty) = (Price(50_000 * ONE), Qty(ONE / 250));
}

fn lower(intent: &mut OrderIntent) {
    (intent.price, intent.qty) = (Price(49_000 * ONE), Qty(ONE / 250));
}

/// An order that rests at the simulated venue, at the moment when the next answer will be lost.
fn resting(script: &str, kind: OrderKind) -> Rig {
    let mut rig = Rig::trading(5, script);
    match kind {
        OrderKind::LimitMaker => rig.approve_as(1, OrderAction::Place, |intent| {
            limit(intent);
            intent.kind = OrderKind::LimitMaker;
        }),
        _ => rig.approve_as(1, OrderAction::Place, limit),
    }
    rig.until("open", |rig| rig.story(1).last().is_some_and(|s| s == "acked live 0"));
    while rig.now.millis() < 2_010 {
        rig.step();
    }
    rig
}

/// The orders of the venue: name, state, price.
fn theirs(rig: &Rig) -> Vec<(String, Status, i64)> {
    let exchange = rig.exchange.as_ref().expect("trading").venue().exchange();
    let row = |o: &bot4_venue::orders::Order| (o.client_id.clone(), o.status, o.price / ONE);
    exchange.orders.all().map(row).collect()
}

fn told_times(rig: &Rig, kind: ReportKind) -> usize {
    rig.reports(1).iter().filter(|r| r.kind == kind).count()
}

#[test]
fn both_halves_were_done() {
    let mut rig = resting(LOST, OrderKind::Limit);
    rig.approve_as(1, OrderAction::Amend, lower);
    rig.until("amended", |rig| told_times(rig, ReportKind::Amended) == 1);
    let after = rig.now.millis();
    assert!((3_000..5_000).contains(&after), "by a question, whose answer is enough: {after}");
    let last = *rig.reports(1).last().expect("reports");
    assert_eq!((last.price, last.cum_qty), (Price(49_000 * ONE), Qty(0)));
    let (old, new) = ((client(1), Status::Canceled, 50_000), (revised(1, 1), Status::New, 49_000));
    assert_eq!(theirs(&rig), [old, new]);
    // The replacement is the order from now on: it is amended and cancelled by its own name.
    rig.approve_as(1, OrderAction::Amend, limit);
    rig.until("amended again", |rig| told_times(rig, ReportKind::Amended) == 2);
    rig.approve_cancel(1);
    rig.until("gone", |rig| rig.story(1).last().is_some_and(|s| s == "done canceled 0"));
    let states: Vec<Status> = theirs(&rig).iter().map(|(_, status, _)| *status).collect();
    assert_eq!(states, [Status::Canceled; 3]);
    assert_eq!(theirs(&rig)[2].0, revised(1, 2));
    assert_eq!(rig.agent.desk_counts().contradictions, 0);
}

/// The old order had been cancelled by the venue and nobody was told: the first half fails, the
/// second is not tried.
#[test]
fn the_cancel_failed_and_nothing_was_placed() {
    let script = format!("900ms silent-cancel\n{LOST}");
    let mut rig = resting(&script, OrderKind::Limit);
    rig.approve_as(1, OrderAction::Amend, lower);
    rig.until("the end", |rig| rig.story(1).last().is_some_and(|s| s == "done canceled 0"));
    assert_eq!(theirs(&rig), [(client(1), Status::Canceled, 50_000)]);
    ended_without_a_replacement(&rig);
}

/// A replacement that would take at once is refused by the engine, after the cancel.
#[test]
fn the_cancel_was_done_and_the_placement_failed() {
    let mut rig = resting(LOST, OrderKind::LimitMaker);
    rig.approve_as(1, OrderAction::Amend, |intent| {
        limit(intent);
        (intent.kind, intent.price) = (OrderKind::LimitMaker, Price(90_000 * ONE));
    });
    rig.until("the end", |rig| rig.story(1).last().is_some_and(|s| s == "done canceled 0"));
    let open = theirs(&rig).iter().filter(|(_, s, _)| s.is_open()).count();
    assert_eq!((open, &theirs(&rig)[0].0), (0, &client(1)), "{:?}", theirs(&rig));
    ended_without_a_replacement(&rig);
}

/// Nothing is taken for true before the request can no longer arrive.
fn ended_without_a_replacement(rig: &Rig) {
    let over = rig.reports(1).into_iter().find(|r| r.kind == ReportKind::AmendRejected);
    let sent = rig.reports(1).into_iter().find(|r| r.kind == ReportKind::AmendSent);
    let (Some(over), Some(sent)) = (over, sent) else { panic!("{:?}", rig.story(1)) };
    assert_eq!(over.reason, DoneReason::NotFound);
    assert!(over.at.since(sent.at).millis() > 2_000, "a window and a second: {over:?}");
    assert_eq!(told_times(rig, ReportKind::Amended), 0);
    assert_eq!(rig.agent.desk_counts().contradictions, 0);
}

/// The request never arrived: the order stands as it was. The venue is asked for both by their own
/// names, first for the new one.
#[test]
fn neither_half_was_done() {
    let mut rig = Rig::ready(6);
    rig.live(1, 71);
    let open = with_terms(state(1, 71, "NEW", 0), 100, 10);
    rig.venue.orders.insert(client(1), open);
    rig.approve_amend(1, 101, 10);
    rig.until("over", |rig| told_times(rig, ReportKind::AmendRejected) == 1);
    rig.run_ms(100);
    assert_eq!(rig.story(1).last().map(String::as_str), Some("amend_rejected live 0"));
    let asked = rig.venue.asked_for("order.status");
    let names: Vec<_> = asked.iter().map(|a| a.params["origClientOrderId"].clone()).collect();
    assert_eq!((&names[0], &names[1]), (&revised(1, 1).into(), &client(1).into()));
    // The next attempt has a name that none had before.
    rig.approve_amend(1, 102, 10);
    rig.until("sent", |rig| rig.venue.asked_for("order.cancelReplace").len() == 2);
    let second = &rig.venue.asked_for("order.cancelReplace")[1];
    assert_eq!(second.params["newClientOrderId"], revised(1, 2));
    assert_eq!(second.params["cancelOrderId"], 71);
}

/// The old order filled instead: that is told at once, not only after the proof.
#[test]
fn the_old_order_had_filled() {
    let mut rig = Rig::ready(7);
    rig.live(1, 71);
    rig.approve_amend(1, 101, 10);
    rig.until("sent", |rig| !rig.venue.asked_for("order.cancelReplace").is_empty());
    rig.venue.orders.insert(client(1), state(1, 71, "FILLED", 10));
    rig.venue.trades.push(rig::trade(500, 71, 10));
    let sent = rig.now;
    rig.until("filled", |rig| rig.story(1).last().is_some_and(|s| s == "fill filled 10"));
    assert!(rig.now.since(sent).millis() < 2_500, "{:?}", rig.now.since(sent));
}
