//! What is cycled by a lane.

use std::any::Any;
use std::fmt;

use bot4_types::Nanos;

use crate::probe::Probe;

/// A condition an agent cannot mend by itself: the lane stops, the kill word is latched, open
/// orders are cancelled and the engine exits with 79.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which agent.
    pub role: &'static str,
    /// What happened and how to mend it, for a person.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.role, self.what)
    }
}

impl std::error::Error for Fault {}

/// A value that is cycled. All calls come from one thread.
///
/// `work` does a bounded batch and returns how much it did; zero lets the lane idle. It never
/// blocks, sleeps, spins or reads a clock: `now` is the lane's stamp at the start of the turn.
/// The composition root gets the agent back when its lane ends and reads its final state by
/// downcasting, hence `Any`.
pub trait Agent: Any + Send {
    /// A short name, unique within the run, for example `parse.0`.
    fn role(&self) -> &'static str;

    /// Called once on the lane's own thread before the first turn. Everything the agent will
    /// ever need on the hot path is allocated here.
    ///
    /// # Errors
    /// A [`Fault`] stops the start of the engine.
    fn start(&mut self, now: Nanos) -> Result<(), Fault> {
        let _ = now;
        Ok(())
    }

    /// One turn. Returns the number of messages or actions handled.
    ///
    /// # Errors
    /// A [`Fault`] stops the engine safely.
    fn work(&mut self, now: Nanos, probe: &mut Probe) -> Result<usize, Fault>;

    /// Called once after the last turn.
    fn close(&mut self, now: Nanos) {
        let _ = now;
    }
}
