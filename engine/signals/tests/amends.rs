//! Amends instead of cancel and placement, and commands that are taken back.

mod rig;

use std::sync::{Arc, Mutex};

use bot4_signals::{Actions, OrderCommand, Strategy, View};
use bot4_types::{
    AccountReport, Nanos, OrderAction, OrderIntent, OrderKind, OrderState, Price, Qty,
    RefuseReason, ReportKind, Side, Terms, Tif,
};
use rig::{ONE, Rig};

const BID: i64 = 60_000 * ONE;
const QTY: i64 = 100_000;

#[derive(Default)]
struct Told {
    /// The command to execute at the next top, and the last one executed.
    todo: Option<Option<Terms>>,
    undo: bool,
    last: Option<OrderCommand>,
    can_undo: bool,
}

/// Executes commands on the bid.
struct Commander(Arc<Mutex<Told>>);

impl Strategy for Commander {
    fn name(&self) -> &'static str {
        "commander"
    }

    fn on_top(&mut self, _: &View<'_>, orders: &mut Actions<'_>) {
        let mut told = self.0.lock().expect("alone");
        let command = match (told.todo.take(), told.undo) {
            (Some(to), _) => Some(OrderCommand::new(orders, Side::Buy, to)),
            (None, true) => told.last.map(|last| last.undo()),
            _ => None,
        };
        told.undo = false;
        if let Some(command) = command {
            command.execute(orders);
            told.last = Some(command);
        }
        told.can_undo = told.last.is_some_and(|last| last.can_undo(orders));
    }
}

struct Stage {
    rig: Rig,
    told: Arc<Mutex<Told>>,
}

impl Stage {
    fn new() -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        Self { rig: Rig::ready(vec![Box::new(Commander(told.clone()))]), told }
    }

    fn top(&mut self) {
        self.rig.top(0, BID, BID + ONE);
        self.rig.turn();
    }

    fn order(&mut self, to: Option<(i64, i64)>) {
        let terms = |(price, qty)| Terms { price: Price(price), qty: Qty(qty) };
        self.told.lock().expect("alone").todo = Some(to.map(terms));
        self.top();
    }

    fn undo(&mut self) {
        self.told.lock().expect("alone").undo = true;
        self.top();
    }

    fn can_undo(&mut self) -> bool {
        self.top();
        self.told.lock().expect("alone").can_undo
    }

    /// An order that rests at the bid.
    fn resting(&mut self) -> OrderIntent {
        self.order(Some((BID, QTY)));
        let placed = self.rig.only();
        self.rig.ack(&placed);
        placed
    }

    fn amended(&mut self, amend: &OrderIntent) {
        self.rig.report(amend, ReportKind::Amended, OrderState::Live);
    }
}

#[test]
fn an_amend_is_one_intent_with_whole_terms() {
    let mut stage = Stage::new();
    let placed = stage.resting();
    stage.order(Some((BID, QTY / 2)));
    let amend = stage.rig.only();
    assert_eq!((amend.action, amend.order), (OrderAction::Amend, placed.order));
    assert_eq!((amend.price, amend.qty, amend.side), (Price(BID), Qty(QTY / 2), Side::Buy));
    assert!(amend.stop_ticks > 0 && amend.expires > stage.rig.now);
    stage.order(Some((BID - ONE, QTY / 2)));
    assert!(stage.rig.sent().is_empty(), "one at a time");
    stage.amended(&amend);
    let next = stage.rig.only();
    assert_eq!((next.action, next.price), (OrderAction::Amend, Price(BID - ONE)));
    assert_eq!((stage.rig.count("intents_amends"), stage.rig.count("quotes_amended")), (2, 1));
}

#[test]
fn what_cannot_be_amended_is_cancelled_and_placed() {
    let mut stage = Stage::new();
    let placed = stage.resting();
    stage.order(Some((BID - ONE, QTY)));
    let amend = stage.rig.only();
    stage.rig.report(&amend, ReportKind::AmendRejected, OrderState::Live);
    let cancel = stage.rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, placed.order));
    stage.rig.canceled(&placed);
    stage.rig.after(60);
    let again = stage.rig.only();
    assert_eq!((again.action, again.price), (OrderAction::Place, Price(BID - ONE)));
    stage.rig.ack(&again);
    stage.order(Some((BID - ONE, QTY / 2)));
    assert_eq!(stage.rig.only().action, OrderAction::Amend, "the next order may be amended");
}

#[test]
fn the_gates_refusal_leads_to_a_cancel_too() {
    let mut stage = Stage::new();
    let placed = stage.resting();
    stage.order(Some((BID - ONE, QTY)));
    let amend = stage.rig.only();
    let refused = AccountReport::Refused {
        order: amend.order,
        action: OrderAction::Amend,
        instrument: amend.instrument,
        strategy: amend.strategy,
        reason: RefuseReason::Position,
    };
    stage.rig.account.push(refused).expect("room");
    stage.rig.turn();
    let cancel = stage.rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, placed.order));
}

#[test]
fn a_wish_for_nothing_cancels_an_order_that_is_being_amended() {
    let mut stage = Stage::new();
    let placed = stage.resting();
    stage.order(Some((BID, QTY / 2)));
    stage.rig.only();
    stage.order(None);
    let cancel = stage.rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, placed.order));
}

/// Wishes one thing at the first top.
struct Once(Option<fn(&mut Actions<'_>)>);

impl Strategy for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    fn on_top(&mut self, _: &View<'_>, orders: &mut Actions<'_>) {
        if let Some(wish) = self.0.take() {
            wish(orders);
        }
    }
}

fn after_a_top(wish: fn(&mut Actions<'_>)) -> Rig {
    let mut rig = Rig::ready(vec![Box::new(Once(Some(wish)))]);
    rig.top(0, BID, BID + ONE);
    rig.turn();
    rig
}

#[test]
fn takes_say_how_they_trade() {
    let terms = |wish: fn(&mut Actions<'_>)| {
        let intent = after_a_top(wish).only();
        assert_eq!((intent.action, intent.price), (OrderAction::Place, Price(BID + ONE)));
        (intent.kind, intent.tif)
    };
    let ioc = terms(|o| _ = o.take(Side::Buy, Qty(QTY), Price(BID + ONE)));
    let fok = terms(|o| _ = o.take_whole(Side::Buy, Qty(QTY), Price(BID + ONE)));
    let market = terms(|o| _ = o.take_market(Side::Buy, Qty(QTY), Price(BID + ONE)));
    assert_eq!(ioc, (OrderKind::Limit, Tif::Ioc));
    assert_eq!(fok, (OrderKind::Limit, Tif::Fok));
    assert_eq!(market.0, OrderKind::Market);
}

/// No top, no report, no wish: the router's turns alone end it.
#[test]
fn a_quote_with_a_date_is_withdrawn_at_it() {
    let mut rig = after_a_top(|o| {
        let until = Nanos::from_secs(1) + Nanos::from_millis(300);
        o.quote_until(Side::Buy, Price(BID), Qty(QTY), until);
    });
    let placed = rig.only();
    rig.ack(&placed);
    rig.after(299);
    assert!(rig.sent().is_empty());
    rig.after(1);
    let cancel = rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, placed.order));
    rig.canceled(&placed);
    rig.after(200);
    assert!(rig.sent().is_empty(), "it does not come back");
}

#[test]
fn commands_are_taken_back_until_something_traded() {
    let mut stage = Stage::new();
    let placed = stage.resting();
    assert!(stage.can_undo());
    stage.order(Some((BID, QTY / 2)));
    let amend = stage.rig.only();
    assert!(!stage.can_undo(), "it is on its way");
    stage.amended(&amend);
    assert!(stage.can_undo());
    stage.undo();
    let back = stage.rig.only();
    assert_eq!((back.action, back.price, back.qty), (OrderAction::Amend, Price(BID), Qty(QTY)));
    stage.amended(&back);
    stage.order(None);
    let cancel = stage.rig.only();
    assert_eq!((cancel.action, cancel.order), (OrderAction::Cancel, placed.order));
    assert!(!stage.can_undo());
    stage.rig.canceled(&placed);
    assert!(stage.can_undo());
    stage.undo();
    stage.rig.after(60);
    let again = stage.rig.only();
    assert_eq!((again.action, again.qty), (OrderAction::Place, Qty(QTY)));
    stage.rig.ack(&again);
    assert!(stage.can_undo());
    let state = OrderState::PartiallyFilled;
    let cum = Qty(QTY / 4);
    let filled = rig::report(&again, ReportKind::Fill, state, cum, cum, stage.rig.now);
    stage.rig.account.push(filled).expect("room");
    stage.rig.turn();
    assert!(!stage.can_undo(), "what traded cannot be taken back");
}
