//! What each algorithm does on a market that answers at once.

use std::collections::BTreeMap;

use bot4_types::{
    AccountReport, Algo, Deadline, InstrumentId, Nanos, OrderAction, OrderIntent, OrderKind,
    OrderReport, OrderState, ParentAction, ParentCommand, ParentEnd, ParentId, ParentOrder,
    ParentReport, ParentState, Peg, Price, Qty, RefuseReason, ReportKind, RouterReport, Side,
    StrategyId, Urgency,
};

use crate::rig::{self, ONE, Rig};

const BID: i64 = 60_000 * ONE;
const TICK: i64 = ONE / 100;
const ID: ParentId = ParentId::by_operator(1);

/// A venue that takes everything and fills what takes; what rests is filled by hand.
pub struct Desk {
    pub rig: Rig,
    resting: BTreeMap<u64, OrderIntent>,
    filled: BTreeMap<u64, i64>,
    bid: i64,
    ask: i64,
    placed: Vec<OrderIntent>,
}

impl Desk {
    pub fn new() -> Self {
        let mut desk = Self {
            rig: Rig::ready(Vec::new()),
            resting: BTreeMap::new(),
            filled: BTreeMap::new(),
            bid: BID,
            ask: BID + 2 * TICK,
            placed: Vec::new(),
        };
        desk.touch(BID, BID + 2 * TICK);
        desk
    }

    fn touch(&mut self, bid: i64, ask: i64) {
        (self.bid, self.ask) = (bid, ask);
        self.rig.top(0, bid, ask);
        self.rig.turn();
        self.answer();
    }

    pub fn begin(&mut self, order: ParentOrder) {
        let order = ParentOrder { id: ID, strategy: StrategyId(0), ..order };
        self.say(AccountReport::Parent(ParentCommand::Begin(order)));
    }

    fn act(&mut self, action: ParentAction) {
        self.say(AccountReport::Parent(ParentCommand::Act { id: ID, action }));
    }

    fn say(&mut self, report: AccountReport) {
        self.rig.account.push(report).expect("room");
        self.rig.turn();
        self.answer();
    }

    pub fn pass(&mut self, ms: u64) {
        self.rig.after(ms);
        self.answer();
    }

    fn trade(&mut self, qty: i64) {
        self.rig.trade(0, self.ask, qty);
        self.rig.turn();
        self.answer();
    }

    pub fn parent(&self) -> ParentReport {
        self.rig.agent.router().parent(ID, self.rig.now).expect("begun")
    }

    /// What rests: price and quantity not filled.
    fn rests(&self) -> Option<(i64, i64)> {
        let (id, order) = self.resting.iter().next()?;
        Some((order.price.0, order.qty.0 - self.filled.get(id).copied().unwrap_or(0)))
    }

    /// The resting order fills by `qty` at most.
    fn fill(&mut self, qty: i64) {
        let Some((id, order)) = self.resting.iter().next().map(|(id, o)| (*id, *o)) else { return };
        self.told(order, qty.min(order.qty.0 - self.filled.get(&id).copied().unwrap_or(0)));
    }

    fn told(&mut self, order: OrderIntent, qty: i64) {
        let cum = self.filled.entry(order.order.0).or_default();
        *cum += qty;
        let full = *cum == order.qty.0;
        let state = if full { OrderState::Filled } else { OrderState::PartiallyFilled };
        let AccountReport::Order { report, .. } =
            rig::report(&order, ReportKind::Fill, state, Qty(*cum), Qty(0), self.rig.now)
        else {
            unreachable!("a report of an order")
        };
        if full {
            self.resting.remove(&order.order.0);
        }
        let far = if order.side == Side::Buy { self.ask } else { self.bid };
        let takes = order.kind != OrderKind::LimitMaker;
        let last_price = if takes { Price(far) } else { order.price };
        let report = OrderReport { last_price, ..report };
        self.say(AccountReport::Order { report, position: Qty(0) });
    }

    fn answer(&mut self) {
        for intent in self.rig.sent() {
            rig::assert_lawful(&intent, Nanos::ZERO);
            assert!(intent.parent == ID && intent.strategy == StrategyId(0));
            match intent.action {
                OrderAction::Place if intent.kind == OrderKind::LimitMaker => {
                    self.placed.push(intent);
                    self.resting.insert(intent.order.0, intent);
                    self.rig.ack(&intent);
                }
                OrderAction::Place => {
                    self.placed.push(intent);
                    let far = if intent.side == Side::Buy { self.ask } else { self.bid };
                    let reaches = intent.side.sign() * (intent.price.0 - far) >= 0;
                    assert!(reaches, "takes what is there");
                    self.told(intent, intent.qty.0);
                }
                OrderAction::Amend => {
                    self.resting.insert(intent.order.0, intent);
                    self.rig.report(&intent, ReportKind::Amended, OrderState::Live);
                }
                OrderAction::Cancel => {
                    if let Some(order) = self.resting.remove(&intent.order.0) {
                        let cum = self.filled.get(&intent.order.0).copied().unwrap_or(0);
                        let (done, state) = (ReportKind::Done, OrderState::Canceled);
                        let at = self.rig.now;
                        self.say(rig::report(&order, done, state, Qty(cum), Qty(0), at));
                    }
                }
            }
        }
        let parent = self.rig.agent.router().parent(ID, self.rig.now);
        assert!(parent.is_none_or(|p| p.is_exact() && p.over.0 == 0), "{parent:?}");
    }
}

fn twap(side: Side, btc: i64, secs: u64) -> ParentOrder {
    ParentOrder::twap(InstrumentId(0), side, Qty(btc * ONE), Nanos::from_secs(secs))
}

/// Distance from the straight line, in slices, over the whole life of a parent.
fn worst_error(order: ParentOrder, mut rests_fill: impl FnMut(u64) -> bool) -> (f64, Desk) {
    let mut desk = Desk::new();
    desk.begin(order);
    let (step, over) = (10u64, order.over.millis());
    let slices = (over / 2_000).clamp(8, 240);
    let slice = order.total.0 as f64 / slices as f64;
    let mut worst = 0f64;
    for n in 1..over / step {
        desk.pass(step);
        if n % 7 == 0 {
            let up = TICK * ((n / 7) as i64 % 11 - 5);
            desk.touch(BID + up, BID + up + 2 * TICK);
        }
        if rests_fill(n) {
            desk.fill(i64::MAX);
        }
        let line = order.total.0 as f64 * (n * step) as f64 / over as f64;
        worst = worst.max((desk.parent().filled.0 as f64 - line).abs() / slice);
    }
    for _ in 0..40 {
        desk.pass(step);
    }
    (worst, desk)
}

#[test]
fn a_twap_keeps_to_its_line_whether_others_take_it_or_not() {
    for side in [Side::Buy, Side::Sell] {
        for urgency in [Urgency::Normal, Urgency::Aggressive] {
            for every in [1u64, 13, 97, u64::MAX] {
                let order = ParentOrder { urgency, ..twap(side, 5, 20) };
                let (worst, desk) = worst_error(order, |n| n % every == 0);
                let parent = desk.parent();
                assert!(worst <= 1.3, "{side:?} {urgency:?} {every}: {worst} slices off");
                assert_eq!((parent.end, parent.filled), (ParentEnd::Filled, order.total));
                assert_eq!((parent.left, parent.open), (Qty(0), Qty(0)));
            }
        }
    }
}

#[test]
fn a_passive_twap_waits_for_four_slices_and_takes_the_rest_at_the_end() {
    let order = ParentOrder { urgency: Urgency::Passive, ..twap(Side::Buy, 5, 20) };
    let (worst, desk) = worst_error(order, |_| false);
    assert!(worst > 3.0 && worst < 4.4, "{worst}");
    assert_eq!(desk.parent().end, ParentEnd::Filled);
    let given = ParentOrder { deadline: Deadline::GiveUp, ..order };
    let (_, desk) = worst_error(given, |_| false);
    let parent = desk.parent();
    assert_eq!((parent.state, parent.end), (ParentState::Ended, ParentEnd::Deadline));
    assert!(parent.left.0 > 0 && parent.filled.0 > 0);
}

#[test]
fn a_report_tells_arrival_average_and_slippage() {
    let order = ParentOrder { urgency: Urgency::Aggressive, ..twap(Side::Buy, 1, 10) };
    let mut desk = Desk::new();
    desk.begin(order);
    for _ in 0..1_030 {
        desk.pass(10);
        desk.trade(ONE / 10);
    }
    let parent = desk.parent();
    assert_eq!(parent.end, ParentEnd::Filled);
    // Arrival in the middle, all taken at the ask: a tick worse, and level with the market.
    let tick_bps = TICK as f64 / (BID + TICK) as f64 * 1e4;
    assert!((parent.slippage_bps().expect("filled") - tick_bps).abs() < tick_bps * 0.5);
    assert!(parent.against_vwap_bps().expect("traded").abs() < tick_bps * 0.5);
    assert!(parent.market_qty.0 >= 100 * ONE && parent.children > 5 && parent.fills > 5);
}

#[test]
fn no_child_is_worse_than_the_limit_and_what_cannot_be_is_given_up() {
    let order = ParentOrder { limit: Price(BID - 5 * TICK), ..twap(Side::Buy, 1, 4) };
    let mut desk = Desk::new();
    desk.begin(order);
    desk.pass(100);
    assert_eq!(desk.rests().map(|(price, _)| price), Some(BID - 5 * TICK));
    for _ in 0..1_500 {
        desk.pass(10);
    }
    let parent = desk.parent();
    assert_eq!((parent.end, parent.filled, parent.left.0), (ParentEnd::Deadline, Qty(0), ONE));
    assert!(desk.placed.iter().all(|o| o.price <= order.limit));
}

#[test]
fn a_pause_holds_it_and_what_is_left_is_spread_anew() {
    let order = ParentOrder { urgency: Urgency::Aggressive, ..twap(Side::Buy, 8, 16) };
    let mut desk = Desk::new();
    desk.begin(order);
    (0..400).for_each(|_| desk.pass(10));
    desk.act(ParentAction::Pause);
    let before = desk.parent();
    assert_eq!((before.state, before.open), (ParentState::Paused, Qty(0)));
    (0..600).for_each(|_| desk.pass(10));
    assert_eq!(desk.parent().filled, before.filled);
    desk.act(ParentAction::Resume);
    // Six seconds are left for some six of eight: no burst makes up for the pause.
    (0..100).for_each(|_| desk.pass(10));
    let done = desk.parent().filled.0 - before.filled.0;
    assert!(done > ONE / 2 && done < 5 * ONE / 2, "{done}");
    (0..600).for_each(|_| desk.pass(10));
    assert_eq!(desk.parent().end, ParentEnd::Filled);
}

#[test]
fn a_cancel_takes_back_what_rests_and_ends_exact() {
    let mut desk = Desk::new();
    desk.begin(twap(Side::Sell, 5, 20));
    desk.pass(100);
    desk.fill(1_000);
    assert!(desk.parent().open.0 > 0);
    desk.act(ParentAction::Cancel);
    let parent = desk.parent();
    assert_eq!((parent.state, parent.end), (ParentState::Ended, ParentEnd::Canceled));
    assert_eq!((parent.filled.0, parent.left.0, desk.rests()), (1_000, 5 * ONE - 1_000, None));
}

#[test]
fn a_share_of_the_volume_stays_a_share() {
    for urgency in [Urgency::Normal, Urgency::Aggressive] {
        let base =
            ParentOrder { algo: Algo::Pov, rate_e4: 1_000, urgency, ..twap(Side::Buy, 50, 0) };
        let order = ParentOrder { over: Nanos::ZERO, ..base };
        let mut desk = Desk::new();
        desk.begin(order);
        desk.pass(50);
        let mut rng = bot4_types::rng::SplitMix64::new(7);
        for n in 0..4_000u64 {
            if rng.below(10) < 4 {
                desk.trade(ONE / 1_000 + rng.below(ONE as u64 / 5) as i64);
            }
            if n % 50 == 0 && rng.below(2) == 0 {
                desk.fill(i64::MAX);
            }
            desk.pass(10);
            let parent = desk.parent();
            assert!(parent.filled.0 * 10 <= parent.market_qty.0, "more than a tenth: {parent:?}");
        }
        let parent = desk.parent();
        let share = parent.filled.0 as f64 / parent.market_qty.0 as f64;
        assert!((0.095..=0.1).contains(&share), "{urgency:?}: {share} of {:?}", parent.market_qty);
    }
}

#[test]
fn a_vwap_follows_the_volume() {
    let base =
        ParentOrder { algo: Algo::Vwap, urgency: Urgency::Aggressive, ..twap(Side::Buy, 24, 24) };
    let mut desk = Desk::new();
    desk.begin(base);
    // Three quarters of the volume come in the second half, and the curve says so.
    let mut curve = [1; 24];
    curve[12..].fill(3);
    let mut told = Desk::new();
    told.begin(ParentOrder { curve, ..base });
    let (mut seen, mut at_half) = (0, [0; 2]);
    for n in 0..2_400u64 {
        let qty = if n < 1_200 { ONE / 100 } else { 3 * ONE / 100 };
        seen += qty;
        for (i, desk) in [&mut desk, &mut told].into_iter().enumerate() {
            desk.trade(qty);
            desk.pass(10);
            if n == 1_199 {
                at_half[i] = desk.parent().filled.0;
            }
        }
    }
    for desk in [&mut desk, &mut told] {
        (0..50).for_each(|_| desk.pass(10));
        assert_eq!(desk.parent().end, ParentEnd::Filled, "{:?}", desk.parent());
        assert!(desk.parent().market_qty.0 >= seen - ONE);
    }
    // Without a curve half is done by then, with it a quarter.
    assert!((at_half[0] - 12 * ONE).abs() < 2 * ONE, "{at_half:?}");
    assert!((at_half[1] - 6 * ONE).abs() < 2 * ONE, "{at_half:?}");
}

#[test]
fn an_iceberg_shows_one_part_at_a_time() {
    let order = ParentOrder {
        algo: Algo::Iceberg,
        limit: Price(BID),
        display: Qty(ONE / 4),
        over: Nanos::ZERO,
        ..twap(Side::Buy, 1, 0)
    };
    let mut desk = Desk::new();
    desk.begin(order);
    desk.pass(30);
    for n in 1..=4 {
        assert_eq!(desk.rests(), Some((BID, ONE / 4)), "part {n}");
        assert_eq!(desk.parent().open.0, ONE / 4);
        desk.fill(ONE / 8);
        desk.pass(30);
        assert_eq!(
            desk.rests(),
            Some((BID, ONE / 8)),
            "the part is not filled up before it is gone"
        );
        desk.fill(ONE / 8);
        desk.pass(30);
    }
    assert_eq!((desk.parent().end, desk.parent().children), (ParentEnd::Filled, 4));
}

#[test]
fn an_iceberg_never_crosses_and_an_urgent_one_takes_what_its_limit_allows() {
    let order = ParentOrder {
        algo: Algo::Iceberg,
        limit: Price(BID + 50 * TICK),
        display: Qty(ONE / 4),
        over: Nanos::ZERO,
        ..twap(Side::Buy, 1, 0)
    };
    let mut desk = Desk::new();
    desk.begin(order);
    desk.pass(30);
    assert_eq!(desk.rests(), Some((BID + TICK, ONE / 4)));
    let mut urgent = Desk::new();
    urgent.begin(ParentOrder { urgency: Urgency::Aggressive, ..order });
    (0..20).for_each(|_| urgent.pass(30));
    assert_eq!(urgent.parent().end, ParentEnd::Filled);
    assert!(urgent.placed.iter().all(|o| o.qty.0 == ONE / 4 && o.price.0 == BID + 2 * TICK));
}

#[test]
fn a_pegged_order_follows_and_does_not_chase_itself() {
    let base = ParentOrder { algo: Algo::Pegged, over: Nanos::ZERO, ..twap(Side::Buy, 1, 0) };
    let order = ParentOrder { amends: true, ..base };
    for (peg, offset, expected) in
        [(Peg::Mid, 0, 1), (Peg::Mid, 3, -2), (Peg::Touch, 0, 0), (Peg::Touch, -1, 1)]
    {
        let mut desk = Desk::new();
        desk.begin(ParentOrder { peg, offset_ticks: offset, ..order });
        desk.pass(100);
        let price = BID + expected * TICK;
        assert_eq!(desk.rests(), Some((price, ONE)), "{peg:?} {offset}");
        // The best bid is our own now: the second level is what it was.
        for _ in 0..20 {
            let (best, rest) = (price.max(BID), if price > BID { ONE } else { 3 * ONE });
            desk.rig.top_levels(0, [(best, rest), (BID, ONE)], [(desk.ask, ONE), (0, 0)]);
            desk.pass(60);
        }
        assert_eq!(desk.rests(), Some((price, ONE)), "{peg:?} {offset} chases itself");
        let children = desk.placed.len();
        desk.touch(BID + 100 * TICK, BID + 102 * TICK);
        desk.pass(100);
        assert_eq!(desk.rests(), Some((price + 100 * TICK, ONE)));
        assert_eq!(desk.placed.len(), children, "it is amended, not placed anew");
    }
}

#[test]
fn a_rest_that_cannot_be_traded_is_said() {
    // The smallest order is worth five: a child that ends with less behind it leaves dust.
    let order = ParentOrder { algo: Algo::Pegged, over: Nanos::ZERO, ..twap(Side::Buy, 1, 0) };
    let mut desk = Desk::new();
    desk.begin(ParentOrder { total: Qty(20_000), ..order });
    desk.pass(100);
    desk.fill(15_000);
    let (_, order) = desk.resting.iter().next().map(|(id, o)| (*id, *o)).expect("rests");
    desk.resting.clear();
    let ended = rig::report(
        &order,
        ReportKind::Done,
        OrderState::Expired,
        Qty(15_000),
        Qty(0),
        desk.rig.now,
    );
    desk.say(ended);
    desk.pass(600);
    let parent = desk.parent();
    assert_eq!((parent.end, parent.left), (ParentEnd::Dust, Qty(5_000)), "{parent:?}");
}

#[test]
fn what_is_too_large_for_the_gate_is_halved() {
    let mut desk = Desk::new();
    let order = ParentOrder { urgency: Urgency::Aggressive, ..twap(Side::Buy, 8, 16) };
    let order = ParentOrder { id: ID, strategy: StrategyId(0), ..order };
    desk.rig.account.push(AccountReport::Parent(ParentCommand::Begin(order))).expect("room");
    let mut sizes = Vec::new();
    for _ in 0..1_000 {
        desk.rig.after(10);
        for i in desk.rig.sent() {
            sizes.push(i.qty.0);
            let (reason, action) = (RefuseReason::FatSize, i.action);
            let (order, instrument, strategy) = (i.order, i.instrument, i.strategy);
            let refused = AccountReport::Refused { order, action, instrument, strategy, reason };
            desk.rig.account.push(refused).expect("room");
        }
    }
    assert!(sizes.len() > 5 && sizes.windows(2).all(|w| w[1] <= w[0] * 2), "{sizes:?}");
    assert!(sizes.last().is_some_and(|last| *last < sizes[0] / 8), "{sizes:?}");
    let parent = desk.parent();
    assert_eq!((parent.filled, parent.gate), (Qty(0), Some(RefuseReason::FatSize)));
}

#[test]
fn nonsense_is_refused_and_told() {
    use bot4_types::ParentRefusal as R;
    let sound = twap(Side::Buy, 1, 10);
    let iceberg = ParentOrder { algo: Algo::Iceberg, ..sound };
    let pov = ParentOrder { algo: Algo::Pov, ..sound };
    for (order, why) in [
        (ParentOrder { instrument: InstrumentId(99), ..sound }, R::Instrument),
        (ParentOrder { total: Qty(10), ..sound }, R::Size),
        (ParentOrder { total: Qty(-ONE), ..sound }, R::Size),
        (ParentOrder { over: Nanos::ZERO, ..sound }, R::Terms),
        (ParentOrder { over: Nanos::MAX, ..sound }, R::Terms),
        (pov, R::Terms),
        (ParentOrder { slice_min: Qty(i64::MAX), ..sound }, R::Terms),
        (ParentOrder { rate_e4: 5_001, ..pov }, R::Terms),
        (iceberg, R::Limit),
        (ParentOrder { limit: Price(-1), ..sound }, R::Limit),
    ] {
        let (mut rig, (tx, mut told)) = (Rig::ready(Vec::new()), bot4_lanes::ring(4));
        rig.agent = rig.agent.with_parents(tx);
        rig.top(0, BID, BID + TICK);
        let order = ParentOrder { id: ID, ..order };
        rig.account.push(AccountReport::Parent(ParentCommand::Begin(order))).expect("room");
        rig.turn();
        rig.turn();
        let told = told.pop().expect("it is told");
        let RouterReport::Parent(report) = told else { panic!("{told:?}") };
        assert_eq!((report.end, report.refusal), (ParentEnd::Refused, why), "{order:?}");
        assert_eq!(rig.count("parents_refused"), 1);
    }
}
