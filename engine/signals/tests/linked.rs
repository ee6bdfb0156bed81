//! Two orders of which one is to be done, and commands on them.

mod rig;

use bot4_signals::{Actions, Linked, LinkedCommand, Oco, OtherLeg, SignalConfig, Verdict};
use bot4_types::{
    OrderAction, OrderId, OrderIntent, OrderKind, OrderState, Price, Qty, ReportKind, Side, Tif,
};
use proptest::prelude::*;
use rig::{ONE, Puppet, Rig, Strings};

const BID: i64 = 60_000 * ONE;
const TOUCH: (i64, i64) = (BID, BID + ONE);
const QTY: i64 = 100_000_000;
const CENT: i64 = BID / 100;

/// A bid one per cent below, or a buy when the market is two per cent above.
const DIP_OR_BREAKOUT: Oco = Oco {
    side: Side::Buy,
    price: Price(BID - CENT),
    qty: Qty(QTY),
    other: OtherLeg::Stop {
        side: Side::Buy,
        trigger: Price(BID + 2 * CENT),
        limit: Price(BID + 3 * CENT),
    },
};
/// A bid below and an ask above.
const EITHER_SIDE: Oco = Oco {
    side: Side::Buy,
    price: Price(BID - CENT),
    qty: Qty(QTY),
    other: OtherLeg::Quote { price: Price(BID + CENT) },
};

fn stage() -> (Rig, Strings) {
    let strings = Strings::default();
    let mut config = SignalConfig::new(vec![Box::new(Puppet(strings.clone()))], OrderId(1));
    config.routing.stop_bps = 4_000;
    let mut rig = Rig::with(config, 64);
    rig.session(true);
    rig.turn();
    (rig, strings)
}

fn linked(oco: Oco) -> (Rig, Strings, Vec<OrderIntent>) {
    let (mut rig, strings) = stage();
    assert_eq!(rig.does(&strings, TOUCH, move |orders| orders.oco(&oco)), Verdict::Accepted);
    let legs = rig.sent();
    legs.iter().for_each(|leg| rig.ack(leg));
    (rig, strings, legs)
}

fn at(rig: &mut Rig, bid: i64) {
    rig.top(0, bid, bid + ONE);
    rig.turn();
}

fn is_linked(rig: &mut Rig, strings: &Strings) -> bool {
    rig.does(strings, TOUCH, |orders| orders.is_linked())
}

#[test]
fn the_first_fill_of_one_withdraws_the_other() {
    let (mut rig, strings, legs) = linked(EITHER_SIDE);
    assert_eq!(legs.iter().map(|l| l.side).collect::<Vec<_>>(), [Side::Buy, Side::Sell]);
    rig.fill(&legs[0], QTY / 4, QTY / 4, OrderState::PartiallyFilled);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, legs[1].order));
    rig.canceled(&legs[1]);
    assert!(is_linked(&mut rig, &strings), "the first goes on");
    rig.fill(&legs[0], QTY * 3 / 4, QTY, OrderState::Filled);
    assert!(!is_linked(&mut rig, &strings));
    assert_eq!((rig.count("links"), rig.count("links_raced")), (1, 0));
    assert_eq!(rig.sent(), []);
}

#[test]
fn the_end_of_one_withdraws_the_other() {
    for pull in [false, true] {
        let (mut rig, strings, legs) = linked(DIP_OR_BREAKOUT);
        assert_eq!(legs.len(), 1, "the stop is armed here");
        if pull {
            rig.does(&strings, TOUCH, |orders| orders.pull_stop());
            assert_eq!(rig.only().order, legs[0].order);
            rig.canceled(&legs[0]);
        } else {
            rig.report(&legs[0], ReportKind::Done, OrderState::Expired);
        }
        rig.after(1);
        assert!(!is_linked(&mut rig, &strings));
        at(&mut rig, BID + 2 * CENT);
        assert!(rig.sent().is_empty(), "the stop went with it");
    }
}

#[test]
fn a_stop_that_fires_withdraws_the_quote_by_its_fill() {
    let (mut rig, _, legs) = linked(DIP_OR_BREAKOUT);
    at(&mut rig, BID + 2 * CENT);
    let take = rig.only();
    assert_eq!((take.kind, take.tif, take.side), (OrderKind::Limit, Tif::Ioc, Side::Buy));
    rig.fill(&take, QTY, QTY, OrderState::Filled);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, legs[0].order));
}

#[test]
fn what_both_legs_filled_on_one_side_is_given_back() {
    let (mut rig, strings, legs) = linked(DIP_OR_BREAKOUT);
    at(&mut rig, BID + 2 * CENT);
    let take = rig.only();
    rig.fill(&take, QTY, QTY, OrderState::Filled);
    assert_eq!(rig.only().action, OrderAction::Cancel);
    // The cancel comes too late for a part of it.
    rig.fill(&legs[0], QTY / 2, QTY * 3 / 2, OrderState::PartiallyFilled);
    assert!(rig.sent().is_empty(), "not before both are over");
    rig.canceled(&legs[0]);
    rig.after(1);
    let back = rig.only();
    assert_eq!((back.side, back.qty, back.tif), (Side::Sell, Qty(QTY / 2), Tif::Ioc));
    assert!(back.reduce_only);
    rig.fill(&back, QTY / 4, QTY * 5 / 4, OrderState::Expired);
    rig.after(1);
    let rest = rig.only();
    assert_eq!(rest.qty, Qty(QTY / 4), "until it is done");
    rig.fill(&rest, QTY / 4, QTY, OrderState::Filled);
    rig.after(1);
    assert!(rig.sent().is_empty() && !is_linked(&mut rig, &strings));
    assert_eq!(rig.count("links_raced"), 1);
}

/// A take of the strategy's own between two that give back is not taken for one of them.
#[test]
fn what_the_strategy_takes_itself_gives_nothing_back() {
    let (mut rig, strings, legs) = linked(DIP_OR_BREAKOUT);
    at(&mut rig, BID + 2 * CENT);
    let take = rig.only();
    rig.fill(&take, QTY, QTY, OrderState::Filled);
    assert_eq!(rig.only().action, OrderAction::Cancel);
    rig.fill(&legs[0], QTY / 2, QTY * 3 / 2, OrderState::PartiallyFilled);
    // The strategy takes before both are over.
    rig.does(&strings, TOUCH, |orders| orders.take(Side::Buy, Qty(QTY), Price(BID + ONE)));
    let own = rig.only();
    rig.canceled(&legs[0]);
    rig.fill(&own, QTY, QTY * 5 / 2, OrderState::Filled);
    rig.after(1);
    let back = rig.only();
    assert_eq!((back.side, back.qty), (Side::Sell, Qty(QTY / 2)), "all of the excess");
}

#[test]
fn both_sides_leave_less_than_the_plan_and_nothing_is_given_back() {
    let (mut rig, strings, legs) = linked(EITHER_SIDE);
    rig.fill(&legs[0], QTY, QTY, OrderState::Filled);
    assert_eq!(rig.only().action, OrderAction::Cancel);
    rig.fill(&legs[1], QTY / 2, QTY / 2, OrderState::PartiallyFilled);
    rig.canceled(&legs[1]);
    rig.after(1);
    assert!(rig.sent().is_empty() && !is_linked(&mut rig, &strings));
    assert_eq!(rig.count("links_raced"), 1);
}

#[test]
fn nothing_else_takes_the_places_of_linked_orders() {
    let (mut rig, strings, _) = linked(EITHER_SIDE);
    let again = |orders: &mut Actions<'_>| {
        (orders.oco(&EITHER_SIDE), orders.quote(Side::Buy, Price(BID), Qty(QTY)))
    };
    assert_eq!(rig.does(&strings, TOUCH, again), (Verdict::Busy, Verdict::Busy));
    assert!(rig.sent().is_empty());
}

#[test]
fn one_leg_that_cannot_be_leaves_none() {
    let (mut rig, strings) = stage();
    let wrong = Oco { other: OtherLeg::Quote { price: Price(0) }, ..EITHER_SIDE };
    let verdict = rig.does(&strings, TOUCH, move |orders| orders.oco(&wrong));
    assert_eq!(verdict, Verdict::PriceBounds);
    let sent = rig.sent();
    assert_eq!(sent.len(), 1, "it had left");
    rig.ack(&sent[0]);
    assert_eq!(rig.only().action, OrderAction::Cancel);
    assert!(!is_linked(&mut rig, &strings));
}

#[test]
fn commands_are_executed_and_taken_back() {
    let stop = Linked::Stop {
        side: Side::Buy,
        trigger: Price(BID + CENT),
        limit: Price(BID + 2 * CENT),
        qty: Qty(QTY),
    };
    for order in [stop, Linked::Oco(DIP_OR_BREAKOUT)] {
        let (mut rig, strings) = stage();
        let command = LinkedCommand::new(order);
        let does = |rig: &mut Rig, command: LinkedCommand| {
            rig.does(&strings, TOUCH, move |orders| command.execute(orders))
        };
        let can_undo = |rig: &mut Rig, command: LinkedCommand| {
            rig.does(&strings, TOUCH, move |orders| command.can_undo(orders))
        };
        assert!(!can_undo(&mut rig, command));
        assert_eq!(does(&mut rig, command), Verdict::Accepted);
        let sent = rig.sent();
        sent.iter().for_each(|leg| rig.ack(leg));
        assert!(can_undo(&mut rig, command));
        let undo = command.undo();
        assert_eq!(does(&mut rig, undo), Verdict::Accepted);
        let cancels = rig.sent();
        assert_eq!(cancels.len(), sent.len());
        sent.iter().for_each(|leg| rig.canceled(leg));
        rig.after(1);
        assert!(can_undo(&mut rig, undo) && !can_undo(&mut rig, command));
        assert_eq!(undo.undo(), command);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the legs fill in whatever order, and however late their cancels come: in the end
    /// the strategy holds no more than the first leg was to make, and nothing is open.
    #[test]
    fn the_position_is_never_left_beyond_the_plan(
        steps in proptest::collection::vec((0usize..2, 1i64..6), 1..12),
    ) {
        let (mut rig, strings, legs) = linked(DIP_OR_BREAKOUT);
        at(&mut rig, BID + 2 * CENT);
        let legs = [legs[0], rig.only()];
        rig.ack(&legs[1]);
        let (mut filled, mut position) = ([0; 2], 0);
        for (leg, tenths) in steps {
            let qty = (tenths * QTY / 10).min(QTY - filled[leg]);
            if qty > 0 {
                filled[leg] += qty;
                position += qty;
                let whole = filled[leg] == QTY;
                let state = if whole { OrderState::Filled } else { OrderState::PartiallyFilled };
                rig.fill(&legs[leg], qty, position, state);
            }
        }
        for (leg, filled) in legs.iter().zip(filled) {
            if filled < QTY {
                rig.report(leg, ReportKind::Done, OrderState::Canceled);
            }
        }
        for _ in 0..20 {
            at(&mut rig, BID);
            for intent in rig.sent().into_iter().filter(|i| i.action == OrderAction::Place) {
                prop_assert!(intent.reduce_only && intent.side == Side::Sell);
                prop_assert!(intent.qty.0 <= position);
                let part = (intent.qty.0 / 2).max(1_000).min(intent.qty.0);
                position -= part;
                rig.fill(&intent, part, position, OrderState::Expired);
            }
            rig.after(1);
        }
        let second = filled[0].min(filled[1]).min(filled.iter().sum::<i64>() - QTY).max(0);
        let dust = 5 * ONE / 60_000 + 1_000;
        prop_assert!(position <= QTY + dust, "{position} of {filled:?}, {second}");
        prop_assert!(!is_linked(&mut rig, &strings));
    }
}
