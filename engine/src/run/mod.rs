//! A run, from the configuration to the report.
//!
//! 1. [`plan`]: topology and placement, printed by `bot4 check`.
//! 2. [`child`]: the embedded venue, when the configuration asks for it.
//! 3. [`cold`]: the venue's clock, instruments, balances; open orders of an earlier run are
//!    cancelled.
//! 4. [`wiring`]: arenas, rings, agents, lanes, as the plan says.
//! 5. [`control`]: supervises on the main thread: seals after warm-up, watches faults and time,
//!    drains and stops.
//! 6. [`outcome`]: the agents come back; their final state is compared with the venue's and told.

pub mod access;
pub mod child;
pub mod cold;
pub mod control;
pub mod dirs;
pub mod outcome;
pub mod plan;
pub mod settings;
pub mod wiring;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bot4_lanes::{Clock, Control};
use bot4_telemetry::report::RunReport;

use crate::config::resolve::Remote;
use crate::config::{Config, VenueAccess};
use access::Access;
use child::VenueChild;

use control::{ControlAgent, Ending};
use dirs::RunDir;
use plan::Plan;

/// What the caller wants beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Where the report goes as JSON.
    pub report: Option<PathBuf>,
    /// Where histogram dumps go.
    pub latency_dir: Option<PathBuf>,
    /// A file to make once all lanes run, with process, threads and CPUs.
    pub ready_file: Option<PathBuf>,
    /// Extra arguments for the embedded venue.
    pub venue_args: Vec<String>,
}

/// What a run ended with.
pub struct RunEnd {
    /// The report.
    pub report: RunReport,
    /// How it ended.
    pub ending: Ending,
    /// Where the run's state lies.
    pub dir: PathBuf,
    /// Promises that did not hold, as sentences.
    pub broken: Vec<String>,
}

/// Runs `config`.
///
/// # Errors
/// What kept the run from starting, as a text with its mend.
pub fn run(config: &Config, options: &RunOptions) -> Result<RunEnd, Box<dyn std::error::Error>> {
    bot4_alloc::check_options()?;
    let stop = stop_flag()?;
    let plan = Plan::of(config)?;
    let clock = Clock::start();
    let wall = clock.wall();
    let dir = RunDir::create(wall.unix_ms(clock.now()))?;
    let mut child = match config.venue.access {
        VenueAccess::Embedded => {
            Some(VenueChild::start(&dir.path.join("venue"), config.seed, &options.venue_args)?)
        }
        VenueAccess::Remote(_) => None,
    };
    let access = Access::of(&remote_of(config, child.as_ref()))?;
    let opening = outcome::Opening::take(&clock, &access, config)?;
    for warning in plan.placement.warnings.iter().chain(&opening.notes) {
        eprintln!("warning: {warning}");
    }
    let control = Control::new();
    let wired = wiring::wire(&wiring::Inputs {
        config,
        plan: &plan,
        clock: &clock,
        control: &control,
        dir: &dir,
        access: &access,
        opening: &opening,
        latency_dir: options.latency_dir.clone(),
        journal_helper: true,
    })?;
    let supervisor = ControlAgent::new(control::Inputs {
        control: control.clone(),
        metrics: wired.metrics.clone(),
        stop,
        length: config.length,
        instruments: opening.info.table.all().len() as u64,
        planned: plan.placement.lanes.iter().map(|l| (l.name.clone(), l.cpu)).collect(),
        ready_file: options.ready_file.clone(),
        child: child.take(),
    });
    let ended = wired.run(supervisor)?;
    let closing = outcome::Closing {
        clock: &clock,
        control: &control,
        access: &access,
        opening: &opening,
        plan: &plan,
        dir: &dir,
        options,
    };
    outcome::close(&closing, ended)
}

fn remote_of(config: &Config, child: Option<&VenueChild>) -> Remote {
    match (&config.venue.access, child) {
        (VenueAccess::Remote(remote), _) => remote.clone(),
        (VenueAccess::Embedded, Some(child)) => {
            let e = child.endpoints.clone();
            Remote {
                market: e.market,
                api: e.api,
                ca: Some(e.ca),
                api_key: e.api_key,
                private_key: e.private_key,
            }
        }
        (VenueAccess::Embedded, None) => unreachable!("an embedded venue has a child"),
    }
}

/// A flag that SIGINT and SIGTERM set; a second signal ends the process at once.
fn stop_flag() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}
