//! No allocation after start: a sealed agent through approvals, refusals, fills, ends and
//! duplicates, long enough that slots and fill nodes are recycled.

mod common;

use bot4_alloc::SealedAlloc;
use bot4_alloc::seal::{Class, allocations, deallocations, enter, register, seal};
use bot4_lanes::{Agent, Control, LogTx, Metrics, Probe, ring};
use bot4_risk::{RiskAgent, RiskLimits, RiskPorts};
use bot4_types::rng::SplitMix64;
use bot4_types::{
    ExecMsg, Nanos, OrderAction, OrderIntent, OrderReport, OrderState, ReportKind, Side,
};
use common::{Life, ONE, config, disturb, mark, place};

#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;

/// Nothing stays open here, or the unknown orders would close both sides.
fn ended(mut life: Vec<OrderReport>, intent: &OrderIntent) -> Vec<OrderReport> {
    if life.last().is_none_or(|r| !r.state.is_terminal()) {
        let (seq, cum) = life.last().map_or((0, 0), |r| (r.seq, r.cum_qty.0));
        life.push(common::report(intent, seq + 1, ReportKind::Done, OrderState::Canceled, cum));
    }
    life
}

#[test]
fn a_turn_allocates_nothing() {
    let (mut marks, marks_rx) = ring(64);
    let (mut reports, reports_rx) = ring(1_024);
    let (_commands, commands_rx) = ring(4);
    let (mut intents, intents_rx) = ring(64);
    let (approved_tx, mut approved) = ring(64);
    let (account_tx, mut account) = ring(1_024);
    let (log_tx, mut log) = ring(4_096);
    let ports = RiskPorts {
        marks: vec![marks_rx],
        reports: vec![reports_rx],
        commands: commands_rx,
        intents: intents_rx,
        approved: vec![approved_tx],
        account: account_tx,
        log: LogTx::new(log_tx, 0),
        control: Control::new(),
    };
    let limits = RiskLimits { position_equity_e4: 9_000, ..RiskLimits::default() };
    let mut config = config(limits);
    // Open for a turn only: breakers open again and again, and orders pass all the same.
    (config.breakers.open_ns, config.breakers.errors_max) = (1_000_000, 20);
    let mut agent = RiskAgent::new(config, ports, &Metrics::in_memory()).expect("valid");
    let (other, tag) = (register(Class::Hot), register(Class::Hot));
    seal(other);
    let scope = enter(other);
    drop(std::hint::black_box(Box::new(7u64)));
    drop(scope);
    assert_eq!((allocations(other), deallocations(other)), (1, 1), "the seal sees");
    seal(tag);
    let (mut rng, mut probe, mut trade) = (SplitMix64::new(5), Probe::logical(), 0);
    reports
        .push(ExecMsg::Session { at: Nanos(0), venue: bot4_types::VenueId(0), ready: true })
        .expect("room");
    for id in 1..40_000u64 {
        let now = Nanos::from_millis(id * 3);
        let side = if rng.below(2) == 0 { Side::Buy } else { Side::Sell };
        let price = 98 * ONE + rng.below(5) as i64 * ONE;
        let qty = (1 + rng.below(900) as i64) * ONE / 1_000;
        let intent = place(id, rng.below(2) as u16, side, price, qty);
        intents.push(intent).expect("room");
        if rng.below(10) == 0 {
            let cancel = OrderIntent { action: OrderAction::Cancel, ..intent };
            intents.push(cancel).expect("room");
        }
        for instrument in 0..2 {
            marks.push(mark(instrument, 100 * ONE, now)).expect("room");
        }
        probe.set(now);
        let scope = enter(tag);
        agent.work(now, &mut probe).expect("no fault");
        drop(scope);
        while let Some(order) = approved.pop() {
            if order.intent().action == OrderAction::Place {
                let life = Life::draw(order.intent(), &mut rng, &mut trade);
                for report in disturb(&ended(life, order.intent()), &mut rng, 3) {
                    reports.push(ExecMsg::Order(report)).expect("room");
                }
            }
        }
        while account.pop().is_some() {}
        while log.pop().is_some() {}
    }
    assert_eq!((allocations(tag), deallocations(tag)), (0, 0));
    let counts = agent.core().ledger().counts();
    assert!(agent.core().placed() > 10_000, "slots were recycled: {}", agent.core().placed());
    let opened = agent.core().breakers().counts().opened;
    assert!(opened.iter().all(|n| *n > 100), "breakers opened: {opened:?}");
    let met = (counts.fills, counts.duplicates, agent.core().canceled());
    assert!(met.0 > 5_000 && met.1 > 1_000 && met.2 > 1_000, "too quiet: {met:?}");
}
