//! Whatever is asked for and whatever happens to orders and limits: no worst case grows beyond a
//! limit, nothing is spent twice and no two own orders can meet.

mod common;

use std::collections::BTreeMap;

use bot4_lanes::Phase;
use bot4_risk::{Decision, LimitBook, RiskCore, RiskLimits, ScopeLimits, Scopes, reload, units};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    AssetId, ExecMsg, InstrumentId, Nanos, OrderAction, OrderId, OrderIntent, OrderKind,
    OrderReport, OrderState, Side,
};
use common::{Life, ONE, STRATEGIES, config, disturb, mark, place};
use proptest::prelude::*;

const LIMIT: i128 = units(1_500);

fn limits() -> RiskLimits {
    RiskLimits {
        position_equity_e4: 10_000,
        position_value_max: LIMIT,
        mark_age_ns_max: u64::MAX,
        ..RiskLimits::default()
    }
}

fn ready_core(config: &bot4_risk::RiskConfig) -> RiskCore {
    let mut core = RiskCore::new(config).expect("valid");
    core.on_turn(Nanos::from_secs(1));
    core.on_report(&ExecMsg::Session { at: Nanos(0), venue: bot4_types::VenueId(0), ready: true });
    for instrument in 0..2 {
        core.on_mark(&mark(instrument, 100 * ONE, Nanos::from_secs(1)));
    }
    core
}

fn wish(rng: &mut SplitMix64, id: u64) -> OrderIntent {
    let side = if rng.below(2) == 0 { Side::Buy } else { Side::Sell };
    let price = 98 * ONE + rng.below(5) as i64 * ONE;
    let qty = (1 + rng.below(8_000) as i64) * (ONE / 1_000);
    let mut intent = place(id, rng.below(2) as u16, side, price, qty);
    match rng.below(12) {
        0 => intent.kind = OrderKind::Market,
        1 => intent.stop_ticks = 0,
        2 => intent.order = OrderId(1 + rng.below(id)),
        3 => intent.action = OrderAction::Cancel,
        4 => intent.qty.0 += 1,
        _ => {}
    }
    intent
}

/// Limits of a reload. The marks stand at 100, so a value is a hundred times the quantity.
#[derive(Clone, Copy)]
struct Bounds {
    position: [i128; 2],
    gross: i128,
    net: i128,
}

impl Bounds {
    fn draw(rng: &mut SplitMix64) -> Self {
        let mut any = |of: [i64; 3]| units(of[rng.below(3) as usize]);
        let position = [any([300, 900, 1_500]), any([300, 900, 1_500])];
        Self { position, gross: any([500, 1_500, 9_000]), net: any([400, 1_200, 9_000]) }
    }

    /// The commands by which they reach risk.
    fn load(&self, core: &mut RiskCore) {
        let account =
            RiskLimits { gross_value_max: self.gross, net_value_max: self.net, ..limits() };
        let row = |position_value_max| ScopeLimits { position_value_max, ..Default::default() };
        let instruments = self.position.map(row).to_vec();
        let book =
            LimitBook::new(&account, &Scopes { instruments, ..Scopes::default() }, STRATEGIES, 2);
        reload::commands(&book).iter().for_each(|command| core.on_command(command));
    }
}

/// Worst cases in value: of each instrument by side, gross, and net by side.
#[derive(Clone, Copy)]
struct Worst {
    position: [[i128; 2]; 2],
    gross: i128,
    net: [i128; 2],
}

impl Worst {
    fn of(core: &RiskCore) -> Self {
        let position = [0, 1].map(|i| {
            let total = core.ledger().total(InstrumentId(i)).expect("known");
            [Side::Buy, Side::Sell].map(|side| total.worst(side) * i128::from(100 * ONE))
        });
        let gross = position.iter().map(|sides| sides[0].max(sides[1]).max(0)).sum();
        let net = [0, 1].map(|side| position[0][side] + position[1][side]);
        Self { position, gross, net }
    }
}

/// The order can only bring what is held nearer to zero. Nothing holds it up: it may end a hedge,
/// and so let the net grow.
fn reduces(core: &RiskCore, intent: &OrderIntent) -> bool {
    let ledger = core.ledger();
    let own = ledger.exposure(intent.strategy, intent.instrument);
    [ledger.total(intent.instrument), own]
        .iter()
        .all(|e| e.is_some_and(|e| e.worst(intent.side) + i128::from(intent.qty.0) <= 0))
}

/// Whatever is above its limit is what a tighter limit found there, and has not grown.
fn assert_held(
    core: &RiskCore,
    bounds: &Bounds,
    before: &Worst,
    reduced: bool,
) -> Result<(), TestCaseError> {
    let now = Worst::of(core);
    for (i, sides) in now.position.into_iter().enumerate() {
        for (side, value) in sides.into_iter().enumerate() {
            let most = bounds.position[i].max(before.position[i][side]);
            prop_assert!(value <= most, "worst case {value} of {i}, limit {most}");
        }
    }
    prop_assert!(now.gross <= bounds.gross.max(before.gross), "gross {}", now.gross);
    for (net, before) in now.net.into_iter().zip(before.net) {
        prop_assert!(reduced || net <= bounds.net.max(before), "net {net}");
    }
    for asset in (0..3).map(AssetId) {
        prop_assert!(core.ledger().free(asset) >= 0, "asset {} is overdrawn", asset.0);
    }
    Ok(())
}

/// No two open orders of opposite sides meet.
fn assert_no_self_trade(
    core: &RiskCore,
    open: &BTreeMap<OrderId, OrderIntent>,
) -> Result<(), TestCaseError> {
    let working = |side| {
        let alive =
            |o: &&OrderIntent| core.ledger().order(o.order).is_some_and(|s| !s.state.is_terminal());
        open.values().filter(move |o| o.side == side).filter(alive)
    };
    for buy in working(Side::Buy) {
        for sell in working(Side::Sell).filter(|s| s.instrument == buy.instrument) {
            let at_market = buy.kind == OrderKind::Market || sell.kind == OrderKind::Market;
            prop_assert!(!at_market && buy.price < sell.price, "{buy:?} meets {sell:?}");
        }
    }
    Ok(())
}

/// How often each kind of event came in a life.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    placed: u64,
    canceled: u64,
    refused: u64,
    fills: u64,
    rejects: u64,
    unknowns: u64,
    reloads: u64,
    /// Reloads that found more than they allow.
    above: u64,
}

impl Seen {
    fn note(&mut self, report: &OrderReport) {
        self.rejects += u64::from(report.state == OrderState::Rejected);
        self.unknowns += u64::from(report.state == OrderState::Unknown);
    }

    /// The books of counts are closed at the end of a life.
    fn close(&mut self, core: &RiskCore) -> Result<(), TestCaseError> {
        let refused = bot4_types::RefuseReason::ALL.iter().map(|r| core.refused(*r)).sum();
        (self.placed, self.canceled, self.refused) = (core.placed(), core.canceled(), refused);
        self.fills = core.ledger().counts().fills;
        prop_assert_eq!(core.checked(), self.placed + self.canceled + self.refused);
        prop_assert!(self.placed > 0, "the world must let something through");
        prop_assert_eq!(core.ledger().counts().drift(), 0);
        prop_assert_eq!(core.limit_changes(), (self.reloads, 0));
        assert_profit_explains_equity(core)
    }
}

/// One account's life: intents, cancels, reports doubled and out of order, reloads.
fn live(seed: u64) -> Result<Seen, TestCaseError> {
    let mut rng = SplitMix64::new(seed);
    let mut core = ready_core(&config(limits()));
    let mut open: BTreeMap<OrderId, OrderIntent> = BTreeMap::new();
    let mut waiting: Vec<OrderReport> = Vec::new();
    let (mut trade, mut seen) = (0, Seen::default());
    let mut bounds = Bounds { position: [LIMIT; 2], gross: i128::MAX, net: i128::MAX };
    for id in 1..150u64 {
        core.on_turn(Nanos::from_secs(1) + Nanos::from_millis(id));
        if rng.below(15) == 0 {
            bounds = Bounds::draw(&mut rng);
            bounds.load(&mut core);
            seen.reloads += 1;
            seen.above += u64::from(Worst::of(&core).gross > bounds.gross);
        }
        let mut intent = wish(&mut rng, id);
        if intent.action == OrderAction::Cancel {
            let old = open.values().nth(rng.below(open.len() as u64 + 1) as usize);
            intent = old.map_or(intent, |old| OrderIntent { action: intent.action, ..*old });
        }
        let known = core.ledger().order(intent.order).is_some();
        let (before, reduced) = (Worst::of(&core), reduces(&core, &intent));
        match core.on_intent(&intent, Phase::Run) {
            Decision::Approved(approval) if intent.action == OrderAction::Place => {
                prop_assert!(!known, "a number is used once");
                let own = core.ledger().exposure(intent.strategy, intent.instrument);
                prop_assert!(
                    approval.intent().stop_ticks > 0
                        || own.is_some_and(|e| e.worst(intent.side) <= 0)
                );
                open.insert(intent.order, intent);
                waiting.extend(Life::draw(&intent, &mut rng, &mut trade));
            }
            _ => {}
        }
        assert_held(&core, &bounds, &before, reduced)?;
        assert_no_self_trade(&core, &open)?;
        if rng.below(3) == 0 {
            let now = rng.below(waiting.len() as u64 + 1) as usize;
            let part: Vec<OrderReport> = waiting.drain(..now).collect();
            for report in disturb(&part, &mut rng, 4) {
                let before = Worst::of(&core);
                core.on_report(&ExecMsg::Order(report));
                seen.note(&report);
                assert_held(&core, &bounds, &before, false)?;
            }
        }
    }
    seen.close(&core)?;
    Ok(seen)
}

proptest! {
    #![proptest_config(common::cases(200))]

    #[test]
    fn worst_case_balance_and_self_trade(seed in any::<u64>()) {
        live(seed)?;
    }
}

/// Every event that the property speaks of comes, and often.
#[test]
fn each_kind_of_event_comes() {
    let lives: Vec<Seen> = (0..20).map(|seed| live(seed).expect("it holds")).collect();
    let often = |of: fn(&Seen) -> u64, n| {
        let sum: u64 = lives.iter().map(of).sum();
        assert!(sum > n, "{sum} of {n}: {lives:?}");
    };
    often(|s| s.placed.min(s.refused), 200);
    often(|s| s.fills, 200);
    often(|s| s.canceled, 20);
    often(|s| s.rejects, 20);
    often(|s| s.unknowns, 20);
    often(|s| s.reloads, 100);
    often(|s| s.above, 20);
}

proptest! {
    #![proptest_config(common::cases(500))]

    /// Numbers from anywhere: an answer, never a panic, and the books of counts stay closed.
    #[test]
    fn any_numbers_give_an_answer(seed in any::<u64>()) {
        let mut rng = SplitMix64::new(seed);
        let config = config(limits());
        let mut core = ready_core(&config);
        let wild = |rng: &mut SplitMix64| match rng.below(6) {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => rng.next_u64() as i64,
            3 => rng.below(3) as i64 - 1,
            _ => 100 * ONE,
        };
        for id in 1..60u64 {
            core.on_turn(Nanos(rng.next_u64() >> rng.below(64)));
            let mut intent = wish(&mut rng, id);
            let good = intent;
            (intent.price.0, intent.qty.0) = (wild(&mut rng), wild(&mut rng));
            intent.instrument.0 = rng.below(4) as u16;
            intent.strategy.0 = rng.below(300) as u8;
            core.on_intent(&intent, Phase::Run);
            core.on_intent(&OrderIntent { order: OrderId(1_000 + id), ..good }, Phase::Run);
            let seq = rng.below(9) as u32;
            let mut report = common::fill(&good, seq, wild(&mut rng), wild(&mut rng), id);
            report.order = OrderId(rng.below(1_100));
            report.last_price.0 = wild(&mut rng);
            report.fee = i128::from(wild(&mut rng)) << rng.below(62);
            report.fee_asset.0 = rng.below(6) as u8;
            report.instrument.0 = rng.below(3) as u16;
            report.state = *pick(bot4_types::OrderState::ALL, &mut rng);
            report.kind = *pick(bot4_types::ReportKind::ALL, &mut rng);
            core.on_report(&ExecMsg::Order(report));
            let at = Nanos(rng.next_u64());
            let asset = AssetId(rng.below(5) as u8);
            let free = i128::from(wild(&mut rng)) << 60;
            core.on_report(&ExecMsg::Balance { at, asset, free, locked: i128::MAX });
            let mut mark = mark(rng.below(3) as u16, 100 * ONE, at);
            (mark.micro, mark.last_trade) = (wild(&mut rng), wild(&mut rng));
            core.on_mark(&mark);
            let _ = core.pnl();
        }
        let refused: u64 = bot4_types::RefuseReason::ALL.iter().map(|r| core.refused(*r)).sum();
        prop_assert_eq!(core.checked(), core.placed() + core.canceled() + refused);
    }
}

fn pick<'a, T>(all: &'a [T], rng: &mut SplitMix64) -> &'a T {
    &all[rng.below(all.len() as u64) as usize]
}

/// Everything started with is quoted in one asset at fixed marks: what equity gained is profit
/// less fees, to the rounding of a handful of conversions.
fn assert_profit_explains_equity(core: &RiskCore) -> Result<(), TestCaseError> {
    let worth = |balance: &dyn Fn(AssetId) -> i128| -> i128 {
        balance(AssetId(0)) * 100 + balance(AssetId(1)) * 100 + balance(AssetId(2))
    };
    let start = |asset: AssetId| common::balances()[usize::from(asset.0)].1;
    let gained = worth(&|a| core.ledger().expected_balance(a)) - worth(&start);
    let pnl = core.pnl();
    prop_assert_eq!(pnl.unvalued, 0);
    let told = pnl.realized + pnl.unrealized - pnl.fees;
    prop_assert!((gained - told).abs() <= 8, "gained {gained}, told {told}");
    Ok(())
}

#[test]
fn the_default_limit_is_two_per_cent_of_equity() {
    let config = config(RiskLimits { mark_age_ns_max: u64::MAX, ..RiskLimits::default() });
    let mut core = ready_core(&config);
    // Equity: 50 * 100 + 50 * 100 + 20,000 = 30,000; two per cent are six units at 100.
    let buy = |id, qty| place(id, 0, Side::Buy, 100 * ONE, qty);
    let too_much = core.on_intent(&buy(1, 6 * ONE + 1_000), Phase::Run);
    assert_eq!(too_much, Decision::Refused(bot4_types::RefuseReason::Position));
    assert_eq!(core.equity(), Some(units(30_000)));
    assert!(matches!(core.on_intent(&buy(2, 6 * ONE), Phase::Run), Decision::Approved(_)));
    let more = core.on_intent(&buy(3, 1_000), Phase::Run);
    assert_eq!(more, Decision::Refused(bot4_types::RefuseReason::Position));
    assert_eq!(core.ledger().total(InstrumentId(0)).map(|e| e.open), Some(1));
}

#[test]
fn nothing_increases_before_equity_is_known() {
    let config = config(limits());
    let mut core = RiskCore::new(&config).expect("valid");
    core.on_report(&ExecMsg::Session { at: Nanos(0), venue: bot4_types::VenueId(0), ready: true });
    core.on_mark(&mark(0, 100 * ONE, Nanos(1)));
    let buy = |id| place(id, 0, Side::Buy, 100 * ONE, ONE);
    let early = core.on_intent(&buy(1), Phase::Run);
    assert_eq!(early, Decision::Refused(bot4_types::RefuseReason::Position));
    core.on_mark(&mark(1, 100 * ONE, Nanos(1)));
    assert!(matches!(core.on_intent(&buy(2), Phase::Run), Decision::Approved(_)));
}

#[test]
fn approvals_use_up_the_rate_and_time_gives_it_back() {
    let limits = RiskLimits {
        strategy_orders_burst: 2,
        strategy_orders_per_s: 1,
        cancels_burst: 1,
        cancels_per_s: 1,
        ..limits()
    };
    let mut core = ready_core(&config(limits));
    let refused = Decision::Refused(bot4_types::RefuseReason::Rate);
    // Even numbers belong to strategy 0.
    let buy = |id| place(id, 0, Side::Buy, 100 * ONE, ONE);
    let cancel = |id| OrderIntent { action: OrderAction::Cancel, ..buy(id) };
    assert!(matches!(core.on_intent(&buy(2), Phase::Run), Decision::Approved(_)));
    assert!(matches!(core.on_intent(&buy(4), Phase::Run), Decision::Approved(_)));
    assert_eq!(core.on_intent(&buy(6), Phase::Run), refused);
    assert!(matches!(core.on_intent(&buy(7), Phase::Run), Decision::Approved(_)));
    assert!(matches!(core.on_intent(&cancel(2), Phase::Run), Decision::Approved(_)));
    assert_eq!(core.on_intent(&cancel(2), Phase::Run), refused);
    core.on_turn(Nanos::from_secs(2));
    assert!(matches!(core.on_intent(&buy(8), Phase::Run), Decision::Approved(_)));
    assert!(matches!(core.on_intent(&cancel(4), Phase::Run), Decision::Approved(_)));
}

#[test]
fn a_number_is_used_even_when_it_was_refused() {
    let mut core = ready_core(&config(limits()));
    let buy = |id| place(id, 0, Side::Buy, 100 * ONE, ONE);
    let killed = Decision::Refused(bot4_types::RefuseReason::Killed);
    assert_eq!(core.on_intent(&buy(5), Phase::Kill), killed);
    let again = Decision::Refused(bot4_types::RefuseReason::DuplicateId);
    assert_eq!(core.on_intent(&buy(5), Phase::Run), again);
    assert_eq!(core.on_intent(&buy(4), Phase::Run), again);
    assert!(matches!(core.on_intent(&buy(6), Phase::Run), Decision::Approved(_)));
}
