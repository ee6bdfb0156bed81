//! A parent that is taken where it is best, over three venues with units of their own: its account
//! equals the naive sum over all children at any instant, whatever the venues answer, and what a
//! child of unknown fate may fill goes nowhere else.

use std::collections::BTreeMap;

use bot4_signals::SignalConfig;
use bot4_types::{
    AccountReport, Algo, Deadline, DoneReason, Instrument, InstrumentId, InstrumentTable, Level,
    Nanos, OrderAction, OrderId, OrderIntent, OrderReport, OrderState, ParentCommand, ParentEnd,
    ParentId, ParentOrder, ParentReport, ParentState, Price, Qty, RefuseReason, ReportKind, Side,
    StrategyId, Symbol, Tif, VenueId,
};
use proptest::prelude::*;

use crate::rig::{self, Rig};

const ID: ParentId = ParentId::by_operator(1);
/// Decimals of price and quantity, and lot, at each venue.
const UNITS: [(u8, u8, i64); 3] = [(2, 3, 1), (4, 5, 50), (3, 4, 2)];
/// The finest quantities are the second venue's.
const FINEST: u8 = 5;
const BID: i64 = 1_000;

fn table() -> InstrumentTable {
    let name = |text: &str| Symbol::new(text).expect("short");
    let venue = |(price_decimals, qty_decimals, lot): (u8, u8, i64)| {
        let mut table = InstrumentTable::new();
        let [base, quote] = ["BTC", "USDT"].map(|a| table.asset(name(a)).expect("room"));
        let bare = Instrument::bare(InstrumentId(0), name("BTCUSDT"), 8);
        let i = Instrument { base, quote, price_decimals, qty_decimals, lot, ..bare };
        table.push(Instrument { qty_min: Qty(lot), ..i }).expect("room");
        table
    };
    let parts = UNITS.map(venue);
    let named: Vec<_> = ["a", "b", "c"].map(name).into_iter().zip(&parts).collect();
    InstrumentTable::joined(&named).expect("room")
}

fn power(decimals: u8) -> i64 {
    10i64.pow(u32::from(decimals))
}

/// `qty` of instrument `i` in the finest units.
fn finest(i: usize, qty: i64) -> i64 {
    qty * power(FINEST - UNITS[i].1)
}

/// A child as the venue has it.
#[derive(Clone, Copy, Debug)]
struct Child {
    intent: OrderIntent,
    filled: i64,
    over: bool,
    lost: bool,
}

struct World {
    rig: Rig,
    children: BTreeMap<u64, Child>,
    ready: [bool; 3],
    total: i64,
    limit: i64,
    /// Smallest slice of the order to begin, thousandths.
    slice_min: i64,
    side: Side,
}

impl World {
    fn new() -> Self {
        let rig = Rig::over(table(), SignalConfig::new(Vec::new(), OrderId(1)), 64);
        let children = BTreeMap::new();
        let mut world = Self {
            rig,
            children,
            ready: [false; 3],
            total: 0,
            limit: 0,
            slice_min: 0,
            side: Side::Buy,
        };
        (0..3).for_each(|v| world.session(v, true));
        world
    }

    fn session(&mut self, v: usize, ready: bool) {
        self.ready[v] = ready;
        self.say(AccountReport::Session { venue: VenueId(v as u8), ready });
    }

    /// The book of venue `v`: `cents` above the common bid, with these quantities (in 0.001) at
    /// two levels of one cent distance.
    fn book(&mut self, v: usize, cents: i64, qtys: [i64; 2]) {
        let (price, qty, _) = UNITS[v];
        let level = |cents: i64, thousandths: i64| Level {
            price: (BID * 100 + cents) * power(price) / 100,
            qty: thousandths * power(qty) / 1_000,
        };
        let bids = [level(cents, qtys[0]), level(cents - 1, qtys[1])];
        let asks = [level(cents + 2, qtys[0]), level(cents + 3, qtys[1])];
        let both = |l: [Level; 2]| l.map(|l| (l.price, l.qty));
        self.rig.top_levels(v as u16, both(bids), both(asks));
        self.rig.turn();
        self.take();
    }

    fn say(&mut self, report: AccountReport) {
        self.rig.account.push(report).expect("room");
        self.rig.turn();
        self.take();
    }

    fn pass(&mut self, ms: u64) {
        self.rig.after(ms);
        self.take();
    }

    /// `thousandths` of the base asset, within `ms`; a limit in cents above the common bid.
    fn begin(&mut self, side: Side, thousandths: i64, limit_cents: Option<i64>, ms: u64) {
        self.begin_by(Algo::Best, side, thousandths, limit_cents, ms);
    }

    /// The same by `algo`, over all venues.
    fn begin_by(
        &mut self,
        algo: Algo,
        side: Side,
        thousandths: i64,
        limit_cents: Option<i64>,
        ms: u64,
    ) {
        let (named, units) = (InstrumentId(0), UNITS[0]);
        let qty = Qty(thousandths * power(units.1) / 1_000);
        let limit = limit_cents.map_or(0, |cents| BID * 100 + cents);
        let best = ParentOrder::best(named, side, qty, Nanos::from_millis(ms));
        let order = ParentOrder { id: ID, limit: Price(limit), ..best };
        let deadline = if algo == Algo::Best { Deadline::GiveUp } else { Deadline::Take };
        let slice_min = Qty(self.slice_min * power(units.1) / 1_000);
        let order = ParentOrder { algo, all_venues: true, rate_e4: 2_000, deadline, ..order };
        let order = ParentOrder { slice_min, ..order };
        (self.side, self.total, self.limit) = (side, finest(0, qty.0), limit);
        self.say(AccountReport::Parent(ParentCommand::Begin(order)));
    }

    fn parent(&self) -> Option<ParentReport> {
        self.rig.agent.router().parent(ID, self.rig.now)
    }

    /// Takes in what was sent, and holds the account against the naive sum.
    fn take(&mut self) {
        for intent in self.rig.sent() {
            assert_eq!((intent.action, intent.tif), (OrderAction::Place, Tif::Ioc));
            let v = usize::from(intent.instrument.0);
            assert!(self.ready[v], "an order for a venue without a session");
            assert!(intent.qty.0 > 0 && intent.qty.0 % UNITS[v].2 == 0, "off lot");
            let alive = |c: &&Child| !c.over && c.intent.instrument == intent.instrument;
            assert!(!self.children.values().any(|c| alive(&c)), "two children at a venue");
            let cents = i128::from(intent.price.0) * 100 / i128::from(power(UNITS[v].0));
            let beyond = i128::from(self.side.sign()) * (cents - i128::from(self.limit));
            assert!(self.limit == 0 || beyond <= 0, "beyond the limit");
            let child = Child { intent, filled: 0, over: false, lost: false };
            self.children.insert(intent.order.0, child);
        }
        let Some(parent) = self.parent() else { return };
        let sum = |of: &dyn Fn(&Child) -> i64| self.children.values().map(of).sum::<i64>();
        let at = |c: &Child| usize::from(c.intent.instrument.0);
        let filled = sum(&|c| finest(at(c), c.filled));
        let open = sum(&|c| if c.over { 0 } else { finest(at(c), c.intent.qty.0 - c.filled) });
        assert_eq!((parent.filled, parent.open), (Qty(filled), Qty(open)), "{parent:?}");
        assert_eq!(parent.left.0, self.total - filled - open, "{parent:?}");
        assert!(parent.is_exact() && parent.over.0 == 0 && parent.left.0 >= 0);
        assert_eq!(self.rig.agent.router().open_of_parent(ID), parent.open);
    }

    fn tell(&mut self, id: u64, kind: ReportKind, state: OrderState, reason: DoneReason) {
        let child = self.children[&id];
        let told = rig::report(&child.intent, kind, state, Qty(child.filled), Qty(0), self.rig.now);
        let AccountReport::Order { report, .. } = told else { unreachable!("of an order") };
        let last_price = child.intent.price;
        let report = OrderReport { reason, last_price, ..report };
        self.say(AccountReport::Order { report, position: Qty(0) });
    }

    /// Fills child `id` by `qty` of its units, at most what is open.
    fn fill(&mut self, id: u64, qty: i64) {
        let child = self.children.get_mut(&id).expect("there");
        child.filled += qty.min(child.intent.qty.0 - child.filled);
        child.over |= child.filled == child.intent.qty.0;
        let full = child.over;
        let state = if full { OrderState::Filled } else { OrderState::PartiallyFilled };
        let state = if child.lost && !full { OrderState::Unknown } else { state };
        self.tell(id, ReportKind::Fill, state, DoneReason::None);
    }

    fn end(&mut self, id: u64, state: OrderState, reason: DoneReason) {
        self.children.get_mut(&id).expect("there").over = true;
        self.tell(id, ReportKind::Done, state, reason);
    }

    fn lose(&mut self, id: u64) {
        self.children.get_mut(&id).expect("there").lost = true;
        self.tell(id, ReportKind::Lost, OrderState::Unknown, DoneReason::None);
    }

    fn refuse(&mut self, id: u64, reason: RefuseReason) {
        let child = self.children.get_mut(&id).expect("there");
        child.over = true;
        let intent = child.intent;
        self.say(AccountReport::Refused {
            order: intent.order,
            action: OrderAction::Place,
            instrument: intent.instrument,
            strategy: StrategyId(0),
            reason,
        });
    }

    /// Children alive at each venue: order and quantity in thousandths.
    fn alive(&self) -> Vec<(usize, i64)> {
        let of = |c: &Child| {
            let v = usize::from(c.intent.instrument.0);
            (v, c.intent.qty.0 * 1_000 / power(UNITS[v].1))
        };
        self.children.values().filter(|c| !c.over).map(of).collect()
    }

    fn child_at(&self, v: usize) -> u64 {
        let at = |c: &Child| !c.over && usize::from(c.intent.instrument.0) == v;
        *self.children.iter().find(|(_, c)| at(c)).expect("a child there").0
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Book(usize, i64, [i64; 2]),
    Session(usize, bool),
    Stale(usize),
    Pass(u64),
    Fill(usize, i64),
    Ack(usize),
    End(usize, OrderState, DoneReason),
    Refuse(usize, RefuseReason),
    Lose(usize),
}

fn step() -> impl Strategy<Value = Step> {
    use DoneReason as D;
    use OrderState as S;
    let v = 0usize..3;
    let n = 0usize..8;
    let states = prop::sample::select(vec![S::Expired, S::Canceled, S::Rejected, S::NotSent]);
    let reasons = vec![D::None, D::NoBudget, D::RateLimit, D::Balance, D::NoSession];
    let refusals = vec![RefuseReason::Session, RefuseReason::BreakerVenue, RefuseReason::Balance];
    prop_oneof![
        6 => (v.clone(), -6i64..6, [0i64..400, 0i64..400])
            .prop_map(|(v, c, q)| Step::Book(v, c, q)),
        1 => (v.clone(), prop::bool::weighted(0.7)).prop_map(|(v, r)| Step::Session(v, r)),
        1 => v.prop_map(Step::Stale),
        6 => (1u64..300).prop_map(Step::Pass),
        6 => (n.clone(), 1i64..20_000).prop_map(|(n, q)| Step::Fill(n, q)),
        2 => n.clone().prop_map(Step::Ack),
        6 => (n.clone(), states, prop::sample::select(reasons))
            .prop_map(|(n, s, r)| Step::End(n, s, r)),
        2 => (n.clone(), prop::sample::select(refusals)).prop_map(|(n, r)| Step::Refuse(n, r)),
        1 => n.prop_map(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_account_is_the_naive_sum_over_all_venues(
        buy in any::<bool>(), qty in 1i64..2_000, limit in prop::option::of(-4i64..8),
        ms in 100u64..20_000, steps in proptest::collection::vec(step(), 1..120),
        slice in 0i64..400,
        algo in prop::sample::select(vec![Algo::Best, Algo::Twap, Algo::Vwap, Algo::Pov]),
    ) {
        let mut world = World::new();
        (0..3).for_each(|v| world.book(v, 0, [100, 200]));
        world.slice_min = slice.min(qty);
        world.begin_by(algo, if buy { Side::Buy } else { Side::Sell }, qty, limit, ms);
        for step in steps {
            let alive: Vec<u64> =
                world.children.iter().filter(|(_, c)| !c.over).map(|(id, _)| *id).collect();
            let nth = |n: usize| alive.get(n % alive.len().max(1)).copied();
            match step {
                Step::Book(v, cents, qtys) => world.book(v, cents, qtys),
                Step::Session(v, ready) => world.session(v, ready),
                Step::Stale(v) => {
                    world.rig.stale(v as u16);
                    world.pass(0);
                }
                Step::Pass(ms) => world.pass(ms),
                Step::Fill(n, qty) => nth(n).into_iter().for_each(|id| world.fill(id, qty)),
                Step::Ack(n) => {
                    if let Some(id) = nth(n).filter(|id| !world.children[id].lost) {
                        world.tell(id, ReportKind::Acked, OrderState::Live, DoneReason::None);
                    }
                }
                Step::End(n, state, reason) => {
                    let never = matches!(state, OrderState::Rejected | OrderState::NotSent);
                    if let Some(id) = nth(n).filter(|id| !never || world.children[id].filled == 0) {
                        world.end(id, state, reason);
                    }
                }
                Step::Refuse(n, reason) => {
                    let fresh = |c: &Child| !c.lost && c.filled == 0;
                    if let Some(id) = nth(n).filter(|id| fresh(&world.children[id])) {
                        world.refuse(id, reason);
                    }
                }
                Step::Lose(n) => nth(n).into_iter().for_each(|id| world.lose(id)),
            }
        }
    }
}

#[test]
fn depth_splits_it_and_what_a_venue_refuses_goes_to_the_others() {
    let mut world = World::new();
    world.book(0, 0, [100, 50]);
    world.book(1, 1, [100, 1_000]);
    world.book(2, 50, [1_000, 1_000]);
    // 0.1 at 2 cents, then 0.05 and 0.1 at 3: the third venue is too dear.
    world.begin(Side::Buy, 250, None, 60_000);
    assert_eq!(world.alive(), [(0, 150), (1, 100)]);
    // One of them refuses for its budget: it is left alone, the other takes the rest.
    let (first, second) = (world.child_at(0), world.child_at(1));
    world.fill(second, i64::MAX);
    world.end(first, OrderState::NotSent, DoneReason::NoBudget);
    world.pass(30);
    assert_eq!(world.alive(), [(1, 150)]);
    let rest = world.child_at(1);
    world.fill(rest, i64::MAX);
    world.pass(30);
    let parent = world.parent().expect("told");
    assert_eq!((parent.state, parent.filled), (ParentState::Ended, parent.total));
    assert_eq!(parent.instrument, InstrumentId(1), "counted in the finest units");
}

#[test]
fn a_venue_that_goes_down_keeps_its_part_until_its_fate_is_known() {
    let mut world = World::new();
    world.book(0, 0, [200, 1_000]);
    world.book(1, 50, [1_000, 1_000]);
    world.begin(Side::Buy, 300, None, 60_000);
    assert_eq!(world.alive(), [(0, 300)]);
    let lost = world.child_at(0);
    world.lose(lost);
    world.session(0, false);
    for _ in 0..40 {
        world.pass(100);
    }
    assert_eq!(world.alive(), [(0, 300)], "its part may still fill there: it goes nowhere else");
    // It had traded a third before the line was cut; the rest never will.
    world.fill(lost, 100);
    world.end(lost, OrderState::Canceled, DoneReason::None);
    world.pass(30);
    assert_eq!(world.alive(), [(1, 200)]);
    let rest = world.child_at(1);
    world.fill(rest, i64::MAX);
    world.pass(30);
    assert_eq!(world.parent().map(|p| p.end), Some(ParentEnd::Filled));
}

#[test]
fn a_slow_venue_costs_more_and_a_limit_is_kept() {
    let mut world = World::new();
    world.book(0, 0, [1_000, 1_000]);
    world.book(1, 1, [1_000, 1_000]);
    world.begin(Side::Buy, 100, Some(2), 60_000);
    assert_eq!(world.alive(), [(0, 100)]);
    // It answers after two seconds: a cent in a hundred thousand is not worth that.
    let slow = world.child_at(0);
    world.pass(2_000);
    world.tell(slow, ReportKind::Acked, OrderState::Live, DoneReason::None);
    world.fill(slow, 40);
    world.end(slow, OrderState::Expired, DoneReason::None);
    world.pass(30);
    // Beyond the limit of two cents there is only the slow one.
    assert_eq!(world.alive(), [(0, 60)]);
    world.book(1, 0, [1_000, 1_000]);
    let again = world.child_at(0);
    world.end(again, OrderState::Expired, DoneReason::None);
    world.pass(30);
    assert_eq!(world.alive(), [(1, 60)], "at the same price the quick one");
}

#[test]
fn a_schedule_over_all_venues_takes_each_slice_where_it_is_best() {
    let mut world = World::new();
    world.book(0, 0, [1_000, 1_000]);
    world.book(1, 5, [1_000, 1_000]);
    // A thousandth at a time: 160 over eight seconds.
    world.begin_by(Algo::Twap, Side::Buy, 160, None, 8_000);
    let mut at = [0i64; 3];
    for n in 0..90 {
        // The second venue becomes the better one half way.
        if n == 40 {
            world.book(0, 9, [1_000, 1_000]);
        }
        world.pass(100);
        for (v, qty) in world.alive() {
            at[v] += qty;
            let child = world.child_at(v);
            world.fill(child, i64::MAX);
        }
    }
    let parent = world.parent().expect("told");
    assert_eq!((parent.end, parent.filled), (ParentEnd::Filled, parent.total), "{parent:?}");
    assert!(parent.children >= 8 && parent.all_venues, "{parent:?}");
    assert_eq!(at.iter().sum::<i64>(), 160);
    assert!(at[0] >= 60 && at[1] >= 60 && at[2] == 0, "{at:?}");
}

#[test]
fn a_tail_below_the_smallest_slice_is_taken_all_the_same() {
    let mut world = World::new();
    world.book(0, 0, [70, 0]);
    world.slice_min = 60;
    world.begin(Side::Buy, 100, None, 60_000);
    assert_eq!(world.alive(), [(0, 70)]);
    let first = world.child_at(0);
    world.fill(first, i64::MAX);
    world.book(0, 0, [500, 0]);
    world.pass(30);
    assert_eq!(world.alive(), [(0, 30)]);
    let rest = world.child_at(0);
    world.fill(rest, i64::MAX);
    world.pass(30);
    assert_eq!(world.parent().map(|p| p.end), Some(ParentEnd::Filled));
}

/// The gate refuses it for its size until a slice would be below the smallest.
#[test]
fn an_order_that_comes_in_halves_is_not_held_up_by_its_smallest_slice() {
    let mut world = World::new();
    world.book(0, 0, [1_000, 1_000]);
    world.slice_min = 60;
    world.begin(Side::Buy, 100, None, 600_000);
    for _ in 0..4 {
        let child = world.child_at(0);
        world.refuse(child, RefuseReason::FatNotional);
        (0..40).for_each(|_| world.pass(50));
    }
    assert_eq!(world.alive(), [(0, 6)]);
}

#[test]
fn what_rests_is_refused_over_all_venues() {
    for algo in [Algo::Iceberg, Algo::Pegged] {
        let mut world = World::new();
        (0..3).for_each(|v| world.book(v, 0, [100, 200]));
        world.begin_by(algo, Side::Buy, 100, Some(1), 8_000);
        assert!(world.parent().is_none() && world.alive().is_empty(), "{algo:?}");
    }
}
