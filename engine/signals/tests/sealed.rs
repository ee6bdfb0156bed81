//! After its start the agent never calls the allocator.

mod rig;

use bot4_alloc::{Class, SealedAlloc, seal};
use bot4_signals::strategy;
use bot4_types::{OrderAction, OrderState, Qty, ReportKind};
use rig::{ONE, Rig};

#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;

#[test]
fn a_busy_agent_does_not_allocate() {
    let mut rig = Rig::ready(strategy::ROSTER.iter().map(|(_, make)| make()).collect());
    let tag = seal::register(Class::Hot);
    seal::seal(tag);
    let mut orders = 0;
    for n in 0..2_000i64 {
        let wave = (n % 160 - 80).abs() * ONE / 4; // crosses the averages now and then
        for i in 0..4 {
            rig.top(i, 600 * ONE + wave, 600 * ONE + wave + ONE / 10);
        }
        if n % 500 == 499 {
            rig.stale((n / 500) as u16);
        }
        rig.now = bot4_types::Nanos(rig.now.0 + 10_000_000);
        {
            let _charged = seal::enter(tag);
            rig.turn();
        }
        for intent in rig.sent() {
            let (kind, state) = match intent.action {
                OrderAction::Place => (ReportKind::Acked, OrderState::Live),
                OrderAction::Amend => (ReportKind::Amended, OrderState::Live),
                OrderAction::Cancel => (ReportKind::Done, OrderState::Canceled),
            };
            orders += usize::from(intent.action == OrderAction::Place);
            let taken = intent.kind == bot4_types::OrderKind::Limit;
            let report = if taken {
                let filled = OrderState::Filled;
                rig::report(&intent, ReportKind::Fill, filled, intent.qty, Qty(0), rig.now)
            } else {
                rig::report(&intent, kind, state, Qty(0), Qty(0), rig.now)
            };
            rig.account.push(report).expect("room");
        }
    }
    assert!(orders > 1_000 && rig.count("intents_takes") > 10, "{orders} orders: not busy");
    assert_eq!((seal::allocations(tag), seal::deallocations(tag)), (0, 0));
    // The instrument itself works: an allocation would have been seen.
    {
        let _charged = seal::enter(tag);
        drop(std::hint::black_box(vec![0u8; 100]));
    }
    assert_eq!(seal::allocations(tag), 1);
}
