//! A stop that closes what is held: after the cancels, by orders that only reduce, whatever the
//! strategies wish; a plain stop leaves positions alone.

mod rig;

use bot4_signals::{Actions, SignalConfig, Strategy as Trader, View};
use bot4_types::{
    AccountReport, Cause, InstrumentId, OrderAction, OrderIntent, OrderReport, OrderState, Price,
    Qty, RefuseReason, ReportKind, Side, StrategyId, Tif,
};
use proptest::prelude::*;
use rig::{ONE, Rig};

const BID: i64 = 60_000 * ONE;
const QTY: i64 = 100_000_000;
const TICK: i64 = ONE / 100;

/// Wants both sides of the touch, and takes when one was cancelled, stop or not.
struct Greedy;

impl Trader for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        orders.quote(Side::Buy, Price(view.bid().price), Qty(QTY));
        orders.quote(Side::Sell, Price(view.ask().price), Qty(QTY));
    }

    fn on_report(
        &mut self,
        report: &AccountReport,
        _: Option<&View<'_>>,
        orders: &mut Actions<'_>,
    ) {
        if let AccountReport::Order { report, .. } = report
            && report.state == OrderState::Canceled
        {
            orders.take(Side::Buy, Qty(QTY), Price(BID));
        }
    }
}

/// Wishes nothing.
struct Silent;

impl Trader for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn on_top(&mut self, _: &View<'_>, _: &mut Actions<'_>) {}
}

fn ready(strategies: Vec<Box<dyn Trader>>) -> Rig {
    let mut rig = Rig::with(SignalConfig::new(strategies, bot4_types::OrderId(1)), 64);
    rig.session(true);
    rig.turn();
    rig.top(0, BID, BID + TICK);
    rig.turn();
    rig
}

/// `strategy` holds `position` by a fill of an order that no slot knows.
fn holds(rig: &mut Rig, strategy: u8, position: i64) {
    let mut intent = some_intent();
    intent.strategy = StrategyId(strategy);
    intent.side = if position > 0 { Side::Buy } else { Side::Sell };
    rig.account.push(fill(&intent, position.abs(), position)).expect("room");
    rig.turn();
}

fn some_intent() -> OrderIntent {
    OrderIntent {
        trail: Default::default(),
        order: bot4_types::OrderId(9_999),
        price: Price(BID),
        qty: Qty(QTY),
        stop_ticks: 1,
        instrument: InstrumentId(0),
        strategy: StrategyId(0),
        cause: Cause::Market,
        expires: bot4_types::Nanos::MAX,
        action: OrderAction::Place,
        kind: bot4_types::OrderKind::Limit,
        tif: Tif::Ioc,
        trigger: bot4_types::Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side: Side::Buy,
        parent: bot4_types::ParentId::NONE,
    }
}

fn fill(intent: &OrderIntent, qty: i64, position: i64) -> AccountReport {
    let state = OrderState::Filled;
    let now = bot4_types::Nanos(0);
    let told = rig::report(intent, ReportKind::Fill, state, Qty(qty), Qty(position), now);
    let AccountReport::Order { report, position } = told else { unreachable!("an order's") };
    let report = OrderReport { last_qty: Qty(qty), last_price: intent.price, ..report };
    AccountReport::Order { report, position }
}

#[test]
fn cancels_come_first_then_one_order_closes_the_position() {
    let mut rig = ready(vec![Box::new(Greedy)]);
    let [buy, sell] = rig.sent().try_into().expect("both sides");
    rig.ack(&buy);
    rig.ack(&sell);
    holds(&mut rig, 0, QTY);
    rig.sent();
    rig.control.flatten();
    rig.turn();
    let cancels = rig.sent();
    assert!(cancels.iter().all(|i| i.action == OrderAction::Cancel), "{cancels:#?}");
    assert_eq!((rig.count("flattening"), rig.count("flatten_left")), (1, 1));
    for quote in [&buy, &sell] {
        assert!(rig.sent().is_empty(), "not before everything is gone");
        let (kind, state) = (ReportKind::Done, OrderState::Canceled);
        let told = rig::report(quote, kind, state, Qty(0), Qty(QTY), rig.now);
        rig.account.push(told).expect("room");
        rig.turn();
    }
    let close = rig.only();
    rig::assert_lawful(&close, rig.now);
    assert_eq!((close.side, close.qty, close.tif), (Side::Sell, Qty(QTY), Tif::Ioc));
    assert_eq!((close.cause, close.action), (Cause::Operator, OrderAction::Place));
    assert_eq!(close.price, Price(BID - BID / 200).to_tick(TICK, Side::Sell), "half a percent");
    rig.account.push(fill(&close, QTY, 0)).expect("room");
    rig.top(0, BID / 2, BID / 2 + TICK);
    rig.turn();
    rig.after(1_000);
    assert!(rig.sent().is_empty(), "nothing is held, and nobody else may");
    assert_eq!((rig.count("flatten_left"), rig.count("flatten_orders")), (0, 1));
    rig.control.end_halt();
    rig.top(0, BID, BID + TICK);
    rig.turn();
    assert!(rig.sent().iter().all(|i| i.cause != Cause::Operator), "it trades again");
}

#[test]
fn a_plain_stop_leaves_positions_alone_and_the_wish_may_come_later() {
    let mut rig = ready(vec![Box::new(Silent)]);
    holds(&mut rig, 0, -QTY);
    rig.control.halt();
    rig.turn();
    rig.after(1_000);
    assert_eq!((rig.sent().len(), rig.count("flattening")), (0, 0));
    rig.control.flatten();
    rig.turn();
    let close = rig.only();
    assert_eq!((close.side, close.qty, close.cause), (Side::Buy, Qty(QTY), Cause::Operator));
}

#[test]
fn what_the_gate_finds_too_large_goes_in_parts_and_dust_stays() {
    let mut rig = ready(vec![Box::new(Silent)]);
    holds(&mut rig, 0, QTY);
    rig.control.flatten();
    rig.turn();
    let whole = rig.only();
    let refused = AccountReport::Refused {
        order: whole.order,
        action: OrderAction::Place,
        instrument: whole.instrument,
        strategy: whole.strategy,
        reason: RefuseReason::FatNotional,
    };
    rig.account.push(refused).expect("room");
    rig.turn();
    rig.after(100);
    let half = rig.only();
    assert_eq!(half.qty, Qty(QTY / 2));
    // All but a trifle: below the smallest order.
    rig.account.push(fill(&half, QTY / 2, 1_000)).expect("room");
    rig.after(100);
    assert!(rig.sent().is_empty());
    assert_eq!((rig.count("flatten_left"), rig.count("flatten_dust")), (0, 1));
}

#[test]
fn a_book_that_is_not_live_is_waited_for() {
    let mut rig = ready(vec![Box::new(Silent)]);
    holds(&mut rig, 0, QTY);
    rig.stale(0);
    rig.turn();
    rig.control.flatten();
    rig.after(100);
    assert_eq!((rig.sent().len(), rig.count("flatten_left")), (0, 1));
    rig.top(0, BID, BID + TICK);
    rig.turn();
    // The touch came in behind the sweep: the next turn closes.
    rig.turn();
    assert_eq!(rig.only().qty, Qty(QTY));
}

proptest! {
    /// Whatever two strategies hold, and however the orders fill: the account's net position goes
    /// to zero, no order asks for more than the net, and none turns a strategy's side.
    #[test]
    fn the_net_position_goes_to_zero_and_never_grows(
        held in proptest::array::uniform2(-5_000i64..5_000),
        parts in proptest::collection::vec(1u64..8, 64),
    ) {
        let mut rig = ready(vec![Box::new(Silent), Box::new(Silent)]);
        let mut held = held.map(|lots| lots * 100_000);
        for (s, position) in held.into_iter().enumerate().filter(|(_, p)| *p != 0) {
            holds(&mut rig, s as u8, position);
        }
        rig.control.flatten();
        for eighths in parts {
            rig.after(1_100);
            for order in rig.sent() {
                let own = &mut held[usize::from(order.strategy.0)];
                let signed = order.side.sign() * order.qty.0;
                prop_assert_eq!(order.cause, Cause::Operator);
                prop_assert!(own.signum() == -signed.signum() && order.qty.0 <= own.abs());
                let net = held.iter().sum::<i64>();
                prop_assert!(order.qty.0 <= net.abs() && net.signum() == -signed.signum());
                let filled = (order.qty.0 * eighths as i64 / 7).min(order.qty.0);
                let own = &mut held[usize::from(order.strategy.0)];
                *own += order.side.sign() * filled;
                rig.account.push(fill(&order, filled.max(1), *own)).expect("room");
            }
        }
        rig.after(100);
        let net = held.iter().sum::<i64>();
        // Five units of money are the least that the venue takes: at 60,000 that is 8,334 parts,
        // of each strategy, and a lot.
        prop_assert!(net.abs() < 2 * 9_400, "{held:?}");
        prop_assert_eq!(rig.count("flatten_left"), 0);
    }
}
