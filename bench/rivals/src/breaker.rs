//! Circuit breakers: failsafe (a mutex over policies) and recloser (a lock-free ring of bits),
//! both on their usual ways; all count failures and stay open for five seconds.

use std::hint::black_box;
use std::time::Duration;

use bot4_bench::case::Case;
use failsafe::CircuitBreaker as _;
use failsafe::backoff::Constant;
use failsafe::failure_policy::ConsecutiveFailures;
use recloser::Recloser;

const OPEN: Duration = Duration::from_secs(5);

/// failsafe's state machine.
pub struct Failsafe(failsafe::StateMachine<ConsecutiveFailures<Constant>, ()>);

impl Failsafe {
    pub fn new() -> Self {
        let policy =
            failsafe::failure_policy::consecutive_failures(5, failsafe::backoff::constant(OPEN));
        Self(failsafe::Config::new().failure_policy(policy).build())
    }
}

impl Case for Failsafe {
    #[inline]
    fn call(&mut self) {
        let outcome: Result<(), failsafe::Error<()>> = black_box(&self.0).call(|| Ok(()));
        assert!(outcome.is_ok(), "it is closed");
    }
}

/// recloser's ring.
pub struct Ring(Recloser);

impl Ring {
    pub fn new() -> Self {
        Self(Recloser::custom().error_rate(0.05).closed_len(100).open_wait(OPEN).build())
    }
}

impl Case for Ring {
    #[inline]
    fn call(&mut self) {
        let outcome = black_box(&self.0).call(|| Ok::<(), ()>(()));
        assert!(outcome.is_ok(), "it is closed");
    }
}

/// Each of them opens by failures alone, as ours does.
pub fn agree() -> Result<(), String> {
    let (failsafe, ring) = (Failsafe::new(), Ring::new());
    let ours = bot4_bench::breaker::shared(bot4_lanes::Clock::start());
    for _ in 0..200 {
        let _ = failsafe.0.call(|| Err::<(), ()>(()));
        let _ = ring.0.call(|| Err::<(), ()>(()));
        let _ = ours.acquire().map(|permit| permit.failure());
    }
    let open = [
        ("failsafe", !failsafe.0.is_call_permitted()),
        ("recloser", ring.0.call(|| Ok::<(), ()>(())).is_err()),
        ("bot4", ours.acquire().is_err()),
    ];
    match open.iter().find(|(_, open)| !open) {
        None => Ok(()),
        Some((name, _)) => Err(format!("{name} does not open after 200 failures")),
    }
}
