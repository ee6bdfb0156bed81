//! All agents on one thread in a seeded order: the same agents, the same rings, logical time.

use bot4_types::Nanos;
use bot4_types::rng::SplitMix64;

use crate::agent::{Agent, Fault};
use crate::probe::Probe;

/// Drives agents deterministically: the same seed and agents give the same run.
pub struct Stepper {
    agents: Vec<Box<dyn Agent>>,
    rng: SplitMix64,
    now: Nanos,
    probe: Probe,
    step_ns_max: u64,
    steps: u64,
}

impl Stepper {
    /// A stepper over `agents` at time zero. Each step advances time by up to `step_ns_max`.
    #[must_use]
    pub fn new(agents: Vec<Box<dyn Agent>>, seed: u64, step_ns_max: u64) -> Self {
        let probe = Probe::logical();
        Self { agents, rng: SplitMix64::new(seed), now: Nanos::ZERO, probe, step_ns_max, steps: 0 }
    }

    /// Calls every agent's `start`.
    ///
    /// # Errors
    /// The first fault.
    pub fn start(&mut self) -> Result<(), Fault> {
        let now = self.now;
        self.agents.iter_mut().try_for_each(|a| a.start(now))
    }

    /// Advances time a little and lets one agent work: which one is drawn from the seed.
    ///
    /// # Errors
    /// The agent's fault.
    pub fn step(&mut self) -> Result<usize, Fault> {
        self.steps += 1;
        self.now = self.now + Nanos(1 + self.rng.below(self.step_ns_max));
        self.probe.set(self.now);
        let pick = self.rng.below(self.agents.len() as u64) as usize;
        match self.agents.get_mut(pick) {
            Some(agent) => agent.work(self.now, &mut self.probe),
            None => Ok(0),
        }
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

    /// The agents, for checkers.
    pub fn agents_mut(&mut self) -> &mut [Box<dyn Agent>] {
        &mut self.agents
    }

    /// Calls every agent's `close` and gives the agents back.
    pub fn finish(mut self) -> Vec<Box<dyn Agent>> {
        for agent in &mut self.agents {
            agent.close(self.now);
        }
        self.agents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Rx, Tx, ring};
    use std::any::Any;

    struct Source(Tx<u64>, u64);
    struct Drain(Rx<u64>, Vec<(u64, u64)>);

    impl Agent for Source {
        fn role(&self) -> &'static str {
            "source"
        }
        fn work(&mut self, _: Nanos, _: &mut Probe) -> Result<usize, Fault> {
            if self.0.push(self.1).is_ok() {
                self.1 += 1;
                return Ok(1);
            }
            Ok(0)
        }
    }

    impl Agent for Drain {
        fn role(&self) -> &'static str {
            "drain"
        }
        fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault> {
            assert_eq!(now, probe.stamp());
            let Some(v) = self.0.pop() else { return Ok(0) };
            self.1.push((v, now.0));
            Ok(1)
        }
    }

    fn run(seed: u64) -> Vec<(u64, u64)> {
        let (tx, rx) = ring(4);
        let mut stepper =
            Stepper::new(vec![Box::new(Source(tx, 0)), Box::new(Drain(rx, Vec::new()))], seed, 100);
        stepper.start().expect("starts");
        for _ in 0..1_000 {
            stepper.step().expect("no fault");
        }
        let last = stepper.finish().pop().expect("two agents");
        (last as Box<dyn Any>).downcast::<Drain>().map(|d| d.1).expect("the drain")
    }

    #[test]
    fn same_seed_same_run_other_seed_other_run() {
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert!(run(7).iter().enumerate().all(|(i, (v, _))| *v == i as u64));
    }
}
