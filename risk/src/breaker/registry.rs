//! The breakers of a program part, by name, and the state they are in together.

use super::clock::Clock;
use super::config::{BreakerConfig, BreakerConfigError};
use super::event::Events;
use super::global_state;
use super::jitter::SeededJitter;
use super::shared::Breaker;
use super::status::State;

/// A breaker to be made.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// What it is called.
    pub name: &'static str,
    /// Its configuration.
    pub config: BreakerConfig,
}

/// A fixed set of breakers. Threads share it behind an `Arc`.
#[derive(Debug)]
pub struct Registry<C: Clock> {
    breakers: Box<[Breaker<C>]>,
    events: Events,
}

impl<C: Clock + Clone> Registry<C> {
    /// Closed breakers by `specs`, with jitter from `seed` and one queue of events.
    ///
    /// # Errors
    /// The name of the first whose configuration cannot be meant, and why.
    pub fn new(
        specs: &[Spec],
        clock: &C,
        seed: u64,
        events: Events,
    ) -> Result<Self, (&'static str, BreakerConfigError)> {
        let breakers = specs.iter().enumerate().map(|(n, spec)| {
            let jitter = SeededJitter(seed).nth(n as u64);
            Breaker::new(spec.name, spec.config, clock.clone(), jitter, &events)
                .map_err(|e| (spec.name, e))
        });
        Ok(Self { breakers: breakers.collect::<Result<_, _>>()?, events })
    }
}

impl<C: Clock> Registry<C> {
    /// The breaker called `name`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Breaker<C>> {
        self.breakers.iter().find(|breaker| breaker.name() == name)
    }

    /// All, in the order of their specs.
    #[must_use]
    pub const fn all(&self) -> &[Breaker<C>] {
        &self.breakers
    }

    /// What they tell.
    #[must_use]
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// The state of all together; see [`global_state`].
    #[must_use]
    pub fn global(&self) -> State {
        let count = |state| self.breakers.iter().filter(|b| b.state() == state).count();
        global_state(self.breakers.len(), count(State::Open), count(State::HalfOpen))
    }
}
