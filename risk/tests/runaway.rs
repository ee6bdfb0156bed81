//! A strategy that runs away: a million intents within a second, with the wrong sign and size. From
//! the intent that trips the latch on nothing passes, and what passed before is within the limits.

mod common;

use bot4_lanes::Phase;
use bot4_risk::RiskLimits;
use bot4_risk::latch::LatchKind;
use bot4_risk::{Decision, RiskCore};
use bot4_types::{ExecMsg, Nanos, OrderIntent, RefuseReason, Side, StrategyId};
use common::{ONE, config, mark, place};

/// Intents of the strategy, one a microsecond.
const INTENTS: u64 = 1_000_000;

/// What came of a million intents made by `make`: approved before the trip, after it, and the
/// number of the intent that tripped.
fn run_away(make: impl Fn(u64) -> OrderIntent) -> (u64, u64, Option<u64>) {
    let mut core = RiskCore::new(&config(RiskLimits::default())).expect("valid");
    core.on_turn(Nanos::from_secs(5));
    core.on_report(&ExecMsg::Session {
        at: Nanos::ZERO,
        venue: bot4_types::VenueId(0),
        ready: true,
    });
    let (mut before, mut after, mut tripped) = (0, 0, None);
    for n in 0..INTENTS {
        let now = Nanos(5_000_000_000 + n * 1_000);
        core.on_turn(now);
        core.on_mark(&mark(0, 100 * ONE, now));
        core.on_mark(&mark(1, 100 * ONE, now));
        let decision = core.on_intent(&make(n + 1), Phase::Run);
        let approved = u64::from(matches!(decision, Decision::Approved(_)));
        match tripped {
            None => before += approved,
            Some(_) => {
                after += approved;
                assert_eq!(decision, Decision::Refused(RefuseReason::Killed));
            }
        }
        if tripped.is_none() && core.latches().stands() {
            assert!(core.latches().is_standing(LatchKind::Runaway));
            tripped = Some(n);
        }
    }
    (before, after, tripped)
}

#[test]
fn a_million_intents_within_a_second() {
    let limits = RiskLimits::default();
    let plain = |n, side, price, qty| OrderIntent {
        strategy: StrategyId(0),
        ..place(n, 0, side, price, qty)
    };
    let (before, after, tripped) = run_away(|n| plain(n, Side::Buy, 99 * ONE, ONE / 100));
    println!("all buys: tripped at intent {tripped:?}, {before} orders before, {after} after");
    assert_eq!(after, 0);
    assert!(before > 0 && before <= u64::from(limits.strategy_orders_burst) + 1, "{before}");
    assert!(tripped.is_some_and(|n| n <= u64::from(limits.runaway_intents_per_s)));
    let (before, after, tripped) = run_away(|n| plain(n, Side::Buy, 99 * ONE, 90_000 * ONE));
    println!("far too large: tripped at intent {tripped:?}, {before} orders before, {after} after");
    assert_eq!((before, after), (0, 0));
    assert!(tripped.is_some_and(|n| n < u64::from(limits.runaway_refused_row)));
    let bare = |n| OrderIntent { stop_ticks: 0, ..plain(n, Side::Buy, 99 * ONE, ONE / 100) };
    let (before, after, tripped) = run_away(bare);
    println!(
        "without a stop: tripped at intent {tripped:?}, {before} orders before, {after} after"
    );
    assert_eq!((before, after), (0, 0));
    assert!(tripped.is_some());
}
