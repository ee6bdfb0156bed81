//! The machine of a simulated run: the engine's own agents over twins of network, clock and disk.

use std::cell::RefCell;
use std::path::PathBuf;

use bot4_lanes::{Agent, Clock, Control, Fault, Metrics, Probe};
use bot4_types::{Nanos, RunEpoch};

use super::disk::MemoryDisk;
use super::run::Failure;
use crate::config::Config;
use crate::run::capture::CaptureSink;
use crate::run::dirs::RunDir;
use crate::run::outcome::Opening;
use crate::run::plan::Plan;
use crate::run::plant::Plant;
use crate::run::site::Site;
use crate::run::wiring::{self, Inputs, Rings};

thread_local! {
    /// Counters of a machine that is gone. They live as long as the process, so a sweep of many
    /// thousand machines would else need gigabytes.
    static SPARE: RefCell<Option<Metrics>> = const { RefCell::new(None) };
}

/// Counters for the next machine of this thread.
pub(super) fn spare_metrics() -> Metrics {
    SPARE.take().unwrap_or_else(Metrics::in_memory)
}

/// Keeps the counters of a machine whose agents are gone.
pub(super) fn spare(metrics: Metrics) {
    metrics.renew();
    SPARE.set(Some(metrics));
}

/// What the machine is built from.
pub(super) struct Machine<'a> {
    pub config: &'a Config,
    pub any_order: bool,
    pub opening: &'a Opening,
    pub site: &'a Site,
    pub sink: Option<&'a CaptureSink>,
}

impl Machine<'_> {
    pub(super) fn build(
        &self,
        control: &Control,
        metrics: &Metrics,
        disk: &MemoryDisk,
        rings: Rings,
    ) -> Result<Vec<Box<dyn Agent>>, Failure> {
        let plan = Plan::of(self.config)?;
        let dir = RunDir { id: "sim".to_owned(), path: PathBuf::new(), epoch: RunEpoch(1) };
        let inputs = Inputs {
            config: self.config,
            plan: &plan,
            clock: &Clock::monotonic(),
            control,
            dir: &dir,
            sites: std::slice::from_ref(self.site),
            opening: self.opening,
            latency_dir: None,
            latency_every: None,
            dumps: bot4_telemetry::DumpLine::default(),
            journal_helper: false,
            capture: self.sink,
            plant: self.any_order.then_some(Plant::AnyOrder),
            account: "",
            metrics: metrics.clone(),
            disk: Some(&|| Box::new(disk.clone())),
        };
        wiring::agents(&inputs, metrics, rings)
    }
}

/// An agent that panics in its n-th turn.
pub(super) struct Bomb(pub u64);

impl Agent for Bomb {
    fn role(&self) -> &'static str {
        "bomb"
    }

    fn work(&mut self, _: Nanos, _: &mut Probe) -> Result<usize, Fault> {
        self.0 = self.0.saturating_sub(1);
        assert!(self.0 > 0, "planted");
        Ok(1)
    }
}
