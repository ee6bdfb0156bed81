//! The floor: all agents on one thread, who works next drawn from the seed, some held back.
//!
//! Like the stepper of the lanes, and beside it: agents can stand still for a while, a panic is
//! caught where it happens, and what a hot agent allocates after its warm-up is charged to it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bot4_alloc::seal::{self, AgentTag, Class};
use bot4_lanes::{Agent, Fault, Probe, recorded};
use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;

/// What ends a run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// An agent halted the engine.
    Fault(Fault),
    /// An agent panicked: who and what.
    Panic(&'static str, String),
}

struct Place {
    agent: Box<dyn Agent>,
    role: &'static str,
    tag: AgentTag,
    held_until: Nanos,
}

/// See the module.
pub struct Floor {
    places: Vec<Place>,
    rng: SplitMix64,
    now: Nanos,
    probe: Probe,
    step_ns_max: u64,
    steps: u64,
}

impl Floor {
    /// A floor over `agents` at time zero; each step advances time by up to `step_ns_max`.
    #[must_use]
    pub fn new(agents: Vec<Box<dyn Agent>>, seed: u64, step_ns_max: u64) -> Self {
        let place = |agent: Box<dyn Agent>| {
            let role = agent.role();
            Place { role, tag: seal::register(class_of(role)), held_until: Nanos::ZERO, agent }
        };
        Self {
            places: agents.into_iter().map(place).collect(),
            rng: SplitMix64::new(seed),
            now: Nanos::ZERO,
            probe: Probe::logical(),
            step_ns_max,
            steps: 0,
        }
    }

    /// Calls every agent's `start`.
    ///
    /// # Errors
    /// The first fault.
    pub fn start(&mut self) -> Result<(), Fault> {
        let now = self.now;
        self.places.iter_mut().try_for_each(|p| p.agent.start(now))
    }

    /// Advances time and lets one agent work, unless it is held back; its role.
    ///
    /// # Errors
    /// Why the run is over.
    pub fn step(&mut self) -> Result<&'static str, Stop> {
        self.steps += 1;
        self.now = self.now + Nanos(1 + self.rng.below(self.step_ns_max));
        self.probe.set(self.now);
        let pick = self.rng.below(self.places.len() as u64) as usize;
        let (now, probe) = (self.now, &mut self.probe);
        let place = &mut self.places[pick];
        if now < place.held_until {
            return Ok("");
        }
        let worked = catch_unwind(AssertUnwindSafe(|| {
            let _scope = seal::enter(place.tag);
            place.agent.work(now, probe)
        }));
        match worked {
            Ok(Ok(_)) => Ok(place.role),
            Ok(Err(fault)) => Err(Stop::Fault(fault)),
            Err(payload) => Err(Stop::Panic(place.role, text_of(payload.as_ref()))),
        }
    }

    /// `role` does not work until `until`.
    pub fn hold(&mut self, role: &str, until: Nanos) {
        if let Some(place) = self.places.iter_mut().find(|p| p.role == role) {
            place.held_until = place.held_until.max(until);
        }
    }

    /// Time passes in which nobody works.
    pub fn skip(&mut self, span: Nanos) {
        self.now = self.now + span;
    }

    /// Nobody is held back any more.
    pub fn release(&mut self) {
        for place in &mut self.places {
            place.held_until = Nanos::ZERO;
        }
    }

    /// Warm-up is over: allocations of hot agents are charged from now on.
    pub fn seal(&self) {
        self.places.iter().for_each(|p| seal::seal(p.tag));
    }

    /// Hot agents with what they allocated since [`seal`](Self::seal). Zero wherever the binary
    /// does not run on the sealed allocator.
    pub fn hot_allocations(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let hot = self.places.iter().filter(|p| class_of(p.role) == Class::Hot);
        hot.map(|p| (p.role, seal::allocations(p.tag)))
    }

    /// Logical time.
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// Steps taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The agent called `role`.
    #[must_use]
    pub fn agent<T: Agent>(&self, role: &str) -> Option<&T> {
        let place = self.places.iter().find(|p| p.role == role)?;
        recorded::inside(place.agent.as_ref()).downcast_ref()
    }

    /// The agent called `role`, to ask it what needs it mutable.
    pub fn agent_mut<T: Agent>(&mut self, role: &str) -> Option<&mut T> {
        let place = self.places.iter_mut().find(|p| p.role == role)?;
        recorded::inside_mut(place.agent.as_mut()).downcast_mut()
    }

    /// Calls every agent's `close` but the venue's peers stay; frees the tags.
    pub fn close(&mut self) {
        for place in &mut self.places {
            seal::unseal(place.tag);
            place.agent.close(self.now);
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.places.iter().for_each(|p| seal::release(p.tag));
    }
}

fn class_of(role: &str) -> Class {
    match role {
        "telemetry" | "journal" | "venue" => Class::Cold,
        "execution" => Class::Io,
        r if r.starts_with("wire") => Class::Io,
        _ => Class::Hot,
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|t| (*t).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Worker(&'static str, u64, bool);

    impl Agent for Worker {
        fn role(&self) -> &'static str {
            self.0
        }
        fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
            assert_eq!(now, probe.stamp());
            assert!(!self.2, "planted panic");
            self.1 += 1;
            Ok(1)
        }
    }

    fn floor(seed: u64, panics: bool) -> Floor {
        let agents: Vec<Box<dyn Agent>> =
            vec![Box::new(Worker("a", 0, false)), Box::new(Worker("b", 0, panics))];
        Floor::new(agents, seed, 100)
    }

    #[test]
    fn the_seed_decides_who_works_and_a_held_agent_does_not() {
        let run = |seed| {
            let mut floor = floor(seed, false);
            (0..100).map(|_| floor.step().expect("no fault")).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        let mut held = floor(3, false);
        held.hold("b", Nanos::MAX);
        for _ in 0..100 {
            assert_ne!(held.step(), Ok("b"));
        }
        assert_eq!(held.agent::<Worker>("b").map(|w| w.1), Some(0));
        held.release();
        assert!((0..100).any(|_| held.step() == Ok("b")));
    }

    #[test]
    fn a_panic_is_caught_where_it_happens() {
        let mut floor = floor(1, true);
        let stop = (0..100).find_map(|_| floor.step().err());
        assert_eq!(stop, Some(Stop::Panic("b", "planted panic".to_owned())));
    }
}
