//! Guarded stops: a position whose stop the market crosses is closed, whatever its strategy does.

mod rig;

use bot4_signals::{Actions, SignalConfig, Strategy as Trader, View};
use bot4_types::{
    AccountReport, Cause, HeldPosition, InstrumentId, Nanos, OrderAction, OrderId, OrderIntent,
    OrderKind, OrderReport, OrderState, Price, Qty, RefuseReason, ReportKind, Side, StrategyId,
    Tif,
};
use proptest::prelude::*;
use rig::{ONE, Rig};

const BID: i64 = 60_000 * ONE;
const QTY: i64 = 100_000_000;
const KEY: (StrategyId, InstrumentId) = (StrategyId(0), InstrumentId(0));

/// Wishes nothing.
struct Silent;

impl Trader for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn on_top(&mut self, _: &View<'_>, _: &mut Actions<'_>) {}
}

/// Wants both sides of the touch, always.
struct Both;

impl Trader for Both {
    fn name(&self) -> &'static str {
        "both"
    }

    fn on_top(&mut self, view: &View<'_>, orders: &mut Actions<'_>) {
        orders.quote(Side::Buy, Price(view.bid().price), Qty(QTY));
        orders.quote(Side::Sell, Price(view.ask().price), Qty(QTY));
    }
}

fn at(rig: &mut Rig, bid: i64) {
    rig.top(0, bid, bid + ONE);
    rig.turn();
}

/// A fill of `qty` (negative: sold) at `price` of an order that no slot knows, and the position
/// after it.
fn filled(rig: &mut Rig, qty: i64, price: i64, position: i64) {
    let side = if qty > 0 { Side::Buy } else { Side::Sell };
    let order = OrderIntent { order: OrderId(9_999), side, ..some_intent() };
    let report = fill_of(&order, qty.abs(), price, position, OrderState::Filled);
    rig.account.push(report).expect("room");
    rig.turn();
}

fn some_intent() -> OrderIntent {
    OrderIntent {
        trail: Default::default(),
        order: OrderId(0),
        price: Price(BID),
        qty: Qty(QTY),
        stop_ticks: 1,
        instrument: KEY.1,
        strategy: KEY.0,
        cause: Cause::Market,
        expires: Nanos::MAX,
        action: OrderAction::Place,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        trigger: bot4_types::Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side: Side::Buy,
        parent: bot4_types::ParentId::NONE,
    }
}

fn fill_of(
    intent: &OrderIntent,
    qty: i64,
    price: i64,
    position: i64,
    state: OrderState,
) -> AccountReport {
    let told = rig::report(intent, ReportKind::Fill, state, Qty(qty), Qty(position), Nanos(0));
    let AccountReport::Order { report, position } = told else { unreachable!("an order's") };
    let report = OrderReport { last_qty: Qty(qty), last_price: Price(price), ..report };
    AccountReport::Order { report, position }
}

fn stop(rig: &Rig) -> Option<i64> {
    rig.agent.router().stop(KEY).map(|price| price.0)
}

/// Stops stand at one per cent here.
fn config(trader: impl Trader + 'static) -> SignalConfig {
    let mut config = SignalConfig::new(vec![Box::new(trader)], OrderId(1));
    config.routing.stop_bps = 100;
    config
}

fn ready(trader: impl Trader + 'static) -> Rig {
    let mut rig = Rig::with(config(trader), 64);
    rig.session(true);
    rig.turn();
    rig
}

#[test]
fn a_falling_market_closes_the_position_of_a_silent_strategy() {
    let mut rig = ready(Silent);
    at(&mut rig, BID);
    filled(&mut rig, QTY, BID, QTY);
    assert_eq!(stop(&rig), Some(BID - BID / 100));
    at(&mut rig, BID - BID / 100 + 1);
    assert!(rig.sent().is_empty(), "not crossed yet");
    let low = BID - BID / 100 - ONE;
    at(&mut rig, low);
    let close = rig.only();
    rig::assert_lawful(&close, rig.now);
    assert_eq!((close.side, close.qty, close.tif), (Side::Sell, Qty(QTY), Tif::Ioc));
    assert_eq!((close.cause, close.kind), (Cause::Market, OrderKind::Limit));
    assert_eq!(close.price, Price(low - low * 3 / 1_000).to_tick(ONE / 100, Side::Sell));
    assert_eq!(rig.count("stops_triggered"), 1);
    // Filled in part, the rest expires: the rest is sold by the next order at the newest touch.
    let part = fill_of(&close, QTY / 4, low, QTY - QTY / 4, OrderState::Expired);
    rig.account.push(part).expect("room");
    at(&mut rig, low - 100 * ONE);
    let rest = rig.only();
    assert_eq!((rest.side, rest.qty), (Side::Sell, Qty(QTY - QTY / 4)));
    rig.account.push(fill_of(&rest, rest.qty.0, low, 0, OrderState::Filled)).expect("room");
    at(&mut rig, low / 2);
    assert!(rig.sent().is_empty(), "nothing is held");
    assert_eq!((stop(&rig), rig.count("stops_triggered")), (None, 1));
}

#[test]
fn a_rising_market_closes_a_short_position() {
    let mut rig = ready(Silent);
    at(&mut rig, BID);
    filled(&mut rig, -QTY, BID, -QTY);
    let high = BID + BID / 100;
    assert_eq!(stop(&rig), Some(high));
    at(&mut rig, high - 2 * ONE);
    assert!(rig.sent().is_empty());
    at(&mut rig, high);
    let (close, ask) = (rig.only(), high + ONE);
    assert_eq!((close.side, close.qty), (Side::Buy, Qty(QTY)));
    assert_eq!(close.price, Price(ask + ask * 3 / 1_000).to_tick(ONE / 100, Side::Buy));
}

/// A sweep empties one side for some milliseconds: that is no falling market.
#[test]
fn a_side_that_is_swept_must_stay_away_to_count() {
    let mut rig = ready(Silent);
    at(&mut rig, BID);
    filled(&mut rig, QTY, BID, QTY);
    for _ in 0..3 {
        rig.top(0, BID / 2, BID + ONE);
        rig.turn();
        rig.after(249);
        at(&mut rig, BID);
    }
    assert_eq!((rig.sent().len(), rig.count("stops_triggered")), (0, 0));
    rig.top(0, BID / 2, BID + ONE);
    rig.turn();
    rig.after(200);
    assert_eq!(rig.turn(), 0, "it waits");
    rig.now = rig.now + Nanos::from_millis(50);
    assert!(rig.turn() > 0, "time alone confirms it");
    assert_eq!((rig.only().side, rig.count("stops_triggered")), (Side::Sell, 1));
}

#[test]
fn a_stop_only_tightens_while_the_position_lives() {
    let mut rig = ready(Silent);
    at(&mut rig, BID);
    let percent = |price: i64| price - price / 100;
    filled(&mut rig, QTY, BID, QTY);
    filled(&mut rig, QTY, BID - 100 * ONE, 2 * QTY);
    assert_eq!(stop(&rig), Some(percent(BID)), "a cheaper entry does not loosen it");
    filled(&mut rig, QTY, BID + 200 * ONE, 3 * QTY);
    assert_eq!(stop(&rig), Some(percent(BID + 200 * ONE)));
    filled(&mut rig, -2 * QTY, BID, QTY);
    assert_eq!(stop(&rig), Some(percent(BID + 200 * ONE)), "a reduction leaves it");
    filled(&mut rig, -3 * QTY, BID, -2 * QTY);
    assert_eq!(stop(&rig), Some(BID + BID / 100), "the other side begins anew");
    filled(&mut rig, 2 * QTY, BID, 0);
    assert_eq!(stop(&rig), None);
    assert!(rig.sent().is_empty());
}

#[test]
fn the_strategys_own_orders_go_and_it_pauses() {
    let mut rig = ready(Both);
    at(&mut rig, BID);
    let [buy, sell] = rig.sent().try_into().expect("both sides");
    rig.ack(&buy);
    rig.ack(&sell);
    filled(&mut rig, QTY, BID, QTY);
    at(&mut rig, BID / 2);
    let sent = rig.sent();
    // Its own bid is above the price at which the position is given up: it must go first.
    let cancels = sent.iter().filter(|i| i.action == OrderAction::Cancel).count();
    assert_eq!((cancels, sent.len()), (2, 2), "{sent:#?}");
    rig.canceled(&buy);
    rig.canceled(&sell);
    rig.after(1);
    let close = rig.only();
    assert_eq!((close.side, close.qty), (Side::Sell, Qty(QTY)));
    rig.account.push(fill_of(&close, QTY, BID / 2, 0, OrderState::Filled)).expect("room");
    at(&mut rig, BID / 2);
    assert!(rig.sent().is_empty(), "it pauses");
    assert!(rig.count("blocked_stop") > 0);
    rig.now = rig.now + Nanos::from_secs(5);
    at(&mut rig, BID / 2);
    assert_eq!(rig.sent().len(), 2, "and goes on");
}

#[test]
fn a_stop_waits_for_a_live_book_and_for_the_control_word() {
    let mut rig = ready(Silent);
    at(&mut rig, BID);
    filled(&mut rig, QTY, BID, QTY);
    rig.stale(0);
    rig.turn();
    rig.after(1_000);
    assert!(rig.sent().is_empty());
    rig.control.pause();
    at(&mut rig, BID / 2);
    assert_eq!(rig.count("stops_triggered"), 1, "crossed");
    assert!(rig.sent().is_empty(), "but nothing is placed in a pause");
    assert_eq!(rig.turn(), 0, "nothing changes while it waits");
    rig.control.resume();
    rig.turn();
    assert_eq!(rig.only().qty, Qty(QTY));
}

#[test]
fn what_is_too_large_is_closed_by_parts_and_dust_is_left() {
    let mut rig = ready(Silent);
    at(&mut rig, BID);
    filled(&mut rig, QTY, BID, QTY);
    at(&mut rig, BID / 2);
    let whole = rig.only();
    let refused = AccountReport::Refused {
        order: whole.order,
        action: OrderAction::Place,
        instrument: whole.instrument,
        strategy: whole.strategy,
        reason: RefuseReason::Balance,
    };
    rig.account.push(refused).expect("room");
    rig.after(0);
    assert!(rig.sent().is_empty(), "it backs off");
    rig.after(20);
    let half = rig.only();
    assert_eq!(half.qty, Qty(QTY / 2));
    let left = 500; // Below the lot.
    rig.account.push(fill_of(&half, QTY / 2, BID / 2, left, OrderState::Filled)).expect("room");
    rig.after(1);
    assert!(rig.sent().is_empty());
    at(&mut rig, BID / 2);
    assert!(rig.sent().is_empty(), "it rests");
    assert_eq!((rig.count("stops_dust"), stop(&rig)), (1, Some(BID - BID / 100)));
    filled(&mut rig, QTY, BID / 2, QTY + left);
    assert_eq!(rig.only().qty, Qty(QTY), "what is added below the stop is closed at once");
}

#[test]
fn what_is_held_from_an_earlier_run_is_protected_from_the_first_top_on() {
    let cost = i128::from(BID) * i128::from(QTY);
    let held = HeldPosition { strategy: KEY.0, instrument: KEY.1, qty: Qty(QTY), cost };
    let config = SignalConfig { held: vec![held], ..config(Silent) };
    let mut rig = Rig::with(config, 64);
    rig.session(true);
    rig.turn();
    assert_eq!(stop(&rig), Some(BID - BID / 100));
    at(&mut rig, BID - BID / 50);
    assert_eq!((rig.only().qty, rig.count("stops_triggered")), (Qty(QTY), 1));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The strategy's own fill, in lots of a tenth.
    Fill(i64),
    /// The touch moves to this per mille of the start.
    Move(i64),
    Stale,
    /// The venue's or the gate's word on the closing order: how much of ten parts fill.
    Answer(i64),
    Refuse,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (-20i64..20).prop_map(Step::Fill),
        4 => (970i64..1_030).prop_map(Step::Move),
        1 => Just(Step::Stale),
        4 => (0i64..=10).prop_map(Step::Answer),
        1 => Just(Step::Refuse),
        3 => (0u64..100).prop_map(Step::Pass),
    ]
}

/// The account and the venue behind the router, as plain as can be.
struct Street {
    rig: Rig,
    position: i64,
    price: i64,
    open: Option<OrderIntent>,
}

impl Street {
    fn new() -> Self {
        let mut rig = ready(Silent);
        at(&mut rig, BID);
        Self { rig, position: 0, price: BID, open: None }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Fill(0) => {}
            Step::Fill(tenths) => {
                let qty = tenths * QTY / 10;
                self.position += qty;
                filled(&mut self.rig, qty, self.price, self.position);
            }
            Step::Move(mille) => {
                self.price = BID / 1_000 * mille;
                at(&mut self.rig, self.price);
            }
            Step::Stale => {
                self.rig.stale(0);
                self.rig.turn();
            }
            Step::Answer(parts) => self.answer(parts),
            Step::Refuse => self.refuse(),
            Step::Pass(ms) => self.rig.after(ms),
        }
        self.take_intents();
    }

    fn answer(&mut self, parts: i64) {
        let Some(order) = self.open.take() else { return };
        let done = if parts == 10 { OrderState::Filled } else { OrderState::Expired };
        let qty = order.qty.0 / 10 * parts;
        self.position += order.side.sign() * qty;
        let report = match qty {
            0 => rig::report(
                &order,
                ReportKind::Done,
                OrderState::Expired,
                Qty(0),
                Qty(self.position),
                self.rig.now,
            ),
            _ => fill_of(&order, qty, order.price.0, self.position, done),
        };
        self.rig.account.push(report).expect("room");
        self.rig.turn();
    }

    fn refuse(&mut self) {
        let Some(order) = self.open.take() else { return };
        let refused = AccountReport::Refused {
            order: order.order,
            action: OrderAction::Place,
            instrument: order.instrument,
            strategy: order.strategy,
            reason: RefuseReason::Rate,
        };
        self.rig.account.push(refused).expect("room");
        self.rig.turn();
    }

    /// Every order of a silent strategy is a stop's: against the position, never above it.
    fn take_intents(&mut self) {
        for intent in self.rig.sent() {
            assert!(self.open.is_none(), "two closing orders alive");
            rig::assert_lawful(&intent, self.rig.now);
            assert_eq!(intent.side.sign(), -self.position.signum());
            assert!(intent.qty.0 <= self.position.abs());
            self.open = Some(intent);
        }
        let covered = self.rig.agent.router().stop(KEY).is_some();
        assert_eq!(covered, self.position != 0, "a position without a stop");
    }
}

proptest! {
    #[test]
    fn a_crossed_stop_always_ends_flat(steps in proptest::collection::vec(step(), 1..60)) {
        let mut street = Street::new();
        for step in steps {
            street.play(step);
        }
        // Whatever happened: the market runs away and the venue fills.
        for _ in 0..40 {
            // A closing order that was on its way while the position shrank may have turned it.
            let away = if street.position > 0 { 800 } else { 1_200 };
            street.play(Step::Move(away));
            street.play(Step::Pass(50));
            street.play(Step::Answer(10));
        }
        // Five whole units are the venue's minimum; the closing price is within a percent.
        let worth = i128::from(street.position.abs()) * i128::from(street.price);
        let least = 5 * i128::from(ONE) * i128::from(ONE) / 99 * 100;
        prop_assert!(worth < least, "{} is left", street.position);
    }
}
