//! Whatever strategies wish and whatever the venue answers: one order alive in a slot, lawful
//! intents, nothing placed after the stop, everything gone in the end.

mod rig;

use bot4_lanes::{Rx, Tx, ring};
use bot4_signals::{Actions, Strategy as Trader, View};
use bot4_types::{
    AccountReport, InstrumentId, OrderAction, OrderId, OrderIntent, OrderKind, OrderState, Price,
    Qty, RefuseReason, ReportKind, Side,
};
use proptest::prelude::*;
use rig::{ONE, Rig};

const BID: i64 = 1_000 * ONE;
const STRATEGIES: usize = 2;
const INSTRUMENTS: u16 = 3;

/// A wish in an instrument.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Quote(Side, i64, i64),
    Amend(Side, i64, i64),
    Pull(Side),
    CancelAll,
    Take(Side, i64, i64),
}

/// Wishes what it is told.
struct Puppet(Rx<(u16, Wish)>);

impl Trader for Puppet {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn on_top(&mut self, _: &View<'_>, orders: &mut Actions<'_>) {
        while let Some((instrument, wish)) = self.0.pop() {
            let Some(mut orders) = orders.on(InstrumentId(instrument)) else { continue };
            match wish {
                Wish::Quote(side, price, qty) => {
                    orders.quote(side, Price(price), Qty(qty));
                }
                Wish::Amend(side, price, qty) => {
                    orders.amend(side, Price(price), Qty(qty));
                }
                Wish::Take(side, price, qty) => {
                    orders.take(side, Qty(qty), Price(price));
                }
                Wish::Pull(side) => orders.pull(side),
                Wish::CancelAll => orders.cancel_all(),
            }
        }
    }
}

/// What the world does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wish(usize, u16, Wish),
    Top(u16),
    Stale(u16),
    Answer(usize, Answer),
    Session(bool),
    Pass(u64),
    Read(usize),
    Drain,
}

/// What the venue (or the gate) says to one of the orders alive.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Ack,
    Fill,
    FillAll,
    Reject,
    Refuse,
    Cancel,
    CancelReject,
    CancelRefuse,
    Amend,
    AmendReject,
    AmendRefuse,
    Lose,
    Find,
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn wish() -> impl Strategy<Value = Wish> {
    let price = (-30i64..30).prop_map(|n| BID + n * ONE / 100 + n);
    let qty = 100_000i64..5_000_000;
    prop_oneof![
        6 => (side(), price.clone(), qty.clone()).prop_map(|(s, p, q)| Wish::Quote(s, p, q)),
        6 => (side(), price.clone(), qty.clone()).prop_map(|(s, p, q)| Wish::Amend(s, p, q)),
        2 => (side(), price, qty).prop_map(|(s, p, q)| Wish::Take(s, p, q)),
        1 => side().prop_map(Wish::Pull),
        1 => Just(Wish::CancelAll),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        8 => Just(Answer::Ack),
        2 => Just(Answer::Fill),
        1 => Just(Answer::FillAll),
        1 => Just(Answer::Reject),
        1 => Just(Answer::Refuse),
        5 => Just(Answer::Cancel),
        1 => Just(Answer::CancelReject),
        1 => Just(Answer::CancelRefuse),
        5 => Just(Answer::Amend),
        1 => Just(Answer::AmendReject),
        1 => Just(Answer::AmendRefuse),
        1 => Just(Answer::Lose),
        1 => Just(Answer::Find),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let i = 0..INSTRUMENTS;
    prop_oneof![
        12 => (0..STRATEGIES, i.clone(), wish()).prop_map(|(s, i, w)| Step::Wish(s, i, w)),
        2 => i.clone().prop_map(Step::Top),
        1 => i.prop_map(Step::Stale),
        14 => (0usize..99, answer()).prop_map(|(n, a)| Step::Answer(n, a)),
        1 => prop::bool::weighted(0.8).prop_map(Step::Session),
        4 => (0u64..120).prop_map(Step::Pass),
        8 => (1usize..5).prop_map(Step::Read),
    ]
}

/// An order as the venue sees it.
#[derive(Clone, Copy, Debug)]
struct Alive {
    intent: OrderIntent,
    acked: bool,
    lost: bool,
    cancel_asked: bool,
    amend: Option<OrderIntent>,
    filled: Qty,
}

/// The rig, and the venue's truth.
struct World {
    rig: Rig,
    wishes: Vec<Tx<(u16, Wish)>>,
    alive: Vec<Alive>,
    last_order: OrderId,
    /// The first order that must not exist.
    stop_at: Option<OrderId>,
}

impl World {
    fn new() -> Self {
        let (wishes, puppets): (Vec<_>, Vec<_>) = (0..STRATEGIES)
            .map(|_| ring(256))
            .map(|(tx, rx)| (tx, Box::new(Puppet(rx)) as Box<dyn Trader>))
            .unzip();
        let mut rig = Rig::new(puppets, 3);
        rig.session(true);
        for i in 0..INSTRUMENTS {
            rig.top(i, BID, BID + ONE);
        }
        rig.turn();
        Self { rig, wishes, alive: Vec::new(), last_order: OrderId(0), stop_at: None }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wish(strategy, instrument, wish) => {
                let _ = self.wishes[strategy].push((instrument, wish));
                self.top(instrument);
            }
            Step::Top(instrument) => self.top(instrument),
            Step::Stale(instrument) if self.rig.tops.room() > 0 => self.rig.stale(instrument),
            Step::Stale(_) => {}
            Step::Answer(pick, answer) => self.answer(pick, answer),
            Step::Session(ready) => self.rig.session(ready),
            Step::Pass(ms) => self.rig.after(ms),
            Step::Read(n) => self.read(n),
            Step::Drain => {
                self.rig.control.drain();
                self.stop_at = self.stop_at.or(Some(self.rig.agent.router().next_order()));
            }
        }
        self.rig.turn();
    }

    fn top(&mut self, instrument: u16) {
        if self.rig.tops.room() > 0 {
            self.rig.top(instrument, BID, BID + ONE);
        }
    }

    /// Reads up to `n` intents as the gate would, and checks each against the truth.
    fn read(&mut self, n: usize) {
        for _ in 0..n {
            let Some(intent) = self.rig.intents.pop() else { return };
            rig::assert_lawful(&intent, bot4_types::Nanos::ZERO);
            match intent.action {
                OrderAction::Place => self.placed(intent),
                OrderAction::Amend => self.amended(intent),
                OrderAction::Cancel => {
                    let order = self.alive.iter_mut().find(|a| a.intent.order == intent.order);
                    if let Some(order) = order {
                        assert!(order.acked || order.lost, "cancelled before it was accepted");
                        assert!(intent.kind == OrderKind::LimitMaker, "takes end by themselves");
                        order.cancel_asked = true;
                    }
                }
            }
        }
    }

    fn placed(&mut self, intent: OrderIntent) {
        assert!(intent.order > self.last_order, "order numbers increase");
        assert!(self.stop_at.is_none_or(|stop| intent.order < stop), "placed after the stop");
        self.last_order = intent.order;
        for other in &self.alive {
            let there = &other.intent;
            assert_ne!(rig::slot_key(there), rig::slot_key(&intent), "two alive in a slot");
            let crosses = there.instrument == intent.instrument
                && there.side != intent.side
                && (intent.price.0 - there.price.0) * intent.side.sign() >= 0;
            assert!(!crosses, "would trade with itself: {there:?} {intent:?}");
        }
        self.alive.push(Alive {
            intent,
            acked: false,
            lost: false,
            cancel_asked: false,
            amend: None,
            filled: Qty(0),
        });
    }

    /// An amend names an order that rests, one at a time, and crosses none of ours.
    fn amended(&mut self, intent: OrderIntent) {
        let crossed = |o: &Alive| {
            o.intent.instrument == intent.instrument
                && o.intent.side != intent.side
                && (intent.price.0 - o.intent.price.0) * intent.side.sign() >= 0
        };
        assert!(!self.alive.iter().any(crossed), "would trade with itself: {intent:?}");
        let order = self.alive.iter_mut().find(|a| a.intent.order == intent.order);
        let Some(order) = order else { return };
        assert!(order.acked || order.lost, "amended before it was accepted");
        assert!(intent.kind == OrderKind::LimitMaker, "takes end by themselves");
        assert_eq!(order.amend, None, "one amend at a time");
        order.amend = Some(intent);
    }

    /// The amend of order `n` is over; `true` when it holds.
    fn amend_over(&mut self, n: usize, amend: OrderIntent, holds: bool) {
        self.alive[n].amend = None;
        if holds {
            let intent = &mut self.alive[n].intent;
            (intent.price, intent.qty) = (amend.price, amend.qty);
        }
        let kind = if holds { ReportKind::Amended } else { ReportKind::AmendRejected };
        let state = if self.alive[n].lost { OrderState::Unknown } else { OrderState::Live };
        self.say(n, kind, state);
    }

    fn answer(&mut self, pick: usize, answer: Answer) {
        if self.alive.is_empty() || self.rig.account.room() == 0 {
            return;
        }
        let n = pick % self.alive.len();
        let Alive { intent, acked, lost, cancel_asked, amend, filled } = self.alive[n];
        let quote = intent.kind == OrderKind::LimitMaker;
        match answer {
            Answer::Ack if !acked && !lost => {
                self.alive[n].acked = true;
                self.say(n, ReportKind::Acked, OrderState::Live);
                if !quote {
                    self.end(n, OrderState::Expired);
                }
            }
            Answer::Fill if acked && !lost => {
                self.alive[n].filled = Qty(intent.qty.0 / 2);
                self.say(n, ReportKind::Fill, OrderState::PartiallyFilled);
            }
            Answer::FillAll if !lost => {
                self.alive[n].filled = intent.qty;
                self.say(n, ReportKind::Fill, OrderState::Filled);
                self.end(n, OrderState::Filled);
            }
            Answer::Reject if !acked => self.end(n, OrderState::Rejected),
            Answer::Refuse if !acked && !lost => {
                self.alive.remove(n);
                self.refuse(&intent, OrderAction::Place);
            }
            Answer::Cancel if cancel_asked => self.end(n, OrderState::Canceled),
            Answer::CancelReject if cancel_asked && !lost => {
                self.alive[n].cancel_asked = false;
                self.say(n, ReportKind::CancelRejected, OrderState::Live);
            }
            Answer::CancelRefuse if cancel_asked => {
                self.alive[n].cancel_asked = false;
                self.refuse(&intent, OrderAction::Cancel);
            }
            // The gate refuses what execution never sees: its word comes first.
            Answer::AmendRefuse if amend.is_some() && !lost => {
                self.alive[n].amend = None;
                self.refuse(&intent, OrderAction::Amend);
            }
            Answer::Amend => {
                if let Some(amend) = amend {
                    self.amend_over(n, amend, amend.qty > filled);
                }
            }
            Answer::AmendReject => {
                if let Some(amend) = amend {
                    self.amend_over(n, amend, false);
                }
            }
            Answer::Lose => {
                self.alive[n].lost = true;
                self.say(n, ReportKind::Lost, OrderState::Unknown);
            }
            // An IOC order cannot rest: found, it has ended.
            Answer::Find if lost && !quote => self.end(n, OrderState::Expired),
            Answer::Find if lost => {
                self.alive[n].lost = false;
                self.alive[n].acked = true;
                self.say(n, ReportKind::Found, OrderState::Live);
            }
            _ => {}
        }
    }

    fn say(&mut self, n: usize, kind: ReportKind, state: OrderState) {
        let Alive { intent, filled, .. } = self.alive[n];
        let report = rig::report(&intent, kind, state, filled, filled, self.rig.now);
        self.rig.account.push(report).expect("room was asked for");
        self.rig.turn();
    }

    fn end(&mut self, n: usize, state: OrderState) {
        self.say(n, ReportKind::Done, state);
        // Intents that were sent before the agent could know are read against the old truth.
        self.alive.remove(n);
    }

    fn refuse(&mut self, intent: &OrderIntent, action: OrderAction) {
        let refused = AccountReport::Refused {
            order: intent.order,
            action,
            instrument: intent.instrument,
            strategy: intent.strategy,
            reason: RefuseReason::Rate,
        };
        self.rig.account.push(refused).expect("room was asked for");
        self.rig.turn();
    }

    /// From here on everybody answers what is asked, for long enough.
    fn cooperate(&mut self) {
        for _ in 0..60 {
            self.rig.after(40);
            self.read(usize::MAX);
            for n in (0..self.alive.len()).rev() {
                let left = self.alive.len();
                for answer in [Answer::Find, Answer::Ack, Answer::Cancel, Answer::Amend] {
                    if self.alive.len() == left {
                        self.answer(n, answer);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// In the end, with the engine stopping and the venue answering, nothing is left.
    #[test]
    fn one_alive_lawful_and_nothing_after_the_stop(
        steps in proptest::collection::vec(step(), 1..150),
        after in proptest::collection::vec(step(), 0..60),
    ) {
        let mut world = World::new();
        steps.into_iter().chain([Step::Drain]).chain(after).for_each(|s| world.step(s));
        world.cooperate();
        prop_assert_eq!(world.alive.len(), 0, "{:?}", world.alive);
        prop_assert_eq!(world.rig.agent.router().open_orders(), 0);
    }

    /// A wish that is repeated against an answering venue comes true.
    #[test]
    fn a_wish_that_can_come_true_does(steps in proptest::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        steps.into_iter().for_each(|s| world.step(s));
        world.step(Step::Session(true));
        let price = BID - 50 * ONE;
        for _ in 0..6 {
            // The other orders of the instrument could stand in the way.
            for strategy in 0..STRATEGIES {
                world.step(Step::Wish(strategy, 0, Wish::CancelAll));
            }
            world.cooperate();
            world.step(Step::Wish(1, 0, Wish::Quote(Side::Buy, price, 2_000_000)));
            world.cooperate();
        }
        let key = (1, 0, Some(Side::Buy));
        let there: Vec<_> =
            world.alive.iter().filter(|a| rig::slot_key(&a.intent) == key).collect();
        prop_assert_eq!(there.len(), 1);
        prop_assert_eq!(there[0].intent.price, Price(price));
    }
}
