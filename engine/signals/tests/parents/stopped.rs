//! Parents at a stop: they end with it, what they have open goes, and none of their children goes
//! out while the position is being closed.

use bot4_lanes::{Rx, ring};
use bot4_signals::SignalConfig;
use bot4_types::{
    AccountReport, Cause, InstrumentId, Nanos, OrderAction, OrderId, OrderIntent, OrderState,
    ParentCommand, ParentEnd, ParentId, ParentOrder, ParentRefusal, ParentReport, ParentState, Qty,
    RouterReport, Side, StrategyId,
};

use crate::rig::{ONE, Puppet, Rig, Strings};

const BID: i64 = 60_000 * ONE;
const ID: ParentId = ParentId::by_operator(1);
const LATER: ParentId = ParentId::by_operator(2);

fn top(rig: &mut Rig, bid: i64) {
    rig.top(0, bid, bid + ONE);
    rig.turn();
}

fn begin(rig: &mut Rig, id: ParentId) {
    let (instrument, over) = (InstrumentId(0), Nanos::from_secs(20));
    let order = ParentOrder::twap(instrument, Side::Buy, Qty(20 * ONE), over);
    let order = ParentOrder { id, strategy: StrategyId(0), ..order };
    rig.account.push(AccountReport::Parent(ParentCommand::Begin(order))).expect("room");
    rig.turn();
}

fn parent(rig: &Rig, id: ParentId) -> ParentReport {
    rig.agent.router().parent(id, rig.now).expect("remembered")
}

/// Why the parent is not begun, of what was `told`.
fn refusal(rig: &mut Rig, told: &mut Rx<RouterReport>, id: ParentId) -> ParentRefusal {
    rig.turn();
    let reports = std::iter::from_fn(|| told.pop());
    let of_it = |told| match told {
        RouterReport::Parent(report) if report.id == id => Some(report),
        _ => None,
    };
    let refused = reports.filter_map(of_it).last().expect("it is told");
    assert_eq!(refused.end, ParentEnd::Refused);
    refused.refusal
}

/// A strategy that holds one unit, with its stop at one per cent, and a parent of its own that has
/// a child resting.
fn worked() -> (Rig, OrderIntent, Rx<RouterReport>) {
    let mut config = SignalConfig::new(vec![Box::new(Puppet(Strings::default()))], OrderId(1));
    config.routing.stop_bps = 100;
    let (mut rig, (tx, told)) = (Rig::with(config, 64), ring(256));
    rig.agent = rig.agent.with_parents(tx);
    rig.session(true);
    rig.turn();
    top(&mut rig, BID);
    begin(&mut rig, ID);
    rig.after(1_000);
    let child = rig.only();
    assert_eq!((child.parent, child.action), (ID, OrderAction::Place));
    rig.ack(&child);
    let held = OrderIntent { order: OrderId(9_999), parent: ParentId::NONE, ..child };
    rig.fill(&held, ONE, ONE, OrderState::Filled);
    (rig, child, told)
}

/// Ten seconds of a moving market in which no child may leave.
fn stays_quiet(rig: &mut Rig, bid: i64) {
    for n in 0..100 {
        top(rig, bid + n % 3 * ONE);
        rig.after(100);
        let children = rig.sent().into_iter().filter(|i| i.parent != ParentId::NONE);
        assert_eq!(children.count(), 0, "no child goes out any more");
    }
}

#[test]
fn a_stop_of_trading_ends_parents_and_only_the_position_is_closed() {
    let (mut rig, child, mut told) = worked();
    rig.control.flatten();
    rig.turn();
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, child.order));
    let ending = parent(&rig, ID);
    assert_eq!((ending.state, ending.end), (ParentState::Ending, ParentEnd::Killed));
    assert_eq!(ending.open, child.qty, "its child may still fill");
    rig.fill(&child, child.qty.0 / 2, ONE + child.qty.0 / 2, OrderState::PartiallyFilled);
    assert!(rig.sent().is_empty(), "not before everything is gone");
    let held = ONE + child.qty.0 / 2;
    let state = OrderState::Canceled;
    let cum = Qty(child.qty.0 / 2);
    let done = bot4_types::ReportKind::Done;
    let gone = crate::rig::report(&child, done, state, cum, Qty(held), rig.now);
    rig.account.push(gone).expect("room");
    rig.turn();
    let close = rig.only();
    assert_eq!((close.side, close.qty, close.parent), (Side::Sell, Qty(held), ParentId::NONE));
    assert_eq!(close.cause, Cause::Operator);
    let ended = parent(&rig, ID);
    assert_eq!((ended.state, ended.filled, ended.open), (ParentState::Ended, cum, Qty(0)));
    assert!(ended.is_exact());
    rig.fill(&close, held, 0, OrderState::Filled);
    begin(&mut rig, LATER);
    assert_eq!(refusal(&mut rig, &mut told, LATER), ParentRefusal::Closed);
    stays_quiet(&mut rig, BID);
    rig.control.end_halt();
    stays_quiet(&mut rig, BID);
    begin(&mut rig, ParentId::by_operator(3));
    rig.after(1_000);
    assert_eq!(rig.only().parent, ParentId::by_operator(3), "a new one is worked again");
}

#[test]
fn a_plain_halt_ends_parents_too() {
    let (mut rig, child, _) = worked();
    rig.control.halt();
    rig.turn();
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, child.order));
    rig.canceled(&child);
    let ended = parent(&rig, ID);
    assert_eq!((ended.state, ended.end), (ParentState::Ended, ParentEnd::Killed));
    stays_quiet(&mut rig, BID);
    rig.control.end_halt();
    stays_quiet(&mut rig, BID);
}

#[test]
fn a_crossed_stop_ends_the_parents_of_its_strategy() {
    let (mut rig, child, mut told) = worked();
    top(&mut rig, BID - BID / 50);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, child.order));
    assert_eq!(parent(&rig, ID).end, ParentEnd::Stopped);
    begin(&mut rig, LATER);
    assert_eq!(refusal(&mut rig, &mut told, LATER), ParentRefusal::Closed, "while it closes");
    rig.canceled(&child);
    top(&mut rig, BID - BID / 50);
    let close = rig.only();
    assert_eq!((close.side, close.qty, close.parent), (Side::Sell, Qty(ONE), ParentId::NONE));
    rig.fill(&close, ONE, 0, OrderState::Filled);
    assert_eq!(parent(&rig, ID).state, ParentState::Ended);
    stays_quiet(&mut rig, BID - BID / 50);
}
