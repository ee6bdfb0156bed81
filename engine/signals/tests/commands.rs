//! Commands by name: what becomes of each is told, and each that came true can be taken back.

mod rig;

use std::collections::BTreeMap;

use bot4_lanes::{Rx, ring};
use bot4_signals::{Command, OrderCommand, SignalConfig};
use bot4_types::{
    AccountReport, CommandId, InstrumentId, OrderAction, OrderId, OrderIntent, OrderKind,
    OrderState, OrderWork, Price, Qty, RefuseReason, ReportKind, RouterReport, Side, StrategyId,
    Terms, Tif, WorkKind, WorkRefusal, WorkReport, WorkState,
};
use rig::{ONE, Puppet, Rig, Strings};

const BID: i64 = 60_000 * ONE;
const CENT: i64 = BID / 100;
const QTY: i64 = 100_000_000;

/// A person at a rig without strategies: the operator's account is the only one.
struct Desk {
    rig: Rig,
    told: Rx<RouterReport>,
    known: BTreeMap<CommandId, WorkReport>,
    given: u32,
}

fn work(kind: WorkKind, price: i64) -> OrderWork {
    OrderWork {
        id: CommandId::NONE,
        strategy: StrategyId(0),
        instrument: InstrumentId(0),
        kind,
        side: Side::Buy,
        price: Price(price),
        qty: Qty(QTY),
        trigger: Price(0),
        other: Price(0),
        other_side: Side::Buy,
        of: CommandId::NONE,
    }
}

fn about(kind: WorkKind, of: CommandId) -> OrderWork {
    OrderWork { of, qty: Qty(0), ..work(kind, 0) }
}

impl Desk {
    fn new() -> Self {
        let mut config = SignalConfig::new(Vec::new(), OrderId(1));
        config.routing.stop_bps = 4_000;
        let mut rig = Rig::with(config, 64);
        let (tx, told) = ring(64);
        rig.agent = rig.agent.with_parents(tx);
        rig.session(true);
        rig.top(0, BID, BID + ONE);
        rig.turn();
        Self { rig, told, known: BTreeMap::new(), given: 0 }
    }

    fn give(&mut self, work: OrderWork) -> CommandId {
        self.given += 1;
        let id = CommandId::by_operator(self.given);
        let order = OrderWork { id, ..work };
        self.rig.account.push(AccountReport::Work(order)).expect("room");
        self.rig.turn();
        id
    }

    fn outcome(&mut self, id: CommandId) -> WorkReport {
        self.rig.turn();
        while let Some(told) = self.told.pop() {
            let RouterReport::Work(report) = told else { panic!("{told:?}") };
            self.known.insert(report.id, report);
        }
        self.known[&id]
    }

    fn state(&mut self, id: CommandId) -> WorkState {
        self.outcome(id).state
    }

    /// Gives a command that places, and lets the venue accept it.
    fn placed(&mut self, work: OrderWork) -> (CommandId, OrderIntent) {
        let id = self.give(work);
        let intent = self.rig.only();
        assert_eq!(intent.action, OrderAction::Place);
        self.rig.ack(&intent);
        (id, intent)
    }
}

#[test]
fn place_amend_and_cancel_come_true_and_are_taken_back() {
    let mut desk = Desk::new();
    let place = desk.give(work(WorkKind::Place, BID - CENT));
    let order = desk.rig.only();
    assert_eq!((order.kind, order.strategy), (OrderKind::LimitMaker, StrategyId(0)));
    assert_eq!(desk.state(place), WorkState::Working);
    desk.rig.ack(&order);
    let done = desk.outcome(place);
    assert_eq!((done.state, done.can_undo, done.order), (WorkState::Done, true, order.order));
    assert_eq!((done.from, done.to), (None, Some(Terms { price: order.price, qty: order.qty })));

    let amend =
        desk.give(OrderWork { price: Price(BID - 2 * CENT), ..about(WorkKind::Amend, place) });
    let intent = desk.rig.only();
    assert_eq!((intent.action, intent.order), (OrderAction::Amend, order.order));
    desk.rig.report(&intent, ReportKind::Amended, OrderState::Live);
    assert_eq!(desk.state(amend), WorkState::Done);
    let back = desk.give(about(WorkKind::Undo, amend));
    let intent = desk.rig.only();
    assert_eq!((intent.action, intent.price), (OrderAction::Amend, Price(BID - CENT)));
    desk.rig.report(&intent, ReportKind::Amended, OrderState::Live);
    assert_eq!((desk.state(back), desk.state(amend)), (WorkState::Done, WorkState::Undone));
    assert_eq!((desk.known[&back].undo_of, desk.known[&back].kind), (amend, WorkKind::Amend));

    let cancel = desk.give(about(WorkKind::Cancel, back));
    assert_eq!(desk.rig.only().action, OrderAction::Cancel);
    desk.rig.canceled(&order);
    assert_eq!((desk.state(cancel), desk.state(place)), (WorkState::Done, WorkState::Ended));
    let anew = desk.give(about(WorkKind::Undo, cancel));
    let intent = desk.rig.only();
    assert_eq!((intent.action, intent.price), (OrderAction::Place, Price(BID - CENT)));
    assert_ne!(intent.order, order.order, "another order, at the end of the queue");
    desk.rig.ack(&intent);
    assert_eq!((desk.state(anew), desk.state(cancel)), (WorkState::Done, WorkState::Undone));
    // What traded cannot be taken back.
    desk.rig.fill(&intent, QTY, QTY, OrderState::Filled);
    let filled = desk.outcome(anew);
    assert_eq!((filled.state, filled.filled), (WorkState::Filled, Qty(QTY)));
    let late = desk.give(about(WorkKind::Undo, anew));
    let refused = desk.outcome(late);
    assert_eq!((refused.state, refused.refusal), (WorkState::Refused, WorkRefusal::NotUndoable));
}

#[test]
fn what_is_not_begun_says_why_and_what_the_gate_refuses_too() {
    let mut desk = Desk::new();
    let (first, _) = desk.placed(work(WorkKind::Place, BID - CENT));
    let second = desk.give(work(WorkKind::Place, BID - CENT));
    let refusal = |desk: &mut Desk, id| (desk.outcome(id).state, desk.outcome(id).refusal);
    assert_eq!(refusal(&mut desk, second), (WorkState::Refused, WorkRefusal::Busy));
    let unknown = desk.give(about(WorkKind::Cancel, CommandId::by_operator(77)));
    assert_eq!(refusal(&mut desk, unknown), (WorkState::Refused, WorkRefusal::Unknown));
    let small = desk.give(OrderWork { qty: Qty(1), ..work(WorkKind::Take, BID) });
    assert_eq!(refusal(&mut desk, small), (WorkState::Refused, WorkRefusal::SizeMin));
    assert_eq!(desk.state(first), WorkState::Done, "none of it touched what rests");

    let sell = OrderWork { side: Side::Sell, ..work(WorkKind::Place, BID + 9 * CENT) };
    let far = desk.give(sell);
    let intent = desk.rig.only();
    let refused = AccountReport::Refused {
        order: intent.order,
        action: OrderAction::Place,
        instrument: intent.instrument,
        strategy: intent.strategy,
        reason: RefuseReason::PriceCollar,
    };
    desk.rig.account.push(refused).expect("room");
    desk.rig.turn();
    let far = desk.outcome(far);
    assert_eq!((far.state, far.gate), (WorkState::Rejected, Some(RefuseReason::PriceCollar)));
}

#[test]
fn two_linked_orders_are_one_command() {
    let mut desk = Desk::new();
    let oco = OrderWork { other: Price(BID + CENT), ..work(WorkKind::Oco, BID - CENT) };
    let id = desk.give(oco);
    let legs = desk.rig.sent();
    assert_eq!(legs.iter().map(|leg| leg.side).collect::<Vec<_>>(), [Side::Buy, Side::Sell]);
    desk.rig.ack(&legs[0]);
    assert_eq!(desk.state(id), WorkState::Working, "one leg is not both");
    desk.rig.ack(&legs[1]);
    assert_eq!(desk.state(id), WorkState::Done);
    let undo = desk.give(about(WorkKind::Undo, id));
    let cancels = desk.rig.sent();
    assert_eq!(cancels.len(), 2, "{cancels:?}");
    legs.iter().for_each(|leg| desk.rig.canceled(leg));
    assert_eq!((desk.state(undo), desk.state(id)), (WorkState::Done, WorkState::Undone));
    assert_eq!(desk.known[&undo].kind, WorkKind::Withdraw);
    // The undo of the undo brings both back.
    let again = desk.give(about(WorkKind::Undo, undo));
    assert_eq!(desk.rig.sent().len(), 2);
    assert_eq!(desk.known[&undo].undo_of, id);
    assert_eq!(desk.outcome(again).kind, WorkKind::Oco);
}

#[test]
fn stops_wait_here_and_a_bracket_is_an_entry() {
    let mut desk = Desk::new();
    let (trigger, limit) = (Price(BID + 2 * CENT), BID + 3 * CENT);
    let stop = desk.give(OrderWork { trigger, ..work(WorkKind::Stop, limit) });
    assert_eq!((desk.rig.sent(), desk.state(stop)), (vec![], WorkState::Done));
    let undo = desk.give(about(WorkKind::Undo, stop));
    assert_eq!((desk.state(undo), desk.state(stop)), (WorkState::Done, WorkState::Undone));

    let exits = (Price(BID - CENT), Price(BID + 2 * CENT));
    let bracket =
        OrderWork { trigger: exits.0, other: exits.1, ..work(WorkKind::Bracket, BID + ONE) };
    let id = desk.give(bracket);
    let entry = desk.rig.only();
    assert_eq!((entry.kind, entry.tif), (OrderKind::Limit, Tif::Ioc));
    desk.rig.fill(&entry, QTY, QTY, OrderState::Filled);
    let outcome = desk.outcome(id);
    assert_eq!((outcome.state, outcome.can_undo), (WorkState::Filled, false));
    assert_eq!((outcome.trigger, outcome.other), exits);
}

#[test]
fn a_strategy_gives_commands_by_its_context() {
    let strings = Strings::default();
    let mut rig = Rig::ready(vec![Box::new(Puppet(strings.clone()))]);
    let (tx, mut told) = ring(64);
    rig.agent = rig.agent.with_parents(tx);
    let touch = (BID, BID + ONE);
    let to = Some(Terms { price: Price(BID - CENT), qty: Qty(QTY) });
    let id = rig.does(&strings, touch, move |orders| {
        let command = OrderCommand::new(orders, Side::Buy, to);
        orders.command(Command::Order(command))
    });
    let id = id.expect("begun");
    assert!(id.is_by_strategy());
    let order = rig.only();
    let early = rig.does(&strings, touch, move |orders| orders.undo(id));
    assert_eq!(early, Err(WorkRefusal::NotUndoable), "it is still on its way");
    rig.ack(&order);
    rig.turn();
    let state = rig.does(&strings, touch, move |orders| orders.outcome(id).map(|r| r.state));
    assert_eq!(state, Some(WorkState::Done));
    let undo = rig.does(&strings, touch, move |orders| orders.undo(id)).expect("taken back");
    assert_eq!(rig.only().action, OrderAction::Cancel);
    rig.canceled(&order);
    rig.turn();
    rig.turn();
    let all: Vec<_> = std::iter::from_fn(|| told.pop())
        .filter_map(
            |told| if let RouterReport::Work(r) = told { Some((r.id, r.state)) } else { None },
        )
        .collect();
    for expected in [
        (id, WorkState::Working),
        (id, WorkState::Done),
        (undo, WorkState::Done),
        (id, WorkState::Undone),
    ] {
        assert!(all.contains(&expected), "{expected:?} in {all:?}");
    }
    assert_eq!(
        rig.does(&strings, touch, move |orders| orders.undo(CommandId::by_operator(1))),
        Err(WorkRefusal::Unknown)
    );
}
