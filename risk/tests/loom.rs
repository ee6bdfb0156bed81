//! The shared breakers under every interleaving that the memory model allows. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p bot4-risk --test loom --release --target-dir target/loom`
//!
//! Each property is one function that runs on the code as it is, where it must hold, and with a
//! mistake planted into that same code ([`Mistake`]), where the model must find it.
#![cfg(loom)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64 as RealU64;

use bot4_risk::breaker::sync::{Mistake, plant};
use bot4_risk::breaker::{
    Breaker, BreakerConfig, Change, Clock, Events, NoJitter, State, Unjudged, Verdict,
};
use bot4_types::Nanos;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// A clock that the test sets before its threads start; the model need not branch on it.
#[derive(Clone)]
struct Set(std::sync::Arc<RealU64>);

impl Clock for Set {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

type Shared = Arc<Breaker<Set>>;

const CONFIG: BreakerConfig = BreakerConfig {
    errors_max: 1,
    error_rate_e4_max: 0,
    calls_min: 1,
    window_calls: 2,
    window_ns: 1_000_000_000,
    successes_to_close: 3,
    probes_max: 1,
    open_ns: 1_000_000_000,
    jitter_e4: 0,
    unjudged: Unjudged::Failure,
};

fn closed(config: BreakerConfig) -> (Shared, Events) {
    let (breaker, events, _) = with_clock(config);
    (breaker, events)
}

fn with_clock(config: BreakerConfig) -> (Shared, Events, Set) {
    let events = Events::bounded(16);
    let clock = Set(std::sync::Arc::new(RealU64::new(1_000_000_000)));
    let breaker = Breaker::new("model", config, clock.clone(), NoJitter, &events);
    (Arc::new(breaker.expect("a valid configuration")), events, clock)
}

/// Open, and its time is over.
fn due(config: BreakerConfig) -> (Shared, Events) {
    let (breaker, events, clock) = with_clock(config);
    assert!(breaker.trip());
    clock.0.store(3_000_000_000, Ordering::Relaxed);
    events.deliver(|_| ());
    (breaker, events)
}

/// What is waiting, by kind: opened, half-opened, closed.
fn told(events: &Events) -> [usize; 3] {
    let mut kinds = [0; 3];
    events.deliver(|event| match event.change {
        Change::Opened { .. } => kinds[0] += 1,
        Change::HalfOpened => kinds[1] += 1,
        Change::Closed => kinds[2] += 1,
        Change::Refused(_) => {}
    });
    kinds
}

fn holds(property: fn()) {
    plant(Mistake::None);
    loom::model(property);
}

/// Whether the model finds `mistake` in `property`.
fn finds(mistake: Mistake, property: fn()) -> bool {
    plant(mistake);
    let outcome = catch_unwind(AssertUnwindSafe(|| loom::model(property)));
    plant(Mistake::None);
    outcome.is_err()
}

fn holds_and_finds(property: fn(), mistakes: &[Mistake]) {
    holds(property);
    for mistake in mistakes {
        assert!(finds(*mistake, property), "{mistake:?} is not found");
    }
}

/// Takes a probe, if there is one, and adds one to `sum` without any other protection.
fn add_under_a_token(breaker: &Breaker<Set>, sum: &AtomicU64) -> u64 {
    let Ok(permit) = breaker.acquire() else { return 0 };
    let before = sum.load(Ordering::Relaxed);
    sum.store(before + 1, Ordering::Relaxed);
    permit.unused();
    1
}

/// One token: whoever holds it is alone and sees what the holder before did, and it is there
/// again when nobody holds it.
fn one_token() {
    let (breaker, _events) = due(CONFIG);
    let sum = Arc::new(AtomicU64::new(0));
    let (other, others_sum) = (breaker.clone(), sum.clone());
    let thread = thread::spawn(move || add_under_a_token(&other, &others_sum));
    let mut taken = add_under_a_token(&breaker, &sum);
    taken += thread.join().expect("no panic");
    assert_eq!(sum.load(Ordering::Relaxed), taken, "two held the one token");
    assert!(taken >= 1 && breaker.acquire().is_ok(), "the token is lost");
}

#[test]
fn tokens_are_never_exceeded_and_never_lost() {
    use Mistake::{RelaxedLoad, RelaxedStore, StoreForExchange, TokenKept};
    holds_and_finds(one_token, &[RelaxedStore, RelaxedLoad, StoreForExchange, TokenKept]);
}

/// Two failures that together fill the measure open the breaker, whichever sees the other.
fn the_last_failure_opens() {
    let (breaker, events) = closed(BreakerConfig { errors_max: 2, ..CONFIG });
    let other = breaker.clone();
    let thread = thread::spawn(move || other.acquire().map(|permit| permit.failure()));
    let _ = breaker.acquire().map(|permit| permit.failure());
    let _ = thread.join().expect("no panic");
    assert_eq!((breaker.state(), told(&events)), (State::Open, [1, 0, 0]));
}

#[test]
fn no_failure_is_overlooked() {
    holds_and_finds(the_last_failure_opens, &[Mistake::RelaxedPublish]);
}

/// Each of two failures would open it: one does, and one tells.
fn one_opens() {
    let (breaker, events) = closed(CONFIG);
    let other = breaker.clone();
    let thread = thread::spawn(move || other.acquire().map(|permit| permit.failure()));
    let mine = breaker.acquire().map(|permit| permit.failure());
    let theirs = thread.join().expect("no panic");
    let opened = [mine, theirs].iter().filter(|v| **v == Ok(Verdict::Opened)).count();
    assert_eq!((opened, told(&events)), (1, [1, 0, 0]));
}

/// Two ask when the timeout is over, both succeed, which closes it: one tells each change.
fn one_closes() {
    let (breaker, events) = due(BreakerConfig { probes_max: 2, successes_to_close: 2, ..CONFIG });
    let other = breaker.clone();
    let thread = thread::spawn(move || other.acquire().map(|permit| permit.success()));
    let mine = breaker.acquire().map(|permit| permit.success());
    let theirs = thread.join().expect("no panic");
    let closed = [mine, theirs].iter().filter(|v| **v == Ok(Verdict::Closed)).count();
    assert_eq!((closed, told(&events)), (1, [0, 1, 1]));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn every_change_is_made_and_told_once() {
    holds_and_finds(one_opens, &[Mistake::StoreForExchange, Mistake::LoserTells]);
    holds_and_finds(one_closes, &[Mistake::StoreForExchange]);
}

/// Who gets a permit after the recovery sees what the probe did.
fn recovery_publishes() {
    let (breaker, _events) = due(BreakerConfig { successes_to_close: 1, ..CONFIG });
    let healed = Arc::new(AtomicU64::new(0));
    let (other, theirs) = (breaker.clone(), healed.clone());
    let probe = breaker.acquire().expect("its time is over");
    let thread = thread::spawn(move || {
        if let Ok(permit) = other.acquire() {
            assert_eq!(theirs.load(Ordering::Relaxed), 7);
            permit.success();
        }
    });
    healed.store(7, Ordering::Relaxed);
    assert_eq!(probe.success(), Verdict::Closed);
    thread.join().expect("no panic");
}

#[test]
fn a_closed_breaker_publishes_its_recovery() {
    holds_and_finds(recovery_publishes, &[Mistake::RelaxedStore, Mistake::RelaxedLoad]);
}

/// A failure is judged by the old configuration or by the new one, never by half of each: the
/// one opens at once, the other wants two calls; only a mixture would count and do nothing.
fn one_whole_configuration() {
    let (breaker, _events) = closed(CONFIG);
    let other = breaker.clone();
    let thread = thread::spawn(move || {
        let strict = BreakerConfig { errors_max: 2, calls_min: 2, ..CONFIG };
        other.configure(strict).expect("valid");
    });
    let verdict = breaker.acquire().expect("closed").failure();
    assert!(matches!(verdict, Verdict::Opened | Verdict::MinCallsNotMet), "{verdict:?}");
    thread.join().expect("no panic");
    assert_eq!(breaker.config().errors_max, 2);
}

#[test]
fn a_configuration_is_swapped_as_a_whole() {
    holds_and_finds(one_whole_configuration, &[Mistake::LoadsTwice]);
}
