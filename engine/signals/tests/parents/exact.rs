//! Whatever is asked of parents and whatever the venue answers: the account of each is exact, and
//! none is ever filled beyond its total by our own doing.

use std::collections::BTreeMap;

use bot4_types::{
    AccountReport, Algo, Deadline, DoneReason, InstrumentId, Nanos, OrderAction, OrderIntent,
    OrderReport, OrderState, ParentAction, ParentCommand, ParentEnd, ParentId, ParentOrder,
    ParentState, Peg, Price, Qty, RefuseReason, ReportKind, Side, StrategyId, Urgency,
};
use proptest::prelude::*;

use crate::rig::{self, ONE, Rig};

const BID: i64 = 1_000 * ONE;
const INSTRUMENTS: u16 = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(ParentOrder),
    Act(u32, ParentAction),
    Top(u16, i64),
    Trade(u16, i64),
    Stale(u16),
    Session(bool),
    Pass(u64),
    Answer(usize, Answer),
    Kill,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Ack,
    Fill(u8),
    /// The last report again.
    Repeat,
    End(OrderState),
    Refuse(RefuseReason),
    CancelReject,
    Amended(bool),
    Lose,
    Find,
    /// A fill of an order that was told to have ended.
    Late(u8),
}

fn order() -> impl Strategy<Value = ParentOrder> {
    let algo = prop::sample::select(Algo::ALL);
    let side = prop::sample::select(vec![Side::Buy, Side::Sell]);
    let urgency = prop::sample::select(Urgency::ALL);
    let (qty, price) = (1i64..40, -60i64..60);
    (algo, side, urgency, qty, price, 0..INSTRUMENTS, 1u64..4_000, any::<[bool; 4]>()).prop_map(
        |(algo, side, urgency, qty, price, instrument, ms, [limit, take, touch, all])| {
            let over = Nanos::from_millis(ms);
            let twap = ParentOrder::twap(InstrumentId(instrument), side, Qty(qty * ONE / 10), over);
            let limit = limit || algo == Algo::Iceberg;
            ParentOrder {
                algo,
                urgency,
                limit: Price(if limit { BID + price * ONE / 50 } else { 0 }),
                deadline: if take { Deadline::Take } else { Deadline::GiveUp },
                display: Qty(if all { 0 } else { ONE / 7 }),
                rate_e4: 3_000,
                peg: if touch { Peg::Touch } else { Peg::Mid },
                offset_ticks: price as i32 / 20,
                amends: price % 2 == 0,
                ..twap
            }
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    use OrderState as S;
    let ended = prop::sample::select(vec![S::Canceled, S::Expired, S::Rejected, S::NotSent]);
    let refused = prop::sample::select(vec![RefuseReason::Rate, RefuseReason::FatSize]);
    prop_oneof![
        8 => Just(Answer::Ack),
        6 => (1u8..5).prop_map(Answer::Fill),
        1 => Just(Answer::Repeat),
        5 => ended.prop_map(Answer::End),
        2 => refused.prop_map(Answer::Refuse),
        1 => Just(Answer::CancelReject),
        3 => any::<bool>().prop_map(Answer::Amended),
        1 => Just(Answer::Lose),
        1 => Just(Answer::Find),
        1 => (1u8..5).prop_map(Answer::Late),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let i = 0..INSTRUMENTS;
    prop_oneof![
        3 => order().prop_map(Step::Begin),
        2 => (1u32..6, prop::sample::select(ParentAction::ALL)).prop_map(|(n, a)| Step::Act(n, a)),
        6 => (i.clone(), -9i64..9).prop_map(|(i, p)| Step::Top(i, p)),
        4 => (i.clone(), 1i64..30).prop_map(|(i, q)| Step::Trade(i, q)),
        1 => i.prop_map(Step::Stale),
        1 => prop::bool::weighted(0.8).prop_map(Step::Session),
        8 => (1u64..400).prop_map(Step::Pass),
        18 => (0usize..99, answer()).prop_map(|(n, a)| Step::Answer(n, a)),
    ]
}

/// An order as the venue and its reports have it.
#[derive(Clone, Copy, Debug)]
struct Told {
    intent: OrderIntent,
    /// Whole quantity that holds, and one that was asked for.
    qty: i64,
    amend: Option<i64>,
    filled: i64,
    acked: bool,
    lost: bool,
    over: bool,
}

struct World {
    rig: Rig,
    orders: BTreeMap<u64, Told>,
    begun: BTreeMap<u32, ParentOrder>,
    contradicts: bool,
    contradicted: bool,
}

impl World {
    fn new(contradicts: bool) -> Self {
        let mut rig = Rig::ready(Vec::new());
        for i in 0..INSTRUMENTS {
            rig.top(i, BID, BID + ONE / 10);
        }
        rig.turn();
        let (orders, begun) = (BTreeMap::new(), BTreeMap::new());
        Self { rig, orders, begun, contradicts, contradicted: false }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Begin(order) => {
                let id = ParentId::by_operator(self.begun.len() as u32 + 1);
                let order = ParentOrder { id, strategy: StrategyId(0), ..order };
                self.begun.insert(id.0, order);
                self.say(AccountReport::Parent(ParentCommand::Begin(order)));
            }
            Step::Act(n, action) => {
                let id = ParentId::by_operator(n);
                self.say(AccountReport::Parent(ParentCommand::Act { id, action }));
            }
            Step::Top(i, p) => self.rig.top(i, BID + p * ONE / 100, BID + ONE / 10 + p * ONE / 100),
            Step::Trade(i, q) => self.rig.trade(i, BID, q * ONE / 10),
            Step::Stale(i) => self.rig.stale(i),
            Step::Session(ready) => self.rig.session(ready),
            Step::Pass(ms) => self.rig.after(ms),
            Step::Answer(pick, answer) => self.answer(pick, answer),
            Step::Kill => self.rig.control.halt(),
        }
        self.rig.turn();
        self.read();
        self.compare();
    }

    fn say(&mut self, report: AccountReport) {
        self.rig.account.push(report).expect("room");
        self.rig.turn();
        self.read();
    }

    fn read(&mut self) {
        for intent in self.rig.sent() {
            rig::assert_lawful(&intent, Nanos::ZERO);
            assert!(intent.parent != ParentId::NONE, "nobody else trades here");
            match intent.action {
                OrderAction::Place => {
                    let qty = intent.qty.0;
                    let told = Told {
                        intent,
                        qty,
                        amend: None,
                        filled: 0,
                        acked: false,
                        lost: false,
                        over: false,
                    };
                    self.orders.insert(intent.order.0, told);
                }
                OrderAction::Amend => {
                    let order = self.orders.get_mut(&intent.order.0).expect("known");
                    assert_eq!(order.amend, None, "one amend at a time");
                    order.amend = Some(intent.qty.0);
                }
                OrderAction::Cancel => {}
            }
        }
    }

    /// Filled and open of a parent, summed over all orders ever.
    fn sums(&self, id: ParentId) -> (i64, i64) {
        let of = self.orders.values().filter(|o| o.intent.parent == id);
        let open = |o: &Told| match o.over {
            true => 0,
            false => (o.amend.map_or(o.qty, |q| q.max(o.qty)) - o.filled).max(0),
        };
        of.fold((0, 0), |(filled, all), o| (filled + o.filled, all + open(o)))
    }

    fn compare(&self) {
        let router = self.rig.agent.router();
        for (n, order) in &self.begun {
            let id = ParentId(*n);
            let Some(parent) = router.parent(id, self.rig.now) else { continue };
            let (filled, open) = self.sums(id);
            assert!(parent.is_exact(), "{parent:?}");
            assert_eq!((parent.filled.0, parent.open.0), (filled, open), "{parent:?}");
            assert_eq!(router.open_of_parent(id), parent.open, "{parent:?}");
            if !self.contradicted {
                assert!(parent.over.0 == 0 && filled + open <= order.total.0, "{parent:?}");
            }
            if parent.state == ParentState::Ended {
                assert!(parent.open.0 == 0 && parent.end != ParentEnd::None, "{parent:?}");
            }
        }
    }

    fn answer(&mut self, pick: usize, answer: Answer) {
        let late = matches!(answer, Answer::Late(_));
        let fits = |o: &&mut Told| o.over == late;
        let count = self.orders.values().filter(|o| o.over == late).count();
        let Some(order) = self.orders.values_mut().filter(fits).nth(pick % count.max(1)) else {
            return;
        };
        let (kind, state) = match answer {
            Answer::Ack if !order.acked && !order.lost => {
                order.acked = true;
                (ReportKind::Acked, OrderState::Live)
            }
            Answer::Fill(quarters) => {
                let left = order.qty - order.filled;
                order.filled += (left * i64::from(quarters) / 4).min(left);
                let full = order.filled == order.qty && order.amend.is_none();
                order.over = full && left > 0;
                let state =
                    if order.over { OrderState::Filled } else { OrderState::PartiallyFilled };
                (ReportKind::Fill, if order.lost { OrderState::Unknown } else { state })
            }
            Answer::Repeat => (ReportKind::Fill, OrderState::PartiallyFilled),
            Answer::End(state) => {
                order.over = true;
                (ReportKind::Done, state)
            }
            Answer::Refuse(reason) if !order.acked && !order.lost && order.filled == 0 => {
                order.over = true;
                let OrderIntent { order, action, instrument, strategy, .. } = order.intent;
                let r = AccountReport::Refused { order, action, instrument, strategy, reason };
                return self.say(r);
            }
            Answer::CancelReject => (ReportKind::CancelRejected, OrderState::Live),
            Answer::Amended(holds) => {
                let Some(qty) = order.amend.take() else { return };
                if holds {
                    order.qty = qty.max(order.filled);
                }
                let kind = if holds { ReportKind::Amended } else { ReportKind::AmendRejected };
                (kind, OrderState::Live)
            }
            Answer::Lose if order.acked => {
                order.lost = true;
                (ReportKind::Lost, OrderState::Unknown)
            }
            Answer::Find if order.lost => {
                order.lost = false;
                (ReportKind::Found, OrderState::Live)
            }
            Answer::Late(n) if self.contradicts => {
                order.filled += i64::from(n) * 1_000;
                self.contradicted = true;
                (ReportKind::Fill, OrderState::Canceled)
            }
            _ => return,
        };
        let told = *order;
        self.say(report(&told, kind, state, self.rig.now));
        // A lost order that filled all is over by the venue's word.
        if told.over && told.lost {
            self.say(report(&told, ReportKind::Done, OrderState::Filled, self.rig.now));
        }
    }

    /// From here on everybody answers; parents come to their end.
    fn cooperate(&mut self) {
        self.step(Step::Session(true));
        for _ in 0..40 {
            for i in 0..INSTRUMENTS {
                self.step(Step::Top(i, 0));
            }
            self.step(Step::Pass(100));
            for n in 0..self.orders.len() {
                for answer in [Answer::Find, Answer::Amended(true), Answer::Ack] {
                    self.answer(n, answer);
                }
                self.answer(n, Answer::End(OrderState::Canceled));
            }
        }
    }
}

fn report(told: &Told, kind: ReportKind, state: OrderState, at: Nanos) -> AccountReport {
    let cum = Qty(told.filled);
    let AccountReport::Order { report, .. } =
        rig::report(&told.intent, kind, state, cum, Qty(0), at)
    else {
        unreachable!("a report of an order")
    };
    let (qty, reason, last_price) = (Qty(told.qty), DoneReason::None, told.intent.price);
    let report = OrderReport { qty, reason, last_price, ..report };
    AccountReport::Order { report, position: Qty(0) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn parents_are_exact_at_any_instant(
        steps in proptest::collection::vec(step(), 1..200), contradicts in any::<bool>(),
    ) {
        let mut world = World::new(contradicts);
        steps.into_iter().for_each(|s| world.step(s));
        for n in 1..=world.begun.len() as u32 {
            world.step(Step::Act(n, ParentAction::Cancel));
        }
        world.cooperate();
        for report in world.rig.agent.router().parents(world.rig.now) {
            prop_assert_eq!(report.state, ParentState::Ended, "{:?}", report);
        }
        prop_assert_eq!(world.rig.agent.router().open_orders(), 0);
    }

    #[test]
    fn a_kill_ends_them_exactly(
        steps in proptest::collection::vec(step(), 1..120),
        after in proptest::collection::vec(step(), 0..40),
    ) {
        let mut world = World::new(false);
        steps.into_iter().chain([Step::Kill]).for_each(|s| world.step(s));
        let stop = world.rig.agent.router().next_order();
        after.into_iter().for_each(|s| world.step(s));
        world.cooperate();
        for report in world.rig.agent.router().parents(world.rig.now) {
            prop_assert_eq!(report.state, ParentState::Ended, "{:?}", report);
        }
        prop_assert_eq!(world.rig.agent.router().next_order(), stop, "placed after the kill");
    }
}
