//! Exits of what is held that rest at the venue, targets, and stops that a strategy asks for.

mod rig;

use bot4_signals::{Exit, Exits, Native, SignalConfig, Verdict};
use bot4_types::{
    InstrumentTable, OrderAction, OrderId, OrderIntent, OrderKind, OrderState, Price, Qty,
    RefuseReason, ReportKind, Side, Tif,
};
use rig::{ONE, Puppet, Rig, Strings};

const BID: i64 = 60_000 * ONE;
const TOUCH: (i64, i64) = (BID, BID + ONE);
const QTY: i64 = 100_000_000;
const KEY: (bot4_types::StrategyId, bot4_types::InstrumentId) =
    (bot4_types::StrategyId(0), bot4_types::InstrumentId(0));
/// One per cent of the bid.
const CENT: i64 = BID / 100;

/// Every instrument takes orders that wait.
fn table() -> InstrumentTable {
    let mut table = InstrumentTable::new();
    for plain in rig::table().all() {
        table.push(bot4_types::Instrument { stops: true, ..*plain }).expect("room");
    }
    table
}

/// Stops stand at one per cent, targets at two.
fn stage(native: Native) -> (Rig, Strings) {
    let strings = Strings::default();
    let puppet = Puppet(strings.clone());
    let mut config = SignalConfig::new(vec![Box::new(puppet)], OrderId(1));
    config.routing.stop_bps = 100;
    config.exits = vec![Exits { take_profit_bps: 200, native }];
    let mut rig = Rig::over(table(), config, 64);
    rig.session(true);
    rig.turn();
    (rig, strings)
}

/// Buys `QTY` by a take.
fn bought(rig: &mut Rig, strings: &Strings) {
    let take = |rig: &mut Rig| {
        rig.does(strings, TOUCH, |orders| orders.take(Side::Buy, Qty(QTY), Price(BID)))
    };
    assert_eq!(take(rig), Verdict::Accepted);
    let buy = rig.only();
    rig.fill(&buy, QTY, QTY, OrderState::Filled);
}

/// Has bought, and its exit rests untriggered at the venue.
fn protected(native: Native) -> (Rig, Strings, OrderIntent) {
    let (mut rig, strings) = stage(native);
    bought(&mut rig, &strings);
    assert!(rig.sent().is_empty(), "a position is seldom built by one fill");
    rig.after(60);
    let exit = rig.only();
    rig.report(&exit, ReportKind::Acked, OrderState::Untriggered);
    (rig, strings, exit)
}

fn at(rig: &mut Rig, bid: i64) {
    rig.top(0, bid, bid + ONE);
    rig.turn();
}

#[test]
fn the_stop_of_what_is_held_rests_at_the_venue() {
    let (mut rig, _, exit) = protected(Native::Stop);
    rig::assert_lawful(&exit, rig.now);
    assert_eq!((exit.kind, exit.tif), (OrderKind::StopLossLimit, Tif::Ioc));
    assert_eq!((exit.side, exit.qty, exit.reduce_only), (Side::Sell, Qty(QTY), true));
    assert_eq!(exit.trigger, Price(BID - CENT));
    assert!(exit.price < exit.trigger && exit.price.0 > BID - 2 * CENT);
    at(&mut rig, BID + CENT / 2);
    rig.after(1_000);
    assert!(rig.sent().is_empty(), "it stands as it is");
}

#[test]
fn what_the_venue_triggers_is_not_done_again_here() {
    let (mut rig, _, exit) = protected(Native::Stop);
    at(&mut rig, BID - CENT - ONE);
    assert!(rig.sent().is_empty(), "the venue's order is let work");
    rig.report(&exit, ReportKind::Triggered, OrderState::Live);
    rig.after(100);
    assert!(rig.sent().is_empty());
    rig.fill(&exit, QTY, 0, OrderState::Filled);
    rig.after(1_000);
    at(&mut rig, BID - 2 * CENT);
    assert!(rig.sent().is_empty());
    assert_eq!((rig.count("stops_triggered"), rig.count("stops_native")), (1, 1));
}

#[test]
fn what_the_venue_does_not_do_in_time_is_withdrawn_first() {
    let (mut rig, _, exit) = protected(Native::Stop);
    at(&mut rig, BID - CENT - ONE);
    rig.after(499);
    assert!(rig.sent().is_empty());
    rig.after(2);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, exit.order));
    rig.after(100);
    assert!(rig.sent().is_empty(), "not before it has ended");
    rig.report(&exit, ReportKind::CancelSent, OrderState::PendingCancel);
    rig.canceled(&exit);
    let close = rig.only();
    assert_eq!((close.kind, close.tif, close.qty), (OrderKind::Limit, Tif::Ioc, Qty(QTY)));
}

#[test]
fn what_its_limit_left_is_closed_here() {
    let (mut rig, _, exit) = protected(Native::Stop);
    at(&mut rig, BID - CENT / 2);
    rig.report(&exit, ReportKind::Triggered, OrderState::Live);
    rig.fill(&exit, QTY / 4, QTY * 3 / 4, OrderState::PartiallyFilled);
    assert!(rig.sent().is_empty());
    rig.report(&exit, ReportKind::Done, OrderState::Expired);
    rig.after(1);
    let close = rig.only();
    assert_eq!((close.side, close.qty), (Side::Sell, Qty(QTY * 3 / 4)));
    assert_eq!(rig.count("stops_triggered"), 1);
}

#[test]
fn it_stands_aside_for_its_strategys_own_orders() {
    let (mut rig, strings, exit) = protected(Native::Stop);
    let sell =
        |orders: &mut bot4_signals::Actions<'_>| orders.take(Side::Sell, Qty(QTY), Price(BID));
    assert_eq!(rig.does(&strings, TOUCH, sell), Verdict::Accepted);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, exit.order));
    rig.canceled(&exit);
    let take = rig.only();
    assert_eq!((take.action, take.side, take.trigger), (OrderAction::Place, Side::Sell, Price(0)));
    rig.fill(&take, QTY / 2, QTY / 2, OrderState::Expired);
    rig.after(60);
    let again = rig.only();
    assert_eq!((again.kind, again.qty), (OrderKind::StopLossLimit, Qty(QTY / 2)));
}

#[test]
fn a_stale_book_leaves_it_and_a_stop_of_trading_withdraws_it() {
    let (mut rig, _, exit) = protected(Native::Stop);
    rig.stale(0);
    rig.turn();
    assert!(rig.sent().is_empty());
    rig.control.pause();
    rig.turn();
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, exit.order));
}

#[test]
fn an_unknown_exit_lets_nothing_be_closed_beside_it() {
    let (mut rig, _, exit) = protected(Native::Stop);
    rig.report(&exit, ReportKind::Lost, OrderState::Unknown);
    at(&mut rig, BID - 2 * CENT);
    rig.after(2_000);
    let sent = rig.sent();
    assert!(sent.iter().all(|i| i.action == OrderAction::Cancel), "{sent:?}");
    rig.canceled(&exit);
    rig.after(1);
    assert_eq!(rig.only().qty, Qty(QTY));
}

#[test]
fn a_target_is_taken_here_where_the_stop_is_at_the_venue() {
    let (mut rig, _, exit) = protected(Native::Stop);
    at(&mut rig, BID + 2 * CENT - ONE);
    assert!(rig.sent().is_empty());
    at(&mut rig, BID + 2 * CENT);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, exit.order));
    rig.canceled(&exit);
    let take = rig.only();
    assert_eq!((take.side, take.qty, take.tif), (Side::Sell, Qty(QTY), Tif::Ioc));
    assert_eq!((take.price, take.reduce_only), (Price(BID + 2 * CENT), true));
    rig.fill(&take, QTY, 0, OrderState::Filled);
    rig.after(500);
    assert!(rig.sent().is_empty(), "nothing is held");
    assert_eq!((rig.count("targets_taken"), rig.count("stops_triggered")), (1, 0));
}

#[test]
fn a_target_at_the_venue_is_withdrawn_before_the_stop_closes() {
    let (mut rig, _, exit) = protected(Native::TakeProfit);
    assert_eq!((exit.kind, exit.trigger), (OrderKind::TakeProfitLimit, Price(BID + 2 * CENT)));
    assert_eq!((exit.price, exit.tif), (exit.trigger, Tif::Gtc));
    at(&mut rig, BID + 2 * CENT);
    assert!(rig.sent().is_empty(), "the venue has it");
    at(&mut rig, BID - CENT - ONE);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, exit.order));
    rig.canceled(&exit);
    let close = rig.only();
    assert_eq!((close.side, close.qty, close.tif), (Side::Sell, Qty(QTY), Tif::Ioc));
}

#[test]
fn a_venue_without_such_orders_leaves_all_to_the_guard() {
    let strings = Strings::default();
    let mut config = SignalConfig::new(vec![Box::new(Puppet(strings.clone()))], OrderId(1));
    config.exits = vec![Exits { take_profit_bps: 0, native: Native::Stop }];
    let mut rig = Rig::with(config, 64);
    rig.session(true);
    rig.turn();
    bought(&mut rig, &strings);
    rig.after(500);
    assert!(rig.sent().is_empty());
    assert!(rig.agent.router().stop(KEY).is_some());
}

fn breakout(orders: &mut bot4_signals::Actions<'_>) -> Verdict {
    orders.stop(Side::Buy, Price(BID + CENT), Price(BID + 2 * CENT), Qty(QTY))
}

#[test]
fn a_strategys_own_stop_lies_at_the_venue_or_is_armed_here() {
    let (mut rig, strings) = stage(Native::Stop);
    assert_eq!(rig.does(&strings, TOUCH, breakout), Verdict::Accepted);
    let native = rig.only();
    assert_eq!((native.kind, native.trigger), (OrderKind::StopLossLimit, Price(BID + CENT)));
    assert_eq!((native.price, native.reduce_only), (Price(BID + 2 * CENT), false));

    let (mut rig, strings) = stage(Native::None);
    assert_eq!(rig.does(&strings, TOUCH, breakout), Verdict::Accepted);
    rig.after(10_000);
    assert!(rig.sent().is_empty(), "it waits here, for as long as it takes");
    at(&mut rig, BID + CENT - ONE);
    assert!(rig.sent().is_empty(), "one side of the touch");
    at(&mut rig, BID + CENT);
    let take = rig.only();
    assert_eq!((take.kind, take.tif, take.side), (OrderKind::Limit, Tif::Ioc, Side::Buy));
    assert_eq!((take.price, take.qty, take.trigger), (Price(BID + 2 * CENT), Qty(QTY), Price(0)));
    assert_eq!(rig.count("stops_armed"), 1);
    rig.fill(&take, QTY / 2, QTY / 2, OrderState::Expired);
    at(&mut rig, BID + CENT);
    assert!(rig.sent().is_empty(), "once");
}

#[test]
fn one_that_the_venue_refuses_is_armed_here() {
    for refuse in [true, false] {
        let (mut rig, strings) = stage(Native::Stop);
        rig.does(&strings, TOUCH, breakout);
        let native = rig.only();
        if refuse {
            let refused = bot4_types::AccountReport::Refused {
                order: native.order,
                action: OrderAction::Place,
                instrument: native.instrument,
                strategy: native.strategy,
                reason: RefuseReason::Trigger,
            };
            rig.account.push(refused).expect("room");
            rig.turn();
        } else {
            rig.report(&native, ReportKind::Done, OrderState::Rejected);
        }
        rig.after(1_000);
        assert!(rig.sent().is_empty());
        at(&mut rig, BID + CENT);
        assert_eq!(rig.only().tif, Tif::Ioc);
    }
}

/// The venue was told of it when the market was beyond it already, and waits for the way back.
#[test]
fn one_that_the_venue_does_not_trigger_is_withdrawn_and_done_here() {
    let (mut rig, strings) = stage(Native::Stop);
    rig.does(&strings, TOUCH, breakout);
    let native = rig.only();
    rig.report(&native, ReportKind::Acked, OrderState::Untriggered);
    at(&mut rig, BID + CENT);
    rig.after(1);
    rig.after(499);
    assert!(rig.sent().is_empty(), "it has time");
    at(&mut rig, BID + CENT - ONE);
    rig.after(400);
    assert!(rig.sent().is_empty(), "the market was back");
    at(&mut rig, BID + CENT);
    rig.after(1);
    rig.after(500);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, native.order));
    rig.report(&native, ReportKind::CancelSent, OrderState::PendingCancel);
    rig.canceled(&native);
    let take = rig.only();
    assert_eq!((take.kind, take.tif, take.qty), (OrderKind::Limit, Tif::Ioc, Qty(QTY)));
    assert_eq!(rig.count("stops_armed"), 1);
}

/// While its cancel was on the way.
#[test]
fn one_that_is_triggered_after_all_is_not_done_again_here() {
    let (mut rig, strings) = stage(Native::Stop);
    rig.does(&strings, TOUCH, breakout);
    let native = rig.only();
    rig.report(&native, ReportKind::Acked, OrderState::Untriggered);
    at(&mut rig, BID + CENT);
    rig.after(1);
    rig.after(500);
    assert_eq!(rig.only().action, OrderAction::Cancel);
    rig.report(&native, ReportKind::CancelSent, OrderState::PendingCancel);
    rig.report(&native, ReportKind::Triggered, OrderState::PendingCancel);
    rig.fill(&native, QTY / 2, QTY / 2, OrderState::PendingCancel);
    rig.canceled(&native);
    rig.after(60);
    let exit = rig.only();
    assert_eq!((exit.side, exit.qty, exit.reduce_only), (Side::Sell, Qty(QTY / 2), true));
}

/// Where a venue has no orders that wait and then take at once, the rest lies there.
#[test]
fn what_a_triggered_stop_leaves_lying_is_withdrawn() {
    let (mut rig, strings) = stage(Native::Stop);
    rig.does(&strings, TOUCH, breakout);
    let native = rig.only();
    rig.report(&native, ReportKind::Acked, OrderState::Untriggered);
    at(&mut rig, BID + CENT);
    rig.report(&native, ReportKind::Triggered, OrderState::Live);
    rig.fill(&native, QTY / 2, QTY / 2, OrderState::PartiallyFilled);
    rig.after(499);
    assert!(rig.sent().is_empty());
    rig.after(2);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, native.order));
    rig.canceled(&native);
    rig.after(60);
    let exit = rig.only();
    assert_eq!((exit.side, exit.qty, exit.reduce_only), (Side::Sell, Qty(QTY / 2), true));
}

#[test]
fn a_stop_is_replaced_and_withdrawn_as_it_is_wished() {
    let (mut rig, strings) = stage(Native::Stop);
    rig.does(&strings, TOUCH, breakout);
    let first = rig.only();
    rig.report(&first, ReportKind::Acked, OrderState::Untriggered);
    rig.does(&strings, TOUCH, |orders| {
        orders.stop(Side::Buy, Price(BID + 3 * CENT), Price(BID + 4 * CENT), Qty(QTY))
    });
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, first.order));
    rig.report(&first, ReportKind::CancelSent, OrderState::PendingCancel);
    rig.canceled(&first);
    rig.after(60);
    let second = rig.only();
    assert_eq!(second.trigger, Price(BID + 3 * CENT));
    rig.report(&second, ReportKind::Acked, OrderState::Untriggered);
    let armed = rig.does(&strings, TOUCH, |orders| {
        let armed = orders.armed();
        orders.pull_stop();
        armed
    });
    assert_eq!(armed.map(|a| (a.side, a.trigger)), Some((Side::Buy, Price(BID + 3 * CENT))));
    assert_eq!(rig.only().action, OrderAction::Cancel);
    let other_side = |orders: &mut bot4_signals::Actions<'_>| {
        orders.stop(Side::Sell, Price(BID - CENT), Price(BID - CENT), Qty(QTY))
    };
    assert_eq!(rig.does(&strings, TOUCH, other_side), Verdict::Busy);
}

#[test]
fn a_bracket_leaves_at_its_own_prices() {
    let exits = Exit { stop: Price(BID - 3 * CENT), target: Price(BID + 4 * CENT) };
    let (mut rig, strings) = stage(Native::Stop);
    let wrong = Exit { stop: exits.target, target: exits.stop };
    let entry = move |exits| {
        move |orders: &mut bot4_signals::Actions<'_>| {
            orders.bracket(Side::Buy, Qty(QTY), Price(BID), exits)
        }
    };
    assert_eq!(rig.does(&strings, TOUCH, entry(wrong)), Verdict::PriceBounds);
    assert_eq!(rig.does(&strings, TOUCH, entry(exits)), Verdict::Accepted);
    let buy = rig.only();
    assert_eq!(i64::from(buy.stop_ticks), 3 * CENT / (ONE / 100), "risk counts its own stop");
    rig.fill(&buy, QTY, QTY, OrderState::Filled);
    assert_eq!(rig.agent.router().stop(KEY), Some(exits.stop));
    rig.after(60);
    let native = rig.only();
    assert_eq!(native.trigger, exits.stop);
    rig.report(&native, ReportKind::Acked, OrderState::Untriggered);
    at(&mut rig, BID + 4 * CENT);
    assert_eq!(rig.only().order, native.order, "one exit at a time: the stop goes first");
    rig.canceled(&native);
    let target = rig.only();
    assert_eq!((target.price, target.reduce_only), (exits.target, true));
}

#[test]
fn an_order_that_may_only_reduce_is_cut_to_what_is_held() {
    let (mut rig, strings) = stage(Native::None);
    let sell = |orders: &mut bot4_signals::Actions<'_>| {
        orders.reducing().take(Side::Sell, Qty(5 * QTY), Price(BID))
    };
    assert_eq!(rig.does(&strings, TOUCH, sell), Verdict::NothingHeld);
    bought(&mut rig, &strings);
    assert_eq!(rig.does(&strings, TOUCH, sell), Verdict::Accepted);
    let take = rig.only();
    assert_eq!((take.qty, take.reduce_only), (Qty(QTY), true));
    let buy = |orders: &mut bot4_signals::Actions<'_>| {
        orders.reducing().quote(Side::Buy, Price(BID), Qty(QTY))
    };
    assert_eq!(rig.does(&strings, TOUCH, buy), Verdict::NothingHeld);
}

#[test]
fn a_date_is_told_and_kept() {
    let (mut rig, strings) = stage(Native::None);
    let until = rig.now + bot4_types::Nanos::from_millis(100);
    rig.does(&strings, TOUCH, move |orders| {
        orders.quote_until(Side::Buy, Price(BID), Qty(QTY), until)
    });
    let quote = rig.only();
    assert_eq!((quote.tif, quote.until), (Tif::Gtd, until));
    rig.ack(&quote);
    rig.after(99);
    assert!(rig.sent().is_empty());
    rig.after(1);
    assert_eq!(rig.only().action, OrderAction::Cancel);
}

#[test]
fn an_exit_that_never_left_is_not_sent_when_the_guard_closes() {
    let (mut rig, strings) = stage(Native::Stop);
    bought(&mut rig, &strings);
    at(&mut rig, BID - 2 * CENT);
    let close = rig.only();
    assert_eq!((close.kind, close.qty, close.trigger), (OrderKind::Limit, Qty(QTY), Price(0)));
    rig.after(60);
    assert!(rig.sent().is_empty());
}

/// Fees that were paid in what is held leave less than the position.
#[test]
fn an_exit_that_is_refused_for_want_of_balance_is_cut() {
    let (mut rig, strings) = stage(Native::Stop);
    bought(&mut rig, &strings);
    rig.after(60);
    let mut exit = rig.only();
    for cuts in 1..=3 {
        let refused = bot4_types::AccountReport::Refused {
            order: exit.order,
            action: OrderAction::Place,
            instrument: exit.instrument,
            strategy: exit.strategy,
            reason: RefuseReason::Balance,
        };
        rig.account.push(refused).expect("room");
        rig.turn();
        rig.after(200);
        exit = rig.only();
        assert_eq!(exit.qty, Qty(QTY / 1_000 * (1_000 - cuts)));
    }
    assert_eq!(rig.count("exits_cut"), 3);
}

#[test]
fn an_amend_takes_the_date_that_is_wished_now() {
    let (mut rig, strings) = stage(Native::None);
    let quote = |orders: &mut bot4_signals::Actions<'_>, qty: i64, until: bot4_types::Nanos| {
        orders.quote_until(Side::Buy, Price(BID), Qty(qty), until)
    };
    let now = rig.now;
    let until = move |ms| now + bot4_types::Nanos::from_millis(ms);
    rig.does(&strings, TOUCH, move |orders| quote(orders, QTY, until(100)));
    let first = rig.only();
    rig.ack(&first);
    rig.does(&strings, TOUCH, move |orders| quote(orders, QTY, until(900)));
    rig.after(200);
    assert!(rig.sent().is_empty(), "the later date holds");
    rig.does(&strings, TOUCH, |orders| orders.amend(Side::Buy, Price(BID), Qty(QTY / 2)));
    let amend = rig.only();
    assert_eq!((amend.action, amend.until), (OrderAction::Amend, bot4_types::Nanos::MAX));
}
