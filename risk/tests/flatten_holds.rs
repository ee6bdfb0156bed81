//! In a stop that closes what is held the gate lets nothing pass that is not the operator's or that
//! could make a position larger, in any order of fills.

mod common;

use bot4_lanes::Phase;
use bot4_risk::{Decision, RiskCore, RiskLimits};
use bot4_types::{
    Cause, ControlMode, ExecMsg, InstrumentId, Nanos, OrderAction, OrderId, OrderIntent, OrderKind,
    Price, Qty, RefuseReason, Side, StrategyId, Tif, Trail,
};
use common::{ONE, config, mark};
use proptest::prelude::*;

fn intent(id: u64, strategy: u8, side: Side, lots: i64, cause: Cause) -> OrderIntent {
    OrderIntent {
        trail: Trail::default(),
        order: OrderId(id),
        price: Price(100 * ONE),
        qty: Qty(lots * 1_000_000),
        stop_ticks: 10,
        instrument: InstrumentId(0),
        strategy: StrategyId(strategy),
        cause,
        expires: Nanos::MAX,
        action: OrderAction::Place,
        kind: OrderKind::Limit,
        tif: Tif::Ioc,
        trigger: bot4_types::Price(0),
        until: bot4_types::Nanos::MAX,
        reduce_only: false,
        side,
        parent: bot4_types::ParentId::NONE,
    }
}

fn trading() -> RiskCore {
    let limits = RiskLimits { mark_age_ns_max: u64::MAX, ..RiskLimits::default() };
    let mut core = RiskCore::new(&config(limits)).expect("valid");
    core.on_turn(Nanos(1));
    core.on_report(&ExecMsg::Session { at: Nanos(1), venue: bot4_types::VenueId(0), ready: true });
    for i in 0..2 {
        core.on_mark(&mark(i, 100 * ONE, Nanos(1)));
    }
    core
}

/// Fills `order` wholly.
fn fill(core: &mut RiskCore, order: &OrderIntent, trade: u64) {
    let all = order.qty.0;
    core.on_report(&ExecMsg::Order(common::fill(order, 1, all, all, trade)));
}

proptest! {
    #[test]
    fn nothing_grows_and_nobody_else_trades(
        first in proptest::collection::vec((0u8..2, any::<bool>(), 1i64..30), 1..5),
        then in proptest::collection::vec(
            (0u8..2, any::<bool>(), 1i64..60, 0usize..Cause::ALL.len(), any::<bool>()), 1..60),
        emergency in any::<bool>(),
    ) {
        let mut core = trading();
        let side = |buy| if buy { Side::Buy } else { Side::Sell };
        let mut id = 0;
        for (strategy, buy, lots) in first {
            id += 1;
            let order = intent(id, strategy, side(buy), lots, Cause::Market);
            if matches!(core.on_intent(&order, Phase::Run), Decision::Approved(_)) {
                fill(&mut core, &order, id);
            }
        }
        if emergency {
            core.set_mode(ControlMode::Emergency);
        }
        let net = |core: &RiskCore| {
            let all = [0, 1].map(|s| core.ledger().position(StrategyId(s), InstrumentId(0)).0);
            (all[0] + all[1], all)
        };
        let (mut total, mut own) = net(&core);
        let mut open = Vec::new();
        for (strategy, buy, lots, cause, fills) in then {
            id += 1;
            let cause = Cause::ALL[cause];
            let order = intent(id, strategy, side(buy), lots, cause);
            match core.on_intent(&order, Phase::Flatten) {
                Decision::Approved(_) => {
                    prop_assert_eq!(cause, Cause::Operator);
                    open.push(order);
                }
                Decision::Refused(reason) => {
                    let other = cause != Cause::Operator;
                    prop_assert!(!other || reason == RefuseReason::Killed, "{reason:?}");
                }
            }
            if fills && let Some(order) = open.pop() {
                fill(&mut core, &order, id);
            }
            let now = net(&core);
            let nearer = |a: i64, b: i64| a.abs() <= b.abs() && a.signum() * b.signum() >= 0;
            prop_assert!(nearer(now.0, total), "{total} became {}", now.0);
            prop_assert!((0..2).all(|s| nearer(now.1[s], own[s])), "{own:?} became {:?}", now.1);
            (total, own) = now;
        }
    }
}

/// A ledger that contradicts the venue is no ground to close positions on.
#[test]
fn drift_closes_nothing() {
    let mut core = trading();
    let buy = intent(1, 0, Side::Buy, 10, Cause::Market);
    assert!(matches!(core.on_intent(&buy, Phase::Run), Decision::Approved(_)));
    fill(&mut core, &buy, 1);
    let sell = |id| intent(id, 0, Side::Sell, 5, Cause::Operator);
    assert!(matches!(core.on_intent(&sell(2), Phase::Flatten), Decision::Approved(_)));
    // A fill of an order that nobody knows.
    fill(&mut core, &intent(77, 0, Side::Buy, 1, Cause::Market), 9);
    assert!(core.ledger().counts().drift() > 0);
    let killed = Decision::Refused(RefuseReason::Killed);
    assert_eq!(core.on_intent(&sell(3), Phase::Flatten), killed);
}
