//! Circuit breakers: a permit while all is well, and a permit with the success that follows.
//!
//! The baseline is what one would write at once: the same rules over a list, behind a mutex.
//! Both shared ones read the lanes' clock when they record; the risk lane's gets its turn's time.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use bot4_lanes::Clock;
use bot4_risk::breaker::{
    Breaker, BreakerConfig, BreakerLimits, Breakers, Events, Machine, NoJitter,
};
use bot4_types::{InstrumentId, Nanos, StrategyId, VenueId};

use crate::case::Case;

/// The usual rules, behind a mutex.
pub struct MutexBreaker {
    clock: Clock,
    config: BreakerConfig,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// When it opened; none while it is closed.
    opened_at: Option<Nanos>,
    probes: u16,
    passed: u16,
    /// End of a call, and whether it failed.
    calls: VecDeque<(Nanos, bool)>,
}

impl MutexBreaker {
    /// A closed one.
    #[must_use]
    pub fn new(config: BreakerConfig, clock: Clock) -> Self {
        let calls = VecDeque::with_capacity(config.window_calls as usize + 1);
        Self { clock, config, inner: Mutex::new(Inner { calls, ..Inner::default() }) }
    }

    /// A call may be made.
    pub fn acquire(&self) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(opened_at) = inner.opened_at else { return true };
        let over = self.clock.now().since(opened_at).0 >= self.config.open_ns;
        let granted = over && inner.probes < self.config.probes_max;
        inner.probes += u16::from(granted);
        granted
    }

    /// A call ended.
    pub fn record(&self, failed: bool) {
        let now = self.clock.now();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.opened_at.is_some() {
            inner.probes = inner.probes.saturating_sub(1);
            inner.passed = if failed { 0 } else { inner.passed + 1 };
            if failed {
                inner.opened_at = Some(now);
            } else if inner.passed >= self.config.successes_to_close {
                *inner = Inner::default();
            }
            return;
        }
        inner.calls.push_back((now, failed));
        if inner.calls.len() > self.config.window_calls as usize {
            inner.calls.pop_front();
        }
        if !failed {
            return;
        }
        let window_ns = self.config.window_ns;
        let recent = |at: Nanos| now.since(at).0 <= window_ns;
        let errors = inner.calls.iter().filter(|(at, failed)| *failed && recent(*at)).count();
        let calls = inner.calls.iter().filter(|(at, _)| recent(*at)).count();
        if calls >= self.config.calls_min as usize && errors >= self.config.errors_max as usize {
            (inner.opened_at, inner.passed, inner.probes) = (Some(now), 0, 0);
        }
    }
}

/// A shared breaker with the usual rules.
///
/// # Panics
/// Never: the rules are valid.
#[must_use]
pub fn shared(clock: Clock) -> Breaker<Clock> {
    let (config, events) = (BreakerConfig::default(), Events::bounded(8));
    Breaker::new("bench", config, clock, NoJitter, &events).expect("valid rules")
}

/// The mutex: a permit, and with `RECORD` the success too.
pub struct Behind<const RECORD: bool>(MutexBreaker);

impl<const RECORD: bool> Default for Behind<RECORD> {
    fn default() -> Self {
        Self(MutexBreaker::new(BreakerConfig::default(), Clock::start()))
    }
}

impl<const RECORD: bool> Case for Behind<RECORD> {
    #[inline]
    fn call(&mut self) {
        let granted = black_box(&self.0).acquire();
        assert!(granted, "it is closed");
        if RECORD {
            self.0.record(false);
        }
    }
}

/// The shared breaker: a permit, and with `RECORD` the success too.
pub struct Shared<const RECORD: bool>(Breaker<Clock>);

impl<const RECORD: bool> Default for Shared<RECORD> {
    fn default() -> Self {
        Self(shared(Clock::start()))
    }
}

impl<const RECORD: bool> Case for Shared<RECORD> {
    #[inline]
    fn call(&mut self) {
        let permit = black_box(&self.0).acquire().expect("it is closed");
        if RECORD {
            black_box(permit.success());
        } else {
            // The permit alone: what it would record when it is dropped is the other case.
            core::mem::forget(black_box(permit));
        }
    }
}

/// The risk lane's machine: a permit and the success.
#[derive(Default)]
pub struct Own {
    machine: Machine,
    config: BreakerConfig,
    now: Nanos,
}

impl Case for Own {
    #[inline]
    fn call(&mut self) {
        self.now = self.now + Nanos(2_000);
        let ticket = self.machine.admit(black_box(self.now), &self.config).expect("closed");
        black_box(self.machine.succeed(ticket, self.now, &self.config));
    }
}

/// The gate's question to the risk lane's set: strategy, instrument, venue and all together.
pub struct Gate(Breakers);

impl Default for Gate {
    fn default() -> Self {
        Self(Breakers::new(&BreakerLimits::default(), 8, &[VenueId(0); 64]))
    }
}

impl Case for Gate {
    #[inline]
    fn call(&mut self) {
        let whose = black_box((StrategyId(3), InstrumentId(17)));
        black_box(&self.0).permits(whose.0, whose.1).expect("all are closed");
    }
}

/// The same question while another strategy's breaker is open: nothing is short-cut.
pub struct GateUnwell(Breakers);

impl Default for GateUnwell {
    fn default() -> Self {
        let mut set = Gate::default().0;
        set.on_turn(Nanos::from_secs(1));
        set.trip(bot4_risk::breaker::BreakerScope::Strategy(StrategyId(5)));
        Self(set)
    }
}

impl Case for GateUnwell {
    #[inline]
    fn call(&mut self) {
        let whose = black_box((StrategyId(3), InstrumentId(17)));
        black_box(&self.0).permits(whose.0, whose.1).expect("its own are closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_risk::breaker::State;

    /// The baseline is a breaker, not less: it opens and closes where the others do.
    #[test]
    fn the_baseline_keeps_the_rules() {
        let config = BreakerConfig { open_ns: 5_000_000, jitter_e4: 0, ..BreakerConfig::default() };
        let (mutex, ours) = (MutexBreaker::new(config, Clock::start()), shared(Clock::start()));
        ours.configure(config).expect("valid");
        for _ in 0..5 {
            assert!(mutex.acquire());
            mutex.record(true);
            let _verdict = ours.acquire().expect("closed").failure();
        }
        assert!(!mutex.acquire() && ours.acquire().is_err());
        while ours.state() == State::Open {
            std::hint::spin_loop();
        }
        while !mutex.acquire() {
            std::hint::spin_loop();
        }
        mutex.record(false);
        for _ in 0..2 {
            assert!(mutex.acquire());
            mutex.record(false);
        }
        let probes: Vec<_> = (0..3).map(|_| ours.acquire().expect("a probe")).collect();
        probes.into_iter().for_each(|probe| _ = probe.success());
        assert!(mutex.acquire() && ours.state() == State::Closed);
    }

    #[test]
    fn every_case_runs() {
        let mut cases: [Box<dyn Case>; 7] = [
            Box::new(Behind::<false>::default()),
            Box::new(Behind::<true>::default()),
            Box::new(Shared::<false>::default()),
            Box::new(Shared::<true>::default()),
            Box::new(Own::default()),
            Box::new(Gate::default()),
            Box::new(GateUnwell::default()),
        ];
        cases.iter_mut().for_each(|case| (0..1_000).for_each(|_| case.call()));
    }
}
