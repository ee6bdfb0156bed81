//! Circuit breakers in front of what the cold side asks the venue: an endpoint that fails again
//! and again is left alone for some seconds, whoever asks, and then tried by a few requests.
//!
//! What withdraws orders at a run's end is never held back: the run [`disarm`](Guards::disarm)s
//! its guards before that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bot4_execution::pause::Pause;
use bot4_lanes::{Clock, Counters, Metrics};
use bot4_risk::breaker::{BreakerConfig, Change, Events, Registry, Spec};
use bot4_venues::binance::private::ErrorKind;

use super::cold::ColdError;

/// Names of the guarded endpoints.
pub const REST: &str = "rest";
/// The WebSocket API.
pub const API: &str = "api";
/// The market-data host, where it lists the instruments.
pub const MARKET: &str = "market";

/// Events that may wait to be counted.
const EVENTS: usize = 256;
/// Counters of [`Tally`], by index.
const COUNTERS: &[&str] =
    &["breaker_opened", "breaker_half_opened", "breaker_closed", "breaker_refused"];

/// The breakers of a run's cold side. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Guards {
    registry: Arc<Registry<Clock>>,
    /// Nothing is held back any more. Relaxed: it is set before the last requests are made, by
    /// the thread that makes them.
    disarmed: Arc<AtomicBool>,
    /// What the venue said of the rate, shared with the lanes.
    pause: Pause,
}

impl Default for Guards {
    /// Closed breakers with the usual settings.
    fn default() -> Self {
        Self::new(BreakerConfig::default(), 0)
    }
}

impl Guards {
    /// Closed breakers by `config`, with jitter from `seed`.
    ///
    /// # Panics
    /// When `config` cannot be meant.
    #[must_use]
    pub fn new(config: BreakerConfig, seed: u64) -> Self {
        let specs = [REST, API, MARKET].map(|name| Spec { name, config });
        let registry = Registry::new(&specs, &Clock::monotonic(), seed, Events::bounded(EVENTS));
        let registry = registry.expect("a configuration that was checked");
        Self { registry: Arc::new(registry), disarmed: Arc::default(), pause: Pause::default() }
    }

    /// Asks `endpoint` by `ask`, unless it is left alone for now.
    ///
    /// # Errors
    /// What `ask` says, or [`ColdError::LeftAlone`].
    pub fn ask<T>(
        &self,
        endpoint: &'static str,
        ask: impl FnOnce() -> Result<T, ColdError>,
    ) -> Result<T, ColdError> {
        let breaker = self.registry.named(endpoint);
        let Some(breaker) = breaker.filter(|_| !self.is_disarmed()) else {
            return ask();
        };
        let permit = breaker.acquire().map_err(|why| ColdError::LeftAlone(endpoint, why))?;
        let result = ask();
        match blame(&result) {
            Blame::Venue => _ = permit.failure(),
            Blame::Nobody => _ = permit.success(),
            Blame::Ourselves => permit.unused(),
        }
        result
    }

    /// Holds nothing back from now on: the run ends, and what is open must be withdrawn.
    pub fn disarm(&self) {
        self.disarmed.store(true, Ordering::Relaxed);
    }

    /// Nothing is held back any more.
    #[must_use]
    pub fn is_disarmed(&self) -> bool {
        self.disarmed.load(Ordering::Relaxed)
    }

    /// Until when the venue wants fewer requests.
    #[must_use]
    pub const fn pause(&self) -> &Pause {
        &self.pause
    }

    /// The breakers.
    #[must_use]
    pub fn registry(&self) -> &Registry<Clock> {
        &self.registry
    }
}

/// Counts what the guards tell.
pub struct Tally {
    guards: Guards,
    counters: Counters,
}

impl Tally {
    /// Counts as `cold` in `metrics`. One at a time: counters have one writer.
    #[must_use]
    pub fn new(guards: &Guards, metrics: &Metrics) -> Self {
        Self { guards: guards.clone(), counters: metrics.counters("cold", COUNTERS) }
    }

    /// Counts the events that are waiting.
    pub fn take(&self) {
        self.guards.registry.events().deliver(|event| {
            let counter = match event.change {
                Change::Opened { .. } => 0,
                Change::HalfOpened => 1,
                Change::Closed => 2,
                Change::Refused(_) => 3,
            };
            self.counters.add(counter, 1);
        });
    }
}

/// Whose failure a result is.
enum Blame {
    /// Nobody's: the endpoint answered, be it with a refusal.
    Nobody,
    /// The endpoint's.
    Venue,
    /// Ours: nothing was asked.
    Ourselves,
}

const fn blame<T>(result: &Result<T, ColdError>) -> Blame {
    match result {
        Err(
            ColdError::Connection(..)
            | ColdError::Timeout(_)
            | ColdError::Rest(..)
            | ColdError::Limited(_)
            | ColdError::Unanswered(..),
        ) => Blame::Venue,
        Err(ColdError::Refused(_, error)) => match error.kind {
            ErrorKind::OutcomeUnknown
            | ErrorKind::Overloaded
            | ErrorKind::WeightExceeded
            | ErrorKind::TooManyOrders
            | ErrorKind::Banned
            | ErrorKind::Forbidden => Blame::Venue,
            _ => Blame::Nobody,
        },
        Ok(_) => Blame::Nobody,
        Err(ColdError::Answer(_) | ColdError::Denied(..) | ColdError::Instruments(_)) => {
            Blame::Nobody
        }
        Err(_) => Blame::Ourselves,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bot4_risk::breaker::State;

    fn failing(guards: &Guards, asked: &mut u32) -> ColdError {
        let ask = || {
            *asked += 1;
            Err::<(), _>(ColdError::Timeout("the time"))
        };
        guards.ask(REST, ask).expect_err("it fails")
    }

    #[test]
    fn an_endpoint_that_fails_is_not_hammered_and_is_tried_again() {
        let open_ns = 30_000_000;
        let guards = Guards::new(BreakerConfig { open_ns, ..BreakerConfig::default() }, 1);
        let mut asked = 0;
        for _ in 0..1_000 {
            failing(&guards, &mut asked);
        }
        assert!((5..20).contains(&asked), "{asked} requests of a thousand were made");
        let told = failing(&guards, &mut asked).to_string();
        assert!(told.contains("rest") && told.contains("help:"), "{told}");
        assert!(guards.ask(API, || Ok(())).is_ok(), "the other endpoint is asked");
        let breaker = guards.registry().named(REST).expect("known");
        while breaker.state() == State::Open {
            std::hint::spin_loop();
        }
        (0..3).for_each(|_| guards.ask(REST, || Ok(())).expect("it works again"));
        assert_eq!(breaker.state(), State::Closed);
        let metrics = Metrics::in_memory();
        Tally::new(&guards, &metrics).take();
        assert!(metrics.total("breaker_opened") >= 1 && metrics.total("breaker_closed") == 1);
    }

    #[test]
    fn our_own_mistakes_open_nothing_and_a_disarmed_guard_holds_nothing_back() {
        let guards = Guards::default();
        for _ in 0..100 {
            let ours = guards.ask(API, || Err::<(), _>(ColdError::NoKeys));
            assert!(matches!(ours, Err(ColdError::NoKeys)));
        }
        let mut asked = 0;
        (0..10).for_each(|_| _ = failing(&guards, &mut asked));
        assert_eq!(asked, 5);
        guards.clone().disarm();
        (0..10).for_each(|_| _ = failing(&guards, &mut asked));
        assert_eq!(asked, 15);
    }
}
