//! The shared breaker, called from one thread, and many breakers together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bot4_types::Nanos;

use super::*;

/// A clock that a test sets, backwards too.
#[derive(Clone, Debug, Default)]
struct Set(Arc<AtomicU64>);

impl Set {
    fn to_ms(&self, ms: u64) {
        self.0.store(ms * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for Set {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

fn breaker(config: BreakerConfig) -> (Breaker<Set>, Set, Events) {
    let (clock, events) = (Set::default(), Events::bounded(64));
    clock.to_ms(1_000);
    let made = Breaker::new("rest", config, clock.clone(), NoJitter, &events);
    (made.expect("a valid configuration"), clock, events)
}

fn default() -> (Breaker<Set>, Set, Events) {
    breaker(BreakerConfig { jitter_e4: 0, ..BreakerConfig::default() })
}

fn fail(breaker: &Breaker<Set>) -> Verdict {
    breaker.acquire().expect("a permit").failure()
}

fn succeed(breaker: &Breaker<Set>) -> Verdict {
    breaker.acquire().expect("a permit").success()
}

fn changes(events: &Events) -> Vec<Change> {
    let mut seen = Vec::new();
    events.deliver(|event| seen.push(event.change));
    seen
}

#[test]
fn five_errors_open_five_seconds_and_three_successes_close() {
    let (breaker, clock, events) = default();
    for _ in 0..4 {
        assert_eq!(fail(&breaker), Verdict::MinCallsNotMet);
    }
    assert_eq!(fail(&breaker), Verdict::Opened);
    clock.to_ms(5_999);
    let refusal = breaker.acquire().expect_err("open");
    assert!(matches!(refusal, Refusal::Open { until } if until >= Nanos::from_secs(6)));
    assert_eq!(breaker.state(), State::Open);
    clock.to_ms(6_001);
    assert_eq!(breaker.state(), State::HalfOpen);
    let probes: Vec<_> = (0..3).map(|_| breaker.acquire().expect("a probe")).collect();
    assert_eq!(breaker.acquire().expect_err("three are out"), Refusal::HalfOpenExhausted);
    let verdicts: Vec<_> = probes.into_iter().map(Permit::success).collect();
    assert_eq!(verdicts, [Verdict::Counted, Verdict::Counted, Verdict::Closed]);
    assert_eq!(breaker.state(), State::Closed);
    let until = Nanos(Nanos::from_secs(6).0.next_multiple_of(1 << 16));
    assert_eq!(
        changes(&events),
        [
            Change::Opened { until },
            Change::Refused(Refusal::Open { until }),
            Change::HalfOpened,
            Change::Refused(Refusal::HalfOpenExhausted),
            Change::Closed,
        ]
    );
    assert_eq!(fail(&breaker), Verdict::MinCallsNotMet, "the old window is forgotten");
}

#[test]
fn a_failed_probe_opens_again_and_what_comes_later_counts_nothing() {
    let (breaker, clock, _events) = default();
    let early = breaker.acquire().expect("closed");
    (0..5).for_each(|_| _ = fail(&breaker));
    clock.to_ms(7_000);
    let (one, two) = (breaker.acquire().expect("due"), breaker.acquire().expect("a second"));
    assert_eq!(early.success(), Verdict::Late, "it was permitted before the trip");
    assert_eq!(one.failure(), Verdict::Opened);
    assert_eq!(two.success(), Verdict::Late);
    clock.to_ms(11_999);
    assert_eq!(breaker.state(), State::Open, "the timeout began anew");
}

#[test]
fn the_window_is_bounded_by_time_and_by_calls() {
    let (breaker, clock, _events) = default();
    (0..4).for_each(|_| _ = fail(&breaker));
    clock.to_ms(61_100);
    assert_eq!(fail(&breaker), Verdict::MinCallsNotMet, "the four are older than a minute");
    let few = BreakerConfig { window_calls: 8, jitter_e4: 0, ..BreakerConfig::default() };
    let (breaker, _clock, _events) = self::breaker(few);
    (0..4).for_each(|_| _ = fail(&breaker));
    (0..4).for_each(|_| _ = succeed(&breaker));
    assert_eq!(fail(&breaker), Verdict::Counted, "the first of five is the ninth call back");
}

#[test]
fn a_permit_without_a_verdict_counts_as_configured() {
    let quick = |unjudged| BreakerConfig {
        errors_max: 1,
        calls_min: 1,
        unjudged,
        ..BreakerConfig::default()
    };
    let dropped = |unjudged| {
        let (breaker, _clock, _events) = breaker(quick(unjudged));
        drop(breaker.acquire().expect("closed"));
        breaker.state()
    };
    assert_eq!(dropped(Unjudged::Failure), State::Open);
    assert_eq!(dropped(Unjudged::Success), State::Closed);
    assert_eq!(dropped(Unjudged::Ignored), State::Closed);
    let (breaker, _clock, _events) = breaker(quick(Unjudged::Failure));
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _permit = breaker.acquire().expect("closed");
        std::panic::resume_unwind(Box::new("the call's own"));
    }));
    assert!(unwound.is_err());
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_probe_that_is_dropped_gives_its_token_back() {
    let one =
        BreakerConfig { probes_max: 1, unjudged: Unjudged::Ignored, ..BreakerConfig::default() };
    let (breaker, clock, _events) = breaker(one);
    assert!(breaker.trip() && !breaker.trip());
    clock.to_ms(60_000);
    for _ in 0..3 {
        let probe = breaker.acquire().expect("the token is there");
        assert!(breaker.acquire().is_err());
        drop(probe);
    }
    breaker.acquire().expect("the token is there").unused();
    assert_eq!(breaker.acquire().expect("still").judge(Err::<(), _>(7)), Err(7));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_clock_that_turns_back_neither_opens_nor_closes() {
    let (breaker, clock, _events) = default();
    assert!(breaker.trip());
    clock.to_ms(6_001);
    assert_eq!(breaker.state(), State::HalfOpen);
    clock.to_ms(2_000);
    assert_eq!(breaker.state(), State::HalfOpen, "it was over once");
    let (breaker, clock, _events) = default();
    clock.to_ms(100_000);
    assert_eq!(fail(&breaker), Verdict::MinCallsNotMet);
    clock.to_ms(10);
    (0..3).for_each(|_| _ = fail(&breaker));
    assert_eq!(fail(&breaker), Verdict::Opened);
    clock.to_ms(5_100);
    assert_eq!(breaker.state(), State::Open, "the timeout began at the latest time seen");
}

#[test]
fn jitter_stretches_a_timeout_and_never_shortens_it() {
    let (clock, events) = (Set::default(), Events::bounded(1_024));
    let config = BreakerConfig { jitter_e4: 1_000, ..BreakerConfig::default() };
    let breaker = Breaker::new("rest", config, clock, SeededJitter(3), &events).expect("valid");
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..100 {
        assert!(breaker.trip());
        breaker.reset();
        events.deliver(|event| {
            if let Change::Opened { until } = event.change {
                assert!((5_000..=5_501).contains(&until.millis()), "{until:?}");
                lengths.insert(until);
            }
        });
    }
    assert!(lengths.len() > 90, "{}", lengths.len());
}

#[test]
fn a_configuration_counts_from_the_next_decision_on() {
    let (breaker, _clock, _events) = default();
    assert_eq!(fail(&breaker), Verdict::MinCallsNotMet);
    let strict = BreakerConfig { errors_max: 2, calls_min: 2, ..BreakerConfig::default() };
    breaker.configure(strict).expect("valid");
    assert_eq!(fail(&breaker), Verdict::Opened);
    let wrong = breaker.configure(BreakerConfig { probes_max: 0, ..strict });
    assert_eq!((wrong, breaker.config()), (Err(BreakerConfigError::Recovery), strict));
    breaker.reset();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn the_state_of_many_is_derived() {
    let spec = |name| Spec { name, config: BreakerConfig::default() };
    let specs = ["rest", "api", "market", "catalogue"].map(spec);
    let clock = Set::default();
    let registry = Registry::new(&specs, &clock, 1, Events::bounded(8)).expect("valid");
    let trip = |name| registry.named(name).expect("known").trip();
    assert!(registry.named("other").is_none());
    assert_eq!(registry.global(), State::Closed);
    assert!(trip("rest") && trip("api"));
    assert_eq!(registry.global(), State::Closed, "two of four are not more than half");
    assert!(trip("market"));
    assert_eq!(registry.global(), State::Open);
    clock.to_ms(60_000);
    assert_eq!(registry.global(), State::HalfOpen);
    let wrong =
        Spec { config: BreakerConfig { open_ns: 0, ..BreakerConfig::default() }, ..specs[1] };
    let refused = Registry::new(&[wrong], &clock, 1, Events::bounded(8)).map(|_| ());
    assert_eq!(refused, Err(("api", BreakerConfigError::Timeout)));
}

/// Four threads against one breaker whose calls fail now and then: whatever they do, the changes
/// told are a path through the machine and the tokens come home.
#[test]
fn threads_leave_a_path_through_the_machine() {
    let (clock, events) = (bot4_lanes::Clock::start(), Events::bounded(1 << 16));
    let config = BreakerConfig {
        errors_max: 3,
        calls_min: 3,
        open_ns: 1_000_000,
        jitter_e4: 5_000,
        ..BreakerConfig::default()
    };
    let breaker = Breaker::new("rest", config, clock, SeededJitter(9), &events).expect("valid");
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (breaker, mut rng) = (&breaker, bot4_types::rng::SplitMix64::new(seed));
            scope.spawn(move || {
                for _ in 0..50_000 {
                    let Ok(permit) = breaker.acquire() else { continue };
                    match rng.below(8) {
                        0 => _ = permit.failure(),
                        1 => permit.unused(),
                        _ => _ = permit.success(),
                    }
                }
            });
        }
    });
    let mut told = Vec::new();
    events.deliver(|event| told.push(event));
    told.retain(|event| !matches!(event.change, Change::Refused(_)));
    told.sort_by_key(|event| event.epoch);
    if events.dropped() == 0 {
        let epochs: Vec<u32> = told.iter().map(|event| event.epoch).collect();
        assert_eq!(epochs, (1..=told.len() as u32).collect::<Vec<_>>(), "one event a change");
    }
    for pair in told.windows(2).filter(|pair| pair[1].epoch == pair[0].epoch + 1) {
        let possible = match pair[0].change {
            Change::Opened { .. } => pair[1].change == Change::HalfOpened,
            Change::HalfOpened => pair[1].change != Change::HalfOpened,
            _ => matches!(pair[1].change, Change::Opened { .. }),
        };
        assert!(possible, "{pair:?}");
    }
    assert!(told.len() > 2, "it opened");
    breaker.reset();
    assert!(breaker.trip());
    breaker.configure(BreakerConfig { open_ns: 1_000_000, jitter_e4: 0, ..config }).expect("valid");
    while breaker.state() == State::Open {
        std::hint::spin_loop();
    }
    let probes: Vec<_> = (0..3).map_while(|_| breaker.acquire().ok()).collect();
    assert_eq!(probes.len(), 3, "every token is there");
}
