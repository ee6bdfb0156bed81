//! The risk lane's machine and the shared breaker are one machine: driven by the same calls from
//! one thread, with a clock that may turn back, they give the same answers.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bot4_risk::breaker::{
    Breaker, BreakerConfig, Clock, Events, Machine, Permit, SeededJitter, Ticket,
};
use bot4_types::Nanos;
use proptest::prelude::*;

#[derive(Clone, Default)]
struct Set(Arc<AtomicU64>);

impl Clock for Set {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Time goes on, or back, by so many tenths of a millisecond.
    Time(i64),
    /// A permit is asked for.
    Ask,
    /// The n-th permit that is out succeeds, fails, or is given back.
    Succeed(usize),
    Fail(usize),
    GiveBack(usize),
    Trip,
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (-20i64..100).prop_map(Step::Time),
        6 => Just(Step::Ask),
        3 => any::<usize>().prop_map(Step::Succeed),
        3 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::GiveBack),
        1 => Just(Step::Trip),
        1 => Just(Step::Reset),
    ]
}

fn config() -> impl Strategy<Value = BreakerConfig> {
    let counts = (1u32..6, 0u32..3, 1u32..6, 6u32..20);
    (counts, 1u64..40, 1u16..4, 1u16..4, 1u64..20, 0u32..10_000).prop_map(
        |((errors_max, rate, calls_min, window_calls), window, successes, probes, open, jitter)| {
            BreakerConfig {
                errors_max,
                error_rate_e4_max: rate * 3_000,
                calls_min,
                window_calls,
                window_ns: window * 1_000_000,
                successes_to_close: successes,
                probes_max: probes,
                open_ns: open * 1_000_000,
                jitter_e4: jitter,
                ..BreakerConfig::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(common::cases(400))]

    #[test]
    fn both_give_the_same_answers(
        config in config(),
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let (clock, events) = (Set::default(), Events::bounded(8));
        let jitter = SeededJitter(seed);
        let shared = Breaker::new("twin", config, clock.clone(), jitter, &events).expect("valid");
        let mut own = Machine::default();
        let mut out: Vec<(Permit<'_, Set>, Ticket)> = Vec::new();
        for step in steps {
            let now = clock.now();
            let pick = |n: usize, len: usize| (len > 0).then(|| n % len);
            match step {
                Step::Time(tenths) => {
                    let next = now.0.saturating_add_signed(tenths * 100_000);
                    clock.0.store(next, Ordering::Relaxed);
                }
                Step::Ask => {
                    let allowed = own.permits(now, &config);
                    match (shared.acquire(), own.admit(now, &config)) {
                        (Ok(permit), Ok(ticket)) => {
                            prop_assert_eq!(allowed, Ok(()));
                            out.push((permit, ticket));
                        }
                        (Err(a), Err(b)) => {
                            prop_assert_eq!(a, b);
                            prop_assert_eq!(allowed, Err(b));
                        }
                        (a, b) => prop_assert!(false, "{:?} and {:?}", a, b),
                    }
                }
                Step::Succeed(n) => if let Some(at) = pick(n, out.len()) {
                    let (permit, ticket) = out.swap_remove(at);
                    prop_assert_eq!(permit.success(), own.succeed(ticket, now, &config));
                },
                Step::Fail(n) => if let Some(at) = pick(n, out.len()) {
                    let (permit, ticket) = out.swap_remove(at);
                    prop_assert_eq!(permit.failure(), own.fail(ticket, now, &config, &jitter));
                },
                Step::GiveBack(n) => if let Some(at) = pick(n, out.len()) {
                    let (permit, ticket) = out.swap_remove(at);
                    permit.unused();
                    own.release(ticket);
                },
                Step::Trip => prop_assert_eq!(shared.trip(), own.trip(now, &config, &jitter)),
                Step::Reset => {
                    shared.reset();
                    own.reset(now);
                }
            }
            own.on_time(clock.now());
            prop_assert_eq!(shared.state(), own.state(clock.now()));
        }
        out.into_iter().for_each(|(permit, _)| permit.unused());
    }
}
